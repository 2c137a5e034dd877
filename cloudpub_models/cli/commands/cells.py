"""``cloudpub cells``: the servers that have logs and invocations, and buckets moved between them.

The work is in ``cells``; which servers there are, ``--history`` says.
"""

from __future__ import annotations

from typing import Annotated

import typer

from cloudpub_models.cells.buckets import BUCKETS
from cloudpub_models.cli.boundary import CommandGroup
from cloudpub_models.cli.given.options import JsonOption
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.counted import counted
from cloudpub_models.cli.shown.output import print_document, print_table
from cloudpub_models.cli.shown.progress import row_progress
from cloudpub_models.cli.shown.terminal import print_line
from cloudpub_models.platform.registry import Managers

cells = typer.Typer(
    cls=CommandGroup,
    name="cells",
    invoke_without_command=True,
    epilog="Example: cloudpub cells --history postgresql://h1/cloud --history postgresql://h2/cloud",
)


@cells.callback()
@takes_target()
def show_servers(context: typer.Context, target: Target, as_json: JsonOption = False) -> None:
    """Show the servers of logs and invocations: how many of the 1,024 buckets each has, and how many rows.

    Rows are those that a server thought it had when it last counted. Number 0 is the main database, where it has any.
    """
    if context.invoked_subcommand is not None:
        return
    with target.opened() as database:
        found = [server._asdict() for server in Managers(database).cells.servers()]
    if as_json:
        print_document(found)
    else:
        print_table(found)


@cells.command(epilog="Example: cloudpub cells initialize --history postgresql://h1/cloud")
@takes_target()
def initialize(target: Target, as_json: JsonOption = False) -> None:
    """Prepare the servers that are not yet, and give out the buckets where nobody has any.

    Where the main database has rows, it keeps all buckets until they are moved.
    """
    with target.opened() as database:
        changed = Managers(database).cells.initialize()
    if as_json:
        print_document({"changed": changed})
    else:
        print_line("the servers are prepared" if changed else "nothing to do: the servers are prepared")


@cells.command(epilog="Example: cloudpub cells move 128 --from 0 --to 1")
@takes_target()
def move(
    target: Target,
    number: Annotated[
        int, typer.Argument(metavar="BUCKETS", min=0, max=BUCKETS, help="How many buckets; 0 ends an earlier move.")
    ],
    to: Annotated[int, typer.Option("--to", metavar="NUMBER", help="The server that is to have them.")],
    source: Annotated[int, typer.Option("--from", metavar="NUMBER", help="The server that has them.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Move buckets from one server to another, with their rows, while programs read and write.

    All programs have to be told of the server before. After Ctrl-C, or whatever else ends it, do it again: what was
    left half-done is undone or done first.
    """
    with target.opened() as database:
        found = Managers(database).cells
        buckets = found.buckets_of(source)[:number]
        with row_progress("moving rows", None) as advance:
            moved = found.move(buckets, to, progress=lambda rows: advance(rows, rows))
    if as_json:
        print_document({"buckets": len(buckets), "rows": moved})
    else:
        print_line(f"moved {counted(len(buckets), 'bucket')} with {counted(moved, 'row')}")


@cells.command(epilog="Example: cloudpub cells sweep")
@takes_target()
def sweep(target: Target, as_json: JsonOption = False) -> None:
    """Delete the rows of functions that have been deleted on the main database; for cron, as once an hour."""
    with target.opened() as database:
        swept = Managers(database).cells.sweep()
    if as_json:
        print_document({"rows": swept})
    else:
        print_line(f"deleted {counted(swept, 'row')} of functions that are gone")
