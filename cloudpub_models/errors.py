"""Every error the library raises, one tree.

::

    CloudpubError
    ├── ConfigurationError          no database named, a malformed URL, a missing driver
    ├── InvalidQueryError           a query that cannot be sent as it is
    │   ├── UnknownColumnError
    │   ├── UnknownTableError
    │   ├── InvalidIdentifierError
    │   ├── UnboundedWriteError
    │   ├── UnguardedError
    │   ├── ParameterError
    │   ├── InvalidCursorError
    │   └── RefusedQueryError       the database could not run it
    ├── InvalidValueError           a value that its column cannot hold
    │   └── InvalidCountError       a limit, an offset, a page or a size that is none
    ├── NotFoundError
    ├── DomainRuleError
    ├── LazyLoadingError
    ├── ConstraintError             the database refused a row
    │   ├── UniqueViolationError
    │   ├── ForeignKeyViolationError
    │   ├── NotNullViolationError
    │   └── CheckViolationError
    ├── ConnectionFailedError       no connection could be opened
    ├── ConnectionLostError         a connection broke while in use
    │   └── ReadOnlyServerError     its server takes no writes any more
    ├── PoolTimeoutError
    ├── CommitUnknownError          a connection broke while COMMIT was under way
    ├── PartlyKeptError             of several servers some have committed, and one has not
    ├── TransactionAbortedError
    ├── RetryableError              the same transaction may succeed when run again
    │   ├── SerializationError
    │   ├── DeadlockError
    │   ├── PreparedStatementError
    │   └── OutdatedMapError        rows are on another server by now, or on their way
    ├── LockNotAvailableError
    ├── QueryTimeoutError
    ├── StorageError                disk full, file read-only
    ├── MigrationError
    ├── HistoryError                the change log cannot tell or do what was asked
    │   ├── HistoryConflictError
    │   └── FeedGapError            a feed cannot go on without leaving something out
    ├── LeaseLostError              a lease that is over, so that its effects are refused
    └── DatabaseError               whatever else the database reports

Each is also the Peewee error that code written for Peewee catches today, so ``except peewee.IntegrityError`` keeps
working. This module only defines the tree; driver errors are classified in ``connection``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import peewee


class CloudpubError(Exception):
    """The base of every error that the library raises."""

    @property
    def orig(self) -> BaseException | None:
        """The driver's error behind this one, as Peewee's errors have it; None where there is none."""
        cause = self.__cause__
        return cause.orig if isinstance(cause, CloudpubError) else cause


class ConfigurationError(CloudpubError, peewee.ImproperlyConfigured):
    """The library was asked to work without knowing how: no database URL, a malformed one, a missing driver."""


class InvalidQueryError(CloudpubError, peewee.ProgrammingError):
    """A query that cannot be sent, or that the database could not understand."""


class UnknownColumnError(InvalidQueryError):
    """A column name that the model does not have."""


class UnknownTableError(InvalidQueryError):
    """A table name that no registered model has."""


class InvalidIdentifierError(InvalidQueryError):
    """A string where a name was expected, and which is not one."""


class UnboundedWriteError(InvalidQueryError):
    """An update or delete without a condition that does not say that it means every row."""


class UnguardedError(InvalidQueryError):
    """A call that a manager's scope cannot hold to its rows."""


class ParameterError(InvalidQueryError):
    """A ``@name`` without a value, or a value without a ``@name``."""


class InvalidCursorError(InvalidQueryError):
    """A page cursor that was tampered with or that belongs to another order."""


class RefusedQueryError(InvalidQueryError, peewee.OperationalError):
    """A query that the database could not run: a missing table or column, a mistake in its text.

    It is also the error that Peewee has for these on SQLite; ``InvalidQueryError`` is its error on PostgreSQL.
    """


class InvalidValueError(CloudpubError, peewee.DataError, ValueError):
    """A value that its column cannot hold."""


class InvalidCountError(InvalidValueError, InvalidQueryError):
    """A limit, an offset, the number of a page or a size that is no integer of the right size."""


class NotFoundError(CloudpubError, peewee.DoesNotExist):
    """A row that has to exist does not.

    Attributes:
        table: the table of the row.
    """

    def __init__(self, message: str, *, table: str | None = None) -> None:
        super().__init__(message)
        self.table = table


class DomainRuleError(CloudpubError, peewee.PeeweeException):
    """An operation that a rule of the platform forbids."""


class LazyLoadingError(CloudpubError, peewee.PeeweeException):
    """A value was read that the query did not load."""


class ConstraintError(CloudpubError, peewee.IntegrityError):
    """The database refused a row.

    Attributes:
        table: the table, where the database tells.
        columns: the columns, where the database tells; else empty.
        constraint: the constraint's name, where the database tells.
    """

    def __init__(
        self, message: str, *, table: str | None = None, columns: Iterable[str] = (), constraint: str | None = None
    ) -> None:
        super().__init__(message)
        self.table = table
        self.columns = tuple(columns)
        self.constraint = constraint


class UniqueViolationError(ConstraintError):
    """Another row already has this value."""


class ForeignKeyViolationError(ConstraintError):
    """The row refers to one that does not exist, or is still referred to."""


class NotNullViolationError(ConstraintError):
    """A required column has no value."""


class CheckViolationError(ConstraintError):
    """A value that the column's check does not allow."""


class ConnectionFailedError(CloudpubError, peewee.OperationalError):
    """No connection to the database could be opened.

    Attributes:
        transient: whether trying again may help, as with a server that restarts or has too many clients, and unlike
            with a wrong password.
        silent_seconds: for how long an answer was waited for, where none came.
    """

    transient = False
    silent_seconds = 0.0


class ConnectionLostError(CloudpubError, peewee.OperationalError):
    """A connection broke while it was in use; nothing of an open transaction was kept.

    Attributes:
        transient: whether running the transaction again may help, unlike where its work takes longer than the server
            lets a transaction wait for its next statement.
    """

    transient = True


class ReadOnlyServerError(ConnectionLostError):
    """The server takes no writes, as one that has become a standby; its connections are given up."""


class PoolTimeoutError(CloudpubError, peewee.OperationalError):
    """Every connection of the pool stayed in use for as long as this call was willing to wait."""


CommitOutcome = Literal["committed", "rolled back", "pending", "unknown"]


class CommitUnknownError(CloudpubError, peewee.OperationalError):
    """A connection broke while COMMIT was under way, so the transaction may or may not have been committed."""

    def __init__(self, message: str, resolver: Callable[[], CommitOutcome] | None = None) -> None:
        super().__init__(message)
        self._resolver = resolver

    def resolve(self) -> CommitOutcome:
        """Ask the database what became of the transaction.

        Returns:
            ``"committed"``, ``"rolled back"``, ``"pending"`` while COMMIT is still under way or only a standby answers
            (ask again), or ``"unknown"`` where the database no longer knows.

        Raises:
            ConnectionFailedError: when the database cannot be reached; ask again later.
        """
        return "unknown" if self._resolver is None else self._resolver()


class PartlyKeptError(CloudpubError, peewee.OperationalError):
    """Rows of several servers were changed, and the commit failed on one of them after it had succeeded on others.

    Attributes:
        kept: the URLs, without passwords, of the servers that have kept what was done.
        failed: that of the server that has failed; the cause of the error says how.
    """

    def __init__(self, message: str, kept: Iterable[str] = (), failed: str = "") -> None:
        super().__init__(message)
        self.kept = tuple(kept)
        self.failed = failed


class TransactionAbortedError(CloudpubError, peewee.InternalError):
    """A statement of this transaction failed, so nothing of it can be committed."""


class RetryableError(CloudpubError, peewee.OperationalError):
    """The transaction lost against a concurrent one and may succeed when it is run again from its start."""


class SerializationError(RetryableError):
    """Concurrent transactions could not be put into a serial order."""


class DeadlockError(RetryableError):
    """Two transactions waited for each other's locks, and this one was chosen to give way."""


class PreparedStatementError(RetryableError):
    """A prepared statement was found gone or out of date inside a transaction."""


class OutdatedMapError(RetryableError):
    """A server of history refused a call, since rows have been moved; it was made again, for as long as one waits."""


class LockNotAvailableError(CloudpubError, peewee.OperationalError):
    """A lock was not to be had within the time allowed."""


class QueryTimeoutError(CloudpubError, peewee.OperationalError):
    """A statement was cancelled, because it ran longer than allowed or because somebody asked for it."""


class StorageError(CloudpubError, peewee.OperationalError):
    """The database could not write: its disk is full, or its file is read-only or damaged."""


class MigrationError(CloudpubError, peewee.PeeweeException):
    """The migrations cannot be applied as they stand."""


class HistoryError(CloudpubError, peewee.PeeweeException):
    """The change log does not know what it was asked for, or cannot be kept as it was asked to be."""


class HistoryConflictError(HistoryError):
    """What is to be taken back has been changed again since."""


class FeedGapError(HistoryError):
    """What a feed has for a consumer is not known without a gap from where it has got."""


class LeaseLostError(CloudpubError, peewee.OperationalError):
    """A lease that ran out, went to another worker or was ended: what was done under it is not kept."""


class DatabaseError(CloudpubError, peewee.DatabaseError):
    """An error of the database that has no class of its own here."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint for a message about an unknown name: the nearest known one, else all of them.

    >>> did_you_mean("stauts", ["id", "name", "status"])
    "did you mean 'status'?"
    >>> did_you_mean("zzz", ["id", "name"])
    'known are: id, name'
    """
    import difflib

    names = sorted(known)
    nearest = difflib.get_close_matches(name.lower(), names, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else f"known are: {', '.join(names)}"
