"""``managers.users``: accounts, with the profile and the organization that belong to them.

What is read together comes in one statement, and reading ``user.information`` or ``user.organization`` afterwards sends
nothing. Who may join or leave an organization is decided in ``organizations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cloudpub_models.connection import Database
from cloudpub_models.entity.lower_case import AsciiLower, ascii_lower
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.joined import JoinedSelect
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.scope import Scope, require_all_rows
from cloudpub_models.models import Organization, OrganizationMember, Role, User, UserInformation
from cloudpub_models.platform.references import (
    OrganizationReference,
    UserReference,
    organization_key,
    user_key,
)
from cloudpub_models.sql.values import check_count

if TYPE_CHECKING:
    from cloudpub_models.platform.row_types import UserChanges, UserData  # noqa: F401 - named by the class
    from cloudpub_models.platform.where_types import UserConditions  # noqa: F401 - named by the class

# LIMIT takes no NULL on SQLite; half of the largest integer, since both databases add the offset to it.
_NO_LIMIT: Final = 2**62

_INFORMATION = ("LEFT", UserInformation.user)
_ORGANIZATION = ("LEFT", OrganizationMember.user), ("LEFT", OrganizationMember.organization)

_COMPLETE = JoinedSelect(User, _INFORMATION, *_ORGANIZATION, equal=(User.uuid,))
_WITH_INFORMATION = JoinedSelect(User, _INFORMATION, equal=(User.uuid,))
_WITH_ORGANIZATION = JoinedSelect(User, *_ORGANIZATION, equal=(User.uuid,))

_LATEST_FIRST: dict[str, Any] = {"order_by": (User.created_at, User.id), "direction": "DESC", "paged": True}
_ALL = JoinedSelect(User, _INFORMATION, **_LATEST_FIRST)
_ALL_OF_ROLE = JoinedSelect(User, ("INNER", UserInformation.user), equal=(UserInformation.role,), **_LATEST_FIRST)

_OF_ORGANIZATION = JoinedSelect(
    OrganizationMember,
    ("INNER", OrganizationMember.user),
    _INFORMATION,
    equal=(OrganizationMember.organization,),
    order_by=(OrganizationMember.joined_at, OrganizationMember.id),
    paged=True,
)


class UserManager(Manager[User, "UserData", "UserChanges", "UserConditions"]):
    """The operations on ``users``.

    A user is given as an instance or by its public UUID.
    """

    def __init__(self, database: Database | None = None, *, scope: Scope | None = None) -> None:
        super().__init__(User, database, scope=scope)

    def find_by_email(self, email: str) -> User | None:
        """Return the user with this address, whatever the case of its ASCII letters, or ``None``.

        The address as it is given comes first; only where nobody has that does one count that differs in case. Both are
        found by an index, which allows one account for each address. In a database that lacks it as yet, the first
        registered of several is meant.

        Args:
            email: the address.

        Raises:
            InvalidValueError: it is no text, or longer than an address may be.

        >>> from cloudpub_models import Database, Managers
        >>> shop = Database("sqlite:///:memory:")
        >>> _ = shop.migrate()
        >>> users = Managers(shop).users
        >>> _ = users.insert({"email": "ada@example.com", "password_hash": "…"})
        >>> users.find_by_email("Ada@Example.com").email
        'ada@example.com'
        >>> shop.close()

        ``SELECT id, … FROM users WHERE email = @param_0``, then at most
        ``SELECT id, … FROM users WHERE LOWER("users"."email") = @param_0 ORDER BY id ASC LIMIT 1``
        """
        exact = self.find_by_id(email, id_column="email")
        if exact is not None:
            return exact
        return self.find_one(AsciiLower(User.email) == ascii_lower(email), order_by="id")

    def get_user_complete(self, user_uuid: UserReference) -> User | None:
        """Return a user with profile and organization loaded, or ``None``.

        Args:
            user_uuid: the public UUID, or an instance.

        Returns:
            the user; ``user.information`` and ``user.organization`` are ``None`` where there is none. The membership,
            with its ``joined_at``, is ``user.membership``.

        >>> user = managers.users.get_user_complete(ada.uuid)
        >>> user.information, user.organization.name
        (None, 'Acme')

        ``SELECT users.id, … FROM users LEFT JOIN user_information ON user_information.user_id = users.uuid
        LEFT JOIN organization_members … LEFT JOIN organizations … WHERE users.uuid = @param_0``
        """
        for user, information, membership, organization in _COMPLETE.find(
            self.database, [user_key(user_uuid)], self._access, self.origin
        ):
            _attach_information(user, information)
            return _attach_organization(user, membership, organization)
        return None

    def get_user_with_information(self, user_uuid: UserReference) -> User | None:
        """Return a user with the profile loaded as ``user.information``, or ``None``.

        Args:
            user_uuid: the public UUID, or an instance.

        >>> _ = factory.user_information(ada, first_name="Ada")
        >>> managers.users.get_user_with_information(ada.uuid).information.first_name
        'Ada'

        ``SELECT users.id, … FROM users LEFT JOIN user_information … WHERE users.uuid = @param_0``
        """
        for user, information in _WITH_INFORMATION.find(
            self.database, [user_key(user_uuid)], self._access, self.origin
        ):
            return _attach_information(user, information)
        return None

    def get_user_with_organization(self, user_uuid: UserReference) -> User | None:
        """Return a user with the organization loaded as ``user.organization``, or ``None``.

        Args:
            user_uuid: the public UUID, or an instance.

        >>> managers.users.get_user_with_organization(ada.uuid).organization == acme
        True

        ``SELECT users.id, … FROM users LEFT JOIN organization_members … LEFT JOIN organizations … WHERE …``
        """
        for user, membership, organization in _WITH_ORGANIZATION.find(
            self.database, [user_key(user_uuid)], self._access, self.origin
        ):
            return _attach_organization(user, membership, organization)
        return None

    def get_all_users_with_information(
        self, role: Role | str | None = None, limit: int | None = None, offset: int | None = None
    ) -> list[User]:
        """Return all users, each with the profile loaded as ``user.information``, the newest first.

        Args:
            role: only users with this role; users without a profile have none and appear only when it is left out.
            limit: how many users at most.
            offset: how many users to skip.

        Raises:
            InvalidValueError: ``role`` is none of ``Role``.

        >>> _ = factory.user_information(ada, first_name="Ada", role="team")
        >>> [user.information.first_name for user in managers.users.get_all_users_with_information("team")]
        ['Ada']

        ``SELECT users.id, … FROM users LEFT JOIN user_information ON user_information.user_id = users.uuid
        ORDER BY users.created_at DESC, users.id DESC LIMIT @param_0 OFFSET @param_1``
        """
        page = _page(limit, offset)
        if role is None:
            rows = _ALL.find(self.database, page, self._access, self.origin)
        else:
            encoded = table_of(UserInformation).column("role").encode(role)
            rows = _ALL_OF_ROLE.find(self.database, [encoded, *page], self._access, self.origin)
        return [_attach_information(user, information) for user, information in rows]

    def get_developers(self, limit: int | None = None, offset: int | None = None) -> list[User]:
        """Return the users with the role ``developer``; see ``get_all_users_with_information``.

        >>> _ = factory.user_information(ada, role="developer")
        >>> managers.users.get_developers() == [ada]
        True
        """
        return self.get_all_users_with_information(Role.DEVELOPER, limit, offset)

    def get_team_members(self, limit: int | None = None, offset: int | None = None) -> list[User]:
        """Return the users with the role ``team``; see ``get_all_users_with_information``.

        >>> _ = factory.user_information(ada, role="team")
        >>> managers.users.get_team_members() == [ada]
        True
        """
        return self.get_all_users_with_information(Role.TEAM, limit, offset)

    def get_users_by_organization(
        self, organization: OrganizationReference, limit: int | None = None, offset: int | None = None
    ) -> list[User]:
        """Return the members of an organization in the order in which they joined, with profile and membership loaded.

        Args:
            organization: its public UUID, or an instance, which the users then have as their ``organization``.
            limit: how many users at most.
            offset: how many users to skip.

        Returns:
            the users; an empty list for an organization that does not exist.

        >>> managers.users.get_users_by_organization(acme) == [ada]
        True

        ``SELECT organization_members.id, … FROM organization_members INNER JOIN users … LEFT JOIN user_information …
        WHERE organization_members.organization_id = @param_0 ORDER BY organization_members.joined_at ASC, … LIMIT …``
        """
        if self.scope is not None:
            require_all_rows(self.scope, OrganizationMember)
        values = [organization_key(organization), *_page(limit, offset)]
        users = []
        for membership, user, information in _OF_ORGANIZATION.find(self.database, values, self._access, self.origin):
            _attach_information(user, information)
            _attach_membership(user, membership)
            if isinstance(organization, Organization):
                user.__dict__["organization"] = membership.__rel__["organization"] = organization
            users.append(user)
        return users


def _page(limit: int | None, offset: int | None) -> tuple[int, int]:
    return (
        _NO_LIMIT if limit is None else check_count(limit, "limit"),
        0 if offset is None else check_count(offset, "offset"),
    )


# An attribute of a relation looks into the instance's own __dict__ first (see models.relations).


def _attach_information(user: User, information: UserInformation | None) -> User:
    user.__dict__["information"] = information
    if information is not None:
        information.__rel__["user"] = user
    return user


def _attach_membership(user: User, membership: OrganizationMember | None) -> None:
    user.__dict__["membership"] = membership
    if membership is not None:
        membership.__rel__["user"] = user


def _attach_organization(user: User, membership: OrganizationMember | None, organization: Organization | None) -> User:
    _attach_membership(user, membership)
    user.__dict__["organization"] = organization
    if organization is not None:
        if membership is not None:
            membership.__rel__["organization"] = organization
        if organization.owner_id == user.uuid:
            organization.__rel__["owner"] = user
    return user
