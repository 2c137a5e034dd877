"""The changes that have a name: what they do, what they answer, and whom they refuse."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from cloudpub_models import User
from cloudpub_models.graphql import answer
from tests.graphql.conftest import Shop


def change(shop: Shop, name: str, asked: str, given: dict[str, Any], requester: User | None = None) -> dict[str, Any]:
    kind = f"{name[0].upper()}{name[1:]}Input"
    values = {key: str(value) if isinstance(value, UUID) else value for key, value in given.items()}
    query = f"mutation ($input: {kind}!) {{ {name}(input: $input) {asked} }}"
    return answer(shop.managers, query, {"input": values}, requester=requester)


def test_deploying_activating_and_rolling_back(shop: Shop) -> None:
    function = shop.functions[0]
    for version in (1, 2):
        given = {"functionUuid": function.uuid, "imageTag": "i:1", "s3Key": "k"}
        found = change(shop, "deploy", "{ version isActive function { name } uuid }", given)["data"]["deploy"]
        uuid = found.pop("uuid")
        assert found == {"version": version, "isActive": False, "function": {"name": "function-0"}}
        found = change(shop, "activate", "{ version isActive }", {"deploymentUuid": uuid})
        assert found == {"data": {"activate": {"version": version, "isActive": True}}}
    found = change(shop, "rollback", "{ version }", {"functionUuid": function.uuid})
    assert found == {"data": {"rollback": {"version": 1}}}
    active = shop.managers.functions.get_by_id(function.id).active_deployment
    assert active is not None
    assert active.version == 1


def test_what_cannot_be_done_is_told_and_null(shop: Shop) -> None:
    found = change(shop, "rollback", "{ version }", {"functionUuid": UUID(int=5)})
    assert found["data"] == {"rollback": None}
    assert found["errors"] == [
        {"message": "there is no such row of functions", "path": ["rollback"], "extensions": {"status": 404}}
    ]
    found = change(shop, "deploy", "{ version }", {"functionUuid": shop.functions[0].uuid, "imageTag": "i"})
    assert "data" not in found
    assert "s3Key" in found["errors"][0]["message"]


def test_several_changes_are_made_one_after_the_other(shop: Shop) -> None:
    given = f'input: {{ functionUuid: "{shop.functions[0].uuid}", imageTag: "i", s3Key: "k" }}'
    missing = f'input: {{ functionUuid: "{UUID(int=5)}", imageTag: "i", s3Key: "k" }}'
    calls = f"a: deploy({given}) {{ version }} b: deploy({missing}) {{ version }} c: deploy({given}) {{ version }}"
    found = answer(shop.managers, f"mutation {{ {calls} }}")
    assert found["data"] == {"a": {"version": 1}, "b": None, "c": {"version": 2}}
    assert [error["path"] for error in found["errors"]] == [["b"]]


def test_a_change_whose_answer_is_refused_is_not_made(shop: Shop) -> None:
    given = {"functionUuid": shop.functions[0].uuid, "imageTag": "i", "s3Key": "k"}
    found = change(shop, "deploy", "{ function { logs(first: 1000) { nodes { message } } } }", given)
    assert "data" not in found
    assert shop.managers.function_deployments.count({"function_id": shop.functions[0].id}) == 0


def test_members_are_the_owners_business(shop: Shop) -> None:
    joan = shop.managers.users.get_one({"email": "joan@example.com"})
    given = {"organizationUuid": shop.acme.uuid, "userUuid": joan.uuid}
    for other, status in ((None, 409), (shop.grace, 404), (joan, 404)):
        for name, asked in (("addMember", "{ email }"), ("removeMember", "")):
            found = change(shop, name, asked, given, other)
            assert (found["data"], found["errors"][0]["extensions"]) == ({name: None}, {"status": status})
    assert not shop.managers.organizations.is_user_in_organization(joan, shop.acme)
    found = change(shop, "addMember", "{ email uuid }", given, shop.ada)
    assert found == {"data": {"addMember": {"email": "joan@example.com", "uuid": str(joan.uuid)}}}
    assert change(shop, "removeMember", "", given, shop.ada) == {"data": {"removeMember": True}}
    assert change(shop, "removeMember", "", given, shop.ada) == {"data": {"removeMember": False}}
    owner = {"organizationUuid": shop.acme.uuid, "userUuid": shop.ada.uuid}
    assert change(shop, "removeMember", "", owner, shop.ada)["errors"][0]["extensions"] == {"status": 409}
