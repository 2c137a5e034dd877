"""Builder queries run for a manager: their values checked, and their rows decoded, by the models' columns.

A column of the result is decoded where the query says which model's column it is; what is computed comes as the
database has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import peewee

from cloudpub_models.connection.engine import Engine, Row
from cloudpub_models.errors import InvalidQueryError, UnknownTableError, did_you_mean
from cloudpub_models.manager.loading import decoder_for
from cloudpub_models.manager.table import Column, Table, table_of
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.sql import Members, Query
from cloudpub_models.sql import expressions as parsed
from cloudpub_models.sql.builder import QueryBuilder
from cloudpub_models.sql.conditions import Comparison, Condition, Group, parameter_count
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.rendering import rendered

Decoder = Callable[[Any], Any]

_VALUE_OPERATORS = frozenset({"=", "!=", "<>", "<", "<=", ">", ">=", "BETWEEN", "IN", "NOT IN"})
# Calls whose result is one of the values of their first argument.
_SELECTING_FUNCTIONS = frozenset({"MIN", "MAX", "COALESCE", "NULLIF"})


def execute_query(builder: QueryBuilder, engine: Engine, model: type[peewee.Model]) -> list[dict[str, Any]]:
    """Run a builder's SELECT and return its rows as dicts.

    Args:
        builder: the query.
        engine: the database.
        model: the model of the manager that runs it, through which models other than ours are found.

    Raises:
        InvalidQueryError: two columns of the result have one name.
        InvalidValueError: a value does not fit the column that it is compared with.
    """
    if not isinstance(builder, QueryBuilder):
        raise InvalidQueryError(
            f"expected a QueryBuilder; got {type(builder).__name__}: send SQL with raw() or raw_query_all()"
        )
    query = builder.as_query()
    tables = _Tables(query, model)
    statement = builder.build_select(engine.sql_dialect)
    parameters = statement.parameters | _checked_values(query, tables, engine, statement.parameters)
    names, rows = engine.fetch_described(*engine.bind_parameters(str(statement), parameters))
    _refuse_repeated(names)
    decoders = _decoders(names, query, tables, engine)
    return [dict(zip(names, _decoded(row, decoders), strict=True)) for row in rows]


def model_of_table(name: str, known: type[peewee.Model]) -> type[peewee.Model]:
    """Return the model of a table: one of ours, or one that ``known`` is related to.

    Raises:
        UnknownTableError: there is none.
    """
    models = _models_by_table(known)
    try:
        return models[name]
    except (KeyError, TypeError):
        hint = did_you_mean(name, models) if isinstance(name, str) else f"known are: {', '.join(models)}"
        raise UnknownTableError(f"no model has the table {shown(name)}: {hint}") from None


def _models_by_table(known: type[peewee.Model]) -> dict[str, type[peewee.Model]]:
    related = [model for _, model, _ in known._meta.model_graph()]
    return {model._meta.table_name: model for model in (*ALL_MODELS, *related, known)}


class _Tables:
    """The tables of a query that have a model, by the name that the query gives them."""

    def __init__(self, query: Query, known: type[peewee.Model]) -> None:
        models = _models_by_table(known)
        named = [(query.table, query.alias), *[(join.table, join.alias) for join in query.joins]]
        self._tables: dict[str, Table] = {
            alias or table: table_of(models[table])
            for table, alias in named
            if isinstance(table, str) and table in models
        }
        self._all_known = len(self._tables) == len(named)

    def column(self, qualifier: str | None, name: str) -> Column | None:
        """Return the column that a query means, or ``None`` where no model, or more than one, has it."""
        if qualifier is not None:
            table = self._tables.get(qualifier)
            return None if table is None else table.columns.get(name)
        if not self._all_known:
            return None
        found = [table.columns[name] for table in self._tables.values() if name in table.columns]
        return found[0] if len(found) == 1 else None

    def columns(self, qualifier: str | None) -> Iterator[Column]:
        """Yield the columns that a star stands for, as far as models have them."""
        for name, table in self._tables.items():
            if qualifier in (None, name):
                yield from table.columns.values()


def _checked_values(query: Query, tables: _Tables, engine: Engine, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the conditions on models' columns, checked and encoded."""
    names = iter(rendered(query, engine.sql_dialect).names)
    checked: dict[str, Any] = {}
    for condition in _flat(query.conditions):
        own = [next(names) for _ in range(parameter_count(condition))]
        if not isinstance(condition, Comparison) or condition.operator not in _VALUE_OPERATORS:
            continue
        source = parsed.parse_column(condition.column) if isinstance(condition.column, str) else condition.column
        column = tables.column(source.table, source.name) if isinstance(source, parsed.Column) else None
        if column is not None:
            checked.update({name: _checked(parameters[name], column) for name in own})
    return checked


def _checked(value: Any, column: Column) -> Any:
    if isinstance(value, Members):
        return Members([column.encode(member) for member in value])
    return column.encode(value)


def _flat(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, Group):
        for _, item in condition.items:
            yield from _flat(item)
    else:
        yield condition


def _refuse_repeated(names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidQueryError(
            f"expected a name of its own for each column of the result; got {', '.join(repeated)} more than once: "
            f"give one an alias, as in 'users.{repeated[0]} AS user_{repeated[0]}'"
        )


def _decoders(names: list[str], query: Query, tables: _Tables, engine: Engine) -> list[tuple[int, Decoder]]:
    sources = _sources(query, tables)
    decoders: list[tuple[int, Decoder]] = []
    for position, name in enumerate(names):
        column = sources.get(name)
        decoder = decoder_for(column.field, engine.sql_dialect.name, decoded=True) if column is not None else None
        if decoder is not None:
            decoders.append((position, decoder))
    return decoders


def _sources(query: Query, tables: _Tables) -> dict[str, Column]:
    """Return the model's column behind each name of the result."""
    sources: dict[str, Column] = {}
    for item in query.columns or (parsed.Star(None),):
        expression = parsed.parse_select_item(item) if isinstance(item, str) else item
        if isinstance(expression, parsed.Star):
            for column in tables.columns(expression.table):
                sources[column.name] = column
            continue
        name, source = _name_and_source(expression)
        column_found = tables.column(source.table, source.name) if source is not None else None
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


def _decoded(row: Row, decoders: list[tuple[int, Decoder]]) -> Row:
    if not decoders:
        return row
    values = list(row)
    for position, decode in decoders:
        if values[position] is not None:
            values[position] = decode(values[position])
    return tuple(values)
