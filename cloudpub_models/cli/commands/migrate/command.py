"""``cloudpub migrate``: bring a database's schema forward, back, and compare it with the models.

It parses and prints; the work is in ``schema``, and what a plan looks like in ``migration_plan``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cloudpub_models.cli.boundary import print_error, print_note
from cloudpub_models.cli.commands.migrate.plan import hazard_line, plan_document, plan_summary, print_plan
from cloudpub_models.cli.given.confirmation import YesOption, require_consent
from cloudpub_models.cli.given.targets import DatabaseOption, DirectoryOption, Target, open_target, target_of
from cloudpub_models.cli.shown.output import JsonOption, print_document, print_table
from cloudpub_models.cli.shown.tables import table_of_rows
from cloudpub_models.component import Component
from cloudpub_models.platform.component import component
from cloudpub_models.schema.catalogue.normal_form import terminated
from cloudpub_models.schema.drift.compare import Difference, find_drift
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.migrations.scripts import Direction, directory_of, write_script
from cloudpub_models.schema.safety.plan import PlannedMigration, plan_migrations
from cloudpub_models.sql.dialects import Dialect

PENDING_EXIT_CODE = 3

PlanOption = Annotated[bool, typer.Option("--plan", help="Show the SQL and what it does to others; change nothing.")]

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
        _run(context.obj, "up", None, yes=False, as_json=False)


@migrate.command(epilog="Example: cloudpub migrate up --plan")
def up(
    context: typer.Context,
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="The last migration to apply; all if left out.")
    ] = None,
    plan: PlanOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Apply the migrations that are pending. It asks before one that drops or deletes.

    With --plan it prints what they would send instead: SQL, with the locks, the rewritten tables and the losses in its
    comments. On PostgreSQL nothing is sent for that but reads; on SQLite they are run on a temporary copy.

    Exit code: 0; 1 for an error, a refusal, or a plan that is incomplete.
    """
    named = target_of(context, database, directory)
    if plan:
        _plan(named, "up", target, as_json=as_json)
    else:
        _run(named, "up", target, yes=yes, as_json=as_json)


@migrate.command(epilog="Example: cloudpub migrate down --plan")
def down(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="Revert all back through this migration; only the last if left out."),
    ] = None,
    plan: PlanOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Revert the migration applied last. It asks before what it created is dropped, with the data in it.

    With --plan it prints what would be sent instead, as 'up' does.

    Exit code: 0; 1 for an error, a refusal, or a plan that is incomplete.
    """
    named = target_of(context, database, directory)
    if plan:
        _plan(named, "down", target, as_json=as_json)
    else:
        _run(named, "down", target, yes=yes, as_json=as_json)


@migrate.command(epilog="Example: cloudpub migrate status --exit-code")
def status(
    context: typer.Context,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help=f"Exit with {PENDING_EXIT_CODE} when migrations are pending.")
    ] = False,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """List the migrations, and when each was applied.

    Exit code: 0, also when some are pending (see --exit-code); 1 when files and database do not agree: a migration was
    changed after it had been applied, its file is gone, or it comes late.
    """
    named = target_of(context, database, directory)
    with open_target(named, creates=False) as opened:
        migrations = Migrator(opened.engine, _component(named)).status()
    if as_json:
        print_document(
            {
                "migrations": [
                    {"name": known.name, "state": known.state, "applied_at": known.applied_at} for known in migrations
                ]
            }
        )
    else:
        rows = [
            {"migration": known.name, "state": known.state, "applied at (UTC)": known.applied_at or ""}
            for known in migrations
        ]
        print_table(rows)
    broken = [known.name for known in migrations if known.is_broken]
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
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Write the skeleton of the next migration, with the next free number. No database is needed."""
    named = target_of(context, database, directory)
    if named.directory is None and not _in_checkout():
        print_error("the platform's migrations are written in a checkout of this package: run this there")
        raise typer.Exit(1)
    path = _short(write_script(_component(named), " ".join(name)))
    if as_json:
        print_document({"path": str(path)})
    else:
        print(path)


@migrate.command(epilog="Example: cloudpub migrate check --database postgresql://localhost/cloud")
def check(
    context: typer.Context,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Compare the database with the models: columns, types, defaults, indexes, keys, checks, triggers.

    Exit code: 0 when they agree, 1 when they do not.
    """
    named = target_of(context, database, directory)
    console = Console()
    with open_target(named, creates=False) as opened:
        differences = find_drift(opened.engine, opened.models)
    if as_json:
        print_document({"differences": [_difference_document(difference) for difference in differences]})
        raise typer.Exit(1 if differences else 0)
    if not differences:
        console.print("no drift: the database is what the models say")
        return
    if [difference.kind for difference in differences] == ["table"] * len(opened.models):
        console.print("none of the platform's tables is there: 'cloudpub migrate up' makes them")
    else:
        _print_differences(console, differences, opened.engine.sql_dialect)
    raise typer.Exit(1)


@migrate.command(epilog="Example: cloudpub migrate adopt --database postgresql://localhost/cloud")
def adopt(
    context: typer.Context,
    as_json: JsonOption = False,
    database: DatabaseOption = None,
    directory: DirectoryOption = None,
) -> None:
    """Take over a database whose tables another backend has made.

    It records the first migration as applied and prints what is missing, with the statements that would add it; it
    runs none of them. It refuses missing tables or columns, and types that do not fit.

    Exit code: 0 when adopted, 1 when refused.
    """
    named = target_of(context, database, directory)
    console = Console()
    with open_target(named, creates=False) as opened:
        report = Migrator(opened.engine, _component(named)).adopt()
    if as_json:
        differences = [_difference_document(difference) for difference in report.differences]
        print_document({"recorded": ", ".join(report.recorded) or None, "differences": differences})
        return
    if not report.recorded:
        console.print("this database had been adopted or migrated before")
    else:
        console.print(f"adopted: {', '.join(report.recorded)} recorded as applied", highlight=False)
    if report.differences:
        _print_differences(console, report.differences, opened.engine.sql_dialect)
    else:
        console.print("nothing is missing")


def _plan(named: Target, direction: Direction, target: str | None, *, as_json: bool) -> None:
    with open_target(named, creates=False, empty_if_missing=direction == "up") as opened:
        planned = plan_migrations(Migrator(opened.engine, _component(named)), direction, target)
    if as_json:
        print_document(plan_document(planned))
    else:
        print_plan(planned, opened.engine.sql_dialect, Console())
    print_note(plan_summary(planned) if planned else _NOTHING[direction])
    if any(migration.stopped for migration in planned):
        raise typer.Exit(1)


_DONE: dict[Direction, str] = {"up": "applied", "down": "reverted"}
_NOTHING: dict[Direction, str] = {"up": "nothing to apply: the database is up to date", "down": "nothing to revert"}


def _run(named: Target, direction: Direction, target: str | None, *, yes: bool, as_json: bool) -> None:
    done: list[str] = []
    with open_target(named, creates=direction == "up") as opened:
        migrator = Migrator(opened.engine, _component(named))
        while planned := plan_migrations(migrator, direction, target):
            certain = _certain(planned)
            # On SQLite one that was not followed to its end has failed, and will: nothing of it is kept, unless it ends
            # its transaction itself.
            lasting = [one for one in certain if not (one.stopped and not one.doubt and opened.dialect == "sqlite")]
            _ask_before_losses(lasting, yes=yes)
            finished = migrator.up(certain[-1].name) if direction == "up" else migrator.down(certain[-1].name)
            done.extend(finished)
            if not as_json:
                for name in finished:
                    print(f"{_DONE[direction]} {name}")
            if len(certain) == len(planned):
                break
    if as_json:
        print_document({_DONE[direction]: done})
    elif not done:
        print(_NOTHING[direction])


def _certain(planned: Sequence[PlannedMigration]) -> list[PlannedMigration]:
    """Return the first of them, and those behind it whose plan does not depend on running the ones in front."""
    behind = itertools.takewhile(lambda migration: not (migration.doubt or migration.stopped), planned[1:])
    return [planned[0], *behind]


def _ask_before_losses(planned: Sequence[PlannedMigration], *, yes: bool) -> None:
    losses = [hazard for migration in planned for hazard in migration.destroys]
    unclear = [migration for migration in planned if migration.stopped]
    for hazard in losses:
        print_note(hazard_line(hazard))
    for migration in unclear:
        print_note(f"UNKNOWN: {migration.name} could not be followed to its end: {migration.stopped}")
    if losses or unclear:
        names = ", ".join(migration.name for migration in planned if migration.destroys or migration.stopped)
        require_consent(f"Run {names} all the same?", yes=yes)


def _print_differences(console: Console, differences: Iterable[Difference], dialect: Dialect) -> None:
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
            console.print(terminated(statement, dialect), soft_wrap=True, markup=False, highlight=False)
    unmended = [difference for difference in listed if not difference.statements]
    if unmended:
        console.print(f"\nNo single statement mends {len(unmended)} of them:\n")
        for difference in unmended:
            console.print(f"  {difference.description}", soft_wrap=True, markup=False, highlight=False)


def _difference_document(difference: Difference) -> dict[str, Any]:
    return {
        "kind": difference.kind,
        "table": difference.table,
        "subject": difference.subject,
        "expected": difference.expected,
        "found": difference.found,
        "blocking": difference.blocking,
        "statements": difference.statements,
    }


def _component(named: Target) -> Component:
    return component if named.directory is None else component.with_migrations(named.directory)


def _in_checkout() -> bool:
    directory = directory_of(component)
    return directory is not None and (directory.parents[1] / "pyproject.toml").exists()


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
