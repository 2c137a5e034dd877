"""A schema as the SQL that would make it: of models for either database, or as a database has it.

A database's own words come from the database: SQLite keeps its statements, PostgreSQL writes them anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.schema.catalogue.normal_form import terminated
from cloudpub_models.schema.catalogue.read import reader_of
from cloudpub_models.schema.drift import mending
from cloudpub_models.schema.drift.definition import Models, expected_catalogue, table_statements
from cloudpub_models.sql.dialects import Dialect


def statements_of_models(dialect: Dialect, models: Models) -> list[str]:
    """Return the statements that make the models' tables, in an order in which they can be run.

    >>> from cloudpub_models.sql import SQLITE
    >>> statements_of_models(SQLITE, [User])[0].startswith('CREATE TABLE "users"')
    True
    """
    statements = [text for model in models for text in table_statements(dialect, model)]
    # References in a circle have to wait until both tables are there.
    made = "\n".join(statements)
    waiting = [
        text
        for table in expected_catalogue(dialect, models).tables.values()
        for key in table.foreign_keys
        if key.name is not None and f'"{key.name}"' not in made
        for text in mending.add_foreign_key(dialect, table.name, key, ())
    ]
    return list(dict.fromkeys([*statements, *waiting]))


def statements_of_database(database: peewee.Database) -> Iterator[str]:
    """Yield the statements that would make the tables that a database has, in an order in which they can be run."""
    return reader_of(sql_dialect_of(database)).read_statements(database)


def script(statements: Iterable[str], dialect: Dialect) -> str:
    """Return statements as one text that the database's own shell runs."""
    return "\n\n".join(terminated(statement, dialect) for statement in statements) + "\n"
