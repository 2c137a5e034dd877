"""What the processes that claim rows side by side run; apart from the tests, so that they need not import pytest."""

from __future__ import annotations

import itertools
import time

from cloudpub_models import Database, Managers


def claim_everything(url: str, start: float) -> list[int]:
    """From the moment at which all begin, claim deployments until none is pending; return the ids claimed here."""
    database = Database(url)
    database.ping()
    time.sleep(max(0.0, start - time.time()))
    deployments = Managers(database).function_deployments
    mine: list[int] = []
    for size in itertools.cycle((1, 7, 20)):
        claimed = deployments.claim({"status": "pending"}, {"status": "taken"}, limit=size)
        mine += [row.id for row in claimed]
        # Rows that others hold are skipped, so look again until none is left.
        if not claimed and not deployments.exists({"status": "pending"}):
            break
    database.close()
    return mine
