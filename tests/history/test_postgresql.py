"""What only PostgreSQL's log can promise."""

from __future__ import annotations

import time

import pytest

from cloudpub_models import ALL_ROWS, Component, Database, Managers, errors
from cloudpub_models.entity import Entity, UuidField

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
