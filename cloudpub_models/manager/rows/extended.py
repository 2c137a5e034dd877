"""Rows become instances that have, beside their columns, what else was selected: as plain attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import peewee

from cloudpub_models.connection.results import Row
from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.origin import ATTRIBUTE, Origin
from cloudpub_models.manager.columns.decoding import Decoder
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.rows.instances import make_loader
from cloudpub_models.sql import Dialect

M = TypeVar("M", bound=peewee.Model)


class ExtendedLoader(Protocol, Generic[M]):
    """A function from rows, and where they are from, to instances."""

    def __call__(self, rows: Sequence[Row], origin: Origin | None) -> list[M]:
        """Return one instance for each row, in order."""
        ...


def make_extended_loader(
    model: type[M],
    names: Sequence[str],
    decoders: Sequence[Decoder | None],
    dialect: Dialect,
    *,
    decoded: bool = False,
) -> ExtendedLoader[M]:
    """Return the loader for rows with these columns, of which the model may know some and not others.

    Args:
        model: the class of the instances.
        names: the name of each column.
        decoders: what decodes the values that are not ``None`` of a column that the model does not know; ``None`` where
            they are as they should be.
        dialect: the database's dialect.
        decoded: whether the model's columns have the values that raw SQL promises.
    """
    table = table_of(model)
    known = [position for position, name in enumerate(names) if name in table.columns]
    others = [(position, name, decoders[position]) for position, name in enumerate(names) if name not in table.columns]
    found = [names[position] for position in known]
    partial = set(found) != set(table.column_names)
    load = make_loader(model, table.fields(found), dialect, partial=partial, decoded=decoded)
    of_entities = issubclass(model, Entity)

    def load_extended(rows: Sequence[Row], origin: Origin | None) -> list[M]:
        instances = load([tuple([row[position] for position in known]) for row in rows])
        for instance, row in zip(instances, rows, strict=True):
            if of_entities and origin is not None:
                setattr(instance, ATTRIBUTE, origin)
            for position, name, decode in others:
                value = row[position]
                setattr(instance, name, value if value is None or decode is None else decode(value))
        return instances

    return load_extended
