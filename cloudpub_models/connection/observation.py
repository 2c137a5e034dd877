"""Telling what a database is sent: to callbacks and to the log, with how long it took and who asked for it.

An engine that is observed is made an instance of a subclass, whose methods measure and tell and leave the rest to their
parent; an engine that nobody has observed yet runs none of this. What is told holds no secret (``sql.secret``).
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.results import ResultColumns, Row
from cloudpub_models.connection.transactions import Scope
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.secret import shown_parameters

T = TypeVar("T")

log = logging.getLogger("cloudpub_models.queries")

_LONGEST_LOGGED = 2000
_STANDARD_LIBRARY = (sysconfig.get_path("stdlib") + os.sep, "<frozen ")
_INSTALLED_PACKAGES = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
_OWN_PACKAGES = frozenset({"cloudpub_models", "peewee", "playhouse"})


# The class that comes after it sends the statements; for type checkers it is one that has every method.
if TYPE_CHECKING:
    from cloudpub_models.connection.postgresql import CopySource
    from cloudpub_models.connection.postgresql import PostgresqlEngine as _Sending
else:
    _Sending = Engine


class QueryEvent(NamedTuple):
    """One statement that a database was sent.

    Attributes:
        sql: the statement in the driver's notation.
        parameters: its values in order, ``"***"`` for those of secret columns and for bytes; none for rows
            that are sent as a batch.
        duration: seconds until its result was there; for a stream the time spent on fetching, not on using it.
        rows: how many rows it returned or touched; ``None`` where that is not known.
        call_site: who asked for it: ``"app/worker.py:12 in handle"``.
        error: what it raised.
    """

    sql: str
    parameters: tuple[Any, ...]
    duration: float
    rows: int | None
    call_site: str | None
    error: Exception | None


Callback = Callable[[QueryEvent], object]


class _Thread(threading.local):
    """Whether this thread is inside a statement that is going to be told of, or inside a callback."""

    busy = False

    def __enter__(self) -> None:
        self.busy = True

    def __exit__(self, *_error: object) -> None:
        self.busy = False


class Observer:
    """Whom one database tells of its statements.

    Attributes:
        slow_query: from how many seconds on a statement is warned about; ``None`` for never.
        wanted: whether anybody wants to know of statements.
        thread: whether a statement of this thread is part of another one that is going to be told of.
    """

    def __init__(self) -> None:
        self._callbacks: dict[object, Callback] = {}
        self.slow_query: float | None = None
        self.wanted = True
        self.thread = _Thread()

    def add(self, callback: Callback) -> Callable[[], None]:
        """Call ``callback`` from now on; return what ends that."""
        if not callable(callback):
            raise InvalidQueryError(f"expected a function that takes a QueryEvent; got {shown(callback)}")
        key = object()
        # Replaced and never changed, since other threads are going through them.
        self._callbacks = {**self._callbacks, key: callback}

        def remove() -> None:
            self._callbacks = {other: call for other, call in self._callbacks.items() if other is not key}

        return remove

    def attach(self, engine: Engine, slow_query: float | None) -> None:
        """Have an engine tell this observer what it is sent, as long as somebody wants to know."""
        self.slow_query = slow_query
        engine.observer = self
        self.wanted = bool(self._callbacks) or log_wants(slow_query)
        if self.wanted and not isinstance(engine, ObservedEngine):
            # Never changed back: other threads may be in the middle of its methods.
            engine.__class__ = _observed(type(engine))  # type: ignore[arg-type]

    def tell(
        self, sql: str, parameters: Sequence[Any] | None, duration: float, rows: int | None, error: Exception | None
    ) -> None:
        """Log one statement and call the callbacks; what they raise is logged and goes no further."""
        slow = self.slow_query is not None and duration >= self.slow_query
        debug = log.isEnabledFor(logging.DEBUG)
        if not (slow or debug or self._callbacks):
            return
        event = QueryEvent(str(sql), shown_parameters(sql, parameters or ()), duration, rows, call_site(), error)
        if slow:
            log.warning("slow query: %s", _described(event), extra={"query": event})
        elif debug:
            log.debug(
                "%s; parameters: %s", _described(event), _shortened(str(event.parameters)), extra={"query": event}
            )
        for callback in self._callbacks.values():
            try:
                callback(event)
            except Exception:
                log.exception("an on_query callback failed; the statement is not affected")


def log_wants(slow_query: float | None) -> bool:
    """Return whether the log is to be told of statements: of slow ones, or of all."""
    return slow_query is not None or log.isEnabledFor(logging.DEBUG)


class ObservedEngine(_Sending):
    """What an engine does in addition while it is observed; comes before its own class."""

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        return self._told(sql, parameters, len, super().fetch, sql, parameters)

    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        return self._told(sql, parameters, int, super().run, sql, parameters)

    def fetch_undecoded(self, sql: str, parameters: Sequence[Any] | None) -> tuple[ResultColumns, list[Row]]:
        return self._told(sql, parameters, _count_described, super().fetch_undecoded, sql, parameters)

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

    def __init__(self, thread: _Thread) -> None:
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


def _unknown(_result: object) -> None:
    return None


# Who asked


def call_site() -> str | None:
    """Return the innermost line of the program itself: not of this library, of Peewee or of the standard library."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in _OWN_PACKAGES and not _is_standard_library(code.co_filename):
            return f"{_as_seen_from_here(code.co_filename)}:{frame.f_lineno} in {code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return None


@lru_cache(maxsize=1024)
def _is_standard_library(path: str) -> bool:
    return path.startswith(_STANDARD_LIBRARY) and not any(mark in path for mark in _INSTALLED_PACKAGES)


def _as_seen_from_here(path: str) -> str:
    try:
        return path.removeprefix(os.getcwd() + os.sep)
    except OSError:
        return path  # the working directory has been removed


# The log


def _described(event: QueryEvent) -> str:
    rows = "" if event.rows is None else f", {event.rows} row{'' if event.rows == 1 else 's'}"
    failed = "" if event.error is None else f", failed with {type(event.error).__name__}"
    caller = event.call_site or "an unknown place"
    return f"{event.duration * 1000:.2f} ms{rows}{failed}: {_shortened(event.sql)}; called from {caller}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_LOGGED else f"{text[:_LONGEST_LOGGED]}… ({len(text)} characters)"
