"""Values that are never shown: which names promise one, and how one is recognized among a statement's parameters.

A secret travels as an ordinary string or integer of a class of its own, which the drivers bind as any other. Nothing
here keeps a value from being sent; those who show parameters (``connection.observation``) ask `shown_parameters`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

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


def as_secret(value: Any) -> Any:
    """Return an encoded value marked as a secret; what cannot be marked comes back as it is."""
    if type(value) is str:
        return SecretText(value)
    return SecretInteger(value) if type(value) is int else value


def declare_secret_columns(names: Iterable[str]) -> None:
    """Have values of columns with these names never shown, whatever statement they are in."""
    lowered = {name.lower() for name in names}
    if not lowered <= _declared:
        _declared.update(lowered)
        for cached in (_declared_names, is_secret_name, secrets_expected):
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

    Where the statement compares or sets a secret column more often than it has marked values, as raw SQL may, nothing
    tells which value is the secret: all are masked.

    >>> shown_parameters("SELECT id FROM users WHERE email = ? AND secret = ?", ("a@b.c", SecretText("x")))
    ('a@b.c', '***')
    """
    marked = sum(map(_is_secret, parameters))
    if marked < secrets_expected(sql):
        return (MASK,) * len(parameters)
    return tuple([MASK if isinstance(value, _NEVER_SHOWN) else value for value in parameters])


_NEVER_SHOWN = (Secret, bytes, bytearray, memoryview)


def _is_secret(value: Any) -> bool:
    return isinstance(value, Secret)


@lru_cache(maxsize=1024)
def secrets_expected(sql: str) -> int:
    """Return how often a statement names a secret column where a value may belong to it."""
    names = _declared_names()
    if names is None or not names.search(sql):
        return 0
    return len(names.findall(_without_lists()(" ", sql)))


@cache
def _declared_names() -> re.Pattern[str] | None:
    return re.compile(rf"\b({'|'.join(map(re.escape, _declared))})\b", re.IGNORECASE) if _declared else None


@cache
def _without_lists() -> Any:
    # Columns that only come back, in lists without a placeholder, and those that take over the value of the same row.
    return re.compile(
        r"\A\s*SELECT\b[^%?(]*?\bFROM\b|\bRETURNING\b[^%?]*\Z|\b(\w+)[\"`]?\s*=\s*EXCLUDED\.[\"`]?\1\b", re.IGNORECASE
    ).sub
