"""What PostgreSQL's own parser tells: what the server would refuse, and the statements of a DO."""

from __future__ import annotations

import sys

import pytest

from cloudpub_models.sql.text.server_parser import Code, ServerParser, installed_parser


@pytest.fixture(scope="module")
def parser() -> ServerParser:
    installed = installed_parser()
    assert installed is not None, "the extra 'plan' is among the test dependencies"
    return installed


@pytest.mark.parametrize(
    ("sql", "refusal"),
    [
        ("ALTER TABEL users ADD COLUMN age INT", 'syntax error at or near "TABEL"'),
        ("SELECT 1; UPDTE users SET id = 1", 'syntax error at or near "UPDTE"'),
        ("CREATE TABLE t (a INT", "syntax error at end of input"),
        ("INSERT INTO users (email) VALUES (%s,)", 'syntax error at or near ")"'),
        ("UPDATE users SET email = %s WHERE email LIKE '%%x' AND id = %s", None),
        ("SELECT id %% 2, id %s FROM users", None),
        ("SELECT 7 % s FROM t", None),
        ('CREATE UNIQUE INDEX i ON users (LOWER(email COLLATE "C"))', None),
        ("CREATE FUNCTION f() RETURNS INT LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3", None),
        ("", None),
    ],
)
def test_what_the_server_refuses(parser: ServerParser, sql: str, refusal: str | None) -> None:
    assert parser.refusal(sql) == refusal


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DO $$ BEGIN DELETE FROM users; END $$", Code(("DELETE FROM users",), True)),
        ("DO LANGUAGE plpgsql 'BEGIN DROP TABLE users; END'", Code(("DROP TABLE users",), True)),
        (
            "DO $$ DECLARE r RECORD; n INT; BEGIN n := (SELECT count(*) FROM users); "
            "FOR r IN SELECT id FROM users LOOP IF r.id > n THEN UPDATE users SET id = 1; END IF; END LOOP; "
            "BEGIN INSERT INTO users DEFAULT VALUES; EXCEPTION WHEN OTHERS THEN TRUNCATE logs; END; END $$",
            Code(("UPDATE users SET id = 1", "INSERT INTO users DEFAULT VALUES", "TRUNCATE logs"), True),
        ),
        ("DO $$ BEGIN PERFORM tidy(); END $$", Code((), False)),
        ("DO $$ BEGIN IF tidy() THEN NULL; END IF; END $$", Code((), False)),
        ("DO $$ DECLARE n INT; BEGIN n := tidy(); END $$", Code((), False)),
        ("DO $$ BEGIN CALL tidy(); END $$", Code((), False)),
        ("DO $$ BEGIN UPDATE a SET b = 1; EXECUTE 'DROP TABLE users'; END $$", Code(("UPDATE a SET b = 1",), False)),
        ("DO $$ BEGIN DELET FROM users; END $$", None),
        ("DO LANGUAGE plpython3u $$ x = 1 $$", None),
    ],
)
def test_the_code_of_a_do(parser: ServerParser, statement: str, code: Code | None) -> None:
    assert parser.code_of(statement) == code


def test_where_it_is_not_installed_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pglast", None)
    assert installed_parser.__wrapped__() is None
