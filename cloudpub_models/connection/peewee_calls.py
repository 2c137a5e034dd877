"""An engine as the database that Peewee calls, so that schema tools and everything written in Peewee work on it.

Peewee's statements pass the same boundary as the managers', and its transactions are ours, whose gaps are closed.
"""

from __future__ import annotations

import logging
from typing import Any

import peewee

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.transactions import Transaction
from cloudpub_models.errors import CloudpubError, InvalidQueryError, InvalidValueError
from cloudpub_models.sql.identifiers import surrogate_in

_log = logging.getLogger("peewee")


class PeeweeCalls(Engine):
    """What Peewee calls on its database; comes before Peewee's own class of it."""

    def _execute_cursor(self, sql: str, params: Any, **cursor_options: Any) -> Any:
        return self.execute_cursor(sql, params, **cursor_options)

    def execute_cursor(self, sql: str, parameters: Any, **cursor_options: Any) -> Any:
        self.check_usable()
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
        return self.fail(driver_error)

    def _log_query(self, sql: str, params: Any) -> None:
        # Peewee logs the values too, password hashes among them.
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug((sql, None))

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
        if self._threads.current.scopes:
            raise peewee.OperationalError("Attempting to close database while transaction is open.")
        self.unpin()
        return True

    def atomic(self, isolation_level: str | None = None, **_lock_type: Any) -> Transaction:  # type: ignore[override]
        """Return a transaction, or a savepoint inside one, for Peewee code."""
        return Transaction(self, isolation_level, False)

    transaction = atomic  # type: ignore[assignment]
    savepoint = atomic  # type: ignore[assignment]

    def in_transaction(self) -> bool:
        """Return whether this thread has an open transaction."""
        return bool(self._threads.current.scopes)

    def transaction_depth(self) -> int:
        """Return how many scopes this thread has open."""
        return len(self._threads.current.scopes)
