"""What monitoring may see of a statement: a summary of few words, and the text without literals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE
from cloudpub_models.sql.text.summary import LONGEST_SUMMARY, summary_of, without_literals


@pytest.mark.parametrize(
    ("sql", "summary"),
    [
        ("SELECT id, name FROM functions WHERE id = %s FOR UPDATE SKIP LOCKED", "SELECT functions"),
        ("SELECT a, (SELECT b FROM t2) FROM t1 x, t3 AS y", "SELECT SELECT t2 t1 t3"),
        ("INSERT INTO a (x, y) SELECT x, y FROM unnest(%s, %s) AS t (x, y)", "INSERT a SELECT"),
        ("INSERT INTO u (e) VALUES (%s) ON CONFLICT (e) DO UPDATE SET e = EXCLUDED.e RETURNING id, e", "INSERT u"),
        ("INSERT INTO archive SELECT x, y FROM logs", "INSERT archive SELECT logs"),
        ("UPDATE t SET a = %s, b = 2 WHERE c IN (1, 2)", "UPDATE t"),
        ("DELETE FROM t RETURNING id, uuid", "DELETE t"),
        ("select * from public.logs l left join users u on true", "SELECT public.logs users"),
        ('SELECT "t1"."id" FROM "users" AS "t1"', 'SELECT "users"'),
        ("COPY function_logs (a, b) FROM STDIN", "COPY function_logs"),
        ("SELECT 1 WHERE a IS DISTINCT FROM b", "SELECT"),
        ("CREATE TABLE users (id int)", "CREATE TABLE"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN"),
        ("SAVEPOINT cloudpub_1", "SAVEPOINT"),
        ("ROLLBACK TO SAVEPOINT cloudpub_1", "ROLLBACK"),
        ("SELECT 'FROM secrets' -- FROM comments", "SELECT"),
        ("", ""),
    ],
)
def test_a_summary_names_operations_and_tables(sql, summary):
    assert summary_of(sql, POSTGRESQL).text == summary


def test_a_summary_stays_short():
    sql = "SELECT 1 FROM " + ", ".join(f"a_table_with_a_long_name_{n}" for n in range(100))
    summary = summary_of(sql, POSTGRESQL)
    assert len(summary.text) <= LONGEST_SUMMARY
    assert summary.text.endswith("_8")
    assert len(summary.tables) == 100


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 'a''b', 5, 0x1F, 2024 FROM t1", "SELECT ?, ?, ?, ? FROM t1"),
        ("SELECT 1.5e-3, .5, 1_000", "SELECT ?, ?, ?"),
        ("SELECT E'a' -- b\n 'c\\'secret', U&'secret'", "SELECT ?, ?"),
        (r"SELECT E'a\'b', 'c\', 'd'", "SELECT ?, ?, ?"),
        ("SELECT $$secret$$, $x$ 'secret' $x$", "SELECT ?, ?"),
        ("SELECT $$secret", "SELECT ?"),
        ("SELECT 'secret", "SELECT ?"),
        ("SELECT 1 /* secret /* secret */ */ + 2 -- secret", "SELECT ?  + ? "),
        ('SELECT "a 1" FROM b WHERE c = %s', 'SELECT "a 1" FROM b WHERE c = %s'),
    ],
)
def test_no_literal_is_left_in_the_text(sql, text):
    assert without_literals(sql, POSTGRESQL) == text


FRAGMENTS = [
    "'SECRET'",
    "'a''SECRET'",
    "/* SECRET */",
    "-- SECRET\n",
    "SELECT",
    "FROM t,",
    '"a\'b"',
    "(",
    ")",
    "1",
    "x.y",
    "%s",
]
OF_POSTGRESQL = [r"E'\'SECRET'", r"'\'", "$$ ' SECRET $$", "$a$ SECRET $$ $a$", "/* /* */ SECRET */"]


@given(st.lists(st.sampled_from(FRAGMENTS + OF_POSTGRESQL)))
def test_whatever_stands_beside_them_literals_and_comments_go(fragments):
    assert "SECRET" not in without_literals(" ".join(fragments), POSTGRESQL)


@given(st.text(alphabet="ab'\"$\\`[]-/*\n E1.%?@,()", max_size=40), st.sampled_from([POSTGRESQL, SQLITE]))
def test_any_text_has_a_summary(sql, dialect):
    assert len(summary_of(sql, dialect).text) <= LONGEST_SUMMARY
