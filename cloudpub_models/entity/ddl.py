"""The DDL of a model's table: what Peewee's ``create_tables`` sends for the models of this library.

Peewee creates columns, indexes and foreign keys. Added here is what the design asks of the database itself: defaults
in its own words, UNIQUE constraints (each with its one index), triggers for what is touched on update, references in a
circle, ids that are never used twice, and names that follow one scheme (PostgreSQL's own, so that the constraints of a
schema that somebody else wrote are mostly called the same).

The migrations do not use this module: they are frozen. A test proves that both give the same schema.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, cast

import peewee

from cloudpub_models.entity.binding import concrete_database, current_database, sql_dialect_of, unconnected
from cloudpub_models.entity.fields import UTC_NOW, is_default, name_of_part, server_default
from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.dialects import Dialect
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.values import text_literal


class Trigger(NamedTuple):
    """A trigger that a model's table has.

    Attributes:
        name: its name.
        column: what it sets.
        create: the statements that make it, where there is none of this name.
        replace: the statements that make it in place of another.
        function: body and settings of the function that it calls; None where it calls none.
    """

    name: str
    column: str
    create: tuple[str, ...]
    replace: tuple[str, ...]
    function: tuple[str, str] | None


def touch_triggers(model: type[peewee.Model], dialect: Dialect) -> tuple[Trigger, ...]:
    """Return the triggers that set what is ``touched_on_update`` where an update left it unchanged.

    >>> from cloudpub_models.sql import SQLITE
    >>> [trigger.name for trigger in touch_triggers(User, SQLITE)]
    ['users_set_updated_at']
    """
    touched = [field for field in model._meta.sorted_fields if getattr(field, "touched_on_update", False)]
    keys = [key.column_name for key in cast("Any", model._meta).get_primary_keys()]
    return tuple(touch_trigger(model._meta.table_name, field.column_name, keys, dialect) for field in touched)


def touch_trigger(table: str, column: str, keys: Sequence[str], dialect: Dialect) -> Trigger:
    """Return the trigger that sets a column to the current time where an update left it unchanged.

    Args:
        table: the table.
        column: a timestamp.
        keys: the columns of the table's primary key.
        dialect: the database's SQL.

    >>> from cloudpub_models.sql import POSTGRESQL
    >>> touch_trigger("users", "updated_at", ["id"], POSTGRESQL).name
    'users_set_updated_at'
    """
    make = _calling_trigger if dialect.triggers_call_functions else _updating_trigger
    return make(table, column, keys, dialect)


def _calling_trigger(table_name: str, column_name: str, keys: Sequence[str], dialect: Dialect) -> Trigger:
    name, table, column = _trigger_name(table_name, column_name), dialect.quote(table_name), dialect.quote(column_name)
    function = dialect.quote(f"cloudpub_set_{column_name}")
    body = f"\nBEGIN\n    NEW.{column} = clock_timestamp();\n    RETURN NEW;\nEND\n"
    statements = (
        # The function's own timezone makes the assignment right in a session of any timezone, and for a TIMESTAMPTZ
        # column too.
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET timezone = 'UTC' AS $${body}$$",
        f"CREATE OR REPLACE TRIGGER {dialect.quote(name)} BEFORE UPDATE ON {table} FOR EACH ROW "
        f"WHEN (NOT NEW.{column} IS DISTINCT FROM OLD.{column}) EXECUTE FUNCTION {function}()",
    )
    return Trigger(name, column_name, statements, statements, (body, "TimeZone=UTC"))


def _updating_trigger(table_name: str, column_name: str, keys: Sequence[str], dialect: Dialect) -> Trigger:
    # With recursive_triggers on, the inner UPDATE fires the trigger again; it stops there, because the inner UPDATE
    # either changes the column or, within one millisecond, finds no row.
    name, table, column = _trigger_name(table_name, column_name), dialect.quote(table_name), dialect.quote(column_name)
    same_row = " AND ".join(f"{key} = NEW.{key}" for key in [dialect.quote(key) for key in keys] or ["rowid"])
    now = UTC_NOW.expression(dialect)
    touch = f"UPDATE {table} SET {column} = {now} WHERE {same_row} AND {column} IS NOT {now}"  # noqa: S608 - quoted
    definition = (
        f"{dialect.quote(name)} AFTER UPDATE ON {table} FOR EACH ROW "
        f"WHEN NEW.{column} IS OLD.{column} BEGIN {touch}; END"
    )
    drop = f"DROP TRIGGER IF EXISTS {dialect.quote(name)}"
    create = (f"CREATE TRIGGER IF NOT EXISTS {definition}",)
    return Trigger(name, column_name, create, (drop, f"CREATE TRIGGER {definition}"), None)


def _trigger_name(table: str, column: str) -> str:
    return name_of_part(table, ["set"], column)


class TableMetadata(peewee.Metadata):
    """Peewee's metadata, with this library's names for indexes; it tells when the model is bound elsewhere."""

    def __init__(self, model: type[peewee.Model], database: Any = None, **options: Any) -> None:
        super().__init__(model, database, **options)
        self._declared_database = database
        self._watchers: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def elsewhere(self) -> peewee.Database | None:
        """The database that the model is bound to instead of its own, as by ``bind_ctx()``; else None."""
        return None if self.database is self._declared_database else self.database

    def watch(self, watcher: Any) -> None:
        """Have ``watcher.forget()`` called whenever the model is bound to another database."""
        self._watchers.add(watcher)

    def set_database(self, database: Any) -> None:
        """Bind the model to a database, as Peewee's method of this name does."""
        super().set_database(database)
        for watcher in list(self._watchers):
            watcher.forget()

    def fields_to_index(self) -> list[Any]:
        """Return the model's indexes, unique ones included."""
        indexes = super().fields_to_index()
        for index in indexes:
            if isinstance(index, peewee.ModelIndex):
                kind = "key" if index._unique else "idx"  # type: ignore[attr-defined]
                columns = _indexed_columns(index)
                if columns is not None and index._where is None:  # type: ignore[attr-defined]
                    index._name = name_of_part(self.table_name, columns, kind)  # type: ignore[attr-defined]
        return indexes


def _indexed_columns(index: peewee.ModelIndex) -> tuple[str, ...] | None:
    """Return the columns of an index, or None where it is over expressions."""
    expressions = index._expressions  # type: ignore[attr-defined]
    if not all(isinstance(expression, peewee.Field) for expression in expressions):
        return None
    return tuple(expression.column_name for expression in expressions)


def unique_constraints(model: type[peewee.Model]) -> list[tuple[str, ...]]:
    """Return the column groups that a model declares unique, each a constraint with its one index."""
    found = [constraint_columns(index) for index in model._meta.fields_to_index()]
    return [columns for columns in found if columns is not None]


def constraint_columns(index: object) -> tuple[str, ...] | None:
    """Return the columns of an index that is made as a UNIQUE constraint; None for any other."""
    if isinstance(index, peewee.ModelIndex) and index._unique and index._where is None:  # type: ignore[attr-defined]
        return _indexed_columns(index)
    return None


def condition_of_unique_index(model: type[peewee.Model], columns: Sequence[str], dialect: Dialect) -> str | None:
    """Return the WHERE of the unique index over some columns; ``None`` where one without it is there, or there is none.

    >>> class Address(peewee.Model):
    ...     email, left = peewee.CharField(), peewee.DateTimeField(null=True)
    >>> Address.add_index(Address.index(Address.email, unique=True, where=Address.left.is_null()))
    >>> from cloudpub_models.sql import SQLITE
    >>> condition_of_unique_index(Address, ["email"], SQLITE)
    '("left" IS NULL)'

    Raises:
        InvalidQueryError: there are several, or its WHERE has a value that cannot be written down.
    """
    wanted = set(columns)
    if any(set(unique) == wanted for unique in unique_constraints(model)):
        return None
    found = [
        index._where  # type: ignore[attr-defined]
        for index in model._meta.fields_to_index()
        if isinstance(index, peewee.ModelIndex)
        and index._unique  # type: ignore[attr-defined]
        and index._where is not None  # type: ignore[attr-defined]
        and set(_indexed_columns(index) or ()) == wanted
    ]
    if len(found) > 1:
        raise InvalidQueryError(
            f"expected one unique index of {model._meta.table_name} over {', '.join(columns)}; got {len(found)} with a "
            "WHERE each: write such rows in raw SQL, which names the one that is meant"
        )
    return _written_out(found[0], dialect) if found else None


def _written_out(condition: peewee.Node, dialect: Dialect) -> str:
    """Return a condition with its values in it: databases find an index by the text of its WHERE."""
    database: Any = unconnected(dialect)
    with current_database.bound_to(database):
        context: Any = peewee.Context(**database.get_context_options() | {"param": "\0"})
        with context.scope_values():
            text, values = context.sql(condition).query()
    first, *pieces = text.split("\0")
    return str(first) + "".join([_literal(value, dialect) + piece for value, piece in zip(values, pieces, strict=True)])


def _literal(value: Any, dialect: Dialect) -> str:
    if isinstance(value, bool):
        return str(value).upper() if dialect.typed_numbers else str(int(value))
    if isinstance(value, str) and "\0" not in value:
        return text_literal(value)
    if type(value) in (int, float, Decimal):
        return str(value)
    raise InvalidQueryError(
        f"expected text, numbers and booleans in the WHERE of a unique index; got {shown(value)}: "
        "write such rows in raw SQL"
    )


def drop_circular_references(models: Sequence[type[peewee.Model]], database: peewee.Database) -> None:
    """Drop the references in a circle between models whose tables are about to be dropped, which neither could be."""
    dialect = sql_dialect_of(database)
    if not dialect.alters_tables:
        return
    for model in models:
        for field in model._meta.refs:
            if field.deferred and field.rel_model in models and field.constraint_name is not None:
                table, constraint = dialect.quote(model._meta.table_name), dialect.quote(field.constraint_name)
                drop: str = f"ALTER TABLE IF EXISTS {table} DROP CONSTRAINT IF EXISTS {constraint}"
                database.execute_sql(drop)  # type: ignore[no-untyped-call]


class TableSchema(peewee.SchemaManager):
    """Creates the table of one model, complete."""

    def _create_table(self, safe: bool = True, **options: Any) -> Any:
        context = self._create_context()  # type: ignore[attr-defined]
        temporary = "TEMPORARY " if options.pop("temporary", False) else ""
        context.literal(f"CREATE {temporary}TABLE {'IF NOT EXISTS ' if safe else ''}").sql(self.model).literal(" ")
        parts = [*self._column_definitions(context), *self._table_constraints()]
        parts.extend(self._create_table_option_sql(options))  # type: ignore[attr-defined]
        return context.sql(peewee.EnclosedNodeList(parts))

    def _column_definitions(self, context: Any) -> Iterator[peewee.Node]:
        dialect = sql_dialect_of(self.database)
        for field in self.model._meta.sorted_fields:
            definition: list[Any] = [_without_default(field).ddl(context)]
            if isinstance(field, peewee.AutoField):
                definition.append(peewee.SQL(dialect.never_reuses_ids))
            default = server_default(field)
            if default is not None:
                definition.append(peewee.SQL(f"DEFAULT {default.expression(dialect)}"))
            yield peewee.NodeList(definition)

    def _table_constraints(self) -> Iterator[peewee.Node]:
        meta: Any = self.model._meta
        if meta.composite_key:
            keys = peewee.EnclosedNodeList([peewee.Entity(key.column_name) for key in meta.get_primary_keys()])
            yield peewee.NodeList((peewee.SQL("PRIMARY KEY"), keys))
        for columns in unique_constraints(self.model):
            name = peewee.Entity(name_of_part(meta.table_name, columns, "key"))
            entities = peewee.EnclosedNodeList([peewee.Entity(column) for column in columns])
            yield peewee.NodeList((peewee.SQL("CONSTRAINT"), name, peewee.SQL("UNIQUE"), entities))
        for field in meta.sorted_fields:
            # One to a table that is yet to come is added later, where it can be.
            if isinstance(field, peewee.ForeignKeyField) and not (
                field.deferred and sql_dialect_of(self.database).alters_tables
            ):
                yield field.foreign_key_constraint(explicit_name=True)
        yield from meta.constraints or ()

    def _create_indexes(self, safe: bool = True) -> list[Any]:
        # Peewee would make a second index beside each UNIQUE constraint.
        with current_database.bound_to(cast("peewee.Database", concrete_database(self.database))):
            return [
                self._create_index(index, safe)  # type: ignore[attr-defined]
                for index in self.model._meta.fields_to_index()
                if constraint_columns(index) is None
            ]

    def create_all(self, safe: bool = True, **table_options: Any) -> None:
        """Create table, indexes, triggers, the references that had to wait for a table, and tables of bookkeeping."""
        super().create_all(safe, **table_options)
        self._create_waiting_foreign_keys()
        for trigger in touch_triggers(self.model, sql_dialect_of(self.database)):
            for statement in trigger.create:
                self._send(statement)
        for model in getattr(self.model._meta, "bookkeeping", ()):
            TableSchema(model, database=self.database).create_all(safe)

    def drop_all(self, safe: bool = True, drop_sequences: bool = True, **options: Any) -> None:
        """Drop the table, and its tables of bookkeeping."""
        for model in getattr(self.model._meta, "bookkeeping", ()):
            TableSchema(model, database=self.database).drop_all()
        super().drop_all(safe, drop_sequences, **options)

    def create_table(self, safe: bool = True, **options: Any) -> None:
        """Create the table alone."""
        self._send(*self._create_table(safe, **options).query())

    def create_indexes(self, safe: bool = True) -> None:
        """Create the indexes."""
        for index in self._create_indexes(safe):
            self._send(*index.query())

    def _send(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        # Peewee has the driver look for parameters where there are none, and so take a check's % for one.
        if sql_dialect_of(self.database).doubles_percent and not parameters:
            sql = sql.replace("%", "%%")
        self.database.execute_sql(sql, parameters)

    def _create_waiting_foreign_keys(self) -> None:
        if not sql_dialect_of(self.database).alters_tables:
            return
        meta = self.model._meta
        for field in (*meta.refs, *meta.backrefs):
            if not field.deferred:
                continue
            tables = (field.model._meta.table_name, field.rel_model._meta.table_name)
            if not all(self.database.table_exists(table) for table in tables):
                continue
            existing = {key.column for key in self.database.get_foreign_keys(tables[0])}
            if field.column_name not in existing:
                self.create_foreign_key(field)


def _without_default(field: peewee.Field[Any]) -> peewee.Field[Any]:
    # The default is rendered by its dialect; Peewee's own DEFAULT among the constraints would be a second one.
    if not any(map(is_default, field.constraints or ())):
        return field
    plain = field.clone()
    plain.constraints = [constraint for constraint in field.constraints if not is_default(constraint)]
    return plain
