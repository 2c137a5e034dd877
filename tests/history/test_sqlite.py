"""What only SQLite's log has to take care of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudpub_models import Database, Managers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shared.db"


@pytest.fixture
def shared(path: Path) -> Iterator[Database]:
    """A recorded file that other programs may open."""
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.history.enable()
    yield database
    database.close()


def test_a_blob_in_a_column_of_text_does_not_stop_its_writer(shared: Database) -> None:
    ada = Managers(shared).users.insert({"email": "ada@example.com", "password_hash": "…"})
    shared.raw_execute("UPDATE users SET email = x'00ff'")
    assert Managers(shared).users.history(ada.id)[0].after == {"email": "x'00FF'"}


def test_nothing_is_left_in_the_context(shared: Database, path: Path) -> None:
    managers = Managers(shared)
    with shared.acting_as("user:ada"), shared.transaction():
        managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        inside = shared.raw_query_all("SELECT actor FROM change_context")
    assert inside == [{"actor": "user:ada"}]
    with sqlite3.connect(path) as foreign:
        assert foreign.execute("SELECT * FROM change_context").fetchall() == []


def test_a_statement_of_another_program_and_its_cascades_have_one_number(shared: Database, path: Path) -> None:
    """SQLite reads its sequence once for a statement; it does not say so anywhere."""
    managers = Managers(shared)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    managers.functions.batch_insert({"user_id": ada.id, "name": f"f{number}"} for number in range(20))
    foreign = sqlite3.connect(path)
    foreign.execute("PRAGMA foreign_keys = ON")
    foreign.execute("DELETE FROM users")
    foreign.execute("INSERT INTO users (email, password_hash) VALUES ('grace@example.com', '…')")
    foreign.commit()
    foreign.close()
    deletion = managers.users.history(ada.id)[0]
    assert len(shared.history.of_transaction(deletion.transaction_id)) == 21


def test_a_program_that_runs_when_it_is_switched_off_goes_on(shared: Database, path: Path) -> None:
    other = Database(f"sqlite:///{path}")
    other.ping()
    shared.history.disable()
    with other.transaction():
        Managers(other).users.insert({"email": "ada@example.com", "password_hash": "…"})
    assert Managers(shared).users.count() == 1
    other.close()


def test_a_read_only_transaction_leaves_the_context_alone(shared: Database) -> None:
    with shared.transaction(read_only=True):
        assert Managers(shared).users.count() == 0
