"""The result of a statement: its columns, and what makes its rows' values those that raw SQL promises.

Only the database knows the types of a result's columns; the engines put a decoder to each column that needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cloudpub_models.errors import InvalidQueryError

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

    Raises:
        InvalidQueryError: two columns have one name.
    """
    if not columns:
        return []
    names, decoders = zip(*columns, strict=True)
    require_distinct(names)
    if any(decoders):
        rows = decoded(columns, rows)
    return [dict(zip(names, row, strict=True)) for row in rows]


def by_name(names: Sequence[str], rows: list[Row]) -> list[dict[str, Any]]:
    """Return rows with values as they should be as dicts by the names of their columns.

    >>> by_name(["id", "name"], [(1, "resize")])
    [{'id': 1, 'name': 'resize'}]

    Raises:
        InvalidQueryError: two columns have one name.
    """
    require_distinct(names)
    return [dict(zip(names, row, strict=True)) for row in rows]


def require_distinct(names: Sequence[str]) -> None:
    """Raise InvalidQueryError where two columns of a result have one name: a dict would lose one of them.

    PostgreSQL calls every ``COUNT(…)`` ``count``, and whatever has no name of its own ``?column?``.

    >>> require_distinct(["id", "name", "id"])
    Traceback (most recent call last):
    ...
    cloudpub_models.errors.InvalidQueryError: expected a name of its own for each column of the result; got id more ...
    """
    if len(set(names)) == len(names):
        return
    repeated = sorted({name for name in names if names.count(name) > 1})
    raise InvalidQueryError(
        f"expected a name of its own for each column of the result; got {', '.join(repeated)} more than once: "
        "give one an alias, as in 'users.id AS user_id'"
    )


def _decoded_row(row: Row, decoders: list[tuple[int, Callable[[Any], Any]]]) -> Row:
    values = list(row)
    for position, decode in decoders:
        if values[position] is not None:
            values[position] = decode(values[position])
    return tuple(values)
