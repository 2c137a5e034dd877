"""``python -m benchmarks.recording``: what writes take where the log of changes is on, as ratios to where it is off.

Both databases are of one kind, on one server or disk, and are written in turn in one run. What counts is the processor
time of this process and of the server's for its session (Linux), which waits for nobody. Where two databases without a
log differ by more than 2 %, the measurement is void.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.databases import Dialect, session_clock
from benchmarks.measuring import Contestant, measure
from benchmarks.side_by_side import options_of, show, three_databases
from cloudpub_models import ALL_ROWS, Managers, operators

# Of the functions that there are to delete: so many are in a batch, and so many go at once.
_IN_A_BATCH, _AT_ONCE = 1 / 8, 1 / 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    parser = options_of("recording", __doc__, rounds=60)
    parser.add_argument("--rows", type=int, default=40_000, help="how many functions there are to delete")
    options = parser.parse_args(arguments)
    show(options.database, lambda kind: ratios(kind, options.rounds, options.rows))
    return 0


def ratios(kind: Dialect, rounds: int, rows: int) -> dict[str, str]:
    """Return how many times longer each operation takes with the log, on one kind of database."""
    found = {}
    with three_databases(kind) as databases, ExitStack() as opened:
        databases[-1].history.enable()
        for database in databases:
            opened.enter_context(database.session())
        clocks = [session_clock(database) for database in databases]
        for name, operation in OPERATIONS.items():
            control, again, recorded = [
                Contestant(*operation(Managers(database), rows), clock)
                for database, clock in zip(databases, clocks, strict=True)
            ]
            of_many = name in ("batch_insert", "delete")
            measured = measure(control, again, recorded, min(rounds, 6) if of_many else rounds, 3, lambda: None)
            found[f"`{name}`"] = f"{measured.ratio:.2f}{'' if measured.valid else ' (void)'}"
            for database in databases:
                Managers(database).users.delete(ALL_ROWS)
    return found


Operation = tuple[Callable[[Any], Any], Iterator[Any]]


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


OPERATIONS: dict[str, Callable[[Managers, int], Operation]] = {
    "lookup": lookup,
    "insert": insert,
    "update_by_id": update_by_id,
    "delete_by_id": delete_by_id,
    "batch_insert": batch_insert,
    "delete": delete,
}

if __name__ == "__main__":
    raise SystemExit(main())
