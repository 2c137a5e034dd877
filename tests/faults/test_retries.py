"""Transactions that lose against each other, and what may run after they have won."""

import itertools
import time

import pytest

from cloudpub_models import Database
from cloudpub_models.errors import ConnectionLostError, DeadlockError

pytestmark = pytest.mark.alone

ROWS = 4


@pytest.fixture
def counters(url):
    database = Database(url)
    database.raw_execute("CREATE TABLE counters (id INT PRIMARY KEY, value INT NOT NULL)")
    database.raw_execute(f"INSERT INTO counters SELECT n, 0 FROM generate_series(0, {ROWS - 1}) AS n")
    database.close()
    return url


def add_in_opposite_orders(number, url, count):
    """Add 1 to every counter, from the first or from the last; return how often that took another call."""
    database = Database(url)
    order = list(range(ROWS)) if number % 2 else list(reversed(range(ROWS)))
    calls, committed = 0, []
    for step in range(count):

        def work(connection, step=step):
            nonlocal calls
            calls += 1
            database.on_commit(lambda: committed.append(step))
            for row in order:
                connection.execute("UPDATE counters SET value = value + 1 WHERE id = @row", {"row": row})

        database.run_transaction(work, retries=50)
    assert committed == list(range(count))
    database.close()
    return calls - count


def test_opposite_lock_orders_all_commit(counters, start_workers, scale):
    count = scale(40, 500)
    repeated = start_workers(8, add_in_opposite_orders, counters, count).results(300)
    print(f"{8 * count} commits, {sum(repeated)} calls repeated")
    database = Database(counters)
    values = [row["value"] for row in database.raw_query_all("SELECT value FROM counters")]
    database.close()
    assert values == [8 * count] * ROWS
    assert sum(repeated) > 0


def increment_serializably(number, url, count):
    """Add 1 to what was read, ``count`` times, at the level at which that is safe."""
    database = Database(url)

    def work(connection):
        value = connection.execute("SELECT value FROM counters WHERE id = 0")[0]["value"]
        connection.execute("UPDATE counters SET value = @value WHERE id = 0", {"value": value + 1})

    for _ in range(count):
        database.run_transaction(work, retries=200, isolation="SERIALIZABLE")
    database.close()


def test_serialization_failures_lose_no_update(counters, start_workers):
    start_workers(4, increment_serializably, counters, 25).results(60)
    database = Database(counters)
    assert database.raw_query_single("SELECT value FROM counters WHERE id = 0") == {"value": 100}
    database.close()


def test_callbacks_belong_to_the_call_that_committed(counters):
    database = Database(counters)
    calls, ran = [], []

    def work(connection):
        calls.append(1)
        call = len(calls)
        database.on_commit(lambda: ran.append((call, "first")))
        with database.transaction():
            database.on_commit(lambda: ran.append((call, "second")))
        with pytest.raises(ZeroDivisionError), database.transaction():
            database.on_commit(lambda: ran.append((call, "never")))
            raise ZeroDivisionError
        if call < 3:
            raise DeadlockError("lost")

    database.run_transaction(work)
    assert ran == [(3, "first"), (3, "second")]
    database.close()


def test_a_callback_that_raises_even_a_lost_connection_repeats_nothing(counters, caplog):
    database = Database(counters)
    calls, ran = [], []

    def fail():
        raise ConnectionLostError("of somebody else")

    def work(connection):
        calls.append(1)
        database.on_commit(fail)
        database.on_commit(lambda: ran.append("second"))

    database.run_transaction(work)
    assert (len(calls), ran) == (1, ["second"])
    assert "the transaction has been committed all the same" in caplog.text
    database.close()


def test_a_lost_connection_is_repeated_as_often_as_allowed(counters):
    database = Database(counters)
    calls = []

    def work(connection):
        calls.append(time.monotonic())
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(ConnectionLostError):
        database.run_transaction(work, retries=3)
    assert len(calls) == 4
    pauses = [later - earlier for earlier, later in itertools.pairwise(calls)]
    assert all(pause >= 0.005 * 2**number for number, pause in enumerate(pauses))

    calls.clear()
    with pytest.raises(ConnectionLostError), database.transaction():
        database.run_transaction(work)
    assert len(calls) == 1
    database.close()
