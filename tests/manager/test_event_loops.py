"""Managers that are called where an event loop runs warn once, with what to do."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import Callable

import pytest

from cloudpub_models import Managers
from cloudpub_models.manager import event_loops


@pytest.fixture(autouse=True)
def _not_warned_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loops, "_warned", False)
    # Tests of notebooks load it.
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def caught(work: Callable[[], object]) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True, action="always") as found:
        work()
    return list(found)


def test_a_call_in_a_loop_warns_once_where_it_was_made(managers: Managers) -> None:
    async def endpoint() -> None:
        managers.users.count()
        managers.users.find_by_id(1)
        list(managers.users.iterate())

    (warning,) = caught(lambda: asyncio.run(endpoint()))
    assert warning.category is RuntimeWarning
    assert "asyncio.to_thread" in str(warning.message)
    assert warning.filename == __file__
    assert caught(lambda: asyncio.run(endpoint())) == []


def test_calls_elsewhere_do_not_warn(managers: Managers) -> None:
    async def endpoint() -> None:
        await asyncio.to_thread(managers.users.count)
        thread = threading.Thread(target=managers.users.count)
        thread.start()
        thread.join()

    assert caught(managers.users.count) == []
    assert caught(lambda: asyncio.run(endpoint())) == []
    assert caught(managers.users.count) == []


def test_a_notebook_is_not_warned(managers: Managers, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cell() -> None:
        managers.users.count()

    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert caught(lambda: asyncio.run(cell())) == []


@pytest.mark.usefixtures("session_locks")
def test_what_a_service_does_when_it_starts_does_not_warn(managers: Managers) -> None:
    async def lifespan() -> None:
        managers.database.migrate()
        managers.database.ping()

    assert caught(lambda: asyncio.run(lifespan())) == []
