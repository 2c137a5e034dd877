"""Each change is noted, whatever makes it, and made up for; later it is written at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Database, Function, Managers
from cloudpub_models.schema.partitions.journal import Journal
from cloudpub_models.schema.partitions.statements import PartitionedTable

NOTED = "SELECT id, count(*) AS n FROM function_logs_p_journal GROUP BY id ORDER BY id"


@pytest.fixture
def journal(lines: Managers, database: Database) -> Iterator[Journal]:
    """The journal of the hundred lines, beside an equal copy."""
    journal = Journal(PartitionedTable("function_logs", "timestamp"), "id")
    database.raw_execute("CREATE TABLE function_logs_p_new (LIKE function_logs)")
    database.raw_execute("INSERT INTO function_logs_p_new SELECT * FROM function_logs")
    with database.transaction():
        journal.make(database.engine)
        journal.begin(database.engine)
    yield journal
    with database.transaction():
        journal.end(database.engine, "function_logs")
        journal.drop(database.engine)


def noted(database: Database) -> list[int]:
    return [row["id"] for row in database.raw_query_all(NOTED)]


def make_up(database: Database, journal: Journal, copied: str = "true") -> None:
    with database.transaction():
        journal.make_up(database.engine, copied)


def is_equal(database: Database) -> bool:
    table, copy = (
        database.raw_query_all(f"SELECT * FROM {name} ORDER BY id") for name in ("function_logs", "function_logs_p_new")
    )
    return table == copy


def change(lines: Managers, resize: Function) -> set[int]:
    """Change rows in each way, and return their ids."""
    logs = lines.function_logs
    added = logs.append(resize, "info", "added")
    row = {"function_id": resize.id, "level": "info", "message": "m", "timestamp": added.timestamp}
    copied = logs.batch_insert([row] * 2, returning=True)
    logs.update({"message": "changed"}, {"id": [1, 2]})
    logs.update_by_id(3, {"timestamp": datetime(2026, 1, 1, tzinfo=UTC)})
    logs.delete_by_id(4)
    lines.database.raw_execute("UPDATE function_logs SET id = 1005 WHERE id = 5")
    logs.upsert({**row, "uuid": added.uuid, "message": "again"}, ["uuid"])
    return {added.id, *(line.id for line in copied), 1, 2, 3, 4, 5, 1005}


def test_changes_are_noted_and_made_up_for(
    lines: Managers, database: Database, resize: Function, journal: Journal
) -> None:
    changed = change(lines, resize)
    assert set(noted(database)) == changed
    assert journal.is_longer_than(database.engine, 0)
    assert not is_equal(database)
    make_up(database, journal)
    assert is_equal(database)
    assert not journal.is_longer_than(database.engine, 0)


def test_what_is_not_kept_is_not_noted(lines: Managers, database: Database, journal: Journal) -> None:
    with pytest.raises(KeyError), database.transaction():
        lines.function_logs.delete_by_id(1)
        raise KeyError
    assert noted(database) == []


def test_rows_that_are_to_be_copied_yet_are_left_out(lines: Managers, database: Database, journal: Journal) -> None:
    lines.function_logs.update({"message": "changed"}, {"id": [1, 99]})
    make_up(database, journal, "id <= 50")
    assert database.raw_query_all("SELECT id FROM function_logs_p_new WHERE id IN (1, 99)") == [{"id": 1}]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_table_that_is_emptied(
    lines: Managers, database: Database, resize: Function, journal: Journal, at_once: bool
) -> None:
    if at_once:
        with database.transaction():
            journal.write_at_once(database.engine)
    lines.function_logs.append(resize, "info", "gone")
    database.raw_execute("TRUNCATE function_logs")
    lines.function_logs.append(resize, "info", "there")
    if not at_once:
        make_up(database, journal)
    assert is_equal(database)
    assert lines.function_logs.count() == 1


def test_changes_are_written_at_once(lines: Managers, database: Database, resize: Function, journal: Journal) -> None:
    with database.transaction():
        journal.write_at_once(database.engine)
    change(lines, resize)
    assert noted(database) == []
    assert is_equal(database)
    assert lines.functions.delete_by_id(resize.id)
    assert is_equal(database)


def test_changes_are_written_where_their_rows_are(
    lines: Managers, database: Database, resize: Function, journal: Journal
) -> None:
    edge = lines.function_logs.get_by_id(50).timestamp
    database.raw_execute("CREATE TABLE function_logs_p_whole (LIKE function_logs)")
    copies = (("whole", "timestamp < @edge"), ("new", "timestamp >= @edge"))
    with database.transaction():
        since = journal.write_at_once(database.engine)
        database.raw_execute(
            f"INSERT INTO function_logs_p_whole SELECT * FROM function_logs WHERE {copies[0][1]}", {"edge": edge}
        )
        database.raw_execute(f"DELETE FROM function_logs_p_new WHERE {copies[0][1]}", {"edge": edge})
        journal.write_into_both(database.engine, since, edge)

    def is_equal() -> bool:
        return all(
            database.raw_query_all(f"SELECT * FROM function_logs_p_{name} ORDER BY id")
            == database.raw_query_all(f"SELECT * FROM function_logs WHERE {condition} ORDER BY id", {"edge": edge})
            for name, condition in copies
        )

    change(lines, resize)
    lines.function_logs.update_by_id(99, {"message": "of the whole"})
    # From the one to the other, and back.
    for number, days in ((98, 1), (10, -200)):
        lines.function_logs.update_by_id(number, {"timestamp": edge + timedelta(days=days)})
    assert is_equal()
    lines.function_logs.delete({"id": [2, 97, 98]})
    assert is_equal()
    assert noted(database) == []
    with database.transaction():
        database.raw_execute("INSERT INTO function_logs_p_whole SELECT * FROM function_logs_p_new")
        database.raw_execute("DELETE FROM function_logs_p_new")
        journal.write_into_both(database.engine, since, None)
    change(lines, resize)
    table, whole = [
        database.raw_query_all(f"SELECT * FROM {name} ORDER BY id")
        for name in ("function_logs", "function_logs_p_whole")
    ]
    assert table == whole
    assert database.raw_query_all("SELECT 1 AS n FROM function_logs_p_new") == []
    database.raw_execute("TRUNCATE function_logs")
    assert database.raw_query_all("SELECT 1 AS n FROM function_logs_p_whole") == []


def test_a_role_that_may_only_write_the_table(lines: Managers, database: Database, journal: Journal) -> None:
    with database.transaction():
        database.raw_execute("GRANT SELECT, UPDATE ON function_logs TO pg_monitor")
        database.raw_execute("SET LOCAL ROLE pg_monitor")
        database.raw_execute("UPDATE function_logs SET level = 'y' WHERE id = 8")
        database.raw_execute("RESET ROLE")
    assert 8 in noted(database)
