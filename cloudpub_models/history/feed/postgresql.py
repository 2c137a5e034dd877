"""How far a consumer has read on PostgreSQL: a snapshot, the set of transactions that were over when it was taken.

Numbers are given out before a transaction commits, so nobody may ask for "numbers above the last one". A batch is what
is visible in a later snapshot and was not in the one before; transactions that were running then are named one by one.

Such a batch may be large, and is read in pages. In it transactions stand in the order of their last rows. What one
changes that another one had changed before it comes later: the row was locked until the other one was over, and so all
its rows had their numbers.
"""

from __future__ import annotations

import json
from typing import Any, cast

import peewee

from cloudpub_models.errors import FeedGapError, HistoryError
from cloudpub_models.history.feed.positions import Key, Position, Source, Start, rows_of_position
from cloudpub_models.history.tables import rows
from cloudpub_models.sql.identifiers import shown

# A snapshot before the first transaction.
_NOTHING_SEEN = "1:1:"

_TURN = "SELECT pg_is_in_recovery(), pg_advisory_xact_lock(hashtextextended(?, 0))"
_PRESENT = "SELECT pg_current_snapshot()::text, pg_current_xact_id()::text"

# The order is the index's, so that the planner needs no statistics to see that there is little or nothing.
_REACHED = """
    SELECT pg_current_snapshot()::text, pg_current_xact_id()::text, count(*), min(id) FROM (
        SELECT id FROM {source} WHERE transaction_id >= pg_snapshot_xmax(?::pg_snapshot)
        ORDER BY transaction_id, id LIMIT ?
    ) AS nearest
"""
_LOWEST = """
    SELECT min(id) FROM (
        SELECT id FROM {source} WHERE transaction_id >= pg_snapshot_xmax(?::pg_snapshot) OFFSET 0
    ) AS new
"""
_FEW = 1_000

# The rest of a transaction that did not fit.
_REST = """
    SELECT id, transaction_id::text, ? FROM {source} WHERE transaction_id = ?::xid8 AND id > ? ORDER BY id LIMIT ?
"""

# The inner query goes along the numbers, and stops at the limit however much there is.
_PAGE = """
    WITH ends AS (
        SELECT c.transaction_id, max(c.id) AS last FROM {source} AS c
        WHERE c.transaction_id = ANY (ARRAY(SELECT pg_snapshot_xip(?::pg_snapshot)))
        AND pg_visible_in_snapshot(c.transaction_id, ?::pg_snapshot)
        GROUP BY c.transaction_id HAVING max(c.id) >= ?
        UNION ALL
        (
            SELECT c.transaction_id, c.id FROM {source} AS c
            WHERE c.id >= ? AND c.id >= ? AND c.transaction_id >= pg_snapshot_xmax(?::pg_snapshot)
            AND pg_visible_in_snapshot(c.transaction_id, ?::pg_snapshot)
            AND c.id = (SELECT max(n.id) FROM {source} AS n WHERE n.transaction_id = c.transaction_id)
            ORDER BY c.id LIMIT ?
        )
    )
    SELECT c.id, e.transaction_id::text, e.last
    FROM (SELECT * FROM ends ORDER BY last LIMIT ?) AS e CROSS JOIN LATERAL (
        SELECT c.id FROM {source} AS c
        WHERE c.transaction_id = e.transaction_id AND c.id > CASE WHEN e.last = ? THEN ? ELSE 0 END
        ORDER BY c.id LIMIT ?
    ) AS c ORDER BY e.last, c.id LIMIT ?
"""

_UNREAD = """
    SELECT count(*), min(c.{moment}) FROM {source} AS c
    WHERE (
        c.transaction_id >= pg_snapshot_xmax(?::pg_snapshot)
        OR c.transaction_id = ANY (ARRAY(SELECT pg_snapshot_xip(?::pg_snapshot)))
    ) AND NOT (
        pg_visible_in_snapshot(c.transaction_id, ?::pg_snapshot)
        AND ((SELECT max(n.id) FROM {source} AS n WHERE n.transaction_id = c.transaction_id), c.id) <= (?, ?)
    )
"""
# That a table is recorded from some moment on is nothing to be read.
_UNREAD_OF: dict[Source, str] = {
    "changes": _UNREAD.format(source="changes", moment="changed_at") + "AND c.operation <> 'S'",
    "outbox": _UNREAD.format(source="outbox", moment="created_at"),
}


def await_turn(database: peewee.Database, name: str) -> None:
    """Wait until no other transaction reads for a consumer."""
    ((is_standby, _),) = rows(database, _TURN, f"cloudpub feed {name}")
    if is_standby:
        # Its snapshots do not name the transactions that are running.
        raise HistoryError(
            "expected a primary, which knows the transactions that are running; got a standby: read feeds where "
            "writes go"
        )


def kept(database: peewee.Database, name: str) -> tuple[Source, Position] | None:
    """Return a consumer's source and position, if there is one of that name."""
    found = rows_of_position(database, "source, position, xmin::text", name)
    if not found:
        return None
    source, text, written_by = found[0]
    position = json.loads(text)
    # A row that was copied or restored was written by another transaction than the one that made the position.
    if int(written_by) != position["written_by"] % 2**32:
        raise FeedGapError(
            f"expected a position that was reached in this database; got one of {shown(name)} that was copied into it, "
            "where transactions have other numbers: say from where to go on with history.move_consumer()"
        )
    return cast("Source", source), position


def first(database: peewee.Database, source: Source, start: Start) -> Position:
    """Return where a consumer begins."""
    ((snapshot, number),) = rows(database, _PRESENT)
    before = _with_running(snapshot, int(number)) if start == "now" else _NOTHING_SEEN
    return {"before": before, "written_by": int(number)}


def reach(database: peewee.Database, source: Source, position: Position) -> Position:
    """Return a position that says up to where there is something to read from it."""
    before = position["before"]
    ((snapshot, number, count, lowest),) = rows(database, _REACHED.format(source=source), before, _FEW)
    if "after" in position:
        return {**position, "written_by": int(number)}
    if count == _FEW:
        ((lowest,),) = rows(database, _LOWEST.format(source=source), before)
    return {
        **position,
        "written_by": int(number),
        "after": _with_running(snapshot, int(number)),
        "lowest": lowest,
        "transaction": None,
        "last": 0,
        "id": 0,
    }


def page(database: peewee.Database, source: Source, position: Position, limit: int) -> list[Key]:
    """Return what follows on a position that was reached for, at most a number of rows."""
    before, after, last, lowest = (position[name] for name in ("before", "after", "last", "lowest"))
    if lowest is None and not _running(before):
        return []
    if position["transaction"] is not None:
        rest = rows(database, _REST.format(source=source), last, position["transaction"], position["id"], limit)
        if len(rest) == limit:
            return [Key(*row) for row in rest]
    # One more, since the first transaction may be one that was read to its end.
    ends = limit + 1
    values = (before, after, last, lowest, last, before, after, ends, ends, last, position["id"], limit, limit)
    return [Key(*row) for row in rows(database, _PAGE.format(source=source), *values)]


def behind(position: Position, last: Key, *, is_all: bool) -> Position:
    """Return the position behind a row of a page."""
    if is_all:
        return {"before": position["after"], "written_by": position["written_by"]}
    return {**position, "transaction": last.transaction, "last": last.order, "id": last.id}


def unread(database: peewee.Database, source: Source, position: Position) -> tuple[int, Any]:
    """Return how many rows follow on a position, and the moment of the oldest, as the driver has it."""
    before = position["before"]
    values = (before, before, position.get("after", before), position.get("last", 0), position.get("id", 0))
    ((count, oldest),) = rows(database, _UNREAD_OF[source], *values)
    return count, oldest


def is_read(log: Any, position: Position) -> peewee.Expression:
    """Return the condition of rows that a position is behind of, and that nobody who has it asks for again."""
    snapshot = peewee.Cast(peewee.Value(position["before"]), "pg_snapshot")
    return cast("peewee.Expression", peewee.fn.pg_visible_in_snapshot(peewee.SQL("transaction_id"), snapshot))


def _with_running(snapshot: str, number: int) -> str:
    """Return a snapshot with one more transaction that is running.

    PostgreSQL leaves out the one that asks, since that sees its own rows; what it has yet to write would count as seen.
    """
    first, end, _ = snapshot.split(":")
    if number >= int(end):
        return snapshot
    running = sorted({number, *_running(snapshot)})
    return f"{min(int(first), number)}:{end}:{','.join(map(str, running))}"


def _running(snapshot: str) -> list[int]:
    listed = snapshot.rpartition(":")[2]
    return [int(number) for number in listed.split(",")] if listed else []
