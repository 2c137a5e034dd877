"""A database with the tables of leases and receipts, of a test's own since they stay where they were made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cloudpub_models import ALL_ROWS, Database, Managers
from cloudpub_models.work.component import component

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """Open a database and bring it up to date."""
    database = Database(url, components=[component])
    database.migrate()
    yield database
    database.close()


def run_out(managers: Managers) -> None:
    """Let all leases be over, as if their time had passed."""
    managers.leases.update({"expires_at": LONG_AGO}, ALL_ROWS)  # type: ignore[attr-defined]
