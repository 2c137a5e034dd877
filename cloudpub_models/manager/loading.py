"""Rows become instances: one loader per model and column set, generated once.

Peewee's constructor fills defaults, tracks changes and runs accessors for every value. A generated loader writes the
instance's three attributes directly instead, in one function without a call per column that needs no conversion. The
source of a loader can be read from its ``source`` attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

import peewee

from cloudpub_models.connection.engine import Row
from cloudpub_models.models.fields import JsonField, TimestampField, UuidField
from cloudpub_models.models.partial import PartialData
from cloudpub_models.models.values import json_from_text, timestamp_from_database, uuid_from_database

M = TypeVar("M", bound=peewee.Model)
Decoder = Callable[[Any], Any]


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
    if isinstance(field, JsonField | peewee.JSONField):
        return None if decoded and dialect == "postgresql" else json_from_text
    if isinstance(field, peewee.BooleanField):
        return bool if dialect == "sqlite" else None
    if isinstance(field, peewee.BlobField):
        return bytes
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
    values = []
    for position, field in enumerate(fields):
        decoder = decoder_for(field, dialect, decoded=decoded)
        value = f"c{position}"
        if decoder is not None:
            names[f"decode{position}"] = decoder
            value = f"None if {value} is None else decode{position}({value})"
        values.append(f"{field.name!r}: {value}")
    data = "{" + ", ".join(values) + "}"
    source = "\n".join(
        [
            "def load(rows):",
            "    instances = []",
            "    append = instances.append",
            f"    for {''.join(f'c{position}, ' for position in range(len(fields)))}in rows:",
            "        instance = new(model)",
            f"        instance.__data__ = {f'partial_data({data})' if partial else data}",
            "        instance.__rel__ = {}",
            "        instance._dirty = set()",
            "        append(instance)",
            "    return instances",
        ]
    )
    exec(compile(source, f"<loader of {model.__name__}>", "exec"), names)
    loader = cast("Loader[M]", names["load"])
    loader.source = source
    return loader
