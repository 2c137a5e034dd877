"""Rollups on PostgreSQL, where many write at a time and each sees the database as it was when he began.

Two sequences say what no snapshot hides: up to when hours are being counted, ``…_announced``, and before when they are
being frozen, ``…_frozen``, both as hours since the year 1. Whoever changes rows from before that leaves a mark. So when
everybody has ended who was writing when they moved, all rows of those hours are there, or marked.

Marks are appended. One with a key, left alone where it is there already, would be that of a transaction whose rows were
counted, while this one's were not.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cloudpub_models.connection import Database
from cloudpub_models.errors import LockNotAvailableError
from cloudpub_models.manager.sending import send_command, send_query
from cloudpub_models.sql.render.handwritten import put_together

PARTS = {
    "histogram": "durations, counts",
    # Of rows that each have a duration and how many there are of it.
    "collected": (
        "COALESCE(ARRAY_AGG(kept ORDER BY kept) FILTER (WHERE kept IS NOT NULL), '{}'), "
        "COALESCE(ARRAY_AGG(CAST(number AS BIGINT) ORDER BY kept) FILTER (WHERE kept IS NOT NULL), '{}')"
    ),
    "spread": "CROSS JOIN LATERAL UNNEST(p.durations, p.counts) AS h(kept, number)",
    "spread_kept": "h.kept",
    "spread_number": "h.number",
    # That of one row.
    "single": (
        "CASE WHEN duration_ms IS NULL THEN CAST('{}' AS INTEGER[]) ELSE ARRAY[kept] END AS durations, "
        "CASE WHEN duration_ms IS NULL THEN CAST('{}' AS BIGINT[]) ELSE ARRAY[CAST(1 AS BIGINT)] END AS counts"
    ),
    "replaced": "durations = excluded.durations, counts = excluded.counts",
    "no_histogram": "NULL, NULL",
    "larger": "GREATEST",
    # What follows from the rest, said so that the partitions of other times are not planned.
    "uncounted_when": " AND timestamp >= @hours",
    "late_when": " AND i.timestamp >= @hours AND i.timestamp < @end",
    "locked": "FOR UPDATE",
    # On a server that has no functions nobody knows which are gone: what belonged to them is swept.
    "or_all": (
        " OR NOT EXISTS (SELECT 1 FROM pg_constraint "
        "WHERE conrelid = TO_REGCLASS('function_invocation_rollups') AND contype = 'f')"
    ),
}

IS_THERE = "SELECT TO_REGCLASS('function_invocation_rollups_state') IS NOT NULL AS is_there"
# The counting may take longer than a statement of a program, and row security would hide what nobody has asked for.
_SETTINGS = """
    SELECT SET_CONFIG('statement_timeout', '0', true) AS statement_timeout,
        SET_CONFIG('lock_timeout', @wait, true) AS lock_timeout,
        SET_CONFIG('cloudpub.unrestricted', 'on', true) AS all_rows
"""

_TABLES = (
    """
    CREATE TABLE function_invocation_rollups (
        function_id INTEGER NOT NULL{reference},
        level SMALLINT NOT NULL,
        start TIMESTAMP NOT NULL,
        total BIGINT NOT NULL,
        successful BIGINT NOT NULL,
        timed BIGINT NOT NULL,
        duration BIGINT NOT NULL,
        minimum INTEGER,
        maximum INTEGER,
        latest TIMESTAMP NOT NULL,
        durations INTEGER[] NOT NULL,
        counts BIGINT[] NOT NULL,
        PRIMARY KEY (function_id, level, start)
    )
    """,
    """
    CREATE TABLE function_invocation_rollups_late (
        function_id INTEGER NOT NULL,
        hour TIMESTAMP NOT NULL,
        successful INTEGER,
        duration_ms INTEGER,
        timestamp TIMESTAMP
    )
    """,
    "CREATE INDEX function_invocation_rollups_late_idx ON function_invocation_rollups_late (function_id, hour)",
    """
    CREATE TABLE function_invocation_rollups_state (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        counted_until TIMESTAMP NOT NULL,
        kept_since TIMESTAMP NOT NULL
    )
    """,
    "INSERT INTO function_invocation_rollups_state VALUES (1, '0001-01-01', '0001-01-01')",
    "CREATE SEQUENCE function_invocation_rollups_announced MINVALUE 0 START 0",
    "CREATE SEQUENCE function_invocation_rollups_frozen MINVALUE 0 START 0",
)

# Functions are on the main database of several servers.
_HAS_FUNCTIONS = """
    SELECT TO_REGCLASS('cell_servers') IS NULL OR TO_REGCLASS('cells') IS NOT NULL AS has_functions
"""
_REFERENCE = " REFERENCES functions (id) ON DELETE CASCADE"

DROPPING = (
    "DROP FUNCTION IF EXISTS function_invocation_rollups_mark() CASCADE",
    "DROP TABLE function_invocation_rollups_late, function_invocation_rollups_state, function_invocation_rollups",
    "DROP SEQUENCE function_invocation_rollups_announced, function_invocation_rollups_frozen",
)

# Who deletes or changes what is frozen leaves what was counted of it alone: that can be told by what he sees, since it
# stays frozen. Who adds to it cannot go by that, and it is his row itself that is marked.
_FUNCTION = """
    CREATE OR REPLACE FUNCTION function_invocation_rollups_mark() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = {schema}, pg_temp AS $mark$
    DECLARE
        announced timestamp := (
            SELECT timestamp '0001-01-01' + last_value * interval '1 hour' FROM function_invocation_rollups_announced
        );
        frozen timestamp;
    BEGIN
        IF TG_OP = 'INSERT' THEN
            IF EXISTS (SELECT 1 FROM added WHERE timestamp < announced) THEN
                frozen := (
                    SELECT timestamp '0001-01-01' + last_value * interval '1 hour'
                    FROM function_invocation_rollups_frozen
                );
                INSERT INTO function_invocation_rollups_late (function_id, hour)
                SELECT DISTINCT function_id, date_trunc('hour', timestamp) FROM added
                WHERE timestamp < announced AND timestamp >= frozen;
                INSERT INTO function_invocation_rollups_late
                SELECT function_id, date_trunc('hour', timestamp), CASE WHEN status = 'success' THEN 1 ELSE 0 END,
                    duration_ms, timestamp
                FROM added WHERE timestamp < frozen;
            END IF;
        ELSIF TG_OP = 'UPDATE' THEN
            INSERT INTO function_invocation_rollups_late (function_id, hour)
            SELECT DISTINCT function_id, date_trunc('hour', timestamp)
            FROM (SELECT function_id, timestamp FROM gone UNION ALL SELECT function_id, timestamp FROM added) AS c
            WHERE timestamp < announced
                AND timestamp >= (SELECT kept_since FROM function_invocation_rollups_state);
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO function_invocation_rollups_late (function_id, hour)
            SELECT DISTINCT function_id, date_trunc('hour', timestamp) FROM gone
            WHERE timestamp < announced
                AND timestamp >= (SELECT kept_since FROM function_invocation_rollups_state);
        ELSE
            INSERT INTO function_invocation_rollups_late (function_id, hour)
            SELECT function_id, start FROM function_invocation_rollups
            WHERE level = 0 AND start >= (SELECT kept_since FROM function_invocation_rollups_state);
        END IF;
        RETURN NULL;
    END
    $mark$
"""
_TRIGGER = """
    CREATE OR REPLACE TRIGGER function_invocation_rollups_{event} AFTER {event} ON function_invocations
    {rows} FOR EACH STATEMENT EXECUTE FUNCTION function_invocation_rollups_mark()
"""
# What happens, and by which names the function has the rows.
_EVENTS = {
    "INSERT": "REFERENCING NEW TABLE AS added",
    "UPDATE": "REFERENCING OLD TABLE AS gone NEW TABLE AS added",
    "DELETE": "REFERENCING OLD TABLE AS gone",
    "TRUNCATE": "",
}
TRIGGERS = frozenset(f"function_invocation_rollups_{event.lower()}" for event in _EVENTS)
_SCHEMA = "SELECT QUOTE_IDENT(current_schema()) AS name"
_BODY = """
    SELECT prosrc AS body, (
        SELECT COUNT(*) FROM pg_trigger
        WHERE tgfoid = p.oid AND tgrelid = TO_REGCLASS('function_invocations') AND tgenabled IN ('O', 'A')
    ) AS triggers
    FROM pg_proc AS p WHERE oid = TO_REGPROC('function_invocation_rollups_mark')
"""

_LOCK = "SELECT one FROM function_invocation_rollups_state FOR UPDATE"
# Everybody sees a sequence's value at once, whatever his snapshot.
_ANNOUNCE = """
    SELECT (
        SELECT SETVAL('function_invocation_rollups_announced', GREATEST(last_value, @until))
        FROM function_invocation_rollups_announced
    ) AS announced, (
        SELECT SETVAL('function_invocation_rollups_frozen', GREATEST(last_value, @kept))
        FROM function_invocation_rollups_frozen
    ) AS frozen
"""
# Who writes a table holds a lock on it to the end of his transaction.
_WRITERS = """
    SELECT DISTINCT virtualtransaction AS transaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = TO_REGCLASS('function_invocations') AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""
_STILL_WRITING = """
    SELECT l.virtualtransaction AS transaction, a.pid, a.application_name, a.state, a.xact_start
    FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.relation = TO_REGCLASS('function_invocations') AND l.granted
        AND l.virtualtransaction IN @writers
    ORDER BY a.xact_start LIMIT 1
"""
_BEGINNING = datetime(1, 1, 1)
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.25


def tables(database: Database) -> tuple[str, ...]:
    reference = _REFERENCE if send_query(database, _HAS_FUNCTIONS)[0]["has_functions"] else ""
    return tuple(put_together(sql, reference=reference) for sql in _TABLES)


def triggers(database: Database) -> tuple[str, ...]:
    made = [put_together(_TRIGGER, event=event, rows=rows) for event, rows in _EVENTS.items()]
    return (_function(database), *made)


def has_triggers(database: Database) -> bool:
    found = send_query(database, _BODY)
    return bool(found) and found[0] == {"body": _function(database).split("$mark$")[1], "triggers": len(_EVENTS)}


def announce(database: Database, until: datetime, kept: datetime, wait: float) -> None:
    def tell(_connection: object) -> None:
        prepare(database, wait)
        send_command(database, _LOCK)
        send_query(database, _ANNOUNCE, {"until": _hours(until), "kept": _hours(kept)}, writes=True)

    database.run_transaction(tell, isolation="READ COMMITTED")
    writers = tuple(row["transaction"] for row in send_query(database, _WRITERS, writes=True))
    deadline = time.monotonic() + wait
    pause = _FIRST_PAUSE_SECONDS
    while writing := send_query(database, _STILL_WRITING, {"writers": writers}, writes=True):
        if time.monotonic() >= deadline:
            raise LockNotAvailableError(
                f"expected the transactions that were writing invocations to end within {wait:g} s; got "
                f"{_told(writing[0])} that goes on: end it, or count again later"
            )
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def prepare(database: Database, wait: float) -> None:
    milliseconds = max(1, round(wait * 1000))
    send_query(database, _SETTINGS, {"wait": str(milliseconds)}, writes=True)


def durations_of(row: Any) -> Iterable[tuple[int, int]]:
    return zip(row["durations"], row["counts"], strict=True)


def _function(database: Database) -> str:
    return put_together(_FUNCTION, schema=send_query(database, _SCHEMA)[0]["name"])


def _hours(moment: datetime) -> int:
    return round((moment.replace(tzinfo=None) - _BEGINNING).total_seconds()) // 3600


def _told(transaction: dict[str, Any]) -> str:
    if transaction["pid"] is None:
        return f"the prepared transaction {transaction['transaction']}"
    since = transaction["xact_start"]
    begun = "" if since is None else f" since {since:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"process {transaction['pid']} ({transaction['application_name'] or 'unnamed'}, {transaction['state']}){begun}"
    )
