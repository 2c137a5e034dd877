"""Measurements drawn in a terminal: figures, a histogram of durations, and invocations and failures over time.

It fits into the console's width, 80 columns where there is no terminal, and needs neither colours nor, where the
output is ASCII, block characters. Nothing is read here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.text import Text

from cloudpub_models.cli.commands.stats.axes import (
    bin_text,
    duration_text,
    linear_scale,
    moment_text,
    share_text,
    time_ticks,
)
from cloudpub_models.cli.commands.stats.measurements import Measurements, Period
from cloudpub_models.sql.identifiers import printable

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_HALVES = " ##"
_WIDEST_BAR = 48
_WIDEST_COLUMN = 2
_HEIGHT = 8
_HEIGHT_OF_FAILURES = 4
# Hours that a column may stand for where there is no room for one each: each divides a day.
_HOURS_TOGETHER = (1, 2, 3, 4, 6, 8, 12, 24)


def draw(measured: Measurements, console: Console) -> RenderableType:
    """Return what Rich is to print for measurements.

    Args:
        measured: what to show.
        console: where it is to fit in.
    """
    heading = Text.assemble((printable(measured.function.name), "bold"), f"  {measured.function.uuid}  ")
    heading.append(printable(measured.function.status), style="cyan")
    span = f"the last {measured.period.in_words}: {moment_text(measured.begin)} to {moment_text(measured.end)} UTC"
    parts: list[RenderableType] = [heading, Text(span, style="dim"), Text()]
    if not measured.figures.total:
        return Group(*parts[:2], Text(_nothing(measured)))
    parts += [_figures(measured), Text()]
    if measured.histogram:
        parts += [Text("Durations", style="bold"), *_histogram(measured, console), Text()]
    parts += _series(measured, console)
    return Group(*parts)


def _nothing(measured: Measurements) -> str:
    if measured.latest is None:
        return "no invocations, then or before"
    # The hour after it, so that it lies in the last bucket.
    after = measured.latest.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return (
        f"no invocations; the latest before was at {moment_text(measured.latest)}\n"
        f"add --until {after:%Y-%m-%dT%H:%M} to see those around it"
    )


def _figures(measured: Measurements) -> RenderableType:
    figures = measured.figures
    cells = [
        ("invocations", f"{figures.total:,}"),
        ("failed", f"{figures.failed:,}"),
        ("success rate", share_text(figures.success_rate)),
        ("average", duration_text(figures.average)),
        ("shortest", duration_text(figures.minimum)),
        ("p50", duration_text(figures.p50)),
        ("p95", duration_text(figures.p95)),
        ("p99", duration_text(figures.p99)),
        ("longest", duration_text(figures.maximum)),
    ]
    width = max(len(name) for name, _ in cells) + 1
    texts = [Text.assemble((name.ljust(width), "dim"), (value, "bold")) for name, value in cells]
    return Columns(texts, padding=(0, 3), equal=True)


def _histogram(measured: Measurements, console: Console) -> list[RenderableType]:
    labels = [bin_text(bin) for bin in measured.histogram]
    if console.options.ascii_only:
        labels = [label.replace("–", "-") for label in labels]
    counts = [f"{bin.invocations:,}" for bin in measured.histogram]
    known = sum(bin.invocations for bin in measured.histogram)
    most = max(bin.invocations for bin in measured.histogram)
    left, right = max(map(len, labels)), max(map(len, counts))
    room = max(1, min(_WIDEST_BAR, console.width - left - right - 13))
    lines: list[RenderableType] = []
    for bin, label, count in zip(measured.histogram, labels, counts, strict=True):
        length = max(1 if bin.invocations else 0, round(room * bin.invocations / most))
        bar = ("#" if console.options.ascii_only else "█") * length
        lines.append(
            Text.assemble(
                (f"{label.rjust(left)}  ", "cyan"),
                (bar.ljust(room), "green"),
                f" {count.rjust(right)}",
                (f" {share_text(bin.invocations / known):>8}", "dim"),
            )
        )
    return lines


def _series(measured: Measurements, console: Console) -> list[RenderableType]:
    starts = [point.bucket.start for point in measured.points]
    totals = [point.bucket.total for point in measured.points]
    failures = [point.bucket.failed for point in measured.points]
    room = max(1, console.width - len(f"{sum(totals):,}") - 3)
    together = _together(len(starts), room, measured.period)
    totals, failures = _sums(totals, together), _sums(failures, together)
    step = measured.period.step * together
    each = "day" if step >= timedelta(days=1) else "hour" if together == 1 else f"{together} hours"
    width = max(1, min(_WIDEST_COLUMN, room // len(totals)))
    digits = len(f"{linear_scale(max(totals), whole=True).ticks[-1]:,}")
    labels = _labels([(tick.position * width // together, tick.text) for tick in time_ticks(starts, measured.period)])
    parts: list[RenderableType] = [Text(f"Invocations per {each}", style="bold")]
    parts += _columns(totals, width, _HEIGHT, digits, "green", console)
    axis = Text(" " * (digits + 2) + labels, style="dim", no_wrap=True, overflow="crop")
    parts += [axis, Text()]
    if not any(failures):
        return [*parts, Text("no failures", style="dim")]
    parts.append(Text(f"Failures per {each}", style="bold"))
    parts += _columns(failures, width, _HEIGHT_OF_FAILURES, digits, "red", console)
    return [*parts, axis]


def _columns(
    values: Sequence[int], width: int, height: int, digits: int, style: str, console: Console
) -> list[RenderableType]:
    """Return a chart of vertical bars, its axis on the left."""
    ascii_only = console.options.ascii_only
    blocks = _HALVES if ascii_only else _EIGHTHS
    scale = linear_scale(max(values), whole=True)
    top = scale.ticks[-1]
    steps = len(blocks) - 1
    heights = [max(1 if value else 0, round(height * steps * value / top)) for value in values]
    marks = {max(0, math.ceil(height * scale.share(tick)) - 1): f"{tick:,}" for tick in scale.ticks[1:]}
    lines: list[RenderableType] = []
    for row in reversed(range(height)):
        bars = "".join([blocks[max(0, min(steps, filled - row * steps))] * width for filled in heights])
        axis = "|" if ascii_only else ("┤" if row in marks else "│")
        lines.append(Text.assemble((f"{marks.get(row, '').rjust(digits)} {axis}", "dim"), (bars, style)))
    line = "-" if ascii_only else "─"
    corner = "+" if ascii_only else "└"
    lines.append(Text(f"{'0'.rjust(digits)} {corner}{line * (width * len(values))}", style="dim"))
    return lines


def _together(count: int, room: int, period: Period) -> int:
    """Return how many buckets one column stands for."""
    if period is Period.MONTH:
        return 1
    return next((number for number in _HOURS_TOGETHER if count // number <= room), _HOURS_TOGETHER[-1])


def _sums(values: Sequence[int], together: int) -> list[int]:
    return [sum(values[first : first + together]) for first in range(0, len(values), together)]


def _labels(places: Sequence[tuple[int, str]]) -> str:
    """Return one line with each label at its column, those left out that would touch the one before."""
    line = ""
    for column, text in places:
        if not line or len(line) < column:
            line = line.ljust(column) + text
    return line
