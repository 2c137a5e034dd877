"""What a call costs whose shape has not been seen before, counted in calls of Python functions, not in time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cloudpub_models import Database, Managers

Call = Callable[[Managers], object]


def calls_of(call: Call, managers: Managers) -> Counter[str]:
    """Return how often each Python function is called."""
    found: Counter[str] = Counter()

    def note(frame: Any, event: str, _argument: Any) -> None:
        if event == "call":
            found[frame.f_code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call(managers)
    finally:
        sys.setprofile(before)
    return found


def first_functions(where: Mapping[str, Any], order_by: str) -> Call:
    return lambda managers: managers.functions.find_all(where, order_by=order_by, order_direction="DESC", limit=3)


@pytest.mark.parametrize(
    ("known", "cold", "most"),
    [
        (first_functions({"name": "x"}, "id"), first_functions({"status": "x", "name": "y"}, "updated_at"), 155),
        (
            lambda managers: managers.users.count({"email": "x"}),
            lambda managers: managers.users.count({"password_hash": "x"}),
            80,
        ),
        (
            lambda managers: managers.functions.update_by_id(1, {"name": "x"}),
            lambda managers: managers.functions.update_by_id(1, {"name": "x", "status": "y"}),
            120,
        ),
    ],
    ids=["find_all", "count", "update_by_id"],
)
def test_calls_of_a_cold_shape(known: Call, cold: Call, most: int) -> None:
    database, another = (Database("sqlite:///:memory:") for _ in range(2))
    for one in (another, database):
        one.migrate()
    managers = Managers(database)
    # What the process finds out once, about tables and columns, is not a shape's.
    with another.session():
        cold(Managers(another))
    another.close()
    with database.session():
        known(managers)
        calls = calls_of(cold, managers)
        warm = calls_of(cold, managers)
    database.close()
    assert calls.total() <= most, calls
    # It was a shape that had not been seen; from then on nothing is written.
    assert calls["write"] == 1
    assert warm["write"] == 0
    assert warm.total() <= 30, warm
