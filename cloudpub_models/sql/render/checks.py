"""What needs a whole statement to be checked: which names its tables have, and that columns refer to those.

For: ``writer``, which asks as it writes.

Not for: whether a table has a column; that is checked where the models are known.
"""

from __future__ import annotations

from collections.abc import Iterable

from cloudpub_models.errors import InvalidQueryError, UnknownTableError
from cloudpub_models.sql.nodes.expressions import Column, NamedTable, Raw, Star
from cloudpub_models.sql.nodes.query import Query


def names_of_tables(query: Query) -> frozenset[str] | None:
    """Return the names by which columns of a query may be qualified; ``None`` where SQL of the caller's own makes some.

    Raises:
        InvalidQueryError: when two tables go by one name.
    """
    named = [table.alias or table.name for table in query.tables if isinstance(table, NamedTable)]
    names = frozenset(named)
    if len(names) < len(named):
        name = next(name for name in named if named.count(name) > 1)
        raise InvalidQueryError(
            f'expected a name of its own for each table; got {name} twice: give one an alias, as in "{name} other"'
        )
    return names if len(named) == len(query.tables) else None


def unknown_table(column: Column | Star, query: Query) -> UnknownTableError:
    """Return the error for a column that is qualified by a name that none of the tables has."""
    known = ", ".join([table.known_as for table in query.tables if isinstance(table, NamedTable)])
    shown = f"{column.table}.{column.name if isinstance(column, Column) else '*'}"
    return UnknownTableError(
        f"expected a table or alias of this query ({known}) in {shown}; got {column.table}: "
        f"{_remedy(query, column.table)}"
    )


def _remedy(query: Query, missing: str | None) -> str:
    for table in query.tables:
        if isinstance(table, NamedTable) and table.name == missing and table.alias:
            return f"{table.name} has the alias {table.alias} here, so write {table.alias} instead"
    own = query.table
    if not isinstance(own, Raw) and own.alias is None:
        return f'if it is meant for {own.name}, say query("{missing}") or table("{own.name} {missing}"), else join it'
    return f'join it first, as in join("table {missing}", …)'


def unused_name(name: str, taken: Iterable[str]) -> str:
    """Return a name that is none of those taken, whatever their case: the one wished for, or one like it.

    >>> unused_name("parent", {"users"}), unused_name("parent", {"Parent", "parent_"})
    ('parent', 'parent__')
    """
    known = {other.lower() for other in taken}
    while name.lower() in known:
        name += "_"
    return name
