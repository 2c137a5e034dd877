"""Days and months in UTC, one behind the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from cloudpub_models import Partition
from cloudpub_models.errors import ConfigurationError, InvalidValueError
from cloudpub_models.schema.partitions.ranges import (
    WIDTHS,
    Width,
    check_ahead,
    check_width,
    first_begin,
    ranges_ahead,
    width_of,
)


def day(month: int, number: int, hour: int = 0) -> datetime:
    return datetime(2028, month, number, hour, tzinfo=UTC)


def part(begin: datetime | None, end: datetime | None) -> Partition:
    return Partition("p", begin, end, 0, 0)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("days", [0, 1, 14, 366])
def test_ranges_follow_each_other_and_reach_far_enough(width: Width, days: int) -> None:
    begin = day(1, 31)
    until = begin + timedelta(days=days)
    ranges = list(ranges_ahead(begin, width, until))
    assert (ranges == []) == (days == 0)
    assert all(earlier.end == later.begin for earlier, later in pairwise(ranges))
    if ranges:
        assert ranges[0].begin == begin
        assert ranges[-1].end >= until
        assert ranges[-1].begin < until or width == "month"
        assert width_of([part(*each) for each in ranges]) == width


def test_months_of_every_length() -> None:
    ends = [each.end for each in ranges_ahead(day(1, 31), "month", day(12, 31))]
    assert ends == [*[day(month, 1) for month in range(2, 13)], datetime(2029, 1, 1, tzinfo=UTC)]


def test_the_first_begin_is_a_day_and_more_from_now() -> None:
    for hour in range(24):
        begin = first_begin(day(2, 28, hour))
        assert timedelta(days=1) < begin - day(2, 28, hour) <= timedelta(days=2)
        assert begin == day(3, 1)


def test_the_width_is_that_of_the_latest() -> None:
    past, future = part(None, day(1, 5)), part(day(3, 1), None)
    assert width_of([past, future]) is None
    assert width_of([past, part(day(1, 5), day(2, 1)), part(day(2, 1), day(3, 1)), future]) == "month"
    assert width_of([past, part(day(1, 5), day(1, 6)), future]) == "day"


@pytest.mark.parametrize(("begin", "end"), [(day(1, 1), day(1, 8)), (day(1, 5), day(2, 1)), (day(1, 1, 1), day(1, 2))])
def test_other_widths(begin: datetime, end: datetime) -> None:
    with pytest.raises(ConfigurationError, match="expected partitions of a day or a month; got p"):
        width_of([part(None, begin), part(begin, end)])


@pytest.mark.parametrize("width", ["week", "", "Day", 1, b"day"])
def test_no_width(width: object) -> None:
    with pytest.raises(InvalidValueError, match="expected width to be 'day' or 'month'"):
        check_width(width)


@pytest.mark.parametrize("ahead", [timedelta(-1), timedelta(367), 14, "14d", None])
def test_no_time_ahead(ahead: object) -> None:
    with pytest.raises(InvalidValueError, match="expected ahead to be a timedelta of 0 to 366 days"):
        check_ahead(ahead)
