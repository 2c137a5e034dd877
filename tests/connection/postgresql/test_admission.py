"""What is sent to a server by a map says so, in its own round trip, and is refused by an older one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloudpub_models import Database, FunctionLog, Managers, errors
from cloudpub_models.cells import book
from cloudpub_models.connection.postgresql.admission import AdmittedEngine, admitted
from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
from cloudpub_models.manager.manager import Manager
from tests.conftest import DatabaseMaker

LEVEL = {"level": "info"}
LINE: Any = {"function_id": 1, "level": "info", "message": "x"}


@pytest.fixture
def server(postgresql_databases: DatabaseMaker, postgresql_template: str) -> Iterator[Database]:
    """A server of history that was told of map 5."""
    with postgresql_databases(postgresql_template) as one, postgresql_databases(postgresql_template) as other:
        database = Database(one, history=[other])
        Managers(database).cells.initialize()
        (found,) = database.history_servers
        book.tell(found, 5)
        yield found
        database.close()


@pytest.fixture
def manager(server: Database) -> Manager[Any]:
    return Manager(FunctionLog, server)


def in_a_transaction(manager: Manager[Any], call: Callable[[], Any]) -> Any:
    with manager.database.transaction():
        return call()


READS: list[Callable[[Manager[Any]], Any]] = [
    lambda manager: manager.count(),
    lambda manager: manager.find_by_id(1),
    lambda manager: manager.find_all({"level": "info"}),
    lambda manager: list(manager.iterate()),
    lambda manager: manager.values("level"),
]
WRITES: list[Callable[[Manager[Any]], Any]] = [
    lambda manager: manager.insert(LINE),
    lambda manager: manager.update({"level": "warn"}, {"level": "info"}),
    lambda manager: manager.delete({"level": "info"}),
    lambda manager: manager.batch_insert([LINE] * 3),
    lambda manager: in_a_transaction(manager, lambda: manager.insert(LINE)),
    lambda manager: in_a_transaction(manager, manager.count),
    lambda manager: manager.database.raw_query_all("SELECT message FROM function_logs WHERE level = @level", LEVEL),
]


@pytest.mark.parametrize("call", READS + WRITES)
def test_who_goes_by_an_older_map_is_refused(call: Callable[[Manager[Any]], Any], manager: Manager[Any]) -> None:
    engine = manager.database.engine
    assert isinstance(engine, AdmittedEngine)
    with engine.under_map(4), pytest.raises(errors.OutdatedMapError, match="expected a call by map 5 .*; got one by"):
        call(manager)
    # Nothing was done, and the connections are as they were.
    assert manager.count() == 0
    for version in (5, 6):
        with engine.under_map(version):
            call(manager)
    call(manager)


@pytest.mark.parametrize("call", WRITES)
def test_a_write_is_known_of_until_it_ends(call: Callable[[Manager[Any]], Any], manager: Manager[Any]) -> None:
    server = manager.database
    with server.engine.under_map(5), server.transaction():
        call(manager)
        book.tell(server, 6)
        assert book.has_older_writers(server, 6)
    assert not book.has_older_writers(server, 6)
    with server.engine.under_map(6):
        call(manager)
    assert not book.has_older_writers(server, 6)


def test_a_read_is_not_waited_for(manager: Manager[Any]) -> None:
    server = manager.database
    manager.batch_insert([LINE] * 5)
    with server.engine.under_map(5):
        rows = manager.iterate(chunk_size=2)
        next(rows)
    book.tell(server, 6)
    assert not book.has_older_writers(server, 6)
    # It sees what it saw when it was admitted.
    manager.delete({"level": "info"})
    assert len(list(rows)) == 4


def test_it_is_one_statement(manager: Manager[Any]) -> None:
    sent: list[str] = []
    stop = manager.database.on_query(lambda query: sent.append(query.sql))
    with manager.database.engine.under_map(7):
        manager.count()
        manager.insert(LINE)
    manager.count()
    stop()
    assert sent == [
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT cells_admit(7, false); "
        "SELECT COUNT(*) AS count FROM function_logs",
        f"SELECT cells_admit(7, true); {sent[1].partition('; ')[2]}",
        "SELECT COUNT(*) AS count FROM function_logs",
    ]
    assert sent[1].partition("; ")[2].startswith("INSERT INTO function_logs")


def test_a_server_is_told_of_no_older_map(manager: Manager[Any]) -> None:
    book.tell(manager.database, 3)
    with manager.database.engine.under_map(4), pytest.raises(errors.OutdatedMapError):
        manager.count()


def test_there_is_one_engine_of_a_kind() -> None:
    assert admitted(PostgresqlEngine) is admitted(PostgresqlEngine)
