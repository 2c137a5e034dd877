"""The PostgreSQL engine with read replicas: where what managers read is sent.

A standby answers where it has seen all that this process has written, and what the unit of work asks for besides; the
primary answers everything else. A read that a standby cannot answer is sent once more, to the primary, before anybody
has seen a row of it.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
from cloudpub_models.connection.postgresql.log_positions import Position
from cloudpub_models.connection.postgresql.prepared import PreparingEngine
from cloudpub_models.connection.postgresql.replicas.floors import Floor, ThreadFloor
from cloudpub_models.connection.postgresql.replicas.standby import Sample, Standby
from cloudpub_models.connection.reading import ReplicaStatus, reading_of
from cloudpub_models.connection.results import ResultColumns, Row, StatementResult
from cloudpub_models.connection.scopes import Scope
from cloudpub_models.connection.sender import CopySource, SentStatement
from cloudpub_models.errors import CloudpubError

T = TypeVar("T")

_HOME_QUERY = "SELECT system_identifier::text, current_database()::text FROM pg_control_system()"
# How often the primary is asked how far it has come, by which the age of what standbys show is known.
_SECONDS_BETWEEN_SAMPLES = 1.0
_SAMPLES_A_LAG = 4
# How soon a primary is asked again that has not answered.
_SECONDS_AFTER_FAILURE = 2.0
_SECONDS_BETWEEN_LOOKS = 0.005


class _ThreadReads(threading.local):
    """How this thread reads.

    Attributes:
        now: whether it is sending the primary what is known to be a read.
        standby: the one that the thread's transaction is on, if it is on any.
        own: the connection to the primary that the thread takes up again after that transaction.
    """

    now = False
    standby: Standby | None = None
    own: Any = None


class RoutingEngine(PostgresqlEngine):
    """A PostgreSQL database whose standbys answer what managers read."""

    def __init__(self, uri: str, masked_url: str, options: Options) -> None:
        super().__init__(uri, masked_url, options)
        self.is_attended = True
        self._home: tuple[str, str] | None = None
        self._floor: Floor = Floor() if options.replica_causality == "process" else ThreadFloor()
        self._reads = _ThreadReads()
        lag = options.replica_max_lag
        self._sample_period = min(_SECONDS_BETWEEN_SAMPLES, (lag or 0) / _SAMPLES_A_LAG)
        # Of the time for which a standby may be behind; none where it may be so for ever.
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES_A_LAG * int(1 + (lag or 0)))
        self._next_sample_at = float("inf") if lag is None else 0.0
        self._turns = itertools.count()
        own = options.changed(replicas=(), cached_rows=0)
        kind = PreparingEngine if options.prepared else PostgresqlEngine
        self._standbys = [Standby(kind(url.target, url.masked, own), self._asked_home) for url in options.replicas]

    # Where to

    def attend(self, sent: SentStatement) -> Any:
        thread = self._threads.current
        if sent.writes or thread.scopes:
            return super().attend(sent)
        if sent.key_position is not None and thread.cached is not None:
            # What is kept in memory comes from the primary, whose log says what has changed.
            return self._as_read(super().attend, sent)
        return self._read(sent)

    def attend_raw(self, sent: SentStatement) -> Any:
        if reading_of(self.masked_url).source != "replica" or self._threads.current.scopes:
            return super().attend_raw(sent)
        return self._read(sent)

    def _read(self, sent: SentStatement) -> Any:
        """Have a standby answer, else the primary."""
        if sent.chunk_size is not None:
            return self._streamed(sent)
        standby = self._chosen()
        if standby is None and not sent.writes:
            return self._as_read(sent.through, self)
        if standby is not None:
            run = standby.run
            try:
                rows = sent.through(standby.engine)
            except CloudpubError as error:
                if not standby.gives_way(error):
                    raise
            else:
                # Else they came by a connection to a server that has started anew, and may know less.
                if standby.run is run:
                    standby.reads += 1
                    return rows
            standby.fallbacks += 1
        # What a standby refuses may be a write: by a function, or in SQL that a caller wrote.
        return sent.through(self)

    def _as_read(self, send: Callable[..., T], *arguments: Any) -> T:
        """Have the primary answer what is known to write nothing."""
        here = self._reads
        before, here.now = here.now, True
        try:
            return send(*arguments)
        finally:
            here.now = before

    def _streamed(self, sent: SentStatement) -> Iterator[Any]:
        """As ``_read``, in chunks; once the first one is there, the stream stays where it is."""
        standby = self._chosen()
        if standby is not None:
            run, begun = standby.run, False
            chunks = sent.through(standby.engine)
            try:
                for chunk in chunks:
                    if not begun and standby.run is not run:
                        break
                    begun = True
                    yield chunk
                if begun or standby.run is run:
                    standby.reads += 1
                    return
            except CloudpubError as error:
                if not standby.gives_way(error) or begun:
                    raise
            finally:
                chunks.close()
            standby.fallbacks += 1
        yield from sent.through(self)

    def _chosen(self) -> Standby | None:
        """Return a standby that may answer this unit of work's next read; ``None`` where the primary is to."""
        now, asked, options = time.monotonic(), reading_of(self.masked_url), self.options
        if asked.source == "primary" or (options.primary_share and random.random() < options.primary_share):
            return None
        try:
            written = self._floor.position(now, self.log_position)
        except CloudpubError:
            return None  # the primary says itself what is wrong with it
        if written == "unknown":
            return None
        if now >= self._next_sample_at:
            self._sample(now)
        needed = asked.tokens if written is None else (*asked.tokens, written)
        standby = self._standbys[next(self._turns) % len(self._standbys)]
        if standby.may_answer(now, needed, options.replica_max_lag):
            return standby
        return self._asked_in_turn(standby, needed)

    def _asked_in_turn(self, first: Standby, needed: Sequence[Position]) -> Standby | None:
        """Return a standby that says that it has seen enough, the first one if it has."""
        options, place = self.options, self._standbys.index(first)
        in_turn = (*self._standbys[place:], *self._standbys[:place])
        now = time.monotonic()
        deadline = now + options.replica_wait
        while True:
            for standby in in_turn:
                enough = standby.may_answer(now, needed, options.replica_max_lag)
                if enough or (
                    standby.is_asked(now, self._samples)
                    and standby.may_answer(time.monotonic(), needed, options.replica_max_lag)
                ):
                    return standby
            now = time.monotonic()
            if now >= deadline:
                return None
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    # Transactions on a standby

    def begin_transaction(self, isolation: str | None, read_only: bool) -> None:
        asked = read_only and reading_of(self.masked_url).source == "replica"
        if not (asked and self._has_begun_on_a_standby(isolation)):
            super().begin_transaction(isolation, read_only)

    def _has_begun_on_a_standby(self, isolation: str | None) -> bool:
        """Begin a read-only transaction on a standby, whose connection is this thread's until it ends."""
        # SERIALIZABLE is what no standby has (https://www.postgresql.org/docs/current/hot-standby.html).
        standby = None if "SERIALIZABLE" in self.begin_statement(isolation, True) else self._chosen()
        if standby is None:
            return False
        run, engine, thread = standby.run, standby.engine, self._threads.current
        # First what it is left by, from wherever this ends.
        self._reads.own, self._reads.standby = thread.connection, standby
        try:
            engine.pin()
            engine.begin_transaction(isolation, True)
            # Else it is a connection to a server that has started anew, and may know less.
            if standby.run is run:
                self._keep_connection(engine.this_thread().connection)
                standby.reads += 1
                return True
            self._leave_standby()
        except BaseException as error:
            self._leave_standby()
            if not (isinstance(error, CloudpubError) and standby.gives_way(error)):
                raise
        standby.fallbacks += 1
        return False

    def _leave_standby(self) -> None:
        """Have this thread go on with its connection to the primary."""
        reads = self._reads
        if reads.standby is not None:
            self._keep_connection(reads.own)
            reads.standby.engine.rollback_transaction()
            reads.standby.engine.unpin()
            reads.standby = reads.own = None

    def transaction_ends(self) -> None:
        super().transaction_ends()
        self._leave_standby()

    def unpin(self) -> None:
        self._leave_standby()
        super().unpin()

    def replica_of_transaction(self) -> str | None:
        standby = self._reads.standby
        return None if standby is None else standby.engine.masked_url

    def classify(self, error: Exception, sql: str = "", parameters: Sequence[Any] | None = None) -> CloudpubError:
        typed = super().classify(error, sql, parameters)
        if self._reads.standby is not None:
            self._reads.standby.gives_way(typed)
        return typed

    def after_fork_in_child(self) -> None:
        super().after_fork_in_child()
        self._reads = _ThreadReads()

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        """Ask the primary in a block, also where this thread's transaction is on a standby."""
        reads, here = self._reads, self._threads.current.connection
        if reads.standby is not None:
            self._keep_connection(reads.own)
        try:
            yield
        finally:
            if reads.standby is not None:
                self._keep_connection(here)

    # What the primary says

    def log_position(self, *, flushed: bool = False) -> Position:
        with self._at_home():
            return self._as_read(partial(super().log_position, flushed=flushed))

    def _asked_home(self) -> tuple[str, str]:
        """Return the system identifier of the primary's cluster, and the name of its database."""
        if self._home is None:
            cluster, database = self._as_read(self.fetch, _HOME_QUERY, None)[0]
            self._home = cluster, database
        return self._home

    def _sample(self, now: float) -> None:
        """Note how far the primary has come; it may be away for a while.

        Not how far its log has come in memory, which nobody else sees for seconds where nothing is committed.
        """
        self._next_sample_at = now + self._sample_period
        try:
            self._samples.append(Sample(now, self.log_position(flushed=True)))
        except CloudpubError:
            self._next_sample_at = time.monotonic() + _SECONDS_AFTER_FAILURE

    def token(self) -> str:
        return str(self._floor.asked(self.log_position) or self.log_position())

    def replicas(self) -> list[ReplicaStatus]:
        if self.options.replica_max_lag is not None:
            self._sample(time.monotonic())
        return [standby.status(self._samples, self.options.replica_max_lag) for standby in self._standbys]

    # What is written

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        return self._noted(super().fetch, sql, parameters)

    def fetch_undecoded(self, sql: str, parameters: Sequence[Any] | None) -> tuple[ResultColumns, list[Row]]:
        return self._noted(super().fetch_undecoded, sql, parameters)

    def perform(self, sql: str, parameters: Sequence[Any] | None) -> StatementResult:
        return self._noted(super().perform, sql, parameters)

    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        return self._noted(super().run, sql, parameters)

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        return self._noted(super().run_many, sql, rows)

    def copy_rows(self, sql: str, text: CopySource) -> int:
        return self._noted(super().copy_rows, sql, text)

    def execute_cursor(self, sql: str, parameters: Any, **cursor_options: Any) -> Any:
        return self._noted(super().execute_cursor, sql, parameters, **cursor_options)

    def stream_described(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        try:
            yield from super().stream_described(sql, parameters, chunk_size)
        finally:
            self._note()

    def commit_transaction(self, scope: Scope) -> None:
        self._noted(super().commit_transaction, scope)

    def _noted(self, send: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        """Send something, and have this process's reads see from then on what it may have written."""
        try:
            return send(*arguments, **keywords)
        finally:
            self._note()

    def _note(self) -> None:
        if not (self._reads.now or self.read_only_transaction()):
            self._floor.wrote()

    # The standbys' connections

    def replica_engines(self) -> list[Engine]:
        return [standby.engine for standby in self._standbys]

    def dispose_all(self) -> None:
        super().dispose_all()
        for engine in self.replica_engines():
            engine.retire()
            engine.dispose_all()

    def interrupt(self) -> None:
        super().interrupt()
        for engine in self.replica_engines():
            engine.interrupt()


class RoutingPreparingEngine(RoutingEngine, PreparingEngine):
    """The same with statements that are prepared, on each server."""
