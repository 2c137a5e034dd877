"""A database that says with every statement whose it is: what is told, before what, and as which values."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import Database
from cloudpub_models.connection.row_security import ToldDatabase
from cloudpub_models.connection.sender import SentStatement

WHO = "SELECT current_setting('cloudpub.owner_id', true) AS id"
NAMES = "SELECT %s AS a, '%%' AS b, current_setting('cloudpub.owner_id', true) AS id"


@pytest.fixture
def database(shared_postgresql_url: str) -> Any:
    database = Database(shared_postgresql_url)
    yield database
    database.close()


@pytest.mark.parametrize("value", ["7", "o'hara", "50 %", "back\\slash", "ü", ""])
def test_a_value_is_told_as_it_is(database: Database, value: str) -> None:
    told = ToldDatabase(database, {"cloudpub.owner_id": value})
    assert told.engine.attend(SentStatement(WHO, None, "fetch")) == [(value,)]
    assert told.engine.attend(SentStatement(NAMES, ("x",), "fetch")) == [("x", "%", value)]
    assert list(told.engine.attend(SentStatement(WHO, None, "stream", 10))) == [[(value,)]]
    assert list(told.engine.attend(SentStatement(NAMES, ("x",), "stream", 10))) == [[("x", "%", value)]]


def test_nothing_is_left_behind(database: Database) -> None:
    told = ToldDatabase(database, {"cloudpub.owner_id": "7"})
    with database.session():
        told.engine.attend(SentStatement(WHO, None, "fetch"))
        assert database.raw_query_single(WHO) in ({"id": ""}, {"id": None})
        with told.transaction():
            told.engine.attend(SentStatement(WHO, None, "fetch"))
            assert database.raw_query_single(WHO) == {"id": "7"}
        assert database.raw_query_single(WHO) == {"id": ""}
