"""How the migrations that a database lacks are applied, and those that it has had are reverted.

Scripts are as ``playhouse.migrations`` describes them: they define ``up(migrator, db)`` and, to be reversible,
``down(migrator, db)``. What ``Migrator`` adds: components, each with a history of its own; one migrator at a time; a
checksum for each applied script, so that an edited, lost or late one is refused; times in UTC; each migration and its
record in one transaction.

``applied`` keeps the book, ``status`` compares it with the scripts. Running is in ``run``, which imports playhouse and
is itself imported only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

import peewee

from cloudpub_models.component import Component, with_what_they_are_after
from cloudpub_models.errors import MigrationError, did_you_mean
from cloudpub_models.schema.migrations.applied import HISTORY_TABLE, AppliedMigration, AppliedMigrations
from cloudpub_models.schema.migrations.scripts import Script, scripts_of
from cloudpub_models.schema.migrations.status import MigrationStatus, require_sound, statuses_of
from cloudpub_models.schema.search.tables import keep_current
from cloudpub_models.sql.identifiers import shown

if TYPE_CHECKING:
    from cloudpub_models.schema.drift.adoption import AdoptionReport, Examination


class Migrator:
    """Applies and reverts migrations on one database.

    What is recorded for components that are not named here is left alone.

    Args:
        database: the database; its connection must be a direct one, since the lock that keeps other migrators out
            belongs to the session (a pooler that swaps sessions between transactions is noticed and refused).
        components: whose scripts they are, each component behind those that it is ``after``; or one component.
        lock_timeout: for how many seconds to wait for another migrator.
        afterwards: what to do when a script has run, in its transaction.

    >>> migrator = Migrator(peewee.SqliteDatabase(":memory:"), database.components)
    >>> migrator.pending()[0]
    '0001_initial'
    >>> migrator.up()[0]
    '0001_initial'
    >>> migrator.status()[0].state
    'applied'
    """

    def __init__(
        self,
        database: peewee.Database,
        components: Component | Iterable[Component],
        *,
        lock_timeout: float = 60.0,
        afterwards: Callable[[], object] | None = None,
    ) -> None:
        self.database = database
        self.components = (components,) if isinstance(components, Component) else tuple(components)
        self.lock_timeout = lock_timeout
        self.afterwards = afterwards
        self._book = AppliedMigrations(database)

    def scripts(self) -> list[Script]:
        """Return the scripts of all components, in their order.

        Raises:
            MigrationError: when a component's directory is not there, or two of its files carry one number.
        """
        return [script for component in self.components for script in scripts_of(component)]

    def applied(self) -> dict[str, AppliedMigration]:
        """Return what the database remembers, by name; nothing when it has never been migrated."""
        return self._book.read()

    def status(self) -> list[MigrationStatus]:
        """Return every migration that has a script or was applied; nothing is refused."""
        return statuses_of({component.name: scripts_of(component) for component in self.components}, self.applied())

    def pending(self) -> list[str]:
        """Return the names of the migrations that ``up`` would apply."""
        return [status.name for status in self.status() if status.state in ("pending", "late")]

    def scripts_to_apply(self, target: str | None = None) -> list[Script]:
        """Return the scripts that ``up`` would run, in their order.

        Raises:
            MigrationError: for an unknown target, and for edited, missing and late migrations.
        """
        scripts = {script.name: script for script in self.scripts()}
        self._require_known(target, scripts)
        statuses = self._sound_statuses()
        if target is not None:
            wanted = self._with_what_it_is_after(scripts[target].component)
            statuses = [
                status
                for status in statuses
                if status.component in wanted
                and (
                    status.component != scripts[target].component
                    or scripts[status.name].number <= scripts[target].number
                )
            ]
        return [scripts[status.name] for status in statuses if status.state == "pending"]

    def scripts_to_revert(self, target: str | None = None) -> list[Script]:
        """Return the scripts that ``down`` would revert, in the order of reverting.

        Raises:
            MigrationError: for an unknown target, and for edited, missing and late migrations.
        """
        latest_first = self._latest_first()
        self._require_known(target, [script.name for script in latest_first])
        if target is None:
            return latest_first[:1]
        position, named = next(
            (position, script) for position, script in enumerate(latest_first) if script.name == target
        )
        behind = {each.name for each in self.components if named.component in self._with_what_it_is_after(each.name)}
        return [script for script in latest_first[: position + 1] if script.component in behind]

    def last_applied(self, components: Iterable[str]) -> str | None:
        """Return the name of the migration of these components that was applied last; None where there is none.

        Raises:
            MigrationError: for edited, missing and late migrations.
        """
        named = set(components)
        return next((script.name for script in self._latest_first() if script.component in named), None)

    def up(self, target: str | None = None) -> list[str]:
        """Apply what is pending, in order.

        Args:
            target: the last migration to apply of its component, with all of those that this is after; all when None.

        Returns:
            The names of those applied by this call, which may be none.

        Raises:
            MigrationError: for an unknown target, for edited, missing and late migrations, inside a transaction, when
                another migrator holds the lock for too long, and when a migration fails. Of the one that failed
                nothing is kept (see ``atomic`` in ``run``); those before it stay applied.
        """
        from cloudpub_models.schema.migrations.run import MigrationRun

        self._require_known(target, [script.name for script in self.scripts()])
        with MigrationRun(self.database, self._book, self.lock_timeout, self._bring_up_to_tables) as run:
            return run.up(self.scripts_to_apply(target))

    def down(self, target: str | None = None) -> list[str]:
        """Revert the migration applied last, or all from the last back through ``target``.

        Args:
            target: the last migration to revert. Those that were applied after it are reverted first: of its own
                component, and of components that are after that one.

        Returns:
            The names of those reverted.

        Raises:
            MigrationError: as for ``up``, and for a migration without ``down``; then none is reverted.
        """
        from cloudpub_models.schema.migrations.run import MigrationRun

        self._require_known(target, self.applied())
        with MigrationRun(self.database, self._book, self.lock_timeout, self._bring_up_to_tables) as run:
            return run.down(self.scripts_to_revert(target))

    def _bring_up_to_tables(self) -> None:
        keep_current(self.database, [model for component in self.components for model in component.models])
        if self.afterwards is not None:
            self.afterwards()

    def examine(self, beside: Iterable[Component] = ()) -> Examination:
        """Return what there is to say of a database's tables before it is adopted; nothing is refused.

        Args:
            beside: components that are not to be adopted, whose tables are nobody else's either.
        """
        from cloudpub_models.schema.drift.adoption import examine, tables_of

        known = (name for component in beside for name in tables_of(component))
        return examine(self.database, self.components, [HISTORY_TABLE, *known])

    def adopt(self) -> AdoptionReport:
        """Take over a database whose tables another backend has made: record the first migrations as applied.

        That is the first one of each component that has some of its tables there; those of the others are for ``up``
        to make.

        Returns:
            What the database lacks or has otherwise, with the statements that would mend it.

        Raises:
            MigrationError: for missing tables or columns and types that do not fit; nothing is recorded then.
        """
        from cloudpub_models.schema.drift.adoption import AdoptionReport
        from cloudpub_models.schema.migrations.run import MigrationRun

        with MigrationRun(self.database, self._book, self.lock_timeout) as run:
            examined = self.examine()
            examined.require_fit()
            first = [script for component in examined.adopted for script in scripts_of(component)[:1]]
            return AdoptionReport(tuple(run.record_only(first)), examined.differences)

    def _latest_first(self) -> list[Script]:
        scripts = {script.name: script for script in self.scripts()}
        applied = [status for status in self._sound_statuses() if status.state == "applied"]
        moments = _moments_in_order(applied)
        positions = {component.name: position for position, component in enumerate(self.components)}
        return sorted(
            (scripts[status.name] for status in applied),
            key=lambda script: (moments[script.name], positions[script.component], script.number),
            reverse=True,
        )

    def _sound_statuses(self) -> list[MigrationStatus]:
        statuses = self.status()
        require_sound(statuses)
        return statuses

    def _require_known(self, target: str | None, names: Iterable[str]) -> None:
        known = list(names)
        if target is None or target in known:
            return
        recorded = self.applied().get(target)
        if recorded is not None and recorded.component not in {component.name for component in self.components}:
            raise MigrationError(
                f"expected the name of a migration as target; got {shown(target)}, recorded for the component "
                f"{recorded.component!r}, which is not known here: name that component too"
            )
        of_components = [name for name in known if name.endswith(f".{target}")]
        hint = did_you_mean(target, of_components or known) if known else "there are none"
        raise MigrationError(f"expected the name of a migration as target; got {shown(target)}: {hint}")

    def _with_what_it_is_after(self, name: str) -> set[str]:
        return {component.name for component in with_what_they_are_after([name], self.components)}


def _moments_in_order(applied: Iterable[MigrationStatus]) -> dict[str, datetime]:
    """Return when migrations were applied, none before one of its component that has a lower number.

    A clock may have gone back in between.
    """
    moments: dict[str, datetime] = {}
    by_component: dict[str, list[MigrationStatus]] = {}
    for status in applied:
        by_component.setdefault(status.component, []).append(status)
    for own in by_component.values():
        times = accumulate((status.applied_at for status in own if status.applied_at is not None), max)
        moments.update(zip((status.name for status in own), times, strict=True))
    return moments
