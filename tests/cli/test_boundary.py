"""Ctrl-C ends the statement that a command waits for, on both databases."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from cloudpub_models.cli.boundary import interruptible

pytestmark = pytest.mark.alone

ENDLESS = {
    "postgresql": "SELECT pg_sleep(60)",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n",
}


@pytest.fixture
def interrupt_soon():
    """Interrupts this process a moment after it is called; called where an interrupt is waited for."""
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    yield timer.start
    timer.join()


def test_a_statement_is_ended(database, backend, interrupt_soon):
    database.ping()
    with pytest.raises(KeyboardInterrupt), interruptible(database):
        interrupt_soon()
        database.raw_query_all(ENDLESS[backend])
    assert database.ping()
    assert signal.set_wakeup_fd(-1) == -1


def test_so_is_one_in_a_transaction(database, managers, backend, interrupt_soon):
    with pytest.raises(KeyboardInterrupt), interruptible(database), database.transaction():
        managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        interrupt_soon()
        list(database.raw_query_iter(ENDLESS[backend]))
    assert managers.users.count() == 0


def test_other_threads_are_left_alone(database):
    def work():
        with interruptible(database):
            done.append(database.ping())

    done = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_the_command_ends(cli_database_url, backend, workplace):
    # Made here, since a command makes no file to read from.
    if backend == "sqlite":
        (workplace / "demo.db").touch()
    command = [sys.executable, "-m", "cloudpub_models.cli", "sql", ENDLESS[backend], "--database", cli_database_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            # It says which database it talks to and sends the statement then.
            assert ("demo.db" if backend == "sqlite" else "postgresql") in process.stderr.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.3)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert (output, errors) == ("", "")
