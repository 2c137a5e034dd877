"""sqlite3's errors, classified as ours: by SQLite's extended result code (https://sqlite.org/rescode.html).

The driver's text is read only where no code exists, and for the columns that a constraint names. No message repeats a
row's values.
"""

from __future__ import annotations

import re
import sqlite3

from cloudpub_models import errors
from cloudpub_models.connection.advice import constraint_error, shortened, with_advice

# Of STRICT tables; the sqlite3 module has no name for it.
_CONSTRAINT_DATATYPE = sqlite3.SQLITE_CONSTRAINT | 12 << 8

_CONSTRAINTS: dict[int, type[errors.ConstraintError]] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: errors.UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: errors.UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_ROWID: errors.UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: errors.ForeignKeyViolationError,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: errors.NotNullViolationError,
    sqlite3.SQLITE_CONSTRAINT_CHECK: errors.CheckViolationError,
}
_CODES: dict[int, type[errors.CloudpubError]] = {
    sqlite3.SQLITE_BUSY_SNAPSHOT: errors.SerializationError,
    sqlite3.SQLITE_ERROR: errors.RefusedQueryError,
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

_CONSTRAINT_TEXT = re.compile(r"constraint failed: (?P<subject>.+)$")
_INDEX = re.compile(r"index '(?P<name>.+)'")


def classify(
    error: sqlite3.Error,
    sql: str = "",
    *,
    read_only: bool = False,
    connection: sqlite3.Connection | None = None,
) -> errors.CloudpubError:
    """Return the error that users see for one of sqlite3's.

    Args:
        error: what the driver raised.
        sql: the statement, where there was one.
        read_only: whether the transaction was declared read-only, so that a refused write is the caller's mistake.
        connection: asked for what an index is about, of which SQLite tells the name alone.
    """
    text = shortened(str(error) or type(error).__name__)
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        if "closed" in text:
            return errors.ConnectionLostError(f"the database was closed while in use: {text}")
        # The sqlite3 module raises these itself: a value that it cannot bind, or a wrong number of them.
        return errors.InvalidValueError(text) if "bind" in text else errors.InvalidQueryError(text)
    basic = code & 0xFF
    if basic == sqlite3.SQLITE_CONSTRAINT:
        if code == _CONSTRAINT_DATATYPE:
            return errors.InvalidValueError(text)
        return _of_constraint(_CONSTRAINTS.get(code, errors.ConstraintError), text, sql, connection)
    if basic == sqlite3.SQLITE_READONLY and read_only:
        return errors.InvalidQueryError(f"this transaction is read-only: {text}")
    if text == "integer overflow":
        return errors.InvalidValueError(f"{text}: the sum has more than 64 bits; take it of decimals or floats")
    kind = _CODES.get(code) or _CODES.get(basic, errors.DatabaseError)
    return with_advice(
        kind,
        text,
        missing_table=text.startswith("no such table"),
        missing_constraint=text.startswith("ON CONFLICT clause does not match"),
    )


def _of_constraint(
    kind: type[errors.ConstraintError], text: str, sql: str, connection: sqlite3.Connection | None
) -> errors.ConstraintError:
    match = _CONSTRAINT_TEXT.search(text)
    subject = match["subject"] if match else ""
    qualified = [name.strip() for name in subject.split(",") if "." in name]
    if qualified:
        table = qualified[0].split(".")[0]
        return constraint_error(kind, text, table=table, columns=tuple(name.split(".", 1)[1] for name in qualified))
    index = _INDEX.fullmatch(subject)
    if index and connection is not None:
        name = index["name"]
        table, columns = _subject_of_index(connection, name)
        return constraint_error(kind, text, table=table, columns=columns, constraint=name)
    if kind is errors.ForeignKeyViolationError:
        return constraint_error(kind, text, table=_written_table(sql))
    return constraint_error(kind, text, constraint=subject if subject and kind is errors.CheckViolationError else None)


def _subject_of_index(connection: sqlite3.Connection, index: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the table and the columns of an index with expressions."""
    from cloudpub_models.sql.dialects import SQLITE
    from cloudpub_models.sql.text.expressions import indexed_columns

    query = "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND name = ?"
    found = connection.execute(query, (index,)).fetchone()
    if found is None:
        return None, ()
    table, statement = found
    return table, indexed_columns(statement, SQLITE)


def _written_table(sql: str) -> str | None:
    """Return the table that a statement writes to, which SQLite does not tell of a reference that is broken."""
    from cloudpub_models.sql.dialects import SQLITE
    from cloudpub_models.sql.text.summary import summary_of

    summary = summary_of(sql, SQLITE)
    if summary.operations[:1] and summary.operations[0] in ("INSERT", "UPDATE", "DELETE", "REPLACE") and summary.tables:
        return summary.tables[0].strip('"`[]')
    return None
