"""``python -m benchmarks.rolling_up``: what statistics take from rows and from rollups, and what keeping those costs.

A year of one function that is called 100,000 times an hour is made as its rollups alone. Writes are compared with those
of a database without rollups, in turn, on one server or disk. Where two of those differ by more than 2 %, the
measurement is void.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import NormalDist
from typing import Any

from benchmarks.databases import Dialect
from benchmarks.measuring import Contestant, measure
from benchmarks.searching import seconds
from benchmarks.side_by_side import options_of, show, three_databases
from cloudpub_models import Function, Managers

_DAYS = 60
_CALLS_AN_HOUR = 100_000
_BATCH = 20_000
_ON_POSTGRESQL = """
    INSERT INTO function_invocation_rollups VALUES (
        @function, @level, @start, @total, @total, @total, @duration, 0, @maximum, @start, @durations, @counts
    )
"""
_ON_SQLITE = """
    INSERT INTO function_invocation_rollups VALUES (
        @function, @level, @start, @total, @total, @total, @duration, 0, @maximum, @start, @durations
    )
"""
_SPANS = {
    "an hour": timedelta(hours=1),
    "a day": timedelta(days=1),
    "a month": timedelta(days=30),
    "all": timedelta(365),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    parser = options_of("rolling_up", __doc__, rounds=21)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many invocations there are, of 60 days")
    parser.add_argument("--days", type=int, default=365, help="how long the year is of the function that is busy")
    options = parser.parse_args(arguments)
    show(options.database, lambda kind: measured(kind, options.rounds, options.rows, options.days))
    return 0


def measured(kind: Dialect, rounds: int, count: int, days: int) -> dict[str, str]:
    """Return what was found on one kind of database, by what it is."""
    found: dict[str, str] = {}
    with three_databases(kind) as databases:
        managers = [Managers(database) for database in databases]
        functions = [function_of(each) for each in managers]
        rolled, function = managers[-1], functions[-1]
        rolled.function_invocations.batch_insert(invocations(function, count))
        rolled.database.raw_execute("ANALYZE")
        from_rows = {name: _statistics(rolled, function, span, rounds) for name, span in _SPANS.items()}
        rolled.function_invocations.enable_rollups()
        started = time.perf_counter()
        rolled.function_invocations.rollup()
        found["counting, rows a second"] = f"{count / (time.perf_counter() - started):,.0f}"
        rolled.database.raw_execute("ANALYZE")
        rolled.database.reads_rollups = True
        for name, span in _SPANS.items():
            counted = _statistics(rolled, function, span, rounds)
            found[f"statistics of {name}: rows / rollups"] = f"{from_rows[name] * 1e3:.1f} / {counted * 1e3:.1f} ms"
        year = a_year(rolled, days)
        hour, whole = (_statistics(rolled, year, span, rounds) for span in (timedelta(hours=2), timedelta(365)))
        found["a year of 876,000,000: rollups"] = f"{whole * 1e3:.1f} ms, {whole / hour:.1f} times two hours of it"
        found["`record()`, with rollups / without"] = _compared(managers, functions, rounds * 20, 1)
        found["`batch_insert`, with rollups / without"] = _compared(managers, functions, rounds, min(_BATCH, count))
    return found


def invocations(function: Function, count: int) -> Iterator[dict[str, Any]]:
    """Yield invocations of the last days as they come, a few of which fail."""
    chance = random.Random(count)
    now = datetime.now(UTC)
    for number in range(count):
        yield {
            "function_id": function.id,
            "status": "failed" if chance.random() < 0.02 else "success",
            "duration_ms": int(chance.lognormvariate(5, 1)),
            "timestamp": now - timedelta(days=_DAYS) * (1 - number / count),
        }


def function_of(managers: Managers, name: str = "resize") -> Function:
    """Return a function of that name, of a user who is made where there is none."""
    ada, _ = managers.users.find_or_insert({"email": "ada@example.com", "password_hash": "…"}, ["email"])
    return managers.functions.insert({"user_id": ada.id, "name": name})


def _statistics(managers: Managers, function: Function, span: timedelta, rounds: int) -> float:
    return seconds(lambda: managers.function_invocations.get_function_stats(function, span), rounds)


def a_year(managers: Managers, days: int) -> Function:
    """Make the rollups of a year of another function, as counting would have made them, and return the function."""
    function = function_of(managers, "busy")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [now - timedelta(hours=ago) for ago in range(1, days * 24 + 1)]
    midnights = {hour.replace(hour=0) for hour in hours}
    firsts = {day.replace(day=1) for day in midnights}
    is_text = managers.database.dialect == "sqlite"
    with managers.database.transaction() as connection:
        for level, starts, calls in ((0, hours, 1), (1, midnights, 24), (2, firsts, 24 * 30)):
            durations = _durations_of(_CALLS_AN_HOUR * calls)
            values: dict[str, Any] = {
                "function": function.id,
                "level": level,
                "total": sum(durations.values()),
                "duration": sum(value * number for value, number in durations.items()),
                "maximum": max(durations),
                "durations": json.dumps(durations) if is_text else _array(durations),
            }
            if not is_text:
                values["counts"] = _array(durations.values())
            for start in starts:
                connection.execute(_ON_SQLITE if is_text else _ON_POSTGRESQL, {**values, "start": start})
    managers.database.raw_execute("ANALYZE")
    return function


def _durations_of(calls: int) -> dict[int, int]:
    """Return how many of some calls take how long, as ``invocations`` has it."""
    logarithm = NormalDist(5, 1)
    parts = [logarithm.cdf(math.log(value + 1)) - logarithm.cdf(math.log(value)) for value in range(1, 9_999)]
    return {value: round(calls * part) for value, part in enumerate(parts, 1) if calls * part >= 1}


def _array(numbers: Iterable[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


def _compared(managers: Sequence[Managers], functions: Sequence[Function], rounds: int, size: int) -> str:
    contestants = []
    for each, function in zip(managers, functions, strict=True):
        if size > 1:
            rows = [{"function_id": function.id, "status": "success", "duration_ms": number} for number in range(size)]
            contestants.append(Contestant(each.function_invocations.batch_insert, itertools.repeat(rows)))
        else:
            durations = itertools.count()

            def record(duration: int, each: Managers = each, function: Function = function) -> object:
                return each.function_invocations.record(function, "success", duration % 1000)

            contestants.append(Contestant(record, durations))
    control, again, library = contestants
    found = measure(control, again, library, rounds, 3, lambda: None)
    without = (found.control_seconds + found.control_again_seconds) / 2
    void = "" if found.valid else " (void)"
    if size > 1:
        return f"{found.ratio:.2f}{void}"
    return f"{found.ratio:.2f}, {(found.library_seconds - without) * 1e6:+.0f} µs of {without * 1e6:.0f}{void}"


if __name__ == "__main__":
    raise SystemExit(main())
