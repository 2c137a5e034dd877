"""The values of an instance whose query left columns out: reading one of those raises."""

from __future__ import annotations

from typing import Any, NoReturn

from cloudpub_models.errors import LazyLoadingError


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
