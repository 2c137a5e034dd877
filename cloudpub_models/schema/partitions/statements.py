"""The statements that make partitions on PostgreSQL, and the locks under which that is done.

There is no DEFAULT partition: it would be read whenever another one is made. In its place the first partition has no
begin and the last no end, so that every row finds one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.schema.partitions.ranges import Range, Width
from cloudpub_models.schema.statements import fetch, fetch_value, run
from cloudpub_models.sql.dialects import POSTGRESQL

PAST, FUTURE = "past", "future"

# Whoever wants the table meanwhile waits behind it; so it is given up soon and tried again. It is also less than the
# second after which the server looks for deadlocks, so that nobody else is ever the one who is ended.
_LOCK_MILLISECONDS = 100

_REFERENCED = """
    SELECT DISTINCT confrelid::regclass::text FROM pg_constraint
    WHERE conrelid = to_regclass(%s) AND contype = 'f' AND confrelid <> conrelid ORDER BY 1
"""
_WRITTEN_COLUMNS = """
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
_PARTITIONS_AMONG = """
    SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass(%s) AND inhrelid = ANY (CAST(%s AS regclass[]))
"""
_OTHER_OWNER = """
    SELECT rolname::text FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
    WHERE c.oid = to_regclass(%s) AND rolname <> current_user
"""


class PartitionedTable(NamedTuple):
    """A table, and the column whose ranges its partitions have."""

    name: str
    column: str

    @property
    def quoted(self) -> str:
        """Its name as statements have it."""
        return POSTGRESQL.quote(self.name)

    def partition_name(self, label: str) -> str:
        """Return the name of one of its partitions.

        >>> PartitionedTable("function_logs", "timestamp").partition_name(PAST)
        'function_logs_p_past'
        """
        return name_of_part(self.name, ["p"], label)


def label_of(begin: datetime, width: Width) -> str:
    """Return what the partition of a day or month is called.

    >>> label_of(datetime(2026, 11, 30), "day"), label_of(datetime(2026, 11, 30), "month")
    ('20261130', '202611')
    """
    return f"{begin:%Y%m%d}" if width == "day" else f"{begin:%Y%m}"


def literal(moment: datetime) -> str:
    """Return a moment as columns with and without a time zone take it."""
    return f"'{moment:%Y-%m-%d %H:%M:%S.%f}+00'"


def values_of(begin: datetime | None, end: datetime | None) -> str:
    """Return a partition's bounds as statements that make or attach it have them.

    >>> values_of(None, datetime(2026, 11, 30))
    "FOR VALUES FROM (MINVALUE) TO ('2026-11-30 00:00:00.000000+00')"
    """
    first, last = literal(begin) if begin else "MINVALUE", literal(end) if end else "MAXVALUE"
    return f"FOR VALUES FROM ({first}) TO ({last})"


def within(column: str, begin: datetime | None, end: datetime | None) -> str:
    """Return the condition that rows of a range meet.

    >>> within("timestamp", datetime(2026, 11, 30), None)
    "timestamp >= '2026-11-30 00:00:00.000000+00'"
    """
    quoted = POSTGRESQL.quote(column)
    conditions = [f"{quoted} {sign} {literal(moment)}" for sign, moment in ((">=", begin), ("<", end)) if moment]
    return " AND ".join(conditions) or "true"


def other_owner(database: peewee.Database, table: str) -> str | None:
    """Return who owns a table, where that is another role than the one that is connected."""
    found = fetch(database, _OTHER_OWNER, (POSTGRESQL.quote(table),))
    return found[0][0] if found else None


def give_to(database: peewee.Database, table: str, owner: str | None) -> None:
    """Make somebody else the owner of a table."""
    if owner is not None:
        run(database, f"ALTER TABLE {POSTGRESQL.quote(table)} OWNER TO {POSTGRESQL.quote(owner)}")


def create_partition(
    database: peewee.Database,
    table: PartitionedTable,
    label: str,
    begin: datetime | None,
    end: datetime | None,
    *,
    of: str | None = None,
) -> str:
    """Make a partition and return its name.

    Args:
        database: the database.
        table: the table.
        label: what its name ends with.
        begin: from when its rows are; ``None`` for those of any time before its end.
        end: up to when its rows are; ``None`` for those of any time from its begin.
        of: what the table is called for now, where that is not its name.
    """
    name, whole = table.partition_name(label), POSTGRESQL.quote(of or table.name)
    run(database, f"CREATE TABLE {POSTGRESQL.quote(name)} PARTITION OF {whole} {values_of(begin, end)}")
    return name


def hold_still(database: peewee.Database, table: PartitionedTable) -> None:
    """Have nobody else change what a table has, or VACUUM it; others read and write on.

    An ANALYZE or VACUUM that the server does by itself is ended, for which it lets somebody wait a second.
    """
    run(database, f"LOCK TABLE {table.quoted} IN SHARE UPDATE EXCLUSIVE MODE")


def lock(database: peewee.Database, table: PartitionedTable, milliseconds: int = _LOCK_MILLISECONDS) -> None:
    """Keep others out of a table, if that can be had at once, and writers out of those that it refers to.

    Raises:
        LockNotAvailableError: somebody is in it for longer.
    """
    hold_still(database, table)
    allow_no_wait(database, milliseconds)
    lock_referenced(database, table.name, "SHARE ROW EXCLUSIVE")
    run(database, f"LOCK TABLE {table.quoted} IN ACCESS EXCLUSIVE MODE")


def allow_no_wait(database: peewee.Database, milliseconds: int = _LOCK_MILLISECONDS) -> None:
    """Have a transaction wait for locks no longer than others may wait behind it."""
    run(database, f"SET LOCAL lock_timeout = '{milliseconds}ms'")


def keep_writers_out(
    database: peewee.Database, table: PartitionedTable, milliseconds: int = _LOCK_MILLISECONDS
) -> None:
    """Have nobody write a table, if that can be had at once; whoever reads it goes on.

    Raises:
        LockNotAvailableError: somebody writes it for longer.
    """
    hold_still(database, table)
    allow_no_wait(database, milliseconds)
    run(database, f"LOCK TABLE {table.quoted} IN SHARE ROW EXCLUSIVE MODE")


def lock_referenced(database: peewee.Database, table: str, mode: str) -> None:
    """Lock the tables to which a table refers.

    Args:
        database: the database.
        table: the name of the table.
        mode: what the server calls the lock.

    Raises:
        LockNotAvailableError: it is not to be had within the transaction's ``lock_timeout``.
    """
    for (referenced,) in fetch(database, _REFERENCED, (POSTGRESQL.quote(table),)):
        run(database, f"LOCK TABLE {referenced} IN {mode} MODE")


def is_empty(database: peewee.Database, table: str) -> bool:
    """Return whether a table has no rows."""
    return not fetch(database, f"SELECT 1 FROM {POSTGRESQL.quote(table)} LIMIT 1")  # noqa: S608 - quoted


def are_partitions(database: peewee.Database, table: PartitionedTable, names: Sequence[str]) -> bool:
    """Return whether a table has partitions of certain names, all of them.

    Raises:
        RefusedQueryError: there is no table of one of the names.
    """
    quoted = POSTGRESQL.pack_members([POSTGRESQL.quote(name) for name in names])
    return bool(fetch_value(database, _PARTITIONS_AMONG, (table.quoted, quoted)) == len(names))


def written_columns(database: peewee.Database, table: str) -> str:
    """Return the columns of a table as statements list them, but for those that the server works out itself."""
    ((columns,),) = fetch(database, _WRITTEN_COLUMNS, (POSTGRESQL.quote(table),))
    return str(columns)


def move_rows(database: peewee.Database, source: str, targets: Sequence[tuple[str, Range | None]], column: str) -> None:
    """Copy the rows of a table into others, each with those of its range; the one without a range has the rest.

    Nothing that is told of changes of the table whose partitions these are is told of it.

    Args:
        database: the database.
        source: the table.
        targets: the others, in the order of their ranges, the one without a range last.
        column: the column that the ranges are of.
    """
    name, columns = POSTGRESQL.quote(source), written_columns(database, source)
    edge = None
    for target, each in targets:
        begin, end = each or (edge, None)
        edge = end
        run(
            database,
            f"INSERT INTO {POSTGRESQL.quote(target)} ({columns}) SELECT {columns} FROM {name} "  # noqa: S608 - quoted
            f"WHERE {within(column, begin, end)}",
        )
