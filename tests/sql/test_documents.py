"""Documents that are equal to PostgreSQL have one comparable text, and those that are not have different ones."""

from __future__ import annotations

import decimal
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpub_models.sql.documents import comparable_document, comparable_documents

LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    LEAVES | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def turned(document: Any) -> Any:
    """Return an equal document with its keys the other way round."""
    if isinstance(document, dict):
        return {key: turned(document[key]) for key in reversed(document)}
    return [turned(member) for member in document] if isinstance(document, list) else document


@given(DOCUMENTS)
def test_spaces_and_the_order_of_keys_make_no_difference(document: Any) -> None:
    compact, wide = json.dumps(document, separators=(",", ":")), json.dumps(turned(document), indent=3)
    assert comparable_document(compact) == comparable_document(wide)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1", "1.00", True),
        ("100", "1e2", True),
        ("0", "-0.0", True),
        ("0.1", "0.10", True),
        ("0.1", "0.1000000000000000000000000000000000000001", False),
        ("1" + "0" * 60, "1" + "0" * 59 + "1", False),
        ('{"a":1,"a":2}', '{"a":2}', True),
        ("true", "1", False),
        ('"1"', "1", False),
        ("null", '"null"', False),
    ],
)
def test_numbers_are_compared_to_their_last_digit(one: str, other: str, *, equal: bool) -> None:
    with decimal.localcontext(decimal.Context(prec=3)):
        assert (comparable_document(one) == comparable_document(other)) == equal


@pytest.mark.parametrize("other", ['{"a": [1, {"b": 3}]}', '{"a": [1, {"c": 2}]}', '{"a": [1, {}]}', "{}", "null"])
def test_objects_differ_by_what_is_in_them(other: str) -> None:
    assert comparable_document('{"a": [1, {"b": 2}]}') != comparable_document(other)


def test_what_is_no_document_stays_as_it_is() -> None:
    for value in (None, 5, b"\xff", "{", "[" * 100_000):
        assert comparable_document(value) == value
    assert json.loads(comparable_documents('["[ 1.0 ]", "{"]')) == [comparable_document("[1]"), "{"]
