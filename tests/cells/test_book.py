"""What is written down, where, and who may read it."""

from __future__ import annotations

from uuid import uuid4

from cloudpub_models import Database, Function, Managers
from cloudpub_models.cells import book
from cloudpub_models.cells.buckets import BUCKETS


def test_main_knows_all_servers_and_each_server_itself(main: Database) -> None:
    known = book.servers_in(main)
    assert list(known) == [book.MAIN, 1, 2]
    assert len(set(known.values())) == 1
    for number, server in enumerate(main.history_servers, start=1):
        assert book.servers_in(server) == {number: known[book.MAIN]}
    assert [cell.server for cell in book.map_in(main)] == [1] * (BUCKETS // 2) + [2] * (BUCKETS // 2)


def test_a_database_that_has_no_book_knows_nobody(shared_postgresql_url: str) -> None:
    database = Database(shared_postgresql_url)
    assert book.servers_in(database) == {}
    database.close()


def test_deletions_are_read_behind_each_other(main: Database, scattered: Managers, functions: list[Function]) -> None:
    scattered.functions.delete({"id": [function.id for function in functions]})
    first = book.deletions_in(main, 0, 5)
    rest = book.deletions_in(main, first[-1].id, 100)
    assert sorted(entry.key for entry in (*first, *rest)) == [function.id for function in functions]
    assert {entry.table for entry in first} == {"functions"}
    book.forget_deletions(main, [entry.id for entry in first])
    assert book.deletions_in(main, 0, 100) == first + rest  # within the hour
    main.raw_execute("UPDATE cell_deletions SET deleted_at = deleted_at - INTERVAL '61 minutes'")
    book.forget_deletions(main, [entry.id for entry in first])
    assert book.deletions_in(main, 0, 100) == rest


def test_a_server_is_named_once(shared_postgresql_url: str) -> None:
    database = Database(shared_postgresql_url)
    table = book.DistributedTable("function_logs", "id", "function_id", "functions", "id")
    assert not book.has_rows(database, table)
    with database.transaction():
        book.prepare_server(database, platform := uuid4(), 7, [table])
        assert book.servers_in(database) == {7: platform}
        row = database.raw_query_single("SELECT nextval('function_logs_id_seq') AS id")
        assert row == {"id": 7 << 48}
        database.raw_execute("DROP TABLE cell_servers")
        database.raw_execute("SELECT setval('function_logs_id_seq', 1, false)")
        database.raw_execute(
            "ALTER TABLE function_logs ADD CONSTRAINT function_logs_function_id_fkey FOREIGN KEY (function_id) "
            "REFERENCES functions (id) ON DELETE CASCADE"
        )
    database.close()
