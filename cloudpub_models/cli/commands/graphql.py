"""``cloudpub graphql``: the types of a database's graph, and the answer to a query.

What is answered is the business of the room ``graphql``.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from cloudpub_models.cli.boundary import CommandGroup
from cloudpub_models.cli.given.target import Target, takes_target
from cloudpub_models.cli.shown.output import print_document
from cloudpub_models.cli.shown.terminal import print_line
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.platform.registry import Managers

graphql = typer.Typer(
    cls=CommandGroup,
    name="graphql",
    no_args_is_help=True,
    help="The types that GraphQL has, and answers to queries.",
    epilog="Example: cloudpub graphql query '{ functions(first: 3) { nodes { name user { email } } } }'",
)


@graphql.command(epilog="Example: cloudpub graphql schema > schema.graphql")
@takes_target()
def schema(target: Target) -> None:
    """Print the types, in the schema language of GraphQL."""
    from cloudpub_models.graphql import schema_text

    with target.opened() as database:
        print_line(schema_text(Managers(database)))


@graphql.command(epilog="Example: cloudpub graphql query '{ users { nodes { email functions { nodes { name } } } } }'")
@takes_target()
def query(
    target: Target,
    text: Annotated[str, typer.Argument(metavar="QUERY", help="The query; - for standard input.")],
    variables: Annotated[
        str, typer.Option("--variables", metavar="JSON", help="The values of its variables, as an object.")
    ] = "{}",
    requester: Annotated[
        str | None,
        typer.Option("--as", metavar="UUID", help="Answer as to this user.", show_default=False),
    ] = None,
) -> None:
    """Answer a query, as JSON.

    Exit code: 1 where the answer has errors.
    """
    from cloudpub_models.graphql import answer

    given = _object(variables)
    asked = sys.stdin.read() if text == "-" else text
    with target.opened() as database:
        found = answer(Managers(database), asked, given, requester=requester)
    print_document(found)
    if "errors" in found:
        raise typer.Exit(1)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidValueError(f"expected --variables to be JSON; got {error}") from None
    if not isinstance(found, dict):
        raise InvalidValueError(f"expected --variables to be an object; got {text}: write '{{\"name\": …}}'")
    return found
