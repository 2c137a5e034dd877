"""Servers are asked at the same time; what fails or interrupts one ends the others, and no thread is left."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, QueryEvent, errors
from cloudpub_models.cells import at_once
from cloudpub_models.cells.at_once import Question, ask_at_once
from cloudpub_models.manager import event_loops
from tests.waiting import wait_until

WAITING = """
    SELECT COUNT(*) AS number FROM pg_locks
    WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = CURRENT_DATABASE())
"""


@pytest.fixture
def others(prepared_urls: list[str]) -> Iterator[list[Database]]:
    """Both servers, as another program has them."""
    with ExitStack() as stack:
        found = [Database(url) for url in prepared_urls[1:]]
        for each in found:
            stack.callback(each.close)
        yield found


@contextmanager
def held(server: Database) -> Iterator[None]:
    """Whoever reads the logs of a server waits."""
    with server.transaction():
        server.raw_execute("LOCK TABLE function_logs IN ACCESS EXCLUSIVE MODE")
        yield


def waiting(server: Database) -> int:
    row = server.raw_query_single(WAITING)
    assert row is not None
    return int(row["number"])


def in_a_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - told to who started it
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


CALLS: dict[str, Callable[[Managers], Any]] = {
    "count": lambda managers: managers.function_logs.count(),
    "exists": lambda managers: managers.function_logs.exists(),
    "find_all": lambda managers: managers.function_logs.find_all(order_by="timestamp", limit=3),
    "find_by_uuid": lambda managers: managers.function_logs.find_by_uuid("00000000-0000-4000-8000-000000000001"),
    "paginate_after": lambda managers: managers.function_logs.paginate_after(page_size=3).items,
    "include": lambda managers: managers.functions.find_all(include=("logs",)) and 0,
}


@pytest.mark.parametrize("name", CALLS)
def test_both_are_asked_before_one_answers(
    name: str, scattered: Managers, functions: list[Function], others: list[Database]
) -> None:
    expected = CALLS[name](scattered)
    threads = threading.active_count()
    with ExitStack() as stack:
        for other in others:
            stack.enter_context(held(other))
        thread, found = in_a_thread(lambda: CALLS[name](scattered))
        wait_until(lambda: [waiting(other) for other in others] == [1, 1])
    thread.join()
    assert found == [expected]
    assert threading.active_count() == threads


def test_they_answer_in_their_order(scattered: Managers) -> None:
    servers = scattered.cells.all_servers() * 2
    together = threading.Barrier(4, timeout=30)
    asked = [
        Question(server, lambda number=number: (together.wait(), number)[1]) for number, server in enumerate(servers)
    ]
    assert ask_at_once(asked) == [0, 1, 2, 3]


def test_one_that_fails_ends_the_others(scattered: Managers, others: list[Database]) -> None:
    slow, failing = scattered.cells.all_servers()
    threads = threading.active_count()

    ended: list[type[BaseException]] = []

    def ask() -> None:
        try:
            slow.raw_query_all("SELECT 1 FROM function_logs")
        except errors.CloudpubError as error:
            ended.append(type(error))
            raise

    def fail() -> None:
        wait_until(lambda: waiting(others[0]) == 1)
        failing.raw_query_all("SELECT 1 / 0 AS x")

    with held(others[0]):
        questions = [Question(slow, ask), Question(failing, fail)]
        with pytest.raises(errors.CloudpubError, match="division by zero") as caught:
            ask_at_once(questions)
        assert waiting(others[0]) == 0
        assert ended == [errors.QueryTimeoutError]
        assert threading.active_count() == threads
    assert caught.value.__notes__ == [f"of the server {failing.url}"]
    assert slow.raw_query_all("SELECT 1 AS one") == [{"one": 1}]


def test_an_answer_that_is_enough_ends_the_others(
    scattered: Managers, functions: list[Function], others: list[Database]
) -> None:
    first = scattered.cells.server_of(functions[0].id)
    line = scattered.function_logs.append(functions[0], "info", "x")
    slow = next(other for other in others if other.url != first.url)
    with held(slow):
        assert scattered.function_logs.exists()
        assert scattered.function_logs.find_by_uuid(line.uuid) == line
        assert waiting(slow) == 0


def test_an_interrupt_ends_all(scattered: Managers, others: list[Database]) -> None:
    scattered.function_logs.count()
    threads = threading.active_count()

    def interrupt() -> None:
        wait_until(lambda: [waiting(other) for other in others] == [1, 1])
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with ExitStack() as stack:
        for other in others:
            stack.enter_context(held(other))
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            scattered.function_logs.count()
        assert [waiting(other) for other in others] == [0, 0]
        thread.join()
        assert threading.active_count() == threads
    assert scattered.function_logs.count() == 0


def test_a_server_whose_sessions_are_ended_is_named(scattered: Managers, others: list[Database]) -> None:
    scattered.function_logs.count()

    def end() -> None:
        wait_until(lambda: waiting(others[1]) == 1)
        others[1].raw_query_all(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = CURRENT_DATABASE())"
        )

    with ExitStack() as stack:
        for other in others:
            stack.enter_context(held(other))
        thread, _ = in_a_thread(end)
        with pytest.raises(errors.ConnectionLostError) as caught:
            scattered.function_logs.count()
        thread.join()
    assert caught.value.__notes__ == [f"of the server {scattered.database.history_servers[1].url}"]
    assert scattered.function_logs.count() == 0


def test_a_transaction_on_a_server_is_read_in(scattered: Managers, functions: list[Function]) -> None:
    server = scattered.cells.server_of(functions[0].id)
    insert = "INSERT INTO function_logs (function_id, level, message) VALUES (@id, 'info', 'x')"
    with pytest.raises(ZeroDivisionError), server.transaction():
        server.raw_execute(insert, {"id": functions[0].id})
        assert scattered.function_logs.count() == 1
        raise ZeroDivisionError
    assert scattered.function_logs.count() == 0
    with scattered.database.transaction():
        assert scattered.function_logs.count() == 0


def test_what_belongs_to_a_piece_of_work_is_known_to_who_looks_on(scattered: Managers, main: Database) -> None:
    work: ContextVar[str] = ContextVar("work", default="none")
    seen: list[str] = []

    def note(query: QueryEvent) -> None:
        seen.append(work.get())

    scattered.function_logs.count()
    stop = main.on_query(note)
    token = work.set("a request")
    scattered.function_logs.count()
    work.reset(token)
    stop()
    assert seen == ["a request", "a request"]


def test_an_event_loop_is_warned_of(scattered: Managers, monkeypatch: pytest.MonkeyPatch) -> None:
    scattered.function_logs.count()
    monkeypatch.setattr(event_loops, "_warned", False)

    async def ask() -> int:
        return scattered.function_logs.count()

    with pytest.warns(RuntimeWarning, match="without an event loop"):
        assert asyncio.run(ask()) == 0


def test_a_forked_child_asks_as_well(scattered: Managers) -> None:
    scattered.function_logs.count()
    child = os.fork()
    if child == 0:
        os._exit(int(scattered.function_logs.count() != 0))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert scattered.function_logs.count() == 0


def test_one_server_takes_no_thread(
    scattered: Managers, functions: list[Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    scattered.function_logs.count()
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("expected no thread"))
    assert scattered.function_logs.count({"function_id": functions[0].id}) == 0
    assert scattered.function_logs.tail(functions[0]) == []


def test_a_server_that_does_not_even_cancel_is_not_waited_for_for_ever(
    scattered: Managers, others: list[Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    scattered.function_logs.count()
    slow, failing = scattered.cells.all_servers()
    threads = threading.active_count()
    answers = threading.Event()
    monkeypatch.setattr(at_once, "_LONGEST_SECONDS", 0.2)
    cancel = type(slow.engine).interrupt_thread

    def wait_and_cancel(self: Any, thread: Any) -> None:
        answers.wait(60)
        cancel(self, thread)

    monkeypatch.setattr(type(slow.engine), "interrupt_thread", wait_and_cancel)

    def fail() -> None:
        wait_until(lambda: waiting(others[0]) == 1)
        failing.raw_query_all("SELECT 1 / 0 AS x")

    with held(others[0]):
        questions = [Question(slow, lambda: slow.raw_query_all("SELECT 1 FROM function_logs")), Question(failing, fail)]
        with pytest.raises(errors.CloudpubError, match="division by zero"):
            ask_at_once(questions)
        assert threading.active_count() > threads
        answers.set()
        wait_until(lambda: threading.active_count() == threads)
    assert scattered.function_logs.count() == 0
