"""What a graph consists of: for each model with a DTO its fields and relations, and how each is read from a row.

The DTOs say what may be seen. A field of theirs is a column of the model, or the public id of a row that it refers to;
what the privacy rule of organizations keeps from others is kept from them here too. This module sends nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import peewee
from pydantic.fields import FieldInfo

from cloudpub_models.component import Component
from cloudpub_models.dto import (
    FunctionDeploymentDto,
    FunctionDto,
    FunctionInvocationDto,
    FunctionLogDto,
    OrganizationDto,
    OrganizationMemberDto,
    UserDto,
    UserInformationDto,
)
from cloudpub_models.dto.base import Dto
from cloudpub_models.dto.organizations import is_owner
from cloudpub_models.dto.reading import related, related_uuid
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.relations import Link, links_of, relation_names
from cloudpub_models.models import (
    Function,
    FunctionDeployment,
    FunctionInvocation,
    FunctionLog,
    Organization,
    OrganizationMember,
    User,
    UserInformation,
)

Read = Callable[[Any, UUID | None], Any]


class Leaf(NamedTuple):
    """A field that is a value.

    Attributes:
        annotation: its Python type.
        is_required: whether every row has it.
        description: what it is.
        read: gives it, of a row and the user who asks.
        needs: the relation that has to be loaded for it, if there is one.
    """

    annotation: Any
    is_required: bool
    description: str
    read: Read
    needs: str = ""


class Relation(NamedTuple):
    """A field that is a row, or several.

    Attributes:
        name: the relation's name on the model.
        model: whose rows they are.
        many: whether there may be several.
        link: by which columns they are joined, where no table stands in between.
    """

    name: str
    model: type[peewee.Model]
    many: bool
    link: Link | None


class Kind(NamedTuple):
    """What is shown of a table's rows.

    Attributes:
        model: the rows' model.
        name: what the type is called.
        description: what a row is.
        leaves: the fields that are values, by the names of the DTO's.
        relations: the fields that are rows.
        order: the columns by which several of them come, the highest first.
    """

    model: type[peewee.Model]
    name: str
    description: str
    leaves: dict[str, Leaf]
    relations: dict[str, Relation]
    order: tuple[str, ...]


# Which relations of the platform's tables are shown; who owns an organization, and who is in it, is not for everybody.
_PLATFORM: dict[type[peewee.Model], tuple[type[Dto], tuple[str, ...]]] = {
    User: (UserDto, ("information", "organization", "functions")),
    UserInformation: (UserInformationDto, ()),
    Organization: (OrganizationDto, ("memberships",)),
    OrganizationMember: (OrganizationMemberDto, ()),
    Function: (FunctionDto, ("user", "active_deployment", "deployments", "logs", "invocations")),
    FunctionDeployment: (FunctionDeploymentDto, ("function",)),
    FunctionLog: (FunctionLogDto, ("function",)),
    FunctionInvocation: (FunctionInvocationDto, ("function",)),
}
_CALLED = {"memberships": "members"}
# What an index serves; other tables' rows come by their keys, which rise.
_ORDER: dict[type[peewee.Model], tuple[str, ...]] = {
    FunctionLog: ("timestamp", "id"),
    FunctionInvocation: ("timestamp", "id"),
}


Shown = tuple[tuple[type[peewee.Model], type[Dto]], ...]


def shown_by(components: Iterable[Component]) -> Shown:
    """Return the models of some components that are shown, each with its DTO."""
    shown: dict[type[peewee.Model], type[Dto]] = {}
    for component in components:
        shown |= {model: _PLATFORM[model][0] for model in component.models if model in _PLATFORM} | component.dtos
    return tuple(shown.items())


@lru_cache(maxsize=64)
def kinds_of(shown: Shown) -> dict[type[peewee.Model], Kind]:
    """Return what is shown of models that have DTOs.

    >>> from cloudpub_models import Function, User
    >>> from cloudpub_models.dto import FunctionDto, UserDto
    >>> list(kinds_of(((User, UserDto), (Function, FunctionDto)))[Function].relations)
    ['user']
    """
    models = {model for model, _ in shown}
    return {model: _kind(model, dto, models) for model, dto in shown}


def _kind(model: type[peewee.Model], dto: type[Dto], shown: set[type[peewee.Model]]) -> Kind:
    described = _described(dto)
    leaves = {name: _leaf(model, dto, name, field, described.get(name, "")) for name, field in dto.model_fields.items()}
    relations = [_relation(model, name) for name in _names_of_relations(model)]
    return Kind(
        model,
        model.__name__,
        (dto.__doc__ or "").strip().partition("\n")[0],
        leaves,
        {_CALLED.get(relation.name, relation.name): relation for relation in relations if relation.model in shown},
        _ORDER.get(model, table_of(model).key_names),
    )


def _names_of_relations(model: type[peewee.Model]) -> list[str]:
    """Return the relations that may be shown: of the platform's with each other only those that are listed."""
    if model not in _PLATFORM:
        return relation_names(model)
    listed = _PLATFORM[model][1]
    others = [name for name in relation_names(model) if links_of(model, name)[-1].model not in _PLATFORM]
    return [*listed, *others]


def _relation(model: type[peewee.Model], name: str) -> Relation:
    links = links_of(model, name)
    return Relation(name, links[-1].model, any(link.many for link in links), links[0] if len(links) == 1 else None)


def _leaf(model: type[peewee.Model], dto: type[Dto], name: str, field: FieldInfo, description: str) -> Leaf:
    reference = name.removesuffix("_uuid")
    read, needs = _ruled(model, name) or (None, "")
    if read is None and name != reference and reference in model._meta.fields:
        read, needs = _uuid_of(reference), reference
    if read is None:
        if not _may_be_shown(model, name):
            raise ConfigurationError(
                f"expected fields of {dto.__name__} that are columns of {model.__name__} and may be shown; got {name}"
            )
        read = _column(model._meta.columns[name].name)
    return Leaf(field.annotation, field.is_required(), description, read, needs)


def _may_be_shown(model: type[peewee.Model], name: str) -> bool:
    field = model._meta.columns.get(name)
    return (
        field is not None
        and not isinstance(field, peewee.AutoField | peewee.ForeignKeyField)
        and name not in table_of(model).secret_names
    )


def _column(name: str) -> Read:
    return lambda row, requester: getattr(row, name)


def _uuid_of(reference: str) -> Read:
    return lambda row, requester: related_uuid(row, reference)


def _ruled(model: type[peewee.Model], name: str) -> tuple[Read, str] | None:
    """Return how a field is read that stands under the privacy rule, or comes from the row of a member's user."""
    if model is Organization and name == "owner_id":
        return (lambda row, requester: row.owner_id if is_owner(row, requester) else None), ""
    if model is not OrganizationMember or name in model._meta.columns:
        return None
    if name == "uuid":
        return _uuid_of_member, ""
    if name == "email":
        return (lambda row, requester: row.user.email), "user"
    return (lambda row, requester: getattr(row.user.information, name, None)), "user.information"


def _uuid_of_member(row: Any, requester: UUID | None) -> UUID | None:
    # Memberships are loaded for their organization, which they know.
    organization = related(row, "organization")
    return row.user_id if organization is not None and is_owner(organization, requester) else None


def _described(dto: type[Dto]) -> dict[str, str]:
    """Return what the docstring says of each attribute."""
    attributes = (dto.__doc__ or "").partition("Attributes:\n")[2]
    items = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", attributes, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in items}
