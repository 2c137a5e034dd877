"""Point lookups from several threads at once, each call borrowing its connection: how many a second, beside psycopg2.

The control is psycopg2's own ``ThreadedConnectionPool`` around the bare driver: take a connection, open a cursor, look
the row up, give the connection back.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from psycopg2.pool import ThreadedConnectionPool

from benchmarks.data import Data
from benchmarks.databases import BenchmarkDatabase
from benchmarks.libraries.raw_driver import FIND_BY_ID
from benchmarks.measuring import LARGEST_CONTROL_DEVIATION

THREADS = 8
SHARE_WANTED = 0.95
"""What part of the control's lookups our library makes at least."""

_CALLS_PER_THREAD = {"tiny": 5, "normal": 300}


def measure_threads(database: BenchmarkDatabase, data: Data, rounds: int) -> dict[str, Any]:
    """Return how many lookups a second the control and our library make, as medians of the rounds."""
    from cloudpub_models import Database, Managers

    ours = Database(database.url, max_connections=THREADS)
    functions = Managers(ours).functions
    pool = ThreadedConnectionPool(THREADS, THREADS, database.target)
    for connection in [pool.getconn() for _ in range(THREADS)]:
        connection.autocommit = True
        pool.putconn(connection)
    sql = FIND_BY_ID.replace("?", "%s")

    def control(id: int) -> Any:
        connection = pool.getconn()
        try:
            cursor = connection.cursor()
            cursor.execute(sql, (id,))
            return cursor.fetchone()
        finally:
            pool.putconn(connection)

    contestants: dict[str, Callable[[int], Any]] = {
        "control": control,
        "control_again": control,
        "ours": functions.find_by_id,
    }
    calls = _CALLS_PER_THREAD[data.scale.name]
    a_second: dict[str, list[float]] = {name: [] for name in contestants}
    shuffle = random.Random(rounds).shuffle
    try:
        assert functions.find_by_id(1).name == data.functions[0]["name"]  # type: ignore[union-attr]
        for call in contestants.values():
            _lookups_a_second(call, data, calls)
        for _ in range(rounds):
            order = list(contestants)
            shuffle(order)
            for name in order:
                a_second[name].append(_lookups_a_second(contestants[name], data, calls))
    finally:
        pool.closeall()
        ours.close()
    controls = [statistics.mean(pair) for pair in zip(a_second["control"], a_second["control_again"], strict=True)]
    shares = [own / other for own, other in zip(a_second["ours"], controls, strict=True)]
    again = [one / other for one, other in zip(a_second["control_again"], a_second["control"], strict=True)]
    return {
        "threads": THREADS,
        "control": statistics.median(controls),
        "ours": statistics.median(a_second["ours"]),
        # Of each round, whose contestants the rest of the machine disturbed alike.
        "share": statistics.median(shares),
        "valid": abs(statistics.median(again) - 1) <= LARGEST_CONTROL_DEVIATION,
    }


def _lookups_a_second(call: Callable[[int], Any], data: Data, calls: int) -> float:
    ids = [function["id"] for function in data.functions]
    all_there = threading.Barrier(THREADS + 1)

    def work(seed: int) -> None:
        chosen = random.Random(seed).choices(ids, k=calls)
        all_there.wait()
        for id in chosen:
            call(id)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    all_there.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return THREADS * calls / (time.perf_counter() - start)
