"""How long invocations took, as the bars of a histogram with round limits."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from cloudpub_models.platform.durations import Durations

_MOST_BINS = 14
_FEWEST_BINS = 6
# Durations that differ by more than this factor are put into bins that grow with them.
_WIDE_RANGE = 8
_COARSE = (1, 2, 5)
_FINE = (1, 2, 3, 5, 7)


@dataclass(frozen=True)
class Bin:
    """One bar of a histogram.

    Attributes:
        begin_ms: the shortest duration that belongs to it.
        end_ms: the next bar's shortest duration.
        invocations: how many belong to it.
    """

    begin_ms: int
    end_ms: int
    invocations: int


def histogram(durations: Durations) -> list[Bin]:
    """Return bins of round limits that hold all durations, the shortest first.

    >>> [(bin.begin_ms, bin.end_ms, bin.invocations) for bin in histogram(Durations({3: 4, 4: 1, 6: 2}))]
    [(3, 4, 4), (4, 5, 1), (5, 6, 0), (6, 7, 2)]
    """
    if durations.minimum is None or durations.maximum is None:
        return []
    limits = _limits(durations.minimum, durations.maximum)
    counts = [0] * (len(limits) - 1)
    for value, count in durations.counts.items():
        counts[bisect_right(limits, value) - 1] += count
    return [Bin(begin, end, count) for (begin, end), count in zip(pairwise(limits), counts, strict=True)]


def _limits(shortest: int, longest: int) -> list[int]:
    if longest > _WIDE_RANGE * max(1, shortest):
        coarse = _growing_limits(shortest, longest, _COARSE)
        return coarse if len(coarse) > _FEWEST_BINS else _growing_limits(shortest, longest, _FINE)
    width = next(
        digit * 10**power
        for power in range(10)
        for digit in _COARSE
        if longest // (digit * 10**power) - shortest // (digit * 10**power) < _MOST_BINS
    )
    return list(range(shortest // width * width, longest // width * width + 2 * width, width))


def _growing_limits(shortest: int, longest: int, digits: tuple[int, ...]) -> list[int]:
    """Return 0, 1, 2, 5, 10, 20, 50, … as far as they are needed."""
    steps = [0, *(digit * 10**power for power in range(len(str(longest)) + 1) for digit in digits)]
    first = bisect_right(steps, shortest) - 1
    last = bisect_right(steps, longest)
    return steps[first : last + 1]
