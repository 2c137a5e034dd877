"""Who reads feeds, how far, and from where on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Managers, errors
from cloudpub_models.history.feed.consumers import Consumer


def test_they_are_listed_with_what_waits(recorded: Database, managers: Managers) -> None:
    assert recorded.history.consumers() == []
    with recorded.feed("search"):
        pass
    with recorded.feed("mailer", source="outbox"):
        pass
    before = datetime.now(UTC)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    with recorded.transaction():
        for number in range(4):
            managers.functions.insert({"user_id": ada.id, "name": f"f{number}"})
    mailer, search = recorded.history.consumers()
    assert (mailer.name, mailer.source, mailer.waiting, mailer.waiting_since) == ("mailer", "outbox", 0, None)
    assert (search.name, search.source, search.waiting) == ("search", "changes", 5)
    assert search.waiting_since is not None
    assert abs(search.waiting_since - before) < timedelta(seconds=5)
    assert abs(search.started_at - before) < timedelta(seconds=5)
    waiting = []
    for _ in range(4):
        with recorded.feed("search", limit=2):
            pass
        waiting.append(recorded.history.consumers()[1].waiting)
    assert waiting == [4, 2, 0, 0]
    read_at = recorded.history.consumers()[1].read_at
    assert read_at is not None
    assert read_at >= search.started_at


def test_there_are_none_without_a_log(database: Database) -> None:
    assert database.history.consumers() == []
    for call in (lambda: database.history.remove_consumer("a"), lambda: database.history.move_consumer("a", "now")):
        with pytest.raises(errors.HistoryError, match="expected the name of a consumer; got 'a': none is known"):
            call()


def test_one_goes_on_elsewhere(recorded: Database, managers: Managers) -> None:
    def read() -> int:
        with recorded.feed("a") as batch:
            return len(batch)

    managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    assert [read(), read()] == [1, 0]
    recorded.history.move_consumer("a", "oldest")
    assert [read(), read()] == [1, 0]
    managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    recorded.history.move_consumer("a", "now")
    assert read() == 0


def test_one_is_removed(recorded: Database) -> None:
    with recorded.feed("search"):
        pass
    with pytest.raises(errors.HistoryError, match="got 'serach': did you mean 'search'"):
        recorded.history.remove_consumer("serach")
    recorded.history.remove_consumer("search")
    assert recorded.history.consumers() == []


@pytest.mark.parametrize("to", ["", "yesterday", None, 0])
def test_a_place_that_is_none(recorded: Database, to: Any) -> None:
    with pytest.raises(errors.InvalidValueError, match="expected 'oldest' or 'now'"):
        recorded.history.move_consumer("a", to)


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("waiting", "read_hours_ago", "waiting_hours", "stopped"),
    [(0, 100, None, False), (3, 100, 50, True), (3, 1, 50, False), (3, None, 50, True), (3, 100, 1, False)],
)
def test_one_has_stopped_that_leaves_waiting_what_has_come(
    backend: str, waiting: int, read_hours_ago: int | None, waiting_hours: int | None, stopped: bool
) -> None:
    def ago(hours: int | None) -> datetime | None:
        return None if hours is None else datetime.now(UTC) - timedelta(hours=hours)

    consumer = Consumer(
        "a", "changes", datetime(2020, 1, 1, tzinfo=UTC), ago(read_hours_ago), waiting, ago(waiting_hours)
    )
    assert consumer.has_stopped(timedelta(hours=24)) is stopped
