"""Prepared statements: the same results, whatever becomes of the session in which they were prepared."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import peewee
import pytest

from cloudpub_models import Database, Function, Managers, User, errors, none_of, operators, raw
from cloudpub_models.connection.postgresql.preparation import MOST_PREPARED

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])

PREPARED = "SELECT name, statement FROM pg_prepared_statements WHERE name LIKE 'cloudpub_%' ORDER BY name"


@pytest.fixture
def database(database_url, backend):
    database = Database(database_url, prepared=True)
    yield database
    database.close()


def prepared(database):
    return [row["statement"] for row in database.raw_query_all(PREPARED)]


def end_session_of(other, database):
    number = database.raw_query_single("SELECT pg_backend_pid() AS number")["number"]
    other.raw_query_all("SELECT pg_terminate_backend(@number, 2000)", {"number": number})


def test_what_managers_send_is_prepared_once(database, managers, resize):
    with database.session():
        for _ in range(3):
            assert managers.functions.find_by_id(resize.id) == resize
        assert managers.functions.find_by_uuid(resize.uuid) == resize
        by_id = [statement for statement in prepared(database) if "FROM functions WHERE id = $1" in statement]
    assert len(by_id) == 1
    assert by_id[0].startswith("PREPARE cloudpub_")


@pytest.mark.usefixtures("plain_tables")
def test_lookups_of_what_is_owned_through_another_row_are_prepared(database, managers, ada, resize):
    line = managers.function_logs.append(resize, "info", "…")
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    mine, hers = managers.owned_by(ada), managers.owned_by(grace)
    with database.session():
        for _ in range(2):
            assert mine.function_logs.find_by_id(line.id) == line
            assert hers.function_logs.find_by_id(line.id) is None
            assert mine.function_logs.find_by_uuid(line.uuid) == line
        owned = [one for one in prepared(database) if "(SELECT functions.user_id FROM functions" in one]
    assert len(owned) == 2


def test_raw_sql_streams_and_peewee_are_sent_as_they_are(database, managers, ada):
    with database.session():
        before = prepared(database)
        database.raw_execute("UPDATE users SET email = email WHERE id = @id", {"id": ada.id})
        database.raw_query_all("SELECT id FROM users WHERE id = @id", {"id": ada.id})
        list(managers.users.iterate({"id": ada.id}))
        managers.users.find_all(User.id > 0)
        managers.users.batch_insert([{"email": f"{n}@b", "password_hash": "…"} for n in range(3)], returning=True)
        managers.users.execute_query(managers.users.query().where_raw("id = @id", {"id": ada.id}))
        with database.bind():
            assert Function.select().count() == 0
        assert prepared(database) == before


def test_every_kind_of_statement_gives_what_it_gives_unprepared(database_url, database, other):
    moment = datetime(2024, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)

    def work(managers, name):
        user = managers.users.insert({"email": f"{name}@example.com", "password_hash": "…"})
        user = managers.users.find_by_id(user.id)
        function = managers.functions.insert(
            {"user_id": user.id, "name": "a", "analysis_result": {"deps": ["x", None], "n": 1.5}, "created_at": moment}
        )
        functions = managers.functions
        functions.insert({"user_id": user.id, "name": "b%_'\\", "analysis_result": None})
        upserted = functions.upsert({"user_id": user.id, "name": "a", "status": "inactive"}, ["user_id", "name"])
        with managers.database.bind():
            needs_x = (Function.user == user.id) & (Function.analysis_result["deps"][0] == "x")
        assert functions.count(needs_x) == 1
        for _ in range(7):  # the server makes a generic plan at the sixth
            found = functions.find_all(
                {"user_id": user.id, "status": ["inactive", "active"], "created_at": operators.le(datetime.now(UTC))},
                order_by=[("created_at", "DESC"), "id"],
                limit=10,
                offset=0,
            )
        deployment = managers.function_deployments.insert(
            {"function_id": function.id, "version": 1, "image_tag": "t", "s3_key": "k", "is_active": True}
        )
        log = managers.function_logs.insert({"function_id": function.id, "level": "info", "message": "é\n%s %"})
        return [
            upserted.analysis_result,
            [one.name for one in found],
            [one.analysis_result for one in found],
            found[-1].created_at == moment,
            functions.count({"user_id": user.id}),
            functions.count({"user_id": user.id, "active_deployment_id": None}),
            functions.exists({"user_id": user.id, "name": operators.like("b\\%\\_'%")}),
            functions.exists({"name": operators.ilike("NOTHING%")}),
            functions.count({"created_at": operators.between(moment, moment)}) > 0,
            functions.count({"user_id": user.id, "name": operators.not_in(["a"])}),
            functions.count({"user_id": []}),
            functions.find_by_uuid(uuid4()),
            functions.update_by_id(function.id, {"active_deployment_id": deployment.id}).active_deployment_id
            == deployment.id,
            functions.update_by_id(function.id, {"active_deployment_id": None}).active_deployment_id,
            managers.function_deployments.count({"is_active": True, "function_id": function.id}),
            [one.name for one in functions.find_all({"user_id": user.id}, include=("deployments",), order_by="id")],
            functions.find_all({"user_id": user.id}, select=["name"], order_by="name")[0].name,
            managers.function_logs.find_one({"id": log.id}).message,
            [one.message for one in managers.function_logs.paginate_after(page_size=1, where={"id": log.id}).items],
            functions.find_or_insert({"user_id": user.id, "name": "a"}, ["user_id", "name"])[1],
            [one.status for one in functions.claim({"user_id": user.id, "name": "a"}, {"status": "claimed"})],
            functions.delete({"user_id": user.id}),
            functions.delete_by_id(function.id),
        ]

    assert work(Managers(database), "prepared") == work(Managers(other), "plain")


def test_a_constraint_is_named_as_ever(database, managers, resize):
    for _ in range(2):
        with pytest.raises(errors.UniqueViolationError) as caught:
            managers.functions.insert({"user_id": resize.user_id, "name": "resize"})
        assert caught.value.columns == ("user_id", "name")


def test_a_table_that_is_not_there_yet(database, managers):
    database.raw_execute("ALTER TABLE function_logs RENAME TO moved")
    try:
        for _ in range(2):
            with pytest.raises(errors.InvalidQueryError, match="is this its name"):
                managers.function_logs.count()
    finally:
        database.raw_execute("ALTER TABLE moved RENAME TO function_logs")
    assert managers.function_logs.count() == 0


# What becomes of a session


def test_a_new_connection_prepares_anew(database, managers, other, resize):
    with database.session():
        assert managers.functions.find_by_id(resize.id) == resize
        end_session_of(other, database)
        with pytest.raises(errors.ConnectionLostError):
            managers.functions.find_by_id(resize.id)
        assert managers.functions.find_by_id(resize.id) == resize


@pytest.mark.parametrize("command", ["DISCARD ALL", "DEALLOCATE ALL", "DISCARD PLANS", "/* tidy up */ deallocate all"])
def test_whoever_throws_prepared_statements_away_is_not_noticed(database, managers, resize, command):
    with database.session():
        for _ in range(2):
            assert managers.functions.find_by_id(resize.id) == resize
            database.raw_execute(command)


def test_nor_in_a_transaction(database, managers, resize):
    with database.session():
        managers.functions.find_by_id(resize.id)
        with database.transaction() as connection:
            connection.execute("DEALLOCATE ALL")
            assert managers.functions.find_by_id(resize.id) == resize
            with database.bind():
                database.engine.execute_sql("DEALLOCATE ALL")
            assert managers.functions.find_by_id(resize.id) == resize


HIDDEN = "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"


def test_what_is_gone_unseen_is_prepared_again(database, managers, resize):
    with database.session():
        managers.functions.find_by_id(resize.id)
        managers.functions.delete({"id": 0})
        database.raw_execute(HIDDEN)
        assert managers.functions.find_by_id(resize.id) == resize
        assert managers.functions.delete({"id": 0}) == 0


def test_in_a_transaction_that_is_an_error_that_says_to_run_it_again(database, managers, resize):
    with database.session():
        managers.functions.find_by_id(resize.id)
        database.raw_execute(HIDDEN)
        with pytest.raises(errors.PreparedStatementError, match="run the whole transaction again"):
            with database.transaction():
                managers.functions.find_by_id(resize.id)
        assert managers.functions.find_by_id(resize.id) == resize


def test_run_transaction_runs_it_again(database, managers, resize):
    calls = []

    def work(connection):
        calls.append(None)
        managers.functions.update_by_id(resize.id, {"status": f"call {len(calls)}"})
        return managers.functions.find_by_id(resize.id).status

    with database.session():
        assert database.run_transaction(work) == "call 1"
        database.raw_execute(HIDDEN)
        assert database.run_transaction(work) == "call 3"


def test_a_nested_transaction_does_not_hide_it(database, managers, resize):
    with database.session():
        managers.functions.find_by_id(resize.id)
        database.raw_execute(HIDDEN)
        with database.transaction():
            with pytest.raises(errors.PreparedStatementError), database.transaction():
                managers.functions.find_by_id(resize.id)
            assert managers.functions.find_by_id(resize.id) == resize


# Changes of tables


def test_a_column_of_another_type_is_read_as_such(database, managers, other, resize):
    with database.session():
        managers.functions.find_by_id(resize.id)
        other.raw_execute("ALTER TABLE functions ALTER COLUMN status TYPE text")
        try:
            assert managers.functions.find_by_id(resize.id) == resize
            # The one that was out of date is gone.
            assert len([one for one in prepared(database) if "FROM functions WHERE id = $1" in one]) == 1
        finally:
            other.raw_execute("ALTER TABLE functions ALTER COLUMN status TYPE varchar(50)")


def test_a_column_whose_type_has_other_operators_is_compared_as_such(database, managers, other, resize):
    def work():
        managers.functions.update({"status": "inactive"}, {"status": "active"})
        return [one.status for one in managers.functions.find_all({"status": "inactive"})]

    with database.session():
        work()
        other.raw_execute("CREATE TYPE function_state AS ENUM ('inactive', 'active', 'creating', 'failed')")
        other.raw_execute("ALTER TABLE functions ALTER COLUMN status DROP DEFAULT")
        other.raw_execute("ALTER TABLE functions ALTER COLUMN status TYPE function_state USING status::function_state")
        try:
            with pytest.raises(errors.PreparedStatementError), database.transaction():
                work()
            assert database.run_transaction(lambda connection: work()) == work()
            assert work() == ["inactive"]
        finally:
            other.raw_execute("ALTER TABLE functions ALTER COLUMN status TYPE varchar(50)")
            other.raw_execute("ALTER TABLE functions ALTER COLUMN status SET DEFAULT 'creating'")
            other.raw_execute("DROP TYPE function_state")
        assert work() == ["inactive"]


def test_a_column_that_holds_longer_numbers_is_asked_for_them(database, other):
    class Reading(peewee.Model):
        value = peewee.BigIntegerField()

    readings = Managers(database).for_model(Reading)
    other.raw_execute("CREATE TABLE reading (id serial PRIMARY KEY, value integer)")
    try:
        with database.session():
            assert readings.count({"value": 5}) == 0
            other.raw_execute("ALTER TABLE reading ALTER COLUMN value TYPE bigint")
            assert readings.count({"value": 2**40}) == 0
            assert readings.insert({"value": 2**40}).value == 2**40
            assert readings.count({"value": 2**40}) == 1
    finally:
        other.raw_execute("DROP TABLE reading")


def test_what_a_known_statement_is_refused_for_is_told_as_it_is(database, managers, other, resize):
    with database.session():
        managers.functions.count({"name": "resize"})
        other.raw_execute("ALTER TABLE functions RENAME COLUMN name TO title")
        try:
            for _ in range(2):
                with pytest.raises(errors.InvalidQueryError, match="name"):
                    managers.functions.count({"name": "resize"})
        finally:
            other.raw_execute("ALTER TABLE functions RENAME COLUMN title TO name")
        assert managers.functions.count({"name": "resize"}) == 1


def test_a_real_column_is_compared_as_it_is_unprepared(database, other):
    class Measurement(peewee.Model):
        value = peewee.FloatField()

    other.raw_execute("CREATE TABLE measurement (id serial PRIMARY KEY, value real)")
    try:
        found = []
        for measurements in (Managers(other).for_model(Measurement), Managers(database).for_model(Measurement)):
            measurements.insert({"value": 0.1})
            query = measurements.query().where("value", 0.1)
            found.append((measurements.count({"value": 0.1}), len(measurements.execute_query(query))))
        assert found == [(1, 1), (2, 2)]
    finally:
        other.raw_execute("DROP TABLE measurement")


# One for each kind of statement; the last four would not show that a table seemed to be empty, and so are not prepared.
WAITING = {
    "find": (lambda one: one.functions.find_one({"name": "resize"}, select=["name"]).name, "resize"),
    "exists": (lambda one: one.functions.exists({"name": "resize"}), True),
    "count": (lambda one: one.functions.count({"name": "resize"}), 1),
    "values": (lambda one: one.functions.values("status", {"name": "resize"}), ["active"]),
    "update": (lambda one: one.functions.update_by_id(1, {"status": "inactive"}).status, "inactive"),
    "update many": (lambda one: len(one.functions.update({"status": "inactive"}, {"name": "resize"})), 1),
    "delete": (lambda one: one.functions.delete({"name": "resize"}), 1),
    "claim": (lambda one: len(one.functions.claim({"name": "resize"}, {"status": "taken"})), 1),
    "group": (
        lambda one: one.functions.aggregate(group_by="status", n=operators.count()),
        [{"status": "active", "n": 1}],
    ),
    "join": (
        lambda one: one.functions.execute_query(
            one.functions.query("f").select("u.email").join("users u", "u.id", "f.user_id").where("f.name", "resize")
        ),
        [{"email": "ada@example.com"}],
    ),
    "outer join": (
        lambda one: one.functions.execute_query(
            one.users.query("u").select("f.name").left_join("functions f", "f.user_id", "u.id").where("u.id", 1)
        ),
        [{"name": "resize"}],
    ),
    "aggregate": (lambda one: one.functions.aggregate({"name": "resize"}, n=operators.count()), {"n": 1}),
    "none of": (lambda one: one.users.count(none_of({"functions.name": "resize"})), 0),
    "an owner's line": (lambda one: one.owned_by(1).function_logs.find_by_id(1).message, "made"),
    "an owner's change": (lambda one: one.owned_by(1).function_logs.update_by_id(1, {"level": "x"}).level, "x"),
    "related": (lambda one: one.functions.count({"name": "resize", "user.email": "ada@example.com"}), 1),
}


@pytest.mark.parametrize("kind", WAITING)
def test_one_that_waits_for_a_table_that_is_written_anew_sees_its_rows(database, managers, other, resize, kind):
    work, expected = WAITING[kind]
    managers.function_logs.append(resize, "info", "made")

    def prepare():
        for _ in range(2):
            with pytest.raises(RuntimeError), database.transaction():
                assert work(managers) == expected
                raise RuntimeError

    with ThreadPoolExecutor(1) as thread:
        thread.submit(prepare).result()
        with other.transaction() as connection:
            connection.execute("ALTER TABLE functions ADD COLUMN extra uuid DEFAULT gen_random_uuid()")
            answer = thread.submit(work, managers)
            while not other.raw_query_all("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not answer.done()
        assert answer.result() == expected


def test_what_finds_something_is_sent_once(database, managers, resize):
    """What finds nothing is asked for twice, and an insert is not."""
    counts = (
        "SELECT calls FROM (SELECT generic_plans + custom_plans AS calls, statement FROM pg_prepared_statements) AS s"
    )
    with database.session():
        for _ in range(3):
            managers.functions.find_by_id(resize.id)
            managers.functions.find_or_insert({"user_id": resize.user_id, "name": "resize"}, ["user_id", "name"])
        rows = database.raw_query_all(f"{counts} WHERE statement LIKE '%FROM functions WHERE id = $1%'")
    assert rows == [{"calls": 3}]


def test_in_a_transaction_it_is_run_again(database, managers, other, resize):
    calls = []

    def work(connection):
        calls.append(None)
        return managers.functions.find_by_id(resize.id)

    with database.session():
        work(None)
        other.raw_execute("ALTER TABLE functions ALTER COLUMN status TYPE text")
        try:
            with pytest.raises(errors.PreparedStatementError), database.transaction():
                work(None)
            managers.functions.find_all({"id": resize.id})
            other.raw_execute("ALTER TABLE functions ALTER COLUMN status TYPE varchar(60)")
            assert database.run_transaction(work) == resize
        finally:
            other.raw_execute("ALTER TABLE functions ALTER COLUMN status TYPE varchar(50)")
    assert len(calls) == 4


def test_a_transaction_may_change_tables_itself(database, managers, resize):
    with pytest.raises(RuntimeError), database.transaction() as connection:
        managers.functions.find_by_id(resize.id)
        connection.execute("ALTER TABLE functions ALTER COLUMN status TYPE text")
        assert managers.functions.find_by_id(resize.id) == resize
        raise RuntimeError
    assert managers.functions.find_by_id(resize.id) == resize


def test_columns_that_are_added_change_nothing(database, managers, other, resize):
    with database.session():
        managers.functions.find_by_id(resize.id)
        other.raw_execute("ALTER TABLE functions ADD COLUMN extra integer")
        try:
            before = prepared(database)
            assert managers.functions.find_by_id(resize.id) == resize
            assert prepared(database) == before
        finally:
            other.raw_execute("ALTER TABLE functions DROP COLUMN extra")


def test_what_the_database_refuses_as_unsupported_is_told_as_it_is(database, managers, resize):
    database.raw_execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'feature_not_supported'; END $$"
    )
    database.raw_execute("CREATE TRIGGER refusing BEFORE INSERT ON function_logs EXECUTE FUNCTION refuse()")
    try:
        for _ in range(2):
            with pytest.raises(errors.DatabaseError, match="no"):
                managers.function_logs.insert({"function_id": resize.id, "level": "info", "message": "x"})
    finally:
        database.raw_execute("DROP TRIGGER refusing ON function_logs")
        database.raw_execute("DROP FUNCTION refuse()")


@pytest.mark.parametrize("command", ["DEALLOCATE ALL", "DISCARD PLANS"])
def test_what_changed_tables_left_behind_may_be_thrown_away(database, managers, resize, command):
    with pytest.raises(RuntimeError), database.transaction() as connection:
        managers.functions.find_by_id(resize.id)
        connection.execute("CREATE INDEX names ON functions (name)")
        connection.execute(command)
        assert managers.functions.find_by_id(resize.id) == resize
        raise RuntimeError


@pytest.mark.parametrize("command", ["DO $$ BEGIN {} END $$", "CALL changing()"])
def test_a_block_or_a_procedure_may_change_tables_in_a_transaction(database, managers, resize, command):
    change = "ALTER TABLE functions ALTER COLUMN status TYPE text;"
    database.raw_execute(f"CREATE PROCEDURE changing() LANGUAGE plpgsql AS $$ BEGIN {change} END $$")
    try:
        with pytest.raises(RuntimeError), database.transaction() as connection:
            managers.functions.find_by_id(resize.id)
            connection.execute(command.format(change))
            assert managers.functions.find_by_id(resize.id) == resize
            raise RuntimeError
    finally:
        database.raw_execute("DROP PROCEDURE changing()")


# What managers send that has a %


def test_a_percent_sign_of_ones_own_stays_one(database, managers, ada):
    query = managers.users.query().select(raw("format('%s of %s%%', 1, email) AS text"))
    for _ in range(2):
        assert managers.users.execute_query(query) == [{"text": "1 of ada@example.com%"}]
        assert managers.users.execute_query(query.where("email", ada.email)) == [{"text": "1 of ada@example.com%"}]


# Transactions


def test_what_a_transaction_prepared_outlives_its_rollback(database, managers, resize):
    with database.session():
        with pytest.raises(RuntimeError), database.transaction():
            assert managers.functions.count({"name": "resize", "id": resize.id}) == 1
            with pytest.raises(RuntimeError), database.transaction():
                assert managers.functions.exists({"name": "resize", "id": resize.id})
                raise RuntimeError
            raise RuntimeError
        before = prepared(database)
        assert managers.functions.count({"name": "resize", "id": resize.id}) == 1
        assert managers.functions.exists({"name": "resize", "id": resize.id})
        assert prepared(database) == before


# Many of them


def test_a_connection_keeps_as_many_as_were_used_last(database, managers, resize):
    columns = list(Function._meta.columns)
    shapes = [[*columns[:n], columns[m]] for n in range(1, len(columns)) for m in range(n, len(columns))]
    orders = [*columns, None]
    asked = [(shape, order) for shape in shapes for order in orders][: MOST_PREPARED + 20]
    assert len(asked) == MOST_PREPARED + 20
    with database.session():
        for shape, order in asked:
            managers.functions.find_by_id(resize.id)
            managers.functions.find_all(select=shape, order_by=order)
        statements = prepared(database)
        assert len(statements) <= MOST_PREPARED + 1
        assert any("FROM functions WHERE id = $1" in statement for statement in statements)
        for shape, order in asked:
            assert len(managers.functions.find_all(select=shape, order_by=order)) == 1


def test_statements_of_ones_own_are_left_alone(database, managers, resize):
    with database.session():
        database.raw_execute("PREPARE mine AS SELECT 42 AS answer")
        managers.functions.find_by_id(resize.id)
        database.raw_execute("CREATE TEMPORARY TABLE aside (id integer)")
        managers.functions.find_by_id(resize.id)
        assert database.raw_query_all("EXECUTE mine") == [{"answer": 42}]


def test_threads_and_borrowed_connections(database, managers, resize):
    barrier = threading.Barrier(4)

    def work(number):
        barrier.wait(10)
        for _ in range(30):
            assert managers.functions.find_by_id(resize.id) == resize
            assert managers.functions.count({"name": "resize"}) == 1
        with database.session():
            return managers.functions.exists({"id": resize.id})

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(4))) == [True] * 4


def test_events_show_the_statement_itself(database, managers, resize, statements):
    managers.functions.find_one({"name": "resize"}, select=["id"])
    managers.functions.find_one({"name": "resize"}, select=["id"])
    assert statements == [("SELECT id FROM functions WHERE name = %s LIMIT %s", ("resize", 1))] * 2


# The option


def test_behind_a_transaction_pooler_it_is_refused(backend):
    with pytest.raises(errors.ConfigurationError, match="a prepared statement belongs to a session"):
        Database("postgresql://localhost/cloud", prepared=True, transaction_pooler=True)


def test_on_sqlite_it_changes_nothing(backend):
    shop = Database("sqlite:///:memory:", prepared=True)
    shop.migrate()
    assert Managers(shop).users.count() == 0
    shop.close()


def test_what_another_client_has_prepared_is_never_run_in_place_of_ones_own(database_url):
    """A pooler that swaps the sessions of two clients between two statements, each of which keeps its own book."""
    clients = [Database(database_url, prepared=True, max_connections=1) for _ in range(2)]
    users, functions = Managers(clients[0]).users, Managers(clients[1]).functions
    ada = users.insert({"email": "ada@example.com", "password_hash": "x"})
    functions.insert({"user_id": ada.id, "name": "resize"})
    for _ in range(3):
        assert users.find_by_id(1).email == "ada@example.com"
        assert functions.find_by_id(1).name == "resize"
        with clients[0].session(), clients[1].session():
            first, second = (client.engine.connection() for client in clients)
            first.prepared, second.prepared = second.prepared, first.prepared
            first.outdated, second.outdated = second.outdated, first.outdated
            clients[0].engine._keep_connection(second)
            clients[1].engine._keep_connection(first)
            assert users.find_by_id(1).email == "ada@example.com"
            assert functions.find_by_id(1).name == "resize"
            clients[0].engine._keep_connection(first)
            clients[1].engine._keep_connection(second)
    for client in clients:
        client.close()
