"""The log as ``database.history``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cloudpub_models import Database, errors


def test_it_shows_what_is_recorded(database: Database) -> None:
    assert repr(database.history) == "History(off)"
    database.history.enable()
    assert repr(database.history).startswith("History(function_deployments, functions, ")


@pytest.mark.parametrize("older_than", [7, timedelta(seconds=-1), None])
def test_an_age_is_a_length_of_time(recorded: Database, older_than: Any) -> None:
    with pytest.raises(errors.InvalidValueError, match="expected a timedelta that is not negative"):
        recorded.history.prune(older_than)


def test_a_table_that_no_component_has(recorded: Database) -> None:
    for call in (recorded.history.of_row, recorded.history.forget, recorded.history.undelete):
        with pytest.raises(errors.HistoryError, match="expected a table of the components; got 'invoices'"):
            call("invoices", 1)


@pytest.mark.parametrize("row_id", ["1", "x", True, None, (1, 2), 2**70])
def test_a_key_that_is_none_of_the_table(recorded: Database, row_id: Any) -> None:
    for call in (recorded.history.of_row, recorded.history.forget, recorded.history.undelete):
        with pytest.raises(errors.InvalidValueError):
            call("users", row_id)


@pytest.mark.parametrize("number", ["1", -1, 1.0, True, 2**70])
def test_the_number_of_a_transaction_is_an_integer(recorded: Database, statements: Any, number: Any) -> None:
    statements.clear()
    for call in (recorded.undo, recorded.history.undo, recorded.history.of_transaction):
        with pytest.raises(
            errors.InvalidCountError,
            match=r"expected transaction_id to be an integer of at (least 0|most \d{19}); got ",
        ):
            call(number)
    assert statements.sql == []
