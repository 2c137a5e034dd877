"""Counting: what it writes, what it refuses, and what becomes of hours whose rows are gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Function, Managers, User
from cloudpub_models.connection.sender import SentStatement
from cloudpub_models.errors import (
    ConfigurationError,
    ForeignKeyViolationError,
    InvalidQueryError,
    InvalidValueError,
    StorageError,
    UnguardedError,
)
from cloudpub_models.platform.rollups import counting
from tests.platform.rollups.conftest import BEGIN, Insert

Total = Callable[..., int]
HOUR = timedelta(hours=1)


def levels(managers: Managers) -> dict[int, int]:
    """How many invocations each level has."""
    rows = managers.database.raw_query_all("SELECT level, total FROM function_invocation_rollups")
    found = {0: 0, 1: 0, 2: 0}
    for row in rows:
        found[row["level"]] += row["total"]
    return found


def test_hours_days_and_months(rolled: Managers, insert: Insert, total: Total) -> None:
    for minutes in (0, 59, 60, 119, 121, 60 * 26):  # the last one in the next year
        insert(minutes)
    assert rolled.function_invocations.rollup(BEGIN + 2 * HOUR + HOUR / 2) == BEGIN + 2 * HOUR
    assert levels(rolled) == {0: 4, 1: 4, 2: 4}
    for now in (None, timedelta()):
        assert rolled.function_invocations.rollup(now, wait=0) == counting.hour_of(datetime.now(UTC))
    assert levels(rolled) == {0: 6, 1: 6, 2: 6}
    months = rolled.database.raw_query_all(
        "SELECT total FROM function_invocation_rollups WHERE level = 2 ORDER BY start"
    )
    assert [row["total"] for row in months] == [5, 1]
    assert total() == 6


def test_what_it_goes_by_is_never_read_of_a_replica(rolled: Managers, insert: Insert, monkeypatch: Any) -> None:
    insert(0)
    engine, sent = rolled.database.engine, []

    def attend(statement: SentStatement) -> Any:
        sent.append(statement)
        return statement.through(engine)

    monkeypatch.setattr(engine, "attend", attend)
    monkeypatch.setattr(engine, "is_attended", True)
    rolled.function_invocations.rollup()
    assert len(sent) > 3
    assert [statement.sql for statement in sent if not statement.writes] == []


def test_counting_an_earlier_moment_again_changes_nothing(rolled: Managers, insert: Insert) -> None:
    insert(0)
    until = rolled.function_invocations.rollup(BEGIN + 5 * HOUR)
    assert rolled.function_invocations.rollup(BEGIN) == until
    assert levels(rolled) == {0: 1, 1: 1, 2: 1}


def test_late_rows_changes_and_deletions_show_at_once(
    rolled: Managers, resize: Function, insert: Insert, total: Total
) -> None:
    first, _second = insert(0), insert(70)
    rolled.function_invocations.rollup()
    insert(10, 30, "error")
    assert total() == 3
    rolled.function_invocations.update_by_id(first.id, {"duration_ms": 50})
    assert rolled.function_invocations.get_function_stats(resize, BEGIN).maximum == 50
    rolled.function_invocations.rollup()
    assert counting.marks_of(rolled.database) == 0
    rolled.function_invocations.delete({"function_id": resize.id, "timestamp": first.timestamp})
    assert total() == 2
    rolled.function_invocations.delete({"function_id": resize.id})
    assert total() == 0
    rolled.function_invocations.rollup()
    assert levels(rolled) == {0: 0, 1: 0, 2: 0}


def test_a_function_takes_its_rollups_along(rolled: Managers, resize: Function, insert: Insert) -> None:
    insert(0)
    rolled.function_invocations.prune(BEGIN + HOUR)
    insert(1)
    rolled.functions.delete_by_id(resize.id)
    assert levels(rolled) == {0: 0, 1: 0, 2: 0}
    rolled.function_invocations.rollup()  # the mark of an hour that is frozen, and of nobody
    assert levels(rolled) == {0: 0, 1: 0, 2: 0}


def test_statistics_outlive_the_rows(rolled: Managers, resize: Function, insert: Insert, total: Total) -> None:
    for minutes in (0, 30, 61, 125):
        insert(minutes)
    rolled.function_invocations.rollup(BEGIN + HOUR)
    insert(5)  # late, and then gone
    # Whole hours go: the one that the moment lies in stays.
    assert rolled.function_invocations.prune(BEGIN + 2 * HOUR + HOUR / 2) == 4
    assert (rolled.function_invocations.count(), total()) == (1, 5)
    assert rolled.function_invocations.prune(BEGIN + 2 * HOUR) == 0
    # An hour that is frozen counts as a whole.
    assert (total(BEGIN + HOUR / 2), total(BEGIN + HOUR)) == (5, 2)


def test_what_comes_later_still_is_added(rolled: Managers, resize: Function, insert: Insert, total: Total) -> None:
    insert(0)
    rolled.function_invocations.prune(BEGIN + HOUR)
    late = insert(10, 99_999, "error")
    insert(11, None)
    stats = rolled.function_invocations.get_function_stats
    before = stats(resize, BEGIN)
    assert (before.total, before.failed, before.maximum, before.p99) == (3, 1, 99_999, 98_990.2)
    rolled.function_invocations.rollup()
    assert (stats(resize, BEGIN), counting.marks_of(rolled.database)) == (before, 0)
    # They stay rows for a while; what becomes of those is of no account any more.
    assert rolled.function_invocations.delete_by_id(late.id)
    assert rolled.function_invocations.prune(BEGIN + HOUR) == 1
    rolled.function_invocations.rollup()
    assert stats(resize, BEGIN) == before
    assert levels(rolled) == {0: 3, 1: 3, 2: 3}


def test_pruning_leaves_what_is_still_to_come(rolled: Managers, resize: Function, total: Total) -> None:
    rolled.function_invocations.record(resize, "success", 5)
    later = rolled.function_invocations.insert(
        {"function_id": resize.id, "status": "success", "timestamp": datetime.now(UTC) + timedelta(days=9)}
    )
    rolled.function_invocations.prune(datetime.now(UTC) + timedelta(days=10))
    assert rolled.function_invocations.find_by_id(later.id) == later
    assert total() == 2


def test_pruning_without_rollups_is_as_ever(managers: Managers, resize: Function) -> None:
    managers.function_invocations.insert({"function_id": resize.id, "status": "success", "timestamp": BEGIN + HOUR / 2})
    assert managers.function_invocations.prune(BEGIN + HOUR / 2) == 0
    assert managers.function_invocations.prune(BEGIN + HOUR / 2 + timedelta(seconds=1)) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"until": datetime(2024, 5, 1)}, InvalidValueError, "until: expected an aware"),
        ({"until": datetime.max.replace(tzinfo=UTC)}, InvalidValueError, "moment that has been"),
        ({"until": "yesterday"}, InvalidValueError, "until"),
        ({"until": timedelta(days=-1)}, InvalidValueError, "until"),
        ({"wait": -1}, InvalidValueError, "number of seconds"),
        ({"wait": "1"}, InvalidValueError, "number of seconds"),
        ({"wait": True}, InvalidValueError, "number of seconds"),
        ({"wait": float("nan")}, InvalidValueError, "number of seconds"),
    ],
)
def test_what_cannot_be_counted_sends_nothing(
    rolled: Managers, statements: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    statements.clear()
    with pytest.raises(error, match=message):
        rolled.function_invocations.rollup(**arguments)
    assert list(statements) == []


def test_without_rollups_there_is_nothing_to_count(managers: Managers) -> None:
    with pytest.raises(ConfigurationError, match="cloudpub rollup on"):
        managers.function_invocations.rollup()


def test_a_function_that_is_deleted_meanwhile_has_it_begin_anew(
    rolled: Managers, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(0)
    count, failures = counting._count, [ForeignKeyViolationError("deleted")] * 4

    def deleted(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return count(*arguments)

    monkeypatch.setattr(counting, "_count", deleted)
    assert rolled.function_invocations.rollup() == counting.hour_of(datetime.now(UTC))
    failures += [ForeignKeyViolationError("deleted")] * 5
    with pytest.raises(ForeignKeyViolationError):
        rolled.function_invocations.rollup()
    assert failures == []


def test_it_wants_no_open_transaction(rolled: Managers, insert: Insert) -> None:
    insert(0)
    with rolled.database.transaction():
        with pytest.raises(InvalidQueryError, match="expected no open transaction"):
            rolled.function_invocations.rollup()
        with pytest.raises(InvalidQueryError, match="expected no open transaction"):
            rolled.function_invocations.prune(BEGIN + HOUR)
    assert rolled.function_invocations.count() == 1


def test_an_owner_counts_and_prunes_nothing(rolled: Managers, ada: User, insert: Insert) -> None:
    insert(0)
    own = rolled.owned_by(ada).function_invocations
    for call in (own.rollup, own.enable_rollups, own.disable_rollups, lambda: own.prune(BEGIN + HOUR)):
        with pytest.raises(UnguardedError):
            call()
    assert rolled.function_invocations.count() == 1
    assert rolled.unrestricted("a test").function_invocations.prune(BEGIN + HOUR) == 1


def test_a_counting_that_fails_half_way_has_not_been(
    rolled: Managers, insert: Insert, total: Total, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days that are of a later transaction than their hours would be wrong in between."""
    insert(0)
    rolled.function_invocations.rollup(BEGIN + HOUR)
    insert(1)
    insert(60)
    send = counting.send_command

    def fail_at_days(database: Any, sql: str, parameters: Any = None) -> int:
        if "level = 1" in sql:
            raise StorageError("the disk is full")
        return send(database, sql, parameters)

    monkeypatch.setattr(counting, "send_command", fail_at_days)
    with pytest.raises(StorageError):
        rolled.function_invocations.rollup()
    monkeypatch.undo()
    assert levels(rolled) == {0: 1, 1: 1, 2: 1}
    assert counting.state_of(rolled.database).counted_until == BEGIN + HOUR
    # What was announced and not counted is read, and counted by the next one.
    insert(61)
    assert total() == 4
    rolled.function_invocations.rollup()
    assert (total(), levels(rolled)) == (4, {0: 4, 1: 4, 2: 4})
