"""Whom calls ask by the map, what they do not read there, and what they wait for."""

from __future__ import annotations

from typing import Any

from cloudpub_models.cells.book import Cell
from cloudpub_models.cells.buckets import BUCKETS, bucket_of
from cloudpub_models.cells.layout import Layout, layout_of
from cloudpub_models.cells.moving import COPYING, EMPTYING, FENCED, SWITCHED


def layout(cells: dict[int, Cell]) -> Layout:
    """The first half of the buckets on server 1, the second on 2, but for some."""
    plain = [Cell(1 + (2 * bucket >= BUCKETS), None, None, 1) for bucket in range(BUCKETS)]
    servers: Any = {0: "main", 1: "one", 2: "two"}
    return layout_of([cells.get(bucket, cell) for bucket, cell in enumerate(plain)], servers)


def test_all_that_is_at_rest() -> None:
    found = layout({})
    assert (found.version, found.all_numbers(), found.unread, found.held) == (1, [1, 2], {}, frozenset())
    keys = [next(key for key in range(5_000) if bucket_of(key) == bucket) for bucket in (0, 1, BUCKETS - 1)]
    assert found.numbers_of(keys) == [1, 2]
    assert found.numbers_of(reversed(keys)) == [2, 1]
    assert not found.holds(None)


def test_what_is_moved_is_not_read_on_the_other_server_and_held_for_two_steps() -> None:
    steps = {3: COPYING, 4: FENCED, 5: SWITCHED, 6: EMPTYING}
    found = layout({bucket: Cell(1, 2, step, bucket) for bucket, step in steps.items()})
    assert found.version == 6
    assert found.unread == {2: [3, 4, 5, 6]}
    assert found.held == {4, 5}
    held, free = [next(key for key in range(5_000) if bucket_of(key) == bucket) for bucket in (4, 3)]
    assert [found.holds(keys) for keys in (None, [], [free], [free, held])] == [True, False, False, True]


def test_a_server_without_buckets_is_not_asked() -> None:
    cells = {bucket: Cell(2, None, None, 1) for bucket in range(BUCKETS)}
    assert layout(cells).all_numbers() == [2]
