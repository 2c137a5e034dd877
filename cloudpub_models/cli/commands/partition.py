"""``cloudpub partition``: a table that is given partitions by time, and those of the days to come.

The work is in ``schema.partitions``.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from cloudpub_models.cli.commands.prune import length_of_time
from cloudpub_models.cli.given.options import JsonOption, TableArgument
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.counted import counted
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.terminal import print_line
from cloudpub_models.connection import Database
from cloudpub_models.schema.partitions.partitioning import Plan, plan_for
from cloudpub_models.schema.partitions.ranges import AHEAD, check_way, check_width


class PartitionWidth(StrEnum):
    """How long the rows of one partition are from."""

    DAY = "day"
    MONTH = "month"


class PartitionWay(StrEnum):
    """How a table gets its partitions."""

    ATTACH = "attach"
    MOVE = "move"


@takes_target()
def partition(
    target: Target,
    table: TableArgument,
    width: Annotated[
        PartitionWidth | None,
        typer.Option(help="What one partition has, in UTC.", show_default="what they have, and days at first"),
    ] = None,
    ahead: Annotated[
        timedelta,
        typer.Option(
            parser=length_of_time, metavar="TIME", help="Up to how long from now on; 14d, 8w …", show_default="14d"
        ),
    ] = AHEAD,
    way: Annotated[
        PartitionWay | None,
        typer.Option(
            help="Keep the rows that are there together, or copy them into partitions of their time.",
            show_default="attach, but move where ids have 32 bits and are to have 64",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have a table consist of partitions by time, while others write; again: make those of the days to come.

    On PostgreSQL, as the owner of the table. Its rows stay together in the first partition, or, with --way move, are
    copied into partitions of their time, which also gives ids of 32 bits 64 of them. After Ctrl-C, do it again.
    """
    model = target.table(table).model
    chosen = check_width(None if width is None else width.value)
    chosen_way = check_way(None if way is None else way.value)
    with target.opened() as database:
        plan = plan_for(database.engine, model, chosen, ahead, chosen_way)
        made = plan.names if dry_run else database.partition(table, chosen, ahead=ahead, way=chosen_way)
        if as_json:
            print_document(_document(database, plan, made, dry_run=dry_run))
        else:
            _print(database, plan, made, dry_run=dry_run)


def _print(database: Database, plan: Plan, made: tuple[str, ...], *, dry_run: bool) -> None:
    name = plan.table.name
    if not made:
        begin = database.partitions(name)[-1].begin
        print_line(f"nothing to do: {name} has partitions up to {begin:%Y-%m-%d}")
        return
    if plan.until is not None:
        stay = "would stay" if dry_run else "are"
        print_line(f"rows from before {plan.until:%Y-%m-%d} {stay} together in one partition")
    if plan.way == "move":
        copied = "would be copied, which takes" if dry_run else "were copied, of"
        print_line(f"rows {copied} {plan.bytes / 2**20:,.0f} MB{', and ids of 64 bits' if plan.widens else ''}")
    first, last = plan.ranges[0], plan.ranges[-1]
    number = f"{counted(len(made), 'partition')} of {name}, a {plan.width} each"
    done = "would be made; nothing was changed" if dry_run else "made"
    print_line(f"{number}, from {first.begin:%Y-%m-%d} to {last.end:%Y-%m-%d}: {done}")


def _document(database: Database, plan: Plan, made: tuple[str, ...], *, dry_run: bool) -> dict[str, object]:
    return {
        "table": plan.table.name,
        "way": plan.way,
        "widens": plan.widens,
        "width": plan.width,
        "dry_run": dry_run,
        "made": made,
        "partitions": [part._asdict() for part in database.partitions(plan.table.name)],
    }
