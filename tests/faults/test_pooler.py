"""Behind PgBouncer in transaction mode: nothing leaks from one client to another, and nearly everything works."""

import contextlib
import math
import os
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.connection.postgresql import preparation
from cloudpub_models.errors import (
    CommitUnknownError,
    ConnectionFailedError,
    LockNotAvailableError,
    MigrationError,
    QueryTimeoutError,
    UniqueViolationError,
)
from tests.faults.servers import free_port
from tests.waiting import LONG_ENOUGH, wait_until
from tests.work.databases import opened

pytestmark = pytest.mark.in_pairs

ADA = {"email": "ada@example.com", "password_hash": "x"}


def find_pgbouncer():
    """Return where PgBouncer is, installing Debian's package where that can be done."""
    paths = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    found = shutil.which("pgbouncer", path=paths)
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(
                ["apt-get", "install", "-y", "-q", "--no-install-recommends", "pgbouncer"],
                timeout=60,
                capture_output=True,
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            )
        found = shutil.which("pgbouncer", path=paths)
    return found


class PgBouncer:
    """One that lends its one or two sessions for one transaction at a time; calling it starts it."""

    def __init__(self, server, settings=""):
        program = find_pgbouncer()
        if not program:
            pytest.skip(
                "PgBouncer is not installed and cannot be: this promise is not proven here (apt-get install it)"
            )
        self.port = free_port()
        self._directory = server.directory / f"pgbouncer-{self.port}"
        self._directory.mkdir()
        self._directory.chmod(0o777)
        configuration = self._directory / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nauth_type = any\n"
            f"pool_mode = transaction\nunix_socket_dir =\ndefault_pool_size = 2\nmax_client_conn = 50\n"
            f"{settings}"
        )
        self._command = [program, str(configuration)] + (["-u", "pgserver"] if os.geteuid() == 0 else [])
        self()

    def __call__(self):
        with (self._directory / "log").open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + LONG_ENOUGH
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                break
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self):
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def pgbouncer(server):
    """The port of one."""
    pooler = PgBouncer(server)
    yield pooler.port
    pooler.kill()


@pytest.fixture
def careless_url(server, migrated):
    """Where one leads that forgets how clients have asked it to open their sessions."""
    pooler = PgBouncer(server, "ignore_startup_parameters = options\n")
    yield server.url_at(pooler.port, migrated.rpartition("/")[2])
    pooler.kill()


@pytest.fixture
def start_pgbouncer(server):
    """One to be killed and started again."""
    pooler = PgBouncer(server)
    yield pooler
    pooler.kill()


@pytest.fixture
def migrated(url):
    database = Database(url)
    database.migrate()
    database.close()
    return url


@pytest.fixture
def pooled_url(server, pgbouncer, migrated):
    return server.url_at(pgbouncer, migrated.rpartition("/")[2])


@pytest.fixture
def database(pooled_url):
    database = Database(pooled_url, transaction_pooler=True, statement_timeout=3, lock_timeout=6)
    yield database
    database.close()


def settings_seen_by(connection):
    cursor = connection.cursor()
    names = (
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "TimeZone",
        "default_transaction_read_only",
    )
    shown = {}
    for name in names:
        cursor.execute(f"SHOW {name}")
        shown[name] = cursor.fetchone()[0]
    cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'")
    shown["advisory locks"] = cursor.fetchone()[0]
    cursor.execute("SELECT COUNT(*) FROM pg_cursors")
    shown["cursors"] = cursor.fetchone()[0]
    cursor.execute("SELECT COUNT(*) FROM pg_prepared_statements")
    shown["prepared statements"] = cursor.fetchone()[0]
    return shown


def test_nothing_leaks_to_another_client(server, pgbouncer, pooled_url, database):
    import psycopg2

    managers = Managers(database)
    direct = server.connect(pooled_url.rpartition("/")[2])
    expected = settings_seen_by(direct)
    direct.close()

    managers.users.insert(ADA)
    with database.transaction(isolation="SERIALIZABLE"):
        managers.users.insert({**ADA, "email": "bob@example.com"})
    with database.transaction(read_only=True):
        managers.users.count()
    with database.session():
        managers.users.count()
    managers.users.batch_insert([{**ADA, "email": f"{number}@example.com"} for number in range(50)])
    stream = managers.users.iterate(chunk_size=5)
    next(stream)
    stream.close()
    assert len(list(managers.users.iterate(chunk_size=5))) == 52
    with pytest.raises(QueryTimeoutError), database.transaction() as connection:
        connection.execute("SELECT pg_sleep(30)")
    with pytest.raises(UniqueViolationError), database.transaction():
        managers.users.insert(ADA)

    others = [psycopg2.connect(pooled_url) for _ in range(2)]
    try:
        for other in others:
            other.autocommit = False
            assert settings_seen_by(other) == expected
    finally:
        for other in others:
            other.close()


def test_limits_and_formats_hold_in_transactions(database):
    with database.transaction() as connection:
        shown = connection.execute(
            "SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock, "
            "current_setting('TimeZone') AS zone"
        )
    assert shown == [{"statement": "3s", "lock": "6s", "zone": "UTC"}]
    managers = Managers(database)
    managers.users.insert(ADA)
    with database.transaction():
        managers.users.update({"password_hash": "y"}, {"email": ADA["email"]})
        other = Database(database._known_url().target, transaction_pooler=True, lock_timeout=0.2)
        with pytest.raises(LockNotAvailableError), other.transaction():
            Managers(other).users.update({"password_hash": "y"}, {"email": ADA["email"]})
        other.close()


def test_managers_and_transactions_work(database):
    managers = Managers(database)
    user = managers.users.insert(ADA)
    assert managers.users.find_by_uuid(user.uuid).created_at.tzinfo is not None
    ran = []

    def work(connection):
        database.on_commit(lambda: ran.append(1))
        managers.users.update_by_id(user.id, {"password_hash": "y"})
        with pytest.raises(UniqueViolationError), database.transaction():
            managers.users.insert(ADA)
        assert connection.execute("SELECT COUNT(*) AS n FROM users") == [{"n": 1}]

    database.run_transaction(work)
    assert ran == [1]
    assert managers.users.upsert({**ADA, "password_hash": "z"}, ["email"]).id == user.id


def test_consumers_of_one_name_take_turns(migrated, pooled_url, database):
    """More of them than the pooler has sessions; what each gets is written with its position."""
    direct = Database(migrated)
    direct.history.enable()
    direct.raw_execute("CREATE TABLE effects (change_id BIGINT)")
    users = Managers(direct).users
    ids = [users.insert({"email": f"{number}@example.com", "password_hash": "x"}).id for number in range(40)]

    def consume():
        while True:
            with database.feed("worker", limit=3) as batch:
                for change in batch:
                    database.raw_execute("INSERT INTO effects (change_id) VALUES (@id)", {"id": change.row_id})
            if not batch:
                return

    threads = [threading.Thread(target=consume) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row["change_id"] for row in direct.raw_query_all("SELECT change_id FROM effects ORDER BY change_id")] == ids
    direct.close()


def test_each_change_has_its_own_actor(migrated, pooled_url, database, scale):
    """Eight clients on two sessions; some act as nobody, and some in transactions that are undone."""
    direct = Database(migrated)
    direct.history.enable()
    managers, each = Managers(database), scale(30, 150)
    ada = managers.users.insert(ADA)
    names = [f"client-{number}" for number in range(8)]
    functions = {name: managers.functions.insert({"user_id": ada.id, "name": name}).id for name in names}

    def act(name):
        for number in range(each):
            managers.functions.update_by_id(functions[name], {"status": f"nobody {number}"})
            with database.acting_as(name, number=number):
                managers.functions.update_by_id(functions[name], {"status": f"alone {number}"})
                with database.transaction():
                    managers.functions.update_by_id(functions[name], {"status": f"together {number}"})
                with contextlib.suppress(ZeroDivisionError), database.transaction():
                    managers.functions.update_by_id(functions[name], {"status": f"undone {number}"})
                    raise ZeroDivisionError

    threads = [threading.Thread(target=act, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, id in functions.items():
        changes = managers.functions.history(id)[-2::-1]
        assert [(change.actor, change.details.get("number"), change.after["status"]) for change in changes] == [
            (None if how == "nobody" else name, None if how == "nobody" else number, f"{how} {number}")
            for number in range(each)
            for how in ("nobody", "alone", "together")
        ]
    (last, *_) = managers.functions.history(functions[names[0]])
    assert database.undo(last.transaction_id).counts == {"functions": 1}
    managers.functions.delete_by_id(functions[names[0]])
    assert managers.functions.undelete(functions[names[0]]).row.status == f"alone {each - 1}"
    assert managers.functions.as_of(last.at).get_by_id(functions[names[0]]).status == f"together {each - 1}"
    direct.close()


def test_workers_share_rows_and_do_things_once(migrated, pooled_url, database):
    with opened(migrated) as direct:
        users = Managers(direct).users
        ids = [users.insert({"email": f"{number}@example.com", "password_hash": "new"}).id for number in range(12)]
    managers, done, fresh = Managers(database), [], []

    def work():
        while lease := managers.users.lease({"password_hash": "new"}, seconds=30):
            with lease:
                lease.renew()
                with lease.finish():
                    managers.users.update_by_id(lease.row.id, {"password_hash": "old"})
                done.append(lease.row.id)
        with database.once("report") as first:
            fresh.append(first)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ids
    assert sorted(fresh) == [False, False, False, True]


def test_the_documented_exceptions_say_so(database, pooled_url):
    with pytest.raises(MigrationError, match="leads to PostgreSQL itself"):
        database.migrate()
    direct_style = Database(pooled_url)
    with pytest.raises(ConnectionFailedError, match="unsupported startup parameter: options") as caught:
        direct_style.ping()
    assert not caught.value.transient
    assert "transaction_pooler" in str(caught.value)


def test_a_pooler_that_is_killed_under_load_loses_nothing(server, migrated, start_pgbouncer):
    """Killed and started again while threads write through it."""
    database = Database(server.url_at(start_pgbouncer.port, migrated.rpartition("/")[2]), transaction_pooler=True)
    users = Managers(database).users
    over = threading.Event()
    acknowledged, possible = [], []

    def write(number):
        step = 0
        while not over.is_set():
            step += 1
            email = f"{number}-{step}@example.com"

            def work(connection, email=email):
                users.insert(ADA | {"email": email})

            try:
                database.run_transaction(work, retries=50)
            except CommitUnknownError as error:
                if (outcome := error.resolve()) == "committed":
                    acknowledged.append(email)
                elif outcome != "rolled back":
                    possible.append(email)
                continue
            acknowledged.append(email)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.2)
        start_pgbouncer.kill()
        start_pgbouncer()
    reached = len(acknowledged)
    wait_until(lambda: len(acknowledged) > reached + 10)
    over.set()
    for thread in threads:
        thread.join()
    kept = users.values("email")
    database.close()
    print(f"{len(acknowledged)} acknowledged, {len(possible)} in doubt, {len(kept)} kept")
    assert len(kept) == len(set(kept))
    assert set(acknowledged) <= set(kept) <= set(acknowledged) | set(possible)


def test_one_that_nobody_told_of_keeps_nothing_that_is_prepared(careless_url, monkeypatch):
    """Lookups are prepared in sessions of one's own, and its sessions are everybody's."""
    monkeypatch.setattr(preparation, "SECONDS_OF_A_PLAN", 86_400.0)
    monkeypatch.setattr(preparation, "SECONDS_OF_YOUTH", 0.0)
    clients = [Database(careless_url) for _ in range(4)]
    ada = Managers(clients[0]).users.insert(ADA)
    line = Managers(clients[0]).function_logs.append(
        Managers(clients[0]).functions.insert({"user_id": ada.id, "name": "resize"}), "info", "…"
    )

    def ask(client):
        everybody = Managers(client)
        return [mine.function_logs.find_by_id(line.id) for mine in (everybody, everybody.owned_by(ada)) * 50]

    with ThreadPoolExecutor(len(clients)) as threads:
        assert list(threads.map(ask, clients)) == [[line] * 100] * len(clients)
    for client in clients:
        with client.session():
            assert client.engine.connection().prepares_from == math.inf
            assert client.raw_query_all("SELECT name FROM pg_prepared_statements") == []
        client.close()
