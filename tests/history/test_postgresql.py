"""What only PostgreSQL's log can promise."""

from __future__ import annotations

import threading
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from cloudpub_models import ALL_ROWS, Component, Database, Managers, errors
from cloudpub_models.entity import Entity, UuidField
from cloudpub_models.history import postgresql
from cloudpub_models.schema.drift.script import statements_of_database
from cloudpub_models.sql import POSTGRESQL
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])


def test_a_temporary_table_does_not_divert_it(managers: Managers) -> None:
    database = managers.users.database
    with database.session():
        database.raw_execute("CREATE TEMP TABLE changes (LIKE changes)")
        ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        database.raw_execute("DROP TABLE pg_temp.changes")
    assert [change.operation for change in managers.users.history(ada.id)] == ["insert"]


def test_one_who_may_write_a_table_need_not_have_rights_on_the_log(managers: Managers) -> None:
    database = managers.users.database
    database.raw_execute("CREATE ROLE history_writer")
    try:
        database.raw_execute("GRANT SELECT, INSERT, UPDATE ON users TO history_writer")
        database.raw_execute("GRANT USAGE ON SEQUENCE users_id_seq TO history_writer")
        with database.session():
            database.raw_execute("SET ROLE history_writer")
            database.raw_execute("INSERT INTO users (email, password_hash) VALUES ('ada@example.com', '…')")
            with pytest.raises(errors.CloudpubError, match="permission denied"):
                database.raw_execute("DELETE FROM changes")
            database.raw_execute("RESET ROLE")
        assert [change.operation for change in managers.users.history(1)] == ["insert"]
    finally:
        database.raw_execute("DROP OWNED BY history_writer")
        database.raw_execute("DROP ROLE history_writer")


def test_a_column_that_nobody_told_of_is_recorded(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    database.raw_execute("ALTER TABLE users ADD COLUMN nickname TEXT")
    database.raw_execute("UPDATE users SET nickname = 'countess'")
    assert managers.users.history(ada.id)[0].after == {"nickname": "countess"}
    assert database.history.faulty_tables() == ()


def test_a_column_that_is_gone_disturbs_nobody(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": ada.id, "name": "resize"})
    database.raw_execute("ALTER TABLE functions DROP COLUMN analysis_result")
    database.raw_execute("ALTER TABLE functions RENAME COLUMN status TO state")
    database.raw_execute("UPDATE functions SET name = 'crop', state = 'inactive'")
    change = managers.functions.history(function.id)[0]
    assert (change.before, change.after) == (
        {"name": "resize", "state": "active"},
        {"name": "crop", "state": "inactive"},
    )


ALTERED = {
    "a column more": ("ADD COLUMN nickname TEXT DEFAULT 'x'", "DROP COLUMN nickname"),
    "a column less": ("DROP COLUMN analysis_result", "ADD COLUMN analysis_result JSONB"),
    "a column renamed": ("RENAME COLUMN active_deployment_id TO d", "RENAME COLUMN d TO active_deployment_id"),
    "another type": ("ALTER COLUMN name TYPE TEXT", "ALTER COLUMN name TYPE VARCHAR(100)"),
    "a type without equality": ("ALTER COLUMN analysis_result TYPE JSON", "ALTER COLUMN analysis_result TYPE JSONB"),
    "another type of the key": ("ALTER COLUMN id TYPE BIGINT", "ALTER COLUMN id TYPE INTEGER"),
}


def test_a_session_goes_on_recording_when_somebody_alters_a_table(managers: Managers, database_url: str) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    function = managers.functions.insert({"user_id": ada.id, "name": "a"})
    somebody = Database(database_url)

    def updated(table: str, name: str) -> list[tuple[Any, ...]]:
        database.raw_execute(f"UPDATE {table} SET name = @name, updated_at = now()", {"name": name})
        recorded = "SELECT row_id, new_values FROM changes WHERE table_name = 'functions' ORDER BY id DESC LIMIT 1"
        return [tuple(row.values()) for row in database.raw_query_all(recorded)]

    with database.session():
        assert updated("functions", "b") == [(function.id, {"name": "b"})]  # by now the session has its plans
        for there, back in ALTERED.values():
            somebody.raw_execute(f"ALTER TABLE functions {there}")
            assert updated("functions", f"after {there}") == [(function.id, {"name": f"after {there}"})]
            with pytest.raises(ZeroDivisionError), database.transaction():
                database.raw_execute("ALTER TABLE functions ADD COLUMN passing TEXT")
                assert updated("functions", "in passing") == [(function.id, {"name": "in passing"})]
                raise ZeroDivisionError
            somebody.raw_execute(f"ALTER TABLE functions {back}")
            assert updated("functions", f"after {back}") == [(function.id, {"name": f"after {back}"})]
        somebody.raw_execute("ALTER TABLE functions RENAME TO works")
        assert updated("works", "z") == [(function.id, {"name": "z"})]
        somebody.raw_execute("ALTER TABLE works ALTER COLUMN id TYPE BIGINT")
        database.raw_execute("DELETE FROM works")
    somebody.close()
    last = database.raw_query_single("SELECT row_id, operation::text AS did FROM changes ORDER BY id DESC LIMIT 1")
    assert last == {"row_id": function.id, "did": "D"}


def test_a_snapshot_that_is_older_than_a_column_hides_no_change(managers: Managers, database_url: str) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    somebody = Database(database_url)
    with database.session():
        database.raw_execute("UPDATE users SET email = 'b@example.com'")
        with database.transaction(isolation="REPEATABLE READ"):
            database.raw_query_all("SELECT 1 FROM functions")
            somebody.raw_execute("ALTER TABLE users ADD COLUMN nickname TEXT")
            database.raw_execute("UPDATE users SET nickname = 'c', email = 'c@example.com'")
        database.raw_execute("UPDATE users SET nickname = 'd'")
    somebody.close()
    assert [change.after for change in managers.users.history(ada.id)[:2]] == [
        {"nickname": "d"},
        {"nickname": "c", "email": "c@example.com"},
    ]


def test_a_statement_that_has_waited_for_an_alteration_hides_no_change(managers: Managers, database_url: str) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    somebody, waiting = Database(database_url), Database(database_url)
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def work() -> None:
        with waiting.session():
            waiting.raw_execute("PREPARE change AS UPDATE users SET email = email || 'm'")
            waiting.raw_execute("EXECUTE change")
            ready.set()
            altered.wait(60)
            waiting.raw_execute("EXECUTE change")
            waiting.raw_execute("UPDATE users SET nickname = 'd'")

    ready, altered = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(60)
    with somebody.transaction():
        somebody.raw_execute("ALTER TABLE users ADD COLUMN nickname TEXT")
        altered.set()
        wait_until(lambda: database.raw_query_all(waits))
    thread.join(60)
    for each in (somebody, waiting):
        each.close()
    assert managers.users.history(ada.id)[0].after == {"nickname": "d"}


def test_a_secret_is_one_in_an_altered_table_too(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "before"})
    database.raw_execute("ALTER TABLE users ADD COLUMN nickname TEXT")
    database.raw_execute("UPDATE users SET nickname = 'countess', password_hash = 'after'")
    database.raw_execute("UPDATE users SET updated_at = now()")
    (change,) = managers.users.history(ada.id)[:-1]
    assert change.before == {"nickname": None, "password_hash": "***"}
    assert change.after == {"nickname": "countess", "password_hash": "***"}


def test_a_schema_that_is_made_anew_records_too(managers: Managers, empty_postgresql_url: str) -> None:
    made = Database(empty_postgresql_url)
    for statement in statements_of_database(managers.users.database.engine):
        made.engine.execute_sql(statement.replace("%", "%%"))
    ada = Managers(made).users.insert({"email": "ada@example.com", "password_hash": "…"})
    Managers(made).users.update_by_id(ada.id, {"email": "a@example.com"})
    assert Managers(made).users.history(ada.id)[0].after == {"email": "a@example.com"}
    made.close()


def test_what_columns_a_table_has_is_asked_once(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})

    def asked(numbers: range) -> int:
        for number in numbers:
            managers.users.update_by_id(ada.id, {"email": f"{number}@example.com"})
        database.raw_execute("SELECT pg_stat_force_next_flush()")
        calls = database.raw_query_single(
            "SELECT sum(calls)::int AS n FROM pg_stat_user_functions WHERE funcname = 'changes_columns'"
        )
        assert calls is not None
        return calls["n"] or 0

    with database.session():
        database.raw_execute("SET track_functions = 'all'")
        before = asked(range(3))
        # Whatever the server's own upkeep makes of it, that is not each time.
        after = asked(range(3, 43))
        assert after < before + 20
        database.raw_execute("ALTER TABLE users ALTER COLUMN email SET STATISTICS 50")
        assert asked(range(43, 46)) > after
        database.raw_execute("RESET track_functions")


def test_values_that_only_their_types_take_for_equal_are_told_apart(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    odd = 'it\'s $change$ {odd} 100%s "one"'
    database.raw_execute(
        "ALTER TABLE users ADD COLUMN pause INTERVAL DEFAULT '1 day', ADD COLUMN notes JSON DEFAULT '[]', "
        f"ADD COLUMN {POSTGRESQL.quote(odd)} TEXT"
    )
    database.history.enable()
    database.raw_execute(f"UPDATE users SET pause = '24 hours', notes = '[1]', {POSTGRESQL.quote(odd)} = 'y'")
    assert managers.users.history(ada.id)[0].after == {"pause": "24:00:00", "notes": [1], odd: "y"}
    assert database.history.faulty_tables() == ()


UNSTEADY = (
    "share DOUBLE PRECISION DEFAULT 0.30000000000000004",
    "part REAL DEFAULT 0.1",
    r"picture BYTEA DEFAULT '\x0041ff5c'",
    "pause INTERVAL DEFAULT '1 day -02:00'",
    "shares DOUBLE PRECISION[] DEFAULT '{0.1}'",
)
OTHER_SETTINGS = (
    "SET extra_float_digits = -15",
    "SET bytea_output = escape",
    "SET intervalstyle = sql_standard",
    "SET standard_conforming_strings = off",
    "SET datestyle = 'German'",
)


@pytest.mark.parametrize("is_told", [True, False])
def test_settings_of_whoever_writes_change_nothing_that_is_recorded(
    managers: Managers, database_url: str, is_told: bool
) -> None:
    database = managers.users.database
    for column in UNSTEADY:
        database.raw_execute(f"ALTER TABLE users ADD COLUMN {column}")
    if is_told:
        database.history.enable()
    recorded = []
    for settings in ((), OTHER_SETTINGS):
        ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
        foreign = Database(database_url)
        with foreign.session():
            for setting in settings:
                foreign.raw_execute(setting)
            foreign.raw_execute("UPDATE users SET share = 0.1, part = 0.3, picture = NULL, pause = NULL, shares = NULL")
            foreign.raw_execute("DELETE FROM users")
        foreign.close()
        deleted, updated = managers.users.history(ada.id)[:2]
        recorded.append((updated.before, updated.after, {name: deleted.before[name] for name in ("share", "part")}))
    assert recorded[0] == recorded[1]
    assert recorded[0][0] == {
        "share": Decimal("0.30000000000000004"),
        "part": Decimal("0.1"),
        "picture": r"\x0041ff5c",
        "pause": "1 day -02:00:00",
        "shares": [0.1],
    }
    assert recorded[0][2] == {"share": Decimal("0.1"), "part": Decimal("0.3")}


@pytest.mark.parametrize("is_told", [True, False])
def test_a_document_that_the_log_cannot_hold_stops_no_writer(managers: Managers, is_told: bool) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    database.raw_execute("ALTER TABLE users ADD COLUMN notes JSON")
    if is_told:
        database.history.enable()
    with database.session():
        database.raw_execute("SET standard_conforming_strings = off")
        for notes in (r'{"a": ["\u0000\u0000x\\u0000\\\u0000"]}', "[1]"):
            database.raw_execute("UPDATE users SET notes = @notes", {"notes": notes})
        database.raw_execute("UPDATE users SET notes = @notes", {"notes": r'"\u0000"'})
        database.raw_execute("DELETE FROM users")
    deleted, *updated = managers.users.history(ada.id)[:-1]
    assert [change.after["notes"] for change in updated] == ["\ufffd", [1], {"a": ["\ufffd\ufffdx\\u0000\\\ufffd"]}]
    assert deleted.before["notes"] == "\ufffd"


@pytest.mark.parametrize("output", ["hex", "escape"])
def test_bytes_are_read_however_they_were_written_down(database: Database, output: str) -> None:
    value = bytes(range(256)) + rb"\\x\134"
    with database.session():
        database.raw_execute(f"SET bytea_output = {output}")
        written = database.raw_query_single("SELECT CAST(CAST(@value AS BYTEA) AS TEXT) AS text", {"value": value})
    assert written is not None
    assert postgresql.blob_from(written["text"]) == value


def test_a_function_that_was_tampered_with_is_found(managers: Managers) -> None:
    database = managers.users.database
    made = database.raw_query_single("SELECT prosrc FROM pg_proc WHERE proname = 'users_record_change'")
    assert made is not None
    nothing = "BEGIN RETURN NULL; END"
    altered = made["prosrc"].replace("password_hash", "passwords")
    for body in (altered, nothing, f"-- made for 7 [7]\n{nothing}", f"-- made for \n{nothing}"):
        database.engine.execute_sql(
            "CREATE OR REPLACE FUNCTION users_record_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
            f"AS $body${body}$body$".replace("%", "%%")
        )
        assert database.history.faulty_tables() == ("users",)
    database.history.enable()
    assert database.history.faulty_tables() == ()


def test_a_deletion_is_recorded_for_a_statement_at_once(managers: Managers) -> None:
    database = managers.users.database
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    functions = [managers.functions.insert({"user_id": ada.id, "name": f"f{number}"}) for number in range(20)]
    for function in functions:
        managers.function_deployments.deploy(function, "image", "key")
    calls = "SELECT funcname, calls::int FROM pg_stat_xact_user_functions WHERE funcname LIKE '%_record_change'"
    with database.transaction():
        database.raw_execute("SET LOCAL track_functions = 'all'")
        database.raw_execute("DELETE FROM users")
        called = {row["funcname"]: row["calls"] for row in database.raw_query_all(calls)}
        assert set(called.values()) == {1}
        assert {"users_record_change", "functions_record_change", "function_deployments_record_change"} <= set(called)
    recorded = database.history.of_transaction(managers.users.history(ada.id)[0].transaction_id)
    assert Counter(change.table for change in recorded) == {"users": 1, "functions": 20, "function_deployments": 20}
    assert sorted(change.row_id for change in recorded if change.table == "functions") == [
        each.id for each in functions
    ]


def test_a_deletion_from_an_altered_table_has_all_that_rows_had(managers: Managers) -> None:
    database = managers.users.database
    for name in ("ada", "grace"):
        managers.users.insert({"email": f"{name}@example.com", "password_hash": "…"})
    database.raw_execute("ALTER TABLE users ADD COLUMN share DOUBLE PRECISION DEFAULT 0.1, DROP COLUMN created_at")
    ids = managers.users.values("id", order_by="id")
    with database.session():
        database.raw_execute("SET extra_float_digits = -15")
        database.raw_execute("DELETE FROM users")
    for id, name in zip(ids, ("ada", "grace"), strict=True):
        before = managers.users.history(id)[0].before
        assert (before["id"], before["email"], before["share"]) == (id, f"{name}@example.com", Decimal("0.1"))
        assert before.keys().isdisjoint(("password_hash", "created_at"))


def test_triggers_that_were_made_otherwise_are_made_anew(managers: Managers) -> None:
    database = managers.users.database
    (made,) = database.raw_query_all("SELECT prosrc FROM pg_proc WHERE proname = 'users_record_change'")
    row_by_row = made["prosrc"].replace("deleted AS r", "(SELECT OLD.*) AS r")
    for statement in (
        "CREATE OR REPLACE FUNCTION users_record_change() RETURNS trigger LANGUAGE plpgsql "
        f"AS $body${row_by_row}$body$",
        "CREATE OR REPLACE TRIGGER users_record_delete AFTER DELETE ON users FOR EACH ROW "
        "EXECUTE FUNCTION users_record_change()",
    ):
        database.engine.execute_sql(statement.replace("%", "%%"))
    assert database.history.faulty_tables() == ("users",)
    assert database.history.enable() == ()
    assert database.history.faulty_tables() == ()
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    managers.users.delete_by_id(ada.id)
    assert [change.operation for change in managers.users.history(ada.id)] == ["delete", "insert"]


class Voucher(Entity):
    """A table whose key is no number."""

    code = UuidField(primary_key=True)

    class Meta:
        """Its table."""

        table_name = "vouchers"
        tracked = True


def test_keys_that_are_no_numbers_have_their_index_where_there_are_some(database_url: str) -> None:
    database = Database(database_url, components=[Component("vouchers", [Voucher])])
    index = "SELECT tablename FROM pg_indexes WHERE indexname = 'changes_row_key_idx'"
    plain = Database(database_url)
    plain.history.enable()
    plain.close()
    assert database.raw_query_all(index) == []
    with database.bind_ctx([Voucher]):
        database.create_tables([Voucher])
    assert database.history.enable() == ("vouchers",)
    assert database.raw_query_all(index) == [{"tablename": "changes"}]
    code = Managers(database).for_model(Voucher).insert({}).code
    assert [change.operation for change in Managers(database).for_model(Voucher).history(code)] == ["insert"]
    database.close()


@pytest.mark.alone
def test_an_update_of_many_rows_has_no_quadratic_plan(database: Database) -> None:
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    managers.functions.batch_insert({"user_id": ada.id, "name": f"f{number}"} for number in range(10_000))

    def seconds(status: str) -> float:
        started = time.perf_counter()
        database.raw_execute("UPDATE functions SET status = @status", {"status": status})
        return time.perf_counter() - started

    # The fastest of several, by turns: the first ones make the table's file longer, and machines do other things too.
    without, recorded = [], []
    for off, on in ("ab", "cd", "ef", "gh"):
        database.history.disable()
        without.append(seconds(off))
        database.history.enable()
        recorded.append(seconds(on))
    assert min(recorded) < 4 * min(without)
    assert managers.functions.delete(ALL_ROWS) == 10_000
    assert len(database.history.of_transaction(managers.functions.history(1)[0].transaction_id)) == 10_000
