"""Connections that are cut: by the server, with the server, and at the worst moment."""

import time
from collections import Counter

import peewee
import psycopg2
import pytest

from cloudpub_models import Database, Managers, User
from cloudpub_models.errors import (
    CommitUnknownError,
    ConnectionFailedError,
    ConnectionLostError,
    TransactionAbortedError,
)
from tests.faults.servers import sweeping, terminate_backends
from tests.waiting import wait_until

pytestmark = pytest.mark.alone

ACCOUNTS = 40
BALANCE = 1000

# Whether the server's last words are still read, or only that it has hung up, is a matter of timing.
ENDED_BY_THE_SERVER = "administrator command|server closed the connection"


@pytest.fixture
def bank(url):
    database = Database(url)
    database.raw_execute("CREATE TABLE accounts (id INT PRIMARY KEY, balance INT NOT NULL)")
    database.raw_execute("CREATE TABLE ledger (id TEXT PRIMARY KEY, amount INT NOT NULL)")
    database.raw_execute(f"INSERT INTO accounts SELECT n, {BALANCE} FROM generate_series(0, {ACCOUNTS - 1}) AS n")
    database.close()
    return url


def transfer(database, key, source, target, retries=5):
    """Move 1 from one account to another; the lower one is locked first, so that nobody waits in a circle."""

    def work(connection):
        for account, amount in sorted([(source, -1), (target, 1)]):
            connection.execute(
                "UPDATE accounts SET balance = balance + @amount WHERE id = @account",
                {"amount": amount, "account": account},
            )
        connection.execute("INSERT INTO ledger VALUES (@key, 1)", {"key": key})

    database.run_transaction(work, retries=retries)


def transfer_repeatedly(number, url, count, retries):
    """Make ``count`` transfers, and return the keys acknowledged, those in doubt, and the longest time of one."""
    database = Database(url)
    acknowledged, in_doubt, longest = [], {}, 0.0
    for step in range(count):
        key = f"{number}-{step}"
        source = (number * 7 + step) % ACCOUNTS
        started = time.monotonic()
        try:
            transfer(database, key, source, (source + 1 + step % 5) % ACCOUNTS, retries)
            acknowledged.append(key)
        except CommitUnknownError as error:
            in_doubt[key] = error.resolve()
        longest = max(longest, time.monotonic() - started)
    database.close()
    return acknowledged, in_doubt, longest


def check_books(url, results, longest_allowed):
    database = Database(url)
    acknowledged = {key for keys, _, _ in results for key in keys}
    in_doubt = {key: outcome for _, doubts, _ in results for key, outcome in doubts.items()}
    ledger = {row["id"] for row in database.raw_query_all("SELECT id FROM ledger")}
    assert acknowledged <= ledger
    assert ledger - acknowledged <= in_doubt.keys()
    wrong = {
        key: outcome
        for key, outcome in in_doubt.items()
        if outcome != "unknown" and (outcome == "committed") != (key in ledger)
    }
    assert wrong == {}
    total = database.raw_query_single("SELECT SUM(balance) AS total, MIN(balance) AS low FROM accounts")
    assert total["total"] == ACCOUNTS * BALANCE
    database.close()
    longest = max(result[2] for result in results)
    print(
        f"{len(acknowledged)} acknowledged, in doubt {dict(Counter(in_doubt.values()))}, "
        f"{len(ledger)} in the ledger, longest {longest:.3f} s"
    )
    assert longest < longest_allowed
    return in_doubt


def test_every_backend_is_terminated_every_50_ms(server, bank, start_workers, scale):
    transfers = scale(500, 2000)
    # The default's six calls are plenty, unless the machine is so busy that no transaction fits between two sweeps.
    workers = start_workers(8, transfer_repeatedly, bank, transfers, scale(50, 5))
    with sweeping(server) as swept:
        results = workers.results(300)
    print(f"{len(swept)} sweeps, {sum(swept)} terminated")
    assert sum(swept) >= 8
    in_doubt = check_books(bank, results, 1.0)
    assert "unknown" not in in_doubt.values()


def transfer_until(number, url, end):
    """Make transfers until a time, as ``transfer_repeatedly`` does."""
    database = Database(url)
    acknowledged, in_doubt, longest = [], {}, 0.0
    step = 0
    while time.time() < end:
        step += 1
        key = f"{number}-{step}"
        source = (number * 7 + step) % ACCOUNTS
        started = time.monotonic()
        try:
            transfer(database, key, source, (source + 1 + step % 5) % ACCOUNTS)
            acknowledged.append(key)
        except CommitUnknownError as error:
            in_doubt[key] = error.resolve()
        longest = max(longest, time.monotonic() - started)
    database.close()
    return acknowledged, in_doubt, longest


def test_the_server_crashes_and_restarts(server, bank, start_workers, scale):
    restarts, seconds = scale(1, 5), scale(2, 3)
    workers = start_workers(8, transfer_until, bank, time.time() + restarts * seconds + 0.5)
    downtimes = []
    for _ in range(restarts):
        time.sleep(seconds * 0.5)
        started = time.monotonic()
        server.restart("immediate")
        downtimes.append(time.monotonic() - started)
        time.sleep(max(0.0, seconds * 0.5 - downtimes[-1]))
    results = workers.results(60)
    print(f"down for {', '.join(f'{downtime:.2f}' for downtime in downtimes)} s")
    # Recovery is counted from when the server takes connections again.
    check_books(bank, results, max(downtimes) + 2.0)


# A cut inside a transaction


@pytest.fixture
def database(url):
    database = Database(url)
    database.raw_execute("CREATE TABLE notes (text TEXT)")
    yield database
    database.close()


def texts(database):
    return [row["text"] for row in database.raw_query_all("SELECT text FROM notes ORDER BY text")]


def write(connection, text):
    connection.execute("INSERT INTO notes VALUES (@text)", {"text": text})


def terminate(server):
    observer = server.connect()
    cursor = observer.cursor()
    assert terminate_backends(cursor) >= 1
    wait_until(lambda: terminate_backends(cursor) == 0)
    observer.close()


def test_a_cut_between_two_writes_keeps_neither_and_says_why_first(server, database):
    with (
        pytest.raises(ConnectionLostError, match=ENDED_BY_THE_SERVER) as caught,
        database.transaction() as connection,
    ):
        write(connection, "first")
        terminate(server)
        write(connection, "second")
    # The driver's first error; a follow-up would be an InterfaceError: "connection already closed".
    assert isinstance(caught.value.__cause__, psycopg2.OperationalError)
    assert "already closed" not in str(caught.value.__cause__)
    assert texts(database) == []
    with database.transaction() as connection:
        write(connection, "third")
    assert texts(database) == ["third"]


def test_nothing_reconnects_silently_inside_a_transaction(server, database):
    with pytest.raises(ConnectionLostError), database.transaction() as connection:
        write(connection, "first")
        terminate(server)
        for _ in range(3):
            with pytest.raises(ConnectionLostError):
                write(connection, "second")
        with pytest.raises(ConnectionLostError), database.transaction() as nested:
            write(nested, "third")
        with pytest.raises(ConnectionLostError):
            database.raw_execute("INSERT INTO notes VALUES ('fourth')")
        with pytest.raises(ConnectionLostError):
            database.engine.execute_sql("INSERT INTO notes VALUES ('fifth')")
    assert texts(database) == []


def test_a_cut_inside_a_savepoint_is_no_rolled_back_savepoint(server, database):
    with pytest.raises(ConnectionLostError, match=ENDED_BY_THE_SERVER), database.transaction() as connection:
        write(connection, "first")
        try:
            with database.transaction() as nested:
                terminate(server)
                write(nested, "second")
        except ConnectionLostError:
            pass
    assert texts(database) == []


def test_a_cut_before_commit_is_sent_is_no_doubt_and_is_repeated(server, database):
    calls = []

    def work(connection):
        calls.append(1)
        write(connection, f"call {len(calls)}")
        if len(calls) < 3:
            terminate(server)

    database.run_transaction(work)
    assert texts(database) == ["call 3"]


def test_a_session_goes_on_after_a_cut(server, database):
    with database.session():
        with pytest.raises(ConnectionLostError), database.transaction() as connection:
            terminate(server)
            write(connection, "first")
        with database.transaction() as connection:
            write(connection, "second")
        terminate(server)
        with pytest.raises(ConnectionLostError):
            database.ping()
        assert database.ping()
        assert texts(database) == ["second"]
    assert database.engine.is_closed()


def test_connections_that_died_in_the_pool_are_not_given_to_a_session_or_transaction(server, database):
    for _ in range(3):
        database.ping()
        terminate(server)
        with database.session():
            assert database.ping()
        terminate(server)
        with database.transaction() as connection:
            write(connection, "kept")
    assert texts(database) == ["kept"] * 3


def test_a_connection_closed_inside_its_block_is_no_doubtful_commit(database):
    with pytest.raises((ConnectionLostError, TransactionAbortedError)) as caught, database.transaction() as connection:
        write(connection, "first")
        database.engine.connection().close()
    assert not isinstance(caught.value, CommitUnknownError)
    assert texts(database) == []


def test_a_copy_that_is_cut_keeps_nothing(server, url):
    database = Database(url)
    database.migrate()
    managers = Managers(database)

    def rows():
        for number in range(20_000):
            if number == 15_000:
                terminate(server)
            yield {"email": f"{number}@example.com", "password_hash": "x"}

    with pytest.raises(ConnectionLostError):
        managers.users.batch_insert(rows())
    assert managers.users.count() == 0
    assert managers.users.batch_insert([{"email": "ada@example.com", "password_hash": "x"}]) == 1
    database.close()


def test_peewees_own_calls_raise_the_same_and_go_on(server, url):
    database = Database(url)
    database.migrate()
    with database.bind():
        with pytest.raises(ConnectionLostError), database.engine.atomic():
            User.create(email="ada@example.com", password_hash="x")
            terminate(server)
            User.create(email="bob@example.com", password_hash="x")
        assert User.select().count() == 0
        User.create(email="ada@example.com", password_hash="x")
        terminate(server)
        with pytest.raises(peewee.OperationalError):
            list(User.select())
        assert [user.email for user in User.select()] == ["ada@example.com"]
    database.close()


# COMMIT under way


@pytest.mark.parametrize(
    ("mode", "outcome"), [("drop before commit", "rolled back"), ("drop after commit", "committed")]
)
def test_a_commit_without_an_answer_is_found_out_about(server, database, proxy, url, scale, mode, outcome):
    through_proxy = Database(server.url_at(proxy.port, url.rpartition("/")[2]))
    for number in range(scale(10, 50)):
        proxy.mode = "forward"
        calls = []

        def work(connection, text=f"{number:03}", calls=calls):
            calls.append(1)
            write(connection, text)
            proxy.mode = mode

        with pytest.raises(CommitUnknownError, match="resolve") as caught:
            through_proxy.run_transaction(work)
        assert len(calls) == 1
        proxy.mode = "forward"
        assert caught.value.resolve() == outcome
    expected = [f"{number:03}" for number in range(scale(10, 50))] if outcome == "committed" else []
    assert texts(database) == expected
    through_proxy.close()


def test_the_outcome_can_be_asked_for_later_and_only_of_a_server_that_answers(server, database, proxy, url):
    through_proxy = Database(server.url_at(proxy.port, url.rpartition("/")[2]), connect_timeout=1)
    with pytest.raises(CommitUnknownError) as caught, through_proxy.transaction() as connection:
        write(connection, "kept")
        proxy.mode = "drop after commit"
    proxy.mode = "deaf"
    with pytest.raises(ConnectionFailedError, match="cannot connect"):
        caught.value.resolve()
    proxy.mode = "forward"
    assert caught.value.resolve() == "committed"
    through_proxy.close()


def test_an_id_given_out_again_after_a_crash_is_not_taken_for_the_transaction(server, database):
    """What a crash forgets: nothing of the transaction has reached the disk, and another gets its id."""
    from cloudpub_models.connection.postgresql.commit_outcome import TransactionMark, outcome_of

    fetch = database.engine.fetch
    server.execute("CHECKPOINT")
    with database.transaction() as connection:
        write(connection, "before")
        before = database.engine.connection().transaction_mark
    forgotten = None
    with pytest.raises(ConnectionLostError), database.transaction():
        forgotten = database.engine.connection().transaction_mark
        server.restart("immediate")
        database.ping()
    assert outcome_of(before, fetch, 5) == "committed"
    assert outcome_of(forgotten, fetch, 5) == "rolled back"
    for _ in range(10):
        with database.transaction() as connection:
            write(connection, "after")
            again = database.engine.connection().transaction_mark
        if again.id == forgotten.id:
            break
    assert again.id == forgotten.id
    assert outcome_of(again, fetch, 5) == "committed"
    assert outcome_of(forgotten, fetch, 5) in ("rolled back", "unknown")
    assert outcome_of(TransactionMark(before.id, again.counting_since, again.timeline), fetch, 5) == "committed"


def test_after_two_crashes_a_commit_that_the_first_has_lost_is_never_called_committed(server, database):
    from cloudpub_models.connection.postgresql.commit_outcome import outcome_of

    server.execute("CHECKPOINT")
    with pytest.raises(ConnectionLostError), database.transaction():
        lost = database.engine.connection().transaction_mark
        server.restart("immediate")
        database.ping()
    while int(server.execute("SELECT pg_current_xact_id()::text")[0][0]) < int(lost.id):
        pass
    server.restart("immediate")
    server.execute("SELECT pg_current_xact_id()")
    assert server.execute(f"SELECT pg_xact_status('{lost.id}'::xid8)") == [("committed",)]
    assert outcome_of(lost, database.engine.fetch, 5, at_once=False) == "unknown"
