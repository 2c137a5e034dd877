"""Databases that have the tables of leases and receipts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudpub_models import Database
from tests.work.databases import opened


@pytest.fixture
def database_url(request: pytest.FixtureRequest, backend: str) -> str:
    """The URL of a database that is thrown away afterwards; in memory on SQLite."""
    return "sqlite:///:memory:" if backend == "sqlite" else str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database of the test's own."""
    with opened(database_url) as database:
        yield database
