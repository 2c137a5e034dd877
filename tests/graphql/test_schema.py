"""The types: their names, what may be null, and that the standard tools take them."""

from __future__ import annotations

import pytest
from graphql import build_schema, print_schema, validate_schema

from cloudpub_models import User
from cloudpub_models.dto import UserDto
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.graphql.kinds import Leaf, kinds_of, shown_by
from cloudpub_models.graphql.schema import _Types, graph_of
from cloudpub_models.platform.component import component

GRAPH = graph_of(shown_by([component]))
ONLY_USERS = ((User, UserDto),)


def test_the_schema_is_one_for_every_tool() -> None:
    assert validate_schema(GRAPH.schema) == []
    text = print_schema(GRAPH.schema)
    assert print_schema(build_schema(text)) == text


@pytest.mark.parametrize(
    "line",
    [
        "  functionDeployments(",
        "  user(uuid: ID!): User",
        "  s3Key: String!",
        "  durationMs: Int",
        "  isActive: Boolean!",
        "  analysisResult: JSON",
        "  timestamp: DateTime",
        "  role: Role!",
        "enum Role {",
        "  nodes: [OrganizationMember!]!",
        "  edges: [OrganizationMemberEdge!]!",
        "  node: OrganizationMember!",
        "  hasPreviousPage: Boolean!",
        "  deploy(input: DeployInput!): FunctionDeployment",
        "  removeMember(input: RemoveMemberInput!): Boolean",
    ],
)
def test_names_and_what_may_be_null(line: str) -> None:
    assert line in print_schema(GRAPH.schema).splitlines()


def test_who_is_in_which_organization_is_asked_of_the_organization_alone() -> None:
    assert "organizationMembers" not in GRAPH.connections
    assert "organizationMember" not in GRAPH.rows


def test_a_database_of_other_tables_has_what_it_has() -> None:
    graph = graph_of(ONLY_USERS)
    assert (list(graph.rows), list(graph.connections), graph.mutations) == (["user"], ["users"], {})
    assert graph.schema.mutation_type is None


def test_a_type_that_graphql_has_none_for_is_refused() -> None:
    kinds = kinds_of(ONLY_USERS)
    with pytest.raises(ConfigurationError, match="expected fields of User that GraphQL has a type for; got"):
        _Types(kinds)._form(Leaf(complex, True, "", lambda row, requester: None), kinds[User])
