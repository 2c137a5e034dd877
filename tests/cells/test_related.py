"""Functions come with their logs and invocations, which several servers have."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, operators
from tests.cells.calls import BEGIN


@pytest.fixture
def _filled(scattered: Managers, single: Managers, functions: list[Function]) -> None:
    for managers in (scattered, single):
        managers.function_logs.batch_insert(
            {
                "function_id": functions[number % 7].id,
                "level": ["info", "error"][number % 3 == 0],
                "message": str(number),
                "timestamp": BEGIN + timedelta(minutes=number),
            }
            for number in range(60)
        )
        managers.function_invocations.batch_insert(
            {"function_id": functions[number].id, "status": "success", "duration_ms": number} for number in range(5)
        )


INCLUDES: list[Any] = [
    ("logs",),
    ("logs", "invocations", "user"),
    {"logs": {"order_by": "-timestamp", "limit": 3}},
    {"logs": {"where": {"level": "error"}, "order_by": "timestamp"}, "invocations": {}},
    {
        "logs": {
            "where": {"timestamp": operators.ge(BEGIN + timedelta(minutes=30))},
            "order_by": "timestamp",
            "limit": 2,
        }
    },
]


@pytest.mark.parametrize("include", INCLUDES)
@pytest.mark.usefixtures("_filled")
def test_they_come_as_from_one_database(include: Any, scattered: Managers, single: Managers) -> None:
    def shown(managers: Managers) -> list[Any]:
        found = managers.functions.find_all(order_by="id", include=include)
        return [
            (
                function.name,
                [line.message for line in vars(function).get("logs", ())],
                [each.duration_ms for each in vars(function).get("invocations", ())],
            )
            for function in found
        ]

    assert shown(scattered) == shown(single)
    assert any(lines for _, lines, _ in shown(scattered))


@pytest.mark.usefixtures("_filled")
def test_each_server_is_asked_once(scattered: Managers, main: Database, sent: list[str]) -> None:
    scattered.function_logs.count()
    sent.clear()
    found = scattered.functions.find_all(order_by="id", include=("logs",))
    assert len(sent) == 3
    assert [line.function for line in found[0].logs] == [found[0]] * len(found[0].logs)
    (function,) = scattered.functions.find_all({"id": found[0].id}, include={"logs": {"limit": 1}})
    assert len(function.logs) == 1
    assert len(list(scattered.functions.iterate(include=("logs",)))) == 8


@pytest.mark.usefixtures("_filled")
def test_they_come_from_further_away(scattered: Managers, single: Managers) -> None:
    def shown(managers: Managers) -> Any:
        (ada,) = managers.users.find_all(include={"functions.logs": {"order_by": "timestamp", "limit": 2}})
        lines = managers.function_logs.find_all(
            order_by="timestamp", limit=9, include=("function.invocations", "function.user.functions.invocations")
        )
        return (
            {each.name: [line.message for line in each.logs] for each in ada.functions},
            [[each.duration_ms for each in line.function.invocations] for line in lines],
            [[each.duration_ms for each in other.invocations] for other in lines[0].function.user.functions],
        )

    assert shown(scattered) == shown(single)
    assert len(shown(scattered)[0]) == 8
