"""Positions on SQLite: the number of the last row."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudpub_models import Database, Managers, errors

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


def test_a_position_of_another_database_is_refused(recorded: Database, managers: Managers) -> None:
    with recorded.feed("a"):
        pass
    managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    recorded.raw_execute("UPDATE feed_positions SET position = '{\"id\": 1000}'")
    with pytest.raises(errors.FeedGapError, match="behind all that it has ever had: say from where to go on"):
        with recorded.feed("a"):
            pass
    recorded.history.move_consumer("a", "oldest")
    with recorded.feed("a") as batch:
        assert len(batch) == 1


def test_a_copy_of_the_file_goes_on_where_the_file_was(backend: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/shop.db")
    database.migrate()
    database.history.enable()
    users = Managers(database).users
    users.insert({"email": "ada@example.com", "password_hash": "…"})
    with database.feed("a") as batch:
        assert len(batch) == 1
    users.insert({"email": "grace@example.com", "password_hash": "…"})
    database.raw_execute("VACUUM INTO @copy", {"copy": f"{tmp_path}/copy.db"})
    database.close()
    copy = Database(f"sqlite:///{tmp_path}/copy.db")
    with copy.feed("a") as batch:
        assert len(batch) == 1
    copy.close()


def test_numbers_that_were_pruned_are_not_given_again(recorded: Database, managers: Managers) -> None:
    managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    with recorded.feed("a"):
        pass
    recorded.raw_execute("DELETE FROM changes")
    managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    with recorded.feed("a") as batch:
        assert len(batch) == 1
