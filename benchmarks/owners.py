"""``python -m benchmarks.owners``: what an owner's calls take, as multiples of the same calls without an owner.

They are asked of the same rows in one run, in turn: by managers of all rows with the owner as a condition where the
call has none, by the owner's managers, and by these where row security holds the tables as well. What counts is the
processor time of this process and of the server's for its session (Linux), which waits for nobody, and of all rounds
the one in the middle. Where two runs without an owner differ by more than 3 % in it, the measurement is void.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from benchmarks.databases import BenchmarkDatabase, Dialect, postgresql_database, session_clock, sqlite_database
from cloudpub_models import Database, Function, FunctionLog, Managers, User
from cloudpub_models.connection.postgresql.preparation import OFTEN, SECONDS_OF_YOUTH
from cloudpub_models.schema.row_security import switch_on

_USERS, _LINES_OF_EACH = 50, 100
# Few at a turn, so that what else the machine does falls upon all of them alike.
_TURNS, _CALLS = 4, 5
_LARGEST_DEVIATION = 0.03
# Row security holds no superuser, as which the benchmark's server is run.
_ROLE = "cloudpub_benchmark_program"


class Rows(NamedTuple):
    """An owner, and what is asked for of the owner's rows."""

    owner: User
    function: Function
    line: FunctionLog


Call = Callable[[], object]
Clock = Callable[[], float]
Operation = Callable[[Managers, Managers, Rows], tuple[Call, Call]]

OPERATIONS: dict[str, Operation] = {
    "a function by id": lambda every, mine, rows: (
        lambda: every.functions.find_by_id(rows.function.id),
        lambda: mine.functions.find_by_id(rows.function.id),
    ),
    "a log line by id, owned through its function": lambda every, mine, rows: (
        lambda: every.function_logs.find_by_id(rows.line.id),
        lambda: mine.function_logs.find_by_id(rows.line.id),
    ),
    "a log line by UUID": lambda every, mine, rows: (
        lambda: every.function_logs.find_by_uuid(rows.line.uuid),
        lambda: mine.function_logs.find_by_uuid(rows.line.uuid),
    ),
    "the owner's newest functions": lambda every, mine, rows: (
        lambda: every.functions.find_all({"user_id": rows.owner.id}, order_by="-created_at", limit=20),
        lambda: mine.functions.find_all(order_by="-created_at", limit=20),
    ),
    "the last 50 lines of a function": lambda every, mine, rows: (
        lambda: every.function_logs.tail(rows.function, 50),
        lambda: mine.function_logs.tail(rows.function, 50),
    ),
    "count of the owner's functions": lambda every, mine, rows: (
        lambda: every.functions.count({"user_id": rows.owner.id}),
        lambda: mine.functions.count(),
    ),
    "count of a function's lines": lambda every, mine, rows: (
        lambda: every.function_logs.count({"function_id": rows.function.id}),
        lambda: mine.function_logs.count({"function_id": rows.function.id}),
    ),
    "a line appended": lambda every, mine, rows: (
        lambda: every.function_logs.append(rows.function, "info", "…"),
        lambda: mine.function_logs.append(rows.function, "info", "…"),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.owners", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--functions", type=int, default=10, help="how many functions each of 50 users has")
    parser.add_argument("--database", choices=("postgresql", "sqlite", "both"), default="both")
    options = parser.parse_args(arguments)
    kinds: tuple[Dialect, ...] = ("postgresql", "sqlite") if options.database == "both" else (options.database,)
    columns = {
        name: found for kind in kinds for name, found in measured(kind, options.rounds, options.functions).items()
    }
    print("| | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))
    for name in OPERATIONS:
        print(f"| {name} | " + " | ".join(found[name] for found in columns.values()) + " |")
    return 0


def measured(kind: Dialect, rounds: int, functions: int) -> dict[str, dict[str, str]]:
    """Return how many times longer each operation takes with an owner, by the ways to open the database."""
    with ExitStack() as opened:
        if kind == "sqlite":
            database = Database(opened.enter_context(sqlite_database()).url)
            opened.callback(database.close)
            return {"SQLite": _ratios(database, database, _filled(database, functions), rounds)}
        target = opened.enter_context(postgresql_database(None, "off"))
        plain, prepared = Database(target.url), Database(target.url, prepared=True)
        for database in (plain, prepared):
            opened.callback(database.close)
        rows = _filled(plain, functions)
        plain.raw_execute("ANALYZE")
        found = {
            "PostgreSQL": _ratios(plain, plain, rows, rounds),
            "PostgreSQL, prepared": _ratios(prepared, prepared, rows, rounds),
        }
        # Who measures without an owner is a superuser still, whom no policy concerns.
        guarded = _guarded(target, plain)
        opened.callback(guarded.close)
        return found | {"PostgreSQL, row security": _ratios(plain, guarded, rows, rounds)}


def _ratios(without: Database, owned: Database, rows: Rows, rounds: int) -> dict[str, str]:
    every, mine = Managers(without), Managers(owned).owned_by(rows.owner)
    found = {}
    with without.session(), owned.session():
        clocks = {database: session_clock(database) for database in (without, owned)}
        if without.dialect == "postgresql":
            # The connection of a worker is older than those on which no lookup is prepared yet.
            time.sleep(SECONDS_OF_YOUTH)
        for name, operation in OPERATIONS.items():
            plain, of_owner = operation(every, mine, rows)
            ways = [(plain, clocks[without]), (plain, clocks[without]), (of_owner, clocks[owned])]
            each = list(zip(*_seconds(ways, rounds), strict=True))
            # Within a round a busy machine is as busy for all of them.
            ratio = statistics.median([2 * taken / (control + again) for control, again, taken in each])
            deviation = statistics.median([again / control for control, again, _ in each]) - 1
            found[name] = f"{ratio:.2f}{'' if abs(deviation) <= _LARGEST_DEVIATION else ' (void)'}"
    return found


def _seconds(ways: list[tuple[Call, Clock]], rounds: int) -> list[list[float]]:
    """Return what each way takes, round by round, in seconds of processors for some calls."""
    taken: list[list[float]] = [[] for _ in ways]
    order = list(range(len(ways)))
    for call, _ in ways:
        # What is asked for often is prepared.
        for _ in range(2 * OFTEN):
            call()
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        of_round = [0.0 for _ in ways]
        for _ in range(_TURNS):
            random.shuffle(order)
            for number in order:
                call, clock = ways[number]
                call()  # which fills caches again
                started = clock()
                for _ in range(_CALLS):
                    call()
                of_round[number] += clock() - started
        for each, seconds in zip(taken, of_round, strict=True):
            each.append(seconds)
    gc.enable()
    return taken


def _filled(database: Database, functions_of_each: int) -> Rows:
    managers = Managers(database)
    users = managers.users.batch_insert(
        [{"email": f"{number}@example.com", "password_hash": "x"} for number in range(_USERS)], returning=True
    )
    functions = managers.functions.batch_insert(
        [{"user_id": user.id, "name": f"f{number}"} for user in users for number in range(functions_of_each)],
        returning=True,
    )
    managers.function_logs.batch_insert(
        {"function_id": function.id, "level": "info", "message": f"line {number}"}
        for function in functions
        for number in range(_LINES_OF_EACH)
    )
    function = functions[len(functions) // 2]
    owner = managers.users.get_by_id(function.user_id)
    return Rows(owner, function, managers.function_logs.get_one({"function_id": function.id, "message": "line 7"}))


def _guarded(target: BenchmarkDatabase, administration: Database) -> Database:
    """Have a database hold its rows to their owners, and open it as a role that it concerns."""
    administration.raw_execute(f"CREATE ROLE {_ROLE} LOGIN")
    administration.raw_execute(f"GRANT ALL ON SCHEMA public TO {_ROLE}")
    for model in administration.models:
        administration.raw_execute(f"ALTER TABLE {model._meta.table_name} OWNER TO {_ROLE}")
    url = urlunsplit(urlsplit(target.url)._replace(netloc=f"{_ROLE}@"))
    database = Database(url, row_security=True)
    switch_on(database.engine, database.models, User)
    return database


if __name__ == "__main__":
    raise SystemExit(main())
