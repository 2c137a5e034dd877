"""What a deletion would take with it: the rows that refer to deleted ones with ``ON DELETE CASCADE``, near and far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.history.tables import has_table
from cloudpub_models.manager.arguments.conditions import any_of
from cloudpub_models.manager.finding import Finding
from cloudpub_models.manager.scope import UNRESTRICTED

_AT_ONCE = 10_000


def columns_to_follow(model: type[peewee.Model]) -> list[str]:
    """Return the columns by which a model's rows are told apart, and referred to by rows that would go with them."""
    keys = [key.column_name for key in _primary_keys(model)]
    return list(dict.fromkeys([*keys, *(key.rel_field.column_name for key in _cascades(model))]))


def rows_gone_with(model: type[peewee.Model], rows: Sequence[Any], database: Database) -> dict[str, int]:
    """Return table → how many of its rows would go with rows of a model.

    Rows of tables to which nothing refers are counted; of the others, columns are read.
    """
    seen = {(model, _key_of(row)) for row in rows}
    counted: dict[type[peewee.Model], dict[str, list[Any]]] = {}
    counts: Counter[str] = Counter()
    waiting: list[tuple[type[peewee.Model], Sequence[Any]]] = [(model, rows)]
    for parent, gone in waiting:
        for key in _cascades(parent):
            child = key.model
            # The process may know models that have no table in this database.
            if child not in database.models and not has_table(database.engine, child._meta.table_name):
                continue
            values = [getattr(row, key.rel_field.name) for row in gone]
            if not _cascades(child):
                counted.setdefault(child, {}).setdefault(key.column_name, []).extend(values)
                continue
            found = [
                row for row in _referring(child, key.column_name, values, database) if (child, _key_of(row)) not in seen
            ]
            seen |= {(child, _key_of(row)) for row in found}
            if found:
                counts[child._meta.table_name] += len(found)
                waiting.append((child, found))
    for child, columns in counted.items():
        conditions = [{column: values} for column, values in columns.items()]
        counts[child._meta.table_name] += Finding(child, database, scope=UNRESTRICTED).count(any_of(*conditions))
    return {table: count for table, count in counts.items() if count}


def _referring(model: type[peewee.Model], column: str, values: Sequence[Any], database: Database) -> Iterator[Any]:
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        yield from Finding(model, database, scope=UNRESTRICTED).find_all(
            {column: some}, select=columns_to_follow(model)
        )


def _cascades(model: type[peewee.Model]) -> list[Any]:
    """Return the foreign keys whose rows go when the model's rows go, each column once.

    They may refer to another model of the same table, and a table that refers may have several models.
    """
    found: dict[tuple[str, str, str], Any] = {}
    for each in _models_of_its_table(model):
        for key in each._meta.backrefs:
            if str(key.on_delete or "").upper() == "CASCADE":
                place = (key.model._meta.table_name, key.column_name, key.rel_field.column_name)
                found.setdefault(place, key)
    return list(found.values())


def _models_of_its_table(model: type[peewee.Model]) -> Iterator[type[peewee.Model]]:
    """Yield the model that has a model's table first, and those that have been made of it."""
    bases = [base for base in model.__mro__ if getattr(base, "_meta", None) and _same_table(base, model)]
    waiting: list[type[peewee.Model]] = bases[-1:]
    for each in waiting:
        yield each
        waiting.extend(subclass for subclass in each.__subclasses__() if _same_table(subclass, model))


def _same_table(one: Any, other: type[peewee.Model]) -> bool:
    return (one._meta.schema, one._meta.table_name) == (other._meta.schema, other._meta.table_name)


def _primary_keys(model: type[peewee.Model]) -> Iterable[Any]:
    keys: Iterable[Any] = model._meta.get_primary_keys()  # type: ignore[no-untyped-call]
    return keys


def _key_of(row: Any) -> tuple[Any, ...]:
    return tuple(getattr(row, key.name) for key in _primary_keys(type(row)))
