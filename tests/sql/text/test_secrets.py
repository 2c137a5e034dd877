"""Which parameters are shown: marked secrets never, and none at all where nobody can tell which one is the secret."""

import sqlite3

import pytest
from psycopg2.extensions import adapt

from cloudpub_models.sql import POSTGRESQL, SQLITE
from cloudpub_models.sql.text.parameters import bind
from cloudpub_models.sql.text.secrets import (
    SecretInteger,
    SecretText,
    as_secret,
    declare_secret_columns,
    is_secret_name,
    shown_parameters,
    without_secrets,
)

declare_secret_columns(["pass_phrase"])
MARKED = SecretText("x")


def test_a_secret_is_what_it_was_but_for_its_repr():
    assert as_secret("x") == "x"
    assert as_secret(5) + 1 == 6
    assert str(as_secret(5)) == f"{as_secret(5)}" == "5"
    assert repr([as_secret("x"), as_secret(5)]) == "['***', '***']"
    for other in (None, True, 1.5, b"x", MARKED):
        assert as_secret(other) is other


def test_the_drivers_bind_it_as_ever():
    values = SecretText("a'b"), SecretInteger(5)
    with sqlite3.connect(":memory:") as connection:
        row = connection.execute("SELECT ?, typeof(?), typeof(?)", (values[0], *values)).fetchone()
    connection.close()
    assert row == ("a'b", "text", "integer")
    assert [adapt(value).getquoted() for value in values] == [b"'a''b'", b"5"]


@pytest.mark.parametrize(
    "name", ["password", "new_password", "PASSWD", "clientSecret", "token", "api_key", "pass_phrase"]
)
def test_names_that_promise_a_secret(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["email", "pass", "param_0", "key", "a", ""])
def test_names_that_promise_none(name):
    assert not is_secret_name(name)


def test_raw_parameters_are_marked_by_their_names():
    text, values = bind(
        "SELECT @token, @n WHERE a IN @password", {"token": 7, "n": 7, "password": ("a", "b")}, POSTGRESQL
    )
    assert shown_parameters(text, values) == ("***", 7, "***", "***")
    text, values = bind("SELECT 1 WHERE a IN @password", {"password": ("a", "b")}, SQLITE)
    assert shown_parameters(text, values) == ("***",)


@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE], ids=str)
@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("UPDATE t SET pass_phrase = @h WHERE id = (SELECT t FROM r WHERE token = @token)", {"h": "s", "token": "t"}),
        ("UPDATE t SET pass_phrase = @h WHERE id IN @tokens", {"h": "s", "tokens": (1, 2)}),
        ("UPDATE t SET pass_phrase = @h WHERE id IN @tokens", {"h": 5, "tokens": (1, 2.5)}),
        ("UPDATE t SET pass_phrase = @h WHERE a = @pass_phrase", {"h": "s", "pass_phrase": "t"}),
        ("INSERT INTO t VALUES (@a, @b)", {"a": "s", "b": 1}),
        ("INSERT /* so */ INTO -- here\n t /* and */ VALUES (@a, @b)", {"a": "s", "b": 1}),
        ("REPLACE INTO [t] VALUES (@a, @b)", {"a": "s", "b": 1}),
        ("INSERT INTO `s`.`t` VALUES (@a, @b)", {"a": "s", "b": 1}),
        ("INSERT INTO t ((SELECT @a, @b))", {"a": "s", "b": 1}),
        ("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (@a, @b)", {"a": "s", "b": 1}),
        ("MERGE INTO t USING r ON t.id = @b WHEN NOT MATCHED THEN INSERT VALUES (@a, 1)", {"a": "s", "b": 1}),
        ("UPDATE t SET [pass_phrase] = @a WHERE b = @b", {"a": "s", "b": 1}),
        ("UPDATE t SET /* ' */ pass_phrase = @a WHERE b = @b", {"a": "s", "b": 1}),
        ("UPDATE t SET a = jsonb_set(a, '{pass_phrase}', @a) WHERE b = @b", {"a": "s", "b": 1}),
        ('UPDATE t SET U&"pass\\005fphrase" = @a WHERE b = @b', {"a": "s", "b": 1}),
        ('WITH a AS (SELECT 1) INSERT INTO s."t" AS x SELECT @a, @token', {"a": "s", "token": 1}),
    ],
)
def test_no_name_of_a_parameter_vouches_for_the_others(sql, values, dialect):
    assert set(shown_parameters(*bind(sql, values, dialect))) == {"***"}


@pytest.mark.parametrize(
    ("sql", "parameters", "shown"),
    [
        ("SELECT id FROM t WHERE a = %s", ("a",), ("a",)),
        ("SELECT pass_phrase FROM t WHERE a = %s", ("a",), ("a",)),
        ('SELECT "t1"."pass_phrase" FROM t WHERE a = %s', ("a",), ("a",)),
        ("SELECT id FROM t WHERE pass_phrase = %s AND a = %s", (MARKED, "a"), ("***", "a")),
        ("SELECT id FROM t WHERE pass_phrase = %s AND a = %s", ("x", "a"), ("***", "***")),
        ("SELECT id FROM t WHERE PASS_PHRASE = ? AND a = ?", ("x", "a"), ("***", "***")),
        ("UPDATE t SET pass_phrase = ? WHERE LOWER(pass_phrase) = ?", (MARKED, "x"), ("***", "***")),
        ("INSERT INTO t (a, pass_phrase) VALUES (?, ?) RETURNING a, pass_phrase", ("a", MARKED), ("a", "***")),
        (
            "INSERT INTO t (a, pass_phrase) VALUES (?, ?) ON CONFLICT DO UPDATE SET pass_phrase = excluded.pass_phrase",
            ("a", MARKED),
            ("a", "***"),
        ),
        (
            "INSERT INTO t (pass_phrase) VALUES (?) ON CONFLICT DO UPDATE SET pass_phrase=excluded.pass_phrase, a = ?",
            (MARKED, "a"),
            ("***", "a"),
        ),
        (
            "SELECT id FROM t WHERE pass_phrase BETWEEN %s AND %s AND pass_phrase = %s",
            (MARKED, MARKED, "x"),
            ("***", "***", "***"),
        ),
        ('SELECT id FROM t WHERE "pass_phrase" IN (?, ?) AND a = ?', (MARKED, MARKED, "a"), ("***", "***", "a")),
        ("SELECT id FROM t WHERE pass_phrase IN (?, ?) AND pass_phrase = ?", (MARKED, MARKED, "x"), ("***",) * 3),
        ("SELECT id FROM t WHERE pass_phrase IN (LOWER(?)) AND a = ?", (MARKED, "a"), ("***", "a")),
        ("SELECT id FROM t WHERE ? = pass_phrase", ("x",), ("***",)),
        ("INSERT INTO t (a, b) VALUES (?, ?)", ("a", "b"), ("a", "b")),
        ("INSERT INTO t (a) SELECT ?", ("a",), ("a",)),
        ("INSERT INTO [t] (a) VALUES (?)", ("a",), ("a",)),
        ("MERGE INTO t USING r ON t.id = ? WHEN NOT MATCHED THEN INSERT (a) VALUES (?)", (1, "a"), (1, "a")),
        ("SELECT a FROM t WHERE a = ? -- pass_phrase", ("a",), ("a",)),
        ("SELECT (SELECT pass_phrase FROM t) = ?", ("x",), ("***",)),
        ("SELECT pass_phrase = ? FROM t", ("x",), ("***",)),
        ("SELECT b FROM t WHERE (SELECT pass_phrase FROM t) = ?", ("x",), ("***",)),
        ("UPDATE t SET a = ? WHERE the_pass_phrase = ?", ("a", "b"), ("a", "b")),
        ("UPDATE t SET a = ?", (b"bytes",), ("***",)),
        ("SELECT 1", (), ()),
    ],
)
def test_what_is_shown(sql, parameters, shown):
    assert shown_parameters(sql, parameters) == shown


class Said(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


@pytest.mark.parametrize("secret", ["48151623", 48151623, Said("48151623"), as_secret("48151623"), as_secret(48151623)])
def test_what_a_database_says_of_a_secret_is_without_it(secret):
    sql = "UPDATE t SET pass_phrase = ?"
    assert without_secrets("no such thing: x48151623x, 48151623", sql, [secret]) == "no such thing: x***x, ***"
    assert without_secrets("of 4815 things", sql, [secret]) == "of 4815 things"


@pytest.mark.parametrize("secret", ["a", 5, as_secret("a"), as_secret(5)])
def test_a_short_one_is_masked_where_it_is_quoted(secret):
    sql = "UPDATE t SET pass_phrase = ?"
    assert without_secrets(f'a 5 of 5a: "{secret}"', sql, [secret]) == 'a 5 of 5a: "***"'


@pytest.mark.parametrize("value", ["", None, 1.5])
def test_what_nobody_could_find_again_masks_nothing(value):
    said = f'said: "{value}", ""'
    assert without_secrets(said, "UPDATE t SET pass_phrase = ?", [value]) == said
