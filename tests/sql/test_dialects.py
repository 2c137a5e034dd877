"""Names, quoting, comparisons and LIKE: what the two databases write differently."""

from __future__ import annotations

import pickle
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpub_models.errors import InvalidIdentifierError, InvalidQueryError, InvalidValueError
from cloudpub_models.sql import POSTGRESQL, SQLITE, Dialect, operators
from cloudpub_models.sql.identifiers import check_identifier, check_quotable, parse_table
from cloudpub_models.sql.nodes.conditions import PARAMETER_COUNTS
from cloudpub_models.sql.operators import Operator
from cloudpub_models.sql.patterns import ilike_matches, like_matches

# -- identifiers


NAMES: list[Any] = ["a", "_", "user_id", "A1", "x" * 63, "select"]


def test_names() -> None:
    for name in NAMES:
        assert check_identifier(name) == name


NO_NAMES: list[Any] = [
    "",
    " ",
    "1a",
    "a b",
    "a-b",
    "a.b",
    "a;",
    'a"',
    "a`",
    "a'",
    "é",
    "ａ",
    "x" * 64,
    "a\n",
    "a\0",
    "\ud800",
    "--",
    "*",
]


def test_no_names() -> None:
    for name in NO_NAMES:
        with pytest.raises(InvalidIdentifierError, match="expected a table name"):
            check_identifier(name, "table")


def test_names_of_models_have_any_letters_and_63_bytes() -> None:
    for name in (*NAMES, "größe", "é" * 31 + "x"):
        assert check_quotable(name, "column") == name
    for name in {*NO_NAMES, "é" * 32} - {"é", "ａ"}:
        with pytest.raises(InvalidIdentifierError, match="expected a column name"):
            check_quotable(name, "column")


NO_TEXTS: list[Any] = [None, 5, b"a", ["a"], object()]


def test_names_are_text() -> None:
    for name in NO_TEXTS:
        with pytest.raises(InvalidIdentifierError, match=r"got (None|5|a value of type)"):
            check_identifier(name)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=70) | st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]*\Z"))
def test_a_string_is_an_ascii_name_or_refused(text: str) -> None:
    try:
        assert check_identifier(text) == text
    except InvalidIdentifierError as error:
        assert re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,62}", text) is None
        assert len(str(error)) < 500  # noqa: PT017 - the property holds for either outcome
    else:
        assert re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,62}", text, re.ASCII)


def test_tables() -> None:
    assert parse_table("users") == ("users", None)
    assert parse_table(" users  u ") == ("users", "u")
    assert parse_table("users as u") == ("users", "u")
    for text in (
        "users u v",
        "users, x",
        "a.b",
        "users as",
        "1 u",
        "users 1",
        "",
        None,
        5,
        "users --",
        "users\nAS\nu;",
    ):
        if text == "users as":
            assert parse_table(text) == ("users", "as")  # quoted, so harmless
            continue
        with pytest.raises(InvalidIdentifierError):
            parse_table(text)


# -- quoting


QUOTED: list[Any] = [
    ("status", "status", "status"),
    ("timestamp", "timestamp", "timestamp"),
    ("level", "level", "level"),
    ("user", '"user"', "user"),
    ("order", '"order"', "`order`"),
    ("index", "index", "`index`"),
    ("createdAt", '"createdAt"', "`createdAt`"),
    ("Order", '"Order"', "`Order`"),
]


def test_names_are_quoted_only_where_they_must_be() -> None:
    for name, postgresql, sqlite in QUOTED:
        assert POSTGRESQL.quote(name) == postgresql
        assert SQLITE.quote(name) == sqlite


def test_quotes_inside_a_name_are_doubled() -> None:
    assert POSTGRESQL.quote('a"b') == '"a""b"'
    assert SQLITE.quote("a`b") == "`a``b`"


@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE])
def test_a_dialect_is_one_object(dialect: Any) -> None:
    assert pickle.loads(pickle.dumps(dialect)) is dialect
    assert len({POSTGRESQL, SQLITE, dialect}) == 2


# -- comparisons


@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE])
def test_every_operator_has_a_text_on_both(dialect: Dialect) -> None:
    operators = {operator: count for operator, count in PARAMETER_COUNTS.items() if operator != "HAS WORDS"}
    for operator, count in operators.items():
        parameters = [f"@p{number}" for number in range(count)]
        text = dialect.comparison("col", operator, parameters)
        assert text.count("col") == (2 if operator.endswith("OR NULL") else 1)
        assert all(text.count(parameter) == 1 for parameter in parameters)
    assert set(dialect.comparisons) - {"HAS WORDS"} == set(operators)


def test_postgresql_alone_has_an_index_that_is_asked_for_words() -> None:
    text = POSTGRESQL.comparison("col", "HAS WORDS", ["@p0", "@p1"])
    assert text.startswith("(col ILIKE @p0 AND array_to_tsvector(")
    assert text.endswith(") @@ CAST(@p1 AS tsquery))")
    assert (text.count("col"), text.count("@p")) == (2, 2)
    with pytest.raises(InvalidQueryError, match="got 'HAS WORDS'"):
        SQLITE.comparison("col", "HAS WORDS", ["@p0", "@p1"])


def test_an_unknown_operator() -> None:
    with pytest.raises(InvalidQueryError, match="expected one of the operators"):
        POSTGRESQL.comparison("a", "= 1 OR 1 =", ["@p"])


# -- operator objects


OPERATOR_OBJECTS: list[Any] = [
    (operators.eq(5), "=", (5,)),
    (operators.eq(None), "IS NULL", ()),
    (operators.ne(5), "!=", (5,)),
    (operators.ne(None), "IS NOT NULL", ()),
    (operators.ne((1, 2)), "NOT IN", ([1, 2],)),
    (operators.gt(5), ">", (5,)),
    (operators.ge(5), ">=", (5,)),
    (operators.lt(5), "<", (5,)),
    (operators.le(5), "<=", (5,)),
    (operators.like("a%"), "LIKE", ("a%",)),
    (operators.ilike("a%"), "ILIKE", ("a%",)),
    (operators.not_like("a%"), "NOT LIKE", ("a%",)),
    (operators.between(1, 2), "BETWEEN", (1, 2)),
    (operators.in_(x for x in (1, 2)), "IN", ([1, 2],)),
    (operators.in_(frozenset([1])), "IN", ([1],)),
    (operators.not_in([]), "NOT IN", ([],)),
    (operators.is_null(), "IS NULL", ()),
    (operators.is_not_null(), "IS NOT NULL", ()),
]


def test_operator_objects() -> None:
    for operator, name, values in OPERATOR_OBJECTS:
        assert (operator.name, operator.values) == (name, values)
        assert operator == Operator(name, values)


def test_operator_objects_refuse_what_means_nothing() -> None:
    for comparison in (operators.gt, operators.ge, operators.lt, operators.le):
        with pytest.raises(InvalidQueryError, match="got None"):
            comparison(None)
        with pytest.raises(InvalidQueryError, match="got a list"):
            comparison([1])
    for text in ("abc", b"abc", None, 5, {"a": 1}):
        with pytest.raises(InvalidQueryError, match="expected several values"):
            operators.in_(text)  # type: ignore[arg-type]
    with pytest.raises(InvalidQueryError, match="expected one of the operators"):
        Operator("; DROP TABLE users", (1,))
    with pytest.raises(InvalidQueryError, match="operand"):
        Operator("=", ())
    with pytest.raises(InvalidQueryError, match="operand"):
        Operator("=", [1])  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        operators.gt(5).name = "x"  # type: ignore[misc]


# -- LIKE, with PostgreSQL's answers (each line was asked there)

LIKE_EXAMPLES = [
    ("abc", "abc", True),
    ("abc", "ABC", False),
    ("abc", "abcd", False),
    ("a%", "a", True),
    ("a%", "abc", True),
    ("%c", "abc", True),
    ("%b%", "abc", True),
    ("%", "", True),
    ("", "", True),
    ("", "a", False),
    ("_", "a", True),
    ("_", "", False),
    ("_", "🚀", True),
    ("__", "é", False),
    ("a_c", "abc", True),
    ("a\\_c", "abc", False),
    ("a\\_c", "a_c", True),
    ("100\\%", "100%", True),
    ("100\\%", "1000", False),
    ("a\\\\b", "a\\b", True),
    ("\\a", "a", True),
    ("a.c", "abc", False),
    ("a*", "aaa", False),
    ("[ab]", "a", False),
    ("a%b%c", "axxbyyc", True),
    ("a%b%c", "acb", False),
    ("%a%a", "a", False),
    ("%ab", "aab", True),
    ("%ab%ab", "abab", True),
    ("%ab%ab", "aab", False),
    ("a%_b", "ab", False),
    ("a%_b", "axb", True),
    ("%_%", "", False),
    ("%%", "abc", True),
    ("a%", "a\nb", True),
    ("a", "a\n", False),
    ("%b", "a\nb\n", False),
]


def test_like() -> None:
    for pattern, text, matches in LIKE_EXAMPLES:
        assert like_matches(pattern, text) is matches
        assert ilike_matches(pattern.upper(), text.lower()) is (matches or pattern.lower() == text.lower())


FOLDED: list[Any] = [
    ("ärger", "ÄRGER"),
    ("ПРИВЕТ%", "привет, мир"),
    ("ΣΑΣ", "σας".replace("ς", "σ")),
    ("_", "İ"),
    ("straße", "STRAßE"),
]


def test_ilike_folds_all_letters() -> None:
    for pattern, text in FOLDED:
        assert ilike_matches(pattern, text) is True


def test_like_of_nothing_is_nothing() -> None:
    assert like_matches(None, "a") is like_matches("a", None) is ilike_matches(None, "a") is None
    assert like_matches("1%", 15) is True


@pytest.mark.parametrize("pattern", ["\\", "a\\", "a\\\\\\"])
def test_a_pattern_cannot_end_in_an_escape(pattern: str) -> None:
    for refused in (lambda: operators.like(pattern), lambda: like_matches(pattern, "a")):
        with pytest.raises(InvalidValueError, match="ends with a backslash"):
            refused()


@pytest.mark.alone
def test_a_hostile_pattern_takes_no_time() -> None:
    started = time.process_time()
    assert like_matches("%a" * 40 + "%b", "a" * 2_000) is False
    assert time.process_time() - started < 0.5


def slow_like(pattern: str, text: str) -> bool:
    """LIKE by its definition."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(slow_like(pattern[1:], text[start:]) for start in range(len(text) + 1))
    if pattern[0] == "\\":
        return text[:1] == pattern[1] and slow_like(pattern[2:], text[1:])
    return bool(text) and pattern[0] in ("_", text[0]) and slow_like(pattern[1:], text[1:])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "%", "_", "\\%", "\\_", "\\\\"]), max_size=7), st.text("ab%_\\", max_size=7))
def test_like_is_what_its_definition_says(parts: list[str], text: str) -> None:
    assert like_matches("".join(parts), text) is slow_like("".join(parts), text)


def test_each_operator_is_written_with_as_many_values_as_it_has() -> None:
    """An operator that no dialect knows, or one with another number of values, would be found out by its rows only."""
    for dialect in (POSTGRESQL, SQLITE):
        places = {name: len(set(re.findall(r"{(\d)}", text))) for name, text in dialect.comparisons.items()}
        assert places == {name: count for name, count in PARAMETER_COUNTS.items() if name in places}
    assert {*POSTGRESQL.comparisons, *SQLITE.comparisons} == set(PARAMETER_COUNTS)
