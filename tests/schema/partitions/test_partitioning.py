"""Partitions of the days to come: made when they are missing, wherever rows have gone meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from cloudpub_models import Component, Database, Function, FunctionLog, Managers, Partition, QueryEvent, User, errors
from cloudpub_models.entity import AutoField, Entity, TextField, TimestampField
from cloudpub_models.schema import create_all
from cloudpub_models.schema.catalogue.read import read_facts
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.drift.script import statements_of_database
from cloudpub_models.schema.row_security import switch_on as guard
from cloudpub_models.schema.search_index import faulty_tables, switch_off, switch_on
from tests.schema.roles import owned_by_program
from tests.waiting import wait_until

DAY = timedelta(days=1)


def row(function: Function, moment: datetime) -> Any:
    return {"function_id": function.id, "level": "info", "message": "m", "timestamp": moment}


def bounds(partitions: list[Partition]) -> list[tuple[datetime | None, datetime | None]]:
    return [(part.begin, part.end) for part in partitions]


def test_whoever_gives_a_table_partitions_knows_of_them_at_once(database: Database) -> None:
    assert not database.engine.is_partitioned("function_logs")
    database.partition("function_logs", "day")
    assert database.engine.is_partitioned("function_logs")


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@pytest.mark.usefixtures("keys_of_models")
def test_a_plain_table_has_none(database: Database) -> None:
    assert database.partitions("function_logs") == []
    for ask in (database.partitions, database.partition):
        with pytest.raises(errors.UnknownTableError, match="got 'functoin_logs': did you mean 'function_logs'"):
            ask("functoin_logs")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_on_sqlite_there_is_nothing_to_do(database: Database) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"got sqlite: there is nothing to do, prune\(\) deletes"):
        database.partition("function_logs", "day")


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_bad_arguments(database: Database) -> None:
    with pytest.raises(errors.InvalidValueError, match="expected width"):
        database.partition("function_logs", "week")  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidValueError, match="expected ahead"):
        database.partition("function_logs", ahead=timedelta(-1))
    with pytest.raises(errors.ConfigurationError, match="got functions: say partitioned_by"):
        database.partition("functions")
    with database.transaction():
        if database.dialect == "postgresql":
            with pytest.raises(errors.MigrationError, match="expected no open transaction"):
                database.partition("function_logs")


def test_again_it_makes_what_is_missing(lines: Managers, database: Database, statements: Any) -> None:
    assert len(database.partition("function_logs", "day", ahead=2 * DAY)) == 1
    parts = database.partitions("function_logs")
    assert [part.name for part in parts][::2] == ["function_logs_p_past", "function_logs_p_future"]
    assert parts[0].rows_estimate in (0, 100)
    assert parts[0].bytes > parts[-1].bytes > 0
    assert database.partition("function_logs", ahead=2 * DAY) == ()
    statements.clear()
    assert len(database.partition("function_logs", ahead=5 * DAY)) == 3
    assert not any("INSERT" in sql or "DETACH" in sql for sql in statements.sql)
    parts = database.partitions("function_logs")
    assert all(earlier.end == later.begin for earlier, later in pairwise(parts))
    assert parts[0].begin is None
    assert parts[-1].end is None
    assert lines.function_logs.count() == 100


def test_rows_that_came_before_their_partition(lines: Managers, database: Database, resize: Function) -> None:
    database.raw_execute("ALTER TABLE function_logs ADD shout TEXT GENERATED ALWAYS AS (upper(message)) STORED")
    database.partition("function_logs", ahead=DAY)
    begin = database.partitions("function_logs")[-1].begin
    assert begin is not None
    moments = [begin, begin + 3 * DAY, begin + 3 * DAY + timedelta(microseconds=1), datetime(2999, 1, 1, tzinfo=UTC)]
    lines.function_logs.batch_insert(row(resize, moment) for moment in moments for _ in range(2))
    before = lines.function_logs.find_all(order_by="id")
    made = database.partition("function_logs", ahead=20 * DAY)
    assert len(made) == 18
    assert lines.function_logs.find_all(order_by="id") == before
    counts = {
        part.name: database.raw_query_all(f"SELECT count(*) AS n FROM {part.name}")[0]["n"]
        for part in database.partitions("function_logs")
    }
    assert {name: n for name, n in counts.items() if n} == {
        "function_logs_p_past": 100,
        made[0]: 2,
        made[3]: 4,
        "function_logs_p_future": 2,
    }
    assert find_drift(database.engine, database.models) == []


def test_few_are_made_or_dropped_at_once_and_what_there_is_is_read_before(lines: Managers, database: Database) -> None:
    """Whoever waits for that waits no longer where there are many partitions than where there are few."""
    while_locked: list[list[str]] = []

    def watch(query: QueryEvent) -> None:
        if query.sql == "LOCK TABLE function_logs IN ACCESS EXCLUSIVE MODE":
            while_locked.append([])
        elif while_locked:
            while_locked[-1].append(query.sql if query.sql != "COMMIT" else "")

    database.partition("function_logs", "day", way="move", ahead=DAY)
    stop = database.on_query(watch)
    made = database.partition("function_logs", ahead=6 * DAY)
    making = [sqls[: sqls.index("")] for sqls in while_locked]
    while_locked.clear()
    lines.function_logs.prune(datetime.now(UTC))
    dropping = [sqls[: sqls.index("")] for sqls in while_locked]
    stop()
    assert len(making) == len(made) == 5
    assert len(dropping) >= 2
    # With the one without an end; with the one that they become.
    assert {sum("CREATE TABLE" in sql for sql in sqls) for sqls in making} == {2}
    assert all(sum(sql.count("function_logs_p_2") for sql in sqls if "DROP" in sql) <= 4 for sqls in dropping)
    assert not any("pg_total_relation_size" in sql for sqls in (*making, *dropping) for sql in sqls)


def test_partitions_that_somebody_changes_meanwhile(lines: Managers, database: Database, database_url: str) -> None:
    database.partition("function_logs", ahead=DAY)
    other, read = Database(database_url), []

    def take(query: QueryEvent) -> None:
        if "pg_total_relation_size" in query.sql:
            read.append(query.sql)
            # The first is for what is to be done, the second for what is about to be.
            if len(read) == 2:
                other.raw_execute("ALTER TABLE function_logs DETACH PARTITION function_logs_p_future")

    stop = database.on_query(take)
    with pytest.raises(errors.MigrationError, match="expected the partitions of function_logs to stay as they are"):
        database.partition("function_logs", ahead=9 * DAY)
    stop()
    # It is theirs.
    assert other.raw_query_all("SELECT count(*) AS n FROM function_logs_p_future") == [{"n": 0}]
    other.close()


def test_an_interrupted_split_is_made_again(
    lines: Managers, database: Database, resize: Function, interrupt: Callable[[str], None]
) -> None:
    database.partition("function_logs", ahead=DAY)
    lines.function_logs.insert(row(resize, datetime.now(UTC) + 5 * DAY))
    before = database.partitions("function_logs")
    interrupt("INSERT INTO function_logs_p_2")
    with pytest.raises(errors.ConnectionLostError):
        database.partition("function_logs", ahead=10 * DAY)
    assert bounds(database.partitions("function_logs")) == bounds(before)
    assert lines.function_logs.count() == 101
    assert database.partition("function_logs", ahead=10 * DAY)
    assert lines.function_logs.count() == 101


def test_another_width_is_refused(database: Database) -> None:
    database.partition("function_logs", "month")
    with pytest.raises(errors.ConfigurationError, match="of function_logs have, 'month'; got 'day': leave it out"):
        database.partition("function_logs", "day")
    assert database.partition("function_logs", "month") == ()


@pytest.mark.parametrize(
    ("kind", "partitions"),
    [
        ("LIST (level)", ["FOR VALUES IN ('info')"]),
        ("RANGE (timestamp)", ["DEFAULT"]),
        ("RANGE (timestamp)", ["FOR VALUES FROM ('2026-01-01') TO ('2026-01-08')"]),
    ],
)
def test_partitions_that_somebody_else_has_made(database: Database, kind: str, partitions: list[str]) -> None:
    database.raw_execute("ALTER TABLE function_logs RENAME TO plain_logs")
    database.raw_execute(f"CREATE TABLE function_logs (LIKE plain_logs INCLUDING DEFAULTS) PARTITION BY {kind}")
    for number, bound in enumerate(partitions):
        database.raw_execute(f"CREATE TABLE other_{number} PARTITION OF function_logs {bound}")
    assert [part.name for part in database.partitions("function_logs")] == ["other_0"]
    with pytest.raises(errors.ConfigurationError, match="leave them to what has made them"):
        database.partition("function_logs")


class Reading(Entity):
    """A table of a component's own, with a name that has to be quoted and parts whose names are cut."""

    id = AutoField()
    place = TextField()
    taken_at = TimestampField(column_name="takenAt")

    class Meta:
        """Table and partitions."""

        table_name = "Readings_of_the_thermometers_that_stand_in_the_glass_houses"
        partitioned_by = "taken_at"
        indexes = ((("place", "taken_at"), True),)


def test_a_table_of_ones_own(empty_postgresql_url: str) -> None:
    database = Database(empty_postgresql_url, components=(Component("garden", [Reading]),), platform=False)
    create_all(database.engine, [Reading])
    readings = Managers(database).for_model(Reading)
    table = Reading._meta.table_name
    readings.batch_insert({"place": f"house {n}"} for n in range(10))
    assert len(database.partition(table, "month", ahead=60 * DAY)) >= 2
    parts = database.partitions(table)
    assert all(len(part.name) <= 63 for part in parts)
    assert readings.count() == 10
    # What was unique with the moment is so in every partition.
    first = readings.find_all(order_by="id", limit=1)[0]
    with pytest.raises(errors.UniqueViolationError):
        readings.insert({"place": first.place, "taken_at": first.taken_at})
    assert find_drift(database.engine, database.models) == []
    assert database.partition(table, ahead=90 * DAY)
    database.close()


# What else is switched on and off goes on as before.


def test_changes_are_recorded_in_partitions(lines: Managers, database: Database, resize: Function) -> None:
    logs = lines.function_logs
    database.history.enable(also=["function_logs"])
    database.partition("function_logs")
    assert "function_logs" in database.history.tables
    assert database.history.faulty_tables() == ()
    first = logs.append(resize, "info", "first")
    logs.update_by_id(first.id, {"message": "second"})
    moved = logs.update_by_id(first.id, {"timestamp": datetime.now(UTC) + 5 * DAY})
    assert moved is not None
    logs.delete_by_id(first.id)
    told = [change.operation for change in logs.history(first.id)]
    assert told[0] == "delete"
    assert told[-1] == "insert"
    assert database.migrate() == []
    database.partition("function_logs", ahead=30 * DAY)
    assert database.history.faulty_tables() == ()
    assert "function_logs" in database.history.disable()
    logs.append(resize, "info", "not recorded")
    # Switched on for a table that has partitions already.
    database.history.enable(also=["function_logs"])
    assert database.history.faulty_tables() == ()
    again = logs.append(resize, "info", "recorded")
    assert [change.operation for change in logs.history(again.id)] == ["insert"]


@pytest.mark.parametrize("first", ["index", "partitions"])
def test_words_are_found_in_partitions(lines: Managers, database: Database, resize: Function, first: str) -> None:
    for step in (first, "partitions" if first == "index" else "index"):
        if step == "index":
            assert switch_on(database.engine, [FunctionLog]) == ("function_logs",)
        else:
            database.partition("function_logs")
    lines.function_logs.append(resize, "error", "worker-7: out of memory")
    lines.function_logs.insert(row(resize, datetime.now(UTC) + 5 * DAY) | {"message": "memory again"})
    database.partition("function_logs", ahead=30 * DAY)
    assert faulty_tables(database.engine, database.models) == []
    found = lines.function_logs.search("memory", function=resize).items
    assert [line.message for line in found] == ["memory again", "worker-7: out of memory"]
    assert find_drift(database.engine, database.models) == []
    assert switch_on(database.engine, [FunctionLog]) == ()
    assert switch_off(database.engine, [FunctionLog]) == ("function_logs",)
    assert switch_off(database.engine, [FunctionLog]) == ()
    left = database.raw_query_all("SELECT 1 AS n FROM pg_class WHERE relname LIKE '%search%' AND relkind IN ('i', 'I')")
    assert left == []


def test_an_interrupted_index_of_words_is_made_anew(
    lines: Managers, database: Database, interrupt: Callable[[str], None]
) -> None:
    database.partition("function_logs", ahead=3 * DAY)
    part = database.partitions("function_logs")[1].name
    interrupt(f"ON {part} USING gin")
    # Outside a transaction the library connects anew, and may go on.
    with suppress(errors.ConnectionLostError, errors.MigrationError):
        switch_on(database.engine, [FunctionLog])
    switch_on(database.engine, [FunctionLog])
    assert faulty_tables(database.engine, database.models) == []


def test_row_security_holds_partitions(lines: Managers, database: Database, database_url: str) -> None:
    program = Database(owned_by_program(database_url), row_security=True)
    guard(program.engine, program.models, User)
    managers, ada = Managers(program), lines.users.find_one()
    assert ada is not None
    grace = lines.users.insert({"email": "grace@example.com", "password_hash": "…"})
    for _ in range(2):
        assert program.raw_query_all("SELECT count(*) AS n FROM function_logs") == [{"n": 0}]
        assert managers.owned_by(grace).function_logs.count() == 0
        assert managers.owned_by(ada).function_logs.count() == 100
        database.partition("function_logs")
    program.close()


def test_a_schema_that_is_written_down_makes_partitions(
    lines: Managers, database: Database, empty_postgresql_url: str
) -> None:
    database.partition("function_logs")
    other = Database(empty_postgresql_url)
    for statement in statements_of_database(database.engine):
        other.raw_execute(statement)
    assert bounds(other.partitions("function_logs")) == bounds(database.partitions("function_logs"))
    assert find_drift(other.engine, other.models) == []
    other.close()


def test_rows_are_counted_over_partitions(lines: Managers, database: Database) -> None:
    database.partition("function_logs")
    database.raw_execute("ANALYZE function_logs")
    facts = read_facts(database.engine)
    assert facts.rows["function_logs"] == 100
    assert "function_logs_p_past" not in facts.rows


def test_ids_go_on_behind_those_that_were_loaded(lines: Managers, database: Database, resize: Function) -> None:
    database.partition("function_logs")
    lines.function_logs.insert(row(resize, datetime.now(UTC)) | {"id": 5_000})
    database.engine.continue_ids("function_logs", "id")
    assert lines.function_logs.append(resize, "info", "m").id == 5_001


def test_rows_are_known_by_uuid_and_moment(lines: Managers, database: Database, resize: Function) -> None:
    database.partition("function_logs")
    line = lines.function_logs.append(resize, "info", "m")
    again = row(resize, line.timestamp) | {"uuid": line.uuid}
    with pytest.raises(errors.UniqueViolationError):
        lines.function_logs.insert(again)
    assert lines.function_logs.batch_insert([again], on_conflict="ignore") == 0
    assert lines.function_logs.upsert(again | {"level": "warn"}, ["uuid", "timestamp"]).id == line.id
    with pytest.raises(errors.InvalidQueryError, match="one of the table's unique constraints, all of them"):
        lines.function_logs.upsert(again, ["uuid"])
    assert lines.function_logs.count() == 101


@pytest.mark.alone
@pytest.mark.parametrize("way", ["attach", "move"])
def test_nobody_who_writes_waits_for_long(
    database: Database,
    database_url: str,
    managers: Managers,
    resize: Function,
    way: Any,
    scale: Callable[[int, int], int],
) -> None:
    """Whoever would wait for longer fails, who writes or reads lines or functions. In a soak it is a year of days."""
    begin = datetime.now(UTC) - scale(30, 365) * DAY
    managers.function_logs.batch_insert(row(resize, begin + number * timedelta(hours=4)) for number in range(100))
    done = threading.Event()
    waited: list[BaseException] = []
    counts = {"function_logs": 0, "functions": 0}

    def write(table: str, milliseconds: int) -> None:
        own = Database(database_url, lock_timeout=milliseconds / 1000)
        try:
            while not done.is_set():
                if table == "function_logs":
                    line = Managers(own).function_logs.append(resize, "new", "meanwhile")
                    assert Managers(own).function_logs.find_by_id(line.id) == line
                else:
                    Managers(own).functions.update_by_id(resize.id, {"status": "active"})
                    assert Managers(own).functions.count() == 1
                counts[table] += 1
                time.sleep(0.002)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            waited.append(error)
        finally:
            own.close()

    # With room where the machine is anybody's.
    milliseconds = scale(500, 100)
    writers = [threading.Thread(target=write, args=(table, milliseconds)) for table in counts]
    for writer in writers:
        writer.start()
    wait_until(lambda: waited or min(counts.values()) > 3)
    made = database.partition("function_logs", "day", way=way)
    done.set()
    for writer in writers:
        writer.join()
    assert [repr(error) for error in waited] == []
    assert len(made) >= (scale(30, 365) if way == "move" else 0)
    assert managers.function_logs.count({"level": "new"}) == counts["function_logs"]
