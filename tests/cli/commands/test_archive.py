"""``cloudpub archive``, and ``stats`` and ``sql`` with ``--archive``."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudpub_models import Database, Managers
from tests.cli.conftest import Run

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def option(run: Run, cli_database_url: str) -> tuple[str, str]:
    """A database with invocations of February and March."""
    run("migrate", "--database", cli_database_url)
    database = Database(cli_database_url)
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    managers.function_invocations.batch_insert(
        {
            "function_id": resize.id,
            "status": "success",
            "duration_ms": hours,
            "timestamp": MARCH - timedelta(hours=hours),
        }
        for hours in range(-5, 6)
    )
    database.close()
    return "--database", cli_database_url


def test_it_moves_says_what_and_has_nothing_left(run: Run, option: tuple[str, str], tmp_path: Path) -> None:
    place = str(tmp_path / "archive")
    moved = run("archive", "function_invocations", "--older-than", "2026-03-15", "--to", place, *option)
    assert moved.exit_code == 0
    assert moved.stdout.startswith(f"2026-02: 5 rows moved to {place}/function_invocations.2026-02.")
    again = run("archive", "function_invocations", "--older-than", "2026-03-15", "--to", place, *option)
    assert (
        again.stdout
        == "nothing to archive: no month of function_invocations had ended before 2026-03-15 00:00:00 UTC\n"
    )
    asked = run(
        "sql", "SELECT COUNT(*) AS n, MAX(duration_ms) AS d FROM function_invocations", "--archive", place, "--json"
    )
    assert json.loads(asked.stdout) == {"n": 5, "d": 5}


def test_as_json(run: Run, option: tuple[str, str], tmp_path: Path) -> None:
    place = tmp_path / "archive"
    result = run("archive", "function_invocations", "--older-than", "2026-03-01", "--to", str(place), "--json", *option)
    document = json.loads(result.stdout)
    assert document.pop("seconds") >= 0
    (file,) = place.glob("*.parquet")
    assert document == {
        "table": "function_invocations",
        "before": "2026-03-01T00:00:00+00:00",
        "directory": str(place),
        "months": [{"month": "2026-02", "file": file.name, "written": 5, "deleted": 5, "kept": 0}],
    }


def test_statistics_of_the_archive_are_those_that_the_database_gave(
    run: Run, option: tuple[str, str], tmp_path: Path
) -> None:
    asked = ("stats", "resize", "--period", "24h", "--until", "2026-03-01", "--json", *option)
    before = json.loads(run(*asked).stdout)
    assert before["figures"]["total"] > 0
    place = str(tmp_path)
    run("archive", "function_invocations", "--older-than", "2026-03-15", "--to", place, *option)
    expected = json.loads(run(*asked, "--archive", place).stdout)
    assert expected["figures"]["total"] == 5
    far = ("stats", "resize", "--period", "24h", "--until", "2026-03-20", "--json", *option, "--archive", place)
    assert json.loads(run(*far).stdout)["latest_invocation_at"] == "2026-02-28T23:00:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("archive", "users", "--older-than", "90d"), "expected a table without secrets"),
        (("archive", "nothing", "--older-than", "90d"), "expected a table; got 'nothing'"),
        (("archive", "function_logs", "--older-than", "tomorrow"), "expected an age as 30d"),
    ],
)
def test_what_cannot_be_archived(
    run: Run, option: tuple[str, str], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = run(*arguments, "--to", str(tmp_path / "archive"), *option)
    assert refused.exit_code != 0
    assert message in " ".join(refused.stderr.replace("│", " ").split())
    assert not (tmp_path / "archive").exists()


def test_an_archive_is_only_read(run: Run, tmp_path: Path) -> None:
    both = run("sql", "SELECT 1", "--archive", str(tmp_path), "--write")
    assert "expected --archive or --write" in " ".join(both.stderr.replace("│", " ").split())
    assert "expected an archive in" in run("sql", "SELECT 1", "--archive", str(tmp_path)).stderr
