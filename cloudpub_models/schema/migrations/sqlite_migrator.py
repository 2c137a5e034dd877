"""Playhouse's migrator for SQLite, with all of its operations, on tables of any definition.

What SQLite's ALTER TABLE cannot do is done as its authors advise: a new table is made, the rows are copied, the old
table is dropped and the new one takes its name; indexes, triggers, the references of other tables and the highest id
that was ever given stay. That takes a transaction in which foreign keys are not enforced, as migrations have.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import peewee
from playhouse.migrate import SqliteMigrator  # type: ignore[import-untyped]

from cloudpub_models.entity.fields import ServerDefault, as_sqlite_default
from cloudpub_models.errors import MigrationError, did_you_mean
from cloudpub_models.schema.migrations.operations import REMADE_SUFFIX, ColumnToAdd, MigratorOfEntities, operation
from cloudpub_models.schema.migrations.sqlite_definition import (
    Clause,
    ColumnDefinition,
    TableDefinition,
    quoted,
    read_definition,
)
from cloudpub_models.schema.search.sqlite import is_search_trigger
from cloudpub_models.schema.statements import fetch, fetch_value
from cloudpub_models.sql.dialects import SQLITE
from cloudpub_models.sql.text.tokens import code, tokens
from cloudpub_models.sql.values import text_literal

Statements = list[peewee.Node]

_NUMBERS = re.compile(r"INT|REAL|FLOA|DOUB|DECIMAL|NUMERIC", re.IGNORECASE)


class _Part(NamedTuple):
    """An index or a trigger."""

    kind: str
    name: str
    sql: str


class TableRemakingMigrator(MigratorOfEntities, SqliteMigrator):  # type: ignore[misc]
    """The migrator that scripts are given on SQLite."""

    @operation
    def add_column(
        self, table: str, column_name: str, field: peewee.Field[Any], allow_not_null: bool = False
    ) -> list[Any]:
        """Add a column; rows that are there get its default: the database's own for each row, or else Python's."""
        added = ColumnToAdd(self, table, column_name, field, allow_not_null)
        column = ColumnDefinition(column_name, added.type)
        filled = {}
        if added.not_null:
            column.put("not", "NOT NULL")
        if added.default is not None:
            filled[column_name] = added.default.expression(SQLITE)
            column.put("default", f"DEFAULT {filled[column_name]}")
        elif added.value is not None:
            filled[column_name] = _literal(added.value)
        column.clauses.extend(Clause("check", text) for text in added.constraints)

        def change(definition: TableDefinition) -> None:
            if any(known.name.lower() == column_name.lower() for known in definition.columns):
                raise MigrationError(f"expected a column that {table} lacks; got {column_name!r}: it is there")
            definition.columns.append(column)
            if added.reference is not None:
                key: Any = added.reference
                target, referenced = key.rel_model._meta.table_name, key.rel_field.column_name
                definition.constraints.append(
                    _foreign_key(added.constraint_name, column_name, target, referenced, key.on_delete, key.on_update)
                )

        statements: list[Any] = self._remade(table, change, filled)
        if added.is_indexed:
            statements.append(self.add_index(table, (column_name,), added.is_unique, name=added.index_name))
        return statements

    @operation
    def drop_column(self, table: str, column_name: str, cascade: bool = True, legacy: bool = False) -> Statements:
        """Drop a column, with the constraints, indexes and triggers of its table that are about it."""
        name, statement = self._kept_statement(table)
        for other, column, target in self._references_to(name):
            if target.lower() == column_name.lower() and other.lower() != name.lower():
                raise MigrationError(
                    f"expected a column that no table refers to; got {table}.{column_name}, to which {other}.{column} "
                    "refers: drop that reference first"
                )
        definition = read_definition(statement)
        before = definition.statement(name)
        definition.free_column(column_name)
        statements: Statements = []
        if definition.statement(name) != before:
            statements += self._remade(table, lambda found: found.free_column(column_name), without=column_name)
        else:
            about_it = [part for part in self._parts_of(name) if column_name.lower() in _columns_named(part.sql)]
            statements += [peewee.SQL(f"DROP {part.kind.upper()} {quoted(part.name)}") for part in about_it]
        return [*statements, peewee.SQL(f"ALTER TABLE {quoted(name)} DROP COLUMN {quoted(column_name)}")]

    @operation
    def rename_column(self, table: str, old_name: str, new_name: str, legacy: bool = False) -> Any:
        """Rename a column, in all that is about it too."""
        return peewee.SQL(f"ALTER TABLE {quoted(table)} RENAME COLUMN {quoted(old_name)} TO {quoted(new_name)}")

    @operation
    def add_not_null(self, table: str, column: str, legacy: bool = False) -> Statements:
        """Allow no NULL in a column."""
        return self._changed_column(table, column, lambda found: found.put("not", "NOT NULL", instead_of=("null",)))

    @operation
    def drop_not_null(self, table: str, column: str, legacy: bool = False) -> Statements:
        """Allow NULL in a column."""
        return self._changed_column(table, column, lambda found: found.remove("not"))

    @operation
    def alter_column_type(self, table: str, column: str, field: peewee.Field[Any], cast: Any = None) -> Statements:
        """Change a column's type; all else of it stays.

        Args:
            table: the table.
            column: the column.
            field: a field of the type.
            cast: an expression over the old row that gives the value; SQLite's own conversion when None.

        Raises:
            MigrationError: the type is a number's, and there are values that are none, which SQLite would keep.
        """
        if cast is None and _NUMBERS.search(self.type_of(field)):
            # A number is less than a text, whatever it is; a text that is a number is compared as one.
            counted = f"SELECT COUNT(*) FROM {quoted(table)} WHERE CAST(9e999 AS NUMERIC) < {quoted(column)}"  # noqa: S608 - quoted
            if others := fetch_value(self.database, counted):
                raise MigrationError(
                    f"expected numbers in {table}.{column}, which becomes {self.type_of(field)}; got {others} other "
                    "value(s): change them first, in the same script, or say how by cast=…"
                )

        def change(definition: TableDefinition) -> None:
            definition.column(column).type = self.type_of(field)

        return self._remade(table, change, {} if cast is None else {column: self.text_of(cast)})

    @operation
    def add_column_default(self, table: str, column: str, default: Any) -> Statements:
        """Set a column's default.

        Args:
            table: the table.
            column: the column.
            default: a value, an expression as text that ends in a parenthesis or a quote, or a ``ServerDefault``.
        """
        if default is None:
            raise ValueError("`default` must be not None/NULL.")
        value = default() if callable(default) else default
        if isinstance(value, ServerDefault):
            text = value.expression(SQLITE)
        else:
            is_expression = isinstance(value, str) and value.endswith((")", "'"))
            text = as_sqlite_default(value) if is_expression else _literal(value)
        return self._changed_column(table, column, lambda found: found.put("default", f"DEFAULT {text}"))

    @operation
    def drop_column_default(self, table: str, column: str) -> Statements:
        """Drop a column's default."""
        return self._changed_column(table, column, lambda found: found.remove("default"))

    @operation
    def add_constraint(self, table: str, name: str, constraint: Any) -> Statements:
        """Add a constraint, such as ``peewee.Check("price > 0")``."""
        rule = Clause("check", f"CONSTRAINT {quoted(name)} {self.text_of(constraint)}", name)
        return self._remade(table, lambda definition: definition.constraints.append(rule))

    @operation
    def drop_constraint(self, table: str, name: str) -> Statements:
        """Drop a constraint by its name; a unique index that stands for one is dropped by ``drop_index``.

        One that was given no name goes by the one that PostgreSQL would have given it.
        """
        return self._remade(table, lambda definition: definition.remove_constraint(name, table))

    @operation
    def add_unique(self, table: str, *column_names: str) -> Statements:
        """Allow each combination of these columns' values once."""
        name = f"uniq_{'_'.join(column_names)}"
        listed = ", ".join(map(quoted, column_names))
        rule = Clause("unique", f"CONSTRAINT {quoted(name)} UNIQUE ({listed})", name, column_names)
        return self._remade(table, lambda definition: definition.constraints.append(rule))

    @operation
    def add_foreign_key_constraint(
        self,
        table: str,
        column_name: str,
        rel: str,
        rel_column: str,
        on_delete: str | None = None,
        on_update: str | None = None,
        constraint_name: str | None = None,
        rel_schema: str | None = None,
    ) -> Statements:
        """Have a column refer to another table's."""
        name = constraint_name or f"fk_{table}_{column_name}_refs_{rel}"
        rule = _foreign_key(name, column_name, rel, rel_column, on_delete, on_update)
        return self._remade(table, lambda definition: definition.constraints.append(rule))

    @operation
    def drop_foreign_key_constraint(self, table: str, column_name: str) -> Statements:
        """Have a column refer to no table any more."""

        def change(definition: TableDefinition) -> None:
            column = definition.column(column_name)
            kept = [
                rule
                for rule in definition.constraints
                if not (rule.kind == "foreign" and [name.lower() for name in rule.columns] == [column.name.lower()])
            ]
            if column.clause("references") is None and len(kept) == len(definition.constraints):
                raise MigrationError(
                    f"expected a column that refers to a table; got {table}.{column_name}: it does not"
                )
            column.remove("references")
            definition.constraints = kept

        return self._remade(table, change)

    def _changed_column(self, table: str, column: str, change: Callable[[ColumnDefinition], object]) -> Statements:
        def change_definition(definition: TableDefinition) -> None:
            change(definition.column(column))

        return self._remade(table, change_definition)

    def _remade(
        self,
        table: str,
        change: Callable[[TableDefinition], object],
        filled: dict[str, str] | None = None,
        without: str | None = None,
    ) -> Statements:
        """Return the statements that make a table anew.

        Args:
            table: the table.
            change: changes its definition.
            filled: column → the expression that its values are made with, over the rows of the old table.
            without: a column that goes; so do the indexes and triggers that name it.
        """
        if fetch_value(self.database, "PRAGMA foreign_keys"):
            raise MigrationError(
                "expected foreign keys not to be enforced while a table is made anew; got them on, which would delete "
                "the rows that refer to it: run this in a migration"
            )
        name, statement = self._kept_statement(table)
        definition = read_definition(statement)
        # A generated column cannot be written.
        copied = [
            column
            for (column, hidden) in fetch(self.database, "SELECT name, hidden FROM pragma_table_xinfo(?)", (name,))
            if hidden == 0
        ]
        change(definition)
        left = {column.name.lower() for column in definition.columns}
        values = {column: quoted(column) for column in copied if column.lower() in left} | (filled or {})
        temporary = self._unused_name(name)
        dropping = f"DROP TABLE {quoted(name)}"
        self.lossless[dropping] += 1
        legacy = fetch_value(self.database, "PRAGMA legacy_alter_table")
        statements = [
            definition.statement(temporary),
            f"INSERT INTO {quoted(temporary)} ({', '.join(map(quoted, values))}) "  # noqa: S608 - quoted
            f"SELECT {', '.join(values.values())} FROM {quoted(name)}",
            *self._highest_id(name, temporary),
            dropping,
            # Otherwise SQLite would look at triggers and views of this name, whose table is not there just now.
            "PRAGMA legacy_alter_table = 1",
            f"ALTER TABLE {quoted(temporary)} RENAME TO {quoted(name)}",
            f"PRAGMA legacy_alter_table = {legacy}",
            *(
                part.sql
                for part in self._parts_of(name)
                if (without is None or without.lower() not in _columns_named(part.sql))
                # An index of words knows nothing of the rows that were made here: it is made anew afterwards.
                and not (part.kind == "trigger" and is_search_trigger(part.name))
            ),
        ]
        return [peewee.SQL(text) for text in statements]

    def _highest_id(self, name: str, temporary: str) -> Iterable[str]:
        """Yield what has an id that was given once never be given again, where that is asked for."""
        if not fetch(self.database, "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"):
            return
        for (highest,) in fetch(self.database, "SELECT seq FROM sqlite_sequence WHERE name = ?", (name,)):
            named = _literal(temporary)
            yield f"DELETE FROM sqlite_sequence WHERE name = {named}"  # noqa: S608 - a literal
            yield f"INSERT INTO sqlite_sequence (name, seq) VALUES ({named}, {highest})"  # noqa: S608 - a literal

    def _kept_statement(self, table: str) -> tuple[str, str]:
        found = fetch(
            self.database,
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE",
            (table,),
        )
        if not found:
            tables = self.database.get_tables()
            hint = did_you_mean(table, tables) if tables else "there is none"
            raise MigrationError(f"expected a table of the database; got {table!r}: {hint}")
        return found[0][0], found[0][1]

    def _parts_of(self, table: str) -> list[_Part]:
        """Return the indexes and triggers of a table that have a statement of their own."""
        query = (
            "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE "
            "AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid"
        )
        return [_Part(*row) for row in fetch(self.database, query, (table,))]

    def _unused_name(self, table: str) -> str:
        known = {name.lower() for (name,) in fetch(self.database, "SELECT name FROM sqlite_master")}
        name = f"{table}{REMADE_SUFFIX}"
        while name.lower() in known:
            name += "_"
        return name

    def _references_to(self, table: str) -> list[tuple[str, str, str]]:
        """Return the references to a table: table, column, and the column that it refers to."""
        found = []
        for other in self.database.get_tables():
            rows = fetch(self.database, 'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?)', (other,))
            for target, column, referenced in rows:
                if target.lower() == table.lower():
                    keys = fetch(self.database, "SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (table,))
                    found.append((other, column, referenced or keys[0][0]))
        return found


def _foreign_key(
    name: str, column: str, table: str, referenced: str, on_delete: str | None, on_update: str | None
) -> Clause:
    text = (
        f"CONSTRAINT {quoted(name)} FOREIGN KEY ({quoted(column)}) REFERENCES {quoted(table)} ({quoted(referenced)})"
        f"{f' ON DELETE {on_delete}' if on_delete else ''}{f' ON UPDATE {on_update}' if on_update else ''}"
    )
    return Clause("foreign", text, name, (column,))


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(int(value)) if isinstance(value, bool) else repr(value)
    if isinstance(value, bytes | memoryview):
        return f"x'{bytes(value).hex()}'"
    return text_literal(str(value))


def _columns_named(sql: str) -> set[str]:
    """Return what may be a column in the statement of an index or trigger: all names but its own and tables'."""
    pieces = code(tokens(sql, SQLITE))
    behind = ("index", "trigger", "exists", "on", "update", "into", "from", "join")
    return {
        token.name.lower()
        for before, token in itertools.pairwise(pieces)
        if token.kind in ("word", "quoted") and not (before.kind == "word" and before.name in behind)
    }
