"""A database's schema as plain values that can be compared.

Types, defaults, checks and triggers are normalised (see ``normal_form``), so that the values of a database and those
derived from the models are equal where they mean the same. What is derived from models carries the SQL that would make
it too, which no comparison heeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from cloudpub_models.sql.dialects import Dialect

# The default of a primary key that counts by itself: SERIAL, IDENTITY, AUTOINCREMENT.
COUNTING = "autoincrement"


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: its name.
        type: its type in lower case (``varchar(255)``).
        nullable: whether it may be NULL.
        default: its default in comparable form, or None.
        default_sql: its default as the model, or the server, has it.
    """

    name: str
    type: str
    nullable: bool
    default: str | None = None
    default_sql: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Unique:
    """A UNIQUE constraint, or a unique index over all rows, which is the same rule; attributes as in ``Index``."""

    columns: tuple[str, ...]
    name: str | None = None
    is_index: bool = field(default=False, compare=False)
    keys: tuple[str, ...] = field(default=(), compare=False)
    sql: str = field(default="", compare=False)


@dataclass(frozen=True)
class Index:
    """An index that is no constraint's.

    Attributes:
        name: its name.
        columns: its columns, and its expressions in comparable form (``lower email``).
        partial: whether it covers some rows only.
        keys: its columns and expressions as the model, or the server, has them.
        sql: the statement that makes it.
        unique: whether it allows each value once, among the rows that it covers.
        where: the condition of those rows, as the server has it.
    """

    name: str
    columns: tuple[str, ...]
    partial: bool = False
    keys: tuple[str, ...] = field(default=(), compare=False)
    sql: str = field(default="", compare=False)
    unique: bool = field(default=False, compare=False)
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class ForeignKey:
    """A reference, with what happens to this row when the other goes or changes its key."""

    columns: tuple[str, ...]
    table: str
    referenced: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    name: str | None = None


@dataclass(frozen=True)
class Check:
    """A CHECK: its expression in comparable form, its name, and the whole of it as the model, or the server, has it."""

    expression: str
    name: str | None = None
    sql: str = field(default="", compare=False)


@dataclass(frozen=True)
class Trigger:
    """An enabled trigger: its statement in comparable form, and the body of the function that it calls, if any."""

    name: str
    definition: str
    body: str | None = None


class Partition(NamedTuple):
    """One partition of a table: the rows from one moment on, up to another one.

    Attributes:
        name: its name.
        begin: the first moment of its rows, in UTC; ``None`` where there is no first.
        end: the first moment behind them, in UTC; ``None`` where there is no last.
        rows_estimate: how many rows it has, by the server's statistics.
        bytes: what it takes on the disk, with its indexes.
    """

    name: str
    begin: datetime | None
    end: datetime | None
    rows_estimate: int
    bytes: int


@dataclass(frozen=True)
class Table:
    """A table; constraints in an order that depends on what they say, not on how they were made.

    Where it consists of partitions by ranges of a column, ``partitioned_by`` is that column, which PostgreSQL wants in
    its primary key and in what is unique.
    """

    name: str
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()
    uniques: tuple[Unique, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    partitioned_by: str | None = None


@dataclass(frozen=True)
class Catalogue:
    """The tables of a database, or of one schema of it, by name."""

    dialect: Dialect
    tables: Mapping[str, Table]


@dataclass
class TableParts:
    """A table while it is being read."""

    name: str
    columns: list[Column] = field(default_factory=list)
    primary_key: tuple[str, ...] = ()
    uniques: list[Unique] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)
    partitioned_by: str | None = None

    def table(self) -> Table:
        """Return the finished table."""
        return Table(
            name=self.name,
            columns={column.name: column for column in self.columns},
            primary_key=self.primary_key,
            uniques=_ordered(self.uniques),
            indexes=_ordered(self.indexes),
            foreign_keys=_ordered(self.foreign_keys),
            checks=_ordered(self.checks),
            triggers=_ordered(self.triggers),
            partitioned_by=self.partitioned_by,
        )


def normalised_type(declared: str) -> str:
    """Return a type's name in the short form that both catalogues and models are compared in.

    >>> normalised_type("CHARACTER VARYING(255)"), normalised_type("timestamp without time zone")
    ('varchar(255)', 'timestamp')
    """
    text = " ".join(declared.lower().split())
    for long, short in (
        ("character varying", "varchar"),
        ("timestamp without time zone", "timestamp"),
        ("timestamp with time zone", "timestamptz"),
        ("bigserial", "bigint"),
        ("serial", "integer"),
        ("int8", "bigint"),
        ("int4", "integer"),
    ):
        if text == long or text.startswith(long + "("):
            return short + text[len(long) :].replace(" ", "")
    return "integer" if text == "int" else "boolean" if text == "bool" else text


def function_text(source: str, settings: str | None) -> str:
    """Return a trigger function's body and settings in comparable form."""
    return " ".join(f"{source} {(settings or '').strip('{}')}".split()).lower()


def _ordered(items: list[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=repr))
