"""How far an interrupted load has come, recorded in the database that it loads into.

The record is written in the transaction of the rows that it speaks of, so it is never ahead of them or behind. A load
is known by its table and the first lines of what it reads; a digest of everything loaded tells whether the rest still
belongs to it. A load that has ended is kept too: whoever is killed between the last commit and the end of the process
cannot know of it, and repeats the command. Only ``cloudpub load --resumable`` makes these tables.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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


class EndedLoad(Entity):
    """The last load by one command of a file that begins so, and what it had read as it ended."""

    id = AutoField()
    table_loaded = CharField(max_length=63)
    command = CharField(max_length=64)
    digest = CharField(max_length=64)
    lines = BigIntegerField()
    rows = BigIntegerField()
    ended_at = TimestampField()

    class Meta:
        """Table and constraints."""

        table_name = "cloudpub_loads_ended"
        indexes = ((("table_loaded", "command"), True),)


class Position(NamedTuple):
    """How far a load has come.

    Attributes:
        lines: how many lines of the file are done.
        digest: of all of them.
        rows: how many rows were written.
        ended: whether that was all of the file.
    """

    lines: int = 0
    digest: str = ""
    rows: int = 0
    ended: bool = False


class PositionRecord:
    """The record of one load.

    Args:
        database: where the rows go.
        table: the table that they go into.
        beginning: a digest of the first lines.
        options: what else the command says of the rows; with others, a file that was loaded is another load.
    """

    def __init__(self, database: Database, table: str, beginning: str, options: Sequence[str | None] = ()) -> None:
        self._positions = Manager(LoadPosition, database)
        self._ended = Manager(EndedLoad, database)
        self._key = {"table_loaded": table, "beginning": beginning}
        command = hashlib.sha256(repr((beginning, *options)).encode()).hexdigest()
        self._ended_key = {"table_loaded": table, "command": command}
        with database.bind():
            LoadPosition.create_table(safe=True)
            EndedLoad.create_table(safe=True)

    def read(self) -> Position:
        """Return how far the load has come; the beginning where it has not been recorded."""
        if (found := self._positions.find_one(self._key)) is not None:
            return Position(found.lines, found.digest, found.rows)
        if (ended := self._ended.find_one(self._ended_key)) is not None:
            return Position(ended.lines, ended.digest, ended.rows, ended=True)
        return Position()

    def write(self, position: Position) -> None:
        """Record how far the load has come, in the transaction that is open."""
        come = {"lines": position.lines, "digest": position.digest, "rows": position.rows}
        if position.ended:
            self._ended.upsert({**self._ended_key, **come, "ended_at": utc_now()}, tuple(self._ended_key))
            self._positions.delete(self._key)
        else:
            self._positions.upsert({**self._key, **come, "recorded_at": utc_now()}, tuple(self._key))
