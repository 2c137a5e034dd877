"""A database's real schema, read from its own catalogue; nothing is changed.

PostgreSQL is asked through pg_catalog, SQLite through its pragmas and ``sqlite_master``.
"""

from __future__ import annotations

from collections.abc import Iterable

import peewee

from cloudpub_models.entity.binding import dialect_of
from cloudpub_models.schema.catalogue.catalogue import Catalogue


def read_catalogue(database: peewee.Database, tables: Iterable[str] | None = None) -> Catalogue:
    """Return the schema that a database has.

    Args:
        database: the database; on PostgreSQL its current schema is read.
        tables: the tables to read; all when None.

    Raises:
        ConfigurationError: for a database that is neither SQLite nor PostgreSQL.

    >>> database = peewee.SqliteDatabase(":memory:")
    >>> _ = database.execute_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL DEFAULT 'x')")
    >>> read_catalogue(database).tables["t"].columns["name"]
    Column(name='name', type='varchar(20)', nullable=False, default="'x'")
    """
    dialect = dialect_of(database)
    wanted = None if tables is None else set(tables)
    if dialect == "postgresql":
        from cloudpub_models.schema.catalogue.postgresql import read_tables
    else:
        from cloudpub_models.schema.catalogue.sqlite import read_tables
    parts = read_tables(database, wanted)
    return Catalogue(dialect, {part.name: part.table() for part in parts})
