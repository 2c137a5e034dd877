"""Ctrl-C while a statement runs: the database is told to end it.

The drivers wait for a result in C, where Python's own handler of the signal does not come to run. What Python does at
once is to write the signal's number to a pipe (`signal.set_wakeup_fd`); a thread that reads it has the statement ended,
and then the handler runs and raises KeyboardInterrupt as ever.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cloudpub_models.connection import Database


@contextmanager
def interruptible(database: Database) -> Iterator[None]:
    """Have SIGINT end what the database does for this process while the block runs; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    listener = threading.Thread(target=_listen, args=(reading, database), daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        listener.join()
        os.close(reading)


def _listen(reading: int, database: Database) -> None:
    while number := os.read(reading, 1):
        if number[0] == signal.SIGINT and database.is_open:
            database.engine.interrupt()
