"""How often connecting may fail, on a clock of the tests' own."""

import threading

import pytest

from cloudpub_models.connection.postgresql import attempts as attempts_module
from cloudpub_models.connection.postgresql.attempts import AttemptLimit, limit_for
from cloudpub_models.errors import ConnectionFailedError


class FakeClock:
    """Stands still until somebody waits."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


class FakeCondition:
    """Waits by letting the clock run."""

    def __init__(self, clock):
        self._clock = clock

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def wait(self, seconds):
        self._clock.now += seconds

    def notify_all(self):
        return None


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(attempts_module, "time", clock)
    return clock


@pytest.fixture
def limit(clock):
    limit = AttemptLimit()
    limit._condition = FakeCondition(clock)
    return limit


def test_no_second_has_more_than_five_failures(limit, clock):
    failures = []
    for _ in range(50):
        limit.begin(0)
        failures.append(clock.now)
        limit.failed(ConnectionFailedError("down"))
    for start in failures:
        assert sum(start <= failure < start + 1 for failure in failures) <= 5
    # And hardly fewer: a server that is back is found within a quarter of a second.
    assert len([failure for failure in failures if failure < failures[0] + 5]) >= 20


def test_five_that_begin_together_are_all_that_fail_within_the_second(limit, clock):
    for _ in range(5):
        limit.begin(0)
    for _ in range(5):
        limit.failed(ConnectionFailedError("down"))
    started = clock.now
    limit.begin(0)
    assert clock.now - started == pytest.approx(1)


def test_success_ends_the_waiting(limit, clock):
    for _ in range(3):
        limit.begin(0)
        limit.failed(ConnectionFailedError("down"))
    limit.begin(0)
    limit.succeeded()
    started = clock.now
    for _ in range(5):
        limit.begin(0)
    assert clock.now == started


def test_waiting_in_vain_tells_why_the_last_one_failed(limit):
    failure = ConnectionFailedError("the server is starting up")
    failure.transient = True
    for _ in range(5):
        limit.begin(0)
        limit.failed(failure)
    with pytest.raises(ConnectionFailedError, match=r"within 0\.1 s.*starting up") as caught:
        limit.begin(0.1)
    assert caught.value.transient


def test_five_under_way_are_waited_for(clock):
    limit = AttemptLimit()
    for _ in range(5):
        limit.begin(0)
    begun = threading.Event()

    def begin():
        limit.begin(0)
        begun.set()

    thread = threading.Thread(target=begin)
    thread.start()
    assert not begun.wait(0.05)
    limit.succeeded()
    assert begun.wait(2)
    thread.join()


def test_all_pools_of_a_server_share_one_limit():
    assert limit_for("postgresql://a/b") is limit_for("postgresql://a/b")
    assert limit_for("postgresql://a/b") is not limit_for("postgresql://a/c")
