"""Which migrations are applied, which are pending, and where scripts and database do not agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.migrations.applied import AppliedMigration
from cloudpub_models.schema.migrations.scripts import Script, number_of

State = Literal["applied", "pending", "edited", "missing", "late", "foreign"]


@dataclass(frozen=True)
class MigrationStatus:
    """One migration.

    Attributes:
        name: its name: its file's without ``.py``, behind the component's and a dot where that is not ``cloudpub``.
        component: the name of the component.
        state: ``applied``; ``pending``; ``edited``, applied but changed since; ``missing``, applied but its file is
            gone; ``late``, pending but numbered before one that was applied; ``foreign``, applied for a component that
            is not asked for here.
        applied_at: when, in UTC; None unless it was applied.
    """

    name: str
    component: str
    state: State
    applied_at: datetime | None = None

    @property
    def is_broken(self) -> bool:
        """Whether scripts and database do not agree on it."""
        return self.state in ("edited", "missing", "late")


def statuses_of(
    scripts: Mapping[str, Iterable[Script]], applied: Mapping[str, AppliedMigration]
) -> list[MigrationStatus]:
    """Compare scripts with what a database remembers.

    Args:
        scripts: component → its scripts.
        applied: name → migration.

    Returns:
        All of them: component by component in the order given, in each by number; those of other components at the end.
    """
    return [
        *(status for component, own in scripts.items() for status in _of_component(component, own, applied)),
        *(
            MigrationStatus(migration.name, migration.component, "foreign", migration.applied_at)
            for migration in sorted(applied.values(), key=lambda migration: (migration.component, migration.name))
            if migration.component not in scripts
        ),
    ]


def require_sound(statuses: Iterable[MigrationStatus]) -> None:
    """Refuse to go on from a history that scripts and database do not agree on.

    Raises:
        MigrationError: for edited, missing and late migrations; it names the first of them and says what to do.
    """
    for status in statuses:
        if status.state == "edited":
            raise MigrationError(
                f"expected {status.name} as it was applied; got another file: restore it as it was, and put the change "
                "into a new migration"
            )
        if status.state == "missing":
            raise MigrationError(
                f"expected the file of {status.name}, which was applied to this database; got none: restore it, or "
                "install the version of the package that has it"
            )
        if status.state == "late":
            raise MigrationError(
                f"expected {status.name} before the migrations with higher numbers; got one of those applied without "
                "it: give it the next free number"
            )


def _of_component(
    component: str, scripts: Iterable[Script], applied: Mapping[str, AppliedMigration]
) -> Iterable[MigrationStatus]:
    files = {script.name: script for script in scripts}
    recorded = {name: migration for name, migration in applied.items() if migration.component == component}
    newest = max(map(number_of, recorded), default=0)
    for name in sorted({*files, *recorded}, key=lambda name: (number_of(name), name)):
        script, migration = files.get(name), recorded.get(name)
        state: State
        if migration is None:
            state = "late" if number_of(name) < newest else "pending"
        elif script is None:
            state = "missing"
        else:
            state = "applied" if script.checksum == migration.checksum else "edited"
        yield MigrationStatus(name, component, state, migration.applied_at if migration else None)
