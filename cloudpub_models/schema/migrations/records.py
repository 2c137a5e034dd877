"""Which migrations a component has scripts for, and which of them a database remembers.

A checksum for each applied script tells an edited one, a lost one and a late one apart from what is simply pending.
Nothing is applied here.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import peewee

from cloudpub_models.component import Component
from cloudpub_models.entity.fields import TimestampField
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.errors import MigrationError

HISTORY_TABLE = "cloudpub_migrations"
FIRST_MIGRATION = "0001_initial"

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


def directory_of(component: Component) -> Path | None:
    """Return where a component's scripts are; None where it has none.

    Raises:
        MigrationError: its package cannot be found.
    """
    if component.migrations is None or isinstance(component.migrations, Path):
        return component.migrations
    try:
        spec = find_spec(component.migrations)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MigrationError(
            f"expected a package {component.migrations!r} with the migrations of the component {component.name!r}; "
            "got none: install it, or name a directory by a Path"
        )
    return Path(next(iter(spec.submodule_search_locations)))


class MigrationHistory:
    """The migrations of a component, and what one database remembers of them.

    Args:
        database: the database.
        component: whose scripts they are.
    """

    def __init__(self, database: peewee.Database, component: Component) -> None:
        """Take what is described above; nothing is read or sent yet."""
        self.database = database
        self.component = component

    def scripts(self) -> list[Script]:
        """Return the migrations that there are files for, in their order.

        Raises:
            MigrationError: when the directory is not there, or two files carry one number.
        """
        directory = directory_of(self.component)
        if directory is None:
            return []
        if not directory.is_dir():
            raise MigrationError(
                f"expected a directory of migrations at {directory}; got none: make it, or name another"
            )
        scripts = sorted((Script(path.stem, path) for path in directory.glob("[0-9]*.py")), key=_order)
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
        return _states(self.scripts(), self.records())

    def pending(self) -> list[str]:
        """Return the names of the migrations that ``up`` would apply."""
        return [status.name for status in self.status() if status.state in ("pending", "late")]


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


def _states(scripts: Iterable[Script], records: dict[str, Record]) -> list[MigrationStatus]:
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


def _number(name: str) -> int:
    match = re.match(r"\d+", name)
    return int(match[0]) if match else -1


def _order(script: Script) -> tuple[int, str]:
    return (script.number, script.name)
