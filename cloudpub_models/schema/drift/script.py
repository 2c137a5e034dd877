"""A schema as the SQL that would make it: of the models for either database, or as a database has it.

A database's own words come from the database: SQLite keeps its statements, PostgreSQL writes them anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import peewee

from cloudpub_models.entity.binding import Dialect, dialect_of
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.schema.catalogue.normal_form import terminated
from cloudpub_models.schema.drift import mending
from cloudpub_models.schema.drift.definition import Models, expected_catalogue, table_statements
from cloudpub_models.schema.migrations.statements import fetch

_SQLITE = """
    SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_'
    ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rowid
"""
# A column that counts by a sequence of its own is written as SERIAL, which makes that sequence.
_TABLES = """
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
        ) AS parts) || E'\\n)' AS sql
    FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' ORDER BY c.oid
"""
_INDEXES = """
    SELECT pg_get_indexdef(x.indexrelid, 0, true) AS sql
    FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND x.indisvalid
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
    ORDER BY x.indexrelid
"""
_FOREIGN_KEYS = """
    SELECT format('ALTER TABLE %I ADD CONSTRAINT %I %s', c.relname, k.conname, pg_get_constraintdef(k.oid, true)) AS sql
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND k.contype = 'f' ORDER BY k.oid
"""
_FUNCTIONS = """
    SELECT pg_get_functiondef(p.oid) AS sql FROM pg_proc p
    WHERE p.oid IN (SELECT t.tgfoid FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal)
      AND p.pronamespace = current_schema()::regnamespace
    ORDER BY p.proname
"""
_TRIGGERS = """
    SELECT pg_get_triggerdef(t.oid, true) AS sql FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal ORDER BY t.oid
"""


def unconnected(dialect: Dialect) -> peewee.Database:
    """Return a Peewee database that stands for a dialect and is never opened."""
    return peewee.PostgresqlDatabase(None) if dialect == "postgresql" else peewee.SqliteDatabase(None)


def statements_of_models(dialect: Dialect, models: Models = ALL_MODELS) -> list[str]:
    """Return the statements that make the models' tables, in an order in which they can be run.

    >>> statements_of_models("sqlite")[0].startswith('CREATE TABLE "users"')
    True
    """
    database = unconnected(dialect)
    statements = [text for model in models for text in table_statements(database, model)]
    # References in a circle have to wait until both tables are there.
    made = "\n".join(statements)
    waiting = [
        text
        for table in expected_catalogue(database, models).tables.values()
        for key in table.foreign_keys
        if key.name is not None and f'"{key.name}"' not in made
        for text in mending.add_foreign_key(dialect, table.name, key, ())
    ]
    return list(dict.fromkeys([*statements, *waiting]))


def statements_of_database(database: peewee.Database) -> Iterator[str]:
    """Yield the statements that would make the tables that a database has, in an order in which they can be run."""
    queries = (_TABLES, _INDEXES, _FOREIGN_KEYS, _FUNCTIONS, _TRIGGERS)
    for query in (_SQLITE,) if dialect_of(database) == "sqlite" else queries:
        # PostgreSQL's driver takes a single % for a parameter.
        for (statement,) in fetch(database, query.replace("%", "%%")):
            yield statement


def script(statements: Iterator[str] | list[str]) -> str:
    """Return statements as one text that the database's own shell runs."""
    return "\n\n".join(terminated(statement) for statement in statements) + "\n"
