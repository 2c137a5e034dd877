"""Hostile strings through every public string argument of the builder: a typed error, or a value; never SQL."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpub_models.errors import CloudpubError, InvalidQueryError
from cloudpub_models.sql import POSTGRESQL, SQLITE, QueryBuilder, operators
from cloudpub_models.sql.text.parameters import bind, parse

PAYLOADS = [
    "id; DROP TABLE users",
    "id; DROP TABLE users --",
    "'; DROP TABLE users; --",
    '"; DROP TABLE users; --',
    "`; DROP TABLE users; --",
    "]; DROP TABLE users; --",
    "1 OR 1=1",
    "' OR '1'='1",
    "id) OR (1=1",
    "id /* x */",
    "id -- x",
    "id#",
    "*/ id /*",
    "(SELECT password_hash FROM users)",
    "COUNT(*) FROM users; --",
    "COUNT((SELECT 1))",
    "id, password_hash",
    "id UNION SELECT password_hash FROM users",
    "pg_sleep(10)",
    "load_extension('x')",
    "CASE WHEN 1=1 THEN id END",
    "id::text",
    "id COLLATE nocase",
    "ASC; DROP TABLE users",
    "ASC, (SELECT 1)",
    "= 1 OR 1 =",
    "id\n;DROP TABLE users",
    "id\x00",
    "id\ud800",
    "ｉｄ",
    "ıd",
    "id\u2028x",
    "\u202eid",
    "id\xa0",
    "$$id$$",
    "@id",
    "%s",
    "%(id)s",
    "?",
    ":id",
    "$1",
    "{column}",
    "{0}",
    "\\",
    "id\\",
    "x" * 100_000,
    "(" * 10_000,
    "COUNT(" * 5_000,
    "a." * 5_000 + "a",
    "",
    " ",
]


class Hidden(str):
    """A str that pretends to be a name whenever it is looked at by anything but its own characters."""

    def __str__(self) -> str:
        return "id"

    def __repr__(self) -> str:
        return "'id'"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("id")

    def upper(self) -> str:
        return "ASC"

    def isascii(self) -> bool:
        return True


class Columns(enum.StrEnum):
    STATUS = "status"


# Every public argument that takes a string which is not a value.
ARGUMENTS: dict[str, Callable[[QueryBuilder, Any], Any]] = {
    "table": lambda q, text: q.table(text).build_select(),
    "table alias": lambda q, text: q.table(f"t {text}").build_select(),
    "constructor": lambda q, text: QueryBuilder(text).build_select(),
    "constructor alias": lambda q, text: QueryBuilder("t", alias=text).build_select(),
    "default columns": lambda q, text: QueryBuilder("t", default_columns=[text]).build_select(),
    "select": lambda q, text: q.select(text).build_select(),
    "select list": lambda q, text: q.select(["id", text]).build_select(),
    "select argument": lambda q, text: q.select(f"COUNT({text})").build_select(),
    "select alias": lambda q, text: q.select(f"id AS {text}").build_select(),
    "where": lambda q, text: q.where(text, 1).build_select(),
    "where operator": lambda q, text: q.where("id", 1, text).build_select(),
    "or_where": lambda q, text: q.or_where(text, 1).build_select(),
    "or_where operator": lambda q, text: q.or_where("id", 1, operator=text).build_select(),
    "where_in": lambda q, text: q.where_in(text, [1]).build_select(),
    "where_not_in": lambda q, text: q.where_not_in(text, [1]).build_select(),
    "where_null": lambda q, text: q.where_null(text).build_select(),
    "where_not_null": lambda q, text: q.where_not_null(text).build_select(),
    "where_between": lambda q, text: q.where_between(text, 1, 2).build_select(),
    "where_group": lambda q, text: q.where_group(lambda group: group.where(text, 1)).build_select(),
    "where_raw name": lambda q, text: q.where_raw("a = @id", {text: 1}).build_select(),
    "join": lambda q, text: q.join(text, "a", "b").build_select(),
    "join first": lambda q, text: q.join("u", text, "b").build_select(),
    "join second": lambda q, text: q.join("u", "a", text).build_select(),
    "join type": lambda q, text: q.join("u", "a", "b", type=text).build_select(),
    "join_on": lambda q, text: q.join_on("u", text).build_select(),
    "left_join": lambda q, text: q.left_join(text, "a", "b").build_select(),
    "right_join": lambda q, text: q.right_join("u", text, "b").build_select(),
    "full_join": lambda q, text: q.full_join("u", "a", text).build_select(),
    "group_by": lambda q, text: q.group_by(text).build_select(),
    "having": lambda q, text: q.having(text).build_select(),
    "having item": lambda q, text: q.having(f"{text} > 1").build_select(),
    "having operand": lambda q, text: q.having(f"COUNT(*) > {text}").build_select(),
    "having name": lambda q, text: q.having("COUNT(*) > @id", {text: 1}).build_select(),
    "order_by": lambda q, text: q.order_by(text).build_select(),
    "order_by direction": lambda q, text: q.order_by("id", text).build_select(),
    "order_by nulls": lambda q, text: q.order_by("id", nulls=text).build_select(),
    "limit": lambda q, text: q.limit(text).build_select(),
    "offset": lambda q, text: q.offset(text).build_select(),
    "insert": lambda q, text: q.build_insert({text: 1}),
    "insert returning": lambda q, text: q.build_insert({"a": 1}, returning=[text]),
    "update": lambda q, text: q.where("id", 1).build_update({text: 1}),
    "update returning": lambda q, text: q.where("id", 1).build_update({"a": 1}, returning=[text]),
    "delete returning": lambda q, text: q.where("id", 1).build_delete(returning=[text]),
    "operator object": lambda q, text: operators.Operator(text, (1,)),
    "dialect": lambda q, text: q.build_select(text),
}

FORMATTED = {"table alias", "select argument", "select alias", "having item", "having operand"}

# These are no injection where they stand: group_by and order_by take several columns in one string, and a table needs
# no alias.
HARMLESS = {
    ("group_by", "id, password_hash"),
    ("order_by", "id, password_hash"),
    ("table alias", ""),
    ("table alias", " "),
}


def test_no_string_becomes_sql() -> None:
    for argument in ARGUMENTS:
        for payload in PAYLOADS:
            if (argument, payload) in HARMLESS:
                continue
            # The checks of aliases aside, which would refuse these before they are looked at.
            with pytest.raises(CloudpubError) as caught:
                ARGUMENTS[argument](QueryBuilder().table("t"), payload)
            assert str(caught.value).startswith("expected"), payload[:50]
            assert len(str(caught.value)) < 600, payload[:50]


NO_STRINGS = [None, 5, 1.5, True, b"id", ["id; --"], ("id; --",), {"id; --": 1}, object(), str]

# No condition at all (no alias, no place for NULLs, no table yet), or a number of rows.
FINE = [
    ("constructor alias", None),
    ("order_by nulls", None),
    ("limit", 5),
    ("offset", 5),
]


@pytest.mark.parametrize("argument", [name for name in ARGUMENTS if name not in FORMATTED])
def test_what_is_no_string_is_a_typed_error(argument: str) -> None:
    for value in NO_STRINGS:
        if isinstance(value, (dict, list)) and (argument in ("insert", "update") or argument.endswith(" name")):
            continue  # such a key cannot be made
        if (argument, value) in FINE:
            continue
        with pytest.raises(CloudpubError):
            ARGUMENTS[argument](QueryBuilder().table("t"), value)


def test_a_subclass_of_str_is_taken_by_its_characters() -> None:
    for argument in ARGUMENTS:
        if argument in FORMATTED or argument.endswith(" name"):
            continue  # a plain string in any case, or a key of a mapping, where Python asks the class itself
        with pytest.raises(CloudpubError):
            ARGUMENTS[argument](QueryBuilder().table("t"), Hidden("id; DROP TABLE users"))


def test_enum_members_are_names() -> None:
    query = QueryBuilder().table("t").select(Columns.STATUS).where(Columns.STATUS, 1).order_by(Columns.STATUS)
    assert str(query.build_select()) == "SELECT status FROM t WHERE status = @param_0 ORDER BY status ASC"


def test_values_stay_values() -> None:
    for payload in PAYLOADS:
        check_values_stay_values(payload)


def check_values_stay_values(payload: str) -> None:
    query = (
        QueryBuilder()
        .table("t")
        .where("a", payload)
        .or_where("b", payload, "!=")
        .where_in("c", [payload])
        .where_between("d", payload, payload)
        .where_raw("e = @e", {"e": payload})
        .having("MAX(f) > @f", {"f": payload})
    )
    plain = (
        QueryBuilder()
        .table("t")
        .where("a", "x")
        .or_where("b", "x", "!=")
        .where_in("c", ["x"])
        .where_between("d", "x", "x")
        .where_raw("e = @e", {"e": "x"})
        .having("MAX(f) > @f", {"f": "x"})
    )
    for dialect in (POSTGRESQL, SQLITE):
        statement = query.build_select(dialect)
        assert str(statement) == str(plain.build_select(dialect))
        assert list(statement.parameters.values()).count(payload) == 6
    inserted = QueryBuilder().table("t").build_insert({"a": payload})
    assert str(inserted) == "INSERT INTO t (a) VALUES (@param_0)"


WORDS = [
    "id",
    "t",
    "COUNT",
    "COALESCE",
    "DISTINCT",
    "AS",
    "SELECT",
    ".",
    "*",
    "(",
    ")",
    ",",
    "5",
    "-",
    ">",
    "=",
    "@x",
    "'",
    ";",
    "--",
    "/*",
    "*/",
    "$$",
    "é",
    "||",
    "%",
    "[",
]
TOKENS = [*WORDS, " ", '"', "\\"]

SAFE_SQL = re.compile(
    r"""SELECT\ (\*|[\w.*,()\ "-]+)\ FROM\ \w+ (\ GROUP\ BY\ [\w.,()\ "`-]+)? (\ HAVING\ [\w.,()*\ "`<>=!@-]+)?
        (\ ORDER\ BY\ [\w.,()\ "`-]+)?""",
    re.VERBOSE | re.ASCII,
)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["select", "group_by", "having", "order_by"]),
    st.lists(
        st.sampled_from(TOKENS),
        max_size=9,
    ).map("".join),
)
def test_whatever_is_accepted_is_made_of_harmless_characters(clause: str, text: str) -> None:
    try:
        statement = getattr(QueryBuilder().table("t"), clause)(text).build_select()
    except InvalidQueryError:
        return
    assert SAFE_SQL.fullmatch(str(statement)), str(statement)
    assert "--" not in str(statement)
    assert str(statement).count("(") == str(statement).count(")")
    assert str(statement).count("SELECT") == 1 + text.count("SELECT")
    assert parse(statement).unfinished is None
    bind(statement, {}, POSTGRESQL)
