"""Instances of rows that are kept in memory: what decoding has made of a row is kept beside it.

Each instance has a dict of its own; the values in it are shared, so that they are only kept where nobody can change
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import peewee

from cloudpub_models.connection.cached_rows import UNCHANGEABLE, KeptRow
from cloudpub_models.connection.results import Row
from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.origin import ATTRIBUTE, Origin
from cloudpub_models.manager.rows.instances import Loader

M = TypeVar("M", bound=peewee.Model)


def loader_of_kept(model: type[M], load: Loader[M], origin: Origin | None) -> Loader[M]:
    """Return a loader that decodes a row that is kept in memory once.

    Args:
        model: the class of the instances.
        load: the loader of all columns of rows, kept or not.
        origin: where the rows are from, if not from the default database.
    """
    if not issubclass(model, Entity):
        return load
    new = cast("Any", model).__new__

    def load_kept(rows: Sequence[Row]) -> list[M]:
        if type(rows) is not KeptRow:
            return load(rows)
        decoded_for, values = rows.decoded
        if decoded_for is not load:
            instances = load(rows)
            values = cast("Any", instances[0]).__data__
            can_be_shared = UNCHANGEABLE.issuperset(map(type, values.values()))
            rows.decoded = load, values.copy() if can_be_shared else None
            return instances
        if values is None:
            return load(rows)
        instance = new(model)
        instance.__data__ = values.copy()
        if origin is not None:
            setattr(instance, ATTRIBUTE, origin)
        return [instance]

    load_kept.sources = load.sources  # type: ignore[attr-defined]
    return cast("Loader[M]", load_kept)
