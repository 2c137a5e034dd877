"""The text in which values travel to the database, and how it is read back: UUIDs, timestamps, JSON.

Pure functions, the same on both databases, used by the fields and, row by row, by the managers' loaders. What a column
cannot hold is refused here, before the wire, with InvalidValueError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from uuid import UUID, SafeUUID

from cloudpub_models.errors import InvalidValueError
from cloudpub_models.sql.identifiers import represented
from cloudpub_models.sql.values import moment_to_text

JsonValue = dict[str, Any] | list[Any] | str | int | float | bool | None


_bytes_from_hex = bytes.fromhex
_new_uuid = UUID.__new__
_set_uuid_int = UUID.int.__set__  # type: ignore[misc,attr-defined]
_set_uuid_is_safe = UUID.is_safe.__set__  # type: ignore[misc,attr-defined]
_unknown_safety = SafeUUID.unknown
_datetime_from_text = datetime.fromisoformat


@cache
def _uuid_form() -> re.Pattern[str]:
    return re.compile(
        r"(?:urn:uuid:)?\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?",
        re.IGNORECASE | re.ASCII,
    )


def utc_now() -> datetime:
    """Return the current moment, aware, in UTC."""
    return datetime.now(UTC)


def uuid_to_text(value: object) -> str:
    """Return the canonical text of a UUID: 32 lower-case hexadecimal digits and four dashes.

    Args:
        value: a UUID, or its text in any of the usual forms (canonical, without dashes, in braces, as URN).

    Raises:
        InvalidValueError: for anything else.

    >>> uuid_to_text("{550E8400-E29B-41D4-A716-446655440000}")
    '550e8400-e29b-41d4-a716-446655440000'
    """
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str) and (form := _uuid_form().fullmatch(value)):
        return "-".join(form.groups()).lower()
    raise InvalidValueError(f"expected a UUID or its text; got {_shown(value)}: pass a uuid.UUID")


def uuid_from_database(value: UUID | str | None) -> UUID | None:
    """Return what a driver gave for a UUID column as a UUID.

    Raises:
        InvalidValueError: when it is not the text of a UUID.

    >>> uuid_from_database("550e8400-e29b-41d4-a716-446655440000")
    UUID('550e8400-e29b-41d4-a716-446655440000')
    """
    if value is None or isinstance(value, UUID):
        return value
    # UUID.__init__ weighs six ways of being called; filling the two slots ourselves takes a third of its time.
    try:
        raw = _bytes_from_hex(value.replace("-", ""))
    except (ValueError, AttributeError, TypeError):
        return UUID(uuid_to_text(value))
    if len(raw) != 16:
        return UUID(uuid_to_text(value))
    result = _new_uuid(UUID)
    _set_uuid_int(result, int.from_bytes(raw, "big"))
    _set_uuid_is_safe(result, _unknown_safety)
    return result


def timestamp_to_text(value: object) -> str:
    """Return a moment as its 26 characters of UTC, ``YYYY-MM-DD HH:MM:SS.ffffff``, which sort as the moments do.

    Args:
        value: an aware datetime, or ISO 8601 text with an offset.

    Raises:
        InvalidValueError: for a naive datetime or text without offset, which could mean any timezone; for a moment
            outside the years 1 to 9999 of UTC; for anything else.

    >>> timestamp_to_text(datetime.fromisoformat("2024-05-01T12:00:00+02:00"))
    '2024-05-01 10:00:00.000000'
    """
    if isinstance(value, str):
        moment = _parse_timestamp(value)
    elif isinstance(value, datetime):
        moment = value
    else:
        raise InvalidValueError(f"expected an aware datetime; got {_shown(value)}: pass datetime.now(UTC) or the like")
    return moment_to_text(moment)


def timestamp_from_database(value: datetime | str | None) -> datetime | None:
    """Return what a driver gave for a timestamp column as an aware datetime in UTC.

    Text may have any ISO 8601 form; without an offset, text and datetimes are UTC, which is what the columns hold.

    Raises:
        InvalidValueError: for ``infinity``, a year that Python cannot express, and what is no timestamp.

    >>> timestamp_from_database("2024-05-01 10:00:00.000000")
    datetime.datetime(2024, 5, 1, 10, 0, tzinfo=datetime.timezone.utc)
    """
    if value is None:
        return None
    if isinstance(value, str):
        # The stored form, by far the most frequent; naming the offset is cheaper than replacing tzinfo afterwards.
        if len(value) == 26 and value[10] == " ":
            try:
                return _datetime_from_text(value + "Z")
            except ValueError:
                pass
        value = _parse_timestamp(value)
    if not isinstance(value, datetime):
        raise InvalidValueError(f"expected a timestamp from the database; got {_shown(value)}")
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        return value.replace(tzinfo=UTC)
    return _in_utc(value)


@cache
def json_reader() -> Callable[[str], JsonValue]:
    """Return the function that reads JSON text: orjson's, three times as fast, where it is installed.

    It refuses some text that ``json.loads`` takes, and ``json_from_text`` reads. An integer beyond 64 bits, which this
    library does not write, it reads as a float.
    """
    try:
        import orjson
    except ImportError:
        return json.loads
    return orjson.loads


def json_from_text(text: str | None) -> JsonValue:
    """Return the value of JSON text, as SQLite's columns hold it.

    Raises:
        InvalidValueError: when the text is no JSON.

    >>> json_from_text('{"a":1}')
    {'a': 1}
    """
    if text is None:
        return None
    try:
        return json_reader()(text)
    except ValueError:
        pass
    try:
        return json.loads(text)  # type: ignore[no-any-return]
    except ValueError as error:
        raise InvalidValueError(f"expected JSON from the database; got {_shown(text)}: {error}") from error


def _parse_timestamp(text: str) -> datetime:
    try:
        moment = _datetime_from_text(text)
        if not re.search("[ Tt]", text):
            # Any character would do to separate the time, even a digit of its own; without one it is a date alone.
            date.fromisoformat(text)
        return moment
    except ValueError as error:
        raise InvalidValueError(
            f"expected an ISO 8601 timestamp of the years 1 to 9999; got {_shown(text)}: "
            "infinities, BC dates and later years have no datetime in Python"
        ) from error


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError) as error:
        raise InvalidValueError(
            f"expected a moment of the years 1 to 9999 in UTC; got {moment.isoformat()}: it lies outside"
        ) from error


def _shown(value: object) -> str:
    return f"{represented(value)} ({type(value).__name__})"
