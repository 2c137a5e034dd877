"""Telling an observer what an engine is sent, with how long it took.

An engine that is observed is made an instance of a subclass, whose methods measure and tell and leave the rest to their
parent; an engine that nobody has observed yet runs none of this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.observer import ObservedThread, Observer
from cloudpub_models.connection.results import ResultColumns, Row, StatementResult
from cloudpub_models.connection.transactions import Scope

T = TypeVar("T")


# The class that comes after it sends the statements; for type checkers it is one that has every method.
if TYPE_CHECKING:
    from cloudpub_models.connection.postgresql.engine import CopySource
    from cloudpub_models.connection.postgresql.engine import PostgresqlEngine as _Sending
else:
    _Sending = Engine


def observe(engine: Engine, observer: Observer) -> None:
    """Have an engine tell an observer what it is sent, as long as anybody wants to know."""
    engine.observer = observer
    if observer.wanted and not isinstance(engine, ObservedEngine):
        # Never changed back: other threads may be in the middle of its methods.
        engine.__class__ = _observed(type(engine))  # type: ignore[arg-type]


class ObservedEngine(_Sending):
    """What an engine does in addition while it is observed; comes before its own class."""

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        return self._told(sql, parameters, len, super().fetch, sql, parameters)

    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        return self._told(sql, parameters, int, super().run, sql, parameters)

    def fetch_undecoded(self, sql: str, parameters: Sequence[Any] | None) -> tuple[ResultColumns, list[Row]]:
        return self._told(sql, parameters, _count_described, super().fetch_undecoded, sql, parameters)

    def perform(self, sql: str, parameters: Sequence[Any] | None) -> StatementResult:
        return self._told(sql, parameters, _count_touched, super().perform, sql, parameters)

    def copy_rows(self, sql: str, text: CopySource) -> int:
        return self._told(sql, None, int, super().copy_rows, sql, text)

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        return self._told(sql, None, int, super().run_many, sql, rows)  # type: ignore[misc, no-any-return]

    def stream(self, sql: str, parameters: Sequence[Any] | None, chunk_size: int) -> Iterator[list[Row]]:
        return self._told_at_end(sql, parameters, len, super().stream(sql, parameters, chunk_size))

    def stream_described(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        return self._told_at_end(
            sql, parameters, _count_described, super().stream_described(sql, parameters, chunk_size)
        )

    def begin_transaction(self, isolation: str | None, read_only: bool) -> None:
        statement = self.begin_statement(isolation, read_only)
        self._told(statement, None, _unknown, super().begin_transaction, isolation, read_only)

    def commit_transaction(self, scope: Scope) -> None:
        self._told("COMMIT", None, _unknown, super().commit_transaction, scope)

    def rollback_transaction(self) -> None:
        if self.has_transaction_to_end():
            self._told("ROLLBACK", None, _unknown, super().rollback_transaction)
        else:
            super().rollback_transaction()

    def run_control(self, sql: str) -> None:
        self._told(sql, None, _unknown, super().run_control, sql)

    def _execute_cursor(self, sql: str, params: Any, **cursor_options: Any) -> Any:
        execute = partial(super()._execute_cursor, sql, params, **cursor_options)
        return self._told(sql, params, self.count_rows, execute)

    def _told(
        self,
        sql: str,
        parameters: Sequence[Any] | None,
        count: Callable[[T], int | None],
        send: Callable[..., T],
        *arguments: Any,
    ) -> T:
        """Send a statement and tell of it, unless it is part of another one or sent by a callback."""
        observer = self.observer
        if observer is None or not observer.wanted or observer.thread.busy:
            return send(*arguments)
        with observer.thread:
            started = time.perf_counter()
            try:
                result = send(*arguments)
            except Exception as error:
                if _was_sent(self, error):
                    observer.tell(sql, parameters, time.perf_counter() - started, None, error)
                raise
            observer.tell(sql, parameters, time.perf_counter() - started, count(result), None)
            return result

    def _told_at_end(
        self, sql: str, parameters: Sequence[Any] | None, count: Callable[[T], int], chunks: Any
    ) -> Iterator[T]:
        """Yield the chunks of a stream and tell of it when it ends, also where it is given up before its last row."""
        observer = self.observer
        if observer is None or not observer.wanted or observer.thread.busy:
            yield from chunks
            return
        watch = _Watch(observer.thread)
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
            if failure is None or _was_sent(self, failure):
                with observer.thread:
                    observer.tell(sql, parameters, watch.duration, rows, failure)


class _Watch:
    """Adds up the seconds of several steps."""

    def __init__(self, thread: ObservedThread) -> None:
        self.duration = 0.0
        self._thread = thread

    def time(self, step: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            with self._thread:
                return step(*arguments)
        finally:
            self.duration += time.perf_counter() - started


def _was_sent(engine: Engine, error: Exception) -> bool:
    """Return whether the driver raised an error; anything else was refused before it came to that."""
    return isinstance(error.__cause__, engine.driver_error)


@cache
def _observed(kind: type[Engine]) -> type[Engine]:
    return type(f"Observed{kind.__name__}", (ObservedEngine, kind), {})


def _count_described(result: tuple[Any, list[Row]]) -> int:
    return len(result[1])


def _count_touched(result: StatementResult) -> int | None:
    return len(result.rows) if result.names else result.touched


def _unknown(_result: object) -> None:
    return None
