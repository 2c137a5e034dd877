"""The one place where a `Query` becomes SQL, for the builder and the managers alike.

For: `render`, a pure function of a query and a dialect, whose results are kept.

Not for: checking what a caller may ask for (the builder and the managers do), the values, the drivers' placeholders
(`parameters`).

Every string that gets into a statement here is a checked name, a number, a fixed word or SQL that was marked as raw;
that is why the linter's warnings about SQL made from strings are silenced where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.builder.language import parse_column, parse_select_item
from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.identifiers import check_identifier
from cloudpub_models.sql.nodes.conditions import (
    Comparison,
    Condition,
    Group,
    PositionalCondition,
    RawCondition,
    parameter_count,
)
from cloudpub_models.sql.nodes.expressions import (
    Aliased,
    Call,
    Column,
    Expression,
    Having,
    NamedParameter,
    Number,
    Raw,
    Star,
)
from cloudpub_models.sql.nodes.query import JOIN_TYPES, Conflict, Count, Join, OrderBy, Query
from cloudpub_models.sql.remembering import remembered_if_short
from cloudpub_models.sql.render.checks import check_references
from cloudpub_models.sql.text.parameters import parse

# SQLite refuses expressions nested more than 1000 deep, and `a OR b OR c` nests with every term; longer chains are put
# into parentheses by this many.
_LONGEST_CHAIN = 200

_COLUMN_TYPE = r"[A-Za-z]+( [A-Za-z]+)*(\([0-9]+(, ?[0-9]+)?\))?"


class Rendered(NamedTuple):
    """A statement's text, and the names of its generated parameters in the order of their values."""

    text: str
    names: tuple[str, ...]


def render(query: Query, dialect: Dialect) -> str:
    """Return the SQL of `query`, its parameters written ``@param_0``, ``@param_1`` and so on.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE
    >>> from cloudpub_models.sql.nodes.query import PARAMETER
    >>> active = Group.all(Comparison("status", "="))
    >>> render(Query("select", "functions", columns=("id", "name"), conditions=active, limit=PARAMETER), POSTGRESQL)
    'SELECT id, name FROM functions WHERE status = @param_0 LIMIT @param_1'
    >>> render(Query("insert", "users", insert_columns=("email",), returning=("id",)), SQLITE)
    'INSERT INTO users (email) VALUES (@param_0) RETURNING id'

    Raises:
        InvalidQueryError: for a query that is none, such as one with an unknown operator or alias.
    """
    return rendered(query, dialect).text


def rendered(query: Query, dialect: Dialect) -> Rendered:
    """Return what `render` does, with the names of the parameters. The results of many shapes are kept."""
    return _rendered(query, dialect)


def generated_names(taken: frozenset[str]) -> Iterator[str]:
    """Yield the names of generated parameters, leaving out those that conditions in raw SQL have `taken`."""
    return (name for number in count() if (name := f"param_{number}") not in taken)


def _write(query: Query, dialect: Dialect) -> Rendered:
    check_references(query)
    writer = _Writer(dialect, _named_parameters(query))
    return Rendered(writer.statement(query), tuple(writer.names))


_rendered = remembered_if_short(_write, lambda statement: len(statement.text))


class _Writer:
    """Writes one statement, naming its parameters as it comes to them."""

    def __init__(self, dialect: Dialect, taken: frozenset[str]) -> None:
        self.dialect = dialect
        self.generated = generated_names(taken)
        self.names: list[str] = []

    def parameter(self) -> str:
        name = next(self.generated)
        self.names.append(name)
        return f"@{name}"

    def statement(self, query: Query) -> str:
        if query.kind == "insert":
            return self.insert(query)
        if query.kind == "update":
            return self.update(query)
        if query.kind == "delete":
            return f"DELETE FROM {self.written_table(query)}{self.where(query.conditions)}{self.returning(query)}"  # noqa: S608
        if query.kind == "count":
            return self.count(query)
        if query.kind == "exists":
            return f"SELECT 1{self.source(query)} LIMIT 1"
        if query.kind == "select":
            return self.select(query)
        raise InvalidQueryError(f"expected select, count, exists, insert, update or delete, got {query.kind!r}")

    # -- reading

    def select(self, query: Query) -> str:
        distinct = "DISTINCT " if query.distinct else ""
        text = f"SELECT {distinct}{self.select_items(query)}{self.source(query)}"
        if query.order_by:
            text += " ORDER BY " + ", ".join([self.order_item(order) for order in query.order_by])
        text += self.limits(query.limit, query.offset)
        if query.for_update:
            # Of joined rows only those of the query's own table are meant; and of outer joins no others can be locked.
            of = self.quote_name(query.alias or query.table) if query.joins else None
            text += self.dialect.lock(skip_locked=query.skip_locked, of=of)
        return text

    def count(self, query: Query) -> str:
        if query.distinct:
            rows = f"SELECT DISTINCT {self.select_items(query)}{self.source(query)}"
        elif query.group_by or query.having:
            rows = f"SELECT 1{self.source(query)}"
        else:
            return f"SELECT COUNT(*) AS count{self.source(query)}"
        return f"SELECT COUNT(*) AS count FROM ({rows}) AS counted"  # noqa: S608

    def select_items(self, query: Query) -> str:
        return ", ".join([self.select_item(item) for item in query.columns]) or "*"

    def select_item(self, item: str | Expression) -> str:
        return self.expression(parse_select_item(item) if isinstance(item, str) else item)

    def source(self, query: Query) -> str:
        """FROM and all that decides which rows there are."""
        text = f" FROM {self.table(query.table, query.alias)}" + "".join([self.join(join) for join in query.joins])
        text += self.where(query.conditions)
        if query.group_by:
            text += " GROUP BY " + ", ".join([self.column(item) for item in query.group_by])
        if query.having:
            text += " HAVING " + " AND ".join([self.having(item, len(query.having) == 1) for item in query.having])
        return text

    def join(self, join: Join) -> str:
        if join.kind not in JOIN_TYPES:
            raise InvalidQueryError(f"expected a join of one of the types {', '.join(JOIN_TYPES)}, got {join.kind!r}")
        pairs = [f"{self.column(first)} = {self.column(second)}" for first, second in join.on]
        if not pairs:
            raise InvalidQueryError("expected a condition for the join, got none; name the two columns that are equal")
        return f" {join.kind} JOIN {self.table(join.table, join.alias)} ON {' AND '.join(pairs)}"

    def having(self, having: Having | Raw, alone: bool) -> str:
        if isinstance(having, Raw):
            return self.raw(having.sql) if alone else f"({self.raw(having.sql)})"
        operand = having.operand
        right = f"@{operand.name}" if isinstance(operand, NamedParameter) else operand.text
        return f"{self.expression(having.item)} {having.operator} {right}"

    def order_item(self, order: OrderBy) -> str:
        if order.direction not in ("ASC", "DESC") or order.nulls not in ("FIRST", "LAST", None):
            raise InvalidQueryError(
                f"expected ASC or DESC, and FIRST, LAST or None, got {order.direction!r}, {order.nulls!r}"
            )
        if isinstance(order.item, Raw) and order.direction == "ASC" and order.nulls is None:
            return self.raw(order.item.sql)  # it may bring a direction of its own
        nulls = self.dialect.nulls(order.direction, order.nulls, nullable=order.nullable)
        return f"{self.column(order.item)} {order.direction}{nulls}"

    def limits(self, limit: Count, offset: Count) -> str:
        text = "" if limit is None else f" LIMIT {self.number(limit)}"
        if offset is not None:
            if limit is None and self.dialect.limit_for_offset:
                text = f" {self.dialect.limit_for_offset}"
            text += f" OFFSET {self.number(offset)}"
        return text

    def number(self, count: Count) -> str:
        return str(int(count)) if isinstance(count, int) else self.parameter()

    # -- conditions

    def where(self, conditions: Group) -> str:
        return f" WHERE {self.group(conditions)}" if conditions.items else ""

    def group(self, group: Group) -> str:
        if not group.items:
            raise InvalidQueryError("expected at least one condition in a group, got none")
        alone = len(group.items) == 1
        runs: list[list[str]] = []  # AND binds closer, so the chain is an OR of runs joined by AND
        for connector, condition in group.items:
            if connector not in ("AND", "OR"):
                raise InvalidQueryError(f"expected AND or OR between conditions, got {connector!r}")
            text = self.condition(condition, alone)
            if runs and connector == "AND":
                runs[-1].append(text)
            else:
                runs.append([text])
        return _chain([_chain(run, " AND ") for run in runs], " OR ")

    def condition(self, condition: Condition, alone: bool) -> str:
        if isinstance(condition, Comparison):
            column = self.column(condition.column)
            count = parameter_count(condition)
            return self.dialect.comparison(column, condition.operator, [self.parameter() for _ in range(count)])
        if isinstance(condition, Group):
            return f"({self.group(condition)})"
        if isinstance(condition, RawCondition):
            text = self.raw(condition.sql)
        elif isinstance(condition, PositionalCondition):
            text = condition.pieces[0] + "".join([self.parameter() + piece for piece in condition.pieces[1:]])
        else:
            raise InvalidQueryError(f"expected a condition, got {type(condition).__name__}")
        return text if alone else f"({text})"

    # -- writing

    def insert(self, query: Query) -> str:
        text = f"INSERT INTO {self.written_table(query)}"
        if query.array_types:
            text += self.rows_from_arrays(query)
        elif query.insert_columns:
            if query.rows < 1:
                raise InvalidQueryError(f"expected at least one row to insert, got {query.rows}")
            width = range(len(query.insert_columns))
            rows = [f"({', '.join([self.parameter() for _ in width])})" for _ in range(query.rows)]
            text += f" ({self.names_of(query.insert_columns)}) VALUES {', '.join(rows)}"
        else:
            text += " DEFAULT VALUES"
        if query.conflict is not None:
            text += self.conflict(query.conflict)
        return text + self.returning(query)

    def rows_from_arrays(self, query: Query) -> str:
        names = self.names_of(query.insert_columns)
        for kind in query.array_types:
            if not re.fullmatch(_COLUMN_TYPE, kind):
                raise InvalidQueryError(f"expected the types of columns in array_types, got {kind!r}")
        arrays = ", ".join([f"{self.parameter()}::{kind}[]" for kind in query.array_types])
        # The order of the arrays is that in which ids are given and rows come back.
        source = f"unnest({arrays}) WITH ORDINALITY AS batch ({names}, batch_position)"
        return f" ({names}) SELECT {names} FROM {source} ORDER BY batch_position"  # noqa: S608

    def conflict(self, conflict: Conflict) -> str:
        target = f" ({self.names_of(conflict.columns)})" if conflict.columns else ""
        if conflict.action == "ignore":
            return f" ON CONFLICT{target} DO NOTHING"
        if conflict.action != "update" or not target or not conflict.update_columns:
            raise InvalidQueryError('expected "ignore", or "update" with conflict columns and columns to update')
        names = [self.quote_name(name) for name in conflict.update_columns]
        return f" ON CONFLICT{target} DO UPDATE SET " + ", ".join([f"{name} = excluded.{name}" for name in names])

    def update(self, query: Query) -> str:
        if not query.update_columns:
            raise InvalidQueryError("expected at least one column to update, got none")
        changes = [f"{self.quote_name(name)} = {self.parameter()}" for name in query.update_columns]
        table, where = self.written_table(query), self.where(query.conditions)
        return f"UPDATE {table} SET {', '.join(changes)}{where}{self.returning(query)}"  # noqa: S608

    def returning(self, query: Query) -> str:
        return (
            " RETURNING " + ", ".join([self.select_item(item) for item in query.returning]) if query.returning else ""
        )

    def written_table(self, query: Query) -> str:
        if query.joins:
            raise InvalidQueryError(f"expected no joins for {query.kind}, got {len(query.joins)}; select the ids first")
        name = self.quote_name(query.table)
        return f"{name} AS {self.quote_name(query.alias)}" if query.alias else name

    # -- names and expressions

    def table(self, table: str | Raw, alias: str | None) -> str:
        name = self.raw(table.sql) if isinstance(table, Raw) else self.quote_name(table)
        return f"{name} {self.quote_name(alias)}" if alias else name

    def quote_name(self, name: str | Raw) -> str:
        return self.dialect.quote(check_identifier(name, "table or column"))

    def names_of(self, columns: tuple[str, ...]) -> str:
        return ", ".join([self.quote_name(name) for name in columns])

    def column(self, item: str | Expression) -> str:
        return self.expression(parse_column(item) if isinstance(item, str) else item)

    def expression(self, item: Expression) -> str:
        if isinstance(item, Column):
            name = self.dialect.quote(item.name)
            return name if item.table is None else f"{self.dialect.quote(item.table)}.{name}"
        if isinstance(item, Call):
            distinct = "DISTINCT " if item.distinct else ""
            return f"{item.function}({distinct}{', '.join([self.expression(argument) for argument in item.arguments])})"
        if isinstance(item, Aliased):
            return f"{self.expression(item.item)} {item.keyword} {self.dialect.quote(item.alias)}"
        if isinstance(item, Star):
            return "*" if item.table is None else f"{self.dialect.quote(item.table)}.*"
        if isinstance(item, Number):
            return item.text
        if isinstance(item, Raw):
            return self.raw(item.sql)
        raise InvalidQueryError(f"expected a column, a call or raw SQL, got {type(item).__name__}")

    def raw(self, sql: str) -> str:
        return f"{sql}\n" if parse(sql, self.dialect).ends_in_line_comment else sql


def _chain(terms: list[str], connector: str) -> str:
    while len(terms) > _LONGEST_CHAIN:
        chunks = [terms[start : start + _LONGEST_CHAIN] for start in range(0, len(terms), _LONGEST_CHAIN)]
        terms = [f"({connector.join(chunk)})" for chunk in chunks]
    return connector.join(terms)


def _named_parameters(query: Query) -> frozenset[str]:
    names = set(_named_in(query.conditions))
    for having in query.having:
        if isinstance(having, Raw):
            names.update(parse(having.sql).names)
        elif isinstance(having.operand, NamedParameter):
            names.add(having.operand.name)
    return frozenset(names)


def _named_in(condition: Condition) -> set[str]:
    if isinstance(condition, RawCondition):
        return set(parse(condition.sql).names)
    if isinstance(condition, Group):
        return set().union(*[_named_in(item) for _, item in condition.items])
    return set()
