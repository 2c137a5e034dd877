"""``cloudpub cells``, and the commands that read and write rows of several servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers
from tests.cli.conftest import Run
from tests.conftest import DatabaseMaker

Said = Callable[..., str]


@pytest.fixture
def urls(
    postgresql_databases: DatabaseMaker, postgresql_template: str, workplace: object, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """The URLs of a main database and of two servers, which the environment names for commands."""
    with ExitStack() as stack:
        found = [stack.enter_context(postgresql_databases(postgresql_template)) for _ in range(3)]
        monkeypatch.setenv("CLOUDPUB_DATABASE_URL", found[0])
        monkeypatch.setenv("CLOUDPUB_HISTORY_URLS", " ".join(found[1:]))
        yield found


@pytest.fixture
def said(run: Run) -> Said:
    def call(*arguments: str, code: int = 0, **options: Any) -> str:
        result = run(*arguments, **options)
        assert result.exit_code == code, result.stderr
        return result.stdout if code == 0 else result.stderr

    return call


@pytest.fixture
def resize(urls: list[str]) -> Iterator[Function]:
    """A function of main, where there are no servers yet, with ten lines and an invocation."""
    database = Database(urls[0])
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    managers.function_logs.batch_insert(
        {"function_id": function.id, "level": "info", "message": f"request {number}"} for number in range(10)
    )
    managers.function_invocations.record(function, "success", 5)
    yield function
    database.close()


def test_the_way_in(said: Said, resize: Function, urls: list[str]) -> None:
    assert "call managers.cells.initialize() once" in said("cells", code=1)
    assert said("cells", "initialize") == "the servers are prepared\n"
    assert said("cells", "initialize") == "nothing to do: the servers are prepared\n"
    before = json.loads(said("cells", "--json"))
    assert [(each["number"], each["buckets"]) for each in before] == [(0, 1024), (1, 0), (2, 0)]
    assert said("cells", "move", "512", "--to", "1").startswith("moved 512 buckets with ")
    assert json.loads(said("cells", "move", "1024", "--from", "0", "--to", "2", "--json"))["buckets"] == 512
    after = json.loads(said("cells", "--json"))
    assert [(each["number"], each["buckets"]) for each in after] == [(1, 512), (2, 512)]
    assert "512" in said("cells")
    assert "expected the number of a server of history=; got 7" in said("cells", "move", "1", "--to", "7", code=1)
    database = Database(urls[0])
    Managers(database).functions.delete_by_id(resize.id)
    database.close()
    assert said("cells", "sweep") == "deleted 11 rows of functions that are gone\n"
    assert json.loads(said("cells", "sweep", "--json")) == {"rows": 0}


def test_commands_ask_the_servers(said: Said, resize: Function, urls: list[str]) -> None:
    said("cells", "initialize")
    said("cells", "move", "1024", "--to", "2")
    assert said("count", "function_logs") == "10\n"
    assert len(said("find", "function_logs", "message~%request%", "--json").splitlines()) == 10
    assert "request 9" in said("logs", "resize", "--limit", "1")
    assert json.loads(said("stats", "resize", "--json"))["figures"]["total"] == 1
    line = json.loads(said("find", "function_logs", "--limit", "1", "--json"))
    assert line["message"] in said("show", "function_logs", line["uuid"])
    assert said("delete", "function_logs", "message=request 3", "--yes", "--json")
    said("dump", "function_logs", "logs.jsonl")
    said("prune", "logs", "--older-than", "0s", "--yes")
    assert said("count", "function_logs") == "0\n"
    assert "got function_logs, whose rows are on several servers" in said("load", "function_logs", "logs.jsonl", code=1)
    # What it says of itself goes before what the environment says.
    assert "which is the main database" in said("count", "function_logs", "--history", urls[0], code=1)
    assert "got one that names function_logs" in said("sql", "SELECT * FROM function_logs", code=1)


def test_there_are_none_on_sqlite(said: Said, migrated_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{migrated_file}"
    told = said("cells", "--database", url, "--history", "postgresql://h1/cloud", code=1)
    assert "history=" in told
    assert "expected the servers of history; got none" in said("cells", "--database", url, code=1)


def test_the_doctor_looks_at_them(said: Said, run: Run, resize: Function, urls: list[str]) -> None:
    def findings() -> list[dict[str, str]]:
        found = json.loads(run("doctor", "--json").stdout)["findings"]
        return [each for each in found if each["check"] == "cells"]

    assert [each["level"] for each in findings()] == ["error"]
    said("cells", "initialize")
    said("cells", "move", "1024", "--to", "2")
    assert [(each["level"], each["message"]) for each in findings()] == [
        ("ok", "2 servers have the rows that they should have")
    ]
    assert "could not be examined" not in said("doctor")
    assert said("migrate", "check") != ""
    server, main = Database(urls[1]), Database(urls[0])
    server.raw_execute(
        "INSERT INTO function_logs (function_id, level, message) VALUES (@id, 'info', 'x')", {"id": resize.id}
    )
    main.raw_execute("UPDATE cells SET step = 'emptying', other = 2 WHERE bucket = 7")
    server.raw_query_all("SELECT setval('cell_map', 1000000)")
    told = [each["message"] for each in findings() if each["level"] == "warning"]
    assert told[0] == "1 buckets are being moved, or were when a move was ended"
    assert "was told of a later map than" in told[1]
    assert f"has rows of function_logs with function_id {resize.id} …, which are another server's" in told[2]
    server.raw_execute("DELETE FROM cloudpub_migrations")
    assert any("lacks migrations: 0001_initial" in each["message"] for each in findings())
    for database in (server, main):
        database.close()


def test_rollups_are_on_all_servers(said: Said, run: Run, resize: Function, urls: list[str]) -> None:
    def findings() -> list[tuple[str, str]]:
        found = json.loads(run("doctor", "--json").stdout)["findings"]
        return [(each["level"], each["message"]) for each in found if each["check"] == "rollups"]

    assert findings() == []
    said("cells", "initialize")
    said("cells", "move", "1024", "--to", "2")
    assert findings() == []
    before = json.loads(said("stats", "resize", "--period", "30d", "--json"))
    assert said("rollup", "on") == "rollups are on: count them from cron\n"
    assert said("rollup", "on") == "nothing to do: they are on\n"
    assert [level for level, _ in findings()] == ["warning", "warning"]
    assert said("rollup").startswith("invocations are counted until ")
    told = findings()
    assert [level for level, _ in told] == ["ok", "ok"]
    assert ["invocations are counted until" in message for _, message in told] == [True, True]
    assert len({message.split(": ")[0] for _, message in told}) == 2
    assert json.loads(said("stats", "resize", "--period", "30d", "--json"))["figures"] == before["figures"]
    said("prune", "invocations", "--older-than", "0s", "--yes")
    server = Database(urls[1])
    server.raw_execute("DROP TRIGGER function_invocation_rollups_delete ON function_invocations")
    assert [level for level, _ in findings()] == ["error", "ok"]
    Managers(server).function_invocations.disable_rollups()
    assert "has none, as others have" in findings()[0][1]
    said("rollup", "on")
    assert "expected somebody to ask; got no terminal" in said("rollup", "off", code=1)
    assert said("rollup", "off", "--yes") == "rollups are off\n"
    assert said("rollup", "off", "--yes") == "nothing to do: they are off\n"
    server.close()
