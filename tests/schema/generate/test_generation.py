"""A script that was written for a change of models makes that change, loses no row, and takes it back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peewee
import pytest

from cloudpub_models import Database
from cloudpub_models.component import Component
from cloudpub_models.entity.binding import sql_dialect_of
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

# Pairs of models: 240 on SQLite, 24 on PostgreSQL.
SEEDS = {"sqlite": [range(start, start + 30) for start in range(0, 240, 30)], "postgresql": [range(24)]}


def generated(
    component: Component,
    renames: dict[str, str],
    *,
    allows_destruction: bool,
    database: peewee.Database | None = None,
) -> GeneratedScript:
    """Write a script, and answer what it asks as somebody would who knows what was renamed."""
    answers = Answers(dict(renames), allows_destruction=allows_destruction)
    while True:
        try:
            return generate_script(component, [component], "change", answers, database)
        except UnansweredError as question:
            answers.renames[question.candidates[0].place] = ""
        except MissingValueError as question:
            answers.defaults[f"{question.table}.{question.column}"] = GIVEN.get(question.type, "5")


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


@pytest.mark.parametrize("seeds", SEEDS["sqlite"], ids=str)
def test_random_changes_on_sqlite(seeds: range, tmp_path: Path) -> None:
    for seed in seeds:
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


@pytest.mark.parametrize("seeds", SEEDS["postgresql"], ids=str)
def test_random_changes_on_postgresql(seeds: range, tmp_path: Path, postgresql_databases: DatabaseMaker) -> None:
    with postgresql_databases() as url:
        for seed in seeds:
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
