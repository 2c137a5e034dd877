"""The statistics of invocations: their SQL, and what it gives.

A status of ``success`` is a success and any other a failure, as in the rest of the platform. Durations are
milliseconds; an invocation whose duration is not known counts in everything but the durations. Percentiles are computed
by the database, by linear interpolation; both databases give the same numbers. Which rows are meant is in
``invocations``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cloudpub_models.entity.stored_forms import timestamp_from_database
from cloudpub_models.platform.periods import Buckets

SUCCESS: Final = "success"

_COUNTS = (
    f"COUNT(*) AS total, COUNT(CASE WHEN status = '{SUCCESS}' THEN 1 END) AS successful, "
    "COUNT(duration_ms) AS timed, SUM(duration_ms) AS duration, "
    "MIN(duration_ms) AS minimum, MAX(duration_ms) AS maximum"
)
_FRACTIONS: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_PERCENTILES: Final = {
    "postgresql": "percentile_cont({fraction}) WITHIN GROUP (ORDER BY duration_ms) AS {name}",
    # The same arithmetic, operation by operation, as percentile_cont's in PostgreSQL's orderedsetaggs.c.
    "sqlite": (
        "MAX(CASE WHEN place = CAST({fraction} * last_place AS INTEGER) THEN duration_ms "
        "+ ({fraction} * last_place - place) * (COALESCE(next_duration_ms, duration_ms) - duration_ms) END) AS {name}"
    ),
}
_RANKED: Final = {
    "postgresql": "SELECT status, duration_ms FROM function_invocations",
    "sqlite": (
        "SELECT status, duration_ms, ROW_NUMBER() OVER durations - 1 AS place, "
        "LEAD(duration_ms) OVER durations AS next_duration_ms, COUNT(duration_ms) OVER () - 1 AS last_place "
        "FROM function_invocations"
    ),
}
_WINDOW: Final = {"postgresql": "", "sqlite": " WINDOW durations AS (ORDER BY duration_ms NULLS LAST)"}
_SLOT: Final = {
    # EXTRACT would calculate in NUMERIC, which takes twice as long; a double tells microseconds apart until 2242.
    "postgresql": "CAST(FLOOR((DATE_PART('epoch', timestamp) - @origin) / @slot_seconds) AS BIGINT)",
    # Without the fraction, which SQLite's date functions round.
    "sqlite": "(CAST(STRFTIME('%s', SUBSTR(timestamp, 1, 19)) AS INTEGER) - @origin) / @slot_seconds",
}


def _function_stats(dialect: str) -> str:
    percentiles = ", ".join(
        _PERCENTILES[dialect].format(name=name, fraction=fraction) for name, fraction in _FRACTIONS.items()
    )
    return (
        f"WITH chosen AS ({_RANKED[dialect]} WHERE function_id = @function AND timestamp >= @since{_WINDOW[dialect]}) "  # noqa: S608
        f"SELECT {_COUNTS}, {percentiles} FROM chosen"
    )


FUNCTION_STATS: Final = {dialect: _function_stats(dialect) for dialect in _PERCENTILES}
"""Takes ``function`` and ``since``."""

SERIES: Final = {
    dialect: (
        f"SELECT {slot} AS slot, {_COUNTS} FROM function_invocations "  # noqa: S608
        "WHERE function_id = @function AND timestamp >= @begin AND timestamp < @end GROUP BY 1"
    )
    for dialect, slot in _SLOT.items()
}
"""Takes ``function``, ``begin``, ``end``, ``origin`` (seconds since 1970) and ``slot_seconds``."""

DURATIONS: Final = {
    dialect: (
        f"SELECT {slot} AS slot, duration_ms, COUNT(*) AS invocations FROM function_invocations "  # noqa: S608
        "WHERE function_id = @function AND timestamp >= @begin AND timestamp < @end AND duration_ms IS NOT NULL "
        "GROUP BY 1, 2"
    )
    for dialect, slot in _SLOT.items()
}
"""How often each duration occurred in each slot; takes what ``SERIES`` takes."""

USER_OVERVIEW: Final = (
    "WITH owned AS (SELECT id, status FROM functions WHERE user_id = @user) "  # noqa: S608
    f"SELECT {_COUNTS}, MAX(timestamp) AS last_invocation_at, "
    "(SELECT COUNT(*) FROM owned) AS functions, "
    "(SELECT COUNT(*) FROM owned WHERE status = 'active') AS active_functions, "
    "(SELECT COUNT(*) FROM function_deployments WHERE function_id IN (SELECT id FROM owned)) AS deployments "
    "FROM function_invocations WHERE function_id IN (SELECT id FROM owned) AND timestamp >= @since"
)
"""Takes ``user`` and ``since``."""


@dataclass(frozen=True, kw_only=True)
class InvocationCounts:
    """How a number of invocations went.

    Attributes:
        total: how many there were.
        successful: how many of them with the status ``success``.
        failed: how many with any other.
        success_rate: the successful among all, from 0 to 1; ``None`` where there were none.
        average: the mean duration in milliseconds; ``None``, as all durations, where none is known.
        minimum: the shortest duration in milliseconds.
        maximum: the longest duration in milliseconds.
    """

    total: int
    successful: int
    failed: int
    success_rate: float | None
    average: float | None
    minimum: int | None
    maximum: int | None


@dataclass(frozen=True, kw_only=True)
class FunctionStats(InvocationCounts):
    """How the invocations of a function went; see ``InvocationCounts``.

    Attributes:
        p50: the duration in milliseconds that half of the invocations did not exceed.
        p95: the duration that 95 of 100 did not exceed.
        p99: the duration that 99 of 100 did not exceed.
    """

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, kw_only=True)
class InvocationBucket(InvocationCounts):
    """How the invocations of one hour or day went; see ``InvocationCounts``.

    Attributes:
        start: when it begins, with the time zone's offset from UTC at that moment.
        end: when the next one begins.
    """

    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class UserOverview(InvocationCounts):
    """How the invocations of all of a user's functions went; see ``InvocationCounts``.

    Attributes:
        functions: how many functions the user has.
        active_functions: how many of them have the status ``active``.
        deployments: how many deployments they have.
        last_invocation_at: when the latest of the invocations began; ``None`` where there were none.
    """

    functions: int
    active_functions: int
    deployments: int
    last_invocation_at: datetime | None


def function_stats(row: Mapping[str, Any]) -> FunctionStats:
    """Return what the row of ``FUNCTION_STATS`` says."""
    return FunctionStats(**_counts(row), **{name: row[name] for name in _FRACTIONS})


def user_overview(row: Mapping[str, Any]) -> UserOverview:
    """Return what the row of ``USER_OVERVIEW`` says."""
    numbers = {name: row[name] for name in ("functions", "active_functions", "deployments")}
    return UserOverview(
        **_counts(row), **numbers, last_invocation_at=timestamp_from_database(row["last_invocation_at"])
    )


def series(rows: Iterable[Mapping[str, Any]], buckets: Buckets) -> list[InvocationBucket]:
    """Return the buckets with what the rows of ``SERIES`` say, and with zeros where they say nothing."""
    rows_of: list[list[Mapping[str, Any]]] = [[] for _ in range(len(buckets))]
    for row in rows:
        rows_of[buckets.of_slot(row["slot"])].append(row)
    filled = []
    for number, own in enumerate(rows_of):
        start, end = buckets.span(number)
        filled.append(InvocationBucket(**_counts(_together(own)), start=start, end=end))
    return filled


def _together(rows: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    if len(rows) == 1:
        return rows[0]
    sums = {name: sum(row[name] or 0 for row in rows) for name in ("total", "successful", "timed", "duration")}
    shortest = [row["minimum"] for row in rows if row["minimum"] is not None]
    longest = [row["maximum"] for row in rows if row["maximum"] is not None]
    return {**sums, "minimum": min(shortest, default=None), "maximum": max(longest, default=None)}


def _counts(row: Mapping[str, Any]) -> dict[str, Any]:
    total, successful, timed = row["total"], row["successful"], row["timed"]
    return {
        "total": total,
        "successful": successful,
        "failed": total - successful,
        "success_rate": successful / total if total else None,
        # From the exact sum, since the databases round their own averages differently.
        "average": int(row["duration"]) / timed if timed else None,
        "minimum": row["minimum"],
        "maximum": row["maximum"],
    }
