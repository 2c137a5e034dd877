"""The managers' operations that change rows: insert, update, delete, upsert, claim, many at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import peewee

from cloudpub_models.connection.engine import Engine
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, NotFoundError, UnboundedWriteError
from cloudpub_models.manager.access import require_value
from cloudpub_models.manager.arguments.order import OrderBy, check_chunk_size, check_count
from cloudpub_models.manager.arguments.where import ALL_ROWS, Conditions, Where, parse_where
from cloudpub_models.manager.finding import Finding
from cloudpub_models.manager.statements.pages import complete_order
from cloudpub_models.manager.statements.shapes import ConflictRule
from cloudpub_models.sql import Conflict
from cloudpub_models.sql.identifiers import shown

if TYPE_CHECKING:
    from cloudpub_models.manager.batch import OnConflict, Progress

M = TypeVar("M", bound=peewee.Model)

_FIND_OR_INSERT_ATTEMPTS = 3
_CHUNK_SIZE = 10_000


class Writing(Finding[M]):
    """Changes rows."""

    def insert(self, data: Mapping[str, Any]) -> M:
        """Insert one row and return it as the database has it, defaults filled in.

        Args:
            data: column → value; columns left out take their default.

        Raises:
            UnknownColumnError: a name is no column.
            InvalidValueError: a value does not fit its column.
            ConstraintError: the database refuses the row; the subclass says why.

        >>> managers.functions.insert({"user_id": ada.id, "name": "crop"}).status
        'active'

        ``INSERT INTO users (email, password_hash) VALUES (@param_0, @param_1) RETURNING id, uuid, …``
        """
        engine = self.database.engine
        row = self.table.encode_row(data)
        self.table.fill_defaults(row, engine.sql_dialect.name)
        statements = self._statements_on(engine)
        return statements.load(engine.fetch(statements.insert(tuple(row), None).sql, list(row.values()) or None))[0]

    def upsert(
        self, data: Mapping[str, Any], conflict_columns: Sequence[str], *, update_columns: Sequence[str] | None = None
    ) -> M:
        """Insert a row, or update the one that has the same values in some unique columns; return it.

        Args:
            data: column → value.
            conflict_columns: the columns of a unique constraint.
            update_columns: what to update in an existing row; all other columns of ``data`` when left out.

        >>> row = {"user_id": ada.id, "name": "resize", "status": "inactive"}
        >>> managers.functions.upsert(row, ["user_id", "name"])
        <Function id=1 uuid=... name='resize' status='inactive'>

        ``INSERT INTO … ON CONFLICT (user_id, name) DO UPDATE SET status = EXCLUDED.status RETURNING id, …``
        """
        engine = self.database.engine
        row = self.table.encode_row(data)
        self._touch(row)
        given = tuple(row)
        self.table.fill_defaults(row, engine.sql_dialect.name)
        statements = self._statements_on(engine)

        def conflict() -> Conflict:
            rule = self._conflict("update", conflict_columns, update_columns)
            self._check_key(rule.columns, given)
            return rule.for_columns(given)

        request = statements.upsert(tuple(row), (given, _fixed(conflict_columns), _fixed(update_columns)), conflict)
        return statements.load(engine.fetch(request.sql, list(row.values())))[0]

    def find_or_insert(self, data: Mapping[str, Any], key_columns: Sequence[str]) -> tuple[M, bool]:
        """Return the row with these values in some unique columns, inserting it where there is none.

        Args:
            data: column → value for the row to insert; has to include the key columns.
            key_columns: the columns of a unique constraint.

        Returns:
            the row, and whether it was inserted.

        >>> managers.functions.find_or_insert({"user_id": ada.id, "name": "resize"}, ["user_id", "name"])
        (<Function id=1 uuid=... name='resize' status='active'>, False)
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
            rows = engine.fetch(statements.insert(tuple(row), conflict).sql, list(row.values()))
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

        >>> managers.functions.update({"status": "inactive"}, {"user_id": ada.id})
        [<Function id=1 uuid=... name='resize' status='inactive'>]

        ``UPDATE functions SET status = @param_0, updated_at = @param_1 WHERE user_id = @param_2 RETURNING id, …``
        """
        engine = self.database.engine
        row = self._changes(data)
        shape, values = self._bounded(where, engine, "update")
        statements = self._statements_on(engine)
        return statements.load(engine.fetch(statements.update(tuple(row), shape).sql, [*row.values(), *values]))

    def update_by_id(self, id: Any, data: Mapping[str, Any], *, id_column: str = "id") -> M | None:
        """Update the row with this id and return it, or ``None`` where there is none.

        >>> managers.functions.update_by_id(resize.id, {"status": "inactive"})
        <Function id=1 uuid=... name='resize' status='inactive'>

        ``UPDATE functions SET status = @param_0, updated_at = @param_1 WHERE id = @param_2 RETURNING id, …``
        """
        engine = self.database.engine
        row = self._changes(data)
        column = self.table.column(id_column)
        value = column.encode(require_value(id, id_column))
        statements = self._statements_on(engine)
        request = statements.update(tuple(row), ((column.name, "="),))
        rows = engine.fetch(request.sql, [*row.values(), value])
        return statements.load(rows)[0] if rows else None

    def delete(self, where: Where) -> int:
        """Delete every row that meets the conditions and return how many there were.

        Raises:
            UnboundedWriteError: there is no condition, and ``ALL_ROWS`` was not said.

        >>> managers.functions.delete({"user_id": ada.id})
        1

        ``DELETE FROM function_logs WHERE function_id = @param_0``
        """
        engine = self.database.engine
        shape, values = self._bounded(where, engine, "delete")
        return engine.run(self._statements_on(engine).delete(shape).sql, values or None)

    def delete_by_id(self, id: Any, *, id_column: str = "id") -> bool:
        """Delete the row with this id and return whether there was one.

        >>> managers.functions.delete_by_id(resize.id)
        True

        ``DELETE FROM functions WHERE id = @param_0``
        """
        return self.delete({id_column: require_value(id, id_column)}) > 0

    def claim(self, where: Where, changes: Mapping[str, Any], *, limit: int = 1, order_by: OrderBy = None) -> list[M]:
        """Change rows that no other worker is claiming and return them: each row goes to one worker only.

        The changes should make the rows no longer meet the conditions, as in
        ``claim({"status": "pending"}, {"status": "building"})``. Rows that another worker is claiming are skipped, not
        waited for.

        Args:
            where: which rows may be claimed, as for ``find_all``.
            changes: column → new value.
            limit: how many rows to claim at most.
            order_by: which rows to claim first, as for ``find_all``; the primary key when left out.

        Returns:
            the rows as they are now, in that order; an empty list where there were none to claim.

        >>> managers.functions.claim({"status": "active"}, {"status": "building"}) == [resize]
        True

        ``SELECT id FROM … WHERE status = @param_0 ORDER BY id LIMIT @param_1 FOR UPDATE SKIP LOCKED``
        ``UPDATE … SET status = @param_0 WHERE id = ANY(@param_1) RETURNING id, …``
        """
        check_count(limit, "limit", smallest=1)
        self.table.encode_row(changes)  # refused before anything is locked
        if len(self.table.key_names) != 1:
            raise InvalidQueryError(
                f"expected a table with a primary key of one column to claim from; got {self.table.name}"
            )
        (key,) = self.table.key_names
        order = complete_order(order_by, "ASC", self.table)
        engine = self.database.engine
        shape, values = parse_where(where, self.table, engine)
        chosen = self._statements_on(engine).select(shape, columns=(key,), order=order, limit=True, skip_locked=True)
        with self.database.transaction():
            keys = [row[0] for row in engine.fetch(chosen.sql, [*values, limit])]
            claimed = self.update(changes, {key: keys}) if keys else []
        places = {value: place for place, value in enumerate(keys)}
        field = self.table.columns[key]
        return sorted(claimed, key=lambda row: places[field.encode(row.__data__[field.field.name])])

    @overload
    def batch_insert(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        on_conflict: OnConflict | None = None,
        conflict_columns: Sequence[str] = (),
        update_columns: Sequence[str] | None = None,
        returning: Literal[False] = False,
        chunk_size: int = _CHUNK_SIZE,
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
        chunk_size: int = _CHUNK_SIZE,
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
        chunk_size: int = _CHUNK_SIZE,
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

        >>> row = {"function_id": resize.id, "level": "info"}
        >>> managers.function_logs.batch_insert(row | {"message": f"request {number}"} for number in range(1000))
        1000

        ``COPY function_logs (function_id, level, message, uuid) FROM STDIN`` on PostgreSQL, the UUIDs made here
        """
        from cloudpub_models.manager.batch import BatchInsert

        check_chunk_size(chunk_size)
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

    def _changes(self, data: Mapping[str, Any]) -> dict[str, Any]:
        row = self.table.encode_row(data)
        if not row:
            raise InvalidQueryError(f"expected at least one column of {self.table.name} to update; got none")
        self._touch(row)
        return row

    def _bounded(self, where: Where, engine: Engine, verb: str) -> Conditions:
        conditions = parse_where(where, self.table, engine)
        if not conditions[0] and where is not ALL_ROWS:
            raise UnboundedWriteError(
                f"expected a condition; this would {verb} every row of {self.table.name}: "
                f"pass where=ALL_ROWS where that is what you mean"
            )
        return conditions

    def _check_key(self, names: Sequence[str], row: Collection[str]) -> None:
        for name in names:
            if name not in row:
                raise InvalidValueError(
                    f"expected a value for {self.table.name}.{name}, since rows are told apart by it"
                )

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
            raise InvalidQueryError(f"expected on_conflict to be None, 'ignore' or 'update'; got {shown(on_conflict)}")
        return self._conflict(on_conflict, conflict_columns, update_columns)

    def _named(self, names: Sequence[str], argument: str) -> tuple[str, ...]:
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise InvalidQueryError(f"expected {argument} to be a list of column names; got {shown(names)}")
        if not names:
            raise InvalidQueryError(f"expected {argument} to name at least one column; got none")
        return tuple(dict.fromkeys(self.table.column(name).name for name in names))


def _fixed(names: Any) -> Any:
    return tuple(names) if type(names) is list else names
