"""What the rules about hazards need to know of a database, read from its catalogue without touching a table's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.text.server_parser import ServerParser


@dataclass(frozen=True)
class DatabaseFacts:
    """What is to be known of a database before its schema is changed.

    Attributes:
        dialect: the database's SQL.
        rows: how many rows each table of the current schema has; ``None`` where the database cannot tell.
        counted: whether they were counted; else they are the database's own estimates.
        column_types: the type of each column, by table and column, in the catalogue's short form.
        steady_functions: functions that give one value for all rows of a statement, so that a default that calls them
            needs no rewrite.
        schema: the schema whose tables these are.
        complete: whether there are no other tables.
        parser: the server's own parser, where it is installed.
    """

    dialect: Dialect
    rows: Mapping[str, int | None] = field(default_factory=dict)
    column_types: Mapping[tuple[str, str], str] = field(default_factory=dict)
    steady_functions: frozenset[str] = frozenset()
    schema: str = "public"
    counted: bool = False
    complete: bool = False
    parser: ServerParser | None = None

    def name_of(self, table: str) -> str:
        """Return a table's name as it is among ``rows``: without its schema where that is the current one."""
        return self.dialect.folded(table).removeprefix(f"{self.schema}.")
