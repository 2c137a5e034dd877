"""Migrators that race each other and migrators that are killed: each step once, none half, and the next goes on."""

import os
import random
import subprocess
import sys
import time

import pytest

from cloudpub_models import Component, Database
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.migrations.postgresql import Session
from tests.waiting import wait_until

STEPS = 50
LOCKED = "SELECT COUNT(*) AS n FROM pg_locks WHERE locktype = 'advisory'"

# Each step makes a table of its own, then fills it: half of one would be a table without its row. Nothing in it can be
# run twice.
STEP = """
import os
import time


def up(migrator, db):
    print("step", flush=True)
    db.execute_sql("CREATE TABLE step_{number} (n INT)")
    time.sleep(float(os.environ.get("PAUSE", 0)))
    db.execute_sql("INSERT INTO step_{number} VALUES ({number})")
    db.execute_sql("INSERT INTO steps VALUES ({number})")
"""

MIGRATE = """
import sys
from pathlib import Path
from cloudpub_models import Component, Database
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.migrations.migrator import Migrator
from cloudpub_models.schema.migrations.postgresql import Session

database = Database(sys.argv[1])
print("begun", flush=True)
Migrator(database.engine, Component(sys.argv[3], migrations=Path(sys.argv[2]))).up()
"""


@pytest.fixture(params=["cloudpub", "billing"])
def component(request):
    """Whose the steps are: the platform's, or those of somebody's own."""
    return request.param


@pytest.fixture
def steps(tmp_path):
    """The directory of the steps, each of which takes as many seconds as ``$PAUSE`` says."""
    directory = tmp_path / "steps"
    directory.mkdir()
    for number in range(1, STEPS + 1):
        (directory / f"{number:04d}_step.py").write_text(STEP.format(number=number))
    return directory


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path):
    """The URL of a database that has nothing but the table in which steps sign."""
    url = request.getfixturevalue("url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/steps.db"
    database = Database(url)
    database.raw_execute("CREATE TABLE steps (n INT)")
    database.close()
    return url


def check_steps(url, component, complete):
    """Assert that steps were taken in order, once and whole; return how many."""
    database = Database(url)
    taken = [row["n"] for row in database.raw_query_all("SELECT n FROM steps ORDER BY n")]
    assert taken == list(range(1, len(taken) + 1))
    tables = {table for table in database.engine.get_tables() if table.startswith("step_")}
    assert tables == {f"step_{number}" for number in taken}
    for number in taken:
        assert database.raw_query_all(f"SELECT n FROM step_{number}") == [{"n": number}]
    recorded = []
    if database.engine.table_exists("cloudpub_migrations"):
        recorded = database.raw_query_all("SELECT name FROM cloudpub_migrations ORDER BY name")
    assert [row["name"] for row in recorded] == names(component, len(taken))
    if complete:
        assert len(taken) == STEPS
    database.close()
    return len(taken)


def names(component, count):
    prefix = "" if component == "cloudpub" else f"{component}."
    return [f"{prefix}{number:04d}_step" for number in range(1, count + 1)]


def migrate(number, url, directory, component):
    database = Database(url)
    applied = Migrator(database.engine, Component(component, migrations=directory)).up()
    database.close()
    return applied


def test_ten_migrators_at_once_apply_each_step_once(empty_url, steps, start_workers, component):
    results = start_workers(10, migrate, empty_url, steps, component).results(60)
    assert sorted(name for applied in results for name in applied) == names(component, STEPS)
    check_steps(empty_url, component, complete=True)


def test_killed_migrators_leave_nothing_half_and_the_next_goes_on(empty_url, steps, scale, component):
    kills, points = scale(4, 30), []
    while len(points) < kills:
        process = subprocess.Popen(
            [sys.executable, "-c", MIGRATE, empty_url, str(steps), component],
            stdout=subprocess.PIPE,
            env=os.environ | {"PAUSE": "0.02"},
            text=True,
        )
        assert process.stdout.readline() == "begun\n"
        # Before the first step, or somewhere inside one of the next.
        for _ in range(len(points) % 4):
            assert process.stdout.readline() == "step\n"
        time.sleep(random.uniform(0, 0.03))
        assert process.poll() is None
        process.kill()
        process.wait()
        process.stdout.close()
        if empty_url.startswith("sqlite"):
            points.append(check_steps(empty_url, component, complete=False))
        else:
            # The server may take a moment to notice; the next migrator waits for the lock until it has.
            points.append(None)
            database = Database(empty_url)
            wait_until(lambda database=database: database.raw_query_single(LOCKED) == {"n": 0})
            database.close()
            points[-1] = check_steps(empty_url, component, complete=False)
        if points[-1] > STEPS - 10:
            # Begin again, so that every kill hits a run that has something to do.
            database = Database(empty_url)
            for name in [f"step_{number}" for number in range(1, points[-1] + 1)] + ["cloudpub_migrations"]:
                database.raw_execute(f"DROP TABLE {name}")
            database.raw_execute("DELETE FROM steps")
            database.close()
    print(f"steps taken at each kill: {points}")
    assert max(points) > 0
    migrate(0, empty_url, steps, component)
    check_steps(empty_url, component, complete=True)


def test_a_lock_that_is_left_with_a_poolers_session_is_let_go_of(server, url):
    """What a pooler in transaction mode does: the statements of one client run in several sessions."""
    database = Database(url)
    first, second = database.engine._open_connection(), database.engine._open_connection()
    run = Session(database.engine, 1)
    engine = database.engine
    engine.pin()
    engine._keep_connection(first)
    run.acquire()
    engine._keep_connection(second)
    with pytest.raises(MigrationError, match="expected one session for the whole run"), run.transaction():
        pass
    run.release()
    database.close()
    later = Database(url)
    assert later.migrate()
    later.close()
