"""GraphQL answers over several servers what it answers over one database."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, User
from cloudpub_models.graphql import answer
from tests.cells.calls import give_half_away, uuid_of


@pytest.fixture
def grace(grace: User, scattered: Managers, single: Managers, functions: list[Function]) -> User:
    """The owner of the last four functions; each function has eight lines, ten calls and a deployment."""
    for managers in (scattered, single):
        for function in functions:
            managers.functions.update_by_id(function.id, {"uuid": uuid_of(function.id)})
            managers.function_deployments.insert(
                {"function_id": function.id, "version": 1, "image_tag": "image:1", "s3_key": "key", "status": "active"}
            )
        give_half_away(managers, grace, functions, invocations=80)
    return grace


QUERIES = {
    "a page of all servers": """{ functionLogs(first: 9) {
        nodes { uuid message } pageInfo { hasNextPage hasPreviousPage } } }""",
    "with their functions": """{ functionInvocations(first: 20) {
        nodes { durationMs function { name user { email } } } } }""",
    "and all that these have": """{ functionLogs(first: 3) { nodes { message function {
        name logs(first: 2) { nodes { message } }
        invocations(first: 3) { nodes { durationMs } pageInfo { hasNextPage } } } } } }""",
    "one row": '{ functionLog(uuid: "00000000-0000-4000-8000-000000000009") { message function { name } } }',
    "one row with others of its function": """{ functionInvocation(uuid: "00000000-0000-4000-8000-000000000013") {
        durationMs function { logs(first: 3) { nodes { message } pageInfo { hasNextPage } } } } }""",
    "no row": '{ functionLog(uuid: "00000000-0000-4000-8000-000000009999") { message } }',
    "the lists of one function": """query ($function: ID!) { function(uuid: $function) {
        logs(first: 3) { nodes { message } pageInfo { hasNextPage } }
        invocations(first: 100) { edges { node { durationMs } } pageInfo { hasNextPage } } } }""",
    "the lists of many": """{ functions(first: 7) { nodes { name
        logs(first: 2) { nodes { message function { name } } pageInfo { hasNextPage } }
        invocations(first: 20) { nodes { durationMs } } } } }""",
    "from further away": """{ users(first: 5) { nodes { email functions(first: 5) { nodes { name
        logs(first: 2) { nodes { message } } invocations(first: 1) { nodes { durationMs } } } } } } }""",
    "from a deployment": """{ functionDeployments(first: 4) { nodes { version
        function { name logs(first: 1) { nodes { message } } } } } }""",
}


@pytest.mark.parametrize("who", ["everybody", "ada", "grace"])
@pytest.mark.parametrize("name", QUERIES)
def test_it_is_answered_as_over_one_database(
    name: str, who: str, scattered: Managers, single: Managers, functions: list[Function], owner: User, grace: User
) -> None:
    def answered(managers: Managers) -> dict[str, Any]:
        owners = {"ada": owner.id, "grace": grace.id}
        asked = managers.owned_by(owners[who]) if who in owners else managers
        return answer(
            asked, QUERIES[name], {"function": uuid_of(functions[1].id)} if "$function" in QUERIES[name] else None
        )

    expected = answered(single)
    assert "errors" not in expected
    assert answered(scattered) == expected


def test_pages_go_on(
    prepared_urls: list[str], shared_postgresql_url: str, functions: list[Function], grace: User
) -> None:
    key = "k" * 43
    several = Database(prepared_urls[0], history=prepared_urls[1:], cursor_key=key)
    one = Database(shared_postgresql_url, cursor_key=key)
    query = """query ($function: ID!, $after: String, $all: String) {
        function(uuid: $function) {
            logs(first: 3, after: $after) { nodes { message } pageInfo { hasNextPage endCursor } } }
        functionInvocations(first: 30, after: $all) { nodes { durationMs } pageInfo { hasNextPage endCursor } }
    }"""

    def pages(managers: Managers) -> list[Any]:
        found: list[Any] = []
        after = of_all = None
        for _ in range(3):
            data = answer(managers, query, {"function": uuid_of(functions[3].id), "after": after, "all": of_all})[
                "data"
            ]
            lists = (data["function"]["logs"], data["functionInvocations"])
            after, of_all = (each["pageInfo"].pop("endCursor") for each in lists)
            found.append(lists)
        return found

    expected = pages(Managers(one))
    assert pages(Managers(several)) == expected
    several.close()
    one.close()


def test_it_takes_a_statement_for_each_server_and_relation(
    scattered: Managers, main: Database, functions: list[Function], grace: User, sent: list[str]
) -> None:
    scattered.function_logs.count()
    sent.clear()
    answer(scattered, QUERIES["from further away"])
    assert len(sent) == 6
    sent.clear()
    answer(scattered, QUERIES["the lists of one function"], {"function": uuid_of(functions[1].id)})
    assert len(sent) == 3
