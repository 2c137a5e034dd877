"""The ``cloudpub`` command's front door: its subcommands and what they share.

What a subcommand does is in its own module.
"""

from __future__ import annotations

from typing import Annotated

import typer

import cloudpub_models
from cloudpub_models.cli.boundary import CommandGroup
from cloudpub_models.cli.commands.archive import archive
from cloudpub_models.cli.commands.cells import cells
from cloudpub_models.cli.commands.delete import delete
from cloudpub_models.cli.commands.demo.command import demo
from cloudpub_models.cli.commands.doctor.command import doctor
from cloudpub_models.cli.commands.dump import dump
from cloudpub_models.cli.commands.find import count, find, show
from cloudpub_models.cli.commands.graphql import graphql
from cloudpub_models.cli.commands.guard import guard
from cloudpub_models.cli.commands.history import history
from cloudpub_models.cli.commands.load.command import load
from cloudpub_models.cli.commands.logs import logs
from cloudpub_models.cli.commands.migrate.command import migrate
from cloudpub_models.cli.commands.partition import partition
from cloudpub_models.cli.commands.prune import prune
from cloudpub_models.cli.commands.rollup import rollup
from cloudpub_models.cli.commands.schema.command import schema
from cloudpub_models.cli.commands.search import search
from cloudpub_models.cli.commands.shell import shell
from cloudpub_models.cli.commands.sql import sql
from cloudpub_models.cli.commands.stats.command import stats
from cloudpub_models.cli.given.target import Target, takes_target

application = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    # A traceback of ours is for a bug report; the values of local variables, which may be secret, are not.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: cloudpub demo",
)
application.command(epilog="Example: cloudpub find functions status=active 'created_at>=2026-01-01'")(find)
application.command(epilog="Example: cloudpub show functions 0f2a4a4e-6f0e-4c52-9a53-3f6d0c1f8a11")(show)
application.command(epilog="Example: cloudpub count function_logs level=error 'message~%timeout%'")(count)
application.command(epilog="Example: cloudpub delete functions status=retired --preview")(delete)
application.command(epilog="Example: cloudpub sql 'SELECT name FROM functions WHERE id = @id' --param id:=5")(sql)
application.command(epilog="Example: cloudpub load function_logs logs.jsonl.gz --skip-bad bad.jsonl")(load)
application.command(epilog="Example: cloudpub dump users users.csv.gz --with-secrets")(dump)
application.command(epilog="Example: cloudpub shell")(shell)
application.add_typer(migrate)
application.add_typer(history)
application.add_typer(graphql)
application.add_typer(guard)
application.add_typer(search)
application.add_typer(rollup)
application.add_typer(cells)
application.command(epilog="Example: cloudpub doctor --database postgresql://localhost/cloud")(doctor)
application.command(epilog="Example: cloudpub schema --output schema.svg")(schema)
application.command(epilog="Example: cloudpub logs resize-image --follow --level error")(logs)
application.command(epilog="Example: cloudpub partition function_logs --width day --dry-run")(partition)
application.command(epilog="Example: cloudpub prune logs --older-than 30d --dry-run")(prune)
application.command(epilog="Example: cloudpub archive function_invocations --older-than 90d --to archive/invocations")(
    archive
)
application.command(epilog="Example: cloudpub stats resize-image --period 7d --html stats.html")(stats)
application.command(epilog="Example: cloudpub demo --database postgresql://localhost/playground --seed 7")(demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cloudpub-models {cloudpub_models.__version__}")
        raise typer.Exit


@application.callback()
@takes_target()
def common(
    target: Target,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The data layer of a functions-as-a-service platform: look into a database, fill it, change its schema."""
