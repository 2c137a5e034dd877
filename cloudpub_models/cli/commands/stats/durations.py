"""How long invocations took, as counts of whole milliseconds: percentiles and a histogram.

Pure arithmetic. Percentiles are interpolated as the databases do it, so they equal those of ``get_function_stats``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Self

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


class Durations:
    """How long a number of invocations took.

    Args:
        counts: milliseconds → how many invocations took that long.

    >>> durations = Durations({10: 1, 20: 1, 60: 2})
    >>> durations.average, durations.percentile(0.5)
    (37.5, 40.0)
    """

    def __init__(self, counts: Mapping[int, int]) -> None:
        self._counts = dict(sorted(counts.items()))
        self._values = list(self._counts)
        self._cumulated = list(accumulate(self._counts.values()))

    @classmethod
    def together(cls, parts: Iterable[Durations]) -> Self:
        """Return those of several numbers of invocations taken together."""
        counts: Counter[int] = Counter()
        for part in parts:
            counts.update(part._counts)
        return cls(counts)

    @property
    def known(self) -> int:
        """Of how many invocations the duration is known."""
        return self._cumulated[-1] if self._cumulated else 0

    @property
    def average(self) -> float | None:
        """The mean, in milliseconds; ``None`` where none is known."""
        total = sum(value * count for value, count in self._counts.items())
        return total / self.known if self._values else None

    @property
    def minimum(self) -> int | None:
        """The shortest, in milliseconds."""
        return self._values[0] if self._values else None

    @property
    def maximum(self) -> int | None:
        """The longest, in milliseconds."""
        return self._values[-1] if self._values else None

    def percentile(self, fraction: float) -> float | None:
        """Return the duration that this fraction of the invocations did not exceed, by linear interpolation."""
        if not self._values:
            return None
        position = fraction * (self.known - 1)
        below = int(position)
        low = self._at(below)
        return low + (position - below) * (self._at(min(below + 1, self.known - 1)) - low)

    def histogram(self) -> list[Bin]:
        """Return bins of round limits that hold all durations, the shortest first.

        >>> [(bin.begin_ms, bin.end_ms, bin.invocations) for bin in Durations({3: 4, 4: 1, 6: 2}).histogram()]
        [(3, 4, 4), (4, 5, 1), (5, 6, 0), (6, 7, 2)]
        """
        if not self._values:
            return []
        limits = _limits(self._values[0], self._values[-1])
        counts = [0] * (len(limits) - 1)
        for value, count in self._counts.items():
            counts[bisect_right(limits, value) - 1] += count
        return [Bin(begin, end, count) for (begin, end), count in zip(pairwise(limits), counts, strict=True)]

    def _at(self, place: int) -> int:
        return self._values[bisect_right(self._cumulated, place)]


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
