"""Rows, and somebody else on the same database, for whatever is prepared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudpub_models import Database, Function, Managers, User


@pytest.fixture
def other(database_url: str) -> Iterator[Database]:
    """Somebody else on the same database."""
    other = Database(database_url)
    yield other
    other.close()


@pytest.fixture
def ada(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@example.com", "password_hash": "…"})


@pytest.fixture
def resize(managers: Managers, ada: User) -> Function:
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})
