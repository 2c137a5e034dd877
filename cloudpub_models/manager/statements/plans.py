"""What running a builder's query takes, found out once for its shape: its SQL, and how values go in and come out.

A value is checked by the column that it is compared with, and a column of the result is decoded by the model's column
that it shows, where the query says which one that is. What is computed comes as the database has it.

Plans hold no values. They are kept by query, database and the models in reach, so that a program has as many as it has
different queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import peewee

from cloudpub_models.connection.results import ResultColumns
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.columns.decoding import decoder_for
from cloudpub_models.manager.columns.encoding import Encoder
from cloudpub_models.manager.columns.table import Column, Table, models_by_table, table_of
from cloudpub_models.manager.rows.dicts import DictLoader, dict_loader
from cloudpub_models.sql import POSTGRESQL, Dialect, Query
from cloudpub_models.sql.builder.language import parse_column, parse_select_item
from cloudpub_models.sql.nodes import expressions as parsed
from cloudpub_models.sql.nodes.conditions import Comparison, Condition, Group, parameter_count
from cloudpub_models.sql.render.writer import rendered
from cloudpub_models.sql.statement import PreparableSql
from cloudpub_models.sql.text.parameters import bind, check_single_statement, driver_value, parse

_VALUE_OPERATORS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">=", "BETWEEN"})
_MEMBERSHIP_OPERATORS = frozenset({"IN", "NOT IN"})
# The queries that a program writes down are few; one that computes them must stay bounded too.
_MOST_KEPT = 1024
_LONGEST_KEPT = 10_000
# Calls whose result is one of the values of their first argument.
_SELECTING_FUNCTIONS = frozenset({"MIN", "MAX", "COALESCE", "NULLIF"})


def plan_for(query: Query, dialect: Dialect, known: type[peewee.Model]) -> QueryPlan:
    """Return the plan of a query.

    Args:
        query: the query.
        dialect: the database that it is for.
        known: a model through which models other than ours are found.
    """
    # A model that is defined later may have one of the query's tables.
    key = (query, dialect, known, len(known._meta.backrefs))
    plan = _plans.get(key)
    if plan is None:
        plan = QueryPlan(query, dialect, known)
        if len(plan.text) <= _LONGEST_KEPT:
            if len(_plans) >= _MOST_KEPT:
                _plans.clear()
            _plans[key] = plan
    return plan


class QueryPlan:
    """How one query is run on one database.

    Attributes:
        text: its SQL, with ``@name`` parameters.
    """

    def __init__(self, query: Query, dialect: Dialect, known: type[peewee.Model]) -> None:
        self._dialect = dialect
        self.text, self._names = rendered(query, dialect)
        check_single_statement(self.text, dialect)
        self._driver_text = parse(self.text, dialect).driver_text
        tables = _Tables(query, known)
        if dialect is POSTGRESQL and _is_preparable(query, tables):
            self._driver_text = PreparableSql(self._driver_text)
        self._encoders = _encoders(query, self._names, tables, dialect)
        self._sources = _sources(query, tables)
        # The columns of the last result, and what loads its rows: they change only with the schema.
        self._columns_and_loader: tuple[ResultColumns, DictLoader] | None = None

    def bind(self, values: Sequence[Any], named: Mapping[str, Any]) -> tuple[str, Sequence[Any] | None]:
        """Return the driver's own SQL and parameters.

        Args:
            values: those of the generated parameters, in their order.
            named: those of the parameters that raw SQL has named, by name.

        Raises:
            InvalidValueError: a value does not fit the column that it is compared with.
        """
        encoded = [encode(value) for encode, value in zip(self._encoders, values, strict=True)]
        if not named:
            return self._driver_text, encoded or None
        # Where a named value is a tuple, the text depends on it.
        return bind(self.text, {**dict(zip(self._names, encoded, strict=True)), **named}, self._dialect)

    def loader(self, columns: ResultColumns) -> DictLoader:
        """Return what makes dicts of the rows of a result.

        Raises:
            InvalidQueryError: two columns have one name.
        """
        kept = self._columns_and_loader
        if kept is None or kept[0] != columns:
            kept = self._columns_and_loader = columns, self._make_loader(columns)
        return kept[1]

    def _make_loader(self, columns: ResultColumns) -> DictLoader:
        names = [name for name, _ in columns]
        _refuse_repeated(names)
        decoders = []
        for name, decode_type in columns:
            source = self._sources.get(name)
            decode = None if source is None else decoder_for(source.field, self._dialect.name)
            decoders.append(decode or decode_type)
        return dict_loader(tuple(names), tuple(decoders))


_plans: dict[tuple[Query, Dialect, type[peewee.Model], int], QueryPlan] = {}


class _Tables:
    """The tables of a query that have a model, by the name that the query gives them."""

    def __init__(self, query: Query, known: type[peewee.Model]) -> None:
        models = models_by_table(known)
        named = [(query.table, query.alias), *[(join.table, join.alias) for join in query.joins]]
        self._tables: dict[str, Table] = {
            alias or table: table_of(models[table])
            for table, alias in named
            if isinstance(table, str) and table in models
        }
        self._all_known = len(self._tables) == len(named)

    def column(self, item: parsed.Expression) -> Column | None:
        """Return the column that a query means, or ``None`` where no model, or more than one, has it."""
        if not isinstance(item, parsed.Column):
            return None
        name = item.name
        if item.table is not None:
            table = self._tables.get(item.table)
            return None if table is None else table.columns.get(name)
        if not self._all_known:
            return None
        found = [table.columns[name] for table in self._tables.values() if name in table.columns]
        return found[0] if len(found) == 1 else None

    def column_compared(self, condition: Condition) -> Column | None:
        """Return the column that a condition compares, or ``None`` where there is none, or none that is known."""
        if not isinstance(condition, Comparison):
            return None
        compared = condition.column
        return self.column(parse_column(compared) if isinstance(compared, str) else compared)

    def columns(self, star: parsed.Star) -> Iterator[Column]:
        """Yield the columns that a star stands for, as far as models have them."""
        for name, table in self._tables.items():
            if star.table in (None, name):
                yield from table.columns.values()


def _is_preparable(query: Query, tables: _Tables) -> bool:
    """Return whether to prepare a query, where that is asked for.

    Every parameter has to be of the type of its column, which encoders see to.
    """
    compared = map(tables.column_compared, _flat(query.conditions))
    return all(column is not None and column.is_preparable for column in compared)


# Values of conditions


def _encoders(query: Query, names: Sequence[str], tables: _Tables, dialect: Dialect) -> list[Callable[[Any], Any]]:
    """Return what checks and encodes the value of each generated parameter."""
    remaining = iter(names)
    of_conditions = [
        _encoder(condition, name, tables, dialect)
        for condition in _flat(query.conditions)
        for name in islice(remaining, parameter_count(condition))
    ]
    # Those of LIMIT and OFFSET come last, and the builder has checked them.
    return of_conditions + [int for _ in remaining]


def _encoder(condition: Condition, name: str, tables: _Tables, dialect: Dialect) -> Encoder:
    column = tables.column_compared(condition)
    if column is not None and isinstance(condition, Comparison):
        if condition.operator in _VALUE_OPERATORS:
            return column.encode
        if condition.operator in _MEMBERSHIP_OPERATORS:
            return partial(column.encode_list, dialect=dialect)
    return partial(driver_value, name=name, dialect=dialect)


def _flat(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, Group):
        for _, item in condition.items:
            yield from _flat(item)
    else:
        yield condition


# Columns of the result


def _refuse_repeated(names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidQueryError(
            f"expected a name of its own for each column of the result; got {', '.join(repeated)} more than once: "
            f"give one an alias, as in 'users.{repeated[0]} AS user_{repeated[0]}'"
        )


def _sources(query: Query, tables: _Tables) -> dict[str, Column]:
    """Return the model's column behind each name of the result."""
    sources: dict[str, Column] = {}
    for item in query.columns or (parsed.Star(None),):
        expression = parse_select_item(item) if isinstance(item, str) else item
        if isinstance(expression, parsed.Star):
            for column in tables.columns(expression):
                sources[column.name] = column
            continue
        name, source = _name_and_source(expression)
        column_found = tables.column(source) if source is not None else None
        if name is not None and column_found is not None:
            sources[name] = column_found
        elif name is not None:
            sources.pop(name, None)
    return sources


def _name_and_source(item: parsed.Expression) -> tuple[str | None, parsed.Column | None]:
    if isinstance(item, parsed.Aliased):
        return item.alias, _name_and_source(item.item)[1]
    if isinstance(item, parsed.Column):
        return item.name, item
    if isinstance(item, parsed.Call) and item.function.upper() in _SELECTING_FUNCTIONS and item.arguments:
        first = item.arguments[0]
        return None, first if isinstance(first, parsed.Column) else None
    return None, None
