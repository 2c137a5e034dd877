"""The arguments of the managers that order, limit and cut into chunks, checked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from cloudpub_models.errors import InvalidQueryError, UnknownColumnError
from cloudpub_models.manager.columns.table import Table
from cloudpub_models.sql.identifiers import shown

Direction = Literal["ASC", "DESC"]
OrderBy = str | Sequence[str | tuple[str, str]] | None
Order = tuple[tuple[str, str], ...]


def parse_order(order_by: OrderBy, order_direction: str, table: Table) -> Order:
    """Return the columns to order by, each with its direction.

    Raises:
        UnknownColumnError: a name is no column.
        InvalidQueryError: a direction is neither ASC nor DESC, or there is no column for it; or the argument is of no
            known form.
    """
    if type(order_by) is str and type(order_direction) is str:
        return _by_column(order_by, order_direction, table)
    direction = _direction(order_direction)
    items = () if order_by is None else [order_by] if isinstance(order_by, str) else order_by
    if not isinstance(items, Sequence):
        raise InvalidQueryError(f"expected order_by to be a column or a list of columns; got {shown(order_by)}")
    order: list[tuple[str, str]] = []
    for item in items:
        if isinstance(item, tuple):
            if len(item) != 2:
                raise InvalidQueryError(f"expected (column, direction) in order_by; got {len(item)} items")
            order.append((table.column(item[0]).name, _direction(item[1])))
        else:
            order.append((_column_name(item, table), direction))
    if not order and direction == "DESC":
        raise InvalidQueryError("expected a column in order_by for the order_direction 'DESC'; got none: name one")
    return tuple(order)


@lru_cache(maxsize=1024)
def _by_column(name: str, direction: str, table: Table) -> Order:
    return ((_column_name(name, table), _direction(direction)),)


def _column_name(name: Any, table: Table) -> str:
    try:
        return table.column(name).name
    except UnknownColumnError as error:
        column, _, direction = name.rpartition(" ") if isinstance(name, str) else ("", "", "")
        if column and direction.upper() in ("ASC", "DESC"):
            raise UnknownColumnError(
                f"{error} (a direction goes into order_direction, or with its column into a pair)"
            ) from None
        raise


def _direction(direction: Any) -> str:
    if isinstance(direction, str) and (text := str.__str__(direction)).isascii() and text.upper() in ("ASC", "DESC"):
        return text.upper()
    raise InvalidQueryError(f"expected a direction of 'ASC' or 'DESC'; got {shown(direction)}")
