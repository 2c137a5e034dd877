"""What ``cloudpub stats`` knows of a function: read from the database in one go, and as a JSON document.

How it is shown is in ``drawing`` (terminal) and ``page`` (HTML).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from cloudpub_models.cli.commands.stats.histogram import Bin, histogram
from cloudpub_models.models import Function
from cloudpub_models.platform.archive import Archive
from cloudpub_models.platform.durations import Durations
from cloudpub_models.platform.periods import Buckets, last_days, last_hours
from cloudpub_models.platform.registry import Managers
from cloudpub_models.platform.rollups import reading
from cloudpub_models.platform.statistics import (
    FunctionStats,
    InvocationBucket,
    durations_statement,
    stats_of,
    stats_of_parts,
)
from cloudpub_models.platform.statistics import series as series_of


class Period(StrEnum):
    """How far back the statistics reach."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def in_words(self) -> str:
        """What a reader calls it."""
        return {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}[self.value]

    @property
    def step(self) -> timedelta:
        """How long one bucket of its series is."""
        return timedelta(days=1) if self is Period.MONTH else timedelta(hours=1)


@dataclass(frozen=True)
class Point:
    """How the invocations of one hour or day went.

    Attributes:
        bucket: the numbers without percentiles.
        percentiles: ``p50``, ``p95`` and ``p99`` in milliseconds; ``None`` where no duration is known.
    """

    bucket: InvocationBucket
    percentiles: dict[str, float | None]


@dataclass(frozen=True)
class Measurements:
    """How the invocations of a function went in a period.

    Attributes:
        function: the function.
        period: how far back.
        figures: all of them taken together.
        points: hour by hour or day by day, the oldest first.
        histogram: how many took how long.
        latest: when the latest invocation before the period's end began, where there was none in the period.
    """

    function: Function
    period: Period
    figures: FunctionStats
    points: Sequence[Point]
    histogram: Sequence[Bin]
    latest: datetime | None

    @property
    def begin(self) -> datetime:
        """When the period begins."""
        return self.points[0].bucket.start

    @property
    def end(self) -> datetime:
        """When it ends; what happened then is not included."""
        return self.points[-1].bucket.end

    def to_json(self) -> dict[str, Any]:
        """Return everything as a JSON-ready document; times are ISO 8601, durations milliseconds."""
        return {
            "function": {
                "uuid": str(self.function.uuid),
                "name": self.function.name,
                "status": self.function.status,
            },
            "period": self.period.value,
            "begin": self.begin.isoformat(),
            "end": self.end.isoformat(),
            "latest_invocation_at": self.latest.isoformat() if self.latest else None,
            "figures": asdict(self.figures),
            "histogram": [asdict(bin) for bin in self.histogram],
            "series": [
                asdict(point.bucket)
                | point.percentiles
                | {"start": point.bucket.start.isoformat(), "end": point.bucket.end.isoformat()}
                for point in self.points
            ],
        }


def measure(
    managers: Managers, function: Function, period: Period, until: datetime, archive: Archive | None = None
) -> Measurements:
    """Read a function's statistics, all of them from the same moment's data.

    Args:
        managers: of the function's database.
        function: the function.
        period: how far back from ``until``.
        until: an aware datetime; the hour or day that it lies in is the last one.
        archive: where the invocations are, instead of in the database.
    """
    if archive is not None:
        return _measured_in(archive, function, period, until)
    invocations = managers.function_invocations
    with managers.database.transaction(isolation="REPEATABLE READ", read_only=True):
        slots = _slots(period, until)
        count = invocations.get_daily_stats if period is Period.MONTH else invocations.get_hourly_stats
        series = count(function, len(slots), until=until)
        durations, figures = _durations(managers, function, slots)
        latest = None
        if not any(bucket.total for bucket in series):
            latest = invocations.find_one(
                {"function_id": function.id}, order_by="timestamp", order_direction="DESC", select=["timestamp"]
            )
    return _together(function, period, series, durations, figures, latest.timestamp if latest else None)


def _measured_in(archive: Archive, function: Function, period: Period, until: datetime) -> Measurements:
    slots = _slots(period, until)
    rows = archive.durations(function, slots)
    counts: dict[int, dict[int, int]] = defaultdict(dict)
    for row in rows:
        if row["duration_ms"] is not None:
            counts[slots.of_slot(row["slot"])][row["duration_ms"]] = row["total"]
    latest = [] if rows else archive.find({"function_id": function.id}, limit=1)
    durations = [Durations(counts[number]) for number in range(len(slots))]
    series = series_of(rows, slots)
    return _together(function, period, series, durations, None, latest[0]["timestamp"] if latest else None)


def _slots(period: Period, until: datetime) -> Buckets:
    if period is Period.MONTH:
        return last_days(30, until, UTC)
    return last_hours(24 if period is Period.DAY else 24 * 7, until, UTC)


def _together(
    function: Function,
    period: Period,
    series: Sequence[InvocationBucket],
    durations: Sequence[Durations],
    figures: FunctionStats | None,
    latest: datetime | None,
) -> Measurements:
    points = [Point(bucket, spread.percentiles) for bucket, spread in zip(series, durations, strict=True)]
    all_durations = Durations.together(durations)
    if figures is None:
        total, successful = (sum(getattr(bucket, name) for bucket in series) for name in ("total", "successful"))
        figures = stats_of(total, successful, all_durations)
    return Measurements(
        function=function,
        period=period,
        figures=figures,
        points=points,
        histogram=histogram(all_durations),
        latest=latest,
    )


def _durations(managers: Managers, function: Function, slots: Buckets) -> tuple[list[Durations], FunctionStats | None]:
    """Return the durations of each slot, and the figures of them all where those do not follow from the durations."""
    if managers.database.reads_rollups:
        return _durations_of_rollups(managers, function, slots)
    counts: dict[int, dict[int, int]] = defaultdict(dict)
    statement = durations_statement(managers.database.engine.sql_dialect)
    for row in _rows_of(managers, function, statement, slots.parameters):
        counts[slots.of_slot(row["slot"])][row["duration_ms"]] = row["invocations"]
    return [Durations(counts[number]) for number in range(len(slots))], None


def _durations_of_rollups(
    managers: Managers, function: Function, slots: Buckets
) -> tuple[list[Durations], FunctionStats]:
    database = managers.database
    parts = _rows_of(managers, function, *reading.spread(database.engine.sql_dialect, slots))
    of_slot: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for part in parts:
        of_slot[slots.of_slot(part["slot"])].append(part)
    durations = [reading.durations_in(database, of_slot[number]) for number in range(len(slots))]
    return durations, stats_of_parts(parts, Durations.together(durations))


def _rows_of(managers: Managers, function: Function, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a query on the invocations of a function, which may be on another server."""
    parameters = {"function": function.id, **values}
    if managers.database.history_servers:
        return managers.cells.on_server_of(function.id, lambda server: server.raw_query_all(sql, parameters))
    return managers.database.raw_query_all(sql, parameters)
