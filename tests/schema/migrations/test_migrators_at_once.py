"""Several migrators at once apply each migration once, and one that has to wait for too long says so."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import peewee
import pytest

from cloudpub_models.component import Component
from cloudpub_models.errors import MigrationError
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Migrator
from cloudpub_models.schema.migrations.postgresql import LOCK_KEY
from tests.waiting import LONG_ENOUGH, wait_until

Connect = Callable[[], peewee.Database]

CHECKOUT = Path(__file__).parents[3]
SCRIPT = """
import time

def up(migrator, db):
    db.execute_sql("CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
    time.sleep(0.03)
    db.execute_sql("INSERT INTO journal VALUES ('{name}')")

def down(migrator, db):
    db.execute_sql("DROP TABLE {name}")
"""


@pytest.fixture
def directory(tmp_path: Path, empty: peewee.Database) -> Path:
    empty.execute_sql("CREATE TABLE journal (name VARCHAR(50))")
    path = tmp_path / "scripts"
    path.mkdir()
    for number in range(1, 6):
        (path / f"{number:04d}_step.py").write_text(SCRIPT.format(name=f"step{number}"))
    return path


def journal(database: peewee.Database) -> list[str]:
    return [name for (name,) in database.execute_sql("SELECT name FROM journal").fetchall()]


def test_threads(connect: Connect, directory: Path, empty: peewee.Database) -> None:
    applied: list[str] = []
    errors: list[BaseException] = []
    start = threading.Barrier(6)

    def migrate() -> None:
        database = connect()
        start.wait()
        try:
            applied.extend(Migrator(database, component.with_migrations(directory)).up())
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)
        finally:
            if not database.is_closed():
                database.close()

    threads = [threading.Thread(target=migrate) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(applied) == [f"{number:04d}_step" for number in range(1, 6)]
    assert journal(empty) == [f"step{number}" for number in range(1, 6)]
    assert [status.state for status in Migrator(empty, component.with_migrations(directory)).status()] == [
        "applied"
    ] * 5


def test_services_with_different_components(connect: Connect, directory: Path, empty: peewee.Database) -> None:
    """Both bring the same first component; each applies all of its own, whatever the other is doing."""
    services: dict[str, list[Component]] = {}
    for name in ("billing", "flags"):
        own = directory.parent / name
        own.mkdir()
        for number in (1, 2):
            (own / f"{number:04d}_step.py").write_text(SCRIPT.format(name=f"{name}{number}"))
        services[name] = [component.with_migrations(directory), Component(name, migrations=own, after=["cloudpub"])]

    def migrate(name: str) -> list[str]:
        database = connect()
        try:
            return Migrator(database, services[name]).up()
        finally:
            if not database.is_closed():
                database.close()

    with ThreadPoolExecutor(4) as threads:
        applied = [name for names in threads.map(migrate, [*services] * 2) for name in names]
    names = {name: [f"{name}.{number:04d}_step" for number in (1, 2)] for name in services}
    first = [f"{number:04d}_step" for number in range(1, 6)]
    assert sorted(applied) == sorted([*first, *names["billing"], *names["flags"]])
    for mine, other in (("billing", "flags"), ("flags", "billing")):
        states = {status.name: status.state for status in Migrator(empty, services[mine]).status()}
        assert states == {
            **dict.fromkeys([*first, *names[mine]], "applied"),
            **dict.fromkeys(names[other], "foreign"),
        }
        order = [name for name in journal(empty) if name.startswith(mine)]
        assert order == [f"{mine}1", f"{mine}2"]


def test_processes(connect: Connect, directory: Path, empty: peewee.Database) -> None:
    database = connect()
    if isinstance(database, peewee.SqliteDatabase):
        opened = f"peewee.SqliteDatabase({database.database!r}, timeout=60)"
    else:
        opened = f"peewee.PostgresqlDatabase({database.database!r}, **{database.connect_params!r})"
    program = (
        "import peewee, pathlib; from cloudpub_models.schema import Migrator; "
        "from cloudpub_models.platform.component import component; "
        f"print(*Migrator({opened}, component.with_migrations(pathlib.Path({str(directory)!r}))).up())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    applied = [name for process in running for name in process.communicate(timeout=120)[0].split()]
    assert [process.returncode for process in running] == [0] * 4
    assert sorted(applied) == [f"{number:04d}_step" for number in range(1, 6)]
    assert journal(empty) == [f"step{number}" for number in range(1, 6)]


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_waiting_holds_no_transaction_open_and_ends(connect: Connect, directory: Path, empty: peewee.Database) -> None:
    empty.execute_sql(f"SELECT pg_advisory_lock({LOCK_KEY})")
    impatient = connect()
    with pytest.raises(MigrationError, match=r"expected no other migrator for 0\.3 s; got one that holds the lock"):
        Migrator(impatient, component.with_migrations(directory), lock_timeout=0.3).up()
    impatient.close()
    seen: Counter[str] = Counter()

    def migrate() -> list[str]:
        # Peewee's connections belong to threads, so the waiting one is opened in its own.
        database = connect()
        try:
            return Migrator(database, component.with_migrations(directory), lock_timeout=LONG_ENOUGH).up()
        finally:
            database.close()

    def was_seen_idle() -> bool:
        rows = empty.execute_sql(
            "SELECT state FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid()",
            ("%pg_try_advisory_lock%",),
        ).fetchall()
        seen.update(state for (state,) in rows)
        return seen["idle"] >= 20

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(migrate)
        wait_until(was_seen_idle)
        empty.execute_sql(f"SELECT pg_advisory_unlock({LOCK_KEY})")
        assert len(waiting.result()) == 5
    assert "idle in transaction" not in seen


@pytest.mark.parametrize("connect", ["sqlite"], indirect=True)
def test_a_busy_sqlite_file_is_waited_for_and_then_named(
    tmp_path: Path, connect: Connect, directory: Path, empty: peewee.Database
) -> None:
    impatient = peewee.SqliteDatabase(str(tmp_path / "test.db"), timeout=0.05)
    with empty.atomic("IMMEDIATE"), pytest.raises(MigrationError, match="database is locked"):
        Migrator(impatient, component.with_migrations(directory), lock_timeout=0.3).up()
    assert len(Migrator(impatient, component.with_migrations(directory), lock_timeout=0.3).up()) == 5
    impatient.close()


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_table_lock_is_asked_for_again(
    connect: Connect, directory: Path, empty: peewee.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudpub_models.schema.migrations.postgresql.TABLE_LOCK_SECONDS", "0.1")
    (directory / "0006_wide.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('ALTER TABLE journal ADD COLUMN note TEXT')\n"
    )
    Migrator(empty, component.with_migrations(directory)).up("0005_step")
    reader = connect()
    reader.connect()
    reader.begin()
    reader.execute_sql("SELECT * FROM journal")
    done: list[str] = []

    def migrate() -> None:
        database = connect()
        done.extend(Migrator(database, component.with_migrations(directory), lock_timeout=LONG_ENOUGH).up())
        if not database.is_closed():
            database.close()

    thread = threading.Thread(target=migrate)
    thread.start()
    time.sleep(0.5)
    assert done == []
    reader.rollback()
    reader.close()
    thread.join()
    assert done == ["0006_wide"]
