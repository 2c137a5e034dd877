"""Sessions as the engines use them; those of ``Database.session()`` stand in ``test_database``."""

import threading

import pytest

from cloudpub_models import Database
from cloudpub_models.connection.sessions import Session
from cloudpub_models.errors import InvalidQueryError, PoolTimeoutError


@pytest.fixture
def database(postgresql_url):
    database = Database(postgresql_url, max_connections=1, pool_timeout=0.2)
    yield database
    database.close()


def in_another_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_the_inner_one_of_two_leaves_the_connection_to_the_outer(database):
    engine = database.engine
    with Session(engine):
        with Session(engine):
            assert engine.keeps_connection()
        assert engine.keeps_connection()
    assert not engine.keeps_connection()


def test_a_transaction_that_outlives_one_lets_go_of_its_connection(database):
    engine = database.engine
    session, transaction = Session(engine), database.transaction()
    session.__enter__()
    transaction.__enter__()
    session.__exit__(None, None, None)
    assert engine.keeps_connection()
    transaction.__exit__(None, None, None)
    assert not engine.keeps_connection()


def test_one_that_is_left_in_another_thread_keeps_no_connection(database):
    session = Session(database.engine)
    session.__enter__()
    refused = []

    def leave():
        with pytest.raises(InvalidQueryError, match="a session to end in the thread in which it began"):
            session.__exit__(None, None, None)
        refused.append(database.ping())

    in_another_thread(leave)
    assert refused == [True]
    assert not database.engine.keeps_connection()
    assert database.ping()


def test_nor_does_one_that_is_given_up_in_another_thread(database):
    def generate():
        with database.session():
            yield

    generators = [generate()]
    next(generators[0])
    in_another_thread(generators.clear)
    in_another_thread(database.ping)
    assert database.ping()


def test_one_that_cannot_begin_keeps_nothing(database):
    with Session(database.engine):
        failed = []

        def begin():
            try:
                Session(database.engine).__enter__()
            except PoolTimeoutError as error:
                failed.append(type(error).__name__)

        in_another_thread(begin)
    assert failed == ["PoolTimeoutError"]
    assert database.ping()


def test_one_begins_with_a_connection_that_is_alive(database, postgresql_url):
    """Also right after the connection was used, when nothing else would ask the server."""
    [row] = database.raw_query_all("SELECT pg_backend_pid() AS pid")
    administration = Database(postgresql_url)
    administration.raw_query_all("SELECT pg_terminate_backend(@pid, 5000)", row)
    administration.close()
    with database.session():
        assert database.raw_query_all("SELECT pg_backend_pid() AS pid") != [row]


def test_one_whose_end_is_never_called_keeps_no_connection(database):
    """As where a signal's handler raises when the session has begun and its block has not."""
    session, found = Session(database.engine), []
    ending = session.__exit__
    session.__enter__()
    del ending
    in_another_thread(lambda: found.extend(database.raw_query_all("SELECT 1 AS one")))
    assert found == [{"one": 1}]


def test_a_thread_that_ends_in_one_gives_its_connection_up(database):
    session = Session(database.engine)
    in_another_thread(session.__enter__)
    assert database.raw_query_all("SELECT 1 AS one") == [{"one": 1}]
