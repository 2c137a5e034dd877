"""Rows to begin with, and databases that several processes can open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloudpub_models import Database, Function, Managers, User


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
        return str(request.getfixturevalue("shared_postgresql_url"))
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
