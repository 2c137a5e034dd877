"""The renderer as the managers use it: queries as data, shapes without values."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models.errors import InvalidIdentifierError, InvalidQueryError, UnknownTableError
from cloudpub_models.sql import PARAMETER, POSTGRESQL, SQLITE, Conflict, Join, OrderBy, Query
from cloudpub_models.sql.nodes.conditions import Comparison, Group, PositionalCondition, RawCondition, parameter_count
from cloudpub_models.sql.render.writer import render, rendered

BY_ID = Group.all(Comparison("id", "="))

QUERIES: list[tuple[Query, str, str | None]] = [
    (
        Query("select", "users", columns=("id", "user"), conditions=BY_ID),
        'SELECT id, "user" FROM users WHERE id = @param_0',
        "SELECT id, user FROM users WHERE id = @param_0",
    ),
    (
        Query("select", "users", columns=("id",), limit=PARAMETER, offset=PARAMETER, conditions=BY_ID),
        "SELECT id FROM users WHERE id = @param_0 LIMIT @param_1 OFFSET @param_2",
        None,
    ),
    (
        Query("select", "users", columns=("id",), offset=PARAMETER),
        "SELECT id FROM users OFFSET @param_0",
        "SELECT id FROM users LIMIT -1 OFFSET @param_0",
    ),
    (
        Query("select", "users", "u", columns=("u.id", "u.*"), order_by=(OrderBy("u.id", "DESC", "LAST"),)),
        "SELECT u.id, u.* FROM users u ORDER BY u.id DESC NULLS LAST",
        None,
    ),
    (
        Query("select", "users", order_by=(OrderBy("a", "DESC"), OrderBy("id", "DESC", None, nullable=False))),
        "SELECT * FROM users ORDER BY a DESC, id DESC",
        "SELECT * FROM users ORDER BY a DESC NULLS FIRST, id DESC",
    ),
    (
        Query("select", "a", columns=("a.id",), joins=(Join("INNER", "b", None, (("b.x", "a.x"), ("b.y", "a.y"))),)),
        "SELECT a.id FROM a INNER JOIN b ON b.x = a.x AND b.y = a.y",
        None,
    ),
    (
        Query("select", "users", columns=("id",), for_update=True, skip_locked=True, limit=1),
        "SELECT id FROM users LIMIT 1 FOR UPDATE SKIP LOCKED",
        "SELECT id FROM users LIMIT 1",
    ),
    (Query("count", "users"), "SELECT COUNT(*) AS count FROM users", None),
    (
        Query("count", "users", conditions=BY_ID, limit=5),
        "SELECT COUNT(*) AS count FROM users WHERE id = @param_0",
        None,
    ),
    (
        Query("exists", "users", conditions=BY_ID),
        "SELECT 1 FROM users WHERE id = @param_0 LIMIT 1",
        None,
    ),
    (Query("insert", "users"), "INSERT INTO users DEFAULT VALUES", None),
    (Query("insert", "users", returning=("id",)), "INSERT INTO users DEFAULT VALUES RETURNING id", None),
    (
        Query("insert", "users", insert_columns=("a", "b"), rows=2, returning=("id", "a")),
        "INSERT INTO users (a, b) VALUES (@param_0, @param_1), (@param_2, @param_3) RETURNING id, a",
        None,
    ),
    (
        Query("insert", "users", insert_columns=("a",), conflict=Conflict((), "ignore")),
        "INSERT INTO users (a) VALUES (@param_0) ON CONFLICT DO NOTHING",
        None,
    ),
    (
        Query("insert", "users", insert_columns=("a", "order"), conflict=Conflict(("a",), "update", ("order",))),
        'INSERT INTO users (a, "order") VALUES (@param_0, @param_1) '
        'ON CONFLICT (a) DO UPDATE SET "order" = excluded."order"',
        "INSERT INTO users (a, `order`) VALUES (@param_0, @param_1) "
        "ON CONFLICT (a) DO UPDATE SET `order` = excluded.`order`",
    ),
    (
        Query("insert", "users", insert_columns=("a", "b"), array_types=("text", "integer"), returning=("id",)),
        "INSERT INTO users (a, b) SELECT a, b FROM unnest(@param_0::text[], @param_1::integer[]) "
        "WITH ORDINALITY AS batch (a, b, batch_position) ORDER BY batch_position RETURNING id",
        None,
    ),
    (
        Query("update", "users", update_columns=("a", "b"), conditions=BY_ID, returning=("id",)),
        "UPDATE users SET a = @param_0, b = @param_1 WHERE id = @param_2 RETURNING id",
        None,
    ),
    (Query("delete", "users", conditions=BY_ID), "DELETE FROM users WHERE id = @param_0", None),
    (Query("delete", "users", "u"), "DELETE FROM users AS u", None),
    (
        Query("select", "t", conditions=Group.all(PositionalCondition(("x > ", " OR y = ", "")), Comparison("a", "="))),
        "SELECT * FROM t WHERE (x > @param_0 OR y = @param_1) AND a = @param_2",
        None,
    ),
    (
        Query("select", "t", conditions=Group.all(PositionalCondition(("x > ", "")))),
        "SELECT * FROM t WHERE x > @param_0",
        None,
    ),
    (
        Query("select", "t", conditions=Group.all(RawCondition("a = @param_0"), Comparison("a", "BETWEEN"))),
        "SELECT * FROM t WHERE (a = @param_0) AND a BETWEEN @param_1 AND @param_2",
        None,
    ),
]


def test_rendered() -> None:
    for query, postgresql, sqlite in QUERIES:
        assert render(query, POSTGRESQL) == postgresql
        if not query.array_types:
            assert render(query, SQLITE) == (sqlite or postgresql)
        assert rendered(query, POSTGRESQL).names == tuple(
            name for name in (f"param_{number}" for number in range(9)) if f"@{name}" in postgresql
        ) or isinstance(query.conditions.items[0][1], RawCondition)


def test_a_shape_is_rendered_once() -> None:
    first = rendered(Query("select", "users", conditions=Group.all(Comparison("id", "="))), POSTGRESQL)
    again = rendered(Query("select", "users", conditions=Group.all(Comparison("id", "="))), POSTGRESQL)
    assert again is first
    assert rendered(Query("select", "users", conditions=Group.all(Comparison("id", "="))), SQLITE) is not first


def test_values_counted() -> None:
    tree = Group.all(Comparison("a", "BETWEEN"), Group.all(Comparison("b", "IN"), RawCondition("x = @y")))
    assert parameter_count(tree) == 3
    with pytest.raises(InvalidQueryError, match="expected one of the operators"):
        parameter_count(Comparison("a", "LIKE ANY"))


NO_QUERIES: list[Any] = [
    (Query("select", "users; DROP TABLE users"), InvalidIdentifierError),
    (Query("select", "users", "u; --"), InvalidIdentifierError),
    (Query("select", "users", columns=("id; --",)), InvalidIdentifierError),
    (Query("select", "users", conditions=Group.all(Comparison("1 = 1; --", "="))), InvalidIdentifierError),
    (Query("select", "users", conditions=Group.all(Comparison("a", "= 1 OR 1 ="))), InvalidQueryError),
    (Query("select", "users", conditions=Group((("XOR", Comparison("a", "=")),))), InvalidQueryError),  # type: ignore[arg-type]
    (Query("select", "users", conditions=Group.all(Group(()))), InvalidQueryError),
    (Query("select", "users", conditions=Group.all("a = 1")), InvalidQueryError),  # type: ignore[arg-type]
    (Query("select", "users", order_by=(OrderBy("a", "ASC; --"),)), InvalidQueryError),
    (Query("select", "users", order_by=(OrderBy("a", "ASC", "x"),)), InvalidQueryError),
    (Query("select", "users", order_by=(OrderBy("a; --"),)), InvalidIdentifierError),
    (Query("select", "users", joins=(Join("CROSS", "b", None, (("a", "b"),)),)), InvalidQueryError),
    (Query("select", "users", joins=(Join("INNER", "b", None, ()),)), InvalidQueryError),
    (Query("select", "users", columns=("u.id",)), UnknownTableError),
    (Query("insert", "users", insert_columns=("a; --",)), InvalidIdentifierError),
    (Query("insert", "users", insert_columns=("a",), rows=0), InvalidQueryError),
    (Query("insert", "users", insert_columns=("a",), array_types=("text; --",)), InvalidQueryError),
    (Query("insert", "users", insert_columns=("a",), returning=("a; --",)), InvalidIdentifierError),
    (Query("insert", "users", insert_columns=("a",), conflict=Conflict((), "update", ("a",))), InvalidQueryError),
    (Query("insert", "users", insert_columns=("a",), conflict=Conflict(("a",), "update")), InvalidQueryError),
    (Query("insert", "users", insert_columns=("a",), conflict=Conflict(("a;",), "ignore")), InvalidIdentifierError),
    (Query("update", "users"), InvalidQueryError),
    (Query("update", "users", update_columns=("a = 1; --",)), InvalidIdentifierError),
    (Query("delete", "users", joins=(Join("INNER", "b", None, (("a", "b"),)),)), InvalidQueryError),
    (Query("drop", "users"), InvalidQueryError),  # type: ignore[arg-type]
]


def test_queries_that_are_none() -> None:
    for query, error in NO_QUERIES:
        for dialect in (POSTGRESQL, SQLITE):
            with pytest.raises(error):
                render(query, dialect)
