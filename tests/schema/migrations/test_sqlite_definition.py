"""A definition is taken apart and put together again without a change of what it says."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.migrations.sqlite_definition import quoted, read_definition

TYPES = ["", "INTEGER", "VARCHAR(20)", "DECIMAL ( 10 , 2 )", "double precision", "unsigned big int", '"odd type"']
CLAUSES = [
    "NOT NULL",
    "NULL",
    "CONSTRAINT here NOT NULL ON CONFLICT ROLLBACK",
    "UNIQUE",
    "UNIQUE ON CONFLICT IGNORE",
    "DEFAULT 1",
    "DEFAULT -1.5e3",
    "DEFAULT +2",
    "DEFAULT 'a, b) NOT NULL'",
    "DEFAULT NULL",
    "DEFAULT CURRENT_TIMESTAMP",
    "DEFAULT (max(1, 2) || ')')",
    "DEFAULT x'00ff'",
    'CONSTRAINT "named (" DEFAULT true',
    "CHECK (1 < 2 AND 'x' <> ',')",
    "CONSTRAINT [ch eck] CHECK (abs(-1) > 0)",
    "COLLATE NOCASE",
    'COLLATE "rtrim"',
    "REFERENCES t",
    "REFERENCES t (k) ON DELETE SET NULL ON UPDATE SET DEFAULT",
    'REFERENCES "t" ("k") ON UPDATE NO ACTION MATCH FULL NOT DEFERRABLE INITIALLY IMMEDIATE',
    "CONSTRAINT f REFERENCES t (k) DEFERRABLE INITIALLY DEFERRED ON DELETE RESTRICT",
    "/* a comment, ( */",
    "-- to the end, (\n",
]
RULES = [
    "UNIQUE (a, k COLLATE NOCASE DESC) ON CONFLICT FAIL",
    "CONSTRAINT u UNIQUE (a)",
    "CHECK (k <> ',')",
    "CONSTRAINT \"c h\" CHECK (a IN (1, 2) OR k = ')')",
    "FOREIGN KEY (a) REFERENCES t (k) ON DELETE CASCADE",
    "CONSTRAINT fk FOREIGN KEY (a, k) REFERENCES t (k, a) NOT DEFERRABLE",
]
NAMES = ["b", '"Two words"', "`it,s`", "[x (y]", '"with ""quotes"', '"not"']


def described(database: sqlite3.Connection, table: str) -> object:
    """What SQLite says of a table."""
    fetch = lambda pragma: database.execute(f"SELECT * FROM pragma_{pragma}(?)", (table,)).fetchall()  # noqa: E731
    return fetch("table_xinfo"), fetch("foreign_key_list"), [row[2:] for row in fetch("index_list")]


columns = st.builds(
    lambda name, kind, clauses: f"{name} {kind} {' '.join(clauses)}",
    st.sampled_from(NAMES),
    st.sampled_from(TYPES),
    st.lists(st.sampled_from(CLAUSES), max_size=4),
)


@given(
    st.lists(columns, max_size=3, unique_by=lambda text: text.split(" ")[0]),
    st.lists(st.sampled_from(RULES), max_size=3),
    st.sampled_from(["", " STRICT", " WITHOUT ROWID", "/* the end */"]),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_what_sqlite_takes_comes_back(added: list[str], rules: list[str], options: str, commas: bool) -> None:
    parts = ["a INTEGER", "k TEXT NOT NULL PRIMARY KEY", *added]
    statement = f"CREATE TABLE t (\n{', '.join(parts)}"
    statement += "".join(f"{',' if commas or not number else ' '} {rule}" for number, rule in enumerate(rules))
    statement += f"\n){options}"
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute(statement)
        except sqlite3.OperationalError:
            return  # no table of any database
        kept = database.execute("SELECT sql FROM sqlite_master WHERE name = 't'").fetchone()[0]
        definition = read_definition(kept)
        before = described(database, "t")
        assert [column.name for column in definition.columns] == [row[1] for row in before[0]]  # type: ignore[index]
        database.execute("DROP TABLE t")
        database.execute(definition.statement("t"))
        assert described(database, "t") == before
        # What it is made of does not become more or less by being read again.
        again = read_definition(definition.statement("t"))
        assert again.statement("t") == definition.statement("t")
        assert [rule.kind for rule in again.constraints] == [rule.kind for rule in definition.constraints]


def test_all_rules_are_told_apart() -> None:
    clauses = [text for text in CLAUSES if not text.startswith(("/*", "--"))]
    for first, second in itertools.permutations(clauses, 2):
        (column,) = read_definition(f"CREATE TABLE t (a INT {first} {second})").columns
        assert [clause.text for clause in column.clauses] == [first, second]
    definition = read_definition(f"CREATE TABLE t (a, {' '.join(RULES)})")
    assert [rule.text for rule in definition.constraints] == RULES
    assert [rule.name for rule in definition.constraints] == [None, "u", None, "c h", None, "fk"]


def test_names_are_found_in_any_case_or_a_nearest_one_is_named() -> None:
    definition = read_definition('CREATE TABLE t ("Name" TEXT, CONSTRAINT Short CHECK (length(name) < 5))')
    assert definition.column("nAME").name == "Name"
    with pytest.raises(MigrationError, match="expected a column of the table; got 'nam': known are: Name"):
        definition.column("nam")
    with pytest.raises(MigrationError, match="expected a constraint of the table; got 'sort'"):
        definition.remove_constraint("sort", "t")
    definition.remove_constraint("SHORT", "t")
    assert definition.statement("t") == 'CREATE TABLE "t" (\n  "Name" TEXT\n)'
    assert quoted('a"b') == '"a""b"'
    with pytest.raises(MigrationError, match="expected the columns of a table in parentheses"):
        read_definition("CREATE TABLE t")
