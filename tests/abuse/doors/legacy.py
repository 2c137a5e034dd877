"""The old call style."""

from __future__ import annotations

from typing import Any

from tests.abuse.world import World

from .accepted import HARMLESS_UUIDS, TEXTS, a_uuid, never, text
from .door import Door, Doors

DOORS = Doors()


DOORS.in_vain(
    "QueryHelpers.get_user_by_email(email)", lambda world, given: world.helpers.get_user_by_email(given), text(255)
)
for _method, _result in (
    ("get_user_by_uuid(uuid)", None),
    ("get_function_by_uuid(uuid)", None),
    ("get_functions_by_user_uuid(user_uuid)", []),
    ("get_function_logs_by_function_uuid(function_uuid)", []),
    ("get_function_invocations_by_function_uuid(function_uuid)", []),
    ("delete_function(uuid)", False),
):
    DOORS.in_vain(
        f"QueryHelpers.{_method}",
        lambda world, given, method=_method: getattr(world.helpers, method.partition("(")[0])(given),
        a_uuid,
        HARMLESS_UUIDS,
        _result,
    )
DOORS.in_vain(
    "QueryHelpers.get_internal_id_from_uuid(uuid)",
    lambda world, given: world.helpers.get_internal_id_from_uuid("users", given),
    a_uuid,
    HARMLESS_UUIDS,
)
DOORS.in_vain(
    "QueryHelpers.update_function(uuid)",
    lambda world, given: world.helpers.update_function(given, name="x"),
    a_uuid,
    HARMLESS_UUIDS,
)
for _name, _call in {
    "QueryHelpers.create_function(user_uuid)": lambda world, given: world.helpers.create_function(given, "x"),
    "QueryHelpers.create_function_log(function_uuid)": lambda world, given: world.helpers.create_function_log(
        given, "x", "x"
    ),
    "QueryHelpers.create_function_invocation(function_uuid)": lambda world, given: (
        world.helpers.create_function_invocation(given, "x")
    ),
}.items():
    DOORS.append(Door((_name,), _call, (), never))


@DOORS.door("QueryHelpers.create_user(email)", harmless=TEXTS, accepts=text(255), expects=lambda _, given: given)
def _(world: World, given: str) -> Any:
    row = world.helpers.create_user(given, "hash")
    world.users.delete_by_id(row["id"])
    return row["email"]


@DOORS.door(
    "QueryHelpers.create_user(password_hash)", harmless=TEXTS, accepts=text(255), expects=lambda _, given: given
)
def _(world: World, given: str) -> Any:
    row = world.helpers.create_user("x@example.com", given)
    found = world.users.find_by_id(row["id"])
    world.users.delete_by_id(row["id"])
    return found.password_hash


def _function_column(name: str, longest: int) -> None:
    """Register the doors of the two helpers that write a column of ``functions``."""

    def create(world: World, given: str) -> Any:
        row = world.helpers.create_function(world.user.uuid, **{"name": "other", name: given})
        world.functions.delete_by_id(row["id"])
        return row[name]

    def update(world: World, given: str) -> Any:
        row = world.helpers.update_function(world.function.uuid, **{name: given})
        world.functions.update_by_id(world.function.id, world.function.to_dict())
        return row[name]

    for call, method in ((create, "create_function"), (update, "update_function")):
        names = (f"QueryHelpers.{method}({name})",)
        first = method != "update_function"
        DOORS.append(Door(names, call, TEXTS, text(longest), lambda _, given: given, sends_first=first))


_function_column("name", 255)
_function_column("status", 50)
_function_column("analysis_result", 10**9)


def _of_the_function(method: str, name: str, longest: int, **others: Any) -> None:
    def call(world: World, given: str) -> Any:
        row = getattr(world.helpers, method)(world.function.uuid, **{**others, name: given})
        manager = world.logs if "log" in method else world.managers.function_invocations
        manager.delete_by_id(row["id"])
        return row[name]

    DOORS.append(
        Door((f"QueryHelpers.{method}({name})",), call, TEXTS, text(longest), lambda _, given: given, sends_first=True)
    )


_of_the_function("create_function_log", "level", 20, message="x")
_of_the_function("create_function_log", "message", 10**9, level="x")
_of_the_function("create_function_invocation", "status", 50)
_of_the_function("create_function_invocation", "error", 10**9, status="x")
