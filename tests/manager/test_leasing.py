"""Leases: one worker at a time, a heartbeat, and a fence that nothing passes when the lease is over."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cloudpub_models import ALL_ROWS, Database, Function, Lease, Manager, Managers, Scope
from cloudpub_models.component import Component
from cloudpub_models.entity import CharField, CompositeKey, Entity, UuidField
from cloudpub_models.errors import (
    CheckViolationError,
    CloudpubError,
    InvalidQueryError,
    InvalidValueError,
    LeaseLostError,
    UnguardedError,
    UniqueViolationError,
    UnknownColumnError,
    UnknownTableError,
)
from cloudpub_models.manager import leasing
from cloudpub_models.schema.drift.definition import create_all
from tests.manager.lease_workers import lease_everything
from tests.waiting import wait_until
from tests.work.databases import opened, run_out

PENDING = {"status": "pending"}
PROCESSES = 8


@pytest.fixture
def database_url(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    """The URL of a database that is thrown away afterwards, and that processes can share."""
    return f"sqlite:///{tmp_path}/c.db" if backend == "sqlite" else str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database with the tables of leases."""
    with opened(database_url) as database:
        yield database


@pytest.fixture
def managers(database: Database) -> Any:
    """Its managers, those of leases too."""
    return Managers(database)


@pytest.fixture
def functions(managers: Any) -> Any:
    """The manager of three functions that are pending."""
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    managers.functions.batch_insert(
        {"user_id": ada.id, "name": name, "status": "pending"} for name in ("crop", "blur", "sharpen")
    )
    return managers.functions


def ids(leases: list[Lease[Function] | None]) -> list[int]:
    return [lease.row.id for lease in leases if lease is not None]


def plain(statements: Any) -> list[str]:
    """The statements that were sent, on one line each, as PostgreSQL gets them."""
    return [" ".join(sql.split()).replace("?", "%s") for sql in statements.sql]


# Taking


def test_each_row_goes_to_one_lease(functions: Any) -> None:
    leases = [functions.lease(PENDING, seconds=60) for _ in range(4)]
    assert ids(leases) == [1, 2, 3]
    assert leases[3] is None
    assert [lease.attempts for lease in leases[:3]] == [1, 1, 1]
    assert functions.count(PENDING) == 3


def test_the_first_one_is_the_first_of_the_order(functions: Any) -> None:
    leases = [functions.lease(PENDING, seconds=60, order_by="name") for _ in range(2)]
    assert [lease.row.name for lease in leases] == ["blur", "crop"]
    assert functions.lease(PENDING, seconds=60, order_by=("user.email", "-name")).row.name == "sharpen"


def test_conditions_are_those_of_finding(functions: Any) -> None:
    assert functions.lease({"user.email": "grace@example.com"}, seconds=60) is None
    assert functions.lease({"user.email": "ada@example.com", "name": "blur"}, seconds=60).row.id == 2
    assert functions.lease(ALL_ROWS, seconds=60).row.id == 1


def test_who_has_it_is_there_to_read(functions: Any, managers: Any) -> None:
    lease = functions.lease(PENDING, seconds=60, holder="builder 7")
    [kept] = managers.leases.find_all()
    assert (kept.table_name, kept.row_key, kept.holder, kept.attempts) == ("functions", "1", "builder 7", 1)
    assert (lease.holder, lease.seconds) == ("builder 7", 60.0)
    assert re.fullmatch(r".+:\d+", functions.lease(PENDING, seconds=60).holder)
    assert repr(lease) == "<Lease of functions 1 by builder 7>"


def test_it_lasts_by_the_clock_of_the_database(functions: Any, managers: Any, database: Database) -> None:
    functions.lease(PENDING, seconds=3600)
    now = database.engine.sql_dialect.now
    [row] = database.raw_query_all(f"SELECT {now} AS now")
    left = managers.leases.find_one().expires_at.timestamp() - as_seconds(row["now"])
    assert 3000 < left <= 3600


def as_seconds(moment: Any) -> float:
    from datetime import UTC, datetime

    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return float(found.replace(tzinfo=UTC).timestamp())


def test_what_is_sent(functions: Any, statements: Any, backend: str, database: Database) -> None:
    dialect = database.engine.sql_dialect
    lease = functions.lease(PENDING, seconds=60)
    first, take, read = plain(statements)
    assert first.startswith(
        "SELECT id FROM functions WHERE status = %s AND (NOT EXISTS (SELECT 1 FROM leases WHERE leases.table_name = "
        "'functions' AND leases.row_key = CAST(functions.id AS TEXT) AND leases.expires_at > "
    )
    assert first.endswith(f"ORDER BY id ASC LIMIT %s{dialect.lock('FOR UPDATE SKIP LOCKED')}")
    assert take.startswith("INSERT INTO leases (table_name, row_key, token, holder, attempts, expires_at) SELECT %s, ")
    assert take.endswith(f"WHERE leases.expires_at <= {dialect.now} RETURNING row_key, attempts")
    assert read.startswith("SELECT id, uuid, ")
    assert read.endswith("WHERE status = %s AND id = %s")
    assert [parameters for _, parameters in statements][::2] == [("pending", 1), ("pending", 1)]
    table, token, holder, seconds, key = statements[1][1]
    assert (table, holder, seconds, key) == ("functions", lease.holder, 60.0, 1)
    statements.clear()

    lease.renew()
    own = "WHERE table_name = %s AND row_key = %s AND token = %s"
    later = dialect.seconds_from_now.format("%s")
    assert plain(statements) == [f"UPDATE leases SET expires_at = {later} {own} AND expires_at > {dialect.now}"]
    assert statements[0][1] == (60.0, "functions", "1", token)
    statements.clear()

    with lease.finish():
        pass
    *lock, fence, end = plain(statements)
    assert lock == (["SELECT id FROM functions WHERE id = %s FOR NO KEY UPDATE"] if backend == "postgresql" else [])
    assert fence == f"UPDATE leases SET expires_at = {later} {own} AND expires_at > {dialect.now}"
    assert end == f"DELETE FROM leases {own}"
    assert statements[-1][1] == ("functions", "1", token)
    statements.clear()

    functions.lease(PENDING, seconds=60).release()
    assert plain(statements)[-1] == f"UPDATE leases SET expires_at = {dialect.now} {own} AND expires_at > {dialect.now}"


def test_nothing_to_take_is_one_statement(functions: Any, statements: Any) -> None:
    assert functions.lease({"status": "failed"}, seconds=60) is None
    assert len(statements) == 1


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_row_that_another_one_has_locked_is_skipped(functions: Any, database: Database) -> None:
    with database.transaction(), ThreadPoolExecutor(1) as others:
        functions.update_by_id(1, {"name": "locked"})
        lease = others.submit(functions.lease, PENDING, seconds=60).result(10)
        assert lease.row.id == 2


def test_a_lease_that_ended_since_the_rows_were_looked_at_is_seen(functions: Any, monkeypatch: Any) -> None:
    """A row is found free, and then leased, finished and changed by another worker before it is taken."""
    found, theirs = functions._first_free, []

    def overtaken(*arguments: Any) -> Any:
        key = found(*arguments)
        if not theirs:
            theirs.append(functions.update_by_id(key, {"status": "active"}))
        return key

    monkeypatch.setattr(functions, "_first_free", overtaken)
    assert functions.lease(PENDING, seconds=60).row.id == 2
    assert Managers(functions.database).leases.find_one().row_key == "2"  # type: ignore[attr-defined]


def test_who_was_overtaken_looks_again(functions: Any, managers: Any, monkeypatch: Any) -> None:
    found = functions._first_free
    mine = functions.lease(PENDING, seconds=60)
    calls = []

    def as_if_free(*arguments: Any) -> Any:
        calls.append(found(*arguments))
        return mine.row.id if len(calls) < 3 else calls[-1]

    monkeypatch.setattr(functions, "_first_free", as_if_free)
    assert functions.lease(PENDING, seconds=60).row.id == 2
    assert len(calls) == 3
    assert managers.leases.find_one({"row_key": "1"}).attempts == 1


def test_eight_processes_share_the_rows(functions: Any, managers: Any, database_url: str, processes: Any) -> None:
    functions.delete(ALL_ROWS)
    ada = managers.users.find_one()
    functions.batch_insert({"user_id": ada.id, "name": f"f{number}", "status": "pending"} for number in range(16))
    start = time.time() + 0.3
    taken = processes.starmap(lease_everything, [(database_url, start)] * PROCESSES, 1)
    every = sorted(key for keys in taken for key in keys)
    assert every == sorted(row.id for row in functions.find_all())
    assert functions.count({"status": "active"}) == 16
    assert managers.leases.count() == 0


# Going on, and the end


def test_a_lease_that_ran_out_goes_to_the_next_one(functions: Any, managers: Any) -> None:
    first = functions.lease({"name": "crop"}, seconds=60)
    run_out(managers)
    second = functions.lease({"name": "crop"}, seconds=60)
    assert (second.row.id, second.attempts) == (first.row.id, 2)
    with pytest.raises(LeaseLostError, match="it has run out"):
        first.renew()
    assert (first.lost, second.lost) == (True, False)
    assert repr(first).endswith(", lost>")
    with second.finish():
        functions.update_by_id(second.row.id, {"status": "active"})
    assert functions.lease({"name": "crop"}, seconds=60).attempts == 1


@pytest.mark.parametrize("taken_over", [False, True])
def test_an_effect_of_a_lease_that_is_over_is_refused(functions: Any, managers: Any, taken_over: bool) -> None:
    late = functions.lease({"name": "crop"}, seconds=60)
    run_out(managers)
    if taken_over:
        assert functions.lease({"name": "crop"}, seconds=60)
    ran = []
    with pytest.raises(LeaseLostError), late.finish():
        ran.append(functions.update_by_id(late.row.id, {"status": "active"}))
    assert ran == []
    assert functions.get_by_id(late.row.id).status == "pending"
    with pytest.raises(LeaseLostError, match=r"^expected a lease that lasts; got <Lease of functions 1 .*, lost>"):
        late.finish().__enter__()


def test_what_fails_is_undone_and_may_be_done_again(
    functions: Any, managers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = functions.lease({"name": "crop"}, seconds=60)
    with pytest.raises(UniqueViolationError), lease.finish():
        functions.update_by_id(lease.row.id, {"status": "active"})
        functions.update_by_id(lease.row.id, {"name": "blur"})
    assert functions.get_by_id(lease.row.id).status == "pending"
    assert managers.leases.count() == 1
    with lease.finish():
        functions.update_by_id(lease.row.id, {"status": "active"})
    assert managers.leases.count() == 0
    assert repr(lease).endswith(", finished>")
    for again in (lease.renew, lambda: lease.finish().__enter__(), lease.__enter__):
        with pytest.raises(LeaseLostError, match="finished>: take one anew"):
            again()
    assert lease.lost is False
    lease.release()
    # What has its end is not lost afterwards, however long that was ago.
    monkeypatch.setattr(leasing, "monotonic", lambda: math.inf)
    assert lease.lost is False


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_no_end_inside_the_block_goes_past_the_fence(
    functions: Any, managers: Any, database_url: str, end: str
) -> None:
    """The block ends its transaction half-way; another worker takes the row before it is done."""
    lease = functions.lease({"name": "crop"}, seconds=60)
    with pytest.raises(LeaseLostError), lease.finish() as connection:
        getattr(connection, end)()
        functions.database.raw_execute("UPDATE leases SET token = @token", {"token": str(uuid4())})
        functions.update_by_id(lease.row.id, {"status": "active"})
    assert functions.get_by_id(lease.row.id).status == "pending"


@pytest.mark.parametrize("backend", ["postgresql"])
def test_meanwhile_nobody_takes_the_row(functions: Any) -> None:
    with ExitStack() as finishing, ThreadPoolExecutor(1) as others:
        lease = None
        while lease is None:
            begun = functions.lease({"name": "crop"}, seconds=0.1)
            with suppress(LeaseLostError):  # where the machine was too slow to begin in time
                finishing.enter_context(begun.finish())
                lease = begun
        time.sleep(0.15)  # it has run out, but its effects are under way
        assert others.submit(functions.lease, {"name": "crop"}, seconds=60).result(10) is None
        functions.update_by_id(lease.row.id, {"status": "active"})
    assert functions.get_by_id(lease.row.id).status == "active"


def test_a_row_that_is_gone_may_be_finished(functions: Any, managers: Any) -> None:
    lease = functions.lease({"name": "crop"}, seconds=60)
    with lease.finish():
        functions.delete_by_id(lease.row.id)
    assert managers.leases.count() == 0


def test_what_was_given_back_is_free_at_once(functions: Any) -> None:
    with functions.lease({"name": "crop"}, seconds=60) as first:
        assert functions.lease({"name": "crop"}, seconds=60) is None
    second = functions.lease({"name": "crop"}, seconds=60)
    assert (first.row.id, second.attempts) == (second.row.id, 2)
    with pytest.raises(LeaseLostError, match="given back"):
        first.renew()
    first.release()  # it is not the second one's to give back
    assert functions.lease({"name": "crop"}, seconds=60) is None


def test_what_failed_is_not_tried_again_at_once(functions: Any, managers: Any) -> None:
    with pytest.raises(ZeroDivisionError), functions.lease({"name": "crop"}, seconds=60):
        _ = 1 / 0
    assert functions.lease({"name": "crop"}, seconds=60) is None
    run_out(managers)
    assert functions.lease({"name": "crop"}, seconds=60).attempts == 2


# The heartbeat


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a lease of a minute be renewed twenty times a second, so that none runs out on a slow machine."""
    for name in ("_RENEWALS", "_HURRIED_RENEWALS"):
        monkeypatch.setattr(leasing, name, 1200)


@pytest.mark.usefixtures("often")
def test_the_heartbeat_prolongs(functions: Any, managers: Any) -> None:
    with functions.lease({"name": "crop"}, seconds=60) as lease:
        first = managers.leases.find_one().expires_at
        wait_until(lambda: managers.leases.find_one().expires_at > first + timedelta(seconds=0.2))
        assert lease.lost is False
        assert functions.lease({"name": "crop"}, seconds=60) is None
        with lease.finish():
            functions.update_by_id(lease.row.id, {"status": "active"})
    assert functions.get_by_id(lease.row.id).status == "active"


def test_without_it_the_lease_runs_out_and_is_known_to(functions: Any) -> None:
    assert functions.lease({"name": "blur"}, seconds=60).lost is False
    lease = functions.lease({"name": "crop"}, seconds=0.1)
    wait_until(lambda: lease.lost)
    # The database's clock says so a moment later.
    following: list[Any] = []
    wait_until(lambda: following.append(functions.lease({"name": "crop"}, seconds=60)) or following[-1])
    assert following[-1].attempts == 2


def test_work_that_hangs_is_taken_over(functions: Any, caplog: pytest.LogCaptureFixture) -> None:
    with functions.lease({"name": "crop"}, seconds=0.3, at_most=0.1) as lease:
        wait_until(lambda: "is not renewed any more" in caplog.text)
        wait_until(lambda: functions.lease({"name": "crop"}, seconds=60))
        assert lease.lost
        with pytest.raises(LeaseLostError), lease.finish():
            functions.update_by_id(lease.row.id, {"status": "active"})
    assert caplog.text.count("is not renewed any more: its work takes longer than it may") == 1


def test_a_heartbeat_that_comes_too_late_says_so(
    functions: Any, managers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with functions.lease({"name": "crop"}, seconds=0.3) as lease:
        run_out(managers)
        wait_until(lambda: "it has run out" in caplog.text)
        assert lease.lost
    assert managers.leases.find_one().attempts == 1


@pytest.mark.usefixtures("often")
def test_a_renewal_that_fails_is_tried_again(
    functions: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with functions.lease({"name": "crop"}, seconds=60) as lease:
        renew, tries = lease.renew, []

        def fail_twice() -> None:
            tries.append(None)
            if len(tries) < 3:
                raise CloudpubError("the server restarts")
            renew()

        monkeypatch.setattr(lease, "renew", fail_twice)
        wait_until(lambda: len(tries) > 3)
        assert lease.lost is False
    assert caplog.text.count("could not be renewed: the server restarts") == 2


def test_no_thread_stays_behind(functions: Any) -> None:
    with functions.lease({"name": "crop"}, seconds=60) as lease:
        assert "lease of functions 1" in [thread.name for thread in threading.enumerate()]
        with lease.finish():
            functions.update_by_id(lease.row.id, {"status": "active"})
    wait_until(lambda: "lease of functions 1" not in [thread.name for thread in threading.enumerate()])


# Other tables


class Parcel(Entity):
    """A table whose key is a UUID."""

    uuid = UuidField(primary_key=True)
    name = CharField()


class Order(Entity):
    """One whose key is a text, and whose names have to be quoted."""

    key = CharField(primary_key=True, column_name="user")

    class Meta:
        """Its table."""

        table_name = "order"


class Pair(Entity):
    """One whose key is two columns."""

    left, right = CharField(), CharField()

    class Meta:
        """Its table."""

        primary_key = CompositeKey("left", "right")


@pytest.fixture
def others(database: Database) -> Database:
    create_all(database.engine, Component("others", models=(Parcel, Order, Pair)).models)
    return database


def test_a_key_may_be_a_uuid(others: Database) -> None:
    parcels = Manager(Parcel, others)
    first, second = (parcels.insert({"name": name}) for name in ("a", "b"))
    lease = parcels.lease({"name": "a"}, seconds=60)
    assert lease is not None
    assert lease.row == first
    assert Managers(others).leases.find_one().row_key == str(first.uuid)  # type: ignore[attr-defined]
    following = parcels.lease(ALL_ROWS, seconds=60)
    assert following is not None
    assert following.row == second
    with lease.finish():
        parcels.delete_by_id(first.uuid, id_column="uuid")


def test_a_key_may_be_a_text_and_names_may_need_quotes(others: Database) -> None:
    orders = Manager(Order, others)
    orders.insert({"user": "it's 100%"})
    lease = orders.lease({"user": "it's 100%"}, seconds=60)
    assert lease is not None
    assert orders.lease(ALL_ROWS, seconds=60) is None
    with lease.finish():
        orders.delete(ALL_ROWS)
    assert Managers(others).leases.count() == 0  # type: ignore[attr-defined]


def test_a_key_of_two_columns_is_refused(others: Database) -> None:
    with pytest.raises(InvalidQueryError, match="primary key of one column to take a lease on; got pair"):
        Manager(Pair, others).lease(ALL_ROWS, seconds=60)


def test_leases_of_one_table_are_not_those_of_another(functions: Any, managers: Any) -> None:
    assert functions.lease(PENDING, seconds=60).row.id == 1
    assert managers.users.lease(ALL_ROWS, seconds=60).row.id == 1


def test_a_scope_holds(functions: Any, managers: Any, database: Database) -> None:
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    functions.insert({"user_id": grace.id, "name": "rotate", "status": "pending"})
    hers = Manager(Function, database, scope=Scope({Function: {"user_id": grace.id}}, "grace"))
    lease = hers.lease(PENDING, seconds=60)
    assert lease is not None
    assert lease.row.name == "rotate"
    assert hers.lease(PENDING, seconds=60) is None
    with pytest.raises(UnguardedError):
        hers.lease(PENDING, seconds=60, order_by="user.email")


# Bad input


@pytest.mark.parametrize("seconds", [0, 0.09, -1, True, "60", None, float("nan"), float("inf"), 31 * 86400 + 1])
@pytest.mark.parametrize("name", ["seconds", "at_most"])
def test_a_length_of_time_that_is_none(functions: Any, statements: Any, name: str, seconds: Any) -> None:
    if (name, seconds) == ("at_most", None):
        return
    with pytest.raises(InvalidValueError, match=f"^expected {name} to be a number from 0.1 to 2678400"):
        functions.lease(PENDING, **{"seconds": 60, name: seconds})
    assert len(statements) == 0


@pytest.mark.parametrize("holder", ["", 7, "a" * 256, "a\0"])
def test_a_holder_that_is_none(functions: Any, statements: Any, holder: Any) -> None:
    with pytest.raises(InvalidValueError, match="^expected the holder to be a text"):
        functions.lease(PENDING, seconds=60, holder=holder)
    assert len(statements) == 0


def test_what_finding_refuses_is_refused(functions: Any, statements: Any) -> None:
    with pytest.raises(UnknownColumnError):
        functions.lease({"stauts": "pending"}, seconds=60)
    with pytest.raises(UnknownColumnError):
        functions.lease(PENDING, seconds=60, order_by="nmae")
    assert len(statements) == 0


def test_inside_a_transaction_nobody_else_would_see_it(functions: Any, database: Database, managers: Any) -> None:
    lease = functions.lease(PENDING, seconds=60)
    with database.transaction():
        with pytest.raises(InvalidQueryError, match=r"^expected no open transaction; got lease\(\) inside of one"):
            functions.lease(PENDING, seconds=60)
        with pytest.raises(InvalidQueryError, match=r"^expected no open transaction; got finish\(\) inside of one"):
            lease.finish().__enter__()
    assert managers.leases.count() == 1


def test_a_database_without_the_table_says_what_to_do(functions: Any, database: Database) -> None:
    database.raw_execute("DROP TABLE leases")
    with pytest.raises(UnknownTableError, match=r"^expected the table leases; got .* components=\[component\] from"):
        functions.lease(PENDING, seconds=60)
    assert not database.engine.scopes()


def test_an_error_of_the_query_itself_stays_what_it_is(functions: Any, database: Database) -> None:
    database.raw_execute("ALTER TABLE functions RENAME COLUMN name TO title")
    with pytest.raises(CloudpubError) as raised:
        functions.lease({"name": "crop"}, seconds=60)
    assert not isinstance(raised.value, UnknownTableError | CheckViolationError)
