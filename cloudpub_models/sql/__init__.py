"""Text in, SQL out: the query builder, operators, dialects, and the ``@name`` parameters of raw SQL.

This room is pure. It knows no connection, no driver, no Peewee and no model; whoever has those calls it.

- what users write: ``QueryBuilder``, ``operators``, ``raw``
- what comes out: ``Statement``
- what the rooms above share: ``Query`` and ``render.writer.write``, ``text.parameters.bind``, ``encode``, ``Dialect``
"""

from typing import TYPE_CHECKING, Any

from cloudpub_models.sql.dialects import POSTGRESQL, SQLITE, Dialect
from cloudpub_models.sql.statement import Statement
from cloudpub_models.sql.values import Members, encode

if TYPE_CHECKING:
    from cloudpub_models.sql import operators
    from cloudpub_models.sql.builder.builder import QueryBuilder
    from cloudpub_models.sql.nodes.expressions import NamedTable, raw
    from cloudpub_models.sql.nodes.query import PARAMETER, Conflict, Join, OrderBy, Query

__all__ = [
    "PARAMETER",
    "POSTGRESQL",
    "SQLITE",
    "Conflict",
    "Dialect",
    "Join",
    "Members",
    "NamedTable",
    "OrderBy",
    "Query",
    "QueryBuilder",
    "Statement",
    "encode",
    "operators",
    "raw",
]

# What queries are made of is not needed to open a database, which is when a program starts.
_NAMES_OF = {
    "builder.builder": ("QueryBuilder",),
    "nodes.expressions": ("NamedTable", "raw"),
    "nodes.query": ("PARAMETER", "Conflict", "Join", "OrderBy", "Query"),
}
_HOMES = {name: module for module, names in _NAMES_OF.items() for name in names}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        from importlib import import_module

        if name == "operators":
            return import_module("cloudpub_models.sql.operators")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"cloudpub_models.sql.{_HOMES[name]}"), name)
        globals()[name] = found
        return found
