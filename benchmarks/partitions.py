"""``python -m benchmarks.partitions``: one table beside the same in partitions of days, on PostgreSQL.

Rows are invocations of fifty functions, spread over so many days; the half that is older is thrown away. Partitioning
runs beside a thread that inserts and one that reads; what is measured of it is the longest that either had to wait.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from benchmarks.databases import postgresql_database
from benchmarks.measuring import first_quartile
from cloudpub_models import Database, Managers

_DAY = timedelta(days=1)
_TABLE = "function_invocations"

_DISK = (
    "SELECT sum(pg_total_relation_size(oid)) AS n FROM pg_class "
    "WHERE relname LIKE 'function_invocations%' AND relkind = 'r'"
)
_WAL = "SELECT pg_current_wal_insert_lsn()::text AS at"
_WRITTEN = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), @since::pg_lsn) AS n"
_PLAIN, _DAYS = "one table", "days"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partitions", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args(arguments)
    found: dict[str, list[str]] = {}
    for kind in (_PLAIN, _DAYS):
        for name, value in measured(kind, options.rows, options.days, options.rounds).items():
            found.setdefault(name, []).append(value)
    for name, value in partitioning(options.rows).items():
        found[name] = ["–", value]
    print(f"| | {_PLAIN} | {_DAYS} |\n|---|---:|---:|")
    for name, values in found.items():
        print(f"| {name} | {' | '.join(values)} |")
    return 0


def measured(kind: str, rows: int, days: int, rounds: int) -> dict[str, str]:
    """Return what one kind of table takes."""
    with _managers() as managers:
        database, invocations = managers.database, managers.function_invocations
        begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - days * _DAY
        if kind == _DAYS:
            give_days(database, _TABLE, begin, days)
        function = managers.functions.find_one(order_by="id")
        assert function is not None
        started, position = time.perf_counter(), _position(database)
        invocations.batch_insert(_rows(managers, rows, begin, days * _DAY))
        found = {
            "`batch_insert`, µs a row": f"{(time.perf_counter() - started) / rows * 1e6:.1f}",
            "… write-ahead log, bytes a row": f"{_written(database, position) / rows:.0f}",
        }
        database.engine.run(f"VACUUM (ANALYZE) {_TABLE}", None)
        known = invocations.find_one(order_by="-id")
        assert known is not None
        calls: dict[str, Callable[[], object]] = {
            "by id, ms": lambda: invocations.find_by_id(known.id),
            "by uuid, ms": lambda: invocations.find_by_uuid(known.uuid),
            "statistics of 30 days, ms": lambda: invocations.get_function_stats(function.id, timedelta(days=30)),
        }
        for name, call in calls.items():
            found[name] = f"{_milliseconds(call, rounds):.2f}"
        before = _disk(database)
        started, position = time.perf_counter(), _position(database)
        gone = invocations.prune(begin + days / 2 * _DAY)
        found[f"half of the rows pruned, s ({gone:,})"] = f"{time.perf_counter() - started:.2f}"
        found["… write-ahead log, MB"] = f"{_written(database, position) / 1e6:.1f}"
        database.engine.run(f"VACUUM {_TABLE}", None)
        found["… of the disk given back, after VACUUM"] = f"{1 - _disk(database) / before:.0%}"
        return found


def partitioning(rows: int) -> dict[str, str]:
    """Return what it takes to give a table partitions while others write and read."""
    with _managers() as managers:
        database = managers.database
        function = managers.functions.find_one(order_by="id")
        assert function is not None
        managers.function_invocations.batch_insert(_rows(managers, rows, datetime.now(UTC) - 60 * _DAY, 60 * _DAY))
        database.engine.run(f"VACUUM (ANALYZE) {_TABLE}", None)
        done = threading.Event()
        inserted, read = [0.0], [0.0]

        def work(times: list[float], step: Callable[[Managers], object]) -> None:
            mine = Database(database.engine.database)
            while not done.is_set():
                times.append(_taken(lambda: step(Managers(mine))))
            mine.close()

        steps = (
            (inserted, lambda mine: mine.function_invocations.record(function, "success", 5)),
            (read, lambda mine: mine.function_invocations.find_all({"function_id": function.id}, limit=10)),
        )
        threads = [threading.Thread(target=work, args=step) for step in steps]
        for thread in threads:
            thread.start()
        seconds = _taken(lambda: database.partition(_TABLE, "day"))
        done.set()
        for thread in threads:
            thread.join()
        lost = rows + len(inserted) - 1 - managers.function_invocations.count()
        return {
            "partitioning, s": f"{seconds:.1f}",
            "… an insert's longest wait, ms": f"{max(inserted) * 1e3:.0f}",
            "… a read's longest wait, ms": f"{max(read) * 1e3:.0f}",
            f"… lost or doubled of {rows + len(inserted) - 1:,}": str(abs(lost)),
        }


@contextmanager
def _managers() -> Iterator[Managers]:
    with postgresql_database(None, "off") as target:
        database = Database(target.url, statement_timeout=0)
        managers = Managers(database)
        ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        managers.functions.batch_insert({"user_id": ada.id, "name": f"f{number}"} for number in range(50))
        yield managers
        database.close()


def give_days(database: Database, table: str, begin: datetime, days: int, ahead: int = 14) -> None:
    """Give an empty table the partitions that it would have, had it been given some so many days ago."""
    database.partition(table, "day", ahead=_DAY)
    for part in database.partitions(table):
        database.raw_execute(f"DROP TABLE {part.name}")
    days += 1 + ahead
    limits = ["MINVALUE", *(f"'{begin + number * _DAY:%Y-%m-%d}'" for number in range(days + 1)), "MAXVALUE"]
    for number, (first, last) in enumerate(pairwise(limits)):
        database.raw_execute(
            f"CREATE TABLE {table}_p_{number} PARTITION OF {table} FOR VALUES FROM ({first}) TO ({last})"
        )


def _rows(managers: Managers, count: int, begin: datetime, span: timedelta) -> Iterator[dict[str, Any]]:
    functions = [function.id for function in managers.functions.find_all()]
    for number in range(count):
        yield {
            "function_id": functions[number % len(functions)],
            "status": "success" if number % 20 else "error",
            "duration_ms": number % 997,
            "timestamp": begin + span * (number / count),
        }


def _taken(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _milliseconds(call: Callable[[], object], rounds: int) -> float:
    return first_quartile([_taken(call) for _ in range(rounds)]) * 1e3


def _position(database: Database) -> str:
    return str(database.raw_query_all(_WAL)[0]["at"])


def _written(database: Database, since: str) -> int:
    return int(database.raw_query_all(_WRITTEN, {"since": since})[0]["n"])


def _disk(database: Database) -> int:
    return int(database.raw_query_all(_DISK)[0]["n"])


if __name__ == "__main__":
    raise SystemExit(main())
