"""``python -m benchmarks.recording``: what writes take where the log of changes is on, as ratios to where it is off.

Both databases are of one kind, on one server or disk, and are written in turn in one run. What counts is the processor
time of this process and of the server's for its session (Linux), which waits for nobody. Where two databases without a
log differ by more than 2 %, the measurement is void.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.databases import Dialect, postgresql_database, session_clock, sqlite_database
from benchmarks.measuring import Contestant, measure
from cloudpub_models import ALL_ROWS, Database, Managers, operators

_BATCH = 5_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--database", choices=("postgresql", "sqlite", "both"), default="both")
    options = parser.parse_args(arguments)
    kinds: tuple[Dialect, ...] = ("postgresql", "sqlite") if options.database == "both" else (options.database,)
    columns = {kind: ratios(kind, options.rounds) for kind in kinds}
    print("| | " + " | ".join(kinds) + " |\n|---|" + "---:|" * len(kinds))
    for name in OPERATIONS:
        print(f"| `{name}` | " + " | ".join(columns[kind][name] for kind in kinds) + " |")
    return 0


def ratios(kind: Dialect, rounds: int) -> dict[str, str]:
    """Return how many times longer each operation takes with the log, on one kind of database."""
    found = {}
    with ExitStack() as opened:
        if kind == "sqlite":
            targets = [opened.enter_context(sqlite_database()) for _ in range(3)]
        else:
            first = opened.enter_context(postgresql_database(None, "off"))
            targets = [first, *(opened.enter_context(postgresql_database(first.target, "off")) for _ in range(2))]
        databases = [Database(target.url) for target in targets]
        for database in databases:
            opened.callback(database.close)
        databases[-1].history.enable()
        for database in databases:
            opened.enter_context(database.session())
        clocks = [session_clock(database) for database in databases]
        for name, operation in OPERATIONS.items():
            control, again, recorded = [
                Contestant(*operation(Managers(database)), clock)
                for database, clock in zip(databases, clocks, strict=True)
            ]
            of_many = name in ("batch_insert", "delete")
            measured = measure(control, again, recorded, min(rounds, 6) if of_many else rounds, 3, lambda: None)
            found[name] = f"{measured.ratio:.2f}{'' if measured.valid else ' (void)'}"
            for database in databases:
                Managers(database).users.delete(ALL_ROWS)
    return found


Operation = tuple[Callable[[Any], Any], Iterator[Any]]


def insert(managers: Managers) -> Operation:
    """One user."""
    numbers = itertools.count()
    return lambda number: managers.users.insert({"email": f"{number}@example.com", "password_hash": "x"}), numbers


def update_by_id(managers: Managers) -> Operation:
    """Another name for one function."""
    ids = _functions(managers)
    names = itertools.count()
    return lambda id: managers.functions.update_by_id(id, {"name": f"g{next(names)}"}), itertools.cycle(ids)


def delete_by_id(managers: Managers) -> Operation:
    """One function of many."""
    return managers.functions.delete_by_id, iter(_functions(managers, 30_000))


def batch_insert(managers: Managers) -> Operation:
    """Five thousand functions."""
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    numbers = itertools.count()

    def write(_: Any) -> int:
        return managers.functions.batch_insert(
            {"user_id": user.id, "name": f"f{next(numbers)}", "status": "active"} for _ in range(_BATCH)
        )

    return write, itertools.repeat(None)


def delete(managers: Managers) -> Operation:
    """A thousand functions at once, of many."""
    ids = _functions(managers, 40_000)
    parts = [operators.between(ids[first], ids[first + 999]) for first in range(0, len(ids), 1_000)]
    return lambda part: managers.functions.delete({"id": part}), iter(parts)


def lookup(managers: Managers) -> Operation:
    """One function by its id: reading is not recorded."""
    return managers.functions.find_by_id, itertools.cycle(_functions(managers))


def _functions(managers: Managers, count: int = 500) -> list[int]:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.functions.batch_insert({"user_id": user.id, "name": f"f{number}"} for number in range(count))
    return managers.functions.values("id", {"user_id": user.id}, order_by="id")


OPERATIONS: dict[str, Callable[[Managers], Operation]] = {
    "lookup": lookup,
    "insert": insert,
    "update_by_id": update_by_id,
    "delete_by_id": delete_by_id,
    "batch_insert": batch_insert,
    "delete": delete,
}

if __name__ == "__main__":
    raise SystemExit(main())
