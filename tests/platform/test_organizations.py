"""``managers.organizations``: one organization for a user, an owner who is a member."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from cloudpub_models import Database, Managers, Organization, User
from cloudpub_models.errors import (
    DomainRuleError,
    InvalidValueError,
    LockNotAvailableError,
    NotFoundError,
    UniqueViolationError,
)

NewUser = Callable[[str], User]


@pytest.fixture
def acme(managers: Managers, ada: User) -> Organization:
    return managers.organizations.create("Acme", ada)


@pytest.fixture
def bob(new_user: NewUser) -> User:
    return new_user("bob")


def test_create_makes_the_owner_a_member(managers: Managers, ada: User) -> None:
    acme = managers.organizations.create("Acme", ada.uuid)
    assert (acme.name, acme.owner_id) == ("Acme", ada.uuid)
    assert managers.organizations.get_user_organization(ada) == acme
    assert managers.organizations.get_organization_member_count(acme) == 1


def test_create_refuses_an_owner_who_is_a_member_elsewhere(managers: Managers, acme: Organization, ada: User) -> None:
    with pytest.raises(DomainRuleError, match=f"member of 'Acme' .{acme.uuid}"):
        managers.organizations.create("Second", ada)
    assert managers.organizations.count() == 1


def test_create_refuses_a_taken_name(managers: Managers, acme: Organization, bob: User) -> None:
    with pytest.raises(UniqueViolationError) as caught:
        managers.organizations.create("Acme", bob)
    assert caught.value.columns == ("name",)
    assert not managers.organizations.is_user_in_organization(bob)


def test_create_needs_an_existing_owner(managers: Managers) -> None:
    nobody = uuid.uuid4()
    with pytest.raises(NotFoundError, match=str(nobody)):
        managers.organizations.create("Acme", nobody)
    assert managers.organizations.count() == 0
    with pytest.raises(InvalidValueError, match="not the internal integer id"):
        managers.organizations.create("Acme", 1)  # type: ignore[arg-type]


def test_create_takes_part_in_the_callers_transaction(
    managers: Managers, database: Database, acme: Organization, bob: User
) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction():
        managers.organizations.create("Lost", bob)
        raise ZeroDivisionError
    assert not managers.organizations.exists({"name": "Lost"})
    with database.transaction():
        with pytest.raises(UniqueViolationError):
            managers.organizations.create("Acme", bob)
        kept = managers.organizations.create("Kept", bob)
    assert managers.organizations.get_user_organization(bob) == kept


def test_organization_with_members_in_two_statements(
    managers: Managers, acme: Organization, ada: User, bob: User, statements: Any
) -> None:
    managers.user_information.insert({"user_id": bob.uuid, "first_name": "B", "last_name": "B", "role": "team"})
    managers.organizations.add_user_to_organization(bob, acme)
    statements.clear()
    found = managers.organizations.get_organization_with_members(acme.uuid)
    assert found.organization == acme
    assert found.members == [ada, bob]
    assert found.organization.members is found.members
    assert found.organization.owner == ada
    assert [user.information and user.information.first_name for user in found.members] == [None, "B"]
    assert found.members[1].membership.joined_at >= found.members[0].membership.joined_at
    assert found.members[1].organization is found.organization
    assert len(statements) == 2


def test_an_organization_that_does_not_exist(managers: Managers, ada: User, statements: Any) -> None:
    nowhere = uuid.uuid4()
    statements.clear()
    assert managers.organizations.get_organization_with_members(nowhere) is None
    assert len(statements) == 1
    assert managers.organizations.get_organization_member_count(nowhere) == 0
    assert not managers.organizations.is_user_in_organization(ada, nowhere)
    assert not managers.organizations.remove_user_from_organization(ada, nowhere)
    with pytest.raises(NotFoundError, match="organization"):
        managers.organizations.transfer_ownership(nowhere, ada)
    with pytest.raises(NotFoundError, match="organization"):
        managers.organizations.add_user_to_organization(ada, nowhere)


def test_an_organization_without_members(managers: Managers, acme: Organization) -> None:
    managers.organization_members.delete({"organization_id": acme.uuid})
    found = managers.organizations.get_organization_with_members(acme)
    assert found.members == []
    assert list(found.organization.members) == []


def test_add_user(managers: Managers, acme: Organization, bob: User) -> None:
    membership = managers.organizations.add_user_to_organization(bob, acme)
    assert (membership.user_id, membership.organization_id) == (bob.uuid, acme.uuid)
    assert managers.organizations.is_user_in_organization(bob)
    assert managers.organizations.is_user_in_organization(str(bob.uuid), str(acme.uuid))
    assert managers.organizations.get_organization_member_count(acme.uuid) == 2


def test_add_user_says_which_organization_the_user_is_in(
    managers: Managers, acme: Organization, bob: User, database: Database
) -> None:
    other = managers.organizations.create("Other", bob)
    for organization in (acme, other):
        with pytest.raises(DomainRuleError, match=f"member of 'Other' .{other.uuid}") as caught:
            managers.organizations.add_user_to_organization(bob, organization)
        assert isinstance(caught.value.__cause__, UniqueViolationError)
    # A caller's transaction stays usable.
    with database.transaction():
        with pytest.raises(DomainRuleError):
            managers.organizations.add_user_to_organization(bob, acme)
        managers.users.update_by_id(bob.id, {"email": "robert@example.com"})
    assert managers.users.find_by_id(bob.id).email == "robert@example.com"


def test_add_user_that_does_not_exist(managers: Managers, acme: Organization, bob: User) -> None:
    with pytest.raises(NotFoundError, match="expected an existing user") as caught:
        managers.organizations.add_user_to_organization(uuid.uuid4(), acme)
    assert "comes first" not in str(caught.value)
    with pytest.raises(NotFoundError, match="the user comes first"):
        managers.organizations.add_user_to_organization(acme.uuid, bob.uuid)
    with pytest.raises(InvalidValueError, match="got Organization <Organization"):
        managers.organizations.add_user_to_organization(acme, bob)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="got None"):
        managers.organizations.add_user_to_organization(None, acme)  # type: ignore[arg-type]


def test_remove_user(managers: Managers, acme: Organization, bob: User) -> None:
    for organization in (None, acme):
        managers.organizations.add_user_to_organization(bob, acme)
        assert managers.organizations.remove_user_from_organization(bob, organization)
        assert not managers.organizations.remove_user_from_organization(bob, organization)
    assert managers.organizations.get_user_organization(bob) is None


def test_remove_user_from_another_organization_changes_nothing(
    managers: Managers, acme: Organization, bob: User
) -> None:
    other = managers.organizations.create("Other", bob)
    carol = managers.users.insert({"email": "carol@example.com", "password_hash": "…"})
    managers.organizations.add_user_to_organization(carol, other)
    assert not managers.organizations.remove_user_from_organization(carol, acme)
    assert managers.organizations.is_user_in_organization(carol, other)


def test_the_owner_cannot_be_removed(managers: Managers, acme: Organization, ada: User, bob: User) -> None:
    for organization in (None, acme):
        with pytest.raises(DomainRuleError, match="owns the organization 'Acme'.*transfer_ownership"):
            managers.organizations.remove_user_from_organization(ada, organization)
    managers.organizations.add_user_to_organization(bob, acme)
    managers.organizations.transfer_ownership(acme, bob)
    assert managers.organizations.remove_user_from_organization(ada)
    with pytest.raises(DomainRuleError):
        managers.organizations.remove_user_from_organization(bob)


def test_transfer_ownership(managers: Managers, acme: Organization, ada: User, bob: User) -> None:
    managers.organizations.add_user_to_organization(bob, acme)
    changed = managers.organizations.transfer_ownership(acme.uuid, bob.uuid)
    assert changed == acme
    assert changed.owner_id == bob.uuid
    assert changed.updated_at > acme.updated_at
    assert managers.organizations.is_user_in_organization(ada, acme)
    assert managers.organizations.transfer_ownership(acme, bob).owner_id == bob.uuid


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_transfer_waits_for_who_leaves(managers: Managers, acme: Organization, bob: User, database_url: str) -> None:
    """A membership that another program is about to delete, without asking for the organization, is not relied on."""
    managers.organizations.add_user_to_organization(bob, acme)
    impatient = Managers(Database(database_url, lock_timeout=0.1))
    with managers.users.database.transaction() as connection:
        connection.execute("DELETE FROM organization_members WHERE user_id = @user", {"user": bob.uuid})
        with pytest.raises(LockNotAvailableError):
            impatient.organizations.transfer_ownership(acme, bob)
    with pytest.raises(DomainRuleError, match="is none of 'Acme'"):
        impatient.organizations.transfer_ownership(acme, bob)
    impatient.users.database.close()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_transfer_locks_the_organization_first(
    managers: Managers, acme: Organization, ada: User, statements: Any
) -> None:
    """In the order of everybody else who changes who belongs to it, so that nobody waits in a circle."""
    managers.organizations.transfer_ownership(acme, ada)
    locked = [sql.partition(" FROM ")[2].split()[0] for sql in statements.sql if sql.endswith(" FOR NO KEY UPDATE")]
    assert locked == ["organizations", "organization_members"]


def test_ownership_goes_to_members_only(managers: Managers, acme: Organization, ada: User, bob: User) -> None:
    with pytest.raises(DomainRuleError, match=f"the user {bob.uuid} is none"):
        managers.organizations.transfer_ownership(acme, bob)
    managers.organizations.create("Other", bob)
    with pytest.raises(DomainRuleError):
        managers.organizations.transfer_ownership(acme, bob)
    assert managers.organizations.find_by_id(acme.id).owner_id == ada.uuid


def test_no_organization(managers: Managers, ada: User, statements: Any) -> None:
    assert managers.organizations.get_user_organization(ada) is None
    assert managers.organizations.get_user_organization(uuid.uuid4()) is None
    assert not managers.organizations.is_user_in_organization(ada)
    assert len(statements) == 3
    assert not managers.organizations.remove_user_from_organization(ada)
