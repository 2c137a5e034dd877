"""Values on their way back: what a driver gives becomes Python values, one by one or a whole column at a time.

A single value is decoded by a function that takes every form in which it may be stored and says what is wrong where one
is. A column of many values takes the form in which this library stores them, and lets C loops do the work; where a
value has any other form it raises, and the rows are decoded one by one instead.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import repeat, starmap
from typing import Any
from uuid import UUID, SafeUUID

import peewee

from cloudpub_models.entity.fields import JsonField, TimestampField, UuidField
from cloudpub_models.entity.stored_forms import json_from_text, json_reader, timestamp_from_database, uuid_from_database
from cloudpub_models.manager.columns.conversions import reads_as, reads_usual_json
from cloudpub_models.sql import Dialect

Decoder = Callable[[Any], Any]
ColumnDecoder = Callable[[Sequence[Any]], Sequence[Any]]

# What a column's decoder raises for a value of another form.
UNEXPECTED_FORM = (ValueError, TypeError, AttributeError, StopIteration)

# UUID.__init__ weighs six ways of being called; filling the two slots takes a third of its time.
new_uuid = UUID.__new__
set_uuid_int = UUID.int.__set__  # type: ignore[attr-defined, misc]
set_uuid_is_safe = UUID.is_safe.__set__  # type: ignore[attr-defined, misc]

_moment = datetime.fromisoformat
_split_uuids = struct.Struct("16s").iter_unpack
_run_through = deque[Any](maxlen=0).extend


def decoder_for(field: peewee.Field[Any], dialect: Dialect, *, decoded: bool = False) -> Decoder | None:
    """Return the function that makes a driver's value, never ``None``, a field's Python value; ``None`` for none.

    Args:
        field: the field.
        dialect: the database's dialect.
        decoded: whether timestamps, UUIDs and JSON have been decoded by their type already, as raw rows are.
    """
    if isinstance(field, peewee.ForeignKeyField):
        return decoder_for(field.rel_field, dialect, decoded=decoded)
    if reads_as(field, UuidField):
        return uuid_from_database
    if reads_as(field, TimestampField):
        return timestamp_from_database
    if reads_as(field, JsonField, peewee.JSONField) and reads_usual_json(field):
        return None if decoded and dialect.decodes_json else json_from_text
    if reads_as(field, peewee.BooleanField):
        return None if dialect.typed_numbers else bool
    if reads_as(field, peewee.BlobField):
        return bytes
    if reads_as(field, peewee.FloatField):
        # What SQLite returns of a row that it has just written is an integer where the number is a whole one.
        return None if dialect.typed_numbers else float
    if reads_as(field, peewee.IntegerField, peewee.CharField, peewee.FixedCharField, peewee.TextField):
        return None
    if reads_as(field, peewee.JSONField) and not dialect.decodes_json:
        return field._loads  # type: ignore[attr-defined, no-any-return]
    if field.field_type in ("JSON", "JSONB") and dialect.decodes_json and not decoded:
        # A way of its own to read documents is given what Peewee's cursors would give it.
        read: Any = field.python_value
        return lambda text: read(json_from_text(text))
    if field.field_type == "DATETIME" and decoded:
        # What raw rows say is in UTC the column has without a zone.
        read_naive: Any = field.python_value
        return lambda moment: read_naive(moment.replace(tzinfo=None) if isinstance(moment, datetime) else moment)
    return field.python_value


def column_decoder_for(decoder: Decoder) -> ColumnDecoder:
    """Return the function that does to a whole column what a decoder does to a value; ``None`` stays ``None``."""
    decode_all = _DECODE_ALL.get(decoder)

    def decode_column(values: Sequence[Any]) -> Sequence[Any]:
        if decode_all is not None and None not in values:
            return decode_all(values)
        return [None if value is None else decoder(value) for value in values]

    return decode_column


def _uuids(values: Sequence[str]) -> list[UUID]:
    count = len(values)
    # White space between digits is skipped, and so is what keeps 32 of one value from being digits of two.
    digits = "\n".join(values).replace("-", "")
    raw = bytes.fromhex(digits)
    if digits[32::33] != "\n" * (count - 1) or len(raw) != 16 * count:
        raise ValueError("a UUID in another form than its text")
    uuids = list(map(new_uuid, repeat(UUID, count)))
    _run_through(map(set_uuid_int, uuids, starmap(int.from_bytes, _split_uuids(raw))))
    _run_through(map(set_uuid_is_safe, uuids, repeat(SafeUUID.unknown)))
    return uuids


def _timestamps(values: Sequence[str]) -> list[datetime]:
    # Naming the offset is cheaper than replacing tzinfo afterwards.
    moments = [_moment(f"{value}Z") for value in values]
    # A space can only separate date and time; any other character is taken for a separator too, even a digit.
    if "".join(values).count(" ") != len(values):
        raise ValueError("a timestamp in another form than the stored one")
    return moments


def _documents(values: Sequence[str]) -> list[Any]:
    read = json_reader()
    return list(map(json.JSONDecoder().decode if read is json.loads else read, values))


_DECODE_ALL: dict[Decoder, Callable[[Sequence[Any]], list[Any]]] = {
    uuid_from_database: _uuids,
    timestamp_from_database: _timestamps,
    json_from_text: _documents,
}
