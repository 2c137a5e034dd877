"""Joins, queries from the builder that run, and the parameters of SQL."""

from __future__ import annotations

from typing import Any

from cloudpub_models import QueryBuilder
from cloudpub_models.errors import CloudpubError
from tests.abuse.world import World

from .accepted import (
    COLUMN,
    ITEM,
    JOINABLE,
    NAME,
    TEXTS,
    VALUE,
    Accepts,
    form,
    ids,
    matching,
    never,
    one_of,
    others,
    text,
)
from .door import Call, Door, Doors

DOORS = Doors()


def _join(world: World, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "join_table": "users u",
        "join_condition": "functions.user_id = u.id",
        "select": ["functions.id AS id"],
    }
    return world.functions.join_query(**{**arguments, **changes})


@DOORS.door(
    "Manager.join_query(where)",
    harmless=TEXTS,
    accepts=text(50),
    expects=lambda world, given: [1] * (given == "active"),
)
def _(world: World, given: str) -> Any:
    return [1 for _ in _join(world, where={"functions.status": given})]


# What passes the grammar goes to the database, which does not know such a column.
_JOINS: dict[str, tuple[Call, Accepts, str]] = {
    "join_table": (lambda world, given: _join(world, join_table=given), JOINABLE, "users u"),
    "join_condition": (
        lambda world, given: _join(world, join_condition=given),
        form(rf"{COLUMN}={COLUMN}(and\b{COLUMN}={COLUMN})*"),
        "functions.user_id = u.id",
    ),
    "select": (
        lambda world, given: _join(world, select=[given]),
        form(rf"\s*\*\s*|{ITEM}(as\s+{NAME}\s*)?|\s*{NAME}\s*\.\s*\*\s*"),
        "u.email",
    ),
    "order_by": (lambda world, given: _join(world, order_by=given), form(rf"{ITEM}(,{ITEM})*"), "u.email"),
    "where": (lambda world, given: _join(world, where={given: "x"}), form(COLUMN), "u.email"),
}
for _name, (_call, _accepts, _harmless) in _JOINS.items():
    DOORS.append(
        Door(
            (f"Manager.join_query({_name})" + (": name" if _name == "where" else ""),),
            _call,
            (_harmless,),
            _accepts,
            rewrites=True,
        )
    )


DOORS.append(
    Door(
        ("Manager.join_query(join_type)",),
        lambda world, given: _join(world, join_type=given),
        ("INNER", "left", "RIGHT", "FULL"),
        one_of("INNER", "LEFT", "RIGHT", "FULL", any_case=True),
    )
)


def _execute(world: World, query: QueryBuilder) -> Any:
    return ids(world.logs.execute_query(query.select("id")))


@DOORS.door(
    "QueryBuilder.where(value)",
    "QueryBuilder.or_where(value)",
    "QueryBuilder.where_in(values)",
    **VALUE,
    expects=matching,
)
def _(world: World, given: str) -> Any:
    found = _execute(world, world.logs.query().where("message", given))
    assert found == _execute(world, world.logs.query().where("id", -1).or_where("message", given))
    assert found == _execute(world, world.logs.query().where_in("message", [given]))
    return found


@DOORS.door(
    "QueryBuilder.where_between(low)",
    "QueryBuilder.where_between(high)",
    "QueryBuilder.where_group(fn)",
    **VALUE,
    expects=matching,
)
def _(world: World, given: str) -> Any:
    return _execute(
        world,
        world.logs.query()
        .where_between("message", given, given)
        .where_group(lambda group: group.where("message", given)),
    )


@DOORS.door("QueryBuilder.where_not_in(values)", **VALUE, expects=others)
def _(world: World, given: str) -> Any:
    return _execute(world, world.logs.query().where_not_in("message", [given]))


@DOORS.door("QueryBuilder.where_raw(parameters)", "QueryBuilder.having(parameters)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    query = world.logs.query().where_raw("message = @text", {"text": given})
    grouped = query.group_by("id").having("MAX(message) = @same", {"same": given})
    found = _execute(world, query)
    assert found == _execute(world, grouped)
    return found


@DOORS.door(
    "Database.raw_query_all(parameters)",
    "Database.raw_query_single(parameters)",
    "Database.raw_query_iter(parameters)",
    "Connection.execute(parameters)",
    "Manager.raw(parameters)",
    **VALUE,
    expects=matching,
)
def _(world: World, given: str) -> Any:
    sql = "SELECT id FROM function_logs WHERE message = @text AND message IN @list -- @no 'x' % ?"
    parameters = {"text": given, "list": (given, "x")}
    found = ids(world.database.raw_query_all(sql, parameters))
    single = world.database.raw_query_single(sql, parameters)
    assert found == ([] if single is None else [single["id"]])
    assert found == ids(world.database.raw_query_iter(sql, parameters))
    assert found == ids(world.logs.raw(sql, parameters))
    with world.database.transaction() as connection:
        assert found == ids(connection.execute(sql, parameters))
    return found


@DOORS.door(
    "Database.raw_execute(parameters)", "Database.batch_execute(statements): parameters", **VALUE, expects=lambda *_: 0
)
def _(world: World, given: str) -> Any:
    sql = "UPDATE function_logs SET message = @text WHERE message = @text AND id = -1"
    (count,) = world.database.batch_execute([(sql, {"text": given})])
    return count + world.database.raw_execute(sql, {"text": given})


@DOORS.door("raw parameter names", "QueryBuilder.where_raw(parameters): name", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    for call in (
        lambda: world.database.raw_query_all("SELECT 1 WHERE 1 = @one", {given: 1}),
        lambda: world.database.raw_query_all("SELECT 1 WHERE 1 = @one", {"one": 1, given: 1}),
        lambda: world.logs.raw("SELECT id FROM function_logs", {given: 1}),
        lambda: QueryBuilder().table("users").where_raw("id = @one", {"one": 1, given: 1}),
        lambda: QueryBuilder().table("users").group_by("id").having("MAX(id) > @one", {given: 1}),
    ):
        try:
            call()
        except CloudpubError:
            continue
        raise AssertionError(given)
    raise CloudpubError("all were refused")
