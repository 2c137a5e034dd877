"""The text of UUIDs, timestamps and JSON: what goes in comes out, and what cannot be kept is refused."""

from __future__ import annotations

import enum
import json
import math
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpub_models.entity.stored_forms import (
    json_from_text,
    json_reader,
    timestamp_from_database,
    timestamp_to_text,
    uuid_from_database,
    uuid_to_text,
)
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.sql.values import DEEPEST_JSON, _json_by_orjson, _orjson_writer, json_to_text

offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(
    min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31), timezones=st.one_of(st.just(UTC), offsets)
)
json_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


class Plain(enum.Enum):
    """An enumeration whose members are values of no other type."""

    ONE = "one"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | json_texts,
    lambda inner: st.lists(inner) | st.dictionaries(json_texts, inner),
)


@given(st.uuids())
def test_uuids_round_trip(value: uuid.UUID) -> None:
    text = uuid_to_text(value)
    assert text == str(value)
    assert uuid_from_database(text) == value
    assert hash(uuid_from_database(text)) == hash(value)
    assert repr(uuid_from_database(text)) == repr(value)
    assert uuid_from_database(value) is value


@given(st.uuids())
def test_every_usual_form_of_a_uuid_is_taken(value: uuid.UUID) -> None:
    for form in (value.hex, str(value).upper(), f"{{{value}}}", value.urn):
        assert uuid_to_text(form) == str(value)
        assert uuid_to_text(form.upper() if not form.startswith("urn") else form) == str(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "550e8400-e29b-41d4-a716-44665544000",
        "550e8400-e29b-41d4-a716-4466554400000",
        "550e8400_e29b_41d4_a716_446655440000",
        "550e8400e29b41d4a71644665544000_",
        "550e8400-e29b-41d4-a716-446655440000\0",
        "५50e8400-e29b-41d4-a716-446655440000",
        7,
        1.5,
        b"0123456789abcdef",
        [],
        True,
    ],
)
def test_what_is_no_uuid_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError, match="expected a UUID or its text; got "):
        uuid_to_text(value)


@pytest.mark.parametrize("value", ["", "x", "55", "zz0e8400-e29b-41d4-a716-446655440000", 7])
def test_a_database_that_holds_no_uuid_is_told_so(value: Any) -> None:
    with pytest.raises(InvalidValueError):
        uuid_from_database(value)


def test_null_stays_null() -> None:
    assert uuid_from_database(None) is None
    assert timestamp_from_database(None) is None
    assert json_from_text(None) is None


@given(moments)
def test_timestamps_round_trip(value: datetime) -> None:
    text = timestamp_to_text(value)
    assert len(text) == 26
    back = timestamp_from_database(text)
    assert back == value
    assert back is not None
    assert back.tzinfo is UTC


@given(moments, moments)
def test_timestamps_compare_as_their_texts_do(first: datetime, second: datetime) -> None:
    assert (first < second) == (timestamp_to_text(first) < timestamp_to_text(second))


@given(moments)
def test_every_iso_form_is_read(value: datetime) -> None:
    utc = value.astimezone(UTC)
    naive = utc.replace(tzinfo=None)
    for form in (value, utc, naive, value.isoformat(), utc.isoformat(" "), naive.isoformat(), naive.isoformat() + "Z"):
        assert timestamp_from_database(form) == value
    assert timestamp_to_text(value.isoformat()) == timestamp_to_text(value)


@pytest.mark.parametrize(
    "text", ["2024-05-01", "20240501", "2024-W18-3", "2024W183", "20240501T00", "2024-05-01t00:00Z"]
)
def test_short_iso_forms_are_read(text: str) -> None:
    assert timestamp_from_database(text) == datetime(2024, 5, 1, tzinfo=UTC)


def test_a_naive_datetime_is_refused_and_told_what_to_do() -> None:
    for value in (datetime(2024, 5, 1), "2024-05-01 12:00:00", "2024-05-01"):
        with pytest.raises(InvalidValueError, match=r"naive 2024-05-01.*attach its timezone"):
            timestamp_to_text(value)


class _Undecided(tzinfo):
    def utcoffset(self, moment: datetime | None) -> None:
        return None


def test_a_timezone_without_offset_is_naive() -> None:
    value = datetime(2024, 5, 1, tzinfo=_Undecided())
    with pytest.raises(InvalidValueError, match="attach its timezone"):
        timestamp_to_text(value)
    assert timestamp_from_database(value) == datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", [date(2024, 5, 1), 1714557600, 1.5, None, b"2024", object()])
def test_what_is_no_moment_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError, match="expected an aware datetime"):
        timestamp_to_text(value)


@pytest.mark.parametrize(
    "value",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
    ],
)
def test_moments_outside_the_years_of_utc_are_refused(value: datetime) -> None:
    with pytest.raises(InvalidValueError, match="the years 1 to 9999"):
        timestamp_to_text(value)
    with pytest.raises(InvalidValueError, match="the years 1 to 9999"):
        timestamp_from_database(value)


@pytest.mark.parametrize(
    "value",
    [
        *["infinity", "-infinity", "10000-01-01 00:00:00", "0044-03-15 00:00:00 BC", "x" * 26, "", 7, 1.5],
        # Python reads these as midnight, the first digit of the time being what separates it.
        *["2024-05-01100000Z", "20240501100000Z", "2024-05-01100000+00:00", "2024-05-01100:00:00.000000"],
    ],
)
def test_what_a_database_may_hold_but_python_cannot_is_told(value: Any) -> None:
    with pytest.raises(InvalidValueError):
        timestamp_from_database(value)


@given(json_values)
def test_json_round_trips(value: Any) -> None:
    text = json_to_text(value)
    assert json_from_text(text) == value
    assert json.loads(text) == value
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Words(list[str]):
    """A list of one's own."""


class Text(str):
    """A text of one's own."""


@pytest.mark.parametrize(
    ("value", "by_orjson"),
    [
        ({"a": [1, -0.0, 0.1, 9999999999999998.0, 0.0001, True, None, 'é\x7f\n"\\/'], "b": {}, "c": (1, [])}, True),
        *[("text", True), (5, True), (None, True), ([], True), ([2**63 - 1, -(2**63)], True)],
        # Whose exponents the two write in other ways.
        *[([1e16], False), ([-1e22], False), ([0.00009], False), ([-5e-324], False)],
        # What orjson takes as a value, and refuses as a key.
        *[([Words("ab")], False), ({"a": {"b": Words()}}, False), ({Text("a"): 1}, False), ([Text("é")], False)],
    ],
)
def test_both_writers_of_json_give_the_same(json_writer_used: str, value: object, by_orjson: bool) -> None:
    assert json_to_text(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert (_json_by_orjson(value) is not None) == (by_orjson and json_writer_used == "orjson")


@pytest.mark.parametrize("innermost", [[], 1])
def test_both_writers_of_json_go_equally_deep(json_writer_used: str, innermost: object) -> None:
    value = innermost
    for _ in range(DEEPEST_JSON):
        value = [value]
    assert json_to_text(value).count("[") == DEEPEST_JSON + (innermost == [])
    with pytest.raises(InvalidValueError, match="nested too deeply"):
        json_to_text([value])


@pytest.fixture(params=["orjson", "json"])
def json_writer_used(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the module that writes JSON."""
    if request.param == "json":
        monkeypatch.setitem(sys.modules, "orjson", None)
    _orjson_writer.cache_clear()
    yield str(request.param)
    _orjson_writer.cache_clear()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "NaN"),
        ([1, {"a": math.inf}], "infinities"),
        ("a\0b", "NUL"),
        ({"a\0": 1}, "NUL"),
        ("\\\0", "NUL"),
        ("\ud800", r"lone surrogate \(U\+D800\)"),
        ({"é\udfff": 1}, r"lone surrogate \(U\+DFFF\)"),
        ({1: "a"}, r"strings for keys; got the key 1 \(int\)"),
        ([{"a": ({None: 1},)}], "strings for keys; got the key None"),
        ({1, 2}, "set is not JSON serializable"),
        ({"a": datetime(2024, 1, 1)}, "datetime is not JSON serializable"),
        (object(), "not JSON serializable"),
        ({"a": [uuid.UUID(int=0)]}, "UUID is not JSON serializable"),
        ([Plain.ONE], "Plain is not JSON serializable"),
        ({"a": [2**63]}, "integers of at most 64 bits; got one of 64 bits"),
        (-(2**63) - 1, "integers of at most 64 bits"),
    ],
)
def test_what_json_cannot_keep_is_refused(json_writer_used: str, value: object, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        json_to_text(value)


@pytest.fixture(params=["orjson", "json"])
def json_reader_used(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the module that reads JSON."""
    if request.param == "json":
        monkeypatch.setitem(sys.modules, "orjson", None)
    json_reader.cache_clear()
    yield str(request.param)
    json_reader.cache_clear()


def test_json_is_read_by_orjson_where_it_is_installed(json_reader_used: str) -> None:
    assert json_reader().__module__ == json_reader_used


@pytest.mark.parametrize(
    "text", ['{"a": [1, -0, 2.5e3, true, null]}', '"\\ud800"', "1e999", "NaN", "18446744073709551615", ' [""] ']
)
def test_both_readers_of_json_give_the_same(json_reader_used: str, text: str) -> None:
    assert repr(json_from_text(text)) == repr(json.loads(text))


def test_circles_and_depths_are_refused(json_writer_used: str) -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InvalidValueError, match="JSON"):
        json_to_text(circle)
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(InvalidValueError, match="nested too deeply"):
        json_to_text(deep)


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert json_from_text(json_to_text("\\u0000")) == "\\u0000"


def test_text_that_is_no_json_is_told(json_reader_used: str) -> None:
    with pytest.raises(InvalidValueError, match="expected JSON from the database"):
        json_from_text("{'a': 1}")
