"""The guard against loading related rows one by one: ``forbid_lazy_loading``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from cloudpub_models.errors import LazyLoadingError

_forbidden: ContextVar[bool] = ContextVar("cloudpub_models_lazy_loading_forbidden", default=False)


@contextmanager
def forbid_lazy_loading() -> Iterator[None]:
    """Raise LazyLoadingError inside the block where a related row would be fetched by reading an attribute.

    Meant for tests: put it around the code that reads, and it names what to include.

    >>> from cloudpub_models import Function
    >>> with forbid_lazy_loading():
    ...     Function(id=1, user_id=7).user
    Traceback (most recent call last):
    ...
    cloudpub_models.errors.LazyLoadingError: reading Function.user would fetch it row by row: add include=("user",) ...
    """
    token = _forbidden.set(True)
    try:
        yield
    finally:
        _forbidden.reset(token)


def refuse_lazy_loading(instance: Any, name: str) -> None:
    """Raise LazyLoadingError for reading a relation that is not loaded, where the guard is on."""
    if _forbidden.get():
        model = type(instance).__name__
        raise LazyLoadingError(
            f'reading {model}.{name} would fetch it row by row: add include=("{name}",) to the call that '
            f"loaded the {model}"
        )
