"""The map of buckets as calls go by it: whom to ask, what not to read there, what to wait for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cloudpub_models.cells.book import Cell
from cloudpub_models.cells.buckets import bucket_of
from cloudpub_models.cells.moving import HELD
from cloudpub_models.connection import Database


class Layout(NamedTuple):
    """Who has what, by one version of the map.

    Attributes:
        version: the version.
        servers: the servers by their numbers.
        of_bucket: the number of the server of each bucket.
        unread: number of a server → the buckets of which no rows are to be read there.
        held: the buckets to which nobody writes.
    """

    version: int
    servers: Mapping[int, Database]
    of_bucket: Sequence[int]
    unread: Mapping[int, Sequence[int]]
    held: frozenset[int]

    def all_numbers(self) -> list[int]:
        """Return the numbers of the servers that have rows."""
        return sorted(set(self.of_bucket))

    def numbers_of(self, keys: Iterable[int]) -> list[int]:
        """Return the numbers of the servers that have rows which belong to some keys, each once."""
        return list(dict.fromkeys([self.of_bucket[bucket_of(key)] for key in keys]))

    def holds(self, keys: Iterable[int] | None) -> bool:
        """Return whether nobody writes to rows that belong to some keys; to any rows, of no keys in particular."""
        return bool(self.held) and (keys is None or any(bucket_of(key) in self.held for key in keys))


def layout_of(cells: Sequence[Cell], servers: Mapping[int, Database]) -> Layout:
    """Return the map that is written down for each bucket, with the servers by their numbers."""
    unread: dict[int, list[int]] = defaultdict(list)
    for bucket, cell in enumerate(cells):
        if cell.other is not None:
            unread[cell.other].append(bucket)
    held = frozenset(bucket for bucket, cell in enumerate(cells) if cell.step in HELD)
    return Layout(max(cell.version for cell in cells), servers, [cell.server for cell in cells], unread, held)
