"""``cloudpub history`` on both databases: what it says, what it asks, what is back afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from cloudpub_models import Database, Function, Managers

Run = Callable[..., Result]


@pytest.fixture
def url(request: pytest.FixtureRequest, backend: str, workplace: Path) -> str:
    return "sqlite:///history.db" if backend == "sqlite" else str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def managers(url: str) -> Iterator[Managers]:
    """A recorded database."""
    database = Database(url)
    database.migrate()
    database.history.enable()
    yield Managers(database)
    database.close()


@pytest.fixture
def resize(managers: Managers) -> Function:
    """A function that somebody has renamed."""
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    with managers.users.database.acting_as("user:ada"):
        managers.functions.update_by_id(function.id, {"name": "crop"})
    return function


def test_on_and_off(run: Run, url: str) -> None:
    run("migrate", "--database", url)
    assert run("history", "on", "--database", url).stdout == (
        "recording users, user_information, organizations, organization_members, functions, function_deployments: "
        "6 tables in all\n"
    )
    assert run("history", "on", "--database", url).stdout == "recording as before: 6 tables in all\n"
    more = json.loads(run("history", "on", "--also", "function_logs", "--json", "--database", url).stdout)
    assert more["begun"] == ["function_logs"]
    assert "no longer recording function_deployments, " in run("history", "off", "--database", url).stdout
    assert run("history", "off", "--database", url).stdout == "nothing was recorded\n"


def test_show(run: Run, url: str, resize: Function) -> None:
    for key in (str(resize.uuid), str(resize.id)):
        shown = run("history", "show", "functions", key, "--database", url).stdout
        assert "user:ada" in shown
        assert f"update functions {resize.id}" in shown
        assert "name: resize → crop" in shown
    (change,) = json.loads(run("history", "show", "functions", key, "--limit", "1", "--json", "--database", url).stdout)
    assert (change["before"], change["after"], change["actor"]) == ({"name": "resize"}, {"name": "crop"}, "user:ada")


def test_a_row_that_is_gone(run: Run, url: str, managers: Managers, resize: Function) -> None:
    managers.functions.delete_by_id(resize.id)
    assert "delete functions" in run("history", "show", "functions", str(resize.uuid), "--database", url).stdout
    refused = run("history", "undelete", "functions", str(resize.uuid), "--database", url)
    assert refused.exit_code == 1
    assert "say --yes" in refused.stderr
    assert managers.functions.count() == 0
    back = run("history", "undelete", "functions", str(resize.uuid), "--yes", "--database", url)
    assert back.stdout == "taken back: 1 of functions\n"
    assert managers.functions.find_all() == [resize]


def test_undo(run: Run, url: str, managers: Managers, resize: Function) -> None:
    transaction = str(managers.functions.history(resize.id)[0].transaction_id)
    shown = run("history", "undo", transaction, "--database", url)
    assert shown.exit_code == 1
    assert "name: resize → crop" in shown.stdout
    assert run("history", "undo", transaction, "--yes", "--database", url).stdout == "taken back: 1 of functions\n"
    assert managers.functions.get_by_id(resize.id).name == "resize"


def test_prune(run: Run, url: str, resize: Function) -> None:
    refused = run("history", "prune", "--older-than", "0s", "--database", url)
    assert refused.exit_code == 1
    pruned = run("history", "prune", "--older-than", "0s", "--yes", "--json", "--database", url)
    assert json.loads(pruned.stdout)["deleted"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("undo", "99999"), "expected a transaction that the log knows"),
        (
            ("show", "functions", "0f2a4a4e-6f0e-4c52-9a53-3f6d0c1f8a11"),
            "expected a row of functions, of today",
        ),
        (("show", "functions", "crop"), "expected a uuid or an id of functions; got 'crop'"),
        (("show", "function_logs", "1"), "expected a table whose changes are recorded; got function_logs"),
        (("undelete", "functions", "99", "--yes"), "expected a deleted row of functions; got 99"),
        (("on", "--also", "functoins"), "did you mean 'functions'?"),
    ],
)
def test_what_is_mistaken(run: Run, url: str, managers: Managers, arguments: tuple[str, ...], message: str) -> None:
    result = run("history", *arguments, "--database", url)
    assert result.exit_code != 0
    assert message in result.stderr


def test_doctor_finds_a_trigger_that_is_gone(run: Run, url: str, managers: Managers) -> None:
    assert "the changes of 6 tables are recorded" in run("doctor", "--database", url).stdout
    on_table = " ON users" if managers.users.database.dialect == "postgresql" else ""
    managers.users.database.raw_execute(f"DROP TRIGGER users_record_update{on_table}")
    found = run("doctor", "--database", url)
    assert found.exit_code == 1
    assert "the triggers of users are gone or do not fit it" in found.stdout
    run("history", "on", "--database", url)
    assert "the triggers of" not in run("doctor", "--database", url).stdout
