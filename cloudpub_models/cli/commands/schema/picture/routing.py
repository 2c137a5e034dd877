"""How the references of a picture run between the columns of tables: level, up or down on a track, and level again.

References that leave the same place share a track. The tracks of a channel are put into the order in which they cross
each other least.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cloudpub_models.cli.commands.schema.diagram import Diagram, Reference
from cloudpub_models.cli.commands.schema.picture.layers import Layers, Link, Node
from cloudpub_models.cli.commands.schema.picture.placement import Places, port_finder

# Room for the signs at a line's ends.
END_ROOM = 30
TRACK_GAP = 14

Point = tuple[float, float]
Height = Callable[[Node, Link], float]


@dataclass(frozen=True)
class Route:
    """The way of a reference.

    Attributes:
        reference: the reference.
        points: its corners, from the table further left.
    """

    reference: Reference
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Routes:
    """All ways, and where the columns of tables begin because of them."""

    routes: tuple[Route, ...]
    column_left: tuple[float, ...]
    width: float


@dataclass(frozen=True)
class _Trunk:
    """The links that share a track: all leave at one height."""

    start: float
    ends: tuple[float, ...]
    links: tuple[Link, ...]

    @property
    def low(self) -> float:
        return min(self.start, *self.ends)

    @property
    def high(self) -> float:
        return max(self.start, *self.ends)

    @property
    def is_level(self) -> bool:
        return self.high - self.low < 1


def route(diagram: Diagram, layers: Layers, places: Places, column_width: Sequence[float]) -> Routes:
    """Return the ways of all references.

    Args:
        diagram: what is drawn.
        layers: its columns.
        places: how high everything stands.
        column_width: how wide the boxes of each column are.
    """
    port = port_finder(diagram)

    def height(node: Node, link: Link) -> float:
        return places.top[node] + port(node, link)

    channel_of = {node: index for index, column in enumerate(layers.columns) for node in column}
    trunks: list[list[_Trunk]] = [[] for _ in layers.columns]
    gathered: dict[tuple[int, Node, float], list[Link]] = defaultdict(list)
    for link in layers.links:
        gathered[channel_of[link.left], link.left, height(link.left, link)].append(link)
    for (channel, _, start), links in gathered.items():
        trunks[channel].append(_Trunk(start, tuple(height(link.right, link) for link in links), tuple(links)))
    column_left: list[float] = []
    tracks: dict[Link, float] = {}
    right = 0.0
    for channel, width in enumerate(column_width):
        column_left.append(right)
        right += width
        if channel == len(column_width) - 1:
            break
        ordered = _ordered([trunk for trunk in trunks[channel] if not trunk.is_level])
        for number, trunk in enumerate(ordered):
            for link in trunk.links:
                tracks[link] = right + END_ROOM + number * TRACK_GAP
        right += 2 * END_ROOM + max(0, len(ordered) - 1) * TRACK_GAP
    routes = [
        Route(reference, _points(links, tracks, column_left, column_width, channel_of, height))
        for reference, links in _by_relation(layers.links).items()
    ]
    return Routes(tuple(routes), tuple(column_left), right)


def _by_relation(links: Sequence[Link]) -> dict[Reference, list[Link]]:
    found: dict[Reference, list[Link]] = defaultdict(list)
    for link in links:
        found[link.reference].append(link)
    return found


def _points(
    links: Sequence[Link],
    tracks: Mapping[Link, float],
    column_left: Sequence[float],
    column_width: Sequence[float],
    channel_of: Mapping[Node, int],
    height: Height,
) -> tuple[Point, ...]:
    first, last = links[0], links[-1]
    start_column = channel_of[first.left]
    points = [(column_left[start_column] + column_width[start_column], height(first.left, first))]
    for link in links:
        if link in tracks:
            points.append((tracks[link], height(link.left, link)))
            points.append((tracks[link], height(link.right, link)))
    points.append((column_left[channel_of[last.right]], height(last.right, last)))
    return tuple(point for number, point in enumerate(points) if number == 0 or point != points[number - 1])


def _ordered(trunks: Sequence[_Trunk]) -> list[_Trunk]:
    """Return the trunks from left to right in an order in which swapping neighbours makes nothing better."""
    order = sorted(trunks, key=lambda trunk: (trunk.start, trunk.ends))
    improved = True
    while improved:
        improved = False
        for index in range(len(order) - 1):
            first, second = order[index : index + 2]
            if _cost(second, first) < _cost(first, second):
                order[index], order[index + 1] = second, first
                improved = True
    return order


def _cost(left: _Trunk, right: _Trunk) -> int:
    """Return how often two trunks cross with one left of the other; lines on top of each other count most."""
    crossings = int(left.low < right.start < left.high) + sum(right.low < end < right.high for end in left.ends)
    return crossings + 10 * sum(abs(end - right.start) < 1 for end in left.ends)
