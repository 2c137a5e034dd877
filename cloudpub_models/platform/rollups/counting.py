"""Counting: the hours of a stretch of time, those that have changed since they were counted, their days and months.

All levels are counted in one transaction, which shows it all or nothing. What has changed is said by marks, which
triggers leave and which go with the counting. Hours from before ``kept_since`` are frozen, since their rows may be
gone: they are not counted again, and what comes into them is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from cloudpub_models.connection import Database
from cloudpub_models.entity.stored_forms import timestamp_from_database
from cloudpub_models.errors import ConfigurationError, ForeignKeyViolationError, InvalidQueryError
from cloudpub_models.manager.sending import send_command, send_query
from cloudpub_models.platform.rollups.kinds import kind_of, statement
from cloudpub_models.sql import Dialect

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
TABLES = frozenset(
    ["function_invocation_rollups", "function_invocation_rollups_late", "function_invocation_rollups_state"]
)
# How often a function may be deleted in the middle of a counting before that gives up.
_ATTEMPTS = 5

_STATE = "SELECT counted_until, kept_since FROM function_invocation_rollups_state"
_LOCKED_STATE = "SELECT counted_until, kept_since FROM function_invocation_rollups_state {locked}"
# All hours of rows that are kept.
_MARK_COUNTED = """
    INSERT INTO function_invocation_rollups_late (function_id, hour)
    SELECT function_id, start FROM function_invocation_rollups WHERE level = 0 AND start >= @kept
"""
_MARKS = "SELECT COUNT(*) AS marks FROM function_invocation_rollups_late"

# The hours that are counted for the first time are among the marks, as those whose days and months change.
_MARK_FRESH = """
    INSERT INTO function_invocation_rollups_late (function_id, hour)
    SELECT DISTINCT function_id, HOUR_OF(timestamp) FROM function_invocations
    WHERE timestamp >= @counted AND timestamp < @until
"""
_EMPTY_LATE = """
    DELETE FROM function_invocation_rollups WHERE level = 0 AND (function_id, start) IN (
        SELECT function_id, hour FROM function_invocation_rollups_late WHERE hour >= @kept
    )
"""
_COUNT = """
    INSERT INTO function_invocation_rollups (
        function_id, level, start, total, successful, timed, duration, minimum, maximum, latest, {histogram}
    )
    SELECT function_id, 0, hour, SUM(total), SUM(successful), SUM(number), SUM(duration), MIN(minimum), MAX(maximum),
        MAX(latest), {collected}
    FROM (
        SELECT function_id, hour, {kept} AS kept, COUNT(*) AS total,
            COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful, COUNT(duration_ms) AS number,
            COALESCE(SUM(duration_ms), 0) AS duration, MIN(duration_ms) AS minimum, MAX(duration_ms) AS maximum,
            MAX(timestamp) AS latest
        FROM ({rows}) AS r GROUP BY 1, 2, 3
    ) AS counted GROUP BY function_id, hour
"""
_FRESH_ROWS = """
    SELECT function_id, HOUR_OF(timestamp) AS hour, status, duration_ms, timestamp FROM function_invocations
    WHERE timestamp >= @counted AND timestamp < @until
"""
_LATE_ROWS = """
    SELECT l.function_id, l.hour, i.status, i.duration_ms, i.timestamp
    FROM (
        SELECT DISTINCT function_id, hour FROM function_invocation_rollups_late
        WHERE hour >= @kept AND hour < @counted
    ) AS l CROSS JOIN function_invocations AS i
    WHERE i.function_id = l.function_id AND i.timestamp >= l.hour AND i.timestamp < END_OF_HOUR(l.hour)
"""
_MERGE = """
    INSERT INTO function_invocation_rollups (
        function_id, level, start, total, successful, timed, duration, minimum, maximum, latest, {histogram}
    )
    SELECT function_id, {level}, start, SUM(total), SUM(successful), SUM(timed), SUM(duration), MIN(minimum),
        MAX(maximum), MAX(latest), {collected}
    FROM (
        SELECT p.function_id, p.whole AS start, total, successful, timed, duration, minimum, maximum, latest,
            CAST(NULL AS INTEGER) AS kept, 0 AS number
        FROM ({parts}) AS p
        UNION ALL
        SELECT p.function_id, p.whole, 0, 0, 0, 0, NULL, NULL, NULL, {spread_kept}, SUM({spread_number})
        FROM ({parts}) AS p {spread} GROUP BY p.function_id, p.whole, {spread_kept}
    ) AS merged GROUP BY function_id, start {conflict}
"""
# The days or months of marked hours, and what they consist of: the hours of those days, the days of those months.
_EMPTY_WHOLE = """
    DELETE FROM function_invocation_rollups WHERE level = {level} AND (function_id, start) IN (
        SELECT function_id, {unit}_OF(hour) FROM function_invocation_rollups_late
    )
"""
_PARTS_OF_WHOLE = """
    SELECT l.whole, r.* FROM (
        SELECT DISTINCT function_id, {unit}_OF(hour) AS whole FROM function_invocation_rollups_late
    ) AS l CROSS JOIN function_invocation_rollups AS r
    WHERE r.function_id = l.function_id AND r.level = {level} - 1 AND r.start >= l.whole
        AND r.start < END_OF_{unit}(l.whole)
"""
# What has come into frozen hours, beside what was counted of them.
_ADDITIONS = """
    SELECT l.whole, h.* FROM (
        SELECT DISTINCT function_id, hour AS whole FROM function_invocation_rollups_late
        WHERE successful IS NOT NULL AND hour < @kept
    ) AS l CROSS JOIN function_invocation_rollups AS h
    WHERE h.function_id = l.function_id AND h.level = 0 AND h.start = l.whole
    UNION ALL
    SELECT hour, function_id, 0, hour, 1, successful, CASE WHEN duration_ms IS NULL THEN 0 ELSE 1 END,
        COALESCE(duration_ms, 0), duration_ms, duration_ms, timestamp, {single}
    FROM (
        SELECT function_id, hour, successful, duration_ms, timestamp, {kept} AS kept
        FROM function_invocation_rollups_late
        WHERE successful IS NOT NULL AND hour < @kept AND (function_id IN (SELECT id FROM functions){or_all})
    ) AS a
"""
_IN_PLACE = """
    ON CONFLICT (function_id, level, start) DO UPDATE SET total = excluded.total, successful = excluded.successful,
        timed = excluded.timed, duration = excluded.duration, minimum = excluded.minimum, maximum = excluded.maximum,
        latest = excluded.latest, {replaced}
"""
_FORGET_MARKS = "DELETE FROM function_invocation_rollups_late"
_MOVE = "UPDATE function_invocation_rollups_state SET counted_until = @until, kept_since = @new_kept"


class State(NamedTuple):
    """What is counted.

    Attributes:
        counted_until: up to when; the year 1 where nothing is.
        kept_since: from when on rows are kept; hours before it are frozen. The year 1 where all rows are.
    """

    counted_until: datetime
    kept_since: datetime


def is_on(database: Database) -> bool:
    """Return whether a database has rollups."""
    return bool(send_query(database, kind_of(database).IS_THERE, writes=True)[0]["is_there"])


def state_of(database: Database) -> State:
    """Return what a database has counted.

    Raises:
        ConfigurationError: it has no rollups.
    """
    if not is_on(database):
        raise ConfigurationError("expected a database with rollups; got one without: run 'cloudpub rollup on' first")
    return _state(send_query(database, _STATE, writes=True))


def marks_of(database: Database) -> int:
    """Return how many marks wait for the next counting."""
    return int(send_query(database, _MARKS)[0]["marks"])


def hour_of(moment: datetime) -> datetime:
    """Return when the hour of UTC begins in which a moment lies."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def count(database: Database, until: datetime, keep_since: datetime = BEGINNING, *, wait: float) -> State:
    """Count the whole hours before a moment, and again those that have changed.

    Args:
        database: the database.
        until: the moment, which has been.
        keep_since: before when hours are frozen from now on.
        wait: for how many seconds to wait for transactions that were writing when this began.

    Returns:
        what is counted now.

    Raises:
        ConfigurationError: the database has no rollups.
        InvalidQueryError: this thread has a transaction open.
        LockNotAvailableError: a transaction has gone on for longer, or somebody else is counting.
    """
    if database.engine.scopes():
        raise InvalidQueryError("expected no open transaction; got one: rollups are counted in one of their own")
    state_of(database)
    until, keep_since = hour_of(until), hour_of(keep_since)
    kind_of(database).announce(database, until, keep_since, wait)
    attempts_left = _ATTEMPTS
    while True:
        try:
            with database.engine.with_all_tables():
                return database.run_transaction(
                    lambda _connection: _count(database, until, keep_since, wait), isolation="REPEATABLE READ"
                )
        except ForeignKeyViolationError:
            # A function was deleted meanwhile; the next snapshot has none of its rows.
            attempts_left -= 1
            if not attempts_left:
                raise


def count_again(database: Database) -> None:
    """Forget what was counted of rows that are kept, in the caller's transaction, in which nobody else may write."""
    state = state_of(database)
    send_command(database, _MARK_COUNTED, {"kept": state.kept_since})
    _send_all(database, State(state.kept_since, state.kept_since), state.kept_since, state.kept_since)


def locked_state_of(database: Database, wait: float) -> State:
    """Return what is counted, in the caller's transaction, to whose end nobody else counts.

    Args:
        database: the database.
        wait: for how many seconds to wait for somebody who is counting.
    """
    kind_of(database).prepare(database, wait)
    locked = statement(database.engine.sql_dialect, _LOCKED_STATE)
    return _state(send_query(database, locked, writes=True))


def count_marked(database: Database, state: State) -> None:
    """Count again what is marked, and no more, in the caller's transaction, which has the state and its lock."""
    _send_all(database, state, state.counted_until, state.kept_since)


def _count(database: Database, until: datetime, keep_since: datetime, wait: float) -> State:
    before = locked_state_of(database, wait)
    return _send_all(database, before, max(before.counted_until, until), max(before.kept_since, keep_since))


def _send_all(database: Database, before: State, until: datetime, kept: datetime) -> State:
    values = {"counted": before.counted_until, "kept": before.kept_since, "until": until, "new_kept": kept}
    for sql in _steps(database.engine.sql_dialect):
        send_command(database, sql, {name: value for name, value in values.items() if f"@{name}" in sql})
    return State(until, kept)


def _steps(dialect: Dialect) -> Iterator[str]:
    """Yield what is sent to count: hours from rows, frozen hours with what has come into them, days, months."""
    in_words = partial(statement, dialect)
    yield in_words(_MARK_FRESH)
    yield in_words(_EMPTY_LATE)
    yield in_words(_COUNT, rows=_LATE_ROWS)
    yield in_words(_COUNT, rows=_FRESH_ROWS)
    yield in_words(_MERGE, level="0", parts=in_words(_ADDITIONS), conflict=in_words(_IN_PLACE))
    for level, unit in (("1", "DAY"), ("2", "MONTH")):
        yield in_words(_EMPTY_WHOLE, level=level, unit=unit)
        yield in_words(_MERGE, level=level, parts=in_words(_PARTS_OF_WHOLE, level=level, unit=unit), conflict="")
    yield _FORGET_MARKS
    yield _MOVE


def _state(rows: list[dict[str, Any]]) -> State:
    counted_until, kept_since = (timestamp_from_database(rows[0][name]) for name in State._fields)
    assert counted_until is not None
    assert kept_since is not None
    return State(counted_until, kept_since)
