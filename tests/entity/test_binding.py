"""Which database Peewee's calls use: the one bound here, else the default, else an error that says what to do."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import peewee
import pytest

from cloudpub_models.entity.binding import CurrentDatabase, concrete_database, current_database, sql_dialect_of
from cloudpub_models.errors import ConfigurationError
from cloudpub_models.models import ALL_MODELS, User
from cloudpub_models.schema import create_all
from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE


def a_database(email: str) -> peewee.SqliteDatabase:
    database = peewee.SqliteDatabase(":memory:")
    create_all(database, ALL_MODELS)
    with current_database.bound_to(database):
        User.create(email=email, password_hash="x")
    return database


def test_blocks_nest_and_end() -> None:
    first, second = a_database("first"), a_database("second")
    with current_database.bound_to(first):
        assert User.get().email == "first"
        with current_database.bound_to(second):
            assert User.get().email == "second"
        assert User.get().email == "first"
        with pytest.raises(RuntimeError), current_database.bound_to(second):
            raise RuntimeError
        assert User.get().email == "first"


def test_threads_do_not_disturb_each_other(tmp_path_factory: pytest.TempPathFactory) -> None:
    barrier = threading.Barrier(4)

    def read(name: str) -> set[str]:
        database = a_database(name)
        with current_database.bound_to(database):
            barrier.wait()
            found = {User.get().email for _ in range(50)}
            barrier.wait()
        database.close()
        return found

    with ThreadPoolExecutor(4) as threads:
        names = [f"user{number}" for number in range(4)]
        assert list(threads.map(read, names)) == [{name} for name in names]


def test_a_bound_thread_leaves_others_with_the_default() -> None:
    current = CurrentDatabase()
    default, other = peewee.SqliteDatabase(":memory:"), peewee.SqliteDatabase(":memory:")
    current.initialize(default)
    seen: list[peewee.Database] = []
    with current.bound_to(other):
        thread = threading.Thread(target=lambda: seen.append(current.resolve()))
        thread.start()
        thread.join()
        assert current.resolve() is other
    assert seen == [default]


def test_without_any_database() -> None:
    current = CurrentDatabase()
    assert current.obj is None
    with pytest.raises(ConfigurationError, match=r"database\.initialize\(url\)"):
        current.execute_sql("SELECT 1")


def test_the_default_can_be_made_at_first_use() -> None:
    current, made = CurrentDatabase(), []

    def make() -> peewee.Database:
        made.append(peewee.SqliteDatabase(":memory:"))
        return made[-1]

    current.provide_default(make)
    # Defining a model, even one with fields that ask for the database, opens nothing.
    meta = type("Meta", (), {"database": current})
    type("Photo", (peewee.Model,), {"Meta": meta, "image": peewee.BlobField(), "notes": peewee.JSONField()})
    assert not hasattr(current, "__wrapped__")
    assert made == []
    assert current.resolve() is made[0]
    assert current.obj is None
    current.initialize(made[0])
    assert current.obj is made[0]
    current.initialize(None)
    assert current.obj is None


def test_transactions_are_the_databases_own() -> None:
    class Sound(peewee.SqliteDatabase):
        def atomic(self, *args: object, **kwargs: object) -> str:
            return "its own"

    current = CurrentDatabase()
    with current.bound_to(Sound(":memory:")):
        assert current.atomic() == "its own"
    database = a_database("x")
    with current_database.bound_to(database):
        with current_database.atomic() as transaction:
            User.create(email="y", password_hash="x")
            transaction.rollback()
        with current_database.transaction(), current_database.savepoint():
            User.create(email="z", password_hash="x")
        with current_database.manual_commit():
            pass
        with current_database:
            assert User.select().count() == 2


def test_connection_context() -> None:
    database = peewee.SqliteDatabase(":memory:")
    with current_database.bound_to(database), current_database.connection_context():
        assert not database.is_closed()
    assert database.is_closed()


def test_dialects() -> None:
    proxy = peewee.DatabaseProxy()
    proxy.initialize(peewee.SqliteDatabase(":memory:"))
    assert sql_dialect_of(proxy) is SQLITE
    assert sql_dialect_of(peewee.PostgresqlDatabase("x")) is POSTGRESQL
    assert concrete_database(None) is None
    with pytest.raises(ConfigurationError, match="expected a SQLite or PostgreSQL database; got MySQLDatabase"):
        sql_dialect_of(peewee.MySQLDatabase("x"))
