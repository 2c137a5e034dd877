"""Checks of a SQLite database: versions, settings, encoding, unused space, and whether the file is sound."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import cloudpub_models
from cloudpub_models.cli.commands.doctor.diagnosis import Finding, Level
from cloudpub_models.connection import Database

OLDEST_SQLITE = (3, 39)
# Below a megabyte nobody minds, above it a quarter is worth a VACUUM.
_NOTABLE_FREE_BYTES = 1 << 20
_NOTABLE_FREE_SHARE = 0.25
_MOST_LISTED = 5


def versions(database: Database) -> Iterator[Finding]:
    """Say which versions work together here."""
    message = (
        f"SQLite {sqlite3.sqlite_version}, Peewee {version('peewee')}, Python {platform.python_version()}, "
        f"cloudpub-models {cloudpub_models.__version__}"
    )
    if sqlite3.sqlite_version_info[:2] < OLDEST_SQLITE:
        yield Finding(
            "versions",
            Level.ERROR,
            message,
            f"SQLite {'.'.join(map(str, OLDEST_SQLITE))} or later: a newer Python has one",
        )
    else:
        yield Finding("versions", Level.OK, message)


def settings(database: Database) -> Iterator[Finding]:
    """Look at what the connections of this library set, and whether the file kept it."""
    journal = _pragma(database, "journal_mode")
    if journal in ("wal", "memory"):
        yield Finding("settings", Level.OK, f"journal_mode is {journal}")
    else:
        yield Finding(
            "settings",
            Level.WARNING,
            f"journal_mode is {journal}: readers and writers wait for each other",
            "PRAGMA journal_mode = WAL; programs that use this library do it where they may write, on a local disk",
        )
    if _pragma(database, "foreign_keys"):
        yield Finding("settings", Level.OK, "foreign_keys is on for connections of this library")
    else:
        yield Finding(
            "settings", Level.ERROR, "foreign_keys is off: references are not enforced", "PRAGMA foreign_keys = ON;"
        )
    waits = _pragma(database, "busy_timeout") / 1000
    if waits:
        yield Finding(
            "settings", Level.OK, f"busy_timeout is {waits:g} s: how long a statement waits for another writer"
        )
    else:
        yield Finding(
            "settings",
            Level.WARNING,
            "busy_timeout is 0: a statement fails at once while another connection writes",
            "open the database with busy_timeout=5",
        )
    yield Finding(
        "settings", Level.OK, f"schema_version is {_pragma(database, 'schema_version')}: its count of changes"
    )


def encoding(database: Database) -> Iterator[Finding]:
    """Look at how text is stored."""
    found = _pragma(database, "encoding")
    if found == "UTF-8":
        yield Finding("encoding", Level.OK, "UTF-8")
    else:
        yield Finding(
            "encoding", Level.NOTICE, f"{found}: works, and takes more space", "dump and load into a new file"
        )


def space(database: Database) -> Iterator[Finding]:
    """Look for space that deleted rows have left behind."""
    page_size, pages, free = (_pragma(database, name) for name in ("page_size", "page_count", "freelist_count"))
    message = f"{pages * page_size / 1e6:,.1f} MB, of which {free * page_size / 1e6:,.1f} MB are unused"
    if free * page_size > _NOTABLE_FREE_BYTES and free > pages * _NOTABLE_FREE_SHARE:
        yield Finding("file", Level.NOTICE, message, "VACUUM; gives it back, and needs as much space again meanwhile")
    else:
        yield Finding("file", Level.OK, message)


def integrity(database: Database) -> Iterator[Finding]:
    """Have SQLite check the file, and the references in it; that reads all of it."""
    problems = [row["quick_check"] for row in database.raw_query_all(f"PRAGMA quick_check({_MOST_LISTED})")]
    if problems == ["ok"]:
        yield Finding("integrity", Level.OK, "quick_check finds the file sound")
    else:
        yield Finding(
            "integrity",
            Level.ERROR,
            f"the file is damaged: {'; '.join(problems)}",
            "stop writing, copy the file, then 'sqlite3 FILE .recover' or restore a backup",
        )
    dangling = database.raw_query_all(
        'SELECT "table" AS name, parent, COUNT(*) AS rows FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2'
    )
    for row in dangling:
        yield Finding(
            "integrity",
            Level.ERROR,
            f"{row['rows']:,} row(s) of {row['name']} refer to rows of {row['parent']} that do not exist",
            f"PRAGMA foreign_key_check({row['name']}); names them: delete them, or restore what they refer to",
        )


def _pragma(database: Database, name: str) -> Any:
    row = database.raw_query_single(f"PRAGMA {name}")
    return next(iter(row.values())) if row else None
