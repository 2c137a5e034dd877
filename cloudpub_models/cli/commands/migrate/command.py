"""``cloudpub migrate``: bring a database's schema forward, back, and compare it with the models.

It parses and prints; the work is in the room ``schema``, and what a plan looks like in ``plan``.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import peewee
import typer

from cloudpub_models.cli.boundary import FAILED, PENDING, CommandGroup, RefusedError
from cloudpub_models.cli.commands.migrate.new import new
from cloudpub_models.cli.commands.migrate.plan import hazard_line, plan_document, plan_summary, print_plan
from cloudpub_models.cli.given.options import JsonOption, YesOption, require_consent
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document, print_table
from cloudpub_models.cli.shown.tables import table_of_rows
from cloudpub_models.cli.shown.terminal import HarmlessConsole, print_line, print_note
from cloudpub_models.component import Component, owners_of_tables, with_what_they_are_after
from cloudpub_models.connection import Database
from cloudpub_models.history.tables import CHANGES, CONTEXT, TABLES_OF_FEEDS
from cloudpub_models.platform.rollups.counting import TABLES as ROLLUP_TABLES
from cloudpub_models.platform.rollups.counting import is_on
from cloudpub_models.schema.catalogue.catalogue import Column
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.adoption import TableFinding
from cloudpub_models.schema.drift.compare import Difference, find_drift, unknown_columns
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.migrations.scripts import Direction
from cloudpub_models.schema.safety.hazards import Hazard
from cloudpub_models.schema.safety.plan import PlannedMigration, plan_migrations

_BETWEEN = "between the database and the models"
PlanOption = Annotated[bool, typer.Option("--plan", help="Show the SQL and what it does to others; change nothing.")]

migrate = typer.Typer(
    cls=CommandGroup,
    name="migrate",
    invoke_without_command=True,
    help="Create and change the schema. Without a subcommand: up.",
    epilog="Example: cloudpub migrate --database sqlite:///cloudpub.db",
)


@migrate.callback()
@takes_target(scripts=True, history=False)
def shared(context: typer.Context, target: Target) -> None:
    """Go up where there is no subcommand."""
    if context.invoked_subcommand is None:
        _run(target, "up", None, yes=False, as_json=False)


@migrate.command(epilog="Example: cloudpub migrate up --plan")
@takes_target(scripts=True, history=False)
def up(
    target: Target,
    last: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="The last migration to apply; all if left out.")
    ] = None,
    plan: PlanOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Apply the migrations that are pending. It asks before one that drops or deletes.

    With --plan it prints what they would send instead: SQL, with the locks, the rewritten tables and the losses in its
    comments. On PostgreSQL nothing is sent for that but reads; on SQLite they are run on a temporary copy.

    Exit code: 0; 1 for an error, a refusal, or a plan that is incomplete.
    """
    if plan:
        _plan(target, "up", last, as_json=as_json)
    else:
        _run(target, "up", last, yes=yes, as_json=as_json)


@migrate.command(epilog="Example: cloudpub migrate down --plan")
@takes_target(scripts=True, history=False)
def down(
    target: Target,
    last: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="Revert all back through this migration; only the last if left out."),
    ] = None,
    plan: PlanOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Revert the migration applied last. It asks before what it created is dropped, with the data in it.

    With --plan it prints what would be sent instead, as 'up' does.

    Exit code: 0; 1 for an error, a refusal, or a plan that is incomplete.
    """
    if plan:
        _plan(target, "down", last, as_json=as_json)
    else:
        _run(target, "down", last, yes=yes, as_json=as_json)


@migrate.command(epilog="Example: cloudpub migrate status --exit-code")
@takes_target(scripts=True, history=False)
def status(
    target: Target,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help=f"Exit with {PENDING} when migrations are pending.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the migrations, and when each was applied.

    Exit code: 0, also when some are pending (see --exit-code); 1 when files and database do not agree: a migration was
    changed after it had been applied, its file is gone, or it comes late.
    """
    with target.opened() as database:
        known = Migrator(database.engine, target.with_scripts).status()
    components = [component.name for component in target.meant]
    migrations = [each for each in known if each.component in components or not target.names]
    if as_json:
        print_document({"components": components, "migrations": [dataclasses.asdict(each) for each in migrations]})
    else:
        print_note(f"components: {', '.join(components)}")
        rows = [
            {
                "component": each.component,
                "migration": each.name,
                "state": each.state,
                "applied at (UTC)": each.applied_at or "",
            }
            for each in migrations
        ]
        print_table(rows)
        foreign = dict.fromkeys(each.component for each in migrations if each.state == "foreign")
        if foreign:
            print_note(f"foreign: of components that are not known here, and left alone: {', '.join(foreign)}")
    broken = [each.name for each in migrations if each.is_broken]
    pending = [each.name for each in migrations if each.state == "pending"]
    if broken:
        raise RefusedError(
            f"expected files and database to agree; got {', '.join(broken)}: 'cloudpub migrate up' says more"
        )
    if pending and exit_code:
        raise typer.Exit(PENDING)


migrate.command(epilog="Example: cloudpub migrate new add user locale")(new)


@migrate.command(epilog="Example: cloudpub migrate check --database postgresql://localhost/cloud")
@takes_target(scripts=True, history=False)
def check(
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Compare the database with the models: columns, types, defaults, indexes, keys, checks, triggers.

    Exit code: 0 when they agree, 1 when they do not.
    """
    models = [model for component in target.meant for model in component.models]
    with target.opened() as database:
        differences = find_drift(database.engine, models)
        unknown = [f"{table}.{column.name}" for table, column in _unknown_columns(database, models)]
    elsewhere = [model._meta.table_name for model in models if model._meta.schema]
    if elsewhere:
        print_note(f"not compared, since they are in a schema of their own: {', '.join(elsewhere)}")
    if unknown:
        print_note(f"columns that the models do not know, and that are left alone: {', '.join(unknown)}")
    if as_json:
        print_document({"differences": _difference_documents(differences, target.meant)})
    elif not differences:
        print_line("no drift: the database is what the models say")
    elif [difference.kind for difference in differences] == ["table"] * len(models):
        print_line("none of the models' tables is there: 'cloudpub migrate up' makes them")
    else:
        _print_differences(differences, target.meant, _BETWEEN)
    if differences:
        raise typer.Exit(FAILED)


@migrate.command(epilog="Example: cloudpub migrate adopt --database postgresql://localhost/cloud")
@takes_target(scripts=True, history=False)
def adopt(
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Take over a database whose tables another backend has made.

    It says of each table what it is and what to do, with the statements that would add what is missing; it runs none of
    them. It records the first migration as applied, and refuses missing tables or columns and types that do not fit.

    Exit code: 0 when adopted, 1 when refused.
    """
    with target.opened() as database:
        migrator = Migrator(database.engine, target.meant)
        examined = migrator.examine(beside=target.with_scripts)
        recorded = migrator.adopt().recorded if examined.fits else ()
        known = {CHANGES, CONTEXT, *TABLES_OF_FEEDS} if database.history.tables else set()
        known |= ROLLUP_TABLES if is_on(database) else set()
    findings = [each for each in examined.tables if each.component or each.table not in known]
    if as_json:
        print_document(
            {
                "recorded": ", ".join(recorded) or None,
                "tables": [_finding_document(finding) for finding in findings],
                "differences": _difference_documents(examined.differences, target.meant),
            }
        )
    else:
        _print_findings(findings)
        # What is in the way comes first; the rest is told once that is mended.
        differences = examined.differences if examined.fits else examined.in_the_way
        if differences:
            _print_differences(differences, target.meant, "in the way" if examined.in_the_way else _BETWEEN)
        if recorded:
            print_line(f"adopted: {', '.join(recorded)} recorded as applied")
        elif examined.fits:
            print_line("this database had been adopted or migrated before")
    examined.require_fit()


def _plan(target: Target, direction: Direction, last: str | None, *, as_json: bool) -> None:
    with target.opened(empty_if_missing=direction == "up") as database:
        migrator = _migrator(target, direction, database)
        planned = _planned(target, migrator, direction, last)
        dialect = database.engine.sql_dialect
    if as_json:
        print_document(plan_document(planned))
    else:
        print_plan(planned, dialect, HarmlessConsole())
    print_note(plan_summary(planned) if planned else _NOTHING[direction])
    if any(migration.stopped for migration in planned):
        raise typer.Exit(FAILED)


_DONE: dict[Direction, str] = {"up": "applied", "down": "reverted"}
_NOTHING: dict[Direction, str] = {"up": "nothing to apply: the database is up to date", "down": "nothing to revert"}


def _run(target: Target, direction: Direction, last: str | None, *, yes: bool, as_json: bool) -> None:
    done: list[str] = []
    accepted: set[tuple[str, Hazard]] = set()
    with target.opened(creates=direction == "up") as database:
        migrator = _migrator(target, direction, database)
        while planned := _planned(target, migrator, direction, last):
            certain = _certain(planned)
            # Of one that was tried and failed nothing is kept, unless it ends its transaction itself.
            lasting = [one for one in certain if not (one.stopped and not one.doubt and one.tried)]
            # What is to come is asked about before anything is done, as far as it is known by now.
            _ask_before_losses([*lasting, *planned[len(certain) :]], lasting, accepted, yes=yes)
            for each in certain:
                # No other than what was asked about; a target of one component says nothing of the others.
                finished = migrator.up(each.name) if direction == "up" else migrator.down(each.name)
                done.extend(finished)
                if not as_json:
                    for name in finished:
                        print_line(f"{_DONE[direction]} {name}")
            if len(certain) == len(planned):
                break
    if as_json:
        print_document({_DONE[direction]: done})
    elif not done:
        print_line(_NOTHING[direction])


def _migrator(target: Target, direction: Direction, database: Database) -> Migrator:
    """Return the migrator of the components that are meant, and of those that are touched with them."""
    if not target.names:
        return Migrator(database.engine, target.with_scripts, afterwards=database.history.keep_current)
    # Going up needs what they are after; going back, those that are after them, whose own that may be.
    behind = [
        one.name
        for one in target.with_scripts
        if direction == "down" and set(target.meant) & set(with_what_they_are_after([one.name], target.with_scripts))
    ]
    restricted = with_what_they_are_after([*target.names, *behind], target.with_scripts)
    return Migrator(database.engine, restricted, afterwards=database.history.keep_current)


def _planned(target: Target, migrator: Migrator, direction: Direction, last: str | None) -> list[PlannedMigration]:
    if direction == "down" and last is None and target.names:
        last = migrator.last_applied(target.names)
        if last is None:
            return []
    return plan_migrations(migrator, direction, last)


def _certain(planned: Sequence[PlannedMigration]) -> list[PlannedMigration]:
    """Return the first of them, and those behind it whose plan does not depend on running the ones in front."""
    behind = itertools.takewhile(lambda migration: not (migration.doubt or migration.stopped), planned[1:])
    return [planned[0], *behind]


def _ask_before_losses(
    planned: Sequence[PlannedMigration],
    certain: Sequence[PlannedMigration],
    accepted: set[tuple[str, Hazard]],
    *,
    yes: bool,
) -> None:
    losses = [(one.name, hazard) for one in planned for hazard in one.destroys if (one.name, hazard) not in accepted]
    unclear = [migration for migration in certain if migration.stopped]
    for _, hazard in losses:
        print_note(hazard_line(hazard))
    for migration in unclear:
        print_note(f"UNKNOWN: {migration.name} could not be followed to its end: {migration.stopped}")
    if losses or unclear:
        names = {name for name, _ in losses} | {migration.name for migration in unclear}
        listed = ", ".join(migration.name for migration in planned if migration.name in names)
        require_consent(f"Run {listed} all the same?", yes=yes)
        accepted.update(losses)


def _print_findings(findings: Iterable[TableFinding]) -> None:
    for finding in findings:
        owner = f" ({finding.component})" if finding.component else ""
        print_line(f"{finding.table}{owner}: {finding.found}")
        for advice in finding.advice:
            print_line(f"  → {advice}")


def _finding_document(finding: TableFinding) -> dict[str, Any]:
    return {
        "component": finding.component,
        "table": finding.table,
        "found": finding.found,
        "advice": finding.advice,
        "unknown_columns": {column.name: column.type for column in finding.unknown_columns},
    }


def _print_differences(differences: Iterable[Difference], components: Iterable[Component], where: str) -> None:
    console, listed, owners = HarmlessConsole(), list(differences), owners_of_tables(components)
    rows = [
        {
            "component": owners[difference.table],
            "table": difference.table,
            "what": f"{difference.kind} {difference.subject}".strip(),
            "expected": difference.expected,
            "found": difference.found,
        }
        for difference in listed
    ]
    console.print(f"{len(listed)} difference{'s' if len(listed) > 1 else ''} {where}:")
    console.print(table_of_rows(rows, console, most_rows=None, wrap=True))
    statements = dict.fromkeys(statement for difference in listed for statement in difference.statements)
    if statements:
        console.print("\nThese statements would mend what statements can; read them before running any:\n")
        for statement in statements:
            # Unwrapped, since they are there to be copied.
            console.print(statement, soft_wrap=True)
    unmended = [difference for difference in listed if not difference.statements]
    if unmended:
        console.print(f"\nNo single statement mends {len(unmended)} of them:\n")
        for difference in unmended:
            console.print(f"  {difference.description}", soft_wrap=True)


def _unknown_columns(database: Database, models: Sequence[type[peewee.Model]]) -> Iterator[tuple[str, Column]]:
    tables = read_catalogue(database.engine, [model._meta.table_name for model in models]).tables
    for model in models:
        table = None if model._meta.schema else tables.get(model._meta.table_name)
        if table is not None:
            yield from ((table.name, column) for column in unknown_columns(model, table))


def _difference_documents(differences: Iterable[Difference], components: Iterable[Component]) -> list[dict[str, Any]]:
    owners = owners_of_tables(components)
    return [
        {
            "component": owners[difference.table],
            "kind": difference.kind,
            "table": difference.table,
            "subject": difference.subject,
            "expected": difference.expected,
            "found": difference.found,
            "blocking": difference.blocking,
            "statements": difference.statements,
        }
        for difference in differences
    ]
