"""What both databases keep of a duration: four digits."""

from __future__ import annotations

import pytest

from cloudpub_models import Database
from cloudpub_models.platform.rollups.kinds import statement
from tests.platform.rollups.test_reading import four_digits

DURATIONS = [0, 7, -7, 9_999, 10_000, 10_004, 99_999, 100_001, 123_456, 1_234_567, 12_345_678, 123_456_789]
ENDS = [2**31 - 1, -(2**31), -10_009, -123_456]


@pytest.mark.parametrize("duration", DURATIONS + ENDS)
def test_four_digits_are_kept(database: Database, duration: int) -> None:
    query = statement(database.engine.sql_dialect, "SELECT {kept} AS kept FROM (SELECT @duration AS duration_ms) AS d")
    found = database.raw_query_single(query.replace("@duration", f"CAST({duration} AS INTEGER)"))
    assert found == {"kept": four_digits(duration)}
    assert abs(four_digits(duration) - duration) <= abs(duration) / 1000
