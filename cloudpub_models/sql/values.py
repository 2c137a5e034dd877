"""Turns Python values into what the drivers take, the same for both databases.

For: checking and converting one value (``encode``), and packing the members of an IN list into a single value
(``array_literal`` for PostgreSQL, ``json_array`` for SQLite).

Not for: knowing columns. Whether a string fits its column or an integer its range is decided by the managers, who know
the model; here only what no column of either database can hold is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from time import time_ns
from typing import Any
from uuid import UUID

from cloudpub_models.errors import InvalidCountError, InvalidValueError
from cloudpub_models.sql.identifiers import exact, shown, surrogate_in

SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**63 - 1

# An escaped NUL in JSON text: \u0000 that is not itself part of an escaped backslash.
_JSON_NUL = r"(?<!\\)(?:\\\\)*\\u0000"


_HARMLESS_IN_JSON = frozenset({str, float, bool, type(None)})
# What orjson writes as the standard library does, of these very types.
_ALIKE_IN_JSON = frozenset({str, bool, type(None)})
_CONTAINERS_IN_JSON = frozenset({dict, list, tuple})
DEEPEST_JSON = 200
"""How many lists and dicts of a document may be in each other; what is deeper could be stored, and never be shown."""


def _json_writer() -> Callable[[object], str]:
    """Return ``JSONEncoder.encode``, with its part in C made once in place of anew for each document.

    Without its check for circles, which end in a RecursionError as well.
    """
    encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), check_circular=False)
    make, text = json.encoder.c_make_encoder, json.encoder.encode_basestring  # type: ignore[attr-defined]
    if make is None:
        return encoder.encode
    separators = encoder.key_separator, encoder.item_separator
    try:
        write = make(None, encoder.default, text, None, *separators, False, False, False)
    except TypeError:  # it is Python's own business what that part takes
        return encoder.encode
    return lambda value: "".join(write(value, 0))


_write_json = _json_writer()


@cache
def _orjson_writer() -> Callable[[object], bytes] | None:
    """Return the function by which orjson writes JSON, many times as fast, where it is installed."""
    try:
        import orjson
    except ImportError:
        return None
    return orjson.dumps


class Members(list[Any]):
    """The members of an IN list.

    A plain list among the parameters means JSON, so the builder and the managers mark the lists that mean membership
    with this class. It equals the plain list of the same items.

    >>> Members(["active", "building"]) == ["active", "building"]
    True
    """

    __slots__ = ()


def check_count(number: Any, name: str, *, smallest: int = 0) -> int:
    """Return a limit, an offset, a size of chunks or the like.

    It may become part of a statement's text, so it is an ``int`` itself, not of a subclass with a text of its own.

    Args:
        number: the count.
        name: what it is called.
        smallest: what it is at least.

    Raises:
        InvalidCountError: it is no integer of the right size.
    """
    if type(number) is not int or not smallest <= number <= LARGEST_INTEGER:
        bounds = (
            f"at most {LARGEST_INTEGER}" if type(number) is int and number > LARGEST_INTEGER else f"at least {smallest}"
        )
        raise InvalidCountError(f"expected {name} to be an integer of {bounds}; got {shown(number)}")
    return number


def check_text(text: Any, name: str, *, longest: int | None = None) -> str:
    """Return a text that tells something and that a column of either database holds.

    Args:
        text: the text; one of a subclass becomes a plain one.
        name: what it is called.
        longest: how many characters it has at most.

    Raises:
        InvalidValueError: it is no text, an empty one, or one that no column holds.

    >>> check_text("mail.sent", "the topic")
    'mail.sent'
    """
    if not isinstance(text, str) or not text or "\0" in text or surrogate_in(text) is not None:
        raise InvalidValueError(
            f"expected {name} to be a text, neither empty nor with NUL or half a character; got {shown(text)}"
        )
    if longest is not None and len(text) > longest:
        raise InvalidValueError(f"expected {name} to be a text of at most {longest} characters; got {len(text):,}")
    return exact(text)


def text_literal(text: str) -> str:
    """Return a text as SQL writes it down, where no parameter can stand: in what makes tables, triggers and policies.

    Every connection has ``standard_conforming_strings`` on, so that a backslash stands for itself.

    >>> text_literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def encode(value: Any) -> Any:
    """Return ``value`` as the drivers of both databases take it.

    ``UUID`` becomes dashed text, an aware ``datetime`` 26 characters of UTC text, ``date`` and ``time`` ISO text,
    ``dict`` and ``list`` JSON text, an enum member its value; ``None``, booleans, numbers, text and bytes stay as they
    are.

    >>> from datetime import timedelta, timezone
    >>> encode(datetime(2024, 5, 1, 12, 0, tzinfo=timezone(timedelta(hours=2))))
    '2024-05-01 10:00:00.000000'
    >>> encode({"retries": 3})
    '{"retries":3}'

    Raises:
        InvalidValueError: for a value that neither database can hold: a naive ``datetime``, text with a NUL character
            or a lone surrogate, an integer beyond 64 bits, NaN, JSON that is none, a type without a meaning in SQL.
    """
    encoder = ENCODERS.get(type(value))
    return encoder(value) if encoder is not None else _encode_subclass(value)


def array_literal(values: Iterable[Any]) -> str:
    r"""Return a PostgreSQL array literal of encoded ``values``.

    It is sent as an untyped literal, so that it takes the type of the column it is compared with; an array of typed
    values would need a cast for every type.

    >>> array_literal([1, 2, None])
    '{1,2,NULL}'
    >>> print(array_literal(["a", 'b"c', "d\\e"]))
    {"a","b\"c","d\\e"}
    """
    elements = list(values)
    element = str if set(map(type, elements)) == {int} else _array_element
    return "{" + ",".join(map(element, elements)) + "}"


def json_array(values: Iterable[Any]) -> str:
    """Return a JSON array of encoded ``values``, for SQLite's ``json_each``.

    >>> json_array([1, "a", None, True])
    '[1,"a",null,true]'

    Raises:
        InvalidValueError: for bytes and infinities, which JSON does not have.
    """
    elements = list(values)
    for element in elements if set(map(type, elements)) - {int, str} else ():
        if not json_holds(element):
            raise InvalidValueError(
                f"expected values that a list of members can hold on SQLite; got {type(element).__name__} "
                "(bytes or an infinity): compare them one by one, or in raw SQL with a tuple: column IN @values"
            )
    return json.dumps(elements, ensure_ascii=False, separators=(",", ":"))


def json_holds(value: Any) -> bool:
    """Return whether an encoded value can be an element of a JSON array.

    >>> json_holds("text"), json_holds(b"bytes"), json_holds(float("inf"))
    (True, False, False)
    """
    kind = type(value)
    return kind is not bytes and (kind is not float or value - value == 0)


def number_or_text(value: Decimal) -> int | float | str:
    """Return a decimal as SQLite stores it: a number where that is exact, else text.

    This is what SQLite's own NUMERIC affinity does with decimal text. Text alone would compare as greater than every
    number wherever a column's affinity does not apply, as in ``HAVING AVG(duration_ms) > @minimum``.

    >>> number_or_text(Decimal("1.50")), number_or_text(Decimal("3")), number_or_text(Decimal("0.1000000000000000001"))
    (1.5, 3, '0.1000000000000000001')
    """
    if value == value.to_integral_value() and SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return int(value)
    nearest = float(value)
    return nearest if value in (Decimal(repr(nearest)), Decimal(nearest)) else str(value)


def _array_element(value: Any) -> str:
    if value is None:
        return "NULL"
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return repr(value) if value not in (float("inf"), float("-inf")) else f'"{value}"'
    if kind is list:
        return array_literal(value)
    text = "\\x" + value.hex() if kind is bytes else text_of(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text_of(value: Any) -> str:
    """Return an encoded value that is neither binary nor an array as PostgreSQL reads it from text.

    >>> text_of(Decimal("1.50")), text_of(date(2024, 5, 1))
    ('1.50', '2024-05-01')

    Raises:
        InvalidValueError: for a value whose text is not what the column would be given.
    """
    if isinstance(value, str | int | float | Decimal | date | time | timedelta | UUID):
        return str(value)
    raise InvalidValueError(
        f"expected a value that has a text in SQL; got {type(value).__module__}.{type(value).__qualname__}: "
        "write such rows one by one"
    )


def _unchanged(value: Any) -> Any:
    return value


def _encode_text(value: str) -> str:
    if "\0" in value:
        raise InvalidValueError(
            f"expected text without NUL characters; got one at position {value.index(chr(0))}: "
            "remove it, or store the data as bytes"
        )
    if not value.isascii() and (position := surrogate_in(value)) is not None:
        raise InvalidValueError(
            f"expected valid Unicode text; got a lone surrogate (U+{ord(value[position]):04X}) at position {position}: "
            "decode the bytes it came from properly, or with errors='replace'"
        )
    return value


def _encode_integer(value: int) -> int:
    if SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return value
    raise InvalidValueError(
        f"expected an integer of at most 64 bits; got one of {value.bit_length()} bits: store it as text or Decimal"
    )


def _encode_float(value: float) -> float:
    if value != value:
        raise InvalidValueError(
            "expected a number; got nan, which SQLite would store as NULL: pass None where no value is meant"
        )
    return value


def _encode_decimal(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise InvalidValueError(f"expected a finite Decimal; got {value}: pass None where no value is meant")
    return value


def moment_to_text(moment: datetime) -> str:
    """Return a moment as its 26 characters of UTC, ``YYYY-MM-DD HH:MM:SS.ffffff``, which sort as the moments do.

    >>> moment_to_text(datetime.fromisoformat("2024-05-01T12:00:00+02:00"))
    '2024-05-01 10:00:00.000000'

    Raises:
        InvalidValueError: for a naive datetime, which could mean any time zone, and for a moment outside the years 1 to
            9999 of UTC.
    """
    if moment.tzinfo is not UTC:
        if moment.utcoffset() is None:
            raise InvalidValueError(
                f"expected an aware datetime; got the naive {moment.isoformat(' ')}: attach its timezone, "
                "as in value.replace(tzinfo=datetime.UTC)"
            )
        try:
            moment = moment.astimezone(UTC)
        except (OverflowError, ValueError):
            raise InvalidValueError(
                f"expected a moment of the years 1 to 9999 in UTC; got {moment.isoformat(' ')}, which lies outside"
            ) from None
    # Without the offset, which takes as long to write as all the rest.
    return datetime.combine(moment, moment.time()).isoformat(" ", "microseconds")


def now_to_text() -> str:
    """Return the present moment as ``moment_to_text`` would; what is the same for a second is written once."""
    seconds, microseconds = divmod(time_ns() // 1000, 1_000_000)
    # With a digit before them, so that none of theirs is missing: sooner than a format says it.
    return _beginning_of(seconds) + str(1_000_000 + microseconds)[1:]


@lru_cache(maxsize=1)
def _beginning_of(seconds: int) -> str:
    """Return what the moments of a second begin with, up to their microseconds."""
    return moment_to_text(datetime.fromtimestamp(seconds, UTC))[:-6]


def _encode_time(value: time) -> str:
    if value.tzinfo is not None:
        raise InvalidValueError(
            "expected a time without a time zone; got one with: use a datetime where the zone matters"
        )
    return value.isoformat()


def json_to_text(value: object) -> str:
    """Return a value as compact JSON text that both databases take.

    ``None`` inside a document is JSON ``null``. Refused is what PostgreSQL's JSONB would refuse: NaN and
    infinities, NUL characters, lone surrogates, keys that are not strings; and integers beyond 64 bits.

    >>> json_to_text({"a": [1, 2.5, None, "é"]})
    '{"a":[1,2.5,null,"é"]}'

    Raises:
        InvalidValueError: for a value that is no JSON, and for those named above.
    """
    text = _json_by_orjson(value)
    if text is None:
        text = _json_by_standard_library(value)
    if "\\u0000" in text and re.search(_JSON_NUL, text):
        raise InvalidValueError(
            "expected JSON without NUL characters; got one (\\u0000), which PostgreSQL cannot store"
        )
    return text


def _json_by_orjson(value: object) -> str | None:
    """Return the text that the standard library writes; ``None`` where only that itself can tell."""
    write = _orjson_writer()
    if write is None:
        return None
    try:
        text = write(value)
    except TypeError:
        return None
    return text.decode() if _is_written_alike(value) else None


def _is_written_alike(value: object) -> bool:
    """Return whether what orjson has written, which contains no circle then, is what the standard library writes."""
    level: list[Any] = [(value,)]
    for _ in range(DEEPEST_JSON + 1):
        inner: list[Any] = []
        for container in level:
            for member in container.values() if isinstance(container, dict) else container:
                kind = type(member)
                if kind in _ALIKE_IN_JSON:
                    continue
                if kind in _CONTAINERS_IN_JSON:
                    inner.append(member)
                elif kind is int:
                    if not SMALLEST_INTEGER <= member <= LARGEST_INTEGER:
                        return False
                # Nor NaN, nor what has an exponent.
                elif kind is not float or not (1e-4 <= abs(member) < 1e16 or member == 0):
                    return False
        if not inner:
            return True
        level = inner
    return False


def _json_by_standard_library(value: object) -> str:
    _check_members(value)
    try:
        text = _write_json(value)
    except RecursionError:
        raise _nested_too_deeply() from None
    except ValueError:
        raise InvalidValueError(
            "expected a JSON value; got NaN or one of the infinities, which JSON does not have: use None instead"
        ) from None
    except TypeError as error:
        raise InvalidValueError(
            f"expected a JSON value (dict, list, str, int, float, bool, None); got one that is none ({error})"
        ) from None
    if text.count("[") + text.count("{") > DEEPEST_JSON and is_nested_too_deeply(value):
        raise _nested_too_deeply()
    return _encode_text(text)


def is_nested_too_deeply(value: object) -> bool:
    """Return whether a document has more lists and dicts in each other than every reader of it can follow.

    >>> is_nested_too_deeply([[1, {"a": 2}]])
    False
    """
    level: list[Any] = [value]
    for _ in range(DEEPEST_JSON + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list | tuple)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _nested_too_deeply() -> InvalidValueError:
    return InvalidValueError(
        f"expected a JSON value with at most {DEEPEST_JSON} lists and dicts in each other; got one nested too deeply, "
        "or containing itself"
    )


def json_path(path: Sequence[str | int]) -> str:
    """Return a path into a JSON document as SQLite takes it, of keys that have no quotation marks.

    >>> json_path(["tags", 0, "a.b", -1])
    '$."tags"[0]."a.b"[#-1]'
    """
    steps = [f'."{step}"' if isinstance(step, str) else f"[{step}]" if step >= 0 else f"[#{step}]" for step in path]
    return "$" + "".join(steps)


def jsonpath(path: Sequence[str | int]) -> str:
    """Return a path into a JSON document as PostgreSQL takes it, of keys that have no quotation marks.

    It is strict: what is no list has no positions, and a list no keys.

    >>> jsonpath(["tags", 0, "a.b", -2])
    'strict $."tags"[0]."a.b"[last-1]'
    """
    steps = [f'."{step}"' if isinstance(step, str) else f"[{_position(step)}]" for step in path]
    return "strict $" + "".join(steps)


def _position(step: int) -> str:
    return str(step) if step >= 0 else f"last{step + 1}" if step < -1 else "last"


def _check_members(value: object) -> None:
    """Refuse what json.dumps lets through, but what would not come back as it was."""
    seen: set[int] = set()
    remaining: list[Any] = [value]
    for item in remaining:  # which grows
        if isinstance(item, int):
            if not SMALLEST_INTEGER <= item <= LARGEST_INTEGER:
                # Most readers of JSON take such a number for a float (https://www.rfc-editor.org/rfc/rfc8259#section-6).
                raise InvalidValueError(
                    f"expected JSON with integers of at most 64 bits; got one of {item.bit_length()} bits: "
                    "store it as text"
                )
            continue
        if isinstance(item, dict):
            for key in item:
                # json.dumps turns the keys 1, None and True into text in silence.
                if type(key) is not str and not isinstance(key, str):
                    raise InvalidValueError(
                        f"expected JSON objects with strings for keys; got the key {key!r} ({type(key).__name__})"
                    )
            members: Iterable[Any] = item.values()
        elif isinstance(item, (list, tuple)):
            members = item
        else:
            continue
        if id(item) not in seen:
            seen.add(id(item))
            for member in members:
                # By a comprehension each list and dict would take one more Python call.
                if type(member) not in _HARMLESS_IN_JSON:
                    remaining.append(member)


def _encode_bytes(value: bytearray | memoryview) -> bytes:
    return bytes(value)


def _encode_subclass(value: Any) -> Any:
    if isinstance(value, Enum):
        return encode(value.value)
    # The order matters: bool is final, but datetime is a date.
    if isinstance(value, str):
        return _encode_text(str.__str__(value))
    if isinstance(value, int):
        return _encode_integer(int.__index__(value))
    if isinstance(value, float):
        return _encode_float(float.__float__(value))
    if isinstance(value, bytes):
        return bytes(value)
    for kind in (dict, list, datetime, date, time, Decimal, UUID):
        if isinstance(value, kind):
            return ENCODERS[kind](value)
    if isinstance(value, (tuple, set, frozenset)):
        raise InvalidValueError(
            f"expected one value; got a {type(value).__name__}: a list is stored as JSON, "
            "and a tuple is the members of `IN @name` in raw SQL only"
        )
    raise InvalidValueError(
        "expected None, bool, int, float, Decimal, str, bytes, UUID, datetime, date, time, dict, list or an enum; "
        f"got {type(value).__module__}.{type(value).__qualname__}: convert it first"
    )


ENCODERS: Mapping[type, Callable[[Any], Any]] = {
    type(None): _unchanged,
    bool: _unchanged,
    bytes: _unchanged,
    str: _encode_text,
    int: _encode_integer,
    float: _encode_float,
    Decimal: _encode_decimal,
    UUID: str,
    datetime: moment_to_text,
    date: date.isoformat,
    time: _encode_time,
    dict: json_to_text,
    list: json_to_text,
    bytearray: _encode_bytes,
    memoryview: _encode_bytes,
}
