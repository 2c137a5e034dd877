"""A table whose rows are copied into partitions: nothing is lost, doubled or undead, whoever does what beside it."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, QueryEvent, User, errors, operators
from cloudpub_models.schema import read_catalogue
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.partitions import moving, partitioning
from cloudpub_models.schema.row_security import switch_on as guard
from tests.programs import Programs
from tests.schema.partitions.test_attaching import COLUMNS, EVERYTHING, parts_of
from tests.schema.roles import owned_by_program
from tests.waiting import wait_until

DAY = timedelta(days=1)
LEFT = """
    SELECT relname::text AS name FROM pg_class WHERE relname ~ '_p_(new|whole|old|journal)'
    UNION ALL SELECT tgname::text FROM pg_trigger WHERE tgname ~ '_p_.*_noted'
    UNION ALL SELECT proname::text FROM pg_proc WHERE proname ~ '_p_note'
"""


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
    work = Programs(lambda: Managers(Database(database_url)), pause=0.03, rounds=3)
    rows = scale(600, 100_000)
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
    "an empty table": "CREATE TABLE function_logs_p_whole",
    "a table for the copy": "CREATE TABLE function_logs_p_new",
    "its partitions": "CREATE TABLE function_logs_p_future",
    "the triggers": "ENABLE ALWAYS TRIGGER function_logs_p_truncate_noted",
    "some rows": "WITH copied AS",
    "what was noted": "DELETE FROM function_logs_p_journal",
    "room that is tidied": "VACUUM",
    "a copy that stays equal": "pg_visible_in_snapshot",
    "references": "NOT VALID",
    "references that hold": "VALIDATE CONSTRAINT",
    "some partitions of the whole": "DROP CONSTRAINT function_logs_p_bounds",
    "the last partition of the whole": "ATTACH PARTITION function_logs_p_future",
    "what is known of it": "ANALYZE function_logs_p_whole",
    "the end of older transactions": "CREATE INDEX CONCURRENTLY",
    "half of the names": "RENAME TO function_logs_p_old",
    "the names": "RENAME TO function_logs",
    "a table that goes": "DROP TABLE function_logs_p_old",
    "a journal that goes": "DROP TABLE function_logs_p_journal",
}


SOME_STEPS = (
    "the triggers",
    "some rows",
    "a copy that stays equal",
    "references that hold",
    "some partitions of the whole",
    "half of the names",
    "a table that goes",
)
each_step = pytest.mark.parametrize(
    "step", [step if step in SOME_STEPS else pytest.param(step, marks=pytest.mark.soak) for step in STEPS]
)


@each_step
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


@pytest.mark.parametrize(
    "words",
    [
        "WITH copied AS",
        *(pytest.param(words, marks=pytest.mark.soak) for words in ("VACUUM", "RENAME TO function_logs_p_old")),
    ],
)
def test_a_program_that_is_killed(narrow: Managers, database: Database, database_url: str, words: str) -> None:
    program = f"""
import os, signal
from cloudpub_models import Database
database = Database({database_url!r})
database.on_query(lambda query: {words!r} in query.sql and os.kill(os.getpid(), signal.SIGKILL))
database.partition("function_logs", "month")
"""
    finished = subprocess.run([sys.executable, "-c", program], check=False)
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


@each_step
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


ALONE = ("CONCURRENTLY", "VACUUM", "ANALYZE")


def when_committed(database: Database, words: str, do: Callable[[], object]) -> Callable[[], None]:
    """Do something once, when a transaction is over in which a statement was run that has some words in it."""
    seen: list[str] = []
    done: list[str] = []

    def look(query: QueryEvent) -> None:
        if words in query.sql:
            seen.append(query.sql)
        if seen and not done and (query.sql == "COMMIT" or any(word in query.sql for word in ALONE)):
            done.append(query.sql)
            do()

    stop = database.on_query(look)

    def end() -> None:
        stop()
        assert done, f"no statement with {words}"

    return end


@pytest.mark.parametrize("step", ["some rows", "references that hold"])
def test_a_table_that_is_emptied(
    narrow: Managers, database: Database, database_url: str, resize: Function, step: str
) -> None:
    other = Managers(Database(database_url))

    def change() -> None:
        other.database.raw_execute("TRUNCATE function_logs")
        other.function_logs.append(resize, "info", "the first again")

    end = when_committed(database, STEPS[step], change)
    database.partition("function_logs", "month")
    end()
    assert [line.message for line in narrow.function_logs.find_all()] == ["the first again"]
    other.database.close()


@pytest.mark.parametrize(
    "isolation", ["READ COMMITTED", "REPEATABLE READ", pytest.param("SERIALIZABLE", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("begun", ["before it", "the triggers", "what was noted", "a copy that stays equal"])
def test_a_transaction_that_has_long_been_open(
    narrow: Managers, database: Database, database_url: str, resize: Function, isolation: Any, begun: str
) -> None:
    """It sees the rows that it saw, and changes them, once the copy is equal: the names wait for its end."""
    other, told = Managers(Database(database_url)), []
    began, change = threading.Event(), threading.Event()

    def work() -> None:
        with other.database.transaction(isolation=isolation):
            assert other.users.count() == 1
            began.set()
            assert change.wait(60)
            assert other.function_logs.count() == 100
            assert (
                other.function_logs.update_by_id(7, {"message": "changed", "timestamp": datetime.now(UTC)}) is not None
            )
            assert other.function_logs.delete_by_id(8)
            other.database.raw_execute("UPDATE function_logs SET id = 1009 WHERE id = 9")
            told.append(other.function_logs.append(resize, "info", "added").id)
            assert other.function_logs.count() == 100
        other.database.close()

    thread = threading.Thread(target=work)

    def begin() -> None:
        thread.start()
        assert began.wait(60)

    ends = [when_committed(database, STEPS["references that hold"], change.set)]
    if begun == "before it":
        begin()
    else:
        ends.append(when_committed(database, STEPS[begun], begin))
    database.partition("function_logs", "month")
    thread.join()
    for end in ends:
        end()
    found = {line.id: line.message for line in narrow.function_logs.find_all()}
    expected = {n: f"line {n - 1}" for n in range(1, 101)} | {7: "changed", told[0]: "added", 1009: "line 8"}
    assert found == {number: message for number, message in expected.items() if number not in (8, 9)}
    assert narrow.function_logs.count() == len(found)


def test_what_a_transaction_does_not_see_it_does_not_change(
    narrow: Managers, database: Database, database_url: str
) -> None:
    """A row that an older transaction changed is made up for again, which one that began meanwhile does not see."""
    older, younger = Managers(Database(database_url)), Managers(Database(database_url))
    told: list[str] = []

    with older.database.transaction(isolation="REPEATABLE READ"):
        assert older.users.count() == 1
        thread = threading.Thread(target=database.partition, args=("function_logs", "month"))
        thread.start()
        wait_until(lambda: database.raw_query_all("SELECT 1 FROM pg_index WHERE NOT indisvalid"))
        # Seen by those that begin from now on, in the table but not yet in the copy.
        assert older.function_logs.update_by_id(7, {"message": "changed"}) is not None
    with suppress(errors.SerializationError), younger.database.transaction(isolation="REPEATABLE READ"):
        line = younger.function_logs.get_by_id(7)
        told.append(line.message)
        assert younger.function_logs.update_by_id(7, {"message": "and again"}) is not None
    thread.join()
    assert told == ["changed"]
    assert narrow.function_logs.get_by_id(7).message in ("changed", "and again")
    assert narrow.function_logs.count() == 100
    for managers in (older, younger):
        managers.database.close()


def test_all_that_a_table_has_it_still_has(narrow: Managers, database: Database, resize: Function) -> None:
    for statement in EVERYTHING:
        database.raw_execute(statement)
    for statement in (
        "CREATE STATISTICS together ON level, message FROM function_logs",
        "ALTER TABLE function_logs ADD shout TEXT GENERATED ALWAYS AS (upper(level)) STORED",
        "COMMENT ON INDEX levels IS 'an index'",
        "COMMENT ON CONSTRAINT levels ON function_logs IS 'a check'",
        "COMMENT ON TRIGGER at_once ON function_logs IS 'a trigger'",
        "CREATE TRIGGER when_named BEFORE UPDATE OF id ON function_logs FOR EACH ROW WHEN (NEW.id > 7) "
        "EXECUTE FUNCTION seen()",
    ):
        database.raw_execute(statement)
    comments = "SELECT description FROM pg_description WHERE description IN ('an index', 'a check', 'a trigger')"
    told = [
        *database.raw_query_all(comments),
        *database.raw_query_all("SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext"),
    ]
    before, columns = parts_of(database, "function_logs"), database.raw_query_all(COLUMNS, {"name": "function_logs"})
    rows = narrow.function_logs.find_all(order_by="id")
    database.partition("function_logs")
    assert parts_of(database, "function_logs") == before
    assert database.raw_query_all(COLUMNS, {"name": "function_logs"}) == columns
    assert narrow.function_logs.find_all(order_by="id") == rows
    again = [
        *database.raw_query_all(comments),
        *database.raw_query_all("SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext"),
    ]
    assert again == told
    # The numbers go on where they were, and beyond 32 bits.
    assert narrow.function_logs.append(resize, "info", "one more").id == 101
    row = database.raw_query_single("SELECT pg_get_serial_sequence('function_logs', 'id') AS name")
    assert row == {"name": "public.function_logs_id_seq"}
    database.raw_query_all("SELECT setval('function_logs_id_seq', 2147483647)")
    assert narrow.function_logs.append(resize, "info", "beyond").id == 2**31


def test_rows_are_in_partitions_of_their_time(narrow: Managers, database: Database, resize: Function) -> None:
    for moment in (datetime(1, 1, 1, tzinfo=UTC), datetime.now(UTC) - 500 * DAY, datetime(9999, 1, 1, tzinfo=UTC)):
        narrow.function_logs.insert(row(resize, "info", "m", timestamp=moment))
    made = database.partition("function_logs", "month", ahead=timedelta(0))
    count = "SELECT count(*) AS n FROM {}"
    rows = {
        part.name: database.raw_query_all(count.format(part.name))[0]["n"]
        for part in database.partitions("function_logs")
    }
    assert (rows["function_logs_p_past"], rows["function_logs_p_future"]) == (1, 1)
    assert rows[made[0]] == 1
    assert sum(rows.values()) == 103
    assert len(made) == len(rows) - 2 >= 17
    assert narrow.function_logs.prune(datetime.now(UTC) - 400 * DAY) == 2


def test_which_way(narrow: Managers, lines: Managers, database: Database) -> None:
    """Rows are copied where that widens their ids, or where somebody says so."""
    database.partition("function_logs", "month", way="attach")
    assert types_of_ids(database) == {"integer"}
    database.partition("function_invocations", "month")
    assert "function_invocations_p_past" in {part.name for part in database.partitions("function_invocations")}
    with pytest.raises(errors.InvalidValueError, match="expected way to be 'attach' or 'move'; got 'copy'"):
        database.partition("function_logs", way="copy")  # type: ignore[arg-type]


def types_of_ids(database: Database) -> set[str]:
    return {read_catalogue(database.engine).tables["function_logs"].columns["id"].type}


def test_rows_with_wide_ids_are_copied_too(lines: Managers, database: Database) -> None:
    before = lines.function_logs.find_all(order_by="id")
    made = database.partition("function_logs", "day", way="move")
    assert lines.function_logs.find_all(order_by="id") == before
    assert database.raw_query_all(f"SELECT 1 AS n FROM {made[0]} LIMIT 1") == [{"n": 1}]
    assert find_drift(database.engine, database.models) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("CREATE VIEW loud AS SELECT upper(message) FROM function_logs", "loud, which reads it"),
        ("CREATE PUBLICATION news FOR TABLE function_logs", "the publication news, which has it"),
        (
            "CREATE FUNCTION latest() RETURNS SETOF function_logs LANGUAGE sql AS 'SELECT * FROM function_logs'",
            r"the function latest\(\), which depends on it",
        ),
        ("CREATE TABLE kept (line function_logs)", "the column line of table kept, which depends on it"),
        ("CREATE TABLE notes (log_id INTEGER REFERENCES function_logs (id))", "the reference notes_log_id_fkey of"),
        (
            "ALTER TABLE function_logs DROP CONSTRAINT function_logs_pkey, ADD PRIMARY KEY (id, uuid)",
            "a primary key that is not one column of integers",
        ),
        (
            "ALTER TABLE function_logs ADD CONSTRAINT no_x CHECK (message <> 'x') NOT VALID",
            "the constraint no_x, which was not validated",
        ),
        ("ALTER TABLE function_logs SET UNLOGGED", "rows that the server loses when it crashes"),
    ],
)
def test_what_is_in_the_way(narrow: Managers, database: Database, statement: str, told: str) -> None:
    database.raw_execute(statement)
    with pytest.raises(errors.ConfigurationError, match=f"got function_logs with {told}"):
        database.partition("function_logs", way="move")
    assert (left(database), database.partitions("function_logs")) == ([], [])
    database.raw_execute("DROP PUBLICATION IF EXISTS news")


def test_a_policy_that_hides_rows(narrow: Managers, database: Database, database_url: str) -> None:
    program = Database(owned_by_program(database_url))
    for statement in (
        "ALTER TABLE function_logs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON function_logs USING (level = 'error')",
    ):
        program.raw_execute(statement)
    with pytest.raises(errors.ConfigurationError, match="the policy mine, which hides rows from who copies them"):
        program.partition("function_logs")
    # Who is not held by it copies all of them.
    database.partition("function_logs", "month")
    assert narrow.function_logs.count() == 100
    program.close()


def test_rows_that_are_held_to_their_owners(narrow: Managers, database: Database, database_url: str) -> None:
    program = Database(owned_by_program(database_url), row_security=True)
    guard(program.engine, program.models, User)
    program.partition("function_logs", "month")
    assert program.raw_query_all("SELECT count(*) AS n FROM function_logs") == [{"n": 0}]
    ada = narrow.users.find_one()
    assert ada is not None
    assert Managers(program).owned_by(ada).function_logs.count() == 100
    assert find_drift(database.engine, database.models) == []
    program.close()


def test_another_table_of_a_name_that_it_takes(narrow: Managers, database: Database) -> None:
    for name in ("new", "whole", "old", "journal"):
        database.raw_execute(f"CREATE TABLE function_logs_p_{name} (id INTEGER)")
        with pytest.raises(errors.ConfigurationError, match=f"expected no table function_logs_p_{name}, which copying"):
            database.partition("function_logs")
        database.raw_execute(f"DROP TABLE function_logs_p_{name}")
    assert left(database) == []


@pytest.mark.parametrize(
    "statement", ["ADD more TEXT", "DROP COLUMN message", "DROP CONSTRAINT function_logs_uuid_key"]
)
def test_a_table_that_is_altered_meanwhile(
    narrow: Managers, database: Database, database_url: str, statement: str
) -> None:
    other = Database(database_url)
    end = when_committed(database, "VACUUM", lambda: other.raw_execute(f"ALTER TABLE function_logs {statement}"))
    with pytest.raises(errors.MigrationError, match="expected function_logs to stay as it is while it is copied"):
        database.partition("function_logs", "month")
    end()
    assert (left(database), narrow.function_logs.count()) == ([], 100)
    database.partition("function_logs", "month")
    assert narrow.function_logs.count() == 100
    other.close()


def test_changes_go_on_being_recorded(narrow: Managers, database: Database, resize: Function) -> None:
    database.history.enable(also=["function_logs"])
    end = when_committed(database, "VACUUM", lambda: None)
    database.partition("function_logs", "month")
    end()
    assert database.history.faulty_tables() == ()
    # Copying is no change of a row.
    assert narrow.function_logs.history(1) == []
    assert narrow.function_logs.update_by_id(1, {"message": "second"}) is not None
    assert [change.operation for change in narrow.function_logs.history(1)] == ["update"]


def test_statements_that_were_prepared_go_on(narrow: Managers, database: Database, database_url: str) -> None:
    other = Managers(Database(database_url))
    logs = other.function_logs
    before = logs.get_by_id(1)
    assert logs.count({"id": operators.lt(50)}) == 49
    with other.database.session():
        logs.update_by_id(1, {"message": "m"})
        database.partition("function_logs", "month")
        assert logs.get_by_id(1).uuid == before.uuid
        assert logs.count({"id": operators.lt(50)}) == 49
        assert logs.update_by_id(1, {"message": before.message}) == before
        database.raw_execute("UPDATE function_logs SET id = 3000000000 WHERE id = 2")
        assert logs.get_by_id(3_000_000_000).message == "line 1"
    other.database.close()


def test_one_partition_is_given_at_a_time_and_no_row_is_read(narrow: Managers, database: Database) -> None:
    """Whoever waits for that waits no longer for many partitions, or for large ones, than for few and small ones."""
    reads = "SELECT sum(seq_tup_read) AS n FROM pg_stat_xact_user_tables WHERE relname LIKE 'function_logs_p_%'"
    given, before, read = [0], 0, []

    def watch(query: QueryEvent) -> None:
        nonlocal before
        if query.sql == "COMMIT":
            given.append(0)
        elif "DETACH PARTITION" in query.sql:
            ((before,),) = [row.values() for row in database.raw_query_all(reads)]
        elif "ATTACH PARTITION" in query.sql:
            given[-1] += 1
            read.extend([row["n"] - before for row in database.raw_query_all(reads)])
        elif "FOREIGN KEY" in query.sql and "function_logs_p_whole" in query.sql:
            assert sum(given) == 0

    stop = database.on_query(watch)
    database.partition("function_logs", "month")
    stop()
    assert sum(given) == len(database.partitions("function_logs"))
    assert max(given) == 1
    assert set(read) == {0}


@pytest.mark.alone
def test_nobody_is_kept_out_for_long(narrow: Managers, database: Database, scale: Callable[[int, int], int]) -> None:
    """From a lock that keeps writers or readers out to the commit; each of them in a soak."""
    locked: list[float] = []
    held: list[float] = []

    def watch(query: QueryEvent) -> None:
        if query.sql.endswith(("IN ACCESS EXCLUSIVE MODE", "IN SHARE ROW EXCLUSIVE MODE")) and not locked:
            locked.append(time.perf_counter())
        elif query.sql in ("COMMIT", "ROLLBACK") and locked:
            held.append(time.perf_counter() - locked.pop())

    stop = database.on_query(watch)
    database.partition("function_logs", ahead=timedelta(days=60))
    stop()
    assert len(held) >= 18
    assert sorted(held)[scale(len(held) // 2, -1)] <= 0.1
