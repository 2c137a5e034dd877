"""What was not loaded is not read by accident: columns that a query left out, and related rows, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

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


class PartialData(dict[str, Any]):
    """The ``__data__`` of an instance that was loaded with some of its columns only.

    Peewee's accessors read ``__data__[name]`` and take a ``KeyError`` for ``None``; here it is an error of its own, so
    that a column which was not asked for cannot be mistaken for an empty one.
    """

    def __missing__(self, name: str) -> NoReturn:
        """Raise LazyLoadingError for a column that the query left out."""
        raise LazyLoadingError(
            f"{name!r} was not loaded: the query selected {', '.join(self)} only; add it to select=[…]"
        )
