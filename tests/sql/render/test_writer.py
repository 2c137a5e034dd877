"""The renderer as the managers use it: queries as data, shapes without values."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models.errors import InvalidIdentifierError, InvalidQueryError, UnknownTableError
from cloudpub_models.sql import PARAMETER, POSTGRESQL, SQLITE, Conflict, Join, NamedTable, OrderBy, Query
from cloudpub_models.sql.nodes.conditions import (
    Comparison,
    Group,
    PositionalCondition,
    RawCondition,
    parameter_count,
)
from cloudpub_models.sql.nodes.expressions import Column, Star
from cloudpub_models.sql.render.writer import render, rendered


def column(text: str) -> Column:
    table, _, name = text.rpartition(".")
    return Column(table or None, name)


def compared(text: str, operator: str) -> Comparison:
    return Comparison(column(text), operator)


A, B, ID = (column(name) for name in ("a", "b", "id"))
T, USERS = NamedTable("t"), NamedTable("users")
BY_ID = Group.all(Comparison(ID, "="))

QUERIES: list[tuple[Query, str, str | None]] = [
    (
        Query("select", USERS, columns=(ID, column("user")), conditions=BY_ID),
        'SELECT id, "user" FROM users WHERE id = @param_0',
        "SELECT id, user FROM users WHERE id = @param_0",
    ),
    (
        Query("select", USERS, columns=(ID,), limit=PARAMETER, offset=PARAMETER, conditions=BY_ID),
        "SELECT id FROM users WHERE id = @param_0 LIMIT @param_1 OFFSET @param_2",
        None,
    ),
    (
        Query("select", USERS, columns=(ID,), offset=PARAMETER),
        "SELECT id FROM users OFFSET @param_0",
        "SELECT id FROM users LIMIT -1 OFFSET @param_0",
    ),
    (
        Query(
            "select",
            NamedTable("users", "u"),
            columns=(column("u.id"), Star("u")),
            order_by=(OrderBy(column("u.id"), "DESC", "LAST"),),
        ),
        "SELECT u.id, u.* FROM users u ORDER BY u.id DESC NULLS LAST",
        None,
    ),
    (
        Query("select", USERS, order_by=(OrderBy(A, "DESC"), OrderBy(ID, "DESC", None, nullable=False))),
        "SELECT * FROM users ORDER BY a DESC, id DESC",
        "SELECT * FROM users ORDER BY a DESC NULLS FIRST, id DESC",
    ),
    (
        Query(
            "select",
            NamedTable("a"),
            columns=(column("a.id"),),
            joins=(
                Join(
                    "INNER",
                    NamedTable("b"),
                    ((column("b.x"), column("a.x")), (column("b.y"), column("a.y"))),
                ),
            ),
        ),
        "SELECT a.id FROM a INNER JOIN b ON b.x = a.x AND b.y = a.y",
        None,
    ),
    (
        Query("select", USERS, columns=(ID,), lock="FOR UPDATE SKIP LOCKED", limit=1),
        "SELECT id FROM users LIMIT 1 FOR UPDATE SKIP LOCKED",
        "SELECT id FROM users LIMIT 1",
    ),
    (Query("count", USERS), "SELECT COUNT(*) AS count FROM users", None),
    (
        Query("count", USERS, conditions=BY_ID, limit=5),
        "SELECT COUNT(*) AS count FROM users WHERE id = @param_0",
        None,
    ),
    (
        Query("exists", USERS, conditions=BY_ID),
        "SELECT 1 FROM users WHERE id = @param_0 LIMIT 1",
        None,
    ),
    (Query("insert", USERS), "INSERT INTO users DEFAULT VALUES", None),
    (Query("insert", USERS, returning=(ID,)), "INSERT INTO users DEFAULT VALUES RETURNING id", None),
    (
        Query("insert", USERS, insert_columns=("a", "b"), rows=2, returning=(ID, A)),
        "INSERT INTO users (a, b) VALUES (@param_0, @param_1), (@param_2, @param_3) RETURNING id, a",
        None,
    ),
    (
        Query("insert", USERS, insert_columns=("a",), conflict=Conflict((), "ignore")),
        "INSERT INTO users (a) VALUES (@param_0) ON CONFLICT DO NOTHING",
        None,
    ),
    (
        Query("insert", USERS, insert_columns=("a", "order"), conflict=Conflict(("a",), "update", ("order",))),
        'INSERT INTO users (a, "order") VALUES (@param_0, @param_1) '
        'ON CONFLICT (a) DO UPDATE SET "order" = excluded."order"',
        "INSERT INTO users (a, `order`) VALUES (@param_0, @param_1) "
        "ON CONFLICT (a) DO UPDATE SET `order` = excluded.`order`",
    ),
    (
        Query("insert", USERS, insert_columns=("a", "b"), array_types=("text", "integer"), returning=(ID,)),
        "INSERT INTO users (a, b) SELECT a, b FROM unnest(@param_0::text[], @param_1::integer[]) "
        "WITH ORDINALITY AS batch (a, b, batch_position) ORDER BY batch_position RETURNING id",
        None,
    ),
    (
        Query("update", USERS, update_columns=("a", "b"), conditions=BY_ID, returning=(ID,)),
        "UPDATE users SET a = @param_0, b = @param_1 WHERE id = @param_2 RETURNING id",
        None,
    ),
    (Query("delete", USERS, conditions=BY_ID), "DELETE FROM users WHERE id = @param_0", None),
    (Query("delete", NamedTable("users", "u")), "DELETE FROM users AS u", None),
    (
        Query("select", T, conditions=Group.all(PositionalCondition(("x > ", " OR y = ", "")), Comparison(A, "="))),
        "SELECT * FROM t WHERE (x > @param_0 OR y = @param_1) AND a = @param_2",
        None,
    ),
    (
        Query("select", T, conditions=Group.all(PositionalCondition(("x > ", "")))),
        "SELECT * FROM t WHERE x > @param_0",
        None,
    ),
    (
        Query("select", T, conditions=Group.all(RawCondition("a = @param_0"), Comparison(A, "BETWEEN"))),
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
    first = rendered(Query("select", USERS, conditions=Group.all(Comparison(ID, "="))), POSTGRESQL)
    again = rendered(Query("select", USERS, conditions=Group.all(Comparison(ID, "="))), POSTGRESQL)
    assert again is first
    assert rendered(Query("select", USERS, conditions=Group.all(Comparison(ID, "="))), SQLITE) is not first


def test_values_counted() -> None:
    tree = Group.all(Comparison(A, "BETWEEN"), Group.all(Comparison(B, "IN"), RawCondition("x = @y")))
    assert parameter_count(tree) == 3
    with pytest.raises(InvalidQueryError, match="expected one of the operators"):
        parameter_count(Comparison(A, "LIKE ANY"))


NO_QUERIES: list[Any] = [
    (Query("select", NamedTable("users; DROP TABLE users")), InvalidIdentifierError),
    (Query("select", NamedTable("users", "u; --")), InvalidIdentifierError),
    (Query("select", USERS, columns=(column("id; --"),)), InvalidIdentifierError),
    (Query("select", USERS, conditions=Group.all(Comparison(column("1 = 1; --"), "="))), InvalidIdentifierError),
    (Query("select", USERS, conditions=Group.all(Comparison(A, "= 1 OR 1 ="))), InvalidQueryError),
    (Query("select", USERS, conditions=Group((("XOR", Comparison(A, "=")),))), InvalidQueryError),  # type: ignore[arg-type]
    (Query("select", USERS, conditions=Group.all(Group(()))), InvalidQueryError),
    (Query("select", USERS, conditions=Group.all("a = 1")), InvalidQueryError),  # type: ignore[arg-type]
    (Query("select", USERS, order_by=(OrderBy(A, "ASC; --"),)), InvalidQueryError),
    (Query("select", USERS, order_by=(OrderBy(A, "ASC", "x"),)), InvalidQueryError),
    (Query("select", USERS, order_by=(OrderBy(column("a; --")),)), InvalidIdentifierError),
    (Query("select", USERS, joins=(Join("CROSS", NamedTable("b"), ((A, B),)),)), InvalidQueryError),
    (Query("select", USERS, joins=(Join("INNER", NamedTable("b"), ()),)), InvalidQueryError),
    (Query("select", USERS, columns=(column("u.id"),)), UnknownTableError),
    (Query("insert", USERS, insert_columns=("a; --",)), InvalidIdentifierError),
    (Query("insert", USERS, insert_columns=("a",), rows=0), InvalidQueryError),
    (Query("insert", USERS, insert_columns=("a",), array_types=("text; --",)), InvalidQueryError),
    (Query("insert", USERS, insert_columns=("a",), returning=(column("a; --"),)), InvalidIdentifierError),
    (Query("insert", USERS, insert_columns=("a",), conflict=Conflict((), "update", ("a",))), InvalidQueryError),
    (Query("insert", USERS, insert_columns=("a",), conflict=Conflict(("a",), "update")), InvalidQueryError),
    (Query("insert", USERS, insert_columns=("a",), conflict=Conflict(("a;",), "ignore")), InvalidIdentifierError),
    (Query("update", USERS), InvalidQueryError),
    (Query("update", USERS, update_columns=("a = 1; --",)), InvalidIdentifierError),
    (Query("delete", USERS, joins=(Join("INNER", NamedTable("b"), ((A, B),)),)), InvalidQueryError),
    (Query("drop", USERS), InvalidQueryError),  # type: ignore[arg-type]
]


def test_queries_that_are_none() -> None:
    for query, error in NO_QUERIES:
        for dialect in (POSTGRESQL, SQLITE):
            with pytest.raises(error):
                render(query, dialect)
