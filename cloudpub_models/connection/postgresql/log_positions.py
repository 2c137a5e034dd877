"""Positions in the write-ahead log of a PostgreSQL cluster, and the tokens by which programs pass them on.

What a position is: https://www.postgresql.org/docs/current/datatype-pg-lsn.html. Positions of two timelines do not
compare: a server that was promoted has begun another one, and what the old one wrote behind that point is lost.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from cloudpub_models.errors import InvalidValueError
from cloudpub_models.sql.identifiers import shown

_TOKEN = re.compile(r"([0-9]{1,20}):([0-9]{1,10}):([0-9A-F]{1,8})/([0-9A-F]{1,8})", re.ASCII)


class Position(NamedTuple):
    """A place in the log of one cluster.

    Attributes:
        cluster: the cluster's system identifier.
        timeline: the timeline.
        offset: how many bytes of log lie before it.
    """

    cluster: str
    timeline: int
    offset: int

    def __str__(self) -> str:
        return f"{self.cluster}:{self.timeline}:{text_of(self.offset)}"

    def is_reached_by(self, other: Position) -> bool:
        """Return whether who has come to another position has seen all that was written before this one."""
        return other.cluster == self.cluster and other.timeline == self.timeline and other.offset >= self.offset


def text_of(offset: int) -> str:
    """Return an offset as PostgreSQL writes it.

    >>> text_of(0x16_B374D848)
    '16/B374D848'
    """
    return f"{offset >> 32:X}/{offset & 0xFFFF_FFFF:X}"


def offset_of(text: str) -> int:
    """Return the offset that PostgreSQL writes so.

    >>> hex(offset_of("16/B374D848"))
    '0x16b374d848'
    """
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def read_token(token: Any) -> Position | None:
    """Return the position that a token names; ``None`` for that of a program that has one file, or none.

    Raises:
        InvalidValueError: it is no token.
    """
    if token is None or token == "":
        return None
    found = _TOKEN.fullmatch(token) if isinstance(token, str) else None
    if found is None:
        raise InvalidValueError(f"expected a token that database.token() has given, or None; got {shown(token)}")
    cluster, timeline, high, low = found.groups()
    return Position(cluster, int(timeline), int(high, 16) << 32 | int(low, 16))
