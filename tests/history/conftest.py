"""Databases of each test's own, since a log and its triggers stay where they were made."""

from __future__ import annotations

import pytest

from cloudpub_models import Database, Managers


@pytest.fixture
def database_url(request: pytest.FixtureRequest, backend: str) -> str:
    """The URL of a migrated, empty database that is thrown away afterwards; in memory on SQLite."""
    return "sqlite:///:memory:" if backend == "sqlite" else str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def recorded(database: Database) -> Database:
    """A database that records its changes."""
    database.history.enable()
    return database


@pytest.fixture
def managers(recorded: Database) -> Managers:
    """The managers of a database that records its changes."""
    return Managers(recorded)
