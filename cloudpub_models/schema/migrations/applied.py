"""The book of applied migrations: one table in each database, with a row for each migration of any component.

A checksum for each script tells an edited one, a lost one and a late one apart from what is simply pending. The column
that says whose a migration is came later than the table. A book without it is read as it is, and gets it where the next
migration is recorded: under the lock of a run, in its transaction. Older versions of this library go on with their own
migrations, which get the right component by default; to them those of other components are ones whose file is gone, so
they refuse to migrate and change none of their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import peewee

from cloudpub_models.entity.fields import TimestampField
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.schema.migrations.scripts import FIRST_COMPONENT, Script
from cloudpub_models.schema.statements import run

HISTORY_TABLE = "cloudpub_migrations"


@dataclass(frozen=True)
class AppliedMigration:
    """What a database remembers of a migration: its name, whose it is, its script's checksum, when it was applied."""

    name: str
    component: str
    checksum: str
    applied_at: datetime


class AppliedMigrations:
    """The migrations that a database remembers.

    Args:
        database: the database.
    """

    def __init__(self, database: peewee.Database) -> None:
        self._database = database
        self._row = _row_model(database)

    def read(self) -> dict[str, AppliedMigration]:
        """Return them by name; none when the database has never been migrated."""
        columns = self._columns()
        if not columns:
            return {}
        found = self._read(columns)
        if "component" not in columns and "component" in (columns := self._columns()):
            # It came meanwhile, and with it, perhaps, rows of other components.
            found = self._read(columns)
        return found

    def has(self, script: Script) -> bool:
        """Whether a script is among them."""
        self._complete()
        return bool(self._row.select(self._row.name).where(self._row.name == script.name).exists())

    def add(self, script: Script) -> bool:
        """Record a script as applied now; False when it had been recorded before."""
        if self.has(script):
            return False
        self._row.insert(
            name=script.name, component=script.component, checksum=script.checksum, applied_at=utc_now()
        ).execute()
        return True

    def remove(self, script: Script) -> None:
        """Forget a script."""
        self._row.delete().where(self._row.name == script.name).execute()

    def _read(self, columns: set[str]) -> dict[str, AppliedMigration]:
        known = [field for name, field in self._row._meta.columns.items() if name in columns]
        return {
            row.name: AppliedMigration(row.name, row.component or FIRST_COMPONENT, row.checksum, row.applied_at)
            for row in self._row.select(*known)
        }

    def _columns(self) -> set[str]:
        return {column.name for column in self._database.get_columns(HISTORY_TABLE)}

    def _complete(self) -> None:
        """Make the table, or give it the column that older versions did not make."""
        if "component" in self._columns():
            return
        self._row.create_table(safe=True)
        if "component" not in self._columns():
            run(
                self._database,
                f"ALTER TABLE {HISTORY_TABLE} ADD COLUMN component VARCHAR(63) NOT NULL DEFAULT '{FIRST_COMPONENT}'",
            )


def _row_model(database: peewee.Database) -> Any:
    class MigrationRow(peewee.Model):
        """One applied migration."""

        name = peewee.CharField(max_length=255, primary_key=True)
        checksum = peewee.CharField(max_length=64)
        applied_at = TimestampField(default=utc_now)
        component = peewee.CharField(max_length=63, constraints=[peewee.Default(f"'{FIRST_COMPONENT}'")])

        class Meta:
            """Its table."""

            table_name = HISTORY_TABLE

    MigrationRow.bind(database)
    return MigrationRow
