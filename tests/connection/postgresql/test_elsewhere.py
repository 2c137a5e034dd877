"""An engine refuses each statement, by whatever way it comes, that names a table whose rows another database has."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from cloudpub_models import Database, errors
from cloudpub_models.connection.opening import Elsewhere
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.postgresql import open_engine
from cloudpub_models.connection.postgresql.elsewhere import KeptApartEngine, kept_apart
from cloudpub_models.connection.postgresql.engine import PostgresqlEngine
from cloudpub_models.connection.sender import SentStatement
from cloudpub_models.connection.url import parse_url

SQL = "SELECT id FROM function_logs"


@pytest.fixture(params=[{}, {"prepared": True}], ids=["plain", "prepared"])
def engine(request: pytest.FixtureRequest, shared_postgresql_url: str) -> Iterator[KeptApartEngine]:
    url = parse_url(shared_postgresql_url)
    elsewhere = Elsewhere(frozenset({"function_logs"}), "look there")
    engine = open_engine(url, Options(**request.param), elsewhere)
    assert isinstance(engine, KeptApartEngine)
    yield engine
    engine.retire()
    engine.dispose_all()


@pytest.mark.parametrize(
    "send",
    [
        lambda engine: engine.attend(SentStatement(SQL, None, "fetch")),
        lambda engine: engine.attend_raw(SentStatement(SQL, None, "fetch")),
        lambda engine: engine.fetch(SQL, None),
        lambda engine: engine.fetch_undecoded(SQL, None),
        lambda engine: engine.fetch_described(SQL, None),
        lambda engine: engine.perform(SQL, None),
        lambda engine: engine.run(SQL, None),
        lambda engine: engine.run_many(SQL, [()]),
        lambda engine: engine.copy_rows("COPY function_logs (id) FROM STDIN", None),
        lambda engine: engine.stream(SQL, None, 1),
        lambda engine: engine.stream_described(SQL, None, 1),
        lambda engine: engine.execute_cursor(SQL, None),
        lambda engine: engine.execute_sql(SQL),
    ],
)
def test_no_way_leads_past_it(send: Callable[[Any], Any], engine: KeptApartEngine) -> None:
    with pytest.raises(errors.InvalidQueryError, match=r"got one that names function_logs: look there"):
        send(engine)
    assert engine.fetch("SELECT COUNT(*) FROM functions", None) == [(0,)]
    with engine.with_all_tables():
        assert engine.fetch(SQL, None) == []
    with pytest.raises(errors.InvalidQueryError):
        engine.fetch(SQL, None)


class Text(io.BytesIO):
    """Rows in COPY's text format."""

    failures: ClassVar[list[BaseException]] = []


def test_every_way_gives_of_its_own_tables_what_it_gives_otherwise(engine: KeptApartEngine) -> None:
    insert = "INSERT INTO users (email, password_hash) VALUES (%s, 'x')"
    assert engine.run_many(insert, [("a@b.c",), ("b@b.c",)]) == 2
    assert engine.run(insert, ("c@b.c",)) == 1
    assert engine.copy_rows("COPY users (email, password_hash) FROM STDIN", Text(b"d@b.c\tx\n")) == 1
    found, sql = [(f"{letter}@b.c",) for letter in "abcd"], "SELECT email FROM users ORDER BY email"
    assert engine.fetch(sql, None) == found
    assert engine.fetch_undecoded(sql, None)[1] == found
    assert engine.fetch_described(sql, None) == (["email"], found)
    assert (engine.perform(sql, None).names, engine.perform(sql, None).rows) == (["email"], found)
    assert [*engine.stream(sql, None, 3)] == [found[:3], found[3:]]
    assert [*engine.stream_described(sql, None, 3)] == [(["email"], found[:3]), (["email"], found[3:])]
    assert engine.execute_cursor(sql, None).fetchall() == engine.execute_sql(sql).fetchall() == found


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'function_logs'",
        "SELECT 1 AS function_logs_too",
        "SELECT 1 -- function_logs",
        "SELECT 1 /* function_logs */",
        "SELECT $$ function_logs $$",
    ],
)
def test_texts_are_no_names(sql: str, engine: KeptApartEngine) -> None:
    assert len(engine.fetch(sql, None)) == 1


@pytest.mark.parametrize(
    "sql", ['SELECT 1 FROM "function_logs"', "SELECT 1 FROM Function_Logs", "SELECT 1 FROM public.function_logs AS l"]
)
def test_names_are_names_however_they_are_written(sql: str, engine: KeptApartEngine) -> None:
    with pytest.raises(errors.InvalidQueryError, match="names function_logs"):
        engine.fetch(sql, None)


def test_there_is_one_kind_for_each_kind() -> None:
    assert kept_apart(PostgresqlEngine) is kept_apart(PostgresqlEngine)
    assert issubclass(kept_apart(PostgresqlEngine), PostgresqlEngine)


def test_a_database_that_has_all_its_rows_has_no_such_engine(shared_postgresql_url: str) -> None:
    database = Database(shared_postgresql_url)
    assert type(database.engine) is PostgresqlEngine
    database.close()


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("sqlite:///:memory:", {"history": ["postgresql://h1/x"]}, "expected PostgreSQL, to have history on several"),
        (
            "postgresql://main/x",
            {"history": ["sqlite:///x.db"]},
            r"PostgreSQL servers in history=; got 'sqlite:///x.db'",
        ),
        ("postgresql://main/x", {"history": "postgresql://h1/x"}, "a list of URLs for the database option history"),
        ("postgresql://main/x", {"history": ["nonsense"]}, "got 'nonsense'"),
        (
            "postgresql://main/x",
            {"history": ["postgresql://h1/x"], "row_security": True},
            "history= or row_security=True; got both",
        ),
        (
            "postgresql://main/x",
            {"history": ["postgresql://h1/x"], "transaction_pooler": True},
            "or transaction_pooler=True",
        ),
    ],
)
def test_servers_that_cannot_be_are_refused(url: str, options: Any, message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        Database(url, **options).ping()


def test_closing_a_database_closes_its_servers(shared_postgresql_url: str) -> None:
    database = Database(shared_postgresql_url, history=[shared_postgresql_url])
    (server,) = database.history_servers
    assert server.ping()
    assert server.is_open
    assert database.ping()
    database.close()
    assert not server.is_open
    assert not database.is_open
    database.initialize("sqlite:///:memory:")
    assert database.history_servers == ()
    database.close()
