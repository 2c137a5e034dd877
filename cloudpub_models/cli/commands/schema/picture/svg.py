"""A diagram as an SVG picture: boxes with typed columns, and references with crow's feet that run around them.

It needs nothing but a program that shows SVG: no script, no font of its own, no network. Its colours follow the
reader's light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from cloudpub_models.cli.commands.schema.diagram import Attribute, Diagram, Reference, TableBox
from cloudpub_models.cli.commands.schema.picture.layers import Layers, arrange
from cloudpub_models.cli.commands.schema.picture.placement import (
    FRAME_PADDING,
    FRAME_TITLE,
    HEADER_HEIGHT,
    ROW_HEIGHT,
    box_height,
    place,
)
from cloudpub_models.cli.commands.schema.picture.routing import Point, Route, route
from cloudpub_models.cli.shown.markup import in_xml
from cloudpub_models.errors import ConfigurationError

Scheme = Literal["auto", "light", "dark"]

# Of a monospaced letter at 12 pixels, in the widest of the usual fonts; of a bold one of a heading at 14.
_LETTER_WIDTH = 7.3
_HEADING_WIDTH = 8.8
_BADGE_WIDTH = {"PK": 22, "FK": 22, "U": 14}
_BADGE_GAP = 4
_SIDE = 12
_BETWEEN = 24
_MARGIN = 24
_CORNER = 8
_LEGEND_HEIGHT = 34
_LOOP_WIDTH = 24
# Of a PNG: sharp on a screen with two pixels for one.
_ZOOM = 2

_SANS = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace"
# Heading, its text, and lines, for each group of tables.
_LIGHT_GROUPS = (
    ("#e0e7ff", "#3730a3", "#6366f1"),
    ("#d1fae5", "#065f46", "#059669"),
    ("#ffedd5", "#9a3412", "#ea580c"),
    ("#fce7f3", "#9d174d", "#db2777"),
    ("#cffafe", "#155e75", "#0891b2"),
    ("#ede9fe", "#5b21b6", "#8b5cf6"),
)
_DARK_GROUPS = (
    ("#312e81", "#e0e7ff", "#818cf8"),
    ("#064e3b", "#d1fae5", "#34d399"),
    ("#7c2d12", "#ffedd5", "#fb923c"),
    ("#831843", "#fce7f3", "#f472b6"),
    ("#164e63", "#cffafe", "#22d3ee"),
    ("#4c1d95", "#ede9fe", "#a78bfa"),
)
# Box, its border, text, muted text, and the background where there is one.
_LIGHT = ("#ffffff", "#d0d7de", "#1f2328", "#59636e", "#ffffff")
_DARK = ("#161b22", "#3d444d", "#e6edf3", "#9198a1", "#0d1117")


def svg(diagram: Diagram, *, scheme: Scheme = "auto", title: str = "The tables and their references") -> str:
    """Return the picture of a diagram.

    Args:
        diagram: what to draw.
        scheme: whose colours: the reader's, or those for light or dark on a background of their own.
        title: what readers are told who cannot see it.
    """
    layers = arrange(diagram)
    places = place(diagram, layers)
    widths = _column_widths(diagram, layers)
    routes = route(diagram, layers, places, widths)
    groups = _groups(diagram, layers)
    loop_room = _LOOP_WIDTH if layers.loops else 0
    inner = max([routes.width + loop_room, *(len(name) * _HEADING_WIDTH for name in diagram.groups)])
    width = max(inner, _legend_width()) + 2 * _MARGIN
    height = places.height + 2 * _MARGIN + _LEGEND_HEIGHT
    left = {
        node: (routes.column_left[number], widths[number])
        for number, column in enumerate(layers.columns)
        for node in column
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{in_xml(title)}">',
        f"<title>{in_xml(title)}</title>",
        f"<style>{_style(scheme)}</style>",
    ]
    if scheme != "auto":
        parts.append('<rect class="background" width="100%" height="100%"/>')
    parts.append(f'<g transform="translate({_MARGIN} {_MARGIN})">')
    for name, (y, frame_height) in places.frames.items():
        parts.extend(_frame(name, y, inner, frame_height))
    for way in routes.routes:
        parts.extend(_reference(way, groups[way.reference.parent], layers))
    for reference in layers.loops:
        x, box_width = left[reference.child]
        parts.extend(_loop(diagram, reference, x + box_width, places.top[reference.child], groups[reference.parent]))
    for box in diagram.tables:
        x, box_width = left[box.name]
        parts.extend(_box(box, x, places.top[box.name], box_width, groups[box.name]))
    parts.extend(_legend(places.height + _MARGIN))
    parts.append("</g></svg>")
    return "\n".join(parts) + "\n"


def _column_widths(diagram: Diagram, layers: Layers) -> list[float]:
    return [
        max((_box_width(diagram.table(node)) for node in column if isinstance(node, str)), default=0.0)
        for column in layers.columns
    ]


def _box_width(box: TableBox) -> float:
    names = max((len(attribute.name) for attribute in box.attributes), default=0)
    types = max((len(_type_text(attribute)) for attribute in box.attributes), default=0)
    row = _badge_room(box) + (names + types) * _LETTER_WIDTH + _BETWEEN
    return float(round(max(row, len(box.name) * _HEADING_WIDTH) + 2 * _SIDE))


def _badge_room(box: TableBox) -> float:
    return max((_badges_width(attribute) for attribute in box.attributes), default=0) + 6


def _badges_width(attribute: Attribute) -> float:
    return sum(_BADGE_WIDTH[key] + _BADGE_GAP for key in attribute.keys)


def _type_text(attribute: Attribute) -> str:
    return f"{attribute.type}?" if attribute.nullable else attribute.type


def _groups(diagram: Diagram, layers: Layers) -> dict[str, int]:
    """Return a number for each table: tables that others refer to have their own, the rest that of their parent."""
    forward = [
        reference for reference in diagram.references if layers.depth[reference.parent] < layers.depth[reference.child]
    ]
    parents = {reference.parent for reference in forward}
    ordered = sorted(diagram.tables, key=lambda box: layers.depth[box.name])
    groups: dict[str, int] = {}
    for box in ordered:
        above = [reference.parent for reference in forward if reference.child == box.name]
        if box.name in parents or not above:
            groups[box.name] = len(set(groups.values())) % len(_LIGHT_GROUPS)
        else:
            groups[box.name] = groups[max(above, key=lambda name: layers.depth[name])]
    return groups


def _frame(name: str, y: float, width: float, height: float) -> Iterator[str]:
    """Draw what stands around the tables of a group."""
    yield (
        f'<rect class="frame" x="{-FRAME_PADDING}" y="{y:g}" width="{width + 2 * FRAME_PADDING:g}" '
        f'height="{height:g}" rx="12"/>'
    )
    yield f'<text class="group" x="0" y="{y + FRAME_TITLE + 2:g}">{in_xml(name)}</text>'


def _box(box: TableBox, x: float, y: float, width: float, group: int) -> Iterator[str]:
    height = box_height(len(box.attributes))
    top = f"M{x:g} {y + HEADER_HEIGHT:g}v-{HEADER_HEIGHT - 8}q0 -8 8 -8h{width - 16:g}q8 0 8 8v{HEADER_HEIGHT - 8}z"
    yield f'<g class="g{group}">'
    yield f'<rect class="box" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"/>'
    yield f'<path class="head" d="{top}"/>'
    yield f'<rect class="border" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"/>'
    yield f'<text class="name" x="{x + _SIDE:g}" y="{y + 22:g}">{in_xml(box.name)}</text>'
    room = _badge_room(box)
    for number, attribute in enumerate(box.attributes):
        middle = y + HEADER_HEIGHT + (number + 0.5) * ROW_HEIGHT
        badge_left = x + _SIDE - 4
        for key in attribute.keys:
            yield from _badge(key, badge_left, middle)
            badge_left += _BADGE_WIDTH[key] + _BADGE_GAP
        key_class = "column key" if "PK" in attribute.keys else "column"
        yield f'<text class="{key_class}" x="{x + _SIDE + room:g}" y="{middle + 4:g}">{in_xml(attribute.name)}</text>'
        yield (
            f'<text class="type" x="{x + width - _SIDE:g}" y="{middle + 4:g}">{in_xml(_type_text(attribute))}</text>'
        )
    yield "</g>"


def _badge(key: str, x: float, middle: float) -> Iterator[str]:
    width = _BADGE_WIDTH[key]
    yield f'<rect class="badge {key.lower()}" x="{x:g}" y="{middle - 7:g}" width="{width}" height="14" rx="4"/>'
    yield f'<text class="mark {key.lower()}" x="{x + width / 2:g}" y="{middle + 3.5:g}">{key}</text>'


def _reference(way: Route, group: int, layers: Layers) -> Iterator[str]:
    reference, points = way.reference, way.points
    child_is_right = layers.depth[reference.child] > layers.depth[reference.parent]
    child_end, parent_end = (points[-1], points[0]) if child_is_right else (points[0], points[-1])
    outward = -1 if child_is_right else 1
    kind = " optional" if reference.optional else ""
    yield f'<g class="reference l{group}{kind}">{_told(reference)}'
    yield f'<path class="way" d="{_rounded(points)}"/>'
    yield from _child_sign(child_end, outward, reference)
    yield from _parent_sign(parent_end, -outward, reference)
    yield "</g>"


def _loop(diagram: Diagram, reference: Reference, x: float, top: float, group: int) -> Iterator[str]:
    """Draw a table's reference to itself, beside its box."""
    names = [attribute.name for attribute in diagram.table(reference.child).attributes]
    start, end = (
        top + HEADER_HEIGHT + (names.index(column) + 0.5) * ROW_HEIGHT
        for column in (reference.target, reference.column)
    )
    points = ((x, start), (x + _LOOP_WIDTH, start), (x + _LOOP_WIDTH, end), (x, end))
    yield f'<g class="reference l{group}">{_told(reference)}'
    yield f'<path class="way" d="{_rounded(points)}"/>'
    yield from _child_sign((x, end), 1, reference)
    yield "</g>"


def _told(reference: Reference) -> str:
    ends = f"{reference.child}.{reference.column} → {reference.parent}.{reference.target}"
    return f"<title>{in_xml(f'{ends}, ON DELETE {reference.on_delete}')}</title>"


def _child_sign(end: Point, outward: int, reference: Reference) -> Iterator[str]:
    """Draw how many children a parent may have: none or many, or none or one."""
    x, y = end
    if reference.single:
        yield f'<path class="bar" d="M{x + 8 * outward:g} {y - 5:g}v10"/>'
    else:
        tip = x + 10 * outward
        yield f'<path d="M{x:g} {y - 6:g}L{tip:g} {y:g}L{x:g} {y + 6:g}"/>'
    yield f'<circle cx="{x + 14 * outward:g}" cy="{y:g}" r="3.5"/>'


def _parent_sign(end: Point, outward: int, reference: Reference) -> Iterator[str]:
    """Draw how many parents a child has: one, or none or one."""
    x, y = end
    yield f'<path class="bar" d="M{x + 7 * outward:g} {y - 5:g}v10"/>'
    if reference.optional:
        yield f'<circle cx="{x + 14 * outward:g}" cy="{y:g}" r="3.5"/>'
    else:
        yield f'<path class="bar" d="M{x + 11 * outward:g} {y - 5:g}v10"/>'


def _rounded(points: Sequence[Point]) -> str:
    """Return the path through some corners, with the corners rounded."""
    text = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_CORNER, _length(before, corner) / 2, _length(corner, after) / 2)
        enter, leave = _towards(corner, before, radius), _towards(corner, after, radius)
        text.append(f"L{enter[0]:g} {enter[1]:g}Q{corner[0]:g} {corner[1]:g} {leave[0]:g} {leave[1]:g}")
    text.append(f"L{points[-1][0]:g} {points[-1][1]:g}")
    return "".join(text)


def _length(first: Point, second: Point) -> float:
    return abs(first[0] - second[0]) + abs(first[1] - second[1])


def _towards(corner: Point, other: Point, distance: float) -> Point:
    length = _length(corner, other) or 1.0
    return (
        corner[0] + (other[0] - corner[0]) * distance / length,
        corner[1] + (other[1] - corner[1]) * distance / length,
    )


_LEGEND = (("PK", "primary key"), ("FK", "foreign key"), ("U", "unique"))
_LEGEND_SIGNS = (("exactly one", False, True), ("at most one", True, True), ("any number", True, False))
_LEGEND_LETTER = 6.4


def _legend_width() -> float:
    words = sum(len(word) * _LEGEND_LETTER + _BADGE_WIDTH[key] + 24 for key, word in _LEGEND)
    signs = sum(len(word) * _LEGEND_LETTER + 52 for word, *_ in _LEGEND_SIGNS)
    return words + signs + len("type? may be NULL") * _LEGEND_LETTER + 20


def _legend(y: float) -> Iterator[str]:
    x, middle = 0.0, y + _LEGEND_HEIGHT / 2
    yield '<g class="legend">'
    for key, word in _LEGEND:
        yield from _badge(key, x, middle)
        x += _BADGE_WIDTH[key] + 6
        yield f'<text x="{x:g}" y="{middle + 4:g}">{word}</text>'
        x += len(word) * _LEGEND_LETTER + 18
    yield f'<text x="{x:g}" y="{middle + 4:g}">type? may be NULL</text>'
    x += len("type? may be NULL") * _LEGEND_LETTER + 20
    for word, may_lack, single in _LEGEND_SIGNS:
        end = (x + 24, middle)
        sign = Reference("", "", "", "", optional=may_lack, single=single, on_delete="")
        yield f'<g class="reference plain"><path d="M{x:g} {middle:g}h24"/>'
        yield from _parent_sign(end, -1, sign) if single else _child_sign(end, -1, sign)
        yield "</g>"
        yield f'<text x="{x + 32:g}" y="{middle + 4:g}">{word}</text>'
        x += len(word) * _LEGEND_LETTER + 52
    yield "</g>"


def _style(scheme: Scheme) -> str:
    shape = (
        f"text{{font:12px {_MONO}}}.name,.group{{font:600 14px {_SANS}}}.key{{font-weight:600}}"
        f".legend text{{font:12px {_SANS}}}.type{{text-anchor:end}}"
        f".mark{{font:700 9px {_SANS};text-anchor:middle}}"
        ".border,.frame{fill:none;stroke-width:1}"
        ".reference path{fill:none;stroke-width:1.5}.reference circle{stroke-width:1.5}"
        # Two whole pixels look the same where lines lie on each other.
        ".reference .way,.reference .bar{stroke-width:2}.optional .way{stroke-dasharray:6 4}"
    )
    if scheme == "auto":
        dark = _colours(_DARK, _DARK_GROUPS)
        return f"{shape}{_colours(_LIGHT, _LIGHT_GROUPS)}@media (prefers-color-scheme:dark){{{dark}}}"
    colours = _colours(_DARK, _DARK_GROUPS) if scheme == "dark" else _colours(_LIGHT, _LIGHT_GROUPS)
    return shape + colours


def _colours(base: Sequence[str], groups: Sequence[Sequence[str]]) -> str:
    box, border, text, muted, background = base
    key, foreign, unique = (("#b45309", "#4b5563", "#0f766e"), ("#fbbf24", "#9ca3af", "#5eead4"))[box == _DARK[0]]
    rules: Mapping[str, str] = {
        ".background": f"fill:{background}",
        ".box": f"fill:{box}",
        ".border,.frame": f"stroke:{border}",
        ".column": f"fill:{text}",
        ".type,.group,.legend text": f"fill:{muted}",
        ".badge": "fill-opacity:.14",
        "rect.pk,text.pk": f"fill:{key}",
        "rect.fk,text.fk": f"fill:{foreign}",
        "rect.u,text.u": f"fill:{unique}",
        ".legend text.pk": f"fill:{key}",
        ".legend text.fk": f"fill:{foreign}",
        ".legend text.u": f"fill:{unique}",
        ".legend text.mark": f"font:700 9px {_SANS}",
        ".reference circle": f"fill:{box}",
        ".plain path,.plain circle": f"stroke:{muted}",
    }
    text_rules = "".join(f"{selector}{{{rule}}}" for selector, rule in rules.items())
    group_rules = "".join(
        f".g{number} .head{{fill:{head}}}.g{number} .name{{fill:{name}}}"
        f".l{number} path,.l{number} circle{{stroke:{line}}}"
        for number, (head, name, line) in enumerate(groups)
    )
    return text_rules + group_rules


def png(diagram: Diagram) -> bytes:
    """Return a PNG image of a diagram, in light colours: whose scheme a reader prefers is not known to it.

    It is drawn by ``resvg-py``, which comes with the extra ``png`` and needs nothing of the system.

    Raises:
        ConfigurationError: that package is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise ConfigurationError(
            f"expected resvg-py, which makes a PNG; got {error}: pip install 'cloudpub-models[png]', "
            "or take --format svg"
        ) from error
    return resvg_py.svg_to_bytes(svg_string=svg(diagram, scheme="light"), zoom=_ZOOM)
