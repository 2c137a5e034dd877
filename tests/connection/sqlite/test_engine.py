"""What a connection to SQLite does otherwise than SQLite by itself, so that both databases behave alike."""

from __future__ import annotations

import gc
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import peewee
import pytest

from cloudpub_models import Database, Manager, Managers, operators
from cloudpub_models.connection.sqlite import engine as sqlite_engine
from cloudpub_models.entity import AutoField, CharField, Entity, TimestampField
from cloudpub_models.entity.fields import ServerDefault

# timezone() makes PostgreSQL's the same kind of value in a session of any time zone.
NOW = {"sqlite": "CURRENT_TIMESTAMP", "postgresql": "date_trunc('second', timezone('utc', CURRENT_TIMESTAMP))"}


class Visit(Entity):
    id = AutoField()
    place = CharField()
    at = TimestampField(server_default=ServerDefault(NOW["postgresql"], NOW["sqlite"]), default=None)

    class Meta:
        table_name = "visits"


@pytest.fixture
def now(backend: str) -> str:
    return NOW[backend]


def test_current_timestamp_is_the_moment_that_it_reads_as(managers: Managers, now: str) -> None:
    users = managers.users
    users.insert({"email": "ada@x", "password_hash": "h"})
    users.database.raw_execute(f"UPDATE users SET created_at = {now}")
    users.database.raw_execute(
        f"INSERT INTO users (email, password_hash, created_at) VALUES ('b@x', 'h', {now}), ('c@x', 'h', {now})"
    )
    found = users.find_all(order_by="id")
    moments = {user.created_at for user in found}
    assert datetime.now(UTC) - timedelta(seconds=5) < min(moments) <= max(moments) <= datetime.now(UTC)
    for moment in moments:
        same = [user for user in found if user.created_at == moment]
        for condition in (moment, [moment], operators.between(moment, moment)):
            assert users.find_all({"created_at": condition}, order_by="id") == same
        assert users.count({"created_at": operators.lt(moment)}) == sum(user.created_at < moment for user in found)
        assert users.count({"created_at": operators.ge(moment)}) == sum(user.created_at >= moment for user in found)
    assert users.count(peewee.SQL(f"created_at > {now}")) == 0


def test_pages_by_current_timestamp_give_every_row_once(managers: Managers, now: str) -> None:
    users = managers.users
    users.database.batch_execute(
        f"INSERT INTO users (email, password_hash, created_at) VALUES ('{name}', 'h', {now})" for name in "abcde"
    )
    # And one of the same moment that this library has written.
    users.insert({"email": "f", "password_hash": "h", "created_at": users.find_one({"email": "c"}).created_at})
    seen: list[str] = []
    cursor = None
    while True:
        page = users.paginate_after(cursor, 1, order_by="created_at")
        seen += [user.email for user in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == list("abcdef")
    assert seen == [user.email for user in users.find_all(order_by=["created_at", "id"])]


def test_it_is_a_default_too(database: Database) -> None:
    with database.engine.bind_ctx([Visit]):
        Visit.create_table()
        database.raw_execute("INSERT INTO visits (place) VALUES ('here')")
        visits = Manager(Visit, database)
        at = visits.find_one().at
        assert at.microsecond == 0
        assert visits.count({"at": at}) == 1
        Visit.drop_table()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_it_has_the_form_of_what_this_library_writes(database: Database, backend: str) -> None:
    (row,) = database.raw_query_all("SELECT CURRENT_TIMESTAMP AS now, typeof(CURRENT_TIMESTAMP) AS kind")
    assert row["kind"] == "text"
    assert datetime.fromisoformat(row["now"]).isoformat(" ", "microseconds") == row["now"]


def test_a_connection_that_nobody_uses_any_more_is_closed_without_the_collector(tmp_path: Path) -> None:
    memory, file = Database("sqlite:///:memory:"), Database(f"sqlite:///{tmp_path}/cloud.db")
    file.raw_execute("CREATE TABLE rows (n INT)")
    collected: list[object] = []
    gc.collect()
    gc.disable()
    gc.callbacks.append(lambda *run: collected.append(run))
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            with file.session():
                file.raw_execute("PRAGMA cache_size = 5")  # would stay behind in the connection
        assert len(os.listdir("/proc/self/fd")) <= before
        memory.migrate()
        memory.close()
        file.close()
        assert len(os.listdir("/proc/self/fd")) < before
    finally:
        gc.callbacks.pop()
        gc.enable()
    assert collected == []


@pytest.mark.parametrize("in_memory", [True, False])
def test_who_still_reads_from_a_connection_that_was_let_go_reads_to_the_end(tmp_path: Path, in_memory: bool) -> None:
    database = Database("sqlite:///:memory:" if in_memory else f"sqlite:///{tmp_path}/cloud.db")
    database.batch_execute(["CREATE TABLE rows (n INT)", *[f"INSERT INTO rows VALUES ({n})" for n in range(5)]])
    with database.session():
        stream = database.raw_query_iter("SELECT n FROM rows", chunk_size=2)
        cursor = database.engine.execute_sql("SELECT n FROM rows")
        connection = database.engine.connection()
        assert (next(stream), cursor.fetchone()) == ({"n": 0}, (0,))
        database.raw_execute("PRAGMA cache_size = 5")
    assert [row["n"] for row in stream] == [1, 2, 3, 4]
    assert cursor.fetchall() == [(1,), (2,), (3,), (4,)]
    assert connection.execute("SELECT COUNT(*) FROM rows").fetchone() == (5,)
    assert database.engine.connection() is not connection
    database.close()


def test_a_database_that_outlives_the_modules_ends_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database("sqlite:///:memory:")
    database.ping()
    monkeypatch.setattr(sqlite_engine, "os", None)
    database.engine.this_thread().loan.__del__()
    monkeypatch.undo()
    assert database.raw_query_single("SELECT 1 AS one") == {"one": 1}
    database.close()
