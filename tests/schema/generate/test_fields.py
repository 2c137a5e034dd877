"""Each type has its field, and what is typed for a column becomes a value of its type."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import entity
from cloudpub_models.entity.fields import RANDOM_UUID, UTC_NOW, ServerDefault
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.generate.fields import (
    Names,
    field_of_column,
    is_said_by_field,
    neutral_value,
    type_of_field,
    value_from_text,
)
from cloudpub_models.schema.generate.structure import ColumnState


def shown(kind: str, default: ServerDefault | None = None, *, nullable: bool = False, **options: Any) -> str:
    return str(field_of_column(ColumnState("a", kind, True, nullable, default), Names(), **options))


def test_fields_of_columns() -> None:
    assert shown("varchar(20)", nullable=True) == "CharField(max_length=20, null=True)"
    assert shown("decimal(12,3)") == "DecimalField(max_digits=12, decimal_places=3)"
    assert shown("integer", ServerDefault("7", "7")) == 'IntegerField(constraints=[Default("7")])'
    assert shown("timestamp", UTC_NOW) == "TimestampField()"
    assert shown("timestamp", UTC_NOW, touched=True) == "TimestampField(touched_on_update=True)"
    assert shown("timestamp") == "TimestampField(default=None, server_default=None)"
    assert shown("timestamp", nullable=True) == "TimestampField(null=True)"
    assert shown("uuid", RANDOM_UUID, unique=True) == "UuidField(unique=True)"
    assert shown("uuid", unique=True) == "UuidField(unique=True, default=None, server_default=None)"
    assert shown("uuid", ServerDefault("a()", "(b())")) == (
        'UuidField(server_default=ServerDefault(postgresql="a()", sqlite="(b())"))'
    )
    assert shown("uuid", RANDOM_UUID, is_key=True) == "UuidField(primary_key=True)"


def test_a_type_that_no_field_has_gets_one() -> None:
    names = Names()
    assert str(type_of_field("citext", names)) == "CitextField()"
    assert names.own == {"citext": "CitextField"}
    assert names.imported == {"peewee": {"Field"}}


def test_fields_are_imported_from_where_they_are() -> None:
    names = Names()
    for kind in ("datetime", "uuid", "uuid bytes"):
        type_of_field(kind, names)
    assert names.imported == {"peewee": {"DateTimeField", "BinaryUUIDField"}, "cloudpub_models.entity": {"UuidField"}}
    assert names.imported["cloudpub_models.entity"] <= set(entity.__all__)


def test_a_default_in_different_words_is_said_by_some_fields_only() -> None:
    different = ServerDefault("now()", "CURRENT_TIME")
    assert not is_said_by_field(ColumnState("a", "time", True, False, different))
    assert shown("time", different) == "TimeField()"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("bigint", "-7", -7),
        ("double", "0.5", 0.5),
        ("decimal(10, 2)", "1.50", "1.50"),
        ("boolean", "False", False),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("varchar(20)", "7", "7"),
        ("blob", "x", b"x"),
    ],
)
def test_values_that_are_typed(kind: str, text: str, value: object) -> None:
    assert value_from_text(kind, text, "t.c") == value


@pytest.mark.parametrize(
    ("kind", "text"), [("integer", "x"), ("boolean", "maybe"), ("json", "{"), ("decimal(9,1)", "-")]
)
def test_a_value_of_another_type_is_refused(kind: str, text: str) -> None:
    with pytest.raises(MigrationError, match=r"expected a value of type .* for t\.c; got"):
        value_from_text(kind, text, "t.c")


def test_every_type_but_unknown_ones_has_a_neutral_value() -> None:
    assert [kind for kind in ("uuid", "timestamp", "char(2)", "json", "blob") if neutral_value(kind) is None] == []
    assert neutral_value("point") is None
