"""Old rows of a partitioned table, thrown away with all that their partitions have.

A partition whose time is over is counted and emptied in one transaction, under a lock of its own: nobody waits who
reads or writes other rows, and nothing is left half-done. It stays until it can be joined with the first one at no cost
for anybody, so that every row goes on finding a partition, however old it is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

import peewee

from cloudpub_models.errors import LockNotAvailableError, RefusedQueryError
from cloudpub_models.schema.catalogue.catalogue import Partition
from cloudpub_models.schema.catalogue.postgresql import read_partitions
from cloudpub_models.schema.partitions.statements import (
    PAST,
    PartitionedTable,
    are_partitions,
    create_partition,
    give_to,
    is_empty,
    literal,
    lock,
    other_owner,
)
from cloudpub_models.schema.statements import fetch, fetch_value, run
from cloudpub_models.sql.dialects import POSTGRESQL

# How long to look for a moment in which nobody is in an old partition. Beyond that its rows are deleted.
_PATIENCE_SECONDS = 60.0
# Long enough for a VACUUM that the server does by itself to be ended, as it is after a second; only who writes into
# the old partition waits.
_WRITERS_MILLISECONDS = 1_500
# Who reads it waits too. It is less than the second after which the server ends whom it finds in a deadlock.
_READERS_MILLISECONDS = 500
# Everybody waits.
_ALL_MILLISECONDS = 20
_JOINS_TRIED = 5
# Each takes some milliseconds, in which everybody waits; so does making the one that they become.
_JOINED_AT_ONCE = 4

# Whether rows may go without being deleted one by one: nobody wants to be told of it, or refers to them, nor hides any.
_MAY_BE_EMPTIED = """
    SELECT pg_has_role(c.relowner, 'USAGE') AND NOT row_security_active(c.oid)
        AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
                        AND t.tgenabled <> 'D' AND t.tgtype & 8 <> 0 AND t.tgname::text <> ALL (%s))
        AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = c.oid AND k.contype = 'f')
    FROM pg_class c WHERE c.oid = to_regclass(%s)
"""


class Contents(NamedTuple):
    """What a partition has: how many rows, and a number that another row, or one more, would hardly leave the same."""

    rows: int
    digest: Decimal | None


def contents_between(
    database: peewee.Database, table: PartitionedTable, begin: datetime, end: datetime
) -> dict[str, Contents]:
    """Return name → what it has, of the partitions without a row from before or behind a stretch of time.

    Args:
        database: the database, in a transaction that goes on seeing the same rows.
        table: the table.
        begin: when the stretch begins, in UTC.
        end: what lies behind it.
    """
    run(database, "SET LOCAL statement_timeout = 0")
    found = {}
    column = POSTGRESQL.quote(table.column)
    for part in read_partitions(database, table.name):
        if part.end is not None and begin < part.end <= end:
            earlier = f"SELECT 1 FROM {POSTGRESQL.quote(part.name)} WHERE {column} < {literal(begin)} LIMIT 1"  # noqa: S608 - quoted
            if not fetch(database, earlier):
                found[part.name] = _contents_of(database, part.name)
    return found


def _contents_of(database: peewee.Database, name: str) -> Contents:
    digest = f"SELECT count(*), sum(hashtextextended(p::text, 0)) FROM {POSTGRESQL.quote(name)} AS p"  # noqa: S608 - quoted
    return Contents(*fetch(database, digest)[0])


def empty_before(
    database: peewee.Database,
    table: PartitionedTable,
    cutoff: datetime,
    *,
    told: frozenset[str] = frozenset(),
    progress: Callable[[int], object] | None = None,
    unchanged: Mapping[str, Contents] | None = None,
) -> int:
    """Empty the partitions all of whose rows are from before a moment, where the table has any and they may be.

    Inside a transaction nothing is done: the locks would be held until its end. Nor is it where the rows have to be
    deleted one by one: by another role than the table's owner or one that row security holds, or since something
    waits for their deletion. What is not emptied is left to who calls this.

    Args:
        database: the database.
        table: the table.
        cutoff: the moment, in UTC.
        told: triggers that need not be told, since they were before.
        progress: called after each partition with the number of rows so far.
        unchanged: only these partitions are emptied, and only if they still have what is said of them.

    Returns:
        how many rows are gone.
    """
    if database.in_transaction():
        return 0
    over = [part for part in read_partitions(database, table.name) if part.end is not None and part.end <= cutoff]
    if not over or not fetch_value(database, _MAY_BE_EMPTIED, (POSTGRESQL.pack_members(sorted(told)), table.quoted)):
        return 0
    gone = 0
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for part in over:
        if unchanged is not None and part.name not in unchanged:
            continue
        rows = _emptied(database, part.name, deadline, None if unchanged is None else unchanged[part.name])
        gone += rows
        if progress is not None and rows:
            progress(gone)
    _join_with_past(database, table, cutoff)
    return gone


def _emptied(database: peewee.Database, name: str, deadline: float, expected: Contents | None) -> int:
    """Empty a partition and return how many rows it had; none where it is never to be had, not as expected, or gone."""
    quoted = POSTGRESQL.quote(name)
    while True:
        try:
            if is_empty(database, name):
                return 0
            with database.atomic():
                run(database, "SET LOCAL statement_timeout = 0")
                run(database, f"SET LOCAL lock_timeout = '{_WRITERS_MILLISECONDS}ms'")
                run(database, f"LOCK TABLE {quoted} IN EXCLUSIVE MODE")
                if expected is None:
                    ((rows,),) = fetch(database, f"SELECT count(*) FROM {quoted}")  # noqa: S608 - quoted
                elif expected == _contents_of(database, name):
                    rows = expected.rows
                else:
                    return 0
                run(database, f"SET LOCAL lock_timeout = '{_READERS_MILLISECONDS}ms'")
                run(database, f"TRUNCATE {quoted}")
                return int(rows)
        except RefusedQueryError:
            return 0
        except LockNotAvailableError:
            if time.monotonic() >= deadline:
                return 0
        time.sleep(random.uniform(0.05, 0.2))


def _join_with_past(database: peewee.Database, table: PartitionedTable, cutoff: datetime) -> None:
    """Make one of the first partitions that are over and empty, unless somebody is always in the table."""
    owner = other_owner(database, table.name)
    for _ in range(_JOINS_TRIED):
        try:
            # What there is takes long to read, so that is done while nobody waits.
            while len(parts := list(islice(_joinable(database, table, cutoff), _JOINED_AT_ONCE))) > 1:
                with database.atomic():
                    lock(database, table, _ALL_MILLISECONDS)
                    if _are_still(database, table, parts):
                        _join(database, table, parts, owner)
            return
        except (LockNotAvailableError, RefusedQueryError):
            time.sleep(random.uniform(0.01, 0.04))


def _joinable(database: peewee.Database, table: PartitionedTable, cutoff: datetime) -> Iterator[Partition]:
    for part in read_partitions(database, table.name):
        if part.end is None or part.end > cutoff or not is_empty(database, part.name):
            return
        yield part


def _are_still(database: peewee.Database, table: PartitionedTable, parts: Sequence[Partition]) -> bool:
    """Return whether partitions are still those of a table, and empty."""
    names = [part.name for part in parts]
    rows = " UNION ALL ".join([f"SELECT 1 FROM {POSTGRESQL.quote(name)}" for name in names])  # noqa: S608 - quoted
    return are_partitions(database, table, names) and not fetch(database, f"{rows} LIMIT 1")


def _join(database: peewee.Database, table: PartitionedTable, parts: Sequence[Partition], owner: str | None) -> None:
    run(database, f"DROP TABLE {', '.join([POSTGRESQL.quote(part.name) for part in parts])}")
    give_to(database, create_partition(database, table, PAST, None, parts[-1].end), owner)
