"""The names of partitions, their limits, and the locks under which they are made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cloudpub_models import Database, Function, Managers, errors
from cloudpub_models.schema.partitions.statements import FUTURE, PartitionedTable, is_empty, label_of, literal, lock

LOGS = PartitionedTable("function_logs", "timestamp")


def test_names_are_cut_at_the_table() -> None:
    long = PartitionedTable("t" * 63, "timestamp")
    names = {long.partition_name(label) for label in (FUTURE, label_of(datetime(2026, 1, 2), "day"), "202601")}
    assert {len(name) for name in names} == {63}
    assert {name.lstrip("t") for name in names} == {"_p_future", "_p_20260102", "_p_202601"}


def test_a_moment_is_exact() -> None:
    assert literal(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) == "'2026-01-02 03:04:05.000006+00'"


def test_whether_a_table_is_empty(database: Database, lines: Managers) -> None:
    assert [is_empty(database.engine, name) for name in ("function_logs", "function_invocations")] == [False, True]


def test_a_lock_that_is_not_to_be_had_at_once(database: Database, database_url: str, resize: Function) -> None:
    other = Database(database_url)
    with other.transaction() as reader:
        reader.execute("SELECT FROM function_logs")
        with pytest.raises(errors.LockNotAvailableError), database.transaction():
            lock(database.engine, LOGS)
    other.close()


def test_what_is_locked_is_kept_from_others(database: Database, database_url: str) -> None:
    other = Database(database_url, lock_timeout=0.05)
    with database.transaction():
        lock(database.engine, LOGS)
        with pytest.raises(errors.LockNotAvailableError):
            other.raw_query_all("SELECT FROM function_logs")
        # Whoever refers to a function may go on.
        other.raw_query_all("SELECT FROM functions FOR KEY SHARE")
    other.close()
