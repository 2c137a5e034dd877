"""Nothing that a command shows is obeyed: hostile rows, names and files, in every command, on a terminal and off it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.main import get_command
from typer.testing import Result

from cloudpub_models import Database, Managers
from cloudpub_models.cli.application import application
from tests.cli.test_application import leaves

Run = Callable[..., Result]

# Control characters of both sets, an escape sequence, signs that turn writing around, ends of lines, markup of Rich's,
# and of each language that is written.
HOSTILE = "a\x1b[2J\x07\x08\x9b31m\u202eevil\u2066\u2028[bold red]x[/]<script>alert(1)</script>\"'`|%%{init: {}}%%"
MIGRATION = "0900_\x1b[31m\u202e[bold]x"
TABLE = 'evil\x1b[2J\u202e[bold red]<img src=x onerror=alert(1)>`|"%%{init: {}}%%'

# The number of the transaction that has changed the second function.
CHANGED_BY = 10

COMMANDS: dict[tuple[str, ...], list[tuple[str, ...]]] = {
    ("find",): [("functions",), ("functions", "--format", "csv"), ("functions", "--json"), ("function_logs",)],
    ("show",): [("functions", "1"), ("functions", "1", "--json"), ("users", "1")],
    ("count",): [("functions",)],
    ("delete",): [
        ("functions", "--all", "--preview"),
        ("functions", "--all"),
        ("users", f"email={HOSTILE}", "--json"),
        (HOSTILE, "--all"),
    ],
    ("sql",): [
        ("SELECT name, status FROM functions",),
        ("SELECT name FROM functions", "--format", "csv"),
        (f'SELECT name AS "{TABLE.replace(chr(34), "")}" FROM functions',),
        (f"SELECT name FROM no_{HOSTILE}",),
    ],
    ("load",): [("users", "bad.jsonl"), ("users", "bad.csv"), ("users", "bad.jsonl", "--json")],
    ("dump",): [("functions",), ("functions", "--format", "csv"), ("functions", f"{HOSTILE[:9]}.csv")],
    ("shell",): [()],
    ("migrate",): [()],
    ("migrate", "up"): [("--plan", "--directory", "scripts"), ("--directory", "scripts", "--yes")],
    ("migrate", "down"): [("--plan", "--directory", "scripts"), ("--directory", "scripts", "--yes")],
    ("migrate", "status"): [("--directory", "scripts"), ("--directory", "scripts", "--json")],
    ("migrate", "new"): [("x", "--directory", "dir\x1b[2J\u202e")],
    ("migrate", "check"): [(), ("--json",)],
    ("migrate", "adopt"): [("--directory", "scripts")],
    ("doctor",): [(), ("--json",)],
    ("schema",): [
        ("--from", "database", "--format", format) for format in ("mermaid", "dot", "svg", "markdown", "sql")
    ],
    ("logs",): [("1-of-them",), ("1-of-them", "--json")],
    ("archive",): [("function_logs", "--older-than", "30d", "--to", place) for place in ("archive", HOSTILE)],
    ("prune",): [("logs", "--older-than", "30d")],
    ("partition",): [("function_logs", "--width", "day"), (HOSTILE,), ("function_logs", "--ahead", HOSTILE)],
    ("history", "on"): [("--also", "function_logs"), ("--json",), ("--also", HOSTILE)],
    ("history", "off"): [(), ("--json",)],
    ("history", "show"): [("functions", "2"), ("functions", "2", "--json"), ("functions", HOSTILE), (HOSTILE, "1")],
    ("history", "undo"): [(str(CHANGED_BY),), (str(CHANGED_BY), "--yes"), (str(CHANGED_BY), "--yes", "--json")],
    ("history", "undelete"): [("functions", "1"), ("functions", "3"), ("functions", "3", "--yes", "--json")],
    ("history", "prune"): [("--older-than", "0d", "--yes"), ("--older-than", HOSTILE)],
    ("history", "forget"): [("functions", "2"), ("functions", "2", "--yes", "--json"), ("functions", HOSTILE, "--yes")],
    ("history", "consumers"): [(), ("--json",)],
    ("history", "move-consumer"): [(HOSTILE, "now", "--yes"), ("reader", HOSTILE)],
    ("history", "remove-consumer"): [(HOSTILE, "--yes"), (HOSTILE, "--yes", "--json")],
    ("rollup", "on"): [(), ("--json",)],
    ("rollup", "off"): [(), ("--json",)],
    ("rollup",): [(), ("--until", HOSTILE)],
    ("cells",): [(), ("--history", HOSTILE)],
    ("cells", "initialize"): [(), ("--history", HOSTILE, "--json")],
    ("cells", "move"): [("1", "--to", "1"), (HOSTILE, "--to", "1")],
    ("cells", "sweep"): [(), ("--json",)],
    ("guard", "on"): [(), ("--owner", HOSTILE)],
    ("guard", "off"): [(), ("--json",)],
    ("search", "index", "on"): [(), ("function_logs", "--json"), (HOSTILE,)],
    ("search", "index", "off"): [(), ("function_logs", "--json"), (HOSTILE,)],
    ("graphql", "schema"): [()],
    ("graphql", "query"): [("{ functions { nodes { name } } }",), (HOSTILE,), ("{ a }", "--variables", HOSTILE)],
    ("stats",): [("1-of-them",), ("1-of-them", "--json"), ("1-of-them", "--html", "page.html")],
    ("demo",): [("--invocations", "20")],
}
CASES = [(*command, *arguments) for command, several in COMMANDS.items() for arguments in several]


@pytest.fixture(scope="module")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which every text, and the name of a table, is hostile."""
    path = tmp_path_factory.mktemp("hostile") / "hostile.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.history.enable()
    managers = Managers(database)
    ada = managers.users.insert({"email": HOSTILE, "password_hash": HOSTILE})
    for name in (HOSTILE, "1-of-them"):
        function = managers.functions.insert(
            {"user_id": ada.id, "name": name, "status": HOSTILE[:50], "analysis_result": {HOSTILE: HOSTILE}}
        )
        managers.function_logs.append(function, HOSTILE[:20], f"{HOSTILE}\n{HOSTILE}")
        managers.function_invocations.record(function, "failed", 5, error=HOSTILE)
    with database.acting_as(HOSTILE, reason=HOSTILE):
        managers.functions.update_by_id(function.id, {"status": HOSTILE[1:50]})
        gone = managers.functions.insert({"user_id": ada.id, "name": f"{HOSTILE} gone"})
        managers.functions.delete_by_id(gone.id)
    assert (function.id, gone.id) == (2, 3)
    (changed, _) = managers.functions.history(function.id)
    assert changed.transaction_id == CHANGED_BY
    name = TABLE.replace('"', '""')
    database.raw_execute(f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY, "{name}" INTEGER REFERENCES users)')
    database.raw_execute(f'CREATE UNIQUE INDEX "i{name}" ON functions (uuid)')
    database.close()
    return path


@pytest.fixture
def hostile(workplace: Path, hostile_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace / "hostile.db").write_bytes(hostile_file.read_bytes())
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", "sqlite:///hostile.db")
    (workplace / "bad.jsonl").write_text(f'{{"email": {HOSTILE!r}, "no": 1}}\n{{"emial": 5}}\n')
    (workplace / "bad.csv").write_bytes(f"email,{HOSTILE[:20]}\na,b\n".encode())
    scripts = workplace / "scripts"
    scripts.mkdir()
    own = Path(__file__).parents[2] / "cloudpub_models" / "migrations"
    for script in own.glob("0*.py"):
        (scripts / script.name).write_bytes(script.read_bytes())
    create = f"""CREATE TABLE extra (x TEXT DEFAULT '{HOSTILE.replace("'", "")}')"""
    (scripts / f"{MIGRATION}.py").write_text(
        "def up(migrator, database):\n"
        f"    database.execute_sql({create!r})\n"
        "def down(migrator, database):\n    database.execute_sql('DROP TABLE extra')\n"
    )
    (workplace / "dir\x1b[2J\u202e").mkdir()


def signs_obeyed(text: str) -> set[str]:
    """The signs in a text that a terminal might take for a command, or that turn its lines around."""
    return {sign for sign in text if sign != "\n" and unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp", "Cs")}


def test_every_command_is_walked() -> None:
    assert set(COMMANDS) == set(leaves(get_command(application)))


@pytest.mark.parametrize(
    "arguments", CASES, ids=lambda arguments: " ".join(arguments).encode("ascii", "replace").decode()
)
def test_a_terminal_is_given_nothing_to_obey(
    run: Run, hostile: None, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without colours: whatever sequence there is comes from a text.
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: True, raising=False)
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda stream: True, raising=False)
    monkeypatch.setattr("cloudpub_models.cli.commands.shell._prompt", lambda names: None)
    result = run(*arguments)
    assert "Traceback" not in result.output
    assert signs_obeyed(result.stdout) == set(), result.stdout
    assert signs_obeyed(result.stderr) == set(), result.stderr


@pytest.mark.parametrize("format", ["mermaid", "dot", "svg", "markdown"])
def test_a_page_is_given_nothing_to_obey(run: Run, hostile: None, format: str) -> None:
    drawn = run("schema", "--from", "database", "--format", format).stdout
    assert "onerror" in drawn
    assert signs_obeyed(drawn) == set()
    if format == "svg":
        texts = [text for element in ElementTree.fromstring(drawn).iter() if (text := element.text)]
        assert any("<img src=x" in text for text in texts)
    if format == "markdown":
        spans = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", drawn)
        assert "<img" not in spans
    elif format == "dot":  # a quoted name is no markup there, a label is
        assert "&lt;img" in drawn
        assert "<img" not in re.sub(r'"(?:\\.|[^"\\])*"', "", drawn)
    else:
        assert "<img" not in drawn
    assert format != "mermaid" or "%%" not in drawn


def test_a_page_of_statistics_is_given_nothing_to_obey(run: Run, hostile: None, workplace: Path) -> None:
    assert run("stats", HOSTILE, "--html", "page.html").exit_code == 0
    page = (workplace / "page.html").read_text(encoding="utf-8")
    assert signs_obeyed(page) == set()
    assert "<script" not in page
    assert "&lt;script" in page


def test_markup_of_rich_is_text(run: Run, hostile: None) -> None:
    assert "[bold red]x[/]" in run("find", "functions", "--columns", "name").stdout
    assert "[bold]x" in run("migrate", "status", "--directory", "scripts").stdout
    assert "[bold]x" in run("migrate", "up", "--directory", "scripts").stdout
    assert "'[bold red]x[/]'" in run("logs", "[bold red]x[/]").stderr
