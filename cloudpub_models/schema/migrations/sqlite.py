"""Migrating SQLite.

Each migration is an IMMEDIATE transaction with its record, and what has been applied is read again inside it: that
keeps other migrators out, and no lock lasts longer. A script's ``atomic`` is ignored. Foreign keys are not enforced
while a script runs, since making a table anew would delete the rows that refer to it; instead they are checked before
the commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import peewee

from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.migrations.sqlite_migrator import TableRemakingMigrator
from cloudpub_models.schema.statements import fetch, fetch_value, run

_WATCHED = "cloudpub_script"


class Session:
    """The session of a run: its transactions."""

    always_in_transaction = True

    def __init__(self, database: peewee.Database, lock_timeout: float) -> None:
        self._database = database
        self.may_close = database.database != ":memory:"

    def schema_migrator(self) -> Any:
        """Return playhouse's, with all operations on all tables."""
        return TableRemakingMigrator(self._database)

    def acquire(self) -> None:
        """Do nothing: each transaction locks the file."""

    def release(self) -> None:
        """Do nothing."""

    @contextmanager
    def transaction(self, isolation: str | None = None) -> Iterator[None]:
        """Give a transaction that alone may write, and that leaves no reference to rows that do not exist.

        Raises:
            MigrationError: the block left one that was not there before.
        """
        with _settings_for_migrating(self._database), self._database.atomic(lock_type="IMMEDIATE"):
            before = set(fetch(self._database, "PRAGMA foreign_key_check"))
            yield
            broken = [row for row in fetch(self._database, "PRAGMA foreign_key_check") if row not in before]
            if broken:
                table, row, target, _ = broken[0]
                raise MigrationError(
                    f"expected no reference to rows that do not exist; got {len(broken)} from the migration, the first "
                    f"in row {row} of {table}, to {target}: nothing of it was kept"
                )

    no_transaction = transaction

    def watch_transaction(self) -> None:
        """Note the open transaction, by a savepoint that ends with it."""
        run(self._database, f"SAVEPOINT {_WATCHED}")

    def is_transaction_left_alone(self) -> bool:
        """Return whether it is still open."""
        try:
            run(self._database, f"RELEASE {_WATCHED}")
        except peewee.DatabaseError:
            return False
        return True


@contextmanager
def _settings_for_migrating(database: peewee.Database) -> Iterator[None]:
    """Have foreign keys not enforced inside the block, which begins outside a transaction; set all back afterwards."""
    # The setting cannot be changed inside a transaction. The other one may be left as it is while a table is made anew.
    before = {name: fetch_value(database, f"PRAGMA {name}") for name in ("foreign_keys", "legacy_alter_table")}
    run(database, "PRAGMA foreign_keys = 0")
    try:
        yield
    finally:
        for name, value in before.items():
            run(database, f"PRAGMA {name} = {value}")
