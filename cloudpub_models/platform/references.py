"""How domain operations are told which row is meant: by an instance, or by the key that foreign keys to it hold.

That key is the internal integer id of users (in ``functions``), functions and deployments, and the public UUID of users
(in organizations and profiles) and organizations. A value is checked as it is for the column of that foreign key, so
that the wrong kind of id is refused with the same message everywhere.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import peewee

from cloudpub_models.errors import InvalidValueError
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.models import Function, FunctionDeployment, Organization, OrganizationMember, User

FunctionReference = Function | int
DeploymentReference = FunctionDeployment | int
OwnerReference = User | int
UserReference = User | UUID | str
OrganizationReference = Organization | UUID | str


def function_key(function: FunctionReference) -> int:
    """Return the id of a function, given as an instance or an id.

    Raises:
        InvalidValueError: it is neither, or an instance that was not saved.

    >>> function_key(Function(id=7)), function_key(7)
    (7, 7)
    """
    return int(_key(function, FunctionDeployment, "function"))


def deployment_key(deployment: DeploymentReference) -> int:
    """Return the id of a deployment, given as an instance or an id."""
    return int(_key(deployment, Function, "active_deployment"))


def owner_key(user: OwnerReference) -> int:
    """Return the id of a user as the owner of functions, given as an instance or an id."""
    return int(_key(user, Function, "user"))


def user_key(user: UserReference) -> str:
    """Return the text of the UUID of a user, given as an instance or a UUID.

    >>> user_key(UUID(int=5))
    '00000000-0000-0000-0000-000000000005'
    """
    return str(_key(user, OrganizationMember, "user"))


def organization_key(organization: OrganizationReference) -> str:
    """Return the text of the UUID of an organization, given as an instance or a UUID."""
    return str(_key(organization, OrganizationMember, "organization"))


def _key(reference: Any, model: type[peewee.Model], foreign_key: str) -> Any:
    if reference is None:
        raise InvalidValueError(
            f"expected a {foreign_key.replace('_', ' ')}, as an instance or by its key; got None: was the row found?"
        )
    return table_of(model).column(foreign_key).encode(reference)
