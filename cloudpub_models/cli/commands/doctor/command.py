"""``cloudpub doctor``: whether a database is fit for work, and what to do where it is not.

It runs the checks, in their order, and shows what they find.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloudpub_models.cli.boundary import FAILED
from cloudpub_models.cli.commands.doctor import tables
from cloudpub_models.cli.commands.doctor.verdicts import Check, Level, Verdict, notice, ok
from cloudpub_models.cli.given.options import JsonOption, repeatable
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.terminal import data_console, print_note
from cloudpub_models.component import Component
from cloudpub_models.connection import Database
from cloudpub_models.connection.environment import REPLICAS_VARIABLE, URL_VARIABLE
from cloudpub_models.errors import CloudpubError
from cloudpub_models.sql.identifiers import printable

# A round trip that takes longer makes every statement slow, whatever the database does.
_SLOW_ROUND_TRIP_SECONDS = 0.02
_STYLES = {Level.OK: "green", Level.NOTICE: "cyan", Level.WARNING: "yellow", Level.ERROR: "bold red"}
ReplicaOption = Annotated[
    list[str] | None,
    repeatable(
        "--replica",
        "URL",
        f"A read replica, to be examined too; may be repeated. Else, beside ${URL_VARIABLE}, ${REPLICAS_VARIABLE}.",
    ),
]


@takes_target(scripts=True)
def doctor(target: Target, replica: ReplicaOption = None, as_json: JsonOption = False) -> None:
    """Examine a database: connection, versions, migrations, drift, indexes, limits, time zone, encoding, the file.

    Each finding says what to do. Nothing is changed. A large SQLite file takes a while, since all of it is read.

    Exit code: 0; 1 when something is an error.
    """
    # What it looks at is the tables, on main too, where those of history have no rows.
    with target.opened(replicas=replica or target.replicas) as database, database.engine.with_all_tables():
        found = list(examine(database, target.meant))
        url = database.url
    if as_json:
        listed = [{"check": check, **verdict._asdict()} for check, verdict in found]
        print_document({"database": url, "findings": listed})
    else:
        _print(found, data_console())
    counts = Counter(verdict.level for _, verdict in found)
    print_note(", ".join(_counted(counts[level], level) for level in reversed(Level) if counts[level]))
    if counts[Level.ERROR]:
        raise typer.Exit(FAILED)


def examine(database: Database, scripts: Iterable[Component]) -> Iterator[tuple[str, Verdict]]:
    """Yield what there is to say about a database, check by check; nothing is changed.

    Args:
        database: the database.
        scripts: the components whose migrations are compared with what was applied.

    Returns:
        pairs of what was looked at and what was found.
    """
    try:
        yield "connection", _connection(database)
    except CloudpubError as failure:
        yield "connection", Verdict(Level.ERROR, str(failure))
        return
    for name, check in _checks(database, scripts):
        try:
            for verdict in check(database):
                yield name, verdict
        except CloudpubError as failure:
            yield name, Verdict(Level.WARNING, f"could not be examined: {failure}")


def _checks(database: Database, scripts: Iterable[Component]) -> Iterator[Check]:
    own = import_module(f"{__package__}.{database.dialect}")
    yield "versions", own.versions
    yield "components", tables.components
    yield "migrations", partial(tables.migrations, components=scripts)
    yield from (*tables.CHECKS, *own.CHECKS)


def _connection(database: Database) -> Verdict:
    with database.session():
        database.ping()
        started = time.perf_counter()
        database.ping()
        seconds = time.perf_counter() - started
    milliseconds = f"{seconds * 1000:.1f}" if seconds >= 0.0001 else "under 0.1"
    message = f"answers; a round trip takes {milliseconds} ms"
    if seconds > _SLOW_ROUND_TRIP_SECONDS:
        return notice(message, "every statement waits for that: run workers near the server")
    return ok(message)


def _print(found: Sequence[tuple[str, Verdict]], console: Console) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    before = None
    for check, verdict in found:
        text = Text(printable(verdict.message))
        if verdict.advice:
            text.append(f"\n→ {printable(verdict.advice)}", style="cyan")
        table.add_row(Text(verdict.level, style=_STYLES[verdict.level]), check if check != before else "", text)
        before = check
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        print(line.rstrip())


def _counted(number: int, level: Level) -> str:
    return f"{number} {level}{'s' if number > 1 and level is not Level.OK else ''}"
