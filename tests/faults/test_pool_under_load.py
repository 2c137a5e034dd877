"""Many threads on few connections of a real server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from cloudpub_models import Database, Managers, errors
from tests.waiting import wait_until

pytestmark = pytest.mark.alone


def in_threads(count, work):
    """Run ``work(number)`` in threads; raise the first error of one."""
    errors = []

    def run(number):
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def sessions_of(server, name):
    return server.execute(f"SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = '{name}'")[0][0]


def test_who_fails_or_stops_reading_takes_no_connection_from_who_waits(url):
    """Each statement's failure and each stream that is left gives a connection back while others wait for it."""
    database = Database(url, max_connections=2)
    database.raw_execute("CREATE TABLE one (id INT PRIMARY KEY)")
    database.raw_execute("INSERT INTO one VALUES (1)")

    def work(number):
        for step in range(100):
            if step % 2:
                with pytest.raises(errors.UniqueViolationError):
                    database.raw_execute("INSERT INTO one VALUES (1)")
            else:
                stream = database.raw_query_iter("SELECT n FROM generate_series(1, 9) AS n", chunk_size=2)
                assert next(stream) == {"n": 1}
                stream.close()

    in_threads(12, work)
    database.close()


def test_64_threads_share_8_connections(server, url, scale):
    database = Database(url, max_connections=8, application_name="pool_test")
    until = time.monotonic() + scale(3, 30)
    counts = [0] * 64
    longest = [0.0] * 64
    most = 0

    def work(number):
        while time.monotonic() < until:
            started = time.monotonic()
            kind = counts[number] % 3
            if kind == 0:
                assert database.raw_query_single("SELECT @n::int AS n", {"n": number}) == {"n": number}
            elif kind == 1:
                with database.transaction() as connection:
                    assert connection.execute("SELECT @n::int AS n", {"n": number}) == [{"n": number}]
            else:
                with database.session():
                    database.ping()
            counts[number] += 1
            longest[number] = max(longest[number], time.monotonic() - started)

    observer = threading.Thread(target=lambda: in_threads(64, work))
    observer.start()
    while observer.is_alive():
        most = max(most, sessions_of(server, "pool_test"))
        observer.join(0.2)
    print(f"{sum(counts)} units, {min(counts)} to {max(counts)} a thread, longest {max(longest):.3f} s")
    assert 0 < most <= 8
    assert database.engine._pool.size <= 8
    # In the order in which they came: nobody starves.
    assert min(counts) > 0.5 * max(counts)
    database.close()
    wait_until(lambda: sessions_of(server, "pool_test") == 0)


def test_threads_that_end_without_closing_leave_nothing_behind(server, url):
    database = Database(url, max_connections=4, pool_timeout=5, application_name="ending_test")
    left_open = []

    def leave_open(number):
        if number % 2:
            transaction = database.transaction()
            left_open.append(transaction)
            transaction.__enter__().execute("SELECT 1")
        else:
            database.engine.connect()
            database.engine.execute_sql("SELECT 1")

    for _ in range(5):
        in_threads(4, leave_open)
    in_threads(4, lambda number: database.ping())
    # The server ends the session of a connection that was closed by and by.
    wait_until(lambda: sessions_of(server, "ending_test") <= 4)
    assert database.engine._pool.size <= 4
    database.close()


def test_a_thread_that_ends_in_a_transaction_frees_its_locks_at_once(url):
    database = Database(url, lock_timeout=1)
    database.raw_execute("CREATE TABLE rows (n INT)")
    database.raw_execute("INSERT INTO rows VALUES (1)")

    def leave_locked(number):
        database.transaction().__enter__().execute("UPDATE rows SET n = 2")

    other = Database(url, lock_timeout=1)
    in_threads(1, leave_locked)
    assert other.raw_execute("UPDATE rows SET n = n + 10") == 1
    assert other.raw_query_single("SELECT n FROM rows") == {"n": 11}
    other.close()
    database.close()


def test_opening_a_slow_connection_keeps_nobody_else_waiting(server, url, proxy):
    database = Database(server.url_at(proxy.port, url.rpartition("/")[2]), connect_timeout=2, max_connections=8)
    with database.session():
        database.ping()
        ready = threading.Event()
        failed = []

        def hold_the_idle_one():
            with database.session():
                ready.set()
                for _ in range(50):
                    started = time.monotonic()
                    database.ping()
                    assert time.monotonic() - started < 1.5

        def open_another(number):
            try:
                database.ping()
            except Exception as error:  # noqa: BLE001 - counted
                failed.append(error)

        holder = threading.Thread(target=hold_the_idle_one)
        holder.start()
        ready.wait()
        proxy.mode = "deaf"
        opening = threading.Thread(target=lambda: in_threads(3, open_another))
        opening.start()
        for _ in range(50):
            started = time.monotonic()
            database.ping()
            assert time.monotonic() - started < 1.5
        holder.join()
        proxy.mode = "forward"
        opening.join()
    # They either came to wait for the dead port, or found the connection that the other thread had given back.
    assert len(failed) <= 3
    assert database.ping()
    database.close()


def test_a_session_is_checked_once_when_it_begins(url, monkeypatch):
    database = Database(url)
    checks = []
    original = database.engine._pool._is_usable
    monkeypatch.setattr(database.engine._pool, "_is_usable", lambda each: checks.append(each) or original(each))
    database.ping()
    assert checks == []
    for _ in range(2):
        with database.session():
            for _ in range(5):
                database.ping()
    assert len(checks) == 2
    database.close()


@pytest.mark.parametrize(("threads", "in_sessions"), [(4, False), (2, True), (3, True)])
def test_as_many_threads_as_connections_change_what_they_stream(url, threads, in_sessions):
    database = Database(url, max_connections=4, pool_timeout=5)
    database.migrate()
    managers = Managers(database)
    managers.users.batch_insert([{"email": f"{n}@example.com", "password_hash": "x"} for n in range(20)])
    begun = threading.Barrier(threads)

    def change(number):
        with database.session() if in_sessions else nullcontext():
            begun.wait(10)
            for user in managers.users.iterate(chunk_size=1):
                managers.users.update_by_id(user.id, {"password_hash": f"changed by {number}"})

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(change, range(threads)))
    assert managers.users.count({"password_hash": "x"}) == 0
    database.close()


def test_a_stream_beside_sessions_that_keep_every_connection_says_so(url):
    database = Database(url, max_connections=1, pool_timeout=0.1)
    with database.session():
        with pytest.raises(errors.PoolTimeoutError, match="all 1 stayed in use: keep sessions and transactions short"):
            next(database.raw_query_iter("SELECT 1"))
        # In a transaction the stream is the transaction's.
        with database.transaction():
            assert next(database.raw_query_iter("SELECT 1 AS n")) == {"n": 1}
    database.close()
