"""What both engines have in common: Peewee databases whose statements pass one boundary.

An engine is a Peewee ``Database``, so that schema tools and everything written in Peewee work on it, and it runs the
managers' statements straight on the driver. It keeps each thread's open scopes, refuses statements in a scope that has
failed, and turns each driver error into one of ours. Which driver, and how connections come and go, is up to the two
subclasses.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, TypeVar

import peewee

from cloudpub_models.connection.options import Options
from cloudpub_models.connection.results import ResultColumns, StatementResult, decoded
from cloudpub_models.connection.results import Row as Row
from cloudpub_models.connection.transactions import Scope, ThreadStates, Transaction, aborted
from cloudpub_models.errors import CloudpubError, ConnectionLostError, InvalidQueryError, InvalidValueError
from cloudpub_models.sql import Dialect, Statement
from cloudpub_models.sql.identifiers import shown, surrogate_in
from cloudpub_models.sql.text.parameters import bind, changes_session, check_single_statement

if TYPE_CHECKING:
    from cloudpub_models.connection.observer import Observer

F = TypeVar("F", bound=Callable[[], object])

STREAM_CHUNK_SIZE = 2000

_peewee_log = logging.getLogger("peewee")


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


class Engine(peewee.Database):
    """A Peewee database that runs statements for the managers; see ``PostgresqlEngine`` and ``SqliteEngine``."""

    sql_dialect: ClassVar[Dialect]
    driver_error: ClassVar[type[Exception]]

    # Peewee's record of each thread's connection.
    _state: Any
    # Whom `observation` tells of the statements; this class itself tells nobody.
    observer: Observer | None = None
    # Set by what only looks at a database, before the first connection: a SQLite file stays in its journal mode.
    keeps_journal_mode = False

    def __init__(self, target: str, masked_url: str, options: Options, **driver_options: Any) -> None:
        self.masked_url = masked_url
        self.options = options
        self._threads = ThreadStates()
        super().__init__(target, **driver_options)
        with _fork_lock:
            _engines.add(self)

    # Statements

    @abstractmethod
    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        """Run one statement in the driver's own notation and return all its rows, as the driver gives them."""

    @abstractmethod
    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        """Run one statement in the driver's own notation and return how many rows it touched."""

    @abstractmethod
    def stream(self, sql: str, parameters: Sequence[Any] | None, chunk_size: int) -> Iterator[list[Row]]:
        """Run one query and yield its rows in lists of up to ``chunk_size``, never holding more than one list."""

    @abstractmethod
    def fetch_undecoded(self, sql: str, parameters: Sequence[Any] | None) -> tuple[ResultColumns, list[Row]]:
        """Run one statement and return its columns, and its rows as the driver gives them."""

    def fetch_described(self, sql: str, parameters: Sequence[Any] | None) -> tuple[list[str], list[Row]]:
        """Run one statement and return its column names and its rows with values as raw SQL promises them."""
        columns, rows = self.fetch_undecoded(sql, parameters)
        return [name for name, _ in columns], decoded(columns, rows)

    @abstractmethod
    def stream_described(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        """Like ``stream``, with column names and with values as raw SQL promises them."""

    @abstractmethod
    def perform(self, sql: str, parameters: Sequence[Any] | None) -> StatementResult:
        """Run one statement of any kind and return its columns and rows, and how many rows it has changed.

        What it is shows in what it gives back: a WITH may read or write, and RETURNING may stand in a text.
        """

    def fetch_dicts(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement with ``@name`` parameters and return its rows as dicts."""
        names, rows = self.fetch_described(*self.bind_parameters(sql, parameters))
        return [dict(zip(names, row, strict=True)) for row in rows]

    def stream_dicts(self, sql: str, parameters: Mapping[str, Any] | None, chunk_size: int) -> Iterator[dict[str, Any]]:
        """Like ``fetch_dicts``, but stream the rows; the parameters are checked at once."""
        chunks = self.stream_described(*self.bind_parameters(sql, parameters), chunk_size)
        return (dict(zip(names, row, strict=True)) for names, rows in chunks for row in rows)

    def bind_parameters(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> tuple[str, Sequence[Any] | None]:
        """Return the driver's own SQL and parameters for a statement with ``@name`` parameters."""
        if isinstance(sql, Statement):
            statement = sql.render(self.sql_dialect)
            sql, parameters = statement, statement.parameters if parameters is None else parameters
        check_single_statement(sql, self.sql_dialect)
        if changes_session(sql, self.sql_dialect):
            self._threads.current.session_changed = True
        text, values = bind(sql, parameters or {}, self.sql_dialect)
        return text, values or None

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

    @abstractmethod
    def dispose_all(self) -> None:
        """Close every connection of every thread; the engine is not used again."""

    @abstractmethod
    def interrupt(self) -> None:
        """Have the statements that run on any connection end with an error; callable from any thread."""

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
    def begin_transaction(self, isolation: str | None, read_only: bool) -> None:
        """Begin a transaction on this thread's pinned connection."""

    @abstractmethod
    def commit_transaction(self, scope: Scope) -> None:
        """Commit, or raise an error that says what became of the transaction."""

    @abstractmethod
    def has_transaction_to_end(self) -> bool:
        """Return whether this thread's connection is alive and inside a transaction."""

    @abstractmethod
    def rollback_transaction(self) -> None:
        """Roll back as far as that is still necessary; never raises for a connection that is gone."""

    def only_reading(self) -> AbstractContextManager[None]:
        """Refuse, inside a block of a read-only transaction, what such a transaction does not count as a write.

        Nothing on PostgreSQL; on SQLite other files, and settings.
        """
        return nullcontext()

    def after_transaction(self) -> None:
        """Leave this thread's connection, if it keeps one, in a state to go on with."""

    @abstractmethod
    def run_control(self, sql: str) -> None:
        """Run a SAVEPOINT command on this thread's pinned connection."""

    @abstractmethod
    def classify(self, error: Exception) -> CloudpubError:
        """Return our error for one of the driver's."""

    def scopes(self) -> list[Scope]:
        """Return this thread's open scopes, outermost first."""
        return self._threads.current.scopes

    def check_usable(self) -> None:
        """Refuse a statement in a scope in which one has already failed.

        Raises:
            ConnectionLostError: the scope's connection is gone.
            TransactionAbortedError: a statement of the scope failed.
        """
        scopes = self._threads.current.scopes
        if scopes and (failure := scopes[-1].failure) is not None:
            if isinstance(failure, ConnectionLostError):
                raise ConnectionLostError(f"the connection of this transaction is gone: {failure}") from failure
            raise aborted(failure) from failure

    def fail(self, error: Exception) -> NoReturn:
        """Raise our error for one of the driver's, and remember it as the failure of the scope that it happened in."""
        typed = self.classify(error)
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

    # What Peewee calls

    def _execute_cursor(self, sql: str, params: Any, **cursor_options: Any) -> Any:
        self.check_usable()
        for text in [sql, *[value for value in params or () if isinstance(value, str)]]:
            if "\0" in text:
                raise InvalidValueError("expected text without NUL characters, which PostgreSQL cannot store; got one")
            if not text.isascii() and surrogate_in(text) is not None:
                raise InvalidValueError("expected valid Unicode; got a lone surrogate in a statement or a value")
        try:
            return super()._execute_cursor(sql, params, **cursor_options)  # type: ignore[misc]
        except peewee.PeeweeException as error:
            driver_error: Any = getattr(error, "orig", None)
            if isinstance(error, CloudpubError) or not isinstance(driver_error, self.driver_error):
                raise
        except OverflowError as error:
            raise InvalidValueError(f"expected an integer of at most 64 bits: {error}") from error
        except (IndexError, TypeError) as error:
            if self.sql_dialect.doubles_percent and "%" in sql:
                raise InvalidQueryError(
                    "expected no single % in an alias or a JSON key, which the driver takes for a parameter: write %%, "
                    "or ask a manager, which takes any key"
                ) from error
            raise
        # Not in the handler, which would keep Peewee's error as context: its text repeats the statement and its values.
        return self.fail(driver_error)

    def _log_query(self, sql: str, params: Any) -> None:
        # Peewee logs the values too, password hashes among them.
        if _peewee_log.isEnabledFor(logging.DEBUG):
            _peewee_log.debug((sql, None))

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Open this thread's connection, as Peewee's method of this name does."""
        if not self.is_closed():
            if reuse_if_open:
                return False
            raise peewee.OperationalError("Connection already opened.")
        return self.pin()

    def close(self) -> bool:
        """Let go of this thread's connection, as Peewee's method of this name does."""
        if self.is_closed():
            return False
        if self._threads.current.scopes:
            raise peewee.OperationalError("Attempting to close database while transaction is open.")
        self.unpin()
        return True

    def atomic(self, isolation_level: str | None = None, **_lock_type: Any) -> Transaction:  # type: ignore[override]
        """Return a transaction, or a savepoint inside one, for Peewee code."""
        return Transaction(self, isolation_level, False)

    transaction = atomic  # type: ignore[assignment]
    savepoint = atomic  # type: ignore[assignment]

    def in_transaction(self) -> bool:
        """Return whether this thread has an open transaction."""
        return bool(self._threads.current.scopes)

    def transaction_depth(self) -> int:
        """Return how many scopes this thread has open."""
        return len(self._threads.current.scopes)

    def after_commit(self, fn: F) -> F:
        """Run ``fn`` once the outermost transaction has committed; outside of one, at once."""
        if not callable(fn):
            raise InvalidQueryError(f"expected a function that takes no argument for on_commit; got {shown(fn)}")
        scopes = self._threads.current.scopes
        if scopes:
            scopes[-1].callbacks.append(fn)
        else:
            fn()
        return fn


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
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
            engine.scopes().clear()
            engine.after_fork_in_child()
    finally:
        _fork_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
