"""Every documented way to look things up is served by an index, as the databases' own plans say.

Each call runs; the statements that it sent are explained with the parameters that it sent. On PostgreSQL they are run
for that, so that the rows that a plan really goes through are known.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from benchmarks import growth_patterns
from benchmarks.growth_patterns import PATTERNS, Visitor
from benchmarks.growth_plans import GROWING_TABLES, rolled_back, scans_of
from cloudpub_models import Database, Managers, operators
from cloudpub_models.platform.invocations import FunctionInvocationManager
from cloudpub_models.platform.logs import FunctionLogManager
from tests.growth.plan_checks import require_indexes, scans

COMMON_INDEXES = {
    "users_email_lower_key",
    "functions_user_id_status_created_at_idx",
    "function_deployments_status_id_idx",
    "function_logs_function_id_timestamp_id_level_idx",
    "function_invocations_function_id_timestamp_id_status_durati_idx",
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_uses_indexes(visitor: Visitor, pattern: str) -> None:
    require_indexes(visitor, pattern)


def test_each_common_index_serves_something(visitor: Visitor) -> None:
    used = {scan.index for pattern in PATTERNS for scan in scans(visitor, pattern)}
    assert used >= COMMON_INDEXES


@pytest.mark.parametrize("pattern", [pattern for pattern in PATTERNS if pattern.startswith("tail")])
def test_the_tail_comes_in_the_order_of_its_index(visitor: Visitor, pattern: str) -> None:
    (scan,) = scans(visitor, pattern)
    assert scan.index == "function_logs_function_id_timestamp_id_level_idx"


@pytest.mark.parametrize("pattern", ["function statistics", "hourly statistics", "daily statistics", "user overview"])
def test_statistics_read_no_row_of_the_table(visitor: Visitor, pattern: str) -> None:
    found = [scan for scan in scans(visitor, pattern) if scan.table == "function_invocations"]
    assert {scan.index for scan in found} == {"function_invocations_function_id_timestamp_id_status_durati_idx"}
    if visitor.managers.database.dialect == "postgresql":
        assert {scan.kind for scan in found} == {"Index Only Scan"}


@pytest.mark.parametrize("table", ["function_logs", "function_invocations"])
def test_what_no_index_serves_is_seen(visitor: Visitor, table: str) -> None:
    manager = getattr(visitor.managers, table)
    column = "message" if table == "function_logs" else "error"
    (scan,) = scans_of(visitor.managers.database, lambda: manager.find_all({column: "nothing like it"}))
    assert (scan.table, scan.kind, scan.index) == (table, "Seq Scan", None)


def test_pages_that_end_in_the_public_uuid_go_by_the_index_before_it(visitor: Visitor) -> None:
    logs = visitor.managers.function_logs
    found = scans_of(visitor.managers.database, lambda: visitor.second_page(logs, None, ("timestamp", "uuid")))
    assert {scan.index for scan in found} == {"function_logs_timestamp_idx"}
    assert all(scan.rows is None or scan.rows < visitor.platform.rows / 10 for scan in found)


def test_what_goes_with_a_row_is_found_by_indexes(visitor: Visitor) -> None:
    """SQLite explains the actions of foreign keys along with the statement; PostgreSQL does not, but counts scans."""
    database = visitor.managers.database
    if database.dialect == "sqlite":
        tables = {scan.table for scan in scans(visitor, "delete a function with all its rows")}
        assert tables == {"functions", "function_deployments", "function_logs", "function_invocations"}
        return
    with database.session():
        before = sequential_scans(database)
        with rolled_back(database):
            visitor.managers.functions.delete_by_id(visitor.quiet.id)
            visitor.managers.function_deployments.delete({"function_id": visitor.silent.id})
        assert sequential_scans(database) == before
        visitor.managers.function_logs.find_one({"message": "nothing like it"})
        assert sequential_scans(database) != before


def sequential_scans(database: Database) -> dict[str, int]:
    database.raw_query_all("SELECT pg_stat_force_next_flush()")
    rows = database.raw_query_all(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN @tables", {"tables": GROWING_TABLES}
    )
    return {row["relname"]: row["seq_scan"] for row in rows}


# They make tables, or read all rows of an hour.
ROLLED_UP = ("rollup", "enable_rollups", "disable_rollups")


@pytest.mark.parametrize("manager", [FunctionLogManager, FunctionInvocationManager])
def test_each_operation_of_a_table_that_grows_is_among_the_patterns(manager: type) -> None:
    written = inspect.getsource(growth_patterns)
    for name in vars(manager):
        if not name.startswith("_") and name not in ("append", "record", *ROLLED_UP):
            assert f".{name}(" in written


OWNED: dict[str, Callable[[Visitor, Managers], object]] = {
    "function by id": lambda v, mine: mine.functions.find_by_id(v.quiet.id),
    "log by uuid": lambda v, mine: mine.function_logs.find_by_uuid(v.line.uuid),
    "functions": lambda v, mine: mine.functions.find_all(order_by="-created_at", limit=20),
    "count of functions": lambda v, mine: mine.functions.count(),
    "count of logs": lambda v, mine: mine.function_logs.count(),
    "count of errors": lambda v, mine: mine.function_logs.count({"level": "error"}),
    "tail": lambda v, mine: mine.function_logs.tail(v.quiet),
    "functions with their latest logs": lambda v, mine: mine.functions.find_all(
        include={"logs": {"limit": 20, "order_by": "-timestamp"}}
    ),
    "page of a function's logs": lambda v, mine: v.second_page(
        mine.function_logs, {"function_id": v.quiet.id}, ("timestamp", "id")
    ),
    "aggregate": lambda v, mine: mine.function_invocations.aggregate(group_by="function_id", n=operators.count()),
    "append": lambda v, mine: mine.function_logs.append(v.quiet, "info", "…"),
    "update": lambda v, mine: mine.function_invocations.update({"status": "seen"}, {"function_id": v.quiet.id}),
    "delete": lambda v, mine: mine.function_logs.delete({"function_id": v.quiet.id, "level": "debug"}),
}


@pytest.mark.parametrize("pattern", OWNED)
def test_what_an_owner_asks_uses_indexes(visitor: Visitor, pattern: str) -> None:
    mine = visitor.managers.owned_by(visitor.user)
    found = scans_of(visitor.managers.database, lambda: OWNED[pattern](visitor, mine))
    assert found
    assert [scan for scan in found if scan.kind == "Seq Scan" and scan.table in GROWING_TABLES] == []
    for scan in found:
        assert scan.rows is None or scan.rows < visitor.platform.rows / 10
