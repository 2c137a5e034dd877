"""The one check that needs a whole statement: that every ``alias.column`` refers to a table of it.

For: `rendering`, which asks before it writes.

Not for: whether a table has a column; that is checked where the models are known.
"""

from __future__ import annotations

from collections.abc import Iterator

from cloudpub_models.errors import InvalidQueryError, UnknownTableError
from cloudpub_models.sql.builder.language import parse_column, parse_select_item
from cloudpub_models.sql.nodes.conditions import Comparison, Condition, Group
from cloudpub_models.sql.nodes.expressions import Aliased, Call, Column, Expression, Having, Raw, Star
from cloudpub_models.sql.nodes.query import Query


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
