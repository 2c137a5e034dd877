"""What each kind of database does in its own way for rollups; see ``postgresql`` and ``sqlite``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol, cast

from cloudpub_models.connection import Database
from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.render.handwritten import in_words_of, put_together

# Percentiles go by four digits of a duration, the others are zeros: one that is shorter than ten seconds is exact.
_KEPT = """
    CASE WHEN ABS(CAST(duration_ms AS BIGINT)) < 10000 THEN duration_ms
        WHEN ABS(CAST(duration_ms AS BIGINT)) < 100000 THEN duration_ms / 10 * 10
        WHEN ABS(CAST(duration_ms AS BIGINT)) < 1000000 THEN duration_ms / 100 * 100
        WHEN ABS(CAST(duration_ms AS BIGINT)) < 10000000 THEN duration_ms / 1000 * 1000
        WHEN ABS(CAST(duration_ms AS BIGINT)) < 100000000 THEN duration_ms / 10000 * 10000
        WHEN ABS(CAST(duration_ms AS BIGINT)) < 1000000000 THEN duration_ms / 100000 * 100000
        ELSE duration_ms / 1000000 * 1000000 END
"""


class Kind(Protocol):
    """What one kind of database does in its own way."""

    PARTS: Mapping[str, str]
    """What stands in the places of statements that have these names."""
    IS_THERE: str
    """The query that says whether a database has rollups."""
    DROPPING: tuple[str, ...]
    """What takes away all that was made."""

    def tables(self, database: Database) -> tuple[str, ...]:
        """Return the statements that make the tables, of which nothing is counted yet."""

    def triggers(self, database: Database) -> tuple[str, ...]:
        """Return the statements that make the triggers, in place of others of their names."""

    def has_triggers(self, database: Database) -> bool:
        """Return whether the triggers are there as they should be."""

    def announce(self, database: Database, until: datetime, kept: datetime, wait: float) -> None:
        """Have whoever changes rows from before two moments leave marks, and wait until nobody is left who does not.

        Args:
            database: the database, without an open transaction.
            until: up to when hours are to be counted.
            kept: before when they are to be frozen.
            wait: for how many seconds to wait.

        Raises:
            LockNotAvailableError: somebody has gone on for longer.
        """

    def prepare(self, database: Database, wait: float) -> None:
        """Have this thread's transaction see all rows, take as long as it takes, and wait some seconds for others."""

    def durations_of(self, row: Any) -> Iterable[tuple[int, int]]:
        """Return the durations of a row of rollups, each with how many there are of it."""


def kind_of(database: Database) -> Kind:
    """Return what a database does in its own way."""
    return _kind_of(database.engine.sql_dialect)


@lru_cache(maxsize=64)
def statement(dialect: Dialect, sql: str, **parts: str) -> str:
    """Return a statement as a database takes it, with parts in the places that have their names."""
    return in_words_of(dialect, put_together(sql, kept=_KEPT, **_kind_of(dialect).PARTS, **parts))


def _kind_of(dialect: Dialect) -> Kind:
    return cast("Kind", import_module(f"{__package__}.{dialect.name}"))
