"""By which reference a model's rows may be on several servers, as its ``Meta`` says: ``distributed_by = "function"``.

What is made of that is the business of ``cells``: saying it changes nothing.
"""

from __future__ import annotations

from typing import Any

import peewee

from cloudpub_models.errors import ConfigurationError
from cloudpub_models.sql.identifiers import shown


def distribution_key(model: type[peewee.Model]) -> peewee.ForeignKeyField[Any] | None:
    """Return the reference by which a model's rows may be distributed; ``None`` where it names none.

    Raises:
        ConfigurationError: what it names is no reference to an integer that every row has.

    >>> from cloudpub_models import FunctionLog
    >>> distribution_key(FunctionLog).column_name, distribution_key(Function)
    ('function_id', None)
    """
    meta: Any = model._meta
    name = getattr(meta, "distributed_by", None)
    if name is None:
        return None
    field: Any = meta.fields.get(name) if isinstance(name, str) else None
    is_number = isinstance(field, peewee.ForeignKeyField) and isinstance(field.rel_field, peewee.IntegerField)
    if not is_number or field.null:
        raise ConfigurationError(
            f"expected Meta.distributed_by of {model.__name__} to be a reference to an integer, and never NULL; "
            f"got {shown(name)}"
        )
    found: peewee.ForeignKeyField[Any] = field
    return found
