"""The SQL of a manager's calls, by shape: rendered once for each combination of clauses and columns, then looked up.

A shape holds no values, so that the number of statements stays as small as the program's number of different calls.
The text comes from the renderer that the query builder uses too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import peewee

from cloudpub_models.entity.binding import unconnected
from cloudpub_models.entity.origin import Origin
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.arguments.aggregates import (
    AggregateOrder,
    HavingShape,
    Summary,
    having_nodes,
    result_order_nodes,
)
from cloudpub_models.manager.arguments.dotted import related_column
from cloudpub_models.manager.arguments.order import Order, order_nodes, related_value
from cloudpub_models.manager.arguments.shape import Shape, group_of
from cloudpub_models.manager.columns.decoding import decoder_for
from cloudpub_models.manager.columns.encoding import Encoder
from cloudpub_models.manager.columns.table import Table, models_by_table, table_of
from cloudpub_models.manager.rows.instances import Loader, make_loader
from cloudpub_models.manager.rows.kept import loader_of_kept
from cloudpub_models.manager.rows.values import ReadValues, make_values_reader
from cloudpub_models.sql import PARAMETER, POSTGRESQL, Conflict, Dialect, Join, Query
from cloudpub_models.sql.dialects import ComparedKind, Lock
from cloudpub_models.sql.nodes.conditions import Comparison, During, Group, RawCondition
from cloudpub_models.sql.nodes.expressions import Assignment, Column
from cloudpub_models.sql.nodes.query import FirstOfEach, Kind
from cloudpub_models.sql.operators import Aggregate
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.statement import LookupSql, PreparableSql

M = TypeVar("M", bound=peewee.Model)


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
    """A ``Request`` for rows, and what makes instances of them."""

    sql: str
    load: Loader[M]
    writes: bool
    tables: tuple[str, ...]


class Lookup(NamedTuple, Generic[M]):
    """A ``Select`` by one column's value.

    Attributes:
        encode: how the value is encoded.
        sql: as for ``Select``.
        load: as for ``Select``.
        writes: as for ``Select``.
        tables: as for ``Select``.
        key_position: where the primary key stands in a row, if the value tells one row apart, and a number that key.
    """

    encode: Encoder
    sql: str
    load: Loader[M]
    writes: bool
    tables: tuple[str, ...]
    key_position: int | None


class SelectValues(NamedTuple):
    """A ``Request`` for values, and what reads them."""

    sql: str
    read: ReadValues
    writes: bool
    tables: tuple[str, ...]


class Upsert(NamedTuple):
    """A ``Request`` that inserts a row or updates the one in its place.

    Attributes:
        conflict: what decides which row that is, and what is updated in it.
        decides_alone: whether the unique index finds that row, as long as none of its columns is NULL.
    """

    sql: str
    writes: bool
    tables: tuple[str, ...]
    conflict: Conflict
    decides_alone: bool


class ConflictRule(NamedTuple):
    """What an insert does with rows that exist already, before it is known which columns it names.

    Attributes:
        action: ``"ignore"`` or ``"update"``.
        columns: the columns of the unique constraint; none for any constraint.
        update_columns: what to update; ``None`` for every column given that is not of the constraint.
        touched: the columns that every update sets.
        where: the WHERE of the unique index over ``columns``, where it has one.
    """

    action: Literal["ignore", "update"]
    columns: tuple[str, ...]
    update_columns: tuple[str, ...] | None
    touched: tuple[str, ...]
    where: RawCondition | None

    @classmethod
    def of(
        cls,
        table: Table,
        dialect: Dialect,
        action: Literal["ignore", "update"],
        conflict_columns: Sequence[str],
        update_columns: Sequence[str] | None,
    ) -> ConflictRule:
        """Return the rule that a caller has asked for.

        Raises:
            UnknownColumnError: a name is no column.
            InvalidQueryError: the arguments are no lists of names, or name none where some are needed.
        """
        needed = bool(conflict_columns) or action == "update"
        columns = table.named(conflict_columns, "conflict_columns") if needed else ()
        return cls(
            action,
            columns,
            update_columns if update_columns is None else table.named(update_columns, "update_columns"),
            tuple(name for name, _ in table.touched),
            table.unique_index(columns, dialect),
        )

    def for_columns(self, given: Sequence[str], conditions: Shape = ()) -> Conflict:
        """Return the rule for an insert that names these columns.

        Args:
            given: the columns.
            conditions: what the row that is there has to meet to be updated.

        Raises:
            InvalidQueryError: a column that is to be updated is not given.
        """
        if self.action == "ignore":
            return Conflict(self.columns, "ignore", where=self.where)
        chosen = [name for name in given if name not in self.columns]
        if self.update_columns is not None:
            chosen = [*self.update_columns, *(name for name in self.touched if name not in self.update_columns)]
        for name in (*self.columns, *chosen):
            if name not in given:
                raise InvalidQueryError(
                    f"expected a value for {name!r}, which decides about or takes part in the update; got none"
                )
        # With nothing to update the row still has to come back, so one column is set to the value that it has.
        changed = tuple(chosen) or self.columns[:1]
        return Conflict(self.columns, "update", changed, group_of(conditions), self.where)


class Statements(Generic[M]):
    """The statements of one table on one dialect.

    Each is made when its shape is first asked for, and remembered.

    Args:
        model: the class of the rows.
        table: the table.
        dialect: the dialect.
        origin: where the rows are from, if not from the default database.
        keeps_rows: whether rows that were looked up may come from memory.

    Attributes:
        lookups: the SELECT of a row by one column, by the column's name; ``lookup`` makes it.
        counts: the SELECT that counts the rows, by what they have to meet.
        existences: the SELECT that gives a row of no columns where there is any, by what it has to meet.
    """

    def __init__(
        self,
        model: type[M],
        table: Table,
        dialect: Dialect,
        origin: Origin | None = None,
        *,
        keeps_rows: bool = False,
    ) -> None:
        self._model = model
        self.table = table
        self._dialect = dialect
        self._origin = origin
        self._columns = {name: Column(None, name) for name in table.column_names}
        self._all_columns = tuple(self._columns.values())
        self.load: Loader[M] = self._loader(table.column_names, partial=False)
        self._load_looked_up = loader_of_kept(model, self.load, origin) if keeps_rows else self.load
        self.lookups: dict[str, Lookup[M]] = {}
        self.counts = Remembered(partial(self._make_select_of_nothing, "count"), _length)
        self.existences = Remembered(partial(self._make_select_of_nothing, "exists"), _length)
        self._selects = Remembered(self._make_select, _length)
        self._selects_held = Remembered(self._make_select_held, _length)
        self._keys_held = Remembered(self._make_keys_held, _length)
        self._selects_during = Remembered(self._make_select_during, _length)
        self._selects_for_each = Remembered(self._make_select_for_each, _length)
        self._selects_connected = Remembered(self._make_select_connected, _length)
        self._selects_of_values = Remembered(self._make_select_of_values, _length)
        self._summaries = Remembered(self._make_summary)
        self._aggregates = Remembered(self._make_aggregate, _length)
        self._inserts = Remembered(self._make_insert, _length)
        self._inserts_from_arrays = Remembered(self._make_insert_from_arrays, _length)
        self._upserts = Remembered(self._make_upsert, _length)
        self._updates = Remembered(self._make_update, _length)
        self._deletes = Remembered(self._make_delete, _length)
        self._deletes_of_first = Remembered(self._make_delete_first, _length)

    def lookup(self, name: str) -> Lookup[M]:
        """Return the SELECT of the row with a value in a column, and keep it in ``lookups`` under this name."""
        column = self.table.column(name)
        key_position = self.table.key_position if column.is_unique else None
        made = self.select(((column.name, "="),))
        made = made._replace(sql=self._lookup_sql(column.name, made.sql), load=self._load_looked_up)
        found = self.lookups[name] = Lookup(column.encode, *made, key_position)
        return found

    def select(
        self,
        conditions: Shape,
        *,
        columns: tuple[str, ...] | None = None,
        order: Order = (),
        limit: bool = False,
        offset: bool = False,
        lock: Lock | None = None,
    ) -> Select[M]:
        """Return the SELECT of some columns (all, when left out), with a parameter for limit and offset.

        Args:
            conditions: what every row has to meet.
            columns: the columns.
            order: in which order the rows come.
            limit: whether there is a largest number of rows.
            offset: whether rows are skipped.
            lock: how the rows are locked.
        """
        return self._selects[conditions, columns, order, limit, offset, lock]

    def select_held(self, name: str, held: Shape, columns: tuple[str, ...] | None = None) -> Select[M]:
        """Return the SELECT of the row with a value in a column, if it meets the conditions of a scope as well.

        Args:
            name: the column.
            held: the scope's conditions.
            columns: the columns that are selected; all, when left out.
        """
        return self._selects_held[name, held, columns]

    def _make_select_held(self, name: str, held: Shape, columns: tuple[str, ...] | None) -> Select[M]:
        made = self.select(((name, "="), *held), columns=columns)
        return made._replace(sql=self._lookup_sql(name, made.sql))

    def select_during(self, days: During, conditions: Shape, order: Order) -> Select[M]:
        """Return the SELECT of the first rows of some days, with a parameter for how many.

        Args:
            days: when the rows are of.
            conditions: what every row has to meet.
            order: in which order the rows come, one that an index has.
        """
        return self._selects_during[days, conditions, order]

    def _make_select_during(self, days: During, conditions: Shape, order: Order) -> Select[M]:
        made = self.select((*conditions, days), order=order, limit=True)
        if not isinstance(made.sql, PreparableSql):
            return made
        # Rows may be moved to another partition while it waits.
        return made._replace(sql=LookupSql(made.sql, [self._dialect.quote(table) for table in made.tables]))

    def _make_select(
        self,
        conditions: Shape,
        columns: tuple[str, ...] | None,
        order: Order,
        limit: bool,
        offset: bool,
        lock: Lock | None,
    ) -> Select[M]:
        request = self._request(
            "select",
            columns=self._all_columns if columns is None else tuple([self._columns[name] for name in columns]),
            conditions=group_of(conditions),
            order_by=order_nodes(order, self.table),
            limit=PARAMETER if limit else None,
            offset=PARAMETER if offset else None,
            lock=lock,
        )
        return self._rows_of(columns, request)

    def select_for_each(self, column: str, order: Order, limit: int, conditions: Shape = ()) -> Select[M]:
        """Return the SELECT of at most ``limit`` rows for each of the values that its first parameter lists.

        The rows of each value are looked up one value at a time, so that no more of them are read than are wanted.

        Args:
            column: the column that has the values.
            order: which rows are the first.
            limit: how many rows for each value at most.
            conditions: what every row has to meet.
        """
        return self._selects_for_each[column, order, limit, conditions]

    def _make_select_for_each(self, column: str, order: Order, limit: int, conditions: Shape) -> Select[M]:
        request = self._request(
            "select",
            columns=self._all_columns,
            conditions=group_of(conditions),
            order_by=order_nodes(order, self.table),
            first_of_each=self._first_of_each(self._columns[column], self.table.columns[column].field, limit),
        )
        return self._rows_of(None, request)

    def select_connected(
        self,
        near: peewee.ForeignKeyField[Any],
        far: peewee.ForeignKeyField[Any],
        order: Order,
        limit: int | None,
        conditions: Shape = (),
        columns: tuple[str, ...] | None = None,
    ) -> Select[M]:
        """Return the SELECT of the rows that a table in between connects with others, their keys in a last column.

        Args:
            near: the key of the table in between that refers to the others; the first parameter lists their keys.
            far: its key that refers to this table.
            order: columns of this table.
            limit: how many rows for each key at most.
            conditions: what every row has to meet; a column without a table is this table's.
            columns: the columns of this table; all, when left out.
        """
        # Fields themselves are no keys: to compare two of them makes an expression.
        return self._selects_connected[near.model, near.name, far.name, order, limit, conditions, columns]

    def _make_select_connected(
        self,
        pivot: type[peewee.Model],
        near_name: str,
        far_name: str,
        order: Order,
        limit: int | None,
        conditions: Shape,
        columns: tuple[str, ...] | None,
    ) -> Select[M]:
        near, far = pivot._meta.fields[near_name], pivot._meta.fields[far_name]
        between, own = table_of(pivot).node, self.table.node.known_as
        key = Column(between.known_as, near.column_name)
        pair = Column(between.known_as, far.column_name), Column(own, far.rel_field.column_name)
        held = group_of(conditions, own)
        request = self._request(
            "select",
            columns=(*[Column(own, name) for name in (self._columns if columns is None else columns)], key),
            joins=(Join("INNER", between, (pair,)),),
            conditions=held if limit is not None else Group((("AND", Comparison(key, "IN")), *held.items)),
            order_by=order_nodes(order, self.table, own),
            first_of_each=None if limit is None else self._first_of_each(key, near, limit),
        )
        return self._rows_of(columns, request)

    def _make_select_of_nothing(self, kind: Literal["count", "exists"], conditions: Shape) -> Request:
        return self._request(kind, conditions=group_of(conditions))

    def values(
        self,
        conditions: Shape,
        keys: tuple[str, ...],
        *,
        alone: bool,
        order: Order = (),
        limit: bool = False,
        offset: bool = False,
        distinct: bool = False,
    ) -> SelectValues:
        """Return the SELECT of the values of some columns.

        Args:
            conditions: what every row has to meet.
            keys: the columns, dotted ones too.
            alone: whether it is one, whose values are no tuples.
            order: in which order they come.
            limit: whether there is a largest number.
            offset: whether some are skipped.
            distinct: whether equal ones come once.
        """
        return self._selects_of_values[conditions, keys, alone, order, limit, offset, distinct]

    def _make_select_of_values(
        self,
        conditions: Shape,
        keys: tuple[str, ...],
        alone: bool,
        order: Order,
        limit: bool,
        offset: bool,
        distinct: bool,
    ) -> SelectValues:
        # A bare name in ORDER BY would mean the column of that name of a related row, where one is selected.
        own = self.table.node.known_as if any("." in key for key in keys) else None
        request = self._request(
            "select",
            columns=tuple([related_value(self._model, key) for key in keys]),
            distinct=distinct,
            conditions=group_of(conditions),
            order_by=order_nodes(order, self.table, own),
            limit=PARAMETER if limit else None,
            offset=PARAMETER if offset else None,
        )
        decoders = [decoder_for(related_column(self._model, key).column.field, self._dialect) for key in keys]
        read = make_values_reader(decoders, alone=alone)
        return SelectValues(request.sql, read, request.writes, request.tables)

    def keys_held(self, name: str, held: Shape) -> SelectValues:
        """Return the SELECT of the primary key, a single column, of the row that ``select_held`` finds."""
        return self._keys_held[name, held]

    def _make_keys_held(self, name: str, held: Shape) -> SelectValues:
        made = self.values(((name, "="), *held), self.table.key_names, alone=True)
        return made._replace(sql=self._lookup_sql(name, made.sql))

    def _lookup_sql(self, name: str, sql: str) -> str:
        """Return the text of a SELECT by a column's value, marked where it finds one row at most."""
        one = self.table.columns[name].is_unique
        return LookupSql(sql) if one and isinstance(sql, PreparableSql) else sql

    def summary(self, keys: tuple[str, ...], aggregates: tuple[tuple[str, Aggregate], ...]) -> Summary:
        """Return what is selected for aggregates by groups, and what reads it.

        Args:
            keys: the columns that rows are grouped by.
            aggregates: the name of each result, and what it is.
        """
        try:
            return self._summaries[keys, aggregates]
        except TypeError:  # what is none, and is refused
            return self._make_summary(keys, aggregates)

    def _make_summary(self, keys: tuple[str, ...], aggregates: tuple[tuple[str, Aggregate], ...]) -> Summary:
        return Summary.of(keys, aggregates, self.table, self._dialect)

    def aggregate(
        self,
        conditions: Shape,
        summary: Summary,
        *,
        having: HavingShape = (),
        order: AggregateOrder = (),
        limit: bool = False,
        offset: bool = False,
    ) -> Request:
        """Return the SELECT of aggregates.

        Args:
            conditions: what every row has to meet.
            summary: what is selected, and by which groups.
            having: what every group has to meet.
            order: in which order they come.
            limit: whether there is a largest number of groups.
            offset: whether groups are skipped.
        """
        return self._aggregates[conditions, summary.keys, summary.aggregates, having, order, limit, offset]

    def _make_aggregate(
        self,
        conditions: Shape,
        keys: tuple[str, ...],
        aggregates: tuple[tuple[str, Aggregate], ...],
        having: HavingShape,
        order: AggregateOrder,
        limit: bool,
        offset: bool,
    ) -> Request:
        results = self.summary(keys, aggregates).results
        return self._request(
            "select",
            columns=tuple([item for result in results.values() for item in result.items]),
            conditions=group_of(conditions),
            group_by=tuple([results[key].compared for key in keys]),
            having=having_nodes(having, results),
            order_by=result_order_nodes(order, results),
            limit=PARAMETER if limit else None,
            offset=PARAMETER if offset else None,
        )

    def insert(self, columns: tuple[str, ...], conflict: Conflict | None) -> Request:
        """Return the INSERT of one row that gives it back."""
        return self._inserts[columns, 1, conflict, True]

    def insert_many(self, columns: tuple[str, ...], rows: int, conflict: Conflict | None, returning: bool) -> Request:
        """Return the INSERT of several rows."""
        return self._inserts[columns, rows, conflict, returning]

    def _make_insert(self, columns: tuple[str, ...], rows: int, conflict: Conflict | None, returning: bool) -> Request:
        return self._request(
            "insert",
            insert_columns=columns,
            rows=rows,
            conflict=conflict,
            returning=self._all_columns if returning else (),
        )

    def insert_from_arrays(self, columns: tuple[str, ...], conflict: Conflict | None, returning: bool) -> Request:
        """Return PostgreSQL's INSERT of rows that come as one array for each column."""
        return self._inserts_from_arrays[columns, conflict, returning]

    def _make_insert_from_arrays(self, columns: tuple[str, ...], conflict: Conflict | None, returning: bool) -> Request:
        return self._request(
            "insert",
            insert_columns=columns,
            array_types=tuple([_array_type(field) for field in self.table.fields(columns)]),
            conflict=conflict,
            returning=self._all_columns if returning else (),
        )

    def upsert(
        self,
        columns: tuple[str, ...],
        given: tuple[str, ...],
        conflict_columns: Sequence[str],
        update_columns: Sequence[str] | None,
        conditions: Shape = (),
    ) -> Upsert:
        """Return the INSERT of one row that updates the one in its place, and gives it back.

        Args:
            columns: the columns of the row.
            given: those of them that the caller has named, and that every update sets.
            conflict_columns: the columns of a unique constraint.
            update_columns: what to update; all other columns given when left out.
            conditions: what the row in its place has to meet.

        Raises:
            UnknownColumnError: a name is no column.
            InvalidQueryError: a column is to be updated that is not given, or names are none.
            InvalidValueError: a column of the constraint is not given.
        """
        shape = columns, given, _fixed(conflict_columns), _fixed(update_columns), conditions
        try:
            return self._upserts[shape]
        except TypeError:  # names that are none, which the rule refuses
            return self._make_upsert(*shape)

    def _make_upsert(
        self,
        columns: tuple[str, ...],
        given: tuple[str, ...],
        conflict_columns: Sequence[str],
        update_columns: Sequence[str] | None,
        conditions: Shape,
    ) -> Upsert:
        rule = ConflictRule.of(self.table, self._dialect, "update", conflict_columns, update_columns)
        self.table.require(rule.columns, given)
        conflict = rule.for_columns(given, conditions)
        request = self._make_insert(columns, 1, conflict, True)
        return Upsert(*request, conflict, self.table.tells_apart(rule.columns, self._dialect))

    def copy(self, columns: tuple[str, ...]) -> Request:
        """Return PostgreSQL's COPY of rows in text format."""
        return self._request("copy", insert_columns=columns)

    def update(self, columns: tuple[str | Assignment, ...], conditions: Shape) -> Request:
        """Return the UPDATE that gives the rows back."""
        return self._updates[columns, conditions]

    def _make_update(self, columns: tuple[str | Assignment, ...], conditions: Shape) -> Request:
        return self._request(
            "update", update_columns=columns, conditions=group_of(conditions), returning=self._all_columns
        )

    def delete(self, conditions: Shape) -> Request:
        """Return the DELETE."""
        return self._deletes[(conditions,)]

    def _make_delete(self, conditions: Shape) -> Request:
        return self._request("delete", conditions=group_of(conditions))

    def delete_first(self, conditions: Shape, order: Order, columns: tuple[str, ...], partitioned: bool) -> Select[M]:
        """Return the DELETE of the first rows in an order that nobody else has locked; it gives some columns back.

        Behind the conditions' parameters comes how many, and for a partitioned table those of the conditions again.
        """
        return self._deletes_of_first[conditions, order, columns, partitioned]

    def _make_delete_first(
        self, conditions: Shape, order: Order, columns: tuple[str, ...], partitioned: bool
    ) -> Select[M]:
        (key,) = self.table.key_names
        request = self._request(
            "delete",
            conditions=group_of(conditions),
            order_by=order_nodes(order, self.table),
            limit=PARAMETER,
            lock="FOR UPDATE SKIP LOCKED",
            key=key,
            beside_key=group_of(conditions if partitioned else ()),
            returning=tuple([self._columns[name] for name in columns]),
        )
        return self._rows_of(columns, request)

    def _first_of_each(self, column: Column, field: peewee.Field[Any], limit: int) -> FirstOfEach:
        names = self.table.key_names
        nullable = any(self.table.columns[name].field.null for name in names)
        return FirstOfEach(column, limit, _array_type(field), () if nullable else names)

    def _request(self, kind: Kind, **clauses: Any) -> Request:
        from cloudpub_models.sql.render.writer import write

        written = write(
            Query(kind, self.table.node, **clauses), self._dialect, lambda column: compared_as(column, self.table)
        )
        sql = written.driver_text
        # In an expression of Peewee's it may be the type of a value that decides what an operator means.
        if self._dialect.prepared_statements and written.compared is not None and written.shows_nothing:
            sql = PreparableSql(sql)
        return Request(sql, written.writes, written.tables)

    def _rows_of(self, columns: tuple[str, ...] | None, request: Request) -> Select[M]:
        """Return a request for some columns, or all, with what makes instances of them."""
        load = self.load
        if columns is not None:
            load = self._loader(columns, partial=set(columns) != set(self.table.column_names))
        return Select(request.sql, load, request.writes, request.tables)

    def _loader(self, names: Sequence[str], *, partial: bool) -> Loader[M]:
        fields = self.table.fields(names)
        return make_loader(self._model, fields, self._dialect, partial=partial, origin=self._origin)


def compared_as(column: Column, table: Table) -> ComparedKind | None:
    """Return how values of a column compare, which is one of a statement's own table or of one related to it."""
    if column.table not in (None, table.node.known_as):
        related = models_by_table(table.model, ()).get(str(column.table))
        if related is None:
            return None
        table = table_of(related)
    return table.columns[column.name].compared_as if column.name in table.columns else None


def _length(made: Request | SelectValues | Select[Any] | Upsert) -> int:
    return len(made.sql)


def _fixed(names: Any) -> Any:
    return tuple(names) if type(names) is list else names


def _array_type(field: peewee.Field[Any]) -> str:
    """Return the PostgreSQL type for the elements of an array of a column's values.

    Without its length: a cast to ``varchar(3)`` would cut longer texts instead of refusing them.
    """
    target = field.rel_field if isinstance(field, peewee.ForeignKeyField) else field
    declared = target.ddl_datatype(unconnected(POSTGRESQL).get_sql_context())
    name = re.sub(r"\(.*", "", declared.sql).strip().lower()
    return {"serial": "integer", "bigserial": "bigint", "varchar": "text", "char": "text"}.get(name, name)
