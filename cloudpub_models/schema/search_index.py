"""Switching the index of words on and off, for who searches large tables without another condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.searchable import is_searchable
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.schema.migrations.applied import AppliedMigrations
from cloudpub_models.schema.migrations.run import MigrationRun
from cloudpub_models.schema.search.tables import SearchedTable, kind_of, searched_table
from cloudpub_models.schema.statements import fetch

_LOCK_TIMEOUT_SECONDS = 60.0


def switch_on(database: peewee.Database, models: Sequence[type[peewee.Model]]) -> tuple[str, ...]:
    """Make the index of words of tables that have none; return the names of those that have got one.

    On PostgreSQL others write meanwhile, and what an interrupted call has left is made anew; on SQLite nothing is kept
    of one that is interrupted.

    Args:
        database: the Peewee database.
        models: the models of the tables, each of which names columns to search in.

    Raises:
        InvalidQueryError: a model names no columns of text to search in.
        ConfigurationError: a table is not there, or the database cannot have the index.
        MigrationError: another migrator is at work.
    """
    kind = kind_of(sql_dialect_of(database))

    def work(table: SearchedTable) -> bool:
        if kind.is_made(partial(fetch, database), table):
            return False
        kind.make(database, table)
        return True

    return _done(database, _tables(database, models), work)


def switch_off(database: peewee.Database, models: Sequence[type[peewee.Model]]) -> tuple[str, ...]:
    """Drop the index of words of tables that have one; return their names.

    Args:
        database: the Peewee database.
        models: the models of the tables.

    Raises:
        MigrationError: another migrator is at work.
    """
    kind = kind_of(sql_dialect_of(database))
    return _done(database, _tables(database, models), partial(kind.drop, database))


def faulty_tables(database: peewee.Database, models: Iterable[type[peewee.Model]]) -> list[str]:
    """Return the names of tables that have an index of words which does not serve."""
    kind = kind_of(sql_dialect_of(database))
    tables = [searched_table(model) for model in models if is_searchable(model)]
    ask = partial(fetch, database)
    return [table.name for table in tables if kind.is_there(database, table) and not kind.is_made(ask, table)]


def _tables(database: peewee.Database, models: Sequence[type[peewee.Model]]) -> list[SearchedTable]:
    tables = [searched_table(model) for model in models]
    missing = [table.name for table in tables if not database.table_exists(table.name)]
    if missing:
        raise ConfigurationError(f"expected the tables that are searched; {', '.join(missing)} are missing: migrate")
    return tables


def _done(
    database: peewee.Database, tables: Sequence[SearchedTable], work: Callable[[SearchedTable], bool]
) -> tuple[str, ...]:
    """Do the work for each table under the migrators' lock, and return the names of those for which it did anything."""
    with MigrationRun(database, AppliedMigrations(database), _LOCK_TIMEOUT_SECONDS) as run:
        return tuple([table.name for table in tables if run.step_by_itself(partial(work, table))])
