"""Steps are found for each kind of change, in an order in which they can be taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudpub_models.entity.fields import ServerDefault
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.generate.difference import Answers, MissingValueError, is_lossless, steps_between
from cloudpub_models.schema.generate.steps import Steps
from cloudpub_models.schema.generate.structure import (
    CheckState,
    ColumnState,
    ReferenceState,
    TableState,
    UniqueState,
)


def column(name: str, kind: str, *, nullable: bool = False, default: str | None = None) -> ColumnState:
    return ColumnState(name, kind, True, nullable, None if default is None else ServerDefault(default, default))


ID = ColumnState("id", "integer", True, False, None, counts=True)
TABLE = TableState("bills", {"id": ID, "amount": column("amount", "integer")}, ("id",))


def changes(old: TableState | None, new: TableState | None, **answers: object) -> list[str]:
    tables = [{table.name: table} if table is not None else {} for table in (old, new)]
    found = steps_between(tables[0], tables[1], Steps(), Answers(**answers))  # type: ignore[arg-type]
    return [("# " if step.is_kept_back else "") + step.description for step in found]


def with_column(state: ColumnState) -> TableState:
    return replace(TABLE, columns={**TABLE.columns, state.name: state})


def test_no_step_where_nothing_changed() -> None:
    assert changes(TABLE, TABLE) == []


def test_what_destroys_data_is_kept_back() -> None:
    assert changes(TABLE, None) == ["# drop bills"]
    assert changes(TABLE, None, allows_destruction=True) == ["drop bills"]
    without = replace(TABLE, columns={"id": ID})
    # Nobody writes the column any more, so that it may not ask for a value.
    assert changes(TABLE, without) == ["allow NULL in bills.amount", "# drop bills.amount"]
    assert changes(TABLE, without, allows_destruction=True) == ["drop bills.amount"]
    narrower = with_column(column("amount", "smallint"))
    assert changes(TABLE, narrower) == ["# change bills.amount from integer to smallint"]
    assert changes(narrower, TABLE) == ["change bills.amount from smallint to integer"]


def test_a_column_that_may_not_be_null_needs_a_value() -> None:
    paid = with_column(column("paid", "boolean"))
    with pytest.raises(MissingValueError, match="got none: give --default bills.paid=VALUE, or the field a default"):
        changes(TABLE, paid)
    assert changes(TABLE, paid, defaults={"bills.paid": "no"}) == ["add bills.paid"]
    assert changes(TABLE, with_column(replace(column("paid", "boolean"), value=False))) == ["add bills.paid"]
    assert changes(TABLE, with_column(column("paid", "boolean", default="FALSE"))) == ["add bills.paid"]


def test_a_key_of_other_columns_is_refused() -> None:
    with pytest.raises(
        MigrationError, match=r"key of bills to stay \(id\); got \(id, amount\): write a migration by hand"
    ):
        changes(TABLE, replace(TABLE, primary_key=("id", "amount")))


def test_rules_are_taken_away_before_types_change_and_come_back_after() -> None:
    key = ReferenceState("bills_amount_fkey", ("amount",), "others", ("id",), "CASCADE", "NO ACTION")
    old = replace(TABLE, references=(key,), checks=(CheckState("bills_amount_check", "amount > 0"),))
    new = replace(old, columns={"id": ID, "amount": column("amount", "bigint", default="7")})
    assert changes(old, new) == [
        "have bills.amount refer to others no more",
        "drop the check bills_amount_check",
        "change bills.amount from integer to bigint",
        "add the check bills_amount_check",
        "have bills.amount refer to others",
    ]


def test_what_is_about_a_column_that_goes_goes_with_it_but_for_checks() -> None:
    old = replace(
        TABLE,
        uniques=(UniqueState("bills_amount_key", ("amount",), is_index=False),),
        checks=(CheckState("bills_amount_check", "amount > 0"),),
    )
    assert changes(old, replace(TABLE, columns={"id": ID})) == [
        "drop the check bills_amount_check",
        "allow NULL in bills.amount",
        "# drop bills.amount",
    ]


def test_rules_about_a_type_that_is_kept_back_are_kept_back_too() -> None:
    key = ReferenceState("bills_amount_fkey", ("amount",), "others", ("id",), "CASCADE", "NO ACTION")
    old = replace(TABLE, references=(key,), checks=(CheckState("bills_amount_check", "amount > 0"),))
    new = replace(old, columns={"id": ID, "amount": column("amount", "smallint")})
    assert changes(old, new) == [
        "# have bills.amount refer to others no more",
        "# drop the check bills_amount_check",
        "# change bills.amount from integer to smallint",
        "# add the check bills_amount_check",
        "# have bills.amount refer to others",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("varchar(9)", "text"),
        ("char(3)", "char(4)"),
        ("decimal(6,2)", "decimal(8, 3)"),
        ("smallint", "decimal(5,0)"),
        ("timestamp", "datetime"),
    ],
)
def test_what_can_become_what(old: str, new: str) -> None:
    assert is_lossless(old, new)
    assert new == "datetime" or not is_lossless(new, old)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("varchar(9)", "char(9)"),
        ("decimal(6,2)", "decimal(6,3)"),
        ("bigint", "double"),
        ("timestamp", "date"),
        ("json", "text"),
    ],
)
def test_what_may_lose_something(old: str, new: str) -> None:
    assert not is_lossless(old, new)
