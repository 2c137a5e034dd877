"""The tables of a database that lives, made anew in one in memory: what a script would find there.

A SQLite database keeps the statements that made it, which are run again. PostgreSQL says what it has in words of its
own. Where it says the same of a default or a check as of the models', made in a schema of their own that is not kept,
those of the models stand for it; what is otherwise is told without casts, so that both databases understand it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import peewee

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.ddl import touch_trigger
from cloudpub_models.entity.fields import (
    RANDOM_UUID,
    TIME_ORDERED_UUID,
    UTC_NOW,
    ServerDefault,
    as_sqlite_default,
)
from cloudpub_models.errors import MigrationError
from cloudpub_models.schema.catalogue.catalogue import COUNTING, Column, Index, Table, Unique
from cloudpub_models.schema.catalogue.normal_form import check_expression, normalised, readable
from cloudpub_models.schema.catalogue.read import read_catalogue, reader_of
from cloudpub_models.schema.drift.definition import expected_in_own_words, expected_trigger
from cloudpub_models.schema.generate.scratch import ScratchDatabase
from cloudpub_models.schema.generate.structure import (
    CheckState,
    ColumnState,
    IndexState,
    ReferenceState,
    Tables,
    TableState,
    UniqueState,
)
from cloudpub_models.schema.migrations.sqlite_definition import quoted
from cloudpub_models.schema.statements import run
from cloudpub_models.sql.dialects import SQLITE, Dialect

_TYPES = {
    "bytea": "blob",
    "double precision": "double",
    "jsonb": "json",
    "time without time zone": "time",
}
# Of one type on PostgreSQL, of two in Python.
_ALSO = {"timestamp": "datetime", "blob": "uuid bytes"}


def scratch_of(
    database: peewee.Database, models: Sequence[type[peewee.Model]], wanted: Tables, names: Iterable[str]
) -> ScratchDatabase:
    """Return a database in memory with tables that another one has.

    Args:
        database: the database, of which nothing is changed.
        models: the models of the tables that there should be.
        wanted: those tables.
        names: which tables are meant; others may come along.

    Raises:
        MigrationError: SQLite cannot have one of them.
    """
    reader = reader_of(sql_dialect_of(database))
    if reader.KEEPS_WORDS:
        statements = reader.read_statements(database)
    else:
        own = expected_in_own_words(database, models).tables
        found = read_catalogue(database, names).tables
        tables = [_Translation(sql_dialect_of(database), own.get(name), wanted.get(name)) for name in found]
        states = [each.table(table) for each, table in zip(tables, found.values(), strict=True)]
        statements = (statement for state in states for statement in _statements(state))
    scratch = ScratchDatabase()
    for statement in statements:
        try:
            run(scratch, statement)
        except peewee.PeeweeException as error:
            scratch.close()
            raise MigrationError(
                f"expected tables that SQLite can have too; got {error} in {statement.splitlines()[0]}: write this "
                "migration by hand"
            ) from error
    return scratch


class _Translation:
    """A table as a server describes it, in words that both databases understand.

    Args:
        dialect: the server's SQL.
        own: the models' table as the server describes it, if there is one.
        wanted: the models' table.
    """

    def __init__(self, dialect: Dialect, own: Table | None, wanted: TableState | None) -> None:
        self._dialect = dialect
        self._own = own if wanted is not None else None
        self._wanted = wanted

    def table(self, found: Table) -> TableState:
        columns = {name: self._column(column) for name, column in found.columns.items()}
        indexes = [self._index(index, columns) for index in found.indexes]
        uniques = []
        for unique in found.uniques:
            if all(column in columns for column in unique.columns):
                uniques.append(UniqueState(unique.name or "", unique.columns, unique.is_index))
            else:
                indexes.append(IndexState(unique.name or "", None, True, None, self._keys(unique)))
        return TableState(
            found.name,
            columns,
            found.primary_key,
            tuple(uniques),
            tuple(indexes),
            tuple(
                ReferenceState(key.name or "", key.columns, key.table, key.referenced, key.on_delete, key.on_update)
                for key in found.foreign_keys
            ),
            tuple(self._checks(found)),
            tuple(self._touched(found)),
        )

    def _column(self, column: Column) -> ColumnState:
        wanted = None if self._wanted is None else self._wanted.columns.get(column.name)
        own = None if self._own is None else self._own.columns.get(column.name)
        kind = _TYPES.get(column.type, column.type)
        kind = re.sub("^character(?=[(])", "char", re.sub("^numeric(?=[(])", "decimal", kind))
        if wanted is not None and wanted.type == _ALSO.get(kind):
            kind = wanted.type
        counts = column.default == COUNTING
        default = None if counts or column.default_sql is None else self._default(column.default_sql)
        if wanted is not None and own is not None and own.default == column.default and not counts:
            default = wanted.default
        return ColumnState(column.name, kind, True, column.nullable, default, counts)

    def _default(self, text: str) -> ServerDefault:
        for known in (UTC_NOW, RANDOM_UUID, TIME_ORDERED_UUID):
            if normalised(known.expression(self._dialect), self._dialect) == normalised(text, self._dialect):
                return known
        plain = readable(text, self._dialect)
        return ServerDefault(plain, as_sqlite_default(plain))

    def _index(self, index: Index, columns: Iterable[str]) -> IndexState:
        plain = all(column in columns for column in index.columns)
        keys = map(quoted, index.columns) if plain else (readable(key, self._dialect) for key in index.keys)
        where = readable(index.where, self._dialect) if index.partial else None
        return IndexState(index.name, index.columns if plain else None, index.unique, where, ", ".join(keys))

    def _keys(self, unique: Unique) -> str:
        own = {} if self._own is None else {each.columns: each.name for each in self._own.uniques}
        wanted = {} if self._wanted is None else {index.name: index.keys for index in self._wanted.indexes}
        return wanted.get(own.get(unique.columns) or "") or ", ".join(
            readable(key, self._dialect) for key in unique.keys
        )

    def _checks(self, found: Table) -> Iterator[CheckState]:
        own = {} if self._own is None else {check.expression: check.name for check in self._own.checks}
        wanted = {} if self._wanted is None else {check.name: check.expression for check in self._wanted.checks}
        for check in found.checks:
            written = wanted.get(own.get(check.expression) or "")
            if written is None:
                written = readable(check_expression(check.sql, self._dialect), self._dialect)
            yield CheckState(check.name or "", written)

    def _touched(self, found: Table) -> Iterator[str]:
        for column in found.columns:
            trigger = touch_trigger(found.name, column, found.primary_key, self._dialect)
            if expected_trigger(trigger, self._dialect) in found.triggers:
                yield column


def _statements(table: TableState) -> Iterator[str]:
    """Yield the statements that make a table in memory."""
    parts = [_column_definition(table, column) for column in table.columns.values()]
    if table.primary_key and not any(column.counts for column in table.columns.values()):
        parts.append(f"PRIMARY KEY ({_listed(table.primary_key)})")
    parts += [
        f"CONSTRAINT {quoted(unique.name)} UNIQUE ({_listed(unique.columns)})"
        for unique in table.uniques
        if not unique.is_index
    ]
    parts += [f"CONSTRAINT {quoted(check.name)} CHECK ({check.expression})" for check in table.checks]
    parts += [
        f"CONSTRAINT {quoted(key.name)} FOREIGN KEY ({_listed(key.columns)}) REFERENCES {quoted(key.table)} "
        f"({_listed(key.referenced)}) ON DELETE {key.on_delete} ON UPDATE {key.on_update}"
        for key in table.references
    ]
    yield f"CREATE TABLE {quoted(table.name)} ({', '.join(parts)})"
    for unique in table.uniques:
        if unique.is_index:
            yield f"CREATE UNIQUE INDEX {quoted(unique.name)} ON {quoted(table.name)} ({_listed(unique.columns)})"
    for index in table.indexes:
        where = "" if index.where is None else f" WHERE {index.where}"
        kind = "UNIQUE INDEX" if index.unique else "INDEX"
        yield f"CREATE {kind} {quoted(index.name)} ON {quoted(table.name)} ({index.keys}){where}"
    for column in table.touched:
        yield from touch_trigger(table.name, column, table.primary_key, SQLITE).create


def _column_definition(table: TableState, column: ColumnState) -> str:
    written = [quoted(column.name), ScratchDatabase.declared(column)]
    if not column.nullable:
        written.append("NOT NULL")
    if column.counts:
        written.append("PRIMARY KEY AUTOINCREMENT")
    if column.default is not None:
        written.append(f"DEFAULT {column.default.sqlite}")
    return " ".join(written)


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(map(quoted, columns))
