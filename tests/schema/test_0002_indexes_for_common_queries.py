"""The indexes of the second migration come without keeping anybody waiting, and whatever was in the way before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import peewee
import pytest

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Difference, Migrator, find_drift, read_catalogue
from cloudpub_models.schema.drift.definition import expected_catalogue
from tests.waiting import LONG_ENOUGH, wait_until

MIGRATION = "0002_indexes_for_common_queries"
LATEST_LINES = "function_logs_function_id_timestamp_id_level_idx"

LACKING = [
    "functions.user_id, status, created_at: index: expected an index; got none",
    "function_deployments.status, id: index: expected an index; got none",
    "function_logs.function_id, timestamp, id, level: index: expected an index; got none",
    "function_invocations.function_id, timestamp, id, status, duration_ms: index: expected an index; got none",
]


def lacking(differences: Iterable[Difference]) -> list[str]:
    """What indexes are not there; later migrations bring unique ones."""
    return [difference.description for difference in differences if difference.kind == "index"]


@pytest.fixture
def older(empty: peewee.Database) -> peewee.Database:
    """A database of before the indexes."""
    Migrator(empty, component).up("0001_initial")
    return empty


@pytest.fixture
def another(connect: Callable[[], peewee.Database]) -> Iterator[peewee.Database]:
    """A second connection."""
    with closing(connect()) as database:
        database.connect()
        yield database


def test_they_come_and_go(older: peewee.Database) -> None:
    assert lacking(find_drift(older, component.models)) == LACKING
    assert Migrator(older, component).up(MIGRATION) == [MIGRATION]
    assert lacking(find_drift(older, component.models)) == []
    assert Migrator(older, component).down() == [MIGRATION]
    assert lacking(find_drift(older, component.models)) == LACKING


def test_an_adopted_database_lacks_them_and_may_get_them_either_way(older: peewee.Database) -> None:
    older.execute_sql("DROP TABLE cloudpub_migrations")
    report = Migrator(older, component).adopt()
    assert lacking(report.differences) == LACKING
    # Some by hand, the others by the migration.
    for difference in [each for each in report.differences if each.kind == "index"][:3]:
        older.execute_sql(difference.statements[0])
    assert Migrator(older, component).up(MIGRATION) == [MIGRATION]
    assert lacking(find_drift(older, component.models)) == []


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_their_names_are_those_that_postgresql_would_give(older: peewee.Database) -> None:
    expected = {
        name: table.indexes
        for name, table in expected_catalogue(sql_dialect_of(older), component.models).tables.items()
    }
    for table, indexes in expected.items():
        for index in indexes:
            older.execute_sql(f"DROP INDEX IF EXISTS {index.name}")
            older.execute_sql(f"CREATE INDEX ON {table} ({', '.join(index.keys)})")
    assert {name: table.indexes for name, table in read_catalogue(older, expected).tables.items()} == expected


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_what_an_interrupted_run_left_invalid_is_made_anew(older: peewee.Database) -> None:
    migrator = Migrator(older, component)
    migrator.up(MIGRATION)
    migrator.down()
    older.execute_sql(f"CREATE INDEX {LATEST_LINES} ON function_logs (function_id, timestamp, id, level)")
    older.execute_sql(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{LATEST_LINES}'::regclass")
    assert lacking(find_drift(older, component.models)) == LACKING
    assert migrator.up(MIGRATION) == [MIGRATION]
    assert lacking(find_drift(older, component.models)) == []


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_others_write_while_the_migration_waits_for_an_older_transaction(
    older: peewee.Database, another: peewee.Database, connect: Callable[[], peewee.Database]
) -> None:
    add_user = "INSERT INTO users (email, password_hash) VALUES (%s, 'hash')"

    def migrate() -> tuple[list[str], str]:
        with closing(connect()) as database:
            database.connect()
            database.execute_sql("SET lock_timeout = '50ms'")
            applied = Migrator(database, component).up(MIGRATION)
            return applied, database.execute_sql("SHOW lock_timeout").fetchone()[0]

    with ThreadPoolExecutor(1) as pool:
        with another.atomic():
            another.execute_sql(add_user, ("ada@example.com",))
            migration = pool.submit(migrate)
            waited_for = another.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
            wait_until(lambda: is_waiting_for(older, waited_for))
            older.execute_sql("SET lock_timeout = '10s'")
            older.execute_sql(add_user, ("grace@example.com",))
            # Longer than the session would have waited for a lock.
            wait_until(lambda: is_waiting_for(older, waited_for, "100 milliseconds"))
        assert migration.result(LONG_ENOUGH) == ([MIGRATION], "50ms")
    assert lacking(find_drift(older, component.models)) == []


def is_waiting_for(database: peewee.Database, process: int, duration: str = "0 seconds") -> bool:
    waiting = (
        "SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid)) "
        "AND clock_timestamp() - query_start > %s::interval"
    )
    return database.execute_sql(waiting, (process, duration)).fetchone() is not None
