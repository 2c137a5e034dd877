"""Where a row came from: the database whose managers gave it, if that is not the process's default one.

What Peewee does with a row (``save()``, ``delete_instance()``, a relation that is read) asks the model for its
database, which is the default one: with two databases in a process another's row of the same id would be read or
overwritten. So rows of any other database have an origin, and what is done with them goes there.

Which database is the default one is not known here; whoever makes rows says where they are from.
"""

from __future__ import annotations

import weakref
from contextlib import AbstractContextManager
from typing import Any, Protocol
from uuid import uuid4

import peewee

from cloudpub_models.entity.binding import current_database
from cloudpub_models.errors import ConfigurationError, InvalidQueryError

ATTRIBUTE = "_origin"


class Source(Protocol):
    """A database that rows are of."""

    @property
    def url(self) -> str:
        """Its URL, without a password."""
        ...

    @property
    def engine(self) -> Any:
        """What Peewee sends its statements to."""
        ...


class Origin:
    """The database that a row came from; it goes with the row into copies, and is found again after pickling.

    Args:
        source: the database; none where a row has come from another process whose database is not known here.
        url: the URL of one that is not known.
    """

    def __init__(self, source: Source | None, url: str = "") -> None:
        self._source = source
        self._url = url
        self._token = uuid4().hex
        if source is not None:
            _known.add(self)

    @property
    def url(self) -> str:
        """The database's URL, without a password."""
        return self._url if self._source is None else self._source.url

    @property
    def engine(self) -> Any:
        """What Peewee sends its statements to.

        Raises:
            ConfigurationError: the row was pickled, and its database is not known here.
        """
        if self._source is None:
            raise ConfigurationError(
                f"expected a row of a database that this process uses; got one of {self._url}, pickled elsewhere: look "
                "it up with a manager of that database"
            )
        return self._source.engine

    def __copy__(self) -> Origin:
        return self

    def __deepcopy__(self, _memo: object) -> Origin:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._source is not None:
            _pickled[self._token] = self
        return _found_again, (self._token, self.url)


_known: weakref.WeakSet[Origin] = weakref.WeakSet()
_pickled: weakref.WeakValueDictionary[str, Origin] = weakref.WeakValueDictionary()


def _found_again(token: str, url: str) -> Origin:
    if token in _pickled:
        return _pickled[token]
    # In another process. Several databases may have one URL, as those in memory do.
    known = {id(origin._source): origin for origin in list(_known) if origin.url == url}
    return known.popitem()[1] if len(known) == 1 else Origin(None, url)


def origin_of(row: peewee.Model) -> Origin | None:
    """Return where a row came from; ``None`` for one of the default database, or one that was not loaded."""
    return row.__dict__.get(ATTRIBUTE)


def come_from(row: Any, origin: Origin | None) -> None:
    """Note where a row that was loaded, and the related rows that came with it, are from."""
    if origin is not None and isinstance(row, peewee.Model):
        row.__dict__[ATTRIBUTE] = origin
        for related in row.__rel__.values():
            if isinstance(related, peewee.Model) and ATTRIBUTE not in related.__dict__:
                come_from(related, origin)


def writing_to(origin: Origin, model: type[peewee.Model]) -> AbstractContextManager[peewee.Database]:
    """Return a block in which what Peewee writes of a row goes where the row came from.

    Raises:
        InvalidQueryError: the caller has bound another database.
    """
    engine = origin.engine
    bound = current_database.bound if model._meta.database is current_database else model._meta.database
    if bound not in (None, engine):
        raise InvalidQueryError(
            f"expected a row of the database that is bound here; got one of {origin.url}: copy it with "
            f"{model.__name__}.from_dict(row.to_dict()), which is a row of no database"
        )
    return current_database.bound_to(engine)


def reading_from(origin: Origin) -> AbstractContextManager[peewee.Database]:
    """Return a block in which what Peewee reads comes from there."""
    return current_database.bound_to(origin.engine)


class _SelectOfOrigin(peewee.ModelSelect):
    """A query of rows that come from where another row came from."""

    _origin: Origin

    def _get_model_cursor_wrapper(self, cursor: Any) -> Any:
        return coming_from(super()._get_model_cursor_wrapper(cursor), self._origin)  # type: ignore[misc]


def coming_from(wrapper: Any, origin: Origin) -> Any:
    """Return Peewee's wrapper of a cursor with every row of it noted as coming from there."""
    process = wrapper.process_row

    def process_row(values: Any) -> Any:
        row = process(values)
        come_from(row, origin)
        return row

    wrapper.process_row = process_row
    return wrapper


def query_of(row: peewee.Model, query: Any) -> Any:
    """Return a query of related rows as one that asks the database that the row came from."""
    origin = origin_of(row)
    if origin is None:
        return query
    asked = _SelectOfOrigin.__new__(_SelectOfOrigin)
    asked.__dict__.update(query.__dict__)
    asked._origin = origin
    return asked.bind(origin.engine)
