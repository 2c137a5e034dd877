"""Buckets moved from one server to another while programs read and write: the steps, and what a run that ended left.

The map on main is changed first, then the servers are told, and only then is done what the change is for:

1. ``copying``: nobody reads the buckets' rows on the target. Told, it has no calls that may. Changes on the source are
   noted from before its rows are copied.
2. ``fenced``: nobody writes to them. Told, the source has no calls that may, once those under way have ended. What was
   noted is made up for, and the target has what the source has.
3. ``switched``: they are read on the target, and still nobody writes. Told, the source gives no rows of them any more.
4. ``emptying``: they are written on the target. The source's are deleted.

So at each version of the map one of both has all rows of a bucket, and whoever goes by an older one is refused before
they differ. What a run does is sent by its map as well: it is refused once another has taken over.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import peewee

from cloudpub_models.cells import book
from cloudpub_models.cells.along import Along
from cloudpub_models.cells.book import DistributedTable
from cloudpub_models.cells.rows import RowsOfBuckets
from cloudpub_models.connection import Database
from cloudpub_models.errors import CloudpubError, LockNotAvailableError, MigrationError
from cloudpub_models.schema.migrations.applied import AppliedMigrations
from cloudpub_models.schema.migrations.run import MigrationRun

COPYING: Final = "copying"
FENCED: Final = "fenced"
SWITCHED: Final = "switched"
EMPTYING: Final = "emptying"
# While a bucket is at one of these nobody writes to it.
HELD: Final = frozenset({FENCED, SWITCHED})

_LOCK_TIMEOUT_SECONDS = 60.0
_PATIENCE_SECONDS = 60.0
# For so long writers are kept waiting for others that are in the middle of something.
_FENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.005
_ROWS_AT_ONCE = 2_000
_CHANGES_AT_ONCE = 2_000
# So few that they are soon made up for while others wait.
_FEW_CHANGES = 500
# Buckets that are moved together: of more, what is copied takes so long that much is noted meanwhile.
_BUCKETS_AT_ONCE = 64


class Mover:
    """Moves buckets; holds the lock of a migrator on main for a block.

    Args:
        main: the main database, as a server.
        servers: the servers by their numbers, main among them.
        tables: the tables whose rows are moved.
        along: takes along what goes with the rows.
        lock_timeout: for how many seconds to wait for another one.
        progress: called with the number of rows that have been copied so far.
    """

    _run: MigrationRun

    def __init__(
        self,
        main: Database,
        servers: Mapping[int, Database],
        tables: Sequence[DistributedTable],
        along: Along,
        lock_timeout: float,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        self._main = main
        self._servers = servers
        self._tables = tables
        self._along = along
        self._lock_timeout = lock_timeout
        self._progress = progress
        self._copied = 0
        self._version = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold the lock in the block.

        Raises:
            MigrationError: somebody else moves buckets, or migrates the main database.
        """
        with self._run_on(self._main, self._lock_timeout) as self._run:
            self._version = max(cell.version for cell in book.map_in(self._main))
            yield

    def settle(self) -> int:
        """Undo what an earlier run has begun, or end it where it had come so far; return how many rows that moved."""
        unfinished: dict[tuple[int, int, str], list[int]] = defaultdict(list)
        for bucket, cell in enumerate(book.map_in(self._main)):
            if cell.step is not None and cell.other is not None:
                unfinished[cell.server, cell.other, cell.step].append(bucket)
        moved = 0
        for (server, other, step), buckets in unfinished.items():
            if step in (COPYING, FENCED):
                self._take_back(buckets, server, other)
            else:
                moved += self._end(buckets, other, server, step)
        return moved

    def lift_fence(self) -> None:
        """Let programs write again to the buckets of a run that has ended between two steps; the rest stays to do."""
        for bucket, cell in enumerate(book.map_in(self._main)):
            if cell.step == FENCED:
                self._publish([bucket], cell.server, cell.other, COPYING)
            elif cell.step == SWITCHED and cell.other is not None:
                self._let_write([bucket], cell.other, cell.server)

    def move(self, buckets: Sequence[int], source: int, target: int) -> int:
        """Move buckets of a server to another, and return how many rows that have been.

        Args:
            buckets: the buckets, which the source has.
            source: the number of the server that has them.
            target: that of the one to have them.

        Raises:
            ConfigurationError: what goes with the rows is not on both.
        """
        self._along.require_alike(self._servers[source], self._servers[target])
        moved = 0
        for begin in range(0, len(buckets), _BUCKETS_AT_ONCE):
            some = buckets[begin : begin + _BUCKETS_AT_ONCE]

            try:
                self._copy(some, source, target)
                self._fence(some, source, target)
            except BaseException:
                # Else the next run does it.
                with suppress(peewee.PeeweeException, CloudpubError):
                    self._take_back(some, source, target)
                raise
            moved += self._end(some, source, target, FENCED)
        return moved

    def _copy(self, buckets: Sequence[int], source: int, target: int) -> None:
        self._publish(buckets, source, target, COPYING)
        self._tell(source, target)
        for number in (source, target):
            self._outwait(number, _PATIENCE_SECONDS)
        self._forget_along(buckets, target)
        rows, copies = self._rows(buckets, source), self._rows(buckets, target)
        with self._run_on(rows.server, _LOCK_TIMEOUT_SECONDS) as run:
            if source == book.MAIN:
                run.step(lambda: book.refuse_rows(rows.server, self._tables))
            run.step(rows.begin_noting)
        for table in self._tables:
            for chunk in rows.stream(table, _ROWS_AT_ONCE):
                with self._by_own_map(target):
                    copies.add(table, chunk)
                self._copied += len(chunk)
                if self._progress is not None:
                    self._progress(self._copied)

    def _fence(self, buckets: Sequence[int], source: int, target: int) -> None:
        """Have nobody write to the buckets any more, and the target have all that the source has.

        Raises:
            MigrationError: there is always somebody who has been writing for long.
        """
        rows, copies = self._rows(buckets, source), self._rows(buckets, target)
        copied = self._copy_along(buckets, source, target)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            self._make_up(rows, copies, target, _FEW_CHANGES)
            self._publish(buckets, source, target, FENCED)
            self._tell(source)
            if self._is_quiet(source):
                self._make_up(rows, copies, target, 0)
                if self._hand_over_along(buckets, source, target, copied):
                    return
            self._publish(buckets, source, target, COPYING)
            if time.monotonic() >= deadline:
                raise MigrationError(
                    f"expected a moment without a transaction that has been writing to {rows.server.url}, or counting "
                    f"there, for more than {_FENCE_SECONDS:g} s; got none for {_PATIENCE_SECONDS:g} s: do it again "
                    "when that has ended"
                )
            time.sleep(random.uniform(0.1, 0.5))
            copied = self._copy_along(buckets, source, target)

    def _is_quiet(self, source: int) -> bool:
        """Return whether all have ended soon that may write by older maps."""
        try:
            self._outwait(source, _FENCE_SECONDS)
        except MigrationError:
            return False
        return True

    def _copy_along(self, buckets: Sequence[int], source: int, target: int) -> Any:
        with self._by_own_map(target):
            return self._along.copy(self._servers[source], self._servers[target], buckets)

    def _hand_over_along(self, buckets: Sequence[int], source: int, target: int, copied: Any) -> bool:
        with self._by_own_map(target):
            return self._along.hand_over(self._servers[source], self._servers[target], buckets, copied)

    def _forget_along(self, buckets: Sequence[int], number: int) -> None:
        with self._by_own_map(number):
            self._along.forget(self._servers[number], buckets)

    def _end(self, buckets: Sequence[int], source: int, target: int, step: str) -> int:
        """Do what is left once the target has all that the source has, and return how many rows have been moved."""
        if step == FENCED:
            self._publish(buckets, target, source, SWITCHED)
        if step in HELD:
            self._let_write(buckets, source, target)
        else:
            self._publish(buckets, target, source, EMPTYING)
            self._tell(source)
        rows = self._rows(buckets, source)
        self._end_noting(rows)
        with self._by_own_map(source):
            deleted = rows.delete(_ROWS_AT_ONCE)
        self._forget_along(buckets, source)
        self._publish(buckets, target, None, None)
        self._drop_triggers(rows)
        return deleted

    def _let_write(self, buckets: Sequence[int], source: int, target: int) -> None:
        self._tell(source)
        self._publish(buckets, target, source, EMPTYING)

    def _take_back(self, buckets: Sequence[int], source: int, target: int) -> None:
        """Leave all as it was before a move began."""
        self._publish(buckets, source, target, COPYING)
        self._tell(source, target)
        self._outwait(target, _PATIENCE_SECONDS)
        rows = self._rows(buckets, source)
        self._end_noting(rows)
        with self._by_own_map(target):
            self._rows(buckets, target).delete(_ROWS_AT_ONCE)
        self._forget_along(buckets, target)
        self._publish(buckets, source, None, None)
        self._drop_triggers(rows)

    def _make_up(self, rows: RowsOfBuckets, copies: RowsOfBuckets, target: int, few: int) -> None:
        """Make copies equal where rows have changed, until no more have than a few; all of them, of none.

        Raises:
            MigrationError: more is written than can be made up for.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            noted = rows.noted(_CHANGES_AT_ONCE)
            for table in self._tables:
                ids = list(dict.fromkeys(noted.get(table.name, ())))
                if ids:
                    now = rows.by_ids(table, ids)
                    with self._by_own_map(target):
                        copies.replace(table, ids, now)
            if sum(map(len, noted.values())) <= few:
                return
            if few and time.monotonic() >= deadline:
                raise MigrationError(
                    f"expected fewer changes of what is moved from {rows.server.url} than can be made up for within "
                    f"{_PATIENCE_SECONDS:g} s; got more all the time: do it again when less is written, or of fewer "
                    "buckets at a time"
                )

    def _end_noting(self, rows: RowsOfBuckets) -> None:
        with self._run_on(rows.server, _LOCK_TIMEOUT_SECONDS) as run:
            run.step(rows.end_noting)

    def _drop_triggers(self, rows: RowsOfBuckets) -> None:
        # Where somebody reads they stay, and are used the next time.
        with suppress(LockNotAvailableError):
            rows.drop_triggers()

    def _publish(self, buckets: Sequence[int], server: int, other: int | None, step: str | None) -> None:
        self._version = self._run.step(lambda: book.publish(self._main, self._version, buckets, server, other, step))

    def _tell(self, *numbers: int) -> None:
        for number in numbers:
            book.tell(self._servers[number], self._version)

    def _outwait(self, number: int, seconds: float) -> None:
        """Wait until all writing calls have ended that a server admitted before it was told of the map.

        Raises:
            MigrationError: one has not.
        """
        server, deadline = self._servers[number], time.monotonic() + seconds
        while book.has_older_writers(server, self._version):
            if time.monotonic() >= deadline:
                raise MigrationError(
                    f"expected all transactions that write to {server.url} to end within {seconds:g} s; got one that "
                    "has not: do it again when it has ended"
                )
            time.sleep(_PAUSE_SECONDS)

    @contextmanager
    def _by_own_map(self, number: int) -> Iterator[None]:
        with self._servers[number].engine.under_map(self._version):
            yield

    def _rows(self, buckets: Sequence[int], number: int) -> RowsOfBuckets:
        return RowsOfBuckets(self._servers[number], tuple(buckets), self._tables)

    @contextmanager
    def _run_on(self, database: Database, lock_timeout: float) -> Iterator[MigrationRun]:
        """Hold the lock of a migrator on a database, which is held on main already."""
        if database is self._main and self._version:
            yield self._run
            return
        engine = database.engine
        with MigrationRun(engine, AppliedMigrations(engine), lock_timeout) as run:
            yield run
