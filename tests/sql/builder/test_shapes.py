"""What is kept from one use of a builder to the next: parsed clauses, queries, and nothing of the values."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from cloudpub_models.errors import InvalidIdentifierError, InvalidQueryError
from cloudpub_models.sql import POSTGRESQL, QueryBuilder, raw
from cloudpub_models.sql.nodes import expressions
from cloudpub_models.sql.nodes.conditions import Comparison, Group
from cloudpub_models.sql.records import Record
from cloudpub_models.sql.remembering import remembered
from cloudpub_models.sql.render.writer import render


class Point(Record):
    x: int
    y: int = 0


class Place(Record):
    x: int
    y: int = 0


class Liar(str):
    """Text that claims to be another."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("id")


# -- records


def test_records_are_equal_by_class_and_values() -> None:
    assert Point(1) == Point(1, 0) == Point(y=0, x=1)
    assert hash(Point(1)) == hash(Point(1, 0))
    assert Point(1) != Point(1, 2)
    assert Point(1) != Place(1)
    assert Point(1) != (1, 0)
    assert len({Point(1), Point(1), Point(2), Place(1)}) == 3
    # These are written differently, so a cache must never take one for another.
    texts = [kind("x") for kind in (expressions.Raw, expressions.Number, expressions.NamedParameter, expressions.Star)]
    assert len(set(texts)) == 4


@pytest.mark.parametrize(
    "make", [lambda: Point(), lambda: Point(1, 2, 3), lambda: Point(1, x=1), lambda: Point(1, z=1), lambda: Point(y=1)]
)
def test_records_take_their_fields_and_no_others(make: Callable[[], Point]) -> None:
    with pytest.raises(TypeError, match="Point"):
        make()


def test_a_record_does_not_change() -> None:
    point = Point(1)
    for change in (lambda: setattr(point, "x", 2), lambda: delattr(point, "x"), lambda: setattr(point, "_hash", 1)):
        with pytest.raises(AttributeError, match="does not change"):
            change()
    hash(point)
    assert point.changed(y=3) == Point(1, 3)
    assert hash(point.changed(y=3)) == hash(Point(1, 3))
    assert repr(point) == "Point(x=1, y=0)"


def test_a_pickled_record_is_found_in_another_process() -> None:
    query = QueryBuilder().table("users").where("email", "a@b.c").as_query()
    hash(query)
    program = (
        "import pickle, sys\n"
        "from cloudpub_models import QueryBuilder\n"
        "found = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "same = QueryBuilder().table('users').where('email', 'x').as_query()\n"
        "assert found == same and {same: 'kept'}[found] == 'kept'\n"
    )
    # Texts have another hash in each process.
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", program, pickle.dumps(query).hex()],
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        )


# -- parsers


def test_what_plain_text_means_is_kept() -> None:
    calls: list[tuple[Any, ...]] = []

    @remembered
    def parse(*arguments: Any) -> tuple[Any, ...]:
        calls.append(arguments)
        if len(arguments) == 3:
            raise ValueError("nothing of the language")
        return arguments

    assert parse("a", None) is parse("a", None)
    assert len(calls) == 1
    for argument in (raw("a"), ["a"], Liar("a"), 1, True):
        parse(argument)
        parse(argument)
    assert len(calls) == 11
    for _ in range(2):
        with pytest.raises(ValueError, match="nothing of the language"):
            parse("a", "b", "c")
    assert len(calls) == 13


@pytest.mark.parametrize(
    "clause",
    [
        lambda q, text: q.select(text),
        lambda q, text: q.where(text, 1),
        lambda q, text: q.join("u", text, "u.id"),
        lambda q, text: q.join(text, "t.id", "u.id"),
        lambda q, text: q.join_on("u", text),
        lambda q, text: q.group_by(text),
        lambda q, text: q.order_by(text),
        lambda q, text: q.having(text),
        lambda q, text: QueryBuilder("t", default_columns=[text]),
    ],
)
def test_text_that_claims_to_be_other_text_is_read_as_what_it_is(
    clause: Callable[[QueryBuilder, str], QueryBuilder],
) -> None:
    # Not even where what it claims to be is kept.
    builder = QueryBuilder().table("t").select("id").where("id", 1).group_by("id").order_by("id")
    assert builder.build_select()
    for _ in range(2):
        with pytest.raises((InvalidIdentifierError, InvalidQueryError)):
            clause(builder, Liar("id; DROP TABLE canary"))


# -- queries

SHAPES: list[Callable[[QueryBuilder], QueryBuilder]] = [
    lambda q: q,
    lambda q: q.table("t other"),
    lambda q: q.table(raw("t")),
    lambda q: q.select("a"),
    lambda q: q.select("a", "b"),
    lambda q: q.select(raw("a")),
    lambda q: q.select("a AS b"),
    lambda q: q.distinct(),
    lambda q: q.where("a", 1),
    lambda q: q.where("b", 1),
    lambda q: q.where("a", 1, "!="),
    lambda q: q.where("a", None),
    lambda q: q.where("a", [1]),
    lambda q: q.where("a", 1).where("b", 1),
    lambda q: q.where("a", 1).or_where("b", 1),
    lambda q: q.where_group(lambda g: g.where("a", 1).or_where("b", 1)),
    lambda q: q.where_raw("a = 1"),
    lambda q: q.where_raw("a = @a", {"a": 1}),
    lambda q: q.join("u", "t.a", "u.a"),
    lambda q: q.join("u", "t.a", "u.b"),
    lambda q: q.left_join("u", "t.a", "u.a"),
    lambda q: q.join_on("u", "t.a = u.a AND t.b = u.b"),
    lambda q: q.group_by("a"),
    lambda q: q.having("COUNT(*) > 1"),
    lambda q: q.having("COUNT(*) > 2"),
    lambda q: q.order_by("a"),
    lambda q: q.order_by("a", "DESC"),
    lambda q: q.order_by("a", nulls="FIRST"),
    lambda q: q.limit(1),
    lambda q: q.limit(2),
    lambda q: q.offset(1),
    lambda q: q.for_update(),
    lambda q: q.for_update(skip_locked=True),
]


def test_builders_of_one_shape_share_their_query() -> None:
    queries = [shape(QueryBuilder().table("t")).as_query() for shape in SHAPES]
    again = [shape(QueryBuilder().table("t")).as_query() for shape in SHAPES]
    assert all(first is second for first, second in zip(queries, again, strict=True))
    assert len(set(queries)) == len(SHAPES)


def test_values_are_not_part_of_a_shape() -> None:
    def query(value: Any) -> QueryBuilder:
        return QueryBuilder().table("t").where("a", value).where_raw("b = @b", {"b": value})

    assert query(1).as_query() is query("a secret").as_query()
    assert "secret" not in repr(query("a secret").as_query())
    assert query(1).parameters == {"param_0": 1, "b": 1}
    assert query(2).parameters == {"param_0": 2, "b": 2}


def test_pages_are_of_one_shape() -> None:
    def page(limit: int, offset: int) -> QueryBuilder:
        return QueryBuilder().table("t").where("a", "x").limit(limit).offset(offset)

    query, values = page(20, 40).as_shape()
    assert values == ("x", 20, 40)
    other, other_values = page(10, 0).as_shape()
    assert other is query
    assert other_values == ("x", 10, 0)
    assert render(query, POSTGRESQL) == "SELECT * FROM t WHERE a = @param_0 LIMIT @param_1 OFFSET @param_2"
    assert str(page(20, 40).build_select()) == "SELECT * FROM t WHERE a = @param_0 LIMIT 20 OFFSET 40"
    assert QueryBuilder().table("t").offset(5).as_shape()[1] == (5,)
    assert QueryBuilder().table("t").as_shape() == (QueryBuilder().table("t").as_query(), ())
    with pytest.raises(InvalidQueryError, match="groups cannot be locked"):
        page(1, 1).distinct().for_update().as_shape()


def test_the_columns_of_a_table_are_part_of_a_shape() -> None:
    few, many = QueryBuilder("t", default_columns=["a"]), QueryBuilder("t", default_columns=["a", "b"])
    assert str(few.build_select()) == "SELECT a FROM t"
    assert str(many.build_select()) == "SELECT a, b FROM t"
    assert str(many.join("u", "t.a", "u.a").build_select()) == "SELECT t.a, t.b FROM t INNER JOIN u ON t.a = u.a"
    assert str(QueryBuilder("t", alias="x", default_columns=["a"]).build_select()) == "SELECT x.a FROM t x"


def test_large_queries_are_not_kept() -> None:
    large = QueryBuilder().table("t")
    for number in range(300):
        large = large.or_where("a", number)
    assert large.as_query() == large.as_query()
    assert large.as_query() is not large.as_query()
    nested = QueryBuilder().table("t").where_group(lambda _: large._copy(_table=None, _depth=1))
    assert nested.as_query() is not nested.as_query()
    assert nested.as_query().conditions == Group.all(Group(large._conditions))


def test_a_group_of_conditions_tells_its_connectors_apart() -> None:
    a, b = (Comparison(expressions.Column(None, name), "=") for name in "ab")
    both, either = (Group((("AND", a), (word, b))) for word in ("AND", "OR"))
    assert both != either
