"""Waiting for what happens, not for a number of seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

# Longer than anything takes that happens at all, however slow the machine.
LONG_ENOUGH = 60.0


def wait_until(condition: Callable[[], object]) -> None:
    """Return once ``condition()`` holds; fail where it never does."""
    deadline = time.monotonic() + LONG_ENOUGH
    while not condition():
        assert time.monotonic() < deadline, f"expected {condition} within {LONG_ENOUGH:.0f} s"
        time.sleep(0.01)
