"""``python -m benchmarks.replicas``: what it costs a read to be sent to a replica, and what a replica gains.

The same lookups on the same standby: by a database that knows nothing else, and by one that chooses where to read. Then
reads that the primary answers alone, and such that the two servers share. What counts is processor time, so that it
matters little what else the machine does. The servers are started for it, unless the URLs of a primary, in whose tables
users are made, and of its standby are given; those have to be on this machine, which is a Linux.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.databases import BenchmarkDatabase, primary_and_standby
from benchmarks.measuring import Contestant, Measurement, measure, processor_clock, server_clock
from cloudpub_models import Database, Managers

_ROWS = 200
_READS_A_ROUND = 100
# A connection prepares its lookups when it is that old, and some more of them have found their rows.
_SECONDS_OF_WARMING = 1.5
_LARGEST_DEVIATION = 0.05

Read = Callable[[], object]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print what was found, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas", description=__doc__)
    parser.add_argument("urls", nargs="*", metavar="PRIMARY REPLICA")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args(arguments)
    if len(options.urls) not in (0, 2):
        parser.error(f"expected the URLs of a primary and of its standby, or none; got {len(options.urls)}")
    with (
        nullcontext(options.urls) if options.urls else primary_and_standby() as (primary, replica),
        apart_from(primary, replica),
    ):
        measured = cost_of_choosing(primary, replica, options.rounds)
        plain = (measured.control_seconds + measured.control_again_seconds) / 2
        print(
            f"find_by_id, {plain * 1e6:.1f} µs on the replica alone: {(measured.library_seconds - plain) * 1e6:+.1f} "
            f"µs, {measured.ratio:.2f} times as long{'' if measured.valid else ' (void)'}"
        )
        for read, gain in gains_of_sharing(primary, replica, options.rounds).items():
            print(
                f"{read}: {gain.reads:.2f} times the reads; one takes the primary {gain.on_primary:.2f}, the replica "
                f"{gain.on_replica:.2f} of what it takes the primary alone{'' if gain.valid else ' (void)'}"
            )
    return 0


@contextmanager
def apart_from(*urls: str) -> Iterator[None]:
    """Run the sessions that servers begin in a block on one core, and this thread on another, where they let us.

    Only one session computes at any time. On cores of their own some would find less in the caches than others, or
    share theirs with other programs; beside this thread, less the more it does.
    """
    cores = os.sched_getaffinity(0)
    servers = [BenchmarkDatabase("postgresql", url) for url in urls]

    def run_on(own: set[int], of_servers: set[int]) -> None:
        os.sched_setaffinity(0, own)
        for server in servers:
            server.pin_server(of_servers)

    run_on({max(cores)}, {min(cores)})
    try:
        yield
    finally:
        run_on(cores, cores)


@dataclass(frozen=True)
class Gain:
    """What two servers give that share the reads evenly, and may use as much processor time each as the primary alone.

    Attributes:
        on_primary: what a read takes the primary, as a multiple of what it takes the primary alone.
        on_replica: what a read takes the replica, likewise.
        control: what it takes the primary alone once more, likewise.
    """

    on_primary: float
    on_replica: float
    control: float

    @property
    def reads(self) -> float:
        """How many times the reads of the primary alone are answered, until the busier one has used up its time."""
        return 2 / max(self.on_primary, self.on_replica)

    @property
    def valid(self) -> bool:
        """Whether the two measurements of the primary alone agree."""
        return abs(self.control - 1) <= _LARGEST_DEVIATION


def cost_of_choosing(primary: str, replica: str, rounds: int) -> Measurement:
    """Measure lookups by one database with a replica against lookups on the replica itself, in processor time.

    That of this thread counts, and that of both servers.
    """
    choosing = Database(primary, replicas=[replica])
    alone = [Database(replica) for _ in range(2)]
    try:
        user = Managers(choosing).users.insert({"email": f"{uuid4().hex}@example.com", "password_hash": "x"})
        _wait_for_replica(choosing)
        reads = [partial(Managers(database).users.find_by_id, user.id) for database in (*alone, choosing)]
        _warm(reads)
        clock = processor_clock([process for url in (primary, replica) for process in _processes(url)])
        control, again, library = [
            Contestant(Managers(database).users.find_by_id, itertools.repeat(user.id), clock)
            for database in (*alone, choosing)
        ]
        return measure(control, again, library, rounds, 3, lambda: None)
    finally:
        for database in (choosing, *alone):
            database.close()


def gains_of_sharing(primary: str, replica: str, rounds: int) -> dict[str, Gain]:
    """Measure reads that a primary and its replica share against the same reads on the primary alone.

    Those are shared as well, by two of its sessions: a read takes longer where its process does not find in the
    processor's caches what it has left there.
    """
    alone = [[Database(primary) for _ in range(2)] for _ in range(2)]
    sharing = Database(primary, replicas=[replica], primary_share=0.5)
    try:
        rows = [{"email": f"{uuid4().hex}@example.com", "password_hash": "x"} for _ in range(_ROWS)]
        ids = [user.id for user in Managers(sharing).users.batch_insert(rows, returning=True)]
        _wait_for_replica(sharing)
        reads: dict[str, Callable[[Any], object]] = {
            "find_by_id": lambda users: users.find_by_id(ids[0]),
            f"find_all of {_ROWS} rows": lambda users: users.find_all({"id": ids}),
        }
        gains = {}
        for name, read in reads.items():
            of_sessions = [[partial(read, Managers(session).users) for session in pair] for pair in alone]
            shared = partial(read, Managers(sharing).users)
            _warm([*itertools.chain(*of_sessions), shared])
            clocks = [server_clock(_processes(url)) for url in (primary, replica)]
            gains[name] = _gain(of_sessions, shared, lambda: sharing.replicas()[0].reads, clocks, rounds)
        return gains
    finally:
        for database in (*itertools.chain(*alone), sharing):
            database.close()


def _gain(
    alone: Sequence[Sequence[Read]],
    shared: Read,
    reads_of_replica: Callable[[], int],
    clocks: Sequence[Callable[[], float]],
    rounds: int,
) -> Gain:
    """Return the medians of what reads take, each beside those of its own round."""

    def by_two_sessions(sessions: Sequence[Read]) -> float:
        return _spent(lambda: random.choice(sessions)(), clocks[:1])[0]

    found: list[tuple[float, float, float]] = []
    before = reads_of_replica()
    for _ in range(rounds):
        first = by_two_sessions(alone[0])
        on_primary, on_replica = _spent(shared, clocks)
        again = by_two_sessions(alone[1])
        usual = (first + again) / 2
        found.append((on_primary / usual, on_replica / usual, again / first))
    primary, replica, control = [statistics.median(column) for column in zip(*found, strict=True)]
    # Who answers is drawn for each read, so that the two shares are equal only nearly.
    share = (reads_of_replica() - before) / (rounds * _READS_A_ROUND)
    return Gain(primary / (1 - share), replica / share, control)


def _spent(read: Read, clocks: Sequence[Callable[[], float]]) -> list[float]:
    """Return what one round of reads takes, by each clock."""
    before = [clock() for clock in clocks]
    for _ in range(_READS_A_ROUND):
        read()
    return [clock() - start for clock, start in zip(clocks, before, strict=True)]


def _warm(reads: Sequence[Read]) -> None:
    until = time.monotonic() + _SECONDS_OF_WARMING
    while True:
        for read in reads:
            read()
        if time.monotonic() >= until:
            return


def _processes(url: str) -> list[int]:
    """Return the processes of a server: of its sessions, and those that send and replay the log."""
    database = Database(url)
    row = database.raw_query_single("SELECT pg_backend_pid() AS process")
    assert row is not None
    postmaster = _parent(row["process"])
    assert postmaster is not None
    database.close()
    others = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [postmaster, *[other for other in others if other != row["process"] and _parent(other) == postmaster]]


def _parent(process: int) -> int | None:
    """Return the parent of a process; ``None`` where it has ended."""
    with suppress(OSError):
        # The 4th field of proc_pid_stat(5); the 2nd, its name, may have spaces in it.
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[1])
    return None


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
