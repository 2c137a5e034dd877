"""Opening, closing, sessions and raw SQL, on both databases."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest

from cloudpub_models import Database, Managers, QueryBuilder
from cloudpub_models.errors import (
    ConfigurationError,
    ConnectionFailedError,
    InvalidQueryError,
    InvalidValueError,
    ParameterError,
    StorageError,
    UniqueViolationError,
)

SOME_UUID = UUID("550e8400-e29b-41d4-a716-446655440000")
NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_a_database_opens_nothing_until_it_is_used():
    database = Database("postgresql://nobody@localhost:1/none")
    assert not database.is_open
    assert database.dialect == "postgresql"
    assert database.url == "postgresql://nobody@localhost:1/none"


def test_without_a_url_a_database_asks_for_one(monkeypatch):
    monkeypatch.delenv("CLOUDPUB_DATABASE_URL", raising=False)
    with pytest.raises(ConfigurationError, match=r"database\.initialize.*CLOUDPUB_DATABASE_URL"):
        Database().ping()
    with pytest.raises(ConfigurationError):
        Database().initialize()


def test_the_url_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("CLOUDPUB_DATABASE_URL", "sqlite:///:memory:")
    database = Database()
    assert database.ping() is True
    assert database.url == "sqlite:///:memory:"
    database.close()


def test_initialize_points_elsewhere_and_closes_what_was_open(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/first.db")
    database.raw_execute("CREATE TABLE first (n INTEGER)")
    assert database.initialize(f"sqlite:///{tmp_path}/second.db") is database
    assert not database.is_open
    assert database.raw_query_all("SELECT name FROM sqlite_master") == []
    database.close()


def test_ping_and_close(database):
    assert database.ping() is True
    assert database.is_open
    database.close()
    assert not database.is_open
    assert database.ping() is True


def test_no_password_in_repr_or_url():
    database = Database("postgresql://ada:s3cr3t@localhost/cloud")
    assert "s3cr3t" not in repr(database) + database.url


def test_an_unreachable_server_is_one_line_that_says_what_to_do():
    database = Database("postgresql://ada:s3cr3t@127.0.0.1:1/cloud", connect_timeout=2)
    with pytest.raises(ConnectionFailedError) as caught:
        database.ping()
    message = str(caught.value)
    assert "\n" not in message
    assert "s3cr3t" not in message
    assert "ada:***@127.0.0.1:1/cloud" in message
    assert "check that the server runs" in message


def test_a_malformed_libpq_uri_is_refused_without_its_password():
    with pytest.raises(ConfigurationError) as caught:
        Database("postgresql://ada:s3cr3t@localhost:port/cloud?nonsense=1").ping()
    assert "s3cr3t" not in str(caught.value)
    assert "libpq" in str(caught.value)


def test_a_missing_driver_is_named():
    program = (
        "import sys\n"
        "class NoDriver:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'psycopg2': raise ImportError('No module named psycopg2')\n"
        "sys.meta_path.insert(0, NoDriver())\n"
        "from cloudpub_models import Database, errors\n"
        "try: Database('postgresql://localhost/x').ping()\n"
        "except errors.ConfigurationError as error: print(error)\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install psycopg2-binary" in finished.stdout


def test_a_missing_directory_and_a_file_that_is_no_database(tmp_path):
    with pytest.raises(ConnectionFailedError, match="directory exists"):
        Database(f"sqlite:///{tmp_path}/missing/cloud.db").ping()
    (tmp_path / "notes.txt").write_text("this is no database" * 100)
    with pytest.raises(ConnectionFailedError, match="is a SQLite database"):
        Database(f"sqlite:///{tmp_path}/notes.txt").ping()


def test_sqlite_files_have_sensible_settings(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/cloud.db", busy_timeout=7)
    settings = {
        name: database.raw_query_all(f"PRAGMA {name}")[0] for name in ("foreign_keys", "journal_mode", "busy_timeout")
    }
    assert settings == {
        "foreign_keys": {"foreign_keys": 1},
        "journal_mode": {"journal_mode": "wal"},
        "busy_timeout": {"timeout": 7000},
    }
    database.close()


def test_postgresql_sessions_run_in_utc_with_limits(postgresql_url):
    database = Database(postgresql_url, statement_timeout=12, lock_timeout=3)
    shown = {
        name: database.raw_query_all(f"SHOW {name}")[0].popitem()[1]
        for name in ("timezone", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    }
    assert shown == {
        "timezone": "UTC",
        "statement_timeout": "12s",
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "1min",
    }
    database.close()


def test_a_session_keeps_one_connection(database, backend):
    question = "SELECT pg_backend_pid() AS id" if backend == "postgresql" else "SELECT 1 AS id"
    with database.session() as same:
        assert same is database
        assert not database.engine.is_closed()
        assert database.raw_query_all(question) == database.raw_query_all(question)
        with database.session():
            assert not database.engine.is_closed()
        assert not database.engine.is_closed()
    if backend == "postgresql":
        assert database.engine.is_closed()


def test_a_thread_that_ends_in_a_session_gives_its_connection_back(postgresql_url):
    database = Database(postgresql_url, max_connections=1, pool_timeout=2)
    sessions = []

    def leave_open():
        session = database.session()
        sessions.append(session)
        session.__enter__()

    for _ in range(3):
        thread = threading.Thread(target=leave_open)
        thread.start()
        thread.join()
    assert database.ping()
    database.close()


# Raw SQL


def test_raw_query_all_single_and_execute(database):
    assert (
        database.raw_execute(
            "INSERT INTO users (email, password_hash) VALUES (@a, 'x'), (@b, 'x')", {"a": "a@b.c", "b": "b@b.c"}
        )
        == 2
    )
    rows = database.raw_query_all(
        "SELECT id, email FROM users WHERE email LIKE @pattern ORDER BY email", {"pattern": "%@b.c"}
    )
    assert [row["email"] for row in rows] == ["a@b.c", "b@b.c"]
    assert database.raw_query_single("SELECT email FROM users WHERE id = @id", {"id": rows[0]["id"]}) == {
        "email": "a@b.c"
    }
    assert database.raw_query_single("SELECT email FROM users ORDER BY email") == {"email": "a@b.c"}
    assert database.raw_query_single("SELECT email FROM users WHERE id = -1") is None
    assert database.raw_execute("DELETE FROM users WHERE id IN @ids", {"ids": tuple(row["id"] for row in rows)}) == 2
    assert database.raw_execute("DELETE FROM users WHERE id IN @ids", {"ids": ()}) == 0


def test_what_is_no_parameter_stays(database, backend):
    row = database.raw_query_single(
        "SELECT '@no' AS a, 'it''s @no' AS b, 5 % 3 AS c, CAST(@yes AS TEXT) AS d -- @no\n /* @no */", {"yes": "y"}
    )
    assert row == {"a": "@no", "b": "it's @no", "c": 2, "d": "y"}
    if backend == "postgresql":
        row = database.raw_query_single(
            """SELECT '{"a": 1}'::jsonb @> @part::jsonb AS contains, $q$@no$q$ AS quoted, @ -5 AS absolute""",
            {"part": {"a": 1}},
        )
        assert row == {"contains": True, "quoted": "@no", "absolute": 5}


def test_names_and_values_have_to_match(database):
    with pytest.raises(ParameterError, match="user_id"):
        database.raw_query_all("SELECT @user_id", {"usr_id": 1})
    with pytest.raises(ParameterError, match="other"):
        database.raw_query_all("SELECT @one AS n", {"one": 1, "other": 2})


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (SOME_UUID, "550e8400-e29b-41d4-a716-446655440000"),
        (NOON, "2026-05-01 12:00:00.123456"),
        (NOON.astimezone(timezone(timedelta(hours=5))), "2026-05-01 12:00:00.123456"),
        (date(2026, 5, 1), "2026-05-01"),
        (Colour.RED, "red"),
        ("100% @name 'quoted' \\ ü 🎉", "100% @name 'quoted' \\ ü 🎉"),
    ],
)
def test_values_travel_alike(database, value, text):
    assert database.raw_query_single("SELECT CAST(@value AS TEXT) AS value", {"value": value}) == {"value": text}


def test_numbers_travel_alike(database):
    row = database.raw_query_single(
        "SELECT CAST(@i AS BIGINT) + 1 AS i, CAST(@d AS NUMERIC) * 2 AS d, @n IS NULL AS n",
        {"i": 2**40, "d": Decimal("1.25"), "n": None},
    )
    assert (row["i"], float(row["d"]), bool(row["n"])) == (2**40 + 1, 2.5, True)


@pytest.mark.parametrize("value", ["nul\0", "\ud800", datetime(2026, 1, 1), 2**63, object(), {"a": float("nan")}])
def test_values_that_no_column_holds_are_refused_before_the_wire(database, statements, value):
    with pytest.raises(InvalidValueError):
        database.raw_query_all("SELECT @value", {"value": value})
    assert statements == []


def test_raw_rows_come_as_the_database_has_them(database, managers, backend):
    user = managers.users.insert({"email": "a@b.c", "password_hash": "x"})
    managers.functions.insert({"user_id": user.id, "name": "f", "analysis_result": {"a": ["b", None]}})
    row = database.raw_query_single("SELECT uuid, analysis_result, created_at FROM functions")
    if backend == "postgresql":
        assert isinstance(row["uuid"], UUID)
        assert row["analysis_result"] == {"a": ["b", None]}
        assert row["created_at"].tzinfo is UTC
    else:
        assert isinstance(row["uuid"], str)
        assert row["analysis_result"] == '{"a":["b",null]}'
        assert len(row["created_at"]) == 26


DOORS_THAT_GIVE_ROWS_BY_NAME = {
    "raw_query_all": lambda database, managers, sql: database.raw_query_all(sql),
    "raw_query_single": lambda database, managers, sql: database.raw_query_single(sql),
    "raw_query_iter": lambda database, managers, sql: list(database.raw_query_iter(sql)),
    "execute": lambda database, managers, sql: _executed(database, sql),
    "raw": lambda database, managers, sql: managers.users.raw(sql),
}


def _executed(database, sql):
    with database.transaction() as connection:
        return connection.execute(sql)


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("door", DOORS_THAT_GIVE_ROWS_BY_NAME.values(), ids=DOORS_THAT_GIVE_ROWS_BY_NAME)
@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT f.id, u.id FROM functions f JOIN users u ON u.id = f.user_id", "id"),
        ("SELECT f.id, u.id FROM functions f JOIN users u ON u.id = f.user_id -- ;", "id"),
        ("SELECT 1 AS v, 2 AS w, 3 AS v", "v"),
    ],
)
def test_columns_of_one_name_are_refused_since_a_dict_would_lose_one(
    database, managers, door, sql, name, in_transaction
):
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.functions.insert({"user_id": ada.id, "name": "f"})
    message = f"got {name} more than once: give one an alias"
    with pytest.raises(InvalidQueryError, match=message), database.transaction() if in_transaction else nullcontext():
        door(database, managers, sql)


WRITES_OF_ONE_NAME_TWICE = [
    "UPDATE users SET password_hash = 'y' RETURNING id, id",
    "UPDATE users SET password_hash = 'y' RETURNING id, users.ID;",
    "UPDATE users SET password_hash = 'y' RETURNING id, lower(email) AS id",
    "UPDATE users SET password_hash = 'y' RETURNING 1 AS v, 2 v",
    "DELETE FROM users RETURNING email, upper(email) AS e, email",
    "INSERT INTO users (email, password_hash) VALUES ('b@x', 'h') RETURNING *, id",
]


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("door", DOORS_THAT_GIVE_ROWS_BY_NAME.values(), ids=DOORS_THAT_GIVE_ROWS_BY_NAME)
@pytest.mark.parametrize("sql", WRITES_OF_ONE_NAME_TWICE)
def test_a_write_whose_rows_are_refused_is_not_kept(database, managers, door, sql, in_transaction):
    managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    with database.transaction() if in_transaction else nullcontext():
        with pytest.raises(InvalidQueryError):
            door(database, managers, sql)
        assert [user.password_hash for user in managers.users.find_all()] == ["x"]
    assert [user.password_hash for user in managers.users.find_all()] == ["x"]


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE functions SET status = 'y' FROM users WHERE users.id = user_id RETURNING *",
        "WITH changed AS (UPDATE functions SET status = 'y' RETURNING id) SELECT id, id FROM changed",
    ],
)
def test_a_write_whose_names_only_the_server_knows_is_not_kept(database, managers, backend, sql):
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    managers.functions.insert({"user_id": ada.id, "name": "f"})
    with pytest.raises(InvalidQueryError, match="more than once"):
        database.raw_query_all(sql)
    assert managers.functions.find_one().status == "active"


def test_a_write_whose_names_are_known_takes_no_transaction(database, managers):
    managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    sent = []
    stop = database.on_query(lambda event: sent.append(event.sql.split()[0]))
    database.raw_query_all("UPDATE users SET password_hash = 'y' RETURNING id, lower(email) AS email")
    database.raw_query_all("UPDATE users SET password_hash = 'y' RETURNING *")
    database.raw_query_all("UPDATE users SET password_hash = 'y' RETURNING lower(email)")
    stop()
    assert [word for word in sent if word not in ("BEGIN", "COMMIT")] == ["UPDATE"] * 3
    assert sent.index("BEGIN") == 2


def test_names_that_look_as_if_they_had_been_repeated_stay(database):
    sql = 'SELECT 1 AS v, 2 AS "v:1"'
    assert list(database.raw_query_iter(sql)) == database.raw_query_all(sql) == [{"v": 1, "v:1": 2}]


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ';' AS v; -- done",
        "SELECT ';' AS v; /* done; */",
        "SELECT ';' AS v -- done;",
        "-- first;\nSELECT ';' AS v ; ",
        "VALUES (';')",
    ],
)
def test_a_stream_takes_what_a_list_takes(database, sql, in_transaction):
    with database.transaction() if in_transaction else nullcontext():
        expected = database.raw_query_all(sql)
        assert [list(row.values()) for row in expected] == [[";"]]
        assert list(database.raw_query_iter(sql)) == expected


def test_streaming_gives_every_row_and_lets_others_write_meanwhile(database, managers):
    managers.users.batch_insert({"email": f"{n}@b.c", "password_hash": "x"} for n in range(250))
    seen = []
    for row in database.raw_query_iter("SELECT id FROM users ORDER BY id", chunk_size=100):
        seen.append(row["id"])
        if len(seen) % 50 == 0:
            managers.users.update_by_id(row["id"], {"password_hash": "y"})
    assert len(seen) == len(set(seen)) == 250
    assert managers.users.count({"password_hash": "y"}) == 5


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_stream_does_not_see_what_its_reader_inserts(database, managers, in_transaction):
    managers.users.batch_insert({"email": f"{n:03}@b.c", "password_hash": "x"} for n in range(50))
    with database.transaction() if in_transaction else database.session():
        seen = []
        for user in managers.users.iterate(order_by=[("email", "DESC")], chunk_size=10):
            seen.append(user.email)
            managers.users.insert({"email": f"a{len(seen)}@b.c", "password_hash": "x"})
            assert len(seen) <= 50
    assert seen == [f"{n:03}@b.c" for n in reversed(range(50))]
    assert managers.users.count() == 100
    rows = database.raw_query_iter("SELECT email FROM users WHERE email LIKE @p ORDER BY email -- all;", {"p": "0%"})
    assert next(rows) == {"email": "000@b.c"}
    assert [row["email"] for row in rows] == [f"{n:03}@b.c" for n in range(1, 50)]


def test_settings_of_one_caller_do_not_reach_the_next(postgresql_url):
    database = Database(postgresql_url, max_connections=1)
    for statement in ("SET search_path = nowhere", "SET statement_timeout = 1", "CREATE TEMP TABLE users (id INTEGER)"):
        database.raw_execute(statement)
        assert database.raw_query_single("SELECT email FROM users LIMIT 1") is None
    with database.session():
        database.raw_execute("SET search_path = pg_temp, public")
        assert database.raw_query_all("SHOW search_path") == [{"search_path": "pg_temp, public"}]
    assert database.raw_query_all("SHOW search_path") != [{"search_path": "pg_temp, public"}]
    database.close()


def test_a_stream_that_is_left_early_gives_its_connection_back(postgresql_url):
    database = Database(postgresql_url, max_connections=1, pool_timeout=1)
    stream = database.raw_query_iter("SELECT generate_series(1, 100000) AS n", chunk_size=10)
    assert next(stream) == {"n": 1}
    stream.close()
    assert database.ping()
    database.close()


def test_a_stream_in_a_transaction_sees_its_writes(database, managers):
    with database.transaction():
        managers.users.insert({"email": "a@b.c", "password_hash": "x"})
        assert [row["email"] for row in database.raw_query_iter("SELECT email FROM users")] == ["a@b.c"]


def test_a_stream_of_a_transaction_that_is_over_disturbs_no_other(postgresql_url):
    database = Database(postgresql_url, max_connections=1)
    numbers = "SELECT generate_series(1, 10) AS n"
    with database.transaction():
        stream = database.raw_query_iter(numbers, chunk_size=1)
        next(stream)
        whole = database.raw_query_iter(numbers)
        next(whole)
    with database.transaction() as connection:
        connection.execute("INSERT INTO users (email, password_hash) VALUES ('a', 'x')")
        with pytest.raises(InvalidQueryError, match="expected a stream whose transaction is open; got one of a trans"):
            next(stream)
        with database.transaction():
            assert len(list(whole)) == 9
    assert database.raw_query_single("SELECT COUNT(*) AS n FROM users") == {"n": 1}
    database.close()


def test_nor_one_that_another_thread_reads_on(postgresql_url):
    database = Database(postgresql_url, max_connections=1)
    with database.transaction():
        stream = database.raw_query_iter("SELECT generate_series(1, 10) AS n", chunk_size=1)
        next(stream)
    with ThreadPoolExecutor(1) as another, database.transaction():
        with pytest.raises(InvalidQueryError, match="read it inside the block"):
            another.submit(next, stream).result()
        assert database.ping()
    database.close()


def test_batch_execute_is_all_or_nothing(database, managers):
    insert = "INSERT INTO users (email, password_hash) VALUES (@email, 'x')"
    assert database.batch_execute([(insert, {"email": "a@b.c"}), "DELETE FROM users WHERE id < 0"]) == [1, 0]
    with pytest.raises(UniqueViolationError):
        database.batch_execute([(insert, {"email": "b@b.c"}), (insert, {"email": "a@b.c"})])
    assert managers.users.count() == 1


def test_a_string_has_no_backslash_escapes_whatever_the_url_says(postgresql_url):
    database = Database(f"{postgresql_url}&options=-c%20standard_conforming_strings%3Doff")
    assert database.raw_query_all(r"SELECT '\' AS a, @b AS b --'", {"b": "\\'"}) == [{"a": "\\", "b": "\\'"}]
    with database.transaction() as connection:
        assert connection.execute("SHOW standard_conforming_strings") == [{"standard_conforming_strings": "on"}]
    database.close()


@pytest.mark.parametrize("in_transaction", [False, True])
def test_no_statement_hides_in_a_string_after_a_change_of_how_strings_are_read(postgresql_url, in_transaction):
    database = Database(postgresql_url, max_connections=1)
    hidden = r"SELECT 'x\', '; COMMIT; DROP TABLE users; --' AS a"
    off = "SELECT set_config('standard_conforming_strings', 'off', false) AS setting"
    around = (lambda: database.transaction(read_only=True)) if in_transaction else database.session
    for send in (
        database.raw_query_all,
        database.raw_execute,
        lambda sql: list(database.raw_query_iter(sql)) if in_transaction else database.raw_query_all(sql),
    ):
        with around():
            database.raw_query_all(off)
            with pytest.raises(InvalidQueryError, match="expected standard_conforming_strings = on .*; got off"):
                send(hidden)
            assert database.raw_query_all("SELECT 'plain' AS a") == [{"a": "plain"}]
    assert database.raw_query_single("SELECT COUNT(*) AS n FROM users") == {"n": 0}
    database.close()


@pytest.mark.parametrize("statements_given", ["SELECT 1", [None], [("SELECT 1",)], [b"SELECT 1"]])
def test_batch_execute_takes_a_list_of_statements(database, statements_given):
    with pytest.raises(InvalidQueryError, match="expected a"):
        database.batch_execute(statements_given)


def test_a_statement_renders_itself_for_the_database(database, managers):
    managers.users.insert({"email": "a@b.c", "password_hash": "x"})
    statement = QueryBuilder().table("users").select("email").where_in("email", ["a@b.c", "b@b.c"]).build_select()
    assert database.raw_query_all(statement) == [{"email": "a@b.c"}]
    assert database.raw_query_all(statement, statement.parameters) == [{"email": "a@b.c"}]


def test_the_database_says_what_is_wrong_with_sql(database):
    with pytest.raises(InvalidQueryError):
        database.raw_query_all("SELEC 1")
    with pytest.raises(InvalidQueryError, match="migrate"):
        database.raw_query_all("SELECT * FROM nowhere")


def test_a_read_only_file_is_a_storage_error(tmp_path):
    path = tmp_path / "cloud.db"
    writer = Database(f"sqlite:///{path}")
    writer.raw_execute("CREATE TABLE numbers (n INTEGER)")
    writer.close()
    reader = Database(f"sqlite:///{path}")
    with reader.session():
        reader.raw_execute("PRAGMA query_only = ON")
        assert reader.raw_query_all("SELECT * FROM numbers") == []
        with pytest.raises(StorageError, match="permissions"):
            reader.raw_execute("INSERT INTO numbers VALUES (1)")
    reader.close()


@pytest.mark.parametrize("options", [{}, {"prepared": True}], ids=["plain", "prepared"])
def test_a_statement_sent_between_another_and_its_rows_disturbs_neither(database_url, options):
    """As a signal handler does, which may run between any two calls."""
    shop = Database(database_url, **options)
    shop.migrate()
    users = Managers(shop).users
    users.batch_insert([{"email": f"{n}@example.com", "password_hash": "…"} for n in range(3)])
    meanwhile = []

    def interrupt(frame, event, called):
        if event == "c_return" and called.__name__ == "execute" and not meanwhile:
            meanwhile.append(users.find_all(select=["id"], limit=2))
            meanwhile.append(shop.raw_query_all("SELECT 1 AS n"))

    with shop.session():
        before = users.find_all(order_by="id")
        sys.setprofile(interrupt)
        try:
            rows = users.find_all(order_by="id")
        finally:
            sys.setprofile(None)
        assert rows == before == users.find_all(order_by="id")
    assert len(rows) == 3
    assert [len(one) for one in meanwhile] == [2, 1]
    shop.close()


@pytest.mark.parametrize("sql", ["", " \n", "-- nothing", "/* nothing */", ";"])
def test_text_without_a_statement_is_refused(database, sql):
    for send in (
        database.raw_query_all,
        database.raw_query_single,
        database.raw_execute,
        lambda sql: list(database.raw_query_iter(sql)),
    ):
        with pytest.raises(InvalidQueryError, match="expected a statement; got"):
            send(sql)


def test_rows_changed_by_a_statement_that_begins_with_with_are_counted(managers, database):
    managers.users.batch_insert([{"email": f"{n}@b.c", "password_hash": "x"} for n in range(3)])
    changed = (
        "WITH two AS (SELECT id FROM users ORDER BY id LIMIT 2) UPDATE users SET email = 'z' || email WHERE id IN "
    )
    assert database.raw_execute(changed + "(SELECT id FROM two)") == 2
    assert database.raw_execute(changed + "(SELECT -id FROM two)") == 0
    assert database.raw_execute("CREATE TABLE nothing_else (id INTEGER)") == 0


class Sneaky(int):
    def __str__(self):
        return "1 FROM x; DROP TABLE users --"

    __repr__ = __format__ = __str__


@pytest.mark.parametrize("chunk_size", [0, -1, True, 1.0, None, "1; DROP TABLE users", Sneaky(1), 2**70])
def test_a_size_of_chunks_is_a_positive_integer(database, statements, chunk_size):
    with pytest.raises(
        InvalidQueryError, match=r"expected chunk_size to be an integer of at (least 1|most \d{19}); got "
    ):
        database.raw_query_iter("SELECT 1 AS n", chunk_size=chunk_size)
    with pytest.raises(InvalidQueryError, match=r"expected retries to be an integer of at (least 0|most \d{19}); got "):
        database.run_transaction(lambda connection: None, retries=chunk_size if chunk_size != 0 else -1)
    assert statements == []
