"""For how long a server that cannot be reached is waited for, by a clock of the test's own."""

from contextlib import nullcontext

import pytest

from cloudpub_models.connection import retrying
from cloudpub_models.errors import ConnectionFailedError, ConnectionLostError


class Clock:
    """Stands for ``time``: it goes on while somebody sleeps or waits for an answer, and else not."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(retrying, "time", clock)
    return clock


class Network:
    """Attempts to begin a transaction, each of which fails after so many seconds, with an answer or without one."""

    def __init__(self, clock, *failures):
        self.clock = clock
        self.failures = list(failures)
        self.attempts = 0

    def begin(self):
        self.attempts += 1
        seconds, answered = self.failures.pop(0) if len(self.failures) > 1 else self.failures[0]
        self.clock.sleep(seconds)
        error = ConnectionFailedError("cannot connect")
        error.transient = True
        error.silent_seconds = 0.0 if answered else seconds
        raise error


def seconds_until_given_up(clock, begin):
    started = clock.now
    with pytest.raises(ConnectionFailedError):
        retrying.run_repeatedly(begin, lambda connection: None, retries=5, patience=5.0)
    return clock.now - started


@pytest.mark.parametrize("seconds", [5.0, 4.2, 2.6])
def test_what_gives_no_answer_is_not_waited_for_a_second_time(clock, seconds):
    network = Network(clock, (seconds, False))
    assert seconds_until_given_up(clock, network.begin) == pytest.approx(seconds)
    assert network.attempts == 1


def test_short_silences_are_waited_for_as_long_as_there_is_patience(clock):
    network = Network(clock, (1.0, False))
    assert 3.5 < seconds_until_given_up(clock, network.begin) <= 5.0
    assert network.attempts == 4


def test_who_answers_is_asked_for_as_long_as_there_is_patience(clock):
    """Another one of its hosts may have been silent, and this one a standby that is about to take over."""
    network = Network(clock, (5.0, True), (0.0, True))
    assert 10.0 <= seconds_until_given_up(clock, network.begin) < 10.2
    assert network.attempts > 50


def test_an_idle_connection_that_is_silent_takes_nothing_of_the_patience(clock):
    """Fifteen seconds pass before it is known that it is lost; a server that is back by then is found."""
    failures = iter([ConnectionLostError("the connection was lost: timed out"), None])

    def work(connection):
        clock.sleep(15.0)
        if (failure := next(failures)) is not None:
            raise failure
        return "done"

    assert retrying.run_repeatedly(lambda: nullcontext(), work, retries=5, patience=5.0) == "done"
