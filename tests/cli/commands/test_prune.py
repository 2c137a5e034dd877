"""``cloudpub prune`` on both databases: what goes, what stays, and what is said about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import Result

from cloudpub_models import Database, Managers
from cloudpub_models.platform.logs import FunctionLogManager

Run = Callable[..., Result]


@pytest.fixture
def url(request: pytest.FixtureRequest, backend: str, workplace: Path) -> str:
    return "sqlite:///prune.db" if backend == "sqlite" else str(request.getfixturevalue("shared_postgresql_url"))


@pytest.fixture
def managers(url: str) -> Iterator[Managers]:
    """A function with ten log lines and ten invocations, one from each of the last ten days."""
    database = Database(url)
    database.migrate()
    managers = Managers(database)
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    function = managers.functions.insert({"user_id": user.id, "name": "resize"})
    # An hour off the full days, so that the time a test takes does not matter.
    moments = [datetime.now(UTC) - timedelta(days=days, hours=1) for days in range(10)]
    managers.function_logs.batch_insert(
        {"function_id": function.id, "level": "info", "message": f"{days} days", "timestamp": moment}
        for days, moment in enumerate(moments)
    )
    managers.function_invocations.batch_insert(
        {"function_id": function.id, "status": "success", "duration_ms": days, "timestamp": moment}
        for days, moment in enumerate(moments)
    )
    yield managers
    database.close()


def counts(managers: Managers) -> tuple[int, int]:
    return managers.function_logs.count(), managers.function_invocations.count()


@pytest.mark.parametrize(("what", "left"), [("logs", (4, 10)), ("invocations", (10, 4))])
def test_what_is_older_goes_and_nothing_else(
    run: Run, url: str, managers: Managers, what: str, left: tuple[int, int]
) -> None:
    result = run("prune", what, "--older-than", "4d", "--batch-size", "4", "--database", url)
    assert result.exit_code == 0
    assert re.fullmatch(rf"deleted 6 rows of function_{what} in \d+\.\d s.*\n", result.stdout)
    assert counts(managers) == left
    if what == "logs":
        kept = [line.message for line in managers.function_logs.find_all(order_by="id")]
        assert kept == ["0 days", "1 days", "2 days", "3 days"]


def test_a_dry_run_deletes_nothing(run: Run, url: str, managers: Managers) -> None:
    result = run("prune", "logs", "--older-than", "1w", "--dry-run", "--database", url)
    assert result.stdout.startswith("3 rows of function_logs are from before 2")
    assert result.stdout.endswith("; nothing was deleted\n")
    assert counts(managers) == (10, 10)


def test_as_json(run: Run, url: str, managers: Managers) -> None:
    moment = (datetime.now(UTC) - timedelta(days=8)).isoformat(timespec="seconds")
    options = ("--older-than", moment, "--json", "--database", url)
    dry = json.loads(run("prune", "invocations", "--dry-run", *options).stdout)
    assert (dry["table"], dry["found"], dry["deleted"], dry["dry_run"]) == ("function_invocations", 2, 0, True)
    assert datetime.fromisoformat(dry["before"]) == datetime.fromisoformat(moment)
    assert json.loads(run("prune", "invocations", *options).stdout)["deleted"] == 2


@pytest.mark.parametrize("age", ["30", "a month", "", "30y", "6m", "-3d", "9999999999d", "999999999w", "2026-13-01"])
def test_an_age_that_is_none(run: Run, url: str, managers: Managers, age: str) -> None:
    result = run("prune", "logs", "--older-than", age, "--database", url)
    assert result.exit_code == 2
    assert "30d" in result.stderr
    assert counts(managers) == (10, 10)


@pytest.mark.parametrize("moment", ["2999-01-01", "2999-01-01T00:00:00-12:00"])
def test_a_moment_to_come_is_refused(run: Run, url: str, managers: Managers, moment: str) -> None:
    result = run("prune", "logs", "--older-than", moment, "--yes", "--database", url)
    assert result.exit_code == 2
    assert "2999" in result.stderr
    assert counts(managers) == (10, 10)


@pytest.mark.parametrize("age", ["23h", "90min", "30s"])
def test_what_is_younger_than_a_day_goes_only_with_consent(run: Run, url: str, managers: Managers, age: str) -> None:
    command = ("prune", "logs", "--older-than", age, "--database", url)
    refused = run(*command)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "of the 10 rows of function_logs" in refused.stderr
    assert "--yes" in refused.stderr
    assert run(*command, "--dry-run").exit_code == 0
    assert counts(managers) == (10, 10)
    agreed = run(*command, "--yes")
    assert agreed.exit_code == 0
    assert counts(managers)[0] == (0 if age == "30s" else 1)  # the youngest is an hour old


def test_the_age_has_to_be_said(run: Run, url: str, managers: Managers) -> None:
    result = run("prune", "logs", "--database", url)
    assert result.exit_code == 2
    assert "--older-than" in result.stderr
    assert counts(managers) == (10, 10)


def test_an_interrupted_run_says_how_far_it_came(
    run: Run, url: str, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FunctionLogManager.prune

    def interrupted(
        self: FunctionLogManager, older_than: datetime, batch_size: int, *, progress: Callable[[int], object]
    ) -> int:
        def stop(rows: int) -> None:
            progress(rows)
            raise KeyboardInterrupt

        return original(self, older_than, batch_size, progress=stop)

    monkeypatch.setattr(FunctionLogManager, "prune", interrupted)
    result = run("prune", "logs", "--older-than", "4d", "--batch-size", "4", "--database", url)
    assert result.exit_code != 0
    assert "4 of 6 rows are deleted" in result.stderr
    assert counts(managers) == (6, 10)


@pytest.mark.parametrize(
    ("what", "code", "told"),
    [
        ("lines", 2, "expected a table; got 'lines'"),
        ("functions", 1, "expected a table whose model says by which column it is partitioned; got functions"),
    ],
)
def test_what_has_no_old_rows_is_named(run: Run, url: str, managers: Managers, what: str, code: int, told: str) -> None:
    result = run("prune", what, "--older-than", "4d", "--database", url)
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in " ".join(result.stderr.split())
    assert counts(managers) == (10, 10)


def test_a_table_by_its_own_name(run: Run, url: str, managers: Managers) -> None:
    result = run("prune", "function_logs", "--older-than", "4d", "--database", url)
    assert result.stdout.startswith("deleted 6 rows of function_logs in ")
    assert counts(managers) == (4, 10)
