"""The operations that find rows on several servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain, islice
from typing import Any, Generic, TypeVar
from uuid import UUID

import peewee

from cloudpub_models.cells.cells import refused
from cloudpub_models.cells.merging import require_mergeable, sort_key
from cloudpub_models.cells.routed import Part, Routed, ask_each
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
        def find(manager: Any, where: Any) -> M | None:
            found: M | None
            if not isinstance(where, Mapping):
                found = next(iter(manager.find_all(where, limit=1, select=select)), None)
            elif name == "uuid" and select is None:
                found = manager.find_by_uuid(value)
            else:
                found = manager.find_by_id(value, id_column=name, select=select)
            return found

        def look(parts: list[Part]) -> M | None:
            found = ask_each(parts, find, is_enough=lambda found: found is not None)
            return next((row for row in found if row is not None), None)

        self._one(name, value)
        where: Any = {name: value}
        return self._read(where, look)

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

        def find(parts: list[Part]) -> list[M]:
            options: dict[str, Any] = {"order_by": order_by, "order_direction": order_direction, "select": select}
            if len(parts) == 1:
                return parts[0].ask(
                    lambda manager, where: manager.find_all(where, limit=limit, offset=offset, **options)
                )
            order = parse_order(order_by, order_direction, self.table, self.database.engine)
            require_mergeable(order, self.table, select)
            skipped = 0 if offset is None else check_count(offset, "offset")
            most = None if limit is None else skipped + check_count(limit, "limit")
            found: list[list[M]] = ask_each(
                parts, lambda manager, where: manager.find_all(where, limit=most, **options)
            )
            rows = list(chain.from_iterable(found))
            if order:
                rows.sort(key=sort_key(order, self.table))
            return rows[skipped:most]

        rows = self._read(where, find)
        load_included(rows, tree, self._related)
        return rows

    def count(self, where: WhereOf[Filter] = None) -> int:
        return sum(self._each(where, lambda manager, where: manager.count(where)))

    def exists(self, where: WhereOf[Filter] = None) -> bool:
        return self._read(
            where, lambda parts: any(ask_each(parts, lambda manager, where: manager.exists(where), is_enough=bool))
        )

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
        tree, engine = self._tree(include), self.database.engine
        order = complete_order(order_by, order_direction, self.table, engine)

        def find(parts: list[Part]) -> CursorPage[M]:
            if len(parts) > 1:
                require_mergeable(order, self.table)
            pages: list[CursorPage[M]] = ask_each(
                parts, lambda manager, where: manager.paginate_after(cursor, page_size, where, order_by=order)
            )
            if len(pages) == 1:
                return pages[0]
            rows = sorted(chain.from_iterable([each.items for each in pages]), key=sort_key(order, self.table))
            items = rows[:page_size]
            is_last = len(rows) <= page_size and all(each.next_cursor is None for each in pages)
            last = None if is_last else encode_cursor(items[-1], order, self.table, engine.cursor_seal)
            return CursorPage(items, last)

        page = self._read(where, find)
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
        order = parse_order(order_by, "ASC", self.table, self.database.engine)
        check_count(chunk_size, "chunk_size", smallest=1)

        def check(parts: list[Part]) -> None:
            if len(parts) > 1:
                require_mergeable(order, self.table)
            # What is malformed is refused when the call is made; nothing is sent before a row is asked for.
            for part in parts:
                part.ask(lambda manager, where: manager.iterate(where, order_by=order_by, chunk_size=chunk_size))

        def begin(parts: list[Part]) -> Iterator[M]:
            check(parts)
            streams: list[Iterator[M]] = []
            try:
                for part in parts:
                    streams.append(
                        part.ask(
                            lambda manager, where: _begun(
                                manager.iterate(where, order_by=order_by, chunk_size=chunk_size)
                            )
                        )
                    )
            except BaseException:
                for stream in streams:
                    stream.close()  # type: ignore[attr-defined]
                raise
            if order and len(streams) > 1:
                return merge(*streams, key=sort_key(order, self.table))
            return chain.from_iterable(streams)

        self._read(where, check)
        rows = self._begun_late(lambda: self._read(where, begin))
        return self._with_included(rows, tree, chunk_size) if tree else rows

    def _begun_late(self, begin: Callable[[], Iterator[M]]) -> Iterator[M]:
        yield from begin()

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
        options: dict[str, Any] = {"order_by": order_by, "order_direction": order_direction}
        of_several = super().find_by_text

        def find(parts: list[Part]) -> CursorPage[M]:
            if len(parts) > 1:
                return of_several(text, where, cursor=cursor, page_size=page_size, **options)
            return parts[0].ask(
                lambda manager, where: manager.find_by_text(text, where, cursor=cursor, page_size=page_size, **options)
            )

        page = self._read(where, find)
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
        found: list[Any] = self._of_the_one(
            "values()",
            where,
            lambda manager, where: manager.values(
                columns,
                where,
                order_by=order_by,
                order_direction=order_direction,
                limit=limit,
                offset=offset,
                distinct=distinct,
            ),
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
        return self._of_the_one(
            "aggregate()",
            where,
            lambda manager, where: manager.aggregate(
                where,
                group_by=group_by,
                having=having,
                order_by=order_by,
                order_direction=order_direction,
                limit=limit,
                offset=offset,
                **results,
            ),
        )

    def _of_the_one(self, call: str, where: Where, work: Callable[[Any, Any], Any]) -> Any:
        """Ask the only server which has rows that meet conditions."""

        def ask(parts: list[Part]) -> Any:
            if len(parts) > 1:
                raise refused(
                    f"{self.table.name}.{call} over several",
                    f"name one {self._key.column_name} in the conditions, and put together what each gives",
                )
            return parts[0].ask(work)

        return self._read(where, ask)


def _begun(rows: Iterator[M]) -> Iterator[M]:
    """Have the first rows fetched, so that which ones there are is settled, and return the iterator over all."""
    # Not chained, so that giving it up ends the statement at once.
    begun = _from_the_first(rows)
    next(begun)
    return begun  # type: ignore[return-value]


def _from_the_first(rows: Iterator[M]) -> Iterator[M | None]:
    first = next(rows, None)
    yield None
    if first is not None:
        yield first
        yield from rows
