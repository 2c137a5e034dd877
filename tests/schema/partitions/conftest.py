"""A table of lines on a real server, with a function that they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Database, Function, Managers, QueryEvent


@pytest.fixture
def backend() -> str:
    """Partitions are PostgreSQL's."""
    return "postgresql"


@pytest.fixture
def resize(managers: Managers) -> Function:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


@pytest.fixture
def lines(managers: Managers, resize: Function) -> Managers:
    """A hundred lines of the last hundred hours."""
    now = datetime.now(UTC)
    managers.function_logs.batch_insert(
        {"function_id": resize.id, "level": "info", "message": f"line {n}", "timestamp": now - timedelta(hours=n)}
        for n in range(100)
    )
    return managers


@pytest.fixture
def interrupt(database: Database, database_url: str) -> Iterator[Callable[[str], None]]:
    """Has the server end the session of ``database`` when it has run a statement that has some words in it."""
    other = Database(database_url)
    stops = []

    def interrupt(words: str) -> None:
        def end(query: QueryEvent) -> None:
            if words in query.sql and "pg_terminate" not in query.sql:
                stop()
                other.raw_query_all(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )

        stop = database.on_query(end)
        stops.append(stop)

    yield interrupt
    other.close()
