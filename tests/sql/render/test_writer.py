"""The renderer as the managers use it: queries as data, shapes without values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models.errors import InvalidIdentifierError, InvalidQueryError, ParameterError, UnknownTableError
from cloudpub_models.sql import PARAMETER, POSTGRESQL, SQLITE, Conflict, Join, NamedTable, OrderBy, Query, raw
from cloudpub_models.sql.nodes.conditions import (
    Comparison,
    During,
    Group,
    Negation,
    PositionalCondition,
    RawCondition,
    RowComparison,
    parameter_count,
)
from cloudpub_models.sql.nodes.expressions import Call, Column, Having, NamedParameter, Number, RelatedValue, Star
from cloudpub_models.sql.nodes.query import FirstOfEach
from cloudpub_models.sql.render.writer import render, rendered, write
from cloudpub_models.sql.text.parameters import parse


def column(text: str) -> Column:
    table, _, name = text.rpartition(".")
    return Column(table or None, name)


A, B, ID = (column(name) for name in ("a", "b", "id"))
NOON, DAY = datetime(2024, 5, 1, 12, tzinfo=UTC), timedelta(days=1)
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
    (
        Query("select", T, columns=(A,), conditions=Group.all(RowComparison((A, B), ">"), Comparison(ID, "="))),
        "SELECT a FROM t WHERE (a, b) > (@param_0, @param_1) AND id = @param_2",
        None,
    ),
    (
        Query("select", NamedTable("order", schema="my"), columns=(column("order.id"),)),
        'SELECT "order".id FROM my."order"',
        "SELECT `order`.id FROM my.`order`",
    ),
    (
        Query("delete", NamedTable("event", "e", "audit"), conditions=Group.all(Comparison(column("e.id"), "="))),
        "DELETE FROM audit.event AS e WHERE e.id = @param_0",
        None,
    ),
    (
        Query("update", NamedTable("event", schema="Audit"), update_columns=("a",), conditions=BY_ID),
        'UPDATE "Audit".event SET a = @param_0 WHERE id = @param_1',
        "UPDATE `Audit`.event SET a = @param_0 WHERE id = @param_1",
    ),
    (
        # The columns of a rule's conditions are those of the row that is there.
        Query(
            "insert",
            USERS,
            insert_columns=("a", "b"),
            conflict=Conflict(("a",), "update", ("b",), Group((("AND", Comparison(B, "<")), ("OR", BY_ID)))),
            returning=(ID,),
        ),
        "INSERT INTO users (a, b) VALUES (@param_0, @param_1) ON CONFLICT (a) DO UPDATE SET b = excluded.b "
        "WHERE users.b < @param_2 OR (users.id = @param_3) RETURNING id",
        None,
    ),
    (
        Query(
            "insert",
            NamedTable("users", "u"),
            insert_columns=("a",),
            conflict=Conflict(("a",), "update", ("a",), Group.all(RowComparison((A, B), "<"))),
        ),
        "INSERT INTO users AS u (a) VALUES (@param_0) ON CONFLICT (a) DO UPDATE SET a = excluded.a "
        "WHERE (u.a, u.b) < (@param_1, @param_2)",
        None,
    ),
    (
        Query(
            "select",
            T,
            columns=(column("t.a"),),
            joins=(
                Join(
                    "LEFT", USERS, ((column("users.id"), column("t.a")),), Group.all(Comparison(column("users.b"), "="))
                ),
            ),
            conditions=Group.all(Comparison(column("t.b"), "=")),
        ),
        "SELECT t.a FROM t LEFT JOIN users ON users.id = t.a AND (users.b = @param_0) WHERE t.b = @param_1",
        None,
    ),
    (Query("copy", NamedTable("user"), insert_columns=("a", "order")), 'COPY "user" (a, "order") FROM STDIN', "-"),
    (
        Query("insert", T, insert_columns=("batch_position",), array_types=("integer",)),
        "INSERT INTO t (batch_position) SELECT batch_position FROM unnest(@param_0::integer[]) "
        "WITH ORDINALITY AS batch (batch_position, batch_position_) ORDER BY batch_position_",
        None,
    ),
    (
        Query("select", USERS, columns=(ID,), conditions=Group.all(Comparison(A, "="), During(B, NOON, NOON + DAY))),
        "SELECT id FROM users WHERE a = @param_0 AND b >= '2024-05-01 12:00:00.000000' "
        "AND b < '2024-05-02 12:00:00.000000'",
        None,
    ),
    (
        Query("select", USERS, columns=(ID,), conditions=Group.all(During(B, NOON, None), Comparison(A, "="))),
        "SELECT id FROM users WHERE b >= '2024-05-01 12:00:00.000000' AND a = @param_0",
        None,
    ),
    (
        Query("select", USERS, columns=(ID,), conditions=Group.all(Negation(Comparison(A, "=")))),
        "SELECT id FROM users WHERE (a = @param_0) IS NOT TRUE",
        None,
    ),
    (
        Query(
            "select",
            USERS,
            columns=(ID,),
            conditions=Group.all(Negation(Group.all(Comparison(ID, "="), Comparison(A, "=")))),
        ),
        "SELECT id FROM users WHERE (id = @param_0 AND a = @param_1) IS NOT TRUE",
        None,
    ),
]


def test_rendered() -> None:
    for query, postgresql, sqlite in QUERIES:
        assert render(query, POSTGRESQL) == postgresql
        if not query.array_types and query.kind != "copy":
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
    several = PositionalCondition(("x > ", " OR y = ", "")), RowComparison((A, B), ">"), Negation(Comparison(A, "="))
    assert [parameter_count(condition) for condition in (*several, Group.all(*several))] == [2, 2, 1, 5]
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


# -- the first rows for each of many values


def first_of_each(table: NamedTable, *, key: tuple[str, ...] = ("id",), **clauses: Any) -> Query:
    each = FirstOfEach(column("box_id"), 2, "integer", key)
    return Query("select", table, columns=(ID, column("key")), first_of_each=each, **clauses)


LATEST = (OrderBy(column("key"), "DESC", nullable=False),)


def test_the_first_rows_of_each_value() -> None:
    query = first_of_each(NamedTable("setting"), order_by=LATEST, conditions=Group((("AND", Comparison(A, "=")),) * 2))
    assert render(query, POSTGRESQL) == (
        "SELECT related.id, related.key FROM unnest(CAST(@param_0 AS integer[])) AS parent (key) CROSS JOIN LATERAL "
        "(SELECT id, key FROM setting WHERE box_id BETWEEN parent.key AND parent.key "
        "AND (a = @param_1 AND a = @param_2) ORDER BY box_id DESC, key DESC LIMIT 2) AS related "
        "ORDER BY related.key DESC"
    )
    assert render(query, SQLITE) == (
        "SELECT related.id, related.key FROM json_each(@param_0) AS parent JOIN setting AS related ON related.id IN "
        "(SELECT id FROM setting WHERE box_id = parent.value AND (a = @param_1 AND a = @param_2) "
        "ORDER BY key DESC LIMIT 2) ORDER BY related.key DESC"
    )
    assert write(query, POSTGRESQL).tables == ("setting",)
    assert write(query, POSTGRESQL).compared is None


def test_names_made_up_in_a_statement_meet_no_table() -> None:
    for name in ("parent", "Parent", "related"):
        for dialect in (POSTGRESQL, SQLITE):
            text = render(first_of_each(NamedTable(name, schema="s")), dialect)
            made_up = "parent_" if name.lower() == "parent" else "parent"
            assert f" AS {made_up} " in text
            assert f"{'related_' if name == 'related' else 'related'}.id" in text
            assert f" FROM s.{dialect.quote(name)} WHERE box_id " in text


def test_a_key_of_several_columns_or_of_none() -> None:
    assert "related ON (related.a, related.b) IN (SELECT a, b FROM part WHERE box_id = parent.value LIMIT 2)" in render(
        first_of_each(NamedTable("part"), key=("a", "b")), SQLITE
    )
    # Without a key the rows are numbered.
    assert render(first_of_each(NamedTable("part"), key=(), order_by=LATEST, conditions=BY_ID), SQLITE) == (
        "SELECT related.id, related.key FROM "
        "(SELECT id, key, ROW_NUMBER() OVER (PARTITION BY box_id ORDER BY key DESC) AS position FROM part "
        "WHERE box_id IN (SELECT value FROM json_each(@param_0)) AND (id = @param_1)) AS related "
        "WHERE related.position <= 2 ORDER BY related.key DESC"
    )


def test_the_first_rows_through_a_table_in_between() -> None:
    query = Query(
        "select",
        NamedTable("related"),
        columns=(column("related.id"), column("related.position"), column("pivot.id")),
        joins=(Join("INNER", NamedTable("pivot"), ((column("pivot.far"), column("related.id")),)),),
        order_by=(OrderBy(column("related.id"), nullable=False),),
        first_of_each=FirstOfEach(column("pivot.near"), 1, "text"),
    )
    for dialect, members in ((POSTGRESQL, "= ANY(@param_0)"), (SQLITE, "IN (SELECT value FROM json_each(@param_0))")):
        assert render(query, dialect) == (
            "SELECT related_.id, related_.position, related_.id_ FROM (SELECT related.id, related.position, "
            "pivot.id AS id_, ROW_NUMBER() OVER (PARTITION BY pivot.near ORDER BY related.id ASC) AS position_ "
            f"FROM related INNER JOIN pivot ON pivot.far = related.id WHERE pivot.near {members}) AS related_ "
            "WHERE related_.position_ <= 1 ORDER BY related_.id ASC"
        )
    assert write(query, SQLITE).tables == ("related", "pivot")


def test_only_columns_have_first_rows() -> None:
    for columns in ((), (Star(None),), (ID, raw("1"))):
        with pytest.raises(InvalidQueryError, match="expected columns"):
            render(first_of_each(T).changed(columns=columns), POSTGRESQL)
    for kind in ("int; --", "int4[]", "'int'", "int--", "1", ""):
        with pytest.raises(InvalidQueryError, match="type of a column"):
            render(first_of_each(T).changed(first_of_each=FirstOfEach(A, 1, kind)), POSTGRESQL)
    for kind in ("int4", "audit.my_kind", "double precision", "numeric(10, 2)"):
        assert f" AS {kind}[])" in render(first_of_each(T).changed(first_of_each=FirstOfEach(A, 1, kind)), POSTGRESQL)


# -- both texts


def test_both_texts_say_the_same() -> None:
    for query, *_ in QUERIES:
        for dialect in (POSTGRESQL, SQLITE):
            written = write(query, dialect)
            assert parse(written.text, dialect).driver_text == written.driver_text
            assert written.writes == (query.kind in ("insert", "update", "delete", "copy") or query.lock is not None)


def test_percent_signs_are_doubled_where_values_are_sent() -> None:
    where = Group.all(RawCondition("a % 2 = 0"))
    assert write(Query("select", T, conditions=where), POSTGRESQL).driver_text == "SELECT * FROM t WHERE a % 2 = 0"
    for condition in (Comparison(B, "="), RawCondition("b % @b = 0"), PositionalCondition(("'%' = ", ""))):
        query = Query("select", T, columns=(raw("'%'"),), conditions=Group.all(RawCondition("a % 2 = 0"), condition))
        written = write(query, POSTGRESQL)
        assert written.driver_text.replace("%s", "").count("%%") == written.text.count("%")
        assert write(query, SQLITE).driver_text.count("%") == written.text.count("%")


def test_raw_sql_keeps_its_parameters() -> None:
    having = Having(column("a"), ">", NamedParameter("least"))
    query = Query(
        "select",
        T,
        conditions=Group.all(
            Comparison(A, "="), RawCondition("x NOT IN @xs AND '@no' = @param_0 -- so"), Comparison(B, "=")
        ),
        having=(having, raw("COUNT(*) IN @counts"), Having(A, "<", Number("5"))),
        limit=PARAMETER,
    )
    written = write(query, POSTGRESQL)
    assert written.text == (
        "SELECT * FROM t WHERE a = @param_1 AND (x NOT IN @xs AND '@no' = @param_0 -- so\n) AND b = @param_2 "
        "HAVING a > @least AND (COUNT(*) IN @counts) AND a < 5 LIMIT @param_3"
    )
    assert written.names == ("param_1", "param_2", "param_3")
    assert written.compared is None
    named = {"xs": (1, 2), "param_0": "x", "least": 3, "counts": ()}
    text, values = written.bind(["a", "b", 10], named, POSTGRESQL)
    assert text == (
        "SELECT * FROM t WHERE a = %s AND (x NOT IN (%s, %s) AND '@no' = %s -- so\n) AND b = %s "
        "HAVING a > %s AND (COUNT(*) = ANY('{}')) AND a < 5 LIMIT %s"
    )
    assert values == ["a", 1, 2, "x", "b", 3, 10]


def test_raw_sql_is_part_of_one_statement() -> None:
    for sql in ("1 = 1;", "1 = 1; -- x", "1 = 1; DROP TABLE t", "1 = 1 /* ; */; DROP TABLE t"):
        with pytest.raises(InvalidQueryError, match="expected one statement"):
            render(Query("select", T, conditions=Group.all(RawCondition(sql))), POSTGRESQL)
    assert render(Query("select", T, conditions=Group.all(RawCondition("a = ';' -- ;"))), POSTGRESQL)
    with pytest.raises(ParameterError, match="@x"):
        render(Query("select", T, columns=(raw("@x"),)), POSTGRESQL)


def test_what_is_compared() -> None:
    known = Group.all(
        Comparison(A, "IN"), Group((("AND", Comparison(B, "IS NULL")), ("OR", RowComparison((A, B), "<"))))
    )
    assert write(Query("select", T, conditions=known, limit=PARAMETER), POSTGRESQL).compared == (A, B, A, B)
    assert write(Query("insert", T, insert_columns=("a",)), POSTGRESQL).compared == ()
    for unknown in (RawCondition("a = 1"), PositionalCondition(("a = ", "")), Comparison(raw("a + 1"), "=")):
        assert write(Query("select", T, conditions=Group.all(Comparison(A, "="), unknown)), POSTGRESQL).compared is None


OWNER = RelatedValue(column("owner_id"), USERS, "id", column("name"))
FAR = RelatedValue(column("function_id"), NamedTable("functions"), "id", OWNER)


@pytest.mark.parametrize(
    ("conditions", "is_shown", "compared"),
    [
        (Group.all(Comparison(OWNER, "=")), True, (column("users.name"),)),
        (Group.all(Comparison(A, "="), Group.all(Comparison(FAR, "="))), True, (A, column("users.name"))),
        (Group.all(Comparison(OWNER, "IS NULL")), False, (column("users.name"),)),
        (Group.all(Comparison(OWNER, "!=")), False, (column("users.name"),)),
        (Group((("AND", Comparison(A, "=")), ("OR", Comparison(OWNER, "=")))), False, (A, column("users.name"))),
    ],
)
def test_a_value_of_a_related_row_equals_nothing_where_there_is_no_such_row(
    conditions: Group, is_shown: bool, compared: tuple[Column, ...]
) -> None:
    written = write(Query("select", T, columns=(A,), conditions=conditions), POSTGRESQL)
    assert written.shows_nothing is is_shown
    assert (
        tuple(Column(each.table if each.table != "t" else None, each.name) for each in written.compared or ())
        == compared
    )


def test_what_is_made_of_a_related_value_is_not_known() -> None:
    made = RelatedValue(column("owner_id"), USERS, "id", Call("LOWER", (column("name"),)))
    assert write(Query("select", T, conditions=Group.all(Comparison(made, "="))), POSTGRESQL).compared is None
