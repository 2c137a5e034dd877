"""What a call costs as tables grow: by how many rows there are, and by how many partitions they are in.

A call's cost is processor time, of the client and the server's session together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from benchmarks.databases import postgresql_database, session_clock
from benchmarks.measuring import first_quartile
from benchmarks.partitions import give_days
from benchmarks.rolling_up import function_of
from cloudpub_models import Database, Function, Managers

ROWS: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
DAYS: tuple[int, ...] = (0, 7, 30, 90, 365)
ROWS_IN_DAYS = 100_000
_SPAN = timedelta(days=365)
_FUNCTIONS = 10
_CALLS_A_BLOCK, _BLOCKS = 5, 20


class Visitor(NamedTuple):
    """Who calls: managers without and with rollups, and what they ask about."""

    rows: Managers
    rollups: Managers
    function: Function
    uuids: Iterator[Any]


CALLS: dict[str, Callable[[Visitor], object]] = {
    "record()": lambda v: v.rows.function_invocations.record(v.function, "success", 12),
    "find_by_uuid()": lambda v: v.rows.function_invocations.find_by_uuid(next(v.uuids)),
    "tail(100)": lambda v: v.rows.function_logs.tail(v.function, 100),
    "statistics, from rows": lambda v: v.rows.function_invocations.get_function_stats(v.function, _SPAN),
    "statistics, from rollups": lambda v: v.rollups.function_invocations.get_function_stats(v.function, _SPAN),
}


def by_rows(server: str | None, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Return what each call costs in one table of so many rows, for several."""
    return [{"rows": rows, "seconds": _cost(server, rows, 0)[1]} for rows in sizes]


def by_partitions(server: str | None, days: Sequence[int], rows: int) -> list[dict[str, Any]]:
    """Return what each call costs where the same rows are in partitions of so many days, for several."""
    found = [_cost(server, rows, each) for each in days]
    return [{"partitions": partitions, "seconds": seconds} for partitions, seconds in found]


def _cost(server: str | None, rows: int, days: int) -> tuple[int, dict[str, float]]:
    """Return in how many partitions rows of a year are whose last days have one each, and what each call costs."""
    with postgresql_database(server, "off") as target:
        database, rolled = Database(target.url), Database(target.url, rollups=True)
        managers = Managers(database)
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if days:
            for table in ("function_logs", "function_invocations"):
                give_days(database, table, midnight - timedelta(days=days), days)
        functions = [function_of(managers, f"f{number}") for number in range(_FUNCTIONS)]
        managers.function_logs.batch_insert(
            {"function_id": functions[number % _FUNCTIONS].id, "level": "info", "message": "m", "timestamp": moment}
            for number, moment in _moments(rows, midnight)
        )
        managers.function_invocations.batch_insert(
            {
                "function_id": functions[number % _FUNCTIONS].id,
                "status": "success",
                "duration_ms": number % 997,
                "timestamp": moment,
            }
            for number, moment in _moments(rows, midnight)
        )
        database.engine.run("VACUUM (ANALYZE)", None)
        managers.function_invocations.enable_rollups()
        managers.function_invocations.rollup()
        database.engine.run("VACUUM (ANALYZE)", None)
        uuids = managers.function_invocations.values("uuid", order_by="id", limit=rows)[:: max(1, rows // 500)]
        visitor = Visitor(managers, Managers(rolled), functions[0], itertools.cycle(uuids))
        with database.session(), rolled.session():
            clocks = {False: session_clock(database), True: session_clock(rolled)}
            seconds = {
                name: _seconds(lambda: call(visitor), clocks["rollups" in name])  # noqa: B023 - called at once
                for name, call in CALLS.items()
            }
        partitions = len(database.partitions("function_invocations")) or 1
        database.close()
        rolled.close()
        return partitions, seconds


def _moments(rows: int, end: datetime) -> Iterator[tuple[int, datetime]]:
    """Yield numbers and the moments of a year, in their order."""
    for number in range(rows):
        yield number, end - _SPAN * (1 - number / rows)


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    taken = []
    for _ in range(_BLOCKS):
        started = clock()
        for _ in range(_CALLS_A_BLOCK):
            call()
        taken.append((clock() - started) / _CALLS_A_BLOCK)
    return first_quartile(taken)
