"""What is promised of tables that grow, each promise measured by itself: ``python -m benchmarks.growth --only P3 U3``.

Ratios are those of processor time, of the client and the server's session together, or of that session alone where it
says "server"; two measurements of what is compared with have to agree within 2 %, or the ratio is void. Seconds and
milliseconds are those of the day.
"""

from __future__ import annotations

import itertools
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import archiving
from benchmarks.databases import postgresql_database, session_clock
from benchmarks.measuring import Contestant, Measurement, measure
from benchmarks.partitions import give_days
from benchmarks.rolling_up import a_year, function_of
from benchmarks.side_by_side import three_databases
from cloudpub_models import Database, Function, Managers
from cloudpub_models.connection.postgresql.preparation import SECONDS_OF_YOUTH

_DAY = timedelta(days=1)
_SPAWN = multiprocessing.get_context("spawn")
_INVOCATIONS = "function_invocations"
_FUNCTIONS = 50
_LONG_READ_SECONDS = 3.0
_PAUSE_SECONDS = 0.002


class Figure(NamedTuple):
    """What was measured of a promise.

    Attributes:
        name: of what.
        value: how much.
        unit: of what is measured.
        limit: what was promised: at most that, or at least.
        at_least: whether it is the latter.
        valid: whether the measurement is to be trusted.
    """

    name: str
    value: float
    unit: str
    limit: float
    at_least: bool = False
    valid: bool = True

    @property
    def kept(self) -> bool:
        """Whether the promise is."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        rows: how many rows there are; each promise has its own number where it is ``None``.
        rounds: how many blocks each contestant runs.
        server: a PostgreSQL server to use, instead of starting one.
    """

    rows: int | None = None
    rounds: int = 40
    server: str | None = None


def lookups_in_a_year_of_days(size: Size) -> Iterator[Figure]:
    """P3: what a year of partitions costs who looks for one row, or the last hundred."""
    days, rows = (367, 367_000) if size.rows is None else (4, size.rows)
    with three_databases("postgresql", size.server) as databases, ExitStack() as sessions:
        begin = _midnight() - days * _DAY
        give_days(databases[-1], "function_logs", begin, days)
        partitions = f"{len(databases[-1].partitions('function_logs'))} partitions"
        managers = [Managers(database) for database in databases]
        functions = [_fill_logs(each, rows, begin, days) for each in managers]
        lines = [each.function_logs.find_all(order_by="id", limit=2_000) for each in managers]
        lines = [sorted(some, key=lambda line: line.message)[::10] for some in lines]
        for database in databases:
            # Of their own: nothing prepares itself in a session in which SQL has made tables.
            sessions.enter_context(database.session())
        # The connection of a worker is older than those on which no lookup is prepared yet.
        time.sleep(SECONDS_OF_YOUTH)

        def compared(call: Callable[[Managers, Any], object], arguments: Sequence[Sequence[Any]]) -> Measurement:
            return _measured(databases, [_partial(call, each) for each in managers], arguments, size.rounds)

        by_uuid = compared(
            lambda each, uuid: each.function_logs.find_by_uuid(uuid), [[line.uuid for line in some] for some in lines]
        )
        yield _ratio(f"a row by its UUID, {partitions} to one table", by_uuid, 2.0)
        tail = compared(lambda each, function: each.function_logs.tail(function, 100), [[each] for each in functions])
        yield _ratio(f"`tail(100)`, {partitions} to one table", tail, 2.0)
        with _prepared(databases[-1]) as prepared:
            logs = Managers(prepared).function_logs
            ids = itertools.cycle([line.id for line in lines[-1]])
            taken = _seconds(lambda: logs.find_by_id(next(ids)), session_clock(prepared), 20 * size.rounds)
            yield Figure(f"a row by its id, prepared, {partitions}", taken * 1e3, "ms", 1.0)


def rows_thrown_away(size: Size) -> Iterator[Figure]:
    """P4: what it takes to throw 30 days of 60 away, and how long those have to wait who write meanwhile."""
    pruned = size.rows or 2_500_000
    with postgresql_database(size.server, "off") as target:
        database = Database(target.url, statement_timeout=0)
        managers = Managers(database)
        begin = _midnight() - 60 * _DAY
        give_days(database, _INVOCATIONS, begin, 60)
        function = function_of(managers)
        _generate(database, function, pruned, begin, 30 * _DAY)
        _generate(database, function, pruned // 10, begin + 30 * _DAY, 30 * _DAY)
        database.engine.run("CHECKPOINT", None)
        with _inserting(target.url, function) as waits:
            started = time.perf_counter()
            gone = managers.function_invocations.prune(begin + 30 * _DAY)
            yield Figure(f"`prune` of {gone:,} rows of 30 days", time.perf_counter() - started, "s", 3.0)
        yield Figure("… an insert's longest wait", max(waits) * 1e3, "ms", 50.0)
        with _inserting(target.url, function) as waits, _reading(target.url, _LONG_READ_SECONDS):
            managers.function_invocations.prune(begin + 35 * _DAY)
        yield Figure("… beside a read of 3 s", max(waits) * 1e3, "ms", 50.0)
        database.close()


def copies_into_days(size: Size) -> Iterator[Figure]:
    """P5: what it costs to copy rows into partitions of 60 days, in the order of their time."""
    batch = size.rows or 10_000
    with _three_servers_databases(size) as databases:
        begin = _midnight() - 60 * _DAY
        give_days(databases[-1], _INVOCATIONS, begin, 60)
        managers = [Managers(database) for database in databases]
        functions = [function_of(each) for each in managers]
        for name, span in (("in the order of their time", 60 * _DAY / 50), ("each over all days", 60 * _DAY)):
            measured = _measured(
                databases,
                [each.function_invocations.batch_insert for each in managers],
                [list(_batches(function, batch, begin, span)) for function in functions],
                max(1, size.rounds // 2),
                server_alone=True,
            )
            yield _ratio(f"server: COPY into 60 partitions to one table, batches of {batch:,} {name}", measured, 1.1)


def statistics_of_a_year(size: Size) -> Iterator[Figure]:
    """U2: what the statistics of a year take from rollups."""
    days = min(365, size.rows or 365)
    with postgresql_database(size.server, "off") as target:
        database = Database(target.url, rollups=True)
        invocations = Managers(database).function_invocations
        invocations.enable_rollups()
        busy = a_year(Managers(database), days)
        with database.session():
            clock = session_clock(database)
            # What lies behind the last whole hour is read from rows; so these are two, one of them counted.
            hour, year = [
                _seconds(lambda: invocations.get_function_stats(busy, span), clock, size.rounds)  # noqa: B023 - called at once
                for span in (timedelta(hours=2), timedelta(days=365))
            ]
        yield Figure("statistics of a year of 876,000,000 invocations", year * 1e3, "ms", 100.0)
        yield Figure("… to those of an hour", year / hour, "times", 20.0)
        database.close()


def copies_with_rollups(size: Size) -> Iterator[Figure]:
    """U3: what the triggers of rollups add to a COPY of rows that come in time."""
    batch = size.rows or 10_000
    with _three_servers_databases(size) as databases:
        managers = [Managers(database) for database in databases]
        managers[-1].function_invocations.enable_rollups()
        managers[-1].function_invocations.rollup()
        rows = [
            {"function_id": 0, "status": "success", "duration_ms": number % 997, "error": None}
            for number in range(batch)
        ]
        functions = [function_of(each) for each in managers]
        measured = _measured(
            databases,
            [each.function_invocations.batch_insert for each in managers],
            [[[row | {"function_id": function.id} for row in rows]] for function in functions],
            size.rounds,
            server_alone=True,
        )
        yield _ratio(f"server: COPY of {batch:,} rows, with rollups to without", measured, 1.05)


def bytes_of_an_archive(size: Size) -> Iterator[Figure]:
    """A1: how large a row is in an archive."""
    with postgresql_database(size.server, "off") as target, tempfile.TemporaryDirectory() as place:
        found, _, _ = archiving.measure(target.url, size.rows or 100_000, Path(place) / "archive")
        yield Figure("an invocation in an archive", found, "bytes", 30.0)


def rows_in_batches(size: Size) -> Iterator[Figure]:
    """I1: how many rows two programs insert in a second, in batches of 1,000."""
    batches = max(1, (size.rows or 200_000) // 2_000)
    with postgresql_database(size.server, "off") as target:
        database = Database(target.url)
        function = function_of(Managers(database))
        database.close()
        with _SPAWN.Manager() as shared, _SPAWN.Pool(2) as pool:
            together = shared.Barrier(2)
            arguments = [(target.url, function.id, batches, together)] * 2
            found = pool.starmap(_insert_batches, arguments)
        began, ended = min(first for first, _, _ in found), max(last for _, last, _ in found)
        yield Figure(
            "batches of 1,000, two programs on two cores", 2_000 * batches / (ended - began), "rows/s", 50_000, True
        )
        computed = sum(seconds for _, _, seconds in found) / (2_000 * batches)
        yield Figure("… two cores by the processor time of a row", 2 / computed, "rows/s", 50_000, True)


PROMISES: dict[str, Callable[[Size], Iterator[Figure]]] = {
    "P3": lookups_in_a_year_of_days,
    "P4": rows_thrown_away,
    "P5": copies_into_days,
    "U2": statistics_of_a_year,
    "U3": copies_with_rollups,
    "A1": bytes_of_an_archive,
    "I1": rows_in_batches,
}


def _insert_batches(url: str, function_id: int, batches: int, together: Any) -> tuple[float, float, float]:
    """Insert batches of 1,000, and return when that began and ended, and the processor time that it took."""
    database = Database(url)
    invocations = Managers(database).function_invocations
    rows = [{"function_id": function_id, "status": "success", "duration_ms": number % 997} for number in range(1_000)]
    with database.session():
        invocations.batch_insert(rows)
        clock = session_clock(database)
        together.wait()
        began, computed = time.monotonic(), clock()
        for _ in range(batches):
            invocations.batch_insert(rows)
        ended, computed = time.monotonic(), clock() - computed
    database.close()
    return began, ended, computed


@contextmanager
def _three_servers_databases(size: Size) -> Iterator[list[Database]]:
    with three_databases("postgresql", size.server) as databases, ExitStack() as sessions:
        for database in databases:
            sessions.enter_context(database.session())
        yield databases


@contextmanager
def _prepared(database: Database) -> Iterator[Database]:
    prepared = Database(database.engine.database, prepared=True)
    with prepared.session():
        yield prepared
    prepared.close()


def _measured(
    databases: Sequence[Database],
    calls: Sequence[Callable[[Any], object]],
    arguments: Sequence[Sequence[Any]],
    rounds: int,
    *,
    server_alone: bool = False,
) -> Measurement:
    contestants = [
        Contestant(call, itertools.cycle(each), session_clock(database, server_alone=server_alone))
        for database, call, each in zip(databases, calls, arguments, strict=True)
    ]
    control, again, other = contestants
    return measure(control, again, other, rounds, 3, lambda: None)


def _partial(call: Callable[[Managers, Any], object], managers: Managers) -> Callable[[Any], object]:
    return lambda argument: call(managers, argument)


def _ratio(name: str, measured: Measurement, limit: float) -> Figure:
    return Figure(name, measured.ratio, "times", limit, valid=measured.valid)


def _seconds(call: Callable[[], object], clock: Callable[[], float], times: int) -> float:
    taken = []
    for _ in range(times):
        started = clock()
        call()
        taken.append(clock() - started)
    return median(taken)


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _fill_logs(managers: Managers, rows: int, begin: datetime, days: int) -> Function:
    """Write lines of days that have been, and return a function that has every second."""
    functions = [function_of(managers, f"f{number}") for number in range(_FUNCTIONS)]
    managers.function_logs.batch_insert(
        {
            "function_id": functions[0 if number % 2 else number // 2 % _FUNCTIONS].id,
            "level": "info",
            "message": f"request {number:08} handled in {number % 977} ms",
            "timestamp": begin + days * _DAY * (number / rows),
        }
        for number in range(rows)
    )
    managers.database.engine.run("VACUUM (ANALYZE) function_logs", None)
    return functions[0]


def _batches(function: Function, size: int, begin: datetime, span: timedelta) -> Iterator[list[dict[str, Any]]]:
    """Yield batches of 60 days, each of so many invocations in the order of their time."""
    for first in range(int(60 * _DAY / span)):
        yield [
            {
                "function_id": function.id,
                "status": "success",
                "duration_ms": number % 997,
                "timestamp": begin + span * (first + number / size),
            }
            for number in range(size)
        ]


def _generate(database: Database, function: Function, rows: int, begin: datetime, span: timedelta) -> None:
    database.raw_execute(
        """
        INSERT INTO function_invocations (function_id, status, duration_ms, timestamp)
        SELECT @function, 'success', n % 997, CAST(@begin AS timestamp) + n * (CAST(@span AS interval) / @rows)
        FROM generate_series(0, @rows - 1) AS n
        """,
        {"function": function.id, "rows": rows, "begin": begin, "span": f"{span.days} days"},
    )


@contextmanager
def _inserting(url: str, function: Function) -> Iterator[list[float]]:
    """Insert all the time during a block, and give how long each took."""
    waits: list[float] = []
    done, begun = threading.Event(), threading.Event()

    def insert() -> None:
        database = Database(url)
        invocations = Managers(database).function_invocations
        with database.session():
            invocations.record(function, "success", 5)
            while not done.is_set():
                started = time.perf_counter()
                invocations.record(function, "success", 5)
                waits.append(time.perf_counter() - started)
                begun.set()
                time.sleep(_PAUSE_SECONDS)
        database.close()

    thread = threading.Thread(target=insert)
    thread.start()
    begun.wait()
    try:
        yield waits
    finally:
        done.set()
        thread.join()


@contextmanager
def _reading(url: str, seconds: float) -> Iterator[None]:
    """Have somebody read all invocations and go on with his transaction for some seconds."""
    begun = threading.Event()

    def read() -> None:
        database = Database(url)
        with database.transaction(read_only=True):
            database.raw_query_all("SELECT COUNT(*) AS n FROM function_invocations")
            begun.set()
            time.sleep(seconds)
        database.close()

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait()
    yield
    thread.join()
