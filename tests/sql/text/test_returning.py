"""What a statement gives back of its own writes, told from its text."""

from __future__ import annotations

import pytest

from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE
from cloudpub_models.sql.text.returning import returned_names


@pytest.mark.parametrize(
    ("sql", "postgresql", "sqlite"),
    [
        ("UPDATE t SET returning_at = 'RETURNING a, a'", (), ()),
        ('UPDATE t SET a = 1 RETURNING a, "A", t.B', ("a", "A", "b"), ("a", "a", "b")),
        ("UPDATE t SET a = 1 RETURNING f(a, b) AS x, (SELECT 1) AS y ;", ("x", "y"), ("x", "y")),
        ("INSERT INTO t (a) VALUES (f(1)) RETURNING a, f(b) AS x, a", ("a", "x", "a"), ("a", "x", "a")),
        ("INSERT INTO t (a) VALUES (1) RETURNING *", (), ()),
        ("UPDATE t SET a = 1 RETURNING f(a, b)", None, None),
        ("UPDATE t SET a = 1 RETURNING a b", None, None),
        ("UPDATE t SET a = 1 RETURNING a, *", None, None),
        ("UPDATE t SET a = 1 RETURNING *", (), ()),
        ("UPDATE t SET a = 1 FROM u RETURNING *", None, ()),
        ("UPDATE t SET a = (SELECT 1 FROM u) RETURNING *", (), ()),
        ("DELETE FROM t USING u RETURNING *", None, ()),
        ("DELETE FROM t RETURNING *", (), ()),
        ("INSERT INTO t SELECT * FROM u RETURNING *", (), ()),
        ("WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x", None, None),
        ("WITH x AS (DELETE FROM t RETURNING a) DELETE FROM u RETURNING b", None, None),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE RETURNING *", None, ()),
    ],
)
def test_names(sql: str, postgresql: tuple[str, ...] | None, sqlite: tuple[str, ...] | None) -> None:
    assert (returned_names(sql, POSTGRESQL), returned_names(sql, SQLITE)) == (postgresql, sqlite)
