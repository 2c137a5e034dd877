"""``cloudpub guard``: row security switched on and off, as the role of a program."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run
from tests.schema.roles import owned_by_program


@pytest.fixture
def program_url(postgresql_url: str) -> str:
    return owned_by_program(postgresql_url)


def test_on_and_off(run: Run, program_url: str) -> None:
    on = run("guard", "on", "--database", program_url)
    assert on.stdout.startswith("held to their owners, of users: users, user_information, organizations")
    assert run("count", "users", "--database", program_url).stdout.strip() == "0"
    ended = json.loads(run("guard", "off", "--json", "--database", program_url).stdout)["ended"]
    assert ended[:2] == ["users", "user_information"]
    assert run("guard", "off", "--database", program_url).stdout.strip() == "nothing was held"


def test_another_owner(run: Run, program_url: str) -> None:
    on = run("guard", "on", "--owner", "functions", "--json", "--database", program_url)
    assert json.loads(on.stdout)["held"] == [
        "functions",
        "function_deployments",
        "function_logs",
        "function_invocations",
    ]


def test_what_cannot_be_guarded_is_told_in_one_line(run: Run, postgresql_url: str) -> None:
    for arguments, told in (
        (["on", "--database", "sqlite:///:memory:"], "expected a database with row security"),
        (["on", "--database", postgresql_url], "expected a role that row security holds"),
        (["on", "--owner", "usres", "--database", postgresql_url], "users"),
    ):
        failed = run("guard", *arguments)
        assert failed.exit_code != 0
        assert told in failed.stderr
        assert "Traceback" not in failed.stderr
