"""The DDL of a model's table: what Peewee's ``create_tables`` sends for the models of this library.

Peewee creates columns, indexes and foreign keys. Added here is what the design asks of the database itself: defaults
in its own words, UNIQUE constraints (each with its one index), the ``updated_at`` triggers, references in a circle, ids
that are never used twice, and names that follow one scheme (PostgreSQL's own, so that the constraints of a schema that
somebody else wrote are mostly called the same).

The migrations do not use this module: they are frozen. A test proves that both give the same schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import peewee

from cloudpub_models.entity.binding import Dialect, dialect_of
from cloudpub_models.entity.fields import TimestampField, server_default

_LONGEST_NAME = 63

TOUCH_FUNCTION = "cloudpub_set_updated_at"
# The function's own timezone makes the assignment right in a session of any timezone, and for a TIMESTAMPTZ column too.
TOUCH_FUNCTION_SETTINGS = "TimeZone=UTC"
TOUCH_FUNCTION_BODY = """
BEGIN
    NEW.updated_at = clock_timestamp();
    RETURN NEW;
END
"""
TOUCH_FUNCTION_DEFINITION = (
    f"CREATE OR REPLACE FUNCTION {TOUCH_FUNCTION}() RETURNS trigger LANGUAGE plpgsql SET timezone = 'UTC' "
    f"AS $${TOUCH_FUNCTION_BODY}$$"
)


class Trigger(NamedTuple):
    """A trigger that a model's table has, with the statements that make it."""

    table: str
    name: str
    statements: tuple[str, ...]


def unique_name(table: str, columns: Iterable[str]) -> str:
    """Return the name of a UNIQUE constraint: ``users_email_key``."""
    return "_".join((table, *columns, "key"))


def index_name(table: str, columns: Iterable[str]) -> str:
    """Return the name of an index: ``functions_user_id_idx``; too long a one is cut as PostgreSQL cuts its own."""
    listed = "_".join(columns)
    while len(f"{table}_{listed}_idx") > _LONGEST_NAME:
        table, listed = (table[:-1], listed) if len(table) > len(listed) else (table, listed[:-1])
    return f"{table}_{listed}_idx"


def touch_triggers(model: type[peewee.Model], dialect: Dialect) -> tuple[Trigger, ...]:
    """Return the triggers that set a model's ``updated_at`` where an update left it unchanged."""
    meta = model._meta
    field = meta.columns.get("updated_at")
    if not (isinstance(field, TimestampField) and field.touched_on_update):
        return ()
    table, name = meta.table_name, f"{meta.table_name}_set_updated_at"
    if dialect == "postgresql":
        create = (
            f"CREATE OR REPLACE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW "
            f"WHEN (NOT NEW.updated_at IS DISTINCT FROM OLD.updated_at) EXECUTE FUNCTION {TOUCH_FUNCTION}()"
        )
        return (Trigger(table, name, (TOUCH_FUNCTION_DEFINITION, create)),)
    # With recursive_triggers on, the inner UPDATE fires the trigger again; it stops there, because the inner UPDATE
    # either changes updated_at or, within one millisecond, finds no row.
    now = server_default(field, dialect)
    key = cast("peewee.Field[Any]", meta.primary_key).column_name
    touch = f"UPDATE {table} SET updated_at = {now} WHERE {key} = NEW.{key} AND updated_at IS NOT {now}"  # noqa: S608
    create = (
        f"CREATE TRIGGER IF NOT EXISTS {name} AFTER UPDATE ON {table} FOR EACH ROW "
        f"WHEN NEW.updated_at IS OLD.updated_at BEGIN {touch}; END"
    )
    return (Trigger(table, name, (create,)),)


class TableMetadata(peewee.Metadata):
    """Peewee's metadata, with this library's names for indexes."""

    def fields_to_index(self) -> list[Any]:
        """Return the model's indexes, unique ones included."""
        indexes = super().fields_to_index()
        for index in indexes:
            if isinstance(index, peewee.ModelIndex):
                name = unique_name if index._unique else index_name  # type: ignore[attr-defined]
                columns = indexed_columns(index)
                if columns is not None and index._where is None:  # type: ignore[attr-defined]
                    index._name = name(self.table_name, columns)  # type: ignore[attr-defined]
        return indexes


def indexed_columns(index: peewee.ModelIndex) -> tuple[str, ...] | None:
    """Return the columns of an index, or None where it is over expressions."""
    expressions = index._expressions  # type: ignore[attr-defined]
    if not all(isinstance(expression, peewee.Field) for expression in expressions):
        return None
    return tuple(expression.column_name for expression in expressions)


def unique_constraints(model: type[peewee.Model]) -> list[tuple[str, ...]]:
    """Return the column groups that a model declares unique, each a constraint with its one index."""
    found = [_plain_unique_columns(index) for index in model._meta.fields_to_index()]
    return [columns for columns in found if columns is not None]


def _plain_unique_columns(index: object) -> tuple[str, ...] | None:
    if isinstance(index, peewee.ModelIndex) and index._unique and index._where is None:  # type: ignore[attr-defined]
        return indexed_columns(index)
    return None


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
        dialect = dialect_of(self.database)
        for field in self.model._meta.sorted_fields:
            definition: list[Any] = [_without_default(field).ddl(context)]
            if isinstance(field, peewee.AutoField) and dialect == "sqlite":
                # Without it SQLite gives the id of a deleted last row to the next one; PostgreSQL never does.
                definition.append(peewee.SQL("AUTOINCREMENT"))
            default = server_default(field, dialect)
            if default is not None:
                definition.append(peewee.SQL(f"DEFAULT {default}"))
            yield peewee.NodeList(definition)

    def _table_constraints(self) -> Iterator[peewee.Node]:
        meta = self.model._meta
        for columns in unique_constraints(self.model):
            name = peewee.Entity(unique_name(meta.table_name, columns))
            entities = peewee.EnclosedNodeList([peewee.Entity(column) for column in columns])
            yield peewee.NodeList((peewee.SQL("CONSTRAINT"), name, peewee.SQL("UNIQUE"), entities))
        for field in meta.sorted_fields:
            # SQLite cannot add a reference later, and takes one to a table that is yet to come.
            if isinstance(field, peewee.ForeignKeyField) and (
                not field.deferred or dialect_of(self.database) == "sqlite"
            ):
                yield field.foreign_key_constraint(explicit_name=True)
        yield from meta.constraints or ()

    def _create_indexes(self, safe: bool = True) -> list[Any]:
        # Peewee would make a second index beside each UNIQUE constraint.
        return [
            self._create_index(index, safe)  # type: ignore[attr-defined]
            for index in self.model._meta.fields_to_index()
            if _plain_unique_columns(index) is None
        ]

    def create_all(self, safe: bool = True, **table_options: Any) -> None:
        """Create table, indexes, triggers, and the references that had to wait for a table."""
        super().create_all(safe, **table_options)
        self._create_waiting_foreign_keys()
        for trigger in touch_triggers(self.model, dialect_of(self.database)):
            for statement in trigger.statements:
                self.database.execute_sql(statement)

    def _create_waiting_foreign_keys(self) -> None:
        if dialect_of(self.database) == "sqlite":
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
    if not any(_is_default(constraint) for constraint in field.constraints or ()):
        return field
    plain = field.clone()
    plain.constraints = [constraint for constraint in field.constraints if not _is_default(constraint)]
    return plain


def _is_default(constraint: object) -> bool:
    return str(getattr(constraint, "sql", "")).upper().startswith("DEFAULT ")
