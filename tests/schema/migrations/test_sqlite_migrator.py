"""What SQLite's way of making a table anew could lose."""

from __future__ import annotations

from pathlib import Path

import peewee
import pytest

from cloudpub_models.component import Component
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema import Migrator, read_catalogue
from cloudpub_models.schema.safety.plan import plan_migrations
from tests.schema.migrations.test_operations import SCRIPT, applied

pytestmark = pytest.mark.parametrize("connect", ["sqlite"], indirect=True)


def test_the_highest_id_is_remembered(filled: peewee.Database, tmp_path: Path) -> None:
    applied(filled, tmp_path / "scripts", "migrator.drop_not_null('functions', 'name')")
    filled.execute_sql("INSERT INTO functions (user_id, name) VALUES (1, 'new')")
    assert filled.execute_sql("SELECT max(id) FROM functions").fetchone() == (4,)


def test_of_an_empty_table_too(filled: peewee.Database, tmp_path: Path) -> None:
    filled.execute_sql("DELETE FROM function_logs")
    applied(filled, tmp_path / "scripts", "migrator.drop_not_null('function_logs', 'level')")
    filled.execute_sql("INSERT INTO function_logs (function_id, level, message) VALUES (1, 'a', 'b')")
    assert filled.execute_sql("SELECT id FROM function_logs").fetchall() == [(3,)]


def test_any_definition_is_kept(filled: peewee.Database, tmp_path: Path) -> None:
    definition = """CREATE TABLE [odd, "one"] ( -- a comment (
        "a, b" INTEGER PRIMARY KEY, /* c) */
        `user` VARCHAR ( 20 ) NOT NULL ON CONFLICT IGNORE DEFAULT 'it''s, (NOT NULL)' COLLATE NOCASE
            CONSTRAINT "long (" CHECK ("user" <> 'x, y'),
        n DECIMAL(10, 2) DEFAULT -1.5 CHECK (n IN (1, -1.5)),
        twice AS (n * 2) STORED, -- made
        parent REFERENCES [odd, "one"] ("a, b") ON DELETE SET NULL ON UPDATE SET DEFAULT
            DEFERRABLE INITIALLY DEFERRED,
        owner INTEGER NULL REFERENCES users ON DELETE SET DEFAULT NOT DEFERRABLE NOT NULL DEFAULT 1,
        day DATE DEFAULT CURRENT_DATE,
        UNIQUE ("user" COLLATE BINARY, n DESC) ON CONFLICT ABORT CHECK (day <> '') -- no comma between
        , CONSTRAINT last FOREIGN KEY (owner) REFERENCES users (id) MATCH FULL ON DELETE NO ACTION
    )"""
    for statement in (
        definition.replace(" ON DELETE SET DEFAULT NOT DEFERRABLE NOT NULL", " NOT DEFERRABLE NOT NULL"),
        'INSERT INTO [odd, "one"] ("a, b", "user", parent) VALUES (1, \'x\', NULL), (2, \'z\', 1)',
        'CREATE VIEW looking AS SELECT "user" FROM [odd, "one"]',
        'CREATE TRIGGER of_another AFTER DELETE ON users BEGIN DELETE FROM [odd, "one"]; END',
        'CREATE TRIGGER own AFTER UPDATE OF n ON [odd, "one"] BEGIN UPDATE [odd, "one"] SET day = 1; END',
        'CREATE UNIQUE INDEX [its, index] ON [odd, "one"] (lower("user"), n) WHERE n > 0',
    ):
        filled.execute_sql(statement)
    others = "SELECT type, name, sql FROM sqlite_master WHERE type <> 'table' ORDER BY type, name"
    before, kept = read_catalogue(filled), filled.execute_sql(others).fetchall()
    table = 'odd, "one"'
    applied(filled, tmp_path / "scripts", f"migrator.drop_not_null({table!r}, 'day')")
    assert read_catalogue(filled) == before
    assert filled.execute_sql(others).fetchall() == kept
    assert filled.execute_sql('SELECT parent, twice FROM [odd, "one"]').fetchall() == [(None, -3.0), (1, -3.0)]
    applied(filled, tmp_path / "scripts", f"migrator.drop_not_null({table!r}, 'user')")
    columns = read_catalogue(filled).tables[table].columns
    assert columns["user"].nullable
    assert columns["user"].default == "'it''s, (NOT NULL)'"
    applied(filled, tmp_path / "scripts", f"migrator.drop_column({table!r}, 'day')")
    assert len(read_catalogue(filled).tables[table].checks) == len(before.tables[table].checks) - 1


def test_options_of_a_table_are_kept(filled: peewee.Database, tmp_path: Path) -> None:
    filled.execute_sql("CREATE TABLE pairs (a TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID, STRICT")
    filled.execute_sql("INSERT INTO pairs VALUES ('x', 1)")
    applied(filled, tmp_path / "scripts", "migrator.add_column('pairs', 'c', TextField(default='?'))")
    assert filled.execute_sql("SELECT * FROM pairs").fetchall() == [("x", 1, "?")]
    (sql,) = filled.execute_sql("SELECT sql FROM sqlite_master WHERE name = 'pairs'").fetchone()
    assert sql.endswith("WITHOUT ROWID, STRICT")


def test_settings_are_as_before(filled: peewee.Database, tmp_path: Path) -> None:
    applied(filled, tmp_path / "scripts", "migrator.drop_not_null('functions', 'name')")
    with pytest.raises(MigrationError):
        applied(filled, tmp_path / "scripts", "migrator.add_not_null('functions', 'analysis_result')")
    assert filled.execute_sql("PRAGMA foreign_keys").fetchone() == (1,)
    assert filled.execute_sql("PRAGMA legacy_alter_table").fetchone() == (0,)


def test_a_column_that_others_refer_to_is_not_dropped(filled: peewee.Database, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=r"got users\.uuid, to which \w+\.\w+ refers: drop that reference"):
        applied(filled, tmp_path / "scripts", "migrator.drop_column('users', 'uuid')")


def test_references_that_the_change_broke_are_refused(filled: peewee.Database, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="expected no reference to rows that do not exist"):
        applied(
            filled,
            tmp_path / "scripts",
            "migrator.alter_column_type('functions', 'id', IntegerField(), cast='id + 100')",
        )


def test_a_plan_takes_no_table_made_anew_for_a_loss(filled: peewee.Database, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "0001_change.py").write_text(SCRIPT.format("migrator.drop_not_null('functions', 'name')"))
    (planned,) = plan_migrations(Migrator(filled, Component("change", migrations=scripts)), "up")
    assert planned.stopped is None
    assert planned.statements[0].sql.startswith('CREATE TABLE "functions__new"')
    assert planned.destroys == ()
