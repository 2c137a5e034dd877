"""What Peewee calls on its database, on our engines: statements, connections, errors, the log."""

from __future__ import annotations

import logging

import peewee
import pytest
from playhouse.test_utils import assert_query_count, count_queries

from cloudpub_models import Database, Function, User, errors

ADA = {"email": "ada@example.com", "password_hash": "hash-of-ada"}


@pytest.fixture(autouse=True)
def bound(database):
    with database.bind() as engine:
        yield engine


def test_count_queries_has_the_values(bound):
    ada = User.create(**ADA)
    with count_queries() as counter:
        assert list(Function.select(Function.id).where(Function.user == ada, Function.name == "resize")) == []
        bound.execute_sql("SELECT 1")
    (_, parameters), (raw, none) = [record.msg for record in counter.get_queries()]
    assert parameters == [ada.id, "resize"]
    assert (raw, none) == ("SELECT 1", None)
    with assert_query_count(1):
        User.get_by_id(ada.id)


def test_the_log_hides_what_is_secret(caplog, bound):
    caplog.set_level(logging.DEBUG, logger="peewee")
    User.create(**ADA)
    User.get_or_none(User.password_hash == "hash-of-ada")
    bound.execute_sql(f"SELECT id FROM users WHERE password_hash = {bound.param}", ("hash-of-ada",))
    assert "hash-of-ada" not in caplog.text
    assert "ada@example.com" in caplog.text
    assert caplog.records[-1].msg[1] == ("***",)


def test_connecting_says_whether_there_was_no_connection(bound):
    bound.close()
    assert (bound.connect(), bound.connect(reuse_if_open=True)) == (True, False)
    with pytest.raises(peewee.OperationalError, match="already opened"):
        bound.connect()
    assert (bound.close(), bound.close()) == (True, False)


def test_an_error_has_the_drivers_one(bound):
    User.create(**ADA)
    with pytest.raises(peewee.IntegrityError) as caught:
        User.create(**ADA)
    assert isinstance(caught.value.orig, bound.driver_error)
    with pytest.raises(errors.TransactionAbortedError) as caught, bound.atomic():
        with pytest.raises(peewee.IntegrityError):
            User.create(**ADA)
        User.get_or_none()
    assert isinstance(caught.value.orig, bound.driver_error)
    assert errors.NotFoundError("no such user").orig is None


@pytest.mark.parametrize("sql", ["SELECT * FROM nowhere", "SELECT nothing FROM users", "SELEC 1"])
def test_what_the_database_does_not_understand_is_peewees_error_for_it(bound, sql):
    with pytest.raises(errors.RefusedQueryError) as caught:
        bound.execute_sql(sql)
    # Peewee's error on SQLite, and its error on PostgreSQL.
    assert isinstance(caught.value, peewee.OperationalError)
    assert isinstance(caught.value, peewee.ProgrammingError)


def test_without_autoconnect_a_connection_is_asked_for(bound):
    bound.close()
    bound.autoconnect = False
    with pytest.raises(peewee.InterfaceError, match="expected an open connection, since autoconnect is off"):
        bound.execute_sql("SELECT 1")
    with bound.connection_context():
        assert bound.execute_sql("SELECT 1").fetchone() == (1,)
    with pytest.raises(peewee.InterfaceError):
        bound.cursor()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_timeout_outlives_the_connection(bound):
    bound.timeout = 2.5
    assert bound.pragma("busy_timeout") == 2500
    bound.close()
    assert bound.pragma("busy_timeout") == 2500


def test_the_class_has_the_name_that_peewee_knows(bound, backend):
    assert type(bound).__name__ == {"sqlite": "SqliteDatabase", "postgresql": "PostgresqlDatabase"}[backend]


def test_a_file_may_be_made_again_after_its_last_connection_was_closed(tmp_path):
    path = tmp_path / "a.db"
    engine = Database(f"sqlite:///{path}").engine
    for _ in range(2):
        engine.execute_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
        assert engine.close()
        for file in tmp_path.iterdir():
            file.unlink()


@pytest.mark.parametrize("control", ["COMMIT", " rollback", "/* x */ END", "BEGIN", "START TRANSACTION"])
def test_no_statement_ends_the_transaction_of_a_block(bound, control):
    """Else what follows is kept at once, and the block says that it has undone it."""
    with pytest.raises(KeyError), bound.atomic():
        User.create(**ADA)
        with pytest.raises(errors.InvalidQueryError, match="expected a statement that leaves the open transaction"):
            bound.execute_sql(control)
        assert User.select().count() == 1
        raise KeyError
    assert User.select().count() == 0


@pytest.mark.parametrize("backend", ["postgresql"])
def test_no_text_of_several_statements_ends_it_either(bound):
    with pytest.raises(KeyError), bound.atomic():
        User.create(**ADA)
        with pytest.raises(errors.InvalidQueryError, match="got COMMIT"):
            bound.execute_sql("SELECT 1; COMMIT; BEGIN; SELECT 1")
        raise KeyError
    assert User.select().count() == 0


def test_savepoints_of_ones_own_go_on_working(bound):
    with bound.atomic():
        bound.execute_sql("SAVEPOINT mine")
        User.create(**ADA)
        bound.execute_sql("ROLLBACK TO SAVEPOINT mine")
        bound.execute_sql("RELEASE SAVEPOINT mine")
    assert User.select().count() == 0
