"""The script's tables keep what a lease is known by apart, and a key once."""

from __future__ import annotations

import pytest

from cloudpub_models import Database
from cloudpub_models.errors import UniqueViolationError

LEASE = """
    INSERT INTO leases (table_name, row_key, token, holder, attempts, expires_at)
    VALUES ('functions', '7', '3bfa396c-e2b0-411f-8ebf-ad64acc6d136', 'a', 1, '2026-11-01 00:00:00.000000')
"""


def test_a_row_has_one_lease_and_a_key_one_receipt(database: Database) -> None:
    database.raw_execute(LEASE)
    with pytest.raises(UniqueViolationError):
        database.raw_execute(LEASE)
    database.raw_execute("INSERT INTO receipts (key) VALUES ('a')")
    with pytest.raises(UniqueViolationError):
        database.raw_execute("INSERT INTO receipts (key) VALUES ('a')")
