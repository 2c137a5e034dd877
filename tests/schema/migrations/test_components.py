"""Several components in one database: each has a history of its own, and none disturbs the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import peewee
import pytest

from cloudpub_models import Database
from cloudpub_models.component import Component
from cloudpub_models.entity import AutoField, Entity, IntegerField
from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema import Migrator, read_catalogue
from cloudpub_models.schema.migrations.applied import HISTORY_TABLE
from cloudpub_models.schema.migrations.scripts import directory_of, scripts_of, write_script
from cloudpub_models.schema.safety.plan import plan_migrations

Make = Callable[..., Component]

SCRIPT = """
def up(migrator, db):
    db.execute_sql("CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
def down(migrator, db):
    db.execute_sql("DROP TABLE {table}")
"""
# What the first version of this library made, and read.
OLD_TABLE = (
    f'CREATE TABLE "{HISTORY_TABLE}" ("name" VARCHAR(255) NOT NULL PRIMARY KEY, "checksum" VARCHAR(64) NOT NULL, '
    '"applied_at" TIMESTAMP NOT NULL)'
)
OLD_COLUMNS = "name, checksum, applied_at"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a component with scripts of these names, each of which makes a table."""

    def make_component(name: str, *scripts: str, after: tuple[str, ...] = ()) -> Component:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        for script in scripts:
            (directory / f"{script}.py").write_text(SCRIPT.format(table=f"{name}_{script}"))
        return Component(name, migrations=directory, after=after)

    return make_component


@pytest.fixture
def both(make: Make) -> tuple[Component, Component]:
    return make("cloudpub", "0001_a", "0002_b"), make("billing", "0001_a", "0002_b", after=("cloudpub",))


def tables(database: peewee.Database) -> set[str]:
    return set(read_catalogue(database).tables) - {HISTORY_TABLE}


def book(database: peewee.Database) -> list[tuple[str, str]]:
    rows = database.execute_sql(f"SELECT component, name FROM {HISTORY_TABLE} ORDER BY applied_at, name").fetchall()
    return [tuple(row) for row in rows]


def states(migrator: Migrator) -> dict[str, str]:
    return {status.name: status.state for status in migrator.status()}


def test_each_component_numbers_its_own(empty: peewee.Database, both: tuple[Component, Component]) -> None:
    migrator = Migrator(empty, both)
    assert migrator.pending() == ["0001_a", "0002_b", "billing.0001_a", "billing.0002_b"]
    assert migrator.up() == ["0001_a", "0002_b", "billing.0001_a", "billing.0002_b"]
    assert migrator.up() == []
    assert book(empty) == [
        ("cloudpub", "0001_a"),
        ("cloudpub", "0002_b"),
        ("billing", "billing.0001_a"),
        ("billing", "billing.0002_b"),
    ]
    assert [(status.component, status.state) for status in migrator.status()] == [
        ("cloudpub", "applied"),
        ("cloudpub", "applied"),
        ("billing", "applied"),
        ("billing", "applied"),
    ]


def test_one_of_the_first_component_after_those_of_another(
    empty: peewee.Database, both: tuple[Component, Component], make: Make
) -> None:
    Migrator(empty, both).up()
    make("cloudpub", "0003_c")
    assert Migrator(empty, both).up() == ["0003_c"]
    make("billing", "0003_c")
    assert Migrator(empty, both).up() == ["billing.0003_c"]


def test_a_target_brings_what_its_component_is_after_and_nothing_else(empty: peewee.Database, make: Make) -> None:
    components = [
        make("cloudpub", "0001_a"),
        make("flags", "0001_a"),
        make("billing", "0001_a", "0002_b", after=("cloudpub",)),
    ]
    migrator = Migrator(empty, components)
    assert [planned.name for planned in plan_migrations(migrator, "up", "billing.0001_a")] == [
        "0001_a",
        "billing.0001_a",
    ]
    assert migrator.up("billing.0001_a") == ["0001_a", "billing.0001_a"]
    assert migrator.pending() == ["flags.0001_a", "billing.0002_b"]
    with pytest.raises(MigrationError, match=r"got '0002_b': did you mean 'billing\.0002_b'"):
        migrator.up("0002_b")


def test_down_takes_back_the_last_of_all(empty: peewee.Database, both: tuple[Component, Component], make: Make) -> None:
    migrator = Migrator(empty, both)
    migrator.up()
    make("cloudpub", "0003_c")
    migrator.up()
    assert migrator.down() == ["0003_c"]
    assert migrator.down() == ["billing.0002_b"]
    assert migrator.down() == ["billing.0001_a"]
    assert migrator.down() == ["0002_b"]
    assert tables(empty) == {"cloudpub_0001_a"}


def test_down_through_a_target_takes_those_back_that_may_need_it(empty: peewee.Database, make: Make) -> None:
    components = [
        make("cloudpub", "0001_a"),
        make("flags", "0001_a"),
        make("billing", "0001_a", after=("cloudpub",)),
    ]
    migrator = Migrator(empty, components)
    migrator.up()
    make("cloudpub", "0002_b")
    migrator.up()
    assert [planned.name for planned in plan_migrations(migrator, "down", "0001_a")] == [
        "0002_b",
        "billing.0001_a",
        "0001_a",
    ]
    assert migrator.down("0001_a") == ["0002_b", "billing.0001_a", "0001_a"]
    assert tables(empty) == {"flags_0001_a"}


def test_a_clock_that_went_back_does_not_change_the_order_in_a_component(
    empty: peewee.Database, both: tuple[Component, Component]
) -> None:
    migrator = Migrator(empty, both[0])
    migrator.up()
    empty.execute_sql(f"UPDATE {HISTORY_TABLE} SET applied_at = '2001-01-01 00:00:00.000000' WHERE name = '0002_b'")
    assert migrator.down() == ["0002_b"]


def test_two_services_with_different_components_leave_each_other_alone(empty: peewee.Database, make: Make) -> None:
    platform, billing, flags = make("cloudpub", "0001_a"), make("billing", "0001_a"), make("flags", "0001_a")
    assert Migrator(empty, [platform, billing]).up() == ["0001_a", "billing.0001_a"]
    other = Migrator(empty, [platform, flags])
    assert states(other) == {"0001_a": "applied", "flags.0001_a": "pending", "billing.0001_a": "foreign"}
    assert not any(status.is_broken for status in other.status())
    assert other.up() == ["flags.0001_a"]
    assert other.down() == ["flags.0001_a"]
    assert other.down() == ["0001_a"]
    assert other.down() == []
    assert states(other)["billing.0001_a"] == "foreign"
    with pytest.raises(MigrationError, match="expected the name of a migration as target; got 'billing.0001_a'"):
        other.down("billing.0001_a")
    assert book(empty) == [("billing", "billing.0001_a")]


def test_edited_missing_and_late_ones_are_named_with_their_component(
    empty: peewee.Database, both: tuple[Component, Component], make: Make
) -> None:
    migrator = Migrator(empty, both)
    migrator.up()
    directory = directory_of(both[1])
    assert directory is not None
    script = directory / "0002_b.py"
    text = script.read_text()
    script.write_text(text + "# more")
    with pytest.raises(MigrationError, match="expected billing.0002_b as it was applied; got another file"):
        migrator.up()
    script.unlink()
    with pytest.raises(MigrationError, match="expected the file of billing.0002_b"):
        migrator.up()
    script.write_text(text)
    empty.execute_sql(f"DELETE FROM {HISTORY_TABLE} WHERE name = 'billing.0001_a'")
    with pytest.raises(MigrationError, match="expected billing.0001_a before the migrations with higher numbers"):
        migrator.up()


def test_an_old_book_is_read_and_gets_its_column_when_something_is_recorded(
    empty: peewee.Database, both: tuple[Component, Component]
) -> None:
    first = scripts_of(both[0])[0]
    empty.execute_sql(OLD_TABLE)
    empty.execute_sql(
        f"INSERT INTO {HISTORY_TABLE} ({OLD_COLUMNS}) "
        f"VALUES ('0001_a', '{first.checksum}', '2024-05-01 10:00:00.000000')"
    )
    migrator = Migrator(empty, both)
    before = read_catalogue(empty).tables[HISTORY_TABLE]
    assert states(migrator)["0001_a"] == "applied"
    assert [planned.name for planned in plan_migrations(migrator, "up")] == [
        "0002_b",
        "billing.0001_a",
        "billing.0002_b",
    ]
    assert read_catalogue(empty).tables[HISTORY_TABLE] == before
    assert migrator.up() == ["0002_b", "billing.0001_a", "billing.0002_b"]
    assert book(empty)[0] == ("cloudpub", "0001_a")
    column = read_catalogue(empty).tables[HISTORY_TABLE].columns["component"]
    assert (column.nullable, column.default) == (False, "'cloudpub'")


def test_a_failed_migration_leaves_an_old_book_as_it_was(empty: peewee.Database, make: Make, tmp_path: Path) -> None:
    empty.execute_sql(OLD_TABLE)
    before = read_catalogue(empty).tables[HISTORY_TABLE]
    (tmp_path / "billing").mkdir()
    (tmp_path / "billing" / "0001_a.py").write_text("def up(migrator, db):\n    raise RuntimeError('no')\n")
    with pytest.raises(MigrationError, match=r"billing\.0001_a failed \(up\): RuntimeError: no"):
        Migrator(empty, make("billing")).up()
    assert read_catalogue(empty).tables[HISTORY_TABLE] == before


def test_an_older_version_can_do_no_harm(empty: peewee.Database, both: tuple[Component, Component]) -> None:
    """It reads and writes three columns, takes every name for one of its own, and deletes by name."""
    Migrator(empty, both).up()
    seen = dict(empty.execute_sql(f"SELECT name, checksum FROM {HISTORY_TABLE}").fetchall())
    own = {script.name: script.checksum for script in scripts_of(both[0])}
    # It refuses to migrate: these have no file in its directory, and no name of its own is among them.
    assert set(seen) - set(own) == {"billing.0001_a", "billing.0002_b"}
    assert {name: seen[name] for name in own} == own
    empty.execute_sql(
        f"INSERT INTO {HISTORY_TABLE} ({OLD_COLUMNS}) VALUES ('0003_c', 'x', '2024-05-01 10:00:00.000000')"
    )
    assert ("cloudpub", "0003_c") in book(empty)
    for name in ("0001_a", "0002_b", "0003_c"):
        empty.execute_sql(f"DELETE FROM {HISTORY_TABLE} WHERE name = '{name}'")
    assert {component for component, _ in book(empty)} == {"billing"}


def test_two_migrators_extend_an_old_book_once(
    connect: Callable[[], peewee.Database], empty: peewee.Database, both: tuple[Component, Component]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    empty.execute_sql(OLD_TABLE)

    def up(_: int) -> list[str]:
        database = connect()
        try:
            return Migrator(database, both).up()
        finally:
            database.close()

    with ThreadPoolExecutor(4) as threads:
        applied = [name for names in threads.map(up, range(4)) for name in names]
    assert sorted(applied) == ["0001_a", "0002_b", "billing.0001_a", "billing.0002_b"]


def test_a_book_that_gets_its_column_while_it_is_read_is_read_again(
    connect: Callable[[], peewee.Database],
    empty: peewee.Database,
    both: tuple[Component, Component],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty.execute_sql(OLD_TABLE)
    looked = empty.get_columns

    def look(table: str) -> object:
        columns = looked(table)
        monkeypatch.undo()
        other = connect()
        Migrator(other, both).up()
        other.close()
        return columns

    monkeypatch.setattr(empty, "get_columns", look)
    assert states(Migrator(empty, both)) == dict.fromkeys(
        ("0001_a", "0002_b", "billing.0001_a", "billing.0002_b"), "applied"
    )


def test_a_script_may_declare_a_model_of_its_own(empty: peewee.Database, make: Make, tmp_path: Path) -> None:
    directory = tmp_path / "inline"
    directory.mkdir()
    (directory / "0001_notes.py").write_text(
        "from cloudpub_models.entity import AutoField, Entity, TextField, TimestampField\n"
        "class Note(Entity):\n"
        "    id = AutoField()\n"
        "    text = TextField()\n"
        "    changed_at = TimestampField(touched_on_update=True)\n"
        "    class Meta:\n"
        "        table_name = 'notes'\n"
        "def up(migrator, db):\n    db.create_tables([Note])\n    Note.create(text='first')\n"
        "def down(migrator, db):\n    db.drop_tables([Note])\n"
    )
    migrator = Migrator(empty, Component("inline", migrations=directory))
    (planned,) = plan_migrations(migrator, "up")
    assert planned.statements[0].sql.startswith('CREATE TABLE IF NOT EXISTS "notes"')
    assert tables(empty) == set()
    assert migrator.up() == ["inline.0001_notes"]
    assert empty.execute_sql("SELECT text FROM notes").fetchall() == [("first",)]
    assert len(read_catalogue(empty).tables["notes"].triggers) == 1
    assert migrator.down() == ["inline.0001_notes"]
    assert tables(empty) == set()


def test_a_script_may_declare_a_plain_model(empty: peewee.Database, tmp_path: Path) -> None:
    (tmp_path / "0001_notes.py").write_text(
        "import peewee\n"
        "class Note(peewee.Model):\n"
        "    text = peewee.TextField()\n"
        "    class Meta:\n"
        "        table_name = 'notes'\n"
        "def up(migrator, db):\n"
        "    with db.bind_ctx([Note]):\n"
        "        db.create_tables([Note])\n"
        "        Note.create(text='first')\n"
    )
    assert Migrator(empty, Component("plain", migrations=tmp_path)).up() == ["plain.0001_notes"]
    assert empty.execute_sql("SELECT text FROM notes").fetchall() == [("first",)]


class Coin(Entity):
    """A table of another component."""

    id = AutoField()
    value = IntegerField()

    class Meta:
        table_name = "coins"


def test_adopting_takes_the_components_whose_tables_are_there(empty: peewee.Database, make: Make) -> None:
    coins = Component("coins", (Coin,), make("coins", "0001_a").migrations)
    nothing_there = Component("flags", (), make("flags", "0001_a").migrations)
    with pytest.raises(MigrationError, match="expected the tables coins; got none of them: run `migrate up`"):
        Migrator(empty, [nothing_there, coins]).adopt()
    counting = "SERIAL" if sql_dialect_of(empty).alters_tables else "INTEGER"
    empty.execute_sql(f"CREATE TABLE coins (id {counting} NOT NULL PRIMARY KEY, value INTEGER NOT NULL)")
    report = Migrator(empty, [nothing_there, coins]).adopt()
    assert report.recorded == ("coins.0001_a",)
    assert Migrator(empty, [nothing_there, coins]).pending() == ["flags.0001_a"]


def test_the_scripts_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shop_of_a_test" / "migrations"
    package.mkdir(parents=True)
    (package / "0001_a.py").write_text(SCRIPT.format(table="a"))
    monkeypatch.syspath_prepend(str(tmp_path))
    component = Component("shop", migrations="shop_of_a_test.migrations")
    assert [script.name for script in scripts_of(component)] == ["shop.0001_a"]
    assert write_script(component, "more").name == "0002_more.py"
    assert scripts_of(Component("shop")) == []
    with pytest.raises(MigrationError, match="expected a package 'nowhere.at.all' with the migrations of the compon"):
        scripts_of(Component("shop", migrations="nowhere.at.all"))
    with pytest.raises(MigrationError, match="expected a place for the migrations of the component 'shop'; got none"):
        write_script(Component("shop"), "more")


def test_a_database_migrates_all_its_components(make: Make) -> None:
    billing = make("billing", "0001_a", after=("cloudpub",))
    database = Database("sqlite:///:memory:", components=[billing])
    assert database.migrate()[-1] == "billing.0001_a"
    assert database.migrate() == []
    database.close()
    alone = Database("sqlite:///:memory:", components=[make("shop", "0001_a")], platform=False)
    assert alone.migrate() == ["shop.0001_a"]
    alone.close()
