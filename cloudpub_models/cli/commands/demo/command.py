"""``cloudpub demo``: the options; what it does is in ``walk``, which needs more than the other commands' help."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cloudpub_models.cli.given.options import JsonOption, UntilOption, aware
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.terminal import HarmlessConsole


@takes_target()
def demo(
    target: Target,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same seed gives the same data.")] = 1,
    invocations: Annotated[
        int, typer.Option(min=1, max=50_000_000, metavar="N", help="How many function invocations to record.")
    ] = 40_000,
    until: UntilOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fill a database with a believable platform, then walk through what the library does.

    Without a database named, it makes cloudpub.db in the current directory. It can be run again: it replaces the data
    of its own users (…@demo.cloudpub.example), and touches nobody else's. Into a database with anybody else's rows or
    tables it writes only where --database names it. With --json it fills the database, says how many rows there are,
    and leaves out the walk.
    """
    from cloudpub_models.cli.commands.demo.walk import fill_database, run_demo

    moment = aware(until) or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if as_json:
        print_document(fill_database(target, seed=seed, invocations=invocations, until=moment))
    else:
        run_demo(target, HarmlessConsole(), seed=seed, invocations=invocations, until=moment)
