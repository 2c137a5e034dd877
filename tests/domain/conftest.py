"""Rows to begin with, databases that several processes can open, and the processes."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable, Iterator
from multiprocessing.pool import Pool
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cloudpub_models import Database, Function, Managers, User

PROCESSES = 8


@pytest.fixture(scope="session")
def domain_url(administration: Database, postgresql_server: str, postgresql_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database for all tests here."""
    name = f"cloudpub_domain_{uuid.uuid4().hex[:12]}"
    administration.raw_execute(f"CREATE DATABASE {name} TEMPLATE {postgresql_template}")
    yield urlsplit(postgresql_server)._replace(path=f"/{name}").geturl()
    administration.raw_execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgresql_url(domain_url: str) -> Iterator[str]:
    """That database, emptied after each test, which takes a tenth of the time of making one for each."""
    yield domain_url
    database = Database(domain_url)
    database.raw_execute("DELETE FROM users")  # everything else goes with them
    database.close()


@pytest.fixture
def new_user(managers: Managers) -> Callable[[str], User]:
    """Insert a user with this name."""
    return lambda name: managers.users.insert({"email": f"{name}@example.com", "password_hash": f"hash of {name}"})


@pytest.fixture
def ada(new_user: Callable[[str], User]) -> User:
    return new_user("ada")


@pytest.fixture
def resize(managers: Managers, ada: User) -> Function:
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


@pytest.fixture
def shared_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated, empty database that other processes can open too."""
    if backend == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    database = Database(url)
    database.migrate()
    database.close()
    return url


@pytest.fixture
def shared(shared_url: str) -> Iterator[Managers]:
    """Managers of that database."""
    database = Database(shared_url)
    yield Managers(database)
    database.close()


@pytest.fixture(scope="session")
def processes() -> Iterator[Pool]:
    """Eight processes, started once, since starting them takes longer than all they do."""
    pool = multiprocessing.get_context("spawn").Pool(PROCESSES)
    yield pool
    pool.close()
    pool.join()
