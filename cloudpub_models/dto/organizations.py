"""What is shown of organizations and their members, and to whom.

The privacy rule: members' public ids are for the owner of the organization, who manages them. Everybody else gets the
members without their ids, their own included. The owner is a member too, so ``owner_id`` follows the same rule: a
requester who is not the owner learns no user's id from any field. A requester that is not known (``None``) is not the
owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Self
from uuid import UUID

from cloudpub_models.dto.base import Dto, Moment
from cloudpub_models.dto.reading import checked, columns_of, related, require_same
from cloudpub_models.dto.users import account_and_profile
from cloudpub_models.entity.stored_forms import uuid_to_text
from cloudpub_models.errors import InvalidValueError, LazyLoadingError
from cloudpub_models.models import Organization, OrganizationMember, Role, User, UserInformation


class OrganizationDto(Dto):
    """An organization, without its members.

    Attributes:
        uuid: the organization's public id.
        name: its name.
        owner_id: the owner's public id; shown to the owner only.
        created_at: when it was created.
        updated_at: when it was last changed.
    """

    uuid: UUID
    name: str
    owner_id: UUID | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None

    @classmethod
    def from_entity(cls, organization: Organization, requester_id: UUID | str | None = None) -> Self:
        """Return what is shown of an organization.

        Args:
            organization: the organization.
            requester_id: the public id of the user who asks.

        Raises:
            InvalidValueError: it is no organization, or not a complete one; ``requester_id`` is no UUID.
            LazyLoadingError: the query that loaded it left one of its columns out.

        >>> from cloudpub_models import Organization
        >>> acme = Organization(name="Acme", owner=UUID(int=1))
        >>> OrganizationDto.from_entity(acme).owner_id is None
        True
        >>> OrganizationDto.from_entity(acme, UUID(int=1)).owner_id
        UUID('00000000-0000-0000-0000-000000000001')
        """
        values = columns_of(checked(organization, Organization, cls), cls)
        if is_owner(organization, requester_id):
            values["owner_id"] = organization.owner_id
        return cls._from_values(values, "an Organization")


class OrganizationMemberDto(Dto):
    """A member of an organization, with the part of the profile that other members see.

    Attributes:
        uuid: the user's public id; shown to the organization's owner only.
        email: the user's address.
        first_name: given name; names, number, avatar and role are absent for a user without a profile.
        last_name: family name.
        phone_number: telephone.
        avatar: the URL of a picture.
        role: what the user is on the platform.
        joined_at: when the user became a member; absent where the membership was not loaded.
    """

    uuid: UUID | None = None
    email: str
    first_name: str | None = None
    last_name: str | None = None
    phone_number: str | None = None
    avatar: str | None = None
    role: Role | None = None
    joined_at: Moment | None = None

    @classmethod
    def from_entity(cls, member: User | OrganizationMember, *, show_uuid: bool = False) -> Self:
        """Return what is shown of a member.

        Args:
            member: the user, or the membership loaded with its user; the profile loaded with the user is shown too.
            show_uuid: whether the user's public id is shown, as it is to the organization's owner.

        Raises:
            InvalidValueError: it is no member, or not a complete one.
            LazyLoadingError: the membership was loaded without its user, or one of the rows without a column.

        >>> from cloudpub_models import User
        >>> ada = User(email="ada@example.com", password_hash="…")
        >>> OrganizationMemberDto.from_entity(ada).to_json()
        {'email': 'ada@example.com'}
        """
        user = _user_of(member, cls)
        membership = member if isinstance(member, OrganizationMember) else related(user, "membership")
        joined_at = None if membership is None else membership.joined_at
        return cls.from_entities(user, joined_at=joined_at, show_uuid=show_uuid)

    @classmethod
    def from_entities(
        cls,
        user: User,
        information: UserInformation | None = None,
        *,
        joined_at: datetime | None = None,
        show_uuid: bool = False,
    ) -> Self:
        """Return what is shown of a member, given in parts.

        Args:
            user: the user.
            information: the profile; when left out, the one loaded with the user, if there is one.
            joined_at: when the user became a member.
            show_uuid: whether the user's public id is shown, as it is to the organization's owner.

        Raises:
            InvalidValueError: one of them is of another model or incomplete, or the profile is another user's.
            LazyLoadingError: the query that loaded one of them left a column out.

        >>> from cloudpub_models import User
        >>> ada = User(uuid=UUID(int=1), email="ada@example.com", password_hash="…")
        >>> OrganizationMemberDto.from_entities(ada, show_uuid=True).uuid
        UUID('00000000-0000-0000-0000-000000000001')
        """
        values = account_and_profile(cls, user, information)
        if not show_uuid:
            del values["uuid"]
        return cls._from_values(values | {"joined_at": joined_at}, "a member")


class OrganizationWithMembersDto(Dto):
    """An organization with all its members.

    Attributes:
        uuid: the organization's public id.
        name: its name.
        owner_id: the owner's public id; shown to the owner only.
        members: its members; their public ids are shown to the owner only.
        member_count: how many members it has.
        created_at: when it was created.
        updated_at: when it was last changed.
    """

    uuid: UUID
    name: str
    owner_id: UUID | None = None
    members: tuple[OrganizationMemberDto, ...]
    member_count: int
    created_at: Moment | None = None
    updated_at: Moment | None = None

    @classmethod
    def from_entities(
        cls,
        organization: Organization,
        members: Iterable[User | OrganizationMember],
        requester_id: UUID | str | None = None,
    ) -> Self:
        """Return what a user may see of an organization and its members.

        Args:
            organization: the organization.
            members: its members as ``managers.organizations.get_organization_with_members`` gives them: users, or
                memberships loaded with their user.
            requester_id: the public id of the user who asks; ``None`` for nobody in particular.

        Raises:
            InvalidValueError: a member is no member of this organization, or something is incomplete;
                ``requester_id`` is no UUID.
            LazyLoadingError: a membership was loaded without its user, or a row without one of its columns.

        >>> from cloudpub_models import Organization, User
        >>> ada = User(uuid=UUID(int=1), email="ada@example.com", password_hash="…")
        >>> acme = Organization(name="Acme", owner=ada)
        >>> OrganizationWithMembersDto.from_entities(acme, [ada], ada.uuid).members[0].uuid == ada.uuid
        True
        >>> OrganizationWithMembersDto.from_entities(acme, [ada], UUID(int=2)).members[0].to_json()
        {'email': 'ada@example.com'}
        """
        values = columns_of(checked(organization, Organization, cls), cls)
        shown_to_owner = is_owner(organization, requester_id)
        if shown_to_owner:
            values["owner_id"] = organization.owner_id
        shown = []
        for member in members:
            _require_membership(member, organization)
            shown.append(OrganizationMemberDto.from_entity(member, show_uuid=shown_to_owner))
        return cls._from_values(values | {"members": tuple(shown), "member_count": len(shown)}, "an Organization")


class UserWithOrganizationDto(Dto):
    """A user, the part of the profile that members see, and the user's organization.

    Attributes:
        uuid: the user's public id.
        email: the user's address.
        first_name: given name; names, number, avatar and role are absent for a user without a profile.
        last_name: family name.
        phone_number: telephone.
        avatar: the URL of a picture.
        role: what the user is on the platform.
        organization: the organization, as its member sees it: ``owner_id`` is shown where this user is the owner.
        created_at: when the account was created.
    """

    uuid: UUID
    email: str
    first_name: str | None = None
    last_name: str | None = None
    phone_number: str | None = None
    avatar: str | None = None
    role: Role | None = None
    organization: OrganizationDto | None = None
    created_at: Moment | None = None

    @classmethod
    def from_entities(
        cls, user: User, information: UserInformation | None = None, organization: Organization | None = None
    ) -> Self:
        """Return what is shown of a user and the user's organization.

        Args:
            user: the user.
            information: the profile; when left out, the one loaded with the user, if there is one.
            organization: the organization; when left out, the one loaded with the user, if there is one.

        Raises:
            InvalidValueError: one of them is of another model or incomplete, or the profile is another user's.
            LazyLoadingError: the query that loaded one of them left a column out.

        >>> from cloudpub_models import Organization, User
        >>> ada = User(email="ada@example.com", password_hash="…")
        >>> UserWithOrganizationDto.from_entities(ada, organization=Organization(name="Acme")).organization.name
        'Acme'
        """
        values = account_and_profile(cls, user, information)
        if organization is None:
            organization = related(user, "organization")
        if organization is not None:
            # Shown as to the user; whoever else gets this DTO knows the user's id from it already.
            values["organization"] = OrganizationDto.from_entity(organization, user.uuid)
        return cls._from_values(values, "a User and Organization")


def is_owner(organization: Organization, requester_id: UUID | str | None) -> bool:
    """Return whether a requester is the owner of an organization; nobody in particular (``None``) is not.

    Raises:
        InvalidValueError: ``requester_id`` is neither a UUID nor the text of one.
        LazyLoadingError: the organization was loaded without its owner's id.

    >>> is_owner(Organization(owner=UUID(int=1)), "00000000-0000-0000-0000-000000000001")
    True
    >>> is_owner(Organization(), None)
    False
    """
    if requester_id is None:
        return False
    requester, owner = uuid_to_text(requester_id), organization.owner_id
    return owner is not None and uuid_to_text(owner) == requester


def _user_of(member: User | OrganizationMember, dto: type[Dto]) -> User:
    if isinstance(member, User):
        return member
    if not isinstance(member, OrganizationMember):
        raise InvalidValueError(
            f"expected a User or an OrganizationMember for {dto.__name__}; got {type(member).__name__}"
        )
    user: User | None = related(member, "user")
    if user is None:
        raise LazyLoadingError(
            f"expected the membership loaded with its user, since {dto.__name__} sends no query; load the members with "
            'managers.organizations.get_organization_with_members(…), or with include=("user",)'
        )
    return user


def _require_membership(member: User | OrganizationMember, organization: Organization) -> None:
    membership = related(member, "membership") if isinstance(member, User) else member
    if isinstance(membership, OrganizationMember):
        require_same(
            membership.__data__.get("organization"),
            organization.uuid,
            "expected members of this organization; got one of another: load the two together",
        )
