"""Throwing old rows away: in batches that find their rows by the index, and that nobody who writes waits for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Managers, QueryEvent
from cloudpub_models.errors import InvalidQueryError, InvalidValueError

TABLES = ("function_logs", "function_invocations")
BEGIN = datetime(2024, 5, 1, tzinfo=UTC)


class World:
    """A function with a row for each minute in one of the tables."""

    def __init__(self, managers: Managers, table: str, rows: int) -> None:
        self.database: Database = managers.database
        self.manager: Any = getattr(managers, table)
        self.table = table
        user = managers.users.insert({"email": "ada@example.com", "password_hash": "hash"})
        self.function = managers.functions.insert({"user_id": user.id, "name": "resize"})
        self.manager.batch_insert(self.row(number) for number in range(rows))

    def row(self, minute: int) -> dict[str, object]:
        values = {"level": "info", "message": "m"} if self.table == "function_logs" else {"status": "success"}
        return {"function_id": self.function.id, "timestamp": self.moment(minute), **values}

    def moment(self, minute: int) -> datetime:
        return BEGIN + timedelta(minutes=minute)


@pytest.fixture(params=TABLES)
def world(managers: Managers, request: pytest.FixtureRequest) -> World:
    return World(managers, request.param, 2_500)


@pytest.fixture
def another(database_url: str) -> Iterator[Database]:
    """A second database object on the same database, which waits for no lock until somebody ends a transaction."""
    database = Database(database_url, lock_timeout=1)
    yield database
    database.close()


def test_the_oldest_go_first_in_batches(world: World) -> None:
    progress: list[int] = []
    assert world.manager.prune(world.moment(2_250), progress=progress.append) == 2_250
    assert progress == [1_000, 2_000, 2_250]
    assert [row.timestamp for row in world.manager.find_all(order_by="timestamp", limit=1)] == [world.moment(2_250)]
    assert world.manager.prune(world.moment(2_250)) == 0
    assert world.manager.prune(timedelta(0), batch_size=10_000) == 250


def test_many_rows_of_one_moment(world: World) -> None:
    world.manager.batch_insert(world.row(0) for _ in range(30))
    assert world.manager.prune(world.moment(1), batch_size=7) == 31
    assert world.manager.count() == 2_499


def test_bad_arguments(world: World) -> None:
    with pytest.raises(InvalidValueError, match="older_than"):
        world.manager.prune(datetime(2024, 5, 1))
    with pytest.raises(InvalidQueryError, match="batch_size"):
        world.manager.prune(timedelta(0), batch_size=0)
    assert world.manager.count() == 2_500


@pytest.mark.usefixtures("plain_tables")
def test_each_batch_is_a_transaction_and_begins_where_the_last_ended(world: World) -> None:
    sent: list[QueryEvent] = []
    stop = world.database.on_query(sent.append)
    world.manager.prune(world.moment(2_250))
    stop()
    words = [query.sql.split()[0] for query in sent]
    rollups_are_there = ["SELECT"] * (world.table == "function_invocations")
    assert words == [*rollups_are_there, *(["BEGIN", "DELETE", "COMMIT"] * 3)]
    deletes = [query for query in sent if query.sql.startswith("DELETE")]
    assert ["timestamp >= " in query.sql for query in deletes] == [False, True, True]
    assert not any("OFFSET" in query.sql for query in sent)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_nobody_who_writes_waits_for_a_batch(world: World, another: Database) -> None:
    """Inside a transaction that is kept open the locks of all batches are held; who wanted one of them would fail."""
    with world.database.transaction():
        assert world.manager.prune(world.moment(2_250)) == 2_250
        others = Managers(another)
        others.function_logs.append(world.function, "info", "meanwhile")
        others.function_invocations.record(world.function, "success", 5)
        others.functions.update_by_id(world.function.id, {"status": "paused"})
        others.function_deployments.activate(others.function_deployments.deploy(world.function, "image", "key"))
        assert getattr(others, world.table).prune(world.moment(2_300)) == 50


@pytest.mark.alone
@pytest.mark.parametrize("backend", ["postgresql"])
def test_inserts_go_on_while_rows_are_thrown_away(world: World, another: Database) -> None:
    world.manager.batch_insert(world.row(number) for number in range(2_500, 22_500))
    manager = getattr(Managers(another), world.table)
    inserted = 0
    with ThreadPoolExecutor(1) as pool:
        pruning = pool.submit(world.manager.prune, world.moment(22_500), 200)
        while not pruning.done():
            manager.insert(world.row(30_000))
            inserted += 1
        assert pruning.result() == 22_500
    # Had one of them waited for the end, there would not have been many; nor does any wait for a lock for a second.
    assert inserted >= 10
    assert manager.count() == inserted


@pytest.mark.parametrize("backend", ["postgresql"])
def test_others_see_each_batch_when_it_is_done(world: World, another: Database) -> None:
    manager = getattr(Managers(another), world.table)
    left: list[int] = []

    def write(_: int) -> None:
        left.append(manager.count())
        manager.insert(world.row(3_000))

    world.manager.prune(world.moment(2_250), progress=write)
    assert left == [1_500, 501, 252]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_batches_do_not_pass_what_is_deleted_again(world: World, another: Database) -> None:
    """While somebody looks at an older state, the index keeps what was deleted, and each batch would go through it."""
    # Away with what other tests have left behind.
    world.database.engine.run(f"VACUUM (ANALYZE) {world.table}", None)
    with another.transaction(isolation="REPEATABLE READ") as connection, world.database.session():
        connection.execute(f"SELECT COUNT(*) AS n FROM {world.table}")
        before = entries_read(world)
        assert world.manager.prune(world.moment(2_000), batch_size=20) == 2_000
        # Each batch begins at the last row of the one before; without that it would be a hundred times as many.
        assert entries_read(world) - before <= 2_000 + 3 * 100


def entries_read(world: World) -> int:
    world.database.raw_query_all("SELECT pg_stat_force_next_flush()")
    row = world.database.raw_query_single(
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = @name",
        {"name": f"{world.table}_timestamp_idx"},
    )
    assert row is not None
    return int(row["idx_tup_read"])
