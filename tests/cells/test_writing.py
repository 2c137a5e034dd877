"""What is changed on several servers is what is changed on one; in a transaction rows wait for its end."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from cloudpub_models import ALL_ROWS, Database, Function, Managers, errors
from tests.cells.calls import NOBODY, Calls, both, named, outcome, rows_of
from tests.conftest import GROWING_TABLES

Ask = Callable[[str], list[list[dict[str, Any]]]]
LINE = {"level": "info", "message": "x"}


@pytest.mark.parametrize("table", GROWING_TABLES)
def test_random_changes_leave_what_they_leave_on_one_database(
    table: str,
    scattered: Managers,
    single: Managers,
    functions: list[Function],
    seed: int,
    scale: Callable[[int, int], int],
) -> None:
    chance = random.Random(seed)
    several, one = both(table, scattered, single)
    text = "message" if table == "function_logs" else "error"
    calls = Calls(table, functions, chance)
    known: list[UUID] = []
    for number in range(scale(60, 2_000)):
        rows = rows_of(table, functions, chance.randrange(1, 9), chance)
        known += [row["uuid"] for row in rows]
        row, uuid, where = rows[0], chance.choice(known), calls.where()
        changes = {text: f"changed {number}"}
        old = [{**each, "uuid": uuid} for each in rows[:1]]
        possible: list[Callable[[Any], Any]] = [
            lambda manager, rows=rows: manager.batch_insert(rows, chunk_size=3),
            lambda manager, rows=rows: named(manager.batch_insert(rows, returning=True, chunk_size=3)),
            lambda manager, row=row: str(manager.insert(row).uuid),
            lambda manager, rows=rows: manager.batch_insert(
                [*rows, *rows[:2]], on_conflict="ignore", conflict_columns=["uuid"]
            ),
            lambda manager, uuid=uuid, changes=changes: named([manager.update_by_id(uuid, changes, id_column="uuid")]),
            lambda manager, where=where, changes=changes: sorted(named(manager.update(changes, where))),
            lambda manager, where=where: manager.delete(where) if chance_of(manager, where) else None,
            lambda manager, uuid=uuid: manager.delete_by_id(uuid, id_column="uuid"),
            lambda manager, row=row: str(manager.upsert(row, ["uuid"]).uuid),
            lambda manager, row=row: (lambda found: (str(found[0].uuid), found[1]))(
                manager.find_or_insert(row, ["uuid"])
            ),
            lambda manager, old=old, uuid=uuid: manager.exists({"uuid": uuid}) or manager.batch_insert(old),
        ]
        call = chance.choice(possible)
        assert outcome(call, several) == outcome(call, one)
        contents = [
            sorted(
                (str(each.uuid), each.function_id, getattr(each, text), each.timestamp) for each in manager.find_all()
            )
            for manager in (several, one)
        ]
        assert contents[0] == contents[1]


def chance_of(manager: Any, where: Any) -> bool:
    """Whether few enough rows meet the conditions for them to be deleted, and others to be left."""
    return bool(manager.count(where) < 6)


def test_nothing_of_a_batch_is_kept_where_one_row_is_refused(
    scattered: Managers, functions: list[Function], on_server: Ask
) -> None:
    uuid = uuid4()
    good = [{"function_id": function.id, **LINE} for function in functions]
    twice = [{"function_id": functions[0].id, "uuid": uuid, **LINE}] * 2
    for bad in (twice, [{**good[0], "level": "x" * 30}], [{**good[0], "stauts": 1}], [{"function_id": NOBODY, **LINE}]):
        with pytest.raises((errors.ConstraintError, errors.InvalidValueError, errors.UnknownColumnError)):
            scattered.function_logs.batch_insert([*good, *bad], chunk_size=4)
        assert scattered.function_logs.count() == 0
    told: list[int] = []
    assert scattered.function_logs.batch_insert(good, chunk_size=3, progress=told.append) == 8
    assert told == [3, 6, 8]


def test_rows_come_back_in_the_order_in_which_they_were_given(scattered: Managers, functions: list[Function]) -> None:
    rows = [{"function_id": functions[number % 8].id, "level": "info", "message": str(number)} for number in range(50)]
    returned = scattered.function_logs.batch_insert(rows, returning=True, chunk_size=7)
    assert [line.message for line in returned] == [str(number) for number in range(50)]
    assert len({line.id for line in returned}) == 50


def test_what_changes_all_rows_says_so(scattered: Managers, functions: list[Function], sent: list[str]) -> None:
    logs = scattered.function_logs
    for function in functions:
        logs.append(function, "info", "x")
    sent.clear()
    for call in (lambda: logs.update({"level": "warn"}, {}), lambda: logs.delete(None)):
        with pytest.raises(errors.UnboundedWriteError):
            call()
    for call in (
        lambda: logs.update({"function_id": functions[1].id}, ALL_ROWS),
        lambda: logs.update_by_id(1, {"function": functions[1]}),
        lambda: logs.upsert({"function_id": 1, **LINE}, ["uuid"], update_columns={"function": functions[1]}),
    ):
        with pytest.raises(errors.InvalidQueryError, match=r"a change of function_logs.function_id: .* insert one"):
            call()
    with pytest.raises(errors.InvalidValueError):
        logs.update_by_id([1, 2], {"level": "warn"})
    assert sent == []
    assert len(logs.update({"level": "warn"}, ALL_ROWS)) == 8
    assert logs.delete(ALL_ROWS) == 8


def test_a_row_that_another_server_has_is_found_and_not_doubled(scattered: Managers, functions: list[Function]) -> None:
    logs = scattered.function_logs
    one, other = (
        functions[0],
        next(f for f in functions if scattered.cells.server_of(f.id) != scattered.cells.server_of(functions[0].id)),
    )
    line = logs.insert({"function_id": one.id, **LINE})
    again = {"function": other, "uuid": line.uuid, **LINE}
    assert logs.find_or_insert(again, ["uuid"]) == (line, False)
    with pytest.raises(errors.InvalidQueryError, match=r"upsert\(\) of a row that belongs to another function, on"):
        logs.upsert(again, ["uuid"])
    assert logs.find_all() == [line]


# In transactions


def test_rows_wait_for_the_end_of_a_transaction(
    scattered: Managers, main: Database, functions: list[Function], sent: list[str]
) -> None:
    logs, invocations = scattered.function_logs, scattered.function_invocations
    logs.count()
    before = datetime.now(UTC)
    with main.transaction():
        line = logs.append(functions[0], "info", "first")
        called = invocations.record(functions[1], "success", 7)
        assert (line.id, line.message, line.function_id) == (None, "first", functions[0].id)
        assert before <= line.timestamp <= datetime.now(UTC)
        with main.transaction():
            assert logs.batch_insert({"function_id": f.id, **LINE} for f in functions) == 8
        assert logs.count() == invocations.count() == 0
        sent.clear()
    assert any("function_logs" in sql for sql in sent)
    assert line.id is not None
    assert logs.get_by_uuid(line.uuid) == line
    assert logs.get_by_uuid(line.uuid).timestamp == line.timestamp
    assert invocations.find_all() == [called]
    assert logs.count() == 9


def test_rows_of_what_is_rolled_back_are_never_sent(
    scattered: Managers, main: Database, functions: list[Function]
) -> None:
    logs = scattered.function_logs
    with pytest.raises(ZeroDivisionError), main.transaction():
        logs.append(functions[0], "info", "x")
        raise ZeroDivisionError
    with main.transaction():
        logs.append(functions[0], "info", "kept")
        with pytest.raises(ZeroDivisionError), main.transaction():
            logs.append(functions[0], "info", "in a savepoint")
            raise ZeroDivisionError
    assert [line.message for line in logs.find_all()] == ["kept"]


def test_rows_are_checked_when_the_call_is_made(scattered: Managers, main: Database, functions: list[Function]) -> None:
    logs, own = scattered.function_logs, {"function_id": functions[0].id}
    bad: list[tuple[Callable[[], Any], type[Exception]]] = [
        (lambda: logs.append(NOBODY, "info", "x"), errors.NotFoundError),
        (lambda: logs.insert({**own, "level": "info"}), errors.NotNullViolationError),
        (lambda: logs.insert({**own, **LINE, "message": None}), errors.NotNullViolationError),
        (lambda: logs.insert(LINE), errors.NotNullViolationError),
        (lambda: logs.append(functions[0], "x" * 21, "x"), errors.InvalidValueError),
        (
            lambda: logs.batch_insert([{**own, **LINE}, {"function_id": NOBODY, **LINE}]),
            errors.ForeignKeyViolationError,
        ),
        (lambda: logs.batch_insert([{**own, "level": "info"}]), errors.NotNullViolationError),
        (lambda: logs.batch_insert([{**own, **LINE, "stauts": 1}]), errors.UnknownColumnError),
    ]
    with main.transaction():
        for call, error in bad:
            with pytest.raises(error):
                call()
    assert logs.count() == 0


def test_what_fails_after_the_commit_is_logged(
    scattered: Managers, main: Database, functions: list[Function], caplog: pytest.LogCaptureFixture
) -> None:
    uuid = uuid4()
    scattered.function_logs.insert({"function_id": functions[0].id, "uuid": uuid, **LINE})
    with caplog.at_level(logging.ERROR), main.transaction():
        scattered.function_logs.insert({"function_id": functions[0].id, "uuid": uuid, **LINE})
        scattered.function_logs.append(functions[0], "info", "second")
    assert "UniqueViolationError" in caplog.text
    assert sorted(line.message for line in scattered.function_logs.find_all()) == ["second", "x"]


def test_what_has_to_say_what_it_did_is_refused_in_a_transaction(
    scattered: Managers, main: Database, functions: list[Function], sent: list[str]
) -> None:
    logs, row = scattered.function_logs, {"function_id": functions[0].id, **LINE}
    logs.count()
    calls: list[Callable[[], Any]] = [
        lambda: logs.update({"level": "warn"}, ALL_ROWS),
        lambda: logs.update_by_id(1, {"level": "warn"}),
        lambda: logs.delete(ALL_ROWS),
        lambda: logs.delete_by_id(1),
        lambda: logs.upsert(row, ["uuid"]),
        lambda: logs.find_or_insert(row, ["uuid"]),
        lambda: logs.batch_insert([row], returning=True),
        lambda: logs.batch_insert([row], on_conflict="ignore"),
        lambda: logs.prune(datetime.now(UTC)),
        scattered.cells.sweep,
    ]
    scattered.functions.delete_by_id(functions[7].id)
    with main.transaction():
        for call in calls:
            sent.clear()
            with pytest.raises(errors.InvalidQueryError, match=r"in a transaction: call it before or behind"):
                call()
            assert [sql for sql in sent if "function_logs" in sql] == []


def test_a_read_only_transaction_takes_no_rows(scattered: Managers, main: Database, functions: list[Function]) -> None:
    with main.transaction(read_only=True):
        assert scattered.function_logs.count() == 0
        with pytest.raises(errors.InvalidQueryError, match="a transaction that may write; got a read-only one"):
            scattered.function_logs.append(functions[0], "info", "x")
        with pytest.raises(errors.InvalidQueryError, match="read-only"):
            scattered.function_logs.batch_insert([])


def test_a_transaction_that_has_failed_takes_no_rows(
    scattered: Managers, main: Database, functions: list[Function]
) -> None:
    with pytest.raises(errors.TransactionAbortedError), main.transaction():
        with pytest.raises(errors.CloudpubError):
            main.raw_execute("SELECT 1 / 0")
        scattered.function_logs.append(functions[0], "info", "x")
