"""A table whose rows are copied into partitions, while others write, until that can take its name.

For tables that cannot simply become a partition, as those whose ids are to have more bits, and for whoever wants the
rows that are there in partitions of their own time. It takes the room of the table once more, and the time to write it.
Nobody waits but for the moments in which triggers are made and names are changed.

In this order: an empty table with all that the old one has, and another one without references for the copy; triggers
that note what is changed (see ``journal``); the rows, so many at a time, each time with what was noted since, as of one
moment; once the copy is equal and kept so, its partitions, one at a time, get references that are proved, and are
given to the first of the two tables, since to give references to all of them at once would keep others out of the
tables to which they lead for too long; the end of every transaction that is older than that; the names. What an
interrupted run has left is dropped by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.errors import CloudpubError, ConfigurationError, MigrationError, RefusedQueryError
from cloudpub_models.schema.catalogue.catalogue import Partition
from cloudpub_models.schema.catalogue.postgresql import read_partitions
from cloudpub_models.schema.migrations.run import MigrationRun
from cloudpub_models.schema.partitions.definition import (
    constraints_of,
    indexes_of,
    keys_of,
    require_partitionable,
    rest_of,
    send,
    triggers_of,
)
from cloudpub_models.schema.partitions.journal import MARK, Journal
from cloudpub_models.schema.partitions.ranges import Range, Width
from cloudpub_models.schema.partitions.statements import (
    FUTURE,
    PAST,
    PartitionedTable,
    allow_no_wait,
    create_partition,
    give_to,
    hold_still,
    keep_writers_out,
    label_of,
    lock,
    lock_referenced,
    other_owner,
    values_of,
    within,
    written_columns,
)
from cloudpub_models.schema.row_security import POLICY
from cloudpub_models.schema.statements import fetch, fetch_value, run
from cloudpub_models.sql.dialects import POSTGRESQL

_ROWS_AT_ONCE = 10_000
# What is left to be made up for while writers wait.
_FEW_ROWS = 1_000
# Everybody waits.
_ALL_MILLISECONDS = 20
_PATIENCE_SECONDS = 60.0

_SEES_ALL = "REPEATABLE READ"
_SEES_WHAT_COMES = "READ COMMITTED"

# What more is in the way of copying, or would be lost.
_HINDRANCES = """
    SELECT 'a primary key that is not one column of integers' WHERE NOT EXISTS (
        SELECT FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ALL (k.conkey)
        WHERE k.conrelid = to_regclass(%(table)s) AND k.contype = 'p'
          AND a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype))
    UNION ALL SELECT 'rows that the server loses when it crashes (UNLOGGED)' FROM pg_class
    WHERE oid = to_regclass(%(table)s) AND relpersistence <> 'p'
    UNION ALL SELECT format('the policy %%I, which hides rows from who copies them', polname) FROM pg_policy
    WHERE polrelid = to_regclass(%(table)s) AND row_security_active(polrelid) AND polname <> %(policy)s
"""
_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attcollation,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_STATISTICS = """
    SELECT format('DROP STATISTICS %%s', name), pg_get_statisticsobjdef(oid)
    FROM pg_statistic_ext CROSS JOIN LATERAL format('%%I.%%I', stxnamespace::regnamespace, stxname) AS name
    WHERE stxrelid = to_regclass(%s)
"""
_THERE = "SELECT to_regclass(%s) IS NOT NULL"
_IS_JOURNAL = "SELECT obj_description(to_regclass(%s), 'pg_class') = %s"
_HAS_TRIGGERS = "SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = ANY (%s::name[])"


class _BehindError(Exception):
    """More was changed meanwhile than can be made up for while others wait."""


def move(
    database: peewee.Database,
    migration: MigrationRun,
    table: PartitionedTable,
    width: Width,
    ranges: Sequence[Range],
    *,
    widens: bool,
) -> None:
    """Copy the rows of a table into the partitions of another one, which then takes its name.

    Args:
        database: the database.
        migration: holds the lock of a migrator.
        table: the table; nothing of an earlier run is left of it.
        width: how long the ranges are.
        ranges: those of the partitions, between the one of all that is earlier and the one of all that is later.
        widens: whether its ids are to have 64 bits from then on.

    Raises:
        ConfigurationError: the table has what a partitioned one cannot have, or what cannot be copied.
        MigrationError: the table was altered meanwhile, or more is written than can be copied.
        LockNotAvailableError: the table is never free for the moment that it takes.
    """
    _require_movable(database, table)
    journal = Journal(table, next(key.columns[0] for key in keys_of(database, table) if key.is_primary))
    old = table.partition_name("old")
    for name in (journal.name, journal.copy, journal.whole, old):
        if fetch_value(database, _THERE, (POSTGRESQL.quote(name),)):
            raise ConfigurationError(
                f"expected no table {name}, which copying {table.name} needs; got one: give it another name"
            )
    definition = _definition(database, table)
    try:
        migration.step(partial(_make_whole, database, journal, widens))
        migration.step(partial(_make_copy, database, journal))
        migration.step(partial(_make_partitions, database, journal, width, ranges))
        migration.step(partial(_begin_noting, database, journal))
        _copy(database, migration, journal)
        migration.step_by_itself(partial(run, database, f"VACUUM {POSTGRESQL.quote(journal.copy)}"))
        since = _catch_up(database, migration, journal)
        _give_partitions(database, migration, journal, since)
        # What the server knows of tables it does not have by itself of one with partitions.
        migration.step_by_itself(partial(run, database, f"ANALYZE {POSTGRESQL.quote(journal.whole)}"))
        while True:
            migration.step_by_itself(partial(_outwait, database, journal))
            try:
                migration.step(
                    partial(_change_places, database, journal, definition, old, widens), isolation=_SEES_WHAT_COMES
                )
                break
            except _BehindError:
                # Transactions that are over by now have noted what they changed.
                migration.step(partial(_make_up_again, database, journal), _SEES_WHAT_COMES)
    except BaseException as error:
        with suppress(peewee.PeeweeException, CloudpubError):
            clear(database, migration, table)
        if isinstance(error, RefusedQueryError):
            _require_unchanged(database, table, definition)
        raise
    clear(database, migration, table)


def clear(database: peewee.Database, migration: MigrationRun, table: PartitionedTable) -> None:
    """Drop what a run has made or replaced, as far as it has come, in pieces that nobody waits for long.

    Args:
        database: the database.
        migration: holds the lock of a migrator.
        table: the table.

    Raises:
        LockNotAvailableError: the table, or one to which it refers, is never free for the moment that it takes.
    """
    journal, old = Journal(table, ""), table.partition_name("old")
    if not is_unfinished(database, table):
        return
    names = POSTGRESQL.pack_members(sorted(journal.triggers.values()))
    if fetch(database, _HAS_TRIGGERS, (table.quoted, names)):
        migration.step(partial(_end_noting, database, journal))
    copies = (journal.copy, journal.whole)
    parts = [part.name for copy in copies for part in read_partitions(database, copy)]
    for name in (*parts, *copies, old):
        if fetch_value(database, _THERE, (POSTGRESQL.quote(name),)):
            migration.step(partial(_drop, database, name))
    migration.step(partial(journal.drop, database))


def is_unfinished(database: peewee.Database, table: PartitionedTable) -> bool:
    """Return whether a run for a table has begun, and has not ended."""
    name = POSTGRESQL.quote(Journal(table, "").name)
    return bool(fetch_value(database, _IS_JOURNAL, (name, MARK)))


def _require_movable(database: peewee.Database, table: PartitionedTable, own_triggers: Iterable[str] = ()) -> None:
    require_partitionable(database, table, tuple(own_triggers))
    cursor = database.execute_sql(_HINDRANCES, {"table": table.quoted, "policy": POLICY})  # type: ignore[no-untyped-call]
    for (hindrance,) in cursor.fetchall():
        raise ConfigurationError(
            f"expected a table that can be copied; got {table.name} with {hindrance}: change that first"
        )


def _definition(database: peewee.Database, table: PartitionedTable) -> tuple[Any, ...]:
    """Return what a copy has, by which it is known whether the table was altered meanwhile."""
    columns = fetch(database, _COLUMNS, (table.quoted,))
    return columns, keys_of(database, table), indexes_of(database, table), constraints_of(database, table)


def _require_unchanged(database: peewee.Database, table: PartitionedTable, definition: tuple[Any, ...]) -> None:
    if _definition(database, table) != definition:
        raise MigrationError(
            f"expected {table.name} to stay as it is while it is copied; its columns, indexes or constraints were "
            "changed: do it again"
        )


def _make_whole(database: peewee.Database, journal: Journal, widens: bool) -> None:
    """Make an empty table with all that the old one has; and the journal."""
    table, whole = journal.table, POSTGRESQL.quote(journal.whole)
    journal.make(database)
    run(
        database,
        f"CREATE TABLE {whole} (LIKE {table.quoted} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE "
        f"INCLUDING COMPRESSION INCLUDING COMMENTS) PARTITION BY RANGE ({POSTGRESQL.quote(table.column)})",
    )
    if widens:
        run(database, f"ALTER TABLE {whole} ALTER COLUMN {POSTGRESQL.quote(journal.key)} TYPE BIGINT")
    made = [key.statement(whole, name) for key, name in _named(keys_of(database, table), journal.whole)]
    made += [index.statement(whole, name) for index, name in _named(indexes_of(database, table), journal.whole)]
    constraints = constraints_of(database, table)
    made += [each.statement(whole) for each in constraints if not each.is_reference]
    for statement in made:
        send(database, statement)
    give_to(database, journal.whole, other_owner(database, table.name))
    _add_references(database, journal, [each.statement(whole) for each in constraints if each.is_reference])


def _make_copy(database: peewee.Database, journal: Journal) -> None:
    """Make a table with all that the empty one has but for its references."""
    whole, copy = POSTGRESQL.quote(journal.whole), POSTGRESQL.quote(journal.copy)
    column = POSTGRESQL.quote(journal.table.column)
    run(database, f"CREATE TABLE {copy} (LIKE {whole} INCLUDING ALL) PARTITION BY RANGE ({column})")
    give_to(database, journal.copy, other_owner(database, journal.table.name))


def _named(parts: Sequence[Any], table: str) -> Iterator[tuple[Any, str]]:
    """Yield keys or indexes with the names that they have while their own are another table's."""
    for number, part in enumerate(parts):
        yield part, name_of_part(table, [str(number)], "key" if hasattr(part, "is_primary") else "idx")


def _make_partitions(database: peewee.Database, journal: Journal, width: Width, ranges: Sequence[Range]) -> None:
    table, owner = journal.table, other_owner(database, journal.table.name)
    limits = [(PAST, None, ranges[0].begin), *((label_of(each.begin, width), *each) for each in ranges)]
    for label, begin, end in (*limits, (FUTURE, ranges[-1].end, None)):
        name = create_partition(database, table, label, begin, end, of=journal.copy)
        # So that nobody has to wait for its rows to be read when it becomes another table's.
        check = f"ADD CONSTRAINT {_bounds(table)} CHECK ({within(table.column, begin, end)})"
        run(database, f"ALTER TABLE {POSTGRESQL.quote(name)} {check}")
        give_to(database, name, owner)


def _bounds(table: PartitionedTable) -> str:
    return POSTGRESQL.quote(table.partition_name("bounds"))


def _begin_noting(database: peewee.Database, journal: Journal) -> None:
    keep_writers_out(database, journal.table)
    journal.begin(database)


def _end_noting(database: peewee.Database, journal: Journal) -> None:
    lock(database, journal.table)
    journal.end(database, journal.table.name)


def _copy(database: peewee.Database, migration: MigrationRun, journal: Journal) -> None:
    """Copy the rows that are there, so many at a time, in the order of their ids; later ones are noted."""
    key = POSTGRESQL.quote(journal.key)
    ((last,),) = fetch(database, f"SELECT max({key}) FROM {journal.table.quoted}")  # noqa: S608 - quoted
    latest = None
    while last is not None and latest != last:
        latest = migration.step(partial(_copy_more, database, journal, latest, last), _SEES_ALL)


def _copy_more(database: peewee.Database, journal: Journal, latest: int | None, last: int) -> int:
    """Make up for what was noted, copy the rows behind an id, up to a last one, and return how far that has come.

    All of it as of one moment: but for the rows that are to be copied yet, the copy then has what the table had.
    """
    key, table = POSTGRESQL.quote(journal.key), journal.table
    behind = "true" if latest is None else f"{key} > {latest:d}"
    to_be_copied = f"{behind} AND {key} <= {last:d}"
    journal.make_up(database, f"NOT ({to_be_copied})")
    columns = written_columns(database, journal.copy)
    copied = fetch(
        database,
        f"WITH copied AS (INSERT INTO {POSTGRESQL.quote(journal.copy)} ({columns}) "  # noqa: S608 - quoted, numbers
        f"SELECT {columns} FROM {table.quoted} WHERE {to_be_copied} ORDER BY {key} LIMIT {_ROWS_AT_ONCE} "
        f"RETURNING {key}) SELECT max({key}), count(*) FROM copied".replace("%", "%%"),
    )
    ((farthest, number),) = copied
    return int(farthest) if number == _ROWS_AT_ONCE else last


def _catch_up(database: peewee.Database, migration: MigrationRun, journal: Journal) -> str:
    """Make the copy equal, and return since when it stays so but for what older transactions do.

    Raises:
        MigrationError: more is written than can be made up for.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return migration.step(partial(_become_equal, database, journal), _SEES_WHAT_COMES)
        except _BehindError as error:
            if time.monotonic() >= deadline:
                raise MigrationError(
                    f"expected fewer changes of {journal.table.name} than can be made up for within "
                    f"{_PATIENCE_SECONDS:g} s; got more all the time: do it again when less is written"
                ) from error
        migration.step(partial(journal.make_up, database, "true"), _SEES_ALL)


def _become_equal(database: peewee.Database, journal: Journal) -> str:
    keep_writers_out(database, journal.table)
    if journal.is_longer_than(database, _FEW_ROWS):
        raise _BehindError
    journal.make_up(database, "true")
    return journal.write_at_once(database)


def _make_up_again(database: peewee.Database, journal: Journal) -> None:
    # While changes are written at once, it is only safe with writers kept out.
    keep_writers_out(database, journal.table)
    journal.make_up(database, "true", journal.whole)


def _give_partitions(database: peewee.Database, migration: MigrationRun, journal: Journal, since: str) -> None:
    """Give the whole the copy's partitions, whose rows are not read while others are kept out of anything."""
    references = [each for each in constraints_of(database, journal.table) if each.is_reference]
    for part in read_partitions(database, journal.copy):
        name = POSTGRESQL.quote(part.name)
        added = [f"{reference.statement(name)} NOT VALID" for reference in references]
        migration.step(partial(_add_references, database, journal, added))
        for reference in references:
            validate = f"ALTER TABLE {name} VALIDATE CONSTRAINT {POSTGRESQL.quote(reference.name)}"
            migration.step(partial(run, database, validate))
        migration.step(partial(_give, database, journal, since, part), _SEES_WHAT_COMES)


def _add_references(database: peewee.Database, journal: Journal, references: Sequence[str]) -> None:
    allow_no_wait(database)
    lock_referenced(database, journal.table.name, "SHARE ROW EXCLUSIVE")
    for statement in references:
        send(database, statement)


def _give(database: peewee.Database, journal: Journal, since: str, part: Partition) -> None:
    """Give the whole the first partition that the copy has, and have changes written accordingly."""
    copy, whole, name = (POSTGRESQL.quote(table) for table in (journal.copy, journal.whole, part.name))
    hold_still(database, journal.table)
    # Who writes the table reads the one to which it refers: so readers of that are kept out when there are no writers
    # left. They have to be, since what the partition's own reference has left there goes.
    allow_no_wait(database, _ALL_MILLISECONDS)
    lock_referenced(database, journal.table.name, "SHARE ROW EXCLUSIVE")
    keep_writers_out(database, journal.table, _ALL_MILLISECONDS)
    lock_referenced(database, journal.table.name, "ACCESS EXCLUSIVE")
    run(database, f"ALTER TABLE {copy} DETACH PARTITION {name}")
    run(database, f"ALTER TABLE {whole} ATTACH PARTITION {name} {values_of(part.begin, part.end)}")
    run(database, f"ALTER TABLE {name} DROP CONSTRAINT {_bounds(journal.table)}")
    journal.write_into_both(database, since, part.end)


def _outwait(database: peewee.Database, journal: Journal) -> None:
    """Wait until all transactions have ended that see what was there before the copy became equal.

    The server does that before an index that it has made beside others may be used; it is one of a small table.
    """
    index = POSTGRESQL.quote(name_of_part(journal.name, [journal.key], "idx"))
    # It holds up nobody.
    run(database, "SET lock_timeout = 0")
    run(database, f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
    run(
        database,
        f"CREATE INDEX CONCURRENTLY {index} ON {POSTGRESQL.quote(journal.name)} ({POSTGRESQL.quote(journal.key)})",
    )


def _change_places(
    database: peewee.Database, journal: Journal, definition: tuple[Any, ...], old: str, widens: bool
) -> None:
    """Give the whole the name of the table, and all that goes with the name: in one transaction."""
    table, whole, quoted_old = journal.table, POSTGRESQL.quote(journal.whole), POSTGRESQL.quote(old)
    # What the table has is read before others are kept out.
    hold_still(database, table)
    own_triggers = frozenset(journal.triggers.values())
    _require_movable(database, table, own_triggers)
    _require_unchanged(database, table, definition)
    triggers = {name: made for name, made in triggers_of(database, table).items() if name not in own_triggers}
    rest = rest_of(database, table)
    statistics = fetch(database, _STATISTICS, (table.quoted,))
    sequence = fetch_value(database, "SELECT pg_get_serial_sequence(%s, %s)", (table.quoted, journal.key))
    named = [*_named(keys_of(database, table), journal.whole), *_named(indexes_of(database, table), journal.whole)]

    lock(database, table)
    if journal.is_longer_than(database, 0):
        raise _BehindError
    for number, (part, _) in enumerate(named):
        renamed = POSTGRESQL.quote(name_of_part(old, [str(number)], "idx"))
        run(database, f"ALTER INDEX {POSTGRESQL.quote(part.name)} RENAME TO {renamed}")
    run(database, f"ALTER TABLE {table.quoted} RENAME TO {quoted_old}")
    journal.end(database, old)
    for name in triggers:
        run(database, f"DROP TRIGGER {POSTGRESQL.quote(name)} ON {quoted_old}")
    run(database, f"ALTER TABLE {whole} RENAME TO {table.quoted}")
    for part, name in named:
        run(database, f"ALTER INDEX {POSTGRESQL.quote(name)} RENAME TO {POSTGRESQL.quote(part.name)}")
    made = [statement for pair in statistics for statement in pair]
    for statement in [*made, *triggers.values(), *rest]:
        send(database, statement)
    if widens and sequence is not None:
        send(database, f"ALTER SEQUENCE {sequence} AS BIGINT")


def _drop(database: peewee.Database, table: str) -> None:
    """Drop a table, for which nobody may be in those to which it refers."""
    allow_no_wait(database)
    lock_referenced(database, table, "ACCESS EXCLUSIVE")
    run(database, f"DROP TABLE {POSTGRESQL.quote(table)}")
