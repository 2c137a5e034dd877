"""``cloudpub load``: all or nothing, bad lines by their numbers, interrupted and gone on with, on both databases."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import Result

from cloudpub_models import Function, Managers
from cloudpub_models.cli.application import application
from cloudpub_models.cli.commands.load.position import Position, PositionRecord
from cloudpub_models.cli.commands.load.run import Loading
from cloudpub_models.errors import StorageError
from tests.cli.talk import talk

Run = Callable[..., Result]


@pytest.fixture
def resize(data: Managers) -> Function:
    ada = data.users.insert({"email": "ada@example.com", "password_hash": "!"})
    return data.functions.insert({"user_id": ada.id, "name": "resize"})


def log_line(function: Function, number: int, **changes: Any) -> str:
    row = {"uuid": str(UUID(int=number)), "function_id": function.id, "level": "info", "message": f"no. {number}"}
    return json.dumps({**row, **changes}) + "\n"


def write_logs(function: Function, path: str, numbers: range, **bad: dict[str, Any]) -> None:
    """Write a file of log lines; ``bad`` has changes by number, as in ``n3={"level": None}``."""
    lines = [log_line(function, number, **bad.get(f"n{number}", {})) for number in numbers]
    Path(path).write_text("".join(lines))


def test_a_compressed_file_of_json_lines(run: Run, data: Managers, resize: Function) -> None:
    with gzip.open("logs.jsonl.gz", "wt") as file:
        file.writelines(log_line(resize, number, message="größe ☃ \u2028\t\\N") for number in range(1, 12_001))
    result = run("load", "function_logs", "logs.jsonl.gz")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("loaded 12,000 rows of function_logs in ")
    assert talk(result) == ""
    assert data.function_logs.count({"message": "größe ☃ \u2028\t\\N", "function_id": resize.id}) == 12_000


def test_csv_with_defaults_references_and_null(run: Run, data: Managers) -> None:
    ada = data.users.insert({"email": "ada@example.com", "password_hash": "!"})
    Path("functions.csv").write_text(
        "user_id,name,status,analysis_result,created_at\n"
        f'{ada.uuid},"a,b",inactive,"{{""n"": 1}}",2026-01-02T03:04:05+01:00\n'
        f"{ada.id},plain,,,\n"
        f"{ada.uuid},date,,,2026-01-02\n"
    )
    result = run("load", "functions", "functions.csv")
    assert result.exit_code == 0, result.output
    first, second, third = data.functions.find_all(order_by="id")
    assert (first.user_id, first.name, first.status, first.analysis_result) == (ada.id, "a,b", "inactive", {"n": 1})
    assert first.created_at.isoformat() == "2026-01-02T02:04:05+00:00"
    assert (second.user_id, second.name, second.analysis_result) == (ada.id, "plain", None)
    assert second.created_at.year > 2000
    assert third.created_at.isoformat() == "2026-01-02T00:00:00+00:00"
    # An empty cell of a text that cannot be NULL is an empty text.
    assert second.status == ""


BAD_LINES = [
    ({"level": "x" * 21}, "function_logs.level: expected at most 20 characters; got 21"),
    ({"level": None}, "function_logs.level: expected a value; got null"),
    ({"level": 5}, "function_logs.level: expected text; got int 5"),
    ({"message": "a\0b"}, "function_logs.message: expected text without NUL characters"),
    ({"message": "\ud800"}, "function_logs.message: expected valid Unicode"),
    ({"function_id": "7"}, "function_logs.function_id: expected an integer"),
    ({"function_id": 7.5}, "function_logs.function_id: expected an integer"),
    ({"function_id": 10**12}, "function_logs.function_id: expected an integer of 32 bits"),
    ({"function_id": 4711}, "refer"),
    ({"function_id": str(UUID(int=9))}, f"expected a row of functions; got the uuid {UUID(int=9)}, which none has"),
    ({"uuid": "nonsense"}, "function_logs.uuid: expected a UUID"),
    ({"uuid": 12}, "function_logs.uuid: expected a UUID"),
    ({"uuid": str(UUID(int=1))}, "uuid"),
    ({"timestamp": "yesterday"}, "function_logs.timestamp: expected an ISO 8601 timestamp"),
    ({"timestamp": 1767225600}, "function_logs.timestamp: expected an ISO 8601 timestamp"),
    ({"timestamp": "0001-01-01T00:00:00+10:00"}, "function_logs.timestamp"),
    ({"mesage": "x"}, "function_logs has no column 'mesage': did you mean 'message'?"),
]


@pytest.mark.parametrize(("changes", "answer"), BAD_LINES, ids=[str(changes)[:40] for changes, _ in BAD_LINES])
def test_one_bad_line_and_nothing_is_loaded(
    run: Run, data: Managers, resize: Function, changes: dict[str, Any], answer: str
) -> None:
    write_logs(resize, "logs.jsonl", range(1, 41), n23=changes)
    result = run("load", "function_logs", "logs.jsonl")
    assert result.exit_code == 1
    assert result.stdout == ""
    first, last = talk(result).splitlines()
    assert first.startswith("error: line 23: ")
    assert answer in first
    assert last.startswith("error: nothing was loaded, since 1 line is bad: ")
    assert data.function_logs.count() == 0


def test_a_missing_value_is_named(run: Run, data: Managers, resize: Function) -> None:
    Path("logs.jsonl").write_text(log_line(resize, 1) + '{"level": "info", "message": "x"}\n')
    assert (
        "line 2: function_logs.function_id: expected a value; got none"
        in run("load", "function_logs", "logs.jsonl").stderr
    )
    Path("logs.csv").write_text("level,message\ninfo,x\n")
    result = run("load", "function_logs", "logs.csv")
    assert result.exit_code == 1
    assert "function_logs.function_id: expected a value; got none" in result.stderr
    Path("logs.csv").write_text("level,mesage,function_id\ninfo,x,1\n")
    assert "did you mean 'message'?" in run("load", "function_logs", "logs.csv").stderr


def test_every_bad_line_is_told_up_to_twenty(run: Run, data: Managers, resize: Function) -> None:
    bad = {f"n{number}": {"level": None} for number in range(10, 400, 100)}
    bad["n250"] = {"function_id": 4711}
    write_logs(resize, "logs.jsonl", range(1, 401), **bad)
    result = run("load", "function_logs", "logs.jsonl", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert sorted(problem["line"] for problem in document["problems"]) == [10, 110, 210, 250, 310]
    assert (document["rows"], document["bad"]) == (0, 5)
    write_logs(resize, "logs.jsonl", range(1, 401), **{f"n{number}": {"level": None} for number in range(1, 401)})
    result = run("load", "function_logs", "logs.jsonl")
    assert talk(result).count("\n") == 21
    assert "since at least 20 lines are bad" in " ".join(result.stderr.split()) or "400 lines are bad" in result.stderr
    assert data.function_logs.count() == 0


def test_skip_bad_puts_bad_lines_aside_as_they_were(run: Run, data: Managers, resize: Function) -> None:
    bad = {"n7": {"level": None}, "n8": {"function_id": 4711}, "n30": {"uuid": str(UUID(int=1))}}
    write_logs(resize, "logs.jsonl", range(1, 41), **bad)
    lines = Path("logs.jsonl").read_text().splitlines(keepends=True)
    Path("logs.jsonl").write_bytes("".join(lines[:-1]).encode() + b"\xff nonsense\n" + lines[-1].rstrip().encode())
    result = run("load", "function_logs", "logs.jsonl", "--skip-bad", "bad.jsonl")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("loaded 37 rows of function_logs in ")
    assert "4 bad lines are in bad.jsonl" in result.stderr
    kept = Path("bad.jsonl").read_bytes().splitlines(keepends=True)
    assert set(kept) == {*[lines[number - 1].encode() for number in (7, 8, 30)], b"\xff nonsense\n"}
    assert data.function_logs.count() == 37
    assert not data.function_logs.exists({"uuid": [UUID(int=7), UUID(int=8), UUID(int=30)]})


def test_csv_lines_that_were_put_aside_can_be_loaded_when_mended(run: Run, data: Managers, resize: Function) -> None:
    rows = [f'{resize.id},info,"two\nlines"', f"{resize.id},{'x' * 21},bad", f"{resize.id},info,good"]
    Path("logs.csv").write_text("\n".join(["function_id,level,message", *rows]) + "\n")
    assert run("load", "function_logs", "logs.csv", "--skip-bad", "bad.csv").exit_code == 0
    assert Path("bad.csv").read_text() == f"function_id,level,message\n{rows[1]}\n"
    Path("bad.csv").write_text(Path("bad.csv").read_text().replace("x" * 21, "warn"))
    assert run("load", "function_logs", "bad.csv", "--skip-bad", "worse.csv").exit_code == 0
    assert data.function_logs.count() == 3
    assert not Path("worse.csv").exists()


def test_rows_that_are_there_already(run: Run, data: Managers) -> None:
    Path("users.jsonl").write_text('{"email": "ada@example.com", "password_hash": "new"}\n')
    run("load", "users", "users.jsonl")
    refused = run("load", "users", "users.jsonl")
    assert refused.exit_code == 1
    assert "--on-conflict takes rows that are there already" in refused.stderr
    kept = run("load", "users", "users.jsonl", "--on-conflict", "ignore", "--json")
    assert {"rows": 0, "kept": 1}.items() <= json.loads(kept.stdout).items()
    Path("users.jsonl").write_text('{"email": "ada@example.com", "password_hash": "newer"}\n')
    updated = run("load", "users", "users.jsonl", "--on-conflict", "update", "--key", "email")
    assert updated.exit_code == 0, updated.output
    assert [user.password_hash for user in data.users.find_all()] == ["newer"]


def test_ids_from_a_file_are_not_given_out_again(run: Run, data: Managers) -> None:
    Path("users.csv").write_text("id,email,password_hash\n50,ada@example.com,!\n7,eve@example.com,!\n")
    assert run("load", "users", "users.csv").exit_code == 0
    assert data.users.insert({"email": "bob@example.com", "password_hash": "!"}).id == 51
    Path("users.csv").write_text("id,email,password_hash\n9,tim@example.com,!\n")
    assert run("load", "users", "users.csv").exit_code == 0
    assert data.users.insert({"email": "kim@example.com", "password_hash": "!"}).id == 52


def test_columns_of_the_file_may_be_passed_over(run: Run, data: Managers, resize: Function) -> None:
    write_logs(resize, "logs.jsonl", range(1, 3), n2={"timestamp": "nonsense"})
    assert run("load", "function_logs", "logs.jsonl", "--except", "timestamp,uuid").exit_code == 0
    assert not data.function_logs.exists({"uuid": UUID(int=1)})
    only = run("load", "function_logs", "logs.jsonl", "--columns", "function_id,level,message")
    assert only.exit_code == 0, only.output
    assert data.function_logs.count() == 4


def test_from_standard_input(run: Run, data: Managers, resize: Function) -> None:
    packed = gzip.compress(log_line(resize, 1).encode())
    assert run("load", "function_logs", "-", stdin=packed).exit_code == 0
    text = "function_id,level,message\n" + f"{resize.id},info,x\n"
    assert run("load", "function_logs", "-", "--format", "csv", stdin=text).exit_code == 0
    assert data.function_logs.count() == 2
    damaged = run("load", "function_logs", "-", stdin=packed[:-12])
    assert damaged.exit_code == 1
    assert talk(damaged).startswith("error: standard input: expected complete gzip data")
    assert data.function_logs.count() == 2


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        (("function_logs", "missing.jsonl"), 1, "missing.jsonl: No such file or directory"),
        (("function_logs", "."), 2, "add --format"),
        (("function_logs", ".", "--format", "csv"), 1, "Is a directory"),
        (("function_logs", "logs.txt"), 2, "add --format"),
        (("function_log", "-"), 2, "did you mean 'function_logs'?"),
        (("function_logs", "logs.jsonl", "--skip-bad", "x.jsonl", "--resumable"), 2, "leave one out"),
        (("function_logs", "-"), 1, "CSV takes --format csv"),
        (("users", "logs.csv"), 1, "expected commas between columns; got ';'"),
        (("function_logs", "logs.jsonl", "--skip-bad", "no/where.jsonl"), 1, "no/where.jsonl"),
        (("function_logs", "logs.jsonl", "--key", "uuid"), 2, "--on-conflict update"),
        (("function_logs", "logs.jsonl", "--on-conflict", "update", "--key", "x"), 2, "has no column 'x'"),
        (("function_logs", "logs.jsonl", "--commit-every", "5"), 2, "--commit-every"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_answered(run: Run, data: Managers, arguments: tuple[str, ...], code: int, answer: str) -> None:
    Path("logs.jsonl").write_text("nonsense\n")
    Path("logs.csv").write_text("email;password_hash\na@b.c;x\n")
    result = run("load", *arguments, stdin="level,message\ninfo,x\n")
    assert result.exit_code == code, result.output
    assert answer in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_an_interrupted_load_goes_on_where_it_stopped(run: Run, data: Managers, resize: Function) -> None:
    write_logs(resize, "logs.jsonl", range(1, 1001), n777={"level": None})
    resumable = ("load", "function_logs", "logs.jsonl", "--resumable", "--commit-every", "200", "--json")
    stopped = run(*resumable)
    assert stopped.exit_code == 1
    assert json.loads(stopped.stdout)["rows"] == 600
    assert "line 777" in stopped.stderr
    assert "the 600 rows before them stay" in stopped.stderr
    assert data.function_logs.count() == 600
    write_logs(resize, "logs.jsonl", range(1, 1001))
    finished = run(*resumable)
    assert finished.exit_code == 0, finished.output
    assert {"rows": 400, "rows_before": 600}.items() <= json.loads(finished.stdout).items()
    assert data.function_logs.count() == 1000
    assert data.database.raw_query_all("SELECT * FROM cloudpub_loads") == []
    # Whoever was killed as it ended, and does not know that, may say it again.
    again = run(*resumable)
    assert again.exit_code == 0, again.output
    assert {"rows": 0, "rows_before": 1000}.items() <= json.loads(again.stdout).items()
    assert "1,000 rows were there from before: to load them again, delete the load's row from cloudpub_loads_ended" in (
        talk(again)
    )
    assert data.function_logs.count() == 1000


def without_uuids(function: Function, numbers: range) -> str:
    """Return lines that nothing but the record of the load keeps from being loaded twice."""
    rows = [{"function_id": function.id, "level": "info", "message": f"no. {number}"} for number in numbers]
    return "".join(json.dumps(row) + "\n" for row in rows)


RESUMABLE = ("load", "function_logs", "logs.jsonl", "--resumable", "--commit-every", "100", "--json")


def test_a_file_that_has_grown_since_its_load_ended_has_its_rest_loaded(
    run: Run, data: Managers, resize: Function
) -> None:
    for end, rows, before in ((301, 300, 0), (301, 0, 300), (451, 150, 300), (451, 0, 450)):
        Path("logs.jsonl").write_text(without_uuids(resize, range(1, end)))
        result = run(*RESUMABLE)
        assert {"rows": rows, "rows_before": before}.items() <= json.loads(result.stdout).items(), result.output
        assert data.function_logs.count() == end - 1


@pytest.mark.parametrize("format", ["jsonl", "csv", "jsonl.gz"])
def test_another_file_that_begins_like_one_that_was_loaded_is_loaded_whole(
    run: Run, data: Managers, resize: Function, format: str
) -> None:
    name = f"logs.{format}"
    arguments = ("load", "function_logs", name, "--resumable", "--commit-every", "100", "--json")

    def write(message: str, count: int) -> None:
        messages = [f"no. {number}" for number in range(1, 10)] + [message] * count
        if format == "csv":
            lines = [f"{resize.id},info,{text}" for text in messages]
            content = "\n".join(["function_id,level,message", *lines])
        else:
            rows = [{"function_id": resize.id, "level": "info", "message": text} for text in messages]
            content = "\n".join(map(json.dumps, rows))
        packed = format == "jsonl.gz"
        Path(name).write_bytes(gzip.compress(content.encode()) if packed else content.encode())

    for message, count in (("first", 300), ("second", 250), ("third", 3)):
        write(message, count)
        for rows, before in ((count + 9, 0), (0, count + 9)):
            result = run(*arguments)
            assert {"rows": rows, "rows_before": before}.items() <= json.loads(result.stdout).items(), result.output
        assert data.function_logs.count({"message": message}) == count


def test_a_pipe_that_begins_like_what_was_loaded_cannot_be_read_again(
    data: Managers, resize: Function, load_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    arguments = ("function_logs", "-", "--resumable", "--json")
    lines = without_uuids(resize, range(1, 11))
    load_process(*arguments).communicate(lines.encode(), timeout=60)
    assert data.function_logs.count() == 10
    other = load_process(*arguments)
    _, error = other.communicate(lines.replace("no. 7", "another").encode(), timeout=60)
    assert other.returncode == 1
    assert b"expected the 10 lines that were loaded before, since the first are the same; got others" in error
    assert data.function_logs.count() == 10


def test_the_same_file_by_other_options_is_another_load(run: Run, data: Managers) -> None:
    ada = data.users.insert({"email": "ada@example.com", "password_hash": "!"})
    rows = [{"user_id": ada.id, "uuid": str(UUID(int=n)), "name": f"f{n}", "status": "inactive"} for n in range(1, 5)]
    Path("functions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ("load", "functions", "functions.jsonl", "--resumable", "--json")
    assert run(*arguments, "--except", "status").exit_code == 0
    assert data.functions.count({"status": "inactive"}) == 0
    result = run(*arguments, "--on-conflict", "update")
    assert {"rows": 4, "rows_before": 0}.items() <= json.loads(result.stdout).items(), result.output
    assert data.functions.count({"status": "inactive"}) == 4


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_a_failure_at_any_write_of_the_position_loads_nothing_twice(
    run: Run, data: Managers, resize: Function, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    record = PositionRecord.write
    writes = 0

    def failing(failing_write: int) -> Callable[[PositionRecord, Position], None]:
        def write(self: PositionRecord, position: Position) -> None:
            nonlocal writes
            writes += 1
            if after:
                record(self, position)
            if writes == failing_write:
                raise StorageError("the disk is full")
            if not after:
                record(self, position)

        return write

    for failing_write in range(1, 5):
        data.function_logs.delete({"function_id": resize.id})
        Path("logs.jsonl").write_text(without_uuids(resize, range(1000 * failing_write, 1000 * failing_write + 350)))
        writes = 0
        with monkeypatch.context() as patch:
            patch.setattr(PositionRecord, "write", failing(failing_write))
            assert "the disk is full" in run(*RESUMABLE).stderr
        kept = 100 * (failing_write - 1)
        assert data.function_logs.count() == kept
        for rows, before in ((350 - kept, kept), (0, 350)):
            result = run(*RESUMABLE)
            assert {"rows": rows, "rows_before": before}.items() <= json.loads(result.stdout).items(), result.output
            assert data.function_logs.count() == 350
    assert writes == 4


def load_and_be_killed(moment: int) -> None:
    """Load, and end this process before or after the n-th call of a driver or a file from the last record on."""
    record = PositionRecord.write
    left = moment

    def count(_frame: object, event: str, argument: object) -> None:
        nonlocal left
        ending = ("execute", "commit", "close", "write")
        if event in ("c_call", "c_return") and getattr(argument, "__name__", "") in ending:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def write(self: PositionRecord, position: Position) -> None:
        if position.ended:
            sys.setprofile(count)
        record(self, position)

    PositionRecord.write = write  # type: ignore[method-assign]
    application(list(RESUMABLE), prog_name="cloudpub")


def test_a_load_that_is_killed_at_any_step_of_its_end_loads_nothing_twice(
    run: Run, data: Managers, resize: Function
) -> None:
    # Begun from this process, since Python and the library take long to be there.
    fork = multiprocessing.get_context("fork")
    kept = set()
    moment = 0
    ended = False
    while not ended:
        moment += 1
        assert moment < 100
        data.function_logs.delete({"function_id": resize.id})
        Path("logs.jsonl").write_text(without_uuids(resize, range(1000 * moment, 1000 * moment + 250)))
        process = fork.Process(target=load_and_be_killed, args=(moment,), daemon=True)
        process.start()
        process.join(60)
        ended = process.exitcode == 0
        assert ended or process.exitcode == -signal.SIGKILL
        before = data.function_logs.count()
        kept.add(before)
        result = run(*RESUMABLE)
        assert {"rows": 250 - before, "rows_before": before}.items() <= json.loads(result.stdout).items(), result.output
        assert data.function_logs.count() == 250
    assert kept == {200, 250}
    assert moment > 8


def test_another_file_is_no_continuation(run: Run, data: Managers, resize: Function) -> None:
    write_logs(resize, "logs.jsonl", range(1, 501), n444={"level": None})
    resumable = ("load", "function_logs", "logs.jsonl", "--resumable", "--commit-every", "100")
    assert run(*resumable).exit_code == 1
    write_logs(resize, "logs.jsonl", range(1, 501), n222={"message": "another"})
    result = run(*resumable)
    assert result.exit_code == 1
    assert "expected the 400 lines with which an interrupted load has begun" in result.stderr
    assert data.function_logs.count() == 400


def test_a_part_that_cannot_be_recorded_is_not_there(
    run: Run, data: Managers, resize: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f'{resize.id},info,"no.\n{n}"\n' for n in range(1, 501)]
    Path("logs.csv").write_text("function_id,level,message\n" + "".join(rows))
    arguments = ("load", "function_logs", "logs.csv", "--resumable", "--commit-every", "100")
    record = PositionRecord.write

    def record_until_the_disk_is_full(self: PositionRecord, position: Position) -> None:
        if position.rows > 300:
            raise StorageError("the disk is full")
        record(self, position)

    with monkeypatch.context() as patch:
        patch.setattr(PositionRecord, "write", record_until_the_disk_is_full)
        assert "the disk is full" in run(*arguments).stderr
    assert data.function_logs.count() == 300
    finished = run(*arguments, "--json")
    assert finished.exit_code == 0, finished.output
    assert {"rows_before": 300, "rows": 200, "bad": 0}.items() <= json.loads(finished.stdout).items()
    assert data.function_logs.count() == 500


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("name", ["sub/../logs.jsonl", "link.jsonl", "hard.jsonl", "notes.txt"])
@pytest.mark.parametrize("source", ["logs.jsonl", "-"])
def test_skip_bad_overwrites_no_file(run: Run, data: Managers, resize: Function, name: str, source: str) -> None:
    Path("sub").mkdir()
    write_logs(resize, "logs.jsonl", range(1, 5), n2={"level": None})
    before = Path("logs.jsonl").read_bytes()
    Path("link.jsonl").symlink_to("logs.jsonl")
    Path("hard.jsonl").hardlink_to("logs.jsonl")
    Path("notes.txt").write_bytes(before)
    result = run("load", "function_logs", source, "--skip-bad", name, stdin=before)
    assert result.exit_code == 2
    assert "a file that is not there yet" in " ".join(result.stderr.replace("│", " ").split())
    assert {Path(path).read_bytes() for path in ("logs.jsonl", name)} == {before}
    assert data.function_logs.count() == 0


@pytest.mark.parametrize("backend", ["sqlite"])
def test_bad_lines_appear_when_the_good_ones_are_there(
    run: Run, data: Managers, resize: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_logs(resize, "logs.jsonl", range(1, 5), n2={"level": None})
    before = set(os.listdir())

    def refused(self: Loading, position: Position) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Loading, "_remember", refused)
        assert run("load", "function_logs", "logs.jsonl", "--skip-bad", "bad.jsonl").exit_code == 1
    assert {name for name in os.listdir() if "bad" in name} == set()
    assert run("load", "function_logs", "logs.jsonl", "--skip-bad", "bad.jsonl").exit_code == 0
    assert set(os.listdir()) - before <= {"bad.jsonl", "data.db-wal", "data.db-shm"}
    assert run("load", "function_logs", "logs.jsonl", "--skip-bad", "/dev/null").exit_code == 0


@pytest.fixture
def load_process(data_url: str, workplace: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts ``cloudpub load`` in a process of its own, which reads from a pipe."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        checkout = Path(__file__).resolve().parents[4]
        process = subprocess.Popen(
            [sys.executable, "-m", "cloudpub_models.cli", "load", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def feed(process: subprocess.Popen[bytes], lines: list[str]) -> None:
    """Write lines to a process; it has read nearly all of them afterwards, since a pipe holds no more than 64 KiB."""
    assert process.stdin is not None
    process.stdin.write("".join(lines).encode())
    process.stdin.flush()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_load_that_is_killed_leaves_nothing(
    data: Managers, resize: Function, load_process: Callable[..., subprocess.Popen[bytes]], end: signal.Signals
) -> None:
    process = load_process("function_logs", "-")
    feed(process, [log_line(resize, number, message="x" * 300) for number in range(1, 7_001)])
    for _ in range(6):
        process.send_signal(end)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
    assert process.returncode not in (0, None)
    assert data.function_logs.count() == 0
    data.function_logs.insert({"function_id": resize.id, "level": "info", "message": "the table is free"})


def test_a_resumable_load_that_is_killed_goes_on(
    data: Managers, resize: Function, load_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    lines = [log_line(resize, number, message="x" * 300) for number in range(1, 6_001)]
    arguments = ("function_logs", "-", "--resumable", "--commit-every", "1000", "--json")
    process = load_process(*arguments)
    feed(process, lines)
    process.kill()
    process.wait(timeout=30)
    kept = data.function_logs.count()
    assert kept % 1000 == 0
    assert kept >= 2000
    finished, error = load_process(*arguments).communicate("".join(lines).encode(), timeout=60)
    assert {"rows_before": kept, "rows": 6_000 - kept}.items() <= json.loads(finished).items(), error
    assert data.function_logs.count() == 6_000


def test_what_a_load_needs_is_not_what_it_reads(
    data: Managers, resize: Function, load_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    def peak(count: int) -> int:
        process = load_process("function_logs", "-", "--skip-bad", "bad.jsonl")
        feed(process, [log_line(resize, 10**6 * count + n, message="x" * 20_000) for n in range(count)])
        used = Path(f"/proc/{process.pid}/status").read_text()
        process.communicate(timeout=60)
        return int(used.partition("VmHWM:")[2].split()[0])

    small = peak(600)
    assert peak(1_800) < small + 8_000  # KiB; the second one reads 24 MB more


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_server_that_ends_the_session_leaves_nothing(
    data: Managers, resize: Function, load_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    process = load_process("function_logs", "-")
    feed(process, [log_line(resize, number, message="x" * 300) for number in range(1, 7_001)])
    ended = data.database.raw_query_all(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cloudpub command' "
        "AND datname = current_database() AND xact_start IS NOT NULL"
    )
    assert len(ended) == 1, "the load is inside one transaction"
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"Traceback" not in error
    assert data.function_logs.count() == 0
