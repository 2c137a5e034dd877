"""The ranges of time that partitions have: days or months in UTC, one behind the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Literal, NamedTuple, get_args

from cloudpub_models.errors import ConfigurationError, InvalidValueError
from cloudpub_models.schema.catalogue.catalogue import Partition
from cloudpub_models.sql.identifiers import shown

Width = Literal["day", "month"]
WIDTHS: tuple[Width, ...] = get_args(Width)
AHEAD = timedelta(days=14)

Way = Literal["attach", "move"]
"""How a table gets its partitions: by becoming the first one, or by its rows being copied into them."""
WAYS: tuple[Way, ...] = get_args(Way)

BACK: dict[Width, timedelta] = {"day": timedelta(days=366), "month": timedelta(days=3660)}
"""For how long ago there are partitions at most, where rows are copied into them."""

_DAY = timedelta(days=1)
# Planning takes longer with each partition.
_FARTHEST = timedelta(days=366)


class Range(NamedTuple):
    """From a moment on, up to another one."""

    begin: datetime
    end: datetime


def check_width(width: Any) -> Width | None:
    """Return a width, or None; raise InvalidValueError for anything else."""
    for each in WIDTHS:
        if isinstance(width, str) and width == each:
            return each
    if width is not None:
        raise InvalidValueError(f"expected width to be {' or '.join(map(repr, WIDTHS))}; got {shown(width)}")
    return None


def check_way(way: Any) -> Way | None:
    """Return a way, or None; raise InvalidValueError for anything else."""
    for each in WAYS:
        if isinstance(way, str) and way == each:
            return each
    if way is not None:
        raise InvalidValueError(f"expected way to be {' or '.join(map(repr, WAYS))}; got {shown(way)}")
    return None


def check_ahead(ahead: Any) -> None:
    """Raise InvalidValueError unless it says how long ahead of time partitions are to be there."""
    if not isinstance(ahead, timedelta) or not timedelta(0) <= ahead <= _FARTHEST:
        raise InvalidValueError(
            f"expected ahead to be a timedelta of 0 to {_FARTHEST.days} days; got {shown(ahead)}: "
            "pass timedelta(days=14)"
        )


def first_begin(now: datetime) -> datetime:
    """Return where a table's first partitions begin: a day and more from now, since that is how long it may take.

    >>> from datetime import UTC
    >>> first_begin(datetime(2026, 11, 28, 9, 30, tzinfo=UTC)).isoformat()
    '2026-11-30T00:00:00+00:00'
    """
    return datetime.combine(now.date(), time(), now.tzinfo) + 2 * _DAY


def begin_of(moment: datetime, width: Width) -> datetime:
    """Return where the day or month of a moment begins.

    >>> from datetime import UTC
    >>> begin_of(datetime(2026, 11, 28, 9, 30, tzinfo=UTC), "month").isoformat()
    '2026-11-01T00:00:00+00:00'
    """
    midnight = datetime.combine(moment.date(), time(), moment.tzinfo)
    return midnight if width == "day" else midnight.replace(day=1)


def width_of(parts: Sequence[Partition]) -> Width | None:
    """Return the width of the latest partition that has a begin and an end; None where there is none.

    Raises:
        ConfigurationError: it is neither a day nor a month.
    """
    bounded = [Range(part.begin, part.end) for part in parts if part.begin is not None and part.end is not None]
    if not bounded:
        return None
    latest = bounded[-1]
    for width in WIDTHS:
        if latest == Range(latest.begin, _end_of(latest.begin, width)) and _is_begin(latest.begin, width):
            return width
    raise ConfigurationError(
        f"expected partitions of a day or a month; got {parts[0].name} and others, the latest from "
        f"{latest.begin:%Y-%m-%d %H:%M} to {latest.end:%Y-%m-%d %H:%M}: leave them to what has made them"
    )


def ranges_ahead(begin: datetime, width: Width, until: datetime) -> Iterator[Range]:
    """Yield ranges from a moment on, up to one or beyond it; the last is a whole day or month.

    >>> from datetime import UTC
    >>> ranges = ranges_ahead(datetime(2026, 11, 30, tzinfo=UTC), "month", datetime(2026, 12, 1, tzinfo=UTC))
    >>> [f"{each.begin:%m-%d} {each.end:%m-%d}" for each in ranges]
    ['11-30 12-01', '12-01 01-01']
    """
    is_whole = True
    while begin < until or not is_whole:
        end = _end_of(begin, width)
        yield Range(begin, end)
        is_whole = _is_begin(begin, width)
        begin = end


def _end_of(begin: datetime, width: Width) -> datetime:
    """Return where the day or month of a moment ends."""
    own = begin_of(begin, width)
    return own + _DAY if width == "day" else (own + 31 * _DAY).replace(day=1)


def _is_begin(moment: datetime, width: Width) -> bool:
    return moment == begin_of(moment, width)
