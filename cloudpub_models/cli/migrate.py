"""``cloudpub migrate``: bring a database's schema forward, back, and compare it with the models.

It parses and prints; the work is in ``schema``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import peewee
import typer
from rich.console import Console

from cloudpub_models.cli.boundary import print_error
from cloudpub_models.cli.tables import table_of_rows
from cloudpub_models.cli.targets import DatabaseOption, DirectoryOption, Target, open_target, target_of
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.schema.drift import Difference, find_drift
from cloudpub_models.schema.migrations import Migrator

PENDING_EXIT_CODE = 3

migrate = typer.Typer(
    name="migrate",
    invoke_without_command=True,
    help="Create and change the schema. Without a subcommand: up.",
    epilog="Example: cloudpub migrate --database sqlite:///cloudpub.db",
)


@migrate.callback()
def shared(context: typer.Context, database: DatabaseOption = None, directory: DirectoryOption = None) -> None:
    """Remember the options for the subcommand, or go up where there is none."""
    context.obj = target_of(context, database, directory)
    if context.invoked_subcommand is None:
        _apply(context.obj, None)


@migrate.command(epilog="Example: cloudpub migrate up 0001_initial")
def up(
    context: typer.Context,
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="The last migration to apply; all if left out.")
    ] = None,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Apply the migrations that are pending."""
    _apply(target_of(context, database, directory), target)


@migrate.command(epilog="Example: cloudpub migrate down")
def down(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="Revert all back through this migration; only the last if left out."),
    ] = None,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Revert the migration applied last. What it created is dropped, with the data in it."""
    named = target_of(context, database, directory)
    console = Console()
    with open_target(named, console, creates=False) as opened:
        _report(console, "reverted", Migrator(opened.engine, named.directory).down(target), "nothing to revert")


@migrate.command(epilog="Example: cloudpub migrate status --exit-code")
def status(
    context: typer.Context,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help=f"Exit with {PENDING_EXIT_CODE} when migrations are pending.")
    ] = False,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """List the migrations, and when each was applied.

    Exit code: 0, also when some are pending (see --exit-code); 1 when files and database do not agree: a migration was
    changed after it had been applied, its file is gone, or it comes late.
    """
    named = target_of(context, database, directory)
    console = Console()
    with open_target(named, console, creates=False) as opened:
        migrations = Migrator(opened.engine, named.directory).status()
    rows = [
        {"migration": known.name, "state": known.state, "applied at (UTC)": known.applied_at or ""}
        for known in migrations
    ]
    console.print(table_of_rows(rows, console, most_rows=None))
    broken = [known.name for known in migrations if known.state in ("edited", "missing", "late")]
    pending = [known.name for known in migrations if known.state == "pending"]
    if broken:
        print_error(f"{', '.join(broken)}: files and database do not agree; 'cloudpub migrate up' says what to do")
        raise typer.Exit(1)
    if pending and exit_code:
        raise typer.Exit(PENDING_EXIT_CODE)


@migrate.command(epilog="Example: cloudpub migrate new add user locale")
def new(
    context: typer.Context,
    name: Annotated[list[str], typer.Argument(metavar="NAME...", help="What the migration does, in a few words.")],
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Write the skeleton of the next migration, with the next free number. No database is needed."""
    named = target_of(context, database, directory)
    # Numbers come from the files, so the database is only a form to fill.
    migrator = Migrator(peewee.SqliteDatabase(":memory:"), named.directory)
    if named.directory is None and not (migrator.directory.parent / "pyproject.toml").exists():
        print_error("the platform's migrations are written in a checkout of this package: run this there")
        raise typer.Exit(1)
    print(_short(migrator.new(" ".join(name))))


@migrate.command(epilog="Example: cloudpub migrate check --database postgresql://localhost/cloud")
def check(context: typer.Context, database: DatabaseOption = None, directory: DirectoryOption = None) -> None:
    """Compare the database with the models: columns, types, defaults, indexes, keys, checks, triggers.

    Exit code: 0 when they agree, 1 when they do not.
    """
    named = target_of(context, database, directory)
    console = Console()
    with open_target(named, console, creates=False) as opened:
        differences = find_drift(opened.engine)
    if not differences:
        console.print("no drift: the database is what the models say")
        return
    if [difference.kind for difference in differences] == ["table"] * len(ALL_MODELS):
        console.print("none of the platform's tables is there: 'cloudpub migrate up' makes them")
    else:
        _print_differences(console, differences)
    raise typer.Exit(1)


@migrate.command(epilog="Example: cloudpub migrate adopt --database postgresql://localhost/cloud")
def adopt(context: typer.Context, database: DatabaseOption = None, directory: DirectoryOption = None) -> None:
    """Take over a database whose tables another backend has made.

    It records the first migration as applied and prints what is missing, with the statements that would add it; it
    runs none of them. It refuses missing tables or columns, and types that do not fit.

    Exit code: 0 when adopted, 1 when refused.
    """
    named = target_of(context, database, directory)
    console = Console()
    with open_target(named, console, creates=False) as opened:
        report = Migrator(opened.engine, named.directory).adopt()
    if report.recorded is None:
        console.print("this database had been adopted or migrated before")
    else:
        console.print(f"adopted: {report.recorded} is recorded as applied", highlight=False)
    if report.differences:
        _print_differences(console, report.differences)
    else:
        console.print("nothing is missing")


def _apply(named: Target, target: str | None) -> None:
    console = Console()
    with open_target(named, console, creates=True) as opened:
        applied = Migrator(opened.engine, named.directory).up(target)
        _report(console, "applied", applied, "nothing to apply: the database is up to date")


def _report(console: Console, verb: str, names: Iterable[str], otherwise: str) -> None:
    lines = [f"{verb} {name}" for name in names] or [otherwise]
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _print_differences(console: Console, differences: Iterable[Difference]) -> None:
    listed = list(differences)
    rows = [
        {
            "table": difference.table,
            "what": f"{difference.kind} {difference.subject}".strip(),
            "expected": difference.expected,
            "found": difference.found,
        }
        for difference in listed
    ]
    console.print(f"{len(listed)} difference{'s' if len(listed) > 1 else ''} between the database and the models:")
    console.print(table_of_rows(rows, console, most_rows=None, wrap=True))
    statements = dict.fromkeys(statement for difference in listed for statement in difference.statements)
    if statements:
        console.print("\nThese statements would mend what statements can; read them before running any:\n")
        for statement in statements:
            # Unwrapped, since they are there to be copied.
            console.print(f"{statement.rstrip().rstrip(';')};", soft_wrap=True, markup=False, highlight=False)
    unmended = [difference for difference in listed if not difference.statements]
    if unmended:
        console.print(f"\nNo single statement mends {len(unmended)} of them:\n")
        for difference in unmended:
            console.print(f"  {difference.description}", soft_wrap=True, markup=False, highlight=False)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
