"""``managers.function_logs``: what functions log, appended, read from its end, and thrown away when it is old."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from cloudpub_models.connection import Database
from cloudpub_models.errors import ForeignKeyViolationError, NotFoundError
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.ordering import check_count
from cloudpub_models.manager.periods import moment
from cloudpub_models.manager.references import FunctionReference, function_key
from cloudpub_models.models import FunctionLog

_PRUNE: Final = {
    # As an array the rows are chosen once; a plan may run a subquery behind IN again, and its LIMIT with it.
    "postgresql": (
        "DELETE FROM function_logs WHERE id = ANY(ARRAY(SELECT id FROM function_logs WHERE timestamp < @cutoff "
        "ORDER BY timestamp, id LIMIT @batch_size FOR UPDATE SKIP LOCKED))"
    ),
    "sqlite": (
        "DELETE FROM function_logs WHERE id IN (SELECT id FROM function_logs WHERE timestamp < @cutoff "
        "ORDER BY timestamp, id LIMIT @batch_size)"
    ),
}


class FunctionLogManager(Manager[FunctionLog]):
    """The operations on ``function_logs``.

    A function is given as an instance or by its internal id.
    """

    def __init__(self, database: Database | None = None) -> None:
        super().__init__(FunctionLog, database)

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

        ``INSERT INTO function_logs (function_id, level, message) VALUES (…) RETURNING id, …``
        """
        key = function_key(function)
        try:
            return self.insert({"function_id": key, "level": level, "message": message})
        except ForeignKeyViolationError as error:
            raise NotFoundError(f"expected an existing function; there is none with the id {key}") from error

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

        ``SELECT id, … FROM function_logs WHERE function_id = @param_0 AND level = @param_1
        ORDER BY timestamp DESC, id DESC LIMIT @param_2``
        """
        where: dict[str, object] = {"function_id": function_key(function)}
        if level is not None:
            where["level"] = level if isinstance(level, str) else list(level)
        return self.find_all(where, order_by=("timestamp", "id"), order_direction="DESC", limit=limit)

    def prune(
        self,
        older_than: datetime | timedelta,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Delete old lines, the oldest first, in batches, so that nobody who logs meanwhile has to wait for long.

        Every batch is a transaction of its own: what has been deleted stays deleted when a later one fails. Inside a
        transaction of the caller's they are all part of that. Several may prune at the same time.

        Args:
            older_than: lines from before this moment go; a timedelta is an age, measured when the call begins.
            batch_size: how many lines are deleted at a time.
            progress: called after each batch with the number of lines deleted so far.

        Returns:
            how many lines were deleted.

        Raises:
            InvalidValueError: ``older_than`` is naive, negative, or neither a datetime nor a timedelta.
            InvalidQueryError: ``batch_size`` is not a positive integer.

        ``DELETE FROM function_logs WHERE id = ANY(ARRAY(SELECT id FROM function_logs WHERE timestamp < @cutoff
        ORDER BY timestamp, id LIMIT @batch_size FOR UPDATE SKIP LOCKED))``, once for each batch
        """
        check_count(batch_size, "batch_size", smallest=1)
        parameters = {"cutoff": moment(older_than, "older_than"), "batch_size": batch_size}
        sql = _PRUNE[self.database.dialect]
        deleted = 0
        while True:
            count = self.database.run_transaction(lambda connection: self.database.raw_execute(sql, parameters))
            deleted += count
            if progress is not None and count:
                progress(deleted)
            if count < batch_size:
                return deleted
