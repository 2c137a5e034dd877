"""What is said of a statement before it is run, and that PostgreSQL really does it."""

from __future__ import annotations

from collections.abc import Iterator

import peewee
import pytest

from cloudpub_models import Database
from cloudpub_models.schema.catalogue.facts import DatabaseFacts
from cloudpub_models.schema.catalogue.read import read_facts
from cloudpub_models.schema.safety.hazards import Hazard, HazardFinder
from cloudpub_models.sql import POSTGRESQL, SQLITE, Dialect
from cloudpub_models.sql.text.server_parser import installed_parser

ROWS = {"logs": 5_000_000, "users": 12, "unanalysed": None}


def hazards(sql: str, dialect: Dialect = POSTGRESQL, *, in_transaction: bool = True) -> list[Hazard]:
    facts = DatabaseFacts(POSTGRESQL, ROWS, {("users", "email"): "varchar(255)"}, frozenset({"now", "timezone"}))
    if dialect is SQLITE:
        facts = DatabaseFacts(SQLITE, ROWS, schema="main", complete=True)
    return list(HazardFinder(facts).hazards(sql, in_transaction=in_transaction))


def severities(sql: str, dialect: Dialect = POSTGRESQL, **options: bool) -> set[str]:
    return {hazard.severity for hazard in hazards(sql, dialect, **options)}


@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE], ids=str)
@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("DROP TABLE users", ["users"]),
        ('drop table if exists "users", logs cascade', ["users", "logs"]),
        ("ALTER TABLE users DROP COLUMN email", ["users"]),
        ("DELETE FROM users", ["users"]),
        ("DELETE FROM users WHERE id = %s", ["users"]),
        ("/* tidy */ WITH old AS (SELECT 1) DELETE FROM logs WHERE id IN (SELECT * FROM old)", ["logs"]),
        ("CREATE TABLE other (id INT); DROP TABLE users;", ["users"]),
        ("CREATE FUNCTION f() RETURNS INT LANGUAGE sql AS $$ SELECT 1; $$; DROP TABLE users", ["users"]),
        ("CREATE FUNCTION f() RETURNS INT BEGIN ATOMIC SELECT 1; SELECT 2; END; DROP TABLE users", ["users"]),
        ("CREATE TRIGGER t AFTER UPDATE ON logs BEGIN SELECT CASE WHEN 1 THEN 2 END; END; DROP TABLE users", ["users"]),
        ('CREATE TRIGGER t AFTER UPDATE ON logs BEGIN SELECT "case" FROM x; END; DROP TABLE users', ["users"]),
        ("CREATE RULE r AS ON DELETE TO logs DO ALSO (SELECT 1; DELETE FROM x); DROP TABLE users", ["users"]),
        ("-- it costs $$\nDROP TABLE users; -- and $$", ["users"]),
        ("EXPLAIN ANALYZE DELETE FROM users", ["users"]),
        ("(WITH gone AS (DELETE FROM logs RETURNING *) SELECT * FROM gone)", ["logs"]),
        ("CREATE TABLE kept AS WITH gone AS (DELETE FROM logs RETURNING *) SELECT * FROM gone", ["logs"]),
        ('ALTER TABLE users DROP "constraint"', ["users"]),
    ],
)
def test_what_destroys_data(sql: str, tables: list[str], dialect: Dialect) -> None:
    found = [hazard for hazard in hazards(sql, dialect) if hazard.severity == "destructive"]
    assert [hazard.table for hazard in found] == tables
    assert [hazard.rows for hazard in found] == [ROWS[table] for table in tables]


@pytest.mark.parametrize(
    "sql",
    [
        "TRUNCATE users",
        "TRUNCATE TABLE ONLY users, logs",
        "DROP SCHEMA old CASCADE",
        "DROP TYPE mood CASCADE",
        "WITH gone AS (DELETE FROM logs RETURNING *) INSERT INTO archive SELECT * FROM gone",
        "MERGE INTO users u USING x ON u.id = x.id WHEN MATCHED THEN DELETE",
        "WITH x AS (SELECT 1) MERGE INTO users u USING x ON u.id = x.id WHEN MATCHED THEN DELETE",
        r"INSERT INTO users (email) VALUES (E'\''); DROP TABLE users",
        r"INSERT INTO users (email) VALUES ('\'); DROP TABLE users --')",
        "SELECT E'a' -- b\n 'c\\'; DELETE FROM x; --'; DROP TABLE users",
        "COPY (DELETE FROM users RETURNING *) TO STDOUT",
        "EXPLAIN (ANALYZE, VERBOSE) DELETE FROM users",
        "PREPARE gone AS DELETE FROM users",
        "DO 'BEGIN DELETE FROM users; END'",
        "DO $$ BEGIN EXECUTE 'DROP TABLE users'; END $$",
    ],
)
def test_what_destroys_data_on_postgresql_only(sql: str) -> None:
    assert "destructive" in severities(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE users DROP CONSTRAINT users_email_key",
        "ALTER TABLE users ALTER COLUMN email DROP NOT NULL",
        "ALTER TABLE users ALTER email DROP DEFAULT",
        "DROP INDEX users_email_idx",
        "CREATE TABLE made (id INT); DELETE FROM made; DROP TABLE made",
        "INSERT INTO users (email) VALUES ('DROP TABLE users; DELETE FROM logs')",
        "COMMENT ON TABLE users IS 'do not DROP TABLE users' -- DROP TABLE users",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NEW; END $$",
        "CREATE TRIGGER t AFTER UPDATE ON users BEGIN DELETE FROM logs; DROP TABLE users; END",
        "ALTER TABLE users RENAME TO people",
        'ALTER TABLE users RENAME COLUMN "drop" TO email',
        'DROP TYPE "cascade"',
        "/* /* DROP TABLE users; */ DROP TABLE users; */ SELECT 1",
        r"SELECT E'\'; DROP TABLE users; --'",
        "EXPLAIN DELETE FROM users",
        "INSERT INTO users (email) VALUES ('a') ON CONFLICT DO UPDATE SET email = 'b'",
        "GRANT DELETE ON users TO public",
    ],
)
def test_what_destroys_nothing(sql: str) -> None:
    assert "destructive" not in severities(sql)


def test_the_name_of_the_current_schema_is_left_out() -> None:
    [hazard] = hazards("ALTER TABLE ONLY public.users ADD COLUMN x INT, DROP email CASCADE")
    assert (hazard.table, hazard.rows) == ("users", 12)


def test_a_table_that_nobody_knows_of_is_not_passed_over() -> None:
    for sql in ("DROP TABLE audit.events", "DROP TABLE elsewhere", "ALTER TABLE audit.users DROP COLUMN email"):
        [hazard] = hazards(sql)
        assert (hazard.severity, hazard.rows) == ("destructive", None)
        assert hazard.table in ("audit.events", "elsewhere", "audit.users")
    assert severities("CREATE TABLE events (id INT); DROP TABLE audit.events") == {"destructive"}
    assert severities("CREATE TABLE archive.users AS SELECT * FROM users; DROP TABLE users") == {"destructive"}
    assert hazards("DROP TABLE IF EXISTS things__tmp__", SQLITE) == []  # SQLite's are all known


def test_sqlite_takes_names_in_any_case_and_in_any_quotes() -> None:
    for name in ("Users", '"USERS"', "[Users]", "`users`", "'users'", "main.Users"):
        [hazard] = hazards(f"DROP TABLE {name}", SQLITE)
        assert (hazard.severity, hazard.table) == ("destructive", "users")


def test_postgresql_tells_names_in_quotes_apart_by_their_case() -> None:
    assert [hazard.rows for hazard in hazards('DROP TABLE "Users"; DROP TABLE Users')] == [None, 12]


def test_a_table_that_was_renamed_on_the_way_is_still_known() -> None:
    finder = HazardFinder(DatabaseFacts(POSTGRESQL, ROWS))
    finder.hazards("ALTER TABLE logs RENAME TO old_logs", in_transaction=True)
    [hazard] = finder.hazards("DROP TABLE old_logs", in_transaction=True)
    assert (hazard.severity, hazard.rows) == ("destructive", 5_000_000)


def test_a_table_that_was_renamed_is_known_in_any_case_on_sqlite() -> None:
    [_, _, hazard] = hazards("ALTER TABLE logs RENAME TO OldLogs; DELETE FROM users; DROP TABLE [OLDLOGS]", SQLITE)
    assert (hazard.table, hazard.rows) == ("oldlogs", 5_000_000)


def test_what_cannot_run_in_a_transaction() -> None:
    for sql in ("CREATE INDEX CONCURRENTLY i ON logs (id)", "DROP INDEX CONCURRENTLY i", "VACUUM logs"):
        [hazard] = hazards(sql)
        assert hazard.severity == "failing"
        assert "atomic = False" in (hazard.advice or "")
        assert hazards(sql, in_transaction=False) == []


def test_vacuum_is_nothing_for_a_migration_of_sqlite() -> None:
    for in_transaction in (True, False):
        [hazard] = hazards("VACUUM", SQLITE, in_transaction=in_transaction)
        assert (hazard.severity, hazard.advice) == ("failing", "run it by hand")


def test_code_that_hides_what_it_does_is_unknown() -> None:
    assert severities("DO $$ BEGIN PERFORM tidy(); END $$") == {"unknown"}
    assert severities("CALL tidy()") == {"unknown"}
    assert severities("DO $$ BEGIN DELETE FROM users; END $$") == {"unknown", "destructive"}


PARSED = DatabaseFacts(POSTGRESQL, ROWS, parser=installed_parser())


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("DO $$ BEGIN DELETE FROM users; END $$", [("destructive", "users", "deletes all rows")]),
        (
            "DO $$ BEGIN IF EXISTS (SELECT FROM logs) THEN CREATE INDEX ON logs (level); END IF; END $$",
            [("long", "logs", "blocks writes while the index is built")],
        ),
        (
            "DO $$ BEGIN UPDATE users SET id = 1 WHERE id = 2; EXECUTE 'DROP TABLE logs'; END $$",
            [
                ("long", "users", "changes the rows that match, and keeps each locked until the migration ends"),
                ("unknown", None, "DO runs code that cannot be looked into here: read it"),
                ("destructive", None, "its code has DROP in it"),
            ],
        ),
        ("DO $$ BEGIN CREATE TYPE mood AS ENUM ('glad'); END $$", []),
        (
            "ALTER TABEL users DROP COLUMN email",
            [("failing", None, 'PostgreSQL 18 does not take it: syntax error at or near "TABEL"')],
        ),
        ("UPDATE users SET id = %s WHERE id %% 2 = 0 AND id = %s", None),
    ],
)
def test_postgresqls_own_parser_tells_more(sql: str, found: list[tuple[str, str | None, str]] | None) -> None:
    told = [(each.severity, each.table, each.effect) for each in HazardFinder(PARSED).hazards(sql, in_transaction=True)]
    if found is None:
        assert "failing" not in {severity for severity, _, _ in told}
    else:
        assert told == found


def test_what_is_read_of_postgresql_brings_its_parser(database: Database) -> None:
    facts = read_facts(database.engine)
    assert (facts.parser is not None) == (facts.dialect is POSTGRESQL)


def test_large_is_what_is_large_or_what_nobody_knows() -> None:
    large = {hazard.table: hazard.is_large for table in ROWS for hazard in hazards(f"CREATE INDEX i ON {table} (id)")}
    assert large == {"logs": True, "users": False, "unanalysed": True}


def test_sqlite_says_who_waits_and_what_is_written_anew() -> None:
    [index] = hazards("CREATE INDEX i ON logs (id)", SQLITE)
    assert index.description == "logs (about 5,000,000 rows): reads the whole table, and every other writer waits"
    [dropped] = hazards("ALTER TABLE logs DROP COLUMN level", SQLITE)
    assert "writes the whole table anew" in dropped.effect
    assert hazards("ALTER TABLE logs ADD COLUMN level TEXT", SQLITE) == []


# The rules against PostgreSQL itself: whether a table is written anew shows in the file that it is in, and what others
# are kept from in the locks that a transaction holds.


@pytest.fixture(scope="module")
def victims(postgresql_server: str) -> Iterator[peewee.Database]:
    """A schema with two tables that have rows."""
    database = peewee.PostgresqlDatabase(postgresql_server, options="-c search_path=hazards")
    database.connect()
    database.execute_sql("CREATE SCHEMA hazards")
    database.execute_sql("CREATE TABLE other (id INT PRIMARY KEY)")
    database.execute_sql(
        "CREATE TABLE victim (id INT, small VARCHAR(20) DEFAULT 'a' NOT NULL, note TEXT, at TIMESTAMP, other_id INT)"
    )
    database.execute_sql("INSERT INTO victim (id) SELECT generate_series(1, 1000)")
    database.execute_sql("CREATE UNIQUE INDEX ready ON victim (id)")
    database.execute_sql("ALTER TABLE victim ADD CONSTRAINT waiting CHECK (id > 0) NOT VALID")
    yield database
    database.execute_sql("DROP SCHEMA hazards CASCADE")
    database.close()


@pytest.mark.parametrize(
    ("sql", "rewritten"),
    [
        ("ALTER TABLE victim ADD COLUMN x INT", False),
        ("ALTER TABLE victim ADD COLUMN x TEXT NOT NULL DEFAULT 'a'", False),
        ("ALTER TABLE victim ADD COLUMN x VARCHAR(20) DEFAULT 'a'::varchar(20)", False),
        ("ALTER TABLE victim ADD COLUMN x TIMESTAMP DEFAULT now()", False),
        ("ALTER TABLE victim ADD COLUMN x TIMESTAMP DEFAULT timezone('utc', now())", False),
        ("ALTER TABLE victim ADD COLUMN x TIMESTAMP DEFAULT CURRENT_TIMESTAMP", False),
        ("ALTER TABLE victim ADD COLUMN x UUID DEFAULT gen_random_uuid()", True),
        ("ALTER TABLE victim ADD COLUMN x TIMESTAMP DEFAULT clock_timestamp()", True),
        ("ALTER TABLE victim ADD COLUMN x SERIAL", True),
        ("ALTER TABLE victim ADD COLUMN x INT GENERATED ALWAYS AS IDENTITY", True),
        ("ALTER TABLE victim ADD COLUMN x INT GENERATED ALWAYS AS (id + 1) STORED", True),
        ("ALTER TABLE victim ALTER COLUMN id TYPE BIGINT", True),
        ("ALTER TABLE victim ALTER small SET DATA TYPE VARCHAR(10)", True),
        ("ALTER TABLE victim ALTER small TYPE VARCHAR(30)", False),
        ("ALTER TABLE victim ALTER small TYPE CHARACTER VARYING", False),
        ("ALTER TABLE victim ALTER COLUMN small TYPE TEXT", False),
        ("ALTER TABLE victim ALTER COLUMN note TYPE VARCHAR(30)", True),
        ("ALTER TABLE victim ADD COLUMN x INT, ALTER id TYPE NUMERIC(9)", True),
        ("ALTER TABLE victim SET UNLOGGED", True),
        ("ALTER TABLE victim ALTER small SET NOT NULL", False),
        ("ALTER TABLE victim ALTER small SET DEFAULT gen_random_uuid()::text", False),
        ("ALTER TABLE victim DROP COLUMN note", False),
    ],
)
def test_a_rewrite_is_announced_and_happens(victims: peewee.Database, sql: str, rewritten: bool) -> None:
    found = HazardFinder(read_facts(victims)).hazards(sql, in_transaction=True)
    assert any("anew" in hazard.effect for hazard in found) == rewritten
    file = "SELECT relfilenode FROM pg_class WHERE oid = 'victim'::regclass"
    with victims.atomic() as transaction:
        before = victims.execute_sql(file).fetchone()
        victims.execute_sql(sql)
        assert (victims.execute_sql(file).fetchone() != before) == rewritten
        transaction.rollback()


@pytest.mark.parametrize(
    ("sql", "severity", "lock"),
    [
        ("CREATE INDEX ON victim (note)", "long", "ShareLock"),
        ("ALTER TABLE victim ADD CHECK (id > 0)", "long", "AccessExclusiveLock"),
        ("ALTER TABLE victim ADD CHECK (id > 0) NOT VALID", "brief", "AccessExclusiveLock"),
        ("ALTER TABLE victim ADD FOREIGN KEY (other_id) REFERENCES other (id)", "long", "ShareRowExclusiveLock"),
        (
            "ALTER TABLE victim ADD FOREIGN KEY (other_id) REFERENCES other (id) NOT VALID",
            "brief",
            "ShareRowExclusiveLock",
        ),
        ("ALTER TABLE victim ADD UNIQUE (id)", "long", "AccessExclusiveLock"),
        ("ALTER TABLE victim ADD CONSTRAINT k UNIQUE USING INDEX ready", "brief", "AccessExclusiveLock"),
        ("ALTER TABLE victim ADD COLUMN x INT", "brief", "AccessExclusiveLock"),
        (
            "CREATE TRIGGER t BEFORE UPDATE ON victim EXECUTE FUNCTION tsvector_update_trigger()",
            "brief",
            "ShareRowExclusiveLock",
        ),
        ("CREATE TABLE third (id INT REFERENCES not_there_before (id))", None, ""),
        ("ALTER TABLE victim VALIDATE CONSTRAINT waiting", None, ""),
        ("UPDATE victim SET note = 'x'", "long", "RowExclusiveLock"),
        ("SELECT 1", None, ""),
    ],
)
def test_who_is_kept_out(victims: peewee.Database, sql: str, severity: str | None, lock: str) -> None:
    found = HazardFinder(read_facts(victims)).hazards(sql, in_transaction=True)
    assert [hazard.severity for hazard in found] == ([severity] if severity else [])
    if not lock:
        return
    with victims.atomic() as transaction:
        victims.execute_sql(sql)
        held = victims.execute_sql(
            "SELECT mode FROM pg_locks WHERE relation = 'victim'::regclass AND pid = pg_backend_pid()"
        )
        assert lock in {mode for (mode,) in held.fetchall()}
        transaction.rollback()


def test_facts_tell_sizes_without_reading_rows(victims: peewee.Database) -> None:
    assert read_facts(victims).rows["other"] is None  # never analysed, nothing counted
    victims.execute_sql("ANALYZE victim")
    facts = read_facts(victims)
    assert facts.rows["victim"] == 1000
    assert facts.column_types["victim", "small"] == "varchar(20)"
    assert "now" in facts.steady_functions
    assert "gen_random_uuid" not in facts.steady_functions


@pytest.mark.parametrize(
    ("sql", "severity", "description"),
    [
        ("DROP SCHEMA IF EXISTS foo CASCADE", "destructive", "drops the schema foo with all that is in it"),
        ("DROP SCHEMA a, b CASCADE", "destructive", "drops the schema a, b with all that is in it"),
        ("DROP MATERIALIZED VIEW IF EXISTS totals", "destructive", "drops the materialized view totals with all that"),
        ("DROP TYPE IF EXISTS mood CASCADE", "destructive", "drops the type mood and whatever depends on it"),
        ("DROP OWNED BY ada", "destructive", "drops all that ada owns"),
        ("UPDATE users SET email = ''", "long", "users (about 12 rows): changes all rows, and keeps each locked"),
        ("UPDATE users SET email = '' WHERE id = 1", "long", "users (about 12 rows): changes the rows that match, and"),
        (
            "ALTER TABLE users ALTER COLUMN email TYPE varchar(5) USING left(email, 5)",
            "destructive",
            "users (about 12 rows): replaces each value of email by what USING gives",
        ),
        ("CLUSTER users USING users_email_key", "long", "users (about 12 rows): CLUSTER writes the table anew in the"),
        ("CLUSTER users_email_key ON users", "long", "users (about 12 rows): CLUSTER writes the table anew in the"),
        ("CLUSTER (VERBOSE) users", "long", "users (about 12 rows): CLUSTER"),
        (
            "CLUSTER",
            "long",
            "CLUSTER writes the table anew in the order of an index while nobody can read or write it:",
        ),
        (
            "REINDEX TABLE users",
            "long",
            "users (about 12 rows): REINDEX builds the indexes anew while nobody",
        ),
        (
            "REINDEX INDEX users_email_key",
            "long",
            "REINDEX builds the indexes anew while nobody can write: index ",
        ),
        ("DROP INDEX IF EXISTS a, b", "brief", "drops the index a, b: what was found by it is looked for in the whole"),
        (
            "ALTER TABLE users RENAME COLUMN email TO mail",
            "brief",
            "users (about 12 rows): renames the column email to mail; programs that use the old name fail from then on",
        ),
        ("ALTER TABLE users RENAME email TO mail", "brief", "users (about 12 rows): renames the column email to mail;"),
        ("ALTER TABLE users RENAME TO people", "brief", "users (about 12 rows): renames the table to people; programs"),
    ],
)
def test_what_is_done_is_named(sql: str, severity: str, description: str) -> None:
    [hazard] = [one for one in hazards(sql) if one.severity == severity]
    assert hazard.description.startswith(description)


def test_vacuum_full_is_of_the_tables_that_it_names() -> None:
    [users, logs] = hazards("VACUUM (FULL, ANALYZE) users, logs", in_transaction=False)
    assert (users.table, logs.table) == ("users", "logs")
    [whole] = hazards("VACUUM FULL", in_transaction=False)
    assert whole.effect.endswith("of all tables")


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE users ALTER COLUMN email TYPE integer USING email::integer",
        "ALTER TABLE users ALTER COLUMN email TYPE integer USING (email)::integer",
        "ALTER TABLE users ALTER COLUMN email TYPE timestamp USING email AT TIME ZONE 'UTC'",
        "ALTER TABLE users ALTER COLUMN email TYPE integer USING CAST(email AS integer)",
        'ALTER TABLE users ALTER COLUMN "email" TYPE integer USING "email"::integer',
        "ALTER TABLE users ALTER COLUMN email TYPE text",
    ],
)
def test_a_cast_of_the_column_itself_loses_nothing(sql: str) -> None:
    assert "destructive" not in severities(sql)


def test_rows_of_sqlite_are_counted() -> None:
    database = peewee.SqliteDatabase(":memory:")
    database.execute_sql("CREATE TABLE few (id INTEGER PRIMARY KEY)")
    database.execute_sql("CREATE TABLE `Odd one` (code TEXT PRIMARY KEY) WITHOUT ROWID")
    database.execute_sql("INSERT INTO few VALUES (1), (5000000)")
    facts = read_facts(database)
    assert dict(facts.rows) == {"few": 2, "odd one": 0}
    [hazard] = HazardFinder(facts).hazards("DROP TABLE few", in_transaction=True)
    assert hazard.description == "few (2 rows): drops the table with all its rows"
