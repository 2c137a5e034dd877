"""A function with invocations of some months, and an archive for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudpub_models import Function, Managers

APRIL = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def resize(managers: Managers) -> Function:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


@pytest.fixture
def invocations(managers: Managers, resize: Function) -> list[datetime]:
    """The moments of invocations from the middle of January to the middle of April, and at borders."""
    moments = [datetime(2026, 1, 15, tzinfo=UTC) + timedelta(hours=7 * number) for number in range(300)]
    for month in (2, 3, 4):
        border = datetime(2026, month, 1, tzinfo=UTC)
        moments += [border - timedelta(microseconds=1), border]
    managers.function_invocations.batch_insert(
        {
            "function_id": resize.id,
            "status": "success" if number % 5 else "failed",
            "duration_ms": None if number % 7 == 0 else number,
            "error": None if number % 5 else f'it\'s "out"\n of memory, №{number}\t\\',
            "timestamp": moment,
        }
        for number, moment in enumerate(moments)
    )
    return sorted(moments)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "it's an archive"
