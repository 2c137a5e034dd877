"""Percentiles of counted durations: what a list of all of them gives, whichever way they are put together."""

from __future__ import annotations

import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpub_models.platform.durations import PERCENTILES, Durations

LISTS = st.lists(st.integers(0, 100_000), min_size=2, max_size=200)


@given(LISTS)
def test_they_are_those_of_all_durations_one_by_one(values: list[int]) -> None:
    durations = Durations(Counter(values))
    plain = statistics.quantiles(values, n=100, method="inclusive")
    assert list(durations.percentiles) == list(PERCENTILES)
    assert list(durations.percentiles.values()) == pytest.approx([plain[49], plain[94], plain[98]])
    assert (durations.minimum, durations.maximum, durations.known) == (min(values), max(values), len(values))
    assert durations.average == pytest.approx(statistics.fmean(values))
    assert (durations.percentile(0), durations.percentile(1)) == (min(values), max(values))


@given(LISTS, LISTS)
def test_parts_together_are_the_whole(first: list[int], second: list[int]) -> None:
    together = Durations.together([Durations(Counter(first)), Durations(Counter(second))])
    assert together.counts == Durations(Counter(first + second)).counts


def test_of_nothing_nothing_is_known() -> None:
    nothing = Durations({})
    assert (nothing.known, nothing.average, nothing.minimum, nothing.maximum) == (0, None, None, None)
    assert set(nothing.percentiles.values()) == {None}
