"""What is said where the tables are missing."""

from __future__ import annotations

import pytest

from cloudpub_models import Database
from cloudpub_models.errors import RefusedQueryError, UnknownTableError
from cloudpub_models.work.tables import raise_missing


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
