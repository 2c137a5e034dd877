"""A component's tables in every tool: each command, the notebook, the plugin, a worker. None shows what is secret.

A command or a fixture that is added fails here until it is tried with them.
"""

from __future__ import annotations

import atexit
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
from typer.main import get_command
from typer.testing import Result

import pytest_cloudpub
from cloudpub_models import database as default_database
from cloudpub_models.cli.application import application
from cloudpub_models.component import project_components
from cloudpub_models.testing.postgresql import SERVER_VARIABLE
from tests.schema.roles import owned_by_program

pytest_plugins = ["pytester"]

Run = Callable[..., Result]

ROOT = Path(__file__).parents[2]
HASH = "!hash-that-nobody-sees"
USER = '{"id": 1, "email": "ada@example.com", "password_hash": "x"}'
KEY = json.dumps({"id": 5, "user_id": 1, "name": "deploy", "key_hash": HASH})
CHARGES = "\n".join(json.dumps({"number": f"A-{n}", "api_key_id": 5, "cents": 100 * n}) for n in (1, 2))

PROJECT = """
from pathlib import Path
from tests.cli.billing import ApiKey, Charge, component as without_scripts
component = without_scripts.with_migrations(Path(__file__).parent / "scripts")
"""
PROJECT_FILE = '[tool.cloudpub]\ncomponents = ["billing_9c:component"]\n'
WORKER = """
import logging
from billing_9c import component
from cloudpub_models import database, managers
logging.basicConfig(level=logging.DEBUG)
database.initialize(components=[component])
for charge in managers.charges.claim({"cents": 100}, {"cents": 0}, limit=9):
    print("claimed", charge.number, managers.api_keys.get_by_id(charge.api_key_id).name)
hash = managers.api_keys.get_by_id(5).key_hash
print(managers.api_keys.find_all({"key_hash": hash}), managers.api_keys.update_by_id(5, {"key_hash": hash}))
try:
    database.raw_execute("UPDATE api_keys SET key_hash = @hash WHERE nothing = 1", {"hash": hash})
except Exception as error:
    print("refused", error)
"""
FEED = """
with database.feed("index") as batch:
    print(*sorted({change.table for change in batch}))
"""
TESTS = """
from tests.cli.billing import ApiKey, Charge

def try_out(managers, factory, assert_statements):
    charge = factory.row(Charge, cents=7)
    assert charge.api_key.user.email == "user-1@example.com"
    with assert_statements(2):
        (key,) = managers.api_keys.find_all(include={"charges": {}})
    assert key.charges == [charge]

def test_sqlite(cloudpub_database, cloudpub_managers, cloudpub_factory, assert_statements):
    try_out(cloudpub_managers, cloudpub_factory, assert_statements)

def test_postgresql(cloudpub_postgres, cloudpub_managers, cloudpub_factory, assert_statements):
    assert cloudpub_postgres.dialect == "postgresql"
    try_out(cloudpub_managers, cloudpub_factory, assert_statements)
"""


def commands_of(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command, those in groups too."""
    for name, each in getattr(command, "commands", {}).items():
        yield from commands_of(each, *names, name)
    if not hasattr(command, "commands"):
        yield names


class Walk:
    """Runs commands, which show no secret unless they are asked to, and knows which have not been run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.left = set(commands_of(get_command(application)))

    def __call__(self, *arguments: str, stdin: str = "", exit_code: int = 0) -> str:
        result = self._run(*arguments, stdin=stdin)
        assert result.exit_code == exit_code, result.output
        assert HASH not in result.output or "--with-secrets" in arguments
        self.left -= {arguments[:1], arguments[:2], arguments[:3]}
        return result.stdout


@pytest.fixture
def walk(run: Run, cli_database_url: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Walk]:
    """In a project with a component, whose scripts are still to be written, and an empty database."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", cli_database_url)
    (workplace / "billing_9c.py").write_text(PROJECT)
    (workplace / "pyproject.toml").write_text(PROJECT_FILE)
    yield Walk(run)
    sys.modules.pop("billing_9c", None)


def try_the_notebook(place: Path) -> None:
    config = Config()
    config.HistoryManager.enabled = False
    session = InteractiveShell(config=config, ipython_dir=str(place / "ipython"))
    default_database.initialize(components=project_components())
    shown = []
    for cell in (
        "%load_ext cloudpub_models.notebook",
        "from cloudpub_models import managers",
        "managers.api_keys.find_all(include={'charges': {}})",
        "managers.charges.paginate(1, 10)",
        "%cloudpub SELECT k.*, c.number FROM api_keys k JOIN charges c ON c.api_key_id = k.id",
        "%unload_ext cloudpub_models.notebook",
    ):
        outcome = session.run_cell(cell)
        outcome.raise_error()
        if outcome.result is not None:
            forms, _ = session.display_formatter.format(outcome.result)
            shown.append("".join(forms.values()))
    default_database.close()
    atexit.unregister(session.atexit_operations)
    assert ["deploy" in text for text in shown] == [True, False, True]
    assert ["A-2" in text for text in shown] == [False, True, True]
    assert HASH not in "".join(shown)


def try_a_worker(place: Path) -> None:
    (place / "worker.py").write_text(WORKER)
    done = subprocess.run([sys.executable, "worker.py"], capture_output=True, text=True, check=True)
    assert "claimed A-1 deploy\n[<ApiKey id=5" in done.stdout
    assert "refused" in done.stdout
    assert "UPDATE" in done.stderr
    assert HASH not in done.stdout + done.stderr


def test_every_tool(walk: Walk, cli_database_url: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one step has made, the next uses; that all have been tried is asked at the end."""

    # Its migrations
    assert walk("migrate", "new", "tables", "--component", "billing", "--from-models") == "scripts/0001_tables.py\n"
    assert "-- billing.0001_tables: one transaction\nCREATE TABLE" in walk("migrate", "up", "--plan")
    assert walk("migrate", "up").splitlines()[-1] == "applied billing.0001_tables"
    [recorded] = json.loads(walk("migrate", "status", "--component", "billing", "--json"))["migrations"]
    assert (recorded["name"], recorded["state"]) == ("billing.0001_tables", "applied")
    assert "no drift" in walk("migrate", "check", "--component", "billing")
    walk("sql", "--write", "DELETE FROM cloudpub_migrations WHERE component = 'billing'")
    assert "adopted: billing.0001_tables recorded as applied" in walk("migrate", "adopt")

    # Its rows
    for table, lines in {"users": USER, "api_keys": KEY, "charges": CHARGES}.items():
        walk("load", table, "-", stdin=lines)
    (key,) = map(json.loads, walk("find", "api_keys", "user_id=1", "--json").splitlines())
    assert (key["name"], "key_hash" in key) == ("deploy", False)
    assert "A-2" in walk("find", "charges", "api_key_id=5", "cents>100")
    assert walk("count", "charges") == "2\n"
    assert [each["number"] for each in json.loads(walk("show", "api_keys", "5", "--json"))["charges"]] == ["A-2", "A-1"]
    assert "deploy" in walk("show", "charges", "A-1")
    assert "deploy" in walk("dump", "api_keys")
    assert HASH in walk("dump", "api_keys", "--with-secrets")
    assert "***" in walk("sql", "SELECT * FROM api_keys")
    walk("sql", "--write", f"UPDATE api_keys SET key_hash = '{HASH}', nothing = 1", exit_code=1)
    walk("load", "api_keys", "-", stdin=KEY, exit_code=1)
    walk("load", "api_keys", "-", stdin=KEY.replace("name", "title"), exit_code=1)
    preview = "managers.for_model(ApiKey).delete_preview({'name': 'deploy'})"
    assert walk("shell", stdin=f"print({preview})") == "{'api_keys': 1, 'charges': 2}\n"

    assert '"name": "deploy"' in walk("graphql", "query", "{ apiKeys { nodes { name user { email } } } }")
    assert "keyHash" in walk("graphql", "query", "{ apiKeys { nodes { keyHash } } }", exit_code=1)

    query = "{ apiKeys { nodes { name user { email } } } }"
    assert json.loads(walk("graphql", "query", query)) == {
        "data": {"apiKeys": {"nodes": [{"name": "deploy", "user": {"email": "ada@example.com"}}]}}
    }
    assert "keyHash" not in walk("graphql", "schema")

    # Whose they are: where the database can hold rows to their owners
    if cli_database_url.startswith("postgresql"):
        program = ("--database", owned_by_program(cli_database_url))
        assert "api_keys, charges" in walk("guard", "on", *program)
        assert walk("count", "charges", *program) == "0\n"
        assert "api_keys, charges" in walk("guard", "off", *program)
    else:
        walk("guard", "on", exit_code=1)
        walk("guard", "off", exit_code=1)

    # Its words
    assert walk("search", "index", "on", "api_keys") == "indexed: api_keys\n"
    assert walk("search", "index", "on") == "indexed: organizations, functions, function_logs\n"
    assert "api_keys" in walk("search", "index", "off")

    # Its schema
    assert "type ApiKey {" in walk("graphql", "schema")
    assert 'label="billing"' in walk("schema", "--from", "database", "--format", "dot")
    assert "billing (2 tables)" in walk("doctor")

    # Its programs
    try_the_notebook(workplace)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    try_a_worker(workplace)

    # Its changes
    assert "api_keys, charges" in walk("history", "on", "--also", "api_keys", "--also", "charges")
    walk("shell", stdin=f"managers.for_model(ApiKey).update_by_id(5, {{'name': 'read', 'key_hash': '{HASH}2'}})")
    (change,) = json.loads(walk("history", "show", "api_keys", "5", "--json"))
    assert (change["before"]["name"], change["after"]["name"]) == ("deploy", "read")
    assert "1 of api_keys" in walk("history", "undo", str(change["transaction_id"]), "--yes")
    assert walk("count", "api_keys", "name=deploy") == "1\n"
    walk("shell", stdin="managers.for_model(ApiKey).delete_by_id(5)")
    assert "delete charges A-1" in walk("history", "show", "charges", "A-1")
    assert "1 of api_keys, 2 of charges" in walk("history", "undelete", "api_keys", key["uuid"], "--yes")
    assert walk("count", "charges") == "2\n"
    assert json.loads(walk("delete", "api_keys", "id=5", "--preview", "--json"))["preview"] == {
        "api_keys": 1,
        "charges": 2,
    }
    assert walk("shell", stdin=FEED) == "api_keys charges\n"
    assert "index" in walk("history", "consumers")
    walk("history", "move-consumer", "index", "oldest", "--yes")
    walk("history", "remove-consumer", "index", "--yes")
    assert "emptied" in walk("history", "forget", "charges", "A-1", "--yes")
    assert "deleted" in walk("history", "prune", "--older-than", "0s", "--yes")
    assert "charges" in walk("history", "off")

    # What is about the platform's functions goes on beside it, and leaves it alone.
    walk("demo", "--invocations", "10", "--json", "--database", cli_database_url)
    (function,) = map(json.loads, walk("find", "functions", "--limit", "1", "--json").splitlines())
    walk("logs", function["uuid"])
    walk("stats", function["uuid"])
    walk("rollup", "on")
    walk("rollup")
    walk("stats", function["uuid"])
    walk("rollup", "off")
    walk("archive", "function_invocations", "--older-than", "1d", "--to", "archive")
    walk("prune", "logs", "--older-than", "1d", "--yes")
    walk("partition", "function_logs", "--dry-run", exit_code=0 if cli_database_url.startswith("postgresql") else 1)
    # There are no servers that would have anything of it.
    for words in (("cells",), ("cells", "initialize"), ("cells", "move", "1", "--to", "1"), ("cells", "sweep")):
        walk(*words, exit_code=1)
    assert walk("count", "charges") == "2\n"

    assert walk("migrate", "down", "--component", "billing", "--yes") == "reverted billing.0001_tables\n"
    walk("count", "charges", exit_code=1)
    assert walk.left == set()


def test_the_plugin(pytester: pytest.Pytester, postgresql_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fixtures = re.findall(r"^@pytest\.fixture\ndef ([a-z]\w+)\(", inspect.getsource(pytest_cloudpub), re.MULTILINE)
    assert "cloudpub_factory" in fixtures
    assert [name for name in fixtures if name not in TESTS] == []
    # The plugin that is installed is the one to find.
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry).resolve() != ROOT])
    monkeypatch.setenv(SERVER_VARIABLE, postgresql_server)
    pytester.makepyprojecttoml('[tool.cloudpub]\ncomponents = ["tests.cli.billing:component"]')
    pytester.makepyfile(TESTS)
    pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider").assert_outcomes(passed=2)
