"""One row of every table, with ids that would be noticed wherever they came out, and every DTO built from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cloudpub_models import (
    Function,
    FunctionDeployment,
    FunctionInvocation,
    FunctionLog,
    Managers,
    Organization,
    OrganizationMember,
    Role,
    User,
    UserInformation,
)
from cloudpub_models.dto import (
    FunctionDeploymentDto,
    FunctionDto,
    FunctionInvocationDto,
    FunctionLogDto,
    OrganizationDto,
    OrganizationMemberDto,
    OrganizationWithMembersDto,
    UserDto,
    UserInformationDto,
    UserProfileDto,
    UserWithOrganizationDto,
)
from cloudpub_models.dto.base import Dto

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
PASSWORD_HASH = "argon2-SECRET-hash"
OWNER_UUID = UUID("aaaaaaaa-0000-4000-8000-000000000001")
MEMBER_UUID = UUID("aaaaaaaa-0000-4000-8000-000000000002")
STRANGER_UUID = UUID("aaaaaaaa-0000-4000-8000-000000000003")
ORGANIZATION_UUID = UUID("bbbbbbbb-0000-4000-8000-000000000001")
DOCUMENT = {"runtime": "dart", "limits": [None, 1.5, {"id": None, "nested": []}], "é": True}

# Seven digits, which neither a UUID above nor the fraction of a second can contain.
INTERNAL_IDS = range(9876501, 9876512)


@dataclass(frozen=True)
class World:
    """The rows."""

    owner: User
    member: User
    owner_information: UserInformation
    member_information: UserInformation
    organization: Organization
    owner_membership: OrganizationMember
    membership: OrganizationMember
    function: Function
    deployment: FunctionDeployment
    log: FunctionLog
    invocation: FunctionInvocation


def make_world(managers: Managers) -> World:
    """Insert the rows."""
    ids = iter(INTERNAL_IDS)

    def user(uuid: UUID, email: str) -> User:
        return managers.users.insert(
            {"id": next(ids), "uuid": uuid, "email": email, "password_hash": PASSWORD_HASH, "created_at": NOON}
        )

    def information(user: User, first_name: str) -> UserInformation:
        return managers.user_information.insert(
            {
                "id": next(ids),
                "user_id": user.uuid,
                "first_name": first_name,
                "last_name": "Lovelace",
                "phone_number": "+44 1",
                "country": "UK",
                "city": "London",
                "address": "St James's Square",
                "zip_code": "SW1",
                "avatar": "https://example.com/a.png",
                "role": Role.TEAM,
            }
        )

    owner, member = user(OWNER_UUID, "owner@example.com"), user(MEMBER_UUID, "member@example.com")
    owner_information, member_information = information(owner, "Ada"), information(member, "Byron")
    organization = managers.organizations.insert(
        {"id": next(ids), "uuid": ORGANIZATION_UUID, "name": "Acme", "owner_id": owner.uuid, "created_at": NOON}
    )
    owner_membership, membership = (
        managers.organization_members.insert(
            {"id": next(ids), "organization_id": organization.uuid, "user_id": user.uuid, "joined_at": NOON}
        )
        for user in (owner, member)
    )
    function = managers.functions.insert(
        {"id": next(ids), "user_id": owner.id, "name": "resize", "analysis_result": DOCUMENT, "created_at": NOON}
    )
    deployment = managers.function_deployments.insert(
        {
            "id": next(ids),
            "function_id": function.id,
            "version": 3,
            "image_tag": "resize:3",
            "s3_key": "resize/3.zip",
            "is_active": True,
            "build_logs": "ok",
            "deployed_at": NOON,
        }
    )
    log = managers.function_logs.insert(
        {"id": next(ids), "function_id": function.id, "level": "info", "message": "ready", "timestamp": NOON}
    )
    invocation = managers.function_invocations.insert(
        {
            "id": INTERNAL_IDS[0],
            "function_id": function.id,
            "status": "failed",
            "duration_ms": 12,
            "error": "boom",
            "timestamp": NOON,
        }
    )
    updated = managers.functions.update_by_id(function.id, {"active_deployment_id": deployment.id})
    assert updated is not None
    return World(
        owner,
        member,
        owner_information,
        member_information,
        organization,
        owner_membership,
        membership,
        updated,
        deployment,
        log,
        invocation,
    )


# Every DTO, each in all the ways that it is built.
BUILDERS: dict[type[Dto], Callable[[World], list[Dto]]] = {
    UserDto: lambda w: [UserDto.from_entity(w.owner)],
    UserInformationDto: lambda w: [UserInformationDto.from_entity(w.owner_information)],
    UserProfileDto: lambda w: [
        UserProfileDto.from_entities(w.owner),
        UserProfileDto.from_entities(w.owner, w.owner_information),
    ],
    OrganizationDto: lambda w: [
        OrganizationDto.from_entity(w.organization, requester) for requester in (None, OWNER_UUID, w.member.uuid)
    ],
    OrganizationMemberDto: lambda w: [
        OrganizationMemberDto.from_entities(w.member, w.member_information, joined_at=w.membership.joined_at),
        OrganizationMemberDto.from_entity(w.member, show_uuid=True),
        OrganizationMemberDto.from_entity(loaded(w.membership, user=w.member), show_uuid=True),
    ],
    OrganizationWithMembersDto: lambda w: [
        OrganizationWithMembersDto.from_entities(w.organization, members, requester)
        for members in ([w.owner, w.member], [loaded(w.membership, user=w.member)], [])
        for requester in (None, OWNER_UUID, w.member.uuid)
    ],
    UserWithOrganizationDto: lambda w: [
        UserWithOrganizationDto.from_entities(user, organization=w.organization) for user in (w.owner, w.member)
    ],
    FunctionDto: lambda w: [
        FunctionDto.from_entity(w.function),
        FunctionDto.from_entity(loaded(w.function, user=w.owner, active_deployment=w.deployment)),
    ],
    FunctionDeploymentDto: lambda w: [
        FunctionDeploymentDto.from_entity(w.deployment),
        FunctionDeploymentDto.from_entity(loaded(w.deployment, function=w.function)),
    ],
    FunctionLogDto: lambda w: [
        FunctionLogDto.from_entity(w.log),
        FunctionLogDto.from_entity(loaded(w.log, function=w.function)),
    ],
    FunctionInvocationDto: lambda w: [
        FunctionInvocationDto.from_entity(w.invocation),
        FunctionInvocationDto.from_entity(loaded(w.invocation, function=w.function)),
    ],
}


def loaded(entity: Any, **related: Any) -> Any:
    """A copy of an entity with rows that ``include=`` would have loaded with it."""
    copy = entity.copy_with()
    copy.__rel__.update(related)
    return copy
