"""Values that are never shown: which names promise one, and how one is recognized among a statement's parameters.

A secret travels as an ordinary string or integer of a class of its own, which the drivers bind as any other. Nothing
here keeps a value from being sent; those who show parameters ask ``shown_parameters``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE, Dialect
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.text.statements import plain, words_of
from cloudpub_models.sql.text.tokens import STRINGS, Token, code, tokens

MASK = "***"

# Replaced and never changed, since caches have it for a key.
_declared: frozenset[str] = frozenset()


class Secret:
    """Mixed into a value's type, says that the value is not to be shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


class SecretText(Secret, str):
    """Text that is not to be shown.

    >>> SecretText("hash") == "hash", SecretText("hash")
    (True, '***')
    """

    __slots__ = ()


class SecretInteger(Secret, int):
    """An integer that is not to be shown."""

    __slots__ = ()

    # Without it ``str`` would ask ``__repr__``, and the mask be written to the database.
    __str__ = int.__repr__


class NamedSecretText(SecretText):
    """Text that is not to be shown, since its parameter's name says so; of which column it is, nobody knows."""

    __slots__ = ()


class NamedSecretInteger(SecretInteger):
    """An integer that is not to be shown, since its parameter's name says so."""

    __slots__ = ()


def as_secret(value: Any) -> Any:
    """Return a secret column's encoded value marked as a secret; what cannot be marked comes back as it is."""
    if type(value) is str:
        return SecretText(value)
    return SecretInteger(value) if type(value) is int else value


def as_named_secret(value: Any) -> Any:
    """Return the encoded value of a parameter with a secret's name, marked as ``as_secret`` does."""
    if type(value) is str:
        return NamedSecretText(value)
    return NamedSecretInteger(value) if type(value) is int else value


def declare_secret_columns(names: Iterable[str]) -> None:
    """Have values of columns with these names never shown, whatever statement they are in."""
    global _declared
    _declared |= {name.lower() for name in names}


def names_secret_column(text: str) -> bool:
    """Return whether a list of columns or expressions names a secret column.

    >>> names_secret_column("u.name, LOWER(u.email)")
    False
    """
    return any(token.name.lower() in _declared for token in tokens(text, POSTGRESQL))


def is_secret_name(name: str) -> bool:
    """Return whether a parameter of this name holds a secret.

    >>> is_secret_name("new_password"), is_secret_name("email")
    (True, False)
    """
    return _promises_secret[name, _declared]


_promises_secret = Remembered(
    lambda name, declared: (
        name.lower() in declared or bool(re.search("passw|secret|token|credential|api_?key", name, re.IGNORECASE))
    )
)


def shown_parameters(sql: str, parameters: Sequence[Any]) -> tuple[Any, ...]:
    """Return a statement's parameters with ``***`` for each secret, and for bytes.

    Where the statement compares or sets a secret column more often than it has values of secret columns, as raw SQL
    does, nothing tells which value is the secret: all are masked. A parameter's name does not tell either, since
    another parameter's name may be as good.

    >>> shown_parameters("SELECT id FROM users WHERE email = ? AND secret = ?", ("a@b.c", SecretText("x")))
    ('a@b.c', '***')
    """
    marked = sum(map(_is_of_a_secret_column, parameters))
    if marked < secrets_expected(sql):
        return (MASK,) * len(parameters)
    return tuple([MASK if isinstance(value, _NEVER_SHOWN) else value for value in parameters])


def without_secrets(message: str, sql: str, parameters: Sequence[Any]) -> str:
    """Return what a database says of a statement without the values that are secrets.

    >>> without_secrets('invalid input syntax for type integer: "x"', "SELECT CAST(? AS INT)", [NamedSecretText("x")])
    'invalid input syntax for type integer: "***"'
    """
    for value, shown in zip(parameters, shown_parameters(sql, parameters), strict=True):
        if shown is not MASK or not isinstance(value, str | int) or not str(value):
            continue
        text = re.escape(str.__str__(value) if isinstance(value, str) else str(value))
        # A short one is a part of many words.
        pattern = text if len(text) >= _SHORTEST_SEARCHED else f'(?<="){text}(?=")'
        message = re.sub(pattern, MASK, message, flags=re.IGNORECASE)
    return message


def mentions_secret_column(sql: str) -> bool:
    """Return whether a secret column is named anywhere in a statement, in its strings too.

    >>> mentions_secret_column("SELECT 1")
    False
    """
    lowered = sql.lower()
    return any(name in lowered for name in _declared)


_SHORTEST_SEARCHED = 4
_NEVER_SHOWN = (Secret, bytes, bytearray, memoryview)


def _is_of_a_secret_column(value: Any) -> bool:
    return type(value) is SecretText or type(value) is SecretInteger


def secrets_expected(sql: str) -> int:
    """Return how many values of secret columns a statement seems to have, at least.

    An INSERT that does not name its columns, on its own or in a MERGE, may set any.

    Args:
        sql: the statement in the notation of either database's driver; where the two read it differently, the reading
            with more secrets counts.
    """
    return max(_expected[sql, POSTGRESQL, _declared], _expected[sql, SQLITE, _declared]) if _declared else 0


def _count_expected(sql: str, dialect: Dialect, declared: frozenset[str]) -> int:
    lowered = sql.lower()
    if not any(text in lowered for text in ("insert", "into", 'u&"', *declared)):
        return 0
    pieces = code(tokens(sql, dialect))
    words = words_of(pieces)
    expected = sum(_inserts_without_columns(words, position) for position in range(len(words)))
    start, end = _beside_shown_columns(sql, pieces, words)
    taken_over = -1
    for position in range(start, end):
        token, name = pieces[position], plain(words[position])
        if token.kind in STRINGS:
            # It may be the key of a JSON document.
            expected += any(secret in token.text.lower() for secret in declared)
        elif position != taken_over and _is_secret(token, declared):
            if list(map(plain, words[position + 1 : position + 5])) == ["=", "excluded", ".", name]:
                taken_over = position + 4
            else:
                expected += _values_compared(words, position + 1)
    return expected


_expected = Remembered(_count_expected)


def _is_secret(token: Token, declared: frozenset[str]) -> bool:
    # Anything may hide behind the escapes of U&"…".
    return token.name.lower() in declared or (token.kind == "quoted" and token.text[0] in "uU" and "\\" in token.text)


def _beside_shown_columns(sql: str, pieces: Sequence[Token], words: Sequence[str]) -> tuple[int, int]:
    """Return where to look for secrets: not among columns that only come back, in lists without a placeholder."""
    start, end = 0, len(words)
    if words[:1] == ["select"] and "from" in words:
        first_table = words.index("from")
        shown = sql[: pieces[first_table].start]
        start = first_table if not any(mark in shown for mark in "%?(") else 0
    last_placeholder = max(sql.rfind("%"), sql.rfind("?"))
    for position in range(len(words) - 1, -1, -1):
        if pieces[position].start < last_placeholder:
            break
        if words[position] == "returning":
            end = position
    return start, end


def _values_compared(words: Sequence[str], position: int) -> int:
    """Return how many values a secret is compared with, or set to, by what follows it."""
    position += words[position : position + 1] == ["not"]
    keyword = "".join(words[position : position + 1])
    if keyword not in ("between", "in"):
        return 1
    placeholders = 0
    for word in islice(words, position + 1, None):
        if word not in ("?", "%", "s", ",", "and" if keyword == "between" else "("):
            break
        placeholders += word in ("?", "%")
    return max(1, min(placeholders, 2) if keyword == "between" else placeholders)


def _inserts_without_columns(words: Sequence[str], position: int) -> bool:
    if words[position] not in ("into", "insert"):
        return False
    position += 1
    if words[position - 1] == "into":
        while words[position + 1 : position + 2] == ["."]:
            position += 2
        position += 1
        if words[position : position + 1] == ["as"]:
            position += 2
    if words[position : position + 1] == ["overriding"]:
        position += 3
    while words[position : position + 1] == ["("]:
        position += 1
    return "".join(words[position : position + 1]) in ("values", "select", "with", "table")
