"""Transactions on both databases: what is kept, what is not, and which error says so."""

import asyncio
import contextlib
import contextvars
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import peewee
import pytest

from cloudpub_models import Database, User
from cloudpub_models.connection.scopes import transactions_of_this_work
from cloudpub_models.errors import (
    ConnectionLostError,
    ForeignKeyViolationError,
    InvalidQueryError,
    SerializationError,
    TransactionAbortedError,
    UniqueViolationError,
)

ADA = {"email": "ada@example.com", "password_hash": "x"}
BOB = {"email": "bob@example.com", "password_hash": "x"}


def emails(managers):
    return [user.email for user in managers.users.find_all(order_by="email")]


def test_a_block_that_ends_normally_commits(database, managers):
    with database.transaction():
        managers.users.insert(ADA)
        managers.users.insert(BOB)
    assert emails(managers) == ["ada@example.com", "bob@example.com"]


def test_a_block_that_raises_keeps_nothing(database, managers):
    with pytest.raises(ZeroDivisionError), database.transaction():
        managers.users.insert(ADA)
        raise ZeroDivisionError
    assert emails(managers) == []


def test_the_connection_runs_raw_sql_in_the_transaction(database, managers):
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        inserted = connection.execute(
            "INSERT INTO users (email, password_hash) VALUES (@email, @password_hash) RETURNING email", ADA
        )
        assert inserted == [{"email": "ada@example.com"}]
        assert connection.execute("SELECT COUNT(*) AS n FROM users") == [{"n": 1}]
        raise ZeroDivisionError
    assert emails(managers) == []


def test_the_connection_is_of_no_use_after_the_block(database):
    with database.transaction() as connection:
        pass
    with pytest.raises(InvalidQueryError, match="over"):
        connection.execute("SELECT 1")


def test_a_nested_block_is_a_savepoint(database, managers):
    with database.transaction():
        managers.users.insert(ADA)
        with pytest.raises(ZeroDivisionError), database.transaction():
            managers.users.insert(BOB)
            raise ZeroDivisionError
    assert emails(managers) == ["ada@example.com"]


def test_a_swallowed_error_aborts_the_transaction(database, managers):
    with pytest.raises(TransactionAbortedError, match=r"UniqueViolationError.*nested transaction\(\)") as caught:
        with database.transaction():
            managers.users.insert(BOB)
            managers.users.insert(ADA)
            try:
                managers.users.insert(ADA)
            except UniqueViolationError:
                pass
    assert isinstance(caught.value.__cause__, UniqueViolationError)
    assert isinstance(caught.value, peewee.InternalError)
    assert emails(managers) == []


def test_nothing_runs_in_a_transaction_that_is_aborted(database, managers):
    with pytest.raises(TransactionAbortedError), database.transaction():
        managers.users.insert(ADA)
        with pytest.raises(UniqueViolationError):
            managers.users.insert(ADA)
        managers.users.insert(BOB)
    assert emails(managers) == []


def test_what_may_fail_goes_into_a_nested_block(database, managers):
    with database.transaction():
        managers.users.insert(ADA)
        with pytest.raises(UniqueViolationError), database.transaction():
            managers.users.insert(ADA)
        managers.users.insert(BOB)
    assert emails(managers) == ["ada@example.com", "bob@example.com"]


def test_a_swallowed_error_in_a_nested_block_aborts_only_that(database, managers):
    with database.transaction():
        managers.users.insert(ADA)
        with pytest.raises(TransactionAbortedError), database.transaction():
            managers.users.insert(BOB)
            with pytest.raises(UniqueViolationError):
                managers.users.insert(BOB)
    assert emails(managers) == ["ada@example.com"]


def test_peewee_code_takes_part(database, managers):
    with database.bind():
        with pytest.raises(ZeroDivisionError), database.transaction():
            User.create(**ADA)
            assert managers.users.count() == 1
            raise ZeroDivisionError
        assert User.select().count() == 0
        with User._meta.database.atomic():
            User.create(**ADA)
            with pytest.raises(peewee.IntegrityError), User._meta.database.atomic():
                User.create(**ADA)
    assert emails(managers) == ["ada@example.com"]


def test_peewee_errors_are_ours_and_abort_too(database, managers):
    with database.bind(), pytest.raises(TransactionAbortedError), database.transaction():
        User.create(**ADA)
        with pytest.raises(UniqueViolationError):
            User.create(**ADA)
    assert emails(managers) == []


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
def test_ending_the_transaction_inside_its_block_is_noticed(database, managers, statement):
    with pytest.raises(TransactionAbortedError, match="inside its block"), database.transaction():
        database.engine.connection().cursor().execute(statement)
    managers.users.insert(ADA)
    assert emails(managers) == ["ada@example.com"]


@pytest.mark.parametrize(
    "statement",
    ["COMMIT", "/* x */ commit", "ROLLBACK", "BEGIN", "SAVEPOINT a", "RELEASE a", "END", "START TRANSACTION"],
)
def test_raw_sql_leaves_transactions_alone(database, managers, statements, statement):
    for send in (database.raw_execute, database.raw_query_all, lambda sql: database.batch_execute([sql])):
        with pytest.raises(InvalidQueryError, match=r"use transaction\(\)"):
            send(statement)
    with pytest.raises(InvalidQueryError), database.transaction() as connection:
        managers.users.insert(ADA)
        connection.execute(statement)
    assert emails(managers) == []


def test_raw_sql_is_one_statement(database, managers):
    managers.users.insert(ADA)
    for sql in ("SELECT @a AS a; DELETE FROM users WHERE email = @a", "SELECT @a; ;", "SELECT @a; SELECT ';'"):
        with pytest.raises(InvalidQueryError, match="one statement"):
            database.raw_query_all(sql, {"a": "ada@example.com"})
    assert database.raw_query_all("SELECT ';' AS a; -- ; done") == [{"a": ";"}]
    assert emails(managers) == ["ada@example.com"]


def test_blocks_that_end_out_of_order_keep_nothing(database, managers):
    def insert_in_a_block(data):
        with database.transaction():
            managers.users.insert(data)
            yield

    generator = insert_in_a_block(BOB)
    with pytest.raises(TransactionAbortedError, match="reverse order"), database.transaction():
        managers.users.insert(ADA)
        next(generator)
    with pytest.raises(TransactionAbortedError, match="reverse order"):
        next(generator)
    assert emails(managers) == []
    managers.users.insert(ADA)
    assert emails(managers) == ["ada@example.com"]


def test_what_runs_later_cannot_be_decorated(database):
    def generator():
        yield

    async def coroutine():
        pass

    for function in (generator, coroutine):
        with pytest.raises(InvalidQueryError, match="yield or await"):
            database.transaction()(function)


def test_a_nested_block_in_an_aborted_one_does_not_begin(database, managers):
    with pytest.raises(TransactionAbortedError), database.transaction():
        managers.users.insert(ADA)
        with pytest.raises(UniqueViolationError):
            managers.users.insert(ADA)
        with pytest.raises(TransactionAbortedError):
            database.transaction().__enter__()


def test_a_transaction_is_a_decorator(database, managers):
    @database.transaction()
    def register(data, fail=False):
        """Register somebody."""
        user = managers.users.insert(data)
        if fail:
            raise ZeroDivisionError
        return user.email

    assert register.__doc__ == "Register somebody."
    assert register(ADA) == "ada@example.com"
    with pytest.raises(ZeroDivisionError):
        register(BOB, fail=True)
    assert emails(managers) == ["ada@example.com"]


def test_a_read_only_transaction_refuses_writes(database, managers):
    with pytest.raises(InvalidQueryError, match="read-only"), database.transaction(read_only=True):
        managers.users.count()
        managers.users.insert(ADA)
    managers.users.insert(ADA)
    assert emails(managers) == ["ada@example.com"]


def test_an_isolation_level_has_to_be_one(database):
    with pytest.raises(InvalidQueryError, match="READ COMMITTED"):
        database.transaction(isolation="SERIALIZABLE; DROP TABLE users")
    with database.transaction(isolation="serializable"):
        pass
    with database.transaction(), pytest.raises(InvalidQueryError, match="outermost"):
        database.transaction(isolation="SERIALIZABLE").__enter__()


def test_callbacks_run_once_after_the_commit_in_order(database, managers):
    ran = []
    with database.transaction():
        database.on_commit(lambda: ran.append("first"))
        with database.transaction():
            database.on_commit(lambda: ran.append("second"))
        with pytest.raises(ZeroDivisionError), database.transaction():
            database.on_commit(lambda: ran.append("never"))
            raise ZeroDivisionError
        database.on_commit(lambda: ran.append(f"third, {managers.users.count()} users, committed"))
        managers.users.insert(ADA)
        assert ran == []
    assert ran == ["first", "second", "third, 1 users, committed"]


def test_callbacks_of_a_rolled_back_transaction_are_dropped(database):
    ran = []
    with pytest.raises(ZeroDivisionError), database.transaction():
        database.on_commit(lambda: ran.append("never"))
        raise ZeroDivisionError
    with database.transaction():
        pass
    assert ran == []


def test_a_failing_callback_is_logged_and_does_not_stop_the_others(database, managers, caplog):
    ran = []

    def fail():
        raise RuntimeError("mail server down")

    with caplog.at_level(logging.ERROR, "cloudpub_models"), database.transaction():
        database.on_commit(fail)
        database.on_commit(lambda: ran.append("second"))
        managers.users.insert(ADA)
    assert ran == ["second"]
    assert emails(managers) == ["ada@example.com"]
    assert "mail server down" in caplog.text


def test_outside_a_transaction_a_callback_runs_at_once(database):
    ran = []
    database.on_commit(lambda: ran.append(1))
    assert ran == [1]


def test_run_transaction_repeats_what_lost(database, managers):
    attempts = []

    def work(connection):
        attempts.append(len(attempts))
        managers.users.insert(ADA)
        if len(attempts) < 3:
            raise SerializationError("lost")
        return "done"

    assert database.run_transaction(work) == "done"
    assert attempts == [0, 1, 2]
    assert emails(managers) == ["ada@example.com"]


def test_run_transaction_gives_up_after_its_retries(database):
    attempts = []

    def work(connection):
        attempts.append(1)
        raise SerializationError("lost")

    with pytest.raises(SerializationError):
        database.run_transaction(work, retries=2)
    assert len(attempts) == 3


def test_run_transaction_repeats_nothing_else_and_never_nested(database):
    attempts = []

    def work(connection, error):
        attempts.append(1)
        raise error

    with pytest.raises(ZeroDivisionError):
        database.run_transaction(lambda connection: work(connection, ZeroDivisionError()))
    assert len(attempts) == 1
    with pytest.raises(SerializationError), database.transaction():
        database.run_transaction(lambda connection: work(connection, SerializationError("lost")))
    assert len(attempts) == 2


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_real_serialization_failure_is_repeated(database, managers):
    managers.users.insert(ADA)
    attempts = []

    def work(connection):
        attempts.append(1)
        connection.execute("SELECT * FROM users")
        if len(attempts) == 1:
            other = threading.Thread(
                target=lambda: managers.users.update({"password_hash": "other"}, {"email": ADA["email"]})
            )
            other.start()
            other.join()
        connection.execute("UPDATE users SET password_hash = 'mine'")

    database.run_transaction(work, isolation="SERIALIZABLE")
    assert len(attempts) == 2
    assert managers.users.find_one().password_hash == "mine"


@pytest.mark.parametrize("backend", ["postgresql"])
def test_threads_have_transactions_of_their_own(database, managers):
    seen = []
    with database.transaction():
        managers.users.insert(ADA)
        other = threading.Thread(target=lambda: seen.append(managers.users.count()))
        other.start()
        other.join()
    assert seen == [0]


def test_a_transaction_object_is_used_once_at_a_time(database):
    transaction = database.transaction()
    with transaction, pytest.raises(InvalidQueryError, match="open already"):
        transaction.__enter__()


def test_closing_inside_a_transaction_is_refused(database):
    with (
        database.transaction(),
        pytest.raises(InvalidQueryError, match="expected no open transaction; got one in this thread"),
    ):
        database.close()


def test_memory_is_one_database_for_all_threads():
    database = Database("sqlite:///:memory:")
    database.raw_execute("CREATE TABLE counts (n INTEGER)")

    def add():
        for _ in range(50):
            database.run_transaction(
                lambda connection: connection.execute("INSERT INTO counts SELECT COUNT(*) FROM counts RETURNING n")
            )

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.raw_query_single("SELECT COUNT(DISTINCT n) AS n FROM counts") == {"n": 200}
    database.close()


# Errors that were swallowed


def test_a_swallowed_error_in_peewees_atomic_aborts_it(database, managers):
    engine = database.engine
    with database.bind():
        with pytest.raises(TransactionAbortedError), engine.atomic():
            User.create(**BOB)
            User.create(**ADA)
            with pytest.raises(peewee.IntegrityError):
                User.create(**ADA)

        @engine.atomic()
        def swallow():
            User.create(**BOB)
            User.create(**ADA)
            with pytest.raises(peewee.IntegrityError):
                User.insert_many([BOB, BOB]).execute()

        with pytest.raises(TransactionAbortedError):
            swallow()
        with engine.atomic():
            User.create(**BOB)
            with pytest.raises(peewee.IntegrityError), engine.savepoint():
                User.create(**BOB)
    assert emails(managers) == ["bob@example.com"]


def test_a_batch_is_nested_by_itself_so_that_one_that_failed_costs_nothing_else(database, managers):
    with database.transaction():
        managers.users.insert(ADA)
        with pytest.raises(UniqueViolationError):
            managers.users.batch_insert([BOB, BOB])
    assert emails(managers) == ["ada@example.com"]


def test_a_swallowed_error_of_a_query_that_changes_nothing_aborts_too(database, managers):
    with pytest.raises(TransactionAbortedError), database.transaction() as connection:
        managers.users.insert(ADA)
        with pytest.raises(InvalidQueryError):
            connection.execute("SELECT * FROM nowhere")
    assert emails(managers) == []


def test_an_error_caught_two_levels_down_costs_only_that_level(database, managers):
    with database.transaction():
        managers.users.insert(ADA)
        with database.transaction():
            managers.users.insert(BOB)
            with pytest.raises(UniqueViolationError), database.transaction():
                managers.users.insert(ADA)
        with pytest.raises(TransactionAbortedError), database.transaction():
            managers.users.insert({**ADA, "email": "cleo@example.com"})
            with pytest.raises(UniqueViolationError), database.transaction():
                managers.users.insert(ADA)
            with pytest.raises(UniqueViolationError):
                managers.users.insert(BOB)
    assert emails(managers) == ["ada@example.com", "bob@example.com"]


def test_what_is_refused_before_the_wire_aborts_nothing(database, managers):
    with database.transaction():
        managers.users.insert(ADA)
        with pytest.raises(InvalidQueryError):
            managers.users.find_all({"no_such_column": 1})
    assert emails(managers) == ["ada@example.com"]


def test_a_constraint_that_fails_at_commit_is_named_and_keeps_nothing(database, managers):
    database.raw_execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
    database.raw_execute(
        "CREATE TABLE children (parent_id INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)"
    )
    ran, calls = [], []

    def work(connection):
        calls.append(1)
        database.on_commit(lambda: ran.append(1))
        connection.execute("INSERT INTO children VALUES (1)")
        managers.users.insert(ADA)

    with pytest.raises(ForeignKeyViolationError):
        database.run_transaction(work)
    assert (len(calls), ran, emails(managers)) == (1, [], [])
    with database.transaction() as connection:
        connection.execute("INSERT INTO children VALUES (1)")
        connection.execute("INSERT INTO parents VALUES (1)")
    assert database.raw_query_all("SELECT parent_id FROM children") == [{"parent_id": 1}]
    with database.transaction() as connection:
        connection.execute("INSERT INTO children VALUES (2)")
        with pytest.raises(ForeignKeyViolationError):
            connection.commit()
        with pytest.raises(TransactionAbortedError):
            managers.users.insert(ADA)
        connection.rollback()
        managers.users.insert(ADA)
    assert emails(managers) == ["ada@example.com"]
    database.raw_execute("DROP TABLE children")


@pytest.mark.parametrize("backend", ["postgresql"])
def test_an_error_under_way_says_more_than_a_connection_that_is_lost(database, database_url, managers):
    def end(connection):
        ((pid,),) = [row.values() for row in connection.execute("SELECT pg_backend_pid()")]
        other = Database(database_url)
        other.raw_query_all("SELECT pg_terminate_backend(@pid, 60000)", {"pid": pid})
        other.close()

    with pytest.raises(ZeroDivisionError), database.transaction():
        managers.users.insert(ADA)
        with database.transaction() as connection:
            end(connection)
            raise ZeroDivisionError
    with pytest.raises(ConnectionLostError), database.transaction() as connection:
        managers.users.insert(ADA)
        with pytest.raises(ZeroDivisionError), database.transaction():
            end(connection)
            raise ZeroDivisionError
    assert emails(managers) == []


def test_a_transaction_in_a_session_that_failed_leaves_the_session_usable(database, managers):
    with database.session():
        with pytest.raises(TransactionAbortedError), database.transaction():
            managers.users.insert(ADA)
            with pytest.raises(UniqueViolationError):
                managers.users.insert(ADA)
        managers.users.insert(BOB)
        with database.transaction():
            managers.users.insert(ADA)
    assert emails(managers) == ["ada@example.com", "bob@example.com"]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("fn", [lambda: 7, lambda first, second: 7, 5, None])
def test_what_takes_no_connection_is_refused(database, fn, nested):
    around = database.transaction() if nested else contextlib.nullcontext()
    with around, pytest.raises(InvalidQueryError, match="a function that takes the transaction's connection; got"):
        database.run_transaction(fn)


def test_a_type_error_inside_the_function_stays_one(database):
    with pytest.raises(TypeError, match="unsupported operand"):
        database.run_transaction(lambda connection: 1 + None)


def test_what_cannot_be_called_is_no_callback(database):
    with pytest.raises(InvalidQueryError, match=r"no argument for on_commit; got 5 \(int\)"):
        database.on_commit(5)
    with database.transaction(), pytest.raises(InvalidQueryError, match="on_commit"):
        database.on_commit(None)


# Blocks and threads that do not fit together


def in_another_thread(work):
    with ThreadPoolExecutor(1) as another:
        return another.submit(work).result()


def test_a_transaction_left_in_another_thread_fails_and_keeps_nothing(database, managers):
    transaction = database.transaction()
    transaction.__enter__()
    managers.users.insert(ADA)

    def leave():
        with database.session():
            with pytest.raises(InvalidQueryError, match="a transaction to end in the thread in which it began"):
                transaction.__exit__(None, None, None)
            return database.ping()

    assert in_another_thread(leave)
    with pytest.raises(TransactionAbortedError, match="in the thread in which it began"):
        managers.users.count()
    assert managers.users.count() == 0
    with database.transaction():
        managers.users.insert(BOB)
    assert emails(managers) == ["bob@example.com"]


def test_the_error_that_leaves_it_there_stays_the_error(database, managers):
    transaction = database.transaction()
    transaction.__enter__()
    assert in_another_thread(lambda: transaction.__exit__(KeyError, KeyError("x"), None)) is False
    with pytest.raises(TransactionAbortedError), database.transaction():
        managers.users.insert(ADA)
    assert emails(managers) == []


def in_a_context_of_its_own(work):
    """As a web framework or an event loop runs one request or task after another in a thread."""
    return contextvars.copy_context().run(work)


def test_other_work_in_the_thread_is_kept_out_of_a_transaction_that_is_kept_open(database, managers):
    transaction = database.transaction()
    in_a_context_of_its_own(transaction.__enter__)
    refused = (
        lambda: managers.users.insert(ADA),
        lambda: managers.users.count(),
        lambda: database.raw_execute("DELETE FROM users"),
        lambda: database.on_commit(lambda: None),
        lambda: database.transaction().__enter__(),
        lambda: database.run_transaction(lambda _: None),
    )
    for call in refused:
        with pytest.raises(InvalidQueryError, match="expected no transaction of other work in this thread"):
            in_a_context_of_its_own(call)
    in_a_context_of_its_own(lambda: transaction.__exit__(None, None, None))
    managers.users.insert(ADA)
    assert emails(managers) == ["ada@example.com"]


def test_one_that_was_left_in_another_thread_disturbs_no_other_work(database, managers):
    transaction = database.transaction()

    def begin():
        transaction.__enter__()
        managers.users.insert(ADA)

    in_a_context_of_its_own(begin)
    with pytest.raises(InvalidQueryError, match="a transaction to end in the thread in which it began"):
        in_another_thread(lambda: transaction.__exit__(None, None, None))
    managers.users.insert(BOB)
    assert emails(managers) == ["bob@example.com"]
    with database.transaction():
        managers.users.insert(ADA)
    assert emails(managers) == ["ada@example.com", "bob@example.com"]


def test_a_transaction_of_a_generator_that_another_thread_gives_up_is_rolled_back(database, managers):
    def dependency():
        with database.transaction():
            managers.users.insert(ADA)
            yield

    generators = [dependency()]
    in_a_context_of_its_own(lambda: next(generators[0]))
    in_another_thread(generators.clear)
    managers.users.insert(BOB)
    assert emails(managers) == ["bob@example.com"]


@pytest.mark.filterwarnings("ignore:expected a thread without an event loop:RuntimeWarning")
def test_tasks_of_one_thread_do_not_join_each_others_transactions(database, managers):
    async def keeps_one_open():
        with database.transaction():
            managers.users.insert(ADA)
            await asyncio.sleep(0.01)
            managers.users.insert(BOB)

    async def another():
        with pytest.raises(InvalidQueryError, match="none open across a yield or an await"):
            managers.users.insert(BOB)

    async def both():
        await asyncio.gather(keeps_one_open(), another())

    asyncio.run(both())
    assert emails(managers) == ["ada@example.com", "bob@example.com"]


def test_transactions_of_two_databases_may_end_in_any_order(database, managers):
    other = Database("sqlite:///:memory:")
    before = transactions_of_this_work.get()
    first, second = database.transaction(), other.transaction()
    first.__enter__()
    second.__enter__()
    managers.users.insert(ADA)
    other.ping()
    first.__exit__(None, None, None)
    other.ping()
    second.__exit__(None, None, None)
    assert emails(managers) == ["ada@example.com"]
    assert set(transactions_of_this_work.get()) <= set(before)
    other.close()


def test_a_session_left_in_another_thread_leaves_that_threads_session_alone(database, backend):
    session = database.session()
    session.__enter__()

    def leave():
        with database.session():
            with pytest.raises(InvalidQueryError, match="expected a session to end in the thread in which it began"):
                session.__exit__(None, None, None)
            return database.engine.is_closed()

    assert in_another_thread(leave) is False
    assert database.ping()
    database.engine.close()


def test_closing_while_another_thread_has_a_transaction_is_refused(database, managers):
    begun, done = threading.Event(), threading.Event()

    def work():
        with database.transaction():
            managers.users.insert(ADA)
            begun.set()
            assert done.wait(10)
            managers.users.insert(BOB)

    with ThreadPoolExecutor(1) as another:
        working = another.submit(work)
        assert begun.wait(10)
        for close in (database.close, lambda: database.initialize("sqlite:///:memory:")):
            with pytest.raises(InvalidQueryError, match="expected no open transaction; got one in another thread"):
                close()
        done.set()
        working.result()
    assert emails(managers) == ["ada@example.com", "bob@example.com"]


def test_a_transaction_of_a_thread_that_has_ended_keeps_nobody_from_closing(database):
    thread = threading.Thread(target=lambda: database.transaction().__enter__())
    thread.start()
    thread.join()
    database.close()


def test_a_database_that_is_closed_begins_no_transaction(database, managers):
    before = database.transaction()
    database.close()
    with pytest.raises(ConnectionLostError, match="got one that another thread has closed"), before:
        managers.users.insert(ADA)
