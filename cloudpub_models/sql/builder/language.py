"""The small language that the builder's strings may speak, read: a tokenizer and a recursive descent.

For: the parsers of columns, select items, lists of items, HAVING and join conditions. What is not of the language is
refused with an error that says what was expected at which place.

Not for: what comes of it (``expressions``) and SQL of one's own, which ``raw`` marks.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NoReturn

from cloudpub_models.errors import InvalidIdentifierError
from cloudpub_models.sql.identifiers import check_identifier, exact, shown
from cloudpub_models.sql.nodes.expressions import (
    Aliased,
    Call,
    Column,
    Expression,
    Having,
    NamedParameter,
    Number,
    Raw,
    Star,
)
from cloudpub_models.sql.remembering import remembered

# The functions that may be called, with the fewest and the most arguments that both databases take.
FUNCTIONS: dict[str, tuple[int, int]] = {
    "COUNT": (1, 1),
    "SUM": (1, 1),
    "AVG": (1, 1),
    "MIN": (1, 1),
    "MAX": (1, 1),
    "COALESCE": (2, 50),
    "NULLIF": (2, 2),
    "LOWER": (1, 1),
    "UPPER": (1, 1),
    "LENGTH": (1, 1),
    "ABS": (1, 1),
    "ROUND": (1, 2),
}
AGGREGATES = frozenset(["COUNT", "SUM", "AVG", "MIN", "MAX"])
HAVING_OPERATORS = ("=", "!=", "<>", "<", "<=", ">", ">=")

_DEEPEST_NESTING = 16


@remembered
def parse_column(text: Any) -> Column | Raw:
    """Return the column that ``name`` or ``table.name`` names.

    >>> parse_column("f.status")
    Column(table='f', name='status')

    Raises:
        InvalidIdentifierError: for anything else.
    """
    if type(text) is Raw:
        return text
    reader = _Reader(_text(text, "column"), "column")
    column = _qualified(reader)
    if not isinstance(column, Column):
        reader.fail("a column, not a star,")
    reader.end()
    return column


@remembered
def parse_select_item(text: Any) -> Expression:
    """Return one select item: a column, ``*``, ``alias.*``, a call, each but the stars with or without ``AS alias``.

    >>> parse_select_item("COUNT(DISTINCT fd.id) AS deployments").alias
    'deployments'

    Raises:
        InvalidIdentifierError: for anything else.
    """
    if type(text) is Raw:
        return text
    reader = _Reader(_text(text, "select item"), "select item")
    if reader.sign("*"):
        reader.end()
        return Star(None)
    item = _item(reader, star=True)
    if reader.keyword("AS") and type(item) is not Star:
        keyword = reader.advance()
        if reader.kind != "name":
            reader.fail("an alias")
        item = Aliased(item, check_identifier(reader.advance(), "alias"), keyword)
    reader.end("AS alias or nothing more" if type(item) is not Aliased else "nothing more")
    return item


@remembered
def parse_items(text: Any, what: str) -> tuple[Expression, ...]:
    """Return the columns and calls, separated by commas, that GROUP BY and ORDER BY take.

    >>> parse_items("f.id, u.email", "group_by")
    (Column(table='f', name='id'), Column(table='u', name='email'))

    Raises:
        InvalidIdentifierError: for anything else.
    """
    if type(text) is Raw:
        return (text,)
    reader = _Reader(_text(text, what), what)
    items = [_item(reader)]
    while reader.sign(","):
        items.append(_item(reader))
    reader.end("a comma or nothing more")
    return tuple(items)


@remembered
def parse_having(text: Any) -> Having | Raw:
    """Return the HAVING condition ``item operator number-or-@name``.

    >>> parse_having("COUNT(fd.id) > 5").operand
    Number(text='5')

    Raises:
        InvalidQueryError: for anything else.
    """
    if type(text) is Raw:
        return text
    reader = _Reader(_text(text, "having"), "having")
    item = _item(reader)
    if reader.token not in HAVING_OPERATORS:
        reader.fail(f"one of the operators {' '.join(HAVING_OPERATORS)}")
    operator = reader.advance()
    operand: Number | NamedParameter
    if reader.sign("@"):
        if reader.kind != "name" or not reader.glued:
            reader.fail("a parameter's name")
        operand = NamedParameter(check_identifier(reader.advance(), "parameter"))
    else:
        operand = _number(reader, "a number or @name")
    reader.end("nothing more (call having() once for each condition)")
    return Having(item, operator, operand)


@remembered
def parse_join_condition(text: Any) -> tuple[tuple[Column, Column], ...]:
    """Return the pairs of columns that ``a.b = c.d``, several joined by AND, makes equal.

    >>> parse_join_condition("functions.user_id = users.id")
    ((Column(table='functions', name='user_id'), Column(table='users', name='id')),)

    Raises:
        InvalidQueryError: for anything else.
    """
    reader = _Reader(_text(text, "join condition"), "join condition")
    pairs: list[tuple[Column, Column]] = []
    while True:
        first = _qualified(reader)
        if not reader.sign("="):
            reader.fail("=")
        second = _qualified(reader)
        if isinstance(first, Star) or isinstance(second, Star):
            reader.fail("columns, not stars,")
        pairs.append((first, second))
        if not reader.keyword("AND"):
            break
        reader.advance()
    reader.end("AND or nothing more")
    return tuple(pairs)


def _text(text: Any, what: str) -> str:
    if isinstance(text, str):
        return exact(text)
    raise InvalidIdentifierError(f'expected a {what} as text or raw("…"); got {shown(text)}')


# ---------------------------------------------------------------------------------------------------------------------


@cache
def _token() -> re.Pattern[str]:
    return re.compile(
        r"[ \t\r\n]*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*+)|(?P<number>[0-9]++(?:\.[0-9]++)?)"
        r"|(?P<sign><=|>=|<>|!=|[-(),.*=<>@]))"
    )


class _Reader:
    """Reads the tokens of one string from left to right."""

    def __init__(self, text: str, what: str) -> None:
        self.text = text
        self.what = what
        self.position = 0
        self.kind = ""
        self.token = ""
        self.glued = False  # whether no blank stands before the token
        self.advance()

    def advance(self) -> str:
        """Go to the next token and return the one left behind."""
        left = self.token
        match = _token().match(self.text, self.position)
        if match is not None:
            self.kind = match.lastgroup or ""
            self.token = match.group(self.kind)
            self.glued = match.start(self.kind) == self.position
            self.position = match.end()
        elif not self.text[self.position :].strip(" \t\r\n"):
            self.kind, self.token = "end", ""
        else:
            self.kind, self.token = "unknown", self.text[self.position :].strip()[:20]
        return left

    def sign(self, token: str) -> bool:
        """Whether the token is this sign; if so, go on."""
        if self.kind == "sign" and self.token == token:
            self.advance()
            return True
        return False

    def keyword(self, word: str) -> bool:
        """Whether the token is this word."""
        return self.kind == "name" and self.token.upper() == word

    def fail(self, expected: str) -> NoReturn:
        found = shown(self.token) if self.token else "its end"
        raise InvalidIdentifierError(
            f"expected {expected} in the {self.what} {shown(self.text)}; got {found}: "
            'SQL of your own goes into raw("…")'
        )

    def end(self, expected: str = "nothing more") -> None:
        if self.kind != "end":
            self.fail(expected)


def _item(reader: _Reader, *, star: bool = False) -> Expression:
    """A column or a call; with ``star``, ``alias.*`` too."""
    item = _argument(reader, 0)
    if isinstance(item, Number):
        reader.fail("a column or a call, not a number,")
    if isinstance(item, Star) and not star:
        reader.fail("a column or a call, not a star,")
    return item


def _argument(reader: _Reader, depth: int) -> Column | Star | Number | Call:
    if reader.kind == "number" or (reader.kind == "sign" and reader.token == "-"):
        return _number(reader, "a number")
    name, what = reader.token, reader.what
    qualified = _qualified(reader)
    if isinstance(qualified, Star) or qualified.table is not None or not reader.sign("("):
        return qualified
    if depth >= _DEEPEST_NESTING:
        reader.fail(f"calls nested at most {_DEEPEST_NESTING} deep")
    function = name.upper()
    if function not in FUNCTIONS:
        raise InvalidIdentifierError(
            f"expected one of the functions {' '.join(FUNCTIONS)} in the {what} {shown(reader.text)}; "
            f'got {shown(name)}: other functions go into raw("…")'
        )
    if function == "COUNT" and reader.sign("*"):
        arguments: list[Expression] = [Star(None)]
        distinct = False
    else:
        distinct = function in AGGREGATES and reader.keyword("DISTINCT")
        if distinct:
            reader.advance()
        arguments = [_inner(reader, depth)]
        while reader.sign(","):
            arguments.append(_inner(reader, depth))
    fewest, most = FUNCTIONS[function]
    if not fewest <= len(arguments) <= most:
        reader.fail(f"{fewest if fewest == most else f'{fewest} to {most}'} argument(s) of {function}")
    if not reader.sign(")"):
        reader.fail("a comma or )")
    return Call(name, tuple(arguments), distinct)


def _inner(reader: _Reader, depth: int) -> Expression:
    argument = _argument(reader, depth + 1)
    if isinstance(argument, Star):
        reader.fail("a column, a number or a call, not a star,")
    return argument


def _qualified(reader: _Reader) -> Column | Star:
    if reader.kind != "name":
        reader.fail("a name")
    name = check_identifier(reader.advance(), reader.what)
    if not reader.sign("."):
        return Column(None, name)
    if reader.sign("*"):
        return Star(name)
    if reader.kind != "name":
        reader.fail("a column's name")
    return Column(name, check_identifier(reader.advance(), reader.what))


def _number(reader: _Reader, expected: str) -> Number:
    sign = "-" if reader.sign("-") else ""
    if reader.kind != "number" or len(reader.token) > 40:
        reader.fail(expected)
    return Number(sign + reader.advance())
