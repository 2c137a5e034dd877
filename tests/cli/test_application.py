"""The command as a whole: help, usage errors, which database it takes, and how errors end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import Result

from cloudpub_models.cli import main
from cloudpub_models.cli.application import application
from tests.cli.talk import talk

Run = Callable[..., Result]

COMMANDS = [
    (),
    ("demo",),
    ("find",),
    ("show",),
    ("count",),
    ("sql",),
    ("delete",),
    ("load",),
    ("dump",),
    ("shell",),
    ("migrate",),
    ("migrate", "up"),
    ("migrate", "down"),
    ("migrate", "status"),
    ("migrate", "new"),
    ("migrate", "check"),
    ("migrate", "adopt"),
    ("doctor",),
    ("schema",),
    ("logs",),
    ("prune",),
    ("partition",),
    ("cells",),
    ("cells", "initialize"),
    ("cells", "move"),
    ("cells", "sweep"),
    ("stats",),
]
READING_COMMANDS = [
    ("migrate",),
    ("migrate", "up"),
    ("migrate", "down"),
    ("migrate", "status"),
    ("migrate", "check"),
    ("migrate", "adopt"),
    ("stats", "resize"),
    ("doctor",),
    ("logs", "resize"),
    ("prune", "logs", "--older-than", "30d"),
    ("partition", "function_logs"),
    ("schema", "--from", "database"),
    ("find", "users"),
    ("show", "users", "1"),
    ("count", "users"),
    ("delete", "users", "id=1"),
    ("sql", "SELECT 1"),
    ("load", "users", "-"),
    ("dump", "users"),
    ("shell",),
]


def run_process(*arguments: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "CLOUDPUB_DATABASE_URL"}
    checkout = Path(__file__).resolve().parents[2]
    inherited["PYTHONPATH"] = os.pathsep.join([str(checkout), inherited.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_and_names_the_database(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Example: cloudpub" in result.stdout
    assert "--database" in result.stdout
    assert "\x1b" not in result.stdout


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every command that does something: groups too, where they do so without a subcommand."""
    inner = getattr(command, "commands", {})
    if not inner or (path and command.invoke_without_command):
        yield path
    for name, sub in inner.items():
        yield from leaves(sub, (*path, name))


def test_every_command_that_gives_data_gives_it_as_json(run: Run) -> None:
    silent = {path for path in leaves(get_command(application)) if "--json" not in run(*path, "--help").stdout}
    # What these print is of one form only: a program's talk, what was done, types, and JSON anyway.
    assert silent == {("shell",), ("migrate",), ("graphql", "schema"), ("graphql", "query")}


def test_version(run: Run) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("cloudpub-models ")


@pytest.mark.parametrize(
    ("arguments", "suggestion"), [(("dmeo",), "'demo'"), (("migrate", "statsu"), "'status'")], ids=str
)
def test_a_mistyped_command_suggests_the_nearest(run: Run, arguments: tuple[str, ...], suggestion: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert f"Did you mean {suggestion}?" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("demo", "--seed", "x"), ("demo", "--invocations", "0"), ("migrate", "new"), ("--nonsense",)], ids=str
)
def test_wrong_usage_exits_with_2(run: Run, workplace: Path, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("command", READING_COMMANDS, ids=" ".join)
def test_without_a_database_a_command_says_what_to_do(run: Run, workplace: Path, command: tuple[str, ...]) -> None:
    result = run(*command)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "--database URL" in result.stderr
    assert "$CLOUDPUB_DATABASE_URL" in result.stderr
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("command", READING_COMMANDS[2:], ids=" ".join)
def test_a_file_that_is_not_there_is_not_made(run: Run, workplace: Path, command: tuple[str, ...]) -> None:
    result = run(*command, "--database", "sqlite:///missing.db")
    assert result.exit_code == 1
    assert "expected a database at sqlite:///missing.db; got none there" in result.stderr
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize("command", READING_COMMANDS, ids=" ".join)
def test_a_directory_that_is_missing_is_named(run: Run, workplace: Path, command: tuple[str, ...]) -> None:
    result = run(*command, "--database", "sqlite:///nodir/x.db")
    assert result.exit_code == 1
    assert "expected a directory for sqlite:///nodir/x.db; got none at 'nodir': make it first" in result.stderr


@pytest.mark.parametrize("command", [*READING_COMMANDS, ("schema",)], ids=" ".join)
def test_an_empty_name_is_no_database(
    run: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", "sqlite:///another.db")
    result = run(*command, "--database", "")
    assert result.exit_code == 1
    assert "got an empty database URL" in result.stderr
    assert list(workplace.iterdir()) == []


def test_the_local_file_is_used_when_it_is_there(run: Run, workplace: Path) -> None:
    (workplace / "cloudpub.db").touch()
    result = run("migrate")
    assert result.exit_code == 0
    assert result.stderr == "database: sqlite:///cloudpub.db\n"
    assert result.stdout.startswith("applied 0001_initial\n")


def test_the_environment_names_the_database(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", "sqlite:///named.db")
    assert "database: sqlite:///named.db" in run("migrate").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--database", "sqlite:///given.db", "migrate", "up"),
        ("migrate", "--database", "sqlite:///given.db", "up"),
        ("migrate", "up", "--database", "sqlite:///given.db"),
        ("migrate", "--database", "sqlite:///other.db", "up", "--database", "sqlite:///given.db"),
    ],
    ids=" ".join,
)
def test_the_option_may_stand_anywhere_and_comes_before_the_environment(
    run: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", "sqlite:///environment.db")
    assert "database: sqlite:///given.db" in run(*arguments).stderr
    assert {path.name for path in workplace.glob("*.db")} == {"given.db"}


@pytest.mark.parametrize("command", [("demo",), ("migrate", "status")], ids=" ".join)
@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("postgresql://ada:s3cret@127.0.0.1:1/cloud", "check that the server runs"),
        ("postgresql://127.0.0.1:1/cloud?user=ada&password=s3cret", "check that the server runs"),
        ("mysql://ada:s3cret@host/cloud", "expected"),
        ("sqlite://ada:s3cret@host/x.db", "expected"),
    ],
)
def test_an_error_is_one_line_without_the_password(run: Run, command: tuple[str, ...], url: str, hint: str) -> None:
    result = run(*command, "--database", url)
    assert result.exit_code == 1
    assert "s3cret" not in result.output
    assert "Traceback" not in result.output
    assert talk(result).startswith("error: ")
    assert talk(result).count("\n") == 1
    assert hint in result.stderr


def test_a_file_that_is_no_database_is_one_line(run: Run, workplace: Path) -> None:
    (workplace / "cloudpub.db").write_text("this is a letter, and no database at all" * 100)
    for command in (("demo",), ("migrate",), ("migrate", "check")):
        result = run(*command)
        assert result.exit_code == 1
        assert talk(result).startswith("error: ")
        assert talk(result).count("\n") == 1


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_the_command_says_how_to_install_it(tmp_path: Path, missing: str) -> None:
    script = f"import sys; sys.modules['{missing}'] = None; from cloudpub_models.cli import main; main()"
    result = run_process("-c", script, directory=tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "pip install 'cloudpub-models[cli]'" in result.stderr


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_main_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    for module in [name for name in sys.modules if name.startswith((f"{missing}.", "cloudpub_models.cli."))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    assert (
        capsys.readouterr().err == f"expected {missing} to be installed; got none: pip install 'cloudpub-models[cli]'\n"
    )


def test_another_module_that_is_missing_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cloudpub_models.cli.application", raising=False)
    monkeypatch.setitem(sys.modules, "cloudpub_models.cli.commands.migrate.command", None)
    with pytest.raises(ModuleNotFoundError):
        main()


def test_main_runs_the_arguments_of_the_process(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cloudpub", "migrate", "--database", "sqlite:///:memory:"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 0
    assert "applied 0001_initial" in capsys.readouterr().out


def test_the_package_imports_neither_typer_nor_rich(tmp_path: Path) -> None:
    script = "import sys, cloudpub_models, cloudpub_models.cli; print({'typer', 'rich'} & set(sys.modules))"
    assert run_process("-c", script, directory=tmp_path).stdout.strip() == "set()"


def test_as_a_module_in_a_process_of_its_own(tmp_path: Path) -> None:
    arguments = ("-m", "cloudpub_models.cli", "migrate")
    good = run_process(*arguments, directory=tmp_path, CLOUDPUB_DATABASE_URL="sqlite:///own.db")
    assert (good.returncode, good.stderr) == (0, "database: sqlite:///own.db\n")
    assert good.stdout.startswith("applied 0001_initial\n")
    bad = run_process(*arguments, "--database", "postgresql://ada:s3cret@127.0.0.1:1/x", directory=tmp_path)
    assert bad.returncode == 1
    assert bad.stderr.count("\n") == 2
    assert "s3cret" not in bad.stdout + bad.stderr
    mistyped = run_process("-m", "cloudpub_models.cli", "migrat", directory=tmp_path)
    assert mistyped.returncode == 2
    assert "Did you mean 'migrate'?" in mistyped.stderr


def test_a_terminal_that_knows_only_ascii(tmp_path: Path) -> None:
    arguments = ("-m", "cloudpub_models.cli", "demo", "--invocations", "50")
    result = run_process(*arguments, directory=tmp_path, PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "database: sqlite:///cloudpub.db\n")
    assert "9. Analytics" in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_names_what_an_option_takes_in_words(run: Run, command: tuple[str, ...]) -> None:
    """Not the types of Python or Click."""
    lines = run(*command, "--help").stdout.splitlines()
    of_programs = re.compile(r"<(bool|int|float|str|path)|INTEGER|FLOAT|\bPATH\b|\bBOOLEAN\b")
    options = [line for line in lines if not re.search("-completion", line)]
    assert [line for line in options if of_programs.search(line)] == []


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 10**30])
@pytest.mark.parametrize(
    "command",
    [
        ("find", "users", "--limit"),
        ("show", "users", "ada@example.com", "--limit"),
        ("logs", "resize", "--limit"),
        ("load", "users", "-", "--resumable", "--commit-every"),
        ("prune", "logs", "--older-than", "2d", "--batch-size"),
        ("history", "show", "functions", "1", "--limit"),
        ("history", "undo"),
    ],
    ids=" ".join,
)
def test_a_number_that_is_too_large_is_one_error(
    run: Run, migrated_file: Path, workplace: Path, command: tuple[str, ...], number: int
) -> None:
    shutil.copy(migrated_file, workplace / "data.db")
    result = run(*command, str(number), "--database", "sqlite:///data.db", stdin="")
    assert result.exit_code in (0, 1)
    assert number == 2**63 - 1 or result.stderr.count("error: ") == 1


def test_help_that_cannot_be_written_is_one_error() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "cloudpub_models.cli", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "No space left on device" in result.stderr
