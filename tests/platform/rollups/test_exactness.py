"""Statistics are those of the rows while many write, some with old snapshots, others count and prune, and some read."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers
from cloudpub_models.connection.transactions import IsolationLevel
from cloudpub_models.errors import ConstraintError, LockNotAvailableError, RetryableError
from cloudpub_models.platform.rollups import counting
from tests.platform.rollups.test_reading import Row as Counted
from tests.platform.rollups.test_reading import World

HOUR = timedelta(hours=1)
HOURS = 100
# Those that are pruned: their rows are never changed here, since what was counted of them would stay.
PRUNED_HOURS = 30
WRITERS = 4
LEDGER = (
    "CREATE TABLE ledger (id INTEGER PRIMARY KEY, function_id INTEGER, timestamp TEXT, status TEXT, duration INTEGER)"
)
ISOLATIONS: tuple[IsolationLevel, ...] = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


class Platform:
    """A database in which each writer also writes down, in the same transaction, what the statistics should say."""

    def __init__(self, url: str, seed: int) -> None:
        self.database = Database(url, rollups=True, busy_timeout=60)
        self.managers = Managers(self.database)
        self.begin = counting.hour_of(datetime.now(UTC)) - HOURS * HOUR
        self.seed = seed
        self.over = threading.Event()
        self.failures: list[Exception] = []
        ada = self.managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        self.functions: list[Function] = [
            self.managers.functions.insert({"user_id": ada.id, "name": name}) for name in ("resize", "crop")
        ]
        self.database.raw_execute(LEDGER)
        self.managers.function_invocations.enable_rollups()
        self.counted = self.compared = 0

    def write(self, number: int) -> None:
        chance = random.Random(f"{self.seed} {number}")
        while not self.over.is_set():
            # Who lost against another one does something else.
            with suppress(RetryableError, ConstraintError, LockNotAvailableError):
                self._write(chance)

    def _write(self, chance: random.Random) -> None:
        invocations = self.managers.function_invocations
        with self.database.transaction(isolation=chance.choice(ISOLATIONS)) as connection:
            connection.execute("SELECT COUNT(*) AS n FROM functions")  # by which it sees what it sees
            time.sleep(chance.choice((0, 0, 0.002, 0.02)))
            for _ in range(chance.randint(1, 3)):
                what = chance.choice(("insert", "insert", "late", "update", "delete"))
                if what in ("insert", "late"):
                    hours = chance.uniform(HOURS - 1, HOURS) if what == "insert" else chance.uniform(0, HOURS)
                    self._insert(connection, chance, hours)
                    continue
                found = connection.execute(
                    "SELECT id FROM ledger WHERE timestamp > @since ORDER BY id LIMIT 1 OFFSET @offset",
                    {"since": str(self.begin + PRUNED_HOURS * HOUR), "offset": chance.randrange(60)},
                )
                for row in found:
                    if what == "delete":
                        invocations.delete_by_id(row["id"])
                        connection.execute("DELETE FROM ledger WHERE id = @id", row)
                    else:
                        duration = chance.randrange(10**6)
                        invocations.update_by_id(row["id"], {"duration_ms": duration, "status": "changed"})
                        connection.execute(
                            "UPDATE ledger SET duration = @duration, status = 'changed' WHERE id = @id",
                            {**row, "duration": duration},
                        )
            time.sleep(chance.choice((0, 0, 0.002, 0.02)))

    def _insert(self, connection: Any, chance: random.Random, hours: float) -> None:
        values: dict[str, Any] = {
            "function_id": chance.choice(self.functions).id,
            "timestamp": self.begin + hours * HOUR,
            "status": chance.choice(("success", "failed")),
            "duration_ms": chance.choice((None, chance.randrange(50), chance.randrange(10**6))),
        }
        made = self.managers.function_invocations.insert(values)
        connection.execute(
            "INSERT INTO ledger VALUES (@id, @function_id, @text, @status, @duration)",
            {
                "id": made.id,
                "function_id": made.function_id,
                "text": str(made.timestamp),
                "status": made.status,
                "duration": made.duration_ms,
            },
        )

    def count(self, number: int) -> None:
        chance = random.Random(f"{self.seed} counting {number}")
        pruned, counted = 0, 0.0
        while not self.over.is_set():
            with suppress(LockNotAvailableError, RetryableError):
                if chance.random() < 0.2 and pruned < PRUNED_HOURS:
                    pruned += 1
                    self.managers.function_invocations.prune(self.begin + pruned * HOUR)
                else:
                    counted = min(HOURS, counted + chance.uniform(0, 5))
                    self.managers.function_invocations.rollup(self.begin + counted * HOUR)
                self.counted += 1

    def compare(self, number: int) -> None:
        chance = random.Random(f"{self.seed} comparing {number}")
        while not self.over.is_set():
            self.compare_once(chance)

    def compare_once(self, chance: random.Random) -> None:
        since = self.begin + chance.randrange(HOURS) * HOUR
        if since > self.begin + PRUNED_HOURS * HOUR:
            since += chance.random() * HOUR
        function = chance.choice(self.functions)
        with self.database.transaction(isolation="REPEATABLE READ", read_only=True) as connection:
            stats = self.managers.function_invocations.get_function_stats(function, since)
            days = self.managers.function_invocations.get_user_daily_stats(function.user_id, 6)
            rows = connection.execute("SELECT function_id, timestamp, status, duration FROM ledger")
        world = World()
        for key, row in enumerate(rows):
            moment = datetime.fromisoformat(row["timestamp"])
            world.rows[key] = Counted(row["function_id"], moment, row["status"], row["duration"])
        assert stats == world.stats(function.id, since)
        assert sum(day.total for day in days) == len(rows)
        self.compared += 1

    def run(self, work: Callable[[int], None], number: int) -> threading.Thread:
        def noting() -> None:
            try:
                work(number)
            except Exception as failure:  # noqa: BLE001 - told to who started the thread
                self.failures.append(failure)
                self.over.set()

        thread = threading.Thread(target=noting)
        thread.start()
        return thread


@pytest.fixture
def platform(session_locks: None, shared_url: str, seed: int) -> Iterator[Platform]:
    platform = Platform(shared_url, seed)
    yield platform
    platform.database.close()


def test_what_is_read_is_what_is_there(platform: Platform, scale: Callable[[int, int], int]) -> None:
    threads = [platform.run(platform.write, number) for number in range(WRITERS)]
    threads += [platform.run(platform.count, number) for number in range(2)]
    threads += [platform.run(platform.compare, number) for number in range(2)]
    platform.over.wait(scale(2, 60))
    platform.over.set()
    for thread in threads:
        thread.join()
    assert platform.failures == []
    platform.managers.function_invocations.rollup()
    platform.compare_once(random.Random(0))
    print(f"{platform.compared} comparisons while rollups were counted {platform.counted} times")
