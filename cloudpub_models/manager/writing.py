"""The managers' operations that change rows: insert, update, delete, upsert, claim, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import peewee

from cloudpub_models.connection.results import Row
from cloudpub_models.errors import (
    InvalidQueryError,
    InvalidValueError,
    NotFoundError,
    UnboundedWriteError,
    UnguardedError,
    UniqueViolationError,
)
from cloudpub_models.manager.arguments.changes import Computed, Computing, is_computed, split_changes
from cloudpub_models.manager.arguments.conditions import ALL_ROWS, Filter, WhereOf
from cloudpub_models.manager.arguments.order import Order, OrderBy, OrderWithValues
from cloudpub_models.manager.arguments.shape import NO_CONDITIONS, Conditions, Shape
from cloudpub_models.manager.columns.encoding import TYPES_OF_KEYS
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.finding import Finding, row_not_found
from cloudpub_models.manager.scope import conditions_of, is_limited, refuse, require_plain
from cloudpub_models.manager.sending import require_value, send
from cloudpub_models.manager.statements.pages import complete_order
from cloudpub_models.manager.statements.shapes import ConflictRule, Request, Upsert
from cloudpub_models.sql import Conflict
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.nodes.expressions import Assignment, Value
from cloudpub_models.sql.operators import Operator
from cloudpub_models.sql.values import check_count

if TYPE_CHECKING:
    from cloudpub_models.manager.batch import OnConflict, Progress

M = TypeVar("M", bound=peewee.Model)

# What a row to insert and what changes of one are, for type checkers: of a manager of any model, a mapping.
if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultedTypeVar

    Data = DefaultedTypeVar("Data", bound=Mapping[str, Any], default=Mapping[str, Any], contravariant=True)
    Changes = DefaultedTypeVar("Changes", bound=Mapping[str, Any], default=Mapping[str, Any], contravariant=True)
else:
    Data = TypeVar("Data", contravariant=True)
    Changes = TypeVar("Changes", contravariant=True)


class Unchecked:
    """The type of no value: a mapping of text to ``Any`` passes for one to this, and no dict that is written out."""


_FIND_OR_INSERT_ATTEMPTS = 3
_CHUNK_SIZE = 10_000
# What is a value, as its type tells sooner than anything else.
_PLAIN = TYPES_OF_KEYS | {bool, float, datetime, dict, list, type(None)}
# What compares a column with more than one value.
_SEVERAL = (list, tuple, set, frozenset, Operator)


class Writing(Finding[M, Filter], Generic[M, Data, Changes, Filter]):
    """Changes rows."""

    if not TYPE_CHECKING:
        # Type checkers know that the last two may be left out.
        __class_getitem__ = classmethod(GenericAlias)

    def insert(self, data: Data) -> M:
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
        dialect = self.database.engine.sql_dialect
        row = self.table.encode_row(data if self.scope is None else self._held(data))
        self.table.fill_defaults(row, dialect)
        statements = self._statements.present
        request = statements.insert(tuple(row), None)
        return statements.load(send(self.database, request, list(row.values()) or None))[0]

    def upsert(
        self,
        data: Data,
        conflict_columns: Sequence[str],
        *,
        update_columns: Sequence[str] | Changes | None = None,
    ) -> M:
        """Insert a row, or update the one that has the same values in some unique columns; return it.

        NULL is the same as NULL here, as in ``find_or_insert``. No unique constraint says so by itself: such a row is
        looked for first, so two callers at the same time may both insert one.

        Args:
            data: column → value. Where it is ``operators.increment(n)``, a row that is there is given n more, and one
                that is not begins with n.
            conflict_columns: the columns of a unique constraint, or of a unique index of the model, one with a
                condition (``where=``) too.
            update_columns: what to update in an existing row: columns of ``data``, all others when left out; or
                column → value, as ``update`` takes it.

        >>> row = {"user_id": ada.id, "name": "resize", "status": "inactive"}
        >>> managers.functions.upsert(row, ["user_id", "name"])
        <Function id=1 uuid=... name='resize' status='inactive'>

        ``INSERT INTO … ON CONFLICT (user_id, name) DO UPDATE SET status = EXCLUDED.status RETURNING id, …``
        """
        dialect = self.database.engine.sql_dialect
        row = self._changes(data) if self.scope is None else self._changes(self._held(data), is_held=True)
        given = tuple(row)
        if type(row) is Computing or (update_columns is not None and isinstance(update_columns, Mapping)):
            return self._upsert_computed(row, conflict_columns, update_columns)
        self.table.fill_defaults(row, dialect)
        statements = self._statements.present
        shape, held = NO_CONDITIONS if self.scope is None else self._completed(NO_CONDITIONS)
        request = statements.upsert(tuple(row), given, conflict_columns, update_columns, shape)
        if request.decides_alone and None not in row.values():
            rows = send(self.database, request, [*row.values(), *held])
        else:
            rows = self._upserted(row, request, held)
        if not rows:
            raise self._not_in_scope(conflict_columns)
        return statements.load(rows)[0]

    def find_or_insert(self, data: Data, key_columns: Sequence[str]) -> tuple[M, bool]:
        """Return the row with these values in some unique columns, inserting it where there is none.

        NULL is the same as NULL here, as in ``upsert``. No unique constraint says so by itself: of rows with NULL, two
        callers at the same time may both insert one.

        Args:
            data: column → value for the row to insert; has to include the key columns.
            key_columns: the columns of a unique constraint, or of a unique index of the model; of one with a condition
                (``where=``), the row is looked for among those that meet it.

        Returns:
            the row, and whether it was inserted.

        >>> managers.functions.find_or_insert({"user_id": ada.id, "name": "resize"}, ["user_id", "name"])
        (<Function id=1 uuid=... name='resize' status='active'>, False)
        """
        dialect = self.database.engine.sql_dialect
        names = self.table.named(key_columns, "key_columns")
        row = self.table.encode_row(data if self.scope is None else self._held(data))
        self.table.require(names, row)
        self.table.fill_defaults(row, dialect)
        conflict = Conflict(names, "ignore", where=self.table.unique_index(names, dialect))
        statements = self._statements.present
        shape, values = self._completed(_equal(conflict, row))
        existing = statements.select(shape, limit=True)
        for _ in range(_FIND_OR_INSERT_ATTEMPTS):
            found = existing.load(send(self.database, existing, [*values, 1]))
            if found:
                return found[0], False
            rows = send(self.database, statements.insert(tuple(row), conflict), list(row.values()))
            if rows:
                return statements.load(rows)[0], True
        if self.scope is not None:
            raise self._not_in_scope(key_columns)
        raise NotFoundError(
            f"the row of {self.table.name} could neither be found nor inserted: "
            "another transaction keeps inserting and deleting it; try again later"
        )

    def update(self, data: Changes, where: WhereOf[Filter]) -> list[M]:
        """Update every row that meets the conditions and return them as they are now.

        Args:
            data: column → new value; ``operators.increment(n)`` adds to the one that is there, and a Peewee expression
                over the table's own columns is computed by the database.
            where: as for ``find_all``; ``ALL_ROWS`` for every row.

        Raises:
            UnboundedWriteError: there is no condition, and ``ALL_ROWS`` was not said.
            InvalidValueError: a value does not fit its column, be it given or computed; no row is updated then.
            UnknownTableError: an expression names columns of another table.

        >>> managers.functions.update({"status": "inactive"}, {"user_id": ada.id})
        [<Function id=1 uuid=... name='resize' status='inactive'>]
        >>> from peewee import fn
        >>> managers.functions.update({"name": fn.UPPER(Function.name)}, {"user_id": ada.id})
        [<Function id=1 uuid=... name='RESIZE' status='inactive'>]

        ``UPDATE functions SET status = @param_0, updated_at = @param_1 WHERE user_id = @param_2 RETURNING id, …``
        """
        row = self._changes(data)
        shape, values = self._bounded(where, "update")
        return self._update(row, shape, values)

    def update_by_id(self, id: Any, data: Changes, *, id_column: str = "id") -> M | None:
        """Update the row with this id and return it, or ``None`` where there is none.

        >>> managers.functions.update_by_id(resize.id, {"status": "inactive"})
        <Function id=1 uuid=... name='resize' status='inactive'>

        ``UPDATE functions SET status = @param_0, updated_at = @param_1 WHERE id = @param_2 RETURNING id, …``
        """
        row = self._changes(data)
        shape, values = self._one(id_column, id)
        rows = self._update(row, shape, values)
        return rows[0] if rows else None

    def delete(self, where: WhereOf[Filter]) -> int:
        """Delete every row that meets the conditions and return how many there were.

        Raises:
            UnboundedWriteError: there is no condition, and ``ALL_ROWS`` was not said.

        >>> managers.functions.delete({"user_id": ada.id})
        1

        ``DELETE FROM function_logs WHERE function_id = @param_0``
        """
        return self._delete(*self._bounded(where, "delete"))

    def delete_by_id(self, id: Any, *, id_column: str = "id") -> bool:
        """Delete the row with this id and return whether there was one.

        >>> managers.functions.delete_by_id(resize.id)
        True

        ``DELETE FROM functions WHERE id = @param_0``
        """
        return self._delete(*self._one(id_column, id)) > 0

    def claim(self, where: WhereOf[Filter], changes: Changes, *, limit: int = 1, order_by: OrderBy = None) -> list[M]:
        """Change rows that no other worker is claiming and return them: each row goes to one worker only.

        The changes should make the rows no longer meet the conditions, as in
        ``claim({"status": "pending"}, {"status": "building"})``. Rows that another worker is claiming are skipped, not
        waited for.

        Args:
            where: which rows may be claimed, as for ``find_all``.
            changes: column → new value, as for ``update``.
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
        row = self._changes(changes)  # refused before anything is locked
        if len(self.table.key_names) != 1:
            raise InvalidQueryError(
                f"expected a table with a primary key of one column to claim from; got {self.table.name}"
            )
        key = self.table.columns[self.table.key_names[0]]
        if key.name in row:
            raise InvalidValueError(
                f"expected changes beside the primary key, by which the rows are claimed; got one of {key.name}: "
                "change that with update()"
            )
        order = complete_order(order_by, "ASC", self.table, self.database.engine)
        if self.scope is not None:
            self._hold_order(order)
        dialect = self.database.engine.sql_dialect
        shape, values = self._conditions(where)
        chosen = self._statements.present.select(
            shape, columns=(key.name,), order=order, limit=True, lock="FOR UPDATE SKIP LOCKED"
        )
        with self.database.transaction():
            ordering = order.values if isinstance(order, OrderWithValues) else ()
            keys = chosen.load(send(self.database, chosen, [*values, *ordering, limit]))
            places = {row.__data__[key.field.name]: place for place, row in enumerate(keys)}
            if not places:
                return []
            one_of_them = self._completed((((key.name, "IN"),), (key.encode_list(places, dialect),)))
            claimed = self._update(row, *one_of_them)
            # Everything that could fail happens before the commit.
            return sorted(claimed, key=lambda row: places[row.__data__[key.field.name]])

    @overload
    def batch_insert(
        self,
        rows: Iterable[Data],
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
        rows: Iterable[Data],
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
        rows: Iterable[Data],
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
            conflict_columns: the columns of the unique constraint meant, or of a unique index of the model, one with a
                condition too; needed to update. A row with NULL in one of them is always inserted.
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

        check_count(chunk_size, "chunk_size", smallest=1)
        statements = self._statements.present
        conflict = self._batch_conflict(on_conflict, conflict_columns, update_columns)
        given: Iterable[Mapping[str, Any]] = rows
        if self.scope is not None:
            if conflict is not None:
                refuse(self.scope, "batch_insert(on_conflict=…)")
            given = self._held_rows(rows, chunk_size)
        insert = BatchInsert(self.database, statements, conflict, returning)
        load = statements.load
        written, instances = 0, []
        with self.database.transaction():
            for count, returned in insert.write(given, chunk_size, progress):
                written += count
                instances += load(returned)
        return instances if returning else written

    def _update(self, row: dict[str, Any], shape: Shape, values: Sequence[Any]) -> list[M]:
        if type(row) is Computing:
            return self._update_computed(row, shape, values)
        statements = self._statements.present
        request = statements.update(tuple(row), shape)
        return statements.load(send(self.database, request, [*row.values(), *values]))

    def _upserted(self, row: Mapping[str, Any], request: Upsert, held: Sequence[Any]) -> list[Row]:
        """Update the row in a row's place, or insert it, where the unique index alone may not tell which that is."""
        conflict, insert = request.conflict, [*row.values(), *held]
        if request.decides_alone and all(row[name] is not None for name in conflict.columns):
            return send(self.database, request, insert)
        with self.database.transaction():
            shape, values = self._completed(_equal(conflict, row))
            changes = [row[name] for name in conflict.update_columns]
            update = self._statements.present.update(conflict.update_columns, shape)
            return send(self.database, update, [*changes, *values]) or send(self.database, request, insert)

    def _update_computed(self, row: dict[str, Any], shape: Shape, values: Sequence[Any]) -> list[M]:
        assignments, parameters = _assigned(row)
        request = self._statements.present.update(assignments, shape)
        return self._send_computed(request, [*parameters, *values], row.values())

    def _upsert_computed(self, row: dict[str, Any], conflict_columns: Sequence[str], update_columns: Any) -> M:
        """Insert a row, or change the one in its place to something else than what was to be inserted."""
        dialect = self.database.engine.sql_dialect
        for name, value in row.items():
            if type(value) is Computed and value.first is None:
                raise InvalidValueError(
                    f"{self.table.name}.{name}: expected a value to insert; got an expression over a row that may not "
                    "be there: give update_columns a dict, with the expression in it"
                )
        inserted = {name: value.first if type(value) is Computed else value for name, value in row.items()}
        only_columns = None if isinstance(update_columns, Mapping) else update_columns
        rule = ConflictRule.of(self.table, dialect, "update", conflict_columns, only_columns)
        self.table.require(rule.columns, row)
        shape, held = self._completed(NO_CONDITIONS)
        conflict = rule.for_columns(tuple(row), shape)
        if isinstance(update_columns, Mapping):
            changes = self._changes(update_columns)
            assigned, parameters = _assigned(changes)
            assignments = [Assignment(item, Value()) if isinstance(item, str) else item for item in assigned]
            conflict = conflict.changed(update_columns=(), assignments=tuple(assignments))
        else:
            changes, parameters = {name: row[name] for name in conflict.update_columns}, []
            sums = [value.added_to_row_in_place for value in changes.values() if type(value) is Computed]
            plain = [name for name, value in changes.items() if type(value) is not Computed]
            conflict = conflict.changed(update_columns=tuple(plain), assignments=tuple(sums))
        self.table.fill_defaults(inserted, dialect)
        insert = self._statements.present.insert(tuple(inserted), conflict)
        values = [*inserted.values(), *parameters, *held]
        if self.table.tells_apart(rule.columns, dialect) and all(inserted[name] is not None for name in rule.columns):
            rows = self._send_computed(insert, values, changes.values())
        else:
            with self.database.transaction():
                in_place = self._completed(_equal(conflict, inserted))
                rows = self._update_computed(changes, *in_place) or self._send_computed(insert, values, ())
        if not rows:
            raise self._not_in_scope(conflict_columns)
        return rows[0]

    def _send_computed(self, request: Request, values: Sequence[Any], changes: Iterable[Any]) -> list[M]:
        """Send a statement that computes values, and see that they fit where the database does not itself."""
        statements = self._statements.present
        if self.database.engine.sql_dialect.checks_values:
            return statements.load(send(self.database, request, values))
        columns = [value.column for value in changes if type(value) is Computed]
        with self.database.transaction():
            rows = statements.load(send(self.database, request, values))
            for row in rows:
                for column in columns:
                    column.encode(row.__data__[column.field.name])
        return rows

    def _delete(self, shape: Shape, values: Sequence[Any]) -> int:
        request = self._statements.present.delete(shape)
        return send(self.database, request, values or None, "run")

    def _delete_first(
        self, conditions: Conditions, order: Order, limit: int, columns: tuple[str, ...], *, partitioned: bool = False
    ) -> list[M]:
        """Delete the first rows in an order, but for those that others have locked; return some of their columns.

        Args:
            conditions: of the rows.
            order: in which they are deleted.
            limit: how many at most.
            columns: what is returned of them.
            partitioned: whether the table has partitions, by a column of the conditions.
        """
        shape, values = self._completed(conditions)
        query = self._statements.present.delete_first(shape, order, columns, partitioned)
        return query.load(send(self.database, query, [*values, limit, *(values if partitioned else ())]))

    def _one(self, name: str, value: Any) -> Conditions:
        """Return the condition that a column has one value."""
        column = self.table.column(name)
        if type(value) not in TYPES_OF_KEYS:
            require_value(value, name)
        encoded = column.encode(value)
        if self.scope is None:
            return ((column.name, "="),), (encoded,)
        own, values = self._held_to_one()
        return ((column.name, "="), *own), (encoded, *values)

    def _held(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row to insert, with the values that all rows of the scope have.

        Raises:
            UnguardedError: the row has another value.
            NotFoundError: the scope is closed, and the row refers to one outside.
        """
        return next(self._held_rows([data], 1))

    def _held_rows(self, rows: Iterable[Any], chunk_size: int) -> Iterator[Any]:
        """Yield rows to insert as ``_held`` does, looking for what a chunk of them refers to all at once."""
        from cloudpub_models.manager.batch import in_chunks

        for chunk in in_chunks(rows, chunk_size):
            held = [self._with_scope_values(row) if isinstance(row, Mapping) else row for row in chunk]
            self._require_references([row for row in held if isinstance(row, Mapping)], inserted=True)
            yield from held

    def _with_scope_values(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self.scope is not None
        named = self._refuse_to_leave(data)
        own = conditions_of(self.scope, self.model)
        missing = {name: value for name, value in own.items() if self.table.column(name).name not in named}
        self._refuse_to_leave(missing)
        return {**data, **missing}

    def _require_references(self, rows: Sequence[Mapping[str, Any]], *, inserted: bool) -> None:
        """Refuse rows that refer to rows outside a closed scope, as if those were not there.

        Args:
            rows: rows, or changes of some.
            inserted: whether they are whole rows.
        """
        assert self.scope is not None
        for key in self._held_references:
            column = self.table.columns[key.column_name]
            given = [row[name] for row in rows for name in row if self.table.column(name) is column]
            is_owner = self.scope.owners.get(self.model) is key
            if is_owner and (any(value is None for value in given) or (inserted and len(given) < len(rows))):
                raise UnguardedError(
                    f"expected a value of {self.table.name}.{column.name}, which tells whether a row is one of "
                    f"{self.scope.name}; got none: name the row that it refers to"
                )
            if any(map(is_computed, given)):
                raise UnguardedError(
                    f"expected a plain value of {self.table.name}.{column.name}, to see that {self.scope.name} has the "
                    "row that it refers to; got an expression: give the value itself"
                )
            wanted = dict.fromkeys(column.encode(value) for value in given if value is not None)
            if wanted:
                target = table_of(key.rel_model).columns[key.rel_field.column_name]
                found = self._related(key.rel_model).keys_there(target.name, list(wanted))
                for value in wanted.keys() - set(map(target.encode, found)):
                    raise self._no_row(key, value)

    @cached_property
    def _held_references(self) -> Sequence[peewee.ForeignKeyField[Any]]:
        """The references to tables that the scope limits, but for those whose value it tells by itself."""
        scope = self.scope
        if scope is None or not scope.closed:
            return ()
        told = {self.table.column(name) for name in conditions_of(scope, self.model)}
        return [
            key
            for key in self.model._meta.refs
            if is_limited(scope, key.rel_model) and self.table.columns[key.column_name] not in told
        ]

    def _no_row(self, key: peewee.ForeignKeyField[Any], value: Any) -> NotFoundError:
        return row_not_found(table_of(key.rel_model), {key.rel_field.column_name: value})

    def _refuse_to_leave(self, data: Mapping[str, Any]) -> set[str]:
        """Refuse values that would put a row outside the scope; return the columns that are named."""
        assert self.scope is not None
        conditions = {self.table.column(name): wanted for name, wanted in conditions_of(self.scope, self.model).items()}
        named = {self.table.column(name): value for name, value in data.items()}
        for column in conditions.keys() & named.keys():
            wanted, value = conditions[column], named[column]
            if isinstance(wanted, _SEVERAL) or is_computed(value) or column.encode(value) != column.encode(wanted):
                key = column.field
                if self.scope.closed and isinstance(key, peewee.ForeignKeyField) and not is_computed(value):
                    raise self._no_row(key, column.encode(value))
                raise UnguardedError(
                    f"expected the one value of {self.table.name}.{column.name} that {self.scope.name} has; got "
                    "another, or there are several: leave it out, or write with a manager that has no scope"
                )
        return {column.name for column in named}

    def _not_in_scope(self, key_columns: Sequence[str]) -> UniqueViolationError:
        assert self.scope is not None
        return UniqueViolationError(
            f"another row of {self.table.name} has these values of {', '.join(key_columns)}, and it does not belong to "
            f"{self.scope.name}: choose other values",
            table=self.table.name,
            columns=key_columns,
        )

    def _changes(self, data: Mapping[str, Any], *, is_held: bool = False) -> dict[str, Any]:
        if self.scope is not None and not is_held and isinstance(data, Mapping):
            self._refuse_to_leave(data)
            self._require_references([data], inserted=False)
        computed: dict[str, Computed] = {}
        if type(data) is dict or isinstance(data, Mapping):
            for value in data.values():
                if type(value) not in _PLAIN and is_computed(value):
                    data, computed = split_changes(data, self.table, self.database.engine)
                    break
        row = self.table.encode_row(data)
        if computed:
            if self.scope is not None and self.scope.closed:
                require_plain(self.scope, tuple([value.node for value in computed.values()]))
            row = Computing(row | computed)
        if not row:
            raise InvalidQueryError(f"expected at least one column of {self.table.name} to update; got none")
        for name, present_moment in self.table.touched:
            if name not in row:
                row[name] = present_moment()
        return row

    def _bounded(self, where: WhereOf[Filter], verb: str) -> Conditions:
        conditions = self._parsed(where)
        if not conditions[0] and where is not ALL_ROWS:
            raise UnboundedWriteError(
                f"expected a condition; this would {verb} every row of {self.table.name}: "
                "pass where=ALL_ROWS where that is what you mean"
            )
        return conditions if self.scope is None else self._narrowed(conditions)

    def _batch_conflict(
        self, on_conflict: OnConflict | None, conflict_columns: Sequence[str], update_columns: Sequence[str] | None
    ) -> ConflictRule | None:
        if on_conflict is None:
            if conflict_columns or update_columns is not None:
                raise InvalidQueryError("conflict_columns and update_columns need on_conflict='ignore' or 'update'")
            return None
        if on_conflict not in ("ignore", "update"):
            raise InvalidQueryError(f"expected on_conflict to be None, 'ignore' or 'update'; got {shown(on_conflict)}")
        dialect = self.database.engine.sql_dialect
        return ConflictRule.of(self.table, dialect, on_conflict, conflict_columns, update_columns)


def _equal(conflict: Conflict, row: Mapping[str, Any]) -> Conditions:
    """Return the condition on rows that are in an encoded row's place: equal in the unique columns, NULLs too."""
    shape = tuple([(name, "IS NULL" if row[name] is None else "=") for name in conflict.columns])
    own = () if conflict.where is None else (conflict.where,)
    return (*shape, *own), [row[name] for name in conflict.columns if row[name] is not None]


def _assigned(changes: Mapping[str, Any]) -> tuple[tuple[str | Assignment, ...], list[Any]]:
    """Return what a statement sets, with the values of its parameters."""
    assignments: list[str | Assignment] = []
    values: list[Any] = []
    for name, value in changes.items():
        if type(value) is Computed:
            assignments.append(Assignment(name, value.node))
            values += value.values
        else:
            assignments.append(name)
            values.append(value)
    return tuple(assignments), values
