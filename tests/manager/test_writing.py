"""Which row an upsert, a find_or_insert or a batch means: unique columns, NULLs and conditions of indexes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time
from typing import Any
from uuid import UUID

import peewee
import pytest

from cloudpub_models import Database, Manager, errors
from cloudpub_models.entity import JsonField
from tests.conftest import StatementRecord


class Seat(peewee.Model):
    room = peewee.IntegerField(null=True)
    place = peewee.CharField()
    guest = peewee.CharField(null=True)

    class Meta:
        table_name = "seats"
        indexes = ((("room", "place"), True),)


class Address(peewee.Model):
    email = peewee.CharField()
    state = peewee.CharField(default="it's 100% right")
    active = peewee.BooleanField(default=True)
    left = peewee.DateTimeField(null=True)
    note = peewee.TextField(null=True)

    class Meta:
        table_name = "addresses"


class Page(peewee.Model):
    key = JsonField(unique=True)
    title = peewee.CharField()

    class Meta:
        table_name = "pages"


class Shelf(peewee.Model):
    code = peewee.CharField()
    kind = peewee.CharField()

    class Meta:
        table_name = "shelves"


AT_HAND = (
    Address.left.is_null(),
    Address.active == True,  # noqa: E712 - an expression of Peewee's
    Address.state == "it's 100% right",
    (Address.active == True) & (Address.left.is_null()),  # noqa: E712
)


@pytest.fixture
def seats(database: Database) -> Iterator[Manager[Seat]]:
    with database.engine.bind_ctx([Seat]):
        Seat.create_table()
        yield Manager(Seat, database)
        Seat.drop_table()


def test_null_is_the_same_as_null(seats: Manager[Seat], statements: StatementRecord) -> None:
    first = seats.upsert({"room": None, "place": "A1", "guest": "ada"}, ["room", "place"])
    statements.clear()
    second = seats.upsert({"room": None, "place": "A1", "guest": "alan"}, ["room", "place"])
    assert [sql.split()[0] for sql in statements.sql] == ["UPDATE"]
    assert (second.id, second.guest) == (first.id, "alan")
    assert seats.find_or_insert({"room": None, "place": "A1"}, ["room", "place"]) == (first, False)
    assert seats.upsert({"room": None, "place": "A2"}, ["room", "place"]).id != first.id
    assert seats.upsert({"room": 1, "place": "A1"}, ["room", "place"]).id != first.id
    assert seats.count() == 3
    # Nothing to update.
    assert seats.upsert({"room": None, "place": "A1"}, ["room", "place"]).guest == "alan"


def test_a_null_that_is_no_part_of_the_key_takes_one_statement(
    seats: Manager[Seat], statements: StatementRecord
) -> None:
    for _ in range(2):
        seats.upsert({"room": 1, "place": "A1", "guest": None}, ["room", "place"])
    assert [sql.split()[0] for sql in statements.sql] == ["INSERT", "INSERT"]
    assert seats.count() == 1


def test_what_fails_after_the_search_leaves_nothing(seats: Manager[Seat]) -> None:
    with pytest.raises(errors.NotNullViolationError):
        seats.upsert({"room": None, "place": None}, ["room", "place"])
    assert seats.count() == 0


def test_a_batch_inserts_what_has_null_in_its_key(seats: Manager[Seat]) -> None:
    rows = [{"room": None, "place": "A1"}] * 2
    assert seats.batch_insert(rows, on_conflict="update", conflict_columns=["room", "place"]) == 2
    assert seats.batch_insert(rows, on_conflict="ignore", conflict_columns=["room", "place"]) == 2


@pytest.fixture(params=range(len(AT_HAND)))
def addresses(database: Database, request: pytest.FixtureRequest) -> Iterator[Manager[Address]]:
    """Addresses of which those at hand are unique, by one condition or another."""
    Address._meta.indexes = [Address.index(Address.email, unique=True, where=AT_HAND[request.param])]
    manager = Manager(Address, database)
    manager.table.unique_index.cache_clear()
    with database.engine.bind_ctx([Address]):
        Address.create_table()
        yield manager
        Address.drop_table()
    Address._meta.indexes = []


def test_a_unique_index_with_a_condition_is_the_target_of_a_conflict(addresses: Manager[Address]) -> None:
    gone: dict[str, Any] = {"email": "a@x", "left": "2024-05-01 12:00:00", "active": False, "state": "gone"}
    addresses.batch_insert([gone, gone])
    first, inserted = addresses.find_or_insert({"email": "a@x"}, ["email"])
    assert inserted
    assert addresses.find_or_insert({"email": "a@x", "note": "?"}, ["email"]) == (first, False)
    changed = addresses.upsert({"email": "a@x", "note": "b"}, ["email"])
    assert (changed.id, changed.note) == (first.id, "b")
    addresses.batch_insert([{"email": "a@x"}], on_conflict="ignore", conflict_columns=["email"])
    rows = [{"email": "a@x", "note": "c"}, {"email": "b@x", "note": "d"}]
    updated = addresses.batch_insert(rows, on_conflict="update", conflict_columns=["email"], returning=True)
    assert [row.note for row in updated] == ["c", "d"]
    addresses.upsert({**gone, "note": "another one that is gone"}, ["email"])
    assert addresses.count({"email": "a@x"}) == 4


def test_of_two_indexes_over_the_same_columns_none_is_chosen(database: Database) -> None:
    def where(kind: str) -> Any:
        return Shelf.index(Shelf.code, unique=True, where=(Shelf.kind == kind), name=f"shelves_{kind}")

    Shelf._meta.indexes = [where("high"), where("low")]
    with pytest.raises(errors.InvalidQueryError, match="expected one unique index of shelves over code; got 2"):
        Manager(Shelf, database).upsert({"code": "a", "kind": "high"}, ["code"])


def test_documents_that_are_equal_are_one_key(database: Database) -> None:
    with database.engine.bind_ctx([Page]):
        Page.create_table()
        pages = Manager(Page, database)
        first = pages.upsert({"key": {"a": 1, "b": [2]}, "title": "one"}, ["key"])
        second = pages.upsert({"key": {"b": [2.0], "a": 1}, "title": "two"}, ["key"])
        assert (second.id, second.title, pages.count()) == (first.id, "two", 1)
        assert pages.find_or_insert({"key": {"b": [2.0], "a": 1.0}, "title": "three"}, ["key"]) == (second, False)
        Page.drop_table()


def test_a_claim_that_changes_the_primary_key_is_refused(seats: Manager[Seat], statements: StatementRecord) -> None:
    with pytest.raises(errors.InvalidValueError, match="expected changes beside the primary key"):
        seats.claim({}, {"id": 7})
    assert statements == []


KEYS: dict[str, tuple[Any, list[Any]]] = {
    "uuid": (peewee.UUIDField, [UUID(int=number) for number in (1, 2, 3)]),
    "date": (peewee.DateField, [date(2024, 1, day) for day in (1, 2, 3)]),
    "time": (peewee.TimeField, [time(1, minute, microsecond=5) for minute in (1, 2, 3)]),
    "bytes": (peewee.BlobField, [b"a", b"b", b"c"]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_claim_gives_back_all_that_it_has_changed_whatever_their_keys(
    database: Database, backend: str, kind: str
) -> None:
    field, keys = KEYS[kind]

    class Job(peewee.Model):
        key = field(primary_key=True)
        state = peewee.CharField()

        class Meta:
            table_name = "jobs"

    with database.engine.bind_ctx([Job]):
        Job.create_table()
        jobs = Manager(Job, database)
        for key in keys:
            jobs.insert({"key": key, "state": "pending"})
        if (backend, kind) == ("sqlite", "bytes"):
            with pytest.raises(errors.InvalidValueError, match="a list of members can hold on SQLite; got bytes"):
                jobs.claim({"state": "pending"}, {"state": "running"}, limit=2)
            assert jobs.count({"state": "pending"}) == 3
            return
        taken = [jobs.claim({"state": "pending"}, {"state": "running"}, limit=2, order_by="key") for _ in range(3)]
        assert [[bytes(job.key) if kind == "bytes" else job.key for job in each] for each in taken] == [
            keys[:2],
            keys[2:],
            [],
        ]
        Job.drop_table()
