"""The schema that models ask for: as a catalogue to compare with, and as tables made without migrations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import peewee

from cloudpub_models.entity import ddl
from cloudpub_models.entity.binding import current_database, sql_dialect_of, unconnected
from cloudpub_models.entity.ddl import TableSchema, constraint_columns, touch_triggers, unique_constraints
from cloudpub_models.entity.fields import name_of_part, server_default
from cloudpub_models.schema.catalogue.catalogue import (
    COUNTING,
    Catalogue,
    Check,
    Column,
    ForeignKey,
    Index,
    Table,
    TableParts,
    Trigger,
    Unique,
    function_text,
    normalised_type,
)
from cloudpub_models.schema.catalogue.normal_form import check_constraints, normalised, normalised_statement
from cloudpub_models.schema.catalogue.read import reader_of
from cloudpub_models.sql.dialects import Dialect

Models = Sequence[type[peewee.Model]]


def create_all(database: peewee.Database, models: Models) -> None:
    """Create the models' tables, with their indexes, constraints, defaults and triggers; those that exist stay.

    For tests and experiments; a database that is to live is made by the migrations.

    Args:
        database: the database.
        models: the models, each after those it refers to.
    """
    with current_database.bound_to(database), database.atomic():
        for model in models:
            TableSchema(model, database=database).create_all()


def table_statements(dialect: Dialect, model: type[peewee.Model]) -> list[str]:
    """Return the statements that would create a model's table, indexes and triggers.

    >>> from cloudpub_models.sql import SQLITE
    >>> table_statements(SQLITE, User)[1]
    'CREATE UNIQUE INDEX "users_email_lower_key" ON "users" (LOWER("email"))'
    """
    database = unconnected(dialect)
    with current_database.bound_to(database):
        schema: Any = TableSchema(model, database=database)
        statements = [schema._create_table(safe=False), *schema._create_indexes(safe=False)]
        texts = [statement.query()[0] for statement in statements]
    return [*texts, *(text for trigger in touch_triggers(model, dialect) for text in trigger.create)]


def expected_catalogue(dialect: Dialect, models: Models) -> Catalogue:
    """Return the catalogue that a database has whose schema is exactly the models'.

    Derived from the models alone: nothing is sent, so it can be had without a database.

    >>> from cloudpub_models.sql import POSTGRESQL
    >>> expected_catalogue(POSTGRESQL, [User]).tables["users"].columns["email"].type
    'varchar(255)'
    """
    database = unconnected(dialect)
    with current_database.bound_to(database):
        parts = [_expected_table(dialect, database, model) for model in models]
    return Catalogue(dialect, {part.name: part.table() for part in parts})


def expected_in_own_words(database: peewee.Database, models: Models) -> Catalogue:
    """Return the catalogue that a database has whose schema is exactly the models', in the words of its server.

    Args:
        database: the database; nothing that this makes is kept.
        models: the models.
    """
    dialect = sql_dialect_of(database)
    expected = expected_catalogue(dialect, models)
    referred = _with_those_referred_to(models)
    parts = reader_of(dialect).tables_in_own_words(
        database, lambda: create_all(database, referred), set(expected.tables)
    )
    if parts is None:
        return expected
    own = {part.name: part.table() for part in parts}
    return Catalogue(dialect, {name: _in_words_of(own[name], table) for name, table in expected.tables.items()})


def _with_those_referred_to(models: Models) -> list[type[peewee.Model]]:
    found: dict[type[peewee.Model], None] = {}

    def add(model: type[peewee.Model]) -> None:
        if model not in found:
            found[model] = None
            for other in model._meta.refs.values():
                add(other)

    for model in models:
        add(model)
    return list(cast("Any", peewee).sort_models(list(found)))


def _in_words_of(own: Table, expected: Table) -> Table:
    """Return a table as a server has it, with the SQL of the models, as far as it is theirs."""
    uniques = {unique.name: unique for unique in expected.uniques}
    indexes = {index.name: index for index in expected.indexes}
    checks = {check.name: check for check in expected.checks if check.name is not None}
    return replace(
        own,
        columns={
            name: replace(own.columns[name], default_sql=column.default_sql)
            for name, column in expected.columns.items()
        },
        uniques=tuple(
            replace(unique, keys=uniques[unique.name].keys, sql=uniques[unique.name].sql)
            if unique.name in uniques
            else unique
            for unique in own.uniques
        ),
        indexes=tuple(
            replace(index, keys=indexes[index.name].keys, sql=indexes[index.name].sql)
            for index in own.indexes
            if index.name in indexes
        ),
        checks=tuple(
            replace(check, sql=checks[check.name].sql) if check.name in checks else check for check in own.checks
        ),
        triggers=expected.triggers,
    )


def _expected_table(dialect: Dialect, database: peewee.Database, model: type[peewee.Model]) -> TableParts:
    meta, reader = model._meta, reader_of(dialect)
    context = database.get_sql_context()
    table = TableParts(meta.table_name)
    table.primary_key = tuple(key.column_name for key in cast("Any", meta).get_primary_keys())
    constraints = [_sql_of(constraint) for constraint in meta.constraints or ()]
    for field in meta.sorted_fields:
        kind = normalised_type(field.ddl_datatype(context).sql)
        if isinstance(field, peewee.AutoField):
            table.columns.append(Column(field.column_name, kind, field.null, COUNTING))
        else:
            declared = server_default(field)
            default = None if declared is None else declared.expression(dialect)
            comparable = None if default is None else normalised(default, dialect)
            table.columns.append(Column(field.column_name, kind, field.null, comparable, default))
        constraints.extend(_sql_of(constraint) for constraint in field.constraints or ())
        if isinstance(field, peewee.ForeignKeyField):
            table.foreign_keys.append(
                ForeignKey(
                    (field.column_name,),
                    field.rel_model._meta.table_name,
                    (field.rel_field.column_name,),
                    (field.on_delete or "NO ACTION").upper(),
                    (field.on_update or "NO ACTION").upper(),
                    reader.known_name(field.get_constraint_name()),
                )
            )
    table.checks = [
        Check(expression, name, text)
        for text in constraints
        for name, expression, _ in check_constraints(text, dialect)
    ]
    table.uniques = [
        Unique(columns, reader.known_name(name_of_part(meta.table_name, columns, "key")))
        for columns in unique_constraints(model)
    ]
    for index in _expected_indexes(dialect, database, model):
        if index.unique:
            table.uniques.append(Unique(index.columns, index.name, is_index=True, keys=index.keys, sql=index.sql))
        else:
            table.indexes.append(index)
    table.triggers = [expected_trigger(trigger, dialect) for trigger in touch_triggers(model, dialect)]
    return table


def expected_trigger(made: ddl.Trigger, dialect: Dialect) -> Trigger:
    """Return a trigger that a model's table has as the catalogue would have it."""
    body = None if made.function is None else function_text(*made.function)
    return Trigger(made.name, normalised_statement(made.create[-1], dialect), body)


def _expected_indexes(dialect: Dialect, database: peewee.Database, model: type[peewee.Model]) -> Iterator[Index]:
    indexes: list[Any] = [index for index in model._meta.fields_to_index() if isinstance(index, peewee.Index)]
    for index in indexes:
        if index._where is not None or constraint_columns(index) is not None:
            continue
        keys = tuple(_key_text(dialect, database, key) for key in index._expressions)
        if index._using is None:
            # As Peewee's, with fewer quotes, for people to read.
            name, table = dialect.quote(index._name), dialect.quote(model._meta.table_name)
            kind = "UNIQUE INDEX" if index._unique else "INDEX"
            statement = f"CREATE {kind} {name} ON {table} ({', '.join(keys)})"
        else:
            context: Any = database.get_sql_context()
            statement = str(context.sql(index.safe(False)).query()[0])
        # In which direction a key is ordered is no part of what is compared.
        columns = tuple(re.sub(r" (asc|desc)( nulls (first|last))?$", "", normalised(key, dialect)) for key in keys)
        yield Index(index._name, columns, keys=keys, sql=statement, unique=index._unique)


def _key_text(dialect: Dialect, database: peewee.Database, key: Any) -> str:
    if isinstance(key, peewee.Field):
        return dialect.quote(key.column_name)
    if isinstance(key, str):
        return key
    context: Any = database.get_sql_context()
    with context.scope_values(subquery=True):
        return str(context.sql(key).query()[0])


def _sql_of(constraint: Any) -> str:
    """Return the text of a constraint as Peewee's Check and SQL make it."""
    if isinstance(constraint, peewee.NodeList):
        return " ".join(_sql_of(node) for node in cast("Any", constraint).nodes)
    if isinstance(constraint, peewee.Entity):
        return ".".join('"' + part.replace('"', '""') + '"' for part in cast("Any", constraint)._path)
    return str(getattr(constraint, "sql", ""))
