"""Moments and stretches of time that callers name, and the hours and days of a time zone.

The database knows UTC only. What an hour or a day of a time zone is, where a clock that is put forward or back makes
days of 23 or 25 hours, is worked out here, as boundaries on the line of time.
"""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from datetime import timezone as fixed_offset
from functools import cache
from itertools import pairwise
from math import gcd
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cloudpub_models.entity.stored_forms import timestamp_to_text
from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from cloudpub_models.sql.identifiers import shown

TimeZone = str | tzinfo | None

MOST_BUCKETS = 100_000
# Those of as many days, of a quarter of an hour each.
_MOST_SLOTS = 96 * MOST_BUCKETS

_HOUR = timedelta(hours=1)


def moment(value: Any, name: str, *, now: datetime | None = None) -> datetime:
    """Return a moment that a caller named, in UTC.

    Args:
        value: an aware datetime, or a timedelta: how long ago.
        name: what the caller calls it, for messages.
        now: what a timedelta is counted back from; the current time when left out.

    Raises:
        InvalidValueError: it is naive, negative, out of range, or of another type.

    >>> moment(timedelta(days=1), "since", now=datetime(2024, 5, 2, tzinfo=UTC))
    datetime.datetime(2024, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if isinstance(value, timedelta):
        if value < timedelta(0):
            raise InvalidValueError(f"expected {name} to be how long ago; got the negative {value!r}: drop the sign")
        try:
            return (datetime.now(UTC) if now is None else now) - value
        except OverflowError:
            raise InvalidValueError(
                f"expected {name} to lie in the years 1 to 9999; got {value!r}: pass datetime.min.replace(tzinfo=UTC) "
                "for the beginning of time"
            ) from None
    if not isinstance(value, datetime):
        raise InvalidValueError(f"expected {name} to be an aware datetime or a timedelta; got {shown(value)}")
    try:
        timestamp_to_text(value)
    except InvalidValueError as error:
        raise InvalidValueError(f"{name}: {error}") from None
    return value.astimezone(UTC)


def time_zone(zone: TimeZone) -> tzinfo:
    """Return the time zone that a caller named; UTC when left out.

    Args:
        zone: the name of an IANA time zone (``"Europe/Berlin"``), or any tzinfo.

    Raises:
        InvalidValueError: there is no time zone of this name.

    >>> time_zone("Europe/Berlin")
    zoneinfo.ZoneInfo(key='Europe/Berlin')
    """
    if zone is None:
        return UTC
    if isinstance(zone, tzinfo):
        return zone
    if not isinstance(zone, str):
        raise InvalidValueError(f"expected a time zone's name or a tzinfo; got {shown(zone)}")
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = _known_time_zones()
        nearest = difflib.get_close_matches(zone[:60], known, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else "pass one such as 'Europe/Berlin'"
        if not known:
            hint = "this machine knows none; install the tzdata package"
        raise InvalidValueError(f"expected the name of an IANA time zone; got {zone[:60]!r}: {hint}") from None


@cache
def _known_time_zones() -> frozenset[str]:
    """Return the names of all time zones; to find them, Python opens each one's file."""
    return frozenset(available_timezones())


class Buckets:
    """Consecutive stretches of time.

    Args:
        boundaries: where each begins, in UTC, and where the last one ends.
        zone: the time zone in which they are shown.

    Raises:
        InvalidQueryError: the clock was moved by seconds among them, so that they have too many slots.
    """

    def __init__(self, boundaries: Sequence[datetime], zone: tzinfo) -> None:
        self.begin, self.end = boundaries[0], boundaries[-1]
        self._zone = zone
        self._seconds = [round((boundary - self.begin).total_seconds()) for boundary in boundaries]
        self.origin = round((self.begin - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
        # The longest stretch of which every bucket is a multiple: a day for UTC's days, an hour where clocks are moved.
        self.slot_seconds = gcd(*[end - start for start, end in pairwise(self._seconds)])
        if self._seconds[-1] // self.slot_seconds > _MOST_SLOTS:
            # As with Berlin before 1893, which was 53 minutes and 28 seconds ahead of UTC.
            raise InvalidQueryError(
                f"expected a series in which the clock of {zone} is ahead of UTC by whole minutes; got one that begins "
                f"in {self.begin.year}: pass a later one, or UTC"
            )

    def __len__(self) -> int:
        return len(self._seconds) - 1

    @property
    def parameters(self) -> dict[str, Any]:
        """What a statement that counts by slots takes: ``begin``, ``end``, ``origin`` and ``slot_seconds``."""
        names = ("begin", "end", "origin", "slot_seconds")
        return {name: getattr(self, name) for name in names}

    def of_slot(self, slot: int) -> int:
        """Return the number of the bucket that a slot, counted from the beginning, lies in."""
        return bisect_right(self._seconds, slot * self.slot_seconds) - 1

    def span(self, number: int) -> tuple[datetime, datetime]:
        """Return where a bucket begins and ends, with the zone's offset from UTC at either moment.

        The offset is a fixed one. With the zone itself Python would compare and subtract what clocks show: a day of 25
        hours would last 24, and the hour that an autumn night has twice would be one and the same.
        """
        start, end = self._seconds[number], self._seconds[number + 1]
        return self._shown(start), self._shown(end)

    def _shown(self, second: int) -> datetime:
        instant = self.begin + timedelta(seconds=second)
        if self._zone is UTC:
            return instant
        local = instant.astimezone(self._zone)
        return local.replace(tzinfo=fixed_offset(local.utcoffset() or timedelta(0)), fold=0)


def last_hours(count: int, until: datetime, zone: tzinfo) -> Buckets:
    """Return the last hours of a time zone's clock before a moment, the one that it lies in included.

    Args:
        count: how many.
        until: the moment; what begins at it is not included.
        zone: the time zone. Where its clock is moved by part of an hour, the hours around it are shorter.

    >>> night = last_hours(3, datetime(2024, 10, 27, 2, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    >>> [night.span(number)[0].isoformat() for number in range(3)]
    ['2024-10-27T01:00:00+02:00', '2024-10-27T02:00:00+02:00', '2024-10-27T02:00:00+01:00']
    """
    _check_number(count, "hours")
    try:
        last = until - timedelta(microseconds=1)
        # Begun a little earlier, since an hour may be shorter than one.
        begin = last - (count + 3) * _HOUR
        boundary = begin - _past_the_hour(begin, zone)
        boundaries = [boundary]
        while boundary <= last:
            boundary += _HOUR - _past_the_hour(boundary, zone)
            boundaries.append(boundary)
        return Buckets(boundaries[-count - 1 :], zone)
    except OverflowError:
        raise _out_of_range() from None


def last_days(count: int, until: datetime, zone: tzinfo) -> Buckets:
    """Return the last days of a time zone's calendar before a moment, the one that it lies in included.

    Args:
        count: how many.
        until: the moment; what begins at it is not included.
        zone: the time zone.

    >>> days = last_days(2, datetime(2024, 3, 31, 22, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    >>> [str(end - start) for start, end in (days.span(0), days.span(1))]
    ['1 day, 0:00:00', '23:00:00']
    """
    _check_number(count, "days")
    try:
        last = (until - timedelta(microseconds=1)).astimezone(zone).date()
        dates = [last - timedelta(days=ago) for ago in range(count - 1, -2, -1)]
        starts = [datetime.combine(date, time(), zone).astimezone(UTC) for date in dates]
        # A day that the calendar left out (Samoa had no 30 December 2011) is none.
        return Buckets(sorted(set(starts)), zone)
    except OverflowError:
        raise _out_of_range() from None


def _past_the_hour(instant: datetime, zone: tzinfo) -> timedelta:
    local = instant.astimezone(zone)
    return timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def _check_number(count: Any, name: str) -> None:
    if type(count) is not int or not 1 <= count <= MOST_BUCKETS:
        raise InvalidQueryError(f"expected {name} to be an integer from 1 to {MOST_BUCKETS}; got {shown(count)}")


def _out_of_range() -> InvalidValueError:
    return InvalidValueError(
        "expected a series within the years 1 to 9999; got one that begins before or ends after them"
    )
