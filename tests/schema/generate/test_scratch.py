"""What scripts make and what models ask for is read from SQLite without losing a type, a length or a name."""

from __future__ import annotations

from pathlib import Path

import peewee
import pytest

from cloudpub_models import entity
from cloudpub_models.component import Component
from cloudpub_models.entity.fields import RANDOM_UUID, UTC_NOW, ServerDefault
from cloudpub_models.errors import MigrationError
from cloudpub_models.platform.component import component as platform
from cloudpub_models.schema.generate.difference import Answers, steps_between
from cloudpub_models.schema.generate.scratch import ScratchDatabase, read_tables, replay, tables_of_models
from cloudpub_models.schema.generate.steps import Steps


class Everything(entity.Entity):
    id = entity.BigAutoField()
    key = entity.UuidField(unique=True)
    short = entity.CharField(max_length=7)
    fixed = entity.FixedCharField(max_length=3)
    text = entity.TextField()
    small = entity.SmallIntegerField()
    whole = entity.IntegerField()
    large = entity.BigIntegerField()
    truth = entity.BooleanField(constraints=[entity.Default("TRUE")])
    single = entity.FloatField()
    twice = entity.DoubleField()
    price = entity.DecimalField(max_digits=12, decimal_places=3)
    day = entity.DateField()
    hour = entity.TimeField()
    moment = entity.TimestampField(touched_on_update=True)
    naive = peewee.DateTimeField()
    document = entity.JsonField(null=True)
    raw = entity.BlobField()
    raw_key = peewee.BinaryUUIDField()

    class Meta:
        table_name = "everything"


TYPES = (
    "bigint uuid varchar(7) char(3) text smallint integer bigint boolean real double decimal(12,3) date time "
    "timestamp datetime json blob|uuid bytes"
)


def test_no_type_is_lost() -> None:
    (table,) = tables_of_models([Everything]).values()
    types = [column.type for column in table.columns.values()]
    assert " ".join(types[:-2]) + " " + "|".join(types[-2:]) == TYPES
    assert all(column.is_type_certain for column in table.columns.values())
    assert [name for name, column in table.columns.items() if column.counts] == ["id"]
    assert [name for name, column in table.columns.items() if column.nullable] == ["document"]
    assert table.columns["key"].default == RANDOM_UUID
    assert table.columns["moment"].default == UTC_NOW
    assert table.columns["truth"].default == ServerDefault("TRUE", "TRUE")
    assert table.touched == ("moment",)


def test_the_platforms_own_scripts_make_what_its_models_say() -> None:
    database = ScratchDatabase()
    replay(database, platform)
    wanted = tables_of_models(platform.models)
    made = read_tables(database)
    database.close()
    assert made.keys() == wanted.keys()
    # Its scripts have SQL text for SQLite, which knows no UUIDs.
    assert made["users"].columns["uuid"].type == "text"
    assert not made["users"].columns["uuid"].is_type_certain
    assert steps_between(made, wanted, Steps(), Answers()) == []


def test_names_of_constraints_that_were_given_none_are_postgresqls() -> None:
    database = ScratchDatabase()
    database.execute_sql(
        "CREATE TABLE t (a INTEGER CHECK (a > 0) REFERENCES u (id), b TEXT UNIQUE, c INT, CHECK (a < 9), "
        "CHECK (a > c), UNIQUE (a, c), CONSTRAINT own CHECK (c > 1), FOREIGN KEY (a, c) REFERENCES v (x, y))"
    )
    table = read_tables(database)["t"]
    database.close()
    assert [(check.name, check.expression) for check in table.checks] == [
        ("t_a_check", "a > 0"),
        ("t_a_check1", "a < 9"),
        ("t_check", "a > c"),
        ("own", "c > 1"),
    ]
    assert {(unique.name, unique.columns) for unique in table.uniques} == {
        ("t_b_key", ("b",)),
        ("t_a_c_key", ("a", "c")),
    }
    assert {(key.name, key.columns, key.table, key.referenced) for key in table.references} == {
        ("t_a_fkey", ("a",), "u", ("id",)),
        ("t_a_c_fkey", ("a", "c"), "v", ("x", "y")),
    }


def test_indexes_keep_their_condition_and_their_expressions() -> None:
    class Bill(entity.Entity):
        paid = entity.BooleanField()
        name = entity.TextField()

        class Meta:
            table_name = "bills"

    Bill.add_index(Bill.index(Bill.name).where(Bill.paid == True))  # type: ignore[attr-defined] # noqa: E712
    Bill.add_index(Bill.index(peewee.fn.LOWER(Bill.name), unique=True, name="low"))  # type: ignore[attr-defined]
    some, low = tables_of_models([Bill])["bills"].indexes
    assert (some.columns, some.where, some.unique) == (("name",), '("paid" = TRUE)', False)
    assert (low.columns, low.keys, low.where, low.unique) == (None, 'LOWER("name")', None, True)


def test_a_script_that_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "0001_broken.py").write_text("def up(migrator, db):\n    db.execute_sql('CREATE EXTENSION x')\n")
    database = ScratchDatabase()
    with pytest.raises(MigrationError, match="empty SQLite database; got billing.0001_broken: OperationalError: near"):
        replay(database, Component("billing", migrations=tmp_path))
    database.close()


def test_a_model_in_a_schema_is_refused() -> None:
    class Elsewhere(entity.Entity):
        class Meta:
            schema = "other"

    with pytest.raises(
        MigrationError,
        match="expected models without a schema; got Elsewhere with 'other': give it a component of its own",
    ):
        tables_of_models([Elsewhere])
