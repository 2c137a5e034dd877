"""What a unit of work asks of its reads: which server answers, and what that must have seen.

How a server is chosen is the engine's business; an engine with one server has nothing to choose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple

ReadSource = Literal["primary", "replica"]
SOURCES: tuple[ReadSource, ...] = ("primary", "replica")


class Reading(NamedTuple):
    """What is asked of the reads of one database.

    Attributes:
        source: who is to answer; ``None`` leaves it to the database, and raw SQL to the primary.
        tokens: what whoever answers must have seen, as the engine has read them.
    """

    source: ReadSource | None = None
    tokens: tuple[Any, ...] = ()


ANY_READING = Reading()


class ReplicaStatus(NamedTuple):
    """One read replica, as this process sees it.

    Attributes:
        url: its URL, with its password masked.
        usable: whether it answers reads.
        reason: why it does not; ``None`` where it does.
        lag_seconds: how old what it shows is at most; ``None`` where that is not known.
        position: how far it has come in the primary's log, as PostgreSQL writes it; ``None`` before it was asked.
        reads: how many reads of this process it has answered.
        fallbacks: how many reads it was asked for that the primary answered in its place.
    """

    url: str
    usable: bool
    reason: str | None
    lag_seconds: float | None
    position: str | None
    reads: int
    fallbacks: int


# By the masked URLs of databases. Of the unit of work, as transactions are: a thread may serve many.
_readings: ContextVar[Mapping[str, Reading]] = ContextVar("cloudpub_models_readings", default={})  # noqa: B039


def reading_of(url: str) -> Reading:
    """Return what this unit of work asks of its reads from a database."""
    return _readings.get().get(url, ANY_READING)


@contextmanager
def asking(url: str, *, source: ReadSource | None = None, token: Any = None) -> Iterator[None]:
    """Ask more of the reads from a database in a block; what is asked around it holds on.

    Args:
        url: the masked URL of the database.
        source: who is to answer.
        token: what whoever answers must have seen.
    """
    before = _readings.get()
    asked = before.get(url, ANY_READING)
    if source is not None:
        asked = asked._replace(source=source)
    if token is not None:
        asked = asked._replace(tokens=(*asked.tokens, token))
    _readings.set({**before, url: asked})
    try:
        yield
    finally:
        # Not by the variable's own reset(), which fails where the block ends in another context.
        _readings.set(before)
