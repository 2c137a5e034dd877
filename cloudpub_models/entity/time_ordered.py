"""UUIDs that begin with a moment, so that those of one time stand together in an index: version 7 of RFC 9562.

48 bits are the milliseconds since 1970, six say what kind of UUID it is, 74 are random, as
https://www.rfc-editor.org/rfc/rfc9562#section-5.7 has it. Of one millisecond none comes before the other.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from time import time_ns
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# The first two bits of this digit are those of the RFC's variant, the other two are random.
_VARIANT_DIGITS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))

_random = os.urandom
_moment_from_text = datetime.fromisoformat


def milliseconds_of(stored: str | None) -> int:
    """Return the milliseconds since 1970 of a moment.

    Args:
        stored: the moment as it is stored, in UTC without an offset; ``None`` for the current one. What lies before
            1970 counts as its beginning, since a UUID has no room for it.

    >>> milliseconds_of("1970-01-01 00:00:01.500999"), milliseconds_of("1969-12-31 23:59:59.000000")
    (1500, 0)
    """
    if stored is None:
        return time_ns() // 1_000_000
    milliseconds: int = (_moment_from_text(stored + "Z") - _EPOCH) // _MILLISECOND
    return max(milliseconds, 0)


def uuid_text_at(milliseconds: int) -> str:
    """Return a UUID of a moment, as text.

    Args:
        milliseconds: since 1970.

    >>> uuid_text_at(0x0190_3C5F_1E2A)[:15]
    '01903c5f-1e2a-7'
    """
    time, random = f"{milliseconds:012x}", _random(10).hex()
    return f"{time[:8]}-{time[8:]}-7{random[:3]}-{_VARIANT_DIGITS[random[3]]}{random[4:7]}-{random[7:19]}"


def uuid_now() -> UUID:
    """Return a UUID of the current moment.

    >>> uuid_now().version
    7
    """
    return UUID(uuid_text_at(milliseconds_of(None)))


def time_of(uuid: UUID) -> datetime | None:
    """Return the moment that a UUID begins with, to the millisecond; ``None`` for one of another kind.

    >>> time_of(UUID("0190163d-8694-739b-aea5-966c26f8ad91")), time_of(UUID(int=7))
    (datetime.datetime(2024, 6, 14, 10, 14, 9, 300000, tzinfo=datetime.timezone.utc), None)
    """
    if uuid.version != 7:
        return None
    try:
        return _EPOCH + (uuid.int >> 80) * _MILLISECOND
    except OverflowError:
        return None
