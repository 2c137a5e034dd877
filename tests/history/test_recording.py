"""Switching the change log on and off, and keeping its triggers in step with the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import peewee
import pytest

from cloudpub_models import Component, Database, Manager, Managers
from cloudpub_models.entity import AutoField, CharField, Entity, IntegerField, UuidField
from cloudpub_models.errors import HistoryError, InvalidValueError, UnknownTableError
from cloudpub_models.history.recording import enable, faulty_tables, keep_current
from cloudpub_models.schema.migrations.migrator import Migrator

TRACKED = (
    "users",
    "user_information",
    "organizations",
    "organization_members",
    "functions",
    "function_deployments",
)


def test_it_is_off_until_it_is_switched_on(database: Database) -> None:
    assert database.history.tables == ()
    assert database.history.enable() == TRACKED
    assert database.history.tables == tuple(sorted(TRACKED))


def test_switching_it_on_again_changes_nothing(database: Database) -> None:
    database.history.enable()
    since = database.history.since
    assert database.history.enable() == ()
    assert database.history.since == since


def test_what_was_recorded_stays_when_it_is_switched_off(database: Database) -> None:
    database.history.enable()
    managers = Managers(database)
    managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    assert database.history.disable() == tuple(sorted(TRACKED))
    managers.users.insert({"email": "grace@example.com", "password_hash": "…"})
    recorded = database.raw_query_all("SELECT operation FROM changes WHERE table_name = 'users' ORDER BY id")
    assert [row["operation"] for row in recorded] == ["S", "I", "E"]
    assert database.history.since == {}


def test_other_tables_are_recorded_when_they_are_named(database: Database) -> None:
    assert database.history.enable(also=["function_logs"])[-1] == "function_logs"
    with pytest.raises(UnknownTableError, match=r"got 'function_log': did you mean 'function_logs'\?"):
        database.history.enable(also=["function_log"])


def test_it_needs_the_tables(empty_postgresql_url: str) -> None:
    for url in ("sqlite:///:memory:", empty_postgresql_url):
        database = Database(url)
        with pytest.raises(HistoryError, match="are missing: migrate first"):
            database.history.enable()
        assert not database.engine.table_exists("changes")
        database.close()


@pytest.mark.parametrize("backend", ["postgresql"])
def test_one_who_may_not_make_triggers_is_told(database: Database) -> None:
    database.raw_execute("CREATE ROLE history_guest")
    try:
        with database.session():
            database.raw_execute("SET ROLE history_guest")
            with pytest.raises(HistoryError, match="switch history on and off as the owner of the tables"):
                database.history.enable()
            database.raw_execute("RESET ROLE")
    finally:
        database.raw_execute("DROP ROLE history_guest")
    assert database.history.tables == ()


def test_a_key_that_cannot_be_kept_is_refused(database: Database) -> None:
    class Measurement(peewee.Model):
        at = peewee.DateTimeField(primary_key=True)

        class Meta:
            table_name = "measurements"
            tracked = True

    Measurement.bind(database.engine)
    Measurement.create_table()
    with pytest.raises(HistoryError, match="expected a primary key of integers, text or UUIDs, to record measure"):
        enable(database.engine, [Measurement])


def test_a_table_with_another_column_is_recorded_whole(database: Database) -> None:
    """What the triggers name, they name anew when a migration has changed a table."""
    database.history.enable()
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    database.raw_execute("ALTER TABLE users ADD COLUMN nickname VARCHAR(50)")
    database.history.keep_current()
    assert database.history.faulty_tables() == ()
    database.raw_execute("UPDATE users SET nickname = 'countess' WHERE id = @id", {"id": ada.id})
    assert managers.users.history(ada.id)[0].after == {"nickname": "countess"}


def test_a_trigger_that_is_gone_is_found_and_made_again(database: Database) -> None:
    database.history.enable()
    on_table = " ON users" if database.dialect == "postgresql" else ""
    database.raw_execute(f"DROP TRIGGER users_record_update{on_table}")
    assert faulty_tables(database.engine, database.models) == ["users"]
    keep_current(database.engine, database.models)
    assert faulty_tables(database.engine, database.models) == []


MIGRATIONS = {
    "0001_tags.py": """
def up(migrator, database):
    database.execute_sql("CREATE TABLE tags (id %s, name VARCHAR(50) NOT NULL)" % {
        "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT", "postgresql": "SERIAL PRIMARY KEY"
    }["sqlite" if "Sqlite" in type(database).__name__ else "postgresql"])


def down(migrator, database):
    database.execute_sql("DROP TABLE tags")
""",
    "0002_color.py": """
import peewee
from playhouse.migrate import migrate


def up(migrator, database):
    migrate(migrator.add_column("tags", "color", peewee.CharField(null=True)))


def down(migrator, database):
    migrate(migrator.drop_column("tags", "color"))
""",
}


class Tag(Entity):
    id = AutoField()
    name = CharField(max_length=50)
    color = CharField(null=True)

    class Meta:
        table_name = "tags"
        tracked = True


@pytest.fixture
def tags(tmp_path: Path) -> Component:
    for name, text in MIGRATIONS.items():
        (tmp_path / name).write_text(text)
    return Component("tags", [Tag], tmp_path)


def test_migrations_keep_the_triggers_in_step(database_url: str, tags: Component) -> None:
    database = Database(database_url, components=(tags,), platform=False)
    database.migrate("tags.0001_tags")
    assert database.history.enable() == ("tags",)
    database.raw_execute("INSERT INTO tags (name) VALUES ('red')")
    database.migrate()
    managers = Managers(database)
    managers.for_model(Tag).update_by_id(1, {"color": "#f00"})
    assert managers.for_model(Tag).history(1)[0].after == {"color": "#f00"}
    Migrator(database.engine, [tags], afterwards=database.history.keep_current).down()
    database.raw_execute("UPDATE tags SET name = 'rouge'")
    assert managers.for_model(Tag).history(1)[0].after == {"name": "rouge"}
    database.close()


def test_a_tracked_table_that_a_migration_makes_is_recorded_from_there_on(
    backend: str, database_url: str, tags: Component, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/platform.db" if backend == "sqlite" else database_url
    platform = Database(url)
    platform.migrate()
    platform.history.enable()
    platform.close()
    database = Database(url, components=(tags,))
    database.migrate()
    assert "tags" in database.history.tables
    database.raw_execute("INSERT INTO tags (name) VALUES ('red')")
    assert [change.operation for change in database.history.of_row("tags", 1)] == ["insert"]
    database.close()


def test_old_changes_are_pruned_and_the_past_before_them_is_not_known_any_more(database: Database) -> None:
    database.history.enable()
    managers = Managers(database)
    ada = managers.users.insert({"email": "ada@example.com", "password_hash": "…"})
    before = datetime.now(UTC)
    assert database.history.prune(timedelta(days=1)) == 0
    assert database.history.prune(timedelta(0)) == 1
    assert managers.users.history(ada.id) == []
    with pytest.raises(HistoryError, match="expected a moment since which the changes of users are recorded"):
        managers.users.as_of(before - timedelta(seconds=1))


class Coupon(Entity):
    code = UuidField(primary_key=True)
    text = CharField(max_length=20)

    class Meta:
        table_name = "coupons"
        tracked = True


class Price(Entity):
    country = CharField(max_length=2)
    product = IntegerField()
    amount = IntegerField()

    class Meta:
        table_name = "prices"
        tracked = True
        primary_key = peewee.CompositeKey("country", "product")


def test_rows_are_told_apart_by_a_uuid(database: Database) -> None:
    with database.bind():
        Coupon.create_table()
    enable(database.engine, [Coupon])
    coupons = Manager(Coupon, database)
    row = coupons.insert({"text": "ten percent"})
    coupons.update({"text": "five percent"}, {"code": row.code})
    last, first = coupons.history(row.code)
    assert (last.operation, first.operation) == ("update", "insert")
    assert last.row_id == row.code
    assert last.before == {"text": "ten percent"}


def test_rows_are_told_apart_by_several_columns(database: Database) -> None:
    with database.bind():
        Price.create_table()
    enable(database.engine, [Price])
    prices = Manager(Price, database)
    prices.insert({"country": "ö'", "product": 7, "amount": 100})
    prices.update({"amount": 90}, {"product": 7})
    changes = prices.history(("ö'", 7))
    assert [change.operation for change in changes] == ["update", "insert"]
    assert changes[0].row_id == ("ö'", 7)
    with pytest.raises(InvalidValueError, match="expected a value for each of country, product"):
        prices.history(7)


RENAMED = """
def up(migrator, database):
    database.execute_sql("ALTER TABLE tags RENAME TO labels")


def down(migrator, database):
    database.execute_sql("ALTER TABLE labels RENAME TO tags")
"""


def test_a_table_that_a_migration_renames_keeps_its_changes(database_url: str, tmp_path: Path, tags: Component) -> None:
    class Label(Entity):
        id = AutoField()
        name = CharField(max_length=50)
        color = CharField(null=True)

        class Meta:
            table_name = "labels"
            tracked = True

    database = Database(database_url, components=(tags,), platform=False)
    database.migrate()
    database.history.enable()
    database.raw_execute("INSERT INTO tags (name) VALUES ('red')")
    (tmp_path / "0003_labels.py").write_text(RENAMED)
    labels = Component("tags", [Label], tmp_path)
    migrator = Migrator(
        database.engine, [labels], afterwards=lambda engine=database.engine: keep_current(engine, [Label])
    )
    migrator.up()
    database.raw_execute("UPDATE labels SET name = 'rouge'")
    changes = database.raw_query_all("SELECT table_name, operation FROM changes ORDER BY id")
    assert [tuple(change.values()) for change in changes] == [("labels", "S"), ("labels", "I"), ("labels", "U")]
    assert faulty_tables(database.engine, [Label]) == []
    database.close()


def test_a_table_called_changes_that_is_not_the_log_is_left_alone(backend: str, empty_postgresql_url: str) -> None:
    database = Database("sqlite:///:memory:" if backend == "sqlite" else empty_postgresql_url)
    database.raw_execute("CREATE TABLE changes (id INTEGER PRIMARY KEY, what TEXT)")
    database.raw_execute("INSERT INTO changes VALUES (1, 'paint')")
    database.migrate()
    assert (database.history.tables, database.history.since, database.history.faulty_tables()) == ((), {}, ())
    with pytest.raises(HistoryError, match="expected a database without a table changes of its own; got one"):
        database.history.enable()
    assert database.raw_query_all("SELECT * FROM changes") == [{"id": 1, "what": "paint"}]
    database.close()


def test_a_table_of_another_schema_is_refused(database: Database) -> None:
    class Elsewhere(Entity):
        id = AutoField()

        class Meta:
            table_name = "users"
            schema = "other"
            tracked = True

    with pytest.raises(
        HistoryError, match=r"expected tables of the database's own schema; got other\.users by Meta\.schema"
    ):
        enable(database.engine, [Elsewhere])
    assert not database.engine.table_exists("changes")


def test_a_name_is_no_list_of_names(database: Database) -> None:
    with pytest.raises(InvalidValueError, match=r"expected a list of tables' names; got 'users'.*: write \['users'\]"):
        database.history.enable(also="users")


def test_nothing_is_older_than_time_itself(database: Database) -> None:
    database.history.enable()
    assert database.history.prune(timedelta.max) == 0
