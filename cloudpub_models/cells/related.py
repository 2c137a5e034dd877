"""The rows of several servers that belong to rows of the main database, as ``include`` asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import peewee

from cloudpub_models.cells.routed import Routed
from cloudpub_models.connection import Database
from cloudpub_models.manager.arguments.order import Order
from cloudpub_models.manager.arguments.shape import Conditions
from cloudpub_models.manager.related import RelatedRows

M = TypeVar("M", bound=peewee.Model)


class RelatedElsewhere(RelatedRows[M], Generic[M]):
    """Reads the rows from the servers that have them, one statement for each.

    Args:
        rows: the manager of the rows, which knows who has which.
    """

    def __init__(self, rows: Routed[M, Any, Any, Any]) -> None:
        super().__init__(rows.model, rows.database, scope=rows._access)
        self._rows = rows
        self._on: dict[Database, RelatedRows[M]] = {}

    def referring(
        self, column: str, keys: Sequence[Any], order: Order, limit: int | None, conditions: Conditions
    ) -> list[M]:
        """Return the rows that have one of the keys in a column and meet the conditions, at most ``limit`` per key."""
        self._hold_order(order)
        parts = self._rows._each_of(
            keys,
            lambda manager, some: self._of(manager.database).referring(column, some, order, limit, conditions),
        )
        return [row for part in parts for row in part]

    def _of(self, server: Database) -> RelatedRows[M]:
        """Return what reads the rows of one server, which come from the main database, as far as they know."""
        found = self._on.get(server)
        if found is None:
            found = RelatedRows(self.model, server)
            found.origin = self.origin
            found._statements = found._shared_statements()
            self._on[server] = found
        return found
