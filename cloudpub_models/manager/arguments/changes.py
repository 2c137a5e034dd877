"""What an update sets columns to where that is no value: increments and Peewee expressions, checked and described.

Plain values are encoded by the table; what is computed in the database is described here as a node with its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

import peewee

from cloudpub_models.connection.engine import Engine
from cloudpub_models.errors import InvalidValueError
from cloudpub_models.manager.arguments.where import pieces_of
from cloudpub_models.manager.columns.conversions import stores_as
from cloudpub_models.manager.columns.table import Column, Table
from cloudpub_models.sql.nodes import expressions as nodes
from cloudpub_models.sql.operators import Increment

# What stands for something that the database computes; a model's instance, which Peewee calls a node, does not.
COMPUTED = (Increment, peewee.Node)
_NUMBERS = (peewee.IntegerField, peewee.FloatField, peewee.DecimalField)


class Computing(dict[str, Any]):
    """The changes of a row, by column, where the database computes some: those are ``Computed``, the others encoded."""


class Computed(NamedTuple):
    """What a column is set to where the database computes it.

    Attributes:
        column: the column.
        node: how it is computed.
        values: of the node's parameters, encoded.
        first: what a row begins with that is inserted; only an increment says so.
    """

    column: Column
    node: nodes.Expression
    values: tuple[Any, ...]
    first: Any = None

    @property
    def added_to_row_in_place(self) -> nodes.Assignment:
        """What increments a row that stands in the place of one that was to be inserted with the first value."""
        column = nodes.Column(None, self.column.name)
        return nodes.Assignment(
            column.name, nodes.Sum(column, nodes.Column("excluded", column.name), _places(self.column))
        )


def is_computed(value: Any) -> TypeGuard[Increment | peewee.Node]:
    """Return whether a value stands for something that the database computes."""
    return isinstance(value, COMPUTED) and not isinstance(value, peewee.Model)


def split_changes(data: Mapping[str, Any], table: Table, engine: Engine) -> tuple[dict[str, Any], dict[str, Computed]]:
    """Return the plain values of some changes, and what is computed, by the column's name.

    Raises:
        UnknownColumnError: a name is no column.
        UnknownTableError: an expression names columns of another table.
        InvalidValueError: an increment does not fit its column, or a column is named twice.
    """
    plain: dict[str, Any] = {}
    computed: dict[str, Computed] = {}
    for name, value in data.items():
        column = table.column(name)
        if column.name in plain or column.name in computed:
            raise InvalidValueError(
                f"expected each column of {table.name} once; got both a column's and its field's name"
            )
        if not is_computed(value):
            plain[column.name] = value
        elif isinstance(value, Increment):
            computed[column.name] = _incremented(column, value, table)
        else:
            computed[column.name] = _expressed(column, value, table, engine)
    return plain, computed


def _incremented(column: Column, increment: Increment, table: Table) -> Computed:
    if not isinstance(column.field, _NUMBERS) or not stores_as(column.field, *_NUMBERS):
        raise InvalidValueError(f"{table.name}.{column.name}: expected a column of numbers to increment; got another")
    amount = column.encode(increment.amount)
    node = nodes.Sum(nodes.Column(None, column.name), nodes.Value(), _places(column))
    return Computed(column, node, (amount,), amount)


def _expressed(column: Column, expression: peewee.Node, table: Table, engine: Engine) -> Computed:
    values: list[Any] = []
    node: nodes.Expression = nodes.Positional(pieces_of(expression, table, engine, values))
    places = _places(column)
    if places is not None:
        # Rounded to what the column holds, as PostgreSQL does it by itself.
        node = nodes.Sum(node, nodes.Number("0"), places)
    return Computed(column, node, tuple(values))


def _places(column: Column) -> int | None:
    places: int | None = column.field.decimal_places if isinstance(column.field, peewee.DecimalField) else None
    return places
