"""What is answered: the rows, the statements that it takes, and what is refused before any is sent."""

from __future__ import annotations

import json
import random
import re
import time
from typing import Any
from uuid import UUID

import pytest
from graphql import GraphQLObjectType, GraphQLResolveInfo, execute_sync, get_introspection_query, get_named_type, parse

from cloudpub_models import forbid_lazy_loading
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.graphql import answer, schema_text
from cloudpub_models.graphql.kinds import shown_by
from cloudpub_models.graphql.schema import Graph, graph_of
from tests.graphql.conftest import Shop


def told(found: dict[str, Any]) -> str:
    """The message of the only error."""
    (error,) = found["errors"]
    return str(error["message"])


def test_a_page_with_what_belongs_to_its_rows(shop: Shop, statements: Any) -> None:
    statements.clear()
    found = answer(
        shop.managers,
        """query Page($first: Int!) {
          functions(first: $first) {
            nodes { name owner: user { email } deployments(first: 2) { nodes { version } pageInfo { hasNextPage } } }
            pageInfo { hasNextPage endCursor }
          }
        }""",
        {"first": 2},
    )
    page = found["data"]["functions"]
    assert page["nodes"] == [
        {
            "name": "function-5",
            "owner": {"email": "grace@example.com"},
            "deployments": {"nodes": [{"version": 5}, {"version": 4}], "pageInfo": {"hasNextPage": True}},
        },
        {
            "name": "function-4",
            "owner": {"email": "ada@example.com"},
            "deployments": {"nodes": [{"version": 4}, {"version": 3}], "pageInfo": {"hasNextPage": True}},
        },
    ]
    assert page["pageInfo"]["hasNextPage"] is True
    assert len(statements) == 3
    rest = answer(
        shop.managers,
        """query ($after: String) {
          functions(first: 9, after: $after) { nodes { name } pageInfo { hasNextPage endCursor } }
        }""",
        {"after": page["pageInfo"]["endCursor"]},
    )["data"]["functions"]
    assert [node["name"] for node in rest["nodes"]] == [f"function-{number}" for number in (3, 2, 1, 0)]
    assert rest["pageInfo"]["hasNextPage"] is False


def test_lists_of_one_row_go_on_by_cursors(shop: Shop, statements: Any) -> None:
    query = """query ($function: ID!, $after: String) {
      function(uuid: $function) {
        user { functions(first: 1) { nodes { name } } }
        logs(first: 3, after: $after) { nodes { message } pageInfo { hasNextPage endCursor } }
      }
    }"""
    function = str(shop.functions[5].uuid)
    statements.clear()
    first = answer(shop.managers, query, {"function": function})["data"]["function"]
    assert len(statements) == 4
    second = answer(shop.managers, query, {"function": function, "after": first["logs"]["pageInfo"]["endCursor"]})
    lines = [*first["logs"]["nodes"], *second["data"]["function"]["logs"]["nodes"]]
    assert [line["message"] for line in lines] == ["line 2", "line 4", "line 1", "line 3", "line 0"]
    assert second["data"]["function"]["logs"]["pageInfo"]["hasNextPage"] is False
    assert first["user"] == {"functions": {"nodes": [{"name": "function-5"}]}}


def test_each_row_has_a_cursor(shop: Shop) -> None:
    query = """query ($after: String) { functions(first: 4, after: $after) {
      edges { __typename cursor node { name deployments(first: 1) { edges { node { version } } } } }
      nodes { name deployments(first: 1) { nodes { version } } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    } }"""
    page = answer(shop.managers, query)["data"]["functions"]
    names = [f"function-{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert [edge["node"]["name"] for edge in page["edges"]] == [node["name"] for node in page["nodes"]] == names[:4]
    assert page["edges"][0]["node"]["deployments"] == {"edges": [{"node": {"version": 5}}]}
    assert {edge["__typename"] for edge in page["edges"]} == {"FunctionEdge"}
    assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (True, False)
    cursors = [edge["cursor"] for edge in page["edges"]]
    for behind, cursor in [
        *enumerate(cursors),
        (0, page["pageInfo"]["startCursor"]),
        (3, page["pageInfo"]["endCursor"]),
    ]:
        rest = answer(shop.managers, query, {"after": cursor})["data"]["functions"]
        assert [node["name"] for node in rest["nodes"]] == names[behind + 1 : behind + 5]
        assert rest["pageInfo"]["hasPreviousPage"] is True
    last = rest["pageInfo"]["endCursor"]
    assert answer(shop.managers, query, {"after": last})["data"]["functions"] == {
        "edges": [],
        "nodes": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": True, "startCursor": None, "endCursor": None},
    }


def test_a_list_below_a_list_goes_on_where_one_row_is_asked_for(shop: Shop) -> None:
    below = """{ functions(first: 1) { nodes { uuid deployments(first: 2) { pageInfo { endCursor } } } } }"""
    (function,) = answer(shop.managers, below)["data"]["functions"]["nodes"]
    query = """query ($function: ID!, $after: String) {
      function(uuid: $function) { deployments(after: $after) { nodes { version } } } }"""
    given = {"function": function["uuid"], "after": function["deployments"]["pageInfo"]["endCursor"]}
    assert answer(shop.managers, query, given)["data"]["function"]["deployments"] == {
        "nodes": [{"version": 3}, {"version": 2}, {"version": 1}]
    }


def test_a_row_that_is_not_there_is_null(shop: Shop) -> None:
    query = 'query { function(uuid: "%s") { name } one: user(uuid: "%s") { information { city } } }'
    assert answer(shop.managers, query % (UUID(int=9), shop.grace.uuid)) == {
        "data": {"function": None, "one": {"information": None}}
    }


def test_values_are_what_json_has(shop: Shop) -> None:
    found = answer(
        shop.managers,
        """query ($user: ID!, $function: ID!) {
          user(uuid: $user) { uuid createdAt information { role } } function(uuid: $function) { analysisResult }
        }""",
        {"user": str(shop.ada.uuid), "function": str(shop.functions[1].uuid)},
    )
    assert json.loads(json.dumps(found)) == {
        "data": {
            "user": {
                "uuid": str(shop.ada.uuid),
                "createdAt": shop.managers.users.get_by_id(shop.ada.id).created_at.isoformat(),
                "information": {"role": "team"},
            },
            "function": {"analysisResult": {"language": {"name": "dart"}, "sizes": [1, None]}},
        }
    }


MEMBERS = '{ organization(uuid: "%s") { ownerId members { nodes { uuid email firstName } } } }'


def test_members_ids_are_for_the_owner(shop: Shop) -> None:
    for asking in (shop.ada, shop.ada.uuid, str(shop.ada.uuid)):
        found = answer(shop.managers, MEMBERS % shop.acme.uuid, requester=asking)["data"]["organization"]
        assert found["ownerId"] == str(shop.ada.uuid)
        assert [member["uuid"] for member in found["members"]["nodes"]] == [str(shop.grace.uuid), str(shop.ada.uuid)]
    for other in (shop.grace, None):
        found = answer(shop.managers, MEMBERS % shop.acme.uuid, requester=other)["data"]["organization"]
        assert found == {
            "ownerId": None,
            "members": {
                "nodes": [
                    {"uuid": None, "email": "grace@example.com", "firstName": None},
                    {"uuid": None, "email": "ada@example.com", "firstName": "Ada"},
                ]
            },
        }


def test_members_ids_are_for_the_owner_in_lists_too(shop: Shop) -> None:
    query = "{ organizations { nodes { members { nodes { uuid } } } } }"
    (acme,) = answer(shop.managers, query, requester=shop.ada)["data"]["organizations"]["nodes"]
    assert [member["uuid"] for member in acme["members"]["nodes"]] == [str(shop.grace.uuid), str(shop.ada.uuid)]
    (acme,) = answer(shop.managers, query, requester=shop.grace)["data"]["organizations"]["nodes"]
    assert [member["uuid"] for member in acme["members"]["nodes"]] == [None, None]


def test_a_requester_that_is_none(shop: Shop) -> None:
    with pytest.raises(InvalidValueError):
        answer(shop.managers, "{ __typename }", requester="ada")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (7, "expected a query as text; got a value of type int"),
        ("", "Syntax Error: Unexpected <EOF>."),
        ("{ functions { nodes { name }", "Syntax Error"),
        ("{ functions { nodes { passwordHash } } }", "Cannot query field 'passwordHash' on type 'Function'."),
        ("{ functions { nodes { id } } }", "Cannot query field 'id'"),
        ("{ functions { totalCount } }", "Cannot query field 'totalCount'"),
        ("{ functions(first: 0) { nodes { name } } }", "expected first from 1 to 100; got 0"),
        ("{ functions(first: 101) { nodes { name } } }", "expected first from 1 to 100; got 101"),
        ("{ functions(first: null) { nodes { name } } }", "expected first from 1 to 100; got None"),
        ("{ functions(first: 1.5) { nodes { name } } }", "Int cannot represent non-integer value: 1.5"),
        ("{ functions(first: " + "9" * 5_000 + ") { nodes { name } } }", "at most 40 characters; got one of 5,000"),
        ("{ functions(first: 1." + "9" * 5_000 + ") { nodes { name } } }", "at most 40 characters; got one of 5,002"),
        ("{ function(uuid: " + "9" * 5_000 + ") { name } }", "at most 40 characters; got one of 5,000"),
        ("query ($n: Int!) { functions(first: $n) { nodes { name } } }", "Variable '$n'"),
        ("query A { __typename } query B { __typename }", "expected the name of one of the document's operations"),
        ("subscription { functions { nodes { name } } }", "subscription"),
        (
            '{ functions { nodes { logs(after: "x") { nodes { message } } } } }',
            "a list below a list takes no after: ask for one row and its list",
        ),
        (
            "{ functions { nodes { a: logs(first: 1) { nodes { uuid } } b: logs(first: 2) { nodes { uuid } } } } }",
            "expected one list of these rows; got two with other arguments",
        ),
        (
            "{ functions(first: 100) { nodes { deployments(first: 100) { nodes { function { logs(first: 100) { nodes "
            "{ uuid } } } } } } } }",
            "expected at most 20,000 rows in all",
        ),
        (
            "{ functions { nodes { user { functions(first: 1) { nodes { user { functions(first: 1) { nodes { user "
            "{ functions(first: 1) { nodes { name } } } } } } } } } } } }",
            "expected rows within rows at most 6 deep",
        ),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(21)) + " }", "expected at most 20 fields of an operation"),
        ("{ functions { nodes { " + "name " * 2_000 + "} } }", "2000 tokens"),
        ("{ functions { nodes { " + "user { email } " * 41 + "} } }", "at most 40 times; got user 41 times"),
        (
            "{ ...A ...B } fragment A on Query { "
            + "users { nodes { email } } " * 30
            + "} fragment B on Query { "
            + "users { nodes { email } } " * 30
            + "}",
            "expected a field of one name at most 40 times",
        ),
        ("#" * 50_001, "expected a query of at most 50,000 characters; got 50,001"),
        ("{ functions " + "{ nodes " * 5_000, "nested too deeply"),
        (
            "{ __schema { queryType { name } } functions { nodes { name } } }",
            "expected questions about the types alone",
        ),
        ("fragment A on Query { ...A } { ...A }", "Cannot spread fragment 'A' within itself."),
    ],
)
def test_what_is_refused(shop: Shop, statements: Any, query: Any, message: str) -> None:
    statements.clear()
    found = answer(shop.managers, query)
    assert "data" not in found
    assert message in " ".join(error["message"] for error in found["errors"])
    assert len(statements) == 0


@pytest.mark.parametrize("variables", [[1], "x", 5, [["a", 1]]])
def test_variables_that_are_no_object(shop: Shop, variables: Any) -> None:
    found = answer(shop.managers, "query ($first: Int) { users(first: $first) { nodes { email } } }", variables)
    assert told(found).startswith("expected variables as an object; got a value of type ")


@pytest.mark.alone
@pytest.mark.parametrize(
    "query",
    [
        "{ functions { nodes { " + "name " * 1_980 + "} } }",
        "{ functions { nodes { " + "user { email } " * 480 + "} } }",
        "{ functions { nodes { ...A ...B } } } "
        + "".join(
            f"fragment {name} on Function {{ " + " ".join(f"{c}: user {{ email }}" * 20 for c in "abcdef") + "} "
            for name in "AB"
        ),
        "{ functions { nodes { " + " ".join(f"a{n}: name" for n in range(600)) + "} } }",
    ],
)
def test_no_query_takes_long_to_read(shop: Shop, query: str) -> None:
    started = time.process_time()
    answer(shop.managers, query)
    assert time.process_time() - started < 1


def test_fragments_that_double_each_other_end(shop: Shop) -> None:
    doubling = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60))
    assert answer(shop.managers, f"{{ ...F0 }} {doubling} fragment F60 on Query {{ __typename }}") == {
        "data": {"__typename": "Query"}
    }


def test_errors_of_the_database_are_told_like_a_service_tells_them(shop: Shop) -> None:
    found = answer(shop.managers, '{ a: function(uuid: "x") { name } b: users(first: 1) { nodes { email } } }')
    assert found == {
        "data": {"a": None, "b": {"nodes": [{"email": "joan@example.com"}]}},
        "errors": [{"message": "uuid: expected a UUID or its text", "path": ["a"], "extensions": {"status": 422}}],
    }
    page = answer(shop.managers, "{ users(first: 1) { pageInfo { endCursor } } }")["data"]["users"]
    for wrong in ("x", "", page["pageInfo"]["endCursor"]):
        found = answer(
            shop.managers, "query ($after: String) { functions(after: $after) { edges { cursor } } }", {"after": wrong}
        )
        assert found["data"] == {"functions": None}
        assert found["errors"][0]["extensions"] == {"status": 422}
        assert told(found) == "the cursor is none of this list: begin without one"


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


OTHERS = {
    "text": lambda: "1",
    "fraction": lambda: 1.5,
    "truth": lambda: True,
    "large": lambda: 10**30,
    "no number": lambda: float("nan"),
    "list": lambda: [1],
    "object": dict,
    "nested": lambda: nested(100_000),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_variable_of_another_type_is_told_so(shop: Shop, statements: Any, kind: str) -> None:
    value = OTHERS[kind]()
    statements.clear()
    found = answer(
        shop.managers, "query ($first: Int) { functions(first: $first) { nodes { name } } }", {"first": value}
    )
    assert found.keys() == {"errors"}
    assert re.match(
        r"Variable '\$first' has invalid value: Int cannot|Variable values are nested too deeply", told(found)
    )
    assert len(statements) == 0


@pytest.mark.parametrize(
    "value", [10**6_000, [10**6_000], {"a": 10**6_000}], ids=["alone", "in a list", "in an object"]
)
@pytest.mark.parametrize("kind", ["Int", "ID", "String", "Boolean", "DeployInput"])
def test_an_integer_that_python_does_not_write_out_is_no_variable(
    shop: Shop, statements: Any, kind: str, value: Any
) -> None:
    uses = {
        "Int": "query ($v: Int) { functions(first: $v) { nodes { name } } }",
        "ID": "query ($v: ID!) { function(uuid: $v) { name } }",
        "String": "query ($v: String) { functions(after: $v) { nodes { name } } }",
        "Boolean": "query ($v: Boolean!) { functions @include(if: $v) { nodes { name } } }",
        "DeployInput": "mutation ($v: DeployInput!) { deploy(input: $v) { version } }",
    }
    statements.clear()
    found = answer(shop.managers, uses[kind], {"v": value})
    assert found.keys() == {"errors"}
    assert "sys." not in json.dumps(found)
    assert len(statements) == 0


def test_directives_and_variables(shop: Shop) -> None:
    query = """query ($deep: Boolean!, $first: Int = 1) {
      functions(first: $first) { nodes { ...F ... on Function @skip(if: $deep) { status } } }
    }
    fragment F on Function { name logs(first: 1) @include(if: $deep) { nodes { message } } }"""
    node = {"name": "function-5"}
    assert answer(shop.managers, query, {"deep": False})["data"]["functions"]["nodes"] == [{**node, "status": "active"}]
    assert answer(shop.managers, query, {"deep": True})["data"]["functions"]["nodes"] == [
        {**node, "logs": {"nodes": [{"message": "line 2"}]}}
    ]


def test_trusted_documents(shop: Shop) -> None:
    documents = {"names": "{ users(first: 1) { nodes { email } } }", "types": "{ __schema { queryType { name } } }"}
    assert answer(shop.managers, "names", documents=documents)["data"]["users"]["nodes"] == [
        {"email": "joan@example.com"}
    ]
    assert "known here" in told(answer(shop.managers, documents["names"], documents=documents))
    refused = answer(shop.managers, "types", documents=documents)
    assert "data" not in refused
    assert "introspection has been disabled" in refused["errors"][0]["message"]


def test_the_types_are_told(shop: Shop, statements: Any) -> None:
    statements.clear()
    found = answer(shop.managers, get_introspection_query())
    assert "errors" not in found
    assert {"Function", "User", "Query", "Mutation"} <= {kind["name"] for kind in found["data"]["__schema"]["types"]}
    assert len(statements) == 0
    text = schema_text(shop.managers)
    assert "type Function {" in text
    assert not re.search(r"password|\bid:|secret", text, re.IGNORECASE)


def test_one_of_several_operations(shop: Shop) -> None:
    query = "query A { __typename } mutation B { __typename }"
    assert answer(shop.managers, query, operation_name="B") == {"data": {"__typename": "Mutation"}}
    assert "name of one of" in told(answer(shop.managers, query, operation_name="C"))


def query_at_random(graph: Graph, chance: random.Random, shop: Shop) -> str:
    def selection(kind: GraphQLObjectType, depth: int, below_list: bool) -> str:
        fields = [*kind.fields, "__typename"]
        chosen = chance.sample(fields, min(len(fields), chance.randint(1, 4)))
        parts = []
        for number, name in enumerate(chosen):
            alias = chance.choice(["", "", f"a{number}: "])
            field = kind.fields.get(name)
            named = None if field is None else get_named_type(field.type)
            if name == "cursor":
                continue  # of which no two are alike: sealed each time anew
            if not isinstance(named, GraphQLObjectType):
                parts.append(alias + name)
            elif depth < 5 and name != "pageInfo":
                if name in ("nodes", "edges", "node"):
                    inner = selection(named, depth, True)
                elif "first" in field.args:
                    inner = selection(named, depth + 1, below_list)
                    name += f"(first: {chance.randint(1, 3)})"
                else:
                    inner = selection(named, depth + 1, below_list)
                parts.append(
                    f"{alias}{name} {{ {inner} }}" if chance.random() < 0.8 else spread(named, alias, name, inner, kind)
                )
            elif name == "pageInfo":
                parts.append(f"{alias}pageInfo {{ hasNextPage hasPreviousPage __typename }}")
        return " ".join(parts) or "__typename"

    def spread(named: GraphQLObjectType, alias: str, name: str, inner: str, kind: GraphQLObjectType) -> str:
        return f"... on {kind.name} {{ {alias}{name} {{ ... on {named.name} {{ {inner} }} __typename }} }}"

    roots = [
        f"functions(first: {chance.randint(1, 4)})",
        "users(first: 2)",
        "organizations",
        "functionDeployments(first: 3)",
    ]
    roots += [f'function(uuid: "{chance.choice(shop.functions).uuid}")', f'user(uuid: "{shop.ada.uuid}")']
    root = chance.choice(roots)
    query = graph.schema.query_type
    assert query is not None
    named = get_named_type(query.fields[root.partition("(")[0]].type)
    assert isinstance(named, GraphQLObjectType)
    return f"{{ {root} {{ {selection(named, 1, False)} }} }}"


def naively(shop: Shop, query: str, requester: UUID | None) -> dict[str, Any]:
    """What graphql-core's own executor answers, with a resolver that asks for each row by itself."""
    managers = shop.managers
    graph = graph_of(shown_by(managers.database.components))

    def several(kind: Any, where: dict[str, Any], first: int) -> dict[str, Any]:
        rows = managers.for_model(kind.model).find_all(
            where, order_by=kind.order, order_direction="DESC", limit=first + 1
        )
        return {
            "nodes": rows[:first],
            "edges": [{"node": row} for row in rows[:first]],
            "pageInfo": {"hasNextPage": len(rows) > first, "hasPreviousPage": False},
        }

    def resolve(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        name = info.field_name
        if isinstance(source, dict):
            return source[name]
        if source is None:
            if name in graph.rows:
                return managers.for_model(graph.rows[name].model).find_by_uuid(arguments["uuid"])
            return several(graph.connections[name], {}, arguments["first"])
        kind = graph.kinds[type(source)]
        field = graph.fields[kind.name][name]
        if field.name in kind.leaves:
            leaf = kind.leaves[field.name]
            for step in leaf.needs.split(".")[:1] if leaf.needs else []:
                getattr(source, step)
            value = leaf.read(source, requester)
            assert field.write is not None
            return None if value is None else field.write(value)
        relation = kind.relations[field.name]
        if not relation.many:
            return getattr(source, relation.name)
        assert relation.link is not None
        key = getattr(source, kind.model._meta.columns[relation.link.column].name)
        found = several(graph.kinds[relation.model], {relation.link.key: key}, arguments["first"])
        for row in found["nodes"]:
            row.__rel__[relation.model._meta.columns[relation.link.key].name] = source
        return found

    result = execute_sync(graph.schema, parse(query), field_resolver=resolve)
    assert result.errors is None, result.errors
    assert result.data is not None
    return result.data


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
def test_random_queries_are_answered_as_by_the_reference_executor(shop: Shop) -> None:
    chance = random.Random(23)
    graph = graph_of(shown_by(shop.managers.database.components))
    answered = 0
    for _ in range(250):
        query = query_at_random(graph, chance, shop)
        requester = chance.choice([None, shop.ada.uuid, shop.grace.uuid])
        with forbid_lazy_loading():
            found = answer(shop.managers, query, requester=requester)
        if "errors" in found:
            assert "two with other arguments" in told(found), (query, found)
            continue
        answered += 1
        assert found["data"] == naively(shop, query, requester), query
    assert answered > 200


def test_no_answer_has_a_secret_or_an_internal_id(shop: Shop) -> None:
    chance = random.Random(5)
    graph = graph_of(shown_by(shop.managers.database.components))
    answers = [json.dumps(answer(shop.managers, query_at_random(graph, chance, shop))) for _ in range(60)]
    assert not [found for found in answers if "a secret" in found or re.search(r'"(\w+_)?id"', found)]


def test_whose_rows_there_are_is_up_to_the_managers(shop: Shop) -> None:
    hers = shop.managers.owned_by(shop.ada)
    query = (
        "{ functions { nodes { name user { email } deployments { nodes { version } } } } users { nodes { email } } }"
    )
    found = answer(hers, query, requester=shop.ada)["data"]
    assert [(node["name"], len(node["deployments"]["nodes"])) for node in found["functions"]["nodes"]] == [
        ("function-4", 4),
        ("function-2", 2),
        ("function-0", 0),
    ]
    assert found["users"]["nodes"] == [{"email": "ada@example.com"}]
    other = answer(hers, f'{{ function(uuid: "{shop.functions[1].uuid}") {{ name }} }}')
    assert other == {"data": {"function": None}}
    given = f'input: {{ functionUuid: "{shop.functions[1].uuid}", imageTag: "i", s3Key: "k" }}'
    refused = answer(hers, f"mutation {{ deploy({given}) {{ version }} }}")
    assert (refused["data"], refused["errors"][0]["extensions"]) == ({"deploy": None}, {"status": 404})
    assert shop.managers.function_deployments.count({"function_id": shop.functions[1].id}) == 1
