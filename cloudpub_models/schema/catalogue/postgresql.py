"""The catalogue of a PostgreSQL database: one query for each kind of thing, over all tables of the current schema."""

from __future__ import annotations

from typing import Any

import peewee

from cloudpub_models.schema.catalogue.catalogue import (
    COUNTING,
    Check,
    Column,
    ForeignKey,
    Index,
    TableParts,
    Trigger,
    Unique,
    normalised_type,
)
from cloudpub_models.schema.catalogue.normal_form import normalised, normalised_statement
from cloudpub_models.schema.migrations.statements import fetch

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}

# Ordinary and partitioned tables.
_TABLES = """
    SELECT c.relname::text FROM pg_catalog.pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1
"""
_COLUMNS = """
    SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
           pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attidentity <> ''
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
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
    SELECT c.relname::text, i.relname::text, x.indisunique, x.indpred IS NOT NULL,
           ARRAY(SELECT a.attname::text FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS u(number, position)
                 LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
                 WHERE position <= x.indnkeyatts ORDER BY position),
           ARRAY(SELECT pg_catalog.pg_get_indexdef(x.indexrelid, position, true)
                 FROM generate_series(1, x.indnkeyatts::int) AS u(position) ORDER BY position)
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND x.indisvalid AND c.relkind IN ('r', 'p')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                      WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
"""
_TRIGGERS = """
    SELECT c.relname::text, t.tgname::text, pg_catalog.pg_get_triggerdef(t.oid), p.prosrc, p.proconfig::text
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal AND t.tgenabled <> 'D'
"""


def read_tables(database: peewee.Database, wanted: set[str] | None) -> list[TableParts]:
    """Return the tables of the current schema, all or those wanted."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return [row for row in fetch(database, query) if wanted is None or row[0] in wanted]

    tables = {name: TableParts(name) for (name,) in rows(_TABLES)}
    for table, name, kind, nullable, default, identity in rows(_COLUMNS):
        tables[table].columns.append(
            Column(name, normalised_type(kind), nullable, COUNTING if identity else _default(default))
        )
    for table, *constraint in rows(_CONSTRAINTS):
        if table in tables:
            _add_constraint(tables[table], *constraint)
    for table, name, unique, partial, columns, definitions in rows(_INDEXES):
        keys = tuple(
            normalised(definition) if column is None else column
            for column, definition in zip(columns, definitions, strict=True)
        )
        if unique and not partial:
            tables[table].uniques.append(Unique(keys, name))
        else:
            tables[table].indexes.append(Index(name, keys, partial))
    for table, name, definition, body, settings in rows(_TRIGGERS):
        if table in tables:
            tables[table].triggers.append(
                Trigger(name, normalised_statement(definition), function_body(body, settings))
            )
    return list(tables.values())


def function_body(source: str, settings: str | None) -> str:
    """Return a trigger function's body and settings in comparable form."""
    return " ".join(f"{source} {(settings or '').strip('{}')}".split()).lower()


def _default(expression: str | None) -> str | None:
    if expression is None:
        return None
    return COUNTING if expression.startswith("nextval(") else normalised(expression)


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
        table.checks.append(Check(normalised(expression), name))
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
