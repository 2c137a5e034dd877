"""The one place from which managers send: every statement of a manager goes through ``send``.

What is to hold for all of them (which connection answers, who is acting, what is remembered) has its place here, and in
the ``Scope`` by which a manager completes its conditions. SQL comes from ``statements``; the driver is the engine's
business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from sys import modules
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, overload

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.connection.default import database as default_database
from cloudpub_models.connection.results import ResultColumns, Row, by_name
from cloudpub_models.connection.row_security import ToldDatabase
from cloudpub_models.connection.sender import SentStatement
from cloudpub_models.entity.ddl import TableMetadata
from cloudpub_models.entity.origin import Origin
from cloudpub_models.errors import ConfigurationError, InvalidQueryError, InvalidValueError
from cloudpub_models.manager.arguments.conditions import Where
from cloudpub_models.manager.arguments.dotted import related_column
from cloudpub_models.manager.arguments.order import Order, related_value
from cloudpub_models.manager.arguments.shape import NO_CONDITIONS, Conditions
from cloudpub_models.manager.arguments.where import parse_where
from cloudpub_models.manager.columns.table import Table, table_of
from cloudpub_models.manager.event_loops import warn_of_event_loop
from cloudpub_models.manager.scope import (
    UNRESTRICTED,
    Scope,
    refuse,
    require_all_rows,
    require_plain,
    rows_of,
    stays_inside,
    unowned,
)
from cloudpub_models.manager.statements.shapes import Lookup, Request, Statements
from cloudpub_models.sql import Dialect
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.nodes.conditions import Comparison
from cloudpub_models.sql.operators import Operator
from cloudpub_models.sql.remembering import made_on_first_use

if TYPE_CHECKING:
    from cloudpub_models.connection.sender import CopySource
    from cloudpub_models.manager.statements.plans import Plans

M = TypeVar("M", bound=peewee.Model)

# What stands for more than one value, or for a comparison with one.
_SEVERAL = (list, tuple, set, frozenset, dict, Operator)

Way = Literal["fetch", "run", "stream", "fetch_undecoded", "fetch_described", "copy_rows", "run_many"]


class Sendable(Protocol):
    """A statement with what it is: a ``Request``, or one that also knows what becomes of its rows."""

    @property
    def sql(self) -> str:
        """The statement in the driver's notation."""
        ...

    @property
    def writes(self) -> bool:
        """Whether it changes or locks rows, or may."""
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it touches; empty where that is not known, as of SQL that a caller wrote."""
        ...


@overload
def send(
    database: Database, request: Sendable, values: Sequence[Any] | None = None, way: Literal["fetch"] = "fetch"
) -> list[Row]: ...
@overload
def send(database: Database, request: Sendable, values: Sequence[Any] | None, way: Literal["run"]) -> int: ...
@overload
def send(
    database: Database, request: Sendable, values: Sequence[Any] | None, way: Literal["stream"], chunk_size: int
) -> Iterator[list[Row]]: ...
@overload
def send(
    database: Database, request: Sendable, values: Sequence[Any] | None, way: Literal["fetch_undecoded"]
) -> tuple[ResultColumns, list[Row]]: ...
@overload
def send(
    database: Database, request: Sendable, values: Sequence[Any] | None, way: Literal["fetch_described"]
) -> tuple[list[str], list[Row]]: ...
@overload
def send(database: Database, request: Sendable, values: CopySource, way: Literal["copy_rows"]) -> int: ...
@overload
def send(database: Database, request: Sendable, values: Iterable[Sequence[Any]], way: Literal["run_many"]) -> int: ...
def send(
    database: Database, request: Sendable, values: Any = None, way: Way = "fetch", chunk_size: int | None = None
) -> Any:
    """Send a statement and return what comes back.

    Args:
        database: the database.
        request: the statement.
        values: those of its parameters, encoded; the rows of a batch.
        way: which of the engine's methods takes it: all rows, a count, a stream, rows with their columns, a copy.
        chunk_size: how many rows of a stream are fetched at a time.
    """
    # The part of asyncio that knows, and that whoever runs a loop has loaded.
    if "_asyncio" in modules and modules["_asyncio"]._get_running_loop() is not None:
        warn_of_event_loop()
    engine = database.engine
    if engine.is_attended:
        key_position = request.key_position if isinstance(request, Lookup) else None
        # As it would make itself, by one call less.
        sent = request.sql, values, way, chunk_size, request.writes, request.tables, key_position
        return engine.attend(tuple.__new__(SentStatement, sent))
    if way == "fetch":  # by far the most calls
        return engine.fetch(request.sql, values)
    method = getattr(engine, way)
    return method(request.sql, values) if chunk_size is None else method(request.sql, values, chunk_size)


def send_query(
    database: Database, sql: str, parameters: Mapping[str, Any] | None = None, *, writes: bool = False
) -> list[dict[str, Any]]:
    """Send a query with ``@name`` parameters that stands written out, and return its rows as dicts."""
    text, values = database.engine.bind_parameters(sql, parameters)
    names, rows = send(database, Request(text, writes=writes, tables=()), values, "fetch_described")
    return by_name(names, rows)


def send_command(database: Database, sql: str, parameters: Mapping[str, Any] | None = None) -> int:
    """Send a statement that gives no rows and stands written out, and return how many rows it has changed."""
    text, values = database.engine.bind_parameters(sql, parameters)
    return send(database, Request(text, writes=True, tables=()), values, "run")


class _PresentStatements(Generic[M]):
    """The statements of one table as things stand, made when they are first asked for.

    While the model is bound to another database there are none, which is how a manager refuses what would go past that.
    Nor are there of all rows where the database requires an owner.
    """

    def __init__(
        self, model: type[M], table: Table, database: Database, origin: Origin | None, *, of_all: bool
    ) -> None:
        self._model, self._table, self._database, self._origin = model, table, database, origin
        self._of_all = of_all
        database._watchers.add(self)
        if isinstance(model._meta, TableMetadata):
            model._meta.watch(self)

    def forget(self) -> None:
        """Ask again, at the next statement, which database the model is bound to and what it requires."""
        vars(self).pop("present", None)
        vars(self).pop("plans", None)

    @made_on_first_use
    def present(self) -> Statements[M]:
        """The statements on the database's dialect.

        Raises:
            InvalidQueryError: the model is bound to another database.
            UnguardedError: the database requires an owner, and these are statements of all rows.
        """
        elsewhere = self._model._meta.elsewhere if isinstance(self._model._meta, TableMetadata) else None
        if elsewhere is not None and elsewhere is not self._database and elsewhere is not self._database.engine:
            raise InvalidQueryError(
                f"expected {self._model.__name__} to be bound to this manager's database, {self._database!r}; got it "
                "bound to another one, as by bind_ctx(): managers stay with their own, so ask those of "
                "Managers(Database(url))"
            )
        if self._of_all and self._database.requires_owner:
            raise unowned()
        # Else what was made for the database of before could be kept after forget() was called for the next.
        with self._database._lock:
            engine = self._database.engine
            keeps_rows = engine.cached_rows is not None
            found = Statements(self._model, self._table, engine.sql_dialect, self._origin, keeps_rows=keeps_rows)
            vars(self)["present"] = found
        return found

    @made_on_first_use
    def plans(self) -> Plans:
        """The plans of builders' queries on the database."""
        # Not imported before a program has built a query.
        from cloudpub_models.manager.statements.plans import Plans

        with self._database._lock:
            found = Plans(self._database.engine.sql_dialect, self._model, self._database.models)
            vars(self)["plans"] = found
        return found


class TableAccess(Generic[M]):
    """One table of one database, or the rows of it that a scope has.

    Args:
        model: the Peewee model of the table; one of ours or any other.
        database: the database; the process's default one when left out.
        scope: the rows that are seen and changed; all of them when left out.
    """

    def __init__(self, model: type[M], database: Database | None = None, *, scope: Scope | None = None) -> None:
        if database is not None and not isinstance(database, Database):
            raise ConfigurationError(
                f"expected a Database; got a value of type {type(database).__name__}: write Database('sqlite:///file.db')"
            )
        self.model = model
        self.database = default_database if database is None else database
        if isinstance(self.database, ToldDatabase):
            self.database = self.database.present
        self.table: Table = table_of(model)
        self._access = scope  # also where there is none: for other managers of this one's
        if scope is UNRESTRICTED:
            scope = None
        self.scope = scope
        self.origin = None if scope is None else scope.origin
        if self.origin is None and self.database is not default_database:
            self.origin = Origin(self.database)
        self._statements: _PresentStatements[M] = self._shared_statements()
        self._scope_conditions: dict[tuple[Dialect, type[peewee.Model]], Conditions] = {}
        self._scope_conditions_of_one: dict[Dialect, Conditions] = {}
        if self._access is not None and self.database.has_row_security:
            self.database = ToldDatabase(self.database, self._access.settings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model.__name__})"

    def _shared_statements(self) -> _PresentStatements[M]:
        """Return the statements that managers of one scope have in common, or ones of its own."""
        known = {} if self.scope is None else self.scope.statements
        found: _PresentStatements[M] | None = known.get((self.model, self.database))
        if found is None:
            of_all = self._access is None
            found = _PresentStatements(self.model, self.table, self.database, self.origin, of_all=of_all)
            known[self.model, self.database] = found
        return found

    def _conditions(self, where: Where) -> Conditions:
        """Return the conditions of a ``where`` argument and of the scope."""
        if self.scope is None:
            return parse_where(where, self.table, self.database)
        return self._narrowed(self._parsed(where))

    def _parsed(self, where: Where) -> Conditions:
        """Return the conditions of a ``where`` argument alone, in which the scope holds in related tables."""
        if self.scope is None:
            return parse_where(where, self.table, self.database)
        conditions = parse_where(where, self.table, self.database, self._held_to)
        if self.scope.closed and type(where) is not dict:
            require_plain(self.scope, conditions[0])
        return conditions

    def _completed(self, conditions: Conditions) -> Conditions:
        """Return conditions with those of the scope behind them."""
        if self.scope is None:
            return conditions
        own = self._held_to(self.model)
        return (*conditions[0], *own[0]), (*conditions[1], *own[1])

    def _narrowed(self, conditions: Conditions) -> Conditions:
        """Return conditions of the manager's own rows with those of the scope, as a lookup has them for one row."""
        columns = self.table.columns
        if self.scope is None or not any(
            type(part) is tuple and part[1] == "=" and columns[part[0]].is_unique for part in conditions[0]
        ):
            return self._completed(conditions)
        own = self._held_to_one()
        return (*conditions[0], *own[0]), (*conditions[1], *own[1])

    def _hold_order(self, order: Order) -> None:
        """Raise UnguardedError where rows are ordered by those of a table of which the scope has not all rows."""
        if self.scope is not None and self.scope.closed:
            require_plain(self.scope, tuple(order))
        self._hold_keys([item for item, _ in order if isinstance(item, str)])

    def _hold_keys(self, keys: Iterable[str]) -> None:
        """Raise UnguardedError where a key leads to a table of which the scope has not all rows."""
        if self.scope is None:
            return
        for key in keys:
            start: type[peewee.Model] = self.model
            for link in related_column(self.model, key).links:
                if not stays_inside(self.scope, start, link):
                    require_all_rows(self.scope, link.model)
                start = link.model

    def _refuse(self, call: str) -> None:
        """Raise UnguardedError for a call to whose SQL no condition can be added, where all rows are not to be had."""
        if self.scope is not None:
            refuse(self.scope, call)
        if self._access is None and self.database.requires_owner:
            raise unowned()

    def _held_to(self, model: type[peewee.Model]) -> Conditions:
        """Return what the scope says of a model's rows, wherever a statement looks at them."""
        assert self.scope is not None
        dialect = self.database.engine.sql_dialect
        own = self._scope_conditions.get((dialect, model))
        if own is None:
            own = parse_where(rows_of(self.scope, model), table_of(model), self.database)
            self._scope_conditions[dialect, model] = own
        return own

    def _held_to_one(self) -> Conditions:
        """Return what the scope says of the manager's own rows, for a statement that looks at a single one.

        PostgreSQL takes less time to plan a value of the row referred to than to plan the rows that are referred to.
        """
        if self.scope is None:
            return NO_CONDITIONS
        dialect = self.database.engine.sql_dialect
        own = self._scope_conditions_of_one.get(dialect)
        if own is None:
            shape, values = self._held_to(self.model)
            rows = rows_of(self.scope, self.model)
            if self.model in self.scope.owners and isinstance(rows, Mapping):
                shape = tuple([Comparison(related_value(self.model, key), "=") for key in rows])
            own = self._scope_conditions_of_one[dialect] = shape, values
        return own


def require_value(value: Any, column: str) -> Any:
    """Return the value to look a row up by, or raise InvalidValueError where it is ``None`` or more than one.

    Where one row is meant, a list out of a JSON body must not stand for all rows that it names.
    """
    if value is None:
        raise InvalidValueError(f"expected a value for {column}; got None, which no row has: was the row inserted?")
    if isinstance(value, _SEVERAL):
        raise InvalidValueError(f"expected one value for {column}; got {shown(value)}: use find_all() for several")
    return value
