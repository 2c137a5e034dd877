"""``cloudpub logs`` on both databases: the latest lines, choosing among them, and following."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from cloudpub_models import Database, Function, FunctionLog, Managers
from cloudpub_models.cli.commands import logs as logs_module
from cloudpub_models.cli.commands.logs import RecentLines

Run = Callable[..., Result]


@pytest.fixture
def url(request: pytest.FixtureRequest, backend: str, workplace: Path) -> str:
    """The URL of a migrated, empty database that a command can open beside the test."""
    return "sqlite:///logs.db" if backend == "sqlite" else str(request.getfixturevalue("shared_postgresql_url"))


@pytest.fixture
def managers(url: str) -> Iterator[Managers]:
    database = Database(url)
    database.migrate()
    yield Managers(database)
    database.close()


@pytest.fixture
def resize(managers: Managers) -> Function:
    """A function with three lines, beside another with one."""
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    other = managers.functions.insert({"user_id": user.id, "name": "other"})
    managers.function_logs.append(other, "info", "not yours")
    function = managers.functions.insert({"user_id": user.id, "name": "resize"})
    for level, message in (("info", "started"), ("error", "Timeout after 100% of 30_s"), ("info", "again")):
        managers.function_logs.append(function, level, message)
    return function


def messages(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [json.loads(line)["message"] for line in result.stdout.splitlines()]


def test_the_latest_lines_oldest_first(run: Run, url: str, resize: Function) -> None:
    result = run("logs", "resize", "--limit", "2", "--database", url)
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first[23:] == "  error  Timeout after 100% of 30_s"
    assert second[23:] == "  info   again"
    assert "\x1b" not in result.stdout


def test_a_function_by_uuid_or_by_name(run: Run, url: str, resize: Function) -> None:
    by_uuid = messages(run("logs", str(resize.uuid), "--json", "--database", url))
    assert by_uuid == messages(run("logs", "resize", "--json", "--database", url))
    assert by_uuid == ["started", "Timeout after 100% of 30_s", "again"]
    mistyped = run("logs", "resise", "--database", url)
    assert mistyped.exit_code == 1
    assert "did you mean 'resize'?" in mistyped.stderr


def test_a_line_of_json_has_what_is_public(run: Run, url: str, resize: Function) -> None:
    line = json.loads(run("logs", "resize", "--json", "--limit", "1", "--database", url).stdout)
    assert set(line) == {"uuid", "timestamp", "level", "message"}
    assert line["timestamp"].endswith("+00:00")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--level", "error"), ["Timeout after 100% of 30_s"]),
        (("--level", "error", "--level", "info", "--limit", "2"), ["Timeout after 100% of 30_s", "again"]),
        (("--grep", "TIMEOUT"), ["Timeout after 100% of 30_s"]),
        (("--grep", "100%"), ["Timeout after 100% of 30_s"]),
        (("--grep", "30_"), ["Timeout after 100% of 30_s"]),
        (("--grep", "3%s"), []),
        (("--grep", "a_ain"), []),
        (("--grep", "a", "--level", "info"), []),
        (("--grep", "a* OR start*", "--level", "info"), ["started", "again"]),
        (("--grep", '"after 100" -again'), ["Timeout after 100% of 30_s"]),
        (("--grep", "again", "--limit", "0"), []),
        (("--limit", "0"), []),
    ],
    ids=" ".join,
)
def test_choosing_lines(run: Run, url: str, resize: Function, options: tuple[str, ...], expected: list[str]) -> None:
    assert messages(run("logs", "resize", "--json", *options, "--database", url)) == expected


def test_nothing_found_says_why(run: Run, url: str, resize: Function, managers: Managers) -> None:
    assert (
        "levels of its latest lines are error, info"
        in run("logs", "resize", "--level", "warning", "--database", url).stderr
    )
    assert "no lines match" in run("logs", "resize", "--grep", "nowhere", "--database", url).stderr
    managers.functions.insert({"user_id": resize.user_id, "name": "silent"})
    assert "has logged nothing" in run("logs", "silent", "--database", url).stderr


def test_a_message_of_several_lines_and_commands_for_a_terminal(
    run: Run, url: str, resize: Function, managers: Managers
) -> None:
    managers.function_logs.append(resize, "error", "Traceback\n  File x\x1b[2J\nValueError")
    lines = run("logs", "resize", "--limit", "1", "--database", url).stdout.splitlines()
    indentation = lines[0].index("Traceback")
    assert [line[indentation:] for line in lines] == ["Traceback", "  File x [2J", "ValueError"]


def test_levels_have_colours_on_a_terminal(
    run: Run, url: str, resize: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = run("logs", "resize", "--database", url).stdout
    assert "\x1b[1;31merror\x1b[0m" in shown
    assert "\x1b[32minfo \x1b[0m" in shown


def test_following_shows_each_new_line_once(
    run: Run, url: str, resize: Function, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = iter(range(5))
    monkeypatch.setattr(logs_module, "_CHUNK_ROWS", 2)

    def work_meanwhile(seconds: float) -> None:
        number = next(rounds)
        if number == 4:
            raise KeyboardInterrupt
        for part in range(number):
            managers.function_logs.append(resize, "info", f"new {number}.{part}")
            managers.function_logs.append(resize, "debug", "not wanted")

    monkeypatch.setattr(logs_module.time, "sleep", work_meanwhile)
    options = ("--follow", "--level", "info", "--limit", "1", "--json")
    result = run("logs", "resize", *options, "--database", url)
    assert messages(result) == ["again", "new 1.0", "new 2.0", "new 2.1", "new 3.0", "new 3.1", "new 3.2"]


def test_following_shows_the_lines_that_are_searched_for(
    run: Run, url: str, resize: Function, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages_to_come = iter(["timed out", "done", "Timed out again"])

    def work_meanwhile(seconds: float) -> None:
        message = next(messages_to_come, None)
        if message is None:
            raise KeyboardInterrupt
        managers.function_logs.append(resize, "info", message)

    monkeypatch.setattr(logs_module.time, "sleep", work_meanwhile)
    result = run("logs", "resize", "--follow", "--grep", '"timed out" OR timeout', "--json", "--database", url)
    assert messages(result) == ["Timeout after 100% of 30_s", "timed out", "Timed out again"]


def test_what_was_searched_for_is_marked_on_a_terminal(
    run: Run, url: str, resize: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "after \x1b[7m100\x1b[0m% of" in run("logs", "resize", "--grep", "100", "--database", url).stdout


def test_a_search_for_nothing_is_refused(run: Run, url: str, resize: Function) -> None:
    result = run("logs", "resize", "--grep", "-again", "--database", url)
    assert result.exit_code != 0
    assert "expected a word to search for beside what is left out" in result.stderr


@pytest.mark.parametrize("backend", ["postgresql"])
def test_following_shows_a_line_that_was_committed_late(
    run: Run, url: str, resize: Function, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Database(url)
    transaction = slow.transaction()

    def late() -> None:
        transaction.__enter__()
        Managers(slow).function_logs.append(resize, "info", "committed late")

    steps = iter(
        [
            late,
            lambda: managers.function_logs.append(resize, "info", "committed first"),
            lambda: transaction.__exit__(None, None, None),
            lambda: None,
        ]
    )

    def step(seconds: float) -> None:
        work = next(steps, None)
        if work is None:
            raise KeyboardInterrupt
        work()

    monkeypatch.setattr(logs_module.time, "sleep", step)
    result = run("logs", "resize", "--follow", "--limit", "0", "--json", "--database", url)
    slow.close()
    assert messages(result) == ["committed first", "committed late"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_following_shows_a_line_that_was_begun_before_and_committed_afterwards(
    run: Run, url: str, resize: Function, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Database(url)
    transaction = slow.transaction()
    transaction.__enter__()
    Managers(slow).function_logs.append(resize, "info", "begun before")
    for message in ("not shown", "shown at first"):
        managers.function_logs.append(resize, "info", message)
    steps = iter([lambda: transaction.__exit__(None, None, None), lambda: None])

    def step(seconds: float) -> None:
        work = next(steps, None)
        if work is None:
            raise KeyboardInterrupt
        work()

    monkeypatch.setattr(logs_module.time, "sleep", step)
    result = run("logs", "resize", "--follow", "--limit", "1", "--json", "--database", url)
    slow.close()
    assert messages(result) == ["shown at first", "begun before"]


def test_what_is_remembered_while_following_stays_small() -> None:
    moment = 0.0
    recent = RecentLines(0, clock=lambda: moment)
    most = 0
    for number in range(1, 4_001):
        moment += 0.01
        assert [line.id for line in recent.unseen([FunctionLog(id=number)])] == [number]
        most = max(most, len(recent._seen), len(recent._marks))
    assert most <= 505  # five seconds of them


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_interrupt_ends_following_with_0(url: str, resize: Function, managers: Managers, workplace: Path) -> None:
    command = [sys.executable, "-m", "cloudpub_models.cli", "logs", "resize", "--follow", "--database", url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        begun = [process.stdout.readline() for _ in range(3)]
        managers.function_logs.append(resize, "info", "live")
        live = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert begun[-1].endswith("again\n")
    assert live.endswith("live\n")
    assert (process.returncode, errors) == (0, f"database: {url}\n")
