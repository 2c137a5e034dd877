"""Two states are the same where the database could not tell them apart."""

from __future__ import annotations

import pytest

from cloudpub_models.entity.fields import UTC_NOW, ServerDefault
from cloudpub_models.schema.generate.structure import (
    CheckState,
    ColumnState,
    IndexState,
    ReferenceState,
    UniqueState,
)


def column(kind: str, *, certain: bool = True, default: ServerDefault | None = None) -> ColumnState:
    return ColumnState("a", kind, certain, True, default)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (column("uuid"), column("text"), False),
        (column("uuid"), column("text", certain=False), True),
        (column("json"), column("text", certain=False), True),
        (column("bigint"), column("integer", certain=False), True),
        (column("boolean"), column("text", certain=False), False),
        (column("varchar(20)"), column("varchar(30)"), False),
    ],
)
def test_types_are_compared_as_far_as_they_are_known(one: ColumnState, other: ColumnState, same: bool) -> None:
    assert one.has_type_of(other) is same
    assert other.has_type_of(one) is same


def test_defaults_are_the_same_in_other_spellings() -> None:
    spelled = ServerDefault("now", "strftime( '%Y-%m-%d %H:%M:%f000','now' )")
    assert column("timestamp", default=UTC_NOW).has_default_of(column("timestamp", default=spelled))
    assert not column("timestamp", default=UTC_NOW).has_default_of(column("timestamp"))


def test_rules_are_the_same_whatever_they_are_called() -> None:
    assert UniqueState("a_key", ("a", "b"), is_index=False).rule == UniqueState("b", ("b", "a"), is_index=True).rule
    assert CheckState("a", '("price" > 0)').rule == CheckState("b", "price>0").rule
    index = IndexState("a", ("a",), False, None, '"a"')
    assert index.rule == IndexState("b", ("a",), False, None, "a").rule
    assert index.rule != IndexState("a", ("a",), False, "a > 1", "a").rule
    key = ReferenceState("a", ("user_id",), "users", ("id",), "CASCADE", "NO ACTION")
    assert key.rule != ReferenceState("a", ("user_id",), "users", ("id",), "SET NULL", "NO ACTION").rule


def test_what_a_rule_is_about() -> None:
    assert CheckState("a", '"price" > 0 AND amount < 9').is_about("amount")
    assert not CheckState("a", "price > 0").is_about("pric")
    assert IndexState("a", None, False, "paid = TRUE", "LOWER(name)").is_about("paid")
    assert not IndexState("a", ("a",), True, None, "a").is_plain
