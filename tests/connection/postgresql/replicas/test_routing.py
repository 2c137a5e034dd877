"""Where reads go, on a real primary and a real standby that is paused, stopped, cut off and promoted."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import pytest

from cloudpub_models import Database, Managers, User, operators
from cloudpub_models.cli.commands.doctor.postgresql import replicas
from cloudpub_models.cli.commands.doctor.verdicts import Level
from cloudpub_models.connection.postgresql import preparation
from cloudpub_models.errors import (
    ConfigurationError,
    ConnectionLostError,
    InvalidQueryError,
    QueryTimeoutError,
    RefusedQueryError,
)
from tests.connection.postgresql.replicas.conftest import paused
from tests.faults.servers import ChoosingProxy, Server, Standby
from tests.faults.test_interrupts import Interrupted, Interruption
from tests.waiting import wait_until

Opened = Callable[..., Database]
# Longer than reads go to the primary in any case after a write.
SOON = 0.03


def insert_user(database: Database) -> User:
    return Managers(database).users.insert({"email": f"{uuid4().hex}@example.com", "password_hash": "…"})


@contextmanager
def answering(database: Database) -> Iterator[list[str]]:
    """Give who has answered which statement, as "replica SELECT", but for what servers are asked of themselves."""
    seen: list[str] = []

    def see(event: Any) -> None:
        if "pg_control_system" not in event.sql:
            seen.append(f"{'primary' if event.replica is None else 'replica'} {event.sql.split()[0]}")

    stop = database.on_query(see)
    try:
        yield seen
    finally:
        stop()


def caught_up(database: Database, standby: Standby) -> Database:
    """Have the standby replay everything, and answer what the database reads."""
    time.sleep(SOON)
    standby.wait_until_equal()

    def answers() -> bool:
        before = database.replicas()[0].reads
        Managers(database).users.count()
        return database.replicas()[0].reads > before

    # The primary's own bookkeeping may be in its log, and for seconds not on its disk.
    wait_until(answers)
    return database


# Where to


READS: dict[str, Callable[[Any, User], Any]] = {
    "find_by_id": lambda managers, user: managers.users.find_by_id(user.id),
    "get_by_id": lambda managers, user: managers.users.get_by_id(user.id),
    "find_all": lambda managers, user: managers.users.find_all({"id": user.id}, order_by="id", limit=1),
    "include": lambda managers, user: managers.users.find_all({"id": user.id}, include=["functions"]),
    "count": lambda managers, user: managers.users.count({"id": operators.gt(0)}),
    "exists": lambda managers, user: managers.users.exists({"id": user.id}),
    "values": lambda managers, user: managers.users.values("email", {"id": user.id}),
    "paginate": lambda managers, user: managers.users.paginate(1, 2),
    "paginate_after": lambda managers, user: managers.users.paginate_after(page_size=2),
    "iterate": lambda managers, user: list(managers.users.iterate({"id": user.id})),
    "builder": lambda managers, user: managers.users.query("u").where("u.id", user.id),
    "statistics": lambda managers, user: managers.function_invocations.get_user_daily_stats(user.id, 2),
    "owned_by": lambda managers, user: managers.owned_by(user).functions.count(),
    "search": lambda managers, user: managers.function_logs.search("nobody", since=timedelta(days=1)),
}


@pytest.mark.parametrize("call", sorted(set(READS) - {"builder"}))
@pytest.mark.parametrize("prepared", [False, True])
def test_what_managers_read_a_replica_answers(opened: Opened, standby: Standby, call: str, prepared: bool) -> None:
    database = opened(prepared=prepared)
    user = insert_user(database)
    caught_up(database, standby)
    with answering(database) as seen:
        READS[call](Managers(database), user)
    assert seen
    assert {one.split()[0] for one in seen} == {"replica"}


def test_lookups_that_are_prepared_on_a_replica_see_its_tables_and_outlive_it(
    opened: Opened, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "SECONDS_OF_A_PLAN", 86_400.0)
    monkeypatch.setattr(preparation, "SECONDS_OF_YOUTH", 0.0)
    database = opened()
    user = insert_user(database)
    users = Managers(caught_up(database, standby)).users
    with answering(database) as seen:
        for _ in range(preparation.OFTEN + 2):
            assert users.find_by_id(user.id) == user
        assert set(seen) == {"replica SELECT"}
        with database.reading_from("replica"):
            prepared = "SELECT generic_plans + custom_plans AS uses FROM pg_prepared_statements"
            assert database.raw_query_all(prepared) == [{"uses": 2}]
    database.raw_execute("ALTER TABLE users ALTER COLUMN password_hash TYPE text")
    try:
        users.update_by_id(user.id, {"password_hash": "changed"})
        caught_up(database, standby)
        with answering(database) as seen:
            assert users.get_by_id(user.id).password_hash == "changed"
            assert seen == ["replica SELECT"]
            ours = "application_name = 'cloudpub_models'"
            standby.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}")
            assert users.find_by_id(user.id) == user
    finally:
        database.raw_execute("ALTER TABLE users ALTER COLUMN password_hash TYPE varchar(255)")


def test_what_a_builder_reads_too(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    managers = Managers(database)
    with answering(database) as seen:
        managers.users.execute_query(managers.users.query("u").select("u.id").limit(1))
    assert seen == ["replica SELECT"]


WRITES: dict[str, Callable[[Database, Any, User], Any]] = {
    "insert": lambda database, managers, user: insert_user(database),
    "update_by_id": lambda database, managers, user: managers.users.update_by_id(user.id, {"password_hash": "b"}),
    "claim": lambda database, managers, user: managers.users.claim({"id": user.id}, {"password_hash": "c"}),
    "delete_by_id": lambda database, managers, user: managers.users.delete_by_id(user.id),
    "raw": lambda database, managers, user: database.raw_query_all("SELECT 1 AS one"),
    "manager's raw": lambda database, managers, user: managers.users.raw("SELECT id FROM users LIMIT 1"),
    "raw_execute": lambda database, managers, user: database.raw_execute("UPDATE users SET password_hash = 'd'"),
    "peewee": lambda database, managers, user: bound(database, user),
    "transaction": lambda database, managers, user: in_transaction(database, user),
}


def bound(database: Database, user: User) -> None:
    with database.bind():
        User.get_by_id(user.id)


def in_transaction(database: Database, user: User) -> None:
    with database.transaction():
        Managers(database).users.find_by_id(user.id)


@pytest.mark.parametrize("call", sorted(WRITES))
def test_everything_else_the_primary_answers(opened: Opened, standby: Standby, call: str) -> None:
    database = opened()
    user = insert_user(database)
    caught_up(database, standby)
    with answering(database) as seen:
        WRITES[call](database, Managers(database), user)
    assert seen
    assert {one.split()[0] for one in seen} == {"primary"}


def test_in_a_session_reads_go_to_a_replica_and_writes_to_the_session(opened: Opened, standby: Standby) -> None:
    database = opened()
    user = insert_user(database)
    caught_up(database, standby)
    with database.session(), answering(database) as seen:
        Managers(database).users.find_by_id(user.id)
        database.raw_query_all("SELECT 1 AS one")
    assert seen == ["replica SELECT", "primary SELECT"]


def test_reading_from(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    managers = Managers(database)
    in_recovery = "SELECT pg_is_in_recovery() AS replica"
    with answering(database) as seen, database.reading_from("primary"):
        managers.users.count()
    assert seen == ["primary SELECT"]
    with database.reading_from("replica"):
        assert database.raw_query_all(in_recovery) == [{"replica": True}]
        assert database.raw_query_single(in_recovery) == {"replica": True}
        assert list(database.raw_query_iter(in_recovery)) == [{"replica": True}]
        with database.transaction():
            assert database.raw_query_all(in_recovery) == [{"replica": False}]
        with database.reading_from("primary"):
            assert database.raw_query_all(in_recovery) == [{"replica": False}]
    assert list(database.raw_query_iter(in_recovery)) == [{"replica": False}]


IN_RECOVERY = "SELECT pg_is_in_recovery() AS replica"
BACKEND = "SELECT pg_backend_pid() AS pid"


def test_a_transaction_that_only_reads_is_on_a_replica_where_that_is_asked_for(
    opened: Opened, standby: Standby
) -> None:
    database = opened()
    user = insert_user(database)
    caught_up(database, standby)
    managers = Managers(database)
    with answering(database) as seen, database.reading_from("replica"):
        with database.transaction(read_only=True) as connection:
            assert connection.execute(IN_RECOVERY) == [{"replica": True}]
            assert managers.users.find_by_id(user.id) == user
            assert [one.id for one in managers.users.iterate({"id": user.id})] == [user.id]
            with database.transaction():
                assert managers.users.count() > 0
            connection.commit()
            assert list(database.raw_query_iter(IN_RECOVERY)) == [{"replica": True}]
        with database.transaction() as connection:
            assert connection.execute(IN_RECOVERY) == [{"replica": False}]
    assert {one for one in seen if one.startswith("primary")} == {"primary BEGIN", "primary SELECT", "primary COMMIT"}
    assert seen[:4] == ["replica BEGIN", "replica SELECT", "replica SELECT", "replica SELECT"]
    assert seen.count("replica BEGIN") == seen.count("replica COMMIT") == 2
    with database.transaction(read_only=True) as connection:
        assert connection.execute(IN_RECOVERY) == [{"replica": False}]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_level_that_no_standby_has_is_the_primarys(opened: Opened, standby: Standby, isolation: Any) -> None:
    database = caught_up(opened(), standby)
    with (
        database.reading_from("replica"),
        database.transaction(read_only=True, isolation=isolation) as connection,
    ):
        assert connection.execute(IN_RECOVERY) == [{"replica": isolation != "SERIALIZABLE"}]


def test_what_a_transaction_on_a_replica_has_to_see(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    with paused(standby), database.reading_from("replica"):
        user = insert_user(database)
        for wait in (0, SOON):
            time.sleep(wait)
            with database.transaction(read_only=True):
                assert Managers(database).users.find_by_id(user.id) is not None


def test_a_session_goes_on_with_its_own_connection(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(max_connections=1), standby)
    with database.session():
        with database.transaction(read_only=True) as connection:
            own = connection.execute(BACKEND)
        with database.reading_from("replica"):
            with database.transaction(read_only=True) as connection:
                assert connection.execute(BACKEND) != own
                assert database.token().count(":") == 2
                assert connection.execute(IN_RECOVERY) == [{"replica": True}]
            with pytest.raises(InvalidQueryError, match="read-only"), database.transaction(read_only=True):
                insert_user(database)
        with database.transaction(read_only=True) as connection:
            assert connection.execute(BACKEND) == own
    with database.transaction(read_only=True), answering(database) as seen:
        Managers(database).users.count()
    assert seen == ["primary SELECT"]


def test_a_transaction_whose_replica_goes_away(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    with database.reading_from("replica"):
        with pytest.raises(ConnectionLostError), database.transaction(read_only=True) as connection:
            [told] = connection.execute(BACKEND)
            standby.execute(f"SELECT pg_terminate_backend({told['pid']})")
            wait_until(lambda: not connection.execute(BACKEND))
        assert "terminating" in (database.replicas()[0].reason or "terminating")
        with database.transaction(read_only=True) as connection:
            assert connection.execute("SELECT 1 AS one") == [{"one": 1}]
    assert insert_user(database).id


def test_a_child_that_is_forked_in_a_transaction_on_a_replica(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    with database.reading_from("replica"), database.transaction(read_only=True) as connection:
        child = os.fork()
        if not child:
            found = database.raw_query_all("SELECT 1 AS one") == [{"one": 1}] and insert_user(database).id
            os._exit(0 if found else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert connection.execute(IN_RECOVERY) == [{"replica": True}]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_moment_of_a_transaction_on_a_replica(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(max_connections=2, pool_timeout=5), standby)
    managers = Managers(database)

    def read() -> None:
        with database.reading_from("replica"), database.transaction(read_only=True):
            managers.users.count()

    for moment in range(1, 2_000, 5):
        interruption = Interruption(moment)
        with suppress(Interrupted):
            interruption.run(read)
        if not interruption.came:
            break
        assert insert_user(database).id
        with database.transaction(read_only=True) as connection:
            assert connection.execute(IN_RECOVERY) == [{"replica": False}]
    assert moment > 100
    caught_up(database, standby)
    read()


def test_a_share_for_the_primary(opened: Opened, standby: Standby, monkeypatch: pytest.MonkeyPatch) -> None:
    database = caught_up(opened(primary_share=0.25), standby)
    drawn = iter([0.2, 0.3, 0.9])
    monkeypatch.setattr(random, "random", lambda: next(drawn))
    with answering(database) as seen:
        for _ in range(3):
            Managers(database).users.count()
    assert seen == ["primary SELECT", "replica SELECT", "replica SELECT"]


def test_replicas_take_turns(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(replicas=[standby.url, f"{standby.url}?application_name=second"]), standby)
    wait_until(lambda: database.replicas()[1].usable)
    before = [replica.reads for replica in database.replicas()]
    for _ in range(6):
        Managers(database).users.count()
    assert [replica.reads - reads for replica, reads in zip(database.replicas(), before, strict=True)] == [3, 3]


def test_how_far_servers_have_come_is_asked_by_one_statement_each(
    opened: Opened, primary: Server, standby: Standby
) -> None:
    """It leaves nothing in their sessions that would have to be reset by another one."""
    database = caught_up(opened(application_name="asking"), standby)
    database.replicas()
    for server in (primary, standby):
        last = [
            text for (text,) in server.execute("SELECT query FROM pg_stat_activity WHERE application_name = 'asking'")
        ]
        assert any("pg_control_system" in text for text in last)
        assert not any(text.startswith("CLOSE ALL") for text in last)


# What is seen


def test_ones_own_writes_are_seen_while_the_replay_is_paused(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    managers = Managers(database)
    with paused(standby):
        user = insert_user(database)
        assert managers.users.find_by_id(user.id) is not None  # right after it
        time.sleep(SOON)
        with answering(database) as seen:
            assert managers.users.find_by_id(user.id) is not None
        assert seen == ["primary SELECT"]
    caught_up(database, standby)
    with answering(database) as seen:
        assert managers.users.find_by_id(user.id) is not None
    assert seen == ["replica SELECT"]


@pytest.mark.parametrize("write", ["raw", "transaction", "peewee", "copy", "after a rollback"])
def test_every_way_to_write_is_noticed(opened: Opened, standby: Standby, write: str) -> None:
    database = caught_up(opened(), standby)
    managers = Managers(database)
    email = f"{uuid4().hex}@example.com"
    values = {"email": email, "password_hash": "…"}
    with paused(standby):
        if write == "raw":
            database.raw_execute("INSERT INTO users (email, password_hash) VALUES (@email, @password_hash)", values)
        elif write == "transaction":
            with database.transaction() as connection:
                connection.execute("INSERT INTO users (email, password_hash) VALUES (@email, @password_hash)", values)
        elif write == "peewee":
            with database.bind():
                User.create(**values)
        elif write == "copy":
            managers.users.batch_insert([values] + [{**values, "email": f"{n}{email}"} for n in range(500)])
        else:
            with database.transaction() as connection:
                connection.rollback()
                managers.users.insert(values)
        time.sleep(SOON)
        assert managers.users.exists({"email": email})


def test_another_process_reads_what_a_token_names(opened: Opened, standby: Standby) -> None:
    writer, reader = opened(), caught_up(opened(), standby)
    with paused(standby):
        user = insert_user(writer)
        token = writer.token()
        assert Managers(reader).users.find_by_id(user.id) is None  # nothing says that it should be there
        with reader.at_least(token):
            assert Managers(reader).users.find_by_id(user.id) is not None
            with reader.reading_from("replica"):
                sql = "SELECT COUNT(*) AS n FROM users WHERE id = @id"
                assert reader.raw_query_all(sql, {"id": user.id}) == [{"n": 1}]


def test_a_token_of_another_timeline_is_for_the_primary(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    cluster, _, position = database.token().split(":", 2)
    with database.at_least(f"{cluster}:7:{position}"), answering(database) as seen:
        Managers(database).users.count()
    assert seen == ["primary SELECT"]


def test_causality_of_a_thread_sees_its_own_writes_only(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(replica_causality="thread"), standby)
    managers = Managers(database)
    users: list[User] = []
    with paused(standby):
        writer = threading.Thread(target=lambda: users.append(insert_user(database)))
        writer.start()
        writer.join()
        time.sleep(SOON)
        assert managers.users.find_by_id(users[0].id) is None
        own = insert_user(database)
        time.sleep(SOON)
        assert managers.users.find_by_id(own.id) is not None


def test_a_read_may_wait_for_a_replica(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(replica_wait=20), standby)
    with paused(standby):
        user = insert_user(database)
        time.sleep(SOON)
        resume = threading.Timer(0.2, lambda: standby.execute("SELECT pg_wal_replay_resume()"))
        resume.start()
        with answering(database) as seen:
            assert Managers(database).users.find_by_id(user.id) is not None
        resume.join()
    assert seen == ["replica SELECT"]


def test_what_is_too_old_is_not_shown(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(replica_max_lag=0.5), standby)
    other = opened()
    managers = Managers(database)
    with paused(standby):
        user = insert_user(other)
        wait_until(lambda: managers.users.find_by_id(user.id) is not None)
        status = database.replicas()[0]
        assert not status.usable
        assert status.reason == "what it shows is older than 0.5 s"
        assert status.lag_seconds is not None
        assert status.lag_seconds > 0.5
    caught_up(database, standby)
    with answering(database) as seen:
        assert managers.users.find_by_id(user.id) is not None
    assert seen[-1:] == ["replica SELECT"]


def test_of_any_age(opened: Opened, standby: Standby) -> None:
    database, other = caught_up(opened(replica_max_lag=None), standby), opened()
    with paused(standby):
        user = insert_user(other)
        assert Managers(database).users.find_by_id(user.id) is None
        assert database.replicas()[0].usable


# What goes wrong


def test_what_a_migration_has_made_that_is_not_there_yet(opened: Opened, standby: Standby, primary: Server) -> None:
    database = caught_up(opened(), standby)
    with paused(standby):
        primary.execute("CREATE TABLE made_since (id int); INSERT INTO made_since VALUES (7)")
        with database.reading_from("replica"):
            assert database.raw_query_all("SELECT id FROM made_since") == [{"id": 7}]
        assert database.replicas()[0].fallbacks == 1
    primary.execute("DROP TABLE made_since")
    with database.reading_from("replica"), pytest.raises(RefusedQueryError, match="made_since"):
        database.raw_query_all("SELECT id FROM made_since")


def test_a_query_that_writes_is_sent_to_the_primary(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    with database.reading_from("replica"):
        assert database.raw_query_all("SELECT nextval('users_id_seq') > 0 AS taken") == [{"taken": True}]


def test_what_a_replica_refuses_may_have_written(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    managers = Managers(database)
    email = f"{uuid4().hex}@example.com"
    with paused(standby):
        with database.reading_from("replica"):
            sql = "INSERT INTO users (email, password_hash) VALUES (@email, '…')"
            database.raw_query_all(sql, {"email": email})
        time.sleep(SOON)
        assert managers.users.exists({"email": email})


def test_doctor_says_which_replicas_may_answer(
    opened: Opened, standby: Standby, primary: Server, shared_postgresql_url: str
) -> None:
    database = caught_up(opened(replicas=[standby.url, primary.url]), standby)
    fine, idle = replicas(database)
    assert fine.level is Level.OK
    assert fine.message.startswith(f"{standby.url} may answer: what it shows is at most ")
    assert (idle.level, idle.advice) == (Level.WARNING, "until then the primary answers in its place")
    assert "got a primary" in idle.message
    (wrong,) = replicas(opened(replicas=[shared_postgresql_url]))
    assert wrong.level is Level.ERROR
    assert "got a server of another one" in wrong.message


def test_doctor_waits_until_a_replica_has_caught_up(opened: Opened, standby: Standby) -> None:
    with paused(standby):
        insert_user(opened())
        resuming = threading.Timer(0.3, lambda: standby.execute("SELECT pg_wal_replay_resume()"))
        resuming.start()
        (fine,) = replicas(opened())
        resuming.join()
    assert fine.level is Level.OK


def test_doctor_finds_several_servers_behind_one_url(opened: Opened, standby: Standby, primary: Server) -> None:
    second = Standby(primary)
    pooler = ChoosingProxy(standby.port, second.port)
    try:
        second.wait_until_equal()
        (told,) = replicas(opened(replicas=[standby.url_at(pooler.port)]))
    finally:
        pooler.close()
        second.remove()
    assert told.level is Level.WARNING
    assert "got several by turns: name each of them in replicas=" in told.message


def test_a_slow_query_is_not_tried_twice(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(statement_timeout=0.2), standby)
    with database.reading_from("replica"), answering(database) as seen, pytest.raises(QueryTimeoutError):
        database.raw_query_all("SELECT pg_sleep(30)")
    assert seen == ["replica SELECT"]


def test_a_stream_that_has_begun_stays_where_it_is(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    with database.reading_from("replica"):
        rows = database.raw_query_iter("SELECT n FROM generate_series(1, 10) n", chunk_size=2)
        assert next(rows) == {"n": 1}
        standby.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cloudpub_models'"
        )
        with pytest.raises(Exception, match=r"connection was lost|terminating connection"):
            list(rows)


def test_a_standby_that_is_stopped_and_started_again(opened: Opened, standby: Standby) -> None:
    database = opened()
    user = insert_user(database)
    caught_up(database, standby)
    managers = Managers(database)
    over, answered = threading.Event(), []

    def read() -> None:
        while not over.is_set():
            answered.append(managers.users.find_by_id(user.id) is not None)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        standby.stop()
        reached = len(answered)
        wait_until(lambda: len(answered) > reached + 30)
        standby.start()
        wait_until(lambda: database.replicas()[0].usable)
        reads = database.replicas()[0].reads
        wait_until(lambda: database.replicas()[0].reads > reads + 10)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert all(answered)


def test_a_standby_that_is_away_from_the_beginning(opened: Opened, standby: Standby) -> None:
    database = opened(replicas=["postgresql://127.0.0.1:1/postgres"])
    assert Managers(database).users.count() >= 0
    status = database.replicas()[0]
    assert not status.usable
    assert "cannot connect to postgresql://127.0.0.1:1/postgres" in (status.reason or "")


def test_a_standby_that_receives_nothing_any_more(opened: Opened, standby: Standby) -> None:
    database, other = caught_up(opened(replica_max_lag=0.5), standby), opened()
    [(source,)] = standby.execute("SELECT quote_literal(current_setting('primary_conninfo'))")
    standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
    standby.execute("SELECT pg_reload_conf()")
    try:
        wait_until(lambda: standby.execute("SELECT count(*) FROM pg_stat_wal_receiver") == [(0,)])
        user = insert_user(other)
        wait_until(lambda: Managers(database).users.find_by_id(user.id) is not None)
    finally:
        standby.execute(f"ALTER SYSTEM SET primary_conninfo = {source}")
        standby.execute("SELECT pg_reload_conf()")
    caught_up(database, standby)


def test_a_server_of_another_cluster(opened: Opened, shared_postgresql_url: str) -> None:
    database = opened(replicas=[shared_postgresql_url])
    for _ in range(2):
        with pytest.raises(
            ConfigurationError, match=r"expected a standby of the primary's cluster at .*; got a server of"
        ):
            Managers(database).users.count()


def test_a_primary_among_the_replicas(opened: Opened, primary: Server) -> None:
    database = opened(replicas=[primary.url])
    assert Managers(database).users.count() >= 0
    status = database.replicas()[0]
    assert not status.usable
    assert "got a primary, as after a failover: take it out of replicas= unless" in (status.reason or "")


def test_a_replica_whose_address_leads_to_another_cluster_later_is_no_error_for_who_reads(
    opened: Opened, standby: Standby, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = caught_up(opened(), standby)
    (known,) = database.engine._standbys
    monkeypatch.setattr(known, "_home", lambda: ("1", "postgres"))
    monkeypatch.setattr(known, "_started_at", "at another moment than that server")
    known.engine.dispose_all()
    assert Managers(database).users.count() >= 0
    assert "got a server of another one" in caplog.text
    (status,) = database.replicas()
    assert not status.usable
    assert "got a server of another one" in (status.reason or "")


def test_a_forked_child_reads_by_connections_of_its_own(opened: Opened, standby: Standby) -> None:
    database = opened()
    user = insert_user(database)
    caught_up(database, standby)
    managers = Managers(database)
    assert managers.users.find_by_id(user.id) is not None
    child = os.fork()
    if not child:
        found = managers.users.find_by_id(user.id) is not None and database.replicas()[0].reads > 1
        os._exit(0 if found else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert managers.users.find_by_id(user.id) is not None


def test_closing_closes_the_replicas_connections(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(replicas=[f"{standby.url}?application_name=to_be_closed"]), standby)
    Managers(database).users.count()
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'to_be_closed'"
    assert standby.execute(count) == [(1,)]
    database.close()
    wait_until(lambda: standby.execute(count) == [(0,)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replicas": "postgresql://b/cloud"}, "expected a list of URLs for the database option replicas; got"),
        (
            {"replicas": ["sqlite:///b.db"]},
            "expected the URLs of PostgreSQL servers in replicas=; got 'sqlite:///b.db'",
        ),
        ({"replicas": ["postgresql://b,c/d"]}, "expected one server in each URL of replicas=; got several in"),
        ({"replicas": ["postgresql://b:1,b:2/d"]}, "expected one server in each URL of replicas=; got several in"),
        ({"replicas": [7]}, "expected 'sqlite:///file.db'"),
        (
            {"replicas": ["postgresql://b/c"], "transaction_pooler": True},
            "expected replicas= or transaction_pooler=True",
        ),
        ({"replica_causality": "request"}, "expected 'process' or 'thread' for the database option replica_causality"),
        ({"replica_max_lag": -1}, "expected a number of at least 0 for the database option replica_max_lag"),
        ({"primary_share": 1.5}, "expected a number from 0 to 1 for the database option primary_share"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _ = Database("postgresql://a/cloud", **options).engine


def test_the_log_says_who_was_slow(opened: Opened, standby: Standby, caplog: pytest.LogCaptureFixture) -> None:
    database = caught_up(opened(slow_query=0), standby)
    caplog.clear()
    Managers(database).users.count()
    assert f" at {standby.url}: SELECT COUNT(*)" in caplog.text


def test_a_transaction_that_is_over_is_no_reason_for_the_primary(opened: Opened, standby: Standby) -> None:
    database = caught_up(opened(), standby)
    with pytest.raises(InvalidQueryError), database.transaction(read_only=True) as connection:
        connection.execute("DELETE FROM users")
    with answering(database) as seen:
        Managers(database).users.count()
    assert seen == ["replica SELECT"]


def test_rows_in_memory_are_the_primarys(opened: Opened, standby: Standby) -> None:
    """A standby's log does not say what is behind a position; what else is read goes to it all the same."""
    database = opened(cached_rows=10)
    database.history.enable()
    try:
        ada = insert_user(database)
        users = Managers(database).users
        caught_up(database, standby)
        with answering(database) as seen:
            for _ in range(2):
                with database.session(cached=True):
                    assert [users.find_by_id(ada.id) for _ in range(3)] == [ada] * 3
            assert seen
            assert all(one.startswith("primary ") for one in seen)
            seen.clear()
            users.count()
            assert seen == ["replica SELECT"]
        with paused(standby):
            users.update_by_id(ada.id, {"email": f"{uuid4().hex}@example.org"})
            with database.session(cached=True):
                for _ in range(2):
                    assert users.get_by_id(ada.id).email.endswith(".org")
    finally:
        database.history.disable()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_without_replicas_nothing_of_this_is_run(database: Database) -> None:
    called: set[str] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called.add(frame.f_code.co_filename)

    ada = insert_user(database)
    sys.setprofile(note)
    try:
        for read in READS.values():
            read(Managers(database), ada)
        with database.transaction():
            Managers(database).users.update_by_id(ada.id, {"password_hash": "…"})
    finally:
        sys.setprofile(None)
    assert any("cloudpub_models/connection/postgresql/engine.py" in Path(file).as_posix() for file in called)
    assert not any("cloudpub_models/connection/postgresql/replicas" in Path(file).as_posix() for file in called)
