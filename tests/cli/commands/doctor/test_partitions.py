"""What ``cloudpub doctor`` says of partitions, and of numbers that run out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.schema.partitions import moving
from cloudpub_models.schema.partitions.journal import Journal
from cloudpub_models.schema.partitions.ranges import Range
from cloudpub_models.schema.partitions.statements import PartitionedTable
from tests.cli.conftest import Run

Found = Callable[[str], list[tuple[str, str, str]]]
DAY = timedelta(days=1)


@pytest.fixture
def database(shared_postgresql_url: str) -> Iterator[Database]:
    database = Database(shared_postgresql_url)
    yield database
    database.close()


@pytest.fixture
def found(run: Run, shared_postgresql_url: str) -> Found:
    """Level, message and advice of what is found by one check."""

    def found(check: str) -> list[tuple[str, str, str]]:
        findings = json.loads(run("doctor", "--json", "--database", shared_postgresql_url).stdout)["findings"]
        return [(each["level"], each["message"], each["advice"]) for each in findings if each["check"] == check]

    return found


def test_partitions_ahead(database: Database, found: Found) -> None:
    assert found("partitions") == []
    database.partition("function_logs", "day", ahead=2 * DAY)
    database.partition("function_invocations", "month")
    ((_, told, advice), fine) = found("partitions")
    begin = f"{database.partitions('function_logs')[-1].begin:%Y-%m-%d}"
    assert told == f"function_logs has partitions up to {begin} only: later rows go to function_logs_p_future"
    assert advice == "cloudpub partition function_logs, now and from time to time"
    assert fine[0] == "ok"
    assert fine[1].startswith("function_invocations has ")
    database.partition("function_logs")
    assert [level for level, _, _ in found("partitions")] == ["ok", "ok"]


def test_rows_for_which_there_was_no_partition(database: Database, found: Found) -> None:
    database.partition("function_logs", "day")
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    row = {"function_id": resize.id, "level": "info", "message": "m", "timestamp": datetime.now(UTC) + 20 * DAY}
    managers.function_logs.insert(row)
    ((level, told, _),) = found("partitions")
    assert (level, told.partition(":")[0]) == ("warning", "function_logs has rows in function_logs_p_future")


def test_a_check_that_was_left_behind(database: Database, found: Found) -> None:
    database.raw_execute(
        "ALTER TABLE function_logs ADD CONSTRAINT function_logs_p_check CHECK (timestamp < '2999-01-01') NOT VALID"
    )
    ((level, told, advice),) = found("partitions")
    assert (level, advice) == ("error", "cloudpub partition function_logs, again")
    assert told.startswith("cloudpub partition function_logs was interrupted: rows are refused but for (")
    assert "2999-01-01" in told


def test_a_copy_that_was_left_behind(database: Database, found: Found) -> None:
    engine, journal = database.engine, Journal(PartitionedTable("function_logs", "timestamp"), "id")
    now = datetime.now(UTC)
    with database.transaction():
        moving._make_whole(engine, journal, False)
        moving._make_copy(engine, journal)
        moving._make_partitions(engine, journal, "day", [Range(now, now + DAY)])
    ((level, told, advice),) = found("partitions")
    assert (level, advice) == ("error", "cloudpub partition function_logs, again")
    assert told.startswith("cloudpub partition function_logs was interrupted: what is changed in it is noted")
    assert database.partition("function_logs")
    assert "interrupted" not in str(found("partitions"))


def test_a_partition_that_is_half_detached(database: Database, found: Found) -> None:
    database.partition("function_logs", "day")
    part = database.partitions("function_logs")[1].name
    database.raw_execute(f"UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = '{part}'::regclass")
    told = [each for each in found("partitions") if each[0] == "warning"]
    assert told == [
        (
            "warning",
            f"{part} is half detached from function_logs: nobody sees its rows, and no other partition can be",
            f"ALTER TABLE function_logs DETACH PARTITION {part} FINALIZE;",
        )
    ]


def test_numbers_that_run_out(database: Database, found: Found) -> None:
    assert [level for level, _, _ in found("numbers")] in ([], ["ok"])
    database.raw_query_all("SELECT setval('functions_id_seq', 1900000000)")
    ((level, told, advice),) = found("numbers")
    assert (level, told) == ("warning", "functions.id (integer) has used up 88% of its numbers")
    assert advice.startswith("ALTER TABLE functions ALTER COLUMN id TYPE BIGINT;")
    # Ids that copying widens.
    database.raw_execute("ALTER TABLE function_logs ALTER COLUMN id TYPE INTEGER")
    database.raw_query_all("SELECT setval('function_logs_id_seq', 1900000000)")
    ((_, _, advice),) = [each for each in found("numbers") if each[1].startswith("function_logs.id")]
    assert advice.startswith("cloudpub partition function_logs, while others write, or ALTER TABLE")
    database.partition("function_logs", "month")
    # A wider column whose sequence is wider too has numbers enough.
    database.raw_execute("ALTER TABLE functions ALTER COLUMN id TYPE BIGINT")
    database.raw_execute("ALTER SEQUENCE functions_id_seq AS BIGINT")
    assert [level for level, _, _ in found("numbers")] == ["ok"]
