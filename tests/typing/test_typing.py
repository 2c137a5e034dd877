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


def errors_of_mypy(tmp_path):
    command = [sys.executable, "-m", "mypy", "--strict", str(PROGRAM), str(MISTAKES), str(PACKAGE)]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert finished.returncode in (0, 1), finished.stdout + finished.stderr
    found = re.findall(r"^(.*?):(\d+): error: (.*)$", finished.stdout, re.MULTILINE)
    return [(ROOT / path, int(line), message) for path, line, message in found]


def errors_of_pyright(tmp_path):
    settings = {
        "include": [str(PROGRAM), str(MISTAKES), str(PACKAGE)],
        "extraPaths": [str(ROOT), str(PACKAGE)],
        "pythonVersion": "3.11",
        "typeCheckingMode": "strict",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(tmp_path)]
    command += ["--pythonpath", sys.executable]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout)
    assert report["summary"]["filesAnalyzed"] >= 2 + len(list(PACKAGE.rglob("*.py")))
    return [
        (Path(found["file"]), found["range"]["start"]["line"] + 1, found["message"])
        for found in report["generalDiagnostics"]
        if found["severity"] == "error"
    ]


@pytest.mark.parametrize("errors_of", [errors_of_mypy, errors_of_pyright], ids=["mypy", "pyright"])
def test_a_users_program_type_checks_and_mistakes_do_not(errors_of, tmp_path):
    errors = errors_of(tmp_path)
    assert [error for error in errors if error[0] != MISTAKES] == []
    marked = {number for number, line in enumerate(MISTAKES.read_text().splitlines(), 1) if "# mistake" in line}
    assert len(marked) > 25
    found = [error for error in errors if error[0] == MISTAKES]
    assert {line for _, line, _ in found} == marked, found
