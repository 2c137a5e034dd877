"""How often connecting may fail, on a clock of the tests' own."""

import threading
from itertools import pairwise

import pytest

from cloudpub_models.connection.postgresql import attempts as attempts_module
from cloudpub_models.connection.postgresql.attempts import AttemptLimit, limit_for
from cloudpub_models.errors import ConnectionFailedError
from tests.waiting import LONG_ENOUGH


class FakeClock:
    """Stands still until somebody waits."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(attempts_module, "time", clock)
    return clock


@pytest.fixture
def limit(clock, monkeypatch):
    limit = AttemptLimit()

    def wait(_gate, seconds):
        clock.now += seconds

    monkeypatch.setattr(limit, "_wait_at", wait)
    return limit


def test_no_second_has_more_than_five_failures(limit, clock):
    failures = []
    for _ in range(50):
        attempt = limit.begin(0)
        failures.append(clock.now)
        limit.failed(attempt, ConnectionFailedError("down"))
    for start in failures:
        assert sum(start <= failure < start + 1 for failure in failures) <= 5
    # And hardly fewer: a server that is back is found within a quarter of a second.
    assert len([failure for failure in failures if failure < failures[0] + 5]) >= 20


def test_five_that_begin_together_are_all_that_fail_within_the_second(limit, clock):
    for attempt in [limit.begin(0) for _ in range(5)]:
        limit.failed(attempt, ConnectionFailedError("down"))
    started = clock.now
    limit.begin(0)
    assert clock.now - started == pytest.approx(1)


def test_after_a_failure_they_begin_one_by_one(limit, clock):
    limit.failed(limit.begin(0), ConnectionFailedError("down"))
    begun, under_way = [clock.now], []
    for _ in range(3):
        under_way.append(limit.begin(0))
        begun.append(clock.now)
    assert all(later - earlier > 0.1 for earlier, later in pairwise(begun))


def test_success_ends_the_waiting(limit, clock):
    for _ in range(3):
        limit.failed(limit.begin(0), ConnectionFailedError("down"))
    limit.succeeded(limit.begin(0))
    started = clock.now
    attempts = [limit.begin(0) for _ in range(5)]
    assert len(attempts) == 5
    assert clock.now == started


def test_waiting_in_vain_tells_why_the_last_one_failed(limit):
    failure = ConnectionFailedError("the server is starting up")
    failure.transient = True
    for _ in range(5):
        limit.failed(limit.begin(0), failure)
    with pytest.raises(ConnectionFailedError, match=r"within 0\.1 s.*starting up") as caught:
        limit.begin(0.1)
    assert caught.value.transient


def test_five_under_way_are_waited_for(clock):
    limit = AttemptLimit()
    attempts = [limit.begin(0) for _ in range(5)]
    begun = threading.Event()

    def begin():
        limit.begin(0)
        begun.set()

    thread = threading.Thread(target=begin)
    thread.start()
    assert not begun.wait(0.05)
    limit.succeeded(attempts[0])
    assert begun.wait(LONG_ENOUGH)
    thread.join()


def test_an_attempt_that_nobody_makes_any_more_takes_no_place(limit, clock):
    attempts = [limit.begin(0) for _ in range(5)]
    started = clock.now
    attempts.clear()
    limit.begin(0.1)
    assert clock.now == started


def test_all_pools_of_a_server_share_one_limit():
    assert limit_for("postgresql://a/b") is limit_for("postgresql://a/b")
    assert limit_for("postgresql://a/b") is not limit_for("postgresql://a/c")
