"""``Database``: the object through which a program opens a database, runs transactions and sends raw SQL.

It holds the URL and the options, and opens an engine on first use; what a statement or a transaction does is the
engine's business.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

import peewee

from cloudpub_models.component import PLATFORM, Component, in_order, load_component
from cloudpub_models.connection.engine import STREAM_CHUNK_SIZE, Engine
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.scopes import Actor
from cloudpub_models.connection.sessions import Session
from cloudpub_models.connection.transactions import (
    Connection,
    IsolationLevel,
    Transaction,
    check_takes_connection,
    fetch_whole,
)
from cloudpub_models.connection.url import DatabaseUrl, parse_url
from cloudpub_models.entity.binding import current_database, names_of_databases, unconnected
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, MigrationError
from cloudpub_models.sql.dialects import dialect_named
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.remembering import made_on_first_use
from cloudpub_models.sql.values import check_count, check_text, json_to_text

if TYPE_CHECKING:
    from cloudpub_models.connection.keywords import DatabaseOptions
    from cloudpub_models.connection.listeners import Callback, Listeners
    from cloudpub_models.connection.opening import Elsewhere
    from cloudpub_models.connection.reading import ReadSource, ReplicaStatus
    from cloudpub_models.history.changes import Change
    from cloudpub_models.history.feed.outbox import Message
    from cloudpub_models.history.feed.positions import Source, Start
    from cloudpub_models.history.history import History
    from cloudpub_models.history.taking_back import TakenBack
    from cloudpub_models.schema.catalogue.catalogue import Partition
    from cloudpub_models.schema.partitions.ranges import Way, Width

R = TypeVar("R")
F = TypeVar("F", bound=Callable[[], object])

_log = logging.getLogger("cloudpub_models.queries")


# It stands for a Peewee database, which is opened on first use; type checkers know it as one, by all its names.
if TYPE_CHECKING:
    _PeeweeDatabase = peewee.Database
else:
    _PeeweeDatabase = peewee.DatabaseProxy


class Database(_PeeweeDatabase):
    """One database, PostgreSQL or SQLite, shared by all threads of the process.

    For Peewee and its tools it is a database too: as a model's ``Meta.database``, for ``create_tables()``, a
    ``SchemaMigrator``, ``generate_models()``. What has one name in both, ``transaction()`` and ``close()``, is this
    library's; ``engine`` has Peewee's.

    Args:
        url: ``sqlite:///:memory:``, ``sqlite:///file.db`` or a libpq URI; ``None`` reads ``$CLOUDPUB_DATABASE_URL``
            when the database is first used, and beside it the options ``replicas`` and ``history``, where they are not
            given, from ``$CLOUDPUB_REPLICA_URLS`` and ``$CLOUDPUB_HISTORY_URLS``, with spaces between URLs.
        components: the sets of tables that are used with it, beside the platform's.
        platform: whether the platform's tables are there too.
        options: see ``DatabaseOptions``; all times are seconds.

    Raises:
        ConfigurationError: the URL, a component or an option is malformed.

    >>> shop = Database("sqlite:///:memory:")
    >>> shop.raw_query_single("SELECT 1 + @n AS sum", {"n": 2})
    {'sum': 3}
    >>> shop.close()
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        components: Iterable[Component] = (),
        platform: bool = True,
        **options: Unpack[DatabaseOptions],
    ) -> None:
        self._lock = threading.RLock()
        # Found out when they are first asked for: most programs import few of their models.
        self._components: tuple[Component, ...] | None = None
        self._models: tuple[type[peewee.Model], ...] | None = None
        self._name_components(components, platform)
        self._listeners: Listeners | None = None
        self._main: Database | None = None
        self._callbacks: list[Callable[[peewee.Database], object]] = []
        # Their forget() is called when this is pointed at another database.
        self._watchers: weakref.WeakSet[Any] = weakref.WeakSet()
        _databases.add(self)
        self._url = parse_url(url) if url is not None else None
        # No attribute has what was given, since a key may be among it, and attributes are shown.
        self._options_beside: Callable[[dict[str, Any]], Options] = lambda beside: Options.from_keywords(
            beside | options
        )
        self._options = self._options_beside({})
        self.requires_owner = self._options.require_owner
        self.has_row_security = self._options.row_security
        self._reads_rollups = self._options.rollups

    def __repr__(self) -> str:
        return f"Database({self._url.masked!r})" if self._url else "Database()"

    # For Peewee

    # Peewee's proxy would take its own attributes only.
    __setattr__ = object.__setattr__

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """As the engine's, for what every Peewee database has."""
            # Tools that look at every object (pytest, inspect) ask for other names; that opens no database.
            if name not in names_of_databases():
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return getattr(self.engine, name)

    @property
    def obj(self) -> Engine | None:
        """The engine, where Peewee wants the database itself; None while no URL is known."""
        return self.engine if self._url is not None or self.is_open else None

    def __enter__(self) -> Any:
        """As the engine's: a connection and a transaction for the block."""
        return self.engine.__enter__()

    def __exit__(self, *exc_info: Any) -> None:
        """As the engine's."""
        self.engine.__exit__(*exc_info)

    def connection_context(self) -> Any:
        """Return Peewee's context manager that keeps a connection for this thread.

        >>> with database.connection_context():
        ...     database.is_closed()
        False
        """
        return self.engine.connection_context()

    def atomic(self, *kind: Any, **named_kind: Any) -> Any:
        """Return Peewee's transaction: a savepoint inside another one.

        Args:
            *kind: as Peewee has it: on PostgreSQL an isolation level, on SQLite a lock.
            **named_kind: ``isolation_level`` or ``lock_type``.

        Raises:
            TransactionAbortedError: on leaving the block normally after a statement in it had failed.

        >>> with database.atomic() as transaction:
        ...     _ = Function.create(user=ada, name="crop")
        ...     transaction.rollback()
        >>> Function.get_or_none(name="crop")
        """
        return self.engine.atomic(*kind, **named_kind)

    def savepoint(self) -> Any:
        """Return Peewee's savepoint; a transaction where none is open.

        >>> with database.atomic(), database.savepoint() as savepoint:
        ...     _ = Function.create(user=ada, name="crop")
        ...     savepoint.rollback()
        >>> Function.get_or_none(name="crop")
        """
        return self.engine.savepoint()

    def manual_commit(self) -> Any:
        """Return Peewee's block in which ``begin()``, ``commit()`` and ``rollback()`` are called.

        >>> with database.manual_commit():
        ...     database.begin()
        ...     _ = Function.create(user=ada, name="crop")
        ...     database.rollback()
        >>> Function.get_or_none(name="crop")
        """
        return self.engine.manual_commit()

    # Opening and closing

    def initialize(
        self,
        url: str | None = None,
        *,
        components: Iterable[Component] = (),
        platform: bool = True,
        **options: Unpack[DatabaseOptions],
    ) -> Database:
        """Point this object at a database, closing the one that was open.

        Args:
            url: as for ``Database``; ``None`` reads the environment now.
            components: as for ``Database``.
            platform: as for ``Database``.
            options: as for ``Database``.

        Returns:
            this object.

        Raises:
            ConfigurationError: there is neither a URL nor the variable, or one is malformed.

        >>> Database().initialize("sqlite:///:memory:", busy_timeout=3)
        Database('sqlite:///:memory:')
        """
        if url is None:
            from cloudpub_models.connection.environment import servers_from_environment, url_from_environment

            parsed, checked = url_from_environment(), Options.from_keywords({**servers_from_environment(), **options})
        else:
            parsed, checked = parse_url(url), Options.from_keywords(dict(options))
        with self._lock:
            self.close()
            self._name_components(components, platform)
            self._url, self._options = parsed, checked
            self.requires_owner = checked.require_owner
            self.has_row_security = checked.row_security
            self._reads_rollups = checked.rollups
            for watcher in list(self._watchers):
                watcher.forget()
        for callback in self._callbacks:
            callback(unconnected(dialect_named(parsed.dialect)))
        return self

    def close(self) -> None:  # type: ignore[override]
        """Close every connection; the next use opens the database again.

        A statement that another thread is in the middle of goes on to its end on PostgreSQL; on SQLite it ends with
        ``ConnectionLostError``.

        Raises:
            InvalidQueryError: a thread has a transaction open.

        >>> shop = Database("sqlite:///:memory:")
        >>> shop.ping(), shop.close(), shop.is_open
        (True, None, False)
        """
        with self._lock:
            for server in self._opened_servers():
                server.close()
            vars(self).pop("history_servers", None)
            vars(self).pop("_as_server", None)
            engine = self._opened()
            if engine is None:
                return
            engine.retire()
            del vars(self)["engine"]
            engine.dispose_all()

    @property
    def is_open(self) -> bool:
        """Whether the database has been used since it was named or closed."""
        return self._opened() is not None

    @property
    def url(self) -> str:
        """The URL, with its password masked."""
        return self._known_url().masked

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which kind of database this is."""
        return self._known_url().dialect

    @property
    def reads_rollups(self) -> bool:
        """Whether statistics of invocations are read from rollups, where there are any; on a server as on main."""
        return self._reads_rollups if self._main is None else self._main.reads_rollups

    @reads_rollups.setter
    def reads_rollups(self, reads: bool) -> None:
        self._reads_rollups = reads

    @property
    def components(self) -> tuple[Component, ...]:
        """The sets of tables that are used with this database, each behind those to which its tables refer.

        >>> database.components
        (Component('cloudpub'),)
        """
        if self._components is None:
            own = (load_component(PLATFORM),) if self._platform else ()
            self._components = in_order((*own, *self._named_components))
        return self._components

    @property
    def models(self) -> tuple[type[peewee.Model], ...]:
        """The models of all components.

        >>> User in database.models
        True
        """
        if self._models is None:
            self._models = tuple(model for component in self.components for model in component.models)
        return self._models

    @made_on_first_use
    def engine(self) -> Engine:
        """The Peewee database underneath, for Peewee's own tools; opened on first use."""
        with self._lock:
            engine = self._opened()
            if engine is None:
                from cloudpub_models.connection.opening import open_engine

                engine = open_engine(self._known_url(), self._options, self._elsewhere())
                if self._options.row_security:
                    _require_held_role(engine)
                vars(self)["engine"] = engine
                engine.known_models = partial(_models_of, weakref.ref(self))
                self._tell_listeners()
            return engine

    @made_on_first_use
    def history_servers(self) -> tuple[Database, ...]:
        """The databases that have the rows of logs and invocations, one for each URL of ``history=``.

        Each is a database like any other, for raw SQL, partitions and migrations.

        >>> database.history_servers
        ()
        """
        with self._lock:
            found: tuple[Database, ...] | None = vars(self).get("history_servers")
            if found is None:
                if self._url is None:
                    from cloudpub_models.connection.environment import names_database

                    if not names_database():
                        return ()
                self._known_url()
                found = vars(self)["history_servers"] = tuple(map(self._server_at, self._options.history))
                self._tell_listeners()
            return found

    @made_on_first_use
    def _as_server(self) -> Database:
        """The same database as one of the servers that have the rows of logs and invocations, with a pool of its own.

        What is read there is outside of the transactions here.
        """
        with self._lock:
            found: Database | None = vars(self).get("_as_server")
            if found is None:
                found = vars(self)["_as_server"] = self._server_at(self._known_url())
                self._tell_listeners()
            return found

    def _opened_servers(self) -> tuple[Database, ...]:
        opened = vars(self)
        return (*opened.get("history_servers", ()), *((opened["_as_server"],) if "_as_server" in opened else ()))

    def _server_at(self, url: DatabaseUrl) -> Database:
        server = Database(components=self._named_components, platform=self._platform)
        server._url, server._main = url, self
        # What asks for admission first is several statements, which cannot be prepared as one.
        server._options = self._options.changed(
            history=(), replicas=(), cached_rows=0, require_owner=False, prepared=False
        )
        return server

    def _elsewhere(self) -> Elsewhere | None:
        """Return what other databases have of this one's tables."""
        if self._main is None and not self._options.history:
            return None
        from cloudpub_models.connection.opening import Elsewhere
        from cloudpub_models.entity.distributed import distribution_key

        names = {model._meta.table_name for model in self.models}
        distributed = {model._meta.table_name for model in self.models if distribution_key(model) is not None}
        if self._main is not None:
            hint = "this is a server of history=, and the main database has those rows: ask there first"
            return Elsewhere(frozenset(names - distributed), hint, is_server=True)
        known = " or ".join([f"managers.{name}" for name in sorted(distributed)])
        hint = f"the servers of history= have its rows: ask {known}, by columns of its own, or database.history_servers"
        return Elsewhere(frozenset(distributed), hint)

    def ping(self) -> bool:
        """Ask the database for a sign of life.

        Returns:
            ``True``.

        Raises:
            ConnectionFailedError: the database cannot be reached.
            ConnectionLostError: the connection broke.

        >>> database.ping()  # SELECT 1
        True
        """
        return self.engine.fetch("SELECT 1", None) == [(1,)]

    # Observing

    def on_query(self, callback: Callback) -> Callable[[], None]:
        """Call ``callback`` with a ``QueryEvent`` after each statement that is sent through this database.

        That is what managers, builders, raw SQL and Peewee send, COPY, streams (once, when they end) and what begins
        and ends transactions and savepoints; statements that failed as well. It runs in the thread that sent the
        statement. An error that it raises is logged and does not disturb the statement; what it sends itself is not
        told of. Values of secret columns come as ``"***"``.

        Args:
            callback: takes the event.

        Returns:
            a function that ends the calls.

        >>> shop = Database("sqlite:///:memory:")
        >>> stop = shop.on_query(lambda query: print(query.sql, query.parameters, query.rows))
        >>> shop.raw_query_all("SELECT @n AS n", {"n": 2})
        SELECT ? AS n (2,) 1
        [{'n': 2}]
        >>> stop()
        >>> shop.close()
        """
        from cloudpub_models.connection.listeners import Listeners

        with self._lock:
            if self._listeners is None:
                self._listeners = Listeners()
            remove = self._listeners.add(callback)
            self._tell_listeners()

        def stop() -> None:
            with self._lock:
                remove()
                self._tell_listeners()

        return stop

    def _tell_listeners(self) -> None:
        """Have the engine tell of its statements, if it is open and anybody wants to know; else have it not."""
        engine, slow_query = self._opened(), self._options.slow_query
        if engine is None:
            return
        if self._listeners is None:
            if slow_query is None and not _log.isEnabledFor(logging.DEBUG):
                return
            from cloudpub_models.connection.listeners import Listeners

            self._listeners = Listeners()
        from cloudpub_models.connection.observed import ObservedSender

        self._listeners.slow_query = slow_query
        for server in (engine, *engine.replica_engines()):
            replica = None if server is engine and self._main is None else server.masked_url
            wanted = self._listeners.wanted
            server.send_through(ObservedSender(server, self._listeners, replica) if wanted else None)
        for other in self._opened_servers():
            other._listeners = self._listeners
            other._tell_listeners()

    # Units of work

    @contextmanager
    def session(self, *, cached: bool = False) -> Iterator[Database]:
        """Keep one connection, alive when the block begins, for this thread until its end.

        Args:
            cached: whether a row that was looked up before, by its id or another unique column, may come from the
                process's memory. It is as it was at some moment since the block began, and what this thread has changed
                shows. The change log says what has changed: see ``history.enable``.

        Raises:
            InvalidQueryError: the block ends in another thread than it began in.
            ConfigurationError: ``cached``, and the database was opened without ``cached_rows``.
            HistoryError: ``cached``, and the database does not record its changes; a lookup raises it.

        >>> with database.session():
        ...     managers.functions.count({"status": "active"})
        1

        >>> shop = Database("sqlite:///:memory:", cached_rows=10_000)
        >>> _ = shop.migrate(), shop.history.enable()
        >>> ada = Managers(shop).users.insert({"email": "ada@example.com", "password_hash": "…"})
        >>> with shop.session(cached=True):
        ...     Managers(shop).users.find_by_id(ada.id) == Managers(shop).users.find_by_id(ada.id)
        True
        >>> shop.close()
        """
        if not isinstance(cached, bool):
            raise InvalidValueError(f"expected cached to be True or False; got {shown(cached)}")
        with Session(self.engine, check=True, cached=cached):
            yield self

    def transaction(  # type: ignore[override]
        self, *, isolation: IsolationLevel | None = None, read_only: bool = False
    ) -> Transaction:
        """Return a context manager and decorator that commits everything in its block, or nothing.

        Inside another transaction it is a savepoint. A statement that failed aborts its transaction on both databases:
        what may fail goes into a nested ``transaction()``.

        Args:
            isolation: ``"READ COMMITTED"``, ``"REPEATABLE READ"`` or ``"SERIALIZABLE"``; SQLite is always the last.
            read_only: refuse writes.

        Raises:
            TransactionAbortedError: on leaving the block normally after a statement in it had failed.
            ConnectionLostError: the connection broke; nothing of the transaction was kept.
            CommitUnknownError: the connection broke while COMMIT was under way.

        >>> shop = Database("sqlite:///:memory:")
        >>> with shop.transaction() as connection:  # BEGIN IMMEDIATE … COMMIT
        ...     connection.execute("SELECT @a AS a", {"a": 1})
        [{'a': 1}]
        >>> shop.close()
        """
        return Transaction(self.engine, isolation, read_only)

    def run_transaction(
        self, fn: Callable[[Connection], R], *, retries: int = 5, isolation: IsolationLevel | None = None
    ) -> R:
        """Call ``fn`` in a transaction, again from its start when it lost against another one.

        That is after a serialization failure, a deadlock, or a connection lost before COMMIT was sent, with a growing
        pause in between. A nested call runs once: only the outermost transaction can be repeated. Where the transaction
        cannot even begin, since the server restarts or has too many clients, it waits up to ``connect_timeout``; that
        costs no retry.

        Args:
            fn: the work; gets the transaction's connection.
            retries: how many times to run it again at most.
            isolation: as for ``transaction``.

        Returns:
            what ``fn`` returned.

        Raises:
            InvalidQueryError: ``fn`` is no function that takes one argument, or ``retries`` no number of times.
            RetryableError, ConnectionLostError: the transaction still lost after the last retry.
            ConnectionFailedError: the server could not be reached for ``connect_timeout``, or refused the user.
            CommitUnknownError: the connection broke while COMMIT was under way; this is never repeated.

        >>> database.run_transaction(lambda connection: connection.execute("SELECT name FROM functions"))
        [{'name': 'resize'}]
        """
        from cloudpub_models.connection.retrying import run_repeatedly

        check_count(retries, "retries")
        try:
            if self.engine.scopes():
                with self.transaction(isolation=isolation) as connection:
                    return fn(connection)
            return run_repeatedly(
                lambda: self.transaction(isolation=isolation),
                fn,
                retries=retries,
                patience=self._options.connect_timeout,
            )
        except TypeError:
            check_takes_connection(fn)
            raise

    def on_commit(self, fn: F) -> F:
        """Run ``fn`` once the outermost transaction has committed; outside of one, at once.

        It is dropped with a savepoint or transaction that is rolled back. An error that it raises after a commit is
        logged: the commit has happened, and the callbacks behind it still run.

        >>> with database.transaction():
        ...     _ = database.on_commit(lambda: print("committed"))
        ...     print("last line")
        last line
        committed
        """
        return self.engine.after_commit(fn)

    @overload
    def bind(self) -> AbstractContextManager[peewee.Database]: ...
    @overload
    def bind(
        self, models: Iterable[type[peewee.Model]], bind_refs: bool = True, bind_backrefs: bool = True
    ) -> None: ...
    def bind(
        self, models: Iterable[type[peewee.Model]] | None = None, bind_refs: bool = True, bind_backrefs: bool = True
    ) -> AbstractContextManager[peewee.Database] | None:
        """Return a context manager inside which Peewee's own calls on our models use this database.

        Args:
            models: where they are named, these use it from now on, for all threads, as Peewee's method of this name
                has it; nothing is returned then.
            bind_refs: with them those that they refer to.
            bind_backrefs: with them those that refer to them.

        Raises:
            InvalidQueryError: what is named are no models.

        >>> with Database("sqlite:///:memory:").bind() as other:
        ...     User.table_exists()
        False
        """
        if models is None:
            return current_database.bound_to(self.engine)
        if not isinstance(models, Iterable):
            raise InvalidQueryError(f"expected a list of models to bind; got {shown(models)}")
        models = list(models)
        for model in models:
            if not isinstance(model, type) or not issubclass(model, peewee.Model):
                raise InvalidQueryError(f"expected a list of models to bind; got {shown(model)} in it")
        for model in models:
            model.bind(self, bind_refs=bind_refs, bind_backrefs=bind_backrefs)
        return None

    @contextmanager
    def once(self, key: str) -> Iterator[bool]:
        """Have what is done in the block done once, however often and by however many programs it is tried.

        The block is a transaction, which writes the key down with what it does: where it is undone, the key is too.
        Whoever comes with the same key meanwhile waits for its end.

        Args:
            key: what is done, as ``"invoice:2026-11:6f1c"``; a text of at most 255 characters.

        Returns:
            a context manager that gives whether this is the first time: the block does nothing otherwise.

        Raises:
            InvalidValueError: the key is no text, empty, or too long.
            UnknownTableError: the database has no table of receipts.

        >>> for _ in range(2):
        ...     with database.once("invoice:2026-11:6f1c") as fresh:
        ...         print(fresh)
        True
        False

        ``INSERT INTO receipts (key) VALUES (…) ON CONFLICT (key) DO NOTHING``
        """
        from cloudpub_models.work.receipts import record

        with self.transaction():
            yield record(self.engine, key)

    # Read replicas

    def token(self) -> str:
        """Return what names all that was committed so far, for another program that is to read no less.

        It is a short text for a job's payload, a cookie or a header; an empty one on SQLite, where one file has all.

        Raises:
            ConnectionLostError: the primary cannot be asked.

        >>> database.token()
        ''

        ``SELECT system_identifier::text, …, pg_current_wal_insert_lsn()::text … FROM pg_control_system()``
        """
        return self.engine.token()

    @contextmanager
    def at_least(self, token: str | None) -> Iterator[None]:
        """Have the reads of a block see all that was committed when a token was given.

        Args:
            token: what ``token()`` has given; ``None`` and the empty one ask for nothing.

        Raises:
            InvalidValueError: it is no token, or one of another database.

        >>> with database.at_least(database.token()):
        ...     managers.functions.count()
        1
        """
        from cloudpub_models.connection.reading import asking

        engine = self.engine
        with asking(engine.masked_url, token=engine.read_token(token)):
            yield

    @contextmanager
    def reading_from(self, source: ReadSource) -> Iterator[None]:
        """Have the primary alone answer what a block reads, or a replica raw SELECTs and read-only transactions too.

        Args:
            source: ``"primary"`` or ``"replica"``. Whatever a replica cannot answer, the primary does.

        Raises:
            InvalidValueError: it is neither.

        >>> with database.reading_from("primary"):
        ...     managers.functions.count()
        1
        """
        from cloudpub_models.connection.reading import SOURCES, asking

        if not isinstance(source, str) or source not in SOURCES:
            raise InvalidValueError(f"expected 'primary' or 'replica' to read from; got {shown(source)}")
        with asking(self.engine.masked_url, source=source):
            yield

    def replicas(self) -> list[ReplicaStatus]:
        """Ask the read replicas how far they have come, and return how each one stands.

        Raises:
            ConfigurationError: one is no standby of this database.

        >>> database.replicas()
        []
        """
        return self.engine.replicas()

    # Partitions

    def partition(
        self,
        table: str,
        width: Width | None = None,
        *,
        ahead: timedelta = timedelta(days=14),
        way: Way | None = None,
    ) -> tuple[str, ...]:
        """Have a table consist of partitions by time, while others write; again: make those that are missing.

        Either the table becomes the first partition, so that the rows that are there, and those of the next day or
        two, stay together; or its rows are copied into partitions of their own time, which also widens ids. Behind that
        there is one partition for each day or month, and one for all that is later. Call it from time to time: it makes
        the partitions of the days to come. A call that was interrupted is made again.

        Args:
            table: the name of the table, whose model says ``partitioned_by`` in its ``Meta``.
            width: ``"day"`` or ``"month"``, in UTC; when left out, what the partitions have, and days at first.
            ahead: up to how long from now on there are to be partitions.
            way: ``"attach"`` or ``"move"``, for a table that has none yet; when left out, rows are copied only where
                the table has ids of 32 bits and its model those of 64.

        Returns:
            the names of the partitions of days or months that were made; empty when there was nothing to do.

        Raises:
            UnknownTableError: no component has the table.
            InvalidValueError: ``width``, ``ahead`` or ``way`` is none.
            ConfigurationError: the database is SQLite, where there is nothing to do; the model names no column; the
                table belongs to another role, is missing, has partitions of another width or kind, or something that a
                partitioned table cannot have.
            MigrationError: there are rows of later days, a transaction is open, another migrator is at work, or the
                table was altered while it was copied.
            LockNotAvailableError: somebody was always at work in the table.

        >>> database.partition("function_logs", "day")
        Traceback (most recent call last):
        ...
        cloudpub_models.errors.ConfigurationError: expected PostgreSQL, to give function_logs partitions; got ...
        """
        from cloudpub_models.schema.partitions.partitioning import model_of, partition

        model = model_of(self.models, table)
        with Session(self.engine):
            self.engine.expect_changes()
            made = partition(self.engine, model, width, ahead, way)
            self.engine.forget_partitions()
            return made

    def partitions(self, table: str) -> list[Partition]:
        """Return the partitions of a table, the earliest first; none where it does not consist of any.

        Args:
            table: the name of the table.

        Raises:
            UnknownTableError: no component has the table.

        >>> database.partitions("function_logs")
        []
        """
        from cloudpub_models.schema.catalogue.read import read_partitions
        from cloudpub_models.schema.partitions.partitioning import model_of

        return read_partitions(self.engine, model_of(self.models, table)._meta.table_name)

    # The change log

    @property
    def history(self) -> History:
        """The log of who changed which rows, once ``history.enable()`` has switched it on.

        >>> database.history.tables
        ()
        """
        from cloudpub_models.history.history import History

        return History(self.engine, self.models, self.engine.notice_history)

    @contextmanager
    def acting_as(self, actor: str, **details: Any) -> Iterator[None]:
        """Have the change log say, of all that this thread changes in the block, who has done it.

        Blocks may be nested; the inner one counts. The name is told and not proven: who may write may say any.

        Args:
            actor: who acts, as ``"user:6f1c…"``.
            details: what else is to be said, as JSON: ``reason="support ticket 41"``.

        Raises:
            InvalidValueError: the actor is no text, an empty one or one that no column holds, or the details are
                nothing that JSON can express.

        >>> with database.acting_as("user:ada", reason="a typing mistake"):
        ...     _ = managers.functions.update_by_id(resize.id, {"name": "resize-image"})

        Outside a transaction each write gets one, which knows who acts:
        ``SELECT set_config('cloudpub.actor', 'user:ada', true), …``
        """
        name = check_text(actor, "the name of who acts")
        engine = self.engine
        before = engine.this_thread().actor
        now = Actor(name, json_to_text(details) if details else None)
        try:
            engine.act_as(now)
            yield
        finally:
            engine.act_as(before)

    def undo(self, transaction_id: int, *, force: bool = False) -> TakenBack:
        """Take back all that a transaction has changed, in a transaction of its own, or nothing of it.

        Args:
            transaction_id: its number, as ``Change.transaction_id`` has it.
            force: take back also what was changed again since.

        Returns:
            how many rows of which tables were taken back, and what could not be put back.

        Raises:
            HistoryConflictError: rows were changed since; the message names them.
            HistoryError: the log does not know the transaction, or cannot take it back.
            InvalidCountError: that is no number of a transaction.

        >>> shop = Database("sqlite:///:memory:")
        >>> _ = shop.migrate(), shop.history.enable()
        >>> ada = Managers(shop).users.insert({"email": "ada@example.com", "password_hash": "…"})
        >>> shop.undo(Managers(shop).users.history(ada.id)[0].transaction_id).counts
        {'users': 1}
        >>> shop.close()
        """
        return self.history.undo(transaction_id, force=force)

    @overload
    def feed(
        self, name: str, *, source: Literal["changes"] = "changes", limit: int = 1000, start: Start = "oldest"
    ) -> AbstractContextManager[list[Change]]: ...
    @overload
    def feed(
        self, name: str, *, source: Literal["outbox"], limit: int = 1000, start: Start = "oldest"
    ) -> AbstractContextManager[list[Message]]: ...
    def feed(
        self, name: str, *, source: Source = "changes", limit: int = 1000, start: Start = "oldest"
    ) -> AbstractContextManager[list[Change]] | AbstractContextManager[list[Message]]:
        """Return a context manager that gives a consumer what has come since it was last given something.

        Nothing is left out and nothing comes twice, whoever writes meanwhile. The block is a transaction in which the
        consumer's position moves on: with what the block writes it is kept, or not at all. Meanwhile others wait that
        read under the same name.

        Changes of one row come in their order, and those of one transaction in one batch.

        Args:
            name: of the consumer. It is known from the first time on.
            source: ``"changes"`` is the change log, ``"outbox"`` what ``publish`` was given.
            limit: how many there are in a batch at most; a transaction that has made more changes comes in several.
            start: where a consumer begins when it is not known yet: at ``"oldest"`` of what is kept, or ``"now"``.

        Raises:
            FeedGapError: something has not been recorded, or the position was reached in another database; see
                ``history.move_consumer``.
            HistoryError: the database has no tables of feeds (see ``history.enable``), is a standby, or the consumer
                has another source.
            LockNotAvailableError: another thread or process went on reading under the name.
            InvalidQueryError: this thread has a transaction open.
            InvalidValueError: an argument is none of those.

        >>> _ = database.history.enable()
        >>> _ = managers.functions.update_by_id(resize.id, {"name": "crop"})
        >>> with database.feed("search index") as batch:
        ...     [(change.operation, change.table, change.after) for change in batch]
        [('update', 'functions', {'name': 'crop'})]
        >>> with database.feed("search index") as batch:
        ...     batch
        []
        """
        from cloudpub_models.history.feed.positions import SOURCES, STARTS
        from cloudpub_models.history.feed.reading import next_batch

        consumer = check_text(name, "the name of the consumer")
        for given, known in ((source, SOURCES), (start, STARTS)):
            if given not in known:
                raise InvalidValueError(f"expected {' or '.join(map(repr, known))}; got {shown(given)}")
        check_count(limit, "limit", smallest=1)

        @contextmanager
        def batch() -> Iterator[Any]:
            if self.engine.scopes():
                raise InvalidQueryError("expected no open transaction; got one: a feed has one of its own")
            with self.transaction(isolation="READ COMMITTED"):
                yield next_batch(self.engine, self.models, consumer, source, limit=limit, start=start)

        return batch()

    def publish(self, topic: str, payload: Any = None) -> None:
        """Put a message into the outbox, for those who read it by ``feed(name, source="outbox")``.

        It is kept with what the transaction around it writes, or not at all.

        Args:
            topic: what it is about, as ``"deployment.ready"``.
            payload: what it says, as JSON.

        Raises:
            HistoryError: the database has no outbox: see ``history.enable``.
            InvalidValueError: the topic is no text, or the payload nothing that JSON can express.

        >>> _ = database.history.enable()
        >>> with database.transaction():
        ...     _ = managers.functions.update_by_id(resize.id, {"status": "active"})
        ...     database.publish("function.active", {"uuid": str(resize.uuid)})
        >>> with database.feed("mailer", source="outbox") as batch:
        ...     [message.topic for message in batch]
        ['function.active']

        ``INSERT INTO outbox (topic, payload) VALUES ('function.active', '{…}')``
        """
        from cloudpub_models.history.feed.outbox import publish

        publish(self.engine, topic, payload)

    # Raw SQL

    def raw_query_all(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Send one statement with ``@name`` parameters and return its rows.

        Args:
            sql: the statement; strings, comments, casts and operators with an ``@`` in them stay as they are.
            parameters: a value for each name; a tuple is a list for ``IN``.

        Raises:
            ParameterError: a name has no value, or a value no name.
            InvalidQueryError: it is no single statement; or two columns of the result have one name, and then nothing
                that it has written is kept.

        >>> database.raw_query_all("SELECT name FROM functions WHERE id IN @ids", {"ids": (resize.id, 99)})
        [{'name': 'resize'}]
        """
        return fetch_whole(self.engine, sql, parameters)

    def raw_query_single(self, sql: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Like ``raw_query_all``, but return the first row, or ``None`` when there is none.

        >>> database.raw_query_single("SELECT email FROM users WHERE id = @id", {"id": ada.id})
        {'email': 'ada@example.com'}
        """
        rows = fetch_whole(self.engine, sql, parameters)
        return rows[0] if rows else None

    def raw_query_iter(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, chunk_size: int = STREAM_CHUNK_SIZE
    ) -> Iterator[dict[str, Any]]:
        """Like ``raw_query_all``, but stream the rows of a SELECT in constant memory.

        Args:
            sql: the SELECT.
            parameters: a value for each name.
            chunk_size: how many rows are fetched at a time.

        Raises:
            InvalidQueryError: ``chunk_size`` is no positive integer, or the statement writes.
            ParameterError: a name has no value, or a value no name.

        >>> [row["n"] for row in database.raw_query_iter("SELECT 1 AS n UNION ALL SELECT 2")]
        [1, 2]
        """
        return self.engine.stream_dicts(sql, parameters, check_count(chunk_size, "chunk_size", smallest=1))

    def raw_execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Send one statement with ``@name`` parameters and return how many rows it touched.

        >>> database.raw_execute("UPDATE functions SET status = @status", {"status": "inactive"})
        1
        """
        engine = self.engine
        if engine.is_attended:
            with engine.acting_raw():
                return engine.run(*engine.bind_parameters(sql, parameters))
        return engine.run(*engine.bind_parameters(sql, parameters))

    def batch_execute(self, statements: Iterable[str | tuple[str, Mapping[str, Any]]]) -> list[int]:
        """Send several statements, all or nothing.

        Args:
            statements: each a statement, or a pair of a statement and its parameters.

        Returns:
            how many rows each one touched.

        >>> by_id = "DELETE FROM functions WHERE id = @id"
        >>> database.batch_execute(["DELETE FROM function_logs", (by_id, {"id": resize.id})])
        [0, 1]
        """
        if isinstance(statements, str):
            raise InvalidQueryError("expected a list of statements; got one: send it with raw_execute()")
        if not isinstance(statements, Iterable):
            raise InvalidQueryError(f"expected a list of statements; got {shown(statements)}")
        touched: list[int] = []
        with self.transaction():
            for statement in statements:
                if isinstance(statement, str):
                    touched.append(self.raw_execute(statement))
                elif isinstance(statement, tuple) and len(statement) == 2:
                    touched.append(self.raw_execute(*statement))
                else:
                    raise InvalidQueryError(
                        "expected a statement, or a pair of a statement and its parameters; "
                        f"got a value of type {type(statement).__name__}"
                    )
        return touched

    # Migrations

    def migrate(self, target: str | None = None) -> list[str]:
        """Apply the migrations of all components that are pending, one process at a time.

        Those of a component come behind those of the components that it is ``after``. What is recorded for other
        components, of other programs on the same database, is left alone.

        Args:
            target: the last one to apply of its component, by name (``0001_initial``, ``billing.0001_keys``), with what
                that component is ``after``; ``None`` applies all.

        Returns:
            the names of those applied.

        Raises:
            MigrationError: a migration that was applied has been edited or is missing, the target is unknown, or the
                database is behind a transaction pooler.

        >>> Database("sqlite:///:memory:").migrate("0001_initial")
        ['0001_initial']
        """
        from cloudpub_models.schema.migrations.migrator import Migrator

        if self._options.transaction_pooler:
            raise MigrationError(
                "expected a direct connection for migrations, since their lock belongs to a session; this database has "
                "transaction_pooler=True: migrate through a URL that leads to PostgreSQL itself"
            )
        # A migrator that is interrupted keeps neither the connection nor what it has done to its session.
        with Session(self.engine):
            self.engine.expect_changes()
            with self.engine.with_all_tables():
                return Migrator(self.engine, self.components, afterwards=self.history.keep_current).up(target)

    def _name_components(self, components: Iterable[Component], platform: bool) -> None:
        self._named_components = tuple(components)
        self._platform = platform
        self._components = None
        self._models = None

    def _known_url(self) -> DatabaseUrl:
        if self._url is None:
            with self._lock:
                if self._url is None:
                    from cloudpub_models.connection.environment import servers_from_environment, url_from_environment

                    url = url_from_environment()
                    self._options = self._options_beside({**servers_from_environment()})
                    self._url = url
        return self._url

    def _opened(self) -> Engine | None:
        return vars(self).get("engine")


def _require_held_role(engine: Engine) -> None:
    from cloudpub_models.schema.row_security import require_held_role

    try:
        require_held_role(engine)
    except BaseException:
        engine.retire()
        engine.dispose_all()
        raise


def _models_of(database: weakref.ref[Database]) -> tuple[type[peewee.Model], ...]:
    found = database()
    return () if found is None else found.models


_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _free_locks_in_child() -> None:
    """Replace the locks that a thread of the parent may have held, and that nobody in a forked child gives back."""
    for database in list(_databases):
        database._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks_in_child)
