"""What both engines have: every method of an engine, abstract in fact, and what only one of them can, asked for."""

import sys

import pytest

from cloudpub_models.connection.engine import Engine
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.peewee_calls import PeeweeCalls
from cloudpub_models.errors import InvalidQueryError, UniqueViolationError


@pytest.mark.parametrize("kind", [Engine, PeeweeCalls])
def test_what_is_abstract_cannot_be_made(kind):
    with pytest.raises(TypeError, match="abstract"):
        kind("target", "url", Options())


def test_both_engines_run_a_statement_for_many_rows(database, managers, events):
    placeholder = database.engine.sql_dialect.placeholder
    insert = f"INSERT INTO users (email, password_hash) VALUES ({placeholder}, {placeholder})"
    assert database.engine.run_many(insert, ((f"{n}@b.c", "x") for n in range(3))) == 3
    assert managers.users.count() == 3
    with pytest.raises(UniqueViolationError):
        database.engine.run_many(insert, [("0@b.c", "x")])
    assert [(event.rows, event.parameters) for event in events if "INSERT" in event.sql] == [(3, ()), (None, ())]


@pytest.fixture
def events(database):
    told = []
    stop = database.on_query(told.append)
    yield told
    stop()


def test_copying_is_asked_for(database, backend):
    assert database.engine.copies_rows is (backend == "postgresql")
    if backend == "sqlite":
        with pytest.raises(InvalidQueryError, match=r"expected a database that copies rows; got SQLite: .*run_many"):
            database.engine.copy_rows("COPY users FROM STDIN", None)


def test_an_open_database_has_its_engine_without_a_call(database):
    engine = database.engine
    assert vars(database)["engine"] is engine
    stop = database.on_query(lambda event: None)
    assert vars(database)["engine"] is engine
    stop()
    database.close()
    assert "engine" not in vars(database)
    assert database.engine is not engine


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_warm_raw_query_passes_through_few_functions(database, managers, backend):
    managers.users.insert({"email": "a@b.c", "password_hash": "x"})
    passed = []

    def ask():
        return database.raw_query_all("SELECT id, email FROM users WHERE email = @email", {"email": "a@b.c"})

    assert ask() == [{"id": 1, "email": "a@b.c"}]
    sys.setprofile(lambda frame, event, _: event == "call" and passed.append(frame.f_code.co_qualname))
    try:
        ask()
    finally:
        sys.setprofile(None)
    # The last one is this test's own way out.
    assert len(passed) - 1 <= 14, passed
