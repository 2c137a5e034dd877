"""A table that becomes the first partition of another one of its name, while others write.

What takes long is done before that and keeps nobody out: the indexes that a partition's keys need, and the proof that
all rows are from before the day on which the other partitions begin. The change itself is a matter of names, all or
nothing, in some milliseconds. Rows stay where they are, and so does what the rows are numbered by.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import NamedTuple

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.errors import CheckViolationError, CloudpubError, ConfigurationError, MigrationError
from cloudpub_models.schema.migrations.run import MigrationRun
from cloudpub_models.schema.partitions.statements import (
    FUTURE,
    PAST,
    PartitionedTable,
    create_partition,
    give_to,
    hold_still,
    literal,
    lock,
    other_owner,
)
from cloudpub_models.schema.statements import fetch, run
from cloudpub_models.sql.dialects import POSTGRESQL

_KEYS = """
    SELECT k.conname::text, k.contype = 'p',
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(number, position)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY position)
    FROM pg_constraint k WHERE k.conrelid = to_regclass(%s) AND k.contype IN ('p', 'u') ORDER BY k.contype, k.conname
"""
# What a partitioned table cannot have, and what would go on to mean the table that is only a part by then.
_HINDRANCES = """
    SELECT format('the unique index %%I, whose columns do not include the one of the partitions', i.relname)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = to_regclass(%(table)s) AND x.indisunique AND x.indisvalid AND NOT (
        SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attname = %(column)s
    ) = ANY (x.indkey::int2[])
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u'))
    UNION ALL SELECT format('the exclusion %%I', conname) FROM pg_constraint
    WHERE conrelid = to_regclass(%(table)s) AND contype = 'x'
    UNION ALL SELECT format('the reference %%I of %%s to it', conname, conrelid::regclass) FROM pg_constraint
    WHERE confrelid = to_regclass(%(table)s) AND contype = 'f'
    UNION ALL SELECT format('the trigger %%I, which is not simply enabled', tgname) FROM pg_trigger
    WHERE tgrelid = to_regclass(%(table)s) AND NOT tgisinternal AND tgenabled <> 'O'
    UNION ALL SELECT format('the identity column %%I', attname) FROM pg_attribute
    WHERE attrelid = to_regclass(%(table)s) AND attidentity <> ''
    UNION ALL SELECT DISTINCT format('%%s, which reads it', r.ev_class::regclass) FROM pg_depend d
    JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.refobjid = to_regclass(%(table)s) AND d.classid = 'pg_rewrite'::regclass
      AND d.refclassid = 'pg_class'::regclass
    UNION ALL SELECT format('the table %%s, which inherits from it or it from that', i.other::regclass)
    FROM (SELECT inhrelid AS other FROM pg_inherits WHERE inhparent = to_regclass(%(table)s)
          UNION ALL SELECT inhparent FROM pg_inherits WHERE inhrelid = to_regclass(%(table)s)) AS i
"""
_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
_HAS_CHECK = "SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s"

# The statements that give a table what another one has, in its server's own words. They are written down while the
# name is the one table's, and sent when it is the other's.
_INDEXES = """
    SELECT i.relname::text, pg_get_indexdef(x.indexrelid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = to_regclass(%s) AND x.indisvalid AND NOT x.indisprimary AND i.relname <> ALL (%s)
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u'))
"""
_CONSTRAINTS = """
    SELECT format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype IN ('c', 'f') AND conname <> %s
    ORDER BY contype, conname
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
# Whoever may read the whole is not to read a part past its row security.
_RIGHTS_TO_PAST = """
    SELECT DISTINCT format('REVOKE ALL%%s ON %%s FROM %%s',
                  CASE WHEN c.attname IS NULL THEN '' ELSE format(' (%%I)', c.attname) END, %(past)s,
                  CASE WHEN r.grantee = 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END)
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
_COMMENT = """
    SELECT format('COMMENT ON TABLE %%s IS %%L', to_regclass(%(table)s), text)
    FROM obj_description(to_regclass(%(table)s), 'pg_class') AS text WHERE text IS NOT NULL
"""


class _Key(NamedTuple):
    """A primary key or a UNIQUE constraint; what a partition has in its place, and that one's index."""

    name: str
    is_primary: bool
    columns: tuple[str, ...]
    name_in_past: str

    def statement(self, table: str, name: str) -> str:
        """Return the statement that gives it to a table."""
        kind = "PRIMARY KEY" if self.is_primary else "UNIQUE"
        return f"ALTER TABLE {table} ADD CONSTRAINT {POSTGRESQL.quote(name)} {kind} ({_listed(self.columns)})"


def attach(database: peewee.Database, migration: MigrationRun, table: PartitionedTable, until: datetime) -> None:
    """Make a table the first partition of one of its name, with one behind it that has no end.

    Args:
        database: the database.
        migration: holds the lock of a migrator.
        table: the table.
        until: the moment up to which the first partition goes: it has to be later than all rows, and to come later
            than this ends.

    Raises:
        ConfigurationError: the table has what a partitioned one cannot have.
        MigrationError: there are rows from that moment on.
        LockNotAvailableError: the table is never free for the moment that it takes.
    """
    _require_attachable(database, table)
    keys = list(_keys(database, table))
    check = table.partition_name("check")
    # What an interrupted run has left.
    migration.step(partial(_drop_check, database, table, check))
    _require_none_from(database, table, until)
    try:
        for key in keys:
            migration.step_by_itself(partial(_make_index, database, table, key))
        migration.step(partial(_add_check, database, table, check, until))
        migration.step(
            partial(run, database, f"ALTER TABLE {table.quoted} VALIDATE CONSTRAINT {POSTGRESQL.quote(check)}")
        )
        migration.step(partial(_change_places, database, table, keys, check, until))
    except BaseException as error:
        # Rows from that moment on would be refused one day.
        with suppress(peewee.PeeweeException, CloudpubError):
            migration.step(partial(_drop_check, database, table, check))
        if isinstance(error, CheckViolationError):
            _require_none_from(database, table, until)
        raise


def _require_attachable(database: peewee.Database, table: PartitionedTable) -> None:
    for (hindrance,) in _asked(database, _HINDRANCES, table):
        raise ConfigurationError(
            f"expected a table that can become a partition; got {table.name} with {hindrance}: drop that first"
        )


def _keys(database: peewee.Database, table: PartitionedTable) -> Iterator[_Key]:
    for name, is_primary, columns in fetch(database, _KEYS, (table.quoted,)):
        listed = tuple(dict.fromkeys((*columns, table.column)))
        # The name as the server would choose one, unless it is taken.
        kind = "pkey" if is_primary else "key"
        yield _Key(name, is_primary, listed, name_of_part(table.name, ["p_past", *columns], kind))


def _require_none_from(database: peewee.Database, table: PartitionedTable, until: datetime) -> None:
    column = POSTGRESQL.quote(table.column)
    ((latest,),) = fetch(database, f"SELECT max({column})::text FROM {table.quoted}")  # noqa: S608 - quoted
    if latest is not None and fetch(database, f"SELECT 1 WHERE '{latest}'::timestamptz >= {literal(until)}"):
        raise MigrationError(
            f"expected no rows of {table.name} from {until:%Y-%m-%d} on, where its partitions are to begin; got one of "
            f"{latest}: change or delete what is of the future first"
        )


def _make_index(database: peewee.Database, table: PartitionedTable, key: _Key) -> None:
    """Make the index of a key while others write, unless it is there already."""
    name = POSTGRESQL.quote(key.name_in_past)
    if fetch(database, _VALID, (name,)) == [(True,)]:
        return
    # Making one waits for everybody who is at work, and holds up nobody.
    run(database, "SET lock_timeout = 0")
    # What was interrupted is invalid.
    run(database, f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    run(database, f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table.quoted} ({_listed(key.columns)})")


def _add_check(database: peewee.Database, table: PartitionedTable, check: str, until: datetime) -> None:
    lock(database, table)
    condition = f"{POSTGRESQL.quote(table.column)} < {literal(until)}"
    run(
        database,
        f"ALTER TABLE {table.quoted} ADD CONSTRAINT {POSTGRESQL.quote(check)} CHECK ({condition}) NOT VALID",
    )


def _drop_check(database: peewee.Database, table: PartitionedTable, check: str) -> None:
    if fetch(database, _HAS_CHECK, (table.quoted, check)):
        lock(database, table)
        run(database, f"ALTER TABLE {table.quoted} DROP CONSTRAINT {POSTGRESQL.quote(check)}")


def _change_places(
    database: peewee.Database, table: PartitionedTable, keys: list[_Key], check: str, until: datetime
) -> None:
    """Put a partitioned table in the place of a table, which becomes its first partition: all in one transaction."""
    past = table.partition_name(PAST)
    quoted_past, column = POSTGRESQL.quote(past), POSTGRESQL.quote(table.column)
    # What the table has is read before others are kept out.
    hold_still(database, table)
    _require_attachable(database, table)
    owner = other_owner(database, table.name)
    names_of_keys = POSTGRESQL.pack_members([key.name_in_past for key in keys])
    indexes = fetch(database, _INDEXES, (table.quoted, names_of_keys))
    constraints = fetch(database, _CONSTRAINTS, (table.quoted, check))
    triggers = fetch(database, _TRIGGERS, (table.quoted,))
    rest = [*_asked(database, _SEQUENCES, table), *_asked(database, _RIGHTS, table)]
    rest += [*_asked(database, _ROW_SECURITY, table), *_asked(database, _COMMENT, table)]
    rest += _asked(database, _RIGHTS_TO_PAST, table)

    lock(database, table)
    run(database, f"ALTER TABLE {table.quoted} RENAME TO {quoted_past}")
    for key in keys:
        name, kind = POSTGRESQL.quote(key.name_in_past), "PRIMARY KEY" if key.is_primary else "UNIQUE"
        run(
            database,
            f"ALTER TABLE {quoted_past} DROP CONSTRAINT {POSTGRESQL.quote(key.name)}, "
            f"ADD CONSTRAINT {name} {kind} USING INDEX {name}",
        )
    for number, (name, _) in enumerate(indexes):
        renamed = POSTGRESQL.quote(name_of_part(past, [str(number)], "idx"))
        run(database, f"ALTER INDEX {POSTGRESQL.quote(name)} RENAME TO {renamed}")
    for name, _ in triggers:
        run(database, f"DROP TRIGGER {POSTGRESQL.quote(name)} ON {quoted_past}")
    run(
        database,
        f"CREATE TABLE {table.quoted} (LIKE {quoted_past} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE "
        f"INCLUDING COMPRESSION INCLUDING COMMENTS) PARTITION BY RANGE ({column})",
    )
    give_to(database, table.name, owner)
    made = [key.statement(table.quoted, key.name) for key in keys]
    made += [statement for _, statement in indexes] + [statement for (statement,) in constraints]
    for statement in made:
        _send(database, statement)
    run(
        database,
        f"ALTER TABLE {table.quoted} ATTACH PARTITION {quoted_past} FOR VALUES FROM (MINVALUE) TO ({literal(until)})",
    )
    run(database, f"ALTER TABLE {quoted_past} DROP CONSTRAINT {POSTGRESQL.quote(check)}")
    give_to(database, create_partition(database, table, FUTURE, until, None), owner)
    run(database, f"ALTER TABLE {quoted_past} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
    for statement in [statement for _, statement in triggers] + [statement for (statement,) in rest]:
        _send(database, statement)


def _asked(database: peewee.Database, query: str, table: PartitionedTable) -> list[tuple[str]]:
    """Return the rows of a query about a table that has its names in places of their own."""
    past = POSTGRESQL.quote(table.partition_name(PAST))
    values = {"table": table.quoted, "column": table.column, "past": past}
    cursor = database.execute_sql(query, values)  # type: ignore[no-untyped-call]
    return [tuple(row) for row in cursor.fetchall()]


def _send(database: peewee.Database, statement: str) -> None:
    run(database, statement.replace("%", "%%"))


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(map(POSTGRESQL.quote, columns))
