"""Rows of several tables from one SELECT: the columns of each side by side, split into one instance for each table.

For the domain operations whose SQL is written by hand. Attaching the instances to each other is their business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import peewee

from cloudpub_models.connection.engine import Engine, Row
from cloudpub_models.manager.columns.table import table_of
from cloudpub_models.manager.rows.instances import make_loader
from cloudpub_models.sql import Dialect

Instances = tuple[Any, ...]
_Split = Callable[[Sequence[Row]], list[Instances]]


class JoinedSelect:
    """A SELECT of whole rows of one or several tables.

    Args:
        sql: the statement, with ``{columns}`` for its select list and ``@name`` parameters.
        tables: the alias of each table → its model, in the order of the instances wanted.

    >>> from cloudpub_models import Database, User, UserInformation
    >>> shop = Database("sqlite:///:memory:")
    >>> _ = shop.migrate()
    >>> users = JoinedSelect(
    ...     "SELECT {columns} FROM users u LEFT JOIN user_information i ON i.user_id = u.uuid",
    ...     {"u": User, "i": UserInformation},
    ... )
    >>> users.fetch(shop.engine)
    []
    >>> shop.close()
    """

    def __init__(self, sql: str, tables: Mapping[str, type[peewee.Model]]) -> None:
        self._sql = sql
        self._tables = tables
        self._prepared: dict[str, tuple[str, _Split]] = {}

    def fetch(self, engine: Engine, parameters: Mapping[str, Any] | None = None) -> list[Instances]:
        """Run the statement and return for each row one instance per table, ``None`` where an outer join found none.

        Args:
            engine: the database.
            parameters: a value for each ``@name``.
        """
        dialect = engine.sql_dialect
        prepared = self._prepared.get(dialect.name)
        if prepared is None:
            prepared = self._prepared[dialect.name] = (self._text(dialect), self._splitter(dialect))
        sql, split = prepared
        return split(engine.fetch(*engine.bind_parameters(sql, parameters)))

    def _text(self, dialect: Dialect) -> str:
        columns = [
            f"{alias}.{dialect.quote(name)}"
            for alias, model in self._tables.items()
            for name in table_of(model).column_names
        ]
        return self._sql.format(columns=", ".join(columns))

    def _splitter(self, dialect: Dialect) -> _Split:
        loaders = []
        start = 0
        for model in self._tables.values():
            table = table_of(model)
            names = table.column_names
            key = start + names.index(table.key_names[0])
            load = make_loader(model, table.fields(names), dialect.name, partial=False)
            loaders.append((slice(start, start + len(names)), key, load))
            start += len(names)

        def split(rows: Sequence[Row]) -> list[Instances]:
            by_table = []
            for part, key, load in loaders:
                found = iter(load([row[part] for row in rows if row[key] is not None]))
                by_table.append([None if row[key] is None else next(found) for row in rows])
            return list(zip(*by_table, strict=True))

        return split
