"""One run of a migrator: the lock, the transactions, and the scripts run by playhouse's schema migrator.

How the lock and the transactions are had is each database's own: see ``postgresql`` and ``sqlite`` beside this module.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self, TypeVar

import peewee

from cloudpub_models.entity.binding import current_database, sql_dialect_of
from cloudpub_models.errors import (
    CheckViolationError,
    ConnectionFailedError,
    ConnectionLostError,
    ConstraintError,
    ForeignKeyViolationError,
    LockNotAvailableError,
    MigrationError,
    NotNullViolationError,
    UniqueViolationError,
)
from cloudpub_models.schema.migrations.applied import AppliedMigrations
from cloudpub_models.schema.migrations.operations import REMADE_SUFFIX
from cloudpub_models.schema.migrations.scripts import Direction, Script

R = TypeVar("R")


class Session(Protocol):
    """What a run needs of its database's kind."""

    may_close: bool
    """Whether what the database holds outlives its connection."""
    always_in_transaction: bool
    """Whether a script's ``atomic = False`` is ignored."""

    def acquire(self) -> None:
        """Keep other migrators out, as far as a lock does it."""

    def release(self) -> None:
        """Let them in again, whatever has happened."""

    def transaction(self, isolation: str | None = None) -> AbstractContextManager[None]:
        """Return a transaction for one migration and its record."""

    def no_transaction(self) -> AbstractContextManager[None]:
        """Return a block for a migration that wants no transaction."""

    def watch_transaction(self) -> None:
        """Note the transaction that is open, if one is."""

    def is_transaction_left_alone(self) -> bool:
        """Return whether the database says that it is still the one that was noted, or that none is open still."""

    def schema_migrator(self) -> Any:
        """Return the playhouse migrator that scripts are given."""


def session_of(database: peewee.Database, lock_timeout: float) -> Session:
    """Return what a run needs of a database's kind."""
    module = import_module(f"cloudpub_models.schema.migrations.{sql_dialect_of(database).name}")
    session: Session = module.Session(database, lock_timeout)
    return session


class MigrationRun:
    """Holds the lock of a migrator for a block, and applies or reverts inside it.

    Args:
        database: the database.
        applied: its book of applied migrations.
        lock_timeout: for how many seconds to wait for another migrator, and for locks on tables.
        afterwards: what to do when a script has run, in its transaction.
    """

    def __init__(
        self,
        database: peewee.Database,
        applied: AppliedMigrations,
        lock_timeout: float,
        afterwards: Callable[[], object] | None = None,
    ) -> None:
        self._database = database
        self._applied = applied
        self._lock_timeout = lock_timeout
        self._session = session_of(database, lock_timeout)
        self._opened = False
        self._afterwards = afterwards

    def __enter__(self) -> Self:
        """Take the lock."""
        if self._database.in_transaction():
            raise MigrationError(
                "expected no open transaction; got one: migrations have transactions of their own, so end it first"
            )
        self._opened = bool(self._database.connect(reuse_if_open=True))
        try:
            self._session.acquire()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release it, whatever has happened."""
        try:
            self._session.release()
        finally:
            self._close()

    def up(self, scripts: Iterable[Script]) -> list[str]:
        """Apply scripts, and return the names of those that were not applied meanwhile."""
        plan = [(script, script.load("up")) for script in scripts]
        return [script.name for script, module in plan if self._run(script, module, "up")]

    def down(self, scripts: Iterable[Script]) -> list[str]:
        """Revert scripts, and return the names of those that were not reverted meanwhile."""
        plan = [(script, script.load("down")) for script in scripts]
        return [script.name for script, module in plan if self._run(script, module, "down")]

    def step(self, work: Callable[[], R], isolation: str | None = None) -> R:
        """Do work of another kind as if it were a script: in a transaction that waits for no table too long.

        Args:
            work: what to do.
            isolation: the isolation level of the transaction, where it is to be a certain one; SQLite has one only.
        """
        return self._attempt(work, isolation)

    def step_by_itself(self, work: Callable[[], R]) -> R:
        """Do work that wants no transaction, as a script with ``atomic = False``."""
        if self._session.always_in_transaction:
            return self._attempt(work)
        with self._session.no_transaction():
            return work()

    def record_only(self, scripts: Iterable[Script]) -> list[str]:
        """Record scripts as applied without running them, and return the names of those that were not recorded."""
        with self._session.transaction():
            return [script.name for script in scripts if self._applied.add(script)]

    def _run(self, script: Script, module: ModuleType, direction: Direction) -> bool:
        schema_migrator = self._session.schema_migrator()
        is_whole = bool(getattr(module, "atomic", True)) or self._session.always_in_transaction

        def step() -> bool:
            # Between reading the book and now another run may have been faster (on SQLite, whose lock is taken for
            # each migration).
            if (direction == "up") == self._applied.has(script):
                return False
            self._session.watch_transaction()
            # A script may declare models of its own, which then use this database.
            with current_database.bound_to(self._database):
                getattr(module, direction)(schema_migrator, self._database)
            # The record would be kept where the work is not, or the other way round.
            self._require_transaction_left_alone(is_whole)
            if direction == "up":
                self._applied.add(script)
            else:
                self._applied.remove(script)
            if self._afterwards is not None:
                self._afterwards()
            return True

        try:
            if is_whole:
                return self._attempt(step)
            with self._session.no_transaction():
                return step()
        except (ConnectionLostError, ConnectionFailedError):
            raise
        except Exception as error:
            raise MigrationError(_failure(script, direction, error)) from error

    def _require_transaction_left_alone(self, was_open: bool) -> None:
        if self._session.is_transaction_left_alone():
            return
        if was_open:
            raise MigrationError(
                "expected the script to leave its transaction to the migration; got one that it has ended: take its "
                "COMMIT or ROLLBACK out"
            )
        raise MigrationError(
            "expected no open transaction behind a script with atomic = False; got one that it has begun: end it there"
        )

    def _attempt(self, step: Callable[[], R], isolation: str | None = None) -> R:
        deadline = time.monotonic() + self._lock_timeout
        while True:
            try:
                with self._session.transaction(isolation):
                    return step()
            except peewee.DatabaseError as error:
                if not _is_lock_timeout(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(random.uniform(0.1, 0.5))

    def _close(self) -> None:
        if self._opened and self._session.may_close:
            with suppress(peewee.PeeweeException):
                self._database.close()


def _is_lock_timeout(error: Exception) -> bool:
    """Whether a lock was not to be had in time: a table's on PostgreSQL, the file's on SQLite."""
    driver_error = getattr(error, "orig", None) or error.__cause__
    return (
        isinstance(error, LockNotAvailableError)
        or getattr(driver_error, "pgcode", None) == "55P03"
        or getattr(driver_error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
    )


_ABOUT_ROWS: dict[type[ConstraintError], str] = {
    NotNullViolationError: "{rows} have no {columns}: give them one first, in the same script",
    UniqueViolationError: "{rows} have the same {columns}: change or merge them first, in the same script",
    CheckViolationError: "{rows} break {constraint}: change them first, in the same script",
    ForeignKeyViolationError: (
        "{rows} refer to rows that do not exist, or are referred to: change them first, in the same script"
    ),
}


_NOT_CONVERTED = ("cannot be cast automatically", "cannot cast type", "invalid input syntax for type")


def _failure(script: Script, direction: Direction, error: Exception) -> str:
    failed = f"{script.name} failed ({direction}): "
    if isinstance(error, MigrationError):
        return f"{failed}{error}"
    if type(error) in _ABOUT_ROWS and isinstance(error, ConstraintError):
        # The error speaks to whoever writes a row; here the rule comes to rows that are there.
        told = _ABOUT_ROWS[type(error)].format(
            rows=f"rows of {error.table.removesuffix(REMADE_SUFFIX)}" if error.table else "rows",
            columns=", ".join(error.columns) or "value",
            constraint=error.constraint or "a check",
        )
        return f"{failed}{type(error).__name__}: {told}"
    text = str(error).strip().splitlines()
    message = f"{failed}{type(error).__name__}: {text[0] if text else ''}"
    if any(words in message for words in _NOT_CONVERTED):
        message += ": say how by cast=… of alter_column_type"
    if direction == "up" and "already exists" in message:
        message += "; if another backend has made these tables, run `migrate adopt`"
    return message
