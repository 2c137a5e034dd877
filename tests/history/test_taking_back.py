"""What is taken back is as it was before, or nothing is."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cloudpub_models import Database, Function, Managers, User, errors
from tests.history.test_past import change_something, rows_of, today


def last_transaction(managers: Managers) -> int:
    rows = managers.users.database.raw_query_all("SELECT transaction_id FROM changes ORDER BY id DESC LIMIT 1")
    return int(rows[0]["transaction_id"])


@pytest.fixture
def ada(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@example.com", "password_hash": "hash"})


@pytest.fixture
def resize(managers: Managers, ada: User) -> Function:
    return managers.functions.insert({"user_id": ada.id, "name": "resize"})


@pytest.mark.parametrize("seed", range(20))
def test_a_random_transaction_is_undone_exactly(managers: Managers, seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(8):
        change_something(managers, choose)
    before, transaction = rows_of(today(managers)), last_transaction(managers)
    with managers.users.database.transaction():
        for _ in range(choose.randrange(1, 5)):
            change_something(managers, choose)
    assert last_transaction(managers) > transaction
    managers.users.database.undo(last_transaction(managers))
    assert rows_of(today(managers)) == before


def test_what_was_changed_since_is_a_conflict_and_nothing_is_undone(managers: Managers, resize: Function) -> None:
    database = managers.users.database
    with database.transaction():
        managers.functions.update_by_id(resize.id, {"name": "crop"})
        managers.users.update_by_id(resize.user_id, {"email": "b@example.com"})
    transaction = last_transaction(managers)
    managers.functions.update_by_id(resize.id, {"status": "inactive"})
    managers.functions.update_by_id(resize.id, {"name": "scale"})
    with pytest.raises(errors.HistoryConflictError, match=rf"got functions {resize.id} \(name, transaction \d+\)"):
        database.undo(transaction)
    assert managers.users.get_by_id(resize.user_id).email == "b@example.com"
    assert database.undo(transaction, force=True).counts == {"functions": 1, "users": 1}
    found = managers.functions.get_by_id(resize.id)
    assert (found.name, found.status) == ("resize", "inactive")


def test_another_column_that_was_changed_since_is_none(managers: Managers, resize: Function) -> None:
    managers.functions.update_by_id(resize.id, {"name": "crop"})
    transaction = last_transaction(managers)
    managers.functions.update_by_id(resize.id, {"status": "inactive"})
    managers.users.database.undo(transaction)
    found = managers.functions.get_by_id(resize.id)
    assert (found.name, found.status) == ("resize", "inactive")


def test_a_row_to_which_others_refer_by_now_is_not_deleted_again(managers: Managers, ada: User) -> None:
    transaction = last_transaction(managers)
    managers.functions.insert({"user_id": ada.id, "name": "resize"})
    with pytest.raises(errors.HistoryConflictError, match="to which rows of functions have come to refer"):
        managers.users.database.undo(transaction)
    assert managers.functions.count() == 1
    managers.users.database.undo(transaction, force=True)
    assert managers.users.count() == 0


def insert_many(managers: Managers, ada: User, count: int) -> None:
    managers.functions.batch_insert({"user_id": ada.id, "name": f"f{number}"} for number in range(count))


def insert_in_one_transaction(managers: Managers, ada: User, count: int) -> None:
    """Insert functions and a deployment of each."""
    with managers.users.database.transaction():
        insert_many(managers, ada, count)
        managers.function_deployments.batch_insert(
            {"function_id": function.id, "version": 1, "image_tag": "image", "s3_key": "key"}
            for function in managers.functions.find_all()
        )


def update_all(managers: Managers, ada: User) -> None:
    managers.functions.update({"status": "inactive"}, {"user_id": ada.id})


def update_each(managers: Managers, ada: User) -> None:
    """Give each function a name, a status and a document of its own, and some of them twice."""
    with managers.users.database.transaction():
        for number, function in enumerate(managers.functions.find_all(order_by="id")):
            managers.functions.update_by_id(function.id, {"name": f"g{number}", "analysis_result": {"n": number}})
            managers.functions.update_by_id(function.id, {"status": "inactive" if number % 2 else "failed"})
            deployment = managers.function_deployments.find_one({"function_id": function.id})
            assert deployment is not None
            managers.function_deployments.update_by_id(deployment.id, {"image_tag": f"image:{number}"})
        managers.functions.update({"name": "other"}, {"name": "g1"})


def delete_all(managers: Managers, ada: User) -> None:
    with managers.users.database.transaction():
        for deployment in managers.function_deployments.find_all({"function.name": ["f0", "f2"]}):
            managers.function_deployments.activate(deployment)
        managers.functions.delete({"user_id": ada.id})


@pytest.mark.parametrize("change", [None, update_all, update_each, delete_all])
def test_many_rows_are_taken_back_by_few_statements(
    managers: Managers, ada: User, statements: Any, change: Callable[[Managers, User], None] | None
) -> None:
    sent = []
    for count in (3, 40):
        insert_in_one_transaction(managers, ada, count)
        before = rows_of(today(managers))
        if change is not None:
            change(managers, ada)
        statements.clear()
        counts = managers.users.database.undo(last_transaction(managers)).counts
        sent.append(len(statements))
        if change is None:
            assert counts == {"functions": count, "function_deployments": count}
        else:
            assert rows_of(today(managers)) == before
            assert counts["functions"] >= count
        managers.functions.delete({"user_id": ada.id})
    assert sent[0] == sent[1]


def test_unique_values_that_rows_have_passed_on_come_back(managers: Managers, ada: User) -> None:
    database = managers.users.database
    insert_many(managers, ada, 3)
    before = rows_of(today(managers))
    ids = managers.functions.values("id", order_by="id")
    with database.transaction():
        for id, name in zip([*ids, ids[0]], ("kept for it", "f0", "f1", "f2"), strict=True):
            managers.functions.update_by_id(id, {"name": name, "status": f"{name} it is"})
    assert database.undo(last_transaction(managers)).counts == {"functions": 4}
    assert rows_of(today(managers)) == before


def test_where_one_value_cannot_come_back_none_does(managers: Managers, ada: User) -> None:
    database = managers.users.database
    insert_many(managers, ada, 3)
    with database.transaction():
        for function in managers.functions.find_all(order_by="id"):
            managers.functions.update_by_id(function.id, {"name": f"other {function.name}"})
    transaction = last_transaction(managers)
    managers.functions.insert({"user_id": ada.id, "name": "f1"})
    before = rows_of(today(managers))
    with pytest.raises(errors.UniqueViolationError):
        database.undo(transaction)
    assert rows_of(today(managers)) == before


def test_a_row_that_came_back_with_many_takes_few_statements(managers: Managers, ada: User, statements: Any) -> None:
    sent = []
    for count in (2, 40):
        insert_in_one_transaction(managers, ada, count)
        managers.users.delete_by_id(ada.id)
        statements.clear()
        assert managers.users.undelete(ada.id).counts["function_deployments"] == count
        sent.append(len(statements))
        managers.functions.delete({"user_id": ada.id})
    assert sent[0] == sent[1]


def test_each_row_that_was_changed_since_is_named(managers: Managers, ada: User) -> None:
    insert_many(managers, ada, 4)
    first, second, third, fourth = managers.functions.find_all(order_by="id")
    update_all(managers, ada)
    transaction = last_transaction(managers)
    managers.functions.update_by_id(second.id, {"status": "failed"})
    one = last_transaction(managers)
    managers.functions.delete_by_id(third.id)
    two = last_transaction(managers)
    managers.functions.update_by_id(fourth.id, {"name": "other"})
    with pytest.raises(errors.HistoryConflictError) as raised:
        managers.users.database.undo(transaction)
    assert str(raised.value) == (
        f"expected rows that nobody has changed since; got functions {third.id} (deleted, transaction {two}); "
        f"functions {second.id} (status, transaction {one}): undo that first, or say force=True"
    )
    assert managers.functions.get_by_id(first.id).status == "inactive"


def test_documents_that_python_takes_for_equal_come_back_as_they_were(managers: Managers, ada: User) -> None:
    insert_many(managers, ada, 3)
    before = [{"ready": True}, {"ready": 1}, {"ready": 1.0}]
    for number, document in enumerate(before):
        managers.functions.update({"analysis_result": document}, {"name": f"f{number}"})
    managers.functions.update({"analysis_result": {}}, {"user_id": ada.id})
    managers.users.database.undo(last_transaction(managers))
    found = [function.analysis_result for function in managers.functions.find_all(order_by="id")]
    assert list(map(repr, found)) == list(map(repr, before))


def test_undoing_is_recorded_and_can_be_undone(managers: Managers, resize: Function) -> None:
    managers.functions.delete_by_id(resize.id)
    managers.users.database.undo(last_transaction(managers))
    assert managers.functions.find_all() == [resize]
    managers.users.database.undo(last_transaction(managers))
    assert managers.functions.find_all() == []


def test_a_secret_cannot_be_put_back(managers: Managers, ada: User) -> None:
    managers.users.update_by_id(ada.id, {"password_hash": "other", "email": "b@example.com"})
    undone = managers.users.database.undo(last_transaction(managers))
    assert undone.left_out == ("users.password_hash",)
    found = managers.users.get_by_id(ada.id)
    assert (found.email, found.password_hash) == ("ada@example.com", "other")


@pytest.mark.parametrize("transaction", [10**9, 0])
def test_a_transaction_that_the_log_does_not_know(managers: Managers, transaction: int) -> None:
    with pytest.raises(errors.HistoryError, match=f"expected a transaction that the log knows; got {transaction}:"):
        managers.users.database.undo(transaction)


def test_a_key_that_was_changed_is_not_given_back(managers: Managers, database: Database) -> None:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    with database.transaction():
        managers.functions.update_by_id(resize.id, {"status": "inactive"})
        database.raw_execute("UPDATE functions SET id = 999 WHERE id = @id", {"id": resize.id})
    transaction = managers.functions.history(resize.id)[0].transaction_id
    for force in (False, True):
        with pytest.raises(
            errors.HistoryError, match="kept their primary key; got one of functions 1, which has another"
        ):
            database.undo(transaction, force=force)
    assert managers.functions.get_by_id(999).status == "inactive"


def test_switching_on_cannot_be_undone(managers: Managers) -> None:
    with pytest.raises(errors.HistoryError, match="emptied a whole table or switched recording on or off"):
        managers.users.database.undo(last_transaction(managers))


def test_a_database_that_keeps_no_log(managers: Managers) -> None:
    managers.users.database.history.disable()
    with pytest.raises(errors.HistoryError, match="expected a database that records changes"):
        managers.users.database.undo(1)


def test_a_deleted_user_comes_back_with_three_levels(managers: Managers, ada: User, resize: Function) -> None:
    early = managers.function_deployments.deploy(resize, "image:1", "key/1")
    active = managers.function_deployments.deploy(resize, "image:2", "key/2")
    managers.function_deployments.activate(active)
    managers.function_deployments.delete_by_id(early.id)
    managers.functions.insert({"user_id": ada.id, "name": "crop"})
    before, changed = rows_of(today(managers)), managers.functions.get_by_id(resize.id).updated_at
    managers.users.delete_by_id(ada.id)
    back = managers.users.undelete(ada.id)
    assert back.row == ada
    assert back.row.password_hash == "!deleted"
    assert back.counts == {"users": 1, "functions": 2, "function_deployments": 1}
    assert back.left_out == ("users.password_hash",)
    assert rows_of(today(managers)) == before
    assert managers.functions.get_by_id(resize.id).updated_at == changed


def test_ids_that_came_back_are_not_given_again(managers: Managers, ada: User) -> None:
    managers.users.delete_by_id(ada.id)
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    managers.users.undelete(ada.id)
    third = managers.users.insert({"email": "third@example.com", "password_hash": "…"})
    assert ada.id < grace.id < third.id


def test_a_reference_that_was_set_to_null_is_set_again(managers: Managers, resize: Function) -> None:
    active = managers.function_deployments.deploy(resize, "image", "key")
    managers.function_deployments.activate(active)
    managers.function_deployments.delete_by_id(active.id)
    assert managers.functions.get_by_id(resize.id).active_deployment_id is None
    back = managers.function_deployments.undelete(active.id)
    assert back.counts == {"function_deployments": 1, "functions": 1}
    assert managers.functions.get_by_id(resize.id).active_deployment_id == active.id


def test_by_its_uuid_and_with_changes(managers: Managers, ada: User, resize: Function) -> None:
    managers.functions.delete_by_id(resize.id)
    managers.functions.insert({"user_id": ada.id, "name": "resize"})
    with pytest.raises(errors.UniqueViolationError):
        managers.functions.undelete(resize.uuid)
    back = managers.functions.undelete(str(resize.uuid), {"name": "resize-2", "analysis_result": {"again": True}})
    assert (back.row.id, back.row.name, back.row.analysis_result) == (resize.id, "resize-2", {"again": True})


def test_what_cannot_be_undeleted(managers: Managers, ada: User) -> None:
    database = managers.users.database
    with pytest.raises(errors.NotFoundError, match="got 1, which is there"):
        managers.users.undelete(ada.id)
    with pytest.raises(errors.NotFoundError, match="got 99, which is not in the log"):
        managers.users.undelete(99)
    with pytest.raises(errors.NotFoundError, match="with which none is in the log"):
        managers.users.undelete(ada.uuid)
    with pytest.raises(errors.UnknownColumnError):
        managers.users.undelete(ada.id, {"emial": "x"})
    managers.users.delete_by_id(ada.id)
    managers.users.undelete(ada.id)
    with pytest.raises(errors.NotFoundError, match="which is there"):
        managers.users.undelete(ada.id)
    managers.users.delete_by_id(ada.id)
    database.history.forget("users", ada.id)
    with pytest.raises(errors.HistoryError, match="which was forgotten"):
        managers.users.undelete(ada.id)
    database.history.prune(timedelta(0))
    with pytest.raises(errors.NotFoundError, match="is not in the log"):
        managers.users.undelete(ada.id)


def test_a_column_that_is_gone_is_left_out_and_one_that_came_takes_its_default(managers: Managers, ada: User) -> None:
    database = managers.users.database
    database.raw_execute("ALTER TABLE users ADD COLUMN nickname VARCHAR(50)")
    database.history.keep_current()
    database.raw_execute("UPDATE users SET nickname = 'countess'")
    managers.users.delete_by_id(ada.id)
    for trigger in ("insert", "update", "delete"):
        if database.dialect == "sqlite":
            database.raw_execute(f"DROP TRIGGER users_record_{trigger}")
    database.raw_execute("ALTER TABLE users DROP COLUMN nickname")
    database.raw_execute("ALTER TABLE users ADD COLUMN rank INTEGER NOT NULL DEFAULT 7")
    database.history.keep_current()
    back = managers.users.undelete(ada.id)
    assert back.left_out == ("users.nickname", "users.password_hash")
    assert database.raw_query_all("SELECT rank FROM users") == [{"rank": 7}]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_change_that_is_not_committed_yet_is_waited_for(managers: Managers, resize: Function) -> None:
    database = managers.users.database
    managers.functions.update_by_id(resize.id, {"name": "crop"})
    transaction = last_transaction(managers)
    outcomes: list[object] = []

    def undo() -> None:
        try:
            outcomes.append(database.undo(transaction))
        except errors.CloudpubError as error:
            outcomes.append(error)
        finally:
            database.engine.close()

    other = threading.Thread(target=undo)
    with database.transaction():
        managers.functions.update_by_id(resize.id, {"name": "scale"})
        other.start()
        waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = @name"
        name = database.raw_query_all("SELECT current_database() AS name")[0]["name"]
        deadline = time.monotonic() + 30
        while database.raw_query_all(waiting, {"name": name}) == [{"n": 0}] and time.monotonic() < deadline:
            time.sleep(0.01)
            # A transaction sees what it has seen of the activity before.
            database.raw_query_all("SELECT pg_stat_clear_snapshot()")
    other.join()
    assert isinstance(outcomes[0], errors.HistoryConflictError), outcomes
    assert managers.functions.get_by_id(resize.id).name == "scale"
