"""Ids of 64 bits for logs and invocations, of which 32 bits are used up first, and UUIDs that begin with the time.

On PostgreSQL a wider id means that the table is written anew while nobody can read or write it. So a table of up to
64 MB, which takes less than a second, is changed; a larger one keeps its ids, which work as before until two thousand
million rows have been written, and a warning says what widening them takes. ``cloudpub migrate check`` tells such a
table for as long as it is there. A view, a policy or a trigger that names the id stands in the way as well.

The rows that are there keep their UUIDs. SQLite's ids have 64 bits already, and its default stays as it is: there, what
is written past the managers has a random UUID.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import peewee

TABLES = ("function_logs", "function_invocations")
LARGEST_BYTES = 64 * 2**20

TIME_ORDERED = (
    "encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing substring("
    "int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6), 52, 1), 53, 1), "
    "'hex')::uuid"
)
RANDOM = "gen_random_uuid()"

STATE = """
    SELECT a.atttypid::regtype::text, c.relkind::text, pg_total_relation_size(c.oid),
        EXISTS (SELECT FROM pg_depend d
                WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
                  AND d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass)),
        (SELECT s.seqrelid::regclass::text FROM pg_sequence s
         WHERE a.attidentity = '' AND s.seqrelid = pg_get_serial_sequence(c.oid::regclass::text, 'id')::regclass)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id'
    WHERE c.oid = to_regclass('{table}')
"""


class State(NamedTuple):
    """What stands for or against changing the type of a table's ids."""

    type: str
    kind: str
    size: int
    is_named: bool
    sequence: str | None

    @property
    def takes_no_time(self) -> bool:
        """Whether the type is changed in less than a second."""
        return self.kind == "r" and not self.is_named and self.size <= LARGEST_BYTES


def up(migrator: Any, db: Any) -> None:
    """Widen the ids where that takes no time, and have the database make UUIDs that begin with the time."""
    if not _is_postgresql(db):
        return
    for table in TABLES:
        db.execute_sql(f"ALTER TABLE {table} ALTER COLUMN uuid SET DEFAULT {TIME_ORDERED}")
        # Of a database whose tables are still to be made, that this is planned for, nothing is known.
        found = state_of(db, table) or State("integer", "r", 0, False, f"{table}_id_seq")
        if found.type != "integer":
            continue
        if found.takes_no_time:
            change_type(db, table, found, "BIGINT")
        else:
            warnings.warn(what_it_takes(table, found), stacklevel=2)


def down(migrator: Any, db: Any) -> None:
    """Take it back where that takes no time; wider ids are in nobody's way."""
    if not _is_postgresql(db):
        return
    for table in TABLES:
        db.execute_sql(f"ALTER TABLE {table} ALTER COLUMN uuid SET DEFAULT {RANDOM}")
        found = state_of(db, table)
        if found is not None and found.type == "bigint" and found.takes_no_time:
            change_type(db, table, found, "INTEGER")


def state_of(db: Any, table: str) -> State | None:
    """Return what a table is like; None where it is not there."""
    row = db.execute_sql(STATE.format(table=table)).fetchone()
    return None if row is None else State(*row)


def change_type(db: Any, table: str, found: State, kind: str) -> None:
    """Change the type of a table's ids, and how far they are counted."""
    db.execute_sql(f"ALTER TABLE {table} ALTER COLUMN id TYPE {kind}")
    if found.sequence is not None:
        db.execute_sql(f"ALTER SEQUENCE {found.sequence} AS {kind}")


def what_it_takes(table: str, found: State) -> str:
    """Return why a table's ids stay as they are, and what to do."""
    size = f"{found.size / 2**20:,.0f} MB"
    why = "a view, a policy or a trigger names them" if found.is_named else f"widening them writes {size} anew"
    how = "drop that first" if found.is_named else "nobody can read or write the table meanwhile"
    return (
        f"the ids of {table} stay INTEGER, since {why}: {how}; the statements for a quiet hour are in "
        "'cloudpub migrate check'"
    )


def _is_postgresql(db: Any) -> bool:
    return isinstance(db, peewee.PostgresqlDatabase)
