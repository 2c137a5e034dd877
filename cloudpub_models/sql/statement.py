"""A statement: its SQL, which is a ``str``, with the values of its parameters beside it.

For: handing what a builder made to whoever runs it, rendered for the database that turns out to run it.

Not for: running it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cloudpub_models.sql.dialects import POSTGRESQL, Dialect


class PreparableSql(str):
    """A text in a driver's notation, each of whose parameters takes its type from the column that it belongs to.

    So it means the same as a prepared statement, in which the types of the values are not known beforehand. And where
    one of its tables has no rows it finds nothing, or needs none.
    """

    __slots__ = ()


class LookupSql(PreparableSql):
    """The text of a lookup, as of one row by a unique column: what takes longer to plan than to run.

    Attributes:
        locks: of one that finds several rows, the tables that it reads, as SQL has their names; where it is prepared it
            waits for them before it decides which rows it sees, of which it would show a part otherwise.
    """

    __slots__ = ("locks",)

    locks: tuple[str, ...]

    def __new__(cls, text: str, locks: Sequence[str] = ()) -> LookupSql:
        """Mark a text."""
        lookup = super().__new__(cls, text)
        lookup.locks = tuple(locks)
        return lookup


class Statement(str):
    """SQL with ``@name`` parameters, and their values in ``parameters``.

    >>> from cloudpub_models.sql import SQLITE, QueryBuilder
    >>> statement = QueryBuilder().table("functions").where_in("status", ["active", "building"]).build_select()
    >>> print(statement)
    SELECT * FROM functions WHERE status = ANY(@param_0)
    >>> statement.parameters
    {'param_0': ['active', 'building']}
    >>> print(statement.render(SQLITE))
    SELECT * FROM functions WHERE status IN (SELECT value FROM json_each(@param_0))
    """

    __slots__ = ("_renderer", "dialect", "parameters")

    # The values by the name of their parameter. A list of class `values.Members` is the members of an IN list.
    parameters: dict[str, Any]
    # The database whose SQL the text is.
    dialect: Dialect
    _renderer: Callable[[Dialect], str] | None

    def __new__(
        cls,
        text: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        dialect: Dialect = POSTGRESQL,
        renderer: Callable[[Dialect], str] | None = None,
    ) -> Statement:
        """Make a statement of its text; ``renderer`` gives the text for another database, where that differs."""
        statement = super().__new__(cls, text)
        statement.parameters = {} if parameters is None else dict(parameters)
        statement.dialect = dialect
        statement._renderer = renderer
        return statement

    def render(self, dialect: Dialect) -> Statement:
        """Return the statement as ``dialect`` writes it, with the same parameters.

        >>> from cloudpub_models.sql import SQLITE, QueryBuilder
        >>> print(QueryBuilder().table("users").where_in("id", [1, 2]).build_select().render(SQLITE))
        SELECT * FROM users WHERE id IN (SELECT value FROM json_each(@param_0))
        """
        if self._renderer is None or dialect is self.dialect:
            return self
        return Statement(self._renderer(dialect), self.parameters, dialect=dialect, renderer=self._renderer)

    def __repr__(self) -> str:
        """Show the text and the parameters' names; never their values, which may be secret."""
        return f"Statement({str(self)!r}, parameters=[{', '.join(self.parameters)}])"

    def __str__(self) -> str:
        """Return the text as a plain ``str``."""
        return str.__str__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the parameters."""
        return _restore, (str(self), self.parameters, self.dialect, self._renderer)


def _restore(
    text: str, parameters: dict[str, Any], dialect: Dialect, renderer: Callable[[Dialect], str] | None
) -> Statement:
    return Statement(text, parameters, dialect=dialect, renderer=renderer)
