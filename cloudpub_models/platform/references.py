"""How domain operations are told which row is meant: by an instance, its public UUID, or the key that refers to it.

That key is the internal integer id of users (in ``functions``), functions and deployments, and the public UUID of users
(in organizations and profiles) and organizations. Where it is the id, a UUID costs one more statement, which looks it
up. What is no reference is refused with a message about the table of the row that is meant.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import peewee

from cloudpub_models.errors import InvalidValueError, NotFoundError
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.finding import Finding
from cloudpub_models.models import Function, FunctionDeployment, Organization, User

FunctionReference = Function | UUID | str | int
DeploymentReference = FunctionDeployment | UUID | str | int
OwnerReference = User | UUID | str | int
UserReference = User | UUID | str
OrganizationReference = Organization | UUID | str

# What a row is called in messages.
_CALLED: dict[type[peewee.Model], str] = {
    Function: "function",
    FunctionDeployment: "deployment",
    User: "user",
    Organization: "organization",
}


def function_key(function: FunctionReference, manager: Finding[Any]) -> int:
    """Return the id of a function.

    Args:
        function: an instance, a UUID, or an id, which is not looked up.
        manager: whose database and scope a UUID is looked up in.

    Raises:
        InvalidValueError: it is none of those, or an instance that was not saved.
        NotFoundError: no function has this UUID.

    >>> function_key(resize, managers.users) == function_key(resize.uuid, managers.users) == resize.id
    True
    """
    return _id(function, Function, manager)


def deployment_key(deployment: DeploymentReference, manager: Finding[Any]) -> int:
    """Return the id of a deployment; see ``function_key``."""
    return _id(deployment, FunctionDeployment, manager)


def owner_key(user: OwnerReference, manager: Finding[Any]) -> int:
    """Return the id of a user as the owner of functions; see ``function_key``."""
    return _id(user, User, manager)


def user_key(user: UserReference) -> str:
    """Return the text of the UUID of a user, given as an instance or a UUID.

    >>> user_key(UUID(int=5))
    '00000000-0000-0000-0000-000000000005'
    """
    return str(_key(user, User, "uuid"))


def organization_key(organization: OrganizationReference) -> str:
    """Return the text of the UUID of an organization, given as an instance or a UUID."""
    return str(_key(organization, Organization, "uuid"))


def no_row(model: type[peewee.Model], reference: Any, key: Any = None, hint: str = "") -> NotFoundError:
    """Return the error for a row that is not there, which names what was given.

    Args:
        model: the model of the row.
        reference: what the caller gave.
        key: what stands for that, where it is no UUID.
        hint: what to do.

    >>> str(no_row(Function, resize, 7))
    'expected an existing function; there is none with the id 7'
    """
    return NotFoundError(
        f"expected an existing {_CALLED[model]}; there is none with {what_was_given(reference, key)}{hint}",
        table=model._meta.table_name,
    )


def what_was_given(reference: Any, key: Any) -> str:
    """Return what a reference is called in a message: by its UUID where that was given, else by its key.

    >>> what_was_given("53d0ef9f-8708-4cb5-9624-01a1914a3ea6", 7), what_was_given(resize, 7)
    ('the uuid 53d0ef9f-8708-4cb5-9624-01a1914a3ea6', 'the id 7')
    """
    return f"the uuid {reference}" if isinstance(reference, UUID | str) else f"the id {key}"


def _id(reference: Any, model: type[peewee.Model], manager: Finding[Any]) -> int:
    if not isinstance(reference, UUID | str):
        return int(_key(reference, model, "id"))
    found = manager._related(model).find_key("uuid", table_of(model).column("uuid").encode(reference))
    if found is None:
        raise no_row(model, reference)
    return int(found)


def _key(reference: Any, model: type[peewee.Model], name: str) -> Any:
    if reference is None:
        raise InvalidValueError(
            f"expected the {_CALLED[model]}, as an instance or by its key; got None: was the row found?"
        )
    column = table_of(model).column(name)
    if not isinstance(reference, model):
        return column.encode(reference)
    key = getattr(reference, name)
    if key is None:
        raise InvalidValueError(f"expected a saved {model.__name__}; this one has no {name} yet: insert it first")
    return column.encode(key)
