"""The PostgreSQL engine: statements, COPY, streams and transactions on psycopg2 connections from a pool.

What a connection is like stands in ``connection``; who may use which, in ``pool``.
"""

from __future__ import annotations

import itertools
import math
import os
import secrets
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

import peewee
import psycopg2
from psycopg2 import extensions

from cloudpub_models.connection.engine import Location
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.peewee_calls import PeeweeCalls
from cloudpub_models.connection.postgresql.attempts import limit_for
from cloudpub_models.connection.postgresql.commit_outcome import (
    MARK_ON_TIMELINE_QUERY,
    MARK_QUERY,
    SAYS_NOTHING,
    UNMARKED,
    OutcomeQuestion,
    TransactionMark,
)
from cloudpub_models.connection.postgresql.connection import (
    PostgresqlConnection,
    check_settings,
    columns_of,
    connection_settings,
    discard,
    has_input,
    is_usable,
    look_at,
    reset_session,
    settings_of_a_transaction,
)
from cloudpub_models.connection.postgresql.driver_errors import classify, classify_failed_connect, has_gone_silent
from cloudpub_models.connection.postgresql.literals import filled
from cloudpub_models.connection.postgresql.log_positions import Position, offset_of, read_token
from cloudpub_models.connection.postgresql.pool import ConnectionPool, Loan
from cloudpub_models.connection.postgresql.preparation import (
    OFTEN,
    belies_own_session,
    cannot_prepare,
    count_anew,
    count_find,
    forget,
    make_ready,
    old_enough_at,
    prepare_nothing,
    was_out_of_date,
)
from cloudpub_models.connection.results import ResultColumns, Row, StatementResult, decoded
from cloudpub_models.connection.scopes import Actor, Scope, ThreadState
from cloudpub_models.connection.sender import CopySource, ToldSql
from cloudpub_models.connection.sessions import Session
from cloudpub_models.errors import (
    CloudpubError,
    CommitUnknownError,
    ConnectionLostError,
    InvalidQueryError,
    InvalidValueError,
    ReadOnlyServerError,
    TransactionAbortedError,
)
from cloudpub_models.sql import POSTGRESQL
from cloudpub_models.sql.statement import LookupSql, PreparableSql
from cloudpub_models.sql.text.statements import Aftermath

T = TypeVar("T")

# For the transaction only, so that it reaches nobody else through a pooler; the triggers of the change log read it.
_TELL_ACTOR = "SELECT set_config('cloudpub.actor', %s, true), set_config('cloudpub.details', %s, true)"
_IDLE = extensions.TRANSACTION_STATUS_IDLE
_COPY_READ_BYTES = 65_536
# What the server says of a text that is no single query, when a cursor is to be opened for it.
_NO_CURSOR = "42P11"
_USUAL_PORT = "5432"
_KNOWN_SECONDS = 60.0
_IS_PARTITIONED = "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'p')"
_LOG_POSITION_QUERY = (
    "SELECT system_identifier::text, "
    "CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END, "
    "CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn()::text END, "
    "CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn()::text END FROM pg_control_system()"
)


class PostgresqlEngine(PeeweeCalls, peewee.PostgresqlDatabase):
    """A PostgreSQL database as Peewee sees it, on a pool of psycopg2 connections.

    Attributes:
        after_connecting: is given each connection that has been opened, before anybody uses it.
    """

    after_connecting: Callable[[PostgresqlConnection], None] | None = None
    sql_dialect = POSTGRESQL
    driver_error = psycopg2.Error
    copies_rows = True

    # Peewee's: how it speaks to the driver, and the isolation level that set_isolation_level() makes the usual one.
    _adapter: Any
    _isolation_level: int | None

    def __init__(self, uri: str, masked_url: str, options: Options) -> None:
        self._settings = connection_settings(uri, masked_url, options)
        self._pool = ConnectionPool(
            self._open_connection,
            is_usable,
            discard,
            limit=options.max_connections,
            wait_seconds=options.pool_timeout,
            attempts=limit_for(masked_url),
        )
        self._after_begin = settings_of_a_transaction(options)
        # With `prepared` everything is, in its own way.
        self._prepares_lookups = not (options.prepared or options.transaction_pooler)
        self._stream_numbers = itertools.count(1)
        self._cluster: str | None = None
        self._server_marks_transactions = True
        # Until when it is known of a table that it has no partitions; infinity for one that has.
        self._partitions_known: dict[str, float] = {}
        super().__init__(uri, masked_url, options)

    # Connections

    @property
    def location(self) -> Location:
        settings = extensions.parse_dsn(self.database)
        ports = set(settings.get("port", "").split(",")) - {"", _USUAL_PORT}
        host = settings.get("host", settings.get("hostaddr"))
        port = int(ports.pop()) if host and len(ports) == 1 else None
        return Location(settings.get("dbname", settings.get("user")), host, port)

    def _open_connection(self) -> PostgresqlConnection:
        started = time.monotonic()
        try:
            connection: PostgresqlConnection = psycopg2.connect(
                connection_factory=PostgresqlConnection, **self._settings
            )
        except psycopg2.Error as error:
            raise classify_failed_connect(error, self.masked_url, time.monotonic() - started) from None
        check_settings(connection)
        connection.autocommit = True
        connection.idle_since = time.monotonic()
        connection.prepares_from = old_enough_at(connection.idle_since) if self._prepares_lookups else math.inf
        if self.server_version is None:
            self.server_version = connection.server_version
        self._connections.add(connection)
        if self.after_connecting is not None:
            self.after_connecting(connection)
        return connection

    def pin(self, *, check: bool = False) -> bool:
        if self._threads.current.connection is not None:
            return False
        connection = self._pool.acquire(check=check)
        if self._isolation_level is not None and connection.isolation_level != self._isolation_level:
            connection.set_isolation_level(self._isolation_level)
            connection.autocommit = True
        self._threads.current.loan = Loan(self._pool, connection)
        self._keep_connection(connection)
        return True

    def unpin(self) -> None:
        connection = self._forget_connection()
        if connection is not None:
            try:
                self._give_back(connection)
            except BaseException:
                self._pool.reclaim(connection)
                raise

    def unpin_elsewhere(self, thread: ThreadState) -> None:
        connection, loan = thread.connection, thread.loan
        if connection is None or thread.scopes:
            return
        thread.connection = thread.loan = None
        if loan is not None:
            loan.connection = None
        # Not given to others: that thread may be in the middle of a statement on it.
        self._pool.remove(connection)

    def _forget_connection(self) -> PostgresqlConnection | None:
        loan = self._threads.current.loan
        if loan is not None:
            loan.connection = None
        kept: PostgresqlConnection | None = super()._forget_connection()
        return kept

    def _give_back(self, connection: PostgresqlConnection) -> None:
        if (
            connection.closed
            or connection.get_transaction_status()
            or (connection.aftermath and not self._is_clean(connection))
        ):
            self._pool.remove(connection)
        else:
            self._pool.release(connection)

    def _is_clean(self, connection: PostgresqlConnection) -> bool:
        """Undo what raw SQL has left in a session, and return whether somebody else may have it."""
        if self.options.transaction_pooler:
            # It belongs to the pooler, and the next statement might get another one.
            connection.aftermath = Aftermath.NONE
            return True
        return reset_session(connection)

    def dispose_all(self) -> None:
        self._pool.close()

    def log_position(self, *, flushed: bool = False) -> Position:
        """Ask the server how far its log has come.

        Args:
            flushed: only as far as it is on disk, which is as far as standbys can be: what was committed without
                waiting for that may be missing.

        Raises:
            ConnectionLostError: it is a standby, which writes none.
        """
        cluster, timeline, inserted, on_disk = self.fetch(_LOG_POSITION_QUERY, None)[0]
        self._cluster = cluster
        if timeline is None:
            raise ConnectionLostError(f"expected a primary at {self.masked_url}; got a standby, as in a failover")
        return Position(cluster, int(timeline, 16), offset_of(on_disk if flushed else inserted))

    def token(self) -> str:
        return str(self.log_position())

    def read_token(self, token: Any) -> Position | None:
        position = read_token(token)
        if position is None:
            return None
        if self._cluster is None:
            self.log_position()
        if position.cluster != self._cluster:
            raise InvalidValueError(
                f"expected a token of this database, whose cluster is {self._cluster}; got one of cluster "
                f"{position.cluster}: pass it to the database that has given it"
            )
        return position

    def interrupt(self) -> None:
        for connection in self._all_connections():
            # One that is closed has nothing to end.
            with suppress(psycopg2.Error):
                connection.cancel()

    def interrupt_thread(self, thread: ThreadState) -> None:
        with suppress(psycopg2.Error):
            thread.connection.cancel()

    def before_fork(self) -> None:
        self._pool.lock_for_fork()

    def after_fork_in_parent(self) -> None:
        self._pool.unlock_after_fork()

    def after_fork_in_child(self) -> None:
        self._pool.abandon()
        self._forget_connection()
        # The child's copies of the sockets would keep the parent's sessions and their locks alive after its death,
        # and closing a connection would say goodbye in the parent's name; /dev/null in their place does neither.
        null = os.open(os.devnull, os.O_RDWR)
        for connection in self._all_connections():
            # One that is broken has no socket any more.
            with suppress(psycopg2.Error, OSError):
                os.dup2(null, connection.fileno())
            # So that a block of the parent's that ends here gives none of them to the child's pool.
            connection.lent_to = None
        os.close(null)
        self._connections = weakref.WeakSet()

    # Statements

    def fetch(self, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        # As `_on_a_connection`, in fewer steps, which is a part of a lookup that can be measured.
        thread = self._threads.current
        if thread.scopes:
            self.check_usable()
        connection: PostgresqlConnection | None = thread.connection
        if connection is not None:
            return self._fetch_on(connection, sql, parameters)
        connection = self._pool.acquire()
        try:
            try:
                return self._fetch_on(connection, sql, parameters)
            finally:
                self._give_back(connection)
        except BaseException:
            self._pool.reclaim(connection)
            raise

    def run(self, sql: str, parameters: Sequence[Any] | None) -> int:
        return self._on_a_connection(self._run_on, sql, parameters)

    def fetch_undecoded(self, sql: str, parameters: Sequence[Any] | None) -> tuple[ResultColumns, list[Row]]:
        return self._on_a_connection(self._fetch_undecoded_on, sql, parameters)

    def perform(self, sql: str, parameters: Sequence[Any] | None) -> StatementResult:
        return self._on_a_connection(self._perform_on, sql, parameters)

    def _perform_on(
        self, connection: PostgresqlConnection, sql: str, parameters: Sequence[Any] | None
    ) -> StatementResult:
        look_at(connection, sql)

        def execute(cursor: extensions.cursor) -> StatementResult:
            cursor.execute(sql, parameters)
            rows = cursor.fetchall() if cursor.description is not None else []
            columns = columns_of(cursor)
            return StatementResult([name for name, _ in columns], decoded(columns, rows), self.count_rows(cursor))

        return self._on(connection, execute, sql, parameters)

    def can_copy(self) -> bool:
        # The driver refuses COPY where a callback waits for the server, as psycogreen's does.
        # The server refuses it where row security holds the role.
        return extensions.get_wait_callback() is None and not self.options.row_security

    def is_partitioned(self, table: str) -> bool:
        # One that has partitions keeps them.
        asked_again = self._partitions_known.get(table, 0.0)
        if asked_again != math.inf and asked_again <= time.monotonic():
            (found,) = self.fetch(_IS_PARTITIONED, (POSTGRESQL.quote(table),))
            asked_again = math.inf if found[0] else time.monotonic() + _KNOWN_SECONDS
            self._partitions_known[table] = asked_again
        return asked_again == math.inf

    def forget_partitions(self) -> None:
        self._partitions_known.clear()

    def continue_ids(self, table: str, column: str) -> None:
        quoted = POSTGRESQL.quote(table)
        sequence = "pg_get_serial_sequence(@table, @column)::regclass"
        maximum = f"(SELECT MAX({POSTGRESQL.quote(column)}) FROM {quoted})"  # noqa: S608 - names of a model
        sql, values = self.bind_parameters(
            f"SELECT setval({sequence}, {maximum}) WHERE {maximum} > COALESCE(pg_sequence_last_value({sequence}), 0)",
            {"table": quoted, "column": column},
        )
        self.run(sql, values)

    def _on_a_connection(self, work: Callable[[PostgresqlConnection, str, Any], T], sql: str, values: Any) -> T:
        """Do the work on the connection that this thread keeps, else on one borrowed for just this."""
        thread = self._threads.current
        if thread.scopes:
            self.check_usable()
        connection: PostgresqlConnection | None = thread.connection
        if connection is not None:
            return work(connection, sql, values)
        connection = self._pool.acquire()
        try:
            try:
                return work(connection, sql, values)
            finally:
                self._give_back(connection)
        except BaseException:
            # An interrupt may have kept it from being given back.
            self._pool.reclaim(connection)
            raise

    def _fetch_on(self, connection: PostgresqlConnection, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        if type(sql) is LookupSql:
            if (
                connection.finds.get(sql, 0) >= OFTEN
                and not connection.aftermath
                and connection.get_transaction_status() == _IDLE
            ):
                rows = self._look_up_prepared(connection, sql, parameters)
                if rows:
                    return rows
        elif sql.__class__ is not PreparableSql:
            look_at(connection, sql)
        try:
            cursor = connection.take_cursor()
            cursor.execute(*filled(sql, parameters))
            rows = cursor.fetchall() if cursor.description is not None else []
        except psycopg2.Error as error:
            self.fail(error, sql, parameters)
        connection.keep(cursor)
        if type(sql) is LookupSql:
            if not rows:
                connection.finds.pop(sql, None)
            elif connection.finds.get(sql, 0) < OFTEN:
                count_find(connection, sql)
        return rows

    def _look_up_prepared(
        self, connection: PostgresqlConnection, sql: LookupSql, parameters: Sequence[Any] | None
    ) -> list[Row]:
        """Return what a lookup finds; nothing where it can not be prepared, or not be found that way."""
        rows: list[Row] = []
        try:
            cursor = connection.take_cursor()
            if connection.asked_at >= connection.plans_until:
                count_anew(connection)
            elif command := connection.ready.get(sql) or make_ready(connection, cursor, sql, parameters):
                cursor.execute(*filled(command, parameters))
                rows = cursor.fetchall()
        except psycopg2.Error as error:
            unready = sql not in connection.ready and cannot_prepare(error)
            # Whether it was out of date before, or is refused for what it is, the server says when it is asked again.
            if not (unready or was_out_of_date(error, known=True)):
                self.fail(error, sql, parameters)
            forget(connection, error, sql, parameters)
            if unready or belies_own_session(error):
                prepare_nothing(connection)
        connection.keep(cursor)
        return rows

    def _run_on(self, connection: PostgresqlConnection, sql: str, parameters: Sequence[Any] | None) -> int:
        if sql.__class__ is not PreparableSql:
            look_at(connection, sql)

        def execute(cursor: extensions.cursor) -> int:
            cursor.execute(sql, parameters)
            return max(cursor.rowcount, 0)

        return self._on(connection, execute, sql, parameters)

    def _fetch_undecoded_on(
        self, connection: PostgresqlConnection, sql: str, parameters: Sequence[Any] | None
    ) -> tuple[ResultColumns, list[Row]]:
        look_at(connection, sql)
        if self._threads.current.only_reads:
            name = self._next_cursor_name()
            self._open_cursor(connection, name, sql, parameters)
            sql, parameters = f"FETCH ALL FROM {name}", None
        try:
            cursor = connection.take_cursor()
            cursor.execute(sql, parameters)
            rows = cursor.fetchall() if cursor.description is not None else []
        except psycopg2.Error as error:
            self.fail(error, sql, parameters)
        columns = columns_of(cursor)
        connection.keep(cursor)
        return columns, rows

    def _on(
        self,
        connection: PostgresqlConnection,
        work: Callable[[extensions.cursor], T],
        sql: str = "",
        parameters: Sequence[Any] | None = None,
    ) -> T:
        try:
            cursor = connection.take_cursor()
            result = work(cursor)
        except psycopg2.Error as error:
            self.fail(error, sql, parameters)
        connection.keep(cursor)
        return result

    def fail(self, error: Exception, sql: str = "", parameters: Sequence[Any] | None = None) -> NoReturn:
        try:
            super().fail(error, sql, parameters)
        finally:
            self._let_go_of_a_lost_connection()

    def _let_go_of_a_lost_connection(self) -> None:
        """Have a session go on with another connection; a transaction never does."""
        connection: PostgresqlConnection | None = self._threads.current.connection
        if connection is not None and connection.closed and not self._threads.current.scopes:
            self.unpin()

    def _execute_on(self, connection: PostgresqlConnection, sql: str) -> None:
        self._on(connection, lambda cursor: cursor.execute(sql))

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        return self._on_a_connection(self._run_many_on, sql, rows)

    def _run_many_on(self, connection: PostgresqlConnection, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        def execute(cursor: extensions.cursor) -> int:
            cursor.executemany(sql, rows)
            return max(cursor.rowcount, 0)

        return self._on(connection, execute)

    def copy_rows(self, sql: str, text: CopySource) -> int:
        return self._on_a_connection(self._copy_on, sql, text)

    def _copy_on(self, connection: PostgresqlConnection, sql: str, text: CopySource) -> int:
        def copy(cursor: extensions.cursor) -> int:
            try:
                # Lines are never asked for, only so many bytes.
                cursor.copy_expert(sql, text, _COPY_READ_BYTES)  # type: ignore[arg-type]
            except psycopg2.Error:
                if text.failures:
                    raise text.failures.pop() from None
                raise
            return max(cursor.rowcount, 0)

        count = self._on(connection, copy)
        # A table that was small may be large.
        for known in self._all_connections():
            known.plans_until = 0.0
        return count

    def stream(self, sql: str, parameters: Sequence[Any] | None, chunk_size: int) -> Iterator[list[Row]]:
        for cursor in self._stream_cursor(sql, parameters, chunk_size):
            yield cursor.fetchall()

    def stream_described(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[tuple[list[str], list[Row]]]:
        for cursor in self._stream_cursor(sql, parameters, chunk_size):
            columns = columns_of(cursor)
            yield [name for name, _ in columns], decoded(columns, cursor.fetchall())

    def _stream_cursor(
        self, sql: str, parameters: Sequence[Any] | None, chunk_size: int
    ) -> Iterator[extensions.cursor]:
        """Yield a cursor that holds the next rows, as often as there are any.

        Inside a transaction the server's cursor belongs to it. Outside, it gets a connection and a read-only
        transaction of its own, so that whatever the caller does between two chunks does not disturb it.
        """
        name = self._next_cursor_name()
        told = f"{sql.before}; " if isinstance(sql, ToldSql) else ""
        declare = f"{told}DECLARE {name} NO SCROLL CURSOR FOR {sql}"
        fetch = f"FETCH FORWARD {chunk_size} FROM {name}"
        thread = self._threads.current
        if thread.scopes:
            scope = thread.scopes[0]
            if thread.only_reads:
                self.check_usable()
                self._open_cursor(thread.connection, name, sql, parameters)
            else:
                self.run(declare, parameters)
            yield from self._fetch_chunks(thread.connection, fetch, chunk_size, sql, parameters, scope)
            if self._threads.current.scopes[:1] == [scope]:
                self.run(f"CLOSE {name}", None)
            return
        # Given up when the stream ends, in whatever way.
        place = self._pool.place_for_stream()
        connection = self._pool.acquire()
        begin = f"BEGIN READ ONLY{self._after_begin}; SET LOCAL idle_in_transaction_session_timeout = 0; "
        try:
            try:
                look_at(connection, sql)
                self._on(connection, lambda cursor: cursor.execute(begin + declare, parameters), sql, parameters)
                yield from self._fetch_chunks(connection, fetch, chunk_size, sql, parameters)
            finally:
                self._roll_back(connection)
                self._give_back(connection)
                del place
        except BaseException:
            self._pool.reclaim(connection)
            raise

    def _next_cursor_name(self) -> str:
        return f"cloudpub_stream_{next(self._stream_numbers)}"

    def _open_cursor(
        self, connection: PostgresqlConnection, name: str, sql: str, parameters: Sequence[Any] | None
    ) -> None:
        """Have the server open a cursor for a text that it refuses unless it is one query, as it reads it."""
        look_at(connection, sql)
        try:
            cursor = connection.take_cursor()
            text = cursor.mogrify(sql, parameters).decode()
            cursor.execute(_opening(name, text))
        except psycopg2.Error as error:
            if error.pgcode != _NO_CURSOR:
                self.fail(error, sql, parameters)
            typed = InvalidQueryError(
                "expected a single query where SQL is read-only; got several statements, or one that gives no rows"
            )
            self._remember(typed)
            raise typed from error
        connection.keep(cursor)

    def _fetch_chunks(
        self,
        connection: PostgresqlConnection,
        fetch: str,
        chunk_size: int,
        sql: str,
        parameters: Sequence[Any] | None,
        scope: Scope | None = None,
    ) -> Iterator[extensions.cursor]:
        while True:
            if scope is not None and self._threads.current.scopes[:1] != [scope]:
                # The connection may be another thread's by now, in a transaction that a failure would end.
                raise InvalidQueryError(
                    "expected a stream whose transaction is open; got one of a transaction that is over: "
                    "read it inside the block"
                )
            if self._threads.current.scopes:
                self.check_usable()
            # A cursor of its own, since the caller runs other statements on the connection between two chunks.
            try:
                received = connection.take_cursor()
                received.execute(fetch)
            except psycopg2.Error as error:
                self.fail(error, sql, parameters)
            connection.idle_since = time.monotonic()
            count = received.rowcount
            if count:
                yield received
            received.close()
            if count < chunk_size:
                return

    # Transactions

    def begin_statement(self, isolation: str | None, read_only: bool) -> str:
        if isolation is None and self._isolation_level is not None:
            isolation = self._adapter.isolation_level_str(self._isolation_level)
        return "BEGIN" + (f" ISOLATION LEVEL {isolation}" if isolation else "") + (" READ ONLY" if read_only else "")

    def begin_transaction(self, isolation: str | None, read_only: bool) -> None:
        begin = self.begin_statement(isolation, read_only) + self._after_begin
        actor = self._threads.current.actor
        values = None if read_only or actor is None else (actor.name, actor.details or "")
        if values is not None:
            begin += f"; {_TELL_ACTOR}"
        try:
            self._begin_on(self._threads.current.connection, begin, values, read_only)
        except ConnectionLostError:
            # Nothing has happened yet, so a connection that died in the pool may be replaced unnoticed, once.
            self.unpin()
            self.pin(check=True)
            self._begin_on(self._threads.current.connection, begin, values, read_only)

    def _begin_on(
        self, connection: PostgresqlConnection, begin: str, values: tuple[str, str] | None, read_only: bool
    ) -> None:
        def begin_marked(cursor: extensions.cursor) -> TransactionMark | None:
            mark_query = MARK_QUERY if connection.timeline is None else MARK_ON_TIMELINE_QUERY
            try:
                cursor.execute(f"{begin}; {mark_query}", values)
            except psycopg2.Error as error:
                if error.pgcode not in SAYS_NOTHING:
                    raise
                cursor.execute("ROLLBACK")
                mark = begin_unmarked(cursor)
                self._server_marks_transactions = False
                return mark
            (row,) = cursor.fetchall()
            return _mark(connection, *row)

        def begin_unmarked(cursor: extensions.cursor) -> TransactionMark | None:
            cursor.execute(begin, values)
            return None if read_only else UNMARKED

        marks = self._server_marks_transactions and not read_only
        connection.transaction_mark = self._on(connection, begin_marked if marks else begin_unmarked)

    def mark_of_writes(self) -> object:
        connection: PostgresqlConnection | None = self._threads.current.connection
        if connection is None or connection.get_transaction_status() != _IDLE or connection.aftermath:
            return None
        return connection.asked_at

    def _tell_actor(self, actor: Actor | None) -> None:
        values = ("", "") if actor is None else (actor.name, actor.details or "")
        self._on(self._threads.current.connection, lambda cursor: cursor.execute(_TELL_ACTOR, values))

    def commit_transaction(self, scope: Scope) -> None:
        connection: PostgresqlConnection = self._threads.current.connection
        if connection.closed:
            raise ConnectionLostError("the connection was lost before COMMIT was sent; nothing was kept: run it again")
        status = connection.get_transaction_status()
        if status == _IDLE:
            raise TransactionAbortedError(
                "this transaction was ended by a COMMIT or ROLLBACK inside its block: leave ending it to the block"
            )
        if status == extensions.TRANSACTION_STATUS_INERROR:
            self.rollback_transaction()
            raise TransactionAbortedError("a statement of this transaction failed, so nothing of it can be committed")
        if has_input(connection):
            # An idle server says nothing unless it is ending the session; asking tells, before COMMIT is sent.
            self._execute_on(connection, "SELECT 1")
        try:
            cursor = connection.text_cursor()
            cursor.execute("COMMIT")
        except psycopg2.Error as error:
            typed = self.classify(error)
            mark = connection.transaction_mark
            if mark is None or not isinstance(typed, ConnectionLostError):
                raise typed from error
            raise self._commit_unknown(mark) from error
        if cursor.statusmessage == "ROLLBACK":
            raise TransactionAbortedError("the server rolled this transaction back instead of committing it")

    def _commit_unknown(self, mark: TransactionMark) -> CommitUnknownError:
        return CommitUnknownError(
            "the connection was lost while COMMIT was under way, so the transaction may or may not have been "
            "committed: call resolve() on this error to find out, and do not run the transaction again before",
            OutcomeQuestion(mark, self.fetch, max(self.options.connect_timeout, 1), self.masked_url),
        )

    def has_transaction_to_end(self) -> bool:
        connection: PostgresqlConnection | None = self._threads.current.connection
        return connection is not None and _has_transaction_to_end(connection)

    def rollback_transaction(self) -> None:
        connection: PostgresqlConnection | None = self._threads.current.connection
        if connection is not None:
            self._roll_back(connection)

    def after_transaction(self) -> None:
        super().after_transaction()
        self._let_go_of_a_lost_connection()

    def _roll_back(self, connection: PostgresqlConnection) -> None:
        if not _has_transaction_to_end(connection):
            return
        try:
            connection.text_cursor().execute("ROLLBACK")
        except psycopg2.Error as error:
            # A connection that cannot roll back is thrown away, which rolls back as well.
            self.classify(error)
            connection.close()

    @contextmanager
    def only_reading(self) -> Iterator[None]:
        thread = self._threads.current
        thread.only_reads = True
        try:
            yield
        finally:
            thread.only_reads = False

    def run_control(self, sql: str) -> None:
        self._execute_on(self._threads.current.connection, sql)

    def classify(self, error: Exception, sql: str = "", parameters: Sequence[Any] | None = None) -> CloudpubError:
        assert isinstance(error, psycopg2.Error)
        typed = classify(error, read_only=self.read_only_transaction(), sql=sql, parameters=parameters or ())
        if not isinstance(typed, ConnectionLostError):
            return typed
        self._pool.suspect_all()
        refused = isinstance(typed, ReadOnlyServerError)
        if refused and error.cursor is not None:
            error.cursor.connection.close()
        if refused or has_gone_silent(typed):
            self._pool.give_up_idle(time.monotonic())
        return self._lost_by_waiting() or typed

    def _lost_by_waiting(self) -> ConnectionLostError | None:
        """Return the error for a transaction that was ended for its long pause; the server's word for it is lost."""
        connection: PostgresqlConnection | None = self._threads.current.connection
        limit = self.options.idle_in_transaction_timeout
        if connection is None or not self._threads.current.scopes or not limit:
            return None
        pause = connection.asked_at - connection.idle_since
        if pause < limit:
            return None
        error = ConnectionLostError(
            f"expected the next statement of a transaction within {limit:g} s; got none for {pause:.3g} s, and the "
            "server has ended it: do what takes long before it begins, or raise idle_in_transaction_timeout"
        )
        error.transient = False
        return error

    def execute_cursor(self, sql: str, parameters: Any, **cursor_options: Any) -> Any:
        # Results are held by the client once a statement has run, so Peewee's calls need no connection afterwards.
        with Session(self):
            connection: PostgresqlConnection = self._threads.current.connection
            look_at(connection, sql)
            connection.asked_at = time.monotonic()
            cursor = super().execute_cursor(sql, parameters, **cursor_options)
            connection.idle_since = time.monotonic()
            return cursor


def _mark(
    connection: PostgresqlConnection,
    id: str | None,
    counting_since: str | None,
    timeline: str | None = None,
    process: int | None = None,
) -> TransactionMark | None:
    """Return what a transaction is known by, and keep its timeline where all in this session will have the same.

    A pooler may send the next one to another server. It gives its clients numbers of its own, not those of processes.
    """
    if process is None:
        timeline = connection.timeline
    elif process == connection.get_backend_pid():
        connection.timeline = timeline
    return None if id is None else TransactionMark(id, counting_since, timeline)


def _opening(name: str, sql: str) -> str:
    """Return what has the server open a cursor for a text that it gets as a value, so that nothing of it is behind.

    PL/pgSQL opens cursors for single queries only. Nobody can guess the tags, which do not depend on any setting.
    """
    block, inner = (f"$cloudpub_{secrets.token_hex(8)}$" for _ in range(2))
    opened = f"DECLARE opened refcursor := '{name}'; BEGIN OPEN opened NO SCROLL FOR EXECUTE {inner}{sql}{inner}; END"
    return f"DO {block}{opened}{block}"


def _has_transaction_to_end(connection: PostgresqlConnection) -> bool:
    return not connection.closed and connection.get_transaction_status() != _IDLE
