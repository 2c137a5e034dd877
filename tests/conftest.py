"""What every test may ask for: a database of each kind, migrated and empty, and a record of the statements sent."""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import pkgutil
import random
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.pool import Pool
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import settings
from psycopg2 import extensions

import cloudpub_models
from cloudpub_models import Database, Managers, QueryEvent
from cloudpub_models.testing import postgresql as testing_postgresql
from cloudpub_models.testing.databases import fill_in_memory
from cloudpub_models.testing.postgresql import PostgresqlDatabases, ReusedDatabase
from tests.schema.roles import let_program_create, refuse_functions

DatabaseMaker = Callable[..., AbstractContextManager[str]]
PROCESSES = 8
# Rooms that walk through the whole library once more. What each module does is covered by the tests beside it, and all
# takes twice as long while coverage is measured.
NOT_COVERED = tuple(f"tests/{room}/" for room in ("abuse", "benchmarks", "docs", "examples", "growth", "house"))
SOAK_VARIABLE = "CLOUDPUB_SOAK"
PARTITIONED_VARIABLE, DISTRIBUTED_VARIABLE = "CLOUDPUB_PARTITIONED", "CLOUDPUB_DISTRIBUTED"
REFUSING_VARIABLE = "CLOUDPUB_REFUSING"
GROWING_TABLES = ("function_logs", "function_invocations")
IS_COVERED = pytest.StashKey[bool]()

# Every day the same examples, so that no run fails for what the one before it could have found; in a soak others.
settings.register_profile("every day", derandomize=True, database=None, deadline=None, max_examples=50)
settings.register_profile("soak", deadline=None, max_examples=1_000)
settings.load_profile("soak" if os.environ.get(SOAK_VARIABLE) else "every day")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Measure coverage of the library's modules as they are imported, and of nothing else until the tests.

    All of them, since one that a test is the first to import is one that a test without coverage may have imported.
    """
    measuring = Coverage.current()
    if measuring is None or session.config.getoption("dist", "no") != "no":
        return (yield)
    for module in pkgutil.walk_packages(cloudpub_models.__path__, f"{cloudpub_models.__name__}."):
        importlib.import_module(module.name)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what a soak alone runs, and have coverage measured once for each test and kind of database."""
    is_soak = bool(os.environ.get(SOAK_VARIABLE))
    covered = set[object]()
    for item in items:
        if item.get_closest_marker("soak") and not is_soak:
            # Here, before a server is started for it.
            item.add_marker(pytest.mark.skip(f"set {SOAK_VARIABLE}=1 to run the full numbers"))
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        test = (item.nodeid.partition("[")[0], parameters.get("backend"))
        # Other arguments would pass through the same lines, most of them.
        item.stash[IS_COVERED] = test not in covered and not item.nodeid.startswith(NOT_COVERED)
        covered.add(test)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was collected: half a million objects, a fifth of a second for each look."""
    _spare_collector()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Measure no coverage of a test that is not covered, nor of what is prepared for it.

    Afterwards spare the garbage collector what the tests of a folder have left, as the trees of all code that is read.
    """
    # Of a test that is marked ``no_cover`` the plugin ends it and begins it again: begun twice, it would not end.
    by_plugin = item.get_closest_marker("no_cover") is not None
    measuring = None if item.stash[IS_COVERED] or by_plugin else Coverage.current()
    if measuring:
        measuring.stop()
    try:
        return (yield)
    finally:
        if measuring:
            measuring.start()
        if nextitem is not None and nextitem.path.parent != item.path.parent:
            _spare_collector()


def _spare_collector() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _heed_interrupts() -> Iterator[None]:
    """Have SIGINT interrupt the processes that tests start, also where a shell started the tests with ``&``.

    Such a shell has what it starts ignore the signal, and that is inherited.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=["bounded", pytest.param("full", marks=pytest.mark.soak)])
def scale(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Chooses between a bounded number and the full one, which runs where ``CLOUDPUB_SOAK`` is set."""
    full = request.param == "full"
    return lambda bounded, all_of_it: all_of_it if full else bounded


@pytest.fixture
def seed() -> int:
    """What a test's random numbers begin with: the same every day, another one each time in a soak."""
    return random.SystemRandom().randrange(10**9) if os.environ.get(SOAK_VARIABLE) else 11


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URI of a PostgreSQL server; a test that asks for one fails where none can be had."""
    with testing_postgresql.postgresql_server() as uri:
        yield uri


@pytest.fixture(scope="session")
def databases_on_server(postgresql_server: str) -> Iterator[PostgresqlDatabases]:
    """Makes databases on the server."""
    databases = PostgresqlDatabases(postgresql_server)
    for variable, change in ((PARTITIONED_VARIABLE, partition), (DISTRIBUTED_VARIABLE, distribute)):
        if os.environ.get(variable):
            databases.template = changed_template(databases, change)
    if os.environ.get(REFUSING_VARIABLE):
        url = databases.create(databases.template)
        refuse_functions(url)
        databases.template = extensions.parse_dsn(url)["dbname"]
    yield databases
    databases.close()


def partition(database: Database, table: str) -> None:
    """Give a table partitions."""
    database.partition(table, "month")


def distribute(database: Database, table: str) -> None:
    """Leave a table what Citus allows where rows are distributed by their function.

    No references, since functions are elsewhere, and in every key the column by which rows are distributed; triggers
    neither, of which the table has none.
    """
    for change in (
        f"DROP CONSTRAINT {table}_function_id_fkey",
        f"DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY (id, function_id)",
        f"DROP CONSTRAINT {table}_uuid_key, ADD UNIQUE (uuid, function_id)",
    ):
        database.raw_execute(f"ALTER TABLE {table} {change}")


def changed_template(databases: PostgresqlDatabases, change: Callable[[Database, str], None]) -> str:
    """Return the name of a template in which the tables that only grow are changed, for the same tests to run on."""
    database = Database(databases.create(databases.template))
    for table in GROWING_TABLES:
        change(database, table)
    (row,) = database.raw_query_all("SELECT current_database() AS name")
    database.close()
    return str(row["name"])


@pytest.fixture(scope="session")
def postgresql_template(databases_on_server: PostgresqlDatabases) -> str:
    """The name of a migrated database to copy; copying takes milliseconds where migrating takes many."""
    return databases_on_server.template


@pytest.fixture(scope="session")
def postgresql_databases(databases_on_server: PostgresqlDatabases) -> DatabaseMaker:
    """Makes databases, each dropped at the end of its block."""

    @contextmanager
    def make(template: str | None = None) -> Iterator[str]:
        url = databases_on_server.create(template)
        try:
            yield url
        finally:
            databases_on_server.drop(url)

    return make


@pytest.fixture
def empty_postgresql_url(postgresql_databases: DatabaseMaker) -> Iterator[str]:
    """The URL of a PostgreSQL database without any table."""
    with postgresql_databases() as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_databases: DatabaseMaker, postgresql_template: str) -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database of the test's own."""
    with postgresql_databases(postgresql_template) as url:
        yield url


@pytest.fixture(scope="session")
def shared_postgresql(databases_on_server: PostgresqlDatabases) -> ReusedDatabase:
    """A migrated PostgreSQL database for one test after the other: emptying is faster than making one."""
    return ReusedDatabase(databases_on_server)


@pytest.fixture
def shared_postgresql_url(shared_postgresql: ReusedDatabase) -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database, in which a test may do what it likes."""
    if os.environ.get(REFUSING_VARIABLE):
        yield let_program_create(shared_postgresql.url)
    else:
        yield shared_postgresql.url
    shared_postgresql.make_ready()


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a kind of database; a test that uses it runs once on each."""
    return str(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, backend: str) -> str:
    """The URL of a migrated, empty database; in memory on SQLite, where ``database`` makes its tables."""
    return "sqlite:///:memory:" if backend == "sqlite" else str(request.getfixturevalue("shared_postgresql_url"))


@pytest.fixture
def database(database_url: str, backend: str) -> Iterator[Database]:
    """A migrated, empty database of the test's own."""
    database = Database(database_url)
    if backend == "sqlite":
        fill_in_memory(database)
    yield database
    database.close()


@pytest.fixture
def plain_tables(database: Database) -> None:
    """Tables without partitions, of which that is known: it is asked once a minute at most, and not to be counted."""
    for table in GROWING_TABLES:
        if database.engine.is_partitioned(table) or os.environ.get(DISTRIBUTED_VARIABLE):
            pytest.skip("tables with the keys, and the statements, that they have where rows are in one place")


@pytest.fixture
def keys_of_models() -> None:
    """Keys as the models have them, which partitions and distributed rows complete by a column."""
    if os.environ.get(PARTITIONED_VARIABLE) or os.environ.get(DISTRIBUTED_VARIABLE):
        pytest.skip("tables whose keys are those of their models")


@pytest.fixture
def kept_references() -> None:
    """References from every table, which there are not where rows are distributed."""
    if os.environ.get(DISTRIBUTED_VARIABLE):
        pytest.skip("tables that refer to others")


@pytest.fixture
def managers(database: Database) -> Managers:
    """The managers of ``database``."""
    return Managers(database)


@pytest.fixture
def session_locks(backend: str) -> None:
    """Locks of a session, by which migrations, partitions and rollups are made and counted one at a time."""
    if backend == "postgresql" and os.environ.get(REFUSING_VARIABLE):
        pytest.skip("what is done under a lock of the session")


@pytest.fixture(scope="session")
def processes() -> Iterator[Pool]:
    """Eight processes, started once, since starting them takes longer than all they do.

    They are forked from one that has the library, and nothing of this process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cloudpub_models.testing"])
    all_there = context.Barrier(PROCESSES + 1)
    pool = context.Pool(PROCESSES, all_there.wait, (60,))
    all_there.wait(60)
    yield pool
    pool.close()
    pool.join()


class StatementRecord(list[tuple[str, Any]]):
    """The statements sent while recording, with their parameters."""

    @property
    def sql(self) -> list[str]:
        return [sql for sql, _ in self]


@pytest.fixture
def statements(database: Database) -> Iterator[StatementRecord]:
    """Record what is sent to ``database``, but for what begins and ends transactions."""
    record = StatementRecord()

    def remember(query: QueryEvent) -> None:
        if query.sql.split()[0] not in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"):
            record.append((query.sql, query.parameters))

    stop = database.on_query(remember)
    yield record
    stop()
