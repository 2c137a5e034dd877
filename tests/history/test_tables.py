"""How rows are told apart in the log."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import peewee
import pytest

from cloudpub_models import Database, Function
from cloudpub_models.entity import Entity, UuidField
from cloudpub_models.history.tables import RecordedTable, key_from, key_of, recorded_table, tracked


class Voucher(Entity):
    code = UuidField(primary_key=True)


class Seat(Entity):
    hall = peewee.CharField()
    number = peewee.IntegerField()

    class Meta:
        primary_key = peewee.CompositeKey("hall", "number")


CODE = UUID("5b70dc7c-d900-41eb-a1fd-3dc2d9d74a85")


@pytest.mark.parametrize(("model", "key"), [(Function, 7), (Voucher, CODE), (Seat, ("ö\"'", 3))])
def test_a_key_is_the_same_again(database: Database, model: Any, key: Any) -> None:
    table = recorded_table(database.engine, model)
    assert key_from(table, model, *key_of(database.engine, table, model, key)) == key


def test_what_the_triggers_need_to_know(database: Database) -> None:
    table = recorded_table(database.engine, Function)
    modelled = tuple(field.column_name for field in Function._meta.sorted_fields)
    assert table == RecordedTable("functions", table.columns, modelled, ("id",), True, ("updated_at",), ())


def test_which_tables_are_tracked(database: Database) -> None:
    assert {model._meta.table_name for model in set(database.models) - set(tracked(database.models))} == {
        "function_logs",
        "function_invocations",
    }
