"""The outbox: what programs tell others on purpose, kept with what they have changed or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import peewee

from cloudpub_models.entity.fields import TimestampField
from cloudpub_models.errors import HistoryError, RefusedQueryError
from cloudpub_models.history.tables import write
from cloudpub_models.sql.values import check_text, json_to_text

_READ_AT_ONCE = 5_000


@dataclass(frozen=True)
class Message:
    """What was published.

    Attributes:
        id: its number.
        topic: what it is about, as its publisher says.
        payload: what it says: whatever JSON expresses.
        at: when it was published.
    """

    id: int
    topic: str
    payload: Any
    at: datetime


def publish(database: peewee.Database, topic: str, payload: Any) -> None:
    """Put a message into the outbox; see ``Database.publish``."""
    topic = check_text(topic, "the topic")
    text = None if payload is None else json_to_text(payload)
    try:
        write(database, "INSERT INTO outbox (topic, payload) VALUES (?, ?)", topic, text)
    except RefusedQueryError as error:
        raise HistoryError(
            "expected a database with an outbox; got one without: have history.enable() make it"
        ) from error


def messages(database: peewee.Database, ids: Sequence[int]) -> list[Message]:
    """Return messages in an order, without those that were deleted meanwhile."""
    outbox = outbox_of(database)
    payload = peewee.NodeList((peewee.SQL("CAST("), outbox.payload, peewee.SQL("AS TEXT)"))).converter(_document)
    query = outbox.select(outbox.id, outbox.topic, payload.alias("payload"), outbox.created_at)
    found = {
        row[0]: Message(*row)
        for start in range(0, len(ids), _READ_AT_ONCE)
        for row in query.where(outbox.id.in_(ids[start : start + _READ_AT_ONCE])).tuples()
    }
    return [found[id] for id in ids if id in found]


def outbox_of(database: peewee.Database) -> Any:
    """Return a Peewee model of a database's outbox."""

    class MessageRow(peewee.Model):
        """One message."""

        id = peewee.BigIntegerField(primary_key=True)
        topic = peewee.TextField()
        payload = peewee.TextField(null=True)
        created_at = TimestampField()

        class Meta:
            """Its table."""

            table_name = "outbox"

    MessageRow.bind(database)
    return MessageRow


def _document(text: str | None) -> Any:
    return None if text is None else json.loads(text)
