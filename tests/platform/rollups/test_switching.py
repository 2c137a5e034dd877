"""Rollups switched on and off: whole, known to the tools, mended, refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from cloudpub_models import Database, Managers
from cloudpub_models.errors import ConfigurationError, MigrationError
from cloudpub_models.platform.rollups import counting, switching
from cloudpub_models.schema.drift.compare import find_drift
from cloudpub_models.schema.migrations.migrator import Migrator
from tests.platform.rollups.conftest import BEGIN, Insert

Total = Callable[..., int]


@pytest.mark.usefixtures("kept_references", "session_locks")
def test_on_and_off_again(managers: Managers) -> None:
    assert not counting.is_on(managers.database)
    assert managers.function_invocations.enable_rollups()
    assert not managers.function_invocations.enable_rollups()
    assert switching.has_triggers(managers.database)
    assert counting.state_of(managers.database) == (counting.BEGINNING, counting.BEGINNING)
    assert find_drift(managers.database.engine, managers.database.models) == []
    assert managers.function_invocations.disable_rollups()
    assert not managers.function_invocations.disable_rollups()
    names = {"postgresql": "SELECT relname FROM pg_class", "sqlite": "SELECT name AS relname FROM sqlite_master"}
    left = managers.database.raw_query_all(names[managers.database.dialect])
    assert [row for row in left if "rollup" in row["relname"]] == []


def test_triggers_that_are_gone_are_made_anew_and_all_is_counted_again(
    rolled: Managers, insert: Insert, total: Total, backend: str
) -> None:
    insert(0)
    rolled.function_invocations.prune(BEGIN.replace(hour=23))
    insert(60)
    rolled.function_invocations.rollup()
    on = " ON function_invocations" if backend == "postgresql" else ""
    rolled.database.raw_execute(f"DROP TRIGGER function_invocation_rollups_delete{on}")
    rolled.database.raw_execute("DELETE FROM function_invocations")
    assert not switching.has_triggers(rolled.database)
    insert(61)
    assert rolled.function_invocations.enable_rollups()
    assert switching.has_triggers(rolled.database)
    assert total() == 2  # of which one is frozen
    rolled.function_invocations.rollup()
    assert (total(), counting.marks_of(rolled.database)) == (2, 0)


def test_it_wants_tables_of_invocations(empty_database: Database) -> None:
    with pytest.raises(ConfigurationError, match="as the owner of the tables"):
        Managers(empty_database).function_invocations.enable_rollups()
    assert not counting.is_on(empty_database)


@pytest.fixture
def empty_database(backend: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    url = "sqlite:///:memory:" if backend == "sqlite" else request.getfixturevalue("empty_postgresql_url")
    database = Database(url)
    yield database
    database.close()


def test_it_wants_no_open_transaction(managers: Managers) -> None:
    with managers.database.transaction(), pytest.raises(MigrationError, match="no open transaction"):
        managers.function_invocations.enable_rollups()


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.usefixtures("session_locks")
def test_who_may_make_no_triggers_makes_nothing(database: Database, database_url: str) -> None:
    role = f"stranger_{uuid4().hex}"
    database.raw_execute(f"CREATE ROLE {role} LOGIN")
    try:
        database.raw_execute(f"GRANT CREATE ON SCHEMA public TO {role}")
        database.raw_execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        database.raw_execute(f"GRANT REFERENCES ON functions TO {role}")
        separator = "&" if "?" in database_url else "?"
        stranger = Database(f"{database_url}{separator}options=-crole%3D{role}")
        with pytest.raises(ConfigurationError, match="as the owner of the tables"):
            Managers(stranger).function_invocations.enable_rollups()
        stranger.close()
        assert not counting.is_on(database)
    finally:
        database.raw_execute(f"DROP OWNED BY {role}")
        database.raw_execute(f"DROP ROLE {role}")


def test_a_migration_leaves_them_alone(database: Database, rolled: Managers, insert: Insert, total: Total) -> None:
    insert(0)
    rolled.function_invocations.rollup()
    migrator = Migrator(database.engine, database.components)
    applied = [status.name for status in migrator.status() if status.state == "applied"]
    migrator.down()
    assert migrator.up() == applied[-1:]
    assert switching.has_triggers(database)
    insert(1)
    assert total() == 2
