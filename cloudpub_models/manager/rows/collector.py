"""The garbage collector held back while many instances are made: it would run several times and find nothing.

Counted, since threads may hold it back at the same time, and always released. A program that has switched the collector
off itself finds it still off. A signal handler may interrupt any line of this and hold it back too, and a process that
is forked while other threads hold it back begins anew.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Holders:
    def __init__(self) -> None:
        # A signal handler runs in the thread that may have the lock.
        self.lock = threading.RLock()
        self.count = 0
        self.was_enabled = False


_holders = _Holders()


def _begin_anew() -> None:
    global _holders
    held, _holders = _holders, _Holders()
    # A block that the forking thread is in ends with the old one, whose lock another thread may have had.
    held.lock = threading.RLock()
    if held.count and held.was_enabled:
        gc.enable()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def garbage_collection_held() -> Iterator[None]:
    """Hold the collector back until the last block that does so has ended."""
    holders = _holders
    with holders.lock:
        # Counted before the rest and until after it, so that a signal handler in between leaves everything as it is.
        holders.count += 1
        if holders.count == 1:
            holders.was_enabled = gc.isenabled()
            gc.disable()
    try:
        yield
    finally:
        with holders.lock:
            if holders.count == 1 and holders.was_enabled:
                gc.enable()
            holders.count -= 1
