"""The one place where a ``Query`` becomes SQL, for the builder and the managers alike.

For: ``render``, a pure function of a query and a dialect, and ``rendered``, which gives all that is known of the
result.

Not for: checking what a caller may ask for (the builder and the managers do), the values.

The writer puts down a statement once, with a mark wherever a value goes, and notes beside it whose value that is. From
what stands between the marks come both texts: the one with ``@name`` parameters that people read, and the one that the
driver takes. Neither is ever read again; only what a person wrote (``Raw``, ``RawCondition``) is searched for
parameters.

Every string that gets into a statement here is a checked name, a number, a fixed word or SQL that was marked as raw;
that is why the linter's warnings about SQL made from strings are silenced where they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

from cloudpub_models.errors import InvalidQueryError, ParameterError
from cloudpub_models.sql.dialects import ComparedKind, Dialect, Lock
from cloudpub_models.sql.identifiers import check_quotable, surrogate_in
from cloudpub_models.sql.nodes.conditions import (
    PARAMETER_COUNTS,
    Comparison,
    Condition,
    DocumentComparison,
    During,
    Group,
    Negation,
    Never,
    PositionalCondition,
    RawCondition,
    Related,
    RowComparison,
)
from cloudpub_models.sql.nodes.expressions import (
    Aliased,
    AsDouble,
    Assignment,
    Call,
    Column,
    DecimalSum,
    Expression,
    Having,
    NamedTable,
    Number,
    Positional,
    Raw,
    RelatedValue,
    Star,
    Sum,
    Value,
)
from cloudpub_models.sql.nodes.query import (
    JOIN_TYPES,
    Conflict,
    Count,
    FirstOfEach,
    Join,
    OrderBy,
    Query,
)
from cloudpub_models.sql.remembering import remembered_if_short
from cloudpub_models.sql.render.checks import names_of_tables, unknown_table, unused_name
from cloudpub_models.sql.text.parameters import ParsedSql, parse
from cloudpub_models.sql.values import moment_to_text, text_literal

# SQLite refuses expressions nested more than 1000 deep, and `a OR b OR c` nests with every term; longer chains are put
# into parentheses by this many.
_LONGEST_CHAIN = 200

_COLUMN_TYPE = r"[A-Za-z_][A-Za-z0-9_.]*( [A-Za-z]+)*(\([0-9]+(, ?[0-9]+)?\))?"

# Stands where a value goes until the statement is complete. No name and no raw SQL may contain it.
_PLACE = "\0"
_TWO_PLACES = (_PLACE, _PLACE)

# What both databases call the row that was to be inserted.
_EXCLUDED = "excluded"


# Returns the kind of a column whose values do not compare as their forms do, or None.
ComparedAs = Callable[[Column], ComparedKind | None]


def compared_plainly(_column: Column) -> None:
    """Say of a column that nothing is known of it."""


class Rendered(NamedTuple):
    """A statement's SQL, and what it is.

    Attributes:
        text: with ``@name`` parameters; the generated ones are ``@param_0``, ``@param_1`` and so on.
        driver_text: with the driver's placeholders.
        names: of the generated parameters, in the order of their values.
        writes: whether it changes or locks rows, as far as raw SQL in it does not.
        tables: the tables that it touches, with their schema where they have one; raw SQL may touch others.
        compared: the columns that its conditions compare with values, those of related tables with their table;
            ``None`` where raw SQL or arrays take part, so that the type of a value may decide what the statement means.
        shows_nothing: whether it shows where one of its tables has no rows: it then gives none, counts none or changes
            none. An insert needs none.
        pieces: of ``driver_text``, one more than there are places for values between them.
        places: between each two pieces a generated parameter (``None``), or raw SQL that has parameters of its own.
    """

    text: str
    driver_text: str
    names: tuple[str, ...]
    writes: bool
    tables: tuple[str, ...]
    compared: tuple[Column, ...] | None
    shows_nothing: bool
    pieces: tuple[str, ...]
    places: tuple[str | None, ...]

    def bind(self, values: Iterable[Any], named: Mapping[str, Any], dialect: Dialect) -> tuple[str, list[Any]]:
        """Return the driver's SQL and the values of its parameters, for a statement in which raw SQL has some.

        The text depends on them where one is a tuple: ``IN @ids`` becomes a place for each of its members.

        Args:
            values: those of the generated parameters, encoded.
            named: those of the parameters that raw SQL has named.
            dialect: the one that the statement is written in.
        """
        remaining = iter(values)
        sent: list[str] = []
        bound: list[Any] = []
        for place in self.places:
            if place is None:
                sent.append(dialect.placeholder)
                bound.append(next(remaining))
            else:
                parsed = parse(place, dialect)
                sql, own = parsed.bind({name: named[name] for name in parsed.names})
                sent.append(sql)
                bound += own
        return _woven(self.pieces, sent), bound


def render(query: Query, dialect: Dialect) -> str:
    """Return the SQL of ``query``, its parameters written ``@param_0``, ``@param_1`` and so on.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE
    >>> from cloudpub_models.sql.nodes.query import PARAMETER
    >>> id, name, users = Column(None, "id"), Column(None, "name"), NamedTable("users")
    >>> ada = Group.all(Comparison(name, "="))
    >>> render(Query("select", users, columns=(id, name), conditions=ada, limit=PARAMETER), POSTGRESQL)
    'SELECT id, name FROM users WHERE name = @param_0 LIMIT @param_1'
    >>> render(Query("insert", users, insert_columns=("email",), returning=(id,)), SQLITE)
    'INSERT INTO users (email) VALUES (@param_0) RETURNING id'

    Raises:
        InvalidQueryError: for a query that is none, such as one with an unknown operator or alias.
    """
    return rendered(query, dialect).text


def rendered(query: Query, dialect: Dialect) -> Rendered:
    """Return what a query becomes. The results of many shapes are kept; see ``write``."""
    return _rendered(query, dialect, compared_plainly)


def write(query: Query, dialect: Dialect, compared_as: ComparedAs = compared_plainly) -> Rendered:
    """Return what a query becomes, for those who keep the result themselves.

    Args:
        query: the query.
        dialect: the database that it is for.
        compared_as: what is known of a column that values are compared with.

    >>> from cloudpub_models.sql.dialects import POSTGRESQL
    >>> written = write(Query("delete", NamedTable("users"), conditions=Group.all(RawCondition("id % 2 = @rest"))), POSTGRESQL)
    >>> written.text, written.driver_text
    ('DELETE FROM users WHERE id % 2 = @rest', 'DELETE FROM users WHERE id %% 2 = %s')
    >>> written.writes, written.tables
    (True, ('users',))

    Raises:
        InvalidQueryError: for a query that is none, such as one with an unknown operator or alias.
    """  # noqa: E501 - a doctest
    writer = _Writer(query, dialect, compared_as)
    pieces = writer.statement(query).split(_PLACE)
    places = writer.places
    if len(pieces) != len(places) + 1:
        raise InvalidQueryError("expected SQL without NUL characters; got some")
    raw = {place: parse(place, dialect) for place in places if place is not None}
    generated = generated_names(frozenset([name for parsed in raw.values() for name in parsed.names]))
    names: list[str] = []
    shown: list[str] = []
    sent: list[str] = []
    for place in places:
        if place is None:
            names.append(next(generated))
            shown.append("@" + names[-1])
            sent.append(dialect.placeholder)
        else:
            shown.append(place)
            sent.append(raw[place].driver_text)
    text, pieces = _woven(pieces, shown), _escaped(pieces, dialect) if places else pieces
    return Rendered(
        text,
        _woven(pieces, sent),
        tuple(names),
        query.kind not in _READING or query.lock is not None,
        tuple(dict.fromkeys(writer.tables)),
        None if writer.compared is None else tuple(writer.compared),
        _shows_nothing(query, writer.tables),
        tuple(pieces),
        tuple(places),
    )


_rendered = remembered_if_short(write, lambda statement: len(statement.text))
_READING = frozenset({"select", "count", "exists"})


def generated_names(taken: frozenset[str]) -> Iterator[str]:
    """Return the names of generated parameters, leaving out those that conditions in raw SQL have ``taken``."""
    names: Iterator[str] = map("param_{}".format, count())
    return filter(lambda name: name not in taken, names) if taken else names


def _shows_nothing(query: Query, tables: Sequence[str]) -> bool:
    needed = len(query.tables) + (0 if query.conditions is None else _rows_needed(query.conditions))
    plainly_joined = {join.kind for join in query.joins} <= {"INNER"} and len(tables) == needed
    # An aggregate gives a row where there is none.
    may_aggregate = query.having or {type(_named(item)) for item in query.columns} - {Column, Star}
    return plainly_joined and (bool(query.group_by) or not may_aggregate)


def _rows_needed(conditions: Group) -> int:
    """Return on how many rows of other tables it depends that conditions can be true: what is none equals nothing."""
    if any(connector == "OR" for connector, _ in conditions.items[1:]):
        return 0
    found = 0
    for _, condition in conditions.items:
        if isinstance(condition, Group):
            found += _rows_needed(condition)
        elif isinstance(condition, Comparison) and condition.operator == "=":
            item = condition.column
            while isinstance(item, RelatedValue):
                found, item = found + 1, item.value
    return found


def _named(item: Expression) -> Expression:
    return item.item if isinstance(item, Aliased) else item


def _at_the_end(item: Expression) -> Column | None:
    """Return the column that a related value is in the end, with its table; ``None`` where it is another thing."""
    table = None
    while isinstance(item, RelatedValue):
        table, item = item.table.known_as, item.value
    return Column(table, item.name) if table is not None and isinstance(item, Column) else None


def _escaped(pieces: Sequence[str], dialect: Dialect) -> list[str]:
    # With values, the driver takes every % for the start of a placeholder.
    return [piece.replace("%", "%%") for piece in pieces] if dialect.doubles_percent else list(pieces)


def _woven(pieces: Sequence[str], between: Sequence[str]) -> str:
    """Return pieces of text with other text between each two."""
    parts = [""] * (2 * len(pieces) - 1)
    parts[::2], parts[1::2] = pieces, between
    return "".join(parts)


@lru_cache(maxsize=4096)
def _quoted(name: str, dialect: Dialect) -> str:
    return dialect.quote(check_quotable(name, "table or column"))


class _Writer:
    """Writes one statement.

    What writes a part of it returns its SQL with a mark for each value, and notes the value's place; so parts have to
    be written in the order in which they stand.
    """

    def __init__(self, query: Query, dialect: Dialect, compared_as: ComparedAs) -> None:
        self.query = query
        self.dialect = dialect
        self.compared_as = compared_as
        # The names that may qualify a column; None where any may. What qualifies a column without a table.
        self.known = names_of_tables(query)
        self.tables = [table.full_name for table in query.tables if isinstance(table, NamedTable)]
        self.qualifier: str | None = None
        # For each mark a generated parameter (None), or raw SQL that has parameters of its own.
        self.places: list[str | None] = []
        self.compared: list[Column] | None = []

    def place(self) -> str:
        self.places.append(None)
        return _PLACE

    def statement(self, query: Query) -> str:
        if query.kind == "select":
            return self.select(query) if query.first_of_each is None else self.first_of_each(query, query.first_of_each)
        if query.kind == "count":
            return self.count(query)
        if query.kind == "exists":
            return f"SELECT 1{self.source(query)} LIMIT 1"
        if query.kind == "insert":
            return self.insert(query)
        if query.kind == "update":
            return self.update(query)
        if query.kind == "delete":
            return self.delete(query)
        if query.kind == "copy":
            return f"COPY {self.written_table(query)} ({self.names_of(query.insert_columns)}) FROM STDIN"
        raise InvalidQueryError(f"expected select, count, exists, insert, update, delete or copy; got {query.kind!r}")

    # -- reading

    def select(self, query: Query) -> str:
        distinct = "DISTINCT " if query.distinct else ""
        text = f"SELECT {distinct}{self.items(query.columns)}{self.source(query)}"
        if query.order_by:
            text += self.order(query.order_by)
        if query.limit is not None or query.offset is not None:
            text += self.limits(query.limit, query.offset)
        return text if query.lock is None else text + self.lock(query, query.lock)

    def lock(self, query: Query, lock: Lock) -> str:
        if not query.joins:
            return self.dialect.lock(lock)
        # Of joined rows only those of the query's own table are meant; and of outer joins no others can be locked.
        if isinstance(query.table, Raw):
            raise InvalidQueryError("expected the name of a table whose rows are locked; got raw SQL")
        return self.dialect.lock(lock, self.quoted(query.table.known_as))

    def count(self, query: Query) -> str:
        if query.distinct:
            rows = f"SELECT DISTINCT {self.items(query.columns)}{self.source(query)}"
        elif query.group_by or query.having:
            rows = f"SELECT 1{self.source(query)}"
        else:
            return f"SELECT COUNT(*) AS count{self.source(query)}"
        return f"SELECT COUNT(*) AS count FROM ({rows}) AS counted"  # noqa: S608

    def source(self, query: Query) -> str:
        """FROM and all that decides which rows there are."""
        text = f" FROM {self.table(query.table)}"
        for join in query.joins:
            text += self.join(join)
        if query.conditions.items:
            text += self.where(query.conditions)
        if query.group_by:
            text += f" GROUP BY {self.items(query.group_by)}"
        if query.having:
            text += " HAVING " + " AND ".join([self.having(item, len(query.having) == 1) for item in query.having])
        return text

    def join(self, join: Join) -> str:
        if join.kind not in JOIN_TYPES:
            raise InvalidQueryError(f"expected a join of one of the types {', '.join(JOIN_TYPES)}; got {join.kind!r}")
        pairs = [f"{self.expression(first)} = {self.expression(second)}" for first, second in join.on]
        if not pairs:
            raise InvalidQueryError("expected a condition for the join; got none: name the two columns that are equal")
        if join.conditions.items:
            pairs.append(f"({self.group(join.conditions)})")
        return f" {join.kind} JOIN {self.table(join.table)} ON {' AND '.join(pairs)}"

    def having(self, having: Having | Comparison | Raw, alone: bool) -> str:
        if isinstance(having, Comparison):
            return self.comparison(having)
        if isinstance(having, Raw):
            text = self.raw_with_parameters(having.sql)
            return text if alone else f"({text})"
        text = f"{self.expression(having.item)} {having.operator} "
        if isinstance(having.operand, Number):
            return text + having.operand.text
        self.compared = None
        self.places.append(f"@{having.operand.name}")
        return text + _PLACE

    def order(self, orders: Iterable[OrderBy]) -> str:
        return " ORDER BY " + ", ".join([self.order_item(order) for order in orders])

    def order_item(self, order: OrderBy) -> str:
        if order.direction not in ("ASC", "DESC") or order.nulls not in ("FIRST", "LAST", None):
            raise InvalidQueryError(
                f"expected ASC or DESC, and FIRST, LAST or None; got {order.direction!r}, {order.nulls!r}"
            )
        if isinstance(order.item, Raw) and order.direction == "ASC" and order.nulls is None:
            return self.raw(order.item.sql)  # it may bring a direction of its own
        nulls = self.dialect.nulls(order.direction, order.nulls, nullable=order.nullable)
        item = self.comparison(order.item) if isinstance(order.item, Comparison) else self.expression(order.item)
        return f"{item} {order.direction}{nulls}"

    def limits(self, limit: Count, offset: Count) -> str:
        text = "" if limit is None else f" LIMIT {self.number(limit)}"
        if offset is not None:
            if limit is None and self.dialect.limit_for_offset:
                text = f" {self.dialect.limit_for_offset}"
            text += f" OFFSET {self.number(offset)}"
        return text

    def number(self, count: Count) -> str:
        return str(int(count)) if isinstance(count, int) else self.place()

    # -- the first rows for each of many values

    def first_of_each(self, query: Query, each: FirstOfEach) -> str:
        """A select that reads no more rows for each value than are wanted, where that is possible."""
        self.compared = None
        columns = [item for item in query.columns if isinstance(item, Column)]
        order = [(item.item, item) for item in query.order_by if isinstance(item.item, Column)]
        if not columns or len(columns) < len(query.columns) or len(order) < len(query.order_by):
            raise InvalidQueryError(
                "expected columns to select and to order by for the first rows of each value; got something else"
            )
        taken = self.known or frozenset()
        parent, related = unused_name("parent", taken), unused_name("related", taken)
        self.known = taken | {related}
        if query.joins or not (self.dialect.lateral_joins or each.key):
            names, rows = self.ranked_rows(query, each, columns, related)
        else:
            names, rows = [column.name for column in columns], self.rows_of_each(query, each, columns, parent, related)
        items = ", ".join([f"{related}.{self.quoted(name)}" for name in names])
        outer = dict(zip(columns, names, strict=True))
        text = f"SELECT {items} FROM {rows}"  # noqa: S608
        if order:
            text += self.order([item.changed(item=Column(related, outer[column])) for column, item in order])
        return text

    def rows_of_each(
        self, query: Query, each: FirstOfEach, columns: Sequence[Column], parent: str, related: str
    ) -> str:
        """The rows of each value looked up for themselves."""
        own = self.expression(each.column)
        if self.dialect.lateral_joins:
            values = f"unnest(CAST({self.place()} AS {_column_type(each.array_type)}[]))"
            # As an order by the column, too, only its own index serves this; to the planner, which does not know the
            # value, one over the other columns looks as good, where a value with few rows makes it read everybody's.
            order = (OrderBy(each.column, query.order_by[0].direction), *query.order_by) if query.order_by else ()
            rows = self.first_rows(query, each, columns, f"{own} BETWEEN {parent}.key AND {parent}.key", order)
            return f"{values} AS {parent} (key) CROSS JOIN LATERAL ({rows}) AS {related}"
        values = f"json_each({self.place()})"
        key = [Column(None, name) for name in each.key]
        rows = self.first_rows(query, each, key, f"{own} = {parent}.value", query.order_by)
        outer = ", ".join([f"{related}.{self.quoted(name)}" for name in each.key])
        chosen = f"({outer})" if len(key) > 1 else outer
        return f"{values} AS {parent} JOIN {self.table_name(query.table)} AS {related} ON {chosen} IN ({rows})"

    def first_rows(
        self, query: Query, each: FirstOfEach, items: Sequence[Column], own: str, order: Sequence[OrderBy]
    ) -> str:
        text = f"SELECT {self.items(items)} FROM {self.table(query.table)} WHERE {own}"  # noqa: S608
        if query.conditions.items:
            text += f" AND ({self.group(query.conditions)})"
        return f"{text}{self.order(order) if order else ''} LIMIT {int(each.limit)}"

    def ranked_rows(
        self, query: Query, each: FirstOfEach, columns: Sequence[Column], related: str
    ) -> tuple[list[str], str]:
        """The names of the columns, and all rows numbered for each value, of which the first ones pass.

        More are read than are wanted, but neither a key is needed nor rows of one table only.
        """
        names: list[str] = []
        for column in columns:
            names.append(unused_name(column.name, names))
        items = [
            column if column.name == name else Aliased(column, name)
            for column, name in zip(columns, names, strict=True)
        ]
        position = unused_name("position", names)
        order = self.order(query.order_by) if query.order_by else ""
        numbered = f"ROW_NUMBER() OVER (PARTITION BY {self.expression(each.column)}{order}) AS {position}"
        # As a group of their own the query's conditions stay what they are, ORs and all.
        own: list[Condition] = [query.conditions] if query.conditions.items else []
        listed = query.changed(conditions=Group.all(Comparison(each.column, "IN"), *own))
        rows = f"SELECT {self.items(items)}, {numbered}{self.source(listed)}"
        return names, f"({rows}) AS {related} WHERE {related}.{position} <= {int(each.limit)}"

    # -- conditions

    def where(self, conditions: Group) -> str:
        return f" WHERE {self.group(conditions)}" if conditions.items else ""

    def group(self, group: Group) -> str:
        if not group.items:
            raise InvalidQueryError("expected at least one condition in a group; got none")
        alone = len(group.items) == 1
        runs: list[list[str]] = []  # AND binds closer, so the chain is an OR of runs joined by AND
        for connector, condition in group.items:
            if connector not in ("AND", "OR"):
                raise InvalidQueryError(f"expected AND or OR between conditions; got {connector!r}")
            text = self.condition(condition, alone)
            if runs and connector == "AND":
                runs[-1].append(text)
            else:
                runs.append([text])
        return _chain([_chain(run, " AND ") for run in runs], " OR ")

    def condition(self, condition: Condition, alone: bool) -> str:
        if isinstance(condition, Comparison):
            return self.comparison(condition)
        if isinstance(condition, Group):
            return f"({self.group(condition)})"
        if isinstance(condition, RowComparison):
            return self.row_comparison(condition)
        if isinstance(condition, DocumentComparison):
            return self.document_comparison(condition)
        if isinstance(condition, Related):
            return self.related(condition)
        if isinstance(condition, During):
            return self.during(condition)
        if isinstance(condition, Negation):
            return self.negation(condition.condition)
        if isinstance(condition, Never):
            return "FALSE"
        if isinstance(condition, RawCondition):
            text = self.raw_with_parameters(condition.sql)
        elif isinstance(condition, PositionalCondition):
            text = self.positional(condition.pieces)
        else:
            raise InvalidQueryError(f"expected a condition; got {type(condition).__name__}")
        return text if alone else f"({text})"

    def comparison(self, condition: Comparison) -> str:
        column, kind = condition.column, None
        if isinstance(column, Column):
            if column.table is None and self.qualifier is not None:
                column = Column(self.qualifier, column.name)
            if self.compared is not None:
                self.compared.append(column)
            kind = self.compared_as(column)
        elif self.compared is not None:
            known = _at_the_end(column)
            self.compared = None if known is None else [*self.compared, known]
        text = self.dialect.comparison(self.expression(column), condition.operator, _TWO_PLACES, kind)
        self.places += (None,) * PARAMETER_COUNTS[condition.operator]
        return text

    def during(self, condition: During) -> str:
        column = condition.column
        name = self.expression(Column(column.table or self.qualifier, column.name))
        bounds = ((">=", condition.begin), ("<", condition.end))
        return " AND ".join(
            [f"{name} {sign} {text_literal(moment_to_text(moment))}" for sign, moment in bounds if moment is not None]
        )

    def document_comparison(self, condition: DocumentComparison) -> str:
        column = self.expression(condition.column)
        text = self.dialect.document_comparison(column, condition.operator, _PLACE)
        self.places += (None,) * text.count(_PLACE)
        return text

    def negation(self, condition: Condition) -> str:
        if isinstance(condition, Related) and self.is_correlated(condition):
            return f"NOT {self.related(condition)}"
        text = self.condition(condition, True)
        return f"{text if isinstance(condition, Group) else f'({text})'} IS NOT TRUE"

    def related(self, condition: Related) -> str:
        is_correlated = self.is_correlated(condition)
        outer = self.expression(
            Column(self.row_of(condition.column), condition.column.name) if is_correlated else condition.column
        )
        table = self.table(condition.table)
        self.tables.append(condition.table.full_name)
        known, qualifier = self.known, self.qualifier
        name = self.qualifier = condition.table.known_as
        self.known = None if known is None else known | {name}
        key = self.expression(Column(name, condition.key))
        # Each for itself in parentheses where need be, since more conditions stand beside it.
        terms = [self.condition(each, False) for _, each in condition.conditions.items]
        self.known, self.qualifier = known, qualifier
        if is_correlated:
            return f"EXISTS (SELECT 1 FROM {table} WHERE {_chain([f'{key} = {outer}', *terms], ' AND ')})"  # noqa: S608
        where = f" WHERE {_chain(terms, ' AND ')}" if terms else ""
        return f"{outer} IN (SELECT {key} FROM {table}{where})"  # noqa: S608

    def is_correlated(self, condition: Related) -> bool:
        """Whether the other rows are looked for once for each row, which takes a name that tells them from it."""
        wanted = condition.many or self.dialect.joins_exists
        return wanted and self.row_of(condition.column) not in (None, condition.table.known_as)

    def row_of(self, column: Column) -> str | None:
        """Return the name of the table whose row a column belongs to."""
        own = self.query.table
        return column.table or self.qualifier or (own.known_as if isinstance(own, NamedTable) else None)

    def row_comparison(self, condition: RowComparison) -> str:
        if condition.operator not in ("<", ">"):
            raise InvalidQueryError(f"expected < or > between rows; got {condition.operator!r}")
        if self.compared is not None:
            self.compared += condition.columns
        values = ", ".join([self.dialect.operand(self.place(), self.compared_as(item)) for item in condition.columns])
        return f"({self.items(condition.columns)}) {condition.operator} ({values})"

    # -- writing

    def insert(self, query: Query) -> str:
        text = f"INSERT INTO {self.written_table(query)}"
        if query.array_types:
            text += self.rows_from_arrays(query)
        elif query.insert_columns:
            if query.rows < 1:
                raise InvalidQueryError(f"expected at least one row to insert; got {query.rows}")
            width = len(query.insert_columns)
            self.places += [None] * (width * query.rows)
            row = f"({', '.join([_PLACE] * width)})"
            text += f" ({self.names_of(query.insert_columns)}) VALUES {', '.join([row] * query.rows)}"
        else:
            text += " DEFAULT VALUES"
        if query.conflict is not None:
            text += self.conflict(query, query.conflict)
        return text + self.returning(query)

    def rows_from_arrays(self, query: Query) -> str:
        self.compared = None
        names = self.names_of(query.insert_columns)
        arrays = ", ".join([f"{self.place()}::{_column_type(kind)}[]" for kind in query.array_types])
        # The order of the arrays is that in which ids are given and rows come back.
        position = unused_name("batch_position", query.insert_columns)
        source = f"unnest({arrays}) WITH ORDINALITY AS batch ({names}, {position})"
        return f" ({names}) SELECT {names} FROM {source} ORDER BY {position}"  # noqa: S608

    def conflict(self, query: Query, conflict: Conflict) -> str:
        target = f" ({self.names_of(conflict.columns)})" if conflict.columns else ""
        if conflict.where is not None:
            target += f" WHERE {self.condition(conflict.where, alone=True)}"
        if conflict.action == "ignore":
            return f" ON CONFLICT{target} DO NOTHING"
        if conflict.action != "update" or not target or not (conflict.update_columns or conflict.assignments):
            raise InvalidQueryError(
                'expected "ignore", or "update" with conflict columns and columns to update; got another rule'
            )
        # The row that is there and the one that was to come have the same columns.
        self.qualifier = query.table.known_as if isinstance(query.table, NamedTable) else None
        self.known = None if self.known is None else self.known | {_EXCLUDED}
        assignments = [Assignment(name, Column(_EXCLUDED, name)) for name in conflict.update_columns]
        changes = ", ".join([self.change(assignment) for assignment in (*assignments, *conflict.assignments)])
        where = self.where(conflict.conditions)
        self.qualifier = None
        return f" ON CONFLICT{target} DO UPDATE SET {changes}{where}"

    def change(self, assignment: Assignment) -> str:
        return f"{self.quoted(assignment.column)} = {self.expression(assignment.value)}"

    def update(self, query: Query) -> str:
        if not query.update_columns:
            raise InvalidQueryError("expected at least one column to update; got none")
        changes = ", ".join(
            [
                f"{self.quoted(item)} = {self.place()}" if isinstance(item, str) else self.change(item)
                for item in query.update_columns
            ]
        )
        return f"UPDATE {self.written_table(query)} SET {changes}{self.where(query.conditions)}{self.returning(query)}"  # noqa: S608

    def delete(self, query: Query) -> str:
        where = self.where(query.conditions)
        if query.key is not None:
            key, table = self.quoted(query.key), self.table(query.table)
            first = f"SELECT {key} FROM {table}{where}{self.order(query.order_by)}{self.limits(query.limit, None)}"  # noqa: S608
            chosen = first if query.lock is None else first + self.lock(query, query.lock)
            beside = f" AND {self.group(query.beside_key)}" if query.beside_key.items else ""
            where = f" WHERE {self.dialect.in_query.format(column=key, query=chosen)}{beside}"
        return f"DELETE FROM {self.written_table(query)}{where}{self.returning(query)}"  # noqa: S608

    def returning(self, query: Query) -> str:
        return f" RETURNING {self.items(query.returning)}" if query.returning else ""

    def written_table(self, query: Query) -> str:
        if query.joins:
            raise InvalidQueryError(f"expected no joins for {query.kind}; got {len(query.joins)}: select the ids first")
        if isinstance(query.table, Raw):
            raise InvalidQueryError(f"expected the name of a table for {query.kind}; got raw SQL")
        name = self.table_name(query.table)
        return f"{name} AS {self.quoted(query.table.alias)}" if query.table.alias else name

    # -- names and expressions

    def table(self, table: NamedTable | Raw) -> str:
        name = self.table_name(table)
        return f"{name} {self.quoted(table.alias)}" if isinstance(table, NamedTable) and table.alias else name

    def table_name(self, table: NamedTable | Raw) -> str:
        if isinstance(table, Raw):
            return self.raw(table.sql)
        name = self.quoted(table.name)
        return f"{self.quoted(table.schema)}.{name}" if table.schema else name

    def quoted(self, name: str) -> str:
        return _quoted(name, self.dialect)

    def names_of(self, columns: Iterable[str]) -> str:
        return ", ".join([_quoted(name, self.dialect) for name in columns])

    def items(self, items: Iterable[Expression]) -> str:
        dialect, qualified = self.dialect, self.qualifier is not None
        # A column without a table, as nearly all are, takes no call.
        written = [
            _quoted(item.name, dialect)
            if item.__class__ is Column and item.table is None and not qualified
            else self.expression(item)
            for item in items
        ]
        return ", ".join(written) or "*"

    def expression(self, item: Expression) -> str:
        if isinstance(item, Column):
            name = _quoted(item.name, self.dialect)
            table = item.table or self.qualifier
            if table is None:
                return name
            if self.known is not None and table not in self.known:
                raise unknown_table(item, self.query)
            return f"{_quoted(table, self.dialect)}.{name}"
        if isinstance(item, Call):
            distinct = "DISTINCT " if item.distinct else ""
            return f"{item.function}({distinct}{', '.join([self.expression(argument) for argument in item.arguments])})"
        if isinstance(item, Aliased):
            return f"{self.expression(item.item)} {item.keyword} {_quoted(item.alias, self.dialect)}"
        if isinstance(item, Star):
            if item.table is not None and self.known is not None and item.table not in self.known:
                raise unknown_table(item, self.query)
            return "*" if item.table is None else f"{_quoted(item.table, self.dialect)}.*"
        if isinstance(item, Number):
            return item.text
        if isinstance(item, Raw):
            return self.raw(item.sql)
        if isinstance(item, Positional):
            return self.positional(item.pieces)
        if isinstance(item, RelatedValue):
            return self.related_value(item)
        if isinstance(item, Value):
            return self.place()
        if isinstance(item, AsDouble):
            return self.dialect.as_double.format(self.expression(item.item))
        if isinstance(item, DecimalSum):
            return f"{self.dialect.sum_decimals}({self.expression(item.item)})"
        if isinstance(item, Sum):
            return self.dialect.sum(self.expression(item.first), self.expression(item.second), item.decimal_places)
        raise InvalidQueryError(f"expected a column, a call or raw SQL; got {type(item).__name__}")

    def related_value(self, item: RelatedValue) -> str:
        row = self.row_of(item.column)
        outer = self.expression(Column(row, item.column.name))
        taken = self.known or frozenset()
        name = unused_name(item.table.name, {*taken, *([] if row is None else [row])})
        table = item.table if name == item.table.name else item.table.changed(alias=name)
        source = self.table(table)
        self.tables.append(item.table.full_name)
        known, qualifier = self.known, self.qualifier
        self.known, self.qualifier = None if known is None else known | {name}, name
        value, key = self.expression(item.value), self.expression(Column(name, item.key))
        self.known, self.qualifier = known, qualifier
        return f"(SELECT {value} FROM {source} WHERE {key} = {outer})"  # noqa: S608

    def positional(self, pieces: Sequence[str]) -> str:
        self.compared = None
        text = _PLACE.join(pieces)
        if surrogate_in(text) is not None:
            raise InvalidQueryError("expected an expression in SQL; got one with a lone surrogate, as in a JSON key")
        self.places += [None] * (len(pieces) - 1)
        return text

    # -- what a person wrote

    def raw(self, sql: str) -> str:
        parsed = self.parsed(sql)
        if parsed.names:
            raise ParameterError(f"expected no parameters in raw SQL here; got @{parsed.names[0]}")
        return f"{sql}\n" if parsed.ends_in_line_comment else sql

    def raw_with_parameters(self, sql: str) -> str:
        self.compared = None
        parsed = self.parsed(sql)
        if parsed.names:
            self.places.append(sql)
            sql = _PLACE
        return f"{sql}\n" if parsed.ends_in_line_comment else sql

    def parsed(self, sql: str) -> ParsedSql:
        parsed = parse(sql, self.dialect)
        # More of the statement follows, so that a semicolon at the end is one in the middle.
        if parsed.has_semicolon:
            raise InvalidQueryError(
                "expected one statement; got raw SQL with a semicolon: send several statements with batch_execute()"
            )
        return parsed


def _column_type(kind: str) -> str:
    if not re.fullmatch(_COLUMN_TYPE, kind):
        raise InvalidQueryError(f"expected the type of a column; got {kind!r}")
    return kind


def _chain(terms: list[str], connector: str) -> str:
    while len(terms) > _LONGEST_CHAIN:
        chunks = [terms[start : start + _LONGEST_CHAIN] for start in range(0, len(terms), _LONGEST_CHAIN)]
        terms = [f"({connector.join(chunk)})" for chunk in chunks]
    return connector.join(terms)
