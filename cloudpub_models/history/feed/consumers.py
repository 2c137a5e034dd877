"""The consumers of feeds: how far each has read, from where it goes on, and when it is no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import peewee

from cloudpub_models.entity.fields import TimestampField
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.errors import HistoryError, InvalidQueryError, InvalidValueError, did_you_mean
from cloudpub_models.history.feed.positions import (
    STARTS,
    Source,
    Start,
    all_positions,
    forget,
    has_positions,
    kind_of,
)
from cloudpub_models.history.feed.reading import register
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.values import check_text


@dataclass(frozen=True)
class Consumer:
    """Who reads a feed.

    Attributes:
        name: its name.
        source: what it reads: ``"changes"`` or ``"outbox"``.
        started_at: since when it is known.
        read_at: when it was given something last.
        waiting: how many rows it has not read yet.
        waiting_since: when the oldest of them was written.
    """

    name: str
    source: Source
    started_at: datetime
    read_at: datetime | None
    waiting: int
    waiting_since: datetime | None

    def has_stopped(self, patience: timedelta) -> bool:
        """Return whether something has been waiting for it for so long, and it has not read meanwhile."""
        last_sign = max(self.started_at, self.read_at or self.started_at, self.waiting_since or self.started_at)
        return self.waiting > 0 and utc_now() - last_sign > patience


def consumers(database: peewee.Database) -> list[Consumer]:
    """Return all consumers, by name."""
    if not has_positions(database):
        return []
    kind, field = kind_of(database), TimestampField()
    found = []
    for name, source, position, started_at, read_at in all_positions(database):
        waiting, since = kind.unread(database, source, position)
        found.append(Consumer(name, source, started_at, read_at, waiting, since and field.python_value(since)))
    return found


def move(database: peewee.Database, name: str, to: Start) -> None:
    """Have a consumer go on elsewhere; see ``History.move_consumer``."""
    name = check_text(name, "the name of the consumer")
    if to not in STARTS:
        raise InvalidValueError(f"expected {' or '.join(map(repr, STARTS))}; got {shown(to)}")
    if database.in_transaction():
        raise InvalidQueryError("expected no open transaction; got one: move a consumer outside of it")
    with database.atomic():
        kind_of(database).await_turn(database, name)
        register(database, name, _source_of(database, name), to)


def remove(database: peewee.Database, name: str) -> None:
    """Forget a consumer; see ``History.remove_consumer``."""
    name = check_text(name, "the name of the consumer")
    with database.atomic():
        kind_of(database).await_turn(database, name)
        _source_of(database, name)
        forget(database, name)


def _source_of(database: peewee.Database, name: str) -> Source:
    sources = {known: source for known, source, *_ in all_positions(database)} if has_positions(database) else {}
    if name not in sources:
        hint = did_you_mean(name, sources) if sources else "none is known"
        raise HistoryError(f"expected the name of a consumer; got {shown(name)}: {hint}")
    return sources[name]
