"""A statement as data: ``Query``, frozen and hashable, without the values of its parameters.

For: describing what the builder and the managers want, so that one writer writes it and its SQL can be kept by
shape.

Not for: SQL (``render``) and values (they travel beside, in the order of rendering).
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from cloudpub_models.sql.dialects import Lock
from cloudpub_models.sql.nodes.conditions import NO_CONDITIONS, Comparison, Group, RawCondition
from cloudpub_models.sql.nodes.expressions import Assignment, Column, Expression, Having, NamedTable, Raw
from cloudpub_models.sql.records import Record

Kind: TypeAlias = Literal["select", "count", "exists", "insert", "update", "delete", "copy"]
JOIN_TYPES = ("INNER", "LEFT", "RIGHT", "FULL")


class Parameter:
    """The type of ``PARAMETER``."""

    def __repr__(self) -> str:
        return "PARAMETER"


# As `limit` or `offset`: the number is a parameter, so that the statement's text does not depend on it.
PARAMETER: Final = Parameter()

Count: TypeAlias = int | Parameter | None


class Join(Record):
    """A joined table.

    Attributes:
        kind: one of ``JOIN_TYPES``.
        table: the table.
        on: pairs of columns that are equal.
        conditions: what else its rows have to meet to be joined.
    """

    kind: str
    table: NamedTable | Raw
    on: tuple[tuple[Column | Raw, Column | Raw], ...]
    conditions: Group = NO_CONDITIONS


class OrderBy(Record):
    """One item of ORDER BY. Without ``nulls``, NULLs stand on both databases where PostgreSQL puts them.

    A comparison has the rows of which it is true behind the others.

    A column that is never NULL is better said to be not ``nullable``: where SQLite is told where to put its NULLs, it
    sorts what an index on several columns has in order already.
    """

    item: Expression | Comparison
    direction: str = "ASC"
    nulls: str | None = None
    nullable: bool = True


class FirstOfEach(Record):
    """That a select gives the first rows for each of many values of a column, which its first parameter lists.

    Attributes:
        column: the column.
        limit: how many rows for each value at most.
        array_type: the type of the column's values in an array (PostgreSQL).
        key: columns that tell the rows of the query's own table apart, none of them ever NULL; or none at all.
    """

    column: Column
    limit: int
    array_type: str
    key: tuple[str, ...] = ()


class Conflict(Record):
    """What an insert does where the row is there already.

    Attributes:
        columns: those of the unique constraint; for ``"ignore"`` there may be none, which means any constraint.
        action: ``"ignore"`` keeps the row that is there, ``"update"`` sets ``update_columns`` to the new values.
        update_columns: for ``"update"``.
        conditions: what the row that is there has to meet to be updated; its columns are those of that row.
        where: the WHERE of the unique index that is meant, where it has one.
        assignments: what else the row that is there is set to; their columns are those of that row too.
    """

    columns: tuple[str, ...]
    action: Literal["ignore", "update"]
    update_columns: tuple[str, ...] = ()
    conditions: Group = NO_CONDITIONS
    where: RawCondition | None = None
    assignments: tuple[Assignment, ...] = ()


class Query(Record):
    """A statement without its values.

    The values belong to the parameters in this order: the list of ``first_of_each``; those of an insert row by row, or
    of ``update_columns``; those of the assignments and of the conditions of ``conflict``; of ``joins``; of the query's
    conditions, of ``having`` and of ``order_by``; ``limit`` and ``offset`` where they are ``PARAMETER``.

    Attributes:
        kind: which statement; ``"count"`` counts the rows that the select would give without ``limit`` and ``offset``,
            ``"exists"`` selects a 1 where there is a row, ``"copy"`` takes rows of ``insert_columns`` from a stream
            (PostgreSQL).
        table: the table, or SQL that stands for one (not when writing).
        columns: of a select. None mean all (``*``).
        distinct: whether equal rows are given once.
        joins: in order.
        conditions: the WHERE clause.
        group_by: in order.
        having: conditions joined by AND.
        order_by: in order.
        limit: the largest number of rows, or ``PARAMETER``.
        offset: the number of rows to pass over, or ``PARAMETER``.
        first_of_each: the rows wanted are the first for each value of a column; ``columns`` and ``order_by`` are
            columns.
        lock: how the rows are locked that a select gives, or a delete with a limit chooses.
        key: of a delete with a limit, the column by which the rows are told apart: it deletes the first of them.
        beside_key: what else such rows meet, where the key does not say in which partition of the table one is.
        insert_columns: of an insert; none means one row of defaults.
        rows: how many rows an insert has.
        array_types: the type of each column of an insert whose rows come as one array for each column (PostgreSQL).
        update_columns: of an update; an assignment sets a column to something else than a parameter.
        conflict: of an insert.
        returning: the columns that a writing statement gives back.
    """

    kind: Kind
    table: NamedTable | Raw
    columns: tuple[Expression, ...] = ()
    distinct: bool = False
    joins: tuple[Join, ...] = ()
    conditions: Group = NO_CONDITIONS
    group_by: tuple[Expression, ...] = ()
    having: tuple[Having | Comparison | Raw, ...] = ()
    order_by: tuple[OrderBy, ...] = ()
    limit: Count = None
    offset: Count = None
    first_of_each: FirstOfEach | None = None
    lock: Lock | None = None
    key: str | None = None
    beside_key: Group = NO_CONDITIONS
    insert_columns: tuple[str, ...] = ()
    rows: int = 1
    array_types: tuple[str, ...] = ()
    update_columns: tuple[str | Assignment, ...] = ()
    conflict: Conflict | None = None
    returning: tuple[Expression, ...] = ()

    @property
    def tables(self) -> tuple[NamedTable | Raw, ...]:
        """Its tables, its own first."""
        return (self.table, *[join.table for join in self.joins])
