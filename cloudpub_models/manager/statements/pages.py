"""Pages by key: where a page ends is remembered as the values of its last row, not as a number of rows to skip.

So the next page costs what the first did, and rows inserted or deleted meanwhile shift nothing. The cursor carries
those values, the table and the order they belong to, and a checksum; it is opaque, not secret, and anybody can make
another, unless the database has a key that seals it. Whatever is in it reaches the database as a parameter only, and no
secret column is ordered by.

Rows that are equal in an order follow each other by the primary key, as the indexes have them and as they came, and the
cursor tells it: a place in that order that holds when its row is deleted meanwhile can be told by nothing else. Who
orders by the public UUID at the end has cursors without it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import peewee

from cloudpub_models.connection.cursor_seal import CursorSeal
from cloudpub_models.connection.engine import Engine
from cloudpub_models.errors import InvalidCursorError, InvalidQueryError
from cloudpub_models.manager.arguments.order import Order, OrderBy, OrderWithValues, parse_order
from cloudpub_models.manager.columns.decoding import decoder_for
from cloudpub_models.manager.columns.table import Column, Table
from cloudpub_models.sql import SQLITE
from cloudpub_models.sql.nodes import expressions
from cloudpub_models.sql.nodes.conditions import Comparison, Condition, Group, RowComparison

_CHECKSUM_BYTES = 8


def complete_order(order_by: OrderBy, order_direction: str, table: Table, engine: Engine) -> Order:
    """Return the order with the primary key at its end, so that no two rows are equal in it.

    One by a public UUID is complete without: its cursors tell no internal id.

    Raises:
        UnknownColumnError, InvalidQueryError: see ``parse_order``.
    """
    nothing = order_by is None or (isinstance(order_by, list | tuple) and not order_by)
    order = parse_order(table.key_names if nothing else order_by, order_direction, table, engine)
    named = {name for name, _ in order}
    if not table.public_key_names.isdisjoint(named):
        return order
    last = order[-1][1] if order else "ASC"
    completed = tuple(order) + tuple((name, last) for name in table.key_names if name not in named)
    return OrderWithValues(completed, order.values) if isinstance(order, OrderWithValues) else completed


def encode_cursor(row: peewee.Model, order: Order, table: Table, seal: CursorSeal | None) -> str:
    """Return the cursor of the page that begins after a row."""
    values = [
        _portable(table.columns[name].encode(row.__data__[table.columns[name].field.name]), name) for name, _ in order
    ]
    payload = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    belonging = _belonging(order, table)
    text = _checksum(payload, belonging) + payload if seal is None else seal.seal(payload, belonging)
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode_cursor(cursor: Any, order: Order, table: Table, seal: CursorSeal | None) -> list[Any]:
    """Return the encoded values of the row that a page begins after.

    Raises:
        InvalidCursorError: the cursor was changed, or belongs to another table or order.
    """
    if not isinstance(cursor, str):
        raise InvalidCursorError(
            f"expected a cursor from next_cursor, or None for the first page; got {type(cursor).__name__}"
        )
    try:
        decoded = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        belonging = _belonging(order, table)
        payload = _unsealed(decoded, belonging) if seal is None else seal.open(decoded, belonging)
        values: list[Any] = json.loads(payload)
        # Without a seal anybody can make a cursor; what is in it still has to fit the columns.
        if not isinstance(values, list) or len(values) != len(order):
            raise ValueError("it has another number of values")
        for (name, _), value in zip(order, values, strict=True):
            _check_value(value, table.columns[name])
    except (ValueError, TypeError, ArithmeticError, InvalidQueryError, RecursionError):
        ordered = ", ".join([f"{name} {direction}" for name, direction in order])
        raise InvalidCursorError(
            f"expected a cursor of {table.name} ordered by {ordered}; this one was changed or belongs to another "
            "order: pass next_cursor as it came, with the same order, or start again without one"
        ) from None
    return values


def rows_after(values: Sequence[Any], order: Order, table: Table) -> tuple[Condition, list[Any]]:
    """Return the condition that is true of the rows after one in the order, and the values of its parameters.

    NULLs come last in ascending and first in descending order, on both databases.
    """
    directions = {direction for _, direction in order}
    nullable = any(table.columns[name].field.null for name, _ in order)
    if len(directions) == 1 and not nullable:
        # Comparing rows lets one range of an index on these columns answer it.
        columns = tuple([expressions.Column(None, name) for name, _ in order])
        return RowComparison(columns, ">" if directions == {"ASC"} else "<"), list(values)
    alternatives: list[Condition] = []
    parameters: list[Any] = []
    for position, (name, direction) in enumerate(order):
        after = _after(name, direction, values[position], nullable=bool(table.columns[name].field.null))
        if after is None:
            continue
        equal = [_equal(previous, values[index]) for index, (previous, _) in enumerate(order[:position])]
        alternatives.append(Group.all(*[condition for condition, _ in equal], after[0]))
        parameters += [value for _, own in equal for value in own] + after[1]
    return Group(tuple(("OR", alternative) for alternative in alternatives)), parameters


def _after(name: str, direction: str, value: Any, *, nullable: bool) -> tuple[Condition, list[Any]] | None:
    if direction == "ASC":
        if value is None:
            return None
        greater = _compared(name, ">")
        return (Group((("AND", greater), ("OR", _compared(name, "IS NULL")))) if nullable else greater), [value]
    return (_compared(name, "IS NOT NULL"), []) if value is None else (_compared(name, "<"), [value])


def _equal(name: str, value: Any) -> tuple[Condition, list[Any]]:
    return (_compared(name, "IS NULL"), []) if value is None else (_compared(name, "="), [value])


def _compared(name: str, operator: str) -> Comparison:
    return Comparison(expressions.Column(None, name), operator)


def _check_value(value: Any, column: Column) -> None:
    if value is None:
        if not column.field.null:
            raise ValueError(f"{column.name} is never NULL")
        return
    # What is portable are the forms in which SQLite has values.
    decode = decoder_for(column.field, SQLITE) or (lambda encoded: encoded)
    if _portable(column.encode(decode(value)), column.name) != value:
        raise ValueError(f"{column.name} holds no such value")


def _portable(value: Any, name: str) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Decimal):
        return str(value)
    raise InvalidQueryError(
        f"expected an order by columns of text, numbers, times or UUIDs; {name} holds {type(value).__name__}"
    )


def _belonging(order: Order, table: Table) -> bytes:
    return json.dumps([table.name, order]).encode()


def _unsealed(text: bytes, belonging: bytes) -> bytes:
    checksum, payload = text[:_CHECKSUM_BYTES], text[_CHECKSUM_BYTES:]
    if checksum != _checksum(payload, belonging):
        raise ValueError("its checksum does not match")
    return payload


def _checksum(payload: bytes, belonging: bytes) -> bytes:
    return hashlib.blake2b(belonging + b"\0" + payload, digest_size=_CHECKSUM_BYTES).digest()
