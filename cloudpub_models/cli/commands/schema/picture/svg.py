"""A diagram as an SVG picture: boxes with typed columns, and references with crow's feet that run around them.

It needs nothing but a program that shows SVG: no script, no font of its own, no network. Its colours follow the
reader's light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Literal

from cloudpub_models.cli.boundary import printable
from cloudpub_models.cli.commands.schema.entities import Attribute, Diagram, Entity, Relation
from cloudpub_models.cli.commands.schema.picture.layers import Layers, arrange
from cloudpub_models.cli.commands.schema.picture.placement import HEADER_HEIGHT, ROW_HEIGHT, box_height, place
from cloudpub_models.cli.commands.schema.picture.routing import Point, Route, route

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
    width = max(routes.width + loop_room, _legend_width()) + 2 * _MARGIN
    height = places.height + 2 * _MARGIN + _LEGEND_HEIGHT
    left = {
        node: (routes.column_left[number], widths[number])
        for number, column in enumerate(layers.columns)
        for node in column
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{_escaped(title)}">',
        f"<title>{_escaped(title)}</title>",
        f"<style>{_style(scheme)}</style>",
    ]
    if scheme != "auto":
        parts.append('<rect class="background" width="100%" height="100%"/>')
    parts.append(f'<g transform="translate({_MARGIN} {_MARGIN})">')
    for way in routes.routes:
        parts.extend(_reference(way, groups[way.relation.parent], layers))
    for relation in layers.loops:
        x, box_width = left[relation.child]
        parts.extend(_loop(diagram, relation, x + box_width, places.top[relation.child], groups[relation.parent]))
    for entity in diagram.entities:
        x, box_width = left[entity.name]
        parts.extend(_box(entity, x, places.top[entity.name], box_width, groups[entity.name]))
    parts.extend(_legend(places.height + _MARGIN))
    parts.append("</g></svg>")
    return "\n".join(parts) + "\n"


# Sizes and groups


def _column_widths(diagram: Diagram, layers: Layers) -> list[float]:
    return [
        max((_box_width(diagram.entity(node)) for node in column if isinstance(node, str)), default=0.0)
        for column in layers.columns
    ]


def _box_width(entity: Entity) -> float:
    names = max((len(attribute.name) for attribute in entity.attributes), default=0)
    types = max((len(_type_text(attribute)) for attribute in entity.attributes), default=0)
    row = _badge_room(entity) + (names + types) * _LETTER_WIDTH + _BETWEEN
    return float(round(max(row, len(entity.name) * _HEADING_WIDTH) + 2 * _SIDE))


def _badge_room(entity: Entity) -> float:
    return max((_badges_width(attribute) for attribute in entity.attributes), default=0) + 6


def _badges_width(attribute: Attribute) -> float:
    return sum(_BADGE_WIDTH[key] + _BADGE_GAP for key in attribute.keys)


def _type_text(attribute: Attribute) -> str:
    return f"{attribute.type}?" if attribute.nullable else attribute.type


def _groups(diagram: Diagram, layers: Layers) -> dict[str, int]:
    """Return a number for each table: tables that others refer to have their own, the rest that of their parent."""
    forward = [
        relation for relation in diagram.relations if layers.depth[relation.parent] < layers.depth[relation.child]
    ]
    parents = {relation.parent for relation in forward}
    ordered = sorted(diagram.entities, key=lambda entity: layers.depth[entity.name])
    groups: dict[str, int] = {}
    for entity in ordered:
        above = [relation.parent for relation in forward if relation.child == entity.name]
        if entity.name in parents or not above:
            groups[entity.name] = len(set(groups.values())) % len(_LIGHT_GROUPS)
        else:
            groups[entity.name] = groups[max(above, key=lambda name: layers.depth[name])]
    return groups


# Boxes


def _box(entity: Entity, x: float, y: float, width: float, group: int) -> Iterator[str]:
    height = box_height(len(entity.attributes))
    top = f"M{x:g} {y + HEADER_HEIGHT:g}v-{HEADER_HEIGHT - 8}q0 -8 8 -8h{width - 16:g}q8 0 8 8v{HEADER_HEIGHT - 8}z"
    yield f'<g class="g{group}">'
    yield f'<rect class="box" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"/>'
    yield f'<path class="head" d="{top}"/>'
    yield f'<rect class="border" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"/>'
    yield f'<text class="name" x="{x + _SIDE:g}" y="{y + 22:g}">{_escaped(entity.name)}</text>'
    room = _badge_room(entity)
    for number, attribute in enumerate(entity.attributes):
        middle = y + HEADER_HEIGHT + (number + 0.5) * ROW_HEIGHT
        badge_left = x + _SIDE - 4
        for key in attribute.keys:
            yield from _badge(key, badge_left, middle)
            badge_left += _BADGE_WIDTH[key] + _BADGE_GAP
        key_class = "column key" if "PK" in attribute.keys else "column"
        yield f'<text class="{key_class}" x="{x + _SIDE + room:g}" y="{middle + 4:g}">{_escaped(attribute.name)}</text>'
        yield (
            f'<text class="type" x="{x + width - _SIDE:g}" y="{middle + 4:g}">{_escaped(_type_text(attribute))}</text>'
        )
    yield "</g>"


def _badge(key: str, x: float, middle: float) -> Iterator[str]:
    width = _BADGE_WIDTH[key]
    yield f'<rect class="badge {key.lower()}" x="{x:g}" y="{middle - 7:g}" width="{width}" height="14" rx="4"/>'
    yield f'<text class="mark {key.lower()}" x="{x + width / 2:g}" y="{middle + 3.5:g}">{key}</text>'


# References


def _reference(way: Route, group: int, layers: Layers) -> Iterator[str]:
    relation, points = way.relation, way.points
    child_is_right = layers.depth[relation.child] > layers.depth[relation.parent]
    child_end, parent_end = (points[-1], points[0]) if child_is_right else (points[0], points[-1])
    outward = -1 if child_is_right else 1
    kind = " optional" if relation.optional else ""
    yield f'<g class="reference l{group}{kind}">{_told(relation)}'
    yield f'<path class="way" d="{_rounded(points)}"/>'
    yield from _child_sign(child_end, outward, relation)
    yield from _parent_sign(parent_end, -outward, relation)
    yield "</g>"


def _loop(diagram: Diagram, relation: Relation, x: float, top: float, group: int) -> Iterator[str]:
    """Draw a table's reference to itself, beside its box."""
    names = [attribute.name for attribute in diagram.entity(relation.child).attributes]
    start, end = (
        top + HEADER_HEIGHT + (names.index(column) + 0.5) * ROW_HEIGHT for column in (relation.target, relation.column)
    )
    points = ((x, start), (x + _LOOP_WIDTH, start), (x + _LOOP_WIDTH, end), (x, end))
    yield f'<g class="reference l{group}">{_told(relation)}'
    yield f'<path class="way" d="{_rounded(points)}"/>'
    yield from _child_sign((x, end), 1, relation)
    yield "</g>"


def _told(relation: Relation) -> str:
    reference = f"{relation.child}.{relation.column} → {relation.parent}.{relation.target}"
    return f"<title>{_escaped(f'{reference}, ON DELETE {relation.on_delete}')}</title>"


def _child_sign(end: Point, outward: int, relation: Relation) -> Iterator[str]:
    """Draw how many children a parent may have: none or many, or none or one."""
    x, y = end
    if relation.single:
        yield f'<path class="bar" d="M{x + 8 * outward:g} {y - 5:g}v10"/>'
    else:
        tip = x + 10 * outward
        yield f'<path d="M{x:g} {y - 6:g}L{tip:g} {y:g}L{x:g} {y + 6:g}"/>'
    yield f'<circle cx="{x + 14 * outward:g}" cy="{y:g}" r="3.5"/>'


def _parent_sign(end: Point, outward: int, relation: Relation) -> Iterator[str]:
    """Draw how many parents a child has: one, or none or one."""
    x, y = end
    yield f'<path class="bar" d="M{x + 7 * outward:g} {y - 5:g}v10"/>'
    if relation.optional:
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


# Legend and colours

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
        sign = Relation("", "", "", "", optional=may_lack, single=single, on_delete="")
        yield f'<g class="reference plain"><path d="M{x:g} {middle:g}h24"/>'
        yield from _parent_sign(end, -1, sign) if single else _child_sign(end, -1, sign)
        yield "</g>"
        yield f'<text x="{x + 32:g}" y="{middle + 4:g}">{word}</text>'
        x += len(word) * _LEGEND_LETTER + 52
    yield "</g>"


def _style(scheme: Scheme) -> str:
    shape = (
        f"text{{font:12px {_MONO}}}.name{{font:600 14px {_SANS}}}.key{{font-weight:600}}"
        f".legend text{{font:12px {_SANS}}}.type{{text-anchor:end}}"
        f".mark{{font:700 9px {_SANS};text-anchor:middle}}"
        ".border{fill:none;stroke-width:1}"
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
        ".border": f"stroke:{border}",
        ".column": f"fill:{text}",
        ".type,.legend text": f"fill:{muted}",
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


def _escaped(text: str) -> str:
    # XML has no place for most control characters, not even escaped.
    return escape(printable(text))
