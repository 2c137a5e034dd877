"""Lookups are prepared by themselves: where that pays, where nobody notices, and nowhere else.

Each test asks as anybody does, and as an owner of rows does, who has a condition more.
"""

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest

from cloudpub_models import ALL_ROWS, Database, Function, FunctionLog, Managers, Scope, User, errors, operators
from cloudpub_models.connection.postgresql import preparation
from cloudpub_models.connection.postgresql.connection import PostgresqlConnection
from cloudpub_models.connection.postgresql.preparation import OFTEN
from cloudpub_models.sql.statement import LookupSql
from tests.faults.test_interrupts import Interrupted, Interruption
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])

PREPARED = (
    "SELECT statement, generic_plans + custom_plans AS uses FROM pg_prepared_statements "
    "WHERE name LIKE 'cloudpub_%' ORDER BY prepare_time"
)
OWNED = "AND (SELECT functions.user_id FROM functions WHERE functions.id = function_logs.function_id) = $2"
# More than the server plans anew for each value before it makes one plan for all.
MANY = 8


@pytest.fixture(autouse=True)
def plans_of_long(monkeypatch):
    """Plans that never get old by themselves, however slow the machine is, and connections that are at once."""
    monkeypatch.setattr(preparation, "SECONDS_OF_YOUTH", 0.0)
    monkeypatch.setattr(preparation, "SECONDS_OF_A_PLAN", 86_400.0)


@pytest.fixture
def grace(managers):
    return managers.users.insert({"email": "grace@example.com", "password_hash": "…"})


@pytest.fixture
def line(managers, resize):
    return managers.function_logs.append(resize, "info", "…")


@pytest.fixture(params=["anybody", "an owner"])
def mine(managers, ada, request):
    return managers.owned_by(ada) if request.param == "an owner" else managers


def often(look_up, times=0):
    """Ask often enough for a lookup to be prepared when it is asked for again, and so many times more."""
    return [look_up() for _ in range(OFTEN + times)]


def prepared(database):
    """How often each statement that is prepared was executed."""
    return [row["uses"] for row in database.raw_query_all(PREPARED)]


def texts(database):
    return [row["statement"] for row in database.raw_query_all(PREPARED)]


# Which, and when


@pytest.mark.usefixtures("plain_tables")
def test_a_lookup_is_prepared_when_it_has_found_its_row_often(database, mine, line, statements, request):
    with database.session():
        assert often(lambda: mine.function_logs.find_by_id(line.id)) == [line] * OFTEN
        assert prepared(database) == []
        for uses in range(1, MANY):
            assert mine.function_logs.find_by_id(line.id) == line
            assert prepared(database) == [uses]
        (text,) = texts(database)
    condition = f"WHERE id = $1 {OWNED}" if mine.function_logs.scope else "WHERE id = $1"
    assert text.endswith(f"AS SELECT id, uuid, function_id, level, message, timestamp FROM function_logs {condition}")
    asked = [sql for sql, _ in statements if sql.startswith("SELECT id, uuid, function_id")]
    assert len(asked) == OFTEN + MANY - 1


LOOKUPS = {
    "by id": lambda mine, line: mine.function_logs.find_by_id(line.id),
    "by UUID": lambda mine, line: mine.function_logs.get_by_uuid(line.uuid),
    "some columns": lambda mine, line: mine.function_logs.find_by_id(line.id, select=["message"]),
    "of what refers to the owner": lambda mine, line: mine.functions.get_by_id(line.function_id),
    "of the owner": lambda mine, line: mine.users.find_by_email("ada@example.com"),
    "by a column that is unique": lambda mine, line: mine.users.find_by_id("ada@example.com", id_column="email"),
}


@pytest.mark.parametrize("kind", LOOKUPS)
def test_lookups_of_all_kinds_are(database, mine, line, kind, request):
    if kind in ("by id", "by UUID"):
        # In partitions it goes by some of them first, with a statement of their own.
        request.getfixturevalue("plain_tables")
    with database.session():
        assert all(often(lambda: LOOKUPS[kind](mine, line), 2))
        assert prepared(database) == [2]


def test_so_is_that_of_what_an_owner_s_row_refers_to(database, managers, ada, line):
    mine = managers.owned_by(ada)
    with database.session():
        often(lambda: mine.function_logs.append(line.function_id, "info", "…"), 2)
        assert prepared(database) == [2]


def test_nothing_else_is(database, managers, ada, line):
    open_scope = Scope({FunctionLog: ALL_ROWS, Function: ALL_ROWS, User: ALL_ROWS})

    def ask():
        for mine in (managers, managers.owned_by(ada), Managers(database, scope=open_scope)):
            mine.function_logs.find_all({"id": line.id})
            mine.function_logs.find_one({"uuid": line.uuid})
            mine.function_logs.find_all({"id": [line.id]})
            mine.function_logs.find_by_id("info", id_column="level")
            mine.function_logs.exists({"id": line.id})
            mine.function_logs.count({"id": line.id})
            mine.function_logs.values("level", {"id": operators.eq(line.id)})
            mine.users.update_by_id(ada.id, {"password_hash": "…"})

    with database.session():
        often(ask, 2)
        assert prepared(database) == []


@pytest.mark.usefixtures("plain_tables")
def test_another_s_row_is_none_however_often_it_is_asked_for(database, managers, ada, grace, line):
    mine, hers = managers.owned_by(ada), managers.owned_by(grace)
    with database.session():
        often(lambda: mine.function_logs.find_by_uuid(line.uuid))
        for _ in range(MANY):
            assert mine.function_logs.find_by_uuid(line.uuid) == line
            assert hers.function_logs.find_by_uuid(line.uuid) is None
            assert [mine.function_logs.find_by_uuid(line.uuid) for _ in range(OFTEN)] == [line] * OFTEN
            with pytest.raises(errors.NotFoundError, match="expected a row of function_logs with the id"):
                hers.function_logs.get_by_id(line.id)
        assert prepared(database) == [2 * MANY]


# What finds nothing


@pytest.mark.usefixtures("plain_tables")
def test_what_has_found_nothing_is_sent_as_it_is_until_it_finds_often_again(database, mine, line):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    def miss():
        return mine.function_logs.find_by_id(line.id + 1_000_000)

    with database.session():
        often(look_up, 1)
        assert prepared(database) == [1]
        for _ in range(3):
            assert miss() is None
            assert prepared(database) == [2]
        for _ in range(OFTEN - 1):
            assert look_up() == line
        assert miss() is None
        assert often(look_up) == [line] * OFTEN
        assert prepared(database) == [2]
        assert look_up() == line
        assert prepared(database) == [3]


@pytest.mark.usefixtures("plain_tables")
def test_what_never_finds_often_in_a_row_is_never_prepared(database, mine, line):
    with database.session():
        for missing in range(3 * OFTEN):
            assert mine.function_logs.find_by_id(line.id) == line
            assert mine.function_logs.find_by_id(line.id + 1_000_000 + missing) is None
        assert prepared(database) == []


# How long


@pytest.mark.usefixtures("plain_tables")
def test_a_table_that_has_become_large_is_not_read_from_end_to_end_for_long(database, mine, other, line):
    """Nobody has told the server by ANALYZE, which may be off; what is planned each time sees it by itself."""

    def scan():
        # Not as raw SQL, beside which a session prepares nothing.
        cursor = database.engine.connection().cursor()
        cursor.execute("SELECT name, parameter_types FROM pg_prepared_statements")
        name, types = cursor.fetchone()
        cursor.execute(f"EXPLAIN EXECUTE {name} ({', '.join('1' for _ in types.split(','))})")
        return cursor.fetchone()[0].split(" on ")[0]

    def look_up():
        return mine.function_logs.find_by_id(line.id)

    other.raw_execute("ALTER TABLE function_logs SET (autovacuum_enabled = off)")
    try:
        # Of the tests before, too, nothing is to make it large.
        other.raw_execute("VACUUM (FULL, ANALYZE) function_logs")
        with database.session():
            often(look_up, MANY)
            assert scan() == "Seq Scan"
            other.raw_execute(
                "INSERT INTO function_logs (function_id, level, message) "
                "SELECT function_id, level, repeat('x', 500) FROM function_logs, generate_series(1, 2000)"
            )
            assert look_up() == line
            assert scan() == "Seq Scan"
            database.engine.connection().plans_until = 0.0
            often(look_up, 1)
            assert scan().startswith("Index Scan")
    finally:
        other.raw_execute("ALTER TABLE function_logs RESET (autovacuum_enabled)")


@pytest.mark.usefixtures("plain_tables")
def test_nor_at_all_after_a_batch(database, mine, managers, line):
    """Of the program's own, whichever of its connections has sent it."""
    with database.session():
        often(lambda: mine.function_logs.find_by_id(line.id), MANY)
        with ThreadPoolExecutor(1) as thread:
            more = [{"function_id": line.function_id, "level": "info", "message": "…"}] * 10
            thread.submit(managers.function_logs.batch_insert, more).result()
        often(lambda: mine.function_logs.find_by_id(line.id))
        assert prepared(database) == [MANY]


@pytest.mark.usefixtures("plain_tables")
def test_what_is_asked_for_now_and_then_is_sent_as_it_is(database, mine, line):
    """Else it would be planned anew each time, and that in a message more."""
    with database.session():
        often(lambda: mine.function_logs.find_by_id(line.id), MANY)
        for _ in range(3):
            database.engine.connection().plans_until = 0.0
            often(lambda: mine.function_logs.find_by_id(line.id))
        assert prepared(database) == [MANY]


def test_a_connection_that_was_just_opened_prepares_nothing(database, mine, line, monkeypatch):
    """What opens one for each unit of work would never get back what that takes."""
    monkeypatch.setattr(preparation, "SECONDS_OF_YOUTH", 86_400.0)
    database.close()
    with database.session():
        often(lambda: mine.function_logs.find_by_id(line.id), MANY)
        assert prepared(database) == []
        database.engine.connection().prepares_from -= 86_400.0
        often(lambda: mine.function_logs.find_by_id(line.id), 1)
        assert prepared(database) == [1]


def test_a_connection_keeps_those_that_were_asked_for_last(database, ada, monkeypatch):
    most, half = 10, 5
    monkeypatch.setattr(preparation, "MOST_PREPARED", most)
    queries = [LookupSql(f"SELECT {number} FROM users WHERE id = %s") for number in range(2 * most)]
    engine = database.engine
    with database.session():
        connection = engine.connection()

        def kept_of(asked):
            connection.plans_until = 0.0
            for number in asked:
                found = often(partial(engine.fetch, queries[number], (ada.id,)), 1)
                assert found == [[(number,)]] * (OFTEN + 1)
            assert len(connection.finds) == most
            return [int(text.split()[4]) for text in texts(database)]

        # No more at a time, so that none has to make room for what makes room for it.
        assert kept_of(range(most + half)) == [*range(most)]
        assert kept_of(range(most, 2 * most)) == [*range(most, 2 * most)]
        again = [*range(most, most + half), *range(half)]
        assert kept_of(again) == again
        # What finds nothing any more makes room.
        for number in (*range(2 * most), *range(2 * most)):
            assert often(partial(engine.fetch, queries[number], (ada.id,)), 1) == [[(number,)]] * (OFTEN + 1)
            assert engine.fetch(queries[number], (ada.id + 1_000_000,)) == []
        assert [int(text.split()[4]) for text in texts(database)] == [*range(most, 2 * most)]
        assert connection.prepares_from < math.inf


# Where an error would be noticed


@pytest.mark.usefixtures("plain_tables")
def test_inside_a_transaction_it_is_sent_as_it_is(database, mine, other, line):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    with database.session():
        often(look_up, 2)
        with database.transaction():
            assert look_up() == line
        with database.atomic():
            assert look_up() == line
        with database.manual_commit():
            database.begin()
            assert look_up() == line
            database.rollback()
        assert prepared(database) == [2]
        other.raw_execute("ALTER TABLE function_logs ALTER COLUMN level TYPE text")
        try:
            with database.transaction():
                assert look_up() == line
        finally:
            other.raw_execute("ALTER TABLE function_logs ALTER COLUMN level TYPE varchar(20)")


def test_a_column_of_another_type_is_read_as_such(database, mine, other, line):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    with database.session():
        often(look_up, 3)
        other.raw_execute("ALTER TABLE function_logs ALTER COLUMN level TYPE text")
        try:
            other.raw_execute("UPDATE function_logs SET level = repeat('x', 200)")
            for _ in range(4):
                assert look_up().level == "x" * 200
            assert prepared(database) == [3]
            other.raw_execute("UPDATE function_logs SET level = 'info'")
        finally:
            other.raw_execute("ALTER TABLE function_logs ALTER COLUMN level TYPE varchar(20)")
        assert look_up() == line


@pytest.mark.usefixtures("plain_tables")
@pytest.mark.parametrize("before", [0, 1, MANY])
def test_a_number_that_no_row_can_have_finds_none(database, mine, other, line, before):
    """As large as a table's ids are in the model, and are not in a table that is not widened yet."""
    other.raw_execute("ALTER TABLE function_logs ALTER COLUMN id TYPE integer")
    try:
        with database.session():
            often(lambda: mine.function_logs.find_by_id(line.id), before)
            for _ in range(2):
                assert mine.function_logs.find_by_id(2**40) is None
            assert often(lambda: mine.function_logs.find_by_id(line.id), 1) == [line] * (OFTEN + 1)
            assert prepared(database) == [1]
    finally:
        other.raw_execute("ALTER TABLE function_logs ALTER COLUMN id TYPE bigint")


@pytest.mark.parametrize("table", ["functions", "function_logs"])
def test_one_that_waits_for_a_table_that_is_written_anew_sees_its_rows(database, mine, other, line, table):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(often, look_up, MANY).result()
        with other.transaction() as connection:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN extra uuid DEFAULT gen_random_uuid()")
            answer = thread.submit(look_up)
            if table == "functions" and not mine.function_logs.scope:
                assert answer.result() == line
                return
            while not other.raw_query_all("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not answer.done()
        assert answer.result() == line


@pytest.mark.usefixtures("plain_tables")
def test_latest_lines_that_wait_while_they_are_moved_to_another_partition_are_found(database, mine, other, resize):
    """They go from the partition without an end to partitions of their own; others, of today, stay where they are."""
    other.partition("function_logs", "day", ahead=timedelta(0))
    other.close()
    database.close()
    now = datetime.now(UTC)
    lines = Managers(other).function_logs.batch_insert(
        [
            {"function_id": resize.id, "level": "info", "message": "…", "timestamp": now + timedelta(days=days)}
            for days in (0, 0, 0, 7, 8, 9)
        ],
        returning=True,
    )
    expected = [line.id for line in reversed(lines[3:])]

    def latest():
        return [line.id for line in mine.function_logs.tail(resize, 3)]

    answers = []
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(often, latest, MANY).result() == [expected] * (OFTEN + MANY)

        def ask(query):
            if "INSERT INTO function_logs_p_" in query.sql and not answers:
                answers.append(thread.submit(latest))
                wait_until(lambda: watcher.raw_query_all("SELECT 1 AS n FROM pg_locks WHERE NOT granted"))

        watcher, stop = Database(other.engine.database), other.on_query(ask)
        assert other.partition("function_logs", ahead=timedelta(days=20))
        stop()
        watcher.close()
    assert [answer.result() for answer in answers] == [expected]


@pytest.mark.usefixtures("plain_tables")
def test_latest_lines_are_executed_behind_a_lock_of_their_table(database, managers, other, resize, line):
    other.partition("function_logs", "day")
    other.close()
    database.close()
    with database.session():
        often(lambda: managers.function_logs.tail(resize, 1))
        assert managers.function_logs.tail(resize, 1) == [line]
        assert prepared(database) == [1]
        (command,) = database.engine.connection().ready.values()
        assert command.startswith("LOCK TABLE ONLY function_logs IN ACCESS SHARE MODE; EXECUTE cloudpub_")
        # It is over with the statement.
        assert database.raw_query_all("SELECT 1 AS n FROM pg_locks WHERE relation = 'function_logs'::regclass") == []


def test_a_table_that_takes_the_place_of_another_is_read_instead(database, mine, other, line):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    with database.session():
        often(look_up, MANY)
        with other.transaction() as connection:
            connection.execute("ALTER TABLE function_logs RENAME TO before")
            connection.execute("CREATE TABLE function_logs AS SELECT * FROM before")
            connection.execute("UPDATE function_logs SET message = 'moved'")
        try:
            for _ in range(2):
                assert look_up().message == "moved"
        finally:
            with other.transaction() as connection:
                connection.execute("DROP TABLE function_logs")
                connection.execute("ALTER TABLE before RENAME TO function_logs")
        assert look_up() == line


def test_what_the_server_refuses_is_told_as_it_is(database, mine, other, line):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    with database.session():
        often(look_up, 2)
        other.raw_execute("ALTER TABLE function_logs RENAME TO moved")
        try:
            for _ in range(2):
                with pytest.raises(errors.InvalidQueryError, match="is this its name"):
                    look_up()
        finally:
            other.raw_execute("ALTER TABLE moved RENAME TO function_logs")
        assert look_up() == line


@pytest.mark.usefixtures("plain_tables")
def test_threads_find_their_rows_while_the_table_changes_under_them(database, mine, other, line):
    """Each change throws plans away, or makes them wrong: none is noticed, and none finds nothing."""
    over = threading.Event()
    found = []

    def look_up():
        while not over.is_set():
            found.append(mine.function_logs.find_by_id(line.id))

    changes = [
        "ALTER TABLE function_logs ALTER COLUMN level TYPE text",
        "ALTER TABLE function_logs ADD COLUMN extra uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE function_logs ALTER COLUMN level TYPE varchar(20)",
        "ALTER TABLE function_logs DROP COLUMN extra",
        "VACUUM FULL function_logs",
    ]
    with ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(look_up) for _ in range(3)]
        try:
            for change in changes * 4:
                before = len(found)
                wait_until(lambda before=before: len(found) > before + OFTEN)
                other.raw_execute(change)
        finally:
            over.set()
        for answer in answers:
            answer.result()
    assert set(found) == {line}
    assert {row.level for row in found} == {"info"}


# What comes in between


def _readied(database, managers, line):
    """Return a lookup at each of its turnings: about to be prepared, prepared, and about to be planned anew."""

    def look_up():
        return managers.function_logs.find_by_id(line.id)

    def prepares():
        often(look_up)

    def is_prepared():
        often(look_up, 1)

    def is_old():
        often(look_up, 1)
        database.engine.connection().plans_until = 0.0
        often(look_up)

    return look_up, (prepares, is_prepared, is_old)


@pytest.mark.parametrize("turning", range(3))
def test_an_interrupt_at_any_moment_costs_no_answer(database, managers, line, turning, scale):
    look_up, turnings = _readied(database, managers, line)
    for moment in itertools.count(1, scale(4, 1)):
        with database.session():
            turnings[turning]()
            interruption = Interruption(moment)
            with suppress(Interrupted):
                interruption.run(look_up)
            assert often(look_up, 2) == [line] * (OFTEN + 2)
        database.engine._pool.give_up_idle(math.inf)
        if not interruption.came:
            break
    assert moment > 10


@pytest.mark.parametrize("turning", range(3))
def test_a_handler_may_ask_for_the_same_at_any_moment(database, managers, line, turning, scale):
    look_up, turnings = _readied(database, managers, line)
    answers = []

    def ask():
        answers.append(look_up())

    for moment in itertools.count(1, scale(4, 1)):
        with database.session():
            turnings[turning]()
            interruption = Interruption(moment, ask)
            interruption.run(ask)
            assert often(look_up, 2) == [line] * (OFTEN + 2)
        database.engine._pool.give_up_idle(math.inf)
        if not interruption.came:
            break
    assert len(answers) > 5
    assert set(answers) == {line}


# What becomes of a session


@pytest.mark.parametrize("command", ["DISCARD ALL", "DEALLOCATE ALL", "DISCARD PLANS", "RESET ALL"])
def test_whoever_throws_it_away_is_not_noticed(database, mine, line, command):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    for _ in range(3):
        with database.session():
            assert often(look_up, 2) == [line] * (OFTEN + 2)
            database.raw_execute(command)
            assert look_up() == line
        assert look_up() == line


def test_what_is_gone_unseen_is_not_noticed_and_none_is_prepared_any_more(database, mine, line):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    with database.session():
        often(look_up, 3)
        database.engine.connection().cursor().execute("DEALLOCATE ALL")
        assert often(look_up, 3) == [line] * (OFTEN + 3)
        assert prepared(database) == []


WAYS = {
    "raw SQL": lambda database, sql: database.raw_execute(sql),
    "Peewee": lambda database, sql: database.engine.execute_sql(sql),
    "a transaction's": lambda database, sql: _in_a_transaction(database, sql),
}
MEANINGS = {
    "a temporary table": "CREATE TEMPORARY TABLE function_logs AS {rows}",
    "a schema": "CREATE SCHEMA beside; CREATE TABLE beside.function_logs AS {rows}; SET search_path = beside, public",
}


def _in_a_transaction(database, sql):
    with database.transaction() as connection:
        connection.execute(sql)


@pytest.mark.usefixtures("plain_tables")
@pytest.mark.parametrize("meaning", MEANINGS)
@pytest.mark.parametrize("way", WAYS)
def test_a_name_means_what_raw_sql_has_made_of_it(database, mine, line, way, meaning):
    """A temporary table stands before one of the schema, for what is prepared too."""

    def message():
        return mine.function_logs.find_by_id(line.id).message

    aside = "SELECT id, uuid, function_id, level, 'aside' AS message, timestamp FROM public.function_logs"
    # After the first one of a session the server would plan all anew by itself.
    database.raw_execute("CREATE TEMPORARY TABLE aside (id integer)")
    with database.session():
        often(message, 2)
        for statement in MEANINGS[meaning].format(rows=aside).split("; "):
            WAYS[way](database, statement)
        assert often(message, 1) == ["aside"] * (OFTEN + 1)
        assert prepared(database) == [2]
    with database.session():
        assert message() == "…"
        assert prepared(database) == [3]
    database.raw_execute("DROP SCHEMA IF EXISTS beside CASCADE")


def test_a_role_sees_what_it_may(database, mine, line, request):
    role = f"clerk_{uuid4().hex}"

    def look_up():
        return mine.function_logs.find_by_id(line.id)

    database.raw_execute(f"CREATE ROLE {role}")
    try:
        with database.session():
            often(look_up, 2)
            database.raw_execute(f"SET ROLE {role}")
            with pytest.raises(errors.CloudpubError, match="permission denied"):
                look_up()
        assert look_up() == line
    finally:
        database.raw_execute(f"DROP ROLE {role}")


def test_a_new_connection_prepares_anew(database, mine, other, line):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    with database.session():
        often(look_up, 2)
        number = database.engine.connection().get_backend_pid()
        other.raw_query_all("SELECT pg_terminate_backend(@number, 2000)", {"number": number})
        with pytest.raises(errors.ConnectionLostError):
            look_up()
        assert often(look_up) == [line] * OFTEN
        assert prepared(database) == []
        assert look_up() == line
        assert prepared(database) == [1]


# Whose session it is


def test_nothing_is_prepared_in_a_session_of_another_number(database, mine, line, monkeypatch):
    """As behind a pooler, which gives its clients numbers of their own."""
    asked = []
    own = PostgresqlConnection.get_backend_pid
    monkeypatch.setattr(PostgresqlConnection, "get_backend_pid", lambda self: asked.append(self) or own(self) + 1)
    with database.session():
        assert often(lambda: mine.function_logs.find_by_id(line.id), OFTEN + 2) == [line] * (2 * OFTEN + 2)
        assert prepared(database) == []
        assert database.engine.connection().finds == {}
    assert len(asked) == 1


@pytest.mark.parametrize("command", ["SELECT its_number()", "DISCARDS PLANS", "PREPARES nothing"])
def test_nor_where_the_server_does_not_know_how_to(database, mine, line, monkeypatch, command):
    """As another one that speaks its protocol, or what stands before it."""
    asked = []

    def prepare(connection, cursor, sql, parameters):
        asked.append(sql)
        cursor.execute(command)

    monkeypatch.setattr(preparation, "prepare", prepare)
    with database.session():
        assert often(lambda: mine.function_logs.find_by_id(line.id), OFTEN + 2) == [line] * (2 * OFTEN + 2)
    assert len(asked) == 1


@pytest.mark.parametrize("option", ["transaction_pooler", "prepared"])
def test_nor_where_an_option_says_otherwise(database_url, managers, ada, line, option):
    """Behind a transaction pooler nothing is, whatever its numbers; what prepares everything does so in its own way."""
    shop = Database(database_url, **{option: True})
    for mine in (Managers(shop), Managers(shop).owned_by(ada)):
        with shop.session():
            often(lambda mine=mine: mine.function_logs.find_by_id(line.id + 1_000_000), 2)
            often(lambda mine=mine: mine.function_logs.find_by_id(line.id), 2)
            kept = shop.engine.connection()
            assert (kept.prepares_from, kept.finds, kept.ready) == (math.inf, {}, {})
    shop.close()


@pytest.mark.parametrize("owned", [False, True])
def test_a_pooler_that_gives_the_numbers_of_its_sessions_is_found_out(
    database_url, managers, grace, ada, resize, line, owned
):
    """It swaps the sessions of two clients between two statements, behind their backs."""
    clients = [Database(database_url, max_connections=1) for _ in range(2)]
    mine, hers = (Managers(shop) for shop in clients)
    if owned:
        mine, hers = mine.owned_by(ada), hers.owned_by(ada)
    asked = [lambda: mine.function_logs.find_by_id(line.id), lambda: hers.functions.find_by_id(resize.id)]
    with clients[0].session(), clients[1].session():
        assert [often(look_up, 2)[-1] for look_up in asked] == [line, resize]
        first, second = (client.engine.connection() for client in clients)
        for name in ("prepared", "outdated", "finds", "ready"):
            kept = getattr(first, name), getattr(second, name)
            second.__dict__[name], first.__dict__[name] = kept
        clients[0].engine._keep_connection(second)
        clients[1].engine._keep_connection(first)
        for _ in range(3):
            assert [look_up() for look_up in asked] == [line, resize]
        assert (first.prepares_from, second.prepares_from) == (math.inf, math.inf)
        clients[0].engine._keep_connection(first)
        clients[1].engine._keep_connection(second)
    for client in clients:
        client.close()
