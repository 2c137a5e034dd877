"""Processes that fork after connecting, as gunicorn, Celery and multiprocessing do."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cloudpub_models import Database
from cloudpub_models.errors import ConnectionLostError
from tests.waiting import wait_until

pytestmark = pytest.mark.alone


def ask_tagged_queries(number, database, count):
    """Ask for what only this child asks for; return this child's sessions and how many answers were not its own."""
    wrong, sessions = 0, set()
    for step in range(count):
        tag = f"{number}-{step}"
        row = database.raw_query_single("SELECT @tag::text AS tag, pg_backend_pid() AS session", {"tag": tag})
        wrong += row["tag"] != tag
        sessions.add(row["session"])
    return sessions, wrong


def test_sixteen_children_get_their_own_answers(url, start_workers, scale):
    database = Database(url)
    with database.session():
        question = "SELECT pg_backend_pid() AS session"
        own = database.raw_query_single(question)["session"]
        children = start_workers(16, ask_tagged_queries, database, scale(50, 200))
        for _ in range(50):
            assert database.raw_query_single(question)["session"] == own
        results = children.results(60)
        assert [wrong for _, wrong in results] == [0] * 16
        sessions = [session for each, _ in results for session in each]
        assert len(sessions) == len(set(sessions)) == 16
        assert own not in sessions
        assert database.raw_query_single(question)["session"] == own
    database.close()


def use_inherited_transaction(number, database, transaction):
    """Leave the parent's transaction in the child; return what came of it, and what the child then reads."""
    try:
        transaction.__exit__(None, None, None)
        outcome = "left"
    except ConnectionLostError as error:
        outcome = str(error)
    return outcome, database.raw_query_single("SELECT COUNT(*) AS n FROM rows")["n"]


def test_the_parents_transaction_is_the_parents_alone(url, start_workers):
    database = Database(url)
    database.raw_execute("CREATE TABLE rows (n INT)")
    transaction = database.transaction()
    connection = transaction.__enter__()
    connection.execute("INSERT INTO rows VALUES (1)")
    [(outcome, seen)] = start_workers(1, use_inherited_transaction, database, transaction).results(60)
    assert "another process" in outcome
    assert seen == 0
    connection.execute("INSERT INTO rows VALUES (2)")
    transaction.__exit__(None, None, None)
    assert database.raw_query_single("SELECT COUNT(*) AS n FROM rows") == {"n": 2}
    database.close()


def ping_and_return(number, database):
    """Use the database in a child, all its threads' connections included."""
    threads = [threading.Thread(target=database.ping) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return database.ping()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_of_a_process_with_busy_threads_never_hangs(url, start_workers, scale):
    database = Database(url, max_connections=3)
    over = threading.Event()
    answers = []

    def keep_busy():
        count = 0
        while not over.is_set():
            if count % 3:
                database.ping()
            else:
                with database.transaction() as connection:
                    connection.execute("SELECT 1")
            count += 1
        answers.append(count)

    threads = [threading.Thread(target=keep_busy) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(scale(8, 50)):
            assert start_workers(4, ping_and_return, database).results(60) == [True] * 4
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert len(answers) == 8
    assert min(answers) > 0
    database.close()


PARENT_WITH_CHILDREN = """
import os, sys, time
from cloudpub_models import Database

database = Database(sys.argv[1])
with database.transaction() as connection:
    connection.execute("UPDATE rows SET n = 2")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)
    print(*children, flush=True)
    time.sleep(60)
"""


def test_a_parent_killed_in_a_transaction_frees_its_locks_though_its_children_live(url):
    database = Database(url, lock_timeout=5)
    database.raw_execute("CREATE TABLE rows (n INT)")
    database.raw_execute("INSERT INTO rows VALUES (1)")
    parent = subprocess.Popen([sys.executable, "-c", PARENT_WITH_CHILDREN, url], stdout=subprocess.PIPE, text=True)
    try:
        children = [int(child) for child in parent.stdout.readline().split()]
        assert len(children) == 4
        parent.kill()
        parent.wait()
        started = time.monotonic()
        database.raw_execute("UPDATE rows SET n = n + 10")
        waited = time.monotonic() - started
        for child in children:
            os.kill(child, 0)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        for child in children:
            os.kill(child, signal.SIGKILL)
    assert database.raw_query_single("SELECT n FROM rows") == {"n": 11}
    assert waited < 4  # the server has noticed; the lock would have been waited for for five
    database.close()


CHILD_THAT_ENDS_NORMALLY = """
import os, sys, threading
from cloudpub_models import Database

database = Database(sys.argv[1])
begun, go_on = threading.Event(), threading.Event()

def hold_one():
    with database.session():
        begun.set()
        go_on.wait()

holder = threading.Thread(target=hold_one, daemon=True)
holder.start()
begun.wait()
with database.session():
    mine = database.raw_query_single("SELECT pg_backend_pid() AS session")
    child = os.fork()
    if child == 0:
        database.close()
        assert database.ping()
        database.close()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert database.raw_query_single("SELECT pg_backend_pid() AS session") == mine
go_on.set()
holder.join()
assert database.ping()
print("well")
"""


def test_a_child_that_ends_normally_ends_no_session_of_its_parent(url):
    finished = subprocess.run(
        [sys.executable, "-c", CHILD_THAT_ENDS_NORMALLY, url], capture_output=True, text=True, timeout=60
    )
    assert (finished.stdout, finished.stderr) == ("well\n", "")


def test_a_fork_after_a_connection_was_lost_leaves_the_child_well(server, url, start_workers):
    database = Database(url)
    with database.session():
        database.ping()
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cloudpub_models'"
        )
        with pytest.raises(ConnectionLostError):
            database.ping()
        assert start_workers(2, ping_and_return, database).results(60) == [True, True]
    assert database.ping()
    database.close()
    wait_until(
        lambda: (
            server.execute("SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'cloudpub_models'") == [(0,)]
        )
    )
