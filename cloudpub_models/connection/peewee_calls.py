"""An engine as the database that Peewee calls, so that schema tools and everything written in Peewee work on it.

Peewee's statements pass the same boundary as the managers', and its transactions are ours, whose gaps are closed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, ClassVar

import peewee

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.peewee_transactions import (
    Atomic,
    CalledTransaction,
    JoiningTransaction,
    ManualCommit,
    Savepoint,
)
from cloudpub_models.connection.transactions import Connection, Transaction
from cloudpub_models.entity.ddl import drop_circular_references
from cloudpub_models.errors import CloudpubError, InvalidQueryError, InvalidValueError
from cloudpub_models.sql.identifiers import shown, surrogate_in
from cloudpub_models.sql.text.parameters import parse
from cloudpub_models.sql.text.secrets import shown_parameters
from cloudpub_models.sql.text.statements import transaction_controls

_log = logging.getLogger("peewee")

# How nearly all begins that Peewee sends.
_LEAVE_TRANSACTIONS_ALONE = ("SELECT ", "INSERT ", "UPDATE ", "DELETE ")
_LOCK_TYPES = ("DEFERRED", "IMMEDIATE", "EXCLUSIVE")


class PeeweeCalls(Engine):
    """What Peewee calls on its database; comes before Peewee's own class of it.

    Attributes:
        begins_with_lock_type: whether what ``atomic()`` takes first is a lock and not an isolation level.
    """

    begins_with_lock_type: ClassVar[bool] = False

    def _execute_cursor(self, sql: str, params: Any, **cursor_options: Any) -> Any:
        self._require_connection()
        return self.execute_cursor(sql, params, **cursor_options)

    def execute_cursor(self, sql: str, parameters: Any, **cursor_options: Any) -> Any:
        scopes = self._threads.current.scopes
        untouched = scopes[-1] if scopes and not scopes[-1].used else None
        self.check_usable()
        may_end_it = scopes and (";" in sql or not sql.startswith(_LEAVE_TRANSACTIONS_ALONE))
        if may_end_it and (control := transaction_controls[sql, self.sql_dialect]):
            raise InvalidQueryError(
                f"expected a statement that leaves the open transaction alone; got {control}: let the block end it, or "
                "call commit() or rollback() of what it gives"
            )
        if self.is_attended and self.acts_alone() and parse(sql, self.sql_dialect).command != "SELECT":
            with self.acting():
                return self.execute_cursor(sql, parameters, **cursor_options)
        for text in [sql, *[value for value in parameters or () if isinstance(value, str)]]:
            if "\0" in text:
                raise InvalidValueError("expected text without NUL characters, which PostgreSQL cannot store; got one")
            if not text.isascii() and surrogate_in(text) is not None:
                raise InvalidValueError("expected valid Unicode; got a lone surrogate in a statement or a value")
        try:
            return super()._execute_cursor(sql, parameters, **cursor_options)  # type: ignore[misc]
        except peewee.PeeweeException as error:
            driver_error: Any = getattr(error, "orig", None)
            if isinstance(error, CloudpubError) or not isinstance(driver_error, self.driver_error):
                raise
        except OverflowError as error:
            raise InvalidValueError(f"expected an integer of at most 64 bits; got a larger one: {error}") from error
        except (IndexError, TypeError) as error:
            if self.sql_dialect.doubles_percent and "%" in sql:
                raise InvalidQueryError(
                    "expected %% in an alias or a JSON key; got a single %, which the driver takes for a parameter: "
                    "double it, or ask a manager, which takes any key"
                ) from error
            raise
        # Not in the handler, which would keep Peewee's error as context: its text repeats the statement and its values.
        if untouched is not None:
            untouched.failed_alone = True
        return self.fail(driver_error, sql, parameters)

    def _require_connection(self) -> None:
        if not self.autoconnect and self.is_closed():
            raise peewee.InterfaceError(
                "expected an open connection, since autoconnect is off; got none: call connect() first"
            )

    def _log_query(self, sql: str, params: Any) -> None:
        # Peewee would log password hashes too.
        if _log.isEnabledFor(logging.DEBUG):
            shown_values = shown_parameters(sql, params or ())
            _log.debug((sql, list(shown_values) if isinstance(params, list) else params and shown_values))

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
        if self.in_transaction():
            raise peewee.OperationalError("Attempting to close database while transaction is open.")
        self.unpin()
        return True

    def drop_tables(self, models: Iterable[type[peewee.Model]], **options: Any) -> None:
        """Drop the tables of models, also of those that refer to each other in a circle."""
        dropped = list(models)
        drop_circular_references(dropped, self)
        super().drop_tables(dropped, **options)

    def atomic(self, *kind: str | None, **named_kind: str | None) -> Transaction:  # type: ignore[override]
        """Return a transaction, or a savepoint inside one.

        Args:
            *kind: on PostgreSQL the isolation level; on SQLite the lock, all of which are IMMEDIATE here.
            **named_kind: ``isolation_level`` or ``lock_type``.
        """
        return Atomic(self, self._isolation(*kind, **named_kind), False)

    def transaction(self, *kind: str | None, **named_kind: str | None) -> Transaction:  # type: ignore[override]
        """Return a transaction; inside one, a part of it.

        Args:
            *kind: as for ``atomic``.
            **named_kind: as for ``atomic``.
        """
        return JoiningTransaction(self, self._isolation(*kind, **named_kind), False)

    def _isolation(
        self, kind: str | None = None, *, isolation_level: str | None = None, lock_type: str | None = None
    ) -> str | None:
        if kind is not None and self.begins_with_lock_type and lock_type is None:
            lock_type = kind
        elif kind is not None:
            isolation_level = kind
        if lock_type is not None and str(lock_type).upper() not in _LOCK_TYPES:
            raise InvalidQueryError(f"expected a lock of {', '.join(_LOCK_TYPES)}; got {shown(lock_type)}")
        return isolation_level

    def savepoint(self) -> Transaction:  # type: ignore[override]
        """Return a savepoint; a transaction where none is open."""
        return Savepoint(self, None, False)

    def manual_commit(self) -> ManualCommit:  # type: ignore[override]
        """Return a block in which the caller's ``begin()``, ``commit()`` and ``rollback()`` make transactions."""
        return ManualCommit(self)

    def begin(self, *kind: str | None, **named_kind: str | None) -> None:
        """Begin a transaction that ``commit()`` or ``rollback()`` ends.

        Args:
            *kind: as for ``atomic``.
            **named_kind: as for ``atomic``.

        Raises:
            InvalidQueryError: one is open already.
        """
        if self.scopes():
            raise InvalidQueryError(
                "expected begin() outside of a transaction; got it inside one: use atomic() for a savepoint"
            )
        CalledTransaction(self, self._isolation(*kind, **named_kind), False).begin()

    def commit(self) -> None:
        """Keep what was done since ``begin()``.

        Raises:
            peewee.InterfaceError: this thread has no connection open, as in Peewee.
            InvalidQueryError: ``begin()`` has begun no transaction.
        """
        self._begun("commit").commit()

    def rollback(self) -> None:
        """Undo what was done since ``begin()``.

        Raises:
            peewee.InterfaceError: this thread has no connection open, as in Peewee.
            InvalidQueryError: ``begin()`` has begun no transaction.
        """
        self._begun("rollback").rollback()

    def _begun(self, what: str) -> CalledTransaction:
        if self.is_closed():
            raise peewee.InterfaceError(f"expected an open connection for {what}(); got none: call begin() first")
        levels = self.levels()
        if levels and isinstance(levels[-1], CalledTransaction) and levels[-1].is_whole:
            return levels[-1]
        raise InvalidQueryError(
            f"expected {what}() to end what begin() began; got no such transaction: a block ends its own, and gives an "
            f"object with {what}() for before"
        )

    def session_start(self) -> Connection:  # type: ignore[override]
        """Begin a transaction that ``session_commit()`` or ``session_rollback()`` ends; join one that is open."""
        return CalledTransaction(self, None, False).begin()

    def session_commit(self) -> bool:
        """Keep what was done since ``session_start()``; in a block that goes on, as its ``commit()``.

        Returns:
            whether a transaction was open.

        Raises:
            TransactionAbortedError: a statement had failed; nothing was kept.
        """
        begun = self._begun_or_open()
        if begun is None:
            return False
        begun.commit()
        return True

    def session_rollback(self) -> bool:
        """Undo what was done since ``session_start()``; in a block that goes on, as its ``rollback()``.

        Returns:
            whether a transaction was open.
        """
        begun = self._begun_or_open()
        if begun is None:
            return False
        begun.rollback()
        return True

    def _begun_or_open(self) -> CalledTransaction | Connection | None:
        level = self.levels()[-1] if self.levels() else None
        if isinstance(level, CalledTransaction):
            return level
        return Connection(self, self.scopes()[-1]) if self.scopes() else None

    def after_transaction(self) -> None:
        # What joined a transaction and was not ended goes with it.
        levels = self.levels()
        levels[:] = [level for level in levels if isinstance(level, ManualCommit)]

    def top_transaction(self) -> Connection | ManualCommit | None:
        """Return what the innermost block or call gave that has an end yet to come; None where there is none."""
        level = self.levels()[-1] if self.levels() else None
        if isinstance(level, ManualCommit):
            return level
        if isinstance(level, CalledTransaction) and len(self.scopes()) == 1:
            return level.connection
        return Connection(self, self.scopes()[-1]) if self.scopes() else None

    def in_transaction(self) -> bool:
        """Return whether this thread has an open transaction."""
        return bool(self._threads.current.scopes)

    def transaction_depth(self) -> int:
        """Return how many blocks and calls this thread is in that make, join or guard a transaction."""
        joined = [level for level in self.levels() if not isinstance(level, CalledTransaction) or not level.is_whole]
        return len(self.scopes()) + len(joined)
