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
from cloudpub_models.sql import PARAMETER, POSTGRESQL, Conflict, Dialect, Join, OrderBy, Query, raw
from cloudpub_models.sql.nodes.conditions import Comparison, Condition, Connector, Group
from cloudpub_models.sql.statement import PreparableSql
from cloudpub_models.sql.text.parameters import parse

M = TypeVar("M", bound=peewee.Model)
T = TypeVar("T")


# The shapes that a program writes down are few; one that computes column lists and conditions must stay bounded too.
_LARGEST_CACHE = 4096
# In characters; a Peewee expression with a hundred thousand values is a shape too.
_MOST_CACHED_TEXT = 10_000_000


class Lookup(NamedTuple, Generic[M]):
    """A SELECT by one column's value: how the value is encoded, the SQL, and what makes instances of its rows."""

    encode: Encoder
    sql: str
    load: Loader[M]


class Select(NamedTuple, Generic[M]):
    """A SELECT in the driver's notation, and what makes instances of its rows."""

    sql: str
    load: Loader[M]


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

    def for_columns(self, given: Sequence[str]) -> Conflict:
        """Return the rule for an insert that names these columns.

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
        return Conflict(self.columns, "update", tuple(chosen) or self.columns[:1])


class Statements(Generic[M]):
    """The statements of one table on one dialect."""

    def __init__(self, model: type[M], table: Table, dialect: Dialect) -> None:
        self._model = model
        self.table = table
        self._dialect = dialect
        self._cache: dict[Any, Any] = {}
        self._cached_text = 0
        self.load: Loader[M] = self._loader(table.column_names, partial=False)
        self.lookups: dict[str, Lookup[M]] = {}

    def lookup(self, name: str) -> Lookup[M]:
        """Return the SELECT of the row with a value in a column, and keep it in ``lookups`` under this name."""
        column = self.table.column(name)
        select = self.select(((column.name, "="),))
        found = self.lookups[name] = Lookup(column.encode, select.sql, select.load)
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

        def make() -> Select[M]:
            names = self.table.column_names if columns is None else columns
            sql = self._render(
                Query(
                    "select",
                    self.table.name,
                    columns=names,
                    conditions=_group(conditions),
                    order_by=self._order_by(order),
                    limit=PARAMETER if limit else None,
                    offset=PARAMETER if offset else None,
                    for_update=skip_locked,
                    skip_locked=skip_locked,
                )
            )
            whole = set(names) == set(self.table.column_names)
            return Select(sql, self.load if columns is None else self._loader(names, partial=not whole))

        return self._cached(("select", conditions, columns, order, limit, offset, skip_locked), make)

    def select_for_each(self, column: str, order: Order, limit: int) -> Select[M]:
        """Return the SELECT of at most ``limit`` rows for each of the values that its parameter lists for a column.

        The rows of each value are looked up one value at a time, so that no more of them are read than are wanted.
        """

        def make() -> Select[M]:
            first = self._first_on_postgresql if self._dialect is POSTGRESQL else self._first_on_sqlite
            return Select(parse(first(column, order, limit), self._dialect).driver_text, self.load)

        return self._cached(("select for each", column, order, limit), make)

    def _first_on_postgresql(self, column: str, order: Order, limit: int) -> str:
        quote = self._dialect.quote
        columns = ", ".join([quote(name) for name in self.table.column_names])
        array = f"CAST(@keys AS {_array_type(self.table.columns[column].field)}[])"
        # As an order by the column, too, only its own index serves this; to the planner, which does not know the key,
        # one over the other columns looks as good, where a key with few rows makes it read everybody's.
        nearest = self._ordered(((column, order[0][1]), *order) if order else ())
        one = (
            f"SELECT {columns} FROM {quote(self.table.name)}"  # noqa: S608 - made of quoted names and a number
            f" WHERE {quote(column)} BETWEEN parent.key AND parent.key{nearest} LIMIT {limit}"
        )
        each = f"unnest({array}) AS parent (key) CROSS JOIN LATERAL ({one}) AS related"
        return f"SELECT {columns} FROM {each}{self._ordered(order)}"  # noqa: S608 - the same

    def _first_on_sqlite(self, column: str, order: Order, limit: int) -> str:
        quote = self._dialect.quote
        table = quote(self.table.name)
        keys = self.table.key_names
        key = quote(keys[0]) if len(keys) == 1 else "rowid"
        columns = ", ".join([f"{table}.{quote(name)}" for name in self.table.column_names])
        one = (
            f"SELECT candidate.{key} FROM {table} AS candidate"  # noqa: S608 - made of quoted names and a number
            f" WHERE candidate.{quote(column)} = parent.value{self._ordered(order, 'candidate.')} LIMIT {limit}"
        )
        each = f"json_each(@keys) AS parent JOIN {table} ON {table}.{key} IN ({one})"
        return f"SELECT {columns} FROM {each}{self._ordered(order, f'{table}.')}"  # noqa: S608 - the same

    def _order_by(self, order: Order, prefix: str = "") -> tuple[OrderBy, ...]:
        return tuple([OrderBy(prefix + name, direction, None, self._is_nullable(name)) for name, direction in order])

    def _ordered(self, order: Order, prefix: str = "") -> str:
        terms = [
            f"{prefix}{self._dialect.quote(name)} {direction}"
            f"{self._dialect.nulls(direction, None, nullable=self._is_nullable(name))}"
            for name, direction in order
        ]
        return f" ORDER BY {', '.join(terms)}" if terms else ""

    def _is_nullable(self, name: str) -> bool:
        return bool(self.table.columns[name].field.null)

    def select_connected(
        self, pivot: str, near: str, far: tuple[str, str], order: Order, limit: int | None
    ) -> Select[M]:
        """Return the SELECT of the rows that a table in between connects with others, their keys in a last column.

        Args:
            pivot: the table in between.
            near: its column that is compared with the keys that the parameter lists.
            far: its column that refers to this table, and this table's column that it refers to.
            order: columns of this table.
            limit: how many rows for each key at most.
        """

        def make() -> Select[M]:
            own = self.table.name
            connected = Query(
                "select",
                own,
                joins=(Join("INNER", pivot, None, ((f"{pivot}.{far[0]}", f"{own}.{far[1]}"),)),),
                conditions=Group.all(Comparison(f"{pivot}.{near}", "IN")),
            )
            if limit is not None:
                return Select(self._ranked(connected, f"{pivot}.{near}", order, limit), self.load)
            whole = connected.changed(
                columns=(*self._qualified(), f"{pivot}.{near}"),
                order_by=self._order_by(order, f"{own}."),
            )
            return Select(self._render(whole), self.load)

        return self._cached(("select connected", pivot, near, far, order, limit), make)

    def select_nothing(self, kind: Literal["count", "exists"], conditions: Shape) -> str:
        """Return the SELECT that counts the rows, or that gives a row where there is any, but none of its columns."""
        shape = (kind, conditions)
        found: str | None = self._cache.get(shape)
        return found or self._cached(
            shape, lambda: self._render(Query(kind, self.table.name, conditions=_group(conditions)))
        )

    def insert(self, columns: tuple[str, ...], conflict: Conflict | None) -> str:
        """Return the INSERT of one row that gives it back."""
        shape = ("insert", columns, conflict)
        found: str | None = self._cache.get(shape)
        return found or self._cached(shape, lambda: self.insert_many(columns, 1, conflict, True))

    def upsert(self, columns: tuple[str, ...], asked: Any, make_conflict: Callable[[], Conflict]) -> str:
        """Return the INSERT of one row that updates the one in its place, and gives it back.

        Args:
            columns: the columns of the row.
            asked: what decides about the rule for the row in its place.
            make_conflict: makes the rule; called once for each ``asked``.
        """
        shape = ("upsert", columns, asked)
        try:
            found: str | None = self._cache.get(shape)
        except TypeError:  # names that are none, which the rule refuses
            return self.insert(columns, make_conflict())
        return found or self._cached(shape, lambda: self.insert(columns, make_conflict()))

    def insert_many(self, columns: tuple[str, ...], rows: int, conflict: Conflict | None, returning: bool) -> str:
        """Return the INSERT of several rows."""
        return self._cached(
            ("insert", columns, rows, conflict, returning),
            lambda: self._render(
                Query(
                    "insert",
                    self.table.name,
                    insert_columns=columns,
                    rows=rows,
                    conflict=conflict,
                    returning=self.table.column_names if returning else (),
                )
            ),
        )

    def insert_from_arrays(self, columns: tuple[str, ...], conflict: Conflict | None, returning: bool) -> str:
        """Return PostgreSQL's INSERT of rows that come as one array for each column."""
        return self._cached(
            ("insert from arrays", columns, conflict, returning),
            lambda: self._render(
                Query(
                    "insert",
                    self.table.name,
                    insert_columns=columns,
                    array_types=tuple(_array_type(field) for field in self.table.fields(columns)),
                    conflict=conflict,
                    returning=self.table.column_names if returning else (),
                )
            ),
        )

    def copy(self, columns: tuple[str, ...]) -> str:
        """Return PostgreSQL's COPY of rows in text format."""
        quote = self._dialect.quote
        return f"COPY {quote(self.table.name)} ({', '.join([quote(name) for name in columns])}) FROM STDIN"

    def update(self, columns: tuple[str, ...], conditions: Shape) -> str:
        """Return the UPDATE that gives the rows back."""
        shape = ("update", columns, conditions)
        found: str | None = self._cache.get(shape)
        return found or self._cached(
            shape,
            lambda: self._render(
                Query(
                    "update",
                    self.table.name,
                    update_columns=columns,
                    conditions=_group(conditions),
                    returning=self.table.column_names,
                )
            ),
        )

    def delete(self, conditions: Shape) -> str:
        """Return the DELETE."""
        return self._cached(
            ("delete", conditions),
            lambda: self._render(Query("delete", self.table.name, conditions=_group(conditions))),
        )

    def _qualified(self) -> tuple[str, ...]:
        return tuple(f"{self.table.name}.{name}" for name in self.table.column_names)

    def _ranked(self, query: Query, key: str, order: Order, limit: int) -> str:
        """Return the SELECT of the first rows, in an order, for each key of a query, with the key in a last column."""
        quote = self._dialect.quote
        key_sql = ".".join([quote(part) for part in key.split(".")])
        window = f"PARTITION BY {key_sql}{self._ordered(order, quote(self.table.name) + '.')}"
        position = raw(f"ROW_NUMBER() OVER ({window}) AS cloudpub_position")
        key_item = raw(f"{key_sql} AS cloudpub_key")
        inner = self._render(query.changed(columns=(*self._qualified(), key_item, position)))
        columns = ", ".join([*[quote(name) for name in self.table.column_names], "cloudpub_key"])
        return (
            f"SELECT {columns} FROM ({inner}) AS ranked"  # noqa: S608 - made of quoted names and a number
            f" WHERE cloudpub_position <= {limit}{self._ordered(order)}"
        )

    def _render(self, query: Query) -> str:
        from cloudpub_models.sql.render.writer import render

        text = parse(render(query, self._dialect), self._dialect).driver_text
        # In an expression of Peewee's it may be the type of a value that decides what an operator means.
        compared = all(map(self._is_preparable, query.conditions.items))
        preparable = self._dialect is POSTGRESQL and compared and not query.array_types
        return PreparableSql(text) if preparable else text

    def _is_preparable(self, item: tuple[Connector, Condition]) -> bool:
        condition = item[1]
        if not isinstance(condition, Comparison):
            return False
        column = self.table.columns.get(str(condition.column).rpartition(".")[2])
        return column is None or column.is_preparable

    def _loader(self, names: Sequence[str], *, partial: bool) -> Loader[M]:
        return make_loader(self._model, self.table.fields(names), self._dialect.name, partial=partial)

    def _cached(self, shape: Any, make: Callable[[], T]) -> T:
        found: T | None = self._cache.get(shape)
        if found is None:
            found = make()
            self._cached_text += len(getattr(found, "sql", found))  # type: ignore[arg-type]
            if len(self._cache) >= _LARGEST_CACHE or self._cached_text > _MOST_CACHED_TEXT:
                self._cache.clear()
                self._cached_text = 0
            self._cache[shape] = found
        return found


def _group(shape: Shape) -> Group:
    return Group.all(*[Comparison(*part) if isinstance(part, tuple) else part for part in shape])


def _array_type(field: peewee.Field[Any]) -> str:
    """Return the PostgreSQL type for the elements of an array of a column's values.

    Without its length: a cast to ``varchar(3)`` would cut longer texts instead of refusing them.
    """
    target = field.rel_field if isinstance(field, peewee.ForeignKeyField) else field
    if isinstance(target, peewee.CharField | peewee.TextField):
        return "text"
    name: str = peewee.PostgresqlDatabase.field_types.get(target.field_type, target.field_type)
    return {"SERIAL": "integer", "BIGSERIAL": "bigint", "INT": "integer"}.get(name, name.lower())
