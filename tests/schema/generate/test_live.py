"""The tables of a database that lives are known as if scripts had made them, in words that both databases take."""

from __future__ import annotations

from pathlib import Path

import peewee
import pytest

from cloudpub_models import entity
from cloudpub_models.component import Component
from cloudpub_models.entity.fields import RANDOM_UUID, UTC_NOW, ServerDefault
from cloudpub_models.errors import MigrationError
from cloudpub_models.platform.component import component as platform
from cloudpub_models.schema.catalogue.read import read_catalogue
from cloudpub_models.schema.drift.definition import create_all
from cloudpub_models.schema.generate.difference import Answers, steps_between
from cloudpub_models.schema.generate.generation import generate_script
from cloudpub_models.schema.generate.live import scratch_of
from cloudpub_models.schema.generate.scratch import read_tables, tables_of_models
from cloudpub_models.schema.generate.steps import Steps
from tests.schema.generate.test_scratch import Everything


class Bill(entity.Entity):
    id = entity.AutoField()
    total = entity.IntegerField(constraints=[entity.Check("total > 0 AND total <> 13")])
    level = entity.CharField(max_length=20, constraints=[entity.Check("level IN ('low', 'high')")])

    class Meta:
        table_name = "bills"


@pytest.mark.usefixtures("keys_of_models")
def test_what_a_database_has_is_what_its_models_say(migrated: peewee.Database) -> None:
    create_all(migrated, [Everything])
    models = [*platform.models, Everything]
    wanted = tables_of_models(models)
    before = read_catalogue(migrated)
    scratch = scratch_of(migrated, models, wanted, wanted)
    found = {name: table for name, table in read_tables(scratch).items() if name in wanted}
    scratch.close()
    assert found.keys() == wanted.keys()
    assert steps_between(found, wanted, Steps(), Answers()) == []
    assert read_catalogue(migrated) == before


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_words_of_the_server_become_words_for_both(empty: peewee.Database) -> None:
    empty.execute_sql(
        "CREATE TABLE bills (id BIGSERIAL PRIMARY KEY, uuid UUID DEFAULT gen_random_uuid(), price NUMERIC(9, 2), "
        "total INTEGER DEFAULT 7 CONSTRAINT odd CHECK (total > 0), level VARCHAR(9) DEFAULT 'low', "
        "at TIMESTAMP DEFAULT (now() AT TIME ZONE 'utc'), letters CHAR(3), data JSONB, "
        "CHECK (level IN ('low', 'top')), UNIQUE (total, level))"
    )
    empty.execute_sql("CREATE INDEX low ON bills (lower(level)) WHERE level <> 'x'")
    scratch = scratch_of(empty, [Bill], tables_of_models([Bill]), ["bills"])
    table = read_tables(scratch)["bills"]
    scratch.close()
    assert [column.type for column in table.columns.values()] == [
        *("bigint", "uuid", "decimal(9,2)", "integer", "varchar(9)", "timestamp", "char(3)", "json")
    ]
    assert [column.default for column in table.columns.values()] == [
        *(None, RANDOM_UUID, None, ServerDefault("7", "7"), ServerDefault("'low'", "'low'"), UTC_NOW, None, None)
    ]
    assert table.columns["id"].counts
    assert [(check.name, check.expression) for check in table.checks] == [
        ("bills_level_check", "level IN ('low', 'top')"),
        ("odd", "total > 0"),
    ]
    (index,) = table.indexes
    assert (index.name, index.columns, index.where) == ("low", None, "level <> 'x'")
    assert [(unique.name, unique.columns) for unique in table.uniques] == [
        ("bills_total_level_key", ("total", "level"))
    ]


def component(directory: Path, script: str) -> Component:
    directory.joinpath("0001_bills.py").write_text(script)
    return Component("billing", [Bill], directory)


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_scripts_for_postgresql_alone_are_no_obstacle(empty: peewee.Database, tmp_path: Path) -> None:
    from cloudpub_models.schema import Migrator, find_drift

    billing = component(
        tmp_path,
        "def up(migrator, db):\n"
        "    db.execute_sql('CREATE TABLE bills (id SERIAL PRIMARY KEY, total INT NOT NULL CHECK (total > 0))')\n"
        "    db.execute_sql('ALTER TABLE bills ALTER COLUMN total SET STATISTICS 100')\n"
        "def down(migrator, db):\n"
        "    db.execute_sql('DROP TABLE bills')\n",
    )
    with pytest.raises(MigrationError, match="all migrations of 'billing' are applied to; got one where billing.0001"):
        generate_script(billing, [billing], "levels", None, empty)
    Migrator(empty, billing).up()
    with pytest.raises(MigrationError, match="an empty SQLite database; got billing.0001_bills: OperationalError"):
        generate_script(billing, [billing], "levels")
    answers = Answers(defaults={"level": "low"})
    script = generate_script(billing, [billing], "levels", answers, empty)
    assert script.changes == (
        "drop the check bills_total_check",
        "add bills.level",
        "add the check bills_total_check",
        "add the check bills_level_check",
    )
    (tmp_path / "0002_levels.py").write_text(str(script.text))
    Migrator(empty, billing).up()
    assert find_drift(empty, billing.models) == []
    assert generate_script(billing, [billing], "again", None, empty).text is None
    Migrator(empty, billing).down()
    assert [check.expression for check in read_catalogue(empty).tables["bills"].checks] == ["total > 0"]


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_table_that_sqlite_cannot_have_is_named(empty: peewee.Database) -> None:
    empty.execute_sql("CREATE TABLE odd (id SERIAL PRIMARY KEY, a TEXT CHECK (a ~ '^x'))")
    with pytest.raises(MigrationError, match='expected tables that SQLite can have too; got .* in CREATE TABLE "odd"'):
        scratch_of(empty, [Bill], tables_of_models([Bill]), ["odd"])
    scratch_of(empty, [Bill], tables_of_models([Bill]), ["bills"]).close()
