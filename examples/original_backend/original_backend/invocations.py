"""Invocations as the backend counts them: by ``success``, where the platform's statistics go by ``status``."""

from __future__ import annotations

from datetime import datetime

from cloudpub_models import Function, FunctionStats
from original_backend.managers import BackendManagers
from original_backend.models import BackendInvocation

STATISTICS = """
    SELECT COUNT(*) AS total, COUNT(CASE WHEN success THEN 1 END) AS successful, AVG(duration_ms) AS average,
           MIN(duration_ms) AS minimum, MAX(duration_ms) AS maximum
    FROM function_invocations WHERE function_id = @function AND timestamp >= @since
"""


def record_invocation(
    managers: BackendManagers, function: Function, duration_ms: int, error: str | None = None
) -> BackendInvocation:
    """Record an invocation so that both sides count it.

    Args:
        managers: of the database.
        function: which was called.
        duration_ms: for how many milliseconds it ran.
        error: what went wrong; None when nothing did.
    """
    return managers.backend_invocations.insert(
        {
            "function_id": function.id,
            "status": "success" if error is None else "error",
            "success": error is None,
            "duration_ms": duration_ms,
            "error": error,
        }
    )


def function_statistics(managers: BackendManagers, function: Function, since: datetime) -> FunctionStats:
    """Return what a function's invocations come to, as the backend would say.

    Args:
        managers: of the database.
        function: the function.
        since: from when on they count; an aware datetime.
    """
    row = managers.database.raw_query_single(STATISTICS, {"function": function.id, "since": since})
    assert row is not None
    return FunctionStats.from_dict(row)
