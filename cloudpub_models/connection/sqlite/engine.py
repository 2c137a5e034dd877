"""The SQLite engine: one connection a thread, settings that make it behave like PostgreSQL, and files shared safely.

A write transaction begins IMMEDIATE: two that begin by reading could otherwise each wait for the other's lock, which
SQLite answers with an error that no waiting mends. ``:memory:`` is one database for all threads, kept in SQLite's
memdb file system (https://sqlite.org/src/file/src/memdb.c), where connections wait for each other's locks as they do
on a file.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import sqlite3
import sys
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from math import inf
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

import peewee

from cloudpub_models.connection.engine import Location, closed_in_use
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.peewee_calls import PeeweeCalls
from cloudpub_models.connection.results import ResultColumns, Row, StatementResult
from cloudpub_models.connection.scopes import Actor, Scope, ThreadState, ThreadStates
from cloudpub_models.connection.sender import CopySource
from cloudpub_models.connection.sqlite.driver_errors import classify
from cloudpub_models.connection.url import MEMORY
from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.errors import (
    CloudpubError,
    ConnectionFailedError,
    InvalidQueryError,
    InvalidValueError,
    StorageError,
    TransactionAbortedError,
)
from cloudpub_models.sql import SQLITE
from cloudpub_models.sql.blobs import BLOB_FUNCTION, stored_blob
from cloudpub_models.sql.decimals import DecimalSum, add_decimals
from cloudpub_models.sql.dialects import (
    ADD_DECIMALS,
    DOCUMENT_FUNCTION,
    DOCUMENTS_FUNCTION,
    ILIKE_FUNCTION,
    LIKE_FUNCTION,
    SUM_DECIMALS,
)
from cloudpub_models.sql.documents import (
    comparable_document,
    comparable_documents,
)
from cloudpub_models.sql.patterns import ilike_matches, like_matches
from cloudpub_models.sql.text.parameters import parse
from cloudpub_models.sql.text.statements import PRAGMAS_THAT_ASK, aftermaths
from cloudpub_models.sql.text.tokens import tokens
from cloudpub_models.sql.values import moment_to_text

_STORAGE_CODES = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
# For so long a file is not looked at again, which takes as long as a tenth of a lookup.
_SECONDS_OF_TRUST = 0.1
# What the triggers of the change log read; a transaction leaves nothing of it behind.
_HAS_CONTEXT = "SELECT 1 FROM sqlite_master WHERE name = 'change_context'"
_TELL_ACTOR = """
    INSERT OR REPLACE INTO change_context (one, transaction_id, actor, details)
    SELECT 1, coalesce(
        (SELECT transaction_id FROM change_context), (SELECT seq FROM sqlite_sequence WHERE name = 'changes') + 1, 1
    ), ?, ?
"""
_FORGET_ACTOR = "DELETE FROM change_context"
OLDEST_SUPPORTED = (3, 39, 0)


class SqliteConnection(sqlite3.Connection):
    """A driver connection that closes itself when its thread has ended.

    Attributes:
        closed: whether it has been closed.
        changed: whether raw SQL has left something behind in it: a setting, another file, a temporary table.
        query_only: whether it has been told, or is about to be told, to refuse writes.
        references: how many there are to it while one variable alone holds it; it is part of a cycle.
    """

    closed = False
    changed = False
    query_only = False
    references = 0

    def close(self) -> None:
        self.closed = True
        super().close()

    def __del__(self) -> None:
        # A connection that could not be opened was never one that can be closed.
        with contextlib.suppress(sqlite3.ProgrammingError):
            self.close()


class Loan:
    """Closes a thread's connection when the thread ends: it is part of a cycle, and would wait for the collector."""

    __slots__ = ("_engine", "_process", "connection")

    def __init__(self, engine: SqliteEngine, connection: SqliteConnection) -> None:
        self._engine = weakref.ref(engine)
        self._process = os.getpid()
        self.connection: SqliteConnection | None = connection

    def __del__(self) -> None:
        if os is None:
            # The interpreter is ending, has taken the modules away, and closes what is left itself.
            return
        # A forked child finalizes its parent's threads. And when the database is closed, the thread may be in the
        # middle of a statement.
        engine = self._engine()
        retired = engine is not None and engine._retired
        if self.connection is not None and os.getpid() == self._process and not retired:
            with contextlib.suppress(sqlite3.Error):
                self.connection.close()


class CursorOfPeewee(sqlite3.Cursor):
    """A cursor that fetches the rows of a statement that writes at once.

    SQLite commits nothing that a connection does before the last of them has been fetched; Peewee may fetch the first
    alone, and an interrupt keeps the cursor with its traceback.
    """

    _fetched: Iterator[Any] | None = None

    def execute(self, sql: str, parameters: Any = ()) -> CursorOfPeewee:
        self._fetched = None
        try:
            super().execute(sql, parameters)
            # No other statement that writes gives rows.
            if "RETURNING" in sql.upper():
                self._fetched = iter(super().fetchall())
        except BaseException:
            self.close()
            raise
        return self

    def fetchone(self) -> Any:
        return super().fetchone() if self._fetched is None else next(self._fetched, None)

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        if self._fetched is None:
            return super().fetchmany(size)
        return list(itertools.islice(self._fetched, size))

    def fetchall(self) -> list[Any]:
        return super().fetchall() if self._fetched is None else list(self._fetched)

    def __next__(self) -> Any:
        return super().__next__() if self._fetched is None else next(self._fetched)


class SqliteEngine(PeeweeCalls, peewee.SqliteDatabase):
    """A SQLite database as Peewee sees it."""

    sql_dialect = SQLITE
    driver_error = sqlite3.Error
    copies_rows = False
    begins_with_lock_type = True

    _records_changes = False

    def __init__(self, path: str, masked_url: str, options: Options) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SUPPORTED:
            raise ConnectionFailedError(
                f"expected SQLite 3.39 or later; this Python was built with {sqlite3.sqlite_version}"
            )
        self._in_memory = path == MEMORY
        self._uri = (
            f"file:/cloudpub-{uuid.uuid4()}?vfs=memdb"
            if self._in_memory
            else f"file:{quote(str(Path(path).absolute()))}"
        )
        self._path = Path(path).absolute()
        # What is at the path since the database was opened: the device and the number of the file.
        self._file: tuple[int, int] | None = None
        super().__init__(path, masked_url, options, timeout=options.busy_timeout, returning_clause=True)
        # A database in memory lives as long as one connection to it does.
        self._anchor = self._connect() if self._in_memory else None

    # Connections

    @property
    def location(self) -> Location:
        return Location(self.database)

    def _connect(self) -> SqliteConnection:
        if self._retired:
            raise closed_in_use()
        self._require_same_file()
        if not (self._in_memory or self.only_looks):
            _make_private(self.database)
        try:
            connection = sqlite3.connect(
                self._uri,
                uri=True,
                timeout=self.timeout,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
                factory=SqliteConnection,
            )
            try:
                self._configure(connection)
            except BaseException:
                # The collector would close it at a moment of its own.
                connection.close()
                raise
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in _STORAGE_CODES:
                raise classify(error) from error
            raise ConnectionFailedError(
                f"cannot open the database file {self.database!r}: {error}; check that its directory exists and may be "
                "written to, and that it is a SQLite database"
            ) from None
        self._connections.add(connection)
        if not self._in_memory and self._file is None:
            self._file = _file_at(self._path)
        connection.references = sys.getrefcount(connection)
        return connection

    def _require_same_file(self) -> None:
        """Refuse to go on where the file was deleted or replaced: what is written to the old one goes nowhere.

        Nor is another one opened: what SQLite keeps beside a file belongs to the old one still.

        Raises:
            StorageError: it was.
        """
        if self._file is not None and _file_at(self._path) != self._file:
            found = "none" if _file_at(self._path) is None else "another one"
            raise StorageError(
                f"expected the database file {self.database!r} that was opened; got {found} at its path: put the old "
                "one back, or close() the database in each process before its file is deleted or replaced"
            )

    def _look_at_file(self, thread: ThreadState) -> None:
        """Require the file that was opened, and trust in that for a moment."""
        self._require_same_file()
        thread.trusted_until = inf if self._in_memory else monotonic() + _SECONDS_OF_TRUST

    def _configure(self, connection: SqliteConnection) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.create_function("current_timestamp", 0, _current_timestamp)
        connection.create_function(LIKE_FUNCTION, 2, like_matches, deterministic=True)
        connection.create_function(ILIKE_FUNCTION, 2, ilike_matches, deterministic=True)
        connection.create_function(DOCUMENT_FUNCTION, 1, comparable_document, deterministic=True)
        connection.create_function(DOCUMENTS_FUNCTION, 1, comparable_documents, deterministic=True)
        connection.create_function(BLOB_FUNCTION, 1, stored_blob, deterministic=True)
        connection.create_function(ADD_DECIMALS, 3, add_decimals, deterministic=True)
        connection.create_aggregate(SUM_DECIMALS, 1, DecimalSum)  # type: ignore[arg-type]
        self._add_conn_hooks(connection)  # type: ignore[attr-defined]
        if not self._in_memory:
            # Reading the setting first spares a read-only file, and a lock where it is WAL already.
            is_wal = connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            if not (is_wal or self.only_looks or _is_read_only(connection)):
                self._change_to_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            self._records_changes = connection.execute(_HAS_CONTEXT).fetchone() is not None

    def _change_to_wal(self, connection: SqliteConnection) -> None:
        # SQLite does not wait by itself while another process is about to change a new file in the same way.
        deadline = time.monotonic() + self.options.busy_timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            import random

            time.sleep(random.uniform(0.001, 0.02))

    def pin(self, *, check: bool = False) -> bool:
        thread = self._threads.current
        self._kept_connection()
        first, thread.pinned = not thread.pinned, True
        return first

    def unpin(self) -> None:
        # A thread keeps its connection: opening one costs more than keeping it, and nobody waits for it.
        thread = self._threads.current
        thread.pinned = False
        connection = thread.connection
        if connection is not None and connection.in_transaction:
            self.rollback_transaction()
        if connection is not None and connection.changed:
            del connection
            self._let_go()

    def connect(self, reuse_if_open: bool = False) -> bool:
        # Peewee connects by itself where it has to, and nobody lets go of that then.
        if self.is_closed():
            self._kept_connection()
            return True
        return super().connect(reuse_if_open)

    def _kept_connection(self) -> SqliteConnection:
        connection: SqliteConnection | None = self._threads.current.connection
        if connection is None:
            connection = self._connect()
            self._threads.current.loan = Loan(self, connection)
            self._keep_connection(connection)
        return connection

    def _forget_connection(self) -> Any:
        loan = self._threads.current.loan
        if loan is not None:
            loan.connection = None
        return super()._forget_connection()

    def _let_go(self) -> None:
        """Have this thread begin with another connection; this one closes itself when no stream reads from it.

        Mostly none does, and whoever waits for the collector then keeps a file, or a whole database in memory.
        """
        connection = self._forget_connection()
        if connection is not None and sys.getrefcount(connection) == connection.references:
            connection.close()

    def keeps_connection(self) -> bool:
        return self._threads.current.pinned

    def unpin_elsewhere(self, thread: ThreadState) -> None:
        thread.pinned = False

    def close(self) -> bool:
        """Close this thread's connection."""
        connection = self._threads.current.connection
        closed = super().close()
        if closed and connection is not None:
            self._forget_connection()
            connection.close()
            if all(other.closed for other in self._all_connections()):
                # Nothing holds on to the file any more: it may be deleted, and another one opened.
                self._file = None
        return closed

    def dispose_all(self) -> None:
        for connection in (self._forget_connection(), self._anchor):
            if connection is not None:
                connection.close()
        # The driver crashes where a connection is closed in the middle of another thread's statement. So each of those
        # closes itself when nobody uses it any more. The threads let go of theirs here; what is left then is in use.
        self._threads, self._state = ThreadStates(), type(self._state)()
        if not all(connection.closed for connection in self._all_connections()):
            # A driver's connection is part of a cycle.
            gc.collect()
            self.interrupt()

    def interrupt(self) -> None:
        for connection in self._all_connections():
            # One that is closed has nothing to end.
            with contextlib.suppress(sqlite3.ProgrammingError):
                connection.interrupt()

    def interrupt_thread(self, thread: ThreadState) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):
            thread.connection.interrupt()

    def before_fork(self) -> None:
        # The child needs it, and a child whose parent had threads had better import nothing.
        import ctypes  # noqa: F401

    def after_fork_in_child(self) -> None:
        import ctypes

        # The parent's handles are neither used nor closed here: closing one rolls back in the parent's file and lets go
        # of locks (https://sqlite.org/howtocorrupt.html, sections 2.2 and 2.6). A reference that nobody gives back
        # keeps them from being closed even when the child's interpreter ends.
        for connection in self._all_connections():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._connections = weakref.WeakSet()
        self._forget_connection()

    def get_indexes(self, table: str, schema: str | None = None) -> list[peewee.IndexMetadata]:
        """Return the indexes of a table as Peewee does, but that of a UNIQUE constraint by the constraint's usual name.

        SQLite calls it ``sqlite_autoindex_…``, which Peewee's ``schema_diff`` takes for none, as if the columns were
        not unique.
        """
        found: list[peewee.IndexMetadata] = super().get_indexes(table, schema)
        query = "SELECT name FROM pragma_index_list(?, ?) WHERE origin = 'u'"
        of_constraints = {name for (name,) in self.fetch(query, (table, schema or "main"))}
        return [
            index._replace(name=name_of_part(table, index.columns, "key")) if index.name in of_constraints else index
            for index in found
        ]

    def get_columns(self, table: str, schema: str | None = None) -> list[peewee.ColumnMetadata]:
        """Return the columns of a table as Peewee does, with each default in one line, as pwiz needs it."""
        found: list[peewee.ColumnMetadata] = super().get_columns(table, schema)
        return [
            column._replace(default=" ".join(line.strip() for line in column.default.splitlines()))
            if "\n" in (column.default or "")
            else column
            for column in found
        ]

    # Statements

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        # As `_take_cursor`, in fewer steps, which is a part of a lookup that can be measured.
        thread = self._threads.current
        if thread.scopes:
            self.check_usable()
        if monotonic() > thread.trusted_until:
            self._look_at_file(thread)
        cursor, thread.cursor = thread.cursor, None
        if cursor is None:
            cursor = self._usable_connection().cursor()
        try:
            rows: list[Row] = cursor.execute(sql, parameters or ()).fetchall()
        except sqlite3.Error as error:
            self.fail(error, sql)
        except BaseException as error:
            self._stop(cursor, error)
            raise
        thread.cursor = cursor
        return rows

    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        return max(self._changing(sql, parameters)[2], 0)

    def perform(self, sql: str, parameters: Sequence[Any] | None) -> StatementResult:
        names, rows, count = self._changing(sql, parameters)
        return StatementResult(names, rows, count if count >= 0 else None)

    def _changing(self, sql: str, parameters: Sequence[Any] | None) -> tuple[list[str], list[Row], int]:
        thread = self._threads.current
        cursor = self._take_cursor(thread)
        connection = cursor.connection
        try:
            changed_before = connection.total_changes
            rows: list[Row] = cursor.execute(sql, parameters or ()).fetchall()
            names, count = _names(cursor), cursor.rowcount
            if count < 0 and connection.total_changes > changed_before:
                # The driver does not count what a statement that begins with WITH changes; the total has what triggers
                # changed in it as well.
                count = int(cursor.execute("SELECT changes()").fetchall()[0][0])
        except sqlite3.Error as error:
            self.fail(error, sql)
        except BaseException as error:
            self._stop(cursor, error)
            raise
        thread.cursor = cursor
        if aftermaths[sql, SQLITE]:
            self._note_change()
        return names, rows, count

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        connection = self._usable_connection()
        try:
            return max(connection.executemany(sql, rows).rowcount, 0)
        except sqlite3.Error as error:
            self.fail(error, sql)
        except OverflowError as error:
            raise _too_large(error) from error

    def copy_rows(self, sql: str, text: CopySource) -> int:
        raise InvalidQueryError("expected a database that copies rows; got SQLite: write them with run_many()")

    def fetch_undecoded(self, sql: str, parameters: Sequence[Any] | None) -> tuple[ResultColumns, list[Row]]:
        thread = self._threads.current
        cursor = self._take_cursor(thread)
        try:
            rows: list[Row] = cursor.execute(sql, parameters or ()).fetchall()
        except sqlite3.Error as error:
            self.fail(error, sql)
        except BaseException as error:
            self._stop(cursor, error)
            raise
        thread.cursor = cursor
        if aftermaths[sql, SQLITE]:
            self._note_change()
        return tuple([(column[0], None) for column in cursor.description or ()]), rows

    def stream(self, sql: str, parameters: Sequence[Any] | None, chunk_size: int) -> Iterator[list[Row]]:
        for _, rows in self._chunks(sql, parameters, chunk_size):
            yield rows

    def stream_described(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        yield from self._chunks(sql, parameters, chunk_size)

    def _chunks(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        # On a file, a connection of its own gives the stream one consistent snapshot, whatever the caller writes
        # meanwhile. In memory there are no snapshots, and a second connection would lock the writer out: SQLite is told
        # to put the rows aside first, or a loop that inserts what it reads about would never end.
        # Kept until the stream ends: with its state a thread's connection ends too.
        thread = self._threads.current
        separate = not self._in_memory and not thread.scopes
        connection = self._connect() if separate else self._usable_connection()
        process = os.getpid()
        try:
            cursor = connection.execute(sql if separate else _put_aside(sql), parameters or ())
            names = _names(cursor)
            if not separate and any(":" in name for name in names):
                # A query in another one has its repeated columns renamed, as to "id:1".
                names = _names(connection.execute(sql, parameters or ()))
            while rows := cursor.fetchmany(chunk_size):
                yield names, rows
                if os.getpid() != process:
                    raise InvalidQueryError(
                        "expected a stream of this process; got one that its parent began: begin one in the child"
                    )
            cursor.close()
        except sqlite3.Error as error:
            self.fail(error)
        except OverflowError as error:
            raise _too_large(error) from error
        finally:
            if os.getpid() != process:
                # Closing it lets go of the parent's locks.
                pass
            elif separate:
                connection.close()
            elif aftermaths[sql, SQLITE]:
                self._note_change()

    def _stop(self, cursor: sqlite3.Cursor, error: BaseException) -> None:
        """End a statement that an interrupt has come into, whose cursor the interrupt's traceback keeps.

        As long as a statement that writes has not ended, SQLite commits nothing that the connection does.
        """
        cursor.close()
        if isinstance(error, OverflowError):
            raise _too_large(error) from error

    def _take_cursor(self, thread: ThreadState) -> sqlite3.Cursor:
        """Return this thread's cursor, or another one: a signal handler may send a statement while it is in use."""
        if thread.scopes:
            self.check_usable()
        if monotonic() > thread.trusted_until:
            self._look_at_file(thread)
        cursor: sqlite3.Cursor | None
        cursor, thread.cursor = thread.cursor, None
        return self._usable_connection().cursor() if cursor is None else cursor

    def _usable_connection(self) -> SqliteConnection:
        thread = self._threads.current
        if thread.scopes:
            self.check_usable()
        if monotonic() > thread.trusted_until:
            self._look_at_file(thread)
        return self._kept_connection()

    def expect_changes(self) -> None:
        # Noted before they are made: an interrupt may keep a migration from enforcing references again.
        self._usable_connection().changed = True

    def _note_change(self) -> None:
        """Have what raw SQL has changed in this thread's connection end with its block, or at once."""
        thread = self._threads.current
        if thread.connection is not None:
            thread.connection.changed = True
        if not thread.pinned:
            self._let_go()

    # Transactions

    def begin_statement(self, isolation: str | None, read_only: bool) -> str:
        return "BEGIN" if read_only else "BEGIN IMMEDIATE"

    def begin_transaction(self, isolation: str | None, read_only: bool) -> None:
        self._require_same_file()
        if read_only:
            # Noted before it is so: whatever comes in between, it ends with the transaction.
            self._threads.current.connection.query_only = True
            self.run_control("PRAGMA query_only = ON")
        self.run_control(self.begin_statement(isolation, read_only))
        if self._records_changes and not read_only:
            self._tell_actor(self._threads.current.actor)

    def mark_of_writes(self) -> object:
        connection: SqliteConnection | None = self._threads.current.connection
        if connection is None or connection.in_transaction or connection.changed:
            return None
        return connection.total_changes

    def _tell_actor(self, actor: Actor | None) -> None:
        connection: SqliteConnection = self._threads.current.connection
        try:
            connection.execute(_TELL_ACTOR, actor or (None, None))
        except sqlite3.OperationalError as error:
            # Nothing is recorded, or another program has switched recording off.
            self._records_changes = connection.execute(_HAS_CONTEXT).fetchone() is not None
            if self._records_changes:
                self.fail(error)

    def notice_history(self) -> None:
        self._records_changes = bool(self.fetch(_HAS_CONTEXT, None))

    def commit_transaction(self, scope: Scope) -> None:
        connection: SqliteConnection = self._threads.current.connection
        try:
            if not connection.in_transaction:
                self._allow_writes(connection)
                raise TransactionAbortedError(
                    "this transaction was ended by a COMMIT or ROLLBACK inside its block: leave ending it to the block"
                )
            self._require_same_file()
            if self._records_changes and not scope.read_only:
                # It is gone where this very transaction has switched recording off.
                with contextlib.suppress(sqlite3.OperationalError):
                    connection.execute(_FORGET_ACTOR)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            typed = self.classify(error)
            self.rollback_transaction()
            raise typed from error
        self._allow_writes(connection)

    @contextlib.contextmanager
    def only_reading(self) -> Iterator[None]:
        connection = self._usable_connection()
        connection.set_authorizer(_authorize)
        try:
            yield
        finally:
            connection.set_authorizer(None)

    def has_transaction_to_end(self) -> bool:
        connection: SqliteConnection | None = self._threads.current.connection
        return connection is not None and connection.in_transaction

    def rollback_transaction(self) -> None:
        connection: SqliteConnection | None = self._threads.current.connection
        if connection is None:
            return
        try:
            # Some failures, a full disk among them, make SQLite roll back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._allow_writes(connection)
        except sqlite3.Error:
            # A connection that cannot roll back is closed, which rolls back as well.
            self._forget_connection()
            connection.close()

    def _allow_writes(self, connection: SqliteConnection) -> None:
        if connection.query_only:
            connection.execute("PRAGMA query_only = OFF")
            connection.query_only = False

    def run_control(self, sql: str) -> None:
        connection: SqliteConnection | None = self._threads.current.connection
        if connection is None:
            raise closed_in_use()
        try:
            connection.execute(sql)
        except sqlite3.Error as error:
            self.fail(error)

    def cursor(self, named_cursor: object = None) -> CursorOfPeewee:
        self._require_connection()
        return self._usable_connection().cursor(CursorOfPeewee)

    def count_rows(self, cursor: sqlite3.Cursor) -> int | None:
        # SQLite finds the rows of a query one by one, as they are asked for.
        return None if cursor.description else super().count_rows(cursor)

    def classify(self, error: Exception, sql: str = "", parameters: Sequence[Any] | None = None) -> CloudpubError:
        assert isinstance(error, sqlite3.Error)
        if self._retired and getattr(error, "sqlite_errorcode", None) in (None, sqlite3.SQLITE_INTERRUPT):
            return closed_in_use()
        connection: SqliteConnection | None = self._threads.current.connection
        return classify(error, sql, read_only=self.read_only_transaction(), connection=connection)


def _current_timestamp() -> str:
    """Return what ``CURRENT_TIMESTAMP`` is, in whole seconds as SQLite's own, in the form that columns hold.

    SQLite's has 19 characters, which differ from the 26 of the same moment, and sort before them.
    """
    return moment_to_text(datetime.now(UTC).replace(microsecond=0))


def _make_private(path: str) -> None:
    """Make the file of a database that is not there yet, for its owner only: it will hold secrets.

    SQLite gives the files that it makes beside it the same permissions. What cannot be made, SQLite says better.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _put_aside(sql: str) -> str:
    """Return a query whose rows SQLite collects in a temporary table, in their order, before it gives the first.

    The LIMIT keeps the optimizer from leaving out the order of the inner query.
    """
    if parse(sql, SQLITE).command not in ("SELECT", "VALUES"):
        return sql
    inner = "".join([token.text for token in tokens(sql, SQLITE) if token.text != ";"])
    aside = f"(SELECT * FROM ({inner}\n) LIMIT -1)"  # noqa: S608 - the caller's own query, whole
    return f"WITH cloudpub_stream AS MATERIALIZED {aside} SELECT * FROM cloudpub_stream"  # noqa: S608 - the same


def _authorize(action: int, subject: str | None, value: str | None, _schema: str | None, _trigger: str | None) -> int:
    sets = action == sqlite3.SQLITE_PRAGMA and value is not None and (subject or "").lower() not in PRAGMAS_THAT_ASK
    if sets or action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _names(cursor: sqlite3.Cursor) -> list[str]:
    return list(map(itemgetter(0), cursor.description or ()))


def _too_large(error: OverflowError) -> InvalidValueError:
    return InvalidValueError(f"expected an integer of at most 64 bits; got a larger one: {error}")


def _is_read_only(connection: sqlite3.Connection) -> bool:
    """Return whether SQLite could open the file for reading only."""
    path = connection.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()[0]
    return bool(path) and not _may_write(Path(path))


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
