"""The schema that the models ask for: as a catalogue to compare with, and as tables made without migrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import peewee

from cloudpub_models.entity.binding import current_database, dialect_of
from cloudpub_models.entity.ddl import (
    TOUCH_FUNCTION_BODY,
    TOUCH_FUNCTION_SETTINGS,
    TableSchema,
    touch_triggers,
    unique_constraints,
    unique_name,
)
from cloudpub_models.entity.fields import server_default
from cloudpub_models.models import ALL_MODELS
from cloudpub_models.schema.catalogue.catalogue import (
    COUNTING,
    Catalogue,
    Check,
    Column,
    ForeignKey,
    Index,
    TableParts,
    Trigger,
    Unique,
    normalised_type,
)
from cloudpub_models.schema.catalogue.normal_form import check_constraints, index_keys, normalised, normalised_statement
from cloudpub_models.schema.catalogue.postgresql import function_body

Models = Sequence[type[peewee.Model]]


def create_all(database: peewee.Database, models: Models = ALL_MODELS) -> None:
    """Create the models' tables, with their indexes, constraints, defaults and triggers; those that exist stay.

    For tests and experiments; a database that is to live is made by the migrations.

    Args:
        database: the database.
        models: the models, each after those it refers to.
    """
    with current_database.bound_to(database), database.atomic():
        for model in models:
            _schema_of(model, database).create_all()


def table_statements(database: peewee.Database, model: type[peewee.Model]) -> list[str]:
    """Return the statements that would create a model's table, indexes and triggers."""
    with current_database.bound_to(database):
        schema: Any = _schema_of(model, database)
        statements = [schema._create_table(safe=False), *schema._create_indexes(safe=False)]
        texts = [statement.query()[0] for statement in statements]
    return [*texts, *(text for trigger in touch_triggers(model, dialect_of(database)) for text in trigger.statements)]


def expected_catalogue(database: peewee.Database, models: Models = ALL_MODELS) -> Catalogue:
    """Return the catalogue that a database has whose schema is exactly the models'.

    Derived from the models alone: nothing is sent, so it can be had where one may only read.

    Args:
        database: the database whose dialect is meant.
        models: the models.
    """
    parts = [_expected_table(database, model) for model in models]
    return Catalogue(dialect_of(database), {part.name: part.table() for part in parts})


def _schema_of(model: type[peewee.Model], database: peewee.Database) -> TableSchema:
    return TableSchema(model, database=database)


def _expected_table(database: peewee.Database, model: type[peewee.Model]) -> TableParts:
    meta, dialect = model._meta, dialect_of(database)
    context = database.get_sql_context()
    table = TableParts(meta.table_name)
    table.primary_key = tuple(key.column_name for key in cast("Any", meta).get_primary_keys())
    constraints = [_sql_of(constraint) for constraint in meta.constraints or ()]
    for field in meta.sorted_fields:
        counting = isinstance(field, peewee.AutoField)
        default = server_default(field, dialect)
        table.columns.append(
            Column(
                field.column_name,
                normalised_type(field.ddl_datatype(context).sql),
                field.null,
                COUNTING if counting else None if default is None else normalised(default),
            )
        )
        constraints.extend(_sql_of(constraint) for constraint in field.constraints or ())
        if isinstance(field, peewee.ForeignKeyField):
            table.foreign_keys.append(
                ForeignKey(
                    (field.column_name,),
                    field.rel_model._meta.table_name,
                    (field.rel_field.column_name,),
                    (field.on_delete or "NO ACTION").upper(),
                    (field.on_update or "NO ACTION").upper(),
                    field.get_constraint_name() if dialect == "postgresql" else None,
                )
            )
    table.checks = [Check(expression, name) for text in constraints for name, expression in check_constraints(text)]
    table.uniques = [
        Unique(columns, unique_name(meta.table_name, columns) if dialect == "postgresql" else None)
        for columns in unique_constraints(model)
    ]
    table.indexes = [
        Index(cast("Any", index)._name, index_keys(_statement_of(index, database)))
        for index in meta.fields_to_index()
        if isinstance(index, peewee.Index) and not cast("Any", index)._unique and cast("Any", index)._where is None
    ]
    body = function_body(TOUCH_FUNCTION_BODY, TOUCH_FUNCTION_SETTINGS) if dialect == "postgresql" else None
    table.triggers = [
        Trigger(trigger.name, normalised_statement(trigger.statements[-1]), body)
        for trigger in touch_triggers(model, dialect)
    ]
    return table


def _statement_of(index: peewee.Index, database: peewee.Database) -> str:
    context: Any = database.get_sql_context()
    return str(context.sql(index).query()[0])


def _sql_of(constraint: Any) -> str:
    """Return the text of a constraint as Peewee's Check and SQL make it."""
    if isinstance(constraint, peewee.NodeList):
        return " ".join(_sql_of(node) for node in cast("Any", constraint).nodes)
    if isinstance(constraint, peewee.Entity):
        return ".".join(f'"{part}"' for part in cast("Any", constraint)._path)
    return str(getattr(constraint, "sql", ""))
