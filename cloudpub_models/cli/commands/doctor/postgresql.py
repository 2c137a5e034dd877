"""Checks of a PostgreSQL database: versions, indexes, limits, time zone, encoding.

The server's counters say which indexes are used. They are believed only once they have counted for long enough, and
what a replica reads does not show in them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from cloudpub_models.cli.commands.doctor import partitions, tables
from cloudpub_models.cli.commands.doctor.verdicts import Check, Verdict, error, notice, ok, warning, with_versions
from cloudpub_models.connection import Database
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.reading import ReplicaStatus
from cloudpub_models.errors import CloudpubError, ConfigurationError
from cloudpub_models.history.postgresql import has_log
from cloudpub_models.platform.registry import Managers
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.definition import expected_catalogue
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.row_security import held_and_not

SUPPORTED_SERVERS = range(15, 19)
# Counters younger than this have not seen the weekly jobs.
LONG_ENOUGH = timedelta(days=7)
# For how long a replica may be behind what the primary had written when it was looked at first.
_SECONDS_TO_CATCH_UP = 1.0
# By how many connections a replica is looked at: a pooler that chooses among several shows itself by a few.
_LOOKS = 8
_NOTABLE_ROWS = 10_000
_LARGE_TABLE_ROWS = 100_000
_SCANS_WORTH_A_WORD = 100
_LARGEST_CLOCK_DIFFERENCE = timedelta(seconds=5)

# Since when the counters count; where they were never reset, at least since the server started.
_COUNTED_FOR = """
    SELECT clock_timestamp() - COALESCE(stats_reset, pg_postmaster_start_time()) AS counted_for
    FROM pg_stat_database WHERE datname = current_database()
"""
_INVALID_INDEXES = """
    SELECT i.relname::text AS index, c.relname::text AS table
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
    WHERE NOT x.indisvalid AND c.relnamespace = current_schema()::regnamespace ORDER BY 1
"""
_UNUSED_INDEXES = """
    SELECT s.indexrelname::text AS index, s.relname::text AS table, pg_relation_size(s.indexrelid) AS bytes
    FROM pg_stat_user_indexes s
    JOIN pg_index x ON x.indexrelid = s.indexrelid
    JOIN pg_stat_user_tables t ON t.relid = s.relid
    WHERE s.schemaname = current_schema() AND s.idx_scan = 0 AND NOT x.indisunique AND t.n_live_tup >= @rows
      AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = s.indexrelid)
    ORDER BY 3 DESC
"""
_SCANNED_TABLES = """
    SELECT relname::text AS table, seq_scan AS scans, n_live_tup AS rows
    FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND n_live_tup >= @rows AND seq_scan >= @scans
      AND seq_scan > 0.1 * COALESCE(idx_scan, 0)
    ORDER BY seq_tup_read DESC
"""
_NEVER_ANALYSED = """
    SELECT relname::text AS table, n_live_tup AS rows FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND n_live_tup >= @rows AND last_analyze IS NULL AND last_autoanalyze IS NULL
    ORDER BY 1
"""
# The time zone that a session begins with, and which setting says so: a role's comes before its database's.
_ZONE = """
    SELECT current_setting('TimeZone') AS zone, quote_literal(current_setting('TimeZone')) AS quoted,
           CASE source WHEN 'user' THEN format('ROLE %I', current_user)
                       WHEN 'database user' THEN format('ROLE %I IN DATABASE %I', current_user, current_database())
                       ELSE format('DATABASE %I', current_database()) END AS owner
    FROM pg_settings WHERE name = 'TimeZone'
"""
_NUMBERS_AHEAD = """
    SELECT count(DISTINCT transaction_id) AS transactions FROM changes
    WHERE transaction_id >= pg_snapshot_xmax(pg_current_snapshot())
"""
_LOCAL = ("timestamp", "timestamp(6)")
_NOW = ("now", "localtimestamp", "clock_timestamp", "statement_timestamp", "transaction_timestamp")
_LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def versions(database: Database) -> Iterator[Verdict]:
    """Say which versions work together here."""
    import psycopg2

    number = int(_setting(database, "server_version_num"))
    driver = str(psycopg2.__version__).split()[0]  # type: ignore[attr-defined]
    libpq = psycopg2.extensions.libpq_version()
    server = _setting(database, "server_version").split()[0]
    message = with_versions(f"PostgreSQL {server}, psycopg2 {driver} (libpq {libpq // 10000}.{libpq % 10000})")
    major, supported = number // 10000, f"PostgreSQL {SUPPORTED_SERVERS[0]} to {SUPPORTED_SERVERS[-1]}"
    if major < SUPPORTED_SERVERS[0]:
        yield error(message, f"upgrade the server: this package is made for {supported}")
    elif major > SUPPORTED_SERVERS[-1]:
        yield notice(message, f"this package was tested with {supported}: look for a later one")
    else:
        yield ok(message)


def invalid_indexes(database: Database) -> Iterator[Verdict]:
    """Find indexes that a build without end has left: they cost with each write and serve nothing."""
    quote = database.engine.sql_dialect.quote
    for row in database.raw_query_all(_INVALID_INDEXES):
        yield warning(
            f"{row['index']} on {row['table']} is invalid: CREATE INDEX CONCURRENTLY did not finish",
            f"REINDEX INDEX CONCURRENTLY {quote(row['index'])}; -- or drop it and run its migration again",
        )


def index_use(database: Database) -> Iterator[Verdict]:
    """Find indexes that nobody uses, and large tables that are often read from end to end."""
    row = database.raw_query_single(_COUNTED_FOR)
    counted_for: timedelta = row["counted_for"] if row else timedelta()
    if counted_for < LONG_ENOUGH:
        yield ok(
            f"the server has counted their use for {_duration(counted_for)}: too short to call one unused "
            f"({LONG_ENOUGH.days} days are enough)",
        )
        return
    wanted, quote = _indexes_of_the_models(database), database.engine.sql_dialect.quote
    found = False
    for row in database.raw_query_all(_UNUSED_INDEXES, {"rows": _NOTABLE_ROWS}):
        found = True
        advice = f"DROP INDEX CONCURRENTLY {quote(row['index'])}; -- unless a replica or a yearly job reads by it"
        if row["index"] in wanted:
            advice = "the models ask for it: keep it, unless a migration takes it out everywhere"
        yield notice(
            f"{row['index']} on {row['table']} ({row['bytes'] / 1e6:,.1f} MB) was not used in {_duration(counted_for)}",
            advice,
        )
    for row in database.raw_query_all(_SCANNED_TABLES, {"rows": _LARGE_TABLE_ROWS, "scans": _SCANS_WORTH_A_WORD}):
        found = True
        yield notice(
            f"{row['table']} (about {row['rows']:,} rows) was read from end to end {row['scans']:,} times in "
            f"{_duration(counted_for)}",
            "look for the query in pg_stat_statements or slow-query warnings: it may lack an index",
        )
    if not found:
        yield ok(f"all of notable size were used in {_duration(counted_for)}")


def never_analysed(database: Database) -> Iterator[Verdict]:
    """Find tables for which the planner has to guess."""
    quote = database.engine.sql_dialect.quote
    rows = database.raw_query_all(_NEVER_ANALYSED, {"rows": _NOTABLE_ROWS})
    for row in rows:
        yield notice(
            f"{row['table']} (about {row['rows']:,} rows) was never analysed: the planner guesses",
            f"ANALYZE {quote(row['table'])};",
        )
    if not rows:
        yield ok("the planner has seen every table of notable size")


def time_limits(database: Database) -> Iterator[Verdict]:
    """Say which limits hold for this library's connections, and which others lack."""
    defaults = Options()
    yield ok(
        "connections of this library have limits of their own, unless options say otherwise: "
        f"{defaults.statement_timeout:g} s for a statement, {defaults.lock_timeout:g} s for a lock, "
        f"{defaults.idle_in_transaction_timeout:g} s idle in a transaction",
    )
    with _without_settings(database) as others:
        values = {name: _setting(others, name) for name in _LIMITS}
    unlimited = [name for name, value in values.items() if value == "0"]
    if "idle_in_transaction_session_timeout" in unlimited:
        yield notice(
            f"other sessions of this role have no {' and no '.join(unlimited)}: one forgotten transaction keeps its "
            "locks, and dead rows from VACUUM",
            f"ALTER ROLE {_role(database)} SET idle_in_transaction_session_timeout = '60s';",
        )
    else:
        limits = ", ".join(f"{name} {value}" for name, value in values.items())
        yield ok(f"other sessions of this role: {limits}")


def time_zone(database: Database) -> Iterator[Verdict]:
    """Compare the server's clock and time zone with what the schema expects, and find defaults of local time."""
    with _without_settings(database) as others:
        row = others.raw_query_single(_ZONE)
    assert row is not None
    if row["zone"].upper() in ("UTC", "ETC/UTC", "GMT", "ETC/GMT", "UCT", "ZULU", "ETC/UCT", "ETC/ZULU"):
        yield ok(f"{row['zone']}, for other sessions too")
    else:
        yield warning(
            f"other sessions of this role are in {row['zone']}: their now() in a TIMESTAMP column is local time, which "
            "this library reads as UTC (its own connections and the columns' defaults are UTC)",
            f"ALTER {row['owner']} SET timezone = 'UTC'; -- sessions that are open keep theirs",
        )
        yield from _local_times(database, row["zone"], row["quoted"])
    before = datetime.now(UTC)
    row = database.raw_query_single("SELECT clock_timestamp() AS now")
    after = datetime.now(UTC)
    assert row is not None
    difference = max(before - row["now"], row["now"] - after, timedelta())
    if difference > _LARGEST_CLOCK_DIFFERENCE:
        yield warning(
            f"the clocks of server and client are {_duration(difference)} apart: rows that both write are out of order",
            "synchronise both with NTP",
        )


def _local_times(database: Database, zone: str, quoted_zone: str) -> Iterator[Verdict]:
    """Find columns of the models whose default is the local time of whoever inserts."""
    quote = database.engine.sql_dialect.quote
    names = [model._meta.table_name for model in database.models]
    for table in read_catalogue(database.engine, names).tables.values():
        columns = [each.name for each in table.columns.values() if each.type in _LOCAL and each.default in _NOW]
        if columns:
            name, quoted = quote(table.name), [quote(column) for column in columns]
            defaults = ", ".join(f"ALTER COLUMN {column} SET DEFAULT timezone('utc', now())" for column in quoted)
            moved = ", ".join(f"{each} = {each} AT TIME ZONE {quoted_zone} AT TIME ZONE 'UTC'" for each in quoted)
            yield warning(
                f"{table.name}: the default of {', '.join(columns)} is the local time of the session: rows that "
                f"sessions in {zone} insert are off by its distance from UTC",
                # Triggers would set updated_at; the lock keeps everybody from inserting meanwhile.
                f"BEGIN; ALTER TABLE {name} DISABLE TRIGGER USER, {defaults}; UPDATE {name} SET {moved}; "  # noqa: S608 - quoted
                f"ALTER TABLE {name} ENABLE TRIGGER USER; COMMIT; -- moves all rows that are there to UTC: only if "
                f"they were all written in {zone}, none of them by this library",
            )


def encoding(database: Database) -> Iterator[Verdict]:
    """Look at the database's encoding, and at a collation that has changed below its indexes."""
    found = _setting(database, "server_encoding")
    if found == "UTF8":
        yield ok("UTF8")
    else:
        yield warning(
            f"the database's encoding is {found}: text that it does not know is refused, or kept unchecked",
            "dump, CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, restore",
        )
    row = database.raw_query_single(
        "SELECT quote_ident(datname) AS name, "
        "datcollversion AS made, pg_database_collation_actual_version(oid) AS now "
        "FROM pg_database WHERE datname = current_database()"
    )
    if row and row["made"] and row["now"] and row["made"] != row["now"]:
        yield warning(
            f"the operating system's collation went from version {row['made']} to {row['now']}: indexes over text may "
            "be in the wrong order and miss rows",
            f"REINDEX DATABASE CONCURRENTLY {row['name']}; ALTER DATABASE {row['name']} REFRESH COLLATION VERSION;",
        )


def restored_log(database: Database) -> Iterator[Verdict]:
    """Find a log of changes that another server has written: its transactions have that server's numbers."""
    if not has_log(database.engine):
        return
    row = database.raw_query_single(_NUMBERS_AHEAD)
    if row and row["transactions"]:
        yield error(
            f"the log has {row['transactions']:,} transactions with numbers that this server has yet to give out: it "
            "was restored from another one; feeds leave them out, and transactions to come will share their numbers",
            "cloudpub history off, then TRUNCATE changes, outbox, then cloudpub history on: the log begins anew",
        )


def row_security(database: Database) -> Iterator[Verdict]:
    """Find tables that row security does not hold, where it holds the rows that own theirs."""
    held, unheld = held_and_not(database.engine, database.models)
    for each in unheld:
        owner = "" if each.owner == "users" else f" --owner {each.owner}"
        why = "its policy is not in force" if each.has_policy else "it was made after cloudpub guard on"
        yield warning(
            f"row security does not hold {each.table} to its owners, of {each.owner}: {why}",
            f"cloudpub guard on{owner}, as the role of the program",
        )
    if held and not unheld:
        yield ok(f"holds the rows of {len(held)} tables to their owners")


def replicas(database: Database) -> Iterator[Verdict]:
    """Say which read replicas may answer reads, and why others do not."""
    try:
        statuses = _seen_by_turns(database)
    except ConfigurationError as failure:
        yield error(str(failure), "until then no program that names it in replicas= can read")
        return
    for status in statuses:
        if status.usable and status.lag_seconds is not None:
            yield ok(f"{status.url} may answer: what it shows is at most {status.lag_seconds:.1f} s old")
        else:
            yield warning(f"{status.url} is not used: {status.reason}", "until then the primary answers in its place")


def _seen_by_turns(database: Database) -> list[ReplicaStatus]:
    """Look at the replicas by one connection after the other, until they have caught up or one cannot be used."""
    until = time.monotonic() + _SECONDS_TO_CATCH_UP
    for look in itertools.count(1):
        statuses = database.replicas()
        behind = [status for status in statuses if status.position is not None and status.lag_seconds is None]
        unusable = [status for status in statuses if not status.usable and status not in behind]
        if unusable or (look >= _LOOKS and (not behind or time.monotonic() > until)):
            break
        for engine in database.engine.replica_engines():
            engine.dispose_all()
        time.sleep(_SECONDS_TO_CATCH_UP / 100)
    return statuses


def cells(database: Database) -> Iterator[Verdict]:
    """Say whether the servers of history are there and prepared, and have the rows that they should have."""
    if not database.history_servers:
        return
    try:
        found = Managers(database).cells
        faults, servers = found.faults(), found.servers()
    except CloudpubError as failure:
        yield error(str(failure), "until then no program reads or writes logs and invocations")
        return
    for fault in faults:
        yield warning(fault, "see whether cloudpub cells move 0 --to NUMBER ends it; docs/CELLS.md")
    for server in database.history_servers:
        pending = Migrator(server.engine, database.components).pending()
        if pending:
            yield error(f"{server.url} lacks migrations: {', '.join(pending)}", "migrate it behind the main database")
    if not faults:
        yield ok(f"{len(servers)} servers have the rows that they should have")


def size_of_log(database: Database) -> Iterator[Verdict]:
    """Say how large the log of changes and the outbox are."""

    def size(table: str) -> int:
        row = database.raw_query_single("SELECT pg_total_relation_size(to_regclass(@name)) AS n", {"name": table})
        return int(row["n"]) if row else 0

    whole = database.raw_query_single("SELECT pg_database_size(current_database()) AS n")
    yield from tables.size_of_log(database, size, whole["n"] if whole else 0)


CHECKS: tuple[Check, ...] = (
    ("replicas", replicas),
    ("cells", cells),
    ("history", restored_log),
    ("history", size_of_log),
    ("row security", row_security),
    ("partitions", partitions.ahead),
    ("partitions", partitions.unfinished),
    ("numbers", partitions.numbers),
    ("indexes", invalid_indexes),
    ("indexes", index_use),
    ("statistics", never_analysed),
    ("time-outs", time_limits),
    ("time zone", time_zone),
    ("encoding", encoding),
)


@contextmanager
def _without_settings(database: Database) -> Iterator[Database]:
    """Give a connection on which this library sets nothing, as other programs have it."""
    others = Database(database.engine.database, transaction_pooler=True, application_name="cloudpub command")
    try:
        yield others
    finally:
        others.close()


def _indexes_of_the_models(database: Database) -> set[str]:
    tables = expected_catalogue(database.engine.sql_dialect, database.models).tables.values()
    return {index.name for table in tables for index in table.indexes}


def _setting(database: Database, name: str) -> str:
    row = database.raw_query_single("SELECT current_setting(@name) AS value", {"name": name})
    assert row is not None
    return str(row["value"])


def _role(database: Database) -> str:
    row = database.raw_query_single("SELECT quote_ident(current_user) AS name")
    assert row is not None
    return str(row["name"])


def _duration(time: timedelta) -> str:
    if time.days:
        return f"{time.days} day{'s' if time.days > 1 else ''}"
    hours, minutes = time.seconds // 3600, time.seconds // 60
    if hours:
        return f"{hours} h"
    return f"{minutes} min" if minutes else f"{time.seconds} s"
