"""The process's default database lent to a test, and the empty in-memory database that most tests get.

A test gets a database of its own, not a transaction that is rolled back: commits are commits in it, ``on_commit`` runs,
threads see each other's rows, and ids begin with 1. Copying a migrated one costs half a millisecond.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from cloudpub_models.connection import Database
from cloudpub_models.connection.database import URL_VARIABLE
from cloudpub_models.connection.default import database as default_database
from cloudpub_models.errors import InvalidQueryError

MEMORY_URL = "sqlite:///:memory:"


@contextmanager
def default_database_at(url: str) -> Iterator[Database]:
    """Point the process's default database at a test's; at the end it is what it was before.

    What ``on_query`` has called before hears nothing of the block, and what the block has it call nothing afterwards.

    ``$CLOUDPUB_DATABASE_URL`` names the test's database too, so that neither code under test that reads it nor a
    process that it starts finds its way to another one.

    Raises:
        InvalidQueryError: at the end, where the block has left a transaction open.

    >>> with default_database_at("sqlite:///:memory:") as database:
    ...     database.dialect
    'sqlite'
    """
    kept = dict(vars(default_database))
    named = os.environ.get(URL_VARIABLE)
    vars(default_database).pop("engine", None)
    default_database._listeners = None
    try:
        os.environ[URL_VARIABLE] = url
        yield default_database.initialize(url)
    finally:
        try:
            _close(default_database)
        finally:
            vars(default_database).clear()
            vars(default_database).update(kept)
            os.environ.pop(URL_VARIABLE, None)
            if named is not None:
                os.environ[URL_VARIABLE] = named


@contextmanager
def default_database_in_memory() -> Iterator[Database]:
    """Point the process's default database at a migrated and empty one in memory.

    >>> from cloudpub_models import managers
    >>> with default_database_in_memory():
    ...     managers.users.count()
    0
    """
    with default_database_at(MEMORY_URL) as database:
        _driver_connection(_migrated_in_memory()).backup(_driver_connection(database))
        yield database


@cache
def _migrated_in_memory() -> Database:
    database = Database(MEMORY_URL)
    database.migrate()
    return database


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
            "the test has left a transaction open: use 'with database.transaction():', which ends it"
        )
