"""Old rows of a table that only grows, thrown away in batches: the managers of such tables are made with it.

Each batch finds its rows through the index on ``timestamp``, from where the one before it ended: what has been deleted
stays in PostgreSQL's index until a vacuum that may have to wait for others, and would be passed again by every batch.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import peewee

from cloudpub_models.manager.arguments.conditions import Filter
from cloudpub_models.manager.arguments.shape import Shape
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.writing import Changes, Data
from cloudpub_models.platform.periods import moment
from cloudpub_models.sql.values import check_count

M = TypeVar("M", bound=peewee.Model)

_BEFORE: Shape = (("timestamp", "<"),)
_BETWEEN: Shape = (("timestamp", ">="), ("timestamp", "<"))


class PrunedManager(Manager[M, Data, Changes, Filter], Generic[M, Data, Changes, Filter]):
    """The operations on a table with a ``timestamp``, whose old rows are thrown away."""

    def prune(
        self,
        older_than: datetime | timedelta,
        batch_size: int = 1000,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Delete old rows, the oldest first, in batches, so that nobody who adds rows meanwhile has to wait for long.

        Every batch is a transaction of its own: what has been deleted stays deleted when a later one fails. Inside a
        transaction of the caller's they are all part of that. Several may prune at the same time; rows that somebody
        else has locked are left to them.

        Args:
            older_than: rows from before this moment go; a timedelta is an age, measured when the call begins.
            batch_size: how many rows are deleted at a time.
            progress: called after each batch with the number of rows deleted so far.

        Returns:
            how many rows were deleted.

        Raises:
            InvalidValueError: ``older_than`` is naive, negative, or neither a datetime nor a timedelta.
            InvalidQueryError: ``batch_size`` is not a positive integer.

        >>> from datetime import timedelta
        >>> managers.function_logs.prune(timedelta(days=30)), managers.function_invocations.prune(timedelta(days=90))
        (0, 0)

        ``DELETE FROM function_logs WHERE id = ANY(ARRAY(SELECT id FROM function_logs WHERE timestamp < @param_0
        ORDER BY timestamp LIMIT @param_1 FOR UPDATE SKIP LOCKED)) RETURNING timestamp``, once for each batch
        """
        check_count(batch_size, "batch_size", smallest=1)
        timestamp = self.table.columns["timestamp"]
        cutoff = timestamp.encode(self._pruned_before(moment(older_than, "older_than")))
        shape, values = _BEFORE, [cutoff]

        def delete(_connection: object) -> list[Any]:
            return self._delete_first((shape, values), (("timestamp", "ASC"),), batch_size, ("timestamp",))

        deleted = 0
        while True:
            rows = self.database.run_transaction(delete)
            deleted += len(rows)
            if progress is not None and rows:
                progress(deleted)
            if len(rows) < batch_size:
                return deleted
            shape, values = _BETWEEN, [timestamp.encode(max(row.timestamp for row in rows)), cutoff]

    def _pruned_before(self, cutoff: datetime) -> datetime:
        """Return before when rows may go where those before a moment are to."""
        return cutoff
