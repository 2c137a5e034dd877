"""What is built from a builder's clauses: statements and their parameters.

For: `builder.QueryBuilder`, whose clauses fill what is held here.

Not for: the clauses (`builder`), SQL (`rendering`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NoReturn, Self

from cloudpub_models.errors import InvalidQueryError, UnboundedWriteError
from cloudpub_models.sql.arguments import columns_and_values, names_of
from cloudpub_models.sql.conditions import Condition, Connector, Group
from cloudpub_models.sql.dialects import POSTGRESQL, Dialect
from cloudpub_models.sql.expressions import Column, Expression, Having, Raw, Star
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.query import Join, Kind, OrderBy, Query
from cloudpub_models.sql.rendering import generated_names, render, rendered
from cloudpub_models.sql.statement import Statement


class Buildable:
    """What a builder holds, and the statements made of it."""

    # What a builder holds; a copy shares all of it but what its clause changed.
    _table: str | Raw | None = None
    _alias: str | None = None
    _default_columns: tuple[str, ...] = ()
    _columns: tuple[Expression, ...] = ()
    _distinct: bool = False
    _joins: tuple[Join, ...] = ()
    _conditions: tuple[tuple[Connector, Condition], ...] = ()
    _values: tuple[Any, ...] = ()
    _named: Mapping[str, Any] = {}
    _group_by: tuple[Expression, ...] = ()
    _having: tuple[Having | Raw, ...] = ()
    _order_by: tuple[OrderBy, ...] = ()
    _limit: int | None = None
    _offset: int | None = None
    _for_update: bool = False
    _skip_locked: bool = False
    _all_rows: bool = False
    _depth: int = 0

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """Refuse: a builder never changes."""
        raise AttributeError(f"a QueryBuilder does not change; call a clause, which returns a new one (not {name} = …)")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: a builder never changes."""
        raise AttributeError(f"a QueryBuilder does not change (del {name})")

    def _copy(self, **changes: Any) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **changes)
        return copy

    def __repr__(self) -> str:
        """Show the select that this would build, without the values of its parameters."""
        try:
            return f"<QueryBuilder: {self.build_select()}>"
        except InvalidQueryError as error:
            return f"<QueryBuilder, not complete: {error}>"

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the conditions' parameters, by name."""
        names = generated_names(frozenset(self._named))
        return {**dict(zip(names, self._values, strict=False)), **self._named}

    def build_select(self, dialect: Dialect = POSTGRESQL) -> Statement:
        """Return the SELECT statement.

        >>> from cloudpub_models.sql import QueryBuilder
        >>> print(QueryBuilder().table("users").where("id", 5).build_select())
        SELECT * FROM users WHERE id = @param_0

        Raises:
            InvalidQueryError: without a table; `UnknownTableError` for an alias that no table of the query has.
        """
        if self._for_update and (self._group_by or self._having or self._distinct):
            raise InvalidQueryError(
                "expected for_update without group_by, having and distinct: groups cannot be locked"
            )
        return self._statement(self._query("select"), dialect)

    def build_count(self, dialect: Dialect = POSTGRESQL) -> Statement:
        """Return the statement that counts the rows of the select, whatever its order, limit and offset.

        >>> from cloudpub_models.sql import QueryBuilder
        >>> print(QueryBuilder().table("users").where("id", 5).limit(10).build_count())
        SELECT COUNT(*) AS count FROM users WHERE id = @param_0
        >>> print(QueryBuilder().table("functions").select("user_id").group_by("user_id").build_count())
        SELECT COUNT(*) AS count FROM (SELECT 1 FROM functions GROUP BY user_id) AS counted
        """
        return self._statement(self._query("count"), dialect)

    def build_insert(
        self, data: Mapping[str, Any], dialect: Dialect = POSTGRESQL, *, returning: Iterable[str] = ()
    ) -> Statement:
        """Return the INSERT statement of one row.

        >>> from cloudpub_models.sql import QueryBuilder
        >>> statement = QueryBuilder().table("users").build_insert({"email": "a@b.c", "password_hash": "…"})
        >>> print(statement)
        INSERT INTO users (email, password_hash) VALUES (@param_0, @param_1)

        Args:
            data: values by column; without any, every column takes its default.
            dialect: the database whose SQL is wanted; a `Statement` can be rendered for the other one later.
            returning: columns to give back.
        """
        self._refuse("build_insert", conditions=self._conditions, **self._reading_clauses())
        columns, values = columns_and_values(data)
        query = self._query("insert", insert_columns=columns, returning=names_of(returning, "returning"))
        return self._statement(query, dialect, values)

    def build_update(
        self, data: Mapping[str, Any], dialect: Dialect = POSTGRESQL, *, returning: Iterable[str] = ()
    ) -> Statement:
        """Return the UPDATE statement of the rows that the conditions find.

        >>> from cloudpub_models.sql import QueryBuilder
        >>> print(QueryBuilder().table("functions").where("id", 5).build_update({"status": "inactive"}))
        UPDATE functions SET status = @param_0 WHERE id = @param_1

        Raises:
            UnboundedWriteError: without a condition, unless `all_rows` was called.
        """
        self._refuse("build_update", **self._reading_clauses())
        columns, values = columns_and_values(data)
        if not columns:
            raise InvalidQueryError("expected at least one column to update, got none")
        self._check_bounded("update")
        query = self._query("update", update_columns=columns, returning=names_of(returning, "returning"))
        return self._statement(query, dialect, values + self._values)

    def build_delete(self, dialect: Dialect = POSTGRESQL, *, returning: Iterable[str] = ()) -> Statement:
        """Return the DELETE statement of the rows that the conditions find.

        >>> from cloudpub_models.sql import QueryBuilder
        >>> print(QueryBuilder().table("function_logs").where("level", "debug").build_delete())
        DELETE FROM function_logs WHERE level = @param_0

        Raises:
            UnboundedWriteError: without a condition, unless `all_rows` was called.
        """
        self._refuse("build_delete", **self._reading_clauses())
        self._check_bounded("delete")
        return self._statement(self._query("delete", returning=names_of(returning, "returning")), dialect)

    def as_query(self) -> Query:
        """Return the SELECT as data, for those who need to know more of it than its SQL."""
        return self._query("select")

    def _query(self, kind: Kind, **writing: Any) -> Query:
        own_table = self._table
        if own_table is None:
            raise InvalidQueryError('expected a table, got none; call table("name") first')
        conditions = Group(self._conditions)
        if kind in ("insert", "update", "delete"):
            if isinstance(own_table, Raw):
                raise InvalidQueryError(f"expected the name of a table for {kind}, got raw SQL")
            return Query(kind, own_table, self._alias, conditions=conditions, **writing)
        return Query(
            kind=kind,
            table=own_table,
            alias=self._alias,
            columns=self._columns or self._own_columns(),
            distinct=self._distinct,
            joins=self._joins,
            conditions=conditions,
            group_by=self._group_by,
            having=self._having,
            order_by=self._order_by,
            limit=self._limit,
            offset=self._offset,
            for_update=self._for_update,
            skip_locked=self._skip_locked,
        )

    def _own_columns(self) -> tuple[Expression, ...]:
        # Beside joined tables a plain `id` would be ambiguous.
        qualifier = self._alias or (self._table if self._joins else None)
        if isinstance(qualifier, Raw):
            return (Star(None),)
        return tuple([Column(qualifier, name) for name in self._default_columns])

    def _statement(self, query: Query, dialect: Dialect, values: tuple[Any, ...] | None = None) -> Statement:
        if not isinstance(dialect, Dialect):
            raise InvalidQueryError(f"expected the dialect POSTGRESQL or SQLITE, got {shown(dialect)}")
        text, names = rendered(query, dialect)
        parameters = dict(zip(names, self._values if values is None else values, strict=True))
        if self._named:
            parameters.update(self._named)
        return Statement(text, parameters, dialect=dialect, renderer=partial(render, query))

    def _check_bounded(self, verb: str) -> None:
        if not self._conditions and not self._all_rows:
            raise UnboundedWriteError(
                f"expected a condition for this {verb}, got none; say all_rows() where every row is meant"
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
                f"expected no {' and no '.join(used)} for {what}, which would have no effect there; leave it out, "
                "or select the ids first"
            )
