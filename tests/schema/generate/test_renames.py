"""What may have been renamed is asked, and an answer has to be about something that went."""

from __future__ import annotations

import pytest

from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.generate.renames import (
    Rename,
    UnansweredError,
    renamed_columns,
    renamed_tables,
    require_known,
)
from cloudpub_models.schema.generate.structure import ColumnState, TableState


def table(name: str, **columns: str) -> dict[str, TableState]:
    return {name: TableState(name, {key: ColumnState(key, kind, True, False, None) for key, kind in columns.items()})}


BILLS = table("bills", id="integer", amount="integer", note="text")


def test_a_column_that_went_while_one_of_its_type_came_is_asked_about() -> None:
    new = table("bills", id="integer", total="integer", sum="integer", note="text")
    with pytest.raises(
        UnansweredError, match="give --rename bills.amount=total, or --rename bills.amount= if not"
    ) as e:
        renamed_columns(BILLS, new, {})
    assert [candidate.new for candidate in e.value.candidates] == ["total", "sum"]
    for answer in ({"bills.amount": "sum"}, {"amount": "sum"}, {"bills.amount": "bills.sum"}):
        assert renamed_columns(BILLS, new, answer) == [Rename("bills", "amount", "sum")]
    assert renamed_columns(BILLS, new, {"bills.amount": ""}) == []


def test_one_of_another_type_is_not_asked_about_but_can_be_said() -> None:
    new = table("bills", id="integer", total="uuid", note="text")
    assert renamed_columns(BILLS, new, {}) == []
    assert renamed_columns(BILLS, new, {"amount": "total"}) == [Rename("bills", "amount", "total")]


def test_a_table_that_went_while_one_like_it_came_is_asked_about() -> None:
    new = table("invoices", id="integer", amount="integer", note="text", paid="boolean")
    with pytest.raises(UnansweredError, match="whether the table bills is invoices now"):
        renamed_tables(BILLS, new, {})
    assert renamed_tables(BILLS, new, {"bills": "invoices"}) == [Rename(None, "bills", "invoices")]
    assert renamed_tables(BILLS, new, {"bills": ""}) == []
    assert renamed_tables(BILLS, table("other", a="uuid", id="integer", b="uuid"), {}) == []


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"amount": "totl"}, r"behind --rename bills.amount=; got 'totl': did you mean 'total'\?"),
        ({"amount": "total", "note": "total"}, "expected one old name for total; got 'note' too"),
    ],
)
def test_an_answer_that_cannot_be(answers: dict[str, str], message: str) -> None:
    with pytest.raises(MigrationError, match=message):
        renamed_columns(BILLS, table("bills", id="integer", total="integer"), answers)


def test_an_answer_about_what_did_not_go() -> None:
    new = table("bills", id="integer", total="integer", note="text")
    require_known(BILLS, new, ["bills.amount", "amount"])
    with pytest.raises(MigrationError, match=r"that went; got 'bills.amont': did you mean 'bills.amount'\?"):
        require_known(BILLS, new, ["bills.amont"])
    with pytest.raises(MigrationError, match="that went; got 'x': none did"):
        require_known(BILLS, BILLS, ["x"])
