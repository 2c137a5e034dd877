"""The result of a statement: its columns, and what makes its rows' values those that raw SQL promises.

Only the database knows the types of a result's columns; the engines put a decoder to each column that needs one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Row = tuple[Any, ...]

# A column's name, and what decodes its values that are not None; None where they are as they should be.
ResultColumn = tuple[str, Callable[[Any], Any] | None]
ResultColumns = tuple[ResultColumn, ...]


class StatementResult(NamedTuple):
    """What came of a statement of which nobody knows whether it reads or writes.

    Attributes:
        names: of its columns; none where it gives no rows.
        rows: with values as raw SQL promises them.
        touched: how many rows it has changed, or found; ``None`` where neither makes sense.
    """

    names: list[str]
    rows: list[Row]
    touched: int | None


def decoded(columns: ResultColumns, rows: list[Row]) -> list[Row]:
    """Return rows with values as raw SQL promises them.

    >>> decoded((("n", None), ("twice", lambda value: value * 2)), [(1, 1), (2, None)])
    [(1, 2), (2, None)]
    """
    decoders = [(position, decode) for position, (_, decode) in enumerate(columns) if decode is not None]
    return [_decoded_row(row, decoders) for row in rows] if decoders else rows


def as_dicts(columns: ResultColumns, rows: list[Row]) -> list[dict[str, Any]]:
    """Return rows as dicts by the names of their columns, with values as raw SQL promises them.

    >>> as_dicts((("n", None), ("twice", lambda value: value * 2)), [(1, 1), (2, None)])
    [{'n': 1, 'twice': 2}, {'n': 2, 'twice': None}]
    """
    if not rows:
        return []
    names, decoders = zip(*columns, strict=True)
    if any(decoders):
        rows = decoded(columns, rows)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _decoded_row(row: Row, decoders: list[tuple[int, Callable[[Any], Any]]]) -> Row:
    values = list(row)
    for position, decode in decoders:
        if values[position] is not None:
            values[position] = decode(values[position])
    return tuple(values)
