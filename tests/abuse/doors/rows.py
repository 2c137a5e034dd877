"""The managers' keys, cursors and rows: strings that are looked for, written and changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cloudpub_models import QueryBuilder, operators
from cloudpub_models.errors import CloudpubError, NotFoundError
from tests.abuse.world import World

from .accepted import (
    HARMLESS_UUIDS,
    LOG_COLUMN_NAMES,
    LOG_COLUMNS,
    TEXTS,
    VALUE,
    a_uuid,
    ids,
    matching,
    never,
    text,
)
from .door import Door, Doors
from .names import many_to_many

DOORS = Doors()


def log_line(world: World, given: str) -> dict[str, Any]:
    return {"function_id": world.function.id, "level": "written", "message": given}


@DOORS.door("Manager.find_by_id(id)", "FunctionInvocationManager.find_by_id(id)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    found = world.logs.find_by_id(given, id_column="message")
    return [] if found is None else [found.id]


@DOORS.door("Manager.find_by_id(id): integer", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.logs.find_by_id(given)


@DOORS.door(
    "Manager.find_by_uuid(uuid)",
    "FunctionInvocationManager.find_by_uuid(uuid)",
    harmless=HARMLESS_UUIDS,
    accepts=a_uuid,
    expects=lambda *_: None,
)
def _(world: World, given: str) -> Any:
    return world.logs.find_by_uuid(given) or world.users.find_by_uuid(given)


@DOORS.door(
    "Manager.get_by_uuid(uuid)",
    "FunctionInvocationManager.get_by_uuid(uuid)",
    harmless=HARMLESS_UUIDS,
    accepts=a_uuid,
    expects=lambda *_: None,
)
def _(world: World, given: str) -> Any:
    with suppress(NotFoundError):
        return world.logs.get_by_uuid(given)
    try:
        return world.users.get_by_uuid(given)
    except NotFoundError:
        return None


@DOORS.door("Manager.has_many(parent_id)", "Manager.belongs_to(foreign_key_value)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    found = world.logs.belongs_to("function_logs", "message", given, related_key="message")
    assert ids(world.logs.has_many("function_logs", "message", given)) == ([found.id] if found else [])
    return [found.id] if found else []


@DOORS.door("Manager.many_to_many(parent_id)", harmless=HARMLESS_UUIDS, accepts=a_uuid, expects=lambda *_: [])
def _(world: World, given: str) -> Any:
    return many_to_many(world, parent_id=given)


@DOORS.door("Manager.paginate_after(order_by)", harmless=LOG_COLUMN_NAMES, accepts=LOG_COLUMNS)
def _(world: World, given: str) -> Any:
    world.logs.paginate_after(None, 1, order_by=[given, "id"] if given != "id" else given)


@DOORS.door("Manager.paginate_after(cursor)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.logs.paginate_after(given)


@DOORS.door("forged cursor", harmless=TEXTS, accepts=text())
def _(world: World, given: str) -> Any:
    page = world.logs.paginate_after(world.forged_cursor([given, 0], "message"), 1000, order_by="message")
    at_least = world.logs.find_all({"message": operators.ge(given)})
    assert ids(page.items) == ids(at_least)


@DOORS.door("forged cursor: of another type", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    for values in ([given], ["x", given], [given, "0"], [[given], 0], [{given: given}, 0], {given: 0, "x": 0}, given):
        try:
            world.logs.paginate_after(world.forged_cursor(values, "message"), order_by="message")
        except CloudpubError:
            continue
        raise AssertionError(values)
    raise CloudpubError("all were refused")


DOORS.writes("Manager.insert(data): value", lambda world, given: world.logs.insert(log_line(world, given)))
DOORS.writes("Manager.batch_insert(rows): COPY", lambda world, given: world.logs.batch_insert([log_line(world, given)]))
DOORS.writes(
    "Manager.batch_insert(rows): returning",
    lambda world, given: world.logs.batch_insert([log_line(world, given)], returning=True),
)
DOORS.writes(
    "Manager.batch_insert(rows): conflict",
    lambda world, given: world.logs.batch_insert([log_line(world, given)], on_conflict="ignore"),
)
DOORS.writes(
    "Manager.upsert(data): value",
    lambda world, given: world.logs.upsert({**log_line(world, given), "id": 10**6, **world.moment}, world.key),
)
DOORS.writes(
    "Manager.find_or_insert(data): value",
    lambda world, given: world.logs.find_or_insert(
        {**log_line(world, given), "id": 10**6 + 1, **world.moment}, world.key
    ),
)
DOORS.writes(
    "build_insert",
    lambda world, given: world.database.raw_execute(
        QueryBuilder().table("function_logs").build_insert(log_line(world, given))
    ),
)


def _changes(name: str, change: Callable[[World, str, int], Any]) -> None:
    """Register a door that changes a row, one that is made for it and removed again."""

    def call(world: World, given: str) -> Any:
        row = world.logs.insert(log_line(world, "before"))
        sent = len(world.sent)
        try:
            change(world, given, row.id)
            return [row.message for row in world.logs.find_all({"level": "written"})]
        except CloudpubError:
            assert len(world.sent) == sent, "sent before it was refused"
            raise
        finally:
            world.logs.delete({"level": "written"})

    DOORS.append(Door((name,), call, TEXTS, text(), lambda _, given: [given], sends_first=True))


_changes("Manager.update(data): value", lambda world, given, key: world.logs.update({"message": given}, {"id": key}))
_changes(
    "Manager.update_by_id(data): value", lambda world, given, key: world.logs.update_by_id(key, {"message": given})
)
_changes("Manager.claim(changes): value", lambda world, given, key: world.logs.claim({"id": key}, {"message": given}))
_changes(
    "build_update",
    lambda world, given, key: world.database.raw_execute(
        QueryBuilder().table("function_logs").where("id", key).build_update({"message": given})
    ),
)


@DOORS.door(
    "Manager.update(where): value",
    "Manager.claim(where): value",
    "Manager.update_by_id(id)",
    harmless=(*TEXTS, "NULL"),
    accepts=text(),
    expects=matching,
)
def _(world: World, given: str) -> Any:
    where = {"message": given}
    found = ids(world.logs.update({"level": "info"}, where))
    assert found == ids(world.logs.claim(where, {"level": "info"}, limit=9))
    by_id = world.logs.update_by_id(given, {"level": "info"}, id_column="message")
    assert found == ([] if by_id is None else [by_id.id])
    return found


@DOORS.door(
    "Manager.delete(where): value",
    "Manager.delete_by_id(id)",
    harmless=(*TEXTS, "x" * 30),
    accepts=text(),
    expects=lambda world, given: 0,
)
def _(world: World, given: str) -> Any:
    # One line of the payload's own level, so that none of the others can be meant.
    if len(given) > 20:
        return world.logs.delete({"message": given, "level": "gone"})
    return world.logs.delete({"level": given, "message": "gone"}) + world.logs.delete_by_id(
        given + "!", id_column="message"
    )
