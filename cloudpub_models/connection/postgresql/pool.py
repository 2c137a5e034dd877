"""The pool of PostgreSQL connections: who may use which, and when one is opened, checked or thrown away.

Knows how to open and to check a connection only through the functions it is given. Opening happens outside the pool's
lock, so a slow server delays only the threads that wait for it. Threads that find every connection in use queue, and
are served in the order in which they came: a thread that gives one back and asks again at once has to queue as well.

Taking an idle connection and giving one back take no lock, whose holder would keep all others waiting whenever the
interpreter switches to another thread. Both rest on ``list.append`` and ``list.pop``, which are atomic, and on an
order: who gives back looks for a queue after that, and who queues looks for idle connections after that.

A signal's handler may raise anywhere, and so may any greenlet's time limit. So a place in the pool is not counted up
and down: it is taken by a connection, or by who is opening one, for as long as that exists. What an interrupt lets fall
is closed, and its place is free. The same handler may send a statement, and the garbage collector may end a stream, in
the middle of anything here: the lock is one that its holder may take again, and whoever is served twice is none the
worse.
"""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from cloudpub_models.connection.postgresql.attempts import AttemptLimit
from cloudpub_models.errors import PoolTimeoutError

CHECK_AFTER_IDLE_SECONDS = 30.0
# What has not answered for so long, while one waited for it, is not waited for a second time on another connection.
_SILENCE_SECONDS = 1.0
# How soon a stream that waits for another one's end notices it.
_SECONDS_BETWEEN_LOOKS = 0.01


class PoolableConnection(Protocol):
    """What the pool keeps with a connection.

    Attributes:
        idle_since: when it was last given back.
        lent_to: the thread that it was given to; ``None`` while it is idle.
    """

    idle_since: float
    lent_to: int | None


C = TypeVar("C", bound=PoolableConnection)


class _Waiter(Generic[C]):
    """A thread in the queue; once served it has a connection, or else is itself what takes a place to open one in."""

    __slots__ = ("__weakref__", "_gate", "connection", "served", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.connection: C | None = None
        self.served = False
        # Not an Event, which is left locked for ever where an interrupt comes at the wrong moment.
        self._gate = threading.Lock()
        self._gate.acquire()

    def serve(self, connection: C | None) -> None:
        self.connection = connection
        self.served = True
        # Somebody else may have opened it already.
        with suppress(RuntimeError):
            self._gate.release()

    def wait(self, seconds: float) -> bool:
        """Return whether it has been served within so many seconds."""
        return self._gate.acquire(timeout=seconds) or self.served


class StreamPlace:
    """Leave to keep a connection for a stream, for as long as it exists."""

    __slots__ = ("__weakref__",)


class ConnectionPool(Generic[C]):
    """At most ``limit`` connections, the most recently used given out first.

    Args:
        open_connection: opens one.
        is_usable: asks the server, in one round trip, whether a connection still works.
        discard: closes one that is not to be used again; never raises.
        limit: how many may exist at once.
        wait_seconds: how long ``acquire`` waits for one to be free; 0 waits for ever.
        attempts: what keeps failing attempts apart; shared by the pools of one server.
    """

    def __init__(
        self,
        open_connection: Callable[[], C],
        is_usable: Callable[[C], bool],
        discard: Callable[[C], None],
        *,
        limit: int,
        wait_seconds: float,
        attempts: AttemptLimit | None = None,
    ) -> None:
        self._open_connection = open_connection
        self._is_usable = is_usable
        self._discard = discard
        self._limit = limit
        self._wait_seconds = wait_seconds
        self._attempts = attempts or AttemptLimit()
        self._closed = False
        self._suspect_before = 0.0
        self._begin_empty()

    def _begin_empty(self) -> None:
        self._lock = threading.RLock()
        self._idle: list[C] = []
        # What takes a place: connections, in use or idle, and waiters that are opening one; changed with the lock held.
        self._taken: list[weakref.ref[Any]] = []
        self._waiting: deque[_Waiter[C]] = deque()
        self._streams: list[weakref.ref[StreamPlace]] = []
        # Filled by finalizers, which may run at any point of any thread and so must not keep it waiting for the lock.
        self._left_behind: deque[C] = deque()
        self._process = os.getpid()

    @property
    def size(self) -> int:
        """How many connections exist, in use or idle, or are being opened."""
        with self._lock:
            return self._places()

    def acquire(self, *, check: bool = False) -> C:
        """Return a connection that nobody else uses.

        Args:
            check: ask the server whether it still works even if it was used a moment ago.

        Raises:
            PoolTimeoutError: all were in use for as long as this call was willing to wait.
            ConnectionFailedError: none was idle and opening one failed.
        """
        while True:
            try:
                connection = None if self._waiting else self._idle.pop()
            except IndexError:
                connection = None
            if connection is None:
                waiter = self._queue_or_reserve()
                if (connection := waiter.connection) is None:
                    return self._open_in_place_of(waiter)
            connection.lent_to = threading.get_ident()
            idle_since = connection.idle_since
            suspect = idle_since <= self._suspect_before or time.monotonic() - idle_since > CHECK_AFTER_IDLE_SECONDS
            if not (check or suspect):
                return connection
            usable = False
            started = time.monotonic()
            try:
                usable = self._is_usable(connection)
            finally:
                if not usable:
                    self.remove(connection)
            if usable:
                return connection
            if time.monotonic() - started > _SILENCE_SECONDS:
                self.give_up_idle(started)

    def place_for_stream(self) -> StreamPlace:
        """Wait until a stream may begin, which keeps a connection while its reader asks for others.

        One connection, if there are several, is never a stream's: else threads that all change what they read would
        all wait for a second connection, for which none gives up its first.

        Raises:
            PoolTimeoutError: none ended for as long as this call was willing to wait.
        """
        deadline = time.monotonic() + self._wait_seconds if self._wait_seconds else float("inf")
        while True:
            with self._lock:
                self._streams = [stream for stream in self._streams if stream() is not None]
                if len(self._streams) < max(1, self._limit - 1):
                    place = StreamPlace()
                    self._streams.append(weakref.ref(place))
                    return place
            if time.monotonic() >= deadline:
                raise PoolTimeoutError(
                    f"expected a stream to end within {self._wait_seconds:g} s; all {max(1, self._limit - 1)} that "
                    "may be open at once stayed open: read them to their end, or raise max_connections or pool_timeout"
                )
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def release(self, connection: C) -> None:
        """Give a connection back to be used again."""
        if connection.lent_to is None:
            self.remove(connection)
            return
        connection.idle_since = time.monotonic()
        connection.lent_to = None
        self._idle.append(connection)
        if self._waiting or self._closed:
            with self._lock:
                self._serve_queue()
            if self._closed:
                self._discard_idle()

    def remove(self, connection: C) -> None:
        """Throw a connection away, and free its place."""
        self._discard(connection)
        with self._lock:
            self._free_place(connection)
            self._serve_queue()

    def reclaim(self, connection: C) -> None:
        """Throw a connection away that this thread has been given, unless it has got so far as to give it back."""
        if connection.lent_to == threading.get_ident():
            self.remove(connection)

    def leave_behind(self, connection: C) -> None:
        """Close the connection of a thread that ended without giving it back; safe to call from a finalizer.

        The thread may have ended in the middle of anything, whose locks the server lets go of at once. The place is
        free from the next ``acquire`` on that needs it.
        """
        # After a fork the child finalizes the parent's threads, whose connections are not the child's to close; that
        # comes before anything that the child is told to run.
        if os.getpid() == self._process and connection.lent_to is not None:
            self._left_behind.append(connection)
            self._discard(connection)

    def suspect_all(self) -> None:
        """Have every idle connection checked before its next use, since one of them was just lost."""
        self._suspect_before = time.monotonic()

    def give_up_idle(self, since: float) -> None:
        """Throw away what has been idle since before some moment, rather than to wait for each as long as for one."""
        for connection in self._idle.copy():
            if connection.idle_since <= since:
                # Somebody may have taken it meanwhile.
                with suppress(ValueError):
                    self._idle.remove(connection)
                    self.remove(connection)

    def close(self) -> None:
        """Close the idle connections now and each other one when it is given back."""
        self._closed = True
        self._discard_idle()

    def lock_for_fork(self) -> None:
        """Hold the lock while the process forks, so that the child does not inherit it half-way through something."""
        self._lock.acquire()

    def unlock_after_fork(self) -> None:
        """Let go of the lock in the parent."""
        self._lock.release()

    def abandon(self) -> None:
        """Forget every connection: in a forked child all belong to the parent, and the lock may be held for ever."""
        self._begin_empty()
        self._attempts.reset()

    # Taking and queueing

    def _queue_or_reserve(self) -> _Waiter[C]:
        """Return a waiter that has a connection that has become idle, or else takes a place in which to open one."""
        waiter: _Waiter[C] = _Waiter()
        try:
            with self._lock:
                self._clear_left_behind()
                self._waiting.append(waiter)
                self._serve_queue()
            if not waiter.served:
                self._wait_in_queue(waiter)
        except BaseException:
            self._leave_queue(waiter)
            raise
        return waiter

    def _wait_in_queue(self, waiter: _Waiter[C]) -> None:
        deadline = time.monotonic() + self._wait_seconds if self._wait_seconds else float("inf")
        while (remaining := deadline - time.monotonic()) > 0:
            # Nobody is woken by a finalizer, nor by what an interrupt let fall: look now and then what has become free.
            if waiter.wait(min(0.1, remaining)):
                return
            with self._lock:
                self._clear_left_behind()
                self._serve_queue()
        # A connection that an interrupt let fall is part of a cycle, with its cursor.
        gc.collect()
        with self._lock:
            self._serve_queue()
            if waiter.served:
                return
        raise PoolTimeoutError(
            f"expected a free connection within {self._wait_seconds:g} s; all {self._limit} stayed in use: "
            "keep sessions and transactions short, or raise max_connections or pool_timeout"
        )

    def _leave_queue(self, waiter: _Waiter[C]) -> None:
        with self._lock:
            # Served already, it is not in the queue.
            with suppress(ValueError):
                self._waiting.remove(waiter)
            self._free_place(waiter)
            self._serve_queue()
        if waiter.connection is not None:
            self.release(waiter.connection)

    def _serve_queue(self) -> None:
        """Give the threads that waited longest what has become free; called with the lock held."""
        while self._waiting:
            # An interrupt of this thread may serve the queue too, between any two of these steps.
            with suppress(IndexError):
                waiter = self._waiting[0]
                if not waiter.served:
                    # Already the waiting thread's: this one may still reclaim what it has just given back.
                    connection = self._take_idle(waiter.thread)
                    if connection is None:
                        if self._places() >= self._limit:
                            return
                        self._taken.append(weakref.ref(waiter))
                    waiter.serve(connection)
                if self._waiting[0] is waiter:
                    self._waiting.popleft()

    def _places(self) -> int:
        """Return how many places are taken, by what still exists; called with the lock held."""
        self._taken = [taken for taken in self._taken if taken() is not None]
        return len(self._taken)

    def _free_place(self, holder: C | _Waiter[C]) -> None:
        """Have what takes a place take none; called with the lock held."""
        self._taken = [taken for taken in self._taken if taken() is not holder]

    def _clear_left_behind(self) -> None:
        while self._left_behind:
            with suppress(IndexError):
                self._free_place(self._left_behind.popleft())

    def _discard_idle(self) -> None:
        while (connection := self._take_idle(threading.get_ident())) is not None:
            self.remove(connection)

    def _take_idle(self, thread: int) -> C | None:
        try:
            connection = self._idle.pop()
        except IndexError:
            return None
        connection.lent_to = thread
        return connection

    # Opening

    def _open_in_place_of(self, waiter: _Waiter[C]) -> C:
        try:
            connection = self._open_within_limit()
            connection.lent_to = threading.get_ident()
            with self._lock:
                self._taken.append(weakref.ref(connection))
                # At once, so that nobody ever sees both take a place.
                self._free_place(waiter)
        finally:
            with self._lock:
                self._free_place(waiter)
                self._serve_queue()
        return connection

    def _open_within_limit(self) -> C:
        attempt = self._attempts.begin(self._wait_seconds)
        try:
            connection = self._open_connection()
        except BaseException as error:
            self._attempts.failed(attempt, error)
            raise
        self._attempts.succeeded(attempt)
        return connection


class Loan(Generic[C]):
    """Gives a thread's pinned connection back when the thread ends without doing so."""

    __slots__ = ("_pool", "connection")

    def __init__(self, pool: ConnectionPool[C], connection: C) -> None:
        self._pool = pool
        self.connection: C | None = connection

    def __del__(self) -> None:
        if self.connection is not None:
            self._pool.leave_behind(self.connection)
