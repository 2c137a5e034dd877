"""``managers.function_logs``: appended, read from the end, pruned in batches."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, NotFoundError


def test_append(managers: Managers, resize: Function, statements: Any) -> None:
    line = managers.function_logs.append(resize, "info", "résumé 日本 \\ % ' \n end")
    assert len(statements) == 1
    assert managers.function_logs.find_by_id(line.id).message == "résumé 日本 \\ % ' \n end"
    assert (line.function_id, line.level) == (resize.id, "info")
    assert abs(line.timestamp - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.usefixtures("kept_references")
def test_append_refuses_what_cannot_be_kept(managers: Managers, resize: Function) -> None:
    with pytest.raises(NotFoundError, match=f"id {resize.id + 1}"):
        managers.function_logs.append(resize.id + 1, "info", "x")
    for function in (1.5, None, "resize"):
        with pytest.raises(InvalidValueError):
            managers.function_logs.append(function, "info", "x")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="20 characters"):
        managers.function_logs.append(resize, "x" * 21, "x")


@pytest.mark.usefixtures("plain_tables")
def test_tail_has_the_newest_first_and_ties_by_id(managers: Managers, resize: Function, statements: Any) -> None:
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    lines = [
        managers.function_logs.insert(
            {"function_id": resize.id, "level": level, "message": "m", "timestamp": moment + timedelta(seconds=second)}
        )
        for second, level in [(5, "info"), (0, "warn"), (5, "error"), (9, "info"), (5, "info")]
    ]
    expected = [lines[3], lines[4], lines[2], lines[0], lines[1]]
    statements.clear()
    assert managers.function_logs.tail(resize) == expected
    assert managers.function_logs.tail(resize.id, 2) == expected[:2]
    assert managers.function_logs.tail(resize, 10, "info") == [lines[3], lines[4], lines[0]]
    assert managers.function_logs.tail(resize, 10, level=["error", "warn"]) == [lines[2], lines[1]]
    assert managers.function_logs.tail(resize, level="debug") == []
    assert len(statements) == 5
    assert managers.function_logs.tail(resize.id + 1) == []
    with pytest.raises(InvalidQueryError):
        managers.function_logs.tail(resize, -1)


@pytest.fixture
def lines(managers: Managers, resize: Function) -> datetime:
    """Twenty-five lines, one a minute; returns when the first was written."""
    first = datetime.now(UTC) - timedelta(hours=1)
    managers.function_logs.batch_insert(
        {
            "function_id": resize.id,
            "level": "info",
            "message": str(number),
            "timestamp": first + timedelta(minutes=number),
        }
        for number in range(25)
    )
    return first


def test_prune_deletes_in_batches(managers: Managers, lines: datetime, statements: Any) -> None:
    progress: list[int] = []
    deleted = managers.function_logs.prune(lines + timedelta(minutes=20), batch_size=8, progress=progress.append)
    assert deleted == 20
    assert progress == [8, 16, 20]
    assert sum(sql.startswith("DELETE") for sql in statements.sql) == 3
    left = managers.function_logs.find_all(order_by="timestamp")
    assert [line.message for line in left] == ["20", "21", "22", "23", "24"]
    assert managers.function_logs.prune(timedelta(days=1)) == 0
    assert managers.function_logs.prune(timedelta(0), batch_size=5) == 5


def test_prune_keeps_what_earlier_batches_deleted(managers: Managers, lines: datetime) -> None:
    def stop(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        managers.function_logs.prune(timedelta(0), batch_size=10, progress=stop)
    assert managers.function_logs.count() == 15


def test_prune_inside_a_transaction_is_part_of_it(managers: Managers, database: Database, lines: datetime) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction():
        assert managers.function_logs.prune(timedelta(0), batch_size=10) == 25
        raise ZeroDivisionError
    assert managers.function_logs.count() == 25


def test_prune_of_an_empty_table(managers: Managers) -> None:
    progress: list[int] = []
    assert managers.function_logs.prune(timedelta(0), progress=progress.append) == 0
    assert progress == []


@pytest.mark.parametrize(
    "older_than", [datetime(2024, 5, 1), timedelta(days=-1), timedelta.max, None, 30, "2024-05-01", uuid.uuid4()]
)
def test_prune_refuses_what_is_no_moment(managers: Managers, lines: datetime, older_than: Any) -> None:
    with pytest.raises(InvalidValueError, match="older_than"):
        managers.function_logs.prune(older_than)
    assert managers.function_logs.count() == 25


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True, None])
def test_prune_refuses_bad_batches(managers: Managers, batch_size: Any) -> None:
    with pytest.raises(InvalidQueryError, match="batch_size"):
        managers.function_logs.prune(timedelta(0), batch_size)


@pytest.fixture
def searched(managers: Managers, resize: Function) -> Function:
    """A function whose lines are searched, and another one's beside them; a minute lies between two lines."""
    crop = managers.functions.insert({"name": "crop", "user_id": resize.user_id})
    first = datetime.now(UTC) - timedelta(hours=1)
    managers.function_logs.batch_insert(
        {"function_id": function.id, "level": level, "message": text, "timestamp": first + timedelta(minutes=number)}
        for number, (function, level, text) in enumerate(
            [
                (resize, "error", "out of memory"),
                (crop, "error", "Out of memory in worker-7"),
                (resize, "info", "debug: out of memory"),
                (resize, "warn", "out-of-memory soon"),
                (resize, "error", "out of my memory"),
            ]
        )
    )
    return resize


@pytest.mark.usefixtures("plain_tables")
def test_search_in_one_function(managers: Managers, searched: Function, statements: Any) -> None:
    statements.clear()
    found = managers.function_logs.search('"out of memory" -debug', function=searched)
    assert [line.message for line in found.items] == ["out-of-memory soon", "out of memory"]
    # The first one looks whether the table has an index of words.
    assert len(statements) == 2
    assert statements.sql[1].partition(" ORDER BY ")[2].startswith("function_id DESC, timestamp DESC, id DESC LIMIT")
    assert list(statements[1][1]) == [searched.id, searched.id, "%out%of%memory%", 102]
    assert managers.function_logs.search("memory", function=searched.uuid, level=["warn"]).items == found.items[:1]
    recent = managers.function_logs.search("memory", function=searched, since=timedelta(minutes=59))
    assert [line.message for line in recent.items] == ["out of my memory", "out-of-memory soon", "debug: out of memory"]


def test_search_in_all_functions(managers: Managers, searched: Function, statements: Any) -> None:
    statements.clear()
    first = managers.function_logs.search("memory -soon", since=timedelta(days=1), level="error", limit=2)
    assert [line.message for line in first.items] == ["out of my memory", "Out of memory in worker-7"]
    assert " ORDER BY timestamp DESC, id DESC LIMIT " in statements.sql[1]
    second = managers.function_logs.search(
        "memory -soon", since=timedelta(days=1), level="error", limit=2, cursor=first.next_cursor
    )
    assert [line.message for line in second.items] == ["out of memory"]
    assert second.next_cursor is None


def test_search_is_narrowed(managers: Managers, searched: Function, statements: Any) -> None:
    statements.clear()
    with pytest.raises(InvalidQueryError, match="since when lines are searched, or in which function; got neither"):
        managers.function_logs.search("memory")
    with pytest.raises(InvalidQueryError, match="expected words to search for"):
        managers.function_logs.search("?", function=searched)
    with pytest.raises(InvalidValueError, match="since"):
        managers.function_logs.search("memory", since=datetime(2024, 5, 1))
    assert len(statements) == 0


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.usefixtures("session_locks")
def test_the_latest_lines_are_looked_for_in_few_partitions(
    managers: Managers, resize: Function, statements: Any
) -> None:
    now, logs = datetime.now(UTC), managers.function_logs
    ages = [timedelta(hours=1), timedelta(days=1), timedelta(days=10), timedelta(days=100), timedelta(days=1000)]
    logs.batch_insert(
        {"function_id": resize.id, "level": "info", "message": f"line {age.days}", "timestamp": now - age}
        for age in ages
    )
    plain = logs.tail(resize)
    managers.database.partition("function_logs")
    # A plain table may be given partitions while programs run, which see it a minute later.
    managers.database.close()
    for limit, windows in ((1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (100, 4)):
        logs.tail(resize, limit)
        statements.clear()
        assert logs.tail(resize, limit) == plain[:limit]
        assert len(statements) == windows
    statements.clear()
    assert [line.message for line in logs.search("line", function=resize, limit=1).items] == ["line 0"]
    assert sum("timestamp >=" in sql for sql in statements.sql) == len(statements) - 1
    since = logs.search("line", function=resize, since=timedelta(days=2)).items
    assert [line.message for line in since] == ["line 0", "line 1"]
    first = logs.search("line", function=resize, limit=2)
    rest = logs.search("line", function=resize, limit=3, cursor=first.next_cursor)
    assert first.items + rest.items == plain
    assert rest.next_cursor is None


@pytest.mark.parametrize("future", [timedelta(minutes=30), timedelta(hours=30), timedelta(days=400)])
@pytest.mark.usefixtures("session_locks")
def test_lines_of_the_future_are_the_latest(
    managers: Managers, resize: Function, future: timedelta, backend: str
) -> None:
    now, logs = datetime.now(UTC), managers.function_logs
    if backend == "postgresql":
        managers.database.partition("function_logs")
        managers.database.close()
    lines = [
        logs.insert({"function_id": resize.id, "level": "info", "message": "m", "timestamp": now + when})
        for when in (future, future - timedelta(minutes=1), -timedelta(minutes=1), -timedelta(days=3))
    ]
    other = managers.functions.insert({"user_id": resize.user_id, "name": "crop"})
    logs.insert({"function_id": other.id, "level": "warn", "message": "m", "timestamp": now + future})
    for limit in range(6):
        assert logs.tail(resize, limit) == lines[:limit]
        assert logs.tail(resize, limit, "info") == lines[:limit]


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.usefixtures("session_locks")
def test_a_uuid_is_looked_for_around_its_time_first(managers: Managers, resize: Function, statements: Any) -> None:
    logs, database = managers.function_logs, managers.database
    database.partition("function_logs")
    database.close()
    assert database.engine.is_partitioned("function_logs")
    now = datetime.now(UTC)
    line = logs.append(resize, "info", "now")
    elsewhere = logs.insert(
        {"function_id": resize.id, "level": "info", "message": "m", "uuid": line.uuid, "timestamp": now + timedelta(5)}
    )
    logs.delete_by_id(elsewhere.id)
    moved = logs.insert(
        {"function_id": resize.id, "level": "info", "message": "m", "uuid": uuid7(), "timestamp": now - timedelta(5)}
    )
    random = logs.insert({"function_id": resize.id, "level": "info", "message": "m", "uuid": uuid.uuid4()})
    for row, sent in ((line, 1), (moved, 2), (random, 1)):
        for given in (row.uuid, str(row.uuid)):
            statements.clear()
            assert logs.find_by_uuid(given) == row
            assert len(statements) == sent
            # The days stand in the SQL, so that one that is prepared is planned for them alone.
            assert (" AND timestamp >= '" in statements.sql[0]) == (row is not random)
        assert logs.get_by_uuid(row.uuid) == row
    assert logs.find_by_uuid(uuid7()) is None
    # The last moment that a datetime has room for, and one beyond.
    for last in ("e677d21f-dbff-7000-8000-000000000000", "ffffffff-ffff-7000-8000-000000000000"):
        assert logs.find_by_uuid(last) is None
    with pytest.raises(NotFoundError):
        logs.get_by_uuid(uuid7())
    for bad in ("no uuid", "", 7, None):
        with pytest.raises(InvalidValueError):
            logs.find_by_uuid(bad)  # type: ignore[arg-type]


def uuid7() -> uuid.UUID:
    from cloudpub_models.entity.time_ordered import uuid_now

    return uuid_now()
