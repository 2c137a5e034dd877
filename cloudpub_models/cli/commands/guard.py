"""``cloudpub guard``: PostgreSQL's row security by owners, switched on and off.

The work is in ``schema.row_security``.
"""

from __future__ import annotations

from typing import Annotated

import typer

from cloudpub_models.cli.boundary import CommandGroup
from cloudpub_models.cli.given.options import JsonOption
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.terminal import print_line
from cloudpub_models.schema.row_security import switch_off, switch_on

guard = typer.Typer(
    cls=CommandGroup,
    name="guard",
    no_args_is_help=True,
    help="PostgreSQL's row security: rows are held to their owners by the database too.",
    epilog="Example: cloudpub guard on --database postgresql://program@localhost/cloud",
)


@guard.command(epilog="Example: cloudpub guard on")
@takes_target()
def on(
    target: Target,
    owner: Annotated[str, typer.Option("--owner", metavar="TABLE", help="The table of the owners.")] = "users",
    as_json: JsonOption = False,
) -> None:
    """Have the database hold the rows of all owned tables to their owners.

    Connect as the role of the program: one that row security does not hold is refused. From then on the program opens
    the database with row_security=True, and what says neither an owner nor that all rows are meant finds none.
    """
    root = target.table(owner).model
    with target.opened() as database:
        held = switch_on(database.engine, database.models, root)
    if as_json:
        print_document({"held": held})
    else:
        print_line(f"held to their owners, of {owner}: {', '.join(held)}")


@guard.command(epilog="Example: cloudpub guard off")
@takes_target()
def off(target: Target, as_json: JsonOption = False) -> None:
    """Have the database no longer hold rows to their owners; the managers of an owner still do."""
    with target.opened() as database:
        ended = switch_off(database.engine, database.models)
    if as_json:
        print_document({"ended": ended})
    else:
        print_line(f"no longer held: {', '.join(ended)}" if ended else "nothing was held")
