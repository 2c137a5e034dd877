"""Empty databases for the schema's tests, as plain Peewee databases: the schema room knows no other."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import peewee
import psycopg2
import pytest

from cloudpub_models.platform.component import component
from cloudpub_models.schema import Migrator

Connect = Callable[[], peewee.Database]


@pytest.fixture
def postgresql_schema(postgresql_server: str) -> Iterator[str]:
    """A schema of the test's own; making one takes far less than making a database."""
    name = f"test_{uuid.uuid4().hex}"
    with closing(psycopg2.connect(postgresql_server)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE SCHEMA {name}")
        yield name
        connection.cursor().execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all migrations applied, to be copied: applying them takes longer than most tests."""
    path = tmp_path_factory.mktemp("schema") / "migrated.db"
    with closing(peewee.SqliteDatabase(str(path), pragmas={"foreign_keys": 1})) as database:
        Migrator(database, component).up()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Connect:
    """A function that gives another connection to one database, which is empty unless ``migrated`` is asked for.

    It is a file on SQLite and a schema on PostgreSQL, or a copy of a migrated file or database.
    """
    copied = "migrated" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "test.db"
        if copied:
            shutil.copy(request.getfixturevalue("migrated_file"), path)
        return lambda: peewee.SqliteDatabase(str(path), pragmas={"foreign_keys": 1}, timeout=60)
    quiet = "-c client_min_messages=warning"
    if copied:
        url = request.getfixturevalue("postgresql_url")
        return lambda: peewee.PostgresqlDatabase(url, options=quiet)
    uri = request.getfixturevalue("postgresql_server")
    schema = request.getfixturevalue("postgresql_schema")
    # Schemas of one database share its advisory locks, which is what two migrators on one database do.
    return lambda: peewee.PostgresqlDatabase(uri, options=f"-c search_path={schema} {quiet}")


@pytest.fixture
def empty(connect: Connect) -> Iterator[peewee.Database]:
    """An empty database, open."""
    database = connect()
    database.connect()
    yield database
    if not database.is_closed():
        database.close()


@pytest.fixture
def migrated(empty: peewee.Database) -> peewee.Database:
    """A database with all migrations applied, open; ``connect`` has copied one."""
    return empty
