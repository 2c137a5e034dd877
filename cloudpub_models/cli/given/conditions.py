"""Conditions as they are typed behind a command: ``status=active 'duration_ms>=1000' 'name~resize%'``.

Each argument is a column, an operator and a value; all of them have to hold. It becomes what a manager takes as
``where``, and is checked before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from cloudpub_models import operators
from cloudpub_models.cli.given.column_values import KeyLookup, reader_from_text
from cloudpub_models.errors import CloudpubError, InvalidQueryError
from cloudpub_models.manager.columns.table import Table
from cloudpub_models.platform.registry import Managers

_CONDITION = re.compile(r"(\w+)\s*(!=|>=|<=|!~|=|>|<|~)(.*)", re.DOTALL | re.ASCII)
_PATTERNS = {"~": operators.like, "!~": operators.not_like}

ConditionsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONDITION",
        help="column=value, also with != > >= < <= ~ (LIKE) !~; quote what the shell would take. =null is NULL.",
        show_default=False,
    ),
]


class Conditions(Mapping[str, Any]):
    """Conditions that all hold, as a manager's ``where``.

    A column may come several times, and then does so in all views of the mapping; looked up, it gives its first one.

    >>> Conditions([("version", operators.ge(2)), ("version", operators.lt(5))])
    Conditions([('version', Operator(name='>=', values=(2,))), ('version', Operator(name='<', values=(5,)))])
    """

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        self._pairs = list(pairs)

    def __repr__(self) -> str:
        return f"Conditions({self._pairs!r})"

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._pairs)

    def __getitem__(self, name: str) -> Any:
        return dict(reversed(self._pairs))[name]

    def items(self) -> Any:
        """Return every column with its condition."""
        return list(self._pairs)

    def values(self) -> Any:
        """Return every condition."""
        return [condition for _, condition in self._pairs]


def parse_conditions(arguments: Sequence[str] | None, table: Table, managers: Managers) -> Conditions | None:
    """Return the conditions that arguments say, or ``None`` where there are none.

    Args:
        arguments: each as in ``status=active``.
        table: what the columns belong to.
        managers: where rows are looked up that are referred to by their UUID.

    Raises:
        typer.BadParameter: an argument is no condition, a column unknown, or a value not one of its column.
    """
    keys = KeyLookup(managers)
    try:
        pairs = [_parse(argument, table, keys) for argument in arguments or ()]
    except CloudpubError as error:
        raise typer.BadParameter(str(error)) from None
    return Conditions(pairs) if pairs else None


def _parse(argument: str, table: Table, keys: KeyLookup) -> tuple[str, Any]:
    found = _CONDITION.fullmatch(argument)
    if found is None:
        raise InvalidQueryError(f"expected a condition, as in status=active or 'version>=2'; got {argument!r}")
    name, operator, text = found.groups()
    column = table.column(name)
    if operator == "=" and text.startswith(("=", "~")):
        meant = f"{name}{text}" if text.startswith("~") else f"{name}={text.lstrip('=')}"
        literally = f"; {f'{name}~{text}'!r} compares with that very text" if column.is_text else ""
        raise InvalidQueryError(f"expected one operator; got ={text[0]}: write {meant!r}{literally}")
    if operator in _PATTERNS:
        if not column.is_text:
            raise InvalidQueryError(f"{operator} compares text with a pattern, and {column.name} is none: use = < >")
        return column.name, _PATTERNS[operator](text)
    if text.lower() == "null":
        if operator not in ("=", "!="):
            raise InvalidQueryError(f"NULL is neither more nor less than anything: write {name}=null or {name}!=null")
        return column.name, operators.is_null() if operator == "=" else operators.is_not_null()
    return column.name, operators.Operator(operator, (reader_from_text(column, keys)(text),))
