"""Columns whose values do not compare as their forms do, and UUIDs that begin with the moment of their row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import peewee
import pytest

from cloudpub_models import Database, Function, Manager, Managers, operators
from cloudpub_models.entity import CharField, Entity, JsonField, UuidField
from cloudpub_models.entity.time_ordered import time_of
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, UnknownColumnError
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.platform.logs import FunctionLogManager
from tests.conftest import StatementRecord

NUMBERS = (0.1, 0.2, 0.3, -1.5, float("inf"), None)


class Reading(peewee.Model):
    value = peewee.FloatField(null=True)
    document = JsonField(null=True)

    class Meta:
        table_name = "reading"


@pytest.fixture
def readings(database: Database) -> Iterator[Manager[Reading]]:
    with database.engine.bind_ctx([Reading]):
        Reading.create_table()
        yield Manager(Reading, database)
        Reading.drop_table()


@pytest.fixture
def numbers(readings: Manager[Reading]) -> Manager[Reading]:
    readings.batch_insert([{"value": value} for value in NUMBERS])
    return readings


@pytest.mark.parametrize("value", [number for number in NUMBERS if number is not None])
def test_a_number_of_32_bits_equals_what_was_stored(numbers: Manager[Reading], value: float) -> None:
    conditions = [value, operators.eq(value), operators.between(value, value)]
    if value != float("inf"):  # which JSON does not have
        conditions.append([value, 77.0])
    for condition in conditions:
        assert [row.value for row in numbers.find_all({"value": condition})] == [value]
        assert numbers.execute_query(numbers.query().select("value").where("value", condition)) == [{"value": value}]
    smaller = [other for other in NUMBERS if other is not None and other < value]
    assert numbers.count({"value": operators.lt(value)}) == len(smaller)
    assert numbers.count({"value": operators.le(value)}) == len(smaller) + 1
    assert numbers.count({"value": operators.ge(value)}) == len(NUMBERS) - 1 - len(smaller)
    assert numbers.count({"value": operators.gt(value)}) == len(NUMBERS) - 2 - len(smaller)
    assert numbers.count({"value": operators.ne(value)}) == len(NUMBERS) - 2
    assert len(numbers.update({"document": [1]}, {"value": value})) == 1
    assert numbers.delete({"value": value}) == 1


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("nullable", [False, True])
def test_pages_by_a_number_of_32_bits_give_every_row_once(
    numbers: Manager[Reading], direction: Any, *, nullable: bool
) -> None:
    where = None if nullable else {"value": operators.lt(1)}
    found: list[float | None] = []
    cursor = None
    for _ in range(len(NUMBERS) + 1):
        page = numbers.paginate_after(cursor, 1, where, order_by="value", order_direction=direction)
        found += [row.value for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [row.value for row in numbers.find_all(where, order_by="value", order_direction=direction)]


def test_a_foreign_key_compares_as_the_column_that_it_refers_to(database: Database) -> None:
    class Size(peewee.Model):
        width = peewee.FloatField(primary_key=True)

        class Meta:
            table_name = "sizes"

    class Box(peewee.Model):
        size = peewee.ForeignKeyField(Size, backref="boxes")

        class Meta:
            table_name = "boxes"

    with database.engine.bind_ctx([Size, Box]):
        Size.create_table()
        Box.create_table()
        sizes, boxes = Manager(Size, database), Manager(Box, database)
        sizes.insert({"width": 0.1})
        boxes.insert({"size": 0.1})
        assert boxes.count({"size": 0.1}) == 1
        assert sizes.find_by_id(0.1, id_column="width").width == 0.1
        assert [len(size.boxes) for size in sizes.find_all(include=("boxes",))] == [1]
        Box.drop_table()
        Size.drop_table()


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.usefixtures("backend")
def test_the_value_becomes_what_the_column_is(readings: Manager[Reading], statements: StatementRecord) -> None:
    readings.count({"value": 0.1})
    readings.count({"value": [0.1]})
    assert statements.sql == [
        "SELECT COUNT(*) AS count FROM reading WHERE value = CAST(%s AS real)",
        "SELECT COUNT(*) AS count FROM reading WHERE value = ANY(%s)",
    ]


SAME = [
    ({"b": 1, "a": [True, None, "é"]}, '{ "a": [true,null,"\\u00e9"],  "b": 1.0 }'),
    ([2.5, 100], "[2.50, 1e2]"),
    ({"n": 0}, '{"n": -0.0}'),
    ("text", '"t\\u0065xt"'),
    ([12345678901234567890.0], "[12345678901234567000]"),
]


@pytest.mark.parametrize(("document", "text"), SAME)
def test_equal_documents_are_found_however_they_are_written(
    readings: Manager[Reading], document: Any, text: str
) -> None:
    # As another program would have written it.
    readings.database.raw_execute("INSERT INTO reading (document) VALUES (@text)", {"text": text})
    readings.insert({"document": {"another": 1}})
    readings.insert({"document": None})
    # A list by itself is several values.
    plain = () if isinstance(document, list) else (document, operators.eq(document))
    for condition in (*plain, [document], operators.in_([document, {"b": 2}])):
        assert [row.id for row in readings.find_all({"document": condition})] == [1]
        assert readings.execute_query(readings.query().select("id").where("document", condition)) == [{"id": 1}]
    assert readings.count({"document": operators.ne([document])}) == 1
    assert readings.count({"document": operators.not_in([document])}) == 1
    assert readings.count({"document": operators.in_([document, None])}) == 2
    assert readings.find_or_insert({"document": document}, ["document"]) == (readings.find_by_id(1), False)
    assert readings.delete({"document": [document]}) == 1


@pytest.mark.parametrize(("first", "second"), [([1], [True]), ([0], [False]), (["1"], [1]), ([], {}), ([1, 2], [2, 1])])
def test_documents_that_differ_do_so_to_the_database(readings: Manager[Reading], first: Any, second: Any) -> None:
    readings.insert({"document": first})
    assert (readings.count({"document": [first]}), readings.count({"document": [second]})) == (1, 0)


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.usefixtures("backend")
def test_text_that_is_no_document_equals_nothing_and_breaks_nothing(readings: Manager[Reading]) -> None:
    readings.database.raw_execute("INSERT INTO reading (document) VALUES ('{no json')")
    assert readings.count({"document": {"a": 1}}) == 0


class Mark(peewee.Model):
    subject = peewee.CharField()
    pupil = peewee.IntegerField()
    seat = peewee.IntegerField(null=True, unique=True)

    class Meta:
        table_name = "marks"
        primary_key = False
        indexes = ((("subject", "pupil"), True),)


@pytest.mark.parametrize("order", [["subject"], ["pupil"], ["seat"], ["seat", "subject"], None])
def test_pages_by_an_order_that_does_not_tell_rows_apart_are_refused(database: Database, order: Any) -> None:
    with pytest.raises(InvalidQueryError, match="expected an order that tells the rows of marks apart, which has no"):
        Manager(Mark, database).paginate_after(order_by=order)


def test_combinations_of_columns_are_not_remembered_without_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudpub_models.manager.columns.table._MOST_COMBINATIONS", 2)
    table = Manager(Mark, database).table
    for data in ({"subject": "a"}, {"pupil": 1}, {"seat": 1}, {"seat": 1, "pupil": 1}):
        assert table.columns_of(data).names == tuple(data)
        assert len(table.by_keys) <= 2


def test_unique_columns_stand_in_for_a_primary_key(database: Database) -> None:
    with database.engine.bind_ctx([Mark]):
        Mark.create_table()
        marks = Manager(Mark, database)
        marks.batch_insert([{"subject": subject, "pupil": number} for subject in "ab" for number in range(3)])
        seen: list[tuple[str, int]] = []
        cursor = None
        while True:
            page = marks.paginate_after(cursor, 2, order_by=["pupil", "subject"])
            seen += [(mark.subject, mark.pupil) for mark in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == [(subject, number) for number in range(3) for subject in "ab"]
        Mark.drop_table()


LONG_AGO = datetime(2001, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)


@pytest.fixture
def resize(managers: Managers) -> Function:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


def line(function: Function, message: str = "m", **values: object) -> dict[str, Any]:
    return {"function_id": function.id, "level": "info", "message": message, **values}


WAYS: dict[str, Callable[[FunctionLogManager, dict[str, Any]], object]] = {
    "insert": lambda logs, row: logs.insert(row),
    "upsert": lambda logs, row: logs.upsert(row | {"id": 7}, ["id"]),
    "upsert with an expression": lambda logs, row: logs.upsert(
        row | {"id": 7}, ["id"], update_columns={"level": "warn"}
    ),
    "find_or_insert": lambda logs, row: logs.find_or_insert(row | {"id": 7}, ["id"]),
    "batch_insert": lambda logs, row: logs.batch_insert([row]),
    "batch_insert that returns": lambda logs, row: logs.batch_insert([row], returning=True),
    "batch_insert that ignores": lambda logs, row: logs.batch_insert([row], on_conflict="ignore"),
    "batch_insert that updates": lambda logs, row: logs.batch_insert(
        [row | {"id": 7}], on_conflict="update", conflict_columns=["id"]
    ),
    "batch_insert of unequal rows": lambda logs, row: logs.batch_insert(
        [row, row | {"uuid": uuid4(), "level": "other"}]
    ),
    "batch_insert with and without a moment": lambda logs, row: logs.batch_insert(
        [row, {name: row[name] for name in row if name not in ("timestamp", "uuid")} | {"level": "other"}]
    ),
}


@pytest.mark.usefixtures("plain_tables")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("moment", [LONG_AGO, LONG_AGO.astimezone(timezone(timedelta(hours=9))), LONG_AGO.isoformat()])
def test_a_uuid_begins_with_the_moment_of_its_row(
    managers: Managers, resize: Function, way: str, moment: object
) -> None:
    WAYS[way](managers.function_logs, line(resize, timestamp=moment))
    found = managers.function_logs.find_all({"level": "info"})
    assert [(time_of(row.uuid), row.timestamp) for row in found] == [(LONG_AGO, LONG_AGO)]


@pytest.mark.usefixtures("plain_tables")
@pytest.mark.parametrize("way", WAYS)
def test_a_uuid_begins_with_the_current_moment_where_the_row_has_none(
    managers: Managers, resize: Function, way: str
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=60)
    if way == "batch_insert with and without a moment":
        managers.function_logs.append(resize, "info", "m")
    else:
        WAYS[way](managers.function_logs, line(resize))
    (row,) = managers.function_logs.find_all({"level": "info"})
    moment = time_of(row.uuid)
    assert moment is not None
    assert before < moment < datetime.now(UTC) + timedelta(seconds=60)


@pytest.mark.usefixtures("plain_tables")
@pytest.mark.parametrize("way", WAYS)
def test_a_uuid_that_is_given_stays_whatever_its_version(managers: Managers, resize: Function, way: str) -> None:
    given = uuid4()
    WAYS[way](managers.function_logs, line(resize, uuid=given, timestamp=LONG_AGO))
    assert {row.uuid for row in managers.function_logs.find_all({"level": "info"})} == {given}
    assert managers.function_logs.find_by_uuid(given) is not None


@pytest.mark.usefixtures("plain_tables")
def test_a_row_that_is_there_keeps_its_uuid(managers: Managers, resize: Function) -> None:
    first = managers.function_logs.insert(line(resize))
    again = managers.function_logs.upsert(line(resize, "other", id=first.id), ["id"])
    managers.function_logs.batch_insert(
        [line(resize, "last", id=first.id)], on_conflict="update", conflict_columns=["id"]
    )
    (row,) = managers.function_logs.find_all()
    assert (row.message, row.uuid, again.uuid) == ("last", first.uuid, first.uuid)


def test_the_moment_has_to_be_a_timestamp_of_the_table() -> None:
    class Event(Entity):
        uuid = UuidField(primary_key=True, time_from="name")
        name = CharField()

    with pytest.raises(InvalidQueryError, match=r"expected time_from of event.uuid to name a TimestampField; got name"):
        table_of(Event)

    class Other(Entity):
        uuid = UuidField(primary_key=True, time_from="moment")

    with pytest.raises(UnknownColumnError, match="other has no column 'moment'"):
        table_of(Other)


@pytest.mark.parametrize("number", [2**31, 2**63 - 1])
def test_ids_of_64_bits_are_written_and_found(managers: Managers, resize: Function, number: int) -> None:
    row = managers.function_logs.insert(line(resize, id=number))
    assert managers.function_logs.find_by_id(number) == row
    assert managers.function_logs.find_all({"id": [number, 1]}) == [row]
    assert managers.function_logs.count({"id": operators.between(number - 1, number)}) == 1
    assert managers.function_logs.batch_insert([line(resize, id=number - 1)]) == 1
    with pytest.raises(InvalidValueError, match="function_logs.id"):
        managers.function_logs.find_by_id(2**63)


@pytest.mark.parametrize("names", ["email", {"email": 1}, 5, None, object()])
def test_names_of_columns_are_a_list_of_them(names: Any) -> None:
    with pytest.raises(InvalidQueryError, match="expected key_columns to be a list of column names"):
        table_of(Function).named(names, "key_columns")
