"""Rollups on several servers say what the rows say, and go with the functions that are moved from one to another."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, InvocationBucket, Managers, QueryEvent, errors
from cloudpub_models.cells import cells as cells_module
from cloudpub_models.cells import moving
from cloudpub_models.cells.buckets import bucket_of
from cloudpub_models.platform.rollups import counting
from tests.cells.conftest import urls
from tests.platform.rollups.test_reading import Row, World
from tests.programs import Programs

__all__ = ["urls"]

# Two days, over the end of a month.
BEGIN = datetime(2024, 2, 28, 12, tzinfo=UTC)
HOURS = 48
HOUR = timedelta(hours=1)
LATE = "SELECT COUNT(*) AS number FROM function_invocation_rollups_late"


@pytest.fixture
def opened(urls: list[str]) -> Iterator[Callable[[], Managers]]:
    """Opens the main database with its servers, as a program of its own does."""
    with ExitStack() as stack:

        def open_one() -> Managers:
            database = Database(urls[0], history=urls[1:], rollups=True)
            stack.callback(database.close)
            return Managers(database)

        yield open_one


@pytest.fixture
def managers(opened: Callable[[], Managers]) -> Managers:
    """Those of a platform whose servers have rollups, and none on main."""
    managers = opened()
    managers.cells.initialize()
    assert managers.function_invocations.enable_rollups()
    assert not managers.function_invocations.enable_rollups()
    return managers


@pytest.fixture
def functions(managers: Managers) -> list[Function]:
    return made(managers)


@pytest.fixture(autouse=True)
def _in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "_ROWS_AT_ONCE", 20)
    monkeypatch.setattr(cells_module, "_SUSPICIOUS_SECONDS", 0.05)


def made(managers: Managers) -> list[Function]:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    return [managers.functions.insert({"user_id": ada.id, "name": f"function-{number}"}) for number in range(6)]


def random_row(function: Function, chance: random.Random, *, first_hour: int = 0) -> Row:
    moment = BEGIN + chance.uniform(first_hour, HOURS) * HOUR
    return Row(
        function.id,
        moment.replace(microsecond=0),
        chance.choice(["success", "failed"]),
        chance.choice([None, chance.randrange(50), chance.randrange(10**7)]),
    )


def fill(managers: Managers, world: World, rows: list[Row]) -> None:
    """Write rows, and let the plain computation know of them."""
    written = managers.function_invocations.batch_insert(map(columns, rows), returning=True)
    for invocation, row in zip(written, rows, strict=True):
        world.insert(invocation.id, row)


def columns(row: Row) -> Any:
    return dict(zip(("function_id", "timestamp", "status", "duration_ms"), row, strict=True))


def require_equal(managers: Managers, world: World, functions: list[Function], chance: random.Random) -> None:
    """What statistics say is what the rows say, those that were pruned among them."""
    invocations, user = managers.function_invocations, functions[0].user_id
    since = BEGIN + chance.randrange(HOURS) * HOUR
    if since > world.kept_since:
        since += chance.random() * HOUR
    for function in functions:
        assert invocations.get_function_stats(function, since) == world.stats(function.id, since)
    figures = world.figures(world.since(since))
    overview = invocations.get_user_overview(user, since)
    assert {name: getattr(overview, name) for name in figures} == figures
    assert overview.last_invocation_at == max((row.timestamp for row in world.since(since)), default=None)
    assert (overview.functions, overview.deployments) == (len(functions), 0)
    until, one = BEGIN + HOURS * HOUR, chance.choice(functions)
    for zone in (None, "Europe/Berlin"):
        of_one = [
            *invocations.get_hourly_stats(one, 7, until=until, timezone=zone),
            *invocations.get_daily_stats(one, 4, until=until, timezone=zone),
        ]
        of_user = [
            *invocations.get_user_hourly_stats(user, 50, until=until, timezone=zone),
            *invocations.get_user_daily_stats(user, 4, until=until, timezone=zone),
        ]
        for bucket in (*of_one, *of_user):
            rows = [row for row in world.since(bucket.start.astimezone(UTC)) if row.timestamp < bucket.end]
            if bucket in of_one and bucket not in of_user:
                rows = [row for row in rows if row.function_id == one.id]
            expected = InvocationBucket(**world.figures(rows), start=bucket.start, end=bucket.end)
            assert bucket == expected


def test_random_steps_leave_what_the_rows_say(
    managers: Managers, functions: list[Function], seed: int, scale: Callable[[int, int], int]
) -> None:
    chance, world, invocations = random.Random(seed), World(), managers.function_invocations
    buckets = [bucket_of(function.id) for function in functions]
    pruned_until = 0.0
    for number in range(scale(50, 2_000)):
        what = chance.choice(["insert", "insert", "change", "delete", "rollup", "prune", "move", "move", "move a half"])
        kept = sorted(key for key, row in world.rows.items() if row.timestamp >= world.kept_since)
        if what == "insert" or not kept:
            rows = [random_row(chance.choice(functions), chance) for _ in range(chance.randrange(1, 30))]
            given = invocations.batch_insert([columns(row) for row in rows], returning=True)
            for invocation, row in zip(given, rows, strict=True):
                world.insert(invocation.id, row)
        elif what == "change":
            key = chance.choice(kept)
            row = random_row(functions[0], chance)._replace(function_id=world.rows[key].function_id)
            if row.timestamp >= world.kept_since:
                world.rows[key] = row
                changes = columns(row)
                del changes["function_id"]
                assert invocations.update_by_id(key, changes)
        elif what == "delete":
            key = chance.choice(kept)
            del world.rows[key]
            assert invocations.delete_by_id(key)
        elif what == "rollup":
            invocations.rollup(BEGIN + chance.uniform(0, HOURS) * HOUR)
        elif what == "prune":
            pruned_until += chance.uniform(0, 3)
            cutoff = BEGIN + pruned_until * HOUR
            assert invocations.prune(cutoff) == world.prune(cutoff)
        elif what == "move":
            managers.cells.move(chance.sample(buckets, chance.randrange(1, 6)), chance.choice([1, 2]))
        elif chance.random() < 0.5:
            # One of both has counted more, or has frozen what the other has not.
            one = chance.choice(managers.database.history_servers)
            counting.count(one, BEGIN + chance.uniform(0, HOURS) * HOUR, wait=1)
        if number % 5 == 0:
            require_equal(managers, world, functions, chance)
    invocations.rollup()
    require_equal(managers, world, functions, chance)


def test_one_server_has_more_hours_frozen_than_the_other(managers: Managers, functions: list[Function]) -> None:
    chance, world, invocations = random.Random(1), World(), managers.function_invocations
    buckets = [bucket_of(function.id) for function in functions]
    rows = [random_row(function, chance) for function in functions for _ in range(40)]
    fill(managers, world, rows)
    invocations.rollup(BEGIN + 30 * HOUR)
    for number, server in enumerate(managers.database.history_servers, start=1):
        managers.cells.move(buckets, number)
        # As a prune that has come no further, whose rows the other one gets.
        counting.count(server, BEGIN + 10 * number * HOUR, BEGIN + 10 * number * HOUR, wait=1)
    managers.cells.move(buckets, 1)
    require_equal(managers, world, functions, chance)
    late = Row(functions[0].id, BEGIN + 3 * HOUR, "failed", 7)
    world.kept_since = BEGIN + 20 * HOUR
    world.frozen = [row for row in world.rows.values() if row.timestamp < world.kept_since]
    world.insert(invocations.insert(columns(late)).id, late)
    managers.cells.move(buckets, 2)
    require_equal(managers, world, functions, chance)
    assert invocations.prune(BEGIN + 20 * HOUR) == world.prune(BEGIN + 20 * HOUR)
    managers.cells.move(buckets, 1)
    invocations.rollup()
    require_equal(managers, world, functions, chance)
    assert [server.raw_query_single(LATE) for server in managers.database.history_servers] == [{"number": 0}] * 2


def test_nothing_is_lost_or_doubled_while_others_write_count_and_prune(
    managers: Managers,
    opened: Callable[[], Managers],
    functions: list[Function],
    scale: Callable[[int, int], int],
    seed: int,
) -> None:
    world = World()
    chance = random.Random(seed)
    rows = [random_row(function, chance) for function in functions for _ in range(60)]
    managers.function_invocations.batch_insert(map(columns, rows))
    work = Programs(opened, pause=0.01, rounds=1)
    newest, pruned = itertools.count(1), itertools.count(1)

    def write(number: int) -> Callable[[Managers], None]:
        """Each of them alone writes about its function; what it changes again is never pruned."""
        function, own = functions[number], World()
        for place, row in enumerate(rows):
            if row.function_id == function.id:
                own.insert(-place, row)
        chance = random.Random(f"{seed} {number}")
        known: list[int] = []

        def step(its: Managers) -> None:
            invocations = its.function_invocations
            what = chance.choice(["insert", "late", "change", "delete"])
            if what == "late" or not known:
                row = random_row(function, chance)
                own.insert(invocations.insert(columns(row)).id, row)
            if what == "insert":
                row = random_row(function, chance, first_hour=30)
                known.append(invocations.insert(columns(row)).id)
                own.insert(known[-1], row)
            elif what == "change" and known:
                key = chance.choice(known)
                own.rows[key] = own.rows[key]._replace(duration=chance.randrange(10**6), status="changed")
                assert invocations.update_by_id(key, {"duration_ms": own.rows[key].duration, "status": "changed"})
            elif what == "delete" and known:
                key = known.pop(chance.randrange(len(known)))
                del own.rows[key]
                assert invocations.delete_by_id(key)
            since = BEGIN + chance.randrange(HOURS) * HOUR
            assert invocations.get_function_stats(function, since) == own.stats(function.id, since)

        return step

    def count(its: Managers) -> None:
        time.sleep(0.3)  # so that a move gets between two
        its.function_invocations.rollup(BEGIN + min(next(newest), HOURS) * HOUR)

    def prune(its: Managers) -> None:
        time.sleep(0.3)
        its.function_invocations.prune(BEGIN + min(next(pruned), 25) * HOUR)

    for number in range(3):
        work.add(f"writer {number}", write(number))
    work.add("count", count)
    work.add("prune", prune)
    buckets = [bucket_of(function.id) for function in functions]
    with work.going_on():
        mover = opened()
        for _ in range(scale(2, 50)):
            for server in (1, 2):
                mover.cells.move(buckets, server)
                work.go_on()
    assert world.rows == {}
    for function in functions[3:]:
        own = World()
        own.rows = {place: row for place, row in enumerate(rows) if row.function_id == function.id}
        stats = managers.function_invocations.get_function_stats(function, BEGIN)
        assert stats == own.stats(function.id, BEGIN)


END_SESSIONS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = CURRENT_DATABASE() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
# What is killed, by what was sent last, and how often.
STEPS = {
    "hours were copied": ("INSERT INTO function_invocation_rollups\n", 1),
    "nobody writes": ("SELECT one FROM function_invocation_rollups_state FOR UPDATE", 1),
    "the rest was copied": ("INSERT INTO function_invocation_rollups_late\n    SELECT *", 1),
    "rollups were forgotten": ("UPDATE function_invocation_rollups_state SET one = one", 2),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", ["the program", "all sessions"])
def test_what_is_ended_in_the_middle_loses_nothing(
    what: str,
    step: str,
    managers: Managers,
    opened: Callable[[], Managers],
    urls: list[str],
    functions: list[Function],
) -> None:
    chance, world, invocations = random.Random(3), World(), managers.function_invocations
    buckets = [bucket_of(function.id) for function in functions]
    managers.cells.move(buckets, 1)
    fill(managers, world, [random_row(function, chance) for function in functions for _ in range(20)])
    assert invocations.prune(BEGIN + 20 * HOUR) == world.prune(BEGIN + 20 * HOUR)
    late = Row(functions[0].id, BEGIN + HOUR, "failed", 7)
    world.insert(invocations.insert(columns(late)).id, late)
    if what == "the program":
        kill_moving(step, urls, buckets)
    else:
        end_sessions_of_moving(step, opened(), urls, buckets)
        managers.database.close()
    require_equal(managers, world, functions, chance)
    another = Row(functions[1].id, BEGIN + 2 * HOUR, "success", 12)
    world.insert(invocations.insert(columns(another)).id, another)
    managers.cells.move(buckets, 2)
    require_equal(managers, world, functions, chance)
    invocations.rollup()
    require_equal(managers, world, functions, chance)


def kill_moving(step: str, urls: list[str], buckets: list[int]) -> None:
    words, times = STEPS[step]
    program = f"""
import itertools, os, signal
from cloudpub_models import Database, Managers
database = Database({urls[0]!r}, history={urls[1:]!r})
cells = Managers(database).cells
cells.servers()
seen = itertools.count(1)
database.on_query(
    lambda query: {words.strip()!r} in query.sql and next(seen) == {times} and os.kill(os.getpid(), signal.SIGKILL)
)
cells.move({buckets!r}, 2)
"""
    finished = subprocess.run([sys.executable, "-c", program], check=False)
    assert finished.returncode == -signal.SIGKILL


def end_sessions_of_moving(step: str, mover: Managers, urls: list[str], buckets: list[int]) -> None:
    words, times = STEPS[step]
    seen, ended = itertools.count(1), []

    def end(query: QueryEvent) -> None:
        if words.strip() in query.sql and next(seen) == times:
            for url in urls:
                other = Database(url)
                ended.append(other.raw_query_all(END_SESSIONS))
                other.close()

    mover.cells.servers()
    mover.database.on_query(end)
    with pytest.raises((errors.ConnectionLostError, errors.MigrationError)):
        mover.cells.move(buckets, 2)
    assert len(ended) == 3


def test_who_counts_in_the_middle_is_waited_for_or_copied_again(
    managers: Managers, opened: Callable[[], Managers], functions: list[Function]
) -> None:
    chance, world, invocations = random.Random(5), World(), managers.function_invocations
    buckets = [bucket_of(function.id) for function in functions]
    managers.cells.move(buckets, 1)
    fill(managers, world, [random_row(function, chance) for function in functions for _ in range(20)])
    invocations.prune(BEGIN + 20 * HOUR)
    world.prune(BEGIN + 20 * HOUR)
    late = [Row(function.id, BEGIN + HOUR, "failed", 7) for function in functions]
    fill(managers, world, late)
    mover, told = opened(), []

    def count(query: QueryEvent) -> None:
        # Behind what was copied and before nobody writes: the additions become part of the frozen hours, on both.
        if "UPDATE cells SET" in query.sql:
            told.append(1)
            if len(told) == 2:
                assert invocations.rollup() > BEGIN + HOURS * HOUR

    mover.cells.servers()
    mover.database.on_query(count)
    mover.cells.move(buckets, 2)
    # It has taken the fence away, and put it up again.
    assert len(told) == 7
    require_equal(managers, world, functions, chance)


def test_main_keeps_its_rollups_until_they_are_moved(urls: list[str], opened: Callable[[], Managers]) -> None:
    chance, world = random.Random(7), World()
    plain = Managers(Database(urls[0], rollups=True))
    functions = made(plain)
    plain.function_invocations.enable_rollups()
    rows = [random_row(function, chance) for function in functions for _ in range(20)]
    for invocation, row in zip(
        plain.function_invocations.batch_insert(map(columns, rows), returning=True), rows, strict=True
    ):
        world.insert(invocation.id, row)
    assert plain.function_invocations.prune(BEGIN + 20 * HOUR) == world.prune(BEGIN + 20 * HOUR)
    managers = opened()
    assert managers.cells.initialize()
    require_equal(managers, world, functions, chance)
    some = [bucket_of(function.id) for function in functions[:4]]
    with pytest.raises(
        errors.ConfigurationError, match=r"expected rollups on both servers; got .* call .*enable_rollups"
    ):
        managers.cells.move(some, 1)
    require_equal(managers, world, functions, chance)
    assert managers.function_invocations.enable_rollups()
    managers.cells.move(some, 1)
    require_equal(managers, world, functions, chance)
    managers.cells.move([bucket_of(function.id) for function in functions], 2)
    require_equal(managers, world, functions, chance)
    managers.function_invocations.rollup()
    require_equal(managers, world, functions, chance)
    assert managers.function_invocations.disable_rollups()
    assert not plain.function_invocations.disable_rollups()
    plain.database.close()


def test_what_is_deleted_on_main_goes(managers: Managers, functions: list[Function]) -> None:
    invocations = managers.function_invocations
    chance = random.Random(9)
    invocations.batch_insert(columns(random_row(function, chance)) for function in functions for _ in range(10))
    invocations.prune(BEGIN + 20 * HOUR)
    gone = functions[0]
    assert invocations.get_function_stats(gone, BEGIN).total == 10
    managers.functions.delete_by_id(gone.id)
    managers.cells.sweep()
    assert invocations.get_function_stats(gone.id, BEGIN).total == 0
    assert sum(invocations.get_function_stats(function, BEGIN).total for function in functions[1:]) == 50


def test_a_server_where_somebody_writes_for_long_is_named_and_the_others_are_counted(
    managers: Managers, urls: list[str], functions: list[Function]
) -> None:
    invocations = managers.function_invocations
    first, second = managers.database.history_servers
    other = Database(urls[1])
    with other.transaction():
        other.raw_execute("INSERT INTO function_invocations (function_id, status) VALUES (1, 'x')")
        with pytest.raises(
            errors.LockNotAvailableError, match=r"^postgresql://.*: expected the transactions that were"
        ):
            invocations.rollup(wait=0.1)
    other.close()
    assert counting.state_of(first).counted_until == counting.BEGINNING
    assert counting.state_of(second).counted_until > BEGIN
    with managers.database.transaction():
        for call in (invocations.rollup, invocations.enable_rollups, invocations.disable_rollups):
            with pytest.raises(errors.InvalidQueryError, match="in a transaction"):
                call()
