"""Read replicas under fire: reads are never older than what was written, and a failover loses no answer."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from benchmarks import replicas
from cloudpub_models import Database, Managers
from cloudpub_models.connection.postgresql.replicas import floors
from cloudpub_models.errors import CloudpubError, CommitUnknownError, ConnectionFailedError, ConnectionLostError
from tests.abuse.test_model_machine import run
from tests.faults.servers import Server, Standby, migrated_server
from tests.waiting import LONG_ENOUGH, wait_until

pytestmark = pytest.mark.in_pairs

Scale = Callable[[int, int], int]


@pytest.fixture
def primary() -> Iterator[Server]:
    server = migrated_server()
    yield server
    server.remove()


@pytest.fixture
def standby(primary: Server) -> Iterator[Standby]:
    server = Standby(primary)
    yield server
    server.remove()


@pytest.fixture(scope="module")
def lasting_primary() -> Iterator[Server]:
    """One that no test ends."""
    server = migrated_server()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def lasting_standby(lasting_primary: Server) -> Iterator[Standby]:
    """Its standby, whose replay each test leaves going on."""
    server = Standby(lasting_primary)
    yield server
    server.remove()


class Reader(threading.Thread):
    """Writes a user's row again and again, and reads it back by its own managers or by another program's."""

    def __init__(self, writer: Database, reader: Database, over: threading.Event, *, by_token: bool) -> None:
        super().__init__()
        self.writer, self.reader, self.over, self.by_token = writer, reader, over, by_token
        self.stale = self.answers = 0
        self.error: CloudpubError | None = None

    def run(self) -> None:
        try:
            user = Managers(self.writer).users.insert({"email": f"{uuid4().hex}@example.com", "password_hash": "0"})
            number = 0
            while not self.over.is_set():
                number += 1
                Managers(self.writer).users.update_by_id(user.id, {"password_hash": str(number)})
                token = self.writer.token() if self.by_token else None
                until = time.monotonic() + 0.1
                while time.monotonic() < until:
                    with self.reader.at_least(token):
                        row: Any = Managers(self.reader).users.find_by_id(user.id)
                    self.answers += 1
                    self.stale += row is None or row.password_hash != str(number)
        except CloudpubError as error:
            self.error = error


def test_nothing_stale_is_read_while_the_replay_is_paused_again_and_again(
    scale: Scale, lasting_primary: Server, lasting_standby: Standby
) -> None:
    writer, other = (Database(lasting_primary.url, replicas=[lasting_standby.url]) for _ in range(2))
    over = threading.Event()
    readers = [Reader(writer, reader, over, by_token=reader is not writer) for reader in (writer, writer, other, other)]
    for reader in readers:
        reader.start()
    until = time.monotonic() + scale(3, 60)
    while time.monotonic() < until:
        lasting_standby.execute("SELECT pg_wal_replay_pause()")
        time.sleep(0.4)
        lasting_standby.execute("SELECT pg_wal_replay_resume()")
        time.sleep(0.6)
    over.set()
    for reader in readers:
        reader.join()
    assert [(reader.error, reader.stale) for reader in readers] == [(None, 0)] * 4
    answers = sum(reader.answers for reader in readers)
    from_standby = sum(database.replicas()[0].reads for database in (writer, other))
    print(f"{answers} reads, {from_standby / answers:.0%} of them answered by the standby, none stale")
    assert from_standby / answers > scale(0, 30) / 100
    writer.close()
    other.close()


def test_reads_go_on_whatever_becomes_of_the_standby(scale: Scale, primary: Server) -> None:
    """It is killed, comes back, conflicts with what is replayed, lacks a column, and receives nothing any more."""
    standby = Standby(primary, max_standby_streaming_delay="0")
    database, other = (Database(primary.url, replicas=[standby.url], replica_max_lag=2) for _ in range(2))
    users = Managers(database).users
    users.batch_insert({"email": f"{number}@example.com", "password_hash": "…"} for number in range(2_000))
    standby.wait_until_equal()
    over, asks_for = threading.Event(), ["email"]
    taken: list[float] = []
    failed: list[BaseException] = []

    def read(call: Callable[[Database], object]) -> None:
        try:
            while not over.is_set():
                began = time.monotonic()
                call(other)
                taken.append(time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            failed.append(error)

    def by_sql(reading: Database) -> object:
        # What the primary answers of it may have written: without a pause all reads would stay there.
        time.sleep(2 * floors._SOON_SECONDS)
        with reading.reading_from("replica"):
            return reading.raw_query_single(f"SELECT max({asks_for[0]}) AS it FROM users WHERE id > @id", {"id": 5})

    calls: list[Callable[[Database], object]] = [
        lambda reading: Managers(reading).users.find_by_id(7),
        lambda reading: Managers(reading).users.count({"password_hash": "…"}),
        by_sql,
    ]
    readers = [threading.Thread(target=read, args=(call,)) for call in calls]
    for reader in readers:
        reader.start()

    def more() -> None:
        so_far = len(taken)
        wait_until(lambda: failed or len(taken) > so_far + 100)

    def from_standby() -> None:
        reads = other.replicas()[0].reads
        wait_until(lambda: failed or other.replicas()[0].reads > reads + 10)

    try:
        from_standby()
        standby.stop()
        more()
        standby.start()
        from_standby()
        for number in range(scale(5, 50)):
            # What is removed for good here, a reader there may still need.
            primary.execute(f"UPDATE users SET password_hash = '{number}…'")
            primary.execute("VACUUM (FREEZE) users")
        from_standby()
        standby.execute("SELECT pg_wal_replay_pause()")
        primary.execute("ALTER TABLE users ADD COLUMN note TEXT DEFAULT 'none'")
        asks_for[0] = "note"
        more()
        standby.execute("SELECT pg_wal_replay_resume()")
        from_standby()
        standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
        standby.execute("SELECT pg_reload_conf()")
        more()
    finally:
        over.set()
        for reader in readers:
            reader.join()
        database.close()
        other.close()
        standby.remove()
    assert [repr(error) for error in failed] == []
    # With room where the machine is anybody's.
    assert max(taken) <= scale(3, 1)


def test_any_sequence_of_calls_is_as_on_one_server(
    scale: Scale, lasting_primary: Server, lasting_standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Managers against a dict, beside a standby whose replay stops and goes on; it is asked after each write."""
    monkeypatch.setattr(floors, "_SOON_SECONDS", 0.0)
    database = Database(lasting_primary.url, replicas=[lasting_standby.url])
    over = threading.Event()

    def stop_and_go() -> None:
        while not over.wait(0.1):
            lasting_standby.execute("SELECT pg_wal_replay_pause()")
            over.wait(0.05)
            lasting_standby.execute("SELECT pg_wal_replay_resume()")

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        # On a machine that has much else to do the standby may be behind each time that it is asked.
        until = time.monotonic() + LONG_ENOUGH
        while not database.replicas()[0].reads:
            assert time.monotonic() < until
            run(Managers(database), scale(15, 500), 40)
            Managers(database).users.delete({"email": "ada@example.com"})
    finally:
        over.set()
        thread.join()
    database.close()


@pytest.mark.alone
def test_what_replicas_cost_and_gain_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "_SECONDS_OF_WARMING", 0.0)
    cores = os.sched_getaffinity(0)
    assert replicas.main(["--rounds", "2"]) == 0
    assert os.sched_getaffinity(0) == cores
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"find_by_id, \d+\.\d µs on the replica alone: [+-]\d", lines[0])
    for read, line in zip(["find_by_id", "find_all of 200 rows"], lines[1:], strict=True):
        assert re.match(
            read + r": \d+\.\d\d times the reads; one takes the primary \d+\.\d\d, the replica \d+\.\d\d of", line
        )


def test_what_is_measured_has_two_urls_or_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        replicas.main(["postgresql://a/cloud"])
    assert "expected the URLs of a primary and of its standby, or none; got 1" in capsys.readouterr().err


def test_the_busier_server_says_what_two_of_them_gain() -> None:
    assert replicas.Gain(1.0, 1.25, 1.0).reads == replicas.Gain(1.25, 1.0, 1.0).reads == 1.6
    assert [replicas.Gain(1, 1, control).valid for control in (0.9, 0.96, 1.04, 1.1)] == [False, True, True, False]


def test_a_failover_under_reads_and_writes(primary: Server, standby: Standby) -> None:
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
    database = Database(url, replicas=[primary.url, standby.url])
    managers = Managers(database)
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "0"})
    standby.wait_until_equal()
    primary.stop()
    # What was read before is still answered; what has to be asked of the primary first waits for one.
    time.sleep(0.03)
    standby.promote()

    def write() -> bool:
        try:
            return managers.users.update_by_id(user.id, {"password_hash": "1"}) is not None
        except (CommitUnknownError, ConnectionFailedError, ConnectionLostError):
            return False

    wait_until(write)
    with database.reading_from("primary"):
        assert managers.users.get_by_id(user.id).password_hash == "1"
    assert managers.users.get_by_id(user.id).password_hash == "1"
    # Both are no standbys any more, and neither stands in the way.
    assert [status.usable for status in database.replicas()] == [False, False]
    assert managers.users.get_by_id(user.id).password_hash == "1"
    database.close()


def test_a_standby_of_the_old_timeline_does_not_answer_for_the_new_one(primary: Server, standby: Standby) -> None:
    """It has replayed what the promoted one never had, and its position is further than the new primary's."""
    behind = Standby(primary)
    try:
        before = Database(primary.url)
        user = Managers(before).users.insert({"email": "ada@example.com", "password_hash": "0"})
        standby.wait_until_equal()
        behind.wait_until_equal()
        standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
        standby.execute("SELECT pg_reload_conf()")
        wait_until(lambda: standby.execute("SELECT count(*) FROM pg_stat_wal_receiver") == [(0,)])
        for number in range(200):
            Managers(before).users.update_by_id(user.id, {"password_hash": f"lost {number}"})
        behind.wait_until_equal()
        before.close()
        primary.stop()
        standby.promote()
        database = Database(standby.url, replicas=[behind.url])
        managers = Managers(database)
        assert managers.users.update_by_id(user.id, {"password_hash": "1"}) is not None
        time.sleep(0.03)
        assert managers.users.get_by_id(user.id).password_hash == "1"
        assert database.replicas()[0].reads == 0
        database.close()
    finally:
        behind.remove()
