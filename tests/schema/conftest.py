"""Empty databases for the schema's tests, as plain Peewee databases: the schema room knows no other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import peewee
import psycopg2
import pytest

from cloudpub_models.platform.component import component

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


@pytest.fixture(params=["sqlite", "postgresql"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Connect:
    """A function that gives another connection to one empty database: a file on SQLite, a schema on PostgreSQL."""
    if request.param == "sqlite":
        return lambda: peewee.SqliteDatabase(str(tmp_path / "test.db"), pragmas={"foreign_keys": 1}, timeout=60)
    uri = request.getfixturevalue("postgresql_server")
    schema = request.getfixturevalue("postgresql_schema")
    # Schemas of one database share its advisory locks, which is what two migrators on one database do.
    return lambda: peewee.PostgresqlDatabase(uri, options=f"-c search_path={schema} -c client_min_messages=warning")


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
    """A database with all migrations applied."""
    from cloudpub_models.schema import Migrator

    Migrator(empty, component).up()
    return empty
