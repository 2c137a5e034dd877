"""The ``cloudpub`` command's front door: its subcommands and what they share.

What a subcommand does is in its own module.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

import cloudpub_models
from cloudpub_models.cli.boundary import CommandGroup
from cloudpub_models.cli.migrate import migrate
from cloudpub_models.cli.targets import DatabaseOption, target_of

application = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    # A traceback of ours is for a bug report; the values of local variables, which may be secret, are not.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: cloudpub demo",
)
application.add_typer(migrate)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cloudpub-models {cloudpub_models.__version__}")
        raise typer.Exit


@application.callback()
def common(
    context: typer.Context,
    database: DatabaseOption = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The data layer of a functions-as-a-service platform: migrations and a demonstration."""
    context.obj = target_of(context, database)


@application.command(epilog="Example: cloudpub demo --database postgresql://localhost/playground --seed 7")
def demo(
    context: typer.Context,
    database: DatabaseOption = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same data.")] = 1,
    invocations: Annotated[
        int, typer.Option(min=1, max=50_000_000, help="How many function invocations to record.")
    ] = 40_000,
) -> None:
    """Fill a database with a believable platform, then walk through what the library does.

    Without a database named, it makes cloudpub.db in the current directory. It can be run again: it replaces the data
    of its own users (…@demo.cloudpub.example), and touches nobody else's.
    """
    from cloudpub_models.cli.demo import run_demo

    run_demo(target_of(context, database), Console(), seed=seed, invocations=invocations)
