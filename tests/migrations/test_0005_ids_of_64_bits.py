"""The fifth migration: ids of 64 bits where they take no time, UUIDs that begin with the time; the rest goes on."""

from __future__ import annotations

import warnings
from importlib import import_module
from uuid import UUID

import peewee
import pytest

from cloudpub_models.entity.time_ordered import time_of
from cloudpub_models.errors import MigrationError
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Migrator, find_drift, read_catalogue
from cloudpub_models.schema.safety.plan import plan_migrations

MIGRATION = "0005_ids_of_64_bits"
TABLES = ("function_logs", "function_invocations")
script = import_module(f"cloudpub_models.migrations.{MIGRATION}")
on_postgresql = pytest.mark.parametrize("connect", ["postgresql"], indirect=True)


@pytest.fixture
def older(empty: peewee.Database) -> peewee.Database:
    """A database of before the migration, with a line and an invocation in it."""
    Migrator(empty, component).up("0004_one_account_for_each_address")
    for statement in (
        "INSERT INTO users (email, password_hash) VALUES ('ada@example.com', 'hash')",
        "INSERT INTO functions (user_id, name) VALUES (1, 'resize')",
        "INSERT INTO function_logs (function_id, level, message) VALUES (1, 'info', 'started')",
        "INSERT INTO function_invocations (function_id, status) VALUES (1, 'success')",
    ):
        empty.execute_sql(statement)
    return empty


def types_of_ids(database: peewee.Database) -> set[str]:
    tables = read_catalogue(database).tables
    return {tables[name].columns["id"].type for name in TABLES}


@pytest.fixture
def backend(older: peewee.Database) -> str:
    return "sqlite" if isinstance(older, peewee.SqliteDatabase) else "postgresql"


def rows(database: peewee.Database) -> list[object]:
    return [database.execute_sql(f"SELECT id, uuid FROM {table} ORDER BY id").fetchall() for table in TABLES]


def test_it_comes_and_goes_and_rows_keep_what_they_have(older: peewee.Database, backend: str) -> None:
    wide, narrow = ({"bigint"}, {"integer"}) if backend == "postgresql" else ({"integer"}, {"integer"})
    before, migrator = rows(older), Migrator(older, component)
    assert migrator.up() == [MIGRATION]
    assert (find_drift(older, component.models), types_of_ids(older), rows(older)) == ([], wide, before)
    assert migrator.down() == [MIGRATION]
    assert (types_of_ids(older), rows(older)) == (narrow, before)
    assert migrator.up() == [MIGRATION]
    assert find_drift(older, component.models) == []


@on_postgresql
def test_ids_go_on_beyond_32_bits(older: peewee.Database) -> None:
    migrator = Migrator(older, component)
    migrator.up()
    for table in TABLES:
        older.execute_sql(f"SELECT setval('{table}_id_seq', {2**31 - 1})")
    older.execute_sql("INSERT INTO function_logs (function_id, level, message) VALUES (1, 'info', 'again')")
    older.execute_sql("INSERT INTO function_invocations (function_id, status) VALUES (1, 'success')")
    assert [found[-1][0] for found in rows(older)] == [2**31, 2**31]
    with pytest.raises(MigrationError, match="out of range"):
        migrator.down()
    assert (types_of_ids(older), len(migrator.pending())) == ({"bigint"}, 0)


@on_postgresql
def test_the_database_makes_uuids_of_the_current_time(older: peewee.Database) -> None:
    Migrator(older, component).up()
    ((uuid, now),) = older.execute_sql(
        "INSERT INTO function_logs (function_id, level, message) VALUES (1, 'info', 'x') "
        "RETURNING uuid, clock_timestamp()"
    ).fetchall()
    moment = time_of(UUID(str(uuid)))
    assert moment is not None
    assert abs((now - moment).total_seconds()) < 60


@on_postgresql
@pytest.mark.parametrize("reason", ["size", "view"])
def test_what_would_take_long_is_left_as_it_is_and_told(
    older: peewee.Database, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "view":
        older.execute_sql("CREATE VIEW latest AS SELECT id, message FROM function_logs")
        expected = "the ids of function_logs stay INTEGER, since a view, a policy or a trigger names them: drop that"
    else:
        filling = "INSERT INTO function_logs (function_id, level, message) SELECT 1, 'info', repeat('x', 1000) FROM "
        older.execute_sql(filling + "generate_series(1, 200)")
        monkeypatch.setattr(script, "LARGEST_BYTES", 200_000)
        expected = "the ids of function_logs stay INTEGER, since widening them writes 0 MB anew: nobody can read"
    before = rows(older)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        script.up(None, older)
    assert [str(each.message).startswith(expected) for each in told] == [True]
    assert rows(older) == before
    assert {name: read_catalogue(older).tables[name].columns["id"].type for name in TABLES} == {
        "function_logs": "integer",
        "function_invocations": "bigint",
    }
    [difference] = find_drift(older, component.models)
    assert (difference.description, difference.blocking) == (
        "function_logs.id: type: expected bigint; got integer",
        False,
    )
    # The statements that it has are those that mend it.
    older.execute_sql("DROP VIEW IF EXISTS latest")
    for statement in difference.statements:
        older.execute_sql(statement)
    older.execute_sql(f"SELECT setval('function_logs_id_seq', {2**31})")
    assert find_drift(older, component.models) == []


@on_postgresql
@pytest.mark.parametrize("target", [None, "0004_one_account_for_each_address"])
def test_a_plan_says_what_it_sends(connect: object, empty: peewee.Database, target: str | None) -> None:
    """Also where the tables are still to be made."""
    migrator = Migrator(empty, component)
    if target is not None:
        migrator.up(target)
    planned = plan_migrations(migrator, "up", None)[-1]
    sent = [statement.sql for statement in planned.statements if "SET DEFAULT" not in statement.sql]
    assert (planned.name, planned.stopped) == (MIGRATION, None)
    assert sent == [
        statement
        for table in TABLES
        for statement in (
            f"ALTER TABLE {table} ALTER COLUMN id TYPE BIGINT",
            f"ALTER SEQUENCE {table}_id_seq AS BIGINT",
        )
    ]
