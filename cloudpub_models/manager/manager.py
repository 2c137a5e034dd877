"""``Manager``: the same documented operations for every table.

A call is checked, its SQL looked up by its shape (``statements``), run by the database's engine, and its rows become
instances (``loading``). Relations between tables are in ``relations``, many rows at once in ``batch``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar, overload
from uuid import UUID

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.connection.default import database as default_database
from cloudpub_models.connection.engine import STREAM_CHUNK_SIZE, Engine, Row
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, NotFoundError, UnboundedWriteError
from cloudpub_models.manager import batch, joins
from cloudpub_models.manager.batch import BatchInsert, OnConflict, Progress
from cloudpub_models.manager.conditions import ALL_ROWS, Conditions, Where, parse_where
from cloudpub_models.manager.loading import make_loader
from cloudpub_models.manager.ordering import Direction, OrderBy, check_count, parse_order
from cloudpub_models.manager.results import PaginatedResult
from cloudpub_models.manager.statements import ConflictRule, Select, Statements
from cloudpub_models.manager.table import Table, table_of
from cloudpub_models.sql import Conflict, QueryBuilder
from cloudpub_models.sql.expressions import Raw

M = TypeVar("M", bound=peewee.Model)

_FIND_OR_INSERT_ATTEMPTS = 3


class Manager(Generic[M]):
    """The operations on one table.

    Args:
        model: the Peewee model of the table; one of ours or any other.
        database: the database; the process's default one when left out.

    >>> from cloudpub_models import Database, User
    >>> shop = Database("sqlite:///:memory:")
    >>> _ = shop.migrate()
    >>> users = Manager(User, shop)
    >>> ada = users.insert({"email": "ada@example.com", "password_hash": "…"})
    >>> users.find_by_id(ada.id) == ada
    True
    >>> shop.close()
    """

    def __init__(self, model: type[M], database: Database | None = None) -> None:
        self.model = model
        self.database = default_database if database is None else database
        self.table: Table = table_of(model)
        self._statements: dict[str, Statements[M]] = {}
        self._related: dict[str, Manager[Any]] = {}

    def __repr__(self) -> str:
        return f"Manager({self.model.__name__})"

    # Finding

    def find_by_id(self, id: Any, *, id_column: str = "id", select: Sequence[str] | None = None) -> M | None:
        """Return the row with this id, or ``None``.

        Args:
            id: the internal id; for a public one see ``find_by_uuid``.
            id_column: the column to look in, one that is unique.
            select: the columns to load; all of them when left out.

        Raises:
            InvalidValueError: the id does not fit the column, as a UUID does not fit an integer one.

        ``SELECT id, uuid, … FROM users WHERE id = @param_0``
        """
        return self._first({id_column: _not_null(id, id_column)}, select=select)

    def find_by_uuid(self, uuid: UUID | str) -> M | None:
        """Return the row with this public UUID, or ``None``.

        Raises:
            UnknownColumnError: the table has no ``uuid``.
            InvalidValueError: the text is no UUID.

        ``SELECT id, uuid, … FROM users WHERE uuid = @param_0``
        """
        return self._first({"uuid": _not_null(uuid, "uuid")})

    def find_all(
        self,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
        select: Sequence[str] | None = None,
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

        Returns:
            the instances; an empty list when there are none.

        Raises:
            UnknownColumnError: a name is no column; the message names the nearest.
            InvalidValueError: a value does not fit its column.

        ``SELECT id, uuid, … FROM functions WHERE user_id = @param_0 ORDER BY created_at DESC LIMIT @param_1``
        """
        engine = self.database.engine
        conditions = parse_where(where, self.table, engine)
        prepared = self._statements_on(engine).select(
            conditions.shape,
            columns=None if select is None else self.table.selected(select),
            order=parse_order(order_by, order_direction, self.table),
            limit=limit is not None,
            offset=offset is not None,
        )
        values = list(conditions.values)
        values += [check_count(number, name) for number, name in ((limit, "limit"), (offset, "offset")) if number is not None]
        return prepared.load(engine.fetch(prepared.sql, values or None))

    def find_one(
        self,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        select: Sequence[str] | None = None,
    ) -> M | None:
        """Return the first row that ``find_all`` would, or ``None``.

        ``SELECT id, uuid, … FROM functions WHERE name = @param_0 LIMIT @param_1``
        """
        rows = self.find_all(where, order_by=order_by, order_direction=order_direction, limit=1, select=select)
        return rows[0] if rows else None

    def count(self, where: Where = None) -> int:
        """Return how many rows meet every condition.

        ``SELECT COUNT(*) AS count FROM functions WHERE status = @param_0``
        """
        return int(self._rows("count", where)[0][0])

    def exists(self, where: Where = None) -> bool:
        """Return whether any row meets every condition.

        ``SELECT 1 FROM functions WHERE status = @param_0 LIMIT 1``
        """
        return bool(self._rows("exists", where))

    def paginate(
        self,
        page: int,
        page_size: int,
        where: Where = None,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
    ) -> PaginatedResult[M]:
        """Return one numbered page of the rows, with their total number.

        The primary key breaks ties, so that no row is on two pages.

        Args:
            page: the number of the page, from 1.
            page_size: how many rows a page has, at least 1.
            where: as for ``find_all``.
            order_by: as for ``find_all``; the primary key when left out.
            order_direction: as for ``find_all``.

        Raises:
            InvalidQueryError: ``page`` or ``page_size`` is not a positive integer.
        """
        check_count(page, "page", smallest=1)
        check_count(page_size, "page_size", smallest=1)
        order = parse_order(order_by, order_direction, self.table)
        ordered = {column for column, _ in order}
        order += tuple((name, order[-1][1] if order else order_direction) for name in self.table.key_names if name not in ordered)
        return PaginatedResult(
            items=self.find_all(where, order_by=order, limit=page_size, offset=(page - 1) * page_size),
            total=self.count(where),
            page=page,
            page_size=page_size,
        )

    def iterate(
        self, where: Where = None, *, order_by: OrderBy = None, chunk_size: int = STREAM_CHUNK_SIZE
    ) -> Iterator[M]:
        """Yield the rows that meet every condition, in constant memory.

        The arguments are checked at once; the query is sent when the first row is asked for.

        Args:
            where: as for ``find_all``.
            order_by: as for ``find_all``.
            chunk_size: how many rows are held in memory at a time.
        """
        engine = self.database.engine
        conditions = parse_where(where, self.table, engine)
        order = parse_order(order_by, "ASC", self.table)
        prepared = self._statements_on(engine).select(conditions.shape, order=order)
        return _stream(engine, prepared, conditions, batch.check_chunk_size(chunk_size))

    # Writing

    def insert(self, data: Mapping[str, Any]) -> M:
        """Insert one row and return it as the database has it, defaults filled in.

        Args:
            data: column → value; columns left out take their default.

        Raises:
            UnknownColumnError: a name is no column.
            InvalidValueError: a value does not fit its column.
            ConstraintError: the database refuses the row; the subclass says why.

        ``INSERT INTO users (email, password_hash) VALUES (@param_0, @param_1) RETURNING id, uuid, …``
        """
        engine = self.database.engine
        row = self.table.encode_row(data)
        self.table.fill_defaults(row, engine.sql_dialect.name)
        statements = self._statements_on(engine)
        return statements.load(engine.fetch(statements.insert(tuple(row), None), list(row.values()) or None))[0]

    def upsert(
        self, data: Mapping[str, Any], conflict_columns: Sequence[str], *, update_columns: Sequence[str] | None = None
    ) -> M:
        """Insert a row, or update the one that has the same values in some unique columns; return it.

        Args:
            data: column → value.
            conflict_columns: the columns of a unique constraint.
            update_columns: what to update in an existing row; all other columns of ``data`` when left out.

        ``INSERT INTO … ON CONFLICT (user_id, name) DO UPDATE SET status = EXCLUDED.status RETURNING id, …``
        """
        engine = self.database.engine
        rule = self._conflict("update", conflict_columns, update_columns)
        row = self.table.encode_row(data)
        self._check_key(rule.columns, row)
        self._touch(row)
        conflict = rule.for_columns(tuple(row))
        self.table.fill_defaults(row, engine.sql_dialect.name)
        statements = self._statements_on(engine)
        return statements.load(engine.fetch(statements.insert(tuple(row), conflict), list(row.values())))[0]

    def find_or_insert(self, data: Mapping[str, Any], key_columns: Sequence[str]) -> tuple[M, bool]:
        """Return the row with these values in some unique columns, inserting it where there is none.

        Args:
            data: column → value for the row to insert; has to include the key columns.
            key_columns: the columns of a unique constraint.

        Returns:
            the row, and whether it was inserted.
        """
        engine = self.database.engine
        names = self._named(key_columns, "key_columns")
        row = self.table.encode_row(data)
        self._check_key(names, row)
        self.table.fill_defaults(row, engine.sql_dialect.name)
        conflict = Conflict(names, "ignore")
        key = {column.name: value for name, value in data.items() if (column := self.table.column(name)).name in names}
        statements = self._statements_on(engine)
        for _ in range(_FIND_OR_INSERT_ATTEMPTS):
            found = self.find_one(key)
            if found is not None:
                return found, False
            rows = engine.fetch(statements.insert(tuple(row), conflict), list(row.values()))
            if rows:
                return statements.load(rows)[0], True
        raise NotFoundError(
            f"the row of {self.table.name} could neither be found nor inserted: "
            "another transaction keeps inserting and deleting it; try again later"
        )

    def update(self, data: Mapping[str, Any], where: Where) -> list[M]:
        """Update every row that meets the conditions and return them as they are now.

        Args:
            data: column → new value.
            where: as for ``find_all``; ``ALL_ROWS`` for every row.

        Raises:
            UnboundedWriteError: there is no condition, and ``ALL_ROWS`` was not said.

        ``UPDATE functions SET status = @param_0, updated_at = @param_1 WHERE user_id = @param_2 RETURNING id, …``
        """
        engine = self.database.engine
        row = self.table.encode_row(data)
        if not row:
            raise InvalidQueryError(f"expected at least one column of {self.table.name} to update; got none")
        self._touch(row)
        conditions = self._bounded(where, engine, "update")
        statements = self._statements_on(engine)
        sql = statements.update(tuple(row), conditions.shape)
        return statements.load(engine.fetch(sql, [*row.values(), *conditions.values]))

    def update_by_id(self, id: Any, data: Mapping[str, Any], *, id_column: str = "id") -> M | None:
        """Update the row with this id and return it, or ``None`` where there is none.

        ``UPDATE functions SET status = @param_0, updated_at = @param_1 WHERE id = @param_2 RETURNING id, …``
        """
        rows = self.update(data, {id_column: _not_null(id, id_column)})
        return rows[0] if rows else None

    def delete(self, where: Where) -> int:
        """Delete every row that meets the conditions and return how many there were.

        Raises:
            UnboundedWriteError: there is no condition, and ``ALL_ROWS`` was not said.

        ``DELETE FROM function_logs WHERE function_id = @param_0``
        """
        engine = self.database.engine
        conditions = self._bounded(where, engine, "delete")
        return engine.run(self._statements_on(engine).delete(conditions.shape), conditions.values or None)

    def delete_by_id(self, id: Any, *, id_column: str = "id") -> bool:
        """Delete the row with this id and return whether there was one.

        ``DELETE FROM functions WHERE id = @param_0``
        """
        return self.delete({id_column: _not_null(id, id_column)}) > 0

    @overload
    def batch_insert(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        on_conflict: OnConflict | None = None,
        conflict_columns: Sequence[str] = (),
        update_columns: Sequence[str] | None = None,
        returning: Literal[False] = False,
        chunk_size: int = batch.CHUNK_SIZE,
        progress: Progress | None = None,
    ) -> int: ...
    @overload
    def batch_insert(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        on_conflict: OnConflict | None = None,
        conflict_columns: Sequence[str] = (),
        update_columns: Sequence[str] | None = None,
        returning: Literal[True],
        chunk_size: int = batch.CHUNK_SIZE,
        progress: Progress | None = None,
    ) -> list[M]: ...
    def batch_insert(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        on_conflict: OnConflict | None = None,
        conflict_columns: Sequence[str] = (),
        update_columns: Sequence[str] | None = None,
        returning: bool = False,
        chunk_size: int = batch.CHUNK_SIZE,
        progress: Progress | None = None,
    ) -> int | list[M]:
        """Insert many rows, all or none, in constant memory.

        Args:
            rows: dicts of column → value, from any iterable; a column left out takes its default.
            on_conflict: what to do with a row that exists already: ``None`` raises, ``"ignore"`` keeps the old one,
                ``"update"`` updates it.
            conflict_columns: the columns of the unique constraint meant; needed to update.
            update_columns: what to update; all other columns given when left out.
            returning: return the instances instead of their number, which takes memory for all of them.
            chunk_size: how many rows are held in memory at a time.
            progress: called after each chunk with the number of rows written so far.

        Returns:
            how many rows were written, or the rows.

        ``COPY function_logs (function_id, level, message) FROM STDIN`` on PostgreSQL
        """
        batch.check_chunk_size(chunk_size)
        engine = self.database.engine
        conflict = self._batch_conflict(on_conflict, conflict_columns, update_columns)
        insert = BatchInsert(self._statements_on(engine), engine, conflict, returning)
        load = self._statements_on(engine).load
        written, instances = 0, []
        with self.database.transaction():
            for count, returned in insert.write(rows, chunk_size, progress):
                written += count
                instances += load(returned)
        return instances if returning else written

    # SQL of one's own

    def raw(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[M]:
        """Send one statement with ``@name`` parameters and return its rows as instances.

        Columns that the model does not know become plain attributes; reading one of the model's that the statement did
        not return raises LazyLoadingError.
        """
        engine = self.database.engine
        names, rows = engine.fetch_described(*engine.bind_parameters(sql, parameters))
        known = [(position, name) for position, name in enumerate(names) if name in self.table.columns]
        extra = [(position, name) for position, name in enumerate(names) if name not in self.table.columns]
        found = [name for _, name in known]
        load = make_loader(
            self.model,
            self.table.fields(found),
            engine.sql_dialect.name,
            partial=set(found) != set(self.table.column_names),
            decoded=True,
        )
        instances = load([tuple([row[position] for position, _ in known]) for row in rows])
        for instance, row in zip(instances, rows, strict=True):
            for position, name in extra:
                setattr(instance, name, row[position])
        return instances

    def query(self, alias: str | None = None) -> QueryBuilder:
        """Return a query builder on this table; it selects the model's columns until ``select()`` says otherwise.

        Args:
            alias: a short name for the table, for queries that join.
        """
        return QueryBuilder(self.table.name, alias=alias, default_columns=self.table.column_names)

    def execute_query(self, query: QueryBuilder) -> list[dict[str, Any]]:
        """Run a builder's SELECT and return its rows, the values of the models' columns as Python values."""
        return joins.execute_query(query, self.database.engine, self.model)

    def join_query(
        self,
        join_table: str,
        join_condition: str,
        *,
        select: Sequence[str | Raw] | None = None,
        where: Mapping[str, Any] | None = None,
        join_type: str = "INNER",
        order_by: str | None = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[dict[str, Any]]:
        """Join another table and return the rows as dicts, values of the models' columns as Python values.

        Args:
            join_table: its name, or its name and an alias.
            join_condition: ``functions.user_id = users.id``, several joined by AND.
            select: columns, ``table.*`` and calls, each with or without ``AS alias``; this table's own columns when left
                out.
            where: column → value as for ``find_all``, columns qualified by their table where both have them.
            join_type: ``INNER``, ``LEFT``, ``RIGHT`` or ``FULL``.
            order_by: columns to order by.
            order_direction: ``"ASC"`` or ``"DESC"``.
            limit: how many rows at most.
            offset: how many rows to skip.

        Raises:
            InvalidQueryError: two columns of the result have one name; give one an alias.

        ``SELECT … FROM functions INNER JOIN users ON functions.user_id = users.id WHERE functions.status = @param_0``
        """
        query = self.query().join_on(join_table, join_condition, join_type)
        if select is not None:
            query = query.select(list(select) if not isinstance(select, str) else select)
        for column, value in (where or {}).items():
            query = query.where(column, value)
        if order_by is not None:
            query = query.order_by(order_by, order_direction)
        if limit is not None:
            query = query.limit(limit)
        if offset is not None:
            query = query.offset(offset)
        return self.execute_query(query)

    # Relations

    def has_many(
        self,
        related_table: str,
        foreign_key: str,
        parent_id: Any,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
        select: Sequence[str] | None = None,
    ) -> list[peewee.Model]:
        """Return the rows of another table that refer to one row.

        Args:
            related_table: the table of the rows wanted.
            foreign_key: its column that refers to the row.
            parent_id: the value of that column.
            order_by: as for ``find_all``.
            order_direction: as for ``find_all``.
            limit: how many rows at most.
            select: the columns to load.

        ``SELECT id, … FROM function_deployments WHERE function_id = @param_0 ORDER BY version DESC``
        """
        return self._manager_of(related_table).find_all(
            {foreign_key: _not_null(parent_id, foreign_key)},
            order_by=order_by,
            order_direction=order_direction,
            limit=limit,
            select=select,
        )

    def belongs_to(
        self,
        related_table: str,
        foreign_key: str,
        foreign_key_value: Any,
        *,
        related_key: str = "id",
        select: Sequence[str] | None = None,
    ) -> peewee.Model | None:
        """Return the row of another table that a row of this one refers to, or ``None``.

        Args:
            related_table: the table of the row wanted.
            foreign_key: this table's column that refers to it.
            foreign_key_value: its value; ``None`` refers to nothing.
            related_key: the column of the other table that it refers to.
            select: the columns to load.

        ``SELECT id, … FROM users WHERE id = @param_0``
        """
        self.table.column(foreign_key)
        if foreign_key_value is None:
            return None
        return self._manager_of(related_table).find_one({related_key: foreign_key_value}, select=select)

    def many_to_many(
        self,
        related_table: str,
        pivot_table: str,
        foreign_key: str,
        related_key: str,
        parent_id: Any,
        *,
        order_by: OrderBy = None,
        order_direction: Direction = "ASC",
        limit: int | None = None,
    ) -> list[peewee.Model]:
        """Return the rows of another table that a table in between connects with one row.

        Args:
            related_table: the table of the rows wanted.
            pivot_table: the table in between.
            foreign_key: its column that refers to the one row.
            related_key: its column that refers to the rows wanted.
            parent_id: the value of ``foreign_key``.
            order_by: as for ``find_all``, on the table of the rows wanted.
            order_direction: as for ``find_all``.
            limit: how many rows at most.

        ``SELECT users.id, … FROM users INNER JOIN organization_members ON … WHERE organization_members.… = @param_0``
        """
        related, pivot = self._manager_of(related_table), self._manager_of(pivot_table)
        return related._connected_by(
            pivot.table, foreign_key, related_key, _not_null(parent_id, foreign_key), order_by, order_direction, limit
        )

    # Internals

    def _manager_of(self, table: str) -> Manager[Any]:
        if table == self.table.name:
            return self
        manager = self._related.get(table)
        if manager is None:
            manager = self._related[table] = Manager(joins.model_of_table(table, self.model), self.database)
        return manager

    def _connected_by(
        self,
        pivot: Table,
        foreign_key: str,
        related_key: str,
        parent_id: Any,
        order_by: OrderBy,
        order_direction: Direction,
        limit: int | None,
    ) -> list[M]:
        """Return this table's rows that a table in between connects with the row that ``foreign_key`` refers to."""
        engine = self.database.engine
        near, far = pivot.column(foreign_key), pivot.column(related_key)
        if not isinstance(far.field, peewee.ForeignKeyField) or far.field.rel_model is not self.model:
            raise InvalidQueryError(f"expected {pivot.name}.{far.name} to refer to {self.table.name}; it does not")
        prepared = self._statements_on(engine).select_connected(
            pivot.name,
            near.name,
            (far.name, far.field.rel_field.column_name),
            parse_order(order_by, order_direction, self.table),
            limit is not None,
        )
        values = [near.encode(parent_id)] + ([] if limit is None else [check_count(limit, "limit")])
        return prepared.load(engine.fetch(prepared.sql, values))

    def _statements_on(self, engine: Engine) -> Statements[M]:
        dialect = engine.sql_dialect
        statements = self._statements.get(dialect.name)
        if statements is None:
            statements = self._statements[dialect.name] = Statements(self.model, self.table, dialect)
        return statements

    def _first(self, where: Mapping[str, Any], *, select: Sequence[str] | None = None) -> M | None:
        engine = self.database.engine
        conditions = parse_where(where, self.table, engine)
        columns = None if select is None else self.table.selected(select)
        prepared = self._statements_on(engine).select(conditions.shape, columns=columns)
        rows = prepared.load(engine.fetch(prepared.sql, conditions.values))
        return rows[0] if rows else None

    def _rows(self, kind: Literal["count", "exists"], where: Where) -> list[Row]:
        engine = self.database.engine
        conditions = parse_where(where, self.table, engine)
        sql = self._statements_on(engine).select_nothing(kind, conditions.shape)
        return engine.fetch(sql, conditions.values or None)

    def _bounded(self, where: Where, engine: Engine, verb: str) -> Conditions:
        conditions = parse_where(where, self.table, engine)
        if not conditions.shape and where is not ALL_ROWS:
            raise UnboundedWriteError(
                f"expected a condition; this would {verb} every row of {self.table.name}: "
                f"pass where=ALL_ROWS where that is what you mean"
            )
        return conditions

    def _check_key(self, names: Sequence[str], row: Mapping[str, Any]) -> None:
        for name in names:
            if name not in row:
                raise InvalidValueError(f"expected a value for {self.table.name}.{name}, since rows are told apart by it")

    def _touch(self, row: dict[str, Any]) -> None:
        for column in self.table.touched:
            if column.name not in row:
                row[column.name] = column.encode(datetime.now(UTC))

    def _conflict(
        self, action: OnConflict, conflict_columns: Sequence[str], update_columns: Sequence[str] | None
    ) -> ConflictRule:
        return ConflictRule(
            action,
            self._named(conflict_columns, "conflict_columns") if conflict_columns or action == "update" else (),
            update_columns if update_columns is None else self._named(update_columns, "update_columns"),
            tuple(column.name for column in self.table.touched),
        )

    def _batch_conflict(
        self, on_conflict: OnConflict | None, conflict_columns: Sequence[str], update_columns: Sequence[str] | None
    ) -> ConflictRule | None:
        if on_conflict is None:
            if conflict_columns or update_columns is not None:
                raise InvalidQueryError("conflict_columns and update_columns need on_conflict='ignore' or 'update'")
            return None
        if on_conflict not in ("ignore", "update"):
            raise InvalidQueryError(f"expected on_conflict to be None, 'ignore' or 'update'; got {on_conflict!r}")
        return self._conflict(on_conflict, conflict_columns, update_columns)

    def _named(self, names: Sequence[str], argument: str) -> tuple[str, ...]:
        if isinstance(names, str) or not names:
            raise InvalidQueryError(f"expected {argument} to be a list of column names; got {names!r}")
        return tuple(dict.fromkeys(self.table.column(name).name for name in names))


def _not_null(value: Any, column: str) -> Any:
    if value is None:
        raise InvalidValueError(f"expected a value for {column}; got None, which no row has: was the row inserted?")
    return value


def _stream(engine: Engine, prepared: Select[M], conditions: Conditions, chunk_size: int) -> Iterator[M]:
    for rows in engine.stream(prepared.sql, conditions.values or None, chunk_size):
        yield from prepared.load(rows)
