"""A database whose tables another backend has made is taken over, or refused with everything that is in the way."""

from __future__ import annotations

import peewee
import pytest

from cloudpub_models.component import Component
from cloudpub_models.errors import MigrationError
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Migrator, find_drift
from cloudpub_models.schema.drift.adoption import TableFinding, examine

# As a backend in another language might have made them: PostgreSQL's own names, TIMESTAMPTZ, hardly a constraint.
FOREIGN_TABLES = {
    "postgresql": """
        CREATE TABLE users (
            id BIGSERIAL PRIMARY KEY, uuid UUID UNIQUE NOT NULL DEFAULT gen_random_uuid(), email TEXT UNIQUE NOT NULL,
            password_hash VARCHAR(500), created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP,
            updated_at TIMESTAMPTZ DEFAULT now(), nickname TEXT);
        CREATE TABLE user_information (
            id SERIAL PRIMARY KEY, uuid UUID NOT NULL, user_id UUID NOT NULL UNIQUE, first_name VARCHAR(100),
            last_name VARCHAR(100), phone_number VARCHAR(20), country VARCHAR(100), city VARCHAR(100), address TEXT,
            zip_code VARCHAR(20), avatar TEXT, role VARCHAR(50), created_at TIMESTAMP, updated_at TIMESTAMP);
        CREATE TABLE organizations (
            id SERIAL PRIMARY KEY, uuid UUID UNIQUE, name VARCHAR(255), owner_id UUID, created_at TIMESTAMP,
            updated_at TIMESTAMP);
        CREATE TABLE organization_members (
            id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, organization_id UUID, user_id UUID,
            joined_at TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'));
        CREATE TABLE functions (
            id SERIAL PRIMARY KEY, uuid UUID, user_id BIGINT REFERENCES users (id), name VARCHAR(255),
            status VARCHAR(50) DEFAULT 'active', active_deployment_id INTEGER, analysis_result JSONB,
            created_at TIMESTAMP, updated_at TIMESTAMP);
        CREATE TABLE function_deployments (
            id SERIAL PRIMARY KEY, uuid UUID, function_id INTEGER, version INTEGER, image_tag VARCHAR(255),
            s3_key VARCHAR(500), status VARCHAR(50), is_active BOOLEAN, build_logs TEXT, deployed_at TIMESTAMP);
        CREATE TABLE function_logs (
            id SERIAL PRIMARY KEY, uuid UUID, function_id INTEGER, level VARCHAR(20), message TEXT,
            timestamp TIMESTAMP);
        CREATE TABLE function_invocations (
            id SERIAL PRIMARY KEY, uuid UUID, function_id INTEGER, status VARCHAR(50), duration_ms INTEGER, error TEXT,
            timestamp TIMESTAMP);
        CREATE TABLE billing (id SERIAL PRIMARY KEY);
        INSERT INTO users (email, password_hash) VALUES ('a@b.c', 'hash');
        INSERT INTO functions (uuid, user_id, name, created_at, updated_at)
            VALUES (gen_random_uuid(), 1, 'f', now(), now());
    """,
    "sqlite": """
        CREATE TABLE users (
            id INTEGER PRIMARY KEY, uuid UUID UNIQUE NOT NULL, email TEXT UNIQUE NOT NULL, password_hash TEXT,
            created_at DATETIME, updated_at DATETIME, nickname TEXT);
        CREATE TABLE user_information (
            id INTEGER PRIMARY KEY, uuid TEXT, user_id TEXT, first_name TEXT, last_name TEXT, phone_number TEXT,
            country TEXT, city TEXT, address TEXT, zip_code TEXT, avatar TEXT, role TEXT, created_at TEXT,
            updated_at TEXT);
        CREATE TABLE organizations (
            id INTEGER PRIMARY KEY, uuid TEXT, name TEXT, owner_id TEXT, created_at TEXT, updated_at TEXT);
        CREATE TABLE organization_members (
            id INTEGER PRIMARY KEY, organization_id TEXT, user_id TEXT, joined_at TEXT);
        CREATE TABLE functions (
            id INTEGER PRIMARY KEY, uuid TEXT, user_id INT REFERENCES users, name TEXT, status TEXT,
            active_deployment_id INT, analysis_result JSON, created_at TEXT, updated_at TEXT);
        CREATE TABLE function_deployments (
            id INTEGER PRIMARY KEY, uuid TEXT, function_id INT, version INT, image_tag TEXT, s3_key TEXT, status TEXT,
            is_active BOOLEAN, build_logs TEXT, deployed_at TEXT);
        CREATE TABLE function_logs (
            id INTEGER PRIMARY KEY, uuid TEXT, function_id INT, level TEXT, message TEXT, timestamp TEXT);
        CREATE TABLE function_invocations (
            id INTEGER PRIMARY KEY, uuid TEXT, function_id INT, status TEXT, duration_ms INT, error TEXT,
            timestamp TEXT);
        CREATE TABLE billing (id INTEGER PRIMARY KEY)
    """,
}


@pytest.fixture
def foreign(empty: peewee.Database) -> peewee.Database:
    """A database that another backend has made."""
    kind = "sqlite" if isinstance(empty, peewee.SqliteDatabase) else "postgresql"
    for statement in FOREIGN_TABLES[kind].split(";"):
        if statement.strip():
            empty.execute_sql(statement)
    return empty


def test_a_foreign_database_is_adopted(foreign: peewee.Database) -> None:
    migrator = Migrator(foreign, component)
    report = migrator.adopt()
    assert report.recorded == ("0001_initial",)
    assert migrator.status()[0].state == "applied"
    assert "0001_initial" not in migrator.pending()
    kinds = {difference.kind for difference in report.differences}
    assert kinds >= {"nullability", "unique", "index", "foreign key", "check", "trigger", "default", "type"}
    assert not any(difference.blocking for difference in report.differences)
    assert not any(difference.table == "billing" for difference in report.differences)
    # A second time there is nothing to record, and the report is the same.
    again = migrator.adopt()
    assert again.recorded == ()
    assert again.differences == report.differences


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_the_statements_of_the_report_bring_the_schema_about(foreign: peewee.Database) -> None:
    report = Migrator(foreign, component).adopt()
    (function_before,) = foreign.execute_sql("SELECT created_at FROM functions").fetchall()
    foreign.execute_sql("SET timezone = 'Asia/Tokyo'")
    for statement in report.statements:
        foreign.execute_sql(statement)
    assert find_drift(foreign, component.models) == []
    assert foreign.execute_sql("SELECT created_at FROM functions").fetchall() == [function_before]
    foreign.execute_sql("INSERT INTO users (email, password_hash) VALUES ('d@e.f', 'hash')")
    assert foreign.execute_sql("SELECT count(*) FROM users").fetchone()[0] == 2
    seconds = "SELECT max(abs(extract(epoch FROM created_at - timezone('utc', now())))) FROM users"
    assert foreign.execute_sql(seconds).fetchone()[0] < 60


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_defaults_and_triggers_can_be_added_while_the_columns_keep_their_timezone(foreign: peewee.Database) -> None:
    foreign.execute_sql("ALTER TABLE users ALTER COLUMN created_at DROP DEFAULT")
    report = Migrator(foreign, component).adopt()
    for difference in report.differences:
        if difference.table == "users" and difference.kind in ("default", "trigger"):
            for statement in difference.statements:
                foreign.execute_sql(statement)
    foreign.execute_sql("SET timezone = 'Asia/Tokyo'")
    foreign.execute_sql("INSERT INTO users (email, password_hash) VALUES ('d@e.f', 'hash')")
    foreign.execute_sql("UPDATE users SET updated_at = '2001-01-01'")
    foreign.execute_sql("UPDATE users SET nickname = 'x'")
    seconds = "SELECT max(abs(extract(epoch FROM {} - now()))) FROM users"
    for column in ("created_at", "updated_at"):
        assert foreign.execute_sql(seconds.format(column)).fetchone()[0] < 60


@pytest.mark.parametrize("connect", ["sqlite"], indirect=True)
def test_on_sqlite_the_statements_add_what_they_can(foreign: peewee.Database) -> None:
    report = Migrator(foreign, component).adopt()
    for statement in report.statements:
        foreign.execute_sql(statement)
    left = {difference.kind for difference in find_drift(foreign, component.models)}
    assert left == {"type", "nullability", "default", "foreign key", "check"}


def test_what_is_missing_or_does_not_fit_is_refused_all_at_once(foreign: peewee.Database) -> None:
    foreign.execute_sql("DROP TABLE function_logs")
    foreign.execute_sql("ALTER TABLE functions DROP COLUMN analysis_result")
    foreign.execute_sql("DROP TABLE organization_members")
    foreign.execute_sql(
        "CREATE TABLE organization_members (id TEXT, organization_id BLOB, joined_at INTEGER)"
        if isinstance(foreign, peewee.SqliteDatabase)
        else "CREATE TABLE organization_members (id TEXT, organization_id INTEGER, joined_at DATE)"
    )
    with pytest.raises(MigrationError) as refused:
        Migrator(foreign, component).adopt()
    message = str(refused.value)
    assert "6 thing(s)" in message
    for place in (
        "function_logs: table",
        "functions.analysis_result: column",
        "organization_members.id: type",
        "organization_members.organization_id: type",
        "organization_members.user_id: column",
        "organization_members.joined_at: type",
    ):
        assert place in message
    assert Migrator(foreign, component).applied() == {}


def test_an_empty_database_is_refused(empty: peewee.Database) -> None:
    with pytest.raises(MigrationError, match="got none of them: run `migrate up`"):
        Migrator(empty, component).adopt()


def test_migrating_a_foreign_database_points_to_adoption(foreign: peewee.Database) -> None:
    with pytest.raises(MigrationError, match="run `migrate adopt`"):
        Migrator(foreign, component).up()
    assert Migrator(foreign, component).applied() == {}


def test_a_migrated_database_has_nothing_to_adopt(migrated: peewee.Database) -> None:
    report = Migrator(migrated, component).adopt()
    assert (report.recorded, report.differences, report.statements) == ((), (), ())


def test_each_table_is_described(foreign: peewee.Database) -> None:
    foreign.execute_sql("DROP TABLE function_logs")
    foreign.execute_sql("ALTER TABLE functions DROP COLUMN analysis_result")
    foreign.execute_sql("CREATE TABLE deploy_logs (id INTEGER, uuid TEXT, level TEXT, message TEXT, timestamp TEXT)")
    examined = examine(foreign, [component])
    found = {finding.table: finding for finding in examined.tables}
    assert list(found) == [*component.tables, "billing", "deploy_logs"]
    assert found["users"].found.endswith("; 1 column that the model does not know: nickname text")
    assert [column.name for column in found["users"].unknown_columns] == ["nickname"]
    assert found["functions"].found.startswith("1 in the way; ")
    assert found["functions"].advice[0] == "mend that, then adopt again"
    assert found["function_logs"].found == "no table; deploy_logs has its columns but for function_id"
    assert found["function_logs"].advice == ("make it beside deploy_logs, then adopt again",)
    assert (found["billing"].component, found["billing"].found) == (None, "a table that no model has")
    assert (examined.adopted, examined.fits) == ((component,), False)
    assert [difference.table for difference in examined.in_the_way] == ["functions", "function_logs"]


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_column_that_has_to_be_given_a_value_is_not_said_to_work(migrated: peewee.Database) -> None:
    migrated.execute_sql("ALTER TABLE users ADD COLUMN plan TEXT NOT NULL")
    [users] = [each for each in Migrator(migrated, component).examine().tables if each.table == "users"]
    assert users.found == "1 difference; 1 column that the model does not know: plan text"
    assert users.advice[0] == "let its extra column be NULL or have a default: until then no row can be inserted here"


def test_a_table_like_none_is_only_missing(foreign: peewee.Database) -> None:
    foreign.execute_sql("DROP TABLE function_logs")
    # Three of six columns are not most of them.
    foreign.execute_sql("CREATE TABLE other (id INTEGER, uuid TEXT, level TEXT)")
    [missing] = [each for each in examine(foreign, [component]).tables if each.table == "function_logs"]
    assert (missing.found, missing.advice) == ("no table", ("make it, then adopt again",))


def test_tables_of_other_components_are_nobody_elses(empty: peewee.Database) -> None:
    Migrator(empty, component).up()
    empty.execute_sql("CREATE TABLE others (id INTEGER)")
    assert [each.table for each in Migrator(empty, []).examine(beside=[component]).tables] == ["others"]
    assert {each.found for each in Migrator(empty, component).examine().tables} == {
        "as the model says",
        "a table that no model has",
    }


def test_a_component_without_a_table_is_for_migrations_to_make(migrated: peewee.Database) -> None:
    class Coin(peewee.Model):
        class Meta:
            table_name = "coins"

    examined = Migrator(migrated, [component, Component("coins", (Coin,))]).examine()
    assert examined.tables[-1] == TableFinding("coins", "coins", "no table", ("migrate the component, which makes it",))
    assert (examined.adopted, examined.fits) == ((component,), True)


def test_a_table_in_a_schema_of_its_own_is_not_looked_at(empty: peewee.Database) -> None:
    class Elsewhere(peewee.Model):
        class Meta:
            table_name = "elsewhere"
            schema = "shop"

    class Here(peewee.Model):
        class Meta:
            table_name = "coins"

    is_sqlite = isinstance(empty, peewee.SqliteDatabase)
    key = "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT" if is_sqlite else "SERIAL NOT NULL PRIMARY KEY"
    empty.execute_sql(f"CREATE TABLE coins (id {key})")
    examined = Migrator(empty, Component("shop", (Elsewhere, Here))).examine()
    found = [each.found for each in examined.tables]
    assert found == ["in a schema of its own, and not looked at", "as the model says"]
