"""The tables and references of a catalogue, as a diagram shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cloudpub_models.errors import ConfigurationError
from cloudpub_models.schema.catalogue.catalogue import Catalogue, ForeignKey, Table

# What tables are grouped under that no component has; no component is called so.
_OF_NONE = "no component"


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


Groups = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Diagram:
    """What is drawn.

    Attributes:
        tables: the tables.
        references: the references between them.
        groups: the names of the tables by component, each table in one; empty where all are one component's.
    """

    tables: tuple[TableBox, ...]
    references: tuple[Reference, ...]
    groups: Groups = field(default_factory=dict)

    def table(self, name: str) -> TableBox:
        """Return the table of a name."""
        return next(box for box in self.tables if box.name == name)


def by_component(tables: Iterable[str], owners: Mapping[str, str]) -> Groups:
    """Return the names of tables by component; nothing where they are not of several, since that says nothing.

    Args:
        tables: the names of the tables.
        owners: the names of the components by those of their tables, in the order in which they are shown.

    >>> owners = {"users": "cloudpub", "invoices": "billing"}
    >>> by_component(["invoices", "tags", "users"], owners)
    {'cloudpub': ('users',), 'billing': ('invoices',), 'no component': ('tags',)}
    >>> by_component(["tags", "users"], owners)
    {}
    """
    listed = list(tables)
    if len({owners[table] for table in listed if table in owners}) < 2:
        return {}
    names = [*dict.fromkeys(owners.values()), _OF_NONE]
    groups = {name: tuple(table for table in listed if owners.get(table, _OF_NONE) == name) for name in names}
    return {name: found for name, found in groups.items() if found}


def diagram_of(catalogue: Catalogue, owners: Mapping[str, str], *, without: Iterable[str] = ()) -> Diagram:
    """Return the diagram of a catalogue, which does not depend on the order of its tables.

    Args:
        catalogue: the tables.
        owners: the names of the components by those of their tables, in the order in which they are drawn.
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
        by_component(tables, owners),
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
