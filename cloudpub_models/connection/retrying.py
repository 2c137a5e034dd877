"""Running a transaction again from its start: after which errors, how often, and with what pauses.

What the work is, and how a transaction begins and ends, is not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from cloudpub_models.errors import (
    CloudpubError,
    ConnectionFailedError,
    ConnectionLostError,
    ReadOnlyServerError,
    RetryableError,
)

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
        patience: for how many seconds in a row to go on trying while the server restarts, is full or takes no writes,
            which costs no retry since it does not depend on ``fn``; what an attempt waits for a server that is silent
            is a part of them; 0 tries for ever.
    """
    calls = 0
    waits = 0
    give_up_at: float | None = None
    while True:
        begun = False
        try:
            with begin() as connection:
                begun = True
                return fn(connection)
        except (RetryableError, ConnectionLostError, ConnectionFailedError) as error:
            if begun and not isinstance(error, ReadOnlyServerError):
                calls += 1
                if isinstance(error, ConnectionFailedError) or calls > retries or not _may_pass(error):
                    raise
                waits, give_up_at = 0, None
                lost = isinstance(error, ConnectionLostError)
                pause = _pause(
                    calls, _FIRST_PAUSE_AFTER_LOSS_SECONDS if lost else _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS
                )
            else:
                now = time.monotonic()
                silent = error.silent_seconds if isinstance(error, ConnectionFailedError) else 0.0
                # An answer has been waited for already, and would be once more for as long.
                give_up_at = give_up_at or now - silent + (patience or float("inf"))
                if now + silent >= give_up_at or not _may_pass(error):
                    raise
                waits += 1
                # Work that has been begun takes more of a server than a connection does.
                longest = _LONGEST_PAUSE_SECONDS if begun else _LONGEST_PAUSE_TO_CONNECT_SECONDS
                pause = _pause(waits, _FIRST_PAUSE_SECONDS, longest)
        time.sleep(pause)


def _may_pass(error: CloudpubError) -> bool:
    return isinstance(error, RetryableError) or (
        isinstance(error, ConnectionLostError | ConnectionFailedError) and error.transient
    )


def _pause(number: int, first: float, longest: float) -> float:
    # Jittered, so that those that lost to each other, or to one restart, do not meet again at once.
    seconds = min(first * 2 ** min(number - 1, 16), longest)
    import random

    return random.uniform(seconds / 2, seconds)
