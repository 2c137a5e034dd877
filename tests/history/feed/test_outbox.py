"""Messages: kept with what their transaction writes, or not at all, and delivered in order."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Managers, Message, errors
from tests.waiting import LONG_ENOUGH


def read(database: Database, name: str = "mailer", **options: Any) -> list[Message]:
    with database.feed(name, source="outbox", **options) as batch:
        return batch


@pytest.mark.parametrize(
    "payload", [None, {"a": [1, 2.5, "ä", None, {"b": True}]}, "text", "7", "", 7, 2**60, False, [], "null"]
)
def test_a_payload_comes_as_it_was_given(recorded: Database, payload: Any) -> None:
    recorded.publish("topic", payload)
    (message,) = read(recorded)
    assert (message.topic, message.payload, type(message.payload)) == ("topic", payload, type(payload))
    assert abs(message.at - datetime.now(UTC)) < timedelta(seconds=5)
    assert read(recorded) == []


def test_what_is_rolled_back_is_not_published(recorded: Database) -> None:
    with pytest.raises(RuntimeError), recorded.transaction():
        recorded.publish("never")
        raise RuntimeError
    with recorded.transaction():
        recorded.publish("kept")
        with pytest.raises(RuntimeError), recorded.transaction():
            recorded.publish("undone")
            raise RuntimeError
    assert [message.topic for message in read(recorded)] == ["kept"]


def test_messages_come_in_order_in_batches_of_a_size(recorded: Database) -> None:
    with recorded.transaction():
        for number in range(3):
            recorded.publish("number", number)
    recorded.publish("number", 3)
    batches = [[message.payload for message in read(recorded, limit=2)] for _ in range(3)]
    assert batches == [[0, 1], [2, 3], []]


def test_one_statement_publishes(recorded: Database, statements: Any) -> None:
    with recorded.transaction():
        statements.clear()
        recorded.publish("deployment.ready", {"id": 1})
        parameter = recorded.engine.param
        assert statements == [
            (
                f"INSERT INTO outbox (topic, payload) VALUES ({parameter}, {parameter})",
                ("deployment.ready", '{"id":1}'),
            )
        ]


def test_it_is_published_in_the_name_of_who_acts(recorded: Database) -> None:
    with recorded.acting_as("user:ada"):
        recorded.publish("alone")
    assert [message.topic for message in read(recorded)] == ["alone"]


def test_other_programs_publish_by_plain_sql(recorded: Database) -> None:
    recorded.raw_execute("""INSERT INTO outbox (topic, payload) VALUES ('plain', '{"a": 1}')""")
    assert [(message.topic, message.payload) for message in read(recorded)] == [("plain", {"a": 1})]


def test_a_message_may_be_published_while_one_is_handled(recorded: Database) -> None:
    recorded.publish("order", 1)
    with recorded.feed("mailer", source="outbox") as batch:
        for message in batch:
            recorded.publish("mail", message.payload)
    assert [message.topic for message in read(recorded)] == ["mail"]


@pytest.mark.parametrize("topic", ["", 7, None, "a\0b", "a\udcff"])
def test_a_topic_is_a_text(recorded: Database, statements: Any, topic: Any) -> None:
    statements.clear()
    with pytest.raises(errors.InvalidValueError, match="expected the topic to be a text, neither empty"):
        recorded.publish(topic)
    assert statements.sql == []


@pytest.mark.parametrize("payload", [object(), {1, 2}, float("nan"), {"a": "\0"}])
def test_a_payload_is_json(recorded: Database, statements: Any, payload: Any) -> None:
    statements.clear()
    with pytest.raises(errors.InvalidValueError):
        recorded.publish("topic", payload)
    assert statements.sql == []


def test_it_needs_its_table(database: Database) -> None:
    with pytest.raises(errors.HistoryError, match="expected a database with an outbox; got one without: have"):
        database.publish("topic")


def test_it_works_where_nothing_is_recorded_any_more(database: Database) -> None:
    database.history.enable()
    database.history.disable()
    database.publish("topic")
    assert [message.topic for message in read(database)] == ["topic"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_who_commits_late_is_not_lost(recorded: Database, managers: Managers) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with recorded.transaction():
            recorded.publish("slow")
            inside.set()
            go_on.wait(LONG_ENOUGH)

    thread = threading.Thread(target=slow)
    thread.start()
    assert inside.wait(LONG_ENOUGH)
    recorded.publish("fast")
    assert [message.topic for message in read(recorded)] == ["fast"]
    go_on.set()
    thread.join()
    assert [message.topic for message in read(recorded)] == ["slow"]
