"""What ``operators.at`` asks of a JSON document, as a condition and its values.

Each kind of value is compared with its own: ``Dialect.document_comparisons`` has the operators, and says what they mean
by their names. Columns and dicts are the business of ``where``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

import peewee

from cloudpub_models.errors import InvalidQueryError, InvalidValueError
from cloudpub_models.manager.columns.table import Column
from cloudpub_models.sql import Dialect, encode
from cloudpub_models.sql.dialects import PATTERN_OPERATORS
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.nodes import expressions
from cloudpub_models.sql.nodes.conditions import Condition, DocumentComparison, Group, Negation, Never
from cloudpub_models.sql.operators import MISSING, At
from cloudpub_models.sql.patterns import check_pattern

Found = tuple[Condition, list[Any]]

_KINDS = ("text", "number", "boolean")
_ORDERS = frozenset({"<", "<=", ">", ">=", "BETWEEN"})


def part_inside(operator: At, column: Column, dialect: Dialect) -> Found:
    """Return the condition on what stands at a path in a column's document, and the values of its parameters.

    Raises:
        InvalidQueryError: the column holds no JSON, or the operator cannot be used inside a document.
        InvalidValueError: JSON has no such value.
    """
    if not isinstance(column.field, peewee.JSONField):
        raise InvalidQueryError(
            f"expected a column of JSON documents for at(); {column.name} is none: compare it with the value itself"
        )
    return _Inside(operator, column, dialect).compared()


class _Inside:
    """One place in the documents of a column."""

    def __init__(self, operator: At, column: Column, dialect: Dialect) -> None:
        self.operator = operator.values[0]
        self.path = operator.path
        self.dialect = dialect
        self.where = f"{column.name} at {'.'.join(map(str, self.path))}"
        self.column = expressions.Column(None, column.name)

    def compared(self) -> Found:
        if self.operator is MISSING:
            return self.leaf("MISSING")
        name, operands = self.operator.name, self.operator.values
        if name in ("IS NULL", "IS NOT NULL"):
            return self.leaf(name)
        if name in ("=", "!=", "<>"):
            kind, value = self.kind_and_value(operands[0])
            found = self.leaf(f"{kind} =", value)
            return found if name == "=" else self.other_than(found)
        if name in _ORDERS:
            return self.ordered(name, operands)
        if name in PATTERN_OPERATORS:
            kind, value = self.kind_and_value(operands[0])
            if kind != "text":
                raise InvalidValueError(f"{self.where}: expected a pattern (text) for {name}; got a {kind}")
            return self.leaf(f"text {name}", check_pattern(value))
        if name in ("IN", "IN OR NULL"):
            return self.one_of(operands[0], null=name == "IN OR NULL")
        if name == "NOT IN" and not operands[0]:
            return Negation(Never()), []
        if name in ("NOT IN", "NOT IN OR NULL"):
            return self.other_than(self.one_of(operands[0], null=False))
        raise InvalidQueryError(f"expected an operator that compares JSON values in at(); got {name}")

    def leaf(self, operator: str, *operands: Any) -> Found:
        return DocumentComparison(self.column, operator), self.dialect.document_values(operator, self.path, operands)

    def ordered(self, name: str, operands: Sequence[Any]) -> Found:
        kinds, values = zip(*[self.kind_and_value(operand) for operand in operands], strict=True)
        if len(set(kinds)) > 1 or "boolean" in kinds:
            raise InvalidValueError(
                f"{self.where}: expected numbers, or texts, for {name}; got {' and '.join(kinds)}, which have no order"
            )
        return self.leaf(f"{kinds[0]} {name}", *values)

    def one_of(self, members: Iterable[Any], *, null: bool) -> Found:
        by_kind: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
        for member in members:
            kind, value = self.kind_and_value(member)
            by_kind[kind].append(value)
        found = [self.leaf(f"{kind} IN", self.dialect.pack_members(own)) for kind, own in by_kind.items() if own]
        if null:
            found.append(self.leaf("IS NULL"))
        if len(found) == 1:
            return found[0]
        return _joined("OR", found) if found else (Never(), [])

    def other_than(self, found: Found) -> Found:
        return _joined("AND", [self.leaf("IS NOT NULL"), (Negation(found[0]), found[1])])

    def kind_and_value(self, value: Any) -> tuple[str, Any]:
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, bool):
            return "boolean", value
        if isinstance(value, str):
            return "text", encode(value)
        if isinstance(value, Decimal) and value.is_finite():
            value = int(value) if value == value.to_integral_value() else float(value)
        if isinstance(value, int):
            return "number", encode(value)
        if isinstance(value, float) and math.isfinite(value):
            return "number", value
        raise InvalidValueError(
            f"{self.where}: expected text, a finite number, True, False or None, as JSON has them; got {shown(value)}: "
            "convert it to what the documents hold, or give a longer path"
        )


def _joined(connector: Any, found: Sequence[Found]) -> Found:
    condition = Group(tuple([(connector, condition) for condition, _ in found]))
    return condition, [value for _, values in found for value in values]
