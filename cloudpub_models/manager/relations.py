"""The relations of a model by the names of their attributes, and by which columns they join the rows of two tables.

Reads the models, and knows of no statement: ``included`` loads what a relation leads to, ``arguments.dotted`` compares
its columns.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import peewee

from cloudpub_models.entity.relations import ManyToMany, OneThrough, OneToOneAccessor, RelatedAccessor
from cloudpub_models.errors import UnknownColumnError, did_you_mean
from cloudpub_models.sql.identifiers import shown

# What the attributes of a class are that show its relations.
_SHOWN_BY = (RelatedAccessor, OneThrough, peewee.BackrefAccessor)

Found: TypeAlias = "peewee.ForeignKeyField[Any] | ManyToMany | OneThrough | peewee.BackrefAccessor"


class Link(NamedTuple):
    """A step from the rows of one table to those of another, which have the same value in a column.

    Attributes:
        column: the column of the row that the step starts from.
        model: whose rows it leads to.
        key: their column.
        many: whether there may be more than one of them.
    """

    column: str
    model: type[peewee.Model]
    key: str
    many: bool


def find_relation(model: type[peewee.Model], name: str) -> Found:
    """Return what a model has for a relation of this name.

    Raises:
        UnknownColumnError: there is no such relation; the message names the nearest.
    """
    key = model._meta.fields.get(name)
    if isinstance(key, peewee.ForeignKeyField):
        return key
    found = getattr(model, name, None) if name.isidentifier() and not name.startswith("_") else None
    if isinstance(found, ManyToMany | OneThrough | peewee.BackrefAccessor):
        return found
    raise UnknownColumnError(
        f"expected a relation of {model.__name__}; got {shown(name)}: {did_you_mean(name, relation_names(model))}"
    )


def relation_names(model: type[peewee.Model]) -> list[str]:
    """Return the names of a model's relations: its references first, then what refers to it."""
    keys = [name for name, own in model._meta.fields.items() if isinstance(own, peewee.ForeignKeyField)]
    others = [name for name, found in vars(model).items() if isinstance(found, _SHOWN_BY)]
    return keys + others


@lru_cache(maxsize=1024)
def links_of(model: type[peewee.Model], name: str) -> tuple[Link, ...]:
    """Return the steps of which a relation consists: one, or two where a table in between connects the rows.

    >>> from cloudpub_models import Function, Organization
    >>> [(link.column, link.model.__name__, link.key, link.many) for link in links_of(Function, "user")]
    [('user_id', 'User', 'id', False)]
    >>> [(link.column, link.model.__name__, link.key, link.many) for link in links_of(Organization, "members")]
    [('uuid', 'OrganizationMember', 'organization_id', True), ('user_id', 'User', 'uuid', False)]

    Raises:
        UnknownColumnError: there is no such relation.
    """
    found = find_relation(model, name)
    if isinstance(found, ManyToMany | OneThrough):
        return _to(found.near), _from(found.far)
    if isinstance(found, peewee.BackrefAccessor):
        return (_to(found.field, many=not isinstance(found, OneToOneAccessor)),)
    return (_from(found),)


def _from(key: peewee.ForeignKeyField[Any]) -> Link:
    return Link(key.column_name, key.rel_model, key.rel_field.column_name, many=False)


def _to(key: peewee.ForeignKeyField[Any], *, many: bool | None = None) -> Link:
    return Link(key.rel_field.column_name, key.model, key.column_name, not key.unique if many is None else many)
