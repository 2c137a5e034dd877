"""Rollups on SQLite, where one writes at a time: what is counted is all that there is.

The triggers call no function of Python's, since other programs write the table too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cloudpub_models.connection import Database
from cloudpub_models.manager.sending import send_query
from cloudpub_models.sql.dialects import SQLITE
from cloudpub_models.sql.render.handwritten import in_words_of, put_together

PARTS = {
    "histogram": "durations",
    # Of rows that each have a duration and how many there are of it.
    "collected": "JSON_GROUP_OBJECT(CAST(kept AS TEXT), number) FILTER (WHERE kept IS NOT NULL)",
    "spread": ", JSON_EACH(p.durations) AS h",
    "spread_kept": "CAST(h.key AS INTEGER)",
    "spread_number": "h.value",
    # That of one row.
    "single": "CASE WHEN duration_ms IS NULL THEN '{}' ELSE JSON_OBJECT(CAST(kept AS TEXT), 1) END AS durations",
    "replaced": "durations = excluded.durations",
    "no_histogram": "NULL",
    "larger": "MAX",
    # There are no partitions, and it might look for these in place of the closer limits.
    "uncounted_when": "",
    "late_when": "",
    "locked": "",
    "or_all": "",
}

IS_THERE = "SELECT COUNT(*) AS is_there FROM sqlite_master WHERE name = 'function_invocation_rollups_state'"
_TABLES = (
    """
    CREATE TABLE function_invocation_rollups (
        function_id INTEGER NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
        level INTEGER NOT NULL,
        start TEXT NOT NULL,
        total INTEGER NOT NULL,
        successful INTEGER NOT NULL,
        timed INTEGER NOT NULL,
        duration INTEGER NOT NULL,
        minimum INTEGER,
        maximum INTEGER,
        latest TEXT NOT NULL,
        durations TEXT NOT NULL,
        PRIMARY KEY (function_id, level, start)
    )
    """,
    """
    CREATE TABLE function_invocation_rollups_late (
        function_id INTEGER NOT NULL,
        hour TEXT NOT NULL,
        successful INTEGER,
        duration_ms INTEGER,
        timestamp TEXT
    )
    """,
    "CREATE INDEX function_invocation_rollups_late_idx ON function_invocation_rollups_late (function_id, hour)",
    """
    CREATE TABLE function_invocation_rollups_state (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        counted_until TEXT NOT NULL,
        kept_since TEXT NOT NULL
    )
    """,
    """
    INSERT INTO function_invocation_rollups_state
    VALUES (1, '0001-01-01 00:00:00.000000', '0001-01-01 00:00:00.000000')
    """,
)

# One mark for an hour is enough, since nobody writes while somebody counts.
_MARK = """
            INSERT INTO function_invocation_rollups_late (function_id, hour)
            SELECT {row}.function_id, HOUR_OF({row}.timestamp) FROM function_invocation_rollups_state
            WHERE {row}.timestamp >= kept_since AND {row}.timestamp < counted_until AND NOT EXISTS (
                SELECT 1 FROM function_invocation_rollups_late
                WHERE function_id = {row}.function_id AND hour = HOUR_OF({row}.timestamp)
            );"""
_TRIGGERS = {
    "function_invocation_rollups_insert": """
        CREATE TRIGGER function_invocation_rollups_insert AFTER INSERT ON function_invocations
        WHEN NEW.timestamp < (SELECT counted_until FROM function_invocation_rollups_state)
        BEGIN{mark_of_new}
            INSERT INTO function_invocation_rollups_late
            SELECT NEW.function_id, HOUR_OF(NEW.timestamp), NEW.status = 'success', NEW.duration_ms, NEW.timestamp
            WHERE NEW.timestamp < (SELECT kept_since FROM function_invocation_rollups_state);
        END
    """,
    "function_invocation_rollups_update": """
        CREATE TRIGGER function_invocation_rollups_update
        AFTER UPDATE OF function_id, timestamp, status, duration_ms ON function_invocations
        BEGIN{mark_of_old}{mark_of_new}
        END
    """,
    "function_invocation_rollups_delete": """
        CREATE TRIGGER function_invocation_rollups_delete AFTER DELETE ON function_invocations
        BEGIN{mark_of_old}
        END
    """,
}
_DROPPING_TRIGGERS = tuple(f"DROP TRIGGER IF EXISTS {name}" for name in _TRIGGERS)
DROPPING = (
    *_DROPPING_TRIGGERS,
    "DROP TABLE function_invocation_rollups_late",
    "DROP TABLE function_invocation_rollups_state",
    "DROP TABLE function_invocation_rollups",
)
_MADE = """
    SELECT name, sql FROM sqlite_master
    WHERE type = 'trigger' AND tbl_name = 'function_invocations' AND name LIKE 'function_invocation_rollups_%'
"""


def tables(database: Database) -> tuple[str, ...]:
    return _TABLES


def triggers(database: Database) -> tuple[str, ...]:
    return (*_DROPPING_TRIGGERS, *_made().values())


def has_triggers(database: Database) -> bool:
    found = {row["name"]: row["sql"] for row in send_query(database, _MADE)}
    return found == {name: sql.strip() for name, sql in _made().items()}


def announce(database: Database, until: datetime, kept: datetime, wait: float) -> None:
    """Do nothing: nobody else writes while somebody counts."""


def prepare(database: Database, wait: float) -> None:
    """Do nothing: transactions have no settings."""


def durations_of(row: Any) -> Iterable[tuple[int, int]]:
    durations: dict[str, int] = json.loads(row["durations"])
    return zip(map(int, durations), durations.values(), strict=True)


def _made() -> dict[str, str]:
    marks = {f"mark_of_{row.lower()}": put_together(_MARK, row=row) for row in ("OLD", "NEW")}
    return {name: in_words_of(SQLITE, put_together(sql, **marks)) for name, sql in _TRIGGERS.items()}
