"""What the migrators that scripts are given on either database have in common, on top of playhouse's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import peewee
from playhouse.migrate import Operation  # type: ignore[import-untyped]
from playhouse.migrate import operation as playhouse_operation

from cloudpub_models.entity.binding import sql_dialect_of
from cloudpub_models.entity.ddl import touch_trigger
from cloudpub_models.entity.fields import EnumField, ServerDefault, is_default, name_of_part, server_default
from cloudpub_models.errors import MigrationError

P = ParamSpec("P")
M = TypeVar("M", bound="MigratorOfEntities")

REMADE_SUFFIX = "__new"
"""What the name of a table ends in while it is made anew."""


def operation(fn: Callable[Concatenate[M, P], Any]) -> Callable[Concatenate[M, P], Operation]:
    """Make a method of a migrator return an operation, which sends what the method returns once it is run."""
    return cast("Callable[Concatenate[M, P], Operation]", playhouse_operation(fn))


class MigratorOfEntities:
    """Part of a migrator.

    Attributes:
        lossless: statements that it has made which look as if they threw something away, and how often it made each.
    """

    database: peewee.Database
    make_context: Callable[[], Any]
    add_index: Callable[..., Operation]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lossless: Counter[str] = Counter()

    def _keys_of(self, table: str) -> list[str]:
        return [str(name) for name in self.database.get_primary_keys(table)]

    @operation
    def add_touch_trigger(self, table: str, column_name: str) -> list[peewee.Node]:
        """Have updates that leave a column of moments unchanged set it to the current time."""
        dialect = sql_dialect_of(self.database)
        trigger = touch_trigger(table, column_name, self._keys_of(table), dialect)
        return [peewee.SQL(statement) for statement in trigger.replace]

    @operation
    def drop_touch_trigger(self, table: str, column_name: str) -> peewee.Node:
        """Have no update set a column by itself any more."""
        dialect = sql_dialect_of(self.database)
        name = dialect.quote(touch_trigger(table, column_name, (), dialect).name)
        place = f" ON {dialect.quote(table)}" if dialect.triggers_call_functions else ""
        return peewee.SQL(f"DROP TRIGGER {name}{place}")

    def type_of(self, field: peewee.Field[Any]) -> str:
        """Return the type of a field's column."""
        return str(field.ddl_datatype(self.make_context()).sql)

    def text_of(self, node: peewee.Node | str) -> str:
        """Return a piece of SQL as text, with its values in it."""
        if isinstance(node, str):
            return node
        sql, parameters = self.make_context().sql(peewee.ValueLiterals(node)).query()
        if parameters:
            raise ValueError("expected SQL without parameters; got some: write the values into its text")
        return str(sql)


class ColumnToAdd:
    """What a field says of a column that a table is to get.

    Attributes:
        name: the column's name.
        type: its type.
        not_null: whether it may not be NULL.
        default: its default in the database.
        value: what it is in the rows that are there, where that takes a default of Python's.
        constraints: its constraints.
        reference: itself, where it refers to another table.
        constraint_name: the name of that reference.
        is_indexed: whether it has an index.
        is_unique: whether each value may be there once.
        index_name: the name of the index.

    Raises:
        MigrationError: it may not be NULL and has no default.
    """

    def __init__(
        self, migrator: MigratorOfEntities, table: str, name: str, field: peewee.Field[Any], allow_not_null: bool
    ) -> None:
        own: Any = field.clone()
        own.name = own.column_name = name
        self.name = name
        self.reference: peewee.ForeignKeyField[Any] | None = None
        if isinstance(own, peewee.ForeignKeyField):
            meta = own.rel_model._meta
            known = own.rel_field
            own.rel_field = meta.combined[known] if isinstance(known, str) else known or meta.primary_key
            self.reference = own
        if isinstance(own, peewee.BlobField):
            # Peewee tells it how the driver takes bytes once it is a model's.
            cast("Any", own)._db_hook(migrator.database)
        self.type = migrator.type_of(own)
        self.not_null = not own.null
        self.default: ServerDefault | None = server_default(own)
        value = own.default() if callable(own.default) else own.default
        if self.not_null and self.default is None and value is None and not allow_not_null:
            raise MigrationError(
                f"expected a default for {table}.{name}, which may not be NULL; got none for the rows that are there: "
                "give it one, or add it with null=True, fill it, and call add_not_null"
            )
        self.value = own.db_value(value) if self.not_null and self.default is None else None
        constraints = [constraint for constraint in own.constraints or () if not is_default(constraint)]
        if isinstance(own, EnumField):
            constraints.append(own.check_for(table, name))
        self.constraints = [migrator.text_of(constraint) for constraint in constraints]
        self.constraint_name = name_of_part(table, [name], "fkey")
        self.is_unique, self.is_indexed = bool(own.unique), bool(own.index or own.unique)
        self.index_name = name_of_part(table, [name], "key" if own.unique else "idx")
