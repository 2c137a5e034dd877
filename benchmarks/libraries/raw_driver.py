"""The controls: psycopg2 and sqlite3 as one would write them by hand, returning plain tuples.

One cursor each, kept; every value as the driver gives it.
"""

# What each method is, `benchmarks.operations` says.
# ruff: noqa: D102

from __future__ import annotations

import io
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from benchmarks.data import COLUMNS, LOG_COLUMNS, Batch, copy_text, sqlite_text
from benchmarks.databases import SQLITE_PRAGMAS, BenchmarkDatabase
from benchmarks.library import Library, Types

FUNCTION = ", ".join(COLUMNS["functions"])
DEPLOYMENT = ", ".join(COLUMNS["function_deployments"])
INVOCATION = ", ".join(COLUMNS["function_invocations"])
LOG = ", ".join(LOG_COLUMNS)

FIND_BY_ID = f"SELECT {FUNCTION} FROM functions WHERE id = ?"  # noqa: S608
FIND_BY_UUID = f"SELECT {FUNCTION} FROM functions WHERE uuid = ?"  # noqa: S608
FIND_20 = f"SELECT {FUNCTION} FROM functions WHERE user_id = ? ORDER BY created_at DESC LIMIT 20"  # noqa: S608
FIND_1000 = f"SELECT {FUNCTION} FROM functions ORDER BY id"  # noqa: S608
INSERT = f"""INSERT INTO functions (user_id, name, status, analysis_result) VALUES (?, ?, ?, ?)
    RETURNING {FUNCTION}"""  # noqa: S608
UPDATE_BY_ID = f"UPDATE functions SET status = ?, updated_at = ? WHERE id = ? RETURNING {FUNCTION}"  # noqa: S608
UPSERT = f"""INSERT INTO functions (user_id, name, status, analysis_result, updated_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (user_id, name) DO UPDATE SET status = EXCLUDED.status, analysis_result = EXCLUDED.analysis_result,
    updated_at = EXCLUDED.updated_at RETURNING {FUNCTION}"""  # noqa: S608
COUNT = "SELECT COUNT(*) FROM functions WHERE user_id = ?"
EXISTS = "SELECT 1 FROM functions WHERE user_id = ? AND name = ? LIMIT 1"
FIRST_FUNCTIONS = f"SELECT {FUNCTION} FROM functions WHERE id <= ? ORDER BY id"  # noqa: S608
BUILDER = """SELECT f.name, f.created_at, u.email, ui.first_name, fd.version FROM functions f
    INNER JOIN users u ON f.user_id = u.id INNER JOIN user_information ui ON ui.user_id = u.uuid
    INNER JOIN function_deployments fd ON fd.function_id = f.id
    WHERE f.user_id = ? AND fd.is_active = ? ORDER BY f.created_at DESC LIMIT 20"""
ITERATE = f"SELECT {INVOCATION} FROM function_invocations WHERE id <= ?"  # noqa: S608

STREAM_CHUNK = 2000


class RawPostgresql(Library):
    """psycopg2."""

    name = "raw"
    title = "raw driver"
    package = "psycopg2-binary"
    is_control = True

    def open(self) -> None:
        self.types = Types(uuid=str)
        self.connection = psycopg2.connect(self.database.target)
        self.connection.autocommit = True
        # The driver's own defaults, said once more, on this connection: what a library registers for the whole process
        # must not change the control.
        self.connection.string_types[2950] = psycopg2.extensions.UNICODE
        psycopg2.extras.register_default_json(self.connection, loads=json.loads)
        psycopg2.extras.register_default_jsonb(self.connection, loads=json.loads)
        psycopg2.extensions.register_type(psycopg2.extensions.PYDATETIME, self.connection)
        self.cursor = self.connection.cursor()

    def close(self) -> None:
        self.connection.close()

    def find_by_id(self, id: int) -> Any:
        self.cursor.execute(_FIND_BY_ID, (id,))
        return self.cursor.fetchall()[0]

    def find_by_uuid(self, uuid: str) -> Any:
        self.cursor.execute(_FIND_BY_UUID, (uuid,))
        return self.cursor.fetchall()[0]

    def find_20(self, user_id: int) -> Any:
        self.cursor.execute(_FIND_20, (user_id,))
        return self.cursor.fetchall()

    def find_1000(self, argument: None) -> Any:
        self.cursor.execute(FIND_1000)
        return self.cursor.fetchall()

    def insert(self, row: dict[str, Any]) -> Any:
        values = (row["user_id"], row["name"], row["status"], psycopg2.extras.Json(row["analysis_result"]))
        self.cursor.execute(_INSERT, values)
        return self.cursor.fetchall()[0]

    def update_by_id(self, argument: tuple[int, dict[str, Any]]) -> Any:
        id, changes = argument
        self.cursor.execute(_UPDATE_BY_ID, (changes["status"], datetime.now(UTC).replace(tzinfo=None), id))
        return self.cursor.fetchall()[0]

    def upsert(self, row: dict[str, Any]) -> Any:
        document = psycopg2.extras.Json(row["analysis_result"])
        now = datetime.now(UTC).replace(tzinfo=None)
        self.cursor.execute(_UPSERT, (row["user_id"], row["name"], row["status"], document, now))
        return self.cursor.fetchall()[0]

    def count(self, user_id: int) -> Any:
        self.cursor.execute(_COUNT, (user_id,))
        return self.cursor.fetchall()[0][0]

    def exists(self, argument: tuple[int, str]) -> Any:
        self.cursor.execute(_EXISTS, argument)
        return bool(self.cursor.fetchall())

    def include(self, functions: int) -> Any:
        self.cursor.execute(_FIRST_FUNCTIONS, (functions,))
        rows = self.cursor.fetchall()
        self.cursor.execute(_DEPLOYMENTS, ([row[0] for row in rows],))
        self.grouped = _group(self.cursor.fetchall())
        return rows

    def included_deployments(self, function: Any) -> list[Any]:
        return self.grouped[function[0]]

    def builder(self, user_id: int) -> Any:
        self.cursor.execute(_BUILDER, (user_id, True))
        return self.cursor.fetchall()

    def batch_insert(self, batch: Batch) -> None:
        self.cursor.copy_expert(_COPY_LOGS, io.BytesIO(batch.copy_payload))

    batch_insert_large = batch_insert

    def batch_insert_returning(self, batch: Batch) -> None:
        # What comes nearest: as fast as one writes rows by hand, though nothing comes back.
        self.cursor.copy_expert(_COPY_LOGS, io.StringIO(copy_text(batch.rows)))

    def iterate(self, rows: int) -> Iterator[Any]:
        # A cursor on the server needs a transaction.
        self.connection.autocommit = False
        cursor = self.connection.cursor("benchmark_stream")
        cursor.itersize = STREAM_CHUNK
        cursor.execute(_ITERATE, (rows,))
        yield from cursor
        cursor.close()
        self.connection.rollback()
        self.connection.autocommit = True


class RawSqlite(Library):
    """sqlite3."""

    name = "raw"
    title = "raw driver"
    package = "sqlite3"
    is_control = True

    def open(self) -> None:
        self.types = Types(uuid=str, timestamp=str, json=str)
        self.connection = sqlite3.connect(self.database.target, isolation_level=None, cached_statements=512)
        for name, value in SQLITE_PRAGMAS.items():
            self.connection.execute(f"PRAGMA {name} = {value}")

    def close(self) -> None:
        self.connection.close()

    def find_by_id(self, id: int) -> Any:
        return self.connection.execute(FIND_BY_ID, (id,)).fetchall()[0]

    def find_by_uuid(self, uuid: str) -> Any:
        return self.connection.execute(FIND_BY_UUID, (uuid,)).fetchall()[0]

    def find_20(self, user_id: int) -> Any:
        return self.connection.execute(FIND_20, (user_id,)).fetchall()

    def find_1000(self, argument: None) -> Any:
        return self.connection.execute(FIND_1000).fetchall()

    def insert(self, row: dict[str, Any]) -> Any:
        values = (row["user_id"], row["name"], row["status"], json.dumps(row["analysis_result"]))
        return self.connection.execute(INSERT, values).fetchall()[0]

    def update_by_id(self, argument: tuple[int, dict[str, Any]]) -> Any:
        id, changes = argument
        values = (changes["status"], sqlite_text(datetime.now(UTC)), id)
        return self.connection.execute(UPDATE_BY_ID, values).fetchall()[0]

    def upsert(self, row: dict[str, Any]) -> Any:
        document = json.dumps(row["analysis_result"])
        values = (row["user_id"], row["name"], row["status"], document, sqlite_text(datetime.now(UTC)))
        return self.connection.execute(UPSERT, values).fetchall()[0]

    def count(self, user_id: int) -> Any:
        return self.connection.execute(COUNT, (user_id,)).fetchall()[0][0]

    def exists(self, argument: tuple[int, str]) -> Any:
        return bool(self.connection.execute(EXISTS, argument).fetchall())

    def include(self, functions: int) -> Any:
        rows = self.connection.execute(FIRST_FUNCTIONS, (functions,)).fetchall()
        marks = ", ".join("?" * len(rows))
        sql = f"SELECT {DEPLOYMENT} FROM function_deployments WHERE function_id IN ({marks}) ORDER BY id"  # noqa: S608
        self.grouped = _group(self.connection.execute(sql, [row[0] for row in rows]).fetchall())
        return rows

    def included_deployments(self, function: Any) -> list[Any]:
        return self.grouped[function[0]]

    def builder(self, user_id: int) -> Any:
        return self.connection.execute(BUILDER, (user_id, 1)).fetchall()

    def batch_insert(self, batch: Batch) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(
            _INSERT_LOG,
            [
                (row["function_id"], row["level"], row["message"], sqlite_text(row["timestamp"].astimezone(UTC)))
                for row in batch.rows
            ],
        )
        self.connection.execute("COMMIT")

    batch_insert_large = batch_insert
    batch_insert_returning = batch_insert

    def iterate(self, rows: int) -> Iterator[Any]:
        return iter(self.connection.execute(ITERATE, (rows,)))


def _group(deployments: list[tuple[Any, ...]]) -> dict[int, list[Any]]:
    grouped: dict[int, list[Any]] = defaultdict(list)
    for deployment in deployments:
        grouped[deployment[2]].append(deployment)
    return grouped


def _for_psycopg2(sql: str) -> str:
    return sql.replace("?", "%s")


_FIND_BY_ID = _for_psycopg2(FIND_BY_ID)
_FIND_BY_UUID = _for_psycopg2(FIND_BY_UUID)
_FIND_20 = _for_psycopg2(FIND_20)
_INSERT = _for_psycopg2(INSERT)
_UPDATE_BY_ID = _for_psycopg2(UPDATE_BY_ID)
_UPSERT = _for_psycopg2(UPSERT)
_COUNT = _for_psycopg2(COUNT)
_EXISTS = _for_psycopg2(EXISTS)
_FIRST_FUNCTIONS = _for_psycopg2(FIRST_FUNCTIONS)
_DEPLOYMENTS = f"SELECT {DEPLOYMENT} FROM function_deployments WHERE function_id = ANY(%s) ORDER BY id"  # noqa: S608
_BUILDER = _for_psycopg2(BUILDER)
_ITERATE = _for_psycopg2(ITERATE)
_COPY_LOGS = f"COPY function_logs ({LOG}) FROM STDIN"
_INSERT_LOG = f"INSERT INTO function_logs ({LOG}) VALUES (?, ?, ?, ?)"  # noqa: S608


def raw_driver(database: BenchmarkDatabase) -> Library:
    """Return the control for a database."""
    return RawSqlite(database) if database.dialect == "sqlite" else RawPostgresql(database)
