"""``managers.users``: what is read together comes in one statement and stays loaded."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Managers, Role, User
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, UniqueViolationError

NewUser = Callable[[str], User]


@pytest.fixture
def grace(managers: Managers, new_user: NewUser) -> User:
    """A user with a profile and an organization of her own."""
    grace = new_user("grace")
    profile(managers, grace, Role.DEVELOPER)
    managers.organizations.create("Navy", grace)
    return grace


def profile(managers: Managers, user: User, role: Role) -> None:
    managers.user_information.insert({"user_id": user.uuid, "first_name": "A", "last_name": "B", "role": role})


def test_find_by_email_takes_the_exact_address_in_one_statement(managers: Managers, ada: User, statements: Any) -> None:
    assert managers.users.find_by_email("ada@example.com") == ada
    assert len(statements) == 1


@pytest.mark.parametrize("email", ["ADA@EXAMPLE.COM", "Ada@example.com"])
def test_find_by_email_ignores_case(managers: Managers, ada: User, statements: Any, email: str) -> None:
    assert managers.users.find_by_email(email) == ada
    assert len(statements) == 2


def test_an_address_is_one_accounts_whatever_its_case(managers: Managers, ada: User, new_user: NewUser) -> None:
    others = [new_user("grace"), new_user("ÄDA"), new_user("äda")]
    taken = {"email": "ADA@Example.com", "password_hash": "…"}
    for write in (
        lambda: managers.users.insert(taken),
        lambda: managers.users.batch_insert([taken]),
        lambda: managers.users.batch_insert([taken], returning=True),
        lambda: managers.users.upsert(taken, ["email"]),
        lambda: managers.users.update({"email": taken["email"]}, {"id": others[0].id}),
        lambda: managers.users.update_by_id(others[0].id, {"email": taken["email"]}),
        lambda: User.create(**taken),
        lambda: managers.database.raw_execute(
            "INSERT INTO users (email, password_hash) VALUES (@email, @password_hash)", taken
        ),
    ):
        with managers.database.bind(), pytest.raises(UniqueViolationError) as caught:
            write()
        assert (caught.value.table, caught.value.columns) == ("users", ("email",))
        assert caught.value.constraint == "users_email_lower_key"
        assert "another row already has this value in users(email)" in str(caught.value)
    assert managers.users.find_all(order_by="id") == [ada, *others]


def test_find_by_email_prefers_the_exact_address_then_the_first_registered_where_the_index_is_not_yet(
    managers: Managers, new_user: NewUser
) -> None:
    managers.database.raw_execute("DROP INDEX users_email_lower_key")
    upper, lower = new_user("BOB"), new_user("bob")
    assert managers.users.find_by_email("bob@example.com") == lower
    assert managers.users.find_by_email("BOB@example.com") == upper
    assert managers.users.find_by_email("Bob@Example.com") == upper


@pytest.mark.parametrize("email", ["a%", "_da@example.com", "%", "", "ada@example.com\\", "a\\da@example.com", "@user"])
def test_find_by_email_knows_no_wildcards(managers: Managers, ada: User, email: str) -> None:
    assert managers.users.find_by_email(email) is None


@pytest.mark.parametrize("odd", ["a%b", "a_b", "a\\b", "o'neil", 'a"b', "a;DROP TABLE users;--"])
def test_find_by_email_finds_odd_addresses_in_any_case(managers: Managers, new_user: NewUser, odd: str) -> None:
    user = new_user(odd)
    new_user("axb")
    assert managers.users.find_by_email(f"{odd.upper()}@EXAMPLE.com") == user


def test_find_by_email_folds_the_case_of_ascii_letters_only(managers: Managers, new_user: NewUser) -> None:
    user = new_user("jürgen.kim")
    assert managers.users.find_by_email("JüRGEN.Kim@Example.com") == user
    # Look-alikes that Unicode folds to the same: a Kelvin sign, a dotless i, a letter with a case of its own.
    for other in ("jürgen.\u212aim", "jürgen.k\u0131m", "JÜRGEN.kim"):
        assert managers.users.find_by_email(f"{other}@example.com") is None


@pytest.mark.parametrize("email", [None, 5, b"ada", "a\0", "a" * 256])
def test_find_by_email_refuses_what_is_no_address(managers: Managers, email: Any) -> None:
    with pytest.raises(InvalidValueError):
        managers.users.find_by_email(email)


@pytest.mark.parametrize("form", [lambda user: user.uuid, lambda user: str(user.uuid), lambda user: user])
def test_get_user_complete_is_one_statement(
    managers: Managers, grace: User, statements: Any, form: Callable[[User], Any]
) -> None:
    user = managers.users.get_user_complete(form(grace))
    assert user == grace
    assert user.information.first_name == "A"
    assert user.information.role is Role.DEVELOPER
    assert user.information.user is user
    assert user.organization.name == "Navy"
    assert user.organization.owner is user
    assert user.membership.organization is user.organization
    assert user.membership.joined_at.tzinfo is UTC
    assert not user.is_dirty()
    assert len(statements) == 1


def test_get_user_complete_without_profile_and_organization(managers: Managers, ada: User, statements: Any) -> None:
    user = managers.users.get_user_complete(ada.uuid)
    assert user == ada
    assert user.information is None
    assert user.organization is None
    assert len(statements) == 1


def test_get_user_with_information_or_organization(managers: Managers, grace: User, statements: Any) -> None:
    with_information = managers.users.get_user_with_information(grace.uuid)
    assert with_information.information.last_name == "B"
    with_organization = managers.users.get_user_with_organization(grace.uuid)
    assert with_organization.organization.name == "Navy"
    assert len(statements) == 2


@pytest.mark.parametrize("name", ["get_user_complete", "get_user_with_information", "get_user_with_organization"])
def test_a_user_that_does_not_exist(managers: Managers, name: str) -> None:
    get = getattr(managers.users, name)
    assert get(uuid.uuid4()) is None
    with pytest.raises(InvalidValueError, match="not the internal integer id"):
        get(5)
    with pytest.raises(InvalidValueError):
        get("no uuid")
    with pytest.raises(InvalidValueError, match="got None"):
        get(None)


def test_all_users_newest_first(managers: Managers, ada: User, grace: User, new_user: NewUser, statements: Any) -> None:
    alan = new_user("alan")
    managers.users.update_by_id(ada.id, {"created_at": datetime.now(UTC) + timedelta(days=1)})
    statements.clear()
    users = managers.users.get_all_users_with_information()
    assert users == [ada, alan, grace]
    assert [user.information and user.information.role for user in users] == [None, None, Role.DEVELOPER]
    assert managers.users.get_all_users_with_information(limit=1, offset=1) == [alan]
    assert managers.users.get_all_users_with_information(offset=2) == [grace]
    assert managers.users.get_all_users_with_information(limit=0) == []
    assert len(statements) == 4


def test_users_by_role(managers: Managers, ada: User, grace: User, new_user: NewUser) -> None:
    alan, edsger = new_user("alan"), new_user("edsger")
    profile(managers, alan, Role.TEAM)
    profile(managers, edsger, Role.SUB_TEAM_DEVELOPER)
    assert managers.users.get_developers() == [grace]
    assert managers.users.get_team_members() == [alan]
    assert managers.users.get_all_users_with_information("sub_team_developer") == [edsger]
    assert managers.users.get_all_users_with_information(Role.TEAM)[0].information.role is Role.TEAM
    assert managers.users.get_developers(limit=1, offset=1) == []


def test_a_list_without_a_limit_has_all(managers: Managers, grace: User, new_user: NewUser) -> None:
    navy = managers.organizations.get_user_organization(grace)
    for name in ("alan", "edsger", "barbara"):
        user = new_user(name)
        profile(managers, user, Role.TEAM if name == "alan" else Role.DEVELOPER)
        managers.organizations.add_user_to_organization(user, navy)
        profile(managers, new_user(f"{name}-2"), Role.TEAM)
    users = managers.users
    found = (users.get_developers(), users.get_team_members(), users.get_users_by_organization(navy))
    assert [len(each) for each in found] == [3, 4, 4]
    assert len(users.get_all_users_with_information()) == 7


def test_users_by_role_refuse_bad_arguments(managers: Managers) -> None:
    with pytest.raises(InvalidValueError, match="developer"):
        managers.users.get_all_users_with_information("develper")
    with pytest.raises(InvalidQueryError, match="limit"):
        managers.users.get_all_users_with_information(limit=-1)
    with pytest.raises(InvalidQueryError, match="offset"):
        managers.users.get_developers(offset="1")


def test_users_of_an_organization_in_the_order_of_joining(
    managers: Managers, ada: User, grace: User, statements: Any
) -> None:
    navy = managers.organizations.get_user_organization(grace)
    managers.organizations.add_user_to_organization(ada, navy)
    statements.clear()
    users = managers.users.get_users_by_organization(navy)
    assert users == [grace, ada]
    assert [user.information is None for user in users] == [False, True]
    assert all(user.organization is navy and user.membership.user is user for user in users)
    assert managers.users.get_users_by_organization(str(navy.uuid), limit=1, offset=1) == [ada]
    assert len(statements) == 2
    assert managers.users.get_users_by_organization(uuid.uuid4()) == []


def test_an_empty_table(managers: Managers) -> None:
    assert managers.users.get_all_users_with_information() == []
    assert managers.users.get_developers() == []
    assert managers.users.find_by_email("ada@example.com") is None
