"""The arguments of ``aggregate``: what is worked out, for which groups, and which of those are given in what order.

They become nodes with a reader for each result, so that both databases give the same types. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, NamedTuple

import peewee

from cloudpub_models.entity.fields import TimestampField
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, UnknownColumnError, did_you_mean
from cloudpub_models.manager.arguments.dotted import related_column
from cloudpub_models.manager.arguments.order import direction_of, item_and_direction, related_value, to_one
from cloudpub_models.manager.columns.conversions import reads_as
from cloudpub_models.manager.columns.decoding import decoder_for
from cloudpub_models.manager.columns.table import Column, Table
from cloudpub_models.sql import Dialect
from cloudpub_models.sql.decimals import EXACT, decimal_of
from cloudpub_models.sql.dialects import MEMBERSHIP_OPERATORS, PATTERN_OPERATORS
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.nodes import expressions as nodes
from cloudpub_models.sql.nodes.conditions import Comparison
from cloudpub_models.sql.nodes.query import OrderBy
from cloudpub_models.sql.operators import Aggregate, Operator, operator_for

# A row's values, from some position on, become one result.
Reader = Callable[[Sequence[Any]], Any]

_INTEGERS = (peewee.IntegerField,)
_FLOATS = (peewee.FloatField,)
_DECIMALS = (peewee.DecimalField,)
_TEXTS = (peewee.CharField, peewee.TextField)
_TIMES = (TimestampField, peewee.DateTimeField, peewee.DateField, peewee.TimeField)
_DIVIDING = Context(prec=28)


class Result(NamedTuple):
    """One result of ``aggregate``: a column that rows are grouped by, or what is worked out.

    Attributes:
        name: what it is called.
        items: what is selected for it.
        compared: what it is grouped and compared by.
        ordered: what it is ordered by, its columns qualified: a bare name in ORDER BY may mean another result.
        read: makes the result of the values selected.
        encode: checks and encodes a value that it is compared with.
    """

    name: str
    items: tuple[nodes.Expression, ...]
    compared: nodes.Expression
    ordered: nodes.Expression
    read: Reader
    encode: Callable[[Any], Any]


class Summary(NamedTuple):
    """What is selected for aggregates by groups.

    Attributes:
        keys: the columns that rows are grouped by.
        aggregates: the name of each result that is worked out, and what it is.
        results: all results by name, those columns first.
        columns: the columns that something is worked out of.
    """

    keys: tuple[str, ...]
    aggregates: tuple[tuple[str, Aggregate], ...]
    results: Mapping[str, Result]
    columns: tuple[str, ...]

    @classmethod
    def of(
        cls, keys: tuple[str, ...], aggregates: tuple[tuple[str, Aggregate], ...], table: Table, dialect: Dialect
    ) -> Summary:
        """Return what is selected for checked keys.

        Raises:
            UnknownColumnError: the column of an aggregate is none.
            InvalidQueryError: an aggregate is none, or has the name of a column that rows are grouped by.
        """
        results = {key: grouped(key, table, dialect) for key in keys}
        for name, aggregate in aggregates:
            if name in results:
                raise InvalidQueryError(f"expected another name than that of a column grouped by; got {name} for both")
            results[name] = aggregated(name, aggregate, table, dialect)
        columns = [to_one(table.model, each.column, each.function) for _, each in aggregates if each.column is not None]
        return cls(keys, aggregates, results, tuple(columns))

    def read(self, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """Return a dict of the results for each row."""
        places: list[tuple[str, slice, Reader]] = []
        start = 0
        for name, result in self.results.items():
            places.append((name, slice(start, start + len(result.items)), result.read))
            start += len(result.items)
        return [{name: read(row[place]) for name, place, read in places} for row in rows]


def grouped(key: str, table: Table, dialect: Dialect) -> Result:
    """Return the result that a column is by which rows are grouped."""
    column = related_column(table.model, key).column
    item, ordered = related_value(table.model, key), related_value(table.model, key, table.node.known_as)
    return Result(key, (item,), item, ordered, _first(decoder_for(column.field, dialect)), column.encode)


def group_keys(group_by: Any, table: Table) -> tuple[str, ...]:
    """Return the keys that rows are grouped by.

    Raises:
        UnknownColumnError: one is no column.
        InvalidQueryError: one leads to any number of rows, holds documents, or comes twice; or there are none.
    """
    given = (group_by,) if isinstance(group_by, str) else group_by
    if not isinstance(given, Sequence) or not given:
        raise InvalidQueryError(f"expected group_by to be a column or a list of columns; got {shown(group_by)}")
    keys = tuple([to_one(table.model, key, "group_by") for key in given])
    if len(set(keys)) < len(keys):
        raise InvalidQueryError(f"expected each column once in group_by; got {', '.join(keys)}")
    for key in keys:
        require_comparable(related_column(table.model, key).column, "group_by")
    return keys


def require_comparable(column: Column, what: str) -> None:
    """Raise InvalidQueryError where equal values of a column are not told by both databases alike."""
    if isinstance(column.field, peewee.JSONField):
        raise InvalidQueryError(f"expected columns of values in {what}; got {column.name}, which holds JSON documents")


def aggregated(name: str, aggregate: Any, table: Table, dialect: Dialect) -> Result:
    """Return a result that is worked out over many rows.

    Raises:
        InvalidQueryError: it is no aggregate, or its column is none that it can be worked out of.
        UnknownColumnError: its column is none.
    """
    if not isinstance(aggregate, Aggregate):
        raise InvalidQueryError(
            f"expected what operators.count(), sum(), avg(), min() or max() give for {name}; got {shown(aggregate)}"
        )
    if aggregate.column is None:
        item: nodes.Expression = nodes.Call("COUNT", (nodes.Star(None),))
        return Result(name, (item,), item, item, _first(None), _number)
    key = to_one(table.model, aggregate.column, aggregate.function)
    column, value = related_column(table.model, key).column, related_value(table.model, key)
    if aggregate.function == "count":
        if aggregate.distinct:
            require_comparable(column, "count(distinct=True)")
        item = nodes.Call("COUNT", (value,), aggregate.distinct)
        return Result(name, (item,), item, item, _first(None), _number)
    if aggregate.function in ("sum", "avg"):
        return _of_numbers(name, aggregate, column, value)
    if not reads_as(column.field, *_INTEGERS, *_FLOATS, *_DECIMALS, *_TEXTS, *_TIMES):
        raise InvalidQueryError(f"expected a column of numbers, text or times for {aggregate.function}; got {key}")
    item = nodes.Call(aggregate.function.upper(), (value,))
    return Result(name, (item,), item, item, _first(decoder_for(column.field, dialect)), column.encode)


def _of_numbers(name: str, aggregate: Aggregate, column: Column, value: nodes.Expression) -> Result:
    field, is_mean = column.field, aggregate.function == "avg"
    as_double = nodes.AsDouble(value)
    mean = nodes.Call("AVG", (as_double,))
    if reads_as(field, *_DECIMALS):
        total: nodes.Expression = nodes.DecimalSum(value)
        if is_mean:
            # Divided here, where both databases' exact sums give the same digits.
            return Result(name, (total, nodes.Call("COUNT", (value,))), mean, mean, _mean_of_decimals, _number)
        return Result(name, (total,), total, total, _first(_decimals_of(field.decimal_places)), _number)
    if isinstance(field, peewee.ForeignKeyField) or not reads_as(field, *_INTEGERS, *_FLOATS):
        raise InvalidQueryError(f"expected a column of numbers for {aggregate.function}; got {aggregate.column}")
    if is_mean:
        return Result(name, (mean,), mean, mean, _first(float), _number)
    total = nodes.Call("SUM", (value if reads_as(field, *_INTEGERS) else as_double,))
    return Result(name, (total,), total, total, _first(int if reads_as(field, *_INTEGERS) else float), _number)


def _first(decode: Callable[[Any], Any] | None) -> Reader:
    if decode is None:
        return lambda values: values[0]
    return lambda values: None if values[0] is None else decode(values[0])


def _decimals_of(places: int) -> Callable[[Any], Decimal]:
    smallest = Decimal(1).scaleb(-places)
    return lambda value: decimal_of(value).quantize(smallest, context=EXACT)


def _mean_of_decimals(values: Sequence[Any]) -> Decimal | None:
    total, count = values
    return None if total is None else _DIVIDING.divide(decimal_of(total), Decimal(count))


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise InvalidValueError(f"expected a number to compare with; got {shown(value)}")
    return value


# Which groups are given, and in what order

HavingShape = tuple[tuple[str, str], ...]


def parse_having(having: Any, results: Mapping[str, Result], dialect: Dialect) -> tuple[HavingShape, list[Any]]:
    """Return how results are compared, and the encoded values.

    Raises:
        UnknownColumnError: a name is none of a result.
        InvalidQueryError: the argument is no dict, or an operator is none for results.
        InvalidValueError: a value does not fit the result.
    """
    if not isinstance(having, Mapping):
        raise InvalidQueryError(f"expected having to be a dict of a result's name to value; got {shown(having)}")
    shape: list[tuple[str, str]] = []
    values: list[Any] = []
    for name, wanted in having.items():
        result = _result(name, results, "having")
        operator = wanted if isinstance(wanted, Operator) else operator_for(wanted)
        if operator.name in PATTERN_OPERATORS:
            raise InvalidQueryError(f"expected a comparison in having; got a pattern for {shown(name)}")
        shape.append((name, operator.name))
        if operator.name in MEMBERSHIP_OPERATORS:
            values.append(dialect.encode_list([result.encode(member) for member in operator.values[0]]))
        else:
            values += [dialect.encode(result.encode(operand)) for operand in operator.values]
    return tuple(shape), values


def having_nodes(shape: HavingShape, results: Mapping[str, Result]) -> tuple[Comparison, ...]:
    """Return comparisons of results as nodes."""
    return tuple([Comparison(results[name].compared, operator) for name, operator in shape])


AggregateOrder = tuple[tuple[str, str], ...]


def parse_result_order(
    order_by: Any, order_direction: Any, keys: Sequence[str], results: Mapping[str, Result]
) -> AggregateOrder:
    """Return in which order groups come: by results; the columns that they are grouped by break ties.

    Raises:
        UnknownColumnError: a name is none of a result.
        InvalidQueryError: a direction is neither ASC nor DESC, or the argument is of no known form.
    """
    direction = direction_of(order_direction)
    items = () if order_by is None else (order_by,) if isinstance(order_by, str) else order_by
    if not isinstance(items, Sequence):
        raise InvalidQueryError(f"expected order_by to be the name of a result or a list; got {shown(order_by)}")
    order: list[tuple[str, str]] = []
    for item in items:
        name, given = item_and_direction(item, direction, "name")
        order.append((_result(name, results, "order_by").name, given))
    named = {name for name, _ in order}
    last = order[-1][1] if order else direction
    return (*order, *((key, last) for key in keys if key not in named))


def result_order_nodes(order: AggregateOrder, results: Mapping[str, Result]) -> tuple[OrderBy, ...]:
    """Return an order of groups as nodes."""
    return tuple([OrderBy(results[name].ordered, direction) for name, direction in order])


def _result(name: Any, results: Mapping[str, Result], argument: str) -> Result:
    if isinstance(name, str) and name in results:
        return results[name]
    hint = did_you_mean(name, results) if isinstance(name, str) else f"known are: {', '.join(results)}"
    raise UnknownColumnError(f"expected the name of a result in {argument}; got {shown(name)}: {hint}")
