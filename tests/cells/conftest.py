"""A main database with its history on two others, prepared once and emptied after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, QueryEvent, User
from tests.conftest import GROWING_TABLES, DatabaseMaker


@pytest.fixture(scope="session")
def prepared_urls(postgresql_databases: DatabaseMaker, postgresql_template: str) -> Iterator[list[str]]:
    """The URLs of a main database and of the two servers that have its history."""
    with ExitStack() as stack:
        urls = [stack.enter_context(postgresql_databases(postgresql_template)) for _ in range(3)]
        database = Database(urls[0], history=urls[1:])
        assert Managers(database).cells.initialize()
        database.close()
        yield urls


@pytest.fixture(scope="session")
def opened_once(prepared_urls: list[str]) -> Iterator[Database]:
    database = Database(prepared_urls[0], history=prepared_urls[1:])
    yield database
    database.close()


@pytest.fixture
def main(opened_once: Database) -> Iterator[Database]:
    """The main database; two servers have the rows of logs and invocations."""
    yield opened_once
    opened_once.batch_execute(["DELETE FROM users", "DELETE FROM cell_deletions"])
    for server in opened_once.history_servers:
        server.batch_execute([f"DELETE FROM {table}" for table in GROWING_TABLES])


@pytest.fixture
def scattered(main: Database) -> Managers:
    """The managers of the main database."""
    return Managers(main)


@pytest.fixture
def owner(scattered: Managers) -> User:
    return scattered.users.insert({"email": "ada@example.com", "password_hash": "…"})


@pytest.fixture
def functions(scattered: Managers, owner: User) -> list[Function]:
    """Eight functions, of which each server has some."""
    made = [scattered.functions.insert({"user_id": owner.id, "name": f"function-{number}"}) for number in range(8)]
    assert len({scattered.cells.server_of(function.id) for function in made}) == 2
    return made


@pytest.fixture
def grace(scattered: Managers, single: Managers) -> User:
    """Another owner, on both, who has nothing yet."""
    grace = scattered.users.insert({"email": "grace@example.com", "password_hash": "…"})
    single.users.insert({"id": grace.id, "email": grace.email, "password_hash": "…"})
    return grace


@pytest.fixture
def urls(postgresql_databases: DatabaseMaker, postgresql_template: str) -> Iterator[list[str]]:
    """The URLs of a main database and of two servers, none of which has anything yet."""
    with ExitStack() as stack:
        yield [stack.enter_context(postgresql_databases(postgresql_template)) for _ in range(3)]


@pytest.fixture
def sent(main: Database) -> Iterator[list[str]]:
    """What is sent to any of the three, transactions too, as a list that grows."""
    record: list[str] = []

    def remember(query: QueryEvent) -> None:
        record.append(query.sql)

    main.history_servers  # noqa: B018 - made on first use, and told of the listener then
    stop = main.on_query(remember)
    yield record
    stop()


@pytest.fixture
def on_server(main: Database) -> Callable[[str], list[list[dict[str, Any]]]]:
    """Send a query to each of the servers and return what each gives."""
    return lambda sql: [server.raw_query_all(sql) for server in main.history_servers]


@pytest.fixture
def single(shared_postgresql_url: str, owner: User, functions: list[Function]) -> Iterator[Managers]:
    """The managers of one database that has everything, the same functions by the same ids among it."""
    database = Database(shared_postgresql_url)
    managers = Managers(database)
    managers.users.insert({"id": owner.id, "email": owner.email, "password_hash": "…"})
    managers.functions.batch_insert(
        {"id": function.id, "user_id": owner.id, "name": function.name} for function in functions
    )
    yield managers
    database.close()
