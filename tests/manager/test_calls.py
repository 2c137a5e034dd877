"""How many Python functions one warm call passes through on SQLite: counted, so that no clock is needed.

Each is a walk that a reader has to follow, and what makes a manager slower than the driver.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from cloudpub_models import Database, Managers, any_of


@pytest.fixture(scope="module")
def shop() -> Any:
    database = Database("sqlite:///:memory:")
    database.migrate()
    managers = Managers(database)
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    for number in range(30):
        function = managers.functions.insert({"user_id": user.id, "name": f"function {number}"})
        managers.function_logs.insert({"function_id": function.id, "level": "info", "message": "…"})
    yield managers
    database.close()


def calls(work: Callable[..., object], *arguments: object) -> int:
    """Return how many Python functions a call passes through when it has been made a few times before.

    It is the least of three, since a call may be the first of a second, or the one at which garbage is collected.
    """
    for _ in range(3):
        work(*arguments)
    return min(_calls_once(work, *arguments) for _ in range(3))


def _calls_once(work: Callable[..., object], *arguments: object) -> int:
    entered = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal entered
        entered += event == "call"

    sys.setprofile(count)
    try:
        work(*arguments)
    finally:
        sys.setprofile(None)
    return entered - 1  # the one that was called here


CALLS: dict[str, tuple[Callable[[Managers], object], int]] = {
    "find_by_id": (lambda m: m.functions.find_by_id(1), 6),
    "find_all with two conditions, order and limit": (
        lambda m: m.functions.find_all({"user_id": 1, "status": "active"}, order_by="created_at", limit=10),
        11,
    ),
    "exists": (lambda m: m.functions.exists({"user_id": 1}), 6),
    "upsert": (lambda m: m.functions.upsert({"user_id": 1, "name": "function 1"}, ["user_id", "name"]), 13),
    "upsert of a document": (
        lambda m: m.functions.upsert(
            {"user_id": 1, "name": "function 1", "analysis_result": {"a": [1]}}, ["user_id", "name"]
        ),
        18,
    ),
    "count": (lambda m: m.functions.count({"status": "active"}), 6),
    "count by a related row's column": (lambda m: m.functions.count({"user.email": "ada@example.com"}), 19),
    "count of any_of two": (lambda m: m.functions.count(any_of({"user_id": 1}, {"status": "failed"})), 16),
    "update_by_id": (lambda m: m.functions.update_by_id(1, {"status": "active"}), 13),
    "include of two relations over 30 rows": (
        lambda m: m.functions.find_all({"user_id": 1}, include=("user", "logs")),
        93,
    ),
    "raw_query_all": (
        lambda m: m.database.raw_query_all("SELECT id, name FROM functions WHERE id = @id", {"id": 1}),
        14,
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_warm_call_is_a_short_walk(shop: Managers, name: str) -> None:
    call, most = CALLS[name]
    assert calls(call, shop) <= most


def test_the_count_counts() -> None:
    assert calls(lambda: None) == 0
    assert calls(lambda: (lambda: (lambda: 1)())()) == 2
