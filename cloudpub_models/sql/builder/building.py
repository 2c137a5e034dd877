"""What is built from a builder's clauses: statements and their parameters.

For: `builder.QueryBuilder`, whose clauses fill what is held here.

Not for: the clauses (`builder`), SQL (`rendering`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from itertools import islice
from typing import Any, NoReturn, Self

from cloudpub_models.errors import InvalidQueryError, UnboundedWriteError
from cloudpub_models.sql.builder.arguments import columns_and_values, names_of
from cloudpub_models.sql.dialects import POSTGRESQL, Dialect
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.nodes.conditions import Condition, Connector, Group
from cloudpub_models.sql.nodes.expressions import Column, Expression, Having, Raw, Star
from cloudpub_models.sql.nodes.query import PARAMETER, Count, Join, Kind, OrderBy, Query
from cloudpub_models.sql.remembering import remembered_if_short
from cloudpub_models.sql.render.writer import generated_names, render, rendered
from cloudpub_models.sql.statement import Statement

# With more conditions and values than this a query is made anew each time, since keeping many would take much memory.
_LARGEST_KEPT = 200


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
    _named: dict[str, Any] = {}
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

        >>> from cloudpub_models.sql import QueryBuilder
        >>> print(QueryBuilder().table("users").where("id", 5).build_select())
        SELECT * FROM users WHERE id = @param_0

        Raises:
            InvalidQueryError: without a table; `UnknownTableError` for an alias that no table of the query has.
        """
        return self._statement(self.as_query(), dialect)

    def build_count(self, dialect: Dialect = POSTGRESQL) -> Statement:
        """Return the statement that counts the rows of the select, whatever its order, limit and offset.

        >>> from cloudpub_models.sql import QueryBuilder
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
        query = self._writing("insert", insert_columns=columns, returning=names_of(returning, "returning"))
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
        query = self._writing("update", update_columns=columns, returning=names_of(returning, "returning"))
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
        return self._statement(self._writing("delete", returning=names_of(returning, "returning")), dialect)

    def as_query(self) -> Query:
        """Return the SELECT as data, for those who need to know more of it than its SQL; the same object each time.

        Raises:
            InvalidQueryError: as `build_select` does.

        >>> from cloudpub_models.sql import QueryBuilder
        >>> QueryBuilder().table("users").limit(5).as_query().limit
        5
        """
        self._check_locking()
        return self._reading("select", self._limit, self._offset)

    def as_shape(self) -> tuple[Query, tuple[Any, ...]]:
        """Return the SELECT with parameters for `limit` and `offset` too, and the values of all generated parameters.

        So the pages of a list have one shape.

        >>> from cloudpub_models.sql import QueryBuilder
        >>> query, values = QueryBuilder().table("users").where("id", 5, ">").limit(20).offset(40).as_shape()
        >>> query.limit, query.offset, values
        (PARAMETER, PARAMETER, (5, 20, 40))

        Raises:
            InvalidQueryError: as `build_select` does.
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
        if self._for_update and (self._group_by or self._having or self._distinct):
            raise InvalidQueryError(
                "expected for_update without group_by, having and distinct: groups cannot be locked"
            )

    def _reading(self, kind: Kind, limit: Count, offset: Count) -> Query:
        kept = len(self._conditions) + len(self._values) <= _LARGEST_KEPT
        return (_kept_query if kept else Query)(
            kind,
            self._own_table(),
            self._alias,
            self._columns or self._own_columns(),
            self._distinct,
            self._joins,
            _kept_group(self._conditions) if kept else Group(self._conditions),
            self._group_by,
            self._having,
            self._order_by,
            limit,
            offset,
            self._for_update,
            self._skip_locked,
        )

    def _writing(self, kind: Kind, **clauses: Any) -> Query:
        table = self._own_table()
        if isinstance(table, Raw):
            raise InvalidQueryError(f"expected the name of a table for {kind}, got raw SQL")
        return Query(kind, table, self._alias, conditions=Group(self._conditions), **clauses)

    def _own_table(self) -> str | Raw:
        if self._table is None:
            raise InvalidQueryError('expected a table, got none; call table("name") first')
        return self._table

    def _own_columns(self) -> tuple[Expression, ...]:
        # Beside joined tables a plain `id` would be ambiguous.
        qualifier = self._alias or (self._table if self._joins else None)
        if isinstance(qualifier, Raw):
            return (Star(None),)
        return _qualified(qualifier, self._default_columns)

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


@lru_cache(maxsize=256)
def _first_names(count: int, taken: frozenset[str]) -> tuple[str, ...]:
    return tuple(islice(generated_names(taken), count))


@lru_cache(maxsize=1024)
def _qualified(table: str | None, names: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple([Column(table, name) for name in names])


def _length(shape: Query | Group) -> int:
    return len(repr(shape))


# One object for the builders of one shape, so that whatever is kept for it is found by identity.
_kept_query: Callable[..., Query] = remembered_if_short(Query, _length)
_kept_group = remembered_if_short(Group, _length)
