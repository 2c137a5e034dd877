"""Every operation of the migrator that scripts are given works on both databases, and changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import peewee
import pytest

from cloudpub_models.component import Component
from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.errors import MigrationError
from cloudpub_models.platform.component import component as platform
from cloudpub_models.schema import Migrator, find_drift, read_catalogue
from cloudpub_models.schema.catalogue.catalogue import Catalogue, Column, ForeignKey, Table, Unique

SCRIPT = """
import peewee
from enum import StrEnum
from cloudpub_models.entity import (
    AutoField, BigAutoField, BlobField, CharField, EnumField, ForeignKey, IntegerField, ServerDefault, TextField,
    TimestampField, UuidField,
)
from cloudpub_models.models import User

class Level(StrEnum):
    LOW = "low"
    HIGH = "high"

def up(migrator, db):
    migrator.migrate({})
"""
Change = Callable[[Table, Any], Table]


def changed_column(name: str, **changes: Any) -> Change:
    def change(table: Table, _: Any) -> Table:
        return replace(table, columns={**table.columns, name: replace(table.columns[name], **changes)})

    return change


def added_column(column: Column, **parts: Any) -> Change:
    def change(table: Table, _: Any) -> Table:
        added = {kind: tuple(sorted((*getattr(table, kind), *found), key=repr)) for kind, found in parts.items()}
        return replace(table, columns={**table.columns, column.name: column}, **added)

    return change


def dropped_column(name: str) -> Change:
    def change(table: Table, _: Any) -> Table:
        return replace(
            table,
            columns={known: column for known, column in table.columns.items() if known != name},
            uniques=tuple(unique for unique in table.uniques if name not in unique.columns),
            indexes=tuple(index for index in table.indexes if name not in index.columns),
            foreign_keys=tuple(key for key in table.foreign_keys if name not in key.columns),
            checks=tuple(check for check in table.checks if name not in check.expression.split()),
            triggers=tuple(trigger for trigger in table.triggers if name not in trigger.definition),
        )

    return change


def without(kind: str, matches: Callable[[Any], bool]) -> Change:
    return lambda table, _: replace(table, **{kind: tuple(part for part in getattr(table, kind) if not matches(part))})


def with_part(kind: str, part: Callable[[Any], Any]) -> Change:
    return lambda table, dialect: replace(
        table, **{kind: tuple(sorted((*getattr(table, kind), part(dialect)), key=repr))}
    )


def named(dialect: Any, name: str) -> str | None:
    """The name of a constraint where the catalogue tells it."""
    return name if dialect.alters_tables else None


CHANGES: dict[str, tuple[str, Change]] = {
    "migrator.add_column('functions', 'region', CharField(default='eu, west'))": (
        "functions",
        added_column(Column("region", "varchar(255)", False)),
    ),
    "migrator.add_column('functions', 'region', CharField(null=True))": (
        "functions",
        added_column(Column("region", "varchar(255)", True)),
    ),
    "migrator.add_column('functions', 'seen', IntegerField(constraints=[peewee.Default('7')]))": (
        "functions",
        added_column(Column("seen", "integer", False, "7")),
    ),
    "migrator.drop_column('functions', 'status')": ("functions", dropped_column("status")),
    "migrator.drop_column('functions', 'name')": ("functions", dropped_column("name")),
    "migrator.drop_column('functions', 'user_id')": ("functions", dropped_column("user_id")),
    "migrator.drop_column('functions', 'updated_at')": ("functions", dropped_column("updated_at")),
    "migrator.drop_column('functions', 'active_deployment_id')": (
        "functions",
        dropped_column("active_deployment_id"),
    ),
    "migrator.drop_column('user_information', 'role')": ("user_information", dropped_column("role")),
    "migrator.add_not_null('user_information', 'city')": (
        "user_information",
        changed_column("city", nullable=False),
    ),
    "migrator.drop_not_null('functions', 'name')": ("functions", changed_column("name", nullable=True)),
    "migrator.drop_not_null('functions', 'uuid')": ("functions", changed_column("uuid", nullable=True)),
    "migrator.drop_not_null('users', 'email')": ("users", changed_column("email", nullable=True)),
    "migrator.alter_column_type('functions', 'status', CharField(max_length=80))": (
        "functions",
        changed_column("status", type="varchar(80)"),
    ),
    "migrator.alter_column_type('functions', 'name', TextField())": ("functions", changed_column("name", type="text")),
    "migrator.add_column_default('functions', 'name', 'a, b')": ("functions", changed_column("name", default="'a, b'")),
    "migrator.add_column_default('functions', 'name', \"lower('A, B')\")": (
        "functions",
        changed_column("name", default="lower 'A, B'"),
    ),
    "migrator.add_column_default('functions', 'name', ServerDefault(\"upper('A')\", \"(upper('A'))\"))": (
        "functions",
        changed_column("name", default="upper 'A'"),
    ),
    "migrator.drop_touch_trigger('functions', 'updated_at')": ("functions", without("triggers", lambda _: True)),
    "migrator.drop_column_default('functions', 'uuid')": ("functions", changed_column("uuid", default=None)),
    "migrator.drop_column_default('functions', 'created_at')": (
        "functions",
        changed_column("created_at", default=None),
    ),
    "migrator.drop_constraint('functions', 'functions_user_id_name_key')": (
        "functions",
        without("uniques", lambda unique: unique.columns == ("user_id", "name")),
    ),
    "migrator.drop_constraint('user_information', 'user_information_role_check')": (
        "user_information",
        without("checks", lambda check: True),
    ),
    "migrator.drop_foreign_key_constraint('functions', 'active_deployment_id')": (
        "functions",
        without("foreign_keys", lambda key: key.columns == ("active_deployment_id",)),
    ),
    "migrator.add_unique('functions', 'name', 'status')": (
        "functions",
        with_part("uniques", lambda dialect: Unique(("name", "status"), named(dialect, "uniq_name_status"))),
    ),
    "migrator.add_foreign_key_constraint('function_logs', 'id', 'users', 'id', 'RESTRICT')": (
        "function_logs",
        with_part(
            "foreign_keys",
            lambda dialect: ForeignKey(
                ("id",), "users", ("id",), "RESTRICT", name=named(dialect, "fk_function_logs_id_refs_users")
            ),
        ),
    ),
    "migrator.drop_index('functions', 'functions_user_id_idx')": (
        "functions",
        without("indexes", lambda index: index.name == "functions_user_id_idx"),
    ),
}


def applied(database: peewee.Database, directory: Path, operation: str) -> Migrator:
    directory.mkdir(exist_ok=True)
    number = len(list(directory.glob("*.py"))) + 1
    (directory / f"{number:04d}_change.py").write_text(SCRIPT.format(operation))
    migrator = Migrator(database, Component("change", migrations=directory))
    assert migrator.up() == [f"change.{number:04d}_change"]
    return migrator


def rows(database: peewee.Database) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for table in platform.tables:
        cursor = database.execute_sql(f"SELECT * FROM {table} ORDER BY id")
        names = [column[0] for column in cursor.description]
        found[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return found


@pytest.mark.parametrize("operation", CHANGES)
def test_an_operation_changes_what_it_says_and_nothing_else(
    filled: peewee.Database, tmp_path: Path, operation: str
) -> None:
    name, change = CHANGES[operation]
    if "'id', 'users'" in operation:
        filled.execute_sql("DELETE FROM function_logs WHERE id > 1")
    before, rows_before = read_catalogue(filled, platform.tables), rows(filled)
    expected = dict(before.tables)
    expected[name] = change(before.tables[name], sql_dialect_of(filled))
    applied(filled, tmp_path / "scripts", operation)
    after = read_catalogue(filled, platform.tables)
    assert after == Catalogue(before.dialect, expected)
    rows_after = rows(filled)
    kept = [
        {column: row[column] for column in after.tables[name].columns if column in row} for row in rows_before[name]
    ]
    assert [{column: row[column] for column in kept[0]} for row in rows_after[name]] == kept if kept else True
    assert {other: found for other, found in rows_after.items() if other != name} == {
        other: found for other, found in rows_before.items() if other != name
    }


def test_a_column_gets_its_default_in_rows_that_are_there(filled: peewee.Database, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    applied(filled, scripts, "migrator.add_column('functions', 'region', CharField(default=\"it's, eu\"))")
    applied(filled, scripts, "migrator.add_column('functions', 'key', UuidField(unique=True))")
    applied(filled, scripts, "migrator.add_column('functions', 'seen_at', TimestampField())")
    applied(filled, scripts, "migrator.add_column('functions', 'level', EnumField(Level, default=Level.LOW))")
    found = rows(filled)["functions"]
    assert [row["region"] for row in found] == ["it's, eu"] * 2
    assert len({row["key"] for row in found}) == 2
    assert all(row["seen_at"] for row in found)
    assert [row["level"] for row in found] == ["low"] * 2
    table = read_catalogue(filled).tables["functions"]
    assert table.columns["key"].default is not None
    assert ("key",) in {unique.columns for unique in table.uniques}
    assert [check.name for check in table.checks] == ["functions_level_check"]
    with pytest.raises(peewee.IntegrityError):
        filled.execute_sql("UPDATE functions SET level = 'middle'")


def test_a_column_that_refers_to_another_table(filled: peewee.Database, tmp_path: Path) -> None:
    column = "migrator.add_column('functions', 'approver_id', ForeignKey(User, field='id', null=True, {}))"
    applied(filled, tmp_path / "scripts", column.format("on_delete='SET NULL'"))
    (key,) = [key for key in read_catalogue(filled).tables["functions"].foreign_keys if key.columns == ("approver_id",)]
    assert (key.table, key.referenced, key.on_delete) == ("users", ("id",), "SET NULL")


def test_renaming_a_column_and_a_table(filled: peewee.Database, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    before = rows(filled)
    applied(filled, scripts, "migrator.rename_column('functions', 'status', 'state')")
    applied(filled, scripts, "migrator.rename_table('functions', 'programs')")
    catalogue = read_catalogue(filled)
    table = catalogue.tables["programs"]
    assert "functions" not in catalogue.tables
    assert ("user_id", "state", "created_at") in {index.columns for index in table.indexes}
    assert len(table.triggers) == 1
    assert {key.table for key in catalogue.tables["function_logs"].foreign_keys} == {"programs"}
    found = filled.execute_sql("SELECT id, state FROM programs ORDER BY id").fetchall()
    assert [tuple(row) for row in found] == [(row["id"], row["status"]) for row in before["functions"]]
    filled.execute_sql("UPDATE programs SET updated_at = '2001-01-01 00:00:00.000000'")
    filled.execute_sql("UPDATE programs SET state = 'x'")
    assert not filled.execute_sql("SELECT 1 FROM programs WHERE updated_at < '2002-01-01'").fetchall()


def test_a_constraint_is_added_and_kept(filled: peewee.Database, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    applied(filled, scripts, "migrator.add_constraint('functions', 'short', peewee.Check(\"length(name) < 5\"))")
    applied(filled, scripts, "migrator.add_not_null('functions', 'status')")
    with pytest.raises(peewee.IntegrityError):
        filled.execute_sql("UPDATE functions SET name = 'too long'")
    applied(filled, scripts, "migrator.drop_constraint('functions', 'short')")
    filled.execute_sql("UPDATE functions SET name = 'too long' WHERE id = 1")
    assert find_drift(filled, platform.models) == []


def test_a_column_is_touched_by_updates_from_then_on(filled: peewee.Database, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    touched = "UPDATE users SET updated_at = '2001-01-01 00:00:00.000000'"
    old = "SELECT count(*) FROM users WHERE updated_at < '2002-01-01'"
    applied(filled, scripts, "migrator.drop_touch_trigger('users', 'updated_at')")
    filled.execute_sql(touched)
    filled.execute_sql("UPDATE users SET email = 'b@c.d'")
    assert filled.execute_sql(old).fetchone()[0] == 1
    applied(filled, scripts, "migrator.add_touch_trigger('users', 'updated_at')")
    assert find_drift(filled, platform.models) == []
    filled.execute_sql("UPDATE users SET email = 'c@d.e'")
    assert filled.execute_sql(old).fetchone()[0] == 0
    # Once more is no error: what is there of this name gives way.
    applied(filled, scripts, "migrator.add_touch_trigger('users', 'updated_at')")


def test_a_percent_sign_in_a_default_is_no_parameter(filled: peewee.Database, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    default = "constraints=[peewee.Default(\"'5 %'\"), peewee.Check(\"share LIKE '%'\")]"
    applied(filled, scripts, f"migrator.add_column('functions', 'share', CharField({default}))")
    assert [row["share"] for row in rows(filled)["functions"]] == ["5 %"] * 2
    applied(filled, scripts, "migrator.add_column_default('functions', 'share', ServerDefault(\"'%s'\", \"'%s'\"))")
    assert read_catalogue(filled).tables["functions"].columns["share"].default == "'%s'"


def test_bytes_are_a_default(filled: peewee.Database, tmp_path: Path) -> None:
    applied(filled, tmp_path / "scripts", "migrator.add_column('functions', 'raw', BlobField(default=b'it\\'s'))")
    assert [bytes(row["raw"]) for row in rows(filled)["functions"]] == [b"it's"] * 2


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_key_counts_as_far_as_its_type(filled: peewee.Database, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    largest = "SELECT data_type, max_value FROM pg_sequences WHERE sequencename = 'function_logs_id_seq'"
    applied(filled, scripts, "migrator.alter_column_type('function_logs', 'id', BigAutoField())")
    assert read_catalogue(filled).tables["function_logs"].columns["id"].type == "bigint"
    assert filled.execute_sql(largest).fetchone() == ("bigint", 2**63 - 1)
    applied(filled, scripts, "migrator.alter_column_type('function_logs', 'id', AutoField())")
    assert filled.execute_sql(largest).fetchone() == ("integer", 2**31 - 1)


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_type_that_postgresql_does_not_convert_by_itself(filled: peewee.Database, tmp_path: Path) -> None:
    filled.execute_sql("UPDATE functions SET name = '7' || id")
    scripts = tmp_path / "scripts"
    applied(filled, scripts, "migrator.alter_column_type('functions', 'name', IntegerField())")
    assert [row["name"] for row in rows(filled)["functions"]] == [71, 72]
    with pytest.raises(MigrationError, match="too long"):
        applied(
            filled, tmp_path / "scripts", "migrator.alter_column_type('functions', 'name', CharField(max_length=1))"
        )


def test_a_constraint_without_a_name_goes_by_postgresqls(filled: peewee.Database, tmp_path: Path) -> None:
    filled.execute_sql(
        "CREATE TABLE t (a INTEGER CHECK (a > 0), b INTEGER UNIQUE, CHECK (a < 9), UNIQUE (a, b), PRIMARY KEY (a))"
    )
    for name in ("t_a_check1", "t_a_check", "t_b_key", "t_a_b_key", "t_pkey"):
        applied(filled, tmp_path / "scripts", f"migrator.drop_constraint('t', '{name}')")
    table = read_catalogue(filled).tables["t"]
    assert (table.checks, table.uniques, table.primary_key) == ((), (), ())


def test_an_index_over_some_rows_is_kept(filled: peewee.Database, tmp_path: Path) -> None:
    filled.execute_sql("CREATE INDEX some_rows ON functions (name) WHERE status = 'a, (b'")
    before = read_catalogue(filled, ["functions"])
    applied(filled, tmp_path / "scripts", "migrator.add_not_null('functions', 'status')")
    assert read_catalogue(filled, ["functions"]) == before


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("migrator.add_not_null('functions', 'analysis_result')", "failed"),
        ("migrator.drop_not_null('functions', 'nam')", "nam"),
        ("migrator.drop_constraint('functions', 'functions_uuid_kez')", "functions_uuid_kez"),
        ("migrator.drop_not_null('function', 'name')", "function"),
        ("migrator.drop_foreign_key_constraint('functions', 'name')", "name"),
        ("migrator.add_column('functions', 'name', TextField(null=True))", "name"),
        (
            "migrator.add_column('functions', 'other', TextField())",
            "expected a default for functions.other, which may not be NULL; got none",
        ),
    ],
)
def test_what_cannot_be_done_leaves_everything(
    filled: peewee.Database, tmp_path: Path, operation: str, message: str
) -> None:
    before, rows_before = read_catalogue(filled), rows(filled)
    with pytest.raises(MigrationError, match=message):
        applied(filled, tmp_path / "scripts", operation)
    assert (read_catalogue(filled), rows(filled)) == (before, rows_before)
