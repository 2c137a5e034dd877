"""How far a consumer has read on SQLite: the number of the last row, since there is one writer at a time."""

from __future__ import annotations

import json
from typing import Any, cast

import peewee

from cloudpub_models.errors import FeedGapError
from cloudpub_models.history.feed.positions import Key, Position, Source, Start, rows_of_position
from cloudpub_models.history.tables import rows
from cloudpub_models.sql.identifiers import shown

_LAST = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)"
_PAGES: dict[Source, str] = {
    "changes": "SELECT id, transaction_id, id FROM changes WHERE id > ? ORDER BY id LIMIT ?",
    "outbox": "SELECT id, id, id FROM outbox WHERE id > ? ORDER BY id LIMIT ?",
}
# That a table is recorded from some moment on is nothing to be read.
_UNREAD: dict[Source, str] = {
    "changes": "SELECT count(*), min(changed_at) FROM changes WHERE id > ? AND operation <> 'S'",
    "outbox": "SELECT count(*), min(created_at) FROM outbox WHERE id > ?",
}


def await_turn(database: peewee.Database, name: str) -> None:
    """Do nothing: a transaction that writes is the only one."""


def kept(database: peewee.Database, name: str) -> tuple[Source, Position] | None:
    """Return a consumer's source and position, if there is one of that name."""
    found = rows_of_position(database, "source, position", name)
    if not found:
        return None
    source, position = found[0][0], json.loads(found[0][1])
    if position["id"] > _last(database, source):
        raise FeedGapError(
            f"expected a position that was reached in this database; got one of {shown(name)} behind all that it has "
            "ever had: say from where to go on with history.move_consumer()"
        )
    return cast("Source", source), position


def first(database: peewee.Database, source: Source, start: Start) -> Position:
    """Return where a consumer begins."""
    return {"id": _last(database, source) if start == "now" else 0}


def reach(database: peewee.Database, source: Source, position: Position) -> Position:
    """Return the position: there is something up to the last row."""
    return position


def page(database: peewee.Database, source: Source, position: Position, limit: int) -> list[Key]:
    """Return what follows on a position, at most a number of rows."""
    return [Key(*row) for row in rows(database, _PAGES[source], position["id"], limit)]


def behind(position: Position, last: Key, *, is_all: bool) -> Position:
    """Return the position behind a row of a page."""
    return {"id": last.id}


def unread(database: peewee.Database, source: Source, position: Position) -> tuple[int, Any]:
    """Return how many rows follow on a position, and the moment of the oldest, as the driver has it."""
    ((count, oldest),) = rows(database, _UNREAD[source], position["id"])
    return count, oldest


def is_read(log: Any, position: Position) -> peewee.Expression:
    """Return the condition of rows that a position is behind of, and that nobody who has it asks for again."""
    return cast("peewee.Expression", log.id <= position["id"])


def _last(database: peewee.Database, source: Source) -> int:
    ((number,),) = rows(database, _LAST, source)
    return int(number)
