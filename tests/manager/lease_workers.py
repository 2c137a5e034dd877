"""What the processes that take leases side by side run; apart from the tests, so that they need not import pytest."""

from __future__ import annotations

import time

from cloudpub_models import Database, Managers


def lease_everything(url: str, start: float) -> list[int]:
    """From the moment at which all begin, finish functions until none is pending; return the ids of those of here."""
    database = Database(url)
    database.ping()
    time.sleep(max(0.0, start - time.time()))
    functions = Managers(database).functions
    mine: list[int] = []
    while True:
        lease = functions.lease({"status": "pending"}, seconds=60)
        if lease is None:
            # Rows that others hold are skipped, so look again until none is left.
            if not functions.exists({"status": "pending"}):
                break
            continue
        with lease, lease.finish():
            functions.update_by_id(lease.row.id, {"status": "active"})
            mine.append(lease.row.id)
    database.close()
    return mine
