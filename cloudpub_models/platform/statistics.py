"""The statistics of invocations: their SQL, and what it gives.

A status of ``success`` is a success and any other a failure, as in the rest of the platform. Durations are
milliseconds; an invocation whose duration is not known counts in everything but the durations. Which rows are meant is
in ``invocations``, what their durations say in ``durations``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Self

from cloudpub_models.entity.stored_forms import timestamp_from_database
from cloudpub_models.errors import UnknownColumnError, did_you_mean
from cloudpub_models.platform.durations import Durations
from cloudpub_models.platform.periods import Buckets
from cloudpub_models.sql import Dialect
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.render.handwritten import in_words_of, put_together

FUNCTION_STATS: Final = """
    SELECT duration_ms, COUNT(*) AS total, COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful
    FROM function_invocations WHERE function_id = @function AND timestamp >= @since GROUP BY duration_ms
"""
"""How often each duration occurred; takes ``function`` and ``since``."""

USER_OVERVIEW: Final = """
    WITH owned AS (SELECT id, status FROM functions WHERE user_id = @user)
    SELECT COUNT(*) AS total, COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful,
        COUNT(duration_ms) AS timed, SUM(duration_ms) AS duration, MIN(duration_ms) AS minimum,
        MAX(duration_ms) AS maximum, MAX(timestamp) AS last_invocation_at,
        (SELECT COUNT(*) FROM owned) AS functions,
        (SELECT COUNT(*) FROM owned WHERE status = 'active') AS active_functions,
        (SELECT COUNT(*) FROM function_deployments WHERE function_id IN (SELECT id FROM owned)) AS deployments
    FROM function_invocations WHERE function_id IN (SELECT id FROM owned) AND timestamp >= @since
"""
"""Takes ``user`` and ``since``."""

OWNED: Final = """
    SELECT (SELECT COUNT(*) FROM functions WHERE user_id = @user) AS functions,
        (SELECT COUNT(*) FROM functions WHERE user_id = @user AND status = 'active') AS active_functions,
        (SELECT COUNT(*) FROM function_deployments
         WHERE function_id IN (SELECT id FROM functions WHERE user_id = @user)) AS deployments
"""
"""What ``USER_OVERVIEW`` says of functions, where their invocations are elsewhere; takes ``user``."""

OVERVIEW_OF_FUNCTIONS: Final = """
    SELECT COUNT(*) AS total, COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful,
        COUNT(duration_ms) AS timed, SUM(duration_ms) AS duration, MIN(duration_ms) AS minimum,
        MAX(duration_ms) AS maximum, MAX(timestamp) AS last_invocation_at
    FROM function_invocations WHERE function_id IN @functions AND timestamp >= @since
"""
"""What it says of invocations; takes ``functions`` and ``since``."""

LATEST_OF_FUNCTIONS: Final = """
    SELECT (
        SELECT id FROM function_invocations WHERE function_id = CAST(key AS BIGINT)
        ORDER BY timestamp DESC, id DESC LIMIT 1
    ) AS id
    FROM UNNEST(STRING_TO_ARRAY(@functions, ',')) AS keys (key)
"""
"""The ids of the latest invocations on PostgreSQL, NULL for a function without any; takes the ids of functions."""

_SERIES: Final = """
    SELECT (SECONDS_OF(timestamp) - @origin) / @slot_seconds AS slot, COUNT(*) AS total,
        COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful, COUNT(duration_ms) AS timed,
        SUM(duration_ms) AS duration, MIN(duration_ms) AS minimum, MAX(duration_ms) AS maximum
    FROM function_invocations WHERE function_id = @function AND timestamp >= @begin AND timestamp < @end GROUP BY 1
"""
_USER_SERIES: Final = """
    SELECT (SECONDS_OF(timestamp) - @origin) / @slot_seconds AS slot, COUNT(*) AS total,
        COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful, COUNT(duration_ms) AS timed,
        SUM(duration_ms) AS duration, MIN(duration_ms) AS minimum, MAX(duration_ms) AS maximum
    FROM function_invocations WHERE function_id IN {functions} AND timestamp >= @begin AND timestamp < @end GROUP BY 1
"""
_OF_USER: Final = "(SELECT id FROM functions WHERE user_id = @user)"
_DURATIONS: Final = """
    SELECT (SECONDS_OF(timestamp) - @origin) / @slot_seconds AS slot, duration_ms, COUNT(*) AS invocations
    FROM function_invocations WHERE function_id = @function AND timestamp >= @begin AND timestamp < @end
        AND duration_ms IS NOT NULL GROUP BY 1, 2
"""


def series_statement(dialect: Dialect) -> str:
    """Return the statement that counts by slots; takes ``function`` and what ``Buckets.parameters`` gives."""
    return in_words_of(dialect, _SERIES)


def user_series_statement(dialect: Dialect) -> str:
    """Return the statement that counts those of all of a user's functions; takes ``user`` in place of ``function``."""
    return in_words_of(dialect, put_together(_USER_SERIES, functions=_OF_USER))


def functions_series_statement(dialect: Dialect) -> str:
    """Return the statement that counts those of some functions; takes ``functions`` in place of ``user``."""
    return in_words_of(dialect, put_together(_USER_SERIES, functions="@functions"))


def durations_statement(dialect: Dialect) -> str:
    """Return the statement that says how often each duration occurred in each slot; takes the same."""
    return in_words_of(dialect, _DURATIONS)


# The names in the statement that the platform's other backend documents.
_OTHER_NAMES = {
    "total_invocations": "total",
    "avg_duration": "average",
    "min_duration": "minimum",
    "max_duration": "maximum",
}


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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what a row of a statement of one's own says; what it leaves out follows from the rest, or is None.

        Args:
            data: figures by their names here, or by ``total_invocations``, ``avg_duration``, ``min_duration`` and
                ``max_duration``. ``total`` and ``successful`` have to be there.

        Raises:
            UnknownColumnError: a name is no figure, or one that has to be there is not.

        >>> row = {"total_invocations": 4, "successful": 3, "avg_duration": 12.5, "max_duration": 40}
        >>> stats = FunctionStats.from_dict(row)
        >>> stats.failed, stats.success_rate, stats.average, stats.maximum, stats.p95
        (1, 0.75, 12.5, 40, None)
        """
        figures = {_OTHER_NAMES.get(name, name): value for name, value in data.items()}
        known = [field.name for field in fields(cls)]
        for name in figures:
            if name not in known:
                raise UnknownColumnError(
                    f"expected a figure of FunctionStats; got {shown(name)}: {did_you_mean(str(name), known)}"
                )
        for name in ("total", "successful"):
            if figures.get(name) is None:
                raise UnknownColumnError(f"expected {name} among the figures of FunctionStats; got none: select it too")
        total, successful = figures["total"], figures["successful"]
        follows = {"failed": total - successful, "success_rate": successful / total if total else None}
        found: dict[str, Any] = {**dict.fromkeys(known), **follows, **figures}
        # PostgreSQL's averages are Decimals.
        plain: dict[str, Any] = {
            name: float(value) if isinstance(value, Decimal) else value for name, value in found.items()
        }
        return cls(**plain)


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


def function_stats(rows: Iterable[Mapping[str, Any]]) -> FunctionStats:
    """Return what the rows of ``FUNCTION_STATS`` say."""
    total = successful = 0
    counts: dict[int, int] = {}
    for row in rows:
        total += row["total"]
        successful += row["successful"]
        if row["duration_ms"] is not None:
            counts[row["duration_ms"]] = row["total"]
    return stats_of(total, successful, Durations(counts))


def stats_of_parts(parts: Sequence[Mapping[str, Any]], durations: Durations) -> FunctionStats:
    """Return what parts say that were counted apart, whose durations together are those."""
    figures: dict[str, Any] = {**_counts(_together(parts)), **durations.percentiles}
    return FunctionStats(**figures)


def stats_of(total: int, successful: int, durations: Durations) -> FunctionStats:
    """Return how a number of invocations went that took so long."""
    return FunctionStats(
        total=total,
        successful=successful,
        failed=total - successful,
        success_rate=successful / total if total else None,
        average=durations.average,
        minimum=durations.minimum,
        maximum=durations.maximum,
        **durations.percentiles,
    )


def user_overview(row: Mapping[str, Any]) -> UserOverview:
    """Return what the row of ``USER_OVERVIEW`` says."""
    numbers = {name: row[name] for name in ("functions", "active_functions", "deployments")}
    return UserOverview(
        **_counts(row), **numbers, last_invocation_at=timestamp_from_database(row["last_invocation_at"])
    )


def overview_of_parts(owned: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> UserOverview:
    """Return what the row of ``OWNED`` says together with those of ``OVERVIEW_OF_FUNCTIONS``."""
    latest = [row["last_invocation_at"] for row in rows if row["last_invocation_at"] is not None]
    return user_overview({**owned, **_together(rows), "last_invocation_at": max(latest, default=None)})


def series(rows: Iterable[Mapping[str, Any]], buckets: Buckets) -> list[InvocationBucket]:
    """Return the buckets with what the rows of a statement by slots say, and with zeros where they say nothing."""
    rows_of: list[list[Mapping[str, Any]]] = [[] for _ in range(len(buckets))]
    for row in rows:
        rows_of[buckets.of_slot(row["slot"])].append(row)
    filled = []
    for number, own in enumerate(rows_of):
        start, end = buckets.span(number)
        filled.append(InvocationBucket(**_counts(_together(own)), start=start, end=end))
    return filled


def _together(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
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
