"""A connection that somebody else gets has nothing left in it of what raw SQL has done to its session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from peewee import SQL, fn

from cloudpub_models import Database, Managers, User, operators, raw
from cloudpub_models.errors import CloudpubError, InvalidQueryError

ON_POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"])
ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"])

# What a session has beside its tables, as the session itself tells it.
_STATE = """
    SELECT current_user AS "user", current_setting('cloudpub.mark', true) AS mark,
        current_setting('search_path') AS path,
        current_setting('default_transaction_isolation') AS isolation, current_setting('timezone') AS zone,
        current_setting('statement_timeout') AS patience, current_setting('work_mem') AS memory,
        (SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
        (SELECT COUNT(*) FROM pg_prepared_statements) AS prepared, (SELECT COUNT(*) FROM pg_cursors) AS cursors,
        (SELECT COUNT(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS temporary,
        (SELECT COUNT(*) FROM pg_listening_channels()) AS channels
"""
MARKED = "set_config('cloudpub.mark', 'left', false)"
CHANGES = [
    f"SELECT {MARKED}",
    f"SELECT 1 WHERE {MARKED} IS NULL",
    f"WITH marked AS (SELECT {MARKED} AS m) SELECT m FROM marked",
    f"UPDATE users SET email = {MARKED} WHERE id < 0 OR {MARKED} = ''",
    f"DO $$ BEGIN PERFORM {MARKED}; END $$",
    "SELECT leave_a_mark()",
    "CALL leave_marks()",
    "SET cloudpub.mark = 'left'",
    "SET search_path = pg_catalog",
    "SET ROLE pg_monitor",
    "SET SESSION AUTHORIZATION pg_monitor",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET TIME ZONE 'Asia/Tokyo'",
    "RESET statement_timeout",
    "SET work_mem = '1MB'",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock_shared(2)",
    "SELECT 1 AS one INTO TEMP TABLE passing",
    "CREATE TEMP TABLE passing (id INTEGER)",
    "CREATE TABLE pg_temp.passing AS SELECT 1 AS one",
    "PREPARE passing AS SELECT 1",
    "DECLARE passing CURSOR WITH HOLD FOR SELECT 1",
    "LISTEN news",
]


def streamed(database: Database, sql: str) -> None:
    list(database.raw_query_iter(sql))


def in_a_transaction(database: Database, sql: str) -> None:
    with database.transaction() as connection:
        connection.execute(sql)


def in_a_session(database: Database, sql: str) -> None:
    with database.session():
        database.raw_execute(sql)
        database.raw_query_all("SELECT 1")


def in_a_session_with_a_stream(database: Database, sql: str) -> None:
    with database.session():
        stream = database.raw_query_iter("SELECT generate_series(1, 3) AS n", chunk_size=1)
        next(stream)
        database.raw_execute(sql)
        stream.close()
        database.raw_query_all("SELECT 1")


def before_a_rollback(database: Database, sql: str) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute(sql)
        raise ZeroDivisionError


def by_perform(database: Database, sql: str) -> None:
    database.engine.perform(sql, None)


def by_peewee(database: Database, sql: str) -> None:
    database.engine.execute_sql(sql)


def by_a_manager(database: Database, sql: str) -> None:
    Managers(database).users.raw(sql)


WAYS = [
    Database.raw_query_all,
    Database.raw_query_single,
    Database.raw_execute,
    streamed,
    in_a_transaction,
    in_a_session,
    in_a_session_with_a_stream,
    before_a_rollback,
    by_perform,
    by_peewee,
    by_a_manager,
]


@pytest.fixture(params=[False, True], ids=["plain", "prepared"])
def few_connections(request: pytest.FixtureRequest, shared_postgresql_url: str) -> Iterator[Database]:
    """A database whose calls share two connections, and functions that leave something in a session."""
    database = Database(shared_postgresql_url, max_connections=2, prepared=request.param)
    body = f"BEGIN PERFORM {MARKED}; PERFORM pg_advisory_lock(3);"
    database.raw_execute(f"CREATE FUNCTION leave_a_mark() RETURNS INT LANGUAGE plpgsql AS $$ {body} RETURN 1; END $$")
    database.raw_execute(f"CREATE PROCEDURE leave_marks() LANGUAGE plpgsql AS $$ {body} END $$")
    yield database
    database.close()


def states(database: Database) -> list[dict[str, Any]]:
    """What both connections have in their sessions."""
    with database.session(), ThreadPoolExecutor(1) as other_thread:
        found = database.raw_query_all(_STATE) + other_thread.submit(database.raw_query_all, _STATE).result()
    # A setting that was there once is there as an empty text.
    return [{**state, "mark": state["mark"] or None} for state in found]


@pytest.mark.parametrize("way", WAYS)
def test_nobody_gets_what_raw_sql_has_left_in_a_session(few_connections: Database, way: Any) -> None:
    before = states(few_connections)
    after = {}
    for sql in CHANGES:
        try:
            way(few_connections, sql)
        except CloudpubError:
            # A stream takes queries only, and some of these may not be in a transaction.
            pass
        after[sql] = states(few_connections)
    assert after == dict.fromkeys(CHANGES, before)


@pytest.mark.parametrize("sql", ["SELECT setseed(0.5)", "LOAD 'plpgsql'"])
def test_what_the_server_cannot_undo_ends_with_the_connection(few_connections: Database, sql: str) -> None:
    backend = "SELECT pg_backend_pid() AS pid"
    before = few_connections.raw_query_all(backend)
    assert few_connections.raw_query_all(backend) == before
    few_connections.raw_query_all(sql)
    assert few_connections.raw_query_all(backend) != before


def test_in_a_session_it_lasts_to_the_end_of_the_block(few_connections: Database) -> None:
    mark = "SELECT current_setting('cloudpub.mark', true) AS mark"
    with few_connections.session():
        few_connections.raw_execute("SET cloudpub.mark = 'left'")
        with few_connections.transaction():
            pass
        assert few_connections.raw_query_all(mark) == [{"mark": "left"}]
    assert few_connections.raw_query_all(mark) == [{"mark": ""}]


def test_what_is_prepared_stays(shared_postgresql_url: str) -> None:
    database = Database(shared_postgresql_url, max_connections=1, prepared=True)
    managers = Managers(database)
    managers.users.find_by_id(1)
    count = "SELECT COUNT(*) AS n, pg_backend_pid() AS pid FROM pg_prepared_statements"
    before = database.raw_query_all(count)
    database.raw_query_all(f"SELECT {MARKED}")
    assert database.raw_query_all(count) == before
    assert before[0]["n"] == 1
    database.close()


def test_the_settings_of_the_url_come_back(shared_postgresql_url: str) -> None:
    sign = "&" if "?" in shared_postgresql_url else "?"
    options = "-c%20work_mem%3D3MB%20-c%20search_path%3Dpublic,pg_catalog"
    database = Database(f"{shared_postgresql_url}{sign}options={options}", max_connections=1, application_name="books")
    settings = "SELECT current_setting('work_mem') AS w, current_setting('search_path') AS s, "
    settings += "current_setting('application_name') AS a, current_setting('statement_timeout') AS t"
    before = database.raw_query_all(settings)
    assert before == [{"w": "3MB", "s": "public,pg_catalog", "a": "books", "t": "30s"}]
    for name in ("work_mem = '1MB'", "search_path = pg_catalog", "application_name = 'x'", "statement_timeout = 0"):
        database.raw_execute(f"SET {name}")
    assert database.raw_query_all(settings) == before
    database.close()


def sent_to_the_server(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the resets; they are sent below the engine's own methods."""
    from cloudpub_models.connection.postgresql import engine

    sent: list[str] = []

    def remember(connection: Any) -> bool:
        sent.append("reset")
        return reset(connection)

    reset: Callable[[Any], bool] = engine.reset_session
    monkeypatch.setattr(engine, "reset_session", remember)
    return sent


@ON_POSTGRESQL
def test_managers_and_plain_raw_sql_pay_nothing_for_it(
    database: Database, managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    resets = sent_to_the_server(monkeypatch)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.users.find_all({"email": operators.ilike("a%")}, order_by="email", include=("functions",))
    managers.users.update({"email": "b@example.com"}, {"id": [ada.id]})
    managers.users.batch_insert([{"email": f"{n}@example.com", "password_hash": "x"} for n in range(3)])
    list(managers.users.iterate())
    managers.users.paginate(1, 2)
    managers.users.find_all(User.email.startswith("a") & (fn.LOWER(User.email) == "x"))
    managers.users.execute_query(managers.users.query().select("COUNT(id) AS n").where("email", "x"))
    with database.transaction():
        list(managers.users.iterate())
        managers.users.delete({"id": ada.id})
    database.raw_query_all("SELECT COUNT(*), MAX(email) FROM users WHERE id IN (1, 2)")
    assert list(User.select().where(User.email == "x").bind(database.engine)) == []
    assert resets == []
    database.raw_query_all("SELECT pg_backend_pid()")
    assert resets == ["reset"]


@ON_POSTGRESQL
@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.users.find_all(fn.set_config("cloudpub.mark", "left", False).is_null()),
        lambda m: m.users.count(SQL(f"{MARKED} = ''")),
        lambda m: m.users.execute_query(m.users.query().select(raw(f"{MARKED} AS x")).limit(1)),
        lambda m: m.users.execute_query(m.users.query().where_raw(f"{MARKED} IS NULL")),
    ],
    ids=["expression", "text", "builder", "where_raw"],
)
def test_sql_inside_a_manager_s_call_is_raw_sql_too(
    database: Database, managers: Managers, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    resets = sent_to_the_server(monkeypatch)
    call(managers)
    assert resets == ["reset"]
    mark = database.raw_query_all("SELECT current_setting('cloudpub.mark', true) AS mark")
    assert mark in ([{"mark": ""}], [{"mark": None}])


LEFT_ON_SQLITE = {
    "PRAGMA foreign_keys = OFF": "PRAGMA foreign_keys",
    "PRAGMA query_only = ON": "PRAGMA query_only",
    "PRAGMA case_sensitive_like(1)": "SELECT 'A' LIKE 'a' AS same",
    "PRAGMA recursive_triggers = 1": "PRAGMA recursive_triggers",
    "ATTACH ':memory:' AS other": "SELECT COUNT(*) AS n FROM pragma_database_list",
    "CREATE TEMP TABLE passing (id INTEGER)": "SELECT COUNT(*) AS n FROM sqlite_temp_master",
    "CREATE TABLE temp.passing (id INTEGER)": "SELECT COUNT(*) AS n FROM sqlite_temp_master",
}


@pytest.mark.parametrize("in_a_file", [False, True], ids=["memory", "file"])
@pytest.mark.parametrize("way", [Database.raw_query_all, Database.raw_execute, by_perform, streamed, in_a_session])
def test_nor_what_it_has_left_in_a_connection_to_sqlite(tmp_path: Any, in_a_file: bool, way: Any) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db' if in_a_file else ':memory:'}")
    database.raw_execute("CREATE TABLE kept (id INTEGER)")
    for sql, question in LEFT_ON_SQLITE.items():
        before = database.raw_query_all(question)
        way(database, sql)
        assert database.raw_query_all(question) == before, sql
        with database.session():
            database.raw_execute(sql)
            assert database.raw_query_all(question) != before, sql
        assert database.raw_query_all(question) == before, sql
    assert database.raw_execute("INSERT INTO kept VALUES (1)") == 1
    database.close()


@ON_SQLITE
def test_a_stream_goes_on_where_a_setting_ends_its_connection(database: Database) -> None:
    stream = database.raw_query_iter("SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3", chunk_size=1)
    assert next(stream) == {"n": 1}
    database.raw_execute("PRAGMA cache_size = 5")
    assert list(stream) == [{"n": 2}, {"n": 3}]


def test_a_server_that_takes_backslashes_for_escapes_is_refused_behind_a_pooler(postgresql_url: str) -> None:
    """The driver would put values into text as it saw fit when it connected, whatever a transaction sets."""
    direct = Database(postgresql_url)
    (name,) = direct.raw_query_all("SELECT current_database() AS name")
    direct.raw_execute(f'ALTER DATABASE "{name["name"]}" SET standard_conforming_strings = off')
    direct.close()
    pooled = Database(postgresql_url, transaction_pooler=True)
    with pytest.raises(CloudpubError, match="expected standard_conforming_strings = on; got off from the server"):
        with pooled.transaction():
            Managers(pooled).users.find_all({"email": "\\'; DELETE FROM users; --"})
    pooled.close()
    # Where the session is its own, the library sets it.
    assert direct.raw_query_all("SELECT @v AS v", {"v": "\\'"}) == [{"v": "\\'"}]
    direct.close()


@ON_POSTGRESQL
@pytest.mark.parametrize(
    "send",
    [
        lambda d, m, sql: d.engine.perform(sql, None),
        lambda d, m, sql: d.engine.execute_sql(sql),
        lambda d, m, sql: m.users.raw(sql),
        lambda d, m, sql: m.users.find_all(SQL(sql.removeprefix("SELECT "))),
        lambda d, m, sql: m.users.count(SQL(sql.removeprefix("SELECT "))),
        lambda d, m, sql: m.users.delete(SQL(sql.removeprefix("SELECT "))),
    ],
)
def test_no_door_takes_a_backslash_where_the_setting_is_off(database: Database, managers: Managers, send: Any) -> None:
    hidden = r"SELECT '\''; DROP TABLE function_logs; --' = ''"
    with database.session():
        database.raw_execute("SET standard_conforming_strings = off")
        with pytest.raises(InvalidQueryError, match="expected standard_conforming_strings = on"):
            send(database, managers, hidden)
        # Values are escaped as the session reads them.
        assert managers.users.find_all({"email": "\\'; DROP TABLE function_logs; --"}) == []
    assert managers.function_logs.count() == 0
