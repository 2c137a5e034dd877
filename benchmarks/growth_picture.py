"""The picture of what calls cost as tables grow, as SVG written by hand: by rows, and beside that by partitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

_WIDTH, _HEIGHT = 960, 470
_TOP, _BOTTOM = 70, 410
_COLOURS = ("#0b7a4b", "#3e6fa3", "#e0a526", "#b5442f", "#8a63a8")
# Reads on a light and on a dark page.
_INK = "#6a737d"
_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
# Lines of text that stand below each other.
_LINE = 14


class _Panel(NamedTuple):
    title: str
    left: int
    right: int
    places: Sequence[int]
    costs: dict[str, list[float]]


def svg(results: dict[str, Any]) -> str:
    """Return the picture: processor time of each call, both ways on logarithmic scales."""
    by_rows, by_partitions = results["by_rows"], results["by_partitions"]
    panels = [
        _Panel("rows in one table", 60, 440, [each["rows"] for each in by_rows], _costs(by_rows)),
        _Panel(
            f"partitions of {results['rows_in_partitions']:,} rows",
            500,
            780,
            [each["partitions"] for each in by_partitions],
            _costs(by_partitions),
        ),
    ]
    every = [seconds for panel in panels for line in panel.costs.values() for seconds in line]
    lowest, highest = 10 ** math.floor(math.log10(min(every))), 10 ** math.ceil(math.log10(max(every)))

    def y(seconds: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * math.log(seconds / lowest) / math.log(highest / lowest)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>What a call costs on PostgreSQL, by how many rows and partitions there are</title>",
        f'<text x="12" y="22" font-size="16" fill="{_INK}">PostgreSQL: processor time of a call as tables grow</text>',
    ]
    for panel in panels:
        for tick in _TICKS:
            if lowest <= tick <= highest:
                parts.append(_line([(panel.left, y(tick)), (panel.right, y(tick))], _INK, 0.4))
                if panel is panels[0]:
                    parts.append(_text(panel.left - 6, y(tick) + 4, _time(tick), "end"))
        parts += _drawn(panel, y)
    last = panels[-1]
    ends = {name: y(line[-1]) + 4 for name, line in last.costs.items()}
    for colour, (name, place) in zip(_COLOURS, _apart(ends).items(), strict=True):
        parts.append(_text(last.right + 8, place, f"{name}", "start", colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _costs(points: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    return {name: [each["seconds"][name] for each in points] for name in points[0]["seconds"]}


def _drawn(panel: _Panel, y: Any) -> list[str]:
    widest = math.log(panel.places[-1] / panel.places[0])
    xs = [panel.left + (panel.right - panel.left) * math.log(each / panel.places[0]) / widest for each in panel.places]
    parts = [_text(x, _BOTTOM + 18, f"{place:,}", "middle") for x, place in zip(xs, panel.places, strict=True)]
    parts.append(_text((panel.left + panel.right) / 2, _BOTTOM + 42, panel.title, "middle"))
    for colour, line in zip(_COLOURS, panel.costs.values(), strict=True):
        points = [(x, y(seconds)) for x, seconds in zip(xs, line, strict=True)]
        parts.append(_line(points, colour, 2))
        parts += [f'<circle cx="{x:.1f}" cy="{height:.1f}" r="3" fill="{colour}"/>' for x, height in points]
    return parts


def _apart(places: dict[str, float]) -> dict[str, float]:
    """Return the places of texts, moved down where they would overlap, in the order in which they were given."""
    found: dict[str, float] = {}
    before = -math.inf
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        before = found[name] = max(place, before + _LINE)
    return {name: found[name] for name in places}


def _time(seconds: float) -> str:
    milliseconds = seconds * 1e3
    return f"{milliseconds:,.0f} ms" if milliseconds >= 1 else f"{seconds * 1e6:,.0f} µs"


def _text(x: float, y: float, text: str, anchor: str, colour: str = _INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _line(points: Sequence[tuple[float, float]], colour: str, width: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
