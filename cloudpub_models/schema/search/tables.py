"""What an index of words has to know of a table, and what each kind of database does for one in its own way.

An index only says which rows may have the words that are searched for: more of them than do, and never fewer. Whether
one has them is decided by who reads searches, so that answers are the same with the index and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.searchable import is_searchable, searchable_fields
from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.search import SearchQuery

# Sends a query with the values of its parameters and returns the rows.
Ask = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_WHOLE_NUMBERS = ("AUTO", "BIGAUTO", "INT", "BIGINT", "SMALLINT")


class SearchedTable(NamedTuple):
    """A table that is searched.

    Attributes:
        name: its name.
        columns: the columns that are searched.
        number: the column that is its primary key, if that is one of whole numbers.
    """

    name: str
    columns: tuple[str, ...]
    number: str | None


class Kind(Protocol):
    """What one kind of database does in its own way; see ``postgresql`` and ``sqlite``."""

    def is_made(self, ask: Ask, table: SearchedTable) -> bool:
        """Return whether a table has its index, and has it up to date."""

    def numbers(self, ask: Ask, table: SearchedTable, query: SearchQuery) -> list[int] | None:
        """Return the keys of the rows that may have the words; ``None`` where a statement tells them better."""

    def words(self, runs: Sequence[tuple[str, bool]]) -> str | None:
        """Return how a statement names words that a text has to have; ``None`` where it cannot."""

    def make(self, database: peewee.Database, table: SearchedTable) -> None:
        """Make the index of a table in place of what there is of one."""

    def drop(self, database: peewee.Database, table: SearchedTable) -> bool:
        """Drop what there is of a table's index; return whether there was anything."""

    def is_there(self, database: peewee.Database, table: SearchedTable) -> bool:
        """Return whether there is anything of a table's index, even if it does not serve."""

    def keep_current(self, database: peewee.Database, table: SearchedTable) -> None:
        """Make the index of a table anew where it has one that a migration has left behind."""


def kind_of(dialect: Dialect) -> Kind:
    """Return what a kind of database does in its own way."""
    return cast("Kind", import_module(f"cloudpub_models.schema.search.{dialect.name}"))


def keep_current(database: peewee.Database, models: Iterable[type[peewee.Model]]) -> None:
    """Make indexes anew that a migration has left behind, as it does when it has run."""
    kind = kind_of(sql_dialect_of(database))
    for model in models:
        if is_searchable(model):
            kind.keep_current(database, searched_table(model))


def searched_table(model: type[peewee.Model]) -> SearchedTable:
    """Return what an index has to know of a model's table.

    Raises:
        InvalidQueryError: the model names no columns of text to search in.

    >>> from cloudpub_models import FunctionLog
    >>> searched_table(FunctionLog)
    SearchedTable(name='function_logs', columns=('message',), number='id')
    """
    key: Any = model._meta.primary_key
    is_number = isinstance(key, peewee.Field) and key.field_type in _WHOLE_NUMBERS
    columns = tuple([field.column_name for field in searchable_fields(model)])
    return SearchedTable(model._meta.table_name, columns, key.column_name if is_number else None)
