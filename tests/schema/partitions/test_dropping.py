"""Old rows thrown away with their partitions: counted exactly, and never kept from who writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, errors
from cloudpub_models.models import User
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.partitions import dropping
from cloudpub_models.schema.row_security import switch_on
from tests.schema.partitions.days import DAY, with_days
from tests.schema.roles import owned_by_program
from tests.waiting import wait_until

# Eight days back, a row for each hour of each.
DAYS, EACH = 8, 24


class Old:
    """A table of lines that was given partitions long ago."""

    def __init__(self, managers: Managers, resize: Function) -> None:
        self.managers, self.database, self.function = managers, managers.database, resize
        self.begin = with_days(self.database, "function_logs", DAYS)
        # Two days of the first partition, too.
        self.add(self.begin - 2 * DAY + timedelta(hours=n) for n in range((DAYS + 2) * EACH))

    def add(self, moments: Any) -> None:
        self.managers.function_logs.batch_insert(
            {"function_id": self.function.id, "level": "info", "message": "m", "timestamp": moment}
            for moment in moments
        )

    def names(self) -> list[str]:
        return [part.name for part in self.database.partitions("function_logs")]


@pytest.fixture
def old(managers: Managers, resize: Function) -> Old:
    return Old(managers, resize)


@pytest.fixture
def another(database_url: str) -> Iterator[Database]:
    other = Database(database_url)
    yield other
    other.close()


def test_partitions_go_and_the_rest_is_deleted_and_all_is_counted(old: Old, statements: Any) -> None:
    progress: list[int] = []
    logs, cutoff = old.managers.function_logs, old.begin + 5 * DAY + timedelta(hours=10)
    statements.clear()
    assert logs.prune(cutoff, 6, progress=progress.append) == 7 * EACH + 10
    assert progress == [48, 72, 96, 120, 144, 168, 174, 178]
    assert sum("TRUNCATE" in sql for sql in statements.sql) == 6
    deletes = [sql for sql in statements.sql if sql.startswith("DELETE")]
    assert len(deletes) == 2
    # The statement says where its rows are, so that it reads no other partition.
    assert all(sql.count("timestamp < ") == 2 for sql in deletes)
    assert logs.count() == (DAYS - 5) * EACH - 10
    assert old.names()[:2] == ["function_logs_p_past", f"function_logs_p_{old.begin + 5 * DAY:%Y%m%d}"]
    assert logs.prune(cutoff) == 0
    assert find_drift(old.database.engine, old.database.models) == []


def test_rows_that_come_late_find_a_partition_and_go_next_time(old: Old) -> None:
    logs, cutoff = old.managers.function_logs, old.begin + 5 * DAY
    assert logs.prune(cutoff) == 7 * EACH
    late = [datetime(2001, 1, 1, tzinfo=UTC), old.begin, cutoff - timedelta(microseconds=1)]
    old.add(late)
    assert logs.count({"timestamp": late}) == 3
    assert logs.prune(cutoff + DAY) == EACH + 3
    assert old.names()[1] == f"function_logs_p_{cutoff + DAY:%Y%m%d}"


def test_an_id_that_is_there_twice_is_not_taken_for_the_other(old: Old) -> None:
    """What is unique in a partitioned table is an id with a moment."""
    logs = old.managers.function_logs
    first, last = logs.find_one(order_by="timestamp"), logs.find_one(order_by="-timestamp")
    assert first is not None
    assert last is not None
    old.database.raw_execute(
        "UPDATE function_logs SET id = @id WHERE uuid = @uuid", {"id": first.id, "uuid": last.uuid}
    )
    with old.database.transaction():
        assert logs.prune(old.begin) == 2 * EACH
    assert logs.find_by_uuid(last.uuid) is not None


def test_inside_a_transaction_rows_are_deleted(old: Old, statements: Any) -> None:
    with old.database.transaction():
        assert old.managers.function_logs.prune(old.begin + 5 * DAY) == 7 * EACH
    assert not any("TRUNCATE" in sql or "DROP" in sql for sql in statements.sql)
    assert len(old.names()) == DAYS + 4


def test_who_does_not_own_the_table_deletes(old: Old, database_url: str) -> None:
    program = Database(owned_by_program(database_url))
    old.database.raw_execute("ALTER TABLE function_logs OWNER TO CURRENT_USER")
    old.database.raw_execute("GRANT ALL ON function_logs TO cloudpub_program")
    names = old.names()
    assert Managers(program).function_logs.prune(old.begin + 5 * DAY) == 7 * EACH
    program.close()
    assert old.names() == names


def test_where_deletions_are_recorded_they_are_deletions(old: Old) -> None:
    old.database.history.enable(also=["function_logs"])
    names = old.names()
    assert old.managers.function_logs.prune(old.begin + 5 * DAY) == 7 * EACH
    row = old.database.raw_query_single("SELECT count(*) AS n FROM changes WHERE operation = 'D'")
    assert row == {"n": 7 * EACH}
    assert old.names() == names


def test_where_others_refer_to_it_rows_are_deleted(old: Old) -> None:
    old.database.raw_execute(
        "CREATE TABLE notes (id INTEGER, moment TIMESTAMP, "
        "FOREIGN KEY (id, moment) REFERENCES function_logs (id, timestamp) ON DELETE CASCADE)"
    )
    old.database.raw_execute("INSERT INTO notes SELECT id, timestamp FROM function_logs")
    assert old.managers.function_logs.prune(old.begin + 5 * DAY) == 7 * EACH
    assert old.database.raw_query_single("SELECT count(*) AS n FROM notes") == {"n": (DAYS - 5) * EACH}


def test_triggers_that_were_told_before_are_in_nobodys_way(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    old.database.raw_execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE check_violation; END'"
    )
    old.database.raw_execute(
        "CREATE TRIGGER watch AFTER DELETE ON function_logs FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
    )
    monkeypatch.setattr(type(old.managers.function_logs), "_triggers_told", frozenset({"watch", "another"}))
    names = old.names()
    with pytest.raises(errors.CheckViolationError):
        old.managers.function_logs.prune(old.begin + 5 * DAY)
    assert len(old.names()) < len(names)


def test_row_security_goes_on_holding(old: Old, database_url: str) -> None:
    url = owned_by_program(database_url)
    program = Database(url, row_security=True)
    switch_on(program.engine, program.models, User)
    managers, ada = Managers(program), old.managers.users.find_one()
    assert ada is not None
    grace = old.managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    assert managers.owned_by(grace).function_logs.prune(old.begin + 5 * DAY) == 0
    assert managers.owned_by(ada).function_logs.prune(old.begin + DAY) == 3 * EACH
    assert managers.unrestricted("old").function_logs.prune(old.begin + 5 * DAY) == 4 * EACH
    program.close()
    assert len(old.names()) == DAYS + 4


def test_inserts_do_not_wait_beside_a_long_read(old: Old, another: Database, database_url: str) -> None:
    """The reader stays; whoever waited for it would fail."""
    writer = Database(database_url, lock_timeout=0.2)
    logs, cutoff = old.managers.function_logs, old.begin + 5 * DAY
    pruned: list[int] = []
    with another.transaction() as reader:
        reader.execute("SELECT count(*) FROM function_logs")
        pruning = threading.Thread(target=lambda: pruned.append(logs.prune(cutoff)))
        pruning.start()
        waits = "SELECT 1 AS n FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
        wait_until(lambda: writer.raw_query_all(waits))
        for _ in range(20):
            Managers(writer).function_logs.append(old.function, "new", "meanwhile")
    pruning.join()
    writer.close()
    assert pruned == [7 * EACH]
    assert logs.count({"level": "new"}) == 20


def test_what_is_never_free_is_deleted(old: Old, another: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropping, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(dropping, "_READERS_MILLISECONDS", 5)
    with another.transaction() as reader:
        reader.execute("SELECT count(*) FROM function_logs")
        assert old.managers.function_logs.prune(old.begin + 5 * DAY) == 7 * EACH
    assert len(old.names()) == DAYS + 4
    # Next time they are empty, and made one.
    assert old.managers.function_logs.prune(old.begin + 5 * DAY) == 0
    assert len(old.names()) == DAYS - 1


def test_several_prune_at_once(old: Old, database_url: str) -> None:
    counts: list[int] = []

    def prune() -> None:
        database = Database(database_url)
        counts.append(Managers(database).function_logs.prune(old.begin + 6 * DAY))
        database.close()

    threads = [threading.Thread(target=prune) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == 4
    assert sum(counts) == 8 * EACH
    assert old.managers.function_logs.count() == 2 * EACH


def test_one_that_is_dropped_while_partitions_are_listed_is_none_of_them(old: Old, another: Database) -> None:
    names = old.names()
    with another.transaction(isolation="REPEATABLE READ"):
        another.raw_query_all("SELECT 1")
        old.database.raw_execute(f"DROP TABLE {names[1]}")
        # What the transaction sees is from before, what the server tells of it is not.
        (seen,) = another.raw_query_all("SELECT 1 AS there FROM pg_class WHERE relname = @name", {"name": names[1]})
        assert seen["there"]
        assert [part.name for part in another.partitions("function_logs")] == [names[0], *names[2:]]


def test_rollups_keep_the_statistics_of_what_goes(managers: Managers, resize: Function) -> None:
    begin = with_days(managers.database, "function_invocations", 4)
    invocations = managers.function_invocations
    invocations.batch_insert(
        {"function_id": resize.id, "status": "success", "duration_ms": 5, "timestamp": begin + n * DAY / 10}
        for n in range(40)
    )
    invocations.enable_rollups()
    assert invocations.prune(begin + 2 * DAY) == 20
    # No row was deleted by itself.
    assert len(managers.database.partitions("function_invocations")) == 4 + 4 - 2
    reader = Database(managers.database.engine.database, rollups=True)
    assert Managers(reader).function_invocations.get_function_stats(resize.id, begin - DAY).total == 40
    reader.close()
