"""The operations that find rows on several servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import chain, islice
from typing import Any, Generic, TypeVar
from uuid import UUID

import peewee

from cloudpub_models.cells.cells import refused
from cloudpub_models.cells.merging import require_mergeable, sort_key
from cloudpub_models.cells.routed import Routed
from cloudpub_models.connection.engine import STREAM_CHUNK_SIZE
from cloudpub_models.manager.arguments.conditions import Combined, Filter, Where, WhereOf
from cloudpub_models.manager.arguments.order import Direction, OrderBy, parse_order
from cloudpub_models.manager.included import Include, Tree, load_included
from cloudpub_models.manager.statements.pages import complete_order, encode_cursor
from cloudpub_models.manager.statements.results import CursorPage
from cloudpub_models.manager.writing import Changes, Data
from cloudpub_models.schema.search.tables import SearchedTable
from cloudpub_models.sql.operators import Aggregate
from cloudpub_models.sql.search import SearchQuery
from cloudpub_models.sql.values import check_count

M = TypeVar("M", bound=peewee.Model)


class ScatteredFinding(Routed[M, Data, Changes, Filter], Generic[M, Data, Changes, Filter]):
    """Finds rows, wherever they are."""

    def find_by_uuid(self, uuid: UUID | str) -> M | None:
        return self._look_up("uuid", uuid)

    def _look_up(self, name: str, value: Any, select: Sequence[str] | None = None) -> M | None:
        for manager in self._asked({name: value} if isinstance(name, str) else None):
            if name == "uuid" and select is None:
                found = manager.find_by_uuid(value)
            else:
                found = manager.find_by_id(value, id_column=name, select=select)
            if found is not None:
                return found
        return None

    def find_all(
        self,
        where: WhereOf[Filter] = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
        select: Sequence[str] | None = None,
        include: Include = (),
    ) -> list[M]:
        tree = self._tree(include)
        asked = self._asked(where)
        if len(asked) == 1:
            rows = asked[0].find_all(
                where, order_by=order_by, order_direction=order_direction, limit=limit, offset=offset, select=select
            )
        else:
            order = parse_order(order_by, order_direction, self.table, self.database.engine)
            require_mergeable(order, self.table, select)
            skipped = 0 if offset is None else check_count(offset, "offset")
            most = None if limit is None else skipped + check_count(limit, "limit")
            parts = [manager.find_all(where, order_by=order or None, limit=most, select=select) for manager in asked]
            rows = list(chain.from_iterable(parts))
            if order:
                rows.sort(key=sort_key(order, self.table))
            rows = rows[skipped:most]
        load_included(rows, tree, self._related)
        return rows

    def count(self, where: WhereOf[Filter] = None) -> int:
        return sum([manager.count(where) for manager in self._asked(where)])

    def exists(self, where: WhereOf[Filter] = None) -> bool:
        return any(manager.exists(where) for manager in self._asked(where))

    def paginate_after(
        self,
        cursor: str | None = None,
        page_size: int = 50,
        where: WhereOf[Filter] = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        include: Include = (),
    ) -> CursorPage[M]:
        tree = self._tree(include)
        asked, engine = self._asked(where), self.database.engine
        order = complete_order(order_by, order_direction, self.table, engine)
        if len(asked) > 1:
            require_mergeable(order, self.table)
        pages = [manager.paginate_after(cursor, page_size, where, order_by=order) for manager in asked]
        page = pages[0]
        if len(pages) > 1:
            rows = sorted(chain.from_iterable([each.items for each in pages]), key=sort_key(order, self.table))
            items = rows[:page_size]
            is_last = len(rows) <= page_size and all(each.next_cursor is None for each in pages)
            last = None if is_last else encode_cursor(items[-1], order, self.table, engine.cursor_seal)
            page = CursorPage(items, last)
        load_included(page.items, tree, self._related)
        return page

    def iterate(
        self,
        where: WhereOf[Filter] = None,
        *,
        order_by: OrderBy = None,
        chunk_size: int = STREAM_CHUNK_SIZE,
        include: Include = (),
    ) -> Iterator[M]:
        tree = self._tree(include)
        asked = self._asked(where)
        order = parse_order(order_by, "ASC", self.table, self.database.engine)
        if len(asked) > 1:
            require_mergeable(order, self.table)
        check_count(chunk_size, "chunk_size", smallest=1)
        streams = [manager.iterate(where, order_by=order_by, chunk_size=chunk_size) for manager in asked]
        rows = merge(*streams, key=sort_key(order, self.table)) if order and len(streams) > 1 else chain(*streams)
        return self._with_included(rows, tree, chunk_size) if tree else rows

    def _with_included(self, rows: Iterator[M], tree: Tree, chunk_size: int) -> Iterator[M]:
        while chunk := list(islice(rows, chunk_size)):
            load_included(chunk, tree, self._related)
            yield from chunk

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
        tree = self._tree(include)
        asked = self._asked(where)
        if len(asked) > 1:
            return super().find_by_text(
                text,
                where,
                cursor=cursor,
                page_size=page_size,
                order_by=order_by,
                order_direction=order_direction,
                include=include,
            )
        page = asked[0].find_by_text(
            text, where, cursor=cursor, page_size=page_size, order_by=order_by, order_direction=order_direction
        )
        load_included(page.items, tree, self._related)
        return page

    def _may_have(self, query: SearchQuery, table: SearchedTable, where: Where) -> Combined:
        # An index of words that all servers have would have to be asked for on each of them.
        return self._by_parts(query, table, where)

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
        manager: Any = self._the_one("values()", where)
        found: list[Any] = manager.values(
            columns,
            where,
            order_by=order_by,
            order_direction=order_direction,
            limit=limit,
            offset=offset,
            distinct=distinct,
        )
        return found

    def aggregate(
        self,
        where: WhereOf[Filter] = None,
        *,
        group_by: str | Sequence[str] | None = None,
        having: Any = None,
        order_by: Any = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
        **results: Aggregate,
    ) -> Any:
        manager: Any = self._the_one("aggregate()", where)
        return manager.aggregate(
            where,
            group_by=group_by,
            having=having,
            order_by=order_by,
            order_direction=order_direction,
            limit=limit,
            offset=offset,
            **results,
        )

    def _the_one(self, call: str, where: Where) -> Any:
        """Return the manager that asks the only server which has rows that meet conditions."""
        asked = self._asked(where)
        if len(asked) > 1:
            raise refused(
                f"{self.table.name}.{call} over several",
                f"name one {self._key.column_name} in the conditions, and put together what each gives",
            )
        return asked[0]
