"""An index of words switched on and off: rows found by it, kept current, seen by everything that reads a schema."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from peewee import Check

from cloudpub_models import Component, Database, Function, FunctionLog, Manager, Managers, Organization, User, errors
from cloudpub_models.entity import Entity, TextField, UuidField
from cloudpub_models.schema import create_all
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.search.tables import searched_table
from cloudpub_models.schema.search_index import faulty_tables, switch_off, switch_on

DAY = timedelta(days=1)


@pytest.fixture
def resize(managers: Managers) -> Function:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


@pytest.fixture
def lines(managers: Managers, resize: Function) -> Managers:
    """Many lines without the words, and one with them."""
    managers.function_logs.batch_insert(
        {"function_id": resize.id, "level": "info", "message": f"request {number} handled"} for number in range(3_000)
    )
    managers.function_logs.append(resize, "error", "worker-7: Out of memory")
    return managers


def messages(managers: Managers, typed: str) -> list[str]:
    return [line.message for line in managers.function_logs.search(typed, since=DAY, limit=5).items]


def test_switched_on_twice_and_off_twice(lines: Managers, database: Database) -> None:
    engine = database.engine
    models = [FunctionLog, Function]
    assert switch_on(engine, models) == ("function_logs", "functions")
    assert switch_on(engine, models) == ()
    assert messages(lines, '"out of mem"* -debug') == ["worker-7: Out of memory"]
    assert switch_off(engine, [FunctionLog]) == ("function_logs",)
    assert switch_off(engine, models) == ("functions",)
    assert switch_off(engine, models) == ()
    assert messages(lines, '"out of mem"* -debug') == ["worker-7: Out of memory"]
    assert find_drift(engine, database.models) == []


def test_rare_words_are_found_by_it(lines: Managers, database: Database, statements: Any) -> None:
    switch_on(database.engine, [FunctionLog])
    statements.clear()
    assert messages(lines, "memory") == ["worker-7: Out of memory"]
    if database.dialect == "sqlite":
        _, asked, (sql, values) = statements
        assert asked[0] == (
            "SELECT rowid FROM function_logs_words_search WHERE function_logs_words_search MATCH ? LIMIT ?"
        )
        assert list(asked[1]) == ['("mem" AND "emo" AND "mor" AND "ory")', 2001]
        assert "WHERE id IN (SELECT value FROM json_each(?)) AND timestamp >= ? AND message LIKE ?" in sql
        assert next(iter(values)) == "[3001]"
    else:
        _, (sql, values) = statements
        assert "AND (message ILIKE %s AND array_to_tsvector(" in sql
        assert list(values)[1:] == ["%memory%", "'memory'", 7]
        explained = f"EXPLAIN {sql % ('@since', '@like', '@query', '7')}"
        plan = database.raw_query_all(explained, dict(zip(("since", "like", "query"), values[:3], strict=True)))
        used = re.compile(r"Bitmap Index Scan on function_logs(_p_past)?_message_search ")
        assert any(used.search(row["QUERY PLAN"]) for row in plan)


def test_writes_keep_it_current(lines: Managers, database: Database, resize: Function) -> None:
    switch_on(database.engine, [FunctionLog])
    logs = lines.function_logs
    appended = logs.append(resize, "info", "pineapple")
    logs.batch_insert([{"function_id": resize.id, "level": "info", "message": "pineapple juice"}])
    assert messages(lines, "pineapple") == ["pineapple juice", "pineapple"]
    logs.update_by_id(appended.id, {"message": "pear"})
    database.raw_execute("UPDATE function_logs SET message = 'pear juice' WHERE message = 'pineapple juice'")
    assert (messages(lines, "pineapple"), messages(lines, "pear")) == ([], ["pear juice", "pear"])
    with pytest.raises(errors.InvalidQueryError, match="^stop$"), database.transaction():
        logs.append(resize, "info", "cherry")
        assert messages(lines, "cherry") == ["cherry"]
        raise errors.InvalidQueryError("stop")
    assert messages(lines, "cherry") == []
    assert logs.prune(timedelta(0)) == 3_003
    assert messages(lines, "pear OR memory") == []


def test_rows_of_two_megabytes_are_taken(managers: Managers, database: Database, resize: Function) -> None:
    switch_on(database.engine, [FunctionLog])
    for text in ("a" * 2_000_000, "early " + "word 🙂 é-" * 200_000):
        managers.function_logs.append(resize, "info", text)
    assert [len(text) for text in messages(managers, "early OR aaa*")] == [6 + 9 * 200_000, 2_000_000]


def test_searches_of_one_owner_stay_theirs(lines: Managers, database: Database) -> None:
    switch_on(database.engine, [FunctionLog])
    grace = lines.users.insert({"email": "grace@example.com", "password_hash": "…"})
    assert lines.owned_by(grace).function_logs.search("memory", since=DAY).items == []
    owner = lines.users.get_one({"functions.name": "resize"})
    assert len(lines.owned_by(owner).function_logs.search("memory", since=DAY).items) == 1


def test_the_schema_is_what_it_was_to_all_who_read_it(managers: Managers, database: Database) -> None:
    before = set(read_catalogue(database.engine).tables)
    switch_on(database.engine, [FunctionLog, Function, Organization])
    assert set(read_catalogue(database.engine).tables) == before
    assert find_drift(database.engine, database.models) == []
    assert faulty_tables(database.engine, database.models) == []
    assert database.migrate() == []


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_table_made_anew_has_it_anew(lines: Managers, database: Database, tmp_path: Any) -> None:
    switch_on(database.engine, [FunctionLog])
    (tmp_path / "0001_remade.py").write_text(
        "from peewee import TextField\n"
        "def up(migrator, database):\n"
        "    migrator.migrate(migrator.alter_column_type('function_logs', 'message', TextField(), "
        "cast=\"replace(message, 'memory', 'pineapple')\"))\n"
        "def down(migrator, database): pass\n"
    )
    remaking = Component("remaking", models=[FunctionLog], migrations=tmp_path)
    assert Migrator(database.engine, remaking).up() == ["remaking.0001_remade"]
    assert faulty_tables(database.engine, database.models) == []
    assert (messages(lines, "pineapple"), messages(lines, "memory")) == (["worker-7: Out of pineapple"], [])
    lines.function_logs.append(lines.functions.get_one({"name": "resize"}), "info", "a pear")
    assert messages(lines, "pear") == ["a pear"]


def test_a_table_that_is_renamed_takes_it_along(database: Database, tmp_path: Any) -> None:
    class Note(Entity):
        title = TextField()
        text = TextField()

        class Meta:
            table_name = "notes"
            searchable = ("title", "text")

    class Remark(Entity):
        title = TextField()
        body = TextField()

        class Meta:
            table_name = "remarks"
            searchable = ("title", "body")

    engine = database.engine
    create_all(engine, [Note])
    switch_on(engine, [Note])
    Manager(Note, database).batch_insert(
        [{"title": f"of {n}", "text": "nothing"} for n in range(3_000)] + [{"title": "a", "text": "a pear"}]
    )
    (tmp_path / "0001_renamed.py").write_text(
        "def up(migrator, database):\n"
        "    migrator.migrate(migrator.rename_column('notes', 'text', 'body'))\n"
        "    migrator.migrate(migrator.rename_table('notes', 'remarks'))\n"
        "def down(migrator, database): pass\n"
    )
    remarks = Component("remarks", models=[Remark], migrations=tmp_path)
    assert Migrator(engine, remarks).up() == ["remarks.0001_renamed"]
    assert faulty_tables(engine, [Remark]) == []
    assert switch_on(engine, [Remark]) == ()
    assert [remark.title for remark in Manager(Remark, database).find_by_text("pear").items] == ["a"]
    if database.dialect == "postgresql":
        made = (
            "SELECT to_regclass('remarks_title_search') IS NOT NULL AND to_regclass('remarks_body_search') IS NOT NULL"
        )
        assert database.raw_query_all(f"{made} AS made") == [{"made": True}]
    create_all(engine, [Note])
    assert switch_on(engine, [Note]) == ("notes",)


def test_what_does_not_serve_is_made_anew(lines: Managers, database: Database) -> None:
    switch_on(database.engine, [FunctionLog])
    if database.dialect == "sqlite":
        database.raw_execute("DROP TRIGGER function_logs_words_search_insert")
    else:
        # As an interrupted CREATE INDEX CONCURRENTLY leaves it.
        database.raw_execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'function_logs_message_search'::regclass"
        )
    assert faulty_tables(database.engine, database.models) == ["function_logs"]
    assert messages(lines, "memory") == ["worker-7: Out of memory"]
    assert switch_on(database.engine, [FunctionLog]) == ("function_logs",)
    assert faulty_tables(database.engine, database.models) == []


def test_what_cannot_be_indexed_is_refused(database: Database) -> None:
    class Nowhere(Entity):
        text = TextField()

        class Meta:
            table_name = "nowhere"
            searchable = "text"

    with pytest.raises(errors.InvalidQueryError, match="expected columns of users to search in"):
        switch_on(database.engine, [User])
    with pytest.raises(errors.ConfigurationError, match="the tables that are searched; nowhere are missing: migrate"):
        switch_on(database.engine, [Nowhere])


def test_a_table_without_a_number(database: Database) -> None:
    class Letter(Entity):
        code = UuidField(primary_key=True)
        text = TextField()

        class Meta:
            table_name = "letters"
            searchable = "text"
            constraints = [Check("text <> ''")]

    create_all(database.engine, [Letter])
    letters = Manager(Letter, database)
    letters.batch_insert([{"code": f"550e8400-e29b-41d4-a716-44665544000{n}", "text": f"pear {n}"} for n in range(3)])
    if database.dialect == "sqlite":
        with pytest.raises(errors.ConfigurationError, match="got letters: search it without an index"):
            switch_on(database.engine, [Letter])
    else:
        assert switch_on(database.engine, [Letter]) == ("letters",)
    assert searched_table(Letter).number is None
    assert [letter.text for letter in letters.find_by_text("pear -0 -2").items] == ["pear 1"]
