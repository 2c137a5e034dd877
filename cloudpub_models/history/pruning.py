"""Deleting what is old: of the log and of the outbox, but for what consumers have yet to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import and_
from typing import Any

import peewee

from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.history.changes import require_log
from cloudpub_models.history.feed.outbox import outbox_of
from cloudpub_models.history.feed.positions import Source, all_positions, has_positions, kind_of
from cloudpub_models.history.recording import BEGINS, ENDS, recorded_since
from cloudpub_models.history.tables import kind_of as kind_of_log
from cloudpub_models.history.tables import log_of

_BATCH = 5_000


def prune(database: peewee.Database, source: Source, older_than: timedelta) -> int:
    """Delete old changes or messages; see ``History.prune``."""
    require_log(database)
    try:
        cutoff = utc_now() - older_than
    except OverflowError:  # before the year 1
        return 0
    if source == "outbox":
        outbox = outbox_of(database)
        return _delete(database, source, outbox, outbox.created_at < cutoff)
    log = log_of(database)
    tables = [table for table, since in recorded_since(database).items() if since < cutoff]
    is_old = (log.changed_at < cutoff) & ~log.operation.in_([BEGINS, ENDS])
    return _delete(database, source, log, is_old, lambda: _begin_at(database, log, tables, cutoff))


def _begin_at(database: peewee.Database, log: Any, tables: Sequence[str], moment: datetime) -> None:
    """Have the log say that what was recorded of some tables before a moment is not known any more.

    They are marked anew, so that whoever follows the log sees that changes are gone which it may not have seen.
    """
    marks = (log.operation == BEGINS) & log.table_name.in_(tables) & log.row_id.is_null()
    log.delete().where(marks).execute()
    for table in tables:
        kind_of_log(database).note(database, BEGINS, table)
    log.update(changed_at=moment).where(marks).execute()


def _delete(
    database: peewee.Database,
    source: Source,
    log: Any,
    condition: Any,
    mark: Callable[[], object] = lambda: None,
) -> int:
    kind = kind_of(database)
    positions = all_positions(database) if has_positions(database) else []
    read = [kind.is_read(log, position) for _, its_source, position, *_ in positions if its_source == source]
    batch = log.select(log.id).where(reduce(and_, read, condition)).order_by(log.id).limit(_BATCH)
    deleted = 0
    while True:
        with database.atomic():
            mark()
            ids = [number for (number,) in batch.clone().tuples()]
            deleted += int(log.delete().where(log.id.in_(ids)).execute())
        if not ids:
            return deleted
