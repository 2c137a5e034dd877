"""Statements of tables that are named unhappily, have odd keys or a schema; and what a statement says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peewee
import pytest

from cloudpub_models import Database, Function, FunctionLog, Managers, User, operators
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, UnknownColumnError
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.statements.shapes import Statements
from cloudpub_models.sql import POSTGRESQL, SQLITE, Conflict
from cloudpub_models.sql.nodes.conditions import During
from cloudpub_models.sql.nodes.expressions import Column
from cloudpub_models.sql.statement import LookupSql, PreparableSql


def made(database: Database, *models: type[peewee.Model]) -> None:
    with database.bind():
        database.engine.bind(list(models))
        database.engine.create_tables(list(models))


class Box(peewee.Model):
    name = peewee.CharField()

    class Meta:
        table_name = "box"


class Setting(peewee.Model):
    box = peewee.ForeignKeyField(Box, backref="settings")
    key = peewee.CharField()
    value = peewee.CharField(default="")
    position = peewee.IntegerField(default=0)

    class Meta:
        table_name = "setting"


class Parent(peewee.Model):
    box = peewee.ForeignKeyField(Box, backref="parents")

    class Meta:
        table_name = "parent"


class Related(peewee.Model):
    box = peewee.ForeignKeyField(Box, backref="relateds")

    class Meta:
        table_name = "related"


class Part(peewee.Model):
    a = peewee.IntegerField()
    b = peewee.IntegerField()
    box = peewee.ForeignKeyField(Box, backref="parts")

    class Meta:
        table_name = "part"
        primary_key = peewee.CompositeKey("a", "b")


class Note(peewee.Model):
    rowid = peewee.CharField()
    box = peewee.ForeignKeyField(Box, backref="notes")

    class Meta:
        table_name = "note"
        primary_key = False


BOXED = (Box, Setting, Parent, Related, Part, Note)


@pytest.fixture
def boxes(database: Database, managers: Managers, backend: str) -> Iterator[list[Box]]:
    Part._meta.without_rowid = backend == "sqlite"
    made(database, *BOXED)
    boxes = managers.for_model(Box).batch_insert([{"name": "x"}, {"name": "y"}], returning=True)
    rows: dict[type[peewee.Model], list[dict[str, Any]]] = {
        Setting: [{"key": key} for key in "cab"],
        Parent: [{}] * 3,
        Related: [{}] * 3,
        Part: [{"a": 1, "b": number} for number in range(3)],
        Note: [{"rowid": text} for text in "cab"],
    }
    for model, data in rows.items():
        managers.for_model(model).batch_insert([{**row, "box": boxes[0].id} for row in data])
    yield boxes
    for model in reversed(BOXED):
        database.raw_execute(f"DROP TABLE {model._meta.table_name}")


@pytest.mark.parametrize(
    ("relation", "order_by", "column", "expected"),
    [
        ("settings", "key", "key", ["a", "b"]),
        ("parents", "id", "id", [1, 2]),
        ("relateds", "id", "id", [1, 2]),
        ("parts", "b", "b", [0, 1]),
        ("notes", "rowid", "rowid", ["a", "b"]),
    ],
)
def test_first_rows_whatever_the_table_is_called_and_its_key_is(
    managers: Managers, boxes: list[Box], relation: str, order_by: str, column: str, expected: list[Any]
) -> None:
    include = {relation: {"limit": 2, "order_by": order_by}}
    first, second = managers.for_model(Box).find_all(order_by="id", include=include)
    assert [getattr(row, column) for row in getattr(first, relation)] == expected
    assert getattr(second, relation) == []


# Schemas


class Event(peewee.Model):
    name = peewee.CharField(unique=True)

    class Meta:
        table_name = "event"
        schema = "audit"


@pytest.fixture
def events(database: Database, managers: Managers, backend: str, tmp_path: Path) -> Iterator[Any]:
    if backend == "postgresql":
        database.raw_execute("CREATE SCHEMA audit")
    else:
        database.engine.attach(f"{tmp_path}/audit.db", "audit")
    made(database, Event)
    key = "serial" if backend == "postgresql" else "INTEGER"
    database.raw_execute(f"CREATE TABLE event (id {key} PRIMARY KEY, name varchar(255))")
    database.raw_execute("INSERT INTO event (name) VALUES ('of somebody else')")
    yield managers.for_model(Event)
    assert database.raw_query_all("SELECT name FROM event") == [{"name": "of somebody else"}]
    database.raw_execute("DROP TABLE event")
    if backend == "postgresql":
        database.raw_execute("DROP SCHEMA audit CASCADE")


def test_a_model_is_found_in_its_schema(events: Any, database: Database, statements: Any) -> None:
    event = events.insert({"name": "a"})
    assert statements.sql[0].startswith("INSERT INTO audit.event (name) VALUES")
    assert events.find_by_id(event.id) == event
    assert events.upsert({"name": "a"}, ["name"]) == event
    assert events.update_by_id(event.id, {"name": "b"}).name == "b"
    assert events.batch_insert([{"name": "c"}, {"name": "d"}]) == 2
    assert events.count() == len(events.find_all(Event.name != "z")) == 3
    assert events.execute_query(events.query().select("event.name").order_by("name").limit(1)) == [{"name": "b"}]
    assert [row.name for row in events.paginate_after(None, 2, order_by="name").items] == ["b", "c"]
    assert [row.name for row in events.claim({"name": "c"}, {"name": "z"})] == ["z"]
    assert events.delete({"name": operators.like("%")}) == 3
    assert all("audit.event" in sql for sql in statements.sql)


def test_a_statement_says_what_it_is() -> None:
    for dialect in (POSTGRESQL, SQLITE):
        functions: Statements[Function] = Statements(Function, table_of(Function), dialect)
        by_id = (("id", "="),)
        reading = [functions.select(by_id), functions.counts[by_id,], functions.lookup("uuid")]
        reading += [functions.select_for_each("user_id", (), 1)]
        writing = [
            functions.insert(("name",), None),
            functions.upsert(("user_id", "name"), ("user_id", "name"), ["user_id", "name"], None),
            functions.update(("name",), by_id),
            functions.delete(by_id),
            functions.copy(("name",)),
            functions.select(by_id, lock="FOR UPDATE SKIP LOCKED"),
        ]
        for statement in (*reading, *writing):
            assert statement.tables == ("functions",)
            assert statement.writes == (statement in writing)
        assert (type(functions.select(by_id).sql) is PreparableSql) == (dialect is POSTGRESQL)
        assert functions.select(by_id) is functions.select(by_id)
        assert functions.insert(("name",), Conflict(("name",), "ignore")) is functions.insert(
            ("name",), Conflict(("name",), "ignore")
        )
    events: Statements[Event] = Statements(Event, table_of(Event), POSTGRESQL)
    assert events.delete(()).tables == ("audit.event",)


def test_rows_of_some_days_prepare_themselves_and_a_list_waits_for_its_tables() -> None:
    logs: Statements[FunctionLog] = Statements(FunctionLog, table_of(FunctionLog), POSTGRESQL)
    days = During(Column(None, "timestamp"), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    one = logs.select_held("uuid", (days,)).sql
    some = logs.select_during(days, (), (("timestamp", "DESC"),)).sql
    assert isinstance(one, LookupSql)
    assert isinstance(some, LookupSql)
    assert (one.locks, some.locks) == ((), ("function_logs",))
    on_sqlite: Statements[FunctionLog] = Statements(FunctionLog, table_of(FunctionLog), SQLITE)
    assert type(on_sqlite.select_during(days, (), (("timestamp", "DESC"),)).sql) is str


@pytest.mark.parametrize(
    ("conflict_columns", "update_columns", "error"),
    [
        ([], None, InvalidQueryError),
        ("email", None, InvalidQueryError),
        ([["email"]], None, UnknownColumnError),
        (["nothing"], None, UnknownColumnError),
        (["uuid"], None, InvalidValueError),
        (["email"], ["created_at"], InvalidQueryError),
    ],
)
def test_an_upsert_names_columns_that_are_given(
    managers: Managers, conflict_columns: Any, update_columns: Any, error: type[Exception]
) -> None:
    for _ in range(2):
        with pytest.raises(error):
            managers.users.upsert(
                {"email": "a@b.c", "password_hash": "x"}, conflict_columns, update_columns=update_columns
            )
    assert managers.users.count() == 0
    assert managers.users.upsert({"email": "a@b.c", "password_hash": "x"}, ["email"]) == managers.users.find_one()
    assert isinstance(managers.users.find_one(), User)
