"""``Scope``: one more condition that every statement of a manager holds to, as an owner's rows would be.

It says which rows of which tables there are; the managers complete what they send by it and refuse what it cannot hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import peewee

from cloudpub_models.errors import UnguardedError
from cloudpub_models.manager.arguments.conditions import ALL_ROWS, AllRows, Combined
from cloudpub_models.manager.arguments.dotted import is_dotted

Rows = Mapping[str, Any] | peewee.Node | Combined | AllRows


class Scope:
    """The rows that some managers see and change, and no others.

    Whatever such a manager sends carries the condition of its table: reading, counting, writing, included rows, streams
    and pages. A row that is inserted or updated has to stay inside: a column that the condition compares with one value
    takes that value where it is not named, and no other. What no condition can be added to (SQL of one's own, queries
    of the builder) is refused, and so is a table that the scope does not name.

    Attributes:
        rows: for each model its rows: conditions as ``find_all`` takes them, or ``ALL_ROWS`` for a table that is not
            limited.
        name: what error messages call it.

    >>> from cloudpub_models import Function, Manager
    >>> hers = Manager(Function, database, scope=Scope({Function: {"user_id": ada.id}}, "the functions of ada"))
    >>> hers.count(), hers.insert({"name": "crop"}).user_id == ada.id
    (1, True)
    >>> hers.raw("SELECT id FROM functions")
    Traceback (most recent call last):
    ...
    cloudpub_models.errors.UnguardedError: expected a call that the functions of ada can hold; got raw(), ...

    ``SELECT COUNT(*) AS count FROM functions WHERE user_id = @param_0``
    """

    def __init__(self, rows: Mapping[type[peewee.Model], Rows], name: str = "the scope") -> None:
        self.rows = dict(rows)
        self.name = name

    def __repr__(self) -> str:
        return f"Scope({', '.join(model._meta.table_name for model in self.rows)})"


def rows_of(scope: Scope, model: type[peewee.Model]) -> Rows:
    """Return the condition that a scope has for a model's rows.

    Raises:
        UnguardedError: it does not say which rows of the table there are.
    """
    try:
        return scope.rows[model]
    except KeyError:
        raise UnguardedError(
            f"expected a table of {scope.name} ({', '.join(known._meta.table_name for known in scope.rows)}); "
            f"got {model._meta.table_name}: name it in the scope, with ALL_ROWS where it is not limited"
        ) from None


def conditions_of(scope: Scope, model: type[peewee.Model]) -> Mapping[str, Any]:
    """Return the columns by which a scope tells a model's rows, to hold to it what is written.

    Raises:
        UnguardedError: its condition is of another kind, so that nothing tells which rows may be written.
    """
    rows = rows_of(scope, model)
    if isinstance(rows, Mapping) and not is_dotted(rows):
        return rows
    if rows is ALL_ROWS:
        return {}
    raise UnguardedError(
        f"expected columns and values, to hold what is written to {model._meta.table_name} to {scope.name}; got "
        "another condition: write with a manager that has no scope"
    )


def require_all_rows(scope: Scope, model: type[peewee.Model]) -> None:
    """Raise UnguardedError where a scope limits a table that a statement only passes through."""
    if rows_of(scope, model) is not ALL_ROWS:
        raise UnguardedError(
            f"expected a relation through a table of which {scope.name} has all rows; got "
            f"{model._meta.table_name}: read its rows themselves, with their references included"
        )


def refuse(scope: Scope | None, call: str) -> None:
    """Raise UnguardedError for a call to whose SQL no condition can be added, where there is a scope."""
    if scope is not None:
        raise UnguardedError(
            f"expected a call that {scope.name} can hold; got {call}, whose SQL is its caller's own: "
            "use the finding and writing operations, or a manager that has no scope"
        )
