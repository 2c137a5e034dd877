"""What is old goes, but for what a consumer has yet to read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Managers, User, errors


@pytest.fixture
def ada(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@example.com", "password_hash": "…"})


def read(database: Database, name: str, **options: Any) -> int:
    with database.feed(name, **options) as batch:
        return len(batch)


def test_what_a_consumer_has_yet_to_read_is_kept(recorded: Database, managers: Managers, ada: User) -> None:
    assert read(recorded, "quick") == read(recorded, "slow") == 1
    for number in range(3):
        managers.users.update_by_id(ada.id, {"email": f"{number}@example.com"})
    assert read(recorded, "quick") == 3
    assert recorded.history.prune(timedelta(0)) == 1
    assert read(recorded, "slow") == 3
    assert recorded.history.prune(timedelta(0)) == 3
    assert recorded.history.prune(timedelta(0)) == 0


def test_nothing_is_kept_for_one_that_is_removed(recorded: Database, managers: Managers, ada: User) -> None:
    read(recorded, "slow", start="now")
    managers.users.update_by_id(ada.id, {"email": "a@example.com"})
    assert recorded.history.prune(timedelta(0)) == 1
    recorded.history.remove_consumer("slow")
    assert recorded.history.prune(timedelta(0)) == 1


def test_each_source_is_pruned_for_itself(recorded: Database, ada: User) -> None:
    assert read(recorded, "mailer", source="outbox") == 0
    for _ in range(3):
        recorded.publish("topic")
    assert recorded.history.prune(timedelta(0), source="outbox") == 0
    assert read(recorded, "mailer", source="outbox", limit=10) == 3
    assert recorded.history.prune(timedelta(days=1), source="outbox") == 0
    assert recorded.history.prune(timedelta(0), source="outbox") == 3
    assert recorded.history.prune(timedelta(0)) == 1


def test_a_source_that_is_none(recorded: Database) -> None:
    with pytest.raises(errors.InvalidValueError, match="expected 'changes' or 'outbox'; got 'users'"):
        recorded.history.prune(timedelta(0), source="users")  # type: ignore[arg-type]


def test_what_is_forgotten_still_comes_empty(recorded: Database, managers: Managers, ada: User) -> None:
    managers.users.update_by_id(ada.id, {"email": "a@example.com"})
    assert recorded.history.forget("users", ada.id) == 1
    with recorded.feed("a") as batch:
        assert [(change.operation, change.before, change.after) for change in batch] == [
            ("insert", {}, {}),
            ("update", {}, {}),
        ]
