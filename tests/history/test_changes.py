"""What the log says of a row: the same on both databases, whoever has written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from cloudpub_models import Database, Function, Managers, User, errors
from cloudpub_models.connection.scopes import Actor
from cloudpub_models.history.changes import Change

SECRETS = ("first-hash", "second-hash", "third-hash")


def told(changes: list[Change]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What happened, the oldest first, without what differs from run to run."""
    volatile = {"created_at", "updated_at", "uuid", "joined_at", "deployed_at"}

    def lasting(values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name not in volatile}

    return [(change.operation, lasting(change.before), lasting(change.after)) for change in reversed(changes)]


def test_a_managers_calls(managers: Managers) -> None:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize", "analysis_result": {"a": [1, None, "é"]}})
    managers.functions.update_by_id(resize.id, {"name": "crop", "analysis_result": None})
    managers.functions.upsert({"user_id": ada.id, "name": "crop", "status": "inactive"}, ["user_id", "name"])
    managers.functions.upsert({"user_id": ada.id, "name": "crop", "status": "inactive"}, ["user_id", "name"])
    managers.functions.delete_by_id(resize.id)
    assert told(managers.functions.history(resize.id)) == [
        ("insert", {}, {}),
        (
            "update",
            {"name": "resize", "analysis_result": {"a": [1, None, "é"]}},
            {"name": "crop", "analysis_result": None},
        ),
        ("update", {"status": "active"}, {"status": "inactive"}),
        (
            "delete",
            {
                "id": resize.id,
                "user_id": ada.id,
                "name": "crop",
                "status": "inactive",
                "active_deployment_id": None,
                "analysis_result": None,
            },
            {},
        ),
    ]


def test_values_come_as_rows_have_them(managers: Managers) -> None:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    managers.functions.delete_by_id(resize.id)
    assert managers.functions.history(resize.id)[0].before == resize.to_dict()


def test_a_batch_and_what_goes_with_a_row(managers: Managers) -> None:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    managers.functions.batch_insert({"user_id": ada.id, "name": f"f{number}"} for number in range(50))
    resize = managers.functions.find_one(order_by="id")
    assert resize is not None
    managers.users.delete_by_id(ada.id)
    deletion = managers.functions.history(resize.id)[0]
    of_transaction = managers.users.database.history.of_transaction(deletion.transaction_id)
    assert [change.operation for change in managers.functions.history(resize.id)] == ["delete", "insert"]
    assert len(of_transaction) == 51
    assert {change.table for change in of_transaction} == {"users", "functions"}


def test_peewees_calls_and_raw_sql(recorded: Database) -> None:
    with recorded.bind():
        ada = User.create(email="ada@example.com", password_hash=SECRETS[0])
        ada.email = "countess@example.com"
        ada.save()
    recorded.raw_execute("UPDATE users SET email = 'lovelace@example.com' WHERE id = @id", {"id": ada.id})
    recorded.raw_execute("UPDATE users SET email = email WHERE id = @id", {"id": ada.id})
    assert told(recorded.history.of_row("users", ada.id)) == [
        ("insert", {}, {}),
        ("update", {"email": "ada@example.com"}, {"email": "countess@example.com"}),
        ("update", {"email": "countess@example.com"}, {"email": "lovelace@example.com"}),
    ]


def foreign_writer(url: str) -> Callable[[str], None]:
    def write(sql: str) -> None:
        if url.startswith("sqlite:///"):
            connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
            connection.execute("PRAGMA foreign_keys = ON")
        else:
            connection = psycopg2.connect(url)
        connection.cursor().execute(sql)
        connection.commit()
        connection.close()

    return write


def test_another_program_writes(backend: str, database_url: str, tmp_path: Path) -> None:
    """It knows nothing of the log, and needs no function of ours."""
    url = f"sqlite:///{tmp_path}/shared.db" if backend == "sqlite" else database_url
    database = Database(url)
    database.migrate()
    database.history.enable()
    write = foreign_writer(url)
    write("INSERT INTO users (email, password_hash) VALUES ('ada@example.com', 'first-hash')")
    write("UPDATE users SET email = 'countess@example.com'")
    write("INSERT INTO functions (user_id, name) SELECT id, 'resize' FROM users")
    write("DELETE FROM users")
    assert [change.operation for change in database.history.of_row("users", 1)] == ["delete", "update", "insert"]
    user, function = database.history.of_row("users", 1)[0], database.history.of_row("functions", 1)[0]
    assert function.operation == "delete"
    assert function.transaction_id == user.transaction_id
    database.close()


def test_however_it_is_written_the_history_is_the_same(backend: str, database_url: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db" if backend == "sqlite" else database_url
    database = Database(url)
    database.migrate()
    database.history.enable()
    managers, write = Managers(database), foreign_writer(url)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    managers.functions.insert({"user_id": ada.id, "name": "resize"})
    with database.bind():
        peewees = Function.create(user=ada.id, name="peewee")
        peewees.status = "inactive"
        peewees.save()
        Function.update(status="retired").where(Function.name == "peewee").execute()
    database.raw_execute("INSERT INTO functions (user_id, name) VALUES (@id, 'raw')", {"id": ada.id})
    write("INSERT INTO functions (user_id, name) VALUES (1, 'foreign'), (1, 'foreign too')")
    write("UPDATE functions SET status = 'building' WHERE name LIKE 'foreign%'")
    managers.functions.batch_insert({"user_id": ada.id, "name": name} for name in ("copied", "copied too"))
    for status in ("active", "active", "inactive"):
        managers.functions.upsert({"user_id": ada.id, "name": "upserted", "status": status}, ["user_id", "name"])
    managers.functions.batch_insert(
        [{"user_id": ada.id, "name": name, "status": "batch"} for name in ("raw", "batched")],
        on_conflict="update",
        conflict_columns=["user_id", "name"],
    )
    with database.transaction():
        managers.functions.claim({"status": "batch"}, {"status": "claimed"}, limit=5, order_by="id")
        with pytest.raises(errors.UniqueViolationError), database.transaction():
            managers.functions.update({"name": "raw"}, {"name": "batched"})
    managers.users.delete_by_id(ada.id)
    names = {change.before["id"]: change.before["name"] for change in _all_changes(database, "D")}
    assert [
        (change.operation, names[change.row_id], change.after.get("status")) for change in _all_changes(database, "IU")
    ] == [
        ("insert", "resize", None),
        ("insert", "peewee", None),
        ("update", "peewee", "inactive"),
        ("update", "peewee", "retired"),
        ("insert", "raw", None),
        ("insert", "foreign", None),
        ("insert", "foreign too", None),
        ("update", "foreign", "building"),
        ("update", "foreign too", "building"),
        ("insert", "copied", None),
        ("insert", "copied too", None),
        ("insert", "upserted", None),
        ("update", "upserted", "inactive"),
        ("update", "raw", "batch"),
        ("insert", "batched", None),
        ("update", "raw", "claimed"),
        ("update", "batched", "claimed"),
    ]
    assert sorted(names.values()) == sorted(
        ["resize", "peewee", "raw", "foreign", "foreign too", "copied", "copied too", "upserted", "batched"]
    )
    assert len({change.transaction_id for change in _all_changes(database, "D")}) == 1
    database.close()


def _all_changes(database: Database, operations: str) -> list[Any]:
    """The changes of functions, in their order."""
    ids = database.raw_query_all(
        "SELECT DISTINCT row_id FROM changes WHERE table_name = 'functions' AND row_id IS NOT NULL"
    )
    changes = [change for row in ids for change in database.history.of_row("functions", row["row_id"])]
    kept = [change for change in changes if change.operation[0].upper() in operations]
    return sorted(kept, key=lambda change: change.id)


def test_a_transaction_has_one_number(managers: Managers) -> None:
    database = managers.users.database
    with database.transaction():
        ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
        resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
        managers.functions.update_by_id(resize.id, {"name": "crop"})
    managers.functions.update_by_id(resize.id, {"name": "scale"})
    numbers = [change.transaction_id for change in managers.functions.history(resize.id)]
    assert numbers[1] == numbers[2] != numbers[0]
    assert [change.table for change in database.history.of_transaction(numbers[1])] == [
        "users",
        "functions",
        "functions",
    ]


def test_what_is_rolled_back_has_not_happened(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    with pytest.raises(ZeroDivisionError), database.transaction():
        managers.users.update_by_id(ada.id, {"email": "b@example.com"})
        raise ZeroDivisionError
    with database.transaction():
        with pytest.raises(ZeroDivisionError), database.transaction():
            managers.users.update_by_id(ada.id, {"email": "c@example.com"})
            raise ZeroDivisionError
        managers.users.update_by_id(ada.id, {"email": "d@example.com"})
    assert [change.after.get("email") for change in managers.users.history(ada.id)] == ["d@example.com", None]


def test_who_acted(managers: Managers) -> None:
    database = managers.users.database
    with database.acting_as("user:ada", ticket=41):
        ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
        with database.acting_as("job:nightly"):
            managers.users.update_by_id(ada.id, {"email": "b@example.com"})
        with database.transaction():
            managers.users.update_by_id(ada.id, {"email": "c@example.com"})
            with database.acting_as("user:grace"):
                database.raw_execute("UPDATE users SET email = 'd@example.com'")
            database.raw_execute("UPDATE users SET email = 'e@example.com'")
        database.raw_query_all("UPDATE users SET email = 'f@example.com' RETURNING id")
        with database.bind():
            User.update(email="g@example.com").execute()
            list(User.update(email="h@example.com").returning(User.id))
        managers.functions.batch_insert([{"user_id": ada.id, "name": "resize"}])
    managers.users.update_by_id(ada.id, {"email": "i@example.com"})
    said = [(change.actor, change.details) for change in reversed(managers.users.history(ada.id))]
    hers = ("user:ada", {"ticket": 41})
    assert said == [hers, ("job:nightly", {}), hers, ("user:grace", {}), hers, hers, hers, hers, (None, {})]
    resize = managers.functions.find_one()
    assert resize is not None
    assert managers.functions.history(resize.id)[0].actor == "user:ada"


def test_an_error_while_somebody_acts_stays_the_error(managers: Managers) -> None:
    database, row = managers.users.database, {"email": "ada@example.com", "password_hash": SECRETS[0]}
    ada = managers.users.insert(row)
    for blocks in (1, 2):
        with ExitStack() as outer:
            outer.enter_context(pytest.raises(errors.UniqueViolationError))
            for _ in range(blocks):
                outer.enter_context(database.transaction())
            outer.enter_context(database.acting_as("user:grace"))
            managers.users.insert(row)
    with database.transaction():
        with pytest.raises(errors.UniqueViolationError), database.transaction(), database.acting_as("user:grace"):
            managers.users.insert(row)
        managers.users.update_by_id(ada.id, {"email": "b@example.com"})
    assert [change.actor for change in managers.users.history(ada.id)] == [None, None]


def actors(managers: Managers, email: str) -> list[str | None]:
    found = managers.users.find_one({"email": email})
    assert found is not None
    return [change.actor for change in managers.users.history(found.id)]


def test_who_acted_is_known_behind_what_was_taken_back(managers: Managers) -> None:
    database = managers.users.database
    with database.acting_as("user:ada"), database.transaction():
        with database.transaction() as savepoint, database.acting_as("user:grace"):
            savepoint.rollback()
            managers.users.insert({"email": "inside@example.com", "password_hash": SECRETS[0]})
        managers.users.insert({"email": "behind@example.com", "password_hash": SECRETS[0]})
    assert actors(managers, "inside@example.com") == ["user:grace"]
    assert actors(managers, "behind@example.com") == ["user:ada"]


def test_who_acted_is_known_behind_a_transaction_that_only_reads(managers: Managers) -> None:
    database = managers.users.database
    with database.transaction(read_only=True), database.acting_as("user:ada"):
        managers.users.count()
    with database.acting_as("user:grace"):
        managers.users.insert({"email": "grace@example.com", "password_hash": SECRETS[0]})
    assert actors(managers, "grace@example.com") == ["user:grace"]


def test_who_acted_is_known_where_peewees_calls_make_transactions(managers: Managers) -> None:
    database = managers.users.database
    with database.manual_commit(), database.acting_as("user:ada"):
        managers.users.insert({"email": "alone@example.com", "password_hash": SECRETS[0]})
        database.begin()
        managers.users.insert({"email": "begun@example.com", "password_hash": SECRETS[0]})
        database.commit()
    assert actors(managers, "alone@example.com") == actors(managers, "begun@example.com") == ["user:ada"]


def test_nobody_acts_whom_the_database_could_not_be_told_of(managers: Managers, monkeypatch: Any) -> None:
    database = managers.users.database

    def tell(_engine: object, actor: Actor | None) -> None:
        if actor is not None:
            raise errors.ConnectionLostError("gone")

    with pytest.raises(errors.ConnectionLostError), database.transaction():
        monkeypatch.setattr(type(database.engine), "_tell_actor", tell)
        with database.acting_as("user:ada"):
            pass
    monkeypatch.undo()
    managers.users.insert({"email": "later@example.com", "password_hash": SECRETS[0]})
    assert actors(managers, "later@example.com") == [None]


def test_who_acted_is_the_threads_own(managers: Managers) -> None:
    import threading

    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    with database.acting_as("user:ada"):
        thread = threading.Thread(target=managers.users.update_by_id, args=(ada.id, {"email": "b@example.com"}))
        thread.start()
        thread.join()
    assert managers.users.history(ada.id)[0].actor is None


@pytest.mark.parametrize("actor", ["", None, 7, "a\0b", "\ud800"])
def test_an_actor_is_a_text(database: Database, actor: Any) -> None:
    with (
        pytest.raises(errors.InvalidValueError, match="expected the name of who acts to be a text, neither empty"),
        database.acting_as(actor),
    ):
        pass


def test_an_actor_that_would_be_sql(managers: Managers) -> None:
    database = managers.users.database
    actor = "'); DROP TABLE users; --%s\\"
    with database.acting_as(actor, note=actor):
        ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    change = managers.users.history(ada.id)[0]
    assert (change.actor, change.details) == (actor, {"note": actor})


def test_secrets_are_nowhere_in_the_log(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    managers.users.update_by_id(ada.id, {"password_hash": SECRETS[1], "email": "b@example.com"})
    managers.users.update_by_id(ada.id, {"password_hash": SECRETS[2]})
    managers.users.delete_by_id(ada.id)
    everything = str(database.raw_query_all("SELECT * FROM changes"))
    assert not any(secret in everything for secret in SECRETS)
    assert managers.users.history(ada.id)[1].before == {"password_hash": "***"}
    assert "password_hash" not in managers.users.history(ada.id)[0].before


def test_what_has_changed_since(managers: Managers) -> None:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    resize = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    moment = later_than_all_changes()
    managers.functions.update_by_id(resize.id, {"name": "crop", "status": "inactive"})
    managers.functions.update_by_id(resize.id, {"name": "scale", "status": "active"})
    assert managers.functions.diff(resize.id, since=moment) == {"name": ("resize", "scale")}


def test_a_row_is_forgotten(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": SECRETS[0]})
    managers.users.update_by_id(ada.id, {"email": "b@example.com"})
    managers.users.delete_by_id(ada.id)
    assert database.history.forget("users", ada.id) == 2
    assert "example.com" not in str(database.raw_query_all("SELECT old_values, new_values FROM changes"))
    assert [change.operation for change in managers.users.history(ada.id)] == ["delete", "update", "insert"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_truncated_table(managers: Managers) -> None:
    database = managers.users.database
    database.raw_execute("TRUNCATE users CASCADE")
    emptied = database.raw_query_all("SELECT table_name FROM changes WHERE operation = 'T'")
    assert {row["table_name"] for row in emptied} >= {"users", "functions"}


def test_what_is_not_recorded(managers: Managers, database: Database) -> None:
    with pytest.raises(errors.HistoryError, match="got function_logs: those are function_deployments, "):
        managers.function_logs.history(1)


def test_what_was_recorded_is_read_and_forgotten_when_it_is_switched_off(
    managers: Managers, database: Database
) -> None:
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    managers.users.update_by_id(ada.id, {"email": "countess@example.com"})
    managers.users.delete_by_id(ada.id)
    database.history.disable()
    deleted, _, inserted = managers.users.history(ada.id)
    assert (deleted.operation, deleted.before["email"]) == ("delete", "countess@example.com")
    assert database.history.of_transaction(inserted.transaction_id) == [inserted]
    for refused in (
        lambda: managers.users.undelete(ada.id),
        lambda: managers.users.as_of(datetime.now(UTC)),
        lambda: database.undo(deleted.transaction_id),
        lambda: managers.function_logs.history(1),
    ):
        with pytest.raises(errors.HistoryError, match="run cloudpub history on"):
            refused()
    assert database.history.forget("users", ada.id) == 2
    assert managers.users.history(ada.id)[0].before == {}


def later_than_all_changes() -> datetime:
    """A moment that no change so far has, nor any to come: SQLite tells milliseconds apart."""
    import time

    time.sleep(0.003)
    moment = datetime.now(UTC)
    time.sleep(0.003)
    return moment
