"""What a table has beside its rows, in its server's own words: read from one table, to be given to another one.

It is written down while a name is the one table's, and sent when it is the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import peewee

from cloudpub_models.errors import ConfigurationError
from cloudpub_models.schema.partitions.statements import PartitionedTable
from cloudpub_models.schema.statements import fetch, run
from cloudpub_models.sql.dialects import POSTGRESQL

_KEYS = """
    SELECT k.conname::text, k.contype = 'p',
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(number, position)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY position)
    FROM pg_constraint k WHERE k.conrelid = to_regclass(%s) AND k.contype IN ('p', 'u') ORDER BY k.contype, k.conname
"""
# What a partitioned table cannot have, and what would go on to mean the table that is not under the name by then.
_HINDRANCES = """
    SELECT format('the unique index %%I, whose columns do not include the one of the partitions', i.relname)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = to_regclass(%(table)s) AND x.indisunique AND x.indisvalid AND NOT (
        SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attname = %(column)s
    ) = ANY (x.indkey::int2[])
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u'))
    UNION ALL SELECT format('the exclusion %%I', conname) FROM pg_constraint
    WHERE conrelid = to_regclass(%(table)s) AND contype = 'x'
    UNION ALL SELECT format('the constraint %%I, which was not validated', conname) FROM pg_constraint
    WHERE conrelid = to_regclass(%(table)s) AND contype IN ('c', 'f') AND NOT convalidated
    UNION ALL SELECT format('the reference %%I of %%s to it', conname, conrelid::regclass) FROM pg_constraint
    WHERE confrelid = to_regclass(%(table)s) AND contype = 'f'
    UNION ALL SELECT format('the trigger %%I, which is not simply enabled', tgname) FROM pg_trigger
    WHERE tgrelid = to_regclass(%(table)s) AND NOT tgisinternal AND tgenabled <> 'O' AND tgname <> ALL (%(own)s::name[])
    UNION ALL SELECT format('the trigger %%I, which is told of all rows with each of them', tgname) FROM pg_trigger
    WHERE tgrelid = to_regclass(%(table)s) AND tgtype & 1 <> 0 AND COALESCE(tgoldtable, tgnewtable) IS NOT NULL
    UNION ALL SELECT format('the identity column %%I', attname) FROM pg_attribute
    WHERE attrelid = to_regclass(%(table)s) AND attidentity <> ''
    UNION ALL SELECT DISTINCT format('%%s, which reads it', r.ev_class::regclass) FROM pg_depend d
    JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.refobjid = to_regclass(%(table)s) AND d.classid = 'pg_rewrite'::regclass
      AND d.refclassid = 'pg_class'::regclass
    UNION ALL SELECT DISTINCT format('the %%s, which depends on it', pg_describe_object(d.classid, d.objid, d.objsubid))
    FROM pg_depend d JOIN pg_class c ON c.oid = to_regclass(%(table)s) LEFT JOIN pg_type t ON t.oid = c.reltype
    LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
    WHERE d.deptype = 'n' AND d.refobjid IN (c.oid, t.oid, t.typarray) AND (
        d.classid = 'pg_proc'::regclass OR p.polrelid <> c.oid OR d.classid = 'pg_class'::regclass AND d.objsubid > 0)
    UNION ALL SELECT format('the table %%s, which inherits from it or it from that', i.other::regclass)
    FROM (SELECT inhrelid AS other FROM pg_inherits WHERE inhparent = to_regclass(%(table)s)
          UNION ALL SELECT inhparent FROM pg_inherits WHERE inhrelid = to_regclass(%(table)s)) AS i
    UNION ALL SELECT format('the publication %%I, which has it', p.pubname)
    FROM pg_publication_tables p JOIN pg_class c ON c.relname = p.tablename
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = p.schemaname WHERE c.oid = to_regclass(%(table)s)
    UNION ALL SELECT 'a subscription, which writes it' FROM pg_subscription_rel WHERE srrelid = to_regclass(%(table)s)
"""
# Behind "CREATE INDEX … ON …".
_INDEXES = """
    SELECT i.relname::text, x.indisunique, substr(pg_get_indexdef(x.indexrelid), length(
        format('CREATE %%sINDEX %%I ON %%I.%%I ', CASE WHEN x.indisunique THEN 'UNIQUE ' END, i.relname, n.nspname,
               c.relname)) + 1)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE x.indrelid = to_regclass(%s) AND x.indisvalid AND NOT x.indisprimary
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u'))
    ORDER BY i.relname
"""
_CONSTRAINTS = """
    SELECT conname::text, contype = 'f', pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = to_regclass(%s) AND contype IN ('c', 'f') ORDER BY contype, conname
"""
_TRIGGERS = """
    SELECT tgname::text, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal ORDER BY tgname
"""
_SEQUENCES = """
    SELECT format('ALTER SEQUENCE %%s OWNED BY %%s.%%I', s.oid::regclass, to_regclass(%(table)s), a.attname)
    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.refobjid = to_regclass(%(table)s) AND d.classid = 'pg_class'::regclass AND d.deptype = 'a'
"""
_RIGHTS = """
    SELECT format('GRANT %%s%%s ON %%s TO %%s%%s', r.privilege_type, CASE WHEN c.attname IS NULL THEN ''
                  ELSE format(' (%%I)', c.attname) END, to_regclass(%(table)s),
                  CASE WHEN r.grantee = 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END,
                  CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM (SELECT relacl AS rights, NULL AS attname FROM pg_class WHERE oid = to_regclass(%(table)s)
          UNION ALL SELECT attacl, attname FROM pg_attribute WHERE attrelid = to_regclass(%(table)s)) AS c
    CROSS JOIN LATERAL aclexplode(c.rights) AS r
    WHERE r.grantee <> (SELECT relowner FROM pg_class WHERE oid = to_regclass(%(table)s))
"""
_ROW_SECURITY = """
    SELECT format('ALTER TABLE %%s %%s ROW LEVEL SECURITY', oid::regclass, action) FROM pg_class
    CROSS JOIN LATERAL (VALUES (relrowsecurity, 'ENABLE'), (relforcerowsecurity, 'FORCE')) AS v (is_on, action)
    WHERE oid = to_regclass(%(table)s) AND is_on
    UNION ALL
    SELECT concat(
        format('CREATE POLICY %%I ON %%s AS %%s FOR %%s TO ', polname, polrelid::regclass,
               CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
               CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                           WHEN 'd' THEN 'DELETE' ELSE 'ALL' END),
        (SELECT string_agg(CASE WHEN role = 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', ')
         FROM unnest(polroles) AS role),
        ' USING (' || pg_get_expr(polqual, polrelid) || ')',
        ' WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')')
    FROM pg_policy WHERE polrelid = to_regclass(%(table)s)
"""
_COMMENTS = """
    SELECT format('COMMENT ON TABLE %%s IS %%L', oid::regclass, obj_description(oid, 'pg_class'))
    FROM pg_class WHERE oid = to_regclass(%(table)s)
    UNION ALL SELECT format('COMMENT ON INDEX %%I IS %%L', i.relname, obj_description(i.oid, 'pg_class'))
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = to_regclass(%(table)s) AND obj_description(i.oid, 'pg_class') IS NOT NULL
    UNION ALL SELECT format('COMMENT ON CONSTRAINT %%I ON %%s IS %%L', conname, conrelid::regclass,
                            obj_description(oid, 'pg_constraint'))
    FROM pg_constraint WHERE conrelid = to_regclass(%(table)s) AND obj_description(oid, 'pg_constraint') IS NOT NULL
    UNION ALL SELECT format('COMMENT ON TRIGGER %%I ON %%s IS %%L', tgname, tgrelid::regclass,
                            obj_description(oid, 'pg_trigger'))
    FROM pg_trigger WHERE tgrelid = to_regclass(%(table)s) AND obj_description(oid, 'pg_trigger') IS NOT NULL
"""


class Key(NamedTuple):
    """A primary key or a UNIQUE constraint, with the columns that it has where there are partitions."""

    name: str
    is_primary: bool
    own_columns: tuple[str, ...]
    columns: tuple[str, ...]

    def statement(self, table: str, name: str) -> str:
        """Return the statement that gives it to a table, under a name."""
        kind = "PRIMARY KEY" if self.is_primary else "UNIQUE"
        return f"ALTER TABLE {table} ADD CONSTRAINT {POSTGRESQL.quote(name)} {kind} ({listed(self.columns)})"


class Index(NamedTuple):
    """An index that is no key's, and what stands behind the name of its table."""

    name: str
    is_unique: bool
    rest: str

    def statement(self, table: str, name: str) -> str:
        """Return the statement that gives it to a table, under a name."""
        return f"CREATE {'UNIQUE ' if self.is_unique else ''}INDEX {POSTGRESQL.quote(name)} ON {table} {self.rest}"


class Constraint(NamedTuple):
    """A check or a reference."""

    name: str
    is_reference: bool
    rest: str

    def statement(self, table: str) -> str:
        """Return the statement that gives it to a table."""
        return f"ALTER TABLE {table} ADD CONSTRAINT {POSTGRESQL.quote(self.name)} {self.rest}"


def require_partitionable(database: peewee.Database, table: PartitionedTable, own_triggers: Sequence[str] = ()) -> None:
    """Raise ConfigurationError for a table with what a partitioned one cannot have.

    Args:
        database: the database.
        table: the table.
        own_triggers: the names of triggers that are not the table's for long.
    """
    for (hindrance,) in _asked(database, _HINDRANCES, table, own=POSTGRESQL.pack_members(sorted(own_triggers))):
        raise ConfigurationError(
            f"expected a table that can have partitions; got {table.name} with {hindrance}: drop that first"
        )


def keys_of(database: peewee.Database, table: PartitionedTable) -> list[Key]:
    """Return a table's keys."""
    return [
        Key(name, is_primary, tuple(columns), tuple(dict.fromkeys((*columns, table.column))))
        for name, is_primary, columns in fetch(database, _KEYS, (table.quoted,))
    ]


def indexes_of(database: peewee.Database, table: PartitionedTable) -> list[Index]:
    """Return a table's indexes but for those of its keys."""
    return [Index(*row) for row in fetch(database, _INDEXES, (table.quoted,))]


def constraints_of(database: peewee.Database, table: PartitionedTable) -> list[Constraint]:
    """Return a table's checks and references."""
    return [Constraint(*row) for row in fetch(database, _CONSTRAINTS, (table.quoted,))]


def triggers_of(database: peewee.Database, table: PartitionedTable) -> dict[str, str]:
    """Return a table's triggers: the statement that makes each by its name."""
    return dict(fetch(database, _TRIGGERS, (table.quoted,)))


def rest_of(database: peewee.Database, table: PartitionedTable) -> list[str]:
    """Return the statements that give whatever has the name by then its sequences, rights, policies and comments."""
    queries = (_SEQUENCES, _RIGHTS, _ROW_SECURITY, _COMMENTS)
    return [statement for query in queries for (statement,) in _asked(database, query, table)]


def send(database: peewee.Database, statement: str) -> None:
    """Send what the server has written."""
    run(database, statement.replace("%", "%%"))


def listed(columns: Sequence[str]) -> str:
    """Return columns as statements list them."""
    return ", ".join(map(POSTGRESQL.quote, columns))


def _asked(database: peewee.Database, query: str, table: PartitionedTable, **more: Any) -> list[tuple[str]]:
    """Return the rows of a query about a table that has its names in places of their own."""
    values = {"table": table.quoted, "column": table.column, **more}
    cursor = database.execute_sql(query, values)  # type: ignore[no-untyped-call]
    return [tuple(row) for row in cursor.fetchall()]
