"""Which database Peewee's own calls on the models use.

Managers always use their own database. What users write in Peewee (``Function.select()``, ``function.user``,
``save()``) asks the model, and every model of this library answers with one object, ``current_database``. It stands for
the database bound in the running context, and otherwise for the process's default one. The binding is a context
variable: a thread that binds another database does not disturb its neighbours.

This module opens nothing and knows no URL; the connection side names the databases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, cast

import peewee

from cloudpub_models.errors import ConfigurationError
from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE, Dialect

_bound_database: ContextVar[peewee.Database | None] = ContextVar("cloudpub_models_bound_database", default=None)


class CurrentDatabase(peewee.DatabaseProxy):
    """A Peewee database proxy that is resolved at each use, not once for the process.

    >>> current = CurrentDatabase()
    >>> first, second = peewee.SqliteDatabase(":memory:"), peewee.SqliteDatabase(":memory:")
    >>> current.initialize(first)
    >>> with current.bound_to(second):
    ...     current.resolve() is second
    True
    >>> current.resolve() is first
    True
    """

    __slots__ = ("_default", "_named", "_provider")

    def __init__(self) -> None:
        """Stand for nothing yet."""
        object.__setattr__(self, "_callbacks", [])
        object.__setattr__(self, "_default", None)
        object.__setattr__(self, "_provider", None)
        object.__setattr__(self, "_named", None)

    # Peewee asks for `obj` while it builds model classes and takes None for "not known yet", so reading it must never
    # look for a default database. Everything else goes through resolve().
    @property
    def obj(self) -> peewee.Database | None:
        """The database in force, or None while none is known."""
        bound = _bound_database.get()
        if bound is None and self._default is None and self._named is not None:
            return cast("peewee.Database | None", self._named())
        return bound if bound is not None else cast("peewee.Database | None", self._default)

    @property
    def bound(self) -> peewee.Database | None:
        """The database that is bound in the running context, if one is."""
        return _bound_database.get()

    def initialize(self, obj: peewee.Database | None) -> None:
        """Name the process's default database; None forgets it."""
        object.__setattr__(self, "_default", obj)
        for callback in self._callbacks:
            callback(obj)

    def provide_default(
        self,
        provider: Callable[[], peewee.Database] | None,
        named: Callable[[], peewee.Database | None] | None = None,
    ) -> None:
        """Name a function that gives the default database, called at the first use that finds none.

        Args:
            provider: gives it, wherever it has to look for its name.
            named: gives it if it has been named already, and else None.
        """
        object.__setattr__(self, "_provider", provider)
        object.__setattr__(self, "_named", named)

    def resolve(self) -> peewee.Database:
        """Return the database in force.

        Raises:
            ConfigurationError: when none is bound here and the process has no default one.
        """
        database = self.obj
        if database is None and self._provider is not None:
            database = cast("peewee.Database", self._provider())
        if database is None:
            raise ConfigurationError(
                "expected a database for this model; got none: call database.initialize(url) first, "
                "or wrap the call in `with database.bind():`"
            )
        return database

    @contextmanager
    def bound_to(self, database: peewee.Database) -> Iterator[peewee.Database]:
        """Use ``database`` in this context (thread, task) until the block ends; blocks may be nested."""
        token = _bound_database.set(database)
        try:
            yield database
        finally:
            _bound_database.reset(token)

    def __getattr__(self, attr: str) -> Any:
        """As the current database's."""
        if attr.startswith("__"):
            # Tools that look at every object (doctest, inspect, copy) ask for such names; that opens no database.
            raise AttributeError(attr)
        return getattr(self.resolve(), attr)

    def __enter__(self) -> Any:
        """As the current database's."""
        return self.resolve().__enter__()

    def __exit__(self, *exc_info: Any) -> None:
        """As the current database's."""
        self.resolve().__exit__(*exc_info)

    # Peewee's proxy would build these with itself as the database, past the overrides of the database it stands for
    # (whose transactions close gaps that Peewee's leave), and could end one on another database than it began on.
    def connection_context(self) -> Any:
        """As the current database's."""
        return self.resolve().connection_context()

    def atomic(self, *args: Any, **kwargs: Any) -> Any:
        """As the current database's."""
        return self.resolve().atomic(*args, **kwargs)

    def manual_commit(self) -> Any:
        """As the current database's."""
        return self.resolve().manual_commit()

    def transaction(self, *args: Any, **kwargs: Any) -> Any:
        """As the current database's."""
        return self.resolve().transaction(*args, **kwargs)

    def savepoint(self) -> Any:
        """As the current database's."""
        return self.resolve().savepoint()


current_database = CurrentDatabase()
"""The database of every model in this library."""


def concrete_database(database: peewee.Database | peewee.Proxy | None) -> peewee.Database | None:
    """Return the database behind a proxy, or the database itself."""
    if isinstance(database, CurrentDatabase):
        return database.resolve()
    if isinstance(database, peewee.Proxy):
        return cast("peewee.Database | None", database.obj)
    return database


_KINDS: dict[Dialect, type[peewee.Database]] = {SQLITE: peewee.SqliteDatabase, POSTGRESQL: peewee.PostgresqlDatabase}


def unconnected(dialect: Dialect) -> peewee.Database:
    """Return a Peewee database that stands for a dialect and is never opened."""
    return _KINDS[dialect](None)


@cache
def names_of_databases() -> frozenset[str]:
    """Return what Peewee's databases have, but for what Python itself asks every object for.

    >>> "create_tables" in names_of_databases(), "raw_query_all" in names_of_databases()
    (True, False)
    """
    names = {name for dialect in _KINDS for name in dir(unconnected(dialect))}
    return frozenset(name for name in names if not name.startswith("__"))


def sql_dialect_of(database: peewee.Database | peewee.Proxy | None) -> Dialect:
    """Return the SQL dialect of a Peewee database.

    Raises:
        ConfigurationError: for a database that is neither SQLite nor PostgreSQL, or none.

    >>> sql_dialect_of(peewee.SqliteDatabase(":memory:"))
    SQLITE
    """
    found = concrete_database(database)
    for dialect, kind in _KINDS.items():
        if isinstance(found, kind):
            return dialect
    raise ConfigurationError(
        f"expected a SQLite or PostgreSQL database; got {type(found).__name__}: managers work on these two only"
    )
