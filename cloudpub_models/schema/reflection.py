"""Peewee's introspector, for code that imports also where tables refer to each other in a circle.

``pwiz`` names such a circle and writes a reference to a class that stands further down. How it writes models is its own
business; here only what it is told of the references differs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from playhouse.reflection import Column, DatabaseMetadata  # type: ignore[import-untyped]
from playhouse.reflection import Introspector as PeeweeIntrospector


class _DeferredColumn(Column):  # type: ignore[misc]
    """A column whose reference is written as one to a class that comes later."""

    def get_field_parameters(self) -> dict[str, Any]:
        """Return what its field is written with, the model's name in front and as text."""
        parameters: dict[str, Any] = super().get_field_parameters()
        parameters["rel_model_name"] = f"'{parameters.pop('model')}'"
        return parameters

    def get_field(self) -> str:
        """Return the line that makes its field."""
        line: str = super().get_field()
        return line.replace(" = ForeignKeyField(", " = DeferredForeignKey(", 1)


class Introspector(PeeweeIntrospector):  # type: ignore[misc]
    """Peewee's introspector, which defers the references that close a circle.

    >>> import pwiz
    >>> pwiz.print_models(Introspector.from_database(database), ["functions"])  # doctest: +ELLIPSIS
    from peewee import *
    ...
    class FunctionDeployments(BaseModel):
    ...
        function = DeferredForeignKey(column_name='function_id', ...
    """

    def introspect(
        self, table_names: Collection[str] | None = None, *arguments: Any, **options: Any
    ) -> DatabaseMetadata:
        """Return what Peewee's own one finds, with a deferred reference for each that closes a circle.

        Args:
            table_names: which tables are asked for; ``None`` for all.
            *arguments: as in Peewee.
            **options: as in Peewee.
        """
        found = super().introspect(table_names, *arguments, **options)
        # As those are written that are asked for, what they refer to before them.
        visited: set[str] = set()
        for table in sorted(found.columns, key=lambda table: (table not in (table_names or ()), table)):
            _defer_circles(found, table, (), visited)
        return found


def _defer_circles(found: DatabaseMetadata, table: str, leading: tuple[str, ...], visited: set[str]) -> None:
    """Defer the references with which a table, or one that it refers to, comes back to what has led to it."""
    if table in visited:
        return
    visited.add(table)
    kept = []
    for key in found.foreign_keys[table]:
        if key.dest_table in leading:
            # Not one of those by which tables are put in order: what it refers to comes after it.
            found.columns[table][key.column].__class__ = _DeferredColumn
        else:
            kept.append(key)
            _defer_circles(found, key.dest_table, (*leading, table), visited)
    found.foreign_keys[table] = kept
