"""Many values of one column at once, written as text a column at a time by a few calls that run in C.

So are PostgreSQL's COPY and array text made of values that have been checked. Knows no table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import datetime
from itertools import repeat
from operator import attrgetter
from typing import Any
from uuid import UUID

from cloudpub_models.sql.values import array_literal, text_of

# Enough that a call for each column and block costs nothing, and so few that the server need not wait for the first.
_ROWS_PER_BLOCK = 1000
_COPY_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}  # the backslash comes first
_ARRAY_ESCAPES = {"\\": "\\\\", '"': '\\"'}

_UUID_LINE = b"00000000-0000-0000-0000-000000000000\n"
_DIGIT_PLACES = [place for place, character in enumerate(_UUID_LINE) if character == ord("0")]
# The first two bits of this digit say that a UUID is of RFC 9562's variant, the other two are random.
_VARIANT_DIGITS = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)


def around_nones(
    values: Sequence[Any], convert: Callable[[Sequence[Any]], Sequence[Any]], none: str | None
) -> list[Any]:
    """Convert the values that are not ``None``, and put ``none`` for those that are."""
    converted = iter(convert([value for value in values if value is not None]))
    return [none if value is None else next(converted) for value in values]


def moment_texts(moments: Sequence[datetime]) -> list[str]:
    """Return moments, which must be in UTC, as ``moment_to_text`` writes them.

    >>> from datetime import UTC
    >>> moment_texts([datetime(2024, 5, 1, 10, tzinfo=UTC)])
    ['2024-05-01 10:00:00.000000']
    """
    # Without its time zone a datetime is written in half the time; replace(tzinfo=None) would cost what that saves.
    naive = map(datetime.combine, moments, map(datetime.time, moments))
    return list(map(datetime.isoformat, naive, repeat(" "), repeat("microseconds")))


def uuid_texts(uuids: Sequence[UUID]) -> list[str]:
    """Return UUIDs as ``str`` writes them.

    >>> uuid_texts([UUID(int=10)])
    ['00000000-0000-0000-0000-00000000000a']
    """
    return _with_dashes(("%032x" * len(uuids) % tuple(map(attrgetter("int"), uuids))).encode())


def random_uuids(count: int) -> list[str]:
    """Return random UUIDs (version 4) as text, in ascending order, in which indexes take them fastest.

    >>> first, second = random_uuids(2)
    >>> first < second, UUID(first).version
    (True, 4)
    """
    digits = bytearray(os.urandom(16 * count).hex().encode())
    digits[12::32] = b"4" * count
    digits[16::32] = digits[16::32].translate(_VARIANT_DIGITS)
    return sorted(_with_dashes(digits))


def time_ordered_uuids(milliseconds: Sequence[int]) -> list[str]:
    """Return UUIDs that begin with moments (version 7) as text, one for each.

    Args:
        milliseconds: since 1970.

    >>> [uuid] = time_ordered_uuids([1000])
    >>> uuid[:15], UUID(uuid).version
    ('00000000-03e8-7', 7)
    """
    count = len(milliseconds)
    times = ("%012x" * count % tuple(milliseconds)).encode()
    digits = bytearray(os.urandom(16 * count).hex().encode())
    for place in range(12):
        digits[place::32] = times[place::12]
    digits[12::32] = b"7" * count
    digits[16::32] = digits[16::32].translate(_VARIANT_DIGITS)
    return _with_dashes(digits)


class CopyText:
    """Rows, given as their columns of encoded values, as what COPY reads: text format, some rows at a time.

    https://www.postgresql.org/docs/current/sql-copy.html describes it.

    Attributes:
        read: takes the number of bytes wanted, the same each time, and returns at most as many; none at the end.
        failures: what ended the reading. ``read`` is a generator's ``send``, so that also what a signal handler raises
            is raised inside the generator; of an exception that leaves ``read`` the driver keeps the text only.
    """

    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        self.failures: list[BaseException] = []
        pieces = _pieces(_copy_blocks(columns), self.failures)
        next(pieces)
        self.read: Callable[[int], bytes] = pieces.send


def _pieces(blocks: Iterator[bytes], failures: list[BaseException]) -> Generator[bytes, int, None]:
    # Knows no CopyText: a circle would keep the rows in memory.
    try:
        size = yield b""
        for block in blocks:
            for start in range(0, len(block), size):
                yield block[start : start + size]
        while True:
            yield b""
    except GeneratorExit:
        raise
    except BaseException as failure:
        failures.append(failure)
        raise


def array_text(values: Sequence[Any]) -> str:
    """Return encoded values as a PostgreSQL array literal."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return '{"' + '","'.join(_escaped(values, _ARRAY_ESCAPES)) + '"}'
    if kinds == {int}:
        return "{" + ",".join(map(str, values)) + "}"
    return array_literal(values)


def _with_dashes(digits: bytes | bytearray) -> list[str]:
    """Return UUIDs, given as their digits one after the other, as text with dashes.

    All first digits are put into place at once, then all second ones, and so on: far fewer steps than one UUID at a
    time.
    """
    lines = bytearray(_UUID_LINE) * (len(digits) // 32)
    for number, place in enumerate(_DIGIT_PLACES):
        lines[place :: len(_UUID_LINE)] = digits[number::32]
    return lines.decode().splitlines()


def _copy_blocks(columns: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    for start in range(0, len(columns[0]), _ROWS_PER_BLOCK):
        texts = [_copy_texts(values[start : start + _ROWS_PER_BLOCK]) for values in columns]
        yield ("\n".join(map("\t".join, zip(*texts, strict=True))) + "\n").encode()


def _copy_texts(values: Sequence[Any]) -> Sequence[str]:
    kinds = set(map(type, values))
    if type(None) in kinds:
        return around_nones(values, _copy_texts, "\\N")
    if kinds == {str}:
        return _escaped(values, _COPY_ESCAPES)
    if kinds == {int}:
        return list(map(str, values))
    return _escaped(list(map(_text, values)), _COPY_ESCAPES)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, list):
        return array_literal(value)
    return "\\x" + value.hex() if isinstance(value, bytes) else text_of(value)


def _escaped(texts: Sequence[str], escapes: dict[str, str]) -> Sequence[str]:
    """Return texts with the characters that have a meaning written as their escapes."""
    joined = "".join(texts)
    for character, escape in escapes.items():
        if character in joined:
            texts = [text.replace(character, escape) for text in texts]
    return texts
