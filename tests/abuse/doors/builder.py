"""The builder, whose text is what is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudpub_models import QueryBuilder
from tests.abuse.world import World

from .accepted import A_NAME, COLUMN, DIRECTION, ITEM, JOINABLE, NAME, OPERATOR, Accepts, form, one_of
from .door import Door, Doors

DOORS = Doors()


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
    "QueryBuilder.__init__(schema)": (lambda q, given: QueryBuilder("t", schema=given), A_NAME, "zz"),
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
    "QueryBuilder.build_insert(data)": (lambda q, given: q.build_insert({given: 1}), A_NAME, "zz"),
    "QueryBuilder.build_insert(returning)": (
        lambda q, given: q.build_insert({"a": 1}, returning=[given]),
        A_NAME,
        "zz",
    ),
    "QueryBuilder.build_update(data)": (lambda q, given: q.all_rows().build_update({given: 1}), A_NAME, "zz"),
    "QueryBuilder.build_update(returning)": (
        lambda q, given: q.all_rows().build_update({"a": 1}, returning=[given]),
        A_NAME,
        "zz",
    ),
    "QueryBuilder.build_delete(returning)": (
        lambda q, given: q.all_rows().build_delete(returning=[given]),
        A_NAME,
        "zz",
    ),
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
