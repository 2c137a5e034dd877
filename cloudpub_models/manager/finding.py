"""The managers' operations that find rows: by id, by conditions, page by page, as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.connection.engine import STREAM_CHUNK_SIZE, Row
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.manager.access import TableAccess, require_value
from cloudpub_models.manager.arguments.order import (
    Direction,
    Order,
    OrderBy,
    check_chunk_size,
    check_count,
    parse_order,
)
from cloudpub_models.manager.arguments.where import Where, parse_where
from cloudpub_models.manager.columns.decoding import decoder_for
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.rows.included import Include, Node, load_included, parse_include
from cloudpub_models.manager.statements.pages import complete_order, decode_cursor, encode_cursor, rows_after
from cloudpub_models.manager.statements.results import CursorPage, PaginatedResult
from cloudpub_models.manager.statements.shapes import Select

M = TypeVar("M", bound=peewee.Model)

# A stream makes few instances at a time: they take the memory of those used up, still in the processor's cache.
_INSTANCES_AT_ONCE = 250


class Finding(TableAccess[M]):
    """Finds rows."""

    def __init__(self, model: type[M], database: Database | None = None) -> None:
        super().__init__(model, database)
        self._related: dict[type[peewee.Model], Finding[Any]] = {}

    def find_by_id(self, id: Any, *, id_column: str = "id", select: Sequence[str] | None = None) -> M | None:
        """Return the row with this id, or ``None``.

        Args:
            id: the internal id; for a public one see ``find_by_uuid``.
            id_column: the column to look in, one that is unique.
            select: the columns to load; all of them when left out.

        Raises:
            InvalidValueError: the id does not fit the column, as a UUID does not fit an integer one.

        >>> managers.functions.find_by_id(resize.id)
        <Function id=1 uuid=... name='resize' status='active'>

        ``SELECT id, uuid, … FROM users WHERE id = @param_0``
        """
        if select is None:
            return self._look_up(id_column, id)
        rows = self.find_all({id_column: require_value(id, id_column)}, select=select, limit=1)
        return rows[0] if rows else None

    def find_by_uuid(self, uuid: UUID | str) -> M | None:
        """Return the row with this public UUID, or ``None``.

        Raises:
            UnknownColumnError: the table has no ``uuid``.
            InvalidValueError: the text is no UUID.

        >>> managers.users.find_by_uuid(str(ada.uuid)) == ada
        True

        ``SELECT id, uuid, … FROM users WHERE uuid = @param_0``
        """
        return self._look_up("uuid", uuid)

    def find_all(
        self,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
        select: Sequence[str] | None = None,
        include: Include = (),
    ) -> list[M]:
        """Return the rows that meet every condition.

        Args:
            where: column → value; ``None`` is ``IS NULL``, a list ``IN``, an operator object that operator. A Peewee
                expression is taken too.
            order_by: a column, or a sequence of columns and ``(column, direction)`` pairs.
            order_direction: ``"ASC"`` or ``"DESC"``, for the columns without one of their own.
            limit: how many rows at most.
            offset: how many rows to skip.
            select: the columns to load; reading another one raises LazyLoadingError.
            include: relations to load along, one statement for each: names, ``"deployments.function"`` for a relation
                of a relation, or a dict of name to ``{"limit": …, "order_by": …, "order_direction": …}``, the
                limit being per row.

        Returns:
            the instances; an empty list when there are none.

        Raises:
            UnknownColumnError: a name is no column; the message names the nearest.
            InvalidValueError: a value does not fit its column.

        >>> conditions = {"user_id": ada.id, "status": ["active", "building"], "name": operators.like("re%")}
        >>> managers.functions.find_all(conditions, order_by="created_at", order_direction="DESC", limit=10)
        [<Function id=1 uuid=... name='resize' status='active'>]

        ``SELECT id, uuid, … FROM functions WHERE user_id = @param_0 ORDER BY created_at DESC LIMIT @param_1``
        """
        engine = self.database.engine
        shape, parameters = parse_where(where, self.table, engine)
        included = parse_include(include, self.model)
        prepared = self._statements_on(engine).select(
            shape,
            columns=None if select is None else self.table.selected(select),
            order=parse_order(order_by, order_direction, self.table),
            limit=limit is not None,
            offset=offset is not None,
        )
        values = list(parameters)
        values += [
            check_count(number, name) for number, name in ((limit, "limit"), (offset, "offset")) if number is not None
        ]
        rows = prepared.load(engine.fetch(prepared.sql, values or None))
        self._include(rows, included)
        return rows

    def find_one(
        self,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        select: Sequence[str] | None = None,
        include: Include = (),
    ) -> M | None:
        """Return the first row that ``find_all`` would, or ``None``.

        >>> managers.functions.find_one({"name": "resize"}, include=("user",)).user.email
        'ada@example.com'

        ``SELECT id, uuid, … FROM functions WHERE name = @param_0 LIMIT @param_1``
        """
        rows = self.find_all(
            where, order_by=order_by, order_direction=order_direction, limit=1, select=select, include=include
        )
        return rows[0] if rows else None

    def count(self, where: Where = None) -> int:
        """Return how many rows meet every condition.

        >>> managers.functions.count({"status": "active"})
        1

        ``SELECT COUNT(*) AS count FROM functions WHERE status = @param_0``
        """
        engine = self.database.engine
        shape, values = parse_where(where, self.table, engine)
        rows = engine.fetch(self._statements_on(engine).select_nothing("count", shape).sql, values or None)
        return int(rows[0][0])

    def exists(self, where: Where = None) -> bool:
        """Return whether any row meets every condition.

        >>> managers.functions.exists({"status": "failed"})
        False

        ``SELECT 1 FROM functions WHERE status = @param_0 LIMIT 1``
        """
        engine = self.database.engine
        shape, values = parse_where(where, self.table, engine)
        return bool(engine.fetch(self._statements_on(engine).select_nothing("exists", shape).sql, values or None))

    def paginate(
        self,
        page: int,
        page_size: int,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        include: Include = (),
    ) -> PaginatedResult[M]:
        """Return one numbered page of the rows, with their total number.

        The primary key breaks ties, so that no row is on two pages.

        Args:
            page: the number of the page, from 1.
            page_size: how many rows a page has, at least 1.
            where: as for ``find_all``.
            order_by: as for ``find_all``; the primary key when left out.
            order_direction: as for ``find_all``.
            include: as for ``find_all``.

        Raises:
            InvalidQueryError: ``page`` or ``page_size`` is not a positive integer.

        >>> page = managers.users.paginate(1, 20, order_by="email")
        >>> [user.email for user in page.items], page.total
        (['ada@example.com', 'grace@example.com'], 2)
        """
        check_count(page, "page", smallest=1)
        check_count(page_size, "page_size", smallest=1)
        order = complete_order(order_by, order_direction, self.table)
        return PaginatedResult(
            items=self.find_all(where, order_by=order, limit=page_size, offset=(page - 1) * page_size, include=include),
            total=self.count(where),
            page=page,
            page_size=page_size,
        )

    def paginate_after(
        self,
        cursor: str | None = None,
        page_size: int = 50,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        include: Include = (),
    ) -> CursorPage[M]:
        """Return the page of rows after a cursor.

        Every page costs the same, and rows inserted or deleted meanwhile move no other row to another page.

        Args:
            cursor: ``next_cursor`` of the page before; ``None`` for the first page.
            page_size: how many rows a page has, at least 1.
            where: as for ``find_all``; the same for each page.
            order_by: as for ``find_all``; the primary key breaks ties.
            order_direction: as for ``find_all``.
            include: as for ``find_all``.

        Raises:
            InvalidCursorError: the cursor was changed, or belongs to another table or order.

        >>> page = managers.users.paginate_after(page_size=1, order_by="email")
        >>> managers.users.paginate_after(page.next_cursor, 1, order_by="email").items == [grace]
        True

        ``SELECT … FROM functions WHERE (created_at, id) > (@param_0, @param_1) ORDER BY created_at, id LIMIT @param_2``
        """
        check_count(page_size, "page_size", smallest=1)
        engine = self.database.engine
        order = complete_order(order_by, order_direction, self.table)
        if not order:
            raise InvalidQueryError(f"expected a column to order by, since {self.table.name} has no primary key")
        shape, values = parse_where(where, self.table, engine)
        included = parse_include(include, self.model)
        if cursor is not None:
            after, keys = rows_after(decode_cursor(cursor, order, self.table), order, self.table)
            shape, values = (*shape, after), (*values, *keys)
        prepared = self._statements_on(engine).select(shape, order=order, limit=True)
        # One row more than the page tells whether there is a next one, without counting.
        rows = prepared.load(engine.fetch(prepared.sql, [*values, page_size + 1]))
        page = rows[:page_size]
        self._include(page, included)
        return CursorPage(page, encode_cursor(page[-1], order, self.table) if len(rows) > page_size else None)

    def iterate(
        self,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        chunk_size: int = STREAM_CHUNK_SIZE,
        include: Include = (),
    ) -> Iterator[M]:
        """Yield the rows that meet every condition, in constant memory.

        The arguments are checked at once; the query is sent when the first row is asked for.

        Args:
            where: as for ``find_all``.
            order_by: as for ``find_all``.
            chunk_size: how many rows are held in memory at a time.
            include: as for ``find_all``; one statement per relation and chunk.

        >>> [user.email for user in managers.users.iterate(order_by="email")]
        ['ada@example.com', 'grace@example.com']
        """
        engine = self.database.engine
        shape, values = parse_where(where, self.table, engine)
        order = parse_order(order_by, "ASC", self.table)
        included = parse_include(include, self.model)
        prepared = self._statements_on(engine).select(shape, order=order)
        chunks = engine.stream(prepared.sql, values or None, check_chunk_size(chunk_size))
        return self._instances(chunks, prepared, included)

    def _finding_of(self, model: type[peewee.Model]) -> Finding[Any]:
        """Return what finds rows of another model on the same database."""
        found = self._related.get(model)
        if found is None:
            found = self._related[model] = Finding(model, self.database)
        return found

    def _find_for_each(self, column: str, keys: Sequence[Any], order: Order, limit: int | None) -> list[M]:
        """Return the rows in which a column has one of the keys, at most ``limit`` for each key."""
        order, limit = self._checked_range(order, limit)
        if not keys:
            return []
        engine = self.database.engine
        statements, key, order = self._statements_on(engine), self.table.column(column), self._or_key(order)
        if limit is None:
            # An index on the column has the rows in about this order; sorting all of them costs more.
            prepared = statements.select(((key.name, "IN"),), order=((key.name, "ASC"), *order))
        else:
            prepared = statements.select_for_each(key.name, order, limit)
        return prepared.load(engine.fetch(prepared.sql, [key.encode_list(keys, engine.sql_dialect)]))

    def _find_connected(
        self,
        near: peewee.ForeignKeyField[Any],
        far: peewee.ForeignKeyField[Any],
        keys: Sequence[Any],
        order: Order,
        limit: int | None,
    ) -> list[tuple[Any, M]]:
        """Return the rows that a table in between connects with other rows, each with the key of that other row.

        Args:
            near: the key of the table in between that refers to the other rows.
            far: its key that refers to this table.
            keys: what ``near`` refers to.
            order: columns of this table.
            limit: how many rows for each key at most.
        """
        order, limit = self._checked_range(order, limit)
        if not keys:
            return []
        engine = self.database.engine
        near_column = table_of(near.model).columns[near.column_name]
        prepared = self._statements_on(engine).select_connected(near, far, self._or_key(order), limit)
        rows = engine.fetch(prepared.sql, [near_column.encode_list(keys, engine.sql_dialect)])
        decode = decoder_for(near, engine.sql_dialect.name) or (lambda key: key)
        instances = prepared.load([row[:-1] for row in rows])
        return [(decode(row[-1]), instance) for row, instance in zip(rows, instances, strict=True)]

    def _checked_range(self, order: Order, limit: int | None) -> tuple[Order, int | None]:
        # Both become part of the statement's text.
        return parse_order(order, "ASC", self.table), None if limit is None else check_count(limit, "limit")

    def _or_key(self, order: Order) -> Order:
        return order or tuple((name, "ASC") for name in self.table.key_names)

    def _include(self, rows: Sequence[M], included: Mapping[str, Node]) -> None:
        if included:
            load_included(rows, self.model, included, self._finding_of)

    def _instances(self, chunks: Iterator[list[Row]], prepared: Select[M], included: Mapping[str, Node]) -> Iterator[M]:
        for chunk in chunks:
            # Related rows are loaded with one statement for the whole chunk.
            size = len(chunk) if included else _INSTANCES_AT_ONCE
            for start in range(0, len(chunk), size):
                rows = prepared.load(chunk[start : start + size])
                self._include(rows, included)
                yield from rows

    def _look_up(self, name: str, value: Any) -> M | None:
        engine = self.database.engine
        statements = self._statements_on(engine)
        lookup = (statements.lookups.get(name) if isinstance(name, str) else None) or statements.lookup(name)
        rows = engine.fetch(lookup.sql, (lookup.encode(require_value(value, name)),))
        return lookup.load(rows)[0] if rows else None
