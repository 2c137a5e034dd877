"""``cloudpub migrate new``: an empty script, or one that is written from the models, by a person or a program."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from cloudpub_models import Database

Run = Callable[..., Result]
Write = Callable[..., None]

MODULE = """
from pathlib import Path
from cloudpub_models import Component, User
from cloudpub_models.entity import *


class Bill(Entity):
    id = AutoField()
    user = ForeignKey(User, backref="+", on_delete="CASCADE")
{fields}
    class Meta:
        table_name = "bills"


component = Component("billing", [Bill], {place}, after=["cloudpub"])
"""
NEW = ("migrate", "new", "--component", "billing")
FROM_MODELS = (*NEW, "--from-models")


@pytest.fixture
def write(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a project with the component ``billing``, whose one model has these fields."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write_project(*fields: str, place: str = 'Path("scripts").absolute()') -> None:
        listed = "".join(f"    {field}\n" for field in fields)
        (workplace / "billing_of_tests.py").write_text(MODULE.format(fields=listed, place=place))
        (workplace / "pyproject.toml").write_text('[tool.cloudpub]\ncomponents = ["billing_of_tests:component"]\n')
        monkeypatch.delitem(sys.modules, "billing_of_tests", raising=False)

    yield write_project
    sys.modules.pop("billing_of_tests", None)


def refused(result: Result) -> str:
    """The one line that a command ends with that did nothing."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: expected ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").strip()


def test_new_writes_a_numbered_skeleton_and_needs_no_database(run: Run, workplace: Path) -> None:
    assert run("migrate", "new", "--directory", "own", "add", "user", "locale").stdout == (
        f"{Path('own') / '0001_add_user_locale.py'}\n"
    )
    assert run("migrate", "--directory", "own", "new", "next one").stdout.strip().endswith("0002_next_one.py")
    assert "def up(" in (workplace / "own" / "0001_add_user_locale.py").read_text()
    third = json.loads(run("migrate", "new", "--directory", "own", "third", "--json").stdout)
    assert third == {"path": str(Path("own") / "0003_third.py")}
    refused = run("migrate", "new", "--directory", "own", "!?")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: expected a name of letters and digits")


def test_new_where_nothing_may_be_written_is_one_line(run: Run, workplace: Path) -> None:
    (workplace / "file").touch()
    result = run("migrate", "new", "--directory", "file/below", "first")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_nothing_is_written_into_an_installed_package(
    run: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cloudpub_models.cli.commands.migrate.new.directory_of", lambda _: workplace / "a" / "installed"
    )
    result = run("migrate", "new", "first")
    assert result.exit_code == 1
    assert "expected a checkout of this package" in result.stderr
    assert not (workplace / "a").exists()


def test_an_empty_script_of_a_component(run: Run, write: Write, workplace: Path) -> None:
    write()
    assert run(*NEW, "first step").stdout == f"{Path('scripts') / '0001_first_step.py'}\n"
    assert run(*NEW, "second").stdout == f"{Path('scripts') / '0002_second.py'}\n"
    assert '"""First step."""' in (workplace / "scripts" / "0001_first_step.py").read_text()


def test_from_models_step_by_step(run: Run, write: Write, workplace: Path, cli_database_url: str) -> None:
    option = ("--database", cli_database_url)
    write("amount = IntegerField()")
    made = run(*FROM_MODELS, "bills")
    assert made.stdout == f"{Path('scripts') / '0001_bills.py'}\n"
    assert made.stderr.splitlines() == ["create bills", "have bills.user_id refer to users"]
    again = run(*FROM_MODELS, "again")
    assert (again.exit_code, again.stdout) == (0, "nothing to do: the migrations make what the models say\n")
    assert run("migrate", *option).exit_code == 0

    write("total = IntegerField()", "paid = BooleanField()", "note = CharField(max_length=20, null=True)")
    assert refused(run(*FROM_MODELS, "total")) == (
        "expected to be told whether the column bills.amount is total now, since one went and one like it came; got no "
        "answer: give --rename bills.amount=total, or --rename bills.amount= if not"
    )
    renamed = (*FROM_MODELS, "total", "--rename", "bills.amount=total")
    assert refused(run(*renamed)).endswith("give --default bills.paid=VALUE, or the field a default")
    done = run(*renamed, "--default", "paid=no", "--json")
    assert json.loads(done.stdout) == {
        "path": str(Path("scripts") / "0002_total.py"),
        "changes": ["rename bills.amount to total", "add bills.paid", "add bills.note"],
        "kept_back": [],
    }
    assert run("migrate", *option).exit_code == 0
    assert run("migrate", "check", *option).exit_code == 0

    write("total = IntegerField()", "paid = BooleanField()")
    dropped = run(*FROM_MODELS, "no notes")
    assert dropped.stderr == "commented out, since it destroys data: drop bills.note\n"
    assert (
        '    #     migrator.drop_column("bills", "note"),' in (workplace / "scripts" / "0003_no_notes.py").read_text()
    )
    left = run(*FROM_MODELS, "no notes")
    assert left.stdout == (
        "nothing to do but what an earlier migration has commented out: --allow-destruction writes it\n"
    )
    assert run(*FROM_MODELS, "no notes", "--allow-destruction").stdout == f"{Path('scripts') / '0004_no_notes.py'}\n"
    assert run("migrate", "up", "--yes", *option).exit_code == 0
    assert run("migrate", "check", *option).exit_code == 0
    assert run("migrate", "down", "billing.0001_bills", "--yes", *option).exit_code == 0


def test_a_database_counts_that_is_named(run: Run, write: Write, workplace: Path, cli_database_url: str) -> None:
    option = ("--database", cli_database_url)
    write("amount = IntegerField()")
    run(*FROM_MODELS, "bills")
    run("migrate", "up", "0002_indexes_for_common_queries", *option)
    pending = run(*FROM_MODELS, "more", *option)
    assert pending.exit_code == 1
    assert "got one where billing.0001_bills is not: run 'cloudpub migrate up' first" in pending.stderr
    run("migrate", "up", *option)
    assert run(*FROM_MODELS, "more", *option).stdout == "nothing to do: the migrations make what the models say\n"
    database = Database(cli_database_url)
    database.raw_execute("ALTER TABLE bills ADD COLUMN odd VARCHAR(9)")
    database.close()
    assert run(*FROM_MODELS, "more").stdout.startswith("nothing to do")
    assert json.loads(run(*FROM_MODELS, "more", *option, "--json").stdout) == {
        "path": str(Path("scripts") / "0002_more.py"),
        "changes": [],
        "kept_back": ["drop bills.odd"],
    }


def test_the_platform_has_nothing_to_do(run: Run) -> None:
    result = run("migrate", "new", "nothing", "--from-models")
    assert (result.exit_code, result.stdout) == (0, "nothing to do: the migrations make what the models say\n")


def test_a_person_is_asked(run: Run, write: Write, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("amount = IntegerField()")
    run(*FROM_MODELS, "bills")
    write("total = IntegerField()", "sum = IntegerField(null=True)", "paid = BooleanField()")
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True)
    said = run(*FROM_MODELS, "total", stdin="total\nno\n").stderr
    assert "bills.amount went; what is it called now? (total, sum; nothing if it is gone)" in said
    assert "bills.paid may not be NULL; what do the rows that are there get? (boolean)" in said
    text = (workplace / "scripts" / "0002_total.py").read_text()
    assert 'migrator.rename_column("bills", "amount", "total"),' in text
    assert 'migrator.add_column("bills", "paid", BooleanField(default=False)),' in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rename", "bills.amont=total"], "expected --rename for a table or a column that went; got 'bills.amont'"),
        (["--default", "bills.id=7"], "expected --default TABLE.COLUMN=VALUE for a column that is added"),
        (["--default", "bills.paid=maybe"], "expected a value of type boolean for bills.paid; got 'maybe'"),
    ],
)
def test_answers_about_nothing(run: Run, write: Write, options: list[str], message: str) -> None:
    write("amount = IntegerField()")
    run(*FROM_MODELS, "bills")
    write("amount = IntegerField()", "paid = BooleanField()")
    assert refused(run(*FROM_MODELS, "more", *options)).startswith(message)


@pytest.mark.parametrize("option", ["--rename", "--default"])
def test_an_answer_of_another_form(run: Run, write: Write, option: str) -> None:
    write()
    result = run(*FROM_MODELS, "x", option, "total")
    assert result.exit_code == 2
    assert f"expected {option} " in result.stderr
    assert "got 'total'" in result.stderr
    without = run(*NEW, "x", option, "a=b")
    assert without.exit_code == 2
    assert "expected --from-models with an answer about models" in without.stderr


def test_an_unknown_component(run: Run, write: Write) -> None:
    write()
    result = run("migrate", "new", "--component", "biling", "--from-models", "x")
    assert refused(result) == "expected the name of a component; got 'biling': did you mean 'billing'?"


def test_a_component_without_a_place_for_migrations(run: Run, write: Write) -> None:
    for options in ([], ["--from-models"]):
        write(place="None")
        message = refused(run(*NEW, *options, "x"))
        assert message.startswith("expected a place for the migrations of the component 'billing'; got none")
        write(place='"billing_of_tests.migrations"')
        message = refused(run(*NEW, *options, "x"))
        assert message.startswith("expected a package 'billing_of_tests.migrations' with the migrations of")


def test_a_package_inside_a_zip(run: Run, write: Write, workplace: Path) -> None:
    archive = workplace / "zipped_of_tests.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_of_tests/__init__.py", "")
    sys.path.append(str(archive))
    write(place='"zipped_of_tests"')
    for options in ([], ["--from-models"]):
        message = refused(run(*NEW, *options, "x"))
        assert message.startswith("expected a directory for the migrations of the component 'billing'; got '")
        assert message.endswith("zipped_of_tests.zip is a file: name a --directory")


def test_a_directory_that_cannot_be_written(
    run: Run, write: Write, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    monkeypatch.setattr("os.access", lambda *_: False)
    message = refused(run(*FROM_MODELS, "x"))
    assert message == f"expected a directory that can be written; got {str(workplace)!r}: name a --directory"


def test_models_that_do_not_import(run: Run, write: Write) -> None:
    write("amount = IntegerFeld()")
    message = refused(run(*FROM_MODELS, "x"))
    assert message.startswith("expected a component at 'billing_of_tests:component'; got none: NameError: name")


def test_a_script_that_needs_a_server(run: Run, write: Write, workplace: Path) -> None:
    write()
    run(*NEW, "broken")
    script = workplace / "scripts" / "0001_broken.py"
    script.write_text("def up(migrator: object, db: Any) -> None:\n    db.execute_sql('CREATE EXTENSION x')\n")
    assert "got billing.0001_broken: NameError: name 'Any' is not defined" in refused(run(*FROM_MODELS, "x"))
    script.write_text("def up(migrator, db):\n    db.execute_sql('CREATE EXTENSION x')\n")
    assert "an empty SQLite database; got billing.0001_broken: OperationalError: " in refused(run(*FROM_MODELS, "x"))


def test_a_change_that_no_script_is_written_for(run: Run, write: Write) -> None:
    write("amount = IntegerField()")
    run(*FROM_MODELS, "bills")
    write("amount = IntegerField()", "id = UuidField(primary_key=True)")
    assert "write this migration by hand" in refused(run(*FROM_MODELS, "x"))


def test_a_key_of_other_columns_says_what_to_write(run: Run, write: Write, workplace: Path) -> None:
    write("amount = IntegerField()", "number = CharField(max_length=9)")
    run(*FROM_MODELS, "bills")
    write("amount = IntegerField()", "number = CharField(max_length=9, primary_key=True)", "id = IntegerField()")
    assert refused(run(*FROM_MODELS, "x")) == (
        "expected the primary key of bills to stay (id); got (number): write a migration by hand "
        '(migrator.drop_constraint("bills", "bills_pkey"), '
        """migrator.add_constraint("bills", "bills_pkey", SQL('PRIMARY KEY ("number")'))), then the rest can be """
        "written for you"
    )
    assert [path.name for path in (workplace / "scripts").glob("0*")] == ["0001_bills.py"]


def test_a_model_in_a_schema_of_its_own(run: Run, write: Write, workplace: Path, cli_database_url: str) -> None:
    write("amount = IntegerField()")
    module = workplace / "billing_of_tests.py"
    module.write_text(module.read_text().replace('table_name = "bills"', 'table_name = "bills"; schema = "money"'))
    assert refused(run(*FROM_MODELS, "x")) == (
        "expected models without a schema; got Bill with 'money': give it a component of its own, and write that one's "
        "migrations by hand"
    )
    assert not (workplace / "scripts").exists()
    (workplace / "scripts").mkdir()
    run("migrate", "--database", cli_database_url)
    checked = run("migrate", "check", "--database", cli_database_url)
    assert (checked.exit_code, checked.stdout) == (0, "no drift: the database is what the models say\n")
    assert "not compared, since they are in a schema of their own: bills\n" in checked.stderr


def test_several_components(run: Run, write: Write) -> None:
    write()
    message = refused(run(*NEW, "--component", "cloudpub", "x"))
    assert message == "expected one component; got billing, cloudpub: name one"
