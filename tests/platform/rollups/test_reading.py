"""Statistics from rollups are those of the rows, at every moment, whatever has been written, counted or pruned."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudpub_models import Database, Function, FunctionStats, InvocationBucket, Managers, User
from cloudpub_models.platform.periods import last_days, last_hours, time_zone
from cloudpub_models.platform.rollups import reading
from tests.platform.rollups.conftest import BEGIN, Insert

HOUR = timedelta(hours=1)


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def four_digits(duration: int) -> int:
    """Its first four digits, and zeros."""
    sign, text = (-1, str(-duration)) if duration < 0 else (1, str(duration))
    return sign * int(text[:4] + "0" * len(text[4:]))


def percentile(durations: list[int], fraction: float) -> float | None:
    """By linear interpolation between the two nearest ranks, as percentile_cont is defined in SQL:2003."""
    if not durations:
        return None
    place = fraction * (len(durations) - 1)
    low, high = sorted(durations)[math.floor(place)], sorted(durations)[math.ceil(place)]
    return low + (place - math.floor(place)) * (high - low)


class Row(NamedTuple):
    function_id: int
    timestamp: datetime
    status: str
    duration: int | None


class World:
    """What the statistics should say, in plain Python: rows that are kept, and those of hours that are frozen."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.frozen: list[Row] = []
        self.kept_since = datetime.min.replace(tzinfo=UTC)

    def insert(self, key: int, row: Row) -> None:
        self.rows[key] = row
        if row.timestamp < self.kept_since:
            self.frozen.append(row)

    def prune(self, cutoff: datetime) -> int:
        hour = hour_of(cutoff)
        self.frozen += [row for row in self.rows.values() if self.kept_since <= row.timestamp < hour]
        gone = [key for key, row in self.rows.items() if row.timestamp < hour]
        for key in gone:
            del self.rows[key]
        self.kept_since = max(self.kept_since, hour)
        return len(gone)

    def since(self, moment: datetime) -> list[Row]:
        kept = [row for row in self.rows.values() if row.timestamp >= max(moment, self.kept_since)]
        return kept + [row for row in self.frozen if row.timestamp >= hour_of(moment)]

    def figures(self, rows: list[Row]) -> dict[str, Any]:
        durations = [row.duration for row in rows if row.duration is not None]
        successful = sum(row.status == "success" for row in rows)
        return {
            "total": len(rows),
            "successful": successful,
            "failed": len(rows) - successful,
            "success_rate": successful / len(rows) if rows else None,
            "average": sum(durations) / len(durations) if durations else None,
            "minimum": min(durations, default=None),
            "maximum": max(durations, default=None),
        }

    def stats(self, function_id: int, moment: datetime) -> FunctionStats:
        rows = [row for row in self.since(moment) if row.function_id == function_id]
        kept = [four_digits(row.duration) for row in rows if row.duration is not None]
        percentiles: dict[str, Any] = {
            name: percentile(kept, part) for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }
        return FunctionStats(**self.figures(rows), **percentiles)


# Ends of hours, days and the month, and what lies near them.
MINUTES = st.sampled_from([0, 1, 59.9, 60, 61, 119, 120, 121, 600, 1559, 1560, 1561, 2999, 3001, 47_000, 49_000])
DURATIONS = st.one_of(st.none(), st.integers(0, 50), st.integers(-(2**31), 2**31 - 1))
ROWS = st.tuples(st.integers(0, 1), MINUTES, st.sampled_from(["success", "error"]), DURATIONS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.lists(ROWS, min_size=1, max_size=4)),
        st.tuples(st.just("update"), st.integers(0, 30), ROWS),
        st.tuples(st.just("change"), st.integers(0, 30), DURATIONS),
        st.tuples(st.just("delete"), st.integers(0, 30)),
        st.tuples(st.just("rollup"), MINUTES),
        st.tuples(st.just("rollup"), MINUTES),
        st.tuples(st.just("prune"), MINUTES),
    ),
    min_size=4,
    max_size=14,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, moments=st.lists(MINUTES, min_size=2, max_size=3))
def test_statistics_equal_a_plain_computation(
    rolled: Managers, ada: User, resize: Function, steps: list[Any], moments: list[float]
) -> None:
    invocations = rolled.function_invocations
    invocations.disable_rollups()
    rolled.database.raw_execute("DELETE FROM function_invocations")
    invocations.enable_rollups()
    crop, _ = rolled.functions.find_or_insert({"user_id": ada.id, "name": "crop"}, ["user_id", "name"])
    keys = (resize.id, crop.id)
    world = World()

    def row_of(given: Any) -> Row:
        which, minutes, status, duration = given
        return Row(keys[which], BEGIN + timedelta(minutes=minutes), status, duration)

    def columns(row: Row) -> dict[str, Any]:
        return dict(zip(("function_id", "timestamp", "status", "duration_ms"), row, strict=True))

    for kind, *rest in steps:
        kept = sorted(key for key, row in world.rows.items() if row.timestamp >= world.kept_since)
        if kind == "insert":
            rows = [row_of(each) for each in rest[0]]
            made = invocations.batch_insert([columns(row) for row in rows], returning=True)
            for invocation, row in zip(made, rows, strict=True):
                world.insert(invocation.id, row)
        elif kind == "rollup":
            invocations.rollup(BEGIN + timedelta(minutes=rest[0]))
        elif kind == "prune":
            cutoff = BEGIN + timedelta(minutes=rest[0])
            assert invocations.prune(cutoff) == world.prune(cutoff)
        elif kept:
            key = kept[rest[0] % len(kept)]
            if kind == "delete":
                del world.rows[key]
                invocations.delete_by_id(key)
            else:
                row = row_of(rest[1]) if kind == "update" else world.rows[key]._replace(duration=rest[1])
                if row.timestamp >= world.kept_since:
                    world.rows[key] = row
                    invocations.update_by_id(key, columns(row))
    for minutes in moments:
        moment = BEGIN + timedelta(minutes=minutes)
        for key in keys:
            assert invocations.get_function_stats(key, moment) == world.stats(key, moment)
        figures = world.figures(world.since(moment))
        overview = invocations.get_user_overview(ada, moment)
        assert {name: getattr(overview, name) for name in figures} == figures
        assert overview.last_invocation_at == max((row.timestamp for row in world.since(moment)), default=None)
        assert (overview.functions, overview.active_functions, overview.deployments) == (2, 2, 0)
        _compare_series(invocations, world, ada.id, keys[0], moment)


def _compare_series(invocations: Any, world: World, user: int, key: int, moment: datetime) -> None:
    for zone in (None, "Europe/Berlin"):
        hours = invocations.get_hourly_stats(key, 5, until=moment, timezone=zone)
        days = invocations.get_daily_stats(key, 4, until=moment, timezone=zone)
        of_user = invocations.get_user_daily_stats(user, 4, until=moment, timezone=zone)
        for bucket in (*hours, *days, *of_user):
            rows = [row for row in world.since(bucket.start.astimezone(UTC)) if row.timestamp < bucket.end]
            if bucket not in of_user:
                rows = [row for row in rows if row.function_id == key]
            assert bucket == InvocationBucket(**world.figures(rows), start=bucket.start, end=bucket.end)


def test_it_is_one_statement_whatever_is_asked(rolled: Managers, resize: Function, ada: User, statements: Any) -> None:
    invocations = rolled.function_invocations
    invocations.get_function_stats(resize)  # which finds the rollups
    statements.clear()
    invocations.get_function_stats(resize)
    invocations.get_hourly_stats(resize)
    invocations.get_daily_stats(resize, timezone="America/New_York")
    invocations.get_user_hourly_stats(ada)
    invocations.get_user_daily_stats(ada)
    invocations.get_user_overview(ada)
    assert len(statements) == 6
    assert all("function_invocation_rollups" in sql for sql in statements.sql)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu"])
def test_a_clock_that_is_off_by_part_of_an_hour_reads_rows(
    rolled: Managers, resize: Function, insert: Insert, statements: Any, zone: str
) -> None:
    insert(20)
    rolled.function_invocations.rollup()
    statements.clear()
    hours = rolled.function_invocations.get_hourly_stats(resize, 3, until=BEGIN + HOUR, timezone=zone)
    assert sum(hour.total for hour in hours) == 1
    assert len(statements) == 1
    assert "rollups" not in statements.sql[0]


@pytest.mark.usefixtures("session_locks")
def test_without_the_option_nothing_is_looked_for(
    managers: Managers, resize: Function, ada: User, statements: Any
) -> None:
    managers.function_invocations.enable_rollups()
    statements.clear()
    managers.function_invocations.get_function_stats(resize)
    managers.function_invocations.get_hourly_stats(resize)
    managers.function_invocations.get_user_overview(ada)
    managers.function_invocations.get_user_daily_stats(ada)
    assert len(statements) == 4
    assert not any("rollup" in sql for sql in statements.sql)


def test_without_the_option_no_function_more_is_called(managers: Managers, resize: Function, ada: User) -> None:
    called: set[str] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called.add(frame.f_code.co_filename)

    invocations = managers.function_invocations
    sys.setprofile(note)
    try:
        invocations.get_function_stats(resize)
        invocations.get_daily_stats(resize)
        invocations.get_user_daily_stats(ada)
        invocations.get_user_overview(ada)
    finally:
        sys.setprofile(None)
    assert any("statistics.py" in file for file in called)
    assert not any("cloudpub_models/platform/rollups" in Path(file).as_posix() for file in called)


def test_where_there_are_none_rows_are_read(managers: Managers, resize: Function, statements: Any) -> None:
    managers.database.reads_rollups = True
    managers.function_invocations.record(resize, "success", 12)
    assert managers.function_invocations.get_function_stats(resize).total == 1
    assert "function_invocation_rollups" not in statements.sql[-1]


def test_where_they_are_gone_again_rows_are_read(rolled: Managers, resize: Function, insert: Insert) -> None:
    insert(0)
    invocations = rolled.function_invocations
    invocations.rollup()
    assert invocations.get_function_stats(resize, BEGIN).total == 1
    invocations.disable_rollups()
    assert invocations.get_function_stats(resize, BEGIN).total == 1
    assert invocations.get_hourly_stats(resize, 1, until=BEGIN + HOUR / 2)[0].total == 1


def test_the_option(database_url: str) -> None:
    assert not Database(database_url).reads_rollups
    database = Database(database_url, rollups=True)
    assert database.reads_rollups
    assert not database.initialize(database_url).reads_rollups


def test_an_owner_reads_his_functions_alone(rolled: Managers, ada: User, resize: Function, insert: Insert) -> None:
    insert(0)
    rolled.function_invocations.rollup()
    grace = rolled.users.insert({"email": "grace@example.com", "password_hash": "…"})
    assert rolled.owned_by(ada).function_invocations.get_function_stats(resize, BEGIN).total == 1
    assert rolled.owned_by(grace).function_invocations.get_function_stats(resize, BEGIN).total == 0
    assert rolled.owned_by(grace).function_invocations.get_daily_stats(resize, 1, until=BEGIN + HOUR)[0].total == 0


def test_the_ends_of_time(rolled: Managers, insert: Insert, total: Callable[..., int]) -> None:
    insert(0)
    rolled.function_invocations.rollup()
    assert total(datetime.min.replace(tzinfo=UTC)) == 1
    assert total(datetime.max.replace(tzinfo=UTC)) == 0
    assert total(datetime(9999, 12, 1, 1, tzinfo=UTC)) == 0


def test_which_buckets_fit() -> None:
    until = datetime(2024, 3, 31, 12, tzinfo=UTC)
    assert reading.fits(last_hours(24, until, UTC))
    assert reading.fits(last_days(3, until, time_zone("Europe/Berlin")))
    assert not reading.fits(last_days(3, until, time_zone("Asia/Kolkata")))
    assert not reading.fits(last_hours(3, until, time_zone("Australia/Eucla")))
