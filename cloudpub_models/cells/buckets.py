"""In which of 1,024 buckets a row is, by the key of what it belongs to; servers have whole buckets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

BUCKETS: Final = 1024

# Knuth's: 2**32 by the golden ratio, so that keys which follow each other are far from each other.
_MULTIPLIER: Final = 2654435761
_WORD_BITS: Final = 32
_BUCKET_BITS: Final = 10
# So many ids each server gives for itself; what stands before them is its number.
_BITS_OF_OWN_IDS: Final = 48


def bucket_of(key: int) -> int:
    """Return the bucket of the rows that belong to a key; it is the same for ever.

    >>> [bucket_of(key) for key in (1, 2, 3)]
    [632, 241, 874]
    """
    return key * _MULTIPLIER % (1 << _WORD_BITS) >> (_WORD_BITS - _BUCKET_BITS)


def spread(servers: Sequence[T]) -> list[T]:
    """Return for each bucket one of some servers, each having as many as the others, or one more.

    >>> spread("ab")[511:513], spread("abc").count("b")
    (['a', 'b'], 341)
    """
    return [servers[bucket * len(servers) // BUCKETS] for bucket in range(BUCKETS)]


def first_id(server: int) -> int:
    """Return the first of the ids that a server gives to its rows, which no other gives.

    Args:
        server: its number, from 1.

    >>> first_id(1), first_id(3)
    (281474976710656, 844424930131968)
    """
    return server << _BITS_OF_OWN_IDS
