"""Which columns an expression is about, in the words of either database."""

from __future__ import annotations

import pytest

from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE
from cloudpub_models.sql.text.expressions import columns_in, indexed_columns


@pytest.mark.parametrize(
    ("expressions", "columns"),
    [
        ("user_id, name", ("user_id", "name")),
        ('level, "order", timestamp', ("level", "order", "timestamp")),
        ('lower((email)::text COLLATE "C"), status', ("email", "status")),
        ("(first_name || ' '::character varying(20)::text)", ("first_name",)),
        ("(made_at AT TIME ZONE 'utc'::text)", ("made_at",)),
        ("COALESCE(price, '0'::double precision), made_at::timestamp without time zone", ("price", "made_at")),
        ("(document ->> 'key'::text)", ("document",)),
        ("CASE WHEN active THEN email ELSE NULL::character varying END", ("active", "email")),
        ("lower(email), upper(email)", ("email",)),
        ("at, b", ("at", "b")),
        ("", ()),
    ],
)
def test_columns_in(expressions: str, columns: tuple[str, ...]) -> None:
    assert columns_in(expressions, POSTGRESQL) == columns


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("CREATE UNIQUE INDEX i ON users (LOWER(email))", ("email",)),
        ("CREATE UNIQUE INDEX `a (b)` ON [t (u)] (LOWER(`e (f)`), c DESC) WHERE status = 1", ("e (f)", "c")),
        ("CREATE UNIQUE INDEX i ON t (email COLLATE NOCASE)", ("email",)),
        ("CREATE INDEX i ON t (", ()),
        ("", ()),
    ],
)
def test_indexed_columns(statement: str, columns: tuple[str, ...]) -> None:
    assert indexed_columns(statement, SQLITE) == columns
