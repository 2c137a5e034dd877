"""Each kind of drift is found, described in one line, and mended by the statements given with it."""

from __future__ import annotations

import peewee
import pytest

from cloudpub_models.entity.fields import EnumField, TimestampField, UuidField
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.platform.component import component
from cloudpub_models.schema import find_drift, read_catalogue
from cloudpub_models.schema.catalogue import postgresql, sqlite

POSTGRESQL_CHANGES = [
    ("DROP TABLE function_logs", "table", "function_logs: table: expected a table; got none", True),
    (
        "ALTER TABLE users DROP COLUMN password_hash",
        "column",
        "users.password_hash: column: expected varchar(255) NOT NULL; got none",
        True,
    ),
    (
        "ALTER TABLE functions ALTER COLUMN name TYPE VARCHAR(20)",
        "type",
        "functions.name: type: expected varchar(255); got varchar(20)",
        True,
    ),
    (
        "ALTER TABLE function_logs ALTER COLUMN level TYPE TEXT",
        "type",
        "function_logs.level: type: expected varchar(20); got text",
        False,
    ),
    (
        "ALTER TABLE users ALTER COLUMN email DROP NOT NULL",
        "nullability",
        "users.email: nullability: expected NOT NULL; got NULL allowed",
        False,
    ),
    (
        "ALTER TABLE user_information ALTER COLUMN city SET NOT NULL",
        "nullability",
        "user_information.city: nullability: expected NULL allowed; got NOT NULL",
        False,
    ),
    (
        "ALTER TABLE functions ALTER COLUMN status DROP DEFAULT",
        "default",
        "functions.status: default: expected 'active'; got none",
        False,
    ),
    (
        "ALTER TABLE functions ALTER COLUMN created_at SET DEFAULT now()",
        "default",
        "functions.created_at: default: expected timezone('utc', now()); got now()",
        False,
    ),
    (
        "ALTER TABLE user_information ALTER COLUMN role SET DEFAULT 'team'",
        "default",
        "user_information.role: default: expected none; got 'team'",
        False,
    ),
    (
        "ALTER TABLE function_deployments ALTER COLUMN uuid DROP DEFAULT",
        "default",
        "function_deployments.uuid: default: expected gen_random_uuid(); got none",
        False,
    ),
    (
        "ALTER TABLE function_logs ALTER COLUMN id DROP DEFAULT",
        "default",
        "function_logs.id: default: expected autoincrement; got none",
        False,
    ),
    (
        "ALTER TABLE user_information DROP CONSTRAINT user_information_pkey",
        "primary key",
        "user_information.id: primary key: expected (id); got ()",
        False,
    ),
    (
        "ALTER TABLE users DROP CONSTRAINT users_email_key",
        "unique",
        "users.email: unique: expected UNIQUE; got none",
        False,
    ),
    (
        "ALTER TABLE functions DROP CONSTRAINT functions_user_id_name_key",
        "unique",
        "functions.user_id, name: unique: expected UNIQUE; got none",
        False,
    ),
    (
        "DROP INDEX function_logs_timestamp_idx",
        "index",
        "function_logs.timestamp: index: expected an index; got none",
        False,
    ),
    (
        "DROP INDEX users_email_lower_key; CREATE UNIQUE INDEX ON users (upper(email))",
        "unique",
        'users.LOWER("email" COLLATE "C"): unique: expected UNIQUE; got none',
        False,
    ),
    (
        "DROP INDEX functions_user_id_idx; CREATE INDEX functions_user_id_idx ON functions (user_id) WHERE user_id > 5",
        "index",
        "functions.user_id: index: expected an index; got none",
        False,
    ),
    (
        "ALTER TABLE function_logs DROP CONSTRAINT function_logs_function_id_fkey",
        "foreign key",
        "function_logs.function_id: foreign key: expected REFERENCES functions (id) ON DELETE CASCADE; got none",
        False,
    ),
    (
        "ALTER TABLE functions DROP CONSTRAINT functions_active_deployment_id_fkey;"
        "ALTER TABLE functions ADD CONSTRAINT other FOREIGN KEY (active_deployment_id)"
        " REFERENCES function_deployments (id) ON DELETE CASCADE",
        "foreign key",
        "functions.active_deployment_id: foreign key: expected REFERENCES function_deployments (id) "
        "ON DELETE SET NULL; got REFERENCES function_deployments (id) ON DELETE CASCADE",
        False,
    ),
    (
        "ALTER TABLE user_information DROP CONSTRAINT user_information_role_check",
        "check",
        "user_information.user_information_role_check: check: expected CHECK (role IN ('developer', 'team', "
        "'sub_team_developer')); got none",
        False,
    ),
    (
        "ALTER TABLE user_information DROP CONSTRAINT user_information_role_check;"
        "ALTER TABLE user_information ADD CONSTRAINT user_information_role_check CHECK (role IN ('developer', 'boss'))",
        "check",
        "user_information.user_information_role_check: check: expected CHECK (role IN ('developer', 'team', "
        "'sub_team_developer')); got CHECK (role IN ('developer', 'boss'))",
        False,
    ),
    (
        "DROP TRIGGER users_set_updated_at ON users",
        "trigger",
        "users.users_set_updated_at: trigger: expected the trigger that sets updated_at; got none",
        False,
    ),
    (
        "ALTER TABLE users DISABLE TRIGGER users_set_updated_at",
        "trigger",
        "users.users_set_updated_at: trigger: expected the trigger that sets updated_at; got none",
        False,
    ),
    (
        "CREATE OR REPLACE TRIGGER users_set_updated_at AFTER UPDATE ON users FOR EACH ROW"
        " EXECUTE FUNCTION cloudpub_set_updated_at()",
        "trigger",
        "users.users_set_updated_at: trigger: expected the trigger that sets updated_at; got another one of this name",
        False,
    ),
    (
        "ALTER TABLE users ADD COLUMN badge TEXT NOT NULL",
        "extra column",
        "users.badge: extra column: expected NULL allowed or a default; got NOT NULL without one",
        False,
    ),
]


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("change", "kind", "description", "blocking"), POSTGRESQL_CHANGES)
def test_drift_on_postgresql(
    migrated: peewee.Database, change: str, kind: str, description: str, blocking: bool
) -> None:
    migrated.execute_sql(change)
    (difference,) = find_drift(migrated, component.models)
    assert difference.kind == kind
    assert str(difference) == description
    assert difference.blocking is blocking
    if change.startswith("ALTER TABLE users DISABLE"):
        migrated.execute_sql("ALTER TABLE users ENABLE TRIGGER users_set_updated_at")
    else:
        assert difference.statements
        for statement in difference.statements:
            migrated.execute_sql(statement)
    assert find_drift(migrated, component.models) == []


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_changed_trigger_function_is_drift_of_every_table_that_uses_it(migrated: peewee.Database) -> None:
    migrated.execute_sql(
        "CREATE OR REPLACE FUNCTION cloudpub_set_updated_at() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RETURN NEW; END$$"
    )
    differences = find_drift(migrated, component.models)
    assert [difference.kind for difference in differences] == ["trigger"] * 4
    for statement in differences[0].statements:
        migrated.execute_sql(statement)
    assert find_drift(migrated, component.models) == []


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_an_invalid_index_does_not_count(migrated: peewee.Database) -> None:
    migrated.execute_sql(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'function_logs_timestamp_idx'::regclass"
    )
    (difference,) = find_drift(migrated, component.models)
    assert difference.kind == "index"


SQLITE_CHANGES = [
    (["DROP TABLE function_logs"], "table", True, True),
    (["ALTER TABLE functions DROP COLUMN analysis_result"], "column", True, True),
    (["ALTER TABLE user_information DROP COLUMN phone_number"], "column", True, True),
    (["DROP INDEX function_logs_timestamp_idx"], "index", True, False),
    (["DROP INDEX users_email_lower_key", "CREATE INDEX other ON users (id, upper(email))"], "unique", True, False),
    (["DROP INDEX users_email_lower_key", "CREATE INDEX other ON users (lower(email))"], "unique", True, False),
    (["DROP TRIGGER users_set_updated_at"], "trigger", True, False),
    (
        [
            "DROP TRIGGER users_set_updated_at",
            "CREATE TRIGGER users_set_updated_at AFTER UPDATE ON users BEGIN SELECT 1; END",
        ],
        "trigger",
        True,
        False,
    ),
]


@pytest.mark.parametrize("connect", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("changes", "kind", "mendable", "blocking"), SQLITE_CHANGES)
def test_drift_on_sqlite(
    migrated: peewee.Database, changes: list[str], kind: str, mendable: bool, blocking: bool
) -> None:
    for change in changes:
        migrated.execute_sql(change)
    (difference,) = find_drift(migrated, component.models)
    assert (difference.kind, difference.blocking) == (kind, blocking)
    for statement in difference.statements:
        migrated.execute_sql(statement)
    assert find_drift(migrated, component.models) == []


@pytest.mark.parametrize("connect", ["sqlite"], indirect=True)
def test_drift_inside_a_sqlite_table(migrated: peewee.Database) -> None:
    """What SQLite keeps in the table itself, all at once: the table is made anew without any of it."""
    for statement in ("DROP TABLE user_information", "DROP TABLE function_logs", "DROP TABLE users"):
        migrated.execute_sql("PRAGMA foreign_keys = OFF")
        migrated.execute_sql(statement)
    migrated.execute_sql(
        "CREATE TABLE user_information (id INTEGER PRIMARY KEY, uuid BLOB NOT NULL, user_id TEXT, first_name TEXT, "
        "last_name VARCHAR(100) NOT NULL, phone_number VARCHAR(20), country VARCHAR(100), city VARCHAR(100), "
        "address TEXT, zip_code VARCHAR(20), avatar TEXT, role VARCHAR(50) NOT NULL DEFAULT 'team' CHECK (role <> ''), "
        "created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP NOT NULL, extra TEXT NOT NULL)"
    )
    migrated.execute_sql(
        "CREATE TABLE users (id INTEGER, uuid TEXT NOT NULL, email VARCHAR(255) NOT NULL, password_hash TEXT NOT NULL, "
        "created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL)"
    )
    described = {difference.description for difference in find_drift(migrated, component.models)}
    assert {line for line in described if line.startswith("user_information")} >= {
        "user_information.uuid: type: expected text; got blob",
        "user_information.user_id: nullability: expected NOT NULL; got NULL allowed",
        "user_information.id: default: expected autoincrement; got none",
        "user_information.role: default: expected none; got 'team'",
        "user_information.user_id: unique: expected UNIQUE; got none",
        "user_information.role: index: expected an index; got none",
        "user_information.user_id: foreign key: expected REFERENCES users (uuid) ON DELETE CASCADE; got none",
        "user_information.extra: extra column: expected NULL allowed or a default; got NOT NULL without one",
        "user_information.user_information_role_check: check: expected CHECK (role IN ('developer', 'team', "
        "'sub_team_developer')); got none",
    }
    assert "users.id: primary key: expected (id); got ()" in described
    blocking = {difference.description for difference in find_drift(migrated, component.models) if difference.blocking}
    assert blocking == {
        "function_logs: table: expected a table; got none",
        "user_information.uuid: type: expected text; got blob",
    }


def test_what_others_add_is_no_drift(migrated: peewee.Database) -> None:
    migrated.execute_sql("CREATE TABLE elsewhere (id INTEGER PRIMARY KEY, anything TEXT)")
    migrated.execute_sql("ALTER TABLE users ADD COLUMN nickname VARCHAR(50)")
    migrated.execute_sql("ALTER TABLE users ADD COLUMN score INTEGER NOT NULL DEFAULT 0")
    migrated.execute_sql("CREATE INDEX others_own ON users (nickname)")
    assert find_drift(migrated, component.models) == []


def test_an_index_or_constraint_by_another_name_is_no_drift(migrated: peewee.Database) -> None:
    migrated.execute_sql("DROP INDEX function_logs_timestamp_idx")
    migrated.execute_sql("CREATE INDEX named_by_others ON function_logs (timestamp)")
    if isinstance(migrated, peewee.PostgresqlDatabase):
        migrated.execute_sql("ALTER TABLE users DROP CONSTRAINT users_email_key")
        migrated.execute_sql("CREATE UNIQUE INDEX named_by_others_too ON users (email)")
        key = 'lower(email COLLATE "C")'
    else:
        key = "lower(email)"
    migrated.execute_sql("DROP INDEX users_email_lower_key")
    migrated.execute_sql(f"CREATE UNIQUE INDEX named_by_others_as_well ON users ({key})")
    assert find_drift(migrated, component.models) == []


def test_an_empty_database_lacks_every_table_and_the_statements_make_it_whole(empty: peewee.Database) -> None:
    differences = find_drift(empty, component.models)
    assert [difference.table for difference in differences] == [model._meta.table_name for model in ALL_MODELS]
    for difference in differences:
        for statement in difference.statements:
            empty.execute_sql(statement)
    # What is left is the reference that had to wait for its table, which SQLite takes at once.
    left = find_drift(empty, component.models)
    assert [difference.kind for difference in left] == (
        ["foreign key"] if isinstance(empty, peewee.PostgresqlDatabase) else []
    )
    for difference in left:
        for statement in difference.statements:
            empty.execute_sql(statement)
    assert find_drift(empty, component.models) == []


def test_a_model_in_a_schema_of_its_own_is_not_compared(empty: peewee.Database) -> None:
    class Elsewhere(peewee.Model):
        class Meta:
            schema = "other"

    class Here(peewee.Model):
        class Meta:
            table_name = "here"

    assert [difference.table for difference in find_drift(empty, [Elsewhere, Here])] == ["here"]


def test_models_of_the_users_own(empty: peewee.Database) -> None:
    from cloudpub_models.entity.base import Entity
    from cloudpub_models.models import Role
    from cloudpub_models.schema import create_all

    class Badge(Entity):
        """A model that is not of this package, with Peewee's own means too."""

        uuid = UuidField(unique=True)
        label = peewee.CharField(30, constraints=[peewee.Default("'new'"), peewee.Check("length(label) > 0")])
        given_at = TimestampField(null=True)
        to = EnumField(Role, null=True)

        class Meta:
            table_name = "badges"
            constraints = [peewee.Check("given_at IS NOT NULL OR label <> 'given'", "badges_given")]

    create_all(empty, [Badge])
    assert find_drift(empty, [Badge]) == []
    empty.execute_sql("DROP TABLE badges")
    assert [difference.kind for difference in find_drift(empty, [Badge])] == ["table"]


@pytest.mark.parametrize(
    ("expected", "found", "answer"),
    [
        ("varchar(50)", "varchar(50)", True),
        ("varchar(50)", "varchar(51)", True),
        ("varchar(50)", "varchar(49)", False),
        ("varchar(50)", "varchar", True),
        ("varchar(50)", "text", True),
        ("varchar(50)", "citext", True),
        ("varchar(50)", "integer", False),
        ("text", "varchar", True),
        ("text", "varchar(500)", False),
        ("integer", "bigint", True),
        ("integer", "smallint", False),
        ("integer", "numeric", False),
        ("timestamp", "timestamptz", True),
        ("timestamp", "timestamp(3)", False),
        ("timestamp", "timestamptz(6)", True),
        ("timestamp", "date", False),
        ("timestamp", "text", False),
        ("uuid", "text", False),
        ("jsonb", "json", False),
        ("boolean", "integer", False),
    ],
)
def test_types_that_fit_on_postgresql(expected: str, found: str, answer: bool) -> None:
    assert postgresql.type_fits(expected, found) is answer


@pytest.mark.parametrize(
    ("expected", "found", "answer"),
    [
        ("integer", "int", True),
        ("integer", "bigint", True),
        ("integer", "boolean", True),
        ("integer", "text", False),
        ("varchar(50)", "text", True),
        ("varchar(50)", "varchar(10)", True),
        ("text", "uuid", True),
        ("text", "json", True),
        ("text", "blob", False),
        ("text", "", False),
        ("timestamp", "datetime", True),
        ("timestamp", "text", True),
        ("timestamp", "integer", False),
        ("timestamp", "real", False),
    ],
)
def test_types_that_fit_on_sqlite(expected: str, found: str, answer: bool) -> None:
    assert sqlite.type_fits(expected, found) is answer


class Numbered(peewee.Model):
    """A table as SQLite's users write it: INTEGER PRIMARY KEY is never NULL, though nothing says so."""

    id = peewee.IntegerField(primary_key=True)
    code = peewee.CharField(max_length=5)

    class Meta:
        table_name = "numbered"


@pytest.mark.parametrize("connect", ["sqlite"], indirect=True)
def test_an_integer_primary_key_is_not_nullable(empty: peewee.Database) -> None:
    empty.execute_sql("CREATE TABLE numbered (id INTEGER PRIMARY KEY, code VARCHAR(5) NOT NULL)")
    empty.execute_sql("CREATE TABLE coded (code TEXT PRIMARY KEY)")
    assert find_drift(empty, [Numbered]) == []
    tables = read_catalogue(empty).tables
    assert tables["numbered"].columns["id"].nullable is False
    assert tables["coded"].columns["code"].nullable is True  # SQLite takes NULL there
