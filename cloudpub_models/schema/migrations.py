"""Which migrations a database has had, which it lacks, and how the next ones are applied.

`Migrator` wraps ``playhouse.migrations``. What it adds: one migrator at a time; a checksum for each applied script, so
that an edited, lost or late one is refused; times in UTC; each migration and its record in one transaction. Scripts
define ``up(migrator, db)`` and, to be reversible, ``down(migrator, db)``, as playhouse describes.

This module keeps the books. Running is in `migration_run`, which imports playhouse and is itself imported only then.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import peewee

from cloudpub_models.errors import MigrationError, did_you_mean
from cloudpub_models.models.fields import TimestampField
from cloudpub_models.models.values import utc_now
from cloudpub_models.sql.identifiers import shown

if TYPE_CHECKING:
    from cloudpub_models.schema.adoption import AdoptionReport

HISTORY_TABLE = "cloudpub_migrations"
FIRST_MIGRATION = "0001_initial"

TEMPLATE = '''\
"""{title}."""

from __future__ import annotations

from typing import Any


def up(migrator: Any, db: Any) -> None:
    """Apply this migration; it and its record are one transaction."""


def down(migrator: Any, db: Any) -> None:
    """Undo it."""
'''

State = Literal["applied", "pending", "edited", "missing", "late"]


@dataclass(frozen=True)
class MigrationStatus:
    """One migration.

    Attributes:
        name: its file's name without ``.py``.
        state: ``applied``; ``pending``; ``edited``, applied but changed since; ``missing``, applied but its file is
            gone; ``late``, pending but numbered before one that was applied.
        applied_at: when, in UTC; None unless it was applied.
    """

    name: str
    state: State
    applied_at: datetime | None = None

    @property
    def is_broken(self) -> bool:
        """Whether files and database do not agree on it."""
        return self.state not in ("applied", "pending")


@dataclass(frozen=True)
class Script:
    """A migration's file."""

    name: str
    path: Path

    @property
    def number(self) -> int:
        """The number that its name begins with."""
        return int(re.match(r"\d+", self.name)[0])  # type: ignore[index]

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, the same whether a checkout made its lines end in LF or CRLF."""
        return hashlib.sha256(self.path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


@dataclass(frozen=True)
class Record:
    """What a database remembers of an applied migration."""

    name: str
    checksum: str
    applied_at: datetime


def default_directory() -> Path:
    """Return where this package's migrations are: inside it once installed, beside it in a checkout.

    Raises:
        MigrationError: when they are in neither place.
    """
    installed = importlib.util.find_spec("cloudpub_models.migrations")
    if installed is not None and installed.origin is not None:
        return Path(installed.origin).parent
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").exists() and (checkout / "migrations" / f"{FIRST_MIGRATION}.py").exists():
        return checkout / "migrations"
    raise MigrationError(
        "expected the migrations as the package cloudpub_models.migrations or beside a checkout, found neither: "
        "install cloudpub-models again, or name their directory"
    )


class Migrator:
    """Applies and reverts migrations on one database.

    Args:
        database: the database; its connection must be a direct one, since the lock that keeps other migrators out
            belongs to the session (a pooler that swaps sessions between transactions is noticed and refused).
        directory: where the scripts are; this package's own when None.
        lock_timeout: for how many seconds to wait for another migrator.

    >>> database = peewee.SqliteDatabase(":memory:")
    >>> migrator = Migrator(database)
    >>> migrator.pending()[0]
    '0001_initial'
    >>> migrator.up()[0]
    '0001_initial'
    >>> migrator.status()[0].state
    'applied'
    """

    def __init__(self, database: peewee.Database, directory: Path | None = None, *, lock_timeout: float = 60.0) -> None:
        """Take what is described above; nothing is read or sent yet."""
        self.database = database
        self.directory = Path(directory) if directory is not None else default_directory()
        self.lock_timeout = lock_timeout

    def scripts(self) -> list[Script]:
        """Return the migrations that there are files for, in their order.

        Raises:
            MigrationError: when the directory is not there, or two files carry one number.
        """
        if not self.directory.is_dir():
            raise MigrationError(f"expected a directory of migrations at {self.directory}, found none")
        scripts = sorted((Script(path.stem, path) for path in self.directory.glob("[0-9]*.py")), key=_order)
        for first, second in itertools.pairwise(scripts):
            if first.number == second.number:
                raise MigrationError(
                    f"expected every migration to have a number of its own, but {first.name} and {second.name} share "
                    f"one: renumber the one that has not been applied anywhere"
                )
        return scripts

    def records(self) -> dict[str, Record]:
        """Return what the database remembers, by name; nothing when it has never been migrated."""
        if not self.database.table_exists(HISTORY_TABLE):
            return {}
        history = history_model(self.database)
        return {row.name: Record(row.name, row.checksum, row.applied_at) for row in history.select()}

    def status(self) -> list[MigrationStatus]:
        """Return every migration that has a file or a record, in their order; nothing is refused."""
        return states(self.scripts(), self.records())

    def pending(self) -> list[str]:
        """Return the names of the migrations that ``up`` would apply."""
        return [status.name for status in self.status() if status.state in ("pending", "late")]

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
        from cloudpub_models.schema.migration_run import MigrationRun

        self.require_known(target, (script.name for script in self.scripts()))
        with MigrationRun(self) as run:
            return run.up(target)

    def down(self, target: str | None = None) -> list[str]:
        """Revert the migration applied last, or all from the last back through `target`.

        Returns:
            The names of those reverted.

        Raises:
            MigrationError: as for ``up``, and for a migration without ``down``; then none is reverted.
        """
        from cloudpub_models.schema.migration_run import MigrationRun

        self.require_known(target, self.records())
        with MigrationRun(self) as run:
            return run.down(target)

    def adopt(self) -> AdoptionReport:
        """Take over a database whose tables another backend has made: record the first migration as applied.

        Returns:
            What the database lacks or has otherwise, with the statements that would mend it.

        Raises:
            MigrationError: for missing tables or columns and types that do not fit; nothing is recorded then.
        """
        from cloudpub_models.schema.adoption import AdoptionReport, examine
        from cloudpub_models.schema.migration_run import MigrationRun

        first = self.scripts()[0]
        with MigrationRun(self) as run:
            differences = examine(self.database)
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

        Example: ``Migrator(database).new("add user locale")`` writes ``migrations/0002_add_user_locale.py``.
        """
        words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        if not words:
            raise MigrationError(f"expected a name of letters and digits for the migration, got {name!r}")
        self.directory.mkdir(parents=True, exist_ok=True)
        # A number is taken by creating its file of reservation; two scripts of one number but other names would
        # otherwise both be created.
        number = max((script.number for script in self.scripts()), default=0) + 1
        while True:
            reservation = self.directory / f".{number:04d}.taken"
            try:
                reservation.touch(exist_ok=False)
            except FileExistsError:
                number += 1
                continue
            try:
                if any(script.number == number for script in self.scripts()):
                    number += 1
                    continue
                path = self.directory / f"{number:04d}_{words}.py"
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


def history_model(database: peewee.Database) -> Any:
    """Return the model of the table in which a database remembers its migrations."""

    class MigrationRecord(peewee.Model):
        """One applied migration."""

        name = peewee.CharField(max_length=255, primary_key=True)
        checksum = peewee.CharField(max_length=64)
        applied_at = TimestampField(default=utc_now)

        class Meta:
            """Its table."""

            table_name = HISTORY_TABLE

    MigrationRecord.bind(database)
    return MigrationRecord


def states(scripts: Iterable[Script], records: dict[str, Record]) -> list[MigrationStatus]:
    """Compare files with records."""
    files = {script.name: script for script in scripts}
    newest = max((_number(name) for name in records), default=0)
    found = []
    for name in sorted({*files, *records}, key=lambda name: (_number(name), name)):
        script, record = files.get(name), records.get(name)
        state: State
        if record is None:
            state = "late" if _number(name) < newest else "pending"
        elif script is None:
            state = "missing"
        else:
            state = "applied" if script.checksum == record.checksum else "edited"
        found.append(MigrationStatus(name, state, record.applied_at if record else None))
    return found


def require_sound(statuses: Iterable[MigrationStatus]) -> None:
    """Refuse to go on from a history that files and records do not agree on.

    Raises:
        MigrationError: for edited, missing and late migrations; it names the first of them and says what to do.
    """
    for status in statuses:
        if status.state == "edited":
            raise MigrationError(
                f"{status.name} was changed after it had been applied: restore the file as it was, and put the change "
                "into a new migration"
            )
        if status.state == "missing":
            raise MigrationError(
                f"{status.name} was applied to this database, but its file is gone: restore it, or install the version "
                "of the package that has it"
            )
        if status.state == "late":
            raise MigrationError(
                f"{status.name} is not applied, but a migration with a higher number is: give it the next free number"
            )


def _hint(target: str, known: list[str]) -> str:
    return did_you_mean(target, known) if known else "there are none"


def _number(name: str) -> int:
    match = re.match(r"\d+", name)
    return int(match[0]) if match else -1


def _order(script: Script) -> tuple[int, str]:
    return (script.number, script.name)
