"""Peewee's ways to transactions on our engines: what is kept, and that nothing passes for a commit that was none."""

from __future__ import annotations

import threading

import peewee
import pytest

from cloudpub_models import Database, User, errors

BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN"}


def row(name):
    return {"email": f"{name}@example.com", "password_hash": "x"}


def create(name):
    return User.create(**row(name))


@pytest.fixture(autouse=True)
def bound(database):
    with database.bind() as engine:
        yield engine
        # Nothing of a test stays open.
        assert engine.transaction_depth() == 0
        assert not engine.in_transaction()
        assert engine.levels() == []


@pytest.fixture
def controls(database):
    """What begins and ends transactions, as it is sent."""
    sent = []
    words = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
    stop = database.on_query(lambda query: sent.append(query.sql) if query.sql.split()[0] in words else None)
    yield sent
    stop()


def names(managers):
    return [user.email.split("@")[0] for user in managers.users.find_all(order_by="id")]


# commit() and rollback() of an open block


def test_a_block_commits_and_rolls_back_what_was_done_so_far(bound, managers, controls, backend):
    with bound.atomic() as transaction:
        create("kept")
        transaction.commit()
        create("undone")
        transaction.rollback()
        assert bound.in_transaction()
        create("at the end")
    assert names(managers) == ["kept", "at the end"]
    begin = BEGIN[backend]
    assert controls == [begin, "COMMIT", begin, "ROLLBACK", begin, "COMMIT"]


def test_an_error_keeps_what_was_committed_before(bound, managers):
    with pytest.raises(ZeroDivisionError), bound.atomic() as transaction:
        create("kept")
        transaction.commit()
        create("undone")
        raise ZeroDivisionError
    assert names(managers) == ["kept"]


def test_a_savepoint_commits_and_rolls_back_for_itself(bound, managers, controls, backend):
    with bound.atomic(), bound.atomic() as savepoint:
        create("a")
        savepoint.commit()
        create("b")
        savepoint.rollback()
        create("c")
    assert names(managers) == ["a", "c"]
    name = "cloudpub_1"
    assert controls == [
        *(BEGIN[backend], f"SAVEPOINT {name}", f"RELEASE SAVEPOINT {name}", f"SAVEPOINT {name}"),
        *(f"ROLLBACK TO SAVEPOINT {name}", f"RELEASE SAVEPOINT {name}", "COMMIT"),
    ]


def test_rollback_undoes_a_caught_error_too(bound, managers):
    create("there")
    with bound.atomic() as transaction:
        with pytest.raises(peewee.IntegrityError):
            create("there")
        transaction.rollback()
        create("report")
        with bound.atomic() as savepoint:
            with pytest.raises(peewee.IntegrityError):
                create("there")
            savepoint.rollback()
            create("inner")
    assert names(managers) == ["there", "report", "inner"]


def test_commit_after_a_caught_error_says_that_nothing_is_kept(bound, managers):
    create("there")
    with pytest.raises(errors.TransactionAbortedError), bound.atomic() as transaction:
        create("lost")
        with pytest.raises(peewee.IntegrityError):
            create("there")
        with pytest.raises(errors.TransactionAbortedError, match="UniqueViolationError"):
            transaction.commit()
    assert names(managers) == ["there"]


def test_our_transaction_has_both_too(database, managers):
    with database.transaction() as transaction:
        managers.users.insert(row("kept"))
        transaction.commit()
        managers.users.insert(row("undone"))
        transaction.rollback()
        assert transaction.execute("SELECT COUNT(*) AS n FROM users") == [{"n": 1}]
    assert names(managers) == ["kept"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_what_follows_has_the_isolation_of_the_block(database, controls):
    with database.transaction(isolation="SERIALIZABLE", read_only=True) as transaction:
        transaction.commit()
        transaction.rollback()
        assert transaction.execute("SHOW transaction_isolation") == [{"transaction_isolation": "serializable"}]
        assert transaction.execute("SHOW transaction_read_only") == [{"transaction_read_only": "on"}]
    assert controls.count("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY") == 3


def test_what_follows_is_still_read_only(database):
    with pytest.raises(errors.InvalidQueryError), database.transaction(read_only=True) as transaction:
        transaction.commit()
        create("refused")


def test_callbacks_wait_for_the_commit_that_keeps_their_work(database, bound):
    told = []
    with bound.atomic() as transaction:
        database.on_commit(lambda: told.append("first"))
        with bound.atomic() as savepoint:
            database.on_commit(lambda: told.append("second"))
            savepoint.commit()
            database.on_commit(lambda: told.append("undone"))
            savepoint.rollback()
        assert told == []
        # Nothing is open for a callback, which may begin a transaction of its own.
        database.on_commit(lambda: told.append(bound.in_transaction()))
        transaction.commit()
        assert told == ["first", "second", False]
        database.on_commit(lambda: told.append("undone"))
        transaction.rollback()
        database.on_commit(lambda: told.append("last"))
    assert told == ["first", "second", False, "last"]


def test_ending_what_is_not_innermost_is_refused(bound, managers):
    with bound.atomic() as outer:
        create("a")
        with bound.atomic() as inner:
            for end in (outer.commit, outer.rollback):
                with pytest.raises(errors.InvalidQueryError, match="innermost transaction; got one with another one"):
                    end()
            create("b")
        with pytest.raises(errors.InvalidQueryError, match="is over, or another thread's"):
            inner.rollback()
    assert names(managers) == ["a", "b"]
    with pytest.raises(errors.InvalidQueryError, match="is over, or another thread's"):
        outer.commit()


def test_another_thread_ends_nothing(bound, managers):
    failures = []

    def end():
        try:
            transaction.commit()
        except errors.InvalidQueryError as error:
            failures.append(error)

    with bound.atomic() as transaction:
        thread = threading.Thread(target=end)
        thread.start()
        thread.join()
        create("a")
    assert len(failures) == 1
    assert names(managers) == ["a"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_commit_on_a_lost_connection_keeps_nothing(database, bound, managers):
    with pytest.raises(errors.ConnectionLostError), bound.atomic() as transaction:
        create("lost")
        bound.connection().close()
        with pytest.raises(errors.ConnectionLostError):
            transaction.commit()
        with pytest.raises(errors.ConnectionLostError):
            transaction.rollback()
    assert names(managers) == []


# A caught error of the only statement


@pytest.mark.parametrize("kind", ["atomic", "transaction", "savepoint"])
def test_a_block_in_which_all_that_was_sent_has_failed_ends_in_silence(bound, managers, controls, backend, kind):
    create("there")
    controls.clear()
    with getattr(bound, kind)(), pytest.raises(peewee.IntegrityError):
        create("there")
    assert controls == [BEGIN[backend], "ROLLBACK"]
    with bound.atomic():
        create("outside")
        with bound.atomic(), pytest.raises(peewee.IntegrityError):
            create("there")
        create("after")
    assert names(managers) == ["there", "outside", "after"]


def before(bound, managers):
    create("lost")


def read_before(bound, managers):
    User.get_or_none()


def managers_before(bound, managers):
    managers.users.count()


def savepoint_before(bound, managers):
    with bound.atomic():
        create("lost")


def callback_before(bound, managers):
    bound.after_commit(lambda: pytest.fail("nothing was committed"))


@pytest.mark.parametrize("something", [before, read_before, managers_before, savepoint_before, callback_before])
@pytest.mark.parametrize("kind", ["atomic", "transaction", "savepoint"])
def test_a_block_that_did_anything_before_its_error_says_so(bound, managers, kind, something):
    create("there")
    with pytest.raises(errors.TransactionAbortedError, match="UniqueViolationError"), getattr(bound, kind)():
        something(bound, managers)
        with pytest.raises(peewee.IntegrityError):
            create("there")
    assert names(managers) == ["there"]


def test_a_block_in_which_something_was_refused_after_its_error_says_so(bound, managers):
    create("there")
    with pytest.raises(errors.TransactionAbortedError), bound.atomic():
        for name in ("there", "other"):
            with pytest.raises((errors.UniqueViolationError, errors.TransactionAbortedError)):
                create(name)
    assert names(managers) == ["there"]


def test_a_block_that_goes_on_after_an_error_begins_anew(bound, managers):
    create("there")
    for kind in (bound.atomic, bound.savepoint):
        with bound.atomic():
            with kind() as transaction:
                create("undone")
                transaction.rollback()
                with pytest.raises(peewee.IntegrityError):
                    create("there")
            with pytest.raises(errors.TransactionAbortedError), kind() as transaction:
                with pytest.raises(peewee.IntegrityError):
                    create("there")
                transaction.rollback()
                with pytest.raises(peewee.IntegrityError):
                    managers.users.insert(row("there"))
    assert names(managers) == ["there"]


def test_an_error_that_was_all_says_so_where_silence_would_be_an_answer(database, bound, managers):
    create("there")
    with pytest.raises(errors.TransactionAbortedError), database.transaction(), pytest.raises(peewee.IntegrityError):
        create("there")
    with pytest.raises(errors.TransactionAbortedError), bound.atomic(), pytest.raises(peewee.IntegrityError):
        managers.users.insert(row("there"))
    bound.session_start()
    with pytest.raises(peewee.IntegrityError):
        create("there")
    with pytest.raises(errors.TransactionAbortedError):
        bound.session_commit()
    with pytest.raises(errors.TransactionAbortedError), bound.atomic() as transaction:
        with pytest.raises(peewee.IntegrityError):
            create("there")
        transaction.commit()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_lost_connection_is_never_silent(database, bound):
    with pytest.raises(errors.ConnectionLostError), bound.atomic(), pytest.raises(errors.ConnectionLostError):
        bound.execute_sql("SELECT pg_terminate_backend(pg_backend_pid())")


# transaction() and savepoint()


def test_transaction_inside_one_is_a_part_of_it(bound, managers, controls, backend):
    with bound.transaction():
        create("outer")
        with pytest.raises(ZeroDivisionError), bound.transaction():
            assert bound.transaction_depth() == 2
            create("inner")
            raise ZeroDivisionError
    # As Peewee has it: the outermost one decides.
    assert names(managers) == ["outer", "inner"]
    assert controls == [BEGIN[backend], "COMMIT"]


def test_the_inner_one_commits_and_rolls_back_the_whole(bound, managers):
    with bound.transaction():
        create("a")
        with bound.transaction() as inner:
            create("b")
            inner.rollback()
        create("c")
        with bound.transaction() as inner:
            inner.commit()
        with pytest.raises(ZeroDivisionError), bound.transaction():
            raise ZeroDivisionError
    assert names(managers) == ["c"]


def test_an_error_caught_around_the_inner_one_aborts_the_whole(bound, managers):
    create("there")
    with pytest.raises(errors.TransactionAbortedError), bound.transaction():
        create("lost")
        with pytest.raises(peewee.IntegrityError), bound.transaction():
            create("there")
    assert names(managers) == ["there"]


def test_savepoint_undoes_its_own(bound, managers):
    with bound.transaction():
        create("a")
        with pytest.raises(ZeroDivisionError), bound.savepoint():
            create("b")
            raise ZeroDivisionError
        with bound.savepoint() as savepoint:
            create("c")
            savepoint.rollback()
            create("d")
    assert names(managers) == ["a", "d"]


def test_all_are_decorators(bound, managers):
    for number, around in enumerate((bound.atomic(), bound.transaction(), bound.savepoint())):

        @around
        def work(name):
            create(name)
            assert bound.in_transaction()
            if name.startswith("undone"):
                raise ZeroDivisionError

        work(f"kept {number}")
        with pytest.raises(ZeroDivisionError):
            work(f"undone {number}")
    assert names(managers) == ["kept 0", "kept 1", "kept 2"]


def test_ours_and_peewees_inside_each_other(database, bound, managers):
    with database.transaction():
        create("a")
        with bound.atomic() as savepoint:
            managers.users.insert(row("b"))
            savepoint.rollback()
        with bound.transaction(), pytest.raises(ZeroDivisionError), database.transaction():
            create("c")
            raise ZeroDivisionError
    with bound.atomic():
        managers.users.insert(row("d"))
        with pytest.raises(errors.UniqueViolationError), database.transaction():
            managers.users.insert(row("d"))
    assert names(managers) == ["a", "d"]


# session_start(), session_commit(), session_rollback()


def test_a_session_is_kept_or_undone_by_a_call(bound, managers):
    assert bound.session_commit() is False
    assert bound.session_rollback() is False
    for end, name in ((bound.session_commit, "kept"), (bound.session_rollback, "undone")):
        session = bound.session_start()
        assert bound.in_transaction()
        assert bound.top_transaction() is session
        create(name)
        with pytest.raises(peewee.OperationalError, match="transaction is open"):
            bound.close()
        assert end() is True
        assert not bound.in_transaction()
    assert names(managers) == ["kept"]


def test_sessions_nest_as_in_peewee(bound, managers):
    first = bound.session_start()
    second = bound.session_start()
    assert bound.transaction_depth() == 2
    assert bound.top_transaction() is second
    create("kept")
    assert bound.session_commit() is True  # all so far
    assert bound.transaction_depth() == 1
    assert bound.top_transaction() is first
    create("undone")
    assert bound.session_rollback() is True
    assert names(managers) == ["kept"]


def test_a_session_in_a_block_and_a_block_in_a_session(bound, managers):
    with bound.atomic():
        bound.session_start()
        create("a")
        assert bound.session_commit() is True
        create("b")
        # Without a session of its own it is the block's.
        assert bound.session_rollback() is True
        create("c")
        bound.session_start()
    bound.session_start()
    with bound.atomic(), pytest.raises(errors.InvalidQueryError, match="inside one: let the block end first"):
        bound.session_commit()
    bound.session_rollback()
    assert names(managers) == ["a", "c"]


def test_a_session_with_a_caught_error_keeps_nothing_and_says_so(bound, managers):
    create("there")
    bound.session_start()
    create("lost")
    with pytest.raises(peewee.IntegrityError):
        create("there")
    with pytest.raises(errors.TransactionAbortedError):
        bound.session_commit()
    assert not bound.in_transaction()
    assert names(managers) == ["there"]


def test_managers_take_part_in_a_session(bound, managers):
    bound.session_start()
    managers.users.batch_insert([row("a"), row("b")])
    with pytest.raises(errors.UniqueViolationError):
        managers.users.batch_insert([row("c"), row("c")])
    bound.session_commit()
    assert names(managers) == ["a", "b"]


# manual_commit()


def test_manual_commit_leaves_it_to_the_calls(bound, managers, controls, backend):
    with bound.manual_commit():
        bound.begin()
        create("undone")
        bound.rollback()
        create("by itself")
        bound.begin()
        create("kept")
        bound.commit()
        with bound.manual_commit():
            bound.begin()
            create("inner")
            bound.commit()
    assert names(managers) == ["by itself", "kept", "inner"]
    begin = BEGIN[backend]
    assert controls == [begin, "ROLLBACK", begin, "COMMIT", begin, "COMMIT"]


def test_a_manager_in_manual_commit_never_commits_what_the_caller_began(database, bound, managers):
    with bound.manual_commit():
        bound.begin()
        create("undone")
        managers.users.batch_insert([row("a"), row("b")])
        with database.transaction():
            managers.users.insert(row("c"))
        database.batch_execute(["UPDATE users SET password_hash = 'y'"])
        assert managers.users.count() == 4
        bound.rollback()
        assert managers.users.count() == 0
        # Without begin() each keeps its own.
        managers.users.batch_insert([row("d")])
    assert names(managers) == ["d"]


def test_manual_commit_and_atomic_do_not_mix(bound):
    with bound.manual_commit():
        for around in (bound.atomic(), bound):
            with pytest.raises(ValueError, match="expected atomic.. outside of manual_commit"), around:
                pass
    with (
        bound.atomic(),
        pytest.raises(ValueError, match="expected manual_commit.. outside of a transaction"),
        bound.manual_commit(),
    ):
        pass


def test_manual_commit_as_a_decorator(bound, managers):
    @bound.manual_commit()
    def work(name):
        bound.begin()
        create(name)
        bound.commit()

    work("a")
    assert names(managers) == ["a"]


def test_what_manual_commit_leaves_open_is_undone_and_said(bound, managers):
    with pytest.raises(errors.InvalidQueryError, match="expected manual_commit.. to end with no transaction open"):
        with bound.manual_commit():
            bound.begin()
            create("lost")
    with pytest.raises(ZeroDivisionError), bound.manual_commit():
        bound.begin()
        create("lost")
        raise ZeroDivisionError
    assert names(managers) == []


def test_begin_and_its_end_belong_together(database, bound, managers):
    if not bound.is_closed():
        bound.close()
    for end in (bound.commit, bound.rollback):
        with pytest.raises(peewee.InterfaceError, match="expected an open connection for"):
            end()
    with bound.connection_context():
        with pytest.raises(errors.InvalidQueryError, match="what begin.. began; got no such transaction"):
            bound.commit()
        bound.begin()
        with pytest.raises(errors.InvalidQueryError, match="expected begin.. outside of a transaction"):
            bound.begin()
        with database.transaction(), pytest.raises(errors.InvalidQueryError, match="let the block end first"):
            bound.rollback()
        create("a")
        bound.commit()
        with bound.atomic():
            create("b")
            with pytest.raises(errors.InvalidQueryError, match="a block ends its own"):
                bound.commit()
    assert names(managers) == ["a", "b"]


def test_commit_after_a_caught_error_in_manual_commit(bound, managers):
    create("there")
    with bound.manual_commit():
        bound.begin()
        create("lost")
        with pytest.raises(peewee.IntegrityError):
            create("there")
        with pytest.raises(errors.TransactionAbortedError):
            bound.commit()
        assert not bound.in_transaction()
    assert names(managers) == ["there"]


# Kinds


@pytest.mark.parametrize("backend", ["sqlite"])
def test_locks_have_peewees_names(bound, controls):
    for kind in ("DEFERRED", "immediate", "EXCLUSIVE"):
        with bound.atomic(kind), bound.transaction(lock_type=kind):
            pass
    assert set(controls) == {"BEGIN IMMEDIATE", "COMMIT"}
    with pytest.raises(errors.InvalidQueryError, match="expected a lock of DEFERRED, IMMEDIATE, EXCLUSIVE; got 'SOFT'"):
        bound.atomic("SOFT")


@pytest.mark.parametrize("backend", ["postgresql"])
def test_isolation_has_peewees_names(database_url):
    database = Database(database_url)
    engine = database.engine
    with engine.atomic("SERIALIZABLE"):
        assert engine.execute_sql("SHOW transaction_isolation").fetchone() == ("serializable",)
    engine.set_isolation_level("REPEATABLE READ")
    with engine.atomic():
        assert engine.execute_sql("SHOW transaction_isolation").fetchone() == ("repeatable read",)
    with database.transaction(isolation="READ COMMITTED"):
        assert engine.execute_sql("SHOW transaction_isolation").fetchone() == ("read committed",)
    database.close()


def test_top_transaction_is_what_the_innermost_block_gave(bound, managers):
    assert bound.top_transaction() is None
    with bound.atomic():
        create("undone")
        bound.top_transaction().rollback()
    with bound.manual_commit():
        assert bound.top_transaction() is not None
    with bound.atomic():
        create("kept")
        with bound.atomic():
            create("undone")
            bound.top_transaction().rollback()
    assert names(managers) == ["kept"]


def test_the_database_as_a_block(bound, managers):
    if not bound.is_closed():
        bound.close()
    with bound:
        create("a")
        with pytest.raises(ZeroDivisionError), bound:
            create("b")
            raise ZeroDivisionError
        assert not bound.is_closed()
    assert bound.is_closed()
    assert names(managers) == ["a"]
