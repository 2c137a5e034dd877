"""The rows of some buckets on one server, and the same rows on another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, errors
from cloudpub_models.cells.book import DistributedTable
from cloudpub_models.cells.buckets import BUCKETS, bucket_of
from cloudpub_models.cells.rows import RowsOfBuckets

Ask = Callable[[str], list[list[dict[str, Any]]]]
LOGS = DistributedTable("function_logs", "id", "function_id", "functions", "id")
INVOCATIONS = DistributedTable("function_invocations", "id", "function_id", "functions", "id")
ODD = ["", 'it\'s "quoted" \\ %s @name {x}', "two\nlines\tand a tab", "\u00e4\U0001f600\u2028", "null", "[1]"]


@pytest.fixture
def first(main: Database, functions: list[Function]) -> RowsOfBuckets:
    """The rows of the first three functions on the first server, whoever's they are."""
    buckets = tuple(bucket_of(function.id) for function in functions[:3])
    return RowsOfBuckets(main.history_servers[0], buckets, (LOGS, INVOCATIONS))


@pytest.fixture
def second(main: Database, first: RowsOfBuckets) -> RowsOfBuckets:
    return first._replace(server=main.history_servers[1])


# Later than any.
MAP = 2**40


def insert(server: Database, function: Function, message: str = "x") -> int:
    with server.engine.under_map(MAP):
        row = server.raw_query_single(
            "INSERT INTO function_logs (function_id, level, message, timestamp) "
            "VALUES (@id, 'info', @message, @moment) RETURNING id",
            {"id": function.id, "message": message, "moment": datetime(2026, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)},
        )
    assert row is not None
    return int(row["id"])


def test_python_and_the_server_agree_on_the_buckets(main: Database) -> None:
    keys = [1, 2, 3, 1000, 2**20 + 7, 2**31 - 1]
    for server in (main, *main.history_servers):
        rows = server.raw_query_all(
            "SELECT cells_bucket(key) AS bucket FROM UNNEST(ARRAY[1, 2, 3, 1000, 1048583, 2147483647]) AS keys (key)"
        )
        assert [row["bucket"] for row in rows] == [bucket_of(key) for key in keys]
        assert all(0 <= row["bucket"] < BUCKETS for row in rows)


def test_rows_are_the_same_on_the_other_server(
    first: RowsOfBuckets, second: RowsOfBuckets, functions: list[Function], on_server: Ask
) -> None:
    for number, message in enumerate(ODD):
        insert(first.server, functions[number % 4], message)
    first.server.raw_execute(
        "INSERT INTO function_invocations (function_id, status, duration_ms, error) VALUES (@id, 'failed', NULL, NULL)",
        {"id": functions[0].id},
    )
    for table in (LOGS, INVOCATIONS):
        for chunk in first.stream(table, 2):
            assert len(chunk) <= 2
            second.add(table, chunk)
        second.add(table, [])
    # Those of the fourth function are in another bucket.
    listed = ", ".join(str(function.id) for function in functions[:3])
    for table in ("function_logs", "function_invocations"):
        one, other = on_server(f"SELECT * FROM {table} WHERE function_id IN ({listed}) ORDER BY id")
        assert one == other != []
        assert second.server.raw_query_all(f"SELECT 1 FROM {table} WHERE function_id NOT IN ({listed})") == []
    assert first.delete(1) == second.delete(1000) == 6
    assert on_server("SELECT message FROM function_logs") == [[{"message": ODD[3]}], []]


def test_keys_are_those_that_have_rows(first: RowsOfBuckets, functions: list[Function]) -> None:
    assert first.keys_in(LOGS) == []
    assert list(first.stream(LOGS, 10)) == []
    for function in (functions[2], functions[0], functions[5], functions[0]):
        insert(first.server, function)
    assert first.keys_in(LOGS) == [functions[0].id, functions[2].id]
    assert first.keys_in(INVOCATIONS) == []


def test_changes_are_noted_in_the_buckets_alone(first: RowsOfBuckets, functions: list[Function]) -> None:
    server = first.server
    kept, gone = insert(server, functions[0]), insert(server, functions[1])
    for _ in range(2):  # also where triggers have been there before
        with server.transaction():
            first.begin_noting()
        assert first.noted(100) == {}
        with server.engine.under_map(MAP), server.transaction():
            added = insert(server, functions[2])
            insert(server, functions[5])
            server.raw_execute("UPDATE function_logs SET message = 'y' WHERE id = @id", {"id": kept})
            server.raw_execute("DELETE FROM function_logs WHERE id = @id", {"id": gone})
            assert set(first.noted(1)["function_logs"]) == {added}
        assert set(first.noted(100)["function_logs"]) == {kept, gone} if gone else {kept}
        assert first.noted(100) == {}
        gone = insert(server, functions[1])
        with server.transaction():
            first.end_noting()
            first.end_noting()
        server.raw_execute("DELETE FROM function_logs WHERE id = @id", {"id": added})
        assert first.noted(100) == {}
    triggers = "SELECT 1 FROM pg_trigger WHERE tgname LIKE 'cell_changes%'"
    assert len(server.raw_query_all(triggers)) == 6
    first.drop_triggers()
    first.drop_triggers()
    assert server.raw_query_all(triggers) == []


def test_triggers_stay_where_somebody_reads(main: Database, first: RowsOfBuckets, functions: list[Function]) -> None:
    server = first.server
    with server.transaction():
        first.begin_noting()
    insert(server, functions[0])
    insert(server, functions[0])
    rows = server.raw_query_iter("SELECT id FROM function_logs", chunk_size=1)
    next(rows)
    with server.transaction():
        first.end_noting()
    with pytest.raises(errors.LockNotAvailableError):
        first.drop_triggers()
    assert len(list(rows)) == 1
    first.drop_triggers()


def test_rows_that_changed_are_replaced(
    first: RowsOfBuckets, second: RowsOfBuckets, scattered: Managers, functions: list[Function], on_server: Ask
) -> None:
    kept, gone = insert(first.server, functions[0], "old"), insert(first.server, functions[1])
    for chunk in first.stream(LOGS, 10):
        second.add(LOGS, chunk)
    first.server.raw_execute("UPDATE function_logs SET message = 'new' WHERE id = @id", {"id": kept})
    first.server.raw_execute("DELETE FROM function_logs WHERE id = @id", {"id": gone})
    other = insert(first.server, functions[5])
    rows = first.by_ids(LOGS, [kept, gone, other])
    assert len(rows) == 1
    second.replace(LOGS, [kept, gone, other], rows)
    assert on_server("SELECT id, message FROM function_logs ORDER BY id")[1] == [{"id": kept, "message": "new"}]
