"""Deleting what is old: of the log and of the outbox, but for what consumers have yet to read."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from operator import and_
from typing import Any

import peewee

from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.history.feed.outbox import outbox_of
from cloudpub_models.history.feed.positions import Source, all_positions, has_positions, kind_of
from cloudpub_models.history.recording import BEGINS, ENDS
from cloudpub_models.history.tables import log_of

_BATCH = 5_000


def prune(database: peewee.Database, source: Source, older_than: timedelta) -> int:
    """Delete old changes or messages; see ``History.prune``."""
    try:
        cutoff = utc_now() - older_than
    except OverflowError:  # before the year 1
        return 0
    if source == "outbox":
        outbox = outbox_of(database)
        return _delete(database, source, outbox, outbox.created_at < cutoff)
    log = log_of(database)
    marks = log.operation.in_([BEGINS, ENDS])
    deleted = _delete(database, source, log, (log.changed_at < cutoff) & ~marks)
    # What was recorded before is not known any more.
    log.update(changed_at=cutoff).where(log.changed_at < cutoff, log.operation == BEGINS).execute()
    return deleted


def _delete(database: peewee.Database, source: Source, log: Any, condition: Any) -> int:
    kind = kind_of(database)
    positions = all_positions(database) if has_positions(database) else []
    read = [kind.is_read(log, position) for _, its_source, position, *_ in positions if its_source == source]
    batch = log.select(log.id).where(reduce(and_, read, condition)).order_by(log.id).limit(_BATCH)
    deleted = 0
    while ids := [number for (number,) in batch.clone().tuples()]:
        deleted += log.delete().where(log.id.in_(ids)).execute()
    return deleted
