"""Rows become instances: one loader per model and column set, generated once.

Peewee's constructor fills defaults, tracks changes and runs accessors for every value. A generated loader writes the
instance's data directly instead, in one loop, the frequent conversions written out in it. It takes values to have the
form in which this library stores them; rows that hold any other (another backend's timestamps with an offset, say) are
loaded again by the careful loader, which calls a function for every value and says what is wrong where one is.

Both sources can be read: ``loader.source``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, cast
from uuid import UUID, SafeUUID

import peewee

from cloudpub_models.connection.engine import Row
from cloudpub_models.manager.collector import garbage_collection_held
from cloudpub_models.models.entity import Entity
from cloudpub_models.models.fields import TimestampField, UuidField
from cloudpub_models.models.partial import PartialData
from cloudpub_models.models.values import json_from_text, timestamp_from_database, uuid_from_database

M = TypeVar("M", bound=peewee.Model)
Decoder = Callable[[Any], Any]

# From this many rows on, the garbage collector would run several times while instances are made, and find nothing.
_MANY_ROWS = 500

_WRITTEN_OUT: dict[str, Any] = {
    "new_uuid": UUID.__new__,
    "UUID": UUID,
    "set_uuid_int": UUID.int.__set__,  # type: ignore[attr-defined, misc]
    "set_uuid_is_safe": UUID.is_safe.__set__,  # type: ignore[attr-defined, misc]
    "unknown": SafeUUID.unknown,
    "moment": datetime.fromisoformat,
    "scan_json": json.JSONDecoder().scan_once,  # type: ignore[attr-defined]
}


class Loader(Protocol, Generic[M]):
    """A function from rows to instances."""

    source: str

    def __call__(self, rows: Sequence[Row]) -> list[M]:
        """Return one instance for each row, in order."""
        ...


def decoder_for(field: peewee.Field[Any], dialect: str, *, decoded: bool = False) -> Decoder | None:
    """Return the function that makes a driver's value, never ``None``, a field's Python value; ``None`` for none.

    Args:
        field: the field.
        dialect: the database's dialect.
        decoded: whether timestamps, UUIDs and JSON have been decoded by their type already, as raw rows are.
    """
    if isinstance(field, peewee.ForeignKeyField):
        return decoder_for(field.rel_field, dialect, decoded=decoded)
    if isinstance(field, UuidField):
        return uuid_from_database
    if isinstance(field, TimestampField):
        return timestamp_from_database
    if isinstance(field, peewee.JSONField):
        return None if decoded and dialect == "postgresql" else json_from_text
    if isinstance(field, peewee.BooleanField):
        return bool if dialect == "sqlite" else None
    if isinstance(field, peewee.BlobField):
        return bytes
    if isinstance(field, peewee.FloatField) and type(field).python_value is peewee.Field.python_value:
        # What SQLite returns of a row that it has just written is an integer where the number is a whole one.
        return float if dialect == "sqlite" else None
    if type(field).python_value is peewee.Field.python_value and isinstance(
        field, peewee.IntegerField | peewee.FloatField | peewee.CharField | peewee.TextField
    ):
        return None
    return field.python_value


def make_loader(
    model: type[M], fields: Sequence[peewee.Field[Any]], dialect: str, *, partial: bool, decoded: bool = False
) -> Loader[M]:
    """Return the loader for rows that hold these fields' columns in this order.

    Args:
        model: the class of the instances.
        fields: the field of each column.
        dialect: the database's dialect, on which the form of the driver's values depends.
        partial: whether columns were left out on purpose, so that reading one raises.
        decoded: see ``decoder_for``.
    """
    names: dict[str, Any] = {"model": model, "new": model.__new__, "partial_data": PartialData}
    decoders = [decoder_for(field, dialect, decoded=decoded) for field in fields]
    names |= {f"decode{position}": decoder for position, decoder in enumerate(decoders)}
    careful = _compiled(_careful_source(model, fields, decoders, partial), names)
    if decoded:
        return cast("Loader[M]", careful)
    names |= _WRITTEN_OUT | {"careful": careful}
    load = _compiled(_fast_source(model, fields, decoders, partial), names)

    def load_many(rows: Sequence[Row]) -> list[M]:
        if len(rows) < _MANY_ROWS:
            return cast("list[M]", load(rows))
        with garbage_collection_held():
            return cast("list[M]", load(rows))

    loader = cast("Loader[M]", load_many)
    loader.source = load.source
    return loader


def _careful_source(
    model: type[peewee.Model], fields: Sequence[peewee.Field[Any]], decoders: Sequence[Decoder | None], partial: bool
) -> list[str]:
    values = [
        f"c{position} if c{position} is None else decode{position}(c{position})" if decoder else f"c{position}"
        for position, decoder in enumerate(decoders)
    ]
    return [
        "def load(rows):",
        "    instances = []",
        f"    for {_unpacked(fields)} in rows:",
        *_made(model, fields, values, partial, "        "),
        "    return instances",
    ]


def _fast_source(
    model: type[peewee.Model], fields: Sequence[peewee.Field[Any]], decoders: Sequence[Decoder | None], partial: bool
) -> list[str]:
    preparations: list[str] = []
    values: list[str] = []
    for position, (field, decoder) in enumerate(zip(fields, decoders, strict=True)):
        prepared, value = _written_out(field, decoder, position)
        preparations += prepared
        values.append(value)
    return [
        "def load(rows):",
        "    instances = []",
        "    try:",
        f"        for {_unpacked(fields)} in rows:",
        *["            " + line for line in preparations],
        *_made(model, fields, values, partial, "            "),
        "    except (ValueError, TypeError, AttributeError, StopIteration):",
        "        return careful(rows)",
        "    return instances",
    ]


def _written_out(field: peewee.Field[Any], decoder: Decoder | None, position: int) -> tuple[list[str], str]:
    """Return the lines that prepare a column's value, and the expression that is it."""
    column, nullable = f"c{position}", bool(field.null)
    if decoder is None:
        return [], column
    if decoder is uuid_from_database:
        lines = [
            f"digits = {column}.replace('-', '')",
            "if len(digits) != 32: raise ValueError",
            f"v{position} = new_uuid(UUID)",
            f"set_uuid_int(v{position}, int(digits, 16))",
            f"set_uuid_is_safe(v{position}, unknown)",
        ]
    elif decoder is timestamp_from_database:
        lines = [f"v{position} = moment({column} + '+00:00')"]
    elif decoder is json_from_text:
        lines = [
            f"v{position}, end = scan_json({column}, 0)",
            f"if end != len({column}): raise ValueError",
        ]
    elif decoder is bool:
        return [], f"None if {column} is None else {column} != 0"
    else:
        return [], f"None if {column} is None else decode{position}({column})"
    if not nullable:
        return lines, f"v{position}"
    return [f"if {column} is None: v{position} = None", "else:", *["    " + line for line in lines]], f"v{position}"


def _unpacked(fields: Sequence[peewee.Field[Any]]) -> str:
    return "".join([f"c{position}, " for position in range(len(fields))]).rstrip()


def _made(
    model: type[peewee.Model], fields: Sequence[peewee.Field[Any]], values: Sequence[str], partial: bool, indent: str
) -> list[str]:
    """Return the lines that make an instance of the values."""
    data = "{" + ", ".join([f"{field.name!r}: {value}" for field, value in zip(fields, values, strict=True)]) + "}"
    lines = [
        "instance = new(model)",
        f"instance.__data__ = {f'partial_data({data})' if partial else data}",
    ]
    if not issubclass(model, Entity):
        # Entities make these two when they are first needed.
        lines += ["instance.__rel__ = {}", "instance._dirty = set()"]
    return [indent + line for line in [*lines, "instances.append(instance)"]]


def _compiled(lines: Sequence[str], names: dict[str, Any]) -> Any:
    source = "\n".join(lines)
    scope = dict(names)
    exec(compile(source, "<loader>", "exec"), scope)
    load = scope["load"]
    load.source = source
    return load
