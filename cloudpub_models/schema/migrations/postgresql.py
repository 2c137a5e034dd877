"""Migrating PostgreSQL.

One migrator at a time: a session's advisory lock, polled without a transaction, because one that waits in a transaction
deadlocks with ``CREATE INDEX CONCURRENTLY``. It belongs to the connection that also does the work, so that losing one
is losing both. Each migration is a transaction with its record. It waits two seconds at most for each table lock and is
then tried again, so that a long query in front of it does not hold up everybody behind it. A script with
``atomic = False`` runs without a transaction, for statements that allow none, and has to be written so that it can be
run again after it failed half-way.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import peewee
from playhouse.migrate import PostgresqlMigrator  # type: ignore[import-untyped]

from cloudpub_models.entity.fields import ServerDefault
from cloudpub_models.errors import CloudpubError, MigrationError
from cloudpub_models.schema.migrations.operations import ColumnToAdd, MigratorOfEntities, operation
from cloudpub_models.schema.statements import fetch_value, run
from cloudpub_models.sql.dialects import POSTGRESQL

# The key of the advisory lock; one number for every version of this package, for ever.
LOCK_KEY = 0x636C6F7564707562
TABLE_LOCK_SECONDS = 2

_COUNTED = {"SERIAL": "INTEGER", "BIGSERIAL": "BIGINT"}


class Session:
    """The session of a run: its lock, and the settings of its transactions."""

    may_close = True
    always_in_transaction = False

    def __init__(self, database: peewee.Database, lock_timeout: float) -> None:
        self._database = database
        self._lock_timeout = lock_timeout
        self._backend: int | None = None
        self._transaction: str | None = None

    def schema_migrator(self) -> Any:
        """Return playhouse's, which knows this library's fields."""
        return PostgresqlMigratorOfEntities(self._database)

    def acquire(self) -> None:
        """Take the advisory lock.

        Raises:
            MigrationError: another migrator holds it for too long.
        """
        deadline = time.monotonic() + self._lock_timeout
        pause = 0.02
        while not fetch_value(self._database, f"SELECT pg_try_advisory_lock({LOCK_KEY})"):
            if time.monotonic() >= deadline:
                raise MigrationError(
                    f"expected no other migrator for {self._lock_timeout:g} s; got one that holds the lock: wait for "
                    "it to end, or look for its session in pg_locks (locktype 'advisory')"
                )
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 1.5, 0.5)
        self._backend = fetch_value(self._database, "SELECT pg_backend_pid()")
        # Scripts are about the rows of all owners.
        run(self._database, "SELECT set_config('cloudpub.unrestricted', 'on', false)")

    def release(self) -> None:
        """Give the lock back; where that fails, with the session."""
        try:
            run(self._database, "RESET cloudpub.unrestricted")
            released = fetch_value(self._database, f"SELECT pg_advisory_unlock({LOCK_KEY})")
        except (peewee.PeeweeException, CloudpubError):
            released = False
        if not released and self._backend is not None:
            self._end_a_poolers_session()
        if not released:
            # The session is gone, and the lock with it; or it is in a state that no statement gets out of, and
            # closing it frees the lock.
            with suppress(Exception):
                self._database.connection().close()  # type: ignore[no-untyped-call]
            with suppress(Exception):
                self._database.close()

    def _end_a_poolers_session(self) -> None:
        """End the session that has the lock where a pooler has given this run another one by now.

        Nobody else could, and every later migrator would wait for it in vain.
        """
        held = f"locktype = 'advisory' AND classid = {LOCK_KEY >> 32} AND objid = {LOCK_KEY & 0xFFFFFFFF}"
        with suppress(peewee.PeeweeException, CloudpubError):
            fetch_value(
                self._database,
                f"SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE {held} "  # noqa: S608 - numbers
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "AND pid = %s AND pid <> pg_backend_pid()",
                (self._backend,),
            )

    @contextmanager
    def transaction(self, isolation: str | None = None) -> Iterator[None]:
        """Give a transaction that waits for tables briefly and for statements as long as they take."""
        with self._database.atomic(isolation):
            self._require_same_session()
            run(self._database, f"SET LOCAL lock_timeout = '{TABLE_LOCK_SECONDS}s'")
            run(self._database, "SET LOCAL statement_timeout = 0")
            yield

    @contextmanager
    def no_transaction(self) -> Iterator[None]:
        """Let statements outside a transaction take their time, and set the session back afterwards.

        A script that may also wait long for locks, since it holds up nobody meanwhile, sets ``lock_timeout`` itself.
        """
        self._require_same_session()
        before = {name: fetch_value(self._database, f"SHOW {name}") for name in ("statement_timeout", "lock_timeout")}
        run(self._database, "SET statement_timeout = 0")
        try:
            yield
        finally:
            with suppress(peewee.PeeweeException):
                for name, value in before.items():
                    run(self._database, "SELECT set_config(%s, %s, false)", (name, value))

    def watch_transaction(self) -> None:
        """Note the transaction that is open, if one is."""
        self._transaction = self._open_transaction()

    def is_transaction_left_alone(self) -> bool:
        """Return whether it is still the one that was noted, or none is open still."""
        return self._open_transaction() == self._transaction

    def _open_transaction(self) -> str | None:
        """Return the number that the server has given the open transaction, which no other one ever has."""
        if not self._database.connection().info.transaction_status:  # type: ignore[no-untyped-call]
            return None
        number: str = fetch_value(self._database, "SELECT CAST(pg_current_xact_id() AS text)")
        return number

    def _require_same_session(self) -> None:
        if fetch_value(self._database, "SELECT pg_backend_pid()") != self._backend:
            raise MigrationError(
                "expected one session for the whole run; got another connection, without the lock: connect to "
                "PostgreSQL directly and not through a pooler in transaction mode, or run again if the connection "
                "was lost"
            )


class PostgresqlMigratorOfEntities(MigratorOfEntities, PostgresqlMigrator):  # type: ignore[misc]
    """The migrator that scripts are given on PostgreSQL."""

    @operation
    def add_column(
        self, table: str, column_name: str, field: peewee.Field[Any], allow_not_null: bool = False
    ) -> list[Any]:
        """Add a column; rows that are there get its default: the database's own for each row, or else Python's.

        No row is updated for it, which would touch what is ``touched_on_update``.
        """
        added = ColumnToAdd(self, table, column_name, field, allow_not_null)
        name, quoted_table = POSTGRESQL.quote(column_name), POSTGRESQL.quote(table)
        definition: list[Any] = [_sql(f"ALTER TABLE {quoted_table} ADD COLUMN {name} {added.type}")]
        if added.default is not None:
            definition.append(_sql(f"DEFAULT {added.default.expression(POSTGRESQL)}"))
        elif added.value is not None:
            definition += [peewee.SQL("DEFAULT"), peewee.Value(added.value, converter=False)]
        if added.not_null:
            definition.append(peewee.SQL("NOT NULL"))
        definition.extend(map(_sql, added.constraints))
        statements: list[Any] = [peewee.NodeList(definition)]
        if added.default is None and added.value is not None:
            statements.append(self.drop_column_default(table, column_name))
        if added.reference is not None:
            key: Any = added.reference
            target, referenced = key.rel_model._meta.table_name, key.rel_field.column_name
            statements.append(
                self.add_foreign_key_constraint(
                    table, column_name, target, referenced, key.on_delete, key.on_update, added.constraint_name
                )
            )
        if added.is_indexed:
            statements.append(self.add_index(table, (column_name,), added.is_unique, name=added.index_name))
        return statements

    @operation
    def add_column_default(self, table: str, column: str, default: Any) -> Any:
        """Set a column's default.

        Args:
            table: the table.
            column: the column.
            default: a value, an expression as text that ends in a parenthesis or a quote, or a ``ServerDefault``.
        """
        if not isinstance(default, ServerDefault):
            return super().add_column_default(table, column, default)
        place = f"ALTER TABLE {POSTGRESQL.quote(table)} ALTER COLUMN {POSTGRESQL.quote(column)}"
        return _sql(f"{place} SET DEFAULT {default.expression(POSTGRESQL)}")

    @operation
    def alter_column_type(self, table: str, column: str, field: peewee.Field[Any], cast: Any = None) -> list[Any]:
        """Change a column's type; all else of it stays.

        Args:
            table: the table.
            column: the column.
            field: a field of the type; of an ``AutoField`` or a ``BigAutoField`` the numbers that the column counts.
            cast: an expression over the old row that gives the value. When None, the server's own conversion; to texts
                of a limited length the one that refuses what is too long.
        """
        kind = _COUNTED.get(self.type_of(field), self.type_of(field))
        quoted_table, name = POSTGRESQL.quote(table), POSTGRESQL.quote(column)
        statements: list[Any] = [_sql(f"ALTER TABLE {quoted_table} ALTER COLUMN {name} TYPE {kind}")]
        if cast is not None:
            # A script that is there already has doubled each % of it.
            statements = [peewee.NodeList([*statements, peewee.SQL(f"USING {self.text_of(cast)}")])]
        elif not kind.startswith(("VARCHAR", "CHAR")):
            statements = [peewee.NodeList([*statements, _sql(f"USING {name}::{kind}")])]
        if isinstance(field, peewee.AutoField):
            sequence = fetch_value(self.database, "SELECT pg_get_serial_sequence(%s, %s)", (quoted_table, column))
            if sequence is not None:
                statements.append(peewee.SQL(f"ALTER SEQUENCE {sequence} AS {kind}"))
        return statements


def _sql(text: str) -> peewee.Node:
    # Peewee has the driver look for parameters where there are none, and so take a % for one.
    return peewee.SQL(text.replace("%", "%%"))
