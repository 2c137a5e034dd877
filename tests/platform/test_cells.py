"""Which managers a registry gives, as its database is pointed from one place to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cloudpub_models import Database, Managers, errors
from cloudpub_models.platform.cells import ScatteredFunctions, ScatteredInvocations, ScatteredLogs
from cloudpub_models.platform.functions import FunctionManager
from cloudpub_models.platform.invocations import FunctionInvocationManager
from cloudpub_models.platform.logs import FunctionLogManager
from tests.conftest import DatabaseMaker


@pytest.fixture
def urls(postgresql_databases: DatabaseMaker, postgresql_template: str) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(postgresql_databases(postgresql_template)) for _ in range(2)]


def test_a_registry_goes_with_its_database(urls: list[str]) -> None:
    database = Database("sqlite:///:memory:")
    managers = Managers(database)
    plain = managers.function_logs
    assert type(plain) is FunctionLogManager
    assert type(managers.function_invocations) is FunctionInvocationManager

    database.initialize(urls[0], history=urls[1:])
    assert type(managers.function_logs) is ScatteredLogs
    assert type(managers.function_invocations) is ScatteredInvocations
    assert type(managers.functions) is ScatteredFunctions
    assert type(managers.unrestricted("a test").function_logs) is ScatteredLogs
    assert managers.for_model(plain.model) is managers.function_logs
    assert managers.cells.initialize() is True
    # One that was taken before does not read main's empty table in silence.
    with pytest.raises(errors.InvalidQueryError, match="names function_logs"):
        plain.count()
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    assert managers.function_logs.append(resize, "info", "x").function_id == resize.id
    assert managers.function_logs.search("x", since=resize.created_at.replace(year=2020)).items[0].message == "x"
    assert managers.function_invocations.record(resize, "success", 7).duration_ms == 7
    assert managers.function_invocations.get_function_stats(resize).total == 1

    database.initialize("sqlite:///:memory:")
    database.migrate()
    assert type(managers.function_logs) is FunctionLogManager
    assert type(managers.functions) is FunctionManager
    assert managers.function_logs.count() == 0
    database.close()


def test_servers_may_have_partitions(urls: list[str]) -> None:
    database = Database(urls[0], history=urls[1:])
    managers = Managers(database)
    managers.cells.initialize()
    (server,) = database.history_servers
    assert server.partition("function_logs", "day") != ()
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    line = managers.function_logs.append(resize, "info", "x")
    assert managers.function_logs.find_by_uuid(line.uuid) == line
    assert managers.function_logs.tail(resize) == [line]
    assert managers.function_logs.prune(line.timestamp) == 0
    assert managers.function_logs.get_by_id(line.id) == line
    database.close()
