"""Rows of several tables from one SELECT: the columns of each side by side, split into one instance for each table.

For the domain operations whose SELECT is known beforehand. Attaching the instances to each other is their business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.connection.results import Row
from cloudpub_models.entity.origin import Origin, come_from
from cloudpub_models.manager.arguments.shape import Shape, group_of
from cloudpub_models.manager.arguments.where import parse_where
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.rows.instances import make_loader
from cloudpub_models.manager.scope import UNRESTRICTED, Scope, rows_of, unowned
from cloudpub_models.manager.sending import send
from cloudpub_models.manager.statements.shapes import Request, compared_as
from cloudpub_models.sql import Dialect, Join, Query
from cloudpub_models.sql.nodes.conditions import Comparison, Group
from cloudpub_models.sql.nodes.expressions import Column
from cloudpub_models.sql.nodes.query import PARAMETER, OrderBy
from cloudpub_models.sql.remembering import Remembered

Instances = tuple[Any, ...]
_Split = Callable[[Sequence[Row]], list[Instances]]


class JoinedSelect:
    """A SELECT of whole rows of several tables, each joined to one before it by a foreign key of either.

    Args:
        source: the model of the table that the others are joined to.
        joins: in order, the kind of each join and the foreign key that it follows, to the table that is not there yet.
        equal: the columns that are compared with the values that ``find`` is given.
        order_by: columns that are never NULL.
        direction: of the order.
        paged: whether a limit and an offset follow those values.

    >>> from cloudpub_models import User, UserInformation
    >>> users = JoinedSelect(User, ("LEFT", UserInformation.user), equal=(User.email,))
    >>> users.find(database, ["ada@example.com"])
    [(<User id=1 uuid=... email='ada@example.com'>, None)]

    ``SELECT users.id, …, user_information.id, … FROM users LEFT JOIN user_information ON user_information.user_id =
    users.uuid WHERE users.email = @param_0``
    """

    def __init__(
        self,
        source: type[peewee.Model],
        *joins: tuple[str, Any],
        equal: Sequence[Any] = (),
        order_by: Sequence[Any] = (),
        direction: str = "ASC",
        paged: bool = False,
    ) -> None:
        self.models: list[type[peewee.Model]] = [source]
        joined: list[Join] = []
        for kind, key in joins:
            new = key.rel_model if key.model in self.models else key.model
            self.models.append(new)
            joined.append(Join(kind, table_of(new).node, ((_column(key), _column(key.rel_field)),)))
        self._query = Query(
            "select",
            table_of(source).node,
            joins=tuple(joined),
            conditions=Group.all(*[Comparison(_column(field), "=") for field in equal]),
            order_by=tuple([OrderBy(_column(field), direction, nullable=False) for field in order_by]),
            limit=PARAMETER if paged else None,
            offset=PARAMETER if paged else None,
        )
        self._made = Remembered(self._make, lambda made: len(made[0].sql))

    def find(
        self, database: Database, values: Sequence[Any], scope: Scope | None = None, origin: Origin | None = None
    ) -> list[Instances]:
        """Return for each row one instance per table, ``None`` where an outer join found none.

        Args:
            database: the database.
            values: those of the columns that are compared, encoded, and of limit and offset.
            scope: which rows of each table there are, or ``UNRESTRICTED``; all when left out.
            origin: where the rows are from, if not from the default database.

        Raises:
            UnguardedError: the scope does not name one of the tables, or there is none and the database requires an
                owner.
        """
        if scope is None and database.requires_owner:
            raise unowned()
        shapes: tuple[Shape, ...] = ()
        held: list[Any] = []
        if scope is not None and scope is not UNRESTRICTED:
            conditions = [parse_where(rows_of(scope, m), table_of(m), database) for m in self.models]
            # Those of joined tables stand first in the statement.
            for _, own in (*conditions[1:], conditions[0]):
                held += own
            shapes = tuple([shape for shape, _ in conditions])
        request, split = self._made[database.engine.sql_dialect, shapes]
        found = split(send(database, request, [*held, *values] or None))
        if origin is not None:
            for instances in found:
                for row in instances:
                    come_from(row, origin)
        return found

    def _make(self, dialect: Dialect, shapes: tuple[Shape, ...]) -> tuple[Request, _Split]:
        from cloudpub_models.sql.render.writer import write

        query = self._query
        tables = [table_of(model) for model in self.models]
        if shapes:
            own, *others = [group_of(shape, table.name) for shape, table in zip(shapes, tables, strict=True)]
            query = query.changed(
                joins=tuple([join.changed(conditions=group) for join, group in zip(query.joins, others, strict=True)]),
                conditions=Group((*own.items, *query.conditions.items)),
            )
        columns = [Column(table.name, name) for table in tables for name in table.column_names]
        written = write(query.changed(columns=tuple(columns)), dialect, lambda column: compared_as(column, tables[0]))
        return Request(written.driver_text, written.writes, written.tables), self._splitter(dialect)

    def _splitter(self, dialect: Dialect) -> _Split:
        loaders = []
        start = 0
        for model in self.models:
            table = table_of(model)
            names = table.column_names
            key = start + names.index(table.key_names[0])
            load = make_loader(model, table.fields(names), dialect, partial=False)
            loaders.append((slice(start, start + len(names)), key, load))
            start += len(names)

        def split(rows: Sequence[Row]) -> list[Instances]:
            by_table = []
            for part, key, load in loaders:
                found = iter(load([row[part] for row in rows if row[key] is not None]))
                by_table.append([None if row[key] is None else next(found) for row in rows])
            return list(zip(*by_table, strict=True))

        return split


def _column(field: peewee.Field[Any]) -> Column:
    return Column(field.model._meta.table_name, field.column_name)
