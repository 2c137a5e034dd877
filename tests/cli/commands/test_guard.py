"""``cloudpub guard``: row security switched on and off, as the role of a program."""

from __future__ import annotations

import json
from contextlib import closing

import psycopg2
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


def said_of_row_security(run: Run, url: str) -> list[tuple[str, str, str | None]]:
    found = json.loads(run("doctor", "--json", "--database", url).stdout)["findings"]
    return [(one["level"], one["message"], one["advice"]) for one in found if one["check"] == "row security"]


def test_doctor_tells_of_tables_that_are_not_held(run: Run, program_url: str) -> None:
    assert said_of_row_security(run, program_url) == []
    run("guard", "on", "--database", program_url)
    assert said_of_row_security(run, program_url) == [("ok", "holds the rows of 8 tables to their owners", None)]
    with closing(psycopg2.connect(program_url)) as connection, connection, connection.cursor() as cursor:
        # As a migration leaves a table that it makes, and somebody one of which more rows were wanted.
        cursor.execute("DROP POLICY cloudpub_owner ON function_logs")
        cursor.execute("ALTER TABLE function_logs NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
        cursor.execute("ALTER TABLE users NO FORCE ROW LEVEL SECURITY")
    advice = "cloudpub guard on, as the role of the program"
    told = "row security does not hold {} to its owners, of users: {}"
    assert said_of_row_security(run, program_url) == [
        ("warning", told.format("users", "its policy is not in force"), advice),
        ("warning", told.format("function_logs", "it was made after cloudpub guard on"), advice),
    ]
    run("guard", "on", "--database", program_url)
    assert [level for level, _, _ in said_of_row_security(run, program_url)] == ["ok"]


def test_doctor_says_whose_tables_they_are(run: Run, program_url: str) -> None:
    run("guard", "on", "--owner", "functions", "--database", program_url)
    with closing(psycopg2.connect(program_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DROP POLICY cloudpub_owner ON function_invocations")
        cursor.execute("ALTER TABLE function_invocations NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
    [(level, message, advice)] = said_of_row_security(run, program_url)
    assert (level, advice) == ("warning", "cloudpub guard on --owner functions, as the role of the program")
    assert message.startswith("row security does not hold function_invocations to its owners, of functions")
