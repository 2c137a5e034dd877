"""``cloudpub demo``: on both databases, again and again, beside other people's rows, in any terminal."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import Result

from cloudpub_models import Database, Managers, QueryEvent, operators
from cloudpub_models.cli.commands.demo import walk as demo
from cloudpub_models.cli.commands.demo.data import ANCHOR, make_platform
from cloudpub_models.cli.commands.demo.tour import CHAPTERS, Step
from cloudpub_models.cli.given.target import Target
from cloudpub_models.schema import read_catalogue
from tests.cli.talk import talk

Run = Callable[..., Result]

STEPS = [step for chapter in CHAPTERS for step in chapter.steps]
# The walk is covered by the test that reads all of it, and takes twice as long when coverage is measured.
walks_again = pytest.mark.no_cover
INTERNAL_COLUMNS = {"id", "function_id", "active_deployment_id"}


def content(url: str, table: str) -> list[dict[str, Any]]:
    """Return a table's rows without the internal ids, which differ from run to run."""
    database = Database(url)
    managers = Managers(database)
    manager = getattr(managers, table)
    hidden = INTERNAL_COLUMNS | ({"user_id"} if table == "functions" else set())
    rows = [{k: v for k, v in row.to_dict().items() if k not in hidden} for row in manager.find_all(order_by="id")]
    database.close()
    return rows


TABLES = (
    "users",
    "user_information",
    "organizations",
    "organization_members",
    "functions",
    "function_deployments",
    "function_logs",
    "function_invocations",
)


def test_shows_code_sql_and_results_of_every_step(run: Run, cli_database_url: str, backend: str) -> None:
    result = run("demo", "--invocations", "300", "--database", cli_database_url)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("database: ")
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stdout
    for number, chapter in enumerate(CHAPTERS, start=1):
        assert f"{number}. {chapter.title}" in result.stdout
    for step in STEPS:
        assert (inspect.getdoc(step.code) or "missing").rstrip(".") in result.stdout
        assert demo.source_of(step).splitlines()[0] in result.stdout
    for sent in ("BEGIN", "ROLLBACK;", "COMMIT;", "ON CONFLICT (user_id, name)", "LEFT JOIN function_deployments"):
        assert sent in result.stdout
    assert ("COPY function_logs" in result.stdout) == (backend == "postgresql")
    assert "never-seen exists │ no" in result.stdout
    assert "!demo" not in result.stdout, "a password hash is no part of a table"
    assert result.stdout.rstrip().splitlines()[-1].strip()
    assert "What next: " in result.stdout


@walks_again
def test_the_same_seed_gives_the_same_rows(run: Run, cli_database_url: str) -> None:
    arguments = ("demo", "--invocations", "200", "--until", "2026-01-01", "--database", cli_database_url)
    assert run(*arguments, "--seed", "5").exit_code == 0
    first = {table: content(cli_database_url, table) for table in TABLES}
    assert run(*arguments, "--seed", "6", "--json").exit_code == 0
    other = {table: content(cli_database_url, table) for table in TABLES}
    assert run(*arguments, "--seed", "5").exit_code == 0
    assert {table: content(cli_database_url, table) for table in TABLES} == first
    assert len(first["function_invocations"]) == len(other["function_invocations"]) == 200
    assert all(first[table] != other[table] for table in TABLES)


@walks_again
def test_both_databases_get_the_same_rows(run: Run, empty_postgresql_url: str) -> None:
    for url in ("sqlite:///demo.db", empty_postgresql_url):
        assert run("demo", "--invocations", "200", "--until", "2026-01-01", "--database", url).exit_code == 0
    for table in TABLES:
        assert content("sqlite:///demo.db", table) == content(empty_postgresql_url, table)


@walks_again
def test_other_peoples_rows_survive(run: Run, cli_database_url: str) -> None:
    database = Database(cli_database_url)
    database.migrate()
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    # Nearly the demo's domain, and one that LIKE would take for it if the dots were wildcards.
    managers.users.insert({"email": "eve@demo.cloudpub.example.org", "password_hash": "x"})
    managers.users.insert({"email": "eve@demo-cloudpub-example", "password_hash": "x"})
    managers.organizations.insert({"name": "Northwind Robotics", "owner_id": ada.uuid})
    function = managers.functions.insert({"user_id": ada.id, "name": "invoices"})
    managers.function_logs.insert({"function_id": function.id, "level": "info", "message": "mine"})
    for _ in range(2):
        result = run("demo", "--invocations", "50", "--database", cli_database_url)
        assert result.exit_code == 0
        assert "example.com" not in result.stdout, "other people's rows are not shown around"
    assert managers.users.count({"email": ["ada@example.com", "eve@demo.cloudpub.example.org"]}) == 2
    assert managers.users.exists({"email": "eve@demo-cloudpub-example"})
    assert managers.organizations.exists({"name": "Northwind Robotics"})
    assert managers.functions.find_by_id(function.id) == function
    assert managers.function_logs.count({"function_id": function.id, "message": "mine"}) == 1
    assert managers.functions.count({"name": "invoices"}) == 1, "what the tour wrote is gone again"
    database.close()


def test_the_history_of_a_change_is_shown_and_recording_left_as_it_was(
    run: Run, cli_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    arguments = ("demo", "--invocations", "50", "--database", cli_database_url)
    shown = " ".join(run(*arguments).stdout.split())
    assert re.search(r"user:zeynep │ \d+ +│ update functions \d+ │ status: inactive → active", shown)
    assert "│ functions │ 1 │ │ function_deployments │ 1 │ │ function_logs │ 3 │" in shown
    assert "│ functions │ 1 │ │ function_deployments │ 1 │ ╰" in shown
    database = Database(cli_database_url)
    assert database.history.tables == ()
    database.history.enable()
    run(*arguments)
    assert len(database.history.tables) == 6
    database.close()


def test_a_failed_run_changes_nothing(run: Run, cli_database_url: str) -> None:
    arguments = ("demo", "--invocations", "50", "--database", cli_database_url)
    assert run(*arguments).exit_code == 0
    database = Database(cli_database_url)
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    # A name that the demo will want for itself.
    managers.organizations.update({"owner_id": ada.uuid}, {"name": "Blue Heron Labs (demo)"})
    before = {table: content(cli_database_url, table) for table in TABLES}
    result = run(*arguments, "--seed", "9")
    assert result.exit_code == 1
    assert talk(result).startswith("error: ")
    assert talk(result).count("\n") == 1
    assert {table: content(cli_database_url, table) for table in TABLES} == before
    database.close()


def test_only_demo_makes_the_local_file(run: Run, workplace: Path) -> None:
    result = run("demo", "--invocations", "20")
    assert result.exit_code == 0
    assert "database: sqlite:///cloudpub.db" in result.stderr
    assert (workplace / "cloudpub.db").exists()
    assert run("migrate", "check").exit_code == 0


def test_json_is_a_summary_without_the_walk(run: Run, cli_database_url: str) -> None:
    summary = json.loads(run("demo", "--invocations", "50", "--json", "--database", cli_database_url).stdout)
    assert summary["migrations"][0] == "0001_initial"
    assert summary["rows"] == {table: len(content(cli_database_url, table)) for table in summary["rows"]}
    assert set(summary["rows"]) == set(TABLES)
    assert summary["rows"]["function_invocations"] == 50


def test_one_active_deployment_for_each_function(run: Run) -> None:
    run("demo", "--invocations", "20")
    database = Database("sqlite:///cloudpub.db")
    managers = Managers(database)
    for function in managers.functions.find_all():
        active = managers.function_deployments.find_all({"function_id": function.id, "is_active": True})
        assert [deployment.id for deployment in active] == [function.active_deployment_id]
    database.close()


@pytest.mark.parametrize("width", [20, 40, 80, 100, 200])
def test_any_width_will_do(workplace: Path, width: int) -> None:
    with (workplace / "out.txt").open("w+", encoding="utf-8") as file:
        console = Console(file=file, width=width)
        demo.run_demo(Target("sqlite:///:memory:"), console, seed=1, invocations=40, until=ANCHOR)
        file.seek(0)
        lines = file.read().splitlines()
    too_long = [line for line in lines if len(line) > width]
    assert too_long == []


def test_a_terminal_gets_colours_and_a_progress_bar(workplace: Path) -> None:
    with (workplace / "out.txt").open("w+", encoding="utf-8") as file:
        console = Console(file=file, width=100, force_terminal=True, color_system="standard")
        demo.run_demo(Target("sqlite:///:memory:"), console, seed=1, invocations=3_000, until=ANCHOR)
        file.seek(0)
        text = file.read()
    assert "recording invocations" in text
    assert "3000/3000" in text
    assert "\x1b[" in text


def test_the_code_shown_is_the_code_that_runs() -> None:
    for step in STEPS:
        compile(demo.source_of(step), "step", "exec")
        assert f"{step.result} = " in demo.source_of(step)
        assert max(map(len, demo.source_of(step).splitlines())) <= 90


def test_source_of_names_the_result() -> None:
    def double(number: int) -> int:
        """Double it."""
        if number < 0:
            return 0
        return 2 * number

    assert demo.source_of(Step(double, "doubled")) == "if number < 0:\n    doubled = 0\ndoubled = 2 * number"


def test_laid_out_leaves_text_with_strings_alone() -> None:
    assert demo.laid_out("SELECT ' FROM '") == "SELECT ' FROM '"
    assert demo.laid_out("DELETE FROM users WHERE id = ?") == "DELETE FROM users\nWHERE id = ?"


def sent(sql: str, parameters: tuple[object, ...] = ()) -> QueryEvent:
    return QueryEvent(sql, parameters, duration=0.001, rows=1, call_site=None, error=None)


def test_statements_are_shown_once_and_cut() -> None:
    short = sent("SELECT id FROM users WHERE id = ?", (1,))
    assert demo.statements_text([short, short, sent("COMMIT")]) == (
        "SELECT id\nFROM users\nWHERE id = ?;\n-- 1\n-- sent 2 times\nCOMMIT;"
    )
    many = demo.statements_text([sent(f"SELECT {number}") for number in range(100)])
    assert many.endswith("SELECT 11;\n-- … and 88 more")
    long = demo.statements_text([sent("INSERT " + "?, " * 1_000, tuple(range(1_000)))])
    assert len(long) < 1_000
    assert long.endswith("10, 11, … (1000 in all)")
    assert len(demo.statements_text([sent("SELECT ?", ("x" * 1_000,))])) < 100


def test_a_demo_that_loses_its_rows_to_another_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_platform(2)
    monkeypatch.setattr(demo, "_walk", lambda console, managers, *_: demo._guides(managers, other))
    result = run("demo", "--invocations", "20")
    assert result.exit_code == 1
    assert "run it again" in result.stderr


@walks_again
def test_what_is_shown_can_be_pasted_into_the_shell(run: Run, cli_database_url: str) -> None:
    shown: list[str] = []
    monkeypatch = pytest.MonkeyPatch()
    named = demo.names_as_code
    monkeypatch.setattr(demo, "names_as_code", lambda *given: shown.append(named(*given)) or named(*given))
    with monkeypatch.context():
        assert run("demo", "--invocations", "200", "--database", cli_database_url).exit_code == 0
    monkeypatch.undo()
    script = "\n".join([*shown, *(demo.source_of(step) for step in STEPS)])
    assert run("shell", "--database", cli_database_url, stdin=script).exit_code == 0


@walks_again
def test_the_data_ends_now(run: Run, cli_database_url: str) -> None:
    assert run("demo", "--invocations", "500", "--database", cli_database_url).exit_code == 0
    database = Database(cli_database_url)
    latest = database.raw_query_single("SELECT max(timestamp) AS moment FROM function_invocations")
    managers = Managers(database)
    moments = [row.timestamp for row in managers.function_invocations.find_all(order_by="timestamp")]
    now = datetime.now(UTC)
    assert latest is not None
    assert now - timedelta(hours=6) < moments[-1] <= now
    assert now - timedelta(days=15) < moments[0]
    assert not managers.function_deployments.exists({"deployed_at": operators.gt(now)})
    assert not managers.users.exists({"updated_at": operators.gt(now)})
    database.close()


# What is refused, and when, is the same whether the walk is shown; showing it takes most of a run.
@pytest.mark.parametrize(
    ("backend", "given"), [("sqlite", ()), ("sqlite", ("--json",)), ("postgresql", ("--json",))], ids=str
)
def test_nothing_is_written_beside_rows_of_others_unless_the_database_is_named(
    run: Run, cli_database_url: str, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", cli_database_url)
    database = Database(cli_database_url)
    database.raw_execute("CREATE TABLE theirs (id INTEGER)")
    beside = run("demo", "--invocations", "20", *given)
    assert beside.exit_code == 1
    assert "expected a database for the demo alone; got one with the table theirs" in beside.stderr
    assert set(read_catalogue(database.engine).tables) == {"theirs"}
    database.raw_execute("DROP TABLE theirs")
    assert run("demo", "--invocations", "20", *given).exit_code == 0
    assert run("demo", "--invocations", "20", *given).exit_code == 0
    assert run("history", "on").exit_code == 0
    assert run("demo", "--invocations", "20", *given).exit_code == 0
    Managers(database).users.insert({"email": "ada@example.com", "password_hash": "x"})
    refused = run("demo", "--invocations", "20", *given)
    assert refused.exit_code == 1
    assert "got one with users of others: name another, or this one by --database URL" in refused.stderr
    assert run("demo", "--invocations", "20", "--database", cli_database_url, *given).exit_code == 0
    database.close()
