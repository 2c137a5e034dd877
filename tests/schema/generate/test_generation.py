"""A script that was written for a change of models makes that change, loses no row, and takes it back."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import peewee
import pytest

from cloudpub_models import Database, entity
from cloudpub_models.component import Component
from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema import Migrator, find_drift, read_catalogue
from cloudpub_models.schema.catalogue.catalogue import Catalogue
from cloudpub_models.schema.generate.difference import Answers, MissingValueError
from cloudpub_models.schema.generate.generation import GeneratedScript, generate_script
from cloudpub_models.schema.generate.renames import UnansweredError
from cloudpub_models.schema.migrations.scripts import write_script
from tests.conftest import DatabaseMaker
from tests.schema.generate.models import (
    GIVEN,
    Schema,
    changed,
    in_order,
    models_of,
    random_schema,
    rows_of,
    stored_name,
)


def generated(
    component: Component,
    renames: dict[str, str],
    *,
    allows_destruction: bool,
    database: peewee.Database | None = None,
) -> GeneratedScript:
    """Write a script, and answer what it asks as somebody would who knows what was renamed."""
    answers = Answers(dict(renames), allows_destruction=allows_destruction)
    for _ in range(1_000):
        try:
            return generate_script(component, [component], "change", answers, database)
        except UnansweredError as question:
            answers.renames[question.candidates[0].place] = ""
        except MissingValueError as question:
            answers.defaults[f"{question.table}.{question.column}"] = GIVEN.get(question.type, "5")
    pytest.fail("it asks what was answered")


Contents = dict[str, dict[str, list[str]]]


def fill(database: peewee.Database, schema: Schema) -> None:
    quote, mark = sql_dialect_of(database).quote, database.param
    for name in in_order(schema):
        for row in rows_of(schema, name):
            columns = ", ".join(map(quote, row))
            marks = ", ".join([mark] * len(row))
            database.execute_sql(f"INSERT INTO {quote(name)} ({columns}) VALUES ({marks})", tuple(row.values()))


def contents(database: peewee.Database, tables: Sequence[str]) -> Contents:
    """Return the values of each column of each table, as text that does not depend on the column's type."""
    found: Contents = {}
    for table in tables:
        cursor = database.execute_sql(f'SELECT * FROM "{table}" ORDER BY 1')
        names = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
        found[table] = {name: sorted(plain(row[place]) for row in rows) for place, name in enumerate(names)}
    return found


def plain(value: Any) -> str:
    if isinstance(value, bool | memoryview | bytes):
        return str(bytes(value) if not isinstance(value, bool) else int(value))
    text = str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def normal(catalogue: Catalogue) -> Any:
    """Return a catalogue in which it does not count in what order columns and constraints were made."""
    return {
        name: (
            dict(table.columns),
            table.primary_key,
            {frozenset(unique.columns) for unique in table.uniques},
            {(index.columns, index.partial) for index in table.indexes},
            {(key.columns, key.table, key.referenced, key.on_delete, key.on_update) for key in table.foreign_keys},
            {check.expression for check in table.checks},
            set(table.triggers),
        )
        for name, table in catalogue.tables.items()
        if name != "cloudpub_migrations"
    }


def one_pair(seed: int, database: peewee.Database, directory: Path) -> str:
    """Change models at random and have the change made; return what was done, for the message of a failure."""
    chance = random.Random(seed)
    first = random_schema(chance)
    second, renames = changed(chance, first)
    allows_destruction = chance.random() < 0.6
    places = {}
    for place, new in renames.items():
        table, _, column = place.partition(".")
        if column and column not in first[table].columns:
            continue
        owner = next((name for name in second if new in second[name].columns), None)
        if column and owner is None:
            continue
        old_name = f"{table}.{stored_name(first, table, column)}" if column else place
        places[old_name] = stored_name(second, str(owner), new) if column else new
    before, after = (Component("own", models, directory) for models in (models_of(first), models_of(second)))
    script = generated(before, {}, allows_destruction=False)
    write_script(before, "make", script.text)
    Migrator(database, before).up()
    assert find_drift(database, before.models) == []
    fill(database, first)
    old, rows = normal(read_catalogue(database)), contents(database, list(first))

    # Now and then from the tables that are there, where those tell all types, and not from those that the scripts make.
    living = database if seed % 3 == 0 and sql_dialect_of(database).alters_tables else None
    script = generated(after, places, allows_destruction=allows_destruction, database=living)
    if script.text is None:
        assert find_drift(database, after.models) == [] or script.kept_back
        return "nothing"
    write_script(after, "change", script.text)
    Migrator(database, after).up()
    drift = find_drift(database, after.models)
    assert drift == [] or any(change.startswith("change ") for change in script.kept_back)
    assert generated(after, {}, allows_destruction=allows_destruction).text is None
    assert generated(after, {}, allows_destruction=allows_destruction, database=database).text is None
    require_kept(rows, contents(database, after.tables), places, script)
    lasting = kept_columns(rows, contents(database, after.tables), places)

    if "this takes an empty table" in script.text:
        for name in reversed(in_order(second)):
            database.execute_sql(f'DELETE FROM "{name}"')
        lasting = {}
    Migrator(database, after).down()
    assert normal(read_catalogue(database)) == old
    require_kept(lasting, contents(database, list(first)), {}, script)
    return script.text


def kept_columns(before: Contents, after: Contents, places: dict[str, str]) -> Contents:
    """Return of what there was those tables and columns that are still there."""
    return {
        table: {
            name: values
            for name, values in columns.items()
            if places.get(f"{table}.{name}", name) in after[places.get(table, table)]
        }
        for table, columns in before.items()
        if places.get(table, table) in after
    }


def require_kept(
    before: Contents,
    after: Contents,
    places: dict[str, str],
    script: GeneratedScript,
) -> None:
    """Assert that no row is lost, and no value of a column that is there on both sides."""
    text = str(script.text)
    for table, columns in before.items():
        now = after.get(places.get(table, table))
        if now is None or f"drop_tables([{table.title()}])" in text:
            continue
        assert {len(values) for values in now.values()} == {len(values) for values in columns.values()}
        for column, values in columns.items():
            name = places.get(f"{table}.{column}", column)
            if name in now and not any(f'"{name}"' in line for line in text.splitlines() if "UPDATE" in line):
                assert now[name] == values, (table, column)


# What it runs is covered by other tests, and takes twice as long when coverage is measured.
@pytest.mark.no_cover
@pytest.mark.parametrize("first", [0, 1], ids=["even seeds", "odd seeds"])
def test_random_changes_on_sqlite(first: int, scale: Callable[[int, int], int], tmp_path: Path) -> None:
    for seed in range(first, scale(20, 1_000), 2):
        directory = tmp_path / str(seed)
        directory.mkdir()
        database = Database("sqlite:///:memory:", platform=False)
        try:
            one_pair(seed, database.engine, directory)
        except Exception as error:
            error.add_note(f"seed {seed}: {[path.read_text() for path in sorted(directory.glob('0*.py'))]}")
            raise
        finally:
            database.close()


@pytest.mark.no_cover
def test_random_changes_on_postgresql(
    scale: Callable[[int, int], int], tmp_path: Path, postgresql_databases: DatabaseMaker
) -> None:
    with postgresql_databases() as url:
        for seed in range(scale(6, 200)):
            directory = tmp_path / str(seed)
            directory.mkdir()
            database = Database(url, platform=False)
            try:
                one_pair(seed, database.engine, directory)
                database.engine.execute_sql("DROP SCHEMA public CASCADE")
                database.engine.execute_sql("CREATE SCHEMA public")
            except Exception as error:
                error.add_note(f"seed {seed}: {[path.read_text() for path in sorted(directory.glob('0*.py'))]}")
                raise
            finally:
                database.close()


def made(name: str, fields: dict[str, Any], **options: Any) -> type[peewee.Model]:
    meta = type("Meta", (), {"table_name": name, **options})
    return type(name.title(), (entity.Entity,), {"id": entity.AutoField(), **fields, "Meta": meta})


def bills(**fields: Any) -> list[type[peewee.Model]]:
    return [made("bills", {"total": entity.IntegerField(), **fields})]


def test_what_is_commented_out_works_once_the_marks_are_away(empty: peewee.Database, tmp_path: Path) -> None:
    key = entity.ForeignKey(
        "self", null=True, column_name="parent_id", constraint_name="bills_parent_id_fkey", backref="+"
    )
    old = [
        made(
            "bills",
            {
                "total": entity.BigIntegerField(constraints=[entity.Check("total > 0"), entity.Default("7")]),
                "code": entity.CharField(max_length=20, unique=True),
                "note": entity.TextField(),
                "parent": key,
            },
        ),
        made("notes", {"text": entity.TextField()}),
    ]
    new = [
        made("bills", {"total": entity.SmallIntegerField(constraints=[entity.Check("total > 0"), entity.Default("7")])})
    ]
    before, after = Component("own", old, tmp_path), Component("own", new, tmp_path)
    write_script(before, "make", generated(before, {}, allows_destruction=False).text)
    Migrator(empty, before).up()
    empty.execute_sql("INSERT INTO bills (total, code, note) VALUES (5, 'a', 'n'), (6, 'b', 'n')")
    schema = normal(read_catalogue(empty))
    script = generated(after, {}, allows_destruction=False)
    assert sorted(script.kept_back) == [
        "add the check bills_total_check",
        "change bills.total from bigint to smallint",
        "drop bills.code",
        "drop bills.note",
        "drop bills.parent_id",
        "drop notes",
        "drop the check bills_total_check",
    ]
    assert script.changes == ("allow NULL in bills.code", "allow NULL in bills.note")
    code = re.sub(r'(?m)^( +)# (?= *(migrator\.|db\.|\)|"|[a-z_]+=))', r"\1", str(script.text))
    write_script(after, "change", code)
    Migrator(empty, after).up()
    assert find_drift(empty, new) == []
    assert normal(read_catalogue(empty)).keys() == {"bills"}
    assert [tuple(row) for row in empty.execute_sql("SELECT * FROM bills ORDER BY id").fetchall()] == [(1, 5), (2, 6)]
    assert generated(after, {}, allows_destruction=True).text is None
    empty.execute_sql("DELETE FROM bills")
    Migrator(empty, after).down()
    assert normal(read_catalogue(empty)) == schema


def test_references_in_a_circle(empty: peewee.Database, tmp_path: Path) -> None:
    class Team(entity.Entity):
        id = entity.AutoField()
        lead = entity.forward_foreign_key("Person", null=True, on_delete="SET NULL")

        class Meta:
            table_name = "teams"

    class Person(entity.Entity):
        id = entity.BigAutoField()
        team = entity.ForeignKey(Team, on_delete="CASCADE")

        class Meta:
            table_name = "people"

    component = Component("own", [Team, Person], tmp_path)
    write_script(component, "make", generated(component, {}, allows_destruction=False).text)
    Migrator(empty, component).up()
    assert find_drift(empty, component.models) == []
    gone = Component("own", [], tmp_path)
    script = generated(gone, {}, allows_destruction=True)
    write_script(gone, "drop", script.text)
    Migrator(empty, gone).up()
    assert normal(read_catalogue(empty)) == {}
    Migrator(empty, gone).down()
    assert find_drift(empty, component.models) == []
    Migrator(empty, gone).down()
    assert normal(read_catalogue(empty)) == {}


def test_a_percent_sign_is_no_parameter(empty: peewee.Database, tmp_path: Path) -> None:
    first = Component("own", bills(), tmp_path)
    write_script(first, "make", generated(first, {}, allows_destruction=False).text)
    check = entity.Check("code LIKE 'a%' AND total % 2 = 0", "even")
    (model,) = bills(code=entity.CharField(max_length=9, null=True, constraints=[check]))
    model.add_index(model.index(model.total, name="some").where(peewee.SQL("code LIKE 'b%'")))  # type: ignore[attr-defined]
    second = Component("own", [model], tmp_path)
    write_script(second, "more", generated(second, {}, allows_destruction=False).text)
    Migrator(empty, second).up()
    assert find_drift(empty, [model]) == []
    (index,) = read_catalogue(empty).tables["bills"].indexes
    assert (index.name, index.partial) == ("some", True)


def test_names_that_a_script_imports_are_no_classes_of_tables(tmp_path: Path) -> None:
    component = Component("own", [made("check", {"rank": entity.IntegerField()}), made("entity", {})], tmp_path)
    text = str(generated(component, {}, allows_destruction=False).text)
    assert "class Check_(Entity):" in text
    assert "class Entity_(Entity):" in text


def test_a_type_that_no_field_has_is_declared_in_the_script(tmp_path: Path) -> None:
    class CitextField(peewee.TextField):
        field_type = "CITEXT"

    component = Component("own", bills(name=CitextField()), tmp_path)
    text = str(generated(component, {}, allows_destruction=False).text)
    assert "from peewee import Field\n" in text
    assert 'class CitextField(Field):\n    field_type = "CITEXT"\n' in text
    assert "    name = CitextField()\n" in text


KEYS: dict[str, Any] = {
    "none": False,
    "one": peewee.CompositeKey("at"),
    "two": peewee.CompositeKey("at", "place"),
    "added": peewee.CompositeKey("at", "person"),
}


@pytest.mark.parametrize(
    ("old", "new"), [("one", "two"), ("two", "one"), ("none", "two"), ("two", "none"), ("two", "added")]
)
def test_a_key_of_other_columns_is_written_by_hand_as_the_message_says(
    empty: peewee.Database, tmp_path: Path, old: str, new: str
) -> None:
    def visits(key: str) -> Component:
        fields = {name: entity.IntegerField() for name in ("at", "place", *(["person"] if key == "added" else []))}
        changed_at = entity.TimestampField(touched_on_update=True)
        meta = type("Meta", (), {"table_name": "visits", "primary_key": KEYS[key]})
        model = type("Visit", (entity.Entity,), {**fields, "changed_at": changed_at, "Meta": meta})
        return Component("own", [model], tmp_path)

    before, after = visits(old), visits(new)
    write_script(before, "make", generated(before, {}, allows_destruction=False).text)
    Migrator(empty, before).up()
    empty.execute_sql("INSERT INTO visits (at, place) VALUES (1, 2), (3, 4)")
    with pytest.raises(MigrationError) as refused:
        generated(after, {}, allows_destruction=False)
    message = str(refused.value)
    assert "\n" not in message
    assert len(list(tmp_path.glob("0*.py"))) == 1
    operations = re.findall(r"migrator\.\w+\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", message)
    if "add and fill person" in message:
        operations.insert(0, 'migrator.add_column("visits", "person", IntegerField(default=7))')
    write_script(
        after,
        "key",
        "from cloudpub_models.entity import IntegerField\nfrom peewee import SQL\n"
        f"def up(migrator, db):\n    migrator.migrate({', '.join(operations)})\n",
    )
    Migrator(empty, after).up()
    rest = generated(after, {}, allows_destruction=False)
    assert rest.changes == ()
    assert find_drift(empty, after.models) == []
    assert empty.execute_sql("SELECT at, place FROM visits ORDER BY at").fetchall() == [(1, 2), (3, 4)]


def test_nothing_to_do(tmp_path: Path) -> None:
    component = Component("own", [], tmp_path)
    assert generate_script(component, [component], "nothing") == GeneratedScript(None)
