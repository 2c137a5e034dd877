"""Rows of several tables from one SELECT: what is sent, how rows are split, and that a scope holds."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import ALL_ROWS, Database, Managers, OrganizationMember, User, UserInformation, any_of, none_of
from cloudpub_models.errors import UnguardedError
from cloudpub_models.manager.joined import JoinedSelect
from cloudpub_models.manager.scope import UNRESTRICTED, Scope

WITH_INFORMATION = JoinedSelect(
    User, ("LEFT", UserInformation.user), equal=(User.email,), order_by=(User.created_at, User.id), paged=True
)


@pytest.fixture
def ada(managers: Managers) -> User:
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    managers.user_information.insert({"user_id": user.uuid, "first_name": "A", "last_name": "L", "role": "team"})
    return user


def test_what_is_sent(managers: Managers, ada: User, statements: Any, backend: str) -> None:
    ((user, information),) = WITH_INFORMATION.find(managers.database, ["ada@example.com", 5, 0])
    assert (user, information.first_name) == (ada, "A")
    sql, values = statements[0]
    columns = [f"users.{name}" for name in User._meta.columns]
    columns += [f"user_information.{name}" for name in UserInformation._meta.columns]
    mark = "?" if backend == "sqlite" else "%s"
    assert sql == (
        f"SELECT {', '.join(columns)} FROM users LEFT JOIN user_information ON user_information.user_id = users.uuid "
        f"WHERE users.email = {mark} ORDER BY users.created_at ASC, users.id ASC LIMIT {mark} OFFSET {mark}"
    )
    assert list(values) == ["ada@example.com", 5, 0]
    assert WITH_INFORMATION.find(managers.database, ["nobody@example.com", 5, 0]) == []


def test_what_an_outer_join_does_not_find_is_none(managers: Managers) -> None:
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    assert WITH_INFORMATION.find(managers.database, ["grace@example.com", 1, 0]) == [(grace, None)]


@pytest.mark.parametrize(
    ("users", "information", "found"),
    [
        (ALL_ROWS, {"role": "team"}, ["A"]),
        ({"password_hash": "…"}, {"role": ["developer", "team"]}, ["A"]),
        (ALL_ROWS, {"role": "developer"}, [None]),  # as if it were not there
        (ALL_ROWS, UserInformation.first_name != "A", [None]),
        (User.password_hash != "…", ALL_ROWS, []),
        ({"password_hash": "other"}, {"role": "team"}, []),
    ],
)
def test_a_scope_holds_for_each_table(
    managers: Managers, ada: User, statements: Any, users: Any, information: Any, found: list[str | None]
) -> None:
    scope = Scope({User: users, UserInformation: information})
    rows = WITH_INFORMATION.find(managers.database, ["ada@example.com", 5, 0], scope)
    assert [row and row.first_name for _, row in rows] == found
    assert len(statements) == 1


def test_a_table_that_the_scope_does_not_name_is_refused(managers: Managers, ada: User) -> None:
    scoped = Managers(managers.database, scope=Scope({User: ALL_ROWS}))
    for read in (scoped.users.get_user_complete, scoped.users.get_user_with_information):
        with pytest.raises(UnguardedError, match="user_information"):
            read(ada)
    with pytest.raises(UnguardedError, match=OrganizationMember._meta.table_name):
        scoped.users.get_user_with_organization(ada)
    everything = Scope({User: {"email": "other"}, UserInformation: ALL_ROWS})
    assert Managers(managers.database, scope=everything).users.get_user_with_information(ada) is None


def test_a_scope_across_relations_holds(managers: Managers, ada: User) -> None:
    managers.functions.insert({"user_id": ada.id, "name": "resize"})

    def found(rows: Any, information: Any) -> list[Any]:
        scope = Scope({User: rows, UserInformation: information}, "some rows")
        return WITH_INFORMATION.find(managers.database, ["ada@example.com", 5, 0], scope)

    own = managers.user_information.get_one({"user_id": ada.uuid})
    resize = any_of({"email": "nobody@example.com"}, {"functions.name": "resize"})
    assert found(resize, {"user.email": "ada@example.com"}) == [(ada, own)]
    assert found(resize, none_of({"user.email": "ada@example.com"})) == [(ada, None)]
    assert found(none_of(resize), ALL_ROWS) == []


def test_where_an_owner_is_required_all_rows_have_to_be_asked_for(ada: User, database: Database) -> None:
    arguments = ["ada@example.com", 5, 0]
    database.requires_owner = True
    with pytest.raises(UnguardedError):
        WITH_INFORMATION.find(database, arguments)
    for scope in (UNRESTRICTED, Scope({User: ALL_ROWS, UserInformation: ALL_ROWS})):
        assert len(WITH_INFORMATION.find(database, arguments, scope)) == 1
