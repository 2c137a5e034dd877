"""The SQL of a manager's calls, by shape: rendered once for each combination of clauses and columns, then looked up.

A shape holds no values, so that the number of statements stays as small as the program's number of different calls.
The text comes from the renderer that the query builder uses too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import peewee

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.arguments.order import Order
from cloudpub_models.manager.arguments.where import Shape
from cloudpub_models.manager.columns.encoding import Encoder
from cloudpub_models.manager.columns.table import Table
from cloudpub_models.manager.rows.instances import Loader, make_loader
from cloudpub_models.sql import PARAMETER, Conflict, Dialect, Join, NamedTable, OrderBy, Query
from cloudpub_models.sql.nodes.conditions import NO_CONDITIONS, Comparison, Condition, Group
from cloudpub_models.sql.nodes.expressions import Column
from cloudpub_models.sql.nodes.query import FirstOfEach, Kind
from cloudpub_models.sql.statement import PreparableSql

M = TypeVar("M", bound=peewee.Model)
T = TypeVar("T")


# The shapes that a program writes down are few; one that computes column lists and conditions must stay bounded too.
_LARGEST_CACHE = 4096
# In characters; a Peewee expression with a hundred thousand values is a shape too.
_MOST_CACHED_TEXT = 10_000_000


class Request(NamedTuple):
    """What is sent to the database: SQL in the driver's notation, and what it is.

    Attributes:
        sql: the statement.
        writes: whether it changes or locks rows.
        tables: the tables that it touches.
    """

    sql: str
    writes: bool
    tables: tuple[str, ...]


class Select(NamedTuple, Generic[M]):
    """A `Request` for rows, and what makes instances of them."""

    sql: str
    load: Loader[M]
    writes: bool
    tables: tuple[str, ...]


class Lookup(NamedTuple, Generic[M]):
    """A `Select` by one column's value, and how the value is encoded."""

    encode: Encoder
    sql: str
    load: Loader[M]
    writes: bool
    tables: tuple[str, ...]


class ConflictRule(NamedTuple):
    """What an insert does with rows that exist already, before it is known which columns it names.

    Attributes:
        action: ``"ignore"`` or ``"update"``.
        columns: the columns of the unique constraint; none for any constraint.
        update_columns: what to update; ``None`` for every column given that is not of the constraint.
        touched: the columns that every update sets.
    """

    action: Literal["ignore", "update"]
    columns: tuple[str, ...]
    update_columns: tuple[str, ...] | None
    touched: tuple[str, ...]

    def for_columns(self, given: Sequence[str], conditions: Group = NO_CONDITIONS) -> Conflict:
        """Return the rule for an insert that names these columns.

        Args:
            given: the columns.
            conditions: what a row that exists already has to meet to be updated.

        Raises:
            InvalidQueryError: a column that is to be updated is not given.
        """
        if self.action == "ignore":
            return Conflict(self.columns, "ignore")
        chosen = [name for name in given if name not in self.columns]
        if self.update_columns is not None:
            chosen = [*self.update_columns, *(name for name in self.touched if name not in self.update_columns)]
        for name in (*self.columns, *chosen):
            if name not in given:
                raise InvalidQueryError(
                    f"expected a value for {name!r}, which decides about or takes part in the update; got none"
                )
        # With nothing to update the row still has to come back, so one column is set to the value that it has.
        return Conflict(self.columns, "update", tuple(chosen) or self.columns[:1], conditions)


class Statements(Generic[M]):
    """The statements of one table on one dialect."""

    def __init__(self, model: type[M], table: Table, dialect: Dialect) -> None:
        self._model = model
        self.table = table
        self._dialect = dialect
        self._source = named_table(model)
        self._columns = {name: Column(None, name) for name in table.column_names}
        self._all_columns = tuple(self._columns.values())
        self._cache: dict[Any, Any] = {}
        self._cached_text = 0
        self.load: Loader[M] = self._loader(table.column_names, partial=False)
        self.lookups: dict[str, Lookup[M]] = {}

    def lookup(self, name: str) -> Lookup[M]:
        """Return the SELECT of the row with a value in a column, and keep it in ``lookups`` under this name."""
        column = self.table.column(name)
        found = self.lookups[name] = Lookup(column.encode, *self.select(((column.name, "="),)))
        return found

    def select(
        self,
        conditions: Shape,
        *,
        columns: tuple[str, ...] | None = None,
        order: Order = (),
        limit: bool = False,
        offset: bool = False,
        skip_locked: bool = False,
    ) -> Select[M]:
        """Return the SELECT of some columns (all, when left out), with a parameter for limit and offset.

        With ``skip_locked`` it locks the rows it finds, and passes over those that others have locked.
        """
        shape = ("select", conditions, columns, order, limit, offset, skip_locked)
        found: Select[M] | None = self._cache.get(shape)
        if found is not None:
            return found
        request = self._request(
            "select",
            columns=self._all_columns if columns is None else tuple([self._columns[name] for name in columns]),
            conditions=self.group(conditions),
            order_by=self._order_by(order),
            limit=PARAMETER if limit else None,
            offset=PARAMETER if offset else None,
            for_update=skip_locked,
            skip_locked=skip_locked,
        )
        return self._kept(shape, self._select(request, columns))

    def select_for_each(self, column: str, order: Order, limit: int, conditions: Shape = ()) -> Select[M]:
        """Return the SELECT of at most ``limit`` rows for each of the values that its first parameter lists.

        The rows of each value are looked up one value at a time, so that no more of them are read than are wanted.

        Args:
            column: the column that has the values.
            order: which rows are the first.
            limit: how many rows for each value at most.
            conditions: what every row has to meet.
        """
        shape = ("select for each", column, order, limit, conditions)
        found: Select[M] | None = self._cache.get(shape)
        if found is not None:
            return found
        request = self._request(
            "select",
            columns=self._all_columns,
            conditions=self.group(conditions),
            order_by=self._order_by(order),
            first_of_each=self._first_of_each(self._columns[column], self.table.columns[column].field, limit),
        )
        return self._kept(shape, self._select(request))

    def select_connected(
        self,
        near: peewee.ForeignKeyField[Any],
        far: peewee.ForeignKeyField[Any],
        order: Order,
        limit: int | None,
        conditions: Shape = (),
    ) -> Select[M]:
        """Return the SELECT of the rows that a table in between connects with others, their keys in a last column.

        Args:
            near: the key of the table in between that refers to the others; its first parameter lists their keys.
            far: its key that refers to this table.
            order: columns of this table.
            limit: how many rows for each key at most.
            conditions: what every row has to meet; a column without a table is this table's.
        """
        shape = ("select connected", near.model, near.column_name, far.column_name, order, limit, conditions)
        found: Select[M] | None = self._cache.get(shape)
        if found is not None:
            return found
        pivot, own = named_table(near.model), self._source.known_as
        key = Column(pivot.known_as, near.column_name)
        connected = self.group(conditions, own)
        request = self._request(
            "select",
            columns=(*[Column(own, name) for name in self._columns], key),
            joins=(
                Join(
                    "INNER",
                    pivot,
                    ((Column(pivot.known_as, far.column_name), Column(own, far.rel_field.column_name)),),
                ),
            ),
            conditions=connected if limit is not None else Group((("AND", Comparison(key, "IN")), *connected.items)),
            order_by=self._order_by(order, own),
            first_of_each=None if limit is None else self._first_of_each(key, near, limit),
        )
        return self._kept(shape, self._select(request))

    def select_nothing(self, kind: Literal["count", "exists"], conditions: Shape) -> Request:
        """Return the SELECT that counts the rows, or that gives a row where there is any, but none of its columns."""
        shape = (kind, conditions)
        found: Request | None = self._cache.get(shape)
        return found or self._kept(shape, self._request(kind, conditions=self.group(conditions)))

    def insert(self, columns: tuple[str, ...], conflict: Conflict | None) -> Request:
        """Return the INSERT of one row that gives it back."""
        shape = ("insert", columns, conflict)
        found: Request | None = self._cache.get(shape)
        return found or self._kept(shape, self.insert_many(columns, 1, conflict, True))

    def upsert(self, columns: tuple[str, ...], asked: Any, make_conflict: Callable[[], Conflict]) -> Request:
        """Return the INSERT of one row that updates the one in its place, and gives it back.

        Args:
            columns: the columns of the row.
            asked: what decides about the rule for the row in its place.
            make_conflict: makes the rule; called once for each ``asked``.
        """
        shape = ("upsert", columns, asked)
        try:
            found: Request | None = self._cache.get(shape)
        except TypeError:  # names that are none, which the rule refuses
            return self.insert(columns, make_conflict())
        return found or self._kept(shape, self.insert(columns, make_conflict()))

    def insert_many(self, columns: tuple[str, ...], rows: int, conflict: Conflict | None, returning: bool) -> Request:
        """Return the INSERT of several rows."""
        shape = ("insert", columns, rows, conflict, returning)
        found: Request | None = self._cache.get(shape)
        return found or self._kept(
            shape,
            self._request(
                "insert",
                insert_columns=columns,
                rows=rows,
                conflict=conflict,
                returning=self._all_columns if returning else (),
            ),
        )

    def insert_from_arrays(self, columns: tuple[str, ...], conflict: Conflict | None, returning: bool) -> Request:
        """Return PostgreSQL's INSERT of rows that come as one array for each column."""
        shape = ("insert from arrays", columns, conflict, returning)
        found: Request | None = self._cache.get(shape)
        return found or self._kept(
            shape,
            self._request(
                "insert",
                insert_columns=columns,
                array_types=tuple([_array_type(field) for field in self.table.fields(columns)]),
                conflict=conflict,
                returning=self._all_columns if returning else (),
            ),
        )

    def copy(self, columns: tuple[str, ...]) -> Request:
        """Return PostgreSQL's COPY of rows in text format."""
        return self._request("copy", insert_columns=columns)

    def update(self, columns: tuple[str, ...], conditions: Shape) -> Request:
        """Return the UPDATE that gives the rows back."""
        shape = ("update", columns, conditions)
        found: Request | None = self._cache.get(shape)
        return found or self._kept(
            shape,
            self._request(
                "update", update_columns=columns, conditions=self.group(conditions), returning=self._all_columns
            ),
        )

    def delete(self, conditions: Shape) -> Request:
        """Return the DELETE."""
        shape = ("delete", conditions)
        found: Request | None = self._cache.get(shape)
        return found or self._kept(shape, self._request("delete", conditions=self.group(conditions)))

    def group(self, shape: Shape, table: str | None = None) -> Group:
        """Return the conditions of a shape, whose columns are those of a table by its name in the statement."""
        if not shape:
            return NO_CONDITIONS
        parts: list[tuple[Literal["AND"], Condition]] = []
        for part in shape:
            if isinstance(part, tuple):
                name, operator = part
                part = Comparison(self._columns[name] if table is None else Column(table, name), operator)
            parts.append(("AND", part))
        return Group(tuple(parts))

    def _order_by(self, order: Order, table: str | None = None) -> tuple[OrderBy, ...]:
        columns = self.table.columns
        return tuple(
            [
                OrderBy(
                    self._columns[name] if table is None else Column(table, name),
                    direction,
                    None,
                    bool(columns[name].field.null),
                )
                for name, direction in order
            ]
        )

    def _first_of_each(self, column: Column, field: peewee.Field[Any], limit: int) -> FirstOfEach:
        return FirstOfEach(column, limit, _array_type(field), self.table.key_names)

    def _request(self, kind: Kind, **clauses: Any) -> Request:
        from cloudpub_models.sql.render.writer import write

        written = write(Query(kind, self._source, **clauses), self._dialect)
        sql = written.driver_text
        if self._dialect.prepared_statements and self._is_preparable(written.compared):
            sql = PreparableSql(sql)
        return Request(sql, written.writes, written.tables)

    def _is_preparable(self, compared: Sequence[Column] | None) -> bool:
        # In an expression of Peewee's it may be the type of a value that decides what an operator means.
        columns = self.table.columns
        return compared is not None and all(
            column.name not in columns or columns[column.name].is_preparable for column in compared
        )

    def _select(self, request: Request, columns: tuple[str, ...] | None = None) -> Select[M]:
        load = self.load
        if columns is not None:
            load = self._loader(columns, partial=set(columns) != set(self.table.column_names))
        return Select(request.sql, load, request.writes, request.tables)

    def _loader(self, names: Sequence[str], *, partial: bool) -> Loader[M]:
        return make_loader(self._model, self.table.fields(names), self._dialect.name, partial=partial)

    def _kept(self, shape: Any, found: T) -> T:
        self._cached_text += len(found.sql)  # type: ignore[attr-defined]
        if len(self._cache) >= _LARGEST_CACHE or self._cached_text > _MOST_CACHED_TEXT:
            self._cache.clear()
            self._cached_text = 0
        self._cache[shape] = found
        return found


def named_table(model: type[peewee.Model], alias: str | None = None) -> NamedTable:
    """Return the table of a model, in its schema where it has one, for a statement."""
    return NamedTable(model._meta.table_name, alias, model._meta.schema)


def _array_type(field: peewee.Field[Any]) -> str:
    """Return the PostgreSQL type for the elements of an array of a column's values.

    Without its length: a cast to ``varchar(3)`` would cut longer texts instead of refusing them.
    """
    target = field.rel_field if isinstance(field, peewee.ForeignKeyField) else field
    if isinstance(target, peewee.CharField | peewee.TextField):
        return "text"
    name: str = peewee.PostgresqlDatabase.field_types.get(target.field_type, target.field_type)
    return {"SERIAL": "integer", "BIGSERIAL": "bigint", "INT": "integer"}.get(name, name.lower())
