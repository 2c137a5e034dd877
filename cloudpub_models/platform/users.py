"""``managers.users``: accounts, with the profile and the organization that belong to them.

What is read together comes in one statement, and reading ``user.information`` or ``user.organization`` afterwards sends
nothing. Who may join or leave an organization is decided in ``organizations``.
"""

from __future__ import annotations

from typing import Final

from cloudpub_models.connection import Database
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.rows.joined import JoinedSelect
from cloudpub_models.manager.scope import Scope
from cloudpub_models.models import Organization, OrganizationMember, Role, User, UserInformation
from cloudpub_models.platform.references import (
    OrganizationReference,
    UserReference,
    organization_key,
    user_key,
)
from cloudpub_models.sql.values import check_count

# LIMIT takes no NULL on SQLite; half of the largest integer, since both databases add the offset to it.
_NO_LIMIT: Final = 2**62

_BY_EMAIL_IN_ANY_CASE = JoinedSelect(
    "SELECT {columns} FROM users u WHERE LOWER(u.email) = LOWER(@email) ORDER BY u.id LIMIT 1", {"u": User}
)

# SQLite's LOWER, and the index on it, know the letters of ASCII only. For others this is our ILIKE with every wildcard
# escaped, which looks at every row.
_BY_EMAIL_BEYOND_ASCII_ON_SQLITE = JoinedSelect(
    "SELECT {columns} FROM users u WHERE cloudpub_ilike("
    "REPLACE(REPLACE(REPLACE(@email, '\\', '\\\\'), '%', '\\%'), '_', '\\_'), u.email) ORDER BY u.id LIMIT 1",
    {"u": User},
)

_COMPLETE = JoinedSelect(
    "SELECT {columns} FROM users u "
    "LEFT JOIN user_information i ON i.user_id = u.uuid "
    "LEFT JOIN organization_members m ON m.user_id = u.uuid "
    "LEFT JOIN organizations o ON o.uuid = m.organization_id "
    "WHERE u.uuid = @user",
    {"u": User, "i": UserInformation, "m": OrganizationMember, "o": Organization},
)

_WITH_INFORMATION = JoinedSelect(
    "SELECT {columns} FROM users u LEFT JOIN user_information i ON i.user_id = u.uuid WHERE u.uuid = @user",
    {"u": User, "i": UserInformation},
)

_WITH_ORGANIZATION = JoinedSelect(
    "SELECT {columns} FROM users u "
    "LEFT JOIN organization_members m ON m.user_id = u.uuid "
    "LEFT JOIN organizations o ON o.uuid = m.organization_id "
    "WHERE u.uuid = @user",
    {"u": User, "m": OrganizationMember, "o": Organization},
)

_ALL = JoinedSelect(
    "SELECT {columns} FROM users u LEFT JOIN user_information i ON i.user_id = u.uuid "
    "ORDER BY u.created_at DESC, u.id DESC LIMIT @limit OFFSET @offset",
    {"u": User, "i": UserInformation},
)

_ALL_OF_ROLE = JoinedSelect(
    "SELECT {columns} FROM users u INNER JOIN user_information i ON i.user_id = u.uuid WHERE i.role = @role "
    "ORDER BY u.created_at DESC, u.id DESC LIMIT @limit OFFSET @offset",
    {"u": User, "i": UserInformation},
)

_OF_ORGANIZATION = JoinedSelect(
    "SELECT {columns} FROM organization_members m INNER JOIN users u ON u.uuid = m.user_id "
    "LEFT JOIN user_information i ON i.user_id = u.uuid WHERE m.organization_id = @organization "
    "ORDER BY m.joined_at, m.id LIMIT @limit OFFSET @offset",
    {"u": User, "i": UserInformation, "m": OrganizationMember},
)


class UserManager(Manager[User]):
    """The operations on ``users``.

    A user is given as an instance or by its public UUID.
    """

    def __init__(self, database: Database | None = None, *, scope: Scope | None = None) -> None:
        super().__init__(User, database, scope=scope)

    def find_by_email(self, email: str) -> User | None:
        """Return the user with this address, whatever its case, or ``None``.

        The address as it is given comes first; only where nobody has that does one count that differs in case. Both are
        found by an index, but an address with letters beyond ASCII in another case on SQLite. Should several differ in
        case only, the first registered is meant.

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
        ``SELECT u.id, … FROM users u WHERE LOWER(u.email) = LOWER(@email) ORDER BY u.id LIMIT 1``
        """
        exact = self.find_by_id(email, id_column="email")
        if exact is not None:
            return exact
        encoded = self.table.column("email").encode(email)
        beyond = self.database.dialect == "sqlite" and not email.isascii()
        in_any_case = _BY_EMAIL_BEYOND_ASCII_ON_SQLITE if beyond else _BY_EMAIL_IN_ANY_CASE
        rows = in_any_case.fetch(self.database.engine, {"email": encoded})
        return rows[0][0] if rows else None

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

        ``SELECT u.id, …, i.id, …, m.id, …, o.id, … FROM users u LEFT JOIN user_information i … LEFT JOIN
        organization_members m … LEFT JOIN organizations o … WHERE u.uuid = @user``
        """
        for user, information, membership, organization in _COMPLETE.fetch(
            self.database.engine, {"user": user_key(user_uuid)}
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

        ``SELECT u.id, …, i.id, … FROM users u LEFT JOIN user_information i ON i.user_id = u.uuid WHERE u.uuid = @user``
        """
        for user, information in _WITH_INFORMATION.fetch(self.database.engine, {"user": user_key(user_uuid)}):
            return _attach_information(user, information)
        return None

    def get_user_with_organization(self, user_uuid: UserReference) -> User | None:
        """Return a user with the organization loaded as ``user.organization``, or ``None``.

        Args:
            user_uuid: the public UUID, or an instance.

        >>> managers.users.get_user_with_organization(ada.uuid).organization == acme
        True

        ``SELECT u.id, …, m.id, …, o.id, … FROM users u LEFT JOIN organization_members m … LEFT JOIN organizations o …``
        """
        for user, membership, organization in _WITH_ORGANIZATION.fetch(
            self.database.engine, {"user": user_key(user_uuid)}
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

        ``SELECT u.id, …, i.id, … FROM users u LEFT JOIN user_information i ON i.user_id = u.uuid
        ORDER BY u.created_at DESC, u.id DESC LIMIT @limit OFFSET @offset``
        """
        engine = self.database.engine
        parameters = _range(limit, offset)
        if role is None:
            rows = _ALL.fetch(engine, parameters)
        else:
            encoded = table_of(UserInformation).column("role").encode(role)
            rows = _ALL_OF_ROLE.fetch(engine, {"role": encoded, **parameters})
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

        ``SELECT u.id, …, i.id, …, m.id, … FROM organization_members m INNER JOIN users u …
        LEFT JOIN user_information i … WHERE m.organization_id = @organization
        ORDER BY m.joined_at, m.id LIMIT @limit OFFSET @offset``
        """
        parameters = {"organization": organization_key(organization), **_range(limit, offset)}
        users = []
        for user, information, membership in _OF_ORGANIZATION.fetch(self.database.engine, parameters):
            _attach_information(user, information)
            _attach_membership(user, membership)
            if isinstance(organization, Organization):
                user.__dict__["organization"] = membership.__rel__["organization"] = organization
            users.append(user)
        return users


def _range(limit: int | None, offset: int | None) -> dict[str, int]:
    return {
        "limit": _NO_LIMIT if limit is None else check_count(limit, "limit"),
        "offset": 0 if offset is None else check_count(offset, "offset"),
    }


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
