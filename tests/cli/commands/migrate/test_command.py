"""``cloudpub migrate`` and its subcommands, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from cloudpub_models import Database

Run = Callable[..., Result]


def test_up_status_down(run: Run, cli_database_url: str) -> None:
    option = ("--database", cli_database_url)
    assert "applied 0001_initial" in run("migrate", *option).stdout
    again = run("migrate", "up", *option)
    assert again.exit_code == 0
    assert "up to date" in again.stdout
    status = run("migrate", "status", "--exit-code", *option)
    assert status.exit_code == 0
    assert "applied" in status.stdout
    assert "UTC" in status.stdout
    assert "reverted 0001_initial" in run("migrate", "down", "0001_initial", "--yes", *option).stdout
    nothing = run("migrate", "down", *option)
    assert nothing.exit_code == 0
    assert "nothing to revert" in nothing.stdout


def test_status_tells_what_is_pending_by_its_exit_code_only_when_asked(run: Run, cli_database_url: str) -> None:
    run("migrate", "--database", cli_database_url)
    run("migrate", "down", "--yes", "--database", cli_database_url)
    plain = run("migrate", "status", "--database", cli_database_url)
    assert plain.exit_code == 0
    assert "pending" in plain.stdout
    assert run("migrate", "status", "--exit-code", "--database", cli_database_url).exit_code == 3


def test_up_and_down_to_a_target(run: Run, workplace: Path) -> None:
    option = ("--database", "sqlite:///own.db", "--directory", "own")
    for name in ("first", "second", "third"):
        run("migrate", "new", "--directory", "own", name)
    up = run("migrate", "up", "0002_second", *option)
    assert up.stdout.splitlines() == ["applied 0001_first", "applied 0002_second"]
    down = run("migrate", "down", "0001_first", *option)
    assert down.stdout.splitlines() == ["reverted 0002_second", "reverted 0001_first"]
    unknown = run("migrate", "up", "0002_secnd", *option)
    assert unknown.exit_code == 1
    assert "did you mean '0002_second'?" in unknown.stderr


def test_status_of_an_edited_migration_exits_with_1(run: Run, workplace: Path) -> None:
    option = ("--database", "sqlite:///own.db", "--directory", "own")
    run("migrate", "new", "--directory", "own", "first")
    run("migrate", "up", *option)
    with (workplace / "own" / "0001_first.py").open("a") as file:
        file.write("# changed\n")
    status = run("migrate", "status", *option)
    assert status.exit_code == 1
    assert "edited" in status.stdout
    assert "0001_first" in status.stderr
    up = run("migrate", "up", *option)
    assert up.exit_code == 1
    assert "\nerror: expected 0001_first as it was applied; got another file" in up.stderr


def test_a_migration_that_fails_is_one_line(run: Run, workplace: Path) -> None:
    run("migrate", "new", "--directory", "own", "broken")
    script = workplace / "own" / "0001_broken.py"
    script.write_text("def up(migrator, db):\n    db.execute_sql('CREATE NONSENSE')\n")
    result = run("migrate", "--database", "sqlite:///own.db", "--directory", "own")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1].startswith("error: 0001_broken failed (up): ")
    assert "Traceback" not in result.output


def test_check_finds_no_drift_after_up(run: Run, cli_database_url: str) -> None:
    run("migrate", "--database", cli_database_url)
    result = run("migrate", "check", "--database", cli_database_url)
    assert result.exit_code == 0
    assert "no drift" in result.stdout


def test_check_reports_drift_with_the_statement_that_mends_it(run: Run, cli_database_url: str) -> None:
    run("migrate", "--database", cli_database_url)
    database = Database(cli_database_url)
    database.raw_execute("DROP INDEX functions_user_id_idx")
    database.close()
    result = run("migrate", "check", "--database", cli_database_url)
    assert result.exit_code == 1
    assert "1 difference between the database and the models" in result.stdout
    [statement] = [line for line in result.stdout.splitlines() if line.startswith("CREATE INDEX")]
    assert statement.endswith(";")
    database = Database(cli_database_url)
    database.raw_execute(statement)
    database.close()
    assert run("migrate", "check", "--database", cli_database_url).exit_code == 0


def test_check_names_what_no_statement_mends(run: Run) -> None:
    option = ("--database", "sqlite:///changed.db")
    run("migrate", *option)
    database = Database("sqlite:///changed.db")
    database.batch_execute(
        [
            "DROP INDEX function_logs_function_id_timestamp_id_level_idx",
            "ALTER TABLE function_logs DROP COLUMN level",
            "ALTER TABLE function_logs ADD COLUMN level BLOB",
        ]
    )
    database.close()
    result = run("migrate", "check", *option)
    assert result.exit_code == 1
    assert "No single statement mends" in result.stdout
    assert "  function_logs.level: type: " in result.stdout


def test_adopt_of_a_complete_database_misses_nothing(run: Run, cli_database_url: str) -> None:
    run("migrate", "--database", cli_database_url)
    run("history", "on", "--database", cli_database_url)
    result = run("migrate", "adopt", "--database", cli_database_url)
    assert result.exit_code == 0
    assert "no model has" not in result.stdout
    assert "users (cloudpub): as the model says\n" in result.stdout
    assert result.stdout.endswith("this database had been adopted or migrated before\n")


def test_check_of_an_empty_database_points_to_up(run: Run, empty_postgresql_url: str) -> None:
    result = run("migrate", "check", "--database", empty_postgresql_url)
    assert result.exit_code == 1
    assert "'cloudpub migrate up' makes them" in result.stdout


@pytest.fixture
def foreign_url(run: Run, empty_postgresql_url: str) -> str:
    """A database with the tables as another backend would have made them: without our history and triggers."""
    run("migrate", "--database", empty_postgresql_url)
    database = Database(empty_postgresql_url)
    database.batch_execute(
        [
            "DROP TABLE cloudpub_migrations",
            "DROP INDEX function_logs_timestamp_idx",
            "ALTER TABLE functions DROP CONSTRAINT functions_user_id_fkey",
        ]
    )
    database.close()
    return empty_postgresql_url


def test_adopt_reports_what_is_missing(run: Run, foreign_url: str) -> None:
    result = run("migrate", "adopt", "--database", foreign_url)
    assert result.exit_code == 0
    assert "adopted: 0001_initial recorded as applied" in result.stdout
    assert "CREATE INDEX function_logs_timestamp_idx" in result.stdout.replace('"', "")
    assert "ADD CONSTRAINT functions_user_id_fkey" in result.stdout
    assert "0001_initial" in run("migrate", "status", "--database", foreign_url).stdout
    assert "function_logs (cloudpub): 1 difference\n  → it works as it is;" in result.stdout
    assert "users (cloudpub): as the model says\nuser_information" in result.stdout
    assert "before" in run("migrate", "adopt", "--database", foreign_url).stdout


def test_adopt_refuses_with_a_list(run: Run, foreign_url: str) -> None:
    database = Database(foreign_url)
    database.batch_execute(
        ["ALTER TABLE users DROP COLUMN email", "ALTER TABLE functions ALTER COLUMN name TYPE BYTEA USING name::bytea"]
    )
    database.close()
    result = run("migrate", "adopt", "--database", foreign_url)
    assert result.exit_code == 1
    assert "users.email" in result.stderr
    assert "functions.name" in result.stderr
    assert "Traceback" not in result.output
    assert (
        "users (cloudpub): 1 in the way; 2 other differences\n  → mend that, then adopt again\nuser_information"
        in result.stdout
    )
    assert "\nfunctions (cloudpub): 1 in the way; " in result.stdout
    # What can wait is told once it is adopted.
    assert "2 differences in the way:" in result.stdout
    assert "ADD CONSTRAINT" not in result.stdout
    document = json.loads(run("migrate", "adopt", "--json", "--database", foreign_url).stdout)
    assert document["recorded"] is None
    assert [each["table"] for each in document["differences"] if each["blocking"]] == ["users", "functions"]
    assert "function_logs" in [each["table"] for each in document["differences"]]
    assert [table["table"] for table in document["tables"] if table["found"].startswith("1 in the way")] == [
        "users",
        "functions",
    ]
    assert "pending" in run("migrate", "status", "--database", foreign_url).stdout


def test_columns_that_no_model_knows_are_named_and_left_alone(run: Run, cli_database_url: str) -> None:
    run("migrate", "--database", cli_database_url)
    database = Database(cli_database_url)
    database.raw_execute("ALTER TABLE users ADD COLUMN nickname VARCHAR(30)")
    database.close()
    adopted = run("migrate", "adopt", "--database", cli_database_url)
    assert adopted.exit_code == 0
    assert "users (cloudpub): 1 column that the model does not know: nickname varchar(30)\n  → leave " in adopted.stdout
    checked = run("migrate", "check", "--database", cli_database_url)
    assert checked.stdout == "no drift: the database is what the models say\n"
    assert "columns that the models do not know, and that are left alone: users.nickname\n" in checked.stderr
