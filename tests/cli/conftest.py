"""Runs the command in-process, in an empty directory and without the developer's own settings."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from cloudpub_models import Database, Managers
from cloudpub_models.cli.application import application
from cloudpub_models.connection.environment import VARIABLES

Run = Callable[..., Result]

_built_once = functools.cache(get_command)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, no database in the environment, a terminal of 100 columns."""
    monkeypatch.chdir(tmp_path)
    for variable in (*VARIABLES, "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def run(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call with the command's arguments, and what it is to read from stdin; returns exit code, stdout and stderr."""

    # Typer builds the command anew for each call, which takes longer than most commands run.
    monkeypatch.setattr("typer.testing._get_command", _built_once, raising=False)

    def run_command(*arguments: str, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(application, list(arguments), input=stdin, prog_name="cloudpub")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run_command


@pytest.fixture
def cli_database_url(request: pytest.FixtureRequest, backend: str, workplace: Path) -> str:
    """The URL of an empty database without tables, which commands can open again and again."""
    return "sqlite:///demo.db" if backend == "sqlite" else str(request.getfixturevalue("empty_postgresql_url"))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "data.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def data_url(request: pytest.FixtureRequest, backend: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a migrated, empty database, which the environment names for commands."""
    url = "sqlite:///data.db" if backend == "sqlite" else str(request.getfixturevalue("shared_postgresql_url"))
    if backend == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), workplace / "data.db")
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", url)
    return url


@pytest.fixture
def data(data_url: str) -> Iterator[Managers]:
    """The managers of ``data_url``."""
    database = Database(data_url)
    yield Managers(database)
    database.close()
