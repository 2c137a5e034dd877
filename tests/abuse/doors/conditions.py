"""The managers' conditions: strings as values to compare with."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cloudpub_models import Function, FunctionLog, all_of, any_of, none_of, operators
from cloudpub_models.errors import NotFoundError
from cloudpub_models.sql import SQLITE
from tests.abuse.payloads import storable
from tests.abuse.world import World

from .accepted import OPERATOR, TEXTS, VALUE, a_pattern, escaped, ids, matching, others, text
from .door import Doors

DOORS = Doors()


@DOORS.door("Manager.find_all(where)", "operators.eq(value)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    found = ids(world.logs.find_all({"message": given}))
    assert found == ids(world.logs.find_all({"message": operators.eq(given)}))
    return found


@DOORS.door("operators.in_(values)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    found = ids(world.logs.find_all({"message": [given]}))
    assert found == ids(world.logs.find_all({"message": operators.in_([given, "no such line, ever"])}))
    return found


@DOORS.door("operators.ne(value)", "operators.not_in(values)", **VALUE, expects=others)
def _(world: World, given: str) -> Any:
    found = ids(world.logs.find_all({"message": operators.ne(given)}))
    assert found == ids(world.logs.find_all({"message": operators.not_in({given})}))
    return found


@DOORS.door("operators.between(low)", "operators.between(high)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all({"message": operators.between(given, given)}))


@DOORS.door("operators.gt(value)", "operators.lt(value)", "operators.ge(value)", "operators.le(value)", **VALUE)
def _(world: World, given: str) -> Any:
    groups = [ids(world.logs.find_all({"message": compare(given)})) for compare in (operators.lt, operators.gt)]
    at_least = ids(world.logs.find_all({"message": operators.ge(given)}))
    at_most = ids(world.logs.find_all({"message": operators.le(given)}))
    own = matching(world, given)
    assert sorted([*groups[0], *groups[1], *own]) == sorted(world.ids.values())
    assert (at_least, at_most) == (sorted([*groups[1], *own]), sorted([*groups[0], *own]))


@DOORS.door("operators.like(pattern)", harmless=TEXTS, accepts=text(), expects=matching)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all({"message": operators.like(escaped(given))}))


@DOORS.door("operators.not_like(pattern)", harmless=TEXTS, accepts=text(), expects=others)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all({"message": operators.not_like(escaped(given))}))


@DOORS.door("operators.ilike(pattern)", harmless=TEXTS, accepts=a_pattern)
def _(world: World, given: str) -> Any:
    found = ids(world.logs.find_all({"message": operators.ilike(given)}))
    assert set(found) >= set(ids(world.logs.find_all({"message": operators.like(given)})))


@DOORS.door("operators.operator_for(value)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all({"message": operators.operator_for(given)}))


@DOORS.door("operators.operator_for(symbol)", harmless=("=", "<>", "LIKE"), accepts=OPERATOR)
def _(world: World, given: str) -> Any:
    world.logs.find_all({"message": operators.operator_for("x", given)})


@DOORS.door("Manager.find_all(where)", "Peewee expression", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all((FunctionLog.message == given) & FunctionLog.message.in_([given])))


@DOORS.door("Peewee query", **VALUE, expects=matching, sends_first=True)
def _(world: World, given: str) -> Any:
    with world.database.bind():
        return ids(FunctionLog.select().where(FunctionLog.message == given))


@DOORS.door("JSON key", harmless=("k", "other"), accepts=storable, writes_literals=True)
def _(world: World, given: str) -> Any:
    with world.database.bind():
        found = ids(world.functions.find_all(Function.analysis_result[given] == "v"))
    expected = [world.function.id] * (given in world.function.analysis_result)
    # SQLite (3.40) compares a path's key with the JSON text as it is written, so it finds none that is escaped there.
    escaped_in_json = world.dialect is SQLITE and (re.search(r'["\x00-\x1f]', given) is not None)
    assert found == expected or (escaped_in_json and found == [])


def in_a_path(given: str) -> bool:
    return storable(given) and re.fullmatch(r'[^"\\\x00-\x1f]+', given) is not None


@DOORS.door("operators.at(path)", harmless=("k", "other"), accepts=in_a_path)
def _(world: World, given: str) -> Any:
    found = ids(world.functions.find_all({"analysis_result": operators.at([given], "v")}))
    assert found == [world.function.id] * (given in world.function.analysis_result)
    missing = ids(world.functions.find_all({"analysis_result": operators.at([given], operators.MISSING)}))
    assert found != missing


@DOORS.door("operators.at(value)", **VALUE)
def _(world: World, given: str) -> Any:
    where = {"analysis_result": operators.at("k", given), "user.email": operators.ne(given)}
    assert world.functions.count(where) == (given == "v")
    assert world.functions.count({"analysis_result": operators.at("k", operators.ge(given))}) == (given <= "v")
    assert world.functions.count({"analysis_result": operators.at("k", [given, 5])}) == (given == "v")


@DOORS.door("Manager.find_all(where): any_of, all_of, none_of", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    wanted = all_of({"message": given}, {"function.name": "resize"}, none_of({"function.user.email": given}))
    return ids(world.logs.find_all(any_of(wanted, {"function.deployments.s3_key": given})))


@DOORS.door("Manager.has_many(where)", "Manager.many_to_many(where)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    between = ("users", "organization_members", "organization_id", "user_id")
    own = world.organization.uuid
    members = world.managers.organizations.many_to_many(*between, own, where={"email": operators.ne(given)})
    assert [member.id for member in members] == [world.user.id]
    return ids(world.functions.has_many("function_logs", "function_id", world.function.id, where={"message": given}))


@DOORS.door("Manager.find_one(where)", "Manager.count(where)", "Manager.exists(where)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    where = {"message": given}
    found = world.logs.find_one(where)
    assert world.logs.count(where) == (found is not None)
    assert world.logs.exists(where) is (found is not None)
    return [] if found is None else [found.id]


@DOORS.door(
    "Manager.get_one(where)",
    "Manager.get_by_id(id)",
    "FunctionInvocationManager.get_by_id(id)",
    **VALUE,
    expects=matching,
)
def _(world: World, given: str) -> Any:
    found = [
        _got(lambda: world.logs.get_one({"message": given})),
        _got(lambda: world.logs.get_by_id(given, id_column="message")),
    ]
    assert found[0] == found[1]
    return found[0]


def _got(get: Callable[[], Any]) -> list[int]:
    try:
        return [get().id]
    except NotFoundError:
        return []


@DOORS.door(
    "Manager.delete_preview(where)",
    **VALUE,
    expects=lambda world, given: {"function_logs": 1} if matching(world, given) else {},
)
def _(world: World, given: str) -> Any:
    return world.logs.delete_preview({"message": given})


@DOORS.door(
    "Manager.paginate(where)", "Manager.paginate_after(where)", "Manager.iterate(where)", **VALUE, expects=matching
)
def _(world: World, given: str) -> Any:
    where = {"message": given}
    found = ids(world.logs.paginate(1, 5, where).items)
    assert found == ids(world.logs.paginate_after(None, 5, where).items)
    assert found == ids(world.logs.iterate(where))
    return found


@DOORS.door("FunctionManager.get_functions_paginated(filters)", harmless=TEXTS, accepts=text(50), expects=lambda *_: [])
def _(world: World, given: str) -> Any:
    return ids(world.functions.get_functions_paginated(1, 5, {"status": given}).items) if given != "active" else []
