"""Lookups in many partitions read about as much as in one table: counted in pages, not in time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, operators
from tests.schema.partitions.days import DAY, today, with_days

LINES_A_DAY = 40


def fill(managers: Managers, days: int) -> Function:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    functions = [managers.functions.insert({"user_id": ada.id, "name": name}) for name in ("resize", "crop")]
    begin = today() - days * DAY
    managers.function_logs.batch_insert(
        {
            "function_id": functions[number % 2].id,
            "level": "info",
            "message": f"line {number}",
            "timestamp": begin + number * DAY / LINES_A_DAY,
        }
        for number in range(days * LINES_A_DAY)
    )
    managers.database.engine.run("VACUUM (ANALYZE) function_logs", None)
    return functions[0]


def pages(database: Database, call: Callable[[], object]) -> tuple[int, set[str]]:
    """Return how many pages of tables and indexes a call's statements read, and of which tables."""
    sent: list[Any] = []
    stop = database.on_query(sent.append)
    call()
    stop()
    read, tables = 0, set()
    for query in sent:
        if "FROM function_logs" in query.sql:
            ((plan,),) = database.engine.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query.sql}", query.parameters)
            found = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
            read += found["Shared Hit Blocks"] + found["Shared Read Blocks"]
            tables |= set(re.findall(r'"Relation Name": "(\w+)"', json.dumps(found)))
    return read, tables


@pytest.fixture
def backend() -> str:
    """Partitions are PostgreSQL's."""
    return "postgresql"


def test_lookups_in_many_partitions(managers: Managers, scale: Callable[[int, int], int]) -> None:
    days = scale(60, 367)
    database = managers.database
    resize = fill(managers, days)
    plain = {name: pages(database, lookup)[0] for name, lookup in lookups(managers, resize).items()}
    managers.functions.delete({"user_id": resize.user_id})
    managers.users.delete_by_id(resize.user_id)
    with_days(database, "function_logs", days)
    # Programs see within a minute that a table has partitions.
    database.close()
    resize = fill(managers, days)
    for name, lookup in lookups(managers, resize).items():
        read, tables = pages(database, lookup)
        assert read <= 2 * plain[name] + 4 * len(tables), name
        # Two days, today, those to come.
        assert len(tables) <= 6, name


def lookups(managers: Managers, function: Function) -> dict[str, Callable[[], object]]:
    logs = managers.function_logs
    line = logs.find_one({"timestamp": operators.lt(today() - 20 * DAY)}, order_by="-timestamp")
    assert line is not None
    return {
        "tail": lambda: logs.tail(function, 20),
        "tail, one level": lambda: logs.tail(function, 20, "info"),
        "by uuid": lambda: logs.find_by_uuid(line.uuid),
        "one day": lambda: logs.count({"timestamp": between(today() - 9 * DAY)}),
    }


def between(begin: datetime) -> Any:
    return operators.between(begin, begin + DAY - timedelta(microseconds=1))


def test_by_id_alone_in_many_partitions(
    managers: Managers, database_url: str, scale: Callable[[int, int], int]
) -> None:
    """Each of them is asked; which they are is found out once for a statement that is prepared."""
    days = scale(60, 367)
    with_days(managers.database, "function_logs", days)
    fill(managers, days)
    database = Database(database_url, prepared=True)
    logs = Managers(database).function_logs
    with database.session():
        for number in range(1, 21):
            assert logs.get_by_id(number, select=["message"]).message == f"line {number - 1}"
        ((planned, not_planned),) = database.engine.fetch(
            "SELECT custom_plans, generic_plans FROM pg_prepared_statements "
            "WHERE statement LIKE '%FROM function_logs WHERE id = $1%'",
            None,
        )
        read, tables = pages(database, lambda: logs.get_by_id(20, select=["message"]))
    assert planned <= 5
    assert not_planned >= 15
    assert tables == {part.name for part in database.partitions("function_logs")}
    assert read <= 3 * len(tables)
    database.close()


def test_by_id_where_ids_of_that_time_are_known(managers: Managers, scale: Callable[[int, int], int]) -> None:
    days = scale(60, 367)
    with_days(managers.database, "function_logs", days)
    fill(managers, days)
    logs, last = managers.function_logs, days * LINES_A_DAY
    for number in (1, LINES_A_DAY, last // 2, last):
        assert logs.get_by_id(number).message == f"line {number - 1}"
    for number in (2, LINES_A_DAY - 1, LINES_A_DAY + 1, last // 2 + 1, last - 1):
        read, tables = pages(managers.database, lambda: logs.find_by_id(number))  # noqa: B023 - called at once
        assert len(tables) <= 4
        assert read <= 4 * len(tables)


def test_a_prepared_lookup_by_uuid_knows_its_days(managers: Managers, database_url: str) -> None:
    with_days(managers.database, "function_logs", 60)
    fill(managers, 60)
    database = Database(database_url, prepared=True)
    logs = Managers(database).function_logs
    lines = logs.find_all({"timestamp": between(today() - 9 * DAY)}, order_by="timestamp")[5:-5]
    with database.session():
        for line in lines:
            assert logs.find_by_uuid(line.uuid) == line
        found = database.engine.fetch(
            "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%uuid = $1%'", None
        )
        assert found == [(5, len(lines) - 5)]
        read, tables = pages(database, lambda: logs.find_by_uuid(lines[0].uuid))
    assert len(tables) == 1
    assert read <= 4
    database.close()
