"""What archiving takes: bytes and time of a processor for each row, from either database.

python -m benchmarks.archiving --rows 20000
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloudpub_models import Database, Managers
from cloudpub_models.testing.postgresql import postgresql_server

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_DAYS = 90
_FUNCTIONS = 50


def measure(url: str, rows: int, directory: Path) -> tuple[float, float, float]:
    """Return bytes and microseconds for each row that is moved, and milliseconds for the statistics of a function."""
    database = Database(url)
    database.migrate()
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    functions = [managers.functions.insert({"user_id": ada.id, "name": f"f{number}"}) for number in range(_FUNCTIONS)]
    managers.function_invocations.batch_insert(
        {
            "function_id": functions[number % _FUNCTIONS].id,
            "status": "success" if number % 10 else "failed",
            "duration_ms": number * 7919 % 900,
            "error": None if number % 10 else "out of memory",
            "timestamp": _BEGIN + timedelta(days=_DAYS) * (number / rows),
        }
        for number in range(rows)
    )
    archive = managers.archive(directory)
    begun = time.process_time()
    moved = sum(month.deleted for month in archive.move("function_invocations", _BEGIN + timedelta(days=_DAYS)))
    seconds = time.process_time() - begun
    size = sum(path.stat().st_size for path in directory.glob("*.parquet"))
    begun = time.process_time()
    archive.stats(functions[0])
    asked = time.process_time() - begun
    database.close()
    return size / moved, seconds / moved * 1e6, asked * 1e3


def main() -> None:
    """Measure, and print a line for each database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    rows = parser.parse_args().rows
    with postgresql_server() as server, tempfile.TemporaryDirectory() as place:
        for name, url in (("sqlite", "sqlite:///:memory:"), ("postgresql", server)):
            size, moving, asking = measure(url, rows, Path(place) / name)
            print(f"{name}: {size:.1f} bytes and {moving:.0f} µs a row; statistics of a function {asking:.0f} ms")


if __name__ == "__main__":
    main()
