"""Two spellings of one expression have one form, and no text is too hostile to be given it."""

from __future__ import annotations

import pytest

from cloudpub_models.schema.catalogue.normal_form import (
    check_constraints,
    index_keys,
    normalised,
    normalised_statement,
    readable,
    terminated,
    words,
)
from cloudpub_models.sql import POSTGRESQL, SQLITE, Dialect


@pytest.mark.parametrize(
    ("written", "given_back"),
    [
        ("role IN ('a', 'B')", "((role)::text = ANY ((ARRAY['a'::character varying, 'B'::varchar(20)])::text[]))"),
        ("timezone('utc', now())", "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC'::text)"),
        ("amount != -1", "(amount <> '-1'::integer)".replace("'-1'::integer", "-1")),
        ("amount>=-1", "(amount >= (-1))"),
        (r"name <> E'\''", r"((name)::text <> E'\''::text)"),
        ("a /* b /* c */ d */ > 0", "(a > 0)"),
        ('"Name" > $$a$$', '("Name" > $$a$$::text)'),
        ("at > now()", "(at > now()::timestamp(3) without time zone)"),
    ],
)
def test_postgresql_says_the_same_in_its_own_words(written: str, given_back: str) -> None:
    assert normalised(written, POSTGRESQL) == normalised(given_back, POSTGRESQL)


def test_what_differs_stays_different() -> None:
    for first, second in [("a > 'b'", "a > 'B'"), ('"A" > 0', "a > 0"), ("a > 0", "a >= 0"), (r"'\'", r"E'\\'")]:
        assert normalised(first, POSTGRESQL) != normalised(second, POSTGRESQL)


def test_triggers_are_told_apart_by_what_they_do_only() -> None:
    first = "CREATE TRIGGER IF NOT EXISTS t AFTER UPDATE ON main.a BEGIN UPDATE a SET b = 'on x.y'; END;"
    second = "CREATE TRIGGER t AFTER UPDATE ON `a` BEGIN UPDATE a SET b = 'on x.y'; END"
    assert normalised_statement(first, SQLITE) == normalised_statement(second, SQLITE)
    replacing = 'CREATE OR REPLACE TRIGGER t AFTER UPDATE ON "s".a EXECUTE FUNCTION s.f()'
    assert normalised_statement(replacing, POSTGRESQL) == "create trigger t after update on a execute function f"


def test_checks_of_a_table() -> None:
    sql = "CREATE TABLE t (a INT CONSTRAINT [A Check] CHECK (a IN (1, 2)), `check` INT, CHECK ([check] > ')'), CHECK (a"
    assert check_constraints(sql, SQLITE) == [
        ("A Check", "a in 1 , 2", "a IN (1, 2)"),
        (None, "check > ')'", "[check] > ')'"),
        (None, "a", "a"),
    ]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("(length(value) > 5)", "length(value) > 5"),
        ("((a > 0) AND (b < 9))", "(a > 0) AND (b < 9)"),
        ("(NOT (a IS NULL))", "NOT (a IS NULL)"),
        ("'team'::character varying", "'team'"),
        ("((price)::numeric(10,2) > (0)::numeric)", "price > 0"),
        ("(x = ANY (ARRAY[1, 2]))", "x IN (1, 2)"),
        ("(a + b)*2>(c)", "(a + b) * 2 > c"),
        ('"Odd name" in (1,2)', '"Odd name" IN (1, 2)'),
        ("(\"role\" = 'x')", "role = 'x'"),
        ("(x=-1)", "x = -1"),
        ("(-1)", "-1"),
        ("a - 1", "a - 1"),
        ("now()", "now()"),
    ],
)
def test_expressions_as_people_write_them(given: str, text: str) -> None:
    assert readable(given, POSTGRESQL) == text


def test_keys_of_an_index() -> None:
    sql = "CREATE INDEX i ON t (lower(a), b DESC, substr(`C d`, 1, 2)) WHERE (a > 0)"
    assert index_keys(sql, SQLITE) == ("lower a", "b desc", "substr C d , 1 , 2")


@pytest.mark.parametrize(
    ("sql", "script"),
    [
        ("SELECT ';' -- ;", "SELECT ';'; -- ;"),
        ("SELECT 1 /* ; */", "SELECT 1; /* ; */"),
        ("SELECT 1;  -- so", "SELECT 1;  -- so"),
        ("-- nothing", "-- nothing"),
        ("", ""),
    ],
)
def test_a_statement_ends_in_one_semicolon(sql: str, script: str) -> None:
    assert terminated(sql, POSTGRESQL) == script


def test_a_string_ends_where_the_database_says() -> None:
    assert words(r"E'\'' 'b'", POSTGRESQL) == [r"E'\''", "'b'"]
    assert words(r"'\' b", SQLITE) == [r"'\'", "b"]


@pytest.mark.parametrize(
    "text", ["x::", "x::numeric(", "a = any array [", "(", ")", "check (", "at time zone", "1 ::["]
)
@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE], ids=str)
def test_what_is_incomplete_has_a_form_too(text: str, dialect: Dialect) -> None:
    assert isinstance(normalised(text, dialect), str)
    assert isinstance(check_constraints(text, dialect), list)
