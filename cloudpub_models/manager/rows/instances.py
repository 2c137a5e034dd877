"""Rows become instances: loaders generated once per model and column set.

Peewee's constructor fills defaults, tracks changes and runs accessors for every value. A generated loader writes the
instance's data directly instead. There are three, and each one's source can be read in ``loader.sources``:

- ``few``: one loop, in which the frequent conversions are written out. It takes values to have the form in which this
  library stores them, and hands over to ``many`` where there are many rows.
- ``many``: the same for a result of many rows, whose values are decoded a column at a time before the loop.
- ``careful``: calls a function for every value, which takes any form (another backend's timestamps with an offset, say)
  and says what is wrong where a value has none. The other two hand their rows to it where they meet such a value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, Generic, Protocol, TypeVar, cast
from uuid import UUID, SafeUUID

import peewee

from cloudpub_models.connection.engine import Row
from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.origin import ATTRIBUTE, Origin
from cloudpub_models.entity.stored_forms import json_from_text, json_reader, timestamp_from_database, uuid_from_database
from cloudpub_models.entity.unloaded import PartialData
from cloudpub_models.manager.columns.decoding import (
    UNEXPECTED_FORM,
    Decoder,
    column_decoder_for,
    decoder_for,
    new_uuid,
    set_uuid_int,
    set_uuid_is_safe,
)
from cloudpub_models.manager.rows.collector import garbage_collection_held
from cloudpub_models.sql import Dialect

M = TypeVar("M", bound=peewee.Model)

# From this many rows on, decoding a column at a time is faster.
_MANY_ROWS = 32
# From this many rows on, the garbage collector would run several times while instances are made, and find nothing.
_ROWS_TO_COLLECT = 100

_WRITTEN_OUT: dict[str, Any] = {
    "new_uuid": new_uuid,
    "UUID": UUID,
    "set_uuid_int": set_uuid_int,
    "set_uuid_is_safe": set_uuid_is_safe,
    "unknown": SafeUUID.unknown,
    "moment": datetime.fromisoformat,
    "scan_json": json.JSONDecoder().scan_once,  # type: ignore[attr-defined]
    "UNEXPECTED_FORM": UNEXPECTED_FORM,
}


class Loader(Protocol, Generic[M]):
    """A function from rows to instances."""

    sources: Mapping[str, str]

    def __call__(self, rows: Sequence[Row]) -> list[M]:
        """Return one instance for each row, in order."""
        ...


class _Compiled(Protocol, Generic[M]):
    source: str

    def __call__(self, rows: Iterable[Row]) -> list[M]: ...


def make_loader(
    model: type[M],
    fields: Sequence[peewee.Field[Any]],
    dialect: Dialect,
    *,
    partial: bool,
    decoded: bool = False,
    origin: Origin | None = None,
) -> Loader[M]:
    """Return the loader for rows that hold these fields' columns in this order.

    Args:
        model: the class of the instances.
        fields: the field of each column.
        dialect: the database's dialect, on which the form of the driver's values depends.
        partial: whether columns were left out on purpose, so that reading one raises.
        decoded: see ``decoder_for``.
        origin: where the rows are from, if not from the default database.
    """
    if not issubclass(model, Entity):
        origin = None
    names: dict[str, Any] = {"model": model, "new": model.__new__, "partial_data": PartialData, "origin": origin}
    decoders = [decoder_for(field, dialect, decoded=decoded) for field in fields]
    names |= {f"decode{position}": decoder for position, decoder in enumerate(decoders)}
    careful: _Compiled[M] = _compiled(_careful_source(model, fields, decoders, partial, origin is not None), names)
    if decoded:
        return cast("Loader[M]", careful)
    names |= _WRITTEN_OUT | {"careful": careful, "read_json": json_reader()}
    names |= {f"decode_all{position}": column_decoder_for(decode) for position, decode in enumerate(decoders) if decode}
    load_many: _Compiled[M] = _compiled(_many_source(model, fields, decoders, partial, origin is not None), names)

    def many(rows: Sequence[Row]) -> list[M]:
        if len(rows) < _ROWS_TO_COLLECT:
            return load_many(rows)
        with garbage_collection_held():
            return load_many(rows)

    names["many"] = many
    # What is called first is what loads few rows: of a single one, a call more would be felt.
    load: Any = _compiled(_few_source(model, fields, decoders, partial, origin is not None), names)
    load.sources = {"few": load.source, "many": load_many.source, "careful": careful.source}
    return cast("Loader[M]", load)


def _careful_source(
    model: type[peewee.Model],
    fields: Sequence[peewee.Field[Any]],
    decoders: Sequence[Decoder | None],
    partial: bool,
    elsewhere: bool,
) -> list[str]:
    values = [
        f"c{position} if c{position} is None else decode{position}(c{position})" if decoder else f"c{position}"
        for position, decoder in enumerate(decoders)
    ]
    return [
        "def load(rows):",
        "    instances = []",
        f"    for {_unpacked(fields)} in rows:",
        *_made(model, fields, values, partial, elsewhere, "        "),
        "    return instances",
    ]


def _few_source(
    model: type[peewee.Model],
    fields: Sequence[peewee.Field[Any]],
    decoders: Sequence[Decoder | None],
    partial: bool,
    elsewhere: bool,
) -> list[str]:
    preparations: list[str] = []
    values: list[str] = []
    for position, (field, decoder) in enumerate(zip(fields, decoders, strict=True)):
        prepared, value = _written_out(field, decoder, position)
        preparations += prepared
        values.append(value)
    return [
        "def load(rows):",
        f"    if len(rows) >= {_MANY_ROWS}: return many(rows)",
        "    instances = []",
        "    try:",
        f"        for {_unpacked(fields)} in rows:",
        *["            " + line for line in preparations],
        *_made(model, fields, values, partial, elsewhere, "            "),
        "    except UNEXPECTED_FORM:",
        "        return careful(rows)",
        "    return instances",
    ]


def _many_source(
    model: type[peewee.Model],
    fields: Sequence[peewee.Field[Any]],
    decoders: Sequence[Decoder | None],
    partial: bool,
    elsewhere: bool,
) -> list[str]:
    values: list[str] = []
    decoded: dict[str, str] = {}
    for position, decoder in enumerate(decoders):
        if decoder is None or decoder is bool:
            values.append(f"c{position}" if decoder is None else _boolean(f"c{position}"))
        else:
            values.append(f"v{position}")
            decoded[f"v{position}"] = f"decode_all{position}([row[{position}] for row in rows])"
    targets = "".join([f"{name}, " for name in (f"({_unpacked(fields)})", *decoded)]).rstrip()
    return [
        "def load(rows):",
        "    instances = []",
        "    try:",
        f"        decoded = zip({', '.join(['rows', *decoded.values()])})",
        "    except UNEXPECTED_FORM:",
        "        return careful(rows)",
        f"    for {targets} in decoded:",
        *_made(model, fields, values, partial, elsewhere, "        "),
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
        lines = [f"v{position} = moment({column} + 'Z')", f"if ' ' not in {column}: raise ValueError"]
    elif decoder is json_from_text:
        lines = _json_lines(column, f"v{position}")
    elif decoder is bool:
        return [], _boolean(column)
    else:
        return [], f"None if {column} is None else decode{position}({column})"
    if not nullable:
        return lines, f"v{position}"
    return [f"if {column} is None: v{position} = None", "else:", *["    " + line for line in lines]], f"v{position}"


def _boolean(column: str) -> str:
    return f"None if {column} is None else {column} != 0"


def _json_lines(column: str, value: str) -> list[str]:
    if json_reader() is not json.loads:
        return [f"{value} = read_json({column})"]
    # The scanner that json.loads wraps, without the wrapping.
    return [f"{value}, end = scan_json({column}, 0)", f"if end != len({column}): raise ValueError"]


def _unpacked(fields: Sequence[peewee.Field[Any]]) -> str:
    return "".join([f"c{position}, " for position in range(len(fields))]).rstrip() or "[]"


def _made(
    model: type[peewee.Model],
    fields: Sequence[peewee.Field[Any]],
    values: Sequence[str],
    partial: bool,
    elsewhere: bool,
    indent: str,
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
    if elsewhere:
        lines.append(f"instance.{ATTRIBUTE} = origin")
    return [indent + line for line in [*lines, "instances.append(instance)"]]


def _compiled(lines: Sequence[str], names: dict[str, Any]) -> Any:
    source = "\n".join(lines)
    # A copy, since the interpreter adapts code to the names that it meets.
    load: Any = FunctionType(_code_of_function(source).replace(), dict(names))
    load.source = source
    return load


@lru_cache(maxsize=256)
def _code_of_function(source: str) -> CodeType:
    """Return the code of the function that a source defines; compiling it takes longer than all else of a loader."""
    (code,) = [part for part in compile(source, "<loader>", "exec").co_consts if isinstance(part, CodeType)]
    return code
