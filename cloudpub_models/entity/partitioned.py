"""By which moment a model's table may be partitioned, as its ``Meta`` says: ``partitioned_by = "timestamp"``.

What is made of that is the business of ``schema.partitions``: saying it changes no table.
"""

from __future__ import annotations

from typing import Any

import peewee

from cloudpub_models.entity.fields import TimestampField
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.sql.identifiers import shown


def partition_column(model: type[peewee.Model]) -> str:
    """Return the column by which a model's table may be partitioned.

    Raises:
        ConfigurationError: the model names none, or one that is no moment that every row has.

    >>> from cloudpub_models import FunctionLog
    >>> partition_column(FunctionLog)
    'timestamp'
    """
    meta: Any = model._meta
    name = getattr(meta, "partitioned_by", None)
    if name is None:
        raise ConfigurationError(
            f"expected a table whose model says by which column it is partitioned; got {meta.table_name}: say "
            'partitioned_by = "…" in its Meta'
        )
    field = meta.fields.get(name) or meta.columns.get(name)
    if not isinstance(field, TimestampField) or field.null:
        raise ConfigurationError(
            f"expected Meta.partitioned_by of {model.__name__} to be a TimestampField that is never NULL; "
            f"got {shown(name)}"
        )
    return str(field.column_name)
