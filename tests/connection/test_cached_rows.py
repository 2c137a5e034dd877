"""Rows in memory are taken only as far as the change log allows."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudpub_models import Component, Database, Manager, Managers, User, errors
from cloudpub_models.connection import cached_rows
from cloudpub_models.connection.cached_rows import CachedRows
from cloudpub_models.entity import AutoField, Entity, TextField, UuidField
from tests.history.conftest import shared_recorded_postgresql as shared_recorded_postgresql
from tests.history.conftest import shared_recorded_postgresql_url as shared_recorded_postgresql_url
from tests.manager.test_calls import calls

FOUND = "SELECT id, uuid"


@pytest.fixture(scope="module")
def recorded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that records its changes."""
    path = tmp_path_factory.mktemp("recorded") / "shop.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.history.enable()
    database.close()
    return path


@pytest.fixture
def url(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> str:
    """The URL of an empty database that records its changes."""
    if backend == "sqlite":
        shutil.copy(request.getfixturevalue("recorded_file"), tmp_path / "shop.db")
        return f"sqlite:///{tmp_path}/shop.db"
    return str(request.getfixturevalue("shared_recorded_postgresql_url"))


@pytest.fixture
def shop(url: str) -> Iterator[Database]:
    shop = Database(url, cached_rows=100)
    yield shop
    shop.close()


@pytest.fixture
def managers(shop: Database) -> Managers:
    return Managers(shop)


@pytest.fixture
def ada(managers: Managers) -> User:
    return managers.users.insert({"email": "ada@example.com", "password_hash": "…"})


@pytest.fixture
def elsewhere(url: str) -> Iterator[Database]:
    """The same database as another program has it."""
    other = Database(url)
    yield other
    other.close()


@pytest.fixture
def sent(shop: Database) -> list[str]:
    """What is sent."""
    sent: list[str] = []
    shop.on_query(lambda query: sent.append(query.sql))
    return sent


def lookups(sent: list[str]) -> int:
    """Return how many rows were looked up since the last time."""
    found = len([sql for sql in sent if sql.startswith(FOUND)])
    sent.clear()
    return found


def rename(database: Database, user: User, email: str) -> None:
    assert database.raw_execute("UPDATE users SET email = @e WHERE id = @id", {"e": email, "id": user.id}) == 1


def test_what_was_looked_up_is_not_asked_for_again(
    shop: Database, managers: Managers, ada: User, sent: list[str]
) -> None:
    with shop.session(cached=True):
        for _ in range(3):
            assert managers.users.find_by_id(ada.id) == ada
            assert managers.users.get_by_uuid(str(ada.uuid)).email == "ada@example.com"
            assert managers.users.find_by_email("ada@example.com") == ada
    assert lookups(sent) == 3
    with shop.session(cached=True):
        assert managers.users.get_by_id(ada.id) == ada
        changed = list(sent)
        assert managers.users.find_by_uuid(ada.uuid) == ada
        assert managers.users.find_by_email("ada@example.com") == ada
    assert sent == changed
    assert "changes" in changed[-1]
    assert lookups(sent) == 0


def test_a_hit_is_an_instance_of_its_own(shop: Database, managers: Managers, ada: User) -> None:
    function = managers.functions.insert({"user_id": ada.id, "name": "resize", "analysis_result": {"a": [1]}})
    with shop.session(cached=True):
        for _ in range(3):
            found = managers.functions.get_by_id(function.id)
            assert (found.name, found.analysis_result) == ("resize", {"a": [1]})
            found.name = "changed"
            found.analysis_result["a"].append(2)


def test_outside_of_such_a_session_every_row_is_asked_for(
    shop: Database, managers: Managers, ada: User, sent: list[str]
) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
    with shop.session():
        managers.users.find_by_id(ada.id)
        with shop.session(cached=True):
            managers.users.find_by_id(ada.id)
        managers.users.find_by_id(ada.id)
    managers.users.find_by_id(ada.id)
    assert lookups(sent) == 4


def test_it_counts_for_its_thread_alone(shop: Database, managers: Managers, ada: User, sent: list[str]) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
        thread = threading.Thread(target=lambda: managers.users.find_by_id(ada.id))
        thread.start()
        thread.join()
    assert lookups(sent) == 2


def test_what_others_have_changed_is_asked_for_again_and_nothing_else(
    shop: Database, managers: Managers, ada: User, elsewhere: Database, sent: list[str]
) -> None:
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    for number in range(3):
        with shop.session(cached=True):
            managers.users.find_by_id(grace.id)
            managers.users.find_by_email(f"{number}@example.com")
            assert managers.users.get_by_id(ada.id).email in (f"{number}@example.com", "ada@example.com")
        with elsewhere.transaction(), elsewhere.transaction():
            rename(elsewhere, ada, f"{number + 1}@example.com")
        sent.clear()
        with shop.session(cached=True):
            assert managers.users.get_by_id(grace.id).email == "grace@example.com"
            assert managers.users.get_by_id(ada.id).email == f"{number + 1}@example.com"
            assert managers.users.get_by_uuid(ada.uuid).email == f"{number + 1}@example.com"
            assert lookups(sent) == 2


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize("option", ["prepared", "transaction_pooler"])
def test_it_holds_however_statements_are_sent(url: str, ada: User, elsewhere: Database, option: Any) -> None:
    shop = Database(url, cached_rows=10, **{option: True})
    sent: list[str] = []
    shop.on_query(lambda query: sent.append(query.sql))
    for number in range(3):
        with shop.session(cached=True):
            for _ in range(2):
                assert Managers(shop).users.get_by_uuid(ada.uuid).email == ada.email
        assert lookups(sent) == 1
        ada.email = f"{number}@example.com"
        rename(elsewhere, ada, ada.email)
    shop.close()


def test_a_row_that_is_gone_is_gone(shop: Database, managers: Managers, ada: User, elsewhere: Database) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
        managers.users.find_by_email("ada@example.com")
    elsewhere.raw_execute("DELETE FROM users")
    with shop.session(cached=True):
        assert managers.users.find_by_id(ada.id) is None
        assert managers.users.find_by_email("ada@example.com") is None
    managers.users.insert({"id": ada.id, "email": "ada@example.com", "password_hash": "…"})
    with shop.session(cached=True):
        assert managers.users.find_by_email("ada@example.com") is not None


def test_a_row_that_is_not_there_is_asked_for_each_time(shop: Database, managers: Managers, sent: list[str]) -> None:
    with shop.session(cached=True):
        for _ in range(2):
            assert managers.users.find_by_id(7) is None
    assert lookups(sent) == 2


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_table_that_is_emptied_is_empty(
    shop: Database, managers: Managers, ada: User, elsewhere: Database, sent: list[str]
) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
    elsewhere.raw_execute("TRUNCATE users CASCADE")
    with shop.session(cached=True):
        assert managers.users.find_by_id(ada.id) is None


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_change_that_is_not_committed_yet_is_none(
    shop: Database, managers: Managers, ada: User, elsewhere: Database
) -> None:
    """A position names the transactions that are running: what they have changed is behind it when they commit."""
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
    with elsewhere.transaction():
        rename(elsewhere, ada, "new@example.com")
        rename(shop, grace, "hopper@example.com")
        for _ in range(3):
            with shop.session(cached=True):
                assert managers.users.get_by_id(ada.id).email == "ada@example.com"
                assert managers.users.get_by_id(grace.id).email == "hopper@example.com"
    with shop.session(cached=True):
        assert managers.users.get_by_id(ada.id).email == "new@example.com"


def save(managers: Managers, ada: User) -> None:
    with managers.users.database.bind():
        ada.email = "new@example.com"
        ada.save()


def in_a_transaction(managers: Managers, ada: User) -> None:
    with managers.users.database.transaction():
        rename(managers.users.database, ada, "new@example.com")


def by_peewee(managers: Managers, ada: User) -> None:
    with managers.users.database.bind():
        User.update(email="new@example.com").where(User.id == ada.id).execute()


def by_a_query(managers: Managers, ada: User) -> None:
    managers.users.database.raw_query_all("UPDATE users SET email = 'new@example.com' RETURNING id")


OWN_CHANGES: dict[str, Callable[[Managers, User], object]] = {
    "a manager": lambda managers, ada: managers.users.update_by_id(ada.id, {"email": "new@example.com"}),
    "raw SQL": lambda managers, ada: rename(managers.users.database, ada, "new@example.com"),
    "raw SQL that gives rows": by_a_query,
    "a transaction": in_a_transaction,
    "Peewee": by_peewee,
    "an instance": save,
}


@pytest.mark.parametrize("how", OWN_CHANGES)
def test_what_the_thread_has_changed_itself_shows_at_once(
    shop: Database, managers: Managers, ada: User, how: str
) -> None:
    with shop.session(cached=True):
        for _ in range(2):
            assert managers.users.get_by_id(ada.id).email == "ada@example.com"
        OWN_CHANGES[how](managers, ada)
        for _ in range(2):
            assert managers.users.get_by_id(ada.id).email == "new@example.com"


@pytest.mark.parametrize("how", OWN_CHANGES)
def test_also_where_something_else_was_read_in_between(shop: Database, managers: Managers, ada: User, how: str) -> None:
    with shop.session(cached=True):
        for _ in range(2):
            assert managers.users.get_by_id(ada.id).email == "ada@example.com"
        OWN_CHANGES[how](managers, ada)
        managers.users.count()
        assert managers.users.get_by_id(ada.id).email == "new@example.com"


def test_reading_something_else_in_between_costs_nothing(
    shop: Database, managers: Managers, ada: User, sent: list[str]
) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
        managers.users.find_by_id(ada.id)
        sent.clear()
        for _ in range(3):
            managers.users.count()
            managers.users.find_all({"email": "x"})
            list(managers.users.iterate())
            managers.users.find_by_id(ada.id)
    assert [sql for sql in sent if "changes" in sql] == []
    assert lookups(sent) == 6


def test_a_transaction_reads_for_itself(
    shop: Database, managers: Managers, ada: User, elsewhere: Database, sent: list[str]
) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
        managers.users.find_by_id(ada.id)
        sent.clear()
        with pytest.raises(LookupError), shop.transaction():
            rename(shop, ada, "never@example.com")
            assert managers.users.get_by_id(ada.id).email == "never@example.com"
            assert managers.users.get_by_id(ada.id).email == "never@example.com"
            raise LookupError
        assert lookups(sent) == 2
        assert managers.users.get_by_id(ada.id).email == "ada@example.com"


def test_what_is_read_of_an_older_moment_is_not_kept(
    shop: Database, managers: Managers, ada: User, elsewhere: Database
) -> None:
    with shop.session(cached=True):
        with shop.transaction(isolation="REPEATABLE READ", read_only=True):
            managers.users.find_by_id(ada.id)
            rename(elsewhere, ada, "new@example.com")
            managers.users.find_by_id(ada.id)
        assert managers.users.get_by_id(ada.id).email == "new@example.com"


def test_an_inner_one_begins_a_unit_of_work_of_its_own(
    shop: Database, managers: Managers, ada: User, elsewhere: Database
) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
        managers.users.find_by_id(ada.id)
        rename(elsewhere, ada, "new@example.com")
        assert managers.users.get_by_id(ada.id).email == "ada@example.com"
        with shop.session():
            assert managers.users.get_by_id(ada.id).email == "ada@example.com"
        with shop.session(cached=True):
            assert managers.users.get_by_id(ada.id).email == "new@example.com"
        assert managers.users.get_by_id(ada.id).email == "new@example.com"


def test_a_session_that_was_changed_reads_for_itself(
    shop: Database, managers: Managers, ada: User, backend: str, sent: list[str]
) -> None:
    """A search path, or a temporary table, has it find other rows than all others do."""
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
        managers.users.find_by_id(ada.id)
        shop.raw_execute("CREATE TEMP TABLE users AS SELECT * FROM users WHERE false")
        assert managers.users.find_by_id(ada.id) is None
        shop.raw_execute(
            f"INSERT INTO {'pg_temp' if backend == 'postgresql' else 'temp'}.users SELECT * FROM "
            f"{'public' if backend == 'postgresql' else 'main'}.users"
        )
        shop.raw_execute("UPDATE users SET email = 'temporary@example.com'")
        assert managers.users.get_by_id(ada.id).email == "temporary@example.com"
    with shop.session(cached=True):
        assert managers.users.get_by_id(ada.id).email == "ada@example.com"


def test_the_rows_of_a_moment_are_not_those_of_today(shop: Database, managers: Managers, ada: User) -> None:
    moment = managers.users.history(ada.id)[0].at + timedelta(milliseconds=1)
    rename(shop, ada, "new@example.com")
    while managers.users.history(ada.id)[0].at <= moment:
        rename(shop, ada, "newer@example.com")
        rename(shop, ada, "new@example.com")
    with shop.session(cached=True):
        for _ in range(2):
            assert managers.users.get_by_id(ada.id).email == "new@example.com"
            assert managers.users.as_of(moment).get_by_id(ada.id).email == "ada@example.com"


def test_an_owner_gets_no_row_that_others_have_looked_up(shop: Database, managers: Managers, ada: User) -> None:
    grace = managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    with shop.session(cached=True):
        managers.functions.find_by_id(function.id)
        assert managers.owned_by(grace).functions.find_by_id(function.id) is None
        assert managers.owned_by(ada).functions.find_by_id(function.id) == function


def test_a_column_that_tells_no_row_apart_is_asked_for(
    shop: Database, managers: Managers, ada: User, sent: list[str]
) -> None:
    managers.functions.insert({"user_id": ada.id, "name": "resize"})
    with shop.session(cached=True):
        for _ in range(2):
            managers.functions.find_by_id(ada.id, id_column="user_id")
            managers.functions.find_by_id(1, select=["id", "uuid"])
    assert lookups(sent) == 4


def test_a_table_that_is_not_recorded_is_asked_for(
    shop: Database, managers: Managers, ada: User, sent: list[str]
) -> None:
    function = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    log = managers.function_logs.insert({"function_id": function.id, "level": "info", "message": "…"})
    with shop.session(cached=True):
        for _ in range(2):
            managers.function_logs.find_by_id(log.id)
    assert len([sql for sql in sent if "FROM function_logs" in sql]) == 2


def test_it_keeps_so_many_rows_and_no_more(url: str, ada: User) -> None:
    shop = Database(url, cached_rows=3)
    sent: list[str] = []
    users = Managers(shop).users
    ids = [users.insert({"email": f"{number}@example.com", "password_hash": "…"}).id for number in range(4)]
    shop.on_query(lambda query: sent.append(query.sql))
    with shop.session(cached=True):
        for id in ids[:3]:
            users.find_by_id(id)
        users.find_by_id(ids[0])
        users.find_by_id(ids[3])  # in place of the one that was used longest ago
        assert lookups(sent) == 4
        for id in (ids[0], ids[2], ids[3]):
            users.find_by_id(id)
        assert lookups(sent) == 0
        users.find_by_id(ids[1])
        assert lookups(sent) == 1
    assert shop.engine.cached_rows is not None
    assert len(shop.engine.cached_rows.found) == 3
    shop.close()


def test_many_changes_empty_it(
    shop: Database, managers: Managers, ada: User, elsewhere: Database, sent: list[str]
) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
    Managers(elsewhere).functions.batch_insert({"user_id": ada.id, "name": f"f{number}"} for number in range(1100))
    rename(elsewhere, ada, "new@example.com")
    with shop.session(cached=True):
        for _ in range(2):
            assert managers.users.get_by_id(ada.id).email == "new@example.com"
    assert lookups(sent) == 2


def test_changes_that_were_pruned_before_they_were_seen(
    shop: Database, managers: Managers, ada: User, elsewhere: Database
) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
    rename(elsewhere, ada, "new@example.com")
    assert elsewhere.history.prune(timedelta(0)) >= 1
    with shop.session(cached=True):
        assert managers.users.get_by_id(ada.id).email == "new@example.com"


def test_recording_that_ends_ends_it(
    shop: Database, managers: Managers, ada: User, elsewhere: Database, sent: list[str]
) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
    elsewhere.history.disable()
    rename(elsewhere, ada, "new@example.com")
    with (
        shop.session(cached=True),
        pytest.raises(
            errors.HistoryError, match=r"expected a database that records its changes.*'cloudpub history on'"
        ),
    ):
        managers.users.find_by_id(ada.id)
    assert managers.users.get_by_id(ada.id).email == "new@example.com"
    elsewhere.history.enable()
    rename(elsewhere, ada, "newer@example.com")
    with shop.session(cached=True):
        assert managers.users.get_by_id(ada.id).email == "newer@example.com"


def test_a_row_that_changed_while_it_was_read_is_not_kept(
    shop: Database, managers: Managers, ada: User, elsewhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread learns of the change, and has passed it, before this one keeps what it has read."""
    with shop.session(cached=True):
        managers.users.find_by_email("ada@example.com")
    end_fill = CachedRows.end_fill

    def late(self: CachedRows, *arguments: Any) -> None:
        monkeypatch.undo()
        rename(elsewhere, ada, "new@example.com")
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        end_fill(self, *arguments)

    def look() -> None:
        with shop.session(cached=True):
            managers.users.find_by_email("ada@example.com")

    monkeypatch.setattr(CachedRows, "end_fill", late)
    with shop.session(cached=True):
        assert managers.users.get_by_id(ada.id).email == "ada@example.com"
    with shop.session(cached=True):
        assert managers.users.get_by_id(ada.id).email == "new@example.com"


def test_of_two_that_begin_at_once_the_later_one_goes_by_the_first(
    shop: Database, managers: Managers, ada: User, elsewhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    present_position = cached_rows._present_position

    def first() -> None:
        with shop.session(cached=True):
            managers.users.find_by_id(ada.id)

    def meanwhile(engine: Any) -> Any:
        monkeypatch.undo()
        thread = threading.Thread(target=first)
        thread.start()
        thread.join()
        rename(elsewhere, ada, "new@example.com")
        return present_position(engine)

    monkeypatch.setattr(cached_rows, "_present_position", meanwhile)
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id + 1)
        assert managers.users.get_by_id(ada.id).email == "new@example.com"


def test_of_two_that_read_at_once_nobody_gets_the_older_one_later() -> None:
    rows = CachedRows(10)
    key = ("SELECT", (1,))
    for first, second in (([(1, "old")], [(1, "new")]), ([(1, "new")], [(1, "old")]), ([], [(1, "old")])):
        fills = rows.begin_fill(key), rows.begin_fill(key), rows.begin_fill(key)
        rows.end_fill(key, fills[0], first, "users", 0)
        rows.end_fill(key, fills[1], second, "users", 0)
        rows.end_fill(key, fills[2], second, "users", 0)
        assert key not in rows.found
    fills = rows.begin_fill(key), rows.begin_fill(key)
    for fill in fills:
        rows.end_fill(key, fill, [(1, "same")], "users", 0)
    assert rows.found[key].rows == [(1, "same")]


def test_a_value_that_can_change_is_not_kept() -> None:
    rows = CachedRows(10)
    for value in ([1], {"a": 1}, memoryview(b"a")):
        key = ("SELECT", (str(value),))
        rows.end_fill(key, rows.begin_fill(key), [(1, value)], "users", 0)
    assert not rows.found


class Voucher(Entity):
    """A table whose key is no number."""

    code = UuidField(primary_key=True)
    text = TextField(unique=True)

    class Meta:
        table_name = "vouchers"
        tracked = True


class Note(Entity):
    """One whose key is, and that others may write."""

    id = AutoField()
    text = TextField(unique=True)

    class Meta:
        table_name = "notes"
        tracked = True


def test_the_tables_of_any_component(url: str, sent: list[str]) -> None:
    shop = Database(url, components=[Component("notes", [Note, Voucher])], cached_rows=10)
    with shop.bind_ctx([Note, Voucher]):
        shop.create_tables([Note, Voucher])
    try:
        shop.history.enable()
        shop.on_query(lambda query: sent.append(query.sql))
        notes, vouchers = Manager(Note, shop), Manager(Voucher, shop)
        note, voucher = notes.insert({"text": "a"}), vouchers.insert({"text": "a"})
        sent.clear()
        with shop.session(cached=True):
            for _ in range(3):
                assert notes.find_by_id("a", id_column="text") == note
                assert vouchers.find_by_id(voucher.code, id_column="code") == voucher
        assert len([sql for sql in sent if "FROM notes" in sql]) == 1
        assert len([sql for sql in sent if "FROM vouchers" in sql]) == 3
    finally:
        shop.history.disable()
        with shop.bind_ctx([Note, Voucher]):
            shop.drop_tables([Note, Voucher])
        shop.close()
        plain = Database(url)
        plain.history.enable()
        plain.close()


def test_a_forked_child_begins_with_nothing(shop: Database, managers: Managers, ada: User) -> None:
    with shop.session(cached=True):
        managers.users.find_by_id(ada.id)
    kept = shop.engine.cached_rows
    assert kept is not None
    assert kept.found
    child = os.fork()
    if child == 0:
        try:
            with shop.session(cached=True):
                right = not kept.found and managers.users.get_by_id(ada.id).email == "ada@example.com"
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kept.found


def test_a_session_that_is_left_in_another_thread_ends_there(shop: Database, managers: Managers, ada: User) -> None:
    session = shop.session(cached=True)
    session.__enter__()
    state = shop.engine.this_thread()
    assert state.cached is not None

    def leave() -> None:
        with pytest.raises(errors.InvalidQueryError, match="a session to end in the thread in which it began"):
            session.__exit__(None, None, None)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    assert state.cached is None


def test_a_database_that_keeps_none(elsewhere: Database) -> None:
    with (
        pytest.raises(
            errors.ConfigurationError, match=r"expected a database that keeps rows in memory.*cached_rows=10_000"
        ),
        elsewhere.session(cached=True),
    ):
        pass
    assert not elsewhere.engine.is_attended


@pytest.mark.parametrize("given", [-1, 1.5, True, "10", None])
def test_a_number_that_is_none(given: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="expected a number of at least 0 for the database option cach"):
        Database("sqlite:///:memory:", cached_rows=given)


@pytest.mark.parametrize("given", ["yes", 1, None])
def test_cached_is_true_or_false(shop: Database, given: Any) -> None:
    with (
        pytest.raises(errors.InvalidValueError, match="expected cached to be True or False; got "),
        shop.session(cached=given),
    ):
        pass


@pytest.mark.parametrize("table", ["CREATE TABLE changes (id INTEGER)", "SELECT 1"])
def test_a_database_without_a_log(tmp_path: Path, table: str) -> None:
    shop = Database(f"sqlite:///{tmp_path}/plain.db", cached_rows=10)
    shop.migrate()
    shop.raw_execute(table)
    with shop.session(cached=True):
        assert Managers(shop).users.count() == 0
        with pytest.raises(errors.HistoryError, match="expected a database that records its changes"):
            Managers(shop).users.find_by_id(1)
    shop.close()


def test_a_hit_is_a_short_walk(shop: Database, managers: Managers, ada: User) -> None:
    with shop.session(cached=True):
        assert calls(lambda: managers.users.find_by_id(ada.id)) <= 10


@pytest.mark.alone
def test_a_hit_takes_a_part_of_a_lookup(shop: Database, managers: Managers, ada: User) -> None:
    def seconds() -> float:
        started = time.perf_counter()
        for _ in range(50):
            managers.users.find_by_id(ada.id)
        return time.perf_counter() - started

    asked, held = [], []
    for _ in range(40):
        with shop.session():
            seconds()
            asked.append(seconds())
        with shop.session(cached=True):
            seconds()
            held.append(seconds())
    assert min(held) < (0.7 if shop.dialect == "sqlite" else 0.3) * min(asked)
