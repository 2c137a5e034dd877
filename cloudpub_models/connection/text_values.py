"""Moments and UUIDs that raw SQL is given as text, in the one form in which columns hold them.

SQLite compares characters, and PostgreSQL ignores the offset of a moment beside a ``timestamp``: ``@since`` with
``2024-05-01T12:00:00+02:00`` would mean three different things. Which text is meant as what, the column says that it
stands beside; any other text stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import peewee

from cloudpub_models.entity.fields import TimestampField, UuidField
from cloudpub_models.entity.stored_forms import timestamp_to_text, uuid_to_text
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.text.beside import columns_beside, tables_named

Models = Callable[[], Sequence[type[peewee.Model]]]


def as_columns_hold_it(sql: str, parameters: Mapping[str, Any], dialect: Dialect, models: Models) -> Mapping[str, Any]:
    """Return the values of a statement's parameters, moments and UUIDs among the texts as their columns hold them.

    Args:
        sql: the statement, with ``@name`` parameters.
        parameters: their values.
        dialect: the database.
        models: gives the models whose columns are known; asked where a text looks like a moment or a UUID.
    """
    suspects = [name for name, value in parameters.items() if _may_be_converted(value)]
    if not suspects:
        return parameters
    columns = columns_beside(sql, dialect)
    changed = dict(parameters)
    for name in suspects:
        convert = _conversion(sql, columns[name], dialect, models()) if name in columns else None
        if convert is not None:
            value = parameters[name]
            changed[name] = tuple(map(convert, value)) if type(value) is tuple else convert(value)
    return changed


def _may_be_converted(value: Any) -> bool:
    if type(value) is tuple:
        return any(map(_may_be_converted, value))
    return type(value) is str and _form().fullmatch(value) is not None


@cache
def _form() -> re.Pattern[str]:
    return re.compile(r"\d{4}-\d\d-\d\d([ Tt].{1,30})?|(urn:uuid:)?\{?[0-9A-Fa-f-]{32,36}\}?", re.ASCII)


def _conversion(
    sql: str, column: str, dialect: Dialect, models: Sequence[type[peewee.Model]]
) -> Callable[[Any], Any] | None:
    """Return what is done to texts beside a column, where all tables of the statement that have one agree."""
    by_table = {model._meta.table_name: model for model in models}
    named = [by_table[table] for table in tables_named(sql, dialect, list(by_table))]
    found = {_conversion_of(model._meta.columns[column]) for model in named if column in model._meta.columns}
    return found.pop() if len(found) == 1 else None


def _conversion_of(field: peewee.Field[Any]) -> Callable[[Any], Any] | None:
    while isinstance(field, peewee.ForeignKeyField):
        field = field.rel_field
    if type(field) is TimestampField:
        return _moment
    if type(field) is UuidField:
        return _uuid
    return _plain_uuid if type(field) is peewee.UUIDField else None


def _moment(value: Any) -> Any:
    if type(value) is not str:
        return value
    try:
        moment = datetime.fromisoformat(value)
        return timestamp_to_text(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)
    except (ValueError, InvalidValueError):
        return value


def _uuid(value: Any) -> Any:
    try:
        return uuid_to_text(value) if type(value) is str else value
    except InvalidValueError:
        return value


def _plain_uuid(value: Any) -> Any:
    try:
        return UUID(uuid_to_text(value)).hex if type(value) is str else value
    except InvalidValueError:
        return value
