"""How a command is told which function is meant: by its uuid, or by its name where only one function has it."""

from __future__ import annotations

import difflib
from typing import Annotated
from uuid import UUID

import typer

from cloudpub_models import Function, Managers
from cloudpub_models.errors import NotFoundError
from cloudpub_models.sql.identifiers import shown

FunctionArgument = Annotated[str, typer.Argument(metavar="FUNCTION", help="Its uuid, or its name if no other has it.")]

_MOST_LISTED = 5
_MOST_COMPARED = 5_000


def find_function(managers: Managers, text: str) -> Function:
    """Return the function that a command's argument means, with its user loaded.

    Args:
        managers: of the database to look in.
        text: the argument.

    Raises:
        NotFoundError: no function has this uuid or name, or several have this name.
    """
    uuid = _uuid_in(text)
    found = [] if uuid is None else _matching(managers, {"uuid": uuid})
    # A name may look like a uuid.
    found = found or _matching(managers, {"name": text})
    if len(found) == 1:
        return found[0]
    if found:
        owned = [f"  {function.uuid} of {function.user.email}" for function in found[:_MOST_LISTED]]
        more = ["  and more"] if len(found) > _MOST_LISTED else []
        raise NotFoundError("\n".join([f"several functions are called {shown(text)}: give a uuid:", *owned, *more]))
    if uuid is not None:
        raise NotFoundError(f"there is no function with the uuid {uuid}: give a uuid or a name of this database")
    raise NotFoundError(f"there is no function called {shown(text)}: {_hint(managers, text)}")


def _matching(managers: Managers, where: dict[str, object]) -> list[Function]:
    return managers.functions.find_all(where, order_by="id", limit=_MOST_LISTED + 1, include=("user",))


def _uuid_in(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _hint(managers: Managers, text: str) -> str:
    names = [function.name for function in managers.functions.find_all(select=["id", "name"], limit=_MOST_COMPARED)]
    nearest = difflib.get_close_matches(text, names, n=1)
    return f"did you mean {shown(nearest[0])}?" if nearest else "give the uuid or the name of one"
