"""The pool by itself, on connections that are plain objects."""

import sys
import threading
import time

import pytest

from cloudpub_models.connection.postgresql import pool as pool_module
from cloudpub_models.connection.postgresql.pool import ConnectionPool
from cloudpub_models.errors import ConnectionFailedError, PoolTimeoutError
from tests.waiting import LONG_ENOUGH, wait_until


class FakeConnection:
    def __init__(self) -> None:
        self.idle_since = time.monotonic()
        self.alive = True
        self.discarded = False


class FakeServer:
    """Opens connections, counts them, and may be slow or down."""

    def __init__(self) -> None:
        self.opened: list[FakeConnection] = []
        self.attempts: list[float] = []
        self.checks = 0
        self.seconds_to_open = self.seconds_to_check = 0.0
        self.down = False

    def open(self) -> FakeConnection:
        self.attempts.append(time.monotonic())
        time.sleep(self.seconds_to_open)
        if self.down:
            raise ConnectionFailedError("down")
        connection = FakeConnection()
        self.opened.append(connection)
        return connection

    def is_usable(self, connection: FakeConnection) -> bool:
        self.checks += 1
        time.sleep(self.seconds_to_check)
        return connection.alive

    def discard(self, connection: FakeConnection) -> None:
        connection.discarded = True

    def pool(self, limit: int = 2, wait_seconds: float = 0.3) -> ConnectionPool[FakeConnection]:
        return ConnectionPool(self.open, self.is_usable, self.discard, limit=limit, wait_seconds=wait_seconds)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


def test_a_connection_given_back_is_given_out_again(server):
    pool = server.pool()
    first = pool.acquire()
    pool.release(first)
    assert pool.acquire() is first
    assert len(server.opened) == 1
    assert server.checks == 0


def test_the_one_used_last_is_given_out_first(server):
    """So that as few as are needed stay in use, and the others may be found idle."""
    pool = server.pool()
    first, second = pool.acquire(), pool.acquire()
    pool.release(second)
    pool.release(first)
    assert pool.acquire() is first
    assert pool.acquire() is second


@pytest.mark.alone
def test_no_more_than_the_limit_are_opened_and_waiting_ends(server):
    pool = server.pool(limit=2, wait_seconds=0.2)
    pool.acquire()
    pool.acquire()
    started = time.monotonic()
    with pytest.raises(PoolTimeoutError, match="all 2 stayed in use"):
        pool.acquire()
    assert 0.15 < time.monotonic() - started < 5
    assert len(server.opened) == 2


def test_a_waiting_thread_gets_what_another_gives_back(server):
    pool = server.pool(limit=1, wait_seconds=LONG_ENOUGH)
    held = pool.acquire()
    received: list[FakeConnection] = []
    waiting = threading.Thread(target=lambda: received.append(pool.acquire()))
    waiting.start()
    wait_until(lambda: pool._waiting)
    assert received == []
    pool.release(held)
    waiting.join()
    assert received == [held]


def test_what_a_waiting_thread_was_served_with_is_not_reclaimed_from_it(server):
    """Who gives a connection back because a statement has failed looks again whether it was given back."""
    pool = server.pool(limit=1, wait_seconds=LONG_ENOUGH)
    held = pool.acquire()
    served, may_go_on = threading.Event(), threading.Event()
    received: list[FakeConnection] = []

    class SlowToWake(pool_module._Waiter):
        __slots__ = ()

        def wait(self, seconds: float) -> bool:
            while not super().wait(seconds):
                pass
            served.set()
            return may_go_on.wait(LONG_ENOUGH)

    def wait_for_it() -> None:
        received.append(pool.acquire())

    waiting = threading.Thread(target=wait_for_it)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_module, "_Waiter", SlowToWake)
        waiting.start()
        wait_until(lambda: pool._waiting)
    pool.release(held)
    assert served.wait(LONG_ENOUGH)
    pool.reclaim(held)
    may_go_on.set()
    waiting.join()
    assert received == [held]
    assert not held.discarded


def test_opening_one_does_not_keep_others_waiting(server, monkeypatch):
    pool = server.pool(limit=4, wait_seconds=LONG_ENOUGH)
    all_are_opening = threading.Barrier(4)
    monkeypatch.setattr(pool, "_open_connection", lambda: (all_are_opening.wait(LONG_ENOUGH), server.open())[1])
    threads = [threading.Thread(target=pool.acquire) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.opened) == 4


def test_an_idle_connection_is_checked_and_replaced_when_dead(server, monkeypatch):
    pool = server.pool()
    connection = pool.acquire()
    pool.release(connection)
    connection.idle_since -= pool_module.CHECK_AFTER_IDLE_SECONDS + 1
    connection.alive = False
    replacement = pool.acquire()
    assert replacement is not connection
    assert connection.discarded
    assert pool.size == 1


def test_after_one_was_lost_the_others_are_checked_once(server):
    pool = server.pool()
    first, second = pool.acquire(), pool.acquire()
    pool.release(first)
    second.alive = first.alive = False
    pool.suspect_all()
    pool.remove(second)
    assert pool.acquire() not in (first, second)
    assert server.checks == 1


def test_a_checked_connection_is_alive(server):
    pool = server.pool()
    connection = pool.acquire()
    pool.release(connection)
    connection.alive = False
    assert pool.acquire(check=True) is not connection


def test_a_failed_attempt_frees_its_place(server):
    pool = server.pool(limit=1)
    server.down = True
    with pytest.raises(ConnectionFailedError):
        pool.acquire()
    server.down = False
    assert pool.acquire() is server.opened[0]


@pytest.mark.alone
def test_many_threads_do_not_storm_a_server_that_is_down(server):
    pool = server.pool(limit=16)
    server.down = True
    until = time.monotonic() + 1.0

    def keep_trying() -> None:
        while time.monotonic() < until or len(server.attempts) < 4:
            with pytest.raises(ConnectionFailedError):
                pool.acquire()

    with pytest.raises(ConnectionFailedError):
        pool.acquire()
    threads = [threading.Thread(target=keep_trying) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    within_a_second = [attempt for attempt in server.attempts if attempt <= until]
    assert len(within_a_second) <= 6


def test_a_connection_left_behind_makes_room_for_another(server):
    pool = server.pool(limit=1)
    connection = pool.acquire()
    pool.leave_behind(connection)
    assert pool.acquire() is not connection
    assert connection.discarded
    assert pool.size == 1


def test_closing_discards_idle_ones_now_and_others_when_given_back(server):
    pool = server.pool()
    idle, used = pool.acquire(), pool.acquire()
    pool.release(idle)
    pool.close()
    assert idle.discarded
    assert not used.discarded
    pool.release(used)
    assert used.discarded


def test_a_forked_child_starts_with_an_empty_pool(server):
    pool = server.pool()
    pool.release(pool.acquire())
    pool.lock_for_fork()
    pool.abandon()
    assert pool.size == 0
    assert not server.opened[0].discarded
    pool.acquire()
    assert len(server.opened) == 2


def test_who_came_first_is_served_first_and_nobody_overtakes(server):
    pool = server.pool(limit=1, wait_seconds=LONG_ENOUGH)
    held = pool.acquire()
    served: list[int] = []

    def take(number: int) -> None:
        connection = pool.acquire()
        served.append(number)
        pool.release(connection)

    threads = []
    for number in range(4):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        wait_until(lambda: len(pool._waiting) == len(threads))
    pool.release(held)
    overtaking = pool.acquire()
    assert served == [0, 1, 2, 3]
    pool.release(overtaking)
    for thread in threads:
        thread.join()


def test_a_thread_in_the_queue_may_open_one_in_the_place_of_one_thrown_away(server):
    pool = server.pool(limit=1, wait_seconds=LONG_ENOUGH)
    held = pool.acquire()
    received: list[FakeConnection] = []
    waiting = threading.Thread(target=lambda: received.append(pool.acquire()))
    waiting.start()
    wait_until(lambda: pool._waiting)
    pool.remove(held)
    waiting.join()
    assert received == [server.opened[1]]
    assert pool.size == 1


@pytest.mark.parametrize("limit", [2, 8])
def test_no_two_threads_ever_have_one_connection(server, limit):
    pool = server.pool(limit, LONG_ENOUGH)
    shared: list[object] = []
    interval = sys.getswitchinterval()

    def work(number: int) -> None:
        for turn in range(400):
            connection = pool.acquire()
            connection.user = number
            if turn % 7 == 0:
                time.sleep(0)
            if connection.user != number or connection.discarded:
                shared.append(connection)
            (pool.remove if turn % 50 == number else pool.release)(connection)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert pool.size <= limit
            assert sum(not connection.discarded for connection in list(server.opened)) <= limit + 1
            time.sleep(0.001)
    finally:
        sys.setswitchinterval(interval)
    assert shared == []
    assert pool.size == sum(not connection.discarded for connection in server.opened) <= limit


def test_who_leaves_the_queue_leaves_nothing_in_it(server):
    pool = server.pool(limit=1, wait_seconds=0.1)
    held = pool.acquire()
    with pytest.raises(PoolTimeoutError):
        pool.acquire()
    pool.release(held)
    assert pool.acquire() is held
    assert pool.size == 1


def test_an_interrupted_check_frees_its_place(server, monkeypatch):
    pool = server.pool(limit=1)
    pool.release(pool.acquire())

    def interrupt(connection: FakeConnection) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_is_usable", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pool.acquire(check=True)
    assert pool.size == 0
    assert server.opened[0].discarded


def test_a_failed_opening_lets_the_next_in_the_queue_try(server, monkeypatch):
    pool = server.pool(limit=1, wait_seconds=LONG_ENOUGH)
    opening, outcomes = threading.Event(), []

    def fail_once() -> FakeConnection:
        if not opening.is_set():
            opening.set()
            wait_until(lambda: pool._waiting)
            raise ConnectionFailedError("down")
        return server.open()

    monkeypatch.setattr(pool, "_open_connection", fail_once)

    def take() -> None:
        try:
            outcomes.append(pool.acquire())
        except ConnectionFailedError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=take) for _ in range(2)]
    threads[0].start()
    assert opening.wait(LONG_ENOUGH)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert isinstance(outcomes[0], ConnectionFailedError)
    assert outcomes[1] is server.opened[0]


def test_what_a_parents_thread_had_is_not_the_childs_to_close(server, monkeypatch):
    pool = server.pool()
    connection = pool.acquire()
    pool.lock_for_fork()
    monkeypatch.setattr(pool_module.os, "getpid", lambda: -1)
    pool.leave_behind(connection)
    pool.abandon()
    pool.acquire()
    assert not connection.discarded


def test_one_connection_is_never_a_streams(server):
    pool = server.pool(limit=3, wait_seconds=0.05)
    places = [pool.place_for_stream() for _ in range(2)]
    with pytest.raises(PoolTimeoutError, match="all 2 that may be open at once stayed open"):
        pool.place_for_stream()
    del places[0]
    assert pool.place_for_stream()
    alone = server.pool(limit=1)
    assert alone.place_for_stream()


def with_idle_connections(server, count):
    pool = server.pool(limit=count)
    connections = [pool.acquire() for _ in range(count)]
    for connection in connections:
        pool.release(connection)
    pool.suspect_all()
    return pool, connections


def test_what_gives_no_answer_is_waited_for_once_and_not_on_every_connection(server, monkeypatch):
    """Behind a black hole each would take as long."""
    monkeypatch.setattr(pool_module, "_SILENCE_SECONDS", 0.01)
    pool, connections = with_idle_connections(server, 12)
    server.seconds_to_check = 0.02
    connections[-1].alive = False
    assert pool.acquire() is server.opened[12]
    assert server.checks == 1
    assert all(one.discarded for one in connections)
    assert pool.size == 1


def test_what_is_refused_at_once_is_asked_one_by_one(server, monkeypatch):
    monkeypatch.setattr(pool_module, "_SILENCE_SECONDS", LONG_ENOUGH)
    pool, connections = with_idle_connections(server, 4)
    for connection in connections[1:]:
        connection.alive = False
    assert pool.acquire() is connections[0]
    assert [one.discarded for one in connections] == [False, True, True, True]
