"""Transactions on several servers at once: all rolled back where anything fails, and committed one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from cloudpub_models.connection import Database
from cloudpub_models.errors import CloudpubError, PartlyKeptError


@contextmanager
def together(servers: Iterable[Database], version: int) -> Iterator[None]:
    """Return a block that is a transaction on each of some servers.

    Args:
        servers: the servers.
        version: that of the map by which they are asked.

    Raises:
        OutdatedMapError: one of them was told of a later map; nothing has begun.
        PartlyKeptError: a commit failed after that of another server had been done.
    """
    kept: list[str] = []
    with ExitStack() as stack:
        for server in servers:
            with server.engine.under_map(version):
                stack.enter_context(_noted(server, kept))
        yield


@contextmanager
def _noted(server: Database, kept: list[str]) -> Iterator[None]:
    """Return a transaction that is noted once it is committed, behind those that are."""
    try:
        with server.transaction():
            yield
    except CloudpubError as error:
        # Nothing is kept anywhere before the block has ended.
        if kept and not isinstance(error, PartlyKeptError):
            raise PartlyKeptError(
                f"expected all servers to commit; got {server.url}, which failed after {', '.join(kept)} had: see "
                f"which rows are there before trying again, since {error}",
                kept,
                server.url,
            ) from error
        raise
    kept.append(server.url)
