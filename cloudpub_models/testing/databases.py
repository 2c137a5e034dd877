"""The process's default database lent to a test, and the empty in-memory database that most tests get.

A test gets a database of its own, not a transaction that is rolled back: commits are commits in it, ``on_commit`` runs,
threads see each other's rows, and ids begin with 1. Copying a migrated one costs half a millisecond.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from cloudpub_models.component import Component, project_components
from cloudpub_models.connection import Database
from cloudpub_models.connection.default import database as default_database
from cloudpub_models.connection.environment import URL_VARIABLE, VARIABLES
from cloudpub_models.connection.url import MEMORY_URL
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.schema.drift.definition import create_all


@contextmanager
def default_database_at(url: str) -> Iterator[Database]:
    """Point the process's default database at a test's, with the project's components; at the end it is as before.

    What ``on_query`` has called before hears nothing of the block, and what the block has it call nothing afterwards.

    ``$CLOUDPUB_DATABASE_URL`` names the test's database too, and nothing names servers beside it, so that neither code
    under test that reads the environment nor a process that it starts finds its way to another one. A program's own
    ``database.initialize()`` is checked and points at the test's database as well; ``close()`` closes nothing that
    would be lost with it.

    Raises:
        InvalidQueryError: at the end, where the block has left a transaction open.

    >>> with default_database_at("sqlite:///:memory:") as database:
    ...     database.dialect
    'sqlite'
    """
    kept = dict(vars(default_database))
    named = {variable: os.environ.pop(variable, None) for variable in VARIABLES}
    # It may be lent to a test already, which is lent another one here.
    for name in ("engine", *_lent(MEMORY_URL)):
        vars(default_database).pop(name, None)
    default_database._listeners = None
    try:
        os.environ[URL_VARIABLE] = url
        default_database.initialize(url, components=project_components())
        vars(default_database).update(_lent(url))
        yield default_database
    finally:
        for name in _lent(url):
            vars(default_database).pop(name, None)
        try:
            _close(default_database)
        finally:
            vars(default_database).clear()
            vars(default_database).update(kept)
            os.environ.pop(URL_VARIABLE, None)
            os.environ.update({variable: value for variable, value in named.items() if value is not None})


@contextmanager
def default_database_in_memory() -> Iterator[Database]:
    """Point the process's default database at a migrated and empty one in memory, with all components' tables.

    >>> from cloudpub_models import managers
    >>> with default_database_in_memory():
    ...     managers.users.count()
    0
    """
    with default_database_at(MEMORY_URL) as database:
        fill_in_memory(database)
        yield database


def fill_in_memory(database: Database) -> None:
    """Copy the empty tables of all components into a database in memory that has none yet.

    >>> shop = Database("sqlite:///:memory:")
    >>> fill_in_memory(shop)
    >>> shop.migrate()
    []
    """
    _driver_connection(_migrated_in_memory(database.components)).backup(_driver_connection(database))


def make_tables(database: Database) -> None:
    """Make the tables of all components: by their migrations, and from the models of those that have none."""
    database.migrate()
    create_all(
        database.engine, [model for one in database.components if one.migrations is None for model in one.models]
    )


@cache
def _migrated_in_memory(components: tuple[Component, ...]) -> Database:
    database = Database(MEMORY_URL, components=components, platform=False)
    make_tables(database)
    return database


def _lent(url: str) -> dict[str, Callable[..., object]]:
    """Return what calls of a program do, by their names, that would take a test's database away from it."""

    def initialize(named: str | None = None, **options: Any) -> Database:
        Database(named, **options)  # refuses what it would refuse
        return default_database

    # A database in memory ends with its connections.
    return {"initialize": initialize, **({"close": lambda: None} if url == MEMORY_URL else {})}


def _driver_connection(database: Database) -> Any:
    return database.engine.connection()  # type: ignore[no-untyped-call]


def _close(database: Database) -> None:
    left_open = database.is_open and database.engine.in_transaction()
    if database.is_open:
        database.engine.forget_transactions()
    if left_open:
        database.engine.scopes().clear()
        # Otherwise its locks last until the connection is garbage, and the next test waits for them.
        database.engine.close()
    database.close()
    if left_open:
        raise InvalidQueryError(
            "expected a test that ends its transactions; got an open one: use 'with database.transaction():'"
        )
