"""The SQL of a manager's calls, by shape: rendered once for each combination of clauses and columns, then looked up.

A shape holds no values, so that the number of statements stays as small as the program's number of different calls.
The text comes from the renderer that the query builder uses too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import peewee

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.loading import Loader, make_loader
from cloudpub_models.manager.ordering import Order
from cloudpub_models.manager.table import Table
from cloudpub_models.sql import PARAMETER, Conflict, Dialect, Join, OrderBy, Query, render
from cloudpub_models.sql.conditions import Comparison, Condition, Group
from cloudpub_models.sql.parameters import driver_text

M = TypeVar("M", bound=peewee.Model)
T = TypeVar("T")

Shape = tuple[Condition, ...]

# Every column list and condition that a program writes down is a shape; a program that computes them has to stay bounded.
_LARGEST_CACHE = 4096


@dataclass(frozen=True)
class Select(Generic[M]):
    """A SELECT in the driver's notation, and what makes instances of its rows."""

    sql: str
    load: Loader[M]


@dataclass(frozen=True)
class ConflictRule:
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
                raise InvalidQueryError(f"expected a value for {name!r}, which decides about or takes part in the update; got none")
        # With nothing to update the row still has to come back, so one column is set to the value that it has.
        return Conflict(self.columns, "update", tuple(chosen) or self.columns[:1])


class Statements(Generic[M]):
    """The statements of one table on one dialect."""

    def __init__(self, model: type[M], table: Table, dialect: Dialect) -> None:
        self._model = model
        self.table = table
        self._dialect = dialect
        self._cache: dict[Any, Any] = {}
        self.load: Loader[M] = self._loader(table.column_names, partial=False)

    def select(
        self,
        conditions: Shape,
        *,
        columns: tuple[str, ...] | None = None,
        order: Order = (),
        limit: bool = False,
        offset: bool = False,
    ) -> Select[M]:
        """Return the SELECT of some columns (all, when left out), with a parameter for limit and offset."""

        def make() -> Select[M]:
            names = self.table.column_names if columns is None else columns
            sql = self._render(
                Query(
                    "select",
                    self.table.name,
                    columns=names,
                    conditions=Group.all(*conditions),
                    order_by=tuple(OrderBy(name, direction) for name, direction in order),
                    limit=PARAMETER if limit else None,
                    offset=PARAMETER if offset else None,
                )
            )
            whole = set(names) == set(self.table.column_names)
            return Select(sql, self.load if columns is None else self._loader(names, partial=not whole))

        return self._cached(("select", conditions, columns, order, limit, offset), make)

    def select_connected(
        self, pivot: str, near: str, far: tuple[str, str], order: Order, limit: bool
    ) -> Select[M]:
        """Return the SELECT of the rows that a table in between connects with one row of another.

        Args:
            pivot: the table in between.
            near: its column that is compared with the parameter.
            far: its column that refers to this table, and this table's column that it refers to.
            order: columns of this table.
            limit: whether there is a parameter for it.
        """

        def make() -> Select[M]:
            own = self.table.name
            sql = self._render(
                Query(
                    "select",
                    own,
                    columns=tuple(f"{own}.{name}" for name in self.table.column_names),
                    joins=(Join("INNER", pivot, None, ((f"{pivot}.{far[0]}", f"{own}.{far[1]}"),)),),
                    conditions=Group.all(Comparison(f"{pivot}.{near}", "=")),
                    order_by=tuple(OrderBy(f"{own}.{name}", direction) for name, direction in order),
                    limit=PARAMETER if limit else None,
                )
            )
            return Select(sql, self.load)

        return self._cached(("select connected", pivot, near, far, order, limit), make)

    def select_nothing(self, kind: Literal["count", "exists"], conditions: Shape) -> str:
        """Return the SELECT that counts the rows, or that gives a row where there is any, but none of its columns."""
        return self._cached(
            (kind, conditions), lambda: self._render(Query(kind, self.table.name, conditions=Group.all(*conditions)))
        )

    def insert(self, columns: tuple[str, ...], conflict: Conflict | None) -> str:
        """Return the INSERT of one row that gives it back."""
        return self.insert_many(columns, 1, conflict, True)

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
        return self._cached(
            ("update", columns, conditions),
            lambda: self._render(
                Query(
                    "update",
                    self.table.name,
                    update_columns=columns,
                    conditions=Group.all(*conditions),
                    returning=self.table.column_names,
                )
            ),
        )

    def delete(self, conditions: Shape) -> str:
        """Return the DELETE."""
        return self._cached(
            ("delete", conditions),
            lambda: self._render(Query("delete", self.table.name, conditions=Group.all(*conditions))),
        )

    def _render(self, query: Query) -> str:
        return driver_text(render(query, self._dialect), self._dialect)[0]

    def _loader(self, names: Sequence[str], *, partial: bool) -> Loader[M]:
        return make_loader(self._model, self.table.fields(names), self._dialect.name, partial=partial)

    def _cached(self, shape: Any, make: Callable[[], T]) -> T:
        found: T | None = self._cache.get(shape)
        if found is None:
            if len(self._cache) >= _LARGEST_CACHE:
                self._cache.clear()
            found = self._cache[shape] = make()
        return found


def _array_type(field: peewee.Field[Any]) -> str:
    """Return the PostgreSQL type for the elements of an array of a column's values.

    Without its length: a cast to ``varchar(3)`` would cut longer texts instead of refusing them.
    """
    target = field.rel_field if isinstance(field, peewee.ForeignKeyField) else field
    if isinstance(target, peewee.CharField | peewee.TextField):
        return "text"
    name = peewee.PostgresqlDatabase.field_types.get(target.field_type, target.field_type)
    return {"SERIAL": "integer", "BIGSERIAL": "bigint", "INT": "integer"}.get(name, name.lower())
