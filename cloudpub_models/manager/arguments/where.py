"""The ``where`` argument of the managers: a dict, a Peewee expression or several of them become a shape and its values.

The shape (columns and operators) decides the SQL and is what statements are cached by; the values travel beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.connection.engine import Engine
from cloudpub_models.entity.binding import current_database
from cloudpub_models.errors import InvalidQueryError, UnknownTableError
from cloudpub_models.manager.arguments.conditions import ALL_ROWS, Combined, Where
from cloudpub_models.manager.arguments.documents import part_inside
from cloudpub_models.manager.arguments.dotted import HeldTo, is_dotted, keys_of, shape_of, values_of
from cloudpub_models.manager.arguments.shape import NO_CONDITIONS, Conditions, Part, Shape, condition_of, group_of
from cloudpub_models.manager.columns.table import Column, Table
from cloudpub_models.sql import Dialect
from cloudpub_models.sql.dialects import MEMBERSHIP_OPERATORS, PATTERN_OPERATORS, SEARCH_OPERATORS
from cloudpub_models.sql.nodes.conditions import (
    Condition,
    Group,
    Negation,
    Never,
    PositionalCondition,
)
from cloudpub_models.sql.operators import At, Operator, in_
from cloudpub_models.sql.patterns import check_pattern
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.values import encode

_MARK = "\0"
# Values of these types are compared for equality, without another look at them.
_SCALARS = frozenset({int, str, bool, UUID, datetime})
_DEEPEST_GROUP = 50
# SQLite's parser goes no deeper than about fifteen pairs of parentheses, each of which AND and OR stand around.
_DEEPEST_COMBINATION = 8


def parse_where(
    where: Where, table: Table, database: Database, held: HeldTo | None = None, depth: int = 0
) -> Conditions:
    """Return the shape and the values of a ``where`` argument.

    Args:
        where: the argument.
        table: the table whose rows it is about.
        database: the database.
        held: gives what the rows of related tables have to meet as well, where a scope limits them.
        depth: how many conditions it is nested in.

    Raises:
        UnknownColumnError: a key is no column of the table or of a related one.
        UnknownTableError: a Peewee expression names columns of another table.
        InvalidValueError: a value does not fit its column.
        InvalidQueryError: the argument is of no kind that conditions can be read from, or nested too deep.
    """
    if type(where) is not dict:
        if where is None or where is ALL_ROWS:
            return NO_CONDITIONS
        if isinstance(where, peewee.Node):
            return _from_expression(where, table, database.engine)
        if isinstance(where, Combined):
            return _combined(where, table, database, held, depth + 1)
        if not isinstance(where, Mapping):
            hint = ": write any_of(*conditions) or all_of(*conditions)" if isinstance(where, list | tuple) else ""
            raise InvalidQueryError(
                "expected where to be a dict of column name to value, a Peewee expression, or any_of, all_of, none_of "
                f"of those; got {type(where).__name__}{hint}"
            )
    columns = table.by_keys.get(tuple(where))
    if columns is None:
        if is_dotted(where):
            return _across_relations(where, table, database.engine, held)
        columns = table.columns_of(where)
    encoded = []
    for value, encode_value in zip(where.values(), columns.encoders):  # noqa: B905 - an encoder for each key
        if type(value) not in _SCALARS:
            return _compared(columns.names, where.values(), table, database.engine.sql_dialect)
        encoded.append(encode_value(value))
    return columns.equal, encoded


def _compared(names: Sequence[str], operands: Iterable[Any], table: Table, dialect: Dialect) -> Conditions:
    shape: list[Part] = []
    values: list[Any] = []
    for name, value in zip(names, operands, strict=True):
        part, encoded = _part_and_values(value, table.columns[name], dialect)
        shape.append(part)
        values.extend(encoded)
    return tuple(shape), values


def _across_relations(where: Mapping[str, Any], table: Table, engine: Engine, held: HeldTo | None) -> Conditions:
    keys = tuple(where)
    compared = [
        _related_part_and_values(value, column, engine.sql_dialect)
        for column, value in zip(keys_of(table.model, keys).columns, where.values(), strict=True)
    ]
    shape, sources = shape_of(table.model, keys, tuple([part for part, _ in compared]), held)
    return shape, values_of(sources, [values for _, values in compared])


def _related_part_and_values(value: Any, column: Column, dialect: Dialect) -> tuple[Part, Sequence[Any]]:
    part, values = _part_and_values(value, column, dialect)
    if part == (column.name, "NOT IN") and not value.values[0]:
        # None of no values is true of NULL, too, which the operator does not show.
        part = Negation(condition_of((column.name, "IN")))
    return part, values


def _combined(where: Combined, table: Table, database: Database, held: HeldTo | None, depth: int) -> Conditions:
    if depth > _DEEPEST_COMBINATION:
        raise InvalidQueryError(
            f"expected any_of, all_of and none_of at most {_DEEPEST_COMBINATION} deep in each other; got them deeper: "
            "use a list of values, or several queries"
        )
    parsed = [parse_where(condition, table, database, held, depth) for condition in where.conditions]
    shape = _COMBINATIONS[where.how][tuple([own for own, _ in parsed]),]
    # What holds for every row leaves nothing to compare.
    return shape, [value for _, values in parsed for value in values] if shape else ()


def _all(shapes: tuple[Shape, ...]) -> Shape:
    return tuple([part for shape in shapes for part in shape])


def _any(shapes: tuple[Shape, ...]) -> Shape:
    if not all(shapes):
        return ()
    return (Group(tuple([("OR", _one(shape)) for shape in shapes])) if shapes else Never(),)


def _none(shapes: tuple[Shape, ...]) -> Shape:
    return tuple([Negation(_one(shape)) if shape else Never() for shape in shapes])


_COMBINATIONS = {"all": Remembered(_all), "any": Remembered(_any), "none": Remembered(_none)}


def _one(shape: Shape) -> Condition:
    return condition_of(shape[0]) if len(shape) == 1 else group_of(shape)


def _part_and_values(value: Any, column: Column, dialect: Dialect) -> tuple[Part, Sequence[Any]]:
    """Return how a column is compared with what ``where`` has for it, and the encoded values."""
    if type(value) in _SCALARS:
        return (column.name, "="), (column.encode(value),)
    if value is None:
        return (column.name, "IS NULL"), ()
    if isinstance(value, list | tuple | set | frozenset):
        value = in_(value)
    if not isinstance(value, Operator):
        return (column.name, "="), (column.encode(value),)
    if isinstance(value, At):
        return part_inside(value, column, dialect)
    part = (column.name, value.name)
    if value.name in MEMBERSHIP_OPERATORS:
        return part, (column.encode_list(value.values[0], dialect),)
    if value.name in PATTERN_OPERATORS:
        return part, (_pattern(value.values[0], column),)
    if value.name in SEARCH_OPERATORS:
        return part, value.values
    return part, tuple([column.encode(operand) for operand in value.values])


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
    try:
        condition: Condition = _rendered(expression, table, engine, values)
    except RecursionError:
        values.clear()
        condition = _taken_apart(expression, table, engine, values)
    return (condition,), values


def _rendered(expression: peewee.Node, table: Table, engine: Engine, values: list[Any]) -> PositionalCondition:
    return PositionalCondition(pieces_of(expression, table, engine, values, "a condition"))


def pieces_of(
    expression: peewee.Node, table: Table, engine: Engine, values: list[Any], what: str = "an expression"
) -> tuple[str, ...]:
    """Let Peewee render an expression over one table's columns; return its SQL, cut where parameters stand.

    Args:
        expression: the expression.
        table: the table.
        engine: the database, in whose SQL it is written.
        values: where those of the parameters are added.
        what: what the expression is for, for the message.

    Raises:
        UnknownTableError: it names columns of another table.
    """
    options = engine.get_context_options() | {"param": _MARK}
    context = _ConditionContext(table.model._meta.table, **options)
    # Peewee asks the database that its model is bound to how paths into JSON are written.
    with current_database.bound_to(engine):
        text, parameters = context.scope_normal(subquery=True).sql(expression).query()
    if foreign := context.referred - context.brought:
        names = ", ".join(sorted(map(_name_of, foreign)))
        raise UnknownTableError(
            f"expected {what} on columns of {table.name}; got columns of {names}: name them with a "
            "dotted key, as in {'user.email': …}, or ask in a subquery, as in Function.user.in_(User.select().where(…))"
        )
    pieces = tuple(text.split(_MARK))
    if len(pieces) != len(parameters) + 1:
        raise InvalidQueryError("expected a Peewee expression without NUL characters in its SQL; got one: remove them")
    # Peewee's fields have converted them, but not checked them; what else they may be (bytes, dates) is the driver's.
    values += [encode(value) if isinstance(value, str | int | float) else value for value in parameters]
    return pieces


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
