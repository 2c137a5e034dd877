"""Values put into a statement exactly as psycopg2 would put them, only sooner.

The driver makes an object for each value, which for a lookup takes as long as everything else that Python does for it.
Most values need none: integers, and ASCII text with nothing in it that a string of SQL would have to escape. A
statement with any other value is left to the driver. A test compares both, byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_CONSTANTS = {None: "NULL", True: "true", False: "false"}


def filled(sql: str, parameters: Sequence[Any] | None) -> tuple[str, Sequence[Any] | None]:
    """Return a statement as the driver is to get it: with its values in it and no parameters, or as it was.

    >>> filled("SELECT id FROM users WHERE id = %s AND email = %s", (5, "ada@example.com"))
    ("SELECT id FROM users WHERE id = 5 AND email = 'ada@example.com'", None)
    >>> filled("SELECT id FROM users WHERE email = %s", ("o'hara@example.com",))
    ('SELECT id FROM users WHERE email = %s', ("o'hara@example.com",))
    """
    if not parameters:
        return sql, parameters
    literals: list[str] = []
    for value in parameters:
        kind = value.__class__
        if kind is str:
            # Without a quote or a backslash it ends where it should, whatever the session's settings; ASCII is the same
            # in every encoding; a NUL is for the driver to refuse.
            if "'" in value or "\\" in value or "\0" in value or not value.isascii():
                return sql, parameters
            literals.append(f"'{value}'")
        elif kind is int and value >= 0:
            literals.append(str(value))
        elif value is None or kind is bool:
            literals.append(_CONSTANTS[value])
        else:
            return sql, parameters
    return sql % tuple(literals), None
