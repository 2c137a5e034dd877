"""``managers.archive(directory)``: what it finds and counts, as the database did, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudpub_models import Function, Managers
from cloudpub_models.errors import InvalidCountError, InvalidValueError, UnguardedError, UnknownColumnError
from cloudpub_models.platform.periods import last_days
from cloudpub_models.platform.statistics import series

MAY = datetime(2026, 5, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def functions(managers: Managers) -> list[Function]:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    made = [managers.functions.insert({"user_id": ada.id, "name": name}) for name in ("resize", "crop")]
    managers.function_invocations.batch_insert(
        {
            "function_id": made[number % 3 == 0].id,
            "status": "success" if number % 5 else "failed",
            "duration_ms": None if number % 7 == 0 else number % 50,
            "timestamp": datetime(2026, 2, 10, tzinfo=UTC) + timedelta(hours=number, microseconds=number * 999_331),
        }
        for number in range(900)
    )
    return made


def test_statistics_are_those_of_the_database(managers: Managers, functions: list[Function], tmp_path: Path) -> None:
    ways = [(function, since) for function in functions for since in (MARCH, MAY - timedelta(days=900))]
    before = [managers.function_invocations.get_function_stats(*way) for way in ways]
    buckets = last_days(40, datetime(2026, 3, 20, tzinfo=UTC), UTC)
    daily = managers.function_invocations.get_daily_stats(functions[0], 40, until=datetime(2026, 3, 20, tzinfo=UTC))
    archive = managers.archive(tmp_path / "archive")
    archive.move("function_invocations", MAY)
    assert managers.function_invocations.count() == 0
    assert [archive.stats(function, since=since) for function, since in ways] == before
    assert series(archive.durations(functions[0], buckets), buckets) == daily
    assert archive.stats(functions[0].uuid, until=MARCH).total < archive.stats(functions[0]).total


def test_rows_are_found_and_counted(managers: Managers, functions: list[Function], tmp_path: Path) -> None:
    before = [row.to_dict() for row in managers.function_invocations.find_all(order_by=("-timestamp", "-id"))]
    archive = managers.archive(str(tmp_path))
    archive.move("function_invocations", MAY)
    assert archive.find() == before
    assert archive.find(limit=3) == before[:3]
    assert archive.find(limit=0) == []
    assert archive.find({"uuid": str(before[5]["uuid"])}) == [before[5]]
    crop = [row for row in before if row["function_id"] == functions[1].id and row["duration_ms"] is None]
    assert archive.find({"function_id": functions[1].id, "duration_ms": None}) == crop
    assert archive.count({"function_id": functions[1].id, "duration_ms": None}) == len(crop)
    assert archive.count({"timestamp": before[7]["timestamp"]}) == 1
    since = before[100]["timestamp"]
    assert archive.find(since=since) == before[:101]
    assert archive.count(until=since) == len(before) - 101
    assert archive.count(since=timedelta(days=100_000)) == len(before)
    assert archive.query("SELECT COUNT(*) AS n FROM function_invocations WHERE id < $most", {"most": 5}) == (
        ["n"],
        [(4,)],
    )


def test_mistakes_are_told(managers: Managers, functions: list[Function], tmp_path: Path) -> None:
    archive = managers.archive(tmp_path)
    archive.move("function_invocations", MAY)
    with pytest.raises(UnknownColumnError, match="has no column 'statuss': did you mean 'status'"):
        archive.find({"statuss": "failed"})
    with pytest.raises(InvalidValueError, match="function_invocations.duration_ms"):
        archive.count({"duration_ms": "many"})
    with pytest.raises(InvalidCountError):
        archive.find(limit=-1)
    with pytest.raises(InvalidValueError, match="since: expected an aware datetime"):
        archive.find(since=datetime(2026, 1, 1))
    with pytest.raises(InvalidValueError, match="expected the name of a table to archive; got 'function_log'"):
        archive.move("function_log", MAY)
    with pytest.raises(InvalidValueError, match="expected the name of a table to archive; got 3 .*: known are"):
        archive.move(3, MAY)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="expected the path of a directory for an archive; got ''"):
        managers.archive("")
    line = {"function_id": functions[0].id, "level": "info", "message": "m", "timestamp": MARCH}
    managers.function_logs.insert(line)
    logs = managers.archive(tmp_path / "logs")
    logs.move("function_logs", MAY)
    assert logs.find()[0]["message"] == "m"
    with pytest.raises(InvalidValueError, match="expected an archive of function_invocations for statistics; got"):
        logs.stats(functions[0])


def test_an_owners_managers_have_none(managers: Managers, functions: list[Function], tmp_path: Path) -> None:
    with pytest.raises(UnguardedError, match=r"expected managers of all rows for archive\(\)"):
        managers.owned_by(functions[0].user_id).archive(tmp_path)
    assert repr(managers.archive("a")) == "Archive('a')"
