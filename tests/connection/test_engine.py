"""What both engines do that nobody but the command asks of them: statements of any kind, ids, where they are."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import Database, Managers, errors
from cloudpub_models.connection.engine import Location


def insert(number: int) -> str:
    return f"INSERT INTO users (email, password_hash) VALUES ('{number}@example.com', 'x')"


@pytest.mark.parametrize(
    ("sql", "names", "rows", "touched"),
    [
        ("SELECT 1 AS n", ["n"], [(1,)], None),
        ("SELECT id FROM users WHERE id < 0", ["id"], [], None),
        (insert(1), [], [], 1),
        (f"{insert(2)} RETURNING email", ["email"], [("2@example.com",)], None),
        ("WITH two AS (SELECT 2) UPDATE users SET email = '3@example.com' WHERE id IN (1, 2)", [], [], 1),
        ("DELETE FROM users WHERE id = 9", [], [], 0),
    ],
)
def test_a_statement_of_any_kind(
    database: Database, statements: Any, sql: str, names: list[str], rows: list[Any], touched: int | None
) -> None:
    database.raw_execute("INSERT INTO users (email, password_hash) VALUES ('first@example.com', 'x')")
    statements.clear()
    result = database.engine.perform(sql, None)
    assert (result.names, result.rows) == (names, rows)
    if touched is not None:
        assert result.touched == touched
    assert statements.sql == [sql]


def test_an_error_of_one_is_ours(database: Database) -> None:
    with pytest.raises(errors.InvalidQueryError):
        database.engine.perform("SELECT no FROM users", None)


def test_ids_go_on_behind_those_that_rows_brought_along(database: Database, managers: Managers) -> None:
    managers.users.insert({"id": 41, "email": "a@b.c", "password_hash": "x"})
    for _ in range(2):
        database.engine.continue_ids("users", "id")
    assert managers.users.insert({"email": "b@b.c", "password_hash": "x"}).id == 42


def test_only_reading_refuses_settings_and_lets_questions_through(database: Database, backend: str) -> None:
    with database.transaction(read_only=True), database.engine.only_reading():
        assert database.engine.perform("SELECT COUNT(*) AS n FROM users", None).rows == [(0,)]
        if backend == "sqlite":
            assert database.engine.perform("PRAGMA table_info(users)", None).rows
            with pytest.raises(errors.InvalidQueryError, match="not authorized"), database.transaction():
                database.engine.perform("PRAGMA foreign_keys = OFF", None)
    assert database.raw_execute("DELETE FROM users") == 0


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("sqlite:///data/cloud.db", Location("data/cloud.db")),
        ("postgresql://ada:secret@db.example/cloud", Location("cloud", "db.example")),
        ("postgresql://ada@db.example:6432/cloud", Location("cloud", "db.example", 6432)),
        ("postgresql://ada@a:5432,b:5432/cloud", Location("cloud", "a,b")),
        ("postgresql:///cloud?port=6432", Location("cloud")),
        ("postgresql://ada@db.example", Location("ada", "db.example")),
    ],
)
def test_where_it_is(url: str, location: Location) -> None:
    assert Database(url).engine.location == location
