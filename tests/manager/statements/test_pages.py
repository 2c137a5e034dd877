"""Cursors: what a page ended with comes back as it was, and what cannot be in a column is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from cloudpub_models import FunctionInvocation
from cloudpub_models.errors import InvalidCursorError
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.statements import pages

TABLE = table_of(FunctionInvocation)
ORDER = (("duration_ms", "ASC"), ("timestamp", "ASC"), ("uuid", "ASC"), ("id", "ASC"))
KEY = "12345678-1234-4234-8234-123456789abc"


def cursor_of(values: Any) -> str:
    """A cursor that somebody has made of values as they are."""
    payload = json.dumps(values).encode()
    text = pages._checksum(payload, pages._belonging(ORDER, TABLE)) + payload
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize("duration", [None, 0, 7, 1234, 2_000_000_000])
def test_what_a_page_ended_with_comes_back(duration: int | None) -> None:
    # Of several lengths, so that the text of some ends in padding, which the cursor leaves out.
    row = FunctionInvocation(
        id=3, uuid=UUID(KEY), duration_ms=duration, timestamp=datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    )
    cursor = pages.encode_cursor(row, ORDER, TABLE, None)
    assert "=" not in cursor
    assert pages.decode_cursor(cursor, ORDER, TABLE, None) == [duration, "2024-05-01 12:30:00.000000", KEY, 3]


GOOD = [7, "2024-05-01 12:30:00.000000", KEY, 3]


@pytest.mark.parametrize(
    "values",
    [
        [*GOOD[:3], None],
        [7, None, KEY, 3],
        [7, "2024-05-01", KEY, 3],
        [7, GOOD[1], KEY.upper(), 3],
        ["7", *GOOD[1:]],
        [7.5, *GOOD[1:]],
        [[7], *GOOD[1:]],
        GOOD[:3],
        [*GOOD, 3],
        {"duration_ms": 7},
        7,
    ],
    ids=str,
)
def test_values_that_the_columns_cannot_hold_are_refused(values: Any) -> None:
    with pytest.raises(InvalidCursorError, match="this one was changed"):
        pages.decode_cursor(cursor_of(values), ORDER, TABLE, None)


def test_values_that_they_can_hold_are_taken() -> None:
    assert pages.decode_cursor(cursor_of(GOOD), ORDER, TABLE, None) == GOOD
    assert pages.decode_cursor(cursor_of([None, *GOOD[1:]]), ORDER, TABLE, None) == [None, *GOOD[1:]]
