"""A field that converts values in a way of its own is asked, by every way in and out, whatever it is a subclass of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import peewee
import pytest
from playhouse.fields import CompressedField, PickleField

from cloudpub_models import Database, Manager, operators
from cloudpub_models.entity import JsonField, TimestampField, UuidField
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.manager.columns.conversions import reads_as, stores_as
from cloudpub_models.manager.columns.table import table_of


class Encrypted(peewee.BlobField):
    def db_value(self, value: Any) -> Any:
        return super().db_value(None if value is None else value.encode()[::-1])

    def python_value(self, value: Any) -> Any:
        return None if value is None else bytes(value)[::-1].decode()


class Halved(peewee.DoubleField):
    def db_value(self, value: Any) -> Any:
        return None if value is None else value / 2

    def python_value(self, value: Any) -> Any:
        return None if value is None else value * 2


class YesOrNo(peewee.BooleanField):
    def db_value(self, value: Any) -> Any:
        return None if value is None else value == "yes"

    def python_value(self, value: Any) -> Any:
        return None if value is None else "yes" if value else "no"


class Reversed(peewee.TextField):
    def db_value(self, value: Any) -> Any:
        return None if value is None else value[::-1]

    def python_value(self, value: Any) -> Any:
        return None if value is None else value[::-1]


class Shouted(peewee.CharField):
    def adapt(self, value: Any) -> Any:
        return str(value).upper()


class Hexadecimal(UuidField):
    def python_value(self, value: Any) -> Any:
        found = super().python_value(value)
        return None if found is None else found.hex


class Inverted(UuidField):
    def db_value(self, value: Any) -> Any:
        return super().db_value(None if value is None else UUID(int=2**128 - 1 - value.int))

    def python_value(self, value: Any) -> Any:
        found = super().python_value(value)
        return None if found is None else UUID(int=2**128 - 1 - found.int)


class Later(TimestampField):
    def db_value(self, value: Any) -> Any:
        return super().db_value(None if value is None else value + timedelta(days=1))

    def python_value(self, value: Any) -> Any:
        found = super().python_value(value)
        return None if found is None else found - timedelta(days=1)


class Pairs(JsonField):
    def db_value(self, value: Any) -> Any:
        return super().db_value(None if value is None else [list(pair) for pair in value])

    def python_value(self, value: Any) -> Any:
        found = super().python_value(value)
        return None if found is None else [tuple(pair) for pair in found]


NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
FIELDS: dict[str, tuple[peewee.Field[Any], Any, Any]] = {
    "encrypted": (Encrypted(null=True), "hello", "hello"),
    "compressed": (CompressedField(null=True), b"page " * 20, b"page " * 20),
    "pickled": (PickleField(null=True), {"a": (1, 2)}, {"a": (1, 2)}),
    "binary_uuid": (peewee.BinaryUUIDField(null=True), UUID(int=5), UUID(int=5)),
    "halved": (Halved(null=True), 3.0, 3.0),
    "yes_or_no": (YesOrNo(null=True), "yes", "yes"),
    "reversed": (Reversed(null=True), "abc", "abc"),
    "shouted": (Shouted(null=True), "abc", "ABC"),
    "hexadecimal": (Hexadecimal(null=True, default=None, server_default=None), UUID(int=7), UUID(int=7).hex),
    "inverted": (Inverted(null=True, default=None, server_default=None), UUID(int=7), UUID(int=7)),
    "later": (Later(null=True, default=None, server_default=None), NOON, NOON),
    "pairs": (Pairs(null=True), [("a", 1)], [("a", 1)]),
}


@pytest.fixture
def things(database: Database) -> Any:
    class Thing(peewee.Model):
        class Meta:
            table_name = "things"

    for name, (field, _, _) in FIELDS.items():
        Thing._meta.add_field(name, field.clone())
    with database.engine.bind_ctx([Thing]):
        Thing.create_table()
        yield Manager(Thing, database)
        Thing.drop_table()


WRITE: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "insert": lambda manager, row: manager.insert(row),
    "batch": lambda manager, row: manager.batch_insert([row]),
    "batch, returning": lambda manager, row: manager.batch_insert([row], returning=True),
    "batch of unlike rows": lambda manager, row: manager.batch_insert([row, {}]),
    "update": lambda manager, row: manager.update_by_id(manager.insert({}).id, row),
    "upsert": lambda manager, row: manager.upsert({"id": 1, **row}, ["id"]),
}


@pytest.mark.parametrize("way", WRITE)
@pytest.mark.parametrize("name", FIELDS)
def test_every_way_in_stores_what_peewee_would(things: Any, name: str, way: str) -> None:
    _, given, expected = FIELDS[name]
    WRITE[way](things, {name: given})
    field = getattr(things.model, name)
    [row] = things.model.select().where(field.is_null(False))
    assert getattr(row, name) == expected


@pytest.mark.parametrize("name", FIELDS)
def test_every_way_out_reads_what_peewee_would(things: Any, name: str) -> None:
    _, given, expected = FIELDS[name]
    things.batch_insert([{name: given}] * 40)  # as many as are decoded a column at a time
    found = [
        things.find_all(),
        things.find_all(limit=3),
        list(things.iterate()),
        things.paginate_after(page_size=5).items,
        things.find_all(select=["id", name]),
    ]
    assert {repr(getattr(row, name)) for rows in found for row in rows} == {repr(expected)}
    assert things.execute_query(things.query().select(name).limit(1)) == [{name: expected}]


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"pickled", "pairs", "encrypted", "compressed", "binary_uuid"}))
def test_conditions_compare_what_is_stored(things: Any, name: str) -> None:
    _, given, _ = FIELDS[name]
    things.insert({name: given})
    for where in ({name: given}, {name: [given]}, {name: operators.between(given, given)}):
        assert things.count(where) == 1


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.usefixtures("backend")
def test_arrays_are_written_by_every_way(database: Database) -> None:
    from playhouse.postgres_ext import ArrayField

    class Post(peewee.Model):
        tags = ArrayField(peewee.TextField, index=False, null=True)
        numbers = ArrayField(peewee.IntegerField, index=False, null=True)

        class Meta:
            table_name = "posts"

    row = {"tags": ["x", "y,z", 'q"w', "null", ""], "numbers": [1, -2]}
    with database.engine.bind_ctx([Post]):
        Post.create_table()
        posts = Manager(Post, database)
        posts.insert(row)
        assert posts.batch_insert([row, {"tags": [], "numbers": None}]) == 2
        posts.batch_insert([row], returning=True)
        found = [(post.tags, post.numbers) for post in posts.find_all(order_by="id")]
        assert found == [(row["tags"], [1, -2])] * 2 + [([], None)] + [(row["tags"], [1, -2])]
        Post.drop_table()


def test_what_is_known_of_a_class_is_not_true_of_a_subclass_with_a_way_of_its_own() -> None:
    assert stores_as(peewee.CharField(), peewee.CharField)
    assert not stores_as(Shouted(), peewee.CharField)
    assert reads_as(UuidField(), UuidField)
    assert not reads_as(Hexadecimal(), UuidField)
    assert stores_as(Hexadecimal(), UuidField)
    assert not stores_as(peewee.DecimalField(), peewee.FloatField)
    assert stores_as(TimestampField(), TimestampField)


@pytest.mark.parametrize("returning", [False, True])
def test_a_default_of_the_database_is_not_overwritten_by_a_batch(database: Database, *, returning: bool) -> None:
    class Job(peewee.Model):
        name = peewee.CharField()
        state = peewee.CharField(null=True, constraints=[peewee.SQL("DEFAULT 'queued'")])

        class Meta:
            table_name = "jobs"

    with database.engine.bind_ctx([Job]):
        Job.create_table()
        jobs = Manager(Job, database)
        jobs.batch_insert([{"name": "a", "state": "done"}, {"name": "b"}], returning=returning)
        assert [job.state for job in jobs.find_all(order_by="name")] == ["done", "queued"]
        Job.drop_table()


class InSql(peewee.TextField):
    def db_value(self, value: Any) -> Any:
        return peewee.fn.UPPER(value)


class InSqlOfJson(peewee.TextField):
    def db_value(self, value: Any) -> Any:
        return peewee.fn.json(value, value)


@pytest.mark.parametrize("field", [InSql(), InSqlOfJson()])
def test_a_field_that_makes_sql_of_a_value_is_refused(field: peewee.Field[Any]) -> None:
    model = type("Loud", (peewee.Model,), {"name": field})
    with pytest.raises(InvalidValueError, match="expected a field that makes a value of one; got SQL"):
        table_of(model).columns["name"].encode("x")


def test_a_decimal_has_as_many_digits_as_its_column() -> None:
    class Amount(peewee.Model):
        units = peewee.DecimalField(max_digits=40, decimal_places=10)

    large = Decimal("123456789012345678901234567890.0123456789")
    column = table_of(Amount).columns["units"]
    assert column.encode(large) == large
    with pytest.raises(InvalidValueError, match="expected a number of magnitude below"):
        column.encode(Decimal(10) ** 30)


NUMBERS = [peewee.DoubleField, peewee.FloatField]


@pytest.mark.parametrize("field", NUMBERS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("value", [Decimal("1.5"), 1.5, Decimal("-Infinity"), float("inf"), 2, 0, Decimal(0)])
def test_a_floating_point_number_is_any_number(field: type[peewee.Field[Any]], value: Any) -> None:
    model = type("Measured", (peewee.Model,), {"value": field()})
    encoded = table_of(model).columns["value"].encode(value)
    assert (type(encoded), encoded) == (float, value)


@pytest.mark.parametrize("field", NUMBERS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("value", [Decimal("1e400"), Decimal("-1e400"), 10**400, Decimal("NaN"), float("nan"), True])
def test_but_for_what_it_cannot_hold(field: type[peewee.Field[Any]], value: Any) -> None:
    model = type("Measured", (peewee.Model,), {"value": field()})
    with pytest.raises(InvalidValueError, match="expected a number"):
        table_of(model).columns["value"].encode(value)


@pytest.mark.parametrize("value", [1, datetime(2026, 5, 1, 12), date(2026, 5, 1)])
def test_seconds_of_a_moment_are_what_peewee_makes_of_it(value: Any) -> None:
    model = type("Stamped", (peewee.Model,), {"at": peewee.TimestampField()})
    assert table_of(model).columns["at"].encode(value) == peewee.TimestampField().db_value(value)


@pytest.mark.parametrize("value", [True, "2026-05-01", 1.5, datetime(2026, 5, 1, tzinfo=UTC), timedelta(1)])
def test_and_of_nothing_else(value: Any) -> None:
    model = type("Stamped", (peewee.Model,), {"at": peewee.TimestampField()})
    with pytest.raises(InvalidValueError, match="expected a datetime"):
        table_of(model).columns["at"].encode(value)


@pytest.mark.parametrize(("rounding", "expected"), [("ROUND_UP", "1.01"), ("ROUND_DOWN", "1.00")])
def test_a_decimal_is_rounded_as_its_column_says(rounding: str, expected: str) -> None:
    rounded = peewee.DecimalField(decimal_places=2, auto_round=True, rounding=rounding)
    model = type("Priced", (peewee.Model,), {"price": rounded})
    assert table_of(model).columns["price"].encode(Decimal("1.005")) == Decimal(expected)


@pytest.mark.parametrize("value", ["ab", "abcd", ["a", "b", "c"], b"abc", 123])
def test_text_of_a_fixed_length_is_text_of_that_length(value: Any) -> None:
    model = type("Coded", (peewee.Model,), {"code": peewee.FixedCharField(max_length=3)})
    assert table_of(model).columns["code"].encode("abc") == "abc"
    with pytest.raises(InvalidValueError, match="expected"):
        table_of(model).columns["code"].encode(value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (peewee.IPField(), "192.0.2", "an IPv4 address"),
        (peewee.IPField(), "::1", "an IPv4 address"),
        (peewee.IPField(), 5, "an IPv4 address"),
        (peewee.TimestampField(), 10**15, "a moment of the years 1 to 9999"),
        (peewee.TimestampField(), -(10**30), "a moment of the years 1 to 9999"),
    ],
    ids=str,
)
def test_what_a_column_cannot_hold_is_refused(field: peewee.Field[Any], value: Any, message: str) -> None:
    model = type("Held", (peewee.Model,), {"value": field})
    with pytest.raises(InvalidValueError, match=message):
        table_of(model).columns["value"].encode(value)
