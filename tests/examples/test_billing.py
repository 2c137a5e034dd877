"""The example package, as somebody has it who installs it: in an environment of its own, beside the library's wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from cloudpub_models import Database
from cloudpub_models.schema.migrations.applied import HISTORY_TABLE
from cloudpub_models.testing.postgresql import SERVER_VARIABLE

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "examples" / "billing"
PAGE = (CHECKOUT / "docs" / "OWN_TABLES.md").read_text(encoding="utf-8")

NO_DRIFT = "no drift: the database is what the models say\n"
FLAGS_PROJECT = """
[build-system]
requires = ["setuptools>=70.1"]
build-backend = "setuptools.build_meta"
[project]
name = "cloudpub-flags"
version = "1"
[project.entry-points."cloudpub_models.components"]
flags = "flags:component"
[tool.setuptools]
packages = ["flags", "flags.migrations"]
"""
FLAGS = """
from cloudpub_models import Component
from cloudpub_models.entity import BooleanField, CharField, Default, Entity
class Flag(Entity):
    name = CharField(max_length=40, primary_key=True)
    on = BooleanField(default=False, constraints=[Default("FALSE")])
    class Meta:
        table_name = "flags"
component = Component("flags", [Flag], "flags.migrations")
"""
FLAGS_SCRIPT = """
from cloudpub_models.entity import BooleanField, CharField, Default, Entity
class Flag(Entity):
    name = CharField(max_length=40, primary_key=True)
    on = BooleanField(default=False, constraints=[Default("FALSE")])
    class Meta:
        table_name = "flags"
def up(migrator, db):
    db.create_tables([Flag])
def down(migrator, db):
    db.drop_tables([Flag])
"""
NEXT_OF_THE_PLATFORM = """
def up(migrator, db):
    db.execute_sql("CREATE INDEX functions_name_idx ON functions (name)")
def down(migrator, db):
    db.execute_sql("DROP INDEX functions_name_idx")
"""
# Commands in one process, since each would take most of a second to start.
RUN_COMMANDS = """
import json, sys
from typer.testing import CliRunner
from cloudpub_models.cli.application import application
printed = []
for arguments, given in json.load(sys.stdin):
    result = CliRunner().invoke(application, arguments, input=given, prog_name="cloudpub")
    if result.exit_code != 0:
        sys.exit(f"{arguments}: {result.output}")
    printed.append(result.stdout)
print(json.dumps(printed))
"""
RUN_NOTEBOOK = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}), ipython_dir=sys.argv[2])
shown = []
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        outcome = shell.run_cell("".join(cell["source"]))
        outcome.raise_error()
        if outcome.result is not None:
            shown.append(shell.display_formatter.format(outcome.result)[0].get("text/html", ""))
print("tables:", *shown)
"""


class Environment:
    """A virtual environment with the library, the example and a second package, each from its wheel.

    What they depend on is this environment's own, so that nothing is fetched.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.sources = place / "sources"
        venv.create(place / "venv")
        self.site = Path(sysconfig.get_path("purelib", vars={"base": str(place / "venv")}))
        (self.site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        hidden = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "node_modules")
        shutil.copytree(PACKAGE, self.sources / "billing", ignore=hidden)
        (self.sources / "library").mkdir()
        for name in ("pyproject.toml", "README.md", "pytest_cloudpub.py"):
            shutil.copy(CHECKOUT / name, self.sources / "library" / name)
        shutil.copytree(CHECKOUT / "cloudpub_models", self.sources / "library" / "cloudpub_models", ignore=hidden)
        self.install("library", "billing")

    def install(self, *names: str) -> None:
        """Make wheels of sources, unless they have been made, and install them."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        offline = ["--quiet", "--no-deps", "--no-index"]
        wheels = self.place / "wheels" / "-".join(names)
        sources = [str(self.sources / name) for name in names]
        if not wheels.exists():
            run([*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(wheels), *sources])
        made = [str(path) for path in wheels.iterdir()]
        run(
            [
                *pip,
                "--python",
                self.python,
                "install",
                *offline,
                "--ignore-installed",
                "--no-warn-script-location",
                # What is imported is compiled then; the rest need not be.
                "--no-compile",
                *made,
            ]
        )

    @property
    def python(self) -> str:
        return str(self.place / "venv" / "bin" / "python")

    def add_second_package(self) -> None:
        package = self.sources / "flags" / "flags"
        (package / "migrations").mkdir(parents=True, exist_ok=True)
        (package.parent / "pyproject.toml").write_text(FLAGS_PROJECT)
        (package / "__init__.py").write_text(FLAGS)
        (package / "migrations" / "__init__.py").touch()
        (package / "migrations" / "0001_flags.py").write_text(FLAGS_SCRIPT)
        self.install("flags")

    def remove_second_package(self) -> None:
        run([sys.executable, "-m", "pip", "--python", self.python, "uninstall", "--quiet", "--yes", "cloudpub-flags"])


def run(command: list[str], url: str | None = None, cwd: Path | None = None, stdin: str = "", **more: str) -> str:
    """Run a command, which has to go well, and return what it printed."""
    variables = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CLOUDPUB_DATABASE_URL")
    }
    done = subprocess.run(
        command,
        env=variables | ({} if url is None else {"CLOUDPUB_DATABASE_URL": url}) | more,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def url(empty_postgresql_url: str) -> str:
    """The URL of a database without any table; the command is tried on both kinds where it need not be installed."""
    return empty_postgresql_url


class Command(NamedTuple):
    """What is typed after ``cloudpub``, and what it reads."""

    typed: str
    given: str = ""


Run = Callable[..., list[str]]


@pytest.fixture
def cloudpub(environment: Environment, url: str, tmp_path: Path) -> Run:
    """Run the environment's command on the database, once for each of what is given; what each prints."""

    def call(*typed: str | Command) -> list[str]:
        commands = [each if isinstance(each, Command) else Command(each) for each in typed]
        asked = json.dumps([(command.typed.split(), command.given) for command in commands])
        return list(json.loads(run([environment.python, "-c", RUN_COMMANDS], url, tmp_path, asked)))

    return call


def states(status: str) -> dict[str, str]:
    return {each["name"]: each["state"] for each in json.loads(status)["migrations"]}


def test_installed_beside_the_library(
    environment: Environment, cloudpub: Run, url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The command, the worker, the notebook, and what comes later: a migration of the library's, another package."""
    program = "import billing, cloudpub_models as library; print(library.__file__, billing.__file__)"
    where = run([environment.python, "-c", program], cwd=tmp_path)
    assert [Path(path).is_relative_to(environment.site) for path in where.split()] == [True, True]

    # A database that the first version of the library made: its history knows nothing of components.
    old = Database(url)
    old.migrate()
    old.raw_execute(f"ALTER TABLE {HISTORY_TABLE} DROP COLUMN component")
    ada = old.raw_query_single("INSERT INTO users (email, password_hash) VALUES ('ada@b.c', 'h') RETURNING uuid")
    assert ada is not None
    old.close()

    key = {"user_id": str(ada["uuid"]), "name": "deploy", "key_hash": "!secret", "scopes": ["deploy"]}
    invoices = [{"number": f"2026-{number}", "api_key_id": 1, "cents": 100 * number} for number in (1, 2)]
    applied, checked, _, _, count, shown = cloudpub(
        "migrate up",
        "migrate check",
        Command("load api_keys -", json.dumps(key)),
        Command("load invoices -", "\n".join(map(json.dumps, invoices))),
        "count invoices status=open",
        "show api_keys deploy --json",
    )
    scripts = ["billing.0001_api_keys", "billing.0002_scopes_of_api_keys", "billing.0003_invoices"]
    assert applied.splitlines() == [f"applied {name}" for name in scripts]
    assert checked == NO_DRIFT
    assert count == "2\n"
    row = json.loads(shown)
    assert (row["user"]["email"], len(row["invoices"]), "key_hash" in row) == ("ada@b.c", 2, False)

    worker = run([environment.python, "-m", "billing.worker"], url, tmp_path)
    assert sorted(worker.splitlines()) == ["2 sent", "2026-1 to ada@b.c: 1.00", "2026-2 to ada@b.c: 2.00"]
    installed = str(environment.place / "venv" / "bin" / "cloudpub")
    assert run([installed, "count", "invoices", "status=sent"], url, tmp_path) == "2\n"

    tables = run(
        [environment.python, "-c", RUN_NOTEBOOK, str(PACKAGE / "invoices.ipynb"), str(tmp_path)], url, tmp_path
    )
    assert "!secret" not in tables
    tables = tables.partition("tables:")[2]
    assert re.findall(r">(ada@b\.c|deploy|2026-\d)<", tables) == ["deploy", "2026-1", "2026-2", "ada@b.c"]
    assert ">300<" in tables

    later = environment.site / "cloudpub_models" / "migrations" / "0099_later.py"
    later.write_text(NEXT_OF_THE_PLATFORM)
    request.addfinalizer(later.unlink)
    assert cloudpub("migrate up") == ["applied 0099_later\n"]

    environment.add_second_package()
    request.addfinalizer(environment.remove_second_package)
    applied, checked, before, doctor, _, after, _, count = cloudpub(
        "migrate up",
        "migrate check",
        "migrate status --json",
        "doctor",
        "migrate down --component billing --yes",
        "migrate status --json",
        "migrate up",
        "count api_keys",
    )
    assert applied == "applied flags.0001_flags\n"
    assert checked == NO_DRIFT
    assert set(states(before).values()) == {"applied"}
    assert all(told in doctor for told in ("cloudpub (8 tables)", "billing (2 tables)", "flags (1 table)"))
    assert [name for name, state in states(after).items() if state == "pending"] == ["billing.0003_invoices"]
    assert count == "1\n"


def test_its_own_tests_use_the_plugin(environment: Environment, postgresql_server: str, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE / "tests", tmp_path / "tests")
    command = [
        environment.python,
        "-W",
        "error",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(tmp_path / "tests"),
    ]
    printed = run(command, cwd=tmp_path, **{SERVER_VARIABLE: postgresql_server})
    assert "2 passed" in printed


def test_the_page_repeats_the_package() -> None:
    told = dict(re.findall(r"^`(\S+)`[^`\n]*:\n\n```(?:py|toml)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
    files = {
        str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".toml") and path != PACKAGE / "billing" / "migrations" / "__init__.py"
    }
    assert told == files
    cells = json.loads((PACKAGE / "invoices.ipynb").read_text(encoding="utf-8"))["cells"]
    assert all(cell.get("outputs", []) == [] for cell in cells)
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert [
        block.rstrip("\n") for block in re.findall(r"^```ipython\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    ] == code
