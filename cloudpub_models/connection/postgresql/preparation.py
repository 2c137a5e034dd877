"""What a session has prepared: under which names, whether it is one's own to prepare in, what an error says of it.

A lookup takes longer to plan than to run. So it is prepared by itself where it is asked for often and nobody can
notice: outside of transactions, since an error would end one; where no raw SQL has changed what names mean in the
session; and only in a session that is one's own. What ``prepared=True`` prepares is the business of ``prepared``.

``EXECUTE`` decides which rows it sees before it waits for the locks of its tables, any other statement after that. So
one that has found nothing is asked for a second time, as it is; and a lookup that finds nothing often is not prepared.
One of several rows, a part of which it could miss, is executed behind a ``LOCK`` of its tables that is sent with it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import psycopg2
from psycopg2 import extensions

from cloudpub_models.connection.postgresql.connection import PostgresqlConnection
from cloudpub_models.sql.statement import LookupSql, PreparableSql

Cursor = extensions.cursor

MOST_PREPARED = 100
"""How many statements a connection keeps prepared; then the one that was not used for longest goes."""

SECONDS_OF_YOUTH = 1.0
"""How old a connection is before it prepares lookups: what opens one for each unit of work would not get that back."""

OFTEN = 10
"""How often in a row a lookup has to find its row before it is prepared, which takes as long as some 15 save."""

SECONDS_OF_A_PLAN = 5.0
"""For how long a lookup that is prepared by itself is planned as it was; and within which time it is asked for often.

A table that was small is read from end to end by a plan of that time, however large it has become.
"""

_GONE = "26000"
_THERE_ALREADY = "42P05"
# The server's function that finds a plan out of date: its SQLSTATE has many other reasons, and its text is translated.
_FINDS_OUT_OF_DATE = "RevalidateCachedQuery"
# A number beyond the type that its column had before, and a type that is not there any more.
_OUT_OF_RANGE = "22003"
_INTERNAL = "XX000"
# No such feature, syntax or function, or no leave to use it.
_NOT_THERE = ("0A000", "42601", "42883", "42501")
# How the names of those of the server's files begin that find no operator, or no conversion, for the types it has.
_ANALYSIS = "parse_"


def old_enough_at(opened_at: float) -> float:
    """Return from when on a connection prepares lookups."""
    return opened_at + SECONDS_OF_YOUTH


def count_find(connection: PostgresqlConnection, sql: LookupSql) -> None:
    """Count that a lookup has found its row, sent as it is."""
    if connection.asked_at < connection.prepares_from:
        return
    if connection.asked_at >= connection.plans_until:
        count_anew(connection)
    finds = connection.finds
    if sql in finds or len(finds) < MOST_PREPARED:
        finds[sql] = finds.get(sql, 0) + 1


def count_anew(connection: PostgresqlConnection) -> None:
    """Forget which lookups were asked for often: so what is not any more is sent as it is, and no plan gets old."""
    connection.finds.clear()
    connection.ready.clear()
    connection.plans_until = connection.asked_at + SECONDS_OF_A_PLAN


def make_ready(
    connection: PostgresqlConnection, cursor: Cursor, sql: LookupSql, parameters: Sequence[Any] | None
) -> str | None:
    """Return the command that executes a lookup, planned no longer ago than now; ``None`` in a session of others."""
    if not (connection.has_own_session or _has_own_session(connection, cursor)):
        prepare_nothing(connection)
        return None
    prepared = connection.prepared
    if prepared and not connection.ready:
        # By itself the server plans anew after an ANALYZE only.
        cursor.execute("DISCARD PLANS")
    command = prepared.get(sql)
    if command is None:
        command = prepare(connection, cursor, sql, parameters)
    else:
        prepared.move_to_end(sql)
    ready = connection.ready[sql] = f"{_waiting_for(sql.locks)}{command}"
    return ready


def _waiting_for(tables: Sequence[str]) -> str:
    """Return the statement that waits for tables as reading them does, and what parts it from the next one."""
    # Without parameters of its own it is filled in with those of the next one.
    names = ", ".join([f"ONLY {table}" for table in tables]).replace("%", "%%")
    return f"LOCK TABLE {names} IN ACCESS SHARE MODE; " if tables else ""


def _has_own_session(connection: PostgresqlConnection, cursor: Cursor) -> bool:
    """Ask the server, once, whether the session is this connection's alone.

    A pooler that lends sessions has to give each client a number of its own to cancel by, so the number that libpq got
    as it connected is not the session's.
    """
    cursor.execute("SELECT pg_backend_pid()")
    connection.has_own_session = cursor.fetchone() == (connection.get_backend_pid(),)
    return connection.has_own_session


def prepare_nothing(connection: PostgresqlConnection) -> None:
    """Have no lookup prepared in a session any more."""
    connection.prepares_from = math.inf
    connection.finds.clear()


def prepare(
    connection: PostgresqlConnection, cursor: Cursor, sql: PreparableSql, parameters: Sequence[Any] | None
) -> str:
    """Prepare a statement and return the command that executes it."""
    prepared, outdated = connection.prepared, connection.outdated
    if len(prepared) >= MOST_PREPARED:
        unused, command = prepared.popitem(last=False)
        connection.ready.pop(unused, None)
        outdated.append(name_in(command))
    if outdated:
        cursor.execute("; ".join([f"DEALLOCATE {name}" for name in outdated]))
        outdated.clear()
    name, body, arguments = _prepared_as(sql, bool(parameters))
    cursor.execute(f"PREPARE {name} AS {body}")
    command = prepared[sql] = f"EXECUTE {name}{arguments}"
    return command


@lru_cache(maxsize=1024)
def _prepared_as(sql: str, has_parameters: bool) -> tuple[str, str, str]:
    """Return the name of a prepared statement, its text, and the arguments of its ``EXECUTE``.

    The name is its text's own: where a pooler gives the next statement another session, what stands there under this
    name is the same statement, and never another client's.
    """
    # Without parameters a %s is the statement's own, as in format('%s', name).
    body, arguments = _numbered(sql) if has_parameters else (sql, "")
    digest = hashlib.sha256(body.encode()).hexdigest()[:32]
    return f"cloudpub_{digest}", body, arguments


def name_in(command: str) -> str:
    """Return the name of the statement that a command executes."""
    return command.split()[1].partition("(")[0]


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> tuple[str, str]:
    """Return a statement with numbered parameters, as ``PREPARE`` takes it, and the arguments of its ``EXECUTE``.

    >>> _numbered("SELECT id FROM users WHERE id = %s AND id %% 2 = %s")
    ('SELECT id FROM users WHERE id = $1 AND id % 2 = $2', '(%s,%s)')
    """
    pieces = sql.replace("%%", "\0").split("%s")
    if len(pieces) == 1:
        # Without parameters the driver takes a % for nothing else, so none is doubled.
        return sql, ""
    body = pieces[0] + "".join([f"${number}{piece}" for number, piece in enumerate(pieces[1:], 1)])
    return body.replace("\0", "%"), f"({','.join(['%s'] * (len(pieces) - 1))})"


def forget(
    connection: PostgresqlConnection, error: psycopg2.Error, sql: PreparableSql, parameters: Sequence[Any] | None
) -> None:
    """Forget of what is prepared in a session what an error says is gone or out of date."""
    if error.pgcode == _GONE:
        # Then most likely all are.
        connection.prepared.clear()
        connection.outdated.clear()
    elif error.pgcode == _THERE_ALREADY:
        connection.outdated.append(_prepared_as(sql, bool(parameters))[0])
    elif command := connection.prepared.pop(sql, None):
        connection.ready.pop(sql, None)
        connection.outdated.append(name_in(command))


def was_out_of_date(error: psycopg2.Error, known: bool) -> bool:
    """Return whether an error says that a statement was gone or out of date; ``known`` if it was prepared before."""
    if error.pgcode in (_GONE, _THERE_ALREADY) or (
        error.pgcode == "0A000" and error.diag.source_function == _FINDS_OUT_OF_DATE
    ):
        return True
    # Its parameters have the types that they had before a column got another one.
    return known and (
        error.pgcode in (_OUT_OF_RANGE, _INTERNAL) or (error.diag.source_file or "").startswith(_ANALYSIS)
    )


def belies_own_session(error: psycopg2.Error) -> bool:
    """Return whether an error says that others prepare, or throw away, in a session that seemed to be one's own."""
    return error.pgcode in (_GONE, _THERE_ALREADY)


def cannot_prepare(error: psycopg2.Error) -> bool:
    """Return whether an error of what prepares says that a server, or what stands before it, does not know how to."""
    return error.pgcode in _NOT_THERE
