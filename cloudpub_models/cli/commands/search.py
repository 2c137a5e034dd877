"""``cloudpub search``: the index of words of tables that are searched, switched on and off.

The work is in ``schema.search_index``.
"""

from __future__ import annotations

from typing import Annotated

import peewee
import typer

from cloudpub_models.cli.boundary import CommandGroup
from cloudpub_models.cli.given.options import JsonOption
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.terminal import print_line
from cloudpub_models.entity.searchable import is_searchable
from cloudpub_models.schema.search_index import switch_off, switch_on

search = typer.Typer(
    cls=CommandGroup,
    name="search",
    no_args_is_help=True,
    help="Searching for words: an index of them, for who searches large tables.",
    epilog="Example: cloudpub search index on function_logs",
)
index = typer.Typer(
    cls=CommandGroup,
    name="index",
    no_args_is_help=True,
    help="An index of the words in a table's texts. Searches find the same without it; writing takes longer.",
    epilog="Example: cloudpub search index on function_logs",
)
search.add_typer(index)

TablesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TABLE", help="Which table, or several; all that are searched if left out.", show_default=False
    ),
]


@index.command(epilog="Example: cloudpub search index on function_logs --database postgresql://localhost/cloud")
@takes_target()
def on(target: Target, tables: TablesArgument = None, as_json: JsonOption = False) -> None:
    """Make an index of the words in tables that have none, as the owner of the tables.

    On PostgreSQL others write meanwhile; after Ctrl-C, do it again. On SQLite other writers wait, and after Ctrl-C
    nothing is changed. Searches use it from then on, in programs that are running too.
    """
    models = _models(target, tables)
    with target.opened() as database:
        made = switch_on(database.engine, models)
    if as_json:
        print_document({"indexed": made})
    else:
        print_line(f"indexed: {', '.join(made)}" if made else "nothing to do: it is on")


@index.command(epilog="Example: cloudpub search index off function_logs")
@takes_target()
def off(target: Target, tables: TablesArgument = None, as_json: JsonOption = False) -> None:
    """Drop the index of the words in tables; searches find the same rows without it."""
    models = _models(target, tables)
    with target.opened() as database:
        ended = switch_off(database.engine, models)
    if as_json:
        print_document({"ended": ended})
    else:
        print_line(f"no longer indexed: {', '.join(ended)}" if ended else "nothing was indexed")


def _models(target: Target, tables: list[str] | None) -> list[type[peewee.Model]]:
    if tables:
        return list(dict.fromkeys([target.table(name).model for name in tables]))
    return [model for model in target.models.values() if is_searchable(model)]
