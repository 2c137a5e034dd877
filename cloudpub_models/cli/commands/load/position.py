"""How far an interrupted load has come, recorded in the database that it loads into.

The record is written in the transaction of the rows that it speaks of, so it is never ahead of them or behind. A load
is known by its table and the first lines of what it reads; a digest of everything loaded tells whether the rest still
belongs to it. Only ``cloudpub load --resumable`` makes this table.
"""

from __future__ import annotations

from typing import NamedTuple

from peewee import AutoField, BigIntegerField, CharField

from cloudpub_models.connection import Database
from cloudpub_models.entity.base import Entity
from cloudpub_models.entity.fields import TimestampField
from cloudpub_models.entity.stored_forms import utc_now
from cloudpub_models.manager.manager import Manager


class LoadPosition(Entity):
    """One load that has begun and not ended."""

    id = AutoField()
    table_loaded = CharField(max_length=63)
    beginning = CharField(max_length=64)
    digest = CharField(max_length=64)
    lines = BigIntegerField()
    rows = BigIntegerField()
    recorded_at = TimestampField()

    class Meta:
        """Table and constraints."""

        table_name = "cloudpub_loads"
        indexes = ((("table_loaded", "beginning"), True),)


class Position(NamedTuple):
    """How far a load has come.

    Attributes:
        lines: how many lines of the file are done.
        digest: of all of them.
        rows: how many rows were written.
    """

    lines: int = 0
    digest: str = ""
    rows: int = 0


class PositionRecord:
    """The record of one load.

    Args:
        database: where the rows go.
        table: the table that they go into.
        beginning: a digest of the first lines.
    """

    def __init__(self, database: Database, table: str, beginning: str) -> None:
        self._positions = Manager(LoadPosition, database)
        self._key = {"table_loaded": table, "beginning": beginning}
        with database.bind():
            LoadPosition.create_table(safe=True)

    def read(self) -> Position:
        """Return how far the load has come; the beginning where it has not been recorded."""
        found = self._positions.find_one(self._key)
        if found is None:
            return Position()
        return Position(found.lines, found.digest, found.rows)

    def write(self, position: Position) -> None:
        """Record how far the load has come, in the transaction that is open."""
        self._positions.upsert({**self._key, **position._asdict(), "recorded_at": utc_now()}, tuple(self._key))

    def remove(self) -> None:
        """Forget the load, which has ended."""
        self._positions.delete(self._key)
