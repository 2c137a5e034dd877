"""Exceptions out of signal handlers, at any moment of a unit of work: later work is kept, and nothing is left open."""

from __future__ import annotations

import gc
import itertools
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from contextvars import copy_context
from types import FrameType
from typing import Any

import psycopg2
import pytest

from cloudpub_models import Component, Database, Managers
from cloudpub_models.errors import ForeignKeyViolationError
from cloudpub_models.schema import Migrator
from tests.waiting import LONG_ENOUGH, wait_until

# What the interpreter lets a handler interrupt: a function as it begins, and what comes after a function of C.
MOMENTS = ("call", "c_return")

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Interrupted(BaseException):
    """What a handler raises; a time limit, or Ctrl-C."""


def raise_interrupted() -> None:
    raise Interrupted


class Interruption:
    """A handler that runs at one of the moments at which the library is interruptible, counted from a call's beginning.

    Attributes:
        came: whether there were as many.
    """

    def __init__(self, moment: int, handle: Callable[[], object] = raise_interrupted) -> None:
        self._left = moment
        self._handle = handle
        self.came = False

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        if event not in MOMENTS or not _is_ours(frame):
            return
        self._left -= 1
        if self._left == 0:
            self.came = True
            sys.setprofile(None)
            self._handle()

    def run(self, work: Callable[[], object]) -> None:
        sys.setprofile(self)
        try:
            # At the very end of a block, what a database was bound to stays so, as with any context manager in Python.
            copy_context().run(work)
        finally:
            sys.setprofile(None)


def _is_ours(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in ("cloudpub_models", "contextlib", "peewee")


# What a unit of work does; all that it has written is there, or nothing


def row(name: str) -> dict[str, Any]:
    return {"email": f"{name}@example.com", "password_hash": "…"}


def insert(database: Database, managers: Managers) -> None:
    managers.users.insert(row("unit"))


def batch(database: Database, managers: Managers) -> None:
    managers.users.batch_insert([row("unit"), row("unit2")])


def batch_returning(database: Database, managers: Managers) -> None:
    managers.users.batch_insert([row("unit"), row("unit2")], returning=True)


def transaction(database: Database, managers: Managers) -> None:
    with database.transaction():
        managers.users.insert(row("unit"))
        managers.users.insert(row("unit2"))


def read_only_transaction(database: Database, managers: Managers) -> None:
    with database.transaction(read_only=True):
        managers.users.count()


def savepoint(database: Database, managers: Managers) -> None:
    with database.transaction():
        with database.transaction():
            managers.users.insert(row("unit"))
        managers.users.insert(row("unit2"))


def repeated_transaction(database: Database, managers: Managers) -> None:
    def work(_connection: object) -> None:
        managers.users.insert(row("unit"))
        managers.users.insert(row("unit2"))

    database.run_transaction(work)


def session(database: Database, managers: Managers) -> None:
    with database.session():
        managers.users.insert(row("unit"))
        managers.users.count()


def transaction_in_session(database: Database, managers: Managers) -> None:
    with database.session(), database.transaction():
        managers.users.insert(row("unit"))
        managers.users.insert(row("unit2"))


def stream(database: Database, managers: Managers) -> None:
    for _ in managers.users.iterate(chunk_size=1):
        managers.users.count()


def stream_given_up(database: Database, managers: Managers) -> None:
    for _ in managers.users.iterate(chunk_size=1):
        break


def stream_in_transaction(database: Database, managers: Managers) -> None:
    with database.transaction():
        for _ in managers.users.iterate(chunk_size=1):
            managers.users.count()


def raw(database: Database, managers: Managers) -> None:
    database.raw_execute("INSERT INTO users (email, password_hash) VALUES ('unit@example.com', '…')")
    database.raw_query_all("SELECT id FROM users")


def peewee_insert(database: Database, managers: Managers) -> None:
    with database.bind():
        managers.users.model.create(**row("unit"))


def peewee_atomic(database: Database, managers: Managers) -> None:
    with database.bind(), database.engine.atomic():
        managers.users.model.create(**row("unit"))
        managers.users.model.create(**row("unit2"))


def migrate(database: Database, managers: Managers) -> None:
    database.migrate()


ONE, BOTH, NOTHING = {"unit"}, {"unit", "unit2"}, set[str]()
UNITS: dict[Callable[[Database, Managers], None], set[str]] = {
    insert: ONE,
    batch: BOTH,
    batch_returning: BOTH,
    transaction: BOTH,
    read_only_transaction: NOTHING,
    savepoint: BOTH,
    repeated_transaction: BOTH,
    session: ONE,
    transaction_in_session: BOTH,
    stream: NOTHING,
    stream_given_up: NOTHING,
    stream_in_transaction: NOTHING,
    raw: ONE,
    peewee_insert: ONE,
    peewee_atomic: BOTH,
    migrate: NOTHING,
}


# What has to hold afterwards


class Observer:
    """Another client of the database, which the library knows nothing of."""

    def __init__(self, url: str) -> None:
        self._postgresql = url.startswith("postgresql")
        self._connection: Any
        if self._postgresql:
            self._connection = psycopg2.connect(url, application_name="observer")
            self._connection.autocommit = True
        else:
            self._connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor()
        cursor.execute(sql)
        return list(cursor.fetchall())

    def names(self) -> set[str]:
        return {email.partition("@")[0] for (email,) in self.fetch("SELECT email FROM users")}

    def require_no_transaction(self) -> None:
        if self._postgresql:
            mine = "datname = current_database() AND application_name <> 'observer'"
            held = "SELECT pid FROM pg_locks JOIN pg_database ON oid = database WHERE locktype = 'advisory'"
            open_ones = f"SELECT query FROM pg_stat_activity WHERE {mine} AND state LIKE 'idle in%'"
            # The server learns by and by of a connection that was closed; one that garbage has would stay open.
            gc.disable()
            try:
                wait_until(lambda: self.fetch(f"{held} AND datname = current_database()") == [])
                wait_until(lambda: self.fetch(open_ones) == [])
            finally:
                gc.enable()
        else:
            # Somebody else's would lock it out.
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def shop_url(request: pytest.FixtureRequest, backend: str, tmp_path: Any) -> str:
    return f"sqlite:///{tmp_path}/shop.db" if backend == "sqlite" else str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def shop(backend: str, shop_url: str) -> Iterator[tuple[Database, Observer]]:
    database = Database(shop_url, max_connections=5, pool_timeout=0.3)
    if backend == "sqlite":
        database.migrate()
    with closing(Observer(shop_url)) as observer:
        yield database, observer
    database.close()


def require_work_is_kept(managers: Managers, observer: Observer, name: str) -> None:
    managers.users.insert(row(name))
    assert name in observer.names()
    assert managers.database.raw_query_single("SELECT @name AS name", {"name": name}) == {"name": name}


def require_nothing_is_left(database: Database, observer: Observer) -> None:
    observer.require_no_transaction()
    engine = database.engine
    assert engine.scopes() == []
    assert not engine.in_transaction()
    if database.dialect == "postgresql":
        pool = engine._pool  # type: ignore[attr-defined]
        assert not engine.keeps_connection()
        assert engine.is_closed()
        # Each of the places is there to be had.
        for connection in [pool.acquire() for _ in range(5)]:
            pool.release(connection)
    else:
        assert database.raw_query_all("PRAGMA query_only") == [{"query_only": 0}]
        assert database.raw_query_all("PRAGMA foreign_keys") == [{"foreign_keys": 1}]


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
@pytest.mark.parametrize("observed", [False, True], ids=["", "observed"])
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.__name__)
def test_an_interrupt_at_any_moment_leaves_nothing_behind(shop, unit, observed, scale):
    database, observer = shop
    managers = Managers(database)
    told: list[str] = []
    if observed:
        database.on_query(lambda query: told.append(query.sql))
    managers.users.batch_insert([row("first"), row("second")])
    for moment in range(1, 5000, scale(61, 1)):
        database.raw_execute("DELETE FROM users WHERE email LIKE 'unit%' OR email LIKE 'later%'")
        interruption = Interruption(moment)
        finished = False
        try:
            interruption.run(lambda: unit(database, managers))
            finished = True
        except Interrupted:
            # As the handler's exception is handled, with all that it has passed through.
            require_work_is_kept(managers, observer, "later")
        written = BOTH & observer.names()
        assert written == UNITS[unit] or (written == NOTHING and not finished)
        require_nothing_is_left(database, observer)
        require_work_is_kept(managers, observer, "later2")
        if observed:
            told.clear()
            database.ping()
            assert told == ["SELECT 1"]
        if not interruption.came:
            break
    else:
        pytest.fail("the unit of work has more moments than were tried")
    assert moment > 20


@pytest.mark.no_cover
def test_an_interrupted_migration_that_changes_a_table_leaves_references_enforced(shop, shop_url, scale, tmp_path):
    _, observer = shop
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "0001_note.py").write_text(
        "from peewee import CharField\n\n\n"
        "def up(migrator, db):\n    migrator.migrate(migrator.drop_column('users', 'note'))\n\n\n"
        "def down(migrator, db):\n    migrator.migrate(migrator.add_column('users', 'note', CharField(null=True)))\n"
    )
    notes = Component("notes", migrations=scripts)
    with closing(Database(shop_url, max_connections=5, pool_timeout=0.3, components=(notes,))) as database:
        managers = Managers(database)
        database.raw_execute("ALTER TABLE users ADD COLUMN note TEXT")
        migrator = Migrator(database.engine, database.components)
        for moment in range(1, 50_000, scale(201, 3)):
            if "notes.0001_note" in migrator.applied():
                migrator.down("notes.0001_note")
            database.engine.close()
            interruption = Interruption(moment)
            with suppress(Interrupted):
                interruption.run(database.migrate)
            require_nothing_is_left(database, observer)
            require_work_is_kept(managers, observer, f"unit{moment}")
            with pytest.raises(ForeignKeyViolationError):
                managers.functions.insert({"user_id": 4711, "name": "nobody's"})
            if not interruption.came:
                break
        else:
            pytest.fail("the migration has more moments than were tried")
        assert "notes.0001_note" in migrator.applied()
        assert moment > 1000


@pytest.mark.no_cover
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.__name__)
def test_a_handler_may_send_a_statement_and_the_collector_end_a_stream_at_any_moment(shop, unit, scale):
    database, observer = shop
    managers = Managers(database)
    managers.users.batch_insert([row("first"), row("second")])
    calls, every = 0, 0

    def handle(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        if event not in MOMENTS or not _is_ours(frame):
            return
        calls += 1
        # What COPY reads must not use the database; on its own connection that ends it, with an error.
        if calls % every == 0 and not frame.f_globals["__name__"].endswith("manager.columns.many"):
            sys.setprofile(None)
            if not database.engine.scopes():
                # Left unread, and ended where the collector finds it: here, since it is garbage at once.
                next(iter(database.raw_query_iter("SELECT id FROM users")))
            assert database.raw_query_single("SELECT @number AS number", {"number": calls}) == {"number": calls}
            sys.setprofile(handle)

    for number in range(scale(2, 30)):
        every = 31 - number
        database.raw_execute("DELETE FROM users WHERE email LIKE 'unit%' OR email LIKE 'later%'")
        sys.setprofile(handle)
        try:
            unit(database, managers)
        finally:
            sys.setprofile(None)
        assert BOTH & observer.names() == UNITS[unit]
        require_nothing_is_left(database, observer)
        require_work_is_kept(managers, observer, "later")
    assert calls > 60


@pytest.mark.alone
def test_real_signals_at_random_lose_no_work_that_was_acknowledged(shop, scale, monkeypatch):
    """Time limits that expire at random, as of Celery's tasks."""
    # What is raised in a finalizer is dropped, as programs do: kept for the report, it would keep what it has met.
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: None)
    database, observer = shop
    managers = Managers(database)
    chance = random.Random(7)
    acknowledged: list[str] = []
    interrupts = 0

    def expire(_signal: int, _frame: object) -> None:
        raise Interrupted

    def work(number: int) -> None:
        name = f"unit{number}"
        if number % 3 == 0:
            managers.users.insert(row(name))
        elif number % 3 == 1:
            with database.transaction():
                managers.users.insert(row(name))
                with database.transaction():
                    managers.users.update({"email": f"{name}@example.com"}, {"password_hash": "another"})
        else:
            managers.users.batch_insert([row(name)])
        acknowledged.append(name)

    before = signal.signal(signal.SIGALRM, expire)
    until = time.monotonic() + scale(2, 120)
    numbers = itertools.count()
    try:
        while time.monotonic() < until or min(interrupts, len(acknowledged)) <= 100:
            assert time.monotonic() < until + LONG_ENOUGH
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, chance.choice((4e-3, 4e-2))))
                # Not for ever: in a finalizer the interpreter swallows what a handler raises.
                for number in itertools.islice(numbers, 200):
                    work(number)
            except Interrupted:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    require_nothing_is_left(database, observer)
    assert set(acknowledged) <= observer.names()
    print(f"{interrupts} interrupts, {len(acknowledged)} units of work acknowledged, all of them there")
