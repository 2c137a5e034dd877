"""``cloudpub_models.notebook`` in an IPython session: what cells show, what they keep, and what the magic may do."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from cloudpub_models import Database, Managers
from cloudpub_models import database as default_database
from cloudpub_models.errors import InvalidQueryError, ParameterError

SECRET = "s3cret-hash"
SETUP = "from cloudpub_models import database, managers, Managers, User"


class Tables(HTMLParser):
    """The cells of a table, row by row, and the text behind it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.notes = ""
        self.tags: set[str] = set()
        self._place: str | None = None
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._place = tag if tag in ("td", "th", "p") else self._place

    def handle_data(self, data: str) -> None:
        if self._place == "p":
            self.notes += data
        elif self._place is not None:
            self.rows[-1][-1] += data


@pytest.fixture
def world(database_url: str, backend: str) -> Iterator[Managers]:
    """The default database, with one user."""
    default_database.initialize(database_url)
    if backend == "sqlite":
        default_database.migrate()
    managers = Managers(default_database)
    managers.users.insert({"email": "ada@example.com", "password_hash": SECRET})
    yield managers
    default_database.close()


@pytest.fixture
def shell(world: Managers, tmp_path: Any) -> Iterator[InteractiveShell]:
    """An IPython session as a notebook's kernel has it, with the extension loaded."""
    config = Config()
    config.HistoryManager.enabled = False
    config.ProfileDir.location = str(tmp_path / "profile")
    session = InteractiveShell(config=config, ipython_dir=str(tmp_path / "ipython"))
    session.run_cell(SETUP).raise_error()
    session.run_line_magic("load_ext", "cloudpub_models.notebook")
    yield session
    session.run_line_magic("unload_ext", "cloudpub_models.notebook")
    # It collects all garbage, once for each session, and the process would end half a minute later.
    atexit.unregister(session.atexit_operations)


@pytest.fixture
def show(shell: InteractiveShell) -> Callable[[str], dict[str, str]]:
    """Run a cell and return what a notebook would keep of its result: the forms in which it is displayed."""

    def run(source: str) -> dict[str, str]:
        outcome = shell.run_cell(source)
        outcome.raise_error()
        forms, _ = shell.display_formatter.format(outcome.result)
        return dict(forms)

    return run


@pytest.mark.parametrize(
    "cell",
    [
        "managers.users.find_all()",
        "managers.users.find_one()",
        "managers.users.paginate(1, 10)",
        "managers.users.paginate_after()",
        "managers.users.execute_query(managers.users.query().select('*'))",
        "database.raw_query_all('SELECT * FROM users')",
        "%cloudpub SELECT * FROM users",
        "%%cloudpub\nSELECT *\nFROM users",
        "list(managers.users.iterate())",
    ],
)
def test_results_are_tables_without_secrets(show: Callable[[str], dict[str, str]], cell: str) -> None:
    shown = show(cell)
    table = Tables(shown["text/html"])
    everything = "\n".join(shown.values())
    assert "ada@example.com" in everything
    assert any("ada@example.com" in line for line in table.rows)
    assert SECRET not in everything
    assert "password_hash" not in everything


def test_a_single_row_hides_its_secret(show: Callable[[str], dict[str, str]]) -> None:
    shown = show("database.raw_query_single('SELECT email, password_hash FROM users')")
    assert shown == {"text/plain": "{'email': 'ada@example.com'}"}


def test_a_table_has_columns_in_order_and_types_to_read(show: Callable[[str], dict[str, str]]) -> None:
    table = Tables(
        show("[{'n': 1, 'price': 1234.5, 'on': True, 'none': None}, {'n': 22, 'more': 'a < b'}]")["text/html"]
    )
    assert table.rows == [
        ["n", "price", "on", "none", "more"],
        ["1", "1,234.5", "True", "NULL", ""],
        ["22", "", "", "", "a < b"],
    ]


def test_many_rows_are_cut_and_counted(show: Callable[[str], dict[str, str]]) -> None:
    table = Tables(show("[{'n': n} for n in range(1200)]")["text/html"])
    assert len(table.rows) == 51
    assert table.notes == "… and 1,150 more rows"


def test_a_page_says_where_it_stands(show: Callable[[str], dict[str, str]], world: Managers) -> None:
    world.users.batch_insert({"email": f"{n}@example.com", "password_hash": "…"} for n in range(6))
    table = Tables(show("managers.users.paginate(2, 3)")["text/html"])
    assert (len(table.rows), table.notes) == (4, "page 2 of 3, 7 rows in all")
    assert Tables(show("managers.users.paginate_after(None, 3)")["text/html"]).notes.startswith("there are more")
    assert Tables(show("managers.users.paginate(1, 3, {'email': 'nobody'})")["text/html"]).rows == [[]]


def test_statistics_are_shown(show: Callable[[str], dict[str, str]]) -> None:
    assert ["total", "0"] in Tables(show("managers.function_invocations.get_function_stats(1)")["text/html"]).rows
    days = Tables(show("managers.function_invocations.get_daily_stats(1, 3)")["text/html"])
    assert (days.rows[0][0], len(days.rows)) == ("total", 4)


def test_markup_stays_text(show: Callable[[str], dict[str, str]], world: Managers) -> None:
    hostile = "<script>alert(1)</script>@example.com"
    world.users.update({"email": hostile}, {"email": "ada@example.com"})
    for cell in ("managers.users.find_all()", "managers.users.find_one()", "[{'<img src=x>': 1}]"):
        assert Tables(show(cell)["text/html"]).tags <= {"table", "thead", "tbody", "tr", "th", "td", "span", "p"}


@pytest.mark.parametrize("cell", ["[1, 2]", "[]", "['a']", "{'a': 1}", "[{1: 2}]", "[{'a': 1}, 2]", "'text'", "None"])
def test_what_is_no_result_is_left_alone(show: Callable[[str], dict[str, str]], cell: str) -> None:
    shown = show(cell)
    assert "text/html" not in shown
    assert shown["text/plain"] == cell


def test_partly_loaded_entities(show: Callable[[str], dict[str, str]]) -> None:
    table = Tables(show("managers.users.find_all(select=['email', 'password_hash'])")["text/html"])
    assert table.rows[0] in (["email"], ["id", "email"])


def test_parameters_are_variables_and_never_text(shell: InteractiveShell, world: Managers) -> None:
    shell.user_ns["email"] = "'; DROP TABLE users; --"
    assert shell.run_cell("%cloudpub SELECT email FROM users WHERE email = @email").result == []
    assert shell.run_cell("%cloudpub SELECT '{email}' AS text").result == [{"text": "{email}"}]
    shell.user_ns["ids"] = (1, 2)
    assert shell.run_cell("rows = %cloudpub SELECT id FROM users WHERE id IN @ids").success
    assert shell.user_ns["rows"] == [{"id": 1}]
    assert isinstance(shell.run_cell("%cloudpub SELECT @missing").error_in_exec, ParameterError)


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM users", "WITH gone AS (SELECT 1) DELETE FROM users", "DROP TABLE users", "-- x\nDELETE FROM users"],
)
def test_the_magic_only_reads_unless_told(shell: InteractiveShell, world: Managers, statement: str) -> None:
    outcome = shell.run_cell(f"%%cloudpub\n{statement}")
    assert isinstance(outcome.error_in_exec, InvalidQueryError)
    assert "read-only" in str(outcome.error_in_exec)
    assert world.users.count() == 1


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA query_only = OFF",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA user_version = 7",
        "ATTACH 'elsewhere.db' AS elsewhere",
        "DETACH main",
    ],
)
def test_the_magic_neither_sets_nor_opens_anything(
    shell: InteractiveShell, world: Managers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = shell.run_cell(f"%%cloudpub\n{statement}")
    assert isinstance(outcome.error_in_exec, InvalidQueryError)
    assert list(tmp_path.glob("elsewhere*")) == []
    assert world.database.raw_query_all("PRAGMA user_version") == [{"user_version": 0}]
    assert world.users.insert({"email": "after@example.com", "password_hash": "x"}).id


def test_the_magic_writes_when_told(shell: InteractiveShell, world: Managers) -> None:
    assert shell.run_cell("%%cloudpub --write\nUPDATE users SET email = 'b@example.com'").result == 1
    assert world.users.exists({"email": "b@example.com"})
    assert shell.run_cell("%cloudpub --write DELETE FROM users").result == 1
    assert world.users.count() == 0


def test_unloading_leaves_nothing(shell: InteractiveShell, show: Callable[[str], dict[str, str]]) -> None:
    shell.run_line_magic("unload_ext", "cloudpub_models.notebook")
    assert "text/html" not in show("[{'n': 1}]")
    assert "cloudpub" not in shell.magics_manager.magics["line"]
    shell.run_line_magic("load_ext", "cloudpub_models.notebook")
    assert "text/html" in show("[{'n': 1}]")


def test_ipython_is_imported_by_nothing_else() -> None:
    program = "import sys, cloudpub_models, cloudpub_models.notebook; print('IPython' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "False\n"


def test_another_database_is_shown_as_well(show: Callable[[str], dict[str, str]], shell: InteractiveShell) -> None:
    other = Database("sqlite:///:memory:")
    other.migrate()
    shell.user_ns["other"] = Managers(other)
    show("other.users.insert({'email': 'eve@example.com', 'password_hash': 'x'})")
    assert "eve@example.com" in show("other.users.find_all()")["text/html"]
    other.close()


@pytest.mark.parametrize(
    "cell",
    [
        "{0}",
        "[{0}]",
        "[{{'user': {0}}}]",
        "[{{'users': [{0}]}}]",
        "[{{'pair': (1, {0})}}]",
        "OrderedDict({0})",
        "[OrderedDict(user={0})]",
        "defaultdict(list, {0})",
        "({0},)",
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])
def test_secrets_are_left_out_wherever_they_are(show: Callable[[str], dict[str, str]], cell: str) -> None:
    user = {"email": "ada@example.com", "password_hash": SECRET}
    shown = show(f"from collections import OrderedDict, defaultdict\n{cell.format(user)}")
    assert "ada@example.com" in shown["text/plain"]
    assert SECRET not in "\n".join(shown.values())


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_row_as_json_has_no_secret(show: Callable[[str], dict[str, str]]) -> None:
    shown = show("database.raw_query_all('SELECT row_to_json(users) AS u FROM users')")
    assert all("ada@example.com" in form for form in shown.values())
    assert SECRET not in "\n".join(shown.values())


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_is_not_to_be_seen_is_blank(show: Callable[[str], dict[str, str]]) -> None:
    shown = show(r"[{'a\u202eb': 'c\x1b[31md\ne'}]")
    assert Tables(shown["text/html"]).rows == [["a b"], ["c [31md\ne"]]
    assert not set("\x1b\u202e") & set("".join(shown.values()))
