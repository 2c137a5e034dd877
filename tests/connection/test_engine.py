"""What both engines have: every method of an engine, abstract in fact, and what only one of them can, asked for."""

import sys
from typing import Any

import pytest
from psycopg2 import extensions, extras

from cloudpub_models import Database, Managers, errors
from cloudpub_models.connection.engine import Engine, Location
from cloudpub_models.connection.options import Options
from cloudpub_models.connection.peewee_calls import PeeweeCalls
from cloudpub_models.errors import InvalidQueryError, UniqueViolationError


@pytest.mark.parametrize("kind", [Engine, PeeweeCalls])
def test_what_is_abstract_cannot_be_made(kind):
    with pytest.raises(TypeError, match="abstract"):
        kind("target", "url", Options())


def test_both_engines_run_a_statement_for_many_rows(database, managers, events):
    placeholder = database.engine.sql_dialect.placeholder
    insert = f"INSERT INTO users (email, password_hash) VALUES ({placeholder}, {placeholder})"
    assert database.engine.run_many(insert, ((f"{n}@b.c", "x") for n in range(3))) == 3
    assert managers.users.count() == 3
    with pytest.raises(UniqueViolationError):
        database.engine.run_many(insert, [("0@b.c", "x")])
    assert [(event.rows, event.parameters) for event in events if "INSERT" in event.sql] == [(3, ()), (None, ())]


@pytest.fixture
def events(database):
    told = []
    stop = database.on_query(told.append)
    yield told
    stop()


def test_copying_is_asked_for(database, backend):
    assert database.engine.copies_rows is (backend == "postgresql")
    if backend == "sqlite":
        with pytest.raises(InvalidQueryError, match=r"expected a database that copies rows; got SQLite: .*run_many"):
            database.engine.copy_rows("COPY users FROM STDIN", None)


def test_an_open_database_has_its_engine_without_a_call(database):
    engine = database.engine
    assert vars(database)["engine"] is engine
    stop = database.on_query(lambda event: None)
    assert vars(database)["engine"] is engine
    stop()
    database.close()
    assert "engine" not in vars(database)
    assert database.engine is not engine


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_warm_raw_query_passes_through_few_functions(database, managers, backend):
    managers.users.insert({"email": "a@b.c", "password_hash": "x"})
    passed = []

    def ask():
        return database.raw_query_all("SELECT id, email FROM users WHERE email = @email", {"email": "a@b.c"})

    assert ask() == [{"id": 1, "email": "a@b.c"}]
    sys.setprofile(lambda frame, event, _: event == "call" and passed.append(frame.f_code.co_qualname))
    try:
        ask()
    finally:
        sys.setprofile(None)
    # The last one is this test's own way out.
    assert len(passed) - 1 <= 14, passed


def insert(number: int) -> str:
    return f"INSERT INTO users (email, password_hash) VALUES ('{number}@example.com', 'x')"


@pytest.mark.parametrize(
    ("sql", "names", "rows", "touched"),
    [
        ("SELECT 1 AS n", ["n"], [(1,)], None),
        ("SELECT id FROM users WHERE id < 0", ["id"], [], None),
        (insert(1), [], [], 1),
        (f"{insert(2)} RETURNING email", ["email"], [("2@example.com",)], None),
        ("WITH two AS (SELECT 2) UPDATE users SET email = '3@example.com' WHERE id IN (1, 2)", [], [], 1),
        ("DELETE FROM users WHERE id = 9", [], [], 0),
    ],
)
def test_a_statement_of_any_kind(
    database: Database, statements: Any, sql: str, names: list[str], rows: list[Any], touched: int | None
) -> None:
    database.raw_execute("INSERT INTO users (email, password_hash) VALUES ('first@example.com', 'x')")
    statements.clear()
    result = database.engine.perform(sql, None)
    assert (result.names, result.rows) == (names, rows)
    if touched is not None:
        assert result.touched == touched
    assert statements.sql == [sql]


def test_an_error_of_one_is_ours(database: Database) -> None:
    with pytest.raises(errors.InvalidQueryError):
        database.engine.perform("SELECT no FROM users", None)


def test_ids_go_on_behind_those_that_rows_brought_along(database: Database, managers: Managers) -> None:
    managers.users.insert({"id": 41, "email": "a@b.c", "password_hash": "x"})
    for _ in range(2):
        database.engine.continue_ids("users", "id")
    assert managers.users.insert({"email": "b@b.c", "password_hash": "x"}).id == 42


def test_only_reading_refuses_settings_and_lets_questions_through(database: Database, backend: str) -> None:
    with database.transaction(read_only=True), database.engine.only_reading():
        assert database.engine.perform("SELECT COUNT(*) AS n FROM users", None).rows == [(0,)]
        if backend == "sqlite":
            assert database.engine.perform("PRAGMA table_info(users)", None).rows
            with pytest.raises(errors.InvalidQueryError, match="not authorized"), database.transaction():
                database.engine.perform("PRAGMA foreign_keys = OFF", None)
    assert database.raw_execute("DELETE FROM users") == 0


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1; DELETE FROM users",
        "SELECT 1; COMMIT; DELETE FROM users",
        "COMMIT; DELETE FROM users",
        "SELECT 1 $q$; DELETE FROM users; $q$; SELECT 2",
        "NOTIFY news",
        "LOCK TABLE users",
        "SET search_path = audit",
        "DELETE FROM users",
        "DELETE FROM users RETURNING id",
        "WITH gone AS (DELETE FROM users RETURNING id) SELECT id FROM gone",
        "DO $$ BEGIN DELETE FROM users; END $$",
        "PRAGMA query_only = OFF",
        "ATTACH ':memory:' AS other",
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_the_database_itself_refuses_all_but_one_query(
    database: Database, managers: Managers, text: str, streams: bool
) -> None:
    """The texts are sent as they are, as if none of them had been looked at before."""
    managers.users.insert({"email": "a@b.c", "password_hash": "x"})
    engine = database.engine
    with pytest.raises(errors.CloudpubError), database.transaction(read_only=True), engine.only_reading():
        list(engine.stream_described(text, None, 10)) if streams else engine.fetch_undecoded(text, None)
    assert managers.users.count() == 1


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("sql", "names", "rows"),
    [
        ("SELECT id, email FROM users WHERE email = @v ORDER BY id", ["id", "email"], [(1, "$a$ '; \\ %")]),
        ("SELECT 1 AS n; -- that is all", ["n"], [(1,)]),
        ("VALUES (1), (2)", ["column1"], [(1,), (2,)]),
        ("TABLE function_logs", None, []),
        ("SHOW transaction_read_only", ["transaction_read_only"], [("on",)]),
        ("WITH n AS (SELECT generate_series(1, 12) AS n) SELECT SUM(n) AS s FROM n", ["s"], [(78,)]),
        ("SELECT '%' AS a, 5 % 3 AS b, $q$ ; $q$ AS c", ["a", "b", "c"], [("%", 2, " ; ")]),
    ],
)
def test_one_query_gives_what_it_gives_elsewhere(
    database: Database, managers: Managers, sql: str, names: list[str] | None, rows: list[Any], streams: bool
) -> None:
    managers.users.insert({"email": "$a$ '; \\ %", "password_hash": "x"})
    engine = database.engine
    text, values = engine.bind_parameters(sql, {"v": "$a$ '; \\ %"} if "@v" in sql else None)
    with database.transaction(read_only=True), engine.only_reading():
        if streams:
            chunks = list(engine.stream_described(text, values, 10))
            assert [row for _, chunk in chunks for row in chunk] == rows
        else:
            found, given = engine.fetch_described(text, values)
            assert given == rows
            assert names is None or found == names


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("sqlite:///data/cloud.db", Location("data/cloud.db")),
        ("postgresql://ada:secret@db.example/cloud", Location("cloud", "db.example")),
        ("postgresql://ada@db.example:6432/cloud", Location("cloud", "db.example", 6432)),
        ("postgresql://ada@a:5432,b:5432/cloud", Location("cloud", "a,b")),
        ("postgresql:///cloud?port=6432", Location("cloud")),
        ("postgresql://ada@db.example", Location("ada", "db.example")),
    ],
)
def test_where_it_is(url: str, location: Location) -> None:
    assert Database(url).engine.location == location


@pytest.mark.parametrize("backend", ["postgresql"])
def test_batches_work_where_a_callback_waits_for_the_server(database, managers):
    # As psycogreen's does, with which the driver refuses COPY.
    rows = [{"email": f"{number}@example.com", "password_hash": "x"} for number in range(5)]
    extensions.set_wait_callback(extras.wait_select)
    try:
        assert managers.users.batch_insert(rows[:3]) == 3
        assert managers.users.batch_insert(rows[2:], on_conflict="ignore") == 2
    finally:
        extensions.set_wait_callback(None)
    assert managers.users.count() == 5


def test_a_broken_reference_names_the_table(database, managers):
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "x"})
    function = managers.functions.insert({"user_id": ada.id, "name": "f"})
    with pytest.raises(
        errors.ForeignKeyViolationError, match=r"^functions\b.* refers to a row that does not exist"
    ) as raised:
        managers.functions.insert({"user_id": 4711, "name": "g"})
    assert raised.value.table == "functions"
    for sql in (
        "INSERT INTO function_logs (function_id, level, message) VALUES (4711, 'info', 'x')",
        "INSERT INTO function_logs (function_id, level, message) SELECT id + 4711, 'info', name FROM functions",
    ):
        with pytest.raises(errors.ForeignKeyViolationError, match="^function_logs"):
            database.raw_execute(sql)
    with pytest.raises(errors.ForeignKeyViolationError, match="^functions"):
        managers.functions.update_by_id(function.id, {"user_id": 4711})
    with pytest.raises(errors.ForeignKeyViolationError, match="^function_logs"):
        managers.function_logs.batch_insert([{"function_id": 4711, "level": "info", "message": "x"}])


# What breaks a constraint, its kind, and what the error names: table, columns, the constraint. SQLite tells its name
# where it tells nothing else, and for a reference nothing at all.
VIOLATIONS = {
    "unique": (
        "INSERT INTO functions (user_id, name) VALUES (@id, 'resize')",
        errors.UniqueViolationError,
        {
            "sqlite": ("functions", ("user_id", "name"), None),
            "postgresql": ("functions", ("user_id", "name"), "functions_user_id_name_key"),
        },
    ),
    "not null": (
        "INSERT INTO functions (user_id) VALUES (@id)",
        errors.NotNullViolationError,
        {"sqlite": ("functions", ("name",), None), "postgresql": ("functions", ("name",), None)},
    ),
    "reference": (
        "INSERT INTO functions (user_id, name) VALUES (@id + 1, 'x')",
        errors.ForeignKeyViolationError,
        {
            "sqlite": ("functions", (), None),
            "postgresql": ("functions", ("user_id",), "functions_user_id_fkey"),
        },
    ),
    "check": (
        "UPDATE user_information SET role = 'x' WHERE user_id IN (SELECT uuid FROM users WHERE id = @id)",
        errors.CheckViolationError,
        {
            "sqlite": (None, (), "user_information_role_check"),
            "postgresql": ("user_information", (), "user_information_role_check"),
        },
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_what_a_violated_constraint_is(database, managers, backend, name):
    ada = managers.users.insert({"email": "ada@b.c", "password_hash": "x"})
    managers.functions.insert({"user_id": ada.id, "name": "resize"})
    managers.user_information.insert({"user_id": ada.uuid, "first_name": "Ada", "last_name": "L", "role": "team"})
    sql, kind, told = VIOLATIONS[name]
    with pytest.raises(kind) as caught:
        database.raw_execute(sql, {"id": ada.id})
    assert type(caught.value) is kind
    assert (caught.value.table, caught.value.columns, caught.value.constraint) == told[backend]
