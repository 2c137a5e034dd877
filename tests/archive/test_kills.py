"""``cloudpub archive`` killed in the middle, and run again: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cloudpub_models import Database, Managers
from tests.archive.conftest import APRIL, months_of_invocations

# The command, which kills itself instead of calling one of its functions for the n-th time.
COMMAND = """
import os, signal, sys
from importlib import import_module
from operator import attrgetter
from cloudpub_models.archive import writing
from cloudpub_models.cli import main

module, path, name, calls = *sys.argv[1:4], int(sys.argv[4])
room = import_module(f"cloudpub_models.{module}")
room = attrgetter(path)(room) if path else room
function = getattr(room, name)

def kill(*arguments, **named):
    global calls
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*arguments, **named)

setattr(room, name, kill)
writing._DELETED_AT_A_TIME = 40
sys.argv[1:] = ["archive", "function_invocations", *sys.argv[5:]]
main()
"""
MOVER = ("archive.writing", "_Mover")
# Each run goes on where the one before was killed: a month's file written; the file named, and no row deleted; some
# deleted; the next month's file named, and some of its rows deleted.
KILLS = {
    "plain": [
        ("archive.writing", "", "keep", 1),
        (*MOVER, "_delete_equal", 1),
        (*MOVER, "_delete_equal", 3),
        (*MOVER, "_delete_equal", 2),
    ],
    # A month's file named, and nothing thrown away; the next month's partition emptied, and not yet joined with that of
    # before; of a month's partitions one emptied.
    "partitioned": [
        ("archive.writing", "", "empty_before", 1),
        ("schema.partitions.dropping", "", "_join_with_past", 1),
        ("schema.partitions.dropping", "", "_emptied", 2),
    ],
}


@pytest.fixture(params=["sqlite plain", "postgresql plain", "postgresql partitioned"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database, and what the table is."""
    return str(request.param)


@pytest.fixture
def backend(kind: str) -> str:
    return kind.split()[0]


@pytest.fixture
def database(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """One that another process can open."""
    url = f"sqlite:///{tmp_path / 'kills.db'}" if backend == "sqlite" else request.getfixturevalue("database_url")
    database = Database(url)
    database.migrate()
    yield database
    database.close()


def everything(managers: Managers, place: Path) -> list[dict[str, Any]]:
    rows = [row.to_dict() for row in managers.function_invocations.find_all()]
    if any(place.glob("*.parquet")):
        rows += managers.archive(place).find()
    return sorted(rows, key=lambda row: row["id"])


def test_killed_again_and_again_it_loses_nothing(
    managers: Managers, kind: str, place: Path, request: pytest.FixtureRequest
) -> None:
    database, table = managers.database, kind.split()[1]
    if table == "partitioned":
        months_of_invocations(database)
    moments: list[datetime] = request.getfixturevalue("invocations")
    before = everything(managers, place)
    url = database.engine.database
    url = f"sqlite:///{url}" if kind.startswith("sqlite") else url
    options = ["--older-than", "2026-04-01", "--to", str(place), "--database", str(url)]
    for module, path, name, calls in KILLS[table]:
        command = [sys.executable, "-c", COMMAND, module, path, name, str(calls), *options]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert run.returncode == -signal.SIGKILL, (name, run.stdout, run.stderr)
        # Meanwhile a row may be in both.
        assert [row for row in everything(managers, place) if row not in before] == []
        assert {row["id"] for row in everything(managers, place)} == {row["id"] for row in before}
    managers.archive(place).move("function_invocations", APRIL)
    assert everything(managers, place) == before
    assert managers.function_invocations.count() == sum(moment >= APRIL for moment in moments)
    assert list(place.glob("*.part*")) == []
    assert managers.archive(place).move("function_invocations", APRIL) == []
