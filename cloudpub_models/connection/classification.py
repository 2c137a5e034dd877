"""The driver boundary: what a driver reports, classified as one of our errors.

PostgreSQL is classified by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), SQLite by its
extended result code (https://sqlite.org/rescode.html). The driver's text is read only where no code exists: for a
connection refused or cut, and for the columns a constraint names. Nothing is executed here, and no message repeats a
row's values.
"""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any

from cloudpub_models import errors
from cloudpub_models.connection.url import mask_password

if TYPE_CHECKING:
    import psycopg2

_SQLSTATES: dict[str, type[errors.CloudpubError]] = {
    "40001": errors.SerializationError,
    "40P01": errors.DeadlockError,
    "55P03": errors.LockNotAvailableError,
    "57014": errors.QueryTimeoutError,
    "25P02": errors.TransactionAbortedError,
    "25P03": errors.ConnectionLostError,
    "25P04": errors.ConnectionLostError,
    "25006": errors.StorageError,
    "57P01": errors.ConnectionLostError,
    "57P02": errors.ConnectionLostError,
    "57P03": errors.ConnectionFailedError,
    "57P05": errors.ConnectionLostError,
    "53300": errors.ConnectionFailedError,
    "53100": errors.StorageError,
    "58030": errors.StorageError,
    "54000": errors.InvalidValueError,
}
_SQLSTATE_CLASSES: dict[str, type[errors.CloudpubError]] = {
    "08": errors.ConnectionLostError,
    "22": errors.InvalidValueError,
    "28": errors.ConnectionFailedError,
    "3D": errors.ConnectionFailedError,
    "42": errors.InvalidQueryError,
}
_CONSTRAINT_SQLSTATES: dict[str, type[errors.ConstraintError]] = {
    "23502": errors.NotNullViolationError,
    "23503": errors.ForeignKeyViolationError,
    "23505": errors.UniqueViolationError,
    "23514": errors.CheckViolationError,
}

# Of STRICT tables; the sqlite3 module has no name for it.
_SQLITE_CONSTRAINT_DATATYPE = sqlite3.SQLITE_CONSTRAINT | 12 << 8

_SQLITE_CONSTRAINTS: dict[int, type[errors.ConstraintError]] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: errors.UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: errors.UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_ROWID: errors.UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: errors.ForeignKeyViolationError,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: errors.NotNullViolationError,
    sqlite3.SQLITE_CONSTRAINT_CHECK: errors.CheckViolationError,
}
_SQLITE_CODES: dict[int, type[errors.CloudpubError]] = {
    sqlite3.SQLITE_BUSY_SNAPSHOT: errors.SerializationError,
    sqlite3.SQLITE_ERROR: errors.InvalidQueryError,
    sqlite3.SQLITE_AUTH: errors.InvalidQueryError,
    sqlite3.SQLITE_RANGE: errors.ParameterError,
    sqlite3.SQLITE_BUSY: errors.LockNotAvailableError,
    sqlite3.SQLITE_LOCKED: errors.LockNotAvailableError,
    sqlite3.SQLITE_INTERRUPT: errors.QueryTimeoutError,
    sqlite3.SQLITE_TOOBIG: errors.InvalidValueError,
    sqlite3.SQLITE_MISMATCH: errors.InvalidValueError,
    sqlite3.SQLITE_READONLY: errors.StorageError,
    sqlite3.SQLITE_FULL: errors.StorageError,
    sqlite3.SQLITE_IOERR: errors.StorageError,
    sqlite3.SQLITE_CORRUPT: errors.StorageError,
    sqlite3.SQLITE_NOTADB: errors.StorageError,
    sqlite3.SQLITE_PERM: errors.StorageError,
    sqlite3.SQLITE_CANTOPEN: errors.StorageError,
}

_ADVICE: dict[type[errors.CloudpubError], str] = {
    errors.UniqueViolationError: "find the existing row first, or use upsert()",
    errors.ForeignKeyViolationError: "the row it refers to must exist, and may go only after the rows that refer to it",
    errors.NotNullViolationError: "give it a value",
    errors.CheckViolationError: "give it one of the values that the constraint allows",
    errors.LockNotAvailableError: "somebody else holds it; try again later, or raise lock_timeout or busy_timeout",
    errors.QueryTimeoutError: "make the query cheaper (see its EXPLAIN), or raise statement_timeout",
    errors.ConnectionLostError: "nothing of an open transaction was kept; run it again",
    errors.SerializationError: "run the whole transaction again, as run_transaction() does",
    errors.DeadlockError: "run the whole transaction again, as run_transaction() does",
    errors.TransactionAbortedError: "put work that may fail into a nested transaction()",
    errors.StorageError: "check the disk's space and the permissions of the database",
}

_MISSING_TABLE_ADVICE = ": has this database been migrated? call database.migrate()"

# Where libpq reports a broken connection it carries no SQLSTATE; these are the fragments of its messages, untranslated
# in the binaries that PyPI ships (src/interfaces/libpq/fe-misc.c, fe-secure.c).
_LOST_CONNECTION = re.compile(
    r"server closed the connection|connection (already )?closed|terminating connection|could not (send|receive) data"
    r"|SSL (connection|SYSCALL|error)|connection not open|no connection to the server|cursor already closed"
    r"|lost synchronization|insufficient data in|connection pointer is NULL|connection has been closed",
    re.IGNORECASE,
)
# A server that is down, starting, stopping, full or out of reach: what libpq says, and PostgreSQL's 57P03 and 53300.
_TRANSIENT_CONNECT_FAILURE = re.compile(
    r"connection refused|no such file or directory|(is|are) (starting up|shutting down)|recovery|not (yet )?accepting"
    r"|too many (clients|connections)|connection slots|no more connections allowed|timeout expired|timed out"
    r"|unreachable|reset by peer|broken pipe|server login has been failing|server_login_retry",
    re.IGNORECASE,
)
_LONGEST_TEXT = 500
_SQLITE_CONSTRAINT_TEXT = re.compile(r"constraint failed: (?P<subject>.+)$")
_POSTGRESQL_KEY = re.compile(r"^Key \((?P<columns>[^)]*)\)=")


def classify_postgresql(error: psycopg2.Error, *, read_only: bool = False) -> errors.CloudpubError:
    """Return the error that users see for one of psycopg2's.

    Args:
        error: what the driver raised. Its own text is cut to the message proper, since PostgreSQL's details repeat
            whole rows and its ``LINE 1:`` the statement with its values, and a traceback shows both errors.
        read_only: whether the transaction was declared read-only, so that a refused write is the caller's mistake.
    """
    code = error.pgcode
    primary = error.diag.message_primary if code else None
    text = _shortened(mask_password(primary or str(error).strip() or type(error).__name__))
    if code == "42601":
        # The driver has put the values into the statement, so the token at which it goes wrong may be one.
        text = re.sub(r"\"\s*E?'.*", "a value", text, flags=re.DOTALL)
    error.args = (text,)
    if code in _CONSTRAINT_SQLSTATES or (code or "").startswith("23"):
        diagnosis = error.diag
        return _constraint_error(
            _CONSTRAINT_SQLSTATES.get(code or "", errors.ConstraintError),
            text,
            table=diagnosis.table_name,
            columns=_postgresql_columns(diagnosis.column_name, diagnosis.message_detail),
            constraint=diagnosis.constraint_name,
        )
    if code == "25006" and read_only:
        return errors.InvalidQueryError(f"this transaction is read-only: {text}")
    if code is not None:
        kind = _SQLSTATES.get(code) or _SQLSTATE_CLASSES.get(code[:2], errors.DatabaseError)
        return kind(_with_advice(kind, text) + (_MISSING_TABLE_ADVICE if code == "42P01" else ""))
    if _LOST_CONNECTION.search(text) or _has_closed_its_connection(error):
        reason = " ".join(text.split())
        return errors.ConnectionLostError(
            _with_advice(errors.ConnectionLostError, f"the connection was lost: {reason}")
        )
    if _is_driver_misuse(error):
        return errors.InvalidQueryError(text)
    return errors.DatabaseError(text)


def classify_sqlite(error: sqlite3.Error, *, read_only: bool = False) -> errors.CloudpubError:
    """Return the error that users see for one of sqlite3's; see ``classify_postgresql``."""
    text = _shortened(str(error) or type(error).__name__)
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        if "closed" in text:
            return errors.ConnectionLostError(f"the database was closed while in use: {text}")
        # The sqlite3 module raises these itself: a value that it cannot bind, or a wrong number of them.
        return errors.InvalidValueError(text) if "bind" in text else errors.InvalidQueryError(text)
    basic = code & 0xFF
    if basic == sqlite3.SQLITE_CONSTRAINT:
        if code == _SQLITE_CONSTRAINT_DATATYPE:
            return errors.InvalidValueError(text)
        return _sqlite_constraint_error(_SQLITE_CONSTRAINTS.get(code, errors.ConstraintError), text)
    if basic == sqlite3.SQLITE_READONLY and read_only:
        return errors.InvalidQueryError(f"this transaction is read-only: {text}")
    kind = _SQLITE_CODES.get(code) or _SQLITE_CODES.get(basic, errors.DatabaseError)
    return kind(_with_advice(kind, text) + (_MISSING_TABLE_ADVICE if text.startswith("no such table") else ""))


def classify_failed_connect(error: Exception, target: str) -> errors.ConnectionFailedError:
    """Return the error for a connection that could not be opened, naming the database without its password."""
    lines = [line.strip() for line in mask_password(str(error)).splitlines() if line.strip()]
    reason = " / ".join(dict.fromkeys(lines)) or type(error).__name__
    advice = "check that the server runs, and the URL's host, port, name and user"
    if "unsupported startup parameter: options" in reason:
        advice = "this is PgBouncer: give the database the option transaction_pooler=True"
    failure = errors.ConnectionFailedError(f"cannot connect to {target}: {reason}; {advice}")
    failure.transient = bool(_TRANSIENT_CONNECT_FAILURE.search(reason) or _LOST_CONNECTION.search(reason))
    return failure


def _shortened(text: str) -> str:
    # A server repeats what it did not understand, however long it is.
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"


def _with_advice(kind: type[errors.CloudpubError], text: str) -> str:
    advice = _ADVICE.get(kind)
    return f"{text}: {advice}" if advice else text


def _has_closed_its_connection(error: psycopg2.Error) -> bool:
    """Return whether the driver gave the connection up with this error, whatever its text says."""
    cursor = error.cursor
    return cursor is not None and bool(cursor.connection.closed)


def _is_driver_misuse(error: psycopg2.Error) -> bool:
    import psycopg2

    return isinstance(error, psycopg2.ProgrammingError)


def _constraint_error(
    kind: type[errors.ConstraintError],
    text: str,
    *,
    table: str | None,
    columns: tuple[str, ...],
    constraint: str | None,
) -> errors.ConstraintError:
    where = f"{table}({', '.join(columns)})" if table and columns else table or "the row"
    problems: dict[type[errors.ConstraintError], str] = {
        errors.UniqueViolationError: f"another row already has this value in {where}",
        errors.ForeignKeyViolationError: f"{where} refers to a row that does not exist, or is referred to itself",
        errors.NotNullViolationError: f"{where} must not be null",
        errors.CheckViolationError: f"a value of {where} is not allowed",
    }
    named = f" (constraint {constraint})" if constraint else ""
    message = f"{problems.get(kind, text)}{named}"
    return kind(_with_advice(kind, message), table=table, columns=columns, constraint=constraint)


def _postgresql_columns(column: str | None, detail: str | None) -> tuple[str, ...]:
    if column:
        return (column,)
    match = _POSTGRESQL_KEY.match(detail or "")
    return tuple(name.strip() for name in match["columns"].split(",")) if match else ()


def _sqlite_constraint_error(kind: type[errors.ConstraintError], text: str) -> errors.ConstraintError:
    match = _SQLITE_CONSTRAINT_TEXT.search(text)
    subject = match["subject"] if match else ""
    qualified = [name.strip() for name in subject.split(",") if "." in name]
    names: dict[str, Any] = {"table": None, "columns": (), "constraint": None}
    if qualified:
        names["table"] = qualified[0].split(".")[0]
        names["columns"] = tuple(name.split(".", 1)[1] for name in qualified)
    elif subject and kind is errors.CheckViolationError:
        names["constraint"] = subject
    return _constraint_error(kind, text, **names)
