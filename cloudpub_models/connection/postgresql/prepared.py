"""The PostgreSQL engine with prepared statements: what managers send is parsed once for each connection.

A manager's statement of some shape is prepared by ``PREPARE`` before its first use on a connection and run by
``EXECUTE`` from then on (https://www.postgresql.org/docs/current/sql-prepare.html). What a connection has prepared is
remembered with it, so a new one begins with nothing. Raw SQL, streams and Peewee's statements are sent as they are.

A prepared statement can be gone (``DISCARD ALL``) or out of date (a column's type was changed). Outside a transaction
it is prepared again unnoticed. Inside one the server has ended the transaction by then, which has to be run again.

``EXECUTE`` decides which rows it sees before it waits for the locks of its tables, any other statement after that. So
where somebody's ``ALTER TABLE`` writes a table anew meanwhile, it sees no row of it. A statement that has found nothing
is therefore sent a second time, as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NoReturn, TypeVar

import psycopg2
from psycopg2 import extensions

from cloudpub_models.connection.postgresql.connection import PostgresqlConnection, columns_of
from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
from cloudpub_models.connection.postgresql.literals import filled
from cloudpub_models.connection.postgresql.preparation import forget, name_in, prepare, was_out_of_date
from cloudpub_models.connection.results import ResultColumns, Row
from cloudpub_models.connection.sessions import Session
from cloudpub_models.errors import PreparedStatementError
from cloudpub_models.sql.statement import PreparableSql

T = TypeVar("T")
Cursor = extensions.cursor


class PreparingEngine(PostgresqlEngine):
    """A PostgreSQL database whose managers' statements are prepared."""

    def _fetch_on(self, connection: PostgresqlConnection, sql: str, parameters: Sequence[Any] | None) -> list[Row]:
        if not isinstance(sql, PreparableSql):
            return super()._fetch_on(connection, sql, parameters)
        rows = self._execute_prepared(connection, sql, parameters, Cursor.fetchall)
        # A count of nothing is a row.
        if (rows and any(rows[0])) or _adds_rows(sql):
            return rows
        return super()._fetch_on(connection, sql, parameters)

    def _run_on(self, connection: PostgresqlConnection, sql: str, parameters: Sequence[Any] | None) -> int:
        if not isinstance(sql, PreparableSql):
            _expect_changes(connection, sql)
            return super()._run_on(connection, sql, parameters)
        count = self._execute_prepared(connection, sql, parameters, _row_count)
        return count if count or _adds_rows(sql) else super()._run_on(connection, sql, parameters)

    def _fetch_undecoded_on(
        self, connection: PostgresqlConnection, sql: str, parameters: Sequence[Any] | None
    ) -> tuple[ResultColumns, list[Row]]:
        if isinstance(sql, PreparableSql):
            columns, rows = self._execute_prepared(connection, sql, parameters, _columns_and_rows)
            if rows and any(rows[0]):
                return columns, rows
        _expect_changes(connection, sql)
        return super()._fetch_undecoded_on(connection, sql, parameters)

    def execute_cursor(self, sql: str, parameters: Any, **cursor_options: Any) -> Any:
        with Session(self):
            _expect_changes(self._threads.current.connection, sql)
            return super().execute_cursor(sql, parameters, **cursor_options)

    def _execute_prepared(
        self,
        connection: PostgresqlConnection,
        sql: PreparableSql,
        parameters: Sequence[Any] | None,
        result: Callable[[Cursor], T],
    ) -> T:
        prepared = connection.prepared
        cursor = connection.take_cursor()
        known = command = prepared.get(sql)
        try:
            if command is None:
                command = prepare(connection, cursor, sql, parameters)
            else:
                prepared.move_to_end(sql)
            cursor.execute(*filled(command, parameters))
            found = result(cursor)
        except psycopg2.Error as error:
            if not was_out_of_date(error, known is not None):
                self.fail(error, sql, parameters)
            found = self._execute_again(connection, cursor, sql, parameters, result, error)
        connection.keep(cursor)
        return found

    def _execute_again(
        self,
        connection: PostgresqlConnection,
        cursor: Cursor,
        sql: PreparableSql,
        parameters: Sequence[Any] | None,
        result: Callable[[Cursor], T],
        error: psycopg2.Error,
    ) -> T:
        """Prepare a statement once more and run it, where its transaction is not over."""
        forget(connection, error, sql, parameters)
        if connection.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            self._fail_out_of_date(error)
        try:
            cursor.execute(prepare(connection, cursor, sql, parameters), parameters or None)
            return result(cursor)
        except psycopg2.Error as another:
            self.fail(another)

    def _fail_out_of_date(self, error: psycopg2.Error) -> NoReturn:
        typed = PreparedStatementError(
            f"a prepared statement is gone or out of date ({self.classify(error)}): "
            "run the whole transaction again, as run_transaction() does"
        )
        self._remember(typed)
        raise typed from error


def _expect_changes(connection: PostgresqlConnection, sql: str) -> None:
    """Forget what is prepared before a statement that may remove it, or change what it depends on.

    Else the next statement of the same transaction would fail. What a function does that a SELECT calls is not seen.
    """
    found = _changing()(sql)
    if found is not None:
        if found[1].upper().startswith(("DISCARD", "DEALLOCATE")):
            # Nothing is left, neither of what is in use nor of what was to be removed.
            connection.outdated.clear()
        else:
            connection.outdated.extend(map(name_in, connection.prepared.values()))
        connection.prepared.clear()


@cache
def _changing() -> Callable[[str], re.Match[str] | None]:
    beginning = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*+"
    statements = r"ALTER|CREATE|DROP|DO|DISCARD\s+ALL|DEALLOCATE\s+(?:PREPARE\s+)?ALL|CALL"
    return re.compile(rf"{beginning}({statements})\b", re.IGNORECASE | re.DOTALL).match


def _adds_rows(sql: str) -> bool:
    """Return whether a statement depends on no rows but those that a unique index finds, whoever sees them."""
    return sql.startswith("INSERT ")


def _columns_and_rows(cursor: Cursor) -> tuple[ResultColumns, list[Row]]:
    return columns_of(cursor), cursor.fetchall()


def _row_count(cursor: Cursor) -> int:
    return max(cursor.rowcount, 0)
