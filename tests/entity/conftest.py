"""Databases with the models' tables, as plain Peewee databases, bound for the test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, cast

import peewee
import pytest

from cloudpub_models.entity.binding import current_database
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.platform.component import component
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


@pytest.fixture(autouse=True)
def _no_relations_of_other_tests() -> Iterator[None]:
    """Leave out what refers to the platform's models since another test has defined it: it has no table here."""
    metas = [cast("Any", model._meta) for model in component.models]
    known = [dict(meta.backrefs) for meta in metas]
    for meta in metas:
        for key in [key for key in meta.backrefs if key.model not in component.models]:
            del meta.backrefs[key]
    yield
    for meta, backrefs in zip(metas, known, strict=True):
        meta.backrefs.update(backrefs)
