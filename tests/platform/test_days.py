"""Where rows of a partitioned table are looked for first: a hint, which may be wrong and never fails."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Managers
from cloudpub_models.models import Function
from cloudpub_models.platform import days
from cloudpub_models.platform.days import KnownDays, days_around, days_since
from cloudpub_models.sql.nodes.conditions import During

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def between(found: During | None) -> tuple[int, int]:
    assert found is not None
    assert found.end is not None
    assert (found.begin.time(), found.end.time()) == (datetime.min.time(),) * 2
    return (found.begin - NOON.replace(hour=0)).days, (found.end - NOON.replace(hour=0)).days


@pytest.mark.parametrize(
    ("hours", "expected"), [(0, (0, 1)), (-11, (0, 1)), (-11.1, (-1, 1)), (10.9, (0, 1)), (11, (0, 2)), (12, (0, 2))]
)
def test_around_a_moment_are_whole_days(hours: float, expected: tuple[int, int]) -> None:
    moment = NOON + timedelta(hours=hours)
    assert between(days_around(moment, "timestamp")) == expected


def test_since_a_moment_is_since_its_day_began() -> None:
    for hours in (-12, 0, 11.9):
        days = days_since(NOON + timedelta(hours=hours), "timestamp")
        assert (days.begin, days.end) == (NOON.replace(hour=0), None)


def test_at_the_end_of_time_there_are_none() -> None:
    assert days_around(datetime.max.replace(tzinfo=UTC), "timestamp") is None
    assert days_around(datetime.min.replace(tzinfo=UTC), "timestamp") is None


def test_between_known_ids_are_their_days() -> None:
    known = KnownDays("timestamp")
    assert known.of(7) is None
    for key, day in ((100, 0), (200, 0), (300, 1), (1000, 40)):
        known.note(key, NOON + day * DAY)
    expected = {
        7: (-1, 1),
        100: (0, 1),
        150: (0, 1),
        200: (0, 1),
        250: (0, 2),
        300: (1, 2),
        500: (11, 14),
        1001: (40, 44),
    }
    assert {key: between(known.of(key)) for key in expected} == expected
    # What came late tells nothing of those around it.
    known.note(150, NOON + 9 * DAY)
    assert between(known.of(149)) == (0, 1)
    assert between(known.of(160)) == (9, 10)
    known.note(200, NOON)
    assert between(known.of(199)) == (9, 10)


def test_whatever_was_noted_there_is_somewhere_to_look() -> None:
    known, chance = KnownDays("timestamp"), random.Random(11)
    for _ in range(2_000):
        known.note(chance.randrange(1_000), NOON + chance.randrange(50) * DAY)
        smallest = [each[0] for each in known._known]
        assert smallest == sorted(smallest)
        first, end = between(known.of(chance.randrange(1_200)))
        assert -1 <= first < end <= 50 + days._MOST_DAYS


def test_days_at_the_ends_of_time_are_not_kept() -> None:
    known = KnownDays("timestamp")
    for moment in (datetime.min, datetime.max):
        known.note(1, moment.replace(tzinfo=UTC))
    assert known.of(1) is None


def test_so_much_is_known_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(days, "_MOST_KNOWN", 3)
    known = KnownDays("timestamp")
    for key in range(5):
        known.note(key, NOON + key * DAY)
    assert between(known.of(0)) == (2, 4)
    assert between(known.of(3)) == (3, 4)


@pytest.mark.usefixtures("session_locks")
def test_rows_are_found_wherever_they_are(managers: Managers, resize: Function, seed: int, backend: str) -> None:
    """Ids that have nothing to do with the time, and rows that were moved meanwhile."""
    logs, chance = managers.function_logs, random.Random(seed)
    if backend == "postgresql":
        managers.database.partition("function_logs")
        managers.database.close()
    rows = [
        logs.insert(
            {
                "function_id": resize.id,
                "level": "info",
                "message": str(number),
                "timestamp": datetime.now(UTC) + chance.uniform(-5, 5) * DAY,
            }
        )
        for number in range(20)
    ]
    for _ in range(60):
        row = chance.choice(rows)
        assert logs.find_by_id(row.id) == row
        assert logs.get_by_id(row.id).message == row.message
        moved = logs.update_by_id(row.id, {"timestamp": datetime.now(UTC) + chance.uniform(-5, 5) * DAY})
        assert moved is not None
    assert logs.find_by_id(rows[-1].id + 1) is None
    assert logs.find_by_id(rows[0].uuid, id_column="uuid") == rows[0]
