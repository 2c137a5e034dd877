"""How far a process's own reads must see: behind all that it has written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from cloudpub_models.connection.postgresql.log_positions import Position

# Reads so soon after a write go to the primary, rather than ask it for its position first.
_SOON_SECONDS = 0.02


class Floor:
    """What has been written, and how far the log had come afterwards.

    No count of writes is kept, and no flag that is cleared: between a write and the primary's answer others write and
    ask as well. Each write has a mark of its own, and an answer is worth something for the mark from before the asking.
    """

    def __init__(self) -> None:
        self._last_write: object = None
        self._written_at = 0.0
        self._known: tuple[object, Position | None] = (None, None)

    def wrote(self) -> None:
        """Take note of a write that has just come to its end, whatever that was."""
        self._written_at = time.monotonic()
        self._last_write = object()

    def position(self, now: float, ask: Callable[[], Position]) -> Position | Literal["unknown"] | None:
        """Return behind what a read must be answered; ``None`` where nothing was written.

        Args:
            now: the time on the monotonic clock.
            ask: asks the primary how far its log has come.
        """
        mark, known = self._last_write, self._known
        if known[0] is mark:
            return known[1]
        if now - self._written_at < _SOON_SECONDS:
            return "unknown"
        return self.asked(ask)

    def asked(self, ask: Callable[[], Position]) -> Position | None:
        """Return the same, however soon after the write."""
        mark = self._last_write
        if self._known[0] is not mark:
            self._known = (mark, ask())
        return self._known[1]


class ThreadFloor(threading.local, Floor):
    """A floor of each thread's own."""
