"""How often a process may fail to connect: never so often that many threads storm a server that is down or full.

Counts and waits; what an attempt is and what its failure means is the pool's business.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque

from cloudpub_models.errors import ConnectionFailedError

MOST_FAILURES_A_SECOND = 5
SECONDS_BETWEEN_ATTEMPTS = 0.2


class Attempt:
    """An attempt to connect that is under way: for as long as it exists, and until it has succeeded or failed."""

    __slots__ = ("__weakref__",)


class AttemptLimit:
    """Lets attempts begin so that at most five fail in any second; after a failed one they begin one by one.

    An attempt under way counts as though it were to fail. So five at most are under way at once, and a server that is
    well and answers in milliseconds keeps nobody waiting.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child does, whose parent's threads are not there to let go of the lock."""
        # One that a signal's handler may take again, and no Condition, which an interrupt leaves locked.
        self._lock = threading.RLock()
        self._gates: list[threading.Lock] = []
        self._failures: deque[float] = deque()
        # Not counted up and down: an interrupt may come in between.
        self._under_way: list[weakref.ref[Attempt]] = []
        self._next_start = 0.0
        self._last_error: ConnectionFailedError | None = None

    def begin(self, wait_seconds: float) -> Attempt:
        """Wait until an attempt may begin; ``succeeded`` or ``failed`` has to follow.

        Args:
            wait_seconds: how long at most; 0 waits for ever.

        Raises:
            ConnectionFailedError: none could begin in that time; the last attempt's error, once more.
        """
        deadline = time.monotonic() + wait_seconds if wait_seconds else float("inf")
        while True:
            with self._lock:
                pause = self._seconds_to_wait()
                if pause <= 0:
                    return self._begun()
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise self._waited_in_vain(wait_seconds)
                gate = threading.Lock()
                gate.acquire()
                self._gates.append(gate)
            self._wait_at(gate, min(pause, remaining))

    def succeeded(self, attempt: Attempt) -> None:
        """End an attempt that made a connection: the server is back."""
        with self._lock:
            self._end(attempt)
            self._failures.clear()
            self._next_start = 0.0
            self._open_gates()

    def failed(self, attempt: Attempt, error: BaseException) -> None:
        """End an attempt that failed."""
        with self._lock:
            now = time.monotonic()
            self._end(attempt)
            self._failures.append(now)
            self._next_start = max(self._next_start, now + _spacing())
            if isinstance(error, ConnectionFailedError):
                self._last_error = error
            self._open_gates()

    def _begun(self) -> Attempt:
        attempt = Attempt()
        self._under_way.append(weakref.ref(attempt))
        if self._failures:
            self._next_start = time.monotonic() + _spacing()
        return attempt

    def _end(self, attempt: Attempt | None) -> None:
        """Forget an attempt, and those that nobody makes any more."""
        self._under_way = [one for one in self._under_way if one() not in (None, attempt)]

    def _wait_at(self, gate: threading.Lock, seconds: float) -> None:
        """Wait until an attempt has ended, so many seconds at most."""
        gate.acquire(timeout=seconds)

    def _open_gates(self) -> None:
        gates, self._gates = self._gates, []
        for gate in gates:
            gate.release()

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        while self._failures and now - self._failures[0] >= 1:
            self._failures.popleft()
        self._end(None)
        if len(self._under_way) + len(self._failures) >= MOST_FAILURES_A_SECOND:
            return self._failures[0] + 1 - now if self._failures else 1.0
        return self._next_start - now if self._failures else 0.0

    def _waited_in_vain(self, wait_seconds: float) -> ConnectionFailedError:
        reason = f"the last attempt failed: {self._last_error}" if self._last_error else "the server is slow to answer"
        error = ConnectionFailedError(
            f"expected to be allowed to connect within {wait_seconds:g} s, but too many attempts are failing or under "
            f"way; {reason}"
        )
        error.transient = self._last_error is None or self._last_error.transient
        return error


def _spacing() -> float:
    # Jittered, so that processes that a restart made fail together do not go on doing so.
    import random

    return random.uniform(SECONDS_BETWEEN_ATTEMPTS, 1.25 * SECONDS_BETWEEN_ATTEMPTS)


_limits: dict[str, AttemptLimit] = {}


def limit_for(target: str) -> AttemptLimit:
    """Return the one limit of this process for a server, however many pools connect to it."""
    return _limits.setdefault(target, AttemptLimit())
