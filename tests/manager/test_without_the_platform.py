"""The kit alone: a model of no component of ours, every operation of its manager, and no module of the platform."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from cloudpub_models import ALL_ROWS, Component, Database, Manager, Scope, operators
from cloudpub_models.entity import AutoField, CharField, Entity, ForeignKey, JsonField, TimestampField, UuidField
from cloudpub_models.schema import create_all
from cloudpub_models.schema.drift.compare import find_drift


class Shelf(Entity):
    id = AutoField()
    uuid = UuidField(unique=True)
    name = CharField(max_length=20, unique=True)

    class Meta:
        table_name = "shelves"


class Book(Entity):
    id = AutoField()
    uuid = UuidField(unique=True)
    shelf = ForeignKey(Shelf, backref="books", on_delete="CASCADE")
    title = CharField(max_length=50)
    extra = JsonField(null=True)
    added_at = TimestampField()
    updated_at = TimestampField(touched_on_update=True)

    class Meta:
        table_name = "books"
        indexes = ((("shelf", "title"), True),)


library = Component("library", models=(Shelf, Book))
database = Database(sys.argv[1], components=(library,), platform=False)
assert database.models == (Shelf, Book)
with database.bind():
    create_all(database.engine, database.models)
assert find_drift(database.engine, database.models) == []

shelves, books = Manager(Shelf, database), Manager(Book, database)
first, second = shelves.batch_insert([{"name": "a"}, {"name": "b"}], returning=True)
book = books.insert({"shelf_id": first.id, "title": "one", "extra": {"pages": 3}})
assert books.find_by_id(book.id) == books.find_by_uuid(book.uuid) == book
assert book.added_at.tzinfo is UTC and book.extra == {"pages": 3}
assert books.batch_insert({"shelf": second, "title": f"book {number}"} for number in range(500)) == 500
assert books.batch_insert([{"shelf": second, "title": "book 0"}], on_conflict="ignore") == 0
assert books.upsert({"shelf_id": first.id, "title": "one", "extra": None}, ["shelf_id", "title"]).extra is None
assert books.find_or_insert({"shelf_id": first.id, "title": "one"}, ["shelf_id", "title"]) == (book, False)
assert books.update_by_id(book.id, {"title": "two"}).updated_at > book.updated_at
assert len(books.update({"title": "three"}, {"title": "two"})) == 1
assert books.count() == 501 and books.exists({"title": operators.like("book%")})
assert books.find_one({"title": "three"}).id == book.id
assert len(books.find_all(Book.shelf == second, order_by=["title", ("id", "DESC")], limit=7, offset=1)) == 7
page = books.paginate_after(page_size=10, order_by="title")
assert books.paginate_after(page.next_cursor, 10, order_by="title").items[0].title > page.items[-1].title
assert books.paginate(2, 100).total == 501
assert [len(shelf.books) for shelf in shelves.find_all(order_by="id", include=("books",))] == [1, 500]
assert [len(s.books) for s in shelves.find_all(order_by="id", include={"books": {"limit": 2}})] == [1, 2]
assert sum(b.shelf.name == "b" for b in books.iterate(chunk_size=50, include=("shelf",))) == 500
assert len(books.claim({"shelf_id": second.id}, {"title": "claimed"}, limit=1)) == 1
assert len(shelves.has_many("books", "shelf_id", second.id, limit=3)) == 3
assert books.belongs_to("shelves", "shelf_id", first.id) == first
assert books.join_query("shelves", "books.shelf_id = shelves.id", select=["title", "shelves.name"], limit=1)
assert books.execute_query(books.query("b").select("COUNT(*) AS n")) == [{"n": 501}]
assert books.raw("SELECT id, title FROM books WHERE id = @id", {"id": book.id})[0].title == "three"
assert Manager(Book, database, scope=Scope({Book: {"shelf_id": first.id}})).count() == 1
with database.transaction():
    assert books.delete_by_id(book.id)
assert books.delete(ALL_ROWS) == 500
database.close()

loaded = {name.split(".")[1] for name in sys.modules if name.startswith("cloudpub_models.")}
print(*sorted(loaded & {"models", "platform", "dto", "cli", "legacy"}))
"""


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_every_operation_works_without_the_platform(request: pytest.FixtureRequest, backend: str) -> None:
    url = "sqlite:///:memory:" if backend == "sqlite" else request.getfixturevalue("empty_postgresql_url")
    done = subprocess.run([sys.executable, "-c", PROGRAM, url], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")
