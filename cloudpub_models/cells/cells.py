"""``managers.cells``: which of the servers of ``history=`` has the rows of what, and what prepares them for that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

import peewee

from cloudpub_models.cells import book
from cloudpub_models.cells.book import DistributedTable
from cloudpub_models.cells.buckets import BUCKETS, bucket_of, spread
from cloudpub_models.connection import Database
from cloudpub_models.entity.distributed import distribution_key
from cloudpub_models.errors import ConfigurationError, InvalidQueryError
from cloudpub_models.manager.manager import Manager
from cloudpub_models.schema.migrations.applied import AppliedMigrations
from cloudpub_models.schema.migrations.run import MigrationRun

R = TypeVar("R")

_LOCK_TIMEOUT_SECONDS = 60.0
_DELETIONS_AT_ONCE = 1000


class CellServer(NamedTuple):
    """A server of ``history=``.

    Attributes:
        url: where it is, the password masked.
        number: what the main database calls it.
        buckets: how many of the 1,024 buckets it has.
    """

    url: str
    number: int
    buckets: int


class _Layout(NamedTuple):
    """Who has what.

    Attributes:
        servers: the servers by their numbers.
        of_bucket: the number of the server of each bucket.
    """

    servers: Mapping[int, Database]
    of_bucket: Sequence[int]


class Cells:
    """Which server has which rows; ``managers.cells`` is one.

    Args:
        database: the main database.
        manager_of: gives the manager of a model.
    """

    def __init__(self, database: Database, manager_of: Callable[[type[Any]], Manager[Any]]) -> None:
        self.database = database
        self._manager_of = manager_of
        self._known: tuple[object, _Layout] | None = None

    def __repr__(self) -> str:
        return f"Cells({self.database!r})"

    def initialize(self) -> bool:
        """Prepare the servers that are not yet, and give out the buckets where nobody has any.

        A server is migrated, its tables lose their references to others and get ids of their own. A call that was
        interrupted is made again.

        Returns:
            whether there was anything to do.

        Raises:
            ConfigurationError: no servers are named; one belongs to another platform, or is named twice; or a table
                that is to be distributed has rows.
            MigrationError: another migrator is at work, or this thread has a transaction open.
        """
        tables = [_distributed(model) for model in self._models]
        servers = self._named_servers()
        platform, is_new = self._as_a_step(self.database, lambda: self._begun(tables))
        done = [self._prepared(server, platform, tables) for server in servers]
        if not book.buckets_in(self.database):
            numbers = sorted(self._verified(platform, servers))
            self._as_a_step(self.database, lambda: book.give_buckets(self.database, spread(numbers)))
            is_new = True
        self._known = None
        return is_new or any(done)

    def servers(self) -> list[CellServer]:
        """Return the servers, with how many buckets each has.

        Raises:
            ConfigurationError: no servers are named, or they are not those that were prepared.
        """
        layout = self._layout
        return [
            CellServer(server.url, number, layout.of_bucket.count(number)) for number, server in layout.servers.items()
        ]

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
            book.forget_deletions(self.database, [entry.id for entry in deletions])

    def all_servers(self) -> list[Database]:
        """Return the servers that have rows."""
        layout = self._layout
        return [layout.servers[number] for number in sorted(set(layout.of_bucket))]

    def server_of(self, key: int) -> Database:
        """Return the server that has the rows which belong to a key."""
        layout = self._layout
        return layout.servers[layout.of_bucket[bucket_of(key)]]

    def servers_of(self, keys: Iterable[int]) -> list[Database]:
        """Return the servers that have rows which belong to some keys, each once."""
        return list(dict.fromkeys(map(self.server_of, keys)))

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
    def _layout(self) -> _Layout:
        engine = self.database.engine
        if self._known is None or self._known[0] is not engine:
            servers = self._named_servers()
            of_main = book.servers_in(self.database)
            of_bucket = book.buckets_in(self.database) if of_main else []
            if len(of_bucket) != BUCKETS:
                raise ConfigurationError(
                    f"expected {self.database.url} to say which server has what; it does not: call "
                    "managers.cells.initialize() once"
                )
            self._known = engine, _Layout(self._verified(of_main[book.MAIN], servers, set(of_bucket)), of_bucket)
        return self._known[1]

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
        self._refuse_rows(self.database, tables)
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

        def take_number() -> int:
            number = max(book.servers_in(self.database)) + 1
            book.name_server(self.database, platform, number)
            return number

        number = self._as_a_step(self.database, take_number)
        self._as_a_step(server, lambda: book.prepare_server(server, platform, number, tables))
        return True

    def _refuse_rows(self, database: Database, tables: Sequence[DistributedTable]) -> None:
        with database.engine.with_all_tables():
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
    referred = key.rel_model._meta.table_name
    return DistributedTable(meta.table_name, meta.primary_key.column_name, referred, key.rel_field.column_name)


def refused(what: str, instead: str) -> InvalidQueryError:
    """Return the error for a call that rows on several servers cannot answer.

    >>> refused("function_logs.claim()", "use a table of the main database")
    InvalidQueryError('expected a call that rows on several servers can answer; got function_logs.claim(): use a ...')
    """
    return InvalidQueryError(f"expected a call that rows on several servers can answer; got {what}: {instead}")
