"""``python -m benchmarks.replicas PRIMARY REPLICA``: what it costs a read to be sent to a replica, and what that gains.

The same lookups on the same standby: by a database that knows nothing else, and by one that chooses where to read. Then
the processor time that lookups cost the primary alone, and each of the two servers where they share them. The two URLs
are those of a primary, in whose tables a user is made, and of its standby, both on this machine, which is a Linux.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.measuring import Contestant, Measurement, measure
from cloudpub_models import Database, Managers

_READS_A_ROUND, _ROWS = 100, 200


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
    for read, gained in gain_at_equal_shares(options.primary, options.replica, options.rounds).items():
        print(f"{read}, each server with as much processor time: {gained:.2f} times the primary alone")
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


def gain_at_equal_shares(primary: str, replica: str, rounds: int) -> dict[str, float]:
    """Return how many times the reads of the primary alone the two servers answer in as much processor time each.

    What the busier one takes is what limits them; all of a server's processes count, those that send and replay the log
    too.
    """
    databases = Database(primary), Database(primary, replicas=[replica], primary_share=0.5)
    servers = _postmaster(primary), _postmaster(replica)
    try:
        alone, sharing = [Managers(database).users for database in databases]
        rows = [{"email": f"{uuid4().hex}@example.com", "password_hash": "x"} for _ in range(_ROWS)]
        ids = [user.id for user in alone.batch_insert(rows, returning=True)]
        _wait_for_replica(databases[1])
        reads: dict[str, Callable[[Any], object]] = {
            "find_by_id": lambda users: users.find_by_id(ids[0]),
            f"find_all of {_ROWS} rows": lambda users: users.find_all({"id": ids}),
        }
        return {
            name: _gain(partial(read, alone), partial(read, sharing), servers, rounds) for name, read in reads.items()
        }
    finally:
        for database in databases:
            database.close()


def _gain(alone: Callable[[], object], sharing: Callable[[], object], servers: tuple[int, int], rounds: int) -> float:
    spent_alone, spent_sharing = 0, [0, 0]
    for _ in range(rounds):
        before = _ticks(servers[0])
        for _ in range(_READS_A_ROUND):
            alone()
        between = [_ticks(server) for server in servers]
        for _ in range(_READS_A_ROUND):
            sharing()
        spent_alone += between[0] - before
        for number, server in enumerate(servers):
            spent_sharing[number] += _ticks(server) - between[number]
    # A few reads may take less than a tick.
    return spent_alone / max(*spent_sharing, 1)


def _postmaster(url: str) -> int:
    """Return the process of a server that all its others are children of."""
    database = Database(url)
    row = database.raw_query_single("SELECT pg_backend_pid() AS process")
    assert row is not None
    parent = _stat(row["process"])[1]
    database.close()
    return parent


def _ticks(postmaster: int) -> int:
    """Return the processor time of a server's processes, in the kernel's ticks."""
    total = 0
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            stat = _stat(int(path.name))
            # The 14th and the 15th field of proc_pid_stat(5): what it spent in user and in kernel mode.
            total += stat[11] + stat[12] if stat[1] == postmaster else 0
    return total


def _stat(process: int) -> list[int]:
    """Return what follows a process's name in its ``stat``; the state is 0."""
    _, _, rest = Path(f"/proc/{process}/stat").read_text().rpartition(") ")
    return [0, *map(int, rest.split()[1:])]


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
