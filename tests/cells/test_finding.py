"""What is found on several servers is what is found on one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from cloudpub_models import Database, Function, Managers, errors
from tests.cells.calls import Calls, both, named, outcome, rows_of
from tests.conftest import GROWING_TABLES


@pytest.mark.parametrize("table", GROWING_TABLES)
def test_random_calls_give_what_one_database_gives(
    table: str,
    scattered: Managers,
    single: Managers,
    functions: list[Function],
    seed: int,
    scale: Callable[[int, int], int],
) -> None:
    chance = random.Random(seed)
    several, one = both(table, scattered, single)
    rows = rows_of(table, functions, 100, chance)
    assert several.batch_insert(rows) == one.batch_insert(rows) == 100
    calls = Calls(table, functions, chance)
    for _ in range(scale(150, 5_000)):
        call = calls.finding()
        assert outcome(call, several) == outcome(call, one)


def test_rows_are_those_of_the_main_database(scattered: Managers, functions: list[Function], sent: list[str]) -> None:
    line = scattered.function_logs.append(functions[0], "info", "x")
    found = scattered.function_logs.get_by_uuid(line.uuid)
    assert found == scattered.function_logs.find_by_id(line.id) == scattered.function_logs.get_by_id(line.id) == line
    assert found.function == functions[0]  # lazily, from main
    assert scattered.function_logs.find_by_id(line.id + 1) is None
    with pytest.raises(errors.InvalidQueryError, match="names function_logs"):
        found.save()
    with pytest.raises(errors.NotFoundError, match="the id 5; there is none"):
        scattered.function_logs.get_by_id(5)


def test_rows_are_looked_for_by_words_on_all_servers(scattered: Managers, functions: list[Function]) -> None:
    for number, function in enumerate(functions):
        scattered.function_logs.append(function, "info", f"out of {'memory' if number % 2 else 'paper'} {number}")
    found = scattered.function_logs.find_by_text("memory", order_by="timestamp", page_size=3, include=("function",))
    assert [line.message[-1] for line in found.items] == ["1", "3", "5"]
    assert [line.function for line in found.items] == functions[1:6:2]
    rest = scattered.function_logs.find_by_text("memory", cursor=found.next_cursor, order_by="timestamp", page_size=3)
    assert [line.message[-1] for line in rest.items] == ["7"]
    assert rest.next_cursor is None
    one = scattered.function_logs.find_by_text("memory", {"function_id": functions[1].id}, include=("function",))
    assert [line.function for line in one.items] == [functions[1]]


@pytest.mark.parametrize(
    "call",
    [
        lambda logs: logs.find_all(order_by="message"),
        lambda logs: logs.find_all(order_by="function.name"),
        lambda logs: logs.iterate(order_by="level"),
        lambda logs: logs.paginate_after(order_by="level"),
        lambda logs: logs.paginate(1, 10, order_by="level"),
        lambda logs: logs.find_all(order_by="timestamp", select=["message"]),
        lambda logs: logs.values("message"),
        lambda logs: logs.aggregate(group_by="level"),
        lambda logs: logs.find_all({"function.name": "x"}),
        lambda logs: logs.count({"function.user.email": "x"}),
        lambda logs: logs.find_all(limit=-1),
        lambda logs: logs.find_all(offset="1"),
        lambda logs: logs.find_all({"stauts": 1}),
        lambda logs: logs.find_all({"function_id": "x"}),
        lambda logs: logs.paginate_after("?"),
        lambda logs: logs.iterate(chunk_size=0),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    call: Callable[[object], object], scattered: Managers, functions: list[Function], sent: list[str]
) -> None:
    scattered.function_logs.count()
    sent.clear()
    with pytest.raises((errors.InvalidQueryError, errors.InvalidValueError)):
        call(scattered.function_logs)
    assert sent == []


def test_what_only_several_servers_cannot_do_one_does(scattered: Managers, functions: list[Function]) -> None:
    logs, own = scattered.function_logs, {"function_id": functions[0].id}
    for message in ("b", "a"):
        logs.append(functions[0], "info", message)
    assert [line.message for line in logs.find_all(own, order_by="message")] == ["a", "b"]
    assert [line.message for line in logs.iterate(own, order_by="message")] == ["a", "b"]
    assert logs.values("message", own, order_by="message", distinct=True) == ["a", "b"]


def test_a_stream_sends_nothing_before_its_first_row_is_asked_for(
    scattered: Managers, main: Database, functions: list[Function], sent: list[str]
) -> None:
    logs = scattered.function_logs
    logs.batch_insert({"function_id": functions[n % 8].id, "level": "info", "message": str(n)} for n in range(50))
    sent.clear()
    rows = logs.iterate(order_by="id")
    assert sent == []
    assert len(named(rows)) == 50
