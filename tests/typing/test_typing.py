"""Type checkers know what the library returns, and object to what it does not take."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_a_users_program_type_checks():
    finished = check("tests/typing/user_program.py")
    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize(
    "line",
    [
        "managers.functions.find_by_id(1).name",
        "name: int = managers.functions.insert({}).name",
        "managers.functions.find_all(order_direction='SIDEWAYS')",
        "managers.functions.batch_insert([], on_conflict='replace')",
        "Database('sqlite:///:memory:', busy_timeot=3)",
        "database.transaction(isolation='NONE')",
    ],
)
def test_mistakes_do_not_type_check(line, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(f"from cloudpub_models import Database, database, managers\n{line}\n")
    finished = check(str(program))
    assert finished.returncode == 1, finished.stdout
    assert f"{program}:2: error" in finished.stdout
