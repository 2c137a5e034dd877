"""What the database does by itself for rows that hand-made SQL writes: defaults, ``updated_at``, references."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import peewee
import pytest

from cloudpub_models.entity.stored_forms import timestamp_from_database
from cloudpub_models.entity.time_ordered import time_of

TOUCHED = {
    "users": "UPDATE users SET email = 'other'",
    "functions": "UPDATE functions SET name = 'other'",
    "user_information": "UPDATE user_information SET city = 'other'",
    "organizations": "UPDATE organizations SET name = 'other'",
}
LONG_AGO = "2001-01-01 00:00:00.000000"


@pytest.fixture
def filled(migrated: peewee.Database) -> peewee.Database:
    """One row in each table, written without any column that has a default."""
    run = migrated.execute_sql
    run("INSERT INTO users (email, password_hash) VALUES ('a@b.c', 'hash')")
    ((uuid,),) = run("SELECT uuid FROM users").fetchall()
    run(
        "INSERT INTO user_information (user_id, first_name, last_name, role) "
        f"VALUES ('{uuid}', 'Ada', 'Lovelace', 'developer')"
    )
    run(f"INSERT INTO organizations (name, owner_id) VALUES ('acme', '{uuid}')")
    ((organization,),) = run("SELECT uuid FROM organizations").fetchall()
    run(f"INSERT INTO organization_members (organization_id, user_id) VALUES ('{organization}', '{uuid}')")
    run("INSERT INTO functions (user_id, name) VALUES (1, 'f')")
    run("INSERT INTO function_deployments (function_id, version, image_tag, s3_key) VALUES (1, 1, 'image', 'key')")
    run("INSERT INTO function_logs (function_id, level, message) VALUES (1, 'info', 'started')")
    run("INSERT INTO function_invocations (function_id, status) VALUES (1, 'success')")
    return migrated


def only(database: peewee.Database, query: str) -> object:
    ((value,),) = database.execute_sql(query).fetchall()
    return value


def test_rows_without_their_defaults_are_complete(filled: peewee.Database) -> None:
    assert only(filled, "SELECT status FROM functions") == "active"
    assert only(filled, "SELECT status FROM function_deployments") == "building"
    assert only(filled, "SELECT is_active FROM function_deployments") in (False, 0)
    moments = {
        "created_at": ["users", "functions", "user_information", "organizations"],
        "updated_at": ["users", "functions", "user_information", "organizations"],
        "joined_at": ["organization_members"],
        "deployed_at": ["function_deployments"],
        "timestamp": ["function_logs", "function_invocations"],
    }
    for column, tables in moments.items():
        for table in tables:
            stored = only(filled, f"SELECT {column} FROM {table}")
            moment = timestamp_from_database(stored)  # type: ignore[arg-type]
            assert moment is not None
            assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
            if isinstance(stored, str):
                assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", stored)


@pytest.mark.parametrize("table", ["function_deployments", "function_logs"])
def test_default_uuids_are_canonical_and_of_their_version(filled: peewee.Database, table: str) -> None:
    begins_with_time = table == "function_logs" and isinstance(filled, peewee.PostgresqlDatabase)
    insert = {
        "function_deployments": "(function_id, version, image_tag, s3_key) VALUES (1, {}, 'i', 'k')",
        "function_logs": "(function_id, level, message) VALUES (1, 'info', 'again')",
    }[table]
    for number in range(2, 202):
        filled.execute_sql(f"INSERT INTO {table} {insert.format(number)}")
    uuids = [str(value) for (value,) in filled.execute_sql(f"SELECT uuid FROM {table}").fetchall()]
    assert len(set(uuids)) == 201
    version = "7" if begins_with_time else "4"
    for uuid in uuids:
        assert re.fullmatch(
            rf"[0-9a-f]{{8}}-[0-9a-f]{{4}}-{version}[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}", uuid
        )
        moment = time_of(UUID(uuid))
        assert (moment is not None) == begins_with_time
        assert moment is None or abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert {uuid[19] for uuid in uuids} == set("89ab")


@pytest.mark.parametrize("table", TOUCHED)
def test_an_update_touches_updated_at(filled: peewee.Database, table: str) -> None:
    filled.execute_sql(f"UPDATE {table} SET updated_at = '{LONG_AGO}'")
    assert timestamp_from_database(only(filled, f"SELECT updated_at FROM {table}")) == datetime(2001, 1, 1, tzinfo=UTC)  # type: ignore[arg-type]
    filled.execute_sql(TOUCHED[table])
    stored = only(filled, f"SELECT updated_at FROM {table}")
    moment = timestamp_from_database(stored)  # type: ignore[arg-type]
    assert moment is not None
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)
    assert not isinstance(stored, str) or len(stored) == 26


@pytest.mark.parametrize("table", TOUCHED)
def test_an_update_that_names_updated_at_is_left_alone(filled: peewee.Database, table: str) -> None:
    filled.execute_sql(TOUCHED[table] + f", updated_at = '{LONG_AGO}'")
    assert timestamp_from_database(only(filled, f"SELECT updated_at FROM {table}")) == datetime(2001, 1, 1, tzinfo=UTC)  # type: ignore[arg-type]


def test_updated_at_moves_on_with_every_update(filled: peewee.Database) -> None:
    seen = []
    for number in range(3):
        time.sleep(0.005)
        filled.execute_sql(f"UPDATE users SET email = 'mail{number}'")
        seen.append(str(only(filled, "SELECT updated_at FROM users")))
    assert seen == sorted(set(seen))


def test_an_update_touches_its_own_rows_only(filled: peewee.Database) -> None:
    filled.execute_sql("INSERT INTO users (email, password_hash) VALUES ('second', 'hash')")
    filled.execute_sql(f"UPDATE users SET updated_at = '{LONG_AGO}'")
    filled.execute_sql("UPDATE users SET password_hash = 'x' WHERE email = 'second'")
    assert str(only(filled, "SELECT updated_at FROM users WHERE email <> 'second'")).startswith("2001")
    assert not str(only(filled, "SELECT updated_at FROM users WHERE email = 'second'")).startswith("2001")


def test_many_updates_within_a_millisecond_end_with_recursive_triggers_too(filled: peewee.Database) -> None:
    if isinstance(filled, peewee.SqliteDatabase):
        filled.execute_sql("PRAGMA recursive_triggers = ON")
    with filled.atomic():
        for number in range(300):
            filled.execute_sql(f"UPDATE users SET password_hash = '{number}'")
    assert only(filled, "SELECT password_hash FROM users") == "299"


def test_the_trigger_writes_utc_whatever_the_timezone_of_the_session(filled: peewee.Database) -> None:
    if isinstance(filled, peewee.PostgresqlDatabase):
        filled.execute_sql("SET timezone = 'Asia/Tokyo'")
    filled.execute_sql("UPDATE users SET email = 'elsewhere'")
    filled.execute_sql("INSERT INTO users (email, password_hash) VALUES ('second', 'hash')")
    for column in ("created_at", "updated_at"):
        for (stored,) in filled.execute_sql(f"SELECT {column} FROM users").fetchall():
            moment = timestamp_from_database(stored)
            assert moment is not None
            assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_a_deployment_that_goes_leaves_its_function_without_one(filled: peewee.Database) -> None:
    filled.execute_sql("UPDATE functions SET active_deployment_id = 1")
    filled.execute_sql("DELETE FROM function_deployments")
    assert only(filled, "SELECT active_deployment_id FROM functions") is None


def test_a_user_that_goes_takes_everything_along(filled: peewee.Database) -> None:
    filled.execute_sql("UPDATE functions SET active_deployment_id = 1")
    filled.execute_sql("DELETE FROM users")
    for table in ("user_information", "organizations", "organization_members", "functions", "function_deployments"):
        assert only(filled, f"SELECT count(*) FROM {table}") == 0
    assert only(filled, "SELECT count(*) FROM function_logs") == 0
    assert only(filled, "SELECT count(*) FROM function_invocations") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE user_information SET role = 'emperor'",
        "INSERT INTO users (email, password_hash) VALUES ('a@b.c', 'x')",
        "INSERT INTO functions (user_id, name) VALUES (1, 'f')",
        "INSERT INTO functions (user_id, name) VALUES (99, 'g')",
        "INSERT INTO function_deployments (function_id, version, image_tag, s3_key) VALUES (1, 1, 'i', 'k')",
        "UPDATE functions SET active_deployment_id = 99",
        "UPDATE users SET email = NULL",
        "INSERT INTO function_invocations (function_id) VALUES (1)",
        "INSERT INTO organization_members (organization_id, user_id) SELECT organization_id, user_id "
        "FROM organization_members",
    ],
)
def test_the_database_keeps_the_rules(filled: peewee.Database, statement: str) -> None:
    with pytest.raises(peewee.IntegrityError):
        filled.execute_sql(statement)


def test_an_id_is_not_used_again(filled: peewee.Database) -> None:
    filled.execute_sql("INSERT INTO users (email, password_hash) VALUES ('second', 'hash')")
    filled.execute_sql("DELETE FROM users WHERE email = 'second'")
    filled.execute_sql("INSERT INTO users (email, password_hash) VALUES ('third', 'hash')")
    assert only(filled, "SELECT id FROM users WHERE email = 'third'") == 3
