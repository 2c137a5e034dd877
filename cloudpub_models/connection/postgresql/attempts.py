"""How often a process may fail to connect: never so often that many threads storm a server that is down or full.

Counts and waits; what an attempt is and what its failure means is the pool's business.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from cloudpub_models.errors import ConnectionFailedError

MOST_FAILURES_A_SECOND = 5
SECONDS_BETWEEN_ATTEMPTS = 0.2


class AttemptLimit:
    """Lets attempts begin so that at most five fail in any second; after a failed one they begin one by one.

    An attempt under way counts as though it were to fail. So five at most are under way at once, and a server that is
    well and answers in milliseconds keeps nobody waiting.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child does, whose parent's threads are not there to let go of the lock."""
        self._condition = threading.Condition(threading.Lock())
        self._failures: deque[float] = deque()
        self._under_way = 0
        self._next_start = 0.0
        self._last_error: ConnectionFailedError | None = None

    def begin(self, wait_seconds: float) -> None:
        """Wait until an attempt may begin; ``succeeded`` or ``failed`` has to follow.

        Args:
            wait_seconds: how long at most; 0 waits for ever.

        Raises:
            ConnectionFailedError: none could begin in that time; the last attempt's error, once more.
        """
        deadline = time.monotonic() + wait_seconds if wait_seconds else float("inf")
        with self._condition:
            while (pause := self._seconds_to_wait()) > 0:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise self._waited_in_vain(wait_seconds)
                self._condition.wait(min(pause, remaining))
            self._under_way += 1
            if self._failures:
                self._next_start = time.monotonic() + _spacing()

    def succeeded(self) -> None:
        """End an attempt that made a connection: the server is back."""
        with self._condition:
            self._under_way -= 1
            self._failures.clear()
            self._next_start = 0.0
            self._condition.notify_all()

    def failed(self, error: BaseException) -> None:
        """End an attempt that failed."""
        with self._condition:
            now = time.monotonic()
            self._under_way -= 1
            self._failures.append(now)
            self._next_start = max(self._next_start, now + _spacing())
            if isinstance(error, ConnectionFailedError):
                self._last_error = error
            self._condition.notify_all()

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        while self._failures and now - self._failures[0] >= 1:
            self._failures.popleft()
        if self._under_way + len(self._failures) >= MOST_FAILURES_A_SECOND:
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
