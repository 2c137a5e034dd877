"""Type checkers know what the library returns, and object to what it does not take; pyright at its strictest."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "typing" / "user_program.py"
MISTAKES = ROOT / "tests" / "typing" / "user_mistakes.py"
# Tables of one's own, as the page about them shows them.
PACKAGE = ROOT / "examples" / "billing"

# Of each manager a row, and a column of it that holds no number.
ROWS = {
    "users": ('"email": "ada@example.com", "password_hash": "x"', "email"),
    "user_information": ('"user_id": "…", "first_name": "A", "last_name": "L", "role": "team"', "first_name"),
    "organizations": ('"name": "Acme", "owner_id": "…"', "name"),
    "organization_members": ('"user_id": "…", "organization_id": "…"', "joined_at"),
    "functions": ('"user_id": 1, "name": "resize"', "name"),
    "function_deployments": ('"function_id": 1, "version": 1, "image_tag": "x", "s3_key": "y"', "image_tag"),
    "function_logs": ('"function_id": 1, "level": "info", "message": "x"', "message"),
    "function_invocations": ('"function_id": 1, "status": "success"', "status"),
}
# Each call, and whether it takes a whole row.
CALLS = {
    "insert({row})": True,
    "batch_insert([{row}])": True,
    'upsert({row}, ["id"])': True,
    'find_or_insert({row}, ["id"])': True,
    'update({row}, {{"id": 1}})': False,
    "update_by_id(1, {row})": False,
    'claim({{"id": 1}}, {row})': False,
    "find_all({row})": False,
    "count({row})": False,
    "delete({row})": False,
    'update({{"id": 1}}, {row})': False,
}


def every_manager():
    """A program in which every manager is called rightly, with a name mistaken and with a value mistaken."""
    yield "from cloudpub_models import managers"
    for table, (row, column) in ROWS.items():
        rest = [value for value in row.split(", ") if not value.startswith(f'"{column}"')]
        for call, is_whole_row in CALLS.items():
            yield f"managers.{table}." + call.format(row=f"{{{row}}}")
            for mistaken in (f'{row}, "mistaken": "x"', ", ".join([*(rest if is_whole_row else []), f'"{column}": 5'])):
                yield f"managers.{table}." + call.format(row=f"{{{mistaken}}}") + "  # mistake"


@pytest.fixture(scope="module")
def every_manager_program(tmp_path_factory):
    """That program's file."""
    path = tmp_path_factory.mktemp("program") / "every_manager.py"
    path.write_text("\n".join(every_manager()), encoding="utf-8")
    return path


def errors_of_mypy(programs, tmp_path):
    command = [sys.executable, "-m", "mypy", "--strict", *map(str, programs)]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert finished.returncode in (0, 1), finished.stdout + finished.stderr
    found = re.findall(r"^(.*?):(\d+): error: (.*)$", finished.stdout, re.MULTILINE)
    return [(ROOT / path, int(line), message) for path, line, message in found]


def errors_of_pyright(programs, tmp_path):
    settings = {
        "include": [*map(str, programs)],
        "extraPaths": [str(ROOT), str(PACKAGE)],
        "pythonVersion": "3.11",
        "typeCheckingMode": "strict",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(tmp_path)]
    command += ["--pythonpath", sys.executable]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout)
    assert report["summary"]["filesAnalyzed"] >= 3 + len(list(PACKAGE.rglob("*.py")))
    return [
        (Path(found["file"]), found["range"]["start"]["line"] + 1, found["message"])
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    ]


@pytest.mark.parametrize("errors_of", [errors_of_mypy, errors_of_pyright], ids=["mypy", "pyright"])
def test_a_users_program_type_checks_and_mistakes_do_not(errors_of, every_manager_program, tmp_path):
    with_mistakes = (MISTAKES, every_manager_program)
    errors = errors_of((PROGRAM, PACKAGE, *with_mistakes), tmp_path)
    assert [error for error in errors if error[0] not in with_mistakes] == []
    for path, least in ((MISTAKES, 70), (every_manager_program, 2 * len(ROWS) * len(CALLS))):
        lines = path.read_text(encoding="utf-8").splitlines()
        marked = {number for number, line in enumerate(lines, 1) if "# mistake" in line}
        assert len(marked) >= least
        found = [error for error in errors if error[0] == path]
        assert {line for _, line, _ in found} == marked, found
