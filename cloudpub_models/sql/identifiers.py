"""Names of tables, columns and aliases: what counts as one.

For: checking every name before it becomes part of SQL. A name is ASCII, at most 63 characters (PostgreSQL's limit), a
letter or underscore first; nothing else needs to be escaped later, because nothing else gets through.

Not for: whether the named thing exists; that is checked where the model is known.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from cloudpub_models.errors import InvalidIdentifierError
from cloudpub_models.sql.remembering import Remembered

_LONGEST = 63
RULE = "a name of ASCII letters, digits and underscores, not starting with a digit, at most 63 characters"


def shown(value: Any, limit: int = 60) -> str:
    """Return ``value`` for an error message: its representation, cut when it is long.

    >>> shown("id; DROP TABLE users"), shown(5)
    ("'id; DROP TABLE users'", '5 (int)')
    """
    if isinstance(value, str):
        text = exact(value)
        return repr(text) if len(text) <= limit else f"{text[:limit]!r}… ({len(text)} characters)"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to write out the largest ones
    if value is None or isinstance(value, (bool, int, float)):
        return f"{value!r} ({type(value).__name__})" if value is not None else "None"
    return f"a value of type {type(value).__name__}"


def represented(value: object) -> str:
    """Return a value's own representation for an error message, cut when it is long, whatever the value is.

    >>> represented([1, 2]), represented("x" * 99), represented(10**5000)
    ('[1, 2]', "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...", 'an integer of 16610 bits')
    """
    if isinstance(value, int) and value.bit_length() > 256:
        return shown(value)
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # of what is nested deep, and of long integers in it
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def exact(text: str) -> str:
    """Return ``text`` as a plain ``str``, also when it is an enum member or another subclass with a mind of its own."""
    return text if type(text) is str else str.__str__(text)


def printable(text: str) -> str:
    """Return text on one line, with blanks for what a terminal or a page would obey instead of showing it.

    That is control characters, what turns the direction of writing around, and ends of lines.

    >>> printable("bad\\x1b[2Jname\\u202e")
    'bad [2Jname '
    """
    return text if text.isprintable() else "".join([sign if sign.isprintable() else " " for sign in text])


def surrogate_in(text: str) -> int | None:
    """Return where a lone surrogate stands in a text, which no database takes; ``None`` where there is none.

    >>> surrogate_in("a\\udcffb"), surrogate_in("ä")
    (1, None)
    """
    # Python's own error would keep the whole text, be it a password, as the context of ours.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def check_quotable(name: Any, what: str) -> str:
    """Return a name of a model, unless it is none: as ``check_identifier``, with letters beyond ASCII, in quotes.

    >>> check_quotable("größe", "column")
    'größe'

    Raises:
        InvalidIdentifierError: when it is not a name, or has more than 63 bytes, which PostgreSQL would cut.
    """
    is_name = isinstance(name, str) and exact(name).isidentifier() and len(exact(name).encode()) <= _LONGEST
    return exact(name) if is_name else check_identifier(name, what)


def check_identifier(name: Any, what: str = "column") -> str:
    """Return ``name``, unless it is none.

    >>> check_identifier("user_id")
    'user_id'
    >>> check_identifier("id; DROP TABLE users", "table")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    cloudpub_models.errors.InvalidIdentifierError: expected a table name (...); got 'id; DROP TABLE users'...

    Args:
        name: anything; only text can be a name.
        what: what the name is of, for the message.

    Raises:
        InvalidIdentifierError: when it is not a name.
    """
    if isinstance(name, str):
        text = exact(name)
        if len(text) <= _LONGEST and text.isascii() and text.isidentifier():
            return text
    raise InvalidIdentifierError(
        f'expected a {what} name ({RULE}); got {shown(name)}: SQL of your own goes into raw("…") where that is taken'
    )


def parse_table(text: Any) -> tuple[str, str | None]:
    """Return the name and the alias of ``name``, ``name alias`` or ``name AS alias``.

    >>> parse_table("users"), parse_table("functions f")
    (('users', None), ('functions', 'f'))

    Raises:
        InvalidIdentifierError: for anything else.
    """
    if isinstance(text, str):
        return _parsed_tables[exact(text),]
    raise InvalidIdentifierError(f'expected a table as "name" or "name alias"; got {shown(text)}')


@cache
def _table() -> re.Pattern[str]:
    # Compiled when first needed, as all patterns of this room: doing it on import would cost more than a small module.
    return re.compile(r"[ \t\r\n]*([A-Za-z0-9_]+)(?:[ \t\r\n]+(?:[Aa][Ss][ \t\r\n]+)?([A-Za-z0-9_]+))?[ \t\r\n]*")


def _parse_table(text: str) -> tuple[str, str | None]:
    match = _table().fullmatch(text)
    if match is None:
        raise InvalidIdentifierError(
            f'expected a table as "name" or "name alias"; got {shown(text)}: '
            'SQL of your own goes into raw("…"), as in table(raw("… AS name"))'
        )
    name, alias = match.groups()
    return check_identifier(name, "table"), None if alias is None else check_identifier(alias, "alias")


_parsed_tables = Remembered(_parse_table)
