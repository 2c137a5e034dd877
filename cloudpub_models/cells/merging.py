"""Rows of several servers in one order, compared here as PostgreSQL compares them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import Any, TypeVar

import peewee

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.arguments.order import Order, require_own_columns
from cloudpub_models.manager.columns.table import Table

M = TypeVar("M", bound=peewee.Model)

# Text is compared by the rules of a database's language, which are not known here.
_COMPARED_ALIKE = ("integer", "timestamp", "uuid")


def require_mergeable(order: Order, table: Table, select: Sequence[str] | None = None) -> None:
    """Raise InvalidQueryError where the rows of several servers cannot be put into an order here.

    Args:
        order: the order.
        table: the rows' table.
        select: the columns that are loaded; all when left out.
    """
    require_own_columns(order, "rows of several servers")
    for name, _ in order:
        if table.columns[name].kind not in _COMPARED_ALIKE:
            raise InvalidQueryError(
                f"expected columns of numbers, times or UUIDs to order rows of several servers by; got {name}: name a "
                "function in the conditions, or order the rows that are found"
            )
    if select is None:
        return
    missing = [name for name, _ in order if name not in table.selected(select)]
    if missing:
        raise InvalidQueryError(
            f"expected the columns that rows of several servers are ordered by in select too; got it without "
            f"{', '.join(missing)}: add those"
        )


def sort_key(order: Order, table: Table) -> Callable[[peewee.Model], Any]:
    """Return what rows are sorted by to be in an order; NULLs come last in ascending, first in descending order."""
    places = [(table.columns[name].field.name, direction == "DESC") for name, direction in order]

    def compare(one: peewee.Model, other: peewee.Model) -> int:
        for name, descends in places:
            left, right = one.__data__[name], other.__data__[name]
            if left != right:
                is_less = right is None if left is None or right is None else left < right
                return 1 if is_less is descends else -1
        return 0

    return cmp_to_key(compare)
