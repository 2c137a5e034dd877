"""Values of rows, and what they come to: the same on both databases, and the same as plain Python says."""

from __future__ import annotations

import operator
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import peewee
import pytest
from peewee import fn

from cloudpub_models import ALL_ROWS, Function, Manager, Scope, User, errors, operators
from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.fields import JsonField, TimestampField
from cloudpub_models.schema import create_all

START = datetime(2026, 1, 1, tzinfo=UTC)


class Shop(Entity):
    name = peewee.CharField(max_length=20)
    city = peewee.CharField(max_length=20, null=True)

    class Meta:
        table_name = "shops"


class Sale(Entity):
    shop = peewee.ForeignKeyField(Shop, null=True, backref="sales")
    kind = peewee.CharField(max_length=10)
    count = peewee.IntegerField(null=True)
    total = peewee.BigIntegerField(default=0)
    price = peewee.DecimalField(max_digits=12, decimal_places=3, null=True)
    weight = peewee.DoubleField(null=True)
    at = TimestampField()
    day = peewee.DateField(null=True)
    note = JsonField(null=True)
    rush = peewee.BooleanField(default=False)

    class Meta:
        table_name = "sales"


@pytest.fixture
def shops(database):
    create_all(database.engine, [Shop, Sale])
    return Manager(Shop, database)


@pytest.fixture
def sales(shops, database):
    return Manager(Sale, database)


def plain(sql):
    """The text of a statement with one kind of placeholder, and NULLs where they are by themselves."""
    return sql.replace("%s", "@").replace("?", "@").replace(" NULLS LAST", "").replace(" NULLS FIRST", "")


# Values


@pytest.fixture
def functions(managers):
    users = [managers.users.insert({"email": f"{name}@example.com", "password_hash": "…"}) for name in "ab"]
    for user, name in [(0, "x"), (1, "y"), (0, "z"), (1, "x")]:
        managers.functions.insert({"user_id": users[user].id, "name": name})
    return managers.functions


def test_values_of_one_column_are_a_list(functions, statements):
    assert functions.values("name", {"user_id": 1}, order_by="-name") == ["z", "x"]
    assert plain(statements.sql[0]) == "SELECT name FROM functions WHERE user_id = @ ORDER BY name DESC"
    assert functions.values("name", order_by="id", limit=2, offset=1) == ["y", "z"]
    assert list(statements[1][1]) == [2, 1]
    assert functions.values("name", {"user_id": 7}) == []
    assert len(statements) == 3


def test_values_of_several_columns_are_tuples(functions, statements):
    assert functions.values(("name", "user"), order_by="id") == [("x", 1), ("y", 2), ("z", 1), ("x", 2)]
    assert functions.values(["name"], order_by="id", limit=1) == [("x",)]
    assert plain(statements.sql[0]) == "SELECT name, user_id FROM functions ORDER BY id ASC"
    assert functions.values(["id", "name"], {"user_id": 7}) == []


def test_values_are_decoded_as_rows_are(functions, managers):
    row = functions.find_one(order_by="id")
    assert functions.values("uuid", {"id": row.id}) == [row.uuid]
    names = ("uuid", "created_at", "active_deployment_id", "analysis_result")
    assert functions.values(names, {"id": row.id}) == [(row.uuid, row.created_at, None, None)]
    assert [type(value) for value in functions.values(names, {"id": row.id})[0][:2]] == [UUID, datetime]
    functions.update_by_id(row.id, {"analysis_result": {"a": [1]}})
    assert functions.values("analysis_result", order_by="id") == [{"a": [1]}, None, None, None]


def test_values_of_rows_referred_to(functions, statements):
    assert functions.values("user.email", {"name": "x"}, order_by="id") == ["a@example.com", "b@example.com"]
    assert functions.values(("name", "active_deployment.version"), {"name": "y"}) == [("y", None)]
    assert "(SELECT users.email FROM users WHERE users.id = functions.user_id)" in statements.sql[0]


def test_values_of_rows_referred_to_do_not_hide_columns_of_their_name(managers, functions):
    by_own = [function.user.uuid for function in functions.find_all(order_by="uuid", include=("user",))]
    assert functions.values("user.uuid", order_by="uuid") == by_own
    assert functions.values("user.uuid", order_by="-uuid") == by_own[::-1]


def test_distinct_values(functions, statements):
    assert functions.values("name", distinct=True, order_by="name") == ["x", "y", "z"]
    assert plain(statements.sql[0]) == "SELECT DISTINCT name FROM functions ORDER BY name ASC"
    assert sorted(functions.values(("user_id", "status"), distinct=True)) == [(1, "active"), (2, "active")]
    emails = functions.values("user.email", distinct=True, order_by="-user.email")
    assert emails == ["b@example.com", "a@example.com"]


def test_values_ordered_by_expressions(functions, statements):
    assert functions.values("id", {"user_id": 1}, order_by=fn.NULLIF(Function.name, "x"), limit=5) == [3, 1]
    assert list(statements[0][1]) == [1, "x", 5]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("nmae",), errors.UnknownColumnError, "did you mean 'name'"),
        (([],), errors.InvalidQueryError, "expected a column or a list of columns"),
        ((5,), errors.InvalidQueryError, "expected a column or a list of columns"),
        (("deployments.version",), errors.InvalidQueryError, "one row each"),
        (("name", {"nmae": "x"}), errors.UnknownColumnError, "did you mean 'name'"),
    ],
)
def test_values_of_what_is_not_there(managers, statements, arguments, kind, message):
    with pytest.raises(kind, match=message):
        managers.functions.values(*arguments)
    assert statements == []


def test_distinct_values_are_ordered_by_themselves(managers, statements):
    for order_by in ("id", fn.LOWER(Function.name), ("name", "id")):
        with pytest.raises(errors.InvalidQueryError, match="to order distinct values by"):
            managers.functions.values("name", distinct=True, order_by=order_by)
    with pytest.raises(errors.InvalidQueryError, match="JSON"):
        managers.functions.values("analysis_result", distinct=True)
    assert statements == []


# Aggregates


def test_an_aggregate_of_all_rows_is_a_dict(managers, functions, statements):
    for duration in (10, 20, 60, None):
        managers.function_invocations.record(1, "success", duration)
    statements.clear()
    found = managers.function_invocations.aggregate(
        {"function_id": 1},
        calls=operators.count(),
        known=operators.count("duration_ms"),
        kinds=operators.count("status", distinct=True),
        total=operators.sum("duration_ms"),
        mean=operators.avg("duration_ms"),
        fastest=operators.min("duration_ms"),
        slowest=operators.max("duration_ms"),
    )
    expected = {"calls": 4, "known": 3, "kinds": 1, "total": 90, "mean": 30.0, "fastest": 10, "slowest": 60}
    assert found == expected
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]
    assert len(statements) == 1
    sql, parameters = statements[0]
    assert plain(sql).replace("CAST(duration_ms AS DOUBLE PRECISION)", "duration_ms") == (
        "SELECT COUNT(*), COUNT(duration_ms), COUNT(DISTINCT status), SUM(duration_ms), AVG(duration_ms), "
        "MIN(duration_ms), MAX(duration_ms) FROM function_invocations WHERE function_id = @"
    )
    assert list(parameters) == [1]


def test_of_no_rows_counts_are_zero_and_the_rest_is_none(sales):
    everything = {
        "rows": operators.count(),
        "counts": operators.count("count", distinct=True),
        "sum": operators.sum("price"),
        "avg": operators.avg("price"),
        "least": operators.min("at"),
        "mean": operators.avg("weight"),
        "most": operators.max("kind"),
    }
    nothing = dict.fromkeys(everything) | {"rows": 0, "counts": 0}
    assert sales.aggregate(**everything) == nothing
    assert sales.aggregate({"kind": "x"}, **everything) == nothing
    assert sales.aggregate(group_by="kind", **everything) == []


def test_groups_come_with_what_they_are_grouped_by(managers, functions, statements):
    for function, duration in [(1, 10), (1, 30), (2, 5), (3, 1), (3, 2), (3, 3)]:
        managers.function_invocations.record(function, "success", duration)
    statements.clear()
    invocations = managers.function_invocations
    of_function = {"group_by": "function_id", "calls": operators.count(), "slowest": operators.max("duration_ms")}
    assert invocations.aggregate(**of_function) == [
        {"function_id": 1, "calls": 2, "slowest": 30},
        {"function_id": 2, "calls": 1, "slowest": 5},
        {"function_id": 3, "calls": 3, "slowest": 3},
    ]
    assert plain(statements.sql[0]) == (
        "SELECT function_id, COUNT(*), MAX(duration_ms) FROM function_invocations GROUP BY function_id "
        "ORDER BY function_invocations.function_id ASC"
    )
    found = invocations.aggregate(
        {"status": "success"}, **of_function, having={"calls": operators.gt(1)}, order_by="-slowest", limit=1, offset=1
    )
    assert found == [{"function_id": 3, "calls": 3, "slowest": 3}]
    assert plain(statements.sql[1]) == (
        "SELECT function_id, COUNT(*), MAX(duration_ms) FROM function_invocations WHERE status = @ "
        "GROUP BY function_id HAVING COUNT(*) > @ ORDER BY MAX(duration_ms) DESC, "
        "function_invocations.function_id DESC LIMIT @ OFFSET @"
    )
    assert list(statements[1][1]) == ["success", 1, 1, 1]
    two = invocations.aggregate(
        **of_function, having={"slowest": [30, 5], "function_id": operators.between(1, 3)}, order_by=("calls",)
    )
    assert [row["function_id"] for row in two] == [2, 1]


def test_groups_by_several_columns_and_by_rows_referred_to(managers, functions):
    for function, status in [(1, "success"), (2, "success"), (3, "error"), (3, "success")]:
        managers.function_invocations.record(function, status, 1)
    found = managers.function_invocations.aggregate(
        group_by=("function.user.email", "status"), calls=operators.count(), order_by=("-calls", "status")
    )
    assert [tuple(row.values()) for row in found] == [
        ("a@example.com", "success", 2),
        ("a@example.com", "error", 1),
        ("b@example.com", "success", 1),
    ]
    assert list(found[0]) == ["function.user.email", "status", "calls"]
    newest = managers.functions.aggregate(group_by="user", newest=operators.max("created_at"))
    assert [row["user_id"] for row in newest] == [1, 2]
    assert all(row["newest"].tzinfo is UTC for row in newest)
    most = managers.function_invocations.aggregate(last=operators.max("function.name"))
    assert most == {"last": "z"}


REFUSED = [
    ({}, errors.InvalidQueryError, "expected something to work out"),
    ({"n": 5}, errors.InvalidQueryError, "expected what operators.count"),
    ({"n": operators.gt(5)}, errors.InvalidQueryError, "expected what operators.count"),
    ({"n": operators.sum("nmae")}, errors.UnknownColumnError, "functions has no column 'nmae'"),
    ({"n": operators.sum("name")}, errors.InvalidQueryError, "expected a column of numbers for sum; got name"),
    ({"n": operators.avg("created_at")}, errors.InvalidQueryError, "expected a column of numbers for avg"),
    ({"n": operators.max("uuid")}, errors.InvalidQueryError, "numbers, text or times for max; got uuid"),
    ({"n": operators.min("analysis_result")}, errors.InvalidQueryError, "numbers, text or times for min"),
    ({"n": operators.count("analysis_result", distinct=True)}, errors.InvalidQueryError, "JSON"),
    ({"n": operators.max("deployments.version")}, errors.InvalidQueryError, "one row each in max"),
    ({"n": operators.count(), "group_by": "nmae"}, errors.UnknownColumnError, "did you mean 'name'"),
    ({"n": operators.count(), "group_by": []}, errors.InvalidQueryError, "expected group_by to be"),
    ({"n": operators.count(), "group_by": ("name", "name")}, errors.InvalidQueryError, "once in group_by"),
    ({"n": operators.count(), "group_by": "analysis_result"}, errors.InvalidQueryError, "JSON"),
    ({"n": operators.count(), "group_by": "logs.level"}, errors.InvalidQueryError, "one row each in group_by"),
    ({"name": operators.count(), "group_by": "name"}, errors.InvalidQueryError, "another name"),
    ({"n": operators.count(), "limit": 5}, errors.InvalidQueryError, "expected group_by for having"),
    ({"n": operators.count(), "having": {"n": 5}}, errors.InvalidQueryError, "expected group_by for having"),
    ({"n": operators.count(), "group_by": "name", "having": {"m": 5}}, errors.UnknownColumnError, "known are: n, name"),
    ({"n": operators.count(), "group_by": "name", "having": {"n": "5"}}, errors.InvalidValueError, "a number"),
    ({"n": operators.count(), "group_by": "name", "having": {"n": True}}, errors.InvalidValueError, "a number"),
    ({"n": operators.count(), "group_by": "name", "having": 5}, errors.InvalidQueryError, "having to be a dict"),
    ({"n": operators.count(), "group_by": "name", "order_by": "status"}, errors.UnknownColumnError, "a result"),
    ({"n": operators.count(), "group_by": "name", "order_by": ("n", "UP")}, errors.UnknownColumnError, "a result"),
    ({"n": operators.count(), "group_by": "name", "order_by": [("n", "UP")]}, errors.InvalidQueryError, "'ASC'"),
    ({"n": operators.count(), "group_by": "name", "limit": -1}, errors.InvalidQueryError, "limit"),
    (
        {"n": operators.count(), "group_by": "name", "having": {"name": operators.like("a%")}},
        errors.InvalidQueryError,
        "a pattern",
    ),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), REFUSED)
def test_what_cannot_be_worked_out(managers, statements, arguments, kind, message):
    with pytest.raises(kind, match=message):
        managers.functions.aggregate(**arguments)
    assert statements == []


def test_rows_are_counted_as_they_are():
    with pytest.raises(errors.InvalidQueryError, match="expected a column whose distinct values"):
        operators.count(distinct=True)


def test_a_scope_holds_values_and_aggregates(database, functions):
    hers = Manager(Function, database, scope=Scope({Function: {"user_id": 1}, User: {"id": 1}}))
    assert hers.values("name", order_by="name") == ["x", "z"]
    assert hers.aggregate(n=operators.count()) == {"n": 2}
    for call in (
        lambda: hers.values("user.email"),
        lambda: hers.values("name", order_by="user.email"),
        lambda: hers.aggregate(n=operators.max("user.email")),
        lambda: hers.aggregate(group_by="user.email", n=operators.count()),
    ):
        with pytest.raises(errors.UnguardedError):
            call()
    open_users = Manager(Function, database, scope=Scope({Function: {"user_id": 1}, User: ALL_ROWS}))
    assert open_users.values("user.email", distinct=True) == ["a@example.com"]


def test_statements_are_kept_by_shape(managers, functions):
    invocations = managers.function_invocations
    statements = invocations._statements.present
    summary = statements.summary((), (("n", operators.count()),))
    assert statements.summary((), (("n", operators.count()),)) is summary
    first = statements.aggregate((), summary)
    assert statements.aggregate((), summary) is first


def test_decimals_are_exact(sales):
    for _ in range(10):
        sales.insert({"kind": "a", "price": Decimal("0.1"), "total": 2**62})
    found = sales.aggregate(total=operators.sum("price"), mean=operators.avg("price"), least=operators.min("price"))
    assert found == {"total": Decimal("1.000"), "mean": Decimal("0.1"), "least": Decimal("0.1")}
    assert [type(value) for value in found.values()] == [Decimal] * 3
    assert str(found["total"]) == "1.000"
    assert sales.aggregate(group_by="kind", total=operators.sum("price"), having={"total": operators.ge(1)})


def test_a_sum_that_an_integer_of_64_bits_cannot_hold(sales, backend):
    for _ in range(4):
        sales.insert({"kind": "a", "total": 2**62})
    if backend == "postgresql":
        assert sales.aggregate(total=operators.sum("total")) == {"total": 2**64}
    else:
        with pytest.raises(errors.InvalidValueError, match="integer overflow"):
            sales.aggregate(total=operators.sum("total"))


# Random queries beside plain Python, of numbers whose sums are exact

QUERIES = 600
KINDS = ["a", "b", "c", "Ä", ""]
COLUMNS = ["kind", "count", "total", "price", "weight", "at", "day", "shop_id", "rush", "shop.city", "shop.name"]


def fill(shops, sales, chance):
    rows = []
    cities = [None, "Rom", "Oslo"]
    for number in range(4):
        shops.insert({"name": f"shop {number}", "city": cities[number % 3]})
    for number in range(120):
        shop = chance.choice([None, 1, 2, 3, 4])
        row = {
            "shop_id": shop,
            "kind": chance.choice(KINDS),
            "count": chance.choice([None, *range(-3, 4)]),
            "total": chance.choice([0, 1, 2**40, -(2**40)]),
            "price": chance.choice([None, *(Decimal(n) / 8 for n in range(-8, 9))]),
            "weight": chance.choice([None, *(n / 4 for n in range(-8, 9))]),
            "at": START + timedelta(seconds=chance.randrange(5), microseconds=chance.randrange(3)),
            "day": chance.choice([None, date(2026, 1, 1), date(2026, 2, 1)]),
            "rush": chance.random() < 0.5,
        }
        sales.insert(row)
        named = {"shop.city": None if shop is None else cities[(shop - 1) % 3]}
        named["shop.name"] = None if shop is None else f"shop {shop - 1}"
        rows.append(row | named | {"id": number + 1})
    return rows


def sort(rows, order):
    """Rows in an order, NULLs as the largest."""
    for name, direction in reversed(order):
        present = [row for row in rows if row[name] is not None]
        missing = [row for row in rows if row[name] is None]
        present.sort(key=lambda row: row[name], reverse=direction == "DESC")
        rows = [*present, *missing] if direction == "ASC" else [*missing, *present]
    return rows


def worked_out(aggregate, rows):
    """What plain Python says that rows come to."""
    if aggregate.column is None:
        return len(rows)
    values = [row[aggregate.column] for row in rows if row[aggregate.column] is not None]
    if aggregate.function == "count":
        return len(set(values)) if aggregate.distinct else len(values)
    if not values:
        return None
    if aggregate.function == "avg":
        return sum(values) / len(values)
    return {"sum": sum, "min": min, "max": max}[aggregate.function](values)


def any_aggregate(chance):
    kind = chance.choice(["count", "count", "sum", "avg", "min", "max"])
    if kind == "count":
        column = chance.choice([None, *COLUMNS])
        return operators.count(column, distinct=column is not None and chance.random() < 0.5)
    if kind in ("sum", "avg"):
        return getattr(operators, kind)(chance.choice(["count", "total", "price", "weight"]))
    return getattr(operators, kind)(
        chance.choice(["kind", "count", "total", "price", "weight", "at", "day", "shop.city"])
    )


COMPARISONS = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le, "eq": operator.eq}


@pytest.mark.parametrize("seed", range(2))
def test_random_aggregates_are_what_python_says(shops, sales, seed):
    chance = random.Random(seed)
    rows = fill(shops, sales, chance)
    for _ in range(QUERIES // 2):
        kinds = chance.sample(KINDS, chance.randint(0, 4))
        where = {"kind": kinds} if chance.random() < 0.6 else None
        chosen = [row for row in rows if where is None or row["kind"] in kinds]
        keys = chance.sample(COLUMNS, chance.randint(0, 2))
        wanted = {f"n{number}": any_aggregate(chance) for number in range(chance.randint(1, 3))}
        arguments = {}
        if not keys:
            expected = {name: worked_out(aggregate, chosen) for name, aggregate in wanted.items()}
        else:
            groups = {}
            for row in chosen:
                groups.setdefault(tuple(row[key] for key in keys), []).append(row)
            expected = [
                dict(zip(keys, group, strict=True))
                | {name: worked_out(aggregate, members) for name, aggregate in wanted.items()}
                for group, members in groups.items()
            ]
            arguments = {"group_by": keys[0] if len(keys) == 1 else keys}
            if chance.random() < 0.4:
                comparison, number = chance.choice(list(COMPARISONS)), chance.randint(0, 6)
                arguments["having"] = {"rows": getattr(operators, comparison)(number)}
                wanted["rows"] = operators.count()
                sizes = {group: len(members) for group, members in groups.items()}
                for row in expected:
                    row["rows"] = sizes[tuple(row[key] for key in keys)]
                expected = [row for row in expected if COMPARISONS[comparison](row["rows"], number)]
            order = [(name, chance.choice(["ASC", "DESC"])) for name in chance.sample([*keys, *wanted], 2)]
            arguments["order_by"] = order or None
            last = order[-1][1] if order else "ASC"
            full = [*order, *((key, last) for key in keys if key not in dict(order))]
            expected = sort(expected, full)
            if chance.random() < 0.3:
                arguments["limit"] = chance.randint(0, 5)
                expected = expected[: arguments["limit"]]
        found = sales.aggregate(where, **arguments, **wanted)
        assert found == expected, (where, arguments, wanted)
        for row, other in zip([found] if not keys else found, [expected] if not keys else expected, strict=True):
            assert {name: type(value) for name, value in row.items()} == {
                name: type(value) for name, value in other.items()
            }, (arguments, wanted)


@pytest.mark.parametrize("seed", range(2))
def test_random_orders_and_values_are_what_python_says(shops, sales, seed):
    chance = random.Random(seed + 100)
    rows = fill(shops, sales, chance)
    expressions = [
        (fn.NULLIF(Sale.count, 0), lambda row: row["count"] or None),
        (Sale.total + Sale.id, lambda row: row["total"] + row["id"]),
    ]
    for _ in range(QUERIES // 2):
        count = chance.choice([None, -1, 0, 2])
        where = None if chance.random() < 0.3 else {"count": count}
        chosen = [dict(row) for row in rows if where is None or row["count"] == count]
        order, given = [], []
        for _ in range(chance.randint(0, 3)):
            direction = chance.choice(["ASC", "DESC"])
            if chance.random() < 0.2:
                expression, value = chance.choice(expressions)
                for row in chosen:
                    row[id(expression)] = value(row)
                order.append((id(expression), direction))
                given.append(expression if direction == "ASC" else expression.desc())
            else:
                name = chance.choice([name for name in COLUMNS if name != "kind"])
                order.append((name, direction))
                minus = f"-{name}" if direction == "DESC" else name
                given.append(chance.choice([(name, direction), minus]))
        expected = sort(chosen, [*order, ("id", "ASC")])
        limit, offset = chance.choice([None, 3, 50]), chance.choice([None, 0, 2])
        expected = expected[offset or 0 :][:limit]
        names = chance.sample([*COLUMNS, "id"], chance.randint(1, 3))
        arguments = {"order_by": [*given, "id"], "limit": limit, "offset": offset}
        assert sales.values(names, where, **arguments) == [tuple(row[name] for name in names) for row in expected]
        assert sales.values(names[0], where, **arguments) == [row[names[0]] for row in expected]
        assert [row.id for row in sales.find_all(where, **arguments)] == [row["id"] for row in expected]
