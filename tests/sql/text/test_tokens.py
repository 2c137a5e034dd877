"""Where strings, names, comments and statements end: as PostgreSQL itself reads them, and in linear time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloudpub_models.sql import POSTGRESQL, SQLITE, Dialect
from cloudpub_models.sql.text.statements import statements_in
from cloudpub_models.sql.text.tokens import STRINGS, Token, code, tokens

# Text, and its tokens on PostgreSQL but for spaces and comments.
READ_BY_POSTGRESQL: list[tuple[str, list[str]]] = [
    (r"E'\'' ';'", [r"E'\''", "';'"]),
    (r"'\' ';'", [r"'\'", "';'"]),
    ("E'a' -- b\n'c\\'d' e", ["E'a' -- b\n'c\\'d'", "e"]),
    ("E'a' -- b\n -- c\n\n 'd\\'e' f", ["E'a' -- b\n -- c\n\n 'd\\'e'", "f"]),
    ("E'a' -- b\r'c\\'d'", ["E'a' -- b\r'c\\'d'"]),
    ("E'a' -- b\n -- c", ["E'a'"]),
    ("E'a' 'b\\'", ["E'a'", "'b\\'"]),
    ("E'a' /* b */\n'c\\'", ["E'a'", "'c\\'"]),
    ("E'a'\n\xa0'b\\'", ["E'a'", "\xa0", "'b\\'"]),
    ("'a'\n'b'", ["'a'\n'b'"]),
    ("'a'\nE'b\\''", ["'a'", r"E'b\''"]),
    (r"U&'\'a N'\' B'01' X'1F' n'x'", [r"U&'\'", "a", "N", r"'\'", "B'01'", "X'1F'", "n", "'x'"]),
    ('U&"a""b" "c;"', ['U&"a""b"', '"c;"']),
    (r"name'\' E '\'", ["name", r"'\'", "E", r"'\'"]),
    ("$$ ' $a$ $$ $a$ $$ $a$", ["$$ ' $a$ $$", "$a$ $$ $a$"]),
    ("a$$ b $$", ["a$$", "b", "$$"]),
    ("$1$$ ; $$", ["$", "1", "$$ ; $$"]),
    ("/* /* */ ' */ a /*/**/ */ b", ["a", "b"]),
    ("1.5e-3 .5 0x1F 1_000 a1.b2", ["1.5e-3", ".5", "0x1F", "1_000", "a1", ".", "b2"]),
    ("a<=b::c+-1--d", ["a", "<=", "b", "::", "c", "+-", "1"]),
]
READ_BY_SQLITE: list[tuple[str, list[str]]] = [
    (r"E'\' ';'", ["E", r"'\'", "';'"]),
    ("'a'\n'b'", ["'a'", "'b'"]),
    ("[a ' b] `c``'d` \"e\"\"'\" x'1F'", ["[a ' b]", "`c``'d`", '"e""\'"', "x'1F'"]),
    ("/* /* */ a /*/ ' */ b -- c\rd", ["a", "b"]),
    ("$a$ ' $a$", ["$", "a$", "' $a$"]),
]


@pytest.mark.parametrize(("dialect", "examples"), [(POSTGRESQL, READ_BY_POSTGRESQL), (SQLITE, READ_BY_SQLITE)])
def test_tokens(dialect: Dialect, examples: list[tuple[str, list[str]]]) -> None:
    for sql, texts in examples:
        assert [token.text for token in code(tokens(sql, dialect))] == texts


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="aE'\"\\$`[]-/*\n\r;1.é%?@(U&", max_size=40), st.sampled_from([POSTGRESQL, SQLITE]))
def test_tokens_follow_each_other_without_a_gap(sql: str, dialect: Dialect) -> None:
    found = tokens(sql, dialect)
    assert "".join(token.text for token in found) == sql
    assert [token.end for token in found[:-1]] == [token.start for token in found[1:]]
    assert all(token.text and token.finished for token in found[:-1])


@pytest.mark.parametrize("text", ["/* a */", "'a'", "E'a'", "$$a$$", '"a"', "/* /* a */ */", "-- a", "a"])
def test_whether_a_token_has_its_end(text: str) -> None:
    [whole] = tokens(text, POSTGRESQL)
    assert whole.finished
    if text not in ("-- a", "a"):
        [cut] = tokens(text[:-1], POSTGRESQL)
        assert not cut.finished


def test_names() -> None:
    found = tokens('Users "Us""ers" U&"x" `a``b` [c d] "unfinished', SQLITE)
    assert [token.name for token in found if token.kind == "quoted"] == ['Us"ers', "x", "a`b", "c d", "unfinished"]
    assert [token.name for token in tokens('U&"a"', POSTGRESQL)] == ["a"]


# Against PostgreSQL: opening a cursor scans and parses a text and refuses several statements, and runs nothing.

_READ = """
    CREATE FUNCTION pg_temp.read(sql text) RETURNS jsonb LANGUAGE plpgsql AS $read$
    DECLARE opened refcursor; result record;
    BEGIN
        OPEN opened FOR EXECUTE sql;
        FETCH opened INTO result;
        RETURN to_jsonb(result);
    END $read$
"""
_SYNTAX_ERROR, _SEVERAL = "42601", "42P11"


@pytest.fixture(scope="module")
def read(postgresql_server: str) -> Iterator[Callable[[str], Any]]:
    """How PostgreSQL reads a text: its row, or its error."""
    connection = psycopg2.connect(postgresql_server)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(_READ)

    def read_by_server(sql: str) -> Any:
        try:
            cursor.execute("SELECT pg_temp.read(%s)", (sql,))
        except psycopg2.Error as error:
            return error
        return cursor.fetchone()[0]

    yield read_by_server
    connection.close()


SIGNS = [
    "'",
    "'",
    "''",
    "\\'",
    "\\",
    "E'",
    "U&'",
    "N'",
    "B'",
    '"',
    "$",
    "$a$",
    "$$",
    "--",
    "/*",
    "*/",
    "/",
    "*",
    "-",
    ";",
    ",",
]
OTHERS = ["a", "E", "1", "é", "\xa0", "(", ")", "\n", "\r", " ", "\t", "\f"]
NOISE = st.lists(st.sampled_from(SIGNS + OTHERS), max_size=14).map("".join)
STRINGS_AND_NAMES = [
    "'a'",
    r"'\'",
    r"E'\''",
    r"E'b\\'",
    r"N'\'",
    "U&'c'",
    "B'01'",
    "X'1F'",
    "$$ ' $$",
    "$a$ $$ ; $a$",
    '"q"',
]
BETWEEN_THEM = [
    ", ",
    ", ",
    "\n",
    " ",
    "-- '\n",
    "--\r",
    "/* ' */",
    "/* /* ; */ ' */",
    "; SELECT ",
    ";",
    "||",
    "AS é",
    "1",
]
PIECES = st.lists(st.sampled_from(STRINGS_AND_NAMES + BETWEEN_THEM), max_size=14).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(NOISE, PIECES, st.tuples(PIECES, NOISE).map("".join)))
@example("E'a' -- c\n 'b\\'; SELECT '")
@example("E'a'\n\xa0'b\\', '")
@example("'\\'; SELECT 1 --'")
def test_the_server_reads_as_we_do(read: Callable[[str], Any], text: str) -> None:
    sql = f"SELECT {text}"
    found = tokens(sql, POSTGRESQL)
    answer = read(sql)
    if not isinstance(answer, psycopg2.Error):
        assert len(statements_in(found)) == 1
        if (last := last_string(found)) is not None:
            assert list(answer.values())[-1:] == list(read(f"SELECT {last}").values())
    elif answer.pgcode == _SEVERAL:
        assert len(statements_in(found)) > 1
    elif answer.pgcode == _SYNTAX_ERROR and answer.diag.internal_position:
        position = int(answer.diag.internal_position) - 1
        if "unterminated" in answer.diag.message_primary:
            assert (found[-1].start, found[-1].finished) == (position, False)
        elif "escape" not in answer.diag.message_primary:  # which is about what is inside a string
            assert position in beginnings(found) or position >= code(found)[-1].end


def beginnings(found: list[Token]) -> set[int]:
    """Where tokens begin; among operators that stand together, any of them may be the one that does not fit."""
    return {
        at
        for token in code(found)
        for at in range(token.start, token.end)
        if token.kind == "operator" or at == token.start
    }


def last_string(found: list[Token]) -> str | None:
    """The last value of a query that is ``SELECT`` and strings with commas between them."""
    items = [item for item in code(found)[1:] if item.text != ";"]
    if not items or not all(item.text == "," or item.kind in STRINGS for item in items):
        return None
    return items[-1].text
