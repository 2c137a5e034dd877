"""An archive of a table that consists of partitions: those whose rows are all in a file go as a whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers
from cloudpub_models.archive import writing
from tests.archive.conftest import APRIL, months_of_invocations

TABLE = "function_invocations"
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def backend() -> str:
    """Partitions are PostgreSQL's."""
    return "postgresql"


@pytest.fixture
def moved(database: Database, request: pytest.FixtureRequest) -> list[datetime]:
    """The moments of all invocations, in partitions."""
    months_of_invocations(database)
    moments: list[datetime] = request.getfixturevalue("invocations")
    return moments


def everything(managers: Managers) -> list[dict[str, Any]]:
    return [row.to_dict() for row in managers.function_invocations.find_all(order_by=("id", "timestamp"))]


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["id"], row["timestamp"]))


def words(statements: Any) -> dict[str, int]:
    return {
        word: sum(sql.startswith(word) and TABLE in sql for sql in statements.sql) for word in ("TRUNCATE", "DELETE")
    }


def test_partitions_that_are_archived_go_as_a_whole(
    managers: Managers, moved: list[datetime], place: Path, statements: Any
) -> None:
    before = everything(managers)
    progress: list[int] = []
    statements.clear()
    found = managers.archive(place).move(TABLE, APRIL, progress=progress.append)
    assert words(statements) == {"TRUNCATE": 4, "DELETE": 0}
    counts = [sum(moment.month == month for moment in moved) for month in (1, 2, 3)]
    assert [(month.written, month.deleted, month.kept) for month in found] == [(count, count, 0) for count in counts]
    assert progress == sorted(progress)
    assert progress[-1] == sum(counts)
    assert in_order(managers.archive(place).find() + everything(managers)) == before
    assert [part.name for part in managers.database.partitions(TABLE)] == [f"{TABLE}_p_past", f"{TABLE}_p_4"]


def test_a_row_that_comes_after_the_file_was_written_is_not_thrown_away(
    managers: Managers,
    moved: list[datetime],
    resize: Function,
    place: Path,
    statements: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = everything(managers)
    late: list[dict[str, Any]] = []
    keep = writing.keep

    def insert(part: Path, table: str, begin: datetime) -> Path:
        row = {"function_id": resize.id, "status": "late", "timestamp": datetime(2026, 3, 20, tzinfo=UTC)}
        if begin.month == 3 and not late:
            late.append(managers.function_invocations.insert(row).to_dict())
        return keep(part, table, begin)

    monkeypatch.setattr(writing, "keep", insert)
    statements.clear()
    managers.archive(place).move(TABLE, APRIL)
    # The second half of March is not as it was.
    assert words(statements) == {"TRUNCATE": 3, "DELETE": 1}
    assert late[0] in everything(managers)
    assert in_order(managers.archive(place).find() + everything(managers)) == in_order(before + late)
    (month,) = managers.archive(place).move(TABLE, APRIL)
    assert (month.written, month.deleted) == (1, 1)
    assert in_order(managers.archive(place).find() + everything(managers)) == in_order(before + late)


def test_a_partition_that_has_other_months_too_stays(
    managers: Managers, moved: list[datetime], resize: Function, place: Path, statements: Any
) -> None:
    managers.function_invocations.insert(
        {"function_id": resize.id, "status": "old", "timestamp": datetime(2025, 12, 31, tzinfo=UTC)}
    )
    before = everything(managers)
    statements.clear()
    months = managers.archive(place).move(TABLE, FEBRUARY)
    assert (f"{months[0].begin:%Y-%m}", months[0].deleted) == ("2025-12", 1)
    # Before it stood alone in its partition, December was deleted; then January was all that there was.
    assert words(statements) == {"TRUNCATE": 1, "DELETE": 1}
    assert in_order(managers.archive(place).find() + everything(managers)) == before


def test_an_id_that_is_there_twice_is_not_taken_for_the_other(
    managers: Managers, moved: list[datetime], resize: Function, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = managers.function_invocations.find_one(order_by="timestamp")
    assert twin is not None
    managers.function_invocations.insert(
        {"id": twin.id, "function_id": resize.id, "status": "twin", "timestamp": datetime(2026, 5, 1, tzinfo=UTC)}
    )
    before = everything(managers)
    monkeypatch.setattr(writing, "contents_between", lambda *_: {})  # so that rows are deleted one by one
    managers.archive(place).move(TABLE, APRIL)
    assert [row["status"] for row in everything(managers) if row["id"] == twin.id] == ["twin"]
    assert in_order(managers.archive(place).find() + everything(managers)) == before


def test_statistics_go_on_where_there_are_rollups(
    managers: Managers, moved: list[datetime], resize: Function, place: Path, statements: Any
) -> None:
    invocations = managers.function_invocations
    from_rows = invocations.get_function_stats(resize, moved[0])
    daily = invocations.get_daily_stats(resize, 100, until=APRIL)
    invocations.enable_rollups()
    managers.database.reads_rollups = True
    statements.clear()
    managers.archive(place).move(TABLE, APRIL)
    assert words(statements) == {"TRUNCATE": 4, "DELETE": 0}
    assert invocations.count() == sum(moment >= APRIL for moment in moved)
    assert invocations.get_function_stats(resize, moved[0]) == from_rows
    assert invocations.get_daily_stats(resize, 100, until=APRIL) == daily


def test_where_deletions_are_recorded_they_are_deletions(
    managers: Managers, moved: list[datetime], place: Path, statements: Any
) -> None:
    managers.database.history.enable(also=[TABLE])
    statements.clear()
    managers.archive(place).move(TABLE, FEBRUARY)
    assert words(statements) == {"TRUNCATE": 0, "DELETE": 1}
    gone = managers.database.raw_query_single("SELECT COUNT(*) AS number FROM changes WHERE operation = 'D'")
    assert gone == {"number": sum(moment < FEBRUARY for moment in moved)}
