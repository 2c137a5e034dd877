"""Texts that the columns hold, and what is said where the tables are missing."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpub_models import Database
from cloudpub_models.errors import InvalidValueError, RefusedQueryError, UnknownTableError
from cloudpub_models.work.tables import checked_text, raise_missing


class Key(str):
    """A text of another class."""


def test_a_text_stays_what_it_is() -> None:
    assert checked_text("a" * 255, "the key") == "a" * 255
    assert type(checked_text(Key("a"), "the key")) is str


@pytest.mark.parametrize("text", ["", None, 3, b"key", ["a"], "a\0b", "\ud800"])
def test_what_is_no_text_is_refused(text: Any) -> None:
    with pytest.raises(InvalidValueError, match="expected the key to be a text that is not empty; got "):
        checked_text(text, "the key")


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="expected the key to be a text of at most 255 characters; got 256"):
        checked_text("a" * 256, "the key")


def test_a_missing_table_is_told_from_other_refusals(database: Database) -> None:
    database.raw_execute("DROP TABLE leases")
    with pytest.raises(RefusedQueryError) as refused:
        database.raw_query_all("SELECT 1 FROM leases")
    with pytest.raises(UnknownTableError, match=r"^expected the table leases; got a database without it: .* migrate$"):
        raise_missing(refused.value, ("leases", "receipts"))
    with pytest.raises(RefusedQueryError) as refused:
        database.raw_query_all("SELECT 1 FROM releases")
    with pytest.raises(RefusedQueryError) as raised:
        raise_missing(refused.value, ("leases", "receipts"))
    assert raised.value is refused.value
