"""``managers.cells``: which of the servers of ``history=`` has the rows of what, and what prepares and moves them.

What is done by the map that a process knows is done again by another one where a server has refused it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

import peewee

from cloudpub_models.cells import book
from cloudpub_models.cells.along import Along
from cloudpub_models.cells.book import DistributedTable
from cloudpub_models.cells.buckets import BUCKETS, bucket_of, spread
from cloudpub_models.cells.layout import Layout, layout_of
from cloudpub_models.cells.moving import Mover
from cloudpub_models.cells.rows import RowsOfBuckets
from cloudpub_models.connection import Database
from cloudpub_models.entity.distributed import distribution_key
from cloudpub_models.errors import (
    CloudpubError,
    ConfigurationError,
    InvalidQueryError,
    InvalidValueError,
    OutdatedMapError,
)
from cloudpub_models.manager.manager import Manager
from cloudpub_models.schema.migrations.applied import AppliedMigrations
from cloudpub_models.schema.migrations.run import MigrationRun
from cloudpub_models.sql.identifiers import shown

R = TypeVar("R")

_LOCK_TIMEOUT_SECONDS = 60.0
_DELETIONS_AT_ONCE = 1000
# For so long a call waits for buckets that are moved, and then looks whether somebody is moving them still.
_PATIENCE_SECONDS = 60.0
_SUSPICIOUS_SECONDS = 3.0
_PAUSE_SECONDS = 0.01


class CellServer(NamedTuple):
    """A server of ``history=``.

    Attributes:
        url: where it is, the password masked.
        number: what the main database calls it.
        buckets: how many of the 1,024 buckets it has.
        rows: how many rows it thought it had when it last counted.
        bytes: how much room their tables take.
    """

    url: str
    number: int
    buckets: int
    rows: int
    bytes: int


class Cells:
    """Which server has which rows; ``managers.cells`` is one.

    Args:
        database: the main database.
        manager_of: gives the manager of a model.
        along: takes along what goes with rows that are moved.
    """

    def __init__(self, database: Database, manager_of: Callable[[type[Any]], Manager[Any]], along: Along) -> None:
        self.database = database
        self._along = along
        self._manager_of = manager_of
        self._known: tuple[object, Layout] | None = None

    def __repr__(self) -> str:
        return f"Cells({self.database!r})"

    def initialize(self) -> bool:
        """Prepare the servers that are not yet, and give out the buckets where nobody has any.

        A server is migrated, its tables lose their references to others and get ids of their own. Where the main
        database has rows, it keeps all buckets until they are moved. A call that was interrupted is made again.

        Returns:
            whether there was anything to do.

        Raises:
            ConfigurationError: no servers are named; one belongs to another platform, is named twice, or has rows; or
                the rows of the main database are recorded there.
            MigrationError: another migrator is at work, or this thread has a transaction open.
        """
        tables = [_distributed(model) for model in self._models]
        servers = self._named_servers()
        platform, is_new = self._as_a_step(self.database, lambda: self._begun(tables))
        done = [self._prepared(server, platform, tables) for server in servers]
        if not book.map_in(self.database):
            numbers = sorted(self._verified(platform, servers))
            self._as_a_step(self.database, lambda: self._give_buckets(numbers, tables))
            is_new = True
        self._known = None
        return is_new or any(done)

    def servers(self) -> list[CellServer]:
        """Return the servers, with what each has.

        Raises:
            ConfigurationError: no servers are named, or they are not those that were prepared.
        """
        layout = self._layout
        tables = [_distributed(model) for model in self._models]
        found = []
        for number, server in sorted(layout.servers.items()):
            sizes = [book.size_of(server, table) for table in tables]
            rows, size = sum(rows for rows, _ in sizes), sum(size for _, size in sizes)
            found.append(CellServer(server.url, number, layout.of_bucket.count(number), rows, size))
        return found

    def faults(self) -> list[str]:
        """Return what is not as it should be, as ``cloudpub doctor`` tells it.

        Raises:
            ConfigurationError: no servers are named, or they are not those that were prepared.
        """
        layout = self._layout_of_now(self._named_servers())
        cells, tables = book.map_in(self.database._as_server), [_distributed(model) for model in self._models]
        moved = sum(cell.step is not None for cell in cells)
        told = [f"{moved} buckets are being moved, or were when a move was ended"] if moved else []
        for number, server in sorted(layout.servers.items()):
            if book.told_version(server) > layout.version:
                told.append(f"{server.url} was told of a later map than {self.database.url} has, as from a backup")
            others = [bucket for bucket, cell in enumerate(cells) if number not in (cell.server, cell.other)]
            rows = RowsOfBuckets(server, tuple(others), tables)
            told += [
                f"{server.url} has rows of {table.name} with {table.key} {', '.join(map(str, keys[:3]))} …, which are "
                "another server's"
                for table in tables
                if others and (keys := rows.keys_in(table))
            ]
        return told

    def buckets_of(self, server: int) -> list[int]:
        """Return the buckets that a server has.

        Args:
            server: its number.

        Raises:
            ConfigurationError: no servers are named, or they are not those that were prepared.
        """
        return [bucket for bucket, number in enumerate(self._layout.of_bucket) if number == server]

    def move(self, buckets: Iterable[int], server: int, *, progress: Callable[[int], object] | None = None) -> int:
        """Move buckets to a server, with their rows, while programs read and write; return how many rows that were.

        Who writes to one of them waits for a moment. What a call that has ended left half-done is undone or done
        first, whichever buckets are named; of none it is that alone.

        Args:
            buckets: their numbers, from 0 to 1,023. Those that the server has already stay.
            server: its number, as ``servers()`` tells.
            progress: called with the number of rows that have been copied so far.

        Raises:
            ConfigurationError: no servers are named, or they are not those that were prepared; or rollups are on where
                buckets come from or where they go to, and not on both.
            InvalidValueError: there is no such bucket, or no such server; or it is the main database.
            MigrationError: somebody else moves buckets, or a transaction writes for too long; nothing is half-moved.
            LockNotAvailableError: rollups are being counted for too long; nothing is half-moved.
        """
        wanted = sorted({self._bucket(bucket) for bucket in buckets})
        layout = self._layout_of_now(self._named_servers())
        if server == book.MAIN or server not in layout.servers:
            raise InvalidValueError(
                f"expected the number of a server of history=; got {shown(server)}: managers.cells.servers() tells them"
            )
        tables = [_distributed(model) for model in self._models]
        mover = Mover(self.database._as_server, layout.servers, tables, self._along, _LOCK_TIMEOUT_SECONDS, progress)
        moved = 0
        with mover.at_work():
            mover.settle()
            of_source: dict[int, list[int]] = defaultdict(list)
            cells = book.map_in(self.database._as_server)
            for bucket in wanted:
                if cells[bucket].server != server:
                    of_source[cells[bucket].server].append(bucket)
            for source, some in sorted(of_source.items()):
                moved += mover.move(some, source, server)
        return moved

    def sweep(self) -> int:
        """Delete the rows that belonged to what has been deleted on the main database, and return how many there were.

        What was deleted within the last hour is swept again next time, since a process may have added rows meanwhile.

        Raises:
            ConfigurationError: no servers are named, or they are not those that were prepared.
            InvalidQueryError: this thread has a transaction open.
        """
        _ = self._layout
        swept, done = 0, 0
        while True:
            deletions = book.deletions_in(self.database, done, _DELETIONS_AT_ONCE)
            if not deletions:
                return swept
            done = deletions[-1].id
            for model in self._models:
                key = distribution_key(model)
                assert key is not None
                gone = [entry.key for entry in deletions if entry.table == key.rel_model._meta.table_name]
                if gone:
                    swept += self._manager_of(model).delete({key.column_name: gone})
            self._forget_along([entry.key for entry in deletions])
            book.forget_deletions(self.database, [entry.id for entry in deletions])

    def _forget_along(self, keys: Sequence[int]) -> None:
        for server in self.every_server():
            self._along.forget_keys(server, keys)

    def all_servers(self) -> list[Database]:
        """Return the servers that have rows."""
        layout = self._layout
        return [layout.servers[number] for number in layout.all_numbers()]

    def every_server(self) -> list[Database]:
        """Return the servers that have rows, or may be given some."""
        servers = self._layout.servers
        return [servers[number] for number in sorted(servers)]

    def server_of(self, key: int) -> Database:
        """Return the server that has the rows which belong to a key."""
        layout = self._layout
        return layout.servers[layout.of_bucket[bucket_of(key)]]

    def on_server_of(self, key: int, work: Callable[[Database], R]) -> R:
        """Have something done on the server that has the rows which belong to a key, as SQL of one's own.

        It is done again where the server refuses it, since the rows have been moved.

        Args:
            key: the id of a function.
            work: is given the server; it sends one statement there, or opens one transaction.

        Raises:
            ConfigurationError: no servers are named, or they are not those that were prepared.
            OutdatedMapError: the rows are on their way for longer than one waits.
        """

        def ask(layout: Layout) -> R:
            server = layout.servers[layout.of_bucket[bucket_of(key)]]
            with server.engine.under_map(layout.version):
                return work(server)

        return self.by_map(ask, writes_to=(key,))

    def by_map(self, work: Callable[[Layout], R], *, writes_to: Iterable[int] | None = ()) -> R:
        """Do something by the map that this process knows; again by another one, where a server refuses it.

        Args:
            work: what to do.
            writes_to: the keys to whose rows it writes, which waits while these are held; ``None`` for any.

        Raises:
            OutdatedMapError: the rows are on their way for longer than one waits.
        """
        began = looked = time.monotonic()
        was_refused = False
        while True:
            layout = self._layout
            if not layout.holds(writes_to):
                try:
                    return work(layout)
                except OutdatedMapError:
                    # The map that it was made by may have been old for as long as nobody asked.
                    if was_refused and time.monotonic() - began > _PATIENCE_SECONDS:
                        raise
                    was_refused = True
            elif time.monotonic() - began > _PATIENCE_SECONDS:
                raise OutdatedMapError(
                    f"expected rows to be moved within {_PATIENCE_SECONDS:g} s; got none that may be written: do it "
                    "again, or end the move by managers.cells.move()"
                )
            else:
                time.sleep(_PAUSE_SECONDS)
            if self._known is not None and self._known[1] is layout:
                self._known = None
            if time.monotonic() - looked > _SUSPICIOUS_SECONDS:
                looked = time.monotonic()
                self._lift_fence(layout)

    def _lift_fence(self, layout: Layout) -> None:
        """Have rows written again that somebody held who has ended meanwhile."""
        tables = [_distributed(model) for model in self._models]
        mover = Mover(self.database._as_server, layout.servers, tables, self._along, 0)
        # Where somebody is at work there is nothing to do.
        with suppress(CloudpubError), mover.at_work():
            mover.lift_fence()

    @property
    def _models(self) -> list[type[peewee.Model]]:
        return [model for model in self.database.models if distribution_key(model) is not None]

    def _named_servers(self) -> tuple[Database, ...]:
        servers = self.database.history_servers
        if not servers:
            raise ConfigurationError(
                "expected the servers of history; got none: name them where the database is opened, history=[…]"
            )
        return servers

    @property
    def _layout(self) -> Layout:
        engine, known = self.database.engine, self._known
        if known is None or known[0] is not engine:
            # It is read outside of this thread's transaction, which may not see what others have changed.
            known = self._known = engine, self._layout_of_now(self._named_servers())
        return known[1]

    def _layout_of_now(self, servers: Sequence[Database]) -> Layout:
        main = self.database._as_server
        of_main = book.servers_in(main)
        cells = book.map_in(main) if of_main else []
        if len(cells) != BUCKETS:
            raise ConfigurationError(
                f"expected {self.database.url} to say which server has what; it does not: call "
                "managers.cells.initialize() once"
            )
        needed = {cell.server for cell in cells} | {cell.other for cell in cells if cell.other is not None}
        found = dict(self._verified(of_main[book.MAIN], servers, needed - {book.MAIN}))
        if book.MAIN in needed:
            found[book.MAIN] = main
        return layout_of(cells, found)

    def _verified(
        self, platform: UUID, servers: Sequence[Database], needed: Collection[int] = ()
    ) -> Mapping[int, Database]:
        """Return servers by their numbers, after each has said that it is one of this platform's."""
        found: dict[int, Database] = {}
        for server in servers:
            own = book.servers_in(server)
            if set(own.values()) != {platform}:
                what = (
                    "one of another platform: name another" if own else "not prepared: call managers.cells.initialize()"
                )
                raise ConfigurationError(
                    f"expected a server of the history of {self.database.url}; got {server.url}, which is {what}"
                )
            number = min(own)  # of all that it knows, itself
            if number in found or number == book.MAIN:
                again = "which is the main database" if number == book.MAIN else "again"
                raise ConfigurationError(
                    f"expected each server of history= once; got {server.url}, {again}: leave it out"
                )
            found[number] = server
        missing = set(needed) - found.keys()
        if missing:
            raise ConfigurationError(
                f"expected all servers in history= that have rows; number {', '.join(map(str, sorted(missing)))} is "
                "missing: name it as well"
            )
        return found

    def _begun(self, tables: Sequence[DistributedTable]) -> tuple[UUID, bool]:
        known = book.servers_in(self.database)
        if known:
            return known[book.MAIN], False
        self._refuse_triggers(self.database, tables, self._along.triggers)
        platform = uuid4()
        book.begin_book(self.database, platform, tables)
        return platform, True

    def _prepared(self, server: Database, platform: UUID, tables: Sequence[DistributedTable]) -> bool:
        """Prepare a server, and return whether it was not yet."""
        known = book.servers_in(server)
        if known:
            self._verified(platform, [server])
            return False
        server.migrate()
        self._refuse_rows(server, tables)
        self._refuse_triggers(server, tables)

        def take_number() -> int:
            number = max(book.servers_in(self.database)) + 1
            book.name_server(self.database, platform, number)
            return number

        number = self._as_a_step(self.database, take_number)
        self._as_a_step(server, lambda: book.prepare_server(server, platform, number, tables))
        return True

    def _give_buckets(self, numbers: Sequence[int], tables: Sequence[DistributedTable]) -> None:
        """Give all buckets to the main database where that has rows, else to each server as many."""
        if any(book.has_rows(self.database, table) for table in tables):
            numbers = [book.MAIN]
        else:
            book.refuse_rows(self.database, tables)
        book.give_buckets(self.database, spread(numbers))

    def _refuse_triggers(
        self, database: Database, tables: Sequence[DistributedTable], known: Collection[str] = ()
    ) -> None:
        told = [
            f"{name} of {table.name}"
            for table in tables
            for name in book.triggers_of(database, table)
            if name not in known
        ]
        if told:
            raise ConfigurationError(
                "expected tables whose rows nobody records, to have them on several servers; got the trigger "
                f"{told[0]} of {database.url}: switch off what made it (history.disable(), or disable_rollups() of a "
                "server)"
            )

    def _bucket(self, bucket: Any) -> int:
        if type(bucket) is not int or not 0 <= bucket < BUCKETS:
            raise InvalidValueError(f"expected the number of a bucket, from 0 to {BUCKETS - 1}; got {shown(bucket)}")
        return bucket

    def _refuse_rows(self, database: Database, tables: Sequence[DistributedTable]) -> None:
        full = [table.name for table in tables if book.has_rows(database, table)]
        if full:
            raise ConfigurationError(
                f"expected empty tables, to have their rows on several servers; got rows in {' and '.join(full)} of "
                f"{database.url}: move them to an archive, or begin with other databases"
            )

    def _as_a_step(self, database: Database, step: Callable[[], R]) -> R:
        engine = database.engine
        with (
            engine.with_all_tables(),
            MigrationRun(engine, AppliedMigrations(engine), _LOCK_TIMEOUT_SECONDS) as run,
        ):
            return run.step(step)


def _distributed(model: type[peewee.Model]) -> DistributedTable:
    key: Any = distribution_key(model)
    meta: Any = model._meta
    return DistributedTable(
        meta.table_name,
        meta.primary_key.column_name,
        key.column_name,
        key.rel_model._meta.table_name,
        key.rel_field.column_name,
    )


def refused(what: str, instead: str) -> InvalidQueryError:
    """Return the error for a call that rows on several servers cannot answer.

    >>> refused("function_logs.claim()", "use a table of the main database")
    InvalidQueryError('expected a call that rows on several servers can answer; got function_logs.claim(): use a ...')
    """
    return InvalidQueryError(f"expected a call that rows on several servers can answer; got {what}: {instead}")
