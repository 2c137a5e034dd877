"""Where each table and passage of a picture stands, from top to bottom.

Within a column the order is given; each node moves as near to its neighbours' heights as the nodes above and below it
allow, so that most references are nearly straight. The lanes of groups are placed each by itself, one below the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cloudpub_models.cli.commands.schema.diagram import Diagram
from cloudpub_models.cli.commands.schema.picture.layers import Layers, Link, Node, Passage

ROW_HEIGHT = 22
HEADER_HEIGHT = 34
BOX_PADDING = 6
# Between two boxes, and between a box and a line that passes it.
BOX_GAP = 30
PASSAGE_HEIGHT = 8
PASSAGE_GAP = 16
# Around the tables of a group, above them where its name is written, and between two groups.
FRAME_PADDING = 16
FRAME_TITLE = 20
FRAME_GAP = 20

_ROUNDS = 60


@dataclass(frozen=True)
class Places:
    """Where everything stands, in pixels.

    Attributes:
        top: the top of each node.
        height: the height of the whole.
        frames: the top of each group's frame, and its height.
    """

    top: Mapping[Node, float]
    height: float
    frames: Mapping[str, tuple[float, float]]


def box_height(rows: int) -> float:
    """Return the height of a table's box with so many columns."""
    return HEADER_HEIGHT + rows * ROW_HEIGHT + BOX_PADDING


def place(diagram: Diagram, layers: Layers) -> Places:
    """Return where the nodes of a diagram stand."""
    heights: dict[Node, float] = {box.name: box_height(len(box.attributes)) for box in diagram.tables}
    heights |= {node: PASSAGE_HEIGHT for column in layers.columns for node in column if isinstance(node, Passage)}
    port = port_finder(diagram)
    if not diagram.groups:
        top = _placed(layers.columns, layers.links, heights, port)
        return Places(top, _bottom(top, heights), {})
    top, frames, start = {}, {}, 0.0
    for number, name in enumerate(diagram.groups):
        columns = [[node for node in column if layers.lane[node] == number] for column in layers.columns]
        lane = _placed(columns, layers.links, heights, port)
        first = start + FRAME_TITLE + FRAME_PADDING
        top |= {node: first + value for node, value in lane.items()}
        height = first + _bottom(lane, heights) + FRAME_PADDING - start
        frames[name] = (start, height)
        start += height + FRAME_GAP
    return Places(top, start - FRAME_GAP, frames)


def _placed(
    columns: Sequence[Sequence[Node]], links: Sequence[Link], heights: Mapping[Node, float], port: Port
) -> dict[Node, float]:
    """Return the tops of the nodes of some columns, of which the highest is at zero."""
    top: dict[Node, float] = {}
    for column in columns:
        below = 0.0
        for node, gap in zip(column, (0.0, *_gaps(column)) if column else (), strict=True):
            top[node] = below + gap
            below = top[node] + heights[node]
    for number in range(_ROUNDS):
        for column in columns if number % 2 == 0 else reversed(columns):
            wishes = [_wish(node, links, top, port) for node in column]
            top |= _settled(column, wishes, heights)
    highest = min(top.values(), default=0.0)
    return {node: float(round(value - highest)) for node, value in top.items()}


def _bottom(top: Mapping[Node, float], heights: Mapping[Node, float]) -> float:
    return max((top[node] + heights[node] for node in top), default=0.0)


Port = Callable[[Node, Link], float]


def port_finder(diagram: Diagram) -> Port:
    """Return what tells how far below a node's top a link ends there."""
    rows = {
        (box.name, attribute.name): HEADER_HEIGHT + (number + 0.5) * ROW_HEIGHT
        for box in diagram.tables
        for number, attribute in enumerate(box.attributes)
    }

    def port(node: Node, link: Link) -> float:
        if isinstance(node, Passage):
            return PASSAGE_HEIGHT / 2
        reference = link.reference
        return rows[node, reference.column if node == reference.child else reference.target]

    return port


def _wish(node: Node, links: Sequence[Link], top: Mapping[Node, float], port: Port) -> tuple[float, float]:
    """Return where a node would stand best, and how much that matters."""
    found = [
        top[other] + port(other, link) - port(node, link)
        for link in links
        for mine, other in ((link.left, link.right), (link.right, link.left))
        if mine == node and other in top
    ]
    return (sum(found) / len(found), float(len(found))) if found else (top[node], 0.01)


def _settled(
    column: Sequence[Node], wishes: Sequence[tuple[float, float]], heights: Mapping[Node, float]
) -> dict[Node, float]:
    """Return the tops that come nearest to the wishes, in the given order and with the gaps between.

    Nodes that would overlap form a block, which stands at the mean of its members' wishes (isotonic regression).
    """
    shifts, shift = [], 0.0
    for number, node in enumerate(column):
        if number:
            shift += _gaps(column)[number - 1]
        shifts.append(shift)
        shift += heights[node]
    blocks: list[list[float]] = []  # mean, weight, members
    for (wish, weight), before in zip(wishes, shifts, strict=True):
        blocks.append([wish - before, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, heavy, members = blocks.pop()
            other = blocks[-1]
            total = other[1] + heavy
            blocks[-1] = [(other[0] * other[1] + mean * heavy) / total, total, other[2] + members]
    starts = [block[0] for block in blocks for _ in range(int(block[2]))]
    return {node: start + before for node, start, before in zip(column, starts, shifts, strict=True)}


def _gaps(column: Sequence[Node]) -> list[float]:
    return [
        PASSAGE_GAP if isinstance(above, Passage) or isinstance(below, Passage) else BOX_GAP
        for above, below in itertools.pairwise(column)
    ]
