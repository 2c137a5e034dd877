"""A table whose rows are copied into partitions: nothing is lost, doubled or back again, whoever does what beside it."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, QueryEvent, errors, operators
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.partitions import moving, partitioning
from tests.schema.partitions.test_attaching import COLUMNS, parts_of
from tests.waiting import wait_until

DAY = timedelta(days=1)
LEFT = """
    SELECT relname::text AS name FROM pg_class WHERE relname ~ '_p_(new|old|journal)'
    UNION ALL SELECT tgname::text FROM pg_trigger WHERE tgname ~ '_p_.*_noted'
    UNION ALL SELECT proname::text FROM pg_proc WHERE proname ~ '_p_note'
"""
Step = Callable[[Managers], None]


@pytest.fixture
def narrow(lines: Managers, database: Database) -> Managers:
    """The hundred lines, with ids of 32 bits."""
    database.raw_execute("ALTER TABLE function_logs ALTER COLUMN id TYPE INTEGER")
    database.raw_execute("ALTER SEQUENCE function_logs_id_seq AS INTEGER")
    return lines


@pytest.fixture(autouse=True)
def _in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy so few rows at once that much is changed in between."""
    monkeypatch.setattr(moving, "_ROWS_AT_ONCE", 100)
    monkeypatch.setattr(moving, "_FEW_ROWS", 400)


def row(function: Function, worker: str, message: object, **more: Any) -> Any:
    return {"function_id": function.id, "level": worker, "message": str(message), **more}


class Work:
    """Programs that do one thing again and again, each with a database of its own and rows of its own level."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []
        self._rounds: dict[str, int] = {}
        self.failures: list[BaseException] = []

    def add(self, name: str, step: Step) -> None:
        self._rounds[name] = 0
        self._threads.append(threading.Thread(target=self._run, args=(name, step), name=name))

    def _run(self, name: str, step: Step) -> None:
        database = Database(self._url)
        try:
            while not self._done.is_set():
                step(Managers(database))
                self._rounds[name] += 1
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            self.failures.append(error)
        finally:
            database.close()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """All are at work in the block, and go on for a while behind it."""
        for thread in self._threads:
            thread.start()
        try:
            self._go_on()
            yield
            self._go_on()
        finally:
            self._done.set()
            for thread in self._threads:
                thread.join()
        assert [repr(failure) for failure in self.failures] == []

    def _go_on(self) -> None:
        before = dict(self._rounds)
        wait_until(lambda: self.failures or all(self._rounds[name] > rounds + 3 for name, rounds in before.items()))


def is_there(managers: Managers, worker: str) -> dict[int, str]:
    found = managers.function_logs.find_all({"level": worker})
    rows = {each.id: each.message for each in found}
    assert len(rows) == len(found)
    return rows


def left(database: Database) -> list[dict[str, Any]]:
    return database.raw_query_all(LEFT)


def test_nothing_is_lost_doubled_or_undead(
    narrow: Managers,
    database: Database,
    database_url: str,
    resize: Function,
    scale: Callable[[int, int], int],
    seed: int,
) -> None:
    work, rows = Work(database_url), scale(600, 100_000)
    expected: dict[str, dict[int, str]] = {}
    now = datetime.now(UTC)
    moments = [now - hours * timedelta(hours=1) for hours in range(200)]
    narrow.function_logs.batch_insert(row(resize, "old", n, timestamp=moments[n % 200]) for n in range(rows))

    def worker(name: str, *, begin_with: int = 0) -> Callable[[Callable[..., None]], None]:
        mine = expected[name] = {}
        chooser = random.Random(f"{seed} {name}")
        counter = itertools.count()
        for number in range(begin_with):
            line = narrow.function_logs.insert(row(resize, name, number, timestamp=moments[number % 200]))
            mine[line.id] = line.message

        def register(step: Callable[..., None]) -> None:
            work.add(name, lambda managers: step(managers, mine, chooser, counter))

        return register

    def append(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
        line = managers.function_logs.append(resize, "append", str(next(counter)))
        mine[line.id] = line.message
        # What one has written one finds again.
        assert managers.function_logs.find_by_id(line.id) == line
        assert managers.function_logs.find_by_uuid(line.uuid) == line
        assert managers.function_logs.count({"level": "append"}) == len(mine)

    def update(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
        number, message = chooser.choice(list(mine)), str(next(counter))
        changed = managers.function_logs.update_by_id(
            number, {"message": message, "timestamp": chooser.choice(moments)}
        )
        assert changed is not None
        mine[number] = message

    def update_all(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
        message = str(next(counter))
        assert len(managers.function_logs.update({"message": message}, {"level": "update_all"})) == len(mine)
        mine.update(dict.fromkeys(mine, message))

    def delete(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
        line = managers.function_logs.insert(row(resize, "delete", next(counter), timestamp=chooser.choice(moments)))
        mine[line.id] = line.message
        number = chooser.choice(list(mine))
        assert managers.function_logs.delete_by_id(number)
        del mine[number]
        assert managers.function_logs.find_by_id(number) is None

    def renumber(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
        number, another = chooser.choice(list(mine)), chooser.choice([-1_000_000, 1_000_000]) + next(counter)
        managers.database.raw_execute(
            "UPDATE function_logs SET id = @another WHERE id = @number", {"another": another, "number": number}
        )
        mine[another] = mine.pop(number)

    def copy(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
        lines = managers.function_logs.batch_insert(
            [row(resize, "copy", next(counter), timestamp=chooser.choice(moments)) for _ in range(20)], returning=True
        )
        mine.update({line.id: line.message for line in lines})

    def cascade(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
        function = managers.functions.insert({"user_id": resize.user_id, "name": f"gone {next(counter)}"})
        managers.function_logs.batch_insert(
            row(function, "cascade", "gone", timestamp=chooser.choice(moments)) for _ in range(5)
        )
        assert managers.functions.delete_by_id(function.id)

    def undo(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
        with pytest.raises(errors.InvalidQueryError), managers.database.transaction():
            managers.function_logs.append(resize, "undo", "never kept")
            managers.function_logs.delete({"level": "undo"})
            managers.database.raw_execute("SELECT no_such_column")

    def snapshot(isolation: Any) -> Callable[..., None]:
        def count_up(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
            number = chooser.choice(list(mine))

            def work(_connection: object) -> str:
                line = managers.function_logs.get_by_id(number)
                time.sleep(chooser.uniform(0, 0.01))
                message = str(int(line.message) + 1)
                assert managers.function_logs.update_by_id(number, {"message": message}) is not None
                return message

            mine[number] = managers.database.run_transaction(work, retries=50, isolation=isolation)

        return count_up

    def read(managers: Managers, mine: dict[int, str], chooser: random.Random, counter: Iterator[int]) -> None:
        with managers.database.transaction(isolation="REPEATABLE READ"):
            assert managers.users.count() == 1
            time.sleep(chooser.uniform(0, 0.01))
            assert managers.function_logs.count({"level": "old"}) == rows
            assert managers.function_logs.count({"level": "update_all"}) == 30

    worker("append")(append)
    worker("update", begin_with=40)(update)
    worker("update_all", begin_with=30)(update_all)
    worker("delete", begin_with=20)(delete)
    worker("renumber", begin_with=20)(renumber)
    worker("copy")(copy)
    worker("cascade")(cascade)
    worker("undo", begin_with=5)(undo)
    worker("repeatable", begin_with=10)(snapshot("REPEATABLE READ"))
    worker("serializable", begin_with=10)(snapshot("SERIALIZABLE"))
    worker("read")(read)
    with work.going_on():
        database.partition("function_logs", scale("month", "day"))
    assert {name: is_there(narrow, name) for name in expected} == expected
    assert narrow.function_logs.count({"level": "old"}) == rows
    assert narrow.function_logs.count({"level": "info"}) == 100
    assert left(database) == []
    assert find_drift(database.engine, database.models) == []


def when(database: Database, words: str, do: Callable[[], object]) -> Callable[[], None]:
    """Do something once, when a statement that has some words in it was run."""
    done = []

    def look(query: QueryEvent) -> None:
        if words in query.sql and not done:
            done.append(query.sql)
            do()

    stop = database.on_query(look)

    def end() -> None:
        stop()
        assert done, f"no statement with {words}"

    return end


# From the first to the last, by what is sent in each of them.
STEPS = {
    "an empty table": "CREATE TABLE function_logs_p_new",
    "its partitions": "CREATE TABLE function_logs_p_future",
    "the triggers": "ENABLE ALWAYS TRIGGER function_logs_p_truncate_noted",
    "some rows": "WITH copied AS",
    "what was noted": "DELETE FROM function_logs_p_journal",
    "what is known of it": "VACUUM",
    "a copy that stays equal": "pg_visible_in_snapshot",
    "references": "NOT VALID",
    "references that hold": "VALIDATE CONSTRAINT",
    "references of the whole": "ALTER TABLE function_logs_p_new ADD CONSTRAINT",
    "the end of older transactions": "CREATE INDEX CONCURRENTLY",
    "half of the names": "RENAME TO function_logs_p_old",
    "the names": "RENAME TO function_logs",
    "a table that goes": "DROP TABLE function_logs_p_old",
    "a journal that goes": "DROP TABLE function_logs_p_journal",
}


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_run_is_run_again(
    narrow: Managers, database: Database, interrupt: Callable[[str], None], step: str, resize: Function
) -> None:
    interrupt(STEPS[step])
    with suppress(errors.ConnectionLostError, errors.MigrationError):
        database.partition("function_logs", "month", way="move")
    assert narrow.function_logs.count() == 100
    line = narrow.function_logs.append(resize, "info", "meanwhile")
    narrow.function_logs.delete_by_id(1)
    database.partition("function_logs", "month", way="move")
    assert narrow.function_logs.count() == 100
    assert narrow.function_logs.find_by_id(line.id) == line
    assert narrow.function_logs.append(resize, "info", "again").id == line.id + 1
    assert left(database) == []
    assert find_drift(database.engine, database.models) == []


@pytest.mark.parametrize("words", ["WITH copied AS", "VACUUM", "RENAME TO function_logs_p_old"])
def test_a_program_that_is_killed(narrow: Managers, database: Database, database_url: str, words: str) -> None:
    program = f"""
import os, signal
from cloudpub_models import Database
database = Database({database_url!r})
database.on_query(lambda query: {words!r} in query.sql and os.kill(os.getpid(), signal.SIGKILL))
database.partition("function_logs", "month")
"""
    finished = subprocess.run([sys.executable, "-c", program], check=False)  # noqa: S603 - our own
    assert finished.returncode == -signal.SIGKILL
    assert narrow.function_logs.count() == 100
    narrow.function_logs.delete_by_id(1)
    database.partition("function_logs", "month")
    assert narrow.function_logs.count() == 99
    assert left(database) == []


def test_a_run_that_fails_leaves_nothing(narrow: Managers, database: Database) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    end = when(database, "VACUUM", fail)
    with pytest.raises(KeyboardInterrupt):
        database.partition("function_logs", "month")
    end()
    assert left(database) == []
    assert database.partitions("function_logs") == []


def test_a_second_runner_is_refused(
    narrow: Managers, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitioning, "_LOCK_TIMEOUT_SECONDS", 0.1)
    other, told = Database(database_url), []

    def run_too() -> None:
        with pytest.raises(errors.MigrationError, match="expected no other migrator for") as caught:
            other.partition("function_logs", "month")
        told.append(caught.value)

    end = when(database, "VACUUM", run_too)
    database.partition("function_logs", "month")
    end()
    assert len(told) == 1
    assert other.partition("function_logs") == ()
    other.close()


@pytest.mark.parametrize("step", STEPS)
def test_what_is_changed_between_two_steps(
    narrow: Managers, database: Database, database_url: str, resize: Function, step: str
) -> None:
    """Each kind of change, in each step in which others may write."""
    other = Managers(Database(database_url))
    crop = narrow.functions.insert({"user_id": resize.user_id, "name": "crop"})
    narrow.function_logs.update({"function_id": crop.id}, {"id": operators.le(10)})

    def change() -> None:
        logs = other.function_logs
        assert other.functions.delete_by_id(crop.id)
        assert logs.delete({"id": operators.between(11, 20)}) == 10
        assert len(logs.update({"message": "changed"}, {"id": operators.between(21, 30)})) == 10
        assert len(logs.update({"timestamp": datetime.now(UTC) + 9 * DAY}, {"id": operators.between(31, 40)})) == 10
        other.database.raw_execute("UPDATE function_logs SET id = id + 1000 WHERE id BETWEEN 41 AND 50")
        assert logs.batch_insert([row(resize, "added", n) for n in range(10)]) == 10
        # What was unique is free again, and is taken by another row.
        one = logs.get_by_id(100)
        assert logs.delete_by_id(100)
        again = {name: getattr(one, name) for name in ("uuid", "timestamp", "function_id", "level")}
        logs.insert({**again, "id": 2000, "message": "in its place"})

    end = when_committed(database, STEPS[step], change)
    database.partition("function_logs", "month")
    end()
    found = {line.id: line.message for line in narrow.function_logs.find_all()}
    assert len(found) == narrow.function_logs.count()
    expected = {n: "changed" if n <= 30 else f"line {n - 1}" for n in (*range(21, 41), *range(51, 100))}
    expected |= {n + 1000: f"line {n - 1}" for n in range(41, 51)}
    expected |= {n: str(n - 101) for n in range(101, 111)} | {2000: "in its place"}
    assert found == expected
    assert find_drift(database.engine, database.models) == []
    other.database.close()


def when_committed(database: Database, words: str, do: Callable[[], object]) -> Callable[[], None]:
    """Do something once, when a transaction is over in which a statement was run that has some words in it."""
    seen: list[str] = []
    done: list[str] = []

    def look(query: QueryEvent) -> None:
        if words in query.sql:
            seen.append(query.sql)
        if seen and not done and (query.sql == "COMMIT" or "CONCURRENTLY" in query.sql or "VACUUM" in query.sql):
            done.append(query.sql)
            do()

    stop = database.on_query(look)

    def end() -> None:
        stop()
        assert done, f"no statement with {words}"

    return end
