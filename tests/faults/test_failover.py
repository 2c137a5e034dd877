"""A primary that is lost, and a standby that takes its place: real servers."""

import threading
import time

import pytest

from cloudpub_models import Database
from cloudpub_models.connection.postgresql.commit_outcome import outcome_of
from cloudpub_models.errors import CommitUnknownError, ReadOnlyServerError
from tests.faults.servers import Server, Standby
from tests.waiting import wait_until

pytestmark = pytest.mark.in_pairs


@pytest.fixture
def primary():
    server = Server()
    server.execute("CREATE TABLE rows (n INT)")
    yield server
    server.remove()


@pytest.fixture
def standby(primary):
    server = Standby(primary)
    yield server
    server.remove()


def test_a_failover_is_waited_for_and_loses_nothing(primary, standby, scale):
    """The primary is killed and the standby promoted under work that goes on, whichever of both a URL leads to."""
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.execute("SELECT pg_reload_conf()")
    wait_until(lambda: primary.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)])
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    either = Database(f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write")
    # As through an address that already leads to the standby.
    early = Database(standby.url)
    impatient = Database(standby.url, connect_timeout=0.2)
    acknowledged: list[int] = []
    gaps: list[float] = []
    over = threading.Event()

    def insert(database, number):
        started = time.monotonic()
        try:
            database.run_transaction(lambda c: c.execute("INSERT INTO rows VALUES (@n)", {"n": number}))
        except CommitUnknownError as error:
            outcome = error.resolve()
            assert outcome in ("committed", "rolled back", "unknown")
            if outcome == "committed":
                acknowledged.append(number)
            return
        acknowledged.append(number)
        gaps.append(time.monotonic() - started)

    def go_on():
        number = 0
        while not over.is_set():
            number += 1
            insert(either, number)

    working = threading.Thread(target=go_on)
    working.start()
    with pytest.raises(
        ReadOnlyServerError, match="cannot execute INSERT in a read-only transaction: it may have become"
    ):
        insert(impatient, -1)
    assert impatient.raw_query_all("SELECT -1 AS n FROM rows LIMIT 1") == [{"n": -1}]
    waiting = threading.Thread(target=insert, args=(early, -2))
    waiting.start()
    primary.stop()
    standby.promote()
    standby.execute("ALTER SYSTEM RESET synchronous_standby_names")
    standby.execute("SELECT pg_reload_conf()")
    waiting.join()
    reached = len(acknowledged)
    wait_until(lambda: len(acknowledged) > reached + 10)
    over.set()
    working.join()
    kept = [row["n"] for row in either.raw_query_all("SELECT n FROM rows")]
    print(f"{len(acknowledged)} acknowledged, longest gap {max(gaps):.2f} s")
    # Two seconds where nothing else runs; a slow machine promotes more slowly.
    assert max(gaps) <= scale(20, 2)
    assert set(acknowledged) <= set(kept)
    assert len(set(kept)) == len(kept)
    assert -2 in kept
    for database in (either, early, impatient):
        database.close()


def test_a_commit_that_a_failover_has_lost_is_never_called_committed(primary, standby):
    """Its id is given out again on the new primary."""
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    database = Database(f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write")
    standby.wait_until_equal()
    with database.session():
        with database.transaction():
            first = database.engine.connection().transaction_mark
        standby.wait_until_equal()
        standby.stop("fast")
        # One that has not asked for its timeline, since the session knows it.
        with database.transaction() as connection:
            connection.execute("INSERT INTO rows VALUES (1)")
            lost = database.engine.connection().transaction_mark
    assert lost.timeline == first.timeline == "00000001"
    primary.stop()
    standby.start()
    through_standby = Database(standby.url)
    assert outcome_of(lost, through_standby.engine.fetch, 0.1) == "pending"
    through_standby.close()
    standby.promote()
    assert outcome_of(lost, database.engine.fetch, 5) == "rolled back"
    while int(standby.execute("SELECT pg_current_xact_id()::text")[0][0]) < int(lost.id):
        pass
    assert standby.execute(f"SELECT pg_xact_status('{lost.id}'::xid8)") == [("committed",)]
    assert outcome_of(lost, database.engine.fetch, 5) == "unknown"
    standby.restart("fast")
    assert outcome_of(lost, database.engine.fetch, 5) == "unknown"
    assert database.raw_query_all("SELECT * FROM rows") == []
    database.close()


def test_a_session_that_outlives_a_promotion_marks_its_transactions_by_the_timeline_that_begins(primary, standby):
    database = Database(standby.url)

    def mark_of(sql):
        with database.transaction() as connection:
            assert connection.execute("SELECT pg_backend_pid() AS process") == session
            connection.execute(sql)
            return database.engine.connection().transaction_mark

    with database.session():
        session = database.raw_query_all("SELECT pg_backend_pid() AS process")
        assert [mark_of("SELECT n FROM rows") for _ in range(2)] == [None, None]
        standby.promote()
        marks = [mark_of("INSERT INTO rows VALUES (1)") for _ in range(3)]
        assert [mark.timeline for mark in marks] == ["00000002"] * 3
        assert [outcome_of(mark, database.engine.fetch, 5) for mark in marks] == ["committed"] * 3
    database.close()
