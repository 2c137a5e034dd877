"""Who sees whose public id in an organization."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from cloudpub_models import UserInformation, errors
from cloudpub_models.dto import (
    OrganizationDto,
    OrganizationMemberDto,
    OrganizationWithMembersDto,
    UserProfileDto,
    UserWithOrganizationDto,
)
from tests.dto.world import MEMBER_UUID, NOON, ORGANIZATION_UUID, OWNER_UUID, STRANGER_UUID, World

OWNER_FORMS = [OWNER_UUID, str(OWNER_UUID), str(OWNER_UUID).upper(), OWNER_UUID.hex, f"{{{OWNER_UUID}}}"]
OTHERS = [None, MEMBER_UUID, str(MEMBER_UUID), STRANGER_UUID, str(STRANGER_UUID), str(ORGANIZATION_UUID)]


def as_users(world: World):
    return [world.owner, world.member]


def as_memberships(world: World):
    world.owner_membership.__rel__["user"] = world.owner
    world.membership.__rel__["user"] = world.member
    return [world.owner_membership, world.membership]


@pytest.fixture(params=[as_users, as_memberships], ids=["users", "memberships"])
def members(request, world):
    return request.param(world)


@pytest.mark.parametrize("requester", OWNER_FORMS, ids=str)
def test_the_owner_sees_every_member_uuid(world, members, requester):
    dto = OrganizationWithMembersDto.from_entities(world.organization, members, requester)
    assert [member.uuid for member in dto.members] == [OWNER_UUID, MEMBER_UUID]
    assert dto.owner_id == OWNER_UUID
    assert [member["uuid"] for member in dto.to_json()["members"]] == [str(OWNER_UUID), str(MEMBER_UUID)]
    assert dto.to_json()["owner_id"] == str(OWNER_UUID)


@pytest.mark.parametrize("requester", OTHERS, ids=str)
def test_nobody_else_learns_a_uuid_from_any_field(world, members, requester):
    dto = OrganizationWithMembersDto.from_entities(world.organization, members, requester)
    assert [member.uuid for member in dto.members] == [None, None]
    assert dto.owner_id is None
    shown = dto.to_json()
    assert not [member for member in shown["members"] if "uuid" in member]
    assert "owner_id" not in shown
    for text in (json.dumps(shown), dto.model_dump_json(), repr(dto)):
        assert str(OWNER_UUID) not in text
        assert str(MEMBER_UUID) not in text
    assert [member["email"] for member in shown["members"]] == ["owner@example.com", "member@example.com"]
    assert shown["member_count"] == 2
    assert shown["uuid"] == str(ORGANIZATION_UUID)


@pytest.mark.parametrize("requester", ["", "owner", str(OWNER_UUID)[:-1], 1, True, b"x", {"uuid": OWNER_UUID}])
def test_a_requester_that_is_no_uuid_is_refused(world, members, requester):
    with pytest.raises(errors.InvalidValueError, match="UUID"):
        OrganizationWithMembersDto.from_entities(world.organization, members, requester)
    with pytest.raises(errors.InvalidValueError, match="UUID"):
        OrganizationDto.from_entity(world.organization, requester)


def test_an_organization_without_a_known_owner_has_no_owner_among_requesters(world):
    orphan = world.organization.copy_with(owner_id=None)
    for requester in (None, OWNER_UUID):
        assert OrganizationDto.from_entity(orphan, requester).owner_id is None


def test_an_organization_alone_names_its_owner_to_the_owner_only(world):
    assert OrganizationDto.from_entity(world.organization).owner_id is None
    assert OrganizationDto.from_entity(world.organization, MEMBER_UUID).owner_id is None
    assert OrganizationDto.from_entity(world.organization, str(OWNER_UUID)).owner_id == OWNER_UUID


def test_a_user_with_organization_says_nothing_of_another_user(world):
    member = UserWithOrganizationDto.from_entities(world.member, world.member_information, world.organization)
    assert str(OWNER_UUID) not in json.dumps(member.to_json())
    assert member.to_json()["uuid"] == str(MEMBER_UUID)
    owner = UserWithOrganizationDto.from_entities(world.owner, world.owner_information, world.organization)
    assert owner.organization is not None
    assert owner.organization.owner_id == OWNER_UUID


def test_a_member_has_no_uuid_until_it_is_asked_for(world):
    assert "uuid" not in OrganizationMemberDto.from_entity(world.member).to_json()
    assert OrganizationMemberDto.from_entity(world.member, show_uuid=True).uuid == MEMBER_UUID


def test_what_is_loaded_with_a_member_is_shown(world):
    world.member.__dict__["information"] = world.member_information
    world.member.__dict__["membership"] = world.membership
    assert OrganizationMemberDto.from_entity(world.member).to_json() == {
        "email": "member@example.com",
        "first_name": "Byron",
        "last_name": "Lovelace",
        "phone_number": "+44 1",
        "avatar": "https://example.com/a.png",
        "role": "team",
        "joined_at": "2026-05-01T12:00:00.123456+00:00",
    }


def test_a_membership_without_its_user_asks_for_it(world):
    with pytest.raises(errors.LazyLoadingError, match="get_organization_with_members"):
        OrganizationWithMembersDto.from_entities(world.organization, [world.membership], None)


def test_rows_that_do_not_belong_together_are_refused(world):
    for make in (UserProfileDto, UserWithOrganizationDto, OrganizationMemberDto):
        with pytest.raises(errors.InvalidValueError, match="another user's"):
            make.from_entities(world.member, world.owner_information)
    elsewhere = world.membership.copy_with(organization_id=UUID(int=5))
    elsewhere.__rel__["user"] = world.member
    with pytest.raises(errors.InvalidValueError, match="one of another"):
        OrganizationWithMembersDto.from_entities(world.organization, [elsewhere], None)
    world.member.__dict__["membership"] = elsewhere
    with pytest.raises(errors.InvalidValueError, match="one of another"):
        OrganizationWithMembersDto.from_entities(world.organization, [world.member], None)


def test_a_profile_that_is_not_saved_belongs_to_whom_it_is_given_with(world):
    profile = UserInformation(first_name="A", last_name="B", role="team")
    assert UserProfileDto.from_entities(world.member, profile).first_name == "A"
    assert OrganizationMemberDto.from_entities(world.member, profile, joined_at=NOON).joined_at == NOON


def test_what_the_managers_load_is_what_the_dtos_take(managers, statements, world):
    found = managers.organizations.get_organization_with_members(ORGANIZATION_UUID)
    complete = managers.users.get_user_complete(MEMBER_UUID)
    statements.clear()
    for requester, uuids in ((OWNER_UUID, [OWNER_UUID, MEMBER_UUID]), (MEMBER_UUID, [None, None])):
        dto = OrganizationWithMembersDto.from_entities(
            organization=found.organization, members=found.members, requester_id=requester
        )
        assert [member.uuid for member in dto.members] == uuids
        assert [member.first_name for member in dto.members] == ["Ada", "Byron"]
        assert [member.joined_at for member in dto.members] == [NOON, NOON]
    hidden = OrganizationWithMembersDto.from_entities(found.organization, found.members)
    assert str(OWNER_UUID) not in hidden.model_dump_json()
    profile, card = UserProfileDto.from_entities(complete), UserWithOrganizationDto.from_entities(complete)
    assert (profile.city, card.first_name) == ("London", "Byron")
    assert card.organization is not None
    assert (card.organization.name, card.organization.owner_id) == ("Acme", None)
    assert statements == []
