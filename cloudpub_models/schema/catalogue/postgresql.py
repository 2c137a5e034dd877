"""The catalogue of a PostgreSQL database: one query for each kind of thing, over all tables of the current schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import peewee

from cloudpub_models.errors import CloudpubError
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
    function_text,
    normalised_type,
)
from cloudpub_models.schema.catalogue.facts import DatabaseFacts
from cloudpub_models.schema.catalogue.normal_form import normalised, normalised_statement
from cloudpub_models.schema.statements import fetch, fetch_value, run
from cloudpub_models.sql.dialects import POSTGRESQL
from cloudpub_models.sql.text.server_parser import installed_parser

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}

# Ordinary and partitioned tables, those with the column whose ranges the partitions are; partitions are no tables.
_TABLES = """
    SELECT c.relname::text, a.attname::text
    FROM pg_catalog.pg_class c
    LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid AND p.partstrat = 'r' AND p.partnatts = 1
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY 1
"""
_COLUMNS = """
    SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
           pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attidentity <> ''
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""
_CONSTRAINTS = """
    SELECT c.relname::text, k.conname::text, k.contype::text, k.confdeltype::text, k.confupdtype::text,
           f.relname::text, pg_catalog.pg_get_expr(k.conbin, k.conrelid),
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(number, position)
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY position),
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(number, position)
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY position)
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND k.contype IN ('p', 'u', 'f', 'c')
"""
# An index that CREATE INDEX CONCURRENTLY left invalid serves no query and keeps no rule, so it does not count.
_INDEXES = """
    SELECT c.relname::text, i.relname::text, x.indisunique, pg_catalog.pg_get_expr(x.indpred, x.indrelid),
           ARRAY(SELECT a.attname::text FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS u(number, position)
                 LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
                 WHERE position <= x.indnkeyatts ORDER BY position),
           ARRAY(SELECT pg_catalog.pg_get_indexdef(x.indexrelid, position, true)
                 FROM generate_series(1, x.indnkeyatts::int) AS u(position) ORDER BY position)
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND x.indisvalid AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                      WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
"""
_TRIGGERS = """
    SELECT c.relname::text, t.tgname::text, pg_catalog.pg_get_triggerdef(t.oid), p.prosrc, p.proconfig::text
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal AND t.tgenabled <> 'D'
"""
# What makes a schema anew, as the server writes it.
# A column that counts by a sequence of its own is written as SERIAL, which makes that sequence.
_MAKING_TABLES = """
    SELECT format('CREATE TABLE %I (', c.relname) || E'\\n    ' || (
        SELECT string_agg(part, E',\\n    ' ORDER BY kind, position) FROM (
            SELECT 0 AS kind, a.attnum AS position, concat_ws(' ', quote_ident(a.attname),
                CASE WHEN own.sequence IS NULL THEN format_type(a.atttypid, a.atttypmod)
                     WHEN a.atttypid = 'bigint'::regtype THEN 'bigserial'
                     WHEN a.atttypid = 'smallint'::regtype THEN 'smallserial' ELSE 'serial' END,
                CASE WHEN a.attidentity <> '' THEN 'GENERATED '
                     || CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END || ' AS IDENTITY'
                     WHEN a.attgenerated = 's' THEN format('GENERATED ALWAYS AS (%s) STORED', value.text)
                     WHEN own.sequence IS NULL AND value.text IS NOT NULL THEN 'DEFAULT ' || value.text END,
                CASE WHEN a.attnotnull THEN 'NOT NULL' END) AS part
            FROM pg_attribute a
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            CROSS JOIN LATERAL (SELECT pg_get_expr(d.adbin, d.adrelid) AS text) AS value
            CROSS JOIN LATERAL (SELECT CASE WHEN value.text LIKE 'nextval(%' AND a.attidentity = ''
                THEN pg_get_serial_sequence(quote_ident(c.relname), a.attname) END AS sequence) AS own
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL
            SELECT 1, k.oid::bigint, format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid, true))
            FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'c', 'x')
        ) AS parts) || E'\\n)' || COALESCE(' PARTITION BY ' || pg_get_partkeydef(c.oid), '')
    FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.oid
"""
_MAKING_PARTITIONS = """
    SELECT format('CREATE TABLE %I PARTITION OF %I %s', c.relname, t.relname, pg_get_expr(c.relpartbound, c.oid))
    FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class t ON t.oid = i.inhparent
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relispartition
    ORDER BY t.oid, c.oid
"""
_MAKING_INDEXES = """
    SELECT replace(pg_get_indexdef(x.indexrelid, 0, true), ' ON ONLY ', ' ON ')
    FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND x.indisvalid
      AND NOT c.relispartition
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
    ORDER BY x.indexrelid
"""
_MAKING_FOREIGN_KEYS = """
    SELECT format('ALTER TABLE %I ADD CONSTRAINT %I %s', c.relname, k.conname, pg_get_constraintdef(k.oid, true)) AS sql
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND k.contype = 'f' AND NOT c.relispartition ORDER BY k.oid
"""
_MAKING_FUNCTIONS = """
    SELECT pg_get_functiondef(p.oid) AS sql FROM pg_proc p
    WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind = 'f'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                      AND d.deptype = 'e')
    ORDER BY p.oid
"""
_MAKING_TRIGGERS = """
    SELECT pg_get_triggerdef(t.oid, true) AS sql FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal AND NOT c.relispartition
    ORDER BY t.oid
"""
_MAKING = (
    _MAKING_TABLES,
    _MAKING_PARTITIONS,
    _MAKING_INDEXES,
    _MAKING_FOREIGN_KEYS,
    _MAKING_FUNCTIONS,
    _MAKING_TRIGGERS,
)
KEEPS_WORDS = False
# Insufficient privilege; a transaction, or a server, that only reads.
_MAY_NOT_WRITE = frozenset({"42501", "25006"})
# What the statistics collector has counted is newer than what the last ANALYZE has.
_PARTITIONS = """
    SELECT c.relname::text, pg_catalog.pg_get_expr(c.relpartbound, c.oid),
           COALESCE(NULLIF(pg_catalog.pg_stat_get_live_tuples(c.oid), 0), GREATEST(c.reltuples, 0)::bigint),
           pg_catalog.pg_total_relation_size(c.oid)
    FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class t ON t.oid = i.inhparent AND t.relkind = 'p'
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(%s)
"""
_BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)
_RANGE = re.compile(r"FOR VALUES FROM \((MINVALUE|'[^']*')\) TO \((MAXVALUE|'[^']*')\)")
_LENGTH = re.compile(r"^varchar\((\d+)\)$")
_WIDER_TYPES = {
    "integer": ("bigint",),
    "smallint": ("integer", "bigint"),
    "timestamp": ("timestamptz",),
    "text": ("varchar", "citext"),
}


def read_tables(database: peewee.Database, wanted: set[str] | None) -> list[TableParts]:
    """Return the tables of the current schema, all or those wanted."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return [row for row in fetch(database, query) if wanted is None or row[0] in wanted]

    tables = {name: TableParts(name, partitioned_by=column) for name, column in rows(_TABLES)}
    for table, name, kind, nullable, default, identity in rows(_COLUMNS):
        tables[table].columns.append(
            Column(name, normalised_type(kind), nullable, COUNTING if identity else _default(default), default)
        )
    for table, *constraint in rows(_CONSTRAINTS):
        if table in tables:
            _add_constraint(tables[table], *constraint)
    for table, name, unique, where, columns, definitions in rows(_INDEXES):
        keys = tuple(
            normalised(definition, POSTGRESQL) if column is None else column
            for column, definition in zip(columns, definitions, strict=True)
        )
        if unique and where is None:
            tables[table].uniques.append(Unique(keys, name, is_index=True, keys=tuple(definitions)))
        else:
            written = tuple(definitions)
            tables[table].indexes.append(
                Index(name, keys, where is not None, written, unique=unique, where=where or "")
            )
    for table, name, definition, body, settings in rows(_TRIGGERS):
        if table in tables:
            tables[table].triggers.append(
                Trigger(name, normalised_statement(definition, POSTGRESQL), function_text(body, settings))
            )
    return list(tables.values())


def read_partitions(database: peewee.Database, table: str) -> list[Partition]:
    """Return the partitions of a table, the earliest first; none where it does not consist of any.

    One of which the server tells no range, as a DEFAULT partition, has neither begin nor end.
    """
    found = []
    for name, bound, rows, size in fetch(database, _PARTITIONS, (POSTGRESQL.quote(table),)):
        if bound is None:
            continue  # Somebody has dropped it since this statement began.
        limits = _RANGE.fullmatch(bound)
        begin, end = map(_moment, limits.groups()) if limits else (None, None)
        found.append(Partition(name, begin, end, rows, size))
    return sorted(found, key=lambda part: (part.begin or _BEGINNING_OF_TIME, part.end is None))


def _moment(bound: str) -> datetime | None:
    """Return the moment at which a range begins or ends, which a session in UTC is told; None for an open one."""
    if not bound.startswith("'"):
        return None
    moment = datetime.fromisoformat(bound.strip("'"))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def read_statements(database: peewee.Database) -> Iterator[str]:
    """Yield the statements that would make the tables that a database has, in an order in which they can be run."""
    for query in _MAKING:
        # The driver takes a single % for a parameter.
        for (statement,) in fetch(database, query.replace("%", "%%")):
            yield statement


def known_name(name: str) -> str | None:
    """Return the name of a constraint as the catalogue has it."""
    return name


def type_fits(expected: str, found: str) -> bool:
    """Return whether a column of type ``found`` can stand where the models expect ``expected`` (both normalised).

    A wider type fits; one that changes values or their comparison does not.

    >>> type_fits("varchar(50)", "text"), type_fits("varchar(50)", "varchar(20)")
    (True, False)
    >>> type_fits("timestamp", "timestamptz"), type_fits("timestamp", "date")
    (True, False)
    """
    if expected == found:
        return True
    wanted = _LENGTH.match(expected)
    if wanted is None and "(" in found:
        # timestamptz(6) is timestamptz; fewer digits lose microseconds.
        return expected == "timestamp" and re.fullmatch(r"timestamp(tz)?\(6\)", found) is not None
    if wanted is None:
        return found in _WIDER_TYPES.get(expected, ())
    given = _LENGTH.match(found)
    if given is not None:
        return int(given.group(1)) >= int(wanted.group(1))
    return found in ("varchar", "text", "citext")


def _default(expression: str | None) -> str | None:
    if expression is None:
        return None
    return COUNTING if expression.startswith("nextval(") else normalised(expression, POSTGRESQL)


def _add_constraint(
    table: TableParts,
    name: str,
    kind: str,
    on_delete: str,
    on_update: str,
    referenced_table: str,
    expression: str,
    columns: list[str],
    referenced: list[str],
) -> None:
    if kind == "p":
        table.primary_key = tuple(columns)
    elif kind == "u":
        table.uniques.append(Unique(tuple(columns), name))
    elif kind == "c":
        text = f"CONSTRAINT {POSTGRESQL.quote(name)} CHECK ({expression})"
        table.checks.append(Check(normalised(expression, POSTGRESQL), name, text))
    else:
        table.foreign_keys.append(
            ForeignKey(
                tuple(columns),
                referenced_table,
                tuple(referenced),
                _ACTIONS[on_delete],
                _ACTIONS[on_update],
                name,
            )
        )


# A table that was never analysed has reltuples -1; the statistics collector may have counted its rows all the same.
# The rows of a partitioned table are those of its partitions.
_SIZES = """
    SELECT t.relname::text, sum(
        CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint
             ELSE NULLIF(pg_catalog.pg_stat_get_live_tuples(c.oid), 0) END)::bigint
    FROM pg_catalog.pg_class t
    CROSS JOIN LATERAL (SELECT t.oid WHERE t.relkind = 'r'
        UNION ALL SELECT p.relid FROM pg_catalog.pg_partition_tree(t.oid) p WHERE p.isleaf) AS part
    JOIN pg_catalog.pg_class c ON c.oid = part.oid
    WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition
    GROUP BY t.oid, t.relname
"""
_COLUMN_TYPES = """
    SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod)
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND a.attnum > 0 AND NOT a.attisdropped
"""
_STEADY_FUNCTIONS = "SELECT proname::text FROM pg_catalog.pg_proc GROUP BY proname HAVING bool_and(provolatile <> 'v')"


def read_facts(database: peewee.Database) -> DatabaseFacts:
    """Return what is to be known of the current schema before it is changed."""
    return DatabaseFacts(
        POSTGRESQL,
        rows={str(table): rows for table, rows in fetch(database, _SIZES)},
        column_types={(table, column): normalised_type(kind) for table, column, kind in fetch(database, _COLUMN_TYPES)},
        steady_functions=frozenset(name for (name,) in fetch(database, _STEADY_FUNCTIONS)),
        schema=fetch_value(database, "SELECT current_schema()::text") or "",
        parser=installed_parser(),
    )


class _UndoError(Exception):
    """Leaves a transaction without a commit."""


def tables_in_own_words(
    database: peewee.Database, create: Callable[[], None], wanted: set[str]
) -> list[TableParts] | None:
    """Return tables as the server describes them, made in a schema of their own of which nothing is kept.

    What the server makes of a type, a default or a check is known to it alone.

    Args:
        database: the database.
        create: makes the tables.
        wanted: their names.

    Returns:
        the tables; None where the user may not make a schema, or nobody may on a standby.
    """
    scratch = f"cloudpub_scratch_{uuid4().hex}"
    found = None
    try:
        with suppress(_UndoError), database.atomic():
            path = fetch_value(database, "SELECT current_setting('search_path')")
            run(database, f"CREATE SCHEMA {scratch}")
            run(database, "SELECT set_config('search_path', %s, true)", (f"{scratch}, {path}" if path else scratch,))
            run(database, "SET LOCAL client_min_messages = warning")
            create()
            found = read_tables(database, wanted)
            raise _UndoError
    except (peewee.PeeweeException, CloudpubError) as error:
        driver_error = getattr(error, "orig", None) or error.__cause__
        if getattr(driver_error, "pgcode", None) not in _MAY_NOT_WRITE:
            raise
    return found


@contextmanager
def nothing_kept(database: peewee.Database) -> Iterator[peewee.Database]:
    """Give the database itself, in a transaction that only reads."""
    with suppress(_UndoError), database.atomic():
        run(database, "SET TRANSACTION READ ONLY")
        run(database, "SET LOCAL statement_timeout = 0")
        # What is one query to us must be one to the server, too: another could end this transaction.
        run(database, "SET LOCAL standard_conforming_strings = on")
        yield database
        raise _UndoError
