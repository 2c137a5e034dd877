"""The arithmetic of axes: round upper ends, grid lines, labels of moments and durations.

Pure, and the same for the terminal and the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cloudpub_models.cli.commands.stats.histogram import Bin
from cloudpub_models.cli.commands.stats.measurements import Period

_SECOND_MS = 1000
_MINUTE_MS = 60 * _SECOND_MS
_HOUR_MS = 60 * _MINUTE_MS
# Values that differ by more than this factor are drawn on a logarithmic scale.
_WIDE_RANGE = 30


@dataclass(frozen=True)
class Tick:
    """A label on the axis along which the buckets stand.

    Attributes:
        position: the number of the bucket at whose beginning it stands.
        text: what it says.
        major: whether it is kept where there is little room.
    """

    position: int
    text: str
    major: bool


@dataclass(frozen=True)
class Scale:
    """An axis of values.

    Attributes:
        ticks: the values of its grid lines, the smallest first; the ends of the axis are among them.
        logarithmic: whether equal distances are equal factors.
    """

    ticks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return where a value stands, from 0 at the lower end to 1 at the upper one."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.logarithmic:
            return (math.log(max(value, low)) - math.log(low)) / (math.log(high) - math.log(low))
        return (value - low) / (high - low)


def linear_scale(largest: float, *, whole: bool = False) -> Scale:
    """Return a scale from 0 to a round number that is not below ``largest``, with three to six grid lines.

    Args:
        largest: what has to fit.
        whole: whether grid lines between whole numbers make no sense.

    >>> linear_scale(137).ticks, linear_scale(2, whole=True).ticks, linear_scale(0.031).ticks
    ((0, 50, 100, 150), (0, 1, 2), (0, 0.01, 0.02, 0.03, 0.04))
    """
    if largest <= 0:
        return Scale((0, 1))
    power = math.floor(math.log10(largest)) - 1
    steps = [digit * 10.0**exponent for exponent in range(power, power + 3) for digit in (1, 2, 5)]
    step = next(step for step in steps if largest <= 4 * step and (not whole or step >= 1))
    count = math.ceil(round(largest / step, 9))
    return Scale(tuple(_rounded(number * step) for number in range(count + 1)))


def duration_scale(values: Sequence[float]) -> Scale:
    """Return a scale for durations in milliseconds: logarithmic, by decades, where they differ widely.

    >>> duration_scale([40, 90, 30_000]).ticks, duration_scale([40, 90, 110]).logarithmic
    ((10, 100, 1000, 10000, 100000), False)
    """
    smallest, largest = max(1.0, min(values, default=1.0)), max(values, default=1.0)
    if largest <= _WIDE_RANGE * smallest:
        return linear_scale(largest)
    powers = range(math.floor(math.log10(smallest)), math.ceil(math.log10(largest)) + 1)
    return Scale(tuple(10**power for power in powers), logarithmic=True)


def time_ticks(starts: Sequence[datetime], period: Period) -> list[Tick]:
    """Return the labels of a series: hours of a day, days of a week, weeks of a month.

    Args:
        starts: when the buckets begin.
        period: what the series covers.
    """
    ticks = []
    for position, start in enumerate(starts):
        if period is Period.DAY and start.hour % 3 == 0:
            ticks.append(Tick(position, start.strftime("%H:%M"), start.hour % 6 == 0))
        elif period is Period.WEEK and start.hour == 0:
            ticks.append(Tick(position, f"{start:%a} {start.day}", len(ticks) % 2 == 0))
        elif period is Period.MONTH and start.weekday() == 0:
            ticks.append(Tick(position, f"{start.day} {start:%b}", len(ticks) % 2 == 0))
    return ticks


def duration_text(milliseconds: float | None) -> str:
    """Return a duration as a reader writes it.

    >>> [duration_text(value) for value in (None, 0.5, 12, 99.96, 1530.2, 90_000, 7_200_000)]
    ['–', '0.5 ms', '12 ms', '100 ms', '1.53 s', '1.5 min', '2 h']
    """
    if milliseconds is None:
        return "–"
    for size, unit in ((_HOUR_MS, "h"), (_MINUTE_MS, "min"), (_SECOND_MS, "s")):
        if milliseconds >= size:
            return f"{_significant(milliseconds / size)} {unit}"
    return f"{_significant(milliseconds)} ms"


def share_text(share: float | None) -> str:
    """Return a share of 0 to 1 in percent, never rounded up to all or down to nothing.

    >>> [share_text(value) for value in (None, 0, 0.00001, 0.981, 0.99999, 1)]
    ['–', '0 %', '<0.01 %', '98.1 %', '>99.99 %', '100 %']
    """
    if share is None:
        return "–"
    percent = 100 * share
    if 0 < percent < 0.01:
        return "<0.01 %"
    if 99.99 < percent < 100:
        return ">99.99 %"
    text = f"{percent:.2f}" if percent < 1 or percent > 99 else f"{percent:.1f}"
    return f"{text.rstrip('0').rstrip('.')} %" if "." in text else f"{text} %"


def bin_text(bin: Bin) -> str:
    """Return what a bar of a histogram stands for.

    >>> bin_text(Bin(20, 50, 3)), bin_text(Bin(500, 1000, 3)), bin_text(Bin(7, 8, 3))
    ('20–50 ms', '500 ms–1 s', '7 ms')
    """
    if bin.end_ms == bin.begin_ms + 1:
        return duration_text(bin.begin_ms)
    begin, end = duration_text(bin.begin_ms), duration_text(bin.end_ms)
    number, _, unit = begin.partition(" ")
    return f"{number}–{end}" if unit == end.partition(" ")[2] else f"{begin}–{end}"


def moment_text(moment: datetime) -> str:
    """Return a moment to the minute.

    >>> from datetime import UTC
    >>> moment_text(datetime(2024, 5, 1, 12, tzinfo=UTC))
    '2024-05-01 12:00'
    """
    return moment.strftime("%Y-%m-%d %H:%M")


def _significant(value: float) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rounded(value: float) -> float:
    rounded = float(f"{value:.10g}")
    return int(rounded) if rounded.is_integer() else rounded
