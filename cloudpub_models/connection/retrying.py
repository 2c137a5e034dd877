"""Running a transaction again from its start: after which errors, how often, and with what pauses.

What the work is, and how a transaction begins and ends, is not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from cloudpub_models.errors import CloudpubError, ConnectionFailedError, ConnectionLostError, RetryableError

C = TypeVar("C")
R = TypeVar("R")

_FIRST_PAUSE_SECONDS = 0.01
# What cuts one connection mostly cuts all, and a server that opens a hundred anew answers none of them quickly.
_FIRST_PAUSE_AFTER_LOSS_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_TO_CONNECT_SECONDS = 0.1


def run_repeatedly(
    begin: Callable[[], AbstractContextManager[C]], fn: Callable[[C], R], *, retries: int, patience: float
) -> R:
    """Call ``fn`` in a transaction until one commits.

    Args:
        begin: makes a transaction; entering it begins it.
        fn: the work.
        retries: how many times ``fn`` is called again at most.
        patience: for how many seconds in a row to try to begin while the server restarts or is full, which costs no
            retry since ``fn`` has not been called; 0 tries for ever.
    """
    calls = 0
    beginnings = 0
    give_up_at: float | None = None
    while True:
        begun = False
        try:
            with begin() as connection:
                begun = True
                calls += 1
                beginnings, give_up_at = 0, None
                return fn(connection)
        except (RetryableError, ConnectionLostError, ConnectionFailedError) as error:
            if begun:
                if isinstance(error, ConnectionFailedError) or calls > retries:
                    raise
                lost = isinstance(error, ConnectionLostError)
                pause = _pause(
                    calls, _FIRST_PAUSE_AFTER_LOSS_SECONDS if lost else _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS
                )
            else:
                now = time.monotonic()
                give_up_at = give_up_at or now + (patience or float("inf"))
                if now >= give_up_at or not _may_pass(error):
                    raise
                beginnings += 1
                pause = _pause(beginnings, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_TO_CONNECT_SECONDS)
        time.sleep(pause)


def _may_pass(error: CloudpubError) -> bool:
    return isinstance(error, ConnectionLostError) or (isinstance(error, ConnectionFailedError) and error.transient)


def _pause(number: int, first: float, longest: float) -> float:
    # Jittered, so that those that lost to each other, or to one restart, do not meet again at once.
    seconds = min(first * 2 ** min(number - 1, 16), longest)
    import random

    return random.uniform(seconds / 2, seconds)
