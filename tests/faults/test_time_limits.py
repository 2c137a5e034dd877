"""What never answers, answers late or refuses: a typed error within its limit, and never a storm of attempts."""

import socket
import threading
import time

import psycopg2
import pytest

from cloudpub_models import Database
from cloudpub_models.connection.options import Options
from cloudpub_models.errors import (
    ConfigurationError,
    ConnectionFailedError,
    ConnectionLostError,
    LockNotAvailableError,
    PoolTimeoutError,
    QueryTimeoutError,
)
from tests.faults.servers import Server, free_port

pytestmark = pytest.mark.in_pairs


class Stopwatch:
    def __enter__(self):
        self.started = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.started


def test_a_closed_port_is_refused_at_once(server):
    database = Database(server.url_at(free_port()))
    with Stopwatch() as watch, pytest.raises(ConnectionFailedError, match="refused") as caught:
        database.ping()
    assert watch.seconds < 2.5
    assert caught.value.transient


def test_a_transaction_waits_for_a_closed_port_as_long_as_connecting_may_take(server):
    database = Database(server.url_at(free_port()), connect_timeout=1)
    with Stopwatch() as watch, pytest.raises(ConnectionFailedError, match="refused"):
        database.run_transaction(lambda connection: None)
    assert 0.9 < watch.seconds < 4


def test_what_will_not_pass_is_not_waited_for(server, url):
    database = Database(server.url_at(server.port, "no_such_database"))
    with Stopwatch() as watch, pytest.raises(ConnectionFailedError, match="does not exist") as caught:
        database.run_transaction(lambda connection: None)
    assert watch.seconds < 2.5
    assert not caught.value.transient


def test_a_deaf_port_is_given_up(server):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        database = Database(server.url_at(deaf.getsockname()[1]), connect_timeout=2)
        with Stopwatch() as watch, pytest.raises(ConnectionFailedError, match="timeout expired"):
            database.ping()
    assert 1.5 < watch.seconds < 6


def test_a_deaf_port_is_waited_for_once_by_a_transaction_too(server):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        database = Database(server.url_at(deaf.getsockname()[1]), connect_timeout=2)
        with pytest.raises(ConnectionFailedError, match="timeout expired"):
            database.run_transaction(lambda connection: None)
        deaf.setblocking(False)
        deaf.accept()[0].close()
        with pytest.raises(BlockingIOError):
            deaf.accept()


def test_a_server_with_too_many_connections_is_waited_for(server, url):
    database = Database(url, connect_timeout=3)
    others = []
    with pytest.raises(psycopg2.OperationalError, match="too many clients"):
        while True:
            others.append(server.connect())
    with pytest.raises(ConnectionFailedError, match="too many clients") as caught:
        database.ping()
    assert caught.value.transient
    freeing = threading.Timer(0.5, lambda: [other.close() for other in others])
    freeing.start()
    with Stopwatch() as watch:
        assert database.run_transaction(lambda connection: connection.execute("SELECT 1 AS n")) == [{"n": 1}]
    assert watch.seconds < 2
    freeing.join()
    database.close()


@pytest.fixture
def starting_server():
    server = Server()
    yield server
    server.remove()


def test_a_server_that_is_starting_is_waited_for(starting_server):
    # A standby that cannot reach a consistent state goes on starting up until it is allowed to end.
    server = starting_server
    database = Database(server.url, connect_timeout=10)
    server.stop("immediate")
    data = server.directory / "data"
    configuration = (data / "postgresql.conf").read_text()
    (data / "postgresql.conf").write_text(configuration + "\nrestore_command = 'sleep 1; false'\nhot_standby = off\n")
    (data / "standby.signal").touch()
    server.start(wait=False)
    with pytest.raises(ConnectionFailedError, match=r"starting up|not (yet )?accepting|refused") as caught:
        for _ in range(20):
            database.ping()
    assert caught.value.transient

    def let_it_start():
        server.stop("immediate")
        (data / "postgresql.conf").write_text(configuration)
        (data / "standby.signal").unlink()
        server.start()

    starting = threading.Timer(0.3, let_it_start)
    starting.start()
    assert database.run_transaction(lambda connection: connection.execute("SELECT 1 AS n")) == [{"n": 1}]
    starting.join()
    database.close()


def test_failed_attempts_are_five_a_second_however_many_threads_pools_and_calls(server):
    attempts = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def refuse():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                attempts.append(time.monotonic())
                client.close()

        refusing = threading.Thread(target=refuse)
        refusing.start()
        url = server.url_at(listener.getsockname()[1])
        until = time.monotonic() + 2.5

        def keep_trying():
            while time.monotonic() < until or len(attempts) < 8:
                database = Database(url, pool_timeout=1)
                with pytest.raises(ConnectionFailedError):
                    database.ping()
                database.close()

        threads = [threading.Thread(target=keep_trying) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        listener.shutdown(socket.SHUT_RDWR)
        refusing.join()
    # The client's clock runs from when it learns of the failure, the server's from when it accepts.
    for start in attempts:
        assert sum(start <= attempt < start + 0.98 for attempt in attempts) <= 5


def test_a_statement_is_cancelled_in_time(url):
    database = Database(url, statement_timeout=0.2)
    with Stopwatch() as watch, pytest.raises(QueryTimeoutError, match="statement_timeout"):
        database.raw_query_all("SELECT pg_sleep(30)")
    assert watch.seconds < 10
    assert database.ping()
    database.close()


def test_a_lock_is_not_waited_for_any_longer(url):
    database = Database(url, lock_timeout=0.2)
    database.raw_execute("CREATE TABLE rows (id INT)")
    database.raw_execute("INSERT INTO rows VALUES (1)")
    other = Database(url)
    with other.transaction() as connection:
        connection.execute("UPDATE rows SET id = 2")
        with Stopwatch() as watch, pytest.raises(LockNotAvailableError, match="lock_timeout"):
            database.raw_execute("UPDATE rows SET id = 3")
        assert watch.seconds < 4  # not the default five
    other.close()
    database.close()


def test_a_forgotten_transaction_loses_its_connection(url):
    database = Database(url, idle_in_transaction_timeout=0.2)
    with pytest.raises(
        ConnectionLostError, match="within 0.2 s; got none for .*, or raise idle_in_transaction_timeout"
    ):
        with database.transaction() as connection:
            time.sleep(0.5)
            connection.execute("SELECT 1")
    assert database.ping()
    database.close()


@pytest.mark.parametrize("at", ["a statement", "COMMIT", "Peewee's statement"])
def test_work_that_pauses_for_longer_than_a_transaction_may_is_not_run_again(url, at):
    database = Database(url, idle_in_transaction_timeout=0.1)
    calls = []

    def work(connection):
        calls.append(None)
        connection.execute("SELECT 1")
        time.sleep(0.3)
        if at == "a statement":
            connection.execute("SELECT 1")
        elif at == "Peewee's statement":
            database.engine.execute_sql("SELECT 1")

    with pytest.raises(ConnectionLostError, match="do what takes long before it begins"):
        database.run_transaction(work)
    assert len(calls) == 1
    database.close()


def test_work_that_is_long_but_never_pauses_is_run_again_when_it_is_cut(server, url):
    database = Database(url, idle_in_transaction_timeout=0.8, application_name="long_work")
    calls = []

    def work(connection):
        calls.append(None)
        for _ in range(3):
            connection.execute("SELECT pg_sleep(0.3)")
        if len(calls) == 1:
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'long_work'"
            server.execute(kill)
        return connection.execute("SELECT 1 AS n")

    assert database.run_transaction(work) == [{"n": 1}]
    assert len(calls) == 2
    database.close()


def test_waiting_for_a_connection_ends(url):
    database = Database(url, max_connections=1, pool_timeout=0.2)
    with database.session():
        errors = []

        def ask():
            with Stopwatch() as watch:
                try:
                    database.ping()
                except PoolTimeoutError as error:
                    errors.append((error, watch.started))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        assert "max_connections" in str(errors[0][0])
    database.close()


def test_the_defaults_reach_server_and_driver(url):
    database = Database(url)
    options = Options()
    with database.session():
        driver = database.engine.connection().get_dsn_parameters()
        shown = database.raw_query_single(
            "SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock, "
            "current_setting('idle_in_transaction_session_timeout') AS idle"
        )
    assert (options.connect_timeout, options.tcp_user_timeout) == (5, 15)
    assert {name: driver[name] for name in driver if name.startswith(("keepalives", "tcp_user", "connect_t"))} == {
        "connect_timeout": "5",
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "15000",
    }
    assert shown == {"statement": "30s", "lock": "5s", "idle": "1min"}
    database.close()


@pytest.mark.parametrize("options", [{"statement_timeout": -1}, {"connect_timeout": "5"}, {"transaction_pooler": 1}])
def test_options_that_mean_nothing_are_refused(url, options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Database(url, **options)
