"""The managers' operations that find rows: by id, by conditions, page by page, as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import peewee

from cloudpub_models.connection.engine import STREAM_CHUNK_SIZE, Row
from cloudpub_models.entity.base import secret_columns
from cloudpub_models.errors import NotFoundError
from cloudpub_models.manager.arguments.conditions import AllRows, Filter, Where, WhereOf
from cloudpub_models.manager.arguments.dotted import related_column
from cloudpub_models.manager.arguments.order import (
    Direction,
    OrderBy,
    OrderWithValues,
    parse_order,
    require_own_columns,
)
from cloudpub_models.manager.columns.encoding import TYPES_OF_KEYS
from cloudpub_models.manager.columns.table import Table
from cloudpub_models.manager.included import Include, Tree, load_included, parse_include
from cloudpub_models.manager.related import RelatedRows
from cloudpub_models.manager.sending import TableAccess, require_value, send
from cloudpub_models.manager.statements.pages import complete_order, decode_cursor, encode_cursor, rows_after
from cloudpub_models.manager.statements.results import CursorPage, PaginatedResult
from cloudpub_models.manager.statements.shapes import Select, Statements
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.values import check_count

M = TypeVar("M", bound=peewee.Model)

# A stream makes few instances at a time: they take the memory of those used up, still in the processor's cache.
_INSTANCES_AT_ONCE = 250


class _HeldLookup(NamedTuple, Generic[M]):
    """The SELECT of one row of a scope, and the values of the scope's condition."""

    query: Select[M]
    values: tuple[Any, ...]


class Finding(TableAccess[M], Generic[M, Filter]):
    """Finds rows."""

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
        return self._look_up(id_column, id, select)

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

    def get_by_id(self, id: Any, *, id_column: str = "id", select: Sequence[str] | None = None) -> M:
        """Return the row with this id, where there has to be one.

        Args:
            id: as for ``find_by_id``.
            id_column: as for ``find_by_id``.
            select: as for ``find_by_id``.

        Raises:
            NotFoundError: there is none.
            InvalidValueError: the id does not fit the column.

        >>> managers.functions.get_by_id(resize.id) == resize
        True
        >>> managers.functions.get_by_id(0)
        Traceback (most recent call last):
        ...
        cloudpub_models.errors.NotFoundError: expected a row of functions with the id 0; there is none

        As ``find_by_id``
        """
        return self._required(self._look_up(id_column, id, select), {id_column: id})

    def get_by_uuid(self, uuid: UUID | str) -> M:
        """Return the row with this public UUID, where there has to be one.

        Raises:
            NotFoundError: there is none.
            UnknownColumnError: the table has no ``uuid``.
            InvalidValueError: the text is no UUID.

        >>> managers.users.get_by_uuid(ada.uuid) == ada
        True

        As ``find_by_uuid``
        """
        return self._required(self._look_up("uuid", uuid), {"uuid": uuid})

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
        """Return the rows that meet every condition.

        Args:
            where: column → value; ``None`` is ``IS NULL``, a list ``IN``, an operator object that operator. A dotted
                key, as ``"user.email"``, follows relations. A Peewee expression is taken too, and ``any_of``,
                ``all_of`` and ``none_of`` of conditions.
            order_by: a column, ``"-column"`` for descending, ``"user.email"`` for one of a row referred to, a Peewee
                expression; or a sequence of those and of ``(column, direction)`` pairs.
            order_direction: ``"ASC"`` or ``"DESC"``, for what has none of its own.
            limit: how many rows at most.
            offset: how many rows to skip.
            select: the columns to load; reading another one raises LazyLoadingError.
            include: relations to load along, one statement for each: names, ``"deployments.function"`` for a relation
                of a relation, or a dict of name to ``{"where": …, "limit": …, "order_by": …, "order_direction":
                …}``, the limit being per row.

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
        shape, values = self._conditions(where)
        tree = parse_include(include, self.model, self._related) if include != () else ()
        order = parse_order(order_by, order_direction, self.table, self.database.engine)
        query = self._statements.present.select(
            shape,
            columns=None if select is None else self.table.selected(select),
            order=order,
            limit=limit is not None,
            offset=offset is not None,
        )
        if order and self.scope is not None:
            self._hold_order(order)
        if type(order) is OrderWithValues:
            values = [*values, *order.values]
        if limit is not None:
            values = [*values, check_count(limit, "limit")]
        if offset is not None:
            values = [*values, check_count(offset, "offset")]
        rows = query.load(send(self.database, query, values or None))
        if tree:
            load_included(rows, tree, self._related)
        return rows

    def find_one(
        self,
        where: WhereOf[Filter] = None,
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

    def get_one(
        self,
        where: WhereOf[Filter] = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        select: Sequence[str] | None = None,
        include: Include = (),
    ) -> M:
        """Return the first row that ``find_all`` would, where there has to be one.

        Raises:
            NotFoundError: there is none.

        >>> managers.functions.get_one({"user_id": ada.id, "name": "crop"})
        Traceback (most recent call last):
        ...
        cloudpub_models.errors.NotFoundError: expected a row of functions with the user_id 1 and the name 'crop'; ...

        As ``find_one``
        """
        found = self.find_one(where, order_by=order_by, order_direction=order_direction, select=select, include=include)
        return self._required(found, where)

    def count(self, where: WhereOf[Filter] = None) -> int:
        """Return how many rows meet every condition.

        >>> managers.functions.count({"status": "active"})
        1

        ``SELECT COUNT(*) AS count FROM functions WHERE status = @param_0``
        """
        shape, values = self._conditions(where)
        request = self._statements.present.counts[shape,]
        number: int = send(self.database, request, values or None)[0][0]
        return number

    def exists(self, where: WhereOf[Filter] = None) -> bool:
        """Return whether any row meets every condition.

        >>> managers.functions.exists({"status": "failed"})
        False

        ``SELECT 1 FROM functions WHERE status = @param_0 LIMIT 1``
        """
        shape, values = self._conditions(where)
        request = self._statements.present.existences[shape,]
        return bool(send(self.database, request, values or None))

    def paginate(
        self,
        page: int,
        page_size: int,
        where: WhereOf[Filter] = None,
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
            InvalidCountError: ``page`` or ``page_size`` is not a positive integer.

        >>> page = managers.users.paginate(1, 20, order_by="email")
        >>> [user.email for user in page.items], page.total
        (['ada@example.com', 'grace@example.com'], 2)
        """
        check_count(page, "page", smallest=1)
        check_count(page_size, "page_size", smallest=1)
        order = complete_order(order_by, order_direction, self.table, self.database.engine)
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
        where: WhereOf[Filter] = None,
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
            order_by: as for ``find_all``, but for the table's own columns only; the primary key breaks ties.
            order_direction: as for ``find_all``.
            include: as for ``find_all``.

        Raises:
            InvalidCursorError: the cursor was changed, or belongs to another table or order.
            InvalidQueryError: the table has no primary key, and the order no unique columns in its place.
            InvalidCountError: ``page_size`` is not a positive integer.

        >>> page = managers.users.paginate_after(page_size=1, order_by="email")
        >>> managers.users.paginate_after(page.next_cursor, 1, order_by="email").items == [grace]
        True

        ``SELECT … FROM functions WHERE (created_at, id) > (@param_0, @param_1) ORDER BY created_at, id LIMIT @param_2``
        """
        check_count(page_size, "page_size", smallest=1)
        engine = self.database.engine
        order = complete_order(order_by, order_direction, self.table, engine)
        require_own_columns(order, "pages after a cursor")
        if not self.table.key_order:
            self.table.require_unique(order)
        shape, values = self._conditions(where)
        tree = parse_include(include, self.model, self._related)
        if cursor is not None:
            after, keys = rows_after(decode_cursor(cursor, order, self.table, engine.cursor_seal), order, self.table)
            shape, values = (*shape, after), (*values, *keys)
        query = self._statements.present.select(shape, order=order, limit=True)
        # One row more than the page tells whether there is a next one, without counting.
        rows = query.load(send(self.database, query, [*values, page_size + 1]))
        page = rows[:page_size]
        load_included(page, tree, self._related)
        if len(rows) <= page_size:
            return CursorPage(page, None)
        return CursorPage(page, encode_cursor(page[-1], order, self.table, engine.cursor_seal))

    def iterate(
        self,
        where: WhereOf[Filter] = None,
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
        shape, values = self._conditions(where)
        order = parse_order(order_by, "ASC", self.table, self.database.engine)
        if order and self.scope is not None:
            self._hold_order(order)
        if type(order) is OrderWithValues:
            values = [*values, *order.values]
        tree = parse_include(include, self.model, self._related)
        query = self._statements.present.select(shape, order=order)
        rows_at_a_time = check_count(chunk_size, "chunk_size", smallest=1)
        chunks = send(self.database, query, values or None, "stream", rows_at_a_time)
        return self._instances(chunks, query, tree)

    def _look_up(self, name: str, value: Any, select: Sequence[str] | None = None) -> M | None:
        """Return the row that has one value in a column."""
        statements = self._statements.present
        try:
            lookup = statements.lookups[name]
        except (KeyError, TypeError):  # not made yet, or what is no name
            lookup = statements.lookup(name)
        if type(value) not in TYPES_OF_KEYS:
            require_value(value, name)
        encoded = lookup.encode(value)
        if select is None and self.scope is None:
            rows = lookup.load(send(self.database, lookup, (encoded,)))
        elif select is None:
            held = self._held_lookups.get((statements, name)) or self._held_lookup(statements, name)
            rows = held.query.load(send(self.database, held.query, (encoded, *held.values)))
        else:
            own, values = self._held_to_one()
            query = statements.select_held(self.table.column(name).name, own, self.table.selected(select))
            rows = query.load(send(self.database, query, (encoded, *values)))
        return rows[0] if rows else None

    def _held_lookup(self, statements: Statements[M], name: str) -> _HeldLookup[M]:
        """Return the SELECT of the row with a value in a column, if it is one of the scope, and keep it."""
        shape, values = self._held_to_one()
        query = statements.select_held(self.table.column(name).name, shape)
        found = self._held_lookups[statements, name] = _HeldLookup(query, tuple(values))
        return found

    @cached_property
    def _held_lookups(self) -> dict[tuple[Statements[M], str], _HeldLookup[M]]:
        return {}

    def _required(self, found: M | None, where: Where) -> M:
        if found is None:
            raise row_not_found(self.table, where)
        return found

    def _locked(self, where: WhereOf[Filter], select: Sequence[str]) -> M | None:
        """Return one row whose key and references nobody else may change before this transaction ends, or ``None``."""
        shape, values = self._conditions(where)
        columns = self.table.selected(select)
        query = self._statements.present.select(shape, columns=columns, lock="FOR NO KEY UPDATE")
        rows = query.load(send(self.database, query, values))
        return rows[0] if rows else None

    def _related(self, model: type[peewee.Model]) -> RelatedRows[Any]:
        """Return what reads rows of another model, in the same scope, for rows of this one."""
        found = self._related_rows.get(model)
        if found is None:
            found = self._related_rows[model] = RelatedRows(model, self.database, scope=self._access)
        return found

    @cached_property
    def _related_rows(self) -> dict[type[peewee.Model], RelatedRows[Any]]:
        return {}

    def _instances(self, chunks: Iterator[list[Row]], query: Select[M], tree: Tree) -> Iterator[M]:
        for chunk in chunks:
            # Related rows are loaded with one statement for the whole chunk.
            size = len(chunk) if tree else _INSTANCES_AT_ONCE
            for start in range(0, len(chunk), size):
                rows = query.load(chunk[start : start + size])
                load_included(rows, tree, self._related)
                yield from rows


def row_not_found(table: Table, where: WhereOf[Filter]) -> NotFoundError:
    """Return the error for a row that is not there, or not in the scope of whoever asks."""
    return NotFoundError(f"expected a row of {table.name}{_asked_for(table, where)}; there is none", table=table.name)


def _asked_for(table: Table, where: WhereOf[Filter]) -> str:
    """Return what conditions ask for, for a message; values only where each stands for itself and is no secret."""
    if not where or isinstance(where, AllRows):
        return ""
    if not isinstance(where, Mapping):
        return " that meets the conditions"
    told = []
    for key, value in where.items():
        relations, _, column = related_column(table.model, key)
        name = ".".join((*relations, column.name))
        is_secret = column.name in secret_columns(column.field.model)
        told.append(f"this {name}" if is_secret else f"the {name} {_told(value)}")
    return f" with {' and '.join(told)}"


def _told(value: Any) -> str:
    is_number = isinstance(value, int) and value.bit_length() <= 64
    return str(value) if is_number or isinstance(value, UUID) else shown(value)
