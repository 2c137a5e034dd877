"""``cloudpub rollup``: rollups of invocations switched on and off, and counted; the work is in ``platform.rollups``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cloudpub_models.cli.boundary import CommandGroup
from cloudpub_models.cli.commands.prune import moment_before
from cloudpub_models.cli.given.options import JsonOption, YesOption, require_consent
from cloudpub_models.cli.given.servers import databases_of_invocations
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.terminal import print_line
from cloudpub_models.platform.registry import Managers
from cloudpub_models.platform.rollups.counting import BEGINNING, is_on, state_of

rollup = typer.Typer(
    cls=CommandGroup,
    name="rollup",
    invoke_without_command=True,
    epilog="Example: cloudpub rollup --until 1h",
)


@rollup.callback()
@takes_target()
def count(
    context: typer.Context,
    target: Target,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until",
            parser=moment_before,
            metavar="AGE",
            help="Up to how long ago: 1h, 2d …, or a date as 2026-01-31; now if left out.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, metavar="SECONDS", help="How long to wait for others who are writing.")
    ] = 30,
    as_json: JsonOption = False,
) -> None:
    """Count the whole hours since the last time, and again those that have changed; for cron, as every five minutes.

    Statistics are right whenever it ran last: they take longer the longer ago that is. Others write meanwhile.
    """
    if context.invoked_subcommand is not None:
        return
    with target.opened() as database:
        counted_until = Managers(database).function_invocations.rollup(until, wait=wait)
    if as_json:
        print_document({"counted_until": counted_until})
    else:
        print_line(f"invocations are counted until {counted_until:%Y-%m-%d %H:%M} UTC")


@rollup.command(epilog="Example: cloudpub rollup on --database postgresql://localhost/cloud")
@takes_target()
def on(target: Target, as_json: JsonOption = False) -> None:
    """Have the database keep rollups of invocations, as the owner of the tables.

    It makes tables and triggers, in one transaction. Doing it again mends triggers that are gone: all is counted anew.
    From then on 'cloudpub rollup' counts, and programs read them that open the database with rollups=True.
    """
    with target.opened() as database:
        changed = Managers(database).function_invocations.enable_rollups()
    if as_json:
        print_document({"changed": changed})
    else:
        print_line("rollups are on: count them from cron" if changed else "nothing to do: they are on")


@rollup.command(epilog="Example: cloudpub rollup off --yes")
@takes_target()
def off(target: Target, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Take rollups away. It asks first where they are all that is left of invocations that were pruned."""
    with target.opened() as database:
        having = [each for each in databases_of_invocations(database) if is_on(each)]
        kept_since = max([state_of(each).kept_since for each in having], default=BEGINNING)
        if kept_since > BEGINNING:
            require_consent(f"Forget the statistics of before {kept_since:%Y-%m-%d %H:%M} UTC?", yes=yes)
        changed = Managers(database).function_invocations.disable_rollups()
    if as_json:
        print_document({"changed": changed})
    else:
        print_line("rollups are off" if changed else "nothing to do: they are off")
