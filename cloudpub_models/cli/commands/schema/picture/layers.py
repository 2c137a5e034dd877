"""Which column of the picture a table stands in, and in which order: parents left of their children.

A reference over several columns passes the columns between by a ``Passage``, which takes part in the order like a
table, so that the line finds a gap. The order is found by the method of medians: each column is sorted by where its
neighbours are, forth and back, and the order with the fewest crossings is kept. Where tables are grouped, each group
has a lane across all columns, and the order holds within it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloudpub_models.cli.commands.schema.diagram import Diagram, Reference

_SWEEPS = 12


@dataclass(frozen=True)
class Passage:
    """A place in a column where a reference passes through."""

    reference: Reference
    layer: int


Node = str | Passage


@dataclass(frozen=True)
class Link:
    """A piece of a reference, from a node to one in the next column."""

    reference: Reference
    left: Node
    right: Node


@dataclass(frozen=True)
class Layers:
    """The columns, each with its nodes from top to bottom, and the links between them.

    Attributes:
        columns: the nodes of each column.
        links: the pieces of references between columns.
        loops: the references of tables to themselves.
        depth: the column of each table.
        lane: the number of the group in whose lane each node stands.
    """

    columns: tuple[tuple[Node, ...], ...]
    links: tuple[Link, ...]
    loops: tuple[Reference, ...]
    depth: Mapping[str, int]
    lane: Mapping[Node, int]


def arrange(diagram: Diagram) -> Layers:
    """Return the columns of a diagram.

    References of a table to itself are no links; they are given as loops.
    """
    loops = tuple(reference for reference in diagram.references if reference.child == reference.parent)
    references = [reference for reference in diagram.references if reference.child != reference.parent]
    names = [box.name for box in diagram.tables]
    lane: dict[Node, int] = dict.fromkeys(names, 0)
    lane |= {name: number for number, group in enumerate(diagram.groups.values()) for name in group}
    depth = _depths(names, references)
    columns: list[list[Node]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in names:
        columns[depth[name]].append(name)
    links: list[Link] = []
    for reference in references:
        ends = sorted((reference.parent, reference.child), key=lambda name: depth[name])
        nodes: list[Node] = [ends[0]]
        for layer in range(depth[ends[0]] + 1, depth[ends[1]]):
            passage = Passage(reference, layer)
            lane[passage] = lane[reference.child]
            columns[layer].append(passage)
            nodes.append(passage)
        nodes.append(ends[1])
        links.extend(Link(reference, left, right) for left, right in itertools.pairwise(nodes))
    columns = [sorted(column, key=lane.__getitem__) for column in columns]
    return Layers(_with_fewest_crossings(columns, links, lane), tuple(links), loops, depth, lane)


def _depths(names: Sequence[str], references: Sequence[Reference]) -> dict[str, int]:
    """Return each table's column: right of all that it refers to, but where references run in a circle.

    Two tables with a reference between them are never in one column, since references lead between columns.
    """
    place = {name: number for number, name in enumerate(_parents_first(names, references))}
    depth = dict.fromkeys(place, 0)
    for name in place:
        for reference in references:
            ends = {reference.child, reference.parent}
            if name in ends:
                (other,) = ends - {name}
                if place[other] < place[name]:
                    depth[name] = max(depth[name], depth[other] + 1)
    return depth


def _parents_first(names: Sequence[str], references: Sequence[Reference]) -> list[str]:
    """Return the tables in an order in which parents come before their children, as far as circles allow."""
    required = {(reference.child, reference.parent) for reference in references if not reference.optional}
    parents: dict[str, list[str]] = {name: [] for name in names}
    for reference in references:
        # Of two tables that refer to each other, the one that cannot be without the other is the child.
        turned_round = reference.optional and (reference.parent, reference.child) in required
        if not turned_round:
            parents[reference.child].append(reference.parent)
    ordered: dict[str, None] = {}

    def visit(name: str, under_way: tuple[str, ...]) -> None:
        for parent in parents[name]:
            if parent not in ordered and parent not in under_way:
                visit(parent, (*under_way, parent))
        ordered.setdefault(name)

    for name in names:
        visit(name, (name,))
    return list(ordered)


def _with_fewest_crossings(
    columns: list[list[Node]], links: Sequence[Link], lane: Mapping[Node, int]
) -> tuple[tuple[Node, ...], ...]:
    best = [list(column) for column in columns]
    fewest = _crossings(best, links)
    current = [list(column) for column in columns]
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        order = range(1, len(current)) if forth else range(len(current) - 2, -1, -1)
        for index in order:
            beside = current[index - 1 if forth else index + 1]
            places = {node: place for place, node in enumerate(beside)}
            current[index] = _sorted_by_neighbours(current[index], places, links, lane)
        crossings = _crossings(current, links)
        if crossings < fewest:
            best, fewest = [list(column) for column in current], crossings
    return tuple(tuple(column) for column in best)


def _sorted_by_neighbours(
    column: list[Node], places: Mapping[Node, int], links: Iterable[Link], lane: Mapping[Node, int]
) -> list[Node]:
    neighbours: dict[Node, list[int]] = {node: [] for node in column}
    for link in links:
        for node, other in ((link.left, link.right), (link.right, link.left)):
            if node in neighbours and other in places:
                neighbours[node].append(places[other])
    means = {
        node: sum(found) / len(found) if found else float(place)
        for place, (node, found) in enumerate(neighbours.items())
    }
    return sorted(column, key=lambda node: (lane[node], means[node]))


def _crossings(columns: Sequence[Sequence[Node]], links: Sequence[Link]) -> int:
    place = {node: index for column in columns for index, node in enumerate(column)}
    layer = {node: index for index, column in enumerate(columns) for node in column}
    count = 0
    for first, second in itertools.combinations(links, 2):
        if layer[first.left] == layer[second.left]:
            left = place[first.left] - place[second.left]
            right = place[first.right] - place[second.right]
            count += left * right < 0
    return count
