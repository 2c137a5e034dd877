"""A database with rollups, and rows at moments of a test's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from cloudpub_models import Function, FunctionInvocation, Managers

# Before the end of a month, and of a year.
BEGIN = datetime(2023, 12, 30, 22, tzinfo=UTC)

Insert = Callable[..., FunctionInvocation]


@pytest.fixture
def rolled(managers: Managers, session_locks: None) -> Managers:
    """Managers of a database that has rollups and reads them."""
    managers.function_invocations.enable_rollups()
    managers.database.reads_rollups = True
    return managers


@pytest.fixture
def insert(rolled: Managers, resize: Function) -> Insert:
    """Insert an invocation of ``resize`` so many minutes after ``BEGIN``."""

    def insert(minutes: float, duration: int | None = 10, status: str = "success") -> FunctionInvocation:
        return rolled.function_invocations.insert(
            {
                "function_id": resize.id,
                "status": status,
                "duration_ms": duration,
                "timestamp": BEGIN + timedelta(minutes=minutes),
            }
        )

    return insert


@pytest.fixture
def total(rolled: Managers, resize: Function) -> Callable[..., int]:
    """How many invocations the statistics count since a moment, ``BEGIN`` when left out."""
    return lambda since=BEGIN: rolled.function_invocations.get_function_stats(resize, since).total
