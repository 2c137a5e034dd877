"""Rows in memory are never older than the unit of work that takes them, whoever writes, and whatever breaks."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cloudpub_models import Component, Database, Managers, errors
from cloudpub_models.entity import AutoField, BigIntegerField, Entity
from tests.faults.servers import Server, Standby

READERS, PROCESSES, COUNTERS = 8, 2, 40


class Counter(Entity):
    """A number that only grows."""

    id = AutoField()
    number = BigIntegerField()

    class Meta:
        table_name = "counters"
        tracked = True


def open_counters(url: str, **options: Any) -> Database:
    component = Component("counters", [Counter], Path("/nowhere"))
    return Database(url, components=(component,), platform=False, busy_timeout=30, **options)


def make_counters(database: Database) -> None:
    with database.bind():
        Counter.create_table()
        database.history.enable()
        Counter.insert_many([{"number": 0}] * COUNTERS).execute()


@pytest.fixture(params=["sqlite", "postgresql"])
def counters(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    sqlite = request.param == "sqlite"
    database = open_counters(f"sqlite:///{tmp_path}/counters.db" if sqlite else request.getfixturevalue("url"))
    make_counters(database)
    yield database
    database.close()


def committed(path: str) -> memoryview:
    """Return the numbers that have been committed, as all processes see them: a place for each counter."""
    with open(path, "r+b") as file:
        return memoryview(mmap(file.fileno(), 0)).cast("q")


def read(_process: int, url: str, path: str, until: float) -> dict[str, int]:
    """Read in several threads, and return how often what was read was older than it may be."""
    database, floor = open_counters(url, cached_rows=COUNTERS // 2), committed(path)
    found = {"reads": 0, "sent": 0, "stale": 0, "back": 0}
    failures: list[BaseException] = []

    def run(number: int) -> None:
        chance = random.Random(number)
        manager, highest = Managers(database).for_model(Counter), dict.fromkeys(range(1, COUNTERS + 1), 0)
        reads = stale = back = 0
        try:
            while time.monotonic() < until:
                known = floor.tolist()
                with database.session(cached=True):
                    for _ in range(chance.choice((1, 5, 20))):
                        id = min(chance.randint(1, COUNTERS), chance.randint(1, COUNTERS))
                        value = manager.get_by_id(id).number
                        reads += 1
                        stale += value < known[id - 1]
                        back += value < highest[id]
                        highest[id] = max(value, highest[id])
        except BaseException as error:  # noqa: BLE001 - it is raised where the others have ended
            failures.append(error)
        # A thread's part at once, when it ends.
        for name, count in {"reads": reads, "stale": stale, "back": back}.items():
            found[name] += count

    def count(query: Any) -> None:
        found["sent"] += "FROM counters" in query.sql

    database.on_query(count)
    threads = [Thread(target=run, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    if failures:
        raise failures[0]
    return found


class UndoneError(Exception):
    """What a writer gives up for."""


def write(database: Database, floor: memoryview, until: float) -> int:
    """Count up, in transactions of several counters, some given up; return how many were committed."""
    chance, numbers, written = random.Random(0), [0] * COUNTERS, 0
    while time.monotonic() < until:
        chosen = sorted(chance.sample(range(COUNTERS), chance.choice((1, 1, 3))))
        with suppress(UndoneError):
            with database.transaction():
                for place in chosen:
                    database.raw_execute("UPDATE counters SET number = number + 1 WHERE id = @id", {"id": place + 1})
                if chance.random() < 0.2:
                    raise UndoneError
                if chance.random() < 0.1:
                    time.sleep(0.01)
            for place in chosen:
                numbers[place] += 1
                floor[place] = numbers[place]
            written += 1
        time.sleep(chance.choice((0, 0.001, 0.005)))
    return written


def test_nothing_is_older_than_its_unit_of_work(
    counters: Database, tmp_path: Path, start_workers: Callable[..., Any], scale: Callable[[int, int], int]
) -> None:
    seconds = scale(2, 60)
    path = tmp_path / "committed"
    path.write_bytes(bytes(8 * COUNTERS))
    url = f"sqlite:///{tmp_path}/counters.db" if counters.dialect == "sqlite" else counters.engine.database
    until = time.monotonic() + seconds
    workers = start_workers(PROCESSES, read, url, str(path), until)
    written = write(counters, committed(str(path)), until)
    found = {name: sum(one[name] for one in results) for results in [workers.results(60)] for name in results[0]}
    print(found, f"{written} written, {1 - found['sent'] / found['reads']:.0%} hits")
    assert (found["stale"], found["back"]) == (0, 0)
    assert found["sent"] < found["reads"]
    assert written


@pytest.fixture
def primary() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


def test_a_server_that_forgets_its_last_transactions(primary: Server) -> None:
    """It gives their numbers to others, which no position would notice."""
    primary.execute("ALTER SYSTEM SET synchronous_commit = off")
    primary.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
    primary.execute("SELECT pg_reload_conf()")
    database = open_counters(primary.url, cached_rows=10)
    make_counters(database)
    primary.execute("CHECKPOINT")
    counters, lost = Managers(database).for_model(Counter), "UPDATE counters SET number = 7 WHERE id = 1"
    database.raw_execute(lost)
    with database.session(cached=True):
        assert [counters.get_by_id(id).number for id in (1, 1, 2)] == [7, 7, 0]
    primary.restart()
    other = open_counters(primary.url)
    Managers(other).for_model(Counter).update_by_id(2, {"number": 8})
    with database.session(cached=True):
        for id in (1, 2):
            expected = Managers(other).for_model(Counter).get_by_id(id).number
            assert counters.get_by_id(id).number == expected
    other.close()
    database.close()


def test_a_standby_keeps_nothing_and_when_it_is_promoted_all_begins_anew(primary: Server) -> None:
    standby = Standby(primary)
    try:
        database = open_counters(primary.url, cached_rows=10)
        make_counters(database)
        standby.wait_until_equal()
        replica = open_counters(standby.url, cached_rows=10)
        counters = Managers(replica).for_model(Counter)
        for number in range(2):
            with replica.session(cached=True):
                assert [counters.get_by_id(1).number for _ in range(2)] == [number, number]
            database.raw_execute("UPDATE counters SET number = number + 1 WHERE id = 1")
            standby.wait_until_equal()
        assert replica.engine.cached_rows is not None
        assert not replica.engine.cached_rows.found
        database.close()
        primary.stop()
        standby.promote()
        for number in (2, 3):
            with replica.session(cached=True):
                assert [counters.get_by_id(1).number for _ in range(2)] == [number, number]
            replica.raw_execute("UPDATE counters SET number = number + 1 WHERE id = 1")
        assert replica.engine.cached_rows.found
        replica.close()
    finally:
        standby.remove()


def test_a_connection_that_is_lost_is_an_error_and_no_old_row(server: Server, url: str) -> None:
    database = open_counters(url, cached_rows=10)
    make_counters(database)
    counters = Managers(database).for_model(Counter)

    def end_all_connections() -> None:
        name = url.rpartition("/")[2]
        server.execute(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'")

    def count_up() -> None:
        server.execute("UPDATE counters SET number = number + 1", url.rpartition("/")[2])

    with database.session(cached=True):
        assert [counters.get_by_id(1).number for _ in range(2)] == [0, 0]
        end_all_connections()
    count_up()
    with database.session(cached=True):
        assert [counters.get_by_id(1).number for _ in range(2)] == [1, 1]
        end_all_connections()
        with pytest.raises(errors.ConnectionLostError):
            counters.get_by_id(2)
        count_up()
        assert [counters.get_by_id(id).number for id in (1, 1, 2)] == [2, 2, 2]
    database.close()
