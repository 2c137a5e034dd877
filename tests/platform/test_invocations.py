"""``managers.function_invocations``: recorded, and counted the same on both databases."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudpub_models import Function, FunctionStats, Managers, User, UserOverview
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, NotFoundError, UnknownColumnError

NOTHING = {
    "total": 0,
    "successful": 0,
    "failed": 0,
    "success_rate": None,
    "average": None,
    "minimum": None,
    "maximum": None,
}

Invocation = tuple[str, int | None]


def record(managers: Managers, function: Function, moments: list[datetime], duration: int | None = 10) -> None:
    managers.function_invocations.batch_insert(
        {"function_id": function.id, "status": "success", "duration_ms": duration, "timestamp": moment}
        for moment in moments
    )


def test_record(managers: Managers, resize: Function, statements: Any) -> None:
    call = managers.function_invocations.record(resize, "success", 12)
    failed = managers.function_invocations.record(resize.id, "timeout", None, error="no answer")
    assert len(statements) == 2
    assert (call.function_id, call.status, call.duration_ms, call.error) == (resize.id, "success", 12, None)
    assert (failed.status, failed.duration_ms, failed.error) == ("timeout", None, "no answer")
    assert abs(call.timestamp - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.usefixtures("kept_references")
def test_record_refuses_what_cannot_be_kept(managers: Managers, resize: Function) -> None:
    with pytest.raises(NotFoundError, match=f"id {resize.id + 1}"):
        managers.function_invocations.record(resize.id + 1, "success", 1)
    for arguments in (
        ("resize", "success", 1),
        (resize, "x" * 51, 1),
        (resize, "success", 1.5),
        (resize, "success", 2**31),
    ):
        with pytest.raises(InvalidValueError):
            managers.function_invocations.record(*arguments)  # type: ignore[arg-type]


def test_stats_of_nothing(managers: Managers, resize: Function, statements: Any) -> None:
    empty = FunctionStats(**NOTHING, p50=None, p95=None, p99=None)
    assert managers.function_invocations.get_function_stats(resize.id) == empty
    assert len(statements) == 1
    assert managers.function_invocations.get_function_stats(resize.id + 1) == empty


def test_stats(managers: Managers, resize: Function, statements: Any) -> None:
    for status, duration in [("success", 10), ("success", 20), ("error", 40), ("success", None), ("timeout", 1000)]:
        managers.function_invocations.record(resize, status, duration)
    statements.clear()
    assert managers.function_invocations.get_function_stats(resize) == FunctionStats(
        total=5, successful=3, failed=2, success_rate=0.6, average=267.5, minimum=10, maximum=1000,
        p50=30.0, p95=pytest.approx(856, abs=1e-9), p99=pytest.approx(971.2, abs=1e-9),
    )  # fmt: skip
    assert len(statements) == 1


def test_stats_of_durations_that_are_not_known(managers: Managers, resize: Function) -> None:
    managers.function_invocations.record(resize, "error", None)
    stats = managers.function_invocations.get_function_stats(resize)
    assert (stats.total, stats.failed, stats.success_rate) == (1, 1, 0.0)
    assert (stats.average, stats.minimum, stats.maximum, stats.p50, stats.p99) == (None,) * 5


def test_stats_since(managers: Managers, resize: Function) -> None:
    now = datetime.now(UTC)
    record(managers, resize, [now - timedelta(days=days) for days in (0, 1, 29, 31, 400)])
    stats = managers.function_invocations.get_function_stats
    assert stats(resize).total == 3
    assert stats(resize, timedelta(hours=2)).total == 1
    assert stats(resize, since=now - timedelta(days=1)).total == 2
    assert stats(resize, datetime.min.replace(tzinfo=UTC)).total == 5
    assert stats(resize, now + timedelta(days=1)).total == 0
    for since in (datetime(2024, 5, 1), timedelta(days=-1), 30, None):
        with pytest.raises(InvalidValueError, match="since"):
            stats(resize, since)  # type: ignore[arg-type]
    assert stats(resize.uuid).total == 3


def percentile(durations: list[int], fraction: float) -> float | None:
    """By linear interpolation between the two nearest ranks, as percentile_cont is defined in SQL:2003."""
    if not durations:
        return None
    place = fraction * (len(durations) - 1)
    low, high = sorted(durations)[math.floor(place)], sorted(durations)[math.ceil(place)]
    return low + (place - math.floor(place)) * (high - low)


durations = st.one_of(st.none(), st.integers(0, 50), st.integers(-(2**31), 2**31 - 1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(invocations=st.lists(st.tuples(st.sampled_from(["success", "error", "Success", ""]), durations), max_size=60))
def test_stats_equal_a_plain_computation(managers: Managers, resize: Function, invocations: list[Invocation]) -> None:
    function = resize
    managers.function_invocations.delete({"function_id": function.id})
    managers.function_invocations.batch_insert(
        {"function_id": function.id, "status": status, "duration_ms": duration} for status, duration in invocations
    )
    stats = managers.function_invocations.get_function_stats(function)
    known = [duration for _, duration in invocations if duration is not None]
    successful = sum(status == "success" for status, _ in invocations)
    assert (stats.total, stats.successful, stats.failed) == (
        len(invocations), successful, len(invocations) - successful,
    )  # fmt: skip
    assert stats.success_rate == (successful / len(invocations) if invocations else None)
    assert (stats.minimum, stats.maximum) == (min(known, default=None), max(known, default=None))
    assert stats.average == (sum(known) / len(known) if known else None)
    # The same double, not only a near one, so that both databases show the same number.
    assert (stats.p50, stats.p95, stats.p99) == tuple(percentile(known, fraction) for fraction in (0.5, 0.95, 0.99))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]),
    until=st.datetimes(datetime(1971, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)),
    before=st.lists(
        st.one_of(
            st.timedeltas(timedelta(0), timedelta(days=4)),
            st.integers(0, 200).map(lambda half: timedelta(hours=half / 2)),
        ),
        max_size=30,
    ),
    hourly=st.booleans(),
)
def test_series_equal_a_plain_count(
    managers: Managers, resize: Function, zone: str, until: datetime, before: list[timedelta], hourly: bool
) -> None:
    function = resize
    managers.function_invocations.delete({"function_id": function.id})
    moments = [until - back for back in before]
    managers.function_invocations.batch_insert(
        {"function_id": function.id, "status": "success", "duration_ms": number, "timestamp": moment}
        for number, moment in enumerate(moments)
    )
    if hourly:
        buckets = managers.function_invocations.get_hourly_stats(function, 30, until=until, timezone=zone)
    else:
        buckets = managers.function_invocations.get_daily_stats(function, 3, until=until, timezone=zone)
    for bucket in buckets:
        own = [number for number, moment in enumerate(moments) if bucket.start <= moment < bucket.end]
        assert bucket.total == bucket.successful == len(own)
        assert bucket.average == (sum(own) / len(own) if own else None)
        assert (bucket.minimum, bucket.maximum) == (min(own, default=None), max(own, default=None))


def test_series_of_nothing_are_filled(managers: Managers, resize: Function, statements: Any) -> None:
    hours = managers.function_invocations.get_hourly_stats(resize.id)
    days = managers.function_invocations.get_daily_stats(resize.id)
    assert len(statements) == 2
    assert (len(hours), len(days)) == (24, 30)
    assert all({name: getattr(bucket, name) for name in NOTHING} == NOTHING for bucket in hours + days)
    assert hours[-1].start <= datetime.now(UTC) < hours[-1].end + timedelta(hours=1)
    assert days[0].end - days[0].start == timedelta(days=1)


def test_series_put_each_moment_into_its_bucket(managers: Managers, resize: Function, statements: Any) -> None:
    midnight = datetime(2024, 5, 1, tzinfo=UTC)
    first, last = midnight - timedelta(days=2), midnight - timedelta(microseconds=1)
    record(managers, resize, [first - timedelta(microseconds=1), first, last, midnight])
    managers.function_invocations.insert(
        {"function_id": resize.id, "status": "error", "duration_ms": 30, "timestamp": last - timedelta(hours=1)}
    )
    statements.clear()
    days = managers.function_invocations.get_daily_stats(resize, 2, until=midnight)
    assert [(day.total, day.successful, day.failed, day.average) for day in days] == [(1, 1, 0, 10.0), (2, 1, 1, 20.0)]
    hours = managers.function_invocations.get_hourly_stats(resize, hours=48, until=midnight)
    assert [hour.total for hour in hours] == [1, *[0] * 45, 1, 1]
    assert len(statements) == 2


@pytest.mark.parametrize(
    ("first", "hours"), [(datetime(2024, 3, 31), 23), (datetime(2024, 10, 27), 25), (datetime(2024, 7, 1), 24)]
)
def test_days_of_a_zone_whose_clock_is_moved(
    managers: Managers, resize: Function, statements: Any, first: datetime, hours: int
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = first.replace(tzinfo=berlin).astimezone(UTC)
    record(managers, resize, [start + timedelta(minutes=30 * number) for number in range(-2, 2 * hours + 2)])
    until = (first + timedelta(days=2)).replace(tzinfo=berlin)
    statements.clear()
    days = managers.function_invocations.get_daily_stats(resize, 3, until=until, timezone="Europe/Berlin")
    assert [day.total for day in days] == [2, 2 * hours, 2]
    assert [day.start.isoformat()[:19] for day in days][1] == first.isoformat()
    assert days[1].end - days[1].start == timedelta(hours=hours)
    by_hour = managers.function_invocations.get_hourly_stats(
        resize, hours, until=start + timedelta(hours=hours), timezone=berlin
    )
    assert [hour.total for hour in by_hour] == [2] * hours
    assert len({hour.start for hour in by_hour}) == hours
    assert len(statements) == 2


def test_series_refuse_bad_arguments(managers: Managers, resize: Function) -> None:
    for series in (managers.function_invocations.get_hourly_stats, managers.function_invocations.get_daily_stats):
        with pytest.raises(InvalidQueryError):
            series(resize, 0)
        with pytest.raises(InvalidValueError, match="until"):
            series(resize, until=datetime(2024, 5, 1))
        with pytest.raises(InvalidValueError, match="did you mean 'Europe/Berlin'"):
            series(resize, timezone="Europe/Berln")
        with pytest.raises(InvalidValueError):
            series("resize")


def of_two_users(managers: Managers, ada: User, resize: Function, new_user: Any) -> tuple[Function, Function]:
    """Return a second function of Ada's, and one of somebody else's."""
    return (
        managers.functions.insert({"user_id": ada.id, "name": "crop", "status": "inactive"}),
        managers.functions.insert({"user_id": new_user("bob").id, "name": "resize"}),
    )


def test_series_of_a_user_count_all_of_their_functions(
    managers: Managers, ada: User, resize: Function, new_user: Any, statements: Any
) -> None:
    crop, other = of_two_users(managers, ada, resize, new_user)
    midnight = datetime(2024, 5, 1, tzinfo=UTC)
    first, last = midnight - timedelta(days=2), midnight - timedelta(microseconds=1)
    record(managers, resize, [first - timedelta(microseconds=1), first, last, midnight])
    record(managers, crop, [last - timedelta(hours=1), last], 40)
    record(managers, other, [first, last], 1000)
    managers.function_invocations.insert(
        {"function_id": crop.id, "status": "error", "duration_ms": None, "timestamp": first}
    )
    invocations = managers.function_invocations
    statements.clear()
    days = invocations.get_user_daily_stats(ada, 3, until=midnight)
    assert [(day.total, day.successful, day.failed, day.average, day.maximum) for day in days] == [
        (1, 1, 0, 10.0, 10),
        (2, 1, 1, 10.0, 10),
        (3, 3, 0, 30.0, 40),
    ]
    hours = invocations.get_user_hourly_stats(ada.id, hours=48, until=midnight)
    assert [hour.total for hour in hours] == [2, *[0] * 45, 1, 2]
    assert len(statements) == 2
    for sql, _ in statements:
        assert "function_id IN (SELECT id FROM functions WHERE user_id = " in " ".join(sql.split())
    # Begun at Berlin's midnight, and asked for by the public UUID.
    of_berlin = invocations.get_user_daily_stats(ada.uuid, 1, until=midnight, timezone="Europe/Berlin")
    assert [(day.start.isoformat(), day.total) for day in of_berlin] == [("2024-05-01T00:00:00+02:00", 4)]
    # The sum of those of each function.
    each = [invocations.get_daily_stats(function, 3, until=midnight) for function in (resize, crop)]
    assert [day.total for day in days] == [sum(own.total for own in at) for at in zip(*each, strict=True)]


def test_series_of_a_user_without_invocations_are_filled(managers: Managers, ada: User, statements: Any) -> None:
    statements.clear()
    for user in (ada, ada.id + 1):
        hours = managers.function_invocations.get_user_hourly_stats(user)
        days = managers.function_invocations.get_user_daily_stats(user)
        assert (len(hours), len(days)) == (24, 30)
        assert all({name: getattr(bucket, name) for name in NOTHING} == NOTHING for bucket in hours + days)
    assert len(statements) == 4


def test_series_of_a_user_refuse_bad_arguments(managers: Managers, ada: User, statements: Any) -> None:
    statements.clear()
    invocations = managers.function_invocations
    for series in (invocations.get_user_hourly_stats, invocations.get_user_daily_stats):
        with pytest.raises(InvalidQueryError):
            series(ada, 0)
        with pytest.raises(InvalidValueError, match="until"):
            series(ada, until=datetime(2024, 5, 1))
        with pytest.raises(InvalidValueError, match="did you mean 'Europe/Berlin'"):
            series(ada, timezone="Europe/Berln")
        with pytest.raises(InvalidValueError):
            series("ada")
        with pytest.raises(InvalidValueError, match="was the row found"):
            series(None)  # type: ignore[arg-type]
    assert statements == []


def test_last_invocations_in_one_statement(
    managers: Managers, ada: User, resize: Function, new_user: Any, statements: Any
) -> None:
    crop, other = of_two_users(managers, ada, resize, new_user)
    managers.functions.insert({"user_id": ada.id, "name": "never invoked"})
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    # Written last is not begun last; of two of one moment the one written later counts.
    record(managers, resize, [noon, noon - timedelta(days=1)])
    record(managers, crop, [noon + timedelta(hours=1)], 20)
    record(managers, crop, [noon + timedelta(hours=1)], 30)
    record(managers, other, [noon + timedelta(days=1)])
    statements.clear()
    found = managers.function_invocations.get_last_invocations(ada)
    ((_, parameters),) = statements
    assert list(found) == [crop.id, resize.id]
    assert (found[crop.id].duration_ms, found[resize.id].timestamp) == (30, noon)
    assert ada.id in parameters
    assert managers.function_invocations.get_last_invocations(ada.uuid) == found
    assert managers.function_invocations.get_last_invocations(ada.id + 1000) == {}
    statements.clear()
    for wrong in ("ada", None):
        with pytest.raises(InvalidValueError):
            managers.function_invocations.get_last_invocations(wrong)  # type: ignore[arg-type]
    assert statements == []


def test_user_overview_in_one_statement(
    managers: Managers, ada: User, resize: Function, new_user: Any, statements: Any
) -> None:
    idle = managers.functions.insert({"user_id": ada.id, "name": "idle", "status": "inactive"})
    other = managers.functions.insert({"user_id": new_user("bob").id, "name": "resize"})
    for function in (resize, resize, idle, other):
        managers.function_deployments.deploy(function, "i", "k")
    last = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    record(managers, resize, [last, last - timedelta(hours=1)], 10)
    record(managers, idle, [last - timedelta(days=1)], 40)
    record(managers, other, [last], 1000)
    statements.clear()
    overview = managers.function_invocations.get_user_overview(ada, since=last - timedelta(days=30))
    assert len(statements) == 1
    assert overview == UserOverview(
        total=3, successful=3, failed=0, success_rate=1.0, average=20.0, minimum=10, maximum=40,
        functions=2, active_functions=1, deployments=3, last_invocation_at=last,
    )  # fmt: skip
    recent = managers.function_invocations.get_user_overview(ada.id, last - timedelta(hours=2))
    assert (recent.total, recent.functions) == (2, 2)


def test_user_overview_of_nothing(managers: Managers, ada: User) -> None:
    empty = UserOverview(**NOTHING, functions=0, active_functions=0, deployments=0, last_invocation_at=None)
    assert managers.function_invocations.get_user_overview(ada) == empty
    assert managers.function_invocations.get_user_overview(ada.id + 1) == empty
    assert managers.function_invocations.get_user_overview(ada.uuid).functions == 0


def test_figures_of_a_statement_of_ones_own(database, managers, resize):
    for status, duration in (("success", 10), ("success", 30), ("error", 20)):
        managers.function_invocations.record(resize, status, duration)
    row = database.raw_query_single(
        "SELECT COUNT(*) AS total_invocations, COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful, "
        "AVG(duration_ms) AS avg_duration, MAX(duration_ms) AS max_duration "
        "FROM function_invocations WHERE function_id = @function",
        {"function": resize.id},
    )
    stats = FunctionStats.from_dict(row)
    assert (stats.total, stats.successful, stats.failed, stats.average, stats.maximum) == (3, 2, 1, 20.0, 30)
    assert isinstance(stats.average, float)
    assert (stats.minimum, stats.p50) == (None, None)
    assert FunctionStats.from_dict(vars(stats)) == stats
    assert FunctionStats.from_dict({"total": 0, "successful": 0}).success_rate is None
    with pytest.raises(UnknownColumnError, match="got 'sucessful': did you mean 'successful'"):
        FunctionStats.from_dict({"total": 1, "sucessful": 1})
    with pytest.raises(UnknownColumnError, match="expected successful among the figures"):
        FunctionStats.from_dict({"total": 1})
