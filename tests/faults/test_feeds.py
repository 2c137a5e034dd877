"""A feed under fire loses nothing, repeats nothing, and tears nothing apart; on a standby it refuses."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from cloudpub_models import Change, Component, Database, errors
from cloudpub_models.cli.commands.doctor.postgresql import restored_log
from cloudpub_models.entity import AutoField, BigIntegerField, Entity
from tests.faults.servers import Server, Standby

WRITERS, FEWEST_CHANGES = 8, 30
ACCOUNTS = 24


class Account(Entity):
    """What money moves between, which gets neither more nor less."""

    id = AutoField()
    amount = BigIntegerField()

    class Meta:
        table_name = "accounts"
        tracked = True


def open_bank(url: str, folder: str) -> Database:
    return Database(url, components=(Component("bank", [Account], Path(folder)),), platform=False, busy_timeout=30)


def _found(database: Database, accounts: int = ACCOUNTS) -> None:
    with database.bind():
        Account.create_table()
        database.history.enable()
        Account.insert_many([{"amount": 100}] * accounts).execute()


@pytest.fixture(params=["sqlite", "postgresql"])
def bank_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/bank.db" if sqlite else str(request.getfixturevalue("url"))
    database = open_bank(url, str(tmp_path))
    _found(database)
    database.close()
    return url


class UndoneError(Exception):
    """What a writer gives up for."""


def _add(database: Database, account: int, amount: int) -> None:
    database.raw_execute("UPDATE accounts SET amount = amount + @a WHERE id = @id", {"a": amount, "id": account})


def write(number: int, url: str, folder: str, until: float) -> int:
    """Move money in small transactions, some given up, some with savepoints given up; return how many changes stay.

    Each writes until a moment, and for long enough to have made some changes.
    On PostgreSQL one writer takes its time, with an account that is nobody else's.
    """
    database = open_bank(url, folder)
    chance = random.Random(number)
    kept: list[int] = []
    is_slow = number == 0 and database.dialect == "postgresql"
    while time.monotonic() < until or (len(kept) < FEWEST_CHANGES and not is_slow):
        one, other = sorted(chance.sample(range(2, ACCOUNTS + 1), 2))
        how = chance.random()
        with suppress(UndoneError), database.transaction():
            _add(database, 1 if is_slow else one, -5)
            if how < 0.2:
                raise UndoneError
            if how < 0.4:
                with suppress(UndoneError), database.transaction():
                    _add(database, other, 99)
                    raise UndoneError
            if is_slow:
                time.sleep(0.5)
            _add(database, other, 5)
            database.on_commit(lambda: kept.extend((-5, 5)))
    database.close()
    return len(kept)


class Ledger:
    """What a consumer knows of the accounts, and what has to be true of it after each batch."""

    def __init__(self, opening: list[Change]) -> None:
        self.amounts = {change.row_id: 100 for change in opening}
        self.delivered = [change.id for change in opening]
        self.transactions: set[int] = set()

    def take(self, batch: list[Change], limit: int) -> None:
        assert len(batch) <= limit
        for change in batch:
            assert self.amounts[change.row_id] == change.before["amount"], "out of order"
            self.amounts[change.row_id] = change.after["amount"]
        for transaction, _ in groupby(batch, key=lambda change: change.transaction_id):
            assert transaction not in self.transactions, "torn"
            self.transactions.add(transaction)
        assert sum(self.amounts.values()) == 100 * ACCOUNTS, "half of a transaction"
        self.delivered += [change.id for change in batch]


def test_it_loses_repeats_disorders_and_tears_nothing(
    bank_url: str, tmp_path: Path, start_workers: Callable[..., Any], scale: Callable[[int, int], int]
) -> None:
    seconds = scale(4, 60)
    database = open_bank(bank_url, str(tmp_path))
    with database.feed("ledger") as batch:
        ledger = Ledger(batch)
    workers = start_workers(WRITERS, write, bank_url, str(tmp_path), time.monotonic() + seconds)
    chance = random.Random(0)
    deadline = time.monotonic() + seconds + 60
    while time.monotonic() < deadline:
        last = not any(process.is_alive() for process in workers.processes)
        before = _committed(database)
        limit = chance.choice((2, 5, 50, 100_000))
        if chance.random() < 0.1:
            with pytest.raises(UndoneError), database.feed("ledger", limit=limit):
                raise UndoneError
        # What a smaller limit has begun is ended by a batch of its own.
        for _ in range(2 if limit == 100_000 else 1):
            with database.feed("ledger", limit=limit) as batch:
                pass
            ledger.take(batch, limit)
        # Whoever is still at it: what was over before does not wait.
        assert limit < 100_000 or before <= len(ledger.delivered)
        if last and not batch:
            break
    written = sum(workers.results(30))
    recorded = [row["id"] for row in database.raw_query_all("SELECT id FROM changes WHERE operation IN ('I', 'U')")]
    assert Counter(ledger.delivered) == Counter(recorded)
    assert len(recorded) == written + ACCOUNTS
    assert written >= FEWEST_CHANGES * (WRITERS - 1)
    print(f"{written / seconds:.0f} changes/s, {len(ledger.transactions)} transactions")
    database.close()


def _committed(database: Database) -> int:
    row = database.raw_query_single("SELECT COUNT(*) AS n FROM changes WHERE operation IN ('I', 'U')")
    assert row is not None
    return int(row["n"])


def consume(_number: int, url: str, folder: str, until: float) -> None:
    """Keep an effect of each change, and take one's time about it."""
    database = open_bank(url, folder)
    while time.monotonic() < until:
        with suppress(errors.LockNotAvailableError), database.feed("worker", limit=5) as batch:
            for change in batch:
                database.raw_execute("INSERT INTO effects (change) VALUES (@id)", {"id": change.id})
                time.sleep(0.002)
    database.close()


def test_consumers_that_are_killed_leave_every_effect_once(
    bank_url: str, tmp_path: Path, start_workers: Callable[..., Any], scale: Callable[[int, int], int]
) -> None:
    kills = scale(8, 100)
    database = open_bank(bank_url, str(tmp_path))
    database.raw_execute("CREATE TABLE effects (change BIGINT)")
    chance = random.Random(0)
    until = time.monotonic() + 300
    consumers = [start_workers(1, consume, bank_url, str(tmp_path), until) for _ in range(2)]
    for _ in range(kills):
        for _ in range(20):
            _add(database, chance.randint(1, ACCOUNTS), 1)
        time.sleep(chance.random() * 0.1)
        killed = consumers.pop(0)
        killed.kill()
        consumers.append(start_workers(1, consume, bank_url, str(tmp_path), until))
    changes = "SELECT id FROM changes WHERE operation IN ('I', 'U') ORDER BY id"
    expected = [row["id"] for row in database.raw_query_all(changes)]
    deadline = time.monotonic() + 30
    while database.history.consumers()[0].waiting and time.monotonic() < deadline:
        time.sleep(0.05)
    for consumer in consumers:
        consumer.kill()
    effects = database.raw_query_all("SELECT change FROM effects ORDER BY change")
    assert [row["change"] for row in effects] == expected
    database.close()


@pytest.fixture
def primary() -> Iterator[Server]:
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def standby(primary: Server) -> Iterator[Standby]:
    server = Standby(primary)
    yield server
    server.remove()


def test_a_standby_refuses_and_goes_on_when_it_is_promoted(primary: Server, standby: Standby, tmp_path: Path) -> None:
    primary.execute("CREATE DATABASE bank")
    database = open_bank(primary.url_at(primary.port, "bank"), str(tmp_path))
    _found(database, 4)
    delivered: list[int] = []
    with database.feed("ledger", limit=1) as batch:
        delivered += [change.id for change in batch]
    # Running on the primary as it breaks down; the position knows its number.
    late = primary.connect("bank").cursor()
    late.execute("BEGIN; UPDATE accounts SET amount = 0 WHERE id = 1")
    with database.feed("ledger", limit=2) as batch:
        delivered += [change.id for change in batch]
    _add(database, 2, 7)
    standby.wait_until_equal()
    database.close()
    replica = open_bank(standby.url_at(standby.port, "bank"), str(tmp_path))
    with pytest.raises(errors.HistoryError, match=r"expected a primary.*got a standby"), replica.feed("ledger"):
        pass
    primary.stop()
    standby.promote()
    _add(replica, 3, 7)
    while True:
        with replica.feed("ledger") as batch:
            delivered += [change.id for change in batch]
        if not batch:
            break
    kept = replica.raw_query_all("SELECT id FROM changes WHERE operation IN ('I', 'U') ORDER BY id")
    assert delivered == [row["id"] for row in kept]
    assert len(delivered) == 6
    replica.close()


def test_what_was_restored_from_another_server_is_found(primary: Server, tmp_path: Path) -> None:
    """A dump brings numbers of transactions that its new server has yet to give out, and positions among them."""
    other = Server()
    try:
        for _ in range(50):
            primary.execute("SELECT pg_current_xact_id()")
        primary.execute("CREATE DATABASE bank")
        other.execute("CREATE DATABASE bank")
        database = open_bank(primary.url_at(primary.port, "bank"), str(tmp_path))
        _found(database, 4)
        with database.feed("ledger", limit=2):
            pass
        database.close()
        dump = primary.directory / "bank.sql"
        primary._run("pg_dump", "-d", primary.url_at(primary.port, "bank"), "-f", str(dump))
        other._run("psql", "-q", "-d", other.url_at(other.port, "bank"), "-f", str(dump))
        restored = open_bank(other.url_at(other.port, "bank"), str(tmp_path))
        with pytest.raises(errors.FeedGapError, match="that was copied into it"), restored.feed("ledger"):
            pass
        (verdict,) = restored_log(restored)
        assert verdict.level == "error"
        assert "the log has 2 transactions with numbers that this server has yet to give out" in verdict.message
        restored.history.disable()
        restored.raw_execute("TRUNCATE changes, outbox")
        restored.history.enable()
        assert list(restored_log(restored)) == []
        restored.history.move_consumer("ledger", "oldest")
        _add(restored, 1, 5)
        with restored.feed("ledger") as batch:
            assert [change.after for change in batch] == [{"amount": 105}]
        restored.close()
    finally:
        other.remove()
