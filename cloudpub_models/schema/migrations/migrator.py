"""How the migrations that a database lacks are applied, and those that it has had are reverted.

`Migrator` wraps ``playhouse.migrations``. What it adds: one migrator at a time; a checksum for each applied script, so
that an edited, lost or late one is refused; times in UTC; each migration and its record in one transaction. Scripts
define ``up(migrator, db)`` and, to be reversible, ``down(migrator, db)``, as playhouse describes.

`history` keeps the books. Running is in `migration_run`, which imports playhouse and is itself imported only then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import peewee

from cloudpub_models.component import Component
from cloudpub_models.errors import MigrationError, did_you_mean
from cloudpub_models.schema.migrations.records import MigrationHistory, directory_of
from cloudpub_models.sql.identifiers import shown

if TYPE_CHECKING:
    from cloudpub_models.schema.drift.adoption import AdoptionReport

TEMPLATE = '''\
"""{title}."""

from __future__ import annotations

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Apply this migration; it and its record are one transaction."""


def down(migrator: Any, db: Any) -> None:
    """Undo it."""
'''


class Migrator(MigrationHistory):
    """Applies and reverts migrations on one database.

    Args:
        database: the database; its connection must be a direct one, since the lock that keeps other migrators out
            belongs to the session (a pooler that swaps sessions between transactions is noticed and refused).
        component: whose scripts they are.
        lock_timeout: for how many seconds to wait for another migrator.

    >>> migrator = Migrator(peewee.SqliteDatabase(":memory:"), database.components[0])
    >>> migrator.pending()[0]
    '0001_initial'
    >>> migrator.up()[0]
    '0001_initial'
    >>> migrator.status()[0].state
    'applied'
    """

    def __init__(self, database: peewee.Database, component: Component, *, lock_timeout: float = 60.0) -> None:
        """Take what is described above; nothing is read or sent yet."""
        super().__init__(database, component)
        self.lock_timeout = lock_timeout

    def up(self, target: str | None = None) -> list[str]:
        """Apply what is pending, in order.

        Args:
            target: the last migration to apply; all when None.

        Returns:
            The names of those applied by this call, which may be none.

        Raises:
            MigrationError: for an unknown target, for edited, missing and late migrations, inside a transaction, when
                another migrator holds the lock for too long, and when a migration fails. Of the one that failed
                nothing is kept (see ``atomic`` in `migration_run`); those before it stay applied.
        """
        from cloudpub_models.schema.migrations.run import MigrationRun

        self.require_known(target, (script.name for script in self.scripts()))
        with MigrationRun(self, self.lock_timeout) as run:
            return run.up(target)

    def down(self, target: str | None = None) -> list[str]:
        """Revert the migration applied last, or all from the last back through `target`.

        Returns:
            The names of those reverted.

        Raises:
            MigrationError: as for ``up``, and for a migration without ``down``; then none is reverted.
        """
        from cloudpub_models.schema.migrations.run import MigrationRun

        self.require_known(target, self.records())
        with MigrationRun(self, self.lock_timeout) as run:
            return run.down(target)

    def adopt(self) -> AdoptionReport:
        """Take over a database whose tables another backend has made: record the first migration as applied.

        Returns:
            What the database lacks or has otherwise, with the statements that would mend it.

        Raises:
            MigrationError: for missing tables or columns and types that do not fit; nothing is recorded then.
        """
        from cloudpub_models.schema.drift.adoption import AdoptionReport, examine
        from cloudpub_models.schema.migrations.run import MigrationRun

        first = self.scripts()[0]
        with MigrationRun(self, self.lock_timeout) as run:
            differences = examine(self.database, self.component.models)
            recorded = run.record_only(first)
        return AdoptionReport(first.name if recorded else None, differences)

    def new(self, name: str) -> Path:
        """Write the skeleton of the next migration.

        Args:
            name: what it does, in a few words; they become the file's name.

        Returns:
            The path of the file. Two calls at once get two numbers.

        Raises:
            MigrationError: for a name without letters or digits.

        Example: ``Migrator(database, component).new("add user locale")`` writes ``0003_add_user_locale.py``.
        """
        words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        if not words:
            raise MigrationError(
                f"expected a name of letters and digits for the migration; got {name!r}: say what it does"
            )
        directory = directory_of(self.component)
        if directory is None:
            raise MigrationError(
                f"expected a place for the migrations of the component {self.component.name!r}; got none: "
                "give it migrations=…"
            )
        directory.mkdir(parents=True, exist_ok=True)
        # A number is taken by creating its file of reservation; two scripts of one number but other names would
        # otherwise both be created.
        number = max((script.number for script in self.scripts()), default=0) + 1
        while True:
            reservation = directory / f".{number:04d}.taken"
            try:
                reservation.touch(exist_ok=False)
            except FileExistsError:
                number += 1
                continue
            try:
                if any(script.number == number for script in self.scripts()):
                    number += 1
                    continue
                path = directory / f"{number:04d}_{words}.py"
                path.write_text(TEMPLATE.format(title=words.replace("_", " ").capitalize()), encoding="utf-8")
                return path
            finally:
                reservation.unlink()

    def require_known(self, target: str | None, names: Iterable[str]) -> None:
        """Refuse a target that is none of these migrations.

        Raises:
            MigrationError: it names the nearest.
        """
        known = list(names)
        if target is not None and target not in known:
            raise MigrationError(
                f"expected the name of a migration as target, got {shown(target)}: {_hint(target, known)}"
            )


def _hint(target: str, known: list[str]) -> str:
    return did_you_mean(target, known) if known else "there are none"
