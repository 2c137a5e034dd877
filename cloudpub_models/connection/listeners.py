"""Whom a database tells what it is sent: callbacks, and the log.

What is told holds no secret (``sql.text.secrets``). How an engine comes to tell is the business of ``observed``.
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.text.secrets import shown_parameters

log = logging.getLogger("cloudpub_models.queries")

_LONGEST_LOGGED = 2000
_STANDARD_LIBRARY = (sysconfig.get_path("stdlib") + os.sep, "<frozen ")
_INSTALLED_PACKAGES = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
_OWN_PACKAGES = frozenset({"cloudpub_models", "peewee", "playhouse"})


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
        replica: the masked URL of the read replica that it was sent to; ``None`` for the database itself.
    """

    sql: str
    parameters: tuple[Any, ...]
    duration: float
    rows: int | None
    call_site: str | None
    error: Exception | None
    replica: str | None = None


Callback = Callable[[QueryEvent], object]


class ListenedThread(threading.local):
    """Whether this thread is inside a statement that is going to be told of, or inside a callback."""

    busy = False


class Listeners:
    """Whom one database tells of its statements.

    Attributes:
        slow_query: from how many seconds on a statement is warned about; ``None`` for never.
        thread: whether a statement of this thread is part of another one that is going to be told of.
    """

    def __init__(self) -> None:
        self._callbacks: dict[object, Callback] = {}
        self.slow_query: float | None = None
        self.thread = ListenedThread()

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to know of statements: a callback, or the log, of slow ones or of all."""
        return bool(self._callbacks) or self.slow_query is not None or log.isEnabledFor(logging.DEBUG)

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

    def tell(
        self,
        sql: str,
        parameters: Sequence[Any] | None,
        duration: float,
        rows: int | None,
        error: Exception | None,
        replica: str | None,
    ) -> None:
        """Log one statement and call the callbacks; what they raise is logged and goes no further."""
        slow = self.slow_query is not None and duration >= self.slow_query
        debug = log.isEnabledFor(logging.DEBUG)
        if not (slow or debug or self._callbacks):
            return
        values = shown_parameters(sql, parameters or ())
        event = QueryEvent(str(sql), values, duration, rows, call_site(), error, replica)
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
    replica = f" at {event.replica}" if event.replica else ""
    return f"{event.duration * 1000:.2f} ms{rows}{failed}{replica}: {_shortened(event.sql)}; called from {caller}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_LOGGED else f"{text[:_LONGEST_LOGGED]}… ({len(text)} characters)"
