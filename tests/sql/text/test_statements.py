"""What is told of statements from their tokens: how many a text is, what each does, what it leaves behind."""

from __future__ import annotations

import pytest

from cloudpub_models.sql import POSTGRESQL, SQLITE, Dialect
from cloudpub_models.sql.text.statements import command_of, may_change_session, statements_in, words_of
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


LEAVES_SOMETHING_BEHIND = [
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
    "DO $$ BEGIN PERFORM tidy(); END $$",
    "CALL tidy()",
    "CREATE TEMP TABLE a (b INT)",
    "CREATE OR REPLACE TEMPORARY VIEW a AS SELECT 1",
    "CREATE LOCAL TEMP SEQUENCE a",
    "CREATE TABLE pg_temp.a (b INT)",
    "EXPLAIN ANALYZE CREATE TEMP TABLE a AS SELECT 1",
    "SELECT 1 AS b INTO TEMP a",
    "(SELECT 1 INTO TEMPORARY TABLE a)",
    "WITH x AS (SELECT 1) SELECT * INTO TEMP a FROM x",
    "SELECT set_config('role', @a, false)",
    "SELECT pg_catalog.\"set_config\"('role', 'a', false)",
    "UPDATE pg_settings SET setting = 'a' WHERE name = 'role'",
    "SELECT 1 WHERE pg_try_advisory_lock(1)",
    "SELECT pg_advisory_unlock_all()",
    "SELECT setseed(0.5)",
]
LEAVES_NOTHING_BEHIND = [
    "SELECT 1",
    "SELECT 'SET role admin' -- SET role",
    'SELECT "set" FROM "temp"',
    "UPDATE a SET b = 1",
    "INSERT INTO temp (a) VALUES (1)",
    "SET LOCAL lock_timeout = '1s'",
    "SET TRANSACTION READ ONLY",
    "SELECT pg_advisory_xact_lock(1)",
    "CREATE TABLE a (temp INT)",
    "WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x",
]


def test_what_may_leave_something_behind_in_its_session() -> None:
    assert [sql for sql in LEAVES_SOMETHING_BEHIND if not may_change_session(statements(sql)[0])] == []
    assert [sql for sql in LEAVES_NOTHING_BEHIND if may_change_session(statements(sql)[0])] == []
