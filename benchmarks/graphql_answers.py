"""``python -m benchmarks.graphql_answers``: what an answer takes, as a multiple of loading its rows.

A page of 100 functions with their owners and five deployments each, in three statements for everybody: what is compared
is what stands between the rows and the answer. A library that is not installed is left out; the `bench` extra has them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from graphql import GraphQLResolveInfo, build_schema, execute_sync, parse, validate

from benchmarks.databases import Dialect, postgresql_database, sqlite_database
from benchmarks.measuring import Contestant, measure
from benchmarks.side_by_side import options_of, show
from cloudpub_models import Database, Managers
from cloudpub_models.graphql import answer

FIRST = 100
_OF_EACH = 5
_QUERY = """{ functions(first: 100) { nodes {
    name user { email } deployments(first: 5) { nodes { version status } }
} } }"""
_LISTS = "{ functions { name user { email } deployments { version status } } }"
_TYPES = """
type Query { functions: [Function!]! }
type Function { name: String! user: User! deployments: [Deployment!]! }
type User { email: String! }
type Deployment { version: Int! status: String! }
"""

Ask = Callable[[], Any]
Rows = Callable[[], list[Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    options = options_of("graphql_answers", __doc__, rounds=60).parse_args(arguments)
    show(options.database, lambda kind: ratios(kind, options.rounds))
    return 0


def ratios(kind: Dialect, rounds: int) -> dict[str, str]:
    """Return how many times longer than loading the rows each way to the answer takes."""
    found = {}
    with ExitStack() as opened:
        target = opened.enter_context(sqlite_database() if kind == "sqlite" else postgresql_database(None, "off"))
        database = Database(target.url)
        opened.callback(database.close)
        managers = Managers(database)
        _fill(managers)

        def rows() -> list[Any]:
            page = managers.functions.paginate_after(
                page_size=FIRST,
                order_by=("id",),
                order_direction="DESC",
                include={"user": {}, "deployments": {"limit": _OF_EACH, "order_by": "-id"}},
            )
            return page.items

        ways = {"this library": lambda: answer(managers, _QUERY), "graphql-core": _by_graphql_core(rows)}
        for name, make in (("ariadne", _by_ariadne), ("strawberry", _by_strawberry)):
            try:
                ways[name] = make(rows)
            except ModuleNotFoundError:
                continue
        for name, ask in ways.items():
            control, again, way = [
                Contestant(lambda _, call=call: call(), itertools.repeat(None)) for call in (rows, rows, ask)
            ]
            measured = measure(control, again, way, rounds, 3, lambda: None)
            found[name] = f"{measured.ratio:.2f}{'' if measured.valid else ' (void)'}"
    return found


def _fill(managers: Managers) -> None:
    users = managers.users.batch_insert(
        [{"email": f"{number}@example.com", "password_hash": "x"} for number in range(10)], returning=True
    )
    functions = managers.functions.batch_insert(
        [{"user_id": users[number % 10].id, "name": f"f{number}"} for number in range(FIRST)], returning=True
    )
    managers.function_deployments.batch_insert(
        {"function_id": function.id, "version": version, "image_tag": "i", "s3_key": "k"}
        for function in functions
        for version in range(1, _OF_EACH + 3)
    )


def _by_graphql_core(rows: Rows) -> Ask:
    schema, document = build_schema(_TYPES), parse(_LISTS)
    assert validate(schema, document) == []

    def resolve(source: Any, info: GraphQLResolveInfo) -> Any:
        return rows() if source is None else getattr(source, info.field_name)

    return lambda: execute_sync(schema, document, field_resolver=resolve).data


def _by_ariadne(rows: Rows) -> Ask:
    from ariadne import QueryType, graphql_sync, make_executable_schema

    query = QueryType()
    query.set_field("functions", lambda *_: rows())
    schema = make_executable_schema(_TYPES, query)
    return lambda: graphql_sync(schema, {"query": _LISTS})


def _by_strawberry(rows: Rows) -> Ask:
    import strawberry

    user = strawberry.type(type("User", (), {"__annotations__": {"email": str}}))
    deployment = strawberry.type(type("Deployment", (), {"__annotations__": {"version": int, "status": str}}))
    shown = {"name": str, "user": user, "deployments": list[deployment]}  # type: ignore[valid-type]
    function = strawberry.type(type("Function", (), {"__annotations__": shown}))

    def functions() -> Any:
        return rows()

    functions.__annotations__["return"] = list[function]  # type: ignore[valid-type]
    query = strawberry.type(type("Query", (), {"functions": strawberry.field(resolver=functions)}))
    schema = strawberry.Schema(query)
    return lambda: schema.execute_sync(_LISTS)


if __name__ == "__main__":
    raise SystemExit(main())
