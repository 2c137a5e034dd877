"""Buckets are moved while programs read and write: nothing is lost, doubled or undead, whoever ends in the middle."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, QueryEvent, errors
from cloudpub_models.cells import cells as cells_module
from cloudpub_models.cells import moving
from cloudpub_models.cells.buckets import BUCKETS, bucket_of
from tests.conftest import SOAK_VARIABLE
from tests.programs import Programs

LEFT = "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'cell_changes%' AND tgenabled <> 'D'"


@pytest.fixture
def opened(urls: list[str]) -> Iterator[Callable[[], Managers]]:
    """Opens the main database with its servers, as a program of its own does."""
    with ExitStack() as stack:

        def open_one() -> Managers:
            database = Database(urls[0], history=urls[1:])
            stack.callback(database.close)
            return Managers(database)

        yield open_one


@pytest.fixture(params=["a server", "main"])
def source(request: pytest.FixtureRequest, urls: list[str], opened: Callable[[], Managers]) -> int:
    """The number of the server that has the rows of the eight functions, which are to go to number 2."""
    plain = Managers(Database(urls[0]))
    ada = plain.users.insert({"email": "ada@example.com", "password_hash": "…"})
    made = [plain.functions.insert({"user_id": ada.id, "name": f"function-{number}"}) for number in range(8)]
    if request.param == "main":
        plain.function_logs.batch_insert(
            {"function_id": function.id, "level": "old", "message": str(number)}
            for number in range(160)
            for function in [made[number % 8]]
        )
    plain.database.close()
    managers = opened()
    managers.cells.initialize()
    if request.param == "main":
        return 0
    managers.cells.move([bucket_of(function.id) for function in made], 1)
    managers.function_logs.batch_insert(
        {"function_id": made[number % 8].id, "level": "old", "message": str(number)} for number in range(160)
    )
    return 1


@pytest.fixture
def managers(source: int, opened: Callable[[], Managers]) -> Managers:
    """The managers of a program that looks on."""
    return opened()


@pytest.fixture
def functions(managers: Managers) -> list[Function]:
    return managers.functions.find_all(order_by="id")


@pytest.fixture
def buckets(functions: list[Function]) -> list[int]:
    """The buckets of the first six functions."""
    return sorted({bucket_of(function.id) for function in functions[:6]})


@pytest.fixture(autouse=True)
def _in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "_ROWS_AT_ONCE", 20)
    monkeypatch.setattr(cells_module, "_SUSPICIOUS_SECONDS", 0.05)


def is_there(managers: Managers, level: str) -> dict[Any, str]:
    found = managers.function_logs.find_all({"level": level})
    rows = {each.uuid: each.message for each in found}
    assert len(rows) == len(found)
    return rows


def require_whole(managers: Managers, urls: list[str]) -> None:
    """Nothing is left of a move, and each row is where the map says."""
    for url in urls:
        database = Database(url)
        assert database.raw_query_all(LEFT) == []
        assert database.raw_query_all("SELECT * FROM cell_changes") == []
        database.close()
    layout = managers.cells._layout_of_now(managers.database.history_servers)
    assert layout.held == frozenset()
    assert dict(layout.unread) == {}
    databases = {0: managers.database._as_server, **layout.servers}
    for number, server in databases.items():
        keys = [row["key"] for row in server.raw_query_all("SELECT DISTINCT function_id AS key FROM function_logs")]
        assert {layout.of_bucket[bucket_of(key)] for key in keys} <= {number}


def test_nothing_is_lost_doubled_or_undead(
    managers: Managers,
    source: int,
    urls: list[str],
    opened: Callable[[], Managers],
    functions: list[Function],
    buckets: list[int],
    scale: Callable[[int, int], int],
    seed: int,
) -> None:
    managers.function_invocations.batch_insert(
        {"function": functions[number % 8], "status": "success", "duration_ms": number} for number in range(40)
    )
    work = Programs(opened, pause=0.01, rounds=1)
    expected: dict[str, dict[Any, str]] = {}
    shared: dict[Any, int] = {}
    newest = itertools.count()

    def worker(name: str, *, begin_with: int = 0) -> Callable[[Callable[..., None]], None]:
        mine = expected[name] = {}
        chooser = random.Random(f"{seed} {name}")
        counter = itertools.count()
        for number in range(begin_with):
            line = managers.function_logs.append(chooser.choice(functions), name, str(number))
            mine[line.uuid] = line.message

        def register(step: Callable[..., None]) -> None:
            work.add(name, lambda its: step(its, mine, chooser, counter))

        return register

    def append(its: Managers, mine: dict[Any, str], chooser: random.Random, counter: Iterator[int]) -> None:
        line = its.function_logs.append(chooser.choice(functions), "append", str(next(counter)))
        mine[line.uuid] = line.message
        shared[line.uuid] = next(newest)
        # What one has written one finds again, in whatever way.
        assert its.function_logs.find_by_id(line.id) == line
        assert its.function_logs.find_by_uuid(line.uuid) == line
        assert line in its.function_logs.tail(line.function_id, 1000)
        assert its.function_logs.count({"level": "append"}) == len(mine)

    def transaction(its: Managers, mine: dict[Any, str], chooser: random.Random, counter: Iterator[int]) -> None:
        with its.database.transaction(isolation="REPEATABLE READ"):
            assert its.users.count() == 1
            line = its.function_logs.append(chooser.choice(functions), "waits", str(next(counter)))
            time.sleep(chooser.uniform(0, 0.01))
        mine[line.uuid] = line.message

    def update(its: Managers, mine: dict[Any, str], chooser: random.Random, counter: Iterator[int]) -> None:
        uuid, message = chooser.choice(list(mine)), str(next(counter))
        assert its.function_logs.update_by_id(uuid, {"message": message}, id_column="uuid") is not None
        mine[uuid] = message

    def update_all(its: Managers, mine: dict[Any, str], chooser: random.Random, counter: Iterator[int]) -> None:
        message = str(next(counter))
        assert len(its.function_logs.update({"message": message}, {"level": "update_all"})) == len(mine)
        mine.update(dict.fromkeys(mine, message))

    def delete(its: Managers, mine: dict[Any, str], chooser: random.Random, counter: Iterator[int]) -> None:
        line = its.function_logs.append(chooser.choice(functions), "delete", str(next(counter)))
        mine[line.uuid] = line.message
        uuid = chooser.choice(list(mine))
        assert its.function_logs.delete_by_id(uuid, id_column="uuid")
        del mine[uuid]
        assert its.function_logs.find_by_uuid(uuid) is None

    def upsert(its: Managers, mine: dict[Any, str], chooser: random.Random, counter: Iterator[int]) -> None:
        uuid = chooser.choice(list(mine))
        line = its.function_logs.get_by_uuid(uuid)
        row: Any = {"function_id": line.function_id, "level": "upsert", "message": str(next(counter)), "uuid": uuid}
        mine[its.function_logs.upsert(row, ["uuid"]).uuid] = row["message"]

    def copy(its: Managers, mine: dict[Any, str], chooser: random.Random, counter: Iterator[int]) -> None:
        rows: list[Any] = [
            {"function": chooser.choice(functions), "level": "copy", "message": str(next(counter))} for _ in range(12)
        ]
        mine.update({line.uuid: line.message for line in its.function_logs.batch_insert(rows, returning=True)})

    def prune(its: Managers, mine: dict[Any, str], chooser: random.Random, counter: Iterator[int]) -> None:
        past = datetime.now(UTC) - timedelta(days=100)
        rows: list[Any] = [
            {"function": function, "level": "prune", "message": "old", "timestamp": past} for function in functions
        ]
        its.function_logs.batch_insert(rows)
        assert its.function_logs.prune(timedelta(days=50), batch_size=3) == len(functions)

    def read(its: Managers, mine: dict[Any, str], chooser: random.Random, counter: Iterator[int]) -> None:
        acknowledged = set(shared)
        old = its.function_logs.find_all({"level": "old"}, order_by="id")
        assert [line.message for line in old] == sorted([str(number) for number in range(160)], key=int) or (
            len(old) == len({line.id for line in old}) == 160
        )
        assert its.function_logs.count({"level": "old"}) == 160
        assert len(list(its.function_logs.iterate({"level": "old"}, order_by="id", chunk_size=7))) == 160
        assert len(list(its.function_logs.iterate({"level": "old"}, chunk_size=50))) == 160
        found = {line.uuid for line in its.function_logs.find_all({"level": "append"})}
        assert acknowledged <= found
        overview = its.function_invocations.get_user_overview(functions[0].user_id)
        assert (overview.total, overview.average, overview.maximum) == (40, 19.5, 39)
        assert len(its.function_invocations.get_last_invocations(functions[0].user_id)) == 8
        page, pages = its.function_logs.paginate_after(None, 50, {"level": "old"}), 1
        while page.next_cursor is not None:
            page, pages = its.function_logs.paginate_after(page.next_cursor, 50, {"level": "old"}), pages + 1
        assert pages == 4

    worker("append")(append)
    worker("waits")(transaction)
    worker("update", begin_with=10)(update)
    worker("update_all", begin_with=16)(update_all)
    worker("delete", begin_with=10)(delete)
    worker("upsert", begin_with=8)(upsert)
    worker("copy")(copy)
    worker("prune")(prune)
    worker("read")(read)
    worker("read too")(read)
    with work.going_on():
        mover = opened()
        for _ in range(scale(1, 50)):
            assert mover.cells.move(buckets, 2) > 100
            if source:
                work.go_on()
                assert mover.cells.move(buckets, source) > 100
            work.go_on()
    assert {name: is_there(managers, name) for name in expected} == expected
    assert managers.function_logs.count({"level": "old"}) == 160
    assert managers.function_logs.count({"level": "prune"}) == 0
    require_whole(managers, urls)


# From the first to the last, by what is sent in each of them; the second is how often before.
STEPS = {
    "the map says it": ("UPDATE cells SET", 1),
    "the source knows": ("SETVAL('cell_map'", 1),
    "the target knows": ("SETVAL('cell_map'", 2),
    "changes are noted": ("TRIGGER cell_changes_delete", 2),
    "some rows": ("JSON_POPULATE_RECORDSET", 2),
    "what was noted": ("DELETE FROM cell_changes", 1),
    "the fence": ("UPDATE cells SET", 2),
    "the fence is known": ("SETVAL('cell_map'", 3),
    "the change": ("UPDATE cells SET", 3),
    "the change is known": ("SETVAL('cell_map'", 4),
    "the fence is gone": ("UPDATE cells SET", 4),
    "changes are noted no more": ("DISABLE TRIGGER cell_changes_delete", 2),
    "some of the rows are deleted": ("LIMIT", 4),
    "the end": ("UPDATE cells SET", 5),
}
SOME_STEPS = ("some rows", "the fence is known", "the change", "some of the rows are deleted")
in_a_soak = (pytest.mark.soak, pytest.mark.skipif(SOAK_VARIABLE not in os.environ, reason="one of many steps"))
each_step = pytest.mark.parametrize(
    "step", [step if step in SOME_STEPS else pytest.param(step, marks=in_a_soak) for step in STEPS]
)


def after(database: Database, words: str, times: int, do: Callable[[], object]) -> None:
    """Do something once, when statements that have some words in them were run so many times."""
    seen = itertools.count(1)

    def look(query: QueryEvent) -> None:
        if words in query.sql and next(seen) == times:
            do()

    database.on_query(look)


@each_step
@pytest.mark.parametrize("source", ["a server"], indirect=True)
def test_a_program_that_is_killed(
    step: str, managers: Managers, urls: list[str], functions: list[Function], buckets: list[int], source: int
) -> None:
    words, times = STEPS[step]
    program = f"""
import itertools, os, signal
from cloudpub_models import Database, Managers
from cloudpub_models.cells import moving
moving._ROWS_AT_ONCE = 20
database = Database({urls[0]!r}, history={urls[1:]!r})
cells = Managers(database).cells
cells.servers()
seen = itertools.count(1)
database.on_query(
    lambda query: {words!r} in query.sql and next(seen) == {times} and os.kill(os.getpid(), signal.SIGKILL)
)
cells.move({buckets!r}, 2)
"""
    finished = subprocess.run([sys.executable, "-c", program], check=False)
    assert finished.returncode == -signal.SIGKILL
    # Reads go on as if nothing were, and writes do, once it is seen that nobody ends what holds them.
    assert managers.function_logs.count({"level": "old"}) == 160
    for function in functions:
        managers.function_logs.append(function, "new", "x")
        assert managers.function_logs.count({"function_id": function.id, "level": "old"}) == 20
        assert [line.message for line in managers.function_logs.tail(function, 1)] == ["x"]
    assert managers.function_logs.delete({"level": "old", "function_id": functions[0].id}) == 20
    managers.cells.move(buckets, 2)
    assert managers.function_logs.count({"level": "old"}) == 140
    assert managers.function_logs.count({"level": "new"}) == 8
    assert {managers.cells.server_of(function.id).url for function in functions[:6]} == {
        managers.database.history_servers[1].url
    }
    require_whole(managers, urls)


@each_step
@pytest.mark.parametrize("source", ["main"], indirect=True)
def test_a_session_that_is_ended(
    step: str, managers: Managers, urls: list[str], opened: Callable[[], Managers], buckets: list[int], source: int
) -> None:
    words, times = STEPS[step]
    mover, others = opened(), [Database(url) for url in urls]

    def end() -> None:
        for other in others:
            other.raw_query_all(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )

    mover.cells.servers()
    after(mover.database, words, times, end)
    with suppress(errors.ConnectionLostError, errors.MigrationError):
        mover.cells.move(buckets, 2)
    assert managers.function_logs.count({"level": "old"}) == 160
    managers.cells.move(buckets, 2)
    assert managers.function_logs.count({"level": "old"}) == 160
    require_whole(managers, urls)
    for other in others:
        other.close()


@pytest.mark.parametrize("source", ["a server"], indirect=True)
def test_a_fence_that_nobody_ends_is_lifted_by_who_waits(
    managers: Managers,
    opened: Callable[[], Managers],
    functions: list[Function],
    buckets: list[int],
    source: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mover = opened()
    with monkeypatch.context() as patch:

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(moving.Mover, "_end", interrupt)
        patch.setattr(moving.Mover, "_take_back", interrupt)
        with pytest.raises(KeyboardInterrupt):
            mover.cells.move(buckets, 2)
    assert managers.cells._layout_of_now(managers.database.history_servers).holds([functions[0].id])
    managers.function_logs.append(functions[0], "info", "x")
    assert [line.message for line in managers.function_logs.tail(functions[0], 1)] == ["x"]


@pytest.mark.parametrize("source", ["a server"], indirect=True)
def test_who_writes_while_a_bucket_is_held_says_so_in_the_end(
    managers: Managers,
    opened: Callable[[], Managers],
    functions: list[Function],
    buckets: list[int],
    source: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cells_module, "_PATIENCE_SECONDS", 0.05)
    told: list[BaseException] = []

    def write() -> None:
        for call in (
            lambda: managers.function_logs.append(functions[0], "info", "x"),
            lambda: managers.function_logs.delete({"level": "info"}),
            lambda: managers.function_logs.batch_insert([]),
        ):
            with pytest.raises(errors.OutdatedMapError, match="expected rows to be moved within") as caught:
                call()
            told.append(caught.value)
        # Others, and who reads, do not wait.
        managers.function_logs.append(functions[7], "info", "x")
        assert managers.function_logs.count({"level": "old"}) == 160

    mover = opened()
    mover.cells.servers()
    after(mover.database, "SETVAL('cell_map'", 3, write)
    mover.cells.move(buckets, 2)
    assert len(told) == 3


@pytest.mark.parametrize("source", ["a server"], indirect=True)
def test_a_long_transaction_is_not_waited_for_behind_a_fence(
    managers: Managers,
    opened: Callable[[], Managers],
    functions: list[Function],
    buckets: list[int],
    source: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moving, "_FENCE_SECONDS", 0.01)
    mover, writer = opened(), opened()
    begun, release = threading.Event(), threading.Event()

    def rows() -> Iterator[Any]:
        yield {"function": functions[0], "level": "long", "message": "x"}
        begun.set()
        assert release.wait(60)

    thread = threading.Thread(target=lambda: writer.function_logs.batch_insert(rows(), chunk_size=1))
    mover.cells.servers()
    after(mover.database, "DELETE FROM cell_changes", 1, lambda: (thread.start(), begun.wait(60)))
    # It gives way as often as it has to, and goes on when the transaction has ended.
    after(mover.database, "UPDATE cells SET", 4, release.set)
    mover.cells.move(buckets, 2)
    thread.join()
    assert managers.function_logs.count({"level": "long"}) == 1
    assert managers.function_logs.count({"level": "old"}) == 160


@pytest.mark.parametrize("source", ["a server"], indirect=True)
def test_a_move_that_fails_leaves_all_as_it_was(
    managers: Managers,
    urls: list[str],
    functions: list[Function],
    buckets: list[int],
    source: int,
) -> None:
    # A row on the target that has the UUID of one to be copied.
    line = managers.function_logs.find_one({"function_id": functions[0].id})
    assert line is not None
    target = managers.database.history_servers[1]
    target.raw_execute(
        "INSERT INTO function_logs (function_id, level, message, uuid) VALUES (@function, 'info', 'x', @uuid)",
        {"function": functions[7].id, "uuid": line.uuid},
    )
    with pytest.raises(errors.UniqueViolationError):
        managers.cells.move(buckets, 2)
    target.raw_execute("DELETE FROM function_logs")
    assert managers.function_logs.count() == 160
    require_whole(managers, urls)


@pytest.mark.parametrize("source", ["a server"], indirect=True)
def test_sql_that_says_nothing_of_the_map_is_refused_for_rows_that_are_moved(
    managers: Managers,
    urls: list[str],
    opened: Callable[[], Managers],
    functions: list[Function],
    buckets: list[int],
    source: int,
) -> None:
    insert = "INSERT INTO function_logs (function_id, level, message) VALUES (@id, 'raw', 'x')"
    mover, plain = opened(), Database(urls[1])
    told: list[str] = []

    def write() -> None:
        for server in (plain, managers.database.history_servers[0]):
            for sql in (
                insert,
                "UPDATE function_logs SET message = 'y' WHERE function_id = @id",
                "DELETE FROM function_logs WHERE function_id = @id",
            ):
                with pytest.raises(
                    errors.CloudpubError, match=r"while those of function_logs are moved; .*on_server_of"
                ):
                    server.raw_execute(sql, {"id": functions[0].id})
                told.append(sql)
            server.raw_execute(insert, {"id": functions[7].id})
        managers.cells.on_server_of(functions[0].id, lambda server: server.raw_execute(insert, {"id": functions[0].id}))

    mover.cells.servers()
    after(mover.database, "JSON_POPULATE_RECORDSET", 2, write)
    mover.cells.move(buckets, 2)
    assert len(told) == 6
    assert managers.function_logs.count({"function_id": functions[0].id, "level": "raw"}) == 1
    assert managers.function_logs.count({"level": "raw"}) == 3
    assert managers.function_logs.count({"level": "old"}) == 160
    plain.raw_execute(insert, {"id": functions[7].id})
    require_whole(managers, urls)
    plain.close()


@pytest.mark.parametrize("source", ["main"], indirect=True)
def test_main_refuses_who_does_not_know_from_the_first_move_on(
    managers: Managers, urls: list[str], functions: list[Function], buckets: list[int], source: int
) -> None:
    plain = Managers(Database(urls[0]))
    plain.function_logs.append(functions[0], "old", "as before")
    managers.function_logs.append(functions[0], "old", "by who knows")
    assert plain.function_logs.count() == managers.function_logs.count() == 162
    managers.cells.move(buckets, 2)
    for call in (
        lambda: plain.function_logs.append(functions[7], "info", "x"),
        lambda: plain.function_logs.update({"level": "info"}, {"level": "old"}),
        lambda: plain.function_logs.delete({"level": "old"}),
    ):
        with pytest.raises(errors.CloudpubError, match="on other servers: open the database with history="):
            call()
    # What belongs to a function goes with it, and what is elsewhere is swept.
    assert plain.functions.delete_by_id(functions[7].id)
    assert plain.functions.delete_by_id(functions[0].id)
    assert managers.function_logs.count() == 162 - 20
    assert managers.cells.sweep() == 22
    plain.database.close()


@pytest.mark.parametrize("source", ["main"], indirect=True)
def test_a_snapshot_of_main_goes_by_the_map_of_now(
    managers: Managers, opened: Callable[[], Managers], buckets: list[int], source: int
) -> None:
    managers.function_logs.count()
    with managers.database.transaction(isolation="REPEATABLE READ"):
        assert managers.functions.count() == 8
        opened().cells.move(buckets, 2)
        assert managers.function_logs.count() == 160


def test_what_is_malformed_is_refused(managers: Managers, source: int, buckets: list[int]) -> None:
    cells: Any = managers.cells
    for bucket in (-1, BUCKETS, "1", 1.0, True, None):
        with pytest.raises(errors.InvalidValueError, match="expected the number of a bucket, from 0 to 1023"):
            cells.move([bucket], 2)
    for server in (0, 3, -1, "2", None):
        with pytest.raises(errors.InvalidValueError, match=r"expected the number of a server of history=; got"):
            cells.move(buckets, server)
    assert cells.move([], 2) == 0
    assert set(buckets) <= set(cells.buckets_of(source))


def test_one_moves_at_a_time(
    managers: Managers,
    opened: Callable[[], Managers],
    buckets: list[int],
    source: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mover, told = opened(), []

    def move_too() -> None:
        monkeypatch.setattr(cells_module, "_LOCK_TIMEOUT_SECONDS", 0.1)
        with pytest.raises(errors.MigrationError, match="expected no other migrator"):
            managers.cells.move(buckets, 2)
        told.append(1)

    mover.cells.servers()
    after(mover.database, "SETVAL('cell_map'", 3, move_too)
    mover.cells.move(buckets, 2)
    assert told == [1]


@pytest.mark.parametrize("source", ["a server"], indirect=True)
def test_a_run_that_another_has_followed_changes_nothing(
    managers: Managers,
    urls: list[str],
    opened: Callable[[], Managers],
    buckets: list[int],
    source: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its session has ended, and with it the lock; it does not know yet, and is in the middle of copying."""
    first, second, other = opened(), opened(), Database(urls[0])
    done: list[int] = []

    def overtake(rows: Any, table: Any, chunk: Any) -> None:
        if not done:
            done.append(1)
            other.raw_query_all(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            done.append(second.cells.move(buckets, 2))
        add(rows, table, chunk)

    first.cells.servers()
    add = moving.RowsOfBuckets.add
    monkeypatch.setattr(moving.RowsOfBuckets, "add", overtake)
    with pytest.raises((errors.OutdatedMapError, errors.MigrationError, errors.ConnectionLostError)):
        first.cells.move(buckets, 2)
    assert done[1] > 100
    assert managers.function_logs.count() == 160
    require_whole(managers, urls)
    other.close()
