"""Values for Peewee's own fields, which our models do not use: what both databases store alike, and nothing else.

Left to themselves SQLite would take any text for a date, and PostgreSQL round, pad, or drop a time zone in silence.
Fields of a subclass with a ``db_value`` of its own are not judged here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Context, Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import peewee

from cloudpub_models.entity.stored_forms import uuid_to_text
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.sql.identifiers import shown

Convert = Callable[[Any], Any]


def converter_for(field: peewee.Field[Any]) -> Convert | None:
    """Return what makes a value of the field's kind what the drivers take, or raises InvalidValueError."""
    make = _CONVERTERS.get(type(field))
    return None if make is None else make(field)


def _moments(field: peewee.Field[Any]) -> Convert:
    # As text, which is what Peewee makes of it on SQLite, and what a list of members can hold.
    def convert(value: Any) -> str:
        if isinstance(value, str):
            value = _parsed(datetime.fromisoformat, value, "a datetime")
        if type(value) is date:
            value = datetime(value.year, value.month, value.day)
        if not isinstance(value, datetime):
            raise InvalidValueError(f"expected a datetime; got {shown(value)}")
        if value.tzinfo is not None:
            raise InvalidValueError(
                f"expected a datetime without a time zone, as this column has none; got {value.isoformat(' ')}: "
                "pass value.astimezone(UTC).replace(tzinfo=None)"
            )
        return value.isoformat(" ")

    return convert


def _days(field: peewee.Field[Any]) -> Convert:
    def convert(value: Any) -> str:
        if isinstance(value, str):
            value = _parsed(date.fromisoformat, value, "a date")
        if type(value) is not date:
            raise InvalidValueError(f"expected a date; got {shown(value)}")
        return value.isoformat()

    return convert


def _clock_times(field: peewee.Field[Any]) -> Convert:
    def convert(value: Any) -> str:
        if isinstance(value, str):
            value = _parsed(time.fromisoformat, value, "a time")
        if not isinstance(value, time) or value.tzinfo is not None:
            raise InvalidValueError(f"expected a time without a time zone; got {shown(value)}")
        return value.isoformat()

    return convert


def _unix_times(field: Any) -> Convert:
    def convert(value: Any) -> int:
        if isinstance(value, datetime) and value.tzinfo is not None:
            raise InvalidValueError(f"expected a datetime without a time zone; got {value.isoformat(' ')}")
        if isinstance(value, bool) or not isinstance(value, int | date):
            raise InvalidValueError(f"expected a datetime, or an integer of seconds; got {shown(value)}")
        try:
            stored: int = field.db_value(value)
            field.python_value(stored)
        except (ValueError, OverflowError, OSError):
            raise InvalidValueError(f"expected a moment of the years 1 to 9999; got {shown(value)}") from None
        return stored

    return convert


def _uuids(field: peewee.Field[Any]) -> Convert:
    return lambda value: field.db_value(UUID(uuid_to_text(value)))  # type: ignore[no-untyped-call]


def _bytes(field: peewee.Field[Any]) -> Convert:
    def convert(value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise InvalidValueError(f"expected bytes; got {shown(value)}: text has to be encoded first")
        return bytes(value)

    return convert


def _decimals(field: Any) -> Convert:
    smallest = Decimal(1).scaleb(-field.decimal_places)
    limit = Decimal(10) ** (field.max_digits - field.decimal_places)
    # Python's own context has 28 digits, of which a rounding may need one more than the column.
    context = Context(prec=field.max_digits + 1)

    def convert(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
            raise InvalidValueError(f"expected a number; got {shown(value)}")
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            raise InvalidValueError(f"expected a number; got {shown(value)}") from None
        if not number.is_finite():
            raise InvalidValueError(f"expected a finite number; got {number}")
        if number.copy_abs() >= limit:
            raise InvalidValueError(f"expected a number of magnitude below {limit}; got {shown(value)}")
        rounded = number.quantize(smallest, rounding=field.rounding, context=context)
        if (rounded != number and not field.auto_round) or rounded.copy_abs() >= limit:
            raise InvalidValueError(f"expected at most {field.decimal_places} decimal places; got {number}: round it")
        return rounded

    return convert


def _single_floats(field: peewee.Field[Any]) -> Convert:
    # REAL on PostgreSQL, which has 32 bits; SQLite's has 64.
    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise InvalidValueError(f"expected a number; got {shown(value)}")
        try:
            number = float(value)
            single: float = struct.unpack("<f", struct.pack("<f", number))[0]
        except (OverflowError, ValueError):
            raise InvalidValueError(
                "expected a number that 32 bits can hold; use a DoubleField for larger ones"
            ) from None
        lost = isinstance(value, Decimal) and value.is_finite() and number - number != 0
        if number != number or lost or (number and not single):
            raise InvalidValueError(f"expected a number that 32 bits can hold; got {number!r}")
        return number

    return convert


def _addresses(field: peewee.Field[Any]) -> Convert:
    def convert(value: Any) -> Any:
        parts = value.split(".") if isinstance(value, str) else []
        if len(parts) != 4 or not all(part.isascii() and part.isdecimal() and len(part) <= 3 for part in parts):
            raise InvalidValueError(f"expected an IPv4 address such as '192.0.2.1'; got {shown(value)}")
        try:
            return field.db_value(".".join([str(int(part)) for part in parts]))  # type: ignore[no-untyped-call]
        except OSError:
            raise InvalidValueError(f"expected an IPv4 address such as '192.0.2.1'; got {shown(value)}") from None

    return convert


def _parsed(parse: Callable[[str], Any], text: str, what: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        raise InvalidValueError(f"expected {what}, or its ISO 8601 text; got {shown(text)}") from None


_CONVERTERS: dict[type[Any], Callable[[Any], Convert]] = {
    peewee.DateTimeField: _moments,
    peewee.DateField: _days,
    peewee.TimeField: _clock_times,
    peewee.TimestampField: _unix_times,
    peewee.UUIDField: _uuids,
    peewee.BlobField: _bytes,
    peewee.DecimalField: _decimals,
    peewee.FloatField: _single_floats,
    peewee.IPField: _addresses,
}
