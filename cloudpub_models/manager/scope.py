"""``Scope``: one more condition that every statement of a manager holds to, as an owner's rows would be.

It says which rows of which tables there are; the managers complete what they send by it and refuse what it cannot hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import peewee

from cloudpub_models.entity.origin import Origin
from cloudpub_models.errors import UnguardedError
from cloudpub_models.manager.arguments.conditions import ALL_ROWS, AllRows, Combined
from cloudpub_models.manager.arguments.dotted import is_dotted
from cloudpub_models.manager.relations import Link
from cloudpub_models.sql.identifiers import shown
from cloudpub_models.sql.records import Record

# What may stand in an expression of a closed scope, beside names, values and numbers.
_FUNCTIONS = ("ABS", "COALESCE", "LENGTH", "LOWER", "NULLIF", "ROUND", "UPPER")
_WORDS = frozenset(
    "AND OR NOT IN IS NULL TRUE FALSE LIKE ILIKE BETWEEN ESCAPE CASE WHEN THEN ELSE END DISTINCT FROM".split()  # noqa: SIM905
).union(_FUNCTIONS)
_KINDS = frozenset(["space", "quoted", "number", "string"])
_MARKS = frozenset("()+-*/<>=!%|&~.,")

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
        closed: whether references to rows outside are refused too, as if those were not there, and Peewee's expressions
            that ask for more than columns.
        owners: model → its reference to the row that tells, in its own table, whether a row is in the scope.
        settings: what PostgreSQL's row security is told with every statement, where it is on.
        origin: where rows are from that are read in it; where the manager is, when left out.
        statements: those of the managers that have it, by model and database.

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

    closed = False
    owners: Mapping[type[peewee.Model], peewee.ForeignKeyField[Any]] = {}
    settings: Mapping[str, str] = {"cloudpub.unrestricted": "on"}
    origin: Origin | None = None

    def __init__(self, rows: Mapping[type[peewee.Model], Rows], name: str = "the scope") -> None:
        self.rows = dict(rows)
        self.name = name
        self.statements: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(model._meta.table_name for model in self.rows)})"


UNRESTRICTED = Scope({}, "all rows")
"""In place of a scope: all rows, where they have been asked for or their managers have seen to whose they are."""


def unowned() -> UnguardedError:
    """Return the error for managers of all rows where an owner is required."""
    return UnguardedError(
        "expected managers of an owner's rows, which the database requires; got those of all rows: take "
        "managers.owned_by(user), or managers.unrestricted(reason) where all are meant"
    )


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

    There are none where a reference tells it (``owners``).

    Raises:
        UnguardedError: its condition is of another kind, so that nothing tells which rows may be written.
    """
    rows = rows_of(scope, model)
    if isinstance(rows, Mapping) and not is_dotted(rows):
        return rows
    if rows is ALL_ROWS or model in scope.owners:
        return {}
    raise UnguardedError(
        f"expected columns and values, to hold what is written to {model._meta.table_name} to {scope.name}; got "
        "another condition: write with a manager that has no scope"
    )


def is_limited(scope: Scope, model: type[peewee.Model]) -> bool:
    """Return whether a scope says which rows of a model there are, and not that it has them all."""
    return scope.rows.get(model, ALL_ROWS) is not ALL_ROWS


def stays_inside(scope: Scope, model: type[peewee.Model], link: Link) -> bool:
    """Return whether a step from a row of a scope leads to one that is of it too, by that alone."""
    key = scope.owners.get(model)
    return key is not None and (key.column_name, key.rel_model) == (link.column, link.model)


def require_all_rows(scope: Scope, model: type[peewee.Model]) -> None:
    """Raise UnguardedError where a scope limits a table that a statement only passes through."""
    if rows_of(scope, model) is not ALL_ROWS:
        raise UnguardedError(
            f"expected a relation through a table of which {scope.name} has all rows; got "
            f"{model._meta.table_name}: read its rows themselves, with their references included"
        )


def require_plain(scope: Scope, nodes: Any) -> None:
    """Raise UnguardedError where nodes have SQL of Peewee's with anything but columns, values and well-known calls.

    A query inside an expression would look at rows that no scope holds.

    Args:
        scope: a closed scope.
        nodes: a node, or a tuple of those and of what is none.
    """
    pieces = getattr(nodes, "pieces", None)
    if pieces is not None:
        word = _unknown_word(pieces)
        if word is not None:
            raise UnguardedError(
                f"expected an expression of columns, values and {', '.join(_FUNCTIONS)}; got {shown(word)}, which "
                f"{scope.name} may not hold: write conditions as a dict, or find the values first"
            )
    elif isinstance(nodes, tuple):
        for node in nodes:
            require_plain(scope, node)
    elif isinstance(nodes, Record):
        require_plain(scope, nodes._as_tuple())


@lru_cache(maxsize=1024)
def _unknown_word(pieces: tuple[str, ...]) -> str | None:
    from cloudpub_models.sql.dialects import POSTGRESQL
    from cloudpub_models.sql.text.tokens import tokens

    depth = 0
    for kind, text, _, is_finished in tokens(" ".join(pieces), POSTGRESQL):
        depth += text.count("(") - text.count(")") if kind == "punctuation" else 0
        is_known = kind in _KINDS or (text.upper() in _WORDS if kind == "word" else _MARKS.issuperset(text))
        if not is_known or not is_finished or depth < 0:
            return text
    return None


def refuse(scope: Scope | None, call: str) -> None:
    """Raise UnguardedError for a call to whose SQL no condition can be added, where there is a scope."""
    if scope is not None:
        raise UnguardedError(
            f"expected a call that {scope.name} can hold; got {call}, whose SQL is its caller's own: "
            "use the finding and writing operations, or a manager that has no scope"
        )
