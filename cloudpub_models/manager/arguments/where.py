"""The ``where`` argument of the managers: a dict or a Peewee expression becomes a shape and its values.

The shape (columns and operators) decides the SQL and is what statements are cached by; the values travel beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import call
from typing import Any, Final
from uuid import UUID

import peewee

from cloudpub_models.connection.engine import Engine
from cloudpub_models.entity.binding import current_database
from cloudpub_models.errors import InvalidQueryError, UnknownTableError
from cloudpub_models.manager.columns.table import Column, Table
from cloudpub_models.sql import Dialect
from cloudpub_models.sql.nodes.conditions import MEMBERSHIP_OPERATORS, Condition, Group, PositionalCondition
from cloudpub_models.sql.operators import Operator, in_
from cloudpub_models.sql.patterns import check_pattern
from cloudpub_models.sql.values import encode


class AllRows:
    """The type of ``ALL_ROWS``, which says of an update or delete that every row is meant."""

    def __repr__(self) -> str:
        return "ALL_ROWS"


ALL_ROWS: Final = AllRows()


class AllOf:
    """Several ``where`` arguments that all have to hold; a column may come in more than one of them."""

    def __init__(self, *parts: Where) -> None:
        self.parts = parts


Where = Mapping[str, Any] | peewee.Node | AllOf | AllRows | None

_MARK = "\0"
# Values of these types are compared for equality, without another look at them.
_SCALARS = frozenset({int, str, bool, UUID, datetime})
_DEEPEST_GROUP = 50
_PATTERN_OPERATORS = frozenset({"LIKE", "NOT LIKE", "ILIKE"})


# A column and an operator, or a condition of another kind.
Part = tuple[str, str] | Condition
Shape = tuple[Part, ...]


# Conditions that all hold, and the encoded values of their parameters in order.
Conditions = tuple[Shape, Sequence[Any]]
NO_CONDITIONS: Final[Conditions] = ((), ())


def parse_where(where: Where, table: Table, engine: Engine) -> Conditions:
    """Return the shape and the values of a ``where`` argument.

    Raises:
        UnknownColumnError: a key is no column of the table.
        UnknownTableError: a Peewee expression names columns of another table.
        InvalidValueError: a value does not fit its column.
        InvalidQueryError: the argument is of no kind that conditions can be read from.
    """
    if where is None or where is ALL_ROWS:
        return NO_CONDITIONS
    if type(where) is not dict:
        if isinstance(where, peewee.Node):
            return _from_expression(where, table, engine)
        if isinstance(where, AllOf):
            parsed = [parse_where(part, table, engine) for part in where.parts]
            shape = tuple(part for shape, _ in parsed for part in shape)
            return shape, [value for _, values in parsed for value in values]
        if not isinstance(where, Mapping):
            raise InvalidQueryError(
                f"expected where to be a dict of column name to value, or a Peewee expression; "
                f"got {type(where).__name__}"
            )
    columns = table.columns_of(where)
    for value in where.values():
        if type(value) not in _SCALARS:
            return _compared(columns.names, where.values(), table, engine.sql_dialect)
    return columns.equal, list(map(call, columns.encoders, where.values()))


def _compared(names: Sequence[str], operands: Iterable[Any], table: Table, dialect: Dialect) -> Conditions:
    shape: list[Part] = []
    values: list[Any] = []
    for name, value in zip(names, operands, strict=True):
        operator, encoded = _operator_and_operands(value, table.columns[name], dialect)
        shape.append((name, operator))
        values.extend(encoded)
    return tuple(shape), values


def _operator_and_operands(value: Any, column: Column, dialect: Dialect) -> tuple[str, tuple[Any, ...]]:
    if value is None:
        return "IS NULL", ()
    if isinstance(value, list | tuple | set | frozenset):
        value = in_(value)
    if not isinstance(value, Operator):
        return "=", (column.encode(value),)
    operator = value.name
    if operator in MEMBERSHIP_OPERATORS:
        return operator, (column.encode_list(value.values[0], dialect),)
    if operator in _PATTERN_OPERATORS:
        return operator, (_pattern(value.values[0], column),)
    return operator, tuple(column.encode(operand) for operand in value.values)


def _pattern(pattern: Any, column: Column) -> str:
    if not column.is_text:
        raise InvalidQueryError(
            f"expected a text column for a pattern; {column.name} is none: compare it with eq, gt or lt"
        )
    return check_pattern(encode(pattern))


class _ConditionContext(peewee.Context):
    """Renders a condition on one table's rows: its columns are qualified by the table's name.

    Attributes:
        referred: the tables whose columns the condition names.
        brought: those that it brings itself, in the FROM of a subquery, which may refer to the outer row.
    """

    __slots__ = ("brought", "referred")

    def __init__(self, table: peewee.Table, **options: Any) -> None:
        super().__init__(**options)
        self.alias_manager[table] = table.__name__
        self.referred: set[Any] = set()
        self.brought: set[Any] = {table}

    def sql(self, obj: Any) -> Any:
        if isinstance(obj, type) and issubclass(obj, peewee.Model):
            obj = obj._meta.table
        if isinstance(obj, peewee.Source | peewee.ModelAlias):
            if self.scope == peewee.SCOPE_SOURCE:
                self.brought.add(obj)
            elif self.scope == peewee.SCOPE_COLUMN:
                self.referred.add(obj)
        return super().sql(obj)  # type: ignore[no-untyped-call]


def _from_expression(expression: peewee.Node, table: Table, engine: Engine) -> Conditions:
    """Let Peewee render its expression, with a mark for each parameter."""
    values: list[Any] = []
    # Peewee asks the database that its model is bound to how paths into JSON are written.
    with current_database.bound_to(engine):
        try:
            condition: Condition = _rendered(expression, table, engine, values)
        except RecursionError:
            values.clear()
            condition = _taken_apart(expression, table, engine, values)
    return (condition,), values


def _rendered(expression: peewee.Node, table: Table, engine: Engine, values: list[Any]) -> PositionalCondition:
    options = engine.get_context_options() | {"param": _MARK}
    context = _ConditionContext(table.model._meta.table, **options)
    text, parameters = context.scope_normal(subquery=True).sql(expression).query()
    if foreign := context.referred - context.brought:
        names = ", ".join(sorted(map(_name_of, foreign)))
        raise UnknownTableError(
            f"expected a condition on columns of {table.name}; got columns of {names}: ask for them in a subquery, "
            "as in Function.user.in_(User.select().where(…))"
        )
    pieces = tuple(text.split(_MARK))
    if len(pieces) != len(parameters) + 1:
        raise InvalidQueryError("expected a Peewee expression without NUL characters in its SQL; got one: remove them")
    # Peewee's fields have converted them, but not checked them; what else they may be (bytes, dates) is the driver's.
    values += [encode(value) if isinstance(value, str | int | float) else value for value in parameters]
    return PositionalCondition(pieces)


def _name_of(source: Any) -> str:
    if isinstance(source, peewee.ModelAlias):
        return f"an alias of {source.model._meta.table_name}"
    return str(getattr(source, "__name__", "a subquery"))


def _taken_apart(expression: peewee.Node, table: Table, engine: Engine, values: list[Any], depth: int = 0) -> Condition:
    """Render the terms of a long chain one by one: Peewee nests each into the next, deeper than Python goes."""
    connector = getattr(expression, "op", None)
    if connector not in ("AND", "OR") or depth >= _DEEPEST_GROUP:
        raise InvalidQueryError(
            f"expected a Peewee expression at most {_DEEPEST_GROUP} groups deep; got one that is nested deeper: "
            "use a list of values, or several queries"
        )
    terms: list[peewee.Node] = []
    pending: list[Any] = [expression]
    while pending:
        node = pending.pop()
        if isinstance(node, peewee.Expression) and node.op == connector:
            pending += [node.rhs, node.lhs]
        else:
            terms.append(node)
    conditions: list[Condition] = []
    for term in terms:
        kept = len(values)
        try:
            conditions.append(_rendered(term, table, engine, values))
        except RecursionError:
            del values[kept:]
            conditions.append(_taken_apart(term, table, engine, values, depth + 1))
    return Group(tuple([(connector, condition) for condition in conditions]))
