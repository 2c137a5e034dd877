"""What a benchmark finds on either kind of database, side by side in one table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from benchmarks.databases import Dialect, postgresql_database, sqlite_database
from cloudpub_models import Database


def options_of(name: str, about: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return the parser of a benchmark of both kinds of database.

    Args:
        name: of the benchmark's module.
        about: what its ``--help`` says.
        rounds: how many there are when nothing is said.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--database", choices=("postgresql", "sqlite", "both"), default="both")
    return parser


def show(chosen: str, measured: Callable[[Dialect], Mapping[str, str]]) -> None:
    """Measure on the databases that were chosen, and print a table with a column for each."""
    kinds: tuple[Dialect, ...] = ("postgresql", "sqlite")
    columns = {kind: measured(kind) for kind in kinds if chosen in (kind, "both")}
    print("| | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))
    for name in next(iter(columns.values())):
        print(f"| {name} | " + " | ".join(column[name] for column in columns.values()) + " |")


@contextmanager
def three_databases(kind: Dialect, server: str | None = None) -> Iterator[list[Database]]:
    """Yield databases on one server or disk: two to be compared with each other, and one to be compared with them.

    Args:
        kind: which kind of databases.
        server: a PostgreSQL server to use, instead of starting one.
    """
    with ExitStack() as opened:
        if kind == "sqlite":
            targets = [opened.enter_context(sqlite_database()) for _ in range(3)]
        else:
            first = opened.enter_context(postgresql_database(server, "off"))
            targets = [
                first,
                *(opened.enter_context(postgresql_database(server or first.target, "off")) for _ in range(2)),
            ]
        databases = [Database(target.url) for target in targets]
        for database in databases:
            opened.callback(database.close)
        yield databases
