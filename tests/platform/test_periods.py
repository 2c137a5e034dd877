"""Hours and days of time zones, on the line of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from cloudpub_models.platform import periods
from cloudpub_models.platform.periods import Buckets, last_days, last_hours, moment, time_zone

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana", "America/St_Johns",
    "Asia/Beirut", "Asia/Kolkata", "Asia/Kathmandu", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia",
]  # fmt: skip


def spans(buckets: Buckets) -> list[tuple[str, str]]:
    return [tuple(moment.isoformat() for moment in buckets.span(number)) for number in range(len(buckets))]


def lengths(buckets: Buckets) -> list[float]:
    return [(end - start) / timedelta(hours=1) for start, end in map(buckets.span, range(len(buckets)))]


@pytest.mark.parametrize(("day", "hours"), [(datetime(2024, 3, 31), 23), (datetime(2024, 10, 27), 25)])
def test_days_around_a_moved_clock(day: datetime, hours: int) -> None:
    until = (day + timedelta(days=2)).replace(tzinfo=BERLIN)
    buckets = last_days(3, until, BERLIN)
    assert lengths(buckets) == [24, hours, 24]
    assert buckets.slot_seconds == 3600
    starts = [buckets.span(number)[0] for number in range(3)]
    assert [start.strftime("%H:%M") for start in starts] == ["00:00"] * 3
    assert starts[2].date() == (day + timedelta(days=1)).date()


def test_hours_of_the_night_that_has_one_less() -> None:
    assert spans(last_hours(3, datetime(2024, 3, 31, 2, tzinfo=UTC), BERLIN)) == [
        ("2024-03-31T00:00:00+01:00", "2024-03-31T01:00:00+01:00"),
        ("2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"),
        ("2024-03-31T03:00:00+02:00", "2024-03-31T04:00:00+02:00"),
    ]


def test_hours_of_a_zone_between_the_hours() -> None:
    buckets = last_hours(2, datetime(2024, 5, 1, 10, 20, tzinfo=UTC), ZoneInfo("Asia/Kathmandu"))
    assert spans(buckets) == [
        ("2024-05-01T15:00:00+05:45", "2024-05-01T16:00:00+05:45"),
        ("2024-05-01T16:00:00+05:45", "2024-05-01T17:00:00+05:45"),
    ]
    assert buckets.slot_seconds == 3600


def test_hours_of_a_zone_whose_clock_is_moved_by_half_an_hour() -> None:
    buckets = last_hours(4, datetime(2024, 4, 6, 16, tzinfo=UTC), ZoneInfo("Australia/Lord_Howe"))
    assert [start for start, _ in spans(buckets)] == [
        "2024-04-07T00:00:00+11:00",
        "2024-04-07T01:00:00+11:00",
        "2024-04-07T01:30:00+10:30",
        "2024-04-07T02:00:00+10:30",
    ]
    assert lengths(buckets) == [1, 1, 0.5, 1]


def test_a_day_that_the_calendar_left_out() -> None:
    buckets = last_days(3, datetime(2011, 12, 31, 12, tzinfo=UTC), ZoneInfo("Pacific/Apia"))
    assert [start for start, _ in spans(buckets)] == ["2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"]


@pytest.mark.parametrize(("last", "length"), [(last_hours, 1), (last_days, 24)])
def test_what_has_just_begun_is_the_last(last: Any, length: int) -> None:
    midnight = datetime(2024, 5, 2, tzinfo=UTC)
    for until, begins in (
        (midnight, midnight - timedelta(hours=length)),
        (midnight + timedelta(microseconds=1), midnight),
        (midnight + timedelta(microseconds=2), midnight),
    ):
        buckets = last(1, until, UTC)
        assert buckets.span(0) == (begins, begins + timedelta(hours=length))
        assert buckets.parameters == {
            "begin": begins,
            "end": begins + timedelta(hours=length),
            "origin": begins.timestamp(),
            "slot_seconds": length * 3600,
        }


def test_the_end_is_not_included() -> None:
    midnight = datetime(2024, 5, 1, tzinfo=UTC)
    assert spans(last_days(1, midnight, UTC)) == [("2024-04-30T00:00:00+00:00", "2024-05-01T00:00:00+00:00")]
    assert spans(last_hours(1, midnight, UTC)) == [("2024-04-30T23:00:00+00:00", "2024-05-01T00:00:00+00:00")]
    assert last_days(30, midnight, UTC).slot_seconds == 86_400


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    until=st.datetimes(datetime(1975, 1, 1), datetime(2040, 1, 1)),
    count=st.integers(1, 60),
)
def test_buckets_are_whole_hours_and_days_without_gaps(zone: ZoneInfo, until: datetime, count: int) -> None:
    until = until.replace(tzinfo=UTC)
    for buckets, hourly in ((last_hours(count, until, zone), True), (last_days(count, until, zone), False)):
        found = [buckets.span(number) for number in range(len(buckets))]
        assert all(earlier[1] == later[0] for earlier, later in pairwise(found))
        assert found[-1][0] < until <= found[-1][1]
        assert len(found) == count or (not hourly and zone.key == "Pacific/Apia")
        for start, end in found:
            assert start.utcoffset() == start.astimezone(zone).utcoffset()
            assert (end - start).total_seconds() % buckets.slot_seconds == 0
            assert (end - start) <= (timedelta(hours=1) if hourly else timedelta(hours=26))
        slots = range(round((buckets.end - buckets.begin).total_seconds()) // buckets.slot_seconds)
        for slot in slots if len(slots) < 3000 else [slots[0], slots[-1]]:
            instant = buckets.begin + timedelta(seconds=slot * buckets.slot_seconds)
            start, end = found[buckets.of_slot(slot)]
            assert start <= instant < end


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "", "Mars/Olympus", "../etc/passwd", "Europe", "\0", "a" * 500, 5, b"UTC"]
)
def test_unknown_time_zones(name: Any) -> None:
    with pytest.raises(InvalidValueError, match="time zone") as caught:
        time_zone(name)
    if name == "Europe/Berln":
        assert "did you mean 'Europe/Berlin'?" in str(caught.value)


def test_names_of_time_zones_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidValueError):
        time_zone("Europe/Berln")
    monkeypatch.setattr(periods, "available_timezones", None)
    with pytest.raises(InvalidValueError, match="did you mean 'Europe/Madrid'"):
        time_zone("Europe/Madri")


def test_known_time_zones() -> None:
    assert time_zone(None) is UTC
    assert time_zone(BERLIN) is BERLIN
    assert time_zone("Europe/Berlin") is BERLIN


@pytest.mark.parametrize("count", [0, -1, 1.0, True, None, 100_001])
def test_bad_numbers_of_buckets(count: Any) -> None:
    with pytest.raises(InvalidQueryError, match="hours"):
        last_hours(count, datetime.now(UTC), UTC)
    with pytest.raises(InvalidQueryError, match="days"):
        last_days(count, datetime.now(UTC), UTC)


def test_series_beyond_time() -> None:
    for until in (datetime(1, 1, 2, tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)):
        with pytest.raises(InvalidValueError, match="years 1 to 9999"):
            last_days(5, until, ZoneInfo("Asia/Tokyo"))
    with pytest.raises(InvalidValueError, match="years 1 to 9999"):
        last_hours(100, datetime(1, 1, 2, tzinfo=UTC), UTC)


def test_moments() -> None:
    assert moment(datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=2))), "since").isoformat() == (
        "2024-04-30T22:00:00+00:00"
    )
    before = datetime.now(UTC)
    assert before <= moment(timedelta(hours=1), "since") + timedelta(hours=1) <= datetime.now(UTC)
    for bad in (datetime(2024, 5, 1), timedelta(-1), timedelta.max, 5, None, "2024-05-01T00:00:00+00:00"):
        with pytest.raises(InvalidValueError, match="since"):
            moment(bad, "since")
    with pytest.raises(InvalidValueError, match="since"):
        moment(datetime.min.replace(tzinfo=timezone(timedelta(hours=2))), "since")


def test_a_series_of_too_many_slots_is_refused_by_name():
    """Before 1893 the clock of Berlin was 53 minutes and 28 seconds ahead of UTC: slots would be of four seconds."""
    with pytest.raises(
        InvalidQueryError, match="clock of Europe/Berlin is ahead of UTC by whole minutes; got one that"
    ):
        last_days(50_000, datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    days = last_days(40_000, datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    assert len(days) == 40_000
    assert days.of_slot(0) == 0
    assert len(last_days(100_000, datetime(2026, 1, 1, tzinfo=UTC), UTC)) == 100_000


def test_the_most_slots_are_as_many_as_the_most_days_have_quarters_of_an_hour() -> None:
    """A clock is moved by quarters of an hour at the least, so that no series of today's zones is refused."""
    begin, second = datetime(2024, 1, 1, tzinfo=UTC), timedelta(seconds=1)
    most = 100_000 * 24 * 4
    assert Buckets([begin, begin + second, begin + most * second], UTC).slot_seconds == 1
    with pytest.raises(InvalidQueryError, match="ahead of UTC by whole minutes"):
        Buckets([begin, begin + second, begin + (most + 1) * second], UTC)


def test_a_slot_lies_in_the_bucket_that_begins_with_it() -> None:
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    buckets = Buckets([begin + timedelta(hours=hours) for hours in (0, 2, 3, 5)], UTC)
    assert buckets.slot_seconds == 3600
    assert [buckets.of_slot(slot) for slot in range(5)] == [0, 0, 1, 2, 2]
