"""Relations as attributes: loaded on first use through Peewee, or handed over beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import peewee
import pytest

from cloudpub_models.models import (
    Function,
    FunctionDeployment,
    FunctionInvocation,
    FunctionLog,
    Organization,
    OrganizationMember,
    Role,
    User,
    UserInformation,
)


@pytest.fixture
def platform(bound: peewee.Database) -> peewee.Database:
    ada = User.create(email="ada@example.org", password_hash="x")
    bob = User.create(email="bob@example.org", password_hash="x")
    User.create(email="eve@example.org", password_hash="x")
    UserInformation.create(user=ada, first_name="Ada", last_name="L", role=Role.DEVELOPER)
    acme = Organization.create(name="acme", owner=ada)
    OrganizationMember.create(organization=acme, user=ada)
    OrganizationMember.create(organization=acme, user=bob)
    function = Function.create(user=ada, name="f")
    for version in (1, 2):
        FunctionDeployment.create(function=function, version=version, image_tag="i", s3_key="k")
    FunctionLog.create(function=function, level="info", message="m")
    FunctionInvocation.create(function=function, status="success")
    Function.update(active_deployment=2).execute()
    return bound


@contextmanager
def statements(database: peewee.Database) -> Iterator[list[str]]:
    sent: list[str] = []

    def hook(event: object) -> None:
        sent.append(event.sql)  # type: ignore[attr-defined]

    database.query_hooks.append(hook)
    try:
        yield sent
    finally:
        database.query_hooks.remove(hook)


def test_from_a_function(platform: peewee.Database) -> None:
    function = Function.get()
    assert function.user.email == "ada@example.org"
    assert function.user_id == function.user.id
    assert function.active_deployment is not None
    assert function.active_deployment.version == 2
    assert function.active_deployment_id == 2
    assert [deployment.version for deployment in function.deployments.order_by(FunctionDeployment.version)] == [1, 2]
    assert [log.message for log in function.logs] == ["m"]
    assert [invocation.status for invocation in function.invocations] == ["success"]
    assert function.deployments.get().function == function
    assert [row.name for row in function.active_deployment.active_for] == ["f"]


def test_from_a_user(platform: peewee.Database) -> None:
    ada = User.get(User.email == "ada@example.org")
    assert ada.information is not None
    assert (ada.information.first_name, ada.information.role) == ("Ada", Role.DEVELOPER)
    assert ada.information.user_id == ada.uuid
    assert ada.organization is not None
    assert ada.organization.name == "acme"
    assert [function.name for function in ada.functions] == ["f"]
    eve = User.get(User.email == "eve@example.org")
    assert eve.information is None
    assert eve.organization is None
    assert list(eve.functions) == []


def test_from_an_organization(platform: peewee.Database) -> None:
    acme = Organization.get()
    assert acme.owner.email == "ada@example.org"
    assert acme.owner_id == acme.owner.uuid
    assert {member.email for member in acme.members} == {"ada@example.org", "bob@example.org"}
    assert acme.members.where(User.email.startswith("b")).count() == 1
    assert all(membership.organization == acme for membership in acme.memberships)
    assert len(acme.memberships) == 2


def test_a_row_that_was_found_is_kept_and_none_is_asked_for_again(platform: peewee.Database) -> None:
    ada = User.get(User.email == "ada@example.org")
    with statements(platform) as sent:
        assert ada.information is ada.information
        assert ada.information is not None
        assert ada.information.user is ada
        assert ada.organization is ada.organization
    assert len(sent) == 2
    eve = User.get(User.email == "eve@example.org")
    assert eve.information is None
    UserInformation.create(user=eve, first_name="Eve", last_name="E", role=Role.TEAM)
    assert eve.information is not None


def test_rows_handed_over_beforehand_are_what_the_attributes_give(platform: peewee.Database) -> None:
    user, function, organization = User.get(), Function.get(), Organization.get()
    information = UserInformation(first_name="Handed over")
    with statements(platform) as sent:
        user.__dict__["information"] = information
        user.__dict__["organization"] = None
        user.__dict__["functions"] = [function]
        function.__dict__["deployments"] = []
        function.__dict__["logs"] = []
        function.__dict__["invocations"] = []
        function.__rel__["user"] = user
        function.__rel__["active_deployment"] = None
        organization.__dict__["members"] = [user]
        assert user.information is information
        assert user.organization is None
        assert list(user.functions) == [function]
        assert list(function.deployments) == list(function.logs) == list(function.invocations) == []
        assert function.user is user
        assert function.active_deployment is None
        assert list(organization.members) == [user]
    assert sent == []


def test_a_key_is_read_without_loading_its_row(platform: peewee.Database) -> None:
    function, organization = Function.get(), Organization.get()
    with statements(platform) as sent:
        assert function.user_id == 1
        assert function.active_deployment_id == 2
        assert str(organization.owner_id)
    assert sent == []


def test_assigning_a_row_or_a_key(platform: peewee.Database) -> None:
    function = Function.get()
    bob = User.get(User.email == "bob@example.org")
    function.user = bob
    assert function.user_id == bob.id
    function.user_id = 1
    assert function.user.email == "ada@example.org"
    function.active_deployment = None
    assert function.active_deployment_id is None
    assert function.save() == 1
    assert Function.get().active_deployment is None


def test_peewees_own_joins_and_prefetch(platform: peewee.Database) -> None:
    query = Function.select(Function, User).join(User)
    with statements(platform) as sent:
        assert [function.user.email for function in query] == ["ada@example.org"]
    assert len(sent) == 1
    loaded = peewee.prefetch(Function.select(), FunctionDeployment.select())
    assert [len(function.deployments) for function in loaded] == [2]
    assert User.select().join(UserInformation, on=(UserInformation.user == User.uuid)).count() == 1


def test_the_relations_of_the_class_are_for_queries() -> None:
    assert User.information.field is UserInformation.user  # type: ignore[union-attr]
    assert Function.deployments.field is FunctionDeployment.function  # type: ignore[attr-defined]
    assert Organization.members.rel_model is User  # type: ignore[attr-defined]
    assert User.organization.rel_model is Organization  # type: ignore[union-attr]
