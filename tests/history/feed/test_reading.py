"""A consumer's next batch: all that was changed since the last one, in order, kept with what the block does."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest

from cloudpub_models import Change, Database, Managers, User, errors
from cloudpub_models.history.feed.positions import Key
from cloudpub_models.history.feed.reading import _whole_transactions
from tests.history.test_changes import later_than_all_changes
from tests.waiting import LONG_ENOUGH


@pytest.fixture
def ada(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@example.com", "password_hash": "…"})


def everything(database: Database, name: str = "all", **options: Any) -> list[list[Change]]:
    """The batches of a consumer until there is nothing more."""
    batches = []
    while True:
        with database.feed(name, **options) as batch:
            pass
        if not batch:
            return batches
        batches.append(batch)


def test_a_consumer_gets_what_it_has_not_had(managers: Managers, ada: User) -> None:
    database = managers.database
    assert [[(change.operation, change.row_id) for change in batch] for batch in everything(database)] == [
        [("insert", ada.id)]
    ]
    managers.users.update_by_id(ada.id, {"email": "ada@e.org"})
    managers.users.delete_by_id(ada.id)
    (batch,) = everything(database)
    assert [(change.operation, change.before.get("email"), change.after) for change in batch] == [
        ("update", "ada@example.com", {"email": "ada@e.org"}),
        ("delete", "ada@e.org", {}),
    ]
    assert batch == list(reversed(managers.users.history(ada.id, limit=2)))


def test_each_consumer_has_a_position_of_its_own(managers: Managers, ada: User) -> None:
    database = managers.database
    assert len(everything(database, "one")) == len(everything(database, "other")) == 1
    assert everything(database, "one") == []


def test_an_empty_batch_writes_nothing(managers: Managers, ada: User, statements: Any) -> None:
    everything(managers.database)
    statements.clear()
    with managers.database.feed("all") as batch:
        assert batch == []
    assert [sql for sql in statements.sql if not sql.lstrip().startswith(("SELECT", "WITH"))] == []


def test_it_may_begin_with_what_is_to_come(managers: Managers, ada: User) -> None:
    database = managers.database
    assert everything(database, "late", start="now") == []
    managers.users.update_by_id(ada.id, {"email": "ada@e.org"})
    # From the second time on it goes on where it has been.
    ((change,),) = everything(database, "late", start="oldest")
    assert change.after == {"email": "ada@e.org"}


def test_what_fails_in_the_block_leaves_the_position(managers: Managers, ada: User) -> None:
    database = managers.database
    with pytest.raises(RuntimeError), database.feed("mailer") as batch:
        managers.functions.insert({"user_id": ada.id, "name": "effect"})
        raise RuntimeError
    assert not managers.functions.exists()
    assert len(batch) == 1
    assert everything(database, "mailer") == [batch]


def test_a_statement_that_fails_and_is_caught_leaves_it_too(managers: Managers, ada: User) -> None:
    database = managers.database

    def swallow() -> None:
        with database.feed("mailer"), pytest.raises(errors.UniqueViolationError):
            managers.users.insert({"email": "ada@example.com", "password_hash": "…"})

    with pytest.raises(errors.TransactionAbortedError):
        swallow()
    assert len(everything(database, "mailer")) == 1


def test_effects_commit_with_the_position(managers: Managers, ada: User) -> None:
    database = managers.database
    with database.feed("effects") as batch:
        managers.functions.insert({"user_id": batch[0].row_id, "name": "effect"})
    # What a consumer changes itself comes to it as well, once.
    assert [[change.table for change in batch] for batch in everything(database, "effects")] == [["functions"]]


def test_what_is_rolled_back_is_not_delivered(managers: Managers, ada: User) -> None:
    database = managers.database
    everything(database)
    with pytest.raises(RuntimeError), database.transaction():
        managers.users.update_by_id(ada.id, {"email": "never@e.org"})
        raise RuntimeError
    with database.transaction():
        managers.users.update_by_id(ada.id, {"email": "kept@e.org"})
        with pytest.raises(RuntimeError), database.transaction():
            managers.users.update_by_id(ada.id, {"email": "undone@e.org"})
            raise RuntimeError
    assert [[change.after for change in batch] for batch in everything(database)] == [[{"email": "kept@e.org"}]]


def test_a_limit_parts_no_transaction_that_it_could_keep_together(managers: Managers, ada: User) -> None:
    database = managers.database
    everything(database)
    for size in (2, 2, 1, 5, 1):
        with database.transaction():
            for _ in range(size):
                managers.functions.insert({"user_id": ada.id, "name": f"f{managers.functions.count()}"})
    assert [len(batch) for batch in everything(database, limit=3)] == [2, 3, 3, 3]
    assert [len(batch) for batch in everything(database, "wide", limit=100)] == [12]


def test_pages_of_any_size_give_the_same(managers: Managers, ada: User) -> None:
    database = managers.database
    chance = random.Random(7)
    for _ in range(30):
        with database.transaction():
            for _ in range(chance.choice((1, 1, 2, 7))):
                managers.functions.insert({"user_id": ada.id, "name": f"f{managers.functions.count()}"})
    whole = [change for batch in everything(database, "whole", limit=10_000) for change in batch]
    assert len(whole) == 1 + managers.functions.count()
    for limit in (1, 2, 3, 5, 8):
        batches = everything(database, f"by {limit}", limit=limit)
        assert [change for batch in batches for change in batch] == whole
        assert max(map(len, batches)) <= limit


def test_two_of_one_name_take_turns(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The second one waits, and gets what the first one has left."""
    sqlite = backend == "sqlite"
    database = Database(f"sqlite:///{tmp_path}/shop.db" if sqlite else request.getfixturevalue("database_url"))
    database.migrate()
    database.history.enable()
    Managers(database).users.insert({"email": "grace@example.com", "password_hash": "…"})
    seen: list[int] = []
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with database.feed("worker") as batch:
            seen.append(len(batch))
            inside.set()
            go_on.wait(LONG_ENOUGH)

    def second() -> None:
        with database.feed("worker") as batch:
            seen.append(len(batch))

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(LONG_ENOUGH)
    threads[1].start()
    threads[1].join(0.1)
    assert threads[1].is_alive()
    go_on.set()
    for thread in threads:
        thread.join()
    assert seen == [1, 0]
    database.close()


def test_who_waits_too_long_for_a_turn_is_told(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> None:
    sqlite = backend == "sqlite"
    url = f"sqlite:///{tmp_path}/shop.db" if sqlite else request.getfixturevalue("database_url")
    database = Database(url)
    database.migrate()
    database.history.enable()
    impatient = Database(url, busy_timeout=0.05) if sqlite else Database(url, lock_timeout=0.05)
    with database.feed("worker"), pytest.raises(errors.LockNotAvailableError), impatient.feed("worker"):
        pass
    impatient.close()
    database.close()


def test_it_has_a_transaction_of_its_own(managers: Managers) -> None:
    database = managers.database
    with database.transaction():
        with pytest.raises(errors.InvalidQueryError, match="expected no open transaction"), database.feed("all"):
            pass
        with pytest.raises(errors.InvalidQueryError, match="expected no open transaction"):
            database.history.move_consumer("all", "now")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "",
            {},
            "expected the name of the consumer to be a text, neither empty nor with NUL or half a character; got ''",
        ),
        (
            7,
            {},
            "expected the name of the consumer to be a text, neither empty nor with NUL or half a character; got 7",
        ),
        ("a\0", {}, "expected the name of the consumer to be a text"),
        ("a", {"source": "users"}, "expected 'changes' or 'outbox'; got 'users'"),
        ("a", {"start": "yesterday"}, "expected 'oldest' or 'now'; got 'yesterday'"),
        ("a", {"limit": 0}, "expected limit to be an integer of at least 1; got 0"),
    ],
)
def test_arguments_that_are_none(database: Database, statements: Any, name: Any, options: Any, message: str) -> None:
    with pytest.raises(errors.InvalidValueError, match=message):
        database.feed(name, **options)
    assert statements.sql == []


def test_a_name_belongs_to_one_source(recorded: Database) -> None:
    with recorded.feed("a"):
        pass
    with pytest.raises(errors.HistoryError, match="expected 'a' to read changes, as it has"):
        with recorded.feed("a", source="outbox"):
            pass


def test_it_needs_its_tables(database: Database) -> None:
    with pytest.raises(errors.HistoryError, match="tables of feeds; got one without: have history.enable"):
        with database.feed("a"):
            pass


def test_what_was_not_recorded_is_a_gap(database: Database) -> None:
    managers = Managers(database)
    database.history.enable(also=["function_logs"])
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    with database.feed("a") as batch:
        assert len(batch) == 1
    managers.users.update_by_id(ada.id, {"email": "before@e.org"})
    database.history.disable()
    managers.users.update_by_id(ada.id, {"email": "unseen@e.org"})
    database.history.enable()
    managers.users.update_by_id(ada.id, {"email": "after@e.org"})
    # What comes before the gap is still delivered.
    with database.feed("a") as batch:
        assert [change.after for change in batch] == [{"email": "before@e.org"}]
    for _ in range(2):
        with pytest.raises(errors.FeedGapError, match="expected changes without a gap; got the end of the recording"):
            with database.feed("a"):
                pass
    database.history.move_consumer("a", "now")
    managers.users.update_by_id(ada.id, {"email": "later@e.org"})
    with database.feed("a") as batch:
        assert [change.after for change in batch] == [{"email": "later@e.org"}]


def test_what_was_written_while_a_trigger_was_gone_is_a_gap(recorded: Database) -> None:
    users = Managers(recorded).users
    ada = users.insert({"email": "ada@example.com", "password_hash": "…"})
    with recorded.feed("a") as batch:
        assert len(batch) == 1
    recorded.raw_execute(f"DROP TRIGGER users_record_update{' ON users' if recorded.dialect == 'postgresql' else ''}")
    users.update_by_id(ada.id, {"email": "unseen@e.org"})
    assert recorded.history.enable() == ("users",)
    users.update_by_id(ada.id, {"email": "after@e.org"})
    with pytest.raises(errors.FeedGapError, match="got the end of the recording of users"), recorded.feed("a"):
        pass
    recorded.history.move_consumer("a", "now")
    with recorded.feed("a") as batch:
        assert batch == []


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_migration_that_makes_a_trigger_again_leaves_a_gap(recorded: Database) -> None:
    users = Managers(recorded).users
    ada = users.insert({"email": "ada@example.com", "password_hash": "…"})
    before = later_than_all_changes()
    with recorded.feed("a") as batch:
        assert len(batch) == 1
    recorded.history.keep_current()
    assert recorded.raw_query_all("SELECT 1 FROM changes WHERE operation = 'E'") == []
    recorded.raw_execute("DROP TRIGGER users_record_update ON users")
    users.update_by_id(ada.id, {"email": "unseen@e.org"})
    recorded.history.keep_current()
    with pytest.raises(errors.FeedGapError, match="got the end of the recording of users"), recorded.feed("a"):
        pass
    with pytest.raises(errors.HistoryError):
        users.as_of(before).find_by_id(ada.id)


def test_one_cannot_begin_where_nothing_is_recorded(database: Database) -> None:
    database.history.enable()
    database.history.disable()
    with pytest.raises(errors.HistoryError, match="expected a database that records changes"):
        with database.feed("a"):
            pass
    assert database.history.consumers() == []


def test_what_is_deleted_meanwhile_is_left_out(managers: Managers, ada: User) -> None:
    """As by somebody who prunes while a consumer is not known yet."""
    database = managers.database
    for number in range(3):
        managers.users.update_by_id(ada.id, {"email": f"{number}@e.org"})
        database.publish("topic", number)
    ids = [change.id for change in managers.users.history(ada.id)]

    def meanwhile(query: Any) -> None:
        if "LIMIT" in query.sql and "nearest" not in query.sql:
            database.raw_execute("DELETE FROM changes WHERE id = @id", {"id": ids[0]})
            database.raw_execute("DELETE FROM outbox WHERE payload = '1'")

    stop = database.on_query(meanwhile)
    with database.feed("all") as batch:
        assert [change.after.get("email") for change in batch] == [None, "0@e.org", "1@e.org"]
    database.publish("topic", 1)
    with database.feed("mailer", source="outbox") as messages:
        assert [message.payload for message in messages] == [0, 2]
    stop()


def test_what_is_kept_of_a_page() -> None:
    keys = [Key(number, transaction, number) for number, transaction in enumerate("aabbbc")]
    assert len(_whole_transactions(keys, 6)) == 6
    assert len(_whole_transactions(keys, 5)) == 5
    assert len(_whole_transactions(keys[:5], 4)) == 2
    assert len(_whole_transactions(keys[2:5], 2)) == 2
