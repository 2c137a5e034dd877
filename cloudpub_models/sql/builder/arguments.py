"""The arguments of the builder's clauses, checked and turned into what a ``Query`` holds.

For: ``builder``. Each function takes whatever a caller passed and returns the right thing or raises a
typed error that says what was expected. What comes of plain text is kept (``remembered``), so that the clauses that a
program writes down are checked once, not at every call.

Not for: the language inside strings (``language``) and comparisons (``operators``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from cloudpub_models.errors import InvalidIdentifierError, InvalidQueryError, InvalidValueError, ParameterError
from cloudpub_models.sql.builder.language import parse_column, parse_items, parse_join_condition, parse_select_item
from cloudpub_models.sql.identifiers import check_identifier, exact, parse_table, shown
from cloudpub_models.sql.nodes.conditions import Comparison, Connector
from cloudpub_models.sql.nodes.expressions import Expression, NamedTable, Raw
from cloudpub_models.sql.nodes.query import JOIN_TYPES, Join, OrderBy
from cloudpub_models.sql.operators import Operator
from cloudpub_models.sql.remembering import remembered
from cloudpub_models.sql.statement import Statement
from cloudpub_models.sql.text.parameters import parse

_Item = TypeVar("_Item")


@remembered
def source_of(table: Any) -> NamedTable | Raw:
    """Return the table of ``table`` and ``join``."""
    return without_parameters(table) if isinstance(table, Raw) else NamedTable(*parse_table(table))


def without_parameters(item: _Item) -> _Item:
    """Return ``item``, unless it is raw SQL that names parameters, which have no values there."""
    if isinstance(item, Raw) and (names := parse(item.sql).names):
        raise ParameterError(
            f"expected no parameters in raw() here; got @{names[0]}: use where_raw() or having(), which take values"
        )
    return item


def flat(items: tuple[Any, ...], what: str) -> list[Any]:
    """Return the items of a clause that takes them one by one or as lists."""
    flat: list[Any] = []
    for item in items:
        if isinstance(item, (list, tuple)):
            flat.extend(item)
        else:
            flat.append(item)
    if not flat:
        raise InvalidQueryError(f"expected at least one item for {what}; got none")
    return flat


@remembered
def select_items_of(*items: Any) -> tuple[Expression, ...]:
    """Return the items of ``select``."""
    return tuple([without_parameters(parse_select_item(item)) for item in flat(items, "select")])


@remembered
def comparison_of(connector: Connector, column: Any, operator: str) -> tuple[Connector, Comparison]:
    """Return a condition on a column, as it stands among others."""
    return connector, Comparison(without_parameters(parse_column(column)), operator)


@remembered
def join_of(table: Any, first: Any, second: Any, type: Any) -> Join:
    """Return the join of a table where two columns are equal."""
    source = source_of(table)
    pair = (without_parameters(parse_column(first)), without_parameters(parse_column(second)))
    return Join(word_of(type, JOIN_TYPES, "join type"), source, (pair,))


@remembered
def join_on_condition(table: Any, condition: Any, type: Any) -> Join:
    """Return the join of a table on a condition."""
    source = source_of(table)
    return Join(word_of(type, JOIN_TYPES, "join type"), source, parse_join_condition(condition))


@remembered
def group_items_of(*items: Any) -> tuple[Expression, ...]:
    """Return the items of ``group_by``."""
    return _items_of(items, "group_by")


@remembered
def order_items_of(column: Any, direction: Any, nulls: Any) -> tuple[OrderBy, ...]:
    """Return the items of ``order_by``."""
    way = word_of(direction, ("ASC", "DESC"), "direction")
    place = None if nulls is None else word_of(nulls, ("FIRST", "LAST"), "place for NULLs")
    return tuple([OrderBy(item, way, place) for item in _items_of((column,), "order_by")])


def _items_of(items: tuple[Any, ...], what: str) -> tuple[Expression, ...]:
    parsed: list[Expression] = []
    for item in flat(items, what):
        parsed.extend([without_parameters(expression) for expression in parse_items(item, what)])
    return tuple(parsed)


def word_of(word: Any, known: tuple[str, ...], what: str) -> str:
    """Return ``word`` in capitals, if it is one of the known ones."""
    if isinstance(word, str) and exact(word).isascii() and exact(word).upper() in known:
        return exact(word).upper()
    raise InvalidQueryError(f"expected a {what} of {', '.join(known)}; got {shown(word)}")


def columns_and_values(data: Any) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Return the columns of a row to write, and their values."""
    if not isinstance(data, Mapping):
        raise InvalidQueryError(f"expected a mapping of column to value; got {shown(data)}")
    columns = tuple([check_identifier(name) for name in data])
    for name, value in data.items():
        if isinstance(value, (tuple, set, frozenset, Raw, Statement, Operator)):
            raise InvalidValueError(
                f"expected one value for {name}; got a {type(value).__name__}: a list is stored as JSON, "
                "and SQL belongs into raw SQL"
            )
    return columns, tuple(
        [list(value) if type(value) is not list and isinstance(value, list) else value for value in data.values()]
    )


def names_of(columns: Any, what: str) -> tuple[str, ...]:
    """Return the names of a list of columns."""
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise InvalidIdentifierError(f"expected a list of columns for {what}; got {shown(columns)}")
    return _checked_names(*columns)


@remembered
def _checked_names(*columns: Any) -> tuple[str, ...]:
    return tuple([check_identifier(column) for column in columns])
