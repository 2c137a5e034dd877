"""The servers are prepared once, and are no others; what is deleted on main goes from them too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, User, errors
from cloudpub_models.cells import cells as module
from cloudpub_models.cells.buckets import BUCKETS, first_id

Ask = Callable[[str], list[list[dict[str, Any]]]]
_COUNT = "SELECT COUNT(*) AS number FROM function_logs"


@pytest.fixture
def opened() -> Iterator[Callable[..., Managers]]:
    """Open databases, which are closed at the end."""
    with ExitStack() as stack:

        def open_one(url: str, *history: str, **options: Any) -> Managers:
            database = Database(url, history=history, **options)
            stack.callback(database.close)
            return Managers(database)

        yield open_one


Open = Callable[..., Managers]


def test_servers_are_prepared_once(urls: list[str], opened: Open) -> None:
    managers = opened(*urls)
    assert managers.cells.initialize() is True
    assert managers.cells.initialize() is False
    assert [(server.number, server.buckets) for server in managers.cells.servers()] == [(1, 512), (2, 512)]
    for number, server in enumerate(managers.database.history_servers, start=1):
        references = server.raw_query_all(
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid IN "
            "('function_logs'::regclass, 'function_invocations'::regclass)"
        )
        assert references == []
        for table in ("function_logs", "function_invocations"):
            row = server.raw_query_single(f"SELECT nextval('{table}_id_seq') AS id")
            assert row == {"id": first_id(number)}


def test_an_empty_server_is_migrated(urls: list[str], empty_postgresql_url: str, opened: Open) -> None:
    managers = opened(urls[0], empty_postgresql_url)
    managers.cells.initialize()
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    managers.function_logs.append(resize, "info", "x")
    assert managers.function_logs.count() == 1


def test_it_does_not_matter_in_which_order_servers_are_named(urls: list[str], opened: Open) -> None:
    first = opened(*urls)
    first.cells.initialize()
    second = opened(urls[0], *reversed(urls[1:]))
    for key in range(50):
        assert first.cells.server_of(key).url == second.cells.server_of(key).url


def test_an_interrupted_call_is_made_again(urls: list[str], opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    managers = opened(*urls)
    steps = ["name_server", "prepare_server", "give_buckets"]
    for step in steps:
        with monkeypatch.context() as patch:
            calls = []

            def interrupt(*_: Any, calls: list[int] = calls) -> None:
                calls.append(1)
                raise KeyboardInterrupt

            patch.setattr(module.book, step, interrupt)
            with pytest.raises(KeyboardInterrupt):
                managers.cells.initialize()
            assert calls
        with pytest.raises(errors.ConfigurationError, match="initialize"):
            managers.function_logs.count()
    assert managers.cells.initialize() is True
    assert sorted(server.buckets for server in managers.cells.servers()) == [512, 512]


def test_a_server_that_is_added_has_no_buckets(urls: list[str], opened: Open) -> None:
    opened(*urls[:2]).cells.initialize()
    managers = opened(*urls)
    with pytest.raises(errors.ConfigurationError, match="not prepared: call managers.cells.initialize"):
        managers.function_logs.count()
    assert managers.cells.initialize() is True
    assert [server.buckets for server in managers.cells.servers()] == [BUCKETS, 0]
    assert managers.function_logs.count() == 0


def test_what_was_never_prepared_is_refused(urls: list[str], opened: Open) -> None:
    managers = opened(*urls)
    for call in (managers.function_logs.count, managers.cells.servers, managers.cells.sweep):
        with pytest.raises(errors.ConfigurationError, match=r"call managers\.cells\.initialize\(\) once"):
            call()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ((1,), "all servers in history= that have rows; number 2 is missing"),
        ((1, 1), r"each server of history= once; got .*, again"),
        ((1, 0), r"each server of history= once; got .*, which is the main database"),
    ],
)
def test_other_servers_are_refused(
    named: tuple[int, ...], message: str, prepared_urls: list[str], main: Database, opened: Open
) -> None:
    managers = opened(prepared_urls[0], *[prepared_urls[number] for number in named])
    with pytest.raises(errors.ConfigurationError, match=message):
        managers.function_logs.count()


def test_a_server_of_another_platform_is_refused(
    urls: list[str], prepared_urls: list[str], main: Database, opened: Open
) -> None:
    managers = opened(urls[0], prepared_urls[1])
    with pytest.raises(errors.ConfigurationError, match="which is one of another platform"):
        managers.cells.initialize()


def test_a_server_that_has_rows_is_refused(urls: list[str], opened: Open) -> None:
    managers = opened(urls[1])
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    managers.function_logs.append(resize, "info", "x")
    with pytest.raises(errors.ConfigurationError, match="expected empty tables.*got rows in function_logs of"):
        opened(*urls).cells.initialize()


def test_no_servers_are_none(urls: list[str], opened: Open) -> None:
    managers = opened(urls[0])
    with pytest.raises(errors.ConfigurationError, match="expected the servers of history; got none"):
        managers.cells.initialize()
    assert managers.database.history_servers == ()


def test_a_program_that_does_not_know_cannot_write_to_the_empty_tables(
    prepared_urls: list[str], functions: list[Function], opened: Open
) -> None:
    managers = opened(prepared_urls[0])
    with pytest.raises(errors.CloudpubError, match="on other servers: open the database with history="):
        managers.function_logs.append(functions[0], "info", "x")
    with pytest.raises(errors.CloudpubError, match="on other servers"):
        managers.function_logs.batch_insert([{"function_id": functions[0].id, "level": "info", "message": "x"}])


@pytest.mark.parametrize("way", ["function", "owner", "sql"])
def test_what_is_deleted_is_swept(
    way: str, scattered: Managers, owner: User, functions: list[Function], prepared_urls: list[str], on_server: Ask
) -> None:
    for function in functions:
        scattered.function_logs.append(function, "info", "x")
        scattered.function_invocations.record(function, "success", 1)
    if way == "function":
        scattered.functions.delete({"id": [function.id for function in functions]})
    elif way == "owner":
        scattered.users.delete_by_id(owner.id)
    else:
        with_psql = Database(prepared_urls[0])
        with_psql.raw_execute("DELETE FROM functions")
        with_psql.close()
    assert scattered.function_logs.count() == len(functions)
    assert scattered.cells.sweep() == 2 * len(functions)
    assert scattered.function_logs.count() == scattered.function_invocations.count() == 0
    # Those of the last hour stay, since a process may not have known of them.
    for server, function in ((scattered.cells.server_of(function.id), function) for function in functions[:2]):
        server.raw_execute(
            "INSERT INTO function_logs (function_id, level, message) VALUES (@id, 'info', 'late')", {"id": function.id}
        )
    assert scattered.cells.sweep() == 2
    scattered.database.raw_execute("UPDATE cell_deletions SET deleted_at = deleted_at - INTERVAL '2 hours'")
    assert scattered.cells.sweep() == 0
    assert scattered.database.raw_query_all("SELECT id FROM cell_deletions") == []


def test_a_deletion_that_is_rolled_back_is_not_swept(scattered: Managers, functions: list[Function]) -> None:
    scattered.function_logs.append(functions[0], "info", "x")
    with pytest.raises(ZeroDivisionError), scattered.database.transaction():
        scattered.functions.delete_by_id(functions[0].id)
        raise ZeroDivisionError
    assert scattered.cells.sweep() == 0
    assert scattered.function_logs.count() == 1


def test_many_deletions_are_swept_at_once(
    scattered: Managers, functions: list[Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DELETIONS_AT_ONCE", 3)
    for function in functions:
        scattered.function_logs.append(function, "info", "x")
    scattered.functions.delete({"id": [function.id for function in functions]})
    assert scattered.cells.sweep() == len(functions)
    assert scattered.function_logs.count() == 0


def test_what_servers_have_is_told(scattered: Managers, main: Database, functions: list[Function]) -> None:
    scattered.function_logs.batch_insert(
        {"function_id": functions[number % 8].id, "level": "info", "message": "x"} for number in range(100)
    )
    for server in main.history_servers:
        server.raw_execute("ANALYZE function_logs, function_invocations")
    told = scattered.cells.servers()
    assert sum(server.rows for server in told) == 100
    assert all(server.bytes > 50_000 for server in told)
    assert scattered.cells.buckets_of(1) == list(range(512))
    assert scattered.cells.faults() == []


def test_sql_of_ones_own_goes_by_the_map(scattered: Managers, main: Database, functions: list[Function]) -> None:
    for function in functions:
        scattered.function_logs.append(function, "info", function.name)
        found = scattered.cells.on_server_of(
            function.id,
            lambda server, function=function: server.raw_query_all(
                "SELECT message FROM function_logs WHERE function_id = @id", {"id": function.id}
            ),
        )
        assert found == [{"message": function.name}]

    def add(server: Database) -> int:
        with server.transaction():
            return server.raw_execute("UPDATE function_logs SET level = 'warn'")

    assert scattered.cells.on_server_of(functions[0].id, add) == scattered.function_logs.count({"level": "warn"})
