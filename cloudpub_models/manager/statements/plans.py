"""What running a builder's query takes, found out once for its shape: its SQL, and how values go in and come out.

A value is checked by the column that it is compared with, and a column of the result is decoded by the model's column
that it shows, where the query says which one that is. What is computed comes as the database has it.

Plans hold no values. They are kept by query for each table, so that a program has as many as it has different queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import peewee

from cloudpub_models.connection.results import ResultColumns, require_distinct
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.columns.decoding import Decoder, decoder_for
from cloudpub_models.manager.columns.encoding import Encoder
from cloudpub_models.manager.columns.table import Column, Table, models_by_table, table_of
from cloudpub_models.manager.rows.dicts import DictLoader, dict_loader
from cloudpub_models.manager.rows.extended import ExtendedLoader, make_extended_loader
from cloudpub_models.manager.statements.shapes import Request
from cloudpub_models.sql import Dialect, NamedTable, Query
from cloudpub_models.sql.builder.builder import QueryBuilder
from cloudpub_models.sql.dialects import MEMBERSHIP_OPERATORS, ComparedKind
from cloudpub_models.sql.nodes import expressions as nodes
from cloudpub_models.sql.nodes.conditions import Comparison, Condition, Group, parameter_count
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.render.writer import write
from cloudpub_models.sql.statement import PreparableSql
from cloudpub_models.sql.text.parameters import driver_value

M = TypeVar("M", bound=peewee.Model)

_VALUE_OPERATORS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">=", "BETWEEN"})
# Calls whose result is one of the values of their first argument.
_SELECTING_FUNCTIONS = frozenset({"MIN", "MAX", "COALESCE", "NULLIF"})


class Plans:
    """The plans of builders' queries that the managers of one table run on one database.

    Args:
        dialect: the database's.
        known: the table's model; those that it is related to are known as well.
        others: the models of the database's components.
    """

    def __init__(self, dialect: Dialect, known: type[peewee.Model], others: tuple[type[peewee.Model], ...]) -> None:
        self._dialect = dialect
        self._known = known
        self._others = others
        self._kept = Remembered(self._make, lambda plan: len(plan.rendered.text))

    def of(self, query: QueryBuilder) -> tuple[QueryPlan, tuple[Any, ...]]:
        """Return the plan of a builder's SELECT, and the values of its generated parameters.

        Raises:
            InvalidQueryError: it is no builder, or not complete.
        """
        if not isinstance(query, QueryBuilder):
            raise InvalidQueryError(
                f"expected a QueryBuilder; got {type(query).__name__}: send SQL with raw() or raw_query_all()"
            )
        shape, values = query.as_shape()
        # A model that is defined later may have one of the query's tables.
        return self._kept[shape, len(self._known._meta.backrefs)], values

    def _make(self, query: Query, _references: int) -> QueryPlan:
        return QueryPlan(query, self._dialect, models_by_table(self._known, self._others))


class QueryPlan:
    """How one query is run on one database.

    Attributes:
        rendered: its SQL, and what it is.
    """

    def __init__(self, query: Query, dialect: Dialect, models: Mapping[str, type[peewee.Model]]) -> None:
        self._dialect = dialect
        tables = _Tables(query, models)
        self.rendered = write(query, dialect, tables.compared_as)
        # Every parameter has to be of the type of its column, which encoders see to.
        compared = self.rendered.compared
        columns = [None] if compared is None else [tables.column(column) for column in compared]
        preparable = None not in columns and self.rendered.shows_nothing
        text = self.rendered.driver_text
        text = PreparableSql(text) if preparable and dialect.prepared_statements else text
        self._request = Request(text, self.rendered.writes, self.rendered.tables)
        self._encoders = _encoders(query, self.rendered.names, tables, dialect)
        self._sources = _sources(query, tables)
        self._query = query
        self._own_names = _own_names(query, tables)
        # The columns of the last result, and what loads its rows: they change only with the schema.
        self._columns_and_loader: tuple[ResultColumns, DictLoader] | None = None
        self._columns_and_instances: tuple[type[peewee.Model], ResultColumns, ExtendedLoader[Any]] | None = None

    def bind(self, values: Sequence[Any], named: Mapping[str, Any]) -> tuple[Request, Sequence[Any] | None]:
        """Return what to send, and the driver's parameters.

        Args:
            values: those of the generated parameters, in their order.
            named: those of the parameters that raw SQL has named, by name.

        Raises:
            InvalidValueError: a value does not fit the column that it is compared with.
        """
        encoded = [encode(value) for encode, value in zip(self._encoders, values, strict=True)]
        if not named:
            return self._request, encoded or None
        text, bound = self.rendered.bind(encoded, named, self._dialect)
        return self._request._replace(sql=text), bound

    def loader(self, columns: ResultColumns) -> DictLoader:
        """Return what makes dicts of the rows of a result.

        Raises:
            InvalidQueryError: two columns have one name.
        """
        kept = self._columns_and_loader
        if kept is None or kept[0] != columns:
            kept = self._columns_and_loader = columns, self._make_loader(columns)
        return kept[1]

    def require_instances(self, model: type[peewee.Model]) -> None:
        """Raise InvalidQueryError unless each row of the query is one of the model's table."""
        table = table_of(model)
        own = self._query.table
        if not isinstance(own, NamedTable) or own.full_name != table.node.full_name:
            found = own.full_name if isinstance(own, NamedTable) else "SQL of its own"
            raise InvalidQueryError(f"expected a query of {table.name} for instances; got one of {found}")
        if outer := [join.kind for join in self._query.joins if join.kind in ("RIGHT", "FULL")]:
            raise InvalidQueryError(
                f"expected INNER and LEFT joins for instances; got a {outer[0]} one, which has rows without any of "
                f"{table.name}: begin with the other table, or take dicts"
            )

    def instance_loader(self, columns: ResultColumns, model: type[M]) -> ExtendedLoader[M]:
        """Return what makes instances of the rows of a result.

        Raises:
            InvalidQueryError: two columns have one name, or one has a name that means something else to the model.
        """
        kept = self._columns_and_instances
        if kept is None or kept[0] is not model or kept[1] != columns:
            kept = self._columns_and_instances = model, columns, self._make_instance_loader(columns, model)
        return kept[2]

    def _make_instance_loader(self, columns: ResultColumns, model: type[M]) -> ExtendedLoader[M]:
        names, decoders = self._names_and_decoders(columns)
        table = table_of(model)
        for name in names:
            if name in table.columns and name not in self._own_names:
                raise InvalidQueryError(
                    f"expected {name} of an instance of {model.__name__} to be {table.name}.{name}; got another "
                    "column, or SQL of one's own: give it an alias, or take dicts"
                )
            if name not in table.columns and (name.startswith("_") or hasattr(model, name)):
                raise InvalidQueryError(
                    f"expected names that a {model.__name__} does not have beside its columns; got {name}: give it "
                    "another alias, or take dicts"
                )
        return make_extended_loader(model, names, decoders, self._dialect)

    def _make_loader(self, columns: ResultColumns) -> DictLoader:
        names, decoders = self._names_and_decoders(columns)
        return dict_loader(tuple(names), tuple(decoders))

    def _names_and_decoders(self, columns: ResultColumns) -> tuple[list[str], list[Decoder | None]]:
        names = [name for name, _ in columns]
        require_distinct(names)
        decoders: list[Decoder | None] = []
        for name, decode_type in columns:
            source = self._sources.get(name)
            decode = None if source is None else decoder_for(source.field, self._dialect)
            decoders.append(decode or decode_type)
        return names, decoders


class _Tables:
    """The tables of a query that have a model, by the name that the query gives them."""

    def __init__(self, query: Query, models: Mapping[str, type[peewee.Model]]) -> None:
        self._tables: dict[str, Table] = {
            table.known_as: table_of(models[table.name])
            for table in query.tables
            if isinstance(table, NamedTable) and table.name in models
        }
        own = query.table
        self._own_name = own.known_as if isinstance(own, NamedTable) else None
        self._all_known = len(self._tables) == len(query.tables)

    def column(self, item: nodes.Expression) -> Column | None:
        """Return the column that a query means, or ``None`` where no model, or more than one, has it."""
        if not isinstance(item, nodes.Column):
            return None
        name = item.name
        if item.table is not None:
            table = self._tables.get(item.table)
            return None if table is None else table.columns.get(name)
        if not self._all_known:
            return None
        found = [table.columns[name] for table in self._tables.values() if name in table.columns]
        return found[0] if len(found) == 1 else None

    def own_columns(self, item: nodes.Expression) -> Iterator[str]:
        """Yield the names of the columns of the query's own table that an expression shows under these names."""
        own = self._tables.get(self._own_name) if self._own_name is not None else None
        if own is None:
            return
        if isinstance(item, nodes.Star) and item.table in (None, self._own_name):
            yield from own.columns
        elif isinstance(item, nodes.Column) and item.table in (None, self._own_name):
            column = self.column(item)
            if column is not None and own.columns.get(item.name) is column:
                yield item.name
        elif isinstance(item, nodes.Aliased) and isinstance(item.item, nodes.Column) and item.alias == item.item.name:
            yield from self.own_columns(item.item)

    def compared_as(self, item: nodes.Column) -> ComparedKind | None:
        """Return what kind of column a query compares, where values do not compare as their forms do."""
        column = self.column(item)
        return None if column is None else column.compared_as

    def column_compared(self, condition: Condition) -> Column | None:
        """Return the column that a condition compares, or ``None`` where there is none, or none that is known."""
        return self.column(condition.column) if isinstance(condition, Comparison) else None

    def columns(self, star: nodes.Star) -> Iterator[Column]:
        """Yield the columns that a star stands for, as far as models have them."""
        for name, table in self._tables.items():
            if star.table in (None, name):
                yield from table.columns.values()


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
        if condition.operator in MEMBERSHIP_OPERATORS:
            return partial(column.encode_list, dialect=dialect)
    return partial(driver_value, name=name, dialect=dialect)


def _flat(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, Group):
        for _, item in condition.items:
            yield from _flat(item)
    else:
        yield condition


# Columns of the result


def _sources(query: Query, tables: _Tables) -> dict[str, Column]:
    """Return the model's column behind each name of the result."""
    sources: dict[str, Column] = {}
    for expression in query.columns or (nodes.Star(None),):
        if isinstance(expression, nodes.Star):
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


def _own_names(query: Query, tables: _Tables) -> frozenset[str]:
    """Return the names of the result that are columns of the query's own table."""
    return frozenset([name for item in query.columns or (nodes.Star(None),) for name in tables.own_columns(item)])


def _name_and_source(item: nodes.Expression) -> tuple[str | None, nodes.Column | None]:
    if isinstance(item, nodes.Aliased):
        return item.alias, _name_and_source(item.item)[1]
    if isinstance(item, nodes.Column):
        return item.name, item
    if isinstance(item, nodes.Call) and item.function.upper() in _SELECTING_FUNCTIONS and item.arguments:
        first = item.arguments[0]
        return None, first if isinstance(first, nodes.Column) else None
    return None, None
