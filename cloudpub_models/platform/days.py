"""The days in which rows of a partitioned table are looked for first, so that few partitions are planned and read.

What is said here is where to look, and never where to stop: whoever finds nothing there looks everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter

from cloudpub_models.sql.nodes.conditions import During
from cloudpub_models.sql.nodes.expressions import Column

# Clocks differ, and a row may be of another moment than its UUID.
_AROUND = timedelta(hours=1)
_DAY = timedelta(days=1)
# How many days behind the latest that is known. Not to find an id there costs little.
_MOST_DAYS = 3
_MOST_KNOWN = 4_000
_LAST_DAY = datetime.max.toordinal()


def days_around(moment: datetime, column: str) -> During | None:
    """Return the days in which a moment and the hours beside it are; ``None`` where there are no such days.

    >>> days = days_around(datetime(2026, 11, 28, 23, 30, tzinfo=UTC), "timestamp")
    >>> days.begin.day, days.end.day
    (28, 30)
    """
    try:
        return _days((moment - _AROUND).toordinal(), (moment + _AROUND).toordinal(), column)
    except OverflowError:
        return None


def days_since(moment: datetime, column: str) -> During:
    """Return the days from that of a moment on."""
    return _days(moment.toordinal(), None, column)


@lru_cache(maxsize=1024)
def _days(first: int, last: int | None, column: str) -> During:
    """Return that a column has a moment from one day to another one, in UTC: whole days, so that few SQLs differ."""
    return During(Column(None, column), _midnight(first), None if last is None else _midnight(last) + _DAY)


def _midnight(day: int) -> datetime:
    return datetime.fromordinal(day).replace(tzinfo=UTC)


class KnownDays:
    """Of which days the rows of a table are, by their ids, which grow with time but for a few.

    >>> known = KnownDays("timestamp")
    >>> for key, day in ((1, 26), (90, 26), (95, 27)):
    ...     known.note(key, datetime(2026, 11, day, tzinfo=UTC))
    >>> [(days.begin.day, days.end.day) for days in (known.of(50), known.of(93)) if days is not None]
    [(26, 27), (26, 28)]
    """

    def __init__(self, column: str) -> None:
        self._column = column
        # In the order of the ids: the smallest and the largest known of a day, and the day. It is replaced whole, so
        # that threads need not wait for each other: of what two note at once, one is forgotten.
        self._known: tuple[tuple[int, int, int], ...] = ()

    def note(self, key: int, moment: datetime) -> None:
        """Remember of when a row is."""
        known, day = self._known, moment.toordinal()
        if not _MOST_DAYS < day < _LAST_DAY - _MOST_DAYS:
            return
        place = bisect_right(known, key, key=itemgetter(0))
        for near in range(max(place - 1, 0), min(place + 1, len(known))):
            smallest, largest, ordinal = known[near]
            if ordinal == day:
                wider = (min(smallest, key), max(largest, key), day)
                self._known = (*known[:near], wider, *known[near + 1 :])
                return
        before, behind = (known[:place], known[place:]) if len(known) < _MOST_KNOWN else ((), ())
        self._known = (*before, (key, key, day), *behind)

    def of(self, key: int) -> During | None:
        """Return the days in which the row with an id should be; ``None`` where nothing is known."""
        known = self._known
        if not known:
            return None
        place = bisect_right(known, key, key=itemgetter(0))
        _, largest, first = known[max(place - 1, 0)]
        if not place:
            return _days(first - 1, first, self._column)
        if key <= largest:
            return _days(first, first, self._column)
        if place == len(known):
            return _days(first, first + _MOST_DAYS, self._column)
        # As if as many were written every day.
        smallest, _, last = known[place]
        days = max(last - first, 0)
        day = days * (key - largest) // (smallest - largest)
        return _days(first + max(day - 1, 0), first + min(day + 1, days), self._column)
