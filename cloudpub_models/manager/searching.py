"""Rows by the words in their texts.

The database finds the rows that may have what is searched for, by parts of the words; which of them do is decided here,
by the one who reads searches, so that every database gives the same rows. Texts are read from end to end: narrow a
large table by conditions that an index serves, or give it an index of words (``schema.search``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import peewee

from cloudpub_models.connection.results import Row
from cloudpub_models.manager.arguments.conditions import Combined, Filter, Where, WhereOf, all_of, any_of
from cloudpub_models.manager.arguments.order import Direction, OrderBy
from cloudpub_models.manager.finding import Finding
from cloudpub_models.manager.included import Include, load_included, parse_include
from cloudpub_models.manager.sending import send
from cloudpub_models.manager.statements.pages import complete_order, decode_cursor, encode_cursor
from cloudpub_models.manager.statements.results import CursorPage
from cloudpub_models.manager.statements.shapes import Request
from cloudpub_models.schema.search.tables import SearchedTable, kind_of, searched_table
from cloudpub_models.sql import operators
from cloudpub_models.sql.operators import Operator
from cloudpub_models.sql.search import SearchQuery, search_query
from cloudpub_models.sql.values import check_count

M = TypeVar("M", bound=peewee.Model)
Words = Callable[[Sequence[tuple[str, bool]]], str | None]

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

        ``SELECT id, … FROM functions WHERE name ILIKE @param_0 ORDER BY id ASC LIMIT @param_1``, as often as it takes,
        behind the question whether the table has an index of words
        """
        query = search_query(text)
        table = searched_table(self.model)
        columns = [self.table.columns[name] for name in table.columns]
        check_count(page_size, "page_size", smallest=1)
        tree = parse_include(include, self.model, self._related)
        engine = self.database.engine
        order = complete_order(order_by, order_direction, self.table, engine)
        if cursor is not None:
            decode_cursor(cursor, order, self.table, engine.cursor_seal)
        wanted = self._may_have(query, table, where)
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
        return CursorPage(items, encode_cursor(items[-1], order, self.table, engine.cursor_seal))

    def _may_have(self, query: SearchQuery, table: SearchedTable, where: Where) -> Combined:
        """Return conditions with the one that rows meet which have what is searched for, and few others by an index.

        Whether there is an index is asked each time: it comes and goes while programs run.
        """
        dialect = self.database.engine.sql_dialect
        plain = self._by_parts(query, table, where)
        # What these managers would refuse is refused before an index is asked.
        self._conditions(plain)
        _ = self._statements.present

        def ask(sql: str, values: Sequence[Any]) -> list[Row]:
            return send(self.database, Request(sql, writes=False, tables=(table.name,)), values)

        kind = kind_of(dialect)
        if not kind.is_made(ask, table):
            return plain
        numbers = kind.numbers(ask, table, query)
        if numbers is not None:
            return all_of({str(table.number): operators.in_(numbers)}, plain)
        return all_of(where, _conditions(query, table.columns, kind.words))

    def _by_parts(self, query: SearchQuery, table: SearchedTable, where: Where) -> Combined:
        """Return conditions with the one that rows meet which have what is searched for, as no index knows it."""
        return all_of(where, _conditions(query, table.columns, _no_words))


def _conditions(query: SearchQuery, columns: Sequence[str], words: Words) -> Where:
    """Return what texts meet that have the words: all terms of one of the alternatives, each in any column."""
    alternatives = [
        all_of(*[_any([{column: _may_hold(pattern, words(runs))} for column in columns]) for pattern, runs in terms])
        for terms in (zip(*both, strict=True) for both in zip(query.contained(), query.runs(), strict=True))
    ]
    return _any(alternatives)


def _may_hold(pattern: str, words: str | None) -> Operator:
    return Operator("HAS PARTS", (pattern,)) if words is None else Operator("HAS WORDS", (pattern, words))


def _no_words(_runs: Sequence[tuple[str, bool]]) -> None:
    """Name no words, where no index has them."""


def _any(conditions: Sequence[Where]) -> Where:
    return conditions[0] if len(conditions) == 1 else any_of(*conditions)
