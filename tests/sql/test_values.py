"""Values on their way to the drivers: what they become, and what is refused before the wire."""

from __future__ import annotations

import enum
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpub_models.errors import InvalidValueError
from cloudpub_models.sql import POSTGRESQL, SQLITE, Members, encode
from cloudpub_models.sql import values as sql_values
from cloudpub_models.sql.values import (
    LARGEST_INTEGER,
    SMALLEST_INTEGER,
    array_literal,
    check_text,
    json_array,
    json_to_text,
    moment_to_text,
    now_to_text,
    number_or_text,
)


class Role(enum.StrEnum):
    DEVELOPER = "developer"


class Level(enum.IntEnum):
    LOW = 1


class Mixed(str, enum.Enum):  # noqa: UP042 - the older way, which users have
    ONE = "one"


class Name(str):
    """A subclass of str whose text is not what it prints."""

    def __str__(self) -> str:
        return "something else"


class Whole(int):
    pass


UUID_1 = UUID("12345678-1234-5678-1234-567812345678")


ENCODED: list[Any] = [
    (None, None),
    (True, True),
    (0, 0),
    (2**63 - 1, 2**63 - 1),
    (-(2**63), -(2**63)),
    (1.5, 1.5),
    (float("inf"), float("inf")),
    ("", ""),
    ("ünïcödé 🚀", "ünïcödé 🚀"),
    (b"\0\xff", b"\0\xff"),
    (bytearray(b"a"), b"a"),
    (memoryview(b"a"), b"a"),
    (Decimal("1.50"), Decimal("1.50")),
    (UUID_1, "12345678-1234-5678-1234-567812345678"),
    (date(2024, 5, 1), "2024-05-01"),
    (time(12, 30), "12:30:00"),
    (datetime(2024, 5, 1, tzinfo=UTC), "2024-05-01 00:00:00.000000"),
    (datetime(2024, 5, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))), "2024-05-01 10:00:00.000005"),
    (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01 00:00:00.000000"),
    (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "9999-12-31 23:59:59.999999"),
    (datetime(2024, 10, 27, 2, 30, fold=0, tzinfo=ZoneInfo("Europe/Berlin")), "2024-10-27 00:30:00.000000"),
    (datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")), "2024-10-27 01:30:00.000000"),
    ({}, "{}"),
    ([], "[]"),
    ({"a": [1, None, True, "é"]}, '{"a":[1,null,true,"é"]}'),
    ({"a": "\\u0000"}, '{"a":"\\\\u0000"}'),
    (Role.DEVELOPER, "developer"),
    (Level.LOW, 1),
    (Mixed.ONE, "one"),
    (Name("text"), "text"),
    (Whole(5), 5),
]


def test_encoded() -> None:
    for value, expected in ENCODED:
        encoded = encode(value)
        assert encoded == expected
        assert type(encoded) is type(expected)


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)
DEEP: Any = []
for _ in range(20_000):
    DEEP = [DEEP]


REFUSED: list[Any] = [
    ("a\0b", "NUL characters; got one at position 1"),
    ("a\ud800", "lone surrogate .U.D800. at position 1"),
    (Name("a\0"), "NUL"),
    (2**63, "64 bits; got one of 64 bits"),
    (-(2**63) - 1, "64 bits"),
    (Whole(2**70), "64 bits"),
    (float("nan"), "got nan"),
    (Decimal("NaN"), "finite Decimal"),
    (Decimal("-Infinity"), "finite Decimal"),
    (datetime(2024, 5, 1), "naive 2024-05-01 00:00:00"),
    (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "of the years 1 to 9999"),
    (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))), "of the years 1 to 9999"),
    (time(12, tzinfo=UTC), "without a time zone"),
    ({"a": float("nan")}, "NaN or one of the infinities"),
    ([float("inf")], "NaN or one of the infinities"),
    ({"a": "x\0"}, "NUL"),
    ({"a\0": 1}, "NUL"),
    ({"a": "\\\0"}, "NUL"),
    ({"a": "\ud800"}, "surrogate"),
    ({1: "a"}, "strings for keys; got the key 1"),
    ([{"a": {None: 1}}], "strings for keys; got the key None"),
    ({"a": {1, 2}}, "not JSON serializable"),
    ({"a": UUID_1}, "not JSON serializable"),
    (CIRCULAR, "contains itself|containing itself"),
    (DEEP, "nested too deeply"),
    ((1, 2), "a tuple is the members"),
    ({1, 2}, "got a set"),
    (object(), "got builtins.object"),
    (timedelta(1), "got datetime.timedelta"),
    (1j, "got builtins.complex"),
]


def test_refused_before_the_wire() -> None:
    for value, message in REFUSED:
        with pytest.raises(InvalidValueError, match=message) as caught:
            encode(value)
        assert str(caught.value).startswith("expected ")
        assert len(str(caught.value)) < 300


def test_a_refused_text_is_not_shown() -> None:
    with pytest.raises(InvalidValueError) as caught:
        encode("hunter2\0")
    assert "hunter2" not in str(caught.value)


def test_members_equal_a_list_and_show_like_one() -> None:
    assert Members([1, 2]) == [1, 2]
    assert repr(Members(["a"])) == "['a']"


def test_array_literal() -> None:
    assert array_literal([]) == "{}"
    assert array_literal([1, -2, True, False, None, 1.5, float("inf"), Decimal("1.50")]) == (
        '{1,-2,true,false,NULL,1.5,"inf","1.50"}'
    )
    assert array_literal(["", "NULL", "a,b", "{}", 'q"', "\\", b"\x01"]) == r'{"","NULL","a,b","{}","q\"","\\","\\x01"}'


def test_a_document_is_what_the_standard_library_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [{"a": [1, 2.5, None, True, 'é\n"\\'], "b": {}}, [], "text", 5, 0.1, False, {"é": {"a": [[1]]}}]
    expected = [json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in documents]
    assert [json_to_text(one) for one in documents] == expected
    # As where Python has no such part in C, or one that takes something else.
    for part_in_c in (None, lambda: None):
        with monkeypatch.context() as patch:
            patch.setattr(json.encoder, "c_make_encoder", part_in_c)
            writer = sql_values._json_writer()
        monkeypatch.setattr(sql_values, "_write_json", writer)
        assert [json_to_text(one) for one in documents] == expected


def test_the_present_moment_is_written_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    before = datetime.now(UTC)
    assert moment_to_text(before) <= now_to_text() <= moment_to_text(datetime.now(UTC))
    for nanoseconds in (
        0,
        999_999_999,
        1_000_000_000,
        1_000_001_999,
        1_709_251_199_000_000_999,
        4_102_444_800_123_456_000,
    ):
        monkeypatch.setattr(sql_values, "time_ns", lambda now=nanoseconds: now)
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
        assert now_to_text() == moment_to_text(moment)


def test_json_array() -> None:
    assert json_array(["é", 1, None, True, 1.5]) == '["é",1,null,true,1.5]'
    for value in (b"a", float("inf"), float("-inf")):
        with pytest.raises(InvalidValueError, match="IN @values"):
            json_array([value])


DECIMALS: list[Any] = [
    ("1.5", 1.5),
    ("1.50", 1.5),
    ("3", 3),
    ("1E+3", 1000),
    ("9223372036854775808", 9223372036854775808.0),
    ("0.1", 0.1),
    ("12345678901234567890.5", "12345678901234567890.5"),
    ("1E+400", "1E+400"),
    ("-0", 0),
]


def test_decimals_on_sqlite() -> None:
    for value, expected in DECIMALS:
        found = number_or_text(Decimal(value))
        assert (found, type(found)) == (expected, type(expected))
        assert SQLITE.encode(Decimal(value)) == expected
        assert POSTGRESQL.encode(Decimal(value)) == Decimal(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(SMALLEST_INTEGER, LARGEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(JSON, max_size=3))
def test_json_comes_back_equal_or_is_refused(value: list[Any]) -> None:
    try:
        text = encode(value)
    except InvalidValueError:
        assert "\\u0000" in json.dumps(value)
        return
    assert json.loads(text) == value


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)))
def test_members_come_back_equal(members: list[str]) -> None:
    assert json.loads(SQLITE.encode_list(members)) == members
    assert read_array(POSTGRESQL.encode_list(members)) == members


def read_array(literal: str) -> list[str]:
    """Read an array literal of quoted elements by PostgreSQL's rules."""
    elements: list[str] = []
    characters = iter(literal[1:-1])
    for character in characters:
        if character == ",":
            continue
        assert character == '"'
        element = ""
        while (character := next(characters)) != '"':
            element += next(characters) if character == "\\" else character
        elements.append(element)
    return elements


ZONES = [UTC, timezone(timedelta(hours=-9, minutes=-30)), ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")]


@settings(max_examples=40, deadline=None)
@given(st.datetimes(timezones=st.sampled_from(ZONES)))
def test_datetimes_keep_their_moment(moment: datetime) -> None:
    try:
        text = encode(moment)
    except InvalidValueError:
        return
    assert len(text) == 26
    assert datetime.fromisoformat(text + "+00:00") == moment.astimezone(UTC)


def nested(depth, wrap):
    document = 1
    for _ in range(depth):
        document = wrap(document)
    return document


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: [inner],
        lambda inner: {"a": inner, "b": "["},
        lambda inner: [[], inner],
        lambda inner: [inner] if isinstance(inner, dict) else {"a": inner},
    ],
)
def test_a_document_is_as_deep_as_all_can_follow(wrap):
    assert encode(nested(200, wrap)).startswith(("[", "{"))
    for depth in (201, 300, 600, 990):
        with pytest.raises(
            InvalidValueError, match="at most 200 lists and dicts in each other; got one nested too deeply"
        ):
            encode(nested(depth, wrap))
    assert encode([[[]]] * 500).count("[") == 1001


class TextOfAnotherClass(str):
    """A text of another class."""


def test_a_text_that_tells_something_stays_what_it_is() -> None:
    assert check_text("a" * 255, "the key", longest=255) == "a" * 255
    assert type(check_text(TextOfAnotherClass("a"), "the key")) is str


@pytest.mark.parametrize("text", ["", None, 3, b"key", ["a"], "a\0b", "\ud800"])
def test_what_is_no_such_text_is_refused(text: Any) -> None:
    with pytest.raises(InvalidValueError, match="expected the key to be a text, neither empty nor with NUL .*; got "):
        check_text(text, "the key")


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="expected the key to be a text of at most 255 characters; got 256"):
        check_text("a" * 256, "the key", longest=255)
