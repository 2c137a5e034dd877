"""UUIDs that begin with a moment: what of them is the moment and what is random, and which have none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID, uuid4

import pytest

from cloudpub_models.entity.time_ordered import milliseconds_of, time_of, uuid_now, uuid_text_at

MOMENT = datetime(2024, 5, 1, 10, 0, 0, 123999, tzinfo=UTC)


def test_a_uuid_of_a_moment_is_random_but_for_it() -> None:
    texts = [uuid_text_at(milliseconds_of("2024-05-01 10:00:00.123999")) for _ in range(2000)]
    for place in range(36):
        found = {text[place] for text in texts}
        if place < 15:
            assert found == {"018f3398-c17b-7"[place]}
        else:
            assert found == set({18: "-", 19: "89ab", 23: "-"}.get(place, "0123456789abcdef"))
    assert len(set(texts)) == 2000
    made = UUID(texts[0])
    assert (str(made), made.version, made.variant) == (texts[0], 7, RFC_4122)
    assert time_of(made) == MOMENT.replace(microsecond=123000)


@pytest.mark.parametrize(
    ("stored", "milliseconds"),
    [
        ("1970-01-01 00:00:00.000000", 0),
        ("1970-01-01 00:00:00.000999", 0),
        ("1970-01-01 00:00:00.001000", 1),
        ("1969-12-31 23:59:59.999999", 0),
        ("0001-01-01 00:00:00.000000", 0),
        ("2024-05-01 10:00:00.122999", 1714557600122),
        ("2024-05-01 10:00:00.123000", 1714557600123),
        ("9999-12-31 23:59:59.999999", 253402300799999),
    ],
)
def test_milliseconds_are_whole_ones_since_1970(stored: str, milliseconds: int) -> None:
    assert milliseconds_of(stored) == milliseconds
    found = time_of(UUID(uuid_text_at(milliseconds)))
    assert found is not None
    assert (found - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1) == milliseconds


def test_without_a_moment_it_is_the_current_one() -> None:
    found = time_of(uuid_now())
    assert found is not None
    assert abs(found - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "uuid", [uuid4(), UUID(int=0), UUID(int=2**128 - 1), UUID("018f33b2-73bb-7000-0000-000000000000")]
)
def test_other_uuids_have_no_moment(uuid: UUID) -> None:
    assert time_of(uuid) is None


def test_a_moment_that_python_has_no_datetime_for_is_none() -> None:
    assert time_of(UUID("ffffffff-ffff-7000-8000-000000000000")) is None
