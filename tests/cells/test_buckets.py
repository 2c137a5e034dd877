"""Where keys go, for ever."""

from __future__ import annotations

from collections import Counter

import pytest

from cloudpub_models.cells.buckets import BUCKETS, bucket_of, first_id, spread


def test_a_key_is_in_the_same_bucket_for_ever() -> None:
    # What is written down in databases: these never change.
    keys = (0, 1, 2, 3, 1000, 2**31 - 1, 2**63 - 1, -1)
    assert [bucket_of(key) for key in keys] == [0, 632, 241, 874, 34, 903, 391, 391]


def test_keys_spread_evenly() -> None:
    counts = Counter(bucket_of(key) for key in range(1, 100 * BUCKETS + 1))
    assert set(counts) == set(range(BUCKETS))
    assert all(abs(count - 100) <= 2 for count in counts.values())


@pytest.mark.parametrize("number", [1, 2, 3, 7, 1024])
def test_servers_have_as_many_buckets_as_each_other_or_one_more(number: int) -> None:
    servers = list(range(1, number + 1))
    of_bucket = spread(servers)
    counts = Counter(of_bucket)
    assert len(of_bucket) == BUCKETS
    assert set(counts) == set(servers)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_ids_of_servers_never_meet() -> None:
    assert first_id(1) == 2**48
    assert first_id(2) - first_id(1) == 2**48
    # Up to the 32nd server JSON's numbers have them all; up to number 32,767 a BIGINT does.
    assert first_id(32) <= 2**53
    assert first_id(32767) + 2**48 - 1 <= 2**63 - 1
