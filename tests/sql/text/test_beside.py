"""Which column a parameter stands beside, told from the tokens alone."""

from __future__ import annotations

import pytest

from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE
from cloudpub_models.sql.text.beside import columns_beside, tables_named


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT * FROM t WHERE a = @a AND t.b >= @b AND @c <> t.c AND @d < d",
            {"a": "a", "b": "b", "c": "c", "d": "d"},
        ),
        ('UPDATE t SET a = @a, "B" = @b WHERE c != @c', {"a": "a", "b": "B", "c": "c"}),
        ("SELECT 1 FROM t WHERE a NOT BETWEEN @a AND @b AND c BETWEEN 1 AND @d", {"a": "a", "b": "a"}),
        ("SELECT 1 FROM t WHERE a IN @a OR b NOT IN (@b, @c)", {"a": "a", "b": "b", "c": "b"}),
        ("SELECT 1 FROM t WHERE a = @x AND a = @y AND b = @y", {"x": "a"}),
        ("SELECT 1 FROM t WHERE lower(a) = @a AND @b = lower(b) AND @c::date = c AND d = 1 + @d", {}),
        ("SELECT 1 FROM t WHERE a = 5 AND @b", {}),
        ("SELECT @a AS a, @b FROM t LIMIT @limit", {}),
        ("INSERT INTO t (a, b) VALUES (@a, @b), (@c, 1 + @d)", {"a": "a", "b": "b", "c": "a"}),
        ("INSERT INTO t (a, b) VALUES (f(@a, @b), @c)", {"c": "b"}),
        ("INSERT INTO t VALUES (@a)", {}),
        ("INSERT INTO t (a) VALUES (@a) ON CONFLICT (a) DO UPDATE SET a = @b", {"a": "a", "b": "a"}),
    ],
)
def test_columns(sql: str, expected: dict[str, str]) -> None:
    for dialect in (POSTGRESQL, SQLITE):
        assert columns_beside(sql, dialect) == expected


def test_tables_are_named_by_whole_words_only() -> None:
    sql = "SELECT 'users' FROM functions_old JOIN \"function_logs\" -- organizations"
    assert tables_named(sql, POSTGRESQL, ["users", "functions", "function_logs", "organizations"]) == ["function_logs"]
