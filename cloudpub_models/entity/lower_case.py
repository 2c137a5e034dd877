"""Texts that are the same whatever the case of their ASCII letters, as addresses are.

Of the cases that Unicode knows none is meant, and none that a server's locale knows: a dotless i or a Kelvin sign in
somebody's address makes another address, on both databases alike.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final

import peewee

from cloudpub_models.entity.binding import current_database, sql_dialect_of

_LOWER_CASE: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def ascii_lower(text: str) -> str:
    """Return a text with its ASCII letters in lower case.

    >>> ascii_lower("JÜRGEN@Example.com")
    'jÜrgen@example.com'
    """
    return text.translate(_LOWER_CASE)


class AsciiLower(peewee.Function):
    """What ``ascii_lower`` makes of a column, in the words of the database that it is written for.

    For the keys of indexes and for conditions: a database uses the index for a condition of the same words.

    >>> database = peewee.SqliteDatabase(":memory:")
    >>> with current_database.bound_to(database):
    ...     User.select(User.id).where(AsciiLower(User.email) == "ada@example.com").sql()[0]
    'SELECT "t1"."id" FROM "users" AS "t1" WHERE (LOWER("t1"."email") = ?)'
    """

    def __init__(self, column: peewee.Field[str]) -> None:
        super().__init__("LOWER", (column,))

    def __sql__(self, context: Any) -> Any:
        """Write it."""
        arguments: Any = self.arguments
        (column,) = arguments
        collation = sql_dialect_of(current_database.resolve()).ascii_collation
        return context.sql(peewee.fn.LOWER(column if collation is None else column.collate(collation)))
