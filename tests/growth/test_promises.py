"""What is promised of tables that grow, in little and with room, so that what has become much dearer is noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.growth_promises import PROMISES, Size

# How many times the promise a small measurement may be, on a machine that is anybody's.
ROOM = {"U2": 2.0, "U3": 1.25}


@pytest.mark.alone
@pytest.mark.parametrize("promise", ROOM)
def test_rollups_cost_about_what_is_promised(
    promise: str, postgresql_server: str, scale: Callable[[int, int], int]
) -> None:
    # Of U2 these are the days, of U3 the rows of a batch.
    size = Size(scale({"U2": 20, "U3": 2_000}[promise], 10_000), scale(6, 40), postgresql_server)
    for figure in PROMISES[promise](size):
        assert figure.value <= ROOM[promise] * figure.limit, figure
