"""A table that becomes the first partition: nothing is lost, nobody waits, and all that it had it still has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, errors
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.partitions import attaching, partitioning
from tests.schema.roles import owned_by_program
from tests.waiting import wait_until

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(@name) AND attnum > 0 AND NOT attisdropped"
# What a table has beside its rows, in its server's words.
PARTS = """
    SELECT 'index' AS kind, i.relname::text AS name FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = to_regclass(@name)
    UNION ALL SELECT 'constraint', conname::text FROM pg_constraint
    WHERE conrelid = to_regclass(@name) AND contype <> 'n'
    UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger WHERE tgrelid = to_regclass(@name) AND NOT tgisinternal
    UNION ALL SELECT 'policy', concat(polname, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    FROM pg_policy WHERE polrelid = to_regclass(@name)
    UNION ALL SELECT 'rights', unnest(relacl)::text FROM pg_class WHERE oid = to_regclass(@name)
    UNION ALL SELECT 'row security', concat(relrowsecurity, relforcerowsecurity) FROM pg_class
    WHERE oid = to_regclass(@name)
    UNION ALL SELECT 'comment', obj_description(to_regclass(@name), 'pg_class')
    UNION ALL SELECT 'comment', col_description(to_regclass(@name), 5)
    ORDER BY 1, 2
"""
# What a table may have of its own, beside what its model gives it.
EVERYTHING = (
    "CREATE INDEX levels ON function_logs (lower(level)) WHERE level <> 'in''fo%'",
    "ALTER TABLE function_logs ADD CONSTRAINT levels CHECK (level <> '100%')",
    "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER each_row BEFORE UPDATE ON function_logs FOR EACH ROW EXECUTE FUNCTION seen()",
    "CREATE TRIGGER at_once AFTER INSERT ON function_logs REFERENCING NEW TABLE AS added "
    "FOR EACH STATEMENT EXECUTE FUNCTION seen()",
    "GRANT SELECT, INSERT ON function_logs TO pg_monitor WITH GRANT OPTION",
    "GRANT UPDATE (level) ON function_logs TO PUBLIC",
    "ALTER TABLE function_logs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON function_logs FOR SELECT TO pg_monitor USING (level = 'info')",
    "COMMENT ON TABLE function_logs IS 'what they''ve said: 100%'",
    "COMMENT ON COLUMN function_logs.message IS 'a text'",
)


def parts_of(database: Database, table: str) -> list[dict[str, Any]]:
    return database.raw_query_all(PARTS, {"name": table})


def is_partitioned(database: Database, table: str = "function_logs") -> bool:
    return bool(database.partitions(table))


def test_all_that_a_table_has_it_still_has(lines: Managers, database: Database, resize: Function) -> None:
    for statement in EVERYTHING:
        database.raw_execute(statement)
    before, columns = parts_of(database, "function_logs"), database.raw_query_all(COLUMNS, {"name": "function_logs"})
    rows = lines.function_logs.find_all(order_by="id")
    assert database.partition("function_logs")[0] == f"function_logs_p_{until(database):%Y%m%d}"
    assert parts_of(database, "function_logs") == before
    assert database.raw_query_all(COLUMNS, {"name": "function_logs"}) == columns
    assert lines.function_logs.find_all(order_by="id") == rows
    assert find_drift(database.engine, database.models) == []
    # The numbers go on where they were.
    assert lines.function_logs.append(resize, "info", "one more").id == 101
    row = database.raw_query_single("SELECT pg_get_serial_sequence('function_logs', 'id') AS name")
    assert row == {"name": "public.function_logs_id_seq"}


def until(database: Database) -> datetime:
    end = database.partitions("function_logs")[0].end
    assert end is not None
    return end


def test_nothing_is_copied_and_no_row_is_read_under_the_lock(lines: Managers, database: Database) -> None:
    before = database.raw_query_all("SELECT relfilenode FROM pg_class WHERE relname = 'function_logs'")
    reads = "SELECT sum(seq_tup_read) AS n FROM pg_stat_xact_user_tables WHERE relname LIKE 'function_logs%'"
    found: list[dict[str, Any]] = []

    def watch(query: Any) -> None:
        if query.sql.endswith("RENAME TO function_logs_p_past") or "ATTACH PARTITION" in query.sql:
            found.extend(database.raw_query_all(reads))

    stop = database.on_query(watch)
    database.partition("function_logs")
    stop()
    before_attaching, after = found
    assert after == before_attaching
    assert database.raw_query_all("SELECT relfilenode FROM pg_class WHERE relname = 'function_logs_p_past'") == before


def test_every_row_finds_a_partition(lines: Managers, database: Database, resize: Function) -> None:
    database.partition("function_logs", "month", ahead=timedelta(0))
    moments = [datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), FOREVER, until(database)]
    for moment in moments:
        row = {"function_id": resize.id, "level": "info", "message": "m", "timestamp": moment}
        assert lines.function_logs.insert(row).timestamp == moment
    lines.function_logs.batch_insert([row, row])
    assert lines.function_logs.count() == 106
    assert lines.functions.delete_by_id(resize.id)
    assert lines.function_logs.count() == 0


def test_under_load_nothing_is_lost_and_nothing_doubled(
    managers: Managers, database: Database, database_url: str, resize: Function, scale: Callable[[int, int], int]
) -> None:
    rows = scale(2_000, 1_000_000)
    managers.function_logs.batch_insert(
        {"function_id": resize.id, "level": "old", "message": str(n)} for n in range(rows)
    )
    done, written, counts = threading.Event(), [[0], [0], [0]], [0]
    failures: list[Exception] = []

    def work(step: Callable[[Managers], None]) -> None:
        mine = Database(database_url)
        try:
            while not done.is_set():
                step(Managers(mine))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            failures.append(error)
        finally:
            mine.close()

    def write(number: int) -> Callable[[Managers], None]:
        def step(mine: Managers) -> None:
            mine.function_logs.append(resize, f"writer {number}", str(written[number][0]))
            written[number][0] += 1

        return step

    def read(mine: Managers) -> None:
        count = mine.function_logs.count()
        assert count >= counts[0]
        counts[0] = count

    threads = [threading.Thread(target=work, args=(step,)) for step in (write(0), write(1), write(2), read)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: failures or all(count for (count,) in written))
        database.partition("function_logs")
        at_the_end = [count for (count,) in written]
        # They go on in the partitioned table.
        wait_until(
            lambda: failures or all(count > before for (count,), before in zip(written, at_the_end, strict=True))
        )
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    for number, (count,) in enumerate(written):
        found = [line.message for line in managers.function_logs.find_all({"level": f"writer {number}"}, order_by="id")]
        assert found == [str(each) for each in range(count)]
    assert managers.function_logs.count({"level": "old"}) == rows
    assert find_drift(database.engine, database.models) == []


@pytest.mark.parametrize(
    "words", ["CREATE UNIQUE INDEX", "_uuid_key ON", "NOT VALID", "VALIDATE", "RENAME TO", "ATTACH", "PARTITION OF"]
)
def test_an_interrupted_run_is_run_again(
    lines: Managers, database: Database, interrupt: Callable[[str], None], words: str, resize: Function
) -> None:
    interrupt(words)
    # Outside a transaction the library connects anew, and finds that the lock is gone.
    with pytest.raises((errors.ConnectionLostError, errors.MigrationError)):
        database.partition("function_logs")
    assert lines.function_logs.count() == 100
    lines.function_logs.append(resize, "info", "meanwhile")
    database.partition("function_logs")
    assert lines.function_logs.count() == 101
    assert find_drift(database.engine, database.models) == []
    assert database.raw_query_all("SELECT 1 AS n FROM pg_constraint WHERE conname LIKE '%p_check'") == []
    assert database.raw_query_all("SELECT 1 AS n FROM pg_index WHERE NOT indisvalid") == []
    assert len(database.partitions("function_logs")) == 15


def test_a_run_that_fails_leaves_no_check_behind(
    lines: Managers, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(attaching, "_change_places", fail)
    with pytest.raises(KeyboardInterrupt):
        database.partition("function_logs")
    assert not is_partitioned(database)
    assert database.raw_query_all("SELECT 1 AS n FROM pg_constraint WHERE conname LIKE '%p_check'") == []


def test_rows_of_the_future_are_named(lines: Managers, database: Database, resize: Function) -> None:
    row = {"function_id": resize.id, "level": "info", "message": "m", "timestamp": FOREVER}
    lines.function_logs.insert(row)
    with pytest.raises(errors.MigrationError, match=r"expected no rows of function_logs from .* got one of 9999-01-01"):
        database.partition("function_logs")
    assert not is_partitioned(database)


def test_rows_of_the_future_that_come_meanwhile(
    lines: Managers, database: Database, resize: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_index = attaching._make_index

    def insert_meanwhile(*arguments: Any) -> None:
        make_index(*arguments)
        row = {"function_id": resize.id, "level": "info", "message": "m", "timestamp": FOREVER}
        lines.function_logs.insert(row)

    monkeypatch.setattr(attaching, "_make_index", insert_meanwhile)
    with pytest.raises(errors.MigrationError, match="got one of 9999-01-01"):
        database.partition("function_logs")
    assert database.raw_query_all("SELECT 1 AS n FROM pg_constraint WHERE conname LIKE '%p_check'") == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("CREATE VIEW loud AS SELECT upper(message) FROM function_logs", "loud, which reads it"),
        ("CREATE UNIQUE INDEX once ON function_logs (lower(message))", "the unique index once, whose columns"),
        (
            "CREATE TABLE notes (log_id INTEGER REFERENCES function_logs (id))",
            "the reference notes_log_id_fkey of notes to it",
        ),
        ("ALTER TABLE function_logs ADD EXCLUDE (message WITH =)", "the exclusion function_logs_message_excl"),
        (
            "CREATE TABLE more () INHERITS (function_logs)",
            "the table more, which inherits from it or it from that",
        ),
    ],
)
def test_what_a_partitioned_table_cannot_have(lines: Managers, database: Database, statement: str, told: str) -> None:
    database.raw_execute(statement)
    with pytest.raises(errors.ConfigurationError, match=f"got function_logs with {told}"):
        database.partition("function_logs")
    assert not is_partitioned(database)


def test_another_role_is_told_who_can(lines: Managers, database_url: str) -> None:
    program = Database(owned_by_program(database_url))
    try:
        program.raw_execute("GRANT ALL ON function_logs TO PUBLIC")
        owner = Database(database_url)
        owner.raw_execute("ALTER TABLE function_logs OWNER TO CURRENT_USER")
        owner.close()
        with pytest.raises(
            errors.ConfigurationError, match="expected the owner of function_logs, .* connect as postgres"
        ):
            program.partition("function_logs")
        assert not is_partitioned(program)
    finally:
        program.close()


def test_the_partitions_are_the_owners_whoever_makes_them(
    lines: Managers, database: Database, database_url: str
) -> None:
    program = Database(owned_by_program(database_url))
    try:
        assert len(database.partition("function_logs")) == 13
        owners = database.raw_query_all(
            "SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relname LIKE 'function_logs%'"
        )
        assert owners == [{"owner": "cloudpub_program"}]
        Managers(program).function_logs.prune(timedelta(days=1))
        assert program.partition("function_logs", ahead=timedelta(days=20))
    finally:
        program.close()


def test_a_table_that_is_never_free(lines: Managers, database: Database, database_url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(partitioning, "_LOCK_TIMEOUT_SECONDS", 0.3)
    other = Database(database_url)
    with other.transaction() as reader:
        reader.execute("SELECT count(*) FROM function_logs")
        with pytest.raises(errors.LockNotAvailableError, match="expected function_logs to be free for a moment"):
            database.partition("function_logs")
        # Whoever writes has not been kept waiting, nor is anything left of it.
        assert lines.function_logs.count() == 100
    other.close()
    assert database.raw_query_all("SELECT 1 AS n FROM pg_constraint WHERE conname LIKE '%p_check'") == []
    assert database.partition("function_logs")


@pytest.mark.alone
def test_nobody_is_kept_out_for_long(lines: Managers, database: Database, scale: Callable[[int, int], int]) -> None:
    """From the lock to the commit: what anybody waits at most, once it is had; each of them in a soak."""
    locked: list[float] = []
    held: list[float] = []

    def watch(query: Any) -> None:
        if query.sql.endswith("IN ACCESS EXCLUSIVE MODE"):
            locked.append(time.perf_counter())
        elif query.sql in ("COMMIT", "ROLLBACK") and locked:
            held.append(time.perf_counter() - locked.pop())

    stop = database.on_query(watch)
    database.partition("function_logs", ahead=timedelta(days=60))
    stop()
    assert len(held) >= 15
    assert sorted(held)[scale(len(held) // 2, -1)] <= 0.1
