"""How one looks things up on the platform: every query pattern of the documentation that meets a table that grows.

What asks for most of a table by its meaning (all rows, all lines of level info, a count without a condition) is not
here: reading all of it is right then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from benchmarks.growth_data import AGENCY, BUSY_FUNCTION, SILENT_FUNCTION, Platform
from cloudpub_models import Function, FunctionLog, Managers, User, operators
from cloudpub_models.manager.manager import Manager

_QUIET_FUNCTION = 3
_OLD_ROWS = 1500


@dataclass(frozen=True)
class Visitor:
    """Somebody who looks things up.

    Attributes:
        managers: how.
        platform: what there is.
        busy: the function with the most rows.
        silent: one that has not been called for a month.
        quiet: any other one.
        user: their owner.
        agency: the owner of most functions.
        line: any log line.
    """

    managers: Managers
    platform: Platform
    busy: Function
    silent: Function
    quiet: Function
    user: User
    agency: User
    line: FunctionLog

    @classmethod
    def of(cls, managers: Managers, platform: Platform) -> Visitor:
        """Return one who knows a few rows already."""
        busy, silent, quiet = managers.functions.find_all(
            {"id": [BUSY_FUNCTION, SILENT_FUNCTION, _QUIET_FUNCTION]}, order_by="id", include=("user",)
        )
        (line,) = managers.function_logs.tail(busy, 1)
        agency = managers.users.find_all({"id": AGENCY})[0]
        return cls(managers, platform, busy, silent, quiet, quiet.user, agency, line)

    def second_page(
        self, manager: Manager[Any], where: dict[str, object] | None, order_by: str | Sequence[str]
    ) -> object:
        """Return the page after the first, the newest first."""
        first = manager.paginate_after(None, 50, where, order_by=order_by, order_direction="DESC")
        return manager.paginate_after(first.next_cursor, 50, where, order_by=order_by, order_direction="DESC")


PATTERNS: dict[str, Callable[[Visitor], object]] = {
    # Logs
    "tail": lambda v: v.managers.function_logs.tail(v.busy),
    "search in a function": lambda v: v.managers.function_logs.search("request", function=v.busy, limit=20),
    "search in all functions": lambda v: v.managers.function_logs.search("request", since=timedelta(hours=1), limit=20),
    "tail, one level": lambda v: v.managers.function_logs.tail(v.busy, level="error"),
    "tail, two levels": lambda v: v.managers.function_logs.tail(v.busy, level=["error", "warn"]),
    "tail, a level that there is not": lambda v: v.managers.function_logs.tail(v.busy, level="fatal"),
    "tail of a silent function": lambda v: v.managers.function_logs.tail(v.silent),
    "tail of a quiet function": lambda v: v.managers.function_logs.tail(v.quiet, level="error"),
    "log by uuid": lambda v: v.managers.function_logs.find_by_uuid(v.line.uuid),
    "function details": lambda v: v.managers.functions.get_function_details(v.busy.uuid),
    "has_many logs": lambda v: v.managers.functions.has_many(
        "function_logs", "function_id", v.busy.id, order_by="timestamp", order_direction="DESC", limit=20
    ),
    "include the latest logs": lambda v: v.managers.functions.find_all(
        {"user_id": v.user.id}, include={"logs": {"limit": 20, "order_by": "timestamp", "order_direction": "DESC"}}
    ),
    "include all logs": lambda v: v.managers.functions.find_one({"id": v.quiet.id}, include=("logs",)),
    "page of logs by number": lambda v: v.managers.function_logs.paginate(
        1, 50, {"function_id": v.quiet.id}, order_by="timestamp", order_direction="DESC"
    ),
    "next page of a function's logs": lambda v: v.second_page(
        v.managers.function_logs, {"function_id": v.busy.id}, "timestamp"
    ),
    "next page of its errors": lambda v: v.second_page(
        v.managers.function_logs, {"function_id": v.busy.id, "level": ["error", "warn"]}, "timestamp"
    ),
    "next page of all logs": lambda v: v.second_page(v.managers.function_logs, None, "timestamp"),
    "next page of all logs by id": lambda v: v.second_page(v.managers.function_logs, None, "id"),
    "stream of a function's logs": lambda v: sum(
        1 for _ in v.managers.function_logs.iterate({"function_id": v.quiet.id}, order_by="timestamp")
    ),
    "logs of one hour": lambda v: v.managers.function_logs.find_all(
        {"timestamp": operators.between(v.platform.now - timedelta(hours=1), v.platform.now)}, limit=100
    ),
    "count of a function's logs since yesterday": lambda v: v.managers.function_logs.count(
        {"function_id": v.busy.id, "timestamp": operators.ge(v.platform.now - timedelta(days=1))}
    ),
    "exists an error": lambda v: v.managers.function_logs.exists({"function_id": v.busy.id, "level": "error"}),
    "count by level in SQL": lambda v: v.managers.database.raw_query_all(
        "SELECT level, COUNT(*) AS n FROM function_logs WHERE function_id = @id GROUP BY level", {"id": v.busy.id}
    ),
    "logs beside functions": lambda v: v.managers.functions.execute_query(
        v.managers.functions.query("f")
        .select("f.name", "COUNT(l.id) AS logs")
        .left_join("function_logs l", "l.function_id", "f.id")
        .where("f.user_id", v.user.id)
        .group_by("f.name")
    ),
    "prune logs": lambda v: v.managers.function_logs.prune(v.platform.moment(_OLD_ROWS)),
    # Invocations
    "function statistics": lambda v: v.managers.function_invocations.get_function_stats(v.busy),
    "hourly statistics": lambda v: v.managers.function_invocations.get_hourly_stats(v.busy),
    "daily statistics": lambda v: v.managers.function_invocations.get_daily_stats(v.busy),
    "hourly statistics of a user": lambda v: v.managers.function_invocations.get_user_hourly_stats(v.user),
    "daily statistics of a user": lambda v: v.managers.function_invocations.get_user_daily_stats(v.user),
    "last invocation of each function": lambda v: v.managers.function_invocations.get_last_invocations(v.user),
    "user overview": lambda v: v.managers.function_invocations.get_user_overview(v.user),
    "statistics in SQL": lambda v: v.managers.database.raw_query_single(
        "SELECT COUNT(*) AS total, COUNT(CASE WHEN status = 'success' THEN 1 END) AS successful, "
        "AVG(duration_ms) AS average, MAX(duration_ms) AS maximum FROM function_invocations "
        "WHERE function_id = @function_id AND timestamp >= @since",
        {"function_id": v.busy.id, "since": v.platform.now - timedelta(days=30)},
    ),
    "latest invocations": lambda v: v.managers.function_invocations.find_all(
        {"function_id": v.busy.id}, order_by="timestamp", order_direction="DESC", limit=20
    ),
    "latest failures": lambda v: v.managers.function_invocations.find_all(
        {"function_id": v.busy.id, "status": "failed"}, order_by="timestamp", order_direction="DESC", limit=20
    ),
    "next page of a function's invocations": lambda v: v.second_page(
        v.managers.function_invocations, {"function_id": v.busy.id}, "timestamp"
    ),
    "next page of all invocations": lambda v: v.second_page(v.managers.function_invocations, None, "timestamp"),
    "prune invocations": lambda v: v.managers.function_invocations.prune(v.platform.moment(_OLD_ROWS)),
    # What is smaller, and grows too
    "user by address": lambda v: v.managers.users.find_by_email(v.user.email),
    "user by address in another case": lambda v: v.managers.users.find_by_email(v.user.email.upper()),
    "user by an unknown address": lambda v: v.managers.users.find_by_email("nobody@example.org"),
    "a user's newest functions": lambda v: v.managers.functions.find_all(
        {"user_id": v.agency.id, "status": "active"}, order_by="created_at", order_direction="DESC", limit=10
    ),
    "page of a user's functions": lambda v: v.managers.functions.get_functions_paginated(1, 20, {"user_id": v.user.id}),
    "history of deployments": lambda v: v.managers.function_deployments.history(v.busy),
    "deploy": lambda v: v.managers.function_deployments.deploy(v.busy, "image", "key"),
    "activate": lambda v: v.managers.function_deployments.activate(v.managers.function_deployments.history(v.quiet)[0]),
    "claim a build": lambda v: v.managers.function_deployments.claim({"status": "building"}, {"status": "claimed"}),
    "claim where there is nothing": lambda v: v.managers.function_deployments.claim(
        {"status": "none"}, {"status": "claimed"}
    ),
    "delete a function with all its rows": lambda v: v.managers.functions.delete_by_id(v.quiet.id),
}
"""Name → call. Some of them write: run them where it can be rolled back."""
