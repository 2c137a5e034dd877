"""Switching rollups on and off, as one migration more: under the migrators' lock, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.errors import ConfigurationError, ConnectionFailedError, ConnectionLostError, MigrationError
from cloudpub_models.manager.sending import send_command
from cloudpub_models.platform.rollups.counting import count_again, is_on
from cloudpub_models.platform.rollups.kinds import kind_of
from cloudpub_models.schema.migrations.applied import AppliedMigrations
from cloudpub_models.schema.migrations.run import MigrationRun

R = TypeVar("R")

_LOCK_TIMEOUT_SECONDS = 60.0


def switch_on(database: Database) -> bool:
    """Have invocations be counted from now on by who calls ``count``; mend triggers that are not as they should be.

    Where those were gone, what was counted of rows that are kept is forgotten, to be counted again.

    Returns:
        whether there was anything to do.

    Raises:
        ConfigurationError: there are no invocations, or the database's user may not make tables and triggers.
        MigrationError: another migrator is at work, or this thread has a transaction open.
    """
    kind = kind_of(database)

    def step() -> bool:
        was_on = is_on(database)
        if was_on and kind.has_triggers(database):
            return False
        for statement in (*(() if was_on else kind.tables(database)), *kind.triggers(database)):
            send_command(database, statement)
        if was_on:
            count_again(database)
        return True

    return _as_a_migration(database, step)


def switch_off(database: Database) -> bool:
    """Take away all that was counted, and what counts it.

    Returns:
        whether there was anything.

    Raises:
        ConfigurationError: the database's user may not.
        MigrationError: another migrator is at work, or this thread has a transaction open.
    """

    def step() -> bool:
        was_on = is_on(database)
        if was_on:
            for statement in kind_of(database).DROPPING:
                send_command(database, statement)
        return was_on

    was_on = _as_a_migration(database, step)
    database.engine.has_rollups = False
    return was_on


def has_triggers(database: Database) -> bool:
    """Return whether all that changes invocations leaves marks, as it should where rollups are on."""
    return kind_of(database).has_triggers(database)


def _as_a_migration(database: Database, step: Callable[[], R]) -> R:
    engine = database.engine
    try:
        with (
            engine.with_all_tables(),
            MigrationRun(engine, AppliedMigrations(engine), _LOCK_TIMEOUT_SECONDS) as run,
        ):
            return run.step(step)
    except (ConfigurationError, MigrationError, ConnectionLostError, ConnectionFailedError):
        raise
    except peewee.DatabaseError as error:
        raise ConfigurationError(
            f"expected to make tables and triggers of invocations; got {error}: switch rollups on and off as the owner "
            "of the tables"
        ) from error
