"""Values on their way to the database: checked against their column and put into the form the drivers take.

One encoder per field, made once; what it refuses never reaches the wire, on either database. Which statement a value
goes into is not known here.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import peewee

from cloudpub_models.entity.base import secret_columns
from cloudpub_models.entity.fields import JsonField, TimestampField, UuidField
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.manager.columns.conversions import stores_as, writes_usual_json
from cloudpub_models.manager.columns.peewee_encoding import converter_for
from cloudpub_models.sql import values as sql_values
from cloudpub_models.sql.identifiers import represented, surrogate_in
from cloudpub_models.sql.text.secrets import as_secret
from cloudpub_models.sql.values import json_to_text, moment_to_text

Encoder = Callable[[Any], Any]
Kind = Literal["text", "integer", "timestamp", "uuid", "other"]

# PostgreSQL's limit for one field is 1 GB; a longer text makes the server drop the connection.
_LONGEST_TEXT = 250_000_000

# What rows are looked up by nearly always: single values, as their types tell sooner than anything else.
TYPES_OF_KEYS = frozenset({int, UUID, str})

_INTEGER_BITS: tuple[tuple[type[peewee.Field[Any]], int], ...] = (
    (peewee.SmallIntegerField, 16),
    (peewee.BigIntegerField, 64),
    (peewee.BigAutoField, 64),
    (peewee.IntegerField, 32),
)


def encoder_for(field: peewee.Field[Any]) -> Encoder:
    """Return the function that checks a value for a field's column and returns it as the drivers take it.

    It passes ``None``, since the database itself keeps NOT NULL, and raises InvalidValueError, naming the column, for
    what the column cannot hold.
    """
    encode = _encoder_of_kind(field, _column_name(field))
    return (lambda value: as_secret(encode(value))) if _is_secret(field) else encode


def _encoder_of_kind(field: peewee.Field[Any], column: str) -> Encoder:
    if isinstance(field, peewee.ForeignKeyField):
        return _reference_encoder(field, column)
    if stores_as(field, JsonField, peewee.JSONField):
        return _document_encoder(column) if writes_usual_json(field) else _own_document_encoder(field, column)
    if isinstance(field, UuidField) and stores_as(field, UuidField):
        return _uuid_encoder(field, column)
    if isinstance(field, TimestampField) and stores_as(field, TimestampField):
        return _timestamp_encoder(field, column)
    if (convert := converter_for(field)) is not None:
        return _converting_encoder(convert, field, column)
    if isinstance(field, peewee.FixedCharField) and stores_as(field, peewee.FixedCharField):
        return _converting_encoder(_of_length(field.max_length), field, column)
    if bits := _integer_bits(field):
        return _integer_encoder(field, column, bits)
    if stores_as(field, peewee.BooleanField):
        return lambda value: None if value is None else _boolean(value, column)
    if stores_as(field, peewee.FloatField):
        return lambda value: None if value is None else _float(value, column)
    if stores_as(field, peewee.CharField, peewee.TextField):
        return _text_encoder(column, _longest(field), secret=_is_secret(field))
    return _converting_encoder(field.db_value, field, column)


def kind_of(field: peewee.Field[Any]) -> tuple[Kind, int]:
    """Return what a field's column holds, with the length of its longest text or the largest of its integers.

    ``"other"`` stands for everything that only its encoder can judge.
    """
    if isinstance(field, peewee.ForeignKeyField):
        return kind_of(field.rel_field)
    if stores_as(field, UuidField):
        return "uuid", 0
    if stores_as(field, TimestampField):
        return "timestamp", 0
    if bits := _integer_bits(field):
        return "integer", 2 ** (bits - 1) - 1
    if stores_as(field, peewee.CharField, peewee.TextField) and not isinstance(field, peewee.FixedCharField):
        return "text", _longest(field)
    return "other", 0


def _integer_bits(field: peewee.Field[Any]) -> int:
    """Return the width of a field that holds integers as they are; 0 where it holds something else."""
    if not stores_as(field, peewee.IntegerField):
        return 0
    return next((bits for kind, bits in _INTEGER_BITS if isinstance(field, kind)), 0)


def _longest(field: peewee.Field[Any]) -> int:
    longest: int | None = getattr(field, "max_length", None)
    return _LONGEST_TEXT if longest is None else longest


def _column_name(field: peewee.Field[Any]) -> str:
    return f"{field.model._meta.table_name}.{field.column_name}"


def _of_length(length: int) -> Encoder:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) != length:
            raise InvalidValueError(
                f"expected exactly {length} characters, since PostgreSQL fills such a column up with blanks; "
                f"got {_shown(value)}"
            )
        return value

    return check


def _is_secret(field: peewee.Field[Any]) -> bool:
    return field.column_name in secret_columns(field.model)


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return f"{type(value).__name__} of {value.bit_length()} bits"  # Python refuses to write out the largest ones
    hint = ": pass the value of one of its columns, its .id or .uuid say" if isinstance(value, peewee.Model) else ""
    return f"{type(value).__name__} {represented(value)}{hint}"


def _converting_encoder(convert: Encoder, field: peewee.Field[Any], column: str) -> Encoder:
    """Convert, and name the column in what the conversion refuses."""

    def encode(value: Any) -> Any:
        if value is None:
            return None
        try:
            encoded = convert(value)
            # Peewee's fields let expressions through, which to them a model's instance is too.
            if encoded is value and isinstance(value, peewee.Node):
                raise InvalidValueError(f"expected a value; got {_shown(value)}")
            return _as_driver_takes_it(encoded)
        except InvalidValueError as error:
            raise InvalidValueError(f"{column}: {_with_hint(field, value, str(error))}") from None
        except (TypeError, ValueError, ArithmeticError) as error:
            raise InvalidValueError(
                f"{column}: expected a value for {type(field).__name__}; got {_shown(value)} ({error})"
            ) from error

    return encode


def _as_driver_takes_it(encoded: Any) -> Any:
    """Return what a field's ``db_value`` made as a plain value, which COPY and arrays can be written with too."""
    if type(encoded) is str:  # by far the most
        return sql_values.encode(encoded)
    if isinstance(encoded, peewee.Function):
        encoded = _as_sqlite_keeps_it(encoded)
    # What the driver wraps documents and binary data in keeps the data as ``adapted``.
    wrapped = getattr(encoded, "adapted", encoded)
    if wrapped is not encoded and hasattr(encoded, "dumps"):
        encoded = encoded.dumps(wrapped)
    if isinstance(encoded, str):
        return sql_values.encode(encoded)
    return bytes(wrapped) if isinstance(wrapped, bytes | bytearray | memoryview) else encoded


def _document_encoder(column: str) -> Encoder:
    def encode(value: Any) -> Any:
        if value is None:
            return None
        try:
            return json_to_text(value)
        except InvalidValueError as error:
            raise InvalidValueError(f"{column}: {error}") from None

    return encode


def _own_document_encoder(field: Any, column: str) -> Encoder:
    return _converting_encoder(lambda value: _without_spaces(field._dumps(value)), field, column)


def _without_spaces(document: str) -> str:
    """Return the text of a JSON document as SQLite's ``json()`` does, by which Peewee sends it."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', r"\1", document)


def _as_sqlite_keeps_it(call: Any) -> str:
    """Return what ``json(text)`` is, which playhouse's JSONField makes of a document."""
    if call.name.lower() != "json" or len(call.arguments) != 1 or not isinstance(call.arguments[0], str):
        raise InvalidValueError(
            f"expected a field that makes a value of one; got SQL, {call.name}(…): use Peewee's calls"
        )
    return _without_spaces(call.arguments[0])


def _uuid_encoder(field: UuidField, column: str) -> Encoder:
    convert = _converting_encoder(field.db_value, field, column)

    def encode(value: Any) -> Any:
        if type(value) is not UUID:
            return convert(value)
        # As ``str`` writes it, in four fifths of the time.
        digits = value.int.to_bytes(16).hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    return encode


def _timestamp_encoder(field: TimestampField, column: str) -> Encoder:
    convert = _converting_encoder(field.db_value, field, column)

    def encode(value: Any) -> Any:
        return moment_to_text(value) if type(value) is datetime and value.tzinfo is UTC else convert(value)

    return encode


def _with_hint(field: peewee.Field[Any], value: Any, message: str) -> str:
    if isinstance(field, UuidField) and isinstance(value, int):
        return f"{message}; this column holds the public UUID, not the internal integer id: pass the row's .uuid"
    return message


def _reference_encoder(field: peewee.ForeignKeyField[Any], column: str) -> Encoder:
    encode_key = _encoder_of_kind(field.rel_field, column)
    target, key = field.rel_model, field.rel_field.name
    bits = _integer_bits(field.rel_field)
    # An integer between them is a key of numbers as it is; of other keys there is none.
    smallest, largest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if bits else (1, 0)

    def encode(value: Any) -> Any:
        # Most keys are numbers that fit, which takes no other function to tell.
        if type(value) is int and smallest <= value <= largest:
            return value
        # Nearly always a key, which is told by its type sooner than that it is no model.
        if type(value) not in TYPES_OF_KEYS and isinstance(value, target):
            value = getattr(value, key)
            if value is None:
                raise InvalidValueError(
                    f"{column}: expected a saved {target.__name__}; this one has no {key} yet: insert it first"
                )
        return encode_key(value)

    return encode


def _integer_encoder(field: peewee.Field[Any], column: str, bits: int) -> Encoder:
    smallest, largest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def encode(value: Any) -> Any:
        if type(value) is not int:
            if value is None:
                return None
            value = _as_integer(value, field, column)
        if not smallest <= value <= largest:
            raise InvalidValueError(
                f"{column}: expected an integer of {bits} bits, {smallest} to {largest}; got {_shown(value)}"
            )
        return value

    return encode


def _as_integer(value: Any, field: peewee.Field[Any], column: str) -> int:
    if isinstance(value, UUID) or (isinstance(value, str) and _is_uuid_text(value)):
        raise InvalidValueError(
            f"{column}: expected an internal integer id; got the public UUID {str(value)!r}: "
            f"look the row up with {_manager_of_ids(field)}.find_by_uuid(…) and pass its .id"
        )
    if isinstance(value, bool | float | str):
        raise InvalidValueError(f"{column}: expected an integer; got {_shown(value)}")
    try:
        return operator.index(value)
    except TypeError:
        raise InvalidValueError(f"{column}: expected an integer; got {_shown(value)}") from None


def _manager_of_ids(field: peewee.Field[Any]) -> str:
    return f"managers.{field.model._meta.table_name}"


def _is_uuid_text(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def _boolean(value: Any, column: str) -> bool:
    if isinstance(value, bool):
        return value
    if type(value) is int and value in (0, 1):
        return value == 1
    raise InvalidValueError(f"{column}: expected True or False; got {_shown(value)}")


def _float(value: Any, column: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise InvalidValueError(f"{column}: expected a number; got {_shown(value)}")
    try:
        number = float(value)
    except (OverflowError, ValueError):
        raise InvalidValueError(f"{column}: expected a number that a double can hold; got {_shown(value)}") from None
    if math.isinf(number) and isinstance(value, Decimal) and value.is_finite():
        raise InvalidValueError(f"{column}: expected a number that a double can hold; got {_shown(value)}")
    if math.isnan(number):
        raise InvalidValueError(f"{column}: expected a number; got NaN, which SQLite would store as NULL")
    return number


def _text_encoder(column: str, longest: int, *, secret: bool) -> Encoder:
    def encode(value: Any) -> Any:
        if type(value) is not str:
            if value is None:
                return None
            value = _as_text(value, column, secret=secret)
        if len(value) > longest:
            raise InvalidValueError(f"{column}: expected at most {longest} characters; got {len(value)}")
        if "\0" in value:
            raise InvalidValueError(
                f"{column}: expected text without NUL characters, which PostgreSQL cannot store; got one at position "
                f"{value.index(chr(0))}"
            )
        if not value.isascii():
            _refuse_surrogates(value, column)
        return value

    return encode


def _as_text(value: Any, column: str, *, secret: bool) -> str:
    if isinstance(value, Enum) and isinstance(value.value, str):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    # A password hash often comes as bytes, which is no reason to tell it to whoever reads the message.
    raise InvalidValueError(f"{column}: expected text; got {type(value).__name__ if secret else _shown(value)}")


def _refuse_surrogates(value: str, column: str) -> None:
    if (position := surrogate_in(value)) is not None:
        raise InvalidValueError(
            f"{column}: expected valid Unicode; got a lone surrogate at position {position}: "
            "decode the bytes it came from with their real encoding"
        )
