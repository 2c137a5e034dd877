"""Values at the edge of what columns hold, and beyond it; and a model with every usual field of Peewee."""

from __future__ import annotations

import math
import sys
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import peewee

from cloudpub_models import Role

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
APIA = ZoneInfo("Pacific/Apia")
DUBLIN_LOCAL_MEAN_TIME = datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Dublin"))


class Text(str):
    """A str with a mind of its own."""

    def __str__(self) -> str:
        return "something else"


class Colour(Enum):
    RED = "red"


class NoOffset(tzinfo):
    """A time zone that does not know."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> None:
        return None


def _deep(depth: int) -> list[Any]:
    document: list[Any] = []
    for _ in range(depth):
        document = [document]
    return document


def _circle() -> list[Any]:
    document: list[Any] = []
    document.append(document)
    return document


PLANES = "".join(
    map(chr, [0x20, 0x7F, 0x80, 0xFF, 0x100, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF])
) + "".join(chr(plane << 16 | place) for plane in range(1, 17) for place in (0, 1, 0xFFFD, 0xFFFE, 0xFFFF))
CONTROLS = "".join(map(chr, range(1, 0x20)))

TEXTS: list[Any] = [
    "",
    " ",
    "  padded\t",
    "\n",
    "\r\n",
    "a\\b\\n\\N\\.\\",
    "\\N",
    "\\.",
    "'\"`%s?:x@x{}[],()",
    '{"a",NULL}',
    "NULL",
    "\t",
    CONTROLS,
    PLANES,
    "e\u0301 and \u00e9, ﬁ, ß, İ, ı, \u202e, \u200b, \ufeff",
    "\N{PILE OF POO}\N{ZERO WIDTH JOINER}",
    "x" * 20,
    "x" * 21,
    "ü" * 50,
    "\U00010000" * 51,
    "x" * 255,
    "x" * 256,
    "x" * 1_000_000,
    "\U0001f4a3" * 300_000,
    "\0",
    "a\0b",
    "\ud800",
    "\udfff",
    "\ud83d\ude00",
    "a\udcffb",
    Text("plain"),
    Role.TEAM,
    Colour.RED,
    b"bytes",
    bytearray(b"x"),
]

FEW_TEXTS: list[Any] = [text for text in TEXTS if not isinstance(text, str) or len(text) < 1000]

INTEGERS: list[Any] = [
    *(0, 1, -1, 2**15 - 1, 2**15, -(2**15), -(2**15) - 1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1),
    *(2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**30, 10**5000),
    *(True, False, 1.0, 1.5, "1", " 1", Decimal(1), Decimal("1.5"), 1j),
]

FLOATS: list[Any] = [
    *(0.0, -0.0, 0.1, 1 / 3, 5e-324, sys.float_info.max, sys.float_info.min, 2.0**53 + 2),
    *(
        math.nan,
        -math.nan,
        math.inf,
        -math.inf,
        10**400,
        Decimal("1e400"),
        Decimal("-1e400"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        "1.5",
        True,
        7,
    ),
]

DECIMALS: list[Any] = [
    *(Decimal(0), Decimal("0.01"), Decimal("-99999999.99"), Decimal("123456789.01"), Decimal("1e10"), Decimal("0.005")),
    *(
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
        1.5,
        math.nan,
        math.inf,
        7,
        "1.25",
        "x",
    ),
]

TIMES: list[Any] = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    datetime(9999, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-1))),
    datetime(1582, 10, 10, tzinfo=UTC),
    datetime(1900, 2, 28, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    datetime(2016, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2000, 2, 29, 12, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),  # in the gap
    datetime(2026, 3, 29, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),  # twice
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(2026, 4, 5, 1, 45, fold=1, tzinfo=LORD_HOWE),  # by half an hour
    datetime(2011, 12, 30, 12, tzinfo=APIA),  # a day that there was not
    DUBLIN_LOCAL_MEAN_TIME,
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=23, minutes=59, seconds=59, microseconds=999999))),
    datetime(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=NoOffset()),
    "2026-01-01T00:00:00+02:00",
    "2026-01-01T00:00:00Z",
    "2026-01-01 00:00:00",
    "infinity",
    "-infinity",
    "now",
    "epoch",
    "10000-01-01T00:00:00Z",
    "0044-03-15 BC",
    "",
    date(2026, 1, 1),
    time(1, 2),
    0,
    1e9,
]

UUIDS: list[Any] = [
    uuid.UUID(int=0),
    uuid.UUID(int=2**128 - 1),
    str(uuid.UUID(int=5)),
    str(uuid.UUID(int=0xABCDEF)).upper(),
    uuid.UUID(int=6).hex,
    "{" + str(uuid.UUID(int=7)) + "}",
    uuid.UUID(int=8).urn,
    "",
    "0" * 31,
    "0" * 33,
    "g" * 32,
    "٠" * 32,
    "00000000-0000-0000-0000-00000000000\0",
    5,
    b"\0" * 16,
    "\ud800" * 32,
]

DOCUMENTS: list[Any] = [
    {},
    [],
    "",
    "text",
    "null",
    0,
    -1,
    1.5,
    1e308,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    10**30,
    True,
    False,
    [None],
    {"": None},
    {"a": {"b": [1, "x", None, True, {"c": {}}]}},
    {"'": '"', "\\": "\\\\", "%s": "?", "@x": ":x", "$": "$.a", "\t": "\n"},
    {"\\u0000": "\\u0000"},
    {"__proto__": 1, "a.b": 2, "[0]": 3},
    {PLANES: PLANES},
    CONTROLS,
    "x" * 1_000_000,
    list(range(10_000)),
    _deep(100),
    _deep(400),
    _deep(100_000),
    _circle(),
    {"a": "\0"},
    {"\0": 1},
    ["\ud800"],
    {"\udfff": 1},
    math.nan,
    [math.inf],
    {"a": {"b": -math.inf}},
    10**5000,
    {1: 2},
    {None: 1},
    {"a": {True: 1}},
    {(1, 2): 3},
    {1, 2},
    b"x",
    object(),
    datetime.now(UTC),
    Decimal("1.5"),
    (1, 2),
]

BOOLEANS: list[Any] = [True, False, 0, 1, 2, -1, 1.0, "true", "", b"\1", [], math.nan]
ROLES: list[Any] = [*Role, "developer", "Developer", "", "x" * 60, "\0", "\ud800", 5, Colour.RED]
BYTES: list[Any] = [
    b"",
    b"\0",
    bytes(range(256)),
    b"\\x41",
    b"\x00" * 1_000_000,
    bytearray(b"a"),
    memoryview(b"b"),
    "text",
    5,
    "\ud800",
]
DATES: list[Any] = [
    date.min,
    date.max,
    date(2000, 2, 29),
    datetime(2026, 1, 1),
    "2026-01-01",
    "2026-13-01",
    "infinity",
    "",
    5,
    "\0",
]
CLOCKS: list[Any] = [time.min, time.max, time(1, 2, 3, 4), time(1, 2, tzinfo=UTC), "01:02:03", "25:00", "", 5, "\0"]
MOMENTS: list[Any] = [
    *(datetime.min, datetime.max, datetime(2026, 1, 1, 2, 3, 4, 5), datetime(2026, 1, 1, tzinfo=UTC)),
    *(datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), "2026-01-01 00:00:00", "infinity", "x", "", 5, "\0"),
]

# Table and column of ours → values for it.
OURS: dict[tuple[str, str], list[Any]] = {
    ("users", "email"): TEXTS,
    ("users", "created_at"): TIMES,
    ("users", "uuid"): UUIDS,
    ("function_logs", "message"): TEXTS,
    ("function_logs", "level"): FEW_TEXTS,
    ("function_invocations", "duration_ms"): INTEGERS,
    ("function_invocations", "error"): FEW_TEXTS,
    ("function_invocations", "timestamp"): TIMES,
    ("functions", "analysis_result"): DOCUMENTS,
    ("function_deployments", "is_active"): BOOLEANS,
    ("function_deployments", "version"): INTEGERS,
    ("user_information", "role"): ROLES,
    ("user_information", "phone_number"): FEW_TEXTS,
    ("organizations", "owner_id"): UUIDS,
}


class Sample(peewee.Model):
    """A model that is not ours, with every common type of column."""

    small = peewee.SmallIntegerField(null=True)
    number = peewee.IntegerField(null=True)
    big = peewee.BigIntegerField(null=True)
    real = peewee.FloatField(null=True)
    double = peewee.DoubleField(null=True)
    amount = peewee.DecimalField(null=True, max_digits=10, decimal_places=2)
    short = peewee.CharField(null=True, max_length=20)
    fixed = peewee.FixedCharField(null=True, max_length=5)
    text = peewee.TextField(null=True)
    flag = peewee.BooleanField(null=True)
    moment = peewee.DateTimeField(null=True)
    day = peewee.DateField(null=True)
    clock = peewee.TimeField(null=True)
    stamp = peewee.TimestampField(null=True, default=None)
    key = peewee.UUIDField(null=True)
    blob = peewee.BlobField(null=True)
    document = peewee.JSONField(null=True)
    address = peewee.IPField(null=True)

    class Meta:
        table_name = "samples"


FOREIGN: dict[str, list[Any]] = {
    "small": INTEGERS,
    "number": INTEGERS,
    "big": INTEGERS,
    "real": FLOATS,
    "double": FLOATS,
    "amount": DECIMALS,
    "short": FEW_TEXTS,
    "fixed": [*FEW_TEXTS, "fixed", "\U0001f4a3" * 5, "  x  ", "a\0bcd"],
    "text": TEXTS,
    "flag": BOOLEANS,
    "moment": MOMENTS,
    "day": DATES,
    "clock": CLOCKS,
    "stamp": [*INTEGERS, *MOMENTS],
    "key": UUIDS,
    "blob": BYTES,
    "document": DOCUMENTS,
    "address": ["1.2.3.4", "255.255.255.255", "0.0.0.0", "::1", "", "x", 5, "\0", "1.2.3.4; DROP TABLE users"],
}
