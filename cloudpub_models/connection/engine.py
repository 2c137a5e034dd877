"""What both engines have in common: databases whose statements pass one boundary.

An engine runs the managers' statements straight on the driver. It keeps each thread's open scopes, refuses statements
in a scope that has failed, and turns each driver error into one of ours. Which driver, and how connections come and go,
is up to the two subclasses; what makes an engine a database that Peewee can use stands in ``peewee_calls``.
"""

from __future__ import annotations

import os
import threading
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, TypeVar

import peewee

from cloudpub_models.connection.options import Options
from cloudpub_models.connection.results import Row as Row
from cloudpub_models.connection.results import by_name, decoded
from cloudpub_models.connection.scopes import (
    Actor,
    Scope,
    ThreadState,
    ThreadStates,
    aborted,
    still_open,
    transactions_of_this_work,
)
from cloudpub_models.connection.sender import Sender, SentStatement
from cloudpub_models.errors import CloudpubError, ConnectionLostError, InvalidQueryError, InvalidValueError
from cloudpub_models.sql import Dialect, Statement
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.text.parameters import parse

if TYPE_CHECKING:
    from cloudpub_models.connection.cached_rows import CachedRows
    from cloudpub_models.connection.reading import ReplicaStatus

F = TypeVar("F", bound=Callable[[], object])

STREAM_CHUNK_SIZE = 2000
_WRITES = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE", "MERGE"})


class Location(NamedTuple):
    """Which database an engine talks to, as a log may tell.

    Attributes:
        name: of the database, or the path of its file.
        host: of the server.
        port: of the server, where it is not the usual one.
    """

    name: str | None
    host: str | None = None
    port: int | None = None


class Engine(peewee.Database, Sender):
    """A database that runs statements for the managers; see ``PostgresqlEngine`` and ``SqliteEngine``.

    Attributes:
        sql_dialect: how its SQL is written.
        driver_error: what its driver's errors have in common.
        copies_rows: whether it takes rows by ``copy_rows``.
        known_models: gives the models that are used with it.
        only_looks: set before the first connection by what leaves everything about a database as it is, so that not
            even its settings are improved.
        is_attended: whether what managers send goes through ``attend``: since it was said who makes a thread's changes,
            and where rows may be kept in memory.
        has_rollups: whether the database was found to have rollups of invocations; one that has them keeps them.
    """

    sql_dialect: ClassVar[Dialect]
    driver_error: ClassVar[type[Exception]]
    copies_rows: ClassVar[bool]
    only_looks = False
    has_rollups = False
    known_models: Callable[[], Sequence[type[peewee.Model]]] = tuple

    # Peewee's record of each thread's connection.
    _state: Any

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Peewee's pwiz and reflection write this name into the code that they make, where only Peewee's is known.
        for base in cls.__bases__:
            if base.__module__ == "peewee":
                cls.__name__ = base.__name__

    def __init__(self, target: str, masked_url: str, options: Options, **driver_options: Any) -> None:
        from cloudpub_models.connection.cursor_seal import seal_from_environment

        self.masked_url = masked_url
        self.options = options
        self.cursor_seal = options.cursor_key or seal_from_environment()
        self._threads = ThreadStates()
        self.cached_rows: CachedRows | None = None
        if options.cached_rows:
            from cloudpub_models.connection.cached_rows import CachedRows

            self.cached_rows = CachedRows(options.cached_rows)
        self.is_attended = self.cached_rows is not None
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._retired = False
        self.forget_transactions()
        super().__init__(target, **driver_options)
        with _fork_lock:
            _engines.add(self)

    def forget_transactions(self) -> None:
        """Forget the transactions of all threads, as a forked child does, and who takes a database from others."""
        # The state of a thread that ends inside a transaction goes with it.
        self._in_transaction: weakref.WeakSet[ThreadState] = weakref.WeakSet()
        self._transactions_lock = threading.RLock()

    def send_through(self, sender: Sender | None) -> None:
        """Have another sender asked whenever this engine is asked to send something; ``None`` ends that.

        The sender calls the methods of the engine's class. An attribute of the instance comes before those, so an
        engine that nothing stands before pays nothing, and whoever has got hold of it before is seen as well.
        """
        for name in Sender.__abstractmethods__:
            if sender is None:
                vars(self).pop(name, None)
            else:
                setattr(self, name, getattr(sender, name))

    # Statements

    def fetch_described(self, sql: str, parameters: Sequence[Any] | None) -> tuple[list[str], list[Row]]:
        """Run one statement and return its column names and its rows with values as raw SQL promises them."""
        columns, rows = self.fetch_undecoded(sql, parameters)
        return [name for name, _ in columns], decoded(columns, rows)

    def stream_dicts(self, sql: str, parameters: Mapping[str, Any] | None, chunk_size: int) -> Iterator[dict[str, Any]]:
        """Stream the rows of a statement with ``@name`` parameters as dicts; the parameters are checked at once."""
        text, values = self.bind_parameters(sql, parameters)
        command = parse(text, self.sql_dialect).command
        if command in _WRITES:
            raise InvalidQueryError(f"expected a query to stream; got {command}: send it with raw_query_all()")
        if self.is_attended:
            chunks = self.attend_raw(SentStatement(text, values, "stream_described", chunk_size, writes=True))
        else:
            chunks = self.stream_described(text, values, chunk_size)
        return (row for names, rows in chunks for row in by_name(names, rows))

    def bind_parameters(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> tuple[str, Sequence[Any] | None]:
        """Return the driver's own SQL and parameters for a statement with ``@name`` parameters."""
        if isinstance(sql, Statement):
            statement = sql.render(self.sql_dialect)
            sql, parameters = statement, statement.parameters if parameters is None else parameters
        parsed = parse(sql, self.sql_dialect)
        if parsed.fault is not None:
            raise InvalidQueryError(parsed.fault)
        if parameters.__class__ is dict:
            for value in parameters.values():
                kind = value.__class__
                # Few texts have the length of a moment or of a UUID, and a dash where those have one.
                if kind is tuple or (kind is str and 9 < len(value) < 46 and ("-" in value or len(value) == 32)):
                    from cloudpub_models.connection.text_values import as_columns_hold_it

                    parameters = as_columns_hold_it(sql, parameters, self.sql_dialect, self.known_models)
                    break
        text, values = parsed.bind(parameters or {})
        return text, values or None

    def can_copy(self) -> bool:
        """Return whether it takes rows by ``copy_rows`` as things stand."""
        return self.copies_rows

    def is_partitioned(self, table: str) -> bool:
        """Return whether a table has partitions, so that statements had better say where in time its rows are.

        It is asked for now and then, since a plain table may be given partitions while programs run.
        """
        return False

    def continue_ids(self, table: str, column: str) -> None:
        """Have the next row get an id behind those that rows brought along; SQLite sees to it by itself."""

    # Connections

    @property
    @abstractmethod
    def location(self) -> Location:
        """Which database this is, and where."""

    @abstractmethod
    def pin(self, *, check: bool = False) -> bool:
        """Give this thread a connection to keep; return whether it had none.

        Args:
            check: make sure that the connection is alive.
        """

    @abstractmethod
    def unpin(self) -> None:
        """Let go of this thread's connection."""

    def expect_changes(self) -> None:
        """Have this thread's connection end with its block where what comes changes settings for more than that."""

    def forget_partitions(self) -> None:
        """Ask the database again which tables have partitions."""

    def with_all_tables(self) -> AbstractContextManager[None]:
        """Return a block in which this thread may name tables whose rows another database has, to change the tables."""
        return nullcontext()

    def under_map(self, version: int) -> AbstractContextManager[None]:
        """Return a block in which this thread sends to a server of several by a map of who has which rows.

        Args:
            version: the map's, by which the server refuses what is sent by an older one than it was told of.
        """
        return nullcontext()

    def keeps_connection(self) -> bool:
        """Return whether this thread keeps a connection for a block."""
        return self._threads.current.connection is not None

    def this_thread(self) -> ThreadState:
        """Return what is kept for this thread."""
        return self._threads.current

    @abstractmethod
    def unpin_elsewhere(self, thread: ThreadState) -> None:
        """Let go of the connection of another thread, which nothing in that thread will."""

    def _keep_connection(self, connection: Any) -> None:
        """Have this thread keep a connection, in Peewee's record of it too."""
        # First what ``unpin`` goes by, which ends a half of this as well.
        self._threads.current.connection = connection
        self._state.set_connection(connection)

    def _forget_connection(self) -> Any:
        """Have this thread keep none any more, and return what it has kept."""
        self._state.reset()
        thread = self._threads.current
        connection, thread.connection, thread.cursor = thread.connection, None, None
        return connection

    def retire(self) -> None:
        """Let no transaction begin any more; ``dispose_all`` follows.

        Raises:
            InvalidQueryError: a thread has a transaction open, which would go on without its managers.
        """
        with self._transactions_lock:
            if self._in_transaction:
                thread = "this thread" if self.scopes() else "another thread"
                raise InvalidQueryError(
                    f"expected no open transaction; got one in {thread}: let it end before closing the database"
                )
            self._retired = True

    @abstractmethod
    def dispose_all(self) -> None:
        """Close the connections of all threads, each as soon as nothing uses it; the engine is not used again."""

    def _all_connections(self) -> list[Any]:
        while True:
            # Fails where another thread adds one meanwhile.
            with suppress(RuntimeError):
                return list(self._connections)

    @abstractmethod
    def interrupt(self) -> None:
        """Have the statements that run on any connection end with an error; callable from any thread."""

    @abstractmethod
    def interrupt_thread(self, thread: ThreadState) -> None:
        """Have the statement that a thread has under way on the connection that it keeps end with an error.

        Args:
            thread: what is kept for that thread, which must not let go of its connection meanwhile.
        """

    @abstractmethod
    def after_fork_in_child(self) -> None:
        """Forget the parent's connections without touching what is at their other end."""

    def before_fork(self) -> None:
        """Bring shared state to rest before the process forks."""

    def after_fork_in_parent(self) -> None:
        """Go on after the process has forked."""

    # Transactions

    @abstractmethod
    def begin_statement(self, isolation: str | None, read_only: bool) -> str:
        """Return the statement that begins a transaction."""

    @abstractmethod
    def has_transaction_to_end(self) -> bool:
        """Return whether this thread's connection is alive and inside a transaction."""

    def transaction_begins(self, scope: Scope) -> None:
        """Take note of a transaction of this thread.

        Raises:
            ConnectionLostError: the database has been closed.
        """
        with self._transactions_lock:
            if self._retired:
                raise closed_in_use()
            self._in_transaction.add(self._threads.current)
        scope.over = False
        transactions_of_this_work.set((*still_open(), scope))
        self.scopes().append(scope)

    def transaction_ends(self) -> None:
        """Forget this thread's transaction and its savepoints."""
        thread = self._threads.current
        with self._transactions_lock:
            self._in_transaction.discard(thread)
        for scope in thread.scopes:
            scope.over = True
        thread.scopes.clear()
        transactions_of_this_work.set(still_open())

    def act_as(self, actor: Actor | None) -> None:
        """Say who makes this thread's changes from here on."""
        self._threads.current.actor = actor
        self.is_attended = True
        self.tell_actor()

    def tell_actor(self) -> None:
        """Tell the transaction of this thread who makes its changes, if there is one that can make any."""
        thread = self._threads.current
        scopes = thread.scopes
        usable = bool(scopes) and scopes[-1].failure is None and not scopes[0].read_only
        if usable and self.has_transaction_to_end():
            self._tell_actor(thread.actor)

    @abstractmethod
    def _tell_actor(self, actor: Actor | None) -> None:
        """Tell the transaction that this thread's connection is in who makes its changes."""

    def acting(self) -> AbstractContextManager[object]:
        """Return a block for a write: a transaction of its own where a thread that acts as somebody has none.

        The database learns at its beginning who that is.
        """
        block: AbstractContextManager[object] = self.savepoint() if self.acts_alone() else nullcontext()
        return block

    def acting_raw(self) -> AbstractContextManager[object]:
        """Return a block for what a caller wrote, before which nothing else can be sent in one message."""
        return self.acting()

    def attend(self, sent: SentStatement) -> Any:
        """Send what a manager sends where more than sending is to be done."""
        cached = self._threads.current.cached
        if cached is not None:
            if sent.key_position is not None:
                return cached.look_up(sent)
            if not sent.writes and sent.chunk_size is None:
                return cached.read(sent.way, sent.sql, sent.values)
        if not sent.writes or sent.chunk_size is not None:
            return sent.through(self)
        with self.acting():
            return sent.through(self)

    def attend_raw(self, sent: SentStatement) -> Any:
        """Send what a caller wrote where more than sending is to be done; what it is, is not known."""
        return sent.through(self)

    @abstractmethod
    def mark_of_writes(self) -> object:
        """Return what is another once this thread may have written anything.

        It is ``None`` where what the thread reads may not be what others read: in a transaction, without a connection
        of its own, or when raw SQL has changed something about that.
        """

    def acts_alone(self) -> bool:
        """Return whether this thread acts as somebody and has no transaction that would know."""
        thread = self._threads.current
        return thread.actor is not None and not thread.scopes

    # Read replicas

    def token(self) -> str:
        """Return what names all that was committed so far, for who is to read no less; empty where one file has all."""
        return ""

    def read_token(self, token: Any) -> Any:
        """Return what a token of this database says; ``None`` where it asks for nothing.

        Raises:
            InvalidValueError: it is none, or one of another database.
        """
        if token is not None and token != "":
            raise InvalidValueError(f"expected a token of this database, which gives empty ones; got {shown(token)}")
        return None

    def replicas(self) -> list[ReplicaStatus]:
        """Return how the read replicas stand."""
        return []

    def replica_engines(self) -> list[Engine]:
        """Return what sends to each of the read replicas."""
        return []

    def replica_of_transaction(self) -> str | None:
        """Return the masked URL of the replica that this thread's transaction is on; ``None`` for the database."""
        return None

    def notice_history(self) -> None:
        """Find out anew whether the database records its changes, where transactions have to do something for that."""

    @abstractmethod
    def only_reading(self) -> AbstractContextManager[None]:
        """Have the database itself refuse, inside a block of a read-only transaction, all raw SQL but a single query.

        That is a second statement, and what such a transaction does not count as a write: on PostgreSQL what gives no
        rows, as LOCK or NOTIFY; on SQLite other files, and settings.
        """

    def after_transaction(self) -> None:
        """Leave this thread's connection, if it keeps one, in a state to go on with."""

    @abstractmethod
    def classify(self, error: Exception, sql: str = "", parameters: Sequence[Any] | None = None) -> CloudpubError:
        """Return our error for one of the driver's, without the secrets of the statement that failed."""

    def scopes(self) -> list[Scope]:
        """Return this thread's open scopes, outermost first."""
        return self._threads.current.scopes

    def levels(self) -> list[Any]:
        """Return what Peewee's own calls have begun or joined in this thread, outermost first."""
        return self._threads.current.levels

    def check_usable(self) -> None:
        """Refuse a statement in a scope in which one has already failed, or that is not this work's.

        A transaction of other work that has been left in another thread is ended here, where alone it can be.

        Raises:
            ConnectionLostError: the scope's connection is gone.
            InvalidQueryError: another task or request has a transaction open in this thread.
            TransactionAbortedError: a statement of the scope failed.
        """
        scopes = self._threads.current.scopes
        if not scopes:
            return
        outermost, innermost, failure = scopes[0], scopes[-1], scopes[-1].failure
        innermost.used = True
        own = outermost in transactions_of_this_work.get()
        if outermost.left:
            self.rollback_transaction()
            failure = outermost.failure
            self.transaction_ends()
            self.unpin()
            if not own:
                return
        elif not own:
            raise InvalidQueryError(
                "expected no transaction of other work in this thread; got one that another request or task has begun "
                "here and keeps open: keep a block in one function, and none open across a yield or an await"
            )
        if isinstance(failure, ConnectionLostError):
            raise ConnectionLostError(f"the connection of this transaction is gone: {failure}") from failure
        if failure is not None:
            # That something was refused is more to be told of than the failure, which was caught.
            innermost.failed_alone = False
            raise aborted(failure) from failure

    def fail(self, error: Exception, sql: str = "", parameters: Sequence[Any] | None = None) -> NoReturn:
        """Raise our error for one of the driver's, and remember it as the failure of the scope that it happened in."""
        typed = self.classify(error, sql, parameters)
        self._remember(typed)
        raise typed from error

    def _remember(self, typed: CloudpubError) -> None:
        scopes = self._threads.current.scopes
        lost = isinstance(typed, ConnectionLostError)
        for scope in scopes if lost else scopes[-1:]:
            scope.failure = scope.failure or typed

    def read_only_transaction(self) -> bool:
        """Return whether this thread is in a transaction that was declared read-only."""
        scopes = self._threads.current.scopes
        return bool(scopes) and scopes[0].read_only

    def count_rows(self, cursor: Any) -> int | None:
        """Return how many rows a driver's cursor has or has touched; ``None`` where it does not know yet."""
        count: int = cursor.rowcount
        return count if count >= 0 else None

    def after_commit(self, fn: F) -> F:
        """Run ``fn`` once the outermost transaction has committed; outside of one, at once."""
        if not callable(fn):
            raise InvalidQueryError(f"expected a function that takes no argument for on_commit; got {shown(fn)}")
        scopes = self._threads.current.scopes
        if scopes and scopes[0] not in transactions_of_this_work.get():
            self.check_usable()
        if scopes:
            scopes[-1].callbacks.append(fn)
        else:
            fn()
        return fn


def closed_in_use() -> ConnectionLostError:
    """Return the error for what goes on with a database after another thread has closed it."""
    return ConnectionLostError("expected an open database; got one that another thread has closed: run it again")


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def open_engine_of(masked_url: str) -> Engine | None:
    """Return an engine of this process for a database, or None where it has none that is open."""
    return next((one for one in list(_engines) if one.masked_url == masked_url and not one._retired), None)


_fork_lock = threading.Lock()


def _before_fork() -> None:
    _fork_lock.acquire()
    for engine in list(_engines):
        engine.before_fork()


def _after_fork_in_parent() -> None:
    for engine in list(_engines):
        engine.after_fork_in_parent()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    try:
        for engine in list(_engines):
            engine.forget_transactions()
            engine.scopes().clear()
            engine.levels().clear()
            if engine.cached_rows is not None:
                engine.cached_rows.after_fork_in_child()
            engine.after_fork_in_child()
    finally:
        _fork_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
