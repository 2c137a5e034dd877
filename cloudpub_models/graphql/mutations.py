"""What a graph lets be changed: the operations that have a name on the platform, and no row by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import peewee

from cloudpub_models.errors import DomainRuleError, NotFoundError
from cloudpub_models.models import FunctionDeployment, Organization, OrganizationMember
from cloudpub_models.platform.registry import Managers

Call = Callable[[Managers, Mapping[str, Any], UUID | None], Any]


class Mutation(NamedTuple):
    """A change that has a name.

    Attributes:
        description: what it does.
        model: of what the row is that it is about.
        arguments: what it takes, with its Python types.
        call: does it, and gives the id of the row to show, or whether anything was there to do.
        gives_row: whether it gives a row.
        needs: the relations that have to be loaded with that row, whatever is asked of it.
    """

    description: str
    model: type[peewee.Model]
    arguments: dict[str, type]
    call: Call
    gives_row: bool = True
    needs: tuple[str, ...] = ()


def _deploy(managers: Managers, given: Mapping[str, Any], requester: UUID | None) -> Any:
    return managers.function_deployments.deploy(given["functionUuid"], given["imageTag"], given["s3Key"]).id


def _activate(managers: Managers, given: Mapping[str, Any], requester: UUID | None) -> Any:
    return managers.function_deployments.activate(given["deploymentUuid"]).id


def _rollback(managers: Managers, given: Mapping[str, Any], requester: UUID | None) -> Any:
    return managers.function_deployments.rollback(given["functionUuid"]).id


def _add_member(managers: Managers, given: Mapping[str, Any], requester: UUID | None) -> Any:
    organization = _own(managers, given["organizationUuid"], requester)
    return managers.organizations.add_user_to_organization(given["userUuid"], organization).id


def _remove_member(managers: Managers, given: Mapping[str, Any], requester: UUID | None) -> Any:
    organization = _own(managers, given["organizationUuid"], requester)
    return managers.organizations.remove_user_from_organization(given["userUuid"], organization)


def _own(managers: Managers, uuid: str, requester: UUID | None) -> Organization:
    """Return the organization that the requester owns; another's is told like one that is not there."""
    if requester is None:
        raise DomainRuleError("expected to know who asks, to change who is in an organization; got nobody")
    found = managers.organizations.find_by_uuid(uuid)
    if found is None or found.owner_id != requester:
        raise NotFoundError(
            f"expected an organization that the user {requester} owns; there is none with the uuid {uuid}",
            table="organizations",
        )
    return found


_MEMBERSHIP: dict[str, type] = {"organization_uuid": UUID, "user_uuid": UUID}

MUTATIONS = {
    "deploy": Mutation(
        "Add the next version of a function; it is being built and not active yet.",
        FunctionDeployment,
        {"function_uuid": UUID, "image_tag": str, "s3_key": str},
        _deploy,
    ),
    "activate": Mutation(
        "Make a deployment its function's active one.", FunctionDeployment, {"deployment_uuid": UUID}, _activate
    ),
    "rollback": Mutation(
        "Make the version before the active one the active one.", FunctionDeployment, {"function_uuid": UUID}, _rollback
    ),
    "addMember": Mutation(
        "Make a user a member of an organization of the requester's.",
        OrganizationMember,
        _MEMBERSHIP,
        _add_member,
        needs=("organization",),
    ),
    "removeMember": Mutation(
        "End a user's membership of an organization of the requester's; false where there is none.",
        OrganizationMember,
        _MEMBERSHIP,
        _remove_member,
        gives_row=False,
    ),
}
