"""How long invocations took, as counts of whole milliseconds: average, ends and percentiles.

Pure arithmetic. The database counts how often each duration occurs, and everything else is worked out here, so that it
is the same number wherever it is asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final, Self

PERCENTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Durations:
    """How long a number of invocations took.

    Args:
        counts: milliseconds → how many invocations took that long.

    >>> durations = Durations({10: 1, 20: 1, 60: 2})
    >>> durations.average, durations.percentile(0.5)
    (37.5, 40.0)
    """

    def __init__(self, counts: Mapping[int, int]) -> None:
        self.counts = dict(sorted(counts.items()))
        self._values = list(self.counts)
        self._cumulated = list(accumulate(self.counts.values()))

    @classmethod
    def together(cls, parts: Iterable[Durations]) -> Self:
        """Return those of several numbers of invocations taken together."""
        counts: Counter[int] = Counter()
        for part in parts:
            counts.update(part.counts)
        return cls(counts)

    @property
    def known(self) -> int:
        """Of how many invocations the duration is known."""
        return self._cumulated[-1] if self._cumulated else 0

    @property
    def average(self) -> float | None:
        """The mean, in milliseconds; ``None`` where none is known."""
        total = sum(value * count for value, count in self.counts.items())
        return total / self.known if self._values else None

    @property
    def minimum(self) -> int | None:
        """The shortest, in milliseconds."""
        return self._values[0] if self._values else None

    @property
    def maximum(self) -> int | None:
        """The longest, in milliseconds."""
        return self._values[-1] if self._values else None

    @property
    def percentiles(self) -> dict[str, float | None]:
        """The ``PERCENTILES``, by name, in milliseconds."""
        return {name: self.percentile(fraction) for name, fraction in PERCENTILES.items()}

    def percentile(self, fraction: float) -> float | None:
        """Return the duration that this fraction of the invocations did not exceed, by linear interpolation.

        It is what ``percentile_cont`` of the SQL standard gives, to the last bit; ``None`` where no duration is known.
        """
        if not self._values:
            return None
        position = fraction * (self.known - 1)
        below = int(position)
        low = self._at(below)
        return low + (position - below) * (self._at(min(below + 1, self.known - 1)) - low)

    def _at(self, place: int) -> int:
        return self._values[bisect_right(self._cumulated, place)]
