"""A table that is given partitions, and kept in them: those of the days to come are made whenever it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.partitioned import partition_column
from cloudpub_models.errors import (
    ConfigurationError,
    LockNotAvailableError,
    MigrationError,
    UnknownTableError,
    did_you_mean,
)
from cloudpub_models.schema.catalogue.catalogue import Partition
from cloudpub_models.schema.catalogue.read import read_partitions
from cloudpub_models.schema.migrations.applied import AppliedMigrations
from cloudpub_models.schema.migrations.run import MigrationRun
from cloudpub_models.schema.partitions.attaching import attach
from cloudpub_models.schema.partitions.moving import clear, move
from cloudpub_models.schema.partitions.ranges import (
    BACK,
    Range,
    Way,
    Width,
    begin_of,
    check_ahead,
    check_way,
    check_width,
    first_begin,
    ranges_ahead,
    width_of,
)
from cloudpub_models.schema.partitions.statements import (
    FUTURE,
    PartitionedTable,
    are_partitions,
    create_partition,
    give_to,
    is_empty,
    label_of,
    lock,
    move_rows,
    other_owner,
)
from cloudpub_models.schema.statements import fetch, run
from cloudpub_models.sql.dialects import POSTGRESQL
from cloudpub_models.sql.identifiers import shown

_LOCK_TIMEOUT_SECONDS = 60.0
_SOON = timedelta(microseconds=1)
# Each takes ten milliseconds, in which others wait; so does the one without an end.
_AT_ONCE = 1

_NOW = "SELECT timezone('utc', clock_timestamp())"
# What a table is, whether it is ours to change, and whether it is partitioned as its model says.
_STATE = """
    SELECT c.relkind = 'p', pg_has_role(c.relowner, 'USAGE'), c.relowner::regrole::text,
           COALESCE(p.partstrat = 'r' AND p.partnatts = 1 AND p.partdefid = 0 AND a.attname = %s, false)
    FROM pg_class c LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
    WHERE c.oid = to_regclass(%s) AND c.relkind IN ('r', 'p')
"""
# Whether the ids of a table are 32 bits wide, and how much room it takes.
_SIZE = """
    SELECT EXISTS (SELECT FROM pg_constraint k
                   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ALL (k.conkey)
                   WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.atttypid = 'integer'::regtype),
           pg_total_relation_size(c.oid)
    FROM pg_class c WHERE c.oid = to_regclass(%s)
"""
# When the earliest of the rows is of that are to have partitions of their own time.
_EARLIEST = """
    SELECT timezone('utc', min({column})::timestamptz) FROM {table}
    WHERE {column}::timestamptz > now() - make_interval(days => %s) HAVING min({column}) IS NOT NULL
"""


class Plan(NamedTuple):
    """What partitioning a table does.

    Attributes:
        table: the table.
        way: how it gets its partitions; ``None`` where it has some already.
        until: up to when the rows that are there, and those of the next days, stay in one partition; ``None`` where
            they do not.
        width: how long the ranges of its partitions are.
        ranges: the ranges of the partitions that are to be made.
        made: the names of those that were made.
        widens: whether its ids have 64 bits from then on, and had 32 before.
        bytes: the room that its rows take, and will take twice while they are copied.
    """

    table: PartitionedTable
    way: Way | None
    until: datetime | None
    width: Width
    ranges: tuple[Range, ...]
    made: tuple[str, ...] = ()
    widens: bool = False
    bytes: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the partitions that are to be made."""
        return tuple(self.table.partition_name(label_of(each.begin, self.width)) for each in self.ranges)


def model_of(models: Sequence[type[peewee.Model]], table: str) -> type[peewee.Model]:
    """Return the model of a table.

    Raises:
        UnknownTableError: none of the models has it.
    """
    by_name = {model._meta.table_name: model for model in models}
    if not isinstance(table, str) or table not in by_name:
        hint = did_you_mean(table, by_name) if isinstance(table, str) else f"known are: {', '.join(by_name)}"
        raise UnknownTableError(f"expected a table of the components; got {shown(table)}: {hint}")
    return by_name[table]


def partition(
    database: peewee.Database, model: type[peewee.Model], width: Width | None, ahead: timedelta, way: Way | None
) -> tuple[str, ...]:
    """Give a table partitions, or make those that are missing; see ``Database.partition``."""
    check_width(width)
    check_ahead(ahead)
    check_way(way)
    table = _partitionable(database, model)
    with MigrationRun(database, AppliedMigrations(database), _LOCK_TIMEOUT_SECONDS) as migration:
        try:
            plan = migration.step(partial(_plan, database, model, width, ahead, way))
            clear(database, migration, table)
            if plan.way == "move":
                move(database, migration, table, plan.width, plan.ranges, widens=plan.widens)
                return plan.names
            if plan.until is not None:
                attach(database, migration, table, plan.until)
            while plan.ranges:
                plan = migration.step(partial(_make, database, plan))
            return plan.made
        except LockNotAvailableError as error:
            raise LockNotAvailableError(
                f"expected {table.name} to be free for a moment within {_LOCK_TIMEOUT_SECONDS:g} s; somebody was "
                "always at work in it for longer: do it again when no long query or transaction is"
            ) from error


def plan_for(
    database: peewee.Database, model: type[peewee.Model], width: Width | None, ahead: timedelta, way: Way | None
) -> Plan:
    """Return what ``partition`` would do; nothing is changed."""
    check_width(width)
    check_ahead(ahead)
    check_way(way)
    return _plan(database, model, width, ahead, way)


def _partitionable(database: peewee.Database, model: type[peewee.Model]) -> PartitionedTable:
    table = PartitionedTable(model._meta.table_name, partition_column(model))
    dialect = sql_dialect_of(database)
    if not dialect.partitions:
        raise ConfigurationError(
            f"expected PostgreSQL, to give {table.name} partitions; got {dialect.name}: there is nothing to do, "
            "prune() deletes"
        )
    return table


def _plan(
    database: peewee.Database, model: type[peewee.Model], width: Width | None, ahead: timedelta, way: Way | None
) -> Plan:
    """Return what is to be done.

    Raises:
        ConfigurationError: the table is not there, somebody else's, or has partitions of another kind or width.
    """
    table = _partitionable(database, model)
    found = fetch(database, _STATE, (table.column, table.quoted))
    if not found:
        raise ConfigurationError(f"expected the table {table.name}; it is missing: migrate")
    ((is_partitioned, is_ours, owner, fits),) = found
    if not is_ours:
        raise ConfigurationError(
            f"expected the owner of {table.name}, to give it partitions; got another role: connect as {owner}"
        )
    ((now,),) = fetch(database, _NOW)
    moment = now.replace(tzinfo=UTC)
    if not is_partitioned:
        return _first_plan(database, model, table, moment, width or "day", ahead, way)
    parts = read_partitions(database, table.name)
    if not fits or any(part.begin is None and part.end is None for part in parts):
        raise ConfigurationError(
            f"expected partitions of {table.name} by ranges of {table.column}, and no DEFAULT one; got others: leave "
            "them to what has made them"
        )
    there = width_of(parts)
    if there is not None and width not in (None, there):
        raise ConfigurationError(
            f"expected the width that the partitions of {table.name} have, {there!r}; got {width!r}: leave it out"
        )
    chosen: Width = there or width or "day"
    edge = _edge(parts)
    return Plan(table, None, None, chosen, tuple(ranges_ahead(edge or first_begin(moment), chosen, moment + ahead)))


def _first_plan(
    database: peewee.Database,
    model: type[peewee.Model],
    table: PartitionedTable,
    moment: datetime,
    width: Width,
    ahead: timedelta,
    way: Way | None,
) -> Plan:
    """Return what is to be done with a table that has no partitions."""
    ((is_narrow, size),) = fetch(database, _SIZE, (table.quoted,))
    is_to_be_widened = is_narrow and isinstance(model._meta.primary_key, (peewee.BigAutoField, peewee.BigIntegerField))
    chosen: Way = way or ("move" if is_to_be_widened else "attach")
    if chosen == "attach":
        until = first_begin(moment)
        ranges = ranges_ahead(until, width, max(moment + ahead, until + _SOON))
        return Plan(table, chosen, until, width, tuple(ranges), bytes=size)
    query = _EARLIEST.format(column=POSTGRESQL.quote(table.column), table=table.quoted)
    earliest = [found.replace(tzinfo=UTC) for (found,) in fetch(database, query, (BACK[width].days,))]
    begin = begin_of(min([moment, *earliest]), width)
    ranges = ranges_ahead(begin, width, max(moment + ahead, begin + _SOON))
    return Plan(table, chosen, None, width, tuple(ranges), widens=is_to_be_widened, bytes=size)


def _edge(parts: Sequence[Partition]) -> datetime | None:
    """Return the moment from which on there are no partitions but the one without an end."""
    return max((moment for part in parts for moment in (part.end or part.begin,) if moment is not None), default=None)


def _make(database: peewee.Database, plan: Plan) -> Plan:
    """Make partitions where the one without an end begins, and return what remains to be done."""
    table = plan.table
    # What there is takes long to read, so that is done while nobody waits.
    future = [part.name for part in read_partitions(database, table.name) if part.end is None and part.begin]
    owner = other_owner(database, table.name)
    lock(database, table)
    if not are_partitions(database, table, future):
        raise MigrationError(
            f"expected the partitions of {table.name} to stay as they are while others are made; got changes of "
            "somebody else: do it again"
        )
    moved = None
    for name in future:
        if is_empty(database, name):
            run(database, f"DROP TABLE {POSTGRESQL.quote(name)}")
        else:
            moved = table.partition_name("moved")
            run(database, f"ALTER TABLE {table.quoted} DETACH PARTITION {POSTGRESQL.quote(name)}")
            run(database, f"ALTER TABLE {POSTGRESQL.quote(name)} RENAME TO {POSTGRESQL.quote(moved)}")
    # Rows are moved once.
    ranges = plan.ranges[: len(plan.ranges) if moved else _AT_ONCE]
    made = [create_partition(database, table, label_of(each.begin, plan.width), *each) for each in ranges]
    rest = create_partition(database, table, FUTURE, ranges[-1].end, None)
    for name in (*made, rest):
        give_to(database, name, owner)
    if moved is not None:
        targets: list[tuple[str, Range | None]] = [*zip(made, ranges, strict=True), (rest, None)]
        move_rows(database, moved, targets, table.column)
        run(database, f"DROP TABLE {POSTGRESQL.quote(moved)}")
    return plan._replace(ranges=plan.ranges[len(ranges) :], made=(*plan.made, *made))
