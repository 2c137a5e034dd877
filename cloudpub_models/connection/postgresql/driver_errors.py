"""psycopg2's errors, classified as ours: by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).

The driver's text is read only where no code exists, for a connection refused or cut, and for the columns that a
constraint names. No message repeats a row's values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg2

from cloudpub_models import errors
from cloudpub_models.connection.advice import constraint_error, shortened, with_advice
from cloudpub_models.connection.url import mask_password
from cloudpub_models.sql.dialects import POSTGRESQL
from cloudpub_models.sql.text.expressions import columns_in
from cloudpub_models.sql.text.secrets import mentions_secret_column, without_secrets

_SQLSTATES: dict[str, type[errors.CloudpubError]] = {
    "40001": errors.SerializationError,
    "40P01": errors.DeadlockError,
    "55P03": errors.LockNotAvailableError,
    "57014": errors.QueryTimeoutError,
    "25P02": errors.TransactionAbortedError,
    "25P03": errors.ConnectionLostError,
    "25P04": errors.ConnectionLostError,
    "25006": errors.ReadOnlyServerError,
    "57P01": errors.ConnectionLostError,
    "57P02": errors.ConnectionLostError,
    "57P03": errors.ConnectionFailedError,
    "57P05": errors.ConnectionLostError,
    "53300": errors.ConnectionFailedError,
    "53100": errors.StorageError,
    "58030": errors.StorageError,
    "54000": errors.InvalidValueError,
    # The library's own, of a server of history that was told of a later map of buckets.
    "CP001": errors.OutdatedMapError,
}
_SQLSTATE_CLASSES: dict[str, type[errors.CloudpubError]] = {
    "08": errors.ConnectionLostError,
    "22": errors.InvalidValueError,
    "28": errors.ConnectionFailedError,
    "3D": errors.ConnectionFailedError,
    "42": errors.RefusedQueryError,
}
_CONSTRAINT_SQLSTATES: dict[str, type[errors.ConstraintError]] = {
    "23502": errors.NotNullViolationError,
    "23503": errors.ForeignKeyViolationError,
    "23505": errors.UniqueViolationError,
    "23514": errors.CheckViolationError,
}

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
    r"|unreachable|no route to host|(host|network) is down|temporary failure in name resolution"
    r"|session is read-only|hot standby mode"
    r"|reset by peer|broken pipe|server login has been failing|server_login_retry",
    re.IGNORECASE,
)
# Of hosts none of which has answered at all.
_NO_ANSWER = re.compile(r"timeout expired|timed out", re.IGNORECASE)
# Of a connection that went silent, behind which others are as silent.
_SILENCE = re.compile(r"timed out|unreachable|no route to host|(host|network) is down", re.IGNORECASE)
_KEY = re.compile(r"^Key \((?P<columns>.*?)\)=\(")


def classify(
    error: psycopg2.Error, *, read_only: bool = False, sql: str = "", parameters: Sequence[Any] = ()
) -> errors.CloudpubError:
    """Return the error that users see for one of psycopg2's.

    Args:
        error: what the driver raised. Its own text is cut to the message proper, since PostgreSQL's details repeat
            whole rows and its ``LINE 1:`` the statement with its values, and a traceback shows both errors.
        read_only: whether the transaction was declared read-only, so that a refused write is the caller's mistake.
        sql: the statement, of whose secrets nothing is repeated.
        parameters: its parameters.
    """
    code = error.pgcode
    primary = error.diag.message_primary if code else None
    text = without_secrets(mask_password(primary or str(error).strip() or type(error).__name__), sql, parameters)
    if (code or "").startswith("22") and mentions_secret_column(sql):
        # A value that the database has read may be the one that does not fit.
        text = re.sub(r'"[^"]*+"?', '"***"', text)
    text = shortened(text)
    if code == "42601":
        # The driver has put the values into the statement, so the token at which it goes wrong may be one.
        text = re.sub(r"\"\s*E?'.*", "a value", text, flags=re.DOTALL)
    error.args = (text,)
    if code in _CONSTRAINT_SQLSTATES or (code or "").startswith("23"):
        diagnosis = error.diag
        return constraint_error(
            _CONSTRAINT_SQLSTATES.get(code or "", errors.ConstraintError),
            text,
            table=diagnosis.table_name,
            columns=_columns(diagnosis.column_name, diagnosis.message_detail),
            constraint=diagnosis.constraint_name,
        )
    if code == "25006" and read_only:
        return errors.InvalidQueryError(f"this transaction is read-only: {text}")
    if code == "25006" and _reads_only_by_setting(error):
        return with_advice(errors.StorageError, f"default_transaction_read_only is on: {text}")
    if code is not None:
        kind = _SQLSTATES.get(code) or _SQLSTATE_CLASSES.get(code[:2], errors.DatabaseError)
        is_conflict = code == "42P10" and "ON CONFLICT" in text
        return with_advice(kind, text, missing_table=code == "42P01", missing_constraint=is_conflict)
    if _LOST_CONNECTION.search(text) or _has_closed_its_connection(error):
        reason = " ".join(text.split())
        return with_advice(errors.ConnectionLostError, f"the connection was lost: {reason}")
    if isinstance(error, psycopg2.ProgrammingError):
        return errors.InvalidQueryError(text)
    return errors.DatabaseError(text)


def classify_failed_connect(error: Exception, target: str, seconds: float) -> errors.ConnectionFailedError:
    """Return the error for a connection that could not be opened, naming the database without its password.

    Args:
        error: what the driver raised.
        target: the URL, without its password.
        seconds: how long the attempt has taken.
    """
    lines = [line.strip() for line in mask_password(str(error)).splitlines() if line.strip()]
    reason = " / ".join(dict.fromkeys(lines)) or type(error).__name__
    advice = "check that the server runs, and the URL's host, port, name and user"
    if "unsupported startup parameter: options" in reason:
        advice = "this is PgBouncer: give the database the option transaction_pooler=True"
    failure = errors.ConnectionFailedError(f"cannot connect to {target}: {reason}; {advice}")
    failure.transient = bool(_TRANSIENT_CONNECT_FAILURE.search(reason) or _LOST_CONNECTION.search(reason))
    # One of several hosts that answers may be the one that takes over soon.
    if lines and all(_NO_ANSWER.search(line) for line in lines):
        failure.silent_seconds = seconds
    return failure


def has_gone_silent(error: errors.ConnectionLostError) -> bool:
    """Return whether the server, or the way to it, has given no answer for as long as one waits for it."""
    return _SILENCE.search(str(error)) is not None


def _reads_only_by_setting(error: psycopg2.Error) -> bool:
    """Return whether it is a setting that forbids writes, and not that the server is a standby; servers report both."""
    if error.cursor is None:
        return False
    said = error.cursor.connection.get_parameter_status
    return said("default_transaction_read_only") == "on" and said("in_hot_standby") != "on"


def _has_closed_its_connection(error: psycopg2.Error) -> bool:
    """Return whether the driver gave the connection up with this error, whatever its text says."""
    cursor = error.cursor
    return cursor is not None and bool(cursor.connection.closed)


def _columns(column: str | None, detail: str | None) -> tuple[str, ...]:
    if column:
        return (column,)
    match = _KEY.match(detail or "")
    return columns_in(match["columns"], POSTGRESQL) if match else ()
