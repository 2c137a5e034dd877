"""How many statements a selection takes, and what it may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import Managers
from cloudpub_models.graphql import answer
from tests.graphql.conftest import Shop


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ functions { nodes { name } } }", 1),
        ("{ functions { nodes { name user { email } deployments(first: 5) { nodes { version } } } } }", 3),
        ("{ functions { nodes { userUuid owner: user { email } again: user { email } } } }", 2),
        ("{ functions { nodes { logs { nodes { functionUuid function { user { email } } } } } } }", 4),
        ("{ users { nodes { organization { name members { nodes { email firstName } } } } } }", 5),
        ("{ functions { edges { node { name user { email } } } nodes { user { email } } } }", 2),
        ("{ a: users { nodes { email } } b: users { nodes { email } } }", 2),
    ],
)
def test_one_statement_for_each_relation(shop: Shop, statements: Any, query: str, expected: int) -> None:
    statements.clear()
    assert "errors" not in answer(shop.managers, query)
    assert len(statements) == expected


def test_a_hundred_functions_with_owner_and_deployments(managers: Managers, statements: Any) -> None:
    users = managers.users.batch_insert(
        [{"email": f"{n}@example.com", "password_hash": "x"} for n in range(10)], returning=True
    )
    functions = managers.functions.batch_insert(
        [{"user_id": users[n % 10].id, "name": f"f{n}"} for n in range(100)], returning=True
    )
    managers.function_deployments.batch_insert(
        {"function_id": function.id, "version": version, "image_tag": "i", "s3_key": "k"}
        for function in functions
        for version in range(1, 8)
    )
    statements.clear()
    query = "{ functions(first: 100) { nodes { name user { email } deployments(first: 5) { nodes { version } } } } }"
    nodes = answer(managers, query)["data"]["functions"]["nodes"]
    assert len(statements) == 3
    assert [node["name"] for node in nodes] == [f"f{n}" for n in reversed(range(100))]
    assert all([found["version"] for found in node["deployments"]["nodes"]] == [7, 6, 5, 4, 3] for node in nodes)


@pytest.mark.parametrize(
    ("lists", "is_answered"),
    [
        ("deployments(first: 100) { nodes { uuid } }", True),
        ("deployments(first: 100) { nodes { uuid } } logs(first: 99) { nodes { uuid } }", True),
        ("deployments(first: 100) { nodes { uuid } } logs(first: 100) { nodes { uuid } }", False),
    ],
)
def test_all_lists_together_have_a_limit(shop: Shop, lists: str, is_answered: bool) -> None:
    found = answer(shop.managers, f"{{ functions(first: 100) {{ nodes {{ {lists} }} }} }}")
    assert ("data" in found) is is_answered


def test_rows_are_six_deep_at_most(shop: Shop) -> None:
    inner = "user { email }"
    for _ in range(2):
        inner = f"user {{ functions(first: 1) {{ nodes {{ {inner} }} }} }}"
    assert "data" in answer(shop.managers, f"{{ functions(first: 1) {{ nodes {{ {inner} }} }} }}")
    deeper = inner.replace("email", "functions(first: 1) { nodes { name } }")
    found = answer(shop.managers, f"{{ functions(first: 1) {{ nodes {{ {deeper} }} }} }}")
    assert "at most 6 deep" in found["errors"][0]["message"]


@pytest.mark.parametrize(
    "query",
    [
        "{ functions { pageInfo { endCursor } } }",
        "{ functions { pageInfo { hasNextPage startCursor } } }",
        "{ functions { edges { cursor } } }",
        "{ functions { nodes { logs { pageInfo { endCursor } } } } }",
        '{ functions(after: "x") { nodes { name } } }',
    ],
)
def test_pages_go_on_where_cursors_are_sealed(managers: Managers, statements: Any, query: str) -> None:
    assert answer(managers, query).get("data") != {}
    managers.database.engine.cursor_seal = None
    statements.clear()
    assert "only where the database is opened with a cursor_key" in answer(managers, query)["errors"][0]["message"]
    assert len(statements) == 0
