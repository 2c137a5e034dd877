"""The statements of a report run as they are, whatever tables, columns and expressions are called."""

from __future__ import annotations

import peewee
import pytest

from cloudpub_models.entity import AutoField, CharField, Entity, ForeignKey, IntegerField, TimestampField, UuidField
from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.schema import create_all, find_drift


class Group(Entity):
    """A table with a reserved word for its name."""

    id = AutoField()

    class Meta:
        table_name = "group"


class Order(Entity):
    """Reserved words, capitals, blanks and quotes in every place."""

    id = AutoField()
    uuid = UuidField(unique=True)
    user = CharField(max_length=20)
    select = IntegerField(default=0, constraints=[peewee.Default("0")])
    first_name = CharField()
    last_name = CharField()
    weird = CharField(column_name='We"ird Name', null=True, index=True)
    group = ForeignKey(Group, column_name="from", null=True)
    changed = TimestampField(column_name="when", touched_on_update=True)

    class Meta:
        table_name = "order"
        indexes = (
            (("user", "select"), True),
            peewee.Index("order by name", "order", ("(first_name || last_name)", '"We""ird Name"')),
        )
        constraints = (peewee.Check("(first_name || last_name) <> ''", "order name"),)


MODELS = (Group, Order)
ON_BOTH = [
    'DROP TABLE "order"',
    'DROP INDEX "order by name"',
    'DROP INDEX "order_from_idx"',
    'ALTER TABLE "order" DROP COLUMN "select"',
]
ON_POSTGRESQL = [
    'ALTER TABLE "order" DROP COLUMN "We""ird Name"',
    'ALTER TABLE "order" DROP COLUMN uuid',
    'ALTER TABLE "order" DROP COLUMN "from"',
    'DROP TRIGGER order_set_when ON "order"; ALTER TABLE "order" DROP COLUMN "when"',
    'ALTER TABLE "order" DROP COLUMN id',
    'ALTER TABLE "order" ALTER COLUMN "select" DROP DEFAULT',
    'ALTER TABLE "order" ALTER COLUMN "select" SET DEFAULT 5',
    'ALTER TABLE "order" ALTER COLUMN "user" SET DEFAULT 5',
    'ALTER TABLE "order" ALTER COLUMN "user" DROP NOT NULL',
    'ALTER TABLE "order" ALTER COLUMN "user" TYPE TEXT',
    'DROP TRIGGER order_set_when ON "order"; ALTER TABLE "order" ALTER COLUMN "when" TYPE TIMESTAMPTZ',
    'ALTER TABLE "order" ALTER COLUMN id DROP DEFAULT',
    'ALTER TABLE "order" DROP CONSTRAINT order_pkey',
    'ALTER TABLE "order" DROP CONSTRAINT order_user_select_key',
    'ALTER TABLE "order" DROP CONSTRAINT order_from_fkey',
    'ALTER TABLE "order" DROP CONSTRAINT "order name"',
    'ALTER TABLE "order" DROP CONSTRAINT "order name", ADD CONSTRAINT "order name" CHECK ("user" <> \'\')',
    'ALTER TABLE "order" ADD COLUMN "else" TEXT NOT NULL',
    'DROP TRIGGER order_set_when ON "order"',
    "CREATE OR REPLACE FUNCTION cloudpub_set_when() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$",
]
ON_SQLITE = [
    'DROP TRIGGER "order_set_when"',
    'DROP TRIGGER "order_set_when"; CREATE TRIGGER order_set_when AFTER UPDATE ON "order" BEGIN SELECT 1; END',
]


@pytest.fixture
def made(empty: peewee.Database) -> peewee.Database:
    create_all(empty, MODELS)
    assert find_drift(empty, MODELS) == []
    return empty


@pytest.mark.parametrize("change", ON_BOTH)
def test_on_both(made: peewee.Database, change: str) -> None:
    if change.endswith('"select"') and not sql_dialect_of(made).alters_tables:
        pytest.skip("SQLite drops no column of a UNIQUE constraint")
    assert_mended(made, change)


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
@pytest.mark.parametrize("change", ON_POSTGRESQL)
def test_on_postgresql(made: peewee.Database, change: str) -> None:
    assert_mended(made, change)


@pytest.mark.parametrize("connect", ["sqlite"], indirect=True)
@pytest.mark.parametrize("change", ON_SQLITE)
def test_on_sqlite(made: peewee.Database, change: str) -> None:
    assert_mended(made, change)


def assert_mended(database: peewee.Database, change: str) -> None:
    head, separator, rest = change.partition("; ")
    for statement in (head, rest) if separator and "CREATE TRIGGER" in rest else (change,):
        database.execute_sql(statement)
    assert find_drift(database, MODELS)
    for difference in find_drift(database, MODELS):
        for statement in difference.statements:
            database.execute_sql(statement)
    assert find_drift(database, MODELS) == []


def test_only_what_sqlite_can_add_is_proposed(empty: peewee.Database) -> None:
    create_all(empty, MODELS)
    if sql_dialect_of(empty).alters_tables:
        empty.execute_sql('ALTER TABLE "order" DROP COLUMN uuid, DROP COLUMN "We""ird Name"')
    else:
        empty.execute_sql('DROP TABLE "order"')
        empty.execute_sql(
            'CREATE TABLE "order" (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "user" VARCHAR(20) NOT NULL, '
            '"select" INTEGER NOT NULL DEFAULT 0, first_name VARCHAR(255) NOT NULL, last_name VARCHAR(255) NOT NULL, '
            '"from" INTEGER, "when" TIMESTAMP NOT NULL)'
        )
    proposed = {
        difference.subject: difference.statements
        for difference in find_drift(empty, MODELS)
        if difference.kind == "column"
    }
    if sql_dialect_of(empty).alters_tables:
        assert proposed == {
            "uuid": ('ALTER TABLE "order" ADD COLUMN uuid UUID NOT NULL DEFAULT gen_random_uuid();',),
            'We"ird Name': ('ALTER TABLE "order" ADD COLUMN "We""ird Name" VARCHAR(255);',),
        }
    else:
        # A default that is no constant takes making the table anew.
        assert proposed == {"uuid": (), 'We"ird Name': ('ALTER TABLE `order` ADD COLUMN `We"ird Name` VARCHAR(255);',)}
