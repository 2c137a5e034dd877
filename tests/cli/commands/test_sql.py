"""``cloudpub sql``: rows in every form, parameters of every kind, and no write that was not asked for."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from cloudpub_models import Managers, operators
from cloudpub_models.cli.commands.sql import distinct
from tests.cli.talk import talk

Run = Callable[..., Result]

HASH = "!hash-that-nobody-sees"


@pytest.fixture
def users(data: Managers) -> Managers:
    data.users.batch_insert([{"email": f"user{n}@example.com", "password_hash": HASH} for n in range(1, 4)])
    return data


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("sql", "parameters", "ids"),
    [
        ("SELECT id FROM users ORDER BY id", (), [1, 2, 3]),
        ("SELECT id FROM users WHERE email = @email", ("email=user2@example.com",), [2]),
        ("SELECT id FROM users WHERE id = @id", ("id:=3",), [3]),
        ("SELECT id FROM users WHERE id = @id", ("id=3",), [3]),
        ("SELECT id FROM users WHERE id IN @ids ORDER BY id", ("ids:=[1, 3]",), [1, 3]),
        ("SELECT id FROM users WHERE email LIKE @like AND id > @id ORDER BY id", ("like=user%", "id:=1"), [2, 3]),
        ("SELECT id FROM users WHERE @nothing IS NULL ORDER BY id", ("nothing:=null",), [1, 2, 3]),
        ("SELECT id FROM users WHERE email = @odd", ("odd=a=b' OR 1=1 --",), []),
        ("WITH few AS (SELECT id FROM users WHERE id < 3) SELECT id FROM few ORDER BY id", (), [1, 2]),
    ],
)
def test_parameters(run: Run, users: Managers, sql: str, parameters: tuple[str, ...], ids: list[int]) -> None:
    options = [text for parameter in parameters for text in ("--param", parameter)]
    assert [row["id"] for row in lines(run("sql", sql, *options, "--json"))] == ids


def test_formats(run: Run, users: Managers) -> None:
    sql = "SELECT id, email, NULL AS missing, 0.25 AS quarter FROM users WHERE id = 1"
    assert lines(run("sql", sql, "--json")) == [
        {"id": 1, "email": "user1@example.com", "missing": None, "quarter": 0.25}
    ]
    (cells,) = csv.DictReader(io.StringIO(run("sql", sql, "--format", "csv").stdout))
    assert cells == {"id": "1", "email": "user1@example.com", "missing": "", "quarter": "0.25"}
    table = run("sql", sql).stdout
    assert "user1@example.com" in table
    assert "0.25" in table
    assert run("sql", "SELECT id, email FROM users WHERE 1 = 0", "--format", "csv").stdout == "id,email\n"
    assert run("sql", "SELECT id FROM users WHERE 1 = 0", "--json").stdout == ""
    assert "no rows" in run("sql", "SELECT id FROM users WHERE 1 = 0").stdout


def test_columns_of_one_name_are_all_there(run: Run, users: Managers) -> None:
    sql = "SELECT a.id, b.id, b.email AS id_2 FROM users a JOIN users b ON b.id = a.id + 1 WHERE a.id = 1"
    (row,) = lines(run("sql", sql, "--json"))
    assert list(row.values()) == [1, 2, "user2@example.com"]
    assert distinct(["a", "a", "a"]) == ["a", "a_2", "a_3"]


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("command", [("sql", "-"), ("shell",)])
def test_standard_input_that_is_no_text(run: Run, data: Managers, command: tuple[str, ...]) -> None:
    result = run(*command, stdin=b"SELECT '\xff'")
    assert result.exit_code == 1
    assert "standard input: expected UTF-8; got none in byte 9" in result.stderr


def test_the_statement_may_come_from_standard_input(run: Run, users: Managers) -> None:
    sql = "-- how many\nSELECT COUNT(*) AS n\nFROM users;\n"
    assert lines(run("sql", "-", "--json", stdin=sql)) == [{"n": 3}]
    assert lines(run("sql", "-", "--json", stdin=f"\ufeff{sql}")) == [{"n": 3}]


WRITES = [
    "DELETE FROM users",
    "UPDATE users SET email = 'x' WHERE id = 1 RETURNING id",
    "INSERT INTO users (uuid, email, password_hash) VALUES ('00000000-0000-4000-8000-000000000000', 'a', 'b')",
    "DROP TABLE function_logs",
    "CREATE TABLE mine (id INTEGER)",
    "/* SELECT */ DELETE FROM users",
]
POSTGRESQL_WRITES = [
    "WITH gone AS (DELETE FROM users RETURNING id) SELECT id FROM gone",
    "SELECT nextval('users_id_seq')",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM users; END $$",
    "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); DELETE FROM users; END $$",
    "DO $$ BEGIN COMMIT; DELETE FROM users; END $$",
    "SELECT id FROM users FOR UPDATE",
    "TRUNCATE users CASCADE",
    "EXPLAIN ANALYZE DELETE FROM users",
    "COPY users FROM '/dev/null'",
]


@pytest.mark.parametrize("sql", WRITES)
@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_the_database_refuses_writes(run: Run, users: Managers, sql: str, form: str) -> None:
    result = run("sql", sql, "--format", form)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "read-only" in talk(result)
    assert users.users.count({"email": operators.like("user%")}) == 3
    assert users.function_logs.count() == 0


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize("sql", POSTGRESQL_WRITES)
@pytest.mark.parametrize("form", ["table", "jsonl"])
def test_no_way_around_it_on_postgresql(run: Run, users: Managers, sql: str, form: str) -> None:
    result = run("sql", sql, "--format", form)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert users.users.count() == 3
    assert users.users.insert({"email": "next@example.com", "password_hash": "x"}).id == 4


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 7",
        "ATTACH 'other.db' AS other",
        "VACUUM",
        "VACUUM INTO 'other.db'",
        "REINDEX",
    ],
)
def test_no_way_around_it_on_sqlite(run: Run, users: Managers, sql: str) -> None:
    result = run("sql", sql)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert not Path("other.db").exists()
    assert users.users.count() == 3
    assert users.database.raw_query_all("PRAGMA user_version") == [{"user_version": 0}]
    assert run("sql", "DELETE FROM users").exit_code == 1


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_pragma_may_be_asked(run: Run, users: Managers) -> None:
    assert lines(run("sql", "PRAGMA user_version", "--json")) == [{"user_version": 0}]
    assert {row["name"] for row in lines(run("sql", "PRAGMA table_info(users)", "--json"))} >= {"email"}
    assert lines(run("sql", "SELECT COUNT(*) AS n FROM pragma_index_list('users')", "--json"))[0]["n"] > 0


def test_who_is_refused_is_told_how_to_write(run: Run, users: Managers) -> None:
    assert "--write lets a statement change the database" in run("sql", "DELETE FROM users").stderr
    several = run("sql", "SELECT 1; SELECT 2").stderr
    assert "batch_execute" not in several
    assert "send each with a command of its own" in several
    missing = run("sql", "SELECT * FROM usres").stderr
    assert "database.migrate()" not in missing
    assert "run 'cloudpub migrate up'" in missing


def test_what_a_statement_changed_is_counted_whatever_it_looks_like(run: Run, users: Managers) -> None:
    few = "WITH few AS (SELECT id FROM users WHERE id < 3)"
    for sql, count in [
        (f"{few} UPDATE users SET email = email || 'x' WHERE id IN (SELECT id FROM few)", 2),
        ("UPDATE users SET email = 'RETURNING' WHERE id = 1", 1),
        ("UPDATE users SET email = 'x' WHERE id = 5 % 6", 0),
        (f"{few} DELETE FROM users WHERE id IN (SELECT id FROM few) AND id > @id", 1),
    ]:
        parameters = ("--param", "id:=1") if "@id" in sql else ()
        result = run("sql", sql, *parameters, "--write", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == {"changed": count}
    assert users.users.count() == 2
    (row,) = lines(run("sql", "SELECT uuid, 7 % 4 AS n FROM users WHERE id = 1", "--write", "--json"))
    assert row["n"] == 3
    made = run("sql", "CREATE TABLE mine AS SELECT 1 AS one", "--write", "--json")
    assert made.exit_code == 0, made.output


def test_write_says_how_many_rows_it_changed(run: Run, users: Managers) -> None:
    sql = "UPDATE users SET email = @email WHERE id = 1"
    assert run("sql", sql, "--param", "email=x", "--write").stdout == "1 row changed\n"
    assert json.loads(run("sql", "DELETE FROM users WHERE id > 1", "--write", "--json").stdout) == {"changed": 2}
    returned = run("sql", "UPDATE users SET email = 'y' RETURNING id, email", "--write", "--json")
    assert lines(returned) == [{"id": 1, "email": "y"}]
    made = run("sql", "CREATE TABLE mine (id INTEGER)", "--write")
    assert made.exit_code == 0
    assert made.stdout == ""
    assert "gives no rows" in made.stderr
    assert users.users.find_one({"email": "y"}) is not None


def test_a_password_hash_is_masked_unless_asked_for(run: Run, users: Managers) -> None:
    for form in ("table", "csv", "jsonl"):
        hidden = run("sql", "SELECT * FROM users", "--format", form)
        assert HASH not in hidden.output
        assert "***" in hidden.stdout
        assert "masked: password_hash; --with-secrets" in hidden.stderr
        assert HASH in run("sql", "SELECT * FROM users", "--format", form, "--with-secrets").stdout
    assert "masked" not in run("sql", "SELECT id FROM users").stderr


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        (("SELECT 1", "--param", "x"), 2, "expected --param NAME=TEXT or NAME:=JSON"),
        (("SELECT @x", "--param", "x=1", "--param", "x=2"), 2, "got two"),
        (("SELECT @x", "--param", "x:=one"), 2, "text goes behind x="),
        (("SELECT @x", "--param", f"x:={'9' * 5000}"), 2, "expected JSON"),
        (("SELECT @x", "--param", f"x:={'[' * 100_000}"), 2, "at most 200 arrays and objects in each other"),
        (("SELECT @x", "--param", f"x:={'9' * 30}", "--write"), 1, "64 bits"),
        (("SELECT @x",), 1, "expected a value for @x"),
        (("SELECT 1", "--param", "x=1"), 1, "@x"),
        (("SELECT 1; SELECT 2",), 1, "one statement"),
        (("SELEC 1",), 1, "syntax error"),
        (("  ",), 2, "expected an SQL statement; got nothing"),
        (("SELECT * FROM usres",), 1, "usres"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_answered(run: Run, data: Managers, arguments: tuple[str, ...], code: int, answer: str) -> None:
    result = run("sql", *arguments)
    assert result.exit_code == code, result.output
    assert answer in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("backend", ["postgresql"])
def test_what_only_postgresql_has(run: Run, users: Managers) -> None:
    assert lines(run("sql", "SHOW transaction_read_only", "--json")) == [{"transaction_read_only": "on"}]
    assert "users" in run("sql", "EXPLAIN SELECT * FROM users").stdout
    (row,) = lines(
        run("sql", "SELECT uuid, created_at, ARRAY[1, 2] AS a, 'x'::bytea AS b FROM users LIMIT 1", "--json")
    )
    assert row["a"] == [1, 2]
    assert row["b"] == "\\x78"
    assert row["created_at"].endswith("+00:00") or "T" in row["created_at"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_what_the_page_says_of_a_read_only_transaction(run: Run, users: Managers) -> None:
    assert run("sql", "SELECT pg_advisory_xact_lock(1)").exit_code == 0
    for sql in ("LOCK TABLE users IN ACCESS EXCLUSIVE MODE", "NOTIFY news", "SET search_path = audit"):
        refused = run("sql", sql)
        assert refused.exit_code == 1
        assert "expected a single query" in refused.stderr
        assert "--write lets a statement" in " ".join(refused.stderr.split())
        assert run("sql", sql, "--write").exit_code == 0


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_temporary_table_is_a_write(run: Run, users: Managers) -> None:
    assert run("sql", "CREATE TEMPORARY TABLE mine (id INTEGER)").exit_code == 1
