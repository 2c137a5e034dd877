"""What `hazards` needs to know of a database, read from its catalogue without touching a table's rows."""

from __future__ import annotations

from typing import Any

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.schema.catalogue.catalogue import normalised_type
from cloudpub_models.schema.safety.hazards import DatabaseFacts
from cloudpub_models.schema.statements import fetch, fetch_value

# A table that was never analysed has reltuples -1; the statistics collector may have counted its rows all the same.
_TABLES = """
    SELECT c.relname::text,
           CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint
                ELSE NULLIF(pg_catalog.pg_stat_get_live_tuples(c.oid), 0) END
    FROM pg_catalog.pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
"""
_COLUMNS = """
    SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod)
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
      AND a.attnum > 0 AND NOT a.attisdropped
"""
_STEADY_FUNCTIONS = "SELECT proname::text FROM pg_catalog.pg_proc GROUP BY proname HAVING bool_and(provolatile <> 'v')"


def read_facts(database: peewee.Database) -> DatabaseFacts:
    """Return the facts about a database as it is now.

    Args:
        database: the database; on PostgreSQL its current schema is read.

    >>> database = peewee.SqliteDatabase(":memory:")
    >>> _ = database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    >>> dict(read_facts(database).rows)
    {'t': 0}
    """
    if sql_dialect_of(database).name == "sqlite":
        return DatabaseFacts("sqlite", rows=_sqlite_rows(database))
    return DatabaseFacts(
        "postgresql",
        rows=dict(_pairs(database, _TABLES)),
        column_types={(table, column): normalised_type(kind) for table, column, kind in fetch(database, _COLUMNS)},
        steady_functions=frozenset(name for (name,) in fetch(database, _STEADY_FUNCTIONS)),
        schema=fetch_value(database, "SELECT current_schema()::text") or "",
    )


def _pairs(database: peewee.Database, query: str) -> list[tuple[Any, Any]]:
    return [(first, second) for first, second in fetch(database, query)]


def _sqlite_rows(database: peewee.Database) -> dict[str, int | None]:
    tables = fetch(database, "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'")
    return {name: _highest_rowid(database, name) for (name,) in tables}


def _highest_rowid(database: peewee.Database, table: str) -> int | None:
    """Return how many rows a table has at most; counting them would read it all."""
    quoted = table.replace("`", "``")
    try:
        [(highest,)] = fetch(database, f"SELECT max(rowid) FROM `{quoted}`")  # noqa: S608 - quoted
    except peewee.PeeweeException:
        return None  # a table WITHOUT ROWID
    return int(highest or 0)
