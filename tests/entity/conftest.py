"""Databases with the models' tables, as plain Peewee databases, bound for the test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import peewee
import pytest

from cloudpub_models.entity.binding import current_database
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.schema import create_all


@pytest.fixture(params=["sqlite", "postgresql"])
def bound(request: pytest.FixtureRequest) -> Iterator[peewee.Database]:
    """A database with the models' tables, which Peewee's calls in the test use."""
    if request.param == "sqlite":
        database: peewee.Database = peewee.SqliteDatabase(":memory:", pragmas={"foreign_keys": 1})
        with current_database.bound_to(database):
            create_all(database, ALL_MODELS)
            yield database
        database.close()
        return
    schema = f"test_{uuid.uuid4().hex}"
    uri = request.getfixturevalue("postgresql_server")
    database = peewee.PostgresqlDatabase(uri, options=f"-c search_path={schema} -c client_min_messages=warning")
    database.execute_sql(f"CREATE SCHEMA {schema}")
    with current_database.bound_to(database):
        create_all(database, ALL_MODELS)
        yield database
    database.execute_sql(f"DROP SCHEMA {schema} CASCADE")
    database.close()
