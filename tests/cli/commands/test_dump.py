"""``cloudpub dump``: every row, exactly, in any format; what is dumped can be loaded, also into the other database."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from cloudpub_models import Database, Managers
from cloudpub_models.cli.shown import row_files
from cloudpub_models.models import ALL_MODELS

Run = Callable[..., Result]

TABLES = [model._meta.table_name for model in ALL_MODELS]
HOSTILE = "größe ☃ \t\r\n\"quoted\", 'x'\\N\\\\ =1+1 \x1b[31m\u2028\x85\x0b"


@pytest.fixture
def world(data: Managers) -> Managers:
    """A few rows in each table, with everything that a format may stumble over."""
    ada, eve = data.users.batch_insert(
        [{"email": f"{name}@example.com", "password_hash": HOSTILE} for name in ("ada", "eve")], returning=True
    )
    data.user_information.insert(
        {"user_id": ada.uuid, "first_name": HOSTILE, "last_name": "", "role": "team", "city": "", "avatar": '""'}
    )
    acme = data.organizations.insert({"name": "null", "owner_id": ada.uuid})
    data.organization_members.batch_insert(
        [{"organization_id": acme.uuid, "user_id": user.uuid} for user in (ada, eve)]
    )
    document = {"text": HOSTILE, "list": [1, 2.5, None, True], "deep": {"": {}}}
    functions = data.functions.batch_insert(
        [
            {"user_id": ada.id, "name": "null", "analysis_result": document},
            {"user_id": eve.id, "name": HOSTILE, "analysis_result": None},
            {"user_id": eve.id, "name": '"', "analysis_result": "text"},
        ],
        returning=True,
    )
    for version in (1, 2):
        deployment = data.function_deployments.insert(
            {
                "function_id": functions[0].id,
                "version": version,
                "image_tag": "tag",
                "s3_key": "key",
                "is_active": version == 2,
                "build_logs": "" if version == 1 else None,
                "deployed_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
            }
        )
    data.functions.update_by_id(functions[0].id, {"active_deployment_id": deployment.id})
    data.function_logs.insert({"function_id": functions[0].id, "level": "info", "message": HOSTILE})
    data.function_invocations.batch_insert(
        [
            {"function_id": functions[1].id, "status": "error", "duration_ms": 0, "error": error}
            for error in (None, "", '"', '""', '"""', "\\N", "null", "NULL", " ", "\n", "\r", HOSTILE)
        ]
    )
    return data


def content(managers: Managers) -> dict[str, list[dict[str, Any]]]:
    return {table: [row.to_dict() for row in getattr(managers, table).find_all(order_by="id")] for table in TABLES}


@pytest.mark.parametrize("form", ["jsonl", "csv.gz"])
@pytest.mark.parametrize("destination", ["sqlite", "postgresql"])
def test_what_is_dumped_can_be_loaded_on_either_database(
    request: pytest.FixtureRequest, run: Run, world: Managers, migrated_file: Path, form: str, destination: str
) -> None:
    if destination == "sqlite":
        shutil.copy(migrated_file, "copy.db")
        url = "sqlite:///copy.db"
    else:
        url = request.getfixturevalue("postgresql_url")
    for table in TABLES:
        dumped = run("dump", table, f"{table}.{form}", "--with-secrets")
        assert dumped.exit_code == 0, dumped.output
    # As the documentation says: functions twice, since they and their deployments refer to each other.
    for table in ("users", "user_information", "organizations", "organization_members"):
        assert run("load", table, f"{table}.{form}", "--database", url).exit_code == 0
    later = "active_deployment_id,updated_at"
    assert run("load", "functions", f"functions.{form}", "--except", later, "--database", url).exit_code == 0
    for table in ("function_deployments", "function_logs", "function_invocations"):
        assert run("load", table, f"{table}.{form}", "--database", url).exit_code == 0
    update = run("load", "functions", f"functions.{form}", "--on-conflict", "update", "--database", url)
    assert update.exit_code == 0, update.output
    database = Database(url)
    copy = Managers(database)
    assert content(copy) == content(world)
    # The next row gets an id of its own.
    assert copy.users.insert({"email": "new@example.com", "password_hash": "!"}).id == 3
    database.close()


def test_to_standard_output(run: Run, world: Managers) -> None:
    result = run("dump", "functions", "--columns", "name,id")
    rows = [json.loads(line) for line in result.stdout_bytes.decode().split("\n")[:-1]]
    assert [list(row) for row in rows] == [["name", "id"]] * 3
    assert [row["name"] for row in rows] == ["null", HOSTILE, '"']
    assert run("dump", "functions", "--columns", "name,id", "--json").stdout_bytes == result.stdout_bytes
    assert run("dump", "users", "--format", "csv", "--columns", "email").stdout == (
        "email\nada@example.com\neve@example.com\n"
    )
    assert run("dump", "functions", "--json", "--format", "csv").exit_code == 2


def test_secrets_stay_behind_unless_asked_for(run: Run, world: Managers) -> None:
    hidden = run("dump", "users")
    assert "password_hash" not in hidden.stdout
    assert "left out: password_hash" in hidden.stderr
    assert "--with-secrets" in hidden.stderr
    told = run("dump", "users", "--with-secrets")
    assert [json.loads(line)["password_hash"] for line in told.stdout_bytes.decode().split("\n")[:-1]] == [HOSTILE] * 2
    assert "left out" not in told.stderr
    assert run("dump", "users", "--columns", "password_hash").exit_code == 2
    assert "left out" not in run("dump", "functions").stderr


def test_a_summary_for_people_and_for_programs(run: Run, world: Managers) -> None:
    assert run("dump", "users", "users.csv").stdout.startswith("wrote 2 rows of users in ")
    summary = json.loads(run("dump", "users", "users.csv", "--json").stdout)
    assert {"table": "users", "file": "users.csv", "rows": 2}.items() <= summary.items()


def test_the_same_rows_give_the_same_bytes(run: Run, world: Managers) -> None:
    run("dump", "users", "first.jsonl.gz")
    run("dump", "users", "second.jsonl.gz")
    assert Path("first.jsonl.gz").read_bytes() == Path("second.jsonl.gz").read_bytes()
    assert gzip.decompress(Path("first.jsonl.gz").read_bytes()).count(b"\n") == 2


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_dump_that_fails_leaves_the_file_that_was_there(
    run: Run, world: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("users.csv").write_text("precious")

    def full(_row: object) -> bytes:
        raise OSError(28, "No space left on device", "users.jsonl")

    monkeypatch.setattr(row_files, "json_line", full)
    result = run("dump", "users", "users.csv", "--format", "jsonl")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert Path("users.csv").read_text() == "precious"
    assert not [name for name in os.listdir() if name.startswith(".users.csv")]


KILLED_AS_IT_ENDS = """
import os, signal
from cloudpub_models.cli.application import application

os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
application(prog_name="cloudpub")
"""


def test_what_a_killed_dump_has_left_is_removed_by_the_next(run: Run, world: Managers) -> None:
    Path("users.csv").write_text("before")
    process = subprocess.run(
        [sys.executable, "-c", KILLED_AS_IT_ENDS, "dump", "users", "users.csv", "--with-secrets"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        timeout=60,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert Path("users.csv").read_text() == "before"
    (left,) = Path().glob(".users.csv.*")
    assert left.stat().st_mode & 0o777 == 0o600
    assert run("dump", "users", "users.csv").exit_code == 0
    assert list(Path().glob(".*")) == []
    assert len(Path("users.csv").read_text().splitlines()) == world.users.count() + 1


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_reader_that_has_gone_ends_it_quietly(data: Managers) -> None:
    ada = data.users.insert({"email": "ada@example.com", "password_hash": "!"})
    data.functions.batch_insert([{"user_id": ada.id, "name": f"{number:0200}"} for number in range(2_000)])
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudpub_models.cli", "dump", "functions"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert stderr.read() == b"database: sqlite:///data.db\n"
    assert process.wait(timeout=30) == 1


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_file_with_secrets_is_for_its_owner(run: Run, world: Managers) -> None:
    before = os.umask(0o022)
    try:
        run("dump", "users", "public.csv")
        run("dump", "users", "secret.csv", "--with-secrets")
    finally:
        os.umask(before)
    assert [Path(name).stat().st_mode & 0o777 for name in ("public.csv", "secret.csv")] == [0o644, 0o600]


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        (("users", "users.txt"), 2, "expected a name ending in .csv or .jsonl"),
        (("user", "users.csv"), 2, "did you mean 'users'?"),
        (("users", "no/where.csv"), 1, "No such file or directory"),
        (("users", "--columns", "emial"), 2, "did you mean 'email'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_answered(run: Run, data: Managers, arguments: tuple[str, ...], code: int, answer: str) -> None:
    result = run("dump", *arguments)
    assert result.exit_code == code, result.output
    assert answer in " ".join(result.stderr.replace("│", " ").split())
