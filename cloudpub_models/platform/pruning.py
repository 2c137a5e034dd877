"""Old rows of a table that only grows, thrown away in batches: what the managers' ``prune`` methods share.

Each batch finds its rows through the index on ``timestamp``, from where the one before it ended: what has been deleted
stays in PostgreSQL's index until a vacuum that may have to wait for others, and would be passed again by every batch.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from cloudpub_models.connection import Database
from cloudpub_models.platform.periods import moment
from cloudpub_models.sql.values import check_count

_BATCH: Final = {
    # As an array the rows are chosen once; a plan may run a subquery behind IN again, and its LIMIT with it.
    "postgresql": (
        "DELETE FROM {table} WHERE id = ANY(ARRAY(SELECT id FROM {table} WHERE {period} "
        "ORDER BY timestamp LIMIT @batch_size FOR UPDATE SKIP LOCKED)) RETURNING timestamp"
    ),
    "sqlite": (
        "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {period} "
        "ORDER BY timestamp LIMIT @batch_size) RETURNING timestamp"
    ),
}
_FROM_THE_BEGINNING: Final = "timestamp < @cutoff"
_FROM_WHERE_THE_LAST_ENDED: Final = "timestamp >= @reached AND timestamp < @cutoff"


def prune_table(
    database: Database,
    table: str,
    older_than: datetime | timedelta,
    batch_size: int,
    progress: Callable[[int], object] | None,
) -> int:
    """Delete the rows from before a moment, the oldest first, each batch in a transaction of its own.

    Args:
        database: where the table is.
        table: its name; it has an ``id`` and a ``timestamp``.
        older_than: the moment, or an age.
        batch_size: how many rows are deleted at a time.
        progress: called after each batch with the number of rows deleted so far.

    Returns:
        how many rows were deleted. Rows that somebody else has locked are left to them.

    Raises:
        InvalidValueError: ``older_than`` is naive, negative, or neither a datetime nor a timedelta.
        InvalidQueryError: ``batch_size`` is not a positive integer.
    """
    check_count(batch_size, "batch_size", smallest=1)
    batch = _BATCH[database.dialect]
    parameters: dict[str, Any] = {"cutoff": moment(older_than, "older_than"), "batch_size": batch_size}
    sql = batch.format(table=table, period=_FROM_THE_BEGINNING)
    deleted = 0
    while True:
        rows = database.run_transaction(lambda connection: connection.execute(sql, parameters))  # noqa: B023 - run now
        deleted += len(rows)
        if progress is not None and rows:
            progress(deleted)
        if len(rows) < batch_size:
            return deleted
        parameters["reached"] = max(row["timestamp"] for row in rows)
        sql = batch.format(table=table, period=_FROM_WHERE_THE_LAST_ENDED)
