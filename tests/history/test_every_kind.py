"""A value of each kind of column is in the log as exactly as it was in its row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from cloudpub_models import Component, Database, Manager, Managers, errors
from cloudpub_models.entity import (
    AutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    DateField,
    DecimalField,
    DoubleField,
    Entity,
    ForeignKey,
    JsonField,
    TimeField,
    TimestampField,
)
from tests.history.test_changes import later_than_all_changes


class Thing(Entity):
    id = AutoField()
    part_of = ForeignKey("self", null=True, backref="parts")
    price = DecimalField(max_digits=30, decimal_places=10, null=True)
    ratio = DoubleField(null=True)
    picture = BlobField(null=True)
    document = JsonField(null=True)
    big = BigIntegerField(null=True)
    day = DateField(null=True)
    hour = TimeField(null=True)
    at = TimestampField(null=True)
    is_good = BooleanField(null=True)
    odd = CharField(column_name="Größe_It", null=True)

    class Meta:
        table_name = "Odd_Things"
        tracked = True


@pytest.fixture
def things(database_url: str) -> Iterator[Manager[Thing]]:
    database = Database(database_url, components=(Component("things", [Thing]),))
    database.migrate()
    with database.bind_ctx([Thing]):
        database.create_tables([Thing])
    database.history.enable()
    yield Managers(database).for_model(Thing)
    database.close()


@pytest.fixture
def values(backend: str) -> dict[str, Any]:
    # SQLite keeps no decimal beyond 64 bits.
    price = "1234567.8901234567" if backend == "sqlite" else "12345678901234567890.0123456789"
    return {
        "price": Decimal(price),
        "ratio": 0.1 + 0.2,
        "picture": bytes(range(256)),
        "document": {"a": [1, None, 1.5, {"é": "x'00'"}], "n": 10**18},
        "big": 2**63 - 1,
        "day": date(2026, 1, 2),
        "hour": time(12, 13, 14, 1),
        "at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        "is_good": True,
        "odd": "x'00' 100% \"it's\" %s ?",
    }


def test_an_update_of_all_is_seen_looked_behind_and_undone(things: Manager[Thing], values: dict[str, Any]) -> None:
    thing = things.insert(values)
    whole = things.get_by_id(thing.id).to_dict()
    then = later_than_all_changes()
    things.update_by_id(thing.id, dict.fromkeys(values))
    change = things.history(thing.id)[0]
    assert change.before == {("Größe_It" if name == "odd" else name): value for name, value in values.items()}
    assert things.as_of(then).get_by_id(thing.id).to_dict() == whole
    assert things.as_of(then).count({name: value for name, value in values.items() if name != "document"}) == 1
    things.database.undo(change.transaction_id)
    assert things.get_by_id(thing.id).to_dict() == whole


def test_a_deleted_row_is_seen_and_comes_back_as_it_was(things: Manager[Thing], values: dict[str, Any]) -> None:
    thing = things.insert(values)
    whole = things.get_by_id(thing.id).to_dict()
    then = later_than_all_changes()
    things.delete_by_id(thing.id)
    assert things.as_of(then).get_by_id(thing.id).to_dict() == whole
    assert things.undelete(thing.id).row.to_dict() == whole


@pytest.mark.parametrize("ratio", [float("inf"), float("-inf"), 1.0, -2.5e-7, 123456789.01234567, 1e22])
def test_a_number_with_a_fraction_is_exact(things: Manager[Thing], ratio: float) -> None:
    thing = things.insert({"ratio": ratio})
    then = later_than_all_changes()
    things.delete_by_id(thing.id)
    assert things.history(thing.id)[0].before["ratio"] == ratio
    assert things.as_of(then).get_by_id(thing.id).ratio == ratio
    assert things.undelete(thing.id).row.ratio == ratio


def test_rows_of_one_statement_that_refer_to_one_another_are_undone(things: Manager[Thing]) -> None:
    sql = 'INSERT INTO "Odd_Things" (id, part_of_id) VALUES (3, 2), (2, 1), (1, NULL), (4, 4)'
    things.database.raw_execute(sql)
    transaction = things.history(1)[0].transaction_id
    things.insert({"id": 9, "part_of_id": 1})
    with pytest.raises(errors.HistoryConflictError, match="expected a row to which nothing refers; got Odd_Things 1,"):
        things.database.undo(transaction)
    assert things.count() == 5
    things.delete_by_id(9)
    assert things.database.undo(transaction).counts == {"Odd_Things": 4}
    assert things.count() == 0


def test_what_the_database_computes_itself_is_computed_again(things: Manager[Thing], backend: str) -> None:
    kept = "STORED" if backend == "postgresql" else "VIRTUAL"
    computed = f"twice INTEGER GENERATED ALWAYS AS (id * 2) {kept}"
    things.database.raw_execute(f'ALTER TABLE "Odd_Things" ADD COLUMN {computed}')
    things.database.history.keep_current()
    thing = things.insert({"ratio": 1.0})
    things.delete_by_id(thing.id)
    assert things.undelete(thing.id).left_out == ()
    assert things.database.raw_query_all('SELECT twice FROM "Odd_Things"') == [{"twice": thing.id * 2}]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_column_whose_type_has_no_equality_can_be_updated(things: Manager[Thing]) -> None:
    things.database.raw_execute('ALTER TABLE "Odd_Things" ADD COLUMN extra JSON, ADD COLUMN place POINT')
    thing = things.insert({"ratio": 1.0})
    things.database.raw_execute("""UPDATE "Odd_Things" SET extra = '{"a": [1]}', place = '(1,2)'""")
    assert things.history(thing.id)[0].after == {"extra": {"a": [1]}, "place": "(1,2)"}
    things.delete_by_id(thing.id)
    things.undelete(thing.id)
    row = {"extra": '{"a": [1]}', "place": "(1,2)"}
    found = things.database.raw_query_all('SELECT extra::text AS extra, place::text AS place FROM "Odd_Things"')
    assert found == [row]


@pytest.mark.parametrize("key", ["1", None, True, 1.0, (1,), [1]])
def test_a_key_that_is_none_is_refused(things: Manager[Thing], key: Any) -> None:
    history = things.database.history
    for ask in (history.of_row, history.forget, history.undelete):
        with pytest.raises(errors.InvalidValueError, match="expected id of Odd_Things to be an integer; got"):
            ask("Odd_Things", key)


def test_a_row_does_not_come_back_under_another_key(things: Manager[Thing]) -> None:
    thing = things.insert({"ratio": 1.0})
    things.delete_by_id(thing.id)
    with pytest.raises(errors.InvalidValueError, match="expected values for columns beside the primary key; got one"):
        things.undelete(thing.id, {"id": 99})
    assert things.count() == 0


def test_rows_of_the_same_table_that_go_along_are_counted_and_recorded_once(database_url: str) -> None:
    class Branch(Entity):
        id = AutoField()
        parent = ForeignKey("self", null=True, backref="branches", on_delete="CASCADE")

        class Meta:
            table_name = "branches"
            tracked = True

    database = Database(database_url, components=(Component("branches", [Branch]),), platform=False)
    with database.bind_ctx([Branch]):
        database.create_tables([Branch])
    database.history.enable()
    branches = Managers(database).for_model(Branch)
    root = branches.insert({})
    twig = branches.insert({"parent_id": root.id})
    leaves = [branches.insert({"parent_id": twig.id}) for _ in range(3)]
    assert branches.delete_preview({"id": root.id}) == {"branches": 5}
    assert branches.delete_preview({"id": [root.id, twig.id]}) == {"branches": 5}
    there = branches.find_all(order_by="id")
    for gone in ({"id": root.id}, {"id": [root.id, leaves[1].id]}):
        branches.delete(gone)
        recorded = database.history.of_transaction(branches.history(root.id)[0].transaction_id)
        assert sorted((change.operation, change.row_id) for change in recorded) == [
            ("delete", each.id) for each in (root, twig, *leaves)
        ]
        assert branches.undelete(root.id).counts == {"branches": 5}
        assert branches.find_all(order_by="id") == there
    database.close()


def test_a_row_that_came_back_differs_by_what_was_changed(things: Manager[Thing]) -> None:
    thing = things.insert({"odd": "a", "ratio": 1.5})
    then = later_than_all_changes()
    things.update_by_id(thing.id, {"odd": "b"})
    things.delete_by_id(thing.id)
    assert things.diff(thing.id, since=then)["ratio"] == (1.5, None)
    things.undelete(thing.id)
    assert things.diff(thing.id, since=then) == {"Größe_It": ("a", "b")}
