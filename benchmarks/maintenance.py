"""A connection beside those that are measured: looks at what they wrote, and deletes it again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import psycopg2

from benchmarks.databases import BenchmarkDatabase


class Maintenance:
    """Reads and restores the tables of one database.

    Args:
        database: the database.
        functions: how many functions it holds; those with a higher id are new.
    """

    def __init__(self, database: BenchmarkDatabase, functions: int) -> None:
        self._is_sqlite = database.dialect == "sqlite"
        self._functions = functions
        self._connection: Any
        if self._is_sqlite:
            self._connection = sqlite3.connect(database.target, isolation_level=None)
        else:
            self._connection = psycopg2.connect(database.target)
            self._connection.autocommit = True

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def scalar(self, sql: str, *parameters: Any) -> Any:
        """Return the first value that a query with ``%s`` parameters gives, or ``None``."""
        cursor = self._connection.cursor()
        cursor.execute(sql.replace("%s", "?") if self._is_sqlite else sql, parameters)
        row = cursor.fetchone()
        cursor.close()
        return None if row is None else row[0]

    def sessions(self) -> list[int]:
        """Return the server's processes for all other sessions of this database; none for SQLite."""
        if self._is_sqlite:
            return []
        cursor = self._connection.cursor()
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        processes = [process for (process,) in cursor.fetchall()]
        cursor.close()
        return processes

    def restore(self, tables: Sequence[str]) -> None:
        """Delete the rows that a write has added, and what it has left behind."""
        for table in tables:
            if table == "functions":
                self._run("DELETE FROM functions WHERE id > ?", self._functions)
                if not self._is_sqlite:
                    self._run("VACUUM functions")
            elif self._is_sqlite:
                self._run(f"DELETE FROM {table}")  # noqa: S608
                self._run("DELETE FROM sqlite_sequence WHERE name = ?", table)
            else:
                self._run(f"TRUNCATE {table} RESTART IDENTITY")
        if self._is_sqlite and tables:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _run(self, sql: str, *parameters: Any) -> None:
        cursor = self._connection.cursor()
        cursor.execute(sql if self._is_sqlite else sql.replace("?", "%s"), parameters)
        cursor.close()
