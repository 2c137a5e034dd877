"""The managers' operations that give values instead of rows: those of some columns, and what many rows come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

import peewee

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.arguments.aggregates import (
    group_keys,
    parse_having,
    parse_result_order,
    require_comparable,
)
from cloudpub_models.manager.arguments.conditions import Filter, WhereOf
from cloudpub_models.manager.arguments.dotted import related_column
from cloudpub_models.manager.arguments.order import (
    Direction,
    Order,
    OrderBy,
    parse_order,
    to_one,
    values_of_order,
)
from cloudpub_models.manager.sending import TableAccess, send
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.operators import Aggregate
from cloudpub_models.sql.values import check_count

M = TypeVar("M", bound=peewee.Model)


class Summarizing(TableAccess[M], Generic[M, Filter]):
    """Gives values of rows, and what they come to."""

    @overload
    def values(
        self,
        columns: str,
        where: WhereOf[Filter] = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
        distinct: bool = False,
    ) -> list[Any]: ...
    @overload
    def values(
        self,
        columns: Sequence[str],
        where: WhereOf[Filter] = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
        distinct: bool = False,
    ) -> list[tuple[Any, ...]]: ...
    def values(
        self,
        columns: str | Sequence[str],
        where: WhereOf[Filter] = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
        distinct: bool = False,
    ) -> list[Any]:
        """Return the values of a column, or of several as tuples, of the rows that meet every condition.

        Args:
            columns: a column, also a dotted one of a row referred to, for a list of its values; or a list of columns
                for a list of tuples.
            where: as for ``find_all``.
            order_by: as for ``find_all``; with ``distinct``, of the columns given.
            order_direction: as for ``find_all``.
            limit: how many at most.
            offset: how many to skip.
            distinct: give equal ones once.

        >>> managers.functions.values("name", {"user_id": ada.id})
        ['resize']
        >>> managers.functions.values(("name", "user.email"), order_by="name", limit=10)
        [('resize', 'ada@example.com')]

        ``SELECT name FROM functions WHERE user_id = @param_0``
        """
        alone = isinstance(columns, str)
        keys = self._keys([columns] if isinstance(columns, str) else columns)
        shape, values = self._conditions(where)
        order = parse_order(order_by, order_direction, self.table, self.database.engine)
        if distinct:
            self._require_distinct_in_order(keys, order)
        self._hold_keys(keys)
        self._hold_order(order)
        select = self._statements.present.values(
            shape,
            keys,
            alone=alone,
            order=order,
            limit=limit is not None,
            offset=offset is not None,
            distinct=bool(distinct),
        )
        values = [*values, *values_of_order(order), *_counts(limit, offset)]
        return select.read(send(self.database, select, values or None))

    @overload
    def aggregate(
        self,
        where: WhereOf[Filter] = None,
        *,
        group_by: None = None,
        having: None = None,
        order_by: None = None,
        order_direction: Direction = "ASC",
        limit: None = None,
        offset: None = None,
        **results: Aggregate,
    ) -> dict[str, Any]: ...
    @overload
    def aggregate(
        self,
        where: WhereOf[Filter] = None,
        *,
        group_by: str | Sequence[str],
        having: Mapping[str, Any] | None = None,
        order_by: str | Sequence[str | tuple[str, str]] | None = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
        **results: Aggregate,
    ) -> list[dict[str, Any]]: ...
    def aggregate(
        self,
        where: WhereOf[Filter] = None,
        *,
        group_by: str | Sequence[str] | None = None,
        having: Mapping[str, Any] | None = None,
        order_by: str | Sequence[str | tuple[str, str]] | None = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
        **results: Aggregate,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Return what the rows that meet every condition come to: one dict, or one for each group of them.

        Without rows there are no groups; without ``group_by`` counts are 0 and everything else is ``None``.

        Args:
            where: as for ``find_all``.
            group_by: a column or several, also dotted ones of rows referred to.
            having: name of a result → value or operator that it is compared with, as in a ``where``.
            order_by: names of results, as for ``find_all``; the columns grouped by break ties, and order all where it
                is left out.
            order_direction: as for ``find_all``.
            limit: how many groups at most.
            offset: how many groups to skip.
            **results: name → ``operators.count()``, ``sum``, ``avg``, ``min`` or ``max`` of a column.

        Returns:
            by name what was asked for, and the columns grouped by.

        Raises:
            UnknownColumnError: a name is no column, or none of a result.
            InvalidQueryError: nothing is asked for, or something that cannot be worked out of its column.

        >>> for duration in (10, 20, 60):
        ...     _ = managers.function_invocations.record(resize, "success", duration)
        >>> invocations = managers.function_invocations
        >>> invocations.aggregate({"status": "error"}, calls=operators.count(), slowest=operators.max("duration_ms"))
        {'calls': 0, 'slowest': None}
        >>> invocations.aggregate(group_by="function_id", calls=operators.count(), mean=operators.avg("duration_ms"))
        [{'function_id': 1, 'calls': 3, 'mean': 30.0}]

        ``SELECT function_id, COUNT(*), AVG(…) FROM function_invocations GROUP BY function_id ORDER BY …``
        """
        dialect = self.database.engine.sql_dialect
        statements = self._statements.present
        if not results:
            raise InvalidQueryError("expected something to work out, as in calls=operators.count(); got nothing")
        keys = () if group_by is None else group_keys(group_by, self.table)
        summary = statements.summary(keys, tuple(results.items()))
        self._hold_keys([*keys, *summary.columns])
        shape, values = self._conditions(where)
        if group_by is None:
            if having is not None or order_by is not None or limit is not None or offset is not None:
                raise InvalidQueryError("expected group_by for having, order_by, limit and offset; got none")
            request = statements.aggregate(shape, summary)
            return summary.read(send(self.database, request, values or None))[0]
        groups, compared = parse_having({} if having is None else having, summary.results, dialect)
        order = parse_result_order(order_by, order_direction, keys, summary.results)
        request = statements.aggregate(
            shape, summary, having=groups, order=order, limit=limit is not None, offset=offset is not None
        )
        values = [*values, *compared, *_counts(limit, offset)]
        return summary.read(send(self.database, request, values or None))

    def _keys(self, columns: Any) -> tuple[str, ...]:
        if not isinstance(columns, Sequence) or not columns:
            raise InvalidQueryError(f"expected a column or a list of columns; got {shown(columns)}")
        return tuple([to_one(self.model, key, "values()") for key in columns])

    def _require_distinct_in_order(self, keys: Sequence[str], order: Order) -> None:
        for key in keys:
            require_comparable(related_column(self.model, key).column, "values(distinct=True)")
        for item, _ in order:
            if item not in keys:
                got = item if isinstance(item, str) else "an expression"
                raise InvalidQueryError(
                    f"expected columns of {', '.join(keys)} to order distinct values by; got {got}: add it to them"
                )


def _counts(limit: int | None, offset: int | None) -> list[int]:
    counts = [] if limit is None else [check_count(limit, "limit")]
    return counts if offset is None else [*counts, check_count(offset, "offset")]
