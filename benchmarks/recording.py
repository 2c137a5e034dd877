"""``python -m benchmarks.recording``: what writes take where changes are recorded, as ratios to where they never were.

The same writes are measured where recording was switched on and off again, so that the log is there and nothing comes
into it: that should cost nothing. The databases are of one kind, on one server or disk, and are written in turn in one
run. What counts is the processor time of this process and of the server's for its session (Linux), which waits for
nobody. Where two databases that have never recorded differ by more than 2 %, the measurement is void.

With ``--writers`` so many threads commit at once to PostgreSQL, which waits for the disk; what counts then is how many
commits a second there are, by turns where the log is off and where it is on.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.databases import Dialect, postgresql_database, session_clock
from benchmarks.measuring import Contestant, measure
from benchmarks.side_by_side import options_of, show, three_databases
from cloudpub_models import ALL_ROWS, Database, Managers, operators

# Of the functions that there are to delete: so many are in a batch, and so many go at once.
_IN_A_BATCH, _AT_ONCE = 1 / 8, 1 / 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    parser = options_of("recording", __doc__, rounds=60)
    parser.add_argument("--rows", type=int, default=40_000, help="how many functions there are to delete")
    parser.add_argument("--writers", type=int, default=0, help="how many commit at once")
    options = parser.parse_args(arguments)
    if options.writers:
        ratio = commits(options.writers, options.rounds)
        print(f"commits a second where the log is on, times those where it is off: {ratio:.2f}")
        return 0
    show(options.database, lambda kind: ratios(kind, options.rounds, options.rows))
    return 0


def ratios(kind: Dialect, rounds: int, rows: int) -> dict[str, str]:
    """Return how many times longer operations take on one kind of database with the log, and with it off again."""
    return _ratios(kind, OPERATIONS, rounds, rows) | _ratios(kind, WRITES, rounds, rows, is_off_again=True)


def _ratios(
    kind: Dialect, operations: Mapping[str, Operate], rounds: int, rows: int, *, is_off_again: bool = False
) -> dict[str, str]:
    found = {}
    with three_databases(kind) as databases, ExitStack() as opened:
        databases[-1].history.enable()
        if is_off_again:
            databases[-1].history.disable()
        for database in databases:
            opened.enter_context(database.session())
        clocks = [session_clock(database) for database in databases]
        for name, operation in operations.items():
            control, again, recorded = [
                Contestant(*operation(Managers(database), rows), clock)
                for database, clock in zip(databases, clocks, strict=True)
            ]
            of_many = name in ("batch_insert", "delete")
            # Once more in vain would be one more round than were asked for.
            attempts = min(rounds, 3)
            measured = measure(control, again, recorded, min(rounds, 6) if of_many else rounds, attempts, lambda: None)
            found[f"`{name}`{', off again' if is_off_again else ''}"] = (
                f"{measured.ratio:.2f}{'' if measured.valid else ' (void)'}"
            )
            for database in databases:
                Managers(database).users.delete(ALL_ROWS)
    return found


def commits(writers: int, rounds: int) -> float:
    """Return how many commits of PostgreSQL there are where the log is on, as a multiple of those where it is off."""
    ratios = []
    with ExitStack() as opened:
        first = opened.enter_context(postgresql_database(None, "on"))
        targets = [first, opened.enter_context(postgresql_database(first.target, "on"))]
        databases = [Database(target.url, max_connections=writers) for target in targets]
        for database in databases:
            opened.callback(database.close)
        databases[-1].history.enable()
        ids = [_functions(Managers(database), writers) for database in databases]
        for _ in range(rounds):
            off, on = (
                _commits_of_a_second(Managers(each), of_each) for each, of_each in zip(databases, ids, strict=True)
            )
            ratios.append(on / off)
    return statistics.median(ratios)


def _commits_of_a_second(managers: Managers, ids: Sequence[int]) -> int:
    """Have a thread for each of some functions give it one name after the other, and return how often all have."""
    counts = [0] * len(ids)
    ends = time.monotonic() + 1

    def write(place: int) -> None:
        with managers.users.database.session():
            while time.monotonic() < ends:
                managers.functions.update_by_id(ids[place], {"name": f"{place}: {counts[place]}"})
                counts[place] += 1

    threads = [threading.Thread(target=write, args=(place,)) for place in range(len(ids))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


Operation = tuple[Callable[[Any], Any], Iterator[Any]]
Operate = Callable[[Managers, int], Operation]


def insert(managers: Managers, _: int) -> Operation:
    """One user."""
    numbers = itertools.count()
    return lambda number: managers.users.insert({"email": f"{number}@example.com", "password_hash": "x"}), numbers


def update_by_id(managers: Managers, _: int) -> Operation:
    """Another name for one function."""
    ids = _functions(managers)
    names = itertools.count()
    return lambda id: managers.functions.update_by_id(id, {"name": f"g{next(names)}"}), itertools.cycle(ids)


def delete_by_id(managers: Managers, rows: int) -> Operation:
    """One function of many."""
    return managers.functions.delete_by_id, iter(_functions(managers, rows))


def batch_insert(managers: Managers, rows: int) -> Operation:
    """Five thousand functions, where there are as many as usual."""
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    numbers, batch = itertools.count(), int(rows * _IN_A_BATCH)

    def write(_: Any) -> int:
        return managers.functions.batch_insert(
            {"user_id": user.id, "name": f"f{next(numbers)}", "status": "active"} for _ in range(batch)
        )

    return write, itertools.repeat(None)


def delete(managers: Managers, rows: int) -> Operation:
    """A thousand functions at once, of many, where there are as many as usual."""
    ids, size = _functions(managers, rows), int(rows * _AT_ONCE)
    parts = [operators.between(ids[first], ids[first + size - 1]) for first in range(0, len(ids), size)]
    return lambda part: managers.functions.delete({"id": part}), iter(parts)


def lookup(managers: Managers, _: int) -> Operation:
    """One function by its id: reading is not recorded."""
    return managers.functions.find_by_id, itertools.cycle(_functions(managers))


def _functions(managers: Managers, count: int = 500) -> list[int]:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.functions.batch_insert({"user_id": user.id, "name": f"f{number}"} for number in range(count))
    return managers.functions.values("id", {"user_id": user.id}, order_by="id")


WRITES: dict[str, Operate] = {
    "insert": insert,
    "update_by_id": update_by_id,
    "delete_by_id": delete_by_id,
    "batch_insert": batch_insert,
    "delete": delete,
}
OPERATIONS: dict[str, Operate] = {"lookup": lookup, **WRITES}

if __name__ == "__main__":
    raise SystemExit(main())
