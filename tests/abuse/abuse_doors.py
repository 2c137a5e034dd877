"""Every public argument that takes a string: how it is called, what it takes, and what comes of it.

A door is opened with a string. Where ``accepts`` says no, a typed error has to come before anything is sent. Where it
says yes, nothing may be sent that was not sent for a harmless string too, and the result is what ``expects`` says.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from abuse_payloads import storable
from abuse_world import World

from cloudpub_models import Database, Function, FunctionLog, Organization, QueryBuilder, User, operators
from cloudpub_models.dto import OrganizationDto, OrganizationWithMembersDto
from cloudpub_models.errors import CloudpubError
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.models.values import uuid_to_text
from cloudpub_models.sql import SQLITE

Call = Callable[[World, str], Any]
Accepts = Callable[[str], bool]

HARMLESS_UUIDS = ("00000000-0000-4000-8000-000000000000", "urn:uuid:00000000-0000-4000-8000-000000000001")


@dataclass(frozen=True)
class Door:
    """One way for a string into the library.

    Attributes:
        covers: the public parameters that it goes through, ``Class.method(parameter)``.
        call: opens it.
        harmless: what everybody uses it for; decides what may be sent.
        accepts: whether a string is refused, said without the library's help.
        expects: the result for an accepted string; ``None`` where the harmless statements are all there is to check.
        rewrites: whether an accepted string becomes part of the text, as a checked name does; then the text is that of
            the harmless string with this one in its place, and the database may not know the name.
        sends_first: whether other statements, which a harmless string causes too, come before the string is looked at.
        writes_literals: whether Peewee writes the string into the text, as a literal.
        passes_over: real names, which mean something else for each door; other tests use them everywhere.
    """

    covers: tuple[str, ...]
    call: Call
    harmless: tuple[str, ...]
    accepts: Accepts
    expects: Callable[[World, str], Any] | None = None
    rewrites: bool = False
    sends_first: bool = False
    writes_literals: bool = False
    passes_over: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.covers[0]


class Canonical(NamedTuple):
    """Something that is compared without regard to blanks, quotes, case and what ORDER BY says anyway."""

    text: str

    @classmethod
    def of(cls, sql: str) -> Canonical:
        sql = re.sub(r" ASC(?=,|$| NULLS| LIMIT)| NULLS LAST\b", "", re.sub(r"[\"`]", "", sql), flags=re.IGNORECASE)
        return cls(re.sub(r"\s|\bas\b", "", sql.lower()))


DOORS: list[Door] = []


def door(*covers: str, **how: Any) -> Callable[[Call], Call]:
    """Register the decorated function as what opens a door."""

    def register(call: Call) -> Call:
        DOORS.append(Door(covers, call, **how))
        return call

    return register


# -- what strings are taken for


def text(longest: int = 10**9, *, empty: bool = True) -> Accepts:
    return lambda given: storable(given) and len(given) <= longest and (empty or given != "")


def never(_: str) -> bool:
    return False


def always(_: str) -> bool:
    return True


def one_of(*words: str, any_case: bool = False) -> Accepts:
    return lambda given: (given.upper() if any_case and given.isascii() else given) in words


def form(pattern: str) -> Accepts:
    return lambda given: re.fullmatch(pattern, given, re.ASCII | re.IGNORECASE) is not None


def a_uuid(given: str) -> bool:
    hexadecimal = r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
    return form(rf"(urn:uuid:)?\{{?{hexadecimal}\}}?")(given)


def a_pattern(given: str) -> bool:
    return storable(given) and (len(given) - len(given.rstrip("\\"))) % 2 == 0


NAME = r"[a-z_][a-z0-9_]{0,62}"
COLUMN = rf"\s*{NAME}\s*(\.\s*{NAME}\s*)?"
CALL = rf"\s*(count|sum|avg|min|max|lower|upper|length|abs)\s*\((\s*\*|(distinct\b)?{COLUMN})\s*\)\s*"
ITEM = rf"({COLUMN}|{CALL})"
A_NAME = form(NAME)
LOG_COLUMNS = one_of("id", "function_id", "level", "message", "timestamp", "function")
DIRECTION = one_of("ASC", "DESC", any_case=True)
JOINABLE = form(rf"\s*{NAME}(\s+(as\s+)?{NAME})?\s*")
OPERATOR = one_of("=", "!=", "<>", "<", "<=", ">", ">=", "LIKE", "ILIKE", "NOT LIKE", any_case=True)

TEXTS = ("active", "o'clock")


def matching(world: World, given: str) -> list[int]:
    return [world.ids[given]] if given in world.ids else []


def others(world: World, given: str) -> list[int]:
    return sorted(set(world.ids.values()) - set(matching(world, given)))


def ids(rows: Any) -> list[int]:
    return sorted(row.id if hasattr(row, "id") else row["id"] for row in rows)


def escaped(given: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", given)


# -- the managers: conditions

_VALUE = {"harmless": TEXTS, "accepts": text()}


@door("Manager.find_all(where)", "operators.eq(value)", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    found = ids(world.logs.find_all({"message": given}))
    assert found == ids(world.logs.find_all({"message": operators.eq(given)}))
    return found


@door("operators.in_(values)", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    found = ids(world.logs.find_all({"message": [given]}))
    assert found == ids(world.logs.find_all({"message": operators.in_([given, "no such line, ever"])}))
    return found


@door("operators.ne(value)", "operators.not_in(values)", **_VALUE, expects=others)
def _(world: World, given: str) -> Any:
    found = ids(world.logs.find_all({"message": operators.ne(given)}))
    assert found == ids(world.logs.find_all({"message": operators.not_in({given})}))
    return found


@door("operators.between(low)", "operators.between(high)", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all({"message": operators.between(given, given)}))


@door("operators.gt(value)", "operators.lt(value)", "operators.ge(value)", "operators.le(value)", **_VALUE)
def _(world: World, given: str) -> Any:
    groups = [ids(world.logs.find_all({"message": compare(given)})) for compare in (operators.lt, operators.gt)]
    at_least = ids(world.logs.find_all({"message": operators.ge(given)}))
    at_most = ids(world.logs.find_all({"message": operators.le(given)}))
    own = matching(world, given)
    assert sorted([*groups[0], *groups[1], *own]) == sorted(world.ids.values())
    assert (at_least, at_most) == (sorted([*groups[1], *own]), sorted([*groups[0], *own]))


@door("operators.like(pattern)", harmless=TEXTS, accepts=text(), expects=matching)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all({"message": operators.like(escaped(given))}))


@door("operators.not_like(pattern)", harmless=TEXTS, accepts=text(), expects=others)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all({"message": operators.not_like(escaped(given))}))


@door("operators.ilike(pattern)", harmless=TEXTS, accepts=a_pattern)
def _(world: World, given: str) -> Any:
    found = ids(world.logs.find_all({"message": operators.ilike(given)}))
    assert set(found) >= set(ids(world.logs.find_all({"message": operators.like(given)})))


@door("operators.operator_for(value)", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all({"message": operators.operator_for(given)}))


@door("operators.operator_for(symbol)", harmless=("=", "<>", "LIKE"), accepts=OPERATOR)
def _(world: World, given: str) -> Any:
    world.logs.find_all({"message": operators.operator_for("x", given)})


@door("Manager.find_all(where)", "Peewee expression", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    return ids(world.logs.find_all((FunctionLog.message == given) & FunctionLog.message.in_([given])))


@door("Peewee query", **_VALUE, expects=matching, sends_first=True)
def _(world: World, given: str) -> Any:
    with world.database.bind():
        return ids(FunctionLog.select().where(FunctionLog.message == given))


@door("JSON key", harmless=("k", "other"), accepts=storable, writes_literals=True)
def _(world: World, given: str) -> Any:
    with world.database.bind():
        found = ids(world.functions.find_all(Function.analysis_result[given] == "v"))
    expected = [world.function.id] * (given in world.function.analysis_result)
    # SQLite (3.40) compares a path's key with the JSON text as it is written, so it finds none that is escaped there.
    escaped_in_json = world.dialect is SQLITE and (re.search(r'["\x00-\x1f]', given) is not None)
    assert found == expected or (escaped_in_json and found == [])


@door("Manager.find_one(where)", "Manager.count(where)", "Manager.exists(where)", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    where = {"message": given}
    found = world.logs.find_one(where)
    assert world.logs.count(where) == (found is not None)
    assert world.logs.exists(where) is (found is not None)
    return [] if found is None else [found.id]


@door("Manager.paginate(where)", "Manager.paginate_after(where)", "Manager.iterate(where)", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    where = {"message": given}
    found = ids(world.logs.paginate(1, 5, where).items)
    assert found == ids(world.logs.paginate_after(None, 5, where).items)
    assert found == ids(world.logs.iterate(where))
    return found


@door("FunctionManager.get_functions_paginated(filters)", harmless=TEXTS, accepts=text(50), expects=lambda *_: [])
def _(world: World, given: str) -> Any:
    return ids(world.functions.get_functions_paginated(1, 5, {"status": given}).items) if given != "active" else []


# -- the managers: names


_LOG_COLUMN_NAMES = ("id", "function_id", "level", "message", "timestamp", "function")


def _refused_name(name: str, call: Call, *extra: str) -> None:
    DOORS.append(Door((f"{name}: name", *extra), call, _LOG_COLUMN_NAMES, LOG_COLUMNS))


_ROW = {"function_id": 1, "level": "info", "message": "x"}
_refused_name("Manager.find_all(where)", lambda world, given: world.logs.find_all({given: operators.is_not_null()}))
_refused_name("Manager.count(where)", lambda world, given: world.logs.count({given: None}))
_refused_name("Manager.exists(where)", lambda world, given: world.logs.exists({given: None}))
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
    "Manager.many_to_many(related_table)": lambda world, given: _many(world, related_table=given),
    "Manager.many_to_many(pivot_table)": lambda world, given: _many(world, pivot_table=given),
    "Manager.many_to_many(foreign_key)": lambda world, given: _many(world, foreign_key=given),
    "Manager.many_to_many(related_key)": lambda world, given: _many(world, related_key=given),
    "Manager.many_to_many(order_by)": lambda world, given: _many(world, order_by=given),
    "Manager.many_to_many(order_direction)": lambda world, given: _many(world, order_by="id", order_direction=given),
    "Manager.find_all(include)": lambda world, given: world.logs.find_all(include=[given]),
    "Manager.find_all(include): as a string": lambda world, given: world.logs.find_all(include=given),
    "Manager.find_one(include)": lambda world, given: world.logs.find_one(include={given: {}}),
    "Manager.paginate(include)": lambda world, given: world.logs.paginate(1, 1, include=[f"function.{given}"]),
    "Manager.paginate_after(include)": lambda world, given: world.logs.paginate_after(include=[f"{given}.function"]),
    "Manager.iterate(include)": lambda world, given: next(world.logs.iterate(include=[given])),
    "include option": lambda world, given: world.users.find_all(include={"functions": {given: 1}}),
    "include order": lambda world, given: world.users.find_all(include={"functions": {"order_by": given}}),
    "include limit": lambda world, given: world.users.find_all(include={"functions": {"limit": given}}),
    "QueryHelpers.get_internal_id_from_uuid(table)": lambda world, given: world.helpers.get_internal_id_from_uuid(
        given, uuid.uuid4()
    ),
    "Entity.from_dict(data)": lambda world, given: User.from_dict({given: "x"}),
    "Entity.copy_with(changes)": lambda world, given: User(email="x").copy_with(**{given: "x"}),
    "Database.migrate(target)": lambda world, given: world.database.migrate(given),
}


def _many(world: World, **changes: Any) -> Any:
    arguments = {
        "related_table": "users",
        "pivot_table": "organization_members",
        "foreign_key": "organization_id",
        "related_key": "user_id",
        "parent_id": world.organization.uuid,
    }
    return world.managers.organizations.many_to_many(**{**arguments, **changes})


_REAL_NAMES = frozenset(
    name
    for model in ALL_MODELS
    for name in (
        *(model._meta.table_name, *model._meta.columns, *model._meta.fields, *vars(model)),
        *("limit", "order_by", "order_direction", "ignore", "update", "ASC", "DESC", "asc", "desc", "0001_initial"),
    )
)
for _name, _call in _NAMES_OF_WRITES.items():
    DOORS.append(Door((_name,), _call, (), never, passes_over=_REAL_NAMES))

DIRECTIONS: dict[str, Call] = {
    "find_all": lambda world, given: world.logs.find_all(order_by="id", order_direction=given),
    "find_one": lambda world, given: world.logs.find_one(order_by="id", order_direction=given),
    "paginate": lambda world, given: world.logs.paginate(1, 1, order_by="id", order_direction=given),
    "paginate_after": lambda world, given: world.logs.paginate_after(None, 1, order_by="id", order_direction=given),
    "has_many": lambda world, given: world.users.has_many(
        "functions", "user_id", 1, order_by="id", order_direction=given
    ),
    "join_query": lambda world, given: world.functions.join_query(
        "users u", "functions.user_id = u.id", order_by="functions.id", order_direction=given
    ),
}
for _name, _call in DIRECTIONS.items():
    DOORS.append(Door((f"Manager.{_name}(order_direction)",), _call, ("ASC", "DESC", "desc"), DIRECTION))


@door("order_by pairs: direction", harmless=("ASC", "DESC"), accepts=DIRECTION)
def _(world: World, given: str) -> Any:
    world.logs.find_all(order_by=[("id", given)])


@door("include direction", harmless=("ASC", "DESC"), accepts=DIRECTION)
def _(world: World, given: str) -> Any:
    world.users.find_all(include={"functions": {"order_by": "id", "order_direction": given, "limit": 2}})


# -- the managers: keys and rows


@door("Manager.find_by_id(id)", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    found = world.logs.find_by_id(given, id_column="message")
    return [] if found is None else [found.id]


@door("Manager.find_by_id(id): integer", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.logs.find_by_id(given)


@door("Manager.find_by_uuid(uuid)", harmless=HARMLESS_UUIDS, accepts=a_uuid, expects=lambda *_: None)
def _(world: World, given: str) -> Any:
    return world.users.find_by_uuid(given)


@door("Manager.has_many(parent_id)", "Manager.belongs_to(foreign_key_value)", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    found = world.logs.belongs_to("function_logs", "message", given, related_key="message")
    assert ids(world.logs.has_many("function_logs", "message", given)) == ([found.id] if found else [])
    return [found.id] if found else []


@door("Manager.many_to_many(parent_id)", harmless=HARMLESS_UUIDS, accepts=a_uuid, expects=lambda *_: [])
def _(world: World, given: str) -> Any:
    return _many(world, parent_id=given)


@door("Manager.paginate_after(order_by)", harmless=_LOG_COLUMN_NAMES, accepts=LOG_COLUMNS)
def _(world: World, given: str) -> Any:
    world.logs.paginate_after(None, 1, order_by=[given, "id"] if given != "id" else given)


@door("Manager.paginate_after(cursor)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.logs.paginate_after(given)


@door("forged cursor", harmless=TEXTS, accepts=text())
def _(world: World, given: str) -> Any:
    page = world.logs.paginate_after(world.forged_cursor([given, 0], "message"), 1000, order_by="message")
    at_least = world.logs.find_all({"message": operators.ge(given)})
    assert ids(page.items) == ids(at_least)


@door("forged cursor: of another type", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    for values in ([given], ["x", given], [given, "0"], [[given], 0], [{given: given}, 0], {given: 0, "x": 0}, given):
        try:
            world.logs.paginate_after(world.forged_cursor(values, "message"), order_by="message")
        except CloudpubError:
            continue
        raise AssertionError(values)
    raise CloudpubError("all were refused")


def _writes(name: str, write: Callable[[World, str], Any], **how: Any) -> None:
    """Register a door that writes: what was written is read back and removed again."""

    def call(world: World, given: str) -> Any:
        write(world, given)
        found = [row.message for row in world.logs.find_all({"level": "written"})]
        world.logs.delete({"level": "written"})
        return found

    DOORS.append(Door((name,), call, TEXTS, text(), lambda _, given: [given], **how))


def _row(world: World, given: str) -> dict[str, Any]:
    return {"function_id": world.function.id, "level": "written", "message": given}


_writes("Manager.insert(data): value", lambda world, given: world.logs.insert(_row(world, given)))
_writes("Manager.batch_insert(rows): COPY", lambda world, given: world.logs.batch_insert([_row(world, given)]))
_writes(
    "Manager.batch_insert(rows): returning",
    lambda world, given: world.logs.batch_insert([_row(world, given)], returning=True),
)
_writes(
    "Manager.batch_insert(rows): conflict",
    lambda world, given: world.logs.batch_insert([_row(world, given)], on_conflict="ignore"),
)
_writes(
    "Manager.upsert(data): value",
    lambda world, given: world.logs.upsert({**_row(world, given), "id": 10**6}, ["id"]),
)
_writes(
    "Manager.find_or_insert(data): value",
    lambda world, given: world.logs.find_or_insert({**_row(world, given), "id": 10**6 + 1}, ["id"]),
)
_writes(
    "build_insert",
    lambda world, given: world.database.raw_execute(
        QueryBuilder().table("function_logs").build_insert(_row(world, given))
    ),
)


def _changes(name: str, change: Callable[[World, str, int], Any]) -> None:
    """Register a door that changes a row, one that is made for it and removed again."""

    def call(world: World, given: str) -> Any:
        row = world.logs.insert(_row(world, "before"))
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


@door(
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


@door(
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


# -- joins, builder queries, raw SQL's parameters


def _join(world: World, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "join_table": "users u",
        "join_condition": "functions.user_id = u.id",
        "select": ["functions.id AS id"],
    }
    return world.functions.join_query(**{**arguments, **changes})


@door(
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


@door(
    "QueryBuilder.where(value)",
    "QueryBuilder.or_where(value)",
    "QueryBuilder.where_in(values)",
    **_VALUE,
    expects=matching,
)
def _(world: World, given: str) -> Any:
    found = _execute(world, world.logs.query().where("message", given))
    assert found == _execute(world, world.logs.query().where("id", -1).or_where("message", given))
    assert found == _execute(world, world.logs.query().where_in("message", [given]))
    return found


@door(
    "QueryBuilder.where_between(low)",
    "QueryBuilder.where_between(high)",
    "QueryBuilder.where_group(fn)",
    **_VALUE,
    expects=matching,
)
def _(world: World, given: str) -> Any:
    return _execute(
        world,
        world.logs.query()
        .where_between("message", given, given)
        .where_group(lambda group: group.where("message", given)),
    )


@door("QueryBuilder.where_not_in(values)", **_VALUE, expects=others)
def _(world: World, given: str) -> Any:
    return _execute(world, world.logs.query().where_not_in("message", [given]))


@door("QueryBuilder.where_raw(parameters)", "QueryBuilder.having(parameters)", **_VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    query = world.logs.query().where_raw("message = @text", {"text": given})
    grouped = query.group_by("id").having("MAX(message) = @same", {"same": given})
    found = _execute(world, query)
    assert found == _execute(world, grouped)
    return found


@door(
    "Database.raw_query_all(parameters)",
    "Database.raw_query_single(parameters)",
    "Database.raw_query_iter(parameters)",
    "Connection.execute(parameters)",
    "Manager.raw(parameters)",
    **_VALUE,
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


@door(
    "Database.raw_execute(parameters)", "Database.batch_execute(statements): parameters", **_VALUE, expects=lambda *_: 0
)
def _(world: World, given: str) -> Any:
    sql = "UPDATE function_logs SET message = @text WHERE message = @text AND id = -1"
    (count,) = world.database.batch_execute([(sql, {"text": given})])
    return count + world.database.raw_execute(sql, {"text": given})


@door("raw parameter names", "QueryBuilder.where_raw(parameters): name", harmless=(), accepts=never)
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


# -- the builder, whose text is what is sent


def _built(world: World, build: Callable[[QueryBuilder], Any]) -> None:
    statement = build(QueryBuilder().table("t"))
    if isinstance(statement, QueryBuilder):
        statement = statement.build_select(world.dialect)
    world.sent.append(str(statement.render(world.dialect)))


_BUILDER: dict[str, tuple[Callable[[QueryBuilder, str], Any], Accepts, str]] = {
    "QueryBuilder.__init__(table)": (lambda q, given: QueryBuilder(given), JOINABLE, "t"),
    "QueryBuilder.__init__(alias)": (lambda q, given: QueryBuilder("t", alias=given), A_NAME, "zz"),
    "QueryBuilder.__init__(default_columns)": (
        lambda q, given: QueryBuilder("t", default_columns=[given]),
        A_NAME,
        "zz",
    ),
    "QueryBuilder.table(table)": (lambda q, given: q.table(given), JOINABLE, "t"),
    "QueryBuilder.select(items)": (
        lambda q, given: q.select(given),
        form(rf"\s*\*\s*|{ITEM}(as\s+{NAME}\s*)?|\s*{NAME}\s*\.\s*\*\s*"),
        "zz",
    ),
    "QueryBuilder.where(column)": (lambda q, given: q.where(given, 1), form(COLUMN), "zz"),
    "QueryBuilder.or_where(column)": (lambda q, given: q.or_where(given, 1), form(COLUMN), "zz"),
    "QueryBuilder.where_in(column)": (lambda q, given: q.where_in(given, [1]), form(COLUMN), "zz"),
    "QueryBuilder.where_not_in(column)": (lambda q, given: q.where_not_in(given, [1]), form(COLUMN), "zz"),
    "QueryBuilder.where_null(column)": (lambda q, given: q.where_null(given), form(COLUMN), "zz"),
    "QueryBuilder.where_not_null(column)": (lambda q, given: q.where_not_null(given), form(COLUMN), "zz"),
    "QueryBuilder.where_between(column)": (lambda q, given: q.where_between(given, 1, 2), form(COLUMN), "zz"),
    "QueryBuilder.group_by(items)": (lambda q, given: q.group_by(given), form(rf"{ITEM}(,{ITEM})*"), "zz"),
    "QueryBuilder.order_by(column)": (lambda q, given: q.order_by(given), form(rf"{ITEM}(,{ITEM})*"), "zz"),
    "QueryBuilder.having(condition)": (
        lambda q, given: q.having(given),
        form(rf"{ITEM}(=|!=|<>|<|<=|>|>=)\s*-?\s*\d{{1,40}}(\.\d+)?\s*"),
        "zz > 1",
    ),
    "QueryBuilder.join(first)": (lambda q, given: q.join("u", given, "b"), form(COLUMN), "zz"),
    "QueryBuilder.join(second)": (lambda q, given: q.join("u", "a", given), form(COLUMN), "zz"),
    "QueryBuilder.left_join(first)": (lambda q, given: q.left_join("u", given, "b"), form(COLUMN), "zz"),
    "QueryBuilder.left_join(second)": (lambda q, given: q.left_join("u", "a", given), form(COLUMN), "zz"),
    "QueryBuilder.right_join(first)": (lambda q, given: q.right_join("u", given, "b"), form(COLUMN), "zz"),
    "QueryBuilder.right_join(second)": (lambda q, given: q.right_join("u", "a", given), form(COLUMN), "zz"),
    "QueryBuilder.full_join(first)": (lambda q, given: q.full_join("u", given, "b"), form(COLUMN), "zz"),
    "QueryBuilder.full_join(second)": (lambda q, given: q.full_join("u", "a", given), form(COLUMN), "zz"),
    "QueryBuilder.join(table)": (lambda q, given: q.join(given, "a", "b"), JOINABLE, "zz"),
    "QueryBuilder.left_join(table)": (lambda q, given: q.left_join(given, "a", "b"), JOINABLE, "zz"),
    "QueryBuilder.right_join(table)": (lambda q, given: q.right_join(given, "a", "b"), JOINABLE, "zz"),
    "QueryBuilder.full_join(table)": (lambda q, given: q.full_join(given, "a", "b"), JOINABLE, "zz"),
    "QueryBuilder.join_on(table)": (lambda q, given: q.join_on(given, "a = b"), JOINABLE, "zz"),
    "QueryBuilder.join_on(condition)": (
        lambda q, given: q.join_on("u", given),
        form(rf"{COLUMN}={COLUMN}(and\b{COLUMN}={COLUMN})*"),
        "zz = a",
    ),
    "Buildable.build_insert(data)": (lambda q, given: q.build_insert({given: 1}), A_NAME, "zz"),
    "Buildable.build_insert(returning)": (lambda q, given: q.build_insert({"a": 1}, returning=[given]), A_NAME, "zz"),
    "Buildable.build_update(data)": (lambda q, given: q.all_rows().build_update({given: 1}), A_NAME, "zz"),
    "Buildable.build_update(returning)": (
        lambda q, given: q.all_rows().build_update({"a": 1}, returning=[given]),
        A_NAME,
        "zz",
    ),
    "Buildable.build_delete(returning)": (lambda q, given: q.all_rows().build_delete(returning=[given]), A_NAME, "zz"),
    "Manager.query(alias)": (lambda q, given: QueryBuilder("t", alias=given).select(f"{given}.id"), A_NAME, "zz"),
}
for _name, (_build, _accepts, _harmless) in _BUILDER.items():
    DOORS.append(
        Door(
            (_name,),
            lambda world, given, build=_build: _built(world, lambda query: build(query, given)),
            (_harmless,),
            _accepts,
            rewrites=True,
        )
    )

_BUILDER_WORDS: dict[str, tuple[Callable[[QueryBuilder, str], Any], Accepts, tuple[str, ...]]] = {
    "QueryBuilder.where(operator)": (lambda q, given: q.where("id", "x", given), OPERATOR, ("=", "<", "NOT LIKE")),
    "QueryBuilder.or_where(operator)": (lambda q, given: q.or_where("id", "x", given), OPERATOR, ("=", "<>")),
    "QueryBuilder.join(type)": (
        lambda q, given: q.join("u", "a", "b", given),
        one_of("INNER", "LEFT", "RIGHT", "FULL", any_case=True),
        ("INNER", "full"),
    ),
    "QueryBuilder.join_on(type)": (
        lambda q, given: q.join_on("u", "a = b", given),
        one_of("INNER", "LEFT", "RIGHT", "FULL", any_case=True),
        ("LEFT",),
    ),
    "QueryBuilder.order_by(direction)": (lambda q, given: q.order_by("id", given), DIRECTION, ("ASC", "desc")),
    "QueryBuilder.order_by(nulls)": (
        lambda q, given: q.order_by("id", nulls=given),
        one_of("FIRST", "LAST", any_case=True),
        ("FIRST", "last"),
    ),
}
for _name, (_build, _accepts, _words) in _BUILDER_WORDS.items():
    DOORS.append(
        Door(
            (_name,),
            lambda world, given, build=_build: _built(world, lambda query: build(query, given)),
            _words,
            _accepts,
        )
    )


# -- domain operations


def _in_vain(name: str, call: Call, accepts: Accepts, harmless: tuple[str, ...] = TEXTS, result: Any = None) -> None:
    """Register a door for a string that nothing in the database answers to."""
    DOORS.append(Door((name,), call, harmless, accepts, lambda *_: result))


_in_vain(
    "UserManager.find_by_email(email)",
    lambda world, given: world.users.find_by_email(given),
    text(255),
    (*TEXTS, "zoë@example.com"),
)
for _method, _result in (
    ("get_user_complete(user_uuid)", None),
    ("get_user_with_information(user_uuid)", None),
    ("get_user_with_organization(user_uuid)", None),
    ("get_users_by_organization(organization)", []),
):
    _in_vain(
        f"UserManager.{_method}",
        lambda world, given, method=_method: getattr(world.users, method.partition("(")[0])(given),
        a_uuid,
        HARMLESS_UUIDS,
        _result,
    )
_in_vain(
    "UserManager.get_all_users_with_information(role)",
    lambda world, given: world.users.get_all_users_with_information(given),
    one_of("developer", "team"),
    ("developer", "team"),
    [],
)
for _method, _result in (
    ("get_organization_with_members(organization)", None),
    ("get_user_organization(user)", None),
    ("is_user_in_organization(user)", False),
    ("get_organization_member_count(organization)", 0),
    ("remove_user_from_organization(user)", False),
):
    _in_vain(
        f"OrganizationManager.{_method}",
        lambda world, given, method=_method: getattr(world.managers.organizations, method.partition("(")[0])(given),
        a_uuid,
        HARMLESS_UUIDS,
        _result,
    )
_in_vain(
    "OrganizationManager.is_user_in_organization(organization)",
    lambda world, given: world.managers.organizations.is_user_in_organization(world.user, given),
    a_uuid,
    HARMLESS_UUIDS,
    False,
)
_in_vain(
    "OrganizationManager.remove_user_from_organization(organization)",
    lambda world, given: world.managers.organizations.remove_user_from_organization(world.user, given),
    a_uuid,
    HARMLESS_UUIDS,
    False,
)
# A well-formed key of nobody is a NotFoundError, so these have no string that is taken.
for _name, _call in {
    "OrganizationManager.create(owner)": lambda world, given: world.managers.organizations.create("x", given),
    "OrganizationManager.add_user_to_organization(user)": lambda world, given: (
        world.managers.organizations.add_user_to_organization(given, world.organization)
    ),
    "OrganizationManager.add_user_to_organization(organization)": lambda world, given: (
        world.managers.organizations.add_user_to_organization(world.other, given)
    ),
    "OrganizationManager.transfer_ownership(organization)": lambda world, given: (
        world.managers.organizations.transfer_ownership(given, world.user)
    ),
    "OrganizationManager.transfer_ownership(new_owner)": lambda world, given: (
        world.managers.organizations.transfer_ownership(world.organization, given)
    ),
    "FunctionDeploymentManager.deploy(function)": lambda world, given: world.managers.function_deployments.deploy(
        given, "x", "x"
    ),
    "FunctionDeploymentManager.activate(deployment)": lambda world, given: world.managers.function_deployments.activate(
        given
    ),
    "FunctionDeploymentManager.rollback(function)": lambda world, given: world.managers.function_deployments.rollback(
        given
    ),
    "FunctionDeploymentManager.history(function)": lambda world, given: world.managers.function_deployments.history(
        given
    ),
    "FunctionLogManager.append(function)": lambda world, given: world.logs.append(given, "x", "x"),
    "FunctionLogManager.tail(function)": lambda world, given: world.logs.tail(given),
    "FunctionLogManager.prune(older_than)": lambda world, given: world.logs.prune(given),
    "FunctionInvocationManager.prune(older_than)": lambda world, given: world.managers.function_invocations.prune(
        given
    ),
    "FunctionManager.search(user)": lambda world, given: world.functions.search("x", user=given),
    "FunctionInvocationManager.record(function)": lambda world, given: world.managers.function_invocations.record(
        given, "x", 1
    ),
    "FunctionInvocationManager.get_function_stats(function_id)": lambda world, given: (
        world.managers.function_invocations.get_function_stats(given)
    ),
    "FunctionInvocationManager.get_function_stats(since)": lambda world, given: (
        world.managers.function_invocations.get_function_stats(1, given)
    ),
    "FunctionInvocationManager.get_hourly_stats(function_id)": lambda world, given: (
        world.managers.function_invocations.get_hourly_stats(given)
    ),
    "FunctionInvocationManager.get_daily_stats(function_id)": lambda world, given: (
        world.managers.function_invocations.get_daily_stats(given)
    ),
    "FunctionInvocationManager.get_user_overview(user)": lambda world, given: (
        world.managers.function_invocations.get_user_overview(given)
    ),
    "FunctionInvocationManager.get_user_overview(since)": lambda world, given: (
        world.managers.function_invocations.get_user_overview(1, given)
    ),
}.items():
    DOORS.append(Door((_name,), _call, (), never))


def _zone(given: str) -> bool:
    from zoneinfo import available_timezones

    return given in available_timezones()


for _method in ("get_hourly_stats", "get_daily_stats"):
    DOORS.append(
        Door(
            (f"FunctionInvocationManager.{_method}(timezone)",),
            lambda world, given, method=_method: getattr(world.managers.function_invocations, method)(
                world.function, 2, timezone=given
            ),
            ("Europe/Berlin", "UTC"),
            _zone,
        )
    )


@door("FunctionManager.search(text)", harmless=TEXTS, accepts=text(empty=False))
def _(world: World, given: str) -> Any:
    found = [row.name for row in world.functions.search(given)]
    # Letter by letter, as the databases do it: "İ" is an "i" to both.
    lowered = "".join([letter.lower()[0] for letter in given])
    assert found == (["resize"] if lowered in "resize" else [])


@door("FunctionManager.search(status)", harmless=TEXTS, accepts=text(50))
def _(world: World, given: str) -> Any:
    assert [row.name for row in world.functions.search("e", status=given)] == ["resize"] * (given == "active")


_in_vain(
    "FunctionManager.get_function_details(uuid)",
    lambda world, given: world.functions.get_function_details(given),
    a_uuid,
    HARMLESS_UUIDS,
)
_in_vain(
    "FunctionLogManager.tail(level)",
    lambda world, given: world.logs.tail(world.function, 5, f"{given}!"),
    text(19),
    result=[],
)
_in_vain(
    "FunctionLogManager.tail(level): list",
    lambda world, given: world.logs.tail(world.function, 5, [f"{given}!"]),
    text(19),
    result=[],
)
_writes("FunctionLogManager.append(message)", lambda world, given: world.logs.append(world.function, "written", given))


@door("FunctionLogManager.append(level)", harmless=TEXTS, accepts=text(20), expects=lambda _, given: given)
def _(world: World, given: str) -> Any:
    row = world.logs.append(world.function, given, "x")
    level = world.logs.find_by_id(row.id).level
    world.logs.delete_by_id(row.id)
    return level


_DEPLOYED = {"harmless": TEXTS, "expects": lambda _, given: given, "sends_first": True}


@door("FunctionDeploymentManager.deploy(image_tag)", accepts=text(255), **_DEPLOYED)
def _(world: World, given: str) -> Any:
    return _deployed(world, given, "key").image_tag


@door("FunctionDeploymentManager.deploy(s3_key)", accepts=text(500), **_DEPLOYED)
def _(world: World, given: str) -> Any:
    return _deployed(world, "tag", given).s3_key


def _deployed(world: World, image_tag: str, s3_key: str) -> Any:
    deployments = world.managers.function_deployments
    row = deployments.deploy(world.function, image_tag, s3_key)
    found = deployments.find_by_id(row.id)
    deployments.delete_by_id(row.id)
    return found


@door("FunctionInvocationManager.record(status)", harmless=TEXTS, accepts=text(50), expects=lambda _, given: given)
def _(world: World, given: str) -> Any:
    return _recorded(world, given, "x").status


@door("FunctionInvocationManager.record(error)", harmless=TEXTS, accepts=text(), expects=lambda _, given: given)
def _(world: World, given: str) -> Any:
    return _recorded(world, "failed", given).error


def _recorded(world: World, status: str, error: str) -> Any:
    row = world.managers.function_invocations.record(world.function, status, 1, error)
    world.managers.function_invocations.delete_by_id(row.id)
    return row


@door("OrganizationManager.create(name)", harmless=TEXTS, accepts=text(255), expects=lambda _, given: given)
def _(world: World, given: str) -> Any:
    row = world.managers.organizations.create(given, world.other)
    world.managers.organizations.delete_by_id(row.id)
    return row.name


# -- the old call style

_in_vain(
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
    _in_vain(
        f"QueryHelpers.{_method}",
        lambda world, given, method=_method: getattr(world.helpers, method.partition("(")[0])(given),
        a_uuid,
        HARMLESS_UUIDS,
        _result,
    )
_in_vain(
    "QueryHelpers.get_internal_id_from_uuid(uuid)",
    lambda world, given: world.helpers.get_internal_id_from_uuid("users", given),
    a_uuid,
    HARMLESS_UUIDS,
)
_in_vain(
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


@door("QueryHelpers.create_user(email)", harmless=TEXTS, accepts=text(255), expects=lambda _, given: given)
def _(world: World, given: str) -> Any:
    row = world.helpers.create_user(given, "hash")
    world.users.delete_by_id(row["id"])
    return row["email"]


@door("QueryHelpers.create_user(password_hash)", harmless=TEXTS, accepts=text(255), expects=lambda _, given: given)
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


# -- DTOs, transactions, databases


@door(
    "OrganizationDto.from_entity(requester_id)",
    "OrganizationWithMembersDto.from_entities(requester_id)",
    harmless=HARMLESS_UUIDS,
    accepts=a_uuid,
)
def _(world: World, given: str) -> Any:
    organization = Organization(uuid=uuid.uuid4(), name="x", owner=uuid.uuid4(), created_at=datetime.now(UTC))
    OrganizationDto.from_entity(organization, given)
    OrganizationWithMembersDto.from_entities(organization, [], given)
    assert uuid_to_text(given) != str(organization.owner_id)


@door(
    "Database.transaction(isolation)",
    "Database.run_transaction(isolation)",
    harmless=("SERIALIZABLE", "read committed"),
    accepts=one_of("SERIALIZABLE", "READ COMMITTED", "REPEATABLE READ", any_case=True),
)
def _(world: World, given: str) -> Any:
    with world.database.transaction(isolation=given):
        pass
    world.database.run_transaction(lambda connection: None, isolation=given)


@door("Database.__init__(url)", "Database.initialize(url)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    try:
        Database().initialize(given)
    except CloudpubError:
        Database(given)


@door("Database.__init__(options)", "Database.initialize(options)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    try:
        Database().initialize("sqlite:///:memory:", **{given: 1})
    except CloudpubError:
        Database("sqlite:///:memory:", statement_timeout=given)


# Where SQL is meant, and taken as it is. docs/SECURITY.md names them.
RAW_SQL = frozenset(
    (
        "raw(sql)",
        "QueryBuilder.where_raw(sql)",
        "Manager.raw(sql)",
        "Database.raw_query_all(sql)",
        "Database.raw_query_single(sql)",
        "Database.raw_query_iter(sql)",
        "Database.raw_execute(sql)",
        "Database.batch_execute(statements)",
        "Connection.execute(sql)",
    )
)
