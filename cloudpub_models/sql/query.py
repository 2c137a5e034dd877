"""A statement as data: `Query`, frozen and hashable, without the values of its parameters.

For: describing what the builder and the managers want, so that one renderer writes it and its SQL can be kept by shape.
Also for the one check that needs the whole statement: that every ``alias.column`` refers to a table of it.

Not for: SQL (`rendering`), values (they travel beside, in the order of rendering).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final, Literal, TypeAlias

from cloudpub_models.errors import InvalidQueryError, UnknownTableError
from cloudpub_models.sql.conditions import NO_CONDITIONS, Comparison, Condition, Group
from cloudpub_models.sql.expressions import (
    Aliased,
    Call,
    Column,
    Expression,
    Having,
    Raw,
    Star,
    parse_column,
    parse_select_item,
)
from cloudpub_models.sql.records import Record

Kind: TypeAlias = Literal["select", "count", "exists", "insert", "update", "delete"]
JOIN_TYPES = ("INNER", "LEFT", "RIGHT", "FULL")


class _Marker(Enum):
    PARAMETER = "PARAMETER"


# As `limit` or `offset`: the number is a parameter, so that the statement's text does not depend on it.
PARAMETER: Final = _Marker.PARAMETER

Count: TypeAlias = int | Literal[_Marker.PARAMETER] | None


class Join(Record):
    """A joined table, and the pairs of columns that its condition makes equal.

    Columns given as text are ``name`` or ``table.name``.
    """

    kind: str
    table: str | Raw
    alias: str | None
    on: tuple[tuple[str | Column | Raw, str | Column | Raw], ...]


class OrderBy(Record):
    """One item of ORDER BY. Without `nulls`, NULLs stand on both databases where PostgreSQL puts them."""

    item: str | Expression
    direction: str = "ASC"
    nulls: str | None = None


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


def check_references(query: Query) -> None:
    """Raise unless each table of `query` has a name of its own, and each qualified column refers to one of them.

    Raises:
        UnknownTableError: for a qualifier that is none of the tables' names; an alias hides the table's name.
        InvalidQueryError: when two tables go by one name.
    """
    tables = [(query.table, query.alias), *[(join.table, join.alias) for join in query.joins]]
    names = [alias or table for table, alias in tables]
    for name in names:
        if isinstance(name, str) and names.count(name) > 1:
            raise InvalidQueryError(
                f'expected a name of its own for each table, got {name} twice; give one an alias, as in "{name} other"'
            )
    if any(isinstance(name, Raw) for name in names):
        return  # SQL of the caller's own: which names it makes is not known
    for column in _columns_of(query):
        if column.table is not None and column.table not in names:
            shown = f"{column.table}.{column.name if isinstance(column, Column) else '*'}"
            raise UnknownTableError(
                f"expected a table or alias of this query ({', '.join(map(str, names))}) in {shown}, "
                f"got {column.table}; {_remedy(query, column.table)}"
            )


def _remedy(query: Query, missing: str) -> str:
    for table, alias in [(query.table, query.alias), *[(join.table, join.alias) for join in query.joins]]:
        if table == missing and alias:
            return f"{table} has the alias {alias} here, so write {alias} instead"
    if query.alias is None:
        own = f'query("{missing}") or table("{query.table} {missing}")'
        return f"if it is meant for {query.table}, say {own}; else join it"
    return f'join it first, as in join("table {missing}", …)'


def _columns_of(query: Query) -> Iterator[Column | Star]:
    for item in (*query.columns, *query.returning):
        yield from _columns_in(parse_select_item(item) if isinstance(item, str) else item)
    for item in (*query.group_by, *[order.item for order in query.order_by]):
        yield from _columns_in(parse_column(item) if isinstance(item, str) else item)
    for join in query.joins:
        for pair in join.on:
            for column in pair:
                yield from _columns_in(parse_column(column) if isinstance(column, str) else column)
    for having in query.having:
        if isinstance(having, Having):
            yield from _columns_in(having.item)
    yield from _columns_of_condition(query.conditions)


def _columns_of_condition(condition: Condition) -> Iterator[Column | Star]:
    if isinstance(condition, Group):
        for _, item in condition.items:
            yield from _columns_of_condition(item)
    elif isinstance(condition, Comparison):
        column = condition.column
        yield from _columns_in(parse_column(column) if isinstance(column, str) else column)


def _columns_in(item: Expression) -> Iterator[Column | Star]:
    if isinstance(item, (Column, Star)):
        yield item
    elif isinstance(item, Aliased):
        yield from _columns_in(item.item)
    elif isinstance(item, Call):
        for argument in item.arguments:
            yield from _columns_in(argument)
