"""Row security by owners, tried by a role that it holds: managers, raw SQL, streams, batches and migrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudpub_models import Component, Database, Managers, User, errors, operators
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.schema.row_security import switch_off, switch_on
from tests.schema.roles import owned_by_program

TABLES = tuple(model._meta.table_name for model in ALL_MODELS)


@pytest.fixture
def program_url(postgresql_url: str) -> str:
    """The URL by which a role that row security holds connects, to tables of its own."""
    return owned_by_program(postgresql_url)


@pytest.fixture(params=[False, True], ids=["plain", "prepared"])
def database(request: pytest.FixtureRequest, program_url: str) -> Iterator[Database]:
    """A database of that role's, guarded."""
    database = Database(program_url, row_security=True, prepared=request.param)
    assert switch_on(database.engine, database.models, User) == TABLES
    yield database
    database.close()


@pytest.fixture
def managers(database: Database) -> Managers:
    return Managers(database)


@pytest.fixture
def rows(managers: Managers) -> dict[str, Any]:
    """Two users with a function and three log lines each."""
    made: dict[str, Any] = {}
    for name in ("ada", "grace"):
        user = managers.unrestricted("sign-up").users.insert({"email": f"{name}@example.com", "password_hash": "…"})
        own = managers.owned_by(user)
        function = own.functions.insert({"name": f"work of {name}"})
        own.function_logs.batch_insert(
            {"function_id": function.id, "level": "info", "message": f"{number} of 100%"} for number in range(3)
        )
        made[name] = (user, function)
    return made


def test_each_sees_what_it_says_that_it_may(managers: Managers, rows: dict[str, Any]) -> None:
    ada, function = rows["ada"]
    mine = managers.owned_by(ada)
    assert mine.functions.find_all() == [function]
    assert mine.function_logs.count({"message": operators.like("%100\\%")}) == 3
    assert mine.functions.get_function_details(function.uuid).user == ada  # type: ignore[union-attr]
    assert mine.function_deployments.deploy(function, "image", "key").version == 1
    assert mine.functions.find_one(include=("user", "deployments", "logs")).user == ada  # type: ignore[union-attr]
    assert mine.function_invocations.get_function_stats(function).total == 0
    assert managers.unrestricted("statistics").function_logs.count() == 6
    assert managers.functions.count() == 0
    assert managers.functions.update({"status": "x"}, {"id": function.id}) == []


def test_raw_sql_of_the_program_finds_nothing(database: Database, managers: Managers, rows: dict[str, Any]) -> None:
    for table in TABLES:
        assert database.raw_query_all(f"SELECT id FROM {table}") == []
    assert database.raw_execute("UPDATE functions SET status = 'x'") == 0
    assert database.raw_execute("DELETE FROM function_logs") == 0
    with pytest.raises(errors.CloudpubError, match="row-level security"):
        database.raw_execute("INSERT INTO users (email, password_hash) VALUES ('eve@example.com', '…')")
    assert managers.unrestricted("to see").function_logs.count() == 6


def test_raw_sql_beside_an_owner_s_managers_finds_the_owner_s_rows(
    database: Database, managers: Managers, rows: dict[str, Any]
) -> None:
    (ada, function), (_, theirs) = rows["ada"], rows["grace"]
    mine = managers.owned_by(ada)
    with database.transaction():
        assert mine.functions.count() == 1
        assert database.raw_query_all("SELECT id FROM functions") == [{"id": function.id}]
        assert database.raw_query_all("SELECT DISTINCT function_id AS id FROM function_logs") == [{"id": function.id}]
        assert database.raw_execute("DELETE FROM function_logs WHERE function_id = @id", {"id": theirs.id}) == 0
        assert database.raw_execute("UPDATE functions SET name = 'x' WHERE id = @id", {"id": theirs.id}) == 0
    for sql in (
        "INSERT INTO function_logs (function_id, level, message) VALUES (@id, 'info', '…')",
        "UPDATE function_logs SET function_id = @id",
    ):
        with pytest.raises(errors.CloudpubError, match="row-level security"), database.transaction():
            assert mine.functions.count() == 1
            database.raw_execute(sql, {"id": theirs.id})
    assert database.raw_query_all("SELECT id FROM functions") == []


def test_it_is_told_in_the_same_message(database: Database, managers: Managers, rows: dict[str, Any]) -> None:
    mine = managers.owned_by(rows["ada"][0])
    sent: list[str] = []
    database.on_query(lambda query: sent.append(query.sql))
    assert mine.functions.count() == 1
    (told,) = sent
    assert told.startswith("SELECT set_config('cloudpub.owner_id', '")
    assert told.endswith("; SELECT COUNT(*) AS count FROM functions WHERE user_id = %s")


def test_batches_and_streams(database: Database, managers: Managers, rows: dict[str, Any]) -> None:
    ada, function = rows["ada"]
    mine = managers.owned_by(ada)
    sent: list[str] = []
    database.on_query(lambda query: sent.append(query.sql))
    line = {"function_id": function.id, "level": "warn", "message": "…"}
    assert mine.function_logs.batch_insert(line for _ in range(5)) == 5
    assert len(mine.function_logs.batch_insert([line], returning=True)) == 1
    assert not any("COPY" in sql for sql in sent)
    assert len(list(mine.function_logs.iterate(chunk_size=4))) == 9
    assert len(list(mine.function_logs.iterate({"level": "warn"}, chunk_size=4, include=("function",)))) == 6
    with database.transaction():
        assert len(list(mine.function_logs.iterate({"level": "info"}, chunk_size=2))) == 3
    assert len(list(managers.unrestricted("export").function_logs.iterate())) == 12
    assert list(managers.function_logs.iterate()) == []


def test_the_owner_is_asked_for_once_in_a_statement(database: Database, rows: dict[str, Any]) -> None:
    plan = "\n".join(row["QUERY PLAN"] for row in database.raw_query_all("EXPLAIN SELECT id FROM function_logs"))
    assert "InitPlan" in plan
    assert "current_setting" not in plan.partition("InitPlan")[0]


def test_a_migration_is_about_all_rows(
    program_url: str, database: Database, managers: Managers, rows: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "0001_states.py").write_text(
        "def up(migrator, database):\n    database.execute_sql(\"UPDATE functions SET status = 'seen'\")\n"
        "def down(migrator, database):\n    pass\n"
    )
    states = Database(program_url, components=[Component("states", migrations=tmp_path, after=["cloudpub"])])
    assert states.migrate() == ["states.0001_states"]
    assert states.raw_query_all("SELECT id FROM functions") == []
    states.close()
    assert set(managers.unrestricted("to see").functions.values("status")) == {"seen"}


def test_off_and_on_again(database: Database, managers: Managers, rows: dict[str, Any]) -> None:
    assert switch_on(database.engine, database.models, User) == TABLES
    assert managers.users.count() == 0
    database.raw_execute("CREATE POLICY my_own ON users USING (true)")
    assert switch_off(database.engine, database.models) == TABLES
    assert switch_off(database.engine, database.models) == ()
    assert managers.users.count() == managers.functions.count() == 2
    state = "SELECT relrowsecurity AS held FROM pg_class WHERE oid = @table::regclass"
    assert [database.raw_query_single(state, {"table": t})["held"] for t in ("users", "functions")] == [True, False]  # type: ignore[index]


def refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_roles_that_it_does_not_hold_are_refused(postgresql_url: str) -> None:
    as_superuser = Database(postgresql_url)
    refused(lambda: switch_on(as_superuser.engine, ALL_MODELS, User), "expected a role that row security holds; got ")
    as_superuser.close()
    trusting = Database(postgresql_url, row_security=True)
    refused(
        lambda: Managers(trusting).owned_by(User(id=1, uuid="x")).users.count(), "a superuser or one with BYPASSRLS"
    )
    assert not trusting.is_open


def test_sqlite_has_none() -> None:
    plain = Database("sqlite:///:memory:")
    refused(lambda: switch_on(plain.engine, ALL_MODELS, User), "expected a database with row security")
    refused(lambda: switch_off(plain.engine, ALL_MODELS), "expected a database with row security")
    refused(Database("sqlite:///:memory:", row_security=True).ping, "as PostgreSQL has it; got sqlite")
