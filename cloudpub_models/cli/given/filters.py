"""Conditions as they are typed behind a command: ``status=active 'duration_ms>=1000' 'name~resize%'``.

Each argument is a column, its own or a dotted one as ``user.email``, an operator and a value; all of them have to hold.
Together they become what a manager takes as ``where``, and are checked before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cloudpub_models.cli.given.cells import KeyLookup, reader_from_text
from cloudpub_models.errors import CloudpubError, InvalidQueryError
from cloudpub_models.manager.arguments.conditions import Combined, all_of
from cloudpub_models.manager.arguments.dotted import related_column
from cloudpub_models.manager.columns.table import Table
from cloudpub_models.platform.registry import Managers
from cloudpub_models.sql import operators

_FILTER = re.compile(r"(\w+(?:\.\w+)*)\s*(!=|>=|<=|!~|=|>|<|~)(.*)", re.DOTALL | re.ASCII)
_PATTERNS = {"~": operators.like, "!~": operators.not_like}

FiltersArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONDITION",
        help="column=value, also user.email=value, with != > >= < <= ~ (LIKE) !~; quote what the shell would take. "
        "=null is NULL.",
        show_default=False,
    ),
]


def parse_filters(arguments: Sequence[str] | None, table: Table, managers: Managers) -> Combined | None:
    """Return the conditions that arguments say, or ``None`` where there are none.

    Args:
        arguments: each as in ``status=active``; a column may come several times.
        table: what the columns belong to.
        managers: where rows are looked up that are referred to by their UUID.

    Raises:
        typer.BadParameter: an argument is no condition, a column unknown, or a value not one of its column.
    """
    keys = KeyLookup(managers)
    try:
        return all_of(*[_parse(argument, table, keys) for argument in arguments]) if arguments else None
    except CloudpubError as error:
        raise typer.BadParameter(str(error)) from None


def _parse(argument: str, table: Table, keys: KeyLookup) -> dict[str, Any]:
    found = _FILTER.fullmatch(argument)
    if found is None:
        raise InvalidQueryError(f"expected a condition, as in status=active or 'version>=2'; got {argument!r}")
    name, operator, text = found.groups()
    column = related_column(table.model, name).column
    key = name if "." in name else column.name
    if operator == "=" and text.startswith(("=", "~")):
        meant = f"{name}{text}" if text.startswith("~") else f"{name}={text.lstrip('=')}"
        literally = f"; {f'{name}~{text}'!r} compares with that very text" if column.is_text else ""
        raise InvalidQueryError(f"expected one operator; got ={text[0]}: write {meant!r}{literally}")
    if operator in _PATTERNS:
        if not column.is_text:
            raise InvalidQueryError(f"expected a column of text before {operator}; got {column.name}: use = < >")
        return {key: _PATTERNS[operator](text)}
    if text.lower() == "null":
        if operator not in ("=", "!="):
            raise InvalidQueryError(f"expected = or != before null; got {operator}: write {name}=null or {name}!=null")
        return {key: operators.is_null() if operator == "=" else operators.is_not_null()}
    return {key: operators.Operator(operator, (reader_from_text(column, keys)(text),))}
