"""Nasty values into every type of column, by every way in: an equal value back or one typed error before the wire.

The verdicts of both databases are held against each other, and against what the values themselves say.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

import peewee
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpub_models import Database, Manager, Managers, operators
from cloudpub_models.errors import CloudpubError, InvalidValueError
from tests.abuse.samples import FOREIGN, OURS, Sample

REFUSED = "refused"
_NEW_ID = 10**6


class UndoneError(Exception):
    pass


@contextmanager
def undone(database: Database) -> Iterator[None]:
    try:
        with database.transaction():
            yield
            raise UndoneError
    except UndoneError:
        pass


class Ways:
    """The ways of a value into a column of one table of one database, each leading back to what was stored."""

    def __init__(self, manager: Manager[Any], base: dict[str, Any], column: str) -> None:
        self.manager, self.base, self.column = manager, base, column
        self.sent = 0

    def all(self) -> dict[str, Callable[[Any], Any]]:
        ways = {
            "insert": self.insert,
            "update": self.update,
            "upsert": self.upsert,
            "find_or_insert": self.find_or_insert,
            "batch_insert": self.batch_insert,
            "batch_insert returning": self.batch_insert_returning,
            "batch_insert on conflict": self.batch_insert_on_conflict,
            "batch_insert beside an ordinary row": self.batch_insert_mixed,
        }
        if not isinstance(self.manager.table.columns[self.column].field, peewee.JSONField):
            ways["condition"] = self.condition
        return ways

    def row(self, value: Any, **more: Any) -> dict[str, Any]:
        return {**self.base, self.column: value, **more}

    def stored(self, key: int) -> Any:
        self.sent += 1
        return getattr(self.manager.find_by_id(key), self.attribute)

    @property
    def attribute(self) -> str:
        field = self.manager.table.columns[self.column].field
        return field.object_id_name if isinstance(field, peewee.ForeignKeyField) else field.name

    def insert(self, value: Any) -> Any:
        row = self.manager.insert(self.row(value))
        found = self.stored(row.id)
        assert equal(getattr(row, self.attribute), found)
        return found

    def update(self, value: Any) -> Any:
        key = self.manager.insert(self.base).id
        (row,) = self.manager.update({self.column: value}, {"id": key})
        found = self.stored(key)
        assert equal(getattr(row, self.attribute), found)
        return found

    def upsert(self, value: Any) -> Any:
        self.manager.upsert(self.row(value, id=_NEW_ID), ["id"])
        self.manager.upsert(self.row(value, id=_NEW_ID), ["id"])
        return self.stored(_NEW_ID)

    def find_or_insert(self, value: Any) -> Any:
        row, inserted = self.manager.find_or_insert(self.row(value, id=_NEW_ID), ["id"])
        assert inserted
        return self.stored(row.id)

    def batch_insert(self, value: Any) -> Any:
        assert self.manager.batch_insert([self.row(value, id=_NEW_ID)]) == 1
        return self.stored(_NEW_ID)

    def batch_insert_returning(self, value: Any) -> Any:
        (row,) = self.manager.batch_insert([self.row(value)], returning=True)
        return self.stored(row.id)

    def batch_insert_on_conflict(self, value: Any) -> Any:
        rows = [self.row(value, id=_NEW_ID)]
        self.manager.batch_insert(rows, on_conflict="update", conflict_columns=["id"])
        self.manager.batch_insert(rows, on_conflict="ignore")
        return self.stored(_NEW_ID)

    def batch_insert_mixed(self, value: Any) -> Any:
        unique = {"email": "other@example.com", "name": "other", "version": 77}
        ordinary = {**self.base, **{name: value for name, value in unique.items() if name in self.base}}
        ordinary["id"] = _NEW_ID + 1
        self.manager.batch_insert([self.row(value, id=_NEW_ID), ordinary])
        return self.stored(_NEW_ID)

    def condition(self, value: Any) -> Any:
        if isinstance(value, list):
            return REFUSED  # means its members
        found = self.manager.find_all({self.column: value})
        if isinstance(value, bytes | bytearray | memoryview) or infinite(value):
            return None  # SQLite's lists of members hold neither, which is said in a test of its own
        assert found == self.manager.find_all({self.column: [value]})
        assert self.manager.count({self.column: operators.ne(value)}) <= self.manager.count()
        return None


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return bool(one == other) and type(one) is type(other)


def same_json(one: Any, other: Any) -> bool:
    """Whether two documents are the same JSON, which has one kind of number; JSONB writes 1e16 with all its digits."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or float(one) == float(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other) and type(one) is type(other)


def as_stored(field: peewee.Field[Any], value: Any) -> Any:
    """What an accepted value should come back as, said without the library's help."""
    target = field.rel_field if isinstance(field, peewee.ForeignKeyField) else field
    if isinstance(value, Enum) and not isinstance(target, peewee.UUIDField):
        return value if type(target).__name__ == "EnumField" else value.value
    if type(target).__name__ == "EnumField":
        return target.members(value)  # type: ignore[attr-defined]
    if isinstance(target, peewee.UUIDField):
        return uuid.UUID(str(value))
    if type(target).__name__ == "TimestampField" and target.__class__.__module__.startswith("cloudpub"):
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)
    if isinstance(target, peewee.TimestampField):
        return datetime.fromtimestamp(value) if isinstance(value, int) else _in_datetime(value).replace(microsecond=0)
    if isinstance(target, peewee.DateTimeField):
        return datetime.fromisoformat(value) if isinstance(value, str) else _in_datetime(value)
    if isinstance(target, peewee.DateField):
        return date.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(target, peewee.TimeField):
        return time.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(target, peewee.DecimalField):
        return Decimal(str(value))
    if isinstance(target, peewee.FloatField):
        return float(value)
    if isinstance(target, peewee.BlobField):
        return bytes(value)
    if isinstance(target, peewee.BooleanField):
        return bool(value)
    if isinstance(value, str):
        return str.__str__(value)
    return value


def _in_datetime(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def assert_equal(field: peewee.Field[Any], value: Any, found: Any) -> None:
    expected = as_stored(field, value)
    if isinstance(field, peewee.JSONField):
        assert same_json(found, expected)
    elif type(field) is peewee.FloatField:
        assert math.isclose(found, expected, rel_tol=1e-6) or found == expected  # 32 bits on PostgreSQL
    elif isinstance(field, peewee.FloatField | peewee.DecimalField):
        assert found == expected
    else:
        assert equal(found, expected), (found, expected)


def shown(value: Any) -> str:
    try:
        return ascii(value)[:60]
    except (ValueError, RecursionError):
        return type(value).__name__


def verdict(database: Database, way: Callable[[Any], Any], value: Any) -> Any:
    found = REFUSED
    with undone(database):
        try:
            with database.transaction():
                found = way(value)
        except InvalidValueError as error:
            found, length = REFUSED, len(str(error))
            assert length < 600
    return found


def check(managers: dict[str, Manager[Any]], bases: dict[str, dict[str, Any]], column: str, value: Any) -> None:
    verdicts: dict[str, dict[str, Any]] = {}
    for dialect, manager in managers.items():
        ways = Ways(manager, bases[dialect], column)
        writes: list[str] = []
        with recorded_writes(manager.database, writes):
            for name, way in ways.all().items():
                writes.clear()
                verdicts.setdefault(name, {})[dialect] = found = verdict(manager.database, way, value)
                if found is REFUSED and name != "update":
                    assert writes == [], f"{name} sent something before it refused {shown(value)}"
    refusals = {
        (name, dialect): found is REFUSED for name, found_by in verdicts.items() for dialect, found in found_by.items()
    }
    assert len(set(refusals.values())) == 1, f"not one verdict on {shown(value)}: {refusals}"
    for name, found_by in verdicts.items():
        for dialect, found in found_by.items():
            if found is not REFUSED and name != "condition":
                assert_equal(managers[dialect].table.columns[column].field, value, found)


@contextmanager
def recorded_writes(database: Database, writes: list[str]) -> Iterator[None]:
    engine: Any = database.engine
    names = [name for name in ("fetch", "run", "run_many", "copy_rows") if hasattr(engine, name)]
    for name in names:
        original = getattr(engine, name)

        def recording(sql: str, *rest: Any, _original: Any = original) -> Any:
            writes.append(sql)
            return _original(sql, *rest)

        setattr(engine, name, recording)
    try:
        yield
    finally:
        for name in names:
            delattr(engine, name)


@pytest.fixture(scope="module")
def worlds(both_databases: dict[str, Database]) -> dict[str, tuple[Managers, dict[str, dict[str, Any]]]]:
    """For each database its managers, and for each table a row that can be inserted."""
    worlds = {}
    for dialect, database in both_databases.items():
        managers = Managers(database)
        user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
        function = managers.functions.insert({"user_id": user.id, "name": "resize"})
        bases: dict[str, dict[str, Any]] = {
            "users": {"email": "new@example.com", "password_hash": "x"},
            "functions": {"user_id": user.id, "name": "new"},
            "function_logs": {"function_id": function.id, "level": "info", "message": "x"},
            "function_invocations": {"function_id": function.id, "status": "x"},
            "function_deployments": {"function_id": function.id, "version": 1, "image_tag": "x", "s3_key": "x"},
            "user_information": {"user_id": user.uuid, "first_name": "x", "last_name": "x", "role": "team"},
        }
        database.engine.create_tables([Sample.bind(database.engine) and Sample])
        worlds[dialect] = (managers, bases)
    return worlds


OUR_CASES = [(table, column) for table, column in OURS if table != "organizations"]


@pytest.mark.parametrize(("table", "column"), OUR_CASES)
def test_columns_of_ours(worlds: Any, table: str, column: str) -> None:
    managers = {dialect: getattr(world[0], table) for dialect, world in worlds.items()}
    bases = {dialect: world[1][table] for dialect, world in worlds.items()}
    for value in OURS[(table, column)]:
        if table == "user_information":
            # One profile for each user: the way of two rows at once has no second user.
            bases = {dialect: dict(base) for dialect, base in bases.items()}
            check_one_row(managers, bases, column, value)
        else:
            check(managers, bases, column, value)


def check_one_row(managers: Any, bases: Any, column: str, value: Any) -> None:
    original = Ways.all
    try:
        Ways.all = lambda ways: {  # type: ignore[method-assign]
            name: way for name, way in original(ways).items() if "ordinary" not in name
        }
        check(managers, bases, column, value)
    finally:
        Ways.all = original  # type: ignore[method-assign]


@pytest.mark.parametrize("column", list(FOREIGN))
def test_columns_of_peewee(worlds: Any, column: str) -> None:
    managers = {dialect: Manager(Sample, world[0].database) for dialect, world in worlds.items()}
    for value in FOREIGN[column]:
        check(
            managers,
            {dialect: {"small": 1} for dialect in worlds} if column != "small" else {d: {"big": 1} for d in worlds},
            column,
            value,
        )


def test_a_key_that_refers_to_another_table_is_judged_like_the_key_itself(worlds: Any) -> None:
    for value in OURS[("organizations", "owner_id")]:
        verdicts = {dialect: owner_verdict(world[0], value) for dialect, world in worlds.items()}
        assert len(set(verdicts.values())) == 1, (shown(value), verdicts)


def owner_verdict(managers: Managers, value: Any) -> str:
    try:
        assert managers.organizations.find_all({"owner_id": value}) == []
    except CloudpubError as error:
        return type(error).__name__
    return "nobody's"


ANY_VALUE: st.SearchStrategy[Any] = st.one_of(
    st.text(st.characters(categories=("L", "M", "N", "P", "S", "Z", "Cc", "Cf", "Cs", "Co"))),
    st.integers(),
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.decimals(),
    st.binary(),
    st.booleans(),
    st.datetimes(timezones=st.timezones() | st.none()),
    st.dates(),
    st.times(),
    st.uuids(),
    st.uuids().map(str),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ).filter(lambda document: document is not None),
)


def generated(worlds: Any, number: int) -> None:
    ours = [case for case in OUR_CASES if case[0] != "user_information"]
    columns = [*ours, *[("samples", column) for column in FOREIGN]]

    @settings(max_examples=number, deadline=None, database=None)
    @given(st.sampled_from(columns), ANY_VALUE)
    def check_any(place: tuple[str, str], value: Any) -> None:
        table, column = place
        if table == "samples":
            managers = {dialect: Manager(Sample, world[0].database) for dialect, world in worlds.items()}
            bases = {dialect: {"small": 1} if column != "small" else {"big": 1} for dialect in worlds}
        else:
            managers = {dialect: getattr(world[0], table) for dialect, world in worlds.items()}
            bases = {dialect: world[1][table] for dialect, world in worlds.items()}
        check(managers, bases, column, value)

    check_any()


def test_generated_values(worlds: Any) -> None:
    generated(worlds, 80)


@pytest.mark.soak
def test_generated_values_for_long(worlds: Any) -> None:
    generated(worlds, 20_000)


@pytest.mark.parametrize(
    "value", [*OURS[("function_logs", "message")], *OURS[("function_invocations", "duration_ms")]], ids=shown
)
def test_parameters_of_raw_sql(worlds: Any, value: Any) -> None:
    verdicts = {dialect: echoed(world[0].database, value) for dialect, world in worlds.items()}
    one, other = verdicts.values()
    assert (one is REFUSED) == (other is REFUSED), verdicts
    if one is not REFUSED and isinstance(value, str) and not isinstance(value, Enum):
        assert one == other == str.__str__(value)


def echoed(database: Database, value: Any) -> Any:
    try:
        row = database.raw_query_single("SELECT @value AS value", {"value": value})
    except InvalidValueError:
        return REFUSED
    assert row is not None
    return row["value"]


@pytest.mark.parametrize(("column", "value"), [("blob", b"x"), ("double", math.inf), ("real", -math.inf)])
def test_bytes_and_infinities_in_a_list_are_what_sqlite_alone_refuses(worlds: Any, column: str, value: Any) -> None:
    found = {dialect: members(world[0].database, column, value) for dialect, world in worlds.items()}
    assert found == {"sqlite": "compare them one by one", "postgresql": ""}


def members(database: Database, column: str, value: Any) -> str:
    try:
        assert Manager(Sample, database).find_all({column: [value]}) == []
    except InvalidValueError as error:
        return "compare them one by one" if "compare them one by one" in str(error) else str(error)
    return ""


def test_json_is_compared_as_json() -> None:
    assert same_json({"a": [1, 1e308]}, {"a": [1.0, 10**308]})
    assert not same_json([1], [True])
    assert not same_json({"a": "1"}, {"a": 1})
    assert json.loads("1e16") == 10**16


def infinite(value: Any) -> bool:
    return isinstance(value, float | Decimal) and not math.isfinite(value)
