"""The arguments of the managers that order, checked: columns, dotted ones of related rows, and Peewee expressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import peewee

from cloudpub_models.connection.engine import Engine
from cloudpub_models.errors import InvalidQueryError, UnknownColumnError
from cloudpub_models.manager.arguments.dotted import related_column
from cloudpub_models.manager.arguments.where import pieces_of
from cloudpub_models.manager.columns.table import Table, table_of
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.nodes import expressions as nodes
from cloudpub_models.sql.nodes.conditions import Comparison
from cloudpub_models.sql.nodes.query import OrderBy as OrderByNode
from cloudpub_models.sql.patterns import escaped
from cloudpub_models.sql.text.secrets import names_secret_column

Direction = Literal["ASC", "DESC"]
Ordering = str | peewee.Node
OrderBy = Ordering | Sequence[Ordering | tuple[Ordering, str]] | None


class Expressed(NamedTuple):
    """A Peewee expression to order by, without the values of its parameters.

    Attributes:
        pieces: its SQL, cut where they stand.
        nulls: where it puts NULLs, where it says so itself.
    """

    pieces: tuple[str, ...]
    nulls: str | None = None


class Matching(NamedTuple):
    """Whether a column matches a pattern, whatever the case of its letters."""

    column: str


# Columns, dotted ones too, or expressions, each with its direction.
Order = tuple[tuple[Any, str], ...]


class OrderWithValues(tuple[tuple[Any, str], ...]):
    """An ``Order`` in which there are expressions, with the values of their parameters beside it."""

    values: list[Any]

    def __new__(cls, items: Iterable[tuple[Any, str]], values: Sequence[Any]) -> OrderWithValues:
        """Take the items as a tuple does, to which it is equal."""
        order = super().__new__(cls, tuple(items))
        order.values = list(values)
        return order


def parse_order(order_by: OrderBy, order_direction: str, table: Table, engine: Engine) -> Order:
    """Return what to order by, each with its direction.

    Args:
        order_by: the argument.
        order_direction: the direction of what has none of its own.
        table: the table whose rows are ordered.
        engine: the database, in whose SQL expressions are written.

    Raises:
        UnknownColumnError: a name is no column.
        UnknownTableError: an expression names columns of another table.
        InvalidQueryError: a direction is neither ASC nor DESC, or there is no column for it; a dotted name leads to
            more than one row; a column is secret; or the argument is of no known form.
    """
    if type(order_by) is str and type(order_direction) is str:
        return _by_column(order_by, order_direction, table)
    if type(order_by) is OrderWithValues:
        return order_by
    direction = direction_of(order_direction)
    items = () if order_by is None else [order_by] if isinstance(order_by, str | peewee.Node) else order_by
    if not isinstance(items, Sequence):
        raise InvalidQueryError(
            f"expected order_by to be a column, a Peewee expression or a list of those; got {shown(order_by)}"
        )
    order: list[tuple[Any, str]] = []
    values: list[Any] = []
    for item in items:
        own, given = item_and_direction(item, direction, "column")
        if isinstance(own, peewee.Node):
            order.append(_by_expression(own, given, table, engine, values))
        else:
            order.append((_column_name(own, table), given))
    if not order and direction == "DESC":
        raise InvalidQueryError("expected a column in order_by for the order_direction 'DESC'; got none: name one")
    return OrderWithValues(order, values) if any(isinstance(item, Expressed) for item, _ in order) else tuple(order)


def nearest_first(column: str, text: str, table: Table) -> OrderWithValues:
    """Return an order for rows that have a text in a column: those that are it, those that begin with it, the others.

    The case of letters does not matter to that; equal ones come by the column, then by the primary key.

    Args:
        column: the column's name.
        text: the text.
        table: the table whose rows are ordered.
    """
    matches = Matching(column)
    rest = [(name, "ASC") for name in dict.fromkeys((column, *table.key_names))]
    return OrderWithValues([(matches, "DESC"), (matches, "DESC"), *rest], [escaped(text), f"{escaped(text)}%"])


def values_of_order(order: Order) -> list[Any]:
    """Return the values of the parameters of an order's expressions."""
    return order.values if isinstance(order, OrderWithValues) else []


def prefixed(first: tuple[str, str], order: Order) -> Order:
    """Return an order with a column before what is there."""
    return OrderWithValues((first, *order), order.values) if isinstance(order, OrderWithValues) else (first, *order)


def require_own_columns(order: Order, what: str) -> None:
    """Raise InvalidQueryError where rows are not ordered by columns of their own table, as something needs."""
    for item, _ in order:
        if not isinstance(item, str) or "." in item:
            got = f"the related {item}" if isinstance(item, str) else "an expression"
            raise InvalidQueryError(f"expected columns of the table itself to order {what} by; got {got}")


def order_nodes(order: Order, table: Table, name: str | None = None) -> tuple[OrderByNode, ...]:
    """Return an order as nodes.

    Args:
        order: the order.
        table: the table whose rows are ordered.
        name: what its columns are qualified by, where they have to be.
    """
    return tuple([_node(item, direction, table, name) for item, direction in order])


def _node(item: Any, direction: str, table: Table, name: str | None) -> OrderByNode:
    if isinstance(item, Expressed):
        return OrderByNode(nodes.Positional(item.pieces), direction, item.nulls)
    if isinstance(item, Matching):
        matches = Comparison(nodes.Column(name, item.column), "ILIKE")
        return OrderByNode(matches, direction, None, bool(table.columns[item.column].field.null))
    if item in table.columns:
        return OrderByNode(nodes.Column(name, item), direction, None, bool(table.columns[item].field.null))
    return OrderByNode(related_value(table.model, item, name), direction)


def related_value(model: type[peewee.Model], key: str, name: str | None = None) -> nodes.Expression:
    """Return the column that a key means, for each row of a model's table.

    Args:
        model: the model.
        key: a column's name, or a dotted one that leads to one row.
        name: what columns of the table are qualified by, where they have to be.
    """
    _, links, column = related_column(model, key)
    value: nodes.Expression = nodes.Column(None if links else name, column.name)
    for position in range(len(links) - 1, -1, -1):
        link = links[position]
        outer = nodes.Column(name if position == 0 else None, link.column)
        value = nodes.RelatedValue(outer, table_of(link.model).node, link.key, value)
    return value


def to_one(model: type[peewee.Model], key: Any, what: str) -> str:
    """Return the name of the column that a key means; a dotted one has to lead to one row.

    Raises:
        UnknownColumnError: there is no such column or relation.
        InvalidQueryError: it leads to any number of rows.
    """
    if not isinstance(key, str):
        raise UnknownColumnError(f"expected the name of a column of {table_of(model).name} in {what}; got {shown(key)}")
    relations, links, column = related_column(model, key)
    if any(link.many for link in links):
        raise InvalidQueryError(
            f"expected relations to one row each in {what}; got {shown(key)}, which may lead to any number of rows"
        )
    return ".".join((*relations, column.name))


@lru_cache(maxsize=1024)
def _by_column(name: str, direction: str, table: Table) -> Order:
    own, given = item_and_direction(name, direction_of(direction), "column")
    return ((_column_name(own, table), given),)


def _column_name(name: Any, table: Table) -> str:
    try:
        column_name = to_one(table.model, name, "order_by")
    except UnknownColumnError as error:
        column, _, direction = name.rpartition(" ") if isinstance(name, str) else ("", "", "")
        if column and direction.upper() in ("ASC", "DESC"):
            raise UnknownColumnError(
                f"{error} (a direction goes into order_direction, or with its column into a pair)"
            ) from None
        raise
    _, links, reached = related_column(table.model, column_name)
    owner = table_of(links[-1].model) if links else table
    if reached.name in owner.secret_names:
        raise by_secret(f"{owner.name}.{reached.name}")
    return column_name


def by_secret(name: str) -> InvalidQueryError:
    """Return the error for an order by a secret column, or by what names one."""
    # Where a client names the column, or has a cursor, the order tells the secret, a letter at a time.
    return InvalidQueryError(
        f"expected an order by columns that may be shown; got the secret {name}: choose another column"
    )


def _by_expression(
    expression: peewee.Node, direction: str, table: Table, engine: Engine, values: list[Any]
) -> tuple[Any, str]:
    nulls: str | None = None
    if isinstance(expression, peewee.Ordering):
        if expression.collation is not None:
            raise InvalidQueryError("expected an order without a collation; got one: order by node.collate(name)")
        direction, nulls = expression.direction, expression.nulls and expression.nulls.upper()
        expression = expression.node
    if isinstance(expression, peewee.Field) and expression.model is table.model and nulls is None:
        return _column_name(expression.column_name, table), direction
    pieces = pieces_of(expression, table, engine, values, "an order")
    if names_secret_column(" ".join(pieces)):
        raise by_secret("in an expression")
    return Expressed(pieces, nulls), direction


def item_and_direction(item: Any, direction: str, what: str) -> tuple[Any, str]:
    """Return what an item of ``order_by`` orders by, and its direction.

    Args:
        item: the item: a pair says its direction, and so does a ``-`` before a name.
        direction: that of an item which has none of its own.
        what: what is ordered by, for the message.

    Raises:
        InvalidQueryError: it is another tuple than a pair, or has another direction than ASC and DESC.

    >>> item_and_direction("-name", "ASC", "column"), item_and_direction(("name", "asc"), "DESC", "column")
    (('name', 'DESC'), ('name', 'ASC'))
    """
    if isinstance(item, tuple):
        if len(item) != 2:
            raise InvalidQueryError(f"expected ({what}, direction) in order_by; got {len(item)} items")
        item, direction = item[0], direction_of(item[1])
    return (item[1:], "DESC") if isinstance(item, str) and item.startswith("-") else (item, direction)


def direction_of(direction: Any) -> str:
    """Return a direction as SQL has it.

    Raises:
        InvalidQueryError: it is neither ASC nor DESC.
    """
    if isinstance(direction, str) and (text := str.__str__(direction)).isascii() and text.upper() in ("ASC", "DESC"):
        return text.upper()
    raise InvalidQueryError(f"expected a direction of 'ASC' or 'DESC'; got {shown(direction)}")
