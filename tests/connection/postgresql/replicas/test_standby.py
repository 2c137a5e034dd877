"""One standby, by answers that a test makes up: how far it has come, its runs, and when it is left alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest

from cloudpub_models.connection.options import Options
from cloudpub_models.connection.postgresql.log_positions import Position
from cloudpub_models.connection.postgresql.replicas import standby as room
from cloudpub_models.connection.postgresql.replicas.standby import Sample, Standby
from cloudpub_models.errors import (
    CloudpubError,
    ConfigurationError,
    ConnectionFailedError,
    ConnectionLostError,
    InvalidValueError,
    PoolTimeoutError,
)

NOON, ONE = "2026-11-28 12:00:00+00", "2026-11-28 13:00:00+00"


class Server:
    """Answers as a standby does, and stands for its engine."""

    def __init__(self) -> None:
        self.answer: tuple[Any, ...] = (True, NOON, "7312", "cloud", 1, "0/10")
        self.error: CloudpubError | None = None
        self.questions = 0
        self.masked_url = "postgresql://b/cloud"
        self.options = Options()
        self.after_connecting: Any = None

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[tuple[Any, ...]]:
        self.questions += 1
        if self.error is not None:
            raise self.error
        return [self.answer]

    def classify(self, error: Exception) -> CloudpubError:
        return ConnectionLostError(str(error))

    def connect(self) -> SimpleNamespace:
        """Have a connection opened, as the pool does."""
        connection = SimpleNamespace(closed=False)
        cursor = SimpleNamespace(execute=lambda sql: None, fetchone=lambda: self.answer)
        connection.cursor = lambda: cursor
        connection.close = lambda: setattr(connection, "closed", True)
        self.after_connecting(connection)
        return connection


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def standby(server: Server, monkeypatch: pytest.MonkeyPatch) -> Standby:
    """A standby that has been connected to, and may be asked at any time."""
    monkeypatch.setattr(room, "_SECONDS_BETWEEN_QUESTIONS", 0)
    standby = Standby(server, lambda: ("7312", "cloud"))  # type: ignore[arg-type]
    server.connect()
    return standby


def asked(standby: Standby, *samples: Sample) -> bool:
    return standby.is_asked(time.monotonic(), samples)


def at(offset: int, timeline: int = 1) -> Position:
    return Position("7312", timeline, offset)


def may(standby: Standby, *needed: Position, max_lag: float | None = None) -> bool:
    return standby.may_answer(time.monotonic(), needed, max_lag)


def test_it_answers_nothing_before_it_was_asked(standby: Standby) -> None:
    assert not may(standby)
    assert asked(standby)
    assert may(standby)
    assert may(standby, at(0x10))
    assert not may(standby, at(0x11))


def test_it_has_to_have_seen_all_that_is_needed(standby: Standby) -> None:
    asked(standby)
    assert may(standby, at(1), at(0x10))
    assert not may(standby, at(1), at(0x11))
    assert not may(standby, at(0x11), at(1))


def test_what_it_has_seen_it_does_not_forget(server: Server, standby: Standby) -> None:
    asked(standby)
    server.answer = (True, NOON, "7312", "cloud", 1, "0/8")  # an answer that another thread was given earlier
    asked(standby)
    assert may(standby, at(0x10))


def test_another_run_may_know_less(server: Server, standby: Standby) -> None:
    asked(standby)
    before = standby.run
    server.answer = (True, ONE, "7312", "cloud", 1, "0/8")
    server.connect()
    assert standby.run is not before
    assert not may(standby, at(0x8))
    server.answer = (True, NOON, "7312", "cloud", 1, "0/10")  # what the run before has said comes too late
    with pytest.raises(ConfigurationError):
        standby._ask(())
    assert not may(standby)
    server.answer = (True, ONE, "7312", "cloud", 1, "0/8")
    asked(standby)
    assert may(standby, at(0x8))
    assert not may(standby, at(0x10))


def test_on_another_timeline_nothing_is_reached(server: Server, standby: Standby) -> None:
    asked(standby)
    assert not may(standby, at(1, timeline=2))
    server.answer = (True, NOON, "7312", "cloud", 2, "0/8")
    asked(standby)
    assert may(standby, at(8, timeline=2))
    assert not may(standby, at(1, timeline=1))


def test_it_is_as_fresh_as_the_newest_sample_that_it_has_replayed(standby: Standby) -> None:
    now = time.monotonic()
    asked(standby, Sample(now - 9, at(2)), Sample(now - 5, at(0x10)), Sample(now - 1, at(0x11)))
    assert may(standby, max_lag=6)
    assert not may(standby, max_lag=4)
    assert may(standby, max_lag=None)
    assert standby.status((), 10).lag_seconds == pytest.approx(5, abs=3)


def test_without_a_sample_nobody_knows_how_old_it_is(standby: Standby) -> None:
    asked(standby)
    assert not may(standby, max_lag=10)
    assert standby.status((), 10).reason == (
        "it has not replayed yet what the primary had written when it was asked first"
    )


@pytest.mark.parametrize(
    ("error", "gives_way", "rests"),
    [
        (ConnectionLostError("gone"), True, True),
        (ConnectionFailedError("refused"), True, True),
        (PoolTimeoutError("all in use"), True, False),
        (InvalidValueError("no number"), False, False),
    ],
)
def test_what_it_gives_way_for(standby: Standby, error: CloudpubError, gives_way: bool, rests: bool) -> None:
    asked(standby)
    assert standby.gives_way(error) is gives_way
    assert may(standby) is not rests


@pytest.mark.parametrize("code", ["40001", "40P01", "25006", "42P01", "42703", "42883", "42704"])
def test_the_primary_may_do_what_a_standby_refuses(standby: Standby, code: str) -> None:
    class Refused(psycopg2.Error):
        pgcode = code

    asked(standby)
    error = CloudpubError("refused")
    error.__cause__ = Refused()
    assert standby.gives_way(error)
    assert may(standby)


def test_a_limit_of_time_is_not_tried_on_the_primary_too(standby: Standby) -> None:
    class Late(psycopg2.Error):
        pgcode = "57014"

    error = CloudpubError("canceling statement due to statement timeout")
    error.__cause__ = Late()
    assert not standby.gives_way(error)


def test_it_is_left_alone_longer_each_time_and_asked_again_then(
    server: Server, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(room.time, "monotonic", lambda: now)
    server.error = ConnectionFailedError("refused")
    for rest in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0):
        assert not standby.is_asked(now, ())
        assert server.questions == 1
        now += rest - 0.01
        assert not standby.is_asked(now, ())
        assert server.questions == 1
        now += 0.02
        server.questions = 0
    server.error = None
    assert standby.is_asked(now, ())
    server.error = ConnectionFailedError("refused")
    standby.is_asked(now, ())
    assert standby._rests_until == pytest.approx(now + 0.1)


def test_while_one_thread_asks_others_do_not(server: Server, standby: Standby) -> None:
    def ask_too(sql: str, parameters: Any) -> list[tuple[Any, ...]]:
        others.append(asked(standby))
        return [server.answer]

    others: list[bool] = []
    server.fetch = ask_too  # type: ignore[method-assign]
    assert asked(standby)
    assert others == [False]


def test_a_server_of_another_cluster_is_an_error_at_first(server: Server) -> None:
    server.answer = (True, NOON, "1", "cloud", 1, "0/10")
    standby = Standby(server, lambda: ("7312", "cloud"))  # type: ignore[arg-type]
    expected = r"expected a standby of the primary's cluster at postgresql://b/cloud; got a server of another one: name"
    with pytest.raises(ConfigurationError, match=expected):
        server.connect()
    with pytest.raises(ConfigurationError, match=expected):
        asked(standby)


def test_later_it_is_logged_and_not_used(server: Server, standby: Standby, caplog: pytest.LogCaptureFixture) -> None:
    asked(standby)
    server.answer = (True, ONE, "1", "cloud", 1, "0/10")
    assert not asked(standby)
    assert not may(standby)
    assert "got a server of another one" in caplog.text
    assert "got a server of another one" in (standby.status((), None).reason or "")


def test_later_it_is_no_error_for_who_reads_by_a_connection_that_is_opened(server: Server, standby: Standby) -> None:
    wrong = ConfigurationError("expected a standby of the primary's cluster")
    assert asked(standby)
    assert standby.gives_way(wrong)
    assert not may(standby)
    assert not Standby(server, lambda: ("7312", "cloud")).gives_way(wrong)  # type: ignore[arg-type]


def test_another_database_of_the_cluster_is_an_error(server: Server) -> None:
    Standby(server, lambda: ("7312", "shop"))  # type: ignore[arg-type]
    expected = r"expected the primary's database 'shop' at postgresql://b/cloud; got 'cloud': end the URL with /shop"
    with pytest.raises(ConfigurationError, match=expected):
        server.connect()


def test_several_servers_behind_one_url_are_found_out(server: Server, standby: Standby) -> None:
    server.answer = (True, ONE, "7312", "cloud", 1, "0/10")
    server.connect()
    server.answer = (True, NOON, "7312", "cloud", 1, "0/10")
    with pytest.raises(
        ConfigurationError, match=r"expected one standby at .*; got several by turns: name each of them"
    ):
        server.connect()


def test_several_connections_that_are_opened_at_once_after_a_restart(server: Server, standby: Standby) -> None:
    """Between one's question and its answer another one has been first."""
    server.answer = (True, ONE, "7312", "cloud", 1, "0/10")
    home = standby._home

    def other_is_first() -> tuple[str, str]:
        standby._home = home
        server.connect()
        return home()

    standby._home = other_is_first
    server.connect()
    # It is one server, however often it is connected to.
    server.connect()
    assert asked(standby)
    assert may(standby)


def test_a_primary_is_not_asked_again_at_once(server: Server, standby: Standby) -> None:
    server.answer = (False, NOON, "7312", "cloud", 1, None)
    assert not asked(standby)
    assert not may(standby)
    reason = standby.status((), None).reason
    assert reason == (
        "expected a standby at postgresql://b/cloud; got a primary, as after a failover: take it out of replicas= "
        "unless it becomes a standby again, since reads go to the primary by its own URL"
    )


def test_a_connection_that_is_refused_is_closed(server: Server, standby: Standby) -> None:
    server.answer = (False, ONE, "7312", "cloud", 1, None)
    closed: list[bool] = []
    cursor = SimpleNamespace(execute=lambda sql: None, fetchone=lambda: server.answer)
    connection = SimpleNamespace(cursor=lambda: cursor, close=lambda: closed.append(True))
    with pytest.raises(ConnectionFailedError):
        server.after_connecting(connection)
    assert closed == [True]
