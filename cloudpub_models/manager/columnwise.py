"""Many values of one column at once: checked, and written as PostgreSQL's COPY and array text, a column at a time.

The usual case, where nothing needs a second look, is decided for a whole column by a few calls that run in C; else
each value takes the way that single values take (``values``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cloudpub_models.manager.table import Column
from cloudpub_models.sql.values import array_literal

_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def encode_column(column: Column, values: Sequence[Any]) -> Sequence[Any]:
    """Return the values of a column as the drivers take them, checked as single values are."""
    kinds = set(map(type, values))
    if kinds == {str} and column.kind == "text":
        joined = "".join(values)
        if joined.isascii() and "\0" not in joined and max(map(len, values)) <= column.longest:
            return values
    elif kinds == {int} and column.kind == "integer":
        if min(values) >= -column.longest and max(values) <= column.longest:
            return values
    elif kinds == {datetime} and column.kind == "timestamp" and {value.tzinfo for value in values} == {UTC}:
        return [value.isoformat(" ", "microseconds")[:26] for value in values]
    elif kinds == {UUID} and column.kind == "uuid":
        return list(map(str, values))
    return [column.encode(value) for value in values]


def copy_texts(values: Sequence[Any]) -> Sequence[str]:
    """Return encoded values in COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html)."""
    kinds = set(map(type, values))
    if kinds == {str}:
        joined = "".join(values)
        if not any(character in joined for character in "\\\t\n\r"):
            return values
        return [value.translate(_COPY_ESCAPES) for value in values]
    if kinds == {int}:
        return list(map(str, values))
    return [_copy_text(value) for value in values]


def copy_lines(columns: Sequence[Sequence[Any]]) -> str:
    """Return rows, given as their columns of encoded values, as COPY's text."""
    return "\n".join(map("\t".join, zip(*map(copy_texts, columns), strict=True))) + "\n"


def array_text(values: Sequence[Any]) -> str:
    """Return encoded values as a PostgreSQL array literal."""
    kinds = set(map(type, values))
    if kinds == {str}:
        joined = "".join(values)
        if '"' not in joined and "\\" not in joined:
            return '{"' + '","'.join(values) + '"}'
    elif kinds == {int}:
        return "{" + ",".join(map(str, values)) + "}"
    return array_literal(values)


def _copy_text(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_COPY_ESCAPES)
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    return str(value)
