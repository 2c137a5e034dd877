"""Rows by the words in their texts.

The database finds the rows that may have what is searched for, by ILIKE; which of them do is decided here, by the one
who reads searches, so that every database gives the same rows. Texts are read from end to end: narrow a large table by
conditions that an index serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import peewee

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.arguments.conditions import Filter, Where, WhereOf, all_of, any_of
from cloudpub_models.manager.arguments.order import Direction, OrderBy
from cloudpub_models.manager.columns.table import Column, Table
from cloudpub_models.manager.finding import Finding
from cloudpub_models.manager.included import Include, load_included, parse_include
from cloudpub_models.manager.statements.pages import complete_order, encode_cursor
from cloudpub_models.manager.statements.results import CursorPage
from cloudpub_models.sql import operators
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.search import SearchQuery, search_query
from cloudpub_models.sql.values import check_count

M = TypeVar("M", bound=peewee.Model)

# How many rows that may have the words are read at a time, where few of them do.
_MOST_ROWS_AT_ONCE = 2_000


class Searching(Finding[M, Filter], Generic[M, Filter]):
    """Finds rows by words."""

    def find_by_text(
        self,
        text: str | SearchQuery,
        where: WhereOf[Filter] = None,
        *,
        cursor: str | None = None,
        page_size: int = 50,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        include: Include = (),
    ) -> CursorPage[M]:
        """Return the page of rows after a cursor whose texts have the words that are searched for.

        The texts are those of the columns that the model names: ``searchable = ("title", "body")`` in its ``Meta``.

        Args:
            text: what is searched for, as ``SearchQuery`` reads it: ``'"out of memory" worker* -debug'``.
            where: as for ``find_all``; what an index serves makes the search short.
            cursor: ``next_cursor`` of the page before; ``None`` for the first page.
            page_size: how many rows a page has, at least 1.
            order_by: as for ``paginate_after``.
            order_direction: as for ``find_all``.
            include: as for ``find_all``.

        Raises:
            InvalidQueryError: there is nothing to search for, or the model names no columns of text to search in.
            InvalidCursorError: the cursor was changed, or belongs to another table or order.
            InvalidCountError: ``page_size`` is not a positive integer.

        >>> managers.functions.find_by_text("resi* -crop").items == [resize]
        True

        ``SELECT id, … FROM functions WHERE name ILIKE @param_0 ORDER BY id ASC LIMIT @param_1``, as often as it takes
        """
        query = search_query(text)
        columns = _searchable(self.table)
        check_count(page_size, "page_size", smallest=1)
        wanted = all_of(where, _may_have(query, columns))
        tree = parse_include(include, self.model, self._related)
        found: list[M] = []
        rows = page_size + 1
        more = True
        while more and len(found) <= page_size:
            page = self.paginate_after(cursor, rows, wanted, order_by=order_by, order_direction=order_direction)
            found += [
                row for row in page.items if query.matches(*[row.__data__[column.field.name] for column in columns])
            ]
            cursor, more = page.next_cursor, page.next_cursor is not None
            rows = max(rows, min(rows * 2, _MOST_ROWS_AT_ONCE))
        items = found[:page_size]
        load_included(items, tree, self._related)
        if len(found) <= page_size:
            return CursorPage(items, None)
        engine = self.database.engine
        order = complete_order(order_by, order_direction, self.table, engine)
        return CursorPage(items, encode_cursor(items[-1], order, self.table, engine.cursor_seal))


def _searchable(table: Table) -> list[Column]:
    names = getattr(table.model._meta, "searchable", ())
    columns = [table.column(name) for name in ((names,) if isinstance(names, str) else names)]
    if not columns:
        raise InvalidQueryError(
            f"expected columns of {table.name} to search in; its model names none: say searchable = (…) in its Meta"
        )
    for column in columns:
        if not isinstance(column.field, peewee.CharField | peewee.TextField) or column.name in table.secret_names:
            raise InvalidQueryError(
                f"expected columns of text that may be shown to search in; got {shown(column.name)} of {table.name}"
            )
    return columns


def _may_have(query: SearchQuery, columns: list[Column]) -> Where:
    alternatives = [
        all_of(*[_any([{column.name: operators.ilike(pattern)} for column in columns]) for pattern in patterns])
        for patterns in query.contained()
    ]
    return _any(alternatives)


def _any(conditions: Sequence[Where]) -> Where:
    return conditions[0] if len(conditions) == 1 else any_of(*conditions)
