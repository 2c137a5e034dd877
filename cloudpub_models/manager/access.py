"""What every operation of a manager needs: the model, its table, the database, and the statements for it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import peewee

from cloudpub_models.connection import Database
from cloudpub_models.connection.default import database as default_database
from cloudpub_models.connection.engine import Engine
from cloudpub_models.errors import ConfigurationError, InvalidValueError
from cloudpub_models.manager.columns.table import Table, table_of
from cloudpub_models.manager.statements.shapes import Statements

M = TypeVar("M", bound=peewee.Model)


class TableAccess(Generic[M]):
    """One table of one database."""

    def __init__(self, model: type[M], database: Database | None = None) -> None:
        if database is not None and not isinstance(database, Database):
            raise ConfigurationError(
                f"expected a Database; got a value of type {type(database).__name__}: write Database('sqlite:///file.db')"
            )
        self.model = model
        self.database = default_database if database is None else database
        self.table: Table = table_of(model)
        self._statements: dict[str, Statements[M]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model.__name__})"

    def _statements_on(self, engine: Engine) -> Statements[M]:
        dialect = engine.sql_dialect
        statements = self._statements.get(dialect.name)
        if statements is None:
            statements = self._statements[dialect.name] = Statements(self.model, self.table, dialect)
        return statements


def require_value(value: Any, column: str) -> Any:
    """Return the value to look a row up by, or raise InvalidValueError where it is ``None``."""
    if value is None:
        raise InvalidValueError(f"expected a value for {column}; got None, which no row has: was the row inserted?")
    return value
