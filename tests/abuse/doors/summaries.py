"""Values instead of rows: those of columns, and what many rows come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudpub_models import FunctionInvocation, operators
from tests.abuse.world import World

from .accepted import DIRECTION, LOG_COLUMN_NAMES, LOG_COLUMNS, TEXTS, VALUE, always, matching, never, one_of
from .door import Call, Door, Doors
from .names import REAL_NAMES

DOORS = Doors()


@DOORS.door("Manager.values(where)", "Manager.aggregate(where)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    where = {"message": given}
    found = world.logs.values("id", where)
    assert world.logs.values(("message", "id"), where) == [(given, key) for key in found]
    assert world.logs.aggregate(where, first=operators.min("id"), rows=operators.count()) == {
        "first": found[0] if found else None,
        "rows": len(found),
    }
    return found


@DOORS.door("Manager.aggregate(having)", **VALUE, expects=matching)
def _(world: World, given: str) -> Any:
    groups = world.logs.aggregate(group_by="id", having={"text": given}, text=operators.max("message"))
    assert groups == world.logs.aggregate(group_by="id", having={"text": [given]}, text=operators.max("message"))
    assert [group["text"] for group in groups] == [given] * len(groups)
    return [group["id"] for group in groups]


@DOORS.door("Manager.aggregate(having): number", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.logs.aggregate(group_by="id", having={"rows": given}, rows=operators.count())


@DOORS.door(
    "Manager.aggregate(results)",
    harmless=TEXTS,
    accepts=always,
    expects=lambda world, given: {given: len(world.ids)},
    passes_over=REAL_NAMES,
)
def _(world: World, given: str) -> Any:
    results: dict[str, Any] = {given: operators.count()}
    assert world.logs.aggregate(group_by="function_id", having={given: operators.ge(1)}, **results) == [
        {"function_id": world.function.id, given: len(world.ids)}
    ]
    return world.logs.aggregate(**results)


_NAMES: dict[str, Call] = {
    "Manager.values(columns)": lambda world, given: world.logs.values(given, limit=1),
    "Manager.values(columns): list": lambda world, given: world.logs.values([given], limit=1, distinct=True),
    "Manager.values(order_by)": lambda world, given: world.logs.values("id", order_by=given, limit=1),
    "Manager.aggregate(group_by)": lambda world, given: world.logs.aggregate(group_by=given, rows=operators.count()),
    "operators.count(column)": lambda world, given: world.logs.aggregate(rows=operators.count(given)),
    "operators.count(column): distinct": lambda world, given: world.logs.aggregate(
        rows=operators.count(given, distinct=True)
    ),
}
for _name, _call in _NAMES.items():
    DOORS.append(
        Door(
            (_name,),
            _call,
            LOG_COLUMN_NAMES,
            LOG_COLUMNS,
            passes_over=frozenset({"-" + name for name in LOG_COLUMN_NAMES}),
        )
    )

_AGGREGATES: dict[str, Callable[[str], Any]] = {
    "sum": operators.sum,
    "avg": operators.avg,
    "min": operators.min,
    "max": operators.max,
}
assert "duration_ms" in FunctionInvocation._meta.columns
for _name, _make in _AGGREGATES.items():
    DOORS.append(
        Door(
            (f"operators.{_name}(column)",),
            lambda world, given, make=_make: world.managers.function_invocations.aggregate(worked_out=make(given)),
            ("id", "duration_ms"),
            one_of("id", "duration_ms"),
            lambda *_: {"worked_out": None},
            passes_over=REAL_NAMES - {"id", "duration_ms"},
        )
    )

_RESULTS = ("rows", "level")
_OF_RESULTS: dict[str, Call] = {
    "Manager.aggregate(having): name": lambda world, given: world.logs.aggregate(
        group_by="level", having={given: operators.is_not_null()}, rows=operators.count()
    ),
    "Manager.aggregate(order_by)": lambda world, given: world.logs.aggregate(
        group_by="level", order_by=given, rows=operators.count()
    ),
    "Manager.aggregate(order_by): pairs": lambda world, given: world.logs.aggregate(
        group_by="level", order_by=[(given, "DESC")], rows=operators.count()
    ),
}
for _name, _call in _OF_RESULTS.items():
    DOORS.append(Door((_name,), _call, _RESULTS, one_of(*_RESULTS)))

_DIRECTIONS: dict[str, Call] = {
    "Manager.values(order_direction)": lambda world, given: world.logs.values(
        "id", order_by="id", order_direction=given
    ),
    "Manager.aggregate(order_direction)": lambda world, given: world.logs.aggregate(
        group_by="level", order_direction=given, rows=operators.count()
    ),
    "Manager.aggregate(order_by): direction": lambda world, given: world.logs.aggregate(
        group_by="level", order_by=[("rows", given)], rows=operators.count()
    ),
}
for _name, _call in _DIRECTIONS.items():
    DOORS.append(Door((_name,), _call, ("ASC", "DESC", "desc"), DIRECTION))


@DOORS.door("Manager.aggregate(results): text", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    world.logs.aggregate(rows=given)


@DOORS.door("operators.increment(amount)", harmless=(), accepts=never)
def _(world: World, given: str) -> Any:
    operators.increment(given)
