"""``cloudpub migrate up --plan`` and the question before data is lost, on both databases."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from cloudpub_models import Database

Run = Callable[..., Result]

DROPPING = """
def up(migrator, db):
    db.execute_sql("ALTER TABLE functions ADD COLUMN locale VARCHAR(20)")
    db.execute_sql("ALTER TABLE functions DROP COLUMN locale")
    db.execute_sql("CREATE INDEX functions_status_idx ON functions (status)")

def down(migrator, db):
    db.execute_sql("DROP INDEX functions_status_idx")
"""


@pytest.fixture
def migrated(run: Run, cli_database_url: str, workplace: Path) -> tuple[str, ...]:
    """The options for a migrated database and scripts of the test's own behind the package's."""
    own = workplace / "own"
    own.mkdir()
    for number, line in enumerate(("CREATE TABLE functions (id INTEGER, status VARCHAR(20))",), 1):
        (own / f"{number:04d}_base.py").write_text(f"def up(migrator, db):\n    db.execute_sql({line!r})\n")
    options = ("--database", cli_database_url, "--directory", "own")
    assert run("migrate", *options).exit_code == 0
    (own / "0002_drop.py").write_text(DROPPING)
    return options


def test_a_plan_is_a_script_with_its_warnings_in_comments(run: Run, migrated: tuple[str, ...]) -> None:
    result = run("migrate", "up", "--plan", *migrated)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "-- 0002_drop: one transaction"
    assert "ALTER TABLE functions DROP COLUMN locale;" in lines
    warning = lines[lines.index("ALTER TABLE functions DROP COLUMN locale;") - 1]
    assert warning.startswith("-- DESTROYS DATA: functions")
    assert all(line.startswith("-- ") for line in lines if not line.endswith(";"))
    assert "1 migration, 3 statements, 1 that destroys data" in result.stderr
    assert "pending" in run("migrate", "status", *migrated).stdout


def test_a_plan_as_json(run: Run, migrated: tuple[str, ...]) -> None:
    [migration] = json.loads(run("migrate", "up", "--plan", "--json", *migrated).stdout)["migrations"]
    assert (migration["name"], migration["destructive"], migration["stopped"]) == ("0002_drop", True, None)
    index = migration["statements"][-1]
    assert index["sql"] == "CREATE INDEX functions_status_idx ON functions (status)"
    [hazard] = index["hazards"]
    assert (hazard["severity"], hazard["table"]) == ("long", "functions")


def test_a_long_statement_is_one_line(run: Run, migrated: tuple[str, ...], workplace: Path) -> None:
    sql = f"CREATE TABLE wide ({', '.join(f'column_{number} INTEGER' for number in range(40))})"
    (workplace / "own" / "0002_drop.py").write_text(f"def up(migrator, db):\n    db.execute_sql({sql!r})\n")
    assert f"{sql};" in run("migrate", "up", "--plan", *migrated).stdout.splitlines()


def test_nothing_to_plan(run: Run, migrated: tuple[str, ...]) -> None:
    assert run("migrate", "up", "--yes", *migrated).exit_code == 0
    result = run("migrate", "up", "--plan", *migrated)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "up to date" in result.stderr
    assert json.loads(run("migrate", "up", "--plan", "--json", *migrated).stdout) == {"migrations": []}


def test_without_a_terminal_a_loss_needs_yes(run: Run, migrated: tuple[str, ...]) -> None:
    refused = run("migrate", "up", *migrated)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "DESTROYS DATA: functions" in refused.stderr
    assert "say --yes" in refused.stderr
    assert "pending" in run("migrate", "status", *migrated).stdout
    agreed = run("migrate", "up", "--yes", *migrated)
    assert (agreed.exit_code, agreed.stdout) == (0, "applied 0002_drop\n")


def test_what_destroys_nothing_is_not_asked_about(run: Run, migrated: tuple[str, ...]) -> None:
    run("migrate", "up", "--yes", *migrated)
    assert run("migrate", "down", *migrated).stdout == "reverted 0002_drop\n"


def test_down_through_several_asks_for_all_at_once(run: Run, cli_database_url: str) -> None:
    option = ("--database", cli_database_url)
    run("migrate", *option)
    refused = run("migrate", "down", "0001_initial", *option)
    assert refused.exit_code == 1
    assert "drops the table with all its rows" in refused.stderr
    assert "pending" not in run("migrate", "status", *option).stdout
    done = json.loads(run("migrate", "down", "0001_initial", "--yes", "--json", *option).stdout)
    assert done["reverted"][-1] == "0001_initial"
    assert json.loads(run("migrate", "down", "--json", *option).stdout) == {"reverted": []}


def test_up_status_check_and_adopt_as_json(run: Run, cli_database_url: str) -> None:
    option = ("--json", "--database", cli_database_url)
    applied = json.loads(run("migrate", "up", *option).stdout)["applied"]
    assert applied[0] == "0001_initial"
    statuses = json.loads(run("migrate", "status", *option).stdout)["migrations"]
    assert [(one["name"], one["state"]) for one in statuses] == [(name, "applied") for name in applied]
    assert statuses[0]["applied_at"].endswith("+00:00")
    assert json.loads(run("migrate", "check", *option).stdout) == {"differences": []}
    adopted = json.loads(run("migrate", "adopt", *option).stdout)
    assert (adopted["recorded"], adopted["differences"]) == (None, [])
    assert {each["found"] for each in adopted["tables"]} == {"as the model says"}
    database = Database(cli_database_url)
    database.raw_execute("DROP INDEX functions_user_id_idx")
    database.close()
    drifted = run("migrate", "check", *option)
    assert drifted.exit_code == 1
    [difference] = json.loads(drifted.stdout)["differences"]
    assert (difference["kind"], difference["table"], difference["subject"]) == ("index", "functions", "user_id")
    assert difference["statements"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_steps_that_depend_on_each_other_are_planned_one_by_one(
    run: Run, cli_database_url: str, workplace: Path
) -> None:
    own = workplace / "own"
    own.mkdir()
    (own / "0001_make.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE TABLE things (id INTEGER)')\n")
    (own / "0002_read.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('SELECT * FROM things').fetchall()\n"
        "    db.execute_sql('DELETE FROM things')\n"
    )
    options = ("--database", cli_database_url, "--directory", "own")
    plan = run("migrate", "up", "--plan", *options)
    assert plan.exit_code == 1
    assert "-- INCOMPLETE: " in plan.stdout
    refused = run("migrate", "up", *options)
    assert (refused.exit_code, refused.stdout) == (1, "applied 0001_make\n")
    assert "DESTROYS DATA: things" in refused.stderr
    assert run("migrate", "up", "--yes", *options).stdout == "applied 0002_read\n"


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(("answer", "exit_code", "state"), [("y", 0, "applied"), ("n", 1, "pending")])
def test_on_a_terminal_it_asks(
    run: Run, migrated: tuple[str, ...], workplace: Path, answer: str, exit_code: int, state: str
) -> None:
    person, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "cloudpub_models.cli", "migrate", "up", *migrated],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(person, f"{answer}\n".encode())
        _, errors = process.communicate(timeout=60)
    os.close(person)
    os.close(terminal)
    assert "Run 0002_drop all the same? [y/N]" in errors
    assert process.returncode == exit_code
    [*_, last] = json.loads(run("migrate", "status", "--json", *migrated).stdout)["migrations"]
    assert last["state"] == state


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_fails_after_a_commit_of_its_own_is_asked_about(
    run: Run, migrated: tuple[str, ...], workplace: Path
) -> None:
    database = Database("sqlite:///demo.db")
    database.raw_execute("INSERT INTO functions VALUES (1, 'active')")
    script = "db.connection().executescript('DELETE FROM functions'); raise ValueError('late')"
    (workplace / "own" / "0002_drop.py").write_text(f"def up(migrator, db):\n    {script}\n")
    assert "DELETE FROM functions;" in run("migrate", "up", "--plan", *migrated).stdout
    refused = run("migrate", "up", *migrated)
    assert refused.exit_code == 1
    assert "DESTROYS DATA: functions" in refused.stderr
    assert database.raw_query_all("SELECT id FROM functions") == [{"id": 1}]
    database.close()


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_plan_for_a_file_that_is_not_there_is_one_for_an_empty_database(
    run: Run, workplace: Path, backend: str
) -> None:
    result = run("migrate", "up", "--plan", "--database", "sqlite:///later.db")
    assert result.exit_code == 0
    assert "-- 0001_initial: one transaction" in result.stdout
    assert "database: sqlite:///later.db, which is not there yet" in result.stderr
    assert list(workplace.iterdir()) == []
    assert run("migrate", "down", "--plan", "--database", "sqlite:///later.db").exit_code == 1


def test_a_semicolon_stands_before_a_comment(run: Run, migrated: tuple[str, ...], workplace: Path) -> None:
    sql = "CREATE TABLE noted (id INTEGER) -- as agreed;"
    (workplace / "own" / "0002_drop.py").write_text(f"def up(migrator, db):\n    db.execute_sql({sql!r})\n")
    assert "CREATE TABLE noted (id INTEGER); -- as agreed;" in run("migrate", "up", "--plan", *migrated).stdout


def test_long_names_are_whole_in_a_pipe(
    run: Run, migrated: tuple[str, ...], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    name = "0002_" + "a_very_long_name_" * 8 + "end"
    (workplace / "own" / "0002_drop.py").rename(workplace / "own" / f"{name}.py")
    assert f" {name} " in run("migrate", "status", *migrated).stdout
