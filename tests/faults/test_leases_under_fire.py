"""Workers that are killed and that hang, with leases on what they do: every effect happens once."""

import os
import signal
import time

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.errors import LeaseLostError
from tests.work.databases import opened

pytestmark = pytest.mark.in_pairs

SECONDS = 2.0
WORKERS = 4
# What becomes of a job the first time that somebody has it, by its number.
KILLED, KILLED_AS_IT_FINISHES, HANGS, TAKES_LONG, FAILS = range(5)
FATES = 8
LEASED = {"status": "pending"}


@pytest.fixture
def url(request, backend, tmp_path):
    """The URL of a database that several processes open, with the tables of leases and one for effects."""
    url = f"sqlite:///{tmp_path}/c.db" if backend == "sqlite" else str(request.getfixturevalue("postgresql_url"))
    with opened(url) as database:
        database.raw_execute("CREATE TABLE effects (job INTEGER, attempts INTEGER)")
        database.raw_execute("CREATE TABLE refused (job INTEGER)")
    return url


class JobFailedError(Exception):
    """What a job raises that fails."""


def work(url):
    """Do jobs, each as its fate is, until none is left; in a process of its own."""
    database = Database(url, busy_timeout=30)
    functions = Managers(database).functions
    while functions.exists(LEASED):
        lease = functions.lease(LEASED, seconds=SECONDS)
        if lease is None:
            time.sleep(0.05)
            continue
        job = int(lease.row.name)
        fate = job % FATES if lease.attempts == 1 else FATES
        try:
            with lease:
                if fate == KILLED:
                    os.kill(os.getpid(), signal.SIGKILL)
                if fate == HANGS:
                    os.kill(os.getpid(), signal.SIGSTOP)
                if fate == TAKES_LONG:
                    time.sleep(2.5 * SECONDS)
                if fate == FAILS:
                    raise JobFailedError
                with lease.finish() as connection:
                    connection.execute(
                        "INSERT INTO effects VALUES (@job, @attempts)", {"job": job, "attempts": lease.attempts}
                    )
                    functions.update_by_id(lease.row.id, {"status": "active"})
                    if fate == KILLED_AS_IT_FINISHES:
                        os.kill(os.getpid(), signal.SIGKILL)
        except LeaseLostError:
            database.raw_execute("INSERT INTO refused VALUES (@job)", {"job": job})
        except JobFailedError:
            pass
    database.close()


def start(url):
    child = os.fork()
    if child:
        return child
    try:
        work(url)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - it is what the test wants to know
        import traceback

        traceback.print_exc()
    os._exit(1)


def run_workers(url, deadline):
    """Run workers until all have ended; start another one for each that was killed, and wake those that hang, late."""
    running, hanging, killed = {start(url) for _ in range(WORKERS)}, {}, 0
    try:
        while running:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            for child, since in list(hanging.items()):
                if time.monotonic() > since + 1.5 * SECONDS:
                    os.kill(child, signal.SIGCONT)
                    del hanging[child]
            for child in list(running):
                ended, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
                if not ended:
                    continue
                if os.WIFSTOPPED(status):
                    hanging[child] = time.monotonic()
                    continue
                running.remove(child)
                if os.WIFSIGNALED(status):
                    killed += 1
                    running.add(start(url))
                else:
                    assert os.WEXITSTATUS(status) == 0
    finally:
        for child in running:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return killed


def test_every_effect_happens_once(url, scale):
    jobs = scale(16, 304)
    with opened(url) as database:
        managers = Managers(database)
        ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        rows = [{"user_id": ada.id, "name": str(number), "status": "pending"} for number in range(jobs)]
        managers.functions.batch_insert(rows)
    killed = run_workers(url, time.monotonic() + scale(120, 1_200))
    with opened(url) as database:
        effects = database.raw_query_all("SELECT job, attempts FROM effects ORDER BY job")
        refused = sorted(row["job"] for row in database.raw_query_all("SELECT job FROM refused"))
        left = Managers(database).leases.count()
    each = jobs // FATES
    assert [effect["job"] for effect in effects] == list(range(jobs))
    assert killed == 2 * each
    assert refused == [job for job in range(jobs) if job % FATES == HANGS]
    # A heartbeat has kept what takes long; what was killed, hung or failed was done by the next one.
    assert [effect["attempts"] > 1 for effect in effects] == [
        job % FATES in (KILLED, KILLED_AS_IT_FINISHES, HANGS, FAILS) for job in range(jobs)
    ]
    assert left == 0
