"""A database's real schema, read from its own catalogue; nothing is changed.

PostgreSQL is asked through pg_catalog, SQLite through its pragmas and ``sqlite_master``: by the module of this room
that has the dialect's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Protocol

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.schema.catalogue.catalogue import Catalogue, Partition, TableParts
from cloudpub_models.schema.catalogue.facts import DatabaseFacts
from cloudpub_models.sql.dialects import Dialect


class Reader(Protocol):
    """What is known of one kind of database: ``postgresql`` and ``sqlite``, two modules with the same functions."""

    KEEPS_WORDS: bool
    """Whether the statements that made a schema are kept as they were given."""

    def read_tables(self, database: peewee.Database, wanted: set[str] | None) -> list[TableParts]:
        """Return the tables of a database, all or those wanted."""

    def read_partitions(self, database: peewee.Database, table: str) -> list[Partition]:
        """Return the partitions of a table, the earliest first; none where it does not consist of any."""

    def read_statements(self, database: peewee.Database) -> Iterator[str]:
        """Yield the statements that would make the tables that a database has, in an order in which they can be run."""

    def read_facts(self, database: peewee.Database) -> DatabaseFacts:
        """Return what is to be known of a database before its schema is changed."""

    def nothing_kept(self, database: peewee.Database) -> AbstractContextManager[peewee.Database]:
        """Give a database in a transaction to try migrations on: a copy, or the database itself where it only reads."""

    def tables_in_own_words(
        self, database: peewee.Database, create: Callable[[], None], wanted: set[str]
    ) -> list[TableParts] | None:
        """Return tables as the database describes them once they are made, of which nothing is kept; or None."""

    def known_name(self, name: str) -> str | None:
        """Return the name of a UNIQUE or a reference as the catalogue has it, which may be none."""

    def type_fits(self, expected: str, found: str) -> bool:
        """Return whether a column of type ``found`` can stand where the models expect ``expected``."""


def reader_of(dialect: Dialect) -> Reader:
    """Return what reads the catalogue of a dialect's databases."""
    module: Any = import_module(f"cloudpub_models.schema.catalogue.{dialect.name}")
    return module  # type: ignore[no-any-return]


def read_catalogue(database: peewee.Database, tables: Iterable[str] | None = None) -> Catalogue:
    """Return the schema that a database has.

    Args:
        database: the database; on PostgreSQL its current schema is read.
        tables: the tables to read; all when None.

    Raises:
        ConfigurationError: for a database that is neither SQLite nor PostgreSQL.

    >>> database = peewee.SqliteDatabase(":memory:")
    >>> _ = database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL DEFAULT 'x')")
    >>> read_catalogue(database).tables["t"].columns["name"].type
    'varchar(20)'
    """
    dialect = sql_dialect_of(database)
    parts = reader_of(dialect).read_tables(database, None if tables is None else set(tables))
    return Catalogue(dialect, {part.name: part.table() for part in parts})


def read_partitions(database: peewee.Database, table: str) -> list[Partition]:
    """Return the partitions of a table, the earliest first; none where it does not consist of any.

    Args:
        database: the database; on PostgreSQL its current schema is read.
        table: the name of the table.

    >>> read_partitions(peewee.SqliteDatabase(":memory:"), "function_logs")
    []
    """
    return reader_of(sql_dialect_of(database)).read_partitions(database, table)


def read_facts(database: peewee.Database) -> DatabaseFacts:
    """Return what is to be known of a database, as it is now, before its schema is changed.

    Args:
        database: the database; on PostgreSQL its current schema is read.

    >>> database = peewee.SqliteDatabase(":memory:")
    >>> _ = database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    >>> dict(read_facts(database).rows)
    {'t': 0}
    """
    return reader_of(sql_dialect_of(database)).read_facts(database)
