"""How a database's schema differs from the models', and what would mend it.

Names do not count where the rule is what matters: an index over the right columns fits whatever it is called. Tables
and columns that the models do not know are no drift, since others have theirs in the same database; the one exception
is a column of a known table that must be given a value. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.ddl import Trigger, touch_triggers
from cloudpub_models.schema.catalogue.catalogue import COUNTING, Catalogue, Check, Column, ForeignKey, Table
from cloudpub_models.schema.catalogue.normal_form import check_expression, readable, terminated
from cloudpub_models.schema.catalogue.read import read_catalogue, reader_of
from cloudpub_models.schema.drift import mending
from cloudpub_models.schema.drift.definition import Models, expected_in_own_words, table_statements

DifferenceKind = Literal[
    "table",
    "column",
    "type",
    "nullability",
    "default",
    "primary key",
    "unique",
    "index",
    "foreign key",
    "check",
    "trigger",
    "extra column",
]


@dataclass(frozen=True)
class Difference:
    """One thing in which a database differs from the models.

    Attributes:
        kind: what differs.
        table: the table.
        subject: what in the table: a column, or columns, or a trigger's name.
        expected: what the models say, in words.
        found: what the database has, in words.
        statements: the SQL that would mend it; empty where there is no single safe statement, as in SQLite, which
            would need the table made anew.
        blocking: whether the managers cannot work with the table as it is: something is missing, or of a type that
            does not fit.
    """

    kind: DifferenceKind
    table: str
    subject: str
    expected: str
    found: str
    statements: tuple[str, ...] = ()
    blocking: bool = False

    @property
    def description(self) -> str:
        """The difference in one line."""
        place = f"{self.table}.{self.subject}" if self.subject else self.table
        return f"{place}: {self.kind}: expected {self.expected}; got {self.found}"

    def __str__(self) -> str:
        """Return the description."""
        return self.description


def find_drift(database: peewee.Database, models: Models) -> list[Difference]:
    """Compare a database's catalogue with the models.

    Args:
        database: the database; nothing is changed. On PostgreSQL the models' tables are made in a schema of their own
            for it, in a transaction that is rolled back, where the user may; otherwise what the models say is put into
            PostgreSQL's words as well as this library can.
        models: the models that it should have tables for; one with ``Meta.schema`` is not compared, since its table
            is elsewhere.

    Returns:
        The differences, table by table in the order of the models; empty when there are none.

    Raises:
        ConfigurationError: for a database that is neither SQLite nor PostgreSQL.

    >>> database = peewee.SqliteDatabase(":memory:")
    >>> [difference.description for difference in find_drift(database, [User])]
    ['users: table: expected a table; got none']
    """
    dialect = sql_dialect_of(database)
    models = [model for model in models if not model._meta.schema]
    expected = expected_in_own_words(database, models)
    actual = read_catalogue(database, expected.tables)
    differences: list[Difference] = []
    for model in models:
        name = model._meta.table_name
        found = actual.tables.get(name)
        if found is None:
            statements = tuple(terminated(statement, dialect) for statement in table_statements(dialect, model))
            differences.append(Difference("table", name, "", "a table", "none", statements, blocking=True))
            continue
        comparison = _Comparison(expected, expected.tables[name], found)
        differences.extend(comparison.columns())
        differences.extend(comparison.constraints())
        differences.extend(comparison.triggers({made.name: made for made in touch_triggers(model, dialect)}))
    return differences


def unknown_columns(model: type[peewee.Model], table: Table) -> list[Column]:
    """Return the columns of a table that its model does not know, which are another program's to write.

    >>> unknown_columns(User, Table("users", {"nickname": Column("nickname", "text", True)}))
    [Column(name='nickname', type='text', nullable=True, default=None, default_sql=None)]
    """
    known = model._meta.columns
    return [column for name, column in table.columns.items() if name not in known]


class _Comparison:
    """One table as it should be beside the same table as it is."""

    def __init__(self, catalogue: Catalogue, expected: Table, found: Table) -> None:
        self.dialect = catalogue.dialect
        self.name = expected.name
        self.expected = expected
        self.found = found

    def columns(self) -> Iterator[Difference]:
        for name, column in self.expected.columns.items():
            found = self.found.columns.get(name)
            if found is None:
                statements = mending.add_column(self.dialect, self.name, column)
                yield self._difference("column", name, self._described(column), "none", statements, blocking=True)
                continue
            # The default comes first: its statement suits the type that the column has, and changing the type brings
            # the default along, so that running either or both, in this order, is right.
            if found.default != column.default and not self._same_default(column, found):
                statements = mending.change_default(self.dialect, self.name, column, found)
                yield self._difference("default", name, self._default(column), self._default(found), statements)
            if found.type != column.type:
                statements = mending.change_type(self.dialect, self.name, column, found)
                # Numbers of 32 bits are counted just the same, for as long as there are some left.
                counts = column.default == COUNTING and (column.type, found.type) == ("bigint", "integer")
                blocking = not counts and not reader_of(self.dialect).type_fits(column.type, found.type)
                yield self._difference("type", name, column.type, found.type, statements, blocking=blocking)
            if found.nullable != column.nullable:
                words = {True: "NULL allowed", False: "NOT NULL"}
                statements = mending.change_nullability(self.dialect, self.name, name, nullable=column.nullable)
                yield self._difference("nullability", name, words[column.nullable], words[found.nullable], statements)
        for name, extra in self.found.columns.items():
            if name not in self.expected.columns and not extra.nullable and extra.default is None:
                statements = mending.change_nullability(self.dialect, self.name, name, nullable=True)
                yield self._difference(
                    "extra column", name, "NULL allowed or a default", "NOT NULL without one", statements
                )

    def _same_default(self, expected: Column, found: Column) -> bool:
        # The same moment, said for a column that keeps the timezone.
        return found.type == "timestamptz" and found.default == "now" and expected.default == "timezone 'utc' , now"

    def constraints(self) -> Iterator[Difference]:
        expected, found = self.expected, self.found
        # Of a partitioned table the server wants that column in all that is unique.
        partitioned_by = {found.partitioned_by} - {None}
        if found.primary_key[: len(expected.primary_key)] != expected.primary_key or not (
            set(found.primary_key) - set(expected.primary_key) <= partitioned_by
        ):
            statements = () if found.primary_key else mending.add_primary_key(self.dialect, expected)
            subject = ", ".join(expected.primary_key)
            yield self._difference(
                "primary key", subject, f"({subject})", f"({', '.join(found.primary_key)})", statements
            )
        kept_unique = {unique.columns for unique in found.uniques} | {found.primary_key}
        for unique in expected.uniques:
            # In whatever order of columns, the rule is the same.
            wanted = set(unique.columns)
            if not any(set(columns) in (wanted, wanted | partitioned_by) for columns in kept_unique):
                statements = mending.add_unique(self.dialect, self.name, unique)
                subject = ", ".join(unique.keys or unique.columns)
                yield self._difference("unique", subject, "UNIQUE", "none", statements)
        indexed = {index.columns for index in found.indexes if not index.partial} | kept_unique
        for index in expected.indexes:
            if index.columns not in indexed:
                statements = mending.add_index(self.dialect, index, found.indexes)
                yield self._difference("index", ", ".join(index.keys), "an index", "none", statements)
        yield from self._foreign_keys()
        kept_checks = {check.expression for check in found.checks}
        for check in expected.checks:
            if check.expression not in kept_checks:
                statements = mending.add_check(self.dialect, self.name, check, found.checks)
                same_name = [self._as_written(other) for other in found.checks if other.name == check.name]
                yield self._difference(
                    "check", check.name or "", self._as_written(check), "".join(same_name[:1]) or "none", statements
                )

    def _as_written(self, check: Check) -> str:
        return f"CHECK ({readable(check_expression(check.sql, self.dialect), self.dialect)})"

    def _described(self, column: Column) -> str:
        default = f" DEFAULT {self._default(column)}" if column.default is not None else ""
        return f"{column.type}{'' if column.nullable else ' NOT NULL'}{default}"

    def _default(self, column: Column) -> str:
        if column.default is None or column.default == COUNTING:
            return column.default or "none"
        return readable(column.default_sql or column.default, self.dialect)

    def _foreign_keys(self) -> Iterator[Difference]:
        for key in self.expected.foreign_keys:
            on_same_columns = [other for other in self.found.foreign_keys if other.columns == key.columns]
            if any(_reference(other) == _reference(key) for other in on_same_columns):
                continue
            statements = mending.add_foreign_key(self.dialect, self.name, key, on_same_columns)
            found = "; ".join(_reference(other) for other in on_same_columns) or "none"
            yield self._difference("foreign key", ", ".join(key.columns), _reference(key), found, statements)

    def triggers(self, made: dict[str, Trigger]) -> Iterator[Difference]:
        kept = {trigger.name: trigger for trigger in self.found.triggers}
        for trigger in self.expected.triggers:
            other = kept.get(trigger.name)
            if other != trigger:
                expected = f"the trigger that sets {made[trigger.name].column}"
                found = "none" if other is None else "another one of this name"
                yield self._difference(
                    "trigger", trigger.name, expected, found, mending.make_trigger(made[trigger.name])
                )

    def _difference(
        self,
        kind: DifferenceKind,
        subject: str,
        expected: str,
        found: str,
        statements: tuple[str, ...],
        *,
        blocking: bool = False,
    ) -> Difference:
        return Difference(kind, self.name, subject, expected, found, statements, blocking)


def _reference(key: ForeignKey) -> str:
    text = f"REFERENCES {key.table} ({', '.join(key.referenced)}) ON DELETE {key.on_delete}"
    return text if key.on_update == "NO ACTION" else f"{text} ON UPDATE {key.on_update}"
