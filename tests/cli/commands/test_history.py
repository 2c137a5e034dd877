"""``cloudpub history`` on both databases: what it says, what it asks, what is back afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from cloudpub_models import Database, Function, Managers
from cloudpub_models.cli.shown.changes import summary
from tests.schema.roles import owned_by_program

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


def test_a_row_is_shown_with_its_last_change(run: Run, url: str, managers: Managers, resize: Function) -> None:
    (change, *_) = managers.functions.history(resize.id)
    shown = run("show", "functions", str(resize.uuid), "--database", url).stdout
    assert f"last change: {summary(change)}\n" in shown
    assert summary(change).endswith("name: resize → crop")
    assert "last change" not in run("show", "functions", str(resize.uuid), "--json", "--database", url).stdout
    managers.functions.database.history.disable()
    assert "last change" not in run("show", "functions", str(resize.uuid), "--database", url).stdout


@pytest.mark.parametrize("backend", ["postgresql"])
def test_who_may_not_read_the_log_is_shown_the_row(run: Run, url: str, managers: Managers, resize: Function) -> None:
    program = owned_by_program(url)
    assert "last change" in run("show", "functions", "1", "--database", program).stdout
    managers.database.raw_execute("ALTER TABLE changes OWNER TO CURRENT_USER")
    shown = run("show", "functions", "1", "--database", program)
    assert "crop" in shown.stdout
    assert "last change" not in shown.stdout


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


def test_what_is_loaded_is_recorded(run: Run, url: str, managers: Managers, resize: Function) -> None:
    run("dump", "functions", "functions.jsonl", "--database", url)
    run("delete", "functions", "--all", "--yes", "--database", url)
    run("load", "functions", "functions.jsonl", "--database", url)
    assert managers.functions.find_all() == [resize]
    operations = [change.operation for change in managers.functions.history(resize.id)]
    assert operations == ["insert", "delete", "update", "insert"]
    assert run("history", "undelete", "functions", str(resize.id), "--yes", "--database", url).exit_code == 1


def test_undo(run: Run, url: str, managers: Managers, resize: Function) -> None:
    transaction = str(managers.functions.history(resize.id)[0].transaction_id)
    shown = run("history", "undo", transaction, "--database", url)
    assert shown.exit_code == 1
    assert "name: resize → crop" in shown.stdout
    assert run("history", "undo", transaction, "--yes", "--database", url).stdout == "taken back: 1 of functions\n"
    assert managers.functions.get_by_id(resize.id).name == "resize"


def test_what_was_changed_since_is_a_conflict(run: Run, url: str, managers: Managers, resize: Function) -> None:
    transaction = str(managers.functions.history(resize.id)[0].transaction_id)
    managers.functions.update_by_id(resize.id, {"name": "shrink"})
    refused = run("history", "undo", transaction, "--yes", "--database", url)
    assert refused.exit_code == 1
    assert "undo that first, or say --force" in refused.stderr
    forced = run("history", "undo", transaction, "--yes", "--force", "--database", url)
    assert forced.stdout == "taken back: 1 of functions\n"


def test_of_much_the_preview_shows_a_part(run: Run, url: str, managers: Managers, resize: Function) -> None:
    managers.functions.batch_insert({"user_id": resize.user_id, "name": f"f{number}"} for number in range(29))
    managers.users.delete_by_id(resize.user_id)
    refused = run("history", "undelete", "users", str(resize.user_id), "--database", url)
    shown = [line for line in refused.stdout.splitlines() if "delete " in line]
    assert len(shown) == 20
    (rest,) = [line for line in refused.stderr.splitlines() if line.endswith(" more")]
    users = 1 - sum("users" in line for line in shown)
    assert rest.split(", ")[0].endswith(f"{11 - users} changes of functions" + (" more" if not users else ""))
    assert ("1 change of users" in rest) == bool(users)


def test_forget(run: Run, url: str, managers: Managers, resize: Function) -> None:
    refused = run("history", "forget", "functions", str(resize.uuid), "--database", url)
    assert refused.exit_code == 1
    assert "say --yes" in refused.stderr
    assert managers.functions.history(resize.id)[0].before == {"name": "resize"}
    forgotten = run("history", "forget", "functions", str(resize.uuid), "--yes", "--database", url)
    assert forgotten.stdout == "emptied 1 change\n"
    assert managers.functions.history(resize.id)[0].before == {}
    assert managers.functions.get_by_id(resize.id).name == "crop"
    managers.functions.delete_by_id(resize.id)
    told = run("history", "forget", "functions", str(resize.id), "--yes", "--json", "--database", url)
    assert json.loads(told.stdout) == {"table": "functions", "row_id": resize.id, "emptied": 2}
    assert run("history", "undelete", "functions", str(resize.id), "--yes", "--database", url).exit_code == 1


def test_where_nothing_was_ever_recorded(run: Run, url: str) -> None:
    run("migrate", "--database", url)
    for arguments in (
        ("prune", "--older-than", "1d", "--yes"),
        ("prune", "--older-than", "1d", "--source", "outbox", "--yes"),
        ("forget", "users", "1", "--yes"),
        ("show", "users", "1"),
        ("undo", "1", "--yes"),
        ("undelete", "users", "1", "--yes"),
    ):
        refused = run("history", *arguments, "--database", url)
        assert refused.exit_code == 1
        assert refused.stderr.endswith(": run 'cloudpub history on'\n")
        assert "got " in refused.stderr


def test_prune(run: Run, url: str, resize: Function) -> None:
    refused = run("history", "prune", "--older-than", "0s", "--database", url)
    assert refused.exit_code == 1
    pruned = run("history", "prune", "--older-than", "0s", "--yes", "--json", "--database", url)
    assert json.loads(pruned.stdout)["deleted"] == 3


def test_consumers(run: Run, url: str, managers: Managers, resize: Function) -> None:
    database = managers.database
    with database.feed("search", limit=1):
        pass
    with database.feed("mailer", source="outbox"):
        database.publish("topic")
    shown = run("history", "consumers", "--database", url).stdout
    told = [line.replace("│", " ").split()[:3] for line in shown.splitlines() if "search" in line or "mailer" in line]
    assert told == [["mailer", "outbox", "never"], ["search", "changes", told[1][2]]]
    mailer, search = json.loads(run("history", "consumers", "--json", "--database", url).stdout)
    assert (mailer["waiting"], mailer["read_at"], search["waiting"]) == (1, None, 2)

    pruned = run("history", "prune", "--older-than", "0s", "--yes", "--database", url)
    assert pruned.stdout == ("deleted 1 change\n" if database.dialect == "sqlite" else "deleted 0 changes\n")
    assert "search has yet to read 2 changes, which are kept" in pruned.stderr
    pruned = run("history", "prune", "--source", "outbox", "--older-than", "0s", "--yes", "--database", url)
    assert pruned.stdout == "deleted 0 messages\n"

    assert "say --yes" in run("history", "move-consumer", "search", "now", "--database", url).stderr
    moved = run("history", "move-consumer", "search", "now", "--yes", "--database", url)
    assert moved.stdout == "search goes on from now\n"
    moved = run("history", "move-consumer", "mailer", "oldest", "--yes", "--database", url)
    assert moved.stdout == "mailer goes on from the oldest\n"
    assert [consumer.waiting for consumer in database.history.consumers()] == [1, 0]

    assert "say --yes" in run("history", "remove-consumer", "search", "--database", url).stderr
    removed = run("history", "remove-consumer", "search", "--yes", "--database", url)
    assert removed.stdout == "search is forgotten\n"
    assert [consumer.name for consumer in database.history.consumers()] == ["mailer"]


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
        (("remove-consumer", "search", "--yes"), "expected the name of a consumer; got 'search': none is known"),
        (("move-consumer", "search", "back", "--yes"), "'back' is not one of 'oldest', 'now'"),
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
    assert "the triggers of users are gone, old or do not fit it" in found.stdout
    run("history", "on", "--database", url)
    assert "the triggers of" not in run("doctor", "--database", url).stdout


def test_doctor_finds_a_consumer_that_has_stopped(run: Run, url: str, managers: Managers, resize: Function) -> None:
    database = managers.database
    with database.feed("search", limit=1):
        pass
    assert "1 consumer of feeds: none has stopped" in run("doctor", "--database", url).stdout
    long_ago = {"then": "2020-01-01 12:00:00.000000"}
    database.raw_execute("UPDATE changes SET changed_at = @then", long_ago)
    database.raw_execute("UPDATE feed_positions SET started_at = @then, read_at = @then", long_ago)
    (found,) = [
        one
        for one in json.loads(run("doctor", "--json", "--database", url).stdout)["findings"]
        if "consumer" in one["message"]
    ]
    assert (found["level"], found["message"]) == (
        "warning",
        "the consumer search read last 2020-01-01 12:00 UTC: 2 of changes wait, which prune keeps",
    )
    assert found["advice"] == "start it again, or cloudpub history remove-consumer 'search'"
