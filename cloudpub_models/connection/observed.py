"""An engine's statements told to listeners, with how long they took.

It stands before an engine whose database has listeners (``Engine.send_through``); one that nobody listens to runs none
of this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.listeners import ListenedThread, Listeners
from cloudpub_models.connection.results import ResultColumns, Row, StatementResult
from cloudpub_models.connection.scopes import Scope
from cloudpub_models.connection.sender import CopySource, Sender

T = TypeVar("T")


class ObservedSender(Sender):
    """Leaves what it is to send to an engine, measures how long that takes, and tells it.

    Args:
        engine: what sends the statements.
        listeners: whom to tell.
        replica: the masked URL of the engine's server where it is a read replica of the database.
    """

    def __init__(self, engine: Engine, listeners: Listeners, replica: str | None = None) -> None:
        self._engine = engine
        self._replica = replica
        # Its own methods: those of the instance lead here.
        self._own = type(engine)
        self._listeners = listeners

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        return self._told(sql, parameters, len, self._own.fetch, sql, parameters)

    def fetch_undecoded(self, sql: str, parameters: Sequence[Any] | None) -> tuple[ResultColumns, list[Row]]:
        return self._told(sql, parameters, _count_described, self._own.fetch_undecoded, sql, parameters)

    def perform(self, sql: str, parameters: Sequence[Any] | None) -> StatementResult:
        return self._told(sql, parameters, _count_touched, self._own.perform, sql, parameters)

    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        return self._told(sql, parameters, int, self._own.run, sql, parameters)

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        return self._told(sql, None, int, self._own.run_many, sql, rows)

    def copy_rows(self, sql: str, text: CopySource) -> int:
        return self._told(sql, None, int, self._own.copy_rows, sql, text)

    def stream(self, sql: str, parameters: Sequence[Any] | None, chunk_size: int) -> Iterator[list[Row]]:
        return self._told_at_end(sql, parameters, len, self._own.stream(self._engine, sql, parameters, chunk_size))

    def stream_described(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        chunks = self._own.stream_described(self._engine, sql, parameters, chunk_size)
        return self._told_at_end(sql, parameters, _count_described, chunks)

    def execute_cursor(self, sql: str, parameters: Any, **cursor_options: Any) -> Any:
        def execute(engine: Engine) -> Any:
            return self._own.execute_cursor(engine, sql, parameters, **cursor_options)

        return self._told(sql, parameters, self._engine.count_rows, execute)

    def begin_transaction(self, isolation: str | None, read_only: bool) -> None:
        statement = self._engine.begin_statement(isolation, read_only)
        self._told(statement, None, _unknown, self._own.begin_transaction, isolation, read_only)

    def commit_transaction(self, scope: Scope) -> None:
        self._told("COMMIT", None, _unknown, self._own.commit_transaction, scope)

    def rollback_transaction(self) -> None:
        if self._engine.has_transaction_to_end():
            self._told("ROLLBACK", None, _unknown, self._own.rollback_transaction)
        else:
            self._own.rollback_transaction(self._engine)

    def run_control(self, sql: str) -> None:
        self._told(sql, None, _unknown, self._own.run_control, sql)

    def _told(
        self,
        sql: str,
        parameters: Sequence[Any] | None,
        count: Callable[[T], int | None],
        send: Callable[..., T],
        *arguments: Any,
    ) -> T:
        """Send a statement and tell of it, unless it is part of another one or sent by a callback."""
        listeners = self._listeners
        if listeners.thread.busy:
            return send(self._engine, *arguments)
        # No with-block, whose end a signal's handler may keep from running: that cannot come between these lines.
        thread = listeners.thread
        thread.busy = True
        try:
            started = time.perf_counter()
            try:
                result = send(self._engine, *arguments)
            except Exception as error:
                if self._was_sent(error):
                    listeners.tell(sql, parameters, time.perf_counter() - started, None, error, self._server())
                raise
            listeners.tell(sql, parameters, time.perf_counter() - started, count(result), None, self._server())
            return result
        finally:
            thread.busy = False

    def _told_at_end(
        self, sql: str, parameters: Sequence[Any] | None, count: Callable[[T], int], chunks: Any
    ) -> Iterator[T]:
        """Yield the chunks of a stream and tell of it when it ends, also where it is given up before its last row."""
        listeners = self._listeners
        if listeners.thread.busy:
            yield from chunks
            return
        watch = _Watch(listeners.thread)
        rows, failure = 0, None
        try:
            while (chunk := watch.time(next, chunks, None)) is not None:
                rows += count(chunk)
                yield chunk
        except Exception as error:
            failure = error
            raise
        finally:
            watch.time(chunks.close)
            if failure is None or self._was_sent(failure):
                watch.time(listeners.tell, sql, parameters, watch.duration, rows, failure, self._server())

    def _server(self) -> str | None:
        """Return the masked URL of the read replica that answers this thread; ``None`` for the database."""
        return self._replica or self._engine.replica_of_transaction()

    def _was_sent(self, error: Exception) -> bool:
        """Return whether the driver raised an error; anything else was refused before it came to that."""
        return isinstance(error.__cause__, self._engine.driver_error)


class _Watch:
    """Adds up the seconds of several steps."""

    def __init__(self, thread: ListenedThread) -> None:
        self.duration = 0.0
        self._thread = thread

    def time(self, step: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        self._thread.busy = True
        try:
            return step(*arguments)
        finally:
            self._thread.busy = False
            self.duration += time.perf_counter() - started


def _count_described(result: tuple[Any, list[Row]]) -> int:
    return len(result[1])


def _count_touched(result: StatementResult) -> int | None:
    return len(result.rows) if result.names else result.touched


def _unknown(_result: object) -> None:
    return None
