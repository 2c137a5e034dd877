"""Peewee's many-to-many relation through a table of the schema's own, as Peewee documents it."""

from __future__ import annotations

import peewee
import pytest
from playhouse.shortcuts import model_to_dict

from cloudpub_models import Database, Managers, Organization, OrganizationMember, User, errors, forbid_lazy_loading


def user(name):
    return User.create(email=f"{name}@example.com", password_hash="x")


def names(users):
    return sorted(user.email.split("@")[0] for user in users)


@pytest.fixture
def people(database):
    with database.bind():
        ada, bob, eve = user("ada"), user("bob"), user("eve")
        yield ada, bob, eve, Organization.create(name="acme", owner=ada)


def test_it_is_peewees_field():
    field = Organization.members
    assert isinstance(field, peewee.ManyToManyField)
    assert field.get_through_model() is OrganizationMember
    assert (field.rel_model, field.backref) == (User, "organizations")
    assert isinstance(User.organizations, peewee.ManyToManyField)
    assert User.organizations.get_through_model() is OrganizationMember
    assert "members" not in Organization._meta.fields
    assert Organization._meta.manytomany == {"members": field}


def test_add_remove_and_clear(people):
    ada, bob, eve, acme = people
    assert acme.members.add(ada) is None
    acme.members.add([bob.uuid, eve])
    assert names(acme.members) == ["ada", "bob", "eve"]
    assert acme.members.where(User.email.startswith("b")).count() == 1
    assert acme.members.remove(bob) == 1
    assert acme.members.remove([bob, eve.uuid]) == 1
    assert names(acme.members) == ["ada"]
    assert acme.members.clear() == 1
    assert OrganizationMember.select().count() == 0
    acme.members.add([])
    assert acme.members.remove([]) is None


def test_a_query_says_whom_to_add_and_remove(people):
    *_, acme = people
    acme.members.add(User.select().where(User.email != "eve@example.com"))
    assert names(acme.members) == ["ada", "bob"]
    assert all(member.joined_at is not None for member in acme.memberships)
    acme.members.remove(User.select().where(User.email == "bob@example.com"))
    assert names(acme.members) == ["ada"]


def test_assignment(people):
    ada, bob, _eve, acme = people
    acme.members = [ada, bob]
    assert names(acme.members) == ["ada", "bob"]
    acme.members = User.select().where(User.email.startswith("e"))
    assert names(acme.members) == ["eve"]
    acme.members = []
    assert names(acme.members) == []


def test_the_reverse(people):
    ada, bob, _, acme = people
    ada.organizations.add(acme)
    assert [found.name for found in ada.organizations] == ["acme"]
    assert ada.organization == acme
    bob.organization = acme
    assert bob.organization == acme
    assert names(acme.members) == ["ada", "bob"]
    bob.organization = None
    assert bob.organization is None
    ada.organizations.clear()
    assert ada.organization is None
    assert names(acme.members) == []


def test_one_user_is_in_one_organization(people):
    ada, bob, eve, acme = people
    other = Organization.create(name="other", owner=eve)
    acme.members.add(bob)
    for wrong in (lambda: other.members.add([eve, bob]), lambda: acme.members.add(bob)):
        with pytest.raises(errors.UniqueViolationError) as caught:
            wrong()
        assert caught.value.table == "organization_members"
    # Nothing of it was kept, and what was there still is.
    other.members.add(eve)
    with pytest.raises(errors.UniqueViolationError):
        other.members = [ada, bob]
    assert names(other.members) == ["eve"]
    assert names(acme.members) == ["bob"]
    bob.organization = other
    assert names(other.members) == ["bob", "eve"]


def test_a_violation_costs_a_transaction_nothing_else(database, people):
    _ada, bob, eve, acme = people
    other = Organization.create(name="other", owner=eve)
    with database.atomic():
        acme.members.add(bob)
        with pytest.raises(peewee.IntegrityError):
            other.members.add(bob)
    assert names(acme.members) == ["bob"]


def test_rows_as_dicts(people):
    ada, _, _, acme = people
    acme.members = [ada]
    found = model_to_dict(acme, manytomany=True, recurse=False)
    assert found["name"] == "acme"
    whole = model_to_dict(acme, manytomany=True)
    assert [member["email"] for member in whole["members"]] == ["ada@example.com"]
    assert whole["owner"]["email"] == "ada@example.com"
    of_user = model_to_dict(ada, manytomany=True)
    assert [found["name"] for found in of_user["organizations"]] == ["acme"]


def test_backrefs_as_dicts(people):
    ada, _, _, acme = people
    acme.members = [ada]
    found = model_to_dict(User.get_by_id(ada.id), backrefs=True, max_depth=2)
    assert [row["name"] for row in found["owned_organizations"]] == ["acme"]
    assert found["functions"] == []
    assert found["information_set"] == []
    assert [row["organization"]["name"] for row in found["membership_set"]] == ["acme"]


def test_one_row_that_was_prefetched(people):
    ada, _, _, acme = people
    acme.members = [ada]
    found = {row.email: row for row in peewee.prefetch(User.select(), OrganizationMember.select())}
    with forbid_lazy_loading():
        assert found["ada@example.com"].membership.organization_id == acme.uuid
        assert found["bob@example.com"].membership is None


def test_joins_and_prefetch_go_through_it(people):
    ada, bob, _, acme = people
    acme.members = [ada, bob]
    joined = User.select().join(OrganizationMember).join(Organization).where(Organization.name == "acme")
    assert names(joined) == ["ada", "bob"]
    (found,) = peewee.prefetch(Organization.select(), OrganizationMember.select(), User.select())
    assert names(member.user for member in found.memberships) == ["ada", "bob"]


def test_include_and_what_was_changed_afterwards(database, people):
    ada, bob, eve, acme = people
    acme.members = [ada, bob]
    managers = Managers(database)
    found = managers.organizations.find_one(include=("members",))
    with forbid_lazy_loading():
        assert names(found.members) == ["ada", "bob"]
        with pytest.raises(errors.LazyLoadingError, match="Organization.members"):
            _ = acme.members
    found.members = [eve]
    assert names(found.members) == ["eve"]
    loaded = managers.users.find_one({"email": "eve@example.com"}, include=("organization", "organizations"))
    with forbid_lazy_loading():
        assert loaded.organization == acme
        assert loaded.organizations == [acme]
    found.members.remove(loaded)
    assert loaded.organization is None


def test_rows_of_another_database_are_connected_there(people, database):
    other = Database("sqlite:///:memory:")
    other.migrate()
    managers = Managers(other)
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "x"})
    nasa = managers.organizations.insert({"name": "nasa", "owner_id": grace.uuid})
    with pytest.raises(errors.InvalidQueryError):
        nasa.members.add(grace)  # while another one is bound
    assert OrganizationMember.select().count() == 0
    assert managers.organization_members.count() == 0
    other.close()


def test_an_unsaved_row_has_none(people):
    with pytest.raises(ValueError, match="expected a saved Organization for members"):
        _ = Organization(name="new", uuid=None).members
