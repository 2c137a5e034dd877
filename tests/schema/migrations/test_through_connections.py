"""Migrations, drift and adoption on the library's own connections: the pool, its transactions, its typed errors."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloudpub_models import Database, User
from cloudpub_models.errors import ConnectionLostError, MigrationError
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Migrator, find_drift


@pytest.fixture
def fresh(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if backend == "sqlite":
        url = f"sqlite:///{tmp_path / 'fresh.db'}"
    else:
        url = request.getfixturevalue("empty_postgresql_url")
    database = Database(url)
    yield database
    database.close()


def test_from_nothing_to_the_schema_and_back(fresh: Database) -> None:
    migrator = Migrator(fresh.engine, component)
    names = [script.name for script in migrator.scripts()]
    assert fresh.migrate() == names
    assert fresh.migrate() == []
    assert find_drift(fresh.engine, component.models) == []
    with fresh.bind():
        User.create(email="a@b.c", password_hash="x")
        assert User.select().count() == 1
    assert migrator.down(names[0]) == names[::-1]
    assert {difference.kind for difference in find_drift(fresh.engine, component.models)} == {"table"}


def test_an_in_memory_database_keeps_its_schema() -> None:
    database = Database("sqlite:///:memory:")
    database.migrate()
    with ThreadPoolExecutor(1) as other_thread:
        assert other_thread.submit(database.raw_query_all, "SELECT count(*) AS n FROM users").result() == [{"n": 0}]
    database.close()


def test_many_threads_migrate_one_database(fresh: Database) -> None:
    with ThreadPoolExecutor(5) as threads:
        applied = [name for names in threads.map(lambda _: fresh.migrate(), range(5)) for name in names]
    migrator = Migrator(fresh.engine, component)
    names = [script.name for script in migrator.scripts()]
    assert sorted(applied) == names, "each once, by whichever thread came first"
    records = sorted(migrator.applied().values(), key=lambda record: record.applied_at)
    assert [record.name for record in records] == names
    assert find_drift(fresh.engine, component.models) == []


def test_a_failure_leaves_nothing_and_every_connection_usable(fresh: Database, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "0001_a.py").write_text(
        "def up(migrator, db):\n    db.execute_sql('CREATE TABLE a (id INTEGER)')\n"
        "    db.execute_sql('SELECT nothing')\n"
    )
    with pytest.raises(MigrationError, match="0001_a failed"):
        Migrator(fresh.engine, component.with_migrations(scripts)).up()
    assert Migrator(fresh.engine, component.with_migrations(scripts)).pending() == ["0001_a"]
    fresh.raw_execute("CREATE TABLE a (id INTEGER)")
    fresh.migrate()
    assert find_drift(fresh.engine, component.models) == []
    if fresh.dialect == "sqlite":
        assert fresh.raw_query_single("PRAGMA foreign_keys") == {"foreign_keys": 1}
    else:
        assert fresh.raw_query_all("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") == []


def test_in_a_session_and_not_in_a_transaction(fresh: Database) -> None:
    with fresh.session():
        fresh.migrate()
        fresh.raw_execute("DELETE FROM users")
    with fresh.transaction(), pytest.raises(MigrationError, match="expected no open transaction"):
        fresh.migrate()


def test_adoption(fresh: Database) -> None:
    fresh.migrate()
    fresh.raw_execute("DROP TABLE cloudpub_migrations")
    fresh.raw_execute("DROP INDEX function_logs_timestamp_idx")
    report = Migrator(fresh.engine, component).adopt()
    assert report.recorded == ("0001_initial",)
    assert report.statements == ("CREATE INDEX function_logs_timestamp_idx ON function_logs (timestamp);",)


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_backend_lost_in_mid_migration(fresh: Database, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    script = scripts / "0001_a.py"
    text = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE a (id INTEGER)')\n"
    script.write_text(text + "    db.execute_sql('SELECT pg_terminate_backend(pg_backend_pid())')\n")
    with pytest.raises(ConnectionLostError):
        Migrator(fresh.engine, component.with_migrations(scripts)).up()
    script.write_text(text)
    assert Migrator(fresh.engine, component.with_migrations(scripts), lock_timeout=60).up() == ["0001_a"]
