"""Books that stay exact while statements are cancelled, connections are cut at any byte and workers are killed."""

import os
import random
import signal
import threading
import time
from collections import Counter

import pytest

from cloudpub_models import Database
from cloudpub_models.errors import CloudpubError, CommitUnknownError, ConnectionLostError, QueryTimeoutError
from tests.faults.servers import CuttingProxy
from tests.faults.test_connection_loss import ACCOUNTS, BALANCE, bank, transfer
from tests.waiting import wait_until

__all__ = ["bank"]

pytestmark = pytest.mark.in_pairs


def check(url, acknowledged, possible=frozenset()):
    """All that was acknowledged is there, once, with what may be there besides, and no amount was lost."""
    database = Database(url)
    ledger = [row["id"] for row in database.raw_query_all("SELECT id FROM ledger")]
    assert set(acknowledged) <= set(ledger) <= set(acknowledged) | set(possible)
    total = database.raw_query_single("SELECT SUM(balance) AS total FROM accounts")
    assert total == {"total": ACCOUNTS * BALANCE}
    database.close()
    return len(ledger)


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_statements_that_are_cancelled_at_random(server, bank, scale, isolation):
    database = Database(bank, application_name="cancelled")
    until = time.monotonic() + scale(1, 20)
    acknowledged: list[str] = []
    refused: list[str] = []

    def transfers(number):
        chosen = random.Random(number)
        step = 0
        while time.monotonic() < until:
            step += 1
            key, (source, target) = f"{number}-{step}", sorted(chosen.sample(range(ACCOUNTS), 2))

            def work(connection, key=key, source=source, target=target):
                for account, amount in ((source, -1), (target, 1)):
                    balance = connection.execute(
                        "SELECT balance FROM accounts WHERE id = @id FOR UPDATE", {"id": account}
                    )[0]["balance"]
                    connection.execute(
                        "UPDATE accounts SET balance = @balance WHERE id = @id",
                        {"balance": balance + amount, "id": account},
                    )
                connection.execute("INSERT INTO ledger VALUES (@key, 1)", {"key": key})

            try:
                database.run_transaction(work, isolation=isolation, retries=100)
                acknowledged.append(key)
            except QueryTimeoutError:
                refused.append(key)

    threads = [threading.Thread(target=transfers, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    sent = 0
    observer = server.connect()
    cursor = observer.cursor()
    while time.monotonic() < until:
        cursor.execute(
            "SELECT COUNT(pg_cancel_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name = 'cancelled' AND state = 'active' AND random() < 0.5"
        )
        sent += cursor.fetchone()[0]
        time.sleep(0.002)
    for thread in threads:
        thread.join()
    observer.close()
    database.close()
    # A cancelled statement's transaction is gone as a whole.
    kept = check(bank, acknowledged)
    print(f"{isolation}: {kept} acknowledged and kept, {len(refused)} of {sent} cancels met a statement")
    assert kept == len(acknowledged)
    assert refused
    assert not set(refused) & set(acknowledged)


@pytest.mark.parametrize("direction", ["to the server", "to the client"])
def test_a_connection_that_is_cut_at_any_byte(server, bank, scale, direction):
    """From the first byte of BEGIN to the last of COMMIT's answer."""
    proxy = CuttingProxy(server.port)
    url = server.url_at(proxy.port, bank.rpartition("/")[2])
    outcomes: Counter[str] = Counter()
    acknowledged: list[str] = []

    def attempt(key, cut_at):
        database = Database(url)
        try:
            with database.session():
                proxy.cut_at(direction, cut_at)
                with database.transaction() as connection:
                    connection.execute("UPDATE accounts SET balance = balance - 1 WHERE id = 0")
                    connection.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 1")
                    connection.execute("INSERT INTO ledger VALUES (@key, 1)", {"key": key})
                acknowledged.append(key)
                return "acknowledged"
        except CommitUnknownError as error:
            outcome = error.resolve()
            if outcome == "committed":
                acknowledged.append(key)
            else:
                assert outcome == "rolled back"
            return outcome
        except ConnectionLostError:
            return "lost"
        finally:
            proxy.disarm()
            database.close()

    assert attempt("whole", 10**9) == "acknowledged"
    bytes_of_one = proxy.passed
    # COMMIT and its answer come last.
    for cut_at in sorted({*range(0, bytes_of_one, scale(9, 1)), *range(bytes_of_one - 25, bytes_of_one + 1)}):
        outcomes[attempt(f"{cut_at}", cut_at)] += 1
    proxy.close()
    kept = check(bank, acknowledged)
    print(f"{direction}: {bytes_of_one} bytes, {sum(outcomes.values())} cuts, {dict(outcomes)}")
    assert kept == len(acknowledged)
    assert outcomes["lost"]


def acknowledge_transfers(number, url, path):
    """Make transfers for ever, noting each that was acknowledged, until killed or told to go."""
    going = []
    signal.signal(signal.SIGTERM, lambda *_: going.append(True))
    database = Database(url, application_name="worker")
    with open(path, "a") as book:
        step = 0
        while not going:
            step += 1
            key = f"{os.getpid()}-{step}"
            book.write(f"?{key}\n")
            book.flush()
            try:
                transfer(database, key, step % ACCOUNTS, (step + 7) % ACCOUNTS)
            except CloudpubError:
                continue
            book.write(f"!{key}\n")
            book.flush()
    database.close()


def test_workers_that_are_killed_and_reloaded_under_load(server, bank, start_workers, scale, tmp_path):
    path = tmp_path / "book"
    workers = [start_workers(1, acknowledge_transfers, bank, path) for _ in range(4)]
    killed = reloaded = 0
    chosen = random.Random(1)
    for _ in range(scale(12, 150)):
        time.sleep(chosen.uniform(0.02, 0.15))
        index = chosen.randrange(4)
        (process,) = workers[index].processes
        if chosen.random() < 0.5:
            process.kill()
            killed += 1
        else:
            process.terminate()
            reloaded += 1
        process.join(10)
        workers[index] = start_workers(1, acknowledge_transfers, bank, path)
    for each in workers:
        each.processes[0].terminate()
        each.processes[0].join(10)
    # No session and so no lock of theirs outlives them.
    wait_until(
        lambda: server.execute("SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'worker'") == [(0,)]
    )
    lines = path.read_text().split()
    acknowledged = {line[1:] for line in lines if line[0] == "!"}
    tried = {line[1:] for line in lines if line[0] == "?"}
    kept = check(bank, acknowledged, tried)
    print(f"{killed} killed, {reloaded} reloaded, {len(acknowledged)} acknowledged, {kept} kept")
    # Of each that was killed one at most was kept without a word.
    assert kept - len(acknowledged) <= killed
    assert len(acknowledged) > 50
