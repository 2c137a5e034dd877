"""A database of the past has the present one's engine, for reading what is known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cloudpub_models import Database, Function, errors
from cloudpub_models.manager.past import PastRows
from cloudpub_models.manager.sending import send
from cloudpub_models.manager.statements.shapes import Request


def test_it_says_what_it_is(database: Database) -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert repr(PastRows(Function, database, moment)) == "PastRows(Function, 2026-01-02T00:00:00+00:00)"


@pytest.mark.parametrize("request_", [Request("DELETE", True, ("functions",)), Request("SELECT 1", False, ())])
def test_it_refuses_writes_and_what_names_no_table(database: Database, request_: Request) -> None:
    past = PastRows(Function, database, datetime.now(UTC))
    with pytest.raises(errors.HistoryError, match="got a call for"):
        send(past.database, request_, ())
