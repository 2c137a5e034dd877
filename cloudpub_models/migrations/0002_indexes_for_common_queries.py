"""Indexes over several columns, one for each common way to look things up, and one for addresses in any case.

On PostgreSQL they are built CONCURRENTLY: nobody who reads or writes waits, but building takes longer, waits for
transactions that are older, and is no transaction. A run that was interrupted is run again: what it finished stays, and
what it left invalid is made anew. On SQLite it is one transaction, and other writers wait.
"""

from __future__ import annotations

from typing import Any

import peewee

atomic = False

INDEXES = {
    "users_lower_idx": "users (LOWER(email))",
    "functions_user_id_status_created_at_idx": "functions (user_id, status, created_at)",
    "function_deployments_status_id_idx": "function_deployments (status, id)",
    "function_logs_function_id_timestamp_id_level_idx": "function_logs (function_id, timestamp, id, level)",
    # Too long for PostgreSQL in full.
    "function_invocations_function_id_timestamp_id_status_durati_idx": (
        "function_invocations (function_id, timestamp, id, status, duration_ms)"
    ),
}

INVALID = """
    SELECT c.relname FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
    WHERE NOT x.indisvalid AND c.relnamespace = current_schema()::regnamespace
"""


def up(migrator: Any, db: Any) -> None:
    """Create them; those that somebody has made already stay."""
    concurrently = _concurrently(db)
    if concurrently:
        invalid = [name for (name,) in db.execute_sql(INVALID).fetchall() if name in INDEXES]
        # Building waits for older transactions without keeping anybody from anything, so it may wait long; the run
        # sets the session back.
        db.execute_sql("SET lock_timeout = 0")
        for name in invalid:
            db.execute_sql(f"DROP INDEX CONCURRENTLY {name}")
    for name, keys in INDEXES.items():
        db.execute_sql(f"CREATE INDEX {concurrently}IF NOT EXISTS {name} ON {keys}")


def down(migrator: Any, db: Any) -> None:
    """Drop them."""
    for name in INDEXES:
        db.execute_sql(f"DROP INDEX {_concurrently(db)}IF EXISTS {name}")


def _concurrently(db: Any) -> str:
    return "CONCURRENTLY " if isinstance(db, peewee.PostgresqlDatabase) else ""
