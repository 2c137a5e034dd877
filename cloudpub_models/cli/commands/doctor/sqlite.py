"""Checks of a SQLite database: versions, settings, encoding, unused space, and whether the file is sound."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from cloudpub_models.cli.commands.doctor.verdicts import Check, Verdict, error, notice, ok, warning, with_versions
from cloudpub_models.connection import Database
from cloudpub_models.connection.sqlite.engine import OLDEST_SUPPORTED
from cloudpub_models.errors import StorageError

# Below a megabyte nobody minds, above it a quarter is worth a VACUUM.
_NOTABLE_FREE_BYTES = 1 << 20
_NOTABLE_FREE_SHARE = 0.25
_MOST_LISTED = 5
_RESCUE = "stop writing, copy the file, then 'sqlite3 FILE .recover' or restore a backup"


def versions(database: Database) -> Iterator[Verdict]:
    """Say which versions work together here."""
    message = with_versions(f"SQLite {sqlite3.sqlite_version}")
    if sqlite3.sqlite_version_info < OLDEST_SUPPORTED:
        yield error(message, f"SQLite {'.'.join(map(str, OLDEST_SUPPORTED[:2]))} or later: a newer Python has one")
    else:
        yield ok(message)


def settings(database: Database) -> Iterator[Verdict]:
    """Look at what the connections of this library set, and whether the file kept it."""
    journal = _pragma(database, "journal_mode")
    if journal in ("wal", "memory"):
        yield ok(f"journal_mode is {journal}")
    else:
        yield warning(
            f"journal_mode is {journal}: readers and writers wait for each other",
            "PRAGMA journal_mode = WAL; programs that use this library do it where they may write, on a local disk",
        )
    if _pragma(database, "foreign_keys"):
        yield ok("foreign_keys is on for connections of this library")
    else:
        yield error("foreign_keys is off: references are not enforced", "PRAGMA foreign_keys = ON;")
    waits = _pragma(database, "busy_timeout") / 1000
    if waits:
        yield ok(f"busy_timeout is {waits:g} s: how long a statement waits for another writer")
    else:
        yield warning(
            "busy_timeout is 0: a statement fails at once while another connection writes",
            "open the database with busy_timeout=5",
        )
    yield ok(f"schema_version is {_pragma(database, 'schema_version')}: its count of changes")


def encoding(database: Database) -> Iterator[Verdict]:
    """Look at how text is stored."""
    found = _pragma(database, "encoding")
    if found == "UTF-8":
        yield ok("UTF-8")
    else:
        yield notice(f"{found}: works, and takes more space", "dump and load into a new file")


def space(database: Database) -> Iterator[Verdict]:
    """Look for space that deleted rows have left behind."""
    page_size, pages, free = (_pragma(database, name) for name in ("page_size", "page_count", "freelist_count"))
    message = f"{pages * page_size / 1e6:,.1f} MB, of which {free * page_size / 1e6:,.1f} MB are unused"
    if free * page_size > _NOTABLE_FREE_BYTES and free > pages * _NOTABLE_FREE_SHARE:
        yield notice(message, "VACUUM; gives it back, and needs as much space again meanwhile")
    else:
        yield ok(message)


def integrity(database: Database) -> Iterator[Verdict]:
    """Have SQLite check the file, and the references in it; that reads all of it."""
    try:
        yield from _soundness(database)
    except StorageError as failure:  # a page so broken that the check itself ends there
        yield error(f"the file is damaged: {failure}", _RESCUE)


def _soundness(database: Database) -> Iterator[Verdict]:
    problems = [row["quick_check"] for row in database.raw_query_all(f"PRAGMA quick_check({_MOST_LISTED})")]
    if problems == ["ok"]:
        yield ok("quick_check finds the file sound")
    else:
        yield error(f"the file is damaged: {'; '.join(problems)}", _RESCUE)
    quote = database.engine.sql_dialect.quote
    dangling = database.raw_query_all(
        'SELECT "table" AS name, parent, COUNT(*) AS rows FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2'
    )
    for row in dangling:
        yield error(
            f"{row['rows']:,} row(s) of {row['name']} refer to rows of {row['parent']} that do not exist",
            f"PRAGMA foreign_key_check({quote(row['name'])}); names them: delete them, or restore what they refer to",
        )


CHECKS: tuple[Check, ...] = (
    ("settings", settings),
    ("encoding", encoding),
    ("file", space),
    ("integrity", integrity),
)


def _pragma(database: Database, name: str) -> Any:
    row = database.raw_query_single(f"PRAGMA {name}")
    return next(iter(row.values())) if row else None
