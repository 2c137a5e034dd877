"""Servers of our own to break, and processes that report what they saw."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.servers import Proxy, Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server that tests may restart and exhaust; each leaves it running."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """The URL of an empty database of the test's own, on a server that may be broken."""
    name = f"fault_{uuid.uuid4().hex[:12]}"
    server.execute(f"CREATE DATABASE {name}")
    yield server.url_at(server.port, name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


Work = Callable[..., Any]


class Workers:
    """Processes that all run one function; each sends back what it returned, or the error that ended it."""

    def __init__(self, count: int, work: Work, *arguments: Any) -> None:
        context = multiprocessing.get_context("fork")
        self._ends = []
        self.processes = []
        for number in range(count):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_report, args=(theirs, work, number, *arguments))
            process.start()
            theirs.close()
            self._ends.append(ours)
            self.processes.append(process)

    def results(self, seconds: float) -> list[Any]:
        """What each returned; an assertion for one that failed or took longer."""
        results = []
        for end, process in zip(self._ends, self.processes, strict=True):
            assert end.poll(seconds), f"process {process.pid} has not ended within {seconds} s"
            kind, value = end.recv()
            assert kind == "returned", value
            results.append(value)
            process.join(10)
        return results

    def kill(self) -> None:
        for process, end in zip(self.processes, self._ends, strict=True):
            if process.is_alive():
                process.kill()
            process.join()
            end.close()


def _report(end: Any, work: Work, *arguments: Any) -> None:
    import traceback

    try:
        message = ("returned", work(*arguments))
    except BaseException:  # noqa: BLE001 - it is what the test wants to know
        message = ("raised", traceback.format_exc())
    end.send(message)
    end.close()


@pytest.fixture
def start_workers() -> Iterator[Callable[..., Workers]]:
    """Starts processes that end with the test, whatever happens."""
    started: list[Workers] = []

    def start(count: int, work: Work, *arguments: Any) -> Workers:
        started.append(Workers(count, work, *arguments))
        return started[-1]

    yield start
    for workers in started:
        workers.kill()
