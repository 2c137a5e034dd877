"""Rows of one table read for rows of another: those that they refer to, that refer to them, or that are connected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import peewee

from cloudpub_models.manager.arguments.conditions import Where
from cloudpub_models.manager.arguments.order import Order, prefixed, values_of_order
from cloudpub_models.manager.arguments.shape import NO_CONDITIONS, Conditions
from cloudpub_models.manager.columns.decoding import decoder_for
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.scope import require_all_rows
from cloudpub_models.manager.sending import TableAccess, send

M = TypeVar("M", bound=peewee.Model)


class RelatedRows(TableAccess[M]):
    """Reads the rows of a table that belong to rows of another one, one statement for all of those."""

    def parse(self, where: Where) -> Conditions:
        """Return conditions on the rows, checked, without those of the scope."""
        return self._parsed(where)

    def find_key(self, column: str, value: Any) -> Any:
        """Return the primary key, a single column, of the row that has an encoded value in a column, or ``None``."""
        own, values = self._held_to_one()
        select = self._statements.present.keys_held(column, own)
        keys = select.read(send(self.database, select, (value, *values)))
        return keys[0] if keys else None

    def keys_there(self, column: str, keys: Sequence[Any]) -> list[Any]:
        """Return those of some encoded values of a unique column that rows have."""
        if len(keys) == 1:
            return [] if self.find_key(column, keys[0]) is None else list(keys)
        listed = self.table.columns[column].encode_list(keys, self.database.engine.sql_dialect)
        shape, values = self._completed((((column, "IN"),), (listed,)))
        select = self._statements.present.values(shape, (column,), alone=True)
        return select.read(send(self.database, select, values))

    def having(
        self, column: str, keys: Sequence[Any], order: Order = (), conditions: Conditions = NO_CONDITIONS
    ) -> list[M]:
        """Return the rows that have one of the keys in a column and meet the conditions."""
        dialect = self.database.engine.sql_dialect
        self._hold_order(order)
        listed = self.table.columns[column].encode_list(keys, dialect)
        shape, values = self._completed((((column, "IN"), *conditions[0]), (listed, *conditions[1])))
        select = self._statements.present.select(shape, order=order)
        return select.load(send(self.database, select, [*values, *values_of_order(order)]))

    def referring(
        self, column: str, keys: Sequence[Any], order: Order, limit: int | None, conditions: Conditions
    ) -> list[M]:
        """Return the rows that have one of the keys in a column and meet the conditions, at most ``limit`` per key."""
        order = order or self.table.key_order
        if limit is None:
            # An index on the column has the rows in about this order; sorting all of them costs more.
            return self.having(column, keys, prefixed((column, "ASC"), order), conditions)
        dialect = self.database.engine.sql_dialect
        shape, values = self._completed(conditions)
        select = self._statements.present.select_for_each(column, order, limit, shape)
        listed = self.table.columns[column].encode_list(keys, dialect)
        return select.load(send(self.database, select, [listed, *values]))

    def connected(
        self,
        near: peewee.ForeignKeyField[Any],
        far: peewee.ForeignKeyField[Any],
        keys: Sequence[Any],
        order: Order,
        limit: int | None,
        conditions: Conditions = NO_CONDITIONS,
        columns: tuple[str, ...] | None = None,
    ) -> list[tuple[Any, M]]:
        """Return the rows that a table in between connects with other rows, each with the key of that other row.

        Args:
            near: the key of the table in between that refers to the other rows.
            far: its key that refers to this table.
            keys: what ``near`` refers to.
            order: columns of this table.
            limit: how many rows for each key at most.
            conditions: what the rows have to meet.
            columns: the columns to load; all, when left out.
        """
        if self.scope is not None:
            require_all_rows(self.scope, near.model)
        self._hold_order(order)
        dialect = self.database.engine.sql_dialect
        shape, values = self._completed(conditions)
        statements = self._statements.present
        select = statements.select_connected(near, far, order or self.table.key_order, limit, shape, columns)
        listed = table_of(near.model).columns[near.column_name].encode_list(keys, dialect)
        rows = send(self.database, select, [listed, *values, *values_of_order(order)])
        decode = decoder_for(near, dialect) or (lambda key: key)
        instances = select.load([row[:-1] for row in rows])
        return [(decode(row[-1]), instance) for row, instance in zip(rows, instances, strict=True)]
