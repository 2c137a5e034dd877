"""The PostgreSQL engine: psycopg2 connections from a pool, their session settings, COPY, streams and COMMIT.

Managers' statements use a cursor of their own whose timestamps, UUIDs and JSON arrive as text, since the loaders parse
those faster than the driver does; raw SQL decodes them by the type that the server reports; Peewee's own statements see
the driver's defaults.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import peewee
import psycopg2
from psycopg2 import extensions

from cloudpub_models.connection.classification import classify_failed_connect, classify_postgresql
from cloudpub_models.connection.engine import Engine, Row
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.pool import ConnectionPool
from cloudpub_models.connection.transactions import Scope
from cloudpub_models.errors import (
    CloudpubError,
    CommitOutcome,
    CommitUnknownError,
    ConfigurationError,
    ConnectionLostError,
    InvalidValueError,
    TransactionAbortedError,
)
from cloudpub_models.sql import POSTGRESQL

# Object identifiers of pg_type, fixed by PostgreSQL (src/include/catalog/pg_type.dat).
_TIMESTAMP, _TIMESTAMPTZ, _UUID, _JSON, _JSONB = 1114, 1184, 2950, 114, 3802

_LARGEST_RESULT_KEPT = 1000

T = TypeVar("T")


class PostgresqlConnection(extensions.connection):
    """A driver connection with the little that the pool and the engine remember about it."""

    idle_since: float = 0.0
    transaction_id: str | None = None
    _text_cursor: extensions.cursor | None = None

    def text_cursor(self) -> extensions.cursor:
        """Return this connection's cursor for managers and raw SQL; its timestamps, UUIDs and JSON arrive as text."""
        cursor = self._text_cursor
        # The cursor keeps its last result until it is used again, so one with a large result is let go.
        if cursor is None or cursor.closed or cursor.rowcount > _LARGEST_RESULT_KEPT:
            cursor = self._text_cursor = self.cursor()
            extensions.register_type(extensions.UNICODE, cursor)
            types: Any = cursor.string_types
            types.update(dict.fromkeys((_TIMESTAMP, _TIMESTAMPTZ, _UUID, _JSON, _JSONB), extensions.UNICODE))
        return cursor

    def take_text_cursor(self) -> extensions.cursor:
        """Return the cursor with its last result, leaving the connection to make another for its next statement."""
        cursor, self._text_cursor = self._text_cursor, None
        assert cursor is not None
        return cursor


class _Lease:
    """Gives a thread's pinned connection back when the thread ends without doing so."""

    __slots__ = ("_pool", "connection")

    def __init__(self, pool: ConnectionPool[PostgresqlConnection], connection: PostgresqlConnection) -> None:
        self._pool = pool
        self.connection: PostgresqlConnection | None = connection

    def __del__(self) -> None:
        if self.connection is not None:
            self._pool.leave_behind(self.connection)


class PostgresqlEngine(Engine, peewee.PostgresqlDatabase):
    """A PostgreSQL database as Peewee sees it, on a pool of psycopg2 connections."""

    sql_dialect = POSTGRESQL
    driver_error = psycopg2.Error

    def __init__(self, uri: str, masked_url: str, options: Options) -> None:
        self._settings = _connection_settings(uri, masked_url, options)
        self._connections: weakref.WeakSet[PostgresqlConnection] = weakref.WeakSet()
        self._pool = ConnectionPool(
            self._open_connection,
            _is_usable,
            _discard,
            limit=options.max_connections,
            wait_seconds=options.pool_timeout,
        )
        self._stream_numbers = itertools.count(1)
        super().__init__(uri, masked_url, options)

    # Connections

    def _open_connection(self) -> PostgresqlConnection:
        try:
            connection: PostgresqlConnection = psycopg2.connect(
                connection_factory=PostgresqlConnection, **self._settings
            )
        except psycopg2.Error as error:
            raise classify_failed_connect(error, self.masked_url) from None
        connection.autocommit = True
        connection.idle_since = time.monotonic()
        if self.server_version is None:
            self.server_version = connection.server_version
        self._connections.add(connection)
        return connection

    def pin(self, *, check: bool = False) -> bool:
        if not self._state.closed:
            return False
        connection = self._pool.acquire(check=check)
        self._state.set_connection(connection)
        self._stack.lease = _Lease(self._pool, connection)
        return True

    def unpin(self) -> None:
        connection = self._state.conn
        self._state.reset()
        lease: _Lease | None = getattr(self._stack, "lease", None)
        if lease is not None:
            lease.connection = None
        if connection is not None:
            self._give_back(connection)

    def _give_back(self, connection: PostgresqlConnection) -> None:
        if connection.closed or connection.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            self._pool.remove(connection)
        else:
            self._pool.release(connection)

    def dispose_all(self) -> None:
        self._pool.close()

    def before_fork(self) -> None:
        self._pool.lock_for_fork()

    def after_fork_in_parent(self) -> None:
        self._pool.unlock_after_fork()

    def after_fork_in_child(self) -> None:
        self._pool.abandon()
        self._state.reset()
        lease: _Lease | None = getattr(self._stack, "lease", None)
        if lease is not None:
            lease.connection = None
        # The child's copies of the sockets would keep the parent's sessions and their locks alive after its death,
        # and closing a connection would say goodbye in the parent's name; /dev/null in their place does neither.
        null = os.open(os.devnull, os.O_RDWR)
        for connection in list(self._connections):
            if not connection.closed:
                os.dup2(null, connection.fileno())
        os.close(null)
        self._connections = weakref.WeakSet()

    # Statements

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        def fetch_all(cursor: extensions.cursor) -> list[Row]:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description is not None else []

        return self._on_a_connection(fetch_all)

    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        def execute(cursor: extensions.cursor) -> int:
            cursor.execute(sql, parameters)
            return max(cursor.rowcount, 0)

        return self._on_a_connection(execute)

    def fetch_described(self, sql: str, parameters: Sequence[Any] | None) -> tuple[list[str], list[Row]]:
        def fetch_all(cursor: extensions.cursor) -> tuple[list[str], list[Row]]:
            cursor.execute(sql, parameters)
            return _described(cursor)

        return self._on_a_connection(fetch_all)

    def _on_a_connection(self, work: Callable[[extensions.cursor], T]) -> T:
        """Do the work on the connection that this thread keeps, else on one borrowed for just this."""
        state = self._state
        if not state.closed:
            self.check_usable()
            return self._on(state.conn, work)
        connection = self._pool.acquire()
        try:
            return self._on(connection, work)
        finally:
            self._give_back(connection)

    def _on(self, connection: PostgresqlConnection, work: Callable[[extensions.cursor], T]) -> T:
        try:
            return work(connection.text_cursor())
        except psycopg2.Error as error:
            self.fail(error)

    def _execute_on(self, connection: PostgresqlConnection, sql: str) -> None:
        self._on(connection, lambda cursor: cursor.execute(sql))

    def copy_rows(self, sql: str, lines: Iterable[str]) -> int:
        """Send text lines to a ``COPY … FROM STDIN`` and return how many rows it wrote."""

        def copy(cursor: extensions.cursor) -> int:
            cursor.copy_expert(sql, _LineReader(lines))
            return max(cursor.rowcount, 0)

        return self._on_a_connection(copy)

    def stream(self, sql: str, parameters: Sequence[Any] | None, chunk_size: int) -> Iterator[list[Row]]:
        for cursor in self._stream_cursor(sql, parameters, chunk_size):
            yield cursor.fetchall()

    def stream_described(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        for cursor in self._stream_cursor(sql, parameters, chunk_size):
            yield _described(cursor)

    def _stream_cursor(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[extensions.cursor]:
        """Yield a cursor that holds the next rows, as often as there are any.

        Inside a transaction the server's cursor belongs to it. Outside, it gets a connection and a read-only
        transaction of its own, so that whatever the caller does between two chunks does not disturb it.
        """
        name = f"cloudpub_stream_{next(self._stream_numbers)}"
        declare = f"DECLARE {name} NO SCROLL CURSOR FOR {sql}"
        fetch = f"FETCH FORWARD {chunk_size} FROM {name}"
        if self._stack.scopes:
            scope = self._stack.scopes[0]
            self.run(declare, parameters)
            yield from self._fetch_chunks(self._state.conn, fetch, chunk_size)
            if self._stack.scopes[:1] == [scope]:
                self.run(f"CLOSE {name}", None)
            return
        connection = self._pool.acquire()
        begin = "BEGIN READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0; "
        try:
            self._on(connection, lambda cursor: cursor.execute(begin + declare, parameters))
            yield from self._fetch_chunks(connection, fetch, chunk_size)
        finally:
            self._roll_back(connection)
            self._give_back(connection)

    def _fetch_chunks(
        self, connection: PostgresqlConnection, fetch: str, chunk_size: int
    ) -> Iterator[extensions.cursor]:
        while True:
            if self._stack.scopes:
                self.check_usable()
            # A cursor of its own, since the caller runs other statements on the connection between two chunks.
            self._execute_on(connection, fetch)
            received = connection.take_text_cursor()
            count = received.rowcount
            if count:
                yield received
            received.close()
            if count < chunk_size:
                return

    # Transactions

    def begin_transaction(self, isolation: str | None, read_only: bool) -> None:
        begin = "BEGIN" + (f" ISOLATION LEVEL {isolation}" if isolation else "") + (" READ ONLY" if read_only else "")
        if not read_only:
            # Asked for in the same round trip; after a COMMIT without an answer it tells what became of it.
            begin += "; SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_xact_id()::text END"
        try:
            self._begin_on(self._state.conn, begin)
        except ConnectionLostError:
            # Nothing has happened yet, so a connection that died in the pool may be replaced unnoticed, once.
            self.unpin()
            self.pin(check=True)
            self._begin_on(self._state.conn, begin)

    def _begin_on(self, connection: PostgresqlConnection, begin: str) -> None:
        def read_transaction_id(cursor: extensions.cursor) -> str | None:
            cursor.execute(begin)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

        connection.transaction_id = self._on(connection, read_transaction_id)

    def commit_transaction(self, scope: Scope) -> None:
        connection: PostgresqlConnection = self._state.conn
        status = connection.get_transaction_status()
        if status == extensions.TRANSACTION_STATUS_IDLE:
            raise TransactionAbortedError(
                "this transaction was ended by a COMMIT or ROLLBACK inside its block: leave ending it to the block"
            )
        if status == extensions.TRANSACTION_STATUS_INERROR:
            self.rollback_transaction()
            raise TransactionAbortedError("a statement of this transaction failed, so nothing of it can be committed")
        if _has_input(connection):
            # An idle server says nothing unless it is ending the session; asking tells, before COMMIT is sent.
            self._execute_on(connection, "SELECT 1")
        try:
            cursor = connection.text_cursor()
            cursor.execute("COMMIT")
        except psycopg2.Error as error:
            typed = self.classify(error)
            if not isinstance(typed, ConnectionLostError):
                raise typed from error
            if connection.transaction_id is None:
                raise typed from error
            raise self._commit_unknown(connection.transaction_id) from error
        if cursor.statusmessage == "ROLLBACK":
            raise TransactionAbortedError("the server rolled this transaction back instead of committing it")

    def _commit_unknown(self, transaction_id: str) -> CommitUnknownError:
        return CommitUnknownError(
            "the connection was lost while COMMIT was under way, so the transaction may or may not have been "
            "committed: call resolve() on this error to find out, and do not run the transaction again before",
            lambda: self._transaction_outcome(transaction_id),
        )

    def _transaction_outcome(self, transaction_id: str) -> CommitOutcome:
        deadline = time.monotonic() + max(self.options.connect_timeout, 1)
        while True:
            rows = self.fetch("SELECT pg_xact_status(%s::xid8)", (transaction_id,))
            status = rows[0][0]
            if status == "committed":
                return "committed"
            if status == "aborted":
                return "rolled back"
            # The server has not yet noticed that the client is gone; None means that it has forgotten.
            if status is None or time.monotonic() > deadline:
                return "unknown"
            time.sleep(0.02)

    def rollback_transaction(self) -> None:
        self._roll_back(self._state.conn)

    def _roll_back(self, connection: PostgresqlConnection) -> None:
        if connection.closed or connection.get_transaction_status() == extensions.TRANSACTION_STATUS_IDLE:
            return
        try:
            connection.text_cursor().execute("ROLLBACK")
        except psycopg2.Error as error:
            # A connection that cannot roll back is thrown away, which rolls back as well.
            self.classify(error)
            connection.close()

    def run_control(self, sql: str) -> None:
        self._execute_on(self._state.conn, sql)

    def classify(self, error: Exception) -> CloudpubError:
        assert isinstance(error, psycopg2.Error)
        typed = classify_postgresql(error, read_only=self.read_only_transaction())
        if isinstance(typed, ConnectionLostError):
            self._pool.suspect_all()
        return typed

    def _execute_cursor(self, sql: str, params: Any, **cursor_options: Any) -> Any:
        # Results are held by the client once a statement has run, so Peewee's calls need no connection afterwards.
        pinned = self.pin()
        try:
            return super()._execute_cursor(sql, params, **cursor_options)
        finally:
            if pinned:
                self.unpin()


class _LineReader:
    """A file of text lines for the driver to read, made while it reads."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._pending = b""

    def read(self, size: int = 8192, /) -> bytes:
        """Return the next bytes, at most ``size``; none at the end."""
        parts = [self._pending]
        length = len(self._pending)
        while length < size:
            line = next(self._lines, None)
            if line is None:
                break
            encoded = line.encode()
            parts.append(encoded)
            length += len(encoded)
        content = b"".join(parts)
        self._pending = content[size:]
        return content[:size]

    def readline(self, size: int = 8192, /) -> bytes:
        """Return the next bytes; psycopg2 asks for the method but reads with ``read``."""
        return self.read(size)


def _connection_settings(uri: str, masked_url: str, options: Options) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = dict(extensions.parse_dsn(uri))
    except psycopg2.ProgrammingError:
        raise ConfigurationError(
            f"expected a libpq URI such as 'postgresql://user:password@host:5432/name'; got {masked_url!r}"
        ) from None
    milliseconds = {
        "statement_timeout": options.statement_timeout,
        "lock_timeout": options.lock_timeout,
        "idle_in_transaction_session_timeout": options.idle_in_transaction_timeout,
    }
    session = [f"-c {name}={int(seconds * 1000)}" for name, seconds in milliseconds.items()]
    session += ["-c timezone=UTC", "-c datestyle=ISO", "-c intervalstyle=postgres"]
    # What the URL says itself comes last and so wins, but for the time zone and formats that the loaders rely on.
    settings["options"] = " ".join([*session[:3], settings.get("options", ""), *session[3:]])
    defaults = {
        "connect_timeout": max(2, round(options.connect_timeout)) if options.connect_timeout else 0,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": int(options.tcp_user_timeout * 1000),
        "application_name": options.application_name,
        "client_encoding": "UTF8",
    }
    return defaults | settings | {"client_encoding": "UTF8"}


def _is_usable(connection: PostgresqlConnection) -> bool:
    try:
        connection.text_cursor().execute("SELECT 1")
    except psycopg2.Error:
        return False
    return True


def _discard(connection: PostgresqlConnection) -> None:
    try:
        connection.close()
    except psycopg2.Error:
        # It is being thrown away because it is broken; that it also cannot be closed adds nothing.
        return


def _has_input(connection: PostgresqlConnection) -> bool:
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return bool(poller.poll(0))


def _described(cursor: extensions.cursor) -> tuple[list[str], list[Row]]:
    if cursor.description is None:
        return [], []
    names = [column.name for column in cursor.description]
    decoders = [
        (position, _DECODERS[column.type_code])
        for position, column in enumerate(cursor.description)
        if column.type_code in _DECODERS
    ]
    rows = cursor.fetchall()
    if not decoders:
        return names, rows
    return names, [_decode_row(row, decoders) for row in rows]


def _decode_row(row: Row, decoders: list[tuple[int, Callable[[str], Any]]]) -> Row:
    values = list(row)
    for position, decode in decoders:
        if values[position] is not None:
            values[position] = decode(values[position])
    return tuple(values)


def _decode_timestamp(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValueError(
            f"expected a timestamp between the years 1 and 9999; the database has {text!r}: cast the column to text"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_DECODERS: dict[int, Callable[[str], Any]] = {
    _TIMESTAMP: _decode_timestamp,
    _TIMESTAMPTZ: _decode_timestamp,
    _UUID: UUID,
    _JSON: json.loads,
    _JSONB: json.loads,
}
