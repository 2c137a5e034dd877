"""``cloudpub graphql``: types on stdout, answers as JSON, and an exit code for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from graphql import build_schema
from typer.testing import Result

from cloudpub_models import Database, Managers, User

Run = Callable[..., Result]


@pytest.fixture
def ada(cli_database_url: str, workplace: Path) -> User:
    """A user with an organization."""
    database = Database(cli_database_url)
    database.migrate()
    managers = Managers(database)
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.organizations.create("Acme", user)
    database.close()
    return user


def test_the_types(run: Run, ada: User, cli_database_url: str) -> None:
    shown = run("graphql", "schema", "--database", cli_database_url)
    assert "User" in build_schema(shown.stdout).type_map


def test_an_answer(run: Run, ada: User, cli_database_url: str) -> None:
    query = "query ($first: Int) { users(first: $first) { nodes { email } } }"
    for given, stdin in ((query, ""), ("-", query)):
        options = ("--variables", '{"first": 1}', "--database", cli_database_url)
        result = run("graphql", "query", given, *options, stdin=stdin)
        assert json.loads(result.stdout) == {"data": {"users": {"nodes": [{"email": "ada@example.com"}]}}}
        assert result.exit_code == 0


def test_as_a_user(run: Run, ada: User, cli_database_url: str) -> None:
    query = "{ organizations { nodes { ownerId } } }"
    for options, owner in (((), None), (("--as", str(ada.uuid)), str(ada.uuid))):
        result = run("graphql", "query", query, *options, "--database", cli_database_url)
        assert json.loads(result.stdout)["data"]["organizations"]["nodes"] == [{"ownerId": owner}]


def test_an_answer_with_errors_fails(run: Run, ada: User, cli_database_url: str) -> None:
    result = run("graphql", "query", "{ users { nodes { passwordHash } } }", "--database", cli_database_url)
    assert result.exit_code == 1
    assert "Cannot query field 'passwordHash'" in json.loads(result.stdout)["errors"][0]["message"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--variables", "{"), "expected --variables to be JSON; got"),
        (("--variables", "[1]"), "expected --variables to be an object; got [1]"),
        (("--as", "ada"), "expected a UUID"),
    ],
)
def test_what_is_refused(run: Run, ada: User, cli_database_url: str, options: tuple[str, ...], message: str) -> None:
    result = run("graphql", "query", "{ __typename }", *options, "--database", cli_database_url)
    assert result.exit_code != 0
    assert message in result.stderr
