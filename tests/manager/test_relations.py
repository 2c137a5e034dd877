"""What relations consist of: the columns that join the rows of two tables, by the names that ``include`` knows."""

from __future__ import annotations

import pytest

from cloudpub_models import Function, FunctionDeployment, Organization, User
from cloudpub_models.errors import UnknownColumnError
from cloudpub_models.manager.relations import links_of, relation_names


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        (Function, "user", [("user_id", "users", "id", False)]),
        (Function, "active_deployment", [("active_deployment_id", "function_deployments", "id", False)]),
        (User, "functions", [("id", "functions", "user_id", True)]),
        (User, "information", [("uuid", "user_information", "user_id", False)]),
        (FunctionDeployment, "active_for", [("id", "functions", "active_deployment_id", True)]),
        (
            Organization,
            "members",
            [("uuid", "organization_members", "organization_id", True), ("user_id", "users", "uuid", False)],
        ),
        (
            User,
            "organization",
            [("uuid", "organization_members", "user_id", False), ("organization_id", "organizations", "uuid", False)],
        ),
    ],
)
def test_links(model: type, name: str, expected: list[tuple[str, str, str, bool]]) -> None:
    links = links_of(model, name)
    assert [(link.column, link.model._meta.table_name, link.key, link.many) for link in links] == expected


@pytest.mark.parametrize("name", ["usr", "name", "", "save", "__class__", "DoesNotExist", "user_id", "_meta"])
def test_what_is_no_relation(name: str) -> None:
    with pytest.raises(UnknownColumnError, match="expected a relation of Function"):
        links_of(Function, name)


def test_the_names_are_those_of_references_and_of_what_refers() -> None:
    assert relation_names(Function) == ["user", "active_deployment", "deployments", "logs", "invocations"]
