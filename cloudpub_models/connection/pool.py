"""The pool of PostgreSQL connections: who may use which, and when one is opened, checked or thrown away.

Knows how to open and to check a connection only through the two functions it is given. Opening happens outside the
pool's lock, so a slow server delays only the thread that waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from cloudpub_models.errors import PoolTimeoutError

CHECK_AFTER_IDLE_SECONDS = 30.0
SECONDS_BETWEEN_FAILED_ATTEMPTS = 0.2


class PoolableConnection(Protocol):
    """What the pool needs to know of a connection: when it was last given back."""

    idle_since: float


C = TypeVar("C", bound=PoolableConnection)


class ConnectionPool(Generic[C]):
    """At most ``limit`` connections, the most recently used given out first.

    Args:
        open_connection: opens one.
        is_usable: asks the server, in one round trip, whether a connection still works.
        discard: closes one that is not to be used again; never raises.
        limit: how many may exist at once.
        wait_seconds: how long ``acquire`` waits for one to be free; 0 waits for ever.
    """

    def __init__(
        self,
        open_connection: Callable[[], C],
        is_usable: Callable[[C], bool],
        discard: Callable[[C], None],
        *,
        limit: int,
        wait_seconds: float,
    ) -> None:
        self._open_connection = open_connection
        self._is_usable = is_usable
        self._discard = discard
        self._limit = limit
        self._wait_seconds = wait_seconds
        self._idle: list[C] = []
        self._given: set[int] = set()
        self._opening = 0
        self._condition = threading.Condition(threading.Lock())
        self._suspect_before = 0.0
        self._next_attempt = 0.0
        # Filled by finalizers, which may run at any point of any thread and so must not take the lock.
        self._left_behind: deque[C] = deque()
        self._closed = False

    @property
    def size(self) -> int:
        """How many connections exist, in use or idle."""
        with self._condition:
            return len(self._idle) + len(self._given) + self._opening

    def acquire(self, *, check: bool = False) -> C:
        """Return a connection that nobody else uses.

        Args:
            check: ask the server whether it still works even if it was used a moment ago.

        Raises:
            PoolTimeoutError: all were in use for as long as this call was willing to wait.
            ConnectionFailedError: none was idle and opening one failed.
        """
        while (connection := self._take_idle_or_reserve()) is not None:
            idle_since = connection.idle_since
            suspect = idle_since <= self._suspect_before or time.monotonic() - idle_since > CHECK_AFTER_IDLE_SECONDS
            if not (check or suspect) or self._is_usable(connection):
                return connection
            self.remove(connection)
        return self._open_reserved()

    def release(self, connection: C) -> None:
        """Give a connection back to be used again."""
        connection.idle_since = time.monotonic()
        with self._condition:
            if id(connection) in self._given and not self._closed:
                self._given.discard(id(connection))
                self._idle.append(connection)
                self._condition.notify()
                return
        self._discard(connection)

    def remove(self, connection: C) -> None:
        """Throw a connection away, and free its place."""
        with self._condition:
            self._given.discard(id(connection))
            self._condition.notify()
        self._discard(connection)

    def leave_behind(self, connection: C) -> None:
        """Take back the connection of a thread that ended without giving it back; safe to call from a finalizer."""
        self._left_behind.append(connection)

    def suspect_all(self) -> None:
        """Have every idle connection checked before its next use, since one of them was just lost."""
        self._suspect_before = time.monotonic()

    def close(self) -> None:
        """Close the idle connections now and each other one when it is given back."""
        with self._condition:
            self._closed = True
            idle, self._idle = self._idle + list(self._left_behind), []
            self._left_behind.clear()
        for connection in idle:
            self._discard(connection)

    def lock_for_fork(self) -> None:
        """Hold the lock while the process forks, so that the child does not inherit it half-way through something."""
        self._condition.acquire()

    def unlock_after_fork(self) -> None:
        """Let go of the lock in the parent."""
        self._condition.release()

    def abandon(self) -> None:
        """Forget every connection: in a forked child all belong to the parent, and the lock may be held for ever."""
        self._idle, self._given, self._opening = [], set(), 0
        self._left_behind = deque()
        self._condition = threading.Condition(threading.Lock())

    def _take_idle_or_reserve(self) -> C | None:
        deadline = time.monotonic() + self._wait_seconds if self._wait_seconds else None
        with self._condition:
            while True:
                while self._left_behind:
                    # A thread may have ended in the middle of anything, so its session is not worth keeping.
                    connection = self._left_behind.popleft()
                    self._given.discard(id(connection))
                    self._discard(connection)
                if self._idle:
                    connection = self._idle.pop()
                    self._given.add(id(connection))
                    return connection
                if len(self._given) + self._opening < self._limit:
                    self._opening += 1
                    return None
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    raise PoolTimeoutError(
                        f"expected a free connection within {self._wait_seconds:g} s; all {self._limit} stayed in use: "
                        "keep sessions and transactions short, or raise max_connections or pool_timeout"
                    )
                # Finalizers cannot notify, so look again now and then.
                self._condition.wait(min(0.1, remaining) if remaining is not None else 0.1)

    def _open_reserved(self) -> C:
        self._wait_for_next_attempt()
        try:
            connection = self._open_connection()
        except BaseException:
            with self._condition:
                self._opening -= 1
                self._next_attempt = max(time.monotonic(), self._next_attempt) + SECONDS_BETWEEN_FAILED_ATTEMPTS
                self._condition.notify()
            raise
        with self._condition:
            self._opening -= 1
            self._given.add(id(connection))
            self._next_attempt = 0.0
        return connection

    def _wait_for_next_attempt(self) -> None:
        """Space attempts after a failed one, so that many threads together cannot storm a server that is down."""
        with self._condition:
            if not self._next_attempt:
                return
            start = max(time.monotonic(), self._next_attempt)
            self._next_attempt = start + SECONDS_BETWEEN_FAILED_ATTEMPTS
        time.sleep(max(0.0, start - time.monotonic()))
