"""Fills a database with a platform that has grown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from benchmarks.growth_data import Platform
from benchmarks.growth_patterns import Visitor
from cloudpub_models import Database, Managers


@contextmanager
def grown(url: str, rows: dict[str, int]) -> Iterator[Visitor]:
    """A visitor of the database, filled."""
    database = Database(url)
    database.migrate()
    managers, platform = Managers(database), Platform(rows[database.dialect], datetime.now(UTC))
    platform.load_accounts(managers)
    managers.function_logs.batch_insert(platform.log_lines(range(platform.rows)))
    managers.function_invocations.batch_insert(platform.invocations(range(platform.rows)))
    database.engine.run("VACUUM (ANALYZE)" if database.dialect == "postgresql" else "ANALYZE", None)
    yield Visitor.of(managers, platform)
    database.close()
