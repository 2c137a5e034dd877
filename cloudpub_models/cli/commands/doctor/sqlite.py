"""Checks of a SQLite database: versions, settings, encoding, unused space, and whether the file is sound."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

import peewee

from cloudpub_models.cli.commands.doctor import tables
from cloudpub_models.cli.commands.doctor.verdicts import Check, Verdict, error, notice, ok, warning, with_versions
from cloudpub_models.connection import Database
from cloudpub_models.connection.sqlite.engine import OLDEST_SUPPORTED
from cloudpub_models.entity.fields import TimestampField, UuidField
from cloudpub_models.errors import StorageError
from cloudpub_models.schema.catalogue.read import read_catalogue

# Below a megabyte nobody minds, above it a quarter is worth a VACUUM.
_NOTABLE_FREE_BYTES = 1 << 20
_NOTABLE_FREE_SHARE = 0.25
_MOST_LISTED = 5
# What SQLite may have been built to count itself is counted from texts, and what else a row and its indexes take.
_SIZES = {
    "changes": (
        "SELECT coalesce(sum(150 + coalesce(length(old_values), 0) + coalesce(length(new_values), 0) "
        "+ coalesce(length(actor), 0) + coalesce(length(details), 0)), 0) AS n FROM changes"
    ),
    "outbox": "SELECT coalesce(sum(50 + length(topic) + coalesce(length(payload), 0)), 0) AS n FROM outbox",
}
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
            "PRAGMA journal_mode = WAL; -- programs that use this library do it where they may write, on a local disk",
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
        yield notice(message, "VACUUM; -- gives it back, and needs as much space again meanwhile")
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
            f"PRAGMA foreign_key_check({quote(row['name'])}); -- names them: delete them, or bring back what they name",
        )


def forms(database: Database) -> Iterator[Verdict]:
    """Find moments and UUIDs that other programs have stored in other forms: SQLite compares them as text."""
    there = read_catalogue(database.engine).tables
    found = False
    for model in database.models:
        table = model._meta.table_name
        for field in model._meta.sorted_fields if table in there else ():
            form = _form_of(field)
            if form is None or field.column_name not in there[table].columns:
                continue
            column, name = map(database.engine.sql_dialect.quote, (field.column_name, table))
            others = form.others.format(column)
            row = database.raw_query_single(f"SELECT COUNT(*) AS n FROM {name} WHERE {others}")  # noqa: S608
            if row is not None and row["n"]:
                found = True
                yield warning(
                    f"{row['n']:,} row(s) of {table}.{field.column_name} hold {form.what} in another form than "
                    f"{form.example}: conditions and orders, which compare text, miss them or misplace them",
                    f"UPDATE {name} SET {column} = {form.mended.format(column)} WHERE {others};",  # noqa: S608
                )
    if not found:
        yield ok("moments and UUIDs are stored in the forms that compare as they do")


class _Form(NamedTuple):
    """How values of a column are stored.

    Attributes:
        what: what they are.
        example: one of them.
        others: the condition on a column that is true of another form.
        mended: the form of a column's value.
    """

    what: str
    example: str
    others: str
    mended: str


_DIGITS = "[0-9]"
_HEXADECIMAL = "[0-9a-f]"
_MOMENTS = _Form(
    "moments",
    "'2024-05-01 10:00:00.000000'",
    "{0} NOT GLOB '"
    + "-".join([_DIGITS * 4, _DIGITS * 2, _DIGITS * 2])
    + " "
    + ":".join([_DIGITS * 2] * 3)
    + f".{_DIGITS * 6}'",
    # What has no offset keeps all its digits; SQLite's own functions know the others, to the millisecond.
    "CASE WHEN {0} GLOB '????-??-??[ T]??:??:??*' AND substr({0}, 20) NOT GLOB '*[-+Zz]*' "
    "THEN substr({0}, 1, 10) || ' ' || substr({0}, 12, 8) || '.' || substr(substr({0}, 21) || '000000', 1, 6) "
    "ELSE strftime('%Y-%m-%d %H:%M:%f000', {0}) END",
)
_DASHLESS = "replace(replace(replace(replace(lower({0}), 'urn:uuid:', ''), '-', ''), '{{', ''), '}}', '')"
_UUIDS = _Form(
    "UUIDs",
    "'550e8400-e29b-41d4-a716-446655440000'",
    "{0} NOT GLOB '" + "-".join([_HEXADECIMAL * length for length in (8, 4, 4, 4, 12)]) + "'",
    " || '-' || ".join(
        [f"substr({_DASHLESS}, {start}, {length})" for start, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))]
    ),
)


def _form_of(field: peewee.Field[Any]) -> _Form | None:
    while isinstance(field, peewee.ForeignKeyField):
        field = field.rel_field
    if isinstance(field, TimestampField):
        return _MOMENTS
    return _UUIDS if isinstance(field, UuidField) else None


def size_of_log(database: Database) -> Iterator[Verdict]:
    """Say about how large the log of changes and the outbox are."""

    def size(table: str) -> int:
        row = database.raw_query_single(_SIZES[table])
        return int(row["n"]) if row else 0

    yield from tables.size_of_log(database, size, _pragma(database, "page_size") * _pragma(database, "page_count"))


CHECKS: tuple[Check, ...] = (
    ("history", size_of_log),
    ("settings", settings),
    ("encoding", encoding),
    ("forms", forms),
    ("file", space),
    ("integrity", integrity),
)


def _pragma(database: Database, name: str) -> Any:
    row = database.raw_query_single(f"PRAGMA {name}")
    return next(iter(row.values())) if row else None
