"""A PostgreSQL engine whose statements say by which map of buckets they were sent there.

The server refuses those of an older map than it was told of, in the round trip that they take anyhow. A statement that
reads does so in the transaction's first snapshot, from before the server has answered that the map is the right one;
one that writes holds a lock from then to its end, which tells who moves buckets that it is still under way.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
from cloudpub_models.connection.sender import SentStatement

_WRITES = "SELECT cells_admit({version}, true)"
_READS = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT cells_admit({version}, false)"


class _ThisThread(threading.local):
    """By which map this thread sends what it sends, and whether the transaction that it begins may write."""

    version: int | None = None
    may_write = False


class AdmittedEngine(PostgresqlEngine):
    """Asks for admission in front of each statement, or where its transaction begins."""

    def __init__(self, *arguments: Any) -> None:
        self._here = _ThisThread()
        super().__init__(*arguments)
        self.is_attended = True

    @contextmanager
    def under_map(self, version: int) -> Iterator[None]:
        here = self._here
        before, here.version = here.version, version
        try:
            yield
        finally:
            here.version = before

    @property
    def _after_begin(self) -> str:
        if self._here.version is None:
            return self._set_after_begin
        return f"{self._set_after_begin}; {_asking(self._here.version, self._here.may_write)}"

    @_after_begin.setter
    def _after_begin(self, text: str) -> None:
        self._set_after_begin = text

    def begin_transaction(self, isolation: str | None, read_only: bool) -> None:
        self._here.may_write = not read_only
        try:
            super().begin_transaction(isolation, read_only)
        finally:
            self._here.may_write = False

    def acting_raw(self) -> AbstractContextManager[object]:
        # A transaction asks where it begins.
        asks = self._here.version is not None and not self.scopes()
        block: AbstractContextManager[object] = self.savepoint() if asks else super().acting_raw()
        return block

    def attend(self, sent: SentStatement) -> Any:
        # What changes rows for somebody becomes a transaction.
        return super().attend(sent if sent.writes and self.acts_alone() else self._asking_first(sent, sent.writes))

    def attend_raw(self, sent: SentStatement) -> Any:
        # It may write, whatever it looks like.
        return super().attend_raw(self._asking_first(sent, True))

    def _asking_first(self, sent: SentStatement, writes: bool) -> SentStatement:
        version = self._here.version
        # A stream and a transaction ask where they begin.
        if version is None or sent.chunk_size is not None or self.scopes():
            return sent
        return sent._replace(sql=f"{_asking(version, writes)}; {sent.sql}")


def _asking(version: int, writes: bool) -> str:
    return (_WRITES if writes else _READS).format(version=version)


@lru_cache(maxsize=16)
def admitted(kind: type[PostgresqlEngine]) -> type[AdmittedEngine]:
    """Return the engine of a kind whose statements ask for admission."""
    return type(f"Admitted{kind.__name__}", (AdmittedEngine, kind), {})
