"""The builder: what each clause renders, that it changes nothing, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpub_models.errors import (
    InvalidIdentifierError,
    InvalidQueryError,
    InvalidValueError,
    ParameterError,
    UnboundedWriteError,
    UnknownTableError,
)
from cloudpub_models.sql import POSTGRESQL, SQLITE, QueryBuilder, Statement, operators, raw
from cloudpub_models.sql.text.parameters import bind

USERS = QueryBuilder().table("users")
FUNCTIONS = QueryBuilder().table("functions")


def built(builder: QueryBuilder) -> tuple[str, dict[str, Any]]:
    statement = builder.build_select()
    return str(statement), statement.parameters


# -- the documented examples


def test_the_examples_of_the_design() -> None:
    assert built(USERS.where("email", "a@b.c")) == (
        "SELECT * FROM users WHERE email = @param_0",
        {"param_0": "a@b.c"},
    )
    assert built(FUNCTIONS.where_in("status", ["active", "building"])) == (
        "SELECT * FROM functions WHERE status = ANY(@param_0)",
        {"param_0": ["active", "building"]},
    )


def test_the_specifications_builder_example() -> None:
    query = (
        QueryBuilder(table="functions", alias="f", default_columns=("id", "name"))
        .select(["f.*", "u.email", "COUNT(fd.id) as deployment_count"])
        .join("users u", "f.user_id", "u.id")
        .left_join("function_deployments fd", "f.id", "fd.function_id")
        .where("f.status", "active")
        .where("f.created_at", "2024-01-01", operator=">")
        .group_by("f.id, u.email")
        .order_by("f.created_at", direction="DESC")
        .limit(20)
    )
    assert built(query) == (
        "SELECT f.*, u.email, COUNT(fd.id) as deployment_count FROM functions f "
        "INNER JOIN users u ON f.user_id = u.id "
        "LEFT JOIN function_deployments fd ON f.id = fd.function_id "
        "WHERE f.status = @param_0 AND f.created_at > @param_1 "
        "GROUP BY f.id, u.email ORDER BY f.created_at DESC LIMIT 20",
        {"param_0": "active", "param_1": "2024-01-01"},
    )


def test_the_specifications_example_without_its_alias_says_which_is_missing() -> None:
    query = FUNCTIONS.where("f.status", "active")
    with pytest.raises(UnknownTableError, match=r'f\.status; got f: .*query\("f"\) or table\("functions f"\)'):
        query.build_select()


# -- one row for each clause: the call, the SQL on both databases, the parameters

CLAUSES: list[tuple[Callable[[QueryBuilder], QueryBuilder], str, str | None, dict[str, Any]]] = [
    (lambda q: q.table("users u"), "SELECT * FROM users u", None, {}),
    (lambda q: q.table("users AS u"), "SELECT * FROM users u", None, {}),
    (lambda q: q.table(raw("(SELECT 1 AS one) x")), "SELECT * FROM (SELECT 1 AS one) x", None, {}),
    (lambda q: q.table("user"), 'SELECT * FROM "user"', "SELECT * FROM user", {}),
    (lambda q: q.table("order"), 'SELECT * FROM "order"', "SELECT * FROM `order`", {}),
    (lambda q: q.select("id", "uuid"), "SELECT id, uuid FROM t", None, {}),
    (lambda q: q.select(["id"]).select("uuid"), "SELECT id, uuid FROM t", None, {}),
    (lambda q: q.select("*"), "SELECT * FROM t", None, {}),
    (lambda q: q.select("t.*", "t.id AS number"), "SELECT t.*, t.id AS number FROM t", None, {}),
    (lambda q: q.select("createdAt"), 'SELECT "createdAt" FROM t', "SELECT `createdAt` FROM t", {}),
    (lambda q: q.select("order AS group"), 'SELECT "order" AS "group" FROM t', "SELECT `order` AS `group` FROM t", {}),
    (lambda q: q.select("COUNT(*)"), "SELECT COUNT(*) FROM t", None, {}),
    (lambda q: q.select("count( distinct t.id )"), "SELECT count(DISTINCT t.id) FROM t", None, {}),
    (lambda q: q.select("ROUND(AVG(ms), 2) AS ms"), "SELECT ROUND(AVG(ms), 2) AS ms FROM t", None, {}),
    (lambda q: q.select("COALESCE(a, b, -1.5)"), "SELECT COALESCE(a, b, -1.5) FROM t", None, {}),
    (lambda q: q.select("NULLIF(a, 0)", "LOWER(a)"), "SELECT NULLIF(a, 0), LOWER(a) FROM t", None, {}),
    (lambda q: q.select(raw("now() AS moment")), "SELECT now() AS moment FROM t", None, {}),
    (lambda q: q.select("id").distinct(), "SELECT DISTINCT id FROM t", None, {}),
    (lambda q: q.where("a", 1), "SELECT * FROM t WHERE a = @param_0", None, {"param_0": 1}),
    (lambda q: q.where("t.a", 1), "SELECT * FROM t WHERE t.a = @param_0", None, {"param_0": 1}),
    (lambda q: q.where("a", 1, "!="), "SELECT * FROM t WHERE a != @param_0", None, {"param_0": 1}),
    (lambda q: q.where("a", 1, "<>"), "SELECT * FROM t WHERE a <> @param_0", None, {"param_0": 1}),
    (lambda q: q.where("a", 1, "<"), "SELECT * FROM t WHERE a < @param_0", None, {"param_0": 1}),
    (lambda q: q.where("a", 1, "<="), "SELECT * FROM t WHERE a <= @param_0", None, {"param_0": 1}),
    (lambda q: q.where("a", 1, ">="), "SELECT * FROM t WHERE a >= @param_0", None, {"param_0": 1}),
    (lambda q: q.where("a", None), "SELECT * FROM t WHERE a IS NULL", None, {}),
    (lambda q: q.where("a", None, "!="), "SELECT * FROM t WHERE a IS NOT NULL", None, {}),
    (lambda q: q.where("a", None, "is"), "SELECT * FROM t WHERE a IS NULL", None, {}),
    (lambda q: q.where("a", None, "IS NOT"), "SELECT * FROM t WHERE a IS NOT NULL", None, {}),
    (lambda q: q.where("a", True, "IS"), "SELECT * FROM t WHERE a IS TRUE", None, {}),
    (lambda q: q.where("a", False, "is not"), "SELECT * FROM t WHERE a IS NOT FALSE", None, {}),
    (
        lambda q: q.where("a", (1, 2)),
        "SELECT * FROM t WHERE a = ANY(@param_0)",
        "SELECT * FROM t WHERE a IN (SELECT value FROM json_each(@param_0))",
        {"param_0": [1, 2]},
    ),
    (
        lambda q: q.where("a", [1], "not in"),
        "SELECT * FROM t WHERE NOT (a = ANY(@param_0))",
        "SELECT * FROM t WHERE a NOT IN (SELECT value FROM json_each(@param_0))",
        {"param_0": [1]},
    ),
    (
        lambda q: q.where("a", {7}, "<>"),
        "SELECT * FROM t WHERE NOT (a = ANY(@param_0))",
        "SELECT * FROM t WHERE a NOT IN (SELECT value FROM json_each(@param_0))",
        {"param_0": [7]},
    ),
    (
        lambda q: q.where("a", "x%", "like"),
        "SELECT * FROM t WHERE a LIKE @param_0",
        "SELECT * FROM t WHERE cloudpub_like(@param_0, a)",
        {"param_0": "x%"},
    ),
    (
        lambda q: q.where("a", "x%", "Not  Like"),
        "SELECT * FROM t WHERE a NOT LIKE @param_0",
        "SELECT * FROM t WHERE NOT cloudpub_like(@param_0, a)",
        {"param_0": "x%"},
    ),
    (
        lambda q: q.where("a", "x%", "ILIKE"),
        "SELECT * FROM t WHERE a ILIKE @param_0",
        "SELECT * FROM t WHERE cloudpub_ilike(@param_0, a)",
        {"param_0": "x%"},
    ),
    (
        lambda q: q.where("a", (1, 2), "between"),
        "SELECT * FROM t WHERE a BETWEEN @param_0 AND @param_1",
        None,
        {"param_0": 1, "param_1": 2},
    ),
    (lambda q: q.where("a", operators.gt(5)), "SELECT * FROM t WHERE a > @param_0", None, {"param_0": 5}),
    (lambda q: q.where("a", operators.is_not_null()), "SELECT * FROM t WHERE a IS NOT NULL", None, {}),
    (lambda q: q.where(raw("a + b"), 5), "SELECT * FROM t WHERE a + b = @param_0", None, {"param_0": 5}),
    (lambda q: q.or_where("a", 1), "SELECT * FROM t WHERE a = @param_0", None, {"param_0": 1}),
    (
        lambda q: q.where("a", 1).or_where("b", 2).where("c", 3),
        "SELECT * FROM t WHERE a = @param_0 OR b = @param_1 AND c = @param_2",
        None,
        {"param_0": 1, "param_1": 2, "param_2": 3},
    ),
    (
        lambda q: q.where_in("a", range(3)),
        "SELECT * FROM t WHERE a = ANY(@param_0)",
        "SELECT * FROM t WHERE a IN (SELECT value FROM json_each(@param_0))",
        {"param_0": [0, 1, 2]},
    ),
    (
        lambda q: q.where_not_in("a", ()),
        "SELECT * FROM t WHERE NOT (a = ANY(@param_0))",
        "SELECT * FROM t WHERE a NOT IN (SELECT value FROM json_each(@param_0))",
        {"param_0": []},
    ),
    (lambda q: q.where_null("a"), "SELECT * FROM t WHERE a IS NULL", None, {}),
    (lambda q: q.where_not_null("a"), "SELECT * FROM t WHERE a IS NOT NULL", None, {}),
    (
        lambda q: q.where_between("a", 1, 2),
        "SELECT * FROM t WHERE a BETWEEN @param_0 AND @param_1",
        None,
        {"param_0": 1, "param_1": 2},
    ),
    (lambda q: q.where_raw("a = 1 OR b = 2"), "SELECT * FROM t WHERE a = 1 OR b = 2", None, {}),
    (
        lambda q: q.where_raw("a = @a OR b = 2", {"a": 1}).where("c", 3),
        "SELECT * FROM t WHERE (a = @a OR b = 2) AND c = @param_0",
        None,
        {"param_0": 3, "a": 1},
    ),
    (
        lambda q: q.where_raw("a = @param_0", {"param_0": 1}).where("c", 3),
        "SELECT * FROM t WHERE (a = @param_0) AND c = @param_1",
        None,
        {"param_1": 3, "param_0": 1},
    ),
    (lambda q: q.where_raw("a = 1 -- so").limit(1), "SELECT * FROM t WHERE a = 1 -- so\n LIMIT 1", None, {}),
    (
        lambda q: q.where("a", 1).where_group(lambda g: g.where("b", 2).or_where("c", 3)),
        "SELECT * FROM t WHERE a = @param_0 AND (b = @param_1 OR c = @param_2)",
        None,
        {"param_0": 1, "param_1": 2, "param_2": 3},
    ),
    (
        lambda q: q.where_group(lambda g: g.where_raw("a = @a", {"a": 1})).where("b", 2),
        "SELECT * FROM t WHERE (a = @a) AND b = @param_0",
        None,
        {"param_0": 2, "a": 1},
    ),
    (lambda q: q.join("u", "t.id", "u.id"), "SELECT * FROM t INNER JOIN u ON t.id = u.id", None, {}),
    (lambda q: q.join("u x", "t.id", "x.id", type="left"), "SELECT * FROM t LEFT JOIN u x ON t.id = x.id", None, {}),
    (
        lambda q: q.join_on("u", "t.id = u.id AND t.b=u.b", type="full"),
        "SELECT * FROM t FULL JOIN u ON t.id = u.id AND t.b = u.b",
        None,
        {},
    ),
    (lambda q: q.left_join("u", "t.id", "u.id"), "SELECT * FROM t LEFT JOIN u ON t.id = u.id", None, {}),
    (lambda q: q.right_join("u", "t.id", "u.id"), "SELECT * FROM t RIGHT JOIN u ON t.id = u.id", None, {}),
    (lambda q: q.full_join("u", "t.id", "u.id"), "SELECT * FROM t FULL JOIN u ON t.id = u.id", None, {}),
    (lambda q: q.group_by("a, t.b"), "SELECT * FROM t GROUP BY a, t.b", None, {}),
    (lambda q: q.group_by("a").group_by("LOWER(b)"), "SELECT * FROM t GROUP BY a, LOWER(b)", None, {}),
    (lambda q: q.group_by("a", "b"), "SELECT * FROM t GROUP BY a, b", None, {}),
    (lambda q: q.having("COUNT(t.id) > 5"), "SELECT * FROM t HAVING COUNT(t.id) > 5", None, {}),
    (
        lambda q: q.having("count(*)>=@least", {"least": 5}).having("MIN(a) < -1.5"),
        "SELECT * FROM t HAVING count(*) >= @least AND MIN(a) < -1.5",
        None,
        {"least": 5},
    ),
    (
        lambda q: q.having(raw("a = @x OR b = 1"), {"x": 5}).having("c = 1"),
        "SELECT * FROM t HAVING (a = @x OR b = 1) AND c = 1",
        None,
        {"x": 5},
    ),
    (lambda q: q.order_by("a"), "SELECT * FROM t ORDER BY a ASC", "SELECT * FROM t ORDER BY a ASC NULLS LAST", {}),
    (
        lambda q: q.order_by("a, t.b", "desc"),
        "SELECT * FROM t ORDER BY a DESC, t.b DESC",
        "SELECT * FROM t ORDER BY a DESC NULLS FIRST, t.b DESC NULLS FIRST",
        {},
    ),
    (lambda q: q.order_by("a", nulls="first"), "SELECT * FROM t ORDER BY a ASC NULLS FIRST", None, {}),
    (lambda q: q.order_by(raw("random()")), "SELECT * FROM t ORDER BY random()", None, {}),
    (lambda q: q.limit(5), "SELECT * FROM t LIMIT 5", None, {}),
    (lambda q: q.limit(0).offset(5), "SELECT * FROM t LIMIT 0 OFFSET 5", None, {}),
    (lambda q: q.offset(5), "SELECT * FROM t OFFSET 5", "SELECT * FROM t LIMIT -1 OFFSET 5", {}),
    (lambda q: q.for_update(), "SELECT * FROM t FOR UPDATE", "SELECT * FROM t", {}),
    (lambda q: q.for_update(skip_locked=True), "SELECT * FROM t FOR UPDATE SKIP LOCKED", "SELECT * FROM t", {}),
    (
        lambda q: q.join("u", "t.id", "u.id").for_update(),
        "SELECT * FROM t INNER JOIN u ON t.id = u.id FOR UPDATE OF t",
        "SELECT * FROM t INNER JOIN u ON t.id = u.id",
        {},
    ),
    (lambda q: q.all_rows(), "SELECT * FROM t", None, {}),
]


@pytest.mark.parametrize(("clause", "postgresql", "sqlite", "parameters"), CLAUSES)
def test_clause(
    clause: Callable[[QueryBuilder], QueryBuilder], postgresql: str, sqlite: str | None, parameters: dict[str, Any]
) -> None:
    original = QueryBuilder().table("t")
    before = dict(original.__dict__)
    builder = clause(original)
    statement = builder.build_select()
    assert str(statement) == postgresql
    assert statement.parameters == parameters == builder.parameters
    assert str(builder.build_select(SQLITE)) == str(statement.render(SQLITE)) == (sqlite or postgresql)
    assert builder.build_select(SQLITE).parameters == parameters
    # Nothing of the original has changed, and it still builds what it did.
    assert builder is not original
    assert original.__dict__ == before
    assert built(original) == ("SELECT * FROM t", {})
    for dialect in (POSTGRESQL, SQLITE):
        text, values = bind(statement.render(dialect), statement.parameters, dialect)
        assert text.count(dialect.placeholder) == len(values) == len(parameters)


def test_every_clause_is_tested_above() -> None:
    others = ("build_", "as_", "parameters", "named_values")
    clauses = {name for name in vars(QueryBuilder) if not name.startswith(("_", *others))}
    assert "where" in clauses
    for clause in clauses:
        used = [call for call, *_ in CLAUSES if clause in call.__code__.co_names]
        nested = [c for call, *_ in CLAUSES for c in call.__code__.co_consts if clause in getattr(c, "co_names", ())]
        assert used or nested, clause


# -- counting and writing


def test_count() -> None:
    query = FUNCTIONS.where("status", "active").order_by("id").limit(10).offset(20)
    statement = query.build_count()
    assert str(statement) == "SELECT COUNT(*) AS count FROM functions WHERE status = @param_0"
    assert statement.parameters == {"param_0": "active"}


def test_count_of_groups_and_of_distinct_rows_counts_result_rows() -> None:
    grouped = FUNCTIONS.select("user_id", "COUNT(*)").where("a", 1).group_by("user_id").having("COUNT(*) > 1")
    assert str(grouped.build_count()) == (
        "SELECT COUNT(*) AS count FROM (SELECT 1 FROM functions WHERE a = @param_0 "
        "GROUP BY user_id HAVING COUNT(*) > 1) AS counted"
    )
    distinct = FUNCTIONS.select("user_id").distinct().build_count()
    assert str(distinct) == "SELECT COUNT(*) AS count FROM (SELECT DISTINCT user_id FROM functions) AS counted"


def test_insert() -> None:
    statement = USERS.build_insert({"email": "a@b.c", "user": {"a": [1]}}, returning=["id"])
    assert str(statement) == 'INSERT INTO users (email, "user") VALUES (@param_0, @param_1) RETURNING id'
    assert statement.parameters == {"param_0": "a@b.c", "param_1": {"a": [1]}}
    assert str(statement.render(SQLITE)) == "INSERT INTO users (email, user) VALUES (@param_0, @param_1) RETURNING id"
    assert str(USERS.build_insert({})) == "INSERT INTO users DEFAULT VALUES"


def test_a_list_to_write_is_json_and_a_list_to_find_is_membership() -> None:
    inserted = USERS.build_insert({"data": [1, 2]})
    assert bind(inserted, inserted.parameters, POSTGRESQL)[1] == ("[1,2]",)
    moved = USERS.where("data", [1, 2]).build_update({"data": operators.in_([1]).values[0]})
    assert bind(moved, moved.parameters, POSTGRESQL)[1] == ("[1]", "{1,2}")
    found = USERS.where("data", [1, 2]).build_select()
    assert bind(found, found.parameters, POSTGRESQL)[1] == ("{1,2}",)
    assert bind(found.render(SQLITE), found.parameters, SQLITE)[1] == ("[1,2]",)


def test_update() -> None:
    statement = FUNCTIONS.where("id", 5).where_raw("b = @b", {"b": 2}).build_update({"status": "x", "name": None})
    assert str(statement) == "UPDATE functions SET status = @param_0, name = @param_1 WHERE id = @param_2 AND (b = @b)"
    assert statement.parameters == {"param_0": "x", "param_1": None, "param_2": 5, "b": 2}
    aliased = FUNCTIONS.table("functions f").where("f.id", 5).build_update({"status": "x"}, SQLITE, returning=["id"])
    assert str(aliased) == "UPDATE functions AS f SET status = @param_0 WHERE f.id = @param_1 RETURNING id"


def test_delete() -> None:
    statement = FUNCTIONS.where("id", 5).build_delete(returning=["id"])
    assert str(statement) == "DELETE FROM functions WHERE id = @param_0 RETURNING id"
    assert statement.parameters == {"param_0": 5}


def test_the_same_conditions_everywhere() -> None:
    query = FUNCTIONS.where("a", 1).or_where("b", None).where_group(lambda g: g.where_in("c", [1]).or_where("d", 2))
    where = " WHERE a = @param_0 OR b IS NULL AND (c = ANY(@param_1) OR d = @param_2)"
    assert str(query.build_select()).endswith(where)
    assert str(query.build_count()).endswith(where)
    assert str(query.build_delete()).endswith(where)
    moved = where.replace("param_2", "param_3").replace("param_1", "param_2").replace("param_0", "param_1")
    assert str(query.build_update({"x": 0})).endswith(moved)


def test_writing_every_row_has_to_be_meant() -> None:
    with pytest.raises(UnboundedWriteError, match="all_rows"):
        FUNCTIONS.build_delete()
    with pytest.raises(UnboundedWriteError, match="all_rows"):
        FUNCTIONS.build_update({"a": 1})
    assert str(FUNCTIONS.all_rows().build_delete()) == "DELETE FROM functions"
    assert str(FUNCTIONS.all_rows().build_update({"a": 1})) == "UPDATE functions SET a = @param_0"


@pytest.mark.parametrize("clause", ["join", "group_by", "having", "limit", "offset"])
def test_writing_refuses_clauses_it_would_ignore(clause: str) -> None:
    query = FUNCTIONS.where("a", 1)
    arguments: dict[str, tuple[Any, ...]] = {
        "join": ("users u", "u.id", "functions.user_id"),
        "group_by": ("a",),
        "having": ("a > 1",),
        "limit": (1,),
        "offset": (1,),
    }
    query = getattr(query, clause)(*arguments[clause])
    for build in (query.build_delete, lambda: query.build_update({"a": 1}), lambda: query.build_insert({"a": 1})):
        with pytest.raises(InvalidQueryError, match=clause):
            build()


def test_insert_refuses_conditions() -> None:
    with pytest.raises(InvalidQueryError, match="no conditions for build_insert"):
        FUNCTIONS.where("a", 1).build_insert({"a": 1})


@pytest.mark.parametrize("value", [(1, 2), {1}, raw("now()"), operators.gt(5), USERS.build_select()])
def test_written_values_are_values(value: Any) -> None:
    with pytest.raises(InvalidValueError, match="expected one value for a"):
        USERS.build_insert({"a": value})


# -- the managers' default columns


def test_default_columns_until_select_says_otherwise() -> None:
    base = QueryBuilder(table="functions", default_columns=("id", "user"))
    assert str(base.build_select()) == 'SELECT id, "user" FROM functions'
    assert str(base.select("name").build_select()) == "SELECT name FROM functions"
    joined = base.join("users u", "u.id", "functions.user_id")
    assert str(joined.build_select()).startswith('SELECT functions.id, functions."user" FROM functions INNER JOIN')
    aliased = QueryBuilder(table="functions", alias="f", default_columns=("id",))
    assert str(aliased.build_select()) == "SELECT f.id FROM functions f"


# -- references


@pytest.mark.parametrize(
    "query",
    [
        FUNCTIONS.select("f.id"),
        FUNCTIONS.select("f.*"),
        FUNCTIONS.select("COALESCE(MAX(f.id), 0) AS m"),
        FUNCTIONS.where("f.id", 1),
        FUNCTIONS.where_group(lambda group: group.where("a", 1).where("f.id", 2)),
        FUNCTIONS.join("users u", "u.id", "f.id"),
        FUNCTIONS.group_by("f.id"),
        FUNCTIONS.having("COUNT(f.id) > 1"),
        FUNCTIONS.order_by("f.id"),
    ],
)
def test_an_alias_that_no_table_has_is_named(query: QueryBuilder) -> None:
    with pytest.raises(UnknownTableError, match="got f:"):
        query.build_select()


def test_an_alias_hides_the_tables_name() -> None:
    with pytest.raises(UnknownTableError, match="functions has the alias f here, so write f instead"):
        QueryBuilder().table("functions f").where("functions.id", 1).build_select()


def test_two_tables_of_one_name_need_an_alias() -> None:
    with pytest.raises(InvalidQueryError, match="users twice"):
        USERS.join("users", "users.id", "users.id").build_select()
    aliased = USERS.join("users other", "other.id", "users.id").build_select()
    assert str(aliased) == "SELECT * FROM users INNER JOIN users other ON other.id = users.id"


def test_names_made_by_raw_sql_are_not_second_guessed() -> None:
    query = QueryBuilder().table(raw("(SELECT 1 AS id) AS x")).where("x.id", 1)
    assert str(query.build_select()) == "SELECT * FROM (SELECT 1 AS id) AS x WHERE x.id = @param_0"


# -- what is refused


REFUSED: list[Any] = [
    (lambda q: q.where("a", 1, "LIKE ANY"), InvalidQueryError, "expected one of the operators"),
    (lambda q: q.where("a", 1, "= 1 OR 1 ="), InvalidQueryError, "expected one of the operators"),
    (lambda q: q.where("a", 1, None), InvalidQueryError, "got None"),
    (lambda q: q.where("a", "x", "lıke"), InvalidQueryError, "expected one of the operators"),
    (lambda q: q.where("a", None, ">"), InvalidQueryError, "expected a value for >; got None"),
    (lambda q: q.where("a", [1], ">"), InvalidQueryError, "several values go with IN"),
    (lambda q: q.where("a", 5, "LIKE"), InvalidQueryError, r"expected a pattern \(text\)"),
    (lambda q: q.where("a", "x\\", "LIKE"), InvalidValueError, "ends with a backslash"),
    (lambda q: q.where("a", "abc", "IN"), InvalidQueryError, "put a single one into a list"),
    (lambda q: q.where("a", 5, "IN"), InvalidQueryError, r"got 5 \(int\)"),
    (lambda q: q.where("a", 5, "BETWEEN"), InvalidQueryError, "expected two values for BETWEEN"),
    (lambda q: q.where("a", (1, 2, 3), "BETWEEN"), InvalidQueryError, "expected two values for BETWEEN"),
    (lambda q: q.where_between("a", None, 2), InvalidQueryError, "expected a value for BETWEEN"),
    (lambda q: q.where("a", 5, "IS"), InvalidQueryError, "use = or !="),
    (lambda q: q.where("a", operators.gt(1), ">"), InvalidQueryError, "leave one out"),
    (lambda q: q.where("a", raw("b")), InvalidQueryError, "where_raw"),
    (lambda q: q.where("a", USERS.build_select()), InvalidQueryError, "got Statement"),
    (lambda q: q.where_in("a", [USERS.build_select()]), InvalidQueryError, "got Statement"),
    (lambda q: q.where_in("a", {"x": 1}), InvalidQueryError, "expected several values"),
    (lambda q: q.where("LOWER(a)", 1), InvalidIdentifierError, r"raw\(.….\)"),
    (lambda q: q.where("", 1), InvalidIdentifierError, "got its end"),
    (lambda q: q.where(5, 1), InvalidIdentifierError, r"got 5 \(int\)"),
    (lambda q: q.where("a.b.c", 1), InvalidIdentifierError, "expected nothing more"),
    (lambda q: q.where("t.*", 1), InvalidIdentifierError, "not a star"),
    (lambda q: q.where(raw("a + @x"), 1), ParameterError, "@x"),
    (lambda q: q.where_raw(""), InvalidQueryError, "expected SQL text"),
    (lambda q: q.where_raw("   "), InvalidQueryError, "expected SQL text"),
    (lambda q: q.where_raw(None), InvalidQueryError, "got None"),
    (lambda q: q.where_raw("a = 'x"), InvalidQueryError, "ends inside a string"),
    (lambda q: q.where_raw("a = 1 /* x"), InvalidQueryError, "ends inside a comment"),
    (lambda q: q.where_raw("a = @a"), ParameterError, "expected a value for @a"),
    (lambda q: q.where_raw("a = @name", {"nmae": 1}), ParameterError, "did you mean 'nmae'"),
    (lambda q: q.where_raw("a = 1", {"b": 1}), ParameterError, "'b'"),
    (lambda q: q.where_raw("a = @a", [1]), ParameterError, "mapping"),
    (lambda q: q.where_raw("a = @a", {"a": 1}).where_raw("b = @a", {"a": 1}), ParameterError, "@a in two"),
    (lambda q: q.where_raw("a = @a", {"a": 1}).having("b > @a", {"a": 1}), ParameterError, "@a in two"),
    (lambda q: q.where_group(lambda g: None), InvalidQueryError, "return the builder"),
    (lambda q: q.where_group(lambda g: g), InvalidQueryError, "add a condition"),
    (lambda q: q.where_group(lambda g: g.where("a", 1).limit(5)), InvalidQueryError, "limit"),
    (lambda q: q.where_group(5), InvalidQueryError, "expected a function"),
    (lambda q: q.select(), InvalidQueryError, "at least one item"),
    (lambda q: q.select([]), InvalidQueryError, "at least one item"),
    (lambda q: q.select(""), InvalidIdentifierError, "got its end"),
    (lambda q: q.select("id, name"), InvalidIdentifierError, "expected AS alias or nothing more"),
    (lambda q: q.select("id name"), InvalidIdentifierError, "got 'name'"),
    (lambda q: q.select("a + b"), InvalidIdentifierError, r"raw\("),
    (lambda q: q.select("'x'"), InvalidIdentifierError, r"raw\("),
    (lambda q: q.select("5"), InvalidIdentifierError, "not a number"),
    (lambda q: q.select("pg_sleep(5)"), InvalidIdentifierError, "one of the functions COUNT"),
    (lambda q: q.select("COUNT(*, a)"), InvalidIdentifierError, r"expected a comma or \)"),
    (lambda q: q.select("SUM(*)"), InvalidIdentifierError, "a name"),
    (lambda q: q.select("COUNT(t.*)"), InvalidIdentifierError, "not a star"),
    (lambda q: q.select("LOWER(DISTINCT a)"), InvalidIdentifierError, "expected"),
    (lambda q: q.select("MIN(a, b)"), InvalidIdentifierError, "1 argument"),
    (lambda q: q.select("COALESCE(a)"), InvalidIdentifierError, "2 to 50 argument"),
    (lambda q: q.select("t.* AS x"), InvalidIdentifierError, "expected"),
    (lambda q: q.select("ABS(" * 17 + "a" + ")" * 17), InvalidIdentifierError, "nested at most 16"),
    (lambda q: q.select("ABS(" * 100_000), InvalidIdentifierError, "nested at most 16"),
    (lambda q: q.select(raw("@x")), ParameterError, "@x"),
    (lambda q: q.group_by(""), InvalidIdentifierError, "expected"),
    (lambda q: q.group_by("a,"), InvalidIdentifierError, "got its end"),
    (lambda q: q.group_by("1"), InvalidIdentifierError, "not a number"),
    (lambda q: q.group_by("*"), InvalidIdentifierError, "expected"),
    (lambda q: q.order_by("a desc"), InvalidIdentifierError, "got 'desc'"),
    (lambda q: q.order_by("a", "DOWN"), InvalidQueryError, "expected a direction of ASC, DESC; got 'DOWN'"),
    (lambda q: q.order_by("a", None), InvalidQueryError, "direction"),
    (lambda q: q.order_by("a", nulls="MIDDLE"), InvalidQueryError, "place for NULLs"),
    (lambda q: q.having("COUNT(*) > 1 OR 1 = 1"), InvalidQueryError, "got 'OR'"),
    (lambda q: q.having("COUNT(*)"), InvalidQueryError, "one of the operators"),
    (lambda q: q.having("t.* > 5"), InvalidQueryError, "not a star"),
    (lambda q: q.group_by("t.*"), InvalidIdentifierError, "not a star"),
    (lambda q: q.having("COUNT(*) > a"), InvalidQueryError, "a number or @name"),
    (lambda q: q.having("COUNT(*) > @ a", {"a": 1}), InvalidQueryError, "a parameter's name"),
    (lambda q: q.having("COUNT(*) > @a"), ParameterError, "@a"),
    (lambda q: q.having("COUNT(*) > 1", {"a": 1}), ParameterError, "'a'"),
    (lambda q: q.join("users", "a", "b", type="CROSS"), InvalidQueryError, "INNER, LEFT, RIGHT, FULL"),
    (lambda q: q.join("users; DROP TABLE users", "a", "b"), InvalidIdentifierError, "name alias"),
    (lambda q: q.join("users", "a = 1 OR b", "b"), InvalidIdentifierError, "expected"),
    (lambda q: q.join_on("users", "a = 1"), InvalidIdentifierError, "got '1'"),
    (lambda q: q.join_on("users", "a = b OR c = d"), InvalidIdentifierError, "got 'OR'"),
    (lambda q: q.join_on("users", "a = t.*"), InvalidIdentifierError, "not stars"),
    (lambda q: q.join_on("users", "a > b"), InvalidIdentifierError, "got '>'"),
    (lambda q: q.table(""), InvalidIdentifierError, "expected"),
    (lambda q: q.table("a b c"), InvalidIdentifierError, "expected"),
    (lambda q: q.table("public.users"), InvalidIdentifierError, "expected"),
    (lambda q: q.table(None), InvalidIdentifierError, "got None"),
    (lambda q: q.limit(-1), InvalidQueryError, r"expected limit to be an integer of at least 0; got -1"),
    (lambda q: q.limit(True), InvalidQueryError, "bool"),
    (lambda q: q.limit("5"), InvalidQueryError, "'5'"),
    (lambda q: q.limit(5.0), InvalidQueryError, "float"),
    (lambda q: q.limit(2**63), InvalidQueryError, "limit"),
    (lambda q: q.offset(None), InvalidQueryError, "got None"),
    (lambda q: q.for_update("yes"), InvalidQueryError, "skip_locked"),
    (lambda q: q.build_select("postgresql"), InvalidQueryError, "POSTGRESQL or SQLITE"),
    (lambda q: q.build_insert([("a", 1)]), InvalidQueryError, "mapping"),
    (lambda q: q.build_insert({"a; DROP TABLE t": 1}), InvalidIdentifierError, "column name"),
    (lambda q: q.build_insert({5: 1}), InvalidIdentifierError, r"5 \(int\)"),
    (lambda q: q.build_insert({"a": 1}, returning="id"), InvalidIdentifierError, "list of columns"),
    (lambda q: q.build_insert({"a": 1}, returning=["*"]), InvalidIdentifierError, "got '[*]'"),
    (lambda q: q.where("a", 1).build_update({}), InvalidQueryError, "at least one column"),
    (lambda q: q.for_update().distinct().build_select(), InvalidQueryError, "groups cannot be locked"),
    (lambda q: q.for_update().group_by("a").build_select(), InvalidQueryError, "groups cannot be locked"),
    (lambda q: q.table(raw("x")).all_rows().build_delete(), InvalidQueryError, "got raw SQL"),
]


def test_refused() -> None:
    for call, error, message in REFUSED:
        with pytest.raises(error, match=message) as caught:
            call(QueryBuilder().table("t"))
        assert len(str(caught.value)) < 400


def test_a_builder_without_a_table_says_so() -> None:
    for build in (QueryBuilder().build_select, QueryBuilder().build_count, QueryBuilder().where("a", 1).build_delete):
        with pytest.raises(InvalidQueryError, match=r'call table\("name"\) first'):
            build()
    assert QueryBuilder().where("f.a", 1).parameters == {"param_0": 1}


def test_groups_are_nested_only_so_deep() -> None:
    def nest(group: QueryBuilder) -> QueryBuilder:
        return group.where_group(nest)

    with pytest.raises(InvalidQueryError, match="nested at most 50"):
        USERS.where_group(nest)


def test_a_builder_cannot_be_changed_by_hand() -> None:
    with pytest.raises(AttributeError, match="does not change"):
        USERS._limit = 5
    with pytest.raises(AttributeError, match="does not change"):
        del USERS._table


def test_parameters_of_a_builder_are_its_own() -> None:
    query = USERS.where("a", 1)
    query.parameters["param_0"] = 2
    query.build_select().parameters["param_0"] = 3
    assert query.parameters == {"param_0": 1}


# -- size


def test_thousands_of_conditions_are_put_into_groups() -> None:
    query = USERS
    for number in range(5_000):
        query = query.or_where("id", number)
    text = str(query.build_select())
    assert text.count("@param_") == 5_000
    assert text.count("(") == 25
    assert text.startswith("SELECT * FROM users WHERE (id = @param_0 OR id = @param_1 OR")
    assert "id = @param_199) OR (id = @param_200" in text


# -- statements


def test_a_statement_is_text_with_parameters() -> None:
    statement = USERS.where("password_hash", "secret").build_select()
    assert isinstance(statement, str)
    assert type(str(statement)) is str
    assert f"{statement}" == "SELECT * FROM users WHERE password_hash = @param_0"
    assert "secret" not in repr(statement)
    assert "param_0" in repr(statement)
    assert "secret" not in repr(USERS.where("password_hash", "secret"))
    assert "not complete" in repr(QueryBuilder())


def test_a_statement_made_by_hand_renders_as_it_is() -> None:
    statement = Statement("SELECT @x", {"x": 1})
    assert statement.render(SQLITE) is statement


@pytest.mark.parametrize("through", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_statements_and_builders_are_copied_whole(through: Callable[[Any], Any]) -> None:
    query = USERS.where_in("a", [1]).where_raw("b = @b", {"b": 2}).order_by("a")
    statement = through(query.build_select())
    assert str(statement) == str(query.build_select())
    assert statement.parameters == {"param_0": [1], "b": 2}
    assert str(statement.render(SQLITE)) == str(query.build_select(SQLITE))
    assert bind(statement, statement.parameters, POSTGRESQL)[1] == ("{1}", 2)
    assert built(through(query)) == built(query)


# -- properties

NAMES = st.sampled_from(["id", "user", "createdAt", "t.id", "t.order"])
VALUES = st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=5), st.lists(st.integers(0, 9), max_size=3))
STEPS = st.one_of(
    st.tuples(st.just("where"), NAMES, VALUES),
    st.tuples(st.just("or_where"), NAMES, VALUES),
    st.tuples(st.just("where_in"), NAMES, st.lists(st.integers(), max_size=3)),
    st.tuples(st.just("where_between"), NAMES, st.integers(), st.integers()),
    st.tuples(st.just("where_null"), NAMES),
    st.tuples(st.just("select"), NAMES),
    st.tuples(st.just("group_by"), NAMES),
    st.tuples(st.just("order_by"), NAMES, st.sampled_from(["asc", "DESC"])),
    st.tuples(st.just("limit"), st.integers(0, 100)),
    st.tuples(st.just("offset"), st.integers(0, 100)),
    st.tuples(st.just("distinct")),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_any_chain_of_clauses_is_consistent(steps: list[tuple[Any, ...]]) -> None:
    builders = [QueryBuilder().table("t")]
    texts = [built(builders[0])]
    for name, *arguments in steps:
        builders.append(getattr(builders[-1], name)(*arguments))
        texts.append(built(builders[-1]))
    # Building, and what came later, changed none of them.
    assert [built(builder) for builder in builders] == texts
    conditions = [step for step in steps if "where" in step[0]]
    expected = [
        operand for step in conditions for operand in _operands(*step) if operand is not None or step[0] != "where_null"
    ]
    assert list(builders[-1].parameters.values()) == expected
    for dialect in (POSTGRESQL, SQLITE):
        statement = builders[-1].build_select(dialect)
        text, values = bind(statement, statement.parameters, dialect) if _bindable(expected) else ("", ())
        assert len(values) == len(expected) or not text


def _operands(name: str, column: str, *operands: Any) -> list[Any]:
    return [operand for operand in operands if operand is not None]


def _bindable(values: list[Any]) -> bool:
    def fits(value: Any) -> bool:
        if isinstance(value, list):
            return all(fits(item) for item in value)
        return not isinstance(value, int) or -(2**63) <= value < 2**63

    return all(fits(value) and (not isinstance(value, str) or "\0" not in value) for value in values)
