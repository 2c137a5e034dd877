"""The garbage collector held back while many instances are made: it would run several times and find nothing.

Counted, since threads may hold it back at the same time, and always released. A program that has switched the collector
off itself finds it still off.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Holders:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.was_enabled = False


_holders = _Holders()


@contextmanager
def garbage_collection_held() -> Iterator[None]:
    """Hold the collector back until the last block that does so has ended."""
    with _holders.lock:
        if _holders.count == 0:
            _holders.was_enabled = gc.isenabled()
            gc.disable()
        _holders.count += 1
    try:
        yield
    finally:
        with _holders.lock:
            _holders.count -= 1
            if _holders.count == 0 and _holders.was_enabled:
                gc.enable()
