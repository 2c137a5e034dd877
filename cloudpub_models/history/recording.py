"""Switching the change log on and off, and keeping its triggers in step with the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import peewee

from cloudpub_models.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    HistoryError,
    InvalidValueError,
    MigrationError,
    UnknownTableError,
    did_you_mean,
)
from cloudpub_models.history.tables import (
    CHANGES,
    CONTEXT,
    LOG_COLUMNS,
    TABLES_OF_FEEDS,
    RecordedTable,
    has_columns,
    has_table,
    kind_of,
    log_of,
    recorded_table,
    send,
    tables_with_triggers,
    tracked,
    trigger_name,
    triggers_by_table,
)
from cloudpub_models.schema.migrations.applied import AppliedMigrations
from cloudpub_models.sql.identifiers import shown

BEGINS, ENDS = "S", "E"
"""The operations that say from when on a table is recorded, and until when."""

_LOCK_TIMEOUT_SECONDS = 60.0


def enable(
    database: peewee.Database, models: Iterable[type[peewee.Model]], also: Sequence[str] = ()
) -> tuple[str, ...]:
    """Have the changes of all tracked tables recorded from now on; see ``History.enable``."""
    known = list(models)
    chosen = tracked(known) + _named(known, also)

    def step() -> tuple[str, ...]:
        kind = kind_of(database)
        for name, columns in {CHANGES: LOG_COLUMNS, **TABLES_OF_FEEDS}.items():
            if has_table(database, name) and not has_columns(database, name, columns):
                raise HistoryError(f"expected a database without a table {name} of its own; got one: rename that first")
        for statement in kind.log(database):
            send(database, statement)
        before = tables_with_triggers(database)
        elsewhere = [f"{model._meta.schema}.{model._meta.table_name}" for model in chosen if model._meta.schema]
        if elsewhere:
            raise HistoryError(
                f"expected tables of the database's own schema; got {', '.join(elsewhere)} by Meta.schema: leave "
                "them out"
            )
        missing = [model._meta.table_name for model in chosen if not has_table(database, model._meta.table_name)]
        if missing:
            raise HistoryError(f"expected the tables of all models; {', '.join(missing)} are missing: migrate first")
        tables = [recorded_table(database, model) for model in dict.fromkeys(chosen)]
        for table in tables:
            if not kind.current(database, table):
                _make_triggers(database, table)
        begun = tuple(table.name for table in tables if table.name not in before)
        known = recorded_since(database)
        for name in begun:
            # Its triggers were taken away meanwhile: whoever follows the log is told that something is missing.
            if name in known:
                kind.note(database, ENDS, name)
            kind.note(database, BEGINS, name)
        return begun

    return _as_a_migration(database, step)


def disable(database: peewee.Database) -> tuple[str, ...]:
    """End the recording; see ``History.disable``."""

    def step() -> tuple[str, ...]:
        kind = kind_of(database)
        recorded = sorted(tables_with_triggers(database))
        for table in recorded:
            for statement in kind.without_triggers(table):
                send(database, statement)
            kind.note(database, ENDS, table)
        if has_table(database, CONTEXT):
            send(database, f"DROP TABLE {CONTEXT}")
        return tuple(recorded)

    return _as_a_migration(database, step)


def recorded_tables(database: peewee.Database) -> frozenset[str]:
    """Return the names of the tables whose changes are recorded."""
    return tables_with_triggers(database) if kind_of(database).has_log(database) else frozenset()


def require_recording(database: peewee.Database) -> None:
    """Raise HistoryError unless a database records changes."""
    if not recorded_tables(database):
        raise HistoryError(
            "expected a database that records changes; got one that does not: call history.enable(), or run cloudpub "
            "history on"
        )


def faulty_tables(database: peewee.Database, models: Iterable[type[peewee.Model]]) -> list[str]:
    """Return the tables that should be recorded and whose triggers are gone or do not fit them any more."""
    kind = kind_of(database)
    return [table.name for table in _meant(database, models) if not kind.complete(database, table)]


def keep_current(database: peewee.Database, models: Iterable[type[peewee.Model]]) -> None:
    """Make the triggers anew of tables that have changed, where recording is on, as a migration does when it has run.

    A tracked table that the migration has made is recorded from here on; one that it has renamed keeps its changes.
    """
    kind = kind_of(database)
    renamed = _renamed(database)
    whole = tables_with_triggers(database) | set(renamed.values())
    for old, name in renamed.items():
        for statement in kind.without_triggers(old):
            send(database, statement)
        log = log_of(database)
        log.update(table_name=name).where(log.table_name == old).execute()
    meant = _meant(database, models)
    begun = recorded_since(database)
    for table in meant:
        if not kind.current(database, table):
            _make_triggers(database, table)
        if table.name not in begun:
            kind.note(database, BEGINS, table.name)
        elif table.name not in whole and not kind.migrations_take_triggers:
            # Somebody has taken its triggers away meanwhile: what was written since is not known.
            kind.note(database, ENDS, table.name)
            kind.note(database, BEGINS, table.name)


def _renamed(database: peewee.Database) -> dict[str, str]:
    """Return the old name → present name of recorded tables that have another name by now."""
    found = triggers_by_table(database)
    return {
        old: name
        for old in recorded_since(database)
        for name, triggers in found.items()
        if name != old and trigger_name(old, "update") in triggers
    }


def _meant(database: peewee.Database, models: Iterable[type[peewee.Model]]) -> list[RecordedTable]:
    """Return the tables that should be recorded: none where recording is off."""
    begun = recorded_since(database)
    if not begun:
        return []
    known = list(models)
    chosen = tracked(known) + [model for model in known if model._meta.table_name in begun]
    return [
        recorded_table(database, model)
        for model in dict.fromkeys(chosen)
        if has_table(database, model._meta.table_name)
    ]


def recorded_since(database: peewee.Database) -> dict[str, datetime]:
    """Return since when each table's changes are known without a gap."""
    if not kind_of(database).has_log(database):
        return {}
    log = log_of(database)
    since: dict[str, datetime] = {}
    marks = log.select(log.table_name, log.operation, log.changed_at).where(log.operation.in_([BEGINS, ENDS]))
    for table, operation, moment in marks.order_by(log.id).tuples():
        if operation == BEGINS:
            since[table] = moment
        else:
            since.pop(table, None)
    return since


def _make_triggers(database: peewee.Database, table: RecordedTable) -> None:
    for statements in kind_of(database).triggers(database, table).values():
        for statement in statements:
            send(database, statement)


def _named(models: list[type[peewee.Model]], names: Sequence[str]) -> list[type[peewee.Model]]:
    if isinstance(names, str):
        raise InvalidValueError(f"expected a list of tables' names; got {shown(names)}: write [{names!r}]")
    by_name = {model._meta.table_name: model for model in models}
    for name in names:
        if not isinstance(name, str) or name not in by_name:
            hint = did_you_mean(name, by_name) if isinstance(name, str) else f"known are: {', '.join(by_name)}"
            raise UnknownTableError(f"expected a table of the components; got {shown(name)}: {hint}")
    return [by_name[name] for name in names]


def _as_a_migration(database: peewee.Database, step: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Run a step as one migration more: under the migrators' lock, all or nothing, waiting for no table too long."""
    from cloudpub_models.schema.migrations.run import MigrationRun

    try:
        with MigrationRun(database, AppliedMigrations(database), _LOCK_TIMEOUT_SECONDS) as run:
            return run.step(step)
    except (HistoryError, UnknownTableError, MigrationError, ConnectionLostError, ConnectionFailedError):
        raise
    except peewee.DatabaseError as error:
        raise HistoryError(
            f"expected to make tables and triggers; got {error}: switch history on and off as the owner of the tables"
        ) from error
