"""A chart of one database's ratios, as SVG written by hand: bars on a logarithmic scale, the raw driver at 1."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from benchmarks.databases import Dialect
from benchmarks.operations import OPERATIONS, Operation
from benchmarks.report import DATABASES, TITLES, find, libraries_of, title_of

_WIDTH = 960
_LEFT, _RIGHT, _TOP = 330, 60, 70
_BAR, _GAP = 11, 12

_COLOURS = {
    "ours": "#0b7a4b",
    "ours-sessionless": "#57a884",
    "ours-prepared": "#0a4f33",
    "peewee": "#e0a526",
    "sqlalchemy": "#b5442f",
    "django": "#3e6fa3",
    "pony": "#8a63a8",
}
# Reads on a light and on a dark page.
_INK = "#6a737d"
_TICKS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


def svg(results: dict[str, Any], database: Dialect) -> str:
    """Return the chart of one database's operations; void measurements are drawn pale."""
    names = libraries_of(results)
    shown = [
        (operation, bars)
        for operation in OPERATIONS
        if not operation.control_is_library and (bars := _bars(results, database, names, operation))
    ]
    ratios = [bar["ratio"] for _, bars in shown for _, bar in bars] or [1.0]
    scale = _Scale(min(0.5, *ratios), max(2.0, *ratios))
    height = _TOP + sum(len(bars) * _BAR + _GAP for _, bars in shown) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>Time per operation on {DATABASES[database]}, as a multiple of the raw driver's</title>",
        f'<text x="12" y="22" font-size="16" fill="{_INK}">{DATABASES[database]}: '
        "time as a multiple of the raw driver's (shorter is better)</text>",
        *_legend(names),
        *_grid(scale, height - 20),
    ]
    y = _TOP
    for operation, bars in shown:
        middle = y + len(bars) * _BAR / 2 + 4
        label = escape(title_of(operation, results))
        parts.append(f'<text x="{_LEFT - 10}" y="{middle:.0f}" text-anchor="end" fill="{_INK}">{label}</text>')
        for name, bar in bars:
            parts.append(_bar(scale, y, name, bar))
            y += _BAR
        y += _GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Scale:
    def __init__(self, smallest: float, largest: float) -> None:
        self.smallest, self.largest = smallest, largest
        self._low, self._high = math.log(smallest), math.log(largest)

    def x(self, ratio: float) -> float:
        share = (math.log(ratio) - self._low) / (self._high - self._low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _bars(
    results: dict[str, Any], database: str, names: list[str], operation: Operation
) -> list[tuple[str, dict[str, Any]]]:
    found = [(name, find(results, database, name, operation.name)) for name in names]
    return [(name, bar) for name, bar in found if bar is not None]


def _legend(names: list[str]) -> list[str]:
    parts = []
    for number, name in enumerate(names):
        x = _LEFT + number * 110
        parts.append(f'<rect x="{x}" y="36" width="10" height="10" fill="{_COLOURS[name]}"/>')
        parts.append(f'<text x="{x + 15}" y="45" fill="{_INK}">{escape(TITLES[name])}</text>')
    return parts


def _grid(scale: _Scale, bottom: int) -> list[str]:
    parts = []
    for tick in _TICKS:
        if scale.smallest <= tick <= scale.largest:
            x = scale.x(tick)
            width = 1.5 if tick == 1 else 0.4
            parts.append(
                f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{bottom}" '
                f'stroke="{_INK}" stroke-width="{width}"/>'
            )
            parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle" fill="{_INK}">{tick:g}</text>')
    return parts


def _bar(scale: _Scale, y: float, name: str, bar: dict[str, Any]) -> str:
    # From 1, to the right where slower than the raw driver and to the left where faster.
    start, end = sorted((scale.x(1), scale.x(bar["ratio"])))
    opacity = 1 if bar["valid"] else 0.35
    return (
        f'<rect x="{start:.1f}" y="{y:.0f}" width="{max(1.5, end - start):.1f}" height="{_BAR - 1}" '
        f'fill="{_COLOURS[name]}" opacity="{opacity}"/>'
        f'<text x="{end + 4:.1f}" y="{y + 9:.0f}" font-size="10" fill="{_INK}">{bar["ratio"]:.2f}</text>'
    )
