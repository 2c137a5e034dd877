"""``python -m benchmarks.searching``: what searches for words take among many log lines, without an index and with it.

Half of the lines are one function's. A rare word is in one of them, a frequent one in most, and one is in none.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from benchmarks.databases import Dialect, postgresql_database, sqlite_database
from benchmarks.measuring import first_quartile
from cloudpub_models import Database, Function, FunctionLog, Managers
from cloudpub_models.schema.search_index import switch_on

_TEXT = (
    "nova api compute wsgi server req GET status 200 len time out of memory worker ERROR request handled instance "
    "spawned network port"
)
_SEARCHES = {"rare": "pineapple", "frequent": "worker", "in no line": "banana", "beginning": "pinea*"}
# As a part of those that are there.
_MORE_LINES = 1 / 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searching", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--lines", type=int, default=200_000, help="how many log lines there are")
    parser.add_argument("--database", choices=("postgresql", "sqlite", "both"), default="both")
    options = parser.parse_args(arguments)
    kinds: tuple[Dialect, ...] = ("postgresql", "sqlite") if options.database == "both" else (options.database,)
    columns = {kind: measured(kind, options.rounds, options.lines) for kind in kinds}
    print("| | " + " | ".join(f"{kind} | with the index" for kind in kinds) + " |\n|---|" + "---:|" * 2 * len(kinds))
    for name in columns[kinds[0]]:
        print(f"| {name} | " + " | ".join(" | ".join(columns[kind][name]) for kind in kinds) + " |")
    return 0


def measured(kind: Dialect, rounds: int, count: int) -> dict[str, list[str]]:
    """Return what searches and writes take on one kind of database, without an index and with it."""
    with ExitStack() as opened:
        target = opened.enter_context(sqlite_database() if kind == "sqlite" else postgresql_database(None, "off"))
        database = Database(target.url)
        opened.callback(database.close)
        managers = Managers(database)
        ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        functions = managers.functions.batch_insert(
            [{"user_id": ada.id, "name": f"f{number}"} for number in range(10)], returning=True
        )
        managers.function_logs.batch_insert(lines(functions, count))
        database.raw_execute("ANALYZE")
        found: dict[str, list[str]] = {}
        for state in ("without", "with"):
            if state == "with":
                started = time.perf_counter()
                switch_on(database.engine, [FunctionLog])
                found["making the index"] = ["–", f"{time.perf_counter() - started:.1f} s"]
            for name, typed in _SEARCHES.items():
                for where, narrowed in (("one function", {"function": functions[0]}), ("all", {"since": timedelta(2)})):
                    taken = seconds(lambda: managers.function_logs.search(typed, **narrowed), rounds)  # noqa: B023
                    found.setdefault(f"a word, {name}: {where}", []).append(f"{taken * 1e3:.1f} ms")
            more = int(count * _MORE_LINES)
            started = time.perf_counter()
            managers.function_logs.batch_insert(lines(functions, more))
            a_line = (time.perf_counter() - started) / more
            found.setdefault("`batch_insert`, a line", []).append(f"{a_line * 1e6:.0f} µs")
        return found


def lines(functions: Sequence[Function], count: int) -> Iterator[dict[str, object]]:
    """Yield log lines as platforms write them, a millisecond apart, half of them the first function's."""
    chance, vocabulary = random.Random(count), _TEXT.split()
    first = datetime.now(UTC) - timedelta(days=1)
    for number in range(count):
        words = " ".join(chance.choices(vocabulary, k=14))
        yield {
            "function_id": functions[0 if number % 2 else 1 + number // 2 % (len(functions) - 1)].id,
            "level": "info",
            "message": f"{words} req-{chance.getrandbits(64):016x}{' pineapple' * (number == count // 2 + 1)}",
            "timestamp": first + timedelta(milliseconds=number),
        }


def seconds(call: Callable[[], object], rounds: int) -> float:
    """Return what a call takes, in the first quartile of many."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return first_quartile(taken)


if __name__ == "__main__":
    raise SystemExit(main())
