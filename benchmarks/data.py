"""The rows that every library works on: the same for each, made from a fixed seed, in three sizes."""

from __future__ import annotations

import json
import random
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

import psycopg2
import psycopg2.extras

from benchmarks.databases import BenchmarkDatabase

SEED = 4
START = datetime(2026, 1, 1, tzinfo=UTC)

COLUMNS: dict[str, tuple[str, ...]] = {
    "users": ("id", "uuid", "email", "password_hash", "created_at", "updated_at"),
    "user_information": ("uuid", "user_id", "first_name", "last_name", "role"),
    "functions": (
        "id",
        "uuid",
        "user_id",
        "name",
        "status",
        "active_deployment_id",
        "analysis_result",
        "created_at",
        "updated_at",
    ),
    "function_deployments": (
        "id",
        "uuid",
        "function_id",
        "version",
        "image_tag",
        "s3_key",
        "status",
        "is_active",
        "build_logs",
        "deployed_at",
    ),
    "function_logs": ("id", "uuid", "function_id", "level", "message", "timestamp"),
    "function_invocations": ("id", "uuid", "function_id", "status", "duration_ms", "error", "timestamp"),
}
"""The columns that the benchmark reads or fills, in the order of the raw driver's tuples."""


@dataclass(frozen=True)
class Scale:
    """How much work an operation is."""

    name: str
    users: int
    functions_per_user: int
    functions_with_deployments: int
    batch_rows: int
    large_batch_rows: int
    streamed_rows: int
    paged_rows: int
    page_size: int
    last_page: int

    @property
    def functions(self) -> int:
        """How many functions there are."""
        return self.users * self.functions_per_user


DEPLOYMENTS_PER_FUNCTION = 5

SCALES = {
    scale.name: scale
    for scale in (
        Scale("normal", 50, 20, 100, 10_000, 100_000, 200_000, 1_000_000, 50, 5_000),
        Scale("tiny", 5, 20, 10, 50, 100, 300, 1_000, 10, 20),
    )
}


@dataclass(frozen=True)
class Batch:
    """Rows to insert at once, as dicts for the libraries and as a finished COPY payload for the control."""

    rows: Sequence[dict[str, Any]]
    copy_payload: bytes

    @cached_property
    def naive_rows(self) -> list[dict[str, Any]]:
        """The rows for libraries that take UTC without saying so; what converting costs is spared them."""
        return [row | {"timestamp": row["timestamp"].replace(tzinfo=None)} for row in self.rows]


class Data:
    """The rows of one scale. Ids count from 1 in the order of the rows."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self._random = random.Random(SEED)
        self.users = [self._user(number) for number in range(1, scale.users + 1)]
        self.user_information = [self._information(user) for user in self.users]
        self.functions = [self._function(number) for number in range(1, scale.functions + 1)]
        self.function_deployments = [
            self._deployment(function["id"], version)
            for function in self.functions
            for version in range(1, DEPLOYMENTS_PER_FUNCTION + 1)
        ]

    @cached_property
    def batch(self) -> Batch:
        """Log lines for one batch insert."""
        return self._batch(self.scale.batch_rows)

    @cached_property
    def large_batch(self) -> Batch:
        """Log lines for one large batch insert."""
        return self._batch(self.scale.large_batch_rows)

    def analysis_result(self, number: int) -> dict[str, Any]:
        """Return what a build found out about a function: some two hundred bytes of nested JSON."""
        return {
            "runtime": "python3.11",
            "entry": f"handlers/handler_{number}.py",
            "dependencies": ["requests==2.32", "pydantic==2.14", f"internal-{number % 7}==1.0"],
            "memory_mb": 128 * (1 + number % 8),
            "warnings": [],
            "scores": {"security": number % 100 / 100, "size": 0.75, "passed": True},
        }

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _user(self, number: int) -> dict[str, Any]:
        moment = START + timedelta(hours=number)
        return {
            "id": number,
            "uuid": self._uuid(),
            "email": f"user{number}@example.org",
            "password_hash": "$argon2id$v=19$m=65536$" + "x" * 40,
            "created_at": moment,
            "updated_at": moment,
        }

    def _information(self, user: dict[str, Any]) -> dict[str, Any]:
        return {
            "uuid": self._uuid(),
            "user_id": user["uuid"],
            "first_name": f"First{user['id']}",
            "last_name": "Last",
            "role": "developer",
        }

    def _function(self, number: int) -> dict[str, Any]:
        moment = START + timedelta(minutes=number, microseconds=number)
        return {
            "id": number,
            "uuid": self._uuid(),
            "user_id": 1 + (number - 1) % self.scale.users,
            "name": f"function-{number}",
            "status": "active",
            "active_deployment_id": None,
            "analysis_result": self.analysis_result(number),
            "created_at": moment,
            "updated_at": moment + timedelta(days=1),
        }

    def _deployment(self, function_id: int, version: int) -> dict[str, Any]:
        return {
            "id": (function_id - 1) * DEPLOYMENTS_PER_FUNCTION + version,
            "uuid": self._uuid(),
            "function_id": function_id,
            "version": version,
            "image_tag": f"registry.example.org/function-{function_id}:{version}",
            "s3_key": f"builds/{function_id}/{version}.tar.gz",
            "status": "deployed",
            "is_active": version == DEPLOYMENTS_PER_FUNCTION,
            "build_logs": None if version % 2 else f"built in {version} s",
            "deployed_at": START + timedelta(days=2, minutes=function_id, seconds=version),
        }

    def _batch(self, size: int) -> Batch:
        rows = [
            {
                "function_id": 1 + number % self.scale.functions,
                "level": ("info", "debug", "warning", "error")[number % 4],
                "message": f"request {number} handled in {number % 977} ms by worker-{number % 13}",
                "timestamp": START + timedelta(seconds=number, microseconds=number % 1_000_000),
            }
            for number in range(size)
        ]
        return Batch(rows, copy_text(rows).encode())


LOG_COLUMNS = ("function_id", "level", "message", "timestamp")
"""The columns of a log line that a program knows; id and uuid are left to the database."""


def copy_text(rows: Iterable[dict[str, Any]]) -> str:
    """Return log lines in COPY's text format, as one would write it by hand for messages from anywhere."""
    lines = []
    for row in rows:
        message = row["message"].replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
        moment = row["timestamp"].astimezone(UTC).replace(tzinfo=None)
        lines.append(f"{row['function_id']}\t{row['level']}\t{message}\t{moment}\n")
    return "".join(lines)


def sqlite_text(moment: datetime) -> str:
    """Return a timestamp as the schema keeps it on SQLite: always 26 characters, in UTC."""
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


TABLES = ("users", "user_information", "functions", "function_deployments")


def load(database: BenchmarkDatabase, data: Data) -> None:
    """Fill the migrated tables of a database."""
    for table in TABLES:
        rows = [tuple(row[name] for name in COLUMNS[table]) for row in getattr(data, table)]
        if database.dialect == "sqlite":
            _load_sqlite(database, table, rows)
        else:
            _load_postgresql(database, table, rows)
    _analyze(database)


def _load_sqlite(database: BenchmarkDatabase, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    names, marks = ", ".join(COLUMNS[table]), ", ".join("?" * len(COLUMNS[table]))
    connection = sqlite3.connect(database.target)
    connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", _for_sqlite(rows))  # noqa: S608
    connection.commit()
    connection.close()


def _load_postgresql(database: BenchmarkDatabase, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    connection = psycopg2.connect(database.target)
    with connection, connection.cursor() as cursor:
        psycopg2.extras.execute_values(
            cursor,
            f"INSERT INTO {table} ({', '.join(COLUMNS[table])}) VALUES %s",  # noqa: S608
            [tuple(_for_postgresql(value) for value in row) for row in rows],
        )
        if "id" in COLUMNS[table]:
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (table, len(rows)))
    connection.close()


def load_invocations(database: BenchmarkDatabase, scale: Scale, total: int) -> None:
    """Bring the table of invocations to a number of rows; the database makes them itself."""
    if database.dialect == "sqlite":
        connection: Any = sqlite3.connect(database.target)
        have = connection.execute("SELECT COUNT(*) FROM function_invocations").fetchone()[0]
        connection.execute(_SQLITE_INVOCATIONS, (have, total, scale.functions, int(START.timestamp())))
        connection.commit()
    else:
        connection = psycopg2.connect(database.target)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM function_invocations")
            have = cast("tuple[int]", cursor.fetchone())[0]
            cursor.execute(_POSTGRESQL_INVOCATIONS, (scale.functions, START.replace(tzinfo=None), have + 1, total))
    connection.close()
    _analyze(database)


_POSTGRESQL_INVOCATIONS = """
INSERT INTO function_invocations (function_id, status, duration_ms, error, timestamp)
SELECT 1 + n %% %s, CASE WHEN n %% 10 = 0 THEN 'failed' ELSE 'success' END, n %% 977,
    CASE WHEN n %% 10 = 0 THEN 'timeout after ' || n %% 977 || ' ms' END, %s + n * interval '1 second'
FROM generate_series(%s, %s) AS n
"""

_SQLITE_INVOCATIONS = """
WITH RECURSIVE numbers (n) AS (SELECT ?1 + 1 WHERE ?1 < ?2 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)
INSERT INTO function_invocations (function_id, status, duration_ms, error, timestamp)
SELECT 1 + n % ?3, CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'success' END, n % 977,
    CASE WHEN n % 10 = 0 THEN 'timeout after ' || n % 977 || ' ms' END,
    strftime('%Y-%m-%d %H:%M:%S', ?4 + n, 'unixepoch') || '.000000'
FROM numbers
"""


def _analyze(database: BenchmarkDatabase) -> None:
    if database.dialect == "sqlite":
        connection: Any = sqlite3.connect(database.target)
        connection.execute("ANALYZE")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        connection = psycopg2.connect(database.target)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")
            cursor.execute("CHECKPOINT")
    connection.close()


def _for_sqlite(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield tuple(
            json.dumps(value)
            if isinstance(value, dict)
            else sqlite_text(value)
            if isinstance(value, datetime)
            else value
            for value in row
        )


def _for_postgresql(value: Any) -> Any:
    if isinstance(value, dict):
        return psycopg2.extras.Json(value)
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
