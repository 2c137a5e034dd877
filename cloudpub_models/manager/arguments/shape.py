"""The shape of conditions: columns and operators, without values. It decides the SQL, and statements are kept by it.

Reads no argument (``where`` does) and writes no SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cloudpub_models.sql.nodes.conditions import NO_CONDITIONS as NO_GROUP
from cloudpub_models.sql.nodes.conditions import (
    Comparison,
    Condition,
    DocumentComparison,
    During,
    Group,
    Negation,
    Related,
)
from cloudpub_models.sql.nodes.expressions import Column

# A column and an operator, or a condition of another kind.
Part = tuple[str, str] | Condition
Shape = tuple[Part, ...]
# Conditions that all hold, and the encoded values of their parameters in order.
Conditions = tuple[Shape, Sequence[Any]]
NO_CONDITIONS: Final[Conditions] = ((), ())


def group_of(shape: Shape, table: str | None = None) -> Group:
    """Return the conditions of a shape; a column without a table of its own is that one's.

    >>> group_of((("name", "="),), "functions").items
    (('AND', Comparison(column=Column(table='functions', name='name'), operator='=')),)
    """
    if not shape:
        return NO_GROUP
    return Group(tuple([("AND", condition_of(part, table)) for part in shape]))


def condition_of(part: Part, table: str | None = None) -> Condition:
    """Return one part of a shape as a condition."""
    if isinstance(part, tuple):
        return Comparison(Column(table, part[0]), part[1])
    return part if table is None else _qualified(part, table)


def _qualified(condition: Condition, table: str) -> Condition:
    if isinstance(condition, Group):
        return Group(tuple([(connector, _qualified(item, table)) for connector, item in condition.items]))
    if isinstance(condition, Negation):
        return Negation(_qualified(condition.condition, table))
    of_a_column = Comparison | DocumentComparison | During | Related
    if isinstance(condition, of_a_column) and isinstance(condition.column, Column):
        return condition.changed(column=Column(condition.column.table or table, condition.column.name))
    return condition
