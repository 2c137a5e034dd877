"""What a process pays to have the library: time and memory of ``import``, beside a bare interpreter's."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from benchmarks.measuring import first_quartile

TARGET_MILLISECONDS = 70
TARGET_MEGABYTES = 22

IMPORTS = {
    # The package alone loads nothing; these are the names that a program begins with.
    "ours": "from cloudpub_models import Database, Managers",
    "peewee": "import peewee, psycopg2",
    "sqlalchemy": "import sqlalchemy.orm, psycopg2",
    "django": "import django.db.models, psycopg2",
    "pony": "import pony.orm, psycopg2",
}

_SHOW_MEMORY = """
for line in open('/proc/self/status'):
    if line.startswith('VmRSS:'):
        print(line.split()[1])
"""


def measure_process_start(names: list[str], rounds: int) -> dict[str, Any]:
    """Return milliseconds and megabytes over the bare interpreter for each library."""
    programs = {"bare": "pass"} | {name: IMPORTS[name] for name in names if name in IMPORTS}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        # Writes what Python compiles, and fills the disk's cache.
        _run(program)
    for _ in range(rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            _run(program)
            seconds[name].append(time.perf_counter() - start)
    kilobytes = {name: int(_run(program + "\n" + _SHOW_MEMORY)) for name, program in programs.items()}
    bare = first_quartile(seconds["bare"])
    return {
        name: {
            "milliseconds": (first_quartile(seconds[name]) - bare) * 1000,
            "megabytes": (kilobytes[name] - kilobytes["bare"]) / 1024,
        }
        for name in programs
        if name != "bare"
    }


def _run(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
