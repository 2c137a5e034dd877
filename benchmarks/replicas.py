"""``python -m benchmarks.replicas PRIMARY REPLICA``: what it costs a read to be sent to a replica that may answer it.

The same lookups on the same standby: by a database that knows nothing else, and by one that chooses where to read. The
two URLs are those of a primary, in whose tables a user is made, and of its standby.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from benchmarks.measuring import Contestant, Measurement, measure
from cloudpub_models import Database, Managers


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print what was found, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas", description=__doc__)
    parser.add_argument("primary")
    parser.add_argument("replica")
    parser.add_argument("--rounds", type=int, default=400)
    options = parser.parse_args(arguments)
    measured = cost_of_choosing(options.primary, options.replica, options.rounds)
    plain = (measured.control_seconds + measured.control_again_seconds) / 2
    void = "" if measured.valid else " (void)"
    print(
        f"find_by_id, {plain * 1e6:.1f} µs on the replica alone: {(measured.library_seconds - plain) * 1e6:+.1f} µs, "
        f"{measured.ratio:.2f} times as long{void}"
    )
    return 0


def cost_of_choosing(primary: str, replica: str, rounds: int) -> Measurement:
    """Measure lookups by one database with a replica against lookups on the replica itself."""
    choosing = Database(primary, replicas=[replica])
    alone = [Database(replica) for _ in range(2)]
    try:
        user = Managers(choosing).users.insert({"email": f"{uuid4().hex}@example.com", "password_hash": "x"})
        _wait_for_replica(choosing)
        control, again, library = [
            Contestant(Managers(database).users.find_by_id, itertools.repeat(user.id))
            for database in (*alone, choosing)
        ]
        return measure(control, again, library, rounds, 3, lambda: None)
    finally:
        for database in (choosing, *alone):
            database.close()


def _wait_for_replica(database: Database) -> None:
    deadline = time.monotonic() + 30

    def reads() -> Any:
        Managers(database).users.count()
        return database.replicas()[0].reads

    while not reads():
        if time.monotonic() > deadline:
            raise SystemExit(f"expected a replica that answers; got {database.replicas()[0]}")
        time.sleep(0.01)


if __name__ == "__main__":
    raise SystemExit(main())
