"""Rows on their way into an archive: which, whether all of them arrive, and what is left when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudpub_models import Database, Function, Manager, Managers
from cloudpub_models.archive import writing
from cloudpub_models.archive.reading import fetched, opened
from cloudpub_models.entity import (
    AutoField,
    BooleanField,
    CharField,
    DecimalField,
    DoubleField,
    Entity,
    JsonField,
    SmallIntegerField,
    TimestampField,
)
from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from tests.archive.conftest import APRIL


def everything(managers: Managers) -> list[dict[str, Any]]:
    return [row.to_dict() for row in managers.function_invocations.find_all(order_by="id")]


def archived(managers: Managers, place: Path) -> list[dict[str, Any]]:
    return managers.archive(place).find()


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["id"])


def test_whole_months_are_moved_and_nothing_is_lost_or_doubled(
    managers: Managers, invocations: list[datetime], place: Path
) -> None:
    before = everything(managers)
    seen: list[int] = []
    months = managers.archive(place).move("function_invocations", APRIL, progress=seen.append)
    assert [f"{month.begin:%Y-%m}" for month in months] == ["2026-01", "2026-02", "2026-03"]
    left = everything(managers)
    assert {row["timestamp"] >= APRIL for row in left} == {True}
    assert in_order(archived(managers, place) + left) == before
    assert [(month.written, month.deleted, month.kept) for month in months] == [
        (count, count, 0) for count in (sum(moment.month == number for moment in invocations) for number in (1, 2, 3))
    ]
    assert seen[-1] == len(before) - len(left)
    assert sorted(path.suffix for path in place.iterdir()) == [".lock", ".parquet", ".parquet", ".parquet"]
    assert managers.archive(place).move("function_invocations", APRIL) == []


def test_a_month_that_has_not_ended_before_the_moment_stays(
    managers: Managers, invocations: list[datetime], place: Path
) -> None:
    assert managers.archive(place).move("function_invocations", APRIL - timedelta(microseconds=1))[-1].begin.month == 2
    assert min(row["timestamp"] for row in everything(managers)) == datetime(2026, 3, 1, tzinfo=UTC)


def test_rows_that_come_late_get_a_file_of_their_own(
    managers: Managers, resize: Function, invocations: list[datetime], place: Path
) -> None:
    archive = managers.archive(place)
    archive.move("function_invocations", APRIL)
    late = managers.function_invocations.insert(
        {"function_id": resize.id, "status": "late", "timestamp": datetime(2026, 2, 3, tzinfo=UTC)}
    )
    (month,) = archive.move("function_invocations", APRIL)
    assert (month.written, month.deleted) == (1, 1)
    assert archive.find({"status": "late"}) == [late.to_dict()]
    assert len(list(place.glob("*.2026-02.*.parquet"))) == 2


class Interrupted(BaseException):
    pass


def stop(*_: object) -> Any:
    raise Interrupted


def before_the_file_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "keep", stop)


def before_the_file_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing._Mover, "_compare", stop)


def before_anything_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing._Mover, "_delete_what_is_in", stop)


def when_some_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    delete = writing._Mover._delete_equal
    calls: list[object] = []

    def once(mover: Any, rows: Any, month: Any) -> Any:
        if calls:
            raise Interrupted
        calls.append(rows)
        return delete(mover, rows, month)

    monkeypatch.setattr(writing, "_DELETED_AT_A_TIME", 10)
    monkeypatch.setattr(writing._Mover, "_delete_equal", once)


@pytest.mark.parametrize(
    "interrupt",
    [before_the_file_is_there, before_the_file_is_compared, before_anything_is_deleted, when_some_is_deleted],
)
def test_interrupted_it_is_completed_by_the_same_call(
    managers: Managers,
    invocations: list[datetime],
    place: Path,
    interrupt: Callable[[pytest.MonkeyPatch], None],
) -> None:
    before = everything(managers)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        interrupt(patch)
        managers.archive(place).move("function_invocations", APRIL)
    # What is in neither is lost.
    kept = {row["id"] for row in everything(managers)}
    if list(place.glob("*.parquet")):
        kept |= {row["id"] for row in archived(managers, place)}
    assert kept == {row["id"] for row in before}
    managers.archive(place).move("function_invocations", APRIL)
    assert in_order(archived(managers, place) + everything(managers)) == before
    assert list(place.glob("*.part*")) == []


def test_a_row_that_was_changed_after_it_was_written_stays(
    managers: Managers, invocations: list[datetime], place: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        before_anything_is_deleted(patch)
        managers.archive(place).move("function_invocations", APRIL)
    first = managers.function_invocations.find_one(order_by="timestamp")
    assert first is not None
    managers.function_invocations.update_by_id(first.id, {"error": "found out later"})
    january = managers.archive(place).move("function_invocations", datetime(2026, 2, 1, tzinfo=UTC))
    assert [(month.written, month.kept) for month in january] == [(0, 1)]
    assert [row["id"] for row in everything(managers) if row["timestamp"].month == 1] == [first.id]
    assert managers.archive(place).count({"id": first.id}) == 1


class Reading(Entity):
    id = AutoField()
    level = SmallIntegerField(null=True)
    value = DoubleField(null=True)
    good = BooleanField(null=True)
    document = JsonField(null=True)
    name = CharField(max_length=20, null=True)
    taken_at = TimestampField()

    class Meta:
        table_name = "archived_readings"
        partitioned_by = "taken_at"


@pytest.fixture
def readings(database: Database) -> Any:
    with database.engine.bind_ctx([Reading]):
        Reading.create_table()
        yield Manager(Reading, database)
        Reading.drop_table()


def test_every_kind_of_column_comes_back(readings: Manager[Reading], place: Path) -> None:
    moment = datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)
    readings.batch_insert(
        [
            {
                "level": -(2**15),
                "value": 0.1,
                "good": True,
                "document": {"a": [1, None, "ü"]},
                "name": "",
                "taken_at": moment,
            },
            {"level": 2**15 - 1, "value": -1e300, "good": False, "document": [], "name": "NULL", "taken_at": moment},
            {"taken_at": moment},
        ]
    )
    before = [row.to_dict() for row in readings.find_all(order_by="id")]
    (month,) = writing.move(readings, place, APRIL)
    assert (month.written, month.deleted, month.kept, readings.count()) == (3, 3, 0, 0)
    files, connection = opened(place)
    with connection:
        _, rows = fetched(connection, "SELECT level, value, good, document, name FROM archived_readings ORDER BY id")
    assert rows == [
        (-(2**15), 0.1, True, '{"a":[1,null,"ü"]}', ""),
        (2**15 - 1, -1e300, False, "[]", "NULL"),
        (None, None, None, None, None),
    ]
    assert [file.rows for file in files] == [len(before)]


def test_what_cannot_be_archived_is_refused_before_anything_is_made(managers: Managers, place: Path) -> None:
    class Priced(Entity):
        id = AutoField()
        price = DecimalField()
        timestamp = TimestampField()

    class Timeless(Entity):
        id = AutoField()

    class Named(Entity):
        name = CharField(primary_key=True)
        timestamp = TimestampField()

    for manager, message in (
        (managers.users, "expected a table without secrets to archive; got users, with password_hash"),
        (Manager(Priced, managers.database), "to archive; got priced.price, a DecimalField"),
        (Manager(Timeless, managers.database), "a moment that its rows are archived by; got timeless"),
        (Manager(Named, managers.database), "a primary key of one integer to archive; got named"),
    ):
        with pytest.raises(InvalidValueError, match=message):
            list(writing.move(manager, place, APRIL))
    assert not place.exists()


def test_inside_a_transaction_nothing_is_archived(managers: Managers, invocations: list[datetime], place: Path) -> None:
    with managers.database.transaction(), pytest.raises(InvalidQueryError, match="expected no open transaction"):
        managers.archive(place).move("function_invocations", APRIL)
    assert not place.exists()


def test_a_file_that_somebody_changed_is_told_and_no_row_is_deleted_by_it(
    managers: Managers, invocations: list[datetime], place: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        before_anything_is_deleted(patch)
        managers.archive(place).move("function_invocations", APRIL)
    (path,) = place.glob("*.parquet")
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    count = managers.function_invocations.count()
    with pytest.raises(InvalidValueError, match="as it was written; got one that somebody has changed"):
        managers.archive(place).move("function_invocations", APRIL)
    assert managers.function_invocations.count() == count
