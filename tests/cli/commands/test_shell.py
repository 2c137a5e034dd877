"""``cloudpub shell``: a script from standard input, a prompt on a terminal, the same names in both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import Result

import cloudpub_models
from cloudpub_models import Managers
from cloudpub_models.cli.commands import shell
from cloudpub_models.models import ALL_MODELS
from tests.cli.talk import talk

Run = Callable[..., Result]


def test_a_script_finds_what_a_program_would_import(run: Run, data: Managers) -> None:
    script = """
ada = managers.users.insert({"email": "ada@example.com", "password_hash": "!"})
managers.functions.insert({"user_id": ada.id, "name": "resize"})
print(ada.email, database.dialect, managers.functions.count({"name": operators.like("re%")}), __name__)
print([function.user.email for function in Function.select()])

def count():
    return managers.users.count()

from cloudpub_models import managers as imported
print(count(), imported is managers)
"""
    result = run("shell", stdin=script)
    assert result.exit_code == 0, result.output
    dialect = data.database.dialect
    assert result.stdout == f"ada@example.com {dialect} 1 __main__\n['ada@example.com']\n1 True\n"
    assert talk(result) == ""
    assert data.users.count() == 1


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("print(1)\nmanagers.users.find_all({'emial': 1})\n", "did you mean 'email'?"),
        ("1 / 0", "ZeroDivisionError"),
        ("if", "SyntaxError"),
    ],
)
def test_an_error_of_a_script_is_its_own(run: Run, data: Managers, script: str, answer: str) -> None:
    result = run("shell", stdin=script)
    assert result.exit_code == 1
    assert answer in result.stderr
    assert "<standard input>" in result.stderr
    assert "shell.py" not in result.stderr


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_script_has_the_annotations_that_it_writes(run: Run, data: Managers) -> None:
    result = run("shell", stdin="def twice(n: int) -> int: return 2 * n\nprint(twice.__annotations__['n'] is int)\n")
    assert result.stdout == "True\n"


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_script_may_exit_as_it_likes(run: Run, data: Managers) -> None:
    assert run("shell", stdin="import sys; sys.exit(5)").exit_code == 5


def test_every_model_is_in_scope() -> None:
    names = shell.names_in_scope()
    assert {model.__name__ for model in ALL_MODELS} < set(names)
    assert all(names[name] is getattr(cloudpub_models, name) for name in names)


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(shell, "sys", ModuleType("sys"))
    monkeypatch.setattr(shell.sys, "stdin", Terminal(), raising=False)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_ipython_gets_the_names_where_it_is_installed(
    run: Run, data: Managers, on_a_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: dict[str, Any] = {}
    ipython: Any = ModuleType("IPython")
    ipython.start_ipython = lambda argv, user_ns: opened.update(user_ns, argv=argv)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    result = run("shell")
    assert result.exit_code == 0
    assert opened["argv"] == ["--TerminalIPythonApp.ignore_cwd=True"]
    assert opened["managers"] is cloudpub_models.managers
    assert "in scope: database, managers" in result.stderr


def test_ipython_imports_nothing_from_the_current_directory(workplace: Path) -> None:
    Path("planted.py").write_text("print('IMPORTED')")
    asked = subprocess.run(
        [sys.executable, "-P", "-c", "from cloudpub_models.cli.commands.shell import _prompt; _prompt({})"],
        input="import planted\nprint('alive', 1 + 1)\n",
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
            "IPYTHONDIR": str(workplace / "ipython"),
        },
        timeout=120,
    )
    assert "alive 2" in asked.stdout
    assert "No module named 'planted'" in asked.stdout
    assert "IMPORTED" not in asked.stdout


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_plain_prompt_otherwise(data_url: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pty = pytest.importorskip("pty")
    program = (
        "import sys; sys.modules['IPython'] = None; sys.argv = ['cloudpub', 'shell']; "
        "from cloudpub_models.cli import main; main()"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
        os.environ["TERM"] = "dumb"
        os.execv(sys.executable, [sys.executable, "-c", program])
    os.write(terminal, b"managers.users.count() + 41\n1 / 0\nexit()\n")
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:
        pass  # the other end is closed
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"in scope: database, managers" in shown
    assert b"\n41\r" in shown
    assert b"ZeroDivisionError" in shown
    assert b"During handling" not in shown
