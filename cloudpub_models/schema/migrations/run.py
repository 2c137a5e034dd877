"""One run of a migrator: the lock, the transactions, and the scripts run by playhouse's schema migrator.

PostgreSQL: a session's advisory lock, polled without a transaction, because one that waits in a transaction deadlocks
with ``CREATE INDEX CONCURRENTLY``. It belongs to the connection that also does the work, so that losing one is losing
both. Each migration is a transaction with its record. It waits two seconds at most for each table lock and is then
tried again, so that a long query in front of it does not hold up everybody behind it. A script with ``atomic = False``
runs without a transaction, for statements that allow none, and has to be written so that it can be run again after it
failed half-way.

SQLite: each migration is an IMMEDIATE transaction with its record, and what has been applied is read again inside it.
A script's ``atomic`` is ignored. Foreign keys are not enforced while a script runs, since making a table anew would
delete the rows that refer to it; instead they are checked before the commit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType, TracebackType
from typing import Self

import peewee
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]
from playhouse.migrations import Migration  # type: ignore[import-untyped]

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.errors import (
    CloudpubError,
    ConnectionFailedError,
    ConnectionLostError,
    LockNotAvailableError,
    MigrationError,
)
from cloudpub_models.schema.migrations.records import (
    MigrationHistory,
    MigrationStatus,
    Script,
    history_model,
    require_sound,
)
from cloudpub_models.schema.statements import fetch, fetch_value, run

# The key of the advisory lock; one number for every version of this package, for ever.
LOCK_KEY = 0x636C6F7564707562
TABLE_LOCK_SECONDS = 2


class MigrationRun:
    """Holds the lock of a migrator for a block, and applies or reverts inside it."""

    def __init__(self, history: MigrationHistory, lock_timeout: float) -> None:
        """Prepare a run; nothing is sent yet.

        Args:
            history: the migrations and the database.
            lock_timeout: for how many seconds to wait for another migrator, and for locks on tables.
        """
        self._history = history
        self._lock_timeout = lock_timeout
        self._database = history.database
        self._is_postgresql = sql_dialect_of(history.database).row_locks
        self._records = history_model(history.database)
        self._opened = False
        self._session: int | None = None

    def __enter__(self) -> Self:
        """Take the lock."""
        if self._database.in_transaction():
            raise MigrationError(
                "expected no open transaction: migrations have transactions of their own; end it first"
            )
        self._opened = bool(self._database.connect(reuse_if_open=True))
        try:
            if self._is_postgresql:
                self._acquire()
        except BaseException:
            self._release_connection()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release it, whatever has happened."""
        try:
            if self._is_postgresql:
                self._release()
        finally:
            self._release_connection()

    def up(self, target: str | None) -> list[str]:
        """Apply what is pending; see ``Migrator.up``."""
        plan = [(script, load_script(script, "up")) for script in scripts_to_apply(self._history, target)]
        return [script.name for script, module in plan if self._run(script, module, "up")]

    def down(self, target: str | None) -> list[str]:
        """Revert the last, or all back through a target; see ``Migrator.down``."""
        plan = [(script, load_script(script, "down")) for script in scripts_to_revert(self._history, target)]
        return [script.name for script, module in plan if self._run(script, module, "down")]

    def record_only(self, script: Script) -> bool:
        """Record a script as applied without running it; False when it had been recorded before."""
        with self._transaction():
            return self._record(script)

    # Running

    def _run(self, script: Script, module: ModuleType, direction: str) -> bool:
        schema_migrator = SchemaMigrator.from_database(self._database)

        def step() -> bool:
            # Between reading the history and now another run may have been faster (on SQLite, whose lock is taken
            # for each migration).
            if (direction == "up") == self._is_recorded(script):
                return False
            getattr(module, direction)(schema_migrator, self._database)
            if direction == "up":
                self._record(script)
            else:
                self._records.delete().where(self._records.name == script.name).execute()
            return True

        try:
            if self._is_postgresql and not getattr(module, "atomic", True):
                self._require_same_session()
                with self._patient_session():
                    return step()
            return self._attempt(step)
        except (MigrationError, ConnectionLostError, ConnectionFailedError):
            raise
        except Exception as error:
            raise MigrationError(_failure(script, direction, error)) from error

    def _attempt(self, step: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + self._lock_timeout
        while True:
            try:
                with self._transaction():
                    return step()
            except peewee.DatabaseError as error:
                if not _is_lock_timeout(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(random.uniform(0.1, 0.5))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._is_postgresql:
            with self._database.atomic():
                self._require_same_session()
                run(self._database, f"SET LOCAL lock_timeout = '{TABLE_LOCK_SECONDS}s'")
                run(self._database, "SET LOCAL statement_timeout = 0")
                yield
            return
        with without_foreign_keys(self._database), self._database.atomic(lock_type="IMMEDIATE"):
            before = set(fetch(self._database, "PRAGMA foreign_key_check"))
            yield
            broken = [row for row in fetch(self._database, "PRAGMA foreign_key_check") if row not in before]
            if broken:
                table, row, target, _ = broken[0]
                raise MigrationError(
                    f"the migration left {len(broken)} reference(s) to rows that do not exist, the first in row {row} "
                    f"of {table}, to {target}: nothing of it was kept"
                )

    @contextmanager
    def _patient_session(self) -> Iterator[None]:
        """Let statements outside a transaction take their time, and set the session back afterwards.

        A script that may also wait long for locks, since it holds up nobody meanwhile, sets ``lock_timeout`` itself.
        """
        before = {name: fetch_value(self._database, f"SHOW {name}") for name in ("statement_timeout", "lock_timeout")}
        run(self._database, "SET statement_timeout = 0")
        try:
            yield
        finally:
            with suppress(peewee.PeeweeException):
                for name, value in before.items():
                    run(self._database, "SELECT set_config(%s, %s, false)", (name, value))

    # The history

    def _is_recorded(self, script: Script) -> bool:
        self._records.create_table(safe=True)
        return bool(self._records.select().where(self._records.name == script.name).exists())

    def _record(self, script: Script) -> bool:
        if self._is_recorded(script):
            return False
        self._records.insert(name=script.name, checksum=script.checksum, applied_at=utc_now()).execute()
        return True

    # The lock

    def _acquire(self) -> None:
        deadline = time.monotonic() + self._lock_timeout
        pause = 0.02
        while not fetch_value(self._database, f"SELECT pg_try_advisory_lock({LOCK_KEY})"):
            if time.monotonic() >= deadline:
                raise MigrationError(
                    f"another migrator has held the lock for {self._lock_timeout:g} s: wait for it to end, or "
                    "look for its session in pg_locks (locktype 'advisory')"
                )
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 1.5, 0.5)
        self._session = fetch_value(self._database, "SELECT pg_backend_pid()")

    def _release(self) -> None:
        try:
            released = fetch_value(self._database, f"SELECT pg_advisory_unlock({LOCK_KEY})")
        except (peewee.PeeweeException, CloudpubError):
            released = False
        if not released:
            # The session is gone, and the lock with it; or it is in a state that no statement gets out of, and
            # closing it frees the lock.
            with suppress(Exception):
                self._database.connection().close()  # type: ignore[no-untyped-call]
            with suppress(Exception):
                self._database.close()

    def _require_same_session(self) -> None:
        if fetch_value(self._database, "SELECT pg_backend_pid()") != self._session:
            raise MigrationError(
                "expected one session for the whole run, but the connection changed under it, and the lock with it: "
                "connect to PostgreSQL directly and not through a pooler in transaction mode, or run again if the "
                "connection was lost"
            )

    def _release_connection(self) -> None:
        in_memory = not self._is_postgresql and self._database.database == ":memory:"
        if self._opened and not in_memory:
            with suppress(peewee.PeeweeException):
                self._database.close()


def scripts_to_apply(history: MigrationHistory, target: str | None) -> list[Script]:
    """Return the scripts that ``Migrator.up`` would run, in their order.

    Raises:
        MigrationError: for edited, missing and late migrations.
    """
    scripts = {script.name: script for script in history.scripts()}
    found = []
    for status in _sound_statuses(history):
        if status.state == "pending":
            found.append(scripts[status.name])
        if status.name == target:
            break
    return found


def scripts_to_revert(history: MigrationHistory, target: str | None) -> list[Script]:
    """Return the scripts that ``Migrator.down`` would revert, in the order of reverting.

    Raises:
        MigrationError: for edited, missing and late migrations.
    """
    scripts = {script.name: script for script in history.scripts()}
    found = []
    for status in reversed(_sound_statuses(history)):
        if status.state == "applied":
            found.append(scripts[status.name])
            if target is None or status.name == target:
                break
    return found


def load_script(script: Script, direction: str) -> ModuleType:
    """Return a script's module, which has a function for the direction, ``up`` or ``down``.

    Raises:
        MigrationError: it cannot be loaded, or has no such function.
    """
    migration = Migration(script.number, script.name, str(script.path), None)
    try:
        module = migration.load()
    except Exception as error:
        raise MigrationError(f"{script.name} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, direction, None)):
        reason = "cannot be reverted" if direction == "down" else "does nothing"
        raise MigrationError(f"expected {script.name} to define {direction}(migrator, db), so it {reason}")
    return module  # type: ignore[no-any-return]


@contextmanager
def without_foreign_keys(database: peewee.Database) -> Iterator[None]:
    """Have a SQLite database not enforce foreign keys inside the block, which begins outside a transaction."""
    # The setting cannot be changed inside a transaction.
    enforced = fetch_value(database, "PRAGMA foreign_keys")
    if not enforced:
        yield
        return
    run(database, "PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        run(database, "PRAGMA foreign_keys = ON")


def _sound_statuses(history: MigrationHistory) -> list[MigrationStatus]:
    statuses = history.status()
    require_sound(statuses)
    return statuses


def _is_lock_timeout(error: Exception) -> bool:
    """Whether a lock was not to be had in time: a table's on PostgreSQL, the file's on SQLite."""
    driver_error = getattr(error, "orig", None) or error.__cause__
    return (
        isinstance(error, LockNotAvailableError)
        or getattr(driver_error, "pgcode", None) == "55P03"
        or getattr(driver_error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
    )


def _failure(script: Script, direction: str, error: Exception) -> str:
    text = str(error).strip().splitlines()
    message = f"{script.name} failed ({direction}): {type(error).__name__}: {text[0] if text else ''}"
    if direction == "up" and "already exists" in str(error):
        message += "; if another backend has made these tables, run `migrate adopt`"
    return message
