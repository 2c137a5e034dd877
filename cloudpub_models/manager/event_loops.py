"""A warning, once, for managers that are called where an event loop runs: everything else in it has to wait for them.

Whether one runs, ``send`` asks, so that no function is called to find out.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType

_PACKAGE = __name__.partition(".")[0]
_warned = False


def warn_of_event_loop() -> None:
    """Warn that this thread runs an event loop; the first time only, and not in a notebook.

    A notebook runs its cells in a loop, for which nobody else waits.
    """
    global _warned
    if _warned or "ipykernel" in sys.modules:
        return
    _warned = True
    warnings.warn(
        "expected a thread without an event loop, which waits for the database with all that it runs; got one that has "
        "a loop: call managers by await asyncio.to_thread(…), or in a function that is not async",
        RuntimeWarning,
        stacklevel=_level_of_caller(),
    )


def _level_of_caller() -> int:
    """Return the stack level, for the function that calls this, of the first function outside of this package."""
    level = 0
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    return level + 1
