"""What a script that fails says and leaves behind: one line that tells what to do, and nothing of the script."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudpub_models import Database
from cloudpub_models.component import Component
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema import Migrator, read_catalogue

FIRST = """
from cloudpub_models.entity import AutoField, Entity, TextField
class Coin(Entity):
    id = AutoField()
    value = TextField(null=True)
    class Meta:
        table_name = "coins"
def up(migrator, db):
    db.create_tables([Coin])
    for value in ("abc", None, "abc"):
        Coin.create(value=value)
"""
ROWS = [{"value": "abc"}, {"value": None}, {"value": "abc"}]
SECOND = """
from peewee import SQL
from cloudpub_models.entity import IntegerField
def up(m, db):
    db.execute_sql("CREATE TABLE half (i INT)")
    {change}
"""


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ('m.migrate(m.add_not_null("coins", "value"))', "rows of coins have no value: give them one first"),
        ('m.migrate(m.add_unique("coins", "value"))', "rows of coins have the same value: change or merge them first"),
        (
            'm.migrate(m.add_constraint("coins", "long", SQL("CHECK (id < 0)")))',
            "break long: change them first, in the same script",
        ),
        (
            'm.migrate(m.alter_column_type("coins", "value", IntegerField(null=True)))',
            "(expected numbers in coins.value, which becomes INTEGER; got 2 other|"
            'invalid input syntax for type integer: "abc": say how by cast=)',
        ),
        ('m.migrate(m.add_column("coins", "more", IntegerField()))', "expected a default for coins.more"),
        (
            'm.migrate(m.add_column("coins", "user_id", IntegerField(default=7)));'
            ' m.migrate(m.add_foreign_key_constraint("coins", "user_id", "coins", "id"))',
            "(rows of coins refer to rows that do not exist|expected no reference to rows that do not exist; got 3)",
        ),
    ],
)
def test_what_rows_stand_in_the_way_of(database: Database, tmp_path: Path, change: str, answer: str) -> None:
    (tmp_path / "0001_coins.py").write_text(FIRST)
    migrator = Migrator(database.engine, Component("coins", migrations=tmp_path))
    assert migrator.up() == ["coins.0001_coins"]
    before = read_catalogue(database.engine).tables["coins"]
    (tmp_path / "0002_more.py").write_text(SECOND.format(change=change))
    with pytest.raises(MigrationError, match=rf"^coins.0002_more failed \(up\): .*{answer}") as raised:
        migrator.up()
    assert "\n" not in str(raised.value)
    assert "__new" not in str(raised.value)
    assert read_catalogue(database.engine).tables["coins"] == before
    assert "half" not in read_catalogue(database.engine).tables
    assert database.raw_query_all("SELECT value FROM coins ORDER BY id") == ROWS
    assert migrator.pending() == ["coins.0002_more"]


@pytest.mark.parametrize("text", ["12", "-1.5", "1e3", " 7 "])
def test_texts_that_are_numbers_become_numbers(database: Database, tmp_path: Path, text: str) -> None:
    (tmp_path / "0001_coins.py").write_text(FIRST.replace('("abc", None, "abc")', f"({text!r}, None)"))
    change = 'm.migrate(m.alter_column_type("coins", "value", FloatField(null=True), cast="value::float8"))'
    if database.dialect == "sqlite":
        change = change.replace(', cast="value::float8"', "")
    (tmp_path / "0002_more.py").write_text(SECOND.replace("IntegerField", "FloatField").format(change=change))
    Migrator(database.engine, Component("coins", migrations=tmp_path)).up()
    assert database.raw_query_all("SELECT value FROM coins ORDER BY id") == [{"value": float(text)}, {"value": None}]


ENDS = {
    "COMMIT": ["COMMIT"],
    "ROLLBACK": ["ROLLBACK"],
    "COMMIT, then another": ["COMMIT", "BEGIN"],
    "ROLLBACK, then another": ["ROLLBACK", "BEGIN"],
}


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_a_script_that_ends_its_transaction_is_not_recorded(
    database: Database, tmp_path: Path, ends: list[str]
) -> None:
    """Its record would be kept although its work was not; or its work would be, whatever becomes of the record."""
    migrator = Migrator(database.engine, Component("coins", migrations=tmp_path))
    change = "; ".join([f'db.connection().cursor().execute("{end}")' for end in ends])
    (tmp_path / "0001_coins.py").write_text(SECOND.format(change=change))
    with pytest.raises(MigrationError, match="expected the script to leave its transaction to the migration; got one"):
        migrator.up()
    assert ("half" in read_catalogue(database.engine).tables) == (ends[0] == "COMMIT")
    assert migrator.pending() == ["coins.0001_coins"]
    assert not database.engine.scopes()


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "END", "COMMIT; BEGIN", "-- so\nBEGIN"])
def test_a_script_cannot_end_its_transaction_by_peewee(database: Database, tmp_path: Path, end: str) -> None:
    migrator = Migrator(database.engine, Component("coins", migrations=tmp_path))
    (tmp_path / "0001_coins.py").write_text(SECOND.format(change=f"db.execute_sql({end!r})"))
    with pytest.raises(MigrationError, match="expected a statement that leaves the open transaction alone; got"):
        migrator.up()
    assert "half" not in read_catalogue(database.engine).tables


@pytest.mark.parametrize("end", ["COMMIT; BEGIN", "ROLLBACK; BEGIN"])
@pytest.mark.parametrize("backend", ["postgresql"])
def test_one_text_that_ends_its_transaction_and_begins_another_is_noticed(
    database: Database, tmp_path: Path, end: str
) -> None:
    migrator = Migrator(database.engine, Component("coins", migrations=tmp_path))
    change = f'db.connection().cursor().execute("SELECT 1; {end}; SELECT 1")'
    (tmp_path / "0001_coins.py").write_text(SECOND.format(change=change))
    with pytest.raises(MigrationError, match="expected the script to leave its transaction to the migration; got one"):
        migrator.up()
    assert migrator.pending() == ["coins.0001_coins"]


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_transaction_that_a_script_leaves_open_is_an_error(database: Database, tmp_path: Path) -> None:
    """Else its record is in that transaction, which nobody commits, and the run says that the script was applied."""
    migrator = Migrator(database.engine, Component("coins", migrations=tmp_path))
    (tmp_path / "0001_coins.py").write_text("atomic = False\n" + SECOND.format(change='db.execute_sql("BEGIN")'))
    with pytest.raises(MigrationError, match="expected no open transaction behind a script with atomic = False"):
        migrator.up()
    assert migrator.pending() == ["coins.0001_coins"]
    (tmp_path / "0001_coins.py").write_text("def up(m, db):\n    db.execute_sql('DROP TABLE half')\n")
    assert migrator.up() == ["coins.0001_coins"]
