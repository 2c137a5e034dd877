"""Rollups among many who write at a time, each with a snapshot of his own."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from cloudpub_models import Database, Function, Managers, User
from cloudpub_models.connection.transactions import IsolationLevel
from cloudpub_models.errors import LockNotAvailableError
from cloudpub_models.platform.rollups import counting
from tests.platform.rollups.conftest import BEGIN, Insert
from tests.schema.partitions.days import DAY, with_days
from tests.waiting import LONG_ENOUGH

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])

Total = Callable[..., int]
Execute = Callable[..., None]
HOUR = timedelta(hours=1)
ISOLATIONS = pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
INSERT = "INSERT INTO function_invocations (function_id, status, duration_ms, timestamp) VALUES (%s, 'success', 5, %s)"


class Other:
    """Another program with a transaction of its own."""

    def __init__(self, url: str, isolation: str) -> None:
        self.connection = psycopg2.connect(url, application_name="another program")
        self.connection.set_session(isolation_level=isolation)
        self.cursor = self.connection.cursor()
        self.cursor.execute("SELECT 1 FROM users")  # its snapshot

    def insert(self, function: Function, moment: datetime) -> None:
        self.cursor.execute(INSERT, (function.id, moment.replace(tzinfo=None)))

    def end(self) -> None:
        self.connection.commit()
        self.connection.close()


@pytest.fixture
def other(database_url: str) -> Iterator[Callable[[str], Other]]:
    made: list[Other] = []

    def begin(isolation: str) -> Other:
        made.append(Other(database_url, isolation))
        return made[-1]

    yield begin
    for each in made:
        each.connection.close()


def marks(managers: Managers) -> int:
    return counting.marks_of(managers.database)


@ISOLATIONS
def test_who_was_writing_is_waited_for(
    rolled: Managers, resize: Function, insert: Insert, total: Total, other: Any, isolation: str
) -> None:
    insert(0)
    writer = other(isolation)
    writer.insert(resize, BEGIN)

    def refusal() -> str:
        with pytest.raises(LockNotAvailableError) as refused:
            rolled.function_invocations.rollup(wait=0)
        return str(refused.value)

    assert f"process {writer.connection.info.backend_pid} (another program, idle in transaction) since" in refusal()
    assert counting.state_of(rolled.database).counted_until == counting.BEGINNING
    # What comes meanwhile is marked, and read, though nothing is counted.
    insert(1)
    assert (total(), marks(rolled)) == (2, 1)
    counted: list[datetime] = []
    counter = threading.Thread(
        target=lambda: counted.append(Managers(rolled.database).function_invocations.rollup(wait=LONG_ENOUGH))
    )
    counter.start()
    writer.end()
    counter.join()
    assert counted
    assert (total(), marks(rolled)) == (3, 0)


@ISOLATIONS
def test_who_begins_to_write_later_leaves_marks_whatever_he_sees(
    rolled: Managers, resize: Function, insert: Insert, total: Total, other: Any, isolation: str
) -> None:
    insert(0)
    writer = other(isolation)
    rolled.function_invocations.rollup()
    writer.insert(resize, BEGIN)
    assert total() == 1
    writer.end()
    assert (total(), marks(rolled)) == (2, 1)


def test_marks_are_appended(
    rolled: Managers, resize: Function, insert: Insert, total: Total, other: Callable[[str], Other]
) -> None:
    """A mark that is there already says nothing of a transaction that has yet to commit."""
    insert(0)
    rolled.function_invocations.rollup()
    first, second = other("READ COMMITTED"), other("READ COMMITTED")
    first.insert(resize, BEGIN)
    second.insert(resize, BEGIN)
    first.end()
    counting_until = threading.Event()

    def count() -> None:
        rolled.function_invocations.rollup(wait=LONG_ENOUGH)
        counting_until.set()

    # It waits for nobody who has seen what was announced before it began: it has to end for the second to be late.
    counter = threading.Thread(target=count)
    counter.start()
    assert total() == 2
    second.end()
    counter.join()
    assert total() == 3
    rolled.function_invocations.rollup()
    assert (total(), marks(rolled)) == (3, 0)


def test_a_mark_that_is_committed_behind_the_counting_stays(
    rolled: Managers, resize: Function, insert: Insert, total: Total, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(0)
    rolled.function_invocations.rollup()
    writer = other("READ COMMITTED")
    kind = "cloudpub_models.platform.rollups.postgresql"
    monkeypatch.setattr(f"{kind}._STILL_WRITING", "SELECT 1 AS pid WHERE '' IN @writers")
    writer.insert(resize, BEGIN)
    insert(1)
    rolled.function_invocations.rollup()
    assert total() == 2
    writer.end()
    assert (total(), marks(rolled)) == (3, 1)


@ISOLATIONS
def test_what_comes_into_a_frozen_hour_with_an_old_snapshot_is_added(
    rolled: Managers, resize: Function, insert: Insert, total: Total, other: Any, isolation: str
) -> None:
    insert(0)
    before, after = other(isolation), other(isolation)
    before.insert(resize, BEGIN)
    pruning = threading.Thread(target=lambda: rolled.function_invocations.prune(BEGIN + HOUR))
    pruning.start()
    before.end()
    pruning.join()
    assert (rolled.function_invocations.count(), total()) == (0, 2)
    after.insert(resize, BEGIN)
    after.end()
    assert (rolled.function_invocations.count(), total(), marks(rolled)) == (1, 3, 1)
    rolled.function_invocations.rollup()
    assert (total(), marks(rolled)) == (3, 0)


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_shows_what_it_has_shown(
    rolled: Managers, resize: Function, insert: Insert, total: Total, database_url: str, isolation: IsolationLevel
) -> None:
    insert(0)
    mine = Managers(Database(database_url, rollups=True))
    stats = mine.function_invocations.get_function_stats
    with mine.database.transaction(isolation=isolation):
        assert stats(resize, BEGIN).total == 1
        insert(1)
        rolled.function_invocations.rollup()
        insert(2)
        assert (stats(resize, BEGIN).total, total()) == (1, 3)
    assert stats(resize, BEGIN).total == 3
    mine.database.close()


def test_who_does_not_write_invocations_is_not_waited_for(
    rolled: Managers, ada: User, insert: Insert, other: Callable[[str], Other]
) -> None:
    insert(0)
    another = other("READ COMMITTED")
    another.cursor.execute("UPDATE users SET email = 'countess@example.com' WHERE id = %s", (ada.id,))
    another.cursor.execute("SELECT id FROM function_invocations FOR SHARE")
    rolled.function_invocations.rollup(wait=0)
    another.end()
    assert counting.state_of(rolled.database).counted_until > BEGIN


def test_truncating_empties_what_was_counted(rolled: Managers, insert: Insert, total: Total) -> None:
    insert(0)
    rolled.function_invocations.prune(BEGIN + HOUR)
    insert(60)
    rolled.function_invocations.rollup()
    rolled.database.raw_execute("TRUNCATE function_invocations")
    assert total() == 1
    rolled.function_invocations.rollup()
    assert (total(), marks(rolled)) == (1, 0)


def test_copy_leaves_a_mark_for_each_hour(rolled: Managers, resize: Function, insert: Insert, total: Total) -> None:
    insert(0)
    rolled.function_invocations.rollup()
    moments = [BEGIN + timedelta(minutes=minutes) for minutes in range(150)] + [datetime.now(UTC) + HOUR]
    rolled.function_invocations.batch_insert(
        {"function_id": resize.id, "status": "success", "timestamp": moment} for moment in moments
    )
    assert (marks(rolled), total()) == (3, 152)


@pytest.mark.usefixtures("kept_references")
def test_a_function_that_goes_in_the_middle_of_a_counting(
    rolled: Managers, resize: Function, insert: Insert, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(0)
    send = counting.send_command

    def delete_once(database: Database, sql: str, parameters: Any = None) -> int:
        monkeypatch.undo()
        touched = send(database, sql, parameters)  # by which the snapshot has been taken
        with Database(database_url).connection_context():
            elsewhere = Managers(Database(database_url))
            assert elsewhere.functions.delete_by_id(resize.id)
            elsewhere.database.close()
        return touched

    monkeypatch.setattr(counting, "send_command", delete_once)
    rolled.function_invocations.rollup()
    assert rolled.database.raw_query_all("SELECT 1 FROM function_invocation_rollups") == []


def test_behind_a_transaction_pooler(rolled: Managers, resize: Function, insert: Insert, database_url: str) -> None:
    insert(0)
    pooled = Managers(Database(database_url, transaction_pooler=True, rollups=True))
    pooled.function_invocations.rollup()
    assert pooled.function_invocations.get_function_stats(resize, BEGIN).total == 1
    assert pooled.function_invocations.prune(BEGIN + HOUR) == 1
    pooled.database.close()


def test_who_may_only_write_invocations_leaves_marks(
    rolled: Managers, resize: Function, insert: Insert, total: Total, other: Callable[[str], Other]
) -> None:
    insert(0)
    rolled.function_invocations.rollup()
    role = f"writer_{uuid4().hex}"
    rolled.database.raw_execute(f"CREATE ROLE {role}")
    try:
        rolled.database.raw_execute(f"GRANT INSERT, SELECT ON function_invocations TO {role}")
        rolled.database.raw_execute(f"GRANT USAGE ON SEQUENCE function_invocations_id_seq TO {role}")
        writer = other("READ COMMITTED")
        writer.cursor.execute(f"SET ROLE {role}")
        writer.insert(resize, BEGIN)
        writer.end()
        assert (total(), marks(rolled)) == (2, 1)
    finally:
        rolled.database.raw_execute(f"DROP OWNED BY {role}")
        rolled.database.raw_execute(f"DROP ROLE {role}")


@pytest.mark.usefixtures("plain_tables")
def test_rows_that_change_in_and_between_partitions_are_counted_again(
    managers: Managers, resize: Function, statements: Any
) -> None:
    invocations = managers.function_invocations
    begin = with_days(managers.database, "function_invocations", 4)
    invocations.enable_rollups()
    managers.database.reads_rollups = True
    rows = [
        {"function_id": resize.id, "status": "success", "duration_ms": number, "timestamp": begin + number * DAY / 6}
        for number in range(24)
    ]
    made = invocations.batch_insert(rows, returning=True)
    invocations.rollup(begin + 4 * DAY)

    def by_day() -> list[int]:
        return [day.total for day in invocations.get_daily_stats(resize, 4, until=begin + 4 * DAY - DAY / 2)]

    assert by_day() == [6, 6, 6, 6]
    invocations.update_by_id(made[0].id, {"timestamp": begin + 3 * DAY + DAY / 3})
    assert by_day() == [5, 6, 6, 7]
    invocations.batch_insert(rows[::6])
    assert by_day() == [6, 7, 7, 8]
    invocations.delete({"id": [made[7].id, made[13].id]})
    assert by_day() == [6, 6, 6, 8]
    statements.clear()
    invocations.rollup(begin + 4 * DAY)
    assert by_day() == [6, 6, 6, 8]
    assert invocations.prune(begin + 2 * DAY) == 12
    assert any("TRUNCATE" in sql for sql in statements.sql)
    assert by_day() == [6, 6, 6, 8]
    assert invocations.get_function_stats(resize, begin).total == 26


@pytest.mark.parametrize(("wait", "milliseconds"), [(0, "1"), (0.0001, "1"), (2, "2000")])
def test_not_to_wait_is_not_to_wait_for_ever(
    rolled: Managers, statements: Any, wait: float, milliseconds: str, backend: str
) -> None:
    rolled.function_invocations.rollup(wait=wait)
    limits = {parameters for sql, parameters in statements if "SET_CONFIG('lock_timeout'" in sql}
    assert limits == {(milliseconds,)}


@pytest.mark.usefixtures("plain_tables")
def test_partitions_of_other_times_are_not_planned(managers: Managers, resize: Function, statements: Any) -> None:
    invocations = managers.function_invocations
    begin = with_days(managers.database, "function_invocations", 30)
    invocations.enable_rollups()
    managers.database.reads_rollups = True
    invocations.insert({"function_id": resize.id, "status": "success", "timestamp": begin + 28 * DAY + DAY / 2})
    for call in (
        lambda: invocations.get_function_stats(resize, begin + 28 * DAY),
        lambda: invocations.get_daily_stats(resize, 2, until=begin + 29 * DAY),
        lambda: invocations.get_user_overview(resize.user_id, begin + 28 * DAY),
    ):
        call()
        statements.clear()
        call()
        ((sql, values),) = statements
        plan = managers.database.engine.fetch(f"EXPLAIN {sql}", values)
        planned = {
            name for (line,) in plan for name in re.findall(r"function_invocations_p_\w+", line) if "idx" not in name
        }
        # Those of the last two days, and of the days to come.
        assert f"function_invocations_p_{begin + 28 * DAY:%Y%m%d}" in planned
        assert len(planned) <= 6
