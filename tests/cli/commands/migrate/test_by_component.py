"""``cloudpub migrate`` on a database of several components: what it names, and what ``--component`` restricts it to."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from cloudpub_models import Database
from cloudpub_models.schema import read_catalogue
from tests.cli.talk import talk

Run = Callable[..., Result]

MODULE = """
from pathlib import Path
from cloudpub_models import Component
from cloudpub_models.entity import AutoField, CharField, Entity


class Row(Entity):
    id = AutoField()
    name = CharField(max_length=20)

    class Meta:
        table_name = "{name}_rows"


component = Component("{name}", [Row], Path(__file__).parent / "{name}_scripts", after={after!r})
"""
FIRST = """
def up(migrator, db):
    key = "SERIAL PRIMARY KEY" if "Postgres" in type(db).__name__ else "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"
    db.execute_sql(f"CREATE TABLE {name}_rows (id {{key}}, name VARCHAR(20) NOT NULL)")
def down(migrator, db):
    db.execute_sql("DROP TABLE {name}_rows")
"""
SECOND = """
def up(migrator, db):
    db.execute_sql("CREATE TABLE {name}_more (id INTEGER PRIMARY KEY)")
def down(migrator, db):
    db.execute_sql("DROP TABLE {name}_more")
"""


@pytest.fixture
def project(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write a project that uses these components; each refers to the platform but for ``flags``."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    # A module that is written again within the same second would be read from what was compiled before.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(*names: str) -> None:
        for name in names:
            after = {"flags": [], "dunning": ["billing"]}.get(name, ["cloudpub"])
            (workplace / f"{name}_of_tests.py").write_text(MODULE.format(name=name, after=after))
            monkeypatch.delitem(sys.modules, f"{name}_of_tests", raising=False)
            scripts = workplace / f"{name}_scripts"
            scripts.mkdir(exist_ok=True)
            (scripts / "0001_rows.py").write_text(FIRST.format(name=name))
            (scripts / "0002_more.py").write_text(SECOND.format(name=name))
        listed = [f"{name}_of_tests:component" for name in names]
        (workplace / "pyproject.toml").write_text(f"[tool.cloudpub]\ncomponents = {json.dumps(listed)}\n")

    yield write
    for module in [name for name in sys.modules if name.endswith("_of_tests")]:
        del sys.modules[module]


@pytest.fixture
def option(cli_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", cli_database_url)


def states(run: Run, *arguments: str) -> dict[str, str]:
    result = run("migrate", "status", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return {each["name"]: each["state"] for each in json.loads(result.stdout)["migrations"]}


def test_up_restricted_takes_what_it_is_after_and_nothing_else(run: Run, project, option, cli_database_url) -> None:
    project("billing", "flags", "dunning")
    plan = json.loads(run("migrate", "up", "--plan", "--json", "--component", "billing").stdout)
    planned = [
        "0001_initial",
        "0002_indexes_for_common_queries",
        "0003_given_versions",
        "0004_one_account_for_each_address",
        "0005_ids_of_64_bits",
        "billing.0001_rows",
        "billing.0002_more",
    ]
    assert [each["name"] for each in plan["migrations"]] == planned
    applied = run("migrate", "up", "--component", "billing")
    assert applied.stdout.splitlines() == [f"applied {name}" for name in planned]
    assert states(run, "--component", "billing") == {"billing.0001_rows": "applied", "billing.0002_more": "applied"}
    assert states(run, "--component", "flags") == {"flags.0001_rows": "pending", "flags.0002_more": "pending"}
    alone = run("migrate", "--component", "flags")
    assert alone.stdout.splitlines() == ["applied flags.0001_rows", "applied flags.0002_more"]
    assert json.loads(run("migrate", "up", "--json").stdout) == {"applied": ["dunning.0001_rows", "dunning.0002_more"]}
    assert "│ flags     │ flags.0001_rows " in run("migrate", "status").stdout


def test_up_applies_all_whether_one_is_after_the_other_or_not(run: Run, project, option) -> None:
    project("billing", "flags")
    assert [line.removeprefix("applied ") for line in run("migrate", "up").stdout.splitlines()] == [
        "0001_initial",
        "0002_indexes_for_common_queries",
        "0003_given_versions",
        "0004_one_account_for_each_address",
        "0005_ids_of_64_bits",
        "billing.0001_rows",
        "billing.0002_more",
        "flags.0001_rows",
        "flags.0002_more",
    ]


def test_down_restricted_takes_back_the_last_of_its_own(run: Run, project, option) -> None:
    project("billing", "flags")
    run("migrate", "up")
    assert run("migrate", "down", "--component", "billing", "--yes").stdout == "reverted billing.0002_more\n"
    plan = run("migrate", "down", "--component", "billing", "--plan")
    assert "-- billing.0001_rows: one transaction" in plan.stdout
    assert run("migrate", "down", "--component", "billing", "--yes").stdout == "reverted billing.0001_rows\n"
    nothing = run("migrate", "down", "--component", "billing")
    assert (nothing.exit_code, nothing.stdout) == (0, "nothing to revert\n")
    assert states(run, "--component", "flags") == {"flags.0001_rows": "applied", "flags.0002_more": "applied"}


def test_down_restricted_takes_back_first_what_came_after_it(run: Run, project, option) -> None:
    project("billing", "flags", "dunning")
    run("migrate", "up")
    reverted = run("migrate", "down", "--component", "billing", "--yes").stdout.splitlines()
    assert reverted == ["reverted dunning.0002_more", "reverted dunning.0001_rows", "reverted billing.0002_more"]


def test_an_edited_script_of_another_component_is_none_of_its_business(run: Run, project, option, workplace) -> None:
    project("billing", "flags")
    run("migrate", "up")
    with (workplace / "flags_scripts" / "0001_rows.py").open("a") as file:
        file.write("# changed\n")
    assert run("migrate", "up", "--component", "billing").exit_code == 0
    assert run("migrate", "down", "--component", "billing", "--yes").stdout == "reverted billing.0002_more\n"
    assert run("migrate", "status", "--component", "billing").exit_code == 0
    refused = run("migrate", "up")
    assert refused.exit_code == 1
    assert "error: expected flags.0001_rows as it was applied; got another file" in refused.stderr


def test_two_services_leave_each_other_alone(run: Run, project, option, cli_database_url) -> None:
    project("billing")
    run("migrate", "up")
    project("flags")
    assert run("migrate", "up").stdout.splitlines() == ["applied flags.0001_rows", "applied flags.0002_more"]
    status = run("migrate", "status")
    assert status.exit_code == 0
    listed = [line.replace("│", "").split()[:3] for line in status.stdout.splitlines() if "billing" in line]
    assert listed == [["billing", "billing.0001_rows", "foreign"], ["billing", "billing.0002_more", "foreign"]]
    assert "foreign: of components that are not known here, and left alone: billing" in status.stderr
    named = run("migrate", "down", "billing.0001_rows", "--yes")
    assert named.exit_code == 1
    assert "got 'billing.0001_rows', recorded for the component 'billing', which is not known here" in named.stderr
    assert run("migrate", "down", "0001_initial", "--yes").exit_code == 0
    database = Database(cli_database_url)
    # Nothing of flags refers to the platform, so it stands too.
    assert {"billing_rows", "flags_rows"} <= set(read_catalogue(database.engine).tables)
    database.close()
    project("billing", "flags")
    assert states(run, "--component", "billing") == {"billing.0001_rows": "applied", "billing.0002_more": "applied"}


def test_check_and_adopt_say_whose_table_it_is(run: Run, project, option, cli_database_url) -> None:
    project("billing", "flags")
    run("migrate", "up")
    database = Database(cli_database_url)
    database.batch_execute(["DROP TABLE flags_rows", "DROP TABLE cloudpub_migrations"])
    assert run("migrate", "check", "--component", "billing").stdout == "no drift: the database is what the models say\n"
    [difference] = json.loads(run("migrate", "check", "--json").stdout)["differences"]
    assert (difference["component"], difference["table"]) == ("flags", "flags_rows")
    assert "component" in run("migrate", "check").stdout
    adopted = json.loads(run("migrate", "adopt", "--component", "billing", "--json").stdout)
    found = {"component": "billing", "table": "billing_rows", "found": "as the model says", "advice": []}
    leave = ["leave it be; a component of yours can have a model of it"]
    others = [
        {"component": None, "table": f"{name}_more", "found": "a table that no model has", "advice": leave}
        for name in ("billing", "flags")
    ]
    assert adopted == {
        "recorded": "billing.0001_rows",
        "tables": [{**each, "unknown_columns": {}} for each in (found, *others)],
        "differences": [],
    }
    nothing = run("migrate", "adopt", "--component", "flags")
    assert nothing.exit_code == 1
    assert "expected the tables flags_rows; got none of them" in nothing.stderr
    database.close()


def test_a_directory_is_that_of_the_component_named(run: Run, project, option, workplace) -> None:
    project("billing", "flags")
    (workplace / "elsewhere").mkdir()
    (workplace / "elsewhere" / "0001_other.py").write_text(FIRST.format(name="other"))
    applied = run("migrate", "up", "--component", "flags", "--directory", "elsewhere")
    assert applied.stdout == "applied flags.0001_other\n"
    several = run("migrate", "up", "--component", "flags", "--component", "billing", "--directory", "elsewhere")
    assert several.exit_code == 1
    assert "expected one component whose migrations are in --directory; got flags, billing: name one" in several.stderr


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("up", "--component", "biling"), "expected the name of a component; got 'biling': did you mean 'billing'?"),
        (("status", "--component", "nothing"), "expected the name of a component; got 'nothing': known are: billing, "),
        (("up", "flags.0001_rows", "--component", "billing"), "got 'flags.0001_rows': "),
        (("up", "0001_rows"), "got '0001_rows': did you mean '"),
        (("up", "crm.0001_rows"), "expected the name of a migration as target; got 'crm.0001_rows'"),
    ],
)
def test_a_name_that_is_none_is_one_line(run: Run, project, option, cli_database_url, arguments, answer) -> None:
    project("billing", "flags")
    Database(cli_database_url).ping()  # which makes the file
    result = run("migrate", *arguments)
    assert result.exit_code == 1
    assert answer in result.stderr
    assert talk(result).count("error: ") == 1
    assert "Traceback" not in result.output
    assert not [name for name, state in states(run).items() if state != "pending"]


@pytest.mark.parametrize("whose", ["cloudpub", "billing"])
def test_rows_of_the_history_that_somebody_removed(run: Run, project, option, cli_database_url, whose: str) -> None:
    project("billing")
    run("migrate", "up")
    database = Database(cli_database_url)
    database.raw_execute("DELETE FROM cloudpub_migrations WHERE component = @whose", {"whose": whose})
    before = read_catalogue(database.engine).tables
    refused = run("migrate", "up", "--yes")
    assert refused.exit_code == 1
    first = "0001_initial" if whose == "cloudpub" else "billing.0001_rows"
    assert f"error: {first} failed (up): " in refused.stderr
    assert "if another backend has made these tables, run 'cloudpub migrate adopt'" in refused.stderr
    assert read_catalogue(database.engine).tables == before
    adopted = json.loads(run("migrate", "adopt", "--json").stdout)
    assert (adopted["recorded"], adopted["differences"]) == (first, [])
    assert {finding["found"] for finding in adopted["tables"]} <= {"as the model says", "a table that no model has"}
    other = {name: state for name, state in states(run).items() if name.startswith("billing.") != (whose == "billing")}
    assert set(other.values()) == {"applied"}
    database.close()


def test_a_late_script_of_a_component(run: Run, project, option, workplace: Path) -> None:
    project("billing")
    scripts = workplace / "billing_scripts"
    (scripts / "0002_more.py").rename(scripts / "0003_more.py")
    run("migrate", "up")
    (scripts / "0002_late.py").write_text(SECOND.format(name="late"))
    refused = run("migrate", "up")
    assert refused.exit_code == 1
    assert "error: expected billing.0002_late before the migrations with higher numbers" in refused.stderr
    assert "give it the next free number" in refused.stderr
    (scripts / "0003_late.py").write_text(SECOND.format(name="late"))
    twice = run("migrate", "up")
    assert twice.exit_code == 1
    assert "got one for both billing.0003_late and billing.0003_more: renumber" in twice.stderr


KEYLESS = """
class Keyless(Entity):
    class Meta:
        table_name = "keyless"
        primary_key = False
class Line(Entity):
    of = ForeignKey(Keyless, backref="+")
"""
UP = ("migrate", "up", "--yes")
FROM_MODELS = ("migrate", "new", "--component", "billing", "--from-models", "x")


class Place:
    """A project that uses ``billing``, to be spoiled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def module(self, old: str, new: str) -> None:
        module = self._folder / "billing_of_tests.py"
        assert old in module.read_text()
        module.write_text(module.read_text().replace(old, new))

    def script(self, name: str, text: str = SECOND) -> None:
        (self._folder / "billing_scripts" / f"{name}.py").write_text(text)

    def without_script(self, name: str) -> None:
        (self._folder / "billing_scripts" / f"{name}.py").unlink()

    def uses(self, *names: str) -> None:
        listed = json.dumps([f"{name}_of_tests:component" for name in names])
        (self._folder / "pyproject.toml").write_text(f"[tool.cloudpub]\ncomponents = {listed}\n")


# What is wrong, what is run, and what it says.
BAD_INPUT: list[tuple[Callable[[Place], object], tuple[str, ...], str]] = [
    (
        lambda place: place.uses("billing", "nowhere"),
        UP,
        "expected a component at 'nowhere_of_tests:component'; got none: No module named 'nowhere_of_tests' (named by",
    ),
    (
        lambda place: place.module("class Row", "1 / 0\nclass Row"),
        UP,
        "expected a component at 'billing_of_tests:component'; got none: ZeroDivisionError: division by zero (named",
    ),
    (
        lambda place: (place.uses("billing", "flags"), place.module('Component("billing"', 'Component("flags"')),
        UP,
        "expected a name of its own for each component; got 'flags' twice: rename one",
    ),
    (
        lambda place: (place.uses("billing", "flags"), place.module("billing_rows", "flags_rows")),
        UP,
        "expected a table of its own for each model; got 'flags_rows' in the components 'billing' and 'flags'",
    ),
    (
        lambda place: place.module("component = ", f"{KEYLESS}\ncomponent = ") or place.module("[Row]", "[Line]"),
        UP,
        "expected a key of one column in 'keyless', to which line.of refers; got none: give Keyless a primary key, or",
    ),
    (
        lambda place: (place.uses("billing", "dunning"), place.module("after=['cloudpub']", "after=['dunning']")),
        UP,
        "expected components that do not wait for each other; got the circle billing → dunning → billing",
    ),
    (
        lambda place: place.module("after=['cloudpub']", "after=['crm']"),
        UP,
        "expected the component 'crm', since 'billing' comes after it; got billing, cloudpub: name it too",
    ),
    (
        lambda place: None,
        ("migrate", "up", "crm.0001_rows"),
        "expected the name of a migration as target; got 'crm.0001_rows': ",
    ),
    (
        lambda place: None,
        ("migrate", "new", "--component", "crm", "x"),
        "expected the name of a component; got 'crm': known are: billing, cloudpub",
    ),
    (
        lambda place: place.script("0001_late"),
        UP,
        "expected every migration to have a number of its own; got one for both billing.0001_late and "
        "billing.0001_rows: renumber the one that has not been applied anywhere",
    ),
    (
        lambda place: place.script("0000_late"),
        UP,
        "expected billing.0000_late before the migrations with higher numbers; got one of those applied without it: "
        "give it the next free number",
    ),
    (
        lambda place: place.script("0003_broken", "def up(migrator, db)\n"),
        UP,
        "expected a migration that can be loaded; got billing.0003_broken: SyntaxError",
    ),
    (
        lambda place: place.module('"billing_scripts"', '"elsewhere"'),
        UP,
        "expected a directory with the migrations of the component 'billing'; got none at ",
    ),
    (
        lambda place: place.uses("flags"),
        ("migrate", "down", "billing.0001_rows", "--yes"),
        "got 'billing.0001_rows', recorded for the component 'billing', which is not known here",
    ),
    (
        lambda place: place.without_script("0002_more"),
        UP,
        "expected the file of billing.0002_more, which was applied to this database; got none: restore it, or install "
        "the version of the package that has it",
    ),
    (
        lambda place: place.module("id = AutoField()", "id = IntegerField(primary_key=True)"),
        FROM_MODELS,
        "expected the key billing_rows.id to go on counting by itself; got the other in the model: write this "
        "migration by hand, then the rest can be written for you",
    ),
]


def test_bad_input_is_one_line_and_nothing_is_done(
    run: Run, project: Callable[..., None], option: None, workplace: Path, cli_database_url: str
) -> None:
    project("flags", "dunning")
    project("billing")
    assert run(*UP).exit_code == 0
    database = Database(cli_database_url)

    def all_there_is() -> object:
        book = database.raw_query_all("SELECT * FROM cloudpub_migrations ORDER BY name")
        return book, read_catalogue(database.engine).tables

    untouched = all_there_is()
    for spoil, command, answer in BAD_INPUT:
        shutil.rmtree(workplace / "billing_scripts")
        project("billing")
        place = Place(workplace)
        place.module("Entity\n", "Entity, ForeignKey, IntegerField\n")
        spoil(place)
        files = sorted(workplace.rglob("*.py"))
        result = run(*command)
        assert (result.exit_code, result.stdout) == (1, ""), answer
        assert f"error: {answer}" in result.stderr or f"; {answer}" in result.stderr
        assert talk(result).count("\n") == 1
        assert sorted(workplace.rglob("*.py")) == files, answer
        assert all_there_is() == untouched, answer
    database.close()
