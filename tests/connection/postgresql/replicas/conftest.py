"""A primary and a standby of the tests' own, which they pause, stop and cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cloudpub_models import Database
from tests.faults.servers import Server, Standby, migrated_server
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def primary() -> Iterator[Server]:
    server = migrated_server()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def shared_standby(primary: Server) -> Iterator[Standby]:
    server = Standby(primary)
    yield server
    server.remove()


@pytest.fixture
def standby(shared_standby: Standby) -> Standby:
    """A standby that has replayed everything; each test leaves it running and replaying."""
    shared_standby.wait_until_equal()
    return shared_standby


@pytest.fixture
def opened(primary: Server, standby: Standby) -> Iterator[Callable[..., Database]]:
    """Opens databases on the two that are closed afterwards."""
    databases: list[Database] = []

    def open_one(**options: Any) -> Database:
        databases.append(Database(primary.url, **{"replicas": [standby.url]} | options))
        return databases[-1]

    yield open_one
    for database in databases:
        database.close()


@contextmanager
def paused(standby: Standby) -> Iterator[None]:
    """Have a standby replay nothing in a block."""
    standby.execute("SELECT pg_wal_replay_pause()")
    wait_until(lambda: standby.execute("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])
    try:
        yield
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")
