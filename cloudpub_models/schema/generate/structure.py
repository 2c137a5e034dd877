"""Tables as plain values that say all that a script needs to make them: on either database, and as they were.

Beside what ``schema.catalogue`` compares they keep the text of defaults, checks and indexes, and types that one of the
databases does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloudpub_models.entity.fields import ServerDefault
from cloudpub_models.schema.catalogue.normal_form import normalised
from cloudpub_models.sql.dialects import SQLITE

# How SQLite stores what it has no type of its own for.
STORED_AS = {
    "uuid": "text",
    "json": "text",
    "boolean": "integer",
    "smallint": "integer",
    "bigint": "integer",
    "double": "real",
    "uuid bytes": "blob",
}


@dataclass(frozen=True)
class ColumnState:
    """A column.

    Attributes:
        name: its name.
        type: its type in lower case: ``varchar(255)``, ``uuid``, ``json``, ``boolean``, ``bigint``, …
        is_type_certain: whether that is known; otherwise it is what SQLite stores, which may stand for others.
        nullable: whether it may be NULL.
        default: its default in the database, in the words of each.
        counts: whether it is a key that counts by itself; None where its definition does not tell, as where a script
            sends ``INTEGER PRIMARY KEY`` to SQLite.
        value: the default that Python gives, where it is the same for every row.
    """

    name: str
    type: str
    is_type_certain: bool
    nullable: bool
    default: ServerDefault | None
    counts: bool | None = False
    value: object = field(default=None, compare=False)

    def has_type_of(self, other: ColumnState) -> bool:
        """Whether both types are the same, as far as they are known."""
        if self.is_type_certain and other.is_type_certain:
            return self.type == other.type
        return STORED_AS.get(self.type, self.type) == STORED_AS.get(other.type, other.type)

    def may_count_as(self, other: ColumnState) -> bool:
        """Whether both count by themselves, or neither does, as far as that is known."""
        return self.counts is None or other.counts is None or self.counts == other.counts

    def has_default_of(self, other: ColumnState) -> bool:
        """Whether both defaults are the same."""
        return _comparable(self.default) == _comparable(other.default)


def _comparable(default: ServerDefault | None) -> str | None:
    return None if default is None else normalised(default.sqlite, SQLITE)


@dataclass(frozen=True)
class UniqueState:
    """A UNIQUE constraint, or a unique index over all rows."""

    name: str
    columns: tuple[str, ...]
    is_index: bool

    @property
    def rule(self) -> object:
        """What two of them have in common that are the same rule."""
        return frozenset(self.columns)

    def is_about(self, column: str) -> bool:
        """Whether it names a column."""
        return column in self.columns


@dataclass(frozen=True)
class IndexState:
    """An index that is no rule for all rows.

    Attributes:
        name: its name.
        columns: its columns; None where there are expressions or directions among them.
        unique: whether it allows each value once, among the rows that it covers.
        where: the condition of the rows that it covers; None for all.
        keys: the text of its columns and expressions.
    """

    name: str
    columns: tuple[str, ...] | None
    unique: bool
    where: str | None
    keys: str

    @property
    def is_plain(self) -> bool:
        """Whether it is what a field or ``Meta.indexes`` says by the names of columns alone."""
        return self.columns is not None and self.where is None and not self.unique

    @property
    def rule(self) -> object:
        """What two of them have in common that are the same index."""
        return (self.unique, normalised(self.keys, SQLITE), normalised(self.where or "", SQLITE))

    def is_about(self, column: str) -> bool:
        """Whether it names a column."""
        return column in normalised(f"{self.keys} {self.where or ''}", SQLITE).split()


@dataclass(frozen=True)
class ReferenceState:
    """A foreign key."""

    name: str
    columns: tuple[str, ...]
    table: str
    referenced: tuple[str, ...]
    on_delete: str
    on_update: str

    @property
    def rule(self) -> object:
        """What two of them have in common that are the same reference."""
        return (self.columns, self.table, self.referenced, self.on_delete, self.on_update)

    def is_about(self, column: str) -> bool:
        """Whether it names a column."""
        return column in self.columns


@dataclass(frozen=True)
class CheckState:
    """A CHECK: its name, and its expression as it was written."""

    name: str
    expression: str

    @property
    def rule(self) -> object:
        """What two of them have in common that are the same check."""
        return normalised(self.expression, SQLITE)

    def is_about(self, column: str) -> bool:
        """Whether it names a column."""
        return column in normalised(self.expression, SQLITE).split()


@dataclass(frozen=True)
class TableState:
    """A table.

    Attributes:
        name: its name.
        columns: its columns by name.
        primary_key: the names of those that are its key.
        uniques: its rules that values are there once.
        indexes: its other indexes.
        references: its foreign keys.
        checks: its checks.
        touched: the columns that an update sets by itself.
        options: how the table is stored, as Peewee's ``Meta`` has it: ``without_rowid``.
    """

    name: str
    columns: Mapping[str, ColumnState]
    primary_key: tuple[str, ...] = ()
    uniques: tuple[UniqueState, ...] = ()
    indexes: tuple[IndexState, ...] = ()
    references: tuple[ReferenceState, ...] = ()
    checks: tuple[CheckState, ...] = ()
    touched: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


Tables = Mapping[str, TableState]
