"""The tables and references of a catalogue, as a diagram shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cloudpub_models.errors import ConfigurationError
from cloudpub_models.schema.catalogue.catalogue import Catalogue, ForeignKey, Table


@dataclass(frozen=True)
class Attribute:
    """A column, with what it is beside a value.

    Attributes:
        name: its name.
        type: its type, in short form.
        nullable: whether it may be NULL.
        keys: ``PK``, ``FK`` and ``U``, those that apply; ``U`` only where the column alone is unique.
    """

    name: str
    type: str
    nullable: bool
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableBox:
    """A table."""

    name: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True)
class Reference:
    """A reference from one table to another.

    Attributes:
        child: the table that refers.
        column: the column that does; the first where there are several.
        parent: the table that is referred to.
        target: the column that is referred to.
        optional: whether the reference may be NULL.
        single: whether at most one child refers to a parent.
        on_delete: what becomes of the child with its parent.
    """

    child: str
    column: str
    parent: str
    target: str
    optional: bool
    single: bool
    on_delete: str


@dataclass(frozen=True)
class Diagram:
    """What is drawn."""

    tables: tuple[TableBox, ...]
    references: tuple[Reference, ...]

    def table(self, name: str) -> TableBox:
        """Return the table of a name."""
        return next(box for box in self.tables if box.name == name)


def diagram_of(catalogue: Catalogue, *, without: Iterable[str] = ()) -> Diagram:
    """Return the diagram of a catalogue, which does not depend on the order of its tables.

    Args:
        catalogue: the tables.
        without: the names of tables to leave out.

    Raises:
        ConfigurationError: there is no table to draw.
    """
    left_out = set(without)
    tables = {name: table for name, table in sorted(catalogue.tables.items()) if name not in left_out}
    if not tables:
        raise ConfigurationError(
            "expected a database with tables to draw; got one without any: 'cloudpub migrate up' makes them"
        )
    return Diagram(
        tuple(_box(table) for table in tables.values()),
        tuple(
            _reference(tables, table, key)
            for table in tables.values()
            for key in table.foreign_keys
            if key.table in tables
        ),
    )


def _box(table: Table) -> TableBox:
    referring = {column for key in table.foreign_keys for column in key.columns}
    unique = {constraint.columns for constraint in table.uniques}
    attributes = []
    for column in table.columns.values():
        keys = [
            key
            for key, applies in (
                ("PK", column.name in table.primary_key),
                ("FK", column.name in referring),
                ("U", (column.name,) in unique),
            )
            if applies
        ]
        attributes.append(Attribute(column.name, column.type, column.nullable, tuple(keys)))
    return TableBox(table.name, tuple(attributes))


def _reference(tables: Mapping[str, Table], table: Table, key: ForeignKey) -> Reference:
    # A reference to a table's own key may leave its columns out.
    target = (key.referenced or tables[key.table].primary_key or (next(iter(tables[key.table].columns)),))[0]
    unique = {constraint.columns for constraint in table.uniques} | {table.primary_key}
    return Reference(
        child=table.name,
        column=key.columns[0],
        parent=key.table,
        target=target,
        optional=any(table.columns[column].nullable for column in key.columns),
        single=key.columns in unique,
        on_delete=key.on_delete,
    )
