"""The catalogue of a SQLite database: its pragmas, and the statements kept in ``sqlite_master`` where there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import peewee

from cloudpub_models.schema.catalogue.catalogue import (
    COUNTING,
    Check,
    Column,
    ForeignKey,
    Index,
    Partition,
    TableParts,
    Trigger,
    Unique,
    normalised_type,
)
from cloudpub_models.schema.catalogue.facts import DatabaseFacts
from cloudpub_models.schema.catalogue.normal_form import (
    check_constraints,
    index_keys,
    normalised,
    normalised_statement,
    words,
)
from cloudpub_models.schema.statements import fetch, fetch_value
from cloudpub_models.sql.dialects import SQLITE

KEEPS_WORDS = True
# An index of words and other virtual tables are no tables of rows, and the tables that those keep are their own.
_TABLES = """
    SELECT name, sql FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'
      AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('virtual', 'shadow'))
    ORDER BY name
"""
_MAKING = """
    SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_'
      AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')
    ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rowid
"""


def read_tables(database: peewee.Database, wanted: set[str] | None) -> list[TableParts]:
    """Return the tables, all or those wanted; SQLite's own are left out."""

    def rows(query: str, *parameters: str) -> list[tuple[Any, ...]]:
        return fetch(database, query, parameters)

    found = []
    for name, statement in rows(_TABLES):
        if wanted is not None and name not in wanted:
            continue
        table = TableParts(name)
        _read_columns(table, rows('SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?)', name))
        if "autoincrement" in words(statement, SQLITE):
            table.columns = [
                Column(column.name, column.type, column.nullable, COUNTING)
                if (column.name,) == table.primary_key
                else column
                for column in table.columns
            ]
        for index, unique, origin, partial in rows(
            'SELECT name, "unique", origin, partial FROM pragma_index_list(?)', name
        ):
            keys = _index_keys(database, index)
            if origin == "u" or (unique and not partial and origin == "c"):
                table.uniques.append(Unique(keys, None if origin == "u" else index))
            elif origin == "c":
                table.indexes.append(Index(index, keys, bool(partial)))
        table.foreign_keys = foreign_keys(database, name)
        table.checks = [
            Check(expression, label, f"CHECK ({text})")
            for label, expression, text in check_constraints(statement, SQLITE)
        ]
        table.triggers = [
            Trigger(trigger, normalised_statement(definition, SQLITE))
            for trigger, definition in rows(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", name
            )
        ]
        found.append(table)
    return found


def read_statements(database: peewee.Database) -> Iterator[str]:
    """Yield the statements that would make the tables that a database has, in an order in which they can be run."""
    for (statement,) in fetch(database, _MAKING):
        yield statement


def read_partitions(database: peewee.Database, table: str) -> list[Partition]:
    """Return none: SQLite has no partitions."""
    return []


def tables_in_own_words(
    database: peewee.Database,
    create: Callable[[], None],
    wanted: set[str],
) -> list[TableParts] | None:
    """Return None: SQLite keeps the words that it was given."""
    return None


def known_name(name: str) -> str | None:
    """Return the name of a constraint as the catalogue has it: the pragmas tell none."""
    return None


def type_fits(expected: str, found: str) -> bool:
    """Return whether a column of type ``found`` can stand where the models expect ``expected`` (both normalised).

    SQLite enforces no length, and text stays text in a column of any affinity unless it looks like a number.

    >>> type_fits("varchar(50)", "text"), type_fits("timestamp", "integer")
    (True, False)
    """
    affinity = _affinity(found)
    if expected == found:
        return True
    if expected == "integer":
        return affinity == "integer" or _base(found) in ("boolean", "numeric")
    if expected == "timestamp":
        return affinity in ("text", "numeric")
    if _base(found) in ("uuid", "json"):
        return expected == "text"
    return affinity == "text"


def _read_columns(table: TableParts, rows: list[tuple[Any, ...]]) -> None:
    keys = []
    for name, kind, not_null, default, key in rows:
        table.columns.append(
            Column(
                name,
                normalised_type(kind),
                not not_null,
                None if default is None else normalised(default, SQLITE),
                default,
            )
        )
        if key:
            keys.append((key, name))
    table.primary_key = tuple(name for _, name in sorted(keys))
    if len(keys) == 1:
        # An INTEGER PRIMARY KEY is the number of the row, and never NULL whatever is said of it.
        table.columns = [
            replace(column, nullable=False) if (column.name, column.type) == (keys[0][1], "integer") else column
            for column in table.columns
        ]


def _index_keys(database: peewee.Database, index: str) -> tuple[str, ...]:
    columns = fetch(database, "SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,))
    if all(column is not None for (column,) in columns):
        return tuple(column for (column,) in columns)
    # The pragma names columns only; an index with expressions has a statement that tells them.
    (statement,) = fetch(database, "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?", (index,))
    keys = index_keys(statement[0], SQLITE)
    return tuple(key if column is None else column for (column,), key in zip(columns, keys, strict=True))


def foreign_keys(database: peewee.Database, table: str) -> list[ForeignKey]:
    """Return the references of a table, the last that its definition has first."""
    parts: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    query = 'SELECT id, "table", "from", "to", on_delete, on_update FROM pragma_foreign_key_list(?) ORDER BY id, seq'
    for number, *rest in fetch(database, query, (table,)):
        parts[number].append(tuple(rest))
    found = []
    for rows in parts.values():
        target, _, _, on_delete, on_update = rows[0]
        columns = tuple(row[1] for row in rows)
        referenced = tuple(row[2] for row in rows)
        if None in referenced:
            # A reference that names no column means the other table's primary key.
            keys = fetch(database, "SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (target,))
            referenced = tuple(name for (name,) in keys)
        found.append(ForeignKey(columns, target, referenced, on_delete, on_update))
    return found


def _affinity(declared: str) -> str:
    """Return the affinity of a declared type (https://sqlite.org/datatype3.html#determination_of_column_affinity)."""
    if "int" in declared:
        return "integer"
    if any(part in declared for part in ("char", "clob", "text")):
        return "text"
    if not declared or "blob" in declared:
        return "blob"
    if any(part in declared for part in ("real", "floa", "doub")):
        return "real"
    return "numeric"


def _base(declared: str) -> str:
    return declared.partition("(")[0].strip()


def read_facts(database: peewee.Database) -> DatabaseFacts:
    """Return what is to be known of a database before its schema is changed."""
    rows = {SQLITE.folded(name): _counted(database, name) for name, _ in fetch(database, _TABLES)}
    return DatabaseFacts(SQLITE, rows, schema="main", counted=True, complete=True)


def _counted(database: peewee.Database, table: str) -> int:
    """Return how many rows a table has; its smallest index is read for that, where a plan copies the whole file."""
    return int(fetch_value(database, f"SELECT COUNT(*) FROM {SQLITE.quote(table)}"))  # noqa: S608 - quoted


@contextmanager
def nothing_kept(database: peewee.Database) -> Iterator[peewee.Database]:
    """Give a copy, on the disk where it does not fit into a small cache, nameless and in a transaction."""
    copy = peewee.SqliteDatabase("file:", uri=True)
    copy.connect()
    try:
        with database.connection_context() if database.is_closed() else nullcontext():
            database.connection().backup(copy.connection())  # type: ignore[no-untyped-call]
        with copy.atomic():
            yield copy
    finally:
        copy.close()
