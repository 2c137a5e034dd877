"""How far each consumer has read: a row for each of them, and what the two kinds of databases do in their own way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol, cast

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.fields import TimestampField
from cloudpub_models.entity.stored_forms import timestamp_to_text, utc_now
from cloudpub_models.history.tables import TABLES_OF_FEEDS, has_columns, has_table, rows, write

Source = Literal["changes", "outbox"]
SOURCES: tuple[Source, ...] = ("changes", "outbox")
Start = Literal["oldest", "now"]
STARTS: tuple[Start, ...] = ("oldest", "now")

Position = Mapping[str, Any]


class Key(NamedTuple):
    """What tells a row of a source, in the order of delivery.

    Attributes:
        id: its number.
        transaction: what it has in common with the other rows of its transaction.
        order: what its transaction is ordered by.
    """

    id: int
    transaction: Any
    order: int


class Kind(Protocol):
    """What one kind of database does in its own way; see ``postgresql`` and ``sqlite``."""

    def await_turn(self, database: peewee.Database, name: str) -> None:
        """Wait until no other transaction reads for a consumer.

        Raises:
            HistoryError: the database is a standby.
        """

    def kept(self, database: peewee.Database, name: str) -> tuple[Source, Position] | None:
        """Return a consumer's source and position, if there is one of that name.

        Raises:
            FeedGapError: the position was made in another database.
        """

    def first(self, database: peewee.Database, source: Source, start: Start) -> Position:
        """Return where a consumer begins."""

    def reach(self, database: peewee.Database, source: Source, position: Position) -> Position:
        """Return a position that says up to where there is something to read from it."""

    def page(self, database: peewee.Database, source: Source, position: Position, limit: int) -> list[Key]:
        """Return what follows on a position that was reached for, at most a number of rows."""

    def behind(self, position: Position, last: Key, *, is_all: bool) -> Position:
        """Return the position behind a row of a page, which was the last one up to where there is something or not."""

    def unread(self, database: peewee.Database, source: Source, position: Position) -> tuple[int, Any]:
        """Return how many rows follow on a position, and the moment of the oldest, as the driver has it."""

    def is_read(self, log: Any, position: Position) -> peewee.Expression:
        """Return the condition of rows that a position is behind of, and that nobody who has it asks for again."""


def kind_of(database: peewee.Database) -> Kind:
    """Return what a kind of database does in its own way."""
    return cast("Kind", import_module(f"cloudpub_models.history.feed.{sql_dialect_of(database).name}"))


def all_positions(database: peewee.Database) -> list[tuple[str, Source, Position, datetime, datetime | None]]:
    """Return each consumer's name, source and position, since when there is one, and when it has read last."""

    class Row(peewee.Model):
        """A consumer."""

        name = peewee.TextField(primary_key=True)
        source = peewee.TextField()
        position = peewee.TextField()
        started_at = TimestampField()
        read_at = TimestampField(null=True)

        class Meta:
            """Its table."""

            table_name = "feed_positions"

    Row.bind(database)
    found: Iterable[Any] = Row.select().order_by(Row.name)
    return [(row.name, row.source, json.loads(row.position), row.started_at, row.read_at) for row in found]


def begin(database: peewee.Database, name: str, source: Source, position: Position) -> None:
    """Keep the first position of a consumer, or another one in its place."""
    forget(database, name)
    write(
        database,
        "INSERT INTO feed_positions (name, source, position, started_at) VALUES (?, ?, ?, ?)",
        name,
        source,
        json.dumps(position),
        timestamp_to_text(utc_now()),
    )


def keep(database: peewee.Database, name: str, position: Position) -> None:
    """Keep how far a consumer has read."""
    write(
        database,
        "UPDATE feed_positions SET position = ?, read_at = ? WHERE name = ?",
        json.dumps(position),
        timestamp_to_text(utc_now()),
        name,
    )


def forget(database: peewee.Database, name: str) -> None:
    """Keep no position of a consumer any more."""
    write(database, "DELETE FROM feed_positions WHERE name = ?", name)


def has_positions(database: peewee.Database) -> bool:
    """Return whether a database has the table of positions, and not just one of its name."""
    name = "feed_positions"
    return has_table(database, name) and has_columns(database, name, TABLES_OF_FEEDS[name])


def rows_of_position(database: peewee.Database, columns: str, name: str) -> list[tuple[Any, ...]]:
    """Return columns of a consumer's row."""
    return rows(database, f"SELECT {columns} FROM feed_positions WHERE name = ?", name)  # noqa: S608 - our columns
