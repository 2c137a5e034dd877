"""Tables of one's own in every command that names tables: found, shown, counted, loaded, dumped, drawn, examined."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from cloudpub_models import Database, Managers, User
from cloudpub_models.schema.drift.definition import create_all
from tests.cli.billing import ApiKey, Charge, component
from tests.cli.talk import talk

Run = Callable[..., Result]

MISFITS = """
from cloudpub_models import Component
from cloudpub_models.entity import AutoField, Entity, ForeignKey, TextField
class Row(Entity):
    id = AutoField()
    class Meta:
        table_name = "rows"
class Users(Entity):
    id = AutoField()
    class Meta:
        table_name = "users"
class Keyless(Entity):
    text = TextField()
    class Meta:
        table_name = "keyless"
        primary_key = False
class Line(Entity):
    of = ForeignKey(Keyless, backref="+")
"""

OURS = ("--component", "tests.cli.billing:component")
HASH = "!hash-that-nobody-sees"


@pytest.fixture
def shop(data_url: str) -> Iterator[Managers]:
    """The managers of a database with both tables, and a user who has a key and two charges for it."""
    database = Database(data_url, components=(component,))
    create_all(database.engine, component.models)
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    key = managers.for_model(ApiKey).insert({"user_id": ada.id, "name": "deploy", "key_hash": HASH})
    for number, cents in (("A-1", 100), ("A-2", 250)):
        managers.for_model(Charge).insert({"number": number, "api_key": key.id, "cents": cents})
    yield managers
    database.close()


@pytest.fixture
def ada(shop: Managers) -> User:
    found = shop.users.find_one()
    assert found is not None
    return found


def key_of(shop: Managers) -> ApiKey:
    found = shop.for_model(ApiKey).find_one()
    assert found is not None
    return found


def rows_of(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_find_and_count(run: Run, shop: Managers, ada: User) -> None:
    key = key_of(shop)
    [found] = rows_of(run("find", "api_keys", f"user_id={ada.uuid}", "name~dep%", "--json", *OURS))
    assert found["uuid"] == str(key.uuid)
    assert "key_hash" not in found
    assert rows_of(run("find", "api_keys", "--with-secrets", "--json", *OURS))[0]["key_hash"] == HASH
    charged = rows_of(run("find", "charges", f"api_key_id={key.uuid}", "cents>=100", "cents<250", "--json", *OURS))
    assert charged == [{"number": "A-1", "api_key_id": key.id, "cents": 100}]
    assert run("count", "charges", *OURS).stdout == "2\n"


def test_show(run: Run, shop: Managers, ada: User) -> None:
    key = key_of(shop)
    shown = json.loads(run("show", "api_keys", str(key.uuid), "--json", *OURS).stdout)
    assert (shown["name"], shown["user"]["email"]) == ("deploy", "ada@example.com")
    assert [charge["number"] for charge in shown["charges"]] == ["A-2", "A-1"]
    assert HASH not in run("show", "api_keys", str(key.id), *OURS).output
    assert json.loads(run("show", "charges", "A-2", "--json", *OURS).stdout)["cents"] == 250
    assert (
        "expected a row of charges; got the number A-3, which none has" in run("show", "charges", "A-3", *OURS).stderr
    )


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_what_is_dumped_is_loaded(run: Run, shop: Managers, workplace: Path, format: str) -> None:
    charges, keys = shop.for_model(Charge), shop.for_model(ApiKey)
    for table in ("api_keys", "charges"):
        assert run("dump", table, f"{table}.{format}", "--with-secrets", *OURS).exit_code == 0
    before = [row.to_dict() for row in keys.find_all()]
    keys.delete_by_id(before[0]["id"])
    assert charges.count() == 0
    for table in ("api_keys", "charges"):
        assert run("load", table, f"{table}.{format}", *OURS).exit_code == 0, run(
            "load", table, f"{table}.{format}", *OURS
        ).output
    assert [row.to_dict() for row in keys.find_all()] == before
    assert charges.count({"cents": [100, 250]}) == 2
    (workplace / "more.jsonl").write_text(json.dumps({"number": "A-1", "api_key_id": before[0]["id"], "cents": 7}))
    assert run("load", "charges", "more.jsonl", "--on-conflict", "update", *OURS).exit_code == 0
    assert charges.count({"number": "A-1", "cents": 7}) == 1


def test_a_row_that_brought_its_id_along_does_not_get_in_the_way(run: Run, shop: Managers, ada: User) -> None:
    line = {"id": 41, "user_id": ada.id, "name": "read", "key_hash": "y"}
    assert run("load", "api_keys", "-", *OURS, stdin=json.dumps(line)).exit_code == 0
    assert shop.for_model(ApiKey).insert({"user_id": ada.id, "name": "write", "key_hash": "z"}).id == 42


def test_sql_masks_their_secrets(run: Run, shop: Managers) -> None:
    result = run("sql", "SELECT name, key_hash FROM api_keys", "--json", *OURS)
    assert rows_of(result) == [{"name": "deploy", "key_hash": "***"}]


def test_a_script_in_the_shell_has_their_models(run: Run, shop: Managers) -> None:
    script = "print(ApiKey.select().count(), managers.for_model(Charge).count())"
    assert run("shell", *OURS, stdin=script).stdout == "1 2\n"


def test_schema_and_drift(run: Run, shop: Managers) -> None:
    drawn = run("schema", *OURS).stdout
    assert 'users ||--o{ api_keys : "user_id"' in drawn
    assert 'api_keys ||--o{ charges : "api_key_id"' in drawn
    assert "api_keys" not in run("schema").stdout
    assert 'CREATE TABLE "charges"' in run("schema", "--format", "sql", *OURS).stdout
    assert run("migrate", "check", *OURS).exit_code == 0
    shop.database.raw_execute("DROP TABLE charges")
    differences = json.loads(run("migrate", "check", "--json", *OURS).stdout)["differences"]
    assert [(difference["kind"], difference["table"]) for difference in differences] == [("table", "charges")]
    assert run("migrate", "check").exit_code == 0


def test_doctor_and_status_say_whose_tables_they_are(run: Run, shop: Managers) -> None:
    result = run("doctor", "--json", *OURS)
    found = {finding["check"]: finding["message"] for finding in json.loads(result.stdout)["findings"]}
    assert result.exit_code == 0, result.output
    assert found["components"] == "cloudpub (8 tables), billing (2 tables)"
    assert found["drift"] == "the database is what the models say"
    assert "components: cloudpub, billing" in run("migrate", "status", *OURS).stderr
    assert json.loads(run("migrate", "status", "--json").stdout)["components"] == ["cloudpub"]


def test_a_table_that_no_component_has(run: Run, data_url: str) -> None:
    result = run("find", "api_keys")
    assert result.exit_code == 2
    assert "expected a table; got 'api_keys'" in result.stderr
    assert "did you mean 'api_keys'?" in " ".join(run("find", "api_key", *OURS).stderr.replace("│", "").split())


def test_pyproject_names_them(run: Run, shop: Managers, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace / "pyproject.toml").write_text('[tool.cloudpub]\ncomponents = ["tests.cli.billing:component"]\n')
    assert run("count", "charges").stdout == "2\n"
    # Named twice, it is still one.
    assert run("count", "charges", *OURS).stdout == "2\n"


def test_a_module_beside_pyproject_is_found(run: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (workplace / "pyproject.toml").write_text('[tool.cloudpub]\ncomponents = ["of_their_own_2f1c:component"]\n')
    (workplace / "of_their_own_2f1c.py").write_text(
        "from cloudpub_models import Component\ncomponent = Component('own')\n"
    )
    below = workplace / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    result = run("migrate", "status", "--json", "--database", "sqlite:///:memory:")
    assert json.loads(result.stdout)["components"] == ["cloudpub", "own"]


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (
            '[tool.cloudpub]\ncomponents = ["nowhere_3b:component"]\n',
            "expected a component at 'nowhere_3b:component'; got none",
        ),
        ('[tool.cloudpub]\ncomponents = ["json:loads"]\n', "expected a component at 'json:loads'; got a function"),
        ('[tool.cloudpub]\ncomponents = "billing"\n', "got 'billing'"),
        ("[tool.cloudpub\n", "expected TOML in"),
    ],
)
@pytest.mark.parametrize("command", [("find", "users"), ("doctor",), ("migrate", "up"), ("schema",)], ids=" ".join)
def test_a_broken_one_is_an_error_that_names_it(
    run: Run, workplace: Path, command: tuple[str, ...], content: str, answer: str
) -> None:
    (workplace / "pyproject.toml").write_text(content)
    result = run(*command, "--database", "sqlite:///:memory:")
    assert result.exit_code == 1
    assert answer in result.stderr
    assert "pyproject.toml" in result.stderr
    assert talk(result).count("\n") == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("module", "answer"),
    [
        ("a, b = Component('own'), Component('own')", "expected a name of its own for each component; got 'own' twice"),
        ("a, b = Component('own', [Row]), Component('more', [Row])", "got 'rows' in the components 'own' and 'more'"),
        (
            "a, b = Component('own', after=['more']), Component('more', after=['own'])",
            "expected components that do not wait for each other; got the circle own → more → own",
        ),
        ("a, b = Component('own', after=['gone']), Component('more')", "expected the component 'gone', since 'own'"),
        ("a, b = Component('own', [Keyless, Line]), Component('more')", "expected a key of one column in 'keyless'"),
        ("a, b = Component('own', [Users]), Component('more')", "got 'users' in the components 'cloudpub' and 'own'"),
    ],
)
@pytest.mark.parametrize("command", [("find", "users"), ("migrate", "up"), ("schema",), ("doctor",)], ids=" ".join)
def test_components_that_do_not_fit_together_are_one_line_and_nothing_is_done(
    run: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], module: str, answer: str
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "misfits_5e", raising=False)
    (workplace / "misfits_5e.py").write_text(f"{MISFITS}\n{module}\n")
    (workplace / "pyproject.toml").write_text('[tool.cloudpub]\ncomponents = ["misfits_5e:a", "misfits_5e:b"]\n')
    result = run(*command, "--database", "sqlite:///none.db")
    monkeypatch.delitem(sys.modules, "misfits_5e", raising=False)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert answer in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (workplace / "none.db").exists()


def test_a_table_without_a_key_in_every_command(run: Run, data_url: str, workplace: Path) -> None:
    database = Database(data_url)
    database.raw_execute("CREATE TABLE tags (name VARCHAR(20) NOT NULL, note TEXT)")
    database.close()
    option = ("--component", "tests.cli.keyless:component")
    assert run("load", "tags", "-", *option, stdin='{"name": "a"}\n{"name": "b"}').exit_code == 0
    assert rows_of(run("find", "tags", "--json", *option)) == [{"name": "a", "note": None}, {"name": "b", "note": None}]
    assert json.loads(run("show", "tags", "b", "--json", *option).stdout) == {"name": "b", "note": None}
    assert run("count", "tags", "name=a", *option).stdout == "1\n"
    assert len(rows_of(run("dump", "tags", *option))) == 2
    updating = run("load", "tags", "-", "--on-conflict", "update", *option, stdin='{"name": "a"}')
    assert updating.exit_code == 2
    assert "expected --key NAME,…, since tags has no key" in " ".join(updating.stderr.replace("│", " ").split())
    assert run("migrate", "check", *option).exit_code == 0
    assert run("doctor", *option).exit_code == 0
    assert "CREATE TABLE tags" in run("schema", "--format", "sql", *option).stdout.replace('"', "")


def test_a_component_whose_module_raises_is_named(run: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (workplace / "raising_77.py").write_text("1 / 0\n")
    result = run("count", "users", "--component", "raising_77:component", "--database", "sqlite:///:memory:")
    assert result.exit_code == 1
    assert "got none: ZeroDivisionError: division by zero" in result.stderr
