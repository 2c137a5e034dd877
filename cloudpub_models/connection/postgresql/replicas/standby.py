"""One standby: how far its replay has come, how old what it shows may be, and whether it answers at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import psycopg2

from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
from cloudpub_models.connection.postgresql.log_positions import Position, offset_of, text_of
from cloudpub_models.connection.reading import ReplicaStatus
from cloudpub_models.errors import (
    CloudpubError,
    ConfigurationError,
    ConnectionFailedError,
    ConnectionLostError,
    PoolTimeoutError,
    ReadOnlyServerError,
)

_log = logging.getLogger("cloudpub_models")

# Its timeline is the one of its last restart point, or of the newest page that it has written down: never a newer one
# than that which it replays, and so never one that it has not reached.
_STATE_QUERY = """
    SELECT pg_is_in_recovery(), pg_postmaster_start_time()::text,
        (SELECT system_identifier FROM pg_control_system())::text, current_database()::text,
        GREATEST((SELECT timeline_id FROM pg_control_checkpoint()),
            (SELECT min_recovery_end_timeline FROM pg_control_recovery())),
        pg_last_wal_replay_lsn()::text
"""
# How soon a standby is asked again that had not come far enough.
_SECONDS_BETWEEN_QUESTIONS = 0.005
# How long one that has failed is left alone: each time twice as long.
_SHORTEST_REST, _LONGEST_REST = 0.1, 2.0
# What a standby refuses and its primary may do: a conflict with the replay, a function that writes, and what a
# migration has made that is not there yet (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_PRIMARY_MAY = frozenset({"40001", "40P01", "25006", "42P01", "42703", "42883", "42704"})


class Sample(NamedTuple):
    """How far the primary had come at a moment of this process's monotonic clock."""

    taken_at: float
    position: Position


class _Answer(NamedTuple):
    """What a standby says of itself."""

    in_recovery: bool
    started_at: str
    cluster: str
    database: str
    timeline: int
    replayed: str | None


class Standby:
    """A standby and what this process knows of it.

    Positions only grow for as long as a server runs: what was far enough stays far enough, and is not asked again. One
    that crashes may come back older than it was, so each connection that is opened tells whether it is the same run.

    Args:
        engine: sends to it.
        home: asks the primary for the system identifier of its cluster and the name of its database.

    Attributes:
        engine: sends to it.
        run: a mark of the run of its server that this process has talked to last.
        reads: how many reads it has answered.
        fallbacks: how many the primary has answered in its place.
    """

    def __init__(self, engine: PostgresqlEngine, home: Callable[[], tuple[str, str]]) -> None:
        self.engine = engine
        self.run: object = None
        self.reads = self.fallbacks = 0
        self._home = home
        self._reason: str | None = None
        self._wrong: str | None = None
        self._started_at: str | None = None
        self._earlier_runs: set[str] = set()
        self._position: Position | None = None
        self._fresh_at: float | None = None
        self._asked_at = self._busy_until = self._rests_until = 0.0
        self._rest = _SHORTEST_REST
        engine.after_connecting = self._look_at_run

    def may_answer(self, now: float, needed: Sequence[Position], max_lag: float | None) -> bool:
        """Return whether it is known to have seen all that is needed and to be as fresh as it has to be.

        Args:
            now: the time on the monotonic clock.
            needed: what it must have seen.
            max_lag: how old what it shows may be.
        """
        position, fresh_at = self._position, self._fresh_at
        if position is None or now < self._rests_until:
            return False
        if max_lag is not None and (fresh_at is None or now - fresh_at > max_lag):
            return False
        return all(one.is_reached_by(position) for one in needed)

    def is_asked(self, now: float, samples: Iterable[Sample]) -> bool:
        """Ask it how far it has come, unless it rests or was asked a moment ago; return whether it has answered."""
        # One thread at a time; no lock, which an interrupt or a fork would leave locked.
        if now < max(self._rests_until, self._busy_until, self._asked_at + _SECONDS_BETWEEN_QUESTIONS):
            if self._wrong is not None:
                raise ConfigurationError(self._wrong)
            return False
        self._busy_until = now + self.engine.options.connect_timeout
        try:
            self._ask(samples)
        except CloudpubError as error:
            if self.gives_way(error):
                return False
            if isinstance(error, ConfigurationError):
                self._wrong = str(error)
                raise
            return False
        finally:
            self._asked_at, self._busy_until = time.monotonic(), 0.0
        return True

    def gives_way(self, error: CloudpubError) -> bool:
        """Return whether the primary is to answer after an error of this server, which rests where it is away."""
        if isinstance(error, ConfigurationError) and self.run is not None:
            # It was right once: who reads is not to suffer.
            _log.error("%s", error)
            self._leave_alone(error)
            return True
        away = isinstance(error, ConnectionLostError | ConnectionFailedError)
        if away and not isinstance(error, ReadOnlyServerError):
            self._leave_alone(error)
        return away or isinstance(error, PoolTimeoutError) or _code(error) in _PRIMARY_MAY

    def status(self, samples: Iterable[Sample], max_lag: float | None) -> ReplicaStatus:
        """Ask it how far it has come, and return how it stands.

        Raises:
            ConfigurationError: it has never been a standby of this database.
        """
        try:
            self._ask(samples)
        except CloudpubError as error:
            if not self.gives_way(error) and isinstance(error, ConfigurationError):
                raise
            self._reason = str(error)
        lag = None if self._fresh_at is None else time.monotonic() - self._fresh_at
        reason = self._reason
        if reason is None and max_lag is not None and (lag is None or lag > max_lag):
            reason = (
                "it has not replayed yet what the primary had written when it was asked first"
                if lag is None
                else f"what it shows is older than {max_lag:g} s"
            )
        position = None if self._position is None else text_of(self._position.offset)
        return ReplicaStatus(self.engine.masked_url, reason is None, reason, lag, position, self.reads, self.fallbacks)

    def _leave_alone(self, error: CloudpubError) -> None:
        self._reason = str(error)
        self._rests_until = time.monotonic() + self._rest
        self._rest = min(2 * self._rest, _LONGEST_REST)

    def _ask(self, samples: Iterable[Sample]) -> None:
        answer = _Answer(*self.engine.fetch(_STATE_QUERY, None)[0])
        self._check(answer)
        if answer.started_at != self._started_at:
            return  # by a connection of an earlier run, which is over
        position = Position(answer.cluster, answer.timeline, offset_of(answer.replayed or "0/0"))
        known = self._position
        if known is None or known.timeline != position.timeline or known.offset < position.offset:
            self._position = known = position
        self._reason, self._wrong, self._rest = None, None, _SHORTEST_REST
        for sample in samples:
            if sample.position.is_reached_by(known) and sample.taken_at > (self._fresh_at or 0.0):
                self._fresh_at = sample.taken_at

    def _look_at_run(self, connection: Any) -> None:
        """Take note of another run of the server, which may know less than the one before."""
        try:
            cursor = connection.cursor()
            cursor.execute(_STATE_QUERY)
            answer = _Answer(*cursor.fetchone())
        except psycopg2.Error as error:
            connection.close()
            raise self.engine.classify(error) from error
        # Read once: several connect at once, and who is first makes the others' run the present one.
        before = self._started_at
        if answer.started_at == before:
            return
        try:
            self._check(answer)
        except CloudpubError:
            connection.close()
            raise
        if before is not None:
            self._earlier_runs.add(before)
        # The mark last: who has read the one before looks at it again when its rows are there.
        self._position = self._fresh_at = None
        self._started_at = answer.started_at
        self.run = object()

    def _check(self, answer: _Answer) -> None:
        """Raise an error for a server that is no standby of the primary, or for several behind one URL."""
        url = self.engine.masked_url
        cluster, database = self._home()
        if answer.cluster != cluster:
            raise ConfigurationError(
                f"expected a standby of the primary's cluster at {url}; got a server of another one: name standbys of "
                "this database in replicas="
            )
        if answer.database != database:
            raise ConfigurationError(
                f"expected the primary's database {database!r} at {url}; got {answer.database!r}: end the URL with "
                f"/{database}"
            )
        if answer.started_at in self._earlier_runs:
            raise ConfigurationError(
                f"expected one standby at {url}; got several by turns: name each of them in replicas=, and no pooler "
                "that chooses among them"
            )
        if not answer.in_recovery:
            raise ConnectionFailedError(
                f"expected a standby at {url}; got a primary, as after a failover: take it out of replicas= unless it "
                "becomes a standby again, since reads go to the primary by its own URL"
            )


def _code(error: CloudpubError) -> str | None:
    cause = error.__cause__
    return cause.pgcode if isinstance(cause, psycopg2.Error) else None
