"""What ``on_query`` and the log are told: every statement once, with its rows and its caller, and never a secret."""

import contextlib
import gc
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from peewee import fn

from cloudpub_models import Database, FunctionLog, QueryEvent, User, errors
from cloudpub_models.connection import observed
from cloudpub_models.connection.listeners import Listeners
from cloudpub_models.connection.observed import ObservedSender
from cloudpub_models.connection.sender import Sender

SECRET = "s3cr3t-value"
HERE = __file__.rpartition("/")[2]


@pytest.fixture
def events(database):
    told = []
    stop = database.on_query(told.append)
    yield told
    stop()


@pytest.fixture
def ada(managers):
    return managers.users.insert({"email": "ada@example.com", "password_hash": SECRET})


def is_observed(database):
    return isinstance(database.engine.fetch.__self__, ObservedSender)


def placeholders(sql, backend):
    return sql.replace("?", "%s") if backend == "postgresql" else sql


def test_an_event_says_what_how_long_how_many_and_who(database, events, backend):
    database.raw_query_all("SELECT @n AS n UNION ALL SELECT 2", {"n": 1})
    (event,) = events
    assert event.sql == placeholders("SELECT ? AS n UNION ALL SELECT 2", backend)
    assert event.parameters == (1,)
    assert 0 < event.duration < 5
    assert event.rows == 2
    assert event.call_site.startswith(("tests/connection/", "/"))
    assert HERE in event.call_site
    assert event.call_site.endswith("in test_an_event_says_what_how_long_how_many_and_who")
    assert event.error is None
    with pytest.raises(AttributeError):
        event.sql = "another"


def test_what_the_standard_library_calls_is_the_programs(database, events):
    with contextlib.ExitStack() as stack:
        stack.callback(database.raw_query_all, "SELECT 1 AS n")
    assert HERE in events[0].call_site


def test_everything_that_is_sent_is_told_of(database, managers, ada, backend, events):
    function = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    managers.functions.update({"status": "inactive"}, {"user_id": ada.id})
    managers.functions.delete({"id": 0})
    managers.function_logs.batch_insert(
        [{"function_id": function.id, "level": "info", "message": str(n)} for n in range(3)]
    )
    managers.functions.execute_query(managers.functions.query().where("name", "resize"))
    with database.bind():
        assert FunctionLog.select().count() == 3
        FunctionLog.update(level="debug").execute()
    told = [(event.sql.split()[0], event.rows) for event in events]
    copy = ("COPY", 3) if backend == "postgresql" else ("INSERT", 3)
    peewee_count = ("SELECT", 1 if backend == "postgresql" else None)
    assert [one for one in told if one[0] not in ("BEGIN", "COMMIT")] == [
        ("INSERT", 1),
        ("UPDATE", 1),
        ("DELETE", 0),
        copy,
        ("SELECT", 1),
        peewee_count,
        ("UPDATE", 3),
    ]


def test_of_copied_rows_only_their_number_is_told(managers, ada, events, backend):
    managers.users.batch_insert([{"email": f"{n}@example.com", "password_hash": SECRET} for n in range(2)])
    (event,) = [event for event in events if "users" in event.sql]
    assert event.rows == 2
    assert event.parameters == ()


def test_transactions_and_savepoints_are_told_of_in_order(database, events, backend):
    with database.transaction() as connection:
        connection.execute("SELECT 1")
        with pytest.raises(RuntimeError), database.transaction():
            raise RuntimeError
        with database.transaction():
            pass
    with pytest.raises(RuntimeError), database.transaction():
        raise RuntimeError
    begin = "BEGIN" if backend == "postgresql" else "BEGIN IMMEDIATE"
    assert [event.sql for event in events] == [
        begin,
        "SELECT 1",
        "SAVEPOINT cloudpub_1",
        "ROLLBACK TO SAVEPOINT cloudpub_1",
        "RELEASE SAVEPOINT cloudpub_1",
        "SAVEPOINT cloudpub_1",
        "RELEASE SAVEPOINT cloudpub_1",
        "COMMIT",
        begin,
        "ROLLBACK",
    ]
    assert {event.rows for event in events} == {None, 1}


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_stream_is_told_of_once_when_it_ends(database, managers, events, in_transaction):
    for n in range(5):
        managers.users.insert({"email": f"{n}@example.com", "password_hash": SECRET})
    events.clear()

    def read():
        rows = managers.users.iterate(chunk_size=2)
        next(rows)
        assert [event.sql for event in events if "FROM users" in event.sql] == []
        managers.users.count()  # what is sent meanwhile is told of at its time
        assert len(list(rows)) == 4

    if in_transaction:
        with database.transaction():
            read()
    else:
        read()
    told = [event for event in events if "FROM users" in event.sql]
    assert [event.rows for event in told] == [1, 5]
    assert told[1].sql.startswith("SELECT id, uuid")


def test_a_stream_that_is_given_up_is_told_of_too(database, events):
    rows = database.raw_query_iter("SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3", chunk_size=1)
    next(rows)
    rows.close()
    assert [event.rows for event in events] == [1]
    unused = database.raw_query_iter("SELECT 1 AS n")
    del unused
    gc.collect()
    assert len(events) == 1


def test_a_statement_that_failed_is_told_of_with_its_error(database, managers, ada, events):
    with pytest.raises(errors.UniqueViolationError) as caught:
        managers.users.insert({"email": ada.email, "password_hash": SECRET})
    with pytest.raises(errors.InvalidQueryError):
        list(database.raw_query_iter("SELECT nothing FROM nowhere"))
    assert events[0].error is caught.value
    assert [event.rows for event in events] == [None, 0]
    assert isinstance(events[1].error, errors.InvalidQueryError)


def test_what_is_refused_before_it_is_sent_is_not_told_of(database, managers, events):
    with pytest.raises(errors.UnknownColumnError):
        managers.users.count({"nme": "x"})
    with pytest.raises(errors.TransactionAbortedError), database.transaction() as connection:
        with pytest.raises(errors.InvalidQueryError):
            connection.execute("SELECT nothing")
        with pytest.raises(errors.TransactionAbortedError):
            connection.execute("SELECT 1")
    assert [event.sql.split()[0] for event in events] == ["BEGIN", "SELECT", "ROLLBACK"]


def test_a_callback_that_raises_disturbs_nothing_and_is_logged(database, caplog):
    def fail(event):
        raise RuntimeError("out of order")

    told = []
    stops = [database.on_query(fail), database.on_query(told.append)]
    assert database.raw_query_all("SELECT 1 AS n") == [{"n": 1}]
    assert len(told) == 1
    assert [record.name for record in caplog.records] == ["cloudpub_models.queries"]
    assert "out of order" in caplog.text
    for stop in stops:
        stop()


def test_what_a_callback_sends_is_not_told_of(database, backend):
    told = []

    def ask(event):
        told.append(event.sql)
        with database.transaction():
            database.raw_query_all("SELECT 2 AS n")
        list(database.raw_query_iter("SELECT 3 AS n"))

    stop = database.on_query(ask)
    database.raw_query_all("SELECT 1 AS n")
    stop()
    assert told == ["SELECT 1 AS n"]


def test_the_calls_end_and_with_them_the_measuring(database, monkeypatch):
    first, second = [], []
    stop_first, stop_second = database.on_query(first.append), database.on_query(second.append)
    database.ping()
    stop_first()
    stop_first()
    database.ping()
    assert is_observed(database)
    stop_second()
    assert not is_observed(database)
    monkeypatch.delattr(Listeners, "tell")
    monkeypatch.delattr(observed, "time")
    database.ping()
    list(database.raw_query_iter("SELECT 1 AS n"))
    assert (len(first), len(second)) == (1, 2)


def test_what_was_begun_before_is_told_of_as_well(database):
    told = []
    with database.bind(), database.transaction() as connection:
        stop = database.on_query(lambda event: told.append(event.sql.split()[0]))
        connection.execute("SELECT 1")
        User.select().count()
        with database.engine.atomic():
            pass
    stop()
    with database.transaction() as connection:
        connection.execute("SELECT 1")
    assert told == ["SELECT", "SELECT", "SAVEPOINT", "RELEASE", "COMMIT"]


def test_a_callback_stays_with_the_object_that_it_was_given_to(tmp_path):
    told = []
    shop = Database(f"sqlite:///{tmp_path}/one.db")
    stop = shop.on_query(told.append)
    assert not shop.is_open
    shop.ping()
    shop.initialize(f"sqlite:///{tmp_path}/two.db")
    shop.ping()
    stop()
    shop.ping()
    shop.close()
    assert [event.sql for event in told] == ["SELECT 1", "SELECT 1"]


def test_a_callback_has_to_be_a_function(database):
    with pytest.raises(errors.InvalidQueryError, match="expected a function that takes a QueryEvent; got 'x'"):
        database.on_query("x")


def test_every_thread_tells_of_its_own_statements(database):
    told = []
    stop = database.on_query(lambda event: told.append((threading.current_thread().name, event.parameters[0])))

    def work(number):
        for _ in range(20):
            database.raw_query_all("SELECT @n AS n", {"n": number})
        return threading.current_thread().name, number

    with ThreadPoolExecutor(4) as threads:
        worked = list(threads.map(work, range(8)))
    stop()
    assert sorted(told) == sorted(worked * 20)


def test_listening_while_others_work_loses_no_statement(database):
    counts = []
    interval = sys.getswitchinterval()

    def listen():
        while not all(done.is_set() for done in finished):
            stop = database.on_query(lambda event: None)
            stop()

    def work(done):
        try:
            for _ in range(150):
                counts.append(database.raw_query_single("SELECT 1 AS n")["n"])
                counts.extend(row["n"] for row in database.raw_query_iter("SELECT 1 AS n"))
        finally:
            done.set()

    finished = [threading.Event() for _ in range(3)]
    threads = [threading.Thread(target=listen), *[threading.Thread(target=work, args=[done]) for done in finished]]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sum(counts) == 900


@pytest.mark.parametrize("backend", ["postgresql"])
def test_listening_may_end_while_a_statement_runs(database, backend):
    stop = database.on_query(lambda event: None)
    rows = database.raw_query_iter("SELECT 1 / (2 - n) AS x FROM generate_series(1, 3) AS n", chunk_size=1)
    next(rows)
    stop()
    with pytest.raises(errors.InvalidValueError, match="division by zero"):
        next(rows)


# Secrets


def _peewee(database):
    with database.bind():
        User.create(email="new@example.com", password_hash=SECRET)
        list(User.select().where(User.password_hash == SECRET))
        list(User.select().where((User.email == "a") & User.password_hash.in_([SECRET, "x"])))
        list(User.select().where(fn.LOWER(User.password_hash) == SECRET))
        User.update(password_hash=SECRET).where(fn.LOWER(User.password_hash) == SECRET).execute()
        list(User.select().where(User.password_hash.contains(SECRET)))
        User.insert_many([{"email": f"{n}@m", "password_hash": SECRET} for n in range(2)]).execute()


def _managers(database):
    from cloudpub_models import Managers, operators

    users = Managers(database).users
    row = {"email": "new@example.com", "password_hash": SECRET}
    user = users.insert(row)
    users.update({"password_hash": SECRET}, {"password_hash": SECRET})
    users.update_by_id(user.id, {"password_hash": SECRET})
    users.upsert(row, ["email"])
    users.find_or_insert(row, ["email"])
    for condition in (SECRET, [SECRET, "x"], operators.like(SECRET), operators.ne(SECRET), operators.in_([SECRET])):
        users.find_all({"password_hash": condition})
    users.find_all(User.password_hash == SECRET)
    list(users.iterate({"password_hash": SECRET}))
    users.batch_insert([{"email": f"{n}@b", "password_hash": SECRET} for n in range(3)])
    users.batch_insert([{"email": f"{n}@b", "password_hash": SECRET} for n in range(3)], on_conflict="ignore")
    users.batch_insert([{"email": f"{n}@c", "password_hash": SECRET} for n in range(3)], returning=True)
    users.raw("SELECT * FROM users WHERE password_hash = @h", {"h": SECRET})
    users.raw("SELECT * FROM users WHERE email IN @h AND password_hash IN @p", {"h": ("a",), "p": (SECRET, "b")})


def _builder(database):
    from cloudpub_models import Managers

    users = Managers(database).users
    query = users.query().where("email", "a")
    for narrowed in (
        query.where("password_hash", SECRET),
        query.where_in("password_hash", [SECRET, "x"]),
        query.or_where("password_hash", SECRET, "<>"),
        query.where_between("password_hash", SECRET, SECRET),
        query.where_raw("password_hash = @h", {"h": SECRET}),
        query.where_group(lambda group: group.where("password_hash", SECRET)),
    ):
        users.execute_query(narrowed)
    database.raw_execute(query.build_update({"password_hash": SECRET}))
    database.raw_execute(users.query().build_insert({"email": "n", "password_hash": SECRET}))


def _raw(database):
    for name in ("password", "new_password", "api_key", "access_token", "client_secret"):
        database.raw_query_all(f"SELECT CAST(@{name} AS VARCHAR(20)) AS a", {name: SECRET})
    database.raw_query_all("SELECT id FROM users WHERE email IN @password", {"password": (SECRET, SECRET + "2")})
    database.raw_query_all("SELECT id FROM users WHERE email = @e AND password_hash = @h", {"e": "x", "h": SECRET})
    database.raw_execute("INSERT INTO users (email, password_hash) VALUES (@a, @b)", {"a": "raw", "b": SECRET})
    database.raw_execute("UPDATE users SET password_hash = @h WHERE email = @e", {"e": "raw", "h": SECRET})
    by_token = "UPDATE users SET password_hash = @h WHERE id IN @tokens OR email = @token"
    database.raw_execute(by_token, {"h": SECRET, "tokens": (0,), "token": "x"})
    select = "SELECT (SELECT MAX(password_hash) FROM users) = @h AS same"
    database.raw_query_all(select, {"h": SECRET})
    list(database.raw_query_iter("SELECT id FROM users WHERE password_hash = @h", {"h": SECRET}))
    with pytest.raises(errors.UniqueViolationError):
        database.raw_execute("INSERT INTO users (email, password_hash) VALUES (@a, @b)", {"a": "raw", "b": SECRET})


@pytest.mark.parametrize("send", [_peewee, _managers, _builder, _raw], ids=lambda send: send.__name__[1:])
def test_no_secret_is_told_or_logged(database, events, send, caplog):
    caplog.set_level(logging.DEBUG, "cloudpub_models.queries")
    send(database)
    assert len(events) > 5
    assert [event for event in events if SECRET in repr(event) or SECRET in str(event)] == []
    masked = [event for event in events if "***" in event.parameters]
    assert len(masked) > 5
    assert all(type(value) is not bytes for event in events for value in event.parameters)
    assert SECRET not in caplog.text
    assert "***" in caplog.text


def test_other_values_are_told_as_they_are(database, managers, ada, events):
    managers.users.find_all({"email": "ada@example.com", "password_hash": SECRET})
    managers.users.update_by_id(ada.id, {"email": "countess@example.com", "password_hash": SECRET})
    managers.users.execute_query(managers.users.query().where("email", "x@example.com"))
    database.raw_query_all(
        "SELECT id FROM users WHERE email = @e AND password_hash = @password", {"e": "y", "password": SECRET}
    )
    with database.bind():
        list(User.select().where((User.email == "z@example.com") & (User.password_hash == SECRET)))
    shown = [event.parameters for event in events]
    assert shown[0] == ("ada@example.com", "***")
    assert shown[1][:2] == ("countess@example.com", "***")
    assert shown[1][-1] == ada.id
    assert shown[2:] == [("x@example.com",), ("***", "***"), ("z@example.com", "***")]


def test_what_is_masked_is_what_is_stored(database, managers, ada):
    assert managers.users.find_one({"password_hash": SECRET}) == ada
    assert ada.password_hash == SECRET
    assert type(ada.password_hash) is str
    with database.bind():
        user = User.create(email="b@example.com", password_hash=SECRET)
        assert type(user.password_hash) is str
        assert User.select().where(User.password_hash == SECRET).count() == 2


def test_bytes_are_not_told(database, events, backend):
    cast = "::bytea" if backend == "postgresql" else ""
    database.raw_query_all(f"SELECT @data{cast} AS data", {"data": b"\x00\x01"})
    assert events[0].parameters == ("***",)


# The log


def test_slow_statements_are_warned_about_without_their_values(database_url, caplog):
    shop = Database(database_url, slow_query=0.0)
    shop.raw_query_all("SELECT @city AS city", {"city": "Zürich"})
    shop.close()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("cloudpub_models.queries", "WARNING")
    message = record.getMessage()
    assert message.startswith("slow query: ")
    assert " ms, 1 row: SELECT " in message
    assert f"{HERE}:" in message
    assert "Zürich" not in message
    assert isinstance(record.query, QueryEvent)


def test_fast_statements_are_not_warned_about(database_url, caplog):
    shop = Database(database_url, slow_query=60)
    shop.ping()
    shop.close()
    assert caplog.records == []


def test_a_slow_statement_that_fails_is_warned_about(database_url, caplog):
    shop = Database(database_url, slow_query=0.0)
    with pytest.raises(errors.InvalidQueryError):
        shop.raw_query_all("SELECT nothing FROM nowhere")
    shop.close()
    assert "failed with RefusedQueryError: SELECT nothing FROM nowhere" in caplog.text


def test_every_statement_is_logged_where_the_log_takes_it(database_url, caplog):
    caplog.set_level(logging.DEBUG, "cloudpub_models.queries")
    shop = Database(database_url)
    shop.raw_query_all("SELECT @city AS city, @n AS n", {"city": "Zürich", "n": 1})
    shop.raw_query_all("SELECT '" + "x" * 5000 + "' AS long")
    shop.close()
    assert "parameters: ('Zürich', 1)" in caplog.records[0].getMessage()
    assert len(caplog.records[1].getMessage()) < 2500
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_an_engine_that_nobody_listens_to_is_a_plain_one(database):
    database.ping()
    assert not is_observed(database)
    assert set(vars(database.engine)) & Sender.__abstractmethods__ == set()


@pytest.mark.parametrize("value", [-1, "1", True])
def test_a_threshold_is_a_number_of_seconds(value):
    with pytest.raises(errors.ConfigurationError, match="slow_query"):
        Database("sqlite:///:memory:", slow_query=value)
