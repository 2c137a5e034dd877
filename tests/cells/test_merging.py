"""Rows of several servers in the order that PostgreSQL has them in."""

from __future__ import annotations

import random

import pytest

from cloudpub_models import FunctionInvocation, FunctionLog, Managers, errors
from cloudpub_models.cells.merging import require_mergeable, sort_key
from cloudpub_models.manager.arguments.order import Order
from cloudpub_models.manager.columns.table import table_of

TABLE = table_of(FunctionInvocation)


@pytest.mark.parametrize(
    "order",
    [
        (("duration_ms", "ASC"), ("id", "DESC")),
        (("duration_ms", "DESC"), ("id", "ASC")),
        (("uuid", "ASC"),),
        (("timestamp", "DESC"), ("uuid", "DESC")),
    ],
)
def test_rows_are_compared_as_postgresql_compares_them(order: Order, single: Managers, seed: int) -> None:
    chance = random.Random(seed)
    (function, *_) = single.functions.find_all(limit=1)
    durations = [None, 0, 5, -7, 2**31 - 1, 5]
    single.function_invocations.batch_insert(
        {"function_id": function.id, "status": "success", "duration_ms": chance.choice(durations)} for _ in range(60)
    )
    expected = single.function_invocations.find_all(order_by=order)
    shuffled = chance.sample(expected, len(expected))
    assert sorted(shuffled, key=sort_key(order, TABLE)) == expected


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ((("message", "ASC"),), "numbers, times or UUIDs to order rows of several servers by; got message"),
        ((("function.name", "ASC"),), "columns of the table itself to order rows of several servers by"),
    ],
)
def test_what_only_a_database_can_order_is_refused(order: Order, message: str) -> None:
    with pytest.raises(errors.InvalidQueryError, match=message):
        require_mergeable(order, table_of(FunctionLog))


def test_what_is_ordered_by_is_selected_too() -> None:
    order = (("timestamp", "ASC"), ("id", "ASC"))
    require_mergeable(order, TABLE, ["id", "timestamp", "status"])
    with pytest.raises(errors.InvalidQueryError, match="in select too; got it without timestamp: add"):
        require_mergeable(order, TABLE, ["id", "status"])
