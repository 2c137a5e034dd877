"""An owner's lookups are prepared by themselves: where that pays, where nobody notices, and nowhere else."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cloudpub_models import ALL_ROWS, Database, Function, FunctionLog, Managers, Scope, User, errors
from cloudpub_models.connection.postgresql.connection import PostgresqlConnection
from cloudpub_models.connection.postgresql.preparation import MOST_PREPARED, SECONDS_OF_A_PLAN
from cloudpub_models.sql.statement import LookupSql

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])

PREPARED = (
    "SELECT statement, generic_plans + custom_plans AS uses FROM pg_prepared_statements "
    "WHERE name LIKE 'cloudpub_%' ORDER BY prepare_time"
)


@pytest.fixture
def other(database_url):
    """Somebody else on the same database."""
    other = Database(database_url)
    yield other
    other.close()


@pytest.fixture
def ada(managers):
    return managers.users.insert({"email": "ada@example.com", "password_hash": "…"})


@pytest.fixture
def grace(managers):
    return managers.users.insert({"email": "grace@example.com", "password_hash": "…"})


@pytest.fixture
def resize(managers, ada):
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


@pytest.fixture
def line(managers, resize):
    return managers.function_logs.append(resize, "info", "…")


@pytest.fixture
def mine(managers, ada):
    return managers.owned_by(ada)


def prepared(database):
    """How often each statement that is prepared was executed."""
    return [row["uses"] for row in database.raw_query_all(PREPARED)]


def texts(database):
    return [row["statement"] for row in database.raw_query_all(PREPARED)]


# Which, and when


def test_a_lookup_of_an_owner_is_prepared_when_it_is_sent_again(database, mine, line, statements):
    with database.session():
        for uses in ([], [1], [2]):
            assert mine.function_logs.find_by_id(line.id) == line
            assert prepared(database) == uses
        (text,) = texts(database)
    assert text.endswith(
        "AS SELECT id, uuid, function_id, level, message, timestamp FROM function_logs WHERE id = $1 "
        "AND (SELECT functions.user_id FROM functions WHERE functions.id = function_logs.function_id) = $2"
    )
    assert len([sql for sql, _ in statements if sql.startswith("SELECT id, uuid, function_id")]) == 3


LOOKUPS = {
    "by id": lambda mine, line: mine.function_logs.find_by_id(line.id),
    "by UUID": lambda mine, line: mine.function_logs.get_by_uuid(line.uuid),
    "some columns": lambda mine, line: mine.function_logs.find_by_id(line.id, select=["message"]),
    "of what refers to the owner": lambda mine, line: mine.functions.find_by_id(line.function_id),
    "of the owner": lambda mine, line: mine.users.find_by_email("ada@example.com"),
    "of what a row refers to": lambda mine, line: mine.function_logs.insert(
        {"function_id": line.function_id, "level": "info", "message": "…"}
    ),
}


@pytest.mark.parametrize("kind", LOOKUPS)
def test_lookups_of_all_kinds_are(database, mine, line, kind, request):
    if kind == "by UUID":
        # In partitions it goes by those of that time first, with a statement that is not prepared.
        request.getfixturevalue("plain_tables")
    with database.session():
        found = [bool(LOOKUPS[kind](mine, line)) for _ in range(3)]
        assert found == [True] * 3
        assert prepared(database) == [2]


@pytest.mark.usefixtures("plain_tables")
def test_another_s_row_is_none_however_often_it_is_asked_for(database, managers, mine, grace, line):
    hers = managers.owned_by(grace)
    with database.session():
        for _ in range(8):  # the server makes a generic plan at the sixth
            assert mine.function_logs.find_by_uuid(line.uuid) == line
            assert hers.function_logs.find_by_uuid(line.uuid) is None
            with pytest.raises(errors.NotFoundError, match="expected a row of function_logs with the id"):
                hers.function_logs.get_by_id(line.id)
        assert prepared(database) == [15, 7]


def test_what_no_owner_asks_for_is_not(database, managers, mine, ada, line):
    scoped = managers.owned_by(ada)
    everything = Managers(database).unrestricted("to compare")
    open_scope = Scope({FunctionLog: ALL_ROWS, Function: ALL_ROWS, User: ALL_ROWS})
    with database.session():
        for _ in range(3):
            managers.function_logs.find_by_id(line.id)
            managers.function_logs.find_by_id(line.id, select=["message"])
            everything.function_logs.find_by_uuid(line.uuid)
            type(managers.function_logs)(database, scope=open_scope).find_by_id(line.id)
            scoped.function_logs.find_all({"level": "info"})
            scoped.function_logs.find_by_id("info", id_column="level")
        assert prepared(database) == []


def test_a_connection_keeps_as_many_as_were_used_last(database, ada):
    queries = [LookupSql(f"SELECT {number} FROM users WHERE id = %s") for number in range(2 * MOST_PREPARED)]
    with database.session():
        engine = database.engine
        for _ in range(2):
            for number, query in enumerate(queries):
                assert engine.fetch(query, (ada.id,)) == [(number,)]
                assert engine.fetch(query, (ada.id,)) == [(number,)]
                engine.fetch(queries[0], (ada.id,))
        assert len(prepared(database)) == MOST_PREPARED
        assert len(engine.connection().looked_up) <= MOST_PREPARED
        assert prepared(database)[0] > MOST_PREPARED


@pytest.mark.usefixtures("plain_tables")
def test_a_table_that_has_become_large_is_not_read_from_end_to_end_for_long(database, mine, other, line):
    """Nobody has told the server by ANALYZE, which may be off; what is planned each time sees it by itself."""

    def scan():
        # Not as raw SQL, beside which a session prepares nothing.
        cursor = database.engine.connection().cursor()
        cursor.execute("SELECT name FROM pg_prepared_statements")
        cursor.execute(f"EXPLAIN EXECUTE {cursor.fetchone()[0]} (1, 1)")
        return cursor.fetchone()[0].split(" on ")[0]

    other.raw_execute("ALTER TABLE function_logs SET (autovacuum_enabled = off)")
    try:
        other.raw_execute("ANALYZE function_logs")
        with database.session():
            for _ in range(7):
                mine.function_logs.find_by_id(line.id)
            assert scan() == "Seq Scan"
            other.raw_execute(
                "INSERT INTO function_logs (function_id, level, message) "
                "SELECT function_id, level, repeat('x', 500) FROM function_logs, generate_series(1, 2000)"
            )
            mine.function_logs.find_by_id(line.id)
            assert scan() == "Seq Scan"
            database.engine.connection().plans_until -= SECONDS_OF_A_PLAN
            mine.function_logs.find_by_id(line.id)
            assert scan().startswith("Index Scan")
    finally:
        other.raw_execute("ALTER TABLE function_logs RESET (autovacuum_enabled)")


# Where an error would be noticed


def test_inside_a_transaction_it_is_sent_as_it_is(database, mine, other, line):
    with database.session():
        for _ in range(3):
            mine.function_logs.find_by_id(line.id)
        with database.transaction():
            assert mine.function_logs.find_by_id(line.id) == line
        with database.atomic():
            assert mine.function_logs.find_by_id(line.id) == line
        with database.manual_commit():
            database.begin()
            assert mine.function_logs.find_by_id(line.id) == line
            database.rollback()
        assert prepared(database) == [2]
        other.raw_execute("ALTER TABLE function_logs ALTER COLUMN level TYPE text")
        try:
            with database.transaction():
                assert mine.function_logs.find_by_id(line.id) == line
        finally:
            other.raw_execute("ALTER TABLE function_logs ALTER COLUMN level TYPE varchar(20)")


def test_a_column_of_another_type_is_read_as_such(database, mine, other, line):
    with database.session():
        for _ in range(3):
            mine.function_logs.find_by_id(line.id)
        other.raw_execute("ALTER TABLE function_logs ALTER COLUMN level TYPE text")
        try:
            other.raw_execute("UPDATE function_logs SET level = repeat('x', 200)")
            for _ in range(4):
                assert mine.function_logs.find_by_id(line.id).level == "x" * 200
            assert prepared(database) == [3]
            other.raw_execute("UPDATE function_logs SET level = 'info'")
        finally:
            other.raw_execute("ALTER TABLE function_logs ALTER COLUMN level TYPE varchar(20)")
        assert mine.function_logs.find_by_id(line.id) == line


@pytest.mark.parametrize("table", ["functions", "function_logs"])
def test_one_that_waits_for_a_table_that_is_written_anew_sees_its_rows(database, mine, other, line, table):
    def look_up():
        return mine.function_logs.find_by_id(line.id)

    with ThreadPoolExecutor(1) as thread:
        for _ in range(7):
            thread.submit(look_up).result()
        with other.transaction() as connection:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN extra uuid DEFAULT gen_random_uuid()")
            answer = thread.submit(look_up)
            while not other.raw_query_all("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not answer.done()
        assert answer.result() == line


def test_a_table_that_takes_the_place_of_another_is_read_instead(database, mine, other, line):
    with database.session():
        for _ in range(7):
            mine.function_logs.find_by_id(line.id)
        with other.transaction() as connection:
            connection.execute("ALTER TABLE function_logs RENAME TO before")
            connection.execute("CREATE TABLE function_logs AS SELECT * FROM before")
            connection.execute("UPDATE function_logs SET message = 'moved'")
        try:
            for _ in range(2):
                assert mine.function_logs.find_by_id(line.id).message == "moved"
        finally:
            with other.transaction() as connection:
                connection.execute("DROP TABLE function_logs")
                connection.execute("ALTER TABLE before RENAME TO function_logs")
        assert mine.function_logs.find_by_id(line.id) == line


def test_what_the_server_refuses_is_told_as_it_is(database, mine, other, line):
    with database.session():
        for _ in range(3):
            mine.function_logs.find_by_id(line.id)
        other.raw_execute("ALTER TABLE function_logs RENAME TO moved")
        try:
            for _ in range(2):
                with pytest.raises(errors.InvalidQueryError, match="is this its name"):
                    mine.function_logs.find_by_id(line.id)
        finally:
            other.raw_execute("ALTER TABLE moved RENAME TO function_logs")
        assert mine.function_logs.find_by_id(line.id) == line


# What becomes of a session


@pytest.mark.parametrize("command", ["DISCARD ALL", "DEALLOCATE ALL", "DISCARD PLANS", "RESET ALL"])
def test_whoever_throws_it_away_is_not_noticed(database, mine, line, command):
    for _ in range(3):
        with database.session():
            for _ in range(3):
                assert mine.function_logs.find_by_id(line.id) == line
            database.raw_execute(command)
            assert mine.function_logs.find_by_id(line.id) == line
        assert mine.function_logs.find_by_id(line.id) == line


def test_what_is_gone_unseen_is_not_noticed_and_none_is_prepared_any_more(database, mine, line):
    with database.session():
        for _ in range(3):
            mine.function_logs.find_by_id(line.id)
        database.engine.connection().cursor().execute("DEALLOCATE ALL")
        for _ in range(3):
            assert mine.function_logs.find_by_id(line.id) == line
        assert prepared(database) == []


def test_a_name_means_what_raw_sql_has_made_of_it(database, mine, line):
    """A temporary table stands before one of the schema, for what is prepared too."""
    # After the first one of a session the server would plan all anew by itself.
    database.raw_execute("CREATE TEMPORARY TABLE aside (id integer)")
    with database.session():
        for _ in range(3):
            mine.function_logs.find_by_id(line.id)
        database.raw_execute("CREATE TEMPORARY TABLE function_logs AS SELECT * FROM function_logs")
        database.raw_execute("UPDATE function_logs SET message = 'aside'")
        assert mine.function_logs.find_by_id(line.id).message == "aside"
        uses = prepared(database)
    assert mine.function_logs.find_by_id(line.id).message == "…"
    with database.session():
        mine.function_logs.find_by_id(line.id)
        assert prepared(database) == [uses[0] + 2]


def test_a_new_connection_prepares_anew(database, mine, other, line):
    with database.session():
        for _ in range(3):
            mine.function_logs.find_by_id(line.id)
        number = database.engine.connection().get_backend_pid()
        other.raw_query_all("SELECT pg_terminate_backend(@number, 2000)", {"number": number})
        with pytest.raises(errors.ConnectionLostError):
            mine.function_logs.find_by_id(line.id)
        for _ in range(2):
            assert mine.function_logs.find_by_id(line.id) == line
        assert prepared(database) == [1]


# Whose session it is


def test_nothing_is_prepared_in_a_session_of_another_number(database, mine, line, monkeypatch):
    """As behind a pooler, which gives its clients numbers of their own."""
    asked = []
    own = PostgresqlConnection.get_backend_pid
    monkeypatch.setattr(PostgresqlConnection, "get_backend_pid", lambda self: asked.append(self) or own(self) + 1)
    with database.session():
        for _ in range(4):
            assert mine.function_logs.find_by_id(line.id) == line
        assert prepared(database) == []
    assert len(asked) == 1


def test_nor_behind_a_transaction_pooler_whatever_its_numbers(database_url, managers, ada, line):
    shop = Database(database_url, transaction_pooler=True)
    mine = Managers(shop).owned_by(ada)
    with shop.session():
        for _ in range(4):
            assert mine.function_logs.find_by_id(line.id) == line
        assert prepared(shop) == []
    shop.close()


def test_a_pooler_that_gives_the_numbers_of_its_sessions_is_found_out(database_url, managers, grace, ada, line):
    """It swaps the sessions of two clients between two statements, behind their backs."""
    clients = [Database(database_url, max_connections=1) for _ in range(2)]
    mine, hers = (Managers(shop).owned_by(owner) for shop, owner in zip(clients, (ada, grace), strict=True))
    with clients[0].session(), clients[1].session():
        for _ in range(3):
            assert mine.function_logs.find_by_id(line.id) == line
            assert hers.functions.find_by_id(line.function_id) is None
        first, second = (client.engine.connection() for client in clients)
        for name in ("prepared", "outdated", "looked_up"):
            kept = getattr(first, name), getattr(second, name)
            second.__dict__[name], first.__dict__[name] = kept
        clients[0].engine._keep_connection(second)
        clients[1].engine._keep_connection(first)
        for _ in range(3):
            assert mine.function_logs.find_by_id(line.id) == line
            assert hers.functions.find_by_id(line.function_id) is None
        assert (first.has_own_session, second.has_own_session) == (False, False)
        clients[0].engine._keep_connection(first)
        clients[1].engine._keep_connection(second)
    for client in clients:
        client.close()
