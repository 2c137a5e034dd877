"""A call asks those servers that may have the rows, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cloudpub_models import Database, Function, FunctionLog, Managers, QueryEvent, all_of, any_of, errors, operators
from cloudpub_models.cells import routed
from tests.cells.calls import NOBODY

LINE = {"level": "info", "message": "x"}


@pytest.fixture
def asked(main: Database) -> Callable[[Callable[[], Any]], list[str]]:
    """Which servers a call asks: the masked URLs, and ``main``, in order, each statement's."""

    def during(call: Callable[[], Any]) -> list[str]:
        urls: list[str] = []
        main.history_servers  # noqa: B018 - made on first use, and told of the listener then
        stop = main.on_query(lambda query: urls.append(_server(query)))
        call()
        stop()
        return urls

    return during


def _server(query: QueryEvent) -> str:
    return query.replica or "main"


Asked = Callable[[Callable[[], Any]], list[str]]


def test_calls_go_to_the_servers_of_the_keys_that_they_name(
    scattered: Managers, functions: list[Function], asked: Asked
) -> None:
    logs = scattered.function_logs
    logs.count()
    every = [server.url for server in scattered.cells.all_servers()]
    one, other = (next(f for f in functions if scattered.cells.server_of(f.id).url == url) for url in every)
    wheres: list[tuple[Any, list[str]]] = [
        (None, every),
        ({}, every),
        ({"level": "info"}, every),
        ({"function_id": one.id}, every[:1]),
        ({"function": other, "level": "info"}, every[1:]),
        ({"function_id": [one.id]}, every[:1]),
        ({"function_id": (one.id, other.id)}, every),
        ({"function_id": []}, every[:1]),
        ({"function_id": operators.in_([one.id])}, every),
        ({"function_id": operators.ne(one.id)}, every),
        (all_of({"level": "info"}, {"function_id": other.id}), every[1:]),
        (any_of({"function_id": one.id}, {"level": "info"}), every),
        (FunctionLog.function == one, every),
    ]
    for where, expected in wheres:
        # Several are asked at once.
        assert sorted(asked(lambda where=where: logs.count(where))) == sorted(expected), where
    # Some ask, too, whether there are partitions or an index of words.
    assert {*asked(lambda: logs.tail(one))} == {*every[:1]}
    assert {*asked(lambda: logs.search("x", function=other))} == {*every[1:]}
    assert asked(lambda: scattered.function_invocations.get_function_stats(other)) == every[1:]


def test_what_is_referred_to_is_asked_for_once_a_minute(
    scattered: Managers, functions: list[Function], asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, function = scattered.function_logs, functions[0]
    url = scattered.cells.server_of(function.id).url
    assert asked(lambda: logs.append(function, "info", "x")) == ["main", url]
    assert asked(lambda: logs.append(function, "info", "x")) == [url]
    later = routed.monotonic() + 61
    monkeypatch.setattr(routed, "monotonic", lambda: later)
    assert asked(lambda: logs.append(function, "info", "x")) == ["main", url]
    monkeypatch.setattr(routed, "_MOST_KNOWN", 3)
    for each in functions:
        logs.append(each, "info", "x")
    assert len(logs._known_keys) <= 4  # type: ignore[attr-defined]


def test_what_is_not_there_is_refused(scattered: Managers, functions: list[Function], sent: list[str]) -> None:
    logs = scattered.function_logs
    with pytest.raises(
        errors.NotFoundError, match="expected an existing function; there is none with the id 2147483647"
    ):
        logs.append(NOBODY, "info", "x")
    for call in (
        lambda: logs.insert({"function_id": NOBODY, **LINE}),
        lambda: logs.batch_insert([{"function": functions[0], **LINE}, {"function_id": NOBODY, **LINE}]),
        lambda: logs.upsert({"function_id": NOBODY, **LINE}, ["uuid"]),
        lambda: logs.find_or_insert({"function_id": NOBODY, **LINE}, ["uuid"]),
    ):
        with pytest.raises(
            errors.ForeignKeyViolationError, match="to refer to a row of functions; got 2147483647"
        ) as raised:
            call()
        assert (raised.value.table, raised.value.columns) == ("function_logs", ("function_id",))
    assert logs.count() == 0


def test_a_row_of_a_transaction_that_may_be_undone_is_not_known(
    scattered: Managers, main: Database, functions: list[Function]
) -> None:
    with pytest.raises(ZeroDivisionError), main.transaction():
        made = scattered.functions.insert({"user_id": functions[0].user_id, "name": "crop"})
        scattered.function_logs.append(made, "info", "x")
        raise ZeroDivisionError
    with pytest.raises(errors.NotFoundError):
        scattered.function_logs.append(made.id, "info", "x")
    assert scattered.function_logs.count() == 0


def test_malformed_rows_are_refused_as_anywhere(scattered: Managers, functions: list[Function]) -> None:
    for row in ("x", None, [("function_id", 1)], functions[0]):
        for call in (scattered.function_logs.insert, lambda row: scattered.function_logs.batch_insert([row])):
            with pytest.raises(errors.InvalidValueError, match="expected a dict of column name to value"):
                call(row)
    with pytest.raises(errors.NotNullViolationError):
        scattered.function_logs.insert({"level": "info", "message": "x"})
    with pytest.raises(errors.InvalidValueError, match="got the public UUID"):
        scattered.function_logs.insert({"function_id": functions[0].uuid, **LINE})


def test_all_rows_have_to_be_asked_for_where_the_database_requires_an_owner(
    prepared_urls: list[str], functions: list[Function]
) -> None:
    database = Database(prepared_urls[0], history=prepared_urls[1:], require_owner=True)
    managers = Managers(database)
    with pytest.raises(errors.UnguardedError):
        managers.function_logs.count()
    with pytest.raises(errors.UnguardedError):
        managers.function_logs.batch_insert([])
    everything = managers.unrestricted("a test")
    assert everything.function_logs.append(functions[0], "info", "x").function_id == functions[0].id
    assert everything.function_logs.count() == 1
    database.close()
