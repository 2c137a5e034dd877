"""A manager for any other Peewee model, with Peewee's own fields and keys."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import peewee
import pytest

from cloudpub_models import Manager, operators
from cloudpub_models.entity.base import Entity
from cloudpub_models.errors import (
    InvalidIdentifierError,
    InvalidValueError,
    LazyLoadingError,
    NotNullViolationError,
    UniqueViolationError,
    UnknownTableError,
)
from cloudpub_models.schema.drift.definition import create_all


@pytest.fixture
def shop(database):
    engine = database.engine

    class Base(peewee.Model):
        class Meta:
            database = engine

    class Warehouse(Base):
        code = peewee.CharField(max_length=8, primary_key=True)
        opened = peewee.DateField(null=True)

    class Article(Base):
        sku = peewee.UUIDField(default=uuid4)
        name = peewee.CharField(max_length=20, unique=True)
        price = peewee.DecimalField(max_digits=10, decimal_places=2)
        weight = peewee.DoubleField(default=1.5)
        stock = peewee.SmallIntegerField(default=0)
        total = peewee.BigIntegerField(null=True)
        hidden = peewee.BooleanField(default=False)
        picture = peewee.BlobField(null=True)
        tags = peewee.JSONField(null=True)
        made = peewee.DateTimeField(null=True)
        warehouse = peewee.ForeignKeyField(Warehouse, backref="articles", null=True)
        order = peewee.IntegerField(column_name="order", default=0)

    class Shelf(Base):
        warehouse = peewee.ForeignKeyField(Warehouse)
        number = peewee.IntegerField()

        class Meta:
            primary_key = peewee.CompositeKey("warehouse", "number")

    models = [Warehouse, Article, Shelf]
    database.engine.create_tables(models)
    return tuple(Manager(model, database) for model in models)


def test_values_of_every_field_come_back(shop, backend):
    warehouses, articles, _ = shop
    warehouses.insert({"code": "B1", "opened": date(2026, 1, 2)})
    data = {
        "sku": uuid4(),
        "name": "pen",
        "price": Decimal("1.25"),
        "weight": 0.1,
        "stock": -5,
        "total": 2**40,
        "hidden": True,
        "picture": b"\x00\xff",
        "tags": {"a": [1, None]},
        "made": datetime(2026, 5, 1, 12, 30),
        "warehouse": "B1",
        "order": 3,
    }
    article = articles.insert(data)
    found = articles.find_by_id(article.id)
    for name, value in data.items():
        actual = found.__data__[name]
        assert (bytes(actual) if name == "picture" else actual) == value, name
    assert found.warehouse.opened == date(2026, 1, 2)
    assert not found.is_dirty()


def test_defaults_that_only_python_knows_are_filled_in(shop):
    _, articles, _ = shop
    article = articles.insert({"name": "pen", "price": 1})
    assert (article.weight, article.stock, article.hidden, article.order) == (1.5, 0, False, 0)
    assert articles.batch_insert([{"name": "ink", "price": 2}, {"name": "nib", "price": 3, "stock": 4}]) == 2
    assert [found.stock for found in articles.find_all(order_by="order", select=["stock"])] in (
        [0, 0, 4],
        [0, 4, 0],
        [4, 0, 0],
    )


def test_reserved_words_are_quoted(shop, statements, backend):
    _, articles, _ = shop
    articles.insert({"name": "pen", "price": 1, "order": 2})
    assert articles.find_one({"order": 2}, order_by="order").name == "pen"
    assert ('"order"' if backend == "postgresql" else "`order`") in statements.sql[0]


def test_keys_that_are_no_integers(shop):
    warehouses, _, shelves = shop
    warehouses.insert({"code": "B1"})
    assert warehouses.find_by_id("B1", id_column="code").code == "B1"
    assert warehouses.paginate(1, 5).total == 1
    shelves.insert({"warehouse": "B1", "number": 2})
    with pytest.raises(UniqueViolationError):
        shelves.insert({"warehouse_id": "B1", "number": 2})
    assert shelves.upsert({"warehouse": "B1", "number": 2}, ["warehouse", "number"]).number == 2


def test_values_are_checked_as_for_our_own(shop):
    warehouses, articles, _ = shop
    for data in ({"stock": 2**15}, {"name": "x" * 21}, {"warehouse": 5}, {"weight": float("nan")}, {"hidden": "no"}):
        with pytest.raises(InvalidValueError):
            articles.insert({"name": "pen", "price": 1, **data})
    with pytest.raises(InvalidValueError):
        warehouses.insert({"code": "x" * 9})


def test_relations_reach_related_models(shop):
    warehouses, articles, _ = shop
    warehouses.insert({"code": "B1"})
    pen = articles.insert({"name": "pen", "price": 1, "warehouse": "B1"})
    assert warehouses.has_many("article", "warehouse_id", "B1") == [pen]
    assert articles.belongs_to("warehouse", "warehouse", "B1", related_key="code").code == "B1"
    with pytest.raises(UnknownTableError, match="warehouse"):
        articles.has_many("werehouse", "x", 1)


def test_unloaded_columns_raise_here_too(shop):
    _, articles, _ = shop
    articles.insert({"name": "pen", "price": 1})
    (article,) = articles.find_all(select=["id"])
    with pytest.raises(LazyLoadingError):
        _ = article.name


def test_instances_are_ordinary_peewee_instances(shop):
    _, articles, _ = shop
    article = articles.insert({"name": "pen", "price": 1})
    article.name = "pencil"
    assert article.dirty_field_names == ["name"]
    article.save()
    assert articles.find_by_id(article.id).name == "pencil"
    assert article.delete_instance() == 1
    assert articles.count() == 0


# Two names, and none that others use, since a name that one model has declared a secret is one for every model.
@pytest.mark.parametrize(("base", "secret"), [(Entity, "card_pin"), (peewee.Model, "door_code")])
def test_a_secret_number_is_stored_and_found_as_it_is(database, statements, base, secret):
    class Meta:
        table_name = "cards"

    Card = type(base)("Card", (base,), {  # noqa: N806
        "secret_columns": frozenset({secret}), secret: peewee.IntegerField(),
        "holder": peewee.TextField(null=True), "Meta": Meta,
    })  # fmt: skip
    database.raw_execute(
        f"CREATE TABLE cards (id {'SERIAL' if database.dialect == 'postgresql' else 'INTEGER'} PRIMARY KEY, "
        f"{secret} INTEGER, holder TEXT)"
    )
    cards = Manager(Card, database)
    assert getattr(cards.insert({secret: 1234}), secret) == 1234
    assert cards.batch_insert([{secret: 12341}, {secret: 2, "holder": "ada"}]) == 2
    returned = cards.batch_insert([{secret: 12343}, {secret: 4}], returning=True)
    assert [getattr(card, secret) for card in returned] == [12343, 4]
    assert cards.count({secret: [1234, 2, 12343]}) == 3
    assert len(cards.update({secret: 12345}, {"id": [1, 2]})) == 2
    stored = database.raw_query_all(f"SELECT {secret} AS number FROM cards ORDER BY id")
    assert [row["number"] for row in stored] == [12345, 12345, 2, 12343, 4]
    assert "1234" not in repr(statements)


class Note(peewee.Model):
    """As Peewee's users write them; the page on tables of one's own says what is different."""

    key = peewee.UUIDField(default=uuid4)
    at = peewee.DateTimeField(default=lambda: datetime(2026, 1, 2))
    wording = peewee.CharField(default="new")

    secret_columns = frozenset({"wording"})

    class Meta:
        table_name = "notes"


def test_what_is_different_from_an_entity(database, backend, statements):
    create_all(database.engine, [Note])
    notes = Manager(Note, database)
    note = notes.insert({})
    assert note.at == datetime(2026, 1, 2)
    with pytest.raises(InvalidValueError, match="expected a datetime without a time zone"):
        notes.insert({"at": datetime(2026, 1, 2, tzinfo=UTC)})
    assert repr(note) == "<Note: 1>"
    assert not hasattr(note, "to_dict")
    notes.update({"wording": "read"}, {"id": note.id})
    assert "read" not in repr(statements[-1][1])
    with pytest.raises(NotNullViolationError, match="key"):
        database.raw_execute("INSERT INTO notes (at, wording) VALUES ('2026-01-02', 'x')")
    if backend == "sqlite":
        assert database.raw_query_single("SELECT key FROM notes") == {"key": note.key.hex}


class Größe(peewee.Model):
    """As somebody writes models who does not think in English."""

    schlüssel = peewee.AutoField()
    länge = peewee.IntegerField(column_name="Längenmaß", unique=True)
    名前 = peewee.CharField(max_length=20)
    angaben = peewee.JSONField(null=True, column_name="dökument")

    class Meta:
        table_name = "größen_über_alles"


class Teil(peewee.Model):
    größe = peewee.ForeignKeyField(Größe, backref="teile", column_name="größe_id")

    class Meta:
        table_name = "teile_ß"


def test_names_beyond_ascii(database):
    create_all(database.engine, [Größe, Teil])
    größen, teile = Manager(Größe, database), Manager(Teil, database)
    first = größen.insert({"länge": 1, "名前": "x", "angaben": {"ä": 1}})
    assert größen.batch_insert([{"Längenmaß": number, "名前": "y"} for number in range(2, 6)]) == 4
    assert len(größen.batch_insert([{"länge": number, "名前": "y"} for number in (6, 7)], returning=True)) == 2
    assert größen.upsert({"länge": 1, "名前": "z"}, ["länge"]) == first
    assert größen.find_or_insert({"länge": 1, "名前": "?"}, ["Längenmaß"]) == (first, False)
    assert größen.count({"länge": [1, 2], "名前": operators.like("z%")}) == 1
    assert größen.count(Größe.名前 == "y") == 6
    page = größen.paginate_after(None, 4, order_by="名前")
    assert [row.länge for row in page.items] == [2, 3, 4, 5]
    assert [row.länge for row in größen.paginate_after(page.next_cursor, 4, order_by="名前").items] == [6, 7, 1]
    teile.insert({"größe": first.schlüssel})
    assert [teil.größe.名前 for teil in teile.find_all({"größe.名前": "z"}, include=("größe",))] == ["z"]
    few = {"teile": {"limit": 1, "order_by": "id"}}
    assert len(größen.find_one({"länge": 1}, include=few).teile) == 1
    assert len(größen.claim({"名前": "y"}, {"名前": "w"}, limit=2)) == 2
    assert [row.länge for row in größen.update({"名前": "v"}, {"名前": "w"})] == [2, 3]
    assert len(list(größen.iterate({"名前": "v"}))) == 2
    assert len(größen.raw('SELECT * FROM "größen_über_alles"')) == 7
    assert größen.delete({"名前": "v"}) == 2
    with pytest.raises(InvalidIdentifierError, match="größen_über_alles"):
        größen.query()
