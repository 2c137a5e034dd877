"""Runs the command in-process, in an empty directory and without the developer's own settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cloudpub_models.cli.application import application

Run = Callable[..., Result]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, no database in the environment, a terminal of 100 columns."""
    monkeypatch.chdir(tmp_path)
    for variable in ("CLOUDPUB_DATABASE_URL", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def run(workplace: Path) -> Run:
    """Call with the command's arguments; returns exit code, stdout and stderr."""

    def run_command(*arguments: str) -> Result:
        result = CliRunner().invoke(application, list(arguments), prog_name="cloudpub")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run_command


@pytest.fixture
def cli_database_url(request: pytest.FixtureRequest, backend: str, workplace: Path) -> str:
    """The URL of an empty database without tables, which commands can open again and again."""
    return "sqlite:///demo.db" if backend == "sqlite" else str(request.getfixturevalue("empty_postgresql_url"))
