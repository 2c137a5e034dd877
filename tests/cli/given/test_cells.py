"""Integers and JSON as they are typed: within bounds, and what is wrong told in a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpub_models.cli.given.cells import read_integer, read_json
from cloudpub_models.errors import InvalidValueError

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(DOCUMENTS)
def test_json_is_what_it_says(document: Any) -> None:
    assert read_json(json.dumps(document)) == document


@pytest.mark.parametrize("text", ["", "{", "nul", "[" * 300 + "]" * 300, "[" * 100_000, "1" * 5_000])
def test_what_is_no_json_or_too_much_of_it(text: str) -> None:
    with pytest.raises(InvalidValueError, match="expected JSON"):
        read_json(text)


@given(st.integers())
def test_integers(number: int) -> None:
    assert read_integer(str(number)) == number


def test_what_is_no_integer() -> None:
    assert [read_integer(text) for text in ("", "1.5", "x", "１", " 1")] == [None] * 5
    with pytest.raises(InvalidValueError, match="one of 2,000 digits"):
        read_integer("1" * 2_000)
