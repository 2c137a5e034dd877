"""``managers.organizations``: organizations, and who joins, leaves and owns them.

The rules: a user is a member of one organization at most, which the database keeps by UNIQUE(user_id); the owner is a
member; ownership goes to members only. Whoever changes a membership on which ownership depends locks the organization's
row first, so that two changes at the same time come one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cloudpub_models.connection import Connection, Database
from cloudpub_models.errors import DomainRuleError, ForeignKeyViolationError, UniqueViolationError
from cloudpub_models.manager.joined import JoinedSelect
from cloudpub_models.manager.manager import Manager
from cloudpub_models.manager.scope import Scope, require_all_rows
from cloudpub_models.models import Organization, OrganizationMember, User
from cloudpub_models.platform.references import (
    OrganizationReference,
    UserReference,
    no_row,
    organization_key,
    user_key,
)
from cloudpub_models.platform.users import UserManager

if TYPE_CHECKING:
    from cloudpub_models.platform.row_types import OrganizationChanges, OrganizationData  # noqa: F401 - named by the class
    from cloudpub_models.platform.where_types import OrganizationConditions  # noqa: F401 - named by the class

R = TypeVar("R")

_OF_USER = JoinedSelect(
    OrganizationMember, ("INNER", OrganizationMember.organization), equal=(OrganizationMember.user,)
)

_JOIN_ATTEMPTS = 3


@dataclass(frozen=True)
class OrganizationWithMembers:
    """An organization and its members.

    Attributes:
        organization: the organization; its ``members``, and its ``owner`` where that is one of them, are loaded.
        members: the users in the order in which they joined; ``information`` and ``membership`` (with ``joined_at``)
            of each are loaded.
    """

    organization: Organization
    members: list[User]


class OrganizationManager(Manager[Organization, "OrganizationData", "OrganizationChanges", "OrganizationConditions"]):
    """The operations on ``organizations`` and on who belongs to them.

    Users and organizations are given as instances or by their public UUIDs, in the order of the method's name.
    """

    def __init__(self, database: Database | None = None, *, scope: Scope | None = None) -> None:
        super().__init__(Organization, database, scope=scope)
        self._users = UserManager(database, scope=scope)
        self._memberships = Manager(OrganizationMember, database, scope=scope)

    def create(self, name: str, owner: UserReference) -> Organization:
        """Create an organization with its owner as first member, both or neither.

        Args:
            name: its name; no two organizations have the same.
            owner: the user who will own it.

        Returns:
            the organization.

        Raises:
            UniqueViolationError: another organization has this name.
            DomainRuleError: the user is a member of an organization already; the message says of which.
            NotFoundError: there is no such user.

        >>> from cloudpub_models import Database, Managers
        >>> shop = Database("sqlite:///:memory:")
        >>> _ = shop.migrate()
        >>> managers = Managers(shop)
        >>> ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        >>> acme = managers.organizations.create("Acme", ada)
        >>> managers.organizations.get_user_organization(ada) == acme
        True
        >>> shop.close()

        ``INSERT INTO organizations (name, owner_id) VALUES (…) RETURNING …``, then
        ``INSERT INTO organization_members (organization_id, user_id) VALUES (…) RETURNING …``, in one transaction
        """
        user = user_key(owner)

        def create(_: Connection) -> Organization:
            organization = self.insert({"name": name, "owner_id": user})
            self._insert_membership(user, str(organization.uuid))
            return organization

        return self._joining(user, None, create)

    def get_organization_with_members(self, organization: OrganizationReference) -> OrganizationWithMembers | None:
        """Return an organization with its members and their profiles, in two statements, or ``None``.

        Args:
            organization: its public UUID, or an instance.

        >>> managers.organizations.get_organization_with_members(acme).members == [ada]
        True

        ``SELECT id, … FROM organizations WHERE uuid = @param_0``, then
        ``SELECT … FROM organization_members INNER JOIN users … LEFT JOIN user_information …
        WHERE organization_members.organization_id = @param_0 ORDER BY organization_members.joined_at ASC, …``
        """
        found = self.find_by_uuid(organization_key(organization))
        if found is None:
            return None
        members = self._users.get_users_by_organization(found)
        found.__dict__["members"] = members
        for member in members:
            if member.uuid == found.owner_id:
                found.__rel__["owner"] = member
        return OrganizationWithMembers(found, members)

    def add_user_to_organization(self, user: UserReference, organization: OrganizationReference) -> OrganizationMember:
        """Make a user a member of an organization.

        Of several calls at the same time for one user, one succeeds.

        Args:
            user: the user, who has to be in no organization yet.
            organization: the organization to join.

        Returns:
            the membership.

        Raises:
            DomainRuleError: the user is a member of an organization already, this one or another; the message says of
                which.
            NotFoundError: there is no such user or no such organization.

        >>> managers.organizations.add_user_to_organization(grace, acme).organization_id == acme.uuid
        True

        ``INSERT INTO organization_members (organization_id, user_id) VALUES (…) RETURNING id, …``
        """
        key, target = user_key(user), organization_key(organization)
        return self._joining(key, target, lambda _: self._insert_membership(key, target))

    def remove_user_from_organization(
        self, user: UserReference, organization: OrganizationReference | None = None
    ) -> bool:
        """End a user's membership.

        Args:
            user: the member.
            organization: the organization to leave; the one that the user is in when left out.

        Returns:
            whether the user was a member.

        Raises:
            DomainRuleError: the user owns the organization; ownership has to be transferred first.

        >>> managers.organizations.remove_user_from_organization(grace)
        False

        ``SELECT name, owner_id FROM organizations WHERE uuid = @param_0 FOR NO KEY UPDATE``, then
        ``DELETE FROM organization_members WHERE organization_id = @param_0 AND user_id = @param_1``, in one transaction
        """
        key = user_key(user)
        wanted = None if organization is None else organization_key(organization)

        def remove(_connection: object) -> bool:
            target = wanted
            if target is None:
                membership = self._memberships.find_by_id(key, id_column="user_id", select=["organization_id"])
                if membership is None:
                    return False
                target = str(membership.organization_id)
            found = self._locked({"uuid": target}, ["name", "owner_id"])
            if found is None and self.scope is None:
                return False
            if found is not None and str(found.owner_id) == key:
                raise DomainRuleError(
                    f"expected a member other than the owner; the user {key} owns the organization {found.name!r}: "
                    "transfer_ownership() to another member first"
                )
            return self._memberships.delete({"organization_id": target, "user_id": key}) > 0

        return self.database.run_transaction(remove)

    def get_user_organization(self, user: UserReference) -> Organization | None:
        """Return the organization that a user is a member of, or ``None``.

        >>> managers.organizations.get_user_organization(ada)
        <Organization id=1 uuid=... name='Acme'>

        ``SELECT … FROM organization_members INNER JOIN organizations … WHERE organization_members.user_id = @param_0``
        """
        rows = _OF_USER.find(self.database, [user_key(user)], self._access, self.origin)
        found: Organization | None = rows[0][1] if rows else None
        return found

    def is_user_in_organization(self, user: UserReference, organization: OrganizationReference | None = None) -> bool:
        """Return whether a user is a member of an organization.

        Args:
            user: the user.
            organization: the organization; any at all when left out.

        >>> managers.organizations.is_user_in_organization(grace, acme)
        False

        ``SELECT 1 FROM organization_members WHERE user_id = @param_0 AND organization_id = @param_1 LIMIT 1``
        """
        where = {"user_id": user_key(user)}
        if organization is not None:
            where["organization_id"] = organization_key(organization)
        return self._memberships.exists(where)

    def get_organization_member_count(self, organization: OrganizationReference) -> int:
        """Return how many members an organization has; 0 for one that does not exist.

        >>> managers.organizations.get_organization_member_count(acme)
        1

        ``SELECT COUNT(*) AS count FROM organization_members WHERE organization_id = @param_0``
        """
        if self.scope is not None:
            require_all_rows(self.scope, OrganizationMember)
        return self._memberships.count({"organization_id": organization_key(organization)})

    def transfer_ownership(self, organization: OrganizationReference, new_owner: UserReference) -> Organization:
        """Make another member the owner of an organization; the old owner stays a member.

        Args:
            organization: the organization.
            new_owner: one of its members.

        Returns:
            the organization as it is now.

        Raises:
            DomainRuleError: the new owner is no member of the organization.
            NotFoundError: there is no such organization.

        >>> _ = managers.organizations.add_user_to_organization(grace, acme)
        >>> managers.organizations.transfer_ownership(acme, grace).owner_id == grace.uuid
        True

        ``SELECT … FROM organizations … FOR NO KEY UPDATE``, ``SELECT … FROM organization_members … FOR NO KEY UPDATE``
        and ``UPDATE organizations SET owner_id = …, updated_at = … WHERE uuid = … RETURNING …``, in one transaction
        """
        target, key = organization_key(organization), user_key(new_owner)

        def transfer(_connection: object) -> Organization:
            found = self._locked({"uuid": target}, ["name", "owner_id"])
            if found is None:
                raise no_row(Organization, target)
            # The lock on the membership stops programs that delete it without asking for the organization's first.
            if self._memberships._locked({"organization_id": target, "user_id": key}, ["id"]) is None:
                raise DomainRuleError(
                    f"expected a member of the organization as its new owner; the user {key} is none of "
                    f"{found.name!r}: add_user_to_organization() first"
                )
            changed = self.update_by_id(target, {"owner_id": key}, id_column="uuid")
            if changed is None:
                raise no_row(Organization, target)
            return changed

        return self.database.run_transaction(transfer)

    def _joining(self, user: str, organization: str | None, join: Callable[[Connection], R]) -> R:
        """Run what makes a user a member, and say what is in the way when it fails.

        The transaction, or savepoint, is over by then, so that the database can be asked.
        """
        for _ in range(_JOIN_ATTEMPTS):
            try:
                return self.database.run_transaction(join)
            except UniqueViolationError as error:
                if error.table != "organization_members":
                    raise
                current = self.get_user_organization(user)
                if current is not None:
                    raise DomainRuleError(
                        f"expected a user who is in no organization yet; the user {user} is a member of "
                        f"{current.name!r} ({current.uuid}): remove_user_from_organization() first"
                    ) from error
            except ForeignKeyViolationError as error:
                if organization is not None and self._users.exists({"uuid": user}):
                    raise no_row(Organization, organization) from error
                hint = ": the user comes first, then the organization" if self.exists({"uuid": user}) else ""
                raise no_row(User, user, hint=hint) from error
        raise DomainRuleError(
            f"expected a user who is in no organization yet; the user {user} is a member of one that cannot be seen "
            "from this transaction: try again in a new one"
        )

    def _insert_membership(self, user: str, organization: str) -> OrganizationMember:
        return self._memberships.insert({"organization_id": organization, "user_id": user})
