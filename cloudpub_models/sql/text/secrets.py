"""Values that are never shown: which names promise one, and how one is recognized among a statement's parameters.

A secret travels as an ordinary string or integer of a class of its own, which the drivers bind as any other. Nothing
here keeps a value from being sent; those who show parameters (``connection.listeners``) ask `shown_parameters`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

from cloudpub_models.sql.remembering import remembered_by_text

MASK = "***"

_declared: set[str] = set()


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
    """Return the encoded value of a parameter with a secret's name, marked as `as_secret` does."""
    if type(value) is str:
        return NamedSecretText(value)
    return NamedSecretInteger(value) if type(value) is int else value


def declare_secret_columns(names: Iterable[str]) -> None:
    """Have values of columns with these names never shown, whatever statement they are in."""
    lowered = {name.lower() for name in names}
    if not lowered <= _declared:
        _declared.update(lowered)
        for cached in (_declared_names, is_secret_name):
            cached.cache_clear()


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Return whether a parameter of this name holds a secret.

    >>> is_secret_name("new_password"), is_secret_name("email")
    (True, False)
    """
    return name.lower() in _declared or bool(re.search("passw|secret|token|credential|api_?key", name, re.IGNORECASE))


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


_NEVER_SHOWN = (Secret, bytes, bytearray, memoryview)


def _is_of_a_secret_column(value: Any) -> bool:
    return type(value) is SecretText or type(value) is SecretInteger


def secrets_expected(sql: str) -> int:
    """Return how many values of secret columns a statement seems to have, at least.

    An INSERT that does not name its columns may set any.
    """
    names = _declared_names()
    return 0 if names is None else _expected(sql, names)


@remembered_by_text
def _expected(sql: str, names: re.Pattern[str]) -> int:
    expected = len(_inserts_without_columns().findall(sql))
    if names.search(sql):
        for found in names.finditer(_without_lists().sub(" ", sql)):
            expected += max(1, found.group().count("%s") + found.group().count("?"))
    return expected


@cache
def _declared_names() -> re.Pattern[str] | None:
    several = r"[\"`]?\s+(?:NOT\s+)?(?:BETWEEN\s+(?:%s|\?)\s+AND\s+(?:%s|\?)|IN\s*\([%s?,\s]*\))"
    return (
        re.compile(rf"\b(?:{'|'.join(map(re.escape, _declared))})\b(?:{several})?", re.IGNORECASE)
        if _declared
        else None
    )


@cache
def _inserts_without_columns() -> re.Pattern[str]:
    name = r"(?:\"[^\"]*\"|[\w$]+)"
    return re.compile(
        rf"\bINTO\s+{name}(?:\s*\.\s*{name})?(?:\s+AS\s+{name})?\s*(?:OVERRIDING\s+\w+\s+VALUE\s*)?"
        r"(?:\b(?:VALUES|SELECT|WITH|TABLE)\b|\(\s*(?:SELECT|VALUES|WITH)\b)",
        re.IGNORECASE,
    )


@cache
def _without_lists() -> re.Pattern[str]:
    # Columns that only come back, in lists without a placeholder, and those that take over the value of the same row.
    return re.compile(
        r"\A\s*SELECT\b[^%?(]*?\bFROM\b|\bRETURNING\b[^%?]*\Z|\b(\w+)[\"`]?\s*=\s*EXCLUDED\.[\"`]?\1\b", re.IGNORECASE
    )
