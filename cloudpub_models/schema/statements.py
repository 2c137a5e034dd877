"""Sending a statement to a Peewee database and taking its rows, typed; Peewee's stubs leave both open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peewee

Row = tuple[Any, ...]


def fetch(database: peewee.Database, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """Return the rows of a query."""
    return [tuple(row) for row in run(database, sql, parameters).fetchall()]


def fetch_value(database: peewee.Database, sql: str, parameters: Sequence[Any] = ()) -> Any:
    """Return the first column of a query's first row."""
    return run(database, sql, parameters).fetchone()[0]


def run(database: peewee.Database, sql: str, parameters: Sequence[Any] = ()) -> Any:
    """Send a statement and return the driver's cursor."""
    return database.execute_sql(sql, tuple(parameters))  # type: ignore[no-untyped-call]
