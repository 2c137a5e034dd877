"""Cursors: what a page ended with comes back as it was, and what cannot be in a column is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from cloudpub_models import FunctionInvocation, Managers
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


@pytest.mark.parametrize("stray", ["!", "\n", " ", "+", "/"])
def test_a_cursor_has_one_spelling(stray: str) -> None:
    text = cursor_of(GOOD)
    with pytest.raises(InvalidCursorError):
        pages.decode_cursor(text[:8] + stray + text[8:], ORDER, TABLE, None)


def test_values_that_they_can_hold_are_taken() -> None:
    assert pages.decode_cursor(cursor_of(GOOD), ORDER, TABLE, None) == GOOD
    assert pages.decode_cursor(cursor_of([None, *GOOD[1:]]), ORDER, TABLE, None) == [None, *GOOD[1:]]


def test_one_by_the_public_uuid_tells_no_internal_id_and_is_exact(managers: Managers, statements: list[Any]) -> None:
    """Rows of one moment, of which the one that a page ended with is deleted before the next page is asked for."""
    user = managers.users.insert({"email": "ada@example.com", "password_hash": "hash"})
    function = managers.functions.insert({"user_id": user.id, "name": "resize"})
    moments = [datetime(2024, 5, 1, 12, minute, tzinfo=UTC) for minute in (0, 0, 0, 0, 1, 1, 2)]
    managers.function_logs.batch_insert(
        {"function_id": function.id, "level": "info", "message": "m", "timestamp": moment} for moment in moments
    )
    expected = sorted(managers.function_logs.find_all(), key=lambda log: (log.timestamp, log.uuid))
    seen, cursor = [], None
    while True:
        statements.clear()
        page = managers.function_logs.paginate_after(cursor, 2, order_by=("timestamp", "uuid"))
        assert len(statements) == 1
        seen += page.items
        if (cursor := page.next_cursor) is None:
            break
        last = page.items[-1]
        payload = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[pages._CHECKSUM_BYTES :]
        assert json.loads(payload) == [f"{last.timestamp:%Y-%m-%d %H:%M:%S.%f}", str(last.uuid)]
        assert managers.function_logs.delete_by_id(last.id)
    assert [log.id for log in seen] == [log.id for log in expected]


def test_the_primary_key_breaks_the_ties_of_other_orders(managers: Managers) -> None:
    for order_by, complete in {
        "uuid": (("uuid", "ASC"),),
        ("uuid", "status"): (("uuid", "ASC"), ("status", "ASC")),
        "name": (("name", "ASC"), ("id", "ASC")),
        None: (("id", "ASC"),),
    }.items():
        table = managers.functions.table
        assert pages.complete_order(order_by, "ASC", table, managers.database.engine) == complete
