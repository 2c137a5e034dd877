"""SQLite files shared by processes, and files whose users are killed, whose disk is full, or that are read-only."""

import gc
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloudpub_models import Database
from cloudpub_models.errors import ConnectionFailedError, InvalidQueryError, LockNotAvailableError, StorageError


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/shared.db"


def increment(number, url, count):
    """Add 1 to what was read, ``count`` times; return the longest that one took."""
    database = Database(url)
    longest = 0.0

    def work(connection):
        value = connection.execute("SELECT value FROM counters")[0]["value"]
        connection.execute("UPDATE counters SET value = @value", {"value": value + 1})

    for _ in range(count):
        started = time.monotonic()
        database.run_transaction(work, retries=0)
        longest = max(longest, time.monotonic() - started)
    database.close()
    return longest


@pytest.mark.alone
def test_read_modify_writes_of_eight_processes_are_exact(url, start_workers, scale):
    database = Database(url)
    database.raw_execute("CREATE TABLE counters (value INT)")
    database.raw_execute("INSERT INTO counters VALUES (0)")
    database.close()
    count = scale(100, 250)
    longest = start_workers(8, increment, url, count).results(60)
    database = Database(url)
    assert database.raw_query_single("SELECT value FROM counters") == {"value": 8 * count}
    database.close()
    print(f"{8 * count} increments, longest {max(longest):.3f} s")


def open_and_write(number, url, at):
    """Open the file at the same moment as the others do, and write a row."""
    time.sleep(max(0.0, at - time.time()))
    database = Database(url)
    database.raw_execute("CREATE TABLE IF NOT EXISTS rows (n INT)")
    database.raw_execute("INSERT INTO rows VALUES (@n)", {"n": number})
    database.close()


@pytest.mark.alone
def test_a_new_file_may_be_opened_by_many_at_once(tmp_path, start_workers):
    for attempt in range(5):
        url = f"sqlite:///{tmp_path}/new-{attempt}.db"
        start_workers(8, open_and_write, url, time.time() + 0.1).results(20)
        database = Database(url)
        assert database.raw_query_single("SELECT COUNT(*) AS n FROM rows") == {"n": 8}
        assert database.raw_query_single("PRAGMA journal_mode") == {"journal_mode": "wal"}
        database.close()


WRITE_UNTIL_KILLED = """
import sys
from cloudpub_models import Database

database = Database(sys.argv[1])
number = database.raw_query_single("SELECT COALESCE(MAX(n), 0) AS n FROM rows")["n"]
while True:
    number += 1
    with database.transaction() as connection:
        connection.execute("INSERT INTO rows VALUES (@n, @text)", {"n": number, "text": "x" * (number % 5000)})
        connection.execute("INSERT INTO pairs VALUES (@n)", {"n": number})
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_killed_writers_lose_nothing_acknowledged(url, scale):
    database = Database(url)
    database.raw_execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)")
    database.raw_execute("CREATE TABLE pairs (n INTEGER PRIMARY KEY)")
    database.close()
    kills, most = scale(5, 100), 0
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, "-c", WRITE_UNTIL_KILLED, url], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        time.sleep(random.uniform(0.0, 0.05))
        process.kill()
        lines = process.stdout.read().splitlines(keepends=True)
        process.stdout.close()
        process.wait()
        acknowledged = max((int(line) for line in lines if line.endswith("\n")), default=most)
        database = Database(url)
        assert database.raw_query_all("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        found = database.raw_query_single("SELECT COUNT(*) AS n, COALESCE(MAX(n), 0) AS most FROM rows")
        assert found["most"] >= acknowledged
        assert found["n"] == found["most"]
        assert database.raw_query_single("SELECT COUNT(*) AS n FROM pairs") == {"n": found["n"]}
        database.close()
        assert found["most"] > most
        most = found["most"]
    print(f"{kills} kills, {most} transactions")


def test_a_file_that_is_made_is_its_owner_s(tmp_path):
    path = tmp_path / "made.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.raw_execute("CREATE TABLE more (id INTEGER)")
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == dict.fromkeys(
        ["made.db", "made.db-wal", "made.db-shm"], 0o600
    )
    database.close()
    path.chmod(0o640)
    assert database.ping()
    assert path.stat().st_mode & 0o777 == 0o640
    database.close()


def test_a_full_disk_is_a_storage_error_and_keeps_what_was_there(url):
    database = Database(url)
    database.raw_execute("CREATE TABLE rows (text TEXT)")
    database.raw_execute("INSERT INTO rows VALUES ('kept')")
    with database.session():
        database.raw_query_all("PRAGMA max_page_count = 10")
        with pytest.raises(StorageError, match="disk's space"):
            with database.transaction() as connection:
                for _ in range(100):
                    connection.execute("INSERT INTO rows VALUES (@text)", {"text": "x" * 4000})
        assert database.raw_query_all("SELECT text FROM rows") == [{"text": "kept"}]
    with database.transaction() as connection:
        connection.execute("INSERT INTO rows VALUES ('also')")
    assert database.raw_query_single("SELECT COUNT(*) AS n FROM rows") == {"n": 2}
    database.close()


def mount_small_disk(directory):
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", directory], capture_output=True).returncode
        == 0
    )


def test_a_disk_that_is_really_full(tmp_path):
    directory = tmp_path / "disk"
    directory.mkdir()
    if os.geteuid() != 0 or not mount_small_disk(directory):
        pytest.skip("a small disk cannot be mounted here; PRAGMA max_page_count stands in for it in another test")
    try:
        database = Database(f"sqlite:///{directory}/shared.db")
        database.raw_execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)")
        acknowledged = 0
        with pytest.raises(StorageError):
            while True:
                with database.transaction() as connection:
                    connection.execute("INSERT INTO rows (text) VALUES (@text)", {"text": "x" * 20_000})
                acknowledged += 1
        assert acknowledged > 3
        assert database.raw_query_single("SELECT COUNT(*) AS n FROM rows") == {"n": acknowledged}
        assert database.raw_query_all("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        database.close()
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


# In a directory without permission SQLite cannot read a file in WAL mode either, whose log and index it has to make.
READ_ONLY_USER = """
import os, sys
from cloudpub_models import Database
from cloudpub_models.connection.sqlite import engine as sqlite
from cloudpub_models.errors import StorageError

Database("sqlite:///:memory:").ping()
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
database = Database(sys.argv[1])
reads = sys.argv[2] == "delete"
assert not reads or database.raw_query_all("SELECT n FROM rows") == [{"n": 1}]
for write in (
    lambda: database.raw_execute("INSERT INTO rows VALUES (2)"),
    lambda: database.run_transaction(lambda connection: connection.execute("DELETE FROM rows")),
):
    try:
        write()
    except StorageError as error:
        assert "permissions" in str(error), error
    else:
        raise AssertionError("it was written")
print("well")
"""


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_files_without_permission_to_write(tmp_path, journal):
    # Not below tmp_path, into which only its owner may look.
    directory = tempfile.mkdtemp(prefix="cloudpub-read-only-")
    path = os.path.join(directory, "shared.db")
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.execute("CREATE TABLE rows (n INT)")
    connection.execute("INSERT INTO rows VALUES (1)")
    connection.commit()
    connection.close()
    os.chmod(path, 0o444)
    os.chmod(directory, 0o555)
    finished = subprocess.run(
        [sys.executable, "-c", READ_ONLY_USER, f"sqlite:///{path}", journal], capture_output=True, text=True, timeout=20
    )
    os.chmod(directory, 0o755)
    assert (finished.stdout, finished.stderr) == ("well\n", "")


def read_and_write(number, database):
    """Use the inherited object in a child: never the parent's handle, so never inside its transaction."""
    try:
        seen = database.raw_query_single("SELECT COUNT(*) AS n FROM rows")["n"]
        database.raw_execute("INSERT INTO rows VALUES (99)")
    except LockNotAvailableError:
        return seen, "locked"
    return seen, "written"


@pytest.mark.alone
def test_a_forked_child_does_not_use_its_parents_handle(url, start_workers):
    database = Database(url, busy_timeout=0.3)
    database.raw_execute("CREATE TABLE rows (n INT)")
    with database.transaction() as connection:
        connection.execute("INSERT INTO rows VALUES (1)")
        assert start_workers(1, read_and_write, database).results(10) == [(0, "locked")]
        connection.execute("INSERT INTO rows VALUES (2)")
    assert start_workers(1, read_and_write, database).results(10) == [(2, "written")]
    assert [row["n"] for row in database.raw_query_all("SELECT n FROM rows")] == [1, 2, 99]
    assert database.raw_query_all("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    database.close()


CHILD_THAT_ENDS_NORMALLY = """
import gc, os, sys
from cloudpub_models import Database

database = Database(sys.argv[1])
database.raw_execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)")
# What a transaction writes does not fit into so little memory, so it is in the log before the commit.
database.engine.execute_sql("PRAGMA cache_size = 5")
for round in range(10):
    with database.transaction() as connection:
        for n in range(50):
            connection.execute("INSERT INTO rows (text) VALUES (@text)", {"text": "x" * 5000})
        child = os.fork()
        if child == 0:
            assert database.raw_query_single("SELECT COUNT(*) AS n FROM rows") == {"n": 50 * round}
            if round % 2:
                database.close()
            gc.collect()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        for n in range(50, 60):
            connection.execute("INSERT INTO rows (text) VALUES (@text)", {"text": "y" * 5000})
        connection.execute("DELETE FROM rows WHERE text LIKE 'y%'")
    assert database.raw_query_single("SELECT COUNT(*) AS n FROM rows") == {"n": 50 * (round + 1)}
assert database.raw_query_all("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
print("well")
"""


def test_a_child_that_ends_normally_ends_nothing_of_its_parents(url):
    finished = subprocess.run(
        [sys.executable, "-c", CHILD_THAT_ENDS_NORMALLY, url], capture_output=True, text=True, timeout=60
    )
    assert (finished.stdout, finished.stderr) == ("well\n", "")


def test_a_damaged_file_is_told_from_a_missing_one(tmp_path):
    path = tmp_path / "damaged.db"
    database = Database(f"sqlite:///{path}")
    database.raw_execute("CREATE TABLE rows (text TEXT)")
    database.run_transaction(
        lambda connection: [
            connection.execute("INSERT INTO rows VALUES (@text)", {"text": "x" * 3000}) for _ in range(100)
        ]
    )
    database.close()
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 20)
    database = Database(f"sqlite:///{path}")
    with pytest.raises((StorageError, ConnectionFailedError)):
        database.raw_query_all("SELECT text FROM rows")
    database.close()


CLOSING = """
import sys, threading, time
from cloudpub_models import Database, errors
database = Database(sys.argv[1])
slow = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000) SELECT MAX(n) AS n FROM c"
done, seen = threading.Event(), set()

def work():
    while not done.is_set():
        try:
            database.raw_query_all(slow)
            list(database.raw_query_iter(slow))
            with database.transaction() as connection:
                connection.execute(slow)
        except Exception as error:
            seen.add(type(error).__name__)

threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
until = time.monotonic() + 1
while time.monotonic() < until:
    try:
        database.close()
    except errors.InvalidQueryError as error:
        assert "got one in another thread" in str(error)
    time.sleep(0.002)
done.set()
for thread in threads:
    thread.join()
assert seen <= {"ConnectionLostError", "LockNotAvailableError"}, seen
assert database.ping()
database.close()
"""


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite:///{directory}/closed.db"])
def test_closing_while_threads_query_ends_their_statements_not_the_process(tmp_path, url):
    finished = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CLOSING, url.format(directory=tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr


def test_what_idle_threads_have_open_is_closed_too(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/cloud.db")
    database.raw_execute("CREATE TABLE t (n INTEGER)")
    with ThreadPoolExecutor(3) as threads:
        all_there = threading.Barrier(3)
        list(threads.map(lambda _: (all_there.wait(), database.ping()), range(3)))
        stop = database.on_query(lambda event: None)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cloud.db", "cloud.db-shm", "cloud.db-wal"]
        database.close()
        # The last connection to a file puts the write-ahead log into it.
        assert [path.name for path in tmp_path.iterdir()] == ["cloud.db"]
        stop()


def test_connections_of_threads_that_have_ended_are_closed_at_once(url):
    database = Database(url)
    database.raw_execute("CREATE TABLE rows (n INT)")
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for number in range(50):
            thread = threading.Thread(
                target=lambda n=number: database.raw_execute("INSERT INTO rows VALUES (@n)", {"n": n})
            )
            thread.start()
            thread.join()
        assert len(os.listdir("/proc/self/fd")) <= before + 1
    finally:
        gc.enable()
    assert database.raw_query_single("SELECT COUNT(*) AS n FROM rows") == {"n": 50}
    database.close()


def test_a_thread_that_ends_in_a_transaction_leaves_the_file_unlocked(url):
    database = Database(url, busy_timeout=0.1)
    database.raw_execute("CREATE TABLE rows (n INT)")
    kept = []

    def leave_open():
        kept.append(database.transaction())
        kept[0].__enter__()
        database.raw_execute("INSERT INTO rows VALUES (1)")

    gc.disable()
    try:
        thread = threading.Thread(target=leave_open)
        thread.start()
        thread.join()
        database.raw_execute("INSERT INTO rows VALUES (2)")
    finally:
        gc.enable()
    assert database.raw_query_all("SELECT n FROM rows") == [{"n": 2}]
    database.close()


def test_a_stream_goes_on_in_another_thread_when_its_own_has_ended():
    database = Database("sqlite:///:memory:")
    database.raw_execute("CREATE TABLE rows (n INT)")
    database.raw_execute("INSERT INTO rows VALUES (1), (2), (3)")
    streams = []

    def begin():
        streams.append(database.raw_query_iter("SELECT n FROM rows", chunk_size=1))
        next(streams[0])

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    assert [row["n"] for row in streams[0]] == [2, 3]
    database.close()


@pytest.mark.parametrize("becomes", ["deleted", "replaced"])
@pytest.mark.parametrize("moment", ["outside", "in a transaction", "in a new thread", "in a stream"])
def test_a_file_that_is_deleted_or_replaced_takes_no_more_writes(tmp_path, url, becomes, moment):
    database = Database(url)
    database.raw_execute("CREATE TABLE rows (n INT)")
    path = tmp_path / "shared.db"

    def change():
        path.rename(tmp_path / "old.db")
        if becomes == "replaced":
            sqlite3.connect(path).execute("CREATE TABLE rows (n INT)").connection.close()
        time.sleep(0.11)

    def write():
        database.raw_execute("INSERT INTO rows VALUES (1)")

    def write_around_the_change():
        with database.transaction():
            write()
            change()

    if moment == "in a transaction":
        work = write_around_the_change
    else:
        change()
        work = {
            "outside": write,
            "in a new thread": lambda: ThreadPoolExecutor(1).submit(write).result(),
            "in a stream": lambda: list(database.raw_query_iter("SELECT n FROM rows")),
        }[moment]
    got = "none" if becomes == "deleted" else "another one"
    with pytest.raises(StorageError, match=f"that was opened; got {got} at its path"):
        work()
    assert path.exists() is (becomes == "replaced")
    # Both may be put right: with the old one back, and with the database opened anew.
    (tmp_path / "old.db").replace(path)
    write()
    database.close()
    assert database.raw_query_all("SELECT n FROM rows") == [{"n": 1}]
    database.close()


def test_a_forked_child_does_not_read_on_in_its_parents_stream(url):
    database = Database(url)
    database.raw_execute("CREATE TABLE rows (n INT)")
    database.raw_execute("INSERT INTO rows VALUES (1), (2), (3)")
    stream = database.raw_query_iter("SELECT n FROM rows", chunk_size=1)
    next(stream)
    child = os.fork()
    if not child:
        try:
            next(stream)
        except InvalidQueryError as error:
            os._exit("its parent began" in str(error))
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert [row["n"] for row in stream] == [2, 3]
    database.close()
