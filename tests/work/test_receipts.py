"""``database.once``: what is done under a key is done once, and its key goes where it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudpub_models import Database, Managers, operators
from cloudpub_models.errors import InvalidValueError, TransactionAbortedError, UnknownTableError
from tests.waiting import LONG_ENOUGH
from tests.work.databases import opened

PROCESSES = 8


@pytest.fixture
def managers(database: Database) -> Managers:
    """The managers of ``database``, any table of whose may be asked for."""
    return Managers(database)


def add_user(database: Database, name: str) -> None:
    Managers(database).users.insert({"email": f"{name}@example.com", "password_hash": "…"})


def test_the_first_time_is_told_from_the_others(database: Database, managers: Any, statements: Any) -> None:
    for expected in (True, False, False):
        with database.once("invoice:1") as fresh:
            assert fresh is expected
    with database.once("invoice:2") as fresh:
        assert fresh is True
    assert len(statements) == 4
    assert {" ".join(sql.split()).replace("?", "%s") for sql in statements.sql} == {
        "INSERT INTO receipts (key) VALUES (%s) ON CONFLICT (key) DO NOTHING"
    }
    assert [parameters for _, parameters in statements][::3] == [("invoice:1",), ("invoice:2",)]
    kept = managers.receipts.find_all(order_by="key")
    assert [receipt.key for receipt in kept] == ["invoice:1", "invoice:2"]
    assert abs(datetime.now(UTC) - kept[0].created_at) < timedelta(minutes=1)


def test_what_was_undone_was_not_done(database: Database, managers: Any) -> None:
    with pytest.raises(ZeroDivisionError), database.once("invoice"):
        add_user(database, "ada")
        _ = 1 / 0
    assert (managers.users.count(), managers.receipts.count()) == (0, 0)
    with database.once("invoice") as fresh:
        assert fresh
        add_user(database, "ada")
    assert (managers.users.count(), managers.receipts.count()) == (1, 1)


def test_a_caught_error_cannot_pass_for_done(database: Database, managers: Any) -> None:
    add_user(database, "ada")
    with pytest.raises(TransactionAbortedError), database.once("invoice"):
        try:
            add_user(database, "ada")
        except Exception:  # noqa: BLE001
            pass
    assert managers.receipts.count() == 0


def test_inside_a_transaction_it_is_kept_with_that(database: Database, managers: Any) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction():
        with database.once("invoice") as fresh:
            assert fresh
        _ = 1 / 0
    assert managers.receipts.count() == 0
    with database.transaction(), database.once("invoice") as fresh:
        assert fresh
    assert managers.receipts.count() == 1


def test_old_receipts_are_rows_like_others(database: Database, managers: Any) -> None:
    with database.once("invoice"):
        pass
    recent, all_of_them = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    assert managers.receipts.delete({"created_at": operators.lt(recent)}) == 0
    assert managers.receipts.delete({"created_at": operators.lt(all_of_them)}) == 1
    with database.once("invoice") as fresh:
        assert fresh


@pytest.mark.parametrize("key", [None, "", 7, "a" * 256, "a\0"])
def test_a_key_that_is_none_does_nothing(database: Database, managers: Any, statements: Any, key: Any) -> None:
    ran = []
    with pytest.raises(InvalidValueError, match=r"^expected the key to be a text"), database.once(key):
        ran.append(key)
    assert (ran, len(statements)) == ([], 0)


def test_a_database_without_the_table_says_what_to_do(database: Database) -> None:
    database.raw_execute("DROP TABLE receipts")
    with pytest.raises(UnknownTableError, match=r"expected the table receipts; .* components=\[component\]"):
        database.once("invoice").__enter__()
    assert not database.engine.scopes()


# At the same time


@pytest.fixture
def shared_url(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    """The URL of a database that several processes open."""
    return f"sqlite:///{tmp_path}/c.db" if backend == "sqlite" else str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def shared(shared_url: str) -> Iterator[Database]:
    """That database, with a table for effects."""
    with opened(shared_url) as database:
        database.raw_execute("CREATE TABLE effects (name TEXT)")
        yield database


def do_once(database: Database, names: list[str]) -> int:
    """Do what each name says, once; return how often it was this caller's turn."""
    done = 0
    for name in names:
        with database.once(name) as fresh:
            if fresh:
                database.raw_execute("INSERT INTO effects VALUES (@name)", {"name": name})
                done += 1
    return done


def do_once_in_a_process(url: str, names: list[str]) -> int:
    database = Database(url)
    try:
        return do_once(database, names)
    finally:
        database.close()


def test_eight_processes_do_each_thing_once(shared: Database, shared_url: str, processes: Any) -> None:
    names = [f"job {number}" for number in range(40)]
    done = processes.starmap(do_once_in_a_process, [(shared_url, names)] * PROCESSES, 1)
    assert sum(done) == 40
    assert shared.raw_query_all("SELECT COUNT(*) AS n, COUNT(DISTINCT name) AS names FROM effects") == [
        {"n": 40, "names": 40}
    ]


def test_eight_threads_do_a_thing_once(shared: Database) -> None:
    together = threading.Barrier(PROCESSES)
    done: list[int] = []

    def work() -> None:
        together.wait(LONG_ENOUGH)
        done.append(do_once(shared, ["job"]))

    threads = [threading.Thread(target=work) for _ in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0] * 7 + [1]
    assert shared.raw_query_all("SELECT name FROM effects") == [{"name": "job"}]


def test_who_comes_meanwhile_waits_and_takes_over_what_was_undone(shared: Database) -> None:
    begun, second = threading.Event(), []

    def follow() -> None:
        begun.wait(LONG_ENOUGH)
        with shared.once("job") as fresh:
            second.append(fresh)

    thread = threading.Thread(target=follow)
    thread.start()
    with pytest.raises(ZeroDivisionError), shared.once("job"):
        begun.set()
        time.sleep(0.1)
        assert second == []
        _ = 1 / 0
    thread.join()
    assert second == [True]
