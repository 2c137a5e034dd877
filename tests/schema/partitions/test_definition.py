"""What a table has is read in a form in which another one takes it."""

from __future__ import annotations

import pytest

from cloudpub_models import Database, errors
from cloudpub_models.schema.partitions.definition import (
    constraints_of,
    indexes_of,
    keys_of,
    require_partitionable,
    rest_of,
    send,
    triggers_of,
)
from cloudpub_models.schema.partitions.statements import PartitionedTable

THINGS = PartitionedTable("Things", "made_at")


@pytest.fixture
def things(database: Database) -> Database:
    """A table whose names have to be quoted."""
    for statement in (
        'CREATE TABLE "Things" ("Id" SERIAL PRIMARY KEY, code TEXT UNIQUE, made_at TIMESTAMP NOT NULL, '
        "function_id INTEGER REFERENCES functions (id), CONSTRAINT \"not %\" CHECK (code <> '100%'))",
        'CREATE UNIQUE INDEX "Once" ON "Things" (made_at, lower(code)) WHERE code LIKE \'%x\'',
        "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        'CREATE TRIGGER "Seen" BEFORE INSERT ON "Things" FOR EACH ROW EXECUTE FUNCTION seen()',
        "COMMENT ON INDEX \"Once\" IS '100%'",
    ):
        database.raw_execute(statement)
    return database


def test_keys_have_the_column_of_the_partitions(things: Database) -> None:
    primary, unique = keys_of(things.engine, THINGS)
    assert (primary.own_columns, primary.columns) == (("Id",), ("Id", "made_at"))
    assert unique.statement("t", "n") == "ALTER TABLE t ADD CONSTRAINT n UNIQUE (code, made_at)"


def test_what_is_read_of_one_is_given_to_another(things: Database) -> None:
    things.raw_execute('CREATE TABLE another (LIKE "Things")')
    (index,), constraints = indexes_of(things.engine, THINGS), constraints_of(things.engine, THINGS)
    assert index.statement("another", "n").startswith("CREATE UNIQUE INDEX n ON another USING btree (made_at, lower(")
    for statement in (index.statement("another", "n"), *(each.statement("another") for each in constraints)):
        send(things.engine, statement)
    another = PartitionedTable("another", "made_at")
    assert constraints_of(things.engine, another) == constraints
    assert [each.is_reference for each in constraints] == [False, True]
    assert indexes_of(things.engine, another) == [index._replace(name="n")]


def test_what_goes_with_the_name(things: Database) -> None:
    assert list(triggers_of(things.engine, THINGS)) == ["Seen"]
    rest = rest_of(things.engine, THINGS)
    assert 'ALTER SEQUENCE "Things_Id_seq" OWNED BY "Things"."Id"' in rest
    assert "COMMENT ON INDEX \"Once\" IS '100%'" in rest
    for statement in rest:
        send(things.engine, statement)
    assert rest_of(things.engine, THINGS) == rest


def test_what_is_in_the_way_is_named(things: Database) -> None:
    require_partitionable(things.engine, THINGS)
    things.raw_execute('ALTER TABLE "Things" ENABLE ALWAYS TRIGGER "Seen"')
    require_partitionable(things.engine, THINGS, ["Seen"])
    with pytest.raises(errors.ConfigurationError, match='got Things with the trigger "Seen", which is not simply'):
        require_partitionable(things.engine, THINGS)
