"""The ``@name`` tokenizer, and binding: what is a parameter, what is none, and what the driver gets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpub_models.errors import InvalidQueryError, InvalidValueError, ParameterError
from cloudpub_models.sql import POSTGRESQL, SQLITE, Dialect, Members
from cloudpub_models.sql.text.parameters import bind, parse

# Text, and the names that are parameters in it, on both databases.
EVERYWHERE: list[tuple[str, tuple[str, ...]]] = [
    ("", ()),
    ("SELECT 1", ()),
    ("SELECT @a", ("a",)),
    ("@a", ("a",)),
    ("SELECT @a, @b, @a", ("a", "b", "a")),
    ("SELECT @_a1", ("_a1",)),
    ("SELECT (@a)", ("a",)),
    ("SELECT '@a'", ()),
    ("SELECT 'it''s @a', @b", ("b",)),
    ("SELECT '', @b", ("b",)),
    ("SELECT '\\', @b", ("b",)),
    ("SELECT 'a@b.c' || @b", ("b",)),
    ('SELECT "@a", "x""@y", @b', ("b",)),
    ("SELECT @a -- @b\n, @c", ("a", "c")),
    ("SELECT @a --@b", ("a",)),
    ("SELECT -1 - -@a", ("a",)),
    ("SELECT @a /* @b */, @c", ("a", "c")),
    ("SELECT /* ' */ @a /* ' */", ("a",)),
    ("SELECT -- '\n@a", ("a",)),
    ("SELECT '--', @a", ("a",)),
    ("SELECT '/*', @a, '*/'", ("a",)),
    ("SELECT @a::text, x::int", ("a",)),
    ("SELECT x % 2, '100%', @a", ("a",)),
    ("SELECT a @> @b", ("b",)),
    ("SELECT a <@ @b", ("b",)),
    ("SELECT a @@ @b", ("b",)),
    ("SELECT a @? @b", ("b",)),
    ("SELECT a @> b, a <@ b, a @@ b, a @? '$.x', a @@@ b", ()),
    ("SELECT a@>b, a<@b, a@@b, a@?b, a ^@ b, a^@b, @-@ b, @-@b", ()),
    ("SELECT @ -5, @ 5, @-5, @5", ()),
    ("SELECT x=@a, x>@b, x>=@c, x<>@d, x!=@e, x||@f, x+@g, x-@h, x*@i, x/@j, x%@k", tuple("abcdefghijk")),
    ("SELECT data->>@a, data->@b, data#>@c", ("a", "b", "c")),
    ("SELECT x<@limit", ()),
    ("SELECT x < @limit", ("limit",)),
    ("SELECT foo@bar", ()),
    ("SELECT 1@bar, _@bar, x$@bar", ()),
    ("SELECT (1)@bar", ("bar",)),
    ("SELECT @a@b", ("a",)),
    ("SELECT @a.b", ("a",)),
    ("SELECT E @a", ("a",)),
    ("SELECT $1, @a", ("a",)),
    ("SELECT 1e5, 0x1f, @a", ("a",)),
    ("SELECT ':x', :x, ?, @a", ("a",)),
    ("SELECT 'ünï@cödé', @a", ("a",)),
    ("SELECT N'@x', X'00', @a", ("a",)),
]

POSTGRESQL_ONLY: list[tuple[str, tuple[str, ...]]] = [
    (r"SELECT E'it\'s @a', @b", ("b",)),
    (r"SELECT e'\\', @b", ("b",)),
    (r"SELECT E'a''\'@a', @b", ("b",)),
    ("SELECT E'a'\n  'b\\'@c', @d", ("d",)),
    ("SELECT E'a' -- no newline yet\n", ()),
    ("SELECT E'a'\n-- comment\n'b\\'@c', @d", ("d",)),
    (r"SELECT date'\', @b", ("b",)),
    (r"SELECT U&'\0041 @a', @b", ("b",)),
    ("SELECT $$ @a ' $$, @b", ("b",)),
    ("SELECT $tag$ @a $$ $other$ $tag$, @b", ("b",)),
    ("SELECT $é$ @a $é$, @b", ("b",)),
    ("SELECT foo$tag$, @b, $tag$", ("b",)),
    ("SELECT /* /* @a */ @b */ @c", ("c",)),
    ("SELECT /* /* */ @a", ()),
    ("SELECT array[1, @a], x[@b]", ("a", "b")),
    ("SELECT -- @a\r@b", ("b",)),
    ("SELECT @a /* ' */", ("a",)),
]

SQLITE_ONLY: list[tuple[str, tuple[str, ...]]] = [
    ("SELECT `@a`, `x``@y`, @b", ("b",)),
    ("SELECT [@a], [x ' y], @b", ("b",)),
    ("SELECT /* /* @a */ @b", ("b",)),
    ("SELECT /*/ @a */ @b", ("b",)),
    ("SELECT -- @a\r@b\n, @c", ("c",)),
    (r"SELECT '\', @b", ("b",)),
]


@pytest.mark.parametrize(
    ("dialect", "examples"),
    [(POSTGRESQL, EVERYWHERE), (SQLITE, EVERYWHERE), (POSTGRESQL, POSTGRESQL_ONLY), (SQLITE, SQLITE_ONLY)],
)
def test_parameters(dialect: Dialect, examples: list[tuple[str, tuple[str, ...]]]) -> None:
    for sql, names in examples:
        check(sql, names, dialect)


def check(sql: str, names: tuple[str, ...], dialect: Dialect) -> None:
    parsed = parse(sql, dialect)
    assert parsed.names == names, sql
    assert len(parsed.pieces) == len(names) + 1
    rebuilt = parsed.pieces[0] + "".join(
        f"@{name}{piece}" for name, piece in zip(names, parsed.pieces[1:], strict=True)
    )
    assert rebuilt == sql


UNFINISHED: list[Any] = [
    ("SELECT 'x", "string"),
    ("SELECT 'x''", "string"),
    (r"SELECT E'x\'", "string"),
    ("SELECT E'x\\", "string"),
    ("SELECT $a$ x $b$", "string"),
    ('SELECT "x', "quoted name"),
    ("SELECT /* x", "comment"),
    ("SELECT /* /* x */", "comment"),
    ("SELECT 'x' \"y\" /* z */ $$ $$", None),
]


def test_what_is_still_open_at_the_end() -> None:
    for sql, unfinished in UNFINISHED:
        assert parse(sql).unfinished == unfinished


def test_what_ends_in_a_line_comment() -> None:
    assert parse("SELECT 1 -- x").ends_in_line_comment
    assert not parse("SELECT 1 -- x\n").ends_in_line_comment
    assert not parse("SELECT 1 -- x\n, 2").ends_in_line_comment
    assert not parse("SELECT '-- x'").ends_in_line_comment
    assert not parse("SELECT 1 -- x\n, @a").ends_in_line_comment


@pytest.mark.parametrize("sql", [None, 5, b"SELECT 1", ["SELECT 1"]])
def test_sql_has_to_be_text(sql: Any) -> None:
    for call in (parse, lambda text: bind(text, {}, SQLITE)):
        with pytest.raises(InvalidQueryError, match="expected SQL text"):
            call(sql)


@pytest.mark.parametrize("sql", ["SELECT '\0'", "SELECT '\ud800'"])
def test_text_that_no_database_takes(sql: str) -> None:
    with pytest.raises(InvalidQueryError, match=r"NUL|surrogate"):
        bind(sql, {}, POSTGRESQL)


@pytest.mark.parametrize("name", ["naïve", "größe", "x" * 64, "a$b"])
def test_names_are_ascii(name: str) -> None:
    with pytest.raises(ParameterError, match="expected a parameter name"):
        parse(f"SELECT @{name}")


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("SELECT 1; -- that is all", None),
        ("SELECT ';'", None),
        ("CREATE TRIGGER t AFTER UPDATE ON a BEGIN SELECT 1; SELECT 2; END;", None),
        ("PREPARE a AS SELECT 1", None),
        ("-- nothing", "expected a statement; got"),
        (" ; ", "expected a statement; got"),
        ("SELECT 1; SELECT 2", "expected one statement; got several"),
        ("CREATE TABLE a (b INT); DROP TABLE c", "expected one statement; got several"),
        ("SELECT '\\'; DROP TABLE c --'", "expected one statement; got several"),
        ("/* so */ COMMIT", "leaves transactions alone; got COMMIT"),
        ("; abort", "expected one statement; got several"),
        ("PREPARE /* x */ TRANSACTION 'a'", "leaves transactions alone; got PREPARE TRANSACTION"),
    ],
)
@pytest.mark.parametrize("dialect", [POSTGRESQL, SQLITE], ids=str)
def test_what_is_sent_is_one_statement(sql: str, fault: str | None, dialect: Dialect) -> None:
    found = parse(sql, dialect).fault
    assert found == fault if fault is None or found is None else fault in found


# -- binding


def test_percent_is_doubled_only_where_parameters_are_sent_and_the_driver_wants_it() -> None:
    sql = "SELECT '5%' -- 100%\n, 7 % 2, \"a%\""
    assert bind(sql, None, POSTGRESQL) == bind(sql, {}, POSTGRESQL) == (sql, ())
    assert bind(sql + ", @a", {"a": 1}, POSTGRESQL) == (sql.replace("%", "%%") + ", %s", (1,))
    assert bind(sql + ", @a", {"a": 1}, SQLITE) == (sql + ", ?", (1,))


def test_names_and_values_have_to_match() -> None:
    with pytest.raises(ParameterError, match="expected a value for @user_id; got none: did you mean 'userid'"):
        bind("SELECT @user_id", {"userid": 1}, POSTGRESQL)
    with pytest.raises(ParameterError, match=r"got a value for 'usr_id' but no @usr_id.*did you mean 'user_id'"):
        bind("SELECT @user_id", {"user_id": 1, "usr_id": 1}, POSTGRESQL)
    with pytest.raises(ParameterError, match=r"got a value for 'limit' but no @limit in it .outside strings"):
        bind("SELECT 1 WHERE x<@limit", {"limit": 1}, POSTGRESQL)
    with pytest.raises(ParameterError, match="expected a value for @a; got none: pass it"):
        bind("SELECT @a", None, POSTGRESQL)
    with pytest.raises(ParameterError, match="mapping of name to value; got a value of type list"):
        bind("SELECT @a", [1], POSTGRESQL)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"a value for 5 \(int\)"):
        bind("SELECT 1", {5: 1}, POSTGRESQL)  # type: ignore[dict-item]


def test_values_are_encoded_in_order() -> None:
    uuid = UUID(int=1)
    values = {"a": uuid, "b": datetime(2024, 5, 1, tzinfo=UTC), "c": {"x": [1]}, "d": Decimal("1.50"), "e": None}
    sql = "SELECT @b, @a, @c, @d, @e, @a"
    assert bind(sql, values, POSTGRESQL) == (
        "SELECT %s, %s, %s, %s, %s, %s",
        ("2024-05-01 00:00:00.000000", str(uuid), '{"x":[1]}', Decimal("1.50"), None, str(uuid)),
    )
    assert bind(sql, values, SQLITE)[1][3] == 1.5


def test_a_bad_value_is_named() -> None:
    with pytest.raises(InvalidValueError, match="@moment: expected an aware datetime"):
        bind("SELECT @moment", {"moment": datetime(2024, 5, 1)}, POSTGRESQL)
    with pytest.raises(InvalidValueError, match="@ids: expected text without NUL"):
        bind("SELECT 1 WHERE x IN @ids", {"ids": ("a", "\0")}, POSTGRESQL)


def test_a_list_is_json_and_a_tuple_is_membership() -> None:
    assert bind("SELECT @x", {"x": [1, "a"]}, POSTGRESQL) == ("SELECT %s", ('[1,"a"]',))
    assert bind("SELECT 5% WHERE x IN @ids AND y = @y", {"ids": (1, "a"), "y": 2}, POSTGRESQL) == (
        "SELECT 5%% WHERE x IN (%s, %s) AND y = %s",
        (1, "a", 2),
    )
    assert bind("x IN @ids AND y = @y", {"ids": (1, "a"), "y": 2}, SQLITE) == (
        "x IN (SELECT value FROM json_each(?)) AND y = ?",
        ('[1,"a"]', 2),
    )
    # What JSON does not have, and where there is no IN, is written out.
    assert bind("x IN @ids", {"ids": (b"a", 1)}, SQLITE) == ("x IN (?, ?)", (b"a", 1))
    assert bind("VALUES @row", {"row": (1, 2)}, SQLITE) == ("VALUES (?, ?)", (1, 2))


@pytest.mark.parametrize("word", ["IN", "in", "In\n", "IN /* so */", "IN -- so\n"])
def test_an_empty_tuple(word: str) -> None:
    assert bind(f"x {word} @ids OR 1 % 2", {"ids": ()}, POSTGRESQL) == ("x = ANY('{}') OR 1 %% 2", ())
    assert bind(f"x NOT {word} @ids", {"ids": ()}, POSTGRESQL) == ("x <> ALL('{}')", ())
    assert bind(f"x {word} @ids", {"ids": ()}, SQLITE) == ("x IN ()", ())
    assert bind(f"x NOT {word} @ids", {"ids": ()}, SQLITE) == ("x NOT IN ()", ())


@pytest.mark.parametrize("sql", ["x = @ids", "x.within @ids", "-- in\n@ids", "'IN' @ids", "IN (@ids, 1)"])
def test_an_empty_tuple_without_in(sql: str) -> None:
    with pytest.raises(ParameterError, match="expected IN or NOT IN before @ids"):
        bind(sql, {"ids": ()}, POSTGRESQL)


def test_parentheses_around_a_tuple() -> None:
    with pytest.raises(ParameterError, match="write IN @ids"):
        bind("x IN (@ids)", {"ids": (1, 2)}, POSTGRESQL)


def test_members_are_one_value() -> None:
    members = Members(["a", 'b"\\', None, 5, True])
    sql = "x = ANY(@p)"
    assert bind(sql, {"p": members}, POSTGRESQL) == ("x = ANY(%s)", (r'{"a","b\"\\",NULL,5,true}',))
    assert bind(sql, {"p": members}, SQLITE)[1] == (r'["a","b\"\\",null,5,true]',)


def test_long_texts_are_bound_too() -> None:
    sql = "SELECT " + ", ".join(["@a"] * 10_000)
    text, values = bind(sql, {"a": 1}, SQLITE)
    assert text.count("?") == len(values) == 10_000
    assert len(parse(sql).names) == 10_000


# -- properties

NAME = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
INERT = st.text(alphabet='abz@ ,%?:"[]()*-+é', max_size=8)
FRAGMENTS = st.one_of(
    st.tuples(st.just("parameter"), NAME),
    st.tuples(st.just("text"), INERT.map(lambda text: "'" + text + "''" + "'")),
    st.tuples(st.just("text"), INERT.map(lambda text: '"' + text.replace('"', '""') + '"')),
    st.tuples(st.just("text"), INERT.map(lambda text: "/*" + text.replace("*", "") + "*/")),
    st.tuples(st.just("text"), INERT.map(lambda text: "--" + text + "\n")),
    st.tuples(st.just("text"), st.sampled_from(["x::text", "a @> b", "a <@ b", "a @@ b", "7 % 2", "@ -5", "(", ")"])),
    st.tuples(st.just("postgresql"), INERT.map(lambda text: "E'" + text + "\\''")),
    st.tuples(st.just("postgresql"), INERT.map(lambda text: "$q$" + text + "'$q$")),
    st.tuples(st.just("sqlite"), INERT.map(lambda text: "`" + text + "`")),
    st.tuples(st.just("sqlite"), INERT.map(lambda text: "[" + text.replace("]", "") + "]")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FRAGMENTS, max_size=10), st.sampled_from([POSTGRESQL, SQLITE]))
def test_exactly_the_parameters_are_found(fragments: list[tuple[str, str]], dialect: Dialect) -> None:
    fragments = [(kind, text) for kind, text in fragments if kind in ("parameter", "text", dialect.name)]
    sql = " ".join(f"@{text}" if kind == "parameter" else text for kind, text in fragments)
    names = tuple(text for kind, text in fragments if kind == "parameter")
    check(sql, names, dialect)
    values = {name: number for number, name in enumerate(names)}
    text, bound = bind(sql, values, dialect)
    assert bound == tuple(values[name] for name in names)
    if not names:
        assert text == sql
    elif dialect is POSTGRESQL:
        # What psycopg2 does with it gives back the text.
        assert text % tuple(f"@{name}" for name in names) == sql


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.sampled_from([POSTGRESQL, SQLITE]))
def test_any_text_is_taken_apart_without_loss(sql: str, dialect: Dialect) -> None:
    try:
        parsed = parse(sql, dialect)
    except (InvalidQueryError, ParameterError):
        return
    check(sql, parsed.names, dialect)
    assert all(name.isascii() and name.isidentifier() for name in parsed.names)
