"""Which columns of a model are searched for words, as its ``Meta`` says: ``searchable = ("title", "body")``.

What is made of that is the business of ``manager.searching``, which finds rows, and of ``schema.search``, which keeps
an index.
"""

from __future__ import annotations

from typing import Any

import peewee

from cloudpub_models.entity.base import secret_columns
from cloudpub_models.errors import InvalidQueryError, UnknownColumnError, did_you_mean
from cloudpub_models.sql.identifiers import shown


def is_searchable(model: type[peewee.Model]) -> bool:
    """Return whether a model names columns to search in."""
    return bool(getattr(model._meta, "searchable", ()))


def searchable_fields(model: type[peewee.Model]) -> tuple[peewee.Field[Any], ...]:
    """Return the fields that are searched.

    Raises:
        InvalidQueryError: the model names none, or one that is no text or may not be shown.
        UnknownColumnError: it names what is no column.

    >>> from cloudpub_models import FunctionLog
    >>> [field.name for field in searchable_fields(FunctionLog)]
    ['message']
    """
    table = model._meta.table_name
    named = getattr(model._meta, "searchable", ())
    fields = [_field(model, name) for name in ((named,) if isinstance(named, str) else named)]
    if not fields:
        raise InvalidQueryError(
            f"expected columns of {table} to search in; its model names none: say searchable = (…) in its Meta"
        )
    secret = secret_columns(model)
    for field in fields:
        if not isinstance(field, peewee.CharField | peewee.TextField) or field.column_name in secret:
            raise InvalidQueryError(
                f"expected columns of text that may be shown to search in; got {shown(field.column_name)} of {table}"
            )
    return tuple(fields)


def _field(model: type[peewee.Model], name: str) -> peewee.Field[Any]:
    field: peewee.Field[Any] | None = model._meta.columns.get(name) or model._meta.fields.get(name)
    if field is None:
        raise UnknownColumnError(
            f"{model._meta.table_name} has no column {shown(name)}: {did_you_mean(str(name), model._meta.columns)}"
        )
    return field
