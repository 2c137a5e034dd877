"""What is measured on a platform that has grown: loading, looking things up, building indexes, throwing rows away."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from statistics import median, quantiles
from typing import Any, TypeVar

import psycopg2

from benchmarks.databases import BenchmarkDatabase
from benchmarks.growth_data import BUSY_FUNCTION, Platform
from benchmarks.growth_patterns import PATTERNS, Visitor
from benchmarks.growth_plans import rolled_back, scans_of
from benchmarks.memory import extra_megabytes
from cloudpub_models import Database, Manager, Managers
from cloudpub_models.models import GivenVersion
from cloudpub_models.platform.component import component

T = TypeVar("T")

_SPAWN = multiprocessing.get_context("spawn")
_LOADED = ("function_logs", "function_invocations")
_WARM_UP_ROWS = 10
_CALLS = 5
_WRITER_PAUSE_SECONDS = 0.002
_LONGEST_QUIET_SECONDS = 5.0
_QUIET_SECONDS_PER_ROW = 1e-6
_MONTH = timedelta(days=30)

_SIZES = """
SELECT c.relname AS table, pg_relation_size(c.oid) AS rows_bytes, pg_indexes_size(c.oid) AS indexes_bytes
FROM pg_class c WHERE c.relname IN ('function_logs', 'function_invocations') ORDER BY c.relname DESC
"""


def load(database: BenchmarkDatabase, platform: Platform) -> list[dict[str, Any]]:
    """Fill the tables by ``batch_insert`` from generators, and return how fast that was and what memory it took."""
    managers = Managers(Database(database.url))
    platform.load_accounts(managers)
    managers.database.close()
    # A process for each, so that its memory is that of this one load.
    with _SPAWN.Pool(1, maxtasksperchild=1) as pool:
        return [pool.apply(_load_table, (database.url, platform, table)) for table in _LOADED]


def _load_table(url: str, platform: Platform, table: str) -> dict[str, Any]:
    managers = Managers(Database(url))
    sources: dict[str, tuple[Manager[Any], Callable[[range], Iterator[dict[str, Any]]]]] = {
        "function_logs": (managers.function_logs, platform.log_lines),
        "function_invocations": (managers.function_invocations, platform.invocations),
    }
    manager, make = sources[table]
    seconds = 0.0

    def insert(rows: int) -> None:
        nonlocal seconds
        numbers = range(rows) if rows == _WARM_UP_ROWS else range(_WARM_UP_ROWS, rows)
        start = time.perf_counter()
        manager.batch_insert(make(numbers))
        seconds = time.perf_counter() - start

    extra = extra_megabytes(insert, platform.rows)
    return {
        "table": table,
        "rows": platform.rows,
        "seconds": seconds,
        "extra_megabytes": extra,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def vacuum(database: BenchmarkDatabase) -> None:
    """Do at once what the server does by and by: write everything to the disk, and vacuum."""
    connection = psycopg2.connect(database.target)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        cursor.execute("VACUUM (ANALYZE)")
    connection.close()


def sizes(database: BenchmarkDatabase) -> list[dict[str, Any]]:
    """Return how large the tables and their indexes are."""
    shop = Database(database.url)
    found = shop.raw_query_all(_SIZES)
    shop.close()
    return found


def look_up(database: BenchmarkDatabase, platform: Platform) -> list[dict[str, Any]]:
    """Return for every pattern how long a call takes, and how its statements read the tables."""
    shop = Database(database.url)
    with shop.session():
        visitor = Visitor.of(Managers(shop), platform)
        found = []
        for name, call in PATTERNS.items():
            scans = scans_of(shop, lambda: call(visitor))  # noqa: B023 - called at once
            durations = [_duration_of_one(shop, visitor, call) for _ in range(_CALLS)]
            found.append({"name": name, "seconds": median(durations), "scans": [asdict(scan) for scan in scans]})
    shop.close()
    return found


def _duration_of_one(shop: Database, visitor: Visitor, call: Callable[[Visitor], object]) -> float:
    with rolled_back(shop):
        start = time.perf_counter()
        call(visitor)
        return time.perf_counter() - start


def drop_common_indexes(database: BenchmarkDatabase) -> None:
    """Take back the migration that adds the indexes over several columns, and keep what later ones have added."""
    from cloudpub_models.schema import Migrator, create_all

    shop = Database(database.url)
    Migrator(shop.engine, component).down("0002_indexes_for_common_queries")
    create_all(shop.engine, [GivenVersion])
    shop.close()


def build_common_indexes(database: BenchmarkDatabase, platform: Platform) -> dict[str, Any]:
    """Apply that migration again while somebody logs, and return how long it and the writing took."""

    def migrate(shop: Database) -> None:
        shop.migrate("0002_indexes_for_common_queries")

    return _while_somebody_logs(database, platform, migrate)


def prune_a_month(database: BenchmarkDatabase, platform: Platform, table: str) -> dict[str, Any]:
    """Throw the older half of a table away while somebody logs, and return how long it and the writing took."""

    def prune(shop: Database) -> int:
        managers = Managers(shop)
        manager = managers.function_logs if table == "function_logs" else managers.function_invocations
        return manager.prune(_MONTH)

    return {"table": table, **_while_somebody_logs(database, platform, prune)}


def _while_somebody_logs(
    database: BenchmarkDatabase, platform: Platform, work: Callable[[Database], object]
) -> dict[str, Any]:
    begun, done = _SPAWN.Event(), _SPAWN.Event()
    receiver, sender = _SPAWN.Pipe(duplex=False)
    writer = _SPAWN.Process(target=_log, args=(database.url, begun, done, sender))
    writer.start()
    receiver.recv()  # it is writing
    time.sleep(min(_LONGEST_QUIET_SECONDS, platform.rows * _QUIET_SECONDS_PER_ROW))
    shop = Database(database.url)
    begun.set()
    start = time.perf_counter()
    result = work(shop)
    seconds = time.perf_counter() - start
    done.set()
    before, meanwhile = receiver.recv()
    writer.join()
    shop.close()
    return {"result": result, "seconds": seconds, "insert_before": before, "insert_meanwhile": meanwhile}


def _log(url: str, begun: Any, done: Any, sender: Any) -> None:
    managers = Managers(Database(url))
    before: list[float] = []
    meanwhile: list[float] = []
    managers.function_logs.append(BUSY_FUNCTION, "info", "ready")
    sender.send("ready")
    while not done.is_set():
        latencies = meanwhile if begun.is_set() else before
        start = time.perf_counter()
        managers.function_logs.append(BUSY_FUNCTION, "info", "request handled while others are at work")
        latencies.append(time.perf_counter() - start)
        time.sleep(_WRITER_PAUSE_SECONDS)
    sender.send((_spread(before), _spread(meanwhile)))


def _spread(latencies: list[float]) -> dict[str, Any]:
    if len(latencies) < 2:
        return {"inserts": len(latencies), "median": None, "p99": None, "maximum": max(latencies, default=None)}
    percentiles = quantiles(latencies, n=100, method="inclusive")
    return {
        "inserts": len(latencies),
        "median": percentiles[49],
        "p99": percentiles[98],
        "maximum": max(latencies),
    }
