"""The next batch of a consumer, in the transaction that keeps how far it has got."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import peewee

from cloudpub_models.errors import FeedGapError, HistoryError, RefusedQueryError
from cloudpub_models.history.changes import Change, read
from cloudpub_models.history.feed.outbox import Message, messages
from cloudpub_models.history.feed.positions import Key, Position, Source, Start, begin, keep, kind_of
from cloudpub_models.history.recording import BEGINS, ENDS, require_recording
from cloudpub_models.history.tables import changes_in, log_of
from cloudpub_models.sql.identifiers import shown

_READ_AT_ONCE = 5_000


def next_batch(
    database: peewee.Database,
    models: Iterable[type[peewee.Model]],
    name: str,
    source: Source,
    *,
    limit: int,
    start: Start,
) -> list[Change] | list[Message]:
    """Return what a source has got since a consumer has read last, and keep that it has read it.

    It is called in a transaction that has done nothing else yet.

    Args:
        database: the database.
        models: the models of its tables.
        name: of the consumer.
        source: what is read.
        limit: how many rows at most.
        start: where a consumer begins that is not known yet.

    Raises:
        HistoryError: the database is a standby, has not what a feed needs, or knows the consumer with another source.
        FeedGapError: what follows is not known without a gap.
    """
    kind = kind_of(database)
    kind.await_turn(database, name)
    position = kind.reach(database, source, _position(database, name, source, start))
    while keys := kind.page(database, source, position, limit + 1):
        delivered, batch = _delivered(database, models, source, keys, limit)
        is_all = len(delivered) == len(keys)
        position = kind.behind(position, delivered[-1], is_all=is_all)
        # What is not for consumers may fill a page.
        if batch or is_all:
            keep(database, name, position)
            return batch
    return []


def _delivered(
    database: peewee.Database, models: Iterable[type[peewee.Model]], source: Source, keys: Sequence[Key], limit: int
) -> tuple[Sequence[Key], list[Change] | list[Message]]:
    """Return what of a page is delivered, and as what."""
    if source == "outbox":
        delivered = keys[:limit]
        return delivered, messages(database, [key.id for key in delivered])
    delivered = _whole_transactions(keys, limit)
    found = _rows_of_log(database, delivered)
    delivered = delivered[: _gap_in(found)]
    changes = [row for row in found[: len(delivered)] if row is not None and row.operation != BEGINS]
    return delivered, read(database, changes, models)


def _position(database: peewee.Database, name: str, source: Source, start: Start) -> Position:
    try:
        found = kind_of(database).kept(database, name)
    except RefusedQueryError as error:
        raise HistoryError(
            "expected a database with the tables of feeds; got one without: have history.enable() make them"
        ) from error
    if found is None:
        return register(database, name, source, start)
    if found[0] != source:
        raise HistoryError(
            f"expected {shown(name)} to read {found[0]}, as it has done so far; got {source}: give it another name"
        )
    return found[1]


def register(database: peewee.Database, name: str, source: Source, start: Start) -> Position:
    """Have a consumer begin, or go on, at one end of a source.

    Raises:
        HistoryError: nothing is recorded that it could read.
    """
    if source == "changes":
        require_recording(database)
    position = kind_of(database).first(database, source, start)
    begin(database, name, source, position)
    return position


def _whole_transactions(keys: Sequence[Key], limit: int) -> list[Key]:
    """Return what of a page fits, without the beginning of a transaction; one that alone is larger is parted."""
    if len(keys) <= limit:
        return list(keys)
    whole = [key for key in keys[:limit] if key.transaction != keys[limit].transaction]
    return whole or list(keys[:limit])


def _rows_of_log(database: peewee.Database, keys: Sequence[Key]) -> list[Any]:
    """Return the rows of keys; ``None`` for one that was deleted meanwhile, as for a consumer not known yet."""
    log = log_of(database)
    ids = [key.id for key in keys]
    by_id = {
        row.id: row
        for start in range(0, len(ids), _READ_AT_ONCE)
        for row in changes_in(log).where(log.id.in_(ids[start : start + _READ_AT_ONCE])).namedtuples()
    }
    return [by_id.get(id) for id in ids]


def _gap_in(found: Sequence[Any]) -> int:
    """Return how many rows of the log stand before the end of a recording.

    Raises:
        FeedGapError: none does.
    """
    for number, row in enumerate(found):
        if row is not None and row.operation == ENDS:
            if any(before is not None and before.operation != BEGINS for before in found[:number]):
                return number
            raise FeedGapError(
                f"expected changes without a gap; got the end of the recording of {row.table_name} at "
                f"{row.changed_at.isoformat()}: have history.move_consumer() go on from now, and read "
                "the tables themselves"
            )
    return len(found)
