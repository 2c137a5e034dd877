"""A table that becomes the first partition of another one of its name, while others write.

What takes long is done before that and keeps nobody out: the indexes that a partition's keys need, and the proof that
all rows are from before the day on which the other partitions begin. The change itself is a matter of names, all or
nothing, in some milliseconds. Rows stay where they are, and so does what the rows are numbered by.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import partial

import peewee

from cloudpub_models.entity.fields import name_of_part
from cloudpub_models.errors import CheckViolationError, CloudpubError, MigrationError
from cloudpub_models.schema.migrations.run import MigrationRun
from cloudpub_models.schema.partitions.definition import (
    Key,
    constraints_of,
    indexes_of,
    keys_of,
    listed,
    require_partitionable,
    rest_of,
    send,
    triggers_of,
)
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
    values_of,
    within,
)
from cloudpub_models.schema.statements import fetch, run
from cloudpub_models.sql.dialects import POSTGRESQL

_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
_HAS_CHECK = "SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s"

# Whoever may read the whole is not to read a part past its row security.
_RIGHTS_TO_PAST = """
    SELECT DISTINCT format('REVOKE ALL%%s ON %%s FROM %%s',
                  CASE WHEN c.attname IS NULL THEN '' ELSE format(' (%%I)', c.attname) END, c.oid::regclass,
                  CASE WHEN r.grantee = 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END)
    FROM (SELECT oid, relacl AS rights, NULL AS attname FROM pg_class
          UNION ALL SELECT attrelid, attacl, attname FROM pg_attribute) AS c
    CROSS JOIN LATERAL aclexplode(c.rights) AS r
    WHERE c.oid = to_regclass(%s) AND r.grantee <> (SELECT relowner FROM pg_class WHERE oid = c.oid)
"""


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
    check = table.partition_name("check")
    # What an interrupted run has left.
    migration.step(partial(_drop_check, database, table, check))
    require_partitionable(database, table)
    keys = keys_of(database, table)
    migration.step(partial(_require_none_from, database, table, until))
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


def _name_in_past(table: PartitionedTable, key: Key) -> str:
    """Return what a key is called in the first partition: as the server would choose a name, unless it is taken."""
    kind = "pkey" if key.is_primary else "key"
    return name_of_part(table.name, ["p_past", *key.own_columns], kind)


def _require_none_from(database: peewee.Database, table: PartitionedTable, until: datetime) -> None:
    column = POSTGRESQL.quote(table.column)
    ((latest,),) = fetch(database, f"SELECT max({column})::text FROM {table.quoted}")  # noqa: S608 - quoted
    if latest is not None and fetch(database, f"SELECT 1 WHERE '{latest}'::timestamptz >= {literal(until)}"):
        raise MigrationError(
            f"expected no rows of {table.name} from {until:%Y-%m-%d} on, where its partitions are to begin; got one of "
            f"{latest}: change or delete what is of the future first"
        )


def _make_index(database: peewee.Database, table: PartitionedTable, key: Key) -> None:
    """Make the index of a key while others write, unless it is there already."""
    name = POSTGRESQL.quote(_name_in_past(table, key))
    if fetch(database, _VALID, (name,)) == [(True,)]:
        return
    # Making one waits for everybody who is at work, and holds up nobody.
    run(database, "SET lock_timeout = 0")
    # What was interrupted is invalid.
    run(database, f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    run(database, f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table.quoted} ({listed(key.columns)})")


def _add_check(database: peewee.Database, table: PartitionedTable, check: str, until: datetime) -> None:
    lock(database, table)
    condition = within(table.column, None, until)
    run(
        database,
        f"ALTER TABLE {table.quoted} ADD CONSTRAINT {POSTGRESQL.quote(check)} CHECK ({condition}) NOT VALID",
    )


def _drop_check(database: peewee.Database, table: PartitionedTable, check: str) -> None:
    if fetch(database, _HAS_CHECK, (table.quoted, check)):
        lock(database, table)
        run(database, f"ALTER TABLE {table.quoted} DROP CONSTRAINT {POSTGRESQL.quote(check)}")


def _change_places(
    database: peewee.Database, table: PartitionedTable, keys: list[Key], check: str, until: datetime
) -> None:
    """Put a partitioned table in the place of a table, which becomes its first partition: all in one transaction."""
    past = table.partition_name(PAST)
    quoted_past, column = POSTGRESQL.quote(past), POSTGRESQL.quote(table.column)
    # What the table has is read before others are kept out.
    hold_still(database, table)
    require_partitionable(database, table)
    owner = other_owner(database, table.name)
    prepared = {_name_in_past(table, key) for key in keys}
    indexes = [index for index in indexes_of(database, table) if index.name not in prepared]
    constraints = [constraint for constraint in constraints_of(database, table) if constraint.name != check]
    triggers, rest = triggers_of(database, table), rest_of(database, table)

    lock(database, table)
    run(database, f"ALTER TABLE {table.quoted} RENAME TO {quoted_past}")
    for key in keys:
        name, kind = POSTGRESQL.quote(_name_in_past(table, key)), "PRIMARY KEY" if key.is_primary else "UNIQUE"
        run(
            database,
            f"ALTER TABLE {quoted_past} DROP CONSTRAINT {POSTGRESQL.quote(key.name)}, "
            f"ADD CONSTRAINT {name} {kind} USING INDEX {name}",
        )
    for number, index in enumerate(indexes):
        renamed = POSTGRESQL.quote(name_of_part(past, [str(number)], "idx"))
        run(database, f"ALTER INDEX {POSTGRESQL.quote(index.name)} RENAME TO {renamed}")
    for name in triggers:
        run(database, f"DROP TRIGGER {POSTGRESQL.quote(name)} ON {quoted_past}")
    run(
        database,
        f"CREATE TABLE {table.quoted} (LIKE {quoted_past} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE "
        f"INCLUDING COMPRESSION INCLUDING COMMENTS) PARTITION BY RANGE ({column})",
    )
    give_to(database, table.name, owner)
    made = [key.statement(table.quoted, key.name) for key in keys]
    made += [index.statement(table.quoted, index.name) for index in indexes]
    made += [constraint.statement(table.quoted) for constraint in constraints]
    for statement in made:
        send(database, statement)
    run(
        database,
        f"ALTER TABLE {table.quoted} ATTACH PARTITION {quoted_past} {values_of(None, until)}",
    )
    run(database, f"ALTER TABLE {quoted_past} DROP CONSTRAINT {POSTGRESQL.quote(check)}")
    give_to(database, create_partition(database, table, FUTURE, until, None), owner)
    run(database, f"ALTER TABLE {quoted_past} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
    for (statement,) in fetch(database, _RIGHTS_TO_PAST, (quoted_past,)):
        send(database, statement)
    for statement in [*triggers.values(), *rest]:
        send(database, statement)
