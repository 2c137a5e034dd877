"""``cloudpub delete`` on both databases: what it would delete, what it asks, what is gone afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from cloudpub_models import Managers, User
from cloudpub_models.cli.commands import delete as command

Run = Callable[..., Result]


@pytest.fixture
def ada(data: Managers) -> User:
    """A user with two functions, beside another one."""
    data.users.insert({"email": "grace@example.com", "password_hash": "…"})
    ada = data.users.insert({"email": "ada@example.com", "password_hash": "…"})
    for name in ("resize", "crop"):
        function = data.functions.insert({"user_id": ada.id, "name": name})
        data.function_logs.append(function, "info", "begun")
    return ada


def test_a_preview_says_what_would_go_and_deletes_nothing(run: Run, data: Managers, ada: User) -> None:
    shown = run("delete", "users", "email=ada@example.com", "--preview").stdout
    told = [line.strip("│").split("│") for line in shown.splitlines() if line.startswith("│")]
    assert [(name.strip(), count.strip()) for name, count in told] == [
        ("table", "rows"),
        ("users", "1"),
        ("functions", "2"),
        ("function_logs", "2"),
    ]
    preview = json.loads(run("delete", "users", "email=ada@example.com", "--preview", "--json", "--yes").stdout)
    assert preview == {"preview": {"users": 1, "functions": 2, "function_logs": 2}}
    assert run("delete", "users", "--all", "--preview").stdout.count("\n") == 7
    assert run("delete", "users", "email=nobody", "--preview").stdout == "no rows\n"
    assert (data.users.count(), data.functions.count()) == (2, 2)


def test_without_an_answer_nothing_is_deleted(run: Run, data: Managers, ada: User) -> None:
    refused = run("delete", "users", "email=ada@example.com")
    assert refused.exit_code == 1
    assert "functions" in refused.stdout
    assert "read what it would destroy, then say --yes" in refused.stderr
    assert data.users.count() == 2


def test_who_agrees_is_told_how_many_went(run: Run, data: Managers, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(command, "require_consent", lambda question, *, yes: asked.append(question))
    deleted = run("delete", "functions", "name~%r%")
    assert asked == ["Delete these 4 rows?"]
    assert deleted.stdout.endswith("deleted 2 rows of functions\n")
    assert run("delete", "functions", "name=resize").stdout == "deleted 0 rows of functions\n"
    assert len(asked) == 1
    assert json.loads(run("delete", "users", f"id={ada.id}", "--yes", "--json").stdout) == {"deleted": 1}
    assert run("delete", "users", "--all", "--yes").stdout == "deleted 1 row of users\n"
    assert data.users.count() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("users",), "expected conditions, or --all for every row; got neither"),
        (("users", "id=1", "--all"), "expected conditions, or --all for every row; got both"),
        (("users", "emial=x"), "did you mean 'email'?"),
        (("users", "email"), "expected a condition, as in status=active"),
        (("user", "id=1"), "did you mean 'users'?"),
        (("users", "id=one"), "got str 'one'"),
    ],
)
def test_what_is_mistaken(run: Run, data: Managers, ada: User, arguments: tuple[Any, ...], message: str) -> None:
    refused = run("delete", *arguments, "--yes")
    assert refused.exit_code != 0
    assert message in " ".join(refused.stderr.replace("│", " ").split())
    assert data.users.count() == 2
