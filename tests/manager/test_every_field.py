"""Every field class of Peewee and playhouse, and a subclass of each that converts in a way of its own, by every path.

What a manager stores and reads is what Peewee's own calls store and read, byte for byte; or it is refused.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any, NamedTuple
from uuid import UUID

import peewee
import playhouse.fields
import playhouse.postgres_ext
import playhouse.sqlite_ext
import pytest

from cloudpub_models import Database, Manager, operators
from cloudpub_models.errors import CloudpubError, InvalidValueError

MODULES: tuple[ModuleType, ...] = (peewee, playhouse.fields, playhouse.postgres_ext, playhouse.sqlite_ext)


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Case(NamedTuple):
    """A field and two values of it.

    Attributes:
        make: makes the field, of the class or of a subclass of it.
        values: what is stored; the second sorts behind the first, where they sort.
        databases: those that have such columns.
        same_bytes: whether this library stores what Peewee does to the letter.
        takes_anything: whether an instance of a model takes a value that is not of the field's kind.
    """

    make: Callable[[type[Any]], Any]
    values: tuple[Any, Any]
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    same_bytes: bool = True
    takes_anything: bool = True


def plain(cls: type[Any]) -> Any:
    return cls(null=True)


POSTGRESQL, SQLITE = ("postgresql",), ("sqlite",)
NOON = datetime(2024, 5, 1, 12, 30, 15, 123456)
KEYS = UUID(int=5), UUID(int=2**127)

CASES: dict[str, Case] = {
    "peewee.AnyField": Case(plain, ("a", "b"), SQLITE),
    "peewee.BareField": Case(plain, ("a", "b"), SQLITE),
    "peewee.IntegerField": Case(plain, (-5, 2**31 - 1)),
    "peewee.BigIntegerField": Case(plain, (-5, 2**63 - 1)),
    "peewee.SmallIntegerField": Case(plain, (-5, 2**15 - 1)),
    "peewee.FloatField": Case(plain, (0.1, 1.5)),
    "peewee.DoubleField": Case(plain, (0.1, 1e300)),
    "peewee.DecimalField": Case(lambda cls: cls(10, 3, null=True), (Decimal("1.100"), Decimal("12.345"))),
    "peewee.CharField": Case(plain, ("a\t'\"\\N", "é\\.\n,{}")),
    "peewee.FixedCharField": Case(lambda cls: cls(max_length=3, null=True), ("abc", "é\\n")),
    "peewee.TextField": Case(plain, ("", "é\\.\n,{}\r\n" * 3)),
    "peewee.BlobField": Case(plain, (b"\x00\xff\\x41", b"a\tb\nc\\")),
    "peewee.BitField": Case(plain, (1, 2**40)),
    "peewee.BigBitField": Case(plain, (b"\x01", b"\x80\x00"), takes_anything=False),
    "peewee.UUIDField": Case(plain, KEYS),
    "peewee.BinaryUUIDField": Case(plain, KEYS),
    "peewee.DateTimeField": Case(plain, (datetime(2024, 5, 1), NOON)),
    "peewee.DateField": Case(plain, (date(1, 1, 1), date(2024, 5, 1))),
    "peewee.TimeField": Case(plain, (time(0, 0), time(12, 30, 15, 5))),
    "peewee.TimestampField": Case(
        lambda cls: cls(null=True, default=None), (datetime(2000, 1, 1), datetime(2024, 5, 1))
    ),
    "peewee.IPField": Case(plain, ("10.0.0.1", "192.0.2.1")),
    "peewee.BooleanField": Case(plain, (False, True)),
    # Without spaces, and with letters as they are.
    "peewee.JSONField": Case(plain, ({"a": [1, None, "é\\"]}, {"b": True}), same_bytes=False),
    "playhouse.fields.CompressedField": Case(plain, (b"page " * 20, b"\x00" * 50)),
    "playhouse.fields.PickleField": Case(plain, ({"a": (1, 2)}, {"b": frozenset({3})})),
    "playhouse.fields.EnumField": Case(lambda cls: cls(Colour, null=True), (Colour.RED, Colour.RED)),
    "playhouse.fields.IntEnumField": Case(lambda cls: cls(Size, null=True), (Size.SMALL, Size.SMALL)),
    "playhouse.postgres_ext.ArrayField": Case(
        lambda cls: cls(peewee.TextField, index=False, null=True), (["a", 'b"c,{}', "NULL"], ["x"]), POSTGRESQL
    ),
    "playhouse.postgres_ext.DateTimeTZField": Case(
        plain, (datetime(2024, 5, 1, tzinfo=UTC), NOON.replace(tzinfo=UTC)), POSTGRESQL
    ),
    "playhouse.postgres_ext.BinaryJSONField": Case(
        lambda cls: cls(index=False, null=True), ({"a": [1, None, "é\\"]}, {"b": True}), POSTGRESQL
    ),
    "playhouse.postgres_ext.JSONField": Case(plain, ({"a": [1, None, "é\\"]}, {"b": True}), POSTGRESQL),
    "playhouse.postgres_ext.IntervalField": Case(
        plain, (timedelta(days=-1, seconds=5), timedelta(days=3, microseconds=7)), POSTGRESQL
    ),
    "playhouse.postgres_ext.TSVectorField": Case(
        lambda cls: cls(index=False, null=True), ("'fat':2", "'rat':3"), POSTGRESQL
    ),
    "playhouse.sqlite_ext.TDecimalField": Case(
        lambda cls: cls(10, 3, null=True), (Decimal("1.100"), Decimal("12.345")), SQLITE
    ),
    "playhouse.sqlite_ext.ISODateTimeField": Case(plain, (datetime(2024, 5, 1), NOON), SQLITE),
    "playhouse.sqlite_ext.JSONField": Case(plain, ({"a": [1, None, "é\\"]}, {"b": True}), SQLITE),
}
NOT_WALKED = {
    "peewee.Field": "the base of all",
    "peewee.FieldAlias": "no field of a model",
    "peewee.DeferredForeignKey": "becomes a foreign key",
    "peewee.AutoField": "a key that counts by itself, in every other test",
    "peewee.BigAutoField": "such a key",
    "peewee.IdentityField": "such a key",
    "peewee.PrimaryKeyField": "such a key, and deprecated",
    "peewee.ForeignKeyField": "converts as the field that it refers to",
    "peewee.CompositeKey": "no column",
    "peewee.MetaField": "no column",
    "peewee.ManyToManyField": "no column",
    "peewee.VirtualField": "no column",
    "playhouse.postgres_ext.HStoreField": "needs an extension of the server",
    "playhouse.sqlite_ext.RowIDField": "a key that counts by itself",
    "playhouse.sqlite_ext.DocIDField": "such a key",
    "playhouse.sqlite_ext.AutoIncrementField": "such a key",
    "playhouse.sqlite_ext.JSONBField": "SQL of SQLite 3.45, which a test of its own sees refused",
    "playhouse.sqlite_ext.SearchField": "of virtual tables",
}


@dataclass(frozen=True)
class Boxed:
    """A value that only a field's own methods can make of what is stored, and store."""

    value: Any


def with_a_way_of_its_own(cls: type[Any]) -> type[Any]:
    """Return a subclass of a field that stores and reads boxes."""

    def db_value(self: Any, value: Any) -> Any:
        return cls.db_value(self, value.value if isinstance(value, Boxed) else value)

    def python_value(self: Any, value: Any) -> Any:
        return None if value is None else Boxed(comparable(cls.python_value(self, value)))

    return type(f"Own{cls.__name__}", (cls,), {"db_value": db_value, "python_value": python_value})


def comparable(value: Any) -> Any:
    """Return a value of Peewee's in a form that is equal where it is: bytes are a view of memory, or of bits."""
    return bytes(value) if isinstance(value, memoryview | bytearray | peewee.BigBitFieldData) else value


def found_in(module: ModuleType) -> dict[str, type[Any]]:
    return {
        f"{module.__name__}.{name}": cls
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, peewee.Field) and cls.__module__ == module.__name__ and not name.startswith("_")
    }


CLASSES = {name: cls for module in MODULES for name, cls in found_in(module).items()}
WALKS = [(name, own) for name, case in CASES.items() for own in (False, True)[: 1 + case.takes_anything]]


def test_every_field_class_is_walked_or_said_why_not() -> None:
    assert CLASSES.keys() - CASES.keys() - NOT_WALKED.keys() == set()
    assert CASES.keys() - CLASSES.keys() == set()


class Walk(NamedTuple):
    """A model with one such field, and values of it."""

    manager: Manager[Any]
    model: type[Any]
    values: tuple[Any, Any]
    same_bytes: bool

    @property
    def engine(self) -> Any:
        return self.manager.database.engine

    def create(self, value: Any) -> int:
        """Write a row by Peewee's own call."""
        return int(self.model.create(f=value).id)

    def read(self) -> list[Any]:
        """What Peewee's own call gives of all rows."""
        return [comparable(row.__data__["f"]) for row in self.model.select().order_by(self.model.id)]

    def kept(self, key: int) -> Any:
        """What the driver gives of a row, and what Peewee makes of it."""
        value = comparable(self.model.get_by_id(key).__data__["f"])
        if not self.same_bytes:
            return value
        kind = "CAST(f AS text)" if isinstance(self.engine, peewee.PostgresqlDatabase) else "typeof(f), f"
        (row,) = self.engine.execute_sql(f"SELECT {kind} FROM walk WHERE id = {key}").fetchall()
        return value, row

    def newest(self, work: Callable[[], object]) -> int:
        work()
        return int(self.model.select(peewee.fn.MAX(self.model.id)).scalar())


@pytest.fixture(params=WALKS, ids=lambda given: f"{given[0]}{', own way' * given[1]}")
def walk(request: pytest.FixtureRequest, database: Database, backend: str) -> Iterator[Walk]:
    name, own = request.param
    case, cls = CASES[name], CLASSES[name]
    if backend not in case.databases:
        pytest.skip(f"{backend} has no such columns")

    class Model(peewee.Model):
        f = case.make(with_a_way_of_its_own(cls) if own else cls)

        class Meta:
            table_name = "walk"

    first, second = case.values
    values = (Boxed(first), Boxed(second)) if own else case.values
    with database.engine.bind_ctx([Model]):
        Model.create_table()
        yield Walk(Manager(Model, database), Model, values, case.same_bytes)
        Model.drop_table()


WAYS_IN: dict[str, Callable[[Walk, Any], int]] = {
    "insert": lambda w, v: w.manager.insert({"f": v}).id,
    "update": lambda w, v: w.manager.update_by_id(w.create(None), {"f": v}).id,
    "upsert": lambda w, v: w.manager.upsert({"id": w.create(None), "f": v}, ["id"]).id,
    "find_or_insert": lambda w, v: w.manager.find_or_insert({"id": 9000, "f": v}, ["id"])[0].id,
    "batch of one": lambda w, v: w.newest(lambda: w.manager.batch_insert([{"f": v}])),
    "batch with NULL": lambda w, v: w.newest(lambda: w.manager.batch_insert([{"f": None}, {"f": v}])),
    "batch of many": lambda w, v: w.newest(lambda: w.manager.batch_insert([{"f": v}] * 40)),
    "batch of unlike rows": lambda w, v: w.newest(lambda: w.manager.batch_insert([{}, {"f": v}])),
    "batch, returning": lambda w, v: w.manager.batch_insert([{"f": v}] * 3, returning=True)[2].id,
    "batch, in place of rows": lambda w, v: w.newest(
        lambda: w.manager.batch_insert([{"id": w.create(None), "f": v}], on_conflict="update", conflict_columns=["id"])
    ),
    "batch, keeping rows": lambda w, v: w.newest(
        lambda: w.manager.batch_insert([{"id": 9000, "f": v}], on_conflict="ignore", conflict_columns=["id"])
    ),
    "claim": lambda w, v: w.manager.claim({"id": w.create(None)}, {"f": v})[0].id,
}


def test_what_is_stored_is_what_peewee_stores(walk: Walk) -> None:
    for value in walk.values:
        expected = walk.kept(walk.create(value))
        for name, way in WAYS_IN.items():
            walk.model.delete().execute()
            assert walk.kept(way(walk, value)) == expected, name


WAYS_OUT: dict[str, Callable[[Walk], list[Any]]] = {
    "all": lambda w: w.manager.find_all(order_by="id"),
    "few": lambda w: w.manager.find_all(order_by="id", limit=2) + w.manager.find_all(order_by="id", offset=2),
    "some columns": lambda w: w.manager.find_all(order_by="id", select=["id", "f"]),
    "by id": lambda w: [w.manager.find_by_id(row.id) for row in w.model.select(w.model.id).order_by(w.model.id)],
    "stream": lambda w: list(w.manager.iterate(order_by="id")),
    "stream in a transaction": lambda w: in_a_transaction(w, lambda: list(w.manager.iterate(order_by="id"))),
    "page": lambda w: w.manager.paginate(1, 100, order_by="id").items,
    "page by key": lambda w: w.manager.paginate_after(page_size=100, order_by="id").items,
    "raw": lambda w: w.manager.raw("SELECT * FROM walk ORDER BY id"),
}


def in_a_transaction(walk: Walk, work: Callable[[], list[Any]]) -> list[Any]:
    with walk.manager.database.transaction():
        return work()


def test_what_is_read_is_what_peewee_reads(walk: Walk) -> None:
    first, second = walk.values
    for value in [first, None, second] + [first] * 20:
        walk.create(value)
    expected = walk.read()
    for name, way in WAYS_OUT.items():
        assert [comparable(row.__data__["f"]) for row in way(walk)] == expected, name
    rows = walk.manager.execute_query(walk.manager.query().select("id", "f").order_by("id"))
    assert [comparable(row["f"]) for row in rows] == expected
    instances = walk.manager.execute_query(walk.manager.query("w").order_by("w.id"), as_model=True)
    assert [comparable(row.__data__["f"]) for row in instances] == expected


def test_what_is_found_is_what_peewee_finds(walk: Walk) -> None:
    for value in (*walk.values, None):
        walk.create(value)
    for value in walk.values:
        expected = counted(walk, value)
        # A list by itself is several values.
        equal = [] if isinstance(value, list) else [value, operators.eq(value)]
        for condition in (*equal, [value], operators.in_([value])):
            assert found(walk, condition) in (expected, None), condition
        if not isinstance(value, list):
            assert found(walk, operators.between(value, value)) in (expected, None)


def counted(walk: Walk, value: Any) -> int:
    """How many rows have a value, as Peewee's own reading says."""
    stored = comparable(value)
    return sum(read == stored for read in walk.read() if read is not None)


def found(walk: Walk, condition: Any) -> int | None:
    """How many rows a manager finds; None where it refuses to look."""
    try:
        return walk.manager.count({"f": condition})
    except CloudpubError:
        return None


def test_pages_by_such_a_column_give_every_row_once(walk: Walk) -> None:
    first, second = walk.values
    for value in (second, first, None, first):
        walk.create(value)
    try:
        seen = pages(walk)
    except CloudpubError:
        return
    assert sorted(seen) == sorted(row.id for row in walk.model.select())


def pages(walk: Walk) -> list[int]:
    seen: list[int] = []
    cursor = None
    for _ in range(5):
        page = walk.manager.paginate_after(cursor, 1, order_by="f")
        seen += [row.id for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    return seen


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_field_that_makes_sql_of_a_value_is_refused(database: Database, backend: str) -> None:
    class Document(peewee.Model):
        f = playhouse.sqlite_ext.JSONBField(null=True)

        class Meta:
            table_name = "walk"

    with database.engine.bind_ctx([Document]):
        Document.create_table()
        documents = Manager(Document, database)
        for way in WAYS_IN.values():
            with pytest.raises(InvalidValueError, match=r"walk.f: expected .*got SQL, jsonb"):
                way(Walk(documents, Document, ({}, {}), same_bytes=True), {"a": 1})
        Document.drop_table()


def test_a_document_is_written_and_read_by_the_functions_of_its_field(database: Database) -> None:
    class Document(peewee.Model):
        f = peewee.JSONField(dumps=lambda value: f'{{"kept": {value}}}', loads=lambda text: f"read {text}")

        class Meta:
            table_name = "walk"

    with database.engine.bind_ctx([Document]):
        Document.create_table()
        documents = Manager(Document, database)
        by_peewee = Document.create(f=5).id
        documents.insert({"f": 5})
        documents.batch_insert([{"f": 5}])
        expected = Document.get_by_id(by_peewee).f
        assert [row.f for row in documents.find_all()] == [expected] * 3
        assert documents.count({"f": 5}) == 3
        Document.drop_table()
