"""A world for each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cloudpub_models import Database
from tests.abuse.world import World


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A database for all tests of a module, which therefore leave it as they found it."""
    if request.param == "sqlite":
        database = Database("sqlite:///:memory:")
        database.migrate()
        yield World(database)
        database.close()
        return
    make: Any = request.getfixturevalue("postgresql_databases")
    with make(request.getfixturevalue("postgresql_template")) as url:
        database = Database(url)
        yield World(database)
        database.close()


@pytest.fixture(scope="module")
def both_databases(request: pytest.FixtureRequest) -> Iterator[dict[str, Database]]:
    """A migrated, empty database of each kind at once, to compare what they say."""
    make: Any = request.getfixturevalue("postgresql_databases")
    with make(request.getfixturevalue("postgresql_template")) as url:
        databases = {"sqlite": Database("sqlite:///:memory:"), "postgresql": Database(url)}
        databases["sqlite"].migrate()
        yield databases
        for database in databases.values():
            database.close()
