"""``managers.function_logs``: what functions log, appended, read from its end, and thrown away when it is old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloudpub_models.connection import Database
from cloudpub_models.errors import ForeignKeyViolationError
from cloudpub_models.manager.scope import Scope
from cloudpub_models.models import Function, FunctionLog
from cloudpub_models.platform.pruning import PrunedManager
from cloudpub_models.platform.references import FunctionReference, function_key, no_row
from cloudpub_models.sql import operators

if TYPE_CHECKING:
    from cloudpub_models.platform.row_types import FunctionLogChanges, FunctionLogData  # noqa: F401 - named by the class


class FunctionLogManager(PrunedManager[FunctionLog, "FunctionLogData", "FunctionLogChanges"]):
    """The operations on ``function_logs``.

    A function is given as an instance, by its public UUID or by its internal id.
    """

    def __init__(self, database: Database | None = None, *, scope: Scope | None = None) -> None:
        super().__init__(FunctionLog, database, scope=scope)

    def append(self, function: FunctionReference, level: str, message: str) -> FunctionLog:
        """Add a line to a function's log, with the current time.

        For many lines at once there is ``batch_insert``.

        Args:
            function: the function.
            level: ``info``, ``warn``, ``error`` or what else the platform writes; at most 20 characters.
            message: the text.

        Returns:
            the line.

        Raises:
            NotFoundError: the function does not exist (any more).
            InvalidValueError: a value does not fit its column.

        >>> managers.function_logs.append(resize, "error", "out of memory").message
        'out of memory'

        ``INSERT INTO function_logs (function_id, level, message) VALUES (…) RETURNING id, …``
        """
        key = function_key(function, self)
        try:
            return self.insert({"function_id": key, "level": level, "message": message})
        except ForeignKeyViolationError as error:
            raise no_row(Function, function, key) from error

    def tail(
        self, function: FunctionReference, limit: int = 100, level: str | Sequence[str] | None = None
    ) -> list[FunctionLog]:
        """Return the latest lines of a function's log, the newest first; of one moment, the last appended first.

        Args:
            function: the function.
            limit: how many lines at most.
            level: only lines of this level, or of one of several.

        Returns:
            the lines; an empty list for a function that does not exist.

        >>> _ = [managers.function_logs.append(resize, "info", f"request {n}") for n in range(3)]
        >>> [line.message for line in managers.function_logs.tail(resize, 2)]
        ['request 2', 'request 1']

        ``SELECT id, … FROM function_logs WHERE function_id BETWEEN @param_0 AND @param_1 AND level = @param_2
        ORDER BY function_id DESC, timestamp DESC, id DESC LIMIT @param_3``
        """
        key = function_key(function, self)
        # With equality PostgreSQL may go through the newest lines of all functions, which takes long where this one has
        # not logged for a while; an order by function and time that is no order by time keeps it to their own index.
        where: dict[str, object] = {"function_id": operators.between(key, key)}
        if level is not None:
            where["level"] = level if isinstance(level, str) else list(level)
        return self.find_all(where, order_by=("function_id", "timestamp", "id"), order_direction="DESC", limit=limit)
