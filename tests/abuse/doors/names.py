"""The managers' names: of columns, tables and relations, directions and options."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from cloudpub_models import Function, User, migrations, operators
from cloudpub_models.models import ALL_MODELS
from tests.abuse.world import World

from .accepted import DIRECTION, LOG_COLUMN_NAMES, LOG_COLUMNS, never, one_of
from .door import Call, Door, Doors

DOORS = Doors()


def _refused_name(name: str, call: Call, *extra: str) -> None:
    DOORS.append(Door((f"{name}: name", *extra), call, LOG_COLUMN_NAMES, LOG_COLUMNS))


_ROW = {"function_id": 1, "level": "info", "message": "x"}
_refused_name("Manager.find_all(where)", lambda world, given: world.logs.find_all({given: operators.is_not_null()}))
_refused_name("Manager.count(where)", lambda world, given: world.logs.count({given: None}))
_refused_name("Manager.exists(where)", lambda world, given: world.logs.exists({given: None}))
_FUNCTION_COLUMNS = (*Function._meta.columns, "user", "active_deployment")
DOORS.append(
    Door(
        ("Manager.find_all(where): relation",),
        lambda world, given: world.logs.find_all({f"{given}.name": operators.is_not_null()}),
        ("function",),
        one_of("function"),
    )
)
DOORS.append(
    Door(
        ("Manager.find_all(where): related column",),
        lambda world, given: world.logs.find_all({f"function.{given}": operators.is_not_null()}),
        _FUNCTION_COLUMNS,
        one_of(*_FUNCTION_COLUMNS),
    )
)
_refused_name(
    "Manager.find_all(select)",
    lambda world, given: world.logs.find_all(select=[given], limit=1),
    "Manager.find_all(select)",
)
_refused_name(
    "Manager.find_one(select)", lambda world, given: world.logs.find_one(select=[given]), "Manager.find_one(select)"
)
_refused_name(
    "Manager.find_by_id(select)",
    lambda world, given: world.logs.find_by_id(-1, select=[given]),
    "Manager.find_by_id(select)",
    "FunctionInvocationManager.find_by_id(select)",
)
_refused_name(
    "Manager.find_all(order_by)", lambda world, given: world.logs.find_all(order_by=given), "Manager.find_all(order_by)"
)
_refused_name(
    "order_by pairs",
    lambda world, given: world.logs.find_one(order_by=[(given, "ASC")]),
    "Manager.find_one(order_by)",
)
_refused_name(
    "Manager.get_one(order_by)",
    lambda world, given: world.logs.get_one(order_by=given),
    "Manager.get_one(order_by)",
)
_refused_name(
    "Manager.get_one(select)", lambda world, given: world.logs.get_one(select=[given]), "Manager.get_one(select)"
)
_refused_name(
    "Manager.get_by_id(select)",
    lambda world, given: world.logs.get_by_id(next(iter(world.ids.values())), select=[given]),
    "Manager.get_by_id(select)",
    "FunctionInvocationManager.get_by_id(select)",
)
_refused_name(
    "Manager.delete_preview(where)",
    lambda world, given: world.logs.delete_preview({given: operators.is_null()}),
)
_refused_name("Manager.values(where)", lambda world, given: world.logs.values("id", {given: operators.is_null()}))
_refused_name(
    "Manager.iterate(order_by)",
    lambda world, given: next(world.logs.iterate(order_by=[given])),
    "Manager.iterate(order_by)",
)
_refused_name(
    "Manager.paginate(order_by)",
    lambda world, given: world.logs.paginate(1, 1, order_by=[given, "id"]),
    "Manager.paginate(order_by)",
)
_refused_name(
    "Manager.claim(order_by)",
    lambda world, given: world.logs.claim({"message": "no such line"}, {"level": "x"}, order_by=given),
    "Manager.claim(order_by)",
)
_refused_name(
    "Manager.has_many(foreign_key)",
    lambda world, given: (
        world.logs.has_many("function_logs", given, "x") if given == "message" else _known(world, given)
    ),
    "Manager.has_many(foreign_key)",
)


def _known(world: World, given: str) -> Any:
    # The other columns do not take the value; what is asked here is whether the name is known.
    if LOG_COLUMNS(given):
        return world.logs.find_all({given: operators.is_not_null()})
    return world.logs.has_many("function_logs", given, "x")


_NAMES_OF_WRITES: dict[str, Call] = {
    "Manager.insert(data)": lambda world, given: world.logs.insert({given: "x"}),
    "Manager.update(data)": lambda world, given: world.logs.update({given: "x"}, {"id": -1}),
    "Manager.update(where)": lambda world, given: world.logs.update({"level": "x"}, {given: "x"}),
    "Manager.update_by_id(data)": lambda world, given: world.logs.update_by_id(-1, {given: "x"}),
    "Manager.update_by_id(id_column)": lambda world, given: world.logs.update_by_id(
        "x", {"level": "x"}, id_column=given
    ),
    "Manager.delete(where)": lambda world, given: world.logs.delete({given: "x"}),
    "Manager.delete_by_id(id_column)": lambda world, given: world.logs.delete_by_id("x", id_column=given),
    "Manager.find_by_id(id_column)": lambda world, given: world.logs.find_by_id("x", id_column=given),
    "FunctionInvocationManager.find_by_id(id_column)": lambda world, given: (
        world.managers.function_invocations.find_by_id("x", id_column=given)
    ),
    "Manager.lease(where)": lambda world, given: world.logs.lease({given: "x"}, seconds=60),
    "Manager.lease(order_by)": lambda world, given: world.logs.lease({"id": -1}, seconds=60, order_by=given),
    "Manager.lease(at_most)": lambda world, given: world.logs.lease({"id": -1}, seconds=60, at_most=given),
    "Manager.find_by_text(where)": lambda world, given: world.logs.find_by_text("zebra", {given: "x"}),
    "Manager.find_by_text(order_by)": lambda world, given: world.logs.find_by_text("zebra", order_by=[given, given]),
    "Manager.find_by_text(include)": lambda world, given: world.logs.find_by_text("zebra", include=[given]),
    "Manager.find_by_text(cursor)": lambda world, given: world.logs.find_by_text("zebra", cursor=given),
    "Manager.claim(where)": lambda world, given: world.logs.claim({given: "x"}, {"level": "x"}),
    "Manager.claim(changes)": lambda world, given: world.logs.claim({"id": 1}, {given: "x"}),
    "Manager.upsert(data)": lambda world, given: world.logs.upsert({given: "x"}, ["id"]),
    "Manager.upsert(conflict_columns)": lambda world, given: world.logs.upsert(_ROW, [given]),
    "Manager.upsert(update_columns)": lambda world, given: world.logs.upsert(_ROW, ["id"], update_columns=[given]),
    "Manager.find_or_insert(data)": lambda world, given: world.logs.find_or_insert({given: "x"}, ["id"]),
    "Manager.find_or_insert(key_columns)": lambda world, given: world.logs.find_or_insert(_ROW, [given]),
    "Manager.batch_insert(rows)": lambda world, given: world.logs.batch_insert([{given: "x"}]),
    "Manager.batch_insert(conflict_columns)": lambda world, given: world.logs.batch_insert(
        [_ROW], on_conflict="ignore", conflict_columns=[given]
    ),
    "Manager.batch_insert(update_columns)": lambda world, given: world.logs.batch_insert(
        [_ROW], on_conflict="update", conflict_columns=["id"], update_columns=[given]
    ),
    "Manager.batch_insert(on_conflict)": lambda world, given: world.logs.batch_insert([_ROW], on_conflict=given),
    "Manager.has_many(related_table)": lambda world, given: world.users.has_many(given, "user_id", 1),
    "Manager.belongs_to(related_table)": lambda world, given: world.logs.belongs_to(given, "function_id", 1),
    "Manager.belongs_to(foreign_key)": lambda world, given: world.logs.belongs_to("functions", given, 1),
    "Manager.belongs_to(related_key)": lambda world, given: world.logs.belongs_to(
        "functions", "function_id", 1, related_key=given
    ),
    "Manager.belongs_to(select)": lambda world, given: world.logs.belongs_to(
        "functions", "function_id", 1, select=[given]
    ),
    "Manager.has_many(select)": lambda world, given: world.users.has_many("functions", "user_id", 1, select=[given]),
    "Manager.has_many(order_by)": lambda world, given: world.users.has_many("functions", "user_id", 1, order_by=given),
    "Manager.many_to_many(related_table)": lambda world, given: many_to_many(world, related_table=given),
    "Manager.many_to_many(pivot_table)": lambda world, given: many_to_many(world, pivot_table=given),
    "Manager.many_to_many(foreign_key)": lambda world, given: many_to_many(world, foreign_key=given),
    "Manager.many_to_many(related_key)": lambda world, given: many_to_many(world, related_key=given),
    "Manager.many_to_many(select)": lambda world, given: many_to_many(world, select=[given]),
    "Manager.many_to_many(order_by)": lambda world, given: many_to_many(world, order_by=given),
    "Manager.many_to_many(order_direction)": lambda world, given: many_to_many(
        world, order_by="id", order_direction=given
    ),
    "Manager.find_all(include)": lambda world, given: world.logs.find_all(include=[given]),
    "Manager.find_all(include): as a string": lambda world, given: world.logs.find_all(include=given),
    "Manager.find_one(include)": lambda world, given: world.logs.find_one(include={given: {}}),
    "Manager.get_one(include)": lambda world, given: world.logs.get_one(include=[given]),
    "Manager.get_by_id(id_column)": lambda world, given: world.logs.get_by_id("x", id_column=given),
    "FunctionInvocationManager.get_by_id(id_column)": lambda world, given: (
        world.managers.function_invocations.get_by_id("x", id_column=given)
    ),
    "Manager.paginate(include)": lambda world, given: world.logs.paginate(1, 1, include=[f"function.{given}"]),
    "Manager.paginate_after(include)": lambda world, given: world.logs.paginate_after(include=[f"{given}.function"]),
    "Manager.iterate(include)": lambda world, given: next(world.logs.iterate(include=[given])),
    "include option": lambda world, given: world.users.find_all(include={"functions": {given: 1}}),
    "include order": lambda world, given: world.users.find_all(include={"functions": {"order_by": given}}),
    "include limit": lambda world, given: world.users.find_all(include={"functions": {"limit": given}}),
    "QueryHelpers.get_internal_id_from_uuid(table)": lambda world, given: world.helpers.get_internal_id_from_uuid(
        given, uuid.uuid4()
    ),
    "QueryHelpers.get_uuid_from_internal_id(table)": lambda world, given: world.helpers.get_uuid_from_internal_id(
        given, 1
    ),
    "Entity.from_dict(data)": lambda world, given: User.from_dict({given: "x"}),
    "Entity.save(only)": lambda world, given: world.user.save(only=[given]),
    "Entity.save(only): as a string": lambda world, given: world.user.save(only=given),
    "Entity.copy_with(changes)": lambda world, given: User(email="x").copy_with(**{given: "x"}),
}


def many_to_many(world: World, **changes: Any) -> Any:
    arguments = {
        "related_table": "users",
        "pivot_table": "organization_members",
        "foreign_key": "organization_id",
        "related_key": "user_id",
        "parent_id": world.organization.uuid,
    }
    return world.managers.organizations.many_to_many(**{**arguments, **changes})


REAL_NAMES = frozenset(
    name
    for model in ALL_MODELS
    for name in (
        *(model._meta.table_name, *model._meta.columns, *model._meta.fields, *vars(model)),
        *("limit", "order_by", "order_direction", "ignore", "update", "ASC", "DESC", "asc", "desc"),
    )
)
for _name, _call in _NAMES_OF_WRITES.items():
    DOORS.append(Door((_name,), _call, (), never, passes_over=REAL_NAMES))

# What was applied is looked up first.
_MIGRATIONS = tuple(sorted(script.stem for script in Path(migrations.__path__[0]).glob("0*.py")))
DOORS.append(
    Door(
        ("Database.migrate(target)",),
        lambda world, given: world.database.migrate(given),
        _MIGRATIONS,
        one_of(*_MIGRATIONS),
        lambda *_: [],
        sends_first=True,
    )
)

DIRECTIONS: dict[str, Call] = {
    "find_all": lambda world, given: world.logs.find_all(order_by="id", order_direction=given),
    "get_one": lambda world, given: world.logs.get_one(order_by="id", order_direction=given),
    "find_one": lambda world, given: world.logs.find_one(order_by="id", order_direction=given),
    "paginate": lambda world, given: world.logs.paginate(1, 1, order_by="id", order_direction=given),
    "paginate_after": lambda world, given: world.logs.paginate_after(None, 1, order_by="id", order_direction=given),
    "find_by_text": lambda world, given: world.logs.find_by_text("zebra", order_by="id", order_direction=given),
    "has_many": lambda world, given: world.users.has_many(
        "functions", "user_id", 1, order_by="id", order_direction=given
    ),
    "join_query": lambda world, given: world.functions.join_query(
        "users u", "functions.user_id = u.id", order_by="functions.id", order_direction=given
    ),
}
for _name, _call in DIRECTIONS.items():
    DOORS.append(Door((f"Manager.{_name}(order_direction)",), _call, ("ASC", "DESC", "desc"), DIRECTION))


@DOORS.door("order_by pairs: direction", harmless=("ASC", "DESC"), accepts=DIRECTION)
def _(world: World, given: str) -> Any:
    world.logs.find_all(order_by=[("id", given)])


@DOORS.door("include direction", harmless=("ASC", "DESC"), accepts=DIRECTION)
def _(world: World, given: str) -> Any:
    world.users.find_all(include={"functions": {"order_by": "id", "order_direction": given, "limit": 2}})
