"""A statement as data: `Query`, frozen and hashable, without the values of its parameters.

For: describing what the builder and the managers want, so that one renderer writes it and its SQL can be kept by shape.

Not for: SQL (`rendering`), values (they travel beside, in the order of rendering), checks (`references`).
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from cloudpub_models.sql.nodes.conditions import NO_CONDITIONS, Group
from cloudpub_models.sql.nodes.expressions import Column, Expression, Having, Raw
from cloudpub_models.sql.nodes.records import Record

Kind: TypeAlias = Literal["select", "count", "exists", "insert", "update", "delete"]
JOIN_TYPES = ("INNER", "LEFT", "RIGHT", "FULL")


class Parameter:
    """The type of `PARAMETER`."""

    def __repr__(self) -> str:
        return "PARAMETER"


# As `limit` or `offset`: the number is a parameter, so that the statement's text does not depend on it.
PARAMETER: Final = Parameter()

Count: TypeAlias = int | Parameter | None


class Join(Record):
    """A joined table, and the pairs of columns that its condition makes equal.

    Columns given as text are ``name`` or ``table.name``.
    """

    kind: str
    table: str | Raw
    alias: str | None
    on: tuple[tuple[str | Column | Raw, str | Column | Raw], ...]


class OrderBy(Record):
    """One item of ORDER BY. Without `nulls`, NULLs stand on both databases where PostgreSQL puts them.

    A column that is never NULL is better said to be not `nullable`: where SQLite is told where to put its NULLs, it
    sorts what an index on several columns has in order already.
    """

    item: str | Expression
    direction: str = "ASC"
    nulls: str | None = None
    nullable: bool = True


class Conflict(Record):
    """What an insert does where the row is there already.

    Attributes:
        columns: those of the unique constraint; for ``"ignore"`` there may be none, which means any constraint.
        action: ``"ignore"`` keeps the row that is there, ``"update"`` sets `update_columns` to the new values.
        update_columns: for ``"update"``.
    """

    columns: tuple[str, ...]
    action: Literal["ignore", "update"]
    update_columns: tuple[str, ...] = ()


class Query(Record):
    """A statement without its values.

    The values belong to the parameters in this order: those of an insert row by row, or of `update_columns`; then of
    `conditions`; then `limit` and `offset` where they are `PARAMETER`.

    Attributes:
        kind: which statement; ``"count"`` counts the rows that the select would give without `limit` and `offset`,
            ``"exists"`` selects a 1 where there is a row.
        table: its name, or SQL that stands for one (not when writing).
        alias: of the table.
        columns: of a select; text is a column or ``alias.*``. None mean all (``*``).
        distinct: whether equal rows are given once.
        joins: in order.
        conditions: the WHERE clause.
        group_by: in order.
        having: conditions joined by AND.
        order_by: in order.
        limit: the largest number of rows, or `PARAMETER`.
        offset: the number of rows to pass over, or `PARAMETER`.
        for_update: whether selected rows are locked.
        skip_locked: whether rows that others have locked are passed over instead of waited for.
        insert_columns: of an insert; none means one row of defaults.
        rows: how many rows an insert has.
        array_types: the type of each column of an insert whose rows come as one array for each column (PostgreSQL).
        update_columns: of an update.
        conflict: of an insert.
        returning: the columns that a writing statement gives back.
    """

    kind: Kind
    table: str | Raw
    alias: str | None = None
    columns: tuple[str | Expression, ...] = ()
    distinct: bool = False
    joins: tuple[Join, ...] = ()
    conditions: Group = NO_CONDITIONS
    group_by: tuple[str | Expression, ...] = ()
    having: tuple[Having | Raw, ...] = ()
    order_by: tuple[OrderBy, ...] = ()
    limit: Count = None
    offset: Count = None
    for_update: bool = False
    skip_locked: bool = False
    insert_columns: tuple[str, ...] = ()
    rows: int = 1
    array_types: tuple[str, ...] = ()
    update_columns: tuple[str, ...] = ()
    conflict: Conflict | None = None
    returning: tuple[str | Expression, ...] = ()
