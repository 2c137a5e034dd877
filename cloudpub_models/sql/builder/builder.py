"""The query builder: one clause after another, checked as they come, and a `Statement` at the end.

For: `QueryBuilder`, for users and for the managers' ``query()``. Each clause returns a new builder; nothing is ever
changed, so a base query can be shared. It needs no connection and knows no model.

Not for: the statements that are built in the end (`building`), writing SQL (`rendering` does, for the managers too),
running it, or checking that columns exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.builder.arguments import (
    comparison_of,
    count_of,
    group_items_of,
    join_of,
    join_on_condition,
    names_of,
    order_items_of,
    select_items_of,
    table_and_alias,
)
from cloudpub_models.sql.builder.building import Buildable
from cloudpub_models.sql.builder.language import parse_having
from cloudpub_models.sql.comparing import meaning_of, members_of
from cloudpub_models.sql.identifiers import check_identifier, parse_table, shown
from cloudpub_models.sql.nodes.conditions import Connector, Group, merge_named, raw_condition
from cloudpub_models.sql.nodes.expressions import NamedParameter, Raw
from cloudpub_models.sql.text.parameters import check_names, parse

_DEEPEST_GROUP = 50


class QueryBuilder(Buildable):
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

    A condition's `column` is ``name`` or ``table.name``. Strings of other SQL are refused everywhere; where SQL of your
    own is meant, wrap it in `raw`.
    """

    def __init__(
        self, table: str | None = None, *, alias: str | None = None, default_columns: Iterable[str] = ()
    ) -> None:
        """Make an empty builder; the managers' ``query()`` passes the table and its columns."""
        name, own_alias = (None, None) if table is None else parse_table(table)
        self.__dict__.update(
            _table=name,
            _alias=own_alias if alias is None else check_identifier(alias, "alias"),
            _default_columns=names_of(default_columns, "default_columns"),
        )

    # -- what is selected

    def table(self, table: str | Raw) -> Self:
        """Set the table: ``name`` or ``name alias``.

        >>> print(QueryBuilder().table("users").where("email", "a@b.c").build_select())
        SELECT * FROM users WHERE email = @param_0
        """
        name, alias = table_and_alias(table)
        return self._copy(_table=name, _alias=alias)

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

        `None` means NULL; a list, tuple or set any of its members; an operator object (``operators.gt(5)``) itself.

        >>> query = QueryBuilder().table("functions").where("id", 10, operator=">").where("name", None)
        >>> print(query.build_select())
        SELECT * FROM functions WHERE id > @param_0 AND name IS NULL

        Raises:
            InvalidIdentifierError: when `column` is no column.
            InvalidQueryError: for an operator that is not one of ``= != <> < <= > >= LIKE ILIKE NOT LIKE IN NOT IN IS
                IS NOT BETWEEN``, or a value that it cannot be used with.
        """
        name, operands = meaning_of(value, operator)
        return self._copy(
            _conditions=(*self._conditions, comparison_of("AND", column, name)), _values=self._values + operands
        )

    def or_where(self, column: str | Raw, value: Any, operator: str = "=") -> Self:
        """Add a condition like `where`, joined to those before by OR. AND binds closer, as written.

        >>> query = QueryBuilder().table("functions").where("a", 1).or_where("b", 2).where("c", 3)
        >>> print(query.build_select())
        SELECT * FROM functions WHERE a = @param_0 OR b = @param_1 AND c = @param_2
        """
        return self._compare("OR", column, *meaning_of(value, operator))

    def where_in(self, column: str | Raw, values: Iterable[Any]) -> Self:
        """Add the condition that the column is any of `values`; of none, nothing is.

        >>> print(QueryBuilder().table("functions").where_in("status", ["active", "building"]).build_select())
        SELECT * FROM functions WHERE status = ANY(@param_0)
        """
        return self._compare("AND", column, "IN", (members_of(values),))

    def where_not_in(self, column: str | Raw, values: Iterable[Any]) -> Self:
        """Add the condition that the column is none of `values`.

        >>> print(QueryBuilder().table("functions").where_not_in("status", ["failed"]).build_select())
        SELECT * FROM functions WHERE NOT (status = ANY(@param_0))
        """
        return self._compare("AND", column, "NOT IN", (members_of(values),))

    def where_null(self, column: str | Raw) -> Self:
        """Add the condition that the column is NULL.

        >>> print(QueryBuilder().table("functions").where_null("active_deployment_id").build_select())
        SELECT * FROM functions WHERE active_deployment_id IS NULL
        """
        return self._compare("AND", column, "IS NULL", ())

    def where_not_null(self, column: str | Raw) -> Self:
        """Add the condition that the column is not NULL.

        >>> print(QueryBuilder().table("functions").where_not_null("active_deployment_id").build_select())
        SELECT * FROM functions WHERE active_deployment_id IS NOT NULL
        """
        return self._compare("AND", column, "IS NOT NULL", ())

    def where_between(self, column: str | Raw, low: Any, high: Any) -> Self:
        """Add the condition that the column is between two values, both included.

        >>> print(QueryBuilder().table("function_invocations").where_between("duration_ms", 10, 20).build_select())
        SELECT * FROM function_invocations WHERE duration_ms BETWEEN @param_0 AND @param_1
        """
        return self._compare("AND", column, *meaning_of((low, high), "BETWEEN"))

    def where_raw(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Self:
        """Add a condition in SQL of your own, taken as it is, with its ``@name`` parameters' values.

        Never put what a user typed into `sql`.

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
        """Add conditions in parentheses: those that `fn` adds to the builder it is given and returns.

        >>> query = QueryBuilder().table("functions").where("user_id", 1).where_group(
        ...     lambda group: group.where("status", "active").or_where("status", "building")
        ... )
        >>> print(query.build_select())
        SELECT * FROM functions WHERE user_id = @param_0 AND (status = @param_1 OR status = @param_2)
        """
        if not callable(fn):
            raise InvalidQueryError(
                f"expected a function that takes a builder and returns it with conditions, got {shown(fn)}"
            )
        if self._depth >= _DEEPEST_GROUP:
            raise InvalidQueryError(
                f"expected groups nested at most {_DEEPEST_GROUP} deep, got more; flatten the conditions"
            )
        empty = object.__new__(type(self))._copy(_depth=self._depth + 1)
        group = fn(empty)
        if not isinstance(group, QueryBuilder):
            raise InvalidQueryError(
                f"expected where_group's function to return the builder, got {shown(group)}; "
                "clauses return a new builder, so return what the last one returned"
            )
        if not group._conditions:
            raise InvalidQueryError("expected where_group's function to add a condition, got none")
        others = [name for name in group.__dict__ if name not in ("_conditions", "_values", "_named", "_depth")]
        if unexpected := [name for name in others if group.__dict__[name] != getattr(QueryBuilder, name)]:
            raise InvalidQueryError(
                f"expected only conditions inside where_group, got also {unexpected[0].lstrip('_')}"
            )
        return self._copy(
            _conditions=(*self._conditions, ("AND", Group(group._conditions))),
            _values=self._values + group._values,
            _named=merge_named(self._named, group._named),
        )

    def _compare(self, connector: Connector, column: Any, operator: str, operands: tuple[Any, ...]) -> Self:
        return self._copy(
            _conditions=(*self._conditions, comparison_of(connector, column, operator)),
            _values=self._values + operands,
        )

    # -- joins

    def join(self, table: str | Raw, first: str | Raw, second: str | Raw, type: str = "INNER") -> Self:
        """Join `table` (``name`` or ``name alias``) where the columns `first` and `second` are equal.

        >>> print(QueryBuilder().table("functions f").join("users u", "f.user_id", "u.id").build_select())
        SELECT * FROM functions f INNER JOIN users u ON f.user_id = u.id

        Args:
            type: ``INNER``, ``LEFT``, ``RIGHT`` or ``FULL``.
        """
        return self._copy(_joins=(*self._joins, join_of(table, first, second, type)))

    def join_on(self, table: str | Raw, condition: str, type: str = "INNER") -> Self:
        """Join `table` on a condition ``a.b = c.d``, or several of them joined by AND.

        >>> print(QueryBuilder().table("functions f").join_on("users u", "f.user_id = u.id").build_select())
        SELECT * FROM functions f INNER JOIN users u ON f.user_id = u.id
        """
        return self._copy(_joins=(*self._joins, join_on_condition(table, condition, type)))

    def left_join(self, table: str | Raw, first: str | Raw, second: str | Raw) -> Self:
        """Join `table`, keeping rows that have no match there.

        >>> print(QueryBuilder().table("users u").left_join("functions f", "f.user_id", "u.id").build_select())
        SELECT * FROM users u LEFT JOIN functions f ON f.user_id = u.id
        """
        return self.join(table, first, second, type="LEFT")

    def right_join(self, table: str | Raw, first: str | Raw, second: str | Raw) -> Self:
        """Join `table`, keeping its rows that have no match here.

        >>> print(QueryBuilder().table("users u").right_join("functions f", "f.user_id", "u.id").build_select())
        SELECT * FROM users u RIGHT JOIN functions f ON f.user_id = u.id
        """
        return self.join(table, first, second, type="RIGHT")

    def full_join(self, table: str | Raw, first: str | Raw, second: str | Raw) -> Self:
        """Join `table`, keeping rows of either side that have no match.

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

        Without `nulls` (``"FIRST"`` or ``"LAST"``), NULLs come last in ascending and first in descending order, on both
        databases.

        >>> print(QueryBuilder().table("functions").order_by("created_at", "DESC").order_by("name, id").build_select())
        SELECT * FROM functions ORDER BY created_at DESC, name ASC, id ASC
        """
        return self._copy(_order_by=self._order_by + order_items_of(column, direction, nulls))

    def limit(self, count: int) -> Self:
        """Give at most `count` rows.

        >>> print(QueryBuilder().table("functions").limit(20).build_select())
        SELECT * FROM functions LIMIT 20
        """
        return self._copy(_limit=count_of(count, "limit"))

    def offset(self, count: int) -> Self:
        """Pass over the first `count` rows.

        >>> print(QueryBuilder().table("functions").limit(20).offset(40).build_select())
        SELECT * FROM functions LIMIT 20 OFFSET 40
        """
        return self._copy(_offset=count_of(count, "offset"))

    def for_update(self, skip_locked: bool = False) -> Self:
        """Lock the selected rows until the transaction ends; of joined rows, those of the query's own table.

        SQLite knows no row locks and needs none, since a writing transaction is alone there.

        >>> print(QueryBuilder().table("functions").where("id", 1).for_update(skip_locked=True).build_select())
        SELECT * FROM functions WHERE id = @param_0 FOR UPDATE SKIP LOCKED
        """
        if not isinstance(skip_locked, bool):
            raise InvalidQueryError(f"expected skip_locked to be True or False, got {shown(skip_locked)}")
        return self._copy(_for_update=True, _skip_locked=skip_locked)

    def all_rows(self) -> Self:
        """Say that an update or delete without a condition is meant.

        >>> print(QueryBuilder().table("function_logs").all_rows().build_delete())
        DELETE FROM function_logs
        """
        return self._copy(_all_rows=True)
