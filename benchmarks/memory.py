"""How much memory a stream takes beyond what the process holds already."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_FORGET_PEAK = Path("/proc/self/clear_refs")
_WARM_UP_ROWS = 10


def extra_megabytes(consume: Callable[[Any], Any], rows: int) -> float | None:
    """Return by how much the process's resident memory grows at most while it consumes so many rows.

    The kernel's own peak, so that the drivers' buffers count as well; ``None`` where it does not tell.
    """
    consume(_WARM_UP_ROWS)
    gc.collect()
    try:
        # Makes the kernel forget the peak so far (proc_pid_clear_refs(5)).
        _FORGET_PEAK.write_text("5", encoding="ascii")
    except OSError:
        return None
    before = _kilobytes("VmRSS")
    consume(rows)
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(name: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"expected {name} in {_STATUS}")
