"""A plan is what the migration then sends, and making one changes nothing and keeps nobody waiting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peewee
import pytest

from cloudpub_models.errors import MigrationError
from cloudpub_models.platform.component import component
from cloudpub_models.schema import Migrator, read_catalogue
from cloudpub_models.schema.safety.plan import plan_migrations

Connect = Callable[[], peewee.Database]
Write = Callable[..., Migrator]

THINGS = """
from playhouse.migrate import migrate
import peewee

def up(migrator, db):
    db.execute_sql("CREATE TABLE things (id INTEGER PRIMARY KEY, name VARCHAR(20))")
    for number in range(3):
        db.execute_sql("INSERT INTO things (id) VALUES (" + migrator.database.param + ")", (number,))

def down(migrator, db):
    db.execute_sql("DROP TABLE things")
"""
CHANGES = """
from playhouse.migrate import migrate
import peewee

def up(migrator, db):
    assert db.table_exists("things")
    with db.atomic():
        migrate(
            migrator.add_column("things", "size", peewee.IntegerField(null=True)),
            migrator.rename_column("things", "name", "title"),
            migrator.add_index("things", ("title",)),
        )
    class Thing(peewee.Model):
        title = peewee.CharField()
        class Meta:
            database = db
            table_name = "things"
    Thing.update(title="x").execute()

def down(migrator, db):
    migrate(migrator.drop_column("things", "size"))
"""


@pytest.fixture
def write(empty: peewee.Database, tmp_path: Path) -> Write:
    """Write scripts and give a migrator for them."""

    def write_scripts(*scripts: str) -> Migrator:
        directory = tmp_path / "scripts"
        directory.mkdir(exist_ok=True)
        for number, script in enumerate(scripts, 1):
            (directory / f"{number:04d}_step.py").write_text(script)
        return Migrator(empty, component.with_migrations(directory))

    return write_scripts


def sent_by(database: peewee.Database, work: Callable[[], Any]) -> list[str]:
    """What goes through ``execute_sql`` while something is done."""
    sent: list[str] = []
    original = database.execute_sql

    def recording(sql: str, params: Any = None) -> Any:
        sent.append(sql)
        return original(sql, params)

    vars(database)["execute_sql"] = recording
    try:
        work()
    finally:
        del vars(database)["execute_sql"]
    return sent


def planned_texts(migrator: Migrator, direction: Any = "up", target: str | None = None) -> list[str]:
    migrations = plan_migrations(migrator, direction, target)
    assert [(one.stopped, one.doubt) for one in migrations] == [(None, None)] * len(migrations)
    return [statement.sql for one in migrations for statement in one.statements for _ in range(statement.times)]


def own_statements(sent: list[str]) -> list[str]:
    return [sql for sql in sent if "things" in sql and "cloudpub_migrations" not in sql and "pg_" not in sql[:200]]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_plan_is_what_is_sent(write: Write, direction: Any) -> None:
    migrator = write(THINGS)
    migrator.up()
    migrator = write(THINGS, CHANGES)
    if direction == "down":
        migrator.up()
    planned = planned_texts(migrator, direction)
    sent = sent_by(migrator.database, getattr(migrator, direction))
    writes = [sql for sql in own_statements(sent) if not sql.lstrip().upper().startswith(("SELECT", "PRAGMA"))]
    planned = [sql for sql in planned if not sql.startswith("PRAGMA")]
    assert planned == writes
    assert len(planned) >= (4 if direction == "up" else 1)


def test_a_plan_changes_nothing(write: Write) -> None:
    migrator = write(THINGS, CHANGES)
    migrator.up("0001_step")
    before = (read_catalogue(migrator.database), migrator.applied())
    assert planned_texts(migrator)
    assert planned_texts(migrator, "down")
    assert (read_catalogue(migrator.database), migrator.applied()) == before
    assert migrator.database.execute_sql("SELECT count(*) FROM things").fetchone() == (3,)
    assert not migrator.database.in_transaction()
    assert migrator.up() == ["0002_step"]


def test_the_migrations_of_this_package(empty: peewee.Database) -> None:
    migrator = Migrator(empty, component)
    first, *_ = plan_migrations(migrator, "up")
    assert first.name == "0001_initial"
    assert [hazard for hazard in first.hazards if hazard.severity != "brief"] == []
    migrator.up()
    assert plan_migrations(migrator, "up") == []
    *_, last = plan_migrations(migrator, "down", "0001_initial")
    assert {hazard.table for hazard in last.destroys} >= {"users", "functions", "function_logs"}


def test_what_is_repeated_is_counted(write: Write) -> None:
    [migration] = plan_migrations(write(THINGS), "up")
    assert [statement.times for statement in migration.statements] == [1, 3]


def test_statements_on_tables_that_the_plan_itself_makes_are_no_hazard(write: Write) -> None:
    [migration] = plan_migrations(write(THINGS + "\n"), "up")
    assert migration.hazards == ()


def test_only_through_the_target(write: Write) -> None:
    migrator = write(THINGS, CHANGES.replace("assert", "#"))
    assert [one.name for one in plan_migrations(migrator, "up", "0001_step")] == ["0001_step"]
    with pytest.raises(MigrationError, match="did you mean '0001_step'"):
        plan_migrations(migrator, "up", "0001_stp")


def test_not_inside_a_transaction(write: Write) -> None:
    migrator = write(THINGS)
    with migrator.database.atomic(), pytest.raises(MigrationError, match="expected no open transaction"):
        plan_migrations(migrator, "up")


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_plan_waits_for_nobody_and_locks_nothing(write: Write, connect: Connect) -> None:
    migrator = write(THINGS)
    migrator.up()
    migrator = write(THINGS, CHANGES)
    migrator.database.execute_sql("SET lock_timeout = '1s'")
    other = connect()
    other.connect()
    with other.atomic():
        other.execute_sql("UPDATE things SET name = 'busy'")  # any ALTER TABLE would wait for its end
        assert planned_texts(migrator)
    other.close()


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_what_reads_its_own_writes_is_doubtful_or_incomplete(write: Write) -> None:
    script = """
def up(migrator, db):
    db.execute_sql("CREATE TABLE things (id INTEGER)")
    if not db.table_exists("other"):
        db.execute_sql("CREATE TABLE other (id INTEGER)")
    db.execute_sql("SELECT * FROM things").fetchall()
    db.execute_sql("DROP TABLE other")
"""
    first, second = plan_migrations(write(script, THINGS), "up")
    assert first.doubt is not None
    assert 'relation "things" does not exist' in (first.stopped or "")
    assert [statement.sql.split()[0] for statement in first.statements] == ["CREATE", "CREATE"]
    assert second.stopped is not None
    assert second.statements == ()


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_query_that_writes_is_shown_and_not_run(write: Write) -> None:
    write(THINGS).up()
    script = """
def up(migrator, db):
    db.execute_sql("CREATE SEQUENCE IF NOT EXISTS numbers")
    db.execute_sql("SELECT pg_catalog.setval('taken', 99)").fetchone()
    assert db.execute_sql("WITH gone AS (DELETE FROM things RETURNING id) SELECT * FROM gone").fetchall() == []
"""
    migrator = write(THINGS, script)
    migrator.database.execute_sql("CREATE SEQUENCE taken")
    [migration] = plan_migrations(migrator, "up")
    assert [statement.sql.split()[0] for statement in migration.statements] == ["CREATE", "SELECT", "WITH"]
    assert [hazard.table for hazard in migration.destroys] == ["things"]
    assert migrator.database.execute_sql("SELECT last_value, is_called FROM taken").fetchone() == (1, False)
    assert migrator.database.execute_sql("SELECT count(*) FROM things").fetchone() == (3,)


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "sql",
    ["SELECT 1; COMMIT; DROP TABLE things", r"SELECT E'\''; ABORT; DROP TABLE things", "VALUES (1); DROP TABLE things"],
)
def test_what_begins_with_a_query_and_goes_on_is_not_sent(write: Write, sql: str) -> None:
    write(THINGS).up()
    migrator = write(THINGS, f"def up(migrator, db):\n    db.execute_sql({sql!r})\n")
    [migration] = plan_migrations(migrator, "up")
    assert [hazard.table for hazard in migration.destroys] == ["things"]
    assert (migration.doubt is None) == sql.startswith("VALUES")
    assert migrator.database.table_exists("things")


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_where_a_string_ends_does_not_depend_on_the_settings_of_the_session(write: Write) -> None:
    write(THINGS).up()
    script = r"""
def up(migrator, db):
    query = "SELECT '\\', '; COMMIT; DROP TABLE things; --'"
    assert db.execute_sql(query).fetchone() == ("\\", "; COMMIT; DROP TABLE things; --")
"""
    migrator = write(THINGS, script)
    migrator.database.execute_sql("SET standard_conforming_strings = off")
    [migration] = plan_migrations(migrator, "up")
    assert (migration.statements, migration.stopped) == ((), None)
    assert migrator.database.table_exists("things")


@pytest.mark.parametrize("connect", ["sqlite"], indirect=True)
def test_on_sqlite_a_script_reads_what_it_wrote(write: Write) -> None:
    script = """
def up(migrator, db):
    db.execute_sql("CREATE TABLE things (id INTEGER)")
    db.execute_sql("INSERT INTO things VALUES (7)")
    [(number,)] = db.execute_sql("SELECT id FROM things").fetchall()
    db.execute_sql(f"DELETE FROM things WHERE id = {number}")
    raise ValueError("broken here")
"""
    [migration] = plan_migrations(write(script), "up")
    assert migration.statements[-1].sql == "DELETE FROM things WHERE id = 7"
    assert migration.stopped == "ValueError: broken here"


PAST_PEEWEE = {
    "the driver's connection": 'db.connection().execute("DELETE FROM things WHERE id > ?", (0,))',
    "a script, which commits": 'db.connection().executescript("DELETE FROM things; DROP TABLE others;")',
    "a commit of its own": 'db.execute_sql("COMMIT"); db.execute_sql("BEGIN"); db.execute_sql("DELETE FROM things")',
}


@pytest.mark.parametrize("connect", ["sqlite"], indirect=True)
@pytest.mark.parametrize("work", PAST_PEEWEE.values(), ids=PAST_PEEWEE.keys())
def test_on_sqlite_what_passes_by_peewee_is_planned_and_harms_nothing(write: Write, work: str) -> None:
    write(THINGS).up()
    migrator = write(THINGS, f"def up(migrator, db):\n    {work}\n")
    migrator.database.execute_sql("CREATE TABLE others (id INTEGER)")
    [migration] = plan_migrations(migrator, "up")
    assert "things" in {hazard.table for hazard in migration.destroys}
    assert migration.doubt is not None
    assert migrator.database.execute_sql("SELECT count(*) FROM things").fetchone() == (3,)
    assert migrator.database.table_exists("others")


@pytest.mark.parametrize("connect", ["postgresql"], indirect=True)
def test_a_table_in_another_schema_is_no_loss_passed_over(write: Write) -> None:
    [migration] = plan_migrations(write('def up(migrator, db):\n    db.execute_sql("DROP TABLE audit.events")\n'), "up")
    assert [hazard.table for hazard in migration.destroys] == ["audit.events"]
