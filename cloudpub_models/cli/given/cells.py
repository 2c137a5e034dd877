"""Text and JSON from outside as the values of a column: what stands in a condition, a CSV cell, a line of JSON.

A value is checked here as the managers would check it, so that what is wrong can be told with its place. A reference
to a row by its internal id also takes the row's public UUID. JSON and integers are taken within bounds, and wrong ones
told without a traceback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import peewee

from cloudpub_models.cli.given.options import uuid_in
from cloudpub_models.entity.stored_forms import timestamp_from_database, uuid_from_database
from cloudpub_models.errors import InvalidValueError, NotFoundError
from cloudpub_models.manager.columns.table import Column
from cloudpub_models.platform.registry import Managers
from cloudpub_models.sql.values import DEEPEST_JSON, is_nested_too_deeply

Reader = Callable[[Any], Any]

_INTEGER = re.compile(r"[+-]?[0-9]+")
_MOST_DIGITS = 1_000
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# References of a file's rows are mostly to the same few rows.
_MOST_KEYS_KEPT = 10_000


class KeyLookup:
    """Finds the internal keys of rows by their public UUIDs, and remembers them."""

    def __init__(self, managers: Managers) -> None:
        self._managers = managers
        self._known: dict[tuple[type[peewee.Model], UUID], Any] = {}

    def key_of(self, reference: peewee.ForeignKeyField[Any], uuid: UUID) -> Any:
        """Return what a foreign key holds for the row with this UUID.

        Raises:
            NotFoundError: there is no such row.
        """
        model = reference.rel_model
        key = self._known.get((model, uuid))
        if key is None:
            found = self._managers.for_model(model).find_by_uuid(uuid)
            if found is None:
                raise NotFoundError(f"expected a row of {model._meta.table_name}; got the uuid {uuid}, which none has")
            if len(self._known) >= _MOST_KEYS_KEPT:
                self._known.clear()
            key = self._known[model, uuid] = getattr(found, reference.rel_field.name)
        return key


def reader_from_json(column: Column, keys: KeyLookup) -> Reader:
    """Return the function that takes a JSON value to the value of a column.

    It raises InvalidValueError, naming the column, for what the column cannot hold, and NotFoundError for the UUID of a
    row that is not there.
    """
    if column.kind == "uuid":
        return _naming(column, uuid_from_database)
    if column.kind == "timestamp":
        return _timestamp_reader(column)
    check = column.encode
    if isinstance(column.field, peewee.ForeignKeyField) and column.kind == "integer":
        return _reference_reader(column, column.field, keys)

    def read(value: Any) -> Any:
        check(value)
        return value

    return read


def reader_from_text(column: Column, keys: KeyLookup) -> Reader:
    """Return the function that takes text, as it stands in a condition or a CSV cell, to the value of a column.

    It raises as ``reader_from_json`` does.
    """
    read = reader_from_json(column, keys)
    field = column.field
    if column.kind == "integer":
        integer = _naming(column, read_integer)
        return lambda text: read(text if (number := integer(text)) is None else number)
    if isinstance(field, peewee.BooleanField):
        return lambda text: _truth(text, column)
    if isinstance(field, peewee.JSONField):
        parse = _naming(column, read_json)
        return lambda text: read(parse(text))
    return read


def column_title(column: Column) -> str:
    """Return a column's name with its table's, as messages name it."""
    return f"{column.field.model._meta.table_name}.{column.name}"


def _naming(column: Column, convert: Reader) -> Reader:
    def read(value: Any) -> Any:
        try:
            return convert(value)
        except InvalidValueError as error:
            raise InvalidValueError(f"{column_title(column)}: {error}") from None

    return read


def _timestamp_reader(column: Column) -> Reader:
    def moment(value: Any) -> Any:
        if value is not None and not isinstance(value, str):
            raise InvalidValueError(f"expected an ISO 8601 timestamp; got {value!r}")
        return timestamp_from_database(value)

    return _naming(column, moment)


def _reference_reader(column: Column, reference: peewee.ForeignKeyField[Any], keys: KeyLookup) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, str) and (uuid := uuid_in(value)) is not None:
            return keys.key_of(reference, uuid)
        column.encode(value)
        return value

    return read


def _truth(text: str, column: Column) -> bool:
    value = _TRUTH.get(text.lower())
    if value is None:
        raise InvalidValueError(f"{column_title(column)}: expected true or false; got {text!r}")
    return value


def read_integer(text: str) -> int | None:
    """Return the integer that text is, ``None`` where it is none.

    Raises:
        InvalidValueError: it has more than 1,000 digits.

    >>> read_integer("-12"), read_integer("1.5")
    (-12, None)
    """
    if _INTEGER.fullmatch(text) is None:
        return None
    if len(text) > _MOST_DIGITS:
        raise InvalidValueError(f"expected an integer of 64 bits; got one of {len(text):,} digits")
    return int(text)


def read_json(text: str, *, repeated: bool = True) -> Any:
    """Return the value that JSON stands for.

    Args:
        text: JSON.
        repeated: whether an error may repeat the beginning of the text.

    Raises:
        InvalidValueError: it is no JSON, or has more than 200 arrays and objects in each other.

    >>> read_json("[1, 2]")
    [1, 2]
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # also for an integer of thousands of digits
        message = str(error).partition(";")[0]
        got = repr(text.strip()[:60]) if repeated else "none"
        raise InvalidValueError(f"expected JSON; got {got} ({message})") from None
    if text.count("[") + text.count("{") > DEEPEST_JSON and is_nested_too_deeply(value):
        raise _too_deep()
    return value


def _too_deep() -> InvalidValueError:
    return InvalidValueError(f"expected JSON with at most {DEEPEST_JSON} arrays and objects in each other; got more")
