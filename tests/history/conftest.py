"""Databases that record their changes; PostgreSQL's is shared, since switching recording on is slower than a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.history.recording import BEGINS
from cloudpub_models.history.tables import TABLES_OF_FEEDS
from cloudpub_models.testing.postgresql import PostgresqlDatabases, ReusedDatabase


class RecordedDatabase(ReusedDatabase):
    """One that records its changes, and whose log is emptied with it."""

    def _make(self) -> None:
        super()._make()
        self._database.history.enable()
        self._remember()

    def _empty(self) -> None:
        super()._empty()
        self._database.raw_execute("DELETE FROM changes WHERE operation <> @begins", {"begins": BEGINS})
        for table in TABLES_OF_FEEDS:
            self._database.raw_execute(f"DELETE FROM {table}")


@pytest.fixture(scope="session")
def shared_recorded_postgresql(databases_on_server: PostgresqlDatabases) -> RecordedDatabase:
    """A PostgreSQL database that records its changes, for one test after the other."""
    return RecordedDatabase(databases_on_server)


@pytest.fixture
def shared_recorded_postgresql_url(shared_recorded_postgresql: RecordedDatabase) -> Iterator[str]:
    """Its URL; it is migrated, empty, and so is its log."""
    yield shared_recorded_postgresql.url
    shared_recorded_postgresql.make_ready()


@pytest.fixture
def database_url(request: pytest.FixtureRequest, backend: str) -> str:
    """The URL of a migrated, empty database, which may record already where ``recorded`` is asked for."""
    if backend == "sqlite":
        return "sqlite:///:memory:"
    shared = "shared_recorded_postgresql_url" if "recorded" in request.fixturenames else "shared_postgresql_url"
    return str(request.getfixturevalue(shared))


@pytest.fixture
def recorded(database: Database) -> Database:
    """A database that records its changes."""
    if not database.history.tables:
        database.history.enable()
    return database


@pytest.fixture
def managers(recorded: Database) -> Managers:
    """The managers of a database that records its changes."""
    return Managers(recorded)
