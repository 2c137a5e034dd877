"""``cloudpub rollup``: switched on and off, counted, and what other commands know of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Database, Managers
from tests.cli.conftest import Run


def said(run: Run) -> list[tuple[str, str | None]]:
    found = json.loads(run("doctor", "--json").stdout)["findings"]
    return [(one["level"], one["advice"]) for one in found if one["check"] == "rollups"]


def filled(url: str) -> Managers:
    managers = Managers(Database(url))
    managers.database.migrate()
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    for hours, duration in ((1, 20_009), (30, 40), (400, 50)):
        managers.function_invocations.insert(
            {
                "function_id": resize.id,
                "status": "success",
                "duration_ms": duration,
                "timestamp": datetime.now(UTC) - timedelta(hours=hours),
            }
        )
    return managers


@pytest.fixture(autouse=True)
def _named(cli_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", cli_database_url)


def test_on_counted_and_off(run: Run, cli_database_url: str) -> None:
    managers = filled(cli_database_url)
    assert run("rollup").exit_code == 1
    assert "cloudpub rollup on" in run("rollup").stderr
    assert said(run) == []
    assert run("rollup", "on").stdout == "rollups are on: count them from cron\n"
    assert json.loads(run("rollup", "on", "--json").stdout) == {"changed": False}
    assert said(run) == [("warning", "cloudpub rollup, from cron")]
    stats = ("stats", "resize", "--period", "30d", "--until", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", "--json")
    rows = json.loads(run(*stats).stdout)
    assert run("rollup", "--until", "3d").stdout.startswith("invocations are counted until ")
    assert said(run) == [("warning", "cloudpub rollup, from cron")]
    assert "counted_until" in json.loads(run("rollup", "--json").stdout)
    assert said(run) == [("ok", None)]
    counted = json.loads(run(*stats).stdout)
    assert counted == rows
    assert (counted["figures"]["maximum"], counted["figures"]["p50"]) == (20_009, 50)
    assert "not of the library" not in run("migrate", "adopt").stdout

    assert managers.function_invocations.prune(timedelta(days=10)) == 1
    after = json.loads(run(*stats).stdout)
    assert after["figures"] == counted["figures"]
    assert run("rollup", "off").exit_code != 0  # nobody can be asked
    assert run("rollup", "off", "--yes").stdout == "rollups are off\n"
    assert run("rollup", "off").stdout == "nothing to do: they are off\n"
    managers.database.close()


def test_doctor_tells_of_triggers_that_are_gone(run: Run, cli_database_url: str) -> None:
    managers = filled(cli_database_url)
    run("rollup", "on")
    on = " ON function_invocations" if cli_database_url.startswith("postgresql") else ""
    managers.database.raw_execute(f"DROP TRIGGER function_invocation_rollups_insert{on}")
    managers.database.close()
    assert said(run) == [("error", "cloudpub rollup on, then cloudpub rollup")]
    assert run("rollup", "on").exit_code == 0
    assert said(run) == [("warning", "cloudpub rollup, from cron")]


def test_bad_input_is_told_in_one_line(run: Run) -> None:
    for arguments in (("--until", "2999-01-01"), ("--until", "morning"), ("--wait", "-1")):
        failed = run("rollup", *arguments)
        assert failed.exit_code == 2
        assert "Traceback" not in failed.stderr
