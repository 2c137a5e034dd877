"""The query builder: one clause after another, checked as they come, and a ``Statement`` at the end.

For: ``QueryBuilder``, for users and for the managers' ``query()``. Each clause returns a new builder; nothing is ever
changed, so a base query can be shared. It needs no connection and knows no model.

Not for: writing SQL (``render`` does, for the managers too), running it, or checking that columns exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Any, NoReturn, Self

from cloudpub_models.errors import InvalidQueryError, UnboundedWriteError
from cloudpub_models.sql.builder.arguments import (
    columns_and_values,
    comparison_of,
    group_items_of,
    join_of,
    join_on_condition,
    names_of,
    order_items_of,
    select_items_of,
    source_of,
)
from cloudpub_models.sql.builder.language import parse_having
from cloudpub_models.sql.dialects import POSTGRESQL, Dialect, Lock
from cloudpub_models.sql.identifiers import check_identifier, parse_table, shown
from cloudpub_models.sql.nodes.conditions import Condition, Connector, Group, merge_named, raw_condition
from cloudpub_models.sql.nodes.expressions import (
    Column,
    Expression,
    Having,
    NamedParameter,
    NamedTable,
    Raw,
    Star,
)
from cloudpub_models.sql.nodes.query import PARAMETER, Count, Join, Kind, OrderBy, Query
from cloudpub_models.sql.operators import Operator, between, in_, is_not_null, is_null, not_in, operator_for
from cloudpub_models.sql.remembering import Remembered
from cloudpub_models.sql.render.writer import generated_names, render, rendered
from cloudpub_models.sql.statement import Statement
from cloudpub_models.sql.text.parameters import check_names, parse
from cloudpub_models.sql.values import check_count

# With more conditions and values than this a query is made anew each time, since keeping many would take much memory.
_LARGEST_KEPT = 200
_DEEPEST_GROUP = 50


class QueryBuilder:
    """Builds one statement; immutable, every clause returns a new builder.

    >>> functions = QueryBuilder().table("functions f").where("f.status", "active")
    >>> query = (
    ...     functions.select("f.id", "u.email", "COUNT(fd.id) AS deployments")
    ...     .join("users u", "f.user_id", "u.id")
    ...     .left_join("function_deployments fd", "f.id", "fd.function_id")
    ...     .group_by("f.id, u.email")
    ...     .order_by("f.id", "DESC")
    ...     .limit(20)
    ... )
    >>> print(query.build_select())
    SELECT f.id, u.email, COUNT(fd.id) AS deployments FROM functions f INNER JOIN users u ON f.user_id = u.id \
LEFT JOIN function_deployments fd ON f.id = fd.function_id WHERE f.status = @param_0 GROUP BY f.id, u.email \
ORDER BY f.id DESC LIMIT 20
    >>> query.parameters
    {'param_0': 'active'}

    A condition's ``column`` is ``name`` or ``table.name``. Strings of other SQL are refused everywhere; where SQL of
    your own is meant, wrap it in ``raw``.
    """

    # What a builder holds; a copy shares all of it but what its clause changed.
    _table: NamedTable | Raw | None = None
    _default_columns: tuple[str, ...] = ()
    _columns: tuple[Expression, ...] = ()
    _distinct: bool = False
    _joins: tuple[Join, ...] = ()
    _conditions: tuple[tuple[Connector, Condition], ...] = ()
    _values: tuple[Any, ...] = ()
    _named: dict[str, Any] = {}
    _group_by: tuple[Expression, ...] = ()
    _having: tuple[Having | Raw, ...] = ()
    _order_by: tuple[OrderBy, ...] = ()
    _limit: int | None = None
    _offset: int | None = None
    _lock: Lock | None = None
    _all_rows: bool = False
    _depth: int = 0

    def __init__(
        self,
        table: str | None = None,
        *,
        alias: str | None = None,
        default_columns: Iterable[str] = (),
        schema: str | None = None,
    ) -> None:
        """Make an empty builder; the managers' ``query()`` passes the table, its columns and its schema."""
        if table is not None:
            name, own_alias = parse_table(table)
            named = own_alias if alias is None else check_identifier(alias, "alias")
            checked = None if schema is None else check_identifier(schema, "schema")
            self.__dict__["_table"] = NamedTable(name, named, checked)
        self.__dict__["_default_columns"] = names_of(default_columns, "default_columns")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """Refuse: a builder never changes."""
        raise AttributeError(f"a QueryBuilder does not change; call a clause, which returns a new one (not {name} = …)")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: a builder never changes."""
        raise AttributeError(f"a QueryBuilder does not change (del {name})")

    def _copy(self, **changes: Any) -> Self:
        copy = object.__new__(type(self))
        held = copy.__dict__
        held.update(self.__dict__)
        held.update(changes)
        return copy

    def __repr__(self) -> str:
        """Show the select that this would build, without the values of its parameters."""
        try:
            return f"<QueryBuilder: {self.build_select()}>"
        except InvalidQueryError as error:
            return f"<QueryBuilder, not complete: {error}>"

    # -- what is selected

    def table(self, table: str | Raw) -> Self:
        """Set the table: ``name`` or ``name alias``.

        >>> print(QueryBuilder().table("users").where("email", "a@b.c").build_select())
        SELECT * FROM users WHERE email = @param_0
        """
        return self._copy(_table=source_of(table))

    def select(self, *items: str | Raw | Sequence[str | Raw]) -> Self:
        """Add what is selected: columns, ``alias.*``, calls, with or without ``AS alias``; one by one or as a list.

        >>> print(QueryBuilder().table("functions").select(["status", "COUNT(*) AS total"]).build_select())
        SELECT status, COUNT(*) AS total FROM functions
        """
        return self._copy(_columns=self._columns + select_items_of(*items))

    def distinct(self) -> Self:
        """Give equal rows only once.

        >>> print(QueryBuilder().table("functions").select("status").distinct().build_select())
        SELECT DISTINCT status FROM functions
        """
        return self._copy(_distinct=True)

    # -- conditions

    def where(self, column: str | Raw, value: Any, operator: str = "=") -> Self:
        """Add a condition, joined to those before by AND.

        ``None`` means NULL; a list, tuple or set any of its members; an operator object (``operators.gt(5)``) itself.

        >>> query = QueryBuilder().table("functions").where("id", 10, operator=">").where("name", None)
        >>> print(query.build_select())
        SELECT * FROM functions WHERE id > @param_0 AND name IS NULL

        Raises:
            InvalidIdentifierError: when ``column`` is no column.
            InvalidQueryError: for an operator that is not one of ``= != <> < <= > >= LIKE ILIKE NOT LIKE IN NOT IN IS
                IS NOT BETWEEN``, or a value that it cannot be used with.
        """
        return self._compare("AND", column, operator_for(value, operator))

    def or_where(self, column: str | Raw, value: Any, operator: str = "=") -> Self:
        """Add a condition like ``where``, joined to those before by OR. AND binds closer, as written.

        >>> query = QueryBuilder().table("functions").where("a", 1).or_where("b", 2).where("c", 3)
        >>> print(query.build_select())
        SELECT * FROM functions WHERE a = @param_0 OR b = @param_1 AND c = @param_2
        """
        return self._compare("OR", column, operator_for(value, operator))

    def where_in(self, column: str | Raw, values: Iterable[Any]) -> Self:
        """Add the condition that the column is any of ``values``; of none, nothing is.

        >>> print(QueryBuilder().table("functions").where_in("status", ["active", "building"]).build_select())
        SELECT * FROM functions WHERE status = ANY(@param_0)
        """
        return self._compare("AND", column, in_(values))

    def where_not_in(self, column: str | Raw, values: Iterable[Any]) -> Self:
        """Add the condition that the column is none of ``values``.

        >>> print(QueryBuilder().table("functions").where_not_in("status", ["failed"]).build_select())
        SELECT * FROM functions WHERE NOT (status = ANY(@param_0))
        """
        return self._compare("AND", column, not_in(values))

    def where_null(self, column: str | Raw) -> Self:
        """Add the condition that the column is NULL.

        >>> print(QueryBuilder().table("functions").where_null("active_deployment_id").build_select())
        SELECT * FROM functions WHERE active_deployment_id IS NULL
        """
        return self._compare("AND", column, is_null())

    def where_not_null(self, column: str | Raw) -> Self:
        """Add the condition that the column is not NULL.

        >>> print(QueryBuilder().table("functions").where_not_null("active_deployment_id").build_select())
        SELECT * FROM functions WHERE active_deployment_id IS NOT NULL
        """
        return self._compare("AND", column, is_not_null())

    def where_between(self, column: str | Raw, low: Any, high: Any) -> Self:
        """Add the condition that the column is between two values, both included.

        >>> print(QueryBuilder().table("function_invocations").where_between("duration_ms", 10, 20).build_select())
        SELECT * FROM function_invocations WHERE duration_ms BETWEEN @param_0 AND @param_1
        """
        return self._compare("AND", column, between(low, high))

    def where_raw(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Self:
        """Add a condition in SQL of your own, taken as it is, with its ``@name`` parameters' values.

        Never put what a user typed into ``sql``.

        >>> query = QueryBuilder().table("users").where_raw("lower(email) = @email", {"email": "a@b.c"}).where("id", 5)
        >>> print(query.build_select())
        SELECT * FROM users WHERE (lower(email) = @email) AND id = @param_0
        >>> query.parameters
        {'param_0': 5, 'email': 'a@b.c'}

        Raises:
            ParameterError: for a name without a value, a value without a name, a name that another condition has.
        """
        condition = raw_condition(sql, parameters)
        return self._copy(
            _conditions=(*self._conditions, ("AND", condition)), _named=merge_named(self._named, parameters or {})
        )

    def where_group(self, fn: Callable[[Self], Self]) -> Self:
        """Add conditions in parentheses: those that ``fn`` adds to the builder it is given and returns.

        >>> query = QueryBuilder().table("functions").where("user_id", 1).where_group(
        ...     lambda group: group.where("status", "active").or_where("status", "building")
        ... )
        >>> print(query.build_select())
        SELECT * FROM functions WHERE user_id = @param_0 AND (status = @param_1 OR status = @param_2)
        """
        if not callable(fn):
            raise InvalidQueryError(
                f"expected a function that takes a builder and returns it with conditions; got {shown(fn)}"
            )
        if self._depth >= _DEEPEST_GROUP:
            raise InvalidQueryError(
                f"expected groups nested at most {_DEEPEST_GROUP} deep; got more: flatten the conditions"
            )
        empty = object.__new__(type(self))._copy(_depth=self._depth + 1)
        group = fn(empty)
        if not isinstance(group, QueryBuilder):
            raise InvalidQueryError(
                f"expected where_group's function to return the builder; got {shown(group)}: "
                "clauses return a new builder, so return what the last one returned"
            )
        if not group._conditions:
            raise InvalidQueryError("expected where_group's function to add a condition; got none")
        others = [name for name in group.__dict__ if name not in ("_conditions", "_values", "_named", "_depth")]
        if unexpected := [name for name in others if group.__dict__[name] != getattr(QueryBuilder, name)]:
            raise InvalidQueryError(
                f"expected only conditions inside where_group; got also {unexpected[0].lstrip('_')}"
            )
        return self._copy(
            _conditions=(*self._conditions, ("AND", Group(group._conditions))),
            _values=self._values + group._values,
            _named=merge_named(self._named, group._named),
        )

    def _compare(self, connector: Connector, column: Any, operator: Operator) -> Self:
        return self._copy(
            _conditions=(*self._conditions, comparison_of(connector, column, operator.name)),
            _values=self._values + operator.values,
        )

    # -- joins

    def join(self, table: str | Raw, first: str | Raw, second: str | Raw, type: str = "INNER") -> Self:
        """Join ``table`` (``name`` or ``name alias``) where the columns ``first`` and ``second`` are equal.

        >>> print(QueryBuilder().table("functions f").join("users u", "f.user_id", "u.id").build_select())
        SELECT * FROM functions f INNER JOIN users u ON f.user_id = u.id

        Args:
            type: ``INNER``, ``LEFT``, ``RIGHT`` or ``FULL``.
        """
        return self._copy(_joins=(*self._joins, join_of(table, first, second, type)))

    def join_on(self, table: str | Raw, condition: str, type: str = "INNER") -> Self:
        """Join ``table`` on a condition ``a.b = c.d``, or several of them joined by AND.

        >>> print(QueryBuilder().table("functions f").join_on("users u", "f.user_id = u.id").build_select())
        SELECT * FROM functions f INNER JOIN users u ON f.user_id = u.id
        """
        return self._copy(_joins=(*self._joins, join_on_condition(table, condition, type)))

    def left_join(self, table: str | Raw, first: str | Raw, second: str | Raw) -> Self:
        """Join ``table``, keeping rows that have no match there.

        >>> print(QueryBuilder().table("users u").left_join("functions f", "f.user_id", "u.id").build_select())
        SELECT * FROM users u LEFT JOIN functions f ON f.user_id = u.id
        """
        return self.join(table, first, second, type="LEFT")

    def right_join(self, table: str | Raw, first: str | Raw, second: str | Raw) -> Self:
        """Join ``table``, keeping its rows that have no match here.

        >>> print(QueryBuilder().table("users u").right_join("functions f", "f.user_id", "u.id").build_select())
        SELECT * FROM users u RIGHT JOIN functions f ON f.user_id = u.id
        """
        return self.join(table, first, second, type="RIGHT")

    def full_join(self, table: str | Raw, first: str | Raw, second: str | Raw) -> Self:
        """Join ``table``, keeping rows of either side that have no match.

        >>> print(QueryBuilder().table("users u").full_join("functions f", "f.user_id", "u.id").build_select())
        SELECT * FROM users u FULL JOIN functions f ON f.user_id = u.id
        """
        return self.join(table, first, second, type="FULL")

    # -- grouping and order

    def group_by(self, *items: str | Raw | Sequence[str | Raw]) -> Self:
        """Add columns or calls to group by; several may stand in one string, separated by commas.

        >>> print(QueryBuilder().table("functions").select("status").group_by("status").build_select())
        SELECT status FROM functions GROUP BY status
        """
        return self._copy(_group_by=self._group_by + group_items_of(*items))

    def having(self, condition: str | Raw, parameters: Mapping[str, Any] | None = None) -> Self:
        """Add a condition on groups, ``item operator number-or-@name``, joined to those before by AND.

        >>> query = QueryBuilder().table("functions").select("user_id").group_by("user_id")
        >>> print(query.having("COUNT(*) > 5").having("MIN(id) >= @first", {"first": 10}).build_select())
        SELECT user_id FROM functions GROUP BY user_id HAVING COUNT(*) > 5 AND MIN(id) >= @first
        """
        parsed = parse_having(condition)
        if isinstance(parsed, Raw):
            names = parse(parsed.sql).names
        else:
            names = (parsed.operand.name,) if isinstance(parsed.operand, NamedParameter) else ()
        check_names(names, {} if parameters is None else parameters)
        return self._copy(_having=(*self._having, parsed), _named=merge_named(self._named, parameters or {}))

    def order_by(
        self, column: str | Raw | Sequence[str | Raw], direction: str = "ASC", nulls: str | None = None
    ) -> Self:
        """Add columns or calls to order by, all in one direction; several may stand in one string.

        Without ``nulls`` (``"FIRST"`` or ``"LAST"``), NULLs come last in ascending and first in descending order, on
        both databases.

        >>> print(QueryBuilder().table("functions").order_by("created_at", "DESC").order_by("name, id").build_select())
        SELECT * FROM functions ORDER BY created_at DESC, name ASC, id ASC
        """
        return self._copy(_order_by=self._order_by + order_items_of(column, direction, nulls))

    def limit(self, count: int) -> Self:
        """Give at most ``count`` rows.

        >>> print(QueryBuilder().table("functions").limit(20).build_select())
        SELECT * FROM functions LIMIT 20
        """
        return self._copy(_limit=check_count(count, "limit"))

    def offset(self, count: int) -> Self:
        """Pass over the first ``count`` rows.

        >>> print(QueryBuilder().table("functions").limit(20).offset(40).build_select())
        SELECT * FROM functions LIMIT 20 OFFSET 40
        """
        return self._copy(_offset=check_count(count, "offset"))

    def for_update(self, skip_locked: bool = False) -> Self:
        """Lock the selected rows until the transaction ends; of joined rows, those of the query's own table.

        SQLite knows no row locks and needs none, since a writing transaction is alone there.

        >>> print(QueryBuilder().table("functions").where("id", 1).for_update(skip_locked=True).build_select())
        SELECT * FROM functions WHERE id = @param_0 FOR UPDATE SKIP LOCKED
        """
        if not isinstance(skip_locked, bool):
            raise InvalidQueryError(f"expected skip_locked to be True or False; got {shown(skip_locked)}")
        return self._copy(_lock="FOR UPDATE SKIP LOCKED" if skip_locked else "FOR UPDATE")

    def all_rows(self) -> Self:
        """Say that an update or delete without a condition is meant.

        >>> print(QueryBuilder().table("function_logs").all_rows().build_delete())
        DELETE FROM function_logs
        """
        return self._copy(_all_rows=True)

    # -- what comes of it

    @property
    def named_values(self) -> Mapping[str, Any]:
        """The values of the parameters that raw SQL has named, by name."""
        return self._named

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the conditions' parameters, by name."""
        names = _first_names(len(self._values), frozenset(self._named))
        return dict(zip(names, self._values, strict=True)) | self._named

    def build_select(self, dialect: Dialect = POSTGRESQL) -> Statement:
        """Return the SELECT statement.

        >>> print(QueryBuilder().table("users").where("id", 5).build_select())
        SELECT * FROM users WHERE id = @param_0

        Raises:
            InvalidQueryError: without a table; ``UnknownTableError`` for an alias that no table of the query has.
        """
        return self._statement(self.as_query(), dialect)

    def build_count(self, dialect: Dialect = POSTGRESQL) -> Statement:
        """Return the statement that counts the rows of the select, whatever its order, limit and offset.

        >>> print(QueryBuilder().table("users").where("id", 5).limit(10).build_count())
        SELECT COUNT(*) AS count FROM users WHERE id = @param_0
        >>> print(QueryBuilder().table("functions").select("user_id").group_by("user_id").build_count())
        SELECT COUNT(*) AS count FROM (SELECT 1 FROM functions GROUP BY user_id) AS counted
        """
        return self._statement(self._reading("count", None, None), dialect)

    def build_insert(
        self, data: Mapping[str, Any], dialect: Dialect = POSTGRESQL, *, returning: Iterable[str] = ()
    ) -> Statement:
        """Return the INSERT statement of one row.

        >>> statement = QueryBuilder().table("users").build_insert({"email": "a@b.c", "password_hash": "…"})
        >>> print(statement)
        INSERT INTO users (email, password_hash) VALUES (@param_0, @param_1)

        Args:
            data: values by column; without any, every column takes its default.
            dialect: the database whose SQL is wanted; a ``Statement`` can be rendered for the other one later.
            returning: columns to give back.
        """
        self._refuse("build_insert", conditions=self._conditions, **self._reading_clauses())
        columns, values = columns_and_values(data)
        query = self._writing(
            "insert", insert_columns=columns, returning=_columns(None, names_of(returning, "returning"))
        )
        return self._statement(query, dialect, values)

    def build_update(
        self, data: Mapping[str, Any], dialect: Dialect = POSTGRESQL, *, returning: Iterable[str] = ()
    ) -> Statement:
        """Return the UPDATE statement of the rows that the conditions find.

        >>> print(QueryBuilder().table("functions").where("id", 5).build_update({"status": "inactive"}))
        UPDATE functions SET status = @param_0 WHERE id = @param_1

        Raises:
            UnboundedWriteError: without a condition, unless ``all_rows`` was called.
        """
        self._refuse("build_update", **self._reading_clauses())
        columns, values = columns_and_values(data)
        if not columns:
            raise InvalidQueryError("expected at least one column to update; got none")
        self._check_bounded("update")
        query = self._writing(
            "update", update_columns=columns, returning=_columns(None, names_of(returning, "returning"))
        )
        return self._statement(query, dialect, values + self._values)

    def build_delete(self, dialect: Dialect = POSTGRESQL, *, returning: Iterable[str] = ()) -> Statement:
        """Return the DELETE statement of the rows that the conditions find.

        >>> print(QueryBuilder().table("function_logs").where("level", "debug").build_delete())
        DELETE FROM function_logs WHERE level = @param_0

        Raises:
            UnboundedWriteError: without a condition, unless ``all_rows`` was called.
        """
        self._refuse("build_delete", **self._reading_clauses())
        self._check_bounded("delete")
        return self._statement(
            self._writing("delete", returning=_columns(None, names_of(returning, "returning"))), dialect
        )

    def as_query(self) -> Query:
        """Return the SELECT as data, for those who need to know more of it than its SQL; the same object each time.

        Raises:
            InvalidQueryError: as ``build_select`` does.

        >>> QueryBuilder().table("users").limit(5).as_query().limit
        5
        """
        self._check_locking()
        return self._reading("select", self._limit, self._offset)

    def as_shape(self) -> tuple[Query, tuple[Any, ...]]:
        """Return the SELECT with parameters for ``limit`` and ``offset`` too, and the values of all that are generated.

        So the pages of a list have one shape.

        >>> query, values = QueryBuilder().table("users").where("id", 5, ">").limit(20).offset(40).as_shape()
        >>> query.limit, query.offset, values
        (PARAMETER, PARAMETER, (5, 20, 40))

        Raises:
            InvalidQueryError: as ``build_select`` does.
        """
        values = self._values
        limit: Count = None
        offset: Count = None
        if self._limit is not None:
            limit, values = PARAMETER, (*values, self._limit)
        if self._offset is not None:
            offset, values = PARAMETER, (*values, self._offset)
        self._check_locking()
        return self._reading("select", limit, offset), values

    def _check_locking(self) -> None:
        if self._lock is not None and (self._group_by or self._having or self._distinct):
            raise InvalidQueryError(
                "expected for_update without group_by, having and distinct; got one of them: groups cannot be locked"
            )

    def _reading(self, kind: Kind, limit: Count, offset: Count) -> Query:
        kept = len(self._conditions) + len(self._values) <= _LARGEST_KEPT
        clauses = (
            kind,
            self._own_table(),
            self._columns or self._own_columns(),
            self._distinct,
            self._joins,
            self._conditions,
            self._group_by,
            self._having,
            self._order_by,
            limit,
            offset,
            self._lock,
        )
        return _queries[clauses] if kept else _query(*clauses)

    def _writing(self, kind: Kind, **clauses: Any) -> Query:
        table = self._own_table()
        if isinstance(table, Raw):
            raise InvalidQueryError(f"expected the name of a table for {kind}; got raw SQL")
        return Query(kind, table, conditions=Group(self._conditions), **clauses)

    def _own_table(self) -> NamedTable | Raw:
        if self._table is None:
            raise InvalidQueryError('expected a table; got none: call table("name") first')
        return self._table

    def _own_columns(self) -> tuple[Expression, ...]:
        # Beside joined tables a plain `id` would be ambiguous.
        table = self._table
        if not isinstance(table, NamedTable):
            return (Star(None),)
        return _columns(table.known_as if self._joins else table.alias, self._default_columns)

    def _statement(self, query: Query, dialect: Dialect, values: tuple[Any, ...] | None = None) -> Statement:
        if not isinstance(dialect, Dialect):
            raise InvalidQueryError(f"expected the dialect POSTGRESQL or SQLITE; got {shown(dialect)}")
        made = rendered(query, dialect)
        parameters = dict(zip(made.names, self._values if values is None else values, strict=True))
        if self._named:
            parameters.update(self._named)
        return Statement(made.text, parameters, dialect=dialect, renderer=partial(render, query))

    def _check_bounded(self, verb: str) -> None:
        if not self._conditions and not self._all_rows:
            raise UnboundedWriteError(
                f"expected a condition for this {verb}; got none: say all_rows() where every row is meant"
            )

    def _reading_clauses(self) -> dict[str, Any]:
        return {
            "join": self._joins,
            "group_by": self._group_by,
            "having": self._having,
            "limit": self._limit is not None,
            "offset": self._offset is not None,
        }

    @staticmethod
    def _refuse(what: str, **clauses: Any) -> None:
        if used := [name for name, clause in clauses.items() if clause]:
            raise InvalidQueryError(
                f"expected no {' and no '.join(used)} for {what}; got some, which would have no effect there: "
                "leave it out, or select the ids first"
            )


@lru_cache(maxsize=1024)
def _columns(table: str | None, names: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple([Column(table, name) for name in names])


@lru_cache(maxsize=256)
def _first_names(count: int, taken: frozenset[str]) -> tuple[str, ...]:
    return tuple(islice(generated_names(taken), count))


def _query(
    kind: Kind,
    table: NamedTable | Raw,
    columns: tuple[Expression, ...],
    distinct: bool,
    joins: tuple[Join, ...],
    conditions: tuple[tuple[Connector, Condition], ...],
    group_by: tuple[Expression, ...],
    having: tuple[Having | Raw, ...],
    order_by: tuple[OrderBy, ...],
    limit: Count,
    offset: Count,
    lock: Lock | None,
) -> Query:
    return Query(
        kind,
        table,
        columns,
        distinct,
        joins,
        Group(conditions),
        group_by,
        having,
        order_by,
        limit,
        offset,
        lock=lock,
    )


def _length(query: Query) -> int:
    return len(repr(query))


# One object for the builders of one shape, so that whatever is kept for it is found by identity.
_queries = Remembered(_query, _length)
