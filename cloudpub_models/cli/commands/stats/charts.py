"""The page's charts as inline SVG: bars, and lines over time.

A chart takes the width that there is. Positions across it are percentages, heights are pixels, so that texts keep their
size on a phone; lines are drawn in an inner picture that is stretched. Its colours are the page's style. Each chart has
a title and a description for those who do not see it, and each bucket says what it holds where a pointer rests on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from cloudpub_models.cli.commands.stats.axes import Scale, Tick
from cloudpub_models.cli.shown.markup import element

_HEIGHT = 190
# The inner picture's own units; it is stretched to the chart's width.
_UNITS = 1000
_GAP = 0.14


@dataclass(frozen=True)
class Series:
    """One line, or one part of each bar, of a chart.

    Attributes:
        name: what the legend calls it.
        style: its class in the page's style.
        values: one for each bucket; ``None`` where there is none.
    """

    name: str
    style: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """What a chart shows.

    Attributes:
        name: a word that tells it from the page's other charts.
        title: its heading.
        description: what can be seen in it, in a sentence.
        series: what is drawn; bars are stacked in this order.
        scale: the axis of values.
        tick_text: what the axis says at a value.
        ticks: the labels at the beginnings of buckets.
        hints: what is said of each bucket.
    """

    name: str
    title: str
    description: str
    series: Sequence[Series]
    scale: Scale
    tick_text: Callable[[float], str]
    ticks: Sequence[Tick]
    hints: Sequence[str]


def bar_chart(chart: Chart) -> Element:
    """Return a figure with one bar for each bucket."""
    count = len(chart.hints)
    bars: list[Element] = []
    for number in range(count):
        below = 0.0
        for series in chart.series:
            value = series.values[number] or 0
            if value:
                low, high = chart.scale.share(below), chart.scale.share(below + value)
                # What is there is seen, however little it is.
                height = max(1.5, (high - low) * _HEIGHT)
                box: dict[str, str | float] = {"y": _HEIGHT - low * _HEIGHT - height, "height": height}
                bars.append(element("rect", {"class": series.style, **_across(number, count, _GAP), **box}))
            below += value
    return _figure(chart, bars)


def line_chart(chart: Chart) -> Element:
    """Return a figure with one line for each series, broken where a bucket has no value."""
    count = len(chart.hints)
    stretched: list[Element] = []
    dots: list[Element] = []
    for series in chart.series:
        for run in _runs(series.values):
            heights = [(number, _HEIGHT * (1 - chart.scale.share(value))) for number, value in run]
            if len(heights) == 1:
                number, y = heights[0]
                dots.append(element("circle", {"class": series.style, "cx": _middle(number, count), "cy": y, "r": 2.5}))
            else:
                points = " ".join([f"{(number + 0.5) / count * _UNITS:.1f},{y:.1f}" for number, y in heights])
                stretched.append(element("polyline", {"class": series.style, "points": points}))
    inner: dict[str, str | float] = {
        "viewBox": f"0 0 {_UNITS} {_HEIGHT}",
        "preserveAspectRatio": "none",
        "width": "100%",
        "height": _HEIGHT,
    }
    return _figure(chart, [element("svg", {**inner, "class": "lines"}, *stretched), *dots])


def _figure(chart: Chart, drawn: list[Element]) -> Element:
    title, description = f"{chart.name}-title", f"{chart.name}-description"
    picture = element(
        "svg",
        {"class": "chart", "role": "img", "aria-labelledby": f"{title} {description}", "height": _HEIGHT},
        element("title", {"id": title}, chart.title),
        element("desc", {"id": description}, chart.description),
        *_grid(chart),
        *drawn,
        *_hints(chart),
    )
    # The picture's own title would be shown wherever the pointer rests; the heading says it already.
    heading = element("h2", {"aria-hidden": "true"}, chart.title)
    return element("figure", {"id": chart.name}, heading, _legend(chart.series), element("div", {}, picture))


def _grid(chart: Chart) -> list[Element]:
    parts: list[Element] = []
    for tick in chart.scale.ticks:
        y = _HEIGHT * (1 - chart.scale.share(tick))
        parts.append(element("line", {"class": "grid", "x1": 0, "x2": "100%", "y1": y, "y2": y}))
        parts.append(element("text", {"class": "value", "x": -8, "y": y + 4}, chart.tick_text(tick)))
    count = len(chart.hints)
    for label in chart.ticks:
        style = "time" if label.major else "time minor"
        x = _percent(label.position / count)
        parts.append(element("line", {"class": "grid", "x1": x, "x2": x, "y1": _HEIGHT, "y2": _HEIGHT + 5}))
        parts.append(element("text", {"class": style, "x": x, "y": _HEIGHT + 19}, label.text))
    return parts


def _hints(chart: Chart) -> list[Element]:
    count = len(chart.hints)
    box = {"y": 0, "height": _HEIGHT}
    return [
        element("rect", {"class": "hint", **_across(number, count, 0), **box}, element("title", {}, hint))
        for number, hint in enumerate(chart.hints)
    ]


def _legend(series: Sequence[Series]) -> Element:
    if len(series) == 1:
        return element("p", {"class": "legend"})
    entries: list[Element | str] = []
    for one in series:
        entries += [element("span", {"class": f"key {one.style}"}), f"{one.name} "]
    return element("p", {"class": "legend"}, *entries)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Return the stretches of buckets that have values, as pairs of number and value."""
    runs: list[list[tuple[int, float]]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((number, value))
    return [run for run in runs if run]


def _across(number: int, count: int, gap: float) -> dict[str, str | float]:
    return {"x": _percent((number + gap / 2) / count), "width": _percent((1 - gap) / count)}


def _middle(number: int, count: int) -> str:
    return _percent((number + 0.5) / count)


def _percent(share: float) -> str:
    return f"{100 * share:.3f}%"
