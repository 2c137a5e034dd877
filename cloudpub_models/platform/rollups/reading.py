"""Reading: statistics of months, days and hours that are counted, and of rows where that is more exact.

One statement does it, and so sees one moment: months, days and hours without a mark, the days and hours of those that
have one, the rows of hours that have one, and the rows of both ends, where no whole hour is asked for or counted. What
it gives is what the rows would give, but that percentiles go by four digits of a duration.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cloudpub_models.connection import Database
from cloudpub_models.platform.durations import Durations
from cloudpub_models.platform.periods import Buckets
from cloudpub_models.platform.rollups.counting import hour_of, is_on
from cloudpub_models.platform.rollups.kinds import kind_of, statement
from cloudpub_models.sql import Dialect

# A statement with the values of its parameters, but for whose invocations are meant.
Query = tuple[str, dict[str, Any]]

OF_FUNCTION: Final = "= @function"
OF_FUNCTIONS: Final = "IN @functions"
OF_USER: Final = "IN (SELECT id FROM functions WHERE user_id = @user)"
_HOUR_SECONDS, _DAY_SECONDS = 3_600, 86_400
END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)

# SQLite takes what stands left of CROSS JOIN first, where little is.
_SOURCES = """
    WITH state AS (SELECT counted_until, kept_since FROM function_invocation_rollups_state),
    late AS (
        SELECT DISTINCT function_id, hour, DAY_OF(hour) AS day, MONTH_OF(hour) AS month
        FROM function_invocation_rollups_late
        WHERE function_id {whose} AND hour >= @hours AND hour < @end
            AND hour >= (SELECT kept_since FROM state) AND hour < (SELECT counted_until FROM state)
    ),
    counted AS (
        SELECT r.* FROM function_invocation_rollups AS r
        WHERE r.function_id {whose} AND r.level = 0 AND r.start >= @hours AND r.start < @days
            AND NOT EXISTS (SELECT 1 FROM late AS l WHERE l.function_id = r.function_id AND l.hour = r.start)
        UNION ALL
        SELECT r.* FROM function_invocation_rollups AS r
        WHERE r.function_id {whose} AND r.level = 1 AND r.start >= @days AND r.start < @months
            AND NOT EXISTS (SELECT 1 FROM late AS l WHERE l.function_id = r.function_id AND l.day = r.start)
        UNION ALL
        SELECT r.* FROM function_invocation_rollups AS r
        WHERE r.function_id {whose} AND r.level = 2 AND r.start >= @months AND r.start < @end
            AND NOT EXISTS (SELECT 1 FROM late AS l WHERE l.function_id = r.function_id AND l.month = r.start)
        UNION ALL
        SELECT r.* FROM (SELECT DISTINCT function_id, month FROM late WHERE month >= @months) AS m
        CROSS JOIN function_invocation_rollups AS r
        WHERE r.function_id = m.function_id AND r.level = 1 AND r.start >= m.month AND r.start < END_OF_MONTH(m.month)
            AND NOT EXISTS (SELECT 1 FROM late AS l WHERE l.function_id = r.function_id AND l.day = r.start)
        UNION ALL
        SELECT r.* FROM (SELECT DISTINCT function_id, day FROM late WHERE day >= @days) AS d
        CROSS JOIN function_invocation_rollups AS r
        WHERE r.function_id = d.function_id AND r.level = 0 AND r.start >= d.day AND r.start < END_OF_DAY(d.day)
            AND NOT EXISTS (SELECT 1 FROM late AS l WHERE l.function_id = r.function_id AND l.hour = r.start)
        UNION ALL
        SELECT r.* FROM function_invocation_rollups AS r
        WHERE r.function_id {whose} AND r.level = 0 AND r.start = @first AND r.start < @hours
            AND r.start < (SELECT kept_since FROM state)
    ),
    uncounted AS (
        SELECT timestamp, CASE WHEN status = 'success' THEN 1 ELSE 0 END AS successful, duration_ms
        FROM function_invocations
        WHERE function_id {whose} AND timestamp >= @begin AND timestamp < @hours
            AND timestamp >= (SELECT kept_since FROM state)
        UNION ALL
        SELECT timestamp, CASE WHEN status = 'success' THEN 1 ELSE 0 END, duration_ms FROM function_invocations
        WHERE function_id {whose} AND timestamp >= (SELECT {larger}(counted_until, @hours) FROM state)
            AND timestamp < @end{uncounted_when}
        UNION ALL
        SELECT i.timestamp, CASE WHEN i.status = 'success' THEN 1 ELSE 0 END, i.duration_ms
        FROM late AS l CROSS JOIN function_invocations AS i
        WHERE i.function_id = l.function_id AND i.timestamp >= l.hour AND i.timestamp < END_OF_HOUR(l.hour){late_when}
        UNION ALL
        SELECT timestamp, successful, duration_ms FROM function_invocation_rollups_late
        WHERE function_id {whose} AND successful IS NOT NULL AND hour >= @first AND hour < @end
            AND hour < (SELECT kept_since FROM state)
    )
"""
_PARTS = """
        SELECT start AS moment, latest, total, successful, timed, duration, minimum, maximum FROM counted
        UNION ALL
        SELECT timestamp, timestamp, 1, successful, CASE WHEN duration_ms IS NULL THEN 0 ELSE 1 END, duration_ms,
            duration_ms, duration_ms
        FROM uncounted
"""
_SUMS = """
    {sources}
    SELECT (SECONDS_OF(moment) - @origin) / @slot_seconds AS slot, CAST(SUM(total) AS BIGINT) AS total,
        CAST(SUM(successful) AS BIGINT) AS successful, CAST(SUM(timed) AS BIGINT) AS timed,
        CAST(SUM(duration) AS BIGINT) AS duration, MIN(minimum) AS minimum, MAX(maximum) AS maximum
    FROM (
        {parts}
    ) AS parts GROUP BY 1
"""
_SPREAD = """
    {sources}
    SELECT (SECONDS_OF(start) - @origin) / @slot_seconds AS slot, total, successful, timed, duration, minimum, maximum,
        CAST(NULL AS INTEGER) AS kept, {histogram}
    FROM counted
    UNION ALL
    SELECT (SECONDS_OF(timestamp) - @origin) / @slot_seconds, COUNT(*), SUM(successful), COUNT(duration_ms),
        COALESCE(SUM(duration_ms), 0), MIN(duration_ms), MAX(duration_ms), {kept}, {no_histogram}
    FROM uncounted GROUP BY 1, 8
"""
_OVERVIEW = """
    {sources}{owned}
    SELECT CAST(COALESCE(SUM(total), 0) AS BIGINT) AS total, CAST(COALESCE(SUM(successful), 0) AS BIGINT) AS successful,
        CAST(COALESCE(SUM(timed), 0) AS BIGINT) AS timed, CAST(SUM(duration) AS BIGINT) AS duration,
        MIN(minimum) AS minimum, MAX(maximum) AS maximum, MAX(latest) AS last_invocation_at{of_functions}
    FROM (
        {parts}
    ) AS parts
"""
_OWNED = ", owned AS (SELECT id, status FROM functions WHERE user_id = @user)"
_OF_FUNCTIONS = """,
        (SELECT COUNT(*) FROM owned) AS functions,
        (SELECT COUNT(*) FROM owned WHERE status = 'active') AS active_functions,
        (SELECT COUNT(*) FROM function_deployments WHERE function_id IN (SELECT id FROM owned)) AS deployments
"""


def are_there(database: Database) -> bool:
    """Return whether a database that is said to have rollups has them; that it has is remembered."""
    engine = database.engine
    if not engine.has_rollups:
        engine.has_rollups = is_on(database)
    return engine.has_rollups


def fits(buckets: Buckets) -> bool:
    """Return whether buckets are made of whole hours of UTC, of which alone there are rollups."""
    return buckets.origin % _HOUR_SECONDS == 0 and buckets.slot_seconds % _HOUR_SECONDS == 0


def sums(dialect: Dialect, whose: str, buckets: Buckets) -> Query:
    """Return the query for the sums of each slot of buckets that fit; it gives what the one for rows gives.

    Args:
        dialect: how SQL is written.
        whose: which functions' invocations, as a condition on their ids.
        buckets: the buckets.
    """
    return _query(dialect, _SUMS, whose, _of_buckets(buckets))


def spread(dialect: Dialect, buckets: Buckets) -> Query:
    """Return the query for parts of each slot of buckets that fit, with the durations of one function."""
    return _query(dialect, _SPREAD, OF_FUNCTION, _of_buckets(buckets))


def spread_since(dialect: Dialect, since: datetime) -> Query:
    """Return the query for parts of what a function has done since a moment, with the durations."""
    return _query(dialect, _SPREAD, OF_FUNCTION, {"origin": 0, "slot_seconds": 10**12, **_since(since)})


def overview_since(dialect: Dialect, since: datetime) -> Query:
    """Return the query for the overview of a user; it gives what the one for rows gives."""
    return _query(dialect, _OVERVIEW, OF_USER, _since(since), owned=_OWNED, of_functions=_OF_FUNCTIONS)


def overview_of_functions_since(dialect: Dialect, since: datetime) -> Query:
    """Return the query for what it says of the invocations of some functions."""
    return _query(dialect, _OVERVIEW, OF_FUNCTIONS, _since(since), owned="", of_functions="")


def durations_in(database: Database, parts: Iterable[Mapping[str, Any]]) -> Durations:
    """Return the durations of parts, of four digits each."""
    kind = kind_of(database)
    counts: defaultdict[int, int] = defaultdict(int)
    for part in parts:
        if part["durations"] is not None:
            for kept, number in kind.durations_of(part):
                counts[kept] += number
        elif part["kept"] is not None:
            counts[part["kept"]] += part["total"]
    return Durations(counts)


def _query(dialect: Dialect, sql: str, whose: str, values: dict[str, Any], **parts: str) -> Query:
    sources = statement(dialect, _SOURCES, whose=whose)
    return statement(dialect, sql, sources=sources, parts=_PARTS, **parts), values


def _of_buckets(buckets: Buckets) -> dict[str, Any]:
    begin, end = buckets.begin, buckets.end
    whole_days = buckets.origin % _DAY_SECONDS == 0 and buckets.slot_seconds % _DAY_SECONDS == 0
    levels = {"first": begin, "hours": begin, "days": begin if whole_days else end, "months": end}
    return {**buckets.parameters, **levels}


def _since(moment: datetime) -> dict[str, datetime]:
    """Return from when on hours, days and months are taken, behind a moment."""
    hours = _whole(moment, hour_of(moment), timedelta(hours=1))
    days = _whole(hours, hours.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(days=1))
    months = _whole(days, days.replace(day=1, hour=0, minute=0, second=0, microsecond=0), timedelta(days=31))
    months = months if months == END_OF_TIME else months.replace(day=1)
    first = hour_of(moment)
    return {"begin": moment, "first": first, "hours": hours, "days": days, "months": months, "end": END_OF_TIME}


def _whole(moment: datetime, beginning: datetime, length: timedelta) -> datetime:
    """Return the moment where it is that beginning, else what lies a length behind that."""
    if moment == beginning:
        return moment
    return beginning + length if beginning < END_OF_TIME - length else END_OF_TIME
