"""What goes to another server with the rows of buckets, and is not copied as those are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cloudpub_models.connection import Database


class Along(Protocol):
    """What a server has made of rows, some of which may be gone.

    Attributes:
        triggers: the names of the triggers that make it.
    """

    triggers: frozenset[str]

    def require_alike(self, source: Database, target: Database) -> None:
        """Raise ConfigurationError where one of two servers has what the other has not."""

    def copy(self, source: Database, target: Database, buckets: Sequence[int]) -> Any:
        """Have the target have what the source has of some buckets, and return what tells whether that is so still.

        The rows of the buckets are on both, or are made equal later.

        Raises:
            LockNotAvailableError: somebody is at work on one of both for too long.
        """

    def hand_over(self, source: Database, target: Database, buckets: Sequence[int], copied: Any) -> bool:
        """Have the target have the rest, while nobody writes to the buckets and their rows are the same on both.

        Args:
            source: the server that has the buckets.
            target: the one to have them.
            buckets: the buckets.
            copied: what ``copy`` has returned.

        Returns:
            ``False`` where the source or the target has changed since then, so that it has to be copied again.
        """

    def forget(self, server: Database, buckets: Sequence[int]) -> None:
        """Have a server have nothing of some buckets, whose rows are gone."""

    def forget_keys(self, server: Database, keys: Sequence[int]) -> None:
        """Have a server have nothing of what belonged to some keys, whose rows are gone."""
