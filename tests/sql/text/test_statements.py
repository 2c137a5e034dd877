"""What is told of statements from their tokens: how many a text is, what each does, what it leaves behind."""

from __future__ import annotations

import pytest

from cloudpub_models.sql import POSTGRESQL, SQLITE, Dialect
from cloudpub_models.sql.text.statements import (
    Aftermath,
    aftermaths,
    command_of,
    statements_in,
    transaction_control,
    transaction_controls,
    words_of,
)
from cloudpub_models.sql.text.tokens import tokens


def statements(sql: str, dialect: Dialect = POSTGRESQL) -> list[list[str]]:
    return [words_of(statement) for statement in statements_in(tokens(sql, dialect))]


# Text, and how many statements it is on either database.
NUMBERS_OF_STATEMENTS = [
    ("", 0),
    (" ; -- ;\n/* ; */;", 0),
    ("SELECT ';' -- ;", 1),
    (";SELECT 1;;SELECT 2;", 2),
    ("CREATE TABLE a (b INT); DROP TABLE c", 2),
    ("CREATE; CREATE OR REPLACE; CREATE TEMP", 3),
    ("CREATE TRIGGER t AFTER UPDATE ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM b; END; DROP TABLE a", 2),
    ("CREATE OR REPLACE FUNCTION f() RETURNS INT BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3", 2),
    ("CREATE RULE r AS ON DELETE TO a DO ALSO (SELECT 1; DELETE FROM b); DROP TABLE a", 2),
    ("CREATE TRIGGER t AFTER UPDATE ON a BEGIN SELECT 1; SELECT 2; DROP TABLE a", 3),
    ("CREATE FUNCTION begin() RETURNS INT LANGUAGE x; DROP TABLE a", 2),
    ('CREATE FUNCTION f("begin" INT) RETURNS INT RETURN 1; DROP TABLE a', 2),
]


@pytest.mark.parametrize(("sql", "number"), NUMBERS_OF_STATEMENTS)
@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE], ids=str)
def test_how_many_statements_a_text_is(sql: str, number: int, dialect: Dialect) -> None:
    assert len(statements(sql, dialect)) == number


def test_a_body_in_dollar_quotes_is_one_string() -> None:
    assert len(statements("SELECT ';'; DO $x$ a; b $x$; -- c; d\nSELECT 2;")) == 3


@pytest.mark.parametrize(
    ("sql", "command"),
    [
        ("/* so */ select 1", "select"),
        ("((SELECT 1) UNION (SELECT 2))", "select"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "select"),
        ("WITH RECURSIVE a (b) AS (SELECT 1), delete AS (SELECT 2) INSERT INTO c SELECT * FROM a", "insert"),
        ("WITH gone AS (DELETE FROM a RETURNING *) TABLE gone", "table"),
        ("EXPLAIN ANALYZE SELECT 1", "explain"),
        ("CREATE TABLE a (b INT)", "create"),
        ("(", ""),
    ],
)
@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE], ids=str)
def test_what_a_statement_is(sql: str, command: str, dialect: Dialect) -> None:
    assert [command_of(words) for words in statements(sql, dialect)][:1] == [command]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("start transaction read only", "START"),
        ("ROLLBACK TO SAVEPOINT a", "ROLLBACK"),
        ("/* so */ End", "END"),
        ("PREPARE TRANSACTION 'a'", "PREPARE TRANSACTION"),
        ("PREPARE plan AS SELECT 1", None),
        ("SET TRANSACTION READ ONLY", None),
    ],
)
def test_what_begins_or_ends_a_transaction(sql: str, told: str | None) -> None:
    assert [transaction_control(words) for words in statements(sql)] == [told]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT 1; COMMIT", "COMMIT"),
        ("SAVEPOINT a; SELECT 1; ROLLBACK", "ROLLBACK"),
        ("SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE a", None),
        ("SELECT 'COMMIT'; SELECT 2", None),
    ],
)
@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE], ids=str)
def test_what_any_of_several_begins_or_ends(sql: str, told: str | None, dialect: Dialect) -> None:
    assert transaction_controls[sql, dialect] == told


AFTERMATHS: dict[Aftermath, list[str]] = {
    Aftermath.RESET: [
        "SET search_path = audit",
        "/* so */ set /* */ role admin",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "RESET ALL",
        "DISCARD TEMP",
        "LISTEN a",
        "UNLISTEN *",
        "PREPARE a AS SELECT 1",
        "DEALLOCATE ALL",
        "DECLARE a CURSOR WITH HOLD FOR SELECT 1",
        "DECLARE a CURSOR FOR SELECT set_config('role', 'a', false)",
        "DO $$ BEGIN PERFORM tidy(); END $$",
        "CALL tidy()",
        "CREATE TEMP TABLE a (b INT)",
        "EXPLAIN ANALYZE CREATE TEMP TABLE a AS SELECT 1",
        "SELECT 1 AS b INTO TEMP a",
        "SELECT 1 AS b INTO a",
        "(SELECT 1 INTO TEMPORARY TABLE a)",
        "WITH x AS (SELECT 1) SELECT * INTO TEMP a FROM x",
        "SELECT set_config('role', @a, false)",
        "SELECT pg_catalog.\"set_config\"('role', 'a', false)",
        'SELECT "count"(*) FROM a',
        "SELECT audit.count(*) FROM a",
        "SELECT SET_CONFIG /* here */ ('role', 'a', false)",
        "SELECT 1 WHERE pg_try_advisory_lock(1)",
        "SELECT tidy()",
        "SELECT 1 FROM tidy() AS t",
        "INSERT INTO a (b) SELECT tidy()",
        "WITH x AS (SELECT tidy()) SELECT 1",
        "SELECT U&\"\\0073et_config\"('role', 'a', false)",
    ],
    Aftermath.LASTING: ["LOAD 'auto_explain'", "SELECT setseed(0.5)", "SELECT dblink_connect('other', '')"],
    Aftermath.NONE: [
        "SELECT 1",
        "SELECT 'SET role admin' -- SET role",
        'SELECT "set" FROM "temp"',
        "SELECT COUNT(*), max(b) FROM a WHERE c IN (1, 2) AND EXISTS (SELECT 1) GROUP BY (d)",
        "UPDATE a SET b = 1",
        "INSERT INTO temp (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET (a) = (1) RETURNING a",
        "WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x",
        "DECLARE a NO SCROLL CURSOR FOR SELECT lower(b) FROM a",
        "FETCH FORWARD 5 FROM a",
        "VALUES (1)",
        "TABLE a",
        "SELECT current_database(), pg_is_in_recovery(), pg_last_wal_replay_lsn()::text FROM pg_control_system()",
        "SELECT pg_advisory_xact_lock(1), jsonb_path_query_first(a, 'strict $') FROM b",
    ],
}
ON_SQLITE: dict[Aftermath, list[str]] = {
    Aftermath.LASTING: [
        "PRAGMA query_only = ON",
        "pragma main.foreign_keys(0)",
        "ATTACH 'other.db' AS other",
        "DETACH other",
        "CREATE TEMP TABLE a (b)",
        "CREATE TEMPORARY VIEW a AS SELECT 1",
        "CREATE TABLE temp.a (b)",
        "DROP TABLE [temp].a",
    ],
    Aftermath.NONE: [
        "PRAGMA user_version",
        "PRAGMA table_info(users)",
        "PRAGMA main.table_info('users')",
        "CREATE TABLE a (temp)",
        "SELECT temp FROM a",
        "DROP TABLE temp",
        "SELECT anything(1)",
        "INSERT INTO temporary (a) VALUES (1)",
    ],
}


@pytest.mark.parametrize("aftermath", Aftermath)
def test_what_a_statement_may_leave_in_its_session(aftermath: Aftermath) -> None:
    assert {sql: aftermaths[sql, POSTGRESQL] for sql in AFTERMATHS[aftermath]} == dict.fromkeys(
        AFTERMATHS[aftermath], aftermath
    )
    listed = ON_SQLITE.get(aftermath, [])
    assert {sql: aftermaths[sql, SQLITE] for sql in listed} == dict.fromkeys(listed, aftermath)


def test_of_several_the_worst_counts() -> None:
    assert aftermaths["SELECT 1; SELECT tidy(); SELECT 2", POSTGRESQL] is Aftermath.RESET
    assert aftermaths["", POSTGRESQL] is Aftermath.NONE
