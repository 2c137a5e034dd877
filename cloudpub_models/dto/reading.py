"""How DTOs read entities: only what is loaded, never an internal id, never by sending a query.

Peewee's attributes load related rows when they are read; nothing in this room may read a relation in any other way than
through ``related``.
"""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

import peewee

from cloudpub_models.dto.base import Dto
from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.stored_forms import uuid_to_text
from cloudpub_models.errors import InvalidValueError

E = TypeVar("E", bound=Entity)


def checked(entity: E, expected: type[E], dto: type[Dto]) -> E:
    """Return the entity, or raise InvalidValueError where it is not of the model that the DTO shows."""
    if isinstance(entity, expected):
        return entity
    got = "None, as a row that was not found is" if entity is None else type(entity).__name__
    raise InvalidValueError(f"expected a {expected.__name__} for {dto.__name__}; got {got}")


def columns_of(entity: Entity, dto: type[Dto]) -> dict[str, Any]:
    """Return the values of those columns of an entity that a DTO has a field for.

    Primary keys and references are never among them, whatever the DTO's fields are called: which of those may be shown
    is decided one by one.

    Raises:
        LazyLoadingError: the query that loaded the entity left one of the columns out.
    """
    columns = entity._meta.columns
    return {
        name: getattr(entity, columns[name].name)
        for name in dto.model_fields
        if name in columns and not isinstance(columns[name], peewee.AutoField | peewee.ForeignKeyField)
    }


def related(entity: Entity, name: str) -> Any:
    """Return what is already loaded for a relation of an entity, or ``None``; nothing is sent.

    >>> from cloudpub_models import Function, User
    >>> ada = User(email="ada@example.com")
    >>> related(Function(user=ada, name="resize"), "user") is ada
    True
    >>> related(Function(user=1, name="resize"), "user") is None
    True
    """
    attributes = vars(entity)
    if name in attributes:
        return attributes[name]
    return entity.__rel__.get(name)


def related_uuid(entity: Entity, name: str) -> Any:
    """Return the public uuid of the row that a relation refers to where that row is loaded, else ``None``."""
    other = related(entity, name)
    return None if other is None else other.uuid


def require_same(found: UUID | str | None, expected: UUID | str | None, message: str) -> None:
    """Raise InvalidValueError where two public ids are known and differ, as of rows that do not belong together."""
    if found is not None and expected is not None and uuid_to_text(found) != uuid_to_text(expected):
        raise InvalidValueError(message)
