"""A function with invocations of some months, and an archive for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from cloudpub_models import Database, Function, Managers

APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def months_of_invocations(database: Database) -> None:
    """Give an empty table partitions of February and of each half of March, of what is before and of what is later."""
    table = "function_invocations"
    database.partition(table, "month", ahead=timedelta(days=1))
    limits = ["MINVALUE", "'2026-02-01'", "'2026-03-01'", "'2026-03-16'", "'2026-04-01'", "MAXVALUE"]
    with database.transaction() as connection:
        for part in database.partitions(table):
            connection.execute(f"DROP TABLE {part.name}")
        for number, (begin, end) in enumerate(pairwise(limits)):
            connection.execute(
                f"CREATE TABLE {table}_p_{number} PARTITION OF {table} FOR VALUES FROM ({begin}) TO ({end})"
            )


@pytest.fixture
def resize(managers: Managers) -> Function:
    return make_function(managers)


def make_function(managers: Managers) -> Function:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


@pytest.fixture
def invocations(managers: Managers, resize: Function) -> list[datetime]:
    """The moments of the function's invocations."""
    return invoke(managers, resize)


def invoke(managers: Managers, function: Function) -> list[datetime]:
    """Record invocations from the middle of January to the middle of April, and at borders; return their moments."""
    moments = [datetime(2026, 1, 15, tzinfo=UTC) + timedelta(hours=7 * number) for number in range(300)]
    for month in (2, 3, 4):
        border = datetime(2026, month, 1, tzinfo=UTC)
        moments += [border - timedelta(microseconds=1), border]
    managers.function_invocations.batch_insert(
        {
            "function_id": function.id,
            "status": "success" if number % 5 else "failed",
            "duration_ms": None if number % 7 == 0 else number,
            "error": None if number % 5 else f'it\'s "out"\n of memory, №{number}\t\\',
            "timestamp": moment,
        }
        for number, moment in enumerate(moments)
    )
    return sorted(moments)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "it's an archive"
