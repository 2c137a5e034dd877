"""Shapes as conditions: a column without a table gets the one that is asked for, however deep it stands."""

from __future__ import annotations

from cloudpub_models.manager.arguments.shape import Shape, condition_of, group_of
from cloudpub_models.sql.nodes.conditions import NO_CONDITIONS, Comparison, Group, Negation, Never, Related
from cloudpub_models.sql.nodes.expressions import Column, NamedTable


def test_nothing_is_no_condition() -> None:
    assert group_of(()) == NO_CONDITIONS


def test_all_parts_have_to_hold() -> None:
    shape: Shape = (("name", "="), Never())
    assert group_of(shape) == Group.all(Comparison(Column(None, "name"), "="), Never())


def test_columns_are_qualified_in_every_kind_of_condition() -> None:
    def of(table: str | None) -> Group:
        name = Comparison(Column(table, "name"), "=")
        inner = Group.all(Comparison(Column(None, "email"), "="))
        related = Related(Column(table, "user_id"), NamedTable("users"), "id", False, inner)
        return Group((("OR", Negation(name)), ("OR", related)))

    assert condition_of(of(None), "functions") == of("functions")
    assert condition_of(of("f"), "functions") == of("f")
